//! What is random and correlated, and where it comes from.

use super::{Number, Session};
use crate::Result;
use crate::share::Planes;
use privity_ring::{Bilinear, Shape, Tensor};

/// A product that is wanted: the operation and the shapes of its operands.
pub(crate) type Factors = (Bilinear, Shape, Shape);

/// Shares of `c = a op b`, `a` and `b` uniform.
pub(crate) struct Triple<R: Number> {
    pub a: Tensor<R>,
    pub b: Tensor<R>,
    pub c: Vec<u64>,
}

/// Shares of `c = a & b`, bit by bit.
#[derive(Default)]
pub(crate) struct BitTriples {
    pub a: Vec<u64>,
    pub b: Vec<u64>,
    pub c: Vec<u64>,
}

impl BitTriples {
    /// The last so many words of what is left, each used once.
    pub fn take(&mut self, words: usize) -> BitTriples {
        let left = self.a.len().checked_sub(words).expect("as many as were counted");
        BitTriples { a: self.a.split_off(left), b: self.b.split_off(left), c: self.c.split_off(left) }
    }
}

/// Shares of uniform bits: by XOR, packed, and as numbers 0 and 1.
pub(crate) struct DaBits {
    pub bits: Vec<u64>,
    pub numbers: Vec<u64>,
}

/// Shares of uniform numbers and of their bits. Modulo a power of two the numbers may be right modulo 2 to the number of bits only.
pub(crate) struct EdaBits {
    pub numbers: Vec<u64>,
    pub bits: Planes,
}

/// Shares of uniform numbers `r`, of `floor(r / 2^shift)` and of the top bit, as numbers; the low `shift` bits and the top one as bits where asked for.
pub(crate) struct Divisors {
    pub r: Vec<u64>,
    pub high: Vec<u64>,
    pub top: Vec<u64>,
    pub bits: Planes,
}

/// Where correlated randomness comes from. All parties of a session call the same methods with the same lengths, a dealer, too; what it is given means
/// nothing.
pub(crate) trait Source<R: Number>: Send {
    /// One for each product, whatever its size.
    fn triples(&mut self, session: &mut Session, jobs: &[Factors]) -> Result<Vec<Triple<R>>>;
    /// So many words.
    fn bit_triples(&mut self, session: &mut Session, words: usize) -> Result<BitTriples>;
    /// `len` bits, whole words.
    fn dabits(&mut self, session: &mut Session, len: usize) -> Result<DaBits>;
    /// `len` numbers of `width` bits, all there are if the modulus is no power of two.
    fn edabits(&mut self, session: &mut Session, len: usize, width: usize) -> Result<EdaBits>;
    /// `len` numbers for a division by `2^shift`.
    fn divisors(&mut self, session: &mut Session, len: usize, shift: usize, exact: bool) -> Result<Divisors>;
}
