//! Sums of bits times values. Spec 2.4.

use super::ShamirActive;
use super::arithmetic::{Sum, sums};
use super::boolean::resolved;
use crate::polynomial::PrimeBits;
use crate::{BitShare, By, Error, Inject, Result};
use privity_ring::{Bilinear, M61, Tensor};

/// As in the other protocols.
const MAX_TERMS: usize = 32;

/// Spec 2.4: bits are numbers: public factors are local, secret ones make one sum of products for each job.
pub(super) fn inject(p: &mut ShamirActive, jobs: &[Inject<'_, Tensor<M61>, PrimeBits>]) -> Result<Vec<Tensor<M61>>> {
    for job in jobs {
        if job.terms.len() > MAX_TERMS {
            let problem = format!("{} terms in one sum; at most {MAX_TERMS} are supported", job.terms.len());
            return Err(Error::Parameter { operation: "select", problem });
        }
        assert!(job.terms.iter().all(|(b, _)| (b.len(), b.width()) == (job.shape.len(), 1)), "bits match the result");
    }
    let bits: Vec<&PrimeBits> = jobs.iter().flat_map(|job| job.terms.iter().map(|(b, _)| *b)).collect();
    let mut bits = resolved(p, &bits)?.into_iter();
    let numbers: Vec<Vec<Tensor<M61>>> = jobs
        .iter()
        .map(|job| bits.by_ref().take(job.terms.len()).map(|bit| bit.reshape(job.shape.clone())).collect())
        .collect();
    let values: Vec<Vec<Option<Tensor<M61>>>> = jobs
        .iter()
        .map(|job| {
            let value = |by: &By<'_, Tensor<M61>>| match by {
                By::Value(x) => Some(x.value.clone().reshape(job.shape.clone())),
                By::Public(_) => None,
            };
            job.terms.iter().map(|(_, by)| value(by)).collect()
        })
        .collect();
    let products: Vec<Sum<'_>> = numbers
        .iter()
        .zip(&values)
        .map(|(bits, values)| {
            let pairs = bits.iter().zip(values).filter_map(|(bit, x)| x.as_ref().map(|x| (bit, x))).collect();
            Sum { op: Bilinear::Mul, pairs }
        })
        .filter(|sum| !sum.pairs.is_empty())
        .collect();
    let mut products = sums(p, &products)?.into_iter();
    let mut out = Vec::with_capacity(jobs.len());
    for ((job, bits), values) in jobs.iter().zip(&numbers).zip(&values) {
        let mut sum = match values.iter().any(Option::is_some) {
            true => products.next().expect("one for each with a secret factor"),
            false => Tensor::zeros(&job.shape),
        };
        for ((_, by), bit) in job.terms.iter().zip(bits) {
            if let By::Public(c) = by {
                sum = sum.add(&bit.scale(*c));
            }
        }
        out.push(sum);
    }
    Ok(out)
}
