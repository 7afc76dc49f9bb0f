//! Products with and without truncation, rescaling, exact rounding. Spec 5.

use super::verify::{Dealt, Draft, Posted};
use super::{AdditiveMac, ArithmeticShare, boolean, inject, units};
use crate::masked::{OFFSET, offset, top_bits};
use crate::protocol::Pending;
use crate::share::Planes;
use crate::{By, Inject, Product, Protocol, Raw, Result, Share};
use privity_ring::{Bilinear, Shape, simd::vectorise};
use std::ops::Range;

/// Elements of a unit of element-wise work.
pub(super) const UNIT: usize = 1 << 12;
/// Elements whose messages are posted before the first is awaited.
pub(super) const BATCH: usize = 1 << 18;

/// A truncated value together with what rounding left over.
pub(super) struct Masked {
    value: ArithmeticShare,
    /// Bits shifted; 0 for a ring product, which needs nothing more.
    shift: u32,
    /// `C`, or `rho` at the dealer; empty for ring products.
    wide: Vec<u64>,
}

impl Masked {
    fn new(shape: &Shape, shift: u32) -> Masked {
        assert!(shift < 62, "a rescale of {shift} bits leaves nothing");
        let wide = vec![0; if shift > 0 { shape.len() } else { 0 }];
        Masked { value: ArithmeticShare::zeros(shape), shift, wide }
    }
    /// Stochastic rounding: what is left is the lift (Spec 5.3).
    pub(super) fn into_raw(self) -> Raw<ArithmeticShare> {
        let pending = (self.shift > 0).then(|| Pending { shift: self.shift, bits: top_bits(&self.wide) });
        Raw { value: self.value, pending }
    }
    /// Spec 5.2: what was opened, or its mask, becomes the result.
    fn set(&mut self, p: &AdditiveMac, range: Range<usize>, opened: &[u128]) {
        let out = &mut self.value.x.data_mut()[range.clone()];
        if self.shift == 0 {
            out.iter_mut().zip(opened).for_each(|(o, v)| *o = *v as u64);
            return;
        }
        self.wide[range.clone()].iter_mut().zip(opened).for_each(|(w, v)| *w = *v as u64);
        self.shift_wide(p, range);
    }
    /// Spec 5.2: `A_z = (C >> f) - (off >> f)`, and `L_z = rho >> f` at the dealer. `wide` becomes `C`.
    fn shift_wide(&mut self, p: &AdditiveMac, range: Range<usize>) {
        let (shift, dealer) = (self.shift, p.is_dealer());
        let added = if dealer { 0 } else { offset(p.config().mode, shift) };
        let subtracted = if dealer { 0 } else { OFFSET >> shift };
        let wide = self.wide[range.clone()].iter_mut();
        for (w, out) in wide.zip(&mut self.value.x.data_mut()[range]) {
            *w = w.wrapping_add(added);
            *out = (*w >> shift).wrapping_sub(subtracted);
        }
    }
}

/// One unit of a product.
struct Part<'a> {
    job: &'a Product<'a, ArithmeticShare>,
    range: Range<usize>,
}

impl Part<'_> {
    /// Number of masks of the operands that it takes.
    fn operands(&self) -> [usize; 2] {
        match self.job.op {
            Bilinear::Mul => [self.range.len(); 2],
            Bilinear::MatMul => [self.job.x.x.len(), self.job.y.x.len()],
        }
    }
    /// What this party knows of the operands: masked values, or masks.
    fn known(&self) -> [&[u64]; 2] {
        let (x, y) = (self.job.x.x.data(), self.job.y.x.data());
        match self.job.op {
            Bilinear::Mul => [&x[self.range.clone()], &y[self.range.clone()]],
            Bilinear::MatMul => [x, y],
        }
    }
    /// The product of what this party knows, modulo 2^64.
    fn product(&self) -> Vec<u64> {
        let [x, y] = self.known();
        match self.job.op {
            Bilinear::Mul => x.iter().zip(y).map(|(x, y)| x.wrapping_mul(*y)).collect(),
            Bilinear::MatMul => self.job.op.eval(&self.job.x.x, &self.job.y.x).into_data(),
        }
    }
}

/// Spec 5.1 and 5.2 for every job: one round per batch.
pub(super) fn products(p: &mut AdditiveMac, jobs: &[Product<'_, ArithmeticShare>]) -> Result<Vec<Masked>> {
    let step = p.party.next_step();
    let shape = |j: &Product<'_, ArithmeticShare>| j.op.out_shape(j.x.shape(), j.y.shape());
    let mut out: Vec<Masked> = jobs.iter().map(|j| Masked::new(&shape(j), j.rescale)).collect();
    let sizes = out.iter().zip(jobs).map(|(m, j)| (m.value.x.len(), unit(j.op)));
    for batch in units(sizes, BATCH) {
        let mut posted = Vec::with_capacity(batch.len());
        for (job, number, range) in batch {
            let part = Part { job: &jobs[job], range: range.clone() };
            if p.is_dealer() {
                let mask = deal_product(p, &part, step, number)?;
                out[job].set(p, range, &mask);
            } else {
                posted.push((job, range, post_product(p, &part, step, number)?));
            }
        }
        for (job, range, posted) in posted {
            let opened = posted.finish(p)?;
            out[job].set(p, range, &opened);
        }
    }
    Ok(out)
}

/// Elements of a unit: a matrix product is one.
pub(super) fn unit(op: Bilinear) -> Option<usize> {
    match op {
        Bilinear::Mul => Some(UNIT),
        Bilinear::MatMul => None,
    }
}

/// Dealer, Spec 5.1: deals the masks of the operands; what nobody chose, less their product, is the mask of the result.
fn deal_product(p: &mut AdditiveMac, part: &Part, step: u64, number: usize) -> Result<Vec<u128>> {
    let [of_x, of_y] = part.operands();
    let draft = Draft::<u128>::draw(p, step, number, of_x + of_y, part.range.len());
    let mut rho = draft.free();
    rho.iter_mut().zip(part.product()).for_each(|(r, ll)| *r = r.wrapping_sub(ll.into()));
    let [x, y] = part.known();
    let masks: Vec<u128> = x.iter().chain(y).map(|l| u128::from(*l)).collect();
    draft.deal(p, &masks)?;
    Ok(rho)
}

/// Others, Spec 5.1: `C = A_x A_y - A_x L_y - L_x A_y + D`.
fn post_product(p: &mut AdditiveMac, part: &Part, step: u64, number: usize) -> Result<Posted<u128>> {
    let ([of_x, of_y], len) = (part.operands(), part.range.len());
    let dealt = Dealt::<u128>::receive(p, step, number, of_x + of_y, len)?;
    let ([x, y], aa) = (part.known(), part.product());
    dealt.post(p, step, number, len, |d, one, out| {
        let (lx, rest) = d.split_at(of_x);
        let (ly, rho) = rest.split_at(of_y);
        out.copy_from_slice(rho);
        if let Some(one) = one {
            out.iter_mut().zip(&aa).for_each(|(o, aa)| *o = o.wrapping_add(one.wrapping_mul((*aa).into())));
        }
        match part.job.op {
            Bilinear::Mul => subtract_elements(out, (x, y), (lx, ly)),
            Bilinear::MatMul => {
                let (m, k, n) = (part.job.x.shape().rows(), part.job.x.shape().cols(), part.job.y.shape().cols());
                subtract_matrix(out, (x, y), (lx, ly), (m, k, n));
            }
        }
    })
}

/// `out -= x ly + lx y`, element by element.
fn subtract_elements(out: &mut [u128], (x, y): (&[u64], &[u64]), (lx, ly): (&[u128], &[u128])) {
    vectorise(|| {
        for ((o, (x, y)), (lx, ly)) in out.iter_mut().zip(x.iter().zip(y)).zip(lx.iter().zip(ly)) {
            *o = o.wrapping_sub(times(*ly, *x)).wrapping_sub(times(*lx, *y));
        }
    });
}

/// The same for matrices `m x k` and `k x n`, row by row of the result.
fn subtract_matrix(
    out: &mut [u128],
    (x, y): (&[u64], &[u64]),
    (lx, ly): (&[u128], &[u128]),
    (m, k, n): (usize, usize, usize),
) {
    for row in 0..m {
        let out = &mut out[row * n..(row + 1) * n];
        for inner in 0..k {
            let (x, lx) = (x[row * k + inner], lx[row * k + inner]);
            let (y, ly) = (&y[inner * n..(inner + 1) * n], &ly[inner * n..(inner + 1) * n]);
            for (o, (y, ly)) in out.iter_mut().zip(y.iter().zip(ly)) {
                *o = o.wrapping_sub(times(*ly, x)).wrapping_sub(times(lx, *y));
            }
        }
    }
}

#[inline(always)]
fn times(l: u128, a: u64) -> u128 {
    l.wrapping_mul(u128::from(a))
}

/// Spec 5.4: existing values, `A` and `L` each shifted where they are known. Nothing is sent.
pub(super) fn rescale(p: &AdditiveMac, jobs: &[(&ArithmeticShare, u32)]) -> Vec<Masked> {
    let one = |(x, shift): &(&ArithmeticShare, u32)| {
        let mut out = Masked::new(x.shape(), *shift);
        if *shift == 0 {
            out.value = (*x).clone();
        } else {
            out.wide.copy_from_slice(x.x.data());
            out.shift_wide(p, 0..x.x.len());
        }
        out
    };
    jobs.iter().map(one).collect()
}

/// Spec 5.5: subtracts the borrow of the discarded bits, `[C mod 2^f < rho mod 2^f]`, after lifting.
pub(super) fn round_exactly(p: &mut AdditiveMac, raw: Vec<Masked>) -> Result<Vec<Raw<ArithmeticShare>>> {
    let low = |m: &Masked| (Planes::from_values(&m.wide, m.shift as usize), m.shift as usize);
    let lows: Vec<(Planes, usize)> = raw.iter().filter(|m| m.shift > 0).map(low).collect();
    let shifts: Vec<u32> = raw.iter().map(|m| m.shift).collect();
    let values = raw.into_iter().map(Masked::into_raw).collect();
    let (borrows, values) = boolean::less_than_dealt(p, lows, values)?;
    let mut borrows = borrows.iter();
    let mut jobs: Vec<Inject<_, _>> = Vec::new();
    for (value, _) in values.iter().zip(&shifts).filter(|(_, shift)| **shift > 0) {
        let bit = borrows.next().expect("one borrow per truncated value");
        jobs.push(Inject { terms: vec![(bit, By::Public(1))], shape: value.shape().clone() });
    }
    let mut borrowed = inject::inject(p, &jobs)?.into_iter();
    let subtract = |(v, shift): (ArithmeticShare, u32)| match shift {
        0 => Raw::exact(v),
        _ => Raw::exact(v.sub(&borrowed.next().expect("one borrow per truncated value"))),
    };
    Ok(values.into_iter().zip(shifts).map(subtract).collect())
}
