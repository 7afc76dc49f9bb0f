//! Products, refreshed shares. Spec 4 and 6.

use super::{Shamir, input::tensor};
use crate::{Product, Result};
use privity_ring::{M61, Shape, Tensor, mersenne};

/// Values one after the other.
pub(crate) fn joined<'a>(values: impl IntoIterator<Item = &'a Tensor<M61>>) -> Vec<u64> {
    values.into_iter().flat_map(|x| mersenne::words(x.data())).copied().collect()
}

/// The inverse of [`joined`].
pub(crate) fn separated<'a>(words: &[u64], shapes: impl IntoIterator<Item = &'a Shape>) -> Vec<Tensor<M61>> {
    let mut rest = words;
    let mut next = |shape: &Shape| {
        let (head, tail) = rest.split_at(shape.len());
        rest = tail;
        tensor(shape, head.to_vec())
    };
    shapes.into_iter().map(&mut next).collect()
}

/// Spec 4: one round for all jobs.
pub(super) fn products(p: &mut Shamir, jobs: &[Product<'_, Tensor<M61>>]) -> Result<Vec<Tensor<M61>>> {
    let shapes: Vec<Shape> = jobs.iter().map(|job| job.op.out_shape(job.x.shape(), job.y.shape())).collect();
    let len = shapes.iter().map(Shape::len).sum();
    // Spec 4.1: products of shares are shares of the products, of twice the degree.
    let local = || {
        let mut products = vec![0; len];
        let mut rest = &mut products[..];
        for (job, shape) in jobs.iter().zip(&shapes) {
            let (head, tail) = rest.split_at_mut(shape.len());
            mersenne::add_product(job.op, job.x, job.y, head);
            rest = tail;
        }
        products
    };
    let reduced = p.reduce_numbers(len, local)?;
    Ok(separated(&reduced, &shapes))
}

/// Spec 6: sharings of zero are added, dealt by more parties than may be corrupt.
pub(super) fn refresh(p: &mut Shamir, xs: &[&Tensor<M61>]) -> Result<Vec<Tensor<M61>>> {
    let mut sum = joined(xs.iter().copied());
    let len = sum.len();
    for zeros in p.deal_numbers(len, |_| vec![0; len])? {
        mersenne::add_assign(&mut sum, &zeros);
    }
    Ok(separated(&sum, xs.iter().map(|x| x.shape())))
}
