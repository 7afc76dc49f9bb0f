//! `privity checkpoint`: keys of checkpoints that are in escrow.

use crate::error::CliError;
use crate::key::{read_all, write};
use clap::{Args, Subcommand};
use privity_job::{Job, escrow};
use std::path::PathBuf;

/// Have a party's checkpoints read again after it lost its identity, where the job has their keys in escrow.
#[derive(Subcommand)]
pub enum Command {
    /// Write the shares that this party holds of the keys of another one's checkpoints. They are for that party alone: give them to it in private.
    Export(ExportArgs),
    /// Make this party's checkpoints readable under the identity that it has now, from shares that enough others gave back.
    Recover(RecoverArgs),
}

/// Who asks.
#[derive(Args)]
pub struct Own {
    /// The job file. To recover: the new one, with this party's new fingerprint and `[refits]` with the digest of the old one.
    job: PathBuf,
    /// This party's name in the job file.
    #[arg(long)]
    party: String,
    /// The directory that `privity keys new` made.
    #[arg(long)]
    identity: PathBuf,
    /// Where this party's results go, and its checkpoints are.
    #[arg(long, default_value = "privity-out")]
    out: PathBuf,
}

/// Arguments of `privity checkpoint export`.
#[derive(Args)]
pub struct ExportArgs {
    #[command(flatten)]
    own: Own,
    /// Whose checkpoints.
    #[arg(long)]
    of: String,
    /// Where the shares go.
    #[arg(long)]
    to: PathBuf,
}

/// Arguments of `privity checkpoint recover`.
#[derive(Args)]
pub struct RecoverArgs {
    #[command(flatten)]
    own: Own,
    /// The shares that others exported, of one session or several.
    #[arg(required = true)]
    shares: Vec<PathBuf>,
}

/// Runs it.
pub fn run(command: &Command) -> Result<(), CliError> {
    match command {
        Command::Export(args) => export(args),
        Command::Recover(args) => recover(args),
    }
}

fn export(args: &ExportArgs) -> Result<(), CliError> {
    let Own { job, party, identity, out } = &args.own;
    let shares = escrow::export(&Job::load(job)?, party, identity, out, &args.of)?;
    let name = |session: &str| format!("share-of-{}-held-by-{party}-{}", args.of, &session[..16]);
    let files: Vec<_> = shares.into_iter().map(|(session, share)| (name(&session), share)).collect();
    let paths = write(&args.to, &files)?;
    println!("give these, in private, to {} and to nobody else, and remove them here:", args.of);
    paths.iter().for_each(|path| println!("{}", path.display()));
    Ok(())
}

fn recover(args: &RecoverArgs) -> Result<(), CliError> {
    let Own { job, party, identity, out } = &args.own;
    let shares = read_all(&args.shares)?;
    let shares: Vec<&[u8]> = shares.iter().map(|share| &share[..]).collect();
    let done = escrow::recover(&Job::load(job)?, party, identity, out, &shares)?;
    for (index, why) in &done.ignored {
        eprintln!("privity: left out: {}: {why}", args.shares[*index].display());
    }
    println!("readable again under this identity; remove the shares:");
    done.checkpoints.iter().for_each(|path| println!("{}", path.display()));
    Ok(())
}
