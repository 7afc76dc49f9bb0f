//! Text for people.

use comfy_table::Table;
use privity_job::{Event, Plan, Report};

/// A number of bytes.
pub fn bytes(n: u64) -> String {
    match n {
        0..10_000 => format!("{n} B"),
        10_000..10_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.1} GB", n as f64 / 1e9),
    }
}

/// A plan.
pub fn plan(plan: &Plan) {
    println!("plan of `{}`, digest {}", plan.job, plan.digest);
    println!("{}", plan.guarantee);
    println!("{}", plan.on_loss);
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
    if let Some(passive) = plan.passive {
        println!(
            "active security takes {:.1} times the bytes, {:.1} times the rounds and about {:.1} times the time of the same job \
             among the three owners without it ({}, {} rounds, {:.1} s)",
            plan.bytes as f64 / passive.bytes as f64,
            plan.rounds as f64 / passive.rounds as f64,
            plan.seconds / passive.seconds,
            bytes(passive.bytes),
            passive.rounds,
            passive.seconds,
        );
    }
    let mut parties = Table::new();
    parties.set_header(["party", "sends", "rounds", "memory, about"]);
    for party in &plan.parties {
        let sends = bytes(party.bytes_sent.iter().sum());
        parties.add_row([party.name.clone(), sends, party.rounds.to_string(), bytes(party.memory)]);
    }
    println!("{parties}");
    let mut openings = Table::new();
    openings.set_header(["opened", "to", "values"]);
    for opening in &plan.openings {
        let values = format!("{} x {}", opening.times, opening.values);
        openings.add_row([opening.what.to_owned(), opening.recipients.join(", "), values]);
    }
    println!("{openings}");
}

/// An event of a run.
pub fn event(event: &Event) {
    match event {
        Event::Connected { seconds } => println!("connected after {seconds:.1} s"),
        Event::Resumed { epochs } => println!("going on after {epochs} epochs"),
        Event::Lost { party, security } => println!("{party} is lost, as all others state; from now on: {security}"),
        Event::Epoch { epoch, loss } => println!("epoch {}: loss {loss:.4}", epoch + 1),
        Event::Finished { report } => finished(report),
        // The error itself is printed where the command ends.
        Event::Progress { .. } | Event::Failed { .. } => {}
    }
}

fn finished(report: &Report) {
    let sent = bytes(report.bytes_sent.iter().sum());
    println!("done in {:.1} s: sent {sent} in {} rounds", report.seconds, report.rounds);
    for (whose, quality) in [("all parties'", &report.joint), ("own", &report.own)] {
        if let Some(q) = quality {
            let figures =
                [("accuracy", q.accuracy), ("AUC", q.auc), ("log loss", q.log_loss), ("MSE", q.mean_squared_error)];
            let known = figures.iter().filter_map(|(name, value)| value.map(|v| format!("{name} {v:.4}")));
            println!("{whose} held-out rows ({}): {}", q.rows, known.collect::<Vec<_>>().join(", "));
        }
    }
    if let Some(warning) = &report.warning {
        println!("warning: {warning}");
    }
    for file in &report.files {
        println!("wrote {}", file.display());
    }
}
