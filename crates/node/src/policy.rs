//! This organisation's policy: read from `policy.cedar` in the node's directory, again whenever the file changes. A text that is no policy changes nothing.

use crate::node::{Node, now};
use crate::store::Stored;
use crate::{NodeError, home};
use privity_api::{Decision, Record};
use privity_policy::{DEFAULT, Facts, Outcome, Policy};
use std::path::Path;
use std::sync::{Arc, PoisonError};

/// Name of the file in a node's directory.
pub const FILE: &str = "policy.cedar";

/// A policy, and the text that it was read from.
#[derive(Debug)]
pub(crate) struct Written {
    pub text: String,
    pub policy: Policy,
}

/// The policy of a node's directory: the built-in one, by which people decide, if there is no file.
///
/// # Errors
/// A file that cannot be read or is no policy.
pub fn load(home: &Path) -> Result<Policy, NodeError> {
    Ok(read(home)?.policy)
}

/// The text of a node's directory, if there is a file.
pub(crate) fn text(home: &Path) -> Result<Option<String>, NodeError> {
    let path = home.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(NodeError::file(&path, "reading", e)),
    }
}

/// When the file of a node's directory was changed, if there is one and the system says so.
pub(crate) fn changed(home: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(home.join(FILE)).and_then(|file| file.modified()).ok()
}

pub(crate) fn read(home: &Path) -> Result<Written, NodeError> {
    let text = text(home)?.unwrap_or_else(|| DEFAULT.to_owned());
    let wrong = |e| NodeError::Config { problem: format!("{}: {e}", home.join(FILE).display()) };
    let policy = Policy::parse(&text).map_err(wrong)?;
    Ok(Written { text, policy })
}

impl Node {
    /// The policy in use.
    pub(crate) fn policy(&self) -> Arc<Written> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a changed policy into use; it is in the log before.
    pub(crate) fn reload_policy(&self) -> Result<(), NodeError> {
        let _changing = crate::lock(&self.changing_policy);
        self.reload(FILE)
    }

    /// Puts another text in the place of the file and takes it into use. What it replaces is named by its digest, so that nobody undoes what it has not read.
    ///
    /// # Errors
    /// No policy; another one is in use than is to be replaced; the file cannot be written, and nothing changes; the log takes nothing more: then the text is in
    /// the file and not in use.
    pub(crate) fn replace_policy(&self, text: &str, replaces: &str, by: &str) -> Result<(), NodeError> {
        Policy::parse(text)?;
        let _changing = crate::lock(&self.changing_policy);
        // A change of the file a moment ago counts. A file that is no policy is what may be mended here.
        if let Err(e) = self.reload(FILE) {
            tracing::warn!(error = %e, "the file of the policy is replaced");
        }
        if self.policy().policy.digest() != replaces {
            let problem = "another policy is in use by now than the one that this text was to replace: read that first";
            return Err(NodeError::State(problem.into()));
        }
        home::replace(&self.home.join(FILE), text)?;
        self.reload(by)
    }

    fn reload(&self, by: &str) -> Result<(), NodeError> {
        let written = read(&self.home)?;
        let digest = written.policy.digest();
        if digest != self.policy().policy.digest() {
            self.record(&Record::Policy { digest: digest.into(), by: by.into() })?;
            tracing::info!(digest, by, "another policy is in use");
            *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(written);
        }
        Ok(())
    }

    async fn outcome(&self, stored: &Stored) -> Result<Outcome, NodeError> {
        let manifest = &stored.manifest.body;
        let job = self.check(manifest).await?;
        let work = privity_policy::work(manifest)?;
        let first_time = !self.store.approved_before(self.organisation(), &work, &stored.digest).await?;
        let project = self.project(&manifest.project).await?;
        let facts = Facts::new(manifest, &job, self.organisation(), now(), first_time).among(&project);
        let facts = facts.scored_before(self.scored_before(manifest).await?);
        Ok(self.policy().policy.decide(&facts))
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
