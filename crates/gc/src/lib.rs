//! Garbled circuits: half gates (Zahur, Rosulek, Evans, EUROCRYPT 2015) under a re-keyed hash, many instances of a circuit at once, tables
//! as a stream. Specification: docs/protocols/gc.md.

#![forbid(unsafe_code)]

mod evaluate;
mod garble;
mod schedule;

pub use evaluate::evaluate;
pub use garble::{Begun, Garbler, Garbling};
pub use schedule::Schedule;

/// A wire label. Its lowest bit is the colour, which says nothing of the value.
pub type Label = u128;

/// Bytes of tables for each AND gate of each instance.
pub const TABLE_BYTES: usize = 32;

/// ANDs of all instances that are garbled at once: buffers stay in the cache.
const CHUNK: usize = 512;
