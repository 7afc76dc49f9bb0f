//! What the command can end with.

use privity_job::{ConfigError, JobError, exit};
use std::path::PathBuf;

/// Why the command stopped.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A job.
    #[error(transparent)]
    Job(#[from] JobError),
    /// An identity.
    #[error(transparent)]
    Net(#[from] privity_net::NetError),
    /// A directory that holds an identity already.
    #[error("{} holds an identity already; give another directory, or remove it if nobody pins it any more", .0.display())]
    Occupied(PathBuf),
    /// A file that is there already.
    #[error("{} is there already and stays as it is; remove it, or give another name", .0.display())]
    Exists(PathBuf),
    /// A circuit.
    #[error("{}: {problem}", .file.display())]
    Circuit {
        /// Its file.
        file: PathBuf,
        /// What is wrong with it, or with its use.
        problem: String,
    },
    /// Rules on jobs.
    #[error("{}: {problem}", .file.display())]
    Policy {
        /// Their file.
        file: PathBuf,
        /// What is wrong with them.
        problem: privity_policy::PolicyError,
    },
    /// A manifest.
    #[error("{}: {problem}", .file.display())]
    Manifest {
        /// Its file.
        file: PathBuf,
        /// What is wrong with it.
        problem: privity_api::ManifestError,
    },
    /// Yao's protocol.
    #[error(transparent)]
    Yao(#[from] privity_yao::YaoError),
    /// An input of a circuit. It is secret, so it is named by its place.
    #[error("input {input}: {problem}")]
    Input {
        /// Which of those given, from 1.
        input: usize,
        /// What is wrong.
        problem: String,
    },
    /// Shares of a file.
    #[error(transparent)]
    Share(#[from] privity_shamir::Error),
    /// A share of a key, or a part of one, by its file.
    #[error("{}: {problem}", .file.display())]
    KeyShare {
        /// Its file.
        file: PathBuf,
        /// What is wrong with it.
        problem: privity_shamir::Error,
    },
    /// Audit logs in which something is wrong.
    #[error(
        "{0} things are wrong with these audit logs or with what they say; nothing else may be taken from them before that is explained"
    )]
    Audit(usize),
    /// An audit log that cannot be exported.
    #[error(transparent)]
    Log(#[from] privity_audit::AuditError),
    /// A job that no log knows.
    #[error(transparent)]
    Trace(#[from] privity_audit::trace::TraceError),
    /// Choices that do not go together.
    #[error("{0}")]
    Choice(&'static str),
    /// Local files or processes of the demonstration.
    #[error("{action}: {problem}; check space and permissions")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        problem: String,
    },
    /// A party of the demonstration stopped.
    #[error("{party} stopped with exit code {code}: {message}")]
    Party {
        /// Its name.
        party: String,
        /// Its exit code.
        code: u8,
        /// What it said.
        message: String,
    },
    /// What the node of this organisation says.
    #[error("{0}")]
    Node(String),
    /// A node that cannot do what it should.
    #[error(transparent)]
    Daemon(#[from] privity_node::NodeError),
    /// A job that was followed to an end other than the wanted one.
    #[error("{reason}")]
    Ended {
        /// Its exit code.
        code: u8,
        /// Why.
        reason: String,
    },
    /// A benchmark.
    #[error(transparent)]
    Bench(#[from] privity_bench::BenchError),
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        JobError::from(error).into()
    }
}

impl From<privity_data::DataError> for CliError {
    fn from(error: privity_data::DataError) -> Self {
        JobError::from(error).into()
    }
}

impl From<privity_nn::TrainError> for CliError {
    fn from(error: privity_nn::TrainError) -> Self {
        JobError::from(error).into()
    }
}

impl CliError {
    /// A failure of the system in `action`.
    pub fn system(action: &'static str) -> impl Fn(std::io::Error) -> CliError {
        move |e| CliError::System { action, problem: e.to_string() }
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Job(error) => error.exit_code(),
            CliError::Party { code, .. } | CliError::Ended { code, .. } => *code,
            CliError::Node(_) => exit::NETWORK,
            CliError::Daemon(privity_node::NodeError::Config { .. }) => exit::CONFIG,
            CliError::Daemon(_) => exit::OUTPUT,
            CliError::Occupied(_) | CliError::Exists(_) | CliError::Choice(_) | CliError::Trace(_) => exit::CONFIG,
            CliError::Audit(_) => exit::CHEATING,
            CliError::Log(privity_audit::AuditError::Io { .. }) => exit::OUTPUT,
            CliError::Log(_) => exit::DATA,
            CliError::Policy { .. } | CliError::Manifest { .. } => exit::CONFIG,
            CliError::Share(privity_shamir::Error::Io { .. } | privity_shamir::Error::Randomness) => exit::OUTPUT,
            CliError::Share(privity_shamir::Error::Parameters { .. } | privity_shamir::Error::Committee { .. }) => {
                exit::CONFIG
            }
            CliError::Yao(error) if error.is_cheating() => exit::CHEATING,
            CliError::Yao(privity_yao::YaoError::Input { .. }) => exit::DATA,
            CliError::Yao(_) => exit::NETWORK,
            CliError::Share(_) | CliError::KeyShare { .. } | CliError::Circuit { .. } | CliError::Input { .. } => {
                exit::DATA
            }
            CliError::Net(privity_net::NetError::Io { .. }) | CliError::System { .. } => exit::OUTPUT,
            CliError::Net(_) | CliError::Bench(_) => exit::NETWORK,
        }
    }
}
