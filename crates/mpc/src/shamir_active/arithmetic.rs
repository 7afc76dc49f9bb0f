//! Products and sums of products, refreshed shares. Spec 2 and 5.4.

use super::ShamirActive;
use crate::shamir::arithmetic::{joined, separated};
use crate::{Product, Result};
use privity_ring::{Bilinear, M61, Shape, Tensor, mersenne};

/// A sum of products of pairs; of one pair, if they are matrices.
pub(super) struct Sum<'a> {
    pub op: Bilinear,
    pub pairs: Vec<(&'a Tensor<M61>, &'a Tensor<M61>)>,
}

impl Sum<'_> {
    fn shape(&self) -> Shape {
        let (x, y) = self.pairs[0];
        self.op.out_shape(x.shape(), y.shape())
    }
}

/// Spec 2.2: sums of products, one round for all; what comes of them is owed.
pub(super) fn sums(p: &mut ShamirActive, jobs: &[Sum<'_>]) -> Result<Vec<Tensor<M61>>> {
    let shapes: Vec<Shape> = jobs.iter().map(Sum::shape).collect();
    let len: usize = shapes.iter().map(Shape::len).sum();
    if len == 0 {
        return Ok(shapes.iter().map(Tensor::zeros).collect());
    }
    let local = || {
        let mut sums = vec![0; len];
        let mut rest = &mut sums[..];
        for (job, shape) in jobs.iter().zip(&shapes) {
            let (head, tail) = rest.split_at_mut(shape.len());
            job.pairs.iter().for_each(|(x, y)| mersenne::add_product(job.op, x, y, head));
            rest = tail;
        }
        sums
    };
    let reduced = p.base.reduce_numbers(len, local)?;
    let results = separated(&reduced, &shapes);
    for (job, z) in jobs.iter().zip(&results) {
        let pairs = job.pairs.iter().map(|(x, y)| ((*x).clone(), (*y).clone())).collect();
        p.debt().owe_sum(job.op, pairs, z);
    }
    p.pay_if_much()?;
    Ok(results)
}

/// The same of one element-wise product each.
pub(super) fn multiply(p: &mut ShamirActive, pairs: &[(&Tensor<M61>, &Tensor<M61>)]) -> Result<Vec<Tensor<M61>>> {
    let jobs: Vec<Sum<'_>> = pairs.iter().map(|pair| Sum { op: Bilinear::Mul, pairs: vec![*pair] }).collect();
    sums(p, &jobs)
}

/// Spec 2.2: products as they are asked for, without division.
pub(super) fn products(p: &mut ShamirActive, jobs: &[Product<'_, Tensor<M61>>]) -> Result<Vec<Tensor<M61>>> {
    let jobs: Vec<Sum<'_>> = jobs.iter().map(|job| Sum { op: job.op, pairs: vec![(job.x, job.y)] }).collect();
    sums(p, &jobs)
}

/// Spec 5.4: sharings of zero are added, dealt by more parties than may be corrupt. That their sum is zero is owed.
pub(super) fn refresh(p: &mut ShamirActive, xs: &[&Tensor<M61>]) -> Result<Vec<Tensor<M61>>> {
    let mut kept = joined(xs.iter().copied());
    let len = kept.len();
    let mut zero = vec![0; len];
    for zeros in p.base.deal_numbers(len, |_| vec![0; len])? {
        mersenne::add_assign(&mut zero, &zeros);
    }
    mersenne::add_assign(&mut kept, &zero);
    p.debt().owe_zeros(Tensor::new(Shape::vector(len), mersenne::elements(zero)));
    p.pay_if_much()?;
    Ok(separated(&kept, xs.iter().map(|x| x.shape())))
}
