//! Oblivious transfer without a dealer. [`base`]: endemic transfers over Ristretto. Specification: docs/protocols/ot.md.

#![forbid(unsafe_code)]

pub mod base;

/// Why a transfer stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtError {
    /// A message that is none.
    #[error("transfer {index}: the other side sent no point of the group; nothing was transferred")]
    Point {
        /// The transfer, from 0.
        index: usize,
    },
    /// A message of another length than that of so many transfers.
    #[error("a message for {expected} transfers is {got} bytes long; the sides disagree on the number")]
    Length {
        /// Transfers.
        expected: usize,
        /// Bytes.
        got: usize,
    },
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system; nothing was transferred")]
    Randomness,
}
