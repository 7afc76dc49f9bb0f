//! Oblivious transfer without a dealer. [`base`]: endemic transfers over Ristretto; [`extension`]: many from 128 of them; [`products`]:
//! shares of products of two sides' values from them. Specification: docs/protocols/ot.md.

#![forbid(unsafe_code)]

pub mod base;
pub mod extension;
pub mod products;
mod transpose;

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
    /// The receiver of an extension deviated, or a machine is faulty.
    #[error(
        "the check of the transfers failed: the receiver's columns are not of one choice, it deviated or a machine is faulty; \
         nothing was transferred"
    )]
    Cheating,
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system; nothing was transferred")]
    Randomness,
}

/// For fuzzing: whatever the bytes are, they are messages of transfers or not.
pub fn fuzz(bytes: &[u8]) {
    let transfers = (bytes.len() / base::RECEIVER_BYTES).min(4);
    let _ = base::send([0; 32], transfers, &bytes[..transfers * base::RECEIVER_BYTES]);
    let _ = base::send([0; 32], transfers + 1, bytes);
    let setup = extension::SenderSetup::new([0; 32]);
    let _ = setup.and_then(|setup| setup.finish(bytes).map(drop));
    let _ = extension::Receiver::new([0; 32], bytes);
}
