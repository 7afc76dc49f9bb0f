//! Speed of the primitives. The clock is measured in the same run. `cargo bench -p privity-prim`

use privity_prim::{Prg, Tag};
use privity_ring::simd::{Level, levels, with_level};
use privity_ring::{M61, Ring, mersenne};
use std::hint::black_box;
use std::time::Instant;

fn main() {
    let ghz = clock();
    println!("clock {ghz:.2} GHz (dependent additions)");
    for words in [1 << 11, 1 << 15, 1 << 21] {
        let mut out = vec![0; words];
        let gb = 8.0 * words as f64 / 1e9;
        for level in levels() {
            let prg = with_level(level, || Prg::new([7; 16]));
            let rate = gb / fastest(|| prg.fill(black_box(1), 0, black_box(&mut out)));
            // VAES-256: two instructions a cycle, 32 bytes each, ten rounds. The other path's peak is not known.
            let share = 100.0 * rate / (6.4 * ghz);
            let share =
                if level == Level::Portable { String::new() } else { format!("{share:4.0} % of the VAES-256 peak") };
            println!("Prg, {:5} KiB, {level:?}: {rate:6.2} GB/s {share}", words >> 7);
        }
        let seconds = fastest(|| {
            let mut tag = Tag::new([7; 16]);
            tag.absorb(black_box(&out));
            black_box(tag.finish());
        });
        println!("Tag, {:5} KiB: {:6.2} GB/s", words >> 7, gb / seconds);
    }
    let prg = Prg::new([7; 16]);
    let mut block = [0; 2];
    println!("Prg, one block: {:.1} ns", 1e9 * fastest(|| prg.fill(black_box(1), 0, black_box(&mut block))));
    for level in levels() {
        println!(
            "shares of five parties at threshold 2, {level:?}: {:.0} million secrets/s",
            with_level(level, shares) / 1e6
        );
    }
    println!("Prg, key schedule: {:.1} ns", 1e9 * fastest(|| drop(black_box(Prg::new(black_box([7; 16]))))));
}

/// Shares of secrets by polynomials of degree 2 among 5 parties, as a dealer makes them (docs/protocols/shamir.md, 2): two parties' shares are drawn,
/// those of the other three follow.
fn shares() -> f64 {
    const SECRETS: usize = 1 << 11;
    let prg = Prg::new([9; 16]);
    let field = |x: u64| M61::from_u64(x);
    // Weights of the secret at 0 and of the shares at 2 and 3, for those at 1, 4 and 5.
    let known = [0, 2, 3].map(field);
    let weight = |at: u64, j: usize| {
        let others = (0..3).filter(|m| *m != j);
        others.fold(field(1), |w, m| w.mul(field(at).sub(known[m])).mul(known[j].sub(known[m]).inverse()))
    };
    let weights = [1, 4, 5].map(|at| [0, 1, 2].map(|j| weight(at, j)));
    let secrets: Vec<u64> = (0..SECRETS as u64).collect();
    let mut drawn = [vec![0; SECRETS], vec![0; SECRETS]];
    let mut others = [vec![0; SECRETS], vec![0; SECRETS], vec![0; SECRETS]];
    let seconds = fastest(|| {
        for (label, share) in drawn.iter_mut().enumerate() {
            prg.fill(black_box(label as u64), 0, share);
            mersenne::reduce_all(share);
        }
        for (weights, out) in weights.iter().zip(&mut others) {
            let vectors = [&secrets[..], &drawn[0], &drawn[1]];
            let terms: [(M61, &[u64]); 3] = std::array::from_fn(|i| (weights[i], vectors[i]));
            mersenne::combine(black_box(out), &terms);
        }
    });
    SECRETS as f64 / seconds
}

/// GHz, by a chain of dependent additions, one a cycle.
fn clock() -> f64 {
    const N: u64 = 5_000_000;
    let seconds = fastest(|| {
        let mut x = black_box(1u64);
        for _ in 0..N / 10 {
            for _ in 0..10 {
                x = hidden(x.wrapping_add(1));
            }
        }
        black_box(x);
    });
    N as f64 / seconds / 1e9
}

/// Hides a value from the optimiser without a store, which `std::hint::black_box` would make.
#[inline(always)]
#[allow(unused_mut)] // on other processors
fn hidden(mut x: u64) -> u64 {
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
