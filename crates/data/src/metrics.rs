//! Quality of a binary classifier in plain `f64`, for comparing models.
//!
//! `labels` are 0.0 or 1.0, `scores` are any finite numbers, higher meaning more likely 1. For [`accuracy`] and
//! [`log_loss`] they are probabilities.

/// Labels and scores that cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// Different or zero lengths.
    #[error("{labels} labels and {scores} scores: give one score for each label, at least one")]
    Length {
        /// Number of labels.
        labels: usize,
        /// Number of scores.
        scores: usize,
    },
    /// A score that is not a finite number: the model diverged.
    #[error("score {index} is not a finite number: the model diverged; lower the learning rate")]
    NotFinite {
        /// Position from 0.
        index: usize,
    },
    /// A label that is neither 0 nor 1.
    #[error("label {index} is neither 0 nor 1; encode the labels first")]
    Label {
        /// Position from 0.
        index: usize,
    },
    /// The metric compares two classes and only one is there.
    #[error("all labels are of one class; this metric needs both, so evaluate on more rows")]
    OneClass,
    /// A fraction outside (0, 1].
    #[error("the fraction of rows to look at must be above 0 and at most 1")]
    Fraction,
}

fn check(labels: &[f64], scores: &[f64]) -> Result<(), MetricError> {
    if labels.is_empty() || labels.len() != scores.len() {
        return Err(MetricError::Length { labels: labels.len(), scores: scores.len() });
    }
    if let Some(index) = scores.iter().position(|s| !s.is_finite()) {
        return Err(MetricError::NotFinite { index });
    }
    match labels.iter().position(|&y| y != 0.0 && y != 1.0) {
        Some(index) => Err(MetricError::Label { index }),
        None => Ok(()),
    }
}

/// Positives and rows of each group of equal scores, highest score first.
fn tied_groups(labels: &[f64], scores: &[f64]) -> Vec<(f64, f64)> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let groups = order.chunk_by(|&a, &b| scores[a] == scores[b]);
    groups.map(|g| (g.iter().map(|&i| labels[i]).sum(), g.len() as f64)).collect()
}

/// The tied groups with the number of positives, which must be neither none nor all.
fn ranked(labels: &[f64], scores: &[f64]) -> Result<(Vec<(f64, f64)>, f64), MetricError> {
    check(labels, scores)?;
    let positives: f64 = labels.iter().sum();
    if positives == 0.0 || positives == labels.len() as f64 {
        return Err(MetricError::OneClass);
    }
    Ok((tied_groups(labels, scores), positives))
}

/// Share of rows whose probability is on the label's side of 0.5; exactly 0.5 counts as class 1.
///
/// # Errors
/// Lengths, labels or scores as in [`MetricError`].
pub fn accuracy(labels: &[f64], probabilities: &[f64]) -> Result<f64, MetricError> {
    check(labels, probabilities)?;
    let right = labels.iter().zip(probabilities).filter(|&(&y, &p)| (p >= 0.5) == (y == 1.0)).count();
    Ok(right as f64 / labels.len() as f64)
}

/// Mean negative log-likelihood in nats. Probabilities are clipped to `1e-15` from 0 and 1.
///
/// # Errors
/// Lengths, labels or scores as in [`MetricError`].
pub fn log_loss(labels: &[f64], probabilities: &[f64]) -> Result<f64, MetricError> {
    check(labels, probabilities)?;
    let loss = |(&y, &p): (&f64, &f64)| {
        let p = p.clamp(1e-15, 1.0 - 1e-15);
        -if y == 1.0 { libm::log(p) } else { libm::log1p(-p) }
    };
    Ok(labels.iter().zip(probabilities).map(loss).sum::<f64>() / labels.len() as f64)
}

/// Area under the ROC curve: the chance that a positive scores above a negative, ties counting one half.
///
/// # Errors
/// Lengths, labels or scores as in [`MetricError`], or only one class.
pub fn auc(labels: &[f64], scores: &[f64]) -> Result<f64, MetricError> {
    let (groups, positives) = ranked(labels, scores)?;
    let negatives = labels.len() as f64 - positives;
    let (mut above, mut wins) = (0.0, 0.0);
    for (hits, size) in groups {
        let misses = size - hits;
        wins += misses * (above + hits / 2.0);
        above += hits;
    }
    Ok(wins / (positives * negatives))
}

/// Average precision: the sum over thresholds of precision times the gain in recall; equal scores share one threshold.
///
/// # Errors
/// Lengths, labels or scores as in [`MetricError`], or only one class.
pub fn average_precision(labels: &[f64], scores: &[f64]) -> Result<f64, MetricError> {
    let (groups, positives) = ranked(labels, scores)?;
    let (mut found, mut seen, mut sum) = (0.0, 0.0, 0.0);
    for (hits, size) in groups {
        found += hits;
        seen += size;
        sum += found / seen * (hits / positives);
    }
    Ok(sum)
}

/// Share of all positives among the `fraction` of rows (rounded up) with the highest scores. Of a group of equal scores
/// that the cut divides, the expected share counts, so the result does not depend on the order of the rows.
///
/// # Errors
/// Lengths, labels or scores as in [`MetricError`], only one class, or a fraction outside (0, 1].
pub fn recall_at(labels: &[f64], scores: &[f64], fraction: f64) -> Result<f64, MetricError> {
    if !(fraction > 0.0 && fraction <= 1.0) {
        return Err(MetricError::Fraction);
    }
    let (groups, positives) = ranked(labels, scores)?;
    let mut left = (labels.len() as f64 * fraction).ceil();
    let mut found = 0.0;
    for (hits, size) in groups {
        found += hits * (left / size).min(1.0);
        left = (left - size).max(0.0);
    }
    Ok(found / positives)
}
