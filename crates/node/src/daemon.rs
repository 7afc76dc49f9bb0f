//! Starting a node, and its orderly end.

use crate::config::Config;
use crate::joining::Begun;
use crate::lease::{Candidate, Lease};
use crate::node::{Engine, Node, now};
use crate::peer::{Peers, Shown};
use crate::store::Store;
use crate::{NodeError, admin, home, join, serve, waiting, watch};
use privity_api::{Record, Time};
use privity_audit::{Log, Witness};
use privity_job::exit;
use privity_keys::Root;
use privity_net::identity::{Identity, Revocations};
use privity_net::tls::{Bounds, Switch};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch as signal};

/// How long an end waits for what runs.
const DRAIN: Duration = Duration::from_secs(20);

/// Makes the directory, root and first certificate of an organisation's node. The fingerprint of its root.
///
/// # Errors
/// There is one already, or it cannot be written.
pub fn init(home: &Path, config: &Config) -> Result<String, NodeError> {
    home::create(home, config)?;
    let root =
        privity_keys::create(&config.keys, home, &config.organisation).map_err(|e| NodeError::Keys(e.to_string()))?;
    let identity = certify(&*root, config, now(), None)?;
    identity.save(&home::identity(home)).map_err(|e| NodeError::Keys(e.to_string()))?;
    Ok(root.fingerprint())
}

/// A fresh certificate for the node, which keeps what it derives keys of files from.
fn certify(root: &dyn Root, config: &Config, from: Time, before: Option<&Identity>) -> Result<Identity, NodeError> {
    let to = from + 3600 * i64::from(config.certificate_hours);
    let mut identity = root.issue(&config.organisation, from, to).map_err(|e| NodeError::Keys(e.to_string()))?;
    if let Some(before) = before {
        identity.succeed(before);
    }
    Ok(identity)
}

/// A fresh certificate in place of another, in the log before it is used; `void`: from before which moment certificates were revoked, if that is why.
pub(crate) fn replace(
    (home, config): (&Path, &Config),
    (root, log): (&dyn Root, &Log),
    before: &Identity,
    void: Option<Time>,
) -> Result<Identity, NodeError> {
    // A clock that was put back since does not make one that is void again.
    let identity = certify(root, config, now().max(void.unwrap_or_default()), Some(before))?;
    let event = if void.is_some() { "made in place of one that was revoked" } else { "renewed" };
    let (purpose, fingerprint) = ("node".into(), crate::revoked::fingerprint(&identity)?);
    log.append(now(), &Record::Key { purpose, event: event.into(), fingerprint })
        .map_err(|e| NodeError::Audit(e.to_string()))?;
    identity.save(&home::identity(home)).map_err(|e| NodeError::Keys(e.to_string()))?;
    Ok(identity)
}

/// What one process at a time has open.
pub(crate) struct Opened {
    pub root: Arc<dyn Root>,
    pub log: Arc<Log>,
    pub witness: Witness,
    pub identity: Identity,
    pub store: Store,
}

/// Opens a node's directory and database. The log is first: it tells whether another process has the directory, and nothing was changed by then.
pub(crate) async fn open(home: &Path, config: &Config, lease: Option<&Lease>) -> Result<Opened, NodeError> {
    let root = privity_keys::open(&config.keys, home).map_err(|e| NodeError::Keys(e.to_string()))?;
    let (log, witness) = log(home, config, root.clone(), lease)?;
    let store = match lease {
        Some(lease) => Store::under(lease).await?,
        None => Store::open(home).await?,
    };
    let identity = load((home, config), (&*root, &log), &store).await?;
    Ok(Opened { root, log, witness, identity, store })
}

/// The node's certificate, a fresh one if it is about to end or was revoked.
async fn load(
    (home, config): (&Path, &Config),
    (root, log): (&dyn Root, &Log),
    store: &Store,
) -> Result<Identity, NodeError> {
    let keys = |e: &dyn std::fmt::Display| NodeError::Keys(e.to_string());
    let mut identity = root.load(&home::identity(home)).map_err(|e| keys(&e))?;
    let (from, until) = identity.validity().unwrap_or_default();
    let void = Some(store.void_before(&root.fingerprint()).await?).filter(|before| from < *before);
    if void.is_some() || until - now() < 600 {
        let before = identity;
        identity = replace((home, config), (root, log), &before, void)?;
        root.retire(&before).map_err(|e| keys(&e))?;
    }
    Ok(identity)
}

/// The audit log: taken over from whoever has it by whoever has the lease.
fn log(
    home: &Path,
    config: &Config,
    root: Arc<dyn Root>,
    lease: Option<&Lease>,
) -> Result<(Arc<Log>, Witness), NodeError> {
    let failed = |e: privity_audit::AuditError| NodeError::Audit(e.to_string());
    let (fingerprint, folder) = (root.fingerprint(), home::audit(home));
    let name = &config.organisation;
    let log = match lease {
        Some(lease) => Log::take_over(&folder, name, &fingerprint, root, now(), lease.epoch().unsigned_abs()),
        None => Log::open(&folder, name, &fingerprint, root, now()),
    };
    if let (Some(lease), Err(privity_audit::AuditError::Superseded { .. })) = (lease, &log) {
        lease.leave_as_it_was();
    }
    let log = Arc::new(log.map_err(failed)?);
    lease.map_or(Ok(()), |lease| lease.check_log(log.size()))?;
    let witness = Witness::open(log.clone(), now()).map_err(failed)?;
    Ok((log, witness))
}

/// A node that runs.
pub struct Running {
    /// The node.
    pub node: Arc<Node>,
    stop: signal::Sender<bool>,
    lease: Option<Lease>,
}

/// Starts a node: it serves when this returns. With a PostgreSQL database it waits until no other instance does.
///
/// # Errors
/// Configuration, keys, database, audit log or ports.
pub async fn start(home: &Path) -> Result<Running, NodeError> {
    let config = Config::load(home)?;
    crate::node::build()?;
    let monitor = if config.monitor.is_empty() { None } else { Some(bind(&config.monitor)?) };
    if !config.database.is_postgres() {
        let (node, stop) = serve_from(home, config, monitor, None).await?;
        return Ok(Running { node, stop, lease: None });
    }
    let lease = stand_by(&config, monitor.as_ref()).await?;
    match serve_from(home, config, monitor, Some(&lease)).await {
        Ok((node, stop)) => Ok(Running { node, stop, lease: Some(lease) }),
        Err(error) => {
            give_back(lease).await;
            Err(error)
        }
    }
}

fn bind(address: &str) -> Result<TcpListener, NodeError> {
    TcpListener::bind(address).map_err(|e| NodeError::Config { problem: format!("listening at {address}: {e}") })
}

/// Waits for the lease; meanwhile operators' tools find that it does.
async fn stand_by(config: &Config, monitor: Option<&TcpListener>) -> Result<Lease, NodeError> {
    let name = format!("process {} at {}", std::process::id(), config.listen);
    let candidate = Candidate::new(&config.database, &config.organisation, name).await?;
    let (stop, stopped) = signal::channel(false);
    if let Some(listener) = monitor {
        let failed = |e: std::io::Error| NodeError::Config { problem: format!("an address for pages: {e}") };
        pages(listener.try_clone().map_err(failed)?, crate::monitor::standing_by(), stopped)?;
    }
    let lease = candidate.wait(end, |holder| tracing::info!(holder, "the node stands by: another instance serves"));
    let lease = lease.await?;
    let _ = stop.send(true);
    Ok(lease)
}

/// Ends this process at once: another instance may serve from now on.
pub(crate) fn end(why: &str) {
    let why = why.to_owned();
    // It waits for nobody who might read this.
    let tell = move || tracing::error!(why, "the node ends: another instance may take over");
    drop(std::thread::Builder::new().spawn(tell));
    std::thread::sleep(Duration::from_millis(50));
    std::process::exit(exit::OUTPUT.into());
}

async fn give_back(lease: Lease) {
    if let Err(e) = lease.release().await {
        tracing::warn!(error = %e, "the lease was not given back; another instance takes over when it has run out");
    }
}

/// Opens everything and serves.
async fn serve_from(
    home: &Path,
    config: Config,
    monitor: Option<TcpListener>,
    lease: Option<&Lease>,
) -> Result<(Arc<Node>, signal::Sender<bool>), NodeError> {
    let Opened { root, log, witness, identity, store } = open(home, &config, lease).await?;
    let shown = Shown::new(identity);
    let revocations = Arc::new(Revocations::default());
    let mut peers = Peers::new(store.clone(), shown.clone(), revocations.clone());
    let admin_listener = bind(&config.admin)?;
    let (to, connections) = mpsc::channel(64);
    // Whatever is not the engine's goes to the control interface; when that is overrun, callers are turned away.
    let others = move |stream| drop(to.try_send(stream));
    let switch = match config.listen.as_str() {
        "" => Switch::new(Bounds::default(), others),
        address => Switch::listen(address, Bounds::default(), others),
    };
    let switch = switch.map_err(|e| NodeError::Config { problem: e.to_string() })?;
    peers.know_own(&config.address, switch.address());
    let keys = (peers, shown.clone(), revocations.clone());
    let engine: Engine = Arc::new(privity_job::run::run);
    let node = Node::new((home.into(), config), (store, log, witness), root, keys, (switch, engine))?;
    node.recover().await?;
    tokio::spawn(serve::serve(node.clone(), shown, revocations, connections));
    waiting::begin(&node);
    live(&node);
    if let Some(lease) = lease {
        tokio::spawn(watch::log(node.clone(), lease.tell_log()));
    }
    let (stop, stopped) = signal::channel(false);
    pages(admin_listener, admin::router(node.clone())?, stopped.clone())?;
    if let Some(listener) = monitor {
        pages(listener, crate::monitor::router(node.clone()), stopped)?;
    }
    Ok((node, stop))
}

/// Has a node do what it does by itself.
pub(crate) fn live(node: &Arc<Node>) {
    tokio::spawn(watch::work(node.clone()));
    tokio::spawn(watch::beat(node.clone()));
    tokio::spawn(watch::cosign(node.clone()));
    tokio::spawn(watch::renew(node.clone()));
}

/// Serves pages until the node stops.
fn pages(listener: TcpListener, router: axum::Router, mut stopped: signal::Receiver<bool>) -> Result<(), NodeError> {
    let failed = |e: std::io::Error| NodeError::Config { problem: format!("an address for pages: {e}") };
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    tokio::spawn(async move {
        let until = async move { drop(stopped.wait_for(|stop| *stop).await) };
        drop(axum::serve(listener, router).with_graceful_shutdown(until).await);
    });
    Ok(())
}

impl Running {
    /// Begins nothing more, waits for what runs, and has it stop if that takes too long.
    pub async fn drain(self) {
        self.node.drain();
        let until = tokio::time::Instant::now() + DRAIN;
        while !self.node.running().is_empty() && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.node.stop_all("its node is stopped");
        let until = tokio::time::Instant::now() + DRAIN;
        while !self.node.running().is_empty() && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if let Err(e) = self.node.sign_head() {
            tracing::error!(error = %e, "the last entries of the audit log are under no signed head");
        }
        self.node.traces.flush().await;
        let _ = self.stop.send(true);
        if let Some(lease) = self.lease {
            give_back(lease).await;
        }
    }
}

/// Runs a node until the system asks it to end.
///
/// # Errors
/// As [`start`].
pub async fn run(home: &Path) -> Result<(), NodeError> {
    let mut asked = std::pin::pin!(asked_to_end()?);
    let running = tokio::select! {
        running = start(home) => running?,
        () = &mut asked => return Ok(()),
    };
    let node = &running.node;
    tracing::info!(
        organisation = node.organisation(),
        listen = node.config.listen,
        admin = node.config.admin,
        "the node serves"
    );
    asked.await;
    tracing::info!("the node ends when what runs is done");
    running.drain().await;
    Ok(())
}

/// Until the system asks this process to end: from this call on, as the first process of a container gets no signal that it does not wait for.
#[cfg(unix)]
fn asked_to_end() -> Result<impl Future<Output = ()>, NodeError> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |e: std::io::Error| NodeError::Config { problem: format!("waiting for signals: {e}") };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
#[cfg(not(unix))]
fn asked_to_end() -> Result<impl Future<Output = ()>, NodeError> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}

/// Joins a project with an invitation. `show` is told the words; then this waits until a person at the inviter has confirmed them.
///
/// # Errors
/// The inviter does not answer, is another than the code says, or refuses.
pub async fn join(home: &Path, code: &str, wait: Duration, show: impl FnOnce(&str)) -> Result<String, NodeError> {
    let code = join::Code::parse(code)?;
    let config = Config::load(home)?;
    if !config.database.is_postgres() {
        return join_from(home, &config, None, code, wait, show).await;
    }
    let name = format!("process {}, which joins a project", std::process::id());
    let candidate = Candidate::new(&config.database, &config.organisation, name).await?;
    let Some(lease) = candidate.take(end).await? else {
        let holder = candidate.holder().await?;
        return Err(NodeError::State(format!(
            "an instance of this node serves ({holder}): join where that one is, or stop it first, and those that stand by"
        )));
    };
    let joined = join_from(home, &config, Some(&lease), code, wait, show).await;
    give_back(lease).await;
    joined
}

async fn join_from(
    home: &Path,
    config: &Config,
    lease: Option<&Lease>,
    code: join::Code,
    wait: Duration,
    show: impl FnOnce(&str),
) -> Result<String, NodeError> {
    // Before anybody is asked: who joins must be able to record it.
    let Opened { root, log, identity, store, .. } = open(home, config, lease).await?;
    let peers = Peers::new(store.clone(), Shown::new(identity), Arc::default());
    let begun = Begun::begin(&peers, config, root.fingerprint(), &code).await?;
    show(&begun.words);
    let until = tokio::time::Instant::now() + wait;
    let statement = loop {
        if let Some(statement) = begun.ask(&peers).await? {
            break statement;
        }
        if tokio::time::Instant::now() >= until {
            return Err(NodeError::State(join::LATE.into()));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let own = (config.organisation.as_str(), root.fingerprint());
    crate::node::adopt(&store, &log, own, begun.inviters_root(), &statement, &statement.body.founder).await?;
    crate::joining::is_in(&store, &begun, &statement.body.name).await?;
    Ok(statement.body.name)
}
