//! Dense layers forward and backward, in as few rounds as they take.
//!
//! Activations are kept as columns `[features + 1, rows]`, the last row a constant 1 that carries the biases.

use crate::model::Model;
use crate::spec::LearningRate;
use privity_mpc::{Product, Protocol, Raw, Result, Share};
use privity_ring::{Shape, Tensor};

/// What a forward pass leaves for the backward pass.
pub struct Forward<A, B> {
    /// Of each hidden layer: its outputs as columns, with the constant 1.
    pub outputs: Vec<A>,
    /// Of each hidden layer: pre-activations `[out, rows]` at scale f, lifted.
    pub pre_activations: Vec<Raw<A>>,
    /// Of each hidden layer: the bits "pre-activation is not negative", armed.
    pub gates: Vec<B>,
    /// The output layer's values `[1, rows]` at scale f.
    pub logits: Raw<A>,
}

/// Appends the constant 1 to each row: `[rows, d]` becomes `[rows, d + 1]`. Local.
pub fn augment<P: Protocol>(p: &mut P, features: &P::A) -> P::A {
    let one = 1 << p.config().fixed.frac;
    let ones = p.public(&Tensor::fill(&Shape::matrix(features.shape().rows(), 1), one));
    features.zip(&ones, Tensor::concat_cols)
}

/// Appends a row of ones at scale f to columns.
fn with_ones<P: Protocol>(p: &mut P, columns: &P::A) -> P::A {
    let one = 1 << p.config().fixed.frac;
    let ones = p.public(&Tensor::fill(&Shape::matrix(1, columns.shape().cols()), one));
    P::A::concat_rows(&[columns, &ones])
}

/// Forward pass over rows `[rows, d + 1]`. Hidden layer: one round of products, one comparison, one selection; output
/// layer: one round.
///
/// # Errors
/// Protocol failures.
pub fn forward<P: Protocol>(p: &mut P, model: &Model<P::A>, x: &P::A) -> Result<Forward<P::A, P::B>> {
    let weight_frac = model.plan.weight_frac;
    let (output, hidden) = model.layers.split_last().expect("a model has an output layer");
    let (mut outputs, mut pre_activations, mut gates) = (Vec::<P::A>::new(), Vec::new(), Vec::new());
    let first = x.transpose();
    for (weights, plan) in hidden.iter().zip(&model.plan.layers) {
        let input = outputs.last().unwrap_or(&first);
        let z = p.products(&[Product::matmul(weights, input, weight_frac)])?.remove(0);
        let (negative, lifted) = p.signs(&[z.low_bits()], plan.width, vec![z.clone()])?;
        let positive = p.not(&negative[0]);
        let gate = p.arm(&[&positive])?.remove(0);
        let z = Raw::exact(lifted.into_iter().next().expect("one lift gives one value"));
        let rectified = p.select(&gate, &z)?;
        outputs.push(with_ones(p, &rectified));
        pre_activations.push(z);
        gates.push(gate);
    }
    let input = outputs.last().unwrap_or(&first);
    let logits = p.products(&[Product::matmul(output, input, weight_frac)])?.remove(0);
    Ok(Forward { outputs, pre_activations, gates, logits })
}

/// Results of a backward pass.
pub struct Backward<A> {
    /// Of each layer: `-rate` times its gradient, `[out, in + 1]` at the scale of weights.
    pub updates: Vec<Raw<A>>,
    /// The product that rode along.
    pub extra: Raw<A>,
}

/// Whether a backward pass sees all rows of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rows {
    /// All of them: updates are brought to the scale of weights at once.
    All,
    /// Some: updates and what rides along stay as products have them, to be summed over the rest first (see [`total`]).
    Some,
}

/// Bits by which products for the updates of a layer are shifted to the scale of weights.
fn update_shift<A: Share>(model: &Model<A>, layer: usize, rate: LearningRate) -> u32 {
    let plan = &model.plan;
    plan.frac + plan.layers[layer].gradient_frac + rate.shift - plan.weight_frac
}

/// The backward pass over a batch from those over its parts, [`Rows::Some`] each: sums of products, then rescaled once. The result is
/// that of [`Rows::All`] up to stochastic rounding, and exactly that in exact mode.
///
/// # Errors
/// Protocol failures.
pub fn total<P: Protocol>(
    p: &mut P,
    model: &Model<P::A>,
    parts: &[Backward<P::A>],
    rate: LearningRate,
) -> Result<Backward<P::A>> {
    let sum = |pick: &dyn Fn(&Backward<P::A>) -> P::A| {
        parts.iter().map(pick).reduce(|sum, part| sum.add(&part)).expect("a batch has parts")
    };
    let updates: Vec<P::A> =
        (0..model.layers.len()).map(|layer| sum(&|part| part.updates[layer].low_bits().clone())).collect();
    let extra = sum(&|part| part.extra.low_bits().clone());
    let mut jobs: Vec<(&P::A, u32)> =
        updates.iter().enumerate().map(|(layer, sum)| (sum, update_shift(model, layer, rate))).collect();
    jobs.push((&extra, model.plan.frac));
    let mut updates = p.rescale(&jobs)?;
    let extra = updates.pop().expect("one result per sum");
    Ok(Backward { updates, extra })
}

/// Backward pass from the gradient by the logits `[1, rows]`. One round of products per layer, which gives the weights'
/// gradient and the gradient by the inputs together, and one selection per hidden layer. `extra` rides along with the
/// first products. The rate enters as an integer factor before the products and as a wider rescaling after them.
///
/// # Errors
/// Protocol failures.
pub fn backward<P: Protocol>(
    p: &mut P,
    model: &Model<P::A>,
    x: &P::A,
    forward: &Forward<P::A, P::B>,
    gradient: P::A,
    rate: LearningRate,
    (extra, rows): (Product<'_, P::A>, Rows),
) -> Result<Backward<P::A>> {
    let plan = &model.plan;
    let mut gradient = gradient;
    let later = rows == Rows::Some;
    let mut extra = Some(if later { Product { rescale: 0, ..extra } } else { extra });
    let (mut updates, mut extra_result) = (Vec::new(), None);
    for layer in (0..model.layers.len()).rev() {
        let scaled = gradient.scale(rate.mantissa.wrapping_neg() as u64);
        let gradient_frac = plan.layers[layer].gradient_frac;
        let shift = if later { 0 } else { update_shift(model, layer, rate) };
        let rows = layer.checked_sub(1).map(|below| forward.outputs[below].transpose());
        let weights = (layer > 0).then(|| without_biases(&model.layers[layer]));
        let mut jobs = vec![Product::matmul(&scaled, rows.as_ref().unwrap_or(x), shift)];
        if let Some(weights) = &weights {
            let rescale = plan.weight_frac + gradient_frac - plan.layers[layer - 1].gradient_frac;
            jobs.push(Product::matmul(weights, &gradient, rescale));
        }
        let riding = extra.take();
        let has_extra = riding.is_some();
        jobs.extend(riding);
        let mut results = p.products(&jobs)?;
        if has_extra {
            extra_result = results.pop();
        }
        if layer > 0 {
            let below = results.pop().expect("a gradient by the inputs was asked for");
            gradient = p.select(&forward.gates[layer - 1], &below)?;
        }
        updates.extend(results);
    }
    updates.reverse();
    let extra = extra_result.expect("the extra product rides with the output layer's");
    Ok(Backward { updates, extra })
}

/// Weights `[out, in + 1]` as `[in, out]`, biases left out.
fn without_biases<A: Share>(weights: &A) -> A {
    let transposed = weights.transpose();
    let inputs = transposed.shape().rows() - 1;
    transposed.slice_rows(0, inputs)
}
