//! The schema contract: what every party's file must look like before any cryptography starts.
//!
//! ```toml
//! extra_columns = "reject"          # or "ignore"
//!
//! [[columns]]
//! name = "amount"
//! kind = "number"                   # "number", "category", "label" or "day"
//! min = 0                           # optional declared range, both ends included
//! max = 10000
//! missing = 0                       # or "reject" (default); for a category also "zeros"
//!
//! [[columns]]
//! name = "channel"
//! kind = "category"
//! values = ["card", "online"]       # one 0/1 feature each, in this order
//!
//! [[columns]]
//! name = "fraud"
//! kind = "label"
//! values = ["no", "yes"]            # [negative, positive]; default ["0", "1"]
//! ```
//!
//! The order of the columns is the order of the features. A file may hold them in any order.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{DataError, SchemaError};

/// Most columns of a contract and most features after one-hot encoding.
pub const MAX_COLUMNS: usize = 4096;

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A finite number, optionally with a declared range (both ends included). One feature.
    Number {
        /// Smallest allowed value.
        min: Option<f64>,
        /// Largest allowed value.
        max: Option<f64>,
    },
    /// One of the declared texts. One 0/1 feature per value, in this order.
    Category {
        /// The texts, compared after trimming blanks.
        values: Vec<String>,
    },
    /// The binary target: `negative` becomes 0, `positive` becomes 1. No feature.
    Label {
        /// The text of class 0.
        negative: String,
        /// The text of class 1.
        positive: String,
    },
    /// A whole day number, for splitting in time. No feature.
    Day,
    /// Whose row it is: a text that is the same for one person at every party. A number is kept as it is, another text as a hash of 64
    /// bits. It never leaves its party: it says which rows go together where privacy is promised per person. No feature.
    Person,
}

/// What an empty or null cell means. A mean or median is not offered: over one party's rows it would differ between
/// the parties, so it has to be computed jointly first and then declared as a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Missing {
    /// An error naming row and column.
    Reject,
    /// This number stands in (kind number only).
    Value(f64),
    /// All one-hot features are 0 (kind category only).
    Zeros,
}

/// One declared column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawColumn", into = "RawColumn")]
pub struct Column {
    /// The header's text.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// What an empty cell means.
    pub missing: Missing,
}

/// What to do with columns of the file that the contract does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExtraColumns {
    /// An error.
    #[default]
    Reject,
    /// They are skipped.
    Ignore,
}

/// A checked contract. It can only be built through [`Schema::new`] or by parsing, which validates the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawSchema", into = "RawSchema")]
pub struct Schema {
    columns: Vec<Column>,
    extra_columns: ExtraColumns,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSchema {
    #[serde(default)]
    extra_columns: ExtraColumns,
    columns: Vec<Column>,
}

/// The file form of a column: flat, because that reads best in TOML.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumn {
    name: String,
    kind: RawKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    missing: Option<RawMissing>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    Number,
    Category,
    Label,
    Day,
    Person,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum RawMissing {
    Value(f64),
    Word(String),
}

impl TryFrom<RawColumn> for Column {
    type Error = SchemaError;

    fn try_from(raw: RawColumn) -> Result<Self, SchemaError> {
        let fail = |problem| SchemaError::Column { column: raw.name.clone(), problem };
        if !matches!(raw.kind, RawKind::Number) && (raw.min.is_some() || raw.max.is_some()) {
            return Err(fail("only a number has min and max; remove them"));
        }
        let missing = match &raw.missing {
            None => Missing::Reject,
            Some(RawMissing::Value(v)) => Missing::Value(*v),
            Some(RawMissing::Word(w)) if w == "reject" => Missing::Reject,
            Some(RawMissing::Word(w)) if w == "zeros" => Missing::Zeros,
            Some(RawMissing::Word(_)) => {
                return Err(fail(
                    "missing must be \"reject\", \"zeros\" or a number; a mean or median would differ between parties",
                ));
            }
        };
        let kind = match (raw.kind, raw.values) {
            (RawKind::Number, None) => Kind::Number { min: raw.min, max: raw.max },
            (RawKind::Day, None) => Kind::Day,
            (RawKind::Person, None) => Kind::Person,
            (RawKind::Category, Some(values)) => Kind::Category { values },
            (RawKind::Category, None) => return Err(fail("a category needs its values; list them")),
            (RawKind::Label, None) => Kind::Label { negative: "0".into(), positive: "1".into() },
            (RawKind::Label, Some(values)) => match <[String; 2]>::try_from(values) {
                Ok([negative, positive]) => Kind::Label { negative, positive },
                Err(_) => return Err(fail("a label has exactly two values: [negative, positive]")),
            },
            (_, Some(_)) => return Err(fail("only a category or a label has values; remove them")),
        };
        Ok(Column { name: raw.name, kind, missing })
    }
}

impl From<Column> for RawColumn {
    fn from(column: Column) -> Self {
        let missing = match column.missing {
            Missing::Reject => None,
            Missing::Value(v) => Some(RawMissing::Value(v)),
            Missing::Zeros => Some(RawMissing::Word("zeros".into())),
        };
        let (kind, min, max, values) = match column.kind {
            Kind::Number { min, max } => (RawKind::Number, min, max, None),
            Kind::Category { values } => (RawKind::Category, None, None, Some(values)),
            Kind::Label { negative, positive } => (RawKind::Label, None, None, Some(vec![negative, positive])),
            Kind::Day => (RawKind::Day, None, None, None),
            Kind::Person => (RawKind::Person, None, None, None),
        };
        RawColumn { name: column.name, kind, min, max, values, missing }
    }
}

impl TryFrom<RawSchema> for Schema {
    type Error = SchemaError;
    fn try_from(raw: RawSchema) -> Result<Self, SchemaError> {
        Schema::new(raw.columns, raw.extra_columns)
    }
}

impl From<Schema> for RawSchema {
    fn from(schema: Schema) -> Self {
        RawSchema { extra_columns: schema.extra_columns, columns: schema.columns }
    }
}

impl Column {
    /// A required number between `min` and `max`.
    pub fn number(name: &str, min: f64, max: f64) -> Self {
        Column { name: name.into(), kind: Kind::Number { min: Some(min), max: Some(max) }, missing: Missing::Reject }
    }

    /// A required category.
    pub fn category(name: &str, values: &[&str]) -> Self {
        let values = values.iter().map(|v| v.to_string()).collect();
        Column { name: name.into(), kind: Kind::Category { values }, missing: Missing::Reject }
    }

    /// A label written 0 or 1.
    pub fn label(name: &str) -> Self {
        let kind = Kind::Label { negative: "0".into(), positive: "1".into() };
        Column { name: name.into(), kind, missing: Missing::Reject }
    }

    /// A day number.
    pub fn day(name: &str) -> Self {
        Column { name: name.into(), kind: Kind::Day, missing: Missing::Reject }
    }

    /// A person's identifier.
    pub fn person(name: &str) -> Self {
        Column { name: name.into(), kind: Kind::Person, missing: Missing::Reject }
    }

    /// Names of the features it becomes: one for a number, `name=value` for each category, none for label, day and person.
    pub fn feature_names(&self) -> Vec<String> {
        match &self.kind {
            Kind::Number { .. } => vec![self.name.clone()],
            Kind::Category { values } => values.iter().map(|v| format!("{}={v}", self.name)).collect(),
            Kind::Label { .. } | Kind::Day | Kind::Person => vec![],
        }
    }

    /// The word of the contract for its kind.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Number { .. } => "number",
            Kind::Category { .. } => "category",
            Kind::Label { .. } => "label",
            Kind::Day => "day",
            Kind::Person => "person",
        }
    }

    fn check(&self) -> Result<(), SchemaError> {
        let fail = |problem| Err(SchemaError::Column { column: self.name.clone(), problem });
        if self.name.is_empty() || self.name.trim() != self.name {
            return Err(SchemaError::Name(self.name.clone()));
        }
        match (&self.kind, self.missing) {
            (Kind::Number { .. }, Missing::Zeros) => return fail("zeros is for categories; give a number"),
            (Kind::Category { .. }, Missing::Value(_)) => return fail("a missing category is \"reject\" or \"zeros\""),
            (Kind::Label { .. } | Kind::Day | Kind::Person, Missing::Value(_) | Missing::Zeros) => {
                return fail("labels, days and persons may not be missing; remove `missing`");
            }
            _ => {}
        }
        match &self.kind {
            Kind::Number { min, max } => self.check_range(*min, *max),
            Kind::Category { values } if !distinct_texts(values) => {
                fail("values must be non-empty, distinct and without surrounding blanks")
            }
            Kind::Label { negative, positive } if !distinct_texts(&[negative.clone(), positive.clone()]) => {
                fail("the two labels must be non-empty, distinct and without surrounding blanks")
            }
            _ => Ok(()),
        }
    }

    fn check_range(&self, min: Option<f64>, max: Option<f64>) -> Result<(), SchemaError> {
        let fail = |problem| Err(SchemaError::Column { column: self.name.clone(), problem });
        if [min, max].iter().flatten().any(|v| !v.is_finite()) {
            return fail("min and max must be finite; leave them out for an open range");
        }
        let (low, high) = (min.unwrap_or(f64::MIN), max.unwrap_or(f64::MAX));
        if low > high {
            return fail("min is above max; swap them");
        }
        match self.missing {
            Missing::Value(v) if !(low..=high).contains(&v) => {
                fail("the value for missing cells must be finite and inside min and max")
            }
            _ => Ok(()),
        }
    }
}

fn distinct_texts(values: &[String]) -> bool {
    let clean = values.iter().all(|v| !v.is_empty() && v.trim() == v);
    clean && !values.is_empty() && values.iter().collect::<BTreeSet<_>>().len() == values.len()
}

impl Schema {
    /// A contract over these columns.
    ///
    /// # Errors
    /// Names that are empty or repeated (also after one-hot encoding), no feature, more than one label or day, a range
    /// or a missing value that contradicts itself, more than [`MAX_COLUMNS`] columns or features.
    pub fn new(columns: Vec<Column>, extra_columns: ExtraColumns) -> Result<Self, SchemaError> {
        if columns.len() > MAX_COLUMNS {
            return Err(SchemaError::TooMany { what: "columns", limit: MAX_COLUMNS });
        }
        columns.iter().try_for_each(Column::check)?;
        for kind in ["label", "day", "person"] {
            if columns.iter().filter(|c| c.kind_name() == kind).count() > 1 {
                return Err(SchemaError::Repeated(kind));
            }
        }
        unique(columns.iter().map(|c| c.name.clone()))?;
        let schema = Schema { columns, extra_columns };
        let features = schema.feature_names();
        if features.is_empty() {
            return Err(SchemaError::NoFeatures);
        }
        if features.len() > MAX_COLUMNS {
            return Err(SchemaError::TooMany { what: "features after one-hot encoding", limit: MAX_COLUMNS });
        }
        unique(features.into_iter())?;
        Ok(schema)
    }

    /// Parses the TOML form.
    ///
    /// # Errors
    /// Not TOML, unknown fields, or a contract that [`Schema::new`] refuses.
    pub fn from_toml(text: &str) -> Result<Self, SchemaError> {
        toml::from_str(text).map_err(|e| SchemaError::Parse(e.to_string()))
    }

    /// Reads the TOML form from a file.
    ///
    /// # Errors
    /// The file cannot be read, or as [`Schema::from_toml`].
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let read = |source| DataError::Io { action: "read", file: path.display().to_string(), source };
        Ok(Self::from_toml(&std::fs::read_to_string(path).map_err(read)?)?)
    }

    /// The TOML form; [`Schema::from_toml`] reads it back.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a contract holds only texts and finite numbers, which TOML can write")
    }

    /// The declared columns in feature order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// What happens to undeclared columns.
    pub fn extra_columns(&self) -> ExtraColumns {
        self.extra_columns
    }

    /// Names of the features, in order.
    pub fn feature_names(&self) -> Vec<String> {
        self.columns.iter().flat_map(Column::feature_names).collect()
    }

    /// Whether rows carry a label.
    pub fn has_label(&self) -> bool {
        self.columns.iter().any(|c| matches!(c.kind, Kind::Label { .. }))
    }

    /// Whether rows say whose they are.
    pub fn has_person(&self) -> bool {
        self.columns.iter().any(|c| c.kind == Kind::Person)
    }

    /// Declared `(min, max)` of each feature; a category's features lie in 0 to 1; `None` where a side is open.
    pub fn feature_ranges(&self) -> Vec<(Option<f64>, Option<f64>)> {
        let of = |column: &Column| match &column.kind {
            Kind::Number { min, max } => vec![(*min, *max)],
            Kind::Category { values } => vec![(Some(0.0), Some(1.0)); values.len()],
            Kind::Label { .. } | Kind::Day | Kind::Person => vec![],
        };
        self.columns.iter().flat_map(of).collect()
    }

    /// BLAKE3 over a domain label and the contract as JSON with fixed field order, so that parties can compare what
    /// they agreed on. Layout and comments of the TOML do not count; order of columns, names, ranges and values do.
    pub fn digest(&self) -> blake3::Hash {
        let json = serde_json::to_vec(self).expect("a contract holds only texts and finite numbers");
        let mut hasher = blake3::Hasher::new_derive_key("privity 2026 table schema contract v1");
        hasher.update(&json);
        hasher.finalize()
    }
}

fn unique(names: impl Iterator<Item = String>) -> Result<(), SchemaError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            return Err(SchemaError::Name(name));
        }
    }
    Ok(())
}
