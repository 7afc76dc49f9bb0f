//! The matrix product modulo 2^64 on AMX tiles, which multiply bytes: each word is cut into eight limbs of a byte, and of the
//! products of limbs those of weight below 2^64 are summed, 36 tile products for one of words. At 1024 multiply-adds of bytes a
//! cycle that is several times what `vpmullq` does.
//!
//! A tile register holds 16 rows of 64 bytes. `A` is packed in strips of 16 rows, `B` in strips of 16 columns, both as tiles of 64
//! words of depth, a tile for each limb. Sums of one weight have at most `8 DEPTH` terms below 2^16, so 32 bits hold them.

use super::gemm::{Acc, View};
use crate::simd::vectorise;
use std::arch::asm;
use std::cell::RefCell;

/// Rows or columns of a strip, and words of depth of a tile.
const STRIP: usize = 16;
const TILE_DEPTH: usize = 64;
/// Bytes of a tile, and limbs of a word.
const TILE: usize = STRIP * TILE_DEPTH;
const LIMBS: usize = 8;
/// Depth that is packed at a time: two strips of each side, and a few more of B, stay in the L2 cache.
const DEPTH: usize = 1024;
/// Columns of B that stay in the L2 cache while strips of A pass.
const COLUMNS: usize = 128;
/// Depth from which on the sums of limbs cost less to put together than the products save.
const DEEP: usize = 256;

/// Whether this processor has AMX for bytes and the system lets this process use it.
pub(crate) fn available() -> bool {
    static AVAILABLE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *AVAILABLE.get_or_init(detect)
}

fn detect() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const OSXSAVE: u32 = 1 << 27;
    const TILE_AND_INT8: u32 = 1 << 24 | 1 << 25;
    if __cpuid(0).eax < 7 || __cpuid(1).ecx & OSXSAVE == 0 || __cpuid_count(7, 0).edx & TILE_AND_INT8 != TILE_AND_INT8 {
        return false;
    }
    permitted()
}

/// Asks Linux for the tile state, once for all threads of the process.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: the call takes two integers and changes nothing but what the process may use.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// Whether the tiles, filled up with zeros, take less time than words would.
pub(super) fn pays([m, k, n]: [usize; 3]) -> bool {
    let product = m.saturating_mul(k).saturating_mul(n);
    let filled = |len: usize, unit: usize| len.next_multiple_of(unit);
    let padded = filled(m, 2 * STRIP) * filled(k, TILE_DEPTH) * filled(n, 2 * STRIP);
    m >= STRIP && n >= STRIP && k >= DEEP && padded <= 3 * product / 2
}

/// A row of a tile: what begins elsewhere than at a line of the cache is loaded at half the speed.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u64; TILE_DEPTH / 8]);

// SAFETY: eight words, of which any bits are a value; 64 bytes at a multiple of 64 have no padding.
unsafe impl bytemuck::Zeroable for Line {}
// SAFETY: as above.
unsafe impl bytemuck::Pod for Line {}

thread_local! {
    /// Packed strips of A and of B.
    static PACKED: RefCell<(Vec<Line>, Vec<Line>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// Room for so many tiles, contents unspecified, as bytes.
fn room(lines: &mut Vec<Line>, tiles: usize) -> &mut [u8] {
    let needed = tiles * STRIP;
    if lines.len() < needed {
        lines.resize(needed, Line([0; TILE_DEPTH / 8]));
    }
    bytemuck::cast_slice_mut(&mut lines[..needed])
}

/// `C (=, +=, -=) A B` for contiguous `C: [m, n]`; no extent is 0.
///
/// # Panics
/// Without AMX.
pub(super) fn product(acc: Acc, c: &mut [u64], a: View<'_>, b: View<'_>, [m, k, n]: [usize; 3]) {
    assert!(available(), "tiles on a processor without them");
    PACKED.with_borrow_mut(|(lines_a, lines_b)| {
        let _tiles = Tiles::configure();
        for l0 in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - l0);
            let acc = if l0 > 0 && acc == Acc::Set { Acc::Add } else { acc };
            let tiles = depth.div_ceil(TILE_DEPTH);
            let packed_a = room(lines_a, m.next_multiple_of(2 * STRIP) / STRIP * tiles * LIMBS);
            let packed_b = room(lines_b, n.next_multiple_of(2 * STRIP) / STRIP * tiles * LIMBS);
            pack_rows(packed_a, a, m, l0, depth);
            pack_columns(packed_b, b, n, l0, depth);
            let strip = tiles * LIMBS * TILE;
            for j0 in (0..n).step_by(COLUMNS) {
                for i in (0..m).step_by(2 * STRIP) {
                    for j in (j0..n.min(j0 + COLUMNS)).step_by(2 * STRIP) {
                        let rows = &packed_a[i / STRIP * strip..][..2 * strip];
                        let columns = &packed_b[j / STRIP * strip..][..2 * strip];
                        let (height, width) = ((m - i).min(2 * STRIP), (n - j).min(2 * STRIP));
                        let sums = block(rows, columns, tiles);
                        for (r, sums) in sums.chunks_exact(2 * STRIP).take(height).enumerate() {
                            update(acc, &mut c[(i + r) * n + j..][..width], sums);
                        }
                    }
                }
            }
        }
    });
}

fn update(acc: Acc, c: &mut [u64], sums: &[u64]) {
    let pairs = c.iter_mut().zip(sums);
    vectorise(|| match acc {
        Acc::Set => pairs.for_each(|(c, s)| *c = *s),
        Acc::Add => pairs.for_each(|(c, s)| *c = c.wrapping_add(*s)),
        Acc::Sub => pairs.for_each(|(c, s)| *c = c.wrapping_sub(*s)),
    });
}

/// A block of 32 by 32 results, row-major.
fn block(rows: &[u8], columns: &[u8], tiles: usize) -> [u64; 4 * STRIP * STRIP] {
    let mut sums = [0u64; 4 * STRIP * STRIP];
    let mut parts = [0u32; 4 * STRIP * STRIP];
    for weight in 0..LIMBS {
        weighted(rows, columns, tiles, weight, &mut parts);
        vectorise(
            #[inline(always)]
            || {
                for (part, values) in parts.chunks_exact(STRIP * STRIP).enumerate() {
                    let (down, right) = (part / 2 * STRIP, part % 2 * STRIP);
                    for (r, values) in values.chunks_exact(STRIP).enumerate() {
                        let sums = &mut sums[(down + r) * 2 * STRIP + right..][..STRIP];
                        for (sum, value) in sums.iter_mut().zip(values) {
                            *sum = sum.wrapping_add(u64::from(*value) << (8 * weight));
                        }
                    }
                }
            },
        );
    }
    sums
}

/// `sum_{i + j = weight} A_i B_j` of two strips of each side: four tiles of 32-bit sums.
fn weighted(rows: &[u8], columns: &[u8], tiles: usize, weight: usize, out: &mut [u32; 4 * STRIP * STRIP]) {
    let strip = tiles * LIMBS * TILE;
    assert!(tiles > 0 && weight < LIMBS && rows.len() == 2 * strip && columns.len() == 2 * strip);
    let (a, b) = (rows.as_ptr(), columns.as_ptr());
    // SAFETY: with the lengths just checked, limbs `0..=weight` of A, upwards, and `weight..=0` of B, downwards, of each of `tiles`
    // groups of `LIMBS` tiles lie within the four strips; the pointers run past them only after the last load. `out` takes the four
    // tiles. AMX is there, and the tiles are configured, for the only caller is `product`. No instruction touches the stack, and
    // the compiler uses no tile registers.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "mov {limb}, {limbs}",
            "3:",
            "tileloadd tmm4, [{a0} + {row}]",
            "tileloadd tmm6, [{b0} + {row}]",
            "tileloadd tmm7, [{b1} + {row}]",
            "tileloadd tmm5, [{a1} + {row}]",
            "tdpbuud tmm0, tmm4, tmm6",
            "tdpbuud tmm1, tmm4, tmm7",
            "tdpbuud tmm2, tmm5, tmm6",
            "tdpbuud tmm3, tmm5, tmm7",
            "add {a0}, 1024",
            "add {a1}, 1024",
            "sub {b0}, 1024",
            "sub {b1}, 1024",
            "dec {limb}",
            "jnz 3b",
            "add {a0}, {skip_a}",
            "add {a1}, {skip_a}",
            "add {b0}, {skip_b}",
            "add {b1}, {skip_b}",
            "dec {tile}",
            "jnz 2b",
            "tilestored [{out} + {row}], tmm0",
            "tilestored [{out} + {row} + 1024], tmm1",
            "tilestored [{out} + {row} + 2048], tmm2",
            "tilestored [{out} + {row} + 3072], tmm3",
            a0 = inout(reg) a => _,
            a1 = inout(reg) a.add(strip) => _,
            b0 = inout(reg) b.add(weight * TILE) => _,
            b1 = inout(reg) b.add(strip + weight * TILE) => _,
            row = in(reg) TILE_DEPTH,
            limbs = in(reg) weight + 1,
            limb = out(reg) _,
            tile = inout(reg) tiles => _,
            skip_a = in(reg) (LIMBS - weight - 1) * TILE,
            skip_b = in(reg) (LIMBS + weight + 1) * TILE,
            out = in(reg) out.as_mut_ptr(),
            options(nostack),
        );
    }
}

/// All tile registers as 16 rows of 64 bytes, for as long as this lives.
struct Tiles;

impl Tiles {
    fn configure() -> Tiles {
        #[repr(C, align(64))]
        struct Config([u8; 64]);
        let mut config = Config([0; 64]);
        config.0[0] = 1; // the palette
        for tile in 0..8 {
            config.0[16 + 2 * tile] = TILE_DEPTH as u8; // bytes of a row
            config.0[48 + tile] = STRIP as u8; // rows
        }
        // SAFETY: `product`, the only caller, has seen that there is AMX; the configuration is one that every AMX has.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &config, options(nostack, readonly)) };
        Tiles
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: as in `configure`. Released, the registers need not be saved when threads change.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// Strips of 16 rows of A, an even number of them: for each tile of depth, for each limb, 16 rows of 64 bytes.
fn pack_rows(packed: &mut [u8], a: View<'_>, m: usize, l0: usize, depth: usize) {
    let tiles = depth.div_ceil(TILE_DEPTH);
    let rows = m.next_multiple_of(2 * STRIP);
    for (row, strip) in (0..rows).map(|row| (row, row / STRIP * tiles * LIMBS * TILE)) {
        for tile in 0..tiles {
            let mut words = [0u64; TILE_DEPTH];
            let from = tile * TILE_DEPTH;
            let len = TILE_DEPTH.min(depth - from);
            if row < m {
                words[..len].copy_from_slice(&a.data[row * a.stride + l0 + from..][..len]);
            }
            let group = &mut packed[strip + tile * LIMBS * TILE..][..LIMBS * TILE];
            vectorise(
                #[inline(always)]
                || {
                    for (limb, out) in group.chunks_exact_mut(TILE).enumerate() {
                        let out = &mut out[row % STRIP * TILE_DEPTH..][..TILE_DEPTH];
                        out.iter_mut().zip(&words).for_each(|(byte, word)| *byte = (word >> (8 * limb)) as u8);
                    }
                },
            );
        }
    }
}

/// Strips of 16 columns of B, an even number of them: for each tile of depth, for each limb, 16 rows of four words of depth, in
/// which the four bytes of a column lie side by side.
fn pack_columns(packed: &mut [u8], b: View<'_>, n: usize, l0: usize, depth: usize) {
    let tiles = depth.div_ceil(TILE_DEPTH);
    let columns = n.next_multiple_of(2 * STRIP);
    for l in (0..tiles * TILE_DEPTH).step_by(4) {
        for column in (0..columns).step_by(STRIP) {
            let width = STRIP.min(n.saturating_sub(column));
            let mut words = [[0u64; STRIP]; 4];
            for (q, words) in words.iter_mut().enumerate().filter(|(q, _)| l + q < depth) {
                words[..width].copy_from_slice(&b.data[(l0 + l + q) * b.stride + column.min(n)..][..width]);
            }
            let start = (column / STRIP * tiles + l / TILE_DEPTH) * LIMBS * TILE;
            let group: &mut [u32] = bytemuck::cast_slice_mut(&mut packed[start..][..LIMBS * TILE]);
            vectorise(
                #[inline(always)]
                || {
                    for (limb, out) in group.chunks_exact_mut(TILE / 4).enumerate() {
                        let out = &mut out[l % TILE_DEPTH / 4 * STRIP..][..STRIP];
                        for (i, out) in out.iter_mut().enumerate() {
                            let byte = |q: usize| ((words[q][i] >> (8 * limb)) as u32 & 0xff) << (8 * q);
                            *out = byte(0) | byte(1) | byte(2) | byte(3);
                        }
                    }
                },
            );
        }
    }
}
