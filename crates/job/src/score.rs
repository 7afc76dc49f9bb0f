//! Jobs that score rows with models that another party owns: what they say, and what is checked of it and of the models.
//! Spec: docs/protocols/scoring.md.

use crate::file::{Evaluation, JobFile, OnLoss, Outputs};
use crate::inference;
use crate::job::speeds;
use crate::program::EncodedModel;
use crate::protocol::ProtocolName;
use crate::scaling::clip_width;
use crate::{ConfigError, Job, JobError, ModelFile};
use privity_data::{Column, Schema};
use privity_mpc::Config;
use privity_mpc::cost::Speeds;
use privity_nn::spec::{Loss, TrainSpec};
use privity_nn::{ModelKind, range};
use privity_ring::{Fixed, Ring, Shape, Tensor};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Inverse deviations that training gives are at most this: `1 / sqrt(2^-10)`.
pub(crate) const MOST_INVERSE: f64 = 32.0;
/// More than roundings of a row, of moments and of their product add to a standardised feature, at the least fraction bits of jobs, 12: less than
/// 64 units in the last place.
const ROUNDINGS: f64 = 1.0 / 64.0;
/// Most models of a job.
const MOST_MODELS: usize = 64;

/// What rows are scored for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Score {
    /// Models of the one architecture: one, or one for each class. Default 1.
    pub models: usize,
    /// What the owner of a row learns. Default prediction.
    pub output: Output,
}

impl Default for Score {
    fn default() -> Self {
        Score { models: 1, output: Output::Prediction }
    }
}

/// What the owner of a row learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// The model's score: a probability, or the value of a regression.
    #[default]
    Prediction,
    /// The number, from 0, of the model with the highest score.
    Class,
    /// Of each model its probability's share of the sum of all, `(p + 2^-8) / sum (p + 2^-8)`.
    Shares,
}

impl Output {
    /// As a job file writes it.
    pub fn name(self) -> &'static str {
        match self {
            Output::Prediction => "prediction",
            Output::Class => "class",
            Output::Shares => "shares",
        }
    }
}

/// The schemes of operations that another one may suit better than the job's own shares. Default: whichever takes less on the declared link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mixed {
    /// The largest of several scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argmax: Option<Scheme>,
    /// Division.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub division: Option<Scheme>,
}

impl Scheme {
    /// What it is, in plain words.
    pub fn meaning(self) -> &'static str {
        match self {
            Scheme::Share => "with shares",
            Scheme::Yao => "as a garbled circuit",
        }
    }
}

impl Mixed {
    pub(crate) fn is_default(&self) -> bool {
        *self == Mixed::default()
    }
}

/// How an operation is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// With the shares of the job's protocol.
    #[default]
    Share,
    /// As a garbled circuit. Only under `gmw`.
    Yao,
}

fn refused(key: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Result<(), ConfigError> {
    Err(ConfigError::field(key, problem, remedy))
}

/// Checks all that a job says about scoring.
pub(crate) fn check(file: &JobFile, protocol: ProtocolName) -> Result<(), ConfigError> {
    let Some(score) = &file.score else {
        if file.participants.iter().any(|p| p.model) {
            return refused("participants.model", "is for jobs that score rows", "add a [score] section, or remove it");
        }
        return match file.mixed.is_default() {
            true => Ok(()),
            false => {
                refused("mixed", "is about operations of jobs that score rows", "add a [score] section, or remove it")
            }
        };
    };
    check_parties(file, protocol)?;
    check_output(file, score)?;
    check_mixed(file, score, protocol)?;
    check_rest(file)
}

fn check_parties(file: &JobFile, protocol: ProtocolName) -> Result<(), ConfigError> {
    let owners: Vec<usize> = (0..file.participants.len()).filter(|i| file.participants[*i].model).collect();
    let [owner] = owners[..] else {
        let problem = format!("is said of {} participants", owners.len());
        return refused("participants.model", problem, "write model = true at the one that brings the models");
    };
    if file.participants[owner].rows > 0 {
        let problem = "are given by the owner of the models, who can score its own rows alone";
        return refused(&format!("participants[{owner}].rows"), problem, "set rows = 0");
    }
    if file.participants.iter().all(|p| p.rows == 0) {
        return refused("participants.rows", "are 0 at all", "give the number of rows that are to be scored");
    }
    if file.participants.iter().any(|p| p.test_rows > 0) {
        return refused("participants.test_rows", "are for jobs that train", "give the rows to score as `rows`");
    }
    if protocol.dealt() && file.participants.iter().skip(1).any(|p| p.is_helper()) {
        return refused("participants", "have a helper beside the dealer", "leave it out");
    }
    Ok(())
}

fn check_output(file: &JobFile, score: &Score) -> Result<(), ConfigError> {
    let fits = match score.output {
        Output::Prediction => score.models == 1,
        Output::Class | Output::Shares => (2..=MOST_MODELS).contains(&score.models),
    };
    if !fits {
        let remedy = format!("give 1 for predictions, 2 to {MOST_MODELS} for a class or shares");
        return refused("score.models", format!("is {}", score.models), remedy);
    }
    if score.output == Output::Shares && file.training.loss(&file.model) != Loss::Bce {
        return refused("score.output", "is shares, and models of a regression give no probabilities", "use class");
    }
    Ok(())
}

fn check_mixed(file: &JobFile, score: &Score, protocol: ProtocolName) -> Result<(), ConfigError> {
    let said = [
        ("mixed.argmax", file.mixed.argmax, Output::Class, "score.output = \"class\""),
        ("mixed.division", file.mixed.division, Output::Shares, "score.output = \"shares\""),
    ];
    for (key, scheme, output, words) in said {
        match scheme {
            Some(_) if score.output != output => {
                return refused(
                    key,
                    "is about an operation that this job has not",
                    format!("remove it, or set {words}"),
                );
            }
            Some(Scheme::Yao) if protocol != ProtocolName::Gmw => {
                let problem = format!("is \"yao\", and {} has no garbled circuits", protocol.name());
                return refused(key, problem, "use \"share\", or protocol = \"gmw\"");
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is for training has no meaning here and is refused, not passed over.
fn check_rest(file: &JobFile) -> Result<(), ConfigError> {
    let remove = "remove it: the job trains nothing";
    let limits = TrainSpec {
        input_limit: file.training.input_limit,
        weight_limit: file.training.weight_limit,
        loss: file.training.loss,
        ..TrainSpec::default()
    };
    let amends = file.continues.is_some() || file.admits.is_some() || file.refits.is_some();
    let others = [
        ("training", file.training != limits, "keep input_limit, weight_limit and loss alone: the job trains nothing"),
        ("evaluation", file.evaluation != Evaluation::default(), remove),
        (
            "outputs",
            file.outputs != Outputs::default(),
            "remove it: results of rows go to their owners, and nothing else is opened",
        ),
        ("distillation", file.distillation.is_some(), remove),
        ("checkpoint", file.checkpoint.is_some(), remove),
        ("keep", file.keep, remove),
        ("continues, admits or refits", amends, remove),
        ("on_loss", !matches!(file.on_loss, OnLoss::Pause | OnLoss::Abort), "set \"abort\": the job is short"),
    ];
    match others.into_iter().find(|(_, there, _)| *there) {
        Some((key, _, remedy)) => refused(key, "is not for jobs that score rows", remedy),
        None => Ok(()),
    }
}

/// The schemes in force: as the job says, else the one that takes less on the declared link. It must come out alike at all parties, so it rests
/// on nothing measured.
pub(crate) fn settle(file: &JobFile, protocol: ProtocolName, config: Config) -> Mixed {
    let Some(score) = &file.score else { return Mixed::default() };
    let rows = file.participants.iter().map(|p| p.rows).sum();
    let speeds = speeds(file, Speeds::default());
    let choose = |said: Option<Scheme>, output: Output| {
        let cheaper = || match protocol {
            ProtocolName::Gmw => inference::cheaper(config, speeds, score, rows),
            _ => Scheme::Share,
        };
        (score.output == output).then(|| said.unwrap_or_else(cheaper))
    };
    Mixed { argmax: choose(file.mixed.argmax, Output::Class), division: choose(file.mixed.division, Output::Shares) }
}

/// A model file of a party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSource {
    /// Where it is.
    pub file: PathBuf,
    /// BLAKE3 digest of what it must hold, in hexadecimal, if that is settled.
    pub digest: Option<String>,
}

impl From<PathBuf> for ModelSource {
    fn from(file: PathBuf) -> Self {
        ModelSource { file, digest: None }
    }
}

/// Reads the models of a party: as many as the job says of their owner, none of others.
///
/// # Errors
/// Another number of files; a file that is no model, not what it must hold, or not one for this job.
pub fn load(job: &Job, party: usize, files: &[ModelSource]) -> Result<Vec<ModelFile>, JobError> {
    let wanted = match &job.file().score {
        Some(score) if job.file().participants[party].model => score.models,
        _ => 0,
    };
    if files.len() != wanted {
        let party = job.names()[party].clone();
        return Err(ConfigError::Models { party, wanted, given: files.len() }.into());
    }
    let read = |source: &ModelSource| {
        let refused = |problem: String| JobError::Model { file: source.file.clone(), problem };
        let (model, digest) = ModelFile::load_with_digest(&source.file)?;
        if source.digest.as_ref().is_some_and(|wanted| *wanted != digest) {
            return Err(refused("it was changed since it was registered".into()));
        }
        fit(job, &model).map(|()| model).map_err(refused)
    };
    files.iter().map(read).collect()
}

fn feature_columns(schema: &Schema) -> Vec<&Column> {
    schema.columns().iter().filter(|c| !c.feature_names().is_empty()).collect()
}

/// Whether a model is one for this job, and all values stay within what the job's numbers hold, whatever the rows: Spec 4.
fn fit(job: &Job, model: &ModelFile) -> Result<(), String> {
    let file = job.file();
    if feature_columns(&model.schema) != feature_columns(job.schema()) {
        return Err("its features are not those of `data.schema`: names, kinds and ranges must be the same".into());
    }
    let sizes: Vec<usize> = model.model.layers.iter().map(|layer| layer.biases.len()).collect();
    if file.model.sizes(job.features())[1..] != sizes {
        return Err(format!("its layers have {sizes:?} neurons, and `model.kind` says otherwise"));
    }
    let classifies = file.training.loss(&file.model) == Loss::Bce;
    if model.logistic != classifies {
        return Err("it is of another kind than `model` and `training.loss` say: a classifier or a regression".into());
    }
    let limit = file.training.input_limit;
    // Decimal text may be off in the last place.
    if (model.input_limit - limit).abs() > 1e-9 * limit {
        return Err(format!("it limits inputs to {}, and `training.input_limit` is {limit}", model.input_limit));
    }
    let (mean, inverse) = moments(job, model);
    let bound = job.scaling().bound;
    let standard = match file.data.standardise {
        true => mean.iter().all(|m| m.abs() <= bound) && inverse.iter().all(|d| (0.0..=MOST_INVERSE).contains(d)),
        false => mean.iter().all(|m| *m == 0.0) && inverse.iter().all(|d| *d == 1.0),
    };
    if !standard {
        return Err("its mean and deviation of features are not such as `data` makes them".into());
    }
    if file.data.standardise {
        fit_width(job, &mean, &inverse)?;
    }
    fit_weights(job, model)
}

/// Whether features can be limited once they are standardised, whatever the rows.
fn fit_width(job: &Job, mean: &[f64], inverse: &[f64]) -> Result<(), String> {
    let (bound, limit, config) = (job.scaling().bound, job.file().training.input_limit, job.config());
    for ((name, mean), inverse) in job.schema().feature_names().iter().zip(mean).zip(inverse) {
        let most = (bound + mean.abs()) * inverse + ROUNDINGS;
        let needed = clip_width(config.fixed.frac, most, limit);
        if needed > config.width {
            let width = config.width;
            return Err(format!(
                "its feature `{name}` reaches {most:.0} before it is limited, which needs `numbers.width` = {needed}, and it is {width}"
            ));
        }
    }
    Ok(())
}

/// Interval arithmetic over the weights as they are.
fn fit_weights(job: &Job, model: &ModelFile) -> Result<(), String> {
    let (file, config) = (job.file(), job.config());
    let plan = range::plan(&config, &file.model, &file.training, job.features()).map_err(|e| e.to_string())?;
    let limit = file.training.weight_limit;
    let mut inputs = vec![file.training.input_limit; job.features()];
    for (layer, planned) in model.model.layers.iter().zip(&plan.layers) {
        let weights = layer.weights.iter().flatten().chain(&layer.biases);
        if !weights.into_iter().all(|w| w.abs() <= limit) {
            return Err(format!("a weight exceeds `training.weight_limit`, {limit}"));
        }
        let neuron = |(weights, bias): (&Vec<f64>, &f64)| {
            weights.iter().zip(&inputs).map(|(w, x)| w.abs() * x).sum::<f64>() + bias.abs()
        };
        inputs = layer.weights.iter().zip(&layer.biases).map(neuron).collect();
        // Differences of scores are compared, too, and roundings add to them.
        let compared = f64::from(planned.width.min(config.width)) - 3.0 - f64::from(plan.frac);
        let product = f64::from(config.room) - 1.0 - f64::from(plan.frac + plan.weight_frac);
        let most = compared.min(product).exp2();
        if let Some(value) = inputs.iter().find(|value| **value >= most) {
            return Err(format!(
                "its values reach {value:.0}, and the job's numbers hold {most:.0}: lower `numbers.frac`"
            ));
        }
    }
    Ok(())
}

/// Mean and inverse deviation of features as the job scales them, of a model that was trained on features scaled otherwise: Spec 2.
fn moments(job: &Job, model: &ModelFile) -> (Vec<f64>, Vec<f64>) {
    let (here, there) = (job.scaling(), &model.scaling);
    let each = |i: usize| {
        let mean = (model.mean[i] / there.factor[i] + there.centre[i] - here.centre[i]) * here.factor[i];
        (mean, model.inverse_deviation[i] * there.factor[i] / here.factor[i])
    };
    (0..job.features()).map(each).unzip()
}

/// Models as fixed-point integers.
///
/// # Errors
/// A format that cannot hold the model.
pub fn encode<R: Ring>(job: &Job, models: &[ModelFile]) -> Result<Vec<EncodedModel<R>>, JobError> {
    let (file, config) = (job.file(), job.config());
    let plan = range::plan(&config, &file.model, &file.training, job.features())?;
    let weight = Fixed { frac: plan.weight_frac };
    let vector = |values: Vec<f64>| {
        let data: Vec<R> = values.iter().map(|v| R::from_u64(config.fixed.constant(*v))).collect();
        Tensor::new(Shape::vector(data.len()), data)
    };
    let encoded = |model: &ModelFile| {
        let (mean, inverse_deviation) = moments(job, model);
        let layers = model.model.layers.iter().map(|layer| {
            let rows = layer.weights.iter().zip(&layer.biases);
            let data: Vec<R> = rows
                .flat_map(|(weights, bias)| weights.iter().chain([bias]))
                .map(|w| R::from_u64(weight.constant(*w)))
                .collect();
            Tensor::new(Shape::matrix(layer.biases.len(), data.len() / layer.biases.len()), data)
        });
        EncodedModel { layers: layers.collect(), mean: vector(mean), inverse_deviation: vector(inverse_deviation) }
    };
    Ok(models.iter().map(encoded).collect())
}

/// Whether labels beside the results say how good they are.
pub(crate) fn judged(job: &Job) -> bool {
    let file = job.file();
    file.model.kind != ModelKind::Linear && file.score.is_none_or(|score| score.output == Output::Prediction)
}

/// Names of the columns of a result.
pub(crate) fn columns(job: &Job) -> Vec<String> {
    match &job.file().score {
        Some(Score { output: Output::Class, .. }) => vec!["class".into()],
        Some(Score { output: Output::Shares, models }) => (0..*models).map(|k| format!("share-{k}")).collect(),
        _ => vec!["prediction".into()],
    }
}
