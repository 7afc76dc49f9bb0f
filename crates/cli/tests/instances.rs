//! Two instances of one organisation's node share its directory and a PostgreSQL database: one serves, and when it or the server of the database is killed, or it
//! is frozen for a while, every job ends all the same, and no attempt is run twice.

#[path = "../../node/tests/postgres/mod.rs"]
mod postgres;
mod site;

use postgres::Server;
use serde_json::Value;
use site::{NAMES, Node, Site, epochs, port, until};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What an instance's monitor says at a path: the status and the text; nothing if it does not answer.
fn monitor(address: &str, path: &str) -> Option<(u16, String)> {
    let patience = Duration::from_millis(500);
    let mut stream = TcpStream::connect_timeout(&address.parse().expect("an address"), patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some((answer.split(' ').nth(1)?.parse().ok()?, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

fn ready(address: &str) -> bool {
    monitor(address, "/ready").is_some_and(|(status, _)| status == 200)
}

/// Passes connections on to whichever instance is ready, as a load balancer does; where it listens.
fn balance(instances: Vec<(String, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let target: Arc<Mutex<Option<String>>> = Arc::default();
    let found = target.clone();
    std::thread::spawn(move || {
        loop {
            let ready = instances.iter().find(|(monitor, _)| ready(monitor)).map(|(_, listen)| listen.clone());
            *found.lock().expect("a target") = ready;
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    std::thread::spawn(move || {
        for caller in listener.incoming().flatten() {
            let target = target.clone();
            std::thread::spawn(move || pass(&caller, &target));
        }
    });
    address
}

/// Passes one connection on, as soon as an instance is ready.
fn pass(caller: &TcpStream, target: &Mutex<Option<String>>) {
    let began = Instant::now();
    let mut ready = None;
    while ready.is_none() && began.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(20));
        ready = target.lock().expect("a target").clone();
    }
    let Some(node) = ready.and_then(|address| TcpStream::connect(address).ok()) else { return };
    let copy = |from: &TcpStream, to: &TcpStream| {
        let (mut from, mut to) = (from.try_clone().expect("a stream"), to.try_clone().expect("a stream"));
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        })
    };
    for way in [copy(caller, &node), copy(&node, caller)] {
        let _ = way.join();
    }
}

/// What an instance has of its own.
fn variables(server: &Server) -> Vec<(&'static str, String)> {
    let address = || format!("127.0.0.1:{}", port("127.0.0.1"));
    vec![
        ("PRIVITY_LISTEN", address()),
        ("PRIVITY_ADMIN", address()),
        ("PRIVITY_MONITOR", address()),
        ("PRIVITY_DATABASE", server.url()),
    ]
}

/// The other instance takes the place of the one that serves.
fn changes_places(site: &mut Site, other: &mut Node) {
    std::mem::swap(site.nodes.get_mut(NAMES[0]).expect("the first"), other);
}

/// The log as it is on the disk: no number of an attempt is signed twice, no attempt has two sessions, and entries are where they say.
fn no_attempt_is_run_twice(home: &Path, least: usize) {
    let text = std::fs::read_to_string(home.join("audit/log.jsonl")).expect("a log");
    let (mut signed, mut sessions) = (BTreeMap::<String, u64>::new(), BTreeSet::new());
    for (i, line) in text.lines().enumerate() {
        let entry: Value = serde_json::from_str(line).expect("an entry");
        assert_eq!(entry["index"], i as u64, "{line}");
        let record = &entry["record"];
        let (job, number) = (record["manifest"].to_string(), record["number"].as_u64().unwrap_or_default());
        match record["kind"].as_str().expect("a kind") {
            "attempt" => assert!(signed.insert(job, number).is_none_or(|before| before < number), "{line}"),
            "session" => assert!(sessions.insert((job, number)), "{line}"),
            _ => {}
        }
    }
    assert!(sessions.len() >= least, "{sessions:?}");
}

/// The first organisation's node in two instances: the first serves, the second stands by.
struct Two {
    server: Server,
    site: Site,
    other: Node,
    home: PathBuf,
    /// Where the monitors of the two listen.
    monitors: [String; 2],
}

impl Two {
    fn new() -> Two {
        let server = Server::new();
        let (one, two) = (variables(&server), variables(&server));
        let of = |env: &[(&str, String)], key: &str| {
            env.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone()).expect("a variable")
        };
        let monitors = [of(&one, "PRIVITY_MONITOR"), of(&two, "PRIVITY_MONITOR")];
        let address = balance([&one, &two].map(|env| (of(env, "PRIVITY_MONITOR"), of(env, "PRIVITY_LISTEN"))).to_vec());
        let site = Site::with(None, &["--address", &address], one);
        let home = site.nodes[NAMES[0]].home.clone();
        for node in site.nodes.values() {
            let rule = "@id(\"all\")\n@reason(\"a test\")\npermit (principal, action == Action::\"run\", resource);\n";
            node.policy(rule);
        }
        let mut other = Node { home: home.clone(), process: None, env: two };
        other.spawn();
        let stands_by = || monitor(&monitors[1], "/health").is_some_and(|(_, said)| said == "standby\n");
        until("the second stands by", stands_by);
        Two { server, site, other, home, monitors }
    }
    /// All logs are whole, and what the two said shows nobody the password.
    fn ends(mut self, sessions: usize) {
        self.site.logs_hold();
        no_attempt_is_run_twice(&self.home, sessions);
        let said = std::fs::read_to_string(self.home.join("log")).expect("messages");
        let configured = std::fs::read_to_string(self.home.join("node.toml")).expect("a file");
        assert!(!said.contains(postgres::PASSWORD) && !configured.contains(postgres::PASSWORD));
    }
}

#[test]
fn an_instance_that_stands_by_says_so_and_nobody_notices_that_the_database_was_away() {
    let mut two = Two::new();
    assert!(!two.home.join("node.db").exists(), "its state is in PostgreSQL");
    // Nothing else opens the directory or the database meanwhile.
    let (status, said) = monitor(&two.monitors[1], "/ready").expect("an answer");
    assert!(status == 503 && said.contains("another instance"), "{status} {said}");
    assert!(monitor(&two.monitors[1], "/metrics").expect("an answer").1.contains("privity_standby 1"));
    assert!(ready(&two.monitors[0]));
    let said = two.other.fails(&["join", "127.0.0.1:1/00112233-44556677-8899aabb-ccddeeff-00112233"]);
    assert!(said.contains("serves") && !said.contains(postgres::PASSWORD), "{said}");

    // The server of the database dies and comes back.
    let digest = two.site.submit(epochs(300), &[]);
    two.site.nodes[NAMES[0]].trains(&digest, 3);
    let killed = Instant::now();
    two.server.kill();
    std::thread::sleep(Duration::from_secs(1));
    two.server.start();
    let answers = |node: &Node| node.command(&["jobs"]).output().expect("it starts").status.success();
    until("one serves", || answers(&two.site.nodes[NAMES[0]]) || answers(&two.other));
    let away = killed.elapsed();
    if !answers(&two.site.nodes[NAMES[0]]) {
        // On a machine so busy that the server needs longer than a lease lasts, the second takes over.
        assert!(away > Duration::from_secs(6), "{away:?}");
        changes_places(&mut two.site, &mut two.other);
        two.site.ends(&digest, "done");
        return two.ends(1);
    }
    two.site.ends(&digest, "done");
    assert_eq!(two.site.nodes[NAMES[0]].job(&digest)["line"]["attempt"], 1);
    assert!(ready(&two.monitors[0]) && !ready(&two.monitors[1]));
    two.ends(1);
}

#[test]
fn an_instance_takes_over_from_one_that_is_killed_or_frozen() {
    let mut two = Two::new();
    let (site, other, monitors) = (&mut two.site, &mut two.other, &two.monitors);
    // The serving instance is killed while a job runs and others wait.
    let digests: Vec<String> = [400, 150, 151].map(|n| site.submit(epochs(n), &[])).to_vec();
    site.nodes[NAMES[0]].trains(&digests[0], 3);
    let killed = Instant::now();
    site.nodes.get_mut(NAMES[0]).expect("the first").kill();
    until("the second serves", || ready(&monitors[1]));
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
    changes_places(site, other);
    digests.iter().for_each(|digest| site.ends(digest, "done"));

    // The one that serves now is frozen while a job runs; it wakes when the first, started again, has taken over.
    other.spawn();
    until("the first stands by", || monitor(&monitors[0], "/health").is_some_and(|(_, said)| said == "standby\n"));
    let digest = site.submit(epochs(210), &[]);
    site.nodes[NAMES[0]].trains(&digest, 3);
    let frozen = Instant::now();
    site.nodes[NAMES[0]].signal("STOP");
    until("the first serves", || ready(&monitors[0]));
    assert!(frozen.elapsed() < Duration::from_secs(15), "{:?}", frozen.elapsed());
    changes_places(site, other);
    until("the first answers", || {
        site.nodes[NAMES[0]].command(&["status"]).output().expect("it starts").status.success()
    });
    other.signal("CONT");
    let mut woken = other.process.take().expect("a process");
    until("it ends", || woken.try_wait().expect("its state").is_some());
    assert_eq!(woken.wait().expect("an end").code(), Some(6), "it says that it did not end in order");
    site.ends(&digest, "done");
    assert!(site.nodes[NAMES[0]].job(&digest)["line"]["attempt"].as_u64() >= Some(2), "it was interrupted");
    let said = std::fs::read_to_string(two.home.join("log")).expect("messages");
    assert!(said.contains("the node ends: another instance may take over"));
    two.ends(4);
}

/// With SQLite a directory is one process's; and the configuration is shown without what opens the database.
#[test]
fn a_directory_is_one_nodes_and_a_password_is_shown_nowhere() {
    let folder = tempfile::tempdir().expect("a directory");
    let mut node = Node::init(folder.path(), ("hospital-a", 0), None, &[], Vec::new());
    let other = |key| (key, format!("127.0.0.1:{}", port("127.0.0.1")));
    node.start();
    let second =
        Node { home: node.home.clone(), process: None, env: vec![other("PRIVITY_LISTEN"), other("PRIVITY_ADMIN")] };
    let said = second.fails(&["node"]);
    assert!(said.contains("E1004") && said.contains("open in another process"), "{said}");
    assert!(node.command(&["status"]).output().expect("it starts").status.success(), "the first goes on");

    let url = |port: &str| ("PRIVITY_DATABASE", format!("postgres://privity:s3cret@127.0.0.1:{port}/privity"));
    let with = |variable| Node { home: node.home.clone(), process: None, env: vec![variable] };
    let said = with(url("5432")).run(&["node", "--check-config"]);
    assert!(said.contains("makes sense") && !said.contains("s3cret"), "{said}");
    let said = with(url("x")).fails(&["node", "--check-config"]);
    assert!(said.contains("E1001") && said.contains("database") && !said.contains("s3cret"), "{said}");
    let said = with(url("1")).fails(&["node"]);
    assert!(said.contains("E1003") && !said.contains("s3cret"), "{said}");
}
