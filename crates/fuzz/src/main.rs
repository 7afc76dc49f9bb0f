//! Feeds mutated inputs to every parser of untrusted bytes, from the seeds in `fuzz/corpus/TARGET/`. A panic is a finding:
//! its input is kept under `fuzz/artifacts/TARGET/`; add it to the corpus once the parser is mended.
//!
//! Mutation without coverage feedback finds less than a coverage-guided fuzzer; it needs no nightly compiler.

#![forbid(unsafe_code)]

mod campaign;
mod mutate;
mod target;

use clap::Parser;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Fuzzes the parsers.
#[derive(Parser)]
struct Cli {
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seed of the mutations; the same seed tries the same inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this target.
    #[arg(long)]
    target: Option<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let chosen = |t: &&target::Target| cli.target.as_deref().is_none_or(|name| name == t.name);
    let mut failed = false;
    for target in target::ALL.iter().filter(chosen) {
        match campaign::run(target, &folder(), cli.seed, Duration::from_secs(cli.seconds), u64::MAX) {
            Ok(tried) => println!("{}: {tried} inputs, no panic", target.name),
            Err(problem) => {
                eprintln!("{}: {problem}", target.name);
                failed = true;
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// `fuzz/` of the checkout this binary was built from.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}
