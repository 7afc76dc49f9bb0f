//! The manifest of a job: all that runs, on whose data, for whom; what owners approve is its digest.

use crate::{Purpose, Time, is_name, sha256};
use privity_job::{ConfigError, Job, JobFile, canonical};
use serde::{Deserialize, Serialize};
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

/// Bounds on what is opened, which every node checks itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Organisations that learn anything besides their own predictions.
    pub recipients: Vec<String>,
    /// Rows of all owners together that whatever is opened must rest on.
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
        serde_json::from_slice(text).map_err(|e| ManifestError::Form { problem: e.to_string() })
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
    /// The job, if everything in the manifest makes sense, alone and together. Its schema must stand in it: nothing is looked up.
    ///
    /// # Errors
    /// The first field that does not.
    pub fn check(&self, now: Time) -> Result<Job, ManifestError> {
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
        if self.purpose.trim().is_empty() || self.purpose.len() > 2000 {
            return Err(field("purpose", "is empty or longer than 2000 bytes", "say what the result is for"));
        }
        self.check_times(now)?;
        if !(1..=MOST_ATTEMPTS).contains(&self.attempts) {
            return Err(field("attempts", format!("is {}", self.attempts), "allow from 1 to 100"));
        }
        let job = Job::new(self.job.clone(), Path::new("/nonexistent"))?;
        if job.file() != &self.job {
            return Err(field(
                "job",
                "is not resolved",
                "let `privity job submit` write it: nothing may be left to look up",
            ));
        }
        self.check_data(&job)?;
        Ok(job)
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
            if tables != usize::from(!participant.is_helper()) {
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
        let outputs = &self.job.outputs;
        let everybody = job.names();
        let learns = outputs.model.iter().chain(outputs.metrics.as_ref().unwrap_or(&everybody));
        if let Some(name) = learns.filter(|name| !self.release.recipients.contains(name)).min() {
            let problem = format!("leave out {name}, who learns an output of the job");
            return Err(field("release.recipients", problem, "name everybody who learns the model or joint figures"));
        }
        if let Some(name) = self.release.recipients.iter().find(|name| job.index(name).is_err()) {
            let problem = format!("name `{}`, who takes no part", name.escape_debug());
            return Err(field("release.recipients", problem, "name participants only"));
        }
        let rows: usize = participants.iter().map(|p| p.rows).sum();
        if (rows as u64) < self.release.min_cohort {
            let problem = format!("is {}, and the job has {rows} rows", self.release.min_cohort);
            return Err(field("release.min_cohort", problem, "have more rows, or agree on fewer"));
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
            of("threshold", job.threshold().to_string()),
            of("modulus", modulus(protocol).into()),
            of("fraction bits", numbers.frac.to_string()),
            of("comparison width", numbers.width.to_string()),
            of("truncation", format!("{:?}", numbers.truncation).to_lowercase()),
            of("on loss", format!("{:?}", self.job.on_loss).to_lowercase()),
            of("job", job.digest_hex()),
        ]
    }
}

fn modulus(protocol: privity_job::protocol::ProtocolName) -> &'static str {
    match protocol {
        privity_job::protocol::ProtocolName::Shamir => "2^61 - 1",
        _ => "2^64",
    }
}
