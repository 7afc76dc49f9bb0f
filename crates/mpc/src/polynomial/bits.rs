//! Bits shared by polynomials over a small binary field.

use super::{Binary, Field};
use crate::BitShare;
use crate::share::plane_words;
use privity_ring::{M61, Tensor};
use std::sync::Arc;

/// One party's shares of bits: each of a binary field's coefficients as planes. `Debug` prints extents only.
#[derive(Clone)]
pub struct PolynomialBits {
    len: usize,
    width: usize,
    pub(crate) field: Binary,
    /// Coefficient after coefficient, plane after plane.
    pub(crate) words: Vec<u64>,
    /// Once armed: the bits as shared numbers.
    pub(crate) armed: Option<Arc<Tensor<M61>>>,
}

impl std::fmt::Debug for PolynomialBits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PolynomialBits[{} x {} bits]", self.len, self.width)
    }
}

impl PolynomialBits {
    pub(crate) fn new(field: Binary, len: usize, width: usize, words: Vec<u64>) -> Self {
        assert_eq!(words.len(), field.parts() * width * plane_words(len), "packed words must fill the planes");
        PolynomialBits { len, width, field, words, armed: None }
    }
    pub(crate) fn zeros(field: Binary, len: usize, width: usize) -> Self {
        Self::new(field, len, width, vec![0; field.parts() * width * plane_words(len)])
    }
    /// Words of one coefficient.
    pub(crate) fn part_words(&self) -> usize {
        self.width * plane_words(self.len)
    }
    /// The planes that `pick` names, in its order; zeros for `None`.
    pub(crate) fn pick(&self, planes: impl Iterator<Item = Option<usize>> + Clone) -> Self {
        let (n, part) = (plane_words(self.len), self.part_words());
        let mut words = Vec::with_capacity(self.field.parts() * n * planes.size_hint().0);
        for c in 0..self.field.parts() {
            for plane in planes.clone() {
                match plane {
                    Some(plane) => words.extend_from_slice(&self.words[c * part + plane * n..][..n]),
                    None => words.resize(words.len() + n, 0),
                }
            }
        }
        let width = words.len().checked_div(self.field.parts() * n).unwrap_or_else(|| planes.count());
        Self::new(self.field, self.len, width, words)
    }
    /// The planes from one on, as many as said.
    pub(crate) fn planes(&self, from: usize, width: usize) -> Self {
        self.pick((from..from + width).map(Some))
    }
    /// Every bit `i` becomes bit `i + by`; zeros enter below.
    pub(crate) fn shifted(&self, by: usize) -> Self {
        self.pick((0..self.width).map(|i| i.checked_sub(by)))
    }
    /// The lowest planes made ones, which are public.
    pub(crate) fn with_ones(mut self, planes: usize) -> Self {
        let ones = planes * plane_words(self.len);
        self.words[..ones].fill(u64::MAX);
        (1..self.field.parts()).for_each(|c| {
            let part = c * self.part_words();
            self.words[part..part + ones].fill(0);
        });
        self
    }
    /// The sharing of the inverse bits: every share plus one, as one is.
    pub(crate) fn inverted(&self) -> Self {
        let mut result = self.clone();
        let part = self.part_words();
        result.words[..part].iter_mut().for_each(|word| *word = !*word);
        result.armed = None;
        result
    }
    /// Planes of several sharings one above the other, the first lowest.
    pub(crate) fn above(parts: &[&Self]) -> Self {
        let first = parts[0];
        let mut words = Vec::with_capacity(parts.iter().map(|p| p.words.len()).sum());
        for c in 0..first.field.parts() {
            for p in parts {
                let part = p.part_words();
                words.extend_from_slice(&p.words[c * part..(c + 1) * part]);
            }
        }
        Self::new(first.field, first.len, parts.iter().map(|p| p.width).sum(), words)
    }
}

impl PolynomialBits {
    /// The same bits, armed with their numbers.
    pub(crate) fn with_numbers(&self, numbers: Tensor<M61>) -> Self {
        PolynomialBits { armed: Some(Arc::new(numbers)), ..self.clone() }
    }
}

impl BitShare for PolynomialBits {
    fn len(&self) -> usize {
        self.len
    }
    fn width(&self) -> usize {
        self.width
    }
    fn xor(&self, o: &Self) -> Self {
        assert_eq!((self.len, self.width), (o.len, o.width), "bit operands must have one length and width");
        let words = self.words.iter().zip(&o.words).map(|(a, b)| a ^ b).collect();
        Self::new(self.field, self.len, self.width, words)
    }
    fn plane(&self, i: usize) -> Self {
        self.planes(i, 1)
    }
    fn stack(planes: &[&Self]) -> Self {
        assert!(!planes.is_empty(), "at least one sharing");
        assert!(
            planes.iter().all(|p| p.len == planes[0].len && p.width == 1),
            "stack takes one-bit sharings of one length"
        );
        Self::above(planes)
    }
}
