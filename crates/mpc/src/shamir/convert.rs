//! Division by powers of two, bits of values, from and to words. Spec 5, 9, 18 and 21.

use super::arithmetic::{joined, separated};
use super::boolean::{AT_ONCE, add, and, carry_out, sum_above, summands};
use super::input::{open, tensor};
use super::{LIMIT, Shamir, inject, of_first};
use crate::party::{Draw, Holders};
use crate::polynomial::{Field, PolynomialBits, Together, deal_alone};
use crate::share::plane_words;
use crate::{BitShare, Error, Recipients, Result};
use privity_prim::Prg;
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
pub(crate) fn groups(jobs: &[(usize, u32)]) -> Vec<Vec<usize>> {
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
    let wraps = either(p, &tops)?;
    Ok(recombine(&parts, &[(0, &wraps)], shift))
}

/// Of two bits as numbers: `a or b = a + b - a b`.
fn either(p: &mut Shamir, bits: &[Vec<u64>]) -> Result<Vec<u64>> {
    let both = p.reduce_numbers(bits[0].len(), || {
        let mut both = vec![0; bits[0].len()];
        mersenne::mul_into(&mut both, &bits[0], &bits[1]);
        both
    })?;
    let mut either = bits[0].clone();
    mersenne::add_assign(&mut either, &bits[1]);
    mersenne::add_scaled(&mut either, M61::from_u64(1).negated(), &both);
    Ok(either)
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
    let (t, upper) = (p.threshold, upper_bits(p.threshold));
    if t == 1 {
        let both = and(p, &[(&numbers[0], &numbers[1])])?.remove(0);
        return Ok(numbers[0].xor(&numbers[1]).xor(&both));
    }
    overflows(p, &numbers, upper)
}

/// Spec 5.3: the sum of so many numbers of `upper` bits, and of one for each of them, above those bits.
fn overflows(p: &mut Shamir, numbers: &[PolynomialBits], upper: usize) -> Result<PolynomialBits> {
    let (len, count) = (numbers[0].len(), numbers.len());
    let width = upper + digits(count - 1);
    let mut numbers: Vec<PolynomialBits> = numbers.iter().map(|x| extended(x, width)).collect();
    let zero = PolynomialBits::zeros(p.bits.field, len, width);
    let (zero, one) = (zero.plane(0), zero.plane(0).inverted());
    let digits: Vec<&PolynomialBits> = (0..width).map(|i| if count >> i & 1 == 1 { &one } else { &zero }).collect();
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

/// Spec 18: summands of some parties, modulo 2^64, of numbers of magnitudes below 2^60.
pub(super) fn from_additive(
    p: &mut Shamir,
    holders: &[usize],
    shape: &Shape,
    mine: Option<&Tensor<u64>>,
) -> Result<Tensor<M61>> {
    let (me, n) = (p.party.me(), p.party.n());
    let distinct = holders.iter().enumerate().all(|(i, holder)| *holder < n && !holders[..i].contains(holder));
    if !distinct || holders.len() < 2 {
        let problem = format!("summands of parties {holders:?}; two or more different ones of {n} hold them");
        return Err(Error::Parameter { operation: "summands", problem });
    }
    if holders.contains(&me) != mine.is_some() || mine.is_some_and(|x| x.shape() != shape) {
        return Err(Error::Input {
            owner: me,
            problem: "those who hold summands, and no others, give them in the declared shape",
        });
    }
    let mut own = mine.map(|x| x.data().to_vec()).unwrap_or_default();
    if holders[0] == me {
        own.iter_mut().for_each(|x| *x = x.wrapping_add(1 << TOP));
    }
    let mut numbers = Vec::with_capacity(shape.len());
    for from in (0..shape.len()).step_by(AT_ONCE) {
        let len = AT_ONCE.min(shape.len() - from);
        let own = if mine.is_some() { &own[from..from + len] } else { &[] };
        numbers.extend(match holders.len() {
            2 => from_two(p, holders, len, own)?,
            _ => from_many(p, holders, len, own)?,
        });
    }
    mersenne::offset_assign(&mut numbers, M61::power_of_two(TOP).negated());
    Ok(Tensor::new(shape.clone(), mersenne::elements(numbers)))
}

/// Words as residues, as dealt.
fn residues(words: &[u64]) -> Vec<u64> {
    let mut residues = words.to_vec();
    mersenne::reduce_all(&mut residues);
    residues
}

/// Spec 18.2: of two, the sum went beyond 2^64 if and only if one of them has its top bit set.
fn from_two(p: &mut Shamir, holders: &[usize], len: usize, own: &[u64]) -> Result<Vec<u64>> {
    let code = p.numbers.clone();
    let mine = || {
        let mut words = residues(own);
        words.extend(own.iter().map(|x| x >> 63));
        words
    };
    let mut parts = deal_alone(&mut p.party, &code, holders, 2 * len, Together::Apart, mine)?;
    let tops: Vec<Vec<u64>> = parts.iter_mut().map(|part| part.split_off(len)).collect();
    let wraps = either(p, &tops)?;
    let mut sum = parts.remove(0);
    mersenne::add_assign(&mut sum, &parts[0]);
    mersenne::add_scaled(&mut sum, M61::power_of_two(64).negated(), &wraps);
    Ok(sum)
}

/// Upper bits of summands that tell how often the sum of so many goes beyond 2^64.
pub(super) fn upper_bits_of(summands: usize) -> usize {
    summands.next_power_of_two().ilog2() as usize + 1
}

/// Spec 18.3: of more, that is counted in bits.
fn from_many(p: &mut Shamir, holders: &[usize], len: usize, own: &[u64]) -> Result<Vec<u64>> {
    let (numbers, bits) = (p.numbers.clone(), p.bits.clone());
    let mut sum = deal_alone(&mut p.party, &numbers, holders, len, Together::Added, || residues(own))?.remove(0);
    let upper = upper_bits_of(holders.len());
    let words = upper * plane_words(len);
    let mine = || {
        let mut words_of_bits = planes(&own.iter().map(|x| x >> (64 - upper)).collect::<Vec<_>>(), upper);
        words_of_bits.resize(bits.field.parts() * words, 0);
        words_of_bits
    };
    let dealt = deal_alone(&mut p.party, &bits, holders, words, Together::Apart, mine)?;
    let dealt: Vec<_> = dealt.into_iter().map(|words| PolynomialBits::new(bits.field, len, upper, words)).collect();
    let wraps = overflows(p, &dealt, upper)?;
    for (place, bit) in places(&inject::to_numbers(p, &[&wraps])?) {
        mersenne::add_scaled(&mut sum, M61::power_of_two(64 + place).negated(), bit);
    }
    Ok(sum)
}

/// Bits of the masks of a count: `t + 1` of them and the count stay below `p`.
const MASK_BITS: u32 = 56;

/// Spec 21: the first `t + 1` parties' summands; nothing at the others.
pub(super) fn to_additive(p: &mut Shamir, x: &Tensor<M61>) -> Result<Option<Tensor<u64>>> {
    let mut summands = Vec::with_capacity(x.len());
    for values in mersenne::words(x.data()).chunks(AT_ONCE) {
        summands.extend(words_of(p, values)?);
    }
    Ok((p.party.me() <= p.threshold).then(|| Tensor::new(x.shape().clone(), summands)))
}

fn words_of(p: &mut Shamir, values: &[u64]) -> Result<Vec<u64>> {
    let (me, t) = (p.party.me(), p.threshold);
    // Spec 21.1: what this party holds of a positive number, as integers below `p`.
    let own = weighted(values, of_first(&p.numbers, t + 1, me), 1 << LIMIT);
    let masks = if me <= t { masks(values.len())? } else { Vec::new() };
    let masked = masked_count(p, &own, &masks)?;
    // Spec 21.3: only the first holder learns it.
    let opened = open(p, &tensor(&Shape::vector(values.len()), masked), Recipients::only(0))?;
    if me > t {
        p.party.next_step();
        return Ok(Vec::new());
    }
    // Spec 21.4: `a_i + R_i p`, less `c p + 2^59` at one party.
    let mut summands = own;
    summands.iter_mut().zip(&masks).for_each(|(sum, mask)| *sum = sum.wrapping_add(mask.wrapping_mul(mersenne::P)));
    for (sum, count) in summands.iter_mut().zip(opened.iter().flat_map(|opened| mersenne::words(opened.data()))) {
        *sum = sum.wrapping_sub(count.wrapping_mul(mersenne::P)).wrapping_sub(1 << LIMIT);
    }
    blind(p, &mut summands);
    Ok(summands)
}

/// Spec 21.2: shares of how often the holders' summands go beyond `p` together, and of all their masks.
fn masked_count(p: &mut Shamir, own: &[u64], masks: &[u64]) -> Result<Vec<u64>> {
    let (t, len) = (p.threshold, own.len());
    let mut sum = vec![0; len];
    if t == 1 {
        let mine = |_| own.iter().map(|x| x >> TOP).chain(masks.iter().copied()).collect();
        let mut tops = p.deal_numbers(2 * len, mine)?;
        for top in &mut tops {
            mersenne::add_assign(&mut sum, &top.split_off(len));
        }
        mersenne::add_assign(&mut sum, &either(p, &tops)?);
        return Ok(sum);
    }
    let upper = upper_bits(t);
    for masks in p.deal_numbers(len, |_| masks.to_vec())? {
        mersenne::add_assign(&mut sum, &masks);
    }
    let highest = |_| planes(&own.iter().map(|x| x >> (61 - upper)).collect::<Vec<_>>(), upper);
    let numbers = p.deal_bits(len, upper, highest)?;
    let count = wraps(p, numbers)?;
    for (place, bit) in places(&inject::to_numbers(p, &[&count])?) {
        mersenne::add_scaled(&mut sum, M61::power_of_two(place), bit);
    }
    Ok(sum)
}

/// Fresh numbers below `2^56`.
fn masks(len: usize) -> Result<Vec<u64>> {
    let mut masks = vec![0; len];
    fresh()?.fill(0, 0, &mut masks);
    masks.iter_mut().for_each(|mask| *mask >>= 64 - MASK_BITS);
    Ok(masks)
}

/// A generator of this party's own, used once.
fn fresh() -> Result<Prg> {
    let key = privity_prim::fresh_secret().map_err(|_| Error::Randomness)?;
    Ok(Prg::new(key.expose()[..16].try_into().expect("sixteen bytes")))
}

/// Spec 21.5: of each pair of holders one adds and one takes off words that both draw, so that any `t` summands are uniform.
fn blind(p: &mut Shamir, summands: &mut [u64]) {
    let (me, step) = (p.party.me(), p.party.next_step());
    let mut words = vec![0; summands.len()];
    for other in (0..=p.threshold).filter(|other| *other != me) {
        p.party.mask(Holders::of(&[me, other]), Draw { step, label: 0, tile: 0 }, &mut words);
        for (sum, word) in summands.iter_mut().zip(&words) {
            *sum = if me < other { sum.wrapping_add(*word) } else { sum.wrapping_sub(*word) };
        }
    }
}
