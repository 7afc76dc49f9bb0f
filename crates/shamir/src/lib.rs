//! Shamir's secret sharing: any `threshold` of the shares give the secret back, fewer say nothing of it but its length.
//!
//! [`mod@file`] is for files of any length, over GF(2^8); shares are checked against each other. [`vss`] is for keys, over the scalars of
//! Ristretto: every holder checks its share alone, and shares are renewed and handed over. Specifications: docs/protocols/shamir-files.md
//! and vss.md.

#![forbid(unsafe_code)]

pub mod error;
pub mod file;
pub mod gf256;
pub mod vss;

pub use error::{Error, Result};
pub use file::{Combined, Parameters, combine, split};
