//! What jobs cost, for people who decide. It takes a machine a while to say, so it is said once, of one job at a time, and never in the way of anything else.

use crate::node::Node;
use privity_job::{Job, Rows, choice, plan};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Prices that are kept.
const KEPT: usize = 500;
/// How long whoever looks waits for a price.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Jobs of more steps are not priced: their submitter might have nothing else in mind.
const STEPS: usize = 1_000_000;

/// Prices by digest; none while one is looked for.
pub(crate) struct Prices {
    known: Mutex<BTreeMap<String, Option<Value>>>,
    one: tokio::sync::Semaphore,
}

impl Default for Prices {
    fn default() -> Self {
        Prices { known: Mutex::default(), one: tokio::sync::Semaphore::new(1) }
    }
}

impl Prices {
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Option<Value>>> {
        crate::lock(&self.known)
    }
}

/// How long a price takes to work out, in steps of training; a thousand multiplications of rows that are scored take about as long.
fn steps(job: &Job) -> usize {
    let rows = |of: fn(&Rows) -> usize| job.rows().iter().map(of).sum::<usize>();
    if let Some(score) = &job.file().score {
        let sizes = job.file().model.sizes(job.features());
        let products = sizes.windows(2).fold(0usize, |sum, pair| sum.saturating_add(pair[0].saturating_mul(pair[1])));
        return rows(|rows| rows.test).saturating_mul(score.models).saturating_mul(products) / 1000;
    }
    let (rows, training) = (rows(|rows| rows.train), &job.file().training);
    training.epochs.saturating_mul(rows.div_ceil(training.batch.max(1))).saturating_add(votes(job))
}

/// The same of the models whose votes it publishes, at each release.
fn votes(job: &Job) -> usize {
    let (Some(voting), Some((distillation, _))) = (job.voting(), job.distillation()) else { return 0 };
    let group = job.rows().iter().map(|rows| (rows.train / voting.teachers.max(1)).min(voting.rows)).sum::<usize>();
    let each = voting.epochs.saturating_mul(group.div_ceil(64)).saturating_add(1);
    distillation.releases(job.file().training.epochs).saturating_mul(voting.teachers).saturating_mul(each)
}

/// What of a plan needs no price, under its names there: what is opened, what is withstood, what follows if a party is lost.
fn at_once(job: &Job) -> Value {
    let file = job.file();
    json!({
        "openings": plan::openings(job),
        "withstands": choice::row(job.protocol()).withstands,
        "on_loss": file.on_loss.meaning(),
        "escrow": file.checkpoint.as_ref().map(|checkpoint| checkpoint.escrow.meaning()),
    })
}

impl Node {
    /// What a job opens and what follows if a party is lost, and, if that is known within a moment, what it costs.
    pub(crate) async fn price(self: &Arc<Self>, digest: &str, job: Job) -> Value {
        let known = at_once(&job);
        let without = |problem: &str| {
            let mut known = known.clone();
            known["problem"] = problem.into();
            known
        };
        if steps(&job) > STEPS {
            return without("it has too many steps to be priced here");
        }
        let new = {
            let mut known = self.prices.known();
            let new = !known.contains_key(digest);
            if new {
                while known.len() >= KEPT {
                    known.pop_first();
                }
                known.insert(digest.to_owned(), None);
            }
            new
        };
        if new {
            let (node, digest) = (self.clone(), digest.to_owned());
            tokio::spawn(async move {
                let _turn = node.prices.one.acquire().await;
                let planned = tokio::task::spawn_blocking(move || match plan::plan(&job) {
                    Ok(plan) => serde_json::to_value(plan).unwrap_or_default(),
                    Err(e) => {
                        let mut known = at_once(&job);
                        known["problem"] = e.to_string().into();
                        known
                    }
                });
                if let Ok(planned) = planned.await {
                    node.prices.known().insert(digest, Some(planned));
                }
            });
        }
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(Some(planned)) = self.prices.known().get(digest) {
                return planned.clone();
            }
            if tokio::time::Instant::now() >= until {
                return without("its price is being worked out: look again in a moment");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
