//! `privity audit`: export, verify, trace, and their exit codes.

use assert_cmd::Command;
use privity_api::{Record, Signer};
use privity_audit::Log;
use privity_net::identity::Identity;
use std::path::Path;
use std::sync::Arc;

fn privity(args: &[&str]) -> (i32, String) {
    let output = Command::cargo_bin("privity").unwrap().args(args).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_log_is_exported_verified_and_traced() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::generate("bank-a").unwrap());
    let root = Signer::fingerprint(&*identity);
    let (folder, file) = (dir.path().join("log"), dir.path().join("a.privityaudit"));
    let log = Log::open(&folder, "bank-a", &root, identity, 1_790_000_000).unwrap();
    let (manifest, id, project) = ("ab".repeat(32), "c".repeat(32), "fraud".to_owned());
    let submitted = Record::Submitted { manifest: manifest.clone(), id, project, submitter: "bank-a".into() };
    log.append(1_790_000_001, &submitted).unwrap();
    log.head(1_790_000_002).unwrap();
    let (folder, out) = (text(&folder), text(&file));
    // The node has it open: that is no hindrance.
    let (code, said) = privity(&["audit", "export", "--log", folder, "--project", "fraud", "--out", out]);
    assert_eq!((code, said.contains("2 entries shown, 0 hidden")), (0, true), "{said}");
    assert_eq!(privity(&["audit", "export", "--log", folder, "--out", out]).0, 2, "there already");
    let known = format!("bank-a={root}");
    let (code, said) = privity(&["audit", "verify", out, "--root", &known]);
    assert_eq!((code, said.contains("ok  1 logs, 2 entries")), (0, true), "{said}");
    let (code, said) = privity(&["audit", "verify", out, "--json"]);
    assert_eq!((code, said.contains("\"kind\":\"root\"")), (0, true), "nobody vouches for the root: {said}");
    let (code, said) = privity(&["audit", "trace", "abab", out, "--who-learned-what"]);
    assert_eq!(
        (code, said.contains("2026-09-21T14:13:21Z  bank-a  came in from bank-a (entry 1)")),
        (0, true),
        "{said}"
    );
    assert_eq!(privity(&["audit", "trace", "ffff", out]).0, 2);
    let other = format!("bank-a={}", "0".repeat(64));
    assert_eq!(privity(&["audit", "verify", out, "--root", &other]).0, 7);
    let altered = std::fs::read_to_string(&file).unwrap().replacen("1790000001", "1790000003", 1);
    std::fs::write(&file, altered).unwrap();
    let (code, said) = privity(&["audit", "verify", out]);
    assert_eq!((code, said.contains("!!")), (7, true), "{said}");
    assert_eq!(privity(&["audit", "verify", "/nonexistent"]).0, 7);
    assert_eq!(privity(&["audit", "verify"]).0, 2);
}
