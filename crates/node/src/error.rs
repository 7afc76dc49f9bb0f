//! What goes wrong at a node, with codes that stay the same.

use privity_api::{ManifestError, StatementError};
use std::path::{Path, PathBuf};

/// Trouble of a node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Its configuration.
    #[error("E1001 node.toml: {problem}")]
    Config {
        /// What is wrong, and what to write.
        problem: String,
    },
    /// A file.
    #[error("E1002 {action} {file}: {problem}")]
    File {
        /// Which.
        file: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Its database.
    #[error("E1003 the node's database: {0}; look at its disk or server, and start the node again if this goes on")]
    Store(String),
    /// Its audit log, without which nothing goes on.
    #[error("E1004 the audit log: {0}; nothing that must be logged is done until it can be written")]
    Audit(String),
    /// Keys and certificates.
    #[error("E1005 keys: {0}")]
    Keys(String),
    /// Something of this name is not there.
    #[error("E1006 there is no {kind} `{name}`")]
    Missing {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// What is asked for does not fit the state that things are in.
    #[error("E1007 {0}")]
    State(String),
    /// Nobody who is known here asks.
    #[error("E1008 {0}")]
    Unknown(&'static str),
    /// Somebody asks for what is not theirs to ask.
    #[error("E1009 {0}")]
    Forbidden(String),
    /// Somebody asks too often.
    #[error("E1010 too many requests; try again in {seconds} s")]
    TooMany {
        /// How long to wait.
        seconds: u64,
    },
    /// A name or password that cannot be one.
    #[error("E1011 {0}")]
    Person(String),
    /// A text that is no policy.
    #[error("E1013 {0}")]
    Policy(#[from] privity_policy::PolicyError),
    /// The identity provider at which people sign in.
    #[error("E1020 the identity provider: {0}; try again later, or sign in with a password")]
    Provider(String),
    /// A model of this organisation that cannot be used as it is.
    #[error("E1021 model {name}: {problem}")]
    Model {
        /// Its name.
        name: String,
        /// What is wrong, without a path.
        problem: String,
    },
    /// A fault of the program.
    #[error("E1012 a fault of this program: {0}; please report it")]
    Internal(String),
    /// Another instance of this node has taken over.
    #[error("E1014 another instance of this node serves by now; this one does nothing more")]
    Superseded,
    /// Another organisation's node does not answer.
    #[error(
        "E2101 {organisation} does not answer at {address}: {problem}; see whether its node runs and its port is open"
    )]
    Unreachable {
        /// Who.
        organisation: String,
        /// Where.
        address: String,
        /// What is wrong.
        problem: String,
    },
    /// Another organisation's node refuses.
    #[error("E2102 {organisation} refuses: {problem}")]
    Refused {
        /// Who.
        organisation: String,
        /// Its words.
        problem: String,
        /// Its HTTP status; 200 where the answer was not understood.
        status: u16,
    },
    /// This node carries no connections of others.
    #[error(
        "E2104 {organisation} is no relay: write relay = true in its node.toml, or have another member's node as relay"
    )]
    NoRelay {
        /// Whose node.
        organisation: String,
    },
    /// Two nodes would not run the same.
    #[error(
        "E2107 {organisation}: {field} is {theirs} there and {ours} here; use the same release, and submit the job anew"
    )]
    Differs {
        /// The other.
        organisation: String,
        /// In what.
        field: String,
        /// Its value here.
        ours: String,
        /// Its value there.
        theirs: String,
    },
    /// A statement of a time that has not come here.
    #[error(
        "E2108 {organisation} states a time to come: see whether the clocks of both nodes are right; it is tried again"
    )]
    Clock {
        /// Who.
        organisation: String,
    },
    /// Not a member, or not of this project.
    #[error("E2103 {who} is no member of project {project}")]
    Stranger {
        /// Whose root.
        who: String,
        /// Which project.
        project: String,
    },
    /// A manifest.
    #[error("E3001 {0}")]
    Manifest(#[from] ManifestError),
    /// A statement.
    #[error("E3002 {0}")]
    Statement(#[from] StatementError),
    /// An attempt that must not be.
    #[error("E3003 attempt {number} of job {manifest}: {problem}")]
    Attempt {
        /// Digest of the manifest.
        manifest: String,
        /// Which attempt.
        number: u32,
        /// Why not.
        problem: String,
    },
    /// Others' attempts run, or it is somebody else's turn.
    #[error("E3005 {organisation} is busy; the job is next when it is its submitter's turn")]
    Busy {
        /// Whose node.
        organisation: String,
    },
    /// A job that will not be attempted any more.
    #[error("E3004 job {manifest} is {state} at {organisation}: {reason}")]
    Over {
        /// Digest of the manifest.
        manifest: String,
        /// Where it stands.
        state: &'static str,
        /// At which node.
        organisation: String,
        /// Why.
        reason: String,
    },
}

impl NodeError {
    pub(crate) fn file(path: &Path, action: &'static str, problem: impl ToString) -> Self {
        NodeError::File { file: path.into(), action, problem: problem.to_string() }
    }
    pub(crate) fn missing(kind: &'static str, name: &str) -> Self {
        NodeError::Missing { kind, name: name.into() }
    }
    /// Whether nothing that waiting could change keeps a job from being attempted: here, or in another node's words.
    pub(crate) fn is_final(&self) -> bool {
        let codes = ["E2107", "E3001", "E3004"];
        match self {
            NodeError::Refused { problem, .. } => codes.iter().any(|code| problem.starts_with(code)),
            NodeError::Differs { .. } | NodeError::Manifest(_) | NodeError::Over { .. } => true,
            _ => false,
        }
    }
    /// At whom only somebody else's turn is in the way: here, or in another node's words.
    pub(crate) fn busy_at(&self) -> Option<&str> {
        match self {
            NodeError::Busy { organisation } => Some(organisation),
            NodeError::Refused { organisation, problem, .. } if problem.starts_with("E3005") => Some(organisation),
            _ => None,
        }
    }
    /// Whether a message that was refused may be taken later: what it is about is not known there yet, a clock is wrong, the certificate became void just then, or that node is in trouble.
    pub(crate) fn may_pass(&self) -> bool {
        let early =
            |problem: &str| ["E1006", "E1008", "E1010", "E2103", "E2108"].iter().any(|code| problem.starts_with(code));
        matches!(self, NodeError::Refused { problem, status, .. } if *status >= 500 || early(problem))
    }
    /// In words for other organisations: of this node's files, keys and database they learn that something is wrong, not what or where.
    pub(crate) fn for_others(&self) -> String {
        match self {
            // What is wrong with it may tell of its weights.
            NodeError::Model { name, .. } => {
                format!("{} model {name} cannot be used as it is; its owner's node says why", self.code())
            }
            _ if self.status() == 500 => format!("{} a fault at this node; its messages say what", self.code()),
            _ => self.to_string(),
        }
    }
    /// The code at the beginning of its words.
    pub fn code(&self) -> String {
        self.to_string().split(' ').next().unwrap_or_default().to_owned()
    }
    /// The HTTP status that says as much.
    pub fn status(&self) -> u16 {
        match self {
            NodeError::Missing { .. } => 404,
            NodeError::State(_) | NodeError::Attempt { .. } | NodeError::Differs { .. } | NodeError::Over { .. } => 409,
            NodeError::Model { .. } | NodeError::Clock { .. } => 409,
            NodeError::Unknown(_) => 401,
            NodeError::Stranger { .. } | NodeError::Forbidden(_) | NodeError::NoRelay { .. } => 403,
            NodeError::TooMany { .. } | NodeError::Busy { .. } => 429,
            NodeError::Manifest(_) | NodeError::Statement(_) | NodeError::Person(_) | NodeError::Policy(_) => 422,
            NodeError::Unreachable { .. } | NodeError::Refused { .. } | NodeError::Provider(_) => 502,
            _ => 500,
        }
    }
}

impl From<sqlx::Error> for NodeError {
    fn from(e: sqlx::Error) -> Self {
        NodeError::Store(e.to_string())
    }
}
