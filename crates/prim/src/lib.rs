//! Symmetric primitives: the AES-CTR pseudorandom generator, universal-hash tags, key derivation and transcripts.
//! One of the two crates that may say `unsafe`. Nothing here branches on a secret or prints one.

mod aes_ctr;
mod gate_hash;
mod keys;
mod tag;
mod transcript;

pub use aes_ctr::Prg;
pub use gate_hash::{GateHash, Keys};
pub use keys::{Context, PrimError, Secret, derive, fresh_secret};
pub use tag::{Tag, multiply};
pub use transcript::Transcript;
