//! Whose turn it is at a node that runs only so many attempts at a time: the submitter's that has waited longest. Each has one place in the queue, however
//! many jobs it has, so nobody is kept out by another's thousand. A place comes with lanes: as many as the job may have and as are free, one at least.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A place is kept so long for an attempt that is about to begin.
const KEPT: Duration = Duration::from_secs(30);
/// Who has not asked again for so long waits no longer.
const WAITS: Duration = Duration::from_secs(15);

/// Places for attempts.
pub(crate) struct Turns {
    /// How many attempts may run.
    most: usize,
    /// How many lanes they may have together.
    lanes: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Places kept, by job.
    kept: BTreeMap<String, Kept>,
    /// Since when a submitter waits, and when it asked last.
    waiting: BTreeMap<String, (Instant, Instant)>,
}

struct Kept {
    until: Instant,
    lanes: usize,
}

/// What runs at a node.
#[derive(Clone, Copy, Default)]
pub(crate) struct Load {
    pub attempts: usize,
    pub lanes: usize,
}

impl Turns {
    pub fn new(most: usize, lanes: usize) -> Turns {
        Turns { most, lanes, state: Mutex::default() }
    }
    fn state(&self) -> MutexGuard<'_, State> {
        crate::lock(&self.state)
    }

    /// A place for an attempt at a job, while so much runs: its lanes. If there is none, its submitter waits.
    pub fn take(&self, (job, wanted): (&str, usize), submitter: &str, running: Load, now: Instant) -> Option<usize> {
        let mut state = self.state();
        state.kept.retain(|_, kept| kept.until > now);
        state.waiting.retain(|_, (_, asked)| now.duration_since(*asked) < WAITS);
        // Asked for again, it is kept no longer for that.
        if let Some(kept) = state.kept.get(job) {
            return Some(kept.lanes);
        }
        let free = self.most.saturating_sub(running.attempts + state.kept.len());
        let since = state.waiting.get(submitter).map_or(now, |(since, _)| *since);
        let before = state.waiting.iter().filter(|(name, (other, _))| *name != submitter && *other < since).count();
        if free <= before {
            state.waiting.insert(submitter.to_owned(), (since, now));
            return None;
        }
        state.waiting.remove(submitter);
        let taken = running.lanes + state.kept.values().map(|kept| kept.lanes).sum::<usize>();
        let lanes = self.lanes.saturating_sub(taken).clamp(1, wanted.max(1));
        state.kept.insert(job.to_owned(), Kept { until: now + KEPT, lanes });
        Some(lanes)
    }
    /// The lanes of the place that is kept for a job.
    pub fn lanes(&self, job: &str, now: Instant) -> Option<usize> {
        self.state().kept.get(job).filter(|kept| kept.until > now).map(|kept| kept.lanes)
    }
    /// The place is given back, or used.
    pub fn release(&self, job: &str) {
        self.state().kept.remove(job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn few(most: usize) -> Turns {
        Turns::new(most, 64)
    }
    /// Whether a job of the submitter that its name begins with gets a place, while so many attempts run.
    fn takes(turns: &Turns, job: &str, attempts: usize, at: Instant) -> bool {
        turns.take((job, 1), &job[..1], Load { attempts, lanes: attempts }, at).is_some()
    }

    #[test]
    fn an_attempt_has_the_lanes_that_are_free_and_one_at_least() {
        let (turns, now) = (Turns::new(4, 6), Instant::now());
        let take = |job, wanted, lanes| turns.take((job, wanted), "a", Load { attempts: 0, lanes }, now);
        assert_eq!(take("a1", 4, 0), Some(4));
        assert_eq!((take("a1", 1, 0), turns.lanes("a1", now)), (Some(4), Some(4)), "what is kept stays");
        assert_eq!(take("a2", 4, 0), Some(2));
        assert_eq!(take("a3", 4, 0), Some(1), "a place has a lane");
        turns.release("a1");
        assert_eq!(take("a4", 8, 1), Some(2), "others run");
        assert_eq!(turns.lanes("a9", now), None);
    }

    #[test]
    fn who_has_waited_longest_is_next_however_many_jobs_another_has() {
        let (turns, start) = (few(2), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(takes(&turns, "a1", 0, at(0)) && takes(&turns, "a2", 0, at(0)));
        assert!(takes(&turns, "a1", 0, at(0)), "a place is kept for the same job");
        assert!(!takes(&turns, "a3", 0, at(1)) && !takes(&turns, "b1", 0, at(2)) && !takes(&turns, "c1", 0, at(3)));
        turns.release("a1");
        assert!(!takes(&turns, "c1", 0, at(4)) && !takes(&turns, "b1", 0, at(4)), "a came first");
        assert!(takes(&turns, "a3", 0, at(5)));
        // With its next job it waits behind the others.
        assert!(!takes(&turns, "a4", 0, at(6)));
        turns.release("a3");
        assert!(!takes(&turns, "a4", 0, at(7)) && !takes(&turns, "c1", 0, at(7)) && takes(&turns, "b1", 0, at(7)));
        turns.release("b1");
        assert!(takes(&turns, "c1", 0, at(8)));
        // Attempts that run have places, too.
        turns.release("a2");
        assert!(!takes(&turns, "a4", 1, at(9)) && takes(&turns, "a4", 0, at(9)));
    }

    #[test]
    fn who_does_not_come_again_holds_up_nobody() {
        let (turns, start) = (few(1), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(takes(&turns, "a1", 0, at(0)) && !takes(&turns, "b1", 0, at(1)) && !takes(&turns, "c1", 0, at(2)));
        assert!(!takes(&turns, "c1", 0, at(14)), "the place is kept");
        assert!(turns.lanes("a1", at(29)).is_some() && turns.lanes("a1", at(31)).is_none());
        assert!(!takes(&turns, "c1", 0, at(27)));
        assert!(takes(&turns, "c1", 0, at(31)), "neither place nor queue of who is gone");
    }
}
