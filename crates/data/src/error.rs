//! What can be wrong with a table or its contract. Cell contents are secret: no message carries one.

use std::path::PathBuf;

/// The kind of problem in one cell. It never holds the cell's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CellProblem {
    /// Empty or null where the contract says `missing = "reject"`.
    #[error("is missing; fill it, or declare what stands for a missing value")]
    Missing,
    /// Not a decimal number.
    #[error("is not a number; write it in decimal with a point, without units or thousands separators")]
    NotANumber,
    /// NaN or an infinity.
    #[error("is not a finite number; leave it empty if the value is unknown")]
    NotFinite,
    /// Under the declared minimum.
    #[error("is below the declared minimum; correct the row or widen the contract at all parties")]
    BelowMinimum,
    /// Over the declared maximum.
    #[error("is above the declared maximum; correct the row or widen the contract at all parties")]
    AboveMaximum,
    /// None of the declared categories.
    #[error("is none of the declared categories; correct the row or extend the contract at all parties")]
    UnknownCategory,
    /// Neither of the two declared labels.
    #[error("is neither of the two declared labels; correct the row")]
    UnknownLabel,
    /// Not a whole number of days from 0 to `u32::MAX`.
    #[error("is not a whole, non-negative number of days")]
    NotADay,
    /// Too large for the fixed-point format or the bound it was checked against.
    #[error("does not fit the fixed-point range; scale the column or choose a wider format")]
    OutOfFixedRange,
}

/// Failures of reading, checking, splitting, quantising and writing tables.
///
/// Rows are counted from 1 and the header is not counted. Columns are named only if the contract names them; others are
/// given by position, because a file without a header would show its first record in place of names.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused.
    #[error("cannot {action} {file}: {source}; check the path and its permissions")]
    Io {
        /// What was tried: `open`, `read`, `write`.
        action: &'static str,
        /// The file, or the name the caller gave the stream.
        file: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The contract itself is wrong.
    #[error("schema: {0}")]
    Schema(#[from] SchemaError),
    /// Neither `.csv` nor `.parquet`.
    #[error("cannot tell the format of {}: name the file .csv or .parquet", .0.display())]
    UnknownFormat(PathBuf),
    /// No header or no rows.
    #[error("{file} has no {what}; a table needs a header and at least one row")]
    Empty {
        /// The file.
        file: String,
        /// `header` or `rows`.
        what: &'static str,
    },
    /// A declared column is not in the file.
    #[error("{file} lacks the column `{column}` of the schema; add it, or agree on a schema without it")]
    MissingColumn {
        /// The file.
        file: String,
        /// The declared name.
        column: String,
    },
    /// A column of the file is not declared.
    #[error(
        "column {position} of {file} is not in the schema; remove it, declare it, or set extra_columns = \"ignore\" \
         (is the header there?)"
    )]
    UnknownColumn {
        /// The file.
        file: String,
        /// Counted from 1.
        position: usize,
    },
    /// A declared column appears twice.
    #[error("{file} has the column `{column}` twice; keep one")]
    DuplicateColumn {
        /// The file.
        file: String,
        /// The declared name.
        column: String,
    },
    /// A record with more or fewer fields than the header.
    #[error("row {row} of {file} has {found} fields and the header {expected}; look for a stray separator or quote")]
    RaggedRow {
        /// The file.
        file: String,
        /// Counted from 1, header excluded.
        row: usize,
        /// Fields of the header.
        expected: usize,
        /// Fields of the record.
        found: usize,
    },
    /// Bytes that are not UTF-8.
    #[error("row {row} of {file} is not UTF-8 (row 0 is the header); save the file as UTF-8")]
    NotUtf8 {
        /// The file.
        file: String,
        /// Counted from 1; 0 is the header.
        row: usize,
    },
    /// One cell breaks the contract.
    #[error("row {row}, column `{column}` of {file}: the value {problem}")]
    Cell {
        /// The file, or `table` for a table in memory.
        file: String,
        /// Counted from 1, header excluded.
        row: usize,
        /// The declared column (for one-hot columns `column=value`).
        column: String,
        /// What is wrong, without the content.
        problem: CellProblem,
    },
    /// A Parquet column whose type cannot hold the declared kind.
    #[error("column `{column}` of {file} has the Parquet type {found}, which cannot be read as a {wanted}; cast it")]
    ColumnType {
        /// The file.
        file: String,
        /// The declared name.
        column: String,
        /// The Arrow type found.
        found: String,
        /// The declared kind.
        wanted: &'static str,
    },
    /// More than the limits allow.
    #[error("{file} has more than {limit} {what}; split the file or raise the limit")]
    TooLarge {
        /// The file.
        file: String,
        /// `bytes`, `rows`, `columns` or `cells`.
        what: &'static str,
        /// The limit in force.
        limit: u64,
    },
    /// Damaged, truncated or foreign bytes.
    #[error("{file} is not a readable Parquet file ({reason}); write it again")]
    Parquet {
        /// The file.
        file: String,
        /// The kind of failure; never data.
        reason: &'static str,
    },
    /// The writer failed for another reason than the operating system.
    #[error("cannot write {file}: {reason}")]
    Write {
        /// The file.
        file: String,
        /// The kind of failure; never data.
        reason: &'static str,
    },
    /// The parts of a table do not belong together.
    #[error("cannot build or join a table: {what}")]
    Shape {
        /// Which parts disagree.
        what: &'static str,
    },
    /// A split that cannot be made.
    #[error("cannot split {rows} rows: {what}")]
    Split {
        /// Rows to split.
        rows: usize,
        /// What is wrong with the request.
        what: &'static str,
    },
    /// A row count the generator does not support.
    #[error("cannot generate {rows} rows; ask for {min} to {max}")]
    GeneratorRows {
        /// Rows asked for.
        rows: usize,
        /// Fewest possible.
        min: usize,
        /// Most possible.
        max: usize,
    },
}

/// Faults of a schema contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Not TOML, or not the fields of a schema.
    #[error("cannot parse the contract: {0}")]
    Parse(String),
    /// No column carries a feature.
    #[error("no column is a number or a category, so there is nothing to learn from; declare one")]
    NoFeatures,
    /// More columns or categories than a contract may have.
    #[error("more than {limit} {what}; split the table or group rare values")]
    TooMany {
        /// `columns` or `features after one-hot encoding`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// An empty or repeated column name, or one that collides after one-hot encoding.
    #[error("the column name `{0}` is empty, padded with blanks, or used twice; rename one")]
    Name(String),
    /// More than one column of a kind that may appear once.
    #[error("there is more than one {0} column; keep one")]
    Repeated(&'static str),
    /// A property that the column's kind does not have, or lacks one it needs.
    #[error("column `{column}`: {problem}")]
    Column {
        /// The column.
        column: String,
        /// What is wrong and how to put it right.
        problem: &'static str,
    },
}
