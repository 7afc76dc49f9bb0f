//! Speed of the kernels, as fractions of what the processor could do. The clock is measured in the same run.
//! `cargo bench -p privity-ring [-- gemm|planes|elementwise]`

use privity_ring::kernels::{bits, elementwise, gemm};
use privity_ring::simd::{Level, levels, with_level};
use std::hint::black_box;
use std::time::Instant;

fn main() {
    let only = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    let ghz = clock();
    println!("clock {ghz:.2} GHz (dependent additions)");
    let groups: [(&str, fn(f64)); 3] = [("gemm", products), ("planes", planes), ("elementwise", elements)];
    for (name, group) in groups {
        if name.contains(&only) {
            println!("\n{name}");
            group(ghz);
        }
    }
}

/// GHz, by a chain of dependent additions, one a cycle. What is added is in a register: some processors add constants for nothing.
fn clock() -> f64 {
    const N: u64 = 50_000_000;
    let one = black_box(1u64);
    let seconds = fastest(|| {
        let mut x = black_box(1u64);
        for _ in 0..N / 10 {
            for _ in 0..10 {
                x = black_box_register(x.wrapping_add(black_box_register(one)));
            }
        }
        black_box(x);
    });
    N as f64 / seconds / 1e9
}

/// Hides a value from the optimiser without a store, which `std::hint::black_box` would make.
#[inline(always)]
fn black_box_register(mut x: u64) -> u64 {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    // SAFETY: the block has no instructions; it neither reads nor writes memory.
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) x, options(nomem, nostack, preserves_flags));
    }
    x
}

/// Seconds of one call: the fastest of 100 samples of about 2 ms, since other load on the machine only ever slows one down.
fn fastest(mut f: impl FnMut()) -> f64 {
    f();
    let start = Instant::now();
    f();
    let calls = (0.002 / start.elapsed().as_secs_f64().max(1e-9)).ceil() as u32;
    let sample = |_| {
        let start = Instant::now();
        (0..calls).for_each(|_| f());
        start.elapsed().as_secs_f64() / f64::from(calls)
    };
    (0..100).map(sample).fold(f64::INFINITY, f64::min)
}

fn words(n: usize) -> Vec<u64> {
    (0..n as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)).collect()
}

/// Multiply-adds per cycle that the level's multipliers could do; none is assumed for the portable path.
fn peak(level: Level) -> Option<f64> {
    match level {
        Level::Portable => None,
        Level::Avx2 => Some(4.0),
        Level::Avx512 => Some(16.0),
        // 1024 products of bytes, 36 of them for one of words.
        Level::Amx => Some(28.4),
    }
}

fn products(ghz: f64) {
    const SHAPES: [[usize; 3]; 13] = [
        [1024, 1024, 1024],
        [512, 512, 512],
        [128, 784, 128],
        [64, 31, 1024],
        [32, 65, 1024],
        [64, 1024, 31],
        [64, 32, 1024],
        [1024, 30, 64],
        [128, 30, 64],
        [128, 64, 32],
        [64, 128, 10],
        [1024, 256, 1],
        [1, 256, 1024],
    ];
    for level in levels() {
        for threads in [1, 2] {
            gemm::set_threads(threads);
            for [m, k, n] in SHAPES {
                let (a, b, mut c) = (words(m * k), words(k * n), vec![0; m * n]);
                let seconds = with_level(level, || {
                    fastest(|| gemm::gemm(gemm::Acc::Set, black_box(&mut c), black_box(&a), black_box(&b), m, k, n))
                });
                let rate = (m * k * n) as f64 / seconds / 1e9;
                let share = peak(level).map(|p| 100.0 * rate / (p * ghz * threads as f64));
                let share = share.map_or_else(String::new, |s| format!("{s:5.0} % of peak"));
                println!("{level:?} threads={threads} {m:4} x {k:4} x {n:4}: {rate:6.2} GMAC/s {share}");
            }
        }
    }
    gemm::set_threads(1);
}

fn planes(_: f64) {
    for level in levels() {
        for width in [1, 8, 16, 32, 64] {
            let mut values = words(1 << 13);
            let mut planes = vec![0; width * values.len() / 64];
            let gb = 8.0 * values.len() as f64 / 1e9;
            let pack = with_level(level, || fastest(|| bits::to_planes(black_box(&values), width, &mut planes)));
            let unpack = with_level(level, || fastest(|| bits::from_planes(black_box(&planes), width, &mut values)));
            println!(
                "{level:?} width {width:2}: pack {:6.2} GB/s, unpack {:6.2} GB/s of values",
                gb / pack,
                gb / unpack
            );
        }
    }
}

type Binary = fn(&mut [u64], &[u64], &[u64]);

/// In the L2 cache and far from it; bytes read and written are counted, and compared with a plain copy's.
fn elements(_: f64) {
    let ops: [(&str, Binary); 4] = [
        ("add", elementwise::add),
        ("xor", elementwise::xor),
        ("mul", elementwise::mul),
        ("mul_add", elementwise::mul_add),
    ];
    for n in [1 << 13, 1 << 22] {
        let (a, b, mut out) = (words(n), words(n), vec![0; n]);
        let copy = 16.0 * n as f64 / fastest(|| black_box(&mut out).copy_from_slice(black_box(&a))) / 1e9;
        println!("{n} words: copy {copy:.1} GB/s");
        for level in levels() {
            for (name, op) in ops {
                let moved = if name == "mul_add" { 32.0 } else { 24.0 } * n as f64;
                let seconds = with_level(level, || fastest(|| op(black_box(&mut out), black_box(&a), black_box(&b))));
                let rate = moved / seconds / 1e9;
                println!("{level:?} {name:8} {rate:6.1} GB/s, {:4.0} % of copy", 100.0 * rate / copy);
            }
        }
    }
}
