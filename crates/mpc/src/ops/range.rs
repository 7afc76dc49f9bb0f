//! Secure range check of inputs.

use super::{AT_ONCE, constant, parts};
use crate::{By, Inject, Protocol, Recipients, Result, Share};
use privity_ring::{Ring, Shape, Tensor};

/// Comparisons of the check read this many bits, the most there are: values of 2^47 and beyond as integers would escape, but
/// owners encode below 2^46, and a passive owner follows that.
const WIDTH: u32 = 48;

/// Whether all values are within `[-bound, bound]`. Opens one bit to all parties and nothing else: not which value, nor how
/// many. Rounds: a sign extraction and a selection for every 2^19 values, a sign extraction, a conversion, an opening.
pub fn within<P: Protocol>(p: &mut P, x: &P::A, bound: f64) -> Result<bool> {
    if x.shape().is_empty() {
        return Ok(true);
    }
    let mut beyond: Option<P::A> = None;
    for part in parts(x, AT_ONCE) {
        let count = violations(p, &part, bound)?;
        beyond = Some(beyond.map_or_else(|| count.clone(), |sum| sum.add(&count)));
    }
    let negated = beyond.expect("at least one value").neg();
    let (some, _) = p.signs(&[&negated], WIDTH, Vec::new())?;
    let some = p.b2a(&some[0])?.reshape(&Shape::vector(1));
    let opened = p.open(&some, Recipients::ALL)?;
    Ok(opened.is_none_or(|bit| bit.data()[0].to_u64() == 0))
}

/// How many values lie beyond the bound: `[1]`.
fn violations<P: Protocol>(p: &mut P, x: &P::A, bound: f64) -> Result<P::A> {
    let bound = constant(p, x.shape(), bound);
    let margins = [bound.sub(x), bound.add(x)];
    let (beyond, _) = p.signs(&[&margins[0], &margins[1]], WIDTH, Vec::new())?;
    let terms = beyond.iter().map(|bit| (bit, By::Public(1))).collect();
    Ok(p.inject(&[Inject { terms, shape: x.shape().clone() }])?.remove(0).map(Tensor::sum))
}
