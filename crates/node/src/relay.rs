//! The relay: members that only dial out keep some connections waiting here, and whoever dials them is put through to one. What is carried is TLS between the
//! two ends. A ticket says for which member a connection waits; who steals one can keep its member from being reached and can read or be nobody, as
//! the dialer finds out in its handshake.

use crate::message::Tickets;
use crate::node::Node;
use crate::{NodeError, home};
use privity_net::relay::{GO, Request, keep_alive};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Tickets that are given at a time, and those of one member; beyond, its oldest count no more.
pub(crate) const BATCH: usize = 16;
const TICKETS: usize = 64;
/// How long a ticket may be used.
const VALID: Duration = Duration::from_secs(120);
/// Connections of one member that wait, of which the oldest goes: half as many again as it keeps. Those of all are as many as members can have.
const WAITING: usize = 12;
/// How long one may wait. Its member has it renewed before.
const WAIT: Duration = Duration::from_secs(90);
/// Dialers of one member that are carried or wait for it, and of all.
const CARRIED: usize = 96;
const ALL_CARRIED: usize = 192;
/// How long a dialer waits, and how long a connection that waited may take to say that it is still there.
const PATIENCE: Duration = Duration::from_secs(5);
const THERE: Duration = Duration::from_secs(2);
/// How long a piece may wait for an end to take it: longer than an engine waits for a message of another that computes.
const STALLED: Duration = Duration::from_secs(660);
/// How long one direction may outlast the other.
const LINGER: Duration = Duration::from_secs(30);
/// Members at one time; others are refused tickets. The connections that wait are no more than WAITING for each, so none keeps out another's.
const MEMBERS: usize = 16;
/// Bytes read at once.
const PIECE: usize = 64 << 10;

/// What the relay has of a member. It is forgotten when nothing is left of it.
struct Lane {
    tickets: VecDeque<(String, Instant)>,
    waiting: VecDeque<(TcpStream, Instant)>,
    places: Arc<Semaphore>,
}

impl Lane {
    fn tidy(&mut self, now: Instant) -> bool {
        self.tickets.retain(|(_, since)| now.saturating_duration_since(*since) < VALID);
        self.waiting.retain(|(_, since)| now.saturating_duration_since(*since) < WAIT);
        !self.tickets.is_empty() || !self.waiting.is_empty() || self.places.available_permits() < CARRIED
    }
}

/// The relay of a node.
pub(crate) struct Relay {
    /// By root.
    lanes: Mutex<BTreeMap<String, Lane>>,
    /// A connection began to wait.
    come: Notify,
    places: Arc<Semaphore>,
    bytes: AtomicU64,
}

/// Figures of a relay.
pub(crate) struct Figures {
    /// Connections that wait for dialers.
    pub waiting: usize,
    /// Dialers that are carried, or wait.
    pub carried: usize,
    /// Bytes that were carried since the node began.
    pub bytes: u64,
}

impl Default for Relay {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(ALL_CARRIED));
        Relay { lanes: Mutex::default(), come: Notify::new(), places, bytes: AtomicU64::new(0) }
    }
}

impl Relay {
    /// All members, without what is over.
    fn lanes(&self, now: Instant) -> MutexGuard<'_, BTreeMap<String, Lane>> {
        let mut lanes = crate::lock(&self.lanes);
        lanes.retain(|_, lane| lane.tidy(now));
        lanes
    }

    /// Tickets for the member with this root.
    ///
    /// # Errors
    /// Too many members ask, or there is no randomness.
    fn issue(&self, root: &str, now: Instant) -> Result<Vec<String>, NodeError> {
        let fresh = (0..BATCH).map(|_| home::random_hex(32)).collect::<Result<Vec<_>, _>>()?;
        let mut lanes = self.lanes(now);
        if lanes.len() >= MEMBERS && !lanes.contains_key(root) {
            return Err(NodeError::TooMany { seconds: VALID.as_secs() });
        }
        let lane = lanes.entry(root.to_owned()).or_insert_with(|| Lane {
            tickets: VecDeque::new(),
            waiting: VecDeque::new(),
            places: Arc::new(Semaphore::new(CARRIED)),
        });
        lane.tickets.extend(fresh.iter().map(|ticket| (ticket.clone(), now)));
        let beyond = lane.tickets.len().saturating_sub(TICKETS);
        lane.tickets.drain(..beyond);
        Ok(fresh)
    }

    /// Has a connection wait for dialers of the member whose ticket it shows. Without a ticket it is closed.
    fn wait(&self, ticket: &str, stream: TcpStream, now: Instant) {
        let mut lanes = self.lanes(now);
        let Some((_, lane)) = redeem(&mut lanes, ticket) else { return };
        if lane.waiting.len() >= WAITING {
            lane.waiting.pop_front();
        }
        lane.waiting.push_back((stream, now));
        drop(lanes);
        self.come.notify_waiters();
    }

    /// A place for a dialer of this member, if there is one and the member is known.
    fn place(&self, root: &str) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let own = self.lanes(Instant::now()).get(root)?.places.clone().try_acquire_owned().ok()?;
        Some((own, self.places.clone().try_acquire_owned().ok()?))
    }

    /// A connection of this member that waited and is still there: the newest, which is the likeliest to be.
    async fn meet(&self, root: &str) -> TcpStream {
        loop {
            let come = self.come.notified();
            tokio::pin!(come);
            come.as_mut().enable();
            let newest = self.lanes(Instant::now()).get_mut(root).and_then(|lane| lane.waiting.pop_back());
            match newest {
                Some((stream, _)) => {
                    if let Some(there) = is_there(stream).await {
                        return there;
                    }
                }
                None => come.await,
            }
        }
    }

    /// Does what a connection asks for; whatever it may not have ends with the connection, and nobody learns why.
    pub async fn serve(&self, request: Request, stream: std::net::TcpStream) -> std::io::Result<()> {
        keep_alive(&stream);
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream)?;
        stream.set_nodelay(true)?;
        match request {
            Request::Wait(ticket) => {
                self.wait(&ticket, stream, Instant::now());
                Ok(())
            }
            Request::To(root) => {
                let Some(_places) = self.place(&root) else { return Ok(()) };
                match tokio::time::timeout(PATIENCE, self.meet(&root)).await {
                    Ok(member) => self.carry(stream, member).await,
                    Err(_) => Ok(()),
                }
            }
        }
    }

    /// Carries bytes both ways until both ends are done, or one is gone.
    async fn carry(&self, mut dialer: TcpStream, mut member: TcpStream) -> std::io::Result<()> {
        let ((from_dialer, to_dialer), (from_member, to_member)) = (dialer.split(), member.split());
        let (there, back) = (self.pass(from_dialer, to_member), self.pass(from_member, to_dialer));
        tokio::pin!(there, back);
        let left = tokio::select! {
            over = &mut there => { over?; tokio::time::timeout(LINGER, back).await }
            over = &mut back => { over?; tokio::time::timeout(LINGER, there).await }
        };
        left.unwrap_or(Ok(()))
    }

    /// Passes bytes on until there are no more, and says so.
    async fn pass(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> std::io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            match from.read(&mut piece).await? {
                0 => return to.shutdown().await,
                n => {
                    // Whoever reads nothing for so long keeps no place: engines and requests give each other up sooner.
                    tokio::time::timeout(STALLED, to.write_all(&piece[..n])).await??;
                    self.bytes.fetch_add(n as u64, Ordering::Relaxed);
                }
            }
        }
    }

    pub fn figures(&self) -> Figures {
        let waiting = self.lanes(Instant::now()).values().map(|lane| lane.waiting.len()).sum();
        let carried = ALL_CARRIED - self.places.available_permits();
        Figures { waiting, carried, bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

/// Whose ticket this was; it is none any more.
fn redeem<'a>(lanes: &'a mut BTreeMap<String, Lane>, ticket: &str) -> Option<(&'a str, &'a mut Lane)> {
    lanes.iter_mut().find_map(|(root, lane)| {
        let at = lane.tickets.iter().position(|(known, _)| known == ticket)?;
        lane.tickets.remove(at);
        Some((root.as_str(), lane))
    })
}

/// Has a connection that waited say that it is still there: the system may not know yet that it is not.
async fn is_there(mut stream: TcpStream) -> Option<TcpStream> {
    let asked = async {
        stream.write_all(&[GO]).await?;
        stream.read_u8().await
    };
    let answer = tokio::time::timeout(THERE, asked).await.ok()?.ok()?;
    (answer == GO).then_some(stream)
}

impl Node {
    /// Tickets for a member that only dials out and has this node in front.
    ///
    /// # Errors
    /// This node is no relay, or not this member's.
    pub(crate) async fn receive_relay(&self, root: &str) -> Result<Tickets, NodeError> {
        if !self.config.relay {
            return Err(NodeError::NoRelay { organisation: self.organisation().to_owned() });
        }
        let projects = self.own_projects().await?;
        let mut stated = projects.iter().filter_map(|project| project.by_root(root));
        let ours = |member: &privity_api::Member| {
            privity_net::relay::relays(&member.address).contains(&self.config.address.as_str())
        };
        if !stated.any(ours) {
            let problem =
                format!("no project states relay:{} in the address of the member that asks", self.config.address);
            return Err(NodeError::Forbidden(problem));
        }
        Ok(Tickets { tickets: self.relay.issue(root, Instant::now())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aa";

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn owner(relay: &Relay, ticket: &str, now: Instant) -> Option<String> {
        redeem(&mut relay.lanes(now), ticket).map(|(root, _)| root.to_owned())
    }

    #[test]
    fn a_ticket_is_good_once_for_its_root_and_for_a_while() {
        let (relay, now) = (Relay::default(), Instant::now());
        let tickets = relay.issue(A, now).unwrap();
        assert!(tickets.len() == BATCH && tickets.iter().all(|t| Request::Wait(t.clone()).line().is_some()));
        let others = relay.issue("bb", now).unwrap();
        assert!(tickets.iter().all(|ticket| !others.contains(ticket)));
        assert_eq!(owner(&relay, &tickets[0], now), Some(A.into()));
        assert_eq!(owner(&relay, &tickets[0], now), None);
        assert_eq!(owner(&relay, &others[0], now), Some("bb".into()));
        assert_eq!(owner(&relay, &"0".repeat(64), now), None);
        assert_eq!(owner(&relay, &tickets[1], now + VALID - secs(1)), Some(A.into()));
        assert_eq!(owner(&relay, &tickets[2], now + VALID), None);
        assert!(relay.lanes(now + VALID).is_empty(), "nothing is left of members that are gone");
    }

    #[test]
    fn tickets_and_members_stay_within_bounds() {
        let (relay, now) = (Relay::default(), Instant::now());
        let first = relay.issue(A, now).unwrap();
        let last: Vec<_> = (0..20).map(|_| relay.issue(A, now).unwrap()).collect();
        assert_eq!(relay.lanes(now)[A].tickets.len(), TICKETS);
        assert_eq!(owner(&relay, &first[0], now), None);
        assert_eq!(owner(&relay, &last[19][0], now), Some(A.into()));
        (1..MEMBERS).for_each(|i| drop(relay.issue(&i.to_string(), now).unwrap()));
        assert!(matches!(relay.issue("one more", now), Err(NodeError::TooMany { .. })));
        assert!(relay.issue(A, now).is_ok() && relay.issue("one more", now + VALID).is_ok());
    }

    /// Two ends of a connection.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (dialled, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn connections_that_wait_stay_within_bounds_and_are_let_go() {
        let (relay, now) = (Relay::default(), Instant::now());
        let mut ends = Vec::new();
        let tickets = [relay.issue(A, now).unwrap(), relay.issue(A, now).unwrap()].concat();
        for ticket in &tickets[..WAITING + 3] {
            let (end, waits) = pair().await;
            relay.wait(ticket, waits, now);
            ends.push(end);
        }
        assert_eq!(relay.figures().waiting, WAITING);
        // The oldest are closed.
        for end in &mut ends[..3] {
            assert_eq!(end.read(&mut [0; 1]).await.unwrap(), 0);
        }
        // As many members as there may be, each with as many as it may have.
        for member in 1..MEMBERS {
            for ticket in relay.issue(&member.to_string(), now).unwrap() {
                let (end, waits) = pair().await;
                relay.wait(&ticket, waits, now);
                ends.push(end);
            }
        }
        assert_eq!(relay.figures().waiting, MEMBERS * WAITING);
        assert_eq!(relay.lanes(now)[A].waiting.len(), WAITING, "no member's make room for another's");
        assert!(relay.lanes(now + WAIT).values().all(|lane| lane.waiting.is_empty()));
    }

    #[tokio::test]
    async fn whoever_is_gone_or_says_something_else_is_passed_over() {
        let (relay, now) = (Relay::default(), Instant::now());
        let tickets = relay.issue(A, now).unwrap();
        let (good, waits) = pair().await;
        relay.wait(&tickets[0], waits, now);
        let (mut wrong, waits) = pair().await;
        relay.wait(&tickets[1], waits, now);
        let (gone, waits) = pair().await;
        relay.wait(&tickets[2], waits, now);
        drop(gone);
        wrong.write_all(b"x").await.unwrap();
        let answers = tokio::spawn(async move {
            let mut good = good;
            assert_eq!(good.read_u8().await.unwrap(), GO);
            good.write_all(&[GO]).await.unwrap();
            good
        });
        let met = tokio::time::timeout(PATIENCE, relay.meet(A)).await.unwrap();
        let good = answers.await.unwrap();
        assert_eq!(met.peer_addr().unwrap(), good.local_addr().unwrap());
        assert_eq!(relay.figures().waiting, 0);
    }
}
