//! Lifts of truncated values, arithmetic to bits, sine series. Spec 5.3, 9 and 10.

use super::{ArithmeticShare, BooleanShare, Buffer, OWNER, Rep3, boolean};
use crate::masked::{
    Unit, add_assign, add_lanes, batches, correct, expand, for_lanes, lane, lane_words, subtract, tiles,
};
use crate::ops::fourier::Series;
use crate::protocol::Pending;
use crate::share::Planes;
use crate::{Error, Raw, Result, Share, TruncMode};
use privity_ring::{Tensor, simd::vectorise};
use std::ops::Range;

const R: u8 = 1;
const Z: u8 = 2;
const BETA: u8 = 5;
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
            p.add_peers(self.step, tile, &mut l.half[words], |half, theirs| add_lanes(half, theirs, shift))?;
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
        let add = |sum: &mut [u64], more: &[u64]| add_lanes(sum, more, shift);
        p.drawn_sum((step, R, tile), &mut q, add);
        vectorise(|| for_lanes(&mut q, range.len(), shift, |i, r| (known[i] & 1).wrapping_sub(r)));
        p.party.send(p.last(), step, tile, &q)?;
        p.drawn_sum((step, Z, tile), half, add);
        p.mask(p.last(), step, Z, tile, mask);
    } else {
        // p q_i + l_i with p = 1 - am
        p.dealt(step, R, tile, &mut q)?;
        p.mask(OWNER, step, Z, tile, mask);
        half.copy_from_slice(mask);
        vectorise(|| for_lanes(half, range.len(), shift, |i, l| l.wrapping_add(lane(&q, i, shift) & !known[i])));
        p.tell_peers(step, tile, half)?;
    }
    p.recycle(q);
    p.recycle(known);
    Ok(())
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
        if owner {
            p.drawn_bits(step, R, tile, drawn);
            let second = &mut second.words_mut()[range];
            second.iter_mut().zip(&*drawn).for_each(|(l, r)| *l ^= r);
            p.party.send(p.last(), step, tile, second)?;
        } else {
            p.dealt(step, R, tile, drawn)?;
        }
    }
    let subtrahend = if owner { BooleanShare::new(mask, second) } else { BooleanShare::new(zero, mask) };
    subtract(p, &minuend, &subtrahend, BooleanShare::shifted, boolean::and)
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
            p.drawn(step, BETA, tile, &mut factors);
            deal_factors(series, a, b, &mut factors);
            p.party.send(p.last(), step, 2 * tile, &factors)?;
            p.drawn(step, R, tile, wide);
            p.mask(p.last(), step, R, tile, out_y);
            add_assign(wide, out_y);
            p.drawn(step, Z, tile, out_x);
            for ((l2, l1), rho) in out_y.iter_mut().zip(&*out_x).zip(&*wide) {
                *l2 = (rho >> shift).wrapping_sub(*l1);
            }
            p.party.send(p.last(), step, 2 * tile + 1, out_y)?;
        } else {
            if p.is_last() {
                p.party.recv(OWNER, step, 2 * tile, &mut factors)?;
                p.party.recv(OWNER, step, 2 * tile + 1, out_y)?;
            } else {
                p.mask(OWNER, step, BETA, tile, &mut factors);
                p.mask(OWNER, step, Z, tile, out_y);
            }
            p.mask(OWNER, step, R, tile, wide);
            add_products(series, a, &factors, wide);
            p.tell_peers(step, tile, wide)?;
        }
        p.recycle(factors);
    }
    if !p.is_owner() {
        const OFFSET: u64 = 1 << 62;
        for (tile, range) in tiles(shape.len()) {
            let wide = &mut wide[range.clone()];
            p.add_peers(step, tile, wide, add_assign)?;
            for (w, a) in wide.iter_mut().zip(&mut out.x.data_mut()[range]) {
                *w = w.wrapping_add(OFFSET);
                *a = (*w >> shift).wrapping_sub(OFFSET >> shift);
            }
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
