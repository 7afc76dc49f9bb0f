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
fn two_owners_train_without_anybody_else() {
    let summary = demo("breast-cancer", &["--epochs", "1", "--adversary", "one-of-two"]);
    assert_eq!(summary["protocol"], "gmw");
    assert_eq!(summary["parties"].as_array().map(Vec::len), Some(2));
    assert_eq!(summary["bytes_sent"], summary["bytes_planned"]);
    assert_eq!(summary["rounds"], summary["rounds_planned"]);
    let auc = |of: &str| summary[of]["auc"].as_f64().expect("a number");
    assert!(auc("secure") > 0.95 && (auc("secure") - auc("twin")).abs() < 1e-3, "{summary}");
    let refused = Command::new(cargo_bin("privity")).args(["demo", "fraud", "--adversary", "one-of-two"]).output();
    assert_eq!(refused.expect("the program starts").status.code(), Some(2));
}

#[test]
fn a_dealer_joins_where_all_but_one_may_deviate() {
    let args = ["--epochs", "2", "--adversary", "all-but-one-active", "--exact", "--model", "mlp"];
    let summary = demo("breast-cancer", &args);
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
fn public_models_are_made_while_the_secret_one_is_trained() {
    let kept = tempfile::tempdir().expect("a scratch directory");
    let folder = kept.path().join("kept");
    let keep = folder.to_str().expect("a plain path");
    let args = ["--rows", "4000", "--epochs", "2", "--distil-every", "1", "--adversary", "active", "--keep", keep];
    let summary = demo("fraud", &args);
    assert_eq!(summary["bytes_sent"], summary["bytes_planned"]);
    assert_eq!(summary["rounds"], summary["rounds_planned"]);
    let public = summary["public"].as_array().expect("a list");
    assert_eq!(public.iter().map(|p| p[0].as_u64()).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert!(public[0][1].as_str().is_some_and(|promise| promise.contains("epsilon 8")), "{summary}");
    for party in ["bank-a", "helper"] {
        for file in ["public-000001.onnx", "public-000002.safetensors", "releases.jsonl"] {
            assert!(folder.join(party).join("out").join(file).exists(), "{file} at {party}");
        }
    }
    // All parties made the same of the same answers.
    let model = |party: &str| std::fs::read(folder.join(party).join("out/public-000002.json")).expect("a model");
    assert_eq!(model("bank-b"), model("helper"));
    // The secret model itself knows more than noisy votes of few customers, and tells it if all agree.
    let summary = demo("fraud", &["--rows", "4000", "--epochs", "4", "--distil-every", "4", "--no-privacy"]);
    let auc = |figures: &serde_json::Value| figures["auc"].as_f64().expect("a number");
    assert!(auc(&summary["public"][0][2]) > auc(&summary["secure"]) - 0.08, "{}", summary["public"]);
    assert!(summary["public"][0][1].as_str().is_some_and(|promise| promise.contains("no privacy guarantee")));
    let refused = Command::new(cargo_bin("privity")).args(["demo", "breast-cancer", "--distil-every", "1"]).output();
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
