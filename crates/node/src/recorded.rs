//! What the audit log says of the end of an attempt: it is written there first, and a database that fails just then, or a crash, leaves a job where it was.

use crate::NodeError;
use crate::job::State;
use crate::node::Node;
use privity_api::{Record, Time};

/// So many entries are read at once, and so many at most: the end of an attempt that is not in the database is one of the last.
const AT_ONCE: u64 = 256;
const MOST: u64 = 4096;

impl Node {
    /// How an attempt ended here, with exit code and reason, if the log says so. Attempt 0 is none: the job ended without one.
    pub(crate) fn recorded_end(&self, digest: &str, number: u32) -> Result<Option<(State, u8, String)>, NodeError> {
        self.find(digest, |record| match record {
            Record::Ended { number: of, end, code, reason, .. } if *of == number => {
                Some(Some((State::parse(end), *code, reason.clone())))
            }
            Record::Attempt { number: of, .. } if *of == number => Some(None),
            _ => None,
        })
        .map(Option::flatten)
    }

    /// Whether the log says that this node signed an attempt.
    pub(crate) fn recorded_attempt(&self, digest: &str, number: u32) -> Result<bool, NodeError> {
        let signed = |record: &Record| match record {
            Record::Attempt { number: of, .. } => Some(*of == number),
            _ => None,
        };
        self.find(digest, signed).map(|found| found == Some(true))
    }

    /// Whether the log says that a job took its share of the privacy budget.
    pub(crate) fn recorded_spending(&self, digest: &str) -> Result<bool, NodeError> {
        let spent = |record: &Record| matches!(record, Record::Spent { .. }).then_some(());
        self.find(digest, spent).map(|found| found.is_some())
    }

    /// What the latest records say that jobs took of privacy budgets: when, which, of which project, how much.
    pub(crate) fn recorded_spendings(&self) -> Result<Vec<(Time, String, String, u64)>, NodeError> {
        let (size, mut found) = (self.log.size(), Vec::new());
        let mut from = size.saturating_sub(MOST);
        while from < size {
            let entries =
                self.log.entries(from..size.min(from + AT_ONCE)).map_err(|e| NodeError::Audit(e.to_string()))?;
            from += entries.len().max(1) as u64;
            for entry in entries {
                if let Record::Spent { manifest, project, epsilon_milli } = entry.record {
                    found.push((entry.at, manifest, project, epsilon_milli));
                }
            }
        }
        Ok(found)
    }

    /// What something finds in the records of a job, the latest first, from where it came in.
    fn find<T>(&self, digest: &str, what: impl Fn(&Record) -> Option<T>) -> Result<Option<T>, NodeError> {
        let size = self.log.size();
        let mut to = size;
        while to > size.saturating_sub(MOST) {
            let from = to.saturating_sub(AT_ONCE);
            let entries = self.log.entries(from..to).map_err(|e| NodeError::Audit(e.to_string()))?;
            for entry in entries.into_iter().rev().filter(|entry| entry.record.manifest() == Some(digest)) {
                match what(&entry.record) {
                    None if matches!(entry.record, Record::Submitted { .. }) => return Ok(None),
                    None => {}
                    found => return Ok(found),
                }
            }
            to = from;
        }
        Ok(None)
    }
}
