//! AND, sums of shared integers, comparisons. Spec 7.

use super::{Shamir, arithmetic::joined};
use crate::polynomial::{Field, PolynomialBits};
use crate::share::plane_words;
use crate::{BitShare, Result};
use privity_ring::kernels::bits::to_planes;
use privity_ring::{M61, Ring, Tensor, mersenne};

/// Bits of a residue.
pub(super) const BITS: usize = 61;
/// Values compared at once: larger operands are worked on in parts, as a comparison takes memory for a few hundred bits of each.
pub(super) const AT_ONCE: usize = 1 << 20;

/// Spec 7.1: bitwise AND, one round for all jobs.
pub(super) fn and(p: &mut Shamir, jobs: &[(&PolynomialBits, &PolynomialBits)]) -> Result<Vec<PolynomialBits>> {
    for (x, y) in jobs {
        assert_eq!((x.len(), x.width()), (y.len(), y.width()), "AND operands must have one length and width");
    }
    let field = p.bits.field;
    let total: usize = jobs.iter().map(|(x, _)| x.part_words()).sum();
    let local = || {
        let mut products = vec![0; field.parts() * total];
        let mut at = 0;
        for (x, y) in jobs {
            let part = x.part_words();
            let mut product = vec![0; x.words.len()];
            field.product(&mut product, &x.words, &y.words);
            for (c, words) in product.chunks_exact(part.max(1)).enumerate() {
                products[c * total + at..][..part].copy_from_slice(words);
            }
            at += part;
        }
        products
    };
    let reduced = p.reduce_bits(total, local)?;
    let mut at = 0;
    let mut next = |(x, _): &(&PolynomialBits, &PolynomialBits)| {
        let part = x.part_words();
        let words = (0..field.parts()).flat_map(|c| &reduced[c * total + at..][..part]).copied().collect();
        at += part;
        PolynomialBits::new(field, x.len(), x.width(), words)
    };
    Ok(jobs.iter().map(&mut next).collect())
}

fn and_one(p: &mut Shamir, x: &PolynomialBits, y: &PolynomialBits) -> Result<PolynomialBits> {
    Ok(and(p, &[(x, y)])?.remove(0))
}

/// Where the carry out of the top bit goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Carry {
    /// Nowhere: integers modulo a power of two.
    Lost,
    /// Into bit 0: residues modulo 2^61 - 1, as 2^61 is 1 there.
    Around,
}

/// Spec 7.2: several shared integers become two of the same sum: three become two for one AND, `carry = (a ^ c)(b ^ c) ^ c`.
pub(super) fn carry_save(
    p: &mut Shamir,
    mut numbers: Vec<PolynomialBits>,
    carry: Carry,
) -> Result<[PolynomialBits; 2]> {
    while numbers.len() > 2 {
        let triples: Vec<&[PolynomialBits]> = numbers.chunks_exact(3).collect();
        let factors: Vec<[PolynomialBits; 2]> = triples.iter().map(|t| [t[0].xor(&t[2]), t[1].xor(&t[2])]).collect();
        let jobs: Vec<_> = factors.iter().map(|[x, y]| (x, y)).collect();
        let products = and(p, &jobs)?;
        let mut next = Vec::with_capacity(2 * triples.len() + 2);
        for ((triple, product), [first, _]) in triples.iter().zip(&products).zip(&factors) {
            let carries = product.xor(&triple[2]);
            let width = carries.width();
            next.push(first.xor(&triple[1]));
            next.push(match carry {
                Carry::Lost => carries.shifted(1),
                Carry::Around => carries.pick((0..width).map(|i| Some((i + width - 1) % width))),
            });
        }
        let rest = triples.len() * 3;
        next.extend(numbers.drain(rest..));
        numbers = next;
    }
    Ok(numbers.try_into().unwrap_or_else(|_| unreachable!("two or more numbers are added")))
}

/// Spec 7.3: whether the sum of two integers, and of one besides where asked for, carries out of their top bit: a tree over places, lowest
/// first, of which each generates a carry or passes one on. The lowest gets none that the tree does not know of.
pub(super) fn carry_out(
    p: &mut Shamir,
    a: &PolynomialBits,
    b: &PolynomialBits,
    and_one_more: bool,
) -> Result<PolynomialBits> {
    let mut generate = and_one(p, a, b)?;
    let mut pass = a.xor(b);
    if and_one_more {
        let lowest = generate.plane(0).xor(&pass.plane(0));
        generate = PolynomialBits::above(&[&lowest, &generate.planes(1, generate.width() - 1)]);
    }
    while generate.width() > 1 {
        let width = generate.width();
        let pairs = width / 2;
        let lower = |bits: &PolynomialBits, from: usize| bits.pick((from..pairs).map(|i| Some(2 * i)));
        let upper = |bits: &PolynomialBits, from: usize| bits.pick((from..pairs).map(|i| Some(2 * i + 1)));
        // All pairs join generated carries, all but the lowest join what passes.
        let (above, below) = (upper(&pass, 0), lower(&generate, 0));
        let (above_pass, below_pass) = (upper(&pass, 1), lower(&pass, 1));
        let joined = and(p, &[(&above, &below), (&above_pass, &below_pass)])?;
        let carried = upper(&generate, 0).xor(&joined[0]);
        let odd = width % 2;
        let unused = pass.plane(0);
        generate = PolynomialBits::above(&[&carried, &generate.planes(width - odd, odd)]);
        pass = PolynomialBits::above(&[&unused, &joined[1], &pass.planes(width - odd, odd)]);
    }
    Ok(generate)
}

/// Spec 7.4: the bits of a sum modulo `2^width`, of two integers and a carry into bit 0: carries by a Kogge-Stone prefix.
pub(super) fn add(
    p: &mut Shamir,
    a: &PolynomialBits,
    b: &PolynomialBits,
    carry: &PolynomialBits,
) -> Result<PolynomialBits> {
    let sum = a.xor(b);
    let (mut generate, mut pass) = (and_one(p, a, b)?, sum.clone());
    let mut distance = 1;
    while distance < sum.width() {
        let (moved, moved_pass) = (generate.shifted(distance), pass.shifted(distance).with_ones(distance));
        let joined = and(p, &[(&pass, &moved), (&pass, &moved_pass)])?;
        generate = generate.xor(&joined[0]);
        pass = joined.into_iter().nth(1).expect("two products");
        distance *= 2;
    }
    let everywhere = carry.pick((0..sum.width()).map(|_| Some(0)));
    let through = and_one(p, &pass, &everywhere)?;
    let carries = generate.xor(&through);
    let lower = carries.planes(0, sum.width() - 1);
    Ok(sum.xor(&PolynomialBits::above(&[carry, &lower])))
}

/// Spec 7.4: the bits from one on of the sum of several integers, modulo 2 to their width.
pub(super) fn sum_above(p: &mut Shamir, numbers: Vec<PolynomialBits>, from: usize) -> Result<PolynomialBits> {
    let [a, b] = carry_save(p, numbers, Carry::Lost)?;
    let carry = carry_out(p, &a.planes(0, from), &b.planes(0, from), false)?;
    let upper = |x: &PolynomialBits| x.planes(from, x.width() - from);
    add(p, &upper(&a), &upper(&b), &carry)
}

/// Spec 7.5: two shared integers of 61 bits whose sum is that of the values modulo `p`: of each of the first `t + 1` parties its weighted share,
/// dealt in bits. Values as words, residues.
pub(super) fn summands(p: &mut Shamir, values: &[u64]) -> Result<[PolynomialBits; 2]> {
    let mine = |weight: M61| {
        let mut weighted = values.to_vec();
        mersenne::scale_assign(&mut weighted, weight);
        let mut planes = vec![0; BITS * plane_words(values.len())];
        to_planes(&weighted, BITS, &mut planes);
        planes
    };
    let numbers = p.deal_bits(values.len(), BITS, mine)?;
    carry_save(p, numbers, Carry::Around)
}

/// Spec 7.6: `x < 0` is the lowest bit of `2 x` modulo `p`, as that is odd if and only if doubling went beyond `p`. Exact for every residue; the
/// width that other protocols read does not matter.
pub(super) fn signs(p: &mut Shamir, xs: &[&Tensor<M61>]) -> Result<Vec<PolynomialBits>> {
    let field = p.bits.field;
    let padded: Vec<u64> = xs.iter().flat_map(|x| padded(&joined([*x]))).collect();
    let mut signs: Vec<Vec<u64>> = vec![Vec::with_capacity(padded.len() / 64); field.parts()];
    for values in padded.chunks(AT_ONCE) {
        let mut doubled = values.to_vec();
        mersenne::scale_assign(&mut doubled, M61::from_u64(2));
        let [a, b] = summands(p, &doubled)?;
        let carry = carry_out(p, &a, &b, true)?;
        let bit = a.plane(0).xor(&b.plane(0)).xor(&carry);
        let parts = bit.words.chunks_exact(values.len() / 64);
        signs.iter_mut().zip(parts).for_each(|(all, part)| all.extend_from_slice(part));
    }
    let mut at = 0;
    let mut next = |x: &&Tensor<M61>| {
        let words = plane_words(x.len());
        let own = signs.iter().flat_map(|part| &part[at..at + words]).copied().collect();
        at += words;
        PolynomialBits::new(field, x.len(), 1, own)
    };
    Ok(xs.iter().map(&mut next).collect())
}

/// Zeros up to whole words of bits.
fn padded(values: &[u64]) -> Vec<u64> {
    let mut padded = values.to_vec();
    padded.resize(values.len().next_multiple_of(64), 0);
    padded
}
