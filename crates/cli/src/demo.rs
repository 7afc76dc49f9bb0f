//! `privity demo`: everything from certificates to the comparison, in one command.
//!
//! Layout of the directory: `job.toml`, and for each party `<name>/data.csv`, `<name>/identity/`, `<name>/out/`.

use crate::commands::json;
use crate::compare::{self, Figures};
use crate::error::CliError;
use crate::scenario::{Adversary, Case, Choice, Distil, Family, Scenario};
use crate::{children, show};
use clap::Args as ClapArgs;
use privity_data::csv as tables;
use privity_job::prepare::{self, Rows};
use privity_job::{Job, ModelFile, Plan, Report, plan};
use privity_net::identity::Identity;
use privity_net::tls::loopback_listener;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `privity demo`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    /// The case.
    #[arg(value_enum)]
    case: Case,
    /// The model. Default: logistic for breast cancer, mlp for fraud.
    #[arg(long, value_enum)]
    model: Option<Family>,
    /// Payments of the fraud case over all banks, at least 1,000. Default 20,000.
    #[arg(long)]
    rows: Option<usize>,
    /// Passes over the rows.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    epochs: Option<u32>,
    /// What the parties are protected against: one of three that is curious; one of four, the fourth a helper without rows, that deviates
    /// as it likes; all but one, curious together, with a dealer without rows; or either of two, with nobody else (breast cancer).
    #[arg(long, value_enum, default_value = "passive")]
    adversary: Adversary,
    /// Round exactly: results equal the plaintext twin's bit for bit.
    #[arg(long)]
    exact: bool,
    /// Sessions side by side that share the rows of each batch: for parties with a core for each.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    lanes: u8,
    /// Every so many epochs make a public model (fraud): noisy votes of models trained on disjoint groups of customers answer made-up
    /// public payments, and a model is fitted to the answers.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    distil_every: Option<u32>,
    /// Privacy of all public models together, per customer, at delta one millionth.
    #[arg(long, default_value_t = 8.0, requires = "distil_every")]
    epsilon: f64,
    /// Let the secret model itself answer: no privacy guarantee.
    #[arg(long, requires = "distil_every", conflicts_with = "epsilon")]
    no_privacy: bool,
    /// Keep job file, identities, rows and results in this directory, which must be empty or new.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// The file of public questions, beside the job file.
pub const QUESTIONS: &str = "public.csv";

/// Everything the demonstration prints.
#[derive(Serialize)]
struct Summary {
    parties: Vec<String>,
    protocol: &'static str,
    adversary: &'static str,
    digest: String,
    secure: Figures,
    twin: Figures,
    float: Figures,
    /// Of each public model, on all held-out rows: after so many epochs, what is promised, figures.
    public: Vec<(usize, String, Figures)>,
    /// On pooled rows, without the features that no party has by itself; where there are such.
    pooled: Option<Figures>,
    alone: Vec<Figures>,
    owners: Vec<String>,
    bytes_sent: Vec<u64>,
    bytes_planned: Vec<u64>,
    rounds: Vec<u64>,
    rounds_planned: Vec<u64>,
    seconds_secure: f64,
    seconds_predicted: f64,
    seconds: f64,
    kept: Option<PathBuf>,
    plan: Plan,
    reports: Vec<Report>,
}

/// The whole demonstration.
pub fn run(args: &Args, program: &Path) -> Result<(), CliError> {
    let started = Instant::now();
    let epochs = args.epochs.map(|e| e as usize);
    let distil = args
        .distil_every
        .map(|every| Distil { every: every as usize, epsilon: (!args.no_privacy).then_some(args.epsilon) });
    let scenario = Scenario::new(Choice {
        case: args.case,
        model: args.model,
        rows: args.rows,
        epochs,
        adversary: args.adversary,
        exact: args.exact,
        lanes: args.lanes.into(),
        distil,
    })?;
    let own = scenario.own_features;
    let scratch = tempfile::tempdir().map_err(CliError::system("making a scratch directory"))?;
    let folder = match &args.keep {
        Some(folder) => empty(folder)?,
        None => scratch.path(),
    };
    let job = set_up(scenario, folder)?;
    let plan = plan::plan(&job)?;
    if !args.json {
        show::plan(&plan);
    }
    let bar = (!args.json).then(|| children::bar(job.file().training.epochs));
    let reports = children::run(program, folder, &job.names(), bar)?;
    let rows = rows(&job, folder)?;
    let everybody: Vec<&Rows> = rows.iter().collect();
    let summary = Summary {
        parties: job.names(),
        protocol: job.protocol().name(),
        adversary: job.protocol().adversary(),
        digest: job.digest_hex(),
        secure: secure(&job, folder, &rows)?,
        public: public(&job, folder, &reports[0], &rows)?,
        twin: compare::twin(&job, &rows)?,
        float: compare::float(&job, &everybody, &rows, job.features())?,
        pooled: (own < job.features()).then(|| compare::float(&job, &everybody, &rows, own)).transpose()?,
        alone: owned(&rows).map(|r| compare::float(&job, &[r], &rows, own)).collect::<Result<_, _>>()?,
        owners: job.owner_names(),
        bytes_sent: reports.iter().map(|r| r.bytes_sent.iter().sum()).collect(),
        bytes_planned: plan.parties.iter().map(|p| p.bytes_sent.iter().sum()).collect(),
        rounds: reports.iter().map(|r| r.rounds).collect(),
        rounds_planned: plan.parties.iter().map(|p| p.rounds).collect(),
        seconds_secure: reports.iter().map(|r| r.seconds).fold(0.0, f64::max),
        seconds_predicted: plan.seconds,
        seconds: started.elapsed().as_secs_f64(),
        kept: args.keep.clone(),
        plan,
        reports,
    };
    match args.json {
        true => println!("{}", json(&summary)),
        false => print(&summary, args.case),
    }
    Ok(())
}

fn empty(folder: &Path) -> Result<&Path, CliError> {
    let failed = CliError::system("making the directory of --keep");
    std::fs::create_dir_all(folder).map_err(&failed)?;
    match std::fs::read_dir(folder).map_err(&failed)?.next() {
        None => Ok(folder),
        Some(_) => Err(failed(std::io::Error::from(std::io::ErrorKind::DirectoryNotEmpty))),
    }
}

/// Writes what each party would have at home, and the job file they agreed on.
fn set_up(mut scenario: Scenario, folder: &Path) -> Result<Job, CliError> {
    let failed = CliError::system("writing the demonstration's files");
    std::fs::write(folder.join("schema.toml"), scenario.schema.to_toml()).map_err(&failed)?;
    // All ports are held at once, so that they differ; each party takes its own over a moment later.
    let mut ports = Vec::new();
    let mut owned = scenario.tables.iter();
    for participant in &mut scenario.file.participants {
        let own = folder.join(&participant.name);
        let identity = Identity::generate(&participant.name)?;
        identity.save(&own.join("identity"))?;
        if let Some(table) = (!participant.is_helper()).then(|| owned.next()).flatten() {
            tables::save_csv(&own.join("data.csv"), &scenario.schema, table)?;
        }
        let port = loopback_listener()?;
        participant.address = port.local_addr().map_err(CliError::system("finding a free port"))?.to_string();
        participant.fingerprint = Some(identity.fingerprint());
        ports.push(port);
    }
    if let Some(questions) = &scenario.questions {
        tables::save_csv(&folder.join(QUESTIONS), &scenario.schema, questions)?;
    }
    std::fs::write(folder.join("job.toml"), scenario.file.to_toml()?).map_err(&failed)?;
    Ok(Job::load(&folder.join("job.toml"))?)
}

/// Those of parties that have any.
fn owned(rows: &[Rows]) -> impl Iterator<Item = &Rows> {
    rows.iter().filter(|rows| rows.train.rows() > 0)
}

fn rows(job: &Job, folder: &Path) -> Result<Vec<Rows>, CliError> {
    let load = |(party, name): (usize, &String)| {
        let data = folder.join(name).join("data.csv");
        prepare::load(job, party, data.exists().then_some(data.as_path()), None)
    };
    Ok(job.names().iter().enumerate().map(load).collect::<Result<_, _>>()?)
}

/// Figures over what each party learned about its own held-out rows, taken together.
fn secure(job: &Job, folder: &Path, rows: &[Rows]) -> Result<Figures, CliError> {
    let mut predictions = Vec::new();
    for name in &job.owner_names() {
        predictions.extend(read_predictions(&folder.join(name).join("out/predictions.csv"))?);
    }
    Ok(Figures::of(&compare::labels(rows), &predictions))
}

/// The public models that the first party made, on everybody's held-out rows.
fn public(job: &Job, folder: &Path, report: &Report, rows: &[Rows]) -> Result<Vec<(usize, String, Figures)>, CliError> {
    let of = |release: &privity_job::publish::Release| {
        let file = folder.join(&job.names()[0]).join("out").join(format!("public-{:06}.json", release.after_epochs));
        let model = ModelFile::load(&file)?;
        let mut predictions = Vec::new();
        for rows in rows {
            predictions.extend(model.predict(&rows.test)?);
        }
        let figures = Figures::of(&compare::labels(rows), &predictions);
        Ok((release.after_epochs, release.promise.clone(), figures))
    };
    report.releases.iter().map(of).collect()
}

fn read_predictions(path: &Path) -> Result<Vec<f64>, CliError> {
    let failed = |problem: String| CliError::System { action: "reading a party's predictions", problem };
    let mut reader = csv::Reader::from_path(path).map_err(|e| failed(e.to_string()))?;
    let records = reader.deserialize::<(f64, f64)>();
    records.map(|record| Ok(record.map_err(|e| failed(e.to_string()))?.0)).collect()
}

fn print(s: &Summary, case: Case) {
    let mut table = comfy_table::Table::new();
    let mut header = vec!["model, on all held-out rows", "accuracy", "AUC"];
    if case.is_rare() {
        header.extend(["average precision", "recall at 1 %"]);
    }
    table.set_header(header);
    let mut row = |name: &str, f: &Figures| {
        let mut cells = vec![f.accuracy, f.auc];
        if case.is_rare() {
            cells.extend([f.average_precision, f.recall_at_1_percent]);
        }
        let text = cells.into_iter().map(|c| c.map_or("-".into(), |c| format!("{c:.4}")));
        table.add_row(std::iter::once(name.to_owned()).chain(text).collect::<Vec<_>>());
    };
    row("joint, secure", &s.secure);
    for (epochs, _, figures) in &s.public {
        row(&format!("public model after {epochs} epochs"), figures);
    }
    row("joint, plaintext fixed-point twin", &s.twin);
    row("joint, float32", &s.float);
    if let Some(pooled) = &s.pooled {
        row("pooled rows without joint counts, float32", pooled);
    }
    for (name, figures) in s.owners.iter().zip(&s.alone) {
        row(&format!("{name} alone, float32"), figures);
    }
    println!("{table}");
    if let Some((_, promise, _)) = s.public.first() {
        println!("public models: {promise}");
        for (name, report) in s.parties.iter().zip(&s.reports) {
            if let Some((release, guess)) = report.releases.last().and_then(|r| Some((r, r.membership?))) {
                let spent = release.epsilon_so_far.map(|e| format!(", epsilon so far {e:.2}")).unwrap_or_default();
                println!(
                    "{name}: rows of training told from others by the public model's loss: AUC {guess:.3} (0.5: not at all){spent}"
                );
            }
        }
    }
    if case == Case::Fraud {
        println!(
            "The counts over all banks among the joint models' features were made by the generator, in the clear: \
             a private join of real banks' payments is not part of this yet."
        );
    }
    for (i, name) in s.parties.iter().enumerate() {
        let (sent, planned, rounds) = (s.bytes_sent[i], s.bytes_planned[i], s.rounds[i]);
        println!("{name}: sent {sent} bytes (planned {planned}) in {rounds} rounds (planned {})", s.rounds_planned[i]);
    }
    println!(
        "secure part {:.2} s (predicted {:.2} s for a machine each), everything {:.1} s",
        s.seconds_secure, s.seconds_predicted, s.seconds
    );
    match &s.kept {
        Some(folder) => println!("job file, identities, rows and results are in {}", folder.display()),
        None => println!("the files of this demonstration are gone; --keep DIR keeps them"),
    }
}
