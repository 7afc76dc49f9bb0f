//! From cells to a [`Table`]: the part that CSV and Parquet share.

use crate::schema::{Column, ExtraColumns, Kind, Missing, Schema};
use crate::{CellProblem, DataError, Limits, Table};

/// One cell as a reader found it; categories and labels must come as text.
#[derive(Clone, Copy)]
pub(crate) enum Cell<'a> {
    Missing,
    Text(&'a str),
    Number(f64),
}

/// For each declared column its position in the file.
///
/// # Errors
/// Undeclared, missing or repeated columns, or more than the limit.
pub(crate) fn match_header<'a>(
    schema: &Schema,
    file: &str,
    limits: &Limits,
    header: impl Iterator<Item = &'a str>,
) -> Result<Vec<usize>, DataError> {
    let mut positions = vec![None; schema.columns().len()];
    for (at, name) in header.enumerate() {
        if at >= limits.columns {
            return Err(DataError::TooLarge { file: file.into(), what: "columns", limit: limits.columns as u64 });
        }
        match schema.columns().iter().position(|c| c.name == name.trim()) {
            Some(i) if positions[i].is_some() => {
                return Err(DataError::DuplicateColumn { file: file.into(), column: name.trim().into() });
            }
            Some(i) => positions[i] = Some(at),
            None if schema.extra_columns() == ExtraColumns::Ignore => {}
            None => return Err(DataError::UnknownColumn { file: file.into(), position: at + 1 }),
        }
    }
    let missing = |c: &Column| DataError::MissingColumn { file: file.into(), column: c.name.clone() };
    positions.into_iter().zip(schema.columns()).map(|(p, c)| p.ok_or_else(|| missing(c))).collect()
}

/// Collects encoded rows.
pub(crate) struct Encoder<'a> {
    schema: &'a Schema,
    file: &'a str,
    limits: &'a Limits,
    rows: usize,
    features: Vec<f64>,
    labels: Vec<f64>,
    days: Vec<u32>,
    persons: Vec<u64>,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(schema: &'a Schema, file: &'a str, limits: &'a Limits) -> Self {
        Encoder { schema, file, limits, rows: 0, features: vec![], labels: vec![], days: vec![], persons: vec![] }
    }

    /// Rows taken so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Encodes one row; `cell(i)` is the cell of the `i`-th declared column.
    pub(crate) fn push<'c>(&mut self, cell: impl Fn(usize) -> Cell<'c>) -> Result<(), DataError> {
        self.rows += 1;
        if self.rows > self.limits.rows {
            return Err(self.too_large("rows", self.limits.rows));
        }
        let schema = self.schema;
        for (i, column) in schema.columns().iter().enumerate() {
            self.push_cell(column, cell(i)).map_err(|problem| DataError::Cell {
                file: self.file.into(),
                row: self.rows,
                column: column.name.clone(),
                problem,
            })?;
        }
        if self.features.len() > self.limits.cells {
            return Err(self.too_large("cells", self.limits.cells));
        }
        Ok(())
    }

    /// The finished table.
    pub(crate) fn finish(self) -> Result<Table, DataError> {
        if self.rows == 0 {
            return Err(DataError::Empty { file: self.file.into(), what: "rows" });
        }
        Table::new(self.schema.feature_names(), self.features, self.labels, self.days)?.with_persons(self.persons)
    }

    fn too_large(&self, what: &'static str, limit: usize) -> DataError {
        DataError::TooLarge { file: self.file.into(), what, limit: limit as u64 }
    }

    fn push_cell(&mut self, column: &Column, cell: Cell<'_>) -> Result<(), CellProblem> {
        let cell = match cell {
            Cell::Text(text) if text.trim().is_empty() => Cell::Missing,
            Cell::Text(text) => Cell::Text(text.trim()),
            other => other,
        };
        match &column.kind {
            Kind::Number { min, max } => self.features.push(number(cell, *min, *max, column.missing)?),
            Kind::Category { values } => self.push_category(values, cell, column.missing)?,
            Kind::Label { negative, positive } => self.labels.push(label(cell, negative, positive)?),
            Kind::Day => self.days.push(day(cell)?),
            Kind::Person => self.persons.push(person(cell)?),
        }
        Ok(())
    }

    fn push_category(&mut self, values: &[String], cell: Cell<'_>, missing: Missing) -> Result<(), CellProblem> {
        let hit = match cell {
            Cell::Missing if missing == Missing::Zeros => None,
            Cell::Missing => return Err(CellProblem::Missing),
            Cell::Number(_) => return Err(CellProblem::UnknownCategory),
            // Exact, not by value: postcodes 01 and 1 are two things.
            Cell::Text(text) => Some(values.iter().position(|v| v == text).ok_or(CellProblem::UnknownCategory)?),
        };
        self.features.extend((0..values.len()).map(|i| f64::from(u8::from(Some(i) == hit))));
        Ok(())
    }
}

fn number(cell: Cell<'_>, min: Option<f64>, max: Option<f64>, missing: Missing) -> Result<f64, CellProblem> {
    let value = match (cell, missing) {
        (Cell::Missing, Missing::Value(v)) => return Ok(v),
        _ => finite(cell)?,
    };
    match (min, max) {
        (Some(min), _) if value < min => Err(CellProblem::BelowMinimum),
        (_, Some(max)) if value > max => Err(CellProblem::AboveMaximum),
        _ => Ok(value),
    }
}

fn finite(cell: Cell<'_>) -> Result<f64, CellProblem> {
    let value = match cell {
        Cell::Missing => return Err(CellProblem::Missing),
        Cell::Text(text) => text.parse::<f64>().map_err(|_| CellProblem::NotANumber)?,
        Cell::Number(v) => v,
    };
    if value.is_finite() { Ok(value) } else { Err(CellProblem::NotFinite) }
}

/// Labels are compared as texts, then by value: tools that know missing values write the label 1 as `1.0`.
fn label(cell: Cell<'_>, negative: &str, positive: &str) -> Result<f64, CellProblem> {
    let Cell::Text(text) = cell else { return Err(CellProblem::Missing) };
    let value = |text: &str| text.parse::<f64>().ok().filter(|v| v.is_finite());
    let is = |declared: &str| text == declared || value(declared).is_some_and(|d| value(text) == Some(d));
    match (is(negative), is(positive)) {
        (true, false) => Ok(0.0),
        (false, true) => Ok(1.0),
        _ => Err(CellProblem::UnknownLabel),
    }
}

fn day(cell: Cell<'_>) -> Result<u32, CellProblem> {
    let value = finite(cell)?;
    if value.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&value) {
        return Err(CellProblem::NotADay);
    }
    Ok(value as u32)
}

/// A number as it is, any other text as a hash: equal for equal texts, at every party.
fn person(cell: Cell<'_>) -> Result<u64, CellProblem> {
    let Cell::Text(text) = cell else { return Err(CellProblem::Missing) };
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let hash = blake3::derive_key("privity 2026-11 hash of a person's identifier", text.as_bytes());
    Ok(u64::from_le_bytes(std::array::from_fn(|i| hash[i])))
}

/// The inverse of the encoding, for writers: cells of a table in the order of the contract.
pub(crate) struct Decoder<'a> {
    schema: &'a Schema,
    table: &'a Table,
    /// For each declared column where its features start in a row.
    starts: Vec<usize>,
}

impl<'a> Decoder<'a> {
    /// # Errors
    /// The table does not have the features, labels or days of the contract.
    pub(crate) fn new(schema: &'a Schema, table: &'a Table) -> Result<Self, DataError> {
        let filled = |wanted: bool, len: usize| len == if wanted { table.rows() } else { 0 };
        let has_day = schema.columns().iter().any(|c| c.kind == Kind::Day);
        let fits = table.names() == schema.feature_names()
            && filled(schema.has_label(), table.labels().len())
            && filled(has_day, table.days().len())
            && filled(schema.has_person(), table.persons().len());
        if !fits {
            return Err(DataError::Shape { what: "the table does not have the columns of the schema" });
        }
        let mut next = 0;
        let start = |column: &Column| {
            let start = next;
            next += column.feature_names().len();
            start
        };
        Ok(Decoder { schema, table, starts: schema.columns().iter().map(start).collect() })
    }

    /// The number in a declared number column, rows from 0.
    pub(crate) fn number(&self, row: usize, column: usize) -> f64 {
        self.table.row(row)[self.starts[column]]
    }

    /// The text of a cell; none for a category without a set feature. Every number is written in the shortest form that
    /// reads back to the same value.
    pub(crate) fn text(&self, row: usize, column: usize) -> Option<String> {
        match &self.schema.columns()[column].kind {
            Kind::Number { .. } => Some(self.number(row, column).to_string()),
            Kind::Category { values } => {
                let features = &self.table.row(row)[self.starts[column]..][..values.len()];
                features.iter().position(|&v| v == 1.0).map(|i| values[i].clone())
            }
            Kind::Label { negative, positive } => {
                Some(if self.table.labels()[row] == 1.0 { positive.clone() } else { negative.clone() })
            }
            Kind::Day => Some(self.table.days()[row].to_string()),
            Kind::Person => Some(self.table.persons()[row].to_string()),
        }
    }
}
