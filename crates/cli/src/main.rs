//! The `privity` command.
#![forbid(unsafe_code)]

// First: its macros count in all that follows.
#[macro_use]
mod output;

mod audit;
mod catalogue;
mod checkpoint;
mod children;
mod circuit;
mod commands;
mod compare;
mod demo;
mod error;
mod fields;
mod key;
mod log;
mod member;
mod model;
mod organisation;
mod policy;
mod scenario;
mod share;
mod show;
mod up;
mod user;

use clap::{Parser, Subcommand};
use error::CliError;
use std::path::PathBuf;
use std::process::ExitCode;

/// Train models together over data that none of the parties shows to the others.
///
/// Exit codes: 0 done; 2 command line, job file or identity; 3 the party's data; 4 a peer or the network; 5 values left
/// their ranges, or training diverged; 6 a result could not be written; 7 a check of the protocol failed; 70 a fault of the program.
#[derive(Parser)]
#[command(name = "privity", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a joint model in three processes on this machine and compare it with what else there could be.
    Demo(demo::Args),
    /// Say what a job will send, take and open, before it runs.
    Plan(commands::PlanArgs),
    /// Run one party of a job.
    Run(commands::RunArgs),
    /// Have a party's checkpoints read again after it lost its identity, where the job has their keys in escrow.
    #[command(subcommand)]
    Checkpoint(checkpoint::Command),
    /// Make identities.
    #[command(subcommand)]
    Keys(commands::Keys),
    /// Apply a model that was opened to this party to local rows, in the clear. Where the rows are another party's, and neither they nor the
    /// model are to be shown to the other side: a job with a section `score`.
    Predict(commands::PredictArgs),
    /// Look at rules on jobs.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Split a file or a key into shares, or put it together again.
    #[command(subcommand)]
    Share(share::Share),
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Look at, run, measure and make Boolean circuits.
    #[command(subcommand)]
    Circuit(circuit::Command),
    /// Make the directory, root key and configuration of an organisation's node.
    Init(organisation::InitArgs),
    /// Run the node of an organisation.
    Node(organisation::NodeArgs),
    /// Start several organisations on this machine, for trying.
    Up(up::UpArgs),
    /// Invite organisations to a project.
    Invite(organisation::InviteArgs),
    /// Confirm the words of an organisation that joins.
    Confirm(organisation::ConfirmArgs),
    /// Join a project with the code of an invitation.
    Join(organisation::JoinArgs),
    /// List members of projects, remove one, or have the root of one forgotten.
    #[command(subcommand)]
    Member(member::MemberCommand),
    /// Leave a project.
    #[command(subcommand)]
    Project(member::ProjectCommand),
    /// Register tables that jobs may name.
    #[command(subcommand)]
    Table(organisation::TableCommand),
    /// Register models that jobs may name to score rows with.
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Say who may sign in to the dashboard.
    #[command(subcommand)]
    User(user::UserCommand),
    /// List the jobs of a node.
    Jobs(organisation::JobsArgs),
    /// Submit, show, approve, deny, follow or give up a job.
    #[command(subcommand)]
    Job(organisation::JobCommand),
    /// Say what the node is and which others answer.
    Status(organisation::StatusArgs),
    /// Look whether all members of a project are reached, and how.
    Doctor(organisation::DoctorArgs),
    /// Declare the node's certificates void.
    Revoke(organisation::RevokeArgs),
    /// Measure the works W1 to W10.
    Bench(privity_bench::Args),
    /// One party of a benchmark, started by `bench`.
    #[command(hide = true)]
    BenchParty {
        /// What the party is told.
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    privity_ring::memory::keep_freed();
    match dispatch(Cli::parse().command).and_then(|()| output::finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("privity: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn dispatch(command: Command) -> Result<(), CliError> {
    let own = || std::env::current_exe().map_err(CliError::system("finding this program"));
    match command {
        Command::Demo(args) => demo::run(&args, &own()?),
        Command::Plan(args) => commands::plan(&args),
        Command::Run(args) => commands::run(&args),
        Command::Checkpoint(args) => checkpoint::run(&args),
        Command::Keys(keys) => commands::keys(&keys),
        Command::Predict(args) => commands::predict(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Share(args) => share::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Circuit(args) => circuit::run(&args),
        Command::Init(args) => organisation::init(&args),
        Command::Node(args) => organisation::node(&args),
        Command::Up(args) => up::run(&args, &own()?),
        Command::Invite(args) => organisation::invite(&args),
        Command::Confirm(args) => organisation::confirm(&args),
        Command::Join(args) => organisation::join(&args),
        Command::Member(command) => member::member(&command),
        Command::Project(command) => member::project(&command),
        Command::Table(command) => organisation::table(&command),
        Command::Model(command) => model::run(&command),
        Command::User(command) => user::run(&command),
        Command::Jobs(args) => organisation::jobs(&args),
        Command::Job(command) => organisation::job(&command),
        Command::Status(args) => organisation::status(&args),
        Command::Doctor(args) => organisation::doctor(&args),
        Command::Revoke(args) => organisation::revoke(&args),
        Command::Bench(args) => Ok(privity_bench::run(&args, &own()?, &mut std::io::stdout())?),
        Command::BenchParty { file } => Ok(privity_bench::child(&file, &mut std::io::stdout())?),
    }
}
