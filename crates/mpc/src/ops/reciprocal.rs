//! `1 / x` for positive `x`.

use super::normalise::{Exponents, by_exponent, filled};
use crate::{Product, Protocol, Result, Share};

/// Fraction bits of the normalised iteration.
const WORK: u32 = 26;

/// `1 / x` for `x` in [2^-8, 2^14]; relative error at most 2^-13 plus one unit in the last place (Newton's iteration from a
/// linear guess, as in Catrina and Saxena 2010, with the exponent found by parallel comparisons). Needs `frac <= 20`.
/// Rounds: a sign extraction, a selection, and seven products with their lifts.
pub fn reciprocal<P: Protocol>(p: &mut P, x: &P::A) -> Result<P::A> {
    let frac = p.config().fixed.frac;
    let range = Exponents { lowest: frac - 8 + 1, highest: frac + 14 + 1 };
    // X < 2^i: u = X 2^-i in [0.5, 1); 1 / x = 2^frac / X = 2^(frac - i) / u.
    let up = (range.lowest..=range.highest).map(|i| 1u64 << (range.highest - i)).collect();
    let scaled = by_exponent(p, x, &range, &[up])?.remove(0);
    // X 2^(highest - i) = u 2^highest
    let u = p.products_lifted(&[Product::mul(x, &scaled, range.highest - WORK.min(range.highest))])?.remove(0);
    let u = if range.highest < WORK { u.scale(1 << (WORK - range.highest)) } else { u };
    // The best linear guess on [0.5, 1): 2.9142 - 2 u, relative error 0.086; squared by each step.
    let mut y = filled(p, &u, (2.9142 * (1u64 << WORK) as f64) as i64).sub(&u.scale(2));
    for _ in 0..3 {
        let uy = p.products_lifted(&[Product::mul(&u, &y, WORK)])?.remove(0);
        let correction = filled(p, &u, 2 << WORK).sub(&uy);
        y = p.products_lifted(&[Product::mul(&y, &correction, WORK)])?.remove(0);
    }
    // y 2^-WORK * scaled 2^(i - highest) .. : 1 / x at scale frac is y scaled 2^(2 frac - WORK - highest).
    Ok(p.products_lifted(&[Product::mul(&y, &scaled, WORK + range.highest - 2 * frac)])?.remove(0))
}
