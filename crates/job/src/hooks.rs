//! What a process that embeds the engine gives a run. The command gives nothing.

use crate::{Job, JobError};
use privity_net::NetError;
use privity_net::identity::Identity;
use privity_net::tls::Host;
use std::sync::Arc;

/// Called before every opening with what is about to be opened.
#[derive(Clone)]
pub struct Audit(Arc<Note>);

type Note = dyn Fn(&str) -> Result<(), String> + Send + Sync;

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Audit(..)")
    }
}

impl Audit {
    /// Notes each opening, on disk when it returns. If it fails this party stops before it takes part in the opening, and the other
    /// parties are told that it failed, not why. An opening that does not need this party (most protocols can open to a recipient
    /// without one of them) may still happen among the others.
    pub fn new(note: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Audit(Arc::new(note))
    }
    pub(crate) fn note(&self, what: &str) -> Result<(), JobError> {
        (self.0)(what).map_err(|problem| JobError::Audit { opening: what.into(), problem })
    }
}

/// What a run is bound to, and what it answers to. By default nothing.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    /// What the run is for besides its job: a manifest and an attempt. Parties with another binding, or none, never connect; keys of
    /// the session depend on it. Checkpoints do not: a later attempt goes on from them.
    pub binding: Option<[u8; 32]>,
    /// The port, the revocations and the order to stop for all links of the run.
    pub host: Host,
    /// Notes openings.
    pub audit: Option<Audit>,
    /// The party's certificate and key, in the place of those in a directory: they may be in a token.
    pub identity: Option<Arc<Identity>>,
    /// Whether a run that resumes begins anew where the parties have no checkpoint in common. Without it that is an error.
    pub anew: bool,
}

impl Hooks {
    /// What parties compare: the job, and what the run is bound to.
    pub(crate) fn digest(&self, job: &Job) -> [u8; 32] {
        let Some(binding) = &self.binding else { return job.digest() };
        let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 job bound to a manifest and attempt");
        hasher.update(&job.digest()).update(binding);
        *hasher.finalize().as_bytes()
    }

    /// # Errors
    /// The run was ordered to stop.
    pub(crate) fn check(&self) -> Result<(), JobError> {
        let error = |reason: &str| JobError::Cancelled { reason: reason.into(), epochs: None };
        self.host.cancel.reason().map_or(Ok(()), |reason| Err(error(reason)))
    }

    /// An error that came of the order to stop, if it was given, as that; any other as it is.
    pub(crate) fn account(&self, error: JobError) -> JobError {
        match self.host.cancel.reason() {
            Some(reason) if comes_of_ending(&error) => {
                let epochs = match error {
                    JobError::Paused { epochs, .. } => Some(epochs),
                    JobError::Cancelled { epochs, .. } => epochs,
                    _ => None,
                };
                JobError::Cancelled { reason: reason.into(), epochs }
            }
            _ => error,
        }
    }
}

/// Whether an error may be no more than that links were ended. What a check of the protocol found is not.
fn comes_of_ending(error: &JobError) -> bool {
    match error {
        JobError::Net(NetError::Cancelled { .. }) | JobError::Cancelled { .. } => true,
        JobError::Net(error) | JobError::Peer { source: error, .. } => {
            matches!(error, NetError::Closed { .. } | NetError::Reported { .. })
        }
        JobError::Paused { source, .. } | JobError::Continued { source, .. } => comes_of_ending(source),
        _ => false,
    }
}
