//! What organisations say to each other. Shapes, their digests and signatures, and what makes one of them valid; no I/O.
//!
//! A [`Manifest`] says all that a job is. An organisation is known by the fingerprint of its root certificate, whose key signs [`Statement`]s: that it
//! approves a manifest, that it takes part in an attempt, what the head of its audit log is. Statements are of one purpose each, so none passes for another.

#![forbid(unsafe_code)]

pub mod approval;
pub mod manifest;
pub mod member;
pub mod record;
pub mod statement;

pub use approval::{Approval, Attempt, Decision};
pub use manifest::{Dataset, Manifest, ManifestError, NamedModel, Release};
pub use member::{Member, Project, Revocation};
pub use record::Record;
pub use statement::{Purpose, Signer, Statement, StatementError};

/// Seconds since 1970, UTC.
pub type Time = i64;

/// Longest text of a manifest, an approval or a record, in bytes; whoever reads one refuses more before parsing.
pub const MAX_TEXT: usize = 1 << 20;

/// SHA-256, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}

/// Hexadecimal, lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a name of an organisation, a project, a table or a person is one: letters, digits, `-`, `_` and `.`, at most 64, not beginning with a point.
pub fn is_name(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=64).contains(&name.len()) && !name.starts_with('.') && name.chars().all(fine)
}

/// Whether a character steers a terminal or turns the order of letters; texts that people decide on have none.
pub fn steers(c: char) -> bool {
    let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    c.is_control() || hidden
}

/// A text without such characters: � stands for each.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}
