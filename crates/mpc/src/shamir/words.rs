//! From residues to summands modulo 2^64. Spec 21.

use super::boolean::AT_ONCE;
use super::convert::{TOP, either, places, planes, upper_bits, weighted, wraps};
use super::input::{open, tensor};
use super::{LIMIT, Shamir, inject, of_first};
use crate::party::{Draw, Holders};
use crate::{Error, Recipients, Result};
use privity_prim::Prg;
use privity_ring::{M61, Shape, Tensor, mersenne};

/// Bits of the masks of a count: `t + 1` of them and the count stay below `p`.
const MASK_BITS: u32 = 56;

/// Spec 21: the first `t + 1` parties' summands; nothing at the others.
pub(super) fn to_additive(p: &mut Shamir, x: &Tensor<M61>) -> Result<Option<Tensor<u64>>> {
    let mut summands = Vec::with_capacity(x.len());
    for values in mersenne::words(x.data()).chunks(AT_ONCE) {
        summands.extend(part(p, values)?);
    }
    Ok((p.party.me() <= p.threshold).then(|| Tensor::new(x.shape().clone(), summands)))
}

fn part(p: &mut Shamir, values: &[u64]) -> Result<Vec<u64>> {
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
