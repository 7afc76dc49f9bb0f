//! A party's process is killed in the middle of a job; all are started again with --resume.

mod common;

use assert_cmd::cargo::cargo_bin;
use common::{EPOCHS, NAMES, Site};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("checkpoints").flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

#[test]
fn a_killed_job_goes_on_and_ends_with_the_same_model() {
    let (site, want) = Site::new();
    for (code, message) in site.killed(1, 9, false) {
        assert_eq!(code, Some(4), "{message}");
        assert!(message.contains("hospital-b") && message.contains("--resume"), "{message}");
    }
    let kept = site.out("helper").join("checkpoints");
    assert_eq!(std::fs::read_dir(&kept).expect("checkpoints").count(), 2);
    copy(&kept, &site.0.path().join("old"));

    // Without --resume nothing is overwritten; with it at one party only, all are told.
    let refused = site.run_all(false);
    assert!(refused.iter().all(|output| output.status.code() == Some(2)), "{refused:?}");

    for (code, message) in site.killed(3, 20, true) {
        assert_eq!(code, Some(4), "{message}");
        assert!(message.contains("helper") && message.contains("--resume"), "{message}");
    }
    // The helper's disk is put back to what it was before: there is nothing in common, and nobody goes on from what is not.
    let newer = site.0.path().join("newer");
    copy(&kept, &newer);
    std::fs::remove_dir_all(&kept).expect("removed");
    copy(&site.0.path().join("old"), &kept);
    let refused = site.run_all(true);
    for output in &refused {
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && message.contains("in common"), "{message}");
    }
    // An altered file is no checkpoint, either.
    copy(&newer, &kept);
    std::fs::remove_dir_all(&kept).expect("removed");
    copy(&newer, &kept);
    let checkpoint = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|e| e == "ckpt");
    for entry in std::fs::read_dir(&kept).expect("checkpoints").flatten().filter(checkpoint) {
        let mut bytes = std::fs::read(entry.path()).expect("read");
        let last = bytes.len() - 5;
        bytes[last] ^= 1;
        std::fs::write(entry.path(), bytes).expect("written");
    }
    assert!(site.run_all(true).iter().all(|output| output.status.code() == Some(2)));

    std::fs::remove_dir_all(&kept).expect("removed");
    copy(&newer, &kept);
    let done = site.run_all(true);
    assert!(done.iter().all(|output| output.status.success()), "{done:?}");
    assert!(String::from_utf8_lossy(&done[2].stdout).contains("\"event\":\"resumed\""));
    assert_eq!(site.model(), want);
    assert!(!kept.exists(), "what was kept goes with the end of the job");
    // Every opening of every attempt is on record: those of the range checks once for each.
    for name in NAMES {
        let record = std::fs::read_to_string(site.out(name).join("openings.jsonl")).expect("a record");
        let attempts = record.lines().filter(|line| line.contains("within their ranges")).count();
        assert_eq!(attempts, 3, "{name}: {record}");
        assert!(
            record.lines().filter(|line| line.contains("mean training loss")).count()
                >= EPOCHS.parse().expect("a number")
        );
    }
}

impl Site {
    /// Lets the job go on by itself.
    fn continuing(&self) {
        let job = std::fs::read_to_string(self.0.path().join("job.toml")).expect("the job");
        let words = "on_loss = \"continue\"\nafter_loss = \"passive\"\n\
                     accept = \"whoever can disconnect one party turns active security off\"";
        let job = job.replace("on_loss = \"pause\"", words);
        assert!(job.contains(words));
        std::fs::write(self.0.path().join("job.toml"), job).expect("written");
    }
}

/// Two lanes: more connections, the same model to the bit, also after a party was killed.
#[test]
fn a_killed_job_in_lanes_goes_on_and_ends_with_the_model_of_one_lane() {
    let (site, want) = Site::new();
    let job = site.0.path().join("job.toml");
    let text = std::fs::read_to_string(&job).expect("the job file");
    let lanes = text.replacen("lanes = 1", "lanes = 2", 1);
    assert_ne!(text, lanes, "{text}");
    std::fs::write(&job, lanes).expect("written");
    for (code, message) in site.killed(0, 15, false) {
        assert_eq!(code, Some(4), "{message}");
        assert!(message.contains("hospital-a") && message.contains("--resume"), "{message}");
    }
    let done = site.run_all(true);
    assert!(done.iter().all(|output| output.status.success()), "{done:?}");
    assert!(String::from_utf8_lossy(&done[2].stdout).contains("\"event\":\"resumed\""));
    assert_eq!(site.model(), want);
}

#[test]
fn three_go_on_by_themselves_when_all_sign_that_the_fourth_is_lost() {
    let (site, want) = Site::new();
    site.continuing();
    for (code, message) in site.killed(3, 9, false) {
        assert_eq!(code, Some(0), "{message}");
    }
    let (model, security) = site.model_and_security();
    assert_eq!(model, want, "the helper had no rows");
    assert!(security.contains("without helper: passive security only"), "{security}");
    let job = privity_job::Job::load(&site.0.path().join("job.toml")).expect("the job");
    for name in &NAMES[..3] {
        let record = std::fs::read(site.out(name).join("loss.json")).expect("a record of the loss");
        let loss: privity_job::loss::Loss = serde_json::from_slice(&record).expect("JSON");
        assert!(loss.holds(&job) && loss.lost == "helper");
        let mut other = loss.clone();
        other.lost = NAMES[0].into();
        assert!(!other.holds(&job), "nobody signed that");
        let continued = privity_job::Job::load(&site.out(name).join("continued.toml")).expect("the amendment");
        assert_eq!(continued.goes_on_from().map(|(job, _)| job), Some(job.digest_hex()));
    }
}

/// The helper is lost and the three go on; they are stopped, too; a new helper joins them, by a job file that all four run.
#[test]
fn another_helper_takes_the_place_of_one_that_is_lost() {
    let (site, want) = Site::new();
    site.continuing();
    let mut children: Vec<Child> = NAMES.iter().map(|name| site.start(name, false)).collect();
    let mut lines = BufReader::new(children[0].stdout.take().expect("piped")).lines();
    let mut until = |words: &str| assert!(lines.any(|line| line.expect("text").contains(words)), "{words}");
    until("\"event\":\"epoch\",\"epoch\":9,");
    children[3].kill().expect("killed");
    until("\"event\":\"lost\",\"party\":\"helper\"");
    until("\"event\":\"epoch\",\"epoch\":20,");
    children[2].kill().expect("killed");
    let drain = std::thread::spawn(move || lines.count());
    for (i, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output().expect("it ends");
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(i > 1 || output.status.code() == Some(4) && message.contains("continued.toml"), "{i}: {message}");
    }
    assert!(drain.join().is_ok());

    // Another organisation takes the place of the helper.
    let site_of = site.0.path();
    let new = site_of.join("newcomer").join("identity");
    let made =
        Command::new(cargo_bin("privity")).args(["keys", "new", "newcomer", "--json", "--dir"]).arg(&new).output();
    let made: serde_json::Value = serde_json::from_slice(&made.expect("the program starts").stdout).expect("JSON");
    let three = privity_job::Job::load(&site.out(NAMES[0]).join("continued.toml")).expect("the amendment");
    let mut file = three.file().clone();
    let four = privity_job::Job::load(&site_of.join("job.toml")).expect("the job of four");
    let mut fourth = four.file().participants[3].clone();
    (fourth.name, fourth.fingerprint) = ("newcomer".into(), made["fingerprint"].as_str().map(str::to_owned));
    file.participants.push(fourth);
    (file.protocol, file.continues) = ("rep4".into(), None);
    file.admits = Some(privity_job::file::Admits { job: three.digest_hex() });
    std::fs::write(site_of.join("admits.toml"), file.to_toml().expect("writable")).expect("written");
    let parties = [NAMES[0], NAMES[1], NAMES[2], "newcomer"];
    let running: Vec<Child> = parties.iter().map(|name| site.start_job("admits.toml", name, true)).collect();
    for child in running {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("\"event\":\"resumed\""));
    }
    let (model, security) = site.model_and_security();
    assert_eq!(model, want);
    assert!(security.contains("joined by newcomer") && security.contains("passive security only"), "{security}");
}

#[test]
fn a_party_that_answers_is_not_lost() {
    let (site, want) = Site::new();
    site.continuing();
    let mut children: Vec<Child> = NAMES.iter().map(|name| site.start(name, false)).collect();
    let mut lines = BufReader::new(children[0].stdout.take().expect("piped")).lines();
    assert!(lines.any(|line| line.expect("text").contains("\"event\":\"epoch\",\"epoch\":9,")));
    let drain = std::thread::spawn(move || lines.count());
    let signal = |which: &str| {
        let sent = Command::new("kill").args([which, &children[2].id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    };
    // Longer than the others wait for a sign of life, shorter than they look for it afterwards.
    signal("-STOP");
    std::thread::sleep(std::time::Duration::from_millis(6_500));
    signal("-CONT");
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{message}");
        assert!(message.contains("not gone on without a party") && message.contains("--resume"), "{message}");
    }
    assert!(drain.join().is_ok());
    let done = site.run_all(true);
    assert!(done.iter().all(|output| output.status.success()), "{done:?}");
    assert_eq!(site.model(), want);
}

#[test]
fn three_go_on_without_the_helper_by_an_amendment() {
    let (site, want) = Site::new();
    let lost = site.killed(3, 9, false);
    assert!(lost.iter().all(|(code, message)| *code == Some(4) && message.contains("helper")), "{lost:?}");
    let plan =
        Command::new(cargo_bin("privity")).arg("plan").arg(site.0.path().join("job.toml")).arg("--json").output();
    let plan: serde_json::Value = serde_json::from_slice(&plan.expect("the program starts").stdout).expect("JSON");
    let job = std::fs::read_to_string(site.0.path().join("job.toml")).expect("the job");
    let (before, helper) = job.split_once("[[participants]]\nname = \"helper\"").expect("the helper is listed");
    let (_, after) = helper.split_once("[data]").expect("data follows");
    let continues = format!(
        "[continues]\njob = {}\nparticipants = {NAMES:?}\naccept = \"whoever can disconnect one party turns active security off\"\n\n",
        plan["digest"]
    );
    let three = before.replace("rep4", "rep3").replacen("[[participants]]", &format!("{continues}[[participants]]"), 1);
    std::fs::write(site.0.path().join("three.toml"), format!("{three}[data]{after}")).expect("written");
    let running: Vec<Child> = NAMES[..3].iter().map(|name| site.start_job("three.toml", name, true)).collect();
    for child in running {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("\"event\":\"resumed\""));
    }
    let (model, security) = site.model_and_security();
    assert_eq!(model, want);
    assert!(security.contains("without helper: passive security only"), "{security}");
}

/// A job is done and keeps its shares; another one goes on from them, here with the same rows, to the model of one long job. Shares
/// of another role, or of another protocol, are not taken for what they are not.
#[test]
fn a_model_is_trained_on_by_another_job() {
    let (site, want) = Site::new();
    let path = |name: &str| site.0.path().join(name);
    let write = |name: &str, file: &privity_job::JobFile| {
        std::fs::write(path(name), file.to_toml().expect("writable")).expect("written");
        privity_job::Job::load(&path(name)).expect("a sound job")
    };
    let run = |job: &str, resume: bool| -> Vec<Option<i32>> {
        let running: Vec<Child> = NAMES.iter().map(|name| site.start_job(job, name, resume)).collect();
        running.into_iter().map(|child| child.wait_with_output().expect("it ends").status.code()).collect()
    };
    let mut file = privity_job::Job::load(&path("job.toml")).expect("the job").file().clone();
    let epochs = file.training.epochs;
    (file.training.epochs, file.keep) = (epochs / 2, true);
    let first = write("first.toml", &file);
    assert_eq!(run("first.toml", false), [Some(0); 4]);
    assert!(site.out("helper").join("checkpoints").exists(), "the shares are kept");
    (file.training.epochs, file.keep) = (epochs, false);
    file.refits = Some(privity_job::file::Refits { job: first.digest_hex() });
    let mut turned = file.clone();
    turned.participants.swap(0, 1);
    write("turned.toml", &turned);
    assert_eq!(run("turned.toml", true), [Some(2); 4], "other roles");
    write("second.toml", &file);
    assert_eq!(run("second.toml", true), [Some(0); 4]);
    let (model, security) = site.model_and_security();
    assert_eq!(model, want);
    assert!(security.contains("before that: rep4 (active)"), "{security}");
    assert!(!site.out("helper").join("checkpoints").exists(), "the second job keeps nothing");
}

/// Under `shamir` with a party to spare, a process is killed and the others go on in the same session, to the same model.
#[test]
fn under_shamir_the_others_survive_a_killed_party() {
    let (site, _) = Site::new();
    let path = site.0.path().join("job.toml");
    let text = std::fs::read_to_string(&path).expect("the job");
    let other = text
        .replace("protocol = \"rep4\"", "protocol = \"shamir\"\nthreshold = 1")
        .replace("on_loss = \"pause\"", "on_loss = \"survive\"")
        .replace(&format!("epochs = {EPOCHS}"), "epochs = 30");
    assert!(["survive", "threshold", "epochs = 30"].iter().all(|words| other.contains(words)), "{other}");
    std::fs::write(&path, other).expect("written");
    let whole = site.run_all(false);
    assert!(whole.iter().all(|output| output.status.success()), "{whole:?}");
    let want = site.model();
    for victim in [1, 3] {
        site.clear();
        for (code, message) in site.killed(victim, 9, false) {
            assert_eq!(code, Some(0), "{message}");
        }
        assert_eq!(site.model(), want, "without {}", NAMES[victim]);
        let report = std::fs::read_to_string(site.out(NAMES[0]).join("report.json")).expect("a report");
        assert!(report.contains(&format!("went on without: {}", NAMES[victim])), "{report}");
    }
}
