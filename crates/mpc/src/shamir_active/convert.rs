//! Division by powers of two, bits of values. Spec 5.

use super::ShamirActive;
use super::boolean::{AT_ONCE, BITS, added, carries, carry, integers, xor};
use crate::Result;
use crate::polynomial::PrimeBits;
use crate::shamir::LIMIT;
use crate::shamir::arithmetic::{joined, separated};
use crate::shamir::convert::groups;
use privity_ring::{M61, Shape, Tensor, mersenne};

/// Spec 5.1: each value divided by `2^shift`. What needs no division is left as it is.
pub(super) fn divide(
    p: &mut ShamirActive,
    values: Vec<Tensor<M61>>,
    shifts: &[u32],
    exactly: bool,
) -> Result<Vec<Tensor<M61>>> {
    assert!(shifts.iter().all(|shift| *shift < LIMIT), "a division by 2^{LIMIT} or more leaves nothing");
    let mut out = values;
    for group in groups(&out.iter().zip(shifts).map(|(x, shift)| (x.len(), *shift)).collect::<Vec<_>>()) {
        let flat = joined(group.iter().map(|i| &out[*i]));
        let shapes: Vec<Shape> = group.iter().map(|i| out[*i].shape().clone()).collect();
        let mut divided = Vec::with_capacity(flat.len());
        let shift = shifts[group[0]];
        for part in flat.chunks(AT_ONCE) {
            let mut y = part.to_vec();
            mersenne::offset_assign(&mut y, M61::power_of_two(LIMIT));
            mersenne::offset_assign(&mut y, M61::power_of_two(if exactly { shift - 1 } else { shift }));
            let y = integers(p, &y)?;
            divided.extend(quotient(p, y, shift, exactly)?);
        }
        group.into_iter().zip(separated(&divided, &shapes)).for_each(|(i, x)| out[i] = x);
    }
    Ok(out)
}

/// Spec 5.1: of the two integers of values with the offset the upper bits, less what goes beyond `p`, less the offset; exactly: with what the lower
/// bits carry (5.3), else rounded down or up (5.2).
pub(super) fn quotient(
    p: &mut ShamirActive,
    integers: [Tensor<M61>; 2],
    shift: u32,
    exactly: bool,
) -> Result<Vec<u64>> {
    let (low, len) = (shift as usize, integers[0].cols());
    let sum = added(p, integers, if exactly { low } else { 0 })?;
    let mut quotient = match exactly {
        true => mersenne::words(carry(p, &sum, low)?.data()).to_vec(),
        false => vec![0; len],
    };
    for integer in [&sum.a, &sum.b] {
        let upper = mersenne::words(integer.data())[low * len..].chunks_exact(len);
        (0..).zip(upper).for_each(|(place, bits)| mersenne::add_scaled(&mut quotient, M61::power_of_two(place), bits));
    }
    let wrap = M61::power_of_two(BITS as u32 - shift).negated();
    mersenne::add_scaled(&mut quotient, wrap, mersenne::words(sum.wraps.data()));
    mersenne::offset_assign(&mut quotient, M61::power_of_two(LIMIT - shift).negated());
    Ok(quotient)
}

/// Spec 5.5: the low bits of a value: of `x + 2^59` modulo `p`, which has the same ones and no sign.
pub(super) fn a2b(p: &mut ShamirActive, x: &Tensor<M61>, width: u32) -> Result<PrimeBits> {
    assert!((1..=LIMIT).contains(&width), "the low 1 to {LIMIT} bits of a value");
    let width = width as usize;
    let mut planes: Vec<Vec<M61>> = vec![Vec::with_capacity(x.len()); width];
    for values in joined([x]).chunks(AT_ONCE) {
        let mut y = values.to_vec();
        mersenne::offset_assign(&mut y, M61::power_of_two(LIMIT));
        let y = integers(p, &y)?;
        let sum = added(p, y, width)?;
        let carries = carries(p, &sum, width)?;
        let bits = xor(p, &sum.pass, &carries)?;
        planes
            .iter_mut()
            .zip(bits.data().chunks_exact(values.len()))
            .for_each(|(all, part)| all.extend_from_slice(part));
    }
    Ok(PrimeBits::new(Tensor::new(Shape::matrix(width, x.len()), planes.concat())))
}
