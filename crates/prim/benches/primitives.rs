//! Speed of the primitives. The clock is measured in the same run. `cargo bench -p privity-prim`

use privity_prim::{Prg, Tag};
use privity_ring::mersenne::{self, Extrapolation};
use privity_ring::simd::{Level, levels, with_level};
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
        let seconds: Vec<f64> = (0..5).map(|dealer| with_level(level, || shares(dealer))).collect();
        let rate = |seconds: f64| 1e-6 / seconds;
        println!(
            "shares of five parties at threshold 2, {level:?}: {:.0} million secrets/s, all dealers in turn ({:.0} the first, {:.0} the last)",
            rate(seconds.iter().sum::<f64>() / 5.0),
            rate(seconds[0]),
            rate(seconds[4])
        );
    }
    println!("Prg, key schedule: {:.1} ns", 1e9 * fastest(|| drop(black_box(Prg::new(black_box([7; 16]))))));
}

/// Shares of secrets by polynomials of degree 2 among 5 parties, as the dealer of this number makes them (docs/protocols/shamir.md, 2): two parties' shares
/// are drawn, three follow. What is worked on at once stays in the cache, as in the protocol. Seconds a secret.
fn shares(dealer: i64) -> f64 {
    const SECRETS: usize = 1 << 11;
    let prg = Prg::new([9; 16]);
    let holders: Vec<i64> = (1..=2).map(|i| (dealer + i) % 5 + 1).collect();
    let others: Vec<i64> = (1..=5).filter(|point| !holders.contains(point)).collect();
    let extrapolation = Extrapolation::new(&[0, holders[0], holders[1]], &others);
    let secrets: Vec<u64> = (0..SECRETS as u64).collect();
    let mut drawn = [vec![0; SECRETS], vec![0; SECRETS]];
    let seconds = fastest(|| {
        for (label, share) in drawn.iter_mut().enumerate() {
            prg.fill(black_box(label as u64), 0, share);
            assert!(!mersenne::truncate_all(share));
        }
        black_box(extrapolation.run(&[&secrets, &drawn[0], &drawn[1]]));
    });
    seconds / SECRETS as f64
}

/// GHz, by a chain of dependent additions, one a cycle: of registers, as some processors add several constants at once.
fn clock() -> f64 {
    const N: u64 = 5_000_000;
    let seconds = fastest(|| {
        let (mut x, y) = (black_box(1u64), black_box(1u64));
        for _ in 0..N / 10 {
            for _ in 0..10 {
                x = hidden(x.wrapping_add(hidden(y)));
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
