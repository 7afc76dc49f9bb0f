//! CSV in and out.
//!
//! A header is required; columns are found by name. Comma-separated, `"` quotes, UTF-8 with or without a byte-order
//! mark. An empty cell is a missing value.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use csv::{ByteRecord, ErrorKind};

use crate::encode::{Cell, Decoder, Encoder, match_header};
use crate::{DataError, Limits, Schema, Table};

/// Reads a CSV file.
///
/// # Errors
/// See [`read_csv`]; also a file that cannot be opened.
pub fn load_csv(path: &Path, schema: &Schema, limits: &Limits) -> Result<Table, DataError> {
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => read_csv(file, &name, schema, limits),
        Err(source) => Err(DataError::Io { action: "open", file: name, source }),
    }
}

/// Reads CSV from a stream; `file` is the name that errors show.
///
/// # Errors
/// The header or a cell breaks the contract, ragged rows, bytes that are not UTF-8, no rows, a limit, or a failing
/// stream. Rows in errors are counted from 1, header excluded.
pub fn read_csv(input: impl Read, file: &str, schema: &Schema, limits: &Limits) -> Result<Table, DataError> {
    let bounded = input.take(limits.bytes.saturating_add(1));
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(Bounded { inner: bounded, full: false });
    let read = read_records(&mut reader, file, schema, limits);
    // Checked first: a file cut at the limit also shows a broken last row.
    if reader.get_ref().full {
        return Err(DataError::TooLarge { file: file.into(), what: "bytes", limit: limits.bytes });
    }
    read
}

/// Notes when the stream had more bytes than allowed.
struct Bounded<R> {
    inner: std::io::Take<R>,
    full: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.full = self.inner.limit() == 0;
        Ok(n)
    }
}

fn read_records<R: Read>(
    reader: &mut csv::Reader<R>,
    file: &str,
    schema: &Schema,
    limits: &Limits,
) -> Result<Table, DataError> {
    let header = reader.byte_headers().map_err(|e| read_error(e, file))?.clone();
    if header.is_empty() {
        return Err(DataError::Empty { file: file.into(), what: "header" });
    }
    let names = texts(&header).ok_or(DataError::NotUtf8 { file: file.into(), row: 0 })?;
    let positions = match_header(schema, file, limits, names.into_iter())?;
    let mut encoder = Encoder::new(schema, file, limits);
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|e| read_error(e, file))? {
        let row = encoder.rows() + 1;
        if record.len() != header.len() {
            return Err(DataError::RaggedRow { file: file.into(), row, expected: header.len(), found: record.len() });
        }
        let cells = texts(&record).ok_or(DataError::NotUtf8 { file: file.into(), row })?;
        encoder.push(|i| Cell::Text(cells[positions[i]]))?;
    }
    encoder.finish()
}

fn texts(record: &ByteRecord) -> Option<Vec<&str>> {
    record.iter().map(|field| std::str::from_utf8(field).ok()).collect()
}

/// The `csv` crate's own message is not passed on for anything but the operating system's failures.
fn read_error(error: csv::Error, file: &str) -> DataError {
    let source = match error.into_kind() {
        ErrorKind::Io(source) => source,
        _ => std::io::Error::from(std::io::ErrorKind::InvalidData),
    };
    DataError::Io { action: "read", file: file.into(), source }
}

/// Writes a table to a CSV file under the contract's column names; one-hot features become their category again.
///
/// # Errors
/// See [`write_csv`]; also a file that cannot be created.
pub fn save_csv(path: &Path, schema: &Schema, table: &Table) -> Result<(), DataError> {
    let name = path.display().to_string();
    match File::create(path) {
        Ok(file) => write_csv(file, &name, schema, table),
        Err(source) => Err(DataError::Io { action: "create", file: name, source }),
    }
}

/// Writes CSV to a stream. Reading it back under the same contract gives the same table.
///
/// # Errors
/// The table does not have the contract's columns, or the stream fails.
pub fn write_csv(output: impl Write, file: &str, schema: &Schema, table: &Table) -> Result<(), DataError> {
    let decoder = Decoder::new(schema, table)?;
    let mut writer = csv::Writer::from_writer(output);
    let failed = |e: csv::Error| match e.into_kind() {
        ErrorKind::Io(source) => DataError::Io { action: "write", file: file.into(), source },
        _ => DataError::Write { file: file.into(), reason: "a record has the wrong length" },
    };
    writer.write_record(schema.columns().iter().map(|c| c.name.as_str())).map_err(failed)?;
    for row in 0..table.rows() {
        let cells = (0..schema.columns().len()).map(|i| decoder.text(row, i).unwrap_or_default());
        writer.write_record(cells).map_err(failed)?;
    }
    writer.flush().map_err(|source| DataError::Io { action: "write", file: file.into(), source })
}
