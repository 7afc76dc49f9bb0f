//! AES-128 in counter mode as a random-access pseudorandom generator.

use aes::cipher::{BlockCipherEncrypt, KeyInit};

/// A pseudorandom function from a key: 128-bit block number to 128-bit block.
///
/// Contract: a `(key, hi, lo)` block masks one value and is never used again. So every call site has a fresh `hi`
/// (program step and label), and a range `lo..` that overlaps no other range of that `hi`. As AES is a permutation, blocks
/// never repeat under one key; an adversary tells `q` of them from random ones with advantage `q^2 / 2^129` at most,
/// beyond breaking AES itself.
///
/// The key schedule is erased on drop.
pub struct Prg(Schedule);

enum Schedule {
    #[cfg(target_arch = "x86_64")]
    Vaes(vaes::RoundKeys),
    Portable(aes::Aes128),
}

impl std::fmt::Debug for Prg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prg(..)")
    }
}

impl Prg {
    /// The generator of a key, by the fastest path of this processor (`PRIVITY_SIMD` included).
    pub fn new(key: [u8; 16]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(keys) = vaes::RoundKeys::detect(&key) {
            return Prg(Schedule::Vaes(keys));
        }
        Prg(Schedule::Portable(aes::Aes128::new(&key.into())))
    }

    /// Fills `out` with the blocks `lo, lo + 1, ..` of `hi`.
    ///
    /// AES encrypts the 16 bytes `hi` (8 bytes, little-endian) then `lo` (8 bytes, little-endian). Bytes 0..8 of the result
    /// are the first word of the block, little-endian, bytes 8..16 the second; of an odd `out` the last word is the first
    /// word of its block. The call uses up `ceil(out.len() / 2)` blocks.
    ///
    /// # Panics
    /// If the block numbers exceed 64 bits, since they would start again at 0.
    pub fn fill(&self, hi: u64, lo: u64, out: &mut [u64]) {
        let blocks = out.len().div_ceil(2) as u64;
        assert!(
            lo.checked_add(blocks).is_some(),
            "PRG block numbers must not wrap; draw less under one step and label"
        );
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Schedule::Vaes(keys) => keys.fill(hi, lo, out),
            Schedule::Portable(cipher) => portable(cipher, hi, lo, out),
        }
    }
}

/// By the `aes` crate, in batches: its single-block calls are several times slower.
fn portable(cipher: &aes::Aes128, hi: u64, lo: u64, out: &mut [u64]) {
    const BATCH: usize = 64;
    let mut blocks = [aes::Block::default(); BATCH];
    for (batch, out) in out.chunks_mut(2 * BATCH).enumerate() {
        let blocks = &mut blocks[..out.len().div_ceil(2)];
        for (i, block) in blocks.iter_mut().enumerate() {
            block[..8].copy_from_slice(&hi.to_le_bytes());
            block[8..].copy_from_slice(&(lo + (batch * BATCH + i) as u64).to_le_bytes());
        }
        cipher.encrypt_blocks(blocks);
        for (out, block) in out.chunks_mut(2).zip(blocks) {
            let words: [u64; 2] = bytemuck::cast(<[u8; 16]>::from(*block));
            out.copy_from_slice(&words[..out.len()]);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod vaes {
    //! AES on two blocks per instruction. The `aes` crate cannot inline its kernel into a caller compiled for a generic
    //! target, which costs it more than half of the speed.

    use privity_ring::simd::{Level, level};
    use std::arch::x86_64::*;
    use zeroize::Zeroizing;

    /// Registers in flight: the latency of an AES round times its throughput.
    const FLIGHT: usize = 8;
    /// Words of one step: four per register.
    const WORDS: usize = 4 * FLIGHT;

    /// An AES-128 key schedule. It exists only on a processor with VAES and AVX2.
    pub struct RoundKeys(Zeroizing<[[u8; 16]; 11]>);

    impl RoundKeys {
        /// The schedule of a key, if the processor has VAES and the SIMD level allows it.
        pub fn detect(key: &[u8; 16]) -> Option<RoundKeys> {
            let has = level() >= Level::Avx2 && is_x86_feature_detected!("vaes") && is_x86_feature_detected!("aes");
            // SAFETY: the features that `expand` needs were just detected (AVX2 by the level).
            has.then(|| RoundKeys(Zeroizing::new(unsafe { expand(key) })))
        }
        /// See [`super::Prg::fill`].
        pub fn fill(&self, hi: u64, lo: u64, out: &mut [u64]) {
            // SAFETY: `self` exists, so `detect` has seen VAES, AES and AVX2.
            unsafe { fill(&self.0, hi, lo, out) }
        }
    }

    /// The key expansion of FIPS 197, section 5.2.
    #[target_feature(enable = "avx2,aes")]
    fn expand(key: &[u8; 16]) -> [[u8; 16]; 11] {
        let mut keys = [*key; 11];
        let mut round: u32 = 1;
        for i in 1..11 {
            let last: __m128i = bytemuck::cast(keys[i - 1]);
            // Word 2 of the assist is SubWord of the last word, word 3 its rotation; the round constant goes in after it.
            let assist = _mm_shuffle_epi32::<0xff>(_mm_aeskeygenassist_si128::<0>(last));
            let assist = _mm_xor_si128(assist, _mm_set1_epi32(round as i32));
            let mut sum = last;
            for _ in 0..3 {
                sum = _mm_xor_si128(last, _mm_slli_si128::<4>(sum));
            }
            keys[i] = bytemuck::cast(_mm_xor_si128(sum, assist));
            round = (round << 1) ^ if round & 0x80 == 0 { 0 } else { 0x11b }; // doubling in GF(2^8); the index is public
        }
        keys
    }

    #[target_feature(enable = "avx2,vaes,aes")]
    fn fill(keys: &[[u8; 16]; 11], hi: u64, lo: u64, out: &mut [u64]) {
        let mut wide = [_mm256_setzero_si256(); 11];
        for (wide, key) in wide.iter_mut().zip(keys) {
            *wide = _mm256_broadcastsi128_si256(bytemuck::cast(*key));
        }
        let (hi, lo) = (hi as i64, lo as i64);
        let mut counter = _mm256_set_epi64x(lo.wrapping_add(1), hi, lo, hi);
        let (steps, tail) = out.as_chunks_mut::<WORDS>();
        for step in steps {
            *step = bytemuck::cast(encrypt(&wide, &mut counter));
        }
        if !tail.is_empty() {
            let words: [u64; WORDS] = bytemuck::cast(encrypt(&wide, &mut counter));
            tail.copy_from_slice(&words[..tail.len()]);
        }
    }

    /// The next `2 * FLIGHT` blocks from a counter.
    #[inline]
    #[target_feature(enable = "avx2,vaes,aes")]
    fn encrypt(keys: &[__m256i; 11], counter: &mut __m256i) -> [__m256i; FLIGHT] {
        let two = _mm256_set_epi64x(2, 0, 2, 0);
        let mut blocks = [_mm256_setzero_si256(); FLIGHT];
        for block in &mut blocks {
            *block = _mm256_xor_si256(*counter, keys[0]);
            *counter = _mm256_add_epi64(*counter, two);
        }
        for key in &keys[1..10] {
            for block in &mut blocks {
                *block = _mm256_aesenc_epi128(*block, *key);
            }
        }
        for block in &mut blocks {
            *block = _mm256_aesenclast_epi128(*block, keys[10]);
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use privity_ring::simd::{Level, with_level};
    use proptest::prelude::*;

    /// FIPS 197, appendix C.1: the plaintext's halves are `hi` and `lo`.
    #[test]
    fn known_answer() {
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        let (hi, lo) = (0x7766_5544_3322_1100, 0xffee_ddcc_bbaa_9988);
        let expected: [u64; 2] = bytemuck::cast([
            0x69u8, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30, 0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a,
        ]);
        for level in [Level::Portable, Level::Avx512] {
            let mut out = [0; 2];
            with_level(level, || Prg::new(key)).fill(hi, lo, &mut out);
            assert_eq!(out, expected, "{level:?}");
        }
    }

    #[test]
    #[should_panic(expected = "must not wrap")]
    fn block_numbers_may_not_start_again() {
        Prg::new([0; 16]).fill(0, u64::MAX, &mut [0; 4]);
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", Prg::new([7; 16])), "Prg(..)");
    }

    proptest! {
        #[test]
        fn paths_agree(key: [u8; 16], hi: u64, lo in 0u64..=u64::MAX / 2, len in 0usize..700) {
            let (mut fast, mut portable) = (vec![1; len], vec![2; len]);
            Prg::new(key).fill(hi, lo, &mut fast);
            with_level(Level::Portable, || Prg::new(key)).fill(hi, lo, &mut portable);
            prop_assert_eq!(fast, portable);
        }

        #[test]
        fn any_block_can_be_drawn_alone(key: [u8; 16], lo in 0u64..1000, at in 0usize..200) {
            let prg = Prg::new(key);
            let (mut all, mut one) = (vec![0; 400], [0; 2]);
            prg.fill(5, lo, &mut all);
            prg.fill(5, lo + at as u64, &mut one);
            prop_assert_eq!(&all[2 * at..2 * at + 2], &one);
        }
    }
}
