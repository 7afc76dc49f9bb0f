//! Lifts of truncated values, bits to arithmetic, sums of bits times values, arithmetic to bits. Spec 5.4, 8 and 9.

use super::arithmetic::{Sum, products};
use super::{ArithmeticShare, BooleanShare, Buffer, CHECKER, DEALER, FIRST, ONE, OTHER, Rep4, TWO, boolean};
use crate::masked::{
    Unit, add_assign, batches, clear_unused, copy_unused, correct, expand, for_lanes, lane, lane_words, shift_up,
    tiles, xor_assign,
};
use crate::protocol::Pending;
use crate::share::Planes;
use crate::{BitShare, By, Inject, Protocol, Raw, Result, Share};
use privity_ring::{Bilinear, Shape, simd::vectorise};
use std::ops::Range;
use std::sync::Arc;

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

/// Spec 8.1: bits as 0 or 1 in the ring, `b = A + L - 2 A L`: a product of a bit the pair knows and one that checker and dealer
/// know. One round per batch.
pub(super) fn bits_to_ring(p: &mut Rep4, xs: &[&BooleanShare]) -> Result<Vec<ArithmeticShare>> {
    let bits = Bits::post(p, xs)?;
    bits.finish(p)
}

/// Conversions on their way.
struct Bits<'a> {
    step: u64,
    xs: &'a [&'a BooleanShare],
    out: Vec<ArithmeticShare>,
    posted: Vec<Unit>,
}

impl<'a> Bits<'a> {
    fn post(p: &mut Rep4, xs: &'a [&'a BooleanShare]) -> Result<Bits<'a>> {
        assert!(xs.iter().all(|x| x.width() == 1), "one-bit sharings are converted");
        let step = p.party.next_step();
        let out = xs.iter().map(|x| ArithmeticShare::zeros(&Shape::vector(x.len()))).collect();
        let mut bits = Bits { step, xs, out, posted: Vec::new() };
        for batch in batches(xs.iter().map(|x| x.len())) {
            bits.complete(p)?;
            for (i, tile, range) in &batch {
                match p.party.me() {
                    CHECKER | DEALER => deal_bit(p, xs[*i], &mut bits.out[*i], step, *tile, range.clone())?,
                    _ => post_bit(p, xs[*i], &mut bits.out[*i], step, *tile, range.clone())?,
                }
            }
            bits.posted = batch;
        }
        Ok(bits)
    }
    fn finish(mut self, p: &mut Rep4) -> Result<Vec<ArithmeticShare>> {
        self.complete(p)?;
        Ok(self.out)
    }
    fn complete(&mut self, p: &mut Rep4) -> Result<()> {
        for (i, tile, range) in std::mem::take(&mut self.posted) {
            match p.party.me() {
                DEALER => {}
                CHECKER => check_bit(p, self.xs[i], &mut self.out[i], self.step, tile, range)?,
                _ => finish_bit(p, self.xs[i], &mut self.out[i], self.step, tile, range)?,
            }
        }
        Ok(())
    }
}

/// The tile's bit of `A` (pair) or `L` (checker and dealer), as words of all ones or zeros.
fn known_bits(p: &mut Rep4, b: &BooleanShare, range: &Range<usize>) -> Buffer {
    let words = if p.party.me() == CHECKER { b.y.words() } else { b.x.words() };
    expand(&mut p.pool, range, |word| words[word])
}

/// `(1 - 2 b) v`, the bit as a word of all ones or zeros.
#[inline(always)]
fn signed(b: u64, v: u64) -> u64 {
    (v ^ b).wrapping_sub(b)
}

/// Checker and dealer: `L` dealt as `beta1` (drawn) and `beta2`; the dealer tells the checker `e = U - (1 - 2L) kappa`.
fn deal_bit(
    p: &mut Rep4,
    b: &BooleanShare,
    z: &mut ArithmeticShare,
    step: u64,
    tile: usize,
    range: Range<usize>,
) -> Result<()> {
    let n = range.len();
    let known = known_bits(p, b, &range);
    let mut beta = p.drawn(ONE, step, RHO, tile, n);
    vectorise(|| beta.iter_mut().zip(&*known).for_each(|(r, b)| *r = (b & 1).wrapping_sub(*r)));
    p.deal(step, tile, &beta)?;
    let mut mask = p.drawn(ONE, step, Z, tile, n);
    p.mask(TWO, step, Z, tile, &mut beta);
    add_assign(&mut mask, &beta);
    if p.party.me() == DEALER {
        let u = &mut z.y.data_mut()[range.clone()];
        p.mask(OTHER, step, Z, tile, u);
        p.mask(OTHER, step, KAPPA, tile, &mut beta);
        vectorise(|| {
            for (e, (b, u)) in beta.iter_mut().zip(known.iter().zip(&*u)) {
                *e = u.wrapping_sub(signed(*b, *e));
            }
        });
        p.party.send(CHECKER, step, tile, &beta)?;
        z.x.data_mut()[range].copy_from_slice(&mask);
    } else {
        z.y.data_mut()[range].copy_from_slice(&mask);
    }
    p.recycle([known, beta, mask]);
    Ok(())
}

/// Online pair: `(1 - 2A) beta_i + l_i`, second adds `A`.
fn post_bit(
    p: &mut Rep4,
    b: &BooleanShare,
    z: &mut ArithmeticShare,
    step: u64,
    tile: usize,
    range: Range<usize>,
) -> Result<()> {
    let known = known_bits(p, b, &range);
    let mut beta = p.buffer(range.len());
    let mask = &mut z.y.data_mut()[range.clone()];
    let whole = if p.party.me() == FIRST {
        p.mask(ONE, step, RHO, tile, &mut beta);
        p.mask(ONE, step, Z, tile, mask);
        0
    } else {
        p.dealt(step, tile, &mut beta)?;
        p.mask(TWO, step, Z, tile, mask);
        1
    };
    let half = &mut z.x.data_mut()[range];
    vectorise(|| {
        for ((h, l), (b, r)) in half.iter_mut().zip(&*mask).zip(known.iter().zip(&*beta)) {
            *h = l.wrapping_add(signed(*b, *r)).wrapping_add(b & whole);
        }
    });
    p.party.send(p.online_peer(), step, tile, half)?;
    p.recycle([known, beta]);
    Ok(())
}

/// Online pair: the bit; the checker is told `A + kappa`, then all agree on `m`.
fn finish_bit(
    p: &mut Rep4,
    b: &BooleanShare,
    z: &mut ArithmeticShare,
    step: u64,
    tile: usize,
    range: Range<usize>,
) -> Result<()> {
    let known = known_bits(p, b, &range);
    let mut theirs = p.buffer(range.len());
    p.party.recv(p.online_peer(), step, tile, &mut theirs)?;
    let a = &mut z.x.data_mut()[range];
    add_assign(a, &theirs);
    let told = &mut theirs;
    p.mask(OTHER, step, KAPPA, tile, told);
    vectorise(|| told.iter_mut().zip(&*known).for_each(|(t, b)| *t = t.wrapping_add(b & 1)));
    p.tell_checker(step, tile, told)?;
    p.mask(OTHER, step, Z, tile, told);
    add_assign(told, a);
    p.agree(told);
    p.recycle([known, theirs]);
    Ok(())
}

/// Checker: `B = L + (1 - 2L)(A + kappa) + e`.
fn check_bit(
    p: &mut Rep4,
    b: &BooleanShare,
    z: &mut ArithmeticShare,
    step: u64,
    tile: usize,
    range: Range<usize>,
) -> Result<()> {
    let known = known_bits(p, b, &range);
    let mut e = p.buffer(range.len());
    p.party.recv(DEALER, step, tile, &mut e)?;
    let out = &mut z.x.data_mut()[range.clone()];
    p.told_by_pair(step, tile, out)?;
    vectorise(|| {
        for ((o, b), e) in out.iter_mut().zip(&*known).zip(&*e) {
            *o = (b & 1).wrapping_add(signed(*b, *o)).wrapping_add(*e);
        }
    });
    e.copy_from_slice(out);
    add_assign(&mut e, &z.y.data()[range]);
    p.agree(&e);
    p.recycle([known, e]);
    Ok(())
}

/// Spec 8.2: keeps the bits in the ring with the sharings, for every injection of them.
pub(super) fn arm(p: &mut Rep4, xs: &[&BooleanShare]) -> Result<Vec<BooleanShare>> {
    let unarmed: Vec<&BooleanShare> = xs.iter().copied().filter(|x| x.armed.is_none()).collect();
    let mut converted = bits_to_ring(p, &unarmed)?.into_iter();
    let with = |x: &&BooleanShare| BooleanShare {
        armed: x.armed.clone().or_else(|| converted.next().map(Arc::new)),
        ..(*x).clone()
    };
    Ok(xs.iter().map(with).collect())
}

/// Spec 8.3: sums of bits times values. Bits that are not armed are converted, raw factors lifted, in one round; the sums of
/// products with secret factors take one more.
pub(super) fn inject(p: &mut Rep4, jobs: &[Inject<'_, ArithmeticShare, BooleanShare>]) -> Result<Vec<ArithmeticShare>> {
    let (mut unarmed, mut raw): (Vec<&BooleanShare>, Vec<Raw<ArithmeticShare>>) = (Vec::new(), Vec::new());
    for (b, by) in jobs.iter().flat_map(|job| &job.terms) {
        if b.armed.is_none() {
            unarmed.push(b);
        }
        if let By::Value(x) = by {
            raw.push((*x).clone());
        }
    }
    let lift = Lift::post(p, raw)?;
    let bits = Bits::post(p, &unarmed)?;
    let mut factors = lift.finish(p)?.into_iter();
    let mut converted = bits.finish(p)?.into_iter();
    let mut sums: Vec<Option<ArithmeticShare>> = Vec::with_capacity(jobs.len());
    let mut secret: Vec<Vec<(ArithmeticShare, ArithmeticShare)>> = Vec::with_capacity(jobs.len());
    for job in jobs {
        let mut sum: Option<ArithmeticShare> = None;
        let mut pairs = Vec::new();
        for (b, by) in &job.terms {
            assert_eq!(b.len(), job.shape.len(), "a term's bits must match the result");
            let bit = match &b.armed {
                Some(bit) => bit.reshape(&job.shape),
                None => converted.next().expect("one conversion per unarmed bit").reshape(&job.shape),
            };
            match by {
                By::Public(c) => {
                    let term = bit.scale(*c);
                    sum = Some(sum.map_or_else(|| term.clone(), |sum| sum.add(&term)));
                }
                By::Value(_) => {
                    let factor = factors.next().expect("one lift per factor");
                    assert_eq!(factor.x.len(), job.shape.len(), "a term's factor must match the result");
                    pairs.push((bit, factor.reshape(&job.shape)));
                }
            }
        }
        sums.push(sum);
        secret.push(pairs);
    }
    let with_secrets = jobs.iter().zip(&secret).filter(|(_, pairs)| !pairs.is_empty());
    let products_of: Vec<Sum<'_>> = with_secrets
        .map(|(job, pairs)| Sum {
            op: Bilinear::Mul,
            terms: pairs.iter().map(|(bit, factor)| (bit, factor)).collect(),
            shape: job.shape.clone(),
            shift: 0,
        })
        .collect();
    let products_of = match products_of.is_empty() {
        true => Vec::new(),
        false => products(p, &products_of)?,
    };
    let mut results = products_of.into_iter().map(|done| done.into_raw().value);
    let total = |((sum, pairs), job): ((Option<ArithmeticShare>, &Vec<_>), &Inject<'_, _, _>)| {
        let products = (!pairs.is_empty()).then(|| results.next().expect("one result per sum"));
        match (sum, products) {
            (Some(sum), Some(products)) => sum.add(&products),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => ArithmeticShare::zeros(&job.shape),
        }
    };
    Ok(sums.into_iter().zip(&secret).zip(jobs).map(total).collect())
}

/// Spec 9: the bits of `A - L`: a subtraction circuit whose borrows come from a Kogge-Stone prefix over `[A_i < L_i]`.
pub(super) fn a2b(p: &mut Rep4, x: &ArithmeticShare, width: u32) -> Result<BooleanShare> {
    let width = width as usize;
    assert!((1..=64).contains(&width), "values have 1 to 64 bits");
    let known = Planes::from_values(boolean::known(p, x).data(), width);
    let (minuend, subtrahend) = share_known(p, known)?;
    let difference = minuend.xor(&subtrahend);
    let mut propagate = p.not(&difference);
    let inverse = p.not(&minuend);
    let mut borrow = boolean::and(p, &[(&inverse, &subtrahend)])?.remove(0);
    let mut distance = 1;
    while distance < width {
        let (moved_borrow, moved_propagate) = (shifted(&borrow, distance), shifted(&propagate, distance));
        let mut joined = boolean::and(p, &[(&propagate, &moved_borrow), (&propagate, &moved_propagate)])?;
        propagate = joined.pop().expect("two products");
        borrow = borrow.xor(&joined.pop().expect("two products"));
        distance *= 2;
    }
    Ok(difference.xor(&shifted(&borrow, 1)))
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

fn shifted(x: &BooleanShare, by: usize) -> BooleanShare {
    BooleanShare::new(shift_up(&x.x, by), shift_up(&x.y, by))
}
