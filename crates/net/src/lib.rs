//! Links between parties: blocking, deadline-bound, typed in their failures. [`tls`] joins processes over mutually
//! authenticated TLS 1.3, [`memory`] and [`sim`] join threads.

#![forbid(unsafe_code)]

pub mod error;
pub mod frame;
pub mod identity;
pub mod memory;
pub mod sim;
pub mod tls;

pub use error::{AbortCause, NetError};
pub use tls::{control, relay};

/// Where in the program a frame belongs. Sender and receiver count alike; anything else is a typed error.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Tag {
    /// Epoch of the session.
    pub epoch: u32,
    /// Program step.
    pub step: u64,
    /// Part of the step's data.
    pub tile: u32,
}

/// Payload traffic of a link with one peer.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct PeerStats {
    /// Payload bytes sent.
    pub sent: u64,
    /// Frames sent.
    pub frames_sent: u64,
    /// Payload bytes received.
    pub received: u64,
    /// Frames received.
    pub frames_received: u64,
}

/// A frame as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Its place in the program.
    pub tag: Tag,
    /// The sender's logical clock.
    pub depth: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// One party's connection to all others.
pub trait Link: Send {
    /// This party's index.
    fn me(&self) -> usize;
    /// Number of parties.
    fn n(&self) -> usize;
    /// Queues one frame. Blocks only while more than a fixed bound is queued for `to`, and then only while the peer proves
    /// alive. `depth` is the sender's logical clock.
    fn send(&mut self, to: usize, tag: Tag, depth: u32, payload: &[u8]) -> Result<(), NetError>;
    /// For a party that sends and never waits for an answer: waits while it is far ahead of `to`. Changes nothing but timing.
    fn pace(&mut self, _to: usize) -> Result<(), NetError> {
        Ok(())
    }
    /// While on, trouble with one peer fails only what is exchanged with that peer, and is not told to the others: for openings
    /// that no single party may block.
    fn tolerate(&mut self, on: bool);
    /// Waits for the next frame of `from`, which must carry `tag` and exactly `into.len()` bytes. Returns its depth.
    fn recv(&mut self, from: usize, tag: Tag, into: &mut [u8]) -> Result<u32, NetError>;
    /// Waits for the next frame of `from`, whatever it is. A peer that has said goodbye counts as [`NetError::Closed`].
    fn recv_any(&mut self, from: usize) -> Result<Incoming, NetError>;
    /// Tells every peer why this party stops, as far as they can still be reached.
    fn abort(&mut self, cause: &AbortCause);
    /// Orderly end: says goodbye and waits, bounded, for the goodbyes of the others.
    fn close(&mut self) -> Result<(), NetError>;
    /// Traffic with each peer.
    fn stats(&self) -> &[PeerStats];
}

/// Compares the tag of a frame with the one expected.
pub(crate) fn check_tag(peer: usize, want: Tag, got: Tag) -> Result<(), NetError> {
    match got.cmp(&want) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(NetError::Replay { peer, want, got }),
        std::cmp::Ordering::Greater => Err(NetError::Desync { peer, want, got }),
    }
}
