//! The CSV reader and writer.

use privity_data::csv::{load_csv, read_csv, save_csv, write_csv};
use privity_data::{DataError, Limits, Schema, Table};

const CONTRACT: &str = r#"
[[columns]]
name = "amount"
kind = "number"
min = 0
max = 100
[[columns]]
name = "note"
kind = "number"
missing = -1
[[columns]]
name = "channel"
kind = "category"
values = ["card", "on, line"]
missing = "zeros"
[[columns]]
name = "day"
kind = "day"
[[columns]]
name = "fraud"
kind = "label"
"#;

const GOOD: &str = "amount,note,channel,day,fraud\n1.5,2,card,0,0\n100,,\"on, line\",7,1\n0,-3e2,,8,1.0\n";

fn schema() -> Schema {
    Schema::from_toml(CONTRACT).unwrap()
}

fn read(bytes: &[u8]) -> Result<Table, DataError> {
    read_csv(bytes, "bank.csv", &schema(), &Limits::default())
}

fn fault(text: &str) -> String {
    read(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn encodes_numbers_categories_days_and_labels() {
    let table = read(GOOD.as_bytes()).unwrap();
    assert_eq!((table.rows(), table.cols()), (3, 4));
    assert_eq!(table.row(0), [1.5, 2.0, 1.0, 0.0]);
    assert_eq!(table.row(1), [100.0, -1.0, 0.0, 1.0]);
    assert_eq!(table.row(2), [0.0, -300.0, 0.0, 0.0]);
    assert_eq!(table.labels(), [0.0, 1.0, 1.0]);
    assert_eq!(table.days(), [0, 7, 8]);
}

#[test]
fn finds_columns_by_name_in_any_order_and_dialect() {
    let expected = read(GOOD.as_bytes()).unwrap();
    let reordered = "fraud,day,channel,note,amount\r\n0,0,card,2,1.5\r\n1,7,\"on, line\",,100\r\n1,8,,-300,0\r\n";
    assert_eq!(read(reordered.as_bytes()).unwrap(), expected);
    let padded = GOOD.replace("amount,", " amount ,").replace("1.5,", " 1.5 ,");
    assert_eq!(read(padded.as_bytes()).unwrap(), expected);
    let marked = [b"\xef\xbb\xbf", GOOD.as_bytes()].concat();
    assert_eq!(read(&marked).unwrap(), expected);
}

#[test]
fn header_faults_are_named_without_showing_undeclared_names() {
    assert!(fault(&GOOD.replace("note,", "notes,")).contains("column 2 of bank.csv is not in the schema"));
    assert!(fault(&GOOD.replace("note,", "amount,")).contains("`amount` twice"));
    assert!(fault("amount,channel,day,fraud\n1,card,0,0\n").contains("lacks the column `note`"));
    let headless = fault("4711,secretname,card,0,0\n");
    assert!(headless.contains("column 1") && !headless.contains("4711"), "{headless}");
    assert!(matches!(read(b""), Err(DataError::Empty { what: "header", .. })));
    assert!(matches!(read(b"amount,note,channel,day,fraud\n"), Err(DataError::Empty { what: "rows", .. })));
    let ignoring = Schema::from_toml(&format!("extra_columns = \"ignore\"\n{CONTRACT}")).unwrap();
    let extra = "x,amount,note,channel,day,fraud,x\n?,1.5,2,card,0,0,?\n";
    let table = read_csv(extra.as_bytes(), "bank.csv", &ignoring, &Limits::default()).unwrap();
    assert_eq!(table.row(0), [1.5, 2.0, 1.0, 0.0]);
}

#[test]
fn cell_faults_name_row_and_column_and_never_the_content() {
    let row = |row: &str| format!("amount,note,channel,day,fraud\n1,1,card,1,1\n{row}\n");
    let cases = [
        ("-0.123,1,card,1,0", "amount", "below the declared minimum"),
        ("123.456,1,card,1,0", "amount", "above the declared maximum"),
        ("NaN,1,card,1,0", "amount", "not a finite"),
        ("-inf,1,card,1,0", "amount", "not a finite"),
        ("1,1e999,card,1,0", "note", "not a finite"),
        ("1,1234 EUR,card,1,0", "note", "not a number"),
        (" ,1,card,1,0", "amount", "is missing"),
        ("1,1,Card,1,0", "channel", "none of the declared categories"),
        ("1,1,card,1.25,0", "day", "whole, non-negative"),
        ("1,1,card,-77,0", "day", "whole, non-negative"),
        ("1,1,card,1,2345", "fraud", "neither of the two"),
        ("1,1,card,1,", "fraud", "is missing"),
    ];
    for (text, column, expected) in cases {
        let message = fault(&row(text));
        assert!(message.contains(&format!("row 2, column `{column}` of bank.csv")), "{message}");
        assert!(message.contains(expected), "{message}");
        for content in ["0.123", "123.4", "1e999", "EUR", "NaN", "-inf", "Card", "1.25", "77", "2345"] {
            assert!(!message.contains(content), "{message}");
        }
    }
}

#[test]
fn broken_records_are_named() {
    let ragged = fault("amount,note,channel,day,fraud\n1,1,card,1,1\n1,1,card,1\n");
    assert!(ragged.contains("row 2 of bank.csv has 4 fields and the header 5"), "{ragged}");
    assert!(matches!(
        read(b"amount,note,channel,day,fraud\n1,1,c\xffrd,1,1\n"),
        Err(DataError::NotUtf8 { row: 1, .. })
    ));
    assert!(matches!(read(b"amo\xffunt,note,channel,day,fraud\n"), Err(DataError::NotUtf8 { row: 0, .. })));
    assert!(matches!(read(b"amount,note,channel,day,fraud\n1,1,\"card,1,1\n"), Err(DataError::RaggedRow { .. })));
}

#[test]
fn limits_hold() {
    let with = |limits: Limits| read_csv(GOOD.as_bytes(), "bank.csv", &schema(), &limits);
    let size = GOOD.len() as u64;
    assert!(with(Limits { bytes: size, rows: 3, columns: 5, cells: 12 }).is_ok());
    let what = |limits| match with(limits) {
        Err(DataError::TooLarge { what, .. }) => what,
        other => panic!("expected a limit, got {other:?}"),
    };
    assert_eq!(what(Limits { bytes: size - 1, ..Limits::default() }), "bytes");
    assert_eq!(what(Limits { rows: 2, ..Limits::default() }), "rows");
    assert_eq!(what(Limits { columns: 4, ..Limits::default() }), "columns");
    assert_eq!(what(Limits { cells: 11, ..Limits::default() }), "cells");
}

#[test]
fn what_is_written_reads_back_exactly() {
    let table = read(GOOD.as_bytes()).unwrap();
    let mut bytes = vec![];
    write_csv(&mut bytes, "out.csv", &schema(), &table).unwrap();
    assert_eq!(read(&bytes).unwrap(), table);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.csv");
    save_csv(&path, &schema(), &table).unwrap();
    assert_eq!(load_csv(&path, &schema(), &Limits::default()).unwrap(), table);
    let odd = vec![0.1 + 0.2, f64::MIN_POSITIVE, 1.0, 0.0];
    let exact = Table::new(schema().feature_names(), odd, vec![1.0], vec![u32::MAX]).unwrap();
    bytes.clear();
    write_csv(&mut bytes, "out.csv", &schema(), &exact).unwrap();
    assert_eq!(read(&bytes).unwrap(), exact);
    let unlabelled = Table::new(schema().feature_names(), vec![0.0; 4], vec![], vec![0]).unwrap();
    assert!(matches!(write_csv(vec![], "out.csv", &schema(), &unlabelled), Err(DataError::Shape { .. })));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let missing = load_csv("no/such/file.csv".as_ref(), &schema(), &Limits::default()).unwrap_err();
    assert!(missing.to_string().starts_with("cannot open no/such/file.csv"), "{missing}");
}
