//! Whose turn it is at a node that runs only so many attempts at a time: the submitter's that has waited longest. Each has one place in the queue, however
//! many jobs it has, so nobody is kept out by another's thousand.

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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Places kept, by job, and until when.
    kept: BTreeMap<String, Instant>,
    /// Since when a submitter waits, and when it asked last.
    waiting: BTreeMap<String, (Instant, Instant)>,
}

impl Turns {
    pub fn new(most: usize) -> Turns {
        Turns { most, state: Mutex::default() }
    }
    fn state(&self) -> MutexGuard<'_, State> {
        crate::lock(&self.state)
    }

    /// A place for an attempt at a job, while so many run. If there is none, its submitter waits, and `false` is returned.
    pub fn take(&self, job: &str, submitter: &str, running: usize, now: Instant) -> bool {
        let mut state = self.state();
        state.kept.retain(|_, until| *until > now);
        state.waiting.retain(|_, (_, asked)| now.duration_since(*asked) < WAITS);
        if !state.kept.contains_key(job) {
            let free = self.most.saturating_sub(running + state.kept.len());
            let since = state.waiting.get(submitter).map_or(now, |(since, _)| *since);
            let before = state.waiting.iter().filter(|(name, (other, _))| *name != submitter && *other < since).count();
            if free <= before {
                state.waiting.insert(submitter.to_owned(), (since, now));
                return false;
            }
            state.waiting.remove(submitter);
        }
        // Asked for again, it is kept no longer for that.
        state.kept.entry(job.to_owned()).or_insert(now + KEPT);
        true
    }
    /// Whether a place is kept for a job.
    pub fn has(&self, job: &str, now: Instant) -> bool {
        self.state().kept.get(job).is_some_and(|until| *until > now)
    }
    /// The place is given back, or used.
    pub fn release(&self, job: &str) {
        self.state().kept.remove(job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_waited_longest_is_next_however_many_jobs_another_has() {
        let (turns, start) = (Turns::new(2), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(turns.take("a1", "a", 0, at(0)) && turns.take("a2", "a", 0, at(0)));
        assert!(turns.take("a1", "a", 0, at(0)), "a place is kept for the same job");
        assert!(
            !turns.take("a3", "a", 0, at(1)) && !turns.take("b1", "b", 0, at(2)) && !turns.take("c1", "c", 0, at(3))
        );
        turns.release("a1");
        assert!(!turns.take("c1", "c", 0, at(4)) && !turns.take("b1", "b", 0, at(4)), "a came first");
        assert!(turns.take("a3", "a", 0, at(5)));
        // With its next job it waits behind the others.
        assert!(!turns.take("a4", "a", 0, at(6)));
        turns.release("a3");
        assert!(
            !turns.take("a4", "a", 0, at(7)) && !turns.take("c1", "c", 0, at(7)) && turns.take("b1", "b", 0, at(7))
        );
        turns.release("b1");
        assert!(turns.take("c1", "c", 0, at(8)));
        // Attempts that run have places, too.
        turns.release("a2");
        assert!(!turns.take("a4", "a", 1, at(9)) && turns.take("a4", "a", 0, at(9)));
    }

    #[test]
    fn who_does_not_come_again_holds_up_nobody() {
        let (turns, start) = (Turns::new(1), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(
            turns.take("a1", "a", 0, at(0)) && !turns.take("b1", "b", 0, at(1)) && !turns.take("c1", "c", 0, at(2))
        );
        assert!(!turns.take("c1", "c", 0, at(14)), "the place is kept");
        assert!(turns.has("a1", at(29)) && !turns.has("a1", at(31)));
        assert!(!turns.take("c1", "c", 0, at(27)));
        assert!(turns.take("c1", "c", 0, at(31)), "neither place nor queue of who is gone");
    }
}
