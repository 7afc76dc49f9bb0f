//! Bytes as elements of GF(2^8) modulo `x^8 + x^4 + x^3 + x + 1`, eight to a word. Secret bytes are only ever added and multiplied by public
//! ones, without branches or tables: time depends on public values alone.

use privity_ring::simd::vectorise;

/// Each byte times `x`.
#[inline(always)]
fn double(w: u64) -> u64 {
    ((w & 0x7f7f_7f7f_7f7f_7f7f) << 1) ^ (w >> 7 & 0x0101_0101_0101_0101).wrapping_mul(0x1b)
}

/// Each byte times a public one.
#[inline(always)]
fn scaled(w: u64, by: u8) -> u64 {
    let (mut sum, mut power) = (0, w);
    for bit in 0..8 {
        // Public: the position of a share, or what is computed of positions.
        if by >> bit & 1 == 1 {
            sum ^= power;
        }
        power = double(power);
    }
    sum
}

/// `x = by x + y`, byte by byte: a step of Horner's rule.
pub fn scale_add(x: &mut [u64], by: u8, y: &[u64]) {
    vectorise(|| x.iter_mut().zip(y).for_each(|(x, y)| *x = scaled(*x, by) ^ y));
}

/// `sum += by y`.
pub fn add_scaled(sum: &mut [u64], by: u8, y: &[u64]) {
    vectorise(|| sum.iter_mut().zip(y).for_each(|(s, y)| *s ^= scaled(*y, by)));
}

/// The product of two public bytes.
pub fn product(a: u8, b: u8) -> u8 {
    scaled(a.into(), b) as u8
}

/// The inverse of a public byte; 0 of 0.
pub fn inverse(a: u8) -> u8 {
    // a^254
    let (mut result, mut power) = (1, product(a, a));
    for _ in 0..7 {
        result = product(result, power);
        power = product(power, power);
    }
    result
}

/// Lagrange coefficients at 0 for shares at these distinct, non-zero positions.
pub fn coefficients(positions: &[u8]) -> Vec<u8> {
    let of = |i: &u8| {
        let others = positions.iter().filter(|j| *j != i);
        others.fold(1, |sum, j| product(sum, product(*j, inverse(j ^ i))))
    };
    positions.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiplication bit by bit, reduced at the end.
    fn slow(a: u8, b: u8) -> u8 {
        let mut wide = (0..8).filter(|i| b >> i & 1 == 1).fold(0u16, |sum, i| sum ^ u16::from(a) << i);
        for i in (8..15).rev().filter(|i| *i < 16) {
            if wide >> i & 1 == 1 {
                wide ^= 0x11b << (i - 8);
            }
        }
        wide as u8
    }

    #[test]
    fn products_and_inverses_are_those_of_the_field() {
        for (a, b) in (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| (a, b))) {
            assert_eq!(product(a, b), slow(a, b), "{a} x {b}");
        }
        assert!((1..=255).all(|a| product(a, inverse(a)) == 1));
        // FIPS 197, 4.2.
        assert_eq!(product(0x57, 0x83), 0xc1);
    }

    #[test]
    fn bytes_of_a_word_do_not_touch_each_other() {
        let (x, y) = ([0x80ff_0180_7f00_57ff_u64; 3], [0x0102_0304_0506_0708; 3]);
        let mut z = x;
        scale_add(&mut z, 0x83, &y);
        for (z, (x, y)) in z.iter().zip(x.iter().zip(y)) {
            for i in 0..8 {
                let byte = |w: u64| (w >> (8 * i)) as u8;
                assert_eq!(byte(*z), product(byte(*x), 0x83) ^ byte(y));
            }
        }
    }

    #[test]
    fn interpolation_gives_the_constant_term() {
        let polynomial = [0x3a, 0x91, 0x07];
        let at = |x: u8| polynomial.iter().rev().fold(0, |sum, c| product(sum, x) ^ c);
        for positions in [[1, 2, 3], [7, 255, 2], [9, 4, 100]] {
            let terms = coefficients(&positions).into_iter().zip(positions);
            assert_eq!(terms.fold(0, |sum, (l, x)| sum ^ product(l, at(x))), polynomial[0]);
        }
    }
}
