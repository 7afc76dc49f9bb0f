//! What an audit log holds: who decided, what ran, what was sent and opened; never data.

use crate::{Approval, Attempt, Decision, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One record. Names, digests, sizes and times only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Record {
    /// The log begins.
    Begun {
        /// Whose it is.
        organisation: String,
        /// Fingerprint of its root.
        root: String,
    },
    /// After a crash, an incomplete last line of a file of this log was cut off. No signed head covered it.
    Cut {
        /// Name of the file.
        file: String,
        /// Its bytes.
        bytes: u64,
        /// SHA-256 of them, hexadecimal.
        digest: String,
    },
    /// An organisation joined a project, as this one sees it.
    Joined {
        /// The project.
        project: String,
        /// Who.
        organisation: String,
        /// Fingerprint of its root.
        root: String,
    },
    /// An organisation is no member of a project any more, as this one sees it; the own one, if it left.
    Left {
        /// The project.
        project: String,
        /// Who.
        organisation: String,
        /// Fingerprint of its root.
        root: String,
        /// The founder that says so, or the person of this organisation that did it.
        by: String,
    },
    /// A person of this organisation gave up for which root a name stands here: it may stand for another from now on.
    Forgotten {
        /// The name.
        organisation: String,
        /// Fingerprint of the root; empty if the name stood for none.
        root: String,
        /// Who did it.
        by: String,
    },
    /// Node certificates became void.
    Revoked {
        /// Whose.
        organisation: String,
        /// Those valid from before this.
        before: Time,
    },
    /// A key was made, taken into use or given up.
    Key {
        /// What for.
        purpose: String,
        /// What happened.
        event: String,
        /// Fingerprint of its certificate.
        fingerprint: String,
    },
    /// A table was registered, changed or withdrawn.
    Table {
        /// Its name.
        table: String,
        /// Digest of its contract; empty if it was withdrawn.
        schema: String,
        /// Its rows.
        rows: u64,
        /// Projects whose members are shown its name and contract.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shown: Vec<String>,
        /// Whether they are shown the number of rows, too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        rows_shown: bool,
    },
    /// A model was registered, changed or withdrawn.
    Model {
        /// Its name.
        model: String,
        /// Digest of its files; empty if it was withdrawn.
        digest: String,
        /// So many rows may be scored with it; 0: as many as jobs are approved for.
        most_rows: u64,
    },
    /// The policy changed.
    Policy {
        /// Digest of the new one.
        digest: String,
        /// Who changed it.
        by: String,
    },
    /// How much the jobs of a project may take together of privacy here, from now on.
    Budget {
        /// The project.
        project: String,
        /// Thousandths of epsilon within a period; none: there is no limit.
        epsilon_milli_total: Option<u64>,
        /// Days after which what a job took counts no longer; 0: it counts for ever.
        period_days: u32,
    },
    /// A job was about to take its share of its project's privacy budget here, once for all its attempts.
    Spent {
        /// Digest of the manifest.
        manifest: String,
        /// The project.
        project: String,
        /// Thousandths of epsilon.
        epsilon_milli: u64,
    },
    /// A person of the organisation may sign in to its node, may do something else there, or may sign in no more.
    Person {
        /// Its name.
        name: String,
        /// What happened.
        event: String,
        /// Who did it.
        by: String,
    },
    /// A manifest came in.
    Submitted {
        /// Its digest.
        manifest: String,
        /// Its id.
        id: String,
        /// The project.
        project: String,
        /// Whose it is.
        submitter: String,
    },
    /// An organisation decided: this one, or another whose statement was verified.
    Decided {
        /// Digest of the manifest.
        manifest: String,
        /// Who.
        organisation: String,
        /// What.
        decision: Decision,
        /// Persons or rules.
        by: Vec<String>,
        /// Digest of the signed approval.
        approval: String,
    },
    /// All owners had approved, and this node signed an attempt.
    Attempt {
        /// Digest of the manifest.
        manifest: String,
        /// Which attempt.
        number: u32,
        /// Digest of the program.
        build: String,
        /// What was negotiated.
        parameters: Vec<(String, String)>,
    },
    /// A session began. All its members know it by the same identifier.
    Session {
        /// Digest of the manifest.
        manifest: String,
        /// Which attempt.
        number: u32,
        /// Identifier, hexadecimal.
        session: String,
    },
    /// All other participants signed that one is lost, and go on without it, as the manifest allows: in another session, of which nothing was sent before this.
    Lost {
        /// Digest of the manifest.
        manifest: String,
        /// Which attempt.
        number: u32,
        /// Who.
        lost: String,
        /// What protects the job from then on.
        security: String,
    },
    /// A value was about to be opened; it is written before that.
    Opening {
        /// Digest of the manifest.
        manifest: String,
        /// Which attempt.
        number: u32,
        /// What, as the plan calls it.
        what: String,
    },
    /// An attempt ended, or a job to which nothing follows.
    Ended {
        /// Digest of the manifest.
        manifest: String,
        /// Which attempt; 0 if this organisation signed none.
        number: u32,
        /// `done`, `paused`, `aborted`, `expired`.
        end: String,
        /// Exit code, the same at all members.
        code: u8,
        /// Why.
        reason: String,
        /// Payload bytes sent to each organisation, also in sessions that ended before they were done; not in one whose process was killed.
        sent: BTreeMap<String, u64>,
        /// Payload bytes sent by class of message.
        classes: BTreeMap<String, u64>,
        /// How many times all participants agreed that what was checked holds; 0 where the protocol checks nothing.
        #[serde(default, skip_serializing_if = "is_zero")]
        verdicts: u64,
        /// What protected the job.
        security: String,
    },
    /// Another member's head was seen, with this size and root; this node signed that it has.
    Cosigned {
        /// Whose log.
        organisation: String,
        /// Its size.
        size: u64,
        /// Its Merkle root, hexadecimal.
        root: String,
    },
}

/// Logs from before there was such a number have none, and their lines stay what they are.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Record {
    /// The record of a verified approval.
    pub fn decided(approval: &Approval, digest: String) -> Record {
        Record::Decided {
            manifest: approval.manifest.clone(),
            organisation: approval.organisation.clone(),
            decision: approval.decision,
            by: approval.by.clone(),
            approval: digest,
        }
    }
    /// The record of an attempt that this node signs.
    pub fn attempt(attempt: &Attempt) -> Record {
        Record::Attempt {
            manifest: attempt.manifest.clone(),
            number: attempt.number,
            build: attempt.build.clone(),
            parameters: attempt.parameters.clone(),
        }
    }
    /// The manifest it is about, if it is about one.
    pub fn manifest(&self) -> Option<&str> {
        match self {
            Record::Submitted { manifest, .. }
            | Record::Decided { manifest, .. }
            | Record::Spent { manifest, .. }
            | Record::Attempt { manifest, .. }
            | Record::Session { manifest, .. }
            | Record::Lost { manifest, .. }
            | Record::Opening { manifest, .. }
            | Record::Ended { manifest, .. } => Some(manifest),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_logs_from_before_there_were_verdicts_stay_what_they_are() {
        let old = r#"{"kind":"ended","manifest":"ab","number":1,"end":"done","code":0,"reason":"done","sent":{"b":1},"classes":{},"security":"rep4"}"#;
        let record: Record = serde_json::from_str(old).expect("a record");
        assert_eq!(serde_json::to_string(&record).expect("JSON"), old);
        let Record::Ended { verdicts: 0, .. } = record else { panic!("{record:?}") };
    }
}
