//! The joint privacy budget of a project: how much of epsilon its jobs may take together within a period. Epsilons of jobs add up (basic composition); what a
//! period gives back is an organisation's decision, no property of differential privacy.

use privity_api::Time;
use serde::{Deserialize, Serialize};

/// Longest period: ten years.
const MAX_DAYS: u32 = 3660;

/// A budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Thousandths of epsilon that jobs may take within a period.
    pub epsilon_milli_total: u64,
    /// Days after which what a job took counts no longer; 0: it counts for ever.
    pub period_days: u32,
}

/// What a job took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spending {
    /// When.
    pub at: Time,
    /// Thousandths of epsilon.
    pub epsilon_milli: u64,
}

/// Why a budget refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// The text is none.
    #[error("privacy budget: {problem}; write epsilon_milli_total and period_days (0 to 3660, 0: for ever)")]
    Form {
        /// What is wrong.
        problem: String,
    },
    /// More than is left.
    #[error(
        "privacy budget: the job takes {wanted} thousandths of epsilon, and {left} of {total} are left; wait until earlier jobs count no longer, or ask for less"
    )]
    Exceeded {
        /// What the job takes.
        wanted: u64,
        /// What is left.
        left: u64,
        /// Of how much.
        total: u64,
    },
}

impl Budget {
    /// Reads the TOML form: the two fields.
    ///
    /// # Errors
    /// Not TOML, a field that is missing, unknown or too large.
    pub fn from_toml(text: &str) -> Result<Budget, BudgetError> {
        let form = |problem: String| BudgetError::Form { problem };
        if text.len() > crate::MAX_TEXT {
            return Err(form(format!("{} bytes", text.len())));
        }
        let budget: Budget = toml::from_str(text).map_err(|e| form(e.to_string().trim_end().into()))?;
        match budget.period_days <= MAX_DAYS {
            true => Ok(budget),
            false => Err(form(format!("a period of {} days", budget.period_days))),
        }
    }

    /// What counts at `now`: of each job until its period is over, of jobs that lie in the future (another clock) too. Sums that no number holds are the largest.
    pub fn spent(&self, entries: &[Spending], now: Time) -> u64 {
        let period = Time::from(self.period_days) * 86_400;
        let counts = |entry: &&Spending| self.period_days == 0 || now.saturating_sub(entry.at) < period;
        entries.iter().filter(counts).fold(0, |sum, entry| sum.saturating_add(entry.epsilon_milli))
    }

    /// What is left at `now`.
    pub fn left(&self, entries: &[Spending], now: Time) -> u64 {
        self.epsilon_milli_total.saturating_sub(self.spent(entries, now))
    }

    /// Whether a job may take so much at `now`. What takes nothing always may.
    ///
    /// # Errors
    /// More than is left.
    pub fn admit(&self, entries: &[Spending], now: Time, wanted: u64) -> Result<(), BudgetError> {
        let left = self.left(entries, now);
        match wanted <= left {
            true => Ok(()),
            false => Err(BudgetError::Exceeded { wanted, left, total: self.epsilon_milli_total }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Time = 86_400;

    fn took(day: Time, epsilon_milli: u64) -> Spending {
        Spending { at: day * DAY, epsilon_milli }
    }

    #[test]
    fn what_was_taken_counts_until_its_period_is_over() {
        let budget = Budget { epsilon_milli_total: 3000, period_days: 90 };
        let entries = [took(0, 1000), took(50, 1500), took(80, 400)];
        assert_eq!(budget.spent(&[], 0), 0);
        assert_eq!(budget.spent(&entries, 80 * DAY), 2900);
        assert_eq!(budget.spent(&entries, 90 * DAY - 1), 2900, "a second before the first is over");
        assert_eq!(budget.spent(&entries, 90 * DAY), 1900);
        assert_eq!(budget.spent(&entries, 140 * DAY), 400);
        assert_eq!(budget.spent(&entries, 170 * DAY), 0);
        let for_ever = Budget { period_days: 0, ..budget };
        assert_eq!(for_ever.spent(&entries, 100_000 * DAY), 2900);
    }

    #[test]
    fn beyond_the_budget_jobs_are_refused() {
        let budget = Budget { epsilon_milli_total: 3000, period_days: 90 };
        let entries = [took(0, 1000), took(50, 1500)];
        assert_eq!(budget.admit(&entries, 60 * DAY, 500), Ok(()));
        let refused = budget.admit(&entries, 60 * DAY, 501).unwrap_err();
        assert_eq!(refused, BudgetError::Exceeded { wanted: 501, left: 500, total: 3000 });
        assert!(refused.to_string().contains("500 of 3000 are left"));
        assert_eq!(budget.admit(&entries, 90 * DAY, 1500), Ok(()), "the first is over");
        let over = [took(0, 4000)];
        assert_eq!(budget.admit(&over, DAY, 0), Ok(()), "what takes nothing");
        assert!(budget.admit(&over, DAY, 1).is_err());
    }

    #[test]
    fn sums_and_times_never_overflow_in_a_jobs_favour() {
        let budget = Budget { epsilon_milli_total: u64::MAX, period_days: MAX_DAYS };
        let huge = [took(0, u64::MAX), took(0, u64::MAX), took(0, 7)];
        assert_eq!(budget.spent(&huge, DAY), u64::MAX);
        assert!(budget.admit(&huge, DAY, 1).is_err());
        let future = [Spending { at: Time::MAX, epsilon_milli: 5 }];
        assert_eq!(budget.spent(&future, Time::MIN), 5, "the future counts");
        let past = [Spending { at: Time::MIN, epsilon_milli: 5 }];
        assert_eq!(budget.spent(&past, Time::MAX), 0);
        assert!(Budget { epsilon_milli_total: 10, period_days: 1 }.admit(&[], 0, u64::MAX).is_err());
    }

    #[test]
    fn the_text_has_two_fields() {
        let text = "epsilon_milli_total = 3000\nperiod_days = 90\n";
        assert_eq!(Budget::from_toml(text), Ok(Budget { epsilon_milli_total: 3000, period_days: 90 }));
        for bad in [
            "",
            "epsilon_milli_total = 3000",
            "epsilon_milli_total = -1\nperiod_days = 90",
            "epsilon_milli_total = 3.0\nperiod_days = 90",
            "epsilon_milli_total = 3000\nperiod_days = 3661",
            "epsilon_milli_total = 3000\nperiod_days = 90\nperiod = 1",
            "epsilon_milli_total = 3000\nperiod_days = 99999999999",
        ] {
            assert!(matches!(Budget::from_toml(bad), Err(BudgetError::Form { .. })), "{bad}");
        }
    }
}
