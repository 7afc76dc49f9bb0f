//! What the secure model is compared with: its fixed-point twin, a float model of the same schedule on everybody's rows,
//! and one per owner on its own rows. The demonstration may do this because it holds all tables.

use crate::error::CliError;
use privity_data::metrics;
use privity_job::prepare::{self, Rows};
use privity_job::program::{Encoded, Inputs};
use privity_job::{Job, protocol};
use privity_nn::float::{self, Matrix};
use serde::Serialize;

/// How good predictions are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Share of rows on the right side of probability 1/2.
    pub accuracy: Option<f64>,
    /// Area under the receiver operating characteristic.
    pub auc: Option<f64>,
    /// Average precision.
    pub average_precision: Option<f64>,
    /// Share of positives among the hundredth of rows with the highest scores.
    pub recall_at_1_percent: Option<f64>,
    /// Mean cross entropy.
    pub log_loss: Option<f64>,
}

impl Figures {
    /// Of probabilities. A figure that the labels do not allow is missing.
    pub fn of(labels: &[f64], scores: &[f64]) -> Self {
        Figures {
            accuracy: metrics::accuracy(labels, scores).ok(),
            auc: metrics::auc(labels, scores).ok(),
            average_precision: metrics::average_precision(labels, scores).ok(),
            recall_at_1_percent: metrics::recall_at(labels, scores, 0.01).ok(),
            log_loss: metrics::log_loss(labels, scores).ok(),
        }
    }
}

/// Labels of all held-out rows, party after party.
pub fn labels(rows: &[Rows]) -> Vec<f64> {
    rows.iter().flat_map(|r| r.test.labels()).copied().collect()
}

/// The fixed-point twin.
pub fn twin(job: &Job, rows: &[Rows]) -> Result<Figures, CliError> {
    let encoded = rows.iter().map(|r| prepare::encode(job, r)).collect::<Result<Vec<Encoded<u64>>, _>>()?;
    let outcome = protocol::twin(job, Inputs::all(encoded), &mut ())?;
    let predictions: Vec<f64> = outcome.predictions.into_iter().flatten().flatten().collect();
    Ok(Figures::of(&labels(rows), &predictions))
}

/// A float model of the first `columns` features of some owners' training rows, on everybody's held-out rows.
pub fn float(job: &Job, owners: &[&Rows], everybody: &[Rows], columns: usize) -> Result<Figures, CliError> {
    let scaling = job.scaling();
    let train = owners.iter().map(|r| scaling.table(&r.train)).collect::<Result<Vec<_>, _>>()?;
    let test = everybody.iter().map(|r| scaling.table(&r.test)).collect::<Result<Vec<_>, _>>()?;
    let (train, test) = (join(&train, columns), join(&test, columns));
    let moments = moments(&train.0, columns);
    let limit = job.file().training.input_limit;
    let matrix = |features: &[f64]| {
        let value = |(i, x): (usize, &f64)| {
            let (mean, scale) = moments[i % columns];
            ((x - mean) * scale).clamp(-limit, limit) as f32
        };
        Matrix::new(features.len() / columns, columns, features.iter().enumerate().map(value).collect())
    };
    let y: Vec<f32> = train.1.iter().map(|y| *y as f32).collect();
    let (model, _) = float::train(&job.file().model, &job.file().training, &matrix(&train.0)?, &y)?;
    let scores: Vec<f64> = model.predict(&matrix(&test.0)?).into_iter().map(f64::from).collect();
    Ok(Figures::of(&test.1, &scores))
}

fn join(tables: &[privity_data::Table], columns: usize) -> (Vec<f64>, Vec<f64>) {
    let rows = tables.iter().flat_map(|t| (0..t.rows()).map(|r| &t.row(r)[..columns]));
    let features = rows.flatten().copied().collect();
    (features, tables.iter().flat_map(|t| t.labels()).copied().collect())
}

/// Mean and inverse deviation of each column, as the secure program defines them.
fn moments(features: &[f64], columns: usize) -> Vec<(f64, f64)> {
    let rows = (features.len() / columns) as f64;
    let of = |c: usize| {
        let column = || features.iter().skip(c).step_by(columns);
        let mean = column().sum::<f64>() / rows;
        let variance = column().map(|x| (x - mean) * (x - mean)).sum::<f64>() / rows;
        (mean, 1.0 / (variance + 1.0 / 1024.0).sqrt())
    };
    (0..columns).map(of).collect()
}
