//! A node among members that lie: what they may not make it do. The others are played here, with roots of their own; the node is a real one.

mod catalogue;
mod common;
mod leaving;
mod revoking;

use common::{SCHEMA, port};
use privity_api::{Approval, Attempt, Decision, Manifest, Member, Project, Purpose, Statement, sha256};
use privity_keys::Root;
use privity_net::control;
use privity_net::identity::Identity;
use privity_node::message::{End, Pong, Start};
use privity_node::store::Store;
use privity_node::{Config, daemon, home, now};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// An organisation that is played.
struct Liar {
    name: &'static str,
    root: Arc<dyn Root>,
    address: String,
}

impl Liar {
    fn new(folder: &Path, name: &'static str) -> Liar {
        let root = privity_keys::create("file:root", &folder.join(name), name).expect("a root");
        Liar { name, root, address: format!("127.0.0.1:{}", port()) }
    }
    fn member(&self) -> Member {
        let name = self.name.to_owned();
        Member {
            operator: name.clone(),
            organisation: name,
            root: self.root.fingerprint(),
            address: self.address.clone(),
            helper: false,
        }
    }
    /// A certificate that is valid from this moment.
    fn leaf(&self, from: i64) -> Identity {
        self.root.issue(self.name, from, now() + 3600).expect("a certificate")
    }
    fn sign<B: Purpose>(&self, body: B) -> Statement<B> {
        Statement::new(body, &*self.root).expect("a signature")
    }
    fn approval(&self, manifest: &str, decision: Decision) -> Statement<Approval> {
        let (organisation, reason) = (self.name.to_owned(), "as agreed".to_owned());
        self.sign(Approval {
            manifest: manifest.into(),
            organisation,
            decision,
            reason,
            by: vec!["ann".into()],
            at: now(),
        })
    }
}

/// The node of `bank-b`, and two members of its project that lie.
struct Site {
    runtime: Runtime,
    running: Option<daemon::Running>,
    config: Config,
    token: String,
    a: Liar,
    c: Liar,
    own: Member,
    folder: tempfile::TempDir,
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.drain());
        }
    }
}

impl Site {
    fn new() -> Site {
        Site::made(false)
    }
    /// Its node is a relay or not; if it is, `bank-c` is reached through it.
    fn made(relay: bool) -> Site {
        control::provide();
        let folder = tempfile::tempdir().expect("a directory");
        let home = folder.path().join("bank-b");
        let text = format!(
            "organisation = \"bank-b\"\nlisten = \"127.0.0.1:{}\"\nadmin = \"127.0.0.1:{}\"\nmonitor = \"127.0.0.1:{}\"\nrelay = {relay}\nlanes = 1\n",
            port(),
            port(),
            port()
        );
        let config = Config::parse(&text, |_| None).expect("a configuration");
        let root = daemon::init(&home, &config).expect("a node's directory");
        let (a, mut c) = (Liar::new(folder.path(), "bank-a"), Liar::new(folder.path(), "bank-c"));
        if relay {
            c.address = format!("relay:{}", config.address);
        }
        let own = Member {
            organisation: "bank-b".into(),
            operator: "bank-b".into(),
            root,
            address: config.address.clone(),
            helper: false,
        };
        let runtime = Runtime::new().expect("a runtime");
        let project = a.sign(Project {
            name: "fraud".into(),
            founder: "bank-a".into(),
            version: 1,
            members: vec![a.member(), own.clone(), c.member()],
        });
        let token = std::fs::read_to_string(home::token(&home)).expect("a token");
        let running = runtime.block_on(async {
            let store = Store::open(&home).await.expect("a database");
            store.put_project(&a.root.fingerprint(), &project).await.expect("it is kept");
            daemon::start(&home).await.expect("a node")
        });
        let site = Site { runtime, running: Some(running), config, token, a, c, own, folder };
        let rows: String =
            (0..40).map(|i| format!("{},{}\n", f64::from(i) / 40.0, if i % 3 == 0 { "yes" } else { "no" })).collect();
        let data = site.folder.path().join("rows.csv");
        std::fs::write(&data, format!("x,y\n{rows}")).expect("rows");
        let table = json!({ "name": "payments", "path": data, "schema": SCHEMA, "rows": 0 });
        assert_eq!(site.tool("POST", "tables", Some(&table)).0, 200);
        site
    }

    /// A tool of the node's own organisation asks.
    fn tool(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let url = format!("http://{}/api/v1/{path}", self.config.admin);
        self.runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            let method = method.parse().expect("a method");
            let mut request = client.request(method, url).bearer_auth(self.token.trim());
            if let Some(body) = body {
                request = request.header("content-type", "application/json").body(body.to_string());
            }
            let answer = request.send().await.expect("the node answers");
            let (status, text) = (answer.status().as_u16(), answer.text().await.expect("text"));
            (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
        })
    }
    /// Another organisation's node says something: the status and the words of the answer.
    fn says<T: Serialize>(&self, who: &Liar, path: &str, body: &T) -> (u16, String) {
        self.calls(who, path, body).expect("the node answers")
    }
    fn calls<T: Serialize>(&self, who: &Liar, path: &str, body: &T) -> Result<(u16, String), reqwest::Error> {
        self.calls_by(&who.leaf(now() - 60), path, body)
    }
    /// As [`Site::calls`], with this certificate.
    fn calls_by<T: Serialize>(
        &self,
        identity: &Identity,
        path: &str,
        body: &T,
    ) -> Result<(u16, String), reqwest::Error> {
        let tls = control::client(identity, Some(&self.own.root), &Arc::default()).expect("TLS");
        let url = format!("https://{}/peer/v1/{path}", self.config.address);
        let body = serde_json::to_string(body).expect("JSON");
        self.runtime.block_on(async {
            let client = reqwest::Client::builder().tls_backend_preconfigured(tls).http1_only().no_proxy().build();
            let answer = client.expect("a client").post(url).body(body).send().await?;
            Ok((answer.status().as_u16(), answer.text().await?))
        })
    }
    fn takes<T: Serialize>(&self, who: &Liar, path: &str, body: &T) -> String {
        let (status, text) = self.says(who, path, body);
        assert_eq!(status, 200, "{path}: {text}");
        text
    }
    /// It must refuse, with this code.
    #[track_caller]
    fn refuses<T: Serialize>(&self, who: &Liar, path: &str, body: &T, code: &str) -> String {
        let (status, text) = self.says(who, path, body);
        assert!(status >= 400 && text.starts_with(code), "{path}: {status} {text}");
        text
    }

    /// An operator's tool looks.
    fn look(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}/{path}", self.config.monitor);
        self.runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            let answer = client.get(url).send().await.expect("the node answers");
            (answer.status().as_u16(), answer.text().await.expect("text"))
        })
    }

    fn manifest(&self) -> Manifest {
        let members = [self.a.member(), self.own.clone(), self.c.member()];
        let program = std::fs::read(std::env::current_exe().expect("this program")).expect("its bytes");
        let (id, build) = (privity_api::hex(&rand()), sha256(&program));
        Manifest { id, build, ..common::manifest("fraud", &members) }
    }
    /// A job that all have approved; its digest.
    fn approved(&self) -> (Manifest, String) {
        let manifest = self.manifest();
        let digest = manifest.digest().expect("a digest");
        self.takes(&self.a, "manifest", &self.a.sign(manifest.clone()));
        for liar in [&self.a, &self.c] {
            self.takes(liar, "approval", &liar.approval(&digest, Decision::Approve));
        }
        self.vote(&digest, "approve");
        assert_eq!(self.state(&digest), "ready");
        (manifest, digest)
    }
    fn vote(&self, digest: &str, decision: &str) {
        let vote = json!({ "decision": decision, "reason": "seen", "person": "bob" });
        let (status, said) = self.tool("POST", &format!("jobs/{digest}/votes"), Some(&vote));
        assert_eq!(status, 200, "{said}");
    }
    fn line(&self, digest: &str) -> Value {
        self.tool("GET", &format!("jobs/{digest}"), None).1["line"].clone()
    }
    fn state(&self, digest: &str) -> String {
        self.line(digest)["state"].as_str().expect("a state").to_owned()
    }
    fn until(&self, digest: &str, state: &str) {
        let started = Instant::now();
        while self.state(digest) != state {
            assert!(started.elapsed() < Duration::from_secs(30), "not {state}: {}", self.line(digest));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    fn attempt(&self, who: &Liar, manifest: &Manifest, number: u32) -> Statement<Attempt> {
        let job = manifest.check(now()).expect("a job");
        let mut parameters = manifest.parameters(&job);
        parameters.push(("lanes".into(), "1".into()));
        who.sign(Attempt {
            manifest: manifest.digest().expect("a digest"),
            number,
            organisation: who.name.into(),
            build: manifest.build.clone(),
            parameters,
            at: now(),
        })
    }
    /// The node signs an attempt; all signatures.
    fn signed(&self, manifest: &Manifest, number: u32) -> Start {
        self.takes(&self.a, "ready", &manifest.digest().expect("a digest"));
        let ours = self.attempt(&self.a, manifest, number);
        let theirs = self.takes(&self.a, "attempt", &ours);
        let theirs: Statement<Attempt> = serde_json::from_str(&theirs).expect("an attempt");
        Start { attempts: vec![ours, theirs, self.attempt(&self.c, manifest, number)] }
    }
}

fn rand() -> [u8; 16] {
    let mut out = [0; 16];
    getrandom::fill(&mut out).expect("randomness");
    out
}

#[test]
fn an_attempt_starts_once_and_only_as_it_was_signed() {
    let site = Site::new();
    let (manifest, digest) = site.approved();
    // Nobody but the submitter asks, and nothing starts that was not signed by all.
    site.refuses(&site.c, "ready", &digest, "E2103");
    site.refuses(&site.c, "attempt", &site.attempt(&site.c, &manifest, 1), "E3003");
    let mut other = site.attempt(&site.a, &manifest, 1).body;
    let changed = other.parameters.iter_mut().find(|(name, _)| name.contains("protocol")).expect("a protocol");
    changed.1 = "additive".into();
    let text = site.refuses(&site.a, "attempt", &site.a.sign(other), "E2107");
    assert!(text.contains("protocol") && text.contains("additive") && text.contains("rep3"), "{text}");
    // Nobody jumps the queue, and nobody takes more lanes than it was given.
    site.refuses(&site.a, "attempt", &site.attempt(&site.a, &manifest, 1), "E3005");
    assert_eq!(site.takes(&site.a, "ready", &digest), r#"{"lanes":1}"#);
    for (lanes, said) in
        [("2", "asks for 2 lanes, and 1"), ("3", "1 to 2"), ("0", "1 to 2"), ("-1", "1 to 2"), ("\u{1b}", "1 to 2")]
    {
        let mut more = site.attempt(&site.a, &manifest, 1).body;
        more.parameters.last_mut().expect("lanes").1 = lanes.into();
        let text = site.refuses(&site.a, "attempt", &site.a.sign(more), "E3003");
        assert!(text.contains(said) && !text.contains('\u{1b}'), "{text}");
    }
    let start = site.signed(&manifest, 1);
    site.refuses(&site.a, "attempt", &start.attempts[0], "E3003");
    let less = Start { attempts: start.attempts[..2].to_vec() };
    site.refuses(&site.a, "start", &less, "E3003");
    let forged = Start {
        attempts: vec![
            start.attempts[0].clone(),
            start.attempts[1].clone(),
            site.attempt_as(&site.a, &manifest, "bank-c"),
        ],
    };
    site.refuses(&site.a, "start", &forged, "E3002");

    // Twice at once: one begins.
    let both: Vec<u16> = std::thread::scope(|s| {
        let asked: Vec<_> = (0..2).map(|_| s.spawn(|| site.says(&site.a, "start", &start).0)).collect();
        asked.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    assert!(both.contains(&200) && both.contains(&409), "{both:?}");
    assert_eq!(site.state(&digest), "running");
    // It ends, and the same start begins nothing any more.
    site.takes(&site.a, "end", &End::again(&digest, 1, 5, "a fault that passes"));
    site.takes(&site.c, "end", &End::again(&digest, 1, 5, "a fault that passes"));
    site.until(&digest, "paused");
    assert!(site.line(&digest)["reason"].as_str().expect("text").contains("a fault that passes"));
    site.refuses(&site.a, "start", &start, "E3003");
    assert_eq!(site.state(&digest), "paused");
    // The next one, and none before it; its number is gone when it was signed.
    let next = site.signed(&manifest, 3);
    site.refuses(&site.a, "attempt", &site.attempt(&site.a, &manifest, 2), "E3003");
    site.takes(&site.a, "start", &next);
    let long = End { again: false, ..End::again(&digest, 3, 5, "") };
    site.takes(&site.c, "end", &End { reason: "\u{1b}[2J".repeat(100_000), ..long.clone() });
    site.takes(&site.a, "end", &long);
    site.until(&digest, "aborted");
    let reason = site.line(&digest)["reason"].as_str().expect("text").to_owned();
    assert!(reason.chars().count() < 700 && !reason.contains('\u{1b}'), "{}", reason.len());
    let over = site.refuses(&site.a, "ready", &digest, "E3004");
    assert!(over.contains("aborted"), "{over}");
}

impl Site {
    /// An attempt in the name of another.
    fn attempt_as(&self, who: &Liar, manifest: &Manifest, name: &str) -> Statement<Attempt> {
        let body = self.attempt(who, manifest, 1).body;
        who.sign(Attempt { organisation: name.into(), ..body })
    }
}

#[test]
fn a_denial_is_never_lost() {
    let site = Site::new();
    // After the attempt was signed.
    let (manifest, digest) = site.approved();
    let start = site.signed(&manifest, 1);
    site.vote(&digest, "deny");
    site.refuses(&site.a, "start", &start, "E3004");
    assert_eq!(site.state(&digest), "denied");
    // While it runs; what others say then changes nothing.
    let (manifest, digest) = site.approved();
    let start = site.signed(&manifest, 1);
    site.takes(&site.a, "start", &start);
    assert_eq!(site.state(&digest), "running");
    site.takes(&site.c, "approval", &site.c.approval(&digest, Decision::Deny));
    assert_eq!(site.state(&digest), "denied");
    for liar in [&site.a, &site.c] {
        site.takes(liar, "end", &End::again(&digest, 1, 5, "stopped"));
        site.takes(liar, "approval", &liar.approval(&digest, Decision::Approve));
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(site.state(&digest), "denied");
    assert!(site.line(&digest)["reason"].as_str().expect("text").contains("bank-c denies it"));
    site.refuses(&site.a, "attempt", &site.attempt(&site.a, &manifest, 2), "E3004");
}

#[test]
fn a_name_stands_for_one_root() {
    let members = |site: &Site, change: &dyn Fn(&mut Vec<Member>)| {
        let mut members = vec![site.a.member(), site.own.clone(), site.c.member()];
        change(&mut members);
        site.a.sign(Project { name: "fraud".into(), founder: "bank-a".into(), version: 7, members })
    };
    let stranger = |site: &Site| Liar::new(&site.folder.path().join("more"), "mallory");
    type Change = fn(&mut Vec<Member>, String);
    let changes: [Change; 8] = [
        |m, theirs| m[1].root = theirs,
        |m, theirs| m[2].root = theirs,
        |m, _| m[2].organisation = "bank-d".into(),
        |m, _| m[1].organisation = "bank-e".into(),
        |m, _| drop(m.remove(0)),
        |m, _| m[2].root = "no root".into(),
        |m, _| m[2].address = "a b".into(),
        |m, _| m.push(Member { organisation: "bank-x".into(), ..m[2].clone() }),
    ];
    // Each at a node of its own: whom the founder leaves out there is removed all the same.
    for change in changes {
        let site = Site::new();
        let theirs = stranger(&site).root.fingerprint();
        site.refuses(&site.a, "project", &members(&site, &|m| change(m, theirs.clone())), "E1007");
    }
    let site = Site::new();
    let mallory = stranger(&site);
    let theirs = mallory.root.fingerprint();
    let members = |change: &dyn Fn(&mut Vec<Member>)| members(&site, change);
    // Nobody else states it, and a stranger nothing at all.
    site.refuses(&site.c, "project", &site.c.sign(members(&|_| ()).body), "E3002");
    site.refuses(&mallory, "ping", &json!({}), "E2103");
    assert_eq!(site.tool("GET", "projects", None).1[0]["version"], 1);
    // Nor does a name get another root by being left out for a while.
    site.takes(&site.a, "project", &site.a.sign(Project { version: 2, ..members(&|m| drop(m.remove(2))).body }));
    let back = Project { version: 3, ..members(&|m| m[2].root = theirs.clone()).body };
    site.refuses(&site.a, "project", &site.a.sign(back), "E1007");
    // A new member is one.
    site.takes(&site.a, "project", &members(&|m| m.push(mallory.member())));
    assert_eq!(site.tool("GET", "projects", None).1[0]["members"].as_array().expect("members").len(), 4);
}

#[test]
fn manifests_and_decisions_are_kept_once_and_within_limits() {
    let site = Site::new();
    let size = || site.tool("GET", "status", None).1["log"].as_u64().expect("a number");
    let manifest = site.manifest();
    let digest = manifest.digest().expect("a digest");
    let signed = site.a.sign(manifest.clone());
    std::thread::scope(|s| (0..4).for_each(|_| drop(s.spawn(|| site.takes(&site.a, "manifest", &signed)))));
    let once = size();
    site.takes(&site.a, "manifest", &signed);
    // Another of the same id leaves nothing behind.
    let other = Manifest { purpose: "something else".into(), ..manifest };
    site.refuses(&site.a, "manifest", &site.a.sign(other), "E1007");
    assert_eq!(size(), once);
    let approval = |change: &dyn Fn(&mut Approval)| {
        let mut body = site.c.approval(&digest, Decision::Approve).body;
        change(&mut body);
        site.c.sign(body)
    };
    for change in [
        &(|a: &mut Approval| a.reason = "x".repeat(2001)) as &dyn Fn(&mut Approval),
        &|a| a.reason = "\u{1b}[2J".into(),
        &|a| a.by = vec!["x".repeat(129)],
        &|a| a.by = vec!["x".into(); 33],
    ] {
        site.refuses(&site.c, "approval", &approval(change), "E1007");
    }
    assert_eq!(size(), once);
    let fine = approval(&|_| ());
    std::thread::scope(|s| (0..4).for_each(|_| drop(s.spawn(|| site.takes(&site.c, "approval", &fine)))));
    assert_eq!(size(), once + 1);
}

#[test]
fn who_has_nothing_to_do_with_a_job_does_not_hear_of_it() {
    let site = Site::new();
    let mallory = Liar::new(&site.folder.path().join("more"), "mallory");
    let members = vec![site.a.member(), site.own.clone(), site.c.member(), mallory.member()];
    let project = Project { name: "fraud".into(), founder: "bank-a".into(), version: 2, members };
    site.takes(&site.a, "project", &site.a.sign(project));
    let (manifest, digest) = site.approved();
    site.takes(&site.a, "start", &site.signed(&manifest, 1));
    let pong = |who: &Liar| serde_json::from_str::<Pong>(&site.takes(who, "ping", &json!({}))).expect("a pong");
    assert_eq!(pong(&site.c).running, [(digest.clone(), 1)]);
    assert_eq!(pong(&mallory).running, []);
    site.refuses(&mallory, "end", &End::again(&digest, 1, 5, "no"), "E2103");
    site.refuses(&mallory, "approval", &mallory.approval(&digest, Decision::Deny), "E2103");
    site.refuses(&mallory, "ready", &digest, "E2103");
    site.refuses(&site.a, "ready", &&digest[..12], "E1006");
    let mut manifest = site.manifest();
    manifest.submitter = "mallory".into();
    site.refuses(&mallory, "manifest", &site.a.sign(manifest), "E3002");
    for end in [&site.a, &site.c] {
        site.takes(end, "end", &End::again(&digest, 1, 5, "enough"));
    }
    site.until(&digest, "paused");
}

#[test]
fn a_privacy_budget_is_kept() {
    let site = Site::new();
    let budgets = site.folder.path().join("bank-b/budgets");
    std::fs::create_dir_all(&budgets).expect("a directory");
    std::fs::write(budgets.join("fraud.toml"), "epsilon_milli_total = 1000\nperiod_days = 0\n").expect("a budget");
    let job = |epsilon_milli: u64| {
        let mut manifest = site.manifest();
        manifest.release.epsilon_milli = epsilon_milli;
        let digest = manifest.digest().expect("a digest");
        site.takes(&site.a, "manifest", &site.a.sign(manifest.clone()));
        for liar in [&site.a, &site.c] {
            site.takes(liar, "approval", &liar.approval(&digest, Decision::Approve));
        }
        (manifest, digest)
    };
    let approve = |digest: &str| {
        let vote = json!({ "decision": "approve", "reason": "seen", "person": "bob" });
        site.tool("POST", &format!("jobs/{digest}/votes"), Some(&vote))
    };
    // What is approved is not taken yet: two jobs that exceed it together are, and the second does not begin.
    let (first, second) = (job(600), job(600));
    assert_eq!((approve(&first.1).0, approve(&second.1).0), (200, 200));
    site.takes(&site.a, "start", &site.signed(&first.0, 1));
    let text = site.refuses(&site.a, "start", &site.signed(&second.0, 1), "E1007");
    assert!(text.contains("privacy budget") && text.contains("400 of 1000"), "{text}");
    // More than is left is not approved; what is left may be taken, and nothing always.
    let third = job(401);
    let (status, said) = approve(&third.1);
    assert_eq!(status, 409, "{said}");
    let (fourth, none) = (job(400), job(0));
    assert_eq!((approve(&fourth.1).0, approve(&none.1).0), (200, 200));
    site.takes(&site.a, "start", &site.signed(&fourth.0, 1));
    for (_, digest) in [&first, &fourth] {
        for liar in [&site.a, &site.c] {
            site.takes(liar, "end", &End::again(digest, 1, 4, "a fault that passes"));
        }
        site.until(digest, "paused");
    }
    // What is wrong with a file here is nobody else's business.
    std::fs::write(budgets.join("fraud.toml"), "epsilon_milli_total = many\n").expect("a file");
    let text = site.refuses(&site.a, "start", &site.signed(&none.0, 1), "E1001");
    assert!(!text.contains("fraud.toml") && !text.contains("many"), "{text}");
    std::fs::write(budgets.join("fraud.toml"), "epsilon_milli_total = 1000\nperiod_days = 0\n").expect("a budget");
    // A second attempt takes nothing more.
    site.takes(&site.a, "start", &site.signed(&first.0, 2));
    for liar in [&site.a, &site.c] {
        site.takes(liar, "end", &End::again(&first.1, 2, 4, "a fault that passes"));
    }
    site.until(&first.1, "paused");
    catalogue::budget_is_on_record(&site, &[(&fourth.1, 400), (&first.1, 600)]);
}

#[test]
fn what_is_wrong_with_rows_is_told_to_their_own_people() {
    let site = Site::new();
    let (manifest, digest) = site.approved();
    std::fs::write(site.folder.path().join("rows.csv"), "x,y\n7,no\n").expect("rows");
    site.takes(&site.a, "start", &site.signed(&manifest, 1));
    site.until(&digest, "aborted");
    let reason = site.line(&digest)["reason"].as_str().expect("text").to_owned();
    assert!(reason.contains("messages say why") && !reason.contains("rows.csv") && !reason.contains('7'), "{reason}");
}

#[test]
fn operators_see_health_and_measures_and_no_names_of_jobs() {
    let site = Site::new();
    let (_, digest) = site.approved();
    let look = |path: &str| site.look(path);
    assert_eq!(look("health"), (200, "ok\n".into()));
    assert_eq!(look("ready"), (200, "ready\n".into()));
    let (status, text) = look("metrics");
    assert_eq!(status, 200);
    for line in [
        "privity_jobs{state=\"ready\"} 1",
        "privity_jobs{state=\"done\"} 0",
        "privity_ready 1",
        "privity_attempts_running 0",
        "privity_audit_closed 0",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(text.contains("member=\"bank-a\"") && text.ends_with("# EOF\n"), "{text}");
    assert!(!text.contains("fraud") && !text.contains(&digest[..12]) && !text.contains("payments"), "{text}");
}

impl Site {
    fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.look("metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(&format!("privity_{name} ")));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
    }
    fn tickets(&self, who: &Liar) -> Vec<String> {
        let told: Value = serde_json::from_str(&self.takes(who, "relay", &json!({}))).expect("JSON");
        let tickets = told["tickets"].as_array().expect("tickets");
        tickets.iter().map(|ticket| ticket.as_str().expect("text").to_owned()).collect()
    }
    /// A connection to the node that says a line.
    fn line_to_relay(&self, line: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.config.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        stream.write_all(line.as_bytes()).expect("a line is taken");
        stream
    }
    fn waits(&self, ticket: &str) -> TcpStream {
        self.line_to_relay(&format!("privity-relay/1 wait {ticket}\n"))
    }
    fn dials(&self, root: &str) -> TcpStream {
        self.line_to_relay(&format!("privity-relay/1 to {root}\n"))
    }
}

/// Whether the node hangs up, without a word.
fn is_closed(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(n) => n == 0,
        Err(e) => !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[test]
fn only_a_member_whose_relay_this_node_is_gets_tickets() {
    let site = Site::new();
    let text = site.refuses(&site.c, "relay", &json!({}), "E2104");
    assert!(text.contains("relay = true"), "{text}");
    assert!(is_closed(&site.waits(&"0".repeat(64))) && is_closed(&site.dials(&site.c.root.fingerprint())));
    drop(site);
    let site = Site::made(true);
    let mallory = Liar::new(&site.folder.path().join("more"), "mallory");
    site.refuses(&mallory, "relay", &json!({}), "E2103");
    site.refuses(&site.a, "relay", &json!({}), "E1009");
    assert_eq!(site.tickets(&site.c).len(), 16);
    // Nobody waits without a ticket, nor is anybody carried to whoever is not behind this relay.
    for line in [
        format!("privity-relay/1 wait {}\n", "0".repeat(64)),
        format!("privity-relay/1 to {}\n", site.a.root.fingerprint()),
        format!("privity-relay/1 at {}\n", "0".repeat(64)),
        "privity-relay/2 ".into(),
        "privity-relay/1 wait\n".into(),
    ] {
        assert!(is_closed(&site.line_to_relay(&line)), "{line}");
    }
    assert_eq!((site.metric("relay_waiting"), site.metric("relay_carried")), (0, 0));
}

/// Waits with a ticket until somebody is put through, and says so; then it gives what was said first. Signs of life of the node itself come, too: they are dropped.
fn answers(mut stream: TcpStream) -> Option<(TcpStream, [u8; 5])> {
    let mut said = [0; 5];
    stream.read_exact(&mut said[..1]).ok()?;
    assert_eq!(said[0], b'+', "nothing comes before somebody has come");
    stream.write_all(b"+").ok()?;
    stream.read_exact(&mut said).ok()?;
    (said[0] != 22).then_some((stream, said))
}

#[test]
fn a_ticket_is_good_once_and_for_its_own_member() {
    let site = Site::made(true);
    let tickets = site.tickets(&site.c);
    let waiting: Vec<_> = tickets[..8].iter().map(|ticket| site.waits(ticket)).collect();
    let started = Instant::now();
    while site.metric("relay_waiting") < 6 {
        assert!(started.elapsed() < Duration::from_secs(10), "nothing waits");
    }
    let again = site.waits(&tickets[0]);
    assert!(is_closed(&again), "a ticket was taken twice");
    let met: Vec<_> = waiting.into_iter().map(|stream| std::thread::spawn(|| answers(stream))).collect();
    // Not for another root; and what each dialer says reaches one connection, and what is said there itself.
    assert!(is_closed(&site.dials(&site.own.root)));
    let mut dialers: Vec<TcpStream> = (0..4).map(|_| site.dials(&site.c.root.fingerprint())).collect();
    for (i, dialer) in dialers.iter_mut().enumerate() {
        dialer.write_all(format!("say {i}").as_bytes()).expect("it is carried");
    }
    // Those to which nobody comes are given up after a while, or are needed by the node's own signs of life.
    let heard: Vec<_> = met.into_iter().filter_map(|met| met.join().expect("an end")).collect();
    assert_eq!(heard.len(), 4);
    for (stream, said) in &heard {
        (&*stream).write_all(said).expect("it is carried back");
    }
    for (i, dialer) in dialers.iter_mut().enumerate() {
        let mut back = [0; 5];
        dialer.read_exact(&mut back).expect("an echo");
        assert_eq!(back, *format!("say {i}").as_bytes());
    }
    assert!(site.metric("relay_carried_bytes_total") >= 40);
    // Where one end is gone, the other is told.
    drop(heard);
    assert!(dialers.iter().all(is_closed));
}

/// A connection, and all that went through it.
struct Tapped(TcpStream, Vec<u8>, Vec<u8>);

impl Read for Tapped {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.read(into)?;
        self.1.extend_from_slice(&into[..n]);
        Ok(n)
    }
}

impl Write for Tapped {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.0.write(bytes)?;
        self.2.extend_from_slice(&bytes[..n]);
        Ok(n)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Whether all of it is records of TLS, the last perhaps cut off.
fn is_tls(mut bytes: &[u8]) -> bool {
    while let [20..=23, 3, 1 | 3, high, low, rest @ ..] = bytes {
        bytes = rest.get(usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default();
    }
    bytes.is_empty()
}

#[test]
fn a_relay_carries_tls_between_the_ends_and_nothing_else() {
    let site = Site::made(true);
    let mut stream = site.waits(&site.tickets(&site.c)[0]);
    // The node itself asks whether bank-c lives, by the way that others take.
    stream.read_exact(&mut [0]).expect("somebody comes");
    stream.write_all(b"+").expect("it is heard");
    let identity = site.c.root.issue("bank-c", now() - 60, now() + 3600).expect("a certificate");
    let config = control::server(&identity, &Arc::default()).expect("TLS");
    let mut tls = rustls::ServerConnection::new(Arc::new(config)).expect("a server");
    let mut tapped = Tapped(stream, Vec::new(), Vec::new());
    let mut said = Vec::new();
    {
        let mut plain = rustls::Stream::new(&mut tls, &mut tapped);
        while !said.ends_with(b"{}") {
            let mut piece = [0; 4096];
            let n = plain.read(&mut piece).expect("a request");
            assert!(n > 0, "it ended early");
            said.extend_from_slice(&piece[..n]);
        }
        let pong = Pong {
            organisation: "bank-c".into(),
            build: "0".repeat(64),
            time: now(),
            running: Vec::new(),
            seen: Default::default(),
        };
        let pong = serde_json::to_string(&pong).expect("JSON");
        write!(plain, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{pong}", pong.len()).expect("it is heard");
    }
    let has = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|piece| piece == word.as_bytes());
    assert!(has(&said, "POST /peer/v1/ping"), "{}", String::from_utf8_lossy(&said));
    for carried in [&tapped.1, &tapped.2] {
        assert!(carried.len() > 500 && is_tls(carried), "{} bytes", carried.len());
        assert!(!has(carried, "/peer/v1/") && !has(carried, "bank-c") && !has(carried, "HTTP"));
    }
    let started = Instant::now();
    while !site.look("metrics").1.contains("privity_member_answered_seconds{member=\"bank-c\"}") {
        assert!(started.elapsed() < Duration::from_secs(10), "its answer did not come");
    }
}

#[test]
fn crowds_at_a_relay_stay_within_bounds_and_keep_nobody_else_out() {
    let site = Site::made(true);
    // A member cannot have more than its share wait.
    let waiting: Vec<_> = (0..3).flat_map(|_| site.tickets(&site.c)).map(|ticket| site.waits(&ticket)).collect();
    std::thread::sleep(Duration::from_secs(1));
    let n = site.metric("relay_waiting");
    assert!((1..=16).contains(&n), "{n}");
    drop(waiting);
    // Nobody answers for it any more: dialers wait a while, as many as there are places.
    let dialers: Vec<_> = (0..200).map(|_| site.dials(&site.c.root.fingerprint())).collect();
    std::thread::sleep(Duration::from_secs(1));
    let n = site.metric("relay_carried");
    assert!((1..=96).contains(&n), "{n}");
    // The node has its places for others.
    site.takes(&site.a, "ping", &json!({}));
    assert!(dialers.iter().all(is_closed));
    let started = Instant::now();
    while site.metric("relay_carried") > 1 {
        assert!(started.elapsed() < Duration::from_secs(10), "places are not given back");
    }
}
