//! The hash of garbled gates: `H(x, i) = E(s ^ i, x) ^ x` with AES-128 as `E`, a key for every index, `s` public and random. Re-keying keeps the bound
//! tight over many gates and instances: Guo, Katz, Wang, Weng, Yu, CRYPTO 2020 (ideal-cipher model).

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

    /// `labels[i]` becomes `H(labels[i], index + i)`. Time depends on the number only.
    pub fn hash(&self, index: u64, labels: &mut [u128]) {
        self.run(index, labels, &mut []);
    }

    /// The same for two labels under each index: `H(first[i], index + i)` and `H(second[i], index + i)`.
    ///
    /// # Panics
    /// If there are not as many of one as of the other.
    pub fn hash_pairs(&self, index: u64, first: &mut [u128], second: &mut [u128]) {
        assert_eq!(first.len(), second.len(), "labels come in pairs");
        self.run(index, first, second);
    }

    fn run(&self, index: u64, first: &mut [u128], second: &mut [u128]) {
        #[cfg(target_arch = "x86_64")]
        {
            use privity_ring::simd::{Level, level};
            let aes = is_x86_feature_detected!("vaes") && is_x86_feature_detected!("aes");
            if level() >= Level::Avx512
                && aes
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
            {
                // SAFETY: the features that the kernel needs were just detected.
                return unsafe { wide::run_512(self.start, index, first, second) };
            }
            if level() >= Level::Avx2 && aes {
                // SAFETY: AVX2 by the level; the others were just detected.
                return unsafe { wide::run_256(self.start, index, first, second) };
            }
        }
        portable(self.start, index, first, second);
    }
}

fn portable(start: u128, index: u64, first: &mut [u128], second: &mut [u128]) {
    use aes::cipher::{BlockCipherEncrypt, KeyInit};
    for (i, label) in first.iter_mut().enumerate() {
        let key = start ^ u128::from(index.wrapping_add(i as u64));
        let cipher = aes::Aes128::new(&key.to_le_bytes().into());
        for label in std::iter::once(label).chain(second.get_mut(i)) {
            let mut block = label.to_le_bytes().into();
            cipher.encrypt_block(&mut block);
            *label ^= u128::from_le_bytes(block.into());
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    //! Several keys in a register, expanded as they are used: `AESENCLAST` on a word broadcast to all columns is SubWord and the round
    //! constant, as the shift of rows moves nothing.

    use std::arch::x86_64::*;

    /// FIPS 197, 5.2.
    const ROUND_CONSTANTS: [i32; 10] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36];
    /// The last word of a key, rotated, in every column.
    const LAST_WORD: [u8; 16] = [13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15, 12];

    macro_rules! kernel {
        ($name:ident, $features:literal, $vector:ty, $lanes:literal, $xor:ident, $one:ident,
         $broadcast:ident, $shuffle:ident, $left:ident, $round:ident, $last:ident) => {
            /// `GateHash::run`, four registers of keys at a time.
            #[target_feature(enable = $features)]
            pub fn $name(start: u128, index: u64, first: &mut [u128], second: &mut [u128]) {
                const REGISTERS: usize = 4;
                const KEYS: usize = REGISTERS * $lanes;
                type Chunk = [u128; KEYS];
                let paired = !second.is_empty();
                let start = $broadcast(bytemuck::cast(start));
                let rotate = $broadcast(bytemuck::cast(LAST_WORD));
                let (whole, rest) = first.as_chunks_mut::<KEYS>();
                let (others, other_rest) = second.as_chunks_mut::<KEYS>();
                let mut next = index;
                let mut unused = [0; KEYS];
                for (i, labels) in whole.iter_mut().enumerate() {
                    match paired {
                        true => chunk::<true>(start, rotate, next, labels, &mut others[i]),
                        false => chunk::<false>(start, rotate, next, labels, &mut unused),
                    }
                    next = next.wrapping_add(KEYS as u64);
                }
                // What is left is worked on in a chunk of its own.
                if !rest.is_empty() {
                    let (mut labels, mut other) = ([0; KEYS], [0; KEYS]);
                    labels[..rest.len()].copy_from_slice(rest);
                    other[..other_rest.len()].copy_from_slice(other_rest);
                    chunk::<true>(start, rotate, next, &mut labels, &mut other);
                    rest.copy_from_slice(&labels[..rest.len()]);
                    other_rest.copy_from_slice(&other[..other_rest.len()]);
                }

                #[target_feature(enable = $features)]
                fn chunk<const PAIRED: bool>(
                    start: $vector,
                    rotate: $vector,
                    index: u64,
                    labels: &mut Chunk,
                    other: &mut Chunk,
                ) {
                    let indices: Chunk = std::array::from_fn(|i| u128::from(index.wrapping_add(i as u64)));
                    let load = |from: &Chunk| -> [$vector; REGISTERS] { bytemuck::cast(*from) };
                    let mut keys = load(&indices).map(|i| $xor(i, start));
                    let (x, y) = (load(labels), load(other));
                    let (mut u, mut v) = (x, y);
                    for r in 0..REGISTERS {
                        u[r] = $xor(u[r], keys[r]);
                        if PAIRED {
                            v[r] = $xor(v[r], keys[r]);
                        }
                    }
                    for (round, constant) in ROUND_CONSTANTS.iter().enumerate() {
                        let constant = $one(*constant);
                        for key in &mut keys {
                            let word = $last($shuffle(*key, rotate), constant);
                            let mut sum = $xor(*key, $left::<4>(*key));
                            sum = $xor(sum, $left::<8>(sum));
                            *key = $xor(sum, word);
                        }
                        for r in 0..REGISTERS {
                            if round < 9 {
                                u[r] = $round(u[r], keys[r]);
                                if PAIRED {
                                    v[r] = $round(v[r], keys[r]);
                                }
                            } else {
                                u[r] = $last(u[r], keys[r]);
                                if PAIRED {
                                    v[r] = $last(v[r], keys[r]);
                                }
                            }
                        }
                    }
                    for r in 0..REGISTERS {
                        u[r] = $xor(u[r], x[r]);
                        v[r] = $xor(v[r], y[r]);
                    }
                    (*labels, *other) = (bytemuck::cast(u), bytemuck::cast(v));
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
        _mm512_set1_epi32,
        _mm512_broadcast_i32x4,
        _mm512_shuffle_epi8,
        _mm512_bslli_epi128,
        _mm512_aesenc_epi128,
        _mm512_aesenclast_epi128
    );
    kernel!(
        run_256,
        "avx2,vaes,aes",
        __m256i,
        2,
        _mm256_xor_si256,
        _mm256_set1_epi32,
        _mm256_broadcastsi128_si256,
        _mm256_shuffle_epi8,
        _mm256_bslli_epi128,
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
        let label = u128::from_le_bytes(std::array::from_fn(|i| 0x11 * i as u8));
        let encrypted = u128::from_be_bytes(0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55a_u128.to_be_bytes()).swap_bytes();
        for level in [Level::Portable, Level::Avx2, Level::Avx512] {
            let mut labels = [label];
            with_level(level, || GateHash::new(key).hash(0, &mut labels));
            assert_eq!(labels[0], encrypted ^ label, "{level:?}");
        }
    }

    proptest! {
        #[test]
        fn paths_agree(start: u128, index: u64, labels in prop::collection::vec(any::<(u128, u128)>(), 0..70)) {
            let (mut want, mut other): (Vec<u128>, Vec<u128>) = labels.iter().copied().unzip();
            portable(start, index, &mut want, &mut other);
            for level in [Level::Avx2, Level::Avx512] {
                let (mut first, mut second): (Vec<u128>, Vec<u128>) = labels.iter().copied().unzip();
                let mut single = first.clone();
                with_level(level, || {
                    GateHash::new(start).hash_pairs(index, &mut first, &mut second);
                    GateHash::new(start).hash(index, &mut single);
                });
                prop_assert_eq!((&first, &second, &single), (&want, &other, &want));
            }
        }
    }
}
