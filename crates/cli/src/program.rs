//! The one program that every party runs, generic in the protocol: inputs, range check, joint standardisation, training,
//! evaluation.

use privity_mpc::ops::{range, statistics};
use privity_mpc::{Error, Protocol, Recipients, Result, Share};
use privity_nn::{ModelSpec, Observer, TrainError, TrainSpec, metrics, train};
use privity_ring::{Ring, Shape, Tensor};
use serde::{Deserialize, Serialize};

/// Bound on inputs, after scaling by public ranges.
pub const BOUND: f64 = 16.0;
/// Buckets of the score histogram.
const BUCKETS: usize = 64;

/// An owner's rows, row-major, and their labels.
pub struct Shares {
    /// Features within [`BOUND`].
    pub features: Vec<f64>,
    /// Features per row.
    pub columns: usize,
    /// 0 or 1 for each row.
    pub labels: Vec<f64>,
}

/// What is opened at the end: quality on the pooled test rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Share of rows on the right side of 1/2.
    pub accuracy: f64,
    /// Area under the ROC curve, from the histogram of scores.
    pub auc: f64,
    /// Mean cross entropy.
    pub log_loss: f64,
}

/// Runs the program. `sizes` are the owners' public numbers of training and test rows; `given` holds the rows of the owners
/// that this process speaks for (all of them under the twin, none under the counter).
pub fn program<P: Protocol>(
    p: &mut P,
    model: &ModelSpec,
    spec: &TrainSpec,
    sizes: &[(usize, usize)],
    given: &[Option<&[Shares; 2]>],
    observer: &mut dyn Observer,
) -> std::result::Result<Report, TrainError> {
    let columns = 30;
    let mut sets = Vec::new();
    for set in 0..2 {
        let (mut features, mut labels) = (Vec::new(), Vec::new());
        for (owner, size) in sizes.iter().enumerate() {
            let rows = if set == 0 { size.0 } else { size.1 };
            let own = given[owner].map(|sets| &sets[set]);
            let x = input(p, owner, &Shape::matrix(rows, columns), own.map(|s| &s.features[..]))?;
            let y = input(p, owner, &Shape::vector(rows), own.map(|s| &s.labels[..]))?;
            if !range::within(p, &x, BOUND)? || !range::within(p, &y, 1.0)? {
                let problem = "some value is out of the declared range";
                return Err(Error::Input { owner, problem }.into());
            }
            features.push(x);
            labels.push(y);
        }
        let join = |parts: &[P::A]| P::A::concat_rows(&parts.iter().collect::<Vec<_>>());
        sets.push((join(&features), join(&labels)));
    }
    let moments = p.scope("standardisation", |p| statistics::moments(p, &sets[0].0, BOUND))?;
    let limit = spec.input_limit;
    let x = p.scope("standardisation", |p| statistics::standardise(p, &sets[0].0, &moments, limit))?;
    let test = p.scope("standardisation", |p| statistics::standardise(p, &sets[1].0, &moments, limit))?;
    let model = train(p, model, spec, &x, &sets[0].1, observer)?;
    let quality = metrics::classification(p, &model, &test, &sets[1].1, BUCKETS, Recipients::ALL)?;
    let quality = quality.expect("opened to all");
    Ok(Report { accuracy: quality.accuracy(), auc: quality.auc().unwrap_or(f64::NAN), log_loss: quality.log_loss })
}

fn input<P: Protocol>(p: &mut P, owner: usize, shape: &Shape, values: Option<&[f64]>) -> Result<P::A> {
    let fixed = p.config().fixed;
    let encode = |v: &f64| fixed.encode(*v).map(P::R::from_u64);
    let encoded = values.map(|v| v.iter().map(encode).collect::<Option<Vec<_>>>());
    let tensor = match encoded {
        None => None,
        Some(Some(data)) => Some(Tensor::new(shape.clone(), data)),
        Some(None) => return Err(Error::Input { owner, problem: "some value does not fit the fixed-point format" }),
    };
    p.input(owner, shape, tensor.as_ref())
}
