//! Joining a project, at the one that joins: the same whether its node runs or not.

use crate::join::{self, Code};
use crate::message::{Answer, Joining, Knock, Reveal, words};
use crate::node::Node;
use crate::peer::Peers;
use crate::store::Store;
use crate::{Config, NodeError, home};
use privity_api::{Member, Project, Statement};
use std::collections::VecDeque;
use std::sync::Mutex;

/// Invitations that a running node remembers to have begun; the oldest is forgotten.
const MOST: usize = 16;

/// An invitation whose words are shown, and which waits for a person at the inviter.
#[derive(Clone)]
pub(crate) struct Begun {
    inviter: Member,
    reveal: Reveal,
    own_root: String,
    /// The six words.
    pub words: String,
}

/// What a running node has begun to join.
#[derive(Default)]
pub(crate) struct Begins(Mutex<VecDeque<Begun>>);

impl Begun {
    /// Comes with an invitation.
    ///
    /// # Errors
    /// The inviter does not answer, is another than the code says, or refuses.
    pub async fn begin(peers: &Peers, config: &Config, own_root: String, code: &Code) -> Result<Begun, NodeError> {
        let inviters_root = match code.whole_root() {
            Some(root) => root.to_owned(),
            None => peers.root_at(&code.address).await?,
        };
        if !code.is_of(&inviters_root) {
            return Err(NodeError::Refused {
                organisation: code.address.clone(),
                problem: "its root is not the one that the code names: somebody else answers there".into(),
                status: 200,
            });
        }
        let inviter = Member {
            organisation: code.address.clone(),
            operator: String::new(),
            root: inviters_root.clone(),
            address: code.address.clone(),
            helper: false,
        };
        let nonce = home::random_hex(32)?;
        let mut knock = Knock {
            id: code.id(),
            organisation: config.organisation.clone(),
            operator: config.operator.clone(),
            address: config.address.clone(),
            helper: config.helper,
            commitment: join::commitment(&nonce),
            proof: String::new(),
        };
        knock.proof = join::proof(&code.secret, &own_root, &inviters_root, &knock);
        let answer: Answer = peers.ask_member(&inviter, "knock", &knock).await?;
        let reveal = Reveal { id: code.id(), nonce };
        let _: Joining = peers.ask_member(&inviter, "reveal", &reveal).await?;
        let words = join::words(&inviters_root, &own_root, &answer.nonce, &reveal.nonce);
        Ok(Begun { inviter, reveal, own_root, words })
    }

    /// Root of the inviter, which the code named.
    pub fn inviters_root(&self) -> &str {
        &self.inviter.root
    }

    /// The members of the project, once a person at the inviter has confirmed the words.
    ///
    /// # Errors
    /// The inviter refuses, or states a project without this organisation.
    pub async fn ask(&self, peers: &Peers) -> Result<Option<Statement<Project>>, NodeError> {
        let told: Joining = match peers.ask_member(&self.inviter, "reveal", &self.reveal).await {
            Ok(told) => told,
            // The inviter's node may be started again meanwhile.
            Err(NodeError::Unreachable { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some(project) = told.project.as_ref().map(|statement| &statement.body)
            && project.by_root(&self.own_root).is_none()
        {
            let name = words(&project.name);
            return Err(NodeError::State(format!("project {name} does not have this organisation as a member")));
        }
        Ok(told.project)
    }
}

/// Whether what is kept of a project, which may be newer than what the inviter stated, is the inviter's and names this organisation.
pub(crate) async fn is_in(store: &Store, begun: &Begun, project: &str) -> Result<(), NodeError> {
    let kept = store.project(project).await?.filter(|(root, _)| root == begun.inviters_root());
    match kept.is_some_and(|(_, kept)| kept.body.by_root(&begun.own_root).is_some()) {
        true => Ok(()),
        false => Err(NodeError::State(format!(
            "a newer statement of project {project} is known here, which does not have this organisation as a member: ask the inviter for a new invitation"
        ))),
    }
}

impl Node {
    /// Comes with an invitation: its number, and the words to read out.
    ///
    /// # Errors
    /// No code; as [`Begun::begin`].
    pub(crate) async fn join_begin(&self, code: &str) -> Result<(String, String), NodeError> {
        let begun = Begun::begin(&self.peers, &self.config, self.root.fingerprint(), &Code::parse(code)?).await?;
        let (id, words) = (begun.reveal.id.clone(), begun.words.clone());
        let mut begins = crate::lock(&self.begins.0);
        begins.retain(|other| other.reveal.id != id);
        if begins.len() >= MOST {
            begins.pop_front();
        }
        begins.push_back(begun);
        Ok((id, words))
    }

    /// The project that was joined, once a person at the inviter has confirmed the words.
    ///
    /// # Errors
    /// Nothing of this number was begun since the node started; as [`Begun::ask`] and [`Node::adopt`].
    pub(crate) async fn join_ask(&self, id: &str) -> Result<Option<String>, NodeError> {
        let begun = crate::lock(&self.begins.0).iter().find(|begun| begun.reveal.id == id).cloned();
        let begun = begun.ok_or_else(|| {
            NodeError::State("the node was started again since: run `privity join` with the code again".into())
        })?;
        let Some(statement) = begun.ask(&self.peers).await? else { return Ok(None) };
        self.adopt(begun.inviters_root(), &statement).await?;
        is_in(&self.store, &begun, &statement.body.name).await?;
        crate::lock(&self.begins.0).retain(|other| other.reveal.id != id);
        Ok(Some(statement.body.name))
    }
}
