//! Parties as separate processes over TLS: what goes wrong ends everywhere, soon, in words that name the cause.

use assert_cmd::cargo::cargo_bin;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const NAMES: [&str; 3] = ["hospital-a", "hospital-b", "hospital-c"];

fn privity(args: &[&str]) -> Output {
    Command::new(cargo_bin("privity")).args(args).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The files of a demonstration, each party with its own copy of the job file.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let site = Site(tempfile::tempdir().expect("a scratch directory"));
        let keep = site.0.path().to_str().expect("a plain path");
        let made = privity(&["demo", "breast-cancer", "--epochs", "1", "--json", "--keep", keep]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        for name in NAMES {
            std::fs::remove_dir_all(site.of(name).join("out")).expect("results of the demonstration");
            std::fs::copy(site.0.path().join("job.toml"), site.of(name).join("job.toml")).expect("a copy");
            std::fs::copy(site.0.path().join("schema.toml"), site.of(name).join("schema.toml")).expect("a copy");
        }
        site
    }

    fn of(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn edit(&self, file: &Path, change: impl Fn(&str) -> String) {
        let path = self.0.path().join(file);
        let before = std::fs::read_to_string(&path).expect("readable");
        let after = change(&before);
        assert_ne!(before, after, "{} must change", file.display());
        std::fs::write(path, after).expect("writable");
    }

    fn edit_job(&self, name: &str, from: &str, to: &str) {
        self.edit(&Path::new(name).join("job.toml"), |job| job.replacen(from, to, 1));
    }

    fn command(&self, name: &str, identity_of: &str) -> Command {
        let own = self.of(name);
        let mut command = Command::new(cargo_bin("privity"));
        command.arg("run").arg(own.join("job.toml")).args(["--party", name, "--json", "--wait", "4", "--data"]);
        command.arg(own.join("data.csv")).arg("--identity").arg(self.of(identity_of).join("identity"));
        command.arg("--out").arg(own.join("out")).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn start(&self, name: &str) -> Child {
        self.command(name, name).spawn().expect("the program starts")
    }

    fn run_all(&self) -> Vec<Output> {
        let running: Vec<Child> = NAMES.iter().map(|name| self.start(name)).collect();
        running.into_iter().map(|child| child.wait_with_output().expect("it ends")).collect()
    }
}

/// Three parties in a long job; something befalls the third; the others must end within 10 s and name it.
fn others_name_the_lost(befall: impl Fn(&mut Child)) {
    let site = Site::new();
    for name in NAMES {
        site.edit_job(name, "epochs = 1", "epochs = 100000");
    }
    let mut children: Vec<Child> = NAMES.iter().map(|name| site.start(name)).collect();
    let mut lines = BufReader::new(children[0].stdout.take().expect("piped")).lines();
    assert!(lines.any(|line| line.expect("text").contains("\"epoch\"")), "training starts");
    // Pipes that nobody reads would hold up their parties.
    let mut drains = vec![std::thread::spawn(move || lines.count())];
    for child in &mut children[1..] {
        let output = child.stdout.take().expect("piped");
        drains.push(std::thread::spawn(move || BufReader::new(output).lines().count()));
    }
    let mut lost = children.pop().expect("three parties");
    befall(&mut lost);
    let since = Instant::now();
    let ended: Vec<(Option<i32>, String)> = children
        .into_iter()
        .map(|mut child| {
            let mut message = String::new();
            child.stderr.take().expect("piped").read_to_string(&mut message).expect("text");
            (child.wait().expect("it ends").code(), message)
        })
        .collect();
    let took = since.elapsed();
    lost.kill().expect("killed");
    lost.wait().expect("reaped");
    for (code, message) in ended {
        assert_eq!(code, Some(4), "{message}");
        assert!(message.contains("hospital-c"), "{message}");
    }
    assert!(took < Duration::from_secs(10), "{took:?}");
    drains.into_iter().for_each(|drain| assert!(drain.join().is_ok()));
}

#[test]
fn a_killed_party_ends_the_others_with_its_name() {
    others_name_the_lost(|child| child.kill().expect("killed"));
}

#[test]
fn a_frozen_party_ends_the_others_with_its_name() {
    others_name_the_lost(|child| {
        let stopped = Command::new("sh").args(["-c", &format!("kill -STOP {}", child.id())]).status();
        assert!(stopped.expect("a shell").success());
    });
}

#[test]
fn a_disk_that_takes_nothing_is_found_before_the_start() {
    let site = Site::new();
    let run = site.command("hospital-b", "hospital-b");
    // A limit on the size of files is what a test can impose without rights; the system's refusal takes the same path.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh"]).arg(run.get_program()).args(run.get_args());
    let ended = limited.output().expect("the program starts");
    let message = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(6), "{message}");
    assert!(message.contains("out"), "{message}");
}

#[test]
fn another_job_file_at_one_party_is_refused() {
    let site = Site::new();
    site.edit_job("hospital-c", "epochs = 1", "epochs = 2");
    let ended = site.run_all();
    assert!(ended.iter().all(|o| o.status.code() == Some(4)));
    assert!(ended.iter().any(|o| text(&o.stderr).contains("the job digest")), "{}", text(&ended[2].stderr));
}

#[test]
fn a_certificate_that_is_not_pinned_is_refused() {
    let site = Site::new();
    let job = std::fs::read_to_string(site.of("hospital-b").join("job.toml")).expect("readable");
    let pinned = job.lines().find(|l| l.starts_with("fingerprint")).expect("the first party's").to_owned();
    let other = format!("fingerprint = \"{}\"", "ab".repeat(32));
    site.edit_job("hospital-b", &pinned, &other);
    let ended = site.run_all();
    assert_eq!(ended[1].status.code(), Some(4));
    assert!(text(&ended[1].stderr).contains("hospital-a"), "{}", text(&ended[1].stderr));
    assert!(text(&ended[1].stderr).contains("fingerprint"), "{}", text(&ended[1].stderr));
    assert!(ended.iter().all(|o| !o.status.success()));
}

#[test]
fn mistakes_at_home_are_found_before_anything_is_sent() {
    let site = Site::new();
    let refused = |code: i32, words: &str, mut command: Command| {
        let ended = command.output().expect("the program starts");
        let message = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{message}");
        assert!(message.contains(words), "{message}");
        assert!(text(&ended.stdout).contains("\"failed\""), "the failure is an event too");
    };
    refused(2, "pins", site.command("hospital-b", "hospital-c"));
    refused(2, "cannot read", site.command("hospital-b", "hospital-x"));
    std::fs::write(site.of("hospital-b").join("out"), "a file in the way").expect("written");
    refused(6, "out", site.command("hospital-b", "hospital-b"));

    let data = Path::new("hospital-c/data.csv");
    site.edit(data, |csv| csv.trim_end().rsplit_once('\n').expect("rows").0.to_owned() + "\n");
    refused(3, "the job file says", site.command("hospital-c", "hospital-c"));
    site.edit(data, |csv| csv.replacen(',', ",,", 40));
    refused(3, "column 2", site.command("hospital-c", "hospital-c"));
    site.edit(Path::new("hospital-c/job.toml"), |job| job.replace("rows = ", "rows == "));
    refused(2, "rows", site.command("hospital-c", "hospital-c"));
}

/// A value that stands nowhere but in one party's file.
const CANARY: &str = "17.28374655";

fn plant(site: &Site, value: &str) {
    site.edit(Path::new("hospital-b/data.csv"), |csv| {
        let mut lines: Vec<String> = csv.lines().map(str::to_owned).collect();
        let (_, rest) = lines[3].split_once(',').expect("columns");
        lines[3] = format!("{value},{rest}");
        lines.join("\n") + "\n"
    });
}

#[test]
fn no_value_of_a_row_reaches_an_output_or_a_log() {
    let site = Site::new();
    plant(&site, CANARY);
    let ended = site.run_all();
    for (name, output) in NAMES.iter().zip(&ended) {
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        let mut seen = text(&output.stdout) + &text(&output.stderr);
        for file in std::fs::read_dir(site.of(name).join("out")).expect("results") {
            seen += &std::fs::read_to_string(file.expect("an entry").path()).expect("text");
        }
        assert!(seen.contains("\"digest\""), "a report is among what is searched");
        assert!(!seen.contains(&CANARY[..9]), "{name} shows a value of a row");
    }
    plant(&site, &format!("9{CANARY}"));
    let refused = site.command("hospital-b", "hospital-b").output().expect("the program starts");
    assert_eq!(refused.status.code(), Some(3));
    let message = text(&refused.stderr);
    assert!(message.contains("row 3") && message.contains("mean_radius"), "{message}");
    assert!(!message.contains("28374655"), "{message}");
}

#[test]
fn a_model_opened_to_a_party_predicts_there_in_the_clear() {
    let site = Site::new();
    assert!(site.run_all().iter().all(|o| o.status.success()));
    assert!(!site.of("hospital-b").join("out/model.json").exists(), "the model is opened to hospital-a alone");
    let path = |p: PathBuf| p.to_str().expect("a plain path").to_owned();
    let model = path(site.of("hospital-a").join("out/model.json"));
    let out = path(site.0.path().join("scores.csv"));
    let data = path(site.of("hospital-c").join("data.csv"));
    let ended = privity(&["predict", &model, &data, "--out", &out, "--json"]);
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    let scores = std::fs::read_to_string(&out).expect("written");
    let rows = std::fs::read_to_string(&data).expect("readable").lines().count();
    assert_eq!(scores.lines().count(), rows);
    let broken = privity(&["predict", &data, &data]);
    assert_eq!(broken.status.code(), Some(2), "{}", text(&broken.stderr));
}

#[test]
fn keys_are_made_once_and_a_plan_knows_other_links() {
    let site = Site::new();
    let dir = site.0.path().join("new").to_str().expect("a plain path").to_owned();
    let made = privity(&["keys", "new", "bank", "--dir", &dir, "--json"]);
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("one JSON object");
    assert_eq!(made["fingerprint"].as_str().map(str::len), Some(64));
    assert_eq!(privity(&["keys", "new", "bank", "--dir", &dir]).status.code(), Some(2));

    let job = site.0.path().join("job.toml").to_str().expect("a plain path").to_owned();
    let plan = |more: &[&str]| -> serde_json::Value {
        let planned = privity(&[&["plan", &job, "--json"], more].concat());
        assert!(planned.status.success(), "{}", text(&planned.stderr));
        serde_json::from_slice(&planned.stdout).expect("one JSON object")
    };
    let (near, far) = (plan(&[]), plan(&["--rtt-ms", "40", "--mbit", "100"]));
    assert_eq!(near["digest"], far["digest"]);
    assert_eq!(near["bytes"], far["bytes"]);
    let seconds = |p: &serde_json::Value| p["seconds"].as_f64().expect("a number");
    let rounds = far["rounds"].as_f64().expect("a number");
    assert!(seconds(&far) > rounds * 0.02 && seconds(&far) > 10.0 * seconds(&near));
}
