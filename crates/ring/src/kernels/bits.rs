//! Bit matrices: the 64 x 64 transposition and plane-major packing of the low bits of words.
//!
//! Plane-major means that plane `i` holds bit `i` of every element: with `nw = ceil(n / 64)` words per plane,
//! element `e` is bit `e % 64` of word `i * nw + e / 64`, and bits past the last element are zero.

use crate::simd::vectorise;

/// Blocks of 64 elements transposed side by side: one AVX-512 register, two of AVX2.
const LANES: usize = 8;
type Rows<const L: usize> = [[u64; L]; 64];

/// For each stage, the low half of every group of `2 * j` bits.
const STAGES: [(usize, u64); 6] = [
    (32, 0x0000_0000_ffff_ffff),
    (16, 0x0000_ffff_0000_ffff),
    (8, 0x00ff_00ff_00ff_00ff),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (2, 0x3333_3333_3333_3333),
    (1, 0x5555_5555_5555_5555),
];

/// Transposes a 64 x 64 bit matrix in place: bit `c` of word `r` becomes bit `r` of word `c`.
pub fn transpose64(rows: &mut [u64; 64]) {
    let lanes: &mut Rows<1> = bytemuck::cast_mut(rows);
    vectorise(|| STAGES.iter().for_each(|&stage| exchange(lanes, stage, 64)));
}

/// Packs the low `width` bits of every value as planes.
///
/// # Panics
/// If `width > 64` or `planes.len() != width * ceil(values.len() / 64)`.
pub fn to_planes(values: &[u64], width: usize, planes: &mut [u64]) {
    let nw = check(values.len(), width, planes.len());
    vectorise(
        #[inline(always)]
        || {
            for (group, values) in values.chunks(64 * LANES).enumerate() {
                pack_group(values, width, group * LANES, nw, planes);
            }
        },
    );
}

/// Unpacks planes to values below `2^width`; the inverse of [`to_planes`].
///
/// # Panics
/// If `width > 64` or `planes.len() != width * ceil(values.len() / 64)`.
pub fn from_planes(planes: &[u64], width: usize, values: &mut [u64]) {
    let nw = check(values.len(), width, planes.len());
    vectorise(
        #[inline(always)]
        || {
            for (group, values) in values.chunks_mut(64 * LANES).enumerate() {
                unpack_group(planes, width, group * LANES, nw, values);
            }
        },
    );
}

fn check(n: usize, width: usize, planes: usize) -> usize {
    let nw = n.div_ceil(64);
    assert!(width <= 64, "a word has 64 planes at most, not {width}");
    assert_eq!(planes, width * nw, "{width} planes of {n} elements need {width} x {nw} words");
    nw
}

#[inline(always)]
fn pack_group(values: &[u64], width: usize, word: usize, nw: usize, planes: &mut [u64]) {
    let mut rows: Rows<LANES> = [[0; LANES]; 64];
    let (blocks, tail) = values.as_chunks::<64>();
    for (lane, block) in blocks.iter().enumerate() {
        load(&mut rows, lane, block, width);
    }
    if !tail.is_empty() {
        let mut block = [0; 64];
        block[..tail.len()].copy_from_slice(tail);
        load(&mut rows, blocks.len(), &block, width);
    }
    // A stage moves the planes below `j` to the rows below `j`: rows past the width are dead from there on.
    for stage in STAGES.into_iter().skip(usize::from(width <= 32)) {
        exchange(&mut rows, stage, width);
    }
    let words = values.len().div_ceil(64);
    for (plane, row) in rows[..width].iter().enumerate() {
        planes[plane * nw + word..][..words].copy_from_slice(&row[..words]);
    }
}

#[inline(always)]
fn unpack_group(planes: &[u64], width: usize, word: usize, nw: usize, values: &mut [u64]) {
    let mut rows: Rows<LANES> = [[0; LANES]; 64];
    let words = values.len().div_ceil(64);
    for (plane, row) in rows[..width].iter_mut().enumerate() {
        row[..words].copy_from_slice(&planes[plane * nw + word..][..words]);
    }
    // Smallest exchange first: rows past the width stay zero until a stage as large as the width fills them.
    for stage in STAGES.into_iter().skip(usize::from(width <= 32)).rev() {
        exchange(&mut rows, stage, width);
    }
    let (blocks, tail) = values.as_chunks_mut::<64>();
    for (lane, block) in blocks.iter_mut().enumerate() {
        unload(&rows, lane, block, width);
    }
    if !tail.is_empty() {
        let mut block = [0; 64];
        unload(&rows, blocks.len(), &mut block, width);
        tail.copy_from_slice(&block[..tail.len()]);
    }
}

/// Puts a block into a lane. Up to 32 planes live in 32 rows: then the first stage is done here, for half the rows.
#[inline(always)]
fn load(rows: &mut Rows<LANES>, lane: usize, block: &[u64; 64], width: usize) {
    if width <= 32 {
        for (r, row) in rows[..32].iter_mut().enumerate() {
            row[lane] = block[r] & u64::from(u32::MAX) | block[r + 32] << 32;
        }
    } else {
        rows.iter_mut().zip(block).for_each(|(row, &v)| row[lane] = v);
    }
}

/// The inverse of [`load`].
#[inline(always)]
fn unload(rows: &Rows<LANES>, lane: usize, block: &mut [u64; 64], width: usize) {
    if width <= 32 {
        for (r, row) in rows[..32].iter().enumerate() {
            (block[r], block[r + 32]) = (row[lane] & u64::from(u32::MAX), row[lane] >> 32);
        }
    } else {
        block.iter_mut().zip(rows).for_each(|(v, row)| *v = row[lane]);
    }
}

/// Swaps the off-diagonal `j x j` blocks of every `2j x 2j` block of the first rows, as far as the `width` first planes
/// need it: a stage with `j >= width` has one live group of rows, since the others hold no wanted plane.
#[inline(always)]
fn exchange<const L: usize>(rows: &mut Rows<L>, (j, mask): (usize, u64), width: usize) {
    for group in rows.chunks_exact_mut(2 * j).take(width.div_ceil(2 * j)) {
        let (low, high) = group.split_at_mut(j);
        for (low, high) in low.iter_mut().zip(high) {
            for (a, b) in low.iter_mut().zip(high) {
                let swap = ((*a >> j) ^ *b) & mask;
                *b ^= swap;
                *a ^= swap << j;
            }
        }
    }
}
