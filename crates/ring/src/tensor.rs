//! Row-major tensors of ring elements.

use crate::{Ring, kernels::gemm};
use std::sync::Arc;

/// The extents of a tensor, outermost first. A scalar has no extents.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// A shape from its extents.
    pub fn new(extents: &[usize]) -> Self {
        Shape(extents.to_vec())
    }
    /// A matrix shape.
    pub fn matrix(rows: usize, cols: usize) -> Self {
        Shape(vec![rows, cols])
    }
    /// A vector shape.
    pub fn vector(len: usize) -> Self {
        Shape(vec![len])
    }
    /// The extents.
    pub fn extents(&self) -> &[usize] {
        &self.0
    }
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.0.iter().product()
    }
    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The first extent; 1 for a scalar.
    pub fn rows(&self) -> usize {
        self.0.first().copied().unwrap_or(1)
    }
    /// Elements per row: the product of the other extents.
    pub fn cols(&self) -> usize {
        self.0.iter().skip(1).product()
    }
}

/// A row-major tensor. Clones and reshapes share their elements until one of them is written to. `Debug` prints the shape only,
/// since the data may be a share.
#[derive(Clone, PartialEq)]
pub struct Tensor<R> {
    shape: Shape,
    data: Arc<Vec<R>>,
}

impl<R> std::fmt::Debug for Tensor<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor{:?}", self.shape.0)
    }
}

impl<R: Ring> Tensor<R> {
    /// A tensor of given data.
    ///
    /// # Panics
    /// If the length is not the shape's.
    pub fn new(shape: Shape, data: Vec<R>) -> Self {
        assert_eq!(shape.len(), data.len(), "tensor data must fill the shape {shape:?}");
        Tensor { shape, data: Arc::new(data) }
    }
    /// All elements equal.
    pub fn fill(shape: &Shape, x: u64) -> Self {
        Self::new(shape.clone(), vec![R::from_u64(x); shape.len()])
    }
    /// All zero.
    pub fn zeros(shape: &Shape) -> Self {
        Self::fill(shape, 0)
    }
    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }
    /// The elements, row-major.
    pub fn data(&self) -> &[R] {
        &self.data
    }
    /// The elements, row-major.
    pub fn data_mut(&mut self) -> &mut [R] {
        Arc::make_mut(&mut self.data).as_mut_slice()
    }
    /// The elements, owned.
    pub fn into_data(self) -> Vec<R> {
        Arc::unwrap_or_clone(self.data)
    }
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }
    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }
    /// Rows of a matrix.
    pub fn rows(&self) -> usize {
        self.shape.rows()
    }
    /// Elements per row.
    pub fn cols(&self) -> usize {
        self.shape.cols()
    }

    /// Element-wise map.
    #[inline(always)]
    pub fn map(&self, f: impl Fn(R) -> R) -> Self {
        Self::new(self.shape.clone(), self.data.iter().map(|&a| f(a)).collect())
    }
    /// Element-wise combination of two tensors of one shape.
    #[inline(always)]
    pub fn zip(&self, o: &Self, f: impl Fn(R, R) -> R) -> Self {
        assert_eq!(self.shape, o.shape, "element-wise operands must have one shape");
        Self::new(self.shape.clone(), self.data.iter().zip(&*o.data).map(|(&a, &b)| f(a, b)).collect())
    }
    /// `self + o`.
    pub fn add(&self, o: &Self) -> Self {
        crate::simd::vectorise(|| self.zip(o, R::add))
    }
    /// `self - o`.
    pub fn sub(&self, o: &Self) -> Self {
        crate::simd::vectorise(|| self.zip(o, R::sub))
    }
    /// `-self`.
    pub fn neg(&self) -> Self {
        crate::simd::vectorise(|| self.map(|a| R::from_u64(0).sub(a)))
    }
    /// Every element times the same integer.
    pub fn scale(&self, by: u64) -> Self {
        crate::simd::vectorise(|| self.map(|a| a.mul(R::from_u64(by))))
    }
    /// The same elements under another shape.
    pub fn reshape(self, shape: Shape) -> Self {
        assert_eq!(shape.len(), self.data.len(), "tensor data must fill the shape {shape:?}");
        Tensor { shape, data: self.data }
    }
    /// Matrix transpose.
    pub fn transpose(&self) -> Self {
        let (m, n) = (self.rows(), self.cols());
        let mut data = vec![R::default(); m * n];
        const B: usize = 16; // square blocks: both sides stay in cache lines already loaded
        for i0 in (0..m).step_by(B) {
            for j0 in (0..n).step_by(B) {
                for j in j0..(j0 + B).min(n) {
                    for i in i0..(i0 + B).min(m) {
                        data[j * m + i] = self.data[i * n + j];
                    }
                }
            }
        }
        Self::new(Shape::matrix(n, m), data)
    }
    /// The rows `from..to`.
    pub fn slice_rows(&self, from: usize, to: usize) -> Self {
        let c = self.cols();
        Self::new(self.with_rows(to - from), self.data[from * c..to * c].to_vec())
    }
    /// The rows of the given indices, in that order.
    pub fn gather_rows(&self, rows: &[usize]) -> Self {
        let c = self.cols();
        let mut data = Vec::with_capacity(rows.len() * c);
        for &r in rows {
            data.extend_from_slice(&self.data[r * c..(r + 1) * c]);
        }
        Self::new(self.with_rows(rows.len()), data)
    }
    /// Tensors stacked along the first extent.
    pub fn concat_rows(parts: &[&Self]) -> Self {
        let rows = parts.iter().map(|p| p.rows()).sum();
        let shape = parts.first().map(|p| p.with_rows(rows)).unwrap_or_else(|| Shape::matrix(0, 0));
        let mut data = Vec::with_capacity(shape.len());
        parts.iter().for_each(|p| data.extend_from_slice(&p.data));
        Self::new(shape, data)
    }
    /// Matrices of equally many rows side by side.
    pub fn concat_cols(&self, right: &Self) -> Self {
        assert_eq!(self.rows(), right.rows(), "matrices side by side have equally many rows");
        let (a, b) = (self.cols(), right.cols());
        let mut data = Vec::with_capacity(self.data.len() + right.data.len());
        for row in 0..self.rows() {
            data.extend_from_slice(&self.data[row * a..(row + 1) * a]);
            data.extend_from_slice(&right.data[row * b..(row + 1) * b]);
        }
        Self::new(Shape::matrix(self.rows(), a + b), data)
    }
    /// A vector (or one-row matrix) repeated as `rows` rows.
    pub fn broadcast_rows(&self, rows: usize) -> Self {
        let n = self.data.len();
        let mut data = Vec::with_capacity(rows * n);
        for _ in 0..rows {
            data.extend_from_slice(&self.data);
        }
        Self::new(Shape::matrix(rows, n), data)
    }
    /// A column (one element per row) repeated as `cols` columns.
    pub fn broadcast_cols(&self, cols: usize) -> Self {
        let data = self.data.iter().flat_map(|&a| std::iter::repeat_n(a, cols)).collect();
        Self::new(Shape::matrix(self.data.len(), cols), data)
    }
    /// Sum over the rows: `[m, n]` becomes `[n]`.
    pub fn sum_rows(&self) -> Self {
        let n = self.cols();
        let mut data = vec![R::from_u64(0); n];
        for row in self.data.chunks_exact(n.max(1)) {
            for (s, &a) in data.iter_mut().zip(row) {
                *s = s.add(a);
            }
        }
        Self::new(Shape::vector(n), data)
    }
    /// Sum of all elements, as `[1]`.
    pub fn sum(&self) -> Self {
        let total = self.data.iter().fold(R::from_u64(0), |s, &a| s.add(a));
        Self::new(Shape::vector(1), vec![total])
    }

    fn with_rows(&self, rows: usize) -> Shape {
        let mut extents = self.shape.0.clone();
        match extents.first_mut() {
            Some(first) => *first = rows,
            None => extents.push(rows),
        }
        Shape(extents)
    }
}

/// The one secret product: every interactive multiplication is one of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bilinear {
    /// Element-wise, operands of one shape.
    Mul,
    /// Matrix product, `[m, k] x [k, n] -> [m, n]`.
    MatMul,
}

impl Bilinear {
    /// Shape of the result.
    ///
    /// # Panics
    /// If the operands do not fit: shapes come from the program, never from the network.
    pub fn out_shape(self, x: &Shape, y: &Shape) -> Shape {
        match self {
            Bilinear::Mul => {
                assert_eq!(x, y, "element-wise product needs one shape");
                x.clone()
            }
            Bilinear::MatMul => {
                assert_eq!(x.cols(), y.rows(), "matrix product {x:?} x {y:?}");
                Shape::matrix(x.rows(), y.cols())
            }
        }
    }
    /// Ring multiplications of one evaluation.
    pub fn macs(self, x: &Shape, y: &Shape) -> u64 {
        match self {
            Bilinear::Mul => x.len() as u64,
            Bilinear::MatMul => (x.len() * y.cols()) as u64,
        }
    }
    /// `c (=, +=, -=) x op y` on flat data.
    pub fn eval_into(self, acc: gemm::Acc, c: &mut [u64], x: &Tensor<u64>, y: &Tensor<u64>) {
        match self {
            Bilinear::Mul => {
                let (x, y) = (x.data(), y.data());
                crate::simd::vectorise(|| {
                    for ((c, &x), &y) in c.iter_mut().zip(x).zip(y) {
                        let p = x.wrapping_mul(y);
                        *c = match acc {
                            gemm::Acc::Set => p,
                            gemm::Acc::Add => c.wrapping_add(p),
                            gemm::Acc::Sub => c.wrapping_sub(p),
                        };
                    }
                });
            }
            Bilinear::MatMul => {
                gemm::gemm(acc, c, x.data(), y.data(), x.rows(), x.cols(), y.cols());
            }
        }
    }
    /// The product of two plain tensors.
    pub fn eval(self, x: &Tensor<u64>, y: &Tensor<u64>) -> Tensor<u64> {
        let shape = self.out_shape(x.shape(), y.shape());
        let mut c = vec![0; shape.len()];
        self.eval_into(gemm::Acc::Set, &mut c, x, y);
        Tensor::new(shape, c)
    }
}
