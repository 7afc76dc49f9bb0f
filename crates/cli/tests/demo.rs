//! What a user would run, end to end: three processes over TLS.

use assert_cmd::cargo::cargo_bin;
use std::process::Command;

fn demo(case: &str, args: &[&str]) -> serde_json::Value {
    let output = Command::new(cargo_bin("privity")).args(["demo", case, "--json"]).args(args).output();
    let output = output.expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn plan_and_reality_agree_to_the_byte() {
    let summary = demo("breast-cancer", &["--epochs", "3"]);
    assert_eq!(summary["bytes_sent"], summary["bytes_planned"]);
    assert_eq!(summary["rounds"], summary["rounds_planned"]);
    assert!(summary["secure"]["auc"].as_f64().unwrap() > 0.95);
}

#[test]
fn a_helper_joins_where_a_party_may_deviate() {
    let summary = demo("breast-cancer", &["--epochs", "2", "--adversary", "active", "--exact", "--model", "mlp"]);
    assert_eq!(summary["adversary"], "active");
    assert_eq!(summary["parties"].as_array().map(Vec::len), Some(4));
    assert_eq!(summary["bytes_sent"], summary["bytes_planned"]);
    assert_eq!(summary["rounds"], summary["rounds_planned"]);
    assert_eq!(summary["secure"], summary["twin"]);
}

#[test]
fn exact_mode_equals_the_twin() {
    let summary = demo("breast-cancer", &["--epochs", "2", "--exact", "--model", "mlp"]);
    assert_eq!(summary["secure"], summary["twin"]);
}

#[test]
fn banks_train_on_generated_payments_split_in_time() {
    let summary = demo("fraud", &["--rows", "3000", "--epochs", "2"]);
    assert_eq!(summary["bytes_sent"], summary["bytes_planned"]);
    assert_eq!(summary["rounds"], summary["rounds_planned"]);
    let figure = |of: &str, name: &str| summary[of][name].as_f64().expect("a number");
    for name in ["auc", "average_precision"] {
        assert!((figure("secure", name) - figure("twin", name)).abs() < 0.02, "{name}: {summary}");
    }
    assert!(figure("secure", "auc") > figure("pooled", "auc"), "joint counts help: {summary}");
    assert_eq!(summary["alone"].as_array().map(Vec::len), Some(3));
    let refused = Command::new(cargo_bin("privity")).args(["demo", "breast-cancer", "--rows", "5"]).output();
    assert_eq!(refused.expect("the program starts").status.code(), Some(2));
}

#[test]
fn benchmarks_measure_what_is_declared() {
    let output = Command::new(cargo_bin("privity"))
        .args(["bench", "--work", "W6", "--batch", "16", "--runs", "5", "--json"])
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON line");
    let sent: u64 = line["bytes_sent"].as_array().unwrap().iter().map(|b| b.as_u64().unwrap()).sum();
    assert_eq!(sent, line["bytes_declared"].as_u64().unwrap());
    assert_eq!(line["rounds_declared"], 21);
}
