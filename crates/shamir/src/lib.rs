//! Shamir's secret sharing of files and keys: any `threshold` of the shares give the secret back, fewer say nothing but its length.
//! Specification: docs/protocols/shamir-files.md.

#![forbid(unsafe_code)]

pub mod error;
pub mod file;
pub mod gf256;

pub use error::{Error, Result};
pub use file::{Combined, Parameters, combine, split};
