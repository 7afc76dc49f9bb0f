//! `privity audit`: an organisation's audit log, and what an auditor does with exported ones.

use crate::error::CliError;
use crate::share::keep;
use clap::{Args, Subcommand};
use privity_api::{Manifest, Time};
use privity_audit::verify::Known;
use privity_audit::{Filter, clock, export, trace, verify};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Export an organisation's audit log; verify and trace exported ones, without access to any node.
#[derive(Subcommand)]
pub enum Audit {
    /// Write one file with the log, what others signed of it, and what this node saw of theirs. Needs no key; the node may go on.
    Export(ExportArgs),
    /// Check any number of exported logs, alone and against each other. Exit code 0 only if nothing is wrong, 7 otherwise.
    Verify(VerifyArgs),
    /// One job over all logs: what happened when, who approved, who learned what, what was sent.
    Trace(TraceArgs),
}

/// Arguments of `privity audit export`.
#[derive(Args)]
pub struct ExportArgs {
    /// Directory of the log.
    #[arg(long)]
    log: PathBuf,
    /// Show entries of this project only; of others the hashes.
    #[arg(long)]
    project: Option<String>,
    /// Show entries since then only, 2026-09-01 or 2026-09-01T14:00:00Z, with all of the jobs they are about; of others the hashes.
    #[arg(long, value_parser = time)]
    since: Option<Time>,
    /// The file; it must not exist.
    #[arg(long)]
    out: PathBuf,
}

/// What an auditor knows.
#[derive(Args)]
pub struct KnownArgs {
    /// Fingerprint of an organisation's root, as you know it: NAME=FINGERPRINT. Again for others.
    #[arg(long = "root", value_parser = root)]
    roots: Vec<(String, String)>,
    /// A manifest as JSON that was not exported with the logs. Again for others.
    #[arg(long = "manifest")]
    manifests: Vec<PathBuf>,
    /// Compare up to this moment, which every log must reach; without it, all logs must be from a time when nothing ran.
    #[arg(long, value_parser = time)]
    until: Option<Time>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Arguments of `privity audit verify`.
#[derive(Args)]
pub struct VerifyArgs {
    /// Exported logs.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    known: KnownArgs,
}

/// Arguments of `privity audit trace`.
#[derive(Args)]
pub struct TraceArgs {
    /// Beginning of the manifest's digest or id.
    manifest: String,
    /// Exported logs.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Say what was opened, to whom.
    #[arg(long)]
    who_learned_what: bool,
    /// Where the public questions are of a job that asks some, so that it can be said what it opens
    #[arg(long, value_name = "DIR")]
    questions: Option<PathBuf>,
    #[command(flatten)]
    known: KnownArgs,
}

fn time(text: &str) -> Result<Time, &'static str> {
    clock::parse(text).ok_or("no date; write 2026-09-01 or 2026-09-01T14:00:00Z")
}

fn root(text: &str) -> Result<(String, String), &'static str> {
    let (name, root) = text.split_once('=').ok_or("write NAME=FINGERPRINT")?;
    let fine = root.len() == 64 && root.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if fine { Ok((name.into(), root.into())) } else { Err("a fingerprint has 64 hexadecimal digits in lower case") }
}

/// Runs it.
pub fn run(audit: &Audit) -> Result<(), CliError> {
    match audit {
        Audit::Export(args) => export_log(args),
        Audit::Verify(args) => {
            let report = verify(&args.files, &args.known.read()?);
            say(args.known.json, &report, || report.text())?;
            wrong(report.wrong())
        }
        Audit::Trace(args) => {
            let known = Known { questions: args.questions.clone(), ..args.known.read()? };
            let traced = trace::trace(&args.files, &known, &args.manifest)?;
            say(args.known.json, &traced, || traced.text(args.who_learned_what))?;
            wrong(traced.report.wrong())
        }
    }
}

fn wrong(many: usize) -> Result<(), CliError> {
    if many == 0 { Ok(()) } else { Err(CliError::Audit(many)) }
}

fn say(json: bool, value: &impl serde::Serialize, text: impl Fn() -> String) -> Result<(), CliError> {
    match json {
        true => println!("{}", serde_json::to_string(value).map_err(|e| CliError::system("writing JSON")(e.into()))?),
        false => println!("{}", text()),
    }
    Ok(())
}

impl KnownArgs {
    fn read(&self) -> Result<Known, CliError> {
        let mut known = Known { roots: self.roots.iter().cloned().collect(), until: self.until, ..Known::default() };
        for path in &self.manifests {
            let failed = |problem: String| CliError::System {
                action: "reading a manifest",
                problem: format!("{}: {problem}", path.display()),
            };
            let text = std::fs::read(path).map_err(|e| failed(e.to_string()))?;
            let manifest = Manifest::from_json(&text).map_err(|e| failed(e.to_string()))?;
            known.manifests.insert(manifest.digest().map_err(|e| failed(e.to_string()))?, manifest);
        }
        Ok(known)
    }
}

fn export_log(args: &ExportArgs) -> Result<(), CliError> {
    if args.out.exists() {
        return Err(CliError::Exists(args.out.clone()));
    }
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = NamedTempFile::new_in(folder).map_err(CliError::system("writing the file"))?;
    let filter = Filter { project: args.project.clone(), since: args.since };
    let done = export(&args.log, &filter, BufWriter::new(file.as_file()))?;
    keep(file, &args.out)?;
    println!("{} entries shown, {} hidden, in {}", done.shown, done.hidden, args.out.display());
    if done.uncovered > 0 {
        println!("{} newer entries are not in it: no head was signed over them yet", done.uncovered);
    }
    Ok(())
}
