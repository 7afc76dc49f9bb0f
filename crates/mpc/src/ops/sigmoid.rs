//! The logistic function and what training needs beside it.

use super::compare::{at_least, clip};
use super::fourier::Series;
use super::{AT_ONCE, add_constant, constant, parts};
use crate::{By, Inject, Product, Protocol, Raw, Result, Share};
use privity_ring::Shape;

/// Fraction bits of the slopes: results of [`piecewise_wide`] have that many more fraction bits than their argument.
pub const SLOPE_BITS: u32 = 8;

/// Slopes of the pieces left of zero in units of 2^-8, and where each begins; the right half mirrors the left. Found by a
/// random search over integer slopes for the least maximum error, each line being tangent to the shifted curve.
const PIECES: [(i64, f64); 6] = [
    (3, -5.690_706_326_578_024),
    (12, -3.536_441_624_527_69),
    (25, -2.484_333_398_100_136_3),
    (34, -1.878_643_478_158_207),
    (50, -1.344_400_646_173_131_3),
    (63, -0.645_028_506_309_306_3),
];

/// The sigmoid, and the comparisons it took.
pub struct Wide<A, B> {
    /// The sigmoid at `frac + SLOPE_BITS` fraction bits.
    pub value: A,
    /// The argument, lifted.
    pub z: A,
    /// Armed bits "argument is at least the knot", knot after knot.
    pub bits: Vec<B>,
}

/// Knots from left to right.
fn knots() -> Vec<f64> {
    let left = PIECES.iter().map(|p| p.1);
    left.clone().chain(left.rev().map(|k| -k)).collect()
}

/// By how much the slope rises at each knot, in units of 2^-8: the sigmoid.
fn sigmoid_rises() -> Vec<i64> {
    let left = PIECES.iter().scan(0, |last, (slope, _)| Some(slope - std::mem::replace(last, *slope)));
    let left: Vec<i64> = left.collect();
    left.iter().copied().chain(left.iter().rev().map(|r| -r)).collect()
}

/// `sum_j [z >= k_j] rise_j (z - k_j)` at `frac + SLOPE_BITS` fraction bits: exact. One selection.
fn pieces<P: Protocol>(p: &mut P, z: &P::A, bits: &[P::B], rises: &[i64]) -> Result<P::A> {
    let rays: Vec<Raw<P::A>> =
        knots().iter().zip(rises).map(|(k, rise)| Raw::exact(add_constant(p, z, -k).scale(*rise as u64))).collect();
    let terms = bits.iter().zip(&rays).map(|(bit, ray)| (bit, By::Value(ray))).collect();
    Ok(p.inject(&[Inject { terms, shape: z.shape().clone() }])?.remove(0))
}

/// The piecewise linear sigmoid: 11 pieces and saturation, maximum error 3.4e-3 everywhere, without any truncation. Lifts
/// its argument on the way. Arguments below `2^(width - 1 - frac) - 6` in magnitude. Rounds: a sign extraction and a selection.
pub fn piecewise_wide<P: Protocol>(p: &mut P, z: Raw<P::A>) -> Result<Wide<P::A, P::B>> {
    let (bits, z) = at_least(p, z, &knots())?;
    let bits = p.arm(&bits.iter().collect::<Vec<_>>())?;
    let value = pieces(p, &z, &bits, &sigmoid_rises())?;
    Ok(Wide { value, z, bits })
}

/// Arguments that [`piecewise`] works on at once: each takes the memory of a dozen comparisons.
const SIGMOIDS: usize = AT_ONCE / 4;

/// [`piecewise_wide`] at `frac` fraction bits; one lift more. More than 2^18 arguments are worked on in parts of so many, one
/// after the other.
pub fn piecewise<P: Protocol>(p: &mut P, z: Raw<P::A>) -> Result<P::A> {
    if z.shape().len() > SIGMOIDS {
        let z = p.lift(vec![z])?.remove(0);
        let mut done = Vec::new();
        for part in parts(&z.reshape(&Shape::vector(z.shape().len())), SIGMOIDS) {
            done.push(piecewise(p, Raw::exact(part))?);
        }
        return Ok(P::A::concat_rows(&done.iter().collect::<Vec<_>>()).reshape(z.shape()));
    }
    let wide = piecewise_wide(p, z)?;
    let narrow = p.rescale(&[(&wide.value, SLOPE_BITS)])?;
    Ok(p.lift(narrow)?.remove(0))
}

/// `ln(1 + e^z)` from the comparisons of sigmoids, for losses: the integral of the piecewise sigmoid; it exceeds the true
/// value by at most 2.7e-3 and is below it by at most 4.6e-3. Two selections, a product and two lifts for all together.
pub fn softplus_many<P: Protocol>(p: &mut P, sigmoids: &[&Wide<P::A, P::B>]) -> Result<Vec<P::A>> {
    let frac = p.config().fixed.frac;
    let limited = between_knots(p, sigmoids)?;
    let jobs: Vec<Product<'_, P::A>> = limited.iter().map(|c| Product::mul(c, c, frac)).collect();
    let squares = p.products_lifted(&jobs)?;
    let wide = parabolas(p, sigmoids, &limited, &squares)?;
    let narrow = p.rescale(&wide.iter().map(|v| (v, PARABOLA_BITS)).collect::<Vec<_>>())?;
    p.lift(narrow)
}

/// Arguments limited to the outermost knots.
fn between_knots<P: Protocol>(p: &mut P, sigmoids: &[&Wide<P::A, P::B>]) -> Result<Vec<P::A>> {
    let (last, end) = (PIECES.len() * 2 - 1, -PIECES[0].1);
    let mut factors = Vec::with_capacity(sigmoids.len());
    for s in sigmoids {
        let excess = add_constant(p, &s.z, -end).neg();
        factors.push([Raw::exact(add_constant(p, &s.z, end)), Raw::exact(excess)]);
    }
    let jobs: Vec<Inject<'_, P::A, P::B>> = sigmoids
        .iter()
        .zip(&factors)
        .map(|(s, [above, excess])| Inject {
            terms: vec![(&s.bits[0], By::Value(above)), (&s.bits[last], By::Value(excess))],
            shape: s.z.shape().clone(),
        })
        .collect();
    let raised = p.inject(&jobs)?;
    Ok(raised.iter().map(|r| add_constant(p, r, -end)).collect())
}

/// Fraction bits that [`parabolas`] adds: those of slopes, those of knots, and one for the half.
const PARABOLA_BITS: u32 = 2 * SLOPE_BITS + 1;

/// `sum_j [z >= k_j] rise_j (c - k_j)^2 / 2 + [z >= k] (z - k)`, `k` being the last knot and `c` the limited argument, whose
/// square is given. One selection for all.
fn parabolas<P: Protocol>(
    p: &mut P,
    sigmoids: &[&Wide<P::A, P::B>],
    limited: &[P::A],
    squares: &[P::A],
) -> Result<Vec<P::A>> {
    let mut factors = Vec::with_capacity(sigmoids.len());
    for ((s, c), square) in sigmoids.iter().zip(limited).zip(squares) {
        factors.push(parabola_factors(p, &s.z, c, square));
    }
    let jobs: Vec<Inject<'_, P::A, P::B>> = sigmoids
        .iter()
        .zip(&factors)
        .map(|(s, factors)| {
            let bits = s.bits.iter().chain(s.bits.last());
            let terms = bits.zip(factors).map(|(bit, factor)| (bit, By::Value(factor))).collect();
            Inject { terms, shape: s.z.shape().clone() }
        })
        .collect();
    p.inject(&jobs)
}

/// What each knot's bit is multiplied by, and the last one's once more for the straight line beyond it.
fn parabola_factors<P: Protocol>(p: &mut P, z: &P::A, c: &P::A, square: &P::A) -> Vec<Raw<P::A>> {
    let unit = f64::from(1u32 << SLOPE_BITS);
    let square = square.scale(1 << SLOPE_BITS);
    let mut factors = Vec::with_capacity(2 * PIECES.len() + 1);
    for (k, rise) in knots().into_iter().zip(sigmoid_rises()) {
        let twice = libm::round(2.0 * k * unit) as i64;
        let parabola = add_constant(p, &square.sub(&c.scale(twice as u64)), k * k * unit);
        factors.push(Raw::exact(parabola.scale(rise as u64)));
    }
    let beyond = add_constant(p, z, PIECES[0].1).scale(1 << PARABOLA_BITS);
    factors.push(Raw::exact(beyond));
    factors
}

/// [`softplus_many`] of one argument, comparisons included.
pub fn softplus<P: Protocol>(p: &mut P, z: Raw<P::A>) -> Result<P::A> {
    let wide = piecewise_wide(p, z)?;
    Ok(softplus_many(p, &[&wide])?.remove(0))
}

/// Coefficients of `sigmoid(x) - 1/2` on [-8, 8] as sines of period 32: least squares, recomputed by a test.
const SINES: [f64; 8] = [
    -4.829122319823,
    8.643212541553,
    -8.665811820925,
    6.670712127470,
    -3.844694998414,
    1.695572955171,
    -0.506861075562,
    0.090268532005,
];

/// The sigmoid as eight sines of period 32, for arguments in [-8, 8]: maximum error 9e-4; outside it is wrong, so that
/// arguments must be bounded ([`fourier_clipped`]). Refused in exact mode. One round, and a lift.
pub fn fourier<P: Protocol>(p: &mut P, x: &P::A) -> Result<P::A> {
    let frac = p.config().fixed.frac;
    let raw = p.harmonics(x, &Series::new(5 + frac, frac, &SINES))?;
    let centred = p.lift(vec![raw])?.remove(0);
    let half = constant(p, x.shape(), 0.5);
    Ok(centred.add(&half))
}

/// [`fourier`] of the argument limited to [-8, 8]. Rounds: a sign extraction, a selection, two more.
pub fn fourier_clipped<P: Protocol>(p: &mut P, x: &P::A) -> Result<P::A> {
    let x = clip(p, x, -8.0, 8.0)?;
    fourier(p, &x)
}

/// `tanh(x) = 2 sigmoid(2x) - 1`, piecewise: maximum error 6.8e-3. As [`piecewise`].
pub fn tanh<P: Protocol>(p: &mut P, x: &P::A) -> Result<P::A> {
    let s = piecewise(p, Raw::exact(x.scale(2)))?;
    Ok(add_constant(p, &s.scale(2), -1.0))
}
