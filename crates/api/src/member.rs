//! Organisations and projects.

use crate::Purpose;
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
    /// Where it is reached, `host:port`; empty if it only dials out.
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
    /// Organisation that founded it and states who its members are.
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
}
