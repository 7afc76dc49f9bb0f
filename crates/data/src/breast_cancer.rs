//! The Wisconsin diagnostic breast cancer table, embedded: 569 biopsies, 30 measurements, malignant or benign.
//!
//! Source and licence stand in `data/breast-cancer/README.md`.

use crate::csv::read_csv;
use crate::{DataError, Limits, Schema, SchemaError, Table, split};

const CSV: &str = include_str!("../../../data/breast-cancer/wdbc.csv");
const SCHEMA: &str = include_str!("../../../data/breast-cancer/wdbc.schema.toml");

/// Its contract; the label is 1 for malignant.
///
/// # Errors
/// None in a released build: the embedded contract is part of the program and its tests.
pub fn schema() -> Result<Schema, SchemaError> {
    Schema::from_toml(SCHEMA)
}

/// All 569 rows (212 malignant) with 30 features, not standardised: means, standard errors and worst values of ten
/// measurements, from thousandths to 4254.
///
/// # Errors
/// None in a released build: the embedded file is part of the program and its tests.
pub fn table() -> Result<Table, DataError> {
    read_csv(CSV.as_bytes(), "wdbc.csv", &schema()?, &Limits::default())
}

/// The rows dealt at random to three hospitals of unequal size: 50 %, 30 % and 20 %.
///
/// # Errors
/// None in a released build, as for [`table`].
pub fn hospitals(seed: u64) -> Result<[Table; 3], DataError> {
    let table = table()?;
    let parts = split::by_fractions(table.rows(), &[0.5, 0.3, 0.2], seed)?;
    let parts: Vec<Table> = parts.iter().map(|rows| table.select(rows)).collect();
    parts.try_into().map_err(|_| DataError::Shape { what: "three fractions must give three parts" })
}
