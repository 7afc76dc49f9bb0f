//! A simulated organisation: its directory, and its node while that runs.

use super::trouble::{Outage, Trouble};
use super::{Clock, World, engine};
use crate::config::Config;
use crate::daemon::Opened;
use crate::node::{Node, now};
use crate::peer::{Peers, Shown};
use crate::store::{Store, Stored, Table, Vouched};
use crate::{NodeError, daemon, home, serve};
use privity_api::manifest::{Dataset, Release, VERSION};
use privity_api::{Decision, Manifest, Member, Project, Statement};
use privity_job::{Job, JobFile};
use privity_keys::Root;
use privity_net::tls::{Bounds, Switch};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

const SCHEMA: &str = "[[columns]]\nname = \"x\"\nkind = \"number\"\nmin = 0.0\nmax = 1.0\n\n[[columns]]\nname = \"y\"\nkind = \"label\"\nvalues = [\"no\", \"yes\"]\n";
const POLICY: &str =
    "@id(\"all\")\n@reason(\"a simulation\")\npermit (principal, action == Action::\"run\", resource);\n";
/// How long a node waits for another's answer, as in `peer`.
const PATIENCE: Duration = Duration::from_secs(8);

/// A message to a node.
pub(super) struct Request {
    root: String,
    path: String,
    body: String,
    answer: oneshot::Sender<(u16, String)>,
}

/// A node's way to the others.
#[derive(Clone)]
pub(crate) struct Line {
    world: Arc<World>,
    own: String,
    root: String,
}

impl Line {
    pub(crate) async fn send(&self, member: &Member, path: &str, body: String) -> Result<String, NodeError> {
        let exchanged = tokio::time::timeout(PATIENCE, self.exchange(&member.organisation, path, body)).await;
        let (status, text) =
            exchanged.unwrap_or(Err("no answer in time")).map_err(|problem| NodeError::Unreachable {
                organisation: member.organisation.clone(),
                address: member.address.clone(),
                problem: problem.into(),
            })?;
        match status {
            200 => Ok(text),
            status => Err(NodeError::Refused { organisation: member.organisation.clone(), problem: text, status }),
        }
    }

    async fn exchange(&self, to: &str, path: &str, body: String) -> Result<(u16, String), &'static str> {
        self.way(&self.own, to).await;
        let mailbox = crate::lock(&self.world.mailboxes).get(to).cloned().ok_or("connection refused")?;
        let (answer, answered) = oneshot::channel();
        let request = Request { root: self.root.clone(), path: path.into(), body, answer };
        mailbox.send(request).map_err(|_| "connection refused")?;
        let answer = answered.await.map_err(|_| "connection closed")?;
        self.way(to, &self.own).await;
        Ok(answer)
    }

    /// A message on its way, or lost there.
    async fn way(&self, from: &str, to: &str) {
        let delay = Duration::from_millis(self.world.draw(&format!("{from} to {to}"), (1, 60)));
        tokio::time::sleep(delay).await;
        if self.world.is_cut(from, to) {
            std::future::pending::<()>().await;
        }
    }
}

type Doing = Box<dyn FnOnce(Arc<Node>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

enum Order {
    Tick(Sender<()>),
    Do(Doing),
    /// Nothing goes on until the other end is dropped.
    Freeze(Receiver<()>),
    Kill,
}

pub(super) struct Site {
    pub name: String,
    world: Arc<World>,
    home: PathBuf,
    off: Arc<AtomicI64>,
    process: Option<(mpsc::UnboundedSender<Order>, JoinHandle<()>)>,
    ice: Option<Sender<()>>,
    /// Until when its disk is full.
    full_until: Option<u64>,
    outage: Option<Outage>,
}

/// Directories of organisations, all of them members of all projects, which the first founded.
pub(super) fn found(
    world: &Arc<World>,
    folder: &Path,
    names: &[&str],
    projects: &[String],
    people: &[&str],
) -> BTreeMap<String, Site> {
    let homes: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    let mut members = Vec::new();
    for (i, (name, home)) in names.iter().zip(&homes).enumerate() {
        let text = format!("organisation = \"{name}\"\nlisten = \"127.0.0.1:{}\"\n", i + 1);
        let config = Config::parse(&text, |_| None).expect("a configuration");
        let root = daemon::init(home, &config).expect("a directory");
        if !people.contains(name) {
            std::fs::write(home.join(crate::policy::FILE), POLICY).expect("a policy");
        }
        let (organisation, address) = (config.organisation, config.address);
        members.push(Member { operator: organisation.clone(), organisation, root, address, helper: false });
    }
    let founder: Arc<dyn Root> = privity_keys::open("file:root", &homes[0]).expect("a root");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for home in &homes {
            let store = Store::open(home).await.expect("a database");
            for name in projects {
                let founded = names[0].to_owned();
                let project = Project { name: name.clone(), founder: founded, version: 1, members: members.clone() };
                let statement = Statement::new(project, &*founder).expect("a statement");
                store.put_project(&members[0].root, &statement).await.expect("it is kept");
            }
            let (path, test_path) = ("rows.csv".into(), String::new());
            let (name, schema) = ("payments".into(), SCHEMA.into());
            store
                .put_table(&Table { name, path, test_path, schema, rows: 40, projects: Vec::new(), shows_rows: false })
                .await
                .expect("kept");
        }
    });
    let site = |(name, home): (&&str, PathBuf)| {
        let (name, off) = ((*name).to_owned(), Arc::new(AtomicI64::new(0)));
        let (world, process, ice) = (world.clone(), None, None);
        (name.clone(), Site { name, world, home, off, process, ice, full_until: None, outage: None })
    };
    names.iter().zip(homes).map(site).collect()
}

/// A job of these participants; the first submits it.
pub(super) fn manifest(project: &Project, names: &[&str], attempts: u32) -> Manifest {
    let participants: String = (names.iter())
        .map(|name| {
            let Member { address, root, .. } = project.member(name).expect("a member");
            format!(
                "[[participants]]\nname = \"{name}\"\naddress = \"{address}\"\nfingerprint = \"{root}\"\nrows = 40\n\n"
            )
        })
        .collect();
    let schema = SCHEMA.replace("[[columns]]", "[[data.schema.columns]]");
    let protocol = if names.len() == 4 { "rep4" } else { "rep3" };
    let text = format!(
        "name = \"fraud\"\nprotocol = \"{protocol}\"\n\n{participants}{schema}\n[model]\nkind = \"logistic\"\n\n[training]\nepochs = 2\nbatch = 8\n"
    );
    let file = JobFile::from_toml(&text).expect("a job file");
    let job = Job::new(file, Path::new("/nonexistent")).expect("a job").file().clone();
    let everybody: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let dataset = |organisation: &String| Dataset { organisation: organisation.clone(), table: "payments".into() };
    Manifest {
        version: VERSION,
        id: home::random_hex(16).expect("randomness"),
        project: project.name.clone(),
        submitter: names[0].into(),
        person: "ann".into(),
        purpose: "a joint model".into(),
        created: now(),
        expires: now() + 86_400,
        attempts,
        build: "simulation".into(),
        datasets: everybody.iter().map(dataset).collect(),
        models: Vec::new(),
        release: Release { recipients: everybody, min_cohort: 10, until: now() + 2 * 86_400, epsilon_milli: 0 },
        job,
    }
}

impl Site {
    /// Starts the node, if it does not run.
    pub fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        let (orders, received) = mpsc::unbounded_channel();
        let clock = Clock { name: self.name.clone(), world: self.world.clone(), off: self.off.clone() };
        let home = self.home.clone();
        let (ready, started) = channel();
        let process = std::thread::spawn(move || process(&clock, &home, received, &ready));
        started.recv_timeout(Duration::from_secs(60)).expect("the node starts");
        self.process = Some((orders, process));
    }

    /// Ends it as a crash does: what it was about to do is not done.
    pub fn kill(&mut self) {
        let Some((orders, process)) = self.process.take() else { return };
        drop(orders.send(Order::Kill));
        process.join().expect("a node does not panic");
        engine::kill(&self.world, &self.name);
    }

    pub fn freeze(&mut self) {
        let (ice, frozen) = channel();
        if let Some((orders, _)) = &self.process {
            drop(orders.send(Order::Freeze(frozen)));
            self.ice = Some(ice);
        }
    }
    pub fn thaw(&mut self) {
        self.ice = None;
    }
    /// Its clock shows so many seconds more than it should.
    pub fn shift(&self, seconds: i64) {
        self.off.store(seconds, Ordering::Relaxed);
    }
    pub fn runs(&self) -> bool {
        self.process.is_some()
    }
    /// Whether it would answer a question about what it keeps.
    pub fn answers(&self) -> bool {
        self.runs() && self.ice.is_none() && !self.world.has(Trouble::Down, &self.name)
    }

    pub fn fill(&mut self, log: bool, rest: bool, lasts: u64) {
        self.world.set(Trouble::LogFull, &self.name, log);
        self.world.set(Trouble::DiskFull, &self.name, rest);
        self.full_until = Some(self.world.millis() + lasts);
    }

    /// The server of its database ends and starts again. Some have done what they were asked for, and their answer is lost.
    pub fn stop_database(&mut self, lasts: u64) {
        let outage = Outage::new(&self.world, lasts);
        self.world.set(if outage.loses_an_answer { Trouble::Deaf } else { Trouble::Down }, &self.name, true);
        self.outage = Some(outage);
    }

    /// What is in trouble is not any more.
    pub fn repair(&mut self) {
        let now = self.world.millis();
        self.full_until = self.full_until.map(|_| now);
        self.outage.iter_mut().for_each(|outage| outage.until = now);
        self.tend();
    }

    /// What follows by now: disks have room again, databases are back, nodes end without them and are started again.
    pub fn tend(&mut self) {
        // Whoever is frozen learns later what became of it.
        if self.ice.is_some() {
            return;
        }
        let now = self.world.millis();
        if self.full_until.is_some_and(|until| now >= until) {
            self.full_until = None;
            self.world.set(Trouble::LogFull, &self.name, false);
            self.world.set(Trouble::DiskFull, &self.name, false);
            // Its people make room, and start a node anew whose log takes nothing more.
            if self.runs() && self.now(|node| async move { node.log.closed().is_some() }) {
                self.kill();
                self.start();
            }
        }
        let Some(mut outage) = self.outage.take() else { return };
        if outage.answers_until.is_some_and(|until| now >= until) {
            self.world.set(Trouble::Deaf, &self.name, false);
            self.world.set(Trouble::Down, &self.name, true);
        }
        if now >= outage.ends && self.runs() {
            self.kill();
            outage.ended = true;
        }
        if now < outage.until {
            self.outage = Some(outage);
            return;
        }
        self.world.set(Trouble::Deaf, &self.name, false);
        self.world.set(Trouble::Down, &self.name, false);
        if outage.ended {
            self.start();
        }
    }

    /// Moves its clock; whoever is not frozen says when that is done.
    pub fn tick(&self) -> Option<Receiver<()>> {
        let (orders, _) = self.process.as_ref()?;
        let (done, ticked) = channel();
        drop(orders.send(Order::Tick(done)));
        self.ice.is_none().then_some(ticked)
    }

    /// Has the node do something. What comes of it, comes here; nothing if it is killed before.
    pub fn ask<T, F, D>(&self, what: D) -> Receiver<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
        D: FnOnce(Arc<Node>) -> F + Send + 'static,
    {
        let (to, from) = channel();
        if let Some((orders, _)) = &self.process {
            let doing = move |node| -> Pin<Box<dyn Future<Output = ()> + Send>> {
                let doing = what(node);
                Box::pin(async move { drop(to.send(doing.await)) })
            };
            drop(orders.send(Order::Do(Box::new(doing))));
        }
        from
    }

    /// As [`Site::ask`], of what takes no simulated time.
    pub fn now<T, F, D>(&self, what: D) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
        D: FnOnce(Arc<Node>) -> F + Send + 'static,
    {
        self.ask(what).recv_timeout(Duration::from_secs(60)).expect("an answer")
    }

    /// All its jobs.
    pub fn jobs(&self) -> Vec<Stored> {
        self.now(|node| async move { node.store.jobs().await.expect("jobs") })
    }

    /// Submits a job; its digest comes when it is submitted.
    pub fn submit(&self, project: &str, names: &[&str], attempts: u32) -> Receiver<Result<String, String>> {
        self.submit_for(project, names, (attempts, 86_400))
    }
    /// As [`Site::submit`], and after so many seconds it neither begins nor opens anything.
    pub fn submit_for(
        &self,
        project: &str,
        names: &[&str],
        (attempts, seconds): (u32, i64),
    ) -> Receiver<Result<String, String>> {
        let (project, names) = (project.to_owned(), names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        self.ask(move |node| async move {
            let project = node.project(&project).await.map_err(|e| e.to_string())?;
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut manifest = manifest(&project, &names, attempts);
            manifest.expires = now() + seconds;
            manifest.release.until = manifest.expires;
            node.submit(manifest, 5, Vouched::Tool).await.map_err(|e| e.to_string())
        })
    }

    /// A person approves a job.
    pub fn approve(&self, digest: &str) -> Receiver<Result<String, String>> {
        let digest = digest.to_owned();
        self.ask(move |node| async move {
            node.vote(&digest, Decision::Approve, "seen", ("bob", Vouched::Tool)).await.map_err(|e| e.to_string())
        })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.thaw();
        if !std::thread::panicking() {
            self.kill();
        }
    }
}

fn process(clock: &Clock, home: &Path, mut orders: mpsc::UnboundedReceiver<Order>, ready: &Sender<()>) {
    clock.enter();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let (awake, asleep) = channel::<()>();
    runtime.block_on(async {
        // While this blocks, the runtime does not move its clock by itself.
        tokio::task::spawn_blocking(move || asleep.recv().is_err());
        let node = start(clock, home).await;
        let _ = ready.send(());
        while let Some(order) = orders.recv().await {
            match order {
                Order::Tick(done) => {
                    tokio::time::advance(super::STEP).await;
                    let _ = done.send(());
                }
                Order::Do(doing) => drop(tokio::spawn(doing(node.clone()))),
                Order::Freeze(ice) => _ = ice.recv(),
                Order::Kill => break,
            }
        }
        crate::lock(&clock.world.mailboxes).remove(&clock.name);
    });
    drop(awake);
    runtime.shutdown_timeout(Duration::from_secs(10));
}

/// A node of a directory, without ports.
async fn start(clock: &Clock, home: &Path) -> Arc<Node> {
    let config = Config::load(home).expect("a configuration");
    // Engines of a node that was killed let go of its log in a moment.
    let mut opened = daemon::open(home, &config, None).await;
    for _ in 0..500 {
        if opened.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
        opened = daemon::open(home, &config, None).await;
    }
    let Opened { root, log, witness, identity, store } = opened.expect("its directory");
    let (shown, revocations) = (Shown::new(identity), Arc::default());
    let mut peers = Peers::new(store.clone(), shown.clone(), Arc::clone(&revocations));
    let (own, world) = (clock.name.clone(), clock.world.clone());
    let full = clock.clone();
    log.fill_while(move || full.world.has(Trouble::LogFull, &full.name));
    peers.network = Some(Line { world, own: own.clone(), root: root.fingerprint() });
    let switch = Switch::new(Bounds::default(), drop).expect("a switch");
    let outside = (switch, engine::of(clock.clone(), own));
    let keys = (peers, shown, revocations);
    let node = Node::new((home.into(), config), (store, log, witness), root, keys, outside).expect("a node");
    node.recover().await.expect("it goes on where it was");
    let (mailbox, mut messages) = mpsc::unbounded_channel::<Request>();
    crate::lock(&clock.world.mailboxes).insert(clock.name.clone(), mailbox);
    let serving = node.clone();
    tokio::spawn(async move {
        while let Some(Request { root, path, body, answer }) = messages.recv().await {
            let node = serving.clone();
            tokio::spawn(async move { drop(answer.send(serve::heard(node, root, path, body).await)) });
        }
    });
    daemon::live(&node);
    node
}
