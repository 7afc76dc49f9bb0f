//! `privity up --local`: from nothing to nodes that are members of one project, and to nothing that is left running.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn privity(args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("privity"));
    command.args(args);
    command
}

fn answers(home: &Path) -> bool {
    let status = privity(&["status", "--home", home.to_str().expect("text")]).output().expect("it starts");
    status.status.success()
}

#[test]
fn three_organisations_start_do_what_was_printed_and_end_with_an_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let site = dir.path().join("site");
    let path = |name: &str| site.join(name);
    let mut up = privity(&["up", "--local", "3", "--dir", site.to_str().expect("text")]);
    let mut up = up.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(up.stdout.take().expect("output")).lines().map_while(Result::ok);
    let said: Vec<String> = lines.by_ref().take_while(|line| !line.contains("Ctrl-C")).collect();
    let printed =
        |word: &str| said.iter().find(|line| line.contains(word)).unwrap_or_else(|| panic!("{word}: {said:?}"));
    // What it prints is what a person types.
    let doctor: Vec<&str> = printed("privity doctor").split_whitespace().skip(1).collect();
    let found = privity(&doctor).output().expect("it starts");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
    let submit = printed("privity job submit")
        .trim()
        .strip_prefix("privity ")
        .expect("a command")
        .replace("'a joint model'", "joint");
    let submitted = privity(&submit.split_whitespace().collect::<Vec<_>>()).output().expect("it starts");
    assert!(submitted.status.success(), "{}", String::from_utf8_lossy(&submitted.stderr));
    let organisations: Vec<String> =
        printed("are up").split(" are up").next().expect("names").split(", ").map(String::from).collect();
    assert_eq!(organisations.len(), 3);
    assert!(organisations.iter().all(|name| answers(&path(name))));
    let ordered = Command::new("kill").args(["-TERM", &up.id().to_string()]).status().expect("kill");
    assert!(ordered.success());
    assert!(up.wait().expect("it ends").success());
    let since = Instant::now();
    while organisations.iter().any(|name| answers(&path(name))) {
        assert!(since.elapsed() < Duration::from_secs(20), "a node still answers");
        std::thread::sleep(Duration::from_millis(100));
    }
}
