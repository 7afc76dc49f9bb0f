//! Members that come back with another root, and what logs say of former ones.

use super::*;

/// A member loses its root, is removed, has its name forgotten, and comes back with another root and a log that begins then.
fn comes_back(forgotten: &[&str]) -> (World, Vec<String>) {
    let mut world = World::busy();
    let old = world.nodes[2].root();
    let before = world.exports();
    let left = Record::Left {
        project: "fraud-1".into(),
        organisation: "bank-c".into(),
        root: old.clone(),
        by: "bank-a".into(),
    };
    only(&world, &["bank-a", "bank-b", "helper"], &left);
    let identity = Arc::new(Identity::generate("bank-c").unwrap());
    let dir = tempfile::tempdir().unwrap();
    let root = identity.fingerprint();
    let log = Arc::new(Log::open(dir.path(), "bank-c", &root, identity.clone(), world.now()).unwrap());
    let witness = Witness::open(log.clone(), world.now()).unwrap();
    let forget = Record::Forgotten { organisation: "bank-c".into(), root: old, by: "eve".into() };
    only(&world, forgotten, &forget);
    let joined = |organisation: &str, root: String| Record::Joined {
        project: "fraud-1".into(),
        organisation: organisation.into(),
        root,
    };
    only(&world, &["bank-a", "bank-b", "helper"], &joined("bank-c", root));
    for other in [0, 1, 3] {
        log.append(world.now(), &joined(NAMES[other], world.nodes[other].root())).unwrap();
    }
    world.nodes[2] = Node { name: "bank-c", identity, dir, log, witness };
    world.gossip();
    world.heads();
    (world, before)
}

#[test]
fn a_member_that_comes_back_with_another_root_has_another_log() {
    let (world, before) = comes_back(&["bank-a", "bank-b", "helper"]);
    let next = world.approved(&manifest(3));
    world.started(&next, 1);
    world.ended(&next, 1, "done", 0);
    world.gossip();
    world.heads();
    let files = world.exports();
    let report = audit(&files);
    assert_eq!(kinds(&report), [], "{}", report.text());
    assert!(report.text().contains("bank-a, bank-b, helper had another root forgotten"), "{}", report.text());
    assert_eq!((report.started, report.approved), (3, 3));
    // What is remembered of both logs is read again.
    let witness = Witness::open(world.nodes[0].log.clone(), world.now()).unwrap();
    let newest = world.nodes[2].log.newest().unwrap().size;
    assert!((1..=newest).contains(&witness.size_of("bank-c", &world.nodes[2].root())));
    assert_eq!(witness.size_of("bank-c", "another root"), 0);
    // The log under the former root cannot stand for the one under the new one.
    assert!(audit(&with(&files, 2, before[2].clone())).wrong() > 0);
    // The new log answers for what came after it.
    let without = rewritten(&world.nodes[2], &files[2], |e| e.retain(|e| e.record.manifest() != Some(&*next)));
    assert!(kinds(&audit(&with(&files, 2, without))).contains(&("missing", "bank-c")));
}

#[test]
fn whoever_did_not_have_the_root_forgotten_holds_the_member_to_its_log() {
    // By one log alone nothing is excused that an honest member knows of.
    let (world, _) = comes_back(&["helper"]);
    let report = audit(&world.exports());
    assert!(kinds(&report).contains(&("missing", "bank-c")), "{}", report.text());
    assert!(kinds(&report).iter().any(|(kind, _)| *kind == "signature" || *kind == "cosignature"), "{}", report.text());
}

/// A log says that others had roots that were forgotten, which its owner made up, and has them sign for them.
#[test]
fn nobody_makes_up_former_roots_of_others_and_signs_with_them() {
    let world = World::busy();
    let forger = Arc::new(Identity::generate("bank-c").unwrap());
    let forged = Record::Forgotten { organisation: "bank-c".into(), root: forger.fingerprint(), by: "eve".into() };
    only(&world, &["bank-a"], &forged);
    world.gossip();
    world.heads();
    let files = world.exports();
    let honest = audit(&files);
    assert_eq!(kinds(&honest), [], "{}", honest.text());
    // In the place of those of bank-c stand forged ones.
    let all = parts(&files[0]).into_iter();
    let forged: Vec<Part> = all
        .map(|part| match part {
            Part::Cosignature(signed) if signed.body.organisation == "bank-c" => {
                Part::Cosignature(Statement::new(signed.body, &*forger).unwrap())
            }
            other => other,
        })
        .collect();
    let report = audit(&with(&files, 0, sealed(forged)));
    let noted = report.findings.iter().filter(|f| f.kind == "unvouched" && f.severity == Severity::Note).count();
    assert!(noted > 0, "{}", report.text());
    assert_eq!(report.logs[0].cosignatures + noted, honest.logs[0].cosignatures, "{}", report.text());
    // By the file alone neither.
    let known = |root: String| Known { roots: [("bank-c".to_owned(), root)].into(), ..Known::default() };
    let alone = audit_with(&files[..1], &known(world.nodes[2].root()));
    assert_eq!(alone.logs[0].cosignatures, honest.logs[0].cosignatures, "{}", alone.text());
}

/// A job of the time before a member had another root is not expected in its new log, also where not all had the old root forgotten.
#[test]
fn a_job_is_expected_only_in_a_log_under_the_root_that_its_manifest_pins() {
    let (world, before) = comes_back(&["bank-a", "bank-b", "helper"]);
    let mut pinned = manifest(3);
    let old = parts(&before[2]).into_iter().find_map(|part| match part {
        Part::Header(header) => Some(header.root),
        _ => None,
    });
    for (participant, node) in pinned.job.participants.iter_mut().zip(&world.nodes) {
        participant.fingerprint = if node.name == "bank-c" { old.clone() } else { Some(node.root()) };
    }
    // Two logs say something about it after the new root had joined; that of the new root nothing.
    let digest = pinned.digest().unwrap();
    let submitted = Record::Submitted {
        manifest: digest.clone(),
        id: pinned.id.clone(),
        project: pinned.project.clone(),
        submitter: "bank-a".into(),
    };
    for node in &world.nodes {
        node.log.keep(&pinned).unwrap();
    }
    let others = ["bank-a", "bank-b", "helper"];
    only(&world, &others, &submitted);
    for owner in ["bank-a", "bank-b", "bank-c"] {
        only(&world, &others, &world.decision(&digest, owner, Decision::Approve));
    }
    world.gossip();
    world.heads();
    let report = audit(&world.exports());
    assert_eq!(kinds(&report), [], "{}", report.text());
}
