//! Several keys in a register, expanded as they are used: `AESENCLAST` on a word broadcast to all columns is SubWord and the round constant, as
//! the shift of rows moves nothing. Labels are hashed and combined without leaving registers.

use super::{GROUP, Keys, SHARED, UPPER, sigma};
use privity_ring::simd::{Level, level};
use std::arch::x86_64::*;
use std::sync::OnceLock;

const ROUNDS: usize = 10;
/// FIPS 197, 5.2.
const ROUND_CONSTANTS: [i32; ROUNDS] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36];
/// The second word of a key in the upper half, nothing in the lower: with the words added in pairs it makes their running sum.
const SECOND_WORD: [u8; 16] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 4, 5, 6, 7, 4, 5, 6, 7];
/// The last word of a key, rotated, in every column.
const LAST_WORD: [u8; 16] = [13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15, 12];
/// The halves of each label exchanged, as an order of words.
const SWAP: i32 = 0b01_00_11_10;

/// The widest vectors that this processor has AES for, in bits, and that the level allows.
fn width() -> usize {
    static HAS: OnceLock<(bool, bool)> = OnceLock::new();
    let (aes, wide) = *HAS.get_or_init(|| {
        let aes = is_x86_feature_detected!("vaes") && is_x86_feature_detected!("aes");
        (aes, is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw"))
    });
    match level() {
        level if level >= Level::Avx512 && aes && wide => 512,
        level if level >= Level::Avx2 && aes => 256,
        _ => 0,
    }
}

/// Runs a function of the widest module there is; whether there is one.
macro_rules! widest {
    ($name:ident($($argument:expr),*)) => {
        match width() {
            512 => {
                // SAFETY: `width` has just detected the features that the module needs.
                unsafe { registers_512::$name($($argument),*) };
                true
            }
            256 => {
                // SAFETY: as above; AVX2 by the level.
                unsafe { registers_256::$name($($argument),*) };
                true
            }
            _ => false,
        }
    };
}

pub fn hash(start: u128, index: u64, labels: &[u128], out: &mut [u128]) -> bool {
    widest!(hash(start, index, labels, out))
}

pub fn hash_both(
    start: u128,
    index: u64,
    labels: &[u128],
    difference: u128,
    zeros: &mut [u128],
    ones: &mut [u128],
) -> bool {
    widest!(hash_both(start, index, labels, difference, zeros, ones))
}

pub fn garble(
    start: u128,
    at: (u64, Keys),
    difference: u128,
    operands: [&[u128]; 2],
    tables: &mut [[u128; 2]],
    results: &mut [u128],
) -> bool {
    widest!(garble(start, at, difference, operands, tables, results))
}

pub fn evaluate(
    start: u128,
    at: (u64, Keys),
    operands: [&[u128]; 2],
    tables: &[[u128; 2]],
    results: &mut [u128],
) -> bool {
    widest!(evaluate(start, at, operands, tables, results))
}

macro_rules! registers {
    ($module:ident, $features:literal, $vector:ty, $lanes:literal, $xor:ident, $and:ident, $one:ident, $broadcast:ident, $add:ident,
     $shuffle:ident, $swap:ident, $left:ident, $left_words:ident, $right_words:ident, $round:ident, $last:ident,
     $pair:ident, $unpair:ident) => {
        mod $module {
            use super::*;

            type V = $vector;
            /// Blocks in a register.
            const L: usize = $lanes;
            /// Registers worked on at once.
            const R: usize = 4;
            /// Blocks worked on at once.
            const STEP: usize = R * L;

            /// What every step needs.
            #[derive(Clone, Copy)]
            struct Constants {
                start: V,
                rotate: V,
                spread: V,
                upper: V,
                /// The number of each lane.
                lanes: V,
            }

            #[target_feature(enable = $features)]
            fn constants(start: u128) -> Constants {
                let all = |block: [u8; 16]| $broadcast(bytemuck::cast(block));
                Constants {
                    start: all(start.to_le_bytes()),
                    rotate: all(LAST_WORD),
                    spread: all(SECOND_WORD),
                    upper: all(UPPER.to_le_bytes()),
                    lanes: bytemuck::cast(std::array::from_fn::<u128, L, _>(|lane| lane as u128)),
                }
            }

            /// Keys `first`, `first + 1`, and so on, as they go into the first round.
            #[inline]
            #[target_feature(enable = $features)]
            fn keys<const K: usize>(c: Constants, first: u64) -> [V; K] {
                let mut keys = [c.start; K];
                for (k, key) in keys.iter_mut().enumerate() {
                    let first: V = $broadcast(bytemuck::cast(u128::from(first.wrapping_add((k * L) as u64))));
                    *key = $xor(*key, $add(first, c.lanes));
                }
                keys
            }

            /// `sigma` of labels.
            #[inline]
            #[target_feature(enable = $features)]
            fn mapped<const N: usize>(c: Constants, mut x: [V; N]) -> [V; N] {
                for x in &mut x {
                    *x = $xor($swap::<SWAP>(*x), $and(*x, c.upper));
                }
                x
            }

            /// `difference` added.
            #[inline]
            #[target_feature(enable = $features)]
            fn moved<const N: usize>(mut x: [V; N], difference: V) -> [V; N] {
                for x in &mut x {
                    *x = $xor(*x, difference);
                }
                x
            }

            /// All ones where the lowest bit of a label is 1.
            #[inline]
            #[target_feature(enable = $features)]
            fn colour(x: V) -> V {
                $right_words::<31>($left_words::<31>($swap::<0>(x)))
            }

            /// `E(key, x)`: `S` times `N` registers; so many sets in turn have the same `K` keys, register `r` those of place `r % K`.
            #[inline]
            #[target_feature(enable = $features)]
            fn encrypt<const S: usize, const H: usize, const N: usize, const K: usize>(
                c: Constants,
                mut keys: [[V; K]; H],
                mut u: [[V; N]; S],
            ) -> [[V; N]; S] {
                for s in 0..S {
                    for r in 0..N {
                        u[s][r] = $xor(u[s][r], keys[s * H / S][r % K]);
                    }
                }
                for constant in &ROUND_CONSTANTS[..9] {
                    keys = next(c, keys, *constant);
                    for s in 0..S {
                        for r in 0..N {
                            u[s][r] = $round(u[s][r], keys[s * H / S][r % K]);
                        }
                    }
                }
                keys = next(c, keys, ROUND_CONSTANTS[9]);
                for s in 0..S {
                    for r in 0..N {
                        u[s][r] = $last(u[s][r], keys[s * H / S][r % K]);
                    }
                }
                u
            }

            /// The keys of the next round.
            #[inline]
            #[target_feature(enable = $features)]
            fn next<const H: usize, const K: usize>(c: Constants, mut keys: [[V; K]; H], constant: i32) -> [[V; K]; H] {
                let constant = $one(constant);
                for key in keys.as_flattened_mut() {
                    let word = $last($shuffle(*key, c.rotate), constant);
                    let pairs = $xor(*key, $left::<32>(*key));
                    *key = $xor($xor(pairs, $shuffle(pairs, c.spread)), word);
                }
                keys
            }

            /// The same for register `r` only of each set, under keys of all rounds that are there already.
            #[inline]
            #[target_feature(enable = $features)]
            fn encrypt_one<const S: usize, const H: usize, const K: usize>(
                rounds: &[[[V; K]; H]; ROUNDS + 1],
                r: usize,
                mut u: [V; S],
            ) -> [V; S] {
                for (round, keys) in rounds.iter().enumerate() {
                    for s in 0..S {
                        let key = keys[s * H / S][r % K];
                        u[s] = match round {
                            0 => $xor(u[s], key),
                            ROUNDS => $last(u[s], key),
                            _ => $round(u[s], key),
                        };
                    }
                }
                u
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn load<const N: usize>(c: Constants, from: &[[u128; L]; N]) -> [V; N] {
                let mut registers = [c.start; N];
                for (register, from) in registers.iter_mut().zip(from) {
                    *register = bytemuck::cast(*from);
                }
                registers
            }

            /// The hashes of labels under keys from `first` on, once with each of some mapped differences added.
            #[inline]
            #[target_feature(enable = $features)]
            fn hashes<const S: usize>(
                c: Constants,
                first: u64,
                labels: &[u128],
                differences: [V; S],
            ) -> [[u128; STEP]; S] {
                let mut padded = [[0; L]; R];
                padded.as_flattened_mut()[..labels.len()].copy_from_slice(labels);
                let x = mapped(c, load(c, &padded));
                let x = differences.map(|difference| moved(x, difference));
                let mut hashed = encrypt(c, [keys::<R>(c, first)], x);
                for (hash, x) in hashed.as_flattened_mut().iter_mut().zip(x.as_flattened()) {
                    *hash = $xor(*hash, *x);
                }
                hashed.map(|hashed| bytemuck::cast(hashed))
            }

            /// `GateHash::hash`.
            #[target_feature(enable = $features)]
            pub fn hash(start: u128, index: u64, labels: &[u128], out: &mut [u128]) {
                let c = constants(start);
                let none = $broadcast(bytemuck::cast(0u128));
                for (step, (labels, out)) in labels.chunks(STEP).zip(out.chunks_mut(STEP)).enumerate() {
                    let [hashed] = hashes(c, index.wrapping_add((step * STEP) as u64), labels, [none]);
                    out.copy_from_slice(&hashed[..labels.len()]);
                }
            }

            /// `GateHash::hash_both`.
            #[target_feature(enable = $features)]
            pub fn hash_both(
                start: u128,
                index: u64,
                labels: &[u128],
                difference: u128,
                zeros: &mut [u128],
                ones: &mut [u128],
            ) {
                let c = constants(start);
                let differences = [0, sigma(difference)].map(|difference| $broadcast(bytemuck::cast(difference)));
                let places = zeros.chunks_mut(STEP).zip(ones.chunks_mut(STEP));
                for (step, (labels, (zeros, ones))) in labels.chunks(STEP).zip(places).enumerate() {
                    let both = hashes(c, index.wrapping_add((step * STEP) as u64), labels, differences);
                    zeros.copy_from_slice(&both[0][..labels.len()]);
                    ones.copy_from_slice(&both[1][..labels.len()]);
                }
            }

            /// The first keys of both operands for the AND of this number in a call, the first of a register.
            #[inline(always)]
            fn firsts(index: u64, keys: Keys, number: usize) -> [u64; 2] {
                let of = keys.per_operand();
                let first = keys.of(number / GROUP * GROUP) + (number % of) as u64;
                [index.wrapping_add(first), index.wrapping_add(first + of as u64)]
            }

            /// The labels or tables of `N` registers, over and over, and what is left.
            #[inline(always)]
            fn steps<const N: usize, T>(all: &[T]) -> (&[[[T; L]; N]], &[T]) {
                let whole = all.len() / (N * L) * (N * L);
                (all[..whole].as_chunks::<L>().0.as_chunks::<N>().0, &all[whole..])
            }

            /// The same, to write.
            #[inline(always)]
            fn steps_mut<const N: usize, T>(all: &mut [T]) -> (&mut [[[T; L]; N]], &mut [T]) {
                let (whole, rest) = all.split_at_mut(all.len() / (N * L) * (N * L));
                (whole.as_chunks_mut::<L>().0.as_chunks_mut::<N>().0, rest)
            }

            /// `GateHash::garble`.
            #[target_feature(enable = $features)]
            pub fn garble(
                start: u128,
                at: (u64, Keys),
                difference: u128,
                [left, right]: [&[u128]; 2],
                tables: &mut [[u128; 2]],
                results: &mut [u128],
            ) {
                let c = constants(start);
                let differences = [difference, sigma(difference)].map(|d| $broadcast(bytemuck::cast(d)));
                let ((a, left), (b, right)) = (steps::<R, _>(left), steps::<R, _>(right));
                let ((some_tables, tables), (some, results)) = (steps_mut::<R, _>(tables), steps_mut::<R, _>(results));
                let mut done = a.len() * STEP;
                match at.1 {
                    Keys::Apart => garble_some::<R>(c, at, 0, differences, a, b, some_tables, some),
                    Keys::Shared => garble_shared(c, at, differences, a, b, some_tables, some),
                }
                // What is left goes register by register, the last one filled up.
                let ((a, left), (b, right)) = (steps::<1, _>(left), steps::<1, _>(right));
                let ((some_tables, tables), (some, results)) = (steps_mut::<1, _>(tables), steps_mut::<1, _>(results));
                garble_some::<1>(c, at, done, differences, a, b, some_tables, some);
                done += a.len() * L;
                if !left.is_empty() {
                    let [mut a, mut b] = [[[0; L]]; 2];
                    a[0][..left.len()].copy_from_slice(left);
                    b[0][..left.len()].copy_from_slice(right);
                    let (mut some_tables, mut some) = ([[[[0; 2]; L]]], [[[0; L]]]);
                    garble_some::<1>(c, at, done, differences, &[a], &[b], &mut some_tables, &mut some);
                    tables.copy_from_slice(&some_tables.as_flattened().as_flattened()[..left.len()]);
                    results.copy_from_slice(&some.as_flattened().as_flattened()[..left.len()]);
                }
            }

            /// ANDs of `N` registers, over and over, the first of this number in the call.
            #[inline]
            #[target_feature(enable = $features)]
            fn garble_some<const N: usize>(
                c: Constants,
                at: (u64, Keys),
                number: usize,
                differences: [V; 2],
                left: &[[[u128; L]; N]],
                right: &[[[u128; L]; N]],
                tables: &mut [[[[u128; 2]; L]; N]],
                results: &mut [[[u128; L]; N]],
            ) {
                let places = tables.iter_mut().zip(results);
                for (step, ((left, right), (tables, results))) in left.iter().zip(right).zip(places).enumerate() {
                    let first = firsts(at.0, at.1, number + step * N * L);
                    let (a, b) = (load(c, left), load(c, right));
                    let (a0, b0) = (mapped(c, a), mapped(c, b));
                    let (a1, b1) = (moved(a0, differences[1]), moved(b0, differences[1]));
                    let keys = [keys::<N>(c, first[0]), keys::<N>(c, first[1])];
                    let [e, f, g, h] = encrypt(c, keys, [a0, a1, b0, b1]);
                    for r in 0..N {
                        let encrypted = [e[r], f[r], g[r], h[r]];
                        (tables[r], results[r]) = half_gates(differences, [a[r], b[r]], [a0[r], b0[r]], encrypted);
                    }
                }
            }

            /// Both halves of the tables and the results, from both operands, their mapped labels and, encrypted, those and the ones for 1.
            #[inline]
            #[target_feature(enable = $features)]
            fn half_gates(
                [difference, mapped_difference]: [V; 2],
                [a, b]: [V; 2],
                [a0, b0]: [V; 2],
                [e, f, g, h]: [V; 4],
            ) -> ([[u128; 2]; L], [u128; L]) {
                // `H(x)` is `E(x) ^ x`: of the hashes of both labels of a wire the sum has the difference in it.
                let garbler = $xor($xor(e, f), $xor(mapped_difference, $and(difference, colour(b))));
                let evaluator = $xor($xor(g, h), mapped_difference);
                let hashes = $xor($xor(e, g), $xor(a0, b0));
                let result = $xor(hashes, $xor($and(garbler, colour(a)), $and(evaluator, colour(b))));
                (bytemuck::cast($pair(garbler, $xor(evaluator, a))), bytemuck::cast(result))
            }

            /// Groups with shared keys, the first of the call among them. Keys of all rounds come first, then register after register: few
            /// labels in flight and nothing but them and keys in registers, so that the processor works on several at a time by itself.
            #[inline]
            #[target_feature(enable = $features)]
            fn garble_shared(
                c: Constants,
                at: (u64, Keys),
                differences: [V; 2],
                left: &[[[u128; L]; R]],
                right: &[[[u128; L]; R]],
                tables: &mut [[[[u128; 2]; L]; R]],
                results: &mut [[[u128; L]; R]],
            ) {
                let places = tables.iter_mut().zip(results);
                for (step, ((left, right), (tables, results))) in left.iter().zip(right).zip(places).enumerate() {
                    let first = firsts(at.0, at.1, step * STEP);
                    let mut rounds = [first.map(|first| keys::<{ SHARED / L }>(c, first)); ROUNDS + 1];
                    for (round, constant) in ROUND_CONSTANTS.iter().enumerate() {
                        rounds[round + 1] = next(c, rounds[round], *constant);
                    }
                    for r in 0..R {
                        let labels: [V; 2] = [bytemuck::cast(left[r]), bytemuck::cast(right[r])];
                        let [a0, b0] = mapped(c, labels);
                        let [a1, b1] = moved([a0, b0], differences[1]);
                        let encrypted = encrypt_one(&rounds, r, [a0, a1, b0, b1]);
                        (tables[r], results[r]) = half_gates(differences, labels, [a0, b0], encrypted);
                    }
                }
            }

            /// `GateHash::evaluate`.
            #[target_feature(enable = $features)]
            pub fn evaluate(
                start: u128,
                at: (u64, Keys),
                [left, right]: [&[u128]; 2],
                tables: &[[u128; 2]],
                results: &mut [u128],
            ) {
                let c = constants(start);
                let ((a, left), (b, right)) = (steps::<R, _>(left), steps::<R, _>(right));
                let ((some_tables, tables), (some, results)) = (steps::<R, _>(tables), steps_mut::<R, _>(results));
                let mut done = a.len() * STEP;
                match at.1 {
                    Keys::Apart => evaluate_some::<R, R>(c, at, 0, a, b, some_tables, some),
                    Keys::Shared => evaluate_some::<R, { SHARED / L }>(c, at, 0, a, b, some_tables, some),
                }
                let ((a, left), (b, right)) = (steps::<1, _>(left), steps::<1, _>(right));
                let ((some_tables, tables), (some, results)) = (steps::<1, _>(tables), steps_mut::<1, _>(results));
                evaluate_some::<1, 1>(c, at, done, a, b, some_tables, some);
                done += a.len() * L;
                if !left.is_empty() {
                    let [mut a, mut b] = [[[0; L]]; 2];
                    a[0][..left.len()].copy_from_slice(left);
                    b[0][..left.len()].copy_from_slice(right);
                    let (mut some_tables, mut some) = ([[[0; 2]; L]], [[[0; L]]]);
                    some_tables[0][..left.len()].copy_from_slice(tables);
                    evaluate_some::<1, 1>(c, at, done, &[a], &[b], &[some_tables], &mut some);
                    results.copy_from_slice(&some.as_flattened().as_flattened()[..left.len()]);
                }
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn evaluate_some<const N: usize, const K: usize>(
                c: Constants,
                at: (u64, Keys),
                number: usize,
                left: &[[[u128; L]; N]],
                right: &[[[u128; L]; N]],
                tables: &[[[[u128; 2]; L]; N]],
                results: &mut [[[u128; L]; N]],
            ) {
                let places = tables.iter().zip(results);
                for (step, ((left, right), (tables, results))) in left.iter().zip(right).zip(places).enumerate() {
                    let first = firsts(at.0, at.1, number + step * N * L);
                    let (a, b) = (load(c, left), load(c, right));
                    let keys = [keys::<K>(c, first[0]), keys::<K>(c, first[1])];
                    let (x, y) = (mapped(c, a), mapped(c, b));
                    let [e, f] = encrypt(c, keys, [x, y]);
                    for r in 0..N {
                        let [low, high]: [V; 2] = bytemuck::cast(tables[r]);
                        let [garbler, evaluator] = $unpair(low, high);
                        let hashes = $xor($xor(e[r], f[r]), $xor(x[r], y[r]));
                        let own = $and($xor(evaluator, a[r]), colour(b[r]));
                        results[r] = bytemuck::cast($xor(hashes, $xor($and(garbler, colour(a[r])), own)));
                    }
                }
            }
        }
    };
}

registers!(
    registers_512,
    "avx512f,avx512bw,avx2,vaes,aes",
    __m512i,
    4,
    _mm512_xor_si512,
    _mm512_and_si512,
    _mm512_set1_epi32,
    _mm512_broadcast_i32x4,
    _mm512_add_epi64,
    _mm512_shuffle_epi8,
    _mm512_shuffle_epi32,
    _mm512_slli_epi64,
    _mm512_slli_epi32,
    _mm512_srai_epi32,
    _mm512_aesenc_epi128,
    _mm512_aesenclast_epi128,
    pair_512,
    unpair_512
);
registers!(
    registers_256,
    "avx2,vaes,aes",
    __m256i,
    2,
    _mm256_xor_si256,
    _mm256_and_si256,
    _mm256_set1_epi32,
    _mm256_broadcastsi128_si256,
    _mm256_add_epi64,
    _mm256_shuffle_epi8,
    _mm256_shuffle_epi32,
    _mm256_slli_epi64,
    _mm256_slli_epi32,
    _mm256_srai_epi32,
    _mm256_aesenc_epi128,
    _mm256_aesenclast_epi128,
    pair_256,
    unpair_256
);

/// The blocks of both, one of each in turn.
#[target_feature(enable = "avx512f")]
fn pair_512(x: __m512i, y: __m512i) -> [__m512i; 2] {
    let low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    let high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    [_mm512_permutex2var_epi64(x, low, y), _mm512_permutex2var_epi64(x, high, y)]
}

/// The way back.
#[target_feature(enable = "avx512f")]
fn unpair_512(low: __m512i, high: __m512i) -> [__m512i; 2] {
    let first = _mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13);
    let second = _mm512_setr_epi64(2, 3, 6, 7, 10, 11, 14, 15);
    [_mm512_permutex2var_epi64(low, first, high), _mm512_permutex2var_epi64(low, second, high)]
}

#[target_feature(enable = "avx2")]
fn pair_256(x: __m256i, y: __m256i) -> [__m256i; 2] {
    [_mm256_permute2x128_si256::<0x20>(x, y), _mm256_permute2x128_si256::<0x31>(x, y)]
}

#[target_feature(enable = "avx2")]
fn unpair_256(low: __m256i, high: __m256i) -> [__m256i; 2] {
    pair_256(low, high)
}
