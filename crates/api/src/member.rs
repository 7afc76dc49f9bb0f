//! Organisations and projects.

use crate::{Purpose, Time};
use serde::{Deserialize, Serialize};

/// An organisation as its peers know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name.
    pub organisation: String,
    /// Who runs its machines; two members of one operator are no two members for a protocol.
    pub operator: String,
    /// BLAKE3 of its root certificate in DER, hexadecimal.
    pub root: String,
    /// Where its node is reached, `host:port`; `relay:host:port` of another member's node if it only dials out.
    pub address: String,
    /// Whether it has data; a helper or dealer has none.
    pub helper: bool,
}

/// Organisations that may run jobs together, as the founder of the project states it. A higher version takes the place of a lower one. That somebody is a
/// member gives them no right: every job names its participants by their roots, and each of its owners approves it or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// Organisation that founded it and invites others.
    pub founder: String,
    /// Counts on with every change.
    pub version: u32,
    /// The members, the founder included.
    pub members: Vec<Member>,
}

impl Purpose for Project {
    const PURPOSE: &'static str = "members of a project";
}

impl Project {
    /// A member.
    pub fn member(&self, organisation: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.organisation == organisation)
    }
    /// Members by the fingerprint of their root.
    pub fn by_root(&self, root: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.root == root)
    }
}

/// An organisation declares node certificates void: all that were issued before this moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Whose certificates.
    pub organisation: String,
    /// Certificates valid from before this count no longer.
    pub before: Time,
    /// Why, in words.
    pub reason: String,
    /// When this was said.
    pub at: Time,
}

impl Purpose for Revocation {
    const PURPOSE: &'static str = "revocation of node certificates";
}

/// Six words for people to compare, 48 bits of a digest: enough for one that nobody could try out beforehand (both sides put a number of theirs into it that
/// they committed themselves to), too few for a fingerprint that an attacker may make up at leisure.
pub fn words(digest: &[u8; 32]) -> String {
    let of = |byte: &u8| WORDS[usize::from(*byte)];
    digest[..6].iter().map(of).collect::<Vec<_>>().join(" ")
}

/// Words of a root's fingerprint.
pub const ROOT_WORDS: usize = 12;

/// Twelve words for people to compare, 96 bits of a digest of a root's fingerprint: enough for one that somebody else may make up at leisure.
pub fn root_words(root: &str) -> String {
    let digest = blake3::derive_key("privity 2026-11 words of a root", root.as_bytes());
    let of = |byte: &u8| WORDS[usize::from(*byte)];
    digest[..ROOT_WORDS].iter().map(of).collect::<Vec<_>>().join(" ")
}

const WORDS: [&str; 256] = {
    let text = include_str!("words.txt");
    split(text)
};

/// The lines of a text of 256 lines.
const fn split(text: &str) -> [&str; 256] {
    let bytes = text.as_bytes();
    let (mut out, mut line, mut from, mut at) = ([""; 256], 0, 0, 0);
    while at < bytes.len() {
        if bytes[at] == b'\n' {
            let (_, rest) = text.split_at(from);
            (out[line], _) = rest.split_at(at - from);
            line += 1;
            from = at + 1;
        }
        at += 1;
    }
    assert!(line == 256, "256 words");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_distinct_and_of_the_fingerprint() {
        let set: std::collections::BTreeSet<&str> = WORDS.iter().copied().collect();
        assert_eq!(set.len(), 256);
        assert!(WORDS.iter().all(|w| (3..=8).contains(&w.len()) && w.chars().all(|c| c.is_ascii_lowercase())));
        assert_eq!(words(&[0; 32]), [WORDS[0]; 6].join(" "));
        assert_ne!(words(&[0; 32]), words(&[1; 32]));
        assert_eq!(root_words("00").split(' ').count(), ROOT_WORDS);
        assert_ne!(root_words("00"), root_words("01"));
    }
}
