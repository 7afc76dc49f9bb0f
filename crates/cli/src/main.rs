//! The `privity` command.
#![forbid(unsafe_code)]

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
    /// Measure the works W1 to W8.
    Bench(privity_bench::Args),
    /// One party of a benchmark, started by `bench`.
    #[command(hide = true)]
    BenchParty {
        /// What the party is told.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Bench(args) => std::env::current_exe()
            .map_err(|source| privity_bench::BenchError::Io { operation: "finding this program", source })
            .and_then(|program| privity_bench::run(&args, &program, &mut std::io::stdout())),
        Command::BenchParty { file } => privity_bench::child(&file, &mut std::io::stdout()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("privity: {error}");
            ExitCode::from(4)
        }
    }
}
