//! Four organisations of one project, each with its node in a process of its own.
#![allow(dead_code)]

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const NAMES: [&str; 4] = ["hospital-a", "hospital-b", "hospital-c", "helper"];

/// A free port of an address, below those that systems give to outgoing connections.
pub fn port(address: &str) -> u16 {
    use std::hash::BuildHasher;
    let random = std::collections::hash_map::RandomState::new();
    let mut candidates = (0..200u32).map(|attempt| 10_000 + (random.hash_one(attempt) % 22_000) as u16);
    candidates.find(|port| std::net::TcpListener::bind((address, *port)).is_ok()).expect("a free port")
}

/// An organisation's node.
pub struct Node {
    pub home: PathBuf,
    pub process: Option<Child>,
    /// What of its configuration is not that of its directory.
    pub env: Vec<(&'static str, String)>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Node {
    /// At a port of its own, where it is a relay; or through the relay at an address.
    pub fn init(
        site: &Path,
        (name, number): (&str, usize),
        through: Option<&str>,
        more: &[&str],
        env: Vec<(&'static str, String)>,
    ) -> Node {
        let (home, own) = (site.join("nodes").join(name), format!("127.0.0.{}", number + 1));
        std::fs::create_dir_all(site.join("nodes")).expect("a directory");
        let node = Node { home, process: None, env };
        let (listen, admin) = (format!("{own}:{}", port(&own)), format!("127.0.0.1:{}", port("127.0.0.1")));
        let mut args = vec!["init", "--org", name, "--admin", &admin];
        match through {
            Some(relays) => args.extend(["--outbound-only", relays]),
            None => args.extend(["--listen", &listen, "--relay"]),
        }
        args.extend(more);
        if name == "helper" {
            args.push("--helper");
        }
        node.run(&args);
        node
    }
    /// As its configuration has it.
    pub fn configured(&self, key: &str) -> String {
        let text = std::fs::read_to_string(self.home.join("node.toml")).expect("a configuration");
        let table: toml::Table = text.parse().expect("TOML");
        table[key].as_str().expect("text").to_owned()
    }
    pub fn is_helper(&self) -> bool {
        std::fs::read_to_string(self.home.join("node.toml")).expect("a configuration").contains("helper = true")
    }
    pub fn address(&self) -> String {
        self.configured("address")
    }
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(cargo_bin("privity"));
        command.args(args).env("PRIVITY_HOME", &self.home).envs(self.env.iter().cloned());
        command
    }
    /// What a command prints; it must succeed.
    pub fn run(&self, args: &[&str]) -> String {
        let output = output(self.command(args));
        let said = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        assert!(output.status.success(), "{args:?}: {}{}", said(&output.stdout), said(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }
    /// What a command that must fail says.
    pub fn fails(&self, args: &[&str]) -> String {
        let output = output(self.command(args));
        assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).expect("text")
    }
    pub fn start(&mut self) {
        self.spawn();
        until("the node answers", || output(self.command(&["status"])).status.success());
    }
    /// Starts it, whether it serves soon or not.
    pub fn spawn(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.home.join("log")).expect("a log");
        let process = self.command(&["node"]).stderr(log).spawn().expect("the node starts");
        self.process = Some(process);
    }
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
    pub fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("a node that runs").id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &process]).status().expect("kill").success());
    }
    /// Ends as the system asks it to; whether in order.
    pub fn stop(&mut self) -> bool {
        // It stays this node's until it has ended: where it does not, it is killed with the test.
        let process = self.process.as_mut().expect("a node that runs");
        let asked = Command::new("kill").arg(process.id().to_string()).status().expect("kill");
        let mut ended = None;
        until("the node ends", || {
            ended = process.try_wait().expect("an end");
            ended.is_some()
        });
        self.process = None;
        asked.success() && ended.is_some_and(|status| status.success())
    }
    pub fn job(&self, digest: &str) -> Value {
        serde_json::from_str(&self.run(&["job", "show", digest, "--json"])).expect("JSON")
    }
    pub fn state(&self, digest: &str) -> String {
        self.job(digest)["line"]["state"].as_str().expect("text").to_owned()
    }
    /// Gives it other rules while it runs.
    pub fn policy(&self, rules: &str) {
        let said = || std::fs::read_to_string(self.home.join("log")).expect("a log");
        let taken = || said().matches("another policy is in use").count();
        let before = taken();
        std::fs::write(self.home.join("policy.cedar"), rules).expect("a policy");
        until("the policy is in use", || taken() > before);
    }
    /// Waits until it has trained for so many epochs, of a job that goes on for much longer.
    pub fn trains(&self, digest: &str, epochs: usize) {
        until("it begins", || !["pending", "ready"].contains(&self.state(digest).as_str()));
        let watching = self.command(&["job", "watch", digest]).stdout(Stdio::piped()).spawn();
        let mut watching = watching.expect("the program starts");
        let lines = BufReader::new(watching.stdout.take().expect("piped")).lines();
        let reached = format!("\"event\":\"epoch\",\"epoch\":{epochs},");
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).all(|line| tell.send(line).is_ok()));
        let line = || told.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("no epoch {epochs}: {e}"));
        while !line().contains(&reached) {}
        let _ = watching.kill();
        let _ = watching.wait();
    }
    /// Whether these have cosigned all that is in its log, cosignatures of others' logs aside.
    fn is_cosigned_by<'a>(&self, others: impl IntoIterator<Item = &'a str>) -> bool {
        let lines = |file: &str| -> Vec<Value> {
            let text = std::fs::read_to_string(self.home.join("audit").join(file)).unwrap_or_default();
            // The last line may be half written.
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
        };
        let news = lines("log.jsonl").iter().rposition(|entry| entry["record"]["kind"] != "cosigned").map(|i| i + 1);
        let cosigned = lines("cosigned.jsonl");
        others.into_iter().all(|other| {
            let by = |line: &&Value| line["body"]["organisation"] == other;
            cosigned.iter().filter(by).any(|line| line["body"]["head"]["size"].as_u64() >= news.map(|n| n as u64))
        })
    }
}

/// How long anything may take here: a test that waits for what never comes ends, and says for what it waited.
const PATIENCE: Duration = Duration::from_secs(150);

/// What a command prints, and how it ended: killed, if that takes too long.
fn output(command: Command) -> Output {
    assert_cmd::Command::from_std(command).timeout(PATIENCE).output().expect("the program starts")
}

#[track_caller]
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Four members of one project, their tables registered, and a job file of the demonstration.
pub struct Site {
    pub folder: tempfile::TempDir,
    pub nodes: BTreeMap<&'static str, Node>,
    /// The directory of the demonstration whose job is submitted, and the table that its job wants.
    pub case: (&'static str, &'static str),
}

/// A demonstration with four parties, kept in a directory.
fn demonstrate(args: &[&str], keep: &Path) {
    let mut demo = Command::new(cargo_bin("privity"));
    demo.arg("demo").args(args).args(["--adversary", "active", "--json", "--keep"]).arg(keep);
    let made = output(demo);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

impl Site {
    pub fn new() -> Site {
        Site::with(None, &[], Vec::new())
    }
    /// One of them without a port, behind the first.
    pub fn behind(outbound: &str) -> Site {
        Site::with(Some(outbound), &[], Vec::new())
    }
    /// One of them without a port, behind the first and before that behind a node that takes part in nothing.
    pub fn behind_two(outbound: &str, carrier: &'static str) -> Site {
        Site::made(Some(outbound), Some(carrier), &[], Vec::new())
    }
    /// The first organisation's node is made with more arguments, and runs with more variables.
    pub fn with(outbound: Option<&str>, more: &[&str], env: Vec<(&'static str, String)>) -> Site {
        Site::made(outbound, None, more, env)
    }
    fn made(
        outbound: Option<&str>,
        carrier: Option<&'static str>,
        more: &[&str],
        env: Vec<(&'static str, String)>,
    ) -> Site {
        let folder = tempfile::tempdir().expect("a scratch directory");
        // Its job is submitted with other epochs.
        demonstrate(&["breast-cancer", "--epochs", "1"], &folder.path().join("demo"));
        let first = Node::init(folder.path(), (NAMES[0], 0), None, more, env);
        let mut relay = first.address();
        let mut nodes = BTreeMap::from([(NAMES[0], first)]);
        if let Some(name) = carrier {
            let node = Node::init(folder.path(), (name, NAMES.len()), None, &["--helper"], Vec::new());
            relay = format!("{},{relay}", node.address());
            nodes.insert(name, node);
        }
        for (i, name) in NAMES.iter().enumerate().skip(1) {
            let through = outbound.filter(|outbound| outbound == name).map(|_| relay.as_str());
            nodes.insert(name, Node::init(folder.path(), (name, i), through, &[], Vec::new()));
        }
        nodes.get_mut(NAMES[0]).expect("the first").start();
        let mut site = Site { folder, nodes, case: ("demo", "tumours") };
        for name in carrier.iter().chain(&NAMES[1..]) {
            site.join(name);
            site.nodes.get_mut(name).expect("a node").start();
        }
        NAMES[..3].iter().for_each(|name| site.add_table(name));
        site
    }
    /// Registers the rows of an organisation.
    pub fn add_table(&self, name: &str) {
        let keep = self.folder.path().join(self.case.0);
        let (data, schema) = (keep.join(name).join("data.csv"), keep.join("schema.toml"));
        let (data, schema) = (data.to_str().expect("a path"), schema.to_str().expect("a path"));
        let said = self.nodes[name].run(&["table", "add", self.case.1, "--data", data, "--schema", schema]);
        assert!(said.contains("rows"), "{said}");
    }
    /// Invitation, code, words, confirmation.
    pub fn join(&mut self, name: &str) {
        self.join_by(NAMES[0], "tumours-2026", name);
    }
    /// As [`Site::join`], at another inviter.
    pub fn join_by(&self, inviter: &str, project: &str, name: &str) {
        let inviter = &self.nodes[inviter];
        let mut args = vec!["invite", name, "--project", project];
        if self.nodes[name].is_helper() {
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
    /// From here on payments of three banks, here under the members' names, and the job that finds fraud in them.
    pub fn fraud(&mut self) {
        let keep = self.folder.path().join("fraud");
        demonstrate(&["fraud", "--rows", "3000", "--epochs", "1"], &keep);
        self.case = ("fraud", "payments");
        let file = keep.join("job.toml");
        let mut job = std::fs::read_to_string(&file).expect("a job file");
        for (bank, name) in ["bank-a", "bank-b", "bank-c"].iter().zip(NAMES) {
            std::fs::rename(keep.join(bank), keep.join(name)).expect("a directory");
            job = job.replace(bank, name);
            self.add_table(name);
        }
        std::fs::write(file, job).expect("a job file");
    }
    /// Submits the job of the demonstration, changed; its digest.
    pub fn submit(&self, change: impl Fn(&mut toml::Table), more: &[&str]) -> String {
        let folder = self.folder.path().join(self.case.0);
        let text = std::fs::read_to_string(folder.join("job.toml")).expect("a job file");
        let mut job: toml::Table = text.parse().expect("TOML");
        for participant in job["participants"].as_array_mut().expect("participants") {
            let participant = participant.as_table_mut().expect("a participant");
            participant.remove("address");
            participant.remove("fingerprint");
        }
        change(&mut job);
        let file = folder.join("submitted.toml");
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
        let tables: Vec<String> = NAMES[..3].iter().map(|name| format!("{name}={}", self.case.1)).collect();
        tables.iter().for_each(|table| args.extend(["--table", table.as_str()]));
        args.extend(more);
        let digest = self.nodes[NAMES[0]].run(&args).trim().to_owned();
        for name in &NAMES[1..] {
            until("the manifest arrives", || self.nodes[name].run(&["jobs"]).contains(&digest[..12]));
        }
        digest
    }
    /// Others learn the model: by the built-in rules that takes two persons at each organisation, of whom one submitted it.
    pub fn approve(&self, digest: &str) {
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
    pub fn state_of(&self, name: &str, digest: &str) -> String {
        self.nodes[name].state(digest)
    }
    pub fn ends(&self, digest: &str, state: &str) {
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

pub fn epochs(n: i64) -> impl Fn(&mut toml::Table) {
    move |job| {
        job["training"].as_table_mut().expect("training").insert("epochs".into(), n.into());
    }
}

impl Site {
    /// Every log is whole, and all confirm each other.
    pub fn logs_hold(&mut self) {
        let export = |name: &str| self.folder.path().join(format!("{name}.privityaudit"));
        let exports: Vec<PathBuf> = NAMES.iter().map(|name| export(name)).collect();
        for name in NAMES {
            let others = || NAMES.into_iter().filter(|other| *other != name);
            until("its log is cosigned", || self.nodes[name].is_cosigned_by(others()));
        }
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
        self.no_cell_is_kept(&exports);
    }

    /// No cell of a table that is long enough to be known again, and no beginning of a row, stands anywhere in a node's directory (database, audit log, messages, results), nor in an export.
    fn no_cell_is_kept(&self, exports: &[PathBuf]) {
        let mut cells = BTreeSet::new();
        for name in &NAMES[..3] {
            let data = self.folder.path().join(self.case.0).join(name).join("data.csv");
            let text = std::fs::read_to_string(&data).expect("rows");
            let rows = || text.lines().skip(1);
            let long = rows().flat_map(|row| row.split(',')).filter(|cell| cell.len() >= 8);
            cells.extend(long.take(40).chain(rows().filter_map(|row| row.get(..20)).take(40)).map(str::to_owned));
        }
        assert!(cells.len() >= 20, "{cells:?}");
        let mut folders: Vec<PathBuf> = self.nodes.values().map(|node| node.home.clone()).collect();
        let mut files = exports.to_vec();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        for file in files {
            let bytes = std::fs::read(&file).expect("a file");
            let text = String::from_utf8_lossy(&bytes);
            // One or two may be figures of something else.
            let found: Vec<_> = cells.iter().filter(|cell| text.contains(cell.as_str())).collect();
            assert!(found.len() < 3, "{}: {found:?}", file.display());
        }
    }
}
