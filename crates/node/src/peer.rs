//! Talking to other organisations' nodes.

use crate::NodeError;
use crate::dial::{Place, connect, post};
use crate::message::{Pong, words};
use crate::node::{Node, instant};
use crate::store::{Letter, Store};
use privity_api::Member;
use privity_net::identity::{Identity, Revocations};
use privity_net::relay::Routes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long another node may take to answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// The certificate that this node shows, exchanged when it is renewed.
#[derive(Clone)]
pub struct Shown(Arc<RwLock<Arc<Identity>>>);

impl Shown {
    /// Shows this one.
    pub fn new(identity: Identity) -> Shown {
        Shown(Arc::new(RwLock::new(Arc::new(identity))))
    }
    /// The one shown now.
    pub fn get(&self) -> Arc<Identity> {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
    /// Shows another from now on; connections that stand go on.
    pub fn set(&self, identity: Identity) {
        *self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Arc::new(identity);
    }
}

/// The other nodes.
pub struct Peers {
    store: Store,
    shown: Shown,
    revocations: Arc<Revocations>,
    /// What takes messages in a simulation.
    #[cfg(test)]
    pub(crate) network: Option<crate::sim::Line>,
    /// Address of this node for others and where it listens, if it does.
    own: Option<(String, SocketAddr)>,
    /// Woken when there is something to deliver, or a job to look at.
    pub(crate) awake: Notify,
    /// When each organisation answered last, and how long it took.
    seen: Mutex<BTreeMap<String, (Instant, Duration, Pong)>>,
    /// Which of two relays requests go through first. Engines remember their own: a relay can carry the ones and not the others.
    routes: Routes,
    /// To whom messages are on their way (no time), or not before when, and how long they waited last.
    turns: Mutex<BTreeMap<String, (Option<Instant>, Duration)>>,
}

/// What is said of whoever took too long.
fn late() -> String {
    format!("no answer within {} s", PATIENCE.as_secs())
}

impl Peers {
    /// The other nodes, as the store knows them.
    pub(crate) fn new(store: Store, shown: Shown, revocations: Arc<Revocations>) -> Peers {
        Peers {
            store,
            shown,
            revocations,
            #[cfg(test)]
            network: None,
            own: None,
            awake: Notify::new(),
            seen: Mutex::default(),
            routes: Routes::default(),
            turns: Mutex::default(),
        }
    }
    /// Tells how this node itself is reached, which members may have as their relay.
    pub(crate) fn know_own(&mut self, address: &str, listens: Option<SocketAddr>) {
        self.own = listens.map(|listens| (address.to_owned(), listens));
    }
    fn place<'a>(&'a self, address: &'a str, root: Option<&'a str>) -> Place<'a> {
        let first = root.map_or(0, |root| self.routes.first(root));
        Place { address, root, first, own: self.own.as_ref() }
    }
    /// Has the node look at what waits.
    pub(crate) fn wake(&self) {
        self.awake.notify_one();
    }

    /// Asks a member, or whoever is about to become one.
    ///
    /// # Errors
    /// It does not answer, refuses, or its answer is no answer.
    pub(crate) async fn ask_member<T: Serialize, R: DeserializeOwned>(
        &self,
        member: &Member,
        path: &str,
        body: &T,
    ) -> Result<R, NodeError> {
        let text = serde_json::to_string(body).map_err(|e| NodeError::State(e.to_string()))?;
        self.ask_text(member, path, text).await
    }

    /// As [`Peers::ask_member`], with the request as text.
    pub(crate) async fn ask_text<R: DeserializeOwned>(
        &self,
        member: &Member,
        path: &str,
        text: String,
    ) -> Result<R, NodeError> {
        let answer = self.send(member, path, text).await?;
        serde_json::from_str(&answer).map_err(|e| NodeError::Refused {
            organisation: member.organisation.clone(),
            problem: format!("its answer is not understood: {e}"),
            status: 200,
        })
    }

    /// Fingerprint of the root of whoever answers at an address.
    ///
    /// # Errors
    /// Nobody does.
    pub(crate) async fn root_at(&self, address: &str) -> Result<String, NodeError> {
        let unreachable = |problem: String| NodeError::Unreachable {
            organisation: "the inviter".into(),
            address: address.into(),
            problem,
        };
        let tls = privity_net::control::client(&self.shown.get(), None, &self.revocations);
        let tls = tls.map_err(|e| NodeError::Keys(e.to_string()))?;
        let connecting = connect(self.place(address, None), tls);
        let stream = tokio::time::timeout(PATIENCE, connecting).await.map_err(|_| unreachable(late()))?;
        let (stream, _) = stream.map_err(unreachable)?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        privity_net::control::root(chain).ok_or_else(|| unreachable("it shows no root".into()))
    }

    pub(crate) async fn member(&self, project: &str, organisation: &str) -> Result<Member, NodeError> {
        let (_, project) = self.store.project(project).await?.ok_or_else(|| NodeError::missing("project", project))?;
        project.body.member(organisation).cloned().ok_or_else(|| NodeError::missing("member", organisation))
    }

    /// One request, to the node with this member's root and no other.
    pub(crate) async fn send(&self, member: &Member, path: &str, body: String) -> Result<String, NodeError> {
        #[cfg(test)]
        if let Some(network) = &self.network {
            return network.send(member, path, body).await;
        }
        let unreachable = |e: String| NodeError::Unreachable {
            organisation: member.organisation.clone(),
            address: member.address.clone(),
            problem: e,
        };
        let tls = privity_net::control::client(&self.shown.get(), Some(&member.root), &self.revocations);
        let tls = tls.map_err(|e| NodeError::Keys(e.to_string()))?;
        // A connection of its own for each request: nothing is resumed, and a certificate that became void is noticed.
        let place = self.place(&member.address, Some(&member.root));
        let used = AtomicUsize::new(place.first);
        let asking = async {
            let (stream, relay) = connect(place, tls).await?;
            used.store(relay, Ordering::Relaxed);
            post(stream, &format!("/peer/v1/{path}"), body).await
        };
        let answer = tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(late()));
        // A relay that answers and carries nothing, or stops after the handshake, is not tried first again.
        if privity_net::relay::relays(&member.address).len() > 1 {
            self.routes.note(&member.root, used.load(Ordering::Relaxed), answer.is_ok());
        }
        let (status, text) = answer.map_err(unreachable)?;
        match status.is_success() {
            true => Ok(text),
            false => Err(NodeError::Refused {
                organisation: member.organisation.clone(),
                problem: words(&text),
                status: status.as_u16(),
            }),
        }
    }

    /// Whether messages to an organisation may go out now; how long they waited last. Nobody else writes to it until [`Peers::done`].
    fn turn(&self, organisation: &str) -> Option<Duration> {
        let mut turns = crate::lock(&self.turns);
        let waited = match turns.get(organisation) {
            None => Duration::ZERO,
            Some((Some(at), waited)) if *at <= instant() => *waited,
            Some(_) => return None,
        };
        turns.insert(organisation.to_owned(), (None, waited));
        Some(waited)
    }
    /// Messages went out, all of them or not: then the rest waits twice as long as before, from one second to four.
    fn done(&self, organisation: String, waited: Duration, all: bool) {
        let wait =
            if all { Duration::ZERO } else { (2 * waited).clamp(Duration::from_secs(1), Duration::from_secs(4)) };
        let mut turns = crate::lock(&self.turns);
        turns.insert(organisation, (Some(instant() + wait), wait));
        drop(turns);
        if all {
            self.wake();
        }
    }

    /// Whether a message that was refused for a while is tried again. That certificates are void is told for as long as its recipient is a member.
    async fn may_wait(&self, letter: &Letter) -> Result<bool, NodeError> {
        Ok(self.store.early(letter.seq).await? || letter.path == crate::revoked::PATH)
    }

    /// Delivers what waits for an organisation, the oldest first. Whether everything was taken or given up.
    async fn deliver_to(&self, node: &Node, organisation: &str) -> Result<bool, NodeError> {
        let mut all = true;
        for letter in self.store.letters(organisation).await? {
            let member = match self.member(&letter.project, &letter.organisation).await {
                Ok(member) => member,
                // It is no member any more. A database that does not answer is no such news.
                Err(NodeError::Missing { .. }) => {
                    self.store.delivered(letter.seq).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match self.send(&member, &letter.path, letter.body.clone()).await {
                Ok(_) => self.store.delivered(letter.seq).await?,
                // What it is about may come from another organisation, and later.
                Err(error) if error.may_pass() && self.may_wait(&letter).await? => all = false,
                Err(NodeError::Refused { problem, .. }) => {
                    tracing::warn!(to = letter.organisation, path = letter.path, problem, "a message was refused");
                    if letter.path == "manifest" {
                        node.not_taken(&letter, &problem).await?;
                    }
                    self.store.delivered(letter.seq).await?;
                }
                Err(_) => return Ok(false),
            }
        }
        Ok(all)
    }

    /// Asks a member whether it lives, and remembers the answer.
    pub(crate) async fn ping(&self, member: &Member) -> Result<Pong, NodeError> {
        let started = instant();
        let pong: Pong = self.ask_text(member, "ping", "{}".into()).await?;
        let mut seen = crate::lock(&self.seen);
        seen.insert(member.organisation.clone(), (instant(), instant() - started, pong.clone()));
        Ok(pong)
    }
    /// How long ago each organisation answered, how long it took, and what it said.
    pub fn seen(&self) -> BTreeMap<String, (Duration, Duration, Pong)> {
        let seen = crate::lock(&self.seen);
        seen.iter().map(|(name, (at, took, pong))| (name.clone(), (instant() - *at, *took, pong.clone()))).collect()
    }
}

/// Delivers what waits, to all organisations at once and in order to each. What a node refuses for good is given up.
pub(crate) async fn deliver(node: &Arc<Node>) -> Result<(), NodeError> {
    for organisation in node.store.recipients().await? {
        // Who is being written to, or was silent a moment ago, waits.
        let Some(turn) = node.peers.turn(&organisation) else { continue };
        let node = node.clone();
        tokio::spawn(async move {
            let delivered = node.peers.deliver_to(&node, &organisation).await;
            if let Err(error) = &delivered {
                tracing::error!(to = organisation, error = %error, "messages could not be delivered");
            }
            node.peers.done(organisation, turn, delivered.unwrap_or(false));
        });
    }
    Ok(())
}
