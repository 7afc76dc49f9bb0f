//! This node's part of an attempt: the engine in a thread of its own, and what becomes of its end.

use crate::attempt::{DONE, DONE_WITHOUT};
use crate::hearsay::{merged, missing};
use crate::job::State;
use crate::message::End;
use crate::model::Model;
use crate::node::{Node, Running, now};
use crate::store::{Stored, Table};
use crate::traces::AttemptTrace;
use crate::{NodeError, home};
use privity_api::{Record, Time};
use privity_job::file::OnLoss;
use privity_job::{Audit, Event, Hooks, Job, JobError, Report, RunOptions, exit};
use privity_net::tls::{Cancel, Host};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// How long participants' engines wait for each other. Where a node does not begin, its submitter's node tells the others; where one is gone, they notice.
const TOGETHER: Duration = Duration::from_secs(60);
/// How long a node whose engine failed waits to hear how the others' ended, so that all report the same. Nobody waits for who is lost.
const HEARING: Duration = Duration::from_secs(10);

/// What binds a session to one attempt at one manifest.
fn binding(manifest: &str, number: u32) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 session of an attempt");
    hasher.update(manifest.as_bytes()).update(&number.to_le_bytes());
    *hasher.finalize().as_bytes()
}

/// An event of the engine, or its end.
type Told = Result<Event, Box<(Result<Report, JobError>, Job)>>;
/// How the engine ended, and its job, unless that is lost.
type Ended = (Result<Report, JobError>, Option<Job>);

/// Runs this node's part.
pub(crate) fn spawn(
    node: Arc<Node>,
    stored: Stored,
    number: u32,
    (job, table, model): (Job, Option<Table>, Option<Model>),
    cancel: Cancel,
) {
    let until = stored.manifest.body.release.until;
    let (to, mut from) = mpsc::unbounded_channel();
    let engine = {
        let (node, stored, runtime) = (node.clone(), stored.clone(), Handle::current());
        std::thread::Builder::new().name("engine".into()).spawn(move || {
            let resume = number > 1 && job.file().on_loss != OnLoss::Abort;
            let options = options(&node, &stored.digest, (number, resume), (table, model), (until, cancel.clone()));
            let tell = to.clone();
            let outcome = (node.engine)(&job, &options, &mut |event| {
                if let Err(problem) = log(&node, &runtime, &stored, number, &event) {
                    tracing::error!(job = stored.digest, error = %problem, "the engine is stopped before it sends a share");
                    cancel.cancel(problem.for_others());
                }
                drop(tell.send(Ok(event)));
            });
            drop(to.send(Err(Box::new((outcome, job)))));
        })
    };
    tokio::spawn(async move {
        let mut trace = AttemptTrace::new(&node.traces, &stored, number);
        let (outcome, job) = match engine {
            Ok(_) => follow(&node, &stored.digest, &mut trace, &mut from).await,
            Err(e) => (Err(JobError::Internal(format!("starting the engine: {e}"))), None),
        };
        trace.stopped(outcome.as_ref().map_err(JobError::exit_code), job.as_ref().map(Job::security));
        let verdict = finish(&node, &stored, number, outcome, job.as_ref()).await;
        trace.ended(verdict.state, verdict.code);
    });
}

/// Hears what the engine tells until it ends.
async fn follow(
    node: &Node,
    digest: &str,
    trace: &mut AttemptTrace,
    from: &mut mpsc::UnboundedReceiver<Told>,
) -> Ended {
    while let Some(told) = from.recv().await {
        match told {
            Ok(event) => {
                trace.heard(&event);
                note(node, digest, event).await;
            }
            Err(end) => return (end.0, Some(end.1)),
        }
    }
    (Err(JobError::Internal("the engine ended without a word".into())), None)
}

fn options(
    node: &Arc<Node>,
    digest: &str,
    (number, resume): (u32, bool),
    (table, model): (Option<Table>, Option<Model>),
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
        resume,
        models: model.map(|model| model.sources()).unwrap_or_default(),
        hooks: Hooks {
            binding: Some(binding(digest, number)),
            host: Host {
                switch: Some(node.switch.clone()),
                revocations: node.revocations.clone(),
                cancel,
                routes: node.routes.clone(),
            },
            audit: Some(Audit::new(before_opening)),
            // Its key may be in a token; the directory is only named in errors.
            identity: Some(node.shown.get()),
            anew: true,
        },
    }
}

/// A session is in the log before any share of it is sent, and so is who is lost, where the others go on.
fn log(node: &Node, runtime: &Handle, stored: &Stored, number: u32, event: &Event) -> Result<(), NodeError> {
    match event {
        Event::Connected { session, .. } => {
            node.stands(&stored.digest);
            node.record(&Record::Session { manifest: stored.digest.clone(), number, session: session.clone() })
        }
        Event::Ended { sent, operations, verdicts } => {
            if let Some(running) = node.running().get_mut(&stored.digest) {
                running.took.add(sent, operations, *verdicts);
            }
            Ok(())
        }
        Event::Lost { party, security } => runtime.block_on(node.go_on_without((stored, number), party, security)),
        _ => Ok(()),
    }
}

/// Keeps what the engine tells, for whoever watches. The report comes with the end.
async fn note(node: &Node, digest: &str, event: Event) {
    if matches!(event, Event::Finished { .. }) {
        return;
    }
    let text = serde_json::to_string(&event).expect("plain data with text keys serialises");
    if let Err(e) = node.store.add_event(digest, now(), &text).await {
        tracing::warn!(job = digest, error = %e, "an event of the engine is lost");
    }
}

/// Whether another attempt may help: links, machines and disks recover; what a check found, or a file is, does not change.
fn may_help(error: &JobError) -> bool {
    matches!(error.exit_code(), exit::NETWORK | exit::OUTPUT | exit::STOPPED)
}

/// The end of an attempt at this node: told, logged, kept.
async fn finish(
    node: &Arc<Node>,
    stored: &Stored,
    number: u32,
    outcome: Result<Report, JobError>,
    job: Option<&Job>,
) -> Verdict {
    let (own, digest) = (node.organisation().to_owned(), stored.digest.clone());
    if let Err(error) = &outcome {
        tracing::warn!(job = digest, number, error = %error, "an attempt ended before it was done");
    }
    let ours = match &outcome {
        Ok(_) => {
            let without = node.went_on_without(&digest);
            let how = without.map_or_else(|| DONE.to_owned(), |without| format!("{DONE_WITHOUT}{}", without.lost));
            End { done: true, again: false, ..End::again(&digest, number, exit::OK, &how) }
        }
        Err(error) => {
            End { again: may_help(error), ..End::again(&digest, number, error.exit_code(), &error.for_others()) }
        }
    };
    let ours = settle(node, &own, ours);
    tell(node, stored, &ours).await;
    let manifest = &stored.manifest.body;
    let names: Vec<String> = manifest.job.participants.iter().map(|p| p.name.clone()).collect();
    let last = number >= manifest.attempts;
    let verdict = match ours.done {
        true => Verdict { state: State::Done, code: exit::OK, reason: ours.reason.clone() },
        false => {
            let heard = hear(node, stored, number).await;
            let said = verdict(&names, (last, heard.over), &heard.said);
            if said.state == State::Aborted && ours.again {
                // Whoever was told otherwise, or nothing, learns that there is no further attempt. What others say of others is not passed on.
                tell(node, stored, &End { again: false, ..End::again(&digest, number, said.code, &said.reason) }).await;
            }
            verdict(&names, (last, heard.over), &heard.all)
        }
    };
    if let Err(error) = keep(node, stored, number, &verdict, outcome.ok().as_ref(), job).await {
        tracing::error!(job = digest, error = %error, "the end of an attempt could not be kept as it was");
        // A pause is written when the log takes it again; until then the attempt counts as one that runs here, and the others wait. What is in the log is
        // brought into the database when that takes it again.
        if verdict.state != State::Paused && matches!(error, NodeError::Audit(_)) {
            let reason = format!("{own}: {}", error.for_others());
            let why = (exit::OUTPUT, reason.as_str());
            let kept = node.store.set_state(&digest, &[State::Running], State::Aborted, why, now()).await;
            if let Err(error) = kept {
                tracing::error!(job = digest, error = %error, "the end of an attempt could not be kept");
            }
        }
    }
    if let Err(error) = node.left(stored).await {
        // They say it again when this node tells them its decision again.
        node.unsettled.store(true, Ordering::Relaxed);
        tracing::error!(job = digest, error = %error, "what others said of the end could not be kept");
    }
    node.peers.wake();
    verdict
}

/// What this node says of an attempt: that it is done, or what stopped it first, which may be another's words or an order.
fn settle(node: &Node, own: &str, ours: End) -> End {
    if !ours.done {
        node.ended(own, ours.clone());
    }
    let mut all = node.running();
    let Some(running) = all.get_mut(&ours.manifest) else { return ours };
    // What the engine found for certain counts more than what this node thought meanwhile.
    if ours.done || !ours.again {
        running.ends.insert(own.into(), ours.clone());
    }
    running.ends.get(own).cloned().unwrap_or(ours)
}

async fn tell(node: &Node, stored: &Stored, end: &End) {
    // The others may hear it twice; that they do not hear it at all costs more.
    for _ in 0..10 {
        let Err(error) = node.tell_participants(&stored.manifest.body, "end", end).await else { return };
        tracing::warn!(job = stored.digest, %error, "the end of an attempt could not be told");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// In the log, then in the database. A denial meanwhile stays what it is.
async fn keep(
    node: &Node,
    stored: &Stored,
    number: u32,
    verdict: &Verdict,
    report: Option<&Report>,
    job: Option<&Job>,
) -> Result<(), NodeError> {
    let _alone = node.changing.lock().await;
    node.record(&record(node, stored, number, verdict, report, job))?;
    if let Some(report) = report {
        let text = serde_json::to_string(report).map_err(|e| NodeError::State(e.to_string()))?;
        node.store.set_report(&stored.digest, &text).await?;
    }
    let why = (verdict.code, verdict.reason.as_str());
    if node.store.set_state(&stored.digest, &[State::Running], verdict.state, why, now()).await? {
        node.traces.ended(stored, verdict.state, verdict.code);
    }
    Ok(())
}

/// Waits a little until all participants that are not lost have said how the attempt ended. Of those that are lost here others may have heard.
async fn hear(node: &Arc<Node>, stored: &Stored, number: u32) -> Heard {
    let until = tokio::time::Instant::now() + HEARING;
    loop {
        let (missing, heard) = match node.running().get(&stored.digest) {
            Some(running) => {
                let missing = missing(stored, running);
                let heard = missing.iter().any(|name| node.hears(running, name));
                (missing, heard)
            }
            None => return Heard::default(),
        };
        let late = tokio::time::Instant::now() >= until;
        if missing.is_empty() {
            break;
        } else if heard && !late {
            tokio::time::sleep(Duration::from_millis(50)).await;
        } else if node.ask_ends(stored, number).await && !late {
            tokio::time::sleep(Duration::from_millis(250)).await;
        } else {
            break;
        }
    }
    let heard =
        |running: &Running| Heard { said: running.ends.clone(), all: merged(running), over: !running.over.is_empty() };
    node.running().get(&stored.digest).map(heard).unwrap_or_default()
}

/// How an attempt ended at participants.
#[derive(Default)]
struct Heard {
    /// As they said themselves.
    said: BTreeMap<String, End>,
    /// And as others say of those that this node does not hear.
    all: BTreeMap<String, End>,
    /// Whether somebody said afterwards that there is no further attempt.
    over: bool,
}

/// How an attempt ended, for all.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    state: State,
    code: u8,
    reason: String,
}

/// What all who heard the same report: a failed check before anything else, then what is no fault of the network, then the first participant's words; `last`: there
/// are no further attempts; `over`: somebody wants none, whatever the words.
fn verdict(participants: &[String], (last, over): (bool, bool), ends: &BTreeMap<String, End>) -> Verdict {
    let all: Vec<(&String, &End)> = participants.iter().filter_map(|name| ends.get_key_value(name)).collect();
    let failed = || all.iter().filter(|(_, end)| !end.done);
    let ordinary = |code: u8| code == exit::NETWORK || code == exit::STOPPED;
    let grave = failed().find(|(_, end)| end.code == exit::CHEATING);
    let grave = grave.or_else(|| failed().find(|(_, end)| !ordinary(end.code)));
    let grave = grave.or_else(|| failed().find(|(_, end)| !end.again)).or_else(|| failed().next());
    let (code, mut reason) = match grave {
        Some((name, end)) => (end.code, format!("{name}: {}", end.reason)),
        None => (exit::NETWORK, "no participant said how it ended".into()),
    };
    let mut again = failed().all(|(_, end)| end.again);
    let done: Vec<&str> = all.iter().filter(|(_, end)| end.done).map(|(name, _)| name.as_str()).collect();
    if !done.is_empty() {
        // What was opened to them is not opened again.
        reason = format!("{reason}; {} has its results already, so there is no further attempt", done.join(", "));
        again = false;
    } else if again && last {
        reason += "; no attempts are left";
        again = false;
    }
    Verdict { state: if again && !over { State::Paused } else { State::Aborted }, code, reason }
}

fn record(
    node: &Node,
    stored: &Stored,
    number: u32,
    verdict: &Verdict,
    report: Option<&Report>,
    job: Option<&Job>,
) -> Record {
    let mut took = node.running().get(&stored.digest).map(|running| running.took.clone()).unwrap_or_default();
    if let Some(report) = report {
        let to = names_of_session(node, stored, job).into_iter().zip(report.bytes_sent.iter().copied());
        let sent = to.filter(|(name, _)| name != node.organisation()).collect();
        took.add(&sent, &report.operations, report.verdicts);
    }
    let without = node.went_on_without(&stored.digest).map(|without| without.security);
    let security = report.map(|r| r.protocol.clone()).or(without).or(job.map(Job::security)).unwrap_or_default();
    Record::Ended {
        manifest: stored.digest.clone(),
        number,
        end: verdict.state.name().into(),
        code: verdict.code,
        reason: verdict.reason.clone(),
        sent: took.sent,
        classes: took.classes,
        verdicts: took.verdicts,
        security,
    }
}

/// The parties of the session that ended, in its order: without who was lost, if they went on without it.
fn names_of_session(node: &Node, stored: &Stored, job: Option<&Job>) -> Vec<String> {
    let all: Vec<String> = stored.manifest.body.job.participants.iter().map(|p| p.name.clone()).collect();
    let Some(without) = node.went_on_without(&stored.digest) else { return all };
    let amended =
        job.zip(all.iter().position(|name| *name == without.lost)).and_then(|(job, lost)| job.without(lost).ok());
    amended.map_or(all, |amended| amended.names())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["a", "b", "c"].map(String::from).to_vec()
    }
    fn ends(of: &[(&str, bool, bool, u8, &str)]) -> BTreeMap<String, End> {
        let end = |&(name, done, again, code, reason): &(&str, bool, bool, u8, &str)| {
            (name.to_owned(), End { done, again, ..End::again("m", 1, code, reason) })
        };
        of.iter().map(end).collect()
    }

    #[test]
    fn the_gravest_end_counts_whoever_told_it_and_in_whatever_order() {
        let lost = ("a", false, true, exit::NETWORK, "c is gone");
        let stopped = ("b", false, true, exit::STOPPED, "told to stop");
        let full = ("b", false, true, exit::OUTPUT, "the disk is full");
        let cheated = ("c", false, false, exit::CHEATING, "a check failed");
        let cases: [(&[_], State, u8, &str); 4] = [
            (&[stopped, lost], State::Paused, exit::NETWORK, "a: c is gone"),
            (&[lost, full], State::Paused, exit::OUTPUT, "b: the disk is full"),
            (&[lost, full, cheated], State::Aborted, exit::CHEATING, "c: a check failed"),
            (&[cheated], State::Aborted, exit::CHEATING, "c: a check failed"),
        ];
        for (of, state, code, reason) in cases {
            let expected = Verdict { state, code, reason: reason.into() };
            assert_eq!(verdict(&names(), (false, false), &ends(of)), expected);
        }
    }

    #[test]
    fn there_is_no_further_attempt_after_the_last_or_where_somebody_is_done() {
        let lost = ("a", false, true, exit::NETWORK, "c is gone");
        let done = ("b", true, false, exit::OK, "done");
        let last = verdict(&names(), (true, false), &ends(&[lost]));
        assert_eq!((last.state, last.reason.as_str()), (State::Aborted, "a: c is gone; no attempts are left"));
        let some = verdict(&names(), (false, false), &ends(&[lost, done]));
        assert_eq!(some.state, State::Aborted);
        assert!(some.reason.contains("b has its results already"), "{}", some.reason);
        assert_eq!(verdict(&names(), (false, false), &BTreeMap::new()).state, State::Paused);
        let given_up = verdict(&names(), (false, true), &ends(&[lost]));
        assert_eq!((given_up.state, given_up.reason.as_str()), (State::Aborted, "a: c is gone"), "the words stay");
    }
}
