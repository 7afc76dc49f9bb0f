//! Products with and without truncation, rescaling, exact rounding. Spec 4 and 5.

use super::{ArithmeticShare, Buffer, CHECKER, DEALER, FIRST, ONE, OTHER, Rep4, SECOND, TWO, boolean, inject};
use crate::masked::{OFFSET, Operand, add_assign, batches, offset, sub_assign, tiles, top_bits};
use crate::protocol::Pending;
use crate::share::Planes;
use crate::{Product, Raw, Result, Share};
use privity_ring::kernels::gemm::Acc;
use privity_ring::{Bilinear, Shape, simd::vectorise};
use std::ops::Range;

// Streams of a step: each is read once.
const RHO: u8 = 1;
const Z: u8 = 2;
const S: u8 = 3;

/// A truncated value together with what rounding left over.
pub(super) struct Masked {
    value: ArithmeticShare,
    /// Bits shifted; 0 for a ring product, which needs nothing more.
    shift: u32,
    /// `C` at the online pair, `rho` at checker and dealer; empty for ring products.
    wide: Vec<u64>,
}

impl Masked {
    /// Stochastic rounding: what is left is the lift (Spec 5.4).
    pub(super) fn into_raw(self) -> Raw<ArithmeticShare> {
        let pending = (self.shift > 0).then(|| Pending { shift: self.shift, bits: top_bits(&self.wide) });
        Raw { value: self.value, pending }
    }
}

/// A sum of products of one kind and shape, shifted back by `shift` bits: one product's messages, whatever the number of terms.
pub(super) struct Sum<'a> {
    pub op: Bilinear,
    pub terms: Vec<(&'a ArithmeticShare, &'a ArithmeticShare)>,
    pub shape: Shape,
    pub shift: u32,
}

impl<'a> Sum<'a> {
    pub(super) fn of(job: &Product<'a, ArithmeticShare>) -> Self {
        let shape = job.op.out_shape(job.x.shape(), job.y.shape());
        Sum { op: job.op, terms: vec![(job.x, job.y)], shape, shift: job.rescale }
    }
}

/// A sum on its way.
struct Flight<'a> {
    sum: &'a Sum<'a>,
    /// Pair: `AxAy`. Checker: `BxLy + LxBy`. Dealer: `LxUy + UxLy`. For matrix products whole, else tile by tile.
    first: Buffer,
    /// Pair: `Ax l_y + l_x Ay`, then what it sent. Checker and dealer: `LxLy`.
    second: Buffer,
    out: Masked,
}

/// Spec 4 and 5.1 for every sum: one round per batch.
pub(super) fn products(p: &mut Rep4, sums: &[Sum<'_>]) -> Result<Vec<Masked>> {
    let step = p.party.next_step();
    let mut flights: Vec<Flight> = Vec::with_capacity(sums.len());
    for sum in sums {
        let len = sum.shape.len();
        let (first, second) = (p.buffer(len), p.buffer(len));
        flights.push(Flight { sum, first, second, out: masked(&sum.shape, sum.shift) });
    }
    for batch in batches(sums.iter().map(|sum| sum.shape.len())) {
        for (job, tile, range) in &batch {
            let flight = &mut flights[*job];
            local(p.party.me(), flight, range);
            match p.party.me() {
                CHECKER | DEALER => deal(p, flight, step, *tile, range.clone())?,
                _ => post(p, flight, step, *tile, range.clone())?,
            }
        }
        for (job, tile, range) in batch {
            match p.party.me() {
                CHECKER => check(p, &mut flights[job], step, tile, range)?,
                DEALER => {}
                _ => finish(p, &mut flights[job], step, tile, range)?,
            }
        }
    }
    let mut done = Vec::with_capacity(flights.len());
    for flight in flights {
        p.recycle([flight.first, flight.second]);
        done.push(flight.out);
    }
    Ok(done)
}

fn masked(shape: &Shape, shift: u32) -> Masked {
    assert!(shift < 62, "a rescale of {shift} bits leaves nothing");
    Masked { value: ArithmeticShare::zeros(shape), shift, wide: vec![0; if shift > 0 { shape.len() } else { 0 }] }
}

/// Spec 4.2: this party's products. Matrix products are made whole with their first tile.
fn local(me: usize, flight: &mut Flight, range: &Range<usize>) {
    let op = flight.sum.op;
    let (first, second) = if op == Bilinear::Mul {
        (&mut flight.first[range.clone()], &mut flight.second[range.clone()])
    } else if range.start == 0 {
        (&mut flight.first[..], &mut flight.second[..])
    } else {
        return;
    };
    for (k, (x, y)) in flight.sum.terms.iter().enumerate() {
        let (set, add) = (if k == 0 { Acc::Set } else { Acc::Add }, Acc::Add);
        if op == Bilinear::Mul {
            elements(me, (x, y), range, (first, second), k == 0);
        } else {
            match me {
                // x is L, y is U.
                DEALER => {
                    op.eval_into(set, first, &x.x, &y.y);
                    op.eval_into(add, first, &x.y, &y.x);
                    op.eval_into(set, second, &x.x, &y.x);
                }
                // x is B, y is L.
                CHECKER => {
                    op.eval_into(set, first, &x.x, &y.y);
                    op.eval_into(add, first, &x.y, &y.x);
                    op.eval_into(set, second, &x.y, &y.y);
                }
                // x is A, y a mask.
                _ => {
                    op.eval_into(set, first, &x.x, &y.x);
                    op.eval_into(set, second, &x.x, &y.y);
                    op.eval_into(add, second, &x.y, &y.x);
                }
            }
        }
    }
}

/// The same for a tile of an element-wise product.
fn elements(
    me: usize,
    (x, y): (&ArithmeticShare, &ArithmeticShare),
    range: &Range<usize>,
    (first, second): (&mut [u64], &mut [u64]),
    set: bool,
) {
    let (xx, xy) = (&x.x.data()[range.clone()], &x.y.data()[range.clone()]);
    let (yx, yy) = (&y.x.data()[range.clone()], &y.y.data()[range.clone()]);
    let keep = if set { 0 } else { u64::MAX };
    let (cross, plain, equal_x) = match me {
        DEALER => (first, second, true),
        CHECKER => (first, second, false),
        _ => (second, first, true),
    };
    let (px, py) = if equal_x { (xx, yx) } else { (xy, yy) };
    vectorise(|| {
        let terms = xx.iter().zip(xy).zip(yx.iter().zip(yy));
        for (c, ((xx, xy), (yx, yy))) in cross.iter_mut().zip(terms) {
            *c = (*c & keep).wrapping_add(xx.wrapping_mul(*yy)).wrapping_add(xy.wrapping_mul(*yx));
        }
        for (s, (x, y)) in plain.iter_mut().zip(px.iter().zip(py)) {
            *s = (*s & keep).wrapping_add(x.wrapping_mul(*y));
        }
    });
}

/// Checker and dealer: output masks, and what is dealt ahead. Spec 4.3 and 5.1.
fn deal(p: &mut Rep4, flight: &mut Flight, step: u64, tile: usize, range: Range<usize>) -> Result<()> {
    let (n, shift) = (range.len(), flight.out.shift);
    let mut l1 = p.drawn(ONE, step, Z, tile, n);
    let mut ahead = p.drawn(ONE, step, RHO, tile, n);
    let mut two = p.drawn(TWO, step, if shift == 0 { Z } else { RHO }, tile, n);
    let products = &flight.second[range.clone()];
    if shift == 0 {
        // l = l1 + l2; o1 = l + LL + rho
        add_assign(&mut l1, &two);
        vectorise(|| {
            for (o, (l, product)) in ahead.iter_mut().zip(l1.iter().zip(products)) {
                *o = o.wrapping_add(*l).wrapping_add(*product);
            }
        });
        p.deal(step, tile, &ahead)?;
    } else {
        // rho = r1 + r2 - LL; l = rho >> f; l2 = l - l1
        let wide = &mut flight.out.wide[range.clone()];
        vectorise(|| {
            for ((w, (r1, r2)), product) in wide.iter_mut().zip(ahead.iter().zip(&*two)).zip(products) {
                *w = r1.wrapping_add(*r2).wrapping_sub(*product);
            }
            for ((l1, l2), w) in l1.iter_mut().zip(two.iter_mut()).zip(&*wide) {
                let l = w >> shift;
                *l2 = l.wrapping_sub(*l1);
                *l1 = l;
            }
        });
        p.deal(step, tile, &two)?;
    }
    let l = l1;
    if p.party.me() == DEALER {
        tell_ahead(p, flight, step, tile, range.clone())?;
        flight.out.value.x.data_mut()[range].copy_from_slice(&l);
    } else {
        flight.out.value.y.data_mut()[range].copy_from_slice(&l);
    }
    p.recycle([l, ahead, two]);
    Ok(())
}

/// Dealer to checker: `o4 = LL - LU + s - U`, or with truncation `LL - LU - R + s = s - LU - rho`.
fn tell_ahead(p: &mut Rep4, flight: &mut Flight, step: u64, tile: usize, range: Range<usize>) -> Result<()> {
    let u = &mut flight.out.value.y.data_mut()[range.clone()];
    p.mask(OTHER, step, Z, tile, u);
    let mut o4 = p.drawn(OTHER, step, S, tile, range.len());
    sub_assign(&mut o4, &flight.first[range.clone()]);
    if flight.out.shift == 0 {
        add_assign(&mut o4, &flight.second[range]);
        sub_assign(&mut o4, u);
    } else {
        sub_assign(&mut o4, &flight.out.wide[range]);
    }
    p.party.send(CHECKER, step, tile, &o4)?;
    p.recycle([o4]);
    Ok(())
}

/// Online pair: `c = Ax l_y + l_x Ay` made ready to send. Spec 4.4 and 5.2.
fn post(p: &mut Rep4, flight: &mut Flight, step: u64, tile: usize, range: Range<usize>) -> Result<()> {
    let (n, me, ring) = (range.len(), p.party.me(), flight.out.shift == 0);
    let holders = if me == FIRST { ONE } else { TWO };
    let out_mask = &mut flight.out.value.y.data_mut()[range.clone()];
    let c = &mut flight.second[range];
    if ring && me == FIRST {
        // c1 = cross + rho
        let rho = p.drawn(ONE, step, RHO, tile, n);
        add_assign(c, &rho);
        p.recycle([rho]);
        p.mask(ONE, step, Z, tile, out_mask);
    } else if ring {
        // c2 = cross - o1
        let mut ahead = p.buffer(n);
        p.dealt(step, tile, &mut ahead)?;
        sub_assign(c, &ahead);
        p.recycle([ahead]);
        p.mask(TWO, step, Z, tile, out_mask);
    } else {
        // c = cross - r
        let r = p.drawn(holders, step, RHO, tile, n);
        sub_assign(c, &r);
        p.recycle([r]);
        if me == FIRST {
            p.mask(ONE, step, Z, tile, out_mask);
        } else {
            p.dealt(step, tile, out_mask)?;
        }
    }
    p.party.send(p.online_peer(), step, tile, c)
}

/// Online pair: the peer's half, the result, and what the checker is told and must agree with. Spec 4.5, 4.6, 5.2, 5.3.
fn finish(p: &mut Rep4, flight: &mut Flight, step: u64, tile: usize, range: Range<usize>) -> Result<()> {
    let n = range.len();
    let mut sum = p.buffer(n);
    p.party.recv(p.online_peer(), step, tile, &mut sum)?;
    let u = p.drawn(OTHER, step, Z, tile, n);
    let mut told = p.drawn(OTHER, step, S, tile, n);
    let (square, own) = (&flight.first[range.clone()], &flight.second[range.clone()]);
    let a = &mut flight.out.value.x.data_mut()[range.clone()];
    add_assign(&mut sum, own);
    vectorise(|| a.iter_mut().zip(square.iter().zip(&*sum)).for_each(|(a, (q, c))| *a = q.wrapping_sub(*c)));
    if flight.out.shift == 0 {
        // t = AxAy + s; then m = A + U
        add_assign(&mut told, square);
        p.tell_checker(step, tile, &told)?;
        told.copy_from_slice(a);
        add_assign(&mut told, &u);
        p.agree(&told);
    } else {
        // C = AxAy - c1 - c2 + off; A = C >> f - off >> f; told A + U; then c1 + c2 + s
        flight.out.wide[range.clone()].copy_from_slice(a);
        shift_masked(p, &mut flight.out, range.clone());
        add_assign(&mut sum, &told);
        told.copy_from_slice(&flight.out.value.x.data()[range]);
        add_assign(&mut told, &u);
        p.tell_checker(step, tile, &told)?;
        p.agree(&sum);
    }
    p.recycle([sum, u, told]);
    Ok(())
}

/// Checker: `B`, and its own view of what the pair holds. Spec 4.6 and 5.3.
fn check(p: &mut Rep4, flight: &mut Flight, step: u64, tile: usize, range: Range<usize>) -> Result<()> {
    let mut o4 = p.buffer(range.len());
    p.party.recv(DEALER, step, tile, &mut o4)?;
    let b = &mut flight.out.value.x.data_mut()[range.clone()];
    p.told_by_pair(step, tile, b)?;
    let cross = &flight.first[range.clone()];
    let l = &flight.out.value.y.data()[range.clone()];
    if flight.out.shift == 0 {
        // B = t - (BxLy + LxBy) - o4; m = B + L
        sub_assign(b, cross);
        sub_assign(b, &o4);
        o4.copy_from_slice(b);
        add_assign(&mut o4, l);
    } else {
        // B = told - L; BxLy + LxBy + LL + o4
        sub_assign(b, l);
        add_assign(&mut o4, cross);
        add_assign(&mut o4, &flight.second[range]);
    }
    p.agree(&o4);
    p.recycle([o4]);
    Ok(())
}

/// Spec 5.2, for both members of the pair: `wide` holds `C - off` and becomes `C`.
fn shift_masked(p: &Rep4, out: &mut Masked, range: Range<usize>) {
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

/// Spec 5.5: truncates existing shares. `A` and `L` are each shifted where they are known; one element is dealt, one told.
pub(super) fn rescale(p: &mut Rep4, jobs: &[(&ArithmeticShare, u32)]) -> Result<Vec<Masked>> {
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
            let wide = &mut out.wide[range.clone()];
            // What is shifted: A at the pair, L at the others.
            wide.copy_from_slice(&(if p.party.me() == CHECKER { &x.y } else { &x.x }).data()[range.clone()]);
            match p.party.me() {
                CHECKER | DEALER => rescale_masks(p, &mut out, step, number, range)?,
                _ => rescale_masked(p, &mut out, step, number, range)?,
            }
            number += 1;
        }
        done.push(out);
    }
    Ok(done)
}

fn rescale_masks(p: &mut Rep4, out: &mut Masked, step: u64, tile: usize, range: Range<usize>) -> Result<()> {
    let shift = out.shift;
    let (x, y) = (&mut out.value.x.data_mut()[range.clone()], &mut out.value.y.data_mut()[range.clone()]);
    let mut l2 = p.drawn(ONE, step, Z, tile, range.len());
    let wide = &out.wide[range];
    vectorise(|| l2.iter_mut().zip(wide).for_each(|(l, w)| *l = (w >> shift).wrapping_sub(*l)));
    p.deal(step, tile, &l2)?;
    let l = if p.party.me() == DEALER { &mut *x } else { &mut *y };
    l.iter_mut().zip(wide).for_each(|(l, w)| *l = w >> shift);
    if p.party.me() == DEALER {
        p.mask(OTHER, step, Z, tile, y);
    } else {
        p.told_by_pair(step, tile, x)?;
        sub_assign(x, y);
    }
    p.recycle([l2]);
    Ok(())
}

fn rescale_masked(p: &mut Rep4, out: &mut Masked, step: u64, tile: usize, range: Range<usize>) -> Result<()> {
    shift_masked(p, out, range.clone());
    share_masked(p, out, step, tile, range)
}

/// The pair's masks for an `A` that both know, and the checker's word.
fn share_masked(p: &mut Rep4, out: &mut Masked, step: u64, tile: usize, range: Range<usize>) -> Result<()> {
    let mask = &mut out.value.y.data_mut()[range.clone()];
    if p.party.me() == FIRST {
        p.mask(ONE, step, Z, tile, mask);
    } else {
        p.dealt(step, tile, mask)?;
    }
    let mut told = p.drawn(OTHER, step, Z, tile, range.len());
    add_assign(&mut told, &out.value.x.data()[range]);
    p.tell_checker(step, tile, &told)?;
    p.recycle([told]);
    Ok(())
}

/// Spec 5.7: compares what was kept, `A` at the pair and `L` at checker and dealer, and shares it anew under this session's keys.
pub(super) fn refresh(p: &mut Rep4, xs: &[&ArithmeticShare]) -> Result<Vec<ArithmeticShare>> {
    let step = p.party.next_step();
    let me = p.party.me();
    let twin = if me == CHECKER || me == DEALER { CHECKER + DEALER - me } else { p.online_peer() };
    let (mut done, mut number) = (Vec::with_capacity(xs.len()), 0);
    for x in xs {
        let mut out = Masked { value: (*x).clone(), shift: 0, wide: boolean::known(p, x).data().to_vec() };
        for (_, range) in tiles(x.x.len()) {
            p.window.absorb(twin, &out.wide[range.clone()]);
            match me {
                CHECKER | DEALER => rescale_masks(p, &mut out, step, number, range)?,
                _ => share_masked(p, &mut out, step, number, range)?,
            }
            number += 1;
        }
        done.push(out.value);
    }
    Ok(done)
}

/// Spec 5.8: what the first three kept under `rep3`, shared anew among all four. Each component is known to two of the three: one
/// sends it, masked, to the third, the other vouches.
pub(super) fn admit(p: &mut Rep4, xs: &[&ArithmeticShare]) -> Result<Vec<ArithmeticShare>> {
    let step = p.party.next_step();
    let (mut done, mut number) = (Vec::with_capacity(xs.len()), 0);
    for x in xs {
        let mut out = ArithmeticShare::zeros(x.x.shape());
        for (_, range) in tiles(x.x.len()) {
            let kept = (&x.x.data()[range.clone()], &x.y.data()[range.clone()]);
            let fresh = (&mut out.x.data_mut()[range.clone()], &mut out.y.data_mut()[range.clone()]);
            admit_tile(p, kept, fresh, step, number)?;
            number += 1;
        }
        done.push(out);
    }
    Ok(done)
}

fn admit_tile(
    p: &mut Rep4,
    (kept_x, kept_y): (&[u64], &[u64]),
    (x, y): (&mut [u64], &mut [u64]),
    step: u64,
    tile: usize,
) -> Result<()> {
    let (me, n) = (p.party.me(), x.len());
    // Spec 5.8: fresh masks; the new sharing has l1 = -n1, l2 = -n2.
    let drawn = |p: &mut Rep4, holders, lacks: usize| (me != lacks).then(|| p.drawn(holders, step, Z, tile, n));
    let (n1, n2, u) = (drawn(p, ONE, SECOND), drawn(p, TWO, FIRST), drawn(p, OTHER, CHECKER));
    match me {
        CHECKER | DEALER => {
            let l = if me == DEALER { &mut *x } else { &mut *y };
            [&n1, &n2].into_iter().flatten().for_each(|mask| sub_assign(l, mask));
        }
        _ => {
            let own = if me == FIRST { &n1 } else { &n2 };
            own.iter().for_each(|mask| sub_assign(y, mask));
        }
    }
    match me {
        CHECKER => {
            // Vouches for l1 + n1 to second and for l2 + n2 to first, then is told A + U by second, for which first vouches.
            for (kept, mask, hearer) in [(kept_x, &n1, SECOND), (kept_y, &n2, FIRST)] {
                let mut masked = p.buffer(n);
                masked.copy_from_slice(kept);
                mask.iter().for_each(|mask| add_assign(&mut masked, mask));
                p.window.absorb(hearer, &masked);
                p.recycle([masked]);
            }
            p.told_by_pair(step, tile, x)?;
            sub_assign(x, kept_x);
            sub_assign(x, kept_y);
        }
        DEALER => u.iter().for_each(|u| y.copy_from_slice(u)),
        _ => {
            let peer = p.online_peer();
            let (mut sent, mut received) = (p.buffer(n), p.buffer(n));
            sent.copy_from_slice(kept_y);
            (if me == FIRST { &n1 } else { &n2 }).iter().for_each(|mask| add_assign(&mut sent, mask));
            p.party.send(peer, step, tile, &sent)?;
            let mut told = p.buffer(n);
            told.copy_from_slice(kept_x);
            u.iter().for_each(|u| add_assign(&mut told, u));
            p.party.recv(peer, step, tile, &mut received)?;
            p.window.absorb(CHECKER, &received);
            p.tell_checker(step, tile, &told)?;
            x.copy_from_slice(kept_x);
            sub_assign(x, &sent);
            sub_assign(x, &received);
            p.recycle([sent, received, told]);
        }
    }
    p.recycle([n1, n2, u].into_iter().flatten());
    Ok(())
}

/// Spec 5.6: subtracts the borrow of the discarded bits, `[C mod 2^f < rho mod 2^f]`, after lifting.
pub(super) fn round_exactly(p: &mut Rep4, raw: Vec<Masked>) -> Result<Vec<Raw<ArithmeticShare>>> {
    let low = |m: &Masked| {
        let bits = m.shift as usize;
        Operand { planes: Planes::from_values(&m.wide, bits), bits, sign: false }
    };
    let lows: Vec<Operand> = raw.iter().filter(|m| m.shift > 0).map(low).collect();
    let shifts: Vec<u32> = raw.iter().map(|m| m.shift).collect();
    let values = raw.into_iter().map(Masked::into_raw).collect();
    let (borrows, values) = boolean::compare(p, lows, values)?;
    let mut borrowed = inject::bits_to_ring(p, &borrows.iter().collect::<Vec<_>>())?.into_iter();
    let subtract = |(v, shift): (ArithmeticShare, u32)| match shift {
        0 => Raw::exact(v),
        _ => {
            let borrow = borrowed.next().expect("one borrow per truncated value");
            Raw::exact(v.sub(&borrow.reshape(v.shape())))
        }
    };
    Ok(values.into_iter().zip(shifts).map(subtract).collect())
}
