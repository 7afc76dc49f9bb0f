//! What is shared additively: words modulo 2^64, residues modulo 2^61 - 1, and bits, 64 a word. Vectors are words.

use crate::masked;
use crate::polynomial::{Field, Prime};
use privity_ot::products;
use privity_ring::kernels::gemm::Acc;
use privity_ring::{Bilinear, M61, Ring, Tensor, mersenne, simd::vectorise};

/// A group of which parties hold summands.
pub trait Group: 'static {
    /// Makes uniform words uniform elements; `more` gives further words, for a word that is none.
    fn uniform(words: &mut [u64], more: impl FnMut() -> u64);
    /// Makes words of others elements.
    fn received(words: &mut [u64]);
    /// `out += x`.
    fn add_assign(out: &mut [u64], x: &[u64]);
    /// `out -= x`.
    fn sub_assign(out: &mut [u64], x: &[u64]);
}

/// A ring of numbers that can be shared additively: words modulo 2^64 or residues modulo 2^61 - 1.
pub trait Number: Ring + Group {
    /// Bits of an element.
    const BITS: usize;
    /// Whether the modulus is a power of two.
    const BINARY: bool;
    /// What makes values that are divided positive: twice as much has a clear top bit.
    const OFFSET: u64;
    /// Words that a transfer answers with for each word of a vector times an element.
    const PRODUCT_WORDS: usize;
    /// `2^exponent`, as a word.
    fn power_of_two(exponent: usize) -> u64;
    /// Elements as words.
    fn words(elements: &[Self]) -> &[u64];
    /// Words, elements all, as elements.
    fn elements(words: Vec<u64>) -> Vec<Self>;
    /// `out += c x`, `c` a word and an element.
    fn add_scaled(out: &mut [u64], c: u64, x: &[u64]);
    /// `out += c`.
    fn offset_assign(out: &mut [u64], c: u64);
    /// `out += x op y`.
    fn add_product(op: Bilinear, x: &Tensor<Self>, y: &Tensor<Self>, out: &mut [u64]);
    /// The sender's side of an element times a vector: docs/protocols/ot.md, 5.
    fn send_product(pairs: &[products::Pair], vector: &[u64], message: &mut [u64], share: &mut [u64]);
    /// The receiver's.
    fn receive_product(keys: &[u128], choice: u64, message: &[u64], share: &mut [u64]);
    /// The sender's side of bits times elements.
    fn send_words(pairs: &[products::Pair], values: &[u64], message: &mut [u64], share: &mut [u64]);
    /// The receiver's.
    fn receive_words(keys: &[u128], choices: &[u64], message: &[u64], share: &mut [u64]);
}

/// Bits, 64 a word.
pub(crate) struct Packed;

impl Group for Packed {
    fn uniform(_: &mut [u64], _: impl FnMut() -> u64) {}
    fn received(_: &mut [u64]) {}
    fn add_assign(out: &mut [u64], x: &[u64]) {
        masked::xor_assign(out, x);
    }
    fn sub_assign(out: &mut [u64], x: &[u64]) {
        masked::xor_assign(out, x);
    }
}

impl Group for u64 {
    fn uniform(_: &mut [u64], _: impl FnMut() -> u64) {}
    fn received(_: &mut [u64]) {}
    fn add_assign(out: &mut [u64], x: &[u64]) {
        masked::add_assign(out, x);
    }
    fn sub_assign(out: &mut [u64], x: &[u64]) {
        masked::sub_assign(out, x);
    }
}

impl Number for u64 {
    const BITS: usize = 64;
    const BINARY: bool = true;
    const OFFSET: u64 = 1 << 62;
    const PRODUCT_WORDS: usize = products::PRODUCT_WORDS;
    fn power_of_two(exponent: usize) -> u64 {
        1u64.checked_shl(exponent as u32).unwrap_or(0)
    }
    fn words(elements: &[u64]) -> &[u64] {
        elements
    }
    fn elements(words: Vec<u64>) -> Vec<u64> {
        words
    }
    fn add_scaled(out: &mut [u64], c: u64, x: &[u64]) {
        vectorise(|| out.iter_mut().zip(x).for_each(|(o, x)| *o = o.wrapping_add(c.wrapping_mul(*x))));
    }
    fn offset_assign(out: &mut [u64], c: u64) {
        vectorise(|| out.iter_mut().for_each(|o| *o = o.wrapping_add(c)));
    }
    fn add_product(op: Bilinear, x: &Tensor<u64>, y: &Tensor<u64>, out: &mut [u64]) {
        op.eval_into(Acc::Add, out, x, y);
    }
    fn send_product(pairs: &[products::Pair], vector: &[u64], message: &mut [u64], share: &mut [u64]) {
        products::send_product(pairs, vector, message, share);
    }
    fn receive_product(keys: &[u128], choice: u64, message: &[u64], share: &mut [u64]) {
        products::receive_product(keys, choice, message, share);
    }
    fn send_words(pairs: &[products::Pair], values: &[u64], message: &mut [u64], share: &mut [u64]) {
        products::send_words(pairs, values, message, share);
    }
    fn receive_words(keys: &[u128], choices: &[u64], message: &[u64], share: &mut [u64]) {
        products::receive_words(keys, choices, message, share);
    }
}

impl Group for M61 {
    fn uniform(words: &mut [u64], more: impl FnMut() -> u64) {
        Prime.uniform(words, more);
    }
    fn received(words: &mut [u64]) {
        mersenne::reduce_all(words);
    }
    fn add_assign(out: &mut [u64], x: &[u64]) {
        mersenne::add_assign(out, x);
    }
    fn sub_assign(out: &mut [u64], x: &[u64]) {
        mersenne::add_scaled(out, M61::from_u64(1).negated(), x);
    }
}

impl Number for M61 {
    const BITS: usize = 61;
    const BINARY: bool = false;
    const OFFSET: u64 = 1 << 59;
    const PRODUCT_WORDS: usize = products::RESIDUE_WORDS;
    fn power_of_two(exponent: usize) -> u64 {
        M61::power_of_two(exponent as u32).word()
    }
    fn words(elements: &[M61]) -> &[u64] {
        mersenne::words(elements)
    }
    fn elements(words: Vec<u64>) -> Vec<M61> {
        mersenne::elements(words)
    }
    fn add_scaled(out: &mut [u64], c: u64, x: &[u64]) {
        mersenne::add_scaled(out, M61::of_word(c), x);
    }
    fn offset_assign(out: &mut [u64], c: u64) {
        mersenne::offset_assign(out, M61::of_word(c));
    }
    fn add_product(op: Bilinear, x: &Tensor<M61>, y: &Tensor<M61>, out: &mut [u64]) {
        mersenne::add_product(op, x, y, out);
    }
    fn send_product(pairs: &[products::Pair], vector: &[u64], message: &mut [u64], share: &mut [u64]) {
        products::send_residue_product(pairs, vector, message, share);
    }
    fn receive_product(keys: &[u128], choice: u64, message: &[u64], share: &mut [u64]) {
        products::receive_residue_product(keys, choice, message, share);
    }
    fn send_words(pairs: &[products::Pair], values: &[u64], message: &mut [u64], share: &mut [u64]) {
        products::send_residues(pairs, values, message, share);
    }
    fn receive_words(keys: &[u128], choices: &[u64], message: &[u64], share: &mut [u64]) {
        products::receive_residues(keys, choices, message, share);
    }
}

/// Words as a tensor of the declared shape.
pub(crate) fn tensor<R: Number>(shape: &privity_ring::Shape, words: Vec<u64>) -> Tensor<R> {
    Tensor::new(shape.clone(), R::elements(words))
}
