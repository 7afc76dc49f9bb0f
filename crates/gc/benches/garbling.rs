//! Speed of garbling on one core, tables written to memory. `cargo bench -p privity-gc`; with `-- 16`, only circuits of so many instances.

use privity_circuit::{Circuit, aes, arithmetic};
use privity_gc::{Garbler, Label, Schedule, evaluate};
use privity_prim::{GateHash, Keys};
use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

fn main() {
    let multiplier = arithmetic::named("mul", 64).expect("known");
    let rows = [
        ("multiplier of 64 bits", &multiplier, 1),
        ("multiplier of 64 bits", &multiplier, 16),
        ("multiplier of 64 bits", &multiplier, 32),
        ("AES-128", &aes::encrypt(), 1),
        ("AES-128", &aes::encrypt(), 16),
    ];
    let only: Option<usize> = std::env::args().find_map(|argument| argument.parse().ok());
    if only.is_none() {
        for keys in [Keys::Shared, Keys::Apart] {
            println!("gates of 16 alone, keys {keys:?}: {}", gates(keys));
        }
    }
    for (name, circuit, instances) in rows.into_iter().filter(|(.., instances)| only.is_none_or(|n| n == *instances)) {
        println!("{name}, {instances} instances: {}", whole(circuit, instances));
    }
}

/// Samples of each row.
const SAMPLES: usize = 400;

/// Gates without a circuit, garbled and evaluated, from labels in the nearest cache.
fn gates(keys: Keys) -> String {
    const ANDS: usize = 16;
    const CALLS: u64 = 2_000;
    let (hash, difference) = (GateHash::new(7), 11);
    let labels: [Label; 2 * ANDS] = std::array::from_fn(|i| (i as Label + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15 << 40));
    let operands = [&labels[..ANDS], &labels[ANDS..]];
    let (mut tables, mut results) = ([[0; 2]; ANDS], [0; ANDS]);
    let times = (0..SAMPLES).map(|_| {
        let started = Instant::now();
        for call in 0..CALLS {
            hash.garble((call, keys), difference, black_box(operands), &mut tables, &mut results);
            black_box((&mut tables, &mut results));
        }
        let half = started.elapsed().as_secs_f64();
        for call in 0..CALLS {
            hash.evaluate((call, keys), black_box(operands), &tables, &mut results);
            black_box(&mut results);
        }
        [half, started.elapsed().as_secs_f64() - half]
    });
    summary(times.collect(), ANDS * CALLS as usize)
}

/// A circuit, garbled and evaluated.
fn whole(circuit: &Circuit, instances: usize) -> String {
    let (schedule, mut garbler) = (Schedule::new(circuit), Garbler::new().expect("randomness"));
    let ands = schedule.ands() * instances;
    let mut tables: Vec<Label> = Vec::with_capacity(2 * ands);
    let mut sample = || {
        tables.clear();
        let before = garbler.keys();
        let started = Instant::now();
        let Ok(garbling) = garbler.garble(&schedule, instances, |part| {
            tables.extend_from_slice(part);
            Ok::<_, Infallible>(())
        });
        let half = started.elapsed().as_secs_f64();
        let mut at = 0;
        let Ok(labels) = evaluate(&schedule, garbler.start(), before, &garbling.inputs, instances, |part| {
            part.copy_from_slice(&tables[at..at + part.len()]);
            at += part.len();
            Ok::<_, Infallible>(())
        });
        let all = started.elapsed().as_secs_f64();
        black_box(labels);
        [half, all - half]
    };
    summary((0..SAMPLES).map(|_| sample()).collect(), ands)
}

/// Rates of seconds of garbling and of evaluating.
fn summary(times: Vec<[f64; 2]>, ands: usize) -> String {
    let row = |of: fn(&[f64; 2]) -> f64| {
        let mut seconds: Vec<f64> = times.iter().map(of).collect();
        seconds.sort_by(f64::total_cmp);
        let rate = |seconds: f64| ands as f64 / seconds / 1e6;
        format!("{:.0} ({:.0})", rate(seconds[0]), rate(seconds[seconds.len() / 2]))
    };
    format!(
        "garbled {}, evaluated {}, both {} million ANDs a second, the fastest (and the median)",
        row(|[half, _]| *half),
        row(|[_, half]| *half),
        row(|halves| halves.iter().sum())
    )
}
