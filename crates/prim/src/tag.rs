//! Universal-hash tags of long messages.

use polyval::universal_hash::UniversalHash;
use polyval::{Block, Polyval};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// POLYVAL of a stream of words: a polynomial over GF(2^128) evaluated at the key, with a length block at the end.
///
/// Bound: for two different messages that were fixed without knowledge of the key, the tags are equal with probability at
/// most `L / 2^128`, where `L = ceil(words / 2) + 1` is the number of blocks of the longer one: 2^-104 for 256 MiB.
///
/// Contract: a key is used for one window of messages, and whoever could gain from a collision learns neither key nor tag
/// before the messages are fixed, since one tag of a known message gives the key away. Compare tags in constant time
/// ([`Tag::verify`]). The state is erased on drop.
pub struct Tag {
    hash: Hash,
    words: u64,
    /// The first half of a block, if the words so far are odd in number.
    half: Option<u64>,
}

impl std::fmt::Debug for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tag({} words)", self.words)
    }
}

impl Drop for Tag {
    fn drop(&mut self) {
        self.half.zeroize();
    }
}

impl Tag {
    /// An empty message under a key.
    pub fn new(key: [u8; 16]) -> Self {
        Tag { hash: Hash::new(key), words: 0, half: None }
    }

    /// Appends words, little-endian. Only the concatenation counts, not how it is cut into calls: where boundaries matter,
    /// absorb lengths first.
    pub fn absorb(&mut self, words: &[u64]) {
        self.words += words.len() as u64;
        let mut words = words;
        if let (Some(first), Some((&second, rest))) = (self.half, words.split_first()) {
            self.hash.update(&[[first, second]]);
            (self.half, words) = (None, rest);
        }
        let (blocks, odd) = words.as_chunks();
        self.hash.update(blocks);
        if let Some(word) = odd.first() {
            self.half = Some(*word);
        }
    }

    /// The tag: the last block filled up with zeros, then a block of eight zero bytes and the length in bits, as in
    /// AES-GCM-SIV (RFC 8452) without additional data.
    pub fn finish(mut self) -> [u8; 16] {
        if let Some(half) = self.half {
            self.hash.update(&[[half, 0]]);
        }
        self.hash.update(&[[0, 64 * self.words]]);
        self.hash.value()
    }

    /// Whether the tag is the expected one; takes the same time in either case.
    pub fn verify(self, expected: &[u8; 16]) -> bool {
        self.finish().as_slice().ct_eq(expected).into()
    }
}

/// `a b x^-128` in the field of [`Tag`]: for a uniform, secret `a` it hides which `b` it was made of, zero apart.
pub fn multiply(a: &[u8; 16], b: &[u8; 16]) -> [u8; 16] {
    let mut hash = Polyval::new(&(*a).into());
    hash.update(&[(*b).into()]);
    hash.finalize().into()
}

/// A running POLYVAL, by the fastest path of this processor (`PRIVITY_SIMD` included).
enum Hash {
    #[cfg(target_arch = "x86_64")]
    Wide(Box<wide::Hash>),
    Portable(Box<Polyval>),
}

impl Hash {
    fn new(key: [u8; 16]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(hash) = wide::Hash::detect(&key) {
            return Hash::Wide(Box::new(hash));
        }
        Hash::Portable(Box::new(Polyval::new(&key.into())))
    }

    /// Appends blocks of two words.
    fn update(&mut self, blocks: &[[u64; 2]]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Hash::Wide(hash) => hash.update(blocks),
            Hash::Portable(hash) => {
                let (blocks, _) = Block::slice_as_chunks(bytemuck::cast_slice(blocks));
                hash.update(blocks);
            }
        }
    }

    /// The hash so far.
    fn value(&self) -> [u8; 16] {
        match self {
            #[cfg(target_arch = "x86_64")]
            Hash::Wide(hash) => hash.value(),
            Hash::Portable(hash) => hash.clone().finalize().into(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    //! POLYVAL of sixteen blocks per reduction, two blocks per instruction: `S <- sum_i X_i H^(16-i)` with `S` added to `X_0`. The
    //! `polyval` crate multiplies one block per instruction.

    use privity_ring::simd::{Level, level};
    use std::arch::x86_64::*;
    use zeroize::Zeroizing;

    /// Blocks per reduction.
    const BLOCKS: usize = 16;
    /// `x^127 + x^126 + x^121 + 1`, as the reduction of POLYVAL needs it: the high and, shifted, the low half.
    const POLY: [u64; 2] = [0xc200_0000_0000_0000, 0xc200_0000_0000_0000];

    /// A running hash. It exists only on a processor with VPCLMULQDQ, PCLMULQDQ and AVX2.
    pub struct Hash {
        /// `H^16, .., H^1`.
        powers: Zeroizing<[[u64; 2]; BLOCKS]>,
        state: Zeroizing<[u64; 2]>,
    }

    impl Hash {
        /// The hash under a key, if the processor can and the SIMD level allows it.
        pub fn detect(key: &[u8; 16]) -> Option<Hash> {
            let has = level() >= Level::Avx2
                && is_x86_feature_detected!("vpclmulqdq")
                && is_x86_feature_detected!("pclmulqdq");
            has.then(|| {
                let mut powers = Zeroizing::new([bytemuck::cast(*key); BLOCKS]);
                for i in (0..BLOCKS - 1).rev() {
                    // SAFETY: the features that `fold` needs were just detected.
                    powers[i] = unsafe { fold(&powers[BLOCKS - 1..], powers[i + 1], &[[0, 0]]) };
                }
                Hash { powers, state: Zeroizing::new([0; 2]) }
            })
        }

        pub fn update(&mut self, blocks: &[[u64; 2]]) {
            let (whole, rest) = blocks.as_chunks::<BLOCKS>();
            // SAFETY: `self` exists, so `detect` has seen VPCLMULQDQ, PCLMULQDQ and AVX2.
            unsafe {
                for blocks in whole {
                    *self.state = fold_whole(&self.powers, *self.state, blocks);
                }
                if !rest.is_empty() {
                    *self.state = fold(&self.powers[BLOCKS - rest.len()..], *self.state, rest);
                }
            }
        }

        pub fn value(&self) -> [u8; 16] {
            bytemuck::cast(*self.state)
        }
    }

    #[target_feature(enable = "avx2,vpclmulqdq,pclmulqdq")]
    fn fold_whole(powers: &[[u64; 2]; BLOCKS], state: [u64; 2], blocks: &[[u64; 2]; BLOCKS]) -> [u64; 2] {
        let (powers, blocks): (&[[u64; 4]; 8], &[[u64; 4]; 8]) =
            (bytemuck::cast_ref(powers), bytemuck::cast_ref(blocks));
        let (mut low, mut middle, mut high) = (_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256());
        for (i, (power, block)) in powers.iter().zip(blocks).enumerate() {
            let (h, mut x): (__m256i, __m256i) = (bytemuck::cast(*power), bytemuck::cast(*block));
            if i == 0 {
                x = _mm256_xor_si256(x, bytemuck::cast([state[0], state[1], 0, 0]));
            }
            low = _mm256_xor_si256(low, _mm256_clmulepi64_epi128::<0x00>(x, h));
            high = _mm256_xor_si256(high, _mm256_clmulepi64_epi128::<0x11>(x, h));
            let crossed =
                _mm256_xor_si256(_mm256_clmulepi64_epi128::<0x01>(x, h), _mm256_clmulepi64_epi128::<0x10>(x, h));
            middle = _mm256_xor_si256(middle, crossed);
        }
        let halves = |x: __m256i| _mm_xor_si128(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
        bytemuck::cast(reduce(halves(low), halves(middle), halves(high)))
    }

    /// The same for fewer blocks, of which there are as many as powers.
    #[target_feature(enable = "avx2,vpclmulqdq,pclmulqdq")]
    fn fold(powers: &[[u64; 2]], state: [u64; 2], blocks: &[[u64; 2]]) -> [u64; 2] {
        let (mut low, mut middle, mut high) = (_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128());
        for (i, (power, block)) in powers.iter().zip(blocks).enumerate() {
            let (h, mut x): (__m128i, __m128i) = (bytemuck::cast(*power), bytemuck::cast(*block));
            if i == 0 {
                x = _mm_xor_si128(x, bytemuck::cast(state));
            }
            low = _mm_xor_si128(low, _mm_clmulepi64_si128::<0x00>(x, h));
            high = _mm_xor_si128(high, _mm_clmulepi64_si128::<0x11>(x, h));
            middle = _mm_xor_si128(middle, _mm_clmulepi64_si128::<0x01>(x, h));
            middle = _mm_xor_si128(middle, _mm_clmulepi64_si128::<0x10>(x, h));
        }
        bytemuck::cast(reduce(low, middle, high))
    }

    /// A product of 256 bits times `x^-128`: Montgomery reduction, half a block at a time.
    #[inline]
    #[target_feature(enable = "avx2,vpclmulqdq,pclmulqdq")]
    fn reduce(low: __m128i, middle: __m128i, high: __m128i) -> __m128i {
        let low = _mm_xor_si128(low, _mm_slli_si128::<8>(middle));
        let high = _mm_xor_si128(high, _mm_srli_si128::<8>(middle));
        let poly: __m128i = bytemuck::cast(POLY);
        let swapped = |x: __m128i| _mm_shuffle_epi32::<0x4e>(x);
        let once = _mm_xor_si128(swapped(low), _mm_clmulepi64_si128::<0x00>(low, poly));
        let twice = _mm_xor_si128(swapped(once), _mm_clmulepi64_si128::<0x00>(once, poly));
        _mm_xor_si128(high, twice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use privity_ring::simd::{Level, with_level};
    use proptest::prelude::*;

    fn bytes(hex: &str) -> [u8; 16] {
        std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
    }

    fn tag(key: [u8; 16], words: &[u64]) -> [u8; 16] {
        let mut tag = Tag::new(key);
        tag.absorb(words);
        tag.finish()
    }

    /// RFC 8452, appendix A: the hash itself.
    #[test]
    fn polyval_vector() {
        let mut tag = Tag::new(bytes("25629347589242761d31f826ba4b757b"));
        for x in ["4f4f95668c83dfb6401762bb2d01a262", "d1a24ddd2721d006bbe45f20d3c9f362"] {
            tag.absorb(&bytemuck::cast::<[u8; 16], [u64; 2]>(bytes(x)));
        }
        assert_eq!(tag.hash.value(), bytes("f7a3b47b846119fae5b7866cf5e5b77e"));
    }

    /// RFC 8452, appendix C.1, the eight-byte plaintext: padding and length block.
    #[test]
    fn padded_vector() {
        assert_eq!(tag(bytes("d9b360279694941ac5dbc6987ada7377"), &[1]), bytes("eb93b7740962c5e49d2a90a7dc5cec74"));
    }

    #[test]
    fn products_are_bilinear() {
        let xor = |a: [u8; 16], b: [u8; 16]| std::array::from_fn(|i| a[i] ^ b[i]);
        let (a, b, c) = ([7; 16], [9; 16], [200; 16]);
        assert_eq!(multiply(&a, &xor(b, c)), xor(multiply(&a, &b), multiply(&a, &c)));
        assert_eq!(multiply(&a, &b), multiply(&b, &a));
        assert_eq!(multiply(&a, &[0; 16]), [0; 16]);
    }

    #[test]
    fn padding_is_not_ambiguous() {
        let key = [9; 16];
        let tags = [tag(key, &[]), tag(key, &[0]), tag(key, &[0, 0]), tag(key, &[0, 0, 0])];
        for (i, a) in tags.iter().enumerate() {
            assert!(tags[..i].iter().all(|b| a != b), "message of {i} zero words");
        }
    }

    proptest! {
        #[test]
        fn paths_agree(key: [u8; 16], seed: u64, len in 0usize..200) {
            let words: Vec<u64> = (0..len as u64).map(|i| (seed ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            let mut portable = with_level(Level::Portable, || Tag::new(key));
            prop_assert!(matches!(portable.hash, Hash::Portable(_)));
            portable.absorb(&words);
            prop_assert_eq!(portable.finish(), tag(key, &words));
        }

        #[test]
        fn cuts_do_not_matter(key: [u8; 16], words in prop::collection::vec(any::<u64>(), 0..60), cuts in prop::collection::vec(0usize..9, 0..30)) {
            let mut cut = Tag::new(key);
            let mut rest = &words[..];
            for n in cuts {
                let (head, tail) = rest.split_at(n.min(rest.len()));
                cut.absorb(head);
                rest = tail;
            }
            cut.absorb(rest);
            prop_assert!(cut.verify(&tag(key, &words)));
        }

        #[test]
        fn a_changed_word_changes_the_tag(key: [u8; 16], mut words in prop::collection::vec(any::<u64>(), 1..60), bit in 0u32..64) {
            let before = tag(key, &words);
            let at = words.len() / 2;
            words[at] ^= 1 << bit;
            prop_assert!(key == [0; 16] || before != tag(key, &words));
        }
    }
}
