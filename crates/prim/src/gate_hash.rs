//! The hash of garbled gates, and the gates themselves, so that labels stay in registers.
//!
//! `H(x, i) = E(s ^ i, y) ^ y` with `y = sigma(x)`, AES-128 as `E`, a key for every index, `s` public and random. Re-keying keeps the bound tight
//! over many gates and instances: Guo, Katz, Wang, Weng, Yu, CRYPTO 2020 (ideal-cipher model). Specification: docs/protocols/gc.md, 3.

#[cfg(target_arch = "x86_64")]
mod wide;

use aes::cipher::{BlockCipherEncrypt, KeyInit};

/// `sigma` with the halves `l`, `h` of `x`: the lower becomes `h`, the upper `l ^ h`. It and its sum with `x` are permutations. Without it,
/// `H(x ^ d) ^ d` would be a block whose key all know: whoever knows `x` would decrypt it and have `d`.
fn sigma(x: u128) -> u128 {
    x.rotate_left(64) ^ (x & UPPER)
}

const UPPER: u128 = (u64::MAX as u128) << 64;

/// ANDs that take their keys together. The layout is the same on all machines, however wide their registers are.
const GROUP: usize = 16;
/// With shared keys, so many in a group for each operand: every fourth AND has the same.
const SHARED: usize = 4;

/// Which keys ANDs have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keys {
    /// Each of its own, one for each operand.
    Apart,
    /// Four have one for each operand. **Only for one gate in several instances, whose labels are independent**: of two labels under one key
    /// that are equal, or differ by the difference, the tables tell the difference.
    Shared,
}

impl Keys {
    /// Indices that so many ANDs use up when they are done in one call.
    pub const fn of(self, ands: usize) -> u64 {
        (ands.div_ceil(GROUP) * 2 * self.per_operand()) as u64
    }
    /// Keys of a group for each operand.
    const fn per_operand(self) -> usize {
        match self {
            Keys::Apart => GROUP,
            Keys::Shared => SHARED,
        }
    }
}

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
        #[cfg(target_arch = "x86_64")]
        if wide::hash(self.start, index, labels, out) {
            return;
        }
        for (i, (label, out)) in labels.iter().zip(out).enumerate() {
            *out = self.cipher(index.wrapping_add(i as u64)).hash(*label);
        }
    }

    /// The same, and `ones[i] = H(labels[i] ^ difference, index + i)`, under the same keys.
    ///
    /// # Panics
    /// If there is not as much room as there are labels.
    pub fn hash_both(&self, index: u64, labels: &[u128], difference: u128, zeros: &mut [u128], ones: &mut [u128]) {
        assert_eq!((labels.len(), labels.len()), (zeros.len(), ones.len()), "a place for each hash");
        #[cfg(target_arch = "x86_64")]
        if wide::hash_both(self.start, index, labels, difference, zeros, ones) {
            return;
        }
        for (i, (label, (zero, one))) in labels.iter().zip(zeros.iter_mut().zip(ones)).enumerate() {
            let cipher = self.cipher(index.wrapping_add(i as u64));
            (*zero, *one) = (cipher.hash(*label), cipher.hash(*label ^ difference));
        }
    }

    /// Half gates, the garbler's side: from the labels of 0 of both operands both halves of each table, and the labels of 0 of the results.
    /// It uses up [`Keys::of`] indices. Time depends on the number only. Spec 3.3.
    ///
    /// # Panics
    /// If not all are as many.
    pub fn garble(
        &self,
        (index, keys): (u64, Keys),
        difference: u128,
        operands: [&[u128]; 2],
        tables: &mut [[u128; 2]],
        results: &mut [u128],
    ) {
        check(operands, tables.len(), results.len());
        #[cfg(target_arch = "x86_64")]
        if wide::garble(self.start, (index, keys), difference, operands, tables, results) {
            return;
        }
        let [left, right] = operands;
        for (i, (a, b)) in left.iter().zip(right).enumerate() {
            let of = self.pair(index, keys, i);
            let (a0, a1) = (of[0].hash(*a), of[0].hash(*a ^ difference));
            let (b0, b1) = (of[1].hash(*b), of[1].hash(*b ^ difference));
            let garbler = a0 ^ a1 ^ (difference & colour(*b));
            let evaluator = b0 ^ b1 ^ a;
            tables[i] = [garbler, evaluator];
            results[i] = a0 ^ (garbler & colour(*a)) ^ b0 ^ ((evaluator ^ a) & colour(*b));
        }
    }

    /// Half gates, the evaluator's side: from the active labels of both operands and the tables those of the results. Spec 4.1.
    ///
    /// # Panics
    /// If not all are as many.
    pub fn evaluate(
        &self,
        (index, keys): (u64, Keys),
        operands: [&[u128]; 2],
        tables: &[[u128; 2]],
        results: &mut [u128],
    ) {
        check(operands, tables.len(), results.len());
        #[cfg(target_arch = "x86_64")]
        if wide::evaluate(self.start, (index, keys), operands, tables, results) {
            return;
        }
        let [left, right] = operands;
        for (i, (a, b)) in left.iter().zip(right).enumerate() {
            let [of_a, of_b] = self.pair(index, keys, i);
            let [garbler, evaluator] = tables[i];
            results[i] = of_a.hash(*a) ^ (garbler & colour(*a)) ^ of_b.hash(*b) ^ ((evaluator ^ a) & colour(*b));
        }
    }

    fn cipher(&self, index: u64) -> Cipher {
        Cipher(aes::Aes128::new(&(self.start ^ u128::from(index)).to_le_bytes().into()))
    }

    /// The ciphers of both operands of the AND with this number in a call.
    fn pair(&self, index: u64, keys: Keys, number: usize) -> [Cipher; 2] {
        let per_operand = keys.per_operand();
        let first = index.wrapping_add(keys.of(number / GROUP * GROUP)).wrapping_add((number % per_operand) as u64);
        [self.cipher(first), self.cipher(first.wrapping_add(per_operand as u64))]
    }
}

struct Cipher(aes::Aes128);

impl Cipher {
    fn hash(&self, label: u128) -> u128 {
        let label = sigma(label);
        let mut block = label.to_le_bytes().into();
        self.0.encrypt_block(&mut block);
        label ^ u128::from_le_bytes(block.into())
    }
}

fn check([a, b]: [&[u128]; 2], tables: usize, results: usize) {
    assert_eq!((a.len(), a.len(), a.len()), (b.len(), tables, results), "operands, tables and results of each AND");
}

/// All ones if the lowest bit is 1.
fn colour(label: u128) -> u128 {
    (label & 1).wrapping_neg()
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

    /// Every key is used for as many labels of an operand as the bound says, and by nothing else.
    #[test]
    fn keys_are_not_shared_but_where_that_is_said() {
        for (keys, most) in [(Keys::Apart, 1), (Keys::Shared, 4)] {
            let mut uses = std::collections::HashMap::new();
            let mut index = 0;
            for ands in [1, 16, 17, 40, 5] {
                for i in 0..ands {
                    let of = keys.per_operand();
                    let first = index + keys.of(i / GROUP * GROUP) + (i % of) as u64;
                    *uses.entry(first).or_insert(0) += 1;
                    *uses.entry(first + of as u64).or_insert(0) += 1;
                    assert!(first + (of as u64) < index + keys.of(ands));
                }
                index += keys.of(ands);
            }
            assert!(uses.values().all(|n| *n <= most), "{keys:?}");
        }
    }

    fn at_every_level<T: PartialEq + std::fmt::Debug>(f: impl Fn() -> T) -> T {
        let portable = with_level(Level::Portable, &f);
        for level in [Level::Avx2, Level::Avx512] {
            assert_eq!(with_level(level, &f), portable, "{level:?}");
        }
        portable
    }

    proptest! {
        #[test]
        fn paths_agree(start: u128, index: u64, difference: u128, labels in prop::collection::vec(any::<u128>(), 0..70)) {
            let hash = GateHash::new(start);
            let room = || vec![0; labels.len()];
            let (alone, both, other) = at_every_level(|| {
                let (mut zeros, mut ones, mut alone) = (room(), room(), room());
                hash.hash_both(index, &labels, difference, &mut zeros, &mut ones);
                hash.hash(index, &labels, &mut alone);
                (alone, zeros, ones)
            });
            prop_assert_eq!(&alone, &both);
            let moved: Vec<u128> = labels.iter().map(|label| label ^ difference).collect();
            let mut alone = room();
            hash.hash(index, &moved, &mut alone);
            prop_assert_eq!(alone, other);
        }

        #[test]
        fn half_gates_are_ands_on_every_path(
            start: u128, index: u64, difference: u128, shared: bool,
            wires in prop::collection::vec(any::<([u128; 2], [bool; 2])>(), 0..70),
        ) {
            let (hash, difference) = (GateHash::new(start), difference | 1);
            let at = (index, if shared { Keys::Shared } else { Keys::Apart });
            let zeros = [0, 1].map(|side| wires.iter().map(|(labels, _)| labels[side]).collect::<Vec<_>>());
            let label = |zero: u128, value: bool| if value { zero ^ difference } else { zero };
            let active =
                [0, 1].map(|side| wires.iter().map(|(l, v)| label(l[side], v[side])).collect::<Vec<_>>());
            let (tables, results) = at_every_level(|| {
                let (mut tables, mut results) = (vec![[0; 2]; wires.len()], vec![0; wires.len()]);
                hash.garble(at, difference, [&zeros[0], &zeros[1]], &mut tables, &mut results);
                (tables, results)
            });
            let got = at_every_level(|| {
                let mut got = vec![0; wires.len()];
                hash.evaluate(at, [&active[0], &active[1]], &tables, &mut got);
                got
            });
            for (i, (_, values)) in wires.iter().enumerate() {
                prop_assert_eq!(got[i], label(results[i], values[0] & values[1]));
            }
        }
    }
}
