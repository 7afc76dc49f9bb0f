//! Disks that are full and databases that do not answer: what a simulated node's own code meets of them.

use super::{CLOCK, Clock, World};
use sqlx::any::AnyPoolOptions;
use sqlx::error::{DatabaseError, ErrorKind};
use std::borrow::Cow;
use std::time::Duration;

/// What a node can be in trouble with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// The disk of the audit log is full.
    LogFull,
    /// The disk of database, checkpoints and results is full.
    DiskFull,
    /// The database does not answer.
    Down,
    /// The database does what it is asked for next, and does not answer from then on.
    Deaf,
}

/// As long as a node waits for a connection to a server, and lives without one (`database`, `lease`).
const PATIENCE: Duration = Duration::from_secs(5);
const RENEWED: u64 = 2_000;
const ENDS: u64 = 8_000;

/// A database server that is down for a while.
pub(super) struct Outage {
    pub loses_an_answer: bool,
    /// Until when it may still do something.
    pub answers_until: Option<u64>,
    pub until: u64,
    /// When the node ends without it: how long ago it renewed its lease is drawn.
    pub ends: u64,
    /// It did.
    pub ended: bool,
}

impl Outage {
    pub fn new(world: &World, lasts: u64) -> Outage {
        let (now, loses_an_answer) = (world.millis(), world.draw("plan", (0, 2)) == 0);
        Outage {
            loses_an_answer,
            answers_until: loses_an_answer.then_some(now + 300),
            until: now + lasts,
            ends: now + world.draw("plan", (ENDS - RENEWED, ENDS)),
            ended: false,
        }
    }
}

/// The simulated node to which this thread belongs.
fn own() -> Option<Clock> {
    CLOCK.with_borrow(Option::clone)
}

/// Whether this thread's node has a database that is waited for.
pub(crate) fn has_server() -> bool {
    own().is_some_and(|own| own.world.servers)
}

/// Connections of this thread's node to its database, if that counts as a server.
pub(crate) fn server(options: AnyPoolOptions) -> AnyPoolOptions {
    let Some(own) = own().filter(|own| own.world.servers) else { return options };
    let is_down = move || own.world.has(Trouble::Down, &own.name);
    let refused = is_down.clone();
    // Connections that stood are closed, and no other is made until it is back.
    let options = options.before_acquire(move |_, _| {
        let up = !is_down();
        Box::pin(async move { Ok(up) })
    });
    let options = options.after_connect(move |_, _| {
        let up = !refused();
        let answer = move || if up { Ok(()) } else { Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)) };
        Box::pin(async move { Ok(answer()?) })
    });
    options.acquire_timeout(PATIENCE)
}

/// What becomes of a statement that is about to be committed.
pub(crate) fn before_commit() -> Result<(), sqlx::Error> {
    let Some(own) = own() else { return Ok(()) };
    if own.world.has(Trouble::DiskFull, &own.name) {
        return Err(Said { code: "13", words: "database or disk is full" }.into());
    }
    match own.world.has(Trouble::Down, &own.name) {
        true => Err(Said { code: "57P01", words: "terminating connection due to administrator command" }.into()),
        false => Ok(()),
    }
}

/// What is heard of a statement that was committed.
pub(crate) fn after_commit() -> Result<(), sqlx::Error> {
    match own() {
        Some(own) if own.world.set(Trouble::Deaf, &own.name, false) => {
            own.world.set(Trouble::Down, &own.name, true);
            Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()))
        }
        _ => Ok(()),
    }
}

/// What a database says: SQLite, or PostgreSQL.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Said {
    code: &'static str,
    words: &'static str,
}

impl DatabaseError for Said {
    fn message(&self) -> &str {
        self.words
    }
    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.into())
    }
    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }
    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }
    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}
