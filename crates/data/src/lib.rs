//! Tables in: schema contracts, CSV and Parquet readers, splits, fixed point, shipped data and a fraud generator.
//!
//! Everything here is local and in plain numbers. Cell contents are secret: they appear in no error and no `Debug`.
#![forbid(unsafe_code)]

pub mod breast_cancer;
pub mod csv;
mod encode;
mod error;
mod limits;
pub mod metrics;
pub mod quantise;
mod random;
pub mod schema;
pub mod split;
mod table;

pub use error::{CellProblem, DataError, SchemaError};
pub use limits::Limits;
pub use schema::{Column, ExtraColumns, Kind, Missing, Schema};
pub use table::Table;
