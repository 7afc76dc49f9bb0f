//! Products with and without truncation, exact rounding. Spec 4 and 5.

use super::cost::{Cut, Size, cuts, groups};
use super::{Gmw, Unit, boolean, inject};
use crate::masked::{OFFSET, add_assign, top_bits};
use crate::protocol::Pending;
use crate::share::Planes;
use crate::{By, Inject, Product, Raw, Result, Share, TruncMode};
use privity_ot::products::{PRODUCT_WORDS, Pair, WORD, receive_product, send_product};
use privity_ring::{Bilinear, Tensor, simd::vectorise};
use std::borrow::Cow;

/// A truncated value, right modulo `2^(64 - shift)`, and the share that was shifted.
pub(super) struct Truncated {
    value: Tensor<u64>,
    /// 0 for a ring product, which needs nothing more.
    shift: u32,
    /// Empty for ring products.
    wide: Vec<u64>,
}

impl Truncated {
    /// Stochastic rounding: what is left is the lift (Spec 5.2).
    pub(super) fn into_raw(self) -> Raw<Tensor<u64>> {
        let pending = (self.shift > 0).then(|| Pending { shift: self.shift, bits: top_bits(&self.wide) });
        Raw { value: self.value, pending }
    }
}

/// Both operands of a product in the order in which they are transferred: elements of one are chosen by, each times a row of the other.
struct Oriented<'a> {
    chosen: Cow<'a, Tensor<u64>>,
    vectors: Cow<'a, Tensor<u64>>,
    op: Bilinear,
    /// Words of a vector.
    width: usize,
    /// Elements that are added up in one row of the result.
    inner: usize,
    /// Whether the result is the transposed one.
    flipped: bool,
}

impl<'a> Oriented<'a> {
    /// Spec 4.3: the operand with fewer elements is chosen by.
    fn new(job: &Product<'a, Tensor<u64>>) -> Self {
        let op = job.op;
        let (x, y) = (Cow::Borrowed(job.x), Cow::Borrowed(job.y));
        match op {
            Bilinear::Mul => Oriented { chosen: x, vectors: y, op, width: 1, inner: 1, flipped: false },
            Bilinear::MatMul if x.rows() <= y.cols() => {
                Oriented { width: y.cols(), inner: x.cols(), chosen: x, vectors: y, op, flipped: false }
            }
            Bilinear::MatMul => {
                let (chosen, vectors) = (Cow::Owned(y.transpose()), Cow::Owned(x.transpose()));
                Oriented { width: x.rows(), inner: x.cols(), chosen, vectors, op, flipped: true }
            }
        }
    }
    /// The row of vectors that an element is multiplied by.
    fn vector(&self, element: usize) -> usize {
        if self.op == Bilinear::Mul { element } else { element % self.inner }
    }
    /// The row of the result that it belongs to.
    fn row(&self, element: usize) -> usize {
        element / self.inner.max(1)
    }
}

/// Some elements times some columns.
struct Part<'a> {
    of: &'a Oriented<'a>,
    cut: Cut,
    /// Rows of the result from that of the first element, of the columns of this part.
    out: Vec<u64>,
}

impl<'a> Part<'a> {
    fn new(of: &'a Oriented<'a>, cut: Cut) -> Self {
        let rows = of.row(cut.elements.end - 1) + 1 - of.row(cut.elements.start);
        let out = vec![0; rows * cut.columns.len()];
        Part { of, cut, out }
    }
    /// This party's words that an element is multiplied by, and their place in the result.
    fn place(&mut self, element: usize) -> (&'a [u64], &mut [u64]) {
        let (of, columns) = (self.of, &self.cut.columns);
        let vector = &of.vectors.data()[of.vector(element) * of.width..][columns.clone()];
        let row = of.row(element) - of.row(self.cut.elements.start);
        (vector, &mut self.out[row * columns.len()..][..columns.len()])
    }
    /// Adds the part to the result.
    fn merge(self, result: &mut [u64]) {
        let first = self.of.row(self.cut.elements.start);
        for (i, row) in self.out.chunks_exact(self.cut.columns.len()).enumerate() {
            add_assign(&mut result[(first + i) * self.of.width..][self.cut.columns.clone()], row);
        }
    }
}

impl Unit for Part<'_> {
    fn size(&self) -> Size {
        Size::product(&self.cut)
    }
    fn choose(&self, choices: &mut Vec<u64>) {
        choices.extend_from_slice(&self.of.chosen.data()[self.cut.elements.clone()]);
    }
    fn answer(&mut self, pairs: &[Pair], answer: &mut [u64]) {
        let words = PRODUCT_WORDS * self.cut.columns.len();
        let transfers = pairs.chunks_exact(WORD).zip(answer.chunks_exact_mut(words));
        for (element, (pairs, answer)) in self.cut.elements.clone().zip(transfers) {
            let (vector, share) = self.place(element);
            send_product(pairs, vector, answer, share);
        }
    }
    fn finish(&mut self, keys: &[u128], answer: &[u64]) {
        let words = PRODUCT_WORDS * self.cut.columns.len();
        let transfers = keys.chunks_exact(WORD).zip(answer.chunks_exact(words));
        let of = self.of;
        for (element, (keys, answer)) in self.cut.elements.clone().zip(transfers) {
            receive_product(keys, of.chosen.data()[element], answer, self.place(element).1);
        }
    }
}

/// Spec 4: own product and shares of both cross products, then own truncation.
pub(super) fn products(p: &mut Gmw, jobs: &[Product<'_, Tensor<u64>>]) -> Result<Vec<Truncated>> {
    let oriented: Vec<Oriented> = jobs.iter().map(Oriented::new).collect();
    let len = |job: &Product<'_, Tensor<u64>>| job.op.out_shape(job.x.shape(), job.y.shape()).len();
    let mut sums: Vec<Vec<u64>> = jobs.iter().map(|job| vec![0; len(job)]).collect();
    let parts: Vec<(usize, Cut)> = oriented
        .iter()
        .enumerate()
        .flat_map(|(job, o)| cuts(o.chosen.len(), o.width).map(move |cut| (job, cut)))
        .collect();
    for group in groups(parts.iter().map(|(_, cut)| Size::product(cut))) {
        let mut units: Vec<Part> =
            parts[group.clone()].iter().map(|(job, cut)| Part::new(&oriented[*job], cut.clone())).collect();
        p.exchange(&mut units)?;
        for (unit, (job, _)) in units.into_iter().zip(&parts[group]) {
            unit.merge(&mut sums[*job]);
        }
    }
    let mut done = Vec::with_capacity(jobs.len());
    for ((job, o), sum) in jobs.iter().zip(&oriented).zip(sums) {
        let shape = job.op.out_shape(job.x.shape(), job.y.shape());
        let own = job.op.eval(job.x, job.y);
        let cross = match o.flipped {
            true => Tensor::new(privity_ring::Shape::matrix(job.y.cols(), job.x.rows()), sum).transpose(),
            false => Tensor::new(shape, sum),
        };
        done.push(truncate(p, own.add(&cross.reshape(own.shape().clone())), job.rescale));
    }
    Ok(done)
}

/// Spec 5.1: party 0 adds the offset, both shift what they have.
pub(super) fn truncate(p: &Gmw, x: Tensor<u64>, shift: u32) -> Truncated {
    assert!(shift < 62, "a rescale of {shift} bits leaves nothing");
    if shift == 0 {
        return Truncated { value: x, shift, wide: Vec::new() };
    }
    let offset = match (p.me(), p.config.mode) {
        (0, TruncMode::Fast) => OFFSET + (1 << shift) - 1,
        (0, TruncMode::Exact) => OFFSET + (1 << (shift - 1)),
        _ => 0,
    };
    let back = if p.me() == 0 { OFFSET >> shift } else { 0 };
    let shape = x.shape().clone();
    let mut wide = x.into_data();
    let mut value = vec![0; wide.len()];
    vectorise(|| {
        for (v, w) in value.iter_mut().zip(wide.iter_mut()) {
            *w = w.wrapping_add(offset);
            *v = (*w >> shift).wrapping_sub(back);
        }
    });
    Truncated { value: Tensor::new(shape, value), shift, wide }
}

/// Spec 5.3: adds the carry of the discarded bits, and lifts.
pub(super) fn round_exactly(p: &mut Gmw, raw: Vec<Truncated>) -> Result<Vec<Raw<Tensor<u64>>>> {
    let shifts: Vec<u32> = raw.iter().map(|t| t.shift).collect();
    let lows = raw.iter().filter(|t| t.shift > 0);
    let lows =
        lows.map(|t| boolean::Operand::low(Planes::from_values(&t.wide, t.shift as usize), t.shift as usize)).collect();
    let values = raw.into_iter().map(Truncated::into_raw).collect();
    let (carries, values) = boolean::compare(p, lows, values)?;
    let shifted = values.iter().zip(&shifts).filter(|(_, shift)| **shift > 0);
    let jobs: Vec<Inject<_, _>> = shifted
        .zip(&carries)
        .map(|((v, _), bit)| Inject { terms: vec![(bit, By::Public(1))], shape: v.shape().clone() })
        .collect();
    let mut carried = inject::inject(p, &jobs)?.into_iter();
    let add = |(v, shift): (Tensor<u64>, u32)| match shift {
        0 => Raw::exact(v),
        _ => Raw::exact(Share::add(&v, &carried.next().expect("one carry per truncated value"))),
    };
    Ok(values.into_iter().zip(shifts).map(add).collect())
}
