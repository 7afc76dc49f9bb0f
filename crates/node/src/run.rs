//! This node's part of an attempt: the engine in a thread of its own, and what becomes of its end.

use crate::job::State;
use crate::message::End;
use crate::node::{Node, Running, now};
use crate::store::{Stored, Table};
use crate::{NodeError, home};
use privity_api::{Record, Time};
use privity_job::{Audit, Event, Hooks, Job, JobError, Report, RunOptions, exit};
use privity_net::tls::{Cancel, Host};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long participants' engines wait for each other: all nodes answered a moment before.
const TOGETHER: Duration = Duration::from_secs(8);
/// How long a node whose engine failed waits to hear how the others' ended, so that all report the same.
const HEARING: Duration = Duration::from_secs(3);

/// What binds a session to one attempt at one manifest.
fn binding(manifest: &str, number: u32) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 session of an attempt");
    hasher.update(manifest.as_bytes()).update(&number.to_le_bytes());
    *hasher.finalize().as_bytes()
}

/// Runs this node's part.
pub(crate) fn spawn(node: Arc<Node>, stored: Stored, number: u32, job: Job, table: Option<Table>) {
    let cancel = Cancel::default();
    let running = Running { number, cancel: cancel.clone(), ends: BTreeMap::new() };
    node.running().insert(stored.digest.clone(), running);
    let until = stored.manifest.body.release.until;
    let (to, mut from) = mpsc::unbounded_channel();
    let engine = {
        let (node, digest) = (node.clone(), stored.digest.clone());
        std::thread::Builder::new().name("engine".into()).spawn(move || {
            let options = options(&node, &digest, number, table, (until, cancel));
            let tell = to.clone();
            let outcome = privity_job::run::run(&job, &options, &mut |event| drop(tell.send(Ok(event))));
            drop(to.send(Err(Box::new((outcome, job)))));
        })
    };
    tokio::spawn(async move {
        if let Err(e) = engine {
            let error = JobError::Internal(format!("starting the engine: {e}"));
            finish(&node, &stored, number, Err(error), None).await;
            return;
        }
        while let Some(told) = from.recv().await {
            match told {
                Ok(event) => note(&node, &stored.digest, number, event).await,
                Err(end) => {
                    let (outcome, job) = *end;
                    finish(&node, &stored, number, outcome, Some(&job)).await;
                    return;
                }
            }
        }
        let error = JobError::Internal("the engine ended without a word".into());
        finish(&node, &stored, number, Err(error), None).await;
    });
}

fn options(
    node: &Arc<Node>,
    digest: &str,
    number: u32,
    table: Option<Table>,
    (until, cancel): (Time, Cancel),
) -> RunOptions {
    let (logging, manifest) = (node.clone(), digest.to_owned());
    // Spec 3.1: an opening is in the log before it happens, and nothing is opened after its time.
    let before_opening = move |what: &str| -> Result<(), String> {
        if now() >= until {
            return Err("the time until which the manifest allows openings is over".into());
        }
        let record = Record::Opening { manifest: manifest.clone(), number, what: what.into() };
        logging.record(&record).map_err(|e| e.to_string())
    };
    let path = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
    RunOptions {
        party: node.organisation().into(),
        data: table.as_ref().and_then(|t| path(&t.path)),
        test_data: table.as_ref().and_then(|t| path(&t.test_path)),
        identity: home::identity(&node.home),
        out: home::job(&node.home, digest),
        patience: TOGETHER,
        resume: number > 1,
        models: Vec::new(),
        hooks: Hooks {
            binding: Some(binding(digest, number)),
            host: Host { switch: Some(node.switch.clone()), revocations: node.revocations.clone(), cancel },
            audit: Some(Audit::new(before_opening)),
        },
    }
}

/// Keeps what the engine tells, for whoever watches.
async fn note(node: &Node, digest: &str, number: u32, event: Event) {
    if let Event::Connected { session, .. } = &event {
        let record = Record::Session { manifest: digest.into(), number, session: session.clone() };
        if let Err(e) = node.record(&record) {
            let own = node.organisation().to_owned();
            node.ended(&own, End { manifest: digest.into(), number, done: false, code: exit::OUTPUT, reason: e.to_string() });
        }
    }
    // The report comes with the end.
    if matches!(event, Event::Finished { .. }) {
        return;
    }
    if let Ok(text) = serde_json::to_string(&event) {
        if let Err(e) = node.store.add_event(digest, now(), &text).await {
            tracing::warn!(job = digest, error = %e, "an event of the engine is lost");
        }
    }
}

/// The end of an attempt at this node: told, logged, kept.
async fn finish(node: &Arc<Node>, stored: &Stored, number: u32, outcome: Result<Report, JobError>, job: Option<&Job>) {
    let (own, digest) = (node.organisation().to_owned(), stored.digest.clone());
    let end = |done, code, reason: String| End { manifest: digest.clone(), number, done, code, reason };
    let (ours, state) = match &outcome {
        Ok(_) => (end(true, exit::OK, "done".into()), State::Done),
        Err(error @ (JobError::Paused { .. } | JobError::Cancelled { epochs: Some(_), .. })) => (end(false, error.exit_code(), error.to_string()), State::Paused),
        Err(error) => (end(false, error.exit_code(), error.to_string()), State::Aborted),
    };
    node.ended(&own, ours.clone());
    if let Err(e) = node.tell_participants(&stored.manifest.body, "end", &ours).await {
        tracing::warn!(job = digest, error = %e, "the end of an attempt could not be told");
    }
    let ends = if ours.done { BTreeMap::new() } else { hear(node, stored).await };
    let (code, reason) = verdict(stored, &ends).unwrap_or((ours.code, ours.reason));
    let record = record(node, stored, number, state, (code, &reason), outcome.as_ref().ok(), job);
    // A denial meanwhile stays what it is, and so does a job that will not be attempted again.
    let last = number >= stored.manifest.body.attempts;
    let state = if state == State::Paused && last { State::Aborted } else { state };
    let done = async {
        node.record(&record)?;
        if let Ok(report) = &outcome {
            let text = serde_json::to_string(report).map_err(|e| NodeError::State(e.to_string()))?;
            node.store.set_report(&digest, &text).await?;
        }
        let standing = node.store.job(&digest).await?;
        if standing.state == State::Running {
            node.store.set_state(&digest, state, code, &reason, now()).await?;
        }
        Ok::<(), NodeError>(())
    };
    if let Err(e) = done.await {
        tracing::error!(job = digest, error = %e, "the end of an attempt could not be kept");
    }
    node.running().remove(&digest);
    node.peers.wake();
}

/// Waits a little until all participants have said how the attempt ended.
async fn hear(node: &Node, stored: &Stored) -> BTreeMap<String, End> {
    let until = tokio::time::Instant::now() + HEARING;
    loop {
        let ends = node.running().get(&stored.digest).map(|r| r.ends.clone()).unwrap_or_default();
        let all = stored.manifest.body.job.participants.iter().all(|p| ends.contains_key(&p.name));
        if all || tokio::time::Instant::now() >= until {
            return ends;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What all who heard the same report: a failed check before anything else, then the first participant's words.
fn verdict(stored: &Stored, ends: &BTreeMap<String, End>) -> Option<(u8, String)> {
    let order = stored.manifest.body.job.participants.iter().filter_map(|p| ends.get_key_value(&p.name));
    let failed: Vec<(&String, &End)> = order.filter(|(_, end)| !end.done).collect();
    let grave = failed.iter().find(|(_, end)| end.code == exit::CHEATING).or(failed.first())?;
    Some((grave.1.code, format!("{}: {}", grave.0, grave.1.reason)))
}

fn record(
    node: &Node,
    stored: &Stored,
    number: u32,
    state: State,
    (code, reason): (u8, &str),
    report: Option<&Report>,
    job: Option<&Job>,
) -> Record {
    let names = stored.manifest.body.job.participants.iter().map(|p| p.name.clone());
    let sent = report.map(|r| names.zip(r.bytes_sent.iter().copied()).filter(|(name, _)| name != node.organisation()).collect());
    let security = report.map(|r| r.protocol.clone()).or(job.map(Job::security)).unwrap_or_default();
    Record::Ended {
        manifest: stored.digest.clone(),
        number,
        end: state.name().into(),
        code,
        reason: reason.into(),
        sent: sent.unwrap_or_default(),
        classes: report.map(|r| r.operations.clone()).unwrap_or_default(),
        security,
    }
}
