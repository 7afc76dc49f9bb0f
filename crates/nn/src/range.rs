//! Range planning: bounds of every intermediate value, and from them scales and comparison widths.
//!
//! The worst case is interval arithmetic over clipped inputs and weights. It grows by the fan-in at every layer, so deep
//! models rarely fit by it; then, or when weights are not clipped each iteration, the plan rests on an estimate of root
//! mean squares with a margin, and the sentinel of [`mod@crate::train`] watches what was assumed.

use crate::RangeError;
use crate::optim::adam_frac;
use crate::spec::{ClipEvery, LearningRate, Loss, ModelSpec, Optimiser, Sigmoid, TrainSpec};
use privity_mpc::Config;
use serde::Serialize;

/// Bits of a learning-rate mantissa.
const RATE_BITS: u32 = 7;
/// Weights carry up to this many fraction bits beyond the format's, so that small updates are not rounded away.
const GUARD_BITS: u32 = 8;
/// A plan that leaves weights fewer guard bits than this is not worth its proof.
const LEAST_GUARD: u32 = 4;
/// Fraction bits the piecewise sigmoid adds (see `privity_mpc::ops::sigmoid`).
const WIDE_BITS: u32 = 8;
/// Estimated peaks over root mean squares.
const PEAK: f64 = 8.0;
/// Estimated root mean square of a trained layer's weights over that of its initial ones.
const TRAINED: f64 = 2.0;
/// Estimated sums over a batch over the product of root mean squares (1 is their maximum by Cauchy and Schwarz).
const SUM_MARGIN: f64 = 4.0;

/// What the bounds rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Interval arithmetic over clipped values: no input within the limits can leave the ranges.
    Proven,
    /// Estimated root mean squares with a margin; the sentinel stops a job that leaves them.
    Estimated,
}

/// Bounds on the magnitudes of a layer's values, in real terms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounds {
    /// Inputs.
    pub input: f64,
    /// Pre-activations.
    pub pre_activation: f64,
    /// Gradient by the pre-activations, of one row.
    pub gradient: f64,
    /// Gradient by the weights, summed over a batch.
    pub weight_gradient: f64,
}

/// Scales, width and bounds of one layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerPlan {
    /// Bits its comparisons read.
    pub width: u32,
    /// Fraction bits of the gradient by its pre-activations.
    pub gradient_frac: u32,
    /// The bounds these follow from.
    pub bounds: Bounds,
}

/// The plan of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// What the bounds rest on.
    pub verdict: Verdict,
    /// Fraction bits of inputs, activations and results.
    pub frac: u32,
    /// Fraction bits of weights.
    pub weight_frac: u32,
    /// The layers, input side first.
    pub layers: Vec<LayerPlan>,
}

/// Plans the training of `model` on `inputs` features in the format of `config`.
///
/// # Errors
/// The first layer and operation that the format cannot hold even by estimate.
pub fn plan(config: &Config, model: &ModelSpec, train: &TrainSpec, inputs: usize) -> Result<Plan, RangeError> {
    let sizes = model.sizes(inputs);
    let clipped = train.clip_weights.is_some() && train.clip_every == ClipEvery::Iteration;
    let format = Format { config, output_frac: output_frac(config, model, train), guard: guard_bits(config, train)? };
    if clipped {
        let proven = format.plan(Verdict::Proven, &worst_case(&sizes, model, train), LEAST_GUARD.min(format.guard));
        if proven.is_ok() {
            return proven;
        }
    }
    format.plan(Verdict::Estimated, &estimate(&sizes, model, train), 0)
}

/// The most guard bits of weights.
fn guard_bits(config: &Config, train: &TrainSpec) -> Result<u32, RangeError> {
    let frac = config.fixed.frac;
    let refuse = |needed, available, remedy| {
        Err(RangeError { layer: 0, operation: "inverse square root of Adam", needed, available, remedy })
    };
    match train.optimiser {
        Optimiser::Adam { .. } if frac < 12 => refuse(12, frac, "raise frac to 12 or more, or use momentum"),
        Optimiser::Adam { .. } if frac > 20 => refuse(frac, 20, "lower frac to 20 or less, or use momentum"),
        Optimiser::Adam { .. } => Ok(GUARD_BITS.min(adam_frac(config) - frac)),
        _ => Ok(GUARD_BITS),
    }
}

/// Fraction bits of the gradient by the output layer's pre-activation.
fn output_frac(config: &Config, model: &ModelSpec, train: &TrainSpec) -> u32 {
    let wide = train.loss(model) == Loss::Bce && model.sigmoid == Sigmoid::Piecewise;
    config.fixed.frac + if wide { WIDE_BITS } else { 0 }
}

/// Interval arithmetic: every term of every sum at its bound, with one sign.
fn worst_case(sizes: &[usize], model: &ModelSpec, train: &TrainSpec) -> Vec<Bounds> {
    let weight = train.planned_weight();
    let mut bounds = Vec::new();
    let mut input = train.input_limit;
    for fan_in in &sizes[..sizes.len() - 1] {
        let pre_activation = weight * (*fan_in as f64 * input + 1.0);
        bounds.push(Bounds { input, pre_activation, gradient: 0.0, weight_gradient: 0.0 });
        input = pre_activation;
    }
    let mut gradient = output_gradient(model, train, input);
    for (layer, b) in bounds.iter_mut().enumerate().rev() {
        b.gradient = gradient;
        b.weight_gradient = train.batch as f64 * b.input.max(1.0) * gradient;
        gradient *= weight * sizes[layer + 1] as f64;
    }
    bounds
}

/// Root mean squares as of independent terms, times a margin. Standardised inputs have root mean square 1, trained
/// weights [`TRAINED`] times that of their initial values.
fn estimate(sizes: &[usize], model: &ModelSpec, train: &TrainSpec) -> Vec<Bounds> {
    let weight = |fan_in: usize| (TRAINED * (2.0 / fan_in as f64).sqrt()).min(train.planned_weight());
    let mut rms = train.input_limit.min(1.0);
    let mut inputs_rms = Vec::new();
    let mut bounds = Vec::new();
    for (layer, fan_in) in sizes[..sizes.len() - 1].iter().enumerate() {
        let z = weight(*fan_in) * (*fan_in as f64).sqrt() * rms.max(1.0);
        let input = if layer == 0 { train.input_limit } else { PEAK * rms };
        bounds.push(Bounds { input, pre_activation: PEAK * z, gradient: 0.0, weight_gradient: 0.0 });
        inputs_rms.push(rms.max(1.0));
        rms = z / std::f64::consts::SQRT_2; // a rectified symmetric value
    }
    let mut gradient = output_gradient(model, train, rms * std::f64::consts::SQRT_2);
    let mut peak = output_gradient(model, train, bounds.last().map_or(0.0, |b| b.pre_activation));
    for (layer, b) in bounds.iter_mut().enumerate().rev() {
        b.gradient = peak;
        b.weight_gradient = SUM_MARGIN * train.batch as f64 * inputs_rms[layer] * gradient;
        gradient *= weight(sizes[layer]) * (sizes[layer + 1] as f64).sqrt();
        peak = PEAK * gradient;
    }
    bounds
}

/// A bound on the gradient by the output, given one on the output. Labels of a regression are standardised like inputs.
fn output_gradient(model: &ModelSpec, train: &TrainSpec, output: f64) -> f64 {
    match train.loss(model) {
        Loss::Bce => 1.0,
        Loss::Mse => output + train.input_limit,
    }
}

/// The format a plan must fit.
struct Format<'a> {
    config: &'a Config,
    output_frac: u32,
    guard: u32,
}

impl Format<'_> {
    /// The most guard bits, at least `least`, with which every layer fits.
    fn plan(&self, verdict: Verdict, bounds: &[Bounds], least: u32) -> Result<Plan, RangeError> {
        let frac = self.config.fixed.frac;
        let fit = |guard: u32| -> Result<Plan, RangeError> {
            let weight_frac = frac + guard;
            let layer = |(i, b): (usize, &Bounds)| self.layer(verdict, weight_frac, i, b, i + 1 == bounds.len());
            let layers = bounds.iter().enumerate().map(layer).collect::<Result<_, _>>()?;
            Ok(Plan { verdict, frac, weight_frac, layers })
        };
        (least + 1..=self.guard).rev().find_map(|guard| fit(guard).ok()).map_or_else(|| fit(least), Ok)
    }

    fn layer(
        &self,
        verdict: Verdict,
        weight_frac: u32,
        layer: usize,
        bounds: &Bounds,
        output: bool,
    ) -> Result<LayerPlan, RangeError> {
        // Products must stay below this power of two before they are rescaled.
        let (frac, most) = (self.config.fixed.frac, self.config.room);
        let refuse = |operation, needed, available, remedy| {
            if needed <= available { Ok(()) } else { Err(RangeError { layer, operation, needed, available, remedy }) }
        };
        let needed = frac + bits(bounds.pre_activation) + 2;
        // A raw product is right in its low 64 - weight_frac bits only.
        let width = self.config.width.min(64 - weight_frac);
        refuse(
            "comparison",
            needed,
            width,
            "raise the comparison width (up to 48), or lower input_limit, weights or frac",
        )?;
        let forward = frac + weight_frac + bits(bounds.pre_activation);
        refuse("forward product", forward, most, "lower frac, input_limit or the bound on weights")?;
        let backward = most.saturating_sub(weight_frac + bits(bounds.gradient));
        let update = most.saturating_sub(frac + RATE_BITS + bits(bounds.weight_gradient));
        // The learning rate widens the rescaling of the weights' gradient, which must stay below the word.
        let rescaling = most - LearningRate::MAX_SHIFT + weight_frac - frac;
        let room = backward.min(update).min(rescaling);
        let remedy = "lower frac, batch or input_limit, or set clip_weights lower";
        refuse("gradient product", most + frac - room.min(frac), most, remedy)?;
        let gradient_frac = room.min(if output { self.output_frac } else { frac + WIDE_BITS });
        let width = if verdict == Verdict::Proven { needed } else { width };
        Ok(LayerPlan { width, gradient_frac, bounds: *bounds })
    }
}

/// Integer bits of a bound: the least `b >= 0` with `bound < 2^b`.
fn bits(bound: f64) -> u32 {
    (libm::floor(libm::log2(bound.max(0.5))) as i32 + 1).max(0) as u32
}
