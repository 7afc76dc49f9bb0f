//! A model that was opened to this party, with all that is needed to apply it to raw rows.

use crate::program::Outcome;
use crate::{ConfigError, Job, JobError, Scaling};
use privity_data::{ExtraColumns, Schema, Table};
use privity_nn::OpenModel;
use privity_nn::spec::Loss;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file's format.
pub(crate) const FORMAT: u32 = 2;

/// A model in the clear, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Version of this layout.
    pub format: u32,
    /// Digest of the job that trained it.
    pub job: String,
    /// The protocol it was trained under, what that withstands, and whether it was another before.
    pub trained_under: String,
    /// The contract of its rows.
    pub schema: Schema,
    /// The public map of features, applied first.
    pub scaling: Scaling,
    /// Joint mean of each scaled feature, subtracted then.
    pub mean: Vec<f64>,
    /// Joint inverse deviation, multiplied then.
    pub inverse_deviation: Vec<f64>,
    /// Standardised features are limited to this magnitude.
    pub input_limit: f64,
    /// Whether the output is a probability, through the logistic function.
    pub logistic: bool,
    /// The layers.
    pub model: OpenModel,
}

impl ModelFile {
    /// The model of a run, if it was opened here.
    pub fn from_outcome(job: &Job, outcome: &Outcome) -> Option<Self> {
        let features = job.features();
        let moments = outcome.moments.clone();
        Some(ModelFile {
            format: FORMAT,
            job: job.digest_hex(),
            trained_under: job.security(),
            schema: job.schema().clone(),
            scaling: job.scaling(),
            mean: moments.as_ref().map_or(vec![0.0; features], |m| m.mean.clone()),
            inverse_deviation: moments.map_or(vec![1.0; features], |m| m.inverse_deviation),
            input_limit: job.file().training.input_limit,
            logistic: job.file().training.loss(&job.file().model) == Loss::Bce,
            model: outcome.model.clone()?,
        })
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// It cannot be read, is no model file, or its parts do not fit together.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with_digest(path).map(|(model, _)| model)
    }

    /// Reads a model file, and says the BLAKE3 digest of what it read, in hexadecimal.
    ///
    /// # Errors
    /// As [`ModelFile::load`].
    pub fn load_with_digest(path: &Path) -> Result<(Self, String), ConfigError> {
        let failed = |problem: String| ConfigError::Read { file: path.into(), problem };
        let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
        let model: ModelFile = serde_json::from_str(&text).map_err(|e| failed(format!("not a model file: {e}")))?;
        match model.is_sound() {
            true => Ok((model, blake3::hash(text.as_bytes()).to_hex().to_string())),
            false => Err(failed("not a model file of this version: its parts do not fit together".into())),
        }
    }

    /// The contract of rows to predict for: that of training without the label.
    ///
    /// # Errors
    /// A model file whose contract has no features.
    pub fn feature_schema(&self) -> Result<Schema, JobError> {
        let features = self.schema.columns().iter().filter(|c| !c.feature_names().is_empty()).cloned().collect();
        Schema::new(features, ExtraColumns::Ignore).map_err(|e| JobError::Data(e.into()))
    }

    fn is_sound(&self) -> bool {
        let features = self.schema.feature_names().len();
        let lists = [&self.scaling.centre, &self.scaling.factor, &self.mean, &self.inverse_deviation];
        let mut inputs = features;
        let layers = self.model.layers.iter().all(|layer| {
            let fits = layer.weights.iter().all(|row| row.len() == inputs) && layer.biases.len() == layer.weights.len();
            inputs = layer.biases.len();
            fits
        });
        let one_output = inputs == 1 && !self.model.layers.is_empty();
        self.format == FORMAT && lists.iter().all(|list| list.len() == features) && layers && one_output
    }

    /// Predictions for raw rows in plain floats: probabilities, or values of a regression. They differ from those that a
    /// run opened by its fixed-point rounding and by its approximation of the logistic function, at most 3e-3.
    ///
    /// # Errors
    /// A table of another contract.
    pub fn predict(&self, table: &Table) -> Result<Vec<f64>, JobError> {
        if table.names() != self.schema.feature_names() {
            return Err(privity_data::DataError::Shape { what: "the table has not the columns of the model" }.into());
        }
        Ok((0..table.rows()).map(|r| self.predict_row(table.row(r))).collect())
    }

    fn predict_row(&self, row: &[f64]) -> f64 {
        let mut x = self.scaling.row(row);
        for (x, (mean, scale)) in x.iter_mut().zip(self.mean.iter().zip(&self.inverse_deviation)) {
            *x = ((*x - mean) * scale).clamp(-self.input_limit, self.input_limit);
        }
        for (i, layer) in self.model.layers.iter().enumerate() {
            if i > 0 {
                x.iter_mut().for_each(|x| *x = x.max(0.0));
            }
            let neuron =
                |(weights, bias): (&Vec<f64>, &f64)| weights.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>() + bias;
            x = layer.weights.iter().zip(&layer.biases).map(neuron).collect();
        }
        if self.logistic { 1.0 / (1.0 + (-x[0]).exp()) } else { x[0] }
    }
}
