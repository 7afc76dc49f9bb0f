//! Products, and what all are told. Spec 15.

use super::deal::Triple;
use super::{BeaverMac, Tagged};
use crate::correlations::{Factors, Number, tensor};
use crate::{Product, Result, Share};
use privity_ring::{M61, Ring, Shape, Tensor};

impl BeaverMac {
    /// Spec 15.1: all that compute are told these values, whose MACs are checked later. A dealer is told nothing.
    pub(super) fn tell(&mut self, values: &[Tagged]) -> Result<Vec<Tensor<M61>>> {
        let words = |pick: fn(&Tagged) -> &Tensor<M61>| -> Vec<u64> {
            values.iter().flat_map(|x| M61::words(pick(x).data())).copied().collect()
        };
        let (shares, tags) = (words(|x| &x.value), words(|x| &x.tag));
        let told = self.session.tell::<M61>(&shares)?;
        if self.session.computes() {
            self.ledger.record(&told, &tags);
        }
        Ok(super::super::arithmetic::separated(&told, values.iter().map(Share::shape)))
    }
}

/// Spec 15.2: `d = x - a` and `e = y - b` are told; `x y = d e + d b + a e + c`, for values and for MACs.
pub(super) fn products(p: &mut BeaverMac, jobs: &[Product<'_, Tagged>]) -> Result<Vec<Tagged>> {
    let shapes: Vec<Shape> = jobs.iter().map(|job| job.op.out_shape(job.x.shape(), job.y.shape())).collect();
    let mut triples = Vec::with_capacity(jobs.len());
    let mut masked = Vec::with_capacity(2 * jobs.len());
    for job in jobs {
        let factors: Factors = (job.op, job.x.shape().clone(), job.y.shape().clone());
        let triple = p.triple(&factors)?;
        masked.extend([job.x.sub(&triple.a), job.y.sub(&triple.b)]);
        triples.push(triple);
    }
    let told = p.tell(&masked)?;
    let products = jobs.iter().zip(triples).zip(told.chunks_exact(2)).zip(&shapes);
    Ok(products.map(|(((job, triple), told), shape)| finished(p, job, triple, told, shape)).collect())
}

fn finished(p: &BeaverMac, job: &Product<'_, Tagged>, triple: Triple, told: &[Tensor<M61>], shape: &Shape) -> Tagged {
    let Triple { a, b, c } = triple;
    if !p.session.computes() {
        return c;
    }
    let [d, e] = told else { unreachable!("two are told of each product") };
    // One party has `d e` in its share; in that of the MAC each has its part.
    let lead = if p.session.leads() { e.add(&b.value) } else { b.value };
    let part = |of_b: &Tensor<M61>, of_a: &Tensor<M61>, of_c: Tensor<M61>| {
        let mut z = M61::words(of_c.data()).to_vec();
        M61::add_product(job.op, d, of_b, &mut z);
        M61::add_product(job.op, of_a, e, &mut z);
        tensor(shape, z)
    };
    let key = p.ledger.key();
    let keyed = b.tag.add(&e.map(|e| e.mul(key)));
    Tagged { value: part(&lead, &a.value, c.value), tag: part(&keyed, &a.tag, c.tag) }
}
