//! Lifts of truncated values, arithmetic to bits. Spec 5.3 and 9.

use super::arithmetic::{BATCH, UNIT};
use super::verify::{Dealt, Draft, Posted};
use super::{AdditiveMac, ArithmeticShare, BooleanShare, Unit, boolean, units};
use crate::masked::{expand, subtract};
use crate::share::Planes;
use crate::{Raw, Result};
use std::ops::Range;

/// Lifts on their way: `2^(64-f) (1 - am) lm` is opened under a mask and added to each value.
pub(super) struct Lift {
    step: u64,
    values: Vec<Raw<ArithmeticShare>>,
    /// Units posted and not yet completed.
    posted: Vec<(usize, Range<usize>, Posted<u128>)>,
}

/// The units of lifts of values of so many elements each.
pub(super) fn lift_units(lens: impl Iterator<Item = usize>) -> Vec<Vec<Unit>> {
    units(lens.map(|len| (len, Some(UNIT))), BATCH)
}

impl Lift {
    /// Posts this party's messages; where they fill more than one batch, all but the last are completed at once. Values without a
    /// pending lift pass through.
    pub(super) fn post(p: &mut AdditiveMac, values: Vec<Raw<ArithmeticShare>>) -> Result<Lift> {
        let step = if values.iter().any(|x| x.pending.is_some()) { p.party.next_step() } else { 0 };
        let lens: Vec<usize> = values.iter().map(|x| if x.pending.is_some() { x.value.x.len() } else { 0 }).collect();
        let mut lift = Lift { step, values, posted: Vec::new() };
        for batch in lift_units(lens.into_iter()) {
            lift.complete(p)?;
            for (value, number, range) in batch {
                lift.post_unit(p, value, number, range)?;
            }
        }
        Ok(lift)
    }

    fn post_unit(&mut self, p: &mut AdditiveMac, value: usize, number: usize, range: Range<usize>) -> Result<()> {
        let Raw { value: share, pending } = &mut self.values[value];
        let pending = pending.as_ref().expect("only pending values have units");
        let (len, up) = (range.len(), 64 - pending.shift);
        let known = expand(&mut p.pool, &range, |word| pending.bits[word]);
        if p.is_dealer() {
            let draft = Draft::<u128>::draw(p, self.step, number, len, len);
            let added = draft.free();
            let tops: Vec<u128> = known.iter().map(|lm| u128::from((lm & 1) << up)).collect();
            draft.deal(p, &tops)?;
            add_low(share, range, &added);
        } else {
            let dealt = Dealt::<u128>::receive(p, self.step, number, len, len)?;
            let posted = dealt.post(p, self.step, number, len, |d, _, out| {
                let (tops, rho) = d.split_at(len);
                for ((o, am), (top, rho)) in out.iter_mut().zip(&*known).zip(tops.iter().zip(rho)) {
                    *o = rho.wrapping_add(top & whole(!am));
                }
            })?;
            self.posted.push((value, range, posted));
        }
        p.recycle(known);
        Ok(())
    }

    /// Completes the sums and corrects the values.
    pub(super) fn finish(mut self, p: &mut AdditiveMac) -> Result<Vec<ArithmeticShare>> {
        self.complete(p)?;
        Ok(self.values.into_iter().map(|raw| raw.value).collect())
    }

    fn complete(&mut self, p: &mut AdditiveMac) -> Result<()> {
        for (value, range, posted) in std::mem::take(&mut self.posted) {
            let opened = posted.finish(p)?;
            add_low(&mut self.values[value].value, range, &opened);
        }
        Ok(())
    }
}

/// A word of all ones or zeros, twice as wide.
#[inline(always)]
pub(super) fn whole(mask: u64) -> u128 {
    u128::from(mask & 1).wrapping_neg()
}

fn add_low(share: &mut ArithmeticShare, range: Range<usize>, by: &[u128]) {
    let values = share.x.data_mut()[range].iter_mut();
    values.zip(by).for_each(|(v, by)| *v = v.wrapping_add(*by as u64));
}

/// Spec 9: the bits of `A - L`, `A` a sharing without mask, `L` one whose masked value is zero.
pub(super) fn a2b(p: &mut AdditiveMac, x: &ArithmeticShare, width: u32) -> Result<BooleanShare> {
    let width = width as usize;
    assert!((1..=64).contains(&width), "values have 1 to 64 bits");
    let (known, zero) = (Planes::from_values(x.x.data(), width), Planes::zeros(x.x.len(), width));
    let (minuend, subtrahend) = if p.is_dealer() { (zero.clone(), known) } else { (known, zero.clone()) };
    let share = |planes| BooleanShare::new(planes, zero.clone());
    subtract(p, &share(minuend), &share(subtrahend), BooleanShare::shifted, boolean::and)
}
