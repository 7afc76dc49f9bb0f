//! A node that only dials out keeps connections waiting at its relay. What comes through one is TLS with whoever dialled, as if it had come in by a port of its own.

use crate::NodeError;
use crate::dial::{because, tcp};
use crate::message::Tickets;
use crate::node::Node;
use crate::relay::BATCH;
use privity_net::relay::{GO, Request, relays};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Connections that wait at a relay.
const WAITING: usize = 8;
/// One that nobody needed for so long is renewed: what lies between might have forgotten it.
const RENEW: Duration = Duration::from_secs(45);
/// Tickets that are older are not used any more.
const FRESH: Duration = Duration::from_secs(60);
/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(8);
/// A connection that stands for so long waits: one whose ticket is void is closed before.
const STANDS: Duration = Duration::from_secs(1);
/// How long a relay that is away, or refuses, is left alone, at first and at last.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// How this node is reached through its relays.
#[derive(Default)]
pub(crate) struct Reached(std::sync::Mutex<BTreeMap<String, At>>);

/// At one relay.
#[derive(Default)]
struct At {
    /// Connections that stand there.
    standing: usize,
    /// What was in the way of one since the last that stood.
    problem: Option<String>,
}

/// A connection that stands at a relay, until this is dropped.
struct Stands<'a>(&'a Reached, &'a str);

impl Drop for Stands<'_> {
    fn drop(&mut self) {
        self.0.at(self.1, |at| at.standing -= 1);
    }
}

impl Reached {
    fn at(&self, relay: &str, change: impl FnOnce(&mut At)) {
        change(crate::lock(&self.0).entry(relay.to_owned()).or_default());
    }
    fn stands<'a>(&'a self, relay: &'a str) -> Stands<'a> {
        self.at(relay, |at| (at.standing, at.problem) = (at.standing + 1, None));
        Stands(self, relay)
    }
    fn fails(&self, relay: &str, problem: &str) {
        self.at(relay, |at| at.problem = Some(problem.to_owned()));
    }
    /// Why nobody reaches this node, if it is reached through relays and waits at none. One connection of several that fails is in nobody's way, nor are
    /// those that are just renewed.
    pub fn hindrance(&self) -> Option<String> {
        let all = crate::lock(&self.0);
        let problems: Option<Vec<String>> = (all.iter())
            .map(|(relay, at)| {
                let problem = at.problem.as_ref().filter(|_| at.standing == 0)?;
                Some(format!("this node does not wait at its relay {relay}: {problem}"))
            })
            .collect();
        problems.filter(|problems| !problems.is_empty()).map(|problems| problems.join("\n"))
    }
}

/// A relay, and what waits there.
struct Waiting {
    node: Arc<Node>,
    relay: String,
    /// Tickets that were not used yet, and since when they are there.
    tickets: Mutex<(Vec<String>, Option<Instant>)>,
    /// Whether trouble was told and is not over.
    trouble: AtomicBool,
}

/// Keeps connections waiting at each relay through which this node is reached.
pub(crate) fn begin(node: &Arc<Node>) {
    for relay in relays(&node.config.address) {
        node.reached.fails(relay, "it has not connected yet");
        let (tickets, trouble) = (Mutex::default(), AtomicBool::new(false));
        let waiting = Arc::new(Waiting { node: node.clone(), relay: relay.to_owned(), tickets, trouble });
        for _ in 0..WAITING {
            let waiting = waiting.clone();
            tokio::spawn(async move { waiting.work().await });
        }
    }
}

impl Waiting {
    /// One connection after the other.
    async fn work(&self) {
        let mut pause = Duration::ZERO;
        loop {
            match self.wait().await {
                Ok(()) => {
                    pause = Duration::ZERO;
                    if self.trouble.swap(false, Ordering::Relaxed) {
                        tracing::info!(relay = self.relay, "this node waits at a relay again");
                    }
                }
                Err(problem) => {
                    self.node.reached.fails(&self.relay, &problem);
                    if !self.trouble.swap(true, Ordering::Relaxed) {
                        let relay = &self.relay;
                        tracing::warn!(
                            relay,
                            problem,
                            "this node cannot wait at a relay, and others cannot reach it through that one"
                        );
                    }
                    // Those of a relay that was started again are void.
                    self.tickets.lock().await.0.clear();
                    pause = (2 * pause).clamp(AGAIN.0, AGAIN.1);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Waits until somebody has dialled, and hands over the connection; or until it is to be renewed.
    async fn wait(&self) -> Result<(), String> {
        let ticket = self.ticket().await.map_err(|e| e.to_string())?;
        let line = Request::Wait(ticket).line().ok_or("the relay gave a ticket that is none")?;
        let connected = timeout(PATIENCE, tcp(&self.relay, None)).await;
        let mut stream = connected.map_err(|e| because(&e))??;
        stream.write_all(line.as_bytes()).await.map_err(|e| because(&e))?;
        // No more than this byte: what comes then is for the switch.
        let said = match timeout(STANDS, stream.read_u8()).await {
            Ok(said) => said,
            Err(_) => {
                let _stands = self.node.reached.stands(&self.relay);
                let Ok(said) = timeout(RENEW, stream.read_u8()).await else { return Ok(()) };
                said
            }
        };
        if said.map_err(|e| format!("the relay closed a connection that waited: {}", because(&e)))? != GO {
            return Err("the relay says what no relay says".into());
        }
        stream.write_all(&[GO]).await.map_err(|e| because(&e))?;
        let stream = stream.into_std().map_err(|e| because(&e))?;
        stream.set_nonblocking(false).map_err(|e| because(&e))?;
        self.node.switch.offer(stream);
        Ok(())
    }

    /// A ticket, of those that are left or of new ones.
    async fn ticket(&self) -> Result<String, NodeError> {
        let mut tickets = self.tickets.lock().await;
        if tickets.1.is_none_or(|since| since.elapsed() > FRESH) {
            tickets.0.clear();
        }
        if tickets.0.is_empty() {
            let members = self.node.others().await?;
            let relay = members.values().find(|member| member.address == self.relay).ok_or_else(|| {
                NodeError::State(format!("no member of this node's projects has the address {}", self.relay))
            })?;
            let since = Instant::now();
            let given: Tickets = self.node.peers.ask_text(relay, "relay", "{}".into()).await?;
            *tickets = (given.tickets.into_iter().take(BATCH).collect(), Some(since));
        }
        tickets.0.pop().ok_or_else(|| NodeError::State("the relay gave no tickets".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_reached_that_waits_at_one_of_its_relays() {
        let reached = Reached::default();
        assert_eq!(reached.hindrance(), None, "it has a port of its own");
        reached.fails("a:1", "away");
        assert!(reached.hindrance().is_some_and(|why| why.contains("a:1: away")));
        let one = reached.stands("b:1");
        assert_eq!(reached.hindrance(), None);
        let other = reached.stands("b:1");
        drop(one);
        reached.fails("b:1", "void");
        assert_eq!(reached.hindrance(), None, "another one stands");
        drop(other);
        assert!(reached.hindrance().is_some_and(|why| why.contains("a:1: away") && why.contains("b:1: void")));
        drop(reached.stands("b:1"));
        assert_eq!(reached.hindrance(), None, "it is renewed");
    }
}
