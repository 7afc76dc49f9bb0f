//! What is signed and hashed.

use crate::merkle::{self, Hash};
use crate::{AuditError, MAX_LINE};
use privity_api::{Purpose, Record, Time};
use privity_job::canonical;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// An entry of a log. Its canonical text is a line of the file, and is what the leaf of the tree is the hash of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When, by this node's clock.
    pub at: Time,
    /// Its place, from 0.
    pub index: u64,
    /// What.
    pub record: Record,
    /// 32 random hexadecimal digits: where an export shows the hash only, nobody can try out what it is the hash of.
    pub salt: String,
}

/// What an organisation signs of its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Whose log.
    pub organisation: String,
    /// Entries.
    pub size: u64,
    /// Root of their tree.
    pub root: Hash,
    /// When it was signed.
    pub at: Time,
}

impl Purpose for Head {
    const PURPOSE: &'static str = "head of an audit log";
}

/// What an organisation signs of another's head: it has verified it, and it extends what it had seen of that log before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cosignature {
    /// Who has seen it.
    pub organisation: String,
    /// What.
    pub head: Head,
    /// Fingerprint of the root that signed the head.
    pub root: String,
    /// When.
    pub at: Time,
}

impl Purpose for Cosignature {
    const PURPOSE: &'static str = "cosignature of a head of an audit log";
}

impl Entry {
    /// An entry with a fresh salt.
    pub(crate) fn new(index: u64, at: Time, record: &Record) -> Result<Entry, AuditError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|e| AuditError::Randomness(e.to_string()))?;
        Ok(Entry { at, index, record: record.clone(), salt: privity_api::hex(&salt) })
    }
}

/// Hash of the leaf of an entry with this text.
pub(crate) fn leaf(text: &str) -> Hash {
    merkle::leaf(text.as_bytes())
}

/// The one text of a value. These types hold no numbers but integers, so there is always one.
pub(crate) fn write<T: Serialize>(value: &T) -> String {
    canonical::write(&serde_json::to_value(value).expect("integers, texts and maps with texts as keys"))
}

/// A value, if the text is its canonical one.
pub(crate) fn read<T: Serialize + DeserializeOwned>(line: &str) -> Result<T, String> {
    if line.len() > MAX_LINE {
        return Err(format!("{} bytes, more than {MAX_LINE}", line.len()));
    }
    // The parser's words may quote the text: its place is enough.
    let value: T =
        serde_json::from_str(line).map_err(|e| format!("{:?} error in column {}", e.classify(), e.column()))?;
    if write(&value) != line {
        return Err("not in canonical form".into());
    }
    Ok(value)
}
