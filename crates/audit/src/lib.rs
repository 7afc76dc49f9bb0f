//! The tamper-evident audit log of an organisation's node, and the offline tools of an auditor. Files only; docs/protocols/audit.md.
//!
//! A node writes every [`Record`](privity_api::Record) to its [`Log`] before it acts on it, signs [`Head`]s of it, and remembers the heads of the other
//! members as their [`Witness`]. Each organisation [`export()`]s its own log; an auditor [`verify()`]s any number of exports together.

#![forbid(unsafe_code)]

mod across;
mod budgets;
pub mod clock;
mod entry;
mod error;
pub mod export;
mod jobs;
mod lines;
mod lock;
mod log;
pub mod merkle;
mod read;
pub mod trace;
pub mod verify;
mod witness;

pub use entry::{Cosignature, Entry, Head};
pub use error::AuditError;
pub use export::{Filter, export};
pub use log::Log;
pub use merkle::{Hash, Proof};
pub use read::{End, Evidence, FormatError, Header, Part, Reader, fuzz};
pub use verify::{Finding, Report, Severity, verify};
pub use witness::{Witness, WitnessError};

/// Longest line of a file, in bytes: a manifest in quotes.
pub const MAX_LINE: usize = 4 << 20;
/// Most lines of a file. What a log holds in memory is bounded by it: 72 bytes an entry.
pub const MAX_LINES: u64 = 1 << 24;
