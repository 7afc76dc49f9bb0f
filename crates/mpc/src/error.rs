//! What can go wrong while a protocol runs.

use privity_net::NetError;

/// Result of a protocol step.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors of the engine. A peer's fault, a failed check and a bad parameter are different variants.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The network: a peer died, froze, lagged, or sent something out of step.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system for the mask keys; the session cannot start")]
    Randomness,
    /// A check of the protocol failed: some party deviated, or a machine computes wrongly. Nothing that depends on it was
    /// opened. Which party it was cannot be told, so nobody is accused.
    #[error(
        "{check} failed: a party deviated from the protocol or a machine is faulty; nothing was opened, and the job must not go on"
    )]
    Cheating {
        /// The check.
        check: &'static str,
    },
    /// A parameter no protocol run can honour.
    #[error("{operation}: {problem}")]
    Parameter {
        /// The operation refused.
        operation: &'static str,
        /// What is wrong and what is possible.
        problem: String,
    },
    /// An input that its owner was to provide is missing, or one was given by another party.
    #[error("input of party {owner}: {problem}")]
    Input {
        /// The owner.
        owner: usize,
        /// What is wrong.
        problem: &'static str,
    },
}
