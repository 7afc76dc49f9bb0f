//! Secure evaluation: only counts, sums, or each owner's own predictions are opened.

use crate::loss::{self, Meter};
use crate::model::{Head, Model, check_columns};
use crate::train::Opening;
use crate::{TrainError, layers};
use privity_mpc::{By, Inject, Product, Protocol, Raw, Recipients, Share};
use privity_ring::{Ring, Shape, Tensor};
use std::ops::Range;

/// How a classifier's scores are distributed, and its loss.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Classification {
    /// Rows.
    pub rows: usize,
    /// Rows of label 1 with a probability in `[i / n, (i + 1) / n)`, for each of the n buckets.
    pub positives: Vec<u64>,
    /// The same for label 0.
    pub negatives: Vec<u64>,
    /// Mean binary cross entropy.
    pub log_loss: f64,
}

impl Classification {
    /// Share of rows on the right side of probability 1/2: exact, for a threshold lies there.
    pub fn accuracy(&self) -> f64 {
        let half = self.positives.len() / 2;
        let right = self.positives[half..].iter().sum::<u64>() + self.negatives[..half].iter().sum::<u64>();
        right as f64 / self.rows as f64
    }
    /// Area under the receiver operating characteristic by trapezoids: pairs within one bucket count one half, which is
    /// off by at most half the share of pairs that fall into a common bucket. `None` if a class has no rows.
    pub fn auc(&self) -> Option<f64> {
        let (mut below, mut pairs) = (0.0, 0.0);
        for (positives, negatives) in self.positives.iter().zip(&self.negatives) {
            pairs += *positives as f64 * (below + *negatives as f64 / 2.0);
            below += *negatives as f64;
        }
        let all = self.positives.iter().sum::<u64>() as f64 * below;
        (all > 0.0).then(|| pairs / all)
    }
}

/// What [`classification`] opens.
pub fn declared_openings(buckets: usize, to: Recipients) -> Vec<Opening> {
    vec![
        Opening {
            what: "score histogram of each label",
            recipients: to,
            times: 1,
            values: 2 * thresholds(buckets).len() + 1,
        },
        Opening { what: "evaluation loss", recipients: to, times: 1, values: 1 },
    ]
}

/// Evaluates a classifier on features `[rows, d]` and labels `[rows]`, both at scale f; `None` at parties that are not
/// in `to`. `buckets` is raised to an even number, at least 2. Opened: for each bucket boundary the number of rows and
/// of positive rows below it, the number of positive rows, and the summed loss.
///
/// # Errors
/// A regression model; operands that do not fit; protocol failures.
pub fn classification<P: Protocol>(
    p: &mut P,
    model: &Model<P::A>,
    features: &P::A,
    labels: &P::A,
    buckets: usize,
    to: Recipients,
) -> Result<Option<Classification>, TrainError> {
    check(model, features, labels)?;
    if model.head == Head::Identity {
        let (expected, got) = ("a classifier".into(), "a regression model".into());
        return Err(TrainError::Shape { operation: "classification metrics", expected, got });
    }
    let thresholds = thresholds(buckets);
    let rows = labels.shape().len();
    let mut counts: Option<P::A> = None;
    let mut meter = Meter::default();
    for chunk in model.chunks(rows, thresholds.len()) {
        let y = labels.slice_rows(chunk.start, chunk.end);
        let logits = measure(p, model, &mut meter, &features.slice_rows(chunk.start, chunk.end), &y)?;
        let counted = histogram(p, &logits, &y, &thresholds)?;
        counts = Some(counts.map_or(counted.clone(), |sum| sum.add(&counted)));
    }
    let (loss, _) = meter.finish(p)?;
    let counts = counts.expect("there is at least one row");
    let opened = p.open(&P::A::concat_rows(&[&counts, &loss]), to)?;
    let fixed = p.config().fixed;
    Ok(opened.map(|values| {
        let integers: Vec<u64> = values.data().iter().map(|v| v.to_u64()).collect();
        read(&integers, thresholds.len(), rows, fixed)
    }))
}

/// Mean squared error of a regression model; `None` at parties that are not in `to`.
///
/// # Errors
/// Operands that do not fit; protocol failures.
pub fn mean_squared_error<P: Protocol>(
    p: &mut P,
    model: &Model<P::A>,
    features: &P::A,
    labels: &P::A,
    to: Recipients,
) -> Result<Option<f64>, TrainError> {
    check(model, features, labels)?;
    let rows = labels.shape().len();
    let mut total: Option<P::A> = None;
    for chunk in model.chunks(rows, 1) {
        let y = labels.slice_rows(chunk.start, chunk.end);
        let predicted = model.predict(p, &features.slice_rows(chunk.start, chunk.end))?;
        let error = predicted.sub(&y).reshape(&Shape::matrix(1, chunk.len()));
        let column = error.transpose();
        let squared = Product::matmul(&error, &column, p.config().fixed.frac);
        let squared = p.products_lifted(&[squared])?.remove(0);
        total = Some(total.map_or(squared.clone(), |sum| sum.add(&squared)));
    }
    let opened = p.open(&total.expect("there is at least one row"), to)?;
    Ok(opened.map(|t| p.config().fixed.decode(t.data()[0].to_u64()) / rows as f64))
}

/// Opens each slice of predictions `[rows]` to its owner alone. For each slice the values, `None` if it is empty or this party does not
/// own it.
///
/// # Errors
/// A slice beyond the predictions; protocol failures.
pub fn open_to_owners<P: Protocol>(
    p: &mut P,
    predictions: &P::A,
    slices: &[(Range<usize>, usize)],
) -> Result<Vec<Option<Vec<f64>>>, TrainError> {
    let rows = predictions.shape().len();
    let mut opened = Vec::new();
    for (slice, owner) in slices {
        if slice.start > slice.end || slice.end > rows {
            let (expected, got) = (format!("a slice of 0..{rows}"), format!("{slice:?}"));
            return Err(TrainError::Shape { operation: "predictions of an owner", expected, got });
        }
        if slice.is_empty() {
            opened.push(None);
            continue;
        }
        let values = p.open(&predictions.slice_rows(slice.start, slice.end), Recipients::only(*owner))?;
        let fixed = p.config().fixed;
        opened.push(values.map(|v| v.data().iter().map(|v| fixed.decode(v.to_u64())).collect()));
    }
    Ok(opened)
}

fn check<A: Share>(model: &Model<A>, features: &A, labels: &A) -> Result<(), TrainError> {
    check_columns(model.inputs(), features.shape())?;
    let rows = features.shape().rows();
    if rows > 0 && labels.shape().extents() == [rows] {
        return Ok(());
    }
    let (expected, got) = (format!("[{}]", rows.max(1)), format!("{:?}", labels.shape().extents()));
    Err(TrainError::Shape { operation: "labels of an evaluation", expected, got })
}

/// Bucket boundaries as logits.
fn thresholds(buckets: usize) -> Vec<f64> {
    let buckets = buckets.max(2).next_multiple_of(2);
    (1..buckets).map(|i| libm::log(i as f64 / (buckets - i) as f64)).collect()
}

/// Logits `[rows]` of a chunk; its loss goes to the meter.
fn measure<P: Protocol>(
    p: &mut P,
    model: &Model<P::A>,
    meter: &mut Meter<P::A, P::B>,
    features: &P::A,
    labels: &P::A,
) -> Result<P::A, TrainError> {
    let rows = labels.shape().len();
    let x = layers::augment(p, features);
    let y = labels.reshape(&Shape::matrix(1, rows));
    let forward = model.forward(p, &x)?;
    let output = loss::output(p, model, forward.logits, &y)?;
    let column = y.transpose();
    let product = Product::matmul(&output.logits, &column, model.plan.frac);
    let product = p.products_lifted(&[product])?.remove(0);
    let logits = output.logits.reshape(&Shape::vector(rows));
    meter.add(model.head, output);
    meter.add_product(model.head, &product);
    Ok(logits)
}

/// Below each threshold the number of rows, then the sum of labels (at scale f), then the sum of all labels: one
/// comparison and one injection for all thresholds.
fn histogram<P: Protocol>(p: &mut P, scores: &P::A, labels: &P::A, thresholds: &[f64]) -> privity_mpc::Result<P::A> {
    let fixed = p.config().fixed;
    let shifted: Vec<P::A> =
        thresholds.iter().map(|t| scores.sub(&p.public(&Tensor::fill(scores.shape(), fixed.constant(*t))))).collect();
    let width = p.config().width;
    let (below, _) = p.signs(&shifted.iter().collect::<Vec<_>>(), width, Vec::new())?;
    let armed = p.arm(&below.iter().collect::<Vec<_>>())?;
    let labels = Raw::exact(labels.clone());
    let job = |bit, by| Inject { terms: vec![(bit, by)], shape: scores.shape().clone() };
    let rows = armed.iter().map(|b| job(b, By::Public(1)));
    let positives = armed.iter().map(|b| job(b, By::Value(&labels)));
    let injected = p.inject(&rows.chain(positives).collect::<Vec<_>>())?;
    let sums: Vec<P::A> = injected.iter().chain([labels.low_bits()]).map(|t| t.map(Tensor::sum)).collect();
    Ok(P::A::concat_rows(&sums.iter().collect::<Vec<_>>()))
}

/// Opened sums as bucket counts.
fn read(values: &[u64], thresholds: usize, rows: usize, fixed: privity_ring::Fixed) -> Classification {
    let count = |label_sum: u64| fixed.decode(label_sum).round() as u64;
    let (below, rest) = values.split_at(thresholds);
    let positives_below: Vec<u64> = rest[..=thresholds].iter().map(|v| count(*v)).collect();
    let rows_below: Vec<u64> = below.iter().copied().chain([rows as u64]).collect();
    let (all, positives) = (differences(&rows_below), differences(&positives_below));
    let negatives = all.iter().zip(&positives).map(|(all, positives)| all.saturating_sub(*positives)).collect();
    Classification { rows, positives, negatives, log_loss: fixed.decode(values[2 * thresholds + 1]) / rows as f64 }
}

fn differences(cumulative: &[u64]) -> Vec<u64> {
    let before = [0].iter().chain(cumulative);
    cumulative.iter().zip(before).map(|(to, from)| to.saturating_sub(*from)).collect()
}
