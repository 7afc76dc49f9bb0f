//! The transposition of a matrix of bits, 128 columns to rows of 128 bits.

use privity_ring::simd::vectorise;
use zeroize::Zeroizing;

/// Row `i` of the result has bit `i` of each column, column 0 lowest; so many rows.
pub(crate) fn transpose(columns: &[Zeroizing<Vec<u128>>], rows: usize) -> Zeroizing<Vec<u128>> {
    let mut out = Zeroizing::new(Vec::with_capacity(rows.next_multiple_of(128)));
    for block in 0..rows.div_ceil(128) {
        let mut square: [u128; 128] = std::array::from_fn(|j| columns[j][block]);
        vectorise(|| transpose_square(&mut square));
        out.extend_from_slice(&square);
    }
    out.truncate(rows);
    out
}

/// Halves, quarters, .. change places: Eklundh's method.
#[inline(always)]
fn transpose_square(square: &mut [u128; 128]) {
    let mut width = 64;
    let mut mask = u128::from(u64::MAX);
    while width > 0 {
        for pair in square.chunks_exact_mut(2 * width) {
            let (upper, lower) = pair.split_at_mut(width);
            for (a, b) in upper.iter_mut().zip(lower) {
                let change = (*a >> width ^ *b) & mask;
                *b ^= change;
                *a ^= change << width;
            }
        }
        width /= 2;
        mask ^= mask << width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_columns() {
        let mut x = 1u128;
        let mut word = || {
            x = x.wrapping_mul(0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645).wrapping_add(99);
            x ^ x >> 67
        };
        let columns: Vec<_> = (0..128).map(|_| Zeroizing::new(vec![word(), word()])).collect();
        for rows in [1, 128, 200, 256] {
            let out = transpose(&columns, rows);
            assert_eq!(out.len(), rows);
            for (i, row) in out.iter().enumerate() {
                for (j, column) in columns.iter().enumerate() {
                    assert_eq!(row >> j & 1, column[i / 128] >> (i % 128) & 1, "row {i}, column {j}");
                }
            }
        }
    }
}
