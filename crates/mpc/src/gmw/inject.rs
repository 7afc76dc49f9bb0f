//! Bits to arithmetic, sums of bits times values. Spec 9.

use super::cost::{Size, groups, pieces};
use super::{Gmw, Unit, boolean};
use crate::masked::add_assign;
use crate::masked::terms::MAX_TERMS;
use crate::share::{Planes, plane_words};
use crate::{BitShare, By, Error, Inject, Raw, Result};
use privity_ot::products::{Pair, WORD, receive_words, send_words};
use privity_ring::{Tensor, simd::vectorise};
use std::ops::Range;

/// What a party multiplies a bit by: its own share of the factor; a public factor is the share of one party alone.
enum Own<'a> {
    Share(&'a [u64]),
    Public(u64),
}

/// Some elements of one term.
struct Part<'a> {
    me: usize,
    job: usize,
    elements: Range<usize>,
    /// Own shares of the bits.
    bits: &'a [u64],
    own: Own<'a>,
    /// The only party that has a share of the factor, if there is one.
    alone: Option<usize>,
    out: Vec<u64>,
}

impl Part<'_> {
    fn chooses(&self) -> bool {
        self.alone != Some(self.me)
    }
    fn answers(&self) -> bool {
        self.alone.is_none_or(|party| party == self.me)
    }
    /// Own share of the factor of element `i`.
    #[inline(always)]
    fn factor(&self, i: usize) -> u64 {
        match self.own {
            Own::Share(x) => x[i],
            Own::Public(c) => c,
        }
    }
}

impl Unit for Part<'_> {
    fn size(&self) -> Size {
        Size::term(self.elements.len(), self.alone)
    }
    fn choose(&self, choices: &mut Vec<u64>) {
        if self.chooses() {
            choices.extend_from_slice(self.bits);
        }
    }
    /// Spec 9.1: `(b0 ^ b1) x0 = b0 x0 + b1 (1 - 2 b0) x0`.
    fn answer(&mut self, pairs: &[Pair], answer: &mut [u64]) {
        if !self.answers() {
            return;
        }
        let len = self.elements.len();
        let mut values = vec![0; len];
        let mut own = std::mem::take(&mut self.out);
        vectorise(|| {
            for (i, (v, o)) in values.iter_mut().zip(&mut own).enumerate() {
                let (b, x) = (self.bits[i / WORD] >> (i % WORD) & 1, self.factor(i));
                let taken = x & b.wrapping_neg();
                *v = x.wrapping_sub(taken << 1);
                *o = o.wrapping_add(taken);
            }
        });
        send_words(&pairs[..len], &values, answer, &mut own);
        self.out = own;
    }
    fn finish(&mut self, keys: &[u128], answer: &[u64]) {
        if self.chooses() {
            receive_words(&keys[..self.elements.len()], self.bits, answer, &mut self.out);
        }
    }
}

/// Spec 9: raw factors are lifted, then all terms of all sums are transferred at once.
pub(super) fn inject(p: &mut Gmw, jobs: &[Inject<'_, Tensor<u64>, Planes>]) -> Result<Vec<Tensor<u64>>> {
    jobs.iter().try_for_each(check)?;
    let raws: Vec<Raw<Tensor<u64>>> = jobs
        .iter()
        .flat_map(|job| &job.terms)
        .filter_map(|(_, by)| match by {
            By::Value(x) => x.pending.is_some().then(|| (*x).clone()),
            By::Public(_) => None,
        })
        .collect();
    let lifted = if raws.is_empty() { Vec::new() } else { boolean::compare(p, Vec::new(), raws)?.1 };
    let mut lifted = lifted.iter();
    let mut parts = Vec::new();
    for (number, job) in jobs.iter().enumerate() {
        for (k, (bit, by)) in job.terms.iter().enumerate() {
            let factor = match by {
                By::Public(_) => None,
                By::Value(x) if x.pending.is_some() => lifted.next(),
                By::Value(x) => Some(&x.value),
            };
            let constant = if let By::Public(c) = by { *c } else { 0 };
            for (_, words) in pieces([plane_words(bit.len())].into_iter()) {
                let elements = words.start * WORD..bit.len().min(words.end * WORD);
                let own = factor.map_or(Own::Public(constant), |x| Own::Share(&x.data()[elements.clone()]));
                let alone = factor.is_none().then_some(k % 2);
                let (me, bits) = (p.me(), &bit.words()[words]);
                parts.push(Part { me, job: number, out: vec![0; elements.len()], elements, bits, own, alone });
            }
        }
    }
    for group in groups(parts.iter().map(Unit::size)) {
        p.exchange(&mut parts[group])?;
    }
    let mut sums: Vec<Tensor<u64>> = jobs.iter().map(|job| Tensor::zeros(&job.shape)).collect();
    for part in parts {
        add_assign(&mut sums[part.job].data_mut()[part.elements], &part.out);
    }
    Ok(sums)
}

fn check(job: &Inject<'_, Tensor<u64>, Planes>) -> Result<()> {
    if job.terms.len() > MAX_TERMS {
        let problem = format!("{} terms in one sum; at most {MAX_TERMS} are supported", job.terms.len());
        return Err(Error::Parameter { operation: "select", problem });
    }
    for (b, by) in &job.terms {
        assert_eq!((b.len(), b.width()), (job.shape.len(), 1), "a term's bits must match the result");
        if let By::Value(x) = by {
            assert_eq!(x.value.len(), job.shape.len(), "a term's factor must match the result");
        }
    }
    Ok(())
}
