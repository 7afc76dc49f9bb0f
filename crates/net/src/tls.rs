//! Links between processes: TCP with mutual TLS 1.3, one connection per pair, certificates pinned.
//!
//! The computing thread itself encrypts, writes, reads and decrypts: a hand-over to an I/O thread would cost a wake-up per
//! message. A monitor thread looks in a few times a second: it sends signs of life for a party that computes, flushes what
//! the kernel did not take at once, and notices peers that died or froze.

mod channel;
mod connect;
mod connection;
pub mod control;
mod council;
mod pin;
pub mod relay;
mod switch;

use crate::identity::{Identity, Revocations, Untrusted};
use crate::{AbortCause, Incoming, Link, NetError, PeerStats, Tag, frame};
use connection::Connection;
pub use council::{Presence, council};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};
pub use switch::{Bounds, ENGINE, Switch};

/// A party of the session, as everybody knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Host and port it listens on, or `relay:` and those of the node through which it is reached.
    pub address: String,
    /// Fingerprint of its certificate, see [`Identity::fingerprint`].
    pub fingerprint: String,
}

/// Time limits and sizes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long to wait for peers to appear.
    pub connect: Duration,
    /// Silence after which a peer counts as frozen.
    pub silence: Duration,
    /// Longest wait for a message of a peer that is alive.
    pub message: Duration,
    /// Bytes queued for a peer before `send` waits. Two peers that both send before they receive need as much as they send.
    pub queue: usize,
    /// Bytes queued for a peer before `pace` waits: what lies there longer than the cache lasts costs memory traffic.
    pub run_ahead: usize,
    /// How long a receiver polls without sleeping. Sleeping and waking costs tens of microseconds.
    pub spin: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(60),
            silence: Duration::from_secs(5),
            message: Duration::from_secs(600),
            queue: 64 << 20,
            run_ahead: 4 << 20,
            spin: Duration::from_micros(60),
        }
    }
}

/// A run's end, ordered from outside: whoever holds a copy may give the order, once.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<OnceLock<String>>);

impl Cancel {
    /// Ends what looks at this copy or others of it within seconds. The other parties are told the reason. The first order counts.
    pub fn cancel(&self, reason: impl Into<String>) {
        let _ = self.0.set(reason.into());
    }
    /// Why, if the order was given.
    pub fn reason(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
    /// # Errors
    /// The order was given.
    pub(crate) fn check(&self) -> Result<(), NetError> {
        self.reason().map_or(Ok(()), |reason| Err(NetError::Cancelled { reason: reason.into() }))
    }
}

/// What the process that hosts a session gives it. By default nothing: the session listens at the party's address itself, no leaf
/// is revoked, and nobody ends the session.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Where connections for this party come in, in place of a listener of the session's own. Not for unprotected sessions.
    pub switch: Option<Switch>,
    /// Which certificates of nodes are void.
    pub revocations: Arc<Revocations>,
    /// Ends the session.
    pub cancel: Cancel,
    /// Through which of two relays peers are dialled first: what its sessions remember of them.
    pub routes: Arc<relay::Routes>,
}

/// What a party needs to join a session.
pub struct TlsConfig {
    /// This party's index into `peers`.
    pub me: usize,
    /// All parties, this one included.
    pub peers: Vec<Peer>,
    /// This party's certificate and key.
    pub identity: Arc<Identity>,
    /// Digest of what is to be run; all must agree.
    pub job: [u8; 32],
    /// Limits.
    pub limits: Limits,
    /// Plain TCP in place of TLS: anybody can read and alter what is sent, and be any party. Only for measuring, on one
    /// machine, what protection costs; no job can ask for it.
    pub unprotected: bool,
    /// What the process that hosts the session gives it.
    pub host: Host,
}

/// A listener on a free loopback port, for parties on one machine: its port lies below those that systems give to outgoing
/// connections, one of which could otherwise take it before the party listens there.
pub fn loopback_listener() -> Result<std::net::TcpListener, NetError> {
    use std::hash::BuildHasher;
    let random = std::collections::hash_map::RandomState::new();
    let candidate = |attempt: u32| 10_000 + (random.hash_one(attempt) % 22_000) as u16;
    let mut tries = (0..100).map(|attempt| std::net::TcpListener::bind(("127.0.0.1", candidate(attempt))));
    tries.find_map(Result::ok).ok_or_else(|| NetError::Io {
        operation: "finding a free port",
        problem: "a hundred loopback ports between 10000 and 32000 were all taken".into(),
    })
}

type Slot = Mutex<Connection>;

/// No peer.
const NOBODY: usize = usize::MAX;

struct Shared {
    me: usize,
    /// `None` at this party's own index.
    slots: Vec<Option<Slot>>,
    limits: Limits,
    /// The peer whose frame the computing thread waits for; the monitor must not take its bytes out of the socket, or the
    /// sleeper would wait for what is here already.
    awaited: AtomicUsize,
    stop: AtomicBool,
    /// The first trouble that the monitor found, and with which peer.
    fault: Mutex<Option<(usize, NetError)>>,
    /// Whether trouble with one peer is no trouble for the others.
    tolerant: AtomicBool,
    host: Host,
}

/// One party's connections.
pub struct TlsLink {
    shared: Arc<Shared>,
    session: [u8; 32],
    dialled: connect::Dialled,
    stats: Vec<PeerStats>,
    monitor: Option<std::thread::JoinHandle<()>>,
    aborted: bool,
    closed: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl TlsLink {
    /// Connects to every peer, checks certificates, version, party numbers and job, and agrees on a session identifier made
    /// of fresh randomness of all.
    pub fn connect(config: TlsConfig) -> Result<TlsLink, NetError> {
        let n = config.peers.len();
        let (me, limits, host) = (config.me, config.limits, config.host.clone());
        let (connections, session, dialled) = connect::establish(config)?;
        let slots = connections.into_iter().map(|c| c.map(Mutex::new)).collect();
        let shared = Arc::new(Shared {
            me,
            slots,
            limits,
            awaited: AtomicUsize::new(NOBODY),
            stop: AtomicBool::new(false),
            fault: Mutex::new(None),
            tolerant: AtomicBool::new(false),
            host,
        });
        let watched = shared.clone();
        let monitor = std::thread::Builder::new()
            .name("privity-monitor".into())
            .spawn(move || watched.watch())
            .map_err(|e| NetError::Io { operation: "starting the monitor thread", problem: e.to_string() })?;
        let stats = vec![PeerStats::default(); n];
        Ok(TlsLink { shared, session, dialled, stats, monitor: Some(monitor), aborted: false, closed: false })
    }

    /// The session identifier: the same at every party, fresh every time.
    pub fn session(&self) -> [u8; 32] {
        self.session
    }

    /// Tells the others, once, and passes the error on.
    fn fail<T>(&mut self, error: NetError) -> Result<T, NetError> {
        if let NetError::Cancelled { reason } = &error {
            // The monitor has said so already; what the kernel did not take at once leaves now.
            self.abort(&self.shared.order(reason));
        }
        if let Some(about) = error.about().filter(|_| !self.shared.tolerant()) {
            let cause = AbortCause { about, reason: error.to_string() };
            self.abort(&cause);
        }
        Err(error)
    }

    fn try_send(&mut self, to: usize, header: &frame::Header, payload: &[u8]) -> Result<(), NetError> {
        lock(self.shared.slot(to)).push(header, payload)?;
        self.drain(to, self.shared.limits.queue)
    }

    /// Waits until at most `bound` bytes are queued for a peer that proves alive.
    fn drain(&self, to: usize, bound: usize) -> Result<(), NetError> {
        let slot = self.shared.slot(to);
        let mut last = lock(slot).queued();
        let mut progress = Instant::now();
        while last > bound {
            self.shared.check(to)?;
            // Behind a data frame nothing can be read: its bytes would only keep the poll from sleeping.
            let reader = (!lock(slot).has_data()).then_some(to);
            self.shared.wait(reader, Duration::from_millis(100))?;
            let mut connection = lock(slot);
            connection.flush()?;
            connection.read_control()?;
            let now = connection.queued();
            if now < last {
                (last, progress) = (now, Instant::now());
            }
            connection.check_silence(self.shared.limits.silence)?;
            if progress.elapsed() > self.shared.limits.message {
                return Err(NetError::Timeout { peer: to, waited: progress.elapsed() });
            }
        }
        Ok(())
    }

    fn try_recv(&mut self, from: usize, tag: Tag, into: &mut [u8]) -> Result<u32, NetError> {
        let mut filled = 0;
        let received = self.until(from, |connection| connection.take(tag, into, &mut filled));
        if let (Err(error), true) = (&received, filled > 0) {
            // What came of the frame is gone with the buffer: whoever waits again must not take the rest for a frame.
            lock(self.shared.slot(from)).spoil(error);
        }
        received
    }

    fn try_recv_any(&mut self, from: usize) -> Result<Incoming, NetError> {
        let (tag, len) = self.until(from, Connection::peek)?;
        let mut payload = vec![0; len];
        let depth = self.try_recv(from, tag, &mut payload)?;
        Ok(Incoming { tag, depth, payload })
    }

    /// Waits until a connection has what is wanted.
    fn until<T>(
        &mut self,
        from: usize,
        mut wanted: impl FnMut(&mut Connection) -> Result<Option<T>, NetError>,
    ) -> Result<T, NetError> {
        // What was sent since the last wait leaves now: others may need it before they can answer.
        self.shared.flush_all(from)?;
        let slot = self.shared.slot(from);
        let started = Instant::now();
        let mut spinning = true;
        loop {
            {
                let mut connection = lock(slot);
                if let Some(found) = wanted(&mut connection)? {
                    return Ok(found);
                }
                connection.check_silence(self.shared.limits.silence)?;
            }
            if spinning && started.elapsed() < self.shared.limits.spin {
                std::thread::yield_now();
                continue;
            }
            spinning = false;
            self.shared.check(from)?;
            if started.elapsed() > self.shared.limits.message {
                return Err(NetError::Timeout { peer: from, waited: started.elapsed() });
            }
            self.shared.wait(Some(from), Duration::from_millis(100))?;
            self.shared.flush_all(from)?;
        }
    }

    /// Notes whom this thread waits for, waits, and tells the others if it fails.
    fn awaiting<T>(&mut self, from: usize, f: impl FnOnce(&mut Self) -> Result<T, NetError>) -> Result<T, NetError> {
        self.shared.awaited.store(from, Ordering::SeqCst);
        let received = f(self);
        self.shared.awaited.store(NOBODY, Ordering::SeqCst);
        received.or_else(|error| self.fail(error))
    }
}

impl Shared {
    fn slot(&self, peer: usize) -> &Slot {
        self.slots[peer].as_ref().expect("a party does not talk to itself")
    }

    fn peers(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.slots.iter().enumerate().filter_map(|(i, slot)| slot.as_ref().map(|s| (i, s)))
    }

    fn tolerant(&self) -> bool {
        self.tolerant.load(Ordering::Relaxed)
    }

    /// What the monitor found, if anything; while tolerant, with this peer.
    fn check(&self, peer: usize) -> Result<(), NetError> {
        match &*lock(&self.fault) {
            Some((with, error)) if *with == peer || *with == self.me || !self.tolerant() => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Whether a peer's goodbye, or the taking of ours, is still to be waited for.
    fn farewell(&self, connection: &mut Connection) -> Result<bool, NetError> {
        if connection.goodbye() && connection.queued() == 0 {
            // Done with: what its socket says after both goodbyes is no news.
            return Ok(false);
        }
        connection.flush()?;
        if self.tolerant() {
            // What was told and not needed lies before the goodbye.
            connection.drop_data()?;
        } else {
            connection.read_control()?;
        }
        let waits = connection.queued() > 0 || !connection.goodbye();
        if waits {
            connection.check_silence(self.limits.silence)?;
        }
        Ok(waits)
    }

    /// Sleeps until `reader` has bytes for us, some connection takes more of ours, or the time is over.
    fn wait(&self, reader: Option<usize>, time: Duration) -> Result<(), NetError> {
        let handles: Vec<_> = self
            .peers()
            .filter_map(|(peer, slot)| {
                let connection = lock(slot);
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::IN, reader == Some(peer));
                flags.set(PollFlags::OUT, connection.queued() > 0);
                // A socket whose peer is gone would end every wait at once.
                (!connection.over()).then(|| (connection.handle(), flags))
            })
            .collect();
        let mut fds: Vec<PollFd<'_>> = handles.iter().map(|(handle, flags)| PollFd::new(&**handle, *flags)).collect();
        let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        match poll(&mut fds, Some(&time)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(NetError::Io { operation: "waiting for the network", problem: e.to_string() }),
        }
    }

    /// Trouble counts as in [`Shared::check`].
    fn flush_all(&self, peer: usize) -> Result<(), NetError> {
        let mut queued = self.peers().filter(|(_, slot)| lock(slot).queued() > 0);
        queued.try_for_each(|(with, slot)| match lock(slot).flush() {
            Err(error) if with == peer || !self.tolerant() => Err(error),
            _ => Ok(()),
        })
    }

    /// What the others are told of an order to stop.
    fn order(&self, reason: &str) -> AbortCause {
        AbortCause { about: self.me, reason: format!("stopped by its operator: {reason}") }
    }

    fn end_all(&self, error: &NetError) {
        let cause = self.order(self.host.cancel.reason().unwrap_or_default());
        self.peers().for_each(|(_, slot)| lock(slot).expel(&cause, error.clone()));
        *lock(&self.fault) = Some((self.me, error.clone()));
    }

    /// The monitor thread.
    fn watch(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(250));
            if let Err(error) = self.host.cancel.check() {
                self.end_all(&error);
            }
            for (peer, slot) in self.peers() {
                let mut connection = lock(slot);
                if connection.revoked(&self.host.revocations) {
                    let error = NetError::Untrusted { peer, problem: Untrusted::Revoked };
                    connection.expel(&AbortCause { about: peer, reason: error.to_string() }, error.clone());
                    lock(&self.fault).get_or_insert((peer, error));
                    continue;
                }
                // Read under the lock: whoever waits has said so before it last looked.
                let awaited = self.awaited.load(Ordering::SeqCst) == peer;
                let looked = connection.look_after(self.limits.silence, !awaited);
                drop(connection);
                if let Err(error) = looked {
                    lock(&self.fault).get_or_insert((peer, error));
                }
            }
        }
    }
}

impl Link for TlsLink {
    fn me(&self) -> usize {
        self.shared.me
    }
    fn n(&self) -> usize {
        self.shared.slots.len()
    }

    fn send(&mut self, to: usize, tag: Tag, depth: u32, payload: &[u8]) -> Result<(), NetError> {
        if payload.len() > frame::MAX_PAYLOAD {
            let problem = format!("{} bytes; a frame carries at most {}", payload.len(), frame::MAX_PAYLOAD);
            return Err(NetError::Io { operation: "sending a message", problem });
        }
        self.stats[to].sent += payload.len() as u64;
        self.stats[to].frames_sent += 1;
        let session = u64::from_le_bytes(self.session[..8].try_into().expect("eight bytes"));
        let header = frame::Header { kind: frame::Kind::Data, session, tag, depth, len: payload.len() };
        match self.try_send(to, &header, payload) {
            Ok(()) => Ok(()),
            Err(error) => self.fail(error),
        }
    }

    fn pace(&mut self, to: usize) -> Result<(), NetError> {
        let flushed = lock(self.shared.slot(to)).flush();
        match flushed.and_then(|()| self.drain(to, self.shared.limits.run_ahead)) {
            Ok(()) => Ok(()),
            Err(error) => self.fail(error),
        }
    }

    fn recv(&mut self, from: usize, tag: Tag, into: &mut [u8]) -> Result<u32, NetError> {
        self.stats[from].received += into.len() as u64;
        self.stats[from].frames_received += 1;
        self.awaiting(from, |link| link.try_recv(from, tag, into))
    }

    fn recv_any(&mut self, from: usize) -> Result<Incoming, NetError> {
        let incoming = self.awaiting(from, |link| link.try_recv_any(from))?;
        self.stats[from].received += incoming.payload.len() as u64;
        self.stats[from].frames_received += 1;
        Ok(incoming)
    }

    fn tolerate(&mut self, on: bool) {
        self.shared.tolerant.store(on, Ordering::Relaxed);
    }

    fn abort(&mut self, cause: &AbortCause) {
        if std::mem::replace(&mut self.aborted, true) {
            return;
        }
        for (_, slot) in self.shared.peers() {
            // A peer that cannot be told any more is one that needs not be.
            let _ = lock(slot).say_abort(cause);
        }
        let until = Instant::now() + Duration::from_secs(1);
        while self.shared.peers().any(|(_, s)| lock(s).queued() > 0) && Instant::now() < until {
            if self.shared.wait(None, Duration::from_millis(50)).is_err() || self.shared.flush_all(NOBODY).is_err() {
                break;
            }
        }
    }

    fn close(&mut self) -> Result<(), NetError> {
        if std::mem::replace(&mut self.closed, true) || self.aborted {
            return Ok(());
        }
        let tolerant = self.shared.tolerant();
        let mut trouble = None;
        for (_, slot) in self.shared.peers() {
            // Where trouble with one peer is no trouble for the others, all others are told.
            match lock(slot).say_bye() {
                Err(error) if tolerant => trouble = Some(error),
                said => said?,
            }
        }
        let started = Instant::now();
        loop {
            let mut waiting = None;
            for (peer, slot) in self.shared.peers() {
                match self.shared.farewell(&mut lock(slot)) {
                    Ok(false) => {}
                    Ok(true) => waiting = Some(peer),
                    Err(error) if tolerant => trouble = Some(error),
                    Err(error) => return Err(error),
                }
            }
            if let (None, Some(error)) = (waiting, &trouble) {
                return Err(error.clone());
            }
            let Some(peer) = waiting else { return Ok(()) };
            if started.elapsed() > self.shared.limits.message {
                return Err(NetError::Timeout { peer, waited: started.elapsed() });
            }
            self.shared.wait(Some(peer), Duration::from_millis(50))?;
        }
    }

    fn stats(&self) -> &[PeerStats] {
        &self.stats
    }
}

impl Drop for TlsLink {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(monitor) = self.monitor.take() {
            monitor.thread().unpark();
            // The monitor only sleeps and looks; it cannot have panicked on anything this thread could mend.
            let _ = monitor.join();
        }
        // A relay that stopped in the middle is not the first again.
        let broke_off =
            |peer: usize, slot: &Slot| self.dialled.through[peer].is_some() && lock(slot).broke_off(self.shared.me);
        self.shared
            .peers()
            .filter(|(peer, slot)| broke_off(*peer, slot))
            .for_each(|(peer, _)| self.dialled.broke_off(peer));
    }
}
