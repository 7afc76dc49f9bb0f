//! This organisation's policy: read from `policy.cedar` in the node's directory, again whenever the file changes. A text that is no policy changes nothing.

use crate::NodeError;
use crate::node::{Node, now};
use crate::store::Stored;
use privity_api::{Decision, Record};
use privity_policy::{Facts, Outcome, Policy};
use std::path::Path;
use std::sync::{Arc, PoisonError};

/// Name of the file in a node's directory.
pub const FILE: &str = "policy.cedar";

/// The policy of a node's directory: the built-in one, by which people decide, if there is no file.
///
/// # Errors
/// A file that cannot be read or is no policy.
pub fn load(home: &Path) -> Result<Policy, NodeError> {
    let path = home.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Policy::parse(&text).map_err(|e| NodeError::Config { problem: format!("{}: {e}", path.display()) }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Policy::people()),
        Err(e) => Err(NodeError::file(&path, "reading", e)),
    }
}

impl Node {
    fn policy(&self) -> Arc<Policy> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a changed policy into use; it is in the log before.
    pub(crate) fn reload_policy(&self) -> Result<(), NodeError> {
        let policy = load(&self.home)?;
        if policy.digest() != self.policy().digest() {
            self.record(&Record::Policy { digest: policy.digest().into(), by: FILE.into() })?;
            tracing::info!(digest = policy.digest(), "another policy is in use");
            *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
        }
        Ok(())
    }

    async fn outcome(&self, stored: &Stored) -> Result<Outcome, NodeError> {
        let manifest = &stored.manifest.body;
        let job = manifest.check(now())?;
        let work = privity_policy::work(manifest)?;
        let mut first_time = true;
        for other in self.store.jobs().await?.iter().filter(|other| other.digest != stored.digest) {
            let approved = self
                .store
                .approvals(&other.digest)
                .await?
                .iter()
                .any(|a| a.body.organisation == self.organisation() && a.body.decision == Decision::Approve);
            first_time &= !(approved && privity_policy::work(&other.manifest.body)? == work);
        }
        let project = self.project(&manifest.project).await?;
        let facts = Facts::new(manifest, &job, self.organisation(), now(), first_time).among(&project);
        Ok(self.policy().decide(&facts))
    }

    /// A decision that needs nobody, with its reason and the rules that made it.
    pub(crate) async fn policy_says(
        &self,
        stored: &Stored,
    ) -> Result<Option<(Decision, String, Vec<String>)>, NodeError> {
        let named = |rules: Vec<String>| match rules.is_empty() {
            true => vec!["policy".to_owned()],
            false => rules.into_iter().map(|rule| format!("policy:{rule}")).collect(),
        };
        Ok(match self.outcome(stored).await? {
            Outcome::Allow { rules } => Some((Decision::Approve, "the policy allows it".into(), named(rules))),
            Outcome::Deny { rules, reason } => Some((Decision::Deny, reason, named(rules))),
            Outcome::People { .. } => None,
        })
    }

    /// How many persons have to approve.
    ///
    /// # Errors
    /// The policy denies it, whoever wants it.
    pub(crate) async fn approvers(&self, stored: &Stored) -> Result<usize, NodeError> {
        match self.outcome(stored).await? {
            Outcome::Allow { .. } => Ok(1),
            Outcome::People { approvers, .. } => Ok(approvers as usize),
            Outcome::Deny { reason, .. } => {
                Err(NodeError::State(format!("the policy of {} denies it: {reason}", self.organisation())))
            }
        }
    }
}
