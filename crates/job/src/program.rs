//! The program of a job, written once for every protocol: under `rep3` it is the secure run, under `count` the plan, under
//! `plain` the twin.

use crate::distil::Privacy;
use crate::job::Rows;
use crate::release::{Publisher, Releases};
use crate::{Job, JobError, prepare};
use privity_mpc::ops::range;
use privity_mpc::ops::statistics::{self, Moments};
use privity_mpc::{Protocol, Recipients, Share};
use privity_nn::metrics::{self, Classification};
use privity_nn::spec::{Loss, ModelSpec};
use privity_nn::train::{Opening, declared_openings};
use privity_nn::{Keeper, Model, Observer, OpenModel};
use privity_ring::{Ring, Shape, Tensor};
use std::cell::RefCell;

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
    /// Features of the rows of all groups of people, one group after the other; no rows unless releases vote.
    pub groups: Tensor<R>,
    /// Their labels.
    pub group_labels: Tensor<R>,
    /// This party's noise for each release; none in the twin.
    pub noise: Vec<Tensor<R>>,
    /// The models that rows are scored with, at their owner.
    pub models: Vec<EncodedModel<R>>,
}

/// A model as fixed-point integers. `Debug` prints shapes only.
#[derive(Clone, Debug)]
pub struct EncodedModel<R> {
    /// Of each layer weights and biases `[out, in + 1]`, at the scale of the job's plan for weights.
    pub layers: Vec<Tensor<R>>,
    /// Means of the features as the job scales them.
    pub mean: Tensor<R>,
    /// Their inverse deviations.
    pub inverse_deviation: Tensor<R>,
}

/// What the parties bring, as far as it is here: a party has its own only, the twin has all, a plan none.
#[derive(Clone, Debug)]
pub struct Inputs<R>(Vec<Option<Encoded<R>>>);

impl Inputs<u64> {
    /// The same integers as elements of another ring.
    pub(crate) fn over<R: Ring>(self) -> Inputs<R> {
        let tensor =
            &|x: Tensor<u64>| Tensor::new(x.shape().clone(), x.data().iter().map(|v| R::from_u64(*v)).collect());
        let model = |m: EncodedModel<u64>| EncodedModel {
            layers: m.layers.into_iter().map(tensor).collect(),
            mean: tensor(m.mean),
            inverse_deviation: tensor(m.inverse_deviation),
        };
        let encoded = |e: Encoded<u64>| Encoded {
            train: tensor(e.train),
            labels: tensor(e.labels),
            test: tensor(e.test),
            test_labels: tensor(e.test_labels),
            groups: tensor(e.groups),
            group_labels: tensor(e.group_labels),
            noise: e.noise.into_iter().map(tensor).collect(),
            models: e.models.into_iter().map(model).collect(),
        };
        Inputs(self.0.into_iter().map(|party| party.map(encoded)).collect())
    }
}

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
    /// What a party brings, as far as it is here.
    pub(crate) fn of(&self, party: usize) -> Option<&Encoded<R>> {
        self.0[party].as_ref()
    }
    /// The same without rows, which are shared: what is left is for later.
    fn shared(self) -> Self
    where
        R: Ring,
    {
        let empty = || Tensor::zeros(&Shape::vector(0));
        let rest = |encoded: Encoded<R>| Encoded {
            train: empty(),
            labels: empty(),
            test: empty(),
            test_labels: empty(),
            groups: empty(),
            group_labels: empty(),
            noise: encoded.noise,
            models: Vec::new(),
        };
        Inputs(self.0.into_iter().map(|encoded| encoded.map(rest)).collect())
    }
    /// A party's noise on the counts of a release, as far as the party is here: zeros if it brought none.
    pub(crate) fn noise(&self, party: usize, release: usize, count: usize) -> Option<Tensor<R>>
    where
        R: Ring,
    {
        let encoded = self.0[party].as_ref()?;
        Some(encoded.noise.get(release).cloned().unwrap_or_else(|| Tensor::zeros(&Shape::vector(count))))
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
pub(crate) struct Table<A> {
    pub features: A,
    pub labels: A,
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
    publisher: &mut dyn Publisher,
) -> Result<Outcome, JobError> {
    if let Some(score) = &job.file().score {
        return crate::inference::run(p, job, score, &inputs, observer);
    }
    observer.opening("for each owner, whether its rows are within their ranges")?;
    let rows = job.rows();
    let train = joined(share(p, job, &rows, |r| r.train, |e| (&e.train, &e.labels), &inputs)?);
    let test = joined(share(p, job, &rows, |r| r.test, |e| (&e.test, &e.test_labels), &inputs)?);
    let groups = match job.voting() {
        Some(voting) => {
            let size = |r: &Rows| voting.teachers * prepare::group_size(r.train, &voting);
            share(p, job, &rows, size, |e| (&e.groups, &e.group_labels), &inputs)?
        }
        None => Vec::new(),
    };
    let inputs = inputs.shared();
    let (train, test, moments) = booked(p, "standardise", |p| standardise(p, job, train, test))?;
    let spec = &job.file().training;
    let table = (&train.features, &train.labels);
    let model = match job.distillation() {
        None => privity_nn::train_from(p, &job.file().model, spec, table, observer, keeper, &mut ())?,
        Some((distillation, questions)) => {
            let failure = RefCell::new(None);
            let questions = p.public(&prepare::questions(job, questions)?);
            let (moments, inputs) = (moments.as_ref(), &inputs);
            let mut releases =
                Releases { job, spec: distillation, questions, moments, groups, inputs, publisher, failure: &failure };
            let trained = privity_nn::train_from(p, &job.file().model, spec, table, observer, keeper, &mut releases);
            trained.map_err(|error| failure.take().unwrap_or_else(|| error.into()))?
        }
    };
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
pub(crate) fn booked<P: Protocol, T>(
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
) -> Result<Vec<Table<P::A>>, JobError> {
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
    Ok(features.into_iter().zip(labels).map(|(features, labels)| Table { features, labels }).collect())
}

/// All owners' rows.
fn joined<A: Share>(tables: Vec<Table<A>>) -> Table<A> {
    let (features, labels): (Vec<A>, Vec<A>) = tables.into_iter().map(|t| (t.features, t.labels)).unzip();
    Table { features: concat(&features), labels: concat(&labels) }
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
    let moments = statistics::moments(p, &train.features, job.scaling().bound)?;
    let mut table = |table: Table<P::A>| -> Result<Table<P::A>, JobError> {
        Ok(Table { features: standardise_with(p, job, &table.features, Some(&moments))?, labels: table.labels })
    };
    let (train, test) = (table(train)?, table(test)?);
    Ok((train, test, Some(moments)))
}

/// Brings features to mean 0 and variance 1 of these moments, if there are any.
pub(crate) fn standardise_with<P: Protocol>(
    p: &mut P,
    job: &Job,
    x: &P::A,
    moments: Option<&Moments<P::A>>,
) -> privity_mpc::Result<P::A> {
    match moments {
        Some(moments) => statistics::standardise(p, x, moments, job.file().training.input_limit),
        None => Ok(x.clone()),
    }
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
        outcome.predictions = opened.into_iter().map(|scores| scores.map(|s| probability(s, logistic))).collect();
    }
    Ok(())
}

/// Scores as they are, or as probabilities.
pub(crate) fn probability(scores: Vec<f64>, logistic: bool) -> Vec<f64> {
    match logistic {
        true => scores.into_iter().map(|score| 1.0 / (1.0 + (-score).exp())).collect(),
        false => scores,
    }
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

pub(crate) fn classifies(model: &ModelSpec, job: &Job) -> bool {
    job.file().training.loss(model) == Loss::Bce
}

/// Where each party's held-out rows lie among all.
pub(crate) fn slices(rows: &[Rows]) -> Vec<(std::ops::Range<usize>, usize)> {
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
    if let Some(score) = &job.file().score {
        return crate::inference::openings(job, score);
    }
    let opening = |what, recipients, times, values| Opening { what, recipients, times, values };
    let tables = 1 + usize::from(job.voting().is_some());
    let checked = job.rows().iter().map(|r| tables * usize::from(r.train > 0) + usize::from(r.test > 0)).sum();
    let mut all =
        vec![opening("one bit per party: some value is outside its declared range", Recipients::ALL, checked, 1)];
    all.extend(declared_openings(&job.file().model, &job.file().training));
    if let Some((distillation, questions)) = job.distillation() {
        let what = match distillation.privacy {
            Privacy::None => "PUBLISHED without privacy: the secret model's answers to public questions",
            Privacy::Voting(_) => "PUBLISHED: noisy votes on public questions",
        };
        let times = distillation.releases(job.file().training.epochs);
        all.push(opening(what, Recipients::ALL, times, questions.rows()));
    }
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
