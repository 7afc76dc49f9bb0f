//! Register tiles of the matrix product: `ROWS` rows of A times a panel of a few columns of B.

use super::gemm::Acc;
use crate::simd::Level;

/// Rows of every tile at every level but AVX2.
const WIDE_ROWS: usize = 4;

/// One tile: `C (=, +=, -=) A B` with at most the kernel's rows and the panel's columns. Slices begin at the tile's corner.
pub(super) struct Tile<'a> {
    pub acc: Acc,
    /// `rows` rows of `depth` words, `lda` apart.
    pub a: &'a [u64],
    pub lda: usize,
    /// `depth` rows of at least the panel's width, `ldb` apart; or a packed panel.
    pub b: &'a [u64],
    pub ldb: usize,
    /// `rows` rows of at least `cols` words, `ldc` apart.
    pub c: &'a mut [u64],
    pub ldc: usize,
    pub depth: usize,
    pub rows: usize,
    pub cols: usize,
}

/// A panel width and the function that multiplies panels of that width.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    pub width: usize,
    run: unsafe fn(Tile<'_>),
}

/// The micro-kernel of one SIMD level.
pub(super) struct Kernel {
    level: Level,
    /// Rows of a full tile.
    pub rows: usize,
    /// Whether panels are always packed, every four words followed by the same words with their halves swapped.
    pub swapped: bool,
    /// Widest first.
    panels: &'static [Panel],
}

impl Kernel {
    /// The kernel for a level.
    pub fn new(level: Level) -> &'static Kernel {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Amx => &AVX512,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => &AVX2,
            _ => &PORTABLE,
        }
    }
    /// The narrowest panel that holds `cols` columns, or the widest there is.
    pub fn panel(&self, cols: usize) -> Panel {
        let fits = self.panels.iter().rev().find(|p| p.width >= cols);
        *fits.unwrap_or(&self.panels[0])
    }
    /// Multiplies one tile with a panel of this kernel.
    pub fn run(&self, panel: Panel, tile: Tile<'_>) {
        assert!(self.level <= crate::simd::detected(), "kernel of an instruction set that this processor lacks");
        // SAFETY: the only requirement of `run` is the instruction set, which was checked in the line above.
        unsafe { (panel.run)(tile) }
    }
}

static PORTABLE: Kernel = Kernel {
    level: Level::Portable,
    rows: WIDE_ROWS,
    swapped: false,
    panels: &[
        Panel { width: 32, run: wide::<4> },
        Panel { width: 16, run: wide::<2> },
        Panel { width: 8, run: wide::<1> },
    ],
};

#[cfg(target_arch = "x86_64")]
static AVX512: Kernel = Kernel {
    level: Level::Avx512,
    rows: WIDE_ROWS,
    swapped: false,
    panels: &[
        Panel { width: 32, run: wide_avx512::<4> },
        Panel { width: 16, run: wide_avx512::<2> },
        Panel { width: 8, run: wide_avx512::<1> },
    ],
};

#[cfg(target_arch = "x86_64")]
static AVX2: Kernel = Kernel {
    level: Level::Avx2,
    rows: avx2::ROWS,
    swapped: true,
    panels: &[Panel { width: 8, run: avx2::tile::<2> }, Panel { width: 4, run: avx2::tile::<1> }],
};

/// Eight words that LLVM keeps in one 512-bit register where there is one.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct V8([u64; 8]);

impl V8 {
    #[inline(always)]
    fn load(from: &[u64; 8]) -> V8 {
        V8(*from)
    }
    #[inline(always)]
    fn mul_add(self, a: u64, b: V8) -> V8 {
        V8(std::array::from_fn(|l| self.0[l].wrapping_add(a.wrapping_mul(b.0[l]))))
    }
}

/// The wide tile, `4 x 8 NV`. This one source is both the portable path and, with the instruction set enabled around it,
/// the AVX-512 path (`vpmullq`).
#[inline(always)]
fn wide<const NV: usize>(tile: Tile<'_>) {
    let depth = tile.depth;
    let rows = tile_rows::<WIDE_ROWS>(&tile);
    let mut sums = [[V8([0; 8]); NV]; WIDE_ROWS];
    for l in 0..depth {
        let b: &[[u64; 8]] = bytemuck::cast_slice(&tile.b[l * tile.ldb..][..8 * NV]);
        let b: [V8; NV] = std::array::from_fn(|v| V8::load(&b[v]));
        for (sums, row) in sums.iter_mut().zip(&rows) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = sum.mul_add(row[l], b);
            }
        }
    }
    store(tile, &sums.map(|row| row.map(|v| v.0)));
}

/// [`wide`] for AVX-512: one `vpmullq` on `zmm` per eight products, accumulators in registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi1,bmi2")]
fn wide_avx512<const NV: usize>(tile: Tile<'_>) {
    wide::<NV>(tile);
}

/// The tile's rows of A. Rows past the last repeat it: they cost nothing, and their sums are not stored.
#[inline(always)]
fn tile_rows<'a, const ROWS: usize>(tile: &Tile<'a>) -> [&'a [u64]; ROWS] {
    let (a, lda, last) = (tile.a, tile.lda, tile.rows - 1);
    std::array::from_fn(|r| &a[r.min(last) * lda..][..tile.depth])
}

/// Accumulates the tile's live rows and columns into C.
#[inline(always)]
fn store<const W: usize, const NV: usize, const ROWS: usize>(tile: Tile<'_>, sums: &[[[u64; W]; NV]; ROWS]) {
    let Tile { acc, c, ldc, rows, cols, .. } = tile;
    for (r, sums) in sums.iter().enumerate().take(rows) {
        let row = &mut c[r * ldc..][..cols];
        let sums: &[u64] = sums.as_flattened();
        if cols == W * NV {
            update(acc, &mut row[..W * NV], sums); // a length known to the compiler: no loop
        } else {
            update(acc, row, sums);
        }
    }
}

#[inline(always)]
fn update(acc: Acc, row: &mut [u64], sums: &[u64]) {
    let pairs = row.iter_mut().zip(sums);
    match acc {
        Acc::Set => pairs.for_each(|(c, s)| *c = *s),
        Acc::Add => pairs.for_each(|(c, s)| *c = c.wrapping_add(*s)),
        Acc::Sub => pairs.for_each(|(c, s)| *c = c.wrapping_sub(*s)),
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{Tile, store, tile_rows};
    use std::arch::x86_64::*;

    /// Rows of the AVX2 tile: with 2 x 2 registers nothing is spilled, and it is faster than 3 x 2, 4 x 1 and 5 x 1.
    pub const ROWS: usize = 2;

    /// The AVX2 tile, `2 x 4 NV`, for packed panels with swapped copies. A 64-bit product is the 64-bit product of the
    /// low halves plus, in the high half, the sum of two 32-bit cross products; the cross products of all terms are summed
    /// lane by lane and folded once, at the end. So a product costs two multiplications and two additions.
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub fn tile<const NV: usize>(tile: Tile<'_>) {
        let rows = tile_rows::<ROWS>(&tile);
        let zero = _mm256_setzero_si256();
        let (mut low, mut cross) = ([[zero; NV]; ROWS], [[zero; NV]; ROWS]);
        let (b, _) = tile.b.as_chunks::<8>();
        let b = &b[..tile.depth * NV];
        for l in 0..tile.depth {
            for v in 0..NV {
                let [b, swapped]: [__m256i; 2] = bytemuck::cast(b[l * NV + v]);
                for r in 0..ROWS {
                    let a = _mm256_set1_epi64x(rows[r][l] as i64);
                    low[r][v] = _mm256_add_epi64(low[r][v], _mm256_mul_epu32(a, b));
                    cross[r][v] = _mm256_add_epi32(cross[r][v], _mm256_mullo_epi32(a, swapped));
                }
            }
        }
        let mut sums = [[[0u64; 4]; NV]; ROWS];
        for r in 0..ROWS {
            for v in 0..NV {
                let both = _mm256_add_epi32(cross[r][v], _mm256_srli_epi64::<32>(cross[r][v]));
                let sum = _mm256_add_epi64(low[r][v], _mm256_slli_epi64::<32>(both));
                sums[r][v] = bytemuck::cast(sum);
            }
        }
        store(tile, &sums);
    }
}
