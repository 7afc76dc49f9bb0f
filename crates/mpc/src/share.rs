//! What a party sees of a secret: a fixed number of plain tensors.

use privity_ring::{Ring, Shape, Tensor};

/// One party's part of a sharing: K plain tensors of one shape. Linear maps act on each alone, so reshape, transpose,
/// sums and public products are ring code, free of rounds. `Debug` of an implementation prints shapes, never data.
pub trait Share: Clone {
    /// The ring of the components.
    type R: Ring;
    /// Shape of the secret.
    fn shape(&self) -> &Shape;
    /// Applies one linear map to each component.
    fn map(&self, f: impl Fn(&Tensor<Self::R>) -> Tensor<Self::R>) -> Self;
    /// Applies one bilinear-free (additive) map to the components of two sharings.
    fn zip(&self, o: &Self, f: impl Fn(&Tensor<Self::R>, &Tensor<Self::R>) -> Tensor<Self::R>) -> Self;

    /// The components, for keeping them somewhere: secret material.
    fn parts(&self) -> Vec<&Tensor<Self::R>>;
    /// The sharing of components that [`Share::parts`] gave, in their order; `None` if they are not as many or differ in shape.
    fn from_parts(parts: Vec<Tensor<Self::R>>) -> Option<Self>;

    /// `self + o`. Local.
    fn add(&self, o: &Self) -> Self {
        self.zip(o, Tensor::add)
    }
    /// `self - o`. Local.
    fn sub(&self, o: &Self) -> Self {
        self.zip(o, Tensor::sub)
    }
    /// `-self`. Local.
    fn neg(&self) -> Self {
        self.map(Tensor::neg)
    }
    /// `self` times a public integer. Local; the scale of the value grows by that of the integer.
    fn scale(&self, by: u64) -> Self {
        self.map(|t| t.scale(by))
    }
    /// Rows `from..to`. Local.
    fn slice_rows(&self, from: usize, to: usize) -> Self {
        self.map(|t| t.slice_rows(from, to))
    }
    /// The rows of the given indices. Local.
    fn gather_rows(&self, rows: &[usize]) -> Self {
        self.map(|t| t.gather_rows(rows))
    }
    /// Matrix transpose. Local.
    fn transpose(&self) -> Self {
        self.map(Tensor::transpose)
    }
    /// The same elements under another shape. Local.
    fn reshape(&self, shape: &Shape) -> Self {
        self.map(|t| t.clone().reshape(shape.clone()))
    }
    /// Sum over rows. Local.
    fn sum_rows(&self) -> Self {
        self.map(Tensor::sum_rows)
    }
    /// A vector repeated as rows. Local.
    fn broadcast_rows(&self, rows: usize) -> Self {
        self.map(|t| t.broadcast_rows(rows))
    }
    /// Sharings stacked along the first extent. Local.
    ///
    /// # Panics
    /// If `parts` is empty.
    fn concat_rows(parts: &[&Self]) -> Self;
}

/// One party's part of Boolean sharings: `width` bits for each of `len` elements, plane-major (see `ring::kernels::bits`).
pub trait BitShare: Clone {
    /// Number of elements.
    fn len(&self) -> usize;
    /// Whether there are no elements.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Bits per element.
    fn width(&self) -> usize;
    /// `self XOR o`. Local.
    fn xor(&self, o: &Self) -> Self;
    /// The one-bit sharing of bit `i`. Local.
    fn plane(&self, i: usize) -> Self;
    /// One-bit sharings side by side as one sharing of width `planes.len()`, bit 0 first. Local.
    fn stack(planes: &[&Self]) -> Self;
}

/// Words of one bit plane over `len` elements.
pub fn plane_words(len: usize) -> usize {
    len.div_ceil(64)
}

/// Plain bits: `width` planes over `len` elements; bit `i` of element `e` is bit `e % 64` of word `i * words + e / 64`.
/// Bits past `len` in the last word of a plane are unspecified. `Debug` prints the extents only.
#[derive(Clone, PartialEq)]
pub struct Planes {
    len: usize,
    width: usize,
    words: Vec<u64>,
}

impl std::fmt::Debug for Planes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Planes[{} x {} bits]", self.len, self.width)
    }
}

impl Planes {
    /// Planes from packed words.
    ///
    /// # Panics
    /// If the number of words is not that of the extents.
    pub fn new(len: usize, width: usize, words: Vec<u64>) -> Self {
        assert_eq!(words.len(), width * plane_words(len), "packed words must fill the planes");
        Planes { len, width, words }
    }
    /// All bits zero.
    pub fn zeros(len: usize, width: usize) -> Self {
        Planes { len, width, words: vec![0; width * plane_words(len)] }
    }
    /// The low `width` bits of each value.
    pub fn from_values(values: &[u64], width: usize) -> Self {
        let mut planes = Self::zeros(values.len(), width);
        privity_ring::kernels::bits::to_planes(values, width, &mut planes.words);
        planes
    }
    /// The bits as integers, bit 0 lowest.
    pub fn to_values(&self) -> Vec<u64> {
        let mut values = vec![0; self.len];
        privity_ring::kernels::bits::from_planes(&self.words, self.width, &mut values);
        values
    }
    /// The packed words, plane after plane.
    pub fn words(&self) -> &[u64] {
        &self.words
    }
    /// The packed words, plane after plane.
    pub fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }
    /// The words of plane `i`.
    pub fn plane_words(&self, i: usize) -> &[u64] {
        let n = plane_words(self.len);
        &self.words[i * n..(i + 1) * n]
    }
    /// Sets the bits of elements `64 block ..`: a word for each plane.
    pub(crate) fn set_block(&mut self, block: usize, planes: &[u64]) {
        let n = plane_words(self.len);
        self.words.iter_mut().skip(block).step_by(n).zip(planes).for_each(|(word, plane)| *word = *plane);
    }
    /// Word-wise combination.
    pub fn zip(&self, o: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        assert_eq!((self.len, self.width), (o.len, o.width), "bit operands must have one length and width");
        let words = self.words.iter().zip(&o.words).map(|(&a, &b)| f(a, b)).collect();
        Planes { len: self.len, width: self.width, words }
    }
    /// Word-wise map.
    pub fn map(&self, f: impl Fn(u64) -> u64) -> Self {
        Planes { len: self.len, width: self.width, words: self.words.iter().map(|&a| f(a)).collect() }
    }
}

impl BitShare for Planes {
    fn len(&self) -> usize {
        self.len
    }
    fn width(&self) -> usize {
        self.width
    }
    fn xor(&self, o: &Self) -> Self {
        self.zip(o, |a, b| a ^ b)
    }
    fn plane(&self, i: usize) -> Self {
        Planes { len: self.len, width: 1, words: self.plane_words(i).to_vec() }
    }
    fn stack(planes: &[&Self]) -> Self {
        let len = planes.first().map_or(0, |p| p.len);
        assert!(planes.iter().all(|p| p.len == len && p.width == 1), "stack takes one-bit sharings of one length");
        Planes { len, width: planes.len(), words: planes.iter().flat_map(|p| p.words.iter().copied()).collect() }
    }
}

impl<R: Ring> Share for Tensor<R> {
    type R = R;
    fn shape(&self) -> &Shape {
        Tensor::shape(self)
    }
    fn map(&self, f: impl Fn(&Tensor<R>) -> Tensor<R>) -> Self {
        f(self)
    }
    fn zip(&self, o: &Self, f: impl Fn(&Tensor<R>, &Tensor<R>) -> Tensor<R>) -> Self {
        f(self, o)
    }
    fn concat_rows(parts: &[&Self]) -> Self {
        Tensor::concat_rows(parts)
    }
    fn parts(&self) -> Vec<&Tensor<R>> {
        vec![self]
    }
    fn from_parts(parts: Vec<Tensor<R>>) -> Option<Self> {
        <[Tensor<R>; 1]>::try_from(parts).ok().map(|[only]| only)
    }
}
