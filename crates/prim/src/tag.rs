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
    hash: Polyval,
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
        Tag { hash: Polyval::new(&key.into()), words: 0, half: None }
    }

    /// Appends words, little-endian. Only the concatenation counts, not how it is cut into calls: where boundaries matter,
    /// absorb lengths first.
    pub fn absorb(&mut self, words: &[u64]) {
        self.words += words.len() as u64;
        let mut words = words;
        if let (Some(first), Some((&second, rest))) = (self.half, words.split_first()) {
            self.hash.update(&[block(first, second)]);
            (self.half, words) = (None, rest);
        }
        let (blocks, odd) = Block::slice_as_chunks(bytemuck::cast_slice(words));
        self.hash.update(blocks);
        if !odd.is_empty() {
            self.half = words.last().copied();
        }
    }

    /// The tag: the last block filled up with zeros, then a block of eight zero bytes and the length in bits, as in
    /// AES-GCM-SIV (RFC 8452) without additional data.
    pub fn finish(mut self) -> [u8; 16] {
        if let Some(half) = self.half {
            self.hash.update(&[block(half, 0)]);
        }
        self.hash.update(&[block(0, 64 * self.words)]);
        self.hash.clone().finalize().into()
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

fn block(low: u64, high: u64) -> Block {
    bytemuck::cast::<[u64; 2], [u8; 16]>([low, high]).into()
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let hash: [u8; 16] = tag.hash.clone().finalize().into();
        assert_eq!(hash, bytes("f7a3b47b846119fae5b7866cf5e5b77e"));
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
