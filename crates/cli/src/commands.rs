//! `plan`, `run`, `keys`, `predict`.

use crate::error::CliError;
use crate::show;
use clap::{Args, Subcommand};
use privity_data::Limits;
use privity_job::{ConfigError, Event, Hooks, Job, JobFile, ModelFile, RunOptions, plan, run};
use privity_net::identity::Identity;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of `privity plan`.
#[derive(Args)]
pub struct PlanArgs {
    /// The job file.
    job: PathBuf,
    /// Round-trip time to assume, milliseconds, instead of the job file's.
    #[arg(long)]
    rtt_ms: Option<f64>,
    /// Bandwidth to assume, megabits a second, instead of the job file's.
    #[arg(long)]
    mbit: Option<f64>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Prints a plan.
pub fn plan(args: &PlanArgs) -> Result<(), CliError> {
    let agreed = Job::load(&args.job)?;
    let mut plan = plan::plan(&what_if(&agreed, args)?)?;
    // Another link changes the prediction, not the job: what the parties compare stays what it is.
    plan.digest = agreed.digest_hex();
    match args.json {
        true => println!("{}", json(&plan)),
        false => show::plan(&plan),
    }
    Ok(())
}

/// The job over another link, with the radix that the agreed link chose.
fn what_if(agreed: &Job, args: &PlanArgs) -> Result<Job, ConfigError> {
    let mut file: JobFile = agreed.file().clone();
    file.link.rtt_ms = args.rtt_ms.unwrap_or(file.link.rtt_ms);
    file.link.mbit = args.mbit.unwrap_or(file.link.mbit);
    file.numbers.radix = agreed.radix_choice();
    file.mixed = agreed.schemes();
    Job::new(file, Path::new(""))
}

/// Arguments of `privity run`.
#[derive(Args)]
pub struct RunArgs {
    /// The job file, the same at every party.
    job: PathBuf,
    /// This party's name in the job file.
    #[arg(long)]
    party: String,
    /// This party's rows, a CSV or Parquet file under the job's schema. A helper has none.
    #[arg(long)]
    data: Option<PathBuf>,
    /// This party's rows for evaluation, where the job says `holdout = "file"`.
    #[arg(long)]
    test_data: Option<PathBuf>,
    /// A model file of a run, at the participant that brings the models rows are scored with; once for each model.
    #[arg(long = "model")]
    models: Vec<PathBuf>,
    /// The directory that `privity keys new` made.
    #[arg(long)]
    identity: PathBuf,
    /// Where results go.
    #[arg(long, default_value = "privity-out")]
    out: PathBuf,
    /// Go on from the newest checkpoint that all parties have; every party must say so.
    #[arg(long)]
    resume: bool,
    /// Seconds to wait for the others to appear.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=604_800))]
    wait: u64,
    /// Print events as JSON, one a line.
    #[arg(long)]
    json: bool,
}

/// Runs a party.
pub fn run(args: &RunArgs) -> Result<(), CliError> {
    let ran = run_job(args);
    if let (Err(error), true) = (&ran, args.json) {
        print_line(&json(&Event::Failed { code: error.exit_code(), message: error.to_string() }));
    }
    ran
}

fn run_job(args: &RunArgs) -> Result<(), CliError> {
    let job = Job::load(&args.job)?;
    let options = RunOptions {
        party: args.party.clone(),
        data: args.data.clone(),
        test_data: args.test_data.clone(),
        models: args.models.iter().cloned().map(Into::into).collect(),
        identity: args.identity.clone(),
        out: args.out.clone(),
        patience: Duration::from_secs(args.wait),
        resume: args.resume,
        hooks: Hooks::default(),
    };
    let mut listener = |event: Event| match args.json {
        true => print_line(&json(&event)),
        false => show::event(&event),
    };
    let report = run::run(&job, &options, &mut listener)?;
    listener(Event::Finished { report: Box::new(report) });
    Ok(())
}

/// A reader that no longer listens is no reason to stop: the other parties still count on this one.
fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// `privity keys`.
#[derive(Subcommand)]
pub enum Keys {
    /// Make a key and a self-signed certificate, and print the fingerprint that the others put into the job file.
    New {
        /// Name of the party.
        name: String,
        /// Where they go. Default: a directory of that name.
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Print one JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Encrypt the root key of an organisation's node, if it is in a file, under another passphrase, or none.
    Passphrase {
        /// What `keys` in node.toml is to be: the same directory with the new passphrase, file:root;passphrase-file=PATH for example, or without.
        #[arg(long, value_name = "PLACE")]
        to: String,
        /// Directory of the node.
        #[arg(long, env = "PRIVITY_HOME", default_value = "privity-node")]
        home: PathBuf,
    },
}

/// Makes an identity, or keeps one otherwise.
pub fn keys(keys: &Keys) -> Result<(), CliError> {
    let (name, dir, as_json) = match keys {
        Keys::New { name, dir, json } => (name, dir, json),
        Keys::Passphrase { to, home } => {
            privity_node::home::change_passphrase(home, to)?;
            println!(
                "the root key is kept so from now on; write into {}:\nkeys = {to:?}",
                home.join("node.toml").display()
            );
            return Ok(());
        }
    };
    let dir = dir.clone().unwrap_or_else(|| name.into());
    if dir.join("key.pem").exists() {
        return Err(CliError::Occupied(dir));
    }
    let identity = Identity::generate(name)?;
    identity.save(&dir)?;
    let fingerprint = identity.fingerprint();
    match as_json {
        true => println!("{}", json(&serde_json::json!({ "name": name, "dir": dir, "fingerprint": fingerprint }))),
        false => println!("{name}: {fingerprint}\nkept in {}; key.pem never leaves it", dir.display()),
    }
    Ok(())
}

/// Arguments of `privity predict`.
#[derive(Args)]
pub struct PredictArgs {
    /// The model file of a run.
    model: PathBuf,
    /// Rows, a CSV or Parquet file under the model's schema; the label may be missing.
    data: PathBuf,
    /// Where predictions go, CSV.
    #[arg(long, default_value = "predictions.csv")]
    out: PathBuf,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Predicts in the clear.
pub fn predict(args: &PredictArgs) -> Result<(), CliError> {
    let model = ModelFile::load(&args.model)?;
    let schema = model.feature_schema()?;
    let table = privity_data::load(&args.data, &schema, &Limits::default())?;
    let predictions = model.predict(&table)?;
    run::write_predictions(&args.out, &predictions)?;
    let summary =
        serde_json::json!({ "rows": predictions.len(), "predictions": args.out, "where": "in the clear, here" });
    match args.json {
        true => println!("{}", json(&summary)),
        false => println!("{} predictions in {}, computed here in the clear", predictions.len(), args.out.display()),
    }
    Ok(())
}

/// JSON of plain data.
pub fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data with text keys serialises")
}
