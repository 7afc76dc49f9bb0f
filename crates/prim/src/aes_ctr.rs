//! AES-128 in counter mode as a stream of words, addressable by block.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use zeroize::Zeroize;

/// A keyed pseudo-random function. Block `(hi, lo)` is AES of the 16 bytes `hi | lo`, both little-endian, read as two
/// little-endian words. Whoever draws sees to it that a key's block is used once. `Debug` shows nothing.
pub struct Prg {
    portable: Aes128,
    rounds: [[u8; 16]; 11],
}

impl std::fmt::Debug for Prg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prg")
    }
}

impl Drop for Prg {
    fn drop(&mut self) {
        self.rounds.zeroize();
    }
}

impl Prg {
    /// From a 128-bit key.
    pub fn new(key: [u8; 16]) -> Self {
        Prg { portable: Aes128::new(&key.into()), rounds: expand(key) }
    }

    /// Writes the blocks `(hi, lo)`, `(hi, lo + 1)`, .. to `out`; of the last block maybe only the first word.
    pub fn fill(&self, hi: u64, lo: u64, out: &mut [u64]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("vaes") && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("aes") {
            // SAFETY: the features were just detected.
            let done = unsafe { vaes::fill(&self.rounds, hi, lo, out) };
            return self.fill_portably(hi, lo.wrapping_add(done as u64 / 2), &mut out[done..]);
        }
        self.fill_portably(hi, lo, out);
    }

    fn fill_portably(&self, hi: u64, lo: u64, out: &mut [u64]) {
        const BATCH: usize = 32;
        for (i, words) in out.chunks_mut(2 * BATCH).enumerate() {
            let block = |j: usize| {
                let mut bytes = [0u8; 16];
                bytes[..8].copy_from_slice(&hi.to_le_bytes());
                bytes[8..].copy_from_slice(&lo.wrapping_add((i * BATCH + j) as u64).to_le_bytes());
                bytes.into()
            };
            let mut blocks: [aes::Block; BATCH] = std::array::from_fn(block);
            self.portable.encrypt_blocks(&mut blocks[..words.len().div_ceil(2)]);
            for (pair, block) in words.chunks_mut(2).zip(&blocks) {
                for (word, bytes) in pair.iter_mut().zip(block.chunks_exact(8)) {
                    *word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
                }
            }
        }
    }
}

/// The AES-128 key schedule (FIPS 197, 5.2), by the S-box of the field inverse; once per key, branch-free over its bytes.
fn expand(key: [u8; 16]) -> [[u8; 16]; 11] {
    let mut rounds = [key; 11];
    let mut constant = 1u8;
    for r in 1..11 {
        let last = rounds[r - 1];
        let mut word = [last[13], last[14], last[15], last[12]].map(sub_byte);
        word[0] ^= constant;
        constant = double(constant);
        for column in 0..4 {
            for row in 0..4 {
                word[row] ^= last[4 * column + row];
                rounds[r][4 * column + row] = word[row];
            }
        }
    }
    rounds
}

fn double(x: u8) -> u8 {
    (x << 1) ^ (0x1B & (x >> 7).wrapping_neg())
}

fn times(x: u8, y: u8) -> u8 {
    (0..8).fold((0, x), |(sum, x), i| (sum ^ (x & (y >> i & 1).wrapping_neg()), double(x))).0
}

/// `S(x) = affine(x^254)`.
fn sub_byte(x: u8) -> u8 {
    let squares: [u8; 7] = {
        let mut power = x;
        std::array::from_fn(|_| {
            power = times(power, power);
            power
        })
    };
    let inverse = squares.into_iter().fold(1, times);
    let rotated = (1..5).fold(inverse, |sum, r| sum ^ inverse.rotate_left(r));
    rotated ^ 0x63
}

#[cfg(target_arch = "x86_64")]
mod vaes {
    use std::arch::x86_64::*;

    /// Two blocks to a register, eight registers in flight.
    const FLIGHT: usize = 8;
    const WORDS: usize = 4 * FLIGHT;

    /// Fills a multiple of [`WORDS`] words and returns how many.
    ///
    /// # Safety
    /// The machine has AES, VAES and AVX2.
    #[target_feature(enable = "aes,vaes,avx2")]
    pub(super) unsafe fn fill(rounds: &[[u8; 16]; 11], hi: u64, lo: u64, out: &mut [u64]) -> usize {
        let key = |r: usize| {
            // SAFETY: sixteen bytes are read from an array of sixteen.
            let half = unsafe { _mm_loadu_si128(rounds[r].as_ptr().cast()) };
            _mm256_broadcastsi128_si256(half)
        };
        let keys: [__m256i; 11] = std::array::from_fn(key);
        let mut counter = _mm256_set_epi64x(lo.wrapping_add(1) as i64, hi as i64, lo as i64, hi as i64);
        let step = _mm256_set_epi64x(2, 0, 2, 0);
        let whole = out.len() / WORDS * WORDS;
        for words in out[..whole].chunks_exact_mut(WORDS) {
            let mut blocks = [counter; FLIGHT];
            for block in &mut blocks {
                *block = _mm256_xor_si256(counter, keys[0]);
                counter = _mm256_add_epi64(counter, step);
            }
            for round in &keys[1..10] {
                for block in &mut blocks {
                    *block = _mm256_aesenc_epi128(*block, *round);
                }
            }
            for (block, words) in blocks.iter().zip(words.chunks_exact_mut(4)) {
                let last = _mm256_aesenclast_epi128(*block, keys[10]);
                // SAFETY: four words are written to a slice of four.
                unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), last) };
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_answer() {
        // FIPS 197, appendix C.1.
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        let plain: [u8; 16] = std::array::from_fn(|i| 0x11 * i as u8);
        let want = 0x69c4e0d86a7b0430d8cdb78070b4c55au128.to_be_bytes();
        let word = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap());
        let mut out = [0; 2];
        Prg::new(key).fill(word(&plain[..8]), word(&plain[8..]), &mut out);
        assert_eq!(out, [word(&want[..8]), word(&want[8..])]);
        let mut long = [0; 64];
        Prg::new(key).fill(word(&plain[..8]), word(&plain[8..]), &mut long);
        assert_eq!(long[..2], out);
    }

    proptest! {
        #[test]
        fn paths_agree(key: [u8; 16], hi: u64, lo: u64, len in 0usize..300) {
            let prg = Prg::new(key);
            let (mut a, mut b) = (vec![0; len], vec![1; len]);
            prg.fill(hi, lo, &mut a);
            prg.fill_portably(hi, lo, &mut b);
            prop_assert_eq!(a, b);
        }
    }
}
