//! `policy check`, `policy show-default`.

use crate::commands::json;
use crate::error::CliError;
use clap::{Args, Subcommand};
use privity_api::{MAX_TEXT, Manifest, Time};
use privity_job::ConfigError;
use privity_policy::{DEFAULT, Facts, Outcome, Policy, explain};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// `privity policy`.
#[derive(Subcommand)]
pub enum Command {
    /// Check an organisation's rules on jobs, and say what they say to a manifest.
    Check(CheckArgs),
    /// Print the rules that hold where an organisation has none.
    ShowDefault,
}

/// Arguments of `privity policy check`.
#[derive(Args)]
pub struct CheckArgs {
    /// The rules, in Cedar: docs/POLICY.md.
    file: PathBuf,
    /// A manifest, as JSON.
    #[arg(long)]
    manifest: Option<PathBuf>,
    /// Whose rules they are. Default: the manifest's submitter.
    #[arg(long, requires = "manifest")]
    organisation: Option<String>,
    /// Where the public questions are of a manifest that asks some: the node has them in `questions` of its directory.
    #[arg(long, value_name = "DIR", requires = "manifest")]
    questions: Option<PathBuf>,
    /// As if the same work had been approved before.
    #[arg(long, requires = "manifest")]
    seen: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(command: &Command) -> Result<(), CliError> {
    match command {
        Command::Check(args) => check(args),
        Command::ShowDefault => {
            print!("{DEFAULT}");
            Ok(())
        }
    }
}

fn check(args: &CheckArgs) -> Result<(), CliError> {
    let text = String::from_utf8(read(&args.file)?)
        .map_err(|e| ConfigError::Read { file: args.file.clone(), problem: e.utf8_error().to_string() })?;
    let policy = Policy::parse(&text).map_err(|problem| CliError::Policy { file: args.file.clone(), problem })?;
    let Some(file) = &args.manifest else {
        match args.json {
            true => println!("{}", json(&serde_json::json!({ "digest": policy.digest(), "rules": policy.rules() }))),
            false => show_rules(&policy),
        }
        return Ok(());
    };
    let facts = facts(file, args)?;
    let outcome = policy.decide(&facts);
    match args.json {
        true => {
            let explanation: serde_json::Map<_, _> =
                explain(&facts).into_iter().map(|(label, text)| (label.into(), text.into())).collect();
            let all = serde_json::json!({
                "digest": policy.digest(), "decision": outcome, "explanation": explanation, "facts": facts
            });
            println!("{}", json(&all));
        }
        false => show_decision(&policy, &facts, &outcome),
    }
    Ok(())
}

fn facts(file: &Path, args: &CheckArgs) -> Result<Facts, CliError> {
    let failed = |problem| CliError::Manifest { file: file.into(), problem };
    let manifest = Manifest::from_json(&read(file)?).map_err(failed)?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = Time::try_from(seconds).unwrap_or(Time::MAX);
    let job = match &args.questions {
        Some(folder) => manifest.check_with(now, folder),
        None => manifest.check(now),
    };
    let job = job.map_err(failed)?;
    let own = args.organisation.as_deref().unwrap_or(&manifest.submitter);
    job.index(own)?;
    Ok(Facts::new(&manifest, &job, own, now, !args.seen))
}

/// A file, as far as the longest that its reader takes, and one byte.
fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(file).and_then(|from| from.take(MAX_TEXT as u64 + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(e) => Err(ConfigError::Read { file: file.into(), problem: e.to_string() }.into()),
    }
}

fn show_rules(policy: &Policy) {
    println!("policy {}: {} rules", policy.digest(), policy.rules().len());
    for rule in policy.rules() {
        let effect = match (rule.permits, rule.approvers) {
            (false, _) => "forbids".to_owned(),
            (true, 0) => "permits".to_owned(),
            (true, n) => format!("permits if {n} approve"),
        };
        println!("line {}: {} {effect}: {}", rule.line, rule.name, rule.reason);
    }
}

fn show_decision(policy: &Policy, facts: &Facts, outcome: &Outcome) {
    let (decision, rules) = match outcome {
        Outcome::Allow { rules } => ("allow: approved without asking people".to_owned(), rules),
        Outcome::Deny { rules, reason } => (format!("deny: {reason}"), rules),
        Outcome::People { approvers, rules } => {
            (format!("people: approved if {approvers} different persons do"), rules)
        }
    };
    println!("{decision}");
    for rule in rules.iter().filter_map(|name| policy.rule(name)) {
        println!("  by rule {} (line {}): {}", rule.name, rule.line, rule.reason);
    }
    println!("policy {} of {}", policy.digest(), facts.own);
    println!();
    for (label, text) in explain(facts) {
        println!("{label:>28}: {text}");
    }
}
