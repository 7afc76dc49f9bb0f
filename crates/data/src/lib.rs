//! Tables in: schema contracts, CSV and Parquet readers, splits, fixed point, shipped data and a fraud generator.
//!
//! Everything here is local and in plain numbers. Cell contents are secret: they appear in no error and no `Debug`.
#![forbid(unsafe_code)]

pub mod breast_cancer;
pub mod csv;
mod encode;
mod error;
pub mod fraud;
pub mod fuzz;
mod limits;
pub mod metrics;
pub mod parquet;
pub mod quantise;
mod random;
pub mod schema;
pub mod split;
mod table;

pub use error::{CellProblem, DataError, SchemaError};
pub use limits::Limits;
pub use schema::{Column, ExtraColumns, Kind, Missing, Schema};
pub use table::Table;

use std::path::Path;

/// Reads a file by its ending, `.csv` or `.parquet`.
///
/// # Errors
/// Another ending; else see [`csv::load_csv`] and [`parquet::load_parquet`].
pub fn load(path: &Path, schema: &Schema, limits: &Limits) -> Result<Table, DataError> {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "csv" => csv::load_csv(path, schema, limits),
        "parquet" => parquet::load_parquet(path, schema, limits),
        _ => Err(DataError::UnknownFormat(path.to_path_buf())),
    }
}
