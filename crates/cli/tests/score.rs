//! Rows of one party scored with a model of another, each a process of its own over TLS: against the model in the clear.

use assert_cmd::cargo::cargo_bin;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

fn privity(folder: &Path, args: &[&str]) -> Output {
    Command::new(cargo_bin("privity")).current_dir(folder).args(args).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A demonstration of two owners that left a model with one and rows with both.
struct Site(tempfile::TempDir);

const MODEL: &str = "hospital-a/out/model.json";

impl Site {
    fn new() -> Self {
        let site = Site(tempfile::tempdir().expect("a scratch directory"));
        let keep = site.path().to_str().expect("a plain path").to_owned();
        let made = privity(site.path(), &["demo", "breast-cancer", "--epochs", "4", "--json", "--keep", &keep]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        site
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A job of these two: the first brings the models, the second its rows.
    fn write_job(&self, file: &str, rest: &str) {
        let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [a, b] = listeners.map(|listener| listener.local_addr().expect("bound"));
        let rows = std::fs::read_to_string(self.path().join("hospital-b/data.csv")).expect("rows").lines().count() - 1;
        let job = format!(
            "name = \"score\"\nprotocol = \"gmw\"\n\
             [[participants]]\nname = \"hospital-a\"\naddress = \"{a}\"\ncertificate = \"hospital-a/identity/certificate.pem\"\n\
             rows = 0\nmodel = true\n\
             [[participants]]\nname = \"hospital-b\"\naddress = \"{b}\"\ncertificate = \"hospital-b/identity/certificate.pem\"\n\
             rows = {rows}\n[data]\nschema = \"schema.toml\"\n[model]\nkind = \"logistic\"\n{rest}"
        );
        std::fs::write(self.path().join(file), job).expect("written");
    }

    fn start(&self, job: &str, name: &str, args: &[&str]) -> Child {
        let (identity, out) = (format!("{name}/identity"), format!("{name}/scored"));
        let mut command = Command::new(cargo_bin("privity"));
        command.current_dir(self.path()).args(["run", job, "--party", name, "--json", "--wait", "10"]);
        command.args(["--identity", &identity, "--out", &out]).args(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    fn run(&self, job: &str, models: &[&str]) -> [Output; 2] {
        let models: Vec<&str> = models.iter().flat_map(|model| ["--model", model]).collect();
        let parties =
            [self.start(job, "hospital-a", &models), self.start(job, "hospital-b", &["--data", "hospital-b/data.csv"])];
        parties.map(|child| child.wait_with_output().expect("it ends"))
    }

    fn out(&self, name: &str) -> PathBuf {
        self.path().join(name).join("scored")
    }

    fn columns(&self, file: PathBuf) -> (String, Vec<Vec<f64>>) {
        let text = std::fs::read_to_string(file).expect("a table");
        let mut lines = text.lines();
        let head = lines.next().expect("a head").to_owned();
        (head, lines.map(|line| line.split(',').map(|v| v.parse().expect("a number")).collect()).collect())
    }

    /// What a model says in the clear.
    fn plain(&self, model: &str) -> Vec<f64> {
        let done = privity(self.path(), &["predict", model, "hospital-b/data.csv", "--out", "plain.csv"]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        self.columns(self.path().join("plain.csv")).1.into_iter().map(|row| row[0]).collect()
    }
}

fn succeed(ended: &[Output]) {
    for output in ended {
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

#[test]
fn rows_are_scored_with_a_model_that_stays_with_its_owner() {
    let site = Site::new();
    site.write_job("score.toml", "[score]\n");
    let planned = privity(site.path(), &["plan", "score.toml", "--json"]);
    assert!(planned.status.success(), "{}", text(&planned.stderr));
    let plan: serde_json::Value = serde_json::from_slice(&planned.stdout).expect("JSON");
    succeed(&site.run("score.toml", &[MODEL]));
    let plain = site.plain(MODEL);
    let (head, rows) = site.columns(site.out("hospital-b").join("predictions.csv"));
    assert_eq!((head.as_str(), rows.len()), ("prediction,label", plain.len()));
    for (row, plain) in rows.iter().zip(&plain) {
        assert!((row[0] - plain).abs() < 5e-3, "in the clear {plain}, here {}", row[0]);
    }
    assert!(!site.out("hospital-a").join("predictions.csv").exists(), "the owner of the model learns no prediction");
    assert!(!site.out("hospital-b").join("model.json").exists(), "the owner of the rows learns no model");
    for (party, name) in ["hospital-a", "hospital-b"].into_iter().enumerate() {
        let report = std::fs::read(site.out(name).join("report.json")).expect("a report");
        let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
        assert_eq!(report["bytes_sent"], plan["parties"][party]["bytes_sent"], "{name} sends what was planned");
        let ledger = std::fs::read_to_string(site.out(name).join("openings.jsonl")).expect("a record");
        assert_eq!(ledger.matches("results for rows, to their owners").count(), 1, "{ledger}");
    }
}

#[test]
fn classes_and_shares_come_out_of_garbled_circuits() {
    let site = Site::new();
    let text = std::fs::read_to_string(site.path().join(MODEL)).expect("the model");
    let mut other: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    // The model of the other class has the opposite score.
    let last = other["model"]["layers"].as_array_mut().expect("layers").last_mut().expect("one at least");
    for list in [&mut last["weights"][0].take(), &mut last["biases"].take()] {
        list.as_array_mut().expect("numbers").iter_mut().for_each(|w| *w = (-w.as_f64().expect("a number")).into());
        match list.as_array().expect("numbers").len() {
            1 => last["biases"] = list.clone(),
            _ => last["weights"] = serde_json::json!([list]),
        }
    }
    std::fs::write(site.path().join("other.json"), other.to_string()).expect("written");
    let plain = site.plain(MODEL);
    site.write_job("class.toml", "[score]\nmodels = 2\noutput = \"class\"\n[mixed]\nargmax = \"yao\"\n");
    succeed(&site.run("class.toml", &["other.json", MODEL]));
    let (head, rows) = site.columns(site.out("hospital-b").join("predictions.csv"));
    assert_eq!((head.as_str(), rows.len()), ("class,label", plain.len()));
    for (row, plain) in rows.iter().zip(&plain) {
        let near = (plain - 0.5).abs() < 2e-3;
        assert!(near || row[0] == f64::from(u8::from(*plain > 0.5)), "class {} at probability {plain}", row[0]);
    }
    site.write_job("shares.toml", "[score]\nmodels = 2\noutput = \"shares\"\n[mixed]\ndivision = \"yao\"\n");
    succeed(&site.run("shares.toml", &["other.json", MODEL]));
    let (head, rows) = site.columns(site.out("hospital-b").join("predictions.csv"));
    assert_eq!(head, "share-0,share-1,label");
    for (row, plain) in rows.iter().zip(&plain) {
        let expected = (plain + 1.0 / 256.0) / (1.0 + 2.0 / 256.0);
        assert!((row[1] - expected).abs() < 2e-2 && (row[0] + row[1] - 1.0).abs() < 1e-3, "{row:?} at {plain}");
    }
    for (name, file) in [("hospital-a", "report.json"), ("hospital-b", "report.json")] {
        let report = std::fs::read(site.out(name).join(file)).expect("a report");
        let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
        assert!(report["operations"]["garbled"].as_u64().is_some_and(|bytes| bytes > 0), "{report}");
    }
}

#[test]
fn a_party_without_the_models_it_is_to_bring_stops_before_it_connects() {
    let site = Site::new();
    site.write_job("score.toml", "[score]\n");
    let missing = site.start("score.toml", "hospital-a", &[]).wait_with_output().expect("it ends");
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("--model"), "{}", text(&missing.stderr));
    let rows = ["--data", "hospital-a/data.csv", "--model", MODEL];
    let rows = site.start("score.toml", "hospital-a", &rows).wait_with_output().expect("it ends");
    assert_eq!(rows.status.code(), Some(2));
    assert!(text(&rows.stderr).contains("without rows"), "{}", text(&rows.stderr));
}
