//! Statistics over the rows of a shared table.

use super::compare::clip;
use super::inverse_sqrt::inverse_sqrt;
use super::{AT_ONCE, add_constant, parts};
use crate::{Error, Product, Protocol, Result, Share};

/// Means and inverse standard deviations of columns, `[cols]` each.
pub struct Moments<A> {
    /// Means.
    pub mean: A,
    /// `1 / sqrt(variance + 2^-10)`.
    pub inverse_deviation: A,
    /// Population variances.
    pub variance: A,
}

/// Division by a public count, as a multiplication with its reciprocal of 2^-20 relative precision. Values below
/// `2^(room - 22)` as integers. One lift.
fn divide<P: Protocol>(p: &mut P, x: &P::A, by: usize) -> Result<P::A> {
    // factor / 2^shift is 1 / by with 21 significant bits.
    let shift = 20 + usize::BITS - by.leading_zeros();
    let factor = libm::round((1u64 << shift) as f64 / by as f64) as u64;
    let raw = p.rescale(&[(&x.scale(factor), shift)])?;
    Ok(p.lift(raw)?.remove(0))
}

/// Mean, variance and inverse deviation of each column of `[rows, cols]`, for entries below `bound` in magnitude and up to
/// 2^22 rows with `rows * bound^2 < 2^(room - 21 - frac)`. Error of the mean: two units in the last place; of the variance: `4 bound`
/// units. Rounds: a product for every 2^19 elements, two divisions, a rescaling,
/// an inverse square root.
pub fn moments<P: Protocol>(p: &mut P, x: &P::A, bound: f64) -> Result<Moments<P::A>> {
    let rows = x.shape().rows();
    let frac = p.config().fixed.frac;
    let headroom = libm::exp2(f64::from(p.config().room) - 21.0 - f64::from(frac));
    if rows == 0 || rows > 1 << 22 || rows as f64 * bound * bound >= headroom {
        let problem = format!(
            "{rows} rows of magnitude up to {bound} exceed the fixed-point format ({frac} fraction bits): rows times the \
             bound squared must be below {headroom}; declare a tighter bound or use fewer fraction bits"
        );
        return Err(Error::Parameter { operation: "mean and variance", problem });
    }
    let mean = divide(p, &x.sum_rows(), rows)?;
    // Squares stay unrescaled until summed: one rounding per column instead of one per entry.
    let mut sums: Option<P::A> = None;
    for part in parts(x, AT_ONCE) {
        let centred = part.sub(&mean.broadcast_rows(part.shape().rows()));
        let squares = p.products(&[Product::mul(&centred, &centred, 0)])?.remove(0);
        let sum = squares.low_bits().sum_rows();
        sums = Some(sums.map_or_else(|| sum.clone(), |sums| sums.add(&sum)));
    }
    let sums = sums.expect("at least one row");
    let rescaled = p.rescale(&[(&sums, frac)])?;
    let sums = p.lift(rescaled)?.remove(0);
    let variance = divide(p, &sums, rows)?;
    let safe = add_constant(p, &variance, libm::exp2(-10.0));
    let inverse_deviation = inverse_sqrt(p, &safe)?;
    Ok(Moments { mean, inverse_deviation, variance })
}

/// Rows standardised by given moments and limited to `[-limit, limit]`. Wrong where a standardised value `z` has `|z| + limit` of `2^(width - 1)` or
/// more as an integer: the caller sees to it. Rounds: one product with its lift, and a clip, for
/// every 2^19 elements.
pub fn standardise<P: Protocol>(p: &mut P, x: &P::A, moments: &Moments<P::A>, limit: f64) -> Result<P::A> {
    let frac = p.config().fixed.frac;
    let mut done = vec![x.slice_rows(0, 0)];
    for part in parts(x, AT_ONCE) {
        let rows = part.shape().rows();
        let centred = part.sub(&moments.mean.broadcast_rows(rows));
        let scale = moments.inverse_deviation.broadcast_rows(rows);
        let z = p.products_lifted(&[Product::mul(&centred, &scale, frac)])?.remove(0);
        done.push(clip(p, &z, -limit, limit)?);
    }
    Ok(P::A::concat_rows(&done.iter().collect::<Vec<_>>()))
}
