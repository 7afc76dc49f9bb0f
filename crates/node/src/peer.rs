//! Talking to other organisations' nodes.

use crate::NodeError;
use crate::message::Pong;
use crate::store::Store;
use privity_api::{Manifest, Member};
use privity_net::identity::{Identity, Revocations};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
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
    /// Woken when there is something to deliver, or a job to look at.
    pub(crate) awake: Notify,
    /// When each organisation answered last, and how long it took.
    seen: Mutex<BTreeMap<String, (Instant, Duration, Pong)>>,
}

impl Peers {
    /// The other nodes, as the store knows them.
    pub(crate) fn new(store: Store, shown: Shown, revocations: Arc<Revocations>) -> Peers {
        Peers { store, shown, revocations, awake: Notify::new(), seen: Mutex::default() }
    }
    /// Has the node look at what waits.
    pub(crate) fn wake(&self) {
        self.awake.notify_one();
    }

    /// Asks a participant of a job.
    ///
    /// # Errors
    /// It does not answer, refuses, or its answer is no answer.
    pub(crate) async fn ask<T: Serialize, R: DeserializeOwned>(
        &self,
        manifest: &Manifest,
        organisation: &str,
        path: &str,
        body: &T,
    ) -> Result<R, NodeError> {
        let member = self.member(&manifest.project, organisation).await?;
        self.ask_member(&member, path, body).await
    }

    /// Asks a member, or whoever is about to become one.
    ///
    /// # Errors
    /// As [`Peers::ask`].
    pub(crate) async fn ask_member<T: Serialize, R: DeserializeOwned>(
        &self,
        member: &Member,
        path: &str,
        body: &T,
    ) -> Result<R, NodeError> {
        let text = serde_json::to_string(body).map_err(|e| NodeError::State(e.to_string()))?;
        let answer = self.send(member, path, text).await?;
        let refused =
            |e: serde_json::Error| NodeError::Refused { organisation: member.organisation.clone(), problem: e.to_string() };
        serde_json::from_str(&answer).map_err(refused)
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
        let connecting = async {
            let stream = tokio::net::TcpStream::connect(address).await?;
            let name = rustls::pki_types::ServerName::try_from("privity").expect("a name");
            tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, stream).await
        };
        let stream = tokio::time::timeout(PATIENCE, connecting).await.map_err(|e| unreachable(e.to_string()))?;
        let stream = stream.map_err(|e| unreachable(e.to_string()))?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        privity_net::control::root(chain).ok_or_else(|| unreachable("it shows no root".into()))
    }

    async fn member(&self, project: &str, organisation: &str) -> Result<Member, NodeError> {
        let (_, project) = self.store.project(project).await?.ok_or_else(|| NodeError::missing("project", project))?;
        project.body.member(organisation).cloned().ok_or_else(|| NodeError::missing("member", organisation))
    }

    /// One request, to the node with this member's root and no other.
    pub(crate) async fn send(&self, member: &Member, path: &str, body: String) -> Result<String, NodeError> {
        let unreachable = |e: String| NodeError::Unreachable {
            organisation: member.organisation.clone(),
            address: member.address.clone(),
            problem: e,
        };
        let tls = privity_net::control::client(&self.shown.get(), Some(&member.root), &self.revocations);
        let tls = tls.map_err(|e| NodeError::Keys(e.to_string()))?;
        // A client of its own for each request: nothing is resumed, and a certificate that became void is noticed.
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).http1_only().timeout(PATIENCE).no_proxy().build();
        let client = client.map_err(|e| NodeError::Keys(e.to_string()))?;
        let url = format!("https://{}/peer/v1/{path}", member.address);
        let sent = client.post(url).header("content-type", "application/json").body(body).send().await;
        let answer = sent.map_err(|e| unreachable(because(&e)))?;
        let (status, text) = (answer.status(), answer.text().await.map_err(|e| unreachable(because(&e)))?);
        match status.is_success() {
            true => Ok(text),
            false => Err(NodeError::Refused { organisation: member.organisation.clone(), problem: text }),
        }
    }

    /// Delivers what waits. What a node refuses is given up; what does not reach one waits on.
    pub(crate) async fn deliver(&self) -> Result<(), NodeError> {
        let mut silent = Vec::new();
        for letter in self.store.letters().await? {
            if silent.contains(&letter.organisation) {
                continue;
            }
            let member = match self.member(&letter.project, &letter.organisation).await {
                Ok(member) => member,
                Err(_) => {
                    self.store.delivered(letter.seq).await?;
                    continue;
                }
            };
            match self.send(&member, &letter.path, letter.body).await {
                Ok(_) => self.store.delivered(letter.seq).await?,
                // An approval may overtake its manifest, which another organisation sends.
                Err(NodeError::Refused { problem, .. })
                    if problem.starts_with("E1006") && self.store.early(letter.seq).await? => {}
                Err(NodeError::Refused { problem, .. }) => {
                    tracing::warn!(to = letter.organisation, path = letter.path, problem, "a message was refused");
                    self.store.delivered(letter.seq).await?;
                }
                Err(_) => silent.push(letter.organisation),
            }
        }
        Ok(())
    }

    /// Asks a member whether it lives, and remembers the answer.
    pub(crate) async fn ping(&self, member: &Member) -> Result<Pong, NodeError> {
        let started = Instant::now();
        let answer = self.send(member, "ping", "{}".into()).await?;
        let pong: Pong = serde_json::from_str(&answer)
            .map_err(|e| NodeError::Refused { organisation: member.organisation.clone(), problem: e.to_string() })?;
        let mut seen = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        seen.insert(member.organisation.clone(), (Instant::now(), started.elapsed(), pong.clone()));
        Ok(pong)
    }
    /// How long ago each organisation answered, how long it took, and what it said.
    pub fn seen(&self) -> BTreeMap<String, (Duration, Duration, Pong)> {
        let seen = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        seen.iter().map(|(name, (at, took, pong))| (name.clone(), (at.elapsed(), *took, pong.clone()))).collect()
    }
}

/// The last of an error's causes, which says most.
fn because(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
