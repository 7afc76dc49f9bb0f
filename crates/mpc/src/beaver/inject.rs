//! Bits to numbers, sums of bits times values. Spec 5.5 and 5.6.

use super::arithmetic::products;
use super::{Beaver, Bits};
use crate::correlations::{Number, tensor, to_numbers};
use crate::masked::terms::MAX_TERMS;
use crate::share::plane_words;
use crate::{BitShare, By, Error, Inject, Product, Result};
use privity_ring::{Shape, Tensor};
use std::sync::Arc;

/// The bits as shared numbers, kept with them: one round for all.
pub(super) fn arm<R: Number>(p: &mut Beaver<R>, xs: &[&Bits<R>]) -> Result<Vec<Bits<R>>> {
    assert!(xs.iter().all(|x| x.width() == 1), "one-bit sharings are armed");
    let unarmed: Vec<u64> = xs.iter().filter(|x| x.armed.is_none()).flat_map(|x| x.planes.words()).copied().collect();
    let numbers = to_numbers::<R>(&mut p.session, &mut *p.source, &unarmed)?;
    let mut rest = &numbers[..];
    let armed = |x: &&Bits<R>| match &x.armed {
        Some(_) => (*x).clone(),
        None => {
            let (head, tail) = rest.split_at(64 * plane_words(x.len()));
            rest = tail;
            let number = tensor(&Shape::vector(x.len()), head[..x.len()].to_vec());
            Bits { planes: x.planes.clone(), armed: Some(Arc::new(number)) }
        }
    };
    Ok(xs.iter().map(armed).collect())
}

/// Spec 5.6: what is not armed becomes numbers, these are multiplied, and the sums are local.
pub(super) fn inject<R: Number>(p: &mut Beaver<R>, jobs: &[Inject<'_, Tensor<R>, Bits<R>>]) -> Result<Vec<Tensor<R>>> {
    for job in jobs {
        if job.terms.len() > MAX_TERMS {
            let problem = format!("{} terms in one sum; at most {MAX_TERMS} are supported", job.terms.len());
            return Err(Error::Parameter { operation: "select", problem });
        }
        assert!(job.terms.iter().all(|(b, _)| (b.len(), b.width()) == (job.shape.len(), 1)), "bits match the result");
    }
    let bits: Vec<&Bits<R>> = jobs.iter().flat_map(|job| job.terms.iter().map(|(b, _)| *b)).collect();
    let numbers: Vec<Arc<Tensor<R>>> = arm(p, &bits)?.into_iter().map(|bits| bits.armed.expect("just armed")).collect();
    let terms = || jobs.iter().flat_map(|job| &job.terms).zip(&numbers);
    let values: Vec<Option<Tensor<R>>> = terms()
        .map(|((_, by), number)| match by {
            By::Value(x) => Some(x.value.clone().reshape(number.shape().clone())),
            By::Public(_) => None,
        })
        .collect();
    let wanted: Vec<Product<'_, Tensor<R>>> =
        values.iter().zip(&numbers).filter_map(|(x, number)| Some(Product::mul(&**number, x.as_ref()?, 0))).collect();
    let mut multiplied = products(p, &wanted)?.into_iter();
    let mut number = numbers.iter();
    let mut out = Vec::with_capacity(jobs.len());
    for job in jobs {
        let mut sum = vec![0; job.shape.len()];
        for (_, by) in &job.terms {
            let number = number.next().expect("one for each term");
            match by {
                By::Value(_) => {
                    R::add_assign(&mut sum, R::words(multiplied.next().expect("one for each value").data()))
                }
                By::Public(c) => {
                    R::add_scaled(&mut sum, R::words(&[R::from_u64(*c)])[0], R::words(number.data()));
                }
            }
        }
        out.push(tensor(&job.shape, sum));
    }
    Ok(out)
}
