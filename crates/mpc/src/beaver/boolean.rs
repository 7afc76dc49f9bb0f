//! AND, signs. Spec 4.2 and 5.

use super::arithmetic::joined;
use super::{Beaver, Bits};
use crate::correlations::{Ands, Gates, Levels, Number, Session, Source, Wires, carry_out};
use crate::share::{Planes, plane_words};
use crate::{BitShare, Result};
use privity_ring::kernels::bits::to_planes;
use privity_ring::{Tensor, simd::vectorise};

/// Values compared or divided at once: larger operands are worked on in parts.
pub(super) const AT_ONCE: usize = 1 << 16;

/// Spec 4.2: bitwise AND, one round for all jobs.
pub(super) fn and<R: Number>(p: &mut Beaver<R>, jobs: &[(&Bits<R>, &Bits<R>)]) -> Result<Vec<Bits<R>>> {
    let words = jobs.iter().map(|(x, _)| x.planes.words().len()).sum();
    let triples = p.source.bit_triples(&mut p.session, words)?;
    let jobs: Vec<_> = jobs.iter().map(|(x, y)| (&x.planes, &y.planes)).collect();
    let products = Ands { session: &mut p.session, triples }.and(&jobs)?;
    Ok(products.into_iter().map(Bits::new).collect())
}

/// Words that are told, as planes.
pub(super) fn planes(words: &[u64], width: usize) -> Planes {
    let mut planes = vec![0; width * plane_words(words.len())];
    to_planes(words, width, &mut planes);
    Planes::new(words.len(), width, planes)
}

/// What a subtraction of shared bits from public ones borrows at each place: `[m < r]` generates, `[m = r]` passes on.
pub(super) fn borrows(session: &Session, public: &Planes, shared: &Planes) -> [Planes; 2] {
    let lead = if session.leads() { u64::MAX } else { 0 };
    let generate = public.zip(shared, |m, r| !m & r);
    let pass = public.zip(shared, |m, r| r ^ !m & lead);
    [generate, pass]
}

/// Runs a gadget with as many triples as it takes, which `levels` counts.
pub(super) fn gated<R: Number, T>(
    session: &mut Session,
    source: &mut (impl Source<R> + ?Sized),
    levels: &Levels,
    gadget: impl FnOnce(&mut Ands<'_>) -> Result<T>,
) -> Result<T> {
    let triples = source.bit_triples(session, levels.total())?;
    gadget(&mut Ands { session, triples })
}

/// A public number's planes at one party: bits are XORed with them.
pub(super) fn at_one(session: &Session, public: &Planes) -> Planes {
    if session.leads() { public.clone() } else { Planes::zeros(public.len(), BitShare::width(public)) }
}

/// Spec 5: whether each value is below zero: a masked value is told, and what its mask's bits borrow is found by a tree.
pub(super) fn signs<R: Number>(p: &mut Beaver<R>, xs: &[&Tensor<R>], width: u32) -> Result<Vec<Bits<R>>> {
    assert!((2..=48).contains(&width), "comparisons read 2 to 48 bits, asked for {width}");
    let padded: Vec<u64> = xs.iter().flat_map(|x| padded(joined([*x]))).collect();
    let mut bits = Vec::with_capacity(padded.len() / 64);
    for values in padded.chunks(AT_ONCE) {
        let sign = match R::BINARY {
            true => low_signs(p, values, width as usize)?,
            false => parities(p, values)?,
        };
        bits.extend_from_slice(sign.words());
    }
    let mut rest = &bits[..];
    let mut next = |x: &&Tensor<R>| {
        let (head, tail) = rest.split_at(plane_words(x.len()));
        rest = tail;
        Bits::new(Planes::new(x.len(), 1, head.to_vec()))
    };
    Ok(xs.iter().map(&mut next).collect())
}

/// Spec 5.2: modulo `2^64`: bit `width - 1` of `m - r`, `m = x + r` modulo `2^width`.
fn low_signs<R: Number>(p: &mut Beaver<R>, values: &[u64], width: usize) -> Result<Planes> {
    let (m, r) = blinded(p, values, width)?;
    let below = width - 1;
    let [generate, pass] = borrows(&p.session, &m.planes(0..below), &r.planes(0..below));
    let levels = compared(values.len(), below);
    let borrow = gated(&mut p.session, &mut *p.source, &levels, |gates| carry_out(gates, generate, pass))?;
    let top = |bits: &Planes| bits.planes(below..width);
    Ok(Wires::xor(&Wires::xor(&borrow, &top(&r)), &top(&at_one(&p.session, &m))))
}

/// Spec 5.1: the low bits of `x + r`, told, and those of `r`, shared. The others are shifted out before anything is told.
pub(super) fn blinded<R: Number>(p: &mut Beaver<R>, values: &[u64], width: usize) -> Result<(Planes, Planes)> {
    let up = 64 - width;
    let mask = p.source.edabits(&mut p.session, values.len(), width)?;
    let mut masked = values.to_vec();
    R::add_assign(&mut masked, &mask.numbers);
    vectorise(|| masked.iter_mut().for_each(|word| *word <<= up));
    let mut told = p.session.tell::<R>(&masked)?;
    vectorise(|| told.iter_mut().for_each(|word| *word >>= up));
    Ok((planes(&told, width), mask.bits))
}

/// Spec 5.3: modulo `2^61 - 1`: `x < 0` if and only if `2 x` is odd, as a residue; `m = 2 x + r`, so `2 x = m - r + p [m < r]`.
fn parities<R: Number>(p: &mut Beaver<R>, values: &[u64]) -> Result<Planes> {
    let mut doubled = values.to_vec();
    R::add_assign(&mut doubled, values);
    let (m, r) = masked_residues(p, doubled)?;
    let [generate, pass] = borrows(&p.session, &m, &r);
    let levels = compared(values.len(), R::BITS);
    let borrow = gated(&mut p.session, &mut *p.source, &levels, |gates| carry_out(gates, generate, pass))?;
    let low = |bits: &Planes| bits.planes(0..1);
    Ok(Wires::xor(&Wires::xor(&borrow, &low(&r)), &low(&at_one(&p.session, &m))))
}

/// Spec 5.1 of residues: `m = x + r`, told, in bits, and the bits of `r`, shared.
pub(super) fn masked_residues<R: Number>(p: &mut Beaver<R>, mut values: Vec<u64>) -> Result<(Planes, Planes)> {
    let mask = p.source.edabits(&mut p.session, values.len(), R::BITS)?;
    R::add_assign(&mut values, &mask.numbers);
    let told = p.session.tell::<R>(&values)?;
    Ok((planes(&told, R::BITS), mask.bits))
}

/// The ANDs of a comparison of so many places.
pub(super) fn compared(len: usize, places: usize) -> Levels {
    let all = crate::correlations::Extent::new(len, places);
    Levels::of(|levels| carry_out(levels, all, all))
}

/// Zeros up to whole words of bits.
pub(super) fn padded(mut values: Vec<u64>) -> Vec<u64> {
    values.resize(values.len().next_multiple_of(64), 0);
    values
}
