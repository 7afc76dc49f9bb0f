//! Sums of bits times values. Spec 8.

use super::arithmetic::{BATCH, UNIT};
use super::convert::whole;
use super::verify::{Dealt, Draft, Posted};
use super::{AdditiveMac, ArithmeticShare, BooleanShare, units};
use crate::buffer::Buffer;
use crate::masked::{expand, terms};
use crate::{By, Inject, Result};
use std::ops::Range;

type Job<'a> = Inject<'a, ArithmeticShare, BooleanShare>;

/// Spec 8.2: values dealt for an element of a term: the bit; for a secret factor, it and the product; for a pending lift, it and the
/// product.
pub(super) fn parts(secret: bool, lift: bool) -> usize {
    1 + 2 * usize::from(secret) + 2 * usize::from(lift)
}

fn parts_of(by: &By<'_, ArithmeticShare>) -> usize {
    match by {
        By::Public(_) => parts(false, false),
        By::Value(x) => parts(true, x.pending.is_some()),
    }
}

/// Spec 8.1 and 8.2. One round per batch.
pub(super) fn inject(p: &mut AdditiveMac, jobs: &[Job]) -> Result<Vec<ArithmeticShare>> {
    let step = p.party.next_step();
    jobs.iter().try_for_each(terms::check_terms)?;
    let mut out: Vec<ArithmeticShare> = jobs.iter().map(|job| ArithmeticShare::zeros(&job.shape)).collect();
    for batch in units(jobs.iter().map(|j| (j.shape.len(), Some(UNIT))), BATCH) {
        let mut posted = Vec::with_capacity(batch.len());
        for (job, number, range) in batch {
            let known = Known::of(p, &jobs[job], &range);
            if p.is_dealer() {
                let mask = deal_terms(p, &jobs[job], &known, range.len(), step, number)?;
                set_low(&mut out[job], range, &mask);
            } else {
                let sent = post_terms(p, &jobs[job], &known, range.len(), step, number)?;
                posted.push((job, range, sent));
            }
            known.recycle(p);
        }
        for (job, range, posted) in posted {
            let opened = posted.finish(p)?;
            set_low(&mut out[job], range, &opened);
        }
    }
    Ok(out)
}

fn set_low(share: &mut ArithmeticShare, range: Range<usize>, by: &[u128]) {
    share.x.data_mut()[range].iter_mut().zip(by).for_each(|(v, by)| *v = *by as u64);
}

/// What this party knows of the bits of a unit, and of pending lifts: words of all ones or zeros, for each term.
struct Known<'a> {
    terms: Vec<(Buffer, Factor<'a>)>,
}

enum Factor<'a> {
    Public(u64),
    /// Masked values, or masks; the bits of a pending lift and how far it goes up.
    Secret(&'a [u64], Option<(Buffer, u32)>),
}

impl<'a> Known<'a> {
    fn of(p: &mut AdditiveMac, job: &Job<'a>, range: &Range<usize>) -> Known<'a> {
        let mut terms = Vec::with_capacity(job.terms.len());
        for (bit, by) in &job.terms {
            let words = bit.x.words();
            let bits = expand(&mut p.pool, range, |word| words[word]);
            let factor = match by {
                By::Public(c) => Factor::Public(*c),
                By::Value(x) => {
                    let lift = x
                        .pending
                        .as_ref()
                        .map(|pending| (expand(&mut p.pool, range, |word| pending.bits[word]), 64 - pending.shift));
                    Factor::Secret(&x.value.x.data()[range.clone()], lift)
                }
            };
            terms.push((bits, factor));
        }
        Known { terms }
    }
    fn recycle(self, p: &mut AdditiveMac) {
        for (bits, factor) in self.terms {
            p.recycle(bits);
            if let Factor::Secret(_, Some((lift, _))) = factor {
                p.recycle(lift);
            }
        }
    }
}

/// Dealer, Spec 8.2: per term `L_b`; `L_x` and `L_b L_x`; `lm` and `L_b lm` at their place.
fn deal_terms(
    p: &mut AdditiveMac,
    job: &Job,
    known: &Known,
    len: usize,
    step: u64,
    number: usize,
) -> Result<Vec<u128>> {
    let total: usize = job.terms.iter().map(|(_, by)| parts_of(by) * len).sum();
    let draft = Draft::draw(p, step, number, total, len);
    let mut dealt: Vec<u128> = Vec::with_capacity(total);
    for (bits, factor) in &known.terms {
        dealt.extend(bits.iter().map(|b| u128::from(b & 1)));
        if let Factor::Secret(l, lift) = factor {
            dealt.extend(l.iter().map(|l| u128::from(*l)));
            dealt.extend(bits.iter().zip(*l).map(|(b, l)| u128::from(b & l)));
            if let Some((lm, up)) = lift {
                dealt.extend(lm.iter().map(|lm| u128::from((lm & 1) << up)));
                dealt.extend(bits.iter().zip(&**lm).map(|(b, lm)| u128::from((b & lm & 1) << up)));
            }
        }
    }
    let mask = draft.free();
    draft.deal(p, &dealt)?;
    Ok(mask)
}

/// Others, Spec 8.1: the sum of all terms under a mask that nobody chose.
fn post_terms(
    p: &mut AdditiveMac,
    job: &Job,
    known: &Known,
    len: usize,
    step: u64,
    number: usize,
) -> Result<Posted<u128>> {
    let total: usize = job.terms.iter().map(|(_, by)| parts_of(by) * len).sum();
    let dealt = Dealt::receive(p, step, number, total, len)?;
    dealt.post(p, step, number, len, |d, one, out| {
        let (mut rest, rho) = d.split_at(total);
        out.copy_from_slice(rho);
        for (bits, factor) in &known.terms {
            let mut take = || rest.split_off(..len).expect("dealt for all terms");
            let beta = take();
            match factor {
                Factor::Public(c) => add_public(out, bits, *c, beta, one),
                Factor::Secret(a, lift) => {
                    add_secret(out, bits, a, [beta, take(), take()], one);
                    if let Some((am, _)) = lift {
                        add_lift(out, bits, am, [take(), take()]);
                    }
                }
            }
        }
    })
}

/// `-v` where the bit is one.
#[inline(always)]
fn signed(b: u128, v: u128) -> u128 {
    (v ^ b).wrapping_sub(b)
}

/// `c (A_b + s L_b)`, `s = 1 - 2 A_b`.
fn add_public(out: &mut [u128], bits: &[u64], c: u64, beta: &[u128], one: Option<u128>) {
    let (c, one) = (u128::from(c), one.unwrap_or(0));
    for (o, (b, beta)) in out.iter_mut().zip(bits.iter().zip(beta)) {
        let b = whole(*b);
        *o = o.wrapping_add(c.wrapping_mul(signed(b, *beta).wrapping_add(one & b)));
    }
}

/// `A_b A_x - A_b L_x + s (A_x L_b - L_b L_x)`
fn add_secret(out: &mut [u128], bits: &[u64], a: &[u64], [beta, l, gamma]: [&[u128]; 3], one: Option<u128>) {
    let one = one.unwrap_or(0);
    for (((o, b), a), (beta, (l, gamma))) in out.iter_mut().zip(bits).zip(a).zip(beta.iter().zip(l.iter().zip(gamma))) {
        let (b, a) = (whole(*b), u128::from(*a));
        let own = one.wrapping_mul(a).wrapping_sub(*l) & b;
        let cross = a.wrapping_mul(*beta).wrapping_sub(*gamma);
        *o = o.wrapping_add(own).wrapping_add(signed(b, cross));
    }
}

/// `(1 - am) (A_b lm + s L_b lm)`, both dealt at their place.
fn add_lift(out: &mut [u128], bits: &[u64], am: &[u64], [lm, both]: [&[u128]; 2]) {
    for (((o, b), am), (lm, both)) in out.iter_mut().zip(bits).zip(am).zip(lm.iter().zip(both)) {
        let b = whole(*b);
        *o = o.wrapping_add((lm & b).wrapping_add(signed(b, *both)) & whole(!am));
    }
}
