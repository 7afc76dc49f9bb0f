//! Privacy budgets: `budgets/PROJECT.toml` in the node's directory says how much of epsilon the jobs of a project may take together, as far as this
//! organisation takes part. A job's share is taken when its first attempt begins, before anything is opened, and never given back.

use crate::node::{Node, now};
use crate::store::Stored;
use crate::{NodeError, home};
use privity_policy::Budget;

impl Node {
    /// The budget of a project, if this organisation has set one.
    fn budget(&self, project: &str) -> Result<Option<Budget>, NodeError> {
        let path = home::budget(&self.home, project);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(NodeError::file(&path, "reading", e)),
        };
        let wrong = |e: privity_policy::BudgetError| NodeError::Config { problem: format!("{}: {e}", path.display()) };
        Budget::from_toml(&text).map(Some).map_err(wrong)
    }

    /// Whether what a job takes is left. Once it has taken it, it is.
    ///
    /// # Errors
    /// More than is left, or a budget that cannot be read.
    pub(crate) async fn affordable(&self, stored: &Stored) -> Result<(), NodeError> {
        let body = &stored.manifest.body;
        let Some(budget) = self.budget(&body.project)? else { return Ok(()) };
        let taken = self.store.spending(&body.project).await?;
        if taken.iter().any(|(manifest, _)| *manifest == stored.digest) {
            return Ok(());
        }
        let entries: Vec<_> = taken.into_iter().map(|(_, spending)| spending).collect();
        let admitted = budget.admit(&entries, now(), body.release.epsilon_milli);
        admitted.map_err(|e| NodeError::State(format!("{} at {}", e, self.organisation())))
    }

    /// Takes a job's share of the budget, once. Whoever calls this holds [`Node::changing`].
    ///
    /// # Errors
    /// As [`Node::affordable`].
    pub(crate) async fn spend(&self, stored: &Stored) -> Result<(), NodeError> {
        self.affordable(stored).await?;
        let body = &stored.manifest.body;
        match body.release.epsilon_milli {
            0 => Ok(()),
            taken => self.store.spend(&stored.digest, &body.project, now(), taken).await,
        }
    }
}
