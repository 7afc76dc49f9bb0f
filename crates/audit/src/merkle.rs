//! Merkle trees and their proofs, by RFC 6962, 2.1. Verification follows RFC 9162, 2.1.3.2 and 2.1.4.2.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use sha2::{Digest, Sha256};

/// SHA-256; hexadecimal in files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

/// Hashes that prove something together with two roots, or with a leaf and a root.
pub type Proof = Vec<Hash>;

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&privity_api::hex(&self.0))
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Hash {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err("not a hash of 64 hexadecimal digits in lower case"),
        };
        let digits = text.bytes().map(digit).collect::<Result<Vec<u8>, _>>()?;
        let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, d| byte << 4 | d)).collect();
        match digits.len() {
            64 => Ok(Hash(bytes.try_into().expect("64 digits are 32 bytes"))),
            _ => Err("not a hash of 64 hexadecimal digits in lower case"),
        }
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// Hash of a leaf.
pub fn leaf(text: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(text).finalize().into())
}

fn node(left: Hash, right: Hash) -> Hash {
    Hash(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// A tree that grows. It keeps the hashes of leaves and of complete subtrees, 64 bytes a leaf, so that any root and proof takes `log^2` hashes at most.
#[derive(Default)]
pub struct Tree {
    /// `levels[k][i]` is the hash of leaves `i 2^k .. (i + 1) 2^k`.
    levels: Vec<Vec<Hash>>,
}

/// Where RFC 6962 splits a tree of `size >= 2` leaves.
fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

impl Tree {
    /// Leaves.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }
    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(hash);
            let [.., left, right] = row[..] else { return };
            if row.len() % 2 == 1 {
                return;
            }
            hash = node(left, right);
        }
    }
    /// The hash of a leaf.
    pub fn leaf(&self, index: u64) -> Option<Hash> {
        self.levels.first()?.get(usize::try_from(index).ok()?).copied()
    }
    /// The root of the first `size` leaves, if there are as many.
    pub fn root(&self, size: u64) -> Option<Hash> {
        match size {
            0 => Some(Hash(Sha256::digest([]).into())),
            _ => (size <= self.size()).then(|| self.subtree(0, size)),
        }
    }
    /// The proof that leaf `index` is in the tree of the first `size` leaves, if it is.
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Proof> {
        (index < size && size <= self.size()).then(|| {
            let mut path = Vec::new();
            self.path(index, 0, size, &mut path);
            path
        })
    }
    /// The proof that the tree of the first `old` leaves is the beginning of that of the first `new`, if both are there.
    pub fn consistency(&self, old: u64, new: u64) -> Option<Proof> {
        (old <= new && new <= self.size()).then(|| {
            let mut proof = Vec::new();
            if old > 0 {
                self.subproof(old, 0, new, true, &mut proof);
            }
            proof
        })
    }

    /// The hash over leaves `from..to`, which RFC 6962's splits lead to: `from` is a multiple of the power of two that is not smaller than their number.
    fn subtree(&self, from: u64, to: u64) -> Hash {
        let size = to - from;
        if size.is_power_of_two() {
            let level = size.trailing_zeros();
            return self.levels[level as usize][(from >> level) as usize];
        }
        let middle = from + split(size);
        node(self.subtree(from, middle), self.subtree(middle, to))
    }
    fn path(&self, index: u64, from: u64, to: u64, out: &mut Proof) {
        if to - from == 1 {
            return;
        }
        let middle = from + split(to - from);
        if index < middle {
            self.path(index, from, middle, out);
            out.push(self.subtree(middle, to));
        } else {
            self.path(index, middle, to, out);
            out.push(self.subtree(from, middle));
        }
    }
    /// `old` counts from the beginning of all; `whole` says whether the verifier knows the old subtree's hash.
    fn subproof(&self, old: u64, from: u64, to: u64, whole: bool, out: &mut Proof) {
        if old == to {
            if !whole {
                out.push(self.subtree(from, to));
            }
            return;
        }
        let middle = from + split(to - from);
        if old <= middle {
            self.subproof(old, from, middle, whole, out);
            out.push(self.subtree(middle, to));
        } else {
            self.subproof(old, middle, to, false, out);
            out.push(self.subtree(from, middle));
        }
    }
}

/// Whether a leaf with this hash is number `index` of `size` under `root`.
pub fn includes(index: u64, size: u64, leaf: Hash, root: Hash, proof: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for step in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node(*step, hash);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node(hash, *step);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == root
}

/// Whether the tree of `old` leaves under `old_root` is the beginning of that of `new` leaves under `new_root`.
pub fn extends(old: u64, old_root: Hash, new: u64, new_root: Hash, proof: &[Hash]) -> bool {
    if old == 0 || old >= new {
        let empty = old > 0 || old_root == Hash(Sha256::digest([]).into());
        return proof.is_empty() && empty && (old < new || old == new && old_root == new_root);
    }
    let first = old.is_power_of_two().then_some(old_root);
    let mut path = first.into_iter().chain(proof.iter().copied());
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let Some(seed) = path.next() else { return false };
    let (mut before, mut after) = (seed, seed);
    for step in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            (before, after) = (node(step, before), node(step, after));
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            after = node(after, step);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && before == old_root && after == new_root
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Leaves and roots of the reference implementation of Certificate Transparency (merkletree tests).
    const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn reference() -> Tree {
        let mut tree = Tree::default();
        LEAVES.iter().for_each(|text| tree.push(leaf(text)));
        tree
    }
    fn hashes(texts: &[&str]) -> Proof {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn vectors_of_certificate_transparency() {
        let tree = reference();
        for (size, root) in ROOTS.iter().enumerate() {
            assert_eq!(tree.root(size as u64).unwrap().to_string(), *root, "{size}");
        }
        let inclusion: &[(u64, u64, &[&str])] = &[
            (
                0,
                8,
                &[
                    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
                ],
            ),
            (
                5,
                8,
                &[
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                ],
            ),
            (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
            (
                1,
                5,
                &[
                    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                ],
            ),
        ];
        for (index, size, path) in inclusion {
            assert_eq!(tree.inclusion(*index, *size).unwrap(), hashes(path), "{index} of {size}");
        }
        let consistency: &[(u64, u64, &[&str])] = &[
            (1, 1, &[]),
            (
                1,
                8,
                &[
                    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
                ],
            ),
            (
                6,
                8,
                &[
                    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                ],
            ),
            (
                2,
                5,
                &[
                    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                ],
            ),
        ];
        for (old, new, path) in consistency {
            assert_eq!(tree.consistency(*old, *new).unwrap(), hashes(path), "{old} to {new}");
        }
    }

    /// RFC 6962, 2.1, read literally.
    fn literal(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash(Sha256::digest([]).into()),
            [one] => *one,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
                node(literal(left), literal(right))
            }
        }
    }

    #[test]
    fn every_root_and_proof_of_small_trees() {
        let leaves: Vec<Hash> = (0..40u8).map(|i| leaf(&[i])).collect();
        let mut tree = Tree::default();
        leaves.iter().for_each(|hash| tree.push(*hash));
        let root = |size: u64| tree.root(size).unwrap();
        for new in 0..=40u64 {
            assert_eq!(root(new), literal(&leaves[..new as usize]));
            for old in 0..=new {
                let proof = tree.consistency(old, new).unwrap();
                assert!(extends(old, root(old), new, root(new), &proof), "{old} to {new}");
                if let (true, Some(size)) = (old < new && old > 0, (1..=40).find(|s| *s != new && *s > old)) {
                    assert!(!extends(old, root(old), new, root(size), &proof));
                    assert!(!extends(old, leaves[0], new, root(new), &proof) || old == 1);
                    assert!(!extends(old, root(old), new, root(new), &proof[1..]));
                    assert!(!extends(old, root(old), new, root(new), &[&proof[..], &[leaves[0]]].concat()));
                }
            }
            for index in 0..new {
                let proof = tree.inclusion(index, new).unwrap();
                assert!(includes(index, new, leaves[index as usize], root(new), &proof));
                assert!(!includes(index, new, leaves[(index as usize + 1) % 40], root(new), &proof));
                assert!(!includes(new, new, leaves[index as usize], root(new), &proof));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!includes(index, new, leaves[index as usize], root(new), shorter));
                }
            }
        }
        assert_eq!(tree.root(41), None);
        assert_eq!(tree.consistency(3, 41), None);
        assert_eq!(tree.inclusion(40, 40), None);
    }

    #[test]
    fn sizes_of_any_kind_are_survived() {
        let hash = leaf(b"");
        for old in [0, 1, 2, 3, u64::MAX - 1, u64::MAX] {
            for new in [0, 1, 2, 3, u64::MAX - 1, u64::MAX] {
                assert!(!extends(old, hash, new, leaf(b"other"), &[hash; 70]));
                assert!(!includes(old, new, hash, leaf(b"other"), &[hash; 70]));
            }
        }
        assert!("é".repeat(32).parse::<Hash>().is_err());
    }
}
