//! Which of several instances of a node serves. They share its directory and its PostgreSQL database; one of them has the lease there, and whoever wants it
//! waits until nobody has renewed it for ten seconds, by the database's clock.
//!
//! Nothing hangs on clocks or on how fast a process notices that it lost its lease. Each lease has an epoch, one higher than the one before; a transaction that
//! writes finds its own in the database, which it locks meanwhile, or changes nothing ([`Store::begin`](crate::store::Store)). The audit log is taken over with
//! the lease ([`privity_audit::Log::take_over`]): what an instance that lost it still writes is not in the log, and it is told so. Nothing is signed, begun or
//! opened before it is in the database or the log. So an instance that slept through its lease can do nothing when it wakes, and ends as soon as it notices.

use crate::NodeError;
use crate::database::{Database, may_pass, prepare};
use sqlx::{AnyPool, Row};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a lease lasts from its last renewal, by the database's clock.
pub const LASTS: Duration = Duration::from_secs(10);
/// An instance that could not renew its lease for so long ends, well before another may have it.
const ENDS: Duration = Duration::from_secs(8);
/// Between renewals; and how long one may take.
const RENEWED: Duration = Duration::from_secs(2);
/// Whoever stands by looks so often.
const LOOKS: Duration = Duration::from_secs(1);
/// Whether time is up is looked at so often.
const TICK: Duration = Duration::from_millis(100);

/// Milliseconds since 1970 by the database's clock.
macro_rules! now {
    () => {
        "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT"
    };
}

/// The lease of the instance that serves. It renews itself until it is released or the process ends.
pub struct Lease {
    database: Database,
    pool: AnyPool,
    epoch: i64,
    before: i64,
    /// Whether nothing was done under it, so that the next may have its epoch.
    unused: AtomicBool,
    kept: Arc<Kept>,
}

/// What the lease's threads and its owner share.
struct Kept {
    /// Entries of the audit log, as far as they were told.
    entries: AtomicI64,
    /// Until when this instance may go on; none once the lease is released.
    until: Mutex<Option<Instant>>,
}

/// Whoever wants a lease.
pub struct Candidate {
    database: Database,
    organisation: String,
    /// Its name for people.
    name: String,
    pool: AnyPool,
}

impl Candidate {
    /// An instance of an organisation's node, with a name for people.
    ///
    /// # Errors
    /// The database cannot be reached, or is another organisation's.
    pub async fn new(database: &Database, organisation: &str, name: String) -> Result<Candidate, NodeError> {
        let pool = database.connect(1, RENEWED).await?;
        prepare(&pool).await?;
        let owner: String = sqlx::query("SELECT organisation FROM node").fetch_one(&pool).await?.try_get(0)?;
        if !owner.is_empty() && owner != organisation {
            return Err(NodeError::Store(format!(
                "it is that of {owner}, and this is a node of {organisation}; give each a database of its own"
            )));
        }
        Ok(Candidate { database: database.clone(), organisation: organisation.into(), name, pool })
    }

    /// The lease, if nobody has it. `lost` is called when it is lost, from another thread, and should end the process.
    ///
    /// # Errors
    /// The database.
    pub async fn take(&self, lost: fn(&str)) -> Result<Option<Lease>, NodeError> {
        Ok(self.take_now(lost).await?)
    }

    async fn take_now(&self, lost: fn(&str)) -> Result<Option<Lease>, sqlx::Error> {
        let asked = Instant::now();
        let query = concat!(
            "UPDATE node SET epoch = epoch + 1, organisation = $1, holder = $2, until = ",
            now!(),
            " + $3 WHERE (until <= ",
            now!(),
            // A clock that went back keeps nobody waiting.
            " OR until > ",
            now!(),
            " + 2 * $3) AND organisation IN ('', $1) RETURNING epoch, entries"
        );
        let query = sqlx::query(query).bind(&self.organisation).bind(&self.name).bind(LASTS.as_millis() as i64);
        let Some(row) = query.fetch_optional(&self.pool).await? else { return Ok(None) };
        let (epoch, before) = (row.try_get(0)?, row.try_get(1)?);
        let kept = Arc::new(Kept { entries: AtomicI64::new(0), until: Mutex::new(Some(asked + ENDS)) });
        let threads = [
            std::thread::Builder::new().name("lease".into()).spawn({
                let (database, kept) = (self.database.clone(), kept.clone());
                move || renew(&database, epoch, &kept, lost)
            }),
            std::thread::Builder::new().name("time".into()).spawn({
                let kept = kept.clone();
                move || watch(&kept, lost)
            }),
        ];
        for thread in threads {
            thread.map_err(sqlx::Error::Io)?;
        }
        Ok(Some(Lease {
            database: self.database.clone(),
            pool: self.pool.clone(),
            epoch,
            before,
            unused: false.into(),
            kept,
        }))
    }

    /// Waits for the lease. `waits` is told, once, who has it.
    ///
    /// # Errors
    /// The database, but that it is not there for a while.
    pub async fn wait(&self, lost: fn(&str), waits: impl FnOnce(&str)) -> Result<Lease, NodeError> {
        let mut waits = Some(waits);
        loop {
            match self.take_now(lost).await {
                Ok(Some(lease)) => return Ok(lease),
                Ok(None) => {
                    if let Ok(holder) = self.holder().await
                        && let Some(waits) = waits.take()
                    {
                        waits(&holder);
                    }
                }
                Err(error) if may_pass(&error) => tracing::warn!(error = %error, "the database does not answer"),
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(LOOKS).await;
        }
    }

    /// The name of whoever has it, or had it last.
    ///
    /// # Errors
    /// The database.
    pub async fn holder(&self) -> Result<String, NodeError> {
        Ok(sqlx::query("SELECT holder FROM node").fetch_one(&self.pool).await?.try_get(0)?)
    }
}

impl Lease {
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }
    pub(crate) fn epoch(&self) -> i64 {
        self.epoch
    }
    /// Whether a log of so many entries can be the one that the instances before wrote.
    ///
    /// # Errors
    /// They wrote more.
    pub(crate) fn check_log(&self, entries: u64) -> Result<(), NodeError> {
        match u64::try_from(self.before) {
            Ok(before) if before > entries => Err(NodeError::Audit(format!(
                "it has {entries} entries here, and the instances that served before wrote {before} at least: all use one directory, \
                 and a copy of it is none; if it was put back from a copy, see docs/NODES.md"
            ))),
            _ => Ok(()),
        }
    }
    /// Nothing was or will be done under this lease, as the audit log refused it: it has seen a higher epoch than this one, which the database of another time
    /// gave. Were each start that is refused to raise the epoch, one of them would not be.
    pub(crate) fn leave_as_it_was(&self) {
        self.unused.store(true, Ordering::Relaxed);
    }
    /// How many entries the log has by now.
    pub(crate) fn tell_log(&self) -> impl Fn(u64) + Send + 'static {
        let kept = self.kept.clone();
        move |entries| kept.entries.store(entries.try_into().unwrap_or(i64::MAX), Ordering::Relaxed)
    }

    /// Gives the lease back: another instance may have it at once.
    ///
    /// # Errors
    /// The database: then it ends by itself.
    pub async fn release(self) -> Result<(), NodeError> {
        *crate::lock(&self.kept.until) = None;
        // With its epoch over, a renewal that is on its way takes nothing back.
        let next = if self.unused.load(Ordering::Relaxed) { self.epoch - 1 } else { self.epoch + 1 };
        let query = sqlx::query("UPDATE node SET until = 0, epoch = $2 WHERE epoch = $1").bind(self.epoch).bind(next);
        query.execute(&self.pool).await?;
        Ok(())
    }
}

/// Ends what must end when its time is up, whatever else hangs.
fn watch(kept: &Kept, lost: fn(&str)) {
    loop {
        std::thread::sleep(TICK);
        match *crate::lock(&kept.until) {
            None => return,
            Some(until) if until > Instant::now() => {}
            Some(_) => break,
        }
    }
    lost("the database did not renew its lease in time: it is not there, or this process or machine slept");
}

/// Renews a lease, by a connection and in a thread of its own, so that nothing else that is slow is in its way.
fn renew(database: &Database, epoch: i64, kept: &Kept, lost: fn(&str)) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return lost(&format!("its lease cannot be renewed: {e}")),
    };
    runtime.block_on(async {
        let mut pool = None;
        loop {
            tokio::time::sleep(if pool.is_some() { RENEWED } else { TICK }).await;
            if crate::lock(&kept.until).is_none() {
                return;
            }
            let asked = Instant::now();
            match tokio::time::timeout(RENEWED, once(database, &mut pool, epoch, kept)).await {
                Ok(Ok(true)) => {
                    if let Some(until) = crate::lock(&kept.until).as_mut() {
                        *until = asked + ENDS;
                    }
                }
                Ok(Ok(false)) if crate::lock(&kept.until).is_some() => return lost("another instance has the lease"),
                Ok(Ok(false)) => return,
                Ok(Err(error)) => {
                    tracing::warn!(error = %error, "the lease was not renewed; it is tried again");
                    pool = None;
                }
                // In the middle of something this connection is good for nothing more.
                Err(_) => pool = None,
            }
        }
    });
}

/// Renews a lease; whether it was this instance's still.
async fn once(database: &Database, pool: &mut Option<AnyPool>, epoch: i64, kept: &Kept) -> Result<bool, NodeError> {
    if pool.is_none() {
        *pool = Some(database.connect(1, RENEWED).await?);
    }
    let pool = pool.as_ref().expect("just made");
    let query = concat!("UPDATE node SET until = ", now!(), " + $1, entries = GREATEST(entries, $2) WHERE epoch = $3");
    let query = sqlx::query(query).bind(LASTS.as_millis() as i64).bind(kept.entries.load(Ordering::Relaxed));
    Ok(query.bind(epoch).execute(pool).await?.rows_affected() == 1)
}
