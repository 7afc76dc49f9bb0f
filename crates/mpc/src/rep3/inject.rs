//! Bits to arithmetic, sums of bits times values. Spec 8.

use super::{ArithmeticShare, BooleanShare, Buffer, OWNER, Rep3};
use crate::masked::terms::{self, Parts, add_terms};
use crate::masked::{add_assign, add_lanes, batches, expand, tiles};
use crate::{BitShare, By, Inject, Result};
use std::ops::Range;

// Streams of a step. Those of a sum's terms are numbered in `masked::terms`.
const Z: u8 = 2;
const BETA: u8 = 5;

/// Spec 8.1: additive shares of the mask bit `L_b`, held by the online pair and used by every injection of this bit.
pub(super) fn arm(p: &mut Rep3, x: &BooleanShare) -> Result<BooleanShare> {
    assert_eq!(x.width(), 1, "one-bit sharings are armed");
    if x.armed.is_some() {
        return Ok(x.clone());
    }
    let step = p.party.next_step();
    let mut beta = if p.is_owner() { Vec::new() } else { vec![0; x.len()] };
    for (tile, range) in tiles(x.len()) {
        if p.is_owner() {
            let mut message = p.buffer(range.len());
            let bits = mask_bits(p, x, &range);
            p.drawn(step, BETA, tile, &mut message);
            terms::deal_bits(&mut message, &bits);
            p.party.send(p.last(), step, tile, &message)?;
            p.recycle(message);
            p.recycle(bits);
        } else {
            p.dealt(step, BETA, tile, &mut beta[range])?;
        }
    }
    Ok(x.with_armed(beta))
}

/// Owner: the mask bits of a tile.
fn mask_bits(p: &mut Rep3, b: &BooleanShare, range: &Range<usize>) -> Buffer {
    let (l1, l2) = (b.x.words(), b.y.words());
    expand(&mut p.pool, range, |word| l1[word] ^ l2[word])
}

/// Spec 8.2 to 8.4: sums of bits times values. One round per batch.
pub(super) fn inject(p: &mut Rep3, jobs: &[Inject<'_, ArithmeticShare, BooleanShare>]) -> Result<Vec<ArithmeticShare>> {
    let step = p.party.next_step();
    jobs.iter().try_for_each(terms::check_terms)?;
    let mut out: Vec<ArithmeticShare> = jobs.iter().map(|job| ArithmeticShare::zeros(&job.shape)).collect();
    for batch in batches(jobs.iter().map(|j| j.shape.len())) {
        for (job, tile, range) in &batch {
            let z = &mut out[*job];
            if p.is_owner() {
                deal_terms(p, &jobs[*job], z, step, *tile, range.clone())?;
            } else {
                post_terms(p, &jobs[*job], z, step, *tile, range.clone())?;
            }
        }
        if !p.is_owner() {
            for (job, tile, range) in batch {
                p.add_peers(step, tile, &mut out[job].x.data_mut()[range], add_assign)?;
            }
        }
    }
    Ok(out)
}

/// Owner's side of a tile: one message with all terms' parts, and the output masks.
fn deal_terms(
    p: &mut Rep3,
    job: &Inject<'_, ArithmeticShare, BooleanShare>,
    z: &mut ArithmeticShare,
    step: u64,
    tile: usize,
    range: Range<usize>,
) -> Result<()> {
    let len = range.len();
    p.drawn(step, Z, tile, &mut z.x.data_mut()[range.clone()]);
    p.mask(p.last(), step, Z, tile, &mut z.y.data_mut()[range.clone()]);
    let mut message = p.buffer(terms::total(job, len));
    terms::draw(job, len, &mut message, |label, shift, part| {
        p.drawn_sum((step, label, tile), part, |sum, more| add_lanes(sum, more, shift));
    });
    let mut rest = &mut message[..];
    for term in &job.terms {
        let parts = Parts::of(term.0, &term.1, len);
        let [beta, gamma, lm, lm_bit] = parts.take_mut(&mut rest);
        let bits = mask_bits(p, term.0, &range);
        terms::deal_bits(beta, &bits);
        if let By::Value(x) = &term.1 {
            // Spec 8.3: gamma = L_b L_x
            let mut l = p.buffer(len);
            l.copy_from_slice(&x.value.x.data()[range.clone()]);
            add_assign(&mut l, &x.value.y.data()[range.clone()]);
            terms::deal_products(gamma, &bits, &l);
            p.recycle(l);
            // Spec 8.4: lm and L_b lm, modulo 2^shift
            if let Some(pending) = &x.pending {
                let top = expand(&mut p.pool, &range, |word| pending.bits[word]);
                terms::deal_lifts(lm, lm_bit, &bits, &top, parts.shift);
                p.recycle(top);
            }
        }
        p.recycle(bits);
    }
    if !message.is_empty() {
        p.party.send(p.last(), step, tile, &message)?;
    }
    p.recycle(message);
    Ok(())
}

/// Online side of a tile: own half of the sum, masked and sent.
fn post_terms(
    p: &mut Rep3,
    job: &Inject<'_, ArithmeticShare, BooleanShare>,
    z: &mut ArithmeticShare,
    step: u64,
    tile: usize,
    range: Range<usize>,
) -> Result<()> {
    let (len, last) = (range.len(), p.is_last());
    let mut dealt = p.buffer(terms::total(job, len));
    if !last {
        terms::draw(job, len, &mut dealt, |label, _, part| p.mask(OWNER, step, label, tile, part));
    } else if !dealt.is_empty() {
        p.party.recv(OWNER, step, tile, &mut dealt)?;
    }
    let mask = &mut z.y.data_mut()[range.clone()];
    p.mask(OWNER, step, Z, tile, mask);
    let sum = &mut z.x.data_mut()[range.clone()];
    sum.copy_from_slice(mask);
    add_terms(&mut p.pool, job, &dealt, &range, last, sum);
    p.recycle(dealt);
    p.tell_peers(step, tile, &z.x.data()[range])
}
