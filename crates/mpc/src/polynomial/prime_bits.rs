//! Bits shared as the numbers 0 and 1 of the prime field.

use crate::BitShare;
use privity_ring::{M61, Shape, Tensor};

/// One party's shares of bits as numbers, plane after plane. XOR is no linear map of them: it is kept as what is to be computed, until something
/// needs the bits. `Debug` prints extents only.
#[derive(Clone)]
pub struct PrimeBits {
    len: usize,
    width: usize,
    /// Matrices of one plane a row; the bits are the XOR of what they share.
    pub(crate) terms: Vec<Tensor<M61>>,
}

impl std::fmt::Debug for PrimeBits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrimeBits[{} x {} bits]", self.len, self.width)
    }
}

impl PrimeBits {
    /// A matrix of one plane a row.
    pub(crate) fn new(planes: Tensor<M61>) -> Self {
        PrimeBits { len: planes.cols(), width: planes.rows(), terms: vec![planes] }
    }
    /// The sharing of the inverse bits.
    pub(crate) fn inverted(&self) -> Self {
        let mut inverse = self.clone();
        inverse.terms[0] = Tensor::fill(inverse.terms[0].shape(), 1).sub(&inverse.terms[0]);
        inverse
    }
}

impl BitShare for PrimeBits {
    fn len(&self) -> usize {
        self.len
    }
    fn width(&self) -> usize {
        self.width
    }
    fn xor(&self, o: &Self) -> Self {
        assert_eq!((self.len, self.width), (o.len, o.width), "bit operands must have one length and width");
        let terms = self.terms.iter().chain(&o.terms).cloned().collect();
        PrimeBits { terms, ..*self }
    }
    fn plane(&self, i: usize) -> Self {
        PrimeBits { width: 1, terms: self.terms.iter().map(|term| term.slice_rows(i, i + 1)).collect(), ..*self }
    }
    fn stack(planes: &[&Self]) -> Self {
        let len = planes.first().expect("at least one sharing").len;
        assert!(planes.iter().all(|p| p.len == len && p.width == 1), "stack takes one-bit sharings of one length");
        // What is the XOR of fewer terms is that of zeros, too.
        let zero = Tensor::zeros(&Shape::matrix(1, len));
        let most = planes.iter().map(|p| p.terms.len()).max().unwrap_or(1);
        let term =
            |k: usize| Tensor::concat_rows(&planes.iter().map(|p| p.terms.get(k).unwrap_or(&zero)).collect::<Vec<_>>());
        PrimeBits { len, width: planes.len(), terms: (0..most).map(term).collect() }
    }
}
