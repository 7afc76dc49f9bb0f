//! Repository chores: what the compiler does not check, and runs too long for every change.

#![forbid(unsafe_code)]

mod cargo;
mod dashboard;
mod network;
mod tidy;

use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Chores of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Checks crate edges, where `unsafe` stands, file names of protocols, dead files, stubs and stray paths.
    Tidy,
    /// Runs the tests that are too long for every change: millions of truncations, all widths.
    Heavy,
    /// Feeds mutated inputs to every parser.
    Fuzz {
        /// Seconds for each parser.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Nodes under a simulated clock and network: random faults, and many jobs of many tenants while nodes are killed.
    Faults {
        /// How many faults.
        #[arg(long, default_value_t = 200)]
        faults: u64,
        /// Which: the same seed draws the same.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many jobs.
        #[arg(long, default_value_t = 1000)]
        jobs: u64,
    },
    /// Clicks through the dashboard in a browser, at four nodes on this machine. Needs node, npm and Chromium.
    Dashboard {
        /// The browser.
        #[arg(long, env = "CHROMIUM", default_value = "/usr/bin/chromium")]
        chromium: PathBuf,
        /// A `privity` that is built; left out, it is built now.
        #[arg(long)]
        program: Option<PathBuf>,
    },
    /// Breaks links, machines and disks of four organisations in network namespaces while they train. Needs root and iproute2.
    Network {
        /// A `privity` that is built; left out, it is built now.
        #[arg(long)]
        program: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().chore {
        Chore::Tidy => run_tidy(),
        Chore::Heavy => cargo::heavy(&root()),
        Chore::Fuzz { seconds } => cargo::fuzz(&root(), seconds),
        Chore::Faults { faults, seed, jobs } => cargo::faults(&root(), [faults, seed, jobs]),
        Chore::Dashboard { chromium, program } => dashboard::journeys(&root(), &chromium, program),
        Chore::Network { program } => network::faults(&root(), program),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run_tidy() -> Result<(), String> {
    let found = tidy::tidy(&root()).map_err(|e| e.to_string())?;
    found.iter().for_each(|problem| eprintln!("{problem}"));
    match found.len() {
        0 => Ok(()),
        n => Err(format!("tidy found {n} problems")),
    }
}

/// The root of the checkout this binary was built from.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}
