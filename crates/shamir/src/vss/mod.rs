//! Keys in shares that each holder checks alone, renews with the others, or hands over to other holders: Pedersen's verifiable secret
//! sharing over the scalars of Ristretto. Specification and argument: docs/protocols/vss.md.
//!
//! Time depends on public values only: thresholds, numbers of holders, and who deals to whom.

mod handover;
mod pedersen;
mod share;
mod wire;

pub use handover::{Part, Purpose, accept, is_part};
pub use share::{Combined, KeyShare, Sharing, combine, deal};

use crate::{Error, Result};

/// Most holders of a key.
const MOST: usize = 31;

/// Bytes of the longest share or part: what is longer is neither.
pub const LONGEST: usize = 89 + 32 * (2 * MOST - 1);

/// How many hold a key, and how many of them are enough for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committee {
    threshold: u8,
    holders: u8,
}

impl Committee {
    /// `threshold` of `holders` are enough: polynomials have degree `threshold - 1`.
    ///
    /// # Errors
    /// [`Error::Committee`].
    pub fn new(threshold: usize, holders: usize) -> Result<Self> {
        match (2..=MOST).contains(&holders) && (2..=holders).contains(&threshold) {
            true => Ok(Committee { threshold: threshold as u8, holders: holders as u8 }),
            false => Err(Error::Committee { threshold, holders }),
        }
    }
    /// Shares that are enough.
    pub fn threshold(self) -> usize {
        self.threshold.into()
    }
    /// Holders in all; they are numbered from 1.
    pub fn holders(self) -> usize {
        self.holders.into()
    }
    fn degree(self) -> usize {
        self.threshold() - 1
    }
    /// The holders' numbers.
    fn members(self) -> std::ops::RangeInclusive<u8> {
        1..=self.holders
    }
}

/// For fuzzing: whatever the bytes are, they are a share, a part of one, or neither; what is either encodes to what was read.
pub fn fuzz(bytes: &[u8]) {
    if let Ok(share) = KeyShare::decode(bytes) {
        assert!(share.encode()[..] == *bytes, "a share has one encoding");
    }
    if let Ok(part) = Part::decode(bytes) {
        assert!(part.encode()[..] == *bytes, "a part has one encoding");
        let _ = accept(&[bytes, bytes]);
    }
}
