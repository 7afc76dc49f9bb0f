//! Lifts of truncated values, bits to arithmetic, bit injection, arithmetic to bits, sine series. Spec 5.3, 8, 9 and 10.

use super::{ArithmeticShare, Beta, BooleanShare, Buffer, FIRST, OWNER, Rep3, SECOND, boolean};
use crate::masked::{Unit, add_assign, batches, correct, expand, for_lanes, lane, lane_words, shift_up, tiles};
use crate::ops::fourier::Series;
use crate::protocol::Pending;
use crate::share::Planes;
use crate::{BitShare, By, Error, Inject, Raw, Result, Share, TruncMode};
use privity_ring::{Tensor, simd::vectorise};
use std::ops::Range;
use std::sync::Arc;

const R: u8 = 1;
const Z: u8 = 2;
const BETA: u8 = 5;
/// Streams of the k-th term of an injection are `TERM + 4 k ..`.
const TERM: u8 = 16;
/// Terms per injection: what is dealt for a tile of as many fits a frame, and stream labels fit a byte.
pub(super) const MAX_TERMS: usize = 32;

/// Lifts on their way: `2^k (1 - am) lm` added to each value, a pair product in words of a few bits (Spec 5.3).
pub(super) struct Lift {
    step: u64,
    values: Vec<Lifting>,
    /// Tiles posted and not yet completed.
    posted: Vec<Unit>,
}

struct Lifting {
    value: ArithmeticShare,
    pending: Option<Pending>,
    /// This party's half of the product (online), and its output mask; both masks at the owner.
    half: Buffer,
    mask: Buffer,
}

impl Lifting {
    /// Bits shifted and the words of a tile; only values with a pending lift have tiles.
    fn tile(&self, range: &Range<usize>) -> (u32, Range<usize>) {
        let shift = self.pending.as_ref().map_or(0, |p| p.shift);
        let start = lane_words(range.start, shift);
        (shift, start..start + lane_words(range.len(), shift))
    }
}

impl Lift {
    /// Posts this party's messages; where they fill more than one batch, all but the last are completed at once. Values
    /// without a pending lift pass through.
    pub(super) fn post(p: &mut Rep3, xs: Vec<Raw<ArithmeticShare>>) -> Result<Lift> {
        let step = if xs.iter().any(|x| x.pending.is_some()) { p.party.next_step() } else { 0 };
        let lifted = |x: &Raw<ArithmeticShare>| if x.pending.is_some() { x.value.x.len() } else { 0 };
        let batches = batches(xs.iter().map(lifted));
        let mut values = Vec::with_capacity(xs.len());
        for Raw { value, pending } in xs {
            let words = pending.as_ref().map_or(0, |pending| lane_words(value.x.len(), pending.shift));
            values.push(Lifting { value, pending, half: p.buffer(words), mask: p.buffer(words) });
        }
        let mut lift = Lift { step, values, posted: Vec::new() };
        for batch in batches {
            lift.complete(p)?;
            for (value, tile, range) in &batch {
                post_lift(p, &mut lift.values[*value], range, step, *tile)?;
            }
            lift.posted = batch;
        }
        Ok(lift)
    }

    /// Completes the products and corrects the values.
    pub(super) fn finish(mut self, p: &mut Rep3) -> Result<Vec<ArithmeticShare>> {
        self.complete(p)?;
        let mut done = Vec::with_capacity(self.values.len());
        for mut l in self.values {
            if let Some(pending) = l.pending {
                correct(&mut l.value.x, &l.half, pending.shift);
                correct(&mut l.value.y, &l.mask, pending.shift);
            }
            p.recycle(l.half);
            p.recycle(l.mask);
            done.push(l.value);
        }
        Ok(done)
    }

    /// Adds the peer's halves of what is posted.
    fn complete(&mut self, p: &mut Rep3) -> Result<()> {
        let posted = std::mem::take(&mut self.posted);
        if p.is_owner() {
            return Ok(());
        }
        for (value, tile, range) in posted {
            let l = &mut self.values[value];
            let (shift, words) = l.tile(&range);
            let mut theirs = p.buffer(words.len());
            let peer = p.online_peer();
            p.party.recv(peer, self.step, tile, &mut theirs)?;
            for_lanes(&mut l.half[words], range.len(), shift, |i, v| v.wrapping_add(lane(&theirs, i, shift)));
            p.recycle(theirs);
        }
        Ok(())
    }
}

fn post_lift(p: &mut Rep3, l: &mut Lifting, range: &Range<usize>, step: u64, tile: usize) -> Result<()> {
    let (shift, words) = l.tile(range);
    let mut q = p.buffer(words.len());
    let bits = &l.pending.as_ref().expect("only pending values have tiles").bits;
    let known = expand(&mut p.pool, range, |word| bits[word]);
    let (half, mask) = (&mut l.half[words.clone()], &mut l.mask[words]);
    if p.is_owner() {
        // q = lm, dealt as q1 (drawn) and q2 (sent to party 2); output masks drawn.
        p.mask(FIRST, step, R, tile, &mut q);
        vectorise(|| for_lanes(&mut q, range.len(), shift, |i, r| (known[i] & 1).wrapping_sub(r)));
        p.party.send(SECOND, step, tile, &q)?;
        p.mask(FIRST, step, Z, tile, half);
        p.mask(SECOND, step, Z, tile, mask);
    } else {
        // p q_i + l_i with p = 1 - am
        if p.party.me() == FIRST {
            p.mask(OWNER, step, R, tile, &mut q);
        } else {
            p.party.recv(OWNER, step, tile, &mut q)?;
        }
        p.mask(OWNER, step, Z, tile, mask);
        half.copy_from_slice(mask);
        vectorise(|| for_lanes(half, range.len(), shift, |i, l| l.wrapping_add(lane(&q, i, shift) & !known[i])));
        let peer = p.online_peer();
        p.party.send(peer, step, tile, half)?;
    }
    p.recycle(q);
    p.recycle(known);
    Ok(())
}

/// Spec 8.1: additive shares of the mask bit `L_b`, held by the online pair and used by every injection of this bit.
pub(super) fn arm(p: &mut Rep3, x: &BooleanShare) -> Result<BooleanShare> {
    assert_eq!(x.width(), 1, "one-bit sharings are armed");
    if x.beta.is_some() {
        return Ok(x.clone());
    }
    let step = p.party.next_step();
    let mut beta = if p.is_owner() { Vec::new() } else { vec![0; x.len()] };
    for (tile, range) in tiles(x.len()) {
        match p.party.me() {
            OWNER => {
                let mut message = p.buffer(range.len());
                let bits = mask_bits(p, x, &range);
                deal_mask_bit(p, &bits, step, BETA, tile, &mut message);
                p.party.send(SECOND, step, tile, &message)?;
                p.recycle(message);
                p.recycle(bits);
            }
            FIRST => p.mask(OWNER, step, BETA, tile, &mut beta[range]),
            _ => p.party.recv(OWNER, step, tile, &mut beta[range])?,
        }
    }
    Ok(BooleanShare { x: x.x.clone(), y: x.y.clone(), beta: Some(Arc::new(Beta(beta))) })
}

/// Owner: `L_b - beta1` for a tile, the mask bits given as words of all ones or zeros.
fn deal_mask_bit(p: &Rep3, mask_bits: &[u64], step: u64, label: u8, tile: usize, out: &mut [u64]) {
    p.mask(FIRST, step, label, tile, out);
    vectorise(|| out.iter_mut().zip(mask_bits).for_each(|(o, m)| *o = (m & 1).wrapping_sub(*o)));
}

/// Owner: the mask bits of a tile.
fn mask_bits(p: &mut Rep3, b: &BooleanShare, range: &Range<usize>) -> Buffer {
    let (l1, l2) = (b.x.words(), b.y.words());
    expand(&mut p.pool, range, |word| l1[word] ^ l2[word])
}

/// What the mask owner sends for one term and tile, in words, in this order.
pub(super) struct TermParts {
    /// Shares of the mask bit, unless the sharing is armed.
    pub beta: usize,
    /// Shares of mask bit times mask, for secret factors.
    pub gamma: usize,
    /// Twice this: shares of `lm` and of mask bit times `lm`, for raw factors.
    pub lift: usize,
}

impl TermParts {
    pub(super) fn new(len: usize, armed: bool, secret: bool, shift: Option<u32>) -> Self {
        TermParts {
            beta: if armed { 0 } else { len },
            gamma: if secret { len } else { 0 },
            lift: shift.map_or(0, |s| lane_words(len, s)),
        }
    }
    pub(super) fn total(&self) -> usize {
        self.beta + self.gamma + 2 * self.lift
    }
}

/// Spec 8.2 to 8.4: sums of bits times values. One round per batch.
pub(super) fn inject(p: &mut Rep3, jobs: &[Inject<'_, ArithmeticShare, BooleanShare>]) -> Result<Vec<ArithmeticShare>> {
    let step = p.party.next_step();
    for job in jobs {
        check_terms(job)?;
    }
    let zero = |j: &Inject<_, _>| ArithmeticShare { x: Tensor::zeros(&j.shape), y: Tensor::zeros(&j.shape) };
    let mut out: Vec<ArithmeticShare> = jobs.iter().map(zero).collect();
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
                let mut theirs = p.buffer(range.len());
                let peer = p.online_peer();
                p.party.recv(peer, step, tile, &mut theirs)?;
                add_assign(&mut out[job].x.data_mut()[range], &theirs);
                p.recycle(theirs);
            }
        }
    }
    Ok(out)
}

fn check_terms(job: &Inject<'_, ArithmeticShare, BooleanShare>) -> Result<()> {
    if job.terms.len() > MAX_TERMS {
        let problem = format!("{} terms in one sum; at most {MAX_TERMS} are supported", job.terms.len());
        return Err(Error::Parameter { operation: "select", problem });
    }
    for (b, by) in &job.terms {
        assert_eq!((b.len(), b.width()), (job.shape.len(), 1), "a term's bits must match the result");
        if let By::Value(x) = by {
            assert_eq!(x.value.x.len(), job.shape.len(), "a term's factor must match the result");
        }
    }
    Ok(())
}

/// The parts of a term, from this party's view (all parties agree).
fn parts(b: &BooleanShare, by: &By<'_, ArithmeticShare>, len: usize) -> (TermParts, Option<u32>) {
    let shift = match by {
        By::Value(x) => x.pending.as_ref().map(|pending| pending.shift),
        By::Public(_) => None,
    };
    (TermParts::new(len, b.beta.is_some(), matches!(by, By::Value(_)), shift), shift)
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
    p.mask(FIRST, step, Z, tile, &mut z.x.data_mut()[range.clone()]);
    p.mask(SECOND, step, Z, tile, &mut z.y.data_mut()[range.clone()]);
    let total = job.terms.iter().map(|(b, by)| parts(b, by, len).0.total()).sum();
    let mut message = p.buffer(total);
    let mut rest = &mut message[..];
    for (k, (b, by)) in job.terms.iter().enumerate() {
        let (part, shift) = parts(b, by, len);
        let label = TERM + 4 * k as u8;
        let (beta, after) = rest.split_at_mut(part.beta);
        let (gamma, after) = after.split_at_mut(part.gamma);
        let (lm, after) = after.split_at_mut(part.lift);
        let (lm_bit, after) = after.split_at_mut(part.lift);
        rest = after;
        let bits = mask_bits(p, b, &range);
        if !beta.is_empty() {
            deal_mask_bit(p, &bits, step, label, tile, beta);
        }
        if let By::Value(x) = by {
            // Spec 8.3: gamma = L_b L_x
            p.mask(FIRST, step, label + 1, tile, gamma);
            let (m1, m2) = (&x.value.x.data()[range.clone()], &x.value.y.data()[range.clone()]);
            vectorise(|| {
                for ((g, bit), (m1, m2)) in gamma.iter_mut().zip(&*bits).zip(m1.iter().zip(m2)) {
                    *g = (m1.wrapping_add(*m2) & bit).wrapping_sub(*g);
                }
            });
            // Spec 8.4: lm and L_b lm, modulo 2^shift
            if let (Some(pending), Some(shift)) = (&x.pending, shift) {
                p.mask(FIRST, step, label + 2, tile, lm);
                p.mask(FIRST, step, label + 3, tile, lm_bit);
                let top = expand(&mut p.pool, &range, |word| pending.bits[word]);
                vectorise(|| {
                    for_lanes(lm, len, shift, |i, r| (top[i] & 1).wrapping_sub(r));
                    for_lanes(lm_bit, len, shift, |i, r| (top[i] & bits[i] & 1).wrapping_sub(r));
                });
                p.recycle(top);
            }
        }
        p.recycle(bits);
    }
    if total > 0 {
        p.party.send(SECOND, step, tile, &message)?;
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
    let (len, me) = (range.len(), p.party.me());
    let sizes: Vec<_> = job.terms.iter().map(|(b, by)| parts(b, by, len)).collect();
    let total = sizes.iter().map(|(part, _)| part.total()).sum();
    let mut dealt = p.buffer(total);
    if me == FIRST {
        let mut at = 0;
        for (k, (part, _)) in sizes.iter().enumerate() {
            for (i, words) in [part.beta, part.gamma, part.lift, part.lift].into_iter().enumerate() {
                if words > 0 {
                    p.mask(OWNER, step, TERM + 4 * k as u8 + i as u8, tile, &mut dealt[at..at + words]);
                }
                at += words;
            }
        }
    } else if total > 0 {
        p.party.recv(OWNER, step, tile, &mut dealt)?;
    }
    let mask = &mut z.y.data_mut()[range.clone()];
    p.mask(OWNER, step, Z, tile, mask);
    let sum = &mut z.x.data_mut()[range.clone()];
    sum.copy_from_slice(mask);
    let mut rest = &dealt[..];
    for ((b, by), (part, shift)) in job.terms.iter().zip(&sizes) {
        let (beta, after) = rest.split_at(part.beta);
        let (gamma, after) = after.split_at(part.gamma);
        let (lm, after) = after.split_at(part.lift);
        let (lm_bit, after) = after.split_at(part.lift);
        rest = after;
        let beta = b.beta.as_ref().map_or(beta, |beta| &beta.0[range.clone()]);
        let words = b.x.words();
        let masked = expand(&mut p.pool, &range, |word| words[word]);
        let term = Term { masked: &masked, beta };
        match by {
            By::Public(c) => term.add_public(sum, *c, me == SECOND),
            By::Value(x) => {
                let (a, l) = (&x.value.x.data()[range.clone()], &x.value.y.data()[range.clone()]);
                term.add_secret(sum, a, l, gamma, me == SECOND);
                if let (Some(pending), Some(shift)) = (&x.pending, shift) {
                    let am = expand(&mut p.pool, &range, |word| pending.bits[word]);
                    term.add_lift(sum, &am, lm, lm_bit, *shift);
                    p.recycle(am);
                }
            }
        }
        p.recycle(masked);
    }
    let peer = p.online_peer();
    p.party.send(peer, step, tile, sum)?;
    p.recycle(dealt);
    Ok(())
}

/// The online pair's view of one bit sharing over a tile, masked bits as words of all ones or zeros. In all sums
/// `s = 1 - 2 A_b`.
struct Term<'a> {
    masked: &'a [u64],
    beta: &'a [u64],
}

impl Term<'_> {
    /// `s v`
    #[inline(always)]
    fn signed(b: u64, v: u64) -> u64 {
        (v ^ b).wrapping_sub(b)
    }

    /// Spec 8.2: `c (A_b + s L_b)`; party 2 adds the part without masks.
    fn add_public(&self, sum: &mut [u64], c: u64, constant: bool) {
        let whole = u64::from(constant);
        vectorise(|| {
            for (s, (b, beta)) in sum.iter_mut().zip(self.masked.iter().zip(self.beta)) {
                let v = Self::signed(*b, *beta).wrapping_add(b & whole);
                *s = s.wrapping_add(c.wrapping_mul(v));
            }
        });
    }

    /// Spec 8.3: `A_b A_x - A_b L_x + s (A_x L_b - L_b L_x)`; party 2 adds the part without masks.
    fn add_secret(&self, sum: &mut [u64], a: &[u64], l: &[u64], gamma: &[u64], constant: bool) {
        let whole = if constant { u64::MAX } else { 0 };
        vectorise(|| {
            let bits = self.masked.iter().zip(self.beta);
            for ((s, (b, beta)), ((a, l), gamma)) in sum.iter_mut().zip(bits).zip(a.iter().zip(l).zip(gamma)) {
                let own = (a & whole).wrapping_sub(*l) & b;
                let cross = a.wrapping_mul(*beta).wrapping_sub(*gamma);
                *s = s.wrapping_add(own).wrapping_add(Self::signed(*b, cross));
            }
        });
    }

    /// Spec 8.4: `2^k (1 - am) (A_b lm + s L_b lm)`.
    fn add_lift(&self, sum: &mut [u64], am: &[u64], lm: &[u64], lm_bit: &[u64], shift: u32) {
        vectorise(|| {
            for (i, ((s, b), am)) in sum.iter_mut().zip(self.masked).zip(am).enumerate() {
                let v = (lane(lm, i, shift) & b).wrapping_add(Self::signed(*b, lane(lm_bit, i, shift)));
                *s = s.wrapping_add((v << (64 - shift)) & !am);
            }
        });
    }
}

/// Spec 9: the bits of `A - L`: a subtraction circuit whose borrows come from a Kogge-Stone prefix over `[A_i < L_i]`.
pub(super) fn a2b(p: &mut Rep3, x: &ArithmeticShare, width: u32) -> Result<BooleanShare> {
    let width = width as usize;
    assert!((1..=64).contains(&width), "values have 1 to 64 bits");
    let step = p.party.next_step();
    let (len, owner) = (x.x.len(), p.is_owner());
    let known = if owner { x.x.add(&x.y) } else { x.x.clone() };
    let known = Planes::from_values(known.data(), width);
    let zero = Planes::zeros(len, width);
    // The minuend is public to the online pair; the subtrahend is dealt by the mask owner.
    let minuend = BooleanShare::new(if owner { zero.clone() } else { known.clone() }, zero.clone());
    let mut mask = Planes::zeros(len, width);
    let mut second = known.clone();
    for (tile, range) in tiles(mask.words().len()) {
        let drawn = &mut mask.words_mut()[range.clone()];
        match p.party.me() {
            OWNER => {
                p.mask(FIRST, step, R, tile, drawn);
                let second = &mut second.words_mut()[range];
                second.iter_mut().zip(&*drawn).for_each(|(l, r)| *l ^= r);
                p.party.send(SECOND, step, tile, second)?;
            }
            FIRST => p.mask(OWNER, step, R, tile, drawn),
            _ => p.party.recv(OWNER, step, tile, drawn)?,
        }
    }
    let subtrahend = if owner { BooleanShare::new(mask, second) } else { BooleanShare::new(zero, mask) };
    let difference = minuend.xor(&subtrahend);
    let mut propagate = crate::Protocol::not(p, &difference);
    let inverse = crate::Protocol::not(p, &minuend);
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

fn shifted(x: &BooleanShare, by: usize) -> BooleanShare {
    BooleanShare::new(shift_up(&x.x, by), shift_up(&x.y, by))
}

/// Spec 10: a sine series. The owner deals the sines and cosines of its masks, the pair multiplies by those of `A`; all
/// harmonics are summed before the one exchange, truncation included.
pub(super) fn harmonics(p: &mut Rep3, x: &ArithmeticShare, series: &Series) -> Result<Raw<ArithmeticShare>> {
    if p.config.mode == TruncMode::Exact {
        let problem =
            "a sine series is approximate in a way that depends on the masks; exact mode needs the piecewise sigmoid";
        return Err(Error::Parameter { operation: "harmonics", problem: problem.into() });
    }
    let (step, shift) = (p.party.next_step(), series.rescale());
    let (shape, count) = (x.shape().clone(), series.harmonics());
    let mut out = ArithmeticShare { x: Tensor::zeros(&shape), y: Tensor::zeros(&shape) };
    let mut wide = vec![0; shape.len()];
    for (tile, range) in tiles(shape.len()) {
        let len = range.len();
        let mut factors = p.buffer(2 * count * len);
        let wide = &mut wide[range.clone()];
        let (a, b) = (&x.x.data()[range.clone()], &x.y.data()[range.clone()]);
        let (out_x, out_y) = (&mut out.x.data_mut()[range.clone()], &mut out.y.data_mut()[range]);
        if p.is_owner() {
            // rho = r1 + r2; L_z = rho >> shift, dealt after the factors.
            p.mask(FIRST, step, BETA, tile, &mut factors);
            deal_factors(series, a, b, &mut factors);
            p.party.send(SECOND, step, 2 * tile, &factors)?;
            p.mask(FIRST, step, R, tile, wide);
            p.mask(SECOND, step, R, tile, out_y);
            add_assign(wide, out_y);
            p.mask(FIRST, step, Z, tile, out_x);
            for ((l2, l1), rho) in out_y.iter_mut().zip(&*out_x).zip(&*wide) {
                *l2 = (rho >> shift).wrapping_sub(*l1);
            }
            p.party.send(SECOND, step, 2 * tile + 1, out_y)?;
        } else {
            if p.party.me() == FIRST {
                p.mask(OWNER, step, BETA, tile, &mut factors);
                p.mask(OWNER, step, Z, tile, out_y);
            } else {
                p.party.recv(OWNER, step, 2 * tile, &mut factors)?;
                p.party.recv(OWNER, step, 2 * tile + 1, out_y)?;
            }
            p.mask(OWNER, step, R, tile, wide);
            add_products(series, a, &factors, wide);
            let peer = p.online_peer();
            p.party.send(peer, step, tile, wide)?;
        }
        p.recycle(factors);
    }
    if !p.is_owner() {
        const OFFSET: u64 = 1 << 62;
        for (tile, range) in tiles(shape.len()) {
            let mut theirs = p.buffer(range.len());
            let peer = p.online_peer();
            p.party.recv(peer, step, tile, &mut theirs)?;
            let wide = &mut wide[range.clone()];
            for ((w, t), a) in wide.iter_mut().zip(&*theirs).zip(&mut out.x.data_mut()[range]) {
                *w = w.wrapping_add(*t).wrapping_add(OFFSET);
                *a = (*w >> shift).wrapping_sub(OFFSET >> shift);
            }
            p.recycle(theirs);
        }
    }
    let bits = Planes::from_values(&wide.iter().map(|w| w >> 63).collect::<Vec<_>>(), 1).words().to_vec();
    Ok(Raw { value: out, pending: Some(Pending { shift, bits }) })
}

/// Owner: `cos kwL - mask`, `sin kwL - mask`, harmonic after harmonic.
fn deal_factors(series: &Series, l1: &[u64], l2: &[u64], factors: &mut [u64]) {
    let len = l1.len();
    for (k, pair) in factors.chunks_exact_mut(2 * len.max(1)).enumerate() {
        let (cosines, sines) = pair.split_at_mut(len);
        for i in 0..len {
            let (s, c) = series.sin_cos(k + 1, l1[i].wrapping_add(l2[i]));
            cosines[i] = (c as u64).wrapping_sub(cosines[i]);
            sines[i] = (s as u64).wrapping_sub(sines[i]);
        }
    }
}

/// Online: `sum_k c_k (sin kwA q_cos - cos kwA q_sin)` added to `sum`.
fn add_products(series: &Series, a: &[u64], factors: &[u64], sum: &mut [u64]) {
    let len = a.len();
    for (k, pair) in factors.chunks_exact(2 * len.max(1)).enumerate() {
        let (cosines, sines) = pair.split_at(len);
        for i in 0..len {
            let (s, c) = series.weighted_sin_cos(k + 1, a[i]);
            let term = (s as u64).wrapping_mul(cosines[i]).wrapping_sub((c as u64).wrapping_mul(sines[i]));
            sum[i] = sum[i].wrapping_add(term);
        }
    }
}
