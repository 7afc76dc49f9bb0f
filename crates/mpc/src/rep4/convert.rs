//! Lifts of truncated values, arithmetic to bits. Spec 5.4 and 9.

use super::{ArithmeticShare, BooleanShare, Buffer, CHECKER, DEALER, FIRST, ONE, OTHER, Rep4, TWO, boolean};
use crate::masked::{
    Unit, batches, clear_unused, copy_unused, correct, expand, for_lanes, lane, lane_words, subtract, tiles, xor_assign,
};
use crate::protocol::Pending;
use crate::share::Planes;
use crate::{BitShare, Raw, Result};
use privity_ring::simd::vectorise;
use std::ops::Range;

// Streams of a step: each is read once.
const RHO: u8 = 1;
const Z: u8 = 2;
const KAPPA: u8 = 3;

/// Lifts on their way: `2^k (1 - am) lm` added to each value, a pair product in words of a few bits (Spec 5.4).
pub(super) struct Lift {
    step: u64,
    values: Vec<Lifting>,
    /// Tiles posted and not yet completed.
    posted: Vec<Unit>,
}

struct Lifting {
    value: ArithmeticShare,
    pending: Option<Pending>,
    /// The product's two components, in lanes; until it is complete, `x` is the pair's own half.
    x: Buffer,
    y: Buffer,
}

impl Lifting {
    /// Bits shifted and the words of a tile; only values with a pending lift have tiles.
    fn tile(&self, range: &Range<usize>) -> (u32, Range<usize>) {
        let shift = self.pending.as_ref().map_or(0, |p| p.shift);
        let start = lane_words(range.start, shift);
        (shift, start..start + lane_words(range.len(), shift))
    }
    /// The tile's `am` (pair) or `lm` (checker and dealer), as words of all ones or zeros.
    fn bits(&self, p: &mut Rep4, range: &Range<usize>) -> Buffer {
        let bits = &self.pending.as_ref().expect("only pending values have tiles").bits;
        expand(&mut p.pool, range, |word| bits[word])
    }
}

impl Lift {
    /// Posts this party's messages; where they fill more than one batch, all but the last are completed at once. Values
    /// without a pending lift pass through.
    pub(super) fn post(p: &mut Rep4, xs: Vec<Raw<ArithmeticShare>>) -> Result<Lift> {
        let step = if xs.iter().any(|x| x.pending.is_some()) { p.party.next_step() } else { 0 };
        let lifted = |x: &Raw<ArithmeticShare>| if x.pending.is_some() { x.value.x.len() } else { 0 };
        let batches = batches(xs.iter().map(lifted));
        let mut values = Vec::with_capacity(xs.len());
        for Raw { value, pending } in xs {
            let words = pending.as_ref().map_or(0, |pending| lane_words(value.x.len(), pending.shift));
            values.push(Lifting { value, pending, x: p.buffer(words), y: p.buffer(words) });
        }
        let mut lift = Lift { step, values, posted: Vec::new() };
        for batch in batches {
            lift.complete(p)?;
            for (value, tile, range) in &batch {
                let l = &mut lift.values[*value];
                match p.party.me() {
                    CHECKER | DEALER => deal_lift(p, l, range, step, *tile)?,
                    _ => post_lift(p, l, range, step, *tile)?,
                }
            }
            lift.posted = batch;
        }
        Ok(lift)
    }

    /// Completes the products and corrects the values.
    pub(super) fn finish(mut self, p: &mut Rep4) -> Result<Vec<ArithmeticShare>> {
        self.complete(p)?;
        let mut done = Vec::with_capacity(self.values.len());
        for mut l in self.values {
            if let Some(pending) = l.pending {
                correct(&mut l.value.x, &l.x, pending.shift);
                correct(&mut l.value.y, &l.y, pending.shift);
            }
            p.recycle([l.x, l.y]);
            done.push(l.value);
        }
        Ok(done)
    }

    fn complete(&mut self, p: &mut Rep4) -> Result<()> {
        for (value, tile, range) in std::mem::take(&mut self.posted) {
            let l = &mut self.values[value];
            match p.party.me() {
                DEALER => {}
                CHECKER => check_lift(p, l, &range, self.step, tile)?,
                _ => finish_lift(p, l, &range, self.step, tile)?,
            }
        }
        Ok(())
    }
}

/// Checker and dealer: `q = lm` dealt as `q1` (drawn) and `q2`; the dealer tells the checker `e = q kappa - U`.
fn deal_lift(p: &mut Rep4, l: &mut Lifting, range: &Range<usize>, step: u64, tile: usize) -> Result<()> {
    let (shift, words) = l.tile(range);
    let (n, dealer) = (words.len(), p.party.me() == DEALER);
    let known = l.bits(p, range);
    let mut q2 = p.drawn(ONE, step, RHO, tile, n);
    vectorise(|| for_lanes(&mut q2, range.len(), shift, |i, r| (known[i] & 1).wrapping_sub(r)));
    p.deal(step, tile, &q2)?;
    let mut mask = p.drawn(ONE, step, Z, tile, n);
    let l2 = p.drawn(TWO, step, Z, tile, n);
    vectorise(|| for_lanes(&mut mask, range.len(), shift, |i, v| v.wrapping_add(lane(&l2, i, shift))));
    if dealer {
        let u = &mut l.y[words.clone()];
        p.mask(OTHER, step, Z, tile, u);
        let mut e = p.drawn(OTHER, step, KAPPA, tile, n);
        vectorise(|| for_lanes(&mut e, range.len(), shift, |i, k| (k & known[i]).wrapping_sub(lane(u, i, shift))));
        clear_unused(&mut e, range.len(), shift);
        p.party.send(CHECKER, step, tile, &e)?;
        p.recycle([e]);
        l.x[words].copy_from_slice(&mask);
    } else {
        l.y[words].copy_from_slice(&mask);
    }
    p.recycle([known, q2, mask, l2]);
    Ok(())
}

/// Online pair: `p q_i + l_i` with `p = 1 - am`.
fn post_lift(p: &mut Rep4, l: &mut Lifting, range: &Range<usize>, step: u64, tile: usize) -> Result<()> {
    let (shift, words) = l.tile(range);
    let known = l.bits(p, range);
    let mut q = p.buffer(words.len());
    if p.party.me() == FIRST {
        p.mask(ONE, step, RHO, tile, &mut q);
        p.mask(ONE, step, Z, tile, &mut l.y[words.clone()]);
    } else {
        p.dealt(step, tile, &mut q)?;
        p.mask(TWO, step, Z, tile, &mut l.y[words.clone()]);
    }
    let half = &mut l.x[words.clone()];
    half.copy_from_slice(&l.y[words]);
    vectorise(|| for_lanes(half, range.len(), shift, |i, l| l.wrapping_add(lane(&q, i, shift) & !known[i])));
    clear_unused(half, range.len(), shift);
    p.party.send(p.online_peer(), step, tile, half)?;
    p.recycle([known, q]);
    Ok(())
}

/// Online pair: the product; the checker is told `p + kappa`, then all agree on `m`.
fn finish_lift(p: &mut Rep4, l: &mut Lifting, range: &Range<usize>, step: u64, tile: usize) -> Result<()> {
    let (shift, words) = l.tile(range);
    let known = l.bits(p, range);
    let mut theirs = p.buffer(words.len());
    p.party.recv(p.online_peer(), step, tile, &mut theirs)?;
    let a = &mut l.x[words.clone()];
    vectorise(|| for_lanes(a, range.len(), shift, |i, v| v.wrapping_add(lane(&theirs, i, shift))));
    let mut told = p.drawn(OTHER, step, KAPPA, tile, words.len());
    vectorise(|| for_lanes(&mut told, range.len(), shift, |i, k| k.wrapping_add(!known[i] & 1)));
    clear_unused(&mut told, range.len(), shift);
    p.tell_checker(step, tile, &told)?;
    p.mask(OTHER, step, Z, tile, &mut told);
    vectorise(|| for_lanes(&mut told, range.len(), shift, |i, u| u.wrapping_add(lane(a, i, shift))));
    copy_unused(&mut told, &theirs, range.len(), shift);
    p.agree(&told);
    p.recycle([known, theirs, told]);
    Ok(())
}

/// Checker: `B = q (p + kappa) - e`.
fn check_lift(p: &mut Rep4, l: &mut Lifting, range: &Range<usize>, step: u64, tile: usize) -> Result<()> {
    let (shift, words) = l.tile(range);
    let known = l.bits(p, range);
    let mut e = p.buffer(words.len());
    p.party.recv(DEALER, step, tile, &mut e)?;
    let b = &mut l.x[words.clone()];
    p.told_by_pair(step, tile, b)?;
    vectorise(|| for_lanes(b, range.len(), shift, |i, v| (v & known[i]).wrapping_sub(lane(&e, i, shift))));
    let mask = &l.y[words];
    vectorise(|| {
        for_lanes(&mut e, range.len(), shift, |i, _| lane(b, i, shift).wrapping_add(lane(mask, i, shift)));
    });
    // Unused lanes stay as the dealer sent them: zero.
    p.agree(&e);
    p.recycle([known, e]);
    Ok(())
}

/// Spec 9: the bits of `A - L`: a subtraction circuit whose borrows come from a Kogge-Stone prefix over `[A_i < L_i]`.
pub(super) fn a2b(p: &mut Rep4, x: &ArithmeticShare, width: u32) -> Result<BooleanShare> {
    let width = width as usize;
    assert!((1..=64).contains(&width), "values have 1 to 64 bits");
    let known = Planes::from_values(boolean::known(p, x).data(), width);
    let (minuend, subtrahend) = share_known(p, known)?;
    subtract(p, &minuend, &subtrahend, BooleanShare::shifted, boolean::and)
}

/// Spec 9.1: sharings of the bits of `A`, known to the pair, and of `L`, known to checker and dealer.
fn share_known(p: &mut Rep4, known: Planes) -> Result<(BooleanShare, BooleanShare)> {
    let step = p.party.next_step();
    let me = p.party.me();
    let (len, width) = (known.len(), known.width());
    // A has masks l1 = l2 = 0 and U; L has m = U = 0 and masks l1 ^ l2 = L.
    let (mut a, mut l) = (BooleanShare::zeros(len, width), BooleanShare::zeros(len, width));
    for (tile, range) in tiles(known.words().len()) {
        let bits = &known.words()[range.clone()];
        match me {
            CHECKER | DEALER => {
                let mut l2 = p.drawn(ONE, step, Z, tile, range.len());
                xor_assign(&mut l2, bits);
                p.deal(step, tile, &l2)?;
                p.recycle([l2]);
                if me == DEALER {
                    p.mask(OTHER, step, Z, tile, &mut a.y.words_mut()[range]);
                } else {
                    p.told_by_pair(step, tile, &mut a.x.words_mut()[range])?;
                }
            }
            _ => {
                let mask = &mut l.y.words_mut()[range.clone()];
                if me == FIRST {
                    p.mask(ONE, step, Z, tile, mask);
                } else {
                    p.dealt(step, tile, mask)?;
                }
                let mut told = p.drawn(OTHER, step, Z, tile, range.len());
                xor_assign(&mut told, bits);
                p.tell_checker(step, tile, &told)?;
                p.recycle([told]);
            }
        }
    }
    match me {
        // B = L, L = L.
        CHECKER => l = BooleanShare::new(known.clone(), known),
        DEALER => l.x = known,
        _ => a.x = known,
    }
    Ok((a, l))
}
