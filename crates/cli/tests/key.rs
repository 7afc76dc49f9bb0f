//! `privity share key`, as holders use it.

use assert_cmd::Command;
use std::path::Path;
use std::process::Output;

fn privity(folder: &Path, line: &str) -> Output {
    let mut command = Command::cargo_bin("privity").expect("built");
    command.current_dir(folder).args(["share", "key"]).args(line.split(' ')).output().expect("runs")
}

fn done(folder: &Path, line: &str) -> String {
    let output = privity(folder, line);
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn refused(folder: &Path, line: &str, code: i32) -> String {
    let output = privity(folder, line);
    assert_eq!(output.status.code(), Some(code), "{line}: {output:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// The words after one, up to the next separator.
fn after<'a>(text: &'a str, word: &str) -> &'a str {
    let rest = &text[text.find(word).expect("said") + word.len()..];
    rest.split([',', '\n']).next().expect("something")
}

fn flip_last_bit(file: &Path) {
    let mut bytes = std::fs::read(file).expect("read");
    *bytes.last_mut().expect("not empty") ^= 1;
    std::fs::write(file, bytes).expect("written");
}

#[test]
fn a_key_is_dealt_renewed_handed_over_and_given_back() {
    let folder = tempfile::tempdir().expect("a directory");
    let here = folder.path();
    let said = done(here, "deal --threshold 2 --holders 3 --out . --key vault.key");
    let key = std::fs::read_to_string(here.join("vault.key")).expect("the key");
    assert!(key.len() == 65 && key.trim_end().chars().all(|c| c.is_ascii_hexdigit()) && !said.contains(key.trim_end()));
    #[cfg(unix)]
    for name in ["vault.key", "key.share-3-of-3"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(here.join(name)).expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let checked = done(here, "verify key.share-1-of-3 key.share-2-of-3 key.share-3-of-3");
    assert_eq!(checked.matches(after(&said, "fingerprint ")).count(), 3, "{checked}");
    assert_eq!(done(here, "combine key.share-3-of-3 key.share-1-of-3 --out -"), key);
    assert!(refused(here, "combine key.share-3-of-3 --out one.key", 3).contains("find more of them"));
    // Nothing is overwritten.
    refused(here, "deal --threshold 2 --holders 3 --out .", 2);
    refused(here, "combine key.share-3-of-3 key.share-1-of-3 --out vault.key", 2);

    // Renewed.
    for i in 1..=3 {
        done(here, &format!("refresh key.share-{i}-of-3 --out parts"));
    }
    assert!(done(here, "verify parts/refresh-0-from-2-to-1").contains("part from holder 2 to holder 1 of 3"));
    let accepts = |i: usize, of: &[usize], out: &str| {
        let parts: Vec<String> = of.iter().map(|d| format!("parts/refresh-0-from-{d}-to-{i}")).collect();
        format!("accept {} --share key.share-{i}-of-3 --out {out}", parts.join(" "))
    };
    let news: Vec<String> = (1..=3).map(|i| done(here, &accepts(i, &[1, 2, 3], &format!("new-{i}")))).collect();
    assert!(news.iter().all(|n| after(n, "fingerprint ") == after(&news[0], "fingerprint ")));
    assert_ne!(after(&news[0], "fingerprint "), after(&said, "fingerprint "));
    assert_eq!(after(&news[0], "key "), after(&said, "key "), "the key's identifier stays");
    assert_eq!(done(here, "combine new-1 new-2 --out -"), key);
    assert!(
        refused(here, "combine new-1 key.share-2-of-3 --out mixed.key", 3).contains("of 2 sharings or generations")
    );
    assert!(refused(here, &accepts(1, &[1], "few"), 3).contains("2 at least are needed"));
    assert!(refused(here, "accept parts/refresh-0-from-1-to-1 --out none", 3).contains("give the share, too"));

    // Handed over by two of them to four with threshold 3.
    for i in 1..=2 {
        done(here, &format!("reshare new-{i} --threshold 3 --holders 4 --out parts"));
    }
    for i in 1..=4 {
        done(here, &format!("accept parts/reshare-1-from-1-to-{i} parts/reshare-1-from-2-to-{i} --out other-{i}"));
    }
    assert_eq!(done(here, "combine other-4 other-2 other-1 --out -"), key);
    assert!(refused(here, "combine other-4 other-2 --out two.key", 3).contains("3 are needed"));

    // Wrong shares and parts are named by their files, or by their number.
    flip_last_bit(&here.join("other-2"));
    let output = privity(here, "combine other-1 other-2 other-3 other-4 --out -");
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout) == key);
    assert!(String::from_utf8_lossy(&output.stderr).contains("left out: other-2 does not fit"), "{output:?}");
    assert!(refused(here, "verify other-1 other-2", 3).contains("other-2: it does not fit its commitments"));
    flip_last_bit(&here.join("parts/refresh-0-from-3-to-1"));
    assert!(refused(here, &accepts(1, &[2, 3], "bad"), 3).contains("number 2, from holder 3, does not fit"));
    assert!(refused(here, "verify parts/refresh-0-from-3-to-1", 3).contains("does not fit its commitments"));
    assert!(refused(here, "verify vault.key", 3).contains("is no share of a key"));
    assert!(refused(here, "verify absent", 6).contains("absent"));
    for absent in ["few", "none", "bad", "one.key", "mixed.key", "two.key"] {
        assert!(!here.join(absent).exists(), "{absent}");
    }
    refused(here, "deal --threshold 1 --holders 3 --out .", 2);
    refused(here, "deal --threshold 2 --holders 32 --out .", 2);
}
