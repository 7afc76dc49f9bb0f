//! Bit planes: thermometers of small blocks, look-ups in them, tiles.

use super::BATCH;
use crate::BitShare;
use crate::share::{Planes, plane_words};
use privity_circuit::LEAF_BITS;
use privity_ring::simd::vectorise;
use std::ops::Range;

/// Words of a plane per tile: what is dealt for it stays within the second-level cache.
pub(crate) const TILE_WORDS: usize = 128;

/// One comparison operand of this party: the low `bits` planes are compared; if `sign`, the next plane is added.
pub(crate) struct Operand {
    pub planes: Planes,
    pub bits: usize,
    pub sign: bool,
}

/// A tile of a plane: which operand, which of its words.
pub(crate) type PlaneTile = (usize, Range<usize>);

/// Tiles of planes of so many words each, in batches of bounded size; at least one batch, possibly empty.
pub(crate) fn plane_batches(words: impl Iterator<Item = usize>) -> Vec<Vec<PlaneTile>> {
    let (mut all, mut batch, mut taken) = (Vec::new(), Vec::new(), 0);
    for (index, total) in words.enumerate() {
        for start in (0..total).step_by(TILE_WORDS) {
            if taken + TILE_WORDS > BATCH / 64 {
                all.push(std::mem::take(&mut batch));
                taken = 0;
            }
            taken += TILE_WORDS;
            batch.push((index, start..total.min(start + TILE_WORDS)));
        }
    }
    all.push(batch);
    all
}

/// Plane `i` of a buffer of planes of `n` words.
pub(crate) fn plane(words: &[u64], i: usize, n: usize) -> &[u64] {
    &words[i * n..(i + 1) * n]
}

pub(crate) fn xor_assign(x: &mut [u64], y: &[u64]) {
    vectorise(|| x.iter_mut().zip(y).for_each(|(x, y)| *x ^= *y));
}

/// `planes[out] ^= planes[linear]`; `linear` comes before `out`.
pub(crate) fn fold_linear(planes: &mut [u64], out: usize, linear: usize, n: usize) {
    let (before, after) = planes.split_at_mut(out * n);
    xor_assign(&mut after[..n], plane(before, linear, n));
}

/// `out` plane `j - 1` becomes `[r >= j]` for `j = 1..2^bits`, `r` given as bit planes, lowest first.
pub(crate) fn thermometer(bits: &[&[u64]], out: &mut [u64]) {
    let n = bits[0].len();
    for (j, out) in out.chunks_exact_mut(n.max(1)).enumerate().take((1 << bits.len()) - 1) {
        let j = j + 1;
        out.fill(u64::MAX);
        for (i, bit) in bits.iter().enumerate() {
            if j >> i & 1 == 1 {
                vectorise(|| out.iter_mut().zip(*bit).for_each(|(o, b)| *o &= *b));
            } else {
                vectorise(|| out.iter_mut().zip(*bit).for_each(|(o, b)| *o |= *b));
            }
        }
    }
}

/// `g ^= [r >= c + 1]`, `eq ^= [r >= c] ^ [r >= c + 1]`, entries of the shared thermometer `steps` selected by the public `c`.
pub(crate) fn lookup(c: &[&[u64]], steps: &[u64], one: u64, g: &mut [u64], eq: Option<&mut [u64]>) {
    let n = g.len();
    let (whole, tail) = (n / LANES * LANES, n % LANES);
    let mut unused = [0u64; TILE_WORDS];
    let eq = match eq {
        Some(eq) => eq,
        None => &mut unused[..n],
    };
    vectorise(|| {
        for at in (0..whole).step_by(LANES) {
            select_entries::<LANES>(c, steps, one, n, at, g, eq);
        }
        for at in whole..whole + tail {
            select_entries::<1>(c, steps, one, n, at, g, eq);
        }
    });
}

/// Words handled at once by a table look-up: the table's entries then fill vector registers.
const LANES: usize = 4;

#[inline(always)]
fn select_entries<const W: usize>(
    c: &[&[u64]],
    steps: &[u64],
    one: u64,
    n: usize,
    at: usize,
    g: &mut [u64],
    eq: &mut [u64],
) {
    const ENTRIES: usize = 1 << LEAF_BITS;
    let size = 1 << c.len();
    // next[v] = [r >= v + 1], same[v] = [r = v]
    let mut next = [[0u64; W]; ENTRIES];
    let mut same = [[0u64; W]; ENTRIES];
    let mut below = [one; W];
    for v in 0..size {
        if v + 1 < size {
            next[v].copy_from_slice(&steps[v * n + at..v * n + at + W]);
        }
        for i in 0..W {
            same[v][i] = below[i] ^ next[v][i];
        }
        below = next[v];
    }
    let mut entries = size;
    for bit in c.iter().rev() {
        entries /= 2;
        for v in 0..entries {
            for i in 0..W {
                let choose = bit[at + i];
                next[v][i] ^= (next[v][i] ^ next[v + entries][i]) & choose;
                same[v][i] ^= (same[v][i] ^ same[v + entries][i]) & choose;
            }
        }
    }
    for i in 0..W {
        g[at + i] ^= next[0][i];
        eq[at + i] ^= same[0][i];
    }
}

/// Bit `i` becomes bit `i + by`; zeros enter below.
pub(crate) fn shift_up(p: &Planes, by: usize) -> Planes {
    let words = plane_words(p.len());
    let mut moved = Planes::zeros(p.len(), p.width());
    let keep = p.width().saturating_sub(by) * words;
    let start = p.words().len() - keep;
    moved.words_mut()[start..].copy_from_slice(&p.words()[..keep]);
    moved
}

/// The product of some nodes' planes.
pub(crate) fn product_of_planes(values: &[u64], nodes: &[usize], n: usize, out: &mut [u64]) {
    out.copy_from_slice(plane(values, nodes[0], n));
    for &node in &nodes[1..] {
        let factor = plane(values, node, n);
        vectorise(|| out.iter_mut().zip(factor).for_each(|(o, f)| *o &= *f));
    }
}

/// `out ^= first & values[nodes[0]] & ..`
pub(crate) fn add_product(out: &mut [u64], first: &[u64], nodes: &[usize], values: &[u64]) {
    let n = out.len();
    let factor = |i: usize| plane(values, nodes[i], n);
    match nodes.len() {
        0 => xor_assign(out, first),
        1 => {
            let a = factor(0);
            vectorise(|| out.iter_mut().zip(first.iter().zip(a)).for_each(|(o, (f, a))| *o ^= f & a));
        }
        2 => {
            let (a, b) = (factor(0), factor(1));
            vectorise(|| {
                for (o, (f, (a, b))) in out.iter_mut().zip(first.iter().zip(a.iter().zip(b))) {
                    *o ^= f & a & b;
                }
            });
        }
        3 => {
            let (a, b, c) = (factor(0), factor(1), factor(2));
            vectorise(|| {
                for (o, (f, (a, (b, c)))) in out.iter_mut().zip(first.iter().zip(a.iter().zip(b.iter().zip(c)))) {
                    *o ^= f & a & b & c;
                }
            });
        }
        more => unreachable!("gates have at most four factors, got {}", more + 1),
    }
}
