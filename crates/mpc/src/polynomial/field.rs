//! The fields of sharings by polynomials: residues modulo 2^61 - 1 for numbers, small binary fields for bits, 64 elements a word.

use privity_ring::mersenne::Extrapolation;
use privity_ring::{M61, Ring, mersenne, simd::vectorise};

/// A field, and vectors over it as words.
pub(crate) trait Field: Copy {
    /// An element.
    type Scalar: Copy;
    fn zero(self) -> Self::Scalar;
    fn one(self) -> Self::Scalar;
    fn sub(self, a: Self::Scalar, b: Self::Scalar) -> Self::Scalar;
    fn mul(self, a: Self::Scalar, b: Self::Scalar) -> Self::Scalar;
    /// Of anything but zero.
    fn inverse(self, a: Self::Scalar) -> Self::Scalar;
    /// Where a party's share is the polynomial's value: never zero, and another one for each party.
    fn point(self, party: usize) -> Self::Scalar;
    /// Words side by side, that many parts of equal length, make a vector.
    fn parts(self) -> usize;
    /// `out += c x`.
    fn add_scaled(self, out: &mut [u64], c: Self::Scalar, x: &[u64]);
    /// `out = sum of w x`, of vectors with their weights.
    fn combine(self, out: &mut [u64], terms: &[(Self::Scalar, &[u64])]) {
        out.fill(0);
        terms.iter().for_each(|(weight, x)| self.add_scaled(out, *weight, x));
    }
    /// A quicker way than by weights from values at some points to those at others, if the field has one.
    fn extrapolation(self, _known: &[Self::Scalar], _wanted: &[Self::Scalar]) -> Option<Extrapolation> {
        None
    }
    /// `out += x`.
    fn add_assign(self, out: &mut [u64], x: &[u64]);
    /// Makes uniform words uniform elements; `more` gives further words, for a word that is none.
    fn uniform(self, words: &mut [u64], more: impl FnMut() -> u64);
    /// Makes words of others elements.
    fn received(self, words: &mut [u64]);
}

/// The field of 2^61 - 1 elements.
#[derive(Clone, Copy)]
pub(crate) struct Prime;

impl Field for Prime {
    type Scalar = M61;
    fn zero(self) -> M61 {
        M61::from_u64(0)
    }
    fn one(self) -> M61 {
        M61::from_u64(1)
    }
    fn sub(self, a: M61, b: M61) -> M61 {
        a.sub(b)
    }
    fn mul(self, a: M61, b: M61) -> M61 {
        a.mul(b)
    }
    fn inverse(self, a: M61) -> M61 {
        a.inverse()
    }
    fn point(self, party: usize) -> M61 {
        M61::from_u64(party as u64 + 1)
    }
    fn parts(self) -> usize {
        1
    }
    fn add_scaled(self, out: &mut [u64], c: M61, x: &[u64]) {
        mersenne::add_scaled(out, c, x);
    }
    fn combine(self, out: &mut [u64], terms: &[(M61, &[u64])]) {
        mersenne::combine(out, terms);
    }
    fn extrapolation(self, known: &[M61], wanted: &[M61]) -> Option<Extrapolation> {
        let points = |of: &[M61]| of.iter().map(|point| point.to_u64() as i64).collect::<Vec<_>>();
        Some(Extrapolation::new(&points(known), &points(wanted)))
    }
    fn add_assign(self, out: &mut [u64], x: &[u64]) {
        mersenne::add_assign(out, x);
    }
    /// Of 61 bits, those that are no residue (all ones) are drawn again, so that residues are uniform.
    fn uniform(self, words: &mut [u64], mut more: impl FnMut() -> u64) {
        if mersenne::truncate_all(words) {
            for word in words.iter_mut().filter(|word| **word == mersenne::P) {
                while *word == mersenne::P {
                    *word = more() & mersenne::P;
                }
            }
        }
    }
    fn received(self, words: &mut [u64]) {
        mersenne::reduce_all(words);
    }
}

/// The field of 2^k elements, `k` from 2 to 5, as many as parties need points. A vector is `k` planes of bits: coefficient after coefficient
/// of polynomials modulo an irreducible one. A shared bit is the element 0 or 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Binary {
    bits: usize,
}

impl Binary {
    /// The smallest with a point for each party.
    pub fn for_parties(n: usize) -> Self {
        Binary { bits: ((n + 1).next_power_of_two().ilog2() as usize).max(2) }
    }
    /// What `x^k` is, lower coefficients in lower bits: x + 1 for 2, 3 and 4, x^2 + 1 for 5.
    fn reduction(self) -> u8 {
        if self.bits == 5 { 0b101 } else { 0b011 }
    }
    /// `x y` of vectors, element by element.
    pub fn product(self, out: &mut [u64], x: &[u64], y: &[u64]) {
        match self.bits {
            2 => product::<2>(out, x, y),
            3 => product::<3>(out, x, y),
            4 => product::<4>(out, x, y),
            _ => product::<5>(out, x, y),
        }
    }
    /// The coefficient of 1 of `c x`: what a party adds to a shared bit's sum.
    pub fn low_part(self, out: &mut [u64], c: u8, x: &[u64]) {
        let n = out.len();
        out.fill(0);
        for from in (0..self.bits).filter(|from| self.mul(c, 1 << from) & 1 == 1) {
            xor(out, &x[from * n..(from + 1) * n]);
        }
    }
}

fn xor(out: &mut [u64], x: &[u64]) {
    vectorise(|| out.iter_mut().zip(x).for_each(|(o, x)| *o ^= *x));
}

fn product<const K: usize>(out: &mut [u64], x: &[u64], y: &[u64]) {
    let n = out.len() / K;
    assert_eq!((x.len(), y.len()), (K * n, K * n), "factors of one length");
    let feedback = if K == 5 { 2 } else { 1 };
    vectorise(
        #[inline(always)]
        || {
            for i in 0..n {
                let mut z = [[0u64; K]; 2];
                for a in 0..K {
                    for b in 0..K {
                        z[(a + b) / K][(a + b) % K] ^= x[a * n + i] & y[b * n + i];
                    }
                }
                let [mut low, mut high] = z;
                // x^(K + j) = x^j + x^(j + feedback), from the top.
                for j in (0..K - 1).rev() {
                    let top = high[j];
                    low[j] ^= top;
                    match j + feedback < K {
                        true => low[j + feedback] ^= top,
                        false => high[j + feedback - K] ^= top,
                    }
                }
                for (c, low) in low.into_iter().enumerate() {
                    out[c * n + i] = low;
                }
            }
        },
    );
}

impl Field for Binary {
    type Scalar = u8;
    fn zero(self) -> u8 {
        0
    }
    fn one(self) -> u8 {
        1
    }
    fn sub(self, a: u8, b: u8) -> u8 {
        a ^ b
    }
    /// Of public elements.
    fn mul(self, a: u8, b: u8) -> u8 {
        let (mut sum, mut a) = (0, a);
        for i in 0..self.bits {
            sum ^= if b >> i & 1 == 1 { a } else { 0 };
            a = a << 1 ^ if a >> (self.bits - 1) & 1 == 1 { 1 << self.bits | self.reduction() } else { 0 };
        }
        sum
    }
    fn inverse(self, a: u8) -> u8 {
        (0..(1 << self.bits) - 2).fold(1, |power, _| self.mul(power, a))
    }
    fn point(self, party: usize) -> u8 {
        debug_assert!(party + 1 < 1 << self.bits, "no point for party {party}");
        party as u8 + 1
    }
    fn parts(self) -> usize {
        self.bits
    }
    fn add_scaled(self, out: &mut [u64], c: u8, x: &[u64]) {
        let n = out.len() / self.bits;
        for from in 0..self.bits {
            let column = self.mul(c, 1 << from);
            for to in (0..self.bits).filter(|to| column >> to & 1 == 1) {
                xor(&mut out[to * n..(to + 1) * n], &x[from * n..(from + 1) * n]);
            }
        }
    }
    fn add_assign(self, out: &mut [u64], x: &[u64]) {
        xor(out, x);
    }
    fn uniform(self, _: &mut [u64], _: impl FnMut() -> u64) {}
    fn received(self, _: &mut [u64]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_fields_are_fields() {
        for bits in 2..=5 {
            let field = Binary { bits };
            for a in 1..1u8 << bits {
                assert_eq!(field.mul(a, field.inverse(a)), 1, "{a} of {bits} bits");
                for b in 1..1u8 << bits {
                    assert!((1..1 << bits).contains(&field.mul(a, b)), "{a} {b} of {bits} bits");
                }
            }
        }
    }

    #[test]
    fn vectors_multiply_as_their_elements_do() {
        for bits in 2..=5 {
            let field = Binary { bits };
            let pick = |words: &[u64], i: usize| {
                (0..bits).fold(0, |v, c| v | ((words[c * 3 + i / 64] >> (i % 64) & 1) as u8) << c)
            };
            let noise = |seed: u64| -> Vec<u64> {
                (1..=3 * bits as u64)
                    .map(|i| (i + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(i as u32))
                    .collect()
            };
            let (x, y) = (noise(1), noise(77));
            let mut z = vec![0; 3 * bits];
            field.product(&mut z, &x, &y);
            let mut scaled = y.clone();
            field.add_scaled(&mut scaled, 3, &x);
            let mut low = vec![0; 3];
            field.low_part(&mut low, 3, &x);
            for i in 0..192 {
                assert_eq!(pick(&z, i), field.mul(pick(&x, i), pick(&y, i)));
                assert_eq!(pick(&scaled, i), pick(&y, i) ^ field.mul(3, pick(&x, i)));
                assert_eq!((low[i / 64] >> (i % 64) & 1) as u8, field.mul(3, pick(&x, i)) & 1);
            }
        }
    }

    #[test]
    fn words_that_are_no_residues_are_drawn_again() {
        let mut words = [u64::MAX, 5, mersenne::P, mersenne::P + 1];
        let mut further = [u64::MAX, 9, 11].into_iter();
        Prime.uniform(&mut words, || further.next().expect("three at most"));
        assert_eq!(words, [9, 5, 11, 0]);
    }
}
