//! A model of the engine: sessions that form when all participants have come, last a while, and break as those of the engine do: at once where a process
//! ends or says that it stops, after five seconds where nothing is heard.

use super::trouble::Trouble;
use super::{Clock, World};
use crate::node::Engine;
use privity_job::{Event, Job, JobError, Report, RunOptions};
use privity_net::NetError;
use privity_net::tls::Cancel;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Silence after which a peer counts as frozen, and how long participants wait for each other, in milliseconds.
const SILENCE: u64 = 5_000;
const TOGETHER: u64 = 60_000;

/// Sessions, and what there was of them.
#[derive(Default)]
pub(super) struct Engines {
    /// How long sessions last, in milliseconds; drawn where there is nothing.
    pub lasts: Option<u64>,
    sessions: BTreeMap<[u8; 32], Session>,
    /// Which participant began its part of which session: none twice.
    pub began: BTreeSet<([u8; 32], String)>,
    /// Which sessions all participants were in.
    pub formed: BTreeSet<[u8; 32]>,
    /// Most sessions at one time of each participant.
    pub most: BTreeMap<String, usize>,
}

struct Session {
    names: Vec<String>,
    parts: BTreeMap<String, Part>,
    stage: Stage,
    /// Since when some link of it is silent.
    silent: Option<u64>,
}

enum Stage {
    Gathers,
    /// Until when.
    Runs(u64),
    /// A participant ended before the others were done.
    Broken,
}

struct Part {
    tell: Sender<Told>,
    cancel: Cancel,
    since: u64,
}

enum Told {
    Event(Event),
    End(Result<(), JobError>),
}

/// The engine of a node.
pub(super) fn of(clock: Clock, own: String) -> Engine {
    Arc::new(move |job: &Job, options: &RunOptions, tell: &mut dyn FnMut(Event)| {
        clock.enter();
        let told = enter(&clock.world, &own, job, options);
        loop {
            match told.recv() {
                Ok(Told::Event(event)) => tell(event),
                Ok(Told::End(Ok(()))) => return Ok(report(job, &own)),
                Ok(Told::End(Err(error))) => return Err(error),
                // The node was killed.
                Err(_) => return Err(JobError::Internal("killed".into())),
            }
        }
    })
}

fn enter(world: &World, own: &str, job: &Job, options: &RunOptions) -> Receiver<Told> {
    let key = options.hooks.binding.expect("nodes bind sessions to attempts");
    let (tell, told) = channel();
    let mut engines = crate::lock(&world.engines);
    if !engines.began.insert((key, own.to_owned())) {
        world.wrong(format!("{own} began its part of one attempt twice"));
    }
    let names = job.file().participants.iter().map(|p| p.name.clone()).collect();
    let new = Session { names, parts: BTreeMap::new(), stage: Stage::Gathers, silent: None };
    let session = engines.sessions.entry(key).or_insert(new);
    let part = Part { tell, cancel: options.hooks.host.cancel.clone(), since: world.millis() };
    session.parts.insert(own.to_owned(), part);
    let running = engines.sessions.values().filter(|s| s.parts.contains_key(own)).count();
    let most = engines.most.entry(own.to_owned()).or_default();
    *most = running.max(*most);
    told
}

/// What was in a process that is gone.
pub(super) fn kill(world: &World, name: &str) {
    for session in crate::lock(&world.engines).sessions.values_mut() {
        if session.parts.remove(name).is_some() {
            session.stage = Stage::Broken;
        }
    }
}

/// What follows by now.
pub(super) fn step(world: &World) {
    let now = world.millis();
    let mut engines = crate::lock(&world.engines);
    let lasts = engines.lasts;
    let mut formed = Vec::new();
    for (key, session) in &mut engines.sessions {
        let links = session.names.iter().flat_map(|a| session.names.iter().map(move |b| (a, b)));
        let silent = links.into_iter().any(|(a, b)| a != b && (world.is_cut(a, b) || world.is_frozen(a)));
        session.silent = if silent { session.silent.or(Some(now)) } else { None };
        session.look(world, now);
        let all = session.names.iter().all(|name| session.parts.contains_key(name));
        if matches!(session.stage, Stage::Gathers) && all && !silent {
            session.stage = Stage::Runs(now + lasts.unwrap_or_else(|| world.draw("engine", (200, 8_000))));
            formed.push(*key);
            for part in session.parts.values() {
                let event = Event::Connected { seconds: 0.0, session: privity_api::hex(key) };
                drop(part.tell.send(Told::Event(event)));
            }
        }
    }
    for key in formed {
        if !engines.formed.insert(key) {
            world.wrong("a session formed twice".into());
        }
    }
    engines.sessions.retain(|_, session| !session.parts.is_empty());
}

impl Session {
    fn look(&mut self, world: &World, now: u64) {
        for name in self.names.clone() {
            // Whoever is frozen does nothing, and learns later what became of it.
            if world.is_frozen(&name) {
                continue;
            }
            let Some(part) = self.parts.get(&name) else { continue };
            let end = match (&self.stage, part.cancel.reason()) {
                (_, Some(reason)) => Some(Err(JobError::Cancelled { reason: reason.into(), epochs: None })),
                (Stage::Broken, _) => Some(Err(self.lost(world, &name))),
                (_, _) if self.silent.is_some_and(|since| now - since >= SILENCE) => Some(Err(self.lost(world, &name))),
                (Stage::Gathers, _) if now - part.since >= TOGETHER => Some(Err(self.lost(world, &name))),
                // A checkpoint now and then, and results at the end, find no room.
                (Stage::Runs(until), _)
                    if world.has(Trouble::DiskFull, &name) && (now >= *until || world.draw("engine", (0, 20)) == 0) =>
                {
                    Some(Err(no_room()))
                }
                // Not all are done at the same moment.
                (Stage::Runs(until), _) if now >= until + world.draw("engine", (0, 400)) => Some(Ok(())),
                _ => None,
            };
            if let Some(end) = end {
                let failed = end.is_err();
                drop(part.tell.send(Told::End(end)));
                self.parts.remove(&name);
                if failed {
                    self.stage = Stage::Broken;
                }
            }
        }
    }

    /// What a participant sees of a session that broke: who is not there, or not heard.
    fn lost(&self, world: &World, own: &str) -> JobError {
        let others = || self.names.iter().enumerate().filter(|(_, name)| *name != own);
        let quiet = |name: &String| world.is_frozen(name) || world.is_cut(name, own) || world.is_cut(own, name);
        let silent = others().find(|(_, name)| quiet(name));
        let gone = others().find(|(_, name)| !self.parts.contains_key(*name)).or(others().next());
        let (peer, name) = silent.or(gone).expect("more than one participant");
        let source = match silent {
            Some(_) => NetError::Frozen { peer, silent: Duration::from_millis(SILENCE) },
            None => NetError::Closed { peer },
        };
        JobError::Peer { name: name.clone(), source }
    }
}

fn no_room() -> JobError {
    JobError::Output { file: "checkpoints".into(), problem: "no space left on device".into() }
}

fn report(job: &Job, own: &str) -> Report {
    Report {
        job: job.file().name.clone(),
        digest: String::new(),
        session: String::new(),
        party: own.into(),
        protocol: "a model".into(),
        bytes_sent: vec![0; job.file().participants.len()],
        frames: 0,
        rounds: 0,
        operations: BTreeMap::new(),
        verdicts: 0,
        seconds: 0.0,
        losses: Vec::new(),
        resumed_from: 0,
        joint: None,
        own: None,
        files: Vec::new(),
        releases: Vec::new(),
        warning: None,
    }
}
