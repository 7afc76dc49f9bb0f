//! A table in memory: numeric features, labels, days, and whose each row is.

use std::fmt;

use crate::DataError;

/// Rows of finite features (row-major), with a label and a day each where the contract has them. `Debug` shows the shape
/// only.
#[derive(Clone, PartialEq)]
pub struct Table {
    names: Vec<String>,
    rows: usize,
    features: Vec<f64>,
    labels: Vec<f64>,
    days: Vec<u32>,
    persons: Vec<u64>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labelled = !self.labels.is_empty();
        write!(f, "Table({} rows x {} features, labelled: {labelled})", self.rows, self.cols())
    }
}

impl Table {
    /// A table from its parts. `features` is row-major, `names.len()` per row. `labels` (0.0 or 1.0) and `days` have one
    /// entry per row or are empty.
    ///
    /// # Errors
    /// Parts of different lengths, no columns, a feature that is not finite, a label other than 0 and 1.
    pub fn new(names: Vec<String>, features: Vec<f64>, labels: Vec<f64>, days: Vec<u32>) -> Result<Self, DataError> {
        let fail = |what| Err(DataError::Shape { what });
        if names.is_empty() || !features.len().is_multiple_of(names.len()) {
            return fail("the features do not fill whole rows of the named columns");
        }
        let rows = features.len() / names.len();
        if !(labels.is_empty() || labels.len() == rows) || !(days.is_empty() || days.len() == rows) {
            return fail("labels and days need one entry per row, or none at all");
        }
        if !features.iter().all(|v| v.is_finite()) {
            return fail("a feature is not a finite number");
        }
        if !labels.iter().all(|&v| v == 0.0 || v == 1.0) {
            return fail("a label is neither 0 nor 1");
        }
        Ok(Table { names, rows, features, labels, days, persons: Vec::new() })
    }

    /// The same table with whose each row is; none, or one for each row.
    ///
    /// # Errors
    /// Another number of entries than rows.
    pub fn with_persons(self, persons: Vec<u64>) -> Result<Self, DataError> {
        match persons.is_empty() || persons.len() == self.rows {
            true => Ok(Table { persons, ..self }),
            false => Err(DataError::Shape { what: "persons need one entry per row, or none at all" }),
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of features.
    pub fn cols(&self) -> usize {
        self.names.len()
    }

    /// Feature names in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// All features, row-major.
    pub fn features(&self) -> &[f64] {
        &self.features
    }

    /// The features of one row, counted from 0.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.features[row * self.cols()..(row + 1) * self.cols()]
    }

    /// One label, 0.0 or 1.0, per row; empty if the table has none.
    pub fn labels(&self) -> &[f64] {
        &self.labels
    }

    /// One day number per row; empty if the table has none.
    pub fn days(&self) -> &[u32] {
        &self.days
    }

    /// Whose each row is; empty if the table does not say.
    pub fn persons(&self) -> &[u64] {
        &self.persons
    }

    /// The rows at these indices (from 0), in this order.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn select(&self, rows: &[usize]) -> Table {
        let features = rows.iter().flat_map(|&r| self.row(r)).copied().collect();
        let labels = if self.labels.is_empty() { vec![] } else { rows.iter().map(|&r| self.labels[r]).collect() };
        let days = if self.days.is_empty() { vec![] } else { rows.iter().map(|&r| self.days[r]).collect() };
        let persons = if self.persons.is_empty() { vec![] } else { rows.iter().map(|&r| self.persons[r]).collect() };
        Table { names: self.names.clone(), rows: rows.len(), features, labels, days, persons }
    }

    /// All rows of several tables, one table after the other.
    ///
    /// # Errors
    /// No tables, or tables that differ in columns or in whether they have labels and days.
    pub fn concat(tables: &[Table]) -> Result<Table, DataError> {
        let first = tables
            .iter()
            .find(|t| t.rows > 0)
            .or(tables.first())
            .ok_or(DataError::Shape { what: "there are no tables to join" })?;
        let alike = |t: &Table| {
            let filled_alike = t.labels.is_empty() == first.labels.is_empty()
                && t.days.is_empty() == first.days.is_empty()
                && t.persons.is_empty() == first.persons.is_empty();
            t.names == first.names && (t.rows == 0 || filled_alike)
        };
        if !tables.iter().all(alike) {
            return Err(DataError::Shape { what: "the tables differ in columns, labels, days or persons" });
        }
        Ok(Table {
            names: first.names.clone(),
            rows: tables.iter().map(Table::rows).sum(),
            features: tables.iter().flat_map(|t| t.features.iter().copied()).collect(),
            labels: tables.iter().flat_map(|t| t.labels.iter().copied()).collect(),
            days: tables.iter().flat_map(|t| t.days.iter().copied()).collect(),
            persons: tables.iter().flat_map(|t| t.persons.iter().copied()).collect(),
        })
    }
}
