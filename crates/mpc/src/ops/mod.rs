//! Operations written once, generic in the protocol. Errors are absolute, in real terms, at 16 fraction bits unless said.

pub mod compare;
pub mod fourier;
pub mod inverse_sqrt;
pub mod normalise;
pub mod range;
pub mod reciprocal;
pub mod sigmoid;
pub mod statistics;

use crate::{Protocol, Share};
use privity_ring::{Fixed, Shape, Tensor};

/// `x + c` for a public real `c`. Local.
pub fn add_constant<P: Protocol>(p: &mut P, x: &P::A, c: f64) -> P::A {
    let c = constant(p, x.shape(), c);
    x.add(&c)
}

/// The sharing of a public real, in the configured format. Local.
pub fn constant<P: Protocol>(p: &mut P, shape: &Shape, c: f64) -> P::A {
    let fixed: Fixed = p.config().fixed;
    p.public(&Tensor::fill(shape, fixed.constant(c)))
}

/// Elements that operations over whole tables work on at once: they take memory for several copies of what is in work.
pub const AT_ONCE: usize = 1 << 19;

/// The rows of `[rows, ..]` (or the elements of `[n]`) in parts of at most so many elements, at least one row each.
fn parts<A: Share>(x: &A, elements: usize) -> Vec<A> {
    let rows = x.shape().rows();
    let step = (elements * rows).checked_div(x.shape().len()).unwrap_or(rows).clamp(1, rows.max(1));
    (0..rows).step_by(step).map(|from| x.slice_rows(from, rows.min(from + step))).collect()
}
