//! What the audit log says of the end of an attempt: it is written there first, and a database that fails just then, or a crash, leaves a job where it was.

use crate::NodeError;
use crate::job::State;
use crate::node::Node;
use privity_api::Record;

/// So many entries are read at once, and so many at most: the end of an attempt that is not in the database is one of the last.
const AT_ONCE: u64 = 256;
const MOST: u64 = 4096;

impl Node {
    /// How an attempt ended here, with exit code and reason, if the log says so.
    pub(crate) fn recorded_end(&self, digest: &str, number: u32) -> Result<Option<(State, u8, String)>, NodeError> {
        let size = self.log.size();
        let mut to = size;
        while to > size.saturating_sub(MOST) {
            let from = to.saturating_sub(AT_ONCE);
            let entries = self.log.entries(from..to).map_err(|e| NodeError::Audit(e.to_string()))?;
            for entry in entries.into_iter().rev() {
                match entry.record {
                    Record::Ended { manifest, number: of, end, code, reason, .. }
                        if manifest == digest && of == number =>
                    {
                        return Ok(Some((State::parse(&end), code, reason)));
                    }
                    Record::Attempt { manifest, number: of, .. } if manifest == digest && of == number => {
                        return Ok(None);
                    }
                    _ => {}
                }
            }
            to = from;
        }
        Ok(None)
    }
}
