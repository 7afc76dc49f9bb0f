//! Heads of audit logs: each member signs that it has seen the others', so that no log can be replaced unnoticed.

use crate::NodeError;
use crate::node::{Node, now};
use privity_api::{Member, Record, Statement, Time};
use privity_audit::{Cosignature, Head, WitnessError, merkle::Proof};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Members cosign a head within so many seconds, or an alarm is raised.
pub const LAG: Time = 60;

/// A head of this node's log, and the proof that it continues what the other saw last.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The head.
    pub head: Statement<Head>,
    /// From the size that the other said.
    pub proof: Proof,
}

impl Node {
    /// How much of a member's log this node has seen.
    pub(crate) fn seen_of(&self, organisation: &str, root: &str) -> u64 {
        self.witness.size_of(organisation, root)
    }

    /// A member shows the head of its log.
    pub(crate) fn witness(
        &self,
        organisation: &str,
        root: &str,
        shown: &Shown,
    ) -> Result<Statement<Cosignature>, NodeError> {
        let cosigned = self.witness.observe(now(), organisation, root, &shown.head, &shown.proof);
        // What is wrong with another's head is no fault of this node.
        cosigned.map_err(|e| match e {
            WitnessError::Statement(e) => e.into(),
            WitnessError::Log(e) => NodeError::Audit(e.to_string()),
            other => NodeError::State(other.to_string()),
        })
    }

    /// Whether anything but cosignatures stands behind the first entries: of these alone logs would grow for ever.
    fn has_news(&self, seen: u64, size: u64) -> Result<bool, NodeError> {
        // Of a long stretch only a part is read at a time: it is news in any case.
        const STRETCH: u64 = 4096;
        if size.saturating_sub(seen) > STRETCH {
            return Ok(true);
        }
        let entries = self.log.entries(seen.min(size)..size).map_err(|e| NodeError::Audit(e.to_string()))?;
        Ok(entries.iter().any(|entry| !matches!(entry.record, Record::Cosigned { .. })))
    }

    /// Signs a head over everything that is in the log, if none is: only what a head covers can be exported, and what this node cosigned is asked of it.
    pub(crate) fn sign_head(&self) -> Result<(), NodeError> {
        match self.log.newest().is_some_and(|head| head.size == self.log.size()) {
            true => Ok(()),
            false => self.log.head(now()).map(drop).map_err(|e| NodeError::Audit(e.to_string())),
        }
    }

    /// Has a member cosign the head of this node's log, if it has not seen what is new in it.
    async fn cosigned_by(&self, member: &Member, size: u64) -> Result<(), NodeError> {
        let failed = |e: privity_audit::AuditError| NodeError::Audit(e.to_string());
        let seen: u64 = self.peers.ask_member(member, "seen", &()).await?;
        if !self.has_news(seen, size)? {
            return Ok(());
        }
        let head = self.log.head(now()).map_err(failed)?;
        let proof = self.log.consistency(seen, head.body.size).map_err(failed)?;
        let cosigned: Statement<Cosignature> = self.peers.ask_member(member, "head", &Shown { head, proof }).await?;
        self.log.cosigned(&member.organisation, &member.root, &cosigned).map_err(failed)
    }

    /// Shows the head of this node's log to all members who have not seen what is new in it.
    pub(crate) async fn cosign_all(self: &Arc<Self>) -> Result<(), NodeError> {
        let members = self.others().await?;
        let size = self.log.size();
        let mut asked = tokio::task::JoinSet::new();
        for member in members.values().cloned() {
            let node = self.clone();
            asked.spawn(async move { (node.cosigned_by(&member, size).await, member.organisation) });
        }
        while let Some(answer) = asked.join_next().await {
            // Whoever does not answer, or answers nonsense, is asked again in a while; that it has not cosigned shows in `overdue`.
            if let Ok((Err(e), member)) = answer {
                tracing::warn!(member, error = %e, "the head of the log was not cosigned");
            }
        }
        self.sign_head()?;
        let late = self.log.overdue(now(), LAG, members.keys().map(String::as_str));
        if !late.is_empty() {
            tracing::warn!(members = late.join(", "), "members have not cosigned this node's audit log in time");
        }
        Ok(())
    }
}
