//! Which of this organisation's jobs are attempted next. Projects are tenants: each in turn, however many jobs another has; within a project the job of the
//! higher priority, then the older one. Nobody's priority holds up another project.

use crate::NodeError;
use crate::job::State;
use crate::store::{Store, names};
use privity_api::Time;
use sqlx::Row;
use sqlx::any::AnyRow;
use std::collections::{BTreeMap, BTreeSet};

/// Of a job that has not ended, what its turn depends on.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub digest: String,
    pub project: String,
    pub submitter: String,
    pub state: State,
    pub code: u8,
    pub expires: Time,
    /// The highest attempt that was signed.
    pub attempt: u32,
    /// When it last changed.
    pub updated: Time,
    /// From 0, the least, to 9.
    pub priority: u8,
    /// Names, with blanks between them.
    pub participants: String,
}

impl Waiting {
    /// Whether its next attempt need not wait: after one that ended too early a while passes, twice as long after each, so that a fault that lasts does not
    /// use up all there are.
    pub fn rested(&self, now: Time) -> bool {
        let wait = Time::from(1u32 << self.attempt.min(5));
        // A clock that was put back makes nobody wait for long.
        self.state != State::Paused || !(0..wait).contains(&now.saturating_sub(self.updated))
    }
}

/// How many attempts each project has had: who had fewer is next. A project that comes anew begins where the others are.
#[derive(Default)]
pub(crate) struct Tenants(BTreeMap<String, u64>);

/// Attempts of each project.
pub(crate) type Counts = BTreeMap<String, usize>;

impl Tenants {
    /// The next jobs to ask for, of those that are due. `jobs`: all that have not ended, by age, the oldest first; `running` and `asking`: attempts of each
    /// project that run, or are about to.
    pub fn next<'a>(
        &mut self,
        jobs: &[&'a Waiting],
        due: impl Fn(&Waiting) -> bool,
        running: &Counts,
        mut asking: Counts,
        (most, places): (usize, usize),
    ) -> Vec<&'a Waiting> {
        let mut queues: BTreeMap<&str, Vec<&Waiting>> = BTreeMap::new();
        jobs.iter().filter(|job| due(job)).for_each(|job| queues.entry(&job.project).or_default().push(job));
        // The last is taken first: the sort keeps the order of age among equals, which is turned round.
        for queue in queues.values_mut() {
            queue.reverse();
            queue.sort_by_key(|job| job.priority);
        }
        let open: BTreeSet<&str> = jobs.iter().map(|job| job.project.as_str()).collect();
        self.0.retain(|project, _| open.contains(project.as_str()));
        let least = self.0.values().min().copied().unwrap_or(0);
        for project in open {
            self.0.entry(project.to_owned()).or_insert(least);
        }
        let of = |counts: &Counts, project: &str| counts.get(project).copied().unwrap_or(0);
        let mut next = Vec::new();
        while next.len() < places {
            let open = |project: &&str| of(running, project) + of(&asking, project) < most;
            let turn = |project: &&str| self.0[*project] + of(&asking, project) as u64;
            let Some(project) = queues.keys().copied().filter(open).min_by_key(turn) else { break };
            let queue = queues.get_mut(project).expect("one of them");
            next.extend(queue.pop());
            if queue.is_empty() {
                queues.remove(project);
            }
            *asking.entry(project.to_owned()).or_default() += 1;
        }
        next
    }
    /// An attempt of a project began.
    pub fn began(&mut self, project: &str) {
        *self.0.entry(project.to_owned()).or_default() += 1;
    }
}

impl Store {
    /// Jobs that have not ended, the oldest first.
    pub(crate) async fn queue(&self) -> Result<Vec<Waiting>, NodeError> {
        let query = format!(
            "SELECT digest, project, submitter, state, code, expires, priority, participants, attempt, updated FROM jobs WHERE state IN ({}) ORDER BY created, digest",
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
                participants: row.try_get(7)?,
                attempt: row.try_get::<i64, _>(8)? as u32,
                updated: row.try_get(9)?,
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
        let participants = "bank-a bank-b".to_owned();
        Waiting {
            digest,
            project,
            submitter,
            state: State::Ready,
            code: 0,
            expires: 0,
            attempt: 0,
            updated: 0,
            priority,
            participants,
        }
    }
    fn next(tenants: &mut Tenants, jobs: &[Waiting], (most, places): (usize, usize)) -> Vec<String> {
        let jobs: Vec<&Waiting> = jobs.iter().collect();
        let next = tenants.next(&jobs, |_| true, &Counts::new(), Counts::new(), (most, places));
        next.into_iter().map(|job| job.digest.clone()).collect()
    }

    #[test]
    fn projects_take_turns_and_priorities_count_within_one() {
        let mut jobs = vec![job("a1", "a", 9), job("a2", "a", 9), job("a3", "a", 9), job("a4", "a", 9)];
        jobs.extend([job("b1", "b", 1), job("b2", "b", 5), job("c1", "c", 0)]);
        let mut tenants = Tenants::default();
        assert_eq!(next(&mut tenants, &jobs, (9, 5)), ["a1", "b2", "c1", "a2", "b1"]);
        // What was asked for and did not begin is next again.
        assert_eq!(next(&mut tenants, &jobs, (9, 1)), ["a1"]);
        for project in ["a", "a", "b", "c"] {
            tenants.began(project);
        }
        // `a` had two turns, `c` has gone, and what comes anew has had as many as who had fewest.
        let rest = [job("a3", "a", 9), job("b1", "b", 1), job("d1", "d", 0), job("d2", "d", 0), job("d3", "d", 0)];
        assert_eq!(next(&mut tenants, &rest, (9, 4)), ["b1", "d1", "a3", "d2"]);
    }

    #[test]
    fn a_project_has_no_more_attempts_than_it_may() {
        let jobs = [job("a1", "a", 5), job("a2", "a", 5), job("a3", "a", 5), job("b1", "b", 5)];
        let running = Counts::from([("a".to_owned(), 1)]);
        let jobs: Vec<&Waiting> = jobs.iter().collect();
        let mut tenants = Tenants::default();
        let next = tenants.next(&jobs, |_| true, &running, Counts::new(), (2, 9));
        assert_eq!(next.iter().map(|job| job.digest.as_str()).collect::<Vec<_>>(), ["a1", "b1"]);
    }

    #[test]
    fn after_each_attempt_that_ended_too_early_the_next_waits_longer() {
        let paused = |attempt| Waiting { state: State::Paused, attempt, updated: 100, ..job("a1", "a", 5) };
        for (attempt, wait) in [(1, 2), (2, 4), (5, 32), (30, 32)] {
            assert!(!paused(attempt).rested(100 + wait - 1) && paused(attempt).rested(100 + wait));
            assert!(paused(attempt).rested(99), "a clock was put back");
        }
        assert!(job("a1", "a", 5).rested(0));
    }

    #[test]
    fn who_had_turns_has_had_them_also_if_nothing_of_it_was_due_meanwhile() {
        let (a, b) = (job("a1", "a", 5), job("b1", "b", 5));
        let mut tenants = Tenants::default();
        let jobs = [&a, &b];
        tenants.next(&jobs, |_| true, &Counts::new(), Counts::new(), (9, 1));
        tenants.began("a");
        let mut next = |due: &dyn Fn(&Waiting) -> bool| -> Vec<String> {
            let next = tenants.next(&jobs, due, &Counts::new(), Counts::new(), (9, 1));
            next.into_iter().map(|job| job.digest.clone()).collect()
        };
        assert_eq!(next(&|job| job.project == "b"), ["b1"]);
        assert!(next(&|_| false).is_empty());
        assert_eq!(next(&|_| true), ["b1"]);
    }
}
