//! Small words packed into large ones, and bits spread out to words.

use crate::buffer::{Buffer, Pool};
use privity_ring::{Tensor, simd::vectorise};
use std::ops::Range;

/// A shift whose lanes are whole words.
pub(crate) const WHOLE: u32 = 64;

/// Width of the words a lift travels in, for values shifted by `shift` bits: only `2^shift` residues matter.
pub(crate) fn lane_bits(shift: u32) -> usize {
    match shift {
        0..=16 => 16,
        17..=32 => 32,
        _ => 64,
    }
}

/// 64-bit words that carry `len` lanes.
pub(crate) fn lane_words(len: usize, shift: u32) -> usize {
    (len * lane_bits(shift)).div_ceil(64)
}

/// Applies `f(i, lane)` to each of the first `len` lanes.
#[inline(always)]
pub(crate) fn for_lanes(words: &mut [u64], len: usize, shift: u32, f: impl Fn(usize, u64) -> u64) {
    match lane_bits(shift) {
        16 => {
            let lanes: &mut [u16] = bytemuck::cast_slice_mut(words);
            lanes[..len].iter_mut().enumerate().for_each(|(i, v)| *v = f(i, *v as u64) as u16);
        }
        32 => {
            let lanes: &mut [u32] = bytemuck::cast_slice_mut(words);
            lanes[..len].iter_mut().enumerate().for_each(|(i, v)| *v = f(i, *v as u64) as u32);
        }
        _ => words[..len].iter_mut().enumerate().for_each(|(i, v)| *v = f(i, *v)),
    }
}

/// `x += y`, lane by lane.
pub(crate) fn add_lanes(x: &mut [u64], y: &[u64], shift: u32) {
    let lanes = x.len() * 64 / lane_bits(shift);
    vectorise(|| for_lanes(x, lanes, shift, |i, v| v.wrapping_add(lane(y, i, shift))));
}

#[inline(always)]
pub(crate) fn lane(words: &[u64], i: usize, shift: u32) -> u64 {
    match lane_bits(shift) {
        16 => bytemuck::cast_slice::<u64, u16>(words)[i] as u64,
        32 => bytemuck::cast_slice::<u64, u32>(words)[i] as u64,
        _ => words[i],
    }
}

/// Bits of a tile as words of all ones or zeros, which loops over elements can use without shifts; `word` gives packed bits.
pub(crate) fn expand(pool: &mut Pool, range: &Range<usize>, word: impl Fn(usize) -> u64) -> Buffer {
    debug_assert!(range.start.is_multiple_of(64), "tiles start at whole words");
    let mut masks = pool.take(range.len());
    let first = range.start / 64;
    vectorise(|| {
        for (k, chunk) in masks.chunks_mut(64).enumerate() {
            let bits = word(first + k);
            chunk.iter_mut().enumerate().for_each(|(i, mask)| *mask = (bits >> i & 1).wrapping_neg());
        }
    });
    masks
}

/// `x += 2^(64 - shift) * lanes`; the multiplication discards what a lane holds above `shift` bits.
pub(crate) fn correct(x: &mut Tensor<u64>, lanes: &[u64], shift: u32) {
    vectorise(|| {
        for (i, x) in x.data_mut().iter_mut().enumerate() {
            *x = x.wrapping_add(lane(lanes, i, shift) << (64 - shift));
        }
    });
}

/// Zeros the unused lanes of the last word: what is compared must not depend on what a buffer held before.
pub(crate) fn clear_unused(words: &mut [u64], len: usize, shift: u32) {
    copy_unused(words, &[0], len, shift);
}

/// Takes the unused lanes of the last word from those of `from`: in what is compared, they show whether somebody set them.
pub(crate) fn copy_unused(words: &mut [u64], from: &[u64], len: usize, shift: u32) {
    let used = len * lane_bits(shift) % 64;
    if let (Some(last), Some(from), true) = (words.last_mut(), from.last(), used > 0) {
        let kept = (1 << used) - 1;
        *last = *last & kept | from & !kept;
    }
}
