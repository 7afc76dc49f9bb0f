//! The contract: parsing, validation, digest.

use privity_data::schema::MAX_COLUMNS;
use privity_data::{Column, ExtraColumns, Kind, Missing, Schema, SchemaError};

const CONTRACT: &str = r#"
extra_columns = "ignore"
[[columns]]
name = "amount"
kind = "number"
min = 0
max = 10000.5
missing = 0
[[columns]]
name = "channel"
kind = "category"
values = ["card", "online"]
missing = "zeros"
[[columns]]
name = "when"
kind = "day"
[[columns]]
name = "fraud"
kind = "label"
values = ["no", "yes"]
"#;

#[test]
fn parses_every_kind_and_writes_it_back() {
    let schema = Schema::from_toml(CONTRACT).unwrap();
    assert_eq!(schema.extra_columns(), ExtraColumns::Ignore);
    assert_eq!(schema.feature_names(), ["amount", "channel=card", "channel=online"]);
    assert_eq!(schema.columns()[0].missing, Missing::Value(0.0));
    assert_eq!(schema.feature_ranges()[0], (Some(0.0), Some(10000.5)));
    assert!(schema.has_label());
    assert_eq!(schema.columns()[3].kind, Kind::Label { negative: "no".into(), positive: "yes".into() });
    let again = Schema::from_toml(&schema.to_toml()).unwrap();
    assert_eq!(again, schema);
    assert_eq!(again.digest(), schema.digest());
}

#[test]
fn digest_ignores_layout_and_notices_every_agreed_thing() {
    let digest = |text: &str| Schema::from_toml(text).unwrap().digest();
    let base = digest(CONTRACT);
    assert_eq!(digest(&CONTRACT.replace("min = 0\n", "# lower end\nmin =   0.0\n")), base);
    let changes = [
        ("ignore", "reject"),
        ("amount", "amounts"),
        ("min = 0", "min = -1"),
        ("10000.5", "10000.25"),
        ("missing = 0", "missing = 1"),
        ("\"zeros\"", "\"reject\""),
        (r#""card", "online""#, r#""online", "card""#),
        (r#""no", "yes""#, r#""yes", "no""#),
    ];
    for (from, to) in changes {
        assert_ne!(digest(&CONTRACT.replace(from, to)), base, "{from} -> {to}");
    }
}

#[test]
fn digest_is_pinned_so_that_releases_agree() {
    let schema = Schema::new(vec![Column::number("x", 0.0, 1.0), Column::label("y")], ExtraColumns::Reject).unwrap();
    assert_eq!(schema.digest().to_hex().as_str(), "0b2c50edfeef34454acf287339a73b6e23f6738f186812baa69a1edaa0cf2679");
}

#[test]
fn refuses_contradictory_contracts() {
    let faults = [
        ("min = 0\n", "min = 20000\n", "min is above max"),
        ("missing = 0", "missing = -3", "inside min and max"),
        ("missing = 0", "missing = \"mean\"", "differ between parties"),
        ("missing = 0", "missing = \"zeros\"", "zeros is for categories"),
        ("missing = \"zeros\"", "missing = 0", "\"reject\" or \"zeros\""),
        ("min = 0\n", "min = nan\n", "finite"),
        (r#"["card", "online"]"#, r#"["card", "card"]"#, "distinct"),
        (r#"["card", "online"]"#, "[]", "distinct"),
        (r#"["no", "yes"]"#, r#"["no"]"#, "exactly two"),
        ("kind = \"day\"", "kind = \"day\"\nmin = 3", "only a number has min"),
        ("kind = \"day\"", "kind = \"day\"\nvalues = []", "only a category or a label"),
        ("kind = \"day\"", "kind = \"day\"\nmissing = 1", "may not be missing"),
        ("kind = \"day\"", "kind = \"date\"", "unknown variant"),
        ("kind = \"day\"", "kind = \"label\"", "more than one label"),
        ("kind = \"day\"", "kind = \"day\"\ncolour = 1", "unknown field"),
        ("\"when\"", "\"amount\"", "`amount` is empty, padded"),
        ("\"when\"", "\" when\"", "padded"),
        ("\"amount\"", "\"channel=card\"", "`channel=card`"),
        ("extra_columns", "extra", "unknown field"),
    ];
    for (from, to, expected) in faults {
        assert!(CONTRACT.contains(from), "{from}");
        let message = Schema::from_toml(&CONTRACT.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(message.contains(expected), "{from} -> {to}: {message}");
    }
}

#[test]
fn refuses_nothing_to_learn_from_and_too_much() {
    let only_label = Schema::new(vec![Column::label("y")], ExtraColumns::Reject);
    assert_eq!(only_label.unwrap_err(), SchemaError::NoFeatures);
    let many = (0..=MAX_COLUMNS).map(|i| Column::number(&format!("c{i}"), 0.0, 1.0)).collect();
    assert!(matches!(Schema::new(many, ExtraColumns::Reject), Err(SchemaError::TooMany { what: "columns", .. })));
    let values: Vec<String> = (0..=MAX_COLUMNS).map(|i| i.to_string()).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let wide = Schema::new(vec![Column::category("c", &values)], ExtraColumns::Reject);
    assert!(matches!(wide, Err(SchemaError::TooMany { .. })));
}
