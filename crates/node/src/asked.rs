//! How often one root may ask for what costs this node lasting room, or much work. Who is refused asks again later.

use crate::NodeError;
use crate::admin::Limits;

/// Buckets by root.
pub(crate) struct Asked {
    /// Each leaves something in the database or the log for good.
    manifests: Limits,
    /// Decisions, of which one for each participant of a job is kept.
    approvals: Limits,
    projects: Limits,
    heads: Limits,
    /// By the root whose holder signed it.
    revocations: Limits,
    /// Anybody's, each of which is looked up.
    invitations: Limits,
    /// Each reads much of the log.
    timelines: Limits,
    /// Each reads all tables, and may be long.
    tables: Limits,
    /// Everything else.
    others: Limits,
}

impl Default for Asked {
    fn default() -> Self {
        Asked {
            manifests: Limits::new(300, 1.0 / 30.0),
            approvals: Limits::new(3000, 1.0),
            projects: Limits::new(70, 1.0 / 60.0),
            heads: Limits::new(20, 0.2),
            revocations: Limits::new(5, 1.0 / 60.0),
            invitations: Limits::new(30, 6.0),
            timelines: Limits::new(10, 0.2),
            tables: Limits::new(20, 0.5),
            others: Limits::new(3000, 50.0),
        }
    }
}

impl Asked {
    /// # Errors
    /// Too often.
    pub fn take(&self, root: &str, what: &str) -> Result<(), NodeError> {
        let limits = match what {
            "manifest" => &self.manifests,
            "approval" => &self.approvals,
            "project" => &self.projects,
            "head" => &self.heads,
            "revocation" => &self.revocations,
            "knock" | "reveal" => &self.invitations,
            "timeline" => &self.timelines,
            "tables" => &self.tables,
            _ => &self.others,
        };
        limits.take(root)
    }
    /// All buckets are full again: for the fuzzer.
    pub fn forget(&self) {
        for limits in [
            &self.manifests,
            &self.approvals,
            &self.projects,
            &self.heads,
            &self.revocations,
            &self.invitations,
            &self.timelines,
            &self.tables,
            &self.others,
        ] {
            limits.forget_all();
        }
    }
}
