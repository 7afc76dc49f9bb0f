//! Entry points for fuzzing: any bytes must end in a table or a typed error.

use crate::{Column, ExtraColumns, Limits, Schema, SchemaError};

/// Small enough for millions of runs.
const LIMITS: Limits = Limits { bytes: 1 << 20, rows: 10_000, columns: 64, cells: 100_000 };

/// The contract of the fuzzed readers: one column of each kind.
///
/// # Errors
/// None: the contract is fixed.
pub fn fuzz_schema() -> Result<Schema, SchemaError> {
    let columns = vec![
        Column::number("amount", 0.0, 100.0),
        Column::category("channel", &["card", "online"]),
        Column::day("day"),
        Column::label("fraud"),
    ];
    Schema::new(columns, ExtraColumns::Ignore)
}

/// Reads the bytes as CSV. Whether they were accepted.
pub fn fuzz_csv(content: &[u8]) -> bool {
    fuzz_schema().is_ok_and(|schema| crate::csv::read_csv(content, "fuzz", &schema, &LIMITS).is_ok())
}

/// Reads the bytes as Parquet. Whether they were accepted.
pub fn fuzz_parquet(content: &[u8]) -> bool {
    fuzz_schema().is_ok_and(|schema| crate::parquet::read_parquet(content.to_vec(), "fuzz", &schema, &LIMITS).is_ok())
}

/// Reads the bytes as a contract. Whether they were accepted.
pub fn fuzz_contract(content: &[u8]) -> bool {
    std::str::from_utf8(content).is_ok_and(|text| Schema::from_toml(text).is_ok())
}
