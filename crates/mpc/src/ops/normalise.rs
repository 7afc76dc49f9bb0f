//! Bringing a positive value into [0.5, 1) in constant rounds: its leading bit is found by comparing it with all powers of
//! two at once, and public weights of those bits give any function of the exponent.

use crate::{By, Inject, Protocol, Result, Share};
use privity_ring::{Ring, Tensor};

/// Values are `2^(i-1) <= X < 2^i` as integers for some `i` in this range (beyond it the result is that of the nearest end).
pub(super) struct Exponents {
    pub lowest: u32,
    pub highest: u32,
}

/// For each table the entry of the exponent of `x`: `table[i - lowest]` for `2^(i-1) <= X < 2^i`. Rounds: a sign extraction
/// (at width `highest + 2`) and one selection.
pub(super) fn by_exponent<P: Protocol>(
    p: &mut P,
    x: &P::A,
    range: &Exponents,
    tables: &[Vec<u64>],
) -> Result<Vec<P::A>> {
    let thresholds = range.lowest..range.highest;
    let margins: Vec<P::A> = thresholds
        .clone()
        .map(|i| {
            let power = p.public(&Tensor::fill(x.shape(), 1 << i));
            x.sub(&power)
        })
        .collect();
    let (below, _) = p.signs(&margins.iter().collect::<Vec<_>>(), range.highest + 2, Vec::new())?;
    let reached: Vec<P::B> = below.iter().map(|bit| p.not(bit)).collect();
    let reached = p.arm(&reached.iter().collect::<Vec<_>>())?;
    let jobs: Vec<Inject<'_, P::A, P::B>> = tables
        .iter()
        .map(|table| {
            let steps = table.windows(2).map(|w| By::Public(w[1].wrapping_sub(w[0])));
            Inject { terms: reached.iter().zip(steps).collect(), shape: x.shape().clone() }
        })
        .collect();
    let rises = p.inject(&jobs)?;
    let start = |(rise, table): (P::A, &Vec<u64>)| {
        let first = p.public(&Tensor::fill(rise.shape(), table[0]));
        rise.add(&first)
    };
    Ok(rises.into_iter().zip(tables).map(start).collect())
}

/// A public integer for every element. Local.
pub(super) fn filled<P: Protocol>(p: &mut P, like: &P::A, v: i64) -> P::A {
    debug_assert_eq!(P::R::BYTES % 8, 0, "words or nothing");
    p.public(&Tensor::fill(like.shape(), v as u64))
}
