//! What rules may speak of: computed from a manifest and its checked job, never taken from the submitter's words where it can be computed.

use privity_api::{Manifest, ManifestError, Project, Time, sha256};
use privity_data::{Kind, Schema};
use privity_job::Job;
use privity_job::distil::Privacy;
use privity_job::file::OnLoss;
use privity_job::program;
use privity_nn::ModelKind;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Names, each once.
pub type Names = BTreeSet<String>;

/// The facts of a manifest as one organisation's policy sees them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Id of the manifest: the resource.
    pub id: String,
    /// Organisation that submits it: the principal.
    pub submitter: String,
    /// Organisation whose policy is asked.
    pub own: String,
    /// The project.
    pub project: String,
    /// What for, in the submitter's words.
    pub purpose: String,
    /// Who submits it there, as the submitter's organisation says.
    pub person: String,
    /// Digest of the program that the submitter says it ran.
    pub build: String,
    /// Whether no manifest of the same [`work`] was approved before.
    pub first_time: bool,
    /// How often it may be started.
    pub attempts: u32,
    /// Hours until it must not start any more, rounded up.
    pub expires_in_hours: i64,
    /// Name of the job.
    pub job: String,
    /// The protocol.
    pub protocol: String,
    /// What corrupt parties may do without harm: `passive`, `active`.
    pub adversary: String,
    /// How many parties may be corrupt together, a dealer aside: [`Job::corrupt`].
    pub threshold: u64,
    /// What the protocol protects against, in words: `ProtocolName::guarantee`.
    pub guarantee: String,
    /// The protocol and what protected the model before, in words.
    pub security: String,
    /// `pause`, `abort`, `continue`, `survive`.
    pub on_loss: String,
    /// What that means, in words.
    pub on_loss_meaning: String,
    /// So many other parties together can read a party's checkpoints; 0: none can.
    pub escrow: u64,
    /// All who take part.
    pub participants: Names,
    /// Those without rows or model: helpers and dealers.
    pub helpers: Names,
    /// Whether all participants are known to be run by different operators: [`Facts::among`].
    pub distinct_operators: bool,
    /// All columns of the schema.
    pub columns: Names,
    /// Its columns of numbers.
    pub numbers: Names,
    /// Its columns of categories.
    pub categories: Names,
    /// Its columns of days.
    pub days: Names,
    /// Its columns that say whose row it is.
    pub persons: Names,
    /// Its column to be predicted.
    pub label: String,
    /// This organisation's table; empty if it gives none.
    pub own_table: String,
    /// Rows of this organisation, to train on and to evaluate on, or to score.
    pub own_rows: u64,
    /// Rows of all.
    pub total_rows: u64,
    /// `linear`, `logistic`, `mlp`.
    pub model: String,
    /// Passes over the rows; 0 where nothing is trained.
    pub epochs: u64,
    /// What owners learn of each of their rows in jobs that score: `prediction`, `class`, `shares`; empty in jobs that train.
    pub output: String,
    /// Who brings the model that rows are scored with; empty in jobs that train.
    pub model_owner: String,
    /// That model, as its owner's catalogue calls it; empty in jobs that train.
    pub model_name: String,
    /// How many there are of it, one for each class.
    pub models: u64,
    /// Rows that began to be scored with this organisation's model before: [`Facts::scored_before`].
    pub scored_before: u64,
    /// Whether it goes on from another job's model: a refit, or an amendment after a loss.
    pub goes_on: bool,
    /// Whether shares of the model are kept for another job.
    pub keeps: bool,
    /// Who learns the model.
    pub model_to: Names,
    /// Who learns joint figures.
    pub metrics_to: Names,
    /// Who learns predictions, or in jobs that score whatever is the output, each those of its own rows.
    pub predictions_to: Names,
    /// Who may learn anything, as the manifest says.
    pub recipients: Names,
    /// What is published on the way: `none`; `voting`: noisy votes; `unprotected`: the secret model's own answers.
    pub distillation: String,
    /// What that promises, in words; empty if nothing is published.
    pub promise: String,
    /// Rows that whatever is opened rests on, at least.
    pub min_cohort: u64,
    /// What the job takes from the privacy budget, in thousandths of epsilon.
    pub epsilon_milli: u64,
    /// All that is opened.
    pub openings: Vec<Opened>,
    /// What it will take, if somebody planned it.
    pub price: Option<Price>,
}

/// Something that is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// What.
    pub what: String,
    /// To whom.
    pub to: Vec<String>,
    /// How many times.
    pub times: u64,
    /// Values each time.
    pub values: u64,
}

/// What a job takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// Payload bytes of all parties.
    pub bytes: u64,
    /// Messages in sequence.
    pub rounds: u64,
    /// Predicted seconds.
    pub seconds: f64,
}

impl Facts {
    /// The facts of a manifest and of the job that [`Manifest::check`] gave for it, as organisation `own` sees them at `now`.
    pub fn new(manifest: &Manifest, job: &Job, own: &str, now: Time, first_time: bool) -> Facts {
        let (file, protocol) = (job.file(), job.protocol());
        let names = job.names();
        let rows = |p: &privity_job::file::Participant| p.rows as u64 + p.test_rows as u64;
        let table = manifest.datasets.iter().find(|d| d.organisation == own);
        let of = |learns: &dyn Fn(usize) -> bool| -> Names {
            (0..names.len()).filter(|i| learns(*i)).map(|i| names[i].clone()).collect()
        };
        let (model_to, metrics_to) = (job.model_recipients(), job.metrics_recipients());
        let (schema, rows_of) = (job.schema(), job.rows());
        let brought = manifest.models.first().filter(|_| file.score.is_some());
        Facts {
            id: manifest.id.clone(),
            submitter: manifest.submitter.clone(),
            own: own.into(),
            project: manifest.project.clone(),
            purpose: manifest.purpose.clone(),
            person: manifest.person.clone(),
            build: manifest.build.clone(),
            first_time,
            attempts: manifest.attempts,
            expires_in_hours: manifest.expires.saturating_sub(now).saturating_add(3599).div_euclid(3600),
            job: file.name.clone(),
            protocol: protocol.name().into(),
            adversary: protocol.adversary().into(),
            threshold: job.corrupt() as u64,
            guarantee: protocol.guarantee().into(),
            security: job.security(),
            on_loss: on_loss(file.on_loss).into(),
            on_loss_meaning: file.on_loss.meaning().into(),
            escrow: file.checkpoint.map_or(0, |c| c.escrow.threshold as u64),
            participants: names.iter().cloned().collect(),
            helpers: file.participants.iter().filter(|p| p.is_helper()).map(|p| p.name.clone()).collect(),
            distinct_operators: false,
            columns: columns(schema, |_| true),
            numbers: columns(schema, |kind| matches!(kind, Kind::Number { .. })),
            categories: columns(schema, |kind| matches!(kind, Kind::Category { .. })),
            days: columns(schema, |kind| matches!(kind, Kind::Day)),
            persons: columns(schema, |kind| matches!(kind, Kind::Person)),
            label: columns(schema, |kind| matches!(kind, Kind::Label { .. })).pop_first().unwrap_or_default(),
            own_table: table.map(|d| d.table.clone()).unwrap_or_default(),
            own_rows: file.participants.iter().filter(|p| p.name == own).map(rows).sum(),
            total_rows: file.participants.iter().map(rows).sum(),
            model: match file.model.kind {
                ModelKind::Linear => "linear",
                ModelKind::Logistic => "logistic",
                ModelKind::Mlp { .. } => "mlp",
            }
            .into(),
            epochs: if file.score.is_some() { 0 } else { file.training.epochs as u64 },
            output: file.score.map(|score| score.output.name().into()).unwrap_or_default(),
            model_owner: brought.map(|m| m.organisation.clone()).unwrap_or_default(),
            model_name: brought.map(|m| m.model.clone()).unwrap_or_default(),
            models: file.score.map_or(0, |score| score.models as u64),
            scored_before: 0,
            goes_on: job.goes_on_from().is_some() || file.refits.is_some(),
            keeps: file.keep,
            model_to: of(&|i| model_to.is_some_and(|to| to.contains(i))),
            metrics_to: of(&|i| metrics_to.is_some_and(|to| to.contains(i))),
            predictions_to: of(&|i| job.opens_predictions() && rows_of[i].test > 0),
            recipients: manifest.release.recipients.iter().cloned().collect(),
            distillation: match file.distillation.as_ref().map(|d| d.privacy) {
                None => "none",
                Some(Privacy::Voting(_)) => "voting",
                Some(Privacy::None) => "unprotected",
            }
            .into(),
            promise: file.distillation.as_ref().map(|d| d.promise()).unwrap_or_default(),
            min_cohort: manifest.release.min_cohort,
            epsilon_milli: manifest.release.epsilon_milli,
            openings: openings(job, &names),
            price: None,
        }
    }

    /// The facts with what is known of the members of the project: whether every participant is one, each of an operator of its own.
    pub fn among(mut self, members: &Project) -> Facts {
        let operators: Option<Names> =
            self.participants.iter().map(|name| members.member(name).map(|m| m.operator.clone())).collect();
        self.distinct_operators = operators.is_some_and(|operators| operators.len() == self.participants.len());
        self
    }

    /// The facts with what this organisation counts of its own model: so many rows began to be scored with it before.
    pub fn scored_before(mut self, rows: u64) -> Facts {
        self.scored_before = rows;
        self
    }

    /// Whether rows are scored; else a model is trained.
    pub fn scores(&self) -> bool {
        !self.output.is_empty()
    }

    /// The context that rules read. Numbers above Cedar's largest stand for that.
    pub(crate) fn context(&self) -> Value {
        let long = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        json!({
            "own": self.own,
            "project": self.project,
            "purpose": self.purpose,
            "person": self.person,
            "build": self.build,
            "first_time": self.first_time,
            "attempts": self.attempts,
            "expires_in_hours": self.expires_in_hours,
            "protocol": self.protocol,
            "adversary": self.adversary,
            "threshold": long(self.threshold),
            "on_loss": self.on_loss,
            "escrow": long(self.escrow),
            "participants": self.participants,
            "helpers": self.helpers,
            "owners": self.participants.len() - self.helpers.len().min(self.participants.len()),
            "distinct_operators": self.distinct_operators,
            "columns": self.columns,
            "numbers": self.numbers,
            "categories": self.categories,
            "days": self.days,
            "persons": self.persons,
            "label": self.label,
            "own_table": self.own_table,
            "own_rows": long(self.own_rows),
            "total_rows": long(self.total_rows),
            "model": self.model,
            "epochs": long(self.epochs),
            "output": self.output,
            "model_owner": self.model_owner,
            "model_name": self.model_name,
            "models": long(self.models),
            "scored_before": long(self.scored_before),
            "goes_on": self.goes_on,
            "keeps": self.keeps,
            "model_opened": !self.model_to.is_empty(),
            "model_to": self.model_to,
            "metrics_to": self.metrics_to,
            "predictions_to": self.predictions_to,
            "recipients": self.recipients,
            "distillation": self.distillation,
            "min_cohort": long(self.min_cohort),
            "epsilon_milli": long(self.epsilon_milli),
        })
    }
}

/// What makes two manifests the same work, as a digest: everything but their ids, persons, times and numbers of attempts.
///
/// # Errors
/// A manifest without a canonical text.
pub fn work(manifest: &Manifest) -> Result<String, ManifestError> {
    let mut same = manifest.clone();
    same.id.clear();
    same.person.clear();
    (same.created, same.expires, same.release.until, same.attempts) = (0, 0, 0, 0);
    same.datasets.sort_unstable_by(|a, b| (&a.organisation, &a.table).cmp(&(&b.organisation, &b.table)));
    same.release.recipients.sort_unstable();
    Ok(sha256(same.canonical()?.as_bytes()))
}

fn columns(schema: &Schema, of: impl Fn(&Kind) -> bool) -> Names {
    schema.columns().iter().filter(|column| of(&column.kind)).map(|column| column.name.clone()).collect()
}

fn on_loss(on_loss: OnLoss) -> &'static str {
    match on_loss {
        OnLoss::Pause => "pause",
        OnLoss::Abort => "abort",
        OnLoss::Continue => "continue",
        OnLoss::Survive => "survive",
    }
}

fn openings(job: &Job, names: &[String]) -> Vec<Opened> {
    let opened = program::openings(job).into_iter().map(|opening| Opened {
        what: opening.what.into(),
        to: (0..names.len()).filter(|i| opening.recipients.contains(*i)).map(|i| names[i].clone()).collect(),
        times: opening.times as u64,
        values: opening.values as u64,
    });
    opened.collect()
}
