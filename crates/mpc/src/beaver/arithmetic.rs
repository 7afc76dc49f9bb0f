//! Products. Spec 4.

use super::Beaver;
use crate::correlations::{Number, tensor};
use crate::{Product, Result};
use privity_ring::{Shape, Tensor};

/// Values one after the other.
pub(super) fn joined<'a, R: Number>(values: impl IntoIterator<Item = &'a Tensor<R>>) -> Vec<u64> {
    values.into_iter().flat_map(|x| R::words(x.data())).copied().collect()
}

/// The inverse of [`joined`].
pub(super) fn separated<'a, R: Number>(words: &[u64], shapes: impl IntoIterator<Item = &'a Shape>) -> Vec<Tensor<R>> {
    let mut rest = words;
    let mut next = |shape: &Shape| {
        let (head, tail) = rest.split_at(shape.len());
        rest = tail;
        tensor(shape, head.to_vec())
    };
    shapes.into_iter().map(&mut next).collect()
}

/// Spec 4.1: `d = x - a` and `e = y - b` are told; `x y = d (e + b) + a e + c`. A triple for each product, one round for all.
pub(super) fn products<R: Number>(p: &mut Beaver<R>, jobs: &[Product<'_, Tensor<R>>]) -> Result<Vec<Tensor<R>>> {
    let shapes: Vec<Shape> = jobs.iter().map(|job| job.op.out_shape(job.x.shape(), job.y.shape())).collect();
    let mut out: Vec<Tensor<R>> = shapes.iter().map(Tensor::zeros).collect();
    // Of products that have no elements nothing is told.
    let made: Vec<usize> = (0..jobs.len()).filter(|job| !shapes[*job].is_empty()).collect();
    let jobs: Vec<&Product<'_, Tensor<R>>> = made.iter().map(|job| &jobs[*job]).collect();
    let wanted: Vec<_> = jobs.iter().map(|job| (job.op, job.x.shape().clone(), job.y.shape().clone())).collect();
    let session = &mut p.session;
    let triples = p.source.triples(session, &wanted)?;
    let mut masked = Vec::new();
    for (job, triple) in jobs.iter().zip(&triples) {
        for (value, mask) in [(job.x, &triple.a), (job.y, &triple.b)] {
            let from = masked.len();
            masked.extend_from_slice(R::words(value.data()));
            R::sub_assign(&mut masked[from..], R::words(mask.data()));
        }
    }
    let told = session.tell::<R>(&masked)?;
    let told: Vec<Tensor<R>> = separated(&told, jobs.iter().flat_map(|job| [job.x.shape(), job.y.shape()]));
    for (((job, triple), told), at) in jobs.iter().zip(triples).zip(told.chunks_exact(2)).zip(made) {
        let mut z = triple.c;
        if session.computes() {
            // One party has the product of what is told besides.
            let other = if session.leads() { told[1].add(&triple.b) } else { triple.b };
            R::add_product(job.op, &told[0], &other, &mut z);
            R::add_product(job.op, &triple.a, &told[1], &mut z);
        }
        out[at] = tensor(&shapes[at], z);
    }
    Ok(out)
}
