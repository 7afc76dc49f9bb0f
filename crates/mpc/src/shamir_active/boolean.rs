//! Bits as numbers; two integers whose sum is a value modulo `p`; carries, comparisons. Spec 2 to 4.

use super::ShamirActive;
use super::arithmetic::multiply;
use crate::polynomial::PrimeBits;
use crate::shamir::arithmetic::joined;
use crate::shamir::input::tensor;
use crate::Result;
use privity_ring::{M61, Ring, Shape, Tensor, mersenne};

/// Bits of a residue.
pub(super) const BITS: usize = 61;
/// Values worked on at once: each has a few hundred elements while it is.
pub(super) const AT_ONCE: usize = 1 << 13;

/// Spec 2.3: `a ^ b = a + b - 2 a b`, of the product.
fn exclusive(a: &Tensor<M61>, b: &Tensor<M61>, product: &Tensor<M61>) -> Tensor<M61> {
    a.add(b).sub(&product.scale(2))
}

/// Spec 2.3: the bits themselves, where XORs were put off: pair by pair, all in the same rounds.
pub(super) fn resolved(p: &mut ShamirActive, xs: &[&PrimeBits]) -> Result<Vec<Tensor<M61>>> {
    let mut all: Vec<Vec<Tensor<M61>>> = xs.iter().map(|x| x.terms.clone()).collect();
    while all.iter().any(|terms| terms.len() > 1) {
        let pairs: Vec<_> = all.iter().flat_map(|terms| terms.as_chunks().0).map(|[a, b]| (a, b)).collect();
        let mut products = multiply(p, &pairs)?.into_iter();
        let mut next = |terms: &Vec<Tensor<M61>>| {
            let (pairs, rest) = terms.as_chunks();
            let joined = pairs.iter().zip(&mut products).map(|([a, b], product)| exclusive(a, b, &product));
            joined.collect::<Vec<_>>().into_iter().chain(rest.iter().cloned()).collect()
        };
        all = all.iter().map(&mut next).collect();
    }
    Ok(all.into_iter().map(|mut terms| terms.remove(0)).collect())
}

/// Spec 2.3: AND is a product.
pub(super) fn and(p: &mut ShamirActive, jobs: &[(&PrimeBits, &PrimeBits)]) -> Result<Vec<PrimeBits>> {
    let operands: Vec<&PrimeBits> = jobs.iter().flat_map(|(x, y)| [*x, *y]).collect();
    let bits = resolved(p, &operands)?;
    let pairs: Vec<_> = bits.as_chunks().0.iter().map(|[x, y]| (x, y)).collect();
    Ok(multiply(p, &pairs)?.into_iter().map(PrimeBits::new).collect())
}

/// Spec 3: two integers of 61 bits whose sum is that of the values modulo `p`, planes a row: each of the first `t + 1` parties deals the bits of its
/// weighted share. That they are bits, and of numbers of that sum, is owed. Values as words, residues.
fn integers(p: &mut ShamirActive, values: &[u64]) -> Result<[Tensor<M61>; 2]> {
    let planes = Shape::matrix(BITS, values.len());
    // Spec 3.1.
    let mine = |weight: M61| {
        let mut own = values.to_vec();
        mersenne::scale_assign(&mut own, weight);
        (0..BITS).flat_map(|place| own.iter().map(move |x| x >> place & 1)).collect()
    };
    let dealt = p.base.deal_numbers(planes.len(), mine)?;
    let mut numbers: Vec<Tensor<M61>> = dealt.into_iter().map(|words| tensor(&planes, words)).collect();
    // Spec 3.2.
    let mut difference = values.to_vec();
    mersenne::scale_assign(&mut difference, M61::from_u64(1).negated());
    for number in &numbers {
        p.debt().owe_bits(number);
        for (place, bits) in (0..).zip(mersenne::words(number.data()).chunks_exact(values.len())) {
            mersenne::add_scaled(&mut difference, M61::power_of_two(place), bits);
        }
    }
    p.debt().owe_zeros(tensor(&Shape::vector(values.len()), difference));
    p.pay_if_much()?;
    while numbers.len() > 2 {
        numbers = three_to_two(p, numbers)?;
    }
    Ok(numbers.try_into().unwrap_or_else(|_| unreachable!("two or more parties deal")))
}

/// Spec 3.3: of each three numbers two of the same sum modulo `p`: `a ^ b ^ c`, and what they carry, moved up and around.
fn three_to_two(p: &mut ShamirActive, mut numbers: Vec<Tensor<M61>>) -> Result<Vec<Tensor<M61>>> {
    let (triples, rest) = numbers.as_chunks::<3>();
    let both = multiply(p, &triples.iter().map(|[a, b, _]| (a, b)).collect::<Vec<_>>())?;
    let either: Vec<Tensor<M61>> =
        triples.iter().zip(&both).map(|([a, b, _], product)| exclusive(a, b, product)).collect();
    let passed = multiply(p, &triples.iter().zip(&either).map(|([.., c], either)| (either, c)).collect::<Vec<_>>())?;
    let around: Vec<usize> = (0..BITS).map(|place| (place + BITS - 1) % BITS).collect();
    let mut fewer = Vec::with_capacity(2 * triples.len() + rest.len());
    for ((([.., c], both), either), passed) in triples.iter().zip(&both).zip(&either).zip(&passed) {
        fewer.push(exclusive(either, c, passed));
        fewer.push(both.add(passed).gather_rows(&around));
    }
    let rest = 3 * triples.len();
    fewer.extend(numbers.drain(rest..));
    Ok(fewer)
}

/// Two integers `a`, `b` of 61 bits with `a + b = y + wraps p`, and what their low places do with a carry.
pub(super) struct Added {
    pub a: Tensor<M61>,
    pub b: Tensor<M61>,
    /// Whether the sum goes beyond `p`, a row.
    pub wraps: Tensor<M61>,
    /// Of each of the low places, whether it makes a carry.
    pub generate: Tensor<M61>,
    /// And whether it passes one on: the XOR of its bits.
    pub pass: Tensor<M61>,
}

/// Spec 3.4: of values `y` with `0 <= y < 2^60`; so many low places are wanted.
pub(super) fn added(p: &mut ShamirActive, y: &[u64], places: usize) -> Result<Added> {
    let [a, b] = integers(p, y)?;
    let (low_a, low_b) = (a.slice_rows(0, places), b.slice_rows(0, places));
    let (top_a, top_b) = (a.slice_rows(BITS - 1, BITS), b.slice_rows(BITS - 1, BITS));
    let [generate, tops] = two(multiply(p, &[(&low_a, &low_b), (&top_a, &top_b)])?);
    let wraps = top_a.add(&top_b).sub(&tops);
    let pass = exclusive(&low_a, &low_b, &generate);
    Ok(Added { a, b, wraps, generate, pass })
}

fn two(products: Vec<Tensor<M61>>) -> [Tensor<M61>; 2] {
    products.try_into().unwrap_or_else(|_| unreachable!("two products"))
}

/// Spec 4.1: the carry out of the first so many places of a sum, and of `wraps` besides: a tree over places, lowest first, of which `wraps` is one.
pub(super) fn carry(p: &mut ShamirActive, sum: &Added, places: usize) -> Result<Tensor<M61>> {
    let mut generate = Tensor::concat_rows(&[&sum.wraps, &sum.generate.slice_rows(0, places)]);
    let mut pass = Tensor::concat_rows(&[&Tensor::zeros(sum.wraps.shape()), &sum.pass.slice_rows(0, places)]);
    while generate.rows() > 1 {
        let rows = generate.rows();
        let lower: Vec<usize> = (0..rows / 2).map(|pair| 2 * pair).collect();
        let upper: Vec<usize> = lower.iter().map(|row| row + 1).collect();
        // All pairs join generated carries, all but the lowest join what passes.
        let (above, below) = (pass.gather_rows(&upper), generate.gather_rows(&lower));
        let (above_pass, below_pass) = (pass.gather_rows(&upper[1..]), pass.gather_rows(&lower[1..]));
        let [carried, passed] = two(multiply(p, &[(&above, &below), (&above_pass, &below_pass)])?);
        let carried = generate.gather_rows(&upper).add(&carried);
        let odd = rows - rows % 2;
        generate = Tensor::concat_rows(&[&carried, &generate.slice_rows(odd, rows)]);
        pass = Tensor::concat_rows(&[&pass.slice_rows(0, 1), &passed, &pass.slice_rows(odd, rows)]);
    }
    Ok(generate)
}

/// Spec 4.2: the carries into the first so many places: a prefix over places.
pub(super) fn carries(p: &mut ShamirActive, sum: &Added, places: usize) -> Result<Tensor<M61>> {
    let mut generate = Tensor::concat_rows(&[&sum.wraps, &sum.generate.slice_rows(0, places - 1)]);
    let mut pass = Tensor::concat_rows(&[&Tensor::zeros(sum.wraps.shape()), &sum.pass.slice_rows(0, places - 1)]);
    let mut distance = 1;
    while distance < places {
        // What reaches down to the lowest place needs to know no more.
        let open = (2 * distance).min(places);
        let (above, below) = (pass.slice_rows(distance, places), generate.slice_rows(0, places - distance));
        let (above_pass, below_pass) = (pass.slice_rows(open, places), pass.slice_rows(open - distance, places - distance));
        let [carried, passed] = two(multiply(p, &[(&above, &below), (&above_pass, &below_pass)])?);
        let carried = generate.slice_rows(distance, places).add(&carried);
        generate = Tensor::concat_rows(&[&generate.slice_rows(0, distance), &carried]);
        pass = Tensor::concat_rows(&[&pass.slice_rows(0, open), &passed]);
        distance *= 2;
    }
    Ok(generate)
}

/// XOR of planes.
pub(super) fn xor(p: &mut ShamirActive, x: &Tensor<M61>, y: &Tensor<M61>) -> Result<Tensor<M61>> {
    let product = multiply(p, &[(x, y)])?.remove(0);
    Ok(exclusive(x, y, &product))
}

/// Spec 4.3: `x` is negative if bit `width - 1` of `x + 2^(width - 1)` is not set.
pub(super) fn signs(p: &mut ShamirActive, xs: &[&Tensor<M61>], width: u32) -> Result<Vec<PrimeBits>> {
    assert!((2..BITS as u32).contains(&width), "comparisons of 2 to 60 bits");
    let high = width as usize - 1;
    let all = joined(xs.iter().copied());
    let mut signs = Vec::with_capacity(all.len());
    for values in all.chunks(AT_ONCE) {
        let mut y = values.to_vec();
        mersenne::offset_assign(&mut y, M61::power_of_two(width - 1));
        let sum = added(p, &y, high + 1)?;
        let carry = carry(p, &sum, high)?;
        let positive = xor(p, &sum.pass.slice_rows(high, high + 1), &carry)?;
        signs.extend_from_slice(Tensor::fill(positive.shape(), 1).sub(&positive).data());
    }
    let mut rest = signs.into_iter();
    let mut next = |x: &&Tensor<M61>| {
        PrimeBits::new(Tensor::new(Shape::matrix(1, x.len()), rest.by_ref().take(x.len()).collect()))
    };
    Ok(xs.iter().map(&mut next).collect())
}
