//! Nodes under a simulated clock and network, with a model of the engine: real decisions, databases, logs and messages between them, and faults at moments
//! that a seed draws. Each node has a thread and a runtime of its own, whose clock stands until the simulation moves it, so that a node can be killed at any
//! await, frozen, cut off, or shown another time of day. Messages are delayed and so overtake each other.
//!
//! A seed brings back the faults, their moments and the delays of each link; how the threads of the databases take turns it does not.

mod engine;
mod faults;
mod joining;
mod load;
mod lost;
mod random;
mod revoked;
mod site;
mod trouble;

pub(crate) use site::Line;
pub(crate) use trouble::{after_commit, before_commit, has_server, server};

use engine::Engines;
use privity_api::Time;
use random::Random;
use site::{Request, Site};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use trouble::Trouble;

/// How far the clocks move at a time, and how long the nodes have for what follows from it.
const STEP: Duration = Duration::from_millis(50);
const PACE: Duration = Duration::from_millis(4);

thread_local! {
    /// The time of day of the node to which this thread belongs.
    static CLOCK: RefCell<Option<Clock>> = const { RefCell::new(None) };
}

/// A node's time of day: that of the simulation, and how far it is off.
#[derive(Clone)]
struct Clock {
    name: String,
    world: Arc<World>,
    off: Arc<AtomicI64>,
}

/// The time of day, in a thread of a simulated node.
pub(crate) fn now() -> Option<Time> {
    CLOCK.with_borrow(|clock| {
        clock.as_ref().map(|c| c.world.began + (c.world.millis() / 1000) as Time + c.off.load(Ordering::Relaxed))
    })
}

impl Clock {
    /// From now on this thread belongs to the node.
    fn enter(&self) {
        CLOCK.set(Some(self.clone()));
    }
}

/// What all nodes share.
struct World {
    began: Time,
    millis: AtomicU64,
    /// Where nodes that run take messages.
    mailboxes: Mutex<BTreeMap<String, mpsc::UnboundedSender<Request>>>,
    /// Between whom, in this direction, messages are lost.
    cut: Mutex<BTreeSet<(String, String)>>,
    frozen: Mutex<BTreeSet<String>>,
    troubles: Mutex<BTreeSet<(Trouble, String)>>,
    /// Whether databases count as servers, which are waited for.
    servers: bool,
    engines: Mutex<Engines>,
    seed: u64,
    random: Mutex<BTreeMap<String, Random>>,
    /// What must never happen, and did.
    wrong: Mutex<Vec<String>>,
}

impl World {
    fn millis(&self) -> u64 {
        self.millis.load(Ordering::Relaxed)
    }
    /// From `from` to less than `to`. What is drawn of what the nodes do in whatever order is drawn apart, so that a seed brings back what it can.
    fn draw(&self, what: &str, (from, to): (u64, u64)) -> u64 {
        let mut random = crate::lock(&self.random);
        random.entry(what.to_owned()).or_insert_with(|| Random::of(self.seed, what)).between(from, to)
    }
    fn is_cut(&self, from: &str, to: &str) -> bool {
        crate::lock(&self.cut).contains(&(from.to_owned(), to.to_owned()))
    }
    fn is_frozen(&self, name: &str) -> bool {
        crate::lock(&self.frozen).contains(name)
    }
    fn has(&self, trouble: Trouble, name: &str) -> bool {
        crate::lock(&self.troubles).contains(&(trouble, name.to_owned()))
    }
    /// Whether it is something else than it was.
    fn set(&self, trouble: Trouble, name: &str, is: bool) -> bool {
        let (mut all, key) = (crate::lock(&self.troubles), (trouble, name.to_owned()));
        if is { all.insert(key) } else { all.remove(&key) }
    }
    fn wrong(&self, what: String) {
        crate::lock(&self.wrong).push(what);
    }
}

/// Organisations, their nodes and what lies between them.
struct Sim {
    world: Arc<World>,
    sites: BTreeMap<String, Site>,
    _folder: tempfile::TempDir,
}

/// A directory in memory, if there is one: what is written is not read after a loss of power here.
fn folder() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    tempfile::tempdir_in(&memory).or_else(|_| tempfile::tempdir()).expect("a directory")
}

impl Sim {
    /// Organisations of these names, all in these projects, whose nodes run. `people`: where persons decide; policies allow everything elsewhere.
    fn new(seed: u64, names: &[&str], projects: &[String], people: &[&str]) -> Sim {
        Sim::with(false, seed, names, projects, people)
    }

    /// As [`Sim::new`]; `servers`: databases count as servers, which are waited for when they do not answer.
    fn with(servers: bool, seed: u64, names: &[&str], projects: &[String], people: &[&str]) -> Sim {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as Time;
        let world = Arc::new(World {
            began,
            millis: AtomicU64::new(0),
            mailboxes: Mutex::default(),
            cut: Mutex::default(),
            frozen: Mutex::default(),
            troubles: Mutex::default(),
            servers,
            engines: Mutex::new(Engines::default()),
            seed,
            random: Mutex::default(),
            wrong: Mutex::default(),
        });
        let folder = folder();
        let sites = site::found(&world, folder.path(), names, projects, people);
        let mut sim = Sim { world, sites, _folder: folder };
        for site in sim.sites.values_mut() {
            site.start();
        }
        sim
    }

    /// Of what the test does.
    fn draw(&self, from: u64, to: u64) -> u64 {
        self.world.draw("plan", (from, to))
    }
    fn site(&self, name: &str) -> &Site {
        &self.sites[name]
    }

    /// Lets time pass.
    fn pass(&mut self, time: Duration) {
        let until = self.world.millis() + time.as_millis() as u64;
        while self.world.millis() < until {
            self.world.millis.fetch_add(STEP.as_millis() as u64, Ordering::Relaxed);
            let ticks: Vec<_> = self.sites.values().filter_map(Site::tick).collect();
            for tick in ticks {
                // A node that is stuck for good fails the test here and not by running for ever.
                tick.recv_timeout(Duration::from_secs(60)).expect("the node goes on");
            }
            engine::step(&self.world);
            for site in self.sites.values_mut() {
                site.tend();
            }
            std::thread::sleep(PACE);
        }
    }

    /// Lets time pass until something holds, or for so long; whether it does.
    fn until(&mut self, most: Duration, holds: impl Fn(&Sim) -> bool) -> bool {
        let until = self.world.millis() + most.as_millis() as u64;
        while !holds(self) {
            if self.world.millis() >= until {
                return false;
            }
            self.pass(Duration::from_millis(250));
        }
        true
    }

    fn kill(&mut self, name: &str) {
        self.thaw(name);
        self.sites.get_mut(name).expect("a site").kill();
    }
    fn start(&mut self, name: &str) {
        self.sites.get_mut(name).expect("a site").start();
    }
    fn freeze(&mut self, name: &str) {
        crate::lock(&self.world.frozen).insert(name.to_owned());
        self.sites.get_mut(name).expect("a site").freeze();
    }
    fn thaw(&mut self, name: &str) {
        crate::lock(&self.world.frozen).remove(name);
        self.sites.get_mut(name).expect("a site").thaw();
    }
    /// Messages are lost from each of the first to each of the others.
    fn cut(&self, from: &[String], to: &[String]) {
        let mut cut = crate::lock(&self.world.cut);
        cut.extend(from.iter().flat_map(|a| to.iter().map(move |b| (a.clone(), b.clone()))));
    }
    /// A disk takes nothing for so long: that of the audit log, that of database and results, or both.
    fn fill(&mut self, name: &str, (log, rest): (bool, bool), lasts: u64) {
        self.sites.get_mut(name).expect("a site").fill(log, rest, lasts);
    }
    /// A database answers nothing for so long.
    fn stop_database(&mut self, name: &str, lasts: u64) {
        self.sites.get_mut(name).expect("a site").stop_database(lasts);
    }
    /// All links work, all clocks go right, disks have room, databases answer, all nodes run.
    fn heal(&mut self) {
        crate::lock(&self.world.cut).clear();
        for name in self.sites.keys().cloned().collect::<Vec<_>>() {
            self.thaw(&name);
            self.sites.get_mut(&name).expect("a site").repair();
            self.site(&name).shift(0);
            self.start(&name);
        }
    }
    /// What must never happen did not.
    #[track_caller]
    fn was_right(&self) {
        let wrong = crate::lock(&self.world.wrong);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
