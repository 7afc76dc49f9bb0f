//! One party's part of a job, from its files to its results.

use crate::checkpoint::Store;
use crate::file::OnLoss;
use crate::ledger::Ledger;
use crate::program::{Inputs, Outcome};
use crate::protocol::{self, Keepers, Measured};
use crate::publish::{self, Desk, Release};
use crate::release::Publisher;
use crate::score::ModelSource;
use crate::{ConfigError, Hooks, Job, JobError, ModelFile, escrow, loss, prepare, score, write};
use privity_data::{Table, metrics};
use privity_mpc::Party;
use privity_net::identity::Identity;
use privity_net::tls::{Limits, Peer, TlsConfig, TlsLink};
use privity_net::{AbortCause, Link, NetError};
use privity_nn::metrics::Classification;
use privity_nn::{Observer, TrainError};
use privity_prim::Context;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a party gives that is not in the job file.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Its name in the job file.
    pub party: String,
    /// Its rows; a helper has none.
    pub data: Option<PathBuf>,
    /// Its rows for evaluation, if the job keeps them apart.
    pub test_data: Option<PathBuf>,
    /// Its model files, if it brings the models that rows are scored with.
    pub models: Vec<ModelSource>,
    /// The directory of its certificate and key.
    pub identity: PathBuf,
    /// Where its results go.
    pub out: PathBuf,
    /// How long to wait for the others to appear.
    pub patience: Duration,
    /// Whether to go on from the newest checkpoint that all parties have.
    pub resume: bool,
    /// What a process that embeds the engine gives.
    pub hooks: Hooks,
}

/// What a run tells as it goes. Nothing here is secret: losses are declared openings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The session stands.
    Connected {
        /// Seconds it took.
        seconds: f64,
        /// The session, in hexadecimal.
        session: String,
    },
    /// The run goes on from a checkpoint.
    Resumed {
        /// Epochs that are done.
        epochs: usize,
    },
    /// A party is lost, and the others go on without it.
    Lost {
        /// Who.
        party: String,
        /// What protects the job from now on.
        security: String,
    },
    /// Some iterations are done.
    Progress {
        /// Epochs from 0.
        epoch: usize,
        /// Iterations of this epoch done.
        done: usize,
        /// Iterations of an epoch.
        of: usize,
    },
    /// An epoch is done.
    Epoch {
        /// From 0.
        epoch: usize,
        /// Its mean training loss.
        loss: f64,
    },
    /// A session ended before it was done; what it took.
    Ended {
        /// Payload bytes sent to each participant.
        sent: BTreeMap<String, u64>,
        /// Payload bytes sent by operation.
        operations: BTreeMap<String, u64>,
        /// As in [`Report`].
        verdicts: u64,
    },
    /// Everything is done.
    Finished {
        /// What happened.
        report: Box<Report>,
    },
    /// The run stopped.
    Failed {
        /// The exit code, see [`crate::exit`].
        code: u8,
        /// Why.
        message: String,
    },
}

/// What a run leaves besides its results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What the parties call the job.
    pub job: String,
    /// Its digest.
    pub digest: String,
    /// The session, in hexadecimal.
    pub session: String,
    /// This party.
    pub party: String,
    /// The protocol, what it withstands, and whether it was another before.
    pub protocol: String,
    /// Payload bytes sent to each party.
    pub bytes_sent: Vec<u64>,
    /// Payload frames sent.
    pub frames: u64,
    /// Messages in sequence until this party was done.
    pub rounds: u64,
    /// Payload bytes sent by operation.
    pub operations: BTreeMap<String, u64>,
    /// How many times all parties agreed that what was checked holds: before each opening, and for each epoch that was kept. 0 where the protocol checks nothing.
    #[serde(default)]
    pub verdicts: u64,
    /// Seconds of the program, connecting not included.
    pub seconds: f64,
    /// Mean training loss of each epoch, those before a resumption included.
    pub losses: Vec<f64>,
    /// Epochs that were done in an earlier run.
    pub resumed_from: usize,
    /// Figures over all parties' held-out rows, if they were opened here.
    pub joint: Option<Quality>,
    /// Figures over this party's held-out rows, from predictions opened to it.
    pub own: Option<Quality>,
    /// Files written.
    pub files: Vec<PathBuf>,
    /// Public models distilled in this run.
    #[serde(default)]
    pub releases: Vec<Release>,
    /// Trouble after the results were complete.
    pub warning: Option<String>,
}

/// How good a model is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Rows it was judged on.
    pub rows: usize,
    /// Share of rows on the right side of probability 1/2.
    pub accuracy: Option<f64>,
    /// Area under the receiver operating characteristic; joint figures have it from a histogram.
    pub auc: Option<f64>,
    /// Mean cross entropy.
    pub log_loss: Option<f64>,
    /// Mean squared error of a regression.
    pub mean_squared_error: Option<f64>,
}

impl Quality {
    /// Of predicted probabilities; what needs both classes is missing if there is only one.
    pub fn of(labels: &[f64], probabilities: &[f64]) -> Self {
        Quality {
            rows: labels.len(),
            accuracy: metrics::accuracy(labels, probabilities).ok(),
            auc: metrics::auc(labels, probabilities).ok(),
            log_loss: metrics::log_loss(labels, probabilities).ok(),
            mean_squared_error: None,
        }
    }

    fn joint(outcome: &Outcome, rows: usize) -> Option<Self> {
        let classes = |c: &Classification| Quality {
            rows,
            accuracy: Some(c.accuracy()),
            auc: c.auc(),
            log_loss: Some(c.log_loss),
            mean_squared_error: None,
        };
        let error = |mse: f64| Quality { rows, mean_squared_error: Some(mse), ..Quality::default() };
        outcome.classification.as_ref().map(classes).or(outcome.mean_squared_error.map(error))
    }
}

/// Passes the trainer's news on.
struct Reporter<'a> {
    events: &'a mut dyn FnMut(Event),
    losses: Rc<RefCell<Vec<f64>>>,
    ledger: Ledger,
    hooks: &'a Hooks,
    /// Why an opening did not happen.
    stopped: Option<JobError>,
}

impl Observer for Reporter<'_> {
    fn iteration(&mut self, epoch: usize, batch: usize, batches: usize) {
        // A hundred reports an epoch are enough for a progress bar.
        if (batch + 1).is_multiple_of(batches.div_ceil(100)) {
            (self.events)(Event::Progress { epoch, done: batch + 1, of: batches });
        }
    }
    fn epoch(&mut self, epoch: usize, loss: f64) {
        self.losses.borrow_mut().push(loss);
        (self.events)(Event::Epoch { epoch, loss });
    }
    fn opening(&mut self, what: &'static str) -> Result<(), TrainError> {
        let audited = self.hooks.check().and_then(|()| match &self.hooks.audit {
            Some(audit) => audit.note(what),
            None => Ok(()),
        });
        if let Err(error) = audited {
            // The others hear this.
            let problem = match &error {
                JobError::Cancelled { reason, .. } => format!("stopped by its operator: {reason}"),
                _ => "its audit log did not take an opening".into(),
            };
            self.stopped = Some(error);
            return Err(TrainError::Keeping { problem });
        }
        self.ledger.record(what).map_err(|error| {
            let problem = error.for_others();
            self.stopped = Some(error);
            TrainError::Keeping { problem }
        })
    }
}

/// Runs one party of a job over TLS: checks everything that can be checked alone, connects, computes, writes.
///
/// # Errors
/// Anything in [`JobError`]; the other parties learn of it and stop too.
pub fn run(job: &Job, options: &RunOptions, events: &mut dyn FnMut(Event)) -> Result<Report, JobError> {
    let mut session = None;
    let ran = match attempt(job, options, events, &mut session) {
        Err(JobError::Paused { source, epochs, .. })
            if job.file().on_loss == OnLoss::Continue && options.hooks.check().is_ok() =>
        {
            let session = session.ok_or_else(|| JobError::Internal("a pause before a session".into()))?;
            go_on(job, options, events, &hex(&session), JobError::Paused { source, epochs, alone: None })
        }
        other => other,
    };
    ran.map_err(|error| options.hooks.account(error))
}

/// How long three parties that leave a council wait for each other.
const TOGETHER: Duration = Duration::from_secs(30);

/// After a loss: three of four parties go on if all three sign that the fourth is gone, else the job stays paused.
fn go_on(
    job: &Job,
    options: &RunOptions,
    events: &mut dyn FnMut(Event),
    session: &str,
    paused: JobError,
) -> Result<Report, JobError> {
    let amended = || -> Result<_, String> {
        let said = |error: JobError| error.to_string();
        let me = job.index(&options.party).map_err(|e| said(e.into()))?;
        let identity = own_identity(job, me, options).map_err(said)?;
        let loss = loss::agree(job, me, identity, session, &options.hooks).map_err(said)??;
        let (amended, file) = loss::amend(job, &loss, &options.out).map_err(said)?;
        Ok((loss, amended, file))
    };
    // Whatever keeps the three from going on, what was kept is still there.
    let (loss, amended, file) = match amended() {
        Ok(amended) => amended,
        Err(why) => return Err(paused.because(why)),
    };
    events(Event::Lost { party: loss.lost.clone(), security: amended.security() });
    // All three leave the council together; they have only their files to read again.
    let patience = options.patience.min(TOGETHER);
    let options = RunOptions { resume: true, patience, ..options.clone() };
    let done = attempt(&amended, &options, events, &mut None);
    done.map_err(|source| JobError::Continued { lost: loss.lost, file, source: Box::new(source) })
}

/// One session of a job.
fn attempt(
    job: &Job,
    options: &RunOptions,
    events: &mut dyn FnMut(Event),
    session_of: &mut Option<[u8; 32]>,
) -> Result<Report, JobError> {
    options.hooks.check()?;
    let me = job.index(&options.party)?;
    let identity = own_identity(job, me, options)?;
    let rows = prepare::load(job, me, options.data.as_deref(), options.test_data.as_deref())?;
    let models = score::load(job, me, &options.models)?;
    let mut encoded = prepare::encode(job, &rows)?;
    encoded.models = score::encode(job, &models)?;
    encoded.noise = prepare::noise(job)?;
    let inputs = Inputs::only(job, me, encoded);
    let prepare::Rows { train, test } = rows;
    let mut desk = Desk::new(job, &options.out, &train, &test);
    drop(train);
    write::reserve(&options.out, output_bytes(job, test.rows()))?;
    let mut store = store(job, me, &identity, options)?;
    let started = Instant::now();
    let names = job.names();
    options.hooks.check()?;
    let digest = options.hooks.digest(job);
    let mut link = connect(job, me, &identity, options, options.patience, digest).map_err(|e| e.named(&names))?;
    let session = link.session();
    let lanes = lanes(job, me, &identity, options, &session).map_err(|e| e.named(&names))?;
    *session_of = Some(session);
    let agreed = store
        .as_mut()
        .map(|store| store.agree(&mut link, &names, (options.resume, options.hooks.anew), &hex(&session)));
    let resumed_from = agreed.transpose().map_err(|e| e.named(&names))?.unwrap_or(0);
    if let Err(error) = publish::check_budget(job, &options.out, resumed_from) {
        link.abort(&AbortCause { about: me, reason: error.for_others() });
        return Err(error);
    }
    let security = store.as_ref().map_or_else(|| job.security(), |store| store.security.clone());
    desk.session(hex(&session), &security);
    let context = Context { session, job: digest, epoch: resumed_from as u32, ..Context::default() };
    events(Event::Connected { seconds: started.elapsed().as_secs_f64(), session: hex(&session) });
    // Whoever keeps a log of sessions has it there now, or has ordered an end: until then no share leaves.
    if let Err(error) = options.hooks.check() {
        link.abort(&AbortCause { about: me, reason: error.for_others() });
        return Err(error);
    }
    if let Some(Err(error)) = store.as_mut().map(|store| store.escrow(&mut link, job)) {
        if escrow::is_news(&error) {
            link.abort(&AbortCause { about: me, reason: error.for_others() });
        }
        return Err(error.named(&names));
    }
    let connected = std::iter::once(link).chain(lanes).zip(0..).map(|(link, lane)| {
        let context = Context { session: link.session(), lane, ..context.clone() };
        Party::connect(Box::new(link), &context).map_err(|e| JobError::from(e).named(&names))
    });
    let sessions = connected.collect::<Result<Vec<Party>, _>>()?;
    if resumed_from > 0 {
        events(Event::Resumed { epochs: resumed_from });
    }
    let losses = store.as_ref().map(Store::losses).unwrap_or_default();
    let ledger = Ledger::open(&options.out, &job.digest_hex(), &hex(&session))?;
    let hooks = &options.hooks;
    let mut reporter = Reporter { events, losses: losses.clone(), ledger, hooks, stopped: None };
    let (done, measured) = match &mut store {
        Some(store) => measure(job, sessions, inputs, &mut reporter, store, &mut desk),
        None => measure(job, sessions, inputs, &mut reporter, &mut (), &mut desk),
    };
    let took = ended(job, me, measured);
    if done.is_err() {
        (reporter.events)(took.clone());
    }
    let done = match (done, reporter.stopped.take()) {
        (Err(_), Some(JobError::Cancelled { reason, .. })) => {
            return Err(JobError::Cancelled { reason, epochs: store.and_then(|store| store.safe) });
        }
        (Err(_), Some(error)) => return Err(error),
        (done, _) => done.map_err(|e| stopped(store.as_mut(), e.named(&names)))?,
    };
    let losses = losses.borrow().clone();
    let mut report = report(job, me, done, losses, &test);
    (report.1.session, report.1.resumed_from) = (hex(&session), resumed_from);
    report.1.protocol = security;
    report.1.files.extend(desk.releases.iter().flat_map(|release| release.files.clone()));
    report.1.releases = desk.releases;
    if let Err(error) = write_results(job, options, &test, &report.0, &mut report.1) {
        // There is no report of it, and it was sent all the same.
        events(took);
        return Err(error);
    }
    if let Some(store) = store.filter(|_| !job.file().keep) {
        store.remove();
    }
    Ok(report.1)
}

/// Where checkpoints go, if the job keeps any.
fn store(job: &Job, me: usize, identity: &Identity, options: &RunOptions) -> Result<Option<Store>, JobError> {
    match job.file().on_loss {
        OnLoss::Pause | OnLoss::Continue | OnLoss::Survive => {
            Store::open(job, me, identity.storage_key(), &options.out, options.resume).map(Some)
        }
        OnLoss::Abort if options.resume => Err(ConfigError::KeepsNothing.into()),
        OnLoss::Abort => Ok(None),
    }
}

/// What a failure means for what was kept: a lost peer pauses the job; what all parties saw to be wrong ends it.
fn stopped(store: Option<&mut Store>, error: JobError) -> JobError {
    let Some(store) = store else { return error };
    match error {
        JobError::Cheating(_) | JobError::OutOfRange { .. } | JobError::Train(TrainError::Diverged { .. }) => {
            store.remove();
            error
        }
        JobError::Train(TrainError::Keeping { .. }) => store.failure().unwrap_or(error),
        JobError::Peer { .. } | JobError::Net(_) => match store.safe {
            Some(epochs) => JobError::Paused { source: Box::new(error), epochs, alone: None },
            None => error,
        },
        other => other,
    }
}

pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

/// The identity that a run was given, or that of its directory.
fn own_identity(job: &Job, me: usize, options: &RunOptions) -> Result<Arc<Identity>, JobError> {
    match &options.hooks.identity {
        Some(given) => pinned(job, me, given, &options.identity).map(|()| given.clone()),
        None => identity(job, me, &options.identity).map(Arc::new),
    }
}

pub(crate) fn identity(job: &Job, me: usize, folder: &Path) -> Result<Identity, JobError> {
    let identity =
        Identity::load(folder).map_err(|e| ConfigError::Read { file: folder.into(), problem: e.to_string() })?;
    pinned(job, me, &identity, folder).map(|()| identity)
}

fn pinned(job: &Job, me: usize, identity: &Identity, folder: &Path) -> Result<(), JobError> {
    let participant = &job.file().participants[me];
    let (found, pinned) = (identity.fingerprint(), participant.fingerprint.clone().unwrap_or_default());
    match found == pinned {
        true => Ok(()),
        false => {
            Err(ConfigError::Identity { folder: folder.into(), name: participant.name.clone(), found, pinned }.into())
        }
    }
}

/// Joins a session of those who name the same digest.
fn connect(
    job: &Job,
    me: usize,
    identity: &Arc<Identity>,
    options: &RunOptions,
    patience: Duration,
    digest: [u8; 32],
) -> Result<TlsLink, JobError> {
    let limits = Limits { connect: patience, ..Limits::default() };
    let (identity, host) = (identity.clone(), options.hooks.host.clone());
    TlsLink::connect(TlsConfig { me, peers: peers(job), identity, job: digest, limits, unprotected: false, host })
        .map_err(JobError::Net)
}

/// The sessions of all lanes but the first, one after the other, each bound to the first one's session and its own number.
fn lanes(
    job: &Job,
    me: usize,
    identity: &Arc<Identity>,
    options: &RunOptions,
    session: &[u8; 32],
) -> Result<Vec<TlsLink>, JobError> {
    let lane = |lane: usize| {
        let mut hasher = blake3::Hasher::new_derive_key("privity lane of a session v1");
        hasher.update(&options.hooks.digest(job)).update(session).update(&(lane as u64).to_le_bytes());
        connect(job, me, identity, options, options.patience.min(TOGETHER), *hasher.finalize().as_bytes())
    };
    (1..job.file().training.lanes).map(lane).collect()
}

/// The participants as the network knows them.
pub(crate) fn peers(job: &Job) -> Vec<Peer> {
    let peer = |p: &crate::file::Participant| Peer {
        address: p.address.clone(),
        fingerprint: p.fingerprint.clone().unwrap_or_default(),
    };
    job.file().participants.iter().map(peer).collect()
}

/// What a run came to at this party.
pub struct Done {
    /// What was opened here.
    pub outcome: Outcome,
    /// What it took.
    pub measured: Measured,
    /// Seconds of the program.
    pub seconds: f64,
    /// What went wrong while the parties took leave. The results here are complete all the same.
    pub farewell: Option<NetError>,
}

/// Runs the program over a session for each lane and ends them: orderly where all parties stop alike, else telling them why.
///
/// # Errors
/// As the program.
pub fn compute(
    job: &Job,
    sessions: Vec<Party>,
    inputs: Inputs<u64>,
    observer: &mut dyn Observer,
    keeper: &mut dyn Keepers,
    publisher: &mut dyn Publisher,
) -> Result<Done, JobError> {
    measure(job, sessions, inputs, observer, keeper, publisher).0
}

/// As [`compute`]; what it took also where it failed.
fn measure(
    job: &Job,
    sessions: Vec<Party>,
    inputs: Inputs<u64>,
    observer: &mut dyn Observer,
    keeper: &mut dyn Keepers,
    publisher: &mut dyn Publisher,
) -> (Result<Done, JobError>, Measured) {
    let started = Instant::now();
    let (outcome, measured, sessions) = protocol::execute(job, sessions, inputs, observer, keeper, publisher);
    let seconds = started.elapsed().as_secs_f64();
    let mut links: Vec<_> = sessions.into_iter().map(Party::into_link).collect();
    let done = match outcome {
        Ok(outcome) => {
            let farewells: Vec<_> = links.iter_mut().map(|link| link.close().err()).collect();
            let farewell = farewells.into_iter().flatten().next();
            Ok(Done { outcome, measured: measured.clone(), seconds, farewell })
        }
        Err(error) => {
            links.iter_mut().for_each(|link| leave(link.as_mut(), &error));
            Err(error)
        }
    };
    (done, measured)
}

fn leave(link: &mut dyn Link, error: &JobError) {
    let me = link.me();
    match error {
        // The link itself has told the others.
        JobError::Net(_) | JobError::Peer { .. } => {}
        // Every party stops here for the same opened bit or verdict. That one does not wait for the goodbyes is no further error.
        JobError::OutOfRange { .. } | JobError::Cheating(_) | JobError::Train(TrainError::Diverged { .. }) => {
            let _ = link.close();
        }
        other => link.abort(&AbortCause { about: me, reason: other.for_others() }),
    }
}

fn by_name(operations: BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    operations.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

/// What was sent and checked before a session ended.
fn ended(job: &Job, me: usize, measured: Measured) -> Event {
    let to = job.names().into_iter().zip(measured.bytes_sent).enumerate().filter(|(party, _)| *party != me);
    let sent = to.map(|(_, to)| to).collect();
    Event::Ended { sent, operations: by_name(measured.operations), verdicts: measured.verdicts }
}

fn report(job: &Job, me: usize, done: Done, losses: Vec<f64>, test: &Table) -> (Outcome, Report) {
    let classifies = done.outcome.mean_squared_error.is_none() && score::judged(job);
    let own =
        done.outcome.predictions.get(me).and_then(Option::as_ref).filter(|_| classifies && !test.labels().is_empty());
    let report = Report {
        job: job.file().name.clone(),
        digest: job.digest_hex(),
        session: String::new(),
        party: job.names()[me].clone(),
        protocol: job.security(),
        bytes_sent: done.measured.bytes_sent,
        frames: done.measured.frames,
        rounds: done.measured.rounds,
        operations: by_name(done.measured.operations),
        verdicts: done.measured.verdicts,
        seconds: done.seconds,
        losses,
        resumed_from: 0,
        joint: Quality::joint(&done.outcome, job.rows().iter().map(|r| r.test).sum()),
        own: own.map(|predictions| Quality::of(test.labels(), predictions)),
        files: Vec::new(),
        releases: Vec::new(),
        warning: match &done.measured.lost[..] {
            [] => done.farewell.map(|e| format!("while taking leave, after the results were complete: {e}")),
            lost => {
                let names: Vec<String> = lost.iter().map(|party| job.names()[*party].clone()).collect();
                Some(format!("lost on the way, and went on without: {}", names.join(", ")))
            }
        },
    };
    (done.outcome, report)
}

/// An upper bound on the bytes of all results and of the checkpoints kept at one time.
fn output_bytes(job: &Job, test_rows: usize) -> usize {
    let weights: usize = job.file().model.sizes(job.features()).windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum();
    let releases = job.distillation().map_or(0, |(d, _)| d.releases(job.file().training.epochs));
    let columns = score::columns(job).len();
    (1 << 16) + (32 * columns + 64 * releases) * (test_rows + 8 * job.features() + weights) + 160 * weights
}

fn write_results(
    job: &Job,
    options: &RunOptions,
    test: &Table,
    outcome: &Outcome,
    report: &mut Report,
) -> Result<(), JobError> {
    let me = job.index(&options.party)?;
    if let Some(predictions) = outcome.predictions.get(me).and_then(Option::as_ref) {
        let text = csv(&score::columns(job), predictions, test.labels());
        report.files.push(write::atomically(&options.out, "predictions.csv", text.as_bytes())?);
    }
    if let Some(mut model) = ModelFile::from_outcome(job, outcome) {
        model.trained_under.clone_from(&report.protocol);
        let json = serde_json::to_vec_pretty(&model).map_err(|e| JobError::Internal(e.to_string()))?;
        report.files.push(write::atomically(&options.out, "model.json", &json)?);
    }
    report.files.push(options.out.join("report.json"));
    let json = serde_json::to_vec_pretty(report).map_err(|e| JobError::Internal(e.to_string()))?;
    write::atomically(&options.out, "report.json", &json)?;
    Ok(())
}

/// Predictions in the order of the held-out rows, beside their labels if there are any.
pub fn predictions_csv(predictions: &[f64], labels: &[f64]) -> String {
    csv(&["prediction".into()], predictions, labels)
}

/// Results in these columns, row after row, beside the labels of the rows if there are any.
fn csv(columns: &[String], values: &[f64], labels: &[f64]) -> String {
    let label = (!labels.is_empty()).then_some("label");
    let mut text = columns.iter().map(String::as_str).chain(label).collect::<Vec<_>>().join(",");
    text.push('\n');
    for (i, row) in values.chunks_exact(columns.len()).enumerate() {
        let line = row.iter().chain(labels.get(i)).map(f64::to_string).collect::<Vec<_>>().join(",");
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Writes predictions of `privity predict`.
///
/// # Errors
/// The system refuses.
pub fn write_predictions(path: &Path, predictions: &[f64]) -> Result<(), JobError> {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("predictions.csv");
    write::reserve(folder, 0)?;
    write::atomically(folder, name, predictions_csv(predictions, &[]).as_bytes()).map(|_| ())
}
