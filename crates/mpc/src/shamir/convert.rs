//! Division by powers of two, bits of values. Spec 5 and 9.

use super::arithmetic::{joined, separated};
use super::boolean::{AT_ONCE, add, and, carry_out, sum_above, summands};
use super::{LIMIT, Shamir, inject};
use crate::polynomial::PolynomialBits;
use crate::share::plane_words;
use crate::{BitShare, Result};
use privity_ring::kernels::bits::to_planes;
use privity_ring::{M61, Ring, Shape, Tensor, mersenne};

/// The top bit of a residue.
const TOP: u32 = 60;

/// Spec 5: each value divided by `2^shift`. What needs no division is left as it is. Half a unit and more rounds up; only for `t = 1` and where
/// that is not asked for, it is rounded down or up, by chance.
pub(super) fn divide(
    p: &mut Shamir,
    values: Vec<Tensor<M61>>,
    shifts: &[u32],
    exactly: bool,
) -> Result<Vec<Tensor<M61>>> {
    assert!(shifts.iter().all(|shift| *shift < LIMIT), "a division by 2^{LIMIT} or more leaves nothing");
    let mut out = values;
    for group in groups(&out.iter().zip(shifts).map(|(x, shift)| (x.len(), *shift)).collect::<Vec<_>>()) {
        let shift = shifts[group[0]];
        let flat = joined(group.iter().map(|i| &out[*i]));
        let shapes: Vec<Shape> = group.iter().map(|i| out[*i].shape().clone()).collect();
        let mut divided = Vec::with_capacity(flat.len());
        for part in flat.chunks(AT_ONCE) {
            divided.extend(match exactly {
                false if p.threshold == 1 => fast(p, part, shift)?,
                _ => exact(p, part, shift)?,
            });
        }
        group.into_iter().zip(separated(&divided, &shapes)).for_each(|(i, x)| out[i] = x);
    }
    Ok(out)
}

/// The values of one shift together, those of none left out; `jobs` are lengths and shifts.
pub(super) fn groups(jobs: &[(usize, u32)]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, (_, shift)) in jobs.iter().enumerate().filter(|(_, (len, shift))| *shift > 0 && *len > 0) {
        match groups.iter_mut().find(|group| jobs[group[0]].1 == *shift) {
            Some(group) => group.push(i),
            None => groups.push(vec![i]),
        }
    }
    groups
}

/// What is added to values before they are divided: `2^59`, so that they are positive, and that many halves of a unit.
fn offset(shift: u32, halves: usize) -> u64 {
    (1 << LIMIT) + ((halves as u64) << (shift - 1))
}

/// Spec 5.1: this party's weighted shares of the values with the offset.
fn weighted(values: &[u64], weight: M61, offset: u64) -> Vec<u64> {
    let mut own = values.to_vec();
    mersenne::offset_assign(&mut own, M61::from_u64(offset));
    mersenne::scale_assign(&mut own, weight);
    own
}

/// Spec 5.5: `sum of parts - 2^(61 - shift) wraps`, less the offset.
fn recombine(parts: &[Vec<u64>], wraps: &[(u32, &[u64])], shift: u32) -> Vec<u64> {
    let mut sum = parts[0].clone();
    parts[1..].iter().for_each(|part| mersenne::add_assign(&mut sum, part));
    for (place, bit) in wraps {
        mersenne::add_scaled(&mut sum, M61::power_of_two(61 - shift + place).negated(), bit);
    }
    mersenne::offset_assign(&mut sum, M61::power_of_two(LIMIT - shift).negated());
    sum
}

/// Spec 5.2: for `t = 1`, two summands, the sum went beyond `p` if and only if one of them has its top bit set; their owners deal that bit.
fn fast(p: &mut Shamir, values: &[u64], shift: u32) -> Result<Vec<u64>> {
    let len = values.len();
    let mine = |weight| {
        let mut own = weighted(values, weight, offset(shift, 2));
        let top: Vec<u64> = own.iter().map(|x| x >> TOP).collect();
        own.iter_mut().for_each(|x| *x >>= shift);
        own.extend(top);
        own
    };
    let mut parts = p.deal_numbers(2 * len, mine)?;
    let tops: Vec<Vec<u64>> = parts.iter_mut().map(|part| part.split_off(len)).collect();
    let both = p.reduce_numbers(len, || {
        let mut both = vec![0; len];
        mersenne::mul_into(&mut both, &tops[0], &tops[1]);
        both
    })?;
    // a or b = a + b - a b
    let mut wraps = tops[0].clone();
    mersenne::add_assign(&mut wraps, &tops[1]);
    mersenne::add_scaled(&mut wraps, M61::from_u64(1).negated(), &both);
    Ok(recombine(&parts, &[(0, &wraps)], shift))
}

/// Spec 5.4: any `t`: how often the sum goes beyond `p`, and what the lower parts carry, is counted in bits.
fn exact(p: &mut Shamir, values: &[u64], shift: u32) -> Result<Vec<u64>> {
    let (len, t) = (values.len(), p.threshold);
    let (low, upper) = (shift as usize, upper_bits(t));
    let own = |weight| weighted(values, weight, offset(shift, 1));
    let quotients = |weight| own(weight).iter().map(|x| x >> shift).collect();
    let bits = |weight| {
        let mut own = own(weight);
        let mut bits = planes(&own, low);
        own.iter_mut().for_each(|x| *x >>= 61 - upper);
        bits.extend(planes(&own, upper));
        bits
    };
    let (parts, bits) = p.deal_both(len, quotients, low + upper, bits)?;
    let wraps = wraps(p, bits.iter().map(|x| x.planes(low, upper)).collect())?;
    let width = low + digits(t + 1);
    let mut numbers: Vec<PolynomialBits> = bits.iter().map(|x| extended(&x.planes(0, low), width)).collect();
    numbers.push(extended(&wraps, width));
    let carries = sum_above(p, numbers, low)?;
    let mut numbers = inject::to_numbers(p, &[&wraps, &carries])?;
    let carries = numbers.split_off(wraps.width());
    let mut quotient = recombine(&parts, &places(&numbers), shift);
    for (place, bit) in places(&carries) {
        mersenne::add_scaled(&mut quotient, M61::power_of_two(place), bit);
    }
    Ok(quotient)
}

/// Binary digits of a number.
pub(super) fn digits(number: usize) -> usize {
    number.ilog2() as usize + 1
}

/// Bits of a number with their places, lowest first.
fn places(bits: &[Tensor<M61>]) -> Vec<(u32, &[u64])> {
    (0..).zip(bits).map(|(place, bit)| (place, mersenne::words(bit.data()))).collect()
}

/// The low bits of words, as planes.
fn planes(words: &[u64], width: usize) -> Vec<u64> {
    let mut planes = vec![0; width * plane_words(words.len())];
    to_planes(words, width, &mut planes);
    planes
}

/// More places, zero, above.
fn extended(x: &PolynomialBits, width: usize) -> PolynomialBits {
    x.pick((0..width).map(|i| Some(i).filter(|i| *i < x.width())))
}

/// Upper bits of each summand that tell how often their sum went beyond `p`: `t + 1 <= 2^(bits - 1)`, but one for `t = 1` (Spec 5.2).
pub(super) fn upper_bits(t: usize) -> usize {
    if t == 1 { 1 } else { (t + 1).next_power_of_two().ilog2() as usize + 1 }
}

/// Spec 5.3: how often the sum of the parties' weighted shares goes beyond `p`, in binary: from 0 to `t`. Of values below `2^60` with the offset,
/// the sum of the summands' upper bits and `t + 1` tells.
fn wraps(p: &mut Shamir, numbers: Vec<PolynomialBits>) -> Result<PolynomialBits> {
    let (t, upper, len) = (p.threshold, upper_bits(p.threshold), numbers[0].len());
    if t == 1 {
        let both = and(p, &[(&numbers[0], &numbers[1])])?.remove(0);
        return Ok(numbers[0].xor(&numbers[1]).xor(&both));
    }
    let width = upper + digits(t);
    let mut numbers: Vec<PolynomialBits> = numbers.iter().map(|x| extended(x, width)).collect();
    let zero = PolynomialBits::zeros(p.bits.field, len, width);
    let (zero, one) = (zero.plane(0), zero.plane(0).inverted());
    let digits: Vec<&PolynomialBits> = (0..width).map(|i| if (t + 1) >> i & 1 == 1 { &one } else { &zero }).collect();
    numbers.push(PolynomialBits::above(&digits));
    sum_above(p, numbers, upper)
}

/// Spec 9: the low bits of a value: of `x + 2^60` modulo `p`, which has the same ones and no sign.
pub(super) fn a2b(p: &mut Shamir, x: &Tensor<M61>, width: u32) -> Result<PolynomialBits> {
    let width = width as usize;
    assert!((1..=TOP as usize).contains(&width), "the low 1 to 60 bits of a value");
    let mut values = joined([x]);
    mersenne::offset_assign(&mut values, M61::power_of_two(TOP));
    let [a, b] = summands(p, &values)?;
    let carry = carry_out(p, &a, &b, true)?;
    add(p, &a.planes(0, width), &b.planes(0, width), &carry)
}
