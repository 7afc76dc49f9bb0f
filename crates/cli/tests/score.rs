//! Rows of one party scored with a model of another, each a process of its own over TLS: against the model in the clear. By job files, and between nodes.

mod site;

use assert_cmd::cargo::cargo_bin;
use site::{Node, until};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

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

const OWNER: &str = "hospital-a";
const CLIENT: &str = "hospital-b";

/// The nodes of a model's owner and of a client that has rows, members of one project, what they bring registered.
struct Nodes {
    files: Site,
    site: site::Site,
    rows: usize,
}

impl Nodes {
    fn new() -> Nodes {
        let files = Site::new();
        let folder = tempfile::tempdir().expect("a scratch directory");
        let make = |(number, name)| (name, Node::init(folder.path(), (name, number), None, &[], Vec::new()));
        let nodes: BTreeMap<_, _> = [OWNER, CLIENT].into_iter().enumerate().map(make).collect();
        let mut site = site::Site { folder, nodes, case: ("demo", "tumours") };
        site.nodes.get_mut(OWNER).expect("a node").start();
        site.join(CLIENT);
        site.nodes.get_mut(CLIENT).expect("a node").start();
        let data = std::fs::read_to_string(files.path().join("hospital-b/data.csv")).expect("rows");
        let nodes = Nodes { rows: data.lines().count() - 1, files, site };
        let (data, schema) = (nodes.file("hospital-b/data.csv"), nodes.file("schema.toml"));
        nodes.client().run(&["table", "add", "tumours", "--data", &data, "--schema", &schema]);
        nodes
    }
    fn owner(&self) -> &Node {
        &self.site.nodes[OWNER]
    }
    fn client(&self) -> &Node {
        &self.site.nodes[CLIENT]
    }
    fn file(&self, name: &str) -> String {
        self.files.path().join(name).to_str().expect("a path").to_owned()
    }
    fn add_model(&self, most_rows: usize) -> String {
        self.owner().run(&[
            "model",
            "add",
            "tumours",
            "--file",
            &self.file(MODEL),
            "--most-rows",
            &most_rows.to_string(),
        ])
    }
    /// How the client submits a job that scores its rows.
    fn submission(&self, more: &[&str]) -> Vec<String> {
        let job = format!(
            "name = \"second opinion\"\nprotocol = \"gmw\"\n[[participants]]\nname = \"{OWNER}\"\nrows = 0\nmodel = true\n\
             [[participants]]\nname = \"{CLIENT}\"\nrows = {}\n[data]\nschema = \"schema.toml\"\n[model]\nkind = \"logistic\"\n[score]\n",
            self.rows
        );
        std::fs::write(self.file("submitted.toml"), job).expect("written");
        let file = self.file("submitted.toml");
        let args = ["job", "submit", &file, "--project", "tumours-2026", "--purpose", "a second opinion"];
        let table = format!("{CLIENT}=tumours");
        args.iter().chain(&["--table", &table]).chain(more).map(|arg| (*arg).to_owned()).collect()
    }
    fn submit(&self) -> String {
        let args = self.submission(&["--model", "hospital-a=tumours"]);
        let digest = self.client().run(&args.iter().map(String::as_str).collect::<Vec<_>>()).trim().to_owned();
        until("the manifest arrives", || self.owner().run(&["jobs"]).contains(&digest[..12]));
        digest
    }
    fn done(&self, digest: &str) {
        for node in [self.owner(), self.client()] {
            until("it is done", || {
                let line = node.job(digest)["line"].clone();
                assert!(!["aborted", "denied", "expired"].contains(&line["state"].as_str().expect("text")), "{line}");
                line["state"] == "done"
            });
        }
        let plain = self.files.plain(MODEL);
        let out = |node: &Node| node.home.join("jobs").join(digest);
        let (head, rows) = self.files.columns(out(self.client()).join("predictions.csv"));
        assert_eq!((head.as_str(), rows.len()), ("prediction,label", plain.len()));
        for (row, plain) in rows.iter().zip(&plain) {
            assert!((row[0] - plain).abs() < 5e-3, "in the clear {plain}, here {}", row[0]);
        }
        assert!(out(self.owner()).join("report.json").exists());
        for name in ["predictions.csv", "model.json"] {
            assert!(!out(self.owner()).join(name).exists(), "the owner of the model learns no {name}");
        }
        assert!(!out(self.client()).join("model.json").exists(), "the owner of the rows learns no model");
    }
    fn stays(&self, digest: &str, state: &str) {
        std::thread::sleep(Duration::from_secs(3));
        for node in [self.owner(), self.client()] {
            let line = node.job(digest)["line"].clone();
            assert_eq!((line["state"].as_str(), line["attempt"].as_u64()), (Some(state), Some(0)), "{line}");
            assert!(!node.home.join("jobs").join(digest).join("openings.jsonl").exists());
        }
    }
}

#[test]
fn a_client_queries_a_model_between_nodes_by_people_and_by_rules() {
    let nodes = Nodes::new();
    let (owner, client) = (nodes.owner(), nodes.client());
    let added = nodes.add_model(2 * nodes.rows);
    assert!(added.contains("model tumours: logistic regression, 30 features; 0 of"), "{added}");
    let nothing = nodes.submission(&[]);
    let refused = client.fails(&nothing.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(refused.contains("models name 0 models of hospital-a"), "{refused}");

    // By hand. Others learn results of the owner's model: that takes two of its people, and nothing runs before.
    let digest = nodes.submit();
    let shown = owner.run(&["job", "show", &digest]);
    let wanted = "scores rows of hospital-b with model `tumours` of hospital-a (logistic regression); hospital-b learns the prediction \
                  of its own rows; hospital-a learns no row and no result";
    assert!(shown.contains(wanted), "{shown}");
    for words in [
        "attempts   0 of at most".to_owned(),
        format!("rows of tumours: {} in each of", nodes.rows),
        format!("before     0 of at most {} rows were scored with it", 2 * nodes.rows),
    ] {
        assert!(shown.contains(&words), "{words}: {shown}");
    }
    assert!(!client.run(&["job", "show", &digest]).contains("rows were scored with it"), "that is the owner's to know");
    let said = owner.run(&["job", "approve", &digest, "--person", "officer"]);
    assert!(said.contains("1 of 2"), "{said}");
    nodes.stays(&digest, "pending");
    owner.run(&["job", "approve", &digest, "--person", "head"]);
    nodes.done(&digest);
    let told = client.run(&["job", "explain", &digest]);
    let openings = told.lines().filter(|line| line.contains("opens results for rows, to their owners"));
    assert_eq!(openings.count(), 2, "both logs have it: {told}");
    let listed = owner.run(&["model", "list"]);
    assert!(listed.contains(&format!("{0} of {1} rows scored", nodes.rows, 2 * nodes.rows)), "{listed}");

    // By the owner's rules; at the client two persons have to, so that there is time to change the model.
    let rule = "@id(\"asked\") permit (principal == Organisation::\"hospital-b\", action == Action::\"score\", resource)\n\
                when { context.model_name == \"tumours\" && context.output == \"prediction\" && context.total_rows <= 200 };\n\
                @id(\"passive\") forbid (principal, action, resource) unless { context.threshold >= 1 };";
    owner.policy(rule);
    client.policy("@id(\"two\") @approvers(\"2\") permit (principal, action == Action::\"score\", resource);");
    let digest = nodes.submit();
    until("the owner's rules approve", || {
        let job = client.job(&digest);
        let approvals = job["approvals"].as_array().expect("approvals").clone();
        approvals.iter().any(|a| a["organisation"] == OWNER && a["by"][0] == "policy:asked")
    });
    let differs = owner.run(&["job", "show", &digest, "--diff"]);
    assert!(differs.contains("nothing but its number and its times"), "{differs}");
    let path = nodes.file(MODEL);
    let model = std::fs::read_to_string(&path).expect("the model");
    std::fs::write(&path, model.replacen("0.", "1.", 1)).expect("written");
    client.run(&["job", "approve", &digest, "--person", "head"]);
    until("the owner's node refuses", || {
        let line = client.job(&digest)["line"].clone();
        line["reason"].as_str().is_some_and(|why| why.contains("E1021 model tumours cannot be used as it is"))
    });
    nodes.stays(&digest, "ready");
    std::fs::write(&path, model).expect("written");
    nodes.done(&digest);

    // All rows that the owner allows are scored: rules approve no more, and neither do people.
    let digest = nodes.submit();
    let refused = owner.fails(&["job", "approve", &digest, "--person", "head"]);
    assert!(refused.contains("E1021 model tumours: hospital-a lets no"), "{refused}");
    nodes.stays(&digest, "pending");

    // Nor does another name or registering anew give anything back.
    let all = format!("{0} of {0} rows scored", 2 * nodes.rows);
    let spaced = std::fs::read_to_string(&path).expect("the model") + "\n";
    std::fs::write(nodes.file("spaced.json"), spaced).expect("written");
    let other = owner.run(&["model", "add", "other", "--file", &nodes.file("spaced.json")]);
    assert!(other.contains(&all), "{other}");
    let again = owner.run(&["model", "add", "tumours", "--file", &path]);
    assert!(again.contains(&all), "{again}");
    let refused = owner.fails(&["job", "approve", &digest, "--person", "head"]);
    assert!(refused.contains("hospital-a lets no"), "{refused}");
    let lifted = owner.run(&["model", "add", "tumours", "--file", &path, "--no-limit"]);
    assert!(lifted.contains(&format!("{} rows scored, no limit", 2 * nodes.rows)), "{lifted}");
    nodes.site.nodes.values().for_each(|node| {
        let log = std::fs::read_to_string(node.home.join("log")).expect("a log");
        assert!(!log.contains("panicked"), "{log}");
    });
}
