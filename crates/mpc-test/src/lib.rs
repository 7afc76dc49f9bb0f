//! What tests of protocols share: all parties in one process, every frame on record, and one suite that runs a program under
//! every protocol and compares values with the plaintext twin and traffic with the declared costs. For tests only.
#![forbid(unsafe_code)]

pub mod conformance;
pub mod statistics;
pub mod tamper;
mod world;

pub use world::{Shared, World};
