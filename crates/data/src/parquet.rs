//! Parquet in and out, batch by batch.
//!
//! Numbers may be any integer, float, decimal or boolean column (integers above 2^53 are rounded); categories and labels
//! text, dictionary, integer or boolean (booleans read as `0`/`1` unless the contract says `true`/`false`); days integers
//! or dates (days since 1970). Null is a missing value. Pages may be plain, Snappy or Zstandard.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;

use crate::encode::{Cell, Decoder, Encoder, match_header};
use crate::schema::Column;
use crate::{DataError, Kind, Limits, Schema, Table};

/// Rows decoded at once; small, because a dictionary can make every row of a batch long.
const BATCH_ROWS: usize = 1024;

/// Rows written at once.
const WRITE_ROWS: usize = 65_536;

/// Reads a Parquet file.
///
/// # Errors
/// See [`read_parquet`]; also a file that cannot be opened.
pub fn load_parquet(path: &Path, schema: &Schema, limits: &Limits) -> Result<Table, DataError> {
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => guarded(file, &name, schema, limits),
        Err(source) => Err(DataError::Io { action: "open", file: name, source }),
    }
}

/// Reads Parquet from memory; `file` is the name that errors show.
///
/// # Errors
/// Bytes that are not Parquet, a column or cell that breaks the contract, no rows, or a limit.
pub fn read_parquet(content: Vec<u8>, file: &str, schema: &Schema, limits: &Limits) -> Result<Table, DataError> {
    guarded(Bytes::from(content), file, schema, limits)
}

/// The `parquet` crate may panic on damaged pages (its decoders index by what the file says), so a panic counts as a
/// damaged file. Nothing of the reader outlives the unwinding, hence the assertion is safe to make.
fn guarded<T: ChunkReader + 'static>(
    input: T,
    file: &str,
    schema: &Schema,
    limits: &Limits,
) -> Result<Table, DataError> {
    catch_unwind(AssertUnwindSafe(|| read(input, file, schema, limits)))
        .unwrap_or_else(|_| Err(DataError::Parquet { file: file.into(), reason: "damaged pages" }))
}

fn read<T: ChunkReader + 'static>(input: T, file: &str, schema: &Schema, limits: &Limits) -> Result<Table, DataError> {
    if input.len() > limits.bytes {
        return Err(DataError::TooLarge { file: file.into(), what: "bytes", limit: limits.bytes });
    }
    let metadata = ArrowReaderMetadata::load(&input, ArrowReaderOptions::new()).map_err(|e| damaged(e, file))?;
    check_metadata(&metadata, file, limits)?;
    let names = metadata.schema().fields().iter().map(|f| f.name().as_str());
    let positions = match_header(schema, file, limits, names)?;
    let projection = ProjectionMask::roots(metadata.metadata().file_metadata().schema_descr(), positions.clone());
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata)
        .with_projection(projection)
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(|e| damaged(e, file))?;
    // A projected batch keeps the file's order: the place of a column is its rank among the projected ones.
    let rank = |p: &usize| positions.iter().filter(|&q| q < p).count();
    let ranks: Vec<usize> = positions.iter().map(rank).collect();
    let mut encoder = Encoder::new(schema, file, limits);
    for batch in reader {
        let batch = batch.map_err(|_| DataError::Parquet { file: file.into(), reason: "damaged pages" })?;
        push_batch(&mut encoder, &batch, &ranks, schema, file)?;
    }
    encoder.finish()
}

fn check_metadata(metadata: &ArrowReaderMetadata, file: &str, limits: &Limits) -> Result<(), DataError> {
    let metadata = metadata.metadata();
    if metadata.file_metadata().num_rows() > i64::try_from(limits.rows).unwrap_or(i64::MAX) {
        return Err(DataError::TooLarge { file: file.into(), what: "rows", limit: limits.rows as u64 });
    }
    let chunks = metadata.row_groups().iter().flat_map(|group| group.columns());
    let known = |c: Compression| matches!(c, Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_));
    if !chunks.into_iter().all(|chunk| known(chunk.compression())) {
        return Err(DataError::Parquet { file: file.into(), reason: "compressed with neither Snappy nor Zstandard" });
    }
    Ok(())
}

fn push_batch(
    encoder: &mut Encoder<'_>,
    batch: &RecordBatch,
    ranks: &[usize],
    schema: &Schema,
    file: &str,
) -> Result<(), DataError> {
    let columns = schema.columns().iter().zip(ranks);
    let columns = columns.map(|(c, &r)| Values::of(c, batch.column(r), file)).collect::<Result<Vec<_>, _>>()?;
    (0..batch.num_rows()).try_for_each(|row| encoder.push(|i| columns[i].cell(row)))
}

/// One column of a batch in the form its kind is read from.
enum Values {
    Numbers(Float64Array),
    Texts(StringArray),
}

impl Values {
    fn of(column: &Column, array: &ArrayRef, file: &str) -> Result<Self, DataError> {
        let mismatch = || DataError::ColumnType {
            file: file.into(),
            column: column.name.clone(),
            found: type_name(array.data_type()),
            wanted: column.kind_name(),
        };
        let values = match &column.kind {
            Kind::Number { .. } if is_numeric(array.data_type()) => Self::numbers(array),
            Kind::Day if array.data_type().is_integer() => Self::numbers(array),
            Kind::Day if *array.data_type() == DataType::Date32 => {
                cast(array, &DataType::Int32).ok().as_ref().and_then(Self::numbers)
            }
            Kind::Category { values } => Self::texts(array, values.iter()),
            Kind::Label { negative, positive } => Self::texts(array, [negative, positive].into_iter()),
            Kind::Person => Self::texts(array, std::iter::empty()),
            Kind::Number { .. } | Kind::Day => None,
        };
        values.ok_or_else(mismatch)
    }

    fn numbers(array: &ArrayRef) -> Option<Self> {
        let array = cast(array, &DataType::Float64).ok()?;
        array.as_any().downcast_ref::<Float64Array>().cloned().map(Values::Numbers)
    }

    fn texts<'a>(array: &ArrayRef, mut declared: impl Iterator<Item = &'a String>) -> Option<Self> {
        let inner = match array.data_type() {
            DataType::Dictionary(_, inner) => inner.as_ref(),
            other => other,
        };
        let readable = inner.is_string() || inner.is_integer() || inner.is_floating() || *inner == DataType::Boolean;
        let array = match inner {
            DataType::Boolean if !declared.any(|v| v == "true") => cast(array, &DataType::UInt8).ok()?,
            _ if readable => array.clone(),
            _ => return None,
        };
        let array = cast(&array, &DataType::Utf8).ok()?;
        array.as_any().downcast_ref::<StringArray>().cloned().map(Values::Texts)
    }

    fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            Values::Numbers(array) if array.is_valid(row) => Cell::Number(array.value(row)),
            Values::Texts(array) if array.is_valid(row) => Cell::Text(array.value(row)),
            _ => Cell::Missing,
        }
    }
}

fn is_numeric(kind: &DataType) -> bool {
    kind.is_numeric() || *kind == DataType::Boolean
}

/// The outermost name only: the types of nested columns spell out field names, which the contract did not declare.
fn type_name(kind: &DataType) -> String {
    let full = format!("{kind:?}");
    full.split(['(', ' ', '{']).next().unwrap_or_default().to_string()
}

/// The crate's messages can quote what it read, so only their kind is passed on.
fn damaged(error: ParquetError, file: &str) -> DataError {
    let reason = match error {
        ParquetError::NYI(_) => "it uses a feature this reader does not support",
        ParquetError::EOF(_) => "it ends too early",
        _ => "damaged or missing metadata",
    };
    DataError::Parquet { file: file.into(), reason }
}

/// Writes a table to a Parquet file (Zstandard) under the contract's column names: numbers as doubles, days as
/// unsigned integers, categories and labels as text.
///
/// # Errors
/// The table does not have the contract's columns, or the file cannot be written.
pub fn save_parquet(path: &Path, schema: &Schema, table: &Table) -> Result<(), DataError> {
    let content = write_parquet(&path.display().to_string(), schema, table)?;
    std::fs::write(path, content).map_err(|source| DataError::Io {
        action: "write",
        file: path.display().to_string(),
        source,
    })
}

/// The bytes of such a file; `file` is the name that errors show. Reading them back under the same contract gives the same
/// table.
///
/// # Errors
/// The table does not have the contract's columns.
pub fn write_parquet(file: &str, schema: &Schema, table: &Table) -> Result<Vec<u8>, DataError> {
    let decoder = Decoder::new(schema, table)?;
    let failed = |_| DataError::Write { file: file.into(), reason: "the Parquet encoder refused the table" };
    let fields: Vec<Field> = schema.columns().iter().map(field).collect();
    let layout = Arc::new(ArrowSchema::new(fields));
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_compression(Compression::ZSTD(Default::default()))
        .build();
    let mut content = vec![];
    let mut writer = ArrowWriter::try_new(&mut content, layout.clone(), Some(properties)).map_err(failed)?;
    for start in (0..table.rows()).step_by(WRITE_ROWS) {
        let rows = start..(start + WRITE_ROWS).min(table.rows());
        let columns = (0..schema.columns().len()).map(|i| column(schema, table, &decoder, i, rows.clone())).collect();
        let batch = RecordBatch::try_new(layout.clone(), columns).map_err(|e| failed(e.into()))?;
        writer.write(&batch).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    Ok(content)
}

fn field(column: &Column) -> Field {
    let kind = match column.kind {
        Kind::Number { .. } => DataType::Float64,
        Kind::Day => DataType::UInt32,
        Kind::Category { .. } | Kind::Label { .. } | Kind::Person => DataType::Utf8,
    };
    Field::new(&column.name, kind, matches!(column.kind, Kind::Category { .. }))
}

fn column(
    schema: &Schema,
    table: &Table,
    decoder: &Decoder<'_>,
    column: usize,
    rows: std::ops::Range<usize>,
) -> ArrayRef {
    match schema.columns()[column].kind {
        Kind::Number { .. } => Arc::new(Float64Array::from_iter_values(rows.map(|r| decoder.number(r, column)))),
        Kind::Day => Arc::new(UInt32Array::from_iter_values(table.days()[rows].iter().copied())),
        Kind::Category { .. } | Kind::Label { .. } | Kind::Person => {
            Arc::new(rows.map(|r| decoder.text(r, column)).collect::<StringArray>())
        }
    }
}
