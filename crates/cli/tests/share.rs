//! `privity share`, as a user runs it.

use assert_cmd::Command;
use std::path::Path;

fn privity(folder: &Path, args: &[&str]) -> std::process::Output {
    let mut command = Command::cargo_bin("privity").expect("built");
    command.current_dir(folder).args(args).output().expect("runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_key_is_split_and_comes_back_and_a_bad_share_is_named() {
    let folder = tempfile::tempdir().expect("a directory");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("vault.key"), b"0123456789abcdef").expect("written");
    let split = privity(folder.path(), &["share", "split", "vault.key", "--threshold", "2", "--shares", "3"]);
    assert!(split.status.success(), "{split:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(at("vault.key.share-1-of-3")).expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let combine =
        |shares: &[&str], out: &str| privity(folder.path(), &[&["share", "combine"], shares, &["--out", out]].concat());
    let (one, two, three) = ("vault.key.share-1-of-3", "vault.key.share-2-of-3", "vault.key.share-3-of-3");
    let back = combine(&[three, one], "back.key");
    assert!(back.status.success(), "{back:?}");
    assert_eq!(std::fs::read(at("back.key")).expect("given back"), b"0123456789abcdef");
    // Nothing is overwritten.
    let again = combine(&[three, one], "back.key");
    assert!(again.status.code() == Some(2) && text(&again.stderr).contains("stays as it is"), "{again:?}");
    let again = privity(folder.path(), &["share", "split", "vault.key", "--threshold", "2", "--shares", "3"]);
    assert_eq!(again.status.code(), Some(2), "{again:?}");

    let mut altered = std::fs::read(at(two)).expect("a share");
    altered[70] ^= 1;
    std::fs::write(at(two), altered).expect("written");
    let piped = combine(&[two, one, three], "-");
    assert!(piped.status.success() && piped.stdout == b"0123456789abcdef", "{piped:?}");
    assert!(text(&piped.stderr).contains(&format!("{two} was altered")), "{piped:?}");
    let refused = combine(&[two, one], "other.key");
    assert!(refused.status.code() == Some(3) && !at("other.key").exists(), "{refused:?}");
    assert!(
        text(&refused.stderr).contains("1 of the shares given fit together and 2 are needed; number 1 was altered")
    );
    let refused = privity(folder.path(), &["share", "split", "vault.key", "--threshold", "4", "--shares", "3"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let absent = combine(&["absent"], "other.key");
    assert!(text(&absent.stderr).contains("absent"), "{absent:?}");
}
