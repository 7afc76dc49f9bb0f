//! Distillation: between epochs the secret model, or many models trained apart, answer public questions; the answers are opened,
//! and whoever has them fits a public model to them. What is promised to the people behind the rows is said in the job file.
//! Spec: docs/protocols/distillation.md.

use crate::ConfigError;
use crate::file::JobFile;
use crate::noise::MAX_VARIANCE;
use privity_data::{ExtraColumns, Limits, Schema, Table};
use privity_nn::spec::{Loss, ModelKind, ModelSpec};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What is distilled, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distillation {
    /// Epochs from one release to the next.
    pub every: usize,
    /// Public rows to be asked, a CSV or Parquet file with the schema's features, relative to the job file.
    pub questions: String,
    /// BLAKE3 of that file, hexadecimal: looked up if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What keeps the answers from giving away whose rows were trained on.
    pub privacy: Privacy,
    /// Without privacy: every owner that consents to it, which must be all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consent: Vec<String>,
    /// The public model. Default: without privacy that of the job, else logistic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub student: Option<ModelSpec>,
}

/// What keeps the answers from giving away whose rows were trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Privacy {
    /// Nothing: the secret model itself answers.
    None,
    /// Noisy votes of models trained on disjoint groups of people.
    Voting(Voting),
}

/// Differential privacy of all releases of the job together. The unit is a person: all rows, at all owners, that carry the same
/// identifier.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voting {
    /// Groups of people, each with a model of its own.
    pub teachers: usize,
    /// Bound on the privacy loss, with the exception of
    pub epsilon: f64,
    /// this probability.
    pub delta: f64,
    /// Log odds of the highest of the [`LEVELS`] thresholds at which a model votes; the next lie one below another. Default 3.5.
    #[serde(default = "default_top")]
    pub top: f64,
    /// Most rows that an owner gives a group. Default 1000.
    #[serde(default = "default_rows")]
    pub rows: usize,
    /// Passes of each model over its rows. Default 10.
    #[serde(default = "default_epochs")]
    pub epochs: usize,
}

fn default_top() -> f64 {
    3.5
}
fn default_rows() -> usize {
    1000
}
fn default_epochs() -> usize {
    10
}

/// Thresholds at which each model votes on each question.
pub const LEVELS: usize = 8;

impl Voting {
    /// Log odds at which a model votes, rising.
    pub fn levels(&self) -> [f64; LEVELS] {
        std::array::from_fn(|i| self.top - (LEVELS - 1 - i) as f64)
    }

    /// Zero-concentrated privacy of all releases together: the largest that implies the promise.
    pub fn rho(&self) -> f64 {
        let log = (1.0 / self.delta).ln();
        ((log + self.epsilon).sqrt() - log.sqrt()).powi(2)
    }

    /// Variance of the noise on each count of votes. One person changes one model, so each of the counts by at most [`LEVELS`].
    pub fn variance(&self, questions: usize, releases: usize) -> f64 {
        let sensitivity_squared = (questions * LEVELS * LEVELS) as f64;
        sensitivity_squared / (2.0 * self.rho() / releases as f64)
    }

    /// Variance of what each of so many parties adds: all but one suffice.
    pub fn variance_each(&self, questions: usize, releases: usize, parties: usize) -> u64 {
        (self.variance(questions, releases) / (parties - 1) as f64).ceil() as u64
    }

    /// The mean log odds that a count of votes stands for.
    pub fn log_odds(&self, votes: f64) -> f64 {
        // So many of the thresholds below it, on average over the models.
        self.levels()[0] - 0.5 + votes / self.teachers as f64
    }
}

/// What `rho` of zero-concentrated privacy means: the loss stays below this but with probability `delta`.
pub fn epsilon(rho: f64, delta: f64) -> f64 {
    rho + 2.0 * (rho * (1.0 / delta).ln()).sqrt()
}

impl Distillation {
    /// Releases of a job of so many epochs.
    pub fn releases(&self, epochs: usize) -> usize {
        epochs / self.every
    }
    /// The public model.
    pub fn student(&self, secret: &ModelSpec) -> ModelSpec {
        let default = match self.privacy {
            Privacy::None => secret.clone(),
            Privacy::Voting(_) => ModelSpec::new(ModelKind::Logistic),
        };
        self.student.clone().unwrap_or(default)
    }
    /// What is promised, in words.
    pub fn promise(&self) -> String {
        match self.privacy {
            Privacy::None => "no privacy guarantee: the secret model's own answers; all owners consented".into(),
            Privacy::Voting(v) => format!(
                "differential privacy, epsilon {}, delta {:e}, over all releases of the job, for all rows of one person at all owners: \
                 noisy votes of {} models",
                v.epsilon, v.delta, v.teachers
            ),
        }
    }

    /// Notes the digest of the questions.
    pub(crate) fn resolve(&mut self, folder: &Path) -> Result<(), ConfigError> {
        let path = folder.join(&self.questions);
        let bytes =
            std::fs::read(&path).map_err(|e| ConfigError::Read { file: path.clone(), problem: e.to_string() })?;
        let found = blake3::hash(&bytes).to_hex().to_string();
        match &self.digest {
            Some(agreed) if *agreed != found => {
                let problem = format!("is {agreed}, and {} has {found}", path.display());
                Err(ConfigError::field("distillation.digest", problem, "get the file that was agreed on"))
            }
            _ => {
                // A job that is derived from this one finds the file from wherever it is.
                let absolute = std::path::absolute(&path).unwrap_or(path);
                (self.digest, self.questions) = (Some(found), absolute.display().to_string());
                Ok(())
            }
        }
    }

    /// The questions.
    pub(crate) fn load(&self, schema: &Schema) -> Result<Table, ConfigError> {
        let refused =
            |e: String| ConfigError::field("distillation.questions", format!("cannot be used: {e}"), "mend the file");
        let features = schema.columns().iter().filter(|c| !c.feature_names().is_empty()).cloned().collect();
        let features = Schema::new(features, ExtraColumns::Ignore).map_err(|e| refused(e.to_string()))?;
        privity_data::load(Path::new(&self.questions), &features, &Limits::default())
            .map_err(|e| refused(e.to_string()))
    }

    /// Whether the section makes sense with the rest of the job.
    pub(crate) fn check(&self, file: &JobFile, schema: &Schema, questions: usize) -> Result<(), ConfigError> {
        let field = |key: &str, problem: String, remedy: &str| {
            Err(ConfigError::field(format!("distillation{key}"), problem, remedy.to_owned()))
        };
        let epochs = file.training.epochs;
        if !(1..=epochs).contains(&self.every) {
            return field(
                ".every",
                format!("is {}", self.every),
                &format!("give 1 to {epochs}, the epochs of the job"),
            );
        }
        if file.training.loss(&file.model) != Loss::Bce {
            return field("", "is for classifiers, and the job trains a regression".into(), "remove it");
        }
        if self.student(&file.model).kind == ModelKind::Linear {
            return field(".student", "is linear, and answers are probabilities".into(), "use logistic or mlp");
        }
        if !(10..=100_000).contains(&questions) {
            return field(".questions", format!("has {questions} rows"), "give 10 to 100,000");
        }
        let owners: Vec<&String> = file.participants.iter().filter(|p| !p.is_helper()).map(|p| &p.name).collect();
        match self.privacy {
            Privacy::None if owners.iter().any(|name| !self.consent.contains(name)) => {
                let listed = owners.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
                let problem = "promises nothing to the people behind the rows, and not every owner consents".into();
                field(".privacy", problem, &format!("use voting; or write consent = [{listed}], if all of them do"))
            }
            Privacy::None => Ok(()),
            Privacy::Voting(_) if !self.consent.is_empty() => {
                field(".consent", "is for releases without privacy".into(), "remove it")
            }
            Privacy::Voting(v) => {
                let smallest = file.participants.iter().filter(|p| !p.is_helper()).map(|p| p.rows).min().unwrap_or(0);
                if !schema.has_person() {
                    let remedy =
                        "declare a column of kind \"person\", with the same text for one person at every owner";
                    return field(
                        ".privacy",
                        "is per person, and the schema does not say whose a row is".into(),
                        remedy,
                    );
                }
                if !(2..=10_000).contains(&v.teachers) || v.teachers > smallest {
                    let remedy = format!("give 2 to {}", smallest.min(10_000));
                    return field(".privacy.voting.teachers", format!("is {}", v.teachers), &remedy);
                }
                if !(v.epsilon > 0.0 && v.epsilon <= 100.0 && v.delta > 0.0 && v.delta <= 1e-3) {
                    let problem = format!("promises epsilon {} and delta {}", v.epsilon, v.delta);
                    return field(".privacy.voting", problem, "give an epsilon up to 100 and a delta up to 0.001");
                }
                if !v.top.is_finite() || v.top.abs() > 100.0 || v.rows == 0 || !(1..=1000).contains(&v.epochs) {
                    return field(".privacy.voting", "has no sensible top, rows or epochs".into(), "see the defaults");
                }
                let each = v.variance_each(questions, self.releases(epochs).max(1), file.participants.len());
                match (16..=MAX_VARIANCE).contains(&each) {
                    true => Ok(()),
                    false => {
                        let problem = format!("needs noise of variance {each} from each party");
                        field(".privacy.voting.epsilon", problem, "choose another epsilon or number of questions")
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_keeps_the_promise() {
        let voting = Voting { teachers: 100, epsilon: 3.0, delta: 1e-6, top: 3.5, rows: 1000, epochs: 10 };
        assert!((epsilon(voting.rho(), voting.delta) - 3.0).abs() < 1e-9);
        // rho = sensitivity^2 / (2 sigma^2), summed over the releases.
        for (questions, releases) in [(100, 1), (500, 4)] {
            let sum =
                releases as f64 * (questions * LEVELS * LEVELS) as f64 / (2.0 * voting.variance(questions, releases));
            assert!((sum - voting.rho()).abs() < 1e-12);
        }
        // All parties but one add enough.
        for parties in [3, 4] {
            let each = voting.variance_each(500, 4, parties) as f64;
            assert!(each * (parties - 1) as f64 >= voting.variance(500, 4));
        }
        assert_eq!(voting.levels(), [-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5]);
        assert_eq!(voting.log_odds(0.0), -4.0);
        assert_eq!(voting.log_odds(800.0), 4.0);
        assert_eq!(voting.log_odds(400.0), 0.0);
    }
}
