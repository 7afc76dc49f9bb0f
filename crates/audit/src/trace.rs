//! One job over all logs: what happened when, who learned what, what was sent.

use crate::across::logs;
use crate::clock::utc;
use crate::verify::{Book, Known, Report, Seen, check, load, shown};
use privity_api::{Decision, Manifest, Record, Time};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Why a job cannot be traced.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TraceError {
    /// No log says anything about it.
    #[error("no log knows a manifest whose digest or id begins with `{0}`; give more files, or another digest")]
    Unknown(String),
    /// Several do.
    #[error("`{0}` is the beginning of several manifests' digests or ids; give more of it")]
    Ambiguous(String),
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// When, by the log that says so.
    pub at: Time,
    /// Whose log.
    pub log: String,
    /// Number of the entry.
    pub index: u64,
    /// What.
    pub what: String,
}

/// An opening that the manifest declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Declared {
    /// What, as plans call it.
    pub what: String,
    /// Who learns it.
    pub recipients: Vec<String>,
    /// At most how often in an attempt.
    pub times: usize,
    /// Values each time.
    pub values: usize,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// Digest of the manifest.
    pub manifest: String,
    /// Project, id, submitter, purpose: empty if no file has the manifest.
    pub about: BTreeMap<String, String>,
    /// By time.
    pub steps: Vec<Step>,
    /// What the manifest says that is opened, and to whom; empty if no file has the manifest.
    pub declared: Vec<Declared>,
    /// What was on record as opened: in attempt, by its name, how often in which log.
    pub opened: BTreeMap<u32, BTreeMap<String, BTreeMap<String, u64>>>,
    /// Payload bytes sent: by whom, to whom.
    pub sent: BTreeMap<String, BTreeMap<String, u64>>,
    /// Payload bytes sent: by whom, by class of message.
    pub classes: BTreeMap<String, BTreeMap<String, u64>>,
    /// What `verify` says of these files.
    pub report: Report,
}

/// Traces the job whose digest or id begins with `which`.
///
/// # Errors
/// No job, or several.
pub fn trace(files: &[PathBuf], known: &Known, which: &str) -> Result<Trace, TraceError> {
    of_books(load(files), known, which)
}

pub(crate) fn of_books(books: Vec<Book>, known: &Known, which: &str) -> Result<Trace, TraceError> {
    let digest = find(&books, which)?;
    let manifest = books.iter().find_map(|book| book.manifests.get(&digest)).or(known.manifests.get(&digest)).cloned();
    let mut trace = Trace {
        about: manifest.as_ref().map(about).unwrap_or_default(),
        declared: manifest.as_ref().map(|manifest| declared(manifest, known)).unwrap_or_default(),
        manifest: digest.clone(),
        steps: Vec::new(),
        opened: BTreeMap::new(),
        sent: BTreeMap::new(),
        classes: BTreeMap::new(),
        report: Report { logs: Vec::new(), started: 0, approved: 0, findings: Vec::new() },
    };
    for (name, book) in logs(&books) {
        let name = shown(name);
        let ours = |seen: &&Seen| seen.record.manifest() == Some(&*digest);
        for seen in book.seen.iter().filter(ours) {
            trace.count(&name, &seen.record);
            trace.steps.push(Step { at: seen.at, log: name.clone(), index: seen.index, what: words(&seen.record) });
        }
    }
    // Entries of one log stay in its order.
    trace.steps.sort_by_key(|step| step.at);
    trace.report = check(books, known);
    Ok(trace)
}

fn find(books: &[Book], which: &str) -> Result<String, TraceError> {
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for seen in books.iter().flat_map(|book| &book.seen) {
        let Some(digest) = seen.record.manifest() else { continue };
        let by_id = matches!(&seen.record, Record::Submitted { id, .. } if id.starts_with(which));
        if digest.starts_with(which) || by_id {
            found.insert(digest);
        }
    }
    match (found.len(), found.first()) {
        (1, Some(digest)) => Ok((*digest).into()),
        (0, _) => Err(TraceError::Unknown(shown(which))),
        _ => Err(TraceError::Ambiguous(shown(which))),
    }
}

fn about(manifest: &Manifest) -> BTreeMap<String, String> {
    let of = |name: &str, value: &str| (name.to_owned(), shown(value));
    BTreeMap::from([
        of("id", &manifest.id),
        of("project", &manifest.project),
        of("submitter", &manifest.submitter),
        of("purpose", &manifest.purpose),
        of("recipients", &manifest.release.recipients.join(", ")),
        of("privacy budget, thousandths of epsilon", &manifest.release.epsilon_milli.to_string()),
    ])
}

fn declared(manifest: &Manifest, known: &Known) -> Vec<Declared> {
    // As it was when it was written: now it may be over.
    let job = match &known.questions {
        Some(folder) => manifest.check_with(manifest.created, folder),
        None => manifest.check(manifest.created),
    };
    let Ok(job) = job else { return Vec::new() };
    let of = |opening: privity_job::plan::OpeningPlan| Declared {
        what: opening.what.into(),
        recipients: opening.recipients,
        times: opening.times,
        values: opening.values,
    };
    privity_job::plan::openings(&job).into_iter().map(of).collect()
}

fn words(record: &Record) -> String {
    match record {
        Record::Submitted { submitter, .. } => format!("came in from {}", shown(submitter)),
        Record::Decided { organisation, decision, by, approval, .. } => {
            let did = if *decision == Decision::Approve { "approved" } else { "denied" };
            let by: Vec<String> = by.iter().map(|who| shown(who)).collect();
            let approval = shown(approval.get(..12).unwrap_or(approval));
            format!("{} {did}, by {}, statement {approval}", shown(organisation), by.join(", "))
        }
        Record::Spent { epsilon_milli, .. } => {
            format!("took {epsilon_milli} thousandths of epsilon of the privacy budget")
        }
        Record::Attempt { number, .. } => format!("attempt {number}: all owners had approved"),
        Record::Session { number, session, .. } => format!("attempt {number}: session {}", shown(session)),
        Record::Lost { number, lost, security, .. } => {
            let (lost, security) = (shown(lost), shown(security));
            format!("attempt {number}: {lost} is lost, as all others state; protection from then on: {security}")
        }
        Record::Opening { number, what, .. } => format!("attempt {number}: opens {}", shown(what)),
        Record::Ended { number: 0, end, reason, .. } => {
            format!("{} without an attempt; {}", shown(end), shown(reason))
        }
        Record::Ended { number, end, code, reason, sent, verdicts, security, .. } => {
            let bytes: u128 = sent.values().map(|bytes| u128::from(*bytes)).sum();
            let (end, reason, security) = (shown(end), shown(reason), shown(security));
            format!(
                "attempt {number}: {end}, code {code}, {bytes} bytes sent, {verdicts} checks passed, protection: {security}; {reason}"
            )
        }
        _ => String::new(),
    }
}

fn add(to: &mut BTreeMap<String, u64>, from: &BTreeMap<String, u64>) {
    for (name, bytes) in from {
        let sum = to.entry(shown(name)).or_default();
        *sum = sum.saturating_add(*bytes);
    }
}

impl Trace {
    fn count(&mut self, log: &str, record: &Record) {
        match record {
            Record::Opening { number, what, .. } => {
                let logs = self.opened.entry(*number).or_default().entry(shown(what)).or_default();
                *logs.entry(log.to_owned()).or_default() += 1;
            }
            Record::Ended { sent, classes, .. } => {
                add(self.sent.entry(log.to_owned()).or_default(), sent);
                add(self.classes.entry(log.to_owned()).or_default(), classes);
            }
            _ => {}
        }
    }

    /// For people; with `learned`, also who learned what.
    pub fn text(&self, learned: bool) -> String {
        let mut lines = vec![format!("manifest {}", shown(&self.manifest))];
        lines.extend(self.about.iter().map(|(name, value)| format!("    {name}: {value}")));
        lines.extend(self.steps.iter().map(|s| format!("{}  {}  {} (entry {})", utc(s.at), s.log, s.what, s.index)));
        for (title, all) in [("to", &self.sent), ("of class", &self.classes)] {
            for (log, amounts) in all {
                lines.extend(amounts.iter().map(|(name, bytes)| format!("{log} sent {bytes} bytes {title} {name}")));
            }
        }
        if learned {
            self.learned(&mut lines);
        }
        lines.push(match self.report.wrong() {
            0 => "ok  nothing is wrong with these files".into(),
            many => format!("!!  {many} things are wrong with these files: see `privity audit verify`"),
        });
        lines.join("\n")
    }

    fn learned(&self, lines: &mut Vec<String>) {
        match self.declared.is_empty() {
            true => {
                lines.push("who learned what is not known: no file has the manifest, or not its public questions; give them with --manifest, --questions".into())
            }
            false => lines.push("the approved program opens in one attempt, at most:".into()),
        }
        for declared in &self.declared {
            let to = if declared.recipients.is_empty() { "nobody".into() } else { declared.recipients.join(", ") };
            lines.push(format!("    to {to}: {}, {} times {} values", declared.what, declared.times, declared.values));
        }
        if self.opened.is_empty() {
            lines.push("nothing is on record as opened".into());
        }
        for (number, opened) in &self.opened {
            for (what, logs) in opened {
                let logs: Vec<String> = logs.iter().map(|(log, times)| format!("{log} {times}")).collect();
                lines.push(format!("attempt {number} opened {what}: recorded times {}", logs.join(", ")));
            }
        }
    }
}
