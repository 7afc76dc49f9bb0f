//! Bits times values: sums of products of something the online pair knows with something checker and dealer know, in one round.
//! Spec 8.

use super::{ArithmeticShare, BooleanShare, Buffer, CHECKER, DEALER, FIRST, ONE, OTHER, Rep4, SECOND, TWO};
use crate::masked::terms::{self, Parts, add_terms, signed};
use crate::masked::{add_assign, batches, expand, for_lanes, lane, sub_assign, tiles};
use crate::{BitShare, By, Inject, Raw, Result};
use privity_ring::simd::vectorise;
use std::ops::Range;

// Streams of a step: each is read once. Those of a sum's terms are numbered in `masked::terms`.
const Z: u8 = 2;
const ARM: u8 = 5;

type Job<'a> = Inject<'a, ArithmeticShare, BooleanShare>;

/// The tile's bit of `A` (pair) or `L` (checker and dealer), as words of all ones or zeros.
fn known_bits(p: &mut Rep4, b: &BooleanShare, range: &Range<usize>) -> Buffer {
    let words = if p.party.me() == CHECKER { b.y.words() } else { b.x.words() };
    expand(&mut p.pool, range, |word| words[word])
}

/// The tile's bit of a pending lift: `am` (pair) or `lm` (checker and dealer).
fn top_bits(p: &mut Rep4, x: &Raw<ArithmeticShare>, range: &Range<usize>) -> Option<Buffer> {
    let pending = x.pending.as_ref()?;
    Some(expand(&mut p.pool, range, |word| pending.bits[word]))
}

/// Spec 8.1: what sums of these bits times values need is dealt and told once. No exchange at the pair.
pub(super) fn arm(p: &mut Rep4, xs: &[&BooleanShare]) -> Result<Vec<BooleanShare>> {
    xs.iter().map(|x| if x.armed.is_some() { Ok((*x).clone()) } else { arm_one(p, x) }).collect()
}

fn arm_one(p: &mut Rep4, x: &BooleanShare) -> Result<BooleanShare> {
    assert_eq!(x.width(), 1, "one-bit sharings are armed");
    let step = p.party.next_step();
    let mut kept = vec![0; x.len()];
    for (tile, range) in tiles(x.len()) {
        let kept = &mut kept[range.clone()];
        match p.party.me() {
            // L = beta1 + beta2, beta2 dealt.
            CHECKER | DEALER => {
                let bits = known_bits(p, x, &range);
                let mut beta = p.drawn(ONE, step, ARM, tile, range.len());
                terms::deal_bits(&mut beta, &bits);
                p.deal(step, tile, &beta)?;
                p.recycle([bits, beta]);
                if p.party.me() == DEALER {
                    p.mask(OTHER, step, ARM, tile, kept);
                } else {
                    p.told_by_pair(step, tile, kept)?;
                }
            }
            me => {
                if me == FIRST {
                    p.mask(ONE, step, ARM, tile, kept);
                } else {
                    p.dealt(step, tile, kept)?;
                }
                // A + kappa
                let bits = known_bits(p, x, &range);
                let mut told = p.drawn(OTHER, step, ARM, tile, range.len());
                add_bits(&mut told, &bits);
                p.tell_checker(step, tile, &told)?;
                p.recycle([bits, told]);
            }
        }
    }
    Ok(x.with_armed(kept))
}

fn add_bits(words: &mut [u64], bits: &[u64]) {
    vectorise(|| words.iter_mut().zip(bits).for_each(|(w, b)| *w = w.wrapping_add(b & 1)));
}

/// Spec 8.2 to 8.4: sums of bits times values, raw factors lifted on the way. One round per batch.
pub(super) fn inject(p: &mut Rep4, jobs: &[Job<'_>]) -> Result<Vec<ArithmeticShare>> {
    let step = p.party.next_step();
    jobs.iter().try_for_each(terms::check_terms)?;
    let mut out: Vec<ArithmeticShare> = jobs.iter().map(|job| ArithmeticShare::zeros(&job.shape)).collect();
    for batch in batches(jobs.iter().map(|job| job.shape.len())) {
        for (job, tile, range) in &batch {
            let (job, z) = (&jobs[*job], &mut out[*job]);
            match p.party.me() {
                CHECKER | DEALER => deal(p, job, z, step, *tile, range)?,
                _ => post(p, job, z, step, *tile, range)?,
            }
        }
        for (job, tile, range) in &batch {
            let (job, z) = (&jobs[*job], &mut out[*job]);
            match p.party.me() {
                DEALER => {}
                CHECKER => check(p, job, z, step, *tile, range)?,
                _ => finish(p, job, z, step, *tile, range)?,
            }
        }
    }
    Ok(out)
}

/// Spec 8 with the factor one: bits as 0 or 1 in the ring.
pub(super) fn bits_to_ring(p: &mut Rep4, xs: &[&BooleanShare]) -> Result<Vec<ArithmeticShare>> {
    let one = |x: &&BooleanShare| privity_ring::Shape::vector(x.len());
    let jobs: Vec<Job<'_>> = xs.iter().map(|x| Inject { terms: vec![(*x, By::Public(1))], shape: one(x) }).collect();
    inject(p, &jobs)
}

/// Checker and dealer, Spec 8.2: shares of the bits' masks, of their products with the factors' masks and of what lifts need, dealt to
/// second; output masks. The dealer gives the checker what the pair's masks add to its sum.
fn deal(
    p: &mut Rep4,
    job: &Job<'_>,
    z: &mut ArithmeticShare,
    step: u64,
    tile: usize,
    range: &Range<usize>,
) -> Result<()> {
    let (len, dealer) = (range.len(), p.party.me() == DEALER);
    let mut message = p.buffer(terms::total(job, len));
    terms::draw(job, len, &mut message, |label, _, part| p.mask(ONE, step, label, tile, part));
    let mut rest = &mut message[..];
    for (b, by) in &job.terms {
        let parts = Parts::of(b, by, len);
        let [beta, gamma, lm, lm_bit] = parts.take_mut(&mut rest);
        let bits = known_bits(p, b, range);
        terms::deal_bits(beta, &bits);
        if let By::Value(x) = by {
            terms::deal_products(gamma, &bits, &masks(p, x)[range.clone()]);
            if let Some(top) = top_bits(p, x, range) {
                terms::deal_lifts(lm, lm_bit, &bits, &top, parts.shift);
                p.recycle([top]);
            }
        }
        p.recycle([bits]);
    }
    if !message.is_empty() {
        p.deal(step, tile, &message)?;
    }
    let mut l = p.drawn(ONE, step, Z, tile, len);
    let l2 = p.drawn(TWO, step, Z, tile, len);
    add_assign(&mut l, &l2);
    if dealer {
        tell_noise(p, job, z, step, tile, range)?;
        z.x.data_mut()[range.clone()].copy_from_slice(&l);
    } else {
        z.y.data_mut()[range.clone()].copy_from_slice(&l);
    }
    p.recycle([message, l, l2]);
    Ok(())
}

/// `L` of a factor at checker and dealer.
fn masks<'a>(p: &Rep4, x: &'a Raw<ArithmeticShare>) -> &'a [u64] {
    if p.party.me() == CHECKER { x.value.y.data() } else { x.value.x.data() }
}

/// Dealer, Spec 8.4: what the checker's sum is off by, less `U`.
fn tell_noise(
    p: &mut Rep4,
    job: &Job<'_>,
    z: &mut ArithmeticShare,
    step: u64,
    tile: usize,
    range: &Range<usize>,
) -> Result<()> {
    let len = range.len();
    let mut kappas = p.buffer(terms::total(job, len));
    terms::draw(job, len, &mut kappas, |label, _, part| p.mask(OTHER, step, label, tile, part));
    let u = &mut z.y.data_mut()[range.clone()];
    p.mask(OTHER, step, Z, tile, u);
    let mut noise = p.buffer(len);
    noise.fill(0);
    sub_assign(&mut noise, u);
    add_given(p, job, range, &kappas, &mut noise);
    p.party.send(CHECKER, step, tile, &noise)?;
    p.recycle([kappas, noise]);
    Ok(())
}

/// Checker and dealer, Spec 8.4: adds up the terms from what is given of each: at the checker what the pair told, which makes `B`; at
/// the dealer the masks of that, which makes what `B` is off by.
fn add_given(p: &mut Rep4, job: &Job<'_>, range: &Range<usize>, given: &[u64], sum: &mut [u64]) {
    let (len, checker) = (range.len(), p.party.me() == CHECKER);
    let mut rest = given;
    for (b, by) in &job.terms {
        let parts = Parts::of(b, by, len);
        let [bit, product, with_bit, lift] = parts.take(&mut rest);
        let bit = b.armed.as_ref().map_or(bit, |armed| &armed.0[range.clone()]);
        let bits = known_bits(p, b, range);
        match by {
            // c (L + (1 - 2L) (A + kappa)), and c (1 - 2L) kappa
            By::Public(c) => {
                add_signed(sum, *c, &bits, bit);
                if checker {
                    vectorise(|| sum.iter_mut().zip(&*bits).for_each(|(s, b)| *s = s.wrapping_add(c & b)));
                }
            }
            By::Value(x) => {
                let (first, second) = (&x.value.x.data()[range.clone()], &x.value.y.data()[range.clone()]);
                let (l, other) = if checker { (second, first) } else { (first, second) };
                add_products(sum, &bits, (product, bit), l, other);
                if let Some(top) = top_bits(p, x, range) {
                    add_lifts(sum, &bits, &top, (with_bit, lift), parts.shift);
                    p.recycle([top]);
                }
            }
        }
        p.recycle([bits]);
    }
}

/// `sum += c (1 - 2L) v`
fn add_signed(sum: &mut [u64], c: u64, bits: &[u64], v: &[u64]) {
    vectorise(|| {
        for (s, (b, v)) in sum.iter_mut().zip(bits.iter().zip(v)) {
            *s = s.wrapping_add(c.wrapping_mul(signed(*b, *v)));
        }
    });
}

/// `sum += (1 - 2L) (product - bit l) + L other`: with what the pair told and `B` the checker's sum, with the masks of that and `U`
/// what it is off by.
fn add_products(sum: &mut [u64], bits: &[u64], (product, bit): (&[u64], &[u64]), l: &[u64], other: &[u64]) {
    vectorise(|| {
        let given = product.iter().zip(bit).zip(l.iter().zip(other));
        for ((s, b), ((product, bit), (l, other))) in sum.iter_mut().zip(bits).zip(given) {
            let v = product.wrapping_sub(bit.wrapping_mul(*l));
            *s = s.wrapping_add(signed(*b, v)).wrapping_add(other & b);
        }
    });
}

/// `sum += 2^k lm ((1 - 2L) with_bit + L lift)`
fn add_lifts(sum: &mut [u64], bits: &[u64], top: &[u64], (with_bit, lift): (&[u64], &[u64]), shift: u32) {
    vectorise(|| {
        for (i, (s, (b, top))) in sum.iter_mut().zip(bits.iter().zip(top)).enumerate() {
            let v = signed(*b, lane(with_bit, i, shift)).wrapping_add(lane(lift, i, shift) & b);
            *s = s.wrapping_add((v << (64 - shift)) & top);
        }
    });
}

/// Online pair, Spec 8.3: own half of the sum, masked and sent.
fn post(
    p: &mut Rep4,
    job: &Job<'_>,
    z: &mut ArithmeticShare,
    step: u64,
    tile: usize,
    range: &Range<usize>,
) -> Result<()> {
    let (len, me) = (range.len(), p.party.me());
    let mut dealt = p.buffer(terms::total(job, len));
    if me == FIRST {
        terms::draw(job, len, &mut dealt, |label, _, part| p.mask(ONE, step, label, tile, part));
    } else if !dealt.is_empty() {
        p.dealt(step, tile, &mut dealt)?;
    }
    let mask = &mut z.y.data_mut()[range.clone()];
    p.mask(if me == FIRST { ONE } else { TWO }, step, Z, tile, mask);
    let half = &mut z.x.data_mut()[range.clone()];
    half.copy_from_slice(mask);
    add_terms(&mut p.pool, job, &dealt, range, me == SECOND, half);
    p.recycle([dealt]);
    p.party.send(p.online_peer(), step, tile, &z.x.data()[range.clone()])
}

/// Online pair, Spec 8.3 and 8.4: the sum; what the checker is told of each term; then all agree on `m`.
fn finish(
    p: &mut Rep4,
    job: &Job<'_>,
    z: &mut ArithmeticShare,
    step: u64,
    tile: usize,
    range: &Range<usize>,
) -> Result<()> {
    let len = range.len();
    let mut theirs = p.buffer(len);
    p.party.recv(p.online_peer(), step, tile, &mut theirs)?;
    add_assign(&mut z.x.data_mut()[range.clone()], &theirs);
    let mut told = p.buffer(terms::total(job, len));
    terms::draw(job, len, &mut told, |label, _, part| p.mask(OTHER, step, label, tile, part));
    let mut rest = &mut told[..];
    for (b, by) in &job.terms {
        let parts = Parts::of(b, by, len);
        let [bit, product, with_bit, lift] = parts.take_mut(&mut rest);
        let bits = known_bits(p, b, range);
        add_bits(bit, &bits);
        if let By::Value(x) = by {
            // A A_x, A (1 - am), 1 - am
            let a = &x.value.x.data()[range.clone()];
            vectorise(|| product.iter_mut().zip(bits.iter().zip(a)).for_each(|(t, (b, a))| *t = t.wrapping_add(a & b)));
            if let Some(am) = top_bits(p, x, range) {
                vectorise(|| {
                    for_lanes(with_bit, len, parts.shift, |i, t| t.wrapping_add(bits[i] & !am[i] & 1));
                    for_lanes(lift, len, parts.shift, |i, t| t.wrapping_add(!am[i] & 1));
                });
                p.recycle([am]);
            }
        }
        p.recycle([bits]);
    }
    if !told.is_empty() {
        p.tell_checker(step, tile, &told)?;
    }
    p.mask(OTHER, step, Z, tile, &mut theirs);
    add_assign(&mut theirs, &z.x.data()[range.clone()]);
    p.agree(&theirs);
    p.recycle([theirs, told]);
    Ok(())
}

/// Checker, Spec 8.4: `B`, from what the pair told and what that is off by.
fn check(
    p: &mut Rep4,
    job: &Job<'_>,
    z: &mut ArithmeticShare,
    step: u64,
    tile: usize,
    range: &Range<usize>,
) -> Result<()> {
    let len = range.len();
    let mut noise = p.buffer(len);
    p.party.recv(DEALER, step, tile, &mut noise)?;
    let mut told = p.buffer(terms::total(job, len));
    if !told.is_empty() {
        p.told_by_pair(step, tile, &mut told)?;
    }
    let sum = &mut z.x.data_mut()[range.clone()];
    add_given(p, job, range, &told, sum);
    sub_assign(sum, &noise);
    noise.copy_from_slice(sum);
    add_assign(&mut noise, &z.y.data()[range.clone()]);
    p.agree(&noise);
    p.recycle([noise, told]);
    Ok(())
}
