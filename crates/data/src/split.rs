//! Which rows go where: over parties, over folds, over training and test. All results are row indices from 0 for
//! [`crate::Table::select`]; the same seed gives the same split everywhere.

use std::ops::Range;

use crate::random::Random;
use crate::{DataError, Table};

/// Row indices to learn from and to test on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainTest {
    /// Rows to learn from, ascending.
    pub train: Vec<usize>,
    /// Rows to test on, ascending.
    pub test: Vec<usize>,
}

/// Consecutive blocks over `parties`, sizes differing by at most one, larger ones first.
///
/// # Errors
/// No parties, or fewer rows than parties.
pub fn contiguous(rows: usize, parties: usize) -> Result<Vec<Range<usize>>, DataError> {
    if parties == 0 || parties > rows {
        return Err(DataError::Split { rows, what: "there must be at least one party and one row for each" });
    }
    let start = |p: usize| p * (rows / parties) + p.min(rows % parties);
    Ok((0..parties).map(|p| start(p)..start(p + 1)).collect())
}

/// Random disjoint parts in the given proportions, which need not add up to 1; together they are all rows. Each part is
/// ascending and its size is within one of its exact share.
///
/// # Errors
/// A proportion that is not finite and positive, none at all, or a part that would be empty.
pub fn by_fractions(rows: usize, fractions: &[f64], seed: u64) -> Result<Vec<Vec<usize>>, DataError> {
    let total: f64 = fractions.iter().sum();
    let usable = fractions.iter().all(|f| f.is_finite() && *f > 0.0);
    if fractions.is_empty() || !usable || !total.is_finite() {
        return Err(DataError::Split { rows, what: "the proportions must be positive finite numbers" });
    }
    let order = Random::new(seed, "privity data split v1").permutation(rows);
    let (mut parts, mut done, mut start) = (vec![], 0.0, 0);
    for fraction in fractions {
        done += fraction;
        let end = ((rows as f64 * (done / total)).round() as usize).min(rows);
        if end <= start {
            return Err(DataError::Split { rows, what: "a part would be empty; use fewer or larger parts" });
        }
        let mut part = order[start..end].to_vec();
        part.sort_unstable();
        parts.push(part);
        start = end;
    }
    Ok(parts)
}

/// A random split with `round(rows * test_fraction)` test rows.
///
/// # Errors
/// A fraction outside (0, 1), or a side that would be empty.
pub fn train_test(rows: usize, test_fraction: f64, seed: u64) -> Result<TrainTest, DataError> {
    let mut parts = by_fractions(rows, &[1.0 - test_fraction, test_fraction], seed)?.into_iter();
    match (parts.next(), parts.next()) {
        (Some(train), Some(test)) => Ok(TrainTest { train, test }),
        _ => Err(DataError::Split { rows, what: "both sides need rows" }),
    }
}

/// Rows before `first_test_day` to learn from, the others to test on. Fraud and the like must be split in time: a random
/// split would let the model see the future.
///
/// # Errors
/// A table without days, or a side that would be empty.
pub fn by_day(table: &Table, first_test_day: u32) -> Result<TrainTest, DataError> {
    let days = table.days();
    if days.is_empty() {
        return Err(DataError::Split { rows: table.rows(), what: "the table has no day column" });
    }
    let (train, test): (Vec<_>, Vec<_>) = (0..table.rows()).partition(|&r| days[r] < first_test_day);
    if train.is_empty() || test.is_empty() {
        return Err(DataError::Split { rows: table.rows(), what: "all rows fall on one side of the day" });
    }
    Ok(TrainTest { train, test })
}

/// `folds` random splits; every row is tested exactly once, fold sizes differ by at most one.
///
/// # Errors
/// Fewer than two folds, or fewer rows than folds.
pub fn k_fold(rows: usize, folds: usize, seed: u64) -> Result<Vec<TrainTest>, DataError> {
    if folds < 2 {
        return Err(DataError::Split { rows, what: "cross-validation needs at least two folds" });
    }
    let order = Random::new(seed, "privity data folds v1").permutation(rows);
    let mut fold_of = vec![0; rows];
    for (fold, range) in contiguous(rows, folds)?.into_iter().enumerate() {
        order[range].iter().for_each(|&row| fold_of[row] = fold);
    }
    let split = |fold| {
        let (test, train) = (0..rows).partition(|&row| fold_of[row] == fold);
        TrainTest { train, test }
    };
    Ok((0..folds).map(split).collect())
}
