//! From gradients to weights.

use crate::layers::Backward;
use crate::model::Model;
use crate::spec::{LearningRate, Optimiser, TrainSpec};
use privity_mpc::{By, Config, Inject, Product, Protocol, Raw, Result, Share};
use privity_ring::{Fixed, Shape, Tensor};

/// Decays and weight decay are integers over this power of two.
pub(crate) const DECAY_BITS: u32 = 16;
/// Adam works on gradients times this, so that the root of their mean square has room in the format.
pub(crate) const ADAM_GAIN: f64 = 64.0;
/// Under Adam components of the mean gradient are clipped to this: squares of their `ADAM_GAIN`-fold stay below 2^14,
/// the domain of the inverse square root.
pub(crate) const ADAM_CLIP: f64 = 1.9375;
/// Under Adam weights have at most this many fraction bits, so that squares, below 2^14, at twice their scale have room.
pub(crate) fn adam_frac(config: &Config) -> u32 {
    (config.room - 14) / 2
}
/// Fraction bits of Adam's bias correction.
const CORRECTION_BITS: u32 = 6;
/// Weights and updates are compared at this width.
const WIDTH: u32 = 48;

/// What an optimiser remembers of each layer, at the scale of weights.
#[derive(Clone)]
pub enum State<A> {
    /// Nothing.
    Sgd,
    /// Velocities.
    Momentum {
        /// One per layer.
        velocities: Vec<A>,
    },
    /// Moments of all layers' `ADAM_GAIN`-fold gradients, flattened into one vector.
    Adam {
        /// Running mean.
        mean: A,
        /// Running mean square.
        square: A,
        /// Updates made.
        steps: i32,
    },
}

impl<A: Share> State<A> {
    /// The state before the first update.
    pub fn new<P: Protocol<A = A, R = A::R>>(p: &mut P, optimiser: Optimiser, layers: &[A]) -> Self {
        let mut zeros = |shape: &Shape| p.public(&Tensor::zeros(shape));
        match optimiser {
            Optimiser::Sgd => State::Sgd,
            Optimiser::Momentum { .. } => {
                State::Momentum { velocities: layers.iter().map(|w| zeros(w.shape())).collect() }
            }
            Optimiser::Adam { .. } => {
                let all = Shape::vector(layers.iter().map(|w| w.shape().len()).sum());
                State::Adam { mean: zeros(&all), square: zeros(&all), steps: 0 }
            }
        }
    }
}

/// Rates of one iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// On the summed gradient, folded into the backward pass.
    pub gradient: LearningRate,
    /// On the mean gradient: the learning rate, as far as `gradient` represents it.
    pub effective: f64,
    /// Weight decay per iteration.
    pub decay: LearningRate,
}

impl Rates {
    /// The rates of an iteration over `rows` rows at learning rate `rate`.
    pub fn new(spec: &TrainSpec, rate: f64, rows: usize) -> Self {
        let adam = matches!(spec.optimiser, Optimiser::Adam { .. });
        let gradient = LearningRate::nearest(if adam { ADAM_GAIN } else { rate } / rows as f64);
        let effective = if adam { rate } else { gradient.value() * rows as f64 };
        Rates { gradient, effective, decay: LearningRate::nearest(rate * spec.l2) }
    }
}

/// Applies the updates of a backward pass and lifts what rode along: one round under SGD and momentum (their decays and
/// weight decay are rescaled locally and lifted in the same round).
///
/// # Errors
/// Protocol failures.
pub fn apply<P: Protocol>(
    p: &mut P,
    model: &mut Model<P::A>,
    state: &mut State<P::A>,
    spec: &TrainSpec,
    rates: &Rates,
    backward: Backward<P::A>,
) -> Result<P::A> {
    let mut raw = backward.updates;
    let layers = raw.len();
    raw.push(backward.extra);
    raw.extend(decays(p, model, rates)?);
    raw.extend(carried(p, state, spec)?);
    let mut lifted = p.lift(raw)?.into_iter();
    let mut updates: Vec<P::A> = lifted.by_ref().take(layers).collect();
    let extra = lifted.next().expect("the product that rode along is lifted too");
    let decays: Vec<P::A> = if rates.decay.mantissa == 0 { Vec::new() } else { lifted.by_ref().take(layers).collect() };
    let carried: Vec<P::A> = lifted.collect();
    let updates = match (&mut *state, spec.optimiser) {
        (State::Adam { mean, square, steps }, Optimiser::Adam { beta1, beta2, epsilon }) => {
            *steps += 1;
            let adam =
                Adam { beta1, beta2, epsilon, steps: *steps, rate: rates.effective, frac: model.plan.weight_frac };
            let limit = ADAM_GAIN * spec.clip_gradients.unwrap_or(ADAM_CLIP).min(ADAM_CLIP);
            updates = clip(p, &updates, limit, model.plan.weight_frac)?;
            let mut updates = adam.step(p, mean, square, &updates)?;
            add_all(&mut updates, &decays);
            updates
        }
        (state, _) => {
            if let Some(limit) = spec.clip_gradients {
                updates = clip(p, &updates, limit * rates.effective, model.plan.weight_frac)?;
            }
            add_all(&mut updates, &decays);
            if let State::Momentum { velocities } = state {
                add_all(&mut updates, &carried);
                velocities.clone_from(&updates);
            }
            updates
        }
    };
    add_all(&mut model.layers, &updates);
    Ok(extra)
}

fn add_all<A: Share>(to: &mut [A], what: &[A]) {
    for (to, what) in to.iter_mut().zip(what) {
        *to = to.add(what);
    }
}

/// `-decay w` of each layer; nothing without weight decay.
fn decays<P: Protocol>(p: &mut P, model: &Model<P::A>, rates: &Rates) -> Result<Vec<Raw<P::A>>> {
    if rates.decay.mantissa == 0 {
        return Ok(Vec::new());
    }
    let by = rates.decay.mantissa.wrapping_neg() as u64;
    scaled(p, &model.layers, by, rates.decay.shift)
}

/// The part of the velocity that stays.
fn carried<P: Protocol>(p: &mut P, state: &State<P::A>, spec: &TrainSpec) -> Result<Vec<Raw<P::A>>> {
    match (state, spec.optimiser) {
        (State::Momentum { velocities }, Optimiser::Momentum { decay }) => {
            scaled(p, velocities, decay_integer(decay), DECAY_BITS)
        }
        _ => Ok(Vec::new()),
    }
}

/// A decay over `2^DECAY_BITS`.
pub(crate) fn decay_integer(decay: f64) -> u64 {
    libm::round(decay * f64::from(1u32 << DECAY_BITS)) as u64
}

/// Each value times `by / 2^shift`.
fn scaled<P: Protocol>(p: &mut P, xs: &[P::A], by: u64, shift: u32) -> Result<Vec<Raw<P::A>>> {
    let products: Vec<P::A> = xs.iter().map(|x| x.scale(by)).collect();
    p.rescale(&products.iter().map(|x| (x, shift)).collect::<Vec<_>>())
}

/// Each value clipped to `±limit`, given its fraction bits: one comparison and one injection for all tensors together.
///
/// # Errors
/// Protocol failures.
pub fn clip<P: Protocol>(p: &mut P, xs: &[P::A], limit: f64, frac: u32) -> Result<Vec<P::A>> {
    let limit = Fixed { frac }.constant(limit);
    let filled = |p: &mut P, x: &P::A| p.public(&Tensor::fill(x.shape(), limit));
    let limits: Vec<P::A> = xs.iter().map(|x| filled(p, x)).collect();
    let above: Vec<P::A> = xs.iter().zip(&limits).map(|(x, l)| l.sub(x)).collect();
    let below: Vec<P::A> = xs.iter().zip(&limits).map(|(x, l)| x.add(l)).collect();
    let operands: Vec<&P::A> = above.iter().chain(&below).collect();
    let (bits, _) = p.signs(&operands, WIDTH, Vec::new())?;
    let excess: Vec<Raw<P::A>> = above.iter().map(|x| Raw::exact(x.clone())).collect();
    let lack: Vec<Raw<P::A>> = below.iter().map(|x| Raw::exact(x.neg())).collect();
    let (over, under) = bits.split_at(xs.len());
    let job = |i: usize| Inject {
        terms: vec![(&over[i], By::Value(&excess[i])), (&under[i], By::Value(&lack[i]))],
        shape: xs[i].shape().clone(),
    };
    let corrections = p.inject(&(0..xs.len()).map(job).collect::<Vec<_>>())?;
    Ok(xs.iter().zip(&corrections).map(|(x, c)| x.add(c)).collect())
}

/// One step of Adam over all layers as one vector.
struct Adam {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    steps: i32,
    rate: f64,
    frac: u32,
}

impl Adam {
    /// Updates from negative `ADAM_GAIN`-fold gradients.
    fn step<P: Protocol>(&self, p: &mut P, mean: &mut P::A, square: &mut P::A, gs: &[P::A]) -> Result<Vec<P::A>> {
        let flat: Vec<P::A> = gs.iter().map(|g| g.reshape(&Shape::vector(g.shape().len()))).collect();
        let g = P::A::concat_rows(&flat.iter().collect::<Vec<_>>());
        let squares = p.products(&[Product::mul(&g, &g, self.frac)])?;
        let toward_mean = self.toward(p, &g, mean, self.beta1)?;
        let mut lifted = p.lift(squares.into_iter().chain([toward_mean]).collect())?;
        *mean = mean.add(&lifted.remove(1));
        let toward_square = self.toward(p, &lifted[0], square, self.beta2)?;
        *square = square.add(&p.lift(vec![toward_square])?[0]);
        let root = self.inverse_root(p, square)?;
        let update = self.update(p, mean, &root)?;
        Ok(split(&update, gs))
    }

    /// `(1 - beta) (x - average)`.
    fn toward<P: Protocol>(&self, p: &mut P, x: &P::A, average: &P::A, beta: f64) -> Result<Raw<P::A>> {
        let by = (1 << DECAY_BITS) - decay_integer(beta);
        Ok(scaled(p, &[x.sub(average)], by, DECAY_BITS)?.remove(0))
    }

    /// `1 / sqrt(square / (1 - beta2^t) + epsilon^2)` at scale f.
    fn inverse_root<P: Protocol>(&self, p: &mut P, square: &P::A) -> Result<P::A> {
        let frac = p.config().fixed.frac;
        let correction = 1.0 / (1.0 - self.beta2.powi(self.steps));
        let by = libm::round(correction * f64::from(1u32 << CORRECTION_BITS)) as u64;
        let corrected = scaled(p, std::slice::from_ref(square), by, CORRECTION_BITS + self.frac - frac)?;
        let floor = Fixed { frac }.constant((ADAM_GAIN * self.epsilon).powi(2));
        let floor = p.public(&Tensor::fill(square.shape(), floor));
        let corrected = p.lift(corrected)?.remove(0).add(&floor);
        privity_mpc::ops::inverse_sqrt::inverse_sqrt(p, &corrected)
    }

    /// `rate / (1 - beta1^t) mean root` at the scale of weights.
    fn update<P: Protocol>(&self, p: &mut P, mean: &P::A, root: &P::A) -> Result<P::A> {
        let rate = LearningRate::nearest(self.rate / (1.0 - self.beta1.powi(self.steps)));
        let mean = mean.scale(rate.mantissa as u64);
        let shift = p.config().fixed.frac + rate.shift;
        Ok(p.products_lifted(&[Product::mul(&mean, root, shift)])?.remove(0))
    }
}

/// Consecutive parts of a vector under the shapes of `like`.
fn split<A: Share>(flat: &A, like: &[A]) -> Vec<A> {
    let mut from = 0;
    let mut parts = Vec::with_capacity(like.len());
    for part in like {
        let to = from + part.shape().len();
        parts.push(flat.slice_rows(from, to).reshape(part.shape()));
        from = to;
    }
    parts
}
