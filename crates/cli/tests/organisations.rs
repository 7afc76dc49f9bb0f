//! Four organisations, each with its node in a process of its own: from nothing to a joint model, with what goes wrong on the way.

mod site;

use site::{NAMES, Node, Site, epochs, until};
use std::time::{Duration, Instant};

/// Epochs of jobs in which something goes wrong: training takes seconds.
const LONG: i64 = 200;

#[test]
fn four_organisations_train_a_model_that_one_of_them_interrupts() {
    let mut site = Site::new();
    // By hand at every organisation.
    let digest = site.submit(epochs(20), &[]);
    assert_eq!(site.nodes["helper"].state(&digest), "pending");
    site.approve(&digest);
    site.ends(&digest, "done");
    let report = &site.nodes[NAMES[1]].job(&digest)["report"];
    let told = site.nodes["helper"].run(&["job", "explain", &digest]);
    assert!(
        NAMES.iter().all(|name| told.contains(&format!("{name} approves"))) && told.contains("opens the model"),
        "{told}"
    );
    assert!(report["joint"]["auc"].as_f64().expect("an AUC") > 0.98, "{report}");
    // Nobody runs it twice.
    assert!(site.nodes[NAMES[1]].fails(&["job", "approve", &digest]).contains("has decided"));

    // One denies: it never starts, and all know who and why.
    let denied = site.submit(epochs(3), &[]);
    site.nodes["hospital-b"].run(&["job", "deny", &denied, "--reason", "not our purpose"]);
    site.ends(&denied, "denied");
    let reason = site.nodes["helper"].job(&denied)["line"]["reason"].as_str().expect("text").to_owned();
    assert!(reason.contains("hospital-b") && reason.contains("not our purpose"), "{reason}");

    // One dies on the way; all others say so, alike, and when it is back they go on from what they kept.
    let digest = site.submit(epochs(LONG), &[]);
    site.approve(&digest);
    site.nodes[NAMES[0]].trains(&digest, 3);
    let killed = Instant::now();
    site.nodes.get_mut("hospital-c").expect("a node").kill();
    let others = ["hospital-a", "hospital-b", "helper"];
    for name in others {
        until("the loss is noticed", || site.nodes[name].state(&digest) == "paused");
    }
    // Within ten seconds, the commands that ask aside.
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
    let reasons: Vec<String> =
        others.iter().map(|name| site.nodes[name].job(&digest)["line"]["reason"].to_string()).collect();
    site.nodes.get_mut("hospital-c").expect("a node").start();
    site.ends(&digest, "done");
    assert!(reasons.iter().all(|reason| reason.contains("hospital-c")), "{reasons:?}");
    assert_eq!(site.nodes[NAMES[0]].job(&digest)["line"]["attempt"], 2);

    site.logs_hold();
}

/// A job that its owners allow to go on: one node dies, the three others state that and train on, each with as many lanes as all have free.
#[test]
fn three_go_on_without_a_fourth_as_the_manifest_allows() {
    let mut site = Site::new();
    site.fraud();
    // One decides by its rules, the others by hand.
    let rules = "@id(\"fraud\") permit (principal == Organisation::\"hospital-a\", action == Action::\"run\", resource)\n\
                 when { context.adversary == \"active\" || context.on_loss == \"survive\" };\n";
    site.nodes[NAMES[1]].policy(rules);
    let approve = |site: &Site, digest: &str| {
        site.nodes[NAMES[0]].run(&["job", "approve", digest, "--person", "officer"]);
        for (name, person) in [(NAMES[2], "officer"), (NAMES[2], "head"), (NAMES[3], "officer"), (NAMES[3], "head")] {
            site.nodes[name].run(&["job", "approve", digest, "--person", person]);
        }
    };
    let digest = site.submit(
        |job| {
            epochs(60)(job);
            job["training"].as_table_mut().expect("training").insert("lanes".into(), 2.into());
            job.insert("on_loss".into(), "continue".into());
            job.insert("after_loss".into(), "passive".into());
            job.insert("accept".into(), privity_job::file::ACCEPTED.into());
        },
        &[],
    );
    let shown = site.nodes["helper"].run(&["job", "show", &digest]);
    assert!(shown.contains("as all three others sign: they go on without it"), "{shown}");
    approve(&site, &digest);
    site.nodes[NAMES[0]].trains(&digest, 3);
    let lost = "hospital-c";
    site.nodes.get_mut(lost).expect("a node").kill();
    let others = [NAMES[0], NAMES[1], NAMES[3]];
    let told = |site: &Site, name: &str| site.nodes[name].run(&["job", "watch", &digest]);
    for name in others {
        until("they are done", || {
            let state = site.nodes[name].state(&digest);
            assert!(["running", "done"].contains(&&*state), "{name}: {}", site.nodes[name].job(&digest));
            state == "done"
        });
        let job = site.nodes[name].job(&digest);
        assert_eq!(job["line"]["attempt"], 1, "{job}");
        assert_eq!(job["line"]["reason"], format!("done, without {lost}"));
        let report = &job["report"];
        assert!(report["protocol"].as_str().expect("text").contains(&format!("without {lost}: passive")), "{report}");
        assert_eq!(report["losses"].as_array().expect("losses").len(), 60);
        assert!(told(&site, name).contains(&format!(r#"{{"event":"lost","party":"{lost}""#)));
    }
    let report = &site.nodes[NAMES[1]].job(&digest)["report"];
    assert!(report["joint"]["accuracy"].as_f64().expect("a share") > 0.98, "{report}");
    let losses: Vec<f64> = report["losses"].as_array().expect("losses").iter().filter_map(|l| l.as_f64()).collect();
    assert!(losses[59] < losses[0] / 10.0, "{losses:?}");
    let explained = site.nodes["helper"].run(&["job", "explain", &digest]);
    assert!(explained.contains(&format!("{lost} is lost")), "{explained}");
    assert!(explained.contains(&format!("{} approves, by policy:fraud", NAMES[1])), "{explained}");
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
        assert!(explained.contains("in 2 lanes"), "{explained}");
    }
    // What comes back learns that it was too late; its shares are worth nothing any more.
    site.nodes.get_mut(lost).expect("a node").start();
    until("it learns so", || site.nodes[lost].state(&digest) == "aborted");
    let reason = site.nodes[lost].job(&digest)["line"]["reason"].to_string();
    assert!(reason.contains(&format!("has its results already (done, without {lost})")), "{reason}");
    assert!(!site.nodes[lost].home.join("jobs").join(&digest).join("checkpoints").exists());

    // Where a party can be spared, the others finish in the session that they have, also if it is back and says that there is no further attempt.
    let digest = site.submit(
        |job| {
            epochs(30)(job);
            job.insert("protocol".into(), "shamir".into());
            job.insert("threshold".into(), 1.into());
            job.insert("on_loss".into(), "survive".into());
        },
        &["--attempts", "1"],
    );
    approve(&site, &digest);
    site.nodes[NAMES[0]].trains(&digest, 3);
    site.nodes.get_mut(lost).expect("a node").kill();
    site.nodes.get_mut(lost).expect("a node").start();
    for name in others {
        until("they are done", || site.nodes[name].state(&digest) != "running");
        let job = site.nodes[name].job(&digest);
        assert_eq!((&job["line"]["state"], &job["line"]["attempt"]), (&"done".into(), &1.into()), "{job}");
        let warning = job["report"]["warning"].as_str().expect("a warning");
        assert!(warning.contains(&format!("went on without: {lost}")), "{warning}");
    }
    until("it learns so", || site.nodes[lost].state(&digest) == "aborted");
    site.logs_hold();
}

#[test]
fn a_member_that_only_dials_out_takes_part_through_anothers_node() {
    let outbound = "hospital-b";
    let mut site = Site::behind(outbound);
    let relay = site.nodes[NAMES[0]].address();
    assert_eq!(site.nodes[outbound].configured("listen"), "");
    // All reach it, the relay itself, too, and see how, as soon as all know all members.
    for name in NAMES {
        let doctor = || {
            let said = site.nodes[name].command(&["doctor", "--project", "tumours-2026"]).output().expect("it starts");
            (said.status.success(), String::from_utf8_lossy(&said.stdout).into_owned())
        };
        let mut said = String::new();
        until("all reach all", || {
            let (reached, words) = doctor();
            said = words;
            reached
        });
        assert_eq!(said.contains(&format!("through the relay {relay}")), name != outbound, "{said}");
    }
    // It founds projects, too: who is invited reaches it through the relay, which need not be in them. Nodes that run join.
    site.join_by(outbound, "another", "hospital-c");
    let members = site.nodes["hospital-c"].run(&["member", "list", "--project", "another"]);
    assert!(members.contains(&format!("{outbound}  relay:{relay}")) && !members.contains(NAMES[0]), "{members}");
    let doctor = site.nodes["hospital-c"].run(&["doctor", "--project", "another"]);
    assert!(doctor.contains(&format!("through the relay {relay}")), "{doctor}");
    // But not before its relay knows it: nobody would find it.
    let mut alone = Node::init(site.folder.path(), ("hospital-d", 4), Some(&relay), &[], Vec::new());
    alone.start();
    let refused = alone.fails(&["invite", "hospital-c", "helper", "--project", "third"]);
    assert!(refused.contains("no member of any project with it"), "{refused}");
    drop(alone);

    let digest = site.submit(epochs(20), &[]);
    site.approve(&digest);
    site.ends(&digest, "done");
    let report = &site.nodes[outbound].job(&digest)["report"];
    assert!(report["joint"]["auc"].as_f64().expect("an AUC") > 0.98, "{report}");

    // The relay dies: the others say whom they do not reach; when it is back, all go on.
    let digest = site.submit(epochs(LONG), &[]);
    site.approve(&digest);
    site.nodes[NAMES[0]].trains(&digest, 3);
    site.nodes.get_mut(NAMES[0]).expect("a node").kill();
    for name in [outbound, "hospital-c", "helper"] {
        until("the loss is noticed", || site.nodes[name].state(&digest) == "paused");
        let reason = site.nodes[name].job(&digest)["line"]["reason"].to_string();
        assert!(reason.contains(NAMES[0]) || reason.contains(outbound), "{name}: {reason}");
    }
    let said = site.nodes["helper"].command(&["doctor", "--project", "tumours-2026"]).output().expect("it starts");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains(&format!("{outbound} does not answer at relay:{relay}")), "{said}");
    assert!(said.contains(&format!("{} does not answer at {relay}", NAMES[0])), "{said}");
    site.nodes.get_mut(NAMES[0]).expect("a node").start();
    site.ends(&digest, "done");
    assert_eq!(site.nodes[NAMES[0]].job(&digest)["line"]["attempt"], 2);

    comes_back(&mut site, "hospital-c");
    let digest = site.submit(epochs(3), &[]);
    site.approve(&digest);
    site.ends(&digest, "done");
    site.logs_hold();
}

/// An organisation whose machine is lost, with its root, comes back under its name.
fn comes_back(site: &mut Site, name: &'static str) {
    site.nodes.get_mut(name).expect("a node").kill();
    let home = &site.nodes[name].home;
    std::fs::rename(home, home.with_extension("lost")).expect("a directory");
    let mut node = Node::init(site.folder.path(), (name, 2), None, &[], Vec::new());
    node.start();
    site.nodes.insert(name, node);
    let status = site.nodes[name].run(&["status"]);
    let words = status.lines().find_map(|line| line.strip_prefix("words of the root: ")).expect("words").to_owned();
    let forget: Vec<&str> = ["member", "forget", name].into_iter().chain(words.split(' ')).collect();
    let refused = site.nodes["helper"].fails(&forget);
    assert!(refused.contains("privity member remove"), "{refused}");
    site.nodes[NAMES[0]].run(&["member", "remove", name, "--project", "tumours-2026"]);
    site.nodes["hospital-b"].run(&["member", "remove", name, "--project", "another"]);
    for other in ["hospital-b", "helper"] {
        until("it is no member", || !site.nodes[other].run(&["member", "list"]).contains(name));
        site.nodes[other].run(&forget);
    }
    site.nodes[NAMES[0]].run(&["member", "forget", name]);
    site.join(name);
    for other in NAMES {
        until("it is a member", || site.nodes[other].run(&["member", "list"]).contains(&words));
    }
    site.add_table(name);
    // A project that its founder is alone in is left.
    site.nodes["hospital-b"].run(&["project", "forget", "another"]);
    assert!(!site.nodes["hospital-b"].run(&["member", "list"]).contains("another"));
}

#[test]
fn a_member_behind_two_relays_takes_part_while_one_lives() {
    let (outbound, carrier) = ("hospital-b", "carrier");
    let mut site = Site::behind_two(outbound, carrier);
    let relays = site.nodes[outbound].address();
    assert_eq!(relays, format!("relay:{},{}", site.nodes[carrier].address(), site.nodes[NAMES[0]].address()));
    let doctor = |site: &Site, name: &str| {
        let said = site.nodes[name].command(&["doctor", "--project", "tumours-2026"]).output().expect("it starts");
        (said.status.success(), String::from_utf8_lossy(&said.stdout).into_owned())
    };
    for name in NAMES {
        until("all reach all, through each relay", || doctor(&site, name).0);
    }
    let digest = site.submit(epochs(LONG), &[]);
    site.approve(&digest);
    site.nodes[NAMES[0]].trains(&digest, 3);
    assert_eq!(site.nodes[NAMES[0]].state(&digest), "running");
    // The relay that dialers try first dies, and stays dead.
    site.nodes.get_mut(carrier).expect("a node").kill();
    site.ends(&digest, "done");
    assert_eq!(site.nodes[NAMES[0]].job(&digest)["line"]["attempt"], 2, "it went on through the other");
    for name in ["hospital-c", "helper"] {
        let (_, said) = doctor(&site, name);
        let dead = format!("{outbound} does not answer at relay:{}", site.nodes[carrier].address());
        assert!(said.contains(&dead) && !said.contains(&format!("does not answer at {relays}")), "{said}");
    }
    site.logs_hold();
}

/// What a fault leaves behind: every job ends, with the same word everywhere, and all logs agree. Two faults; thirty under `cargo xtask heavy`.
#[test]
fn killed_frozen_and_stopped_nodes_leave_no_job_without_an_end() {
    let faults = if std::env::var_os("PRIVITY_HEAVY").is_some() { 30 } else { 2 };
    let mut site = Site::new();
    for node in site.nodes.values() {
        let rule = "@id(\"all\")\n@reason(\"a test\")\npermit (principal, action == Action::\"run\", resource);\n";
        node.policy(rule);
    }
    for fault in 0..faults {
        let digest = site.submit(epochs(200 + fault), &[]);
        until("it runs", || {
            site.nodes[NAMES[0]].state(&digest) != "ready" && site.nodes[NAMES[0]].state(&digest) != "pending"
        });
        let (name, kind) = (NAMES[random(4) as usize], random(3));
        let moment = Duration::from_millis(random(3000));
        let what = format!("fault {fault}, of kind {kind}, at {name} after {moment:?}");
        println!("{what}");
        std::thread::sleep(moment);
        let node = site.nodes.get_mut(name).expect("a node");
        match kind {
            0 => {
                node.kill();
                std::thread::sleep(Duration::from_millis(random(8000)));
                node.start();
            }
            1 => {
                node.signal("STOP");
                std::thread::sleep(Duration::from_millis(500 + random(12_000)));
                node.signal("CONT");
            }
            _ => {
                assert!(node.stop(), "{what}");
                node.start();
            }
        }
        let mut ends = Vec::new();
        for name in NAMES {
            until(&format!("{what}: an end at {name}"), || {
                ["done", "aborted", "denied", "expired"].contains(&site.nodes[name].state(&digest).as_str())
            });
            let line = site.nodes[name].job(&digest)["line"].clone();
            assert!(line["attempt"].as_u64().expect("a number") <= 5, "{what}: {line}");
            ends.push((line["state"].to_string(), line["reason"].to_string()));
        }
        let alike = ends.iter().all(|end| *end == ends[0]);
        let some_done = ends.iter().any(|(state, _)| state == "\"done\"");
        let explained =
            ends.iter().all(|(state, reason)| state == "\"done\"" || reason.contains("has its results already"));
        assert!(alike || (some_done && explained), "{what}: {ends:?}");
        println!("{what}: {} after {} attempts", ends[0].0, site.nodes[NAMES[0]].job(&digest)["line"]["attempt"]);
    }
    site.logs_hold();
}

/// A number below this one.
fn random(below: u64) -> u64 {
    use std::hash::BuildHasher;
    std::collections::hash_map::RandomState::new().hash_one(0) % below
}
