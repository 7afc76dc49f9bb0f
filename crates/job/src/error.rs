//! What can stop a job, each with the exit code that scripts can rely on.

use privity_data::DataError;
use privity_mpc::Error as ProtocolError;
use privity_net::NetError;
use privity_nn::{RangeError, TrainError};
use std::path::PathBuf;

/// Exit codes of the `privity` command.
pub mod exit {
    /// Done.
    pub const OK: u8 = 0;
    /// The command line, the job file or the identity is wrong.
    pub const CONFIG: u8 = 2;
    /// The data file breaks the contract.
    pub const DATA: u8 = 3;
    /// A peer or the network failed.
    pub const NETWORK: u8 = 4;
    /// Values left the ranges that were planned or agreed.
    pub const RANGE: u8 = 5;
    /// A result could not be written.
    pub const OUTPUT: u8 = 6;
    /// A check of the protocol failed: a party deviated from it, or a machine is faulty.
    pub const CHEATING: u8 = 7;
    /// The run was ordered to stop.
    pub const STOPPED: u8 = 8;
    /// A fault of the program itself.
    pub const INTERNAL: u8 = 70;
}

/// What is wrong with a job file or an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, or not the fields of a job file.
    #[error("job file: {problem}")]
    Parse {
        /// The parser's words, with line and key.
        problem: String,
    },
    /// A field with a value that cannot be honoured.
    #[error("job file: `{key}` {problem}; {remedy}")]
    Field {
        /// Its path.
        key: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// The contract cannot be read or is malformed.
    #[error("job file: `data.schema` cannot be used: {problem}")]
    Schema {
        /// What is wrong and how to mend it.
        problem: String,
    },
    /// A file that the command needs cannot be read.
    #[error("cannot read {}: {problem}; check the path and its permissions", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// No participant has this name.
    #[error("party `{name}` is not in the job file; its participants are {known}")]
    UnknownParty {
        /// The name asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A second data file is missing, or given without need.
    #[error("the job {needed} separate test data; see `evaluation.holdout` in the job file and --test-data")]
    TestData {
        /// `needs` or `takes no`.
        needed: &'static str,
    },
    /// Checkpoints of this job wait to be gone on from.
    #[error(
        "{} holds checkpoints of this job; go on from them with --resume, remove them to start afresh, or give another --out",
        .folder.display()
    )]
    Unfinished {
        /// Where.
        folder: PathBuf,
    },
    /// One party goes on from a checkpoint and another starts afresh.
    #[error("`{peer}` {}", if *resumes { "goes on from a checkpoint and this party starts afresh; start it with --resume, too" }
        else { "starts afresh and this party goes on from a checkpoint; all parties need --resume, or none" })]
    Resume {
        /// The other.
        peer: String,
        /// Whether it is the one that goes on.
        resumes: bool,
    },
    /// Nothing to go on from.
    #[error(
        "the parties have no checkpoint of this job in common; start all of them without --resume, in other --out directories"
    )]
    NothingCommon,
    /// Shares from which no checkpoint can be read again.
    #[error("no checkpoint in {} can be read again: {problem}", .folder.display())]
    Recover {
        /// Where the checkpoints are.
        folder: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Jobs that keep nothing cannot be resumed.
    #[error("the job says on_loss = \"abort\": nothing is kept to go on from; start it without --resume")]
    KeepsNothing,
    /// A data file is missing, or given by a party without rows.
    #[error(
        "`{party}` {} in the job file: {} --data", if *helper { "is without rows" } else { "has rows" },
        if *helper { "it takes no" } else { "it needs" }
    )]
    Data {
        /// The party.
        party: String,
        /// Whether it is a helper.
        helper: bool,
    },
    /// Model files are missing, or given by a party that owns no models.
    #[error("`{party}` brings {wanted} models in the job file, and {given} are given: see --model")]
    Models {
        /// The party.
        party: String,
        /// Models of the job.
        wanted: usize,
        /// Files given.
        given: usize,
    },
    /// The identity is not the one that the job file names for the party.
    #[error(
        "the identity in {} has fingerprint {found}, the job file pins {pinned} for `{name}`; \
         give the directory of that identity, or agree on a new job file", .folder.display()
    )]
    Identity {
        /// Where it is.
        folder: PathBuf,
        /// The party.
        name: String,
        /// The fingerprint there.
        found: String,
        /// The fingerprint agreed.
        pinned: String,
    },
}

impl ConfigError {
    /// A refused field.
    pub(crate) fn field(key: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        ConfigError::Field { key: key.into(), problem: problem.into(), remedy: remedy.into() }
    }
}

/// Why a job stopped.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The job file or identity.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The party's own file.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The file has other numbers of rows than agreed.
    #[error(
        "the data of `{party}` has {found} {what}, the job file says {declared}; \
         correct the file, or agree on a job file with the new number"
    )]
    Rows {
        /// The party.
        party: String,
        /// `training rows` or `test rows`.
        what: &'static str,
        /// Rows there are.
        found: usize,
        /// Rows agreed.
        declared: usize,
    },
    /// A model that is not one for the job.
    #[error("{} cannot be used in this job: {problem}", .file.display())]
    Model {
        /// The file.
        file: PathBuf,
        /// Why.
        problem: String,
    },
    /// A peer.
    #[error("{name}: {source}")]
    Peer {
        /// Its name in the job file.
        name: String,
        /// What happened.
        source: NetError,
    },
    /// The network, no peer in particular.
    #[error(transparent)]
    Net(NetError),
    /// Nobody of an owner falls into a group.
    #[error(
        "no person of this party falls into group {group} of {teachers}; agree on fewer teachers in `distillation.privacy.voting`"
    )]
    EmptyGroup {
        /// The group, from 0.
        group: usize,
        /// Groups there are.
        teachers: usize,
    },
    /// A release that this party has taken part in already.
    #[error(
        "{} says that this party took part in the release after epoch {epochs} of this job; a second one would tell more than was \
         promised: agree on a new job", .file.display()
    )]
    Released {
        /// The record.
        file: PathBuf,
        /// The release.
        epochs: usize,
    },
    /// Releases would add up to more than is promised.
    #[error(
        "{} already adds up to epsilon {spent:.2} (delta {delta:e}), and this job would make it {then:.2}; it promises at most {most:.2}: \
         agree on fewer or noisier releases", .file.display()
    )]
    Budget {
        /// The record.
        file: PathBuf,
        /// So far.
        spent: f64,
        /// With this job.
        then: f64,
        /// Promised.
        most: f64,
        /// For this probability.
        delta: f64,
    },
    /// Some value of an owner is outside the declared bound.
    #[error(
        "a value of `{owner}` is outside the range declared in the schema; its owner has to correct the file or the schema"
    )]
    OutOfRange {
        /// The owner.
        owner: String,
    },
    /// Training left its ranges, or cannot be planned.
    #[error(transparent)]
    Train(TrainError),
    /// A result could not be written.
    #[error("cannot write {}: {problem}; free space or choose another --out directory", .file.display())]
    Output {
        /// The file or directory.
        file: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// A check of the protocol failed: nothing of what it covers was opened to anybody.
    #[error("{0}")]
    Cheating(ProtocolError),
    /// What a party dealt of the key of its checkpoints does not fit. Nothing was computed in this session.
    #[error("the share of `{dealer}`'s checkpoint key: {problem}; find out who deviated or is faulty before you go on")]
    Escrow {
        /// Who dealt it.
        dealer: String,
        /// What is wrong.
        problem: String,
    },
    /// A peer was lost, and all that was verified until then is kept.
    #[error("{source}; {}paused after {epochs} epochs: when that is mended, start every party again with --resume",
        .alone.as_ref().map(|why| format!("not gone on without a party, as {why}; ")).unwrap_or_default())]
    Paused {
        /// What happened.
        source: Box<JobError>,
        /// Epochs that need not be repeated.
        epochs: usize,
        /// Why the job did not go on by itself, if it may.
        alone: Option<String>,
    },
    /// A job went on without a party, and stopped again.
    #[error("{lost} was lost and the others went on without it; then: {source}; the job file from then on is {}", .file.display())]
    Continued {
        /// Who was lost.
        lost: String,
        /// The amendment.
        file: PathBuf,
        /// What happened then.
        source: Box<JobError>,
    },
    /// The process that embeds the engine ordered the run to stop.
    #[error("stopped by this party's operator: {reason}{}", .epochs.map(|epochs| format!("; {epochs} epochs are kept")).unwrap_or_default())]
    Cancelled {
        /// Why.
        reason: String,
        /// Epochs that need not be repeated, if the job keeps any.
        epochs: Option<usize>,
    },
    /// The audit log refused an opening, which did not happen.
    #[error("the audit log did not take the opening of {opening}: {problem}; this party took no part in it")]
    Audit {
        /// What was about to be opened.
        opening: String,
        /// What the log said.
        problem: String,
    },
    /// The protocol was used wrongly: a fault of this program.
    #[error("internal fault: {0}; please report it")]
    Internal(String),
}

impl From<TrainError> for JobError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Protocol(error) => error.into(),
            other => JobError::Train(other),
        }
    }
}

impl From<ProtocolError> for JobError {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::Net(error) => JobError::Net(error),
            error @ ProtocolError::Cheating { .. } => JobError::Cheating(error),
            other => JobError::Internal(other.to_string()),
        }
    }
}

impl From<RangeError> for JobError {
    fn from(error: RangeError) -> Self {
        JobError::Train(error.into())
    }
}

impl JobError {
    /// The exit code of the command.
    pub fn exit_code(&self) -> u8 {
        match self {
            JobError::Config(_)
            | JobError::Train(TrainError::Spec(_))
            | JobError::EmptyGroup { .. }
            | JobError::Released { .. }
            | JobError::Budget { .. } => exit::CONFIG,
            JobError::Data(_) | JobError::Rows { .. } | JobError::Model { .. } => exit::DATA,
            JobError::Peer { .. } | JobError::Net(_) => exit::NETWORK,
            JobError::OutOfRange { .. } | JobError::Train(TrainError::Diverged { .. } | TrainError::Range(_)) => {
                exit::RANGE
            }
            JobError::Output { .. } | JobError::Audit { .. } => exit::OUTPUT,
            JobError::Cancelled { .. } => exit::STOPPED,
            JobError::Cheating(_) | JobError::Escrow { .. } => exit::CHEATING,
            JobError::Paused { source, .. } | JobError::Continued { source, .. } => source.exit_code(),
            JobError::Train(_) | JobError::Internal(_) => exit::INTERNAL,
        }
    }

    /// In words for the other parties: of this party's files and rows they learn that something is wrong with them, not what or where. That stands in its own
    /// messages.
    pub fn for_others(&self) -> String {
        match self {
            JobError::Paused { source, epochs, .. } => format!("{}; {epochs} epochs are kept", source.for_others()),
            JobError::Continued { lost, source, .. } => {
                format!("{lost} was lost and the others went on without it; then: {}", source.for_others())
            }
            // Whoever makes one of these leaves in it what others may hear.
            JobError::Train(TrainError::Keeping { problem }) => problem.clone(),
            JobError::Model { .. } => "its model cannot be used; its own messages say why".into(),
            other => match other.exit_code() {
                exit::NETWORK | exit::RANGE | exit::CHEATING | exit::STOPPED => other.to_string(),
                exit::DATA => "its rows cannot be used; its own messages say why".into(),
                exit::OUTPUT => "it cannot write what it must; its own messages say why".into(),
                _ => "it cannot run its part; its own messages say why".into(),
            },
        }
    }

    /// A pause, with why the job did not go on by itself.
    pub(crate) fn because(self, why: String) -> Self {
        match self {
            JobError::Paused { source, epochs, .. } => JobError::Paused { source, epochs, alone: Some(why) },
            other => other,
        }
    }

    /// Puts the peer's name to a network error.
    pub(crate) fn named(self, names: &[String]) -> Self {
        match self {
            JobError::Net(source) => match source.about().and_then(|peer| names.get(peer)) {
                Some(name) => JobError::Peer { name: name.clone(), source },
                None => JobError::Net(source),
            },
            other => other,
        }
    }
}
