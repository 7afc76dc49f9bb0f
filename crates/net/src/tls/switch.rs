//! One port for all sessions of a process, and for whatever else it serves: connections are told apart by the first message of
//! TLS, which is looked at and left where it is. The name in it is no secret and proves nothing; who it is shows in the handshake.

mod sort;

use super::lock;
use crate::NetError;
use sort::Sorter;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What dialers of sessions offer as their protocol.
pub const ENGINE: &[u8] = b"privity-engine/1";
const SUFFIX: &str = ".engine.privity";
/// Longest first message that is waited for.
const LONGEST_HELLO: usize = 1 << 13;
/// Connections that a session has not taken yet.
const QUEUE: usize = 64;
/// The alert "unrecognized name", fatal, as a record of TLS before any key is agreed.
const NO_SUCH_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// The name by which a dialer asks for one party of one session: of a hash, as names travel in clear.
pub(super) fn name_of(job: &[u8; 32], party: usize) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 name of a session at a switch");
    hasher.update(job).update(&(party as u64).to_le_bytes());
    format!("{}{SUFFIX}", &hasher.finalize().to_hex()[..32])
}

/// What strangers can cost at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections whose first message is not complete. When there are more, the oldest is closed.
    pub pending: usize,
    /// How long a first message may take.
    pub hello: Duration,
    /// Connections that wait for a session that is not registered yet. When there are more, the newest is refused.
    pub early: usize,
    /// How long they wait. The other side tries again, for as long as its own patience lasts.
    pub wait: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { pending: 256, hello: Duration::from_secs(5), early: 64, wait: Duration::from_secs(5) }
    }
}

type Fallback = Box<dyn Fn(TcpStream) + Send + Sync>;

/// One port, see the module's words. Copies are handles of the same; the last one to go closes the port.
#[derive(Clone)]
pub struct Switch(Arc<Handle>);

impl std::fmt::Debug for Switch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Switch({:?})", self.0.address)
    }
}

struct Handle {
    board: Arc<Board>,
    address: Option<SocketAddr>,
    sorter: Option<std::thread::JoinHandle<()>>,
}

/// What handles, sessions and the sorting thread share.
struct Board {
    bounds: Bounds,
    fallback: Fallback,
    state: Mutex<State>,
    wake: UnixStream,
    stop: AtomicBool,
}

#[derive(Default)]
struct State {
    sessions: HashMap<String, SyncSender<TcpStream>>,
    early: Vec<Early>,
    offered: Vec<TcpStream>,
}

/// A connection that came before its session.
struct Early {
    name: String,
    stream: TcpStream,
    since: Instant,
}

fn refused(problem: impl ToString) -> NetError {
    NetError::Io { operation: "opening a switch", problem: problem.to_string() }
}

impl Switch {
    /// Listens at an address. What is no session's, also if it is for a relay (see [`super::relay::Request::take`]), goes to `fallback`, nothing of it read; that is called by the sorting thread
    /// and must return at once and not panic.
    ///
    /// # Errors
    /// The address cannot be listened on, or no thread be started.
    pub fn listen(
        address: &str,
        bounds: Bounds,
        fallback: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Result<Switch, NetError> {
        let listener = super::connect::listen(address)?;
        listener.set_nonblocking(true).map_err(refused)?;
        Self::start(Some(listener), bounds, Box::new(fallback))
    }

    /// A switch without a port of its own, for connections that are accepted elsewhere, see [`Switch::offer`].
    ///
    /// # Errors
    /// No thread can be started.
    pub fn new(bounds: Bounds, fallback: impl Fn(TcpStream) + Send + Sync + 'static) -> Result<Switch, NetError> {
        Self::start(None, bounds, Box::new(fallback))
    }

    fn start(listener: Option<TcpListener>, bounds: Bounds, fallback: Fallback) -> Result<Switch, NetError> {
        let (wake, woken) = UnixStream::pair().map_err(refused)?;
        wake.set_nonblocking(true).map_err(refused)?;
        woken.set_nonblocking(true).map_err(refused)?;
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let (state, stop) = (Mutex::default(), AtomicBool::new(false));
        let board = Arc::new(Board { bounds, fallback, state, wake, stop });
        let sorter = Sorter::new(board.clone(), listener, woken);
        let sorting = std::thread::Builder::new().name("privity-switch".into()).spawn(move || sorter.run());
        Ok(Switch(Arc::new(Handle { board, address, sorter: Some(sorting.map_err(refused)?) })))
    }

    /// Where it listens, if it has a port of its own.
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.address
    }

    /// Takes a connection that was accepted elsewhere, nothing of which has been read.
    pub fn offer(&self, stream: TcpStream) {
        lock(&self.0.board.state).offered.push(stream);
        self.0.board.wake();
    }

    /// From now on connections for this party of this session are its own; those that came early are the first.
    pub(super) fn register(&self, job: &[u8; 32], party: usize) -> Result<Registration, NetError> {
        let name = name_of(job, party);
        let (sender, arrivals) = sync_channel(QUEUE);
        let mut state = lock(&self.0.board.state);
        if state.sessions.contains_key(&name) {
            return Err(refused("a session of the same job and party is being joined here already"));
        }
        let (own, others) = std::mem::take(&mut state.early).into_iter().partition(|early| early.name == name);
        state.early = others;
        let own: Vec<Early> = own;
        // There are no more than the queue holds: see `Board::route`.
        own.into_iter().for_each(|early| drop(sender.try_send(early.stream)));
        state.sessions.insert(name.clone(), sender);
        drop(state);
        Ok(Registration { name, arrivals, board: self.0.board.clone() })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.board.stop.store(true, Ordering::Relaxed);
        self.board.wake();
        let sorter = self.sorter.take().filter(|sorter| sorter.thread().id() != std::thread::current().id());
        // It ends at its next turn; what it was handed it has closed then.
        let _ = sorter.map(std::thread::JoinHandle::join);
    }
}

/// A session's place at a switch, until dropped.
pub(super) struct Registration {
    name: String,
    arrivals: Receiver<TcpStream>,
    board: Arc<Board>,
}

impl Registration {
    /// The next connection, if one has come.
    pub fn accept(&self) -> Option<TcpStream> {
        self.arrivals.try_recv().ok()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&self.board.state).sessions.remove(&self.name);
    }
}

impl Board {
    fn wake(&self) {
        // If its buffer is full the thread is being woken already.
        let _ = (&self.wake).write(&[0]);
    }

    /// Hands a connection to the session of this name, or keeps it until there is one.
    fn route(&self, name: String, stream: TcpStream) {
        let mut state = lock(&self.state);
        if let Some(session) = state.sessions.get(&name) {
            // A session that has all it can take takes no more.
            let _ = session.try_send(stream);
            return;
        }
        let alike = state.early.iter().filter(|early| early.name == name).count();
        if state.early.len() < self.bounds.early && alike < QUEUE {
            state.early.push(Early { name, stream, since: Instant::now() });
        } else {
            drop(state);
            refuse(stream);
        }
    }

    /// Refuses those that have waited long enough; whether any still wait.
    fn expire(&self) -> bool {
        let (mut over, mut left) = (Vec::new(), Vec::new());
        let mut state = lock(&self.state);
        for early in state.early.drain(..) {
            if early.since.elapsed() > self.bounds.wait { over.push(early.stream) } else { left.push(early) }
        }
        state.early = left;
        let waits = !state.early.is_empty();
        drop(state);
        over.into_iter().for_each(refuse);
        waits
    }
}

/// Tells a dialer that there is no such session here now.
fn refuse(stream: TcpStream) {
    // What was not read when a socket closes makes the system drop what was written.
    let _ = stream.set_nonblocking(true);
    let _ = (&stream).read(&mut [0; LONGEST_HELLO]);
    let _ = (&stream).write(&NO_SUCH_NAME);
    let _ = stream.shutdown(std::net::Shutdown::Write);
}
