//! Bits to numbers, sums of bits times values. Spec 8.

use super::{Dealers, Shamir, arithmetic::separated, of_first};
use crate::polynomial::{PolynomialBits, Together};
use crate::share::{Planes, plane_words};
use crate::{BitShare, By, Error, Inject, Result};
use privity_ring::{M61, Ring, Shape, Tensor, mersenne};
use std::sync::Arc;

/// Spec 8.1: the bits as shared numbers, kept with them.
pub(super) fn arm(p: &mut Shamir, xs: &[&PolynomialBits]) -> Result<Vec<PolynomialBits>> {
    assert!(xs.iter().all(|x| x.width() == 1), "one-bit sharings are armed");
    let unarmed: Vec<&PolynomialBits> = xs.iter().copied().filter(|x| x.armed.is_none()).collect();
    let mut numbers = to_numbers(p, &unarmed)?.into_iter();
    let armed = |x: &&PolynomialBits| match &x.armed {
        Some(_) => (*x).clone(),
        None => x.with_numbers(numbers.next().expect("one for each that was not armed")),
    };
    Ok(xs.iter().map(armed).collect())
}

/// Spec 8.1: a shared bit is the XOR of one bit of each of the first `t + 1` parties: the coefficient of 1 of its weighted share. They deal those as
/// numbers, `a ^ b = a + b - 2 a b`. All planes of all operands at once, each a vector.
pub(super) fn to_numbers(p: &mut Shamir, xs: &[&PolynomialBits]) -> Result<Vec<Tensor<M61>>> {
    let shapes: Vec<Shape> = xs.iter().flat_map(|x| (0..x.width()).map(|_| Shape::vector(x.len()))).collect();
    let len: usize = shapes.iter().map(Shape::len).sum();
    if len == 0 {
        return Ok(shapes.iter().map(Tensor::zeros).collect());
    }
    let mine = |p: &Shamir| {
        let weight = of_first(&p.bits, p.threshold + 1, p.party.me());
        xs.iter().flat_map(|x| own_bits(x, weight)).collect()
    };
    let numbers = |p: &Shamir| p.numbers.clone();
    let mut terms = p.dealt_by(numbers, Dealers::First(p.threshold + 1), (len, Together::Apart), mine)?;
    while terms.len() > 1 {
        let pairs: Vec<(&[u64], &[u64])> = terms.chunks_exact(2).map(|pair| (&pair[0][..], &pair[1][..])).collect();
        let local = || {
            let mut products = vec![0; pairs.len() * len];
            for (out, (a, b)) in products.chunks_exact_mut(len).zip(&pairs) {
                mersenne::mul_into(out, a, b);
            }
            products
        };
        let products = p.reduce_numbers(pairs.len() * len, local)?;
        let minus_two = M61::from_u64(2).negated();
        let mut next: Vec<Vec<u64>> = Vec::with_capacity(pairs.len() + 1);
        for (product, (a, b)) in products.chunks_exact(len).zip(&pairs) {
            let mut sum = a.to_vec();
            mersenne::add_assign(&mut sum, b);
            mersenne::add_scaled(&mut sum, minus_two, product);
            next.push(sum);
        }
        next.extend((terms.len() % 2 == 1).then(|| terms.pop()).flatten());
        terms = next;
    }
    Ok(separated(&terms.remove(0), &shapes))
}

/// This party's bits of a sharing as numbers, plane after plane.
fn own_bits(x: &PolynomialBits, weight: u8) -> Vec<u64> {
    let mut low = vec![0; x.part_words()];
    x.field.low_part(&mut low, weight, &x.words);
    let plane = |words: &[u64]| Planes::new(x.len(), 1, words.to_vec()).to_values();
    low.chunks(plane_words(x.len()).max(1)).flat_map(plane).collect()
}

/// Spec 8.2: sums of bits times values: the products are added up before their degree is reduced.
pub(super) fn inject(p: &mut Shamir, jobs: &[Inject<'_, Tensor<M61>, PolynomialBits>]) -> Result<Vec<Tensor<M61>>> {
    for job in jobs {
        if job.terms.len() > MAX_TERMS {
            let problem = format!("{} terms in one sum; at most {MAX_TERMS} are supported", job.terms.len());
            return Err(Error::Parameter { operation: "select", problem });
        }
        assert!(job.terms.iter().all(|(b, _)| (b.len(), b.width()) == (job.shape.len(), 1)), "bits match the result");
    }
    let bits: Vec<&PolynomialBits> = jobs.iter().flat_map(|job| job.terms.iter().map(|(b, _)| *b)).collect();
    let mut armed = arm(p, &bits)?.into_iter().map(|b| b.armed.expect("just armed"));
    let numbers: Vec<Vec<Arc<Tensor<M61>>>> =
        jobs.iter().map(|job| armed.by_ref().take(job.terms.len()).collect()).collect();
    let secret = |by: &By<'_, Tensor<M61>>| matches!(by, By::Value(_));
    let multiplied: Vec<usize> =
        (0..jobs.len()).filter(|job| jobs[*job].terms.iter().any(|(_, by)| secret(by))).collect();
    let lens = multiplied.iter().map(|job| jobs[*job].shape.len());
    let local = || {
        let mut sums = Vec::with_capacity(lens.clone().sum());
        for job in &multiplied {
            let from = sums.len();
            sums.resize(from + jobs[*job].shape.len(), 0);
            for ((_, by), bit) in jobs[*job].terms.iter().zip(&numbers[*job]) {
                if let By::Value(x) = by {
                    let x = mersenne::words(x.value.data());
                    mersenne::mul_add(&mut sums[from..], mersenne::words(bit.data()), x);
                }
            }
        }
        sums
    };
    let reduced = match multiplied.is_empty() {
        true => Vec::new(),
        false => p.reduce_numbers(lens.clone().sum(), local)?,
    };
    let mut rest = &reduced[..];
    let mut out = Vec::with_capacity(jobs.len());
    for (k, job) in jobs.iter().enumerate() {
        let mut sum = match multiplied.contains(&k) {
            true => {
                let (head, tail) = rest.split_at(job.shape.len());
                rest = tail;
                head.to_vec()
            }
            false => vec![0; job.shape.len()],
        };
        for ((_, by), bit) in job.terms.iter().zip(&numbers[k]) {
            if let By::Public(c) = by {
                mersenne::add_scaled(&mut sum, M61::from_u64(*c), mersenne::words(bit.data()));
            }
        }
        out.push(super::input::tensor(&job.shape, sum));
    }
    Ok(out)
}

/// As in the other protocols.
const MAX_TERMS: usize = 32;
