//! The thread of a switch: accepts, looks at first messages as they come, and hands on.

use super::{Board, ENGINE, LONGEST_HELLO, SUFFIX};
use crate::tls::{lock, relay};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, recv};
use rustls::server::Acceptor;
use std::collections::VecDeque;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How soon a first message that came in part is looked at again: the system would call it readable all the time.
const AGAIN: Duration = Duration::from_millis(50);
/// Longest sleep while something waits for its time to be over, and while nothing does.
const SLEEP: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// Connections accepted at one turn.
const TURN: usize = 64;

/// A connection whose first message is not complete.
struct Pending {
    stream: TcpStream,
    since: Instant,
    /// Bytes seen.
    seen: usize,
    /// When to look again at what came in part.
    next: Option<Instant>,
}

pub(super) struct Sorter {
    board: Arc<Board>,
    listener: Option<TcpListener>,
    woken: UnixStream,
    /// In the order in which they came.
    pending: VecDeque<Pending>,
}

/// What a first message says.
#[derive(Debug, PartialEq, Eq)]
enum Hello {
    /// It is for a session.
    Session(String),
    /// It is TLS for something else, or for a relay.
    Other,
    /// It is not complete.
    Part,
    /// It is neither.
    Garbage,
}

/// Reads a first message of which these bytes have come.
fn classify(mut bytes: &[u8]) -> Hello {
    match relay::read(bytes) {
        relay::Reading::Whole(_) => return Hello::Other,
        relay::Reading::Part => return Hello::Part,
        relay::Reading::No => {}
    }
    let (whole, mut acceptor) = (bytes.len() >= LONGEST_HELLO, Acceptor::default());
    while !bytes.is_empty() {
        if !matches!(acceptor.read_tls(&mut bytes), Ok(1..)) {
            return Hello::Garbage;
        }
        match acceptor.accept() {
            Ok(None) => {}
            Err(_) => return Hello::Garbage,
            Ok(Some(accepted)) => {
                let hello = accepted.client_hello();
                let engine = hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == ENGINE));
                let name = hello.server_name().filter(|name| name.ends_with(SUFFIX));
                return match (engine, name) {
                    (true, Some(name)) => Hello::Session(name.to_owned()),
                    (true, None) => Hello::Garbage,
                    (false, _) => Hello::Other,
                };
            }
        }
    }
    if whole { Hello::Garbage } else { Hello::Part }
}

impl Sorter {
    pub fn new(board: Arc<Board>, listener: Option<TcpListener>, woken: UnixStream) -> Self {
        Sorter { board, listener, woken, pending: VecDeque::new() }
    }

    pub fn run(mut self) {
        while !self.board.stop.load(Ordering::Relaxed) {
            let early = self.board.expire();
            self.wait(early);
            self.gather();
            let now = Instant::now();
            for connection in std::mem::take(&mut self.pending) {
                if let Some(left) = self.look(connection, now) {
                    self.pending.push_back(left);
                }
            }
            // Beyond the bound the oldest goes: whoever means it says its first message at once.
            let beyond = self.pending.len().saturating_sub(self.board.bounds.pending);
            self.pending.drain(..beyond);
        }
    }

    /// Sleeps until there may be something to do.
    fn wait(&self, early: bool) {
        let mut time = if early || !self.pending.is_empty() { SLEEP.0 } else { SLEEP.1 };
        let mut fds = vec![PollFd::new(&self.woken, PollFlags::IN)];
        fds.extend(self.listener.as_ref().map(|listener| PollFd::new(listener, PollFlags::IN)));
        for connection in &self.pending {
            match connection.next {
                Some(next) => time = time.min(next.saturating_duration_since(Instant::now())),
                None => fds.push(PollFd::new(&connection.stream, PollFlags::IN)),
            }
        }
        // A millisecond more, so that what is due is due after it.
        let time = time + Duration::from_millis(1);
        let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        if poll(&mut fds, Some(&time)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Takes in what has come.
    fn gather(&mut self) {
        while matches!((&self.woken).read(&mut [0; 64]), Ok(64)) {}
        let mut come = std::mem::take(&mut lock(&self.board.state).offered);
        if let Some(listener) = &self.listener {
            for _ in 0..TURN {
                match listener.accept() {
                    Ok((stream, _)) => come.push(stream),
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                    Err(_) => {
                        // No more files to be had, perhaps: not at once again.
                        std::thread::sleep(Duration::from_millis(10));
                        break;
                    }
                }
            }
        }
        let since = Instant::now();
        for stream in come {
            if stream.set_nonblocking(true).is_ok() {
                self.pending.push_back(Pending { stream, since, seen: 0, next: None });
            }
        }
    }

    /// Hands a connection on if its first message is there, closes it if that is garbage or late, else gives it back.
    fn look(&self, mut connection: Pending, now: Instant) -> Option<Pending> {
        let late = connection.since.elapsed() > self.board.bounds.hello;
        if connection.next.is_some_and(|next| next > now) {
            return (!late).then_some(connection);
        }
        let mut bytes = [0; LONGEST_HELLO];
        let seen = match recv(&connection.stream, &mut bytes[..], RecvFlags::PEEK) {
            Ok((_, 0)) => return None,
            Ok((_, seen)) => seen,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return (!late).then_some(connection),
            Err(_) => return None,
        };
        let hello = if seen == connection.seen { Hello::Part } else { classify(&bytes[..seen]) };
        let hand_on = |stream: TcpStream| stream.set_nonblocking(false).is_ok().then_some(stream);
        match hello {
            Hello::Garbage => {}
            Hello::Part if late => {}
            Hello::Part => {
                (connection.seen, connection.next) = (seen, Some(now + AGAIN));
                return Some(connection);
            }
            Hello::Session(name) => drop(hand_on(connection.stream).map(|stream| self.board.route(name, stream))),
            Hello::Other => drop(hand_on(connection.stream).map(&self.board.fallback)),
        }
        None
    }
}
