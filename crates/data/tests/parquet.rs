//! The Parquet reader and writer, and the fuzz entry points.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::Int32Type;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use privity_data::csv::write_csv;
use privity_data::fuzz::{fuzz_contract, fuzz_csv, fuzz_parquet, fuzz_schema};
use privity_data::parquet::{load_parquet, read_parquet, save_parquet, write_parquet};
use privity_data::{DataError, ExtraColumns, Limits, Schema, Table};
use proptest::prelude::*;

fn parquet(columns: Vec<(&str, ArrayRef)>, compression: Compression) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut content = vec![];
    let mut writer = ArrowWriter::try_new(&mut content, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    content
}

fn amounts() -> ArrayRef {
    Arc::new(Float32Array::from(vec![1.5, 100.0, 0.0]))
}
fn channels() -> ArrayRef {
    Arc::new(StringArray::from(vec!["card", "online", "card"]))
}
fn days() -> ArrayRef {
    Arc::new(Int16Array::from(vec![0, 7, 8]))
}
fn labels() -> ArrayRef {
    Arc::new(Int64Array::from(vec![0, 1, 1]))
}

fn columns() -> Vec<(&'static str, ArrayRef)> {
    vec![("amount", amounts()), ("channel", channels()), ("day", days()), ("fraud", labels())]
}

fn read(content: Vec<u8>) -> Result<Table, DataError> {
    read_parquet(content, "bank.parquet", &fuzz_schema().unwrap(), &Limits::default())
}

fn read_with(name: &'static str, array: ArrayRef) -> Result<Table, DataError> {
    let mut columns = columns();
    columns.iter_mut().find(|c| c.0 == name).unwrap().1 = array;
    read(parquet(columns, Compression::SNAPPY))
}

#[test]
fn reads_the_usual_types() {
    let expected = read(parquet(columns(), Compression::UNCOMPRESSED)).unwrap();
    assert_eq!(expected.row(1), [100.0, 0.0, 1.0]);
    assert_eq!((expected.labels(), expected.days()), (&[0.0, 1.0, 1.0][..], &[0, 7, 8][..]));
    let mut reordered = columns();
    reordered.reverse();
    reordered.insert(1, ("extra", channels()));
    assert_eq!(read(parquet(reordered, Compression::ZSTD(Default::default()))).unwrap(), expected);
    let decimals = Decimal128Array::from(vec![150, 10_000, 0]).with_precision_and_scale(10, 2).unwrap();
    assert_eq!(read_with("amount", Arc::new(decimals)).unwrap(), expected);
    let dictionary: DictionaryArray<Int32Type> = ["card", "online", "card"].into_iter().collect();
    assert_eq!(read_with("channel", Arc::new(dictionary)).unwrap(), expected);
    let large = LargeStringArray::from(vec!["card", "online", "card"]);
    assert_eq!(read_with("channel", Arc::new(large)).unwrap(), expected);
    assert_eq!(read_with("day", Arc::new(Date32Array::from(vec![0, 7, 8]))).unwrap(), expected);
    assert_eq!(read_with("fraud", Arc::new(BooleanArray::from(vec![false, true, true]))).unwrap(), expected);
    assert_eq!(read_with("fraud", Arc::new(Float64Array::from(vec![0.0, 1.0, 1.0]))).unwrap(), expected);
    assert_eq!(read_with("fraud", Arc::new(StringArray::from(vec!["0", "1", "1"]))).unwrap(), expected);
    let whole = read_with("amount", Arc::new(UInt8Array::from(vec![1, 100, 0]))).unwrap();
    assert_eq!((0..3).map(|r| whole.row(r)[0]).collect::<Vec<_>>(), [1.0, 100.0, 0.0]);
}

#[test]
fn cell_faults_name_row_and_column() {
    let cases: Vec<(&'static str, ArrayRef, &str)> = vec![
        ("amount", Arc::new(Float64Array::from(vec![Some(1.0), None, Some(1.0)])), "is missing"),
        ("amount", Arc::new(Float64Array::from(vec![1.0, f64::NAN, 1.0])), "not a finite"),
        ("amount", Arc::new(Int32Array::from(vec![1, -987, 1])), "below the declared minimum"),
        ("channel", Arc::new(StringArray::from(vec!["card", "secret", "card"])), "none of the declared"),
        ("day", Arc::new(Int32Array::from(vec![1, -987, 1])), "whole, non-negative"),
        ("fraud", Arc::new(Int32Array::from(vec![1, 987, 1])), "neither of the two"),
    ];
    for (column, array, expected) in cases {
        let message = read_with(column, array).unwrap_err().to_string();
        assert!(message.contains(&format!("row 2, column `{column}` of bank.parquet")), "{message}");
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("987") && !message.contains("secret"), "{message}");
    }
}

#[test]
fn types_that_do_not_fit_are_named() {
    let text = read_with("amount", channels()).unwrap_err().to_string();
    assert!(text.contains("column `amount` of bank.parquet has the Parquet type Utf8"), "{text}");
    let nested = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)]), None, None]);
    let nested = read_with("channel", Arc::new(nested)).unwrap_err().to_string();
    assert!(nested.contains("type List, which cannot be read as a category"), "{nested}");
    let seconds = TimestampSecondArray::from(vec![1, 2, 3]);
    assert!(matches!(read_with("day", Arc::new(seconds)), Err(DataError::ColumnType { .. })));
}

#[test]
fn header_limits_and_damage() {
    let content = parquet(columns(), Compression::SNAPPY);
    let schema = fuzz_schema().unwrap();
    let with = |limits: Limits| read_parquet(content.clone(), "bank.parquet", &schema, &limits).unwrap_err();
    assert!(matches!(with(Limits { bytes: 10, ..Limits::default() }), DataError::TooLarge { what: "bytes", .. }));
    assert!(matches!(with(Limits { rows: 2, ..Limits::default() }), DataError::TooLarge { what: "rows", .. }));
    assert!(matches!(with(Limits { columns: 3, ..Limits::default() }), DataError::TooLarge { what: "columns", .. }));
    assert!(matches!(with(Limits { cells: 8, ..Limits::default() }), DataError::TooLarge { what: "cells", .. }));
    let strict = Schema::new(schema.columns().to_vec(), ExtraColumns::Reject).unwrap();
    let mut extra = columns();
    extra.push(("more", days()));
    let unknown = read_parquet(parquet(extra, Compression::SNAPPY), "f", &strict, &Limits::default());
    assert!(matches!(unknown, Err(DataError::UnknownColumn { position: 5, .. })));
    let lacking = read(parquet(columns()[1..].to_vec(), Compression::SNAPPY));
    assert!(matches!(lacking, Err(DataError::MissingColumn { .. })));
    assert!(matches!(read(vec![]), Err(DataError::Parquet { .. })));
    assert!(matches!(read(content[..content.len() - 9].to_vec()), Err(DataError::Parquet { .. })));
    let empty = columns().into_iter().map(|(n, a)| (n, a.slice(0, 0))).collect();
    assert!(matches!(read(parquet(empty, Compression::SNAPPY)), Err(DataError::Empty { what: "rows", .. })));
}

#[test]
fn what_is_written_reads_back_exactly_over_many_batches() {
    let schema = fuzz_schema().unwrap();
    let rows = 70_000;
    let features = (0..rows).flat_map(|r| [r as f64 / 1e3, f64::from(r % 3 == 1), f64::from(r % 3 == 2)]).collect();
    let labels = (0..rows).map(|r| f64::from(r % 7 == 0)).collect();
    let table = Table::new(schema.feature_names(), features, labels, (0..rows as u32).collect()).unwrap();
    let zeros =
        Schema::from_toml(&schema.to_toml().replace("kind = \"category\"", "kind = \"category\"\nmissing = \"zeros\""));
    let zeros = zeros.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.parquet");
    save_parquet(&path, &zeros, &table).unwrap();
    assert_eq!(load_parquet(&path, &zeros, &Limits::default()).unwrap(), table);
    assert!(matches!(load_parquet(&path, &schema, &Limits::default()), Err(DataError::Cell { row: 1, .. })));
    assert!(load_parquet(&folder.path().join("none"), &schema, &Limits::default()).is_err());
    let other = Table::new(vec!["x".into()], vec![1.0], vec![], vec![]).unwrap();
    assert!(matches!(write_parquet("f", &schema, &other), Err(DataError::Shape { .. })));
}

/// Valid files for the mutations to start from.
fn seeds() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let schema = fuzz_schema().unwrap();
    let table = read(parquet(columns(), Compression::SNAPPY)).unwrap();
    let mut csv = vec![];
    write_csv(&mut csv, "f", &schema, &table).unwrap();
    (csv, write_parquet("f", &schema, &table).unwrap(), schema.to_toml().into_bytes())
}

/// Overwrites, inserts and cuts at random places.
fn mutate(bytes: &mut Vec<u8>, edits: &[(u8, u32, u8)]) {
    for &(what, at, byte) in edits {
        let at = at as usize % bytes.len().max(1);
        match what % 4 {
            0 | 1 if at < bytes.len() => bytes[at] = byte,
            2 => bytes.insert(at.min(bytes.len()), byte),
            _ if what >= 250 => bytes.truncate(at),
            _ if at < bytes.len() => drop(bytes.remove(at)),
            _ => {}
        }
    }
}

#[test]
fn the_unmutated_files_are_accepted() {
    let (csv, parquet, contract) = seeds();
    assert!(fuzz_csv(&csv) && fuzz_parquet(&parquet) && fuzz_contract(&contract));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_bytes_end_in_a_table_or_an_error(edits in prop::collection::vec(any::<(u8, u32, u8)>(), 1..8)) {
        let (mut csv, mut parquet, mut contract) = seeds();
        mutate(&mut csv, &edits);
        mutate(&mut parquet, &edits);
        mutate(&mut contract, &edits);
        // Nothing to assert on the verdict: returning at all, without a panic or an abort, is the property.
        let verdicts = [fuzz_csv(&csv), fuzz_parquet(&parquet), fuzz_contract(&contract)];
        prop_assert_eq!(verdicts.len(), 3);
    }
}
