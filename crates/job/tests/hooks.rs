//! What an embedding process gives a run: a binding, a shared port, an audit log, an order to stop. Whole runs over TLS.

mod common;

use privity_data::{breast_cancer, csv};
use privity_job::{Audit, Event, Hooks, Job, JobError, Report, RunOptions, ledger, run};
use privity_net::NetError;
use privity_net::identity::{self, Identity};
use privity_net::tls::{Bounds, Switch, loopback_listener};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const NAMES: [&str; 3] = ["north", "east", "south"];
const MODEL: &str = "the model and the moments of its features, to their recipients";
/// To all, so that nobody can be done without.
const LOSS: &str = "mean training loss of an epoch, and per layer whether it left its range";

/// A log that takes this many losses and no more.
fn takes(losses: usize) -> Audit {
    let left = AtomicUsize::new(losses);
    Audit::new(move |what| match what == LOSS && left.fetch_sub(1, Ordering::Relaxed) == 0 {
        true => Err("the disk is full".into()),
        false => Ok(()),
    })
}

/// An identity of a fresh root, valid for an hour.
fn issued(name: &str) -> Identity {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let key = rcgen::KeyPair::generate().unwrap();
    let root = identity::root(name, &key).unwrap();
    identity::issue(&root, &key, name, now - 60, now + 3600).unwrap()
}

/// The small job, varied, on free ports, each party with its rows and identity; and what each is to be run with.
fn set_up(folder: &Path, text: &str, make: impl Fn(&str) -> Identity) -> (Job, Vec<RunOptions>) {
    let mut text = text.to_owned();
    let schema = breast_cancer::schema().unwrap();
    let options = NAMES.into_iter().zip(common::tables()).enumerate().map(|(i, (name, table))| {
        let own = folder.join(name);
        let identity = make(name);
        identity.save(&own.join("identity")).unwrap();
        csv::save_csv(&own.join("data.csv"), &schema, &table).unwrap();
        let address = loopback_listener().unwrap().local_addr().unwrap().to_string();
        text = text.replace(&format!("127.0.0.1:770{}", i + 1), &address);
        text = text.replace(&(i + 1).to_string().repeat(64), &identity.fingerprint());
        RunOptions {
            models: Vec::new(),
            party: name.into(),
            data: Some(own.join("data.csv")),
            test_data: None,
            identity: own.join("identity"),
            out: own.join("out"),
            patience: Duration::from_secs(20),
            resume: false,
            hooks: Hooks::default(),
        }
    });
    let options = options.collect();
    (common::parse(&text).expect("a sound job"), options)
}

fn alone(name: &str) -> Identity {
    Identity::generate(name).unwrap()
}

fn play(job: &Job, options: &[RunOptions], event: impl Fn(usize, &Event) + Sync) -> Vec<Result<Report, JobError>> {
    let event = &event;
    std::thread::scope(|s| {
        let start = |(party, options)| s.spawn(move || run::run(job, options, &mut |e| event(party, &e)));
        let running: Vec<_> = options.iter().enumerate().map(start).collect();
        running.into_iter().map(|party| party.join().unwrap()).collect()
    })
}

/// What a party's record says was opened.
fn record(options: &RunOptions) -> Vec<String> {
    let text = std::fs::read_to_string(options.out.join(ledger::NAME)).unwrap_or_default();
    let opened =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["opened"].as_str().map(String::from);
    text.lines().filter_map(opened).collect()
}

/// What is wrong with a party's run, in the words of the network.
fn net(result: &Result<Report, JobError>) -> &NetError {
    match result {
        Err(JobError::Peer { source, .. } | JobError::Net(source)) => source,
        Err(JobError::Paused { source, .. }) => match &**source {
            JobError::Peer { source, .. } | JobError::Net(source) => source,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bound_run_over_shared_ports_with_issued_identities_notes_each_opening() {
    let folder = tempfile::tempdir().unwrap();
    let text = common::JOB.replacen("[training]", "[training]\nlanes = 2", 1);
    let (job, mut options) = set_up(folder.path(), &text, issued);
    let noted: Vec<Arc<Mutex<Vec<String>>>> = NAMES.iter().map(|_| Arc::default()).collect();
    for ((options, participant), noted) in options.iter_mut().zip(&job.file().participants).zip(&noted) {
        let (noted, switch) = (noted.clone(), Switch::listen(&participant.address, Bounds::default(), drop));
        options.hooks.host.switch = Some(switch.unwrap());
        options.hooks.binding = Some([3; 32]);
        options.hooks.audit = Some(Audit::new(move |what| {
            noted.lock().unwrap().push(what.to_owned());
            Ok(())
        }));
    }
    let reports: Vec<Report> = play(&job, &options, |_, _| ()).into_iter().map(Result::unwrap).collect();
    assert!(reports.iter().all(|report| report.session == reports[0].session && report.losses.len() == 2));
    assert!(options[1].out.join("model.json").exists());
    for (options, noted) in options.iter().zip(&noted) {
        let noted = noted.lock().unwrap();
        assert_eq!(*noted, record(options), "as in the party's own record");
        assert!(noted.iter().any(|what| what == MODEL) && noted.len() >= 5, "{noted:?}");
    }
}

#[test]
fn parties_of_different_bindings_never_connect() {
    let folder = tempfile::tempdir().unwrap();
    let (job, mut options) = set_up(folder.path(), common::JOB, alone);
    for (options, binding) in options.iter_mut().zip([Some([1; 32]), Some([2; 32]), None]) {
        options.hooks.binding = binding;
        options.patience = Duration::from_secs(2);
    }
    let connected = AtomicUsize::new(0);
    let results = play(&job, &options, |_, event| {
        if matches!(event, Event::Connected { .. }) {
            connected.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert!(results.iter().all(Result::is_err) && connected.into_inner() == 0);
    let mismatch = |result| matches!(net(result), NetError::Mismatch { field: "the job digest", .. });
    assert!(results.iter().any(mismatch), "{results:?}");
}

#[test]
fn what_the_audit_log_does_not_take_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (job, mut options) = set_up(folder.path(), common::JOB, alone);
    options[0].hooks.audit = Some(takes(1));
    let results = play(&job, &options, |_, _| ());
    match &results[0] {
        Err(error @ JobError::Audit { opening, problem }) => {
            assert_eq!((opening.as_str(), problem.as_str(), error.exit_code()), (LOSS, "the disk is full", 6));
        }
        other => panic!("{other:?}"),
    }
    for result in &results[1..] {
        let NetError::Reported { about: 0, reason, .. } = net(result) else { panic!("{result:?}") };
        assert!(reason.contains("audit log") && !reason.contains("disk"), "{reason}");
    }
    assert_eq!(record(&options[0]).iter().filter(|what| *what == LOSS).count(), 1);
    assert!(options.iter().all(|options| !options.out.join("model.json").exists()));
}

#[test]
fn an_order_to_stop_ends_the_run_and_the_others_hear_why() {
    for kept in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let on_loss =
            if kept { "name = \"small\"\non_loss = \"pause\"" } else { "name = \"small\"\non_loss = \"abort\"" };
        let text = common::JOB.replacen("epochs = 2", "epochs = 100000", 1).replacen("name = \"small\"", on_loss, 1);
        let (job, options) = set_up(folder.path(), &text, alone);
        let (cancel, at) = (options[2].hooks.host.cancel.clone(), Mutex::new(None));
        let results = play(&job, &options, |party, event| {
            if party == 0 && matches!(event, Event::Epoch { epoch: 2, .. }) {
                *at.lock().unwrap() = Some(Instant::now());
                cancel.cancel("the approval was withdrawn");
            }
        });
        let took = at.into_inner().unwrap().expect("it came that far").elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
        match &results[2] {
            Err(error @ JobError::Cancelled { reason, epochs }) => {
                assert_eq!((reason.as_str(), error.exit_code()), ("the approval was withdrawn", 8));
                assert_eq!(epochs.is_some_and(|epochs| epochs >= 1), kept, "{epochs:?}");
            }
            other => panic!("{other:?}"),
        }
        for result in &results[..2] {
            let NetError::Reported { about: 2, reason, .. } = net(result) else { panic!("{result:?}") };
            assert!(reason.contains("the approval was withdrawn"), "{reason}");
        }
        // An order that was given before a run is in force from its beginning.
        let again = run::run(&job, &RunOptions { resume: kept, ..options[2].clone() }, &mut drop);
        assert!(matches!(again, Err(JobError::Cancelled { .. })), "{again:?}");
    }
}

#[test]
fn a_later_attempt_goes_on_from_the_checkpoints_of_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let text = common::JOB.replacen("name = \"small\"", "name = \"small\"\non_loss = \"pause\"", 1);
    let (job, mut options) = set_up(folder.path(), &text, issued);
    options.iter_mut().for_each(|options| options.hooks.binding = Some([1; 32]));
    options[1].hooks.audit = Some(takes(1));
    assert!(play(&job, &options, |_, _| ()).iter().all(Result::is_err));
    for options in &mut options {
        options.hooks = Hooks { binding: Some([2; 32]), ..Hooks::default() };
        options.resume = true;
    }
    for result in play(&job, &options, |_, _| ()) {
        assert_eq!(result.unwrap().resumed_from, 1);
    }
}
