//! Symmetric primitives: AES-CTR pseudo-random streams and the derivation of pairwise mask keys. With `ring`, one of the two
//! crates that may say `unsafe`.

mod aes_ctr;
mod keys;

pub use aes_ctr::Prg;
pub use keys::{Context, Secret, derive, fresh_secret};
