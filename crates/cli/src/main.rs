//! The `privity` command.
#![forbid(unsafe_code)]

mod demo;
mod program;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Train and query models together over data that none of the parties shows to the others.
#[derive(Parser)]
#[command(name = "privity", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a joint model in three processes on this machine.
    Demo(demo::Args),
    /// One party of a demonstration, started by `demo`.
    #[command(hide = true)]
    DemoParty {
        /// What the party is told.
        file: PathBuf,
    },
    /// Measure the works W1 to W8.
    Bench(privity_bench::Args),
    /// One party of a benchmark, started by `bench`.
    #[command(hide = true)]
    BenchParty {
        /// What the party is told.
        file: PathBuf,
    },
}

/// Exit codes: 0 done, 2 wrong usage (from the argument parser), 4 anything that failed while running.
fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("privity: {error}");
            ExitCode::from(4)
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    match command {
        Command::Demo(args) => demo::run(&args, &std::env::current_exe()?),
        Command::DemoParty { file } => demo::party(&file),
        Command::Bench(args) => Ok(privity_bench::run(&args, &std::env::current_exe()?, &mut std::io::stdout())?),
        Command::BenchParty { file } => Ok(privity_bench::child(&file, &mut std::io::stdout())?),
    }
}
