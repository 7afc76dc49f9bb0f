//! The program of a job that scores rows, written once for every protocol as the one of training is.
//! Spec: docs/protocols/scoring.md.

use crate::job::Rows;
use crate::program::{Inputs, Outcome, booked, classifies, probability, slices, standardise_with};
use crate::score::{Output, Scheme, Score};
use crate::{Job, JobError};
use privity_mpc::cost::Speeds;
use privity_mpc::count::Count;
use privity_mpc::gmw::cost::GmwCosts;
use privity_mpc::ops::statistics::Moments;
use privity_mpc::ops::{compare, range, reciprocal};
use privity_mpc::{Config, Garbled, Product, Protocol, Recipients, Share};
use privity_nn::model::Head;
use privity_nn::train::Opening;
use privity_nn::{Model, Observer, metrics};
use privity_ring::{Shape, Tensor};

/// What is added to every probability before shares of their sum are taken.
const FLOOR: f64 = 1.0 / 256.0;
/// Bound on inverse deviations of models: see `score`.
const MOST_INVERSE: f64 = 32.0;

/// A model, and what features are standardised with for it.
struct Scorer<A> {
    model: Model<A>,
    moments: Option<Moments<A>>,
}

/// Scores all rows.
///
/// # Errors
/// A value beyond its owner's range, formats without room, protocol failures.
pub(crate) fn run<P: Protocol>(
    p: &mut P,
    job: &Job,
    score: &Score,
    inputs: &Inputs<P::R>,
    observer: &mut dyn Observer,
) -> Result<Outcome, JobError> {
    observer.opening("for each owner, whether its rows or its models are within their ranges")?;
    let rows = share_rows(p, job, inputs)?;
    let mut scores = Vec::with_capacity(score.models);
    for index in 0..score.models {
        let scorer = share_model(p, job, index, inputs)?;
        let x = booked(p, "standardise", |p| Ok(standardise_with(p, job, &rows, scorer.moments.as_ref())?))?;
        let probabilities = score.output == Output::Shares;
        let of = |p: &mut P| if probabilities { scorer.model.predict(p, &x) } else { scorer.model.scores(p, &x) };
        scores.push(booked(p, "scores", |p| Ok(of(p)?))?);
    }
    let schemes = job.schemes();
    let results = match score.output {
        Output::Prediction => scores.remove(0),
        Output::Class => {
            let class = booked(p, "argmax", |p| Ok(argmax(p, schemes.argmax.unwrap_or_default(), &scores)?))?;
            class.scale(1 << p.config().fixed.frac)
        }
        Output::Shares => booked(p, "division", |p| Ok(parts(p, schemes.division.unwrap_or_default(), &scores)?))?,
    };
    observer.opening("results for rows, to their owners")?;
    let opened = metrics::open_to_owners(p, &results, &slices(&job.rows()))?;
    let logistic = classifies(&job.file().model, job) && score.output == Output::Prediction;
    let predictions = opened.into_iter().map(|scores| scores.map(|s| probability(s, logistic))).collect();
    Ok(Outcome { predictions, ..Outcome::default() })
}

fn check<P: Protocol>(p: &mut P, job: &Job, owner: usize, values: &[(&P::A, f64)]) -> Result<(), JobError> {
    let fits = p.scope("range check", |p| {
        let mut fits = true;
        for (x, bound) in values {
            fits &= range::within(p, x, *bound)?;
        }
        Ok(fits)
    })?;
    if fits { Ok(()) } else { Err(JobError::OutOfRange { owner: job.names()[owner].clone() }) }
}

/// All owners' rows, each checked.
fn share_rows<P: Protocol>(p: &mut P, job: &Job, inputs: &Inputs<P::R>) -> Result<P::A, JobError> {
    let mut all = Vec::new();
    for (owner, rows) in job.rows().iter().enumerate().filter(|(_, rows)| rows.test > 0) {
        let shape = Shape::matrix(rows.test, job.features());
        let x = p.input(owner, &shape, inputs.of(owner).map(|e| &e.test))?;
        check(p, job, owner, &[(&x, job.scaling().bound)])?;
        all.push(x);
    }
    Ok(P::A::concat_rows(&all.iter().collect::<Vec<_>>()))
}

/// A model of their owner, checked.
fn share_model<P: Protocol>(
    p: &mut P,
    job: &Job,
    index: usize,
    inputs: &Inputs<P::R>,
) -> Result<Scorer<P::A>, JobError> {
    let (file, features) = (job.file(), job.features());
    let owner = job.model_owner().ok_or_else(|| JobError::Internal("a job that scores without models".into()))?;
    let mine = inputs.of(owner).map(|encoded| encoded.models.get(index));
    let mine = mine.map(|m| m.ok_or_else(|| JobError::Internal("a model is missing".into()))).transpose()?;
    let plan = privity_nn::range::plan(p.config(), &file.model, &file.training, features)?;
    let guard = f64::from(plan.weight_frac - plan.frac).exp2();
    let mut layers = Vec::new();
    for (i, pair) in file.model.sizes(features).windows(2).enumerate() {
        let shape = Shape::matrix(pair[1], pair[0] + 1);
        let layer = p.input(owner, &shape, mine.map(|m| &m.layers[i]))?;
        check(p, job, owner, &[(&layer, file.training.weight_limit * guard)])?;
        layers.push(layer);
    }
    let moments = match file.data.standardise {
        true => {
            let mean = p.input(owner, &Shape::vector(features), mine.map(|m| &m.mean))?;
            let inverse_deviation = p.input(owner, &Shape::vector(features), mine.map(|m| &m.inverse_deviation))?;
            check(p, job, owner, &[(&mean, job.scaling().bound), (&inverse_deviation, MOST_INVERSE)])?;
            // Standardising reads no variance.
            Some(Moments { variance: mean.clone(), mean, inverse_deviation })
        }
        false => None,
    };
    let head = if classifies(&file.model, job) { Head::Logistic(file.model.sigmoid) } else { Head::Identity };
    Ok(Scorer { model: Model { layers, head, plan }, moments })
}

/// The position of the largest score of each row. Spec 3.1.
fn argmax<P: Protocol>(p: &mut P, scheme: Scheme, scores: &[P::A]) -> privity_mpc::Result<P::A> {
    let scores: Vec<&P::A> = scores.iter().collect();
    match scheme {
        Scheme::Share => compare::argmax(p, &scores),
        Scheme::Yao => {
            let circuit = Garbled::argmax(p.config().width, scores.len());
            Ok(p.garbled(&circuit, &scores, &[])?.0.remove(0))
        }
    }
}

/// Of each row the shares `[rows, models]` of its probabilities in their sum. Spec 3.2.
fn parts<P: Protocol>(p: &mut P, scheme: Scheme, probabilities: &[P::A]) -> privity_mpc::Result<P::A> {
    let (models, fixed) = (probabilities.len(), p.config().fixed);
    let shape = probabilities[0].shape().clone();
    let rows = shape.len();
    let floor = p.public(&Tensor::fill(&shape, fixed.constant(FLOOR)));
    let raised: Vec<P::A> = probabilities.iter().map(|x| x.add(&floor)).collect();
    let total = raised[1..].iter().fold(raised[0].clone(), |sum, x| sum.add(x));
    let raised = P::A::concat_rows(&raised.iter().collect::<Vec<_>>());
    let repeated = |x: &P::A| P::A::concat_rows(&vec![x; models]);
    let shares = match scheme {
        Scheme::Share => {
            let inverse = reciprocal::reciprocal(p, &total)?;
            p.products_lifted(&[Product::mul(&raised, &repeated(&inverse), fixed.frac)])?.remove(0)
        }
        Scheme::Yao => {
            // A sum below twice the models, its sign, and a bit for rounding.
            let width = fixed.frac + models.next_power_of_two().ilog2() + 3;
            let circuit = Garbled::quotient(width, fixed.frac);
            p.garbled(&circuit, &[&raised, &repeated(&total)], &[])?.0.remove(0)
        }
    };
    Ok(shares.reshape(&Shape::matrix(models, rows)).transpose())
}

/// The scheme in which the operation of a job under gmw takes less time on this link.
pub(crate) fn cheaper(config: Config, speeds: Speeds, score: &Score, rows: usize) -> Scheme {
    let seconds = |scheme| {
        let mut p = Count::new(config, GmwCosts, speeds);
        let scores = vec![Tensor::zeros(&Shape::vector(rows)); score.models];
        let done = match score.output {
            Output::Shares => parts(&mut p, scheme, &scores),
            _ => argmax(&mut p, scheme, &scores),
        };
        done.map_or(f64::INFINITY, |_| p.clock().seconds())
    };
    if seconds(Scheme::Yao) < seconds(Scheme::Share) { Scheme::Yao } else { Scheme::Share }
}

/// All that such a job opens, and to whom.
pub(crate) fn openings(job: &Job, score: &Score) -> Vec<Opening> {
    let opening = |what, recipients, times, values| Opening { what, recipients, times, values };
    let rows = job.rows();
    let owners = rows.iter().filter(|rows| rows.test > 0).count();
    let tensors = job.file().model.sizes(job.features()).len() - 1 + 2 * usize::from(job.file().data.standardise);
    let what = match score.output {
        Output::Prediction => "scores of own rows",
        Output::Class => "classes of own rows",
        Output::Shares => "shares of the classes of own rows",
    };
    let mut all = vec![
        opening("one bit per owner of rows: some value is outside its declared range", Recipients::ALL, owners, 1),
        opening(
            "one bit per layer and moment of each model: some value is outside its range",
            Recipients::ALL,
            score.models * tensors,
            1,
        ),
    ];
    let each = if score.output == Output::Shares { score.models } else { 1 };
    let owned = |(owner, rows): (usize, &Rows)| opening(what, Recipients::only(owner), 1, each * rows.test);
    all.extend(rows.iter().enumerate().filter(|(_, rows)| rows.test > 0).map(owned));
    all
}
