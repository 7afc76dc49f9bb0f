//! `privity policy`, as an officer uses it.

use assert_cmd::Command;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

fn privity(folder: &Path, args: &[&str]) -> std::process::Output {
    let mut command = Command::cargo_bin("privity").expect("built");
    command.current_dir(folder).args(args).output().expect("runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The seed of the fuzzer, written now.
fn manifest() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let mut value: serde_json::Value =
        serde_json::from_slice(include_bytes!("../../../fuzz/corpus/manifest/small")).expect("JSON");
    value["created"] = now.into();
    value["expires"] = (now + 7200).into();
    value["release"]["until"] = (now + 7200).into();
    value.to_string()
}

#[test]
fn rules_are_checked_and_say_what_they_say_to_a_manifest() {
    let folder = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let shown = privity(folder.path(), &["policy", "show-default"]);
    assert!(shown.status.success(), "{shown:?}");
    write("default.cedar", &text(&shown.stdout));
    write("job.json", &manifest());

    let listed = privity(folder.path(), &["policy", "check", "default.cedar"]);
    assert!(listed.status.success(), "{listed:?}");
    assert!(text(&listed.stdout).contains("others-learn permits if 2 approve"), "{listed:?}");

    let args = ["policy", "check", "default.cedar", "--manifest", "job.json", "--organisation", "bank-b"];
    let decided = privity(folder.path(), &args);
    let said = text(&decided.stdout);
    assert!(decided.status.success(), "{decided:?}");
    assert!(said.starts_with("people: approved if 2 different persons do"), "{said}");
    assert!(said.contains("by rule others-learn") && said.contains("model goes to: bank-a"), "{said}");
    let json = privity(folder.path(), &[&args[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!((&json["decision"]["outcome"], &json["decision"]["approvers"]), (&"people".into(), &2.into()));

    write("bad.cedar", "@id(\"x\")\npermit (principal, action, resource)\nwhen { context.colour == 1 };\n");
    let refused = privity(folder.path(), &["policy", "check", "bad.cedar"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(text(&refused.stderr).contains("bad.cedar: policy, line 3"), "{refused:?}");
    write("old.json", include_str!("../../../fuzz/corpus/manifest/small"));
    let refused = privity(folder.path(), &["policy", "check", "default.cedar", "--manifest", "old.json"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(text(&refused.stderr).contains("expires is over"), "{refused:?}");
}
