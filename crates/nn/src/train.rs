//! Training: epochs of iterations, one declared opening per epoch.

use crate::layers::{self, Forward, Rows};
use crate::loss::{self, Meter, Output};
use crate::model::{Head, Model, check_columns};
use crate::optim::{self, Rates, State};
use crate::permute::batches;
use crate::spec::{ClipEvery, ModelSpec, TrainSpec};
use crate::{SpecError, TrainError};
use privity_mpc::{By, Inject, Origin, Product, Protocol, Raw, Recipients, Share};
use privity_ring::{Fixed, Ring, Shape, Tensor};
use serde::Serialize;

/// The sentinel compares at this width: it must see values far beyond the planned ones.
const SENTINEL_WIDTH: u32 = 48;

/// What training tells its caller as it goes. Nothing here is secret: the loss is a declared opening.
pub trait Observer {
    /// Iteration `batch` of `batches` of an epoch is done.
    fn iteration(&mut self, epoch: usize, batch: usize, batches: usize) {
        let _ = (epoch, batch, batches);
    }
    /// An epoch is done, with this mean loss over its batches as they were met.
    fn epoch(&mut self, epoch: usize, loss: f64) {
        let _ = (epoch, loss);
    }
    /// This is about to be opened. Whoever keeps a record writes it now: what is opened cannot be taken back.
    ///
    /// # Errors
    /// The record could not be written; nothing is opened then.
    fn opening(&mut self, what: &'static str) -> Result<(), TrainError> {
        let _ = what;
        Ok(())
    }
}

/// An observer that looks away.
impl Observer for () {}

/// All that training needs to go on from the end of an epoch, as shares.
#[derive(Clone)]
pub struct Kept<A> {
    /// Epochs done.
    pub epochs: usize,
    /// Updates that Adam made.
    pub steps: i32,
    /// Weights of each layer, then what the optimiser remembers.
    pub shares: Vec<A>,
    /// Under what they were kept. Of [`Origin::Joined`] the party that joins has no shares.
    pub origin: Origin,
}

/// Keeps training's state at the end of every epoch, when all before it has been opened to or verified by all.
pub trait Keeper<A> {
    /// Where an earlier run stopped, if this one goes on from there.
    ///
    /// # Errors
    /// [`TrainError::Keeping`]: what was kept cannot be read.
    fn restore(&mut self) -> Result<Option<Kept<A>>, TrainError> {
        Ok(None)
    }
    /// Whether [`Keeper::keep`] is wanted.
    fn keeps(&self) -> bool {
        false
    }
    /// Whether the state after the last epoch is wanted, too.
    fn keeps_last(&self) -> bool {
        false
    }
    /// Takes the state.
    ///
    /// # Errors
    /// [`TrainError::Keeping`].
    fn keep(&mut self, kept: Kept<A>) -> Result<(), TrainError> {
        let _ = kept;
        Ok(())
    }
}

/// Keeps nothing.
impl<A> Keeper<A> for () {}

/// Something that a program does with the model between epochs, under the same protocol.
pub trait Between<P: Protocol> {
    /// Whether there is anything to do after so many epochs.
    fn acts(&self, epochs: usize) -> bool {
        let _ = epochs;
        false
    }
    /// Does it. What was trained so far has been verified, and kept if a keeper keeps: it is not done again after a resumption.
    ///
    /// # Errors
    /// Whatever stops the training.
    fn after(
        &mut self,
        p: &mut P,
        epochs: usize,
        model: &Model<P::A>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let _ = (p, epochs, model, observer);
        Ok(())
    }
}

/// Does nothing.
impl<P: Protocol> Between<P> for () {}

/// Something a job opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Opening {
    /// What is opened.
    pub what: &'static str,
    /// Who learns it.
    #[serde(skip)]
    pub recipients: Recipients,
    /// How many times.
    pub times: usize,
    /// Values each time.
    pub values: usize,
}

/// All that training opens, before it starts.
pub fn declared_openings(model: &ModelSpec, train: &TrainSpec) -> Vec<Opening> {
    let layers = model.sizes(1).len() - 1;
    let opening = |what, values| Opening { what, recipients: Recipients::ALL, times: train.epochs, values };
    vec![
        opening("mean training loss of the epoch", 1),
        opening("per layer one bit: some weight or pre-activation left its planned range", layers),
    ]
}

/// A model in training.
pub struct Trainer<A> {
    /// The model so far.
    pub model: Model<A>,
    /// What the optimiser remembers.
    pub state: State<A>,
    /// How to train.
    pub spec: TrainSpec,
}

impl<A: Share> Trainer<A> {
    /// A trainer at the initial model over `inputs` features.
    ///
    /// # Errors
    /// A specification out of its domain; a format that cannot hold the model.
    pub fn new<P: Protocol<A = A, R = A::R>>(
        p: &mut P,
        model: &ModelSpec,
        spec: &TrainSpec,
        inputs: usize,
    ) -> Result<Self, TrainError> {
        let model = Model::initial(p, model, spec, inputs)?;
        Ok(Self::resume(p, model, spec))
    }

    /// A trainer that goes on from given weights, with an optimiser that remembers nothing.
    pub fn resume<P: Protocol<A = A, R = A::R>>(p: &mut P, model: Model<A>, spec: &TrainSpec) -> Self {
        let state = State::new(p, spec.optimiser, &model.layers);
        Trainer { model, state, spec: spec.clone() }
    }
}

impl<A: Share> Trainer<A> {
    /// The state after so many epochs.
    fn kept(&self, epochs: usize) -> Kept<A> {
        let mut shares = self.model.layers.clone();
        let mut steps = 0;
        match &self.state {
            State::Sgd => {}
            State::Momentum { velocities } => shares.extend_from_slice(velocities),
            State::Adam { mean, square, steps: made } => {
                shares.extend([mean.clone(), square.clone()]);
                steps = *made;
            }
        }
        Kept { epochs, steps, shares, origin: Origin::Same }
    }

    /// Goes on from a kept state, shared anew; verified before anything is done with it.
    fn restore<P: Protocol<A = A, R = A::R>>(&mut self, p: &mut P, mut kept: Kept<A>) -> Result<(), TrainError> {
        if kept.origin == Origin::Joined && kept.shares.is_empty() {
            kept.shares = self.kept(0).shares.iter().map(|s| p.public(&Tensor::zeros(s.shape()))).collect();
        }
        let shapes = |shares: &[A]| -> Vec<Shape> { shares.iter().map(|s| s.shape().clone()).collect() };
        let (expected, got) = (shapes(&self.kept(0).shares), shapes(&kept.shares));
        if expected != got || kept.epochs > self.spec.epochs {
            let (expected, got) = (format!("{expected:?}"), format!("{got:?}"));
            return Err(TrainError::Shape { operation: "going on from a checkpoint", expected, got });
        }
        let fresh = p.refresh(&kept.shares.iter().collect::<Vec<_>>(), kept.origin)?;
        p.settle()?;
        let mut fresh = fresh.into_iter();
        self.model.layers.iter_mut().zip(&mut fresh).for_each(|(layer, share)| *layer = share);
        match &mut self.state {
            State::Sgd => {}
            State::Momentum { velocities } => velocities.iter_mut().zip(&mut fresh).for_each(|(v, share)| *v = share),
            State::Adam { mean, square, steps } => {
                *steps = kept.steps;
                [mean, square].into_iter().zip(&mut fresh).for_each(|(moment, share)| *moment = share);
            }
        }
        Ok(())
    }
}

/// What an iteration leaves for the loss and the sentinel.
pub struct Outcome<A, B> {
    /// Of each lane's rows, in their order.
    pub parts: Vec<Part<A, B>>,
    /// `y . z` under cross entropy, the summed squared error under squared error; `[1, 1]` at scale f.
    pub product: A,
}

/// What some rows leave.
pub struct Part<A, B> {
    /// The output step.
    pub output: Output<A, B>,
    /// Pre-activations `[out, rows]` of all layers at scale f, lifted.
    pub pre_activations: Vec<Raw<A>>,
}

/// One iteration: forward, backward, update. `x` is `[rows, d + 1]` with the constant 1 (see [`layers::augment`]), `y` is
/// `[rows]`; both at scale f. Rounds under SGD with h hidden layers and comparisons of s rounds:
/// `(2 + s) h + (2 + s) + 2 h + 2`; 21 for h = 2, s = 3. Forward and backward passes go lane by lane, each over its part of the rows.
///
/// # Errors
/// Protocol failures.
pub fn iteration<P: Protocol>(
    p: &mut P,
    trainer: &mut Trainer<P::A>,
    x: &P::A,
    y: &P::A,
    rate: f64,
) -> Result<Outcome<P::A, P::B>, TrainError> {
    let rows = x.shape().rows();
    let rates = Rates::new(&trainer.spec, rate, rows);
    let model = &mut trainer.model;
    let (mut parts, backward) = match trainer.spec.lanes.min(rows) {
        0 | 1 => {
            let (part, backward) = pass(p, model, x, y, &rates, Rows::All)?;
            (vec![part], backward)
        }
        lanes => {
            let cut = |lane: usize| (lane * rows / lanes, (lane + 1) * rows / lanes);
            let slices: Vec<(P::A, P::A)> = (0..lanes)
                .map(|lane| (x.slice_rows(cut(lane).0, cut(lane).1), y.slice_rows(cut(lane).0, cut(lane).1)))
                .collect();
            let passed = p.in_lanes(slices, |p, (x, y)| pass(p, model, &x, &y, &rates, Rows::Some))?;
            let (parts, backward): (Vec<_>, Vec<_>) = passed.into_iter().unzip();
            (parts, p.scope("backward", |p| layers::total(p, model, &backward, rates.gradient))?)
        }
    };
    let product = p.scope("update", |p| {
        let product = optim::apply(p, model, &mut trainer.state, &trainer.spec, &rates, backward)?;
        if trainer.spec.clip_every == ClipEvery::Iteration {
            clip_weights(p, model, &trainer.spec)?;
        }
        Ok(product)
    })?;
    for part in &mut parts {
        part.pre_activations.push(Raw::exact(part.output.logits.clone()));
    }
    Ok(Outcome { parts, product })
}

/// Forward and backward pass over rows of a batch.
fn pass<P: Protocol>(
    p: &mut P,
    model: &Model<P::A>,
    x: &P::A,
    y: &P::A,
    rates: &Rates,
    rows: Rows,
) -> privity_mpc::Result<(Part<P::A, P::B>, layers::Backward<P::A>)> {
    let y = y.reshape(&Shape::matrix(1, x.shape().rows()));
    let forward = p.scope("forward", |p| model.forward(p, x))?;
    let output = p.scope("loss", |p| loss::output(p, model, forward.logits.clone(), &y))?;
    let backward = p.scope("backward", |p| backward(p, model, x, &forward, &output, &y, rates, rows))?;
    Ok((Part { output, pre_activations: forward.pre_activations }, backward))
}

/// The backward pass, with the product that the loss needs.
#[allow(clippy::too_many_arguments)]
fn backward<P: Protocol>(
    p: &mut P,
    model: &Model<P::A>,
    x: &P::A,
    forward: &Forward<P::A, P::B>,
    output: &Output<P::A, P::B>,
    y: &P::A,
    rates: &Rates,
    rows: Rows,
) -> privity_mpc::Result<layers::Backward<P::A>> {
    let (left, right) = match model.head {
        Head::Identity => (&output.gradient, output.gradient.transpose()),
        Head::Logistic(_) => (&output.logits, y.transpose()),
    };
    let extra = Product::matmul(left, &right, model.plan.frac);
    layers::backward(p, model, x, forward, output.gradient.clone(), rates.gradient, (extra, rows))
}

fn clip_weights<P: Protocol>(p: &mut P, model: &mut Model<P::A>, spec: &TrainSpec) -> privity_mpc::Result<()> {
    if let Some(limit) = spec.clip_weights {
        model.layers = optim::clip(p, &model.layers, limit, model.plan.weight_frac)?;
    }
    Ok(())
}

/// Trains on features `[rows, d]` and labels `[rows]`, both at scale f. Features are within `spec.input_limit` in magnitude,
/// and so are labels under squared error; under cross entropy labels are 0 or 1.
///
/// # Errors
/// A specification out of its domain, a format that cannot hold the model, operands that do not fit, protocol failures;
/// [`TrainError::Diverged`] when values left their planned ranges.
pub fn train<P: Protocol>(
    p: &mut P,
    model: &ModelSpec,
    spec: &TrainSpec,
    features: &P::A,
    labels: &P::A,
    observer: &mut dyn Observer,
) -> Result<Model<P::A>, TrainError> {
    train_from(p, model, spec, (features, labels), observer, &mut (), &mut ())
}

/// Trains without opening anything, neither losses nor whether values left their ranges: for models of which nothing but certain
/// answers may ever be known.
///
/// # Errors
/// As [`train`], but for divergence, which is not seen.
pub fn train_quietly<P: Protocol>(
    p: &mut P,
    model: &ModelSpec,
    spec: &TrainSpec,
    features: &P::A,
    labels: &P::A,
) -> Result<Model<P::A>, TrainError> {
    check_table(features, labels)?;
    let mut trainer = Trainer::new(p, model, spec, features.shape().cols())?;
    for epoch in 0..spec.epochs {
        let batches = batches(spec.seed, epoch, features.shape().rows(), spec.batch, spec.shuffle);
        for (index, batch) in batches.iter().enumerate() {
            let rate = rate(spec, epoch, index, batches.len());
            let x = layers::augment(p, &features.gather_rows(batch));
            iteration(p, &mut trainer, &x, &labels.gather_rows(batch), rate)?;
        }
        if spec.clip_every == ClipEvery::Epoch {
            clip_weights(p, &mut trainer.model, spec)?;
        }
    }
    Ok(trainer.model)
}

/// The learning rate of a batch.
fn rate(spec: &TrainSpec, epoch: usize, index: usize, batches: usize) -> f64 {
    let step = epoch * batches + index;
    spec.learning_rate * spec.schedule.factor(epoch, step, spec.epochs * batches)
}

fn check_table<A: Share>(features: &A, labels: &A) -> Result<(), TrainError> {
    let shape = features.shape();
    check_columns(shape.cols(), shape)?;
    if shape.rows() == 0 || shape.cols() == 0 {
        return Err(SpecError { field: "rows", domain: "and columns must be at least one each" }.into());
    }
    check_labels(shape.rows(), labels.shape())
}

/// The same, going on from what `keeper` restores and giving it the state after every epoch but the last, or that too if something
/// follows; `between` acts between epochs. In exact mode the model is that of a run without interruption, bit for bit.
///
/// # Errors
/// As [`train`]; [`TrainError::Keeping`].
pub fn train_from<P: Protocol>(
    p: &mut P,
    model: &ModelSpec,
    spec: &TrainSpec,
    (features, labels): (&P::A, &P::A),
    observer: &mut dyn Observer,
    keeper: &mut dyn Keeper<P::A>,
    between: &mut dyn Between<P>,
) -> Result<Model<P::A>, TrainError> {
    check_table(features, labels)?;
    let mut trainer = Trainer::new(p, model, spec, features.shape().cols())?;
    let kept = keeper.restore()?;
    let done = kept.as_ref().map_or(0, |kept| kept.epochs);
    if let Some(kept) = kept {
        p.scope("resume", |p| Ok(trainer.restore(p, kept)))??;
    }
    for epoch in done..spec.epochs {
        let loss = run_epoch(p, &mut trainer, features, labels, epoch, observer)?;
        observer.epoch(epoch, loss);
        let acts = between.acts(epoch + 1);
        if keeper.keeps() && (acts || keeper.keeps_last() || epoch + 1 < spec.epochs) {
            keeper.keep(trainer.kept(epoch + 1))?;
        }
        if acts {
            between.after(p, epoch + 1, &trainer.model, observer)?;
        }
    }
    Ok(trainer.model)
}

/// One epoch; the mean loss.
fn run_epoch<P: Protocol>(
    p: &mut P,
    trainer: &mut Trainer<P::A>,
    features: &P::A,
    labels: &P::A,
    epoch: usize,
    observer: &mut dyn Observer,
) -> Result<f64, TrainError> {
    let spec = trainer.spec.clone();
    let batches = batches(spec.seed, epoch, features.shape().rows(), spec.batch, spec.shuffle);
    let mut meters: Vec<Meter<P::A, P::B>> = (0..spec.lanes).map(|_| Meter::default()).collect();
    let mut last = Vec::new();
    let head = trainer.model.head;
    for (index, batch) in batches.iter().enumerate() {
        let rate = rate(&spec, epoch, index, batches.len());
        let x = layers::augment(p, &features.gather_rows(batch));
        let outcome = iteration(p, trainer, &x, &labels.gather_rows(batch), rate)?;
        meters[0].add_product(head, &outcome.product);
        last.clear();
        for (meter, part) in meters.iter_mut().zip(outcome.parts) {
            meter.add(head, part.output);
            last.push(part.pre_activations);
        }
        if meters.iter().any(Meter::is_full) {
            p.in_lanes(meters.iter_mut().collect(), |p, meter| meter.flush(p))?;
        }
        observer.iteration(epoch, index, batches.len());
    }
    if spec.clip_every == ClipEvery::Epoch {
        clip_weights(p, &mut trainer.model, &spec)?;
    }
    let sums = p.scope("loss", |p| p.in_lanes(meters, |p, meter| meter.finish(p)))?;
    let rows: usize = sums.iter().map(|(_, rows)| rows).sum();
    let total = total(sums.iter().map(|(sum, _)| sum));
    let flags = p.scope("sentinel", |p| sentinel(p, &trainer.model, &spec, &last))?;
    observer.opening("mean training loss of an epoch, and per layer whether it left its range")?;
    let opened = p.open(&P::A::concat_rows(&[&total, &flags]), Recipients::ALL)?;
    let opened = opened.expect("an opening to all parties opens here");
    let (total, flags) = opened.data().split_first().expect("the loss is the first value opened");
    if let Some(layer) = flags.iter().position(|bit| bit.to_u64() != 0) {
        return Err(TrainError::Diverged { epoch, layer });
    }
    let halved = if trainer.model.head == Head::Identity { 0.5 } else { 1.0 };
    Ok(halved * p.config().fixed.decode(total.to_u64()) / rows as f64)
}

fn check_labels(rows: usize, shape: &Shape) -> Result<(), TrainError> {
    if shape.extents() == [rows] {
        return Ok(());
    }
    let (expected, got) = (format!("[{rows}]"), format!("{:?}", shape.extents()));
    Err(TrainError::Shape { operation: "labels of training", expected, got })
}

/// One bit per layer, `[layers]`: some weight, or some pre-activation of the last batch, is beyond its planned bound.
fn sentinel<P: Protocol>(
    p: &mut P,
    model: &Model<P::A>,
    spec: &TrainSpec,
    pre_activations: &[Vec<Raw<P::A>>],
) -> privity_mpc::Result<P::A> {
    let plan = &model.plan;
    let weight_limit = Fixed { frac: plan.weight_frac }.constant(spec.weight_limit);
    let of_all_layers = |part: &Vec<_>| part.len() == plan.layers.len();
    debug_assert!(pre_activations.iter().all(of_all_layers), "one tensor of pre-activations per layer");
    let mut checks: Vec<(usize, &P::A, u64)> =
        model.layers.iter().enumerate().map(|(layer, w)| (layer, w, weight_limit)).collect();
    for (layer, z) in pre_activations.iter().flat_map(|part| part.iter().enumerate()) {
        checks.push((layer, z.low_bits(), 1 << (plan.layers[layer].width - 1)));
    }
    let counts = violations(p, &checks)?;
    let per_layer: Vec<P::A> = (0..model.layers.len())
        .map(|layer| total(checks.iter().zip(&counts).filter(|((l, ..), _)| *l == layer).map(|(_, count)| count)))
        .collect();
    let negated = P::A::concat_rows(&per_layer.iter().collect::<Vec<_>>()).neg();
    let (some, _) = p.signs(&[&negated], SENTINEL_WIDTH, Vec::new())?;
    p.b2a(&some[0])
}

/// For each tensor how many of its values exceed their limit in magnitude: `[1]`.
fn violations<P: Protocol>(p: &mut P, checks: &[(usize, &P::A, u64)]) -> privity_mpc::Result<Vec<P::A>> {
    let mut margins = Vec::new();
    for (_, x, limit) in checks {
        let limit = p.public(&Tensor::fill(x.shape(), *limit));
        margins.push(limit.sub(x));
        margins.push(limit.add(x));
    }
    let (bits, _) = p.signs(&margins.iter().collect::<Vec<_>>(), SENTINEL_WIDTH, Vec::new())?;
    let jobs: Vec<Inject<'_, P::A, P::B>> = bits
        .chunks_exact(2)
        .zip(checks)
        .map(|(pair, (_, x, _))| Inject {
            terms: pair.iter().map(|bit| (bit, By::Public(1))).collect(),
            shape: x.shape().clone(),
        })
        .collect();
    Ok(p.inject(&jobs)?.iter().map(|beyond| beyond.map(Tensor::sum)).collect())
}

fn total<'a, A: Share + 'a>(counts: impl Iterator<Item = &'a A>) -> A {
    counts.cloned().reduce(|sum, count| sum.add(&count)).expect("there is something to add")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{ModelKind, ModelSpec};
    use privity_mpc::{Config, plain::Plain};

    #[test]
    fn the_sentinel_names_the_layers_that_left_their_ranges() {
        let mut p = Plain::new(Config::default(), 3);
        let spec = TrainSpec { weight_limit: 2.0, ..TrainSpec::default() };
        let model = ModelSpec::new(ModelKind::Mlp { hidden: vec![3, 2] });
        let model = Model::initial(&mut p, &model, &spec, 4).expect("a sound specification");
        let flags = |model: &Model<Tensor<u64>>, peaks: [u64; 3]| {
            let mut p = Plain::new(Config::default(), 3);
            let tensor = |units: usize| Tensor::fill(&Shape::matrix(units, 5), peaks[units - 1]);
            let values = [3, 2, 1].map(|units| Raw::exact(tensor(units)));
            sentinel(&mut p, model, &spec, &[values.into()]).expect("runs").into_data()
        };
        assert_eq!(flags(&model, [0; 3]), [0, 0, 0]);
        let limit = 1 << (model.plan.layers[2].width - 1);
        assert_eq!(flags(&model, [limit, 0, 0]), [0, 0, 0]);
        assert_eq!(flags(&model, [limit + 1, 0, 0]), [0, 0, 1]);
        let mut heavy = model.clone();
        heavy.layers[1].data_mut()[3] = Fixed { frac: model.plan.weight_frac }.constant(-2.001);
        assert_eq!(flags(&heavy, [0, 0, limit + 1]), [1, 1, 0]);
    }
}
