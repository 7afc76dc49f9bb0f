//! Tables of this organisation: read and checked when they are registered, and again before a job that is to use them.

use crate::NodeError;
use crate::store::Table;
use privity_data::{Limits, Schema};
use privity_job::JobFile;
use privity_job::file::SchemaSource;
use std::path::Path;

fn wrong(table: &Table, problem: impl ToString) -> NodeError {
    NodeError::State(format!("table {}: {}", table.name, problem.to_string()))
}

pub(crate) fn schema(table: &Table) -> Result<Schema, NodeError> {
    toml::from_str(&table.schema).map_err(|e| wrong(table, e))
}

/// Reads a table's files under its contract and counts their rows.
///
/// # Errors
/// A file that cannot be read or does not hold what the contract says: row and column are named, cells are not.
pub fn read(mut table: Table) -> Result<Table, NodeError> {
    let schema = schema(&table)?;
    let read =
        |path: &str| privity_data::load(Path::new(path), &schema, &Limits::default()).map_err(|e| wrong(&table, e));
    let rows = read(&table.path)?.rows();
    if !table.test_path.is_empty() {
        read(&table.test_path)?;
    }
    table.rows = rows as u64;
    Ok(table)
}

/// Whether a job's columns are those of a table's contract.
///
/// # Errors
/// The first difference.
pub fn fits(table: &Table, job: &JobFile) -> Result<(), NodeError> {
    let SchemaSource::Inline(wanted) = &job.data.schema else {
        return Err(wrong(table, "the job's contract is not in the manifest"));
    };
    let ours = toml::Table::try_from(schema(table)?).map_err(|e| wrong(table, e))?;
    match ours == *wanted {
        true => Ok(()),
        false => Err(wrong(
            table,
            "its contract is not that of the job; register it under the job's contract if its owner agrees",
        )),
    }
}
