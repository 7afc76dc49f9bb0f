//! Privacy budgets: `budgets/PROJECT.toml` in the node's directory says how much of epsilon the jobs of a project may take together, as far as this
//! organisation takes part. A job's share is taken when its first attempt begins, before anything is opened, and never given back. What the file says is in the
//! audit log before it counts, and so is what a job takes: an auditor adds it up.

use crate::node::{Node, now};
use crate::store::Stored;
use crate::{NodeError, home};
use privity_api::Record;
use privity_policy::{Budget, Spending};
use std::collections::{BTreeMap, BTreeSet};

/// What the log says, as far as this process wrote it.
#[derive(Default)]
pub(crate) struct Recorded {
    /// What it last said of the budget of each project.
    budgets: BTreeMap<String, Option<Budget>>,
    /// Whether it says of something that it was taken that the database has not.
    owed: bool,
}

impl Node {
    fn read_budget(&self, project: &str) -> Result<Option<Budget>, NodeError> {
        let path = home::budget(&self.home, project);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(NodeError::file(&path, "reading", e)),
        };
        let wrong = |e: privity_policy::BudgetError| NodeError::Config { problem: format!("{}: {e}", path.display()) };
        Budget::from_toml(&text).map(Some).map_err(wrong)
    }

    /// The budget of a project, if this organisation has set one. It is in the log before it counts; that there is none, where there was one before, or where
    /// something is taken.
    fn budget(&self, recorded: &mut Recorded, project: &str, taken: u64) -> Result<Option<Budget>, NodeError> {
        let budget = self.read_budget(project)?;
        let said = match recorded.budgets.get(project) {
            Some(before) => *before == budget,
            None => budget.is_none() && taken == 0,
        };
        if !said {
            let project = project.to_owned();
            let (epsilon_milli_total, period_days) =
                (budget.map(|b| b.epsilon_milli_total), budget.map_or(0, |b| b.period_days));
            self.record(&Record::Budget { project: project.clone(), epsilon_milli_total, period_days })?;
            recorded.budgets.insert(project, budget);
        }
        Ok(budget)
    }

    /// Has budgets that changed in the log, also if no job takes anything of them.
    ///
    /// # Errors
    /// The first that cannot be read.
    pub(crate) fn note_budgets(&self) -> Result<(), NodeError> {
        let folder = home::budgets(&self.home);
        let files = match std::fs::read_dir(&folder) {
            Ok(files) => files.collect::<Result<Vec<_>, _>>().map_err(|e| NodeError::file(&folder, "reading", e))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(NodeError::file(&folder, "reading", e)),
        };
        let named = files.iter().filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".toml")?.to_owned()));
        let mut recorded = crate::lock(&self.budgets);
        let projects: BTreeSet<String> = named.chain(recorded.budgets.keys().cloned()).collect();
        let mut noted = Ok(());
        for project in projects.iter().filter(|name| privity_api::is_name(name)) {
            noted = noted.and(self.budget(&mut recorded, project, 0).map(drop));
        }
        noted
    }

    /// What other jobs took of a job's budget, unless it has taken its own share already.
    async fn taken_by_others(&self, stored: &Stored) -> Result<Option<Vec<Spending>>, NodeError> {
        let taken = self.store.spending(&stored.manifest.body.project).await?;
        let is_own = |(manifest, _): &(String, Spending)| *manifest == stored.digest;
        Ok((!taken.iter().any(is_own)).then(|| taken.into_iter().map(|(_, spending)| spending).collect()))
    }

    /// Whether what a job takes is left. Once it has taken it, it is.
    fn fits_budget(
        &self,
        recorded: &mut Recorded,
        stored: &Stored,
        others: Option<&[Spending]>,
    ) -> Result<(), NodeError> {
        let body = &stored.manifest.body;
        let budget = self.budget(recorded, &body.project, body.release.epsilon_milli)?;
        let (Some(budget), Some(others)) = (budget, others) else { return Ok(()) };
        let admitted = budget.admit(others, now(), body.release.epsilon_milli);
        admitted.map_err(|e| NodeError::State(format!("{} at {}", e, self.organisation())))
    }

    /// Whether what a job takes is left.
    ///
    /// # Errors
    /// More than is left, or a budget that cannot be read.
    pub(crate) async fn affordable(&self, stored: &Stored) -> Result<(), NodeError> {
        let others = self.taken_by_others(stored).await?;
        self.fits_budget(&mut crate::lock(&self.budgets), stored, others.as_deref())
    }

    /// Takes a job's share of the budget, once. Whoever calls this holds [`Node::changing`].
    ///
    /// # Errors
    /// As [`Node::affordable`].
    pub(crate) async fn spend(&self, stored: &Stored) -> Result<(), NodeError> {
        let (body, taken) = (&stored.manifest.body, stored.manifest.body.release.epsilon_milli);
        if crate::lock(&self.budgets).owed {
            self.recover_spending().await?;
        }
        let others = self.taken_by_others(stored).await?;
        {
            // Between the budget that admits it and what the log says is taken, the log says of no other.
            let mut recorded = crate::lock(&self.budgets);
            self.fits_budget(&mut recorded, stored, others.as_deref())?;
            if taken > 0 && !self.recorded_spending(&stored.digest)? {
                let (manifest, project) = (stored.digest.clone(), body.project.clone());
                self.record(&Record::Spent { manifest, project, epsilon_milli: taken })?;
            }
        }
        if taken == 0 {
            return Ok(());
        }
        let kept = self.store.spend(&stored.digest, &body.project, now(), taken).await;
        crate::lock(&self.budgets).owed = kept.is_err();
        kept
    }

    /// What the log says that was taken is so in the database, too: it may have failed just then, or this node was killed.
    pub(crate) async fn recover_spending(&self) -> Result<(), NodeError> {
        for (at, manifest, project, taken) in self.recorded_spendings()? {
            self.store.spend(&manifest, &project, at, taken).await?;
        }
        crate::lock(&self.budgets).owed = false;
        Ok(())
    }
}
