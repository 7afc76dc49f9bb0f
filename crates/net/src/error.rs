//! What can go wrong between parties. Every variant names the peer; none carries payload.

use crate::Tag;
use std::time::Duration;

/// Why a party stops, as it tells the others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AbortCause {
    /// The party the trouble is about.
    pub about: usize,
    /// What happened, in words without secrets; cut at 200 bytes on the wire.
    pub reason: String,
}

/// A network error.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NetError {
    /// Nothing came in time although the peer is alive.
    #[error(
        "party {peer} sent nothing for {waited:?} although it is alive; check that it runs the same job and is not overloaded"
    )]
    Timeout {
        /// The peer.
        peer: usize,
        /// How long.
        waited: Duration,
    },
    /// The connection ended without a goodbye: the peer's process or its network died.
    #[error(
        "party {peer} disconnected; its process ended or its network failed: look at its log, then start the job again"
    )]
    Closed {
        /// The peer.
        peer: usize,
    },
    /// No sign of life.
    #[error("party {peer} gave no sign of life for {silent:?}; its process is frozen or its network is cut")]
    Frozen {
        /// The peer.
        peer: usize,
        /// How long.
        silent: Duration,
    },
    /// A peer never connected.
    #[error(
        "party {peer} at {address} could not be reached within {waited:?}; check that it runs, its address and firewalls"
    )]
    Unreachable {
        /// The peer.
        peer: usize,
        /// Where it was expected.
        address: String,
        /// How long.
        waited: Duration,
    },
    /// The peer's process runs and knows of no such session.
    #[error("party {peer}'s node answers, but has not begun this session; check that it runs the same job and attempt")]
    NoSession {
        /// The peer.
        peer: usize,
    },
    /// A frame from a later place in the program.
    #[error(
        "party {peer} is out of step: expected a message of {want:?}, got one of {got:?}; the parties run different programs"
    )]
    Desync {
        /// The peer.
        peer: usize,
        /// Expected.
        want: Tag,
        /// Received.
        got: Tag,
    },
    /// A frame from an earlier place in the program.
    #[error("party {peer} repeated a message of {got:?} where one of {want:?} was due")]
    Replay {
        /// The peer.
        peer: usize,
        /// Expected.
        want: Tag,
        /// Received.
        got: Tag,
    },
    /// A frame of another session.
    #[error("party {peer} sent a message of another session; a stale process may still be running there")]
    Stale {
        /// The peer.
        peer: usize,
    },
    /// A frame of the wrong length.
    #[error("party {peer} sent {got} bytes where {want} were due; the parties run different programs")]
    Length {
        /// The peer.
        peer: usize,
        /// Expected bytes.
        want: usize,
        /// Received bytes.
        got: usize,
    },
    /// A frame beyond the cap, refused before anything is allocated.
    #[error("party {peer} announced a message of {got} bytes; at most {cap} are accepted")]
    TooLong {
        /// The peer.
        peer: usize,
        /// Announced bytes.
        got: usize,
        /// The cap.
        cap: usize,
    },
    /// Bytes that are no frame.
    #[error("party {peer} sent something that is not a message of this protocol: {problem}")]
    Malformed {
        /// The peer.
        peer: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// The parties disagree on the session.
    #[error("party {peer} disagrees on {field}: here {ours}, there {theirs}")]
    Mismatch {
        /// The peer.
        peer: usize,
        /// What they disagree on.
        field: &'static str,
        /// Our value.
        ours: String,
        /// Theirs.
        theirs: String,
    },
    /// Authentication failed.
    #[error("party {peer} could not be authenticated: {problem}; compare certificate fingerprints in the job file")]
    Certificate {
        /// The peer.
        peer: usize,
        /// What the TLS layer said.
        problem: String,
    },
    /// A certificate issued by a root does not count.
    #[error("party {peer} could not be authenticated: {problem}")]
    Untrusted {
        /// The peer.
        peer: usize,
        /// What is wrong with it.
        problem: crate::identity::Untrusted,
    },
    /// This party's operator stopped the run.
    #[error("stopped by this party's operator: {reason}")]
    Cancelled {
        /// Why.
        reason: String,
    },
    /// Another party stopped and said why.
    #[error("party {by} stopped because of party {about}: {reason}")]
    Reported {
        /// Who told.
        by: usize,
        /// Whom it is about.
        about: usize,
        /// What happened.
        reason: String,
    },
    /// The operating system refused something.
    #[error("{operation}: {problem}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        problem: String,
    },
}

impl NetError {
    /// The party the error is about, if it is about one.
    pub fn about(&self) -> Option<usize> {
        match self {
            NetError::Timeout { peer, .. }
            | NetError::Closed { peer }
            | NetError::Frozen { peer, .. }
            | NetError::Unreachable { peer, .. }
            | NetError::Desync { peer, .. }
            | NetError::Replay { peer, .. }
            | NetError::Stale { peer }
            | NetError::Length { peer, .. }
            | NetError::TooLong { peer, .. }
            | NetError::Malformed { peer, .. }
            | NetError::Mismatch { peer, .. }
            | NetError::Untrusted { peer, .. }
            | NetError::NoSession { peer }
            | NetError::Certificate { peer, .. } => Some(*peer),
            NetError::Reported { about, .. } => Some(*about),
            NetError::Cancelled { .. } | NetError::Io { .. } => None,
        }
    }
}
