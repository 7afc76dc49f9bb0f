//! What is printed, and who reads it.

use assert_cmd::cargo::cargo_bin;
use std::process::{Command, Stdio};

/// A pipe would hold all this, so the reader is gone before anything is written.
#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    for args in [["policy", "show-default"], ["circuit", "--help"], ["plan", "--help"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ran = Command::new(cargo_bin("privity")).args(args).stdout(writer).output().expect("it runs");
        assert!(ran.status.success(), "{args:?}: {ran:?}");
        assert!(ran.stderr.is_empty(), "{args:?}: {ran:?}");
    }
}

#[test]
fn nobody_reads_anything_and_the_exit_code_stays() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let again = writer.try_clone().expect("a second end");
    let mut command = Command::new(cargo_bin("privity"));
    command.args(["policy", "check", "no-such-file.cedar"]).stdin(Stdio::null()).stdout(writer).stderr(again);
    let code = command.status().expect("it runs").code();
    assert_eq!(code, Some(2), "an ordinary failure, no panic");
}

/// What cannot be written although somebody waits for it is a failure.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_the_output_is_a_failure() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a device that is full");
    let ran = Command::new(cargo_bin("privity")).args(["policy", "show-default"]).stdout(full).output();
    let ran = ran.expect("it runs");
    assert_eq!(ran.status.code(), Some(6), "{ran:?}");
    assert!(String::from_utf8_lossy(&ran.stderr).contains("writing standard output"), "{ran:?}");
}
