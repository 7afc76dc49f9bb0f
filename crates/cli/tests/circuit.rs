//! `privity circuit`, as a user runs it.

use assert_cmd::Command;
use std::path::Path;

fn privity(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::cargo_bin("privity").expect("built").current_dir(folder).args(args).output().expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn circuits_are_made_described_and_run_in_the_clear_and_garbled() {
    let folder = tempfile::tempdir().expect("a directory");
    let run = |args: &[&str]| privity(folder.path(), &[&["circuit"], args].concat());
    for (name, inputs, want) in [
        ("div", &["1000003", "0x10"][..], "0x000000000000f424\n0x0000000000000003\n"),
        ("mul", &["0xffffffffffffffff", "3"][..], "0xfffffffffffffffd\n"),
        ("less", &["6", "7"][..], "0x01\n"),
    ] {
        let file = format!("{name}.txt");
        assert_eq!(run(&["make", name, "--out", &file]).0, Some(0));
        for garbled in [&[][..], &["--garbled"][..]] {
            let (code, out, err) = run(&[&["run", &file][..], inputs, garbled].concat());
            assert_eq!((code, &out[..]), (Some(0), want), "{name}: {err}");
        }
    }
    assert_eq!(run(&["make", "aes128", "--out", "aes.txt"]).0, Some(0));
    let key = "bytes:000102030405060708090a0b0c0d0e0f";
    let (_, out, err) = run(&["run", "aes.txt", key, "bytes:00112233445566778899aabbccddeeff", "--garbled", "--bytes"]);
    assert_eq!(out, "bytes:69c4e0d86a7b0430d8cdb78070b4c55a\n", "{err}");
    let (_, out, _) = run(&["info", "mul.txt"]);
    assert!(out.contains("inputs of 64, 64 bits, outputs of 64 bits") && out.contains("garbled: "), "{out}");
    let (_, out, _) = run(&["bench", "less.txt", "--instances", "4", "--json"]);
    assert!(out.contains("\"garbled_per_second\""), "{out}");
}

#[test]
fn what_is_wrong_is_said_with_the_file_or_the_input() {
    let folder = tempfile::tempdir().expect("a directory");
    let run = |args: &[&str]| privity(folder.path(), &[&["circuit"], args].concat());
    assert_eq!(run(&["make", "less", "--width", "8", "--out", "less.txt"]).0, Some(0));
    std::fs::write(folder.path().join("bad.txt"), "1 3\n1 1 1\n2 1 0 2 2 XOR\n").expect("written");
    for (args, words) in [
        (&["make", "less", "--out", "less.txt"][..], "stays as it is"),
        (&["make", "unheard-of", "--out", "x.txt"], "circuits are add"),
        (&["info", "bad.txt"], "bad.txt: gate 1 reads wire 2"),
        (&["info", "absent.txt"], "absent.txt"),
        (&["run", "less.txt", "1"], "takes 2 inputs here, and 1 are given"),
        (&["run", "less.txt", "54321", "1"], "input 1: has more than the 8 bits"),
        (&["run", "less.txt", "1", "0x54321z"], "input 2: is not hexadecimal"),
        (&["run", "less.txt", "bytes:54321", "1"], "pairs of hexadecimal digits"),
        (&["run", "less.txt", "54321x", "1"], "input 1: invalid digit"),
    ] {
        let (code, _, err) = run(args);
        assert!(code == Some(2) || code == Some(3), "{args:?}: {code:?}");
        assert!(err.contains(words), "{args:?}: {err}");
        assert!(!err.contains("54321"), "an input is secret: {err}");
    }
}

/// Two processes over TLS: one has the key, the other the block.
#[test]
fn two_parties_evaluate_what_neither_shows() {
    let folder = tempfile::tempdir().expect("a directory");
    let run = |args: &[&str]| privity(folder.path(), args);
    assert_eq!(run(&["circuit", "make", "aes128", "--out", "aes.txt"]).0, Some(0));
    let fingerprint = |name: &str| {
        let (_, out, err) = run(&["keys", "new", name]);
        let line = out.lines().next().unwrap_or_default().to_owned();
        line.split(": ").nth(1).unwrap_or_else(|| panic!("{out} {err}")).to_owned()
    };
    let (alice, bob) = (fingerprint("alice"), fingerprint("bob"));
    let port = privity_net::tls::loopback_listener().expect("a port").local_addr().expect("bound").to_string();
    let party = |side: &str, input: &str, identity: &str, peer: &str| {
        let args = [
            "circuit",
            side,
            "aes.txt",
            input,
            "--address",
            &port,
            "--identity",
            identity,
            "--peer",
            peer,
            "--bytes",
            "--wait",
            "8",
        ];
        privity(folder.path(), &args)
    };
    let (key, block) = ("bytes:000102030405060708090a0b0c0d0e0f", "bytes:00112233445566778899aabbccddeeff");
    let (garbler, evaluator) = std::thread::scope(|scope| {
        let garbler = scope.spawn(|| party("garble", key, "alice", &bob));
        let evaluator = party("evaluate", block, "bob", &alice);
        (garbler.join().expect("no panic"), evaluator)
    });
    let encrypted = "bytes:69c4e0d86a7b0430d8cdb78070b4c55a\n";
    assert_eq!((garbler.0, &garbler.1[..]), (Some(0), encrypted), "{}", garbler.2);
    assert_eq!((evaluator.0, &evaluator.1[..]), (Some(0), encrypted), "{}", evaluator.2);
    // A party whose certificate was not named is turned away.
    let (garbler, evaluator) = std::thread::scope(|scope| {
        let garbler = scope.spawn(|| party("garble", key, "alice", &alice));
        let evaluator = party("evaluate", block, "bob", &alice);
        (garbler.join().expect("no panic"), evaluator)
    });
    assert!(garbler.0 != Some(0) && evaluator.0 != Some(0), "{garbler:?} {evaluator:?}");
}
