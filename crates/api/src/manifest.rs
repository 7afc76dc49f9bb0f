//! The manifest of a job: all that runs, on whose data, for whom; what owners approve is its digest.

use crate::{Purpose, Time, is_name, printable, sha256, steers};
use privity_job::file::SchemaSource;
use privity_job::protocol::ProtocolName;
use privity_job::score::Output;
use privity_job::{ConfigError, Job, JobFile, canonical};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Version of this form.
pub const VERSION: u32 = 1;
/// Longest time between writing and expiry: 30 days.
pub const LONGEST: Time = 30 * 86_400;
/// Most attempts.
pub const MOST_ATTEMPTS: u32 = 100;
/// How far another organisation's clock may be ahead.
pub const SKEW: Time = 120;

/// All that a job is. Participants of its job file are organisations, by name and by the fingerprint of their root.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// 32 hexadecimal digits, drawn at random, so that the same work submitted twice is two jobs.
    pub id: String,
    /// The project.
    pub project: String,
    /// Organisation of who submits it.
    pub submitter: String,
    /// Who submits it there.
    pub person: String,
    /// What for, in words.
    pub purpose: String,
    /// When it was written.
    pub created: Time,
    /// From when on it must not start.
    pub expires: Time,
    /// How often it may be started.
    pub attempts: u32,
    /// Digest of the program that the submitter ran; nodes that run another name both.
    pub build: String,
    /// Which table of each owner, in any order.
    pub datasets: Vec<Dataset>,
    /// Which model of the participant that brings one, in jobs that score rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<NamedModel>,
    /// What may be learned.
    pub release: Release,
    /// What runs.
    pub job: JobFile,
}

/// A table of an owner, as its catalogue calls it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// Whose.
    pub organisation: String,
    /// Its name there.
    pub table: String,
}

/// A model of its owner, as its catalogue calls it. What it is for others to know stands in the job: its form, and the columns that it reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedModel {
    /// Whose.
    pub organisation: String,
    /// Its name there.
    pub model: String,
}

/// Bounds on what is opened, which every node checks itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Organisations that learn anything besides predictions of their own held-out rows; in jobs that score rows, those that learn results of theirs.
    pub recipients: Vec<String>,
    /// Rows of all owners together that whatever is opened must rest on. 0 in jobs that score rows: each result rests on one row, and its owner alone learns it.
    pub min_cohort: u64,
    /// After this nothing is opened any more.
    pub until: Time,
    /// What the job takes from the project's privacy budget, in thousandths of epsilon; 0 where nothing that is opened is noised.
    pub epsilon_milli: u64,
}

/// Why a manifest is none.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A field makes no sense, alone or with others.
    #[error("manifest: {field} {problem}; {remedy}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The job file in it makes no sense.
    #[error("manifest: its job: {0}")]
    Job(#[from] ConfigError),
    /// Not of this form.
    #[error("this is no manifest: {problem}")]
    Form {
        /// What is wrong.
        problem: String,
    },
}

fn field(field: &'static str, problem: impl Into<String>, remedy: &'static str) -> ManifestError {
    ManifestError::Field { field, problem: problem.into(), remedy }
}

/// Where a value has a text, or the name of a field, that steers a terminal.
fn steering(value: &Value) -> Option<Vec<String>> {
    let below = |key: String, item: &Value| {
        steering(item).map(|mut path| {
            path.insert(0, key);
            path
        })
    };
    match value {
        Value::String(text) => text.chars().any(steers).then(Vec::new),
        Value::Array(items) => items.iter().enumerate().find_map(|(i, item)| below(i.to_string(), item)),
        Value::Object(map) if map.keys().any(|key| key.chars().any(steers)) => Some(Vec::new()),
        Value::Object(map) => map.iter().find_map(|(key, item)| below(key.clone(), item)),
        _ => None,
    }
}

/// The job file that came out, with its questions under the name that the manifest has: a job names them by the path where they were found.
fn resolved(given: &JobFile, job: &Job) -> JobFile {
    let mut file = job.file().clone();
    if let (Some(resolved), Some(given)) = (&mut file.distillation, &given.distillation) {
        resolved.questions = given.questions.clone();
    }
    file
}

fn unresolved(problem: &str) -> ManifestError {
    field("job", problem, "let `privity job submit` write it: nothing may be left to look up")
}

impl Purpose for Manifest {
    const PURPOSE: &'static str = "manifest of a job";
}

impl Manifest {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// Too long, not JSON, a field that is missing, unknown or of the wrong type.
    pub fn from_json(text: &[u8]) -> Result<Self, ManifestError> {
        if text.len() > crate::MAX_TEXT {
            return Err(ManifestError::Form {
                problem: format!("{} bytes, more than {}", text.len(), crate::MAX_TEXT),
            });
        }
        serde_json::from_slice(text).map_err(|e| ManifestError::Form { problem: printable(&e.to_string()) })
    }
    /// The one text that is signed.
    ///
    /// # Errors
    /// A number that JSON cannot hold.
    pub fn canonical(&self) -> Result<String, ManifestError> {
        let value = serde_json::to_value(self).map_err(|e| ManifestError::Form { problem: e.to_string() })?;
        Ok(canonical::write(&value))
    }
    /// SHA-256 of [`Manifest::canonical`], in hexadecimal: what is approved.
    ///
    /// # Errors
    /// As there.
    pub fn digest(&self) -> Result<String, ManifestError> {
        Ok(sha256(self.canonical()?.as_bytes()))
    }
    /// The job, if everything in the manifest makes sense, alone and together. Its schema must stand in it: nothing is looked up, no file is read. So a job
    /// that publishes answers to public questions is refused; [`Manifest::check_with`] reads those.
    ///
    /// # Errors
    /// The first field that does not.
    pub fn check(&self, now: Time) -> Result<Job, ManifestError> {
        match self.job.distillation {
            None => self.check_with(now, Path::new("/nonexistent")),
            Some(_) => Err(field("job", "asks public questions of a file", "give the folder that has it")),
        }
    }
    /// As [`Manifest::check`], with the public questions of a job in a file of this folder. The job names the file, without a path, and its digest.
    ///
    /// # Errors
    /// As there; a file that is not there or has another digest.
    pub fn check_with(&self, now: Time, questions: &Path) -> Result<Job, ManifestError> {
        if self.version != VERSION {
            let problem = format!("is {}, and this version knows {VERSION}", self.version);
            return Err(field("version", problem, "use the same release of privity everywhere"));
        }
        if self.id.len() != 32 || !self.id.chars().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase()) {
            return Err(field("id", "is not 32 hexadecimal digits", "let `privity job submit` write it"));
        }
        let names = [("project", &self.project), ("submitter", &self.submitter), ("person", &self.person)];
        if let Some((name, value)) = names.into_iter().find(|(_, value)| !is_name(value)) {
            return Err(field(name, format!("is `{}`", value.escape_debug()), "use letters, digits, -, _ and ."));
        }
        self.check_words()?;
        self.check_times(now)?;
        if !(1..=MOST_ATTEMPTS).contains(&self.attempts) {
            return Err(field("attempts", format!("is {}", self.attempts), "allow from 1 to 100"));
        }
        self.check_resolved()?;
        let job = Job::new(self.job.clone(), questions)?;
        if resolved(&self.job, &job) != self.job || Manifest::from_json(self.canonical()?.as_bytes())? != *self {
            return Err(unresolved("is not resolved"));
        }
        self.check_data(&job)?;
        self.check_release(&job)?;
        Ok(job)
    }

    /// Texts. People read them, and errors repeat them: no text anywhere may steer a terminal.
    fn check_words(&self) -> Result<(), ManifestError> {
        let value = serde_json::to_value(self).map_err(|e| ManifestError::Form { problem: e.to_string() })?;
        if let Some(path) = steering(&value) {
            let problem = format!("at {} has control characters", path.join("."));
            return Err(field("text", problem, "write plain text of one line"));
        }
        if self.purpose.trim().is_empty() || self.purpose.len() > 2000 {
            return Err(field("purpose", "is empty or longer than 2000 bytes", "say what the result is for"));
        }
        if self.build.len() > 128 || !self.build.chars().all(|c| c.is_ascii_graphic()) {
            return Err(field("build", "is not a digest", "let `privity job submit` write it"));
        }
        if self.job.name.is_empty() || self.job.name.len() > 200 {
            return Err(field("job.name", "is empty or longer than 200 bytes", "give it a short name"));
        }
        Ok(())
    }

    /// Whether the job stands for itself. It comes before anything else is done with it: whoever wrote it must not choose files that this machine reads, nor
    /// have it compare the prices of protocols or schemes.
    fn check_resolved(&self) -> Result<(), ManifestError> {
        if self.job.protocol == "auto" {
            return Err(unresolved("leaves its protocol open"));
        }
        if matches!(self.job.data.schema, SchemaSource::Path(_)) {
            return Err(unresolved("names a file instead of a schema"));
        }
        let file = &self.job;
        if file.refits.is_some() || file.continues.is_some() || file.admits.is_some() || file.keep {
            let problem = "goes on from what another job kept, or keeps shares for one";
            let remedy = "nodes train each job from its beginning: leave out keep, [refits], [continues] and [admits], \
                          or use `privity run` at all parties";
            return Err(field("job", problem, remedy));
        }
        if self.job.participants.iter().any(|p| p.certificate.is_some()) {
            return Err(unresolved("names a file instead of a fingerprint"));
        }
        let scheme = self.job.score.is_none_or(|score| match score.output {
            Output::Prediction => true,
            Output::Class => self.job.mixed.argmax.is_some(),
            Output::Shares => self.job.mixed.division.is_some(),
        });
        if !scheme {
            return Err(unresolved("leaves open in which scheme an operation runs (`mixed`)"));
        }
        match &self.job.distillation {
            Some(distillation) if !is_name(&distillation.questions) || distillation.digest.is_none() => {
                Err(unresolved("names its questions by a path, or without their digest"))
            }
            _ => Ok(()),
        }
    }

    fn check_times(&self, now: Time) -> Result<(), ManifestError> {
        if self.created > now.saturating_add(SKEW) {
            return Err(field("created", "lies in the future", "compare the clocks of both organisations"));
        }
        if self.expires <= self.created || self.expires.saturating_sub(self.created) > LONGEST {
            return Err(field("expires", "is not within 30 days after it was created", "choose a time that is"));
        }
        if self.expires <= now {
            return Err(field("expires", "is over", "submit the job anew"));
        }
        if self.release.until < self.expires {
            return Err(field("release.until", "ends before the manifest does", "let it end no earlier"));
        }
        Ok(())
    }

    /// Whose data, and who learns what.
    fn check_data(&self, job: &Job) -> Result<(), ManifestError> {
        let participants = &self.job.participants;
        let submits = participants.iter().any(|p| p.name == self.submitter);
        if !submits {
            return Err(field("submitter", "takes no part in the job", "submit it from one of its organisations"));
        }
        for participant in participants {
            let tables = self.datasets.iter().filter(|d| d.organisation == participant.name).count();
            if tables != usize::from(participant.has_rows()) {
                let problem = format!("name {tables} tables of {}", participant.name);
                return Err(field(
                    "datasets",
                    problem,
                    "name one table of each organisation with rows, none of others",
                ));
            }
        }
        let strange = self.datasets.iter().find(|d| !is_name(&d.table) || job.index(&d.organisation).is_err());
        if let Some(dataset) = strange {
            let problem =
                format!("name `{}` of `{}`", dataset.table.escape_debug(), dataset.organisation.escape_debug());
            return Err(field("datasets", problem, "name tables of participants"));
        }
        self.check_models(job)
    }

    /// Whose model: that of the one participant that brings one, and of a job that scores.
    fn check_models(&self, job: &Job) -> Result<(), ManifestError> {
        for participant in &self.job.participants {
            let models = self.models.iter().filter(|m| m.organisation == participant.name).count();
            if models != usize::from(participant.model) {
                let problem = format!("name {models} models of {}", participant.name);
                let remedy =
                    "name one of the participant with `model = true`, whose job has [score], and none of others";
                return Err(field("models", problem, remedy));
            }
        }
        match self.models.iter().find(|m| !is_name(&m.model) || job.index(&m.organisation).is_err()) {
            Some(NamedModel { organisation, model }) => {
                let problem = format!("name `{}` of `{}`", model.escape_debug(), organisation.escape_debug());
                Err(field("models", problem, "name the model as its owner's catalogue does"))
            }
            None => Ok(()),
        }
    }

    /// Who learns what, on how many rows it rests, and what it takes of the privacy budget.
    fn check_release(&self, job: &Job) -> Result<(), ManifestError> {
        let recipients = &self.release.recipients;
        let (model, metrics) = (job.model_recipients(), job.metrics_recipients());
        let (published, scored) = (self.job.distillation.is_some(), self.job.score.is_some());
        let rows = job.rows();
        let opened = |i: usize| [model, metrics].into_iter().flatten().any(|to| to.contains(i));
        let learns = |i: usize| published || opened(i) || (scored && rows[i].test > 0);
        let names = job.names();
        let left_out = (0..names.len()).filter(|i| learns(*i)).find(|i| !recipients.contains(&names[*i]));
        if let Some(i) = left_out {
            let problem = format!("leave out {}, who learns an output of the job", names[i]);
            let remedy = "name everybody who learns the model or joint figures, or has rows scored";
            return Err(field("release.recipients", problem, remedy));
        }
        if let Some(name) = recipients.iter().find(|name| job.index(name).is_err()) {
            let problem = format!("name `{}`, who takes no part", name.escape_debug());
            return Err(field("release.recipients", problem, "name participants only"));
        }
        let mut seen = BTreeSet::new();
        if !recipients.iter().all(|name| seen.insert(name)) {
            return Err(field("release.recipients", "name somebody twice", "name everybody once"));
        }
        if scored && self.release.min_cohort > 0 {
            let problem =
                format!("is {}, and each result of a job that scores rests on one row", self.release.min_cohort);
            return Err(field("release.min_cohort", problem, "give 0: nobody learns anything of others' rows"));
        }
        if scored && self.release.epsilon_milli > 0 {
            let problem =
                format!("is {}, and nothing that a job that scores opens is noised", self.release.epsilon_milli);
            return Err(field("release.epsilon_milli", problem, "give 0: it takes nothing of a privacy budget"));
        }
        let (train, test) = rows.iter().fold((0, 0), |(train, test), r| (train + r.train, test + r.test));
        // Joint figures rest on the held-out rows alone.
        let rests_on = if metrics.is_some() { train.min(test) } else { train };
        if (rests_on as u64) < self.release.min_cohort {
            let problem = format!("is {}, and what is opened rests on {rests_on} rows", self.release.min_cohort);
            return Err(field("release.min_cohort", problem, "have more rows, or agree on fewer"));
        }
        let promised = job.voting().map_or(0.0, |voting| (1000.0 * voting.epsilon).ceil());
        if (self.release.epsilon_milli as f64) < promised {
            let problem = format!("is {}, and the job takes {promised}", self.release.epsilon_milli);
            return Err(field("release.epsilon_milli", problem, "take what distillation.privacy says from the budget"));
        }
        Ok(())
    }

    /// What nodes compare before they start, by name.
    pub fn parameters(&self, job: &Job) -> Vec<(String, String)> {
        let numbers = &self.job.numbers;
        let protocol = job.protocol();
        let of = |name: &str, value: String| (name.to_owned(), value);
        vec![
            of("protocol", protocol.name().into()),
            of("adversary", protocol.adversary().into()),
            of("threshold", job.corrupt().to_string()),
            of("security parameter", protocol.security_parameter().into()),
            of("modulus", modulus(protocol).into()),
            of("fraction bits", numbers.frac.to_string()),
            of("comparison width", numbers.width.to_string()),
            of("truncation", format!("{:?}", numbers.truncation).to_lowercase()),
            of("on loss", format!("{:?}", self.job.on_loss).to_lowercase()),
            of("job", job.digest_hex()),
        ]
    }
}

fn modulus(protocol: ProtocolName) -> &'static str {
    match protocol {
        ProtocolName::Shamir | ProtocolName::ShamirActive => "2^61 - 1",
        _ => "2^64",
    }
}
