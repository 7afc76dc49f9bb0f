//! The works W1 to W10: what other frameworks are measured by, on one machine, every party its own process over TLS unless
//! another link is asked for. Each figure comes with that of the plain float32 twin from the same run.

#![forbid(unsafe_code)]

mod measure;
mod plain;
mod run;
mod works;

pub use measure::Measurement;
pub use run::{BenchError, child, run};
pub use works::Work;

use clap::{Args as ClapArgs, ValueEnum};
use serde::{Deserialize, Serialize};

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub enum LinkKind {
    /// Processes over loopback, mutual TLS 1.3.
    Tls,
    /// Processes over loopback, neither encrypted nor authenticated: what TLS costs is the difference.
    Tcp,
    /// Threads of one process, queues in memory.
    Memory,
    /// Threads of one process, links with simulated latency and bandwidth.
    Sim,
}

/// What the protocol withstands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Adversary {
    /// One of three parties is curious: `rep3`.
    Passive,
    /// One of four parties deviates as it likes: `rep4`.
    Active,
    /// All parties but one are curious together, a dealer without data colludes with none of them: `additive`, see `--parties`.
    AllButOne,
    /// The same parties deviate as they like, the dealer does not: `additive-mac`, see `--parties`.
    AllButOneActive,
    /// So many of the parties are curious together as `--threshold` says, fewer than half: `shamir`, see `--parties`.
    Minority,
    /// So many of `2 threshold + 1` parties deviate as they like: `shamir-active`, see `--parties`.
    MinorityActive,
    /// Either of two parties is curious, and there is nobody else: `gmw`.
    OneOfTwo,
}

impl Adversary {
    fn protocol(self) -> &'static str {
        match self {
            Adversary::Passive => "rep3",
            Adversary::Active => "rep4",
            Adversary::AllButOne => "additive",
            Adversary::Minority => "shamir",
            Adversary::MinorityActive => "shamir-active",
            Adversary::OneOfTwo => "gmw",
            Adversary::AllButOneActive => "additive-mac",
        }
    }
}

impl Args {
    /// Processes: parties, and a dealer.
    fn processes(&self) -> usize {
        match self.adversary {
            Adversary::Passive => 3,
            Adversary::Active => 4,
            Adversary::AllButOne | Adversary::AllButOneActive => usize::from(self.parties) + 1,
            Adversary::Minority => self.parties.max(3).into(),
            Adversary::MinorityActive => usize::from(self.parties.max(3)) | 1,
            Adversary::OneOfTwo => 2,
        }
    }
    /// How many parties `shamir` lets be corrupt: as many as it can, unless fewer are asked for.
    fn corrupt(&self) -> usize {
        self.threshold.map_or((self.processes() - 1) / 2, usize::from)
    }
}

/// Arguments of `privity bench`.
#[derive(Clone, Debug, Serialize, Deserialize, ClapArgs)]
pub struct Args {
    /// What the protocol withstands.
    #[arg(long, value_enum, default_value = "passive")]
    pub adversary: Adversary,
    /// Parties of `all-but-one` and `all-but-one-active` (2 to 7, the dealer not counted), `minority` and `minority-active` (3 to 31, the latter an odd number).
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=31))]
    pub parties: u8,
    /// Corrupt parties of `minority`; as many as can be if not given.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=15))]
    pub threshold: Option<u8>,
    /// How `minority` reduces degrees of products.
    #[arg(long, value_enum, default_value = "quickest")]
    pub reduction: Reduction,
    /// Work; all of them if not given.
    #[arg(long, value_enum)]
    pub work: Option<Work>,
    /// Values, or extent of the matrices of W3.
    #[arg(long, conflicts_with = "batch")]
    pub size: Option<usize>,
    /// Rows of W5, W6 and W7.
    #[arg(long)]
    pub batch: Option<usize>,
    /// Link between the parties.
    #[arg(long, value_enum, default_value = "tls")]
    pub link: LinkKind,
    /// Round-trip time of simulated links, milliseconds.
    #[arg(long, default_value_t = 40.0)]
    pub rtt_ms: f64,
    /// Bandwidth of each simulated directed link, Mbit/s.
    #[arg(long, default_value_t = 100.0)]
    pub mbit: f64,
    /// Compute threads of each party.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// Sessions side by side that share the rows of a batch: W5, W6 and W10.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub lanes: u8,
    /// Back-to-back repetitions; fewer (at least 5) where they would take longer than 20 s.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub runs: u32,
    /// Round half up exactly instead of stochastic rounding.
    #[arg(long)]
    pub exact: bool,
    /// Carry-tree fan-in of comparisons.
    #[arg(long, value_enum, default_value = "four")]
    pub radix: RadixKind,
    /// One JSON object a line instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// How products under `shamir` come back to their degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Whichever the cost model says is quickest; sets have no keys.
    Quickest,
    /// Every party deals.
    Direct,
    /// Kings, masks dealt.
    King,
    /// Kings, masks drawn by sets of parties, which must be few.
    KingOfSets,
}

/// Carry-tree fan-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub enum RadixKind {
    /// Two-input gates.
    Two,
    /// Up to four-input gates.
    Four,
}

/// One line of results.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The work.
    pub work: Work,
    /// Its size: values, extent or rows.
    pub size: usize,
    /// Protocol.
    pub protocol: &'static str,
    /// Number of parties, a dealer included.
    pub parties: usize,
    /// What the protocol withstands.
    pub adversary: Adversary,
    /// Link.
    pub link: LinkKind,
    /// Median seconds of a repetition.
    pub seconds_median: f64,
    /// Fastest repetition.
    pub seconds_min: f64,
    /// Slowest repetition.
    pub seconds_max: f64,
    /// Mean seconds: the whole loop divided by its repetitions, run-ahead included.
    pub seconds_mean: f64,
    /// Payload bytes a party sends in a repetition: the mean of the parties.
    pub bytes_per_party: u64,
    /// The same, party by party.
    pub bytes_sent: Vec<u64>,
    /// Rounds of a repetition, steady state.
    pub rounds: f64,
    /// Rounds that the price list declares for a repetition from a standing start.
    pub rounds_declared: u64,
    /// Bytes that the price list declares for a repetition, all parties.
    pub bytes_declared: u64,
    /// Seconds predicted from the link's figures (simulated links only).
    pub seconds_planned: Option<f64>,
    /// Median seconds of the float32 twin, one thread.
    pub plain_seconds: Option<f64>,
    /// Compute threads of each party.
    pub threads: u16,
    /// Sessions side by side.
    pub lanes: u8,
    /// Repetitions.
    pub runs: usize,
    /// Largest resident set of a party's process, bytes (all parties together where they share a process).
    pub peak_memory: u64,
}
