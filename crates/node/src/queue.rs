//! Which of this organisation's jobs are attempted next. Projects are tenants: each in turn, however many jobs another has; within a project the job of the
//! higher priority, then the older one. Nobody's priority holds up another project.

use crate::NodeError;
use crate::job::State;
use crate::store::{Store, names};
use privity_api::Time;
use sqlx::Row;
use sqlx::any::AnyRow;
use std::collections::BTreeMap;

/// Of a job that has not ended, what its turn depends on.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub digest: String,
    pub project: String,
    pub submitter: String,
    pub state: State,
    pub code: u8,
    pub expires: Time,
    /// From 0, the least, to 9.
    pub priority: u8,
}

/// How often each project had its turn: who had it less is next. A project that comes anew begins where the others are.
#[derive(Default)]
pub(crate) struct Tenants(BTreeMap<String, u64>);

impl Tenants {
    /// The next jobs to ask for. `due`: by age, the oldest first; `active`: attempts of each project that run or are about to.
    pub fn next<'a>(
        &mut self,
        due: impl Iterator<Item = &'a Waiting>,
        mut active: BTreeMap<String, usize>,
        (most, places): (usize, usize),
    ) -> Vec<String> {
        let mut queues: BTreeMap<&str, Vec<&Waiting>> = BTreeMap::new();
        due.for_each(|job| queues.entry(&job.project).or_default().push(job));
        // The last is taken first: the sort keeps the order of age among equals, which is turned round.
        for queue in queues.values_mut() {
            queue.reverse();
            queue.sort_by_key(|job| job.priority);
        }
        self.0.retain(|project, _| queues.contains_key(project.as_str()) || active.contains_key(project));
        let least = self.0.values().min().copied().unwrap_or(0);
        let mut next = Vec::new();
        while next.len() < places {
            let open = |project: &str| active.get(project).copied().unwrap_or(0) < most;
            let turn = |project: &&str| self.0.get(*project).copied().unwrap_or(least);
            let Some(project) = queues.keys().copied().filter(|project| open(project)).min_by_key(turn) else { break };
            let queue = queues.get_mut(project).expect("one of them");
            next.extend(queue.pop().map(|job| job.digest.clone()));
            if queue.is_empty() {
                queues.remove(project);
            }
            *self.0.entry(project.to_owned()).or_insert(least) += 1;
            *active.entry(project.to_owned()).or_default() += 1;
        }
        next
    }
}

impl Store {
    /// Jobs that have not ended, the oldest first.
    pub(crate) async fn queue(&self) -> Result<Vec<Waiting>, NodeError> {
        let query = format!(
            "SELECT digest, project, submitter, state, code, expires, priority FROM jobs WHERE state IN ({}) ORDER BY created, digest",
            names(&State::OPEN)
        );
        let of = |row: &AnyRow| -> Result<Waiting, NodeError> {
            Ok(Waiting {
                digest: row.try_get(0)?,
                project: row.try_get(1)?,
                submitter: row.try_get(2)?,
                state: State::parse(row.try_get(3)?),
                code: row.try_get::<i64, _>(4)? as u8,
                expires: row.try_get(5)?,
                priority: row.try_get::<i64, _>(6)? as u8,
            })
        };
        sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&self.0).await?.iter().map(of).collect()
    }
    /// How many jobs of a submitter in a project have not ended.
    pub(crate) async fn count_open(&self, submitter: &str, project: &str) -> Result<i64, NodeError> {
        let query = "SELECT COUNT(*) FROM jobs WHERE submitter = $1 AND project = $2 AND state IN";
        let query = format!("{query} ({})", names(&State::OPEN));
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(submitter.to_owned()).bind(project.to_owned());
        Ok(query.fetch_one(&self.0).await?.try_get(0)?)
    }
    /// Whether an organisation has approved another job that is the same work.
    pub(crate) async fn approved_before(&self, organisation: &str, work: &str, other: &str) -> Result<bool, NodeError> {
        let query = "SELECT 1 FROM jobs JOIN approvals ON approvals.manifest = jobs.digest WHERE jobs.work = $1 \
                     AND jobs.digest <> $2 AND approvals.organisation = $3 AND approvals.decision = 'approve' LIMIT 1";
        let query = sqlx::query(query).bind(work.to_owned()).bind(other.to_owned()).bind(organisation.to_owned());
        Ok(query.fetch_optional(&self.0).await?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(digest: &str, project: &str, priority: u8) -> Waiting {
        let (digest, project, submitter) = (digest.to_owned(), project.to_owned(), "bank-a".to_owned());
        Waiting { digest, project, submitter, state: State::Ready, code: 0, expires: 0, priority }
    }

    #[test]
    fn projects_take_turns_and_priorities_count_within_one() {
        let jobs = [
            job("a1", "a", 9),
            job("a2", "a", 9),
            job("a3", "a", 9),
            job("b1", "b", 1),
            job("b2", "b", 5),
            job("c1", "c", 0),
        ];
        let mut tenants = Tenants::default();
        let none = BTreeMap::new();
        assert_eq!(tenants.next(jobs.iter(), none.clone(), (9, 4)), ["a1", "b2", "c1", "a2"]);
        // `a` had two turns, and one that comes anew has no more of them than the others.
        let rest = [job("a3", "a", 9), job("b1", "b", 1), job("d1", "d", 0), job("d2", "d", 0), job("d3", "d", 0)];
        assert_eq!(tenants.next(rest.iter(), none, (9, 4)), ["b1", "d1", "a3", "d2"]);
    }

    #[test]
    fn a_project_has_no_more_attempts_than_it_may() {
        let jobs = [job("a1", "a", 5), job("a2", "a", 5), job("a3", "a", 5), job("b1", "b", 5)];
        let active = BTreeMap::from([("a".to_owned(), 1)]);
        assert_eq!(Tenants::default().next(jobs.iter(), active, (2, 9)), ["a1", "b1"]);
    }
}
