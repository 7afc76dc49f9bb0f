//! The field of `p = 2^61 - 1` elements. An element is a word below `p`; as an integer it is the residue of least magnitude.

mod extrapolate;
#[cfg(target_arch = "x86_64")]
mod wide;

pub use extrapolate::Extrapolation;

use crate::simd::vectorise;
use crate::{Bilinear, Ring, Tensor};

/// The modulus.
pub const P: u64 = (1 << 61) - 1;

/// An element of the field.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct M61(u64);

// SAFETY: a transparent wrapper of a word, for which all bit patterns are valid; arithmetic on words that are no residues gives wrong
// numbers, not undefined behaviour, and `reduce` is what makes words of others residues.
unsafe impl bytemuck::Zeroable for M61 {}
// SAFETY: as above.
unsafe impl bytemuck::Pod for M61 {}

impl M61 {
    /// The element of a word, whatever it is, reduced.
    #[inline(always)]
    pub fn of_word(word: u64) -> M61 {
        M61(reduce(word))
    }
    /// The word below `p`.
    #[inline(always)]
    pub fn word(self) -> u64 {
        self.0
    }
    /// `self^exponent`.
    pub fn pow(self, mut exponent: u64) -> M61 {
        let (mut base, mut result) = (self, M61(1));
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = result.mul(base);
            }
            base = base.mul(base);
            exponent >>= 1;
        }
        result
    }
    /// `2^exponent`.
    pub fn power_of_two(exponent: u32) -> M61 {
        M61(1 << (exponent % 61))
    }
    /// The inverse in the additive group.
    pub fn negated(self) -> M61 {
        M61(0).sub(self)
    }
    /// The inverse; 0 of 0.
    pub fn inverse(self) -> M61 {
        self.pow(P - 2)
    }
}

impl Ring for M61 {
    const BYTES: u64 = 8;
    #[inline(always)]
    fn from_u64(x: u64) -> M61 {
        // Two's complement: a negative word stands for itself minus 2^64, and 2^64 = 8 modulo p.
        M61(reduce(reduce(x) + (P - 8 * (x >> 63))))
    }
    #[inline(always)]
    fn to_u64(self) -> u64 {
        let negative = ((P >> 1).wrapping_sub(self.0) >> 63).wrapping_neg();
        self.0.wrapping_sub(P & negative)
    }
    #[inline(always)]
    fn add(self, o: M61) -> M61 {
        M61(canonical(self.0 + o.0))
    }
    #[inline(always)]
    fn sub(self, o: M61) -> M61 {
        M61(canonical(self.0 + P - o.0))
    }
    #[inline(always)]
    fn mul(self, o: M61) -> M61 {
        M61(reduce(product(self.0, o.0)))
    }
}

/// A word below `2 p` as a residue.
#[inline(always)]
fn canonical(x: u64) -> u64 {
    x.min(x.wrapping_sub(P))
}

/// Any word as a residue.
#[inline(always)]
pub fn reduce(x: u64) -> u64 {
    canonical((x & P) + (x >> 61))
}

/// A product of residues, below `2^63`: four products of half words, since vectors have no wider ones.
#[inline(always)]
fn product(x: u64, y: u64) -> u64 {
    const LOW: u64 = u32::MAX as u64;
    let (x0, x1, y0, y1) = (x & LOW, x >> 32, y & LOW, y >> 32);
    let (low, high) = (x0 * y0, x1 * y1);
    let middle = x0 * y1 + x1 * y0;
    // 2^61 = 1, so 2^64 = 8, and 2^32 times the upper bits of the middle, from 29 on, is those bits.
    (low & P) + (low >> 61) + (high << 3) + ((middle << 32) & P) + (middle >> 29)
}

/// Words of others become residues.
pub fn reduce_all(words: &mut [u64]) {
    vectorise(|| words.iter_mut().for_each(|w| *w = reduce(*w)));
}

/// The lower 61 bits of each word; whether they are `p` of any, which is no residue: of uniform words the others are uniform residues.
pub fn truncate_all(words: &mut [u64]) -> bool {
    let found = vectorise(|| {
        words.iter_mut().fold(0, |found, word| {
            *word &= P;
            found | (*word + 1)
        })
    });
    // One more than `p` is the only one that reaches this bit.
    found > P
}

/// `out += c * x`, all residues.
pub fn add_scaled(out: &mut [u64], c: M61, x: &[u64]) {
    let c = c.0;
    vectorise(|| out.iter_mut().zip(x).for_each(|(o, x)| *o = reduce(*o + product(c, *x))));
}

/// `out = sum of w x` over vectors with their weights, all residues: nothing but the result is stored.
pub fn combine(out: &mut [u64], terms: &[(M61, &[u64])]) {
    let (threes, rest) = terms.as_chunks::<3>();
    match threes.split_first() {
        Some((first, others)) => {
            sum_three::<false>(out, *first);
            others.iter().for_each(|three| sum_three::<true>(out, *three));
        }
        None => vectorise(|| out.fill(0)),
    }
    rest.iter().for_each(|(weight, x)| add_scaled(out, *weight, x));
}

/// The lower 31 bits of a residue and the upper 30. The second mask takes nothing away, but tells the compiler that half words are multiplied, of
/// which vectors have products.
#[inline(always)]
fn parts(x: u64) -> (u64, u64) {
    (x & ((1 << 31) - 1), x >> 31 & ((1 << 30) - 1))
}

/// `out = sum of w x` of three, or this added to `out`: products in parts are added up before they are reduced.
fn sum_three<const ADD: bool>(out: &mut [u64], [(u, x), (v, y), (w, z)]: [(M61, &[u64]); 3]) {
    #[cfg(target_arch = "x86_64")]
    let done = wide::sum_three::<ADD>(out, [u.0, v.0, w.0], [x, y, z]);
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    let (out, x, y, z) = (&mut out[done..], &x[done..], &y[done..], &z[done..]);
    let ((u0, u1), (v0, v1), (w0, w1)) = (parts(u.0), parts(v.0), parts(w.0));
    vectorise(
        #[inline(always)]
        || {
            for (out, (x, (y, z))) in out.iter_mut().zip(x.iter().zip(y.iter().zip(z))) {
                let ((x0, x1), (y0, y1), (z0, z1)) = (parts(*x), parts(*y), parts(*z));
                let low = x0 * u0 + y0 * v0 + z0 * w0;
                let middle = x0 * u1 + x1 * u0 + y0 * v1 + y1 * v0 + z0 * w1 + z1 * w0;
                let high = x1 * u1 + y1 * v1 + z1 * w1;
                *out = reduce(if ADD { *out } else { 0 } + joined(low, middle, high));
            }
        },
    );
}

/// `low + 2^31 middle + 2^62 high` below `2^63`, for sums of three products of parts, twice as many in the middle.
#[inline(always)]
fn joined(low: u64, middle: u64, high: u64) -> u64 {
    let high = high << 1;
    (low & P) + (low >> 61) + ((middle << 31) & P) + (middle >> 30) + (high & P) + (high >> 61)
}

/// `out += x`, all residues.
pub fn add_assign(out: &mut [u64], x: &[u64]) {
    vectorise(|| out.iter_mut().zip(x).for_each(|(o, x)| *o = canonical(*o + *x)));
}

/// `out = x y`, all residues.
pub fn mul_into(out: &mut [u64], x: &[u64], y: &[u64]) {
    vectorise(|| out.iter_mut().zip(x.iter().zip(y)).for_each(|(o, (x, y))| *o = reduce(product(*x, *y))));
}

/// `out += x y`, all residues.
pub fn mul_add(out: &mut [u64], x: &[u64], y: &[u64]) {
    vectorise(|| out.iter_mut().zip(x.iter().zip(y)).for_each(|(o, (x, y))| *o = reduce(*o + product(*x, *y))));
}

/// `x *= y`, all residues.
pub fn mul_assign(x: &mut [u64], y: &[u64]) {
    vectorise(|| x.iter_mut().zip(y).for_each(|(x, y)| *x = reduce(product(*x, *y))));
}

/// The inner product, all residues.
pub fn inner_product(x: &[u64], y: &[u64]) -> u64 {
    // Eight sums side by side, as a vector has lanes; each term is below 2^63 and each sum below 2^61 + 4.
    let mut sums = [0u64; 8];
    vectorise(
        #[inline(always)]
        || {
            let (whole, rest) = x.as_chunks::<8>();
            let (with, rest_with) = y.as_chunks::<8>();
            for (x, y) in whole.iter().zip(with) {
                for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
                    let term = *sum + product(*x, *y);
                    *sum = (term & P) + (term >> 61);
                }
            }
            for (sum, (x, y)) in sums.iter_mut().zip(rest.iter().zip(rest_with)) {
                *sum = reduce(reduce(*sum) + product(*x, *y));
            }
        },
    );
    sums.into_iter().fold(0, |total, sum| reduce(total + reduce(sum)))
}

/// `x *= c`, all residues.
pub fn scale_assign(x: &mut [u64], c: M61) {
    let c = c.0;
    vectorise(|| x.iter_mut().for_each(|x| *x = reduce(product(c, *x))));
}

/// Residues as elements.
pub fn elements(residues: Vec<u64>) -> Vec<M61> {
    residues.into_iter().map(M61).collect()
}

/// `x += c`, all residues.
pub fn offset_assign(x: &mut [u64], c: M61) {
    vectorise(|| x.iter_mut().for_each(|x| *x = canonical(*x + c.0)));
}

/// Elements as words.
pub fn words(elements: &[M61]) -> &[u64] {
    bytemuck::cast_slice(elements)
}

/// Elements as words; what is written must be residues.
pub fn words_mut(elements: &mut [M61]) -> &mut [u64] {
    bytemuck::cast_slice_mut(elements)
}

/// The product of two tensors, added to `sum`, residues both.
pub fn add_product(op: Bilinear, x: &Tensor<M61>, y: &Tensor<M61>, sum: &mut [u64]) {
    let (a, b) = (words(x.data()), words(y.data()));
    match op {
        Bilinear::Mul => mul_add(sum, a, b),
        Bilinear::MatMul => matrix(sum, a, b, x.cols(), y.cols()),
    }
}

/// Columns worked on at once: their sums stay next to the registers.
const COLUMNS: usize = 512;

/// `c += a b`, `a` of `depth` columns, `b` of `width`: row by row, a few rows of `b` at a time.
fn matrix(c: &mut [u64], a: &[u64], b: &[u64], depth: usize, width: usize) {
    if depth == 0 || width == 0 {
        return;
    }
    for from in (0..width).step_by(COLUMNS) {
        let to = width.min(from + COLUMNS);
        for (row, c) in a.chunks_exact(depth).zip(c.chunks_exact_mut(width)) {
            let c = &mut c[from..to];
            let term = |k: usize| (M61(row[k]), &b[k * width + from..k * width + to]);
            let whole = depth / 3 * 3;
            (0..whole).step_by(3).for_each(|k| sum_three::<true>(c, [term(k), term(k + 1), term(k + 2)]));
            (whole..depth).map(term).for_each(|(weight, x)| add_scaled(c, weight, x));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;
    use crate::simd::{levels, with_level};

    fn noise(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed ^ *seed >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    fn wide(a: u64, b: u64) -> u64 {
        (u128::from(a) * u128::from(b) % u128::from(P)) as u64
    }

    const EDGES: [u64; 9] = [0, 1, 2, P - 1, P - 2, P >> 1, (P >> 1) + 1, 1 << 60, 1 << 32];

    #[test]
    fn arithmetic_is_that_of_residues() {
        let mut seed = 1;
        let some: Vec<u64> = EDGES.into_iter().chain((0..200).map(|_| noise(&mut seed) % P)).collect();
        for &a in &some {
            for &b in &some {
                let (x, y) = (M61(a), M61(b));
                assert_eq!(x.mul(y).word(), wide(a, b));
                assert_eq!(x.add(y).word(), (a + b) % P);
                assert_eq!(x.sub(y).word(), (a + P - b) % P);
            }
            if a > 0 {
                assert_eq!(M61(a).mul(M61(a).inverse()).word(), 1);
            }
        }
    }

    #[test]
    fn integers_are_residues_of_least_magnitude() {
        for v in [0i64, 1, -1, (1 << 60) - 1, -(1 << 60) + 1, 12345, -12345] {
            assert_eq!(M61::from_u64(v as u64).to_u64() as i64, v);
        }
        for x in [u64::MAX, 1 << 63, (1 << 63) + 5, P, P - 1, 1 << 62] {
            let want = (i128::from(x as i64)).rem_euclid(i128::from(P)) as u64;
            assert_eq!(M61::from_u64(x).word(), want, "{x}");
            assert_eq!(M61::of_word(x).word(), x % P, "{x}");
        }
    }

    #[test]
    fn kernels_agree_with_wide_arithmetic_at_every_level() {
        let mut seed = 2;
        let mut random =
            |n: usize| (0..n).map(|i| if i % 7 == 0 { EDGES[i / 7 % 9] } else { noise(&mut seed) % P }).collect();
        for (m, k, n) in [(0, 3, 2), (1, 1, 1), (3, 5, 7), (2, 130, 70), (9, 64, 129), (2, 0, 2)] {
            let (a, b, c): (Vec<u64>, Vec<u64>, Vec<u64>) = (random(m * k), random(k * n), random(m * n));
            let mut want = c.clone();
            for i in 0..m {
                for j in 0..n {
                    let sum = (0..k).fold(c[i * n + j], |s, l| (s + wide(a[i * k + l], b[l * n + j])) % P);
                    want[i * n + j] = sum;
                }
            }
            let tensor =
                |rows, cols, v: &[u64]| Tensor::new(Shape::matrix(rows, cols), v.iter().map(|w| M61(*w)).collect());
            let (x, y) = (tensor(m, k, &a), tensor(k, n, &b));
            for level in levels() {
                let mut got = c.clone();
                with_level(level, || add_product(Bilinear::MatMul, &x, &y, &mut got));
                assert_eq!(got, want, "{m} {k} {n} {level:?}");
                let mut got = a.clone();
                with_level(level, || add_scaled(&mut got, M61(P - 5), &a));
                let sum = a.iter().zip(a.iter().rev()).fold(0, |sum, (x, y)| (sum + wide(*x, *y)) % P);
                let reversed: Vec<u64> = a.iter().rev().copied().collect();
                assert_eq!(with_level(level, || inner_product(&a, &reversed)), sum);
                assert!(got.iter().zip(&a).all(|(g, a)| *g == (a + wide(P - 5, *a)) % P));
                let weights = [P - 1, 3, 1 << 60, 77, P >> 1, 12345, 9, P - 2];
                let terms: Vec<(M61, &[u64])> = weights.iter().map(|w| (M61(*w), &a[..])).collect();
                with_level(level, || combine(&mut got, &terms));
                let total = weights.iter().fold(0, |total, w| (total + w) % P);
                assert!(got.iter().zip(&a).all(|(g, a)| *g == wide(total, *a)));
            }
        }
    }
}
