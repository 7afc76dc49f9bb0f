//! The matrix product modulo 2^64, and the transposition.

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::tile::{Kernel, Panel, Tile};
use crate::simd::{Level, level, vectorise};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How the product is accumulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acc {
    /// C = AB
    Set,
    /// C += AB
    Add,
    /// C -= AB
    Sub,
}

/// Rows of A between two packings of a panel: such that a block of A stays in the L2 cache.
const ROW_BLOCK: usize = 96;
/// Depth of a panel, such that it stays in the L1 cache.
const DEPTH_BLOCK: usize = 128;
/// Rows below which packing B costs more than it saves.
const FEW_ROWS: usize = 4;
/// Words of B that stay in the L1 cache without packing.
const SMALL_B: usize = 4096;
/// Multiplications below which a second thread costs more than it saves.
const MIN_PARALLEL: usize = 1 << 20;

static THREADS: AtomicUsize = AtomicUsize::new(1);

/// Sets how many threads of rayon's pool a large product may use; 0 means 1. Results do not depend on it.
pub fn set_threads(n: usize) {
    THREADS.store(n.max(1), Ordering::Relaxed);
}

/// How many threads a large product may use; 1 at the start.
pub fn threads() -> usize {
    THREADS.load(Ordering::Relaxed)
}

/// Part of a row-major matrix: rows begin `stride` words apart.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub data: &'a [u64],
    pub stride: usize,
}

impl<'a> View<'a> {
    fn at(self, row: usize, col: usize) -> Self {
        View { data: &self.data[row * self.stride + col..], stride: self.stride }
    }
    fn row(self, row: usize, len: usize) -> &'a [u64] {
        &self.data[row * self.stride..][..len]
    }
}

/// `C (=, +=, -=) A B` modulo 2^64 for row-major `A: [m, k]`, `B: [k, n]`, `C: [m, n]`.
///
/// Large products use [`threads`] threads. Time depends on the shape only.
///
/// # Panics
/// If a slice's length is not its matrix's.
pub fn gemm(acc: Acc, c: &mut [u64], a: &[u64], b: &[u64], m: usize, k: usize, n: usize) {
    assert_eq!((a.len(), b.len(), c.len()), (m * k, k * n, m * n), "lengths of A, B, C for a {m} x {k} x {n} product");
    if c.is_empty() {
        return;
    }
    if k == 0 {
        if acc == Acc::Set {
            c.fill(0);
        }
        return;
    }
    let (a, b) = (View { data: a, stride: k }, View { data: b, stride: n });
    let threads = threads().min(1 + m.saturating_mul(k).saturating_mul(n) / MIN_PARALLEL);
    match threads {
        1 => product(acc, c, a, b, [m, k, n]),
        _ if m >= n || m >= 32 * threads => split_rows(acc, c, a, b, [m, k, n], threads),
        _ => split_cols(acc, c, a, b, [m, k, n], threads),
    }
}

fn split_rows(acc: Acc, c: &mut [u64], a: View<'_>, b: View<'_>, [m, k, n]: [usize; 3], threads: usize) {
    let level = level();
    let rows = m.div_ceil(threads).next_multiple_of(Kernel::new(level).rows);
    c.par_chunks_mut(rows * n).enumerate().for_each(|(i, c)| {
        crate::simd::with_level(level, || product(acc, c, a.at(i * rows, 0), b, [c.len() / n, k, n]));
    });
}

/// Every thread writes its columns to a matrix of its own, since they are not contiguous in C; there are few rows to add.
fn split_cols(acc: Acc, c: &mut [u64], a: View<'_>, b: View<'_>, [m, k, n]: [usize; 3], threads: usize) {
    let level = level();
    let cols = n.div_ceil(threads).next_multiple_of(Kernel::new(level).panel(n).width);
    let part = |j0: usize| {
        let cols = cols.min(n - j0);
        let mut part = vec![0; m * cols];
        crate::simd::with_level(level, || product(Acc::Set, &mut part, a, b.at(0, j0), [m, k, cols]));
        (j0, cols, part)
    };
    let starts: Vec<usize> = (0..n).step_by(cols).collect();
    let parts: Vec<_> = starts.into_par_iter().map(part).collect();
    for (j0, cols, part) in parts {
        for (c, part) in c.chunks_exact_mut(n).zip(part.chunks_exact(cols)) {
            accumulate(acc, &mut c[j0..j0 + cols], part);
        }
    }
}

fn accumulate(acc: Acc, c: &mut [u64], by: &[u64]) {
    match acc {
        Acc::Set => c.copy_from_slice(by),
        Acc::Add => c.iter_mut().zip(by).for_each(|(c, x)| *c = c.wrapping_add(*x)),
        Acc::Sub => c.iter_mut().zip(by).for_each(|(c, x)| *c = c.wrapping_sub(*x)),
    }
}

/// The product on one thread; `c` is contiguous, no extent is 0.
fn product(acc: Acc, c: &mut [u64], a: View<'_>, b: View<'_>, [m, k, n]: [usize; 3]) {
    let kernel = Kernel::new(level());
    #[cfg(target_arch = "x86_64")]
    if level() == Level::Amx && amx::pays([m, k, n]) {
        return amx::product(acc, c, a, b, [m, k, n]);
    }
    if n == 1 {
        column(acc, c, a, b, k);
    } else if m < FEW_ROWS {
        c.chunks_exact_mut(n).enumerate().for_each(|(i, c)| row(acc, c, a.row(i, k), b));
    } else {
        tiled(kernel, acc, c, a, b, [m, k, n]);
    }
}

/// `n = 1`: one dot product per row.
fn column(acc: Acc, c: &mut [u64], a: View<'_>, b: View<'_>, k: usize) {
    let gathered: Vec<u64>;
    let b = if b.stride == 1 {
        &b.data[..k]
    } else {
        gathered = b.data.iter().step_by(b.stride).take(k).copied().collect();
        &gathered
    };
    for (i, c) in c.iter_mut().enumerate() {
        let dot = dot(a.row(i, k), b);
        accumulate(acc, std::slice::from_mut(c), &[dot]);
    }
}

fn dot(a: &[u64], b: &[u64]) -> u64 {
    vectorise(|| a.iter().zip(b).fold(0u64, |s, (a, b)| s.wrapping_add(a.wrapping_mul(*b))))
}

/// One row of the product, by B's rows as they lie.
fn row(acc: Acc, c: &mut [u64], a: &[u64], b: View<'_>) {
    if acc == Acc::Set {
        c.fill(0);
    }
    for (l, &a) in a.iter().enumerate() {
        let a = if acc == Acc::Sub { a.wrapping_neg() } else { a };
        let b = b.row(l, c.len());
        vectorise(|| c.iter_mut().zip(b).for_each(|(c, b)| *c = c.wrapping_add(a.wrapping_mul(*b))));
    }
}

fn tiled(kernel: &Kernel, acc: Acc, c: &mut [u64], a: View<'_>, b: View<'_>, [m, k, n]: [usize; 3]) {
    let mut packed = Vec::new();
    let in_place = k * n <= SMALL_B && !kernel.swapped;
    for i0 in (0..m).step_by(ROW_BLOCK) {
        let rows = ROW_BLOCK.min(m - i0);
        for l0 in (0..k).step_by(DEPTH_BLOCK) {
            let depth = DEPTH_BLOCK.min(k - l0);
            let acc = if l0 > 0 && acc == Acc::Set { Acc::Add } else { acc };
            let mut j0 = 0;
            while j0 < n {
                let panel = kernel.panel(n - j0);
                let cols = panel.width.min(n - j0);
                let mut block = b.at(l0, j0);
                if !in_place || cols < panel.width {
                    pack(&mut packed, block, depth, cols, panel.width);
                    if kernel.swapped {
                        add_swapped(&mut packed);
                    }
                    block = View { data: &packed, stride: panel.width };
                }
                let corner = &mut c[i0 * n + j0..];
                panel_rows(kernel, panel, acc, corner, n, a.at(i0, l0), block, [rows, depth, cols]);
                j0 += cols;
            }
        }
    }
}

/// Copies `depth` rows of a panel side by side, filled up with zeros to the panel's width.
fn pack(packed: &mut Vec<u64>, b: View<'_>, depth: usize, cols: usize, width: usize) {
    packed.resize(depth * width, 0);
    for (l, to) in packed.chunks_exact_mut(width).enumerate() {
        to[..cols].copy_from_slice(b.row(l, cols));
        to[cols..].fill(0);
    }
}

/// Puts after every four words the same words with their halves swapped, in place from the back.
fn add_swapped(packed: &mut Vec<u64>) {
    let n = packed.len();
    packed.resize(2 * n, 0);
    for i in (0..n).step_by(4).rev() {
        let words: [u64; 4] = std::array::from_fn(|w| packed[i + w]);
        packed[2 * i..][..4].copy_from_slice(&words);
        packed[2 * i + 4..][..4].copy_from_slice(&words.map(|w| w.rotate_left(32)));
    }
}

/// All tiles of one panel, from the first row of a block to its last.
#[allow(clippy::too_many_arguments)] // the operands of one product, each in its own layout
fn panel_rows(
    kernel: &Kernel,
    panel: Panel,
    acc: Acc,
    c: &mut [u64],
    ldc: usize,
    a: View<'_>,
    b: View<'_>,
    [rows, depth, cols]: [usize; 3],
) {
    for i in (0..rows).step_by(kernel.rows) {
        let tile = Tile {
            acc,
            a: a.at(i, 0).data,
            lda: a.stride,
            b: b.data,
            ldb: b.stride,
            c: &mut c[i * ldc..],
            ldc,
            depth,
            rows: kernel.rows.min(rows - i),
            cols,
        };
        kernel.run(panel, tile);
    }
}

/// `out[j, i] = a[i, j]` for row-major `a: [rows, cols]`.
///
/// # Panics
/// If a slice's length is not `rows * cols`.
pub fn transpose(out: &mut [u64], a: &[u64], rows: usize, cols: usize) {
    assert_eq!((out.len(), a.len()), (rows * cols, rows * cols), "lengths for a {rows} x {cols} transposition");
    const BLOCK: usize = 16; // both sides of a block stay in cache lines already loaded
    for i0 in (0..rows).step_by(BLOCK) {
        for j0 in (0..cols).step_by(BLOCK) {
            for j in j0..(j0 + BLOCK).min(cols) {
                for i in i0..(i0 + BLOCK).min(rows) {
                    out[j * rows + i] = a[i * cols + j];
                }
            }
        }
    }
}
