//! What owners say to a manifest, and what nodes say to each other before they run it.

use crate::{Purpose, Time};
use serde::{Deserialize, Serialize};

/// Whether a job may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It may.
    Approve,
    /// It must not.
    Deny,
}

/// An organisation's decision on a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Digest of the manifest.
    pub manifest: String,
    /// Who decides.
    pub organisation: String,
    /// What.
    pub decision: Decision,
    /// Why, in words.
    pub reason: String,
    /// What decided: names of persons, or `policy:` and the names of the rules.
    pub by: Vec<String>,
    /// When.
    pub at: Time,
}

impl Purpose for Approval {
    const PURPOSE: &'static str = "approval of a manifest";
}

/// An organisation takes part in an attempt. A node signs an attempt once, before it starts, and none of the same or a lower number afterwards, so that
/// whoever schedules cannot make one run twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Digest of the manifest.
    pub manifest: String,
    /// Which attempt, from 1.
    pub number: u32,
    /// Who takes part.
    pub organisation: String,
    /// Digest of the program that it runs. It shows drift; it is no evidence of what a peer runs.
    pub build: String,
    /// What was negotiated, field by field, as this node reads the manifest: the first difference between two nodes is named with both values.
    pub parameters: Vec<(String, String)>,
    /// When.
    pub at: Time,
}

impl Purpose for Attempt {
    const PURPOSE: &'static str = "attempt at a job";
}

impl Attempt {
    /// The first thing in which two organisations' attempts differ: its name, what this one says, what the other says.
    pub fn difference(&self, other: &Attempt) -> Option<(String, String, String)> {
        let fields = |a: &Attempt| {
            let mut fields = vec![
                ("manifest".to_owned(), a.manifest.clone()),
                ("attempt".to_owned(), a.number.to_string()),
                ("build".to_owned(), a.build.clone()),
            ];
            fields.extend(a.parameters.iter().cloned());
            fields
        };
        let (ours, theirs) = (fields(self), fields(other));
        let missing = || ("".to_owned(), "nothing".to_owned());
        (0..ours.len().max(theirs.len())).find_map(|i| {
            let (a, b) = (ours.get(i).cloned().unwrap_or_else(missing), theirs.get(i).cloned().unwrap_or_else(missing));
            (a != b).then_some((if a.0.is_empty() { b.0 } else { a.0 }, a.1, b.1))
        })
    }
}
