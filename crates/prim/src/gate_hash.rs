//! The hash of garbled gates: `H(x, i) = E(s ^ i, y) ^ y` with `y = sigma(x)`, AES-128 as `E`, a key for every index, `s` public and random.
//! Re-keying keeps the bound tight over many gates and instances: Guo, Katz, Wang, Weng, Yu, CRYPTO 2020 (ideal-cipher model).

/// `sigma` with the halves `l`, `h` of `x`: the lower becomes `h`, the upper `l ^ h`. It and its sum with `x` are permutations. Without it,
/// `H(x ^ d) ^ d` would be a block whose key all know: whoever knows `x` would decrypt it and have `d`.
fn sigma(x: u128) -> u128 {
    x.rotate_left(64) ^ (x & UPPER)
}

const UPPER: u128 = (u64::MAX as u128) << 64;

/// The hash under one public random start.
#[derive(Clone, Copy, Debug)]
pub struct GateHash {
    start: u128,
}

impl GateHash {
    /// A hash whose keys begin at `start`.
    pub fn new(start: u128) -> Self {
        GateHash { start }
    }

    /// `out[i] = H(labels[i], index + i)`. Time depends on the number only.
    ///
    /// # Panics
    /// If there is not as much room as there are labels.
    pub fn hash(&self, index: u64, labels: &[u128], out: &mut [u128]) {
        assert_eq!(labels.len(), out.len(), "a place for each hash");
        self.run(index, labels, 0, out, &mut []);
    }

    /// The same, and `ones[i] = H(labels[i] ^ difference, index + i)`, under the same keys.
    ///
    /// # Panics
    /// If there is not as much room as there are labels.
    pub fn hash_both(&self, index: u64, labels: &[u128], difference: u128, zeros: &mut [u128], ones: &mut [u128]) {
        assert_eq!((labels.len(), labels.len()), (zeros.len(), ones.len()), "a place for each hash");
        self.run(index, labels, difference, zeros, ones);
    }

    /// `ones` may be empty.
    fn run(&self, index: u64, labels: &[u128], difference: u128, zeros: &mut [u128], ones: &mut [u128]) {
        #[cfg(target_arch = "x86_64")]
        {
            use privity_ring::simd::{Level, level};
            let aes = is_x86_feature_detected!("vaes") && is_x86_feature_detected!("aes");
            let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
            if level() >= Level::Avx512 && aes && wide {
                // SAFETY: the features that the kernel needs were just detected.
                return unsafe { wide::run_512(self.start, index, labels, difference, zeros, ones) };
            }
            if level() >= Level::Avx2 && aes {
                // SAFETY: AVX2 by the level; the others were just detected.
                return unsafe { wide::run_256(self.start, index, labels, difference, zeros, ones) };
            }
        }
        portable(self.start, index, labels, difference, zeros, ones);
    }
}

fn portable(start: u128, index: u64, labels: &[u128], difference: u128, zeros: &mut [u128], ones: &mut [u128]) {
    use aes::cipher::{BlockCipherEncrypt, KeyInit};
    for (i, label) in labels.iter().enumerate() {
        let key = start ^ u128::from(index.wrapping_add(i as u64));
        let cipher = aes::Aes128::new(&key.to_le_bytes().into());
        let hash = |label: u128| {
            let label = sigma(label);
            let mut block = label.to_le_bytes().into();
            cipher.encrypt_block(&mut block);
            label ^ u128::from_le_bytes(block.into())
        };
        zeros[i] = hash(*label);
        if let Some(one) = ones.get_mut(i) {
            *one = hash(label ^ difference);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    //! Several keys in a register, expanded as they are used: `AESENCLAST` on a word broadcast to all columns is SubWord and the round
    //! constant, as the shift of rows moves nothing.

    use super::{UPPER, sigma};
    use std::arch::x86_64::*;

    /// FIPS 197, 5.2.
    const ROUND_CONSTANTS: [i32; 10] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36];
    /// The second word of a key in the upper half, nothing in the lower: with the words added in pairs it makes their running sum.
    const SECOND_WORD: [u8; 16] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 4, 5, 6, 7, 4, 5, 6, 7];
    /// The last word of a key, rotated, in every column.
    const LAST_WORD: [u8; 16] = [13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15, 12];

    /// The halves of each label exchanged, as an order of words.
    const SWAP: i32 = 0b01_00_11_10;

    macro_rules! kernel {
        ($name:ident, $features:literal, $vector:ty, $lanes:literal, $xor:ident, $and:ident, $one:ident,
         $broadcast:ident, $shuffle:ident, $swap:ident, $left:ident, $round:ident, $last:ident) => {
            /// `GateHash::run`, four registers of keys at a time.
            #[target_feature(enable = $features)]
            pub fn $name(
                start: u128,
                index: u64,
                labels: &[u128],
                difference: u128,
                zeros: &mut [u128],
                ones: &mut [u128],
            ) {
                const REGISTERS: usize = 4;
                const KEYS: usize = REGISTERS * $lanes;
                type Chunk = [u128; KEYS];
                let start = $broadcast(bytemuck::cast(start));
                let difference = $broadcast(bytemuck::cast(sigma(difference)));
                let masks = [LAST_WORD, SECOND_WORD].map(|mask| $broadcast(bytemuck::cast(mask)));
                let (whole, rest) = labels.as_chunks::<KEYS>();
                let (zeros, zeros_rest) = zeros.as_chunks_mut::<KEYS>();
                let (ones, ones_rest) = ones.as_chunks_mut::<KEYS>();
                let mut next = index;
                for (i, labels) in whole.iter().enumerate() {
                    let one = ones.get_mut(i);
                    match one {
                        Some(one) => (zeros[i], *one) = chunk::<true>(start, masks, next, labels, difference),
                        None => zeros[i] = chunk::<false>(start, masks, next, labels, difference).0,
                    }
                    next = next.wrapping_add(KEYS as u64);
                }
                // What is left is worked on in a chunk of its own.
                if !rest.is_empty() {
                    let mut labels = [0; KEYS];
                    labels[..rest.len()].copy_from_slice(rest);
                    let (zero, one) = chunk::<true>(start, masks, next, &labels, difference);
                    zeros_rest.copy_from_slice(&zero[..rest.len()]);
                    ones_rest.copy_from_slice(&one[..ones_rest.len()]);
                }

                #[target_feature(enable = $features)]
                fn chunk<const PAIRED: bool>(
                    start: $vector,
                    [rotate, spread]: [$vector; 2],
                    index: u64,
                    labels: &Chunk,
                    difference: $vector,
                ) -> (Chunk, Chunk) {
                    let indices: Chunk = std::array::from_fn(|i| u128::from(index.wrapping_add(i as u64)));
                    let load = |from: &Chunk| -> [$vector; REGISTERS] { bytemuck::cast(*from) };
                    let mut keys = load(&indices).map(|i| $xor(i, start));
                    let upper = $broadcast(bytemuck::cast(UPPER));
                    let x = load(labels).map(|x| $xor($swap::<SWAP>(x), $and(x, upper)));
                    let y = x.map(|x| $xor(x, difference));
                    let (mut u, mut v) = (x, y);
                    for r in 0..REGISTERS {
                        u[r] = $xor(u[r], keys[r]);
                        v[r] = $xor(v[r], keys[r]);
                    }
                    for (round, constant) in ROUND_CONSTANTS.iter().enumerate() {
                        let constant = $one(*constant);
                        for key in &mut keys {
                            let word = $last($shuffle(*key, rotate), constant);
                            let pairs = $xor(*key, $left::<32>(*key));
                            *key = $xor($xor(pairs, $shuffle(pairs, spread)), word);
                        }
                        for r in 0..REGISTERS {
                            if round < 9 {
                                u[r] = $round(u[r], keys[r]);
                            } else {
                                u[r] = $last(u[r], keys[r]);
                            }
                        }
                        if PAIRED {
                            for r in 0..REGISTERS {
                                if round < 9 {
                                    v[r] = $round(v[r], keys[r]);
                                } else {
                                    v[r] = $last(v[r], keys[r]);
                                }
                            }
                        }
                    }
                    for r in 0..REGISTERS {
                        u[r] = $xor(u[r], x[r]);
                        v[r] = $xor(v[r], y[r]);
                    }
                    (bytemuck::cast(u), bytemuck::cast(v))
                }
            }
        };
    }

    kernel!(
        run_512,
        "avx512f,avx512bw,avx2,vaes,aes",
        __m512i,
        4,
        _mm512_xor_si512,
        _mm512_and_si512,
        _mm512_set1_epi32,
        _mm512_broadcast_i32x4,
        _mm512_shuffle_epi8,
        _mm512_shuffle_epi32,
        _mm512_slli_epi64,
        _mm512_aesenc_epi128,
        _mm512_aesenclast_epi128
    );
    kernel!(
        run_256,
        "avx2,vaes,aes",
        __m256i,
        2,
        _mm256_xor_si256,
        _mm256_and_si256,
        _mm256_set1_epi32,
        _mm256_broadcastsi128_si256,
        _mm256_shuffle_epi8,
        _mm256_shuffle_epi32,
        _mm256_slli_epi64,
        _mm256_aesenc_epi128,
        _mm256_aesenclast_epi128
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use privity_ring::simd::{Level, with_level};
    use proptest::prelude::*;

    /// FIPS 197, appendix C.1, as the hash of a label under one key.
    #[test]
    fn known_answer() {
        let key = u128::from_le_bytes(std::array::from_fn(|i| i as u8));
        let block = u128::from_le_bytes(std::array::from_fn(|i| 0x11 * i as u8));
        // What sigma takes to the block.
        let label = (block ^ (block << 64)).rotate_left(64);
        assert_eq!(sigma(label), block);
        let encrypted = u128::from_be_bytes(0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55a_u128.to_be_bytes()).swap_bytes();
        for level in [Level::Portable, Level::Avx2, Level::Avx512] {
            let mut hash = [0];
            with_level(level, || GateHash::new(key).hash(0, &[label], &mut hash));
            assert_eq!(hash[0], encrypted ^ block, "{level:?}");
        }
    }

    proptest! {
        #[test]
        fn paths_agree(start: u128, index: u64, difference: u128, labels in prop::collection::vec(any::<u128>(), 0..70)) {
            let room = || vec![0; labels.len()];
            let (mut want, mut other) = (room(), room());
            portable(start, index, &labels, difference, &mut want, &mut other);
            for level in [Level::Avx2, Level::Avx512] {
                let (mut zeros, mut ones, mut alone) = (room(), room(), room());
                with_level(level, || {
                    GateHash::new(start).hash_both(index, &labels, difference, &mut zeros, &mut ones);
                    GateHash::new(start).hash(index, &labels, &mut alone);
                });
                prop_assert_eq!((&zeros, &ones, &alone), (&want, &other, &want));
            }
        }
    }
}
