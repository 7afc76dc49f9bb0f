//! Four organisations, each with its node in a process of its own: from nothing to a joint model, with what goes wrong on the way.

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NAMES: [&str; 4] = ["hospital-a", "hospital-b", "hospital-c", "helper"];

/// A free port of an address, below those that systems give to outgoing connections.
fn port(address: &str) -> u16 {
    use std::hash::BuildHasher;
    let random = std::collections::hash_map::RandomState::new();
    let mut candidates = (0..200u32).map(|attempt| 10_000 + (random.hash_one(attempt) % 22_000) as u16);
    candidates.find(|port| std::net::TcpListener::bind((address, *port)).is_ok()).expect("a free port")
}

/// An organisation's node.
struct Node {
    home: PathBuf,
    process: Option<Child>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Node {
    /// At a port of its own, where it is a relay; or through the relay at an address.
    fn init(site: &Path, name: &str, number: usize, through: Option<&str>) -> Node {
        let (home, own) = (site.join("nodes").join(name), format!("127.0.0.{}", number + 1));
        std::fs::create_dir_all(site.join("nodes")).expect("a directory");
        let node = Node { home, process: None };
        let (listen, admin) = (format!("{own}:{}", port(&own)), format!("127.0.0.1:{}", port("127.0.0.1")));
        let mut args = vec!["init", "--org", name, "--admin", &admin];
        let address = through.map(|relay| format!("relay:{relay}"));
        match &address {
            Some(address) => args.extend(["--address", address]),
            None => args.extend(["--listen", &listen, "--relay"]),
        }
        if name == "helper" {
            args.push("--helper");
        }
        node.run(&args);
        node
    }
    /// As its configuration has it.
    fn configured(&self, key: &str) -> String {
        let text = std::fs::read_to_string(self.home.join("node.toml")).expect("a configuration");
        let table: toml::Table = text.parse().expect("TOML");
        table[key].as_str().expect("text").to_owned()
    }
    fn address(&self) -> String {
        self.configured("address")
    }
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(cargo_bin("privity"));
        command.args(args).env("PRIVITY_HOME", &self.home);
        command
    }
    /// What a command prints; it must succeed.
    fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("the program starts");
        let said = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        assert!(output.status.success(), "{args:?}: {}{}", said(&output.stdout), said(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }
    /// What a command that must fail says.
    fn fails(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("the program starts");
        assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).expect("text")
    }
    fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.home.join("log")).expect("a log");
        let process = self.command(&["node"]).stderr(log).spawn().expect("the node starts");
        self.process = Some(process);
        until("the node answers", || self.command(&["status"]).output().expect("the program starts").status.success());
    }
    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("a node that runs").id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &process]).status().expect("kill").success());
    }
    /// Ends as the system asks it to; whether in order.
    fn stop(&mut self) -> bool {
        let mut process = self.process.take().expect("a node that runs");
        let asked = Command::new("kill").arg(process.id().to_string()).status().expect("kill");
        asked.success() && process.wait().expect("an end").success()
    }
    fn job(&self, digest: &str) -> Value {
        serde_json::from_str(&self.run(&["job", "show", digest, "--json"])).expect("JSON")
    }
    fn state(&self, digest: &str) -> String {
        self.job(digest)["line"]["state"].as_str().expect("text").to_owned()
    }
}

#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(150), "not within 150 s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Four members of one project, their tables registered, and a job file of the demonstration.
struct Site {
    folder: tempfile::TempDir,
    nodes: BTreeMap<&'static str, Node>,
}

impl Site {
    fn new() -> Site {
        Site::with(None)
    }
    /// The same, one of them without a port, behind the first.
    fn with(outbound: Option<&str>) -> Site {
        let folder = tempfile::tempdir().expect("a scratch directory");
        let keep = folder.path().join("demo");
        let args =
            ["demo", "breast-cancer", "--adversary", "active", "--json", "--keep", keep.to_str().expect("a path")];
        let made = Command::new(cargo_bin("privity")).args(args).output().expect("the program starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut nodes = BTreeMap::from([(NAMES[0], Node::init(folder.path(), NAMES[0], 0, None))]);
        let relay = nodes[NAMES[0]].address();
        for (i, name) in NAMES.iter().enumerate().skip(1) {
            let through = outbound.filter(|outbound| outbound == name).map(|_| relay.as_str());
            nodes.insert(name, Node::init(folder.path(), name, i, through));
        }
        nodes.get_mut(NAMES[0]).expect("the first").start();
        let mut site = Site { folder, nodes };
        for name in &NAMES[1..] {
            site.join(name);
            site.nodes.get_mut(name).expect("a node").start();
        }
        for name in &NAMES[..3] {
            let (data, schema) = (keep.join(name).join("data.csv"), keep.join("schema.toml"));
            let (data, schema) = (data.to_str().expect("a path"), schema.to_str().expect("a path"));
            let said = site.nodes[name].run(&["table", "add", "tumours", "--data", data, "--schema", schema]);
            assert!(said.contains("rows"), "{said}");
        }
        site
    }
    /// Invitation, code, words, confirmation.
    fn join(&mut self, name: &str) {
        let inviter = &self.nodes[NAMES[0]];
        let mut args = vec!["invite", name, "--project", "tumours-2026"];
        if name == "helper" {
            args.push("--helper");
        }
        let printed = inviter.run(&args);
        let code = printed.lines().next().and_then(|l| l.split(' ').next_back()).expect("a code").to_owned();
        let mut joining = self.nodes[name].command(&["join", &code]).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(joining.stdout.take().expect("piped")).lines();
        let words = lines.next().expect("words").expect("text");
        let words = words.strip_prefix("words: ").expect("words").to_owned();
        let mut confirm = vec!["confirm", name];
        confirm.extend(words.split(' '));
        inviter.run(&confirm);
        assert!(joining.wait().expect("it ends").success());
    }
    /// Submits the job of the demonstration, changed; its digest.
    fn submit(&self, change: impl Fn(&mut toml::Table), more: &[&str]) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("demo/job.toml")).expect("a job file");
        let mut job: toml::Table = text.parse().expect("TOML");
        for participant in job["participants"].as_array_mut().expect("participants") {
            let participant = participant.as_table_mut().expect("a participant");
            participant.remove("address");
            participant.remove("fingerprint");
        }
        change(&mut job);
        let file = self.folder.path().join("demo/submitted.toml");
        std::fs::write(&file, job.to_string()).expect("a job file");
        let mut args = vec![
            "job",
            "submit",
            file.to_str().expect("a path"),
            "--project",
            "tumours-2026",
            "--purpose",
            "a joint model",
        ];
        let tables: Vec<String> = NAMES[..3].iter().map(|name| format!("{name}=tumours")).collect();
        tables.iter().for_each(|table| args.extend(["--table", table.as_str()]));
        args.extend(more);
        let digest = self.nodes[NAMES[0]].run(&args).trim().to_owned();
        for name in &NAMES[1..] {
            until("the manifest arrives", || self.nodes[name].run(&["jobs"]).contains(&digest[..12]));
        }
        digest
    }
    /// Others learn the model: by the built-in rules that takes two persons at each organisation, of whom one submitted it.
    fn approve(&self, digest: &str) {
        self.nodes[NAMES[0]].run(&["job", "approve", digest, "--person", "officer"]);
        for name in &NAMES[1..] {
            assert!(self.nodes[name].run(&["jobs", "--pending"]).contains(&digest[..12]));
            let said = self.nodes[name].run(&["job", "approve", digest, "--person", "officer"]);
            assert!(said.contains("1 of 2"), "{said}");
            self.nodes[name].run(&["job", "approve", digest, "--person", "officer"]);
            assert_eq!(self.state_of(name, digest), "pending", "one person is one");
            self.nodes[name].run(&["job", "approve", digest, "--person", "head"]);
        }
    }
    fn state_of(&self, name: &str, digest: &str) -> String {
        self.nodes[name].state(digest)
    }
    fn ends(&self, digest: &str, state: &str) {
        for name in NAMES {
            until(&format!("{name}: {state}"), || {
                let found = self.nodes[name].state(digest);
                assert!(
                    found == state || !["done", "aborted", "denied", "expired"].contains(&&*found),
                    "{name}: {}",
                    self.nodes[name].job(digest)
                );
                found == state
            });
        }
    }
}

fn epochs(n: i64) -> impl Fn(&mut toml::Table) {
    move |job| {
        job["training"].as_table_mut().expect("training").insert("epochs".into(), n.into());
    }
}

#[test]
fn four_organisations_train_a_model_that_one_of_them_interrupts() {
    let mut site = Site::new();
    // By hand at every organisation.
    let digest = site.submit(epochs(20), &[]);
    assert_eq!(site.nodes["helper"].state(&digest), "pending");
    site.approve(&digest);
    site.ends(&digest, "done");
    let report = &site.nodes[NAMES[1]].job(&digest)["report"];
    let told = site.nodes["helper"].run(&["job", "explain", &digest]);
    assert!(
        NAMES.iter().all(|name| told.contains(&format!("{name} approves"))) && told.contains("opens the model"),
        "{told}"
    );
    assert!(report["joint"]["auc"].as_f64().expect("an AUC") > 0.98, "{report}");
    // Nobody runs it twice.
    assert!(site.nodes[NAMES[1]].fails(&["job", "approve", &digest]).contains("has decided"));

    // One denies: it never starts, and all know who and why.
    let denied = site.submit(epochs(3), &[]);
    site.nodes["hospital-b"].run(&["job", "deny", &denied, "--reason", "not our purpose"]);
    site.ends(&denied, "denied");
    let reason = site.nodes["helper"].job(&denied)["line"]["reason"].as_str().expect("text").to_owned();
    assert!(reason.contains("hospital-b") && reason.contains("not our purpose"), "{reason}");

    // One dies on the way; all others say so, alike, and when it is back they go on from what they kept.
    let digest = site.submit(epochs(400), &[]);
    site.approve(&digest);
    until("some epochs are done", || site.nodes[NAMES[0]].job(&digest)["line"]["state"] == "running");
    std::thread::sleep(Duration::from_secs(2));
    let killed = Instant::now();
    site.nodes.get_mut("hospital-c").expect("a node").kill();
    let others = ["hospital-a", "hospital-b", "helper"];
    for name in others {
        until("the loss is noticed", || site.nodes[name].state(&digest) == "paused");
    }
    // Within ten seconds, the commands that ask aside.
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
    let reasons: Vec<String> =
        others.iter().map(|name| site.nodes[name].job(&digest)["line"]["reason"].to_string()).collect();
    site.nodes.get_mut("hospital-c").expect("a node").start();
    site.ends(&digest, "done");
    assert!(reasons.iter().all(|reason| reason.contains("hospital-c")), "{reasons:?}");
    assert_eq!(site.nodes[NAMES[0]].job(&digest)["line"]["attempt"], 2);

    site.logs_hold();
}

#[test]
fn a_member_that_only_dials_out_takes_part_through_anothers_node() {
    let outbound = "hospital-b";
    let mut site = Site::with(Some(outbound));
    let relay = site.nodes[NAMES[0]].address();
    assert_eq!(site.nodes[outbound].configured("listen"), "");
    // All reach it, the relay itself, too, and see how, as soon as all know all members.
    for name in NAMES {
        let doctor = || {
            let said = site.nodes[name].command(&["doctor", "--project", "tumours-2026"]).output().expect("it starts");
            (said.status.success(), String::from_utf8_lossy(&said.stdout).into_owned())
        };
        until("all reach all", || doctor().0);
        let (_, said) = doctor();
        assert_eq!(said.contains(&format!("through the relay {relay}")), name != outbound, "{said}");
    }
    let refused = site.nodes[outbound].fails(&["invite", "hospital-d", "--project", "another"]);
    assert!(refused.contains("only dials out"), "{refused}");

    let digest = site.submit(epochs(20), &[]);
    site.approve(&digest);
    site.ends(&digest, "done");
    let report = &site.nodes[outbound].job(&digest)["report"];
    assert!(report["joint"]["auc"].as_f64().expect("an AUC") > 0.98, "{report}");

    // The relay dies: the others say whom they do not reach; when it is back, all go on.
    let digest = site.submit(epochs(400), &[]);
    site.approve(&digest);
    until("it runs", || site.nodes[NAMES[0]].state(&digest) == "running");
    std::thread::sleep(Duration::from_secs(2));
    site.nodes.get_mut(NAMES[0]).expect("a node").kill();
    for name in [outbound, "hospital-c", "helper"] {
        until("the loss is noticed", || site.nodes[name].state(&digest) == "paused");
        let reason = site.nodes[name].job(&digest)["line"]["reason"].to_string();
        assert!(reason.contains(NAMES[0]) || reason.contains(outbound), "{name}: {reason}");
    }
    let said = site.nodes["helper"].command(&["doctor", "--project", "tumours-2026"]).output().expect("it starts");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains(&format!("{outbound} does not answer at relay:{relay}")), "{said}");
    assert!(said.contains(&format!("{} does not answer at {relay}", NAMES[0])), "{said}");
    site.nodes.get_mut(NAMES[0]).expect("a node").start();
    site.ends(&digest, "done");
    assert_eq!(site.nodes[NAMES[0]].job(&digest)["line"]["attempt"], 2);
    site.logs_hold();
}

/// What a fault leaves behind: every job ends, with the same word everywhere, and all logs agree. Two faults; thirty under `cargo xtask heavy`.
#[test]
fn killed_frozen_and_stopped_nodes_leave_no_job_without_an_end() {
    let faults = if std::env::var_os("PRIVITY_HEAVY").is_some() { 30 } else { 2 };
    let mut site = Site::new();
    for node in site.nodes.values() {
        let rule = "@id(\"all\")\n@reason(\"a test\")\npermit (principal, action == Action::\"run\", resource);\n";
        std::fs::write(node.home.join("policy.cedar"), rule).expect("a policy");
    }
    std::thread::sleep(Duration::from_secs(2));
    for fault in 0..faults {
        let digest = site.submit(epochs(200 + fault), &[]);
        until("it runs", || {
            site.nodes[NAMES[0]].state(&digest) != "ready" && site.nodes[NAMES[0]].state(&digest) != "pending"
        });
        let (name, kind) = (NAMES[random(4) as usize], random(3));
        let moment = Duration::from_millis(random(3000));
        let what = format!("fault {fault}, of kind {kind}, at {name} after {moment:?}");
        println!("{what}");
        std::thread::sleep(moment);
        let node = site.nodes.get_mut(name).expect("a node");
        match kind {
            0 => {
                node.kill();
                std::thread::sleep(Duration::from_millis(random(8000)));
                node.start();
            }
            1 => {
                node.signal("STOP");
                std::thread::sleep(Duration::from_millis(500 + random(12_000)));
                node.signal("CONT");
            }
            _ => {
                assert!(node.stop(), "{what}");
                node.start();
            }
        }
        let mut ends = Vec::new();
        for name in NAMES {
            until(&format!("{what}: an end at {name}"), || {
                ["done", "aborted", "denied", "expired"].contains(&site.nodes[name].state(&digest).as_str())
            });
            let line = site.nodes[name].job(&digest)["line"].clone();
            assert!(line["attempt"].as_u64().expect("a number") <= 5, "{what}: {line}");
            ends.push((line["state"].to_string(), line["reason"].to_string()));
        }
        let alike = ends.iter().all(|end| *end == ends[0]);
        let some_done = ends.iter().any(|(state, _)| state == "\"done\"");
        let explained =
            ends.iter().all(|(state, reason)| state == "\"done\"" || reason.contains("has its results already"));
        assert!(alike || (some_done && explained), "{what}: {ends:?}");
        println!("{what}: {} after {} attempts", ends[0].0, site.nodes[NAMES[0]].job(&digest)["line"]["attempt"]);
    }
    site.logs_hold();
}

impl Site {
    /// Every log is whole, and all confirm each other.
    fn logs_hold(&mut self) {
        let export = |name: &str| self.folder.path().join(format!("{name}.privityaudit"));
        let exports: Vec<PathBuf> = NAMES.iter().map(|name| export(name)).collect();
        std::thread::sleep(Duration::from_secs(12));
        for (name, export) in NAMES.iter().zip(&exports) {
            let node = self.nodes.get_mut(name).expect("a node");
            assert!(node.stop(), "{name}");
            let log = node.home.join("audit");
            let (log, export) = (log.to_str().expect("a path"), export.to_str().expect("a path"));
            node.run(&["audit", "export", "--log", log, "--out", export]);
        }
        let mut verify = vec!["audit", "verify"];
        verify.extend(exports.iter().map(|export| export.to_str().expect("a path")));
        let verdict = self.nodes[NAMES[0]].run(&verify);
        assert!(verdict.contains("4 logs"), "{verdict}");
    }
}

/// A number below this one.
fn random(below: u64) -> u64 {
    use std::hash::BuildHasher;
    std::collections::hash_map::RandomState::new().hash_one(0) % below
}
