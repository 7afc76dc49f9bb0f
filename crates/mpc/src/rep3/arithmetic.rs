//! Products with and without truncation, rescaling, exact rounding. Spec 4 and 5.

use super::{ArithmeticShare, Buffer, FIRST, OWNER, Rep3, SECOND, boolean, inject, online_pair_lost_one};
use crate::masked::{OFFSET, add_assign, batches, fuse, offset, sub_assign, tiles, top_bits};
use crate::protocol::Pending;
use crate::rep4;
use crate::share::Planes;
use crate::{By, Inject, Origin, Product, Raw, Result, Share};
use privity_ring::kernels::gemm::Acc;
use privity_ring::{Bilinear, Shape, Tensor, simd::vectorise};
use std::ops::Range;

const R: u8 = 1;
const Z: u8 = 2;

/// A truncated value together with what rounding left over.
pub(super) struct Masked {
    value: ArithmeticShare,
    /// Bits shifted; 0 for a ring product, which needs nothing more.
    shift: u32,
    /// `C` at the online pair, `rho` at the mask owner; empty for ring products.
    wide: Vec<u64>,
}

impl Masked {
    /// Stochastic rounding: what is left is the lift (Spec 5.3).
    pub(super) fn into_raw(self) -> Raw<ArithmeticShare> {
        let pending = (self.shift > 0).then(|| Pending { shift: self.shift, bits: top_bits(&self.wide) });
        Raw { value: self.value, pending }
    }
}

/// A product on its way.
struct Flight<'a> {
    job: &'a Product<'a, ArithmeticShare>,
    /// The local part of a matrix product, until its tiles are posted; element-wise products are computed tile by tile.
    local: Buffer,
    out: Masked,
}

/// Spec 4 and 5.1 for every job: one round per batch.
pub(super) fn products(p: &mut Rep3, jobs: &[Product<'_, ArithmeticShare>]) -> Result<Vec<Masked>> {
    let step = p.party.next_step();
    let mut flights: Vec<Flight> = jobs.iter().map(take_off).collect();
    for batch in batches(jobs.iter().map(|j| j.op.out_shape(j.x.shape(), j.y.shape()).len())) {
        for (job, tile, range) in &batch {
            let flight = &mut flights[*job];
            if range.start == 0 && flight.job.op != Bilinear::Mul {
                flight.local = local_matrix(p, flight.job);
            }
            post(p, flight, step, *tile, range.clone())?;
            if range.end == flight.out.value.x.len() {
                p.recycle(std::mem::take(&mut flight.local));
            }
        }
        if !p.is_owner() {
            for (job, tile, range) in batch {
                finish(p, &mut flights[job], step, tile, range)?;
            }
        }
    }
    Ok(flights.into_iter().map(|f| f.out).collect())
}

fn take_off<'a>(job: &'a Product<'a, ArithmeticShare>) -> Flight<'a> {
    let shape = job.op.out_shape(job.x.shape(), job.y.shape());
    Flight { job, local: Buffer::default(), out: masked(&shape, job.rescale) }
}

fn masked(shape: &Shape, shift: u32) -> Masked {
    assert!(shift < 62, "a rescale of {shift} bits leaves nothing");
    let value = ArithmeticShare { x: Tensor::zeros(shape), y: Tensor::zeros(shape) };
    Masked { value, shift, wide: vec![0; if shift > 0 { shape.len() } else { 0 }] }
}

/// Spec 4.2: the party's local share of the cross terms of a matrix product.
/// Owner: `Lx Ly`. First: `A_x l1_y + l1_x A_y`. Second: `A_x A_y - A_x l2_y - l2_x A_y`, in two products.
fn local_matrix(p: &mut Rep3, job: &Product<'_, ArithmeticShare>) -> Buffer {
    let mut c = p.buffer(job.op.out_shape(job.x.shape(), job.y.shape()).len());
    match p.party.me() {
        OWNER => job.op.eval_into(Acc::Set, &mut c, &job.x.x.add(&job.x.y), &job.y.x.add(&job.y.y)),
        _ if p.is_last() => {
            job.op.eval_into(Acc::Set, &mut c, &job.x.x, &job.y.x.sub(&job.y.y));
            job.op.eval_into(Acc::Sub, &mut c, &job.x.y, &job.y.x);
        }
        _ => {
            job.op.eval_into(Acc::Set, &mut c, &job.x.x, &job.y.y);
            job.op.eval_into(Acc::Add, &mut c, &job.x.y, &job.y.x);
        }
    }
    c
}

/// The same for one tile of an element-wise product, `out = local`.
fn local_elements(p: &Rep3, job: &Product<'_, ArithmeticShare>, range: Range<usize>, out: &mut [u64]) {
    let (xx, xy) = (&job.x.x.data()[range.clone()], &job.x.y.data()[range.clone()]);
    let (yx, yy) = (&job.y.x.data()[range.clone()], &job.y.y.data()[range]);
    match p.party.me() {
        OWNER => {
            vectorise(|| fuse(out, xx, xy, yx, yy, |a, b, c, d| a.wrapping_add(b).wrapping_mul(c.wrapping_add(d))))
        }
        _ if p.is_last() => vectorise(|| {
            fuse(out, xx, xy, yx, yy, |a, l, b, m| a.wrapping_mul(b.wrapping_sub(m)).wrapping_sub(l.wrapping_mul(b)));
        }),
        _ => vectorise(|| {
            fuse(out, xx, xy, yx, yy, |a, l, b, m| a.wrapping_mul(m).wrapping_add(l.wrapping_mul(b)));
        }),
    }
}

/// Computes and sends this party's message for one tile; the mask owner is then done with it.
fn post(p: &mut Rep3, flight: &mut Flight, step: u64, tile: usize, range: Range<usize>) -> Result<()> {
    let mut message = p.buffer(range.len());
    match flight.job.op {
        Bilinear::Mul => local_elements(p, flight.job, range.clone(), &mut message),
        _ => message.copy_from_slice(&flight.local[range.clone()]),
    }
    let out = &mut flight.out;
    if out.shift == 0 {
        post_product(p, &mut message, &mut out.value, step, tile, range)?;
    } else {
        post_truncated(p, &mut message, out, step, tile, range)?;
    }
    p.recycle(message);
    Ok(())
}

/// Spec 4.3 to 4.5: a ring product. `message` holds the local part and becomes what is sent.
fn post_product(
    p: &mut Rep3,
    message: &mut [u64],
    value: &mut ArithmeticShare,
    step: u64,
    tile: usize,
    range: Range<usize>,
) -> Result<()> {
    let mut r = p.buffer(message.len());
    let (a, b) = (&mut value.x.data_mut()[range.clone()], &mut value.y.data_mut()[range]);
    if p.is_owner() {
        // Spec 4.3: LL + r runs ahead; the output masks are drawn from the pair keys.
        p.drawn(step, R, tile, &mut r);
        p.drawn(step, Z, tile, a);
        p.mask(p.last(), step, Z, tile, b);
        add_assign(message, &r);
        p.party.send(p.last(), step, tile, message)?;
    } else {
        p.dealt(step, R, tile, &mut r)?;
        p.mask(OWNER, step, Z, tile, b);
        // Spec 4.5, last: v = A_x A_y - A_x l_y - l_x A_y + (LL + r) + l_z. Spec 4.4, others: v = l_z - r - (A_x l_y + l_x A_y).
        let flip = if p.is_last() { 0 } else { u64::MAX };
        vectorise(|| {
            for (m, (r, l)) in message.iter_mut().zip(r.iter().zip(&*b)) {
                *m = (m.wrapping_add(*r) ^ flip).wrapping_sub(flip).wrapping_add(*l);
            }
        });
        p.tell_peers(step, tile, message)?;
        a.copy_from_slice(message);
    }
    p.recycle(r);
    Ok(())
}

/// Spec 5.1: a product whose result is truncated. `message` holds the local part and becomes what is sent.
fn post_truncated(
    p: &mut Rep3,
    message: &mut [u64],
    out: &mut Masked,
    step: u64,
    tile: usize,
    range: Range<usize>,
) -> Result<()> {
    let mut r = p.buffer(message.len());
    let me = p.party.me();
    let wide = &mut out.wide[range.clone()];
    let (l1, l2) = (&mut out.value.x.data_mut()[range.clone()], &mut out.value.y.data_mut()[range]);
    if me == OWNER {
        // rho = r1 + r2 - LL
        p.drawn(step, R, tile, wide);
        p.mask(p.last(), step, R, tile, &mut r);
        vectorise(|| {
            for ((w, r), m) in wide.iter_mut().zip(&*r).zip(&*message) {
                *w = w.wrapping_add(*r).wrapping_sub(*m);
            }
        });
        deal_shifted(p, wide, (l1, l2), out.shift, step, tile)?;
    } else {
        // v1 = r1 - (A_x l1_y + l1_x A_y);  v2 = A_x A_y - A_x l2_y - l2_x A_y + r2
        p.mask(OWNER, step, R, tile, &mut r);
        let flip = if p.is_last() { 0 } else { u64::MAX };
        vectorise(|| {
            for ((m, r), w) in message.iter_mut().zip(&*r).zip(wide.iter_mut()) {
                *m = (*m ^ flip).wrapping_sub(flip).wrapping_add(*r);
                *w = *m;
            }
        });
        p.tell_peers(step, tile, message)?;
        p.dealt(step, Z, tile, l2)?;
    }
    p.recycle(r);
    Ok(())
}

/// Spec 5.1, mask side: `L_z = rho >> f`, dealt as `l1_z` (drawn) and `l2_z` (sent to party 2).
fn deal_shifted(
    p: &mut Rep3,
    rho: &[u64],
    (l1, l2): (&mut [u64], &mut [u64]),
    shift: u32,
    step: u64,
    tile: usize,
) -> Result<()> {
    p.drawn(step, Z, tile, l1);
    vectorise(|| {
        for ((l2, l1), rho) in l2.iter_mut().zip(&*l1).zip(rho) {
            *l2 = (rho >> shift).wrapping_sub(*l1);
        }
    });
    p.party.send(p.last(), step, tile, l2)
}

/// The online pair's second half of a tile: the peer's message, and for truncated results `A_z = (C >> f) - (off >> f)`.
fn finish(p: &mut Rep3, flight: &mut Flight, step: u64, tile: usize, range: Range<usize>) -> Result<()> {
    let out = &mut flight.out;
    if out.shift == 0 {
        return p.add_peers(step, tile, &mut out.value.x.data_mut()[range], add_assign);
    }
    p.add_peers(step, tile, &mut out.wide[range.clone()], add_assign)?;
    shift_masked(p, out, range);
    Ok(())
}

/// Spec 5.1, online side, for both members of the pair: `wide` holds `C - off` and becomes `C`.
fn shift_masked(p: &Rep3, out: &mut Masked, range: Range<usize>) {
    let (shift, offset) = (out.shift, offset(p.config.mode, out.shift));
    let wide = &mut out.wide[range.clone()];
    let a = &mut out.value.x.data_mut()[range];
    vectorise(|| {
        for (a, w) in a.iter_mut().zip(wide.iter_mut()) {
            *w = w.wrapping_add(offset);
            *a = (*w >> shift).wrapping_sub(OFFSET >> shift);
        }
    });
}

/// Spec 5.5: truncates existing shares. `A` and `L` are each shifted where they are known: nothing online, one element
/// run-ahead.
pub(super) fn rescale(p: &mut Rep3, jobs: &[(&ArithmeticShare, u32)]) -> Result<Vec<Masked>> {
    let step = p.party.next_step();
    let (mut done, mut number) = (Vec::with_capacity(jobs.len()), 0);
    for (x, shift) in jobs {
        let mut out = masked(x.shape(), *shift);
        if *shift == 0 {
            out.value = (*x).clone();
            done.push(out);
            continue;
        }
        for (_, range) in tiles(x.x.len()) {
            let (a, b) = (&x.x.data()[range.clone()], &x.y.data()[range.clone()]);
            let wide = &mut out.wide[range.clone()];
            wide.copy_from_slice(a);
            if p.is_owner() {
                add_assign(wide, b);
                let (l1, l2) = (&mut out.value.x.data_mut()[range.clone()], &mut out.value.y.data_mut()[range]);
                deal_shifted(p, wide, (l1, l2), *shift, step, number)?;
            } else {
                shift_masked(p, &mut out, range.clone());
                p.dealt(step, Z, number, &mut out.value.y.data_mut()[range])?;
            }
            number += 1;
        }
        done.push(out);
    }
    Ok(done)
}

/// Spec 5.7: new masks `l1`, `l2` with the sum that party 0 kept, for the `A` that the pair kept. Spec 5.8: the same for what
/// three of four parties kept.
pub(super) fn refresh(p: &mut Rep3, xs: &[&ArithmeticShare], origin: Origin) -> Result<Vec<ArithmeticShare>> {
    let step = p.party.next_step();
    let (mut done, mut number) = (Vec::with_capacity(xs.len()), 0);
    for x in xs {
        let mut out = (*x).clone();
        for (_, range) in tiles(x.x.len()) {
            let (a, b) = (&mut out.x.data_mut()[range.clone()], &mut out.y.data_mut()[range.clone()]);
            if online_pair_lost_one(origin) {
                remask(p, (a, b), step, number)?;
            } else {
                keep_masked(p, (a, b), origin, step, number)?;
            }
            number += 1;
        }
        done.push(out);
    }
    Ok(done)
}

/// `A` stays, and so does its mask; its two parts are new.
fn keep_masked(p: &mut Rep3, (a, b): (&mut [u64], &mut [u64]), origin: Origin, step: u64, tile: usize) -> Result<()> {
    if !p.is_owner() {
        return p.dealt(step, Z, tile, b);
    }
    match origin {
        // (l1, l2)
        Origin::Same | Origin::Joined => add_assign(b, a),
        // The checker's (B, L).
        Origin::Without(rep4::DEALER) => {}
        // The dealer's (L, U).
        Origin::Without(_) => b.copy_from_slice(a),
    }
    p.drawn(step, Z, tile, a);
    sub_assign(b, a);
    p.party.send(p.last(), step, tile, b)
}

/// Spec 5.8, one of `rep4`'s online pair is lost: the dealer, now the owner, gives the checker `l1 + l2 - U` and the other of the
/// pair `l1 + l2 - L`, which take them from `B` and `A` to one masked value.
fn remask(p: &mut Rep3, (a, b): (&mut [u64], &mut [u64]), step: u64, tile: usize) -> Result<()> {
    let mut change = p.buffer(a.len());
    match p.party.me() {
        OWNER => {
            let mut l2 = p.buffer(a.len());
            let mut sum = p.buffer(a.len());
            p.mask(FIRST, step, Z, tile, &mut sum);
            p.mask(SECOND, step, Z, tile, &mut l2);
            add_assign(&mut sum, &l2);
            // (L, U)
            for (to, mask) in [(FIRST, &*b), (SECOND, &*a)] {
                change.copy_from_slice(&sum);
                sub_assign(&mut change, mask);
                p.party.send(to, step, tile, &change)?;
            }
            sub_assign(&mut sum, &l2);
            a.copy_from_slice(&sum);
            b.copy_from_slice(&l2);
            p.recycle(l2);
            p.recycle(sum);
        }
        _ => {
            // The checker's (B, L), or (A, l) of who is left of the pair.
            p.party.recv(OWNER, step, tile, &mut change)?;
            add_assign(a, &change);
            p.mask(OWNER, step, Z, tile, b);
        }
    }
    p.recycle(change);
    Ok(())
}

/// Spec 5.6: subtracts the borrow of the discarded bits, `[C mod 2^f < rho mod 2^f]`, after lifting.
pub(super) fn round_exactly(p: &mut Rep3, raw: Vec<Masked>) -> Result<Vec<Raw<ArithmeticShare>>> {
    let lows: Vec<(Planes, usize)> = raw
        .iter()
        .filter(|m| m.shift > 0)
        .map(|m| (Planes::from_values(&m.wide, m.shift as usize), m.shift as usize))
        .collect();
    let shifts: Vec<u32> = raw.iter().map(|m| m.shift).collect();
    let values = raw.into_iter().map(Masked::into_raw).collect();
    let (borrows, values) = boolean::less_than_dealt(p, lows, values)?;
    let mut borrows = borrows.iter();
    let jobs: Vec<Inject<_, _>> = values
        .iter()
        .zip(&shifts)
        .filter(|(_, shift)| **shift > 0)
        .map(|(v, _)| {
            let bit = borrows.next().expect("one borrow per truncated value");
            Inject { terms: vec![(bit, By::Public(1))], shape: v.shape().clone() }
        })
        .collect();
    let mut borrowed = inject::inject(p, &jobs)?.into_iter();
    let subtract = |(v, shift): (ArithmeticShare, u32)| match shift {
        0 => Raw::exact(v),
        _ => Raw::exact(v.sub(&borrowed.next().expect("one borrow per truncated value"))),
    };
    Ok(values.into_iter().zip(shifts).map(subtract).collect())
}
