//! What each log says of privacy budgets: that no job takes more than is left of what the log last said the budget is, and what its manifest says.

use crate::across::Logs;
use crate::verify::{Book, Finding, Known, Seen, shown};
use privity_api::manifest::SKEW;
use privity_api::{Manifest, Record, Time};
use std::collections::BTreeMap;

/// A budget as a log has it: thousandths of epsilon, if there is a limit, and days.
type Budget = (Option<u64>, u32);

/// What was read of a log so far.
#[derive(Default)]
struct Ledger<'a> {
    budgets: BTreeMap<&'a str, Budget>,
    /// By manifest: project, when, thousandths of epsilon.
    taken: BTreeMap<&'a str, (&'a str, Time, u64)>,
}

/// Checks every log by itself: budgets are each organisation's own.
pub(crate) fn check(logs: &Logs, known: &Known, found: &mut Vec<Finding>) {
    let manifest = |digest: &str| {
        logs.values().find_map(|book| book.manifests.get(digest)).or_else(|| known.manifests.get(digest))
    };
    for book in logs.values() {
        let mut ledger = Ledger::default();
        for seen in &book.seen {
            ledger.take(book, seen, manifest, found);
        }
    }
}

impl<'a> Ledger<'a> {
    fn take<'m>(
        &mut self,
        book: &Book,
        Seen { at, record, .. }: &'a Seen,
        known: impl Fn(&str) -> Option<&'m Manifest>,
        found: &mut Vec<Finding>,
    ) {
        let mut wrong = |manifest: &str, text: String| {
            let finding = Finding { manifest: Some(shown(manifest)), ..Finding::wrong("budget", &book.name, text) };
            found.push(finding.at(*at));
        };
        match record {
            Record::Budget { project, epsilon_milli_total, period_days } => {
                self.budgets.insert(project, (*epsilon_milli_total, *period_days));
            }
            Record::Spent { manifest, project, epsilon_milli } => {
                let says = |m: &Manifest| (&m.project, m.release.epsilon_milli) == (project, *epsilon_milli);
                if !known(manifest).is_none_or(says) {
                    wrong(manifest, "took otherwise of a privacy budget than its manifest says".into());
                }
                // Whoever is killed after it wrote this may write it again.
                if let Some((before, _, taken)) = self.taken.get(&**manifest) {
                    if (*before, *taken) != (project, *epsilon_milli) {
                        wrong(manifest, "took its share of a privacy budget twice, not the same".into());
                    }
                    return;
                }
                self.taken.insert(manifest, (project, *at, *epsilon_milli));
                if let Some(problem) = self.exceeded(project, *at) {
                    wrong(manifest, problem);
                }
            }
            // From its first budget on, a log says of each job what it took.
            Record::Session { manifest, number, .. } if !self.budgets.is_empty() => {
                let takes = known(manifest).map_or(0, |m| m.release.epsilon_milli);
                if takes > 0 && !self.taken.contains_key(&**manifest) {
                    let text = format!(
                        "attempt {number} began, and the {takes} thousandths of epsilon that it takes of the privacy budget are not on record"
                    );
                    wrong(manifest, text);
                }
            }
            _ => {}
        }
    }

    /// What is wrong with what was taken of a project's budget up to now.
    fn exceeded(&self, project: &str, now: Time) -> Option<String> {
        let Some((total, days)) = self.budgets.get(project) else {
            return Some(format!("took of the privacy budget of {}, of which nothing is on record", shown(project)));
        };
        let total = (*total)?;
        // The node's clock went on a little between its look at what was left and this record.
        let period = Time::from(*days) * 86_400 - SKEW;
        let counts = |at: Time| *days == 0 || now.saturating_sub(at) < period;
        let of_project = self.taken.values().filter(|(of, at, _)| *of == project && counts(*at));
        let sum = of_project.fold(0u64, |sum, (_, _, taken)| sum.saturating_add(*taken));
        (sum > total).then(|| {
            format!(
                "with it, {sum} thousandths of epsilon were taken of project {}, and its privacy budget was {total}",
                shown(project)
            )
        })
    }
}
