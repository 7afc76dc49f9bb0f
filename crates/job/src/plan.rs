//! What a job will send, take and open, before it runs: the program itself, run over shapes. Bytes and rounds are exact;
//! seconds are a prediction from the speed of this machine and of the declared link.

use crate::choice::{self, Alternative};
use crate::job::speeds;
use crate::score::Mixed;
use crate::{Job, JobError, program, protocol};
use privity_mpc::cost::{Price, Speeds};
use privity_nn::range;
use privity_ring::{Bilinear, Shape, Tensor};
use serde::Serialize;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

/// A plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// What the parties call the job.
    pub job: String,
    /// What they compare before they start.
    pub digest: String,
    /// The protocol.
    pub protocol: &'static str,
    /// What it withstands, in few words.
    pub withstands: &'static str,
    /// The same and its limits, in full.
    pub guarantee: &'static str,
    /// What happens when a party is lost, in words.
    pub on_loss: &'static str,
    /// Who else can read checkpoints, in words, if their keys are in escrow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escrow: Option<String>,
    /// The schemes of operations that have a choice of them.
    #[serde(skip_serializing_if = "Mixed::is_default")]
    pub mixed: Mixed,
    /// Fan-in of comparisons: 2 or 4.
    pub radix: u32,
    /// The parties, in the order of their roles.
    pub parties: Vec<PartyPlan>,
    /// Messages in sequence until the last party is done.
    pub rounds: u64,
    /// Frames of all parties.
    pub frames: u64,
    /// Payload bytes of all parties.
    pub bytes: u64,
    /// Predicted seconds until the last party is done.
    pub seconds: f64,
    /// What the same job would take under each other protocol that its owners could run it under.
    pub alternatives: Vec<Alternative>,
    /// What the prediction rests on.
    pub speeds: SpeedPlan,
    /// Payload bytes, frames and rounds of each operation.
    pub operations: BTreeMap<&'static str, PricePlan>,
    /// All that is opened, and to whom.
    pub openings: Vec<OpeningPlan>,
    /// Ranges of every layer, and what they rest on.
    pub ranges: range::Plan,
}

/// A party's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartyPlan {
    /// Its name.
    pub name: String,
    /// Payload bytes it sends to each party.
    pub bytes_sent: Vec<u64>,
    /// Messages in sequence until it is done.
    pub rounds: u64,
    /// Estimated peak of its memory, bytes.
    pub memory: u64,
}

/// Traffic of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PricePlan {
    /// Payload bytes of all parties.
    pub bytes: u64,
    /// Frames of all parties.
    pub frames: u64,
    /// Rounds it adds.
    pub rounds: u64,
}

impl From<&Price> for PricePlan {
    fn from(price: &Price) -> Self {
        PricePlan { bytes: price.bytes, frames: price.frames, rounds: price.rounds }
    }
}

/// What a prediction rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SpeedPlan {
    /// Round-trip time, milliseconds: declared.
    pub rtt_ms: f64,
    /// Megabits a second: declared.
    pub mbit: f64,
    /// Ring multiply-adds a second: measured here and now.
    pub multiply_adds: f64,
    /// Nanoseconds of masking a byte: measured here and now.
    pub nanoseconds_a_byte: f64,
}

/// Something that is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpeningPlan {
    /// What.
    pub what: &'static str,
    /// Who learns it.
    pub recipients: Vec<String>,
    /// How many times.
    pub times: usize,
    /// Values each time.
    pub values: usize,
}

/// Plans a job for machines like this one and the declared link.
///
/// # Errors
/// Formats that cannot hold the model or the statistics.
pub fn plan(job: &Job) -> Result<Plan, JobError> {
    let speeds = speeds(job.file(), measure());
    let clock = protocol::price(job, speeds)?;
    let names = job.names();
    let memory = memory(job);
    let party = |(me, name): (usize, &String)| PartyPlan {
        name: name.clone(),
        bytes_sent: (0..names.len()).map(|to| clock.bytes(me, to)).collect(),
        rounds: clock.rounds_of(me),
        memory,
    };
    let file = job.file();
    Ok(Plan {
        job: file.name.clone(),
        digest: job.digest_hex(),
        on_loss: job.file().on_loss.meaning(),
        escrow: job.file().checkpoint.map(|checkpoint| checkpoint.escrow.meaning()),
        protocol: job.protocol().name(),
        withstands: choice::row(job.protocol()).withstands,
        guarantee: job.protocol().guarantee(),
        mixed: job.schemes(),
        radix: if job.config().radix == privity_mpc::Radix::Two { 2 } else { 4 },
        parties: names.iter().enumerate().map(party).collect(),
        rounds: clock.rounds(),
        frames: clock.frames(),
        bytes: clock.total_bytes(),
        seconds: clock.seconds(),
        alternatives: choice::alternatives(job, speeds),
        speeds: SpeedPlan {
            rtt_ms: speeds.latency * 2e3,
            mbit: speeds.bandwidth * 8e-6,
            multiply_adds: speeds.macs,
            nanoseconds_a_byte: speeds.byte * 1e9,
        },
        operations: clock.prices().iter().map(|(name, price)| (*name, price.into())).collect(),
        openings: openings(job),
        ranges: range::plan(&job.config(), &file.model, &file.training, job.features())?,
    })
}

/// What a run opens.
pub fn openings(job: &Job) -> Vec<OpeningPlan> {
    let names = job.names();
    let named = |opening: privity_nn::train::Opening| OpeningPlan {
        what: opening.what,
        recipients: (0..names.len()).filter(|i| opening.recipients.contains(*i)).map(|i| names[i].clone()).collect(),
        times: opening.times,
        values: opening.values,
    };
    program::openings(job).into_iter().map(named).collect()
}

/// Bytes of a party at its peak, about: its shares of all rows with what is standardised or in flight beside them (measured: 2.5
/// times the shares), and the part of a table that an operation works on.
fn memory(job: &Job) -> u64 {
    const WORDS_IN_WORK: u64 = 30;
    let rows: usize = job.rows().iter().map(|r| r.train + r.test).sum();
    let weights: usize = job.file().model.sizes(job.features()).windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum();
    let elements = (rows * (job.features() + 2) + weights) as u64;
    let shares = 16 * elements;
    5 * shares / 2 + 8 * WORDS_IN_WORK * elements.min(privity_mpc::ops::AT_ONCE as u64)
}

/// Rates of this machine, from a few milliseconds of work.
fn measure() -> Speeds {
    let (rows, inner, cols) = (128, 256, 64);
    let x = Tensor::<u64>::fill(&Shape::matrix(rows, inner), 3);
    let y = Tensor::<u64>::fill(&Shape::matrix(inner, cols), 5);
    let product = best_of(|| drop(black_box(Bilinear::MatMul.eval(black_box(&x), black_box(&y)))));
    let stream = privity_prim::Prg::new([7; 16]);
    let mut words = vec![0; 1 << 14];
    let mask = best_of(|| stream.fill(1, 0, black_box(&mut words)));
    // A byte sent is masked, encrypted, copied and authenticated; encrypting costs about what masking does.
    let byte = 3.0 * mask / (8.0 * words.len() as f64);
    Speeds { macs: (rows * inner * cols) as f64 / product, byte, ..Speeds::default() }
}

fn best_of(mut work: impl FnMut()) -> f64 {
    let time = |_| {
        let started = Instant::now();
        work();
        started.elapsed().as_secs_f64()
    };
    (0..7).map(time).fold(f64::INFINITY, f64::min).max(1e-9)
}
