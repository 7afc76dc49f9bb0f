//! Text for people.

use crate::error::CliError;
use comfy_table::Table;
use privity_api::Manifest;
use privity_job::{Event, Job, Plan, Report};
use privity_node::admin::Details;
use privity_node::model::Use;
use privity_policy::Facts;
use std::path::Path;

/// A number of bytes.
pub fn bytes(n: u64) -> String {
    match n {
        0..10_000 => format!("{n} B"),
        10_000..10_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.1} GB", n as f64 / 1e9),
    }
}

/// The facts of a manifest as an organisation sees them, with public questions of this folder. Its times do not matter here.
fn facts(manifest: &Manifest, own: &str, questions: &Path) -> Result<Facts, CliError> {
    let job = Job::new(manifest.job.clone(), questions)?;
    Ok(Facts::new(manifest, &job, own, privity_node::now(), false))
}

/// What a manifest has run, in a sentence.
pub fn what_runs(manifest: &Manifest, questions: &Path) -> Result<String, CliError> {
    let all = privity_policy::explain(&facts(manifest, &manifest.submitter, questions)?);
    Ok(all.into_iter().find(|(label, _)| *label == "what runs").map(|(_, text)| text).unwrap_or_default())
}

/// In what a job differs from the last of its name that this organisation approved.
pub fn differences(details: &Details, own: &str, questions: &Path) -> Result<(), CliError> {
    let Some(previous) = &details.previous else {
        println!("this organisation has approved no earlier job of this name in this project: read all of it");
        return Ok(());
    };
    let seen = |manifest| facts(manifest, own, questions);
    let changes = privity_policy::diff(&seen(&previous.manifest)?, &seen(&details.manifest)?);
    println!("since {}:", previous.digest);
    for change in &changes {
        println!("  {}\n    - {}\n    + {}", change.label, change.before, change.after);
    }
    let fields = crate::fields::difference(&previous.manifest, &details.manifest)?;
    for (path, before, now) in &fields {
        let [path, before, now] = [path, before, now].map(|text| privity_api::printable(text));
        println!("  {path}: {before} -> {now}");
    }
    if changes.is_empty() && fields.is_empty() {
        println!("  nothing but its number and its times");
    }
    Ok(())
}

/// What a job takes of this organisation's model.
pub fn own_model(taken: &Use) {
    let Use { model, registered, scored, limit, rows, attempts } = taken;
    let most = rows.saturating_mul(u64::from(*attempts));
    println!("  takes      up to {most} rows of {model}: {rows} in each of {attempts} attempts at most");
    match (registered, limit) {
        (false, _) => println!("  before     no model of this name is registered here now"),
        (true, 0) => println!("  before     {scored} rows were scored with it; there is no limit"),
        (true, limit) => println!("  before     {scored} of at most {limit} rows were scored with it"),
    }
}

/// A plan.
pub fn plan(plan: &Plan) {
    println!("plan of `{}`, digest {}", plan.job, plan.digest);
    println!("{}", plan.guarantee);
    println!("{}", plan.on_loss);
    plan.escrow.iter().for_each(|escrow| println!("{escrow}"));
    for (operation, scheme) in [("argmax", plan.mixed.argmax), ("division", plan.mixed.division)] {
        scheme.iter().for_each(|scheme| println!("{operation}: {}", scheme.meaning()));
    }
    println!(
        "{} in all, {} rounds, {} frames; about {:.1} s at {} ms round trip and {} Mbit/s; ranges {:?}",
        bytes(plan.bytes),
        plan.rounds,
        plan.frames,
        plan.seconds,
        plan.speeds.rtt_ms,
        plan.speeds.mbit,
        plan.ranges.verdict,
    );
    let mut parties = Table::new();
    parties.set_header(["party", "sends", "rounds", "memory, about"]);
    for party in &plan.parties {
        let sends = bytes(party.bytes_sent.iter().sum());
        parties.add_row([party.name.clone(), sends, party.rounds.to_string(), bytes(party.memory)]);
    }
    println!("{parties}");
    if !plan.alternatives.is_empty() {
        println!("{}", alternatives(plan));
    }
    let mut openings = Table::new();
    openings.set_header(["opened", "to", "values"]);
    for opening in &plan.openings {
        let values = format!("{} x {}", opening.times, opening.values);
        openings.add_row([opening.what.to_owned(), opening.recipients.join(", "), values]);
    }
    println!("{openings}");
}

/// What the owners could do instead, beside what they do.
fn alternatives(plan: &Plan) -> Table {
    let mut table = Table::new();
    table.set_header(["protocol", "withstands", "sends", "rounds", "seconds, about"]);
    let row = |name: &str, withstands: &str, sends: u64, rounds: u64, seconds: f64| {
        [name.to_owned(), withstands.to_owned(), bytes(sends), rounds.to_string(), format!("{seconds:.2}")]
    };
    let own = format!("{} (this job)", plan.protocol);
    table.add_row(row(&own, plan.withstands, plan.bytes, plan.rounds, plan.seconds));
    for other in &plan.alternatives {
        let name = [other.protocol, other.change].join(" ");
        table.add_row(match &other.price {
            Ok(price) => row(name.trim_end(), other.withstands, price.bytes, price.rounds, price.seconds),
            Err(why) => [name.trim_end().to_owned(), other.withstands.to_owned(), why.clone(), "-".into(), "-".into()],
        });
    }
    table
}

/// An event of a run.
pub fn event(event: &Event) {
    match event {
        Event::Connected { seconds, .. } => println!("connected after {seconds:.1} s"),
        Event::Resumed { epochs } => println!("going on after {epochs} epochs"),
        Event::Lost { party, security } => println!("{party} is lost, as all others state; from now on: {security}"),
        Event::Epoch { epoch, loss } => println!("epoch {}: loss {loss:.4}", epoch + 1),
        Event::Finished { report } => finished(report),
        // The error itself is printed where the command ends.
        Event::Progress { .. } | Event::Ended { .. } | Event::Failed { .. } => {}
    }
}

fn finished(report: &Report) {
    let sent = bytes(report.bytes_sent.iter().sum());
    println!("done in {:.1} s: sent {sent} in {} rounds", report.seconds, report.rounds);
    // A job that trains nothing holds nothing out.
    let rows = if report.losses.is_empty() { "rows" } else { "held-out rows" };
    for (whose, quality) in [("all parties'", &report.joint), ("own", &report.own)] {
        if let Some(q) = quality {
            let figures =
                [("accuracy", q.accuracy), ("AUC", q.auc), ("log loss", q.log_loss), ("MSE", q.mean_squared_error)];
            let known = figures.iter().filter_map(|(name, value)| value.map(|v| format!("{name} {v:.4}")));
            println!("{whose} {rows} ({}): {}", q.rows, known.collect::<Vec<_>>().join(", "));
        }
    }
    if let Some(warning) = &report.warning {
        println!("warning: {warning}");
    }
    for file in &report.files {
        println!("wrote {}", file.display());
    }
}
