//! Comparisons and what is made of them. One sign extraction for all operands of a call.

use super::{add_constant, constant};
use crate::{By, Inject, Protocol, Raw, Result, Share};

/// The bits `x < y`. Exact for `|x - y| < 2^(width - 1)` as integers. Rounds: a sign extraction.
pub fn less<P: Protocol>(p: &mut P, x: &P::A, y: &P::A) -> Result<P::B> {
    let width = p.config().width;
    Ok(p.signs(&[&x.sub(y)], width, Vec::new())?.0.remove(0))
}

/// For each threshold the bits `x >= threshold`; lifts `x` on the way. Rounds: a sign extraction for all.
pub fn at_least<P: Protocol>(p: &mut P, x: Raw<P::A>, thresholds: &[f64]) -> Result<(Vec<P::B>, P::A)> {
    let width = p.config().width;
    let margins: Vec<P::A> = thresholds.iter().map(|t| add_constant(p, x.low_bits(), -t)).collect();
    let (below, mut lifted) = p.signs(&margins.iter().collect::<Vec<_>>(), width, vec![x])?;
    Ok((below.iter().map(|b| p.not(b)).collect(), lifted.remove(0)))
}

/// `max(x, 0)` and the armed bit `x >= 0`. Exact. Rounds: a sign extraction and a selection.
pub fn relu<P: Protocol>(p: &mut P, x: Raw<P::A>) -> Result<(P::A, P::B)> {
    let width = p.config().width;
    let (negative, mut lifted) = p.signs(&[x.low_bits()], width, vec![x.clone()])?;
    let positive = p.not(&negative[0]);
    let gate = p.arm(&[&positive])?.remove(0);
    let rectified = p.select(&gate, &Raw::exact(lifted.remove(0)))?;
    Ok((rectified, gate))
}

/// `x` limited to `[low, high]`. Exact. Rounds: a sign extraction and a selection.
pub fn clip<P: Protocol>(p: &mut P, x: &P::A, low: f64, high: f64) -> Result<P::A> {
    assert!(low <= high, "an interval");
    let (bits, x) = at_least(p, Raw::exact(x.clone()), &[low, high])?;
    let (above_low, above_high) = (add_constant(p, &x, -low), add_constant(p, &x, -high).neg());
    let (above_low, above_high) = (Raw::exact(above_low), Raw::exact(above_high));
    let terms = vec![(&bits[0], By::Value(&above_low)), (&bits[1], By::Value(&above_high))];
    let clipped = p.inject(&[Inject { terms, shape: x.shape().clone() }])?.remove(0);
    let low = constant(p, x.shape(), low);
    Ok(clipped.add(&low))
}

/// The larger of two values. Exact. Rounds: a sign extraction and a selection.
pub fn max<P: Protocol>(p: &mut P, x: &P::A, y: &P::A) -> Result<P::A> {
    Ok(relu(p, Raw::exact(x.sub(y)))?.0.add(y))
}

/// `|x|`. Exact. Rounds: a sign extraction and a selection.
pub fn abs<P: Protocol>(p: &mut P, x: &P::A) -> Result<P::A> {
    let twice = Raw::exact(x.scale(2));
    let width = p.config().width;
    let (negative, _) = p.signs(&[x], width, Vec::new())?;
    Ok(x.sub(&p.select(&negative[0], &twice)?))
}
