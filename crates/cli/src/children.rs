//! The parties of a demonstration: processes of this program, each with its own identity and rows.

use crate::error::CliError;
use indicatif::{ProgressBar, ProgressStyle};
use privity_job::{Event, Report, exit};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};

/// Starts the parties of the job in `folder` (see [`crate::demo`] for its layout) and waits for their reports.
pub fn run(program: &Path, folder: &Path, names: &[String], bar: Option<ProgressBar>) -> Result<Vec<Report>, CliError> {
    let mut children = names.iter().map(|name| start(program, folder, name)).collect::<Result<Vec<_>, _>>()?;
    let (to, events) = channel();
    let mut readers = Vec::new();
    for (party, child) in children.iter_mut().enumerate() {
        if let Some(output) = child.stdout.take() {
            let to = to.clone();
            readers.push(std::thread::spawn(move || listen(party, output, &to)));
        }
    }
    drop(to);
    let mut reports: Vec<Option<Report>> = names.iter().map(|_| None).collect();
    let mut failures = Vec::new();
    for (party, event) in events {
        match event {
            Event::Finished { report } => reports[party] = Some(*report),
            Event::Failed { code, message } => failures.push((party, code, message)),
            other => show(bar.as_ref().filter(|_| party == 0), &other),
        }
    }
    for child in &mut children {
        child.wait().map_err(CliError::system("waiting for a party"))?;
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    outcome(names, reports, failures)
}

/// The reports of all, or the most telling failure: that of a party itself before what its peers noticed.
fn outcome(
    names: &[String],
    reports: Vec<Option<Report>>,
    mut failures: Vec<(usize, u8, String)>,
) -> Result<Vec<Report>, CliError> {
    failures.sort_by_key(|(_, code, _)| *code == exit::NETWORK);
    if let Some((party, code, message)) = failures.into_iter().next() {
        return Err(CliError::Party { party: names[party].clone(), code, message });
    }
    let missing = reports.iter().position(Option::is_none);
    match missing {
        None => Ok(reports.into_iter().flatten().collect()),
        Some(party) => {
            let message = "it ended without a word; look at its messages above".into();
            Err(CliError::Party { party: names[party].clone(), code: exit::INTERNAL, message })
        }
    }
}

fn start(program: &Path, folder: &Path, name: &str) -> Result<Child, CliError> {
    let own = folder.join(name);
    let data = own.join("data.csv");
    let mut command = Command::new(program);
    command.arg("run").arg(folder.join("job.toml")).args(["--party", name, "--json"]);
    // A helper has none.
    if data.exists() {
        command.arg("--data").arg(data);
    }
    command
        .arg("--identity")
        .arg(own.join("identity"))
        .arg("--out")
        .arg(own.join("out"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Failures come as events.
        .stderr(Stdio::null())
        .spawn()
        .map_err(CliError::system("starting a party"))
}

fn listen(party: usize, output: impl std::io::Read, to: &Sender<(usize, Event)>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let Ok(event) = serde_json::from_str(&line) else { continue };
        if to.send((party, event)).is_err() {
            return;
        }
    }
}

/// A bar over `epochs`, in hundredths.
pub fn bar(epochs: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} epoch {msg} {elapsed}").unwrap_or(ProgressStyle::default_bar());
    ProgressBar::new(100 * epochs as u64).with_style(style)
}

fn show(bar: Option<&ProgressBar>, event: &Event) {
    let Some(bar) = bar else { return };
    match event {
        Event::Progress { epoch, done, of } => bar.set_position((100 * epoch + 100 * done / of) as u64),
        Event::Epoch { epoch, loss } => bar.set_message(format!("{}: loss {loss:.4}", epoch + 1)),
        _ => {}
    }
}
