//! Sums of products with weights, in vectors. Of weights, which stay the same for all elements, the compiler forgets that their parts are half
//! words, and multiplies whole ones, which takes three times as long.

use super::{P, parts};
use crate::simd::{Level, level};
use std::arch::x86_64::*;

/// `sum_three` for as many elements as fill vectors; how many these are.
pub fn sum_three<const ADD: bool>(out: &mut [u64], weights: [u64; 3], values: [&[u64]; 3]) -> usize {
    match level() {
        // SAFETY: `level` returns only what the processor was seen to support.
        Level::Avx512 | Level::Amx => unsafe { sums_512::sum_three::<ADD>(out, weights, values) },
        // SAFETY: as above.
        Level::Avx2 => unsafe { sums_256::sum_three::<ADD>(out, weights, values) },
        Level::Portable => 0,
    }
}

macro_rules! sums {
    ($module:ident, $features:literal, $vector:ty, $lanes:literal, $all:ident, $add:ident, $and:ident, $mul:ident, $right:ident, $left:ident,
     $canonical:ident) => {
        mod $module {
            use super::*;

            type V = $vector;
            const L: usize = $lanes;

            #[target_feature(enable = $features)]
            pub fn sum_three<const ADD: bool>(out: &mut [u64], weights: [u64; 3], values: [&[u64]; 3]) -> usize {
                let all = |x: u64| $all(x as i64);
                let (modulus, low_bits) = (all(P), all((1 << 31) - 1));
                let weights = weights.map(|weight| [parts(weight).0, parts(weight).1].map(all));
                let [x, y, z] = values.map(|values| values.as_chunks::<L>().0);
                let out = out.as_chunks_mut::<L>().0;
                let mut done = 0;
                for (out, (x, (y, z))) in out.iter_mut().zip(x.iter().zip(y.iter().zip(z))) {
                    let [mut low, mut middle, mut high]: [V; 3] = [all(0); 3];
                    for (values, [w0, w1]) in [x, y, z].into_iter().zip(weights) {
                        let v: V = bytemuck::cast(*values);
                        let (v0, v1) = ($and(v, low_bits), $right::<31>(v));
                        low = $add(low, $mul(v0, w0));
                        middle = $add($add(middle, $mul(v0, w1)), $mul(v1, w0));
                        high = $add(high, $mul(v1, w1));
                    }
                    // As in `joined` and `reduce`.
                    let high = $left::<1>(high);
                    let lower = $add($and(low, modulus), $right::<61>(low));
                    let upper = $add($and(high, modulus), $right::<61>(high));
                    let between = $add($and($left::<31>(middle), modulus), $right::<30>(middle));
                    let mut sum = $add($add(lower, upper), between);
                    if ADD {
                        sum = $add(sum, bytemuck::cast(*out));
                    }
                    *out = bytemuck::cast($canonical($add($and(sum, modulus), $right::<61>(sum)), modulus));
                    done += L;
                }
                done
            }
        }
    };
}

sums!(
    sums_512,
    "avx512f",
    __m512i,
    8,
    _mm512_set1_epi64,
    _mm512_add_epi64,
    _mm512_and_si512,
    _mm512_mul_epu32,
    _mm512_srli_epi64,
    _mm512_slli_epi64,
    canonical_512
);
sums!(
    sums_256,
    "avx2",
    __m256i,
    4,
    _mm256_set1_epi64x,
    _mm256_add_epi64,
    _mm256_and_si256,
    _mm256_mul_epu32,
    _mm256_srli_epi64,
    _mm256_slli_epi64,
    canonical_256
);

/// Words below `2 p` as residues.
#[target_feature(enable = "avx512f")]
fn canonical_512(x: __m512i, modulus: __m512i) -> __m512i {
    _mm512_min_epu64(x, _mm512_sub_epi64(x, modulus))
}

/// The same: where less the modulus is negative, the word stays as it is.
#[target_feature(enable = "avx2")]
fn canonical_256(x: __m256i, modulus: __m256i) -> __m256i {
    let less = _mm256_sub_epi64(x, modulus);
    let chosen = _mm256_blendv_pd(_mm256_castsi256_pd(less), _mm256_castsi256_pd(x), _mm256_castsi256_pd(less));
    _mm256_castpd_si256(chosen)
}
