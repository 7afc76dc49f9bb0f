//! `1 / sqrt(x)` for positive `x`.

use super::normalise::{Exponents, by_exponent, filled};
use crate::{Product, Protocol, Result, Share};

/// Fraction bits of the normalised iteration.
const WORK: u32 = 24;
/// Fraction bits of the table of `2^(-i/2)`.
const TABLE: u32 = 24;

/// `1 / sqrt(x)` for `x` in [2^-10, 2^14]; relative error at most 2^-12 plus one unit in the last place. Smaller inputs give
/// the value at about 2^-10, so that a variance of zero does no harm. Needs `12 <= frac <= 20`.
/// Rounds: a sign extraction, a selection, and ten products with their lifts.
pub fn inverse_sqrt<P: Protocol>(p: &mut P, x: &P::A) -> Result<P::A> {
    let frac = p.config().fixed.frac;
    let range = Exponents { lowest: frac - 10 + 1, highest: frac + 14 + 1 };
    let up = (range.lowest..=range.highest).map(|i| 1u64 << (range.highest - i)).collect();
    // 1 / sqrt(x) = 2^(-(i - frac) / 2) / sqrt(u)
    let root = (range.lowest..=range.highest).map(|i| {
        let power = libm::exp2((f64::from(frac) - f64::from(i)) / 2.0);
        libm::round(power * (1u64 << TABLE) as f64) as u64
    });
    let tables = [up, root.collect()];
    let mut scaled = by_exponent(p, x, &range, &tables)?;
    let (root, up) = (scaled.pop().expect("two tables"), scaled.pop().expect("two tables"));
    let shift = range.highest.saturating_sub(WORK);
    let u = p.products_lifted(&[Product::mul(x, &up, shift)])?.remove(0);
    let u = u.scale(1 << WORK.saturating_sub(range.highest));
    // A linear guess on [0.5, 1): 1.7898 - 0.8 u, relative error below 0.03; Newton's step 1.5 y - u y^3 / 2 squares it.
    let slope = (0.8 * (1u64 << 10) as f64) as u64;
    let line = p.rescale(&[(&u.scale(slope), 10)])?;
    let line = p.lift(line)?.remove(0);
    let mut y = filled(p, &u, (1.7898 * (1u64 << WORK) as f64) as i64).sub(&line);
    for _ in 0..3 {
        let square = p.products_lifted(&[Product::mul(&y, &y, WORK)])?.remove(0);
        let uyy = p.products_lifted(&[Product::mul(&u, &square, WORK)])?.remove(0);
        let three = filled(p, &u, 3 << WORK).sub(&uyy);
        y = p.products_lifted(&[Product::mul(&y, &three, WORK + 1)])?.remove(0);
    }
    Ok(p.products_lifted(&[Product::mul(&y, &root, WORK + TABLE - frac)])?.remove(0))
}
