//! The program of a job, written once for every protocol: under `rep3` it is the secure run, under `count` the plan, under
//! `plain` the twin.

use crate::job::Rows;
use crate::{Job, JobError};
use privity_mpc::ops::range;
use privity_mpc::ops::statistics::{self, Moments};
use privity_mpc::{Protocol, Recipients, Share};
use privity_nn::metrics::{self, Classification};
use privity_nn::spec::{Loss, ModelSpec};
use privity_nn::train::{Opening, declared_openings};
use privity_nn::{Keeper, Model, Observer, OpenModel};
use privity_ring::{Ring, Shape, Tensor};

/// What one party brings, as fixed-point integers. `Debug` prints shapes only.
#[derive(Clone, Debug)]
pub struct Encoded<R> {
    /// Features to train on, `[rows, features]`.
    pub train: Tensor<R>,
    /// Their labels, `[rows]`.
    pub labels: Tensor<R>,
    /// Features to evaluate on, `[test_rows, features]`.
    pub test: Tensor<R>,
    /// Their labels, `[test_rows]`.
    pub test_labels: Tensor<R>,
}

/// What the parties bring, as far as it is here: a party has its own only, the twin has all, a plan none.
#[derive(Clone, Debug)]
pub struct Inputs<R>(Vec<Option<Encoded<R>>>);

impl<R> Inputs<R> {
    /// Nothing.
    pub fn none(job: &Job) -> Self {
        Inputs(job.rows().iter().map(|_| None).collect())
    }
    /// That of one party.
    pub fn only(job: &Job, party: usize, encoded: Encoded<R>) -> Self {
        let mut inputs = Self::none(job);
        inputs.0[party] = Some(encoded);
        inputs
    }
    /// That of all parties, in their order.
    pub fn all(encoded: Vec<Encoded<R>>) -> Self {
        Inputs(encoded.into_iter().map(Some).collect())
    }
}

/// Joint means and inverse deviations of the scaled features.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenMoments {
    /// Means.
    pub mean: Vec<f64>,
    /// Inverse deviations.
    pub inverse_deviation: Vec<f64>,
}

/// What the program opened here. Everything else stayed shared and is gone.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The weights, if they were opened here.
    pub model: Option<OpenModel>,
    /// What the features were standardised with, if the model was opened here.
    pub moments: Option<OpenMoments>,
    /// Joint figures of a classifier, if they were opened here.
    pub classification: Option<Classification>,
    /// Joint mean squared error of a regression, if it was opened here.
    pub mean_squared_error: Option<f64>,
    /// For each party the predictions of its held-out rows, if their scores were opened here.
    pub predictions: Vec<Option<Vec<f64>>>,
}

/// The parties' rows, one party after the other.
struct Table<A> {
    features: A,
    labels: A,
}

/// Runs a job.
///
/// # Errors
/// A value beyond its owner's declared range, training that left its ranges, formats without room, protocol failures.
pub fn run<P: Protocol>(
    p: &mut P,
    job: &Job,
    inputs: Inputs<P::R>,
    observer: &mut dyn Observer,
    keeper: &mut dyn Keeper<P::A>,
) -> Result<Outcome, JobError> {
    observer.opening("for each owner, whether its rows are within their ranges")?;
    let rows = job.rows();
    let train = share(p, job, &rows, |r| r.train, |e| (&e.train, &e.labels), &inputs)?;
    let test = share(p, job, &rows, |r| r.test, |e| (&e.test, &e.test_labels), &inputs)?;
    drop(inputs);
    let (train, test, moments) = booked(p, "standardise", |p| standardise(p, job, train, test))?;
    let spec = &job.file().training;
    let table = (&train.features, &train.labels);
    let model = privity_nn::train_from(p, &job.file().model, spec, table, observer, keeper)?;
    let mut outcome = Outcome::default();
    evaluate(p, job, &model, &test, &mut outcome, observer)?;
    if let Some(to) = job.model_recipients() {
        observer.opening("the model and the moments of its features, to their recipients")?;
        outcome.model = model.open(p, to)?;
        if let Some(moments) = moments {
            outcome.moments = open_moments(p, &moments, to)?;
        }
    }
    Ok(outcome)
}

/// Books the traffic of `f` under `operation`, whatever its error type.
fn booked<P: Protocol, T>(
    p: &mut P,
    operation: &'static str,
    f: impl FnOnce(&mut P) -> Result<T, JobError>,
) -> Result<T, JobError> {
    let mut result = None;
    p.scope(operation, |p| {
        result = Some(f(p));
        Ok(())
    })?;
    result.unwrap_or_else(|| Err(JobError::Internal(format!("{operation} did not run"))))
}

/// Shares every party's rows and checks that each is within its range. One bit per party is opened to all, one more for its labels.
fn share<P: Protocol>(
    p: &mut P,
    job: &Job,
    rows: &[Rows],
    count: impl Fn(&Rows) -> usize,
    pick: impl Fn(&Encoded<P::R>) -> (&Tensor<P::R>, &Tensor<P::R>),
    inputs: &Inputs<P::R>,
) -> Result<Table<P::A>, JobError> {
    let bound = job.scaling().bound;
    let (mut features, mut labels) = (Vec::new(), Vec::new());
    for (owner, (rows, input)) in rows.iter().zip(&inputs.0).enumerate() {
        let parts = input.as_ref().map(&pick);
        let shape = Shape::matrix(count(rows), job.features());
        features.push(p.input(owner, &shape, parts.map(|p| p.0))?);
        labels.push(p.input(owner, &Shape::vector(count(rows)), parts.map(|p| p.1))?);
    }
    let owned = features.iter().zip(&labels).enumerate().filter(|(_, (_, y))| !y.shape().is_empty());
    for (owner, (x, y)) in owned {
        let fits = p.scope("range check", |p| Ok(range::within(p, x, bound)? && range::within(p, y, 1.0)?))?;
        if !fits {
            return Err(JobError::OutOfRange { owner: job.names()[owner].clone() });
        }
    }
    Ok(Table { features: concat(&features), labels: concat(&labels) })
}

fn concat<A: Share>(parts: &[A]) -> A {
    A::concat_rows(&parts.iter().collect::<Vec<_>>())
}

type Standardised<A> = (Table<A>, Table<A>, Option<Moments<A>>);

/// Brings all features to the training rows' joint mean 0 and variance 1, limited to the training section's input limit.
fn standardise<P: Protocol>(
    p: &mut P,
    job: &Job,
    train: Table<P::A>,
    test: Table<P::A>,
) -> Result<Standardised<P::A>, JobError> {
    if !job.file().data.standardise {
        return Ok((train, test, None));
    }
    let limit = job.file().training.input_limit;
    let moments = statistics::moments(p, &train.features, job.scaling().bound)?;
    let mut table = |table: Table<P::A>| -> Result<Table<P::A>, JobError> {
        Ok(Table { features: statistics::standardise(p, &table.features, &moments, limit)?, labels: table.labels })
    };
    let (train, test) = (table(train)?, table(test)?);
    Ok((train, test, Some(moments)))
}

fn evaluate<P: Protocol>(
    p: &mut P,
    job: &Job,
    model: &Model<P::A>,
    test: &Table<P::A>,
    outcome: &mut Outcome,
    observer: &mut dyn Observer,
) -> Result<(), JobError> {
    if let Some(to) = job.metrics_recipients() {
        observer.opening("joint figures of the model, to their recipients")?;
        booked(p, "evaluation", |p| joint_figures(p, job, model, test, to, outcome))?;
    }
    if job.opens_predictions() {
        observer.opening("scores of held-out rows, to their owners")?;
        // Scores before the logistic function: it costs comparisons under the protocol and nothing where they are opened,
        // and its pieces would give the surest rows one and the same probability.
        let scores = model.scores(p, &test.features)?;
        let opened = metrics::open_to_owners(p, &scores, &slices(&job.rows()))?;
        let logistic = classifies(&job.file().model, job);
        let probability = |score: f64| if logistic { 1.0 / (1.0 + (-score).exp()) } else { score };
        let of_owner = |scores: Vec<f64>| scores.into_iter().map(probability).collect();
        outcome.predictions = opened.into_iter().map(|scores| scores.map(of_owner)).collect();
    }
    Ok(())
}

fn joint_figures<P: Protocol>(
    p: &mut P,
    job: &Job,
    model: &Model<P::A>,
    test: &Table<P::A>,
    to: Recipients,
    outcome: &mut Outcome,
) -> Result<(), JobError> {
    if classifies(&job.file().model, job) {
        let buckets = job.file().evaluation.buckets;
        outcome.classification = metrics::classification(p, model, &test.features, &test.labels, buckets, to)?;
    } else {
        outcome.mean_squared_error = metrics::mean_squared_error(p, model, &test.features, &test.labels, to)?;
    }
    Ok(())
}

fn classifies(model: &ModelSpec, job: &Job) -> bool {
    job.file().training.loss(model) == Loss::Bce
}

/// Where each party's held-out rows lie among all.
fn slices(rows: &[Rows]) -> Vec<(std::ops::Range<usize>, usize)> {
    let mut from = 0;
    let slice = |(owner, rows): (usize, &Rows)| {
        let range = from..from + rows.test;
        from = range.end;
        (range, owner)
    };
    rows.iter().enumerate().map(slice).collect()
}

fn open_moments<P: Protocol>(
    p: &mut P,
    moments: &Moments<P::A>,
    to: Recipients,
) -> Result<Option<OpenMoments>, JobError> {
    let fixed = p.config().fixed;
    let opened = p.open(&P::A::concat_rows(&[&moments.mean, &moments.inverse_deviation]), to)?;
    Ok(opened.map(|values| {
        let mut mean: Vec<f64> = values.data().iter().map(|v| fixed.decode(v.to_u64())).collect();
        let inverse_deviation = mean.split_off(mean.len() / 2);
        OpenMoments { mean, inverse_deviation }
    }))
}

/// All that a job opens, and to whom.
pub fn openings(job: &Job) -> Vec<Opening> {
    let opening = |what, recipients, times, values| Opening { what, recipients, times, values };
    let checked = job.rows().iter().map(|r| usize::from(r.train > 0) + usize::from(r.test > 0)).sum();
    let mut all =
        vec![opening("one bit per party: some value is outside its declared range", Recipients::ALL, checked, 1)];
    all.extend(declared_openings(&job.file().model, &job.file().training));
    if let Some(to) = job.metrics_recipients() {
        match classifies(&job.file().model, job) {
            true => all.extend(metrics::declared_openings(job.file().evaluation.buckets, to)),
            false => all.push(opening("mean squared error of the held-out rows", to, 1, 1)),
        }
    }
    if job.opens_predictions() {
        for (range, owner) in slices(&job.rows()).into_iter().filter(|(range, _)| !range.is_empty()) {
            all.push(opening("scores of own held-out rows", Recipients::only(owner), 1, range.len()));
        }
    }
    if let Some(to) = job.model_recipients() {
        let weights = job.file().model.sizes(job.features()).windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum();
        all.push(opening("the model's weights", to, 1, weights));
        if job.file().data.standardise {
            all.push(opening("joint mean and deviation of each feature", to, 1, 2 * job.features()));
        }
    }
    all
}
