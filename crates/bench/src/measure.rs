//! The clock around a work, at one party.

use crate::works::{self, Work};
use privity_mpc::{Party, Protocol, Recipients, Result};
use privity_ring::{Ring, Shape, Tensor};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// What one party saw.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// Seconds of each repetition, back to back. Party 1's are the ones to quote: it waits for everything.
    pub seconds: Vec<f64>,
    /// Payload bytes this party sent in one repetition.
    pub bytes: u64,
    /// Rounds of one repetition.
    pub rounds: f64,
    /// Largest resident set of the process, bytes; 0 where unknown.
    pub peak_memory: u64,
}

/// Runs a work until `runs` repetitions are done; `max_seconds` bounds long ones (at least 5 are made). Everything a
/// repetition needs is made inside the clock, masks and their sending included: before the first one all parties meet, and
/// the last is over when all have met again, with what was computed verified where the protocol verifies. `session` is the
/// protocol's way to its session.
pub fn measure<P: Protocol>(
    p: &mut P,
    session: fn(&mut P) -> &mut Party,
    (work, size, lanes): (Work, usize, usize),
    runs: usize,
    max_seconds: f64,
) -> Result<Measurement> {
    let mut state = works::prepare(p, work, size, lanes)?;
    meet(p)?;
    let first = Instant::now();
    works::step(p, work, &mut state)?;
    meet(p)?;
    let estimate = agreed(p, first.elapsed())?;
    let runs = runs.min(5.max((max_seconds / estimate.as_secs_f64()) as usize));
    for _ in 0..runs.min(10) {
        works::step(p, work, &mut state)?;
    }
    meet(p)?;
    let (sent, rounds) = (session(p).bytes_sent().iter().sum::<u64>(), session(p).rounds());
    let mut seconds = Vec::with_capacity(runs);
    let mut traffic = (0, 0);
    let mut last = Instant::now();
    for run in 0..runs {
        works::step(p, work, &mut state)?;
        if run + 1 == runs {
            traffic = (session(p).bytes_sent().iter().sum::<u64>() - sent, session(p).rounds() - rounds);
            meet(p)?;
        }
        let now = Instant::now();
        seconds.push((now - last).as_secs_f64());
        last = now;
    }
    let (bytes, rounds) = (traffic.0 / runs as u64, traffic.1 as f64 / runs as f64);
    Ok(Measurement { seconds, bytes, rounds, peak_memory: peak_memory() })
}

/// All parties wait for each other: an opening to all.
fn meet<P: Protocol>(p: &mut P) -> Result<()> {
    let shape = Shape::vector(1);
    let zero = p.public(&Tensor::zeros(&shape));
    p.open(&zero, Recipients::ALL).map(|_| ())
}

/// The longest of the parties' durations, agreed by sharing and opening them (they are no secret).
fn agreed<P: Protocol>(p: &mut P, mine: Duration) -> Result<Duration> {
    let shape = Shape::vector(1);
    let mut longest = 0;
    for owner in p.owners() {
        let nanos = Tensor::fill(&shape, mine.as_nanos() as u64);
        let shared = p.input(owner, &shape, (p.me() == owner).then_some(&nanos))?;
        longest = longest.max(p.open(&shared, Recipients::ALL)?.expect("opened to all").data()[0].to_u64());
    }
    Ok(Duration::from_nanos(longest))
}

/// Peak resident set of this process from the kernel's accounting.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().strip_suffix(" kB")?.parse::<u64>().ok()).map_or(0, |kb| kb * 1024)
}
