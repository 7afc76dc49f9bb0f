//! Comparisons and what is made of them. One sign extraction for all operands of a call.

use super::{add_constant, constant};
use crate::{By, Inject, Protocol, Raw, Result, Share};
use privity_ring::Tensor;

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

/// `x` limited to `[low, high]`. Exact where `x` is less than `2^(width - 1)` from either as an integer. Rounds: a sign extraction and a selection.
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

/// The position of the largest of some vectors' elements, the first of equals, as an integer. Exact for values that differ by less than
/// `2^(width - 1)` as integers. Rounds: a sign extraction and a selection for each of `ceil(log2 n)` levels of a tree.
///
/// # Panics
/// If there are no vectors.
pub fn argmax<P: Protocol>(p: &mut P, xs: &[&P::A]) -> Result<P::A> {
    let (shape, width) = (xs[0].shape().clone(), p.config().width);
    let mut best: Vec<(P::A, P::A)> = Vec::with_capacity(xs.len());
    for (i, x) in xs.iter().enumerate() {
        best.push(((*x).clone(), p.public(&Tensor::fill(&shape, i as u64))));
    }
    while best.len() > 1 {
        let (pairs, rest) = best.as_chunks::<2>();
        let of = |pick: &dyn Fn(&[(P::A, P::A); 2]) -> P::A| {
            let parts: Vec<P::A> = pairs.iter().map(pick).collect();
            P::A::concat_rows(&parts.iter().collect::<Vec<_>>())
        };
        let (values, positions) = (of(&|pair| pair[0].0.clone()), of(&|pair| pair[0].1.clone()));
        let by_value = of(&|pair| pair[1].0.sub(&pair[0].0));
        let by_position = of(&|pair| pair[1].1.sub(&pair[0].1));
        // Only what is larger replaces what comes before it.
        let (larger, _) = p.signs(&[&by_value.neg()], width, Vec::new())?;
        let larger = p.arm(&[&larger[0]])?;
        let (by_value, by_position) = (Raw::exact(by_value), Raw::exact(by_position));
        let term = |by| Inject { terms: vec![(&larger[0], By::Value(by))], shape: values.shape().clone() };
        let change = p.inject(&[term(&by_value), term(&by_position)])?;
        let (values, positions) = (values.add(&change[0]), positions.add(&change[1]));
        let len = shape.len();
        let winner =
            |i: usize| (values.slice_rows(i * len, (i + 1) * len), positions.slice_rows(i * len, (i + 1) * len));
        best = (0..pairs.len()).map(winner).chain(rest.iter().cloned()).collect();
    }
    Ok(best.remove(0).1)
}

/// `|x|`. Exact. Rounds: a sign extraction and a selection.
pub fn abs<P: Protocol>(p: &mut P, x: &P::A) -> Result<P::A> {
    let twice = Raw::exact(x.scale(2));
    let width = p.config().width;
    let (negative, _) = p.signs(&[x], width, Vec::new())?;
    Ok(x.sub(&p.select(&negative[0], &twice)?))
}
