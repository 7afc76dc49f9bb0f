//! What an auditor finds in the exported logs of four members, and what nobody can find.

mod budgets;
mod common;
mod roots;

use common::{NAMES, Node, START, World, audit, audit_with, manifest};
use privity_api::{Decision, Record, Statement};
use privity_audit::verify::{Known, Report, Severity};
use privity_audit::{
    Cosignature, End, Entry, Filter, Hash, Head, Log, Part, Reader, Witness, WitnessError, merkle, trace,
};
use privity_job::canonical;
use privity_job::file::{ACCEPTED, AfterLoss, OnLoss};
use privity_net::identity::Identity;
use proptest::prelude::*;
use std::sync::Arc;

fn parts(file: &str) -> Vec<Part> {
    let mut reader = Reader::new(file.as_bytes());
    std::iter::from_fn(|| reader.next_part().unwrap().map(|(part, _)| part)).collect()
}

fn text<T: serde::Serialize>(value: &T) -> String {
    canonical::write(&serde_json::to_value(value).unwrap())
}

/// A file of these parts, with the end and the size that belong to them: what anybody can do who has a file, but no key.
fn sealed(mut parts: Vec<Part>) -> String {
    parts.retain(|part| !matches!(part, Part::End(_)));
    let size = parts.iter().filter(|part| matches!(part, Part::Entry(_) | Part::Hidden(_))).count() as u64;
    if let Some(Part::Header(header)) = parts.first_mut() {
        header.size = size;
    }
    let body: String = parts.iter().map(|part| text(part) + "\n").collect();
    let sha256: Hash = privity_api::sha256(body.as_bytes()).parse().unwrap();
    body + &text(&Part::End(End { lines: parts.len() as u64, sha256 })) + "\n"
}

/// The file of a member that rewrites its own history: it has its key, signs a head over what it shows, and leaves out what does not fit.
fn rewritten(node: &Node, file: &str, change: impl FnOnce(&mut Vec<Entry>)) -> String {
    let mut entries = Vec::new();
    let mut others = Vec::new();
    for part in parts(file) {
        if let Part::Entry(entry) = part { entries.push(entry) } else { others.push(part) }
    }
    change(&mut entries);
    let mut tree = merkle::Tree::default();
    for (i, entry) in entries.iter_mut().enumerate() {
        entry.index = i as u64;
        tree.push(merkle::leaf(text(entry).as_bytes()));
    }
    let fits = |head: &Head| tree.root(head.size) == Some(head.root);
    let cosigned = |head: &Head| {
        let of = |e: &Entry| matches!(&e.record, Record::Cosigned { organisation, size, root } if *organisation == head.organisation && *size == head.size && *root == head.root.to_string());
        entries.iter().any(of)
    };
    let (size, at) = (tree.size(), START + 80_000);
    let head = Head { organisation: node.name.into(), size, root: tree.root(size).unwrap(), at };
    let mut all: Vec<Part> =
        others.iter().filter(|p| matches!(p, Part::Header(_) | Part::Manifest(_))).cloned().collect();
    all.extend(entries.iter().cloned().map(Part::Entry));
    all.push(Part::Head(Statement::new(head, &*node.identity).unwrap()));
    all.extend(others.into_iter().filter(|part| match part {
        Part::Cosignature(cosignature) => fits(&cosignature.body.head),
        Part::Witnessed(head) => cosigned(&head.body),
        _ => false,
    }));
    sealed(all)
}

fn kinds(report: &Report) -> Vec<(&str, &str)> {
    let wrong = report.findings.iter().filter(|f| f.severity == Severity::Wrong);
    wrong.map(|f| (f.kind, f.log.as_str())).collect()
}

fn with(files: &[String], i: usize, file: String) -> Vec<String> {
    let mut files = files.to_vec();
    files[i] = file;
    files
}

#[test]
fn honest_logs_are_in_order() {
    let world = World::busy();
    let report = audit(&world.exports());
    assert_eq!(report.findings, [], "{}", report.text());
    assert_eq!((report.started, report.approved), (2, 2));
    assert!(report.logs.iter().all(|log| log.cosignatures == 6), "two heads, three others");
    assert!(report.text().contains("ok  4 logs"), "{}", report.text());
    // Any order, and a file given twice, and an older one beside a newer.
    let older = world.exports();
    world.gossip();
    world.heads();
    let mut files = world.exports();
    files.reverse();
    files.extend(older);
    assert_eq!(audit(&files).findings, []);
}

/// A few hundred bytes of each file, every one with `PRIVITY_HEAVY`.
#[test]
fn every_edit_of_a_byte_is_found() {
    let world = World::busy();
    for file in world.exports() {
        let heavy = std::env::var_os("PRIVITY_HEAVY").is_some();
        for at in (0..file.len()).step_by(if heavy { 1 } else { file.len() / 150 }) {
            for flip in [1, 0x20] {
                let mut bytes = file.clone().into_bytes();
                bytes[at] ^= flip;
                let book = privity_audit::verify::Book::load("edited", &bytes[..]);
                assert!(privity_audit::verify::check(vec![book], &Known::default()).wrong() > 0, "byte {at}");
            }
        }
        for length in (0..file.len()).step_by(file.len() / 150) {
            let book = privity_audit::verify::Book::load("cut", &file.as_bytes()[..length]);
            assert!(privity_audit::verify::check(vec![book], &Known::default()).wrong() > 0, "cut at {length}");
        }
    }
}

/// Whoever has a file but no key: lines taken out, exchanged, cut off, hashes put in place of entries, entries altered, digests made to fit.
#[test]
fn whoever_has_no_key_alters_nothing_unseen() {
    let world = World::busy();
    let files = world.exports();
    let all = parts(&files[1]);
    let entries = all.iter().filter(|part| matches!(part, Part::Entry(_))).count();
    let first = all.iter().position(|part| matches!(part, Part::Entry(_))).unwrap();
    for i in first..first + entries {
        let found = |all: Vec<Part>, what: &str| assert!(audit(&[sealed(all)]).wrong() > 0, "{what} {i}");
        let mut without = all.clone();
        without.remove(i);
        found(without, "without");
        found([&all[..i], &all[first + entries..]].concat(), "cut");
        if i + 1 < first + entries {
            let mut swapped = all.clone();
            swapped.swap(i, i + 1);
            found(swapped, "swapped");
        }
        let mut edited = all.clone();
        let Part::Entry(entry) = &mut edited[i] else { panic!("an entry") };
        let hash = merkle::leaf(text(entry).as_bytes());
        entry.at += 1;
        found(edited, "edited");
        let mut hidden = all.clone();
        hidden[i] = Part::Hidden(hash);
        found(hidden, "hidden");
    }
    for part in &all[first + entries..] {
        let mut forged = all.clone();
        let place = forged.iter().position(|p| p == part).unwrap();
        match &mut forged[place] {
            Part::Head(head) => head.body.at += 1,
            Part::Cosignature(cosignature) => cosignature.body.at += 1,
            Part::Witnessed(head) => head.signature[8] ^= 1,
            _ => continue,
        }
        assert!(audit(&[sealed(forged)]).wrong() > 0, "{part:?}");
    }
}

/// The member itself rewrites its log with its own key. What others hold of it gives it away up to the last head that anyone saw, and exactly so far.
#[test]
fn a_member_that_rewrites_its_history_is_found_up_to_what_others_saw() {
    let world = World::busy();
    let files = world.exports();
    let (i, node) = (0, &world.nodes[0]);
    let seen: u64 = world.nodes[1..].iter().map(|other| other.witness.size_of(node.name, &node.root())).max().unwrap();
    let size = node.log.size();
    assert!(size > seen, "some entries nobody has seen");
    let wrong = |file: String| audit(&with(&files, i, file)).wrong() > 0;
    assert!(!wrong(rewritten(node, &files[i], |_| {})), "nothing was changed");
    for at in 1..size as usize {
        let unseen = at as u64 >= seen;
        assert_eq!(wrong(rewritten(node, &files[i], |e| e[at].at += 1)), !unseen, "edit of {at}");
        // The entries that nobody has seen are that others' heads were cosigned; those others hold the cosignatures.
        assert!(wrong(rewritten(node, &files[i], |e| drop(e.remove(at)))), "without {at}");
        assert!(wrong(rewritten(node, &files[i], |e| e.truncate(at))), "cut at {at}");
        if at + 1 < size as usize {
            assert_eq!(wrong(rewritten(node, &files[i], |e| e.swap(at, at + 1))), !unseen, "swapped at {at}");
        }
    }
}

/// The limit: if all members rewrite the same thing, signed with their own keys, nothing is left that could contradict.
#[test]
fn all_members_together_can_rewrite_everything() {
    let world = World::busy();
    let denied = manifest(2).digest().unwrap();
    let files = world.exports();
    let forget = |entries: &mut Vec<Entry>| {
        entries.retain(|e| e.record.manifest() != Some(&denied) && !matches!(e.record, Record::Cosigned { .. }));
    };
    let unsigned =
        |file: &str| sealed(parts(file).into_iter().filter(|p| !matches!(p, Part::Cosignature(_))).collect());
    let together: Vec<String> =
        world.nodes.iter().zip(&files).map(|(node, file)| unsigned(&rewritten(node, file, forget))).collect();
    let report = audit(&together);
    assert_eq!(kinds(&report), [], "{}", report.text());
    // One honest member is enough.
    for honest in 0..4 {
        assert!(audit(&with(&together, honest, files[honest].clone())).wrong() > 0);
    }
}

/// Builds a world in which something is wrong, and says what must be found at whom.
fn finds(expected: (&str, &str), build: impl FnOnce(&World, &str)) {
    let world = World::new();
    let digest = world.approved(&manifest(1));
    build(&world, &digest);
    world.gossip();
    world.heads();
    let report = audit(&world.exports());
    assert!(kinds(&report).contains(&expected), "{expected:?} not in\n{}", report.text());
    assert!(report.text().contains("!!"), "{}", report.text());
    assert!(report.findings.iter().filter(|f| f.kind == expected.0).all(|f| f.manifest.as_deref() == Some(&digest)));
}

fn only(world: &World, names: &[&str], record: &Record) {
    for node in world.nodes.iter().filter(|node| names.contains(&node.name)) {
        node.log.append(world.now(), record).unwrap();
    }
}

#[test]
fn what_one_log_has_and_another_misses_is_found() {
    let of = |digest: &str| digest.to_owned();
    let opening = |digest: &str, what: &str| Record::Opening { manifest: of(digest), number: 1, what: what.into() };
    let attempt = |digest: &str, parameter: &str| Record::Attempt {
        manifest: of(digest),
        number: 1,
        build: "00".into(),
        parameters: vec![("protocol".into(), parameter.into())],
    };
    let session =
        |digest: &str, session: &str| Record::Session { manifest: of(digest), number: 1, session: session.into() };
    finds(("missing", "helper"), |w, d| {
        w.started(d, 1);
        only(w, &NAMES[..3], &opening(d, "mean loss"));
        w.ended(d, 1, "done", 0);
    });
    finds(("differs", "bank-b"), |w, d| {
        w.started(d, 1);
        only(w, &["bank-a", "bank-c", "helper"], &opening(d, "mean loss"));
        only(w, &["bank-b"], &opening(d, "the model's weights"));
        w.ended(d, 1, "done", 0);
    });
    finds(("missing", "bank-c"), |w, d| {
        w.all(&attempt(d, "rep4"));
        only(w, &["bank-a", "bank-b", "helper"], &session(d, "aa"));
    });
    finds(("missing", "bank-b"), |w, d| {
        only(w, &["bank-a", "bank-c", "helper"], &attempt(d, "rep4"));
        only(w, &["bank-a", "bank-c", "helper"], &session(d, "aa"));
    });
    finds(("differs", "bank-b"), |w, d| {
        w.all(&attempt(d, "rep4"));
        only(w, &["bank-a", "bank-c", "helper"], &session(d, "aa"));
        only(w, &["bank-b"], &session(d, "bb"));
    });
    finds(("differs", "helper"), |w, d| {
        only(w, &NAMES[..3], &attempt(d, "rep4"));
        only(w, &["helper"], &attempt(d, "rep3"));
        w.all(&session(d, "aa"));
    });
    finds(("missing", "bank-a"), |w, d| {
        w.started(d, 1);
        let ended = |code| Record::Ended {
            manifest: of(d),
            number: 1,
            end: "done".into(),
            code,
            reason: String::new(),
            sent: Default::default(),
            classes: Default::default(),
            verdicts: 0,
            security: String::new(),
        };
        only(w, &["bank-b", "bank-c", "helper"], &ended(0));
    });
    finds(("missing", "bank-b"), |w, d| {
        let denial = w.decision(d, "bank-b", Decision::Deny);
        only(w, &["bank-a"], &denial);
    });
}

#[test]
fn a_paused_job_may_be_given_up() {
    for end in ["aborted", "denied", "expired"] {
        let world = World::new();
        let digest = world.approved(&manifest(1));
        world.started(&digest, 1);
        world.ended(&digest, 1, "paused", 4);
        world.ended(&digest, 1, end, 4);
        world.gossip();
        world.heads();
        let report = audit(&world.exports());
        assert!(!report.text().contains("!!"), "{}", report.text());
    }
}

/// One of four is lost on the way: the others record that and go on in another session, and the lost one ends by itself.
fn continued(world: &World, allowed: bool) -> String {
    let mut manifest = manifest(9);
    if allowed {
        (manifest.job.on_loss, manifest.job.after_loss) = (OnLoss::Continue, Some(AfterLoss::Passive));
        manifest.job.accept = Some(ACCEPTED.into());
    }
    world.approved(&manifest)
}

fn gone(digest: &str, lost: &str) -> Record {
    Record::Lost { manifest: digest.into(), number: 1, lost: lost.into(), security: "passive".into() }
}

#[test]
fn three_that_went_on_without_a_fourth_verify_and_so_does_it() {
    let rest = ["bank-a", "bank-b", "helper"];
    let end = |digest: &str, end: &str, code| Record::Ended {
        manifest: digest.into(),
        number: 1,
        end: end.into(),
        code,
        reason: String::new(),
        sent: Default::default(),
        classes: Default::default(),
        verdicts: 0,
        security: String::new(),
    };
    let opening = |digest: &str, what: &str| Record::Opening { manifest: digest.into(), number: 1, what: what.into() };
    let session = |digest: &str, id: &str| Record::Session { manifest: digest.into(), number: 1, session: id.into() };
    let went_on = |allowed: bool, change: &dyn Fn(&World, &str)| {
        let world = World::new();
        let digest = continued(&world, allowed);
        world.started(&digest, 1);
        world.opened(&digest, 1, "mean loss");
        only(&world, &rest, &opening(&digest, "mean loss"));
        change(&world, &digest);
        world.gossip();
        world.heads();
        audit(&world.exports())
    };
    let all_alike = |world: &World, digest: &str| {
        only(world, &rest, &gone(digest, "bank-c"));
        only(world, &rest, &session(digest, "second"));
        only(world, &rest, &opening(digest, "mean loss"));
        only(world, &rest, &opening(digest, "the model's weights"));
        only(world, &rest, &end(digest, "done", 0));
    };
    // The lost one died and came back, or never did.
    let back = went_on(true, &|world, digest| {
        all_alike(world, digest);
        only(world, &["bank-c"], &end(digest, "paused", 4));
        only(world, &["bank-c"], &end(digest, "aborted", 4));
    });
    assert_eq!(back.findings, [], "{}", back.text());
    assert_eq!(went_on(true, &all_alike).findings, []);
    // One noticed a moment later than the others, and one stopped before it wrote who was lost, so that nobody went on.
    let late = went_on(true, &|world, digest| {
        only(world, &["helper"], &opening(digest, "mean loss"));
        all_alike(world, digest);
    });
    assert_eq!(late.findings, [], "{}", late.text());
    let stopped = went_on(true, &|world, digest| {
        only(world, &["bank-a", "helper"], &gone(digest, "bank-c"));
        world.ended(digest, 1, "paused", 4);
    });
    assert_eq!(stopped.findings, [], "{}", stopped.text());

    type Change<'a> = &'a dyn Fn(&World, &str);
    let cases: [((&str, &str), bool, Change); 11] = [
        (("lost", "bank-a"), false, &all_alike),
        (("missing", "helper"), true, &|w, d| {
            only(w, &["bank-a", "bank-b"], &gone(d, "bank-c"));
            only(w, &["bank-a", "bank-b"], &session(d, "second"));
        }),
        (("differs", "bank-b"), true, &|w, d| {
            only(w, &["bank-a", "helper"], &gone(d, "bank-c"));
            only(w, &["bank-b"], &gone(d, "helper"));
        }),
        (("differs", "helper"), true, &|w, d| {
            only(w, &rest, &gone(d, "bank-c"));
            only(w, &["bank-a", "bank-b"], &session(d, "second"));
            only(w, &["helper"], &session(d, "third"));
        }),
        (("lost", "bank-c"), true, &|w, d| {
            only(w, &rest, &gone(d, "bank-c"));
            only(w, &["bank-c"], &gone(d, "helper"));
        }),
        (("differs", "bank-c"), true, &|w, d| {
            only(w, &["bank-c"], &opening(d, "the model's weights"));
            all_alike(w, d);
        }),
        (("order", "bank-a"), true, &|w, d| {
            all_alike(w, d);
            only(w, &rest, &gone(d, "bank-c"));
        }),
        (("order", "helper"), true, &|w, d| {
            only(w, &rest, &gone(d, "bank-c"));
            only(w, &rest, &opening(d, "mean loss"));
        }),
        (("lost", "helper"), true, &|w, d| only(w, &rest, &gone(d, "nobody"))),
        (("missing", "bank-b"), true, &|w, d| {
            only(w, &["bank-a", "helper"], &opening(d, "mean loss"));
            only(w, &["bank-a", "helper"], &opening(d, "mean loss"));
            all_alike(w, d);
        }),
        (("missing", "bank-b"), true, &|w, d| {
            only(w, &rest, &gone(d, "bank-c"));
            only(w, &rest, &session(d, "second"));
            only(w, &["bank-a", "helper"], &opening(d, "the model's weights"));
            only(w, &rest, &end(d, "done", 0));
        }),
    ];
    for (expected, allowed, change) in cases {
        let report = went_on(allowed, change);
        assert!(kinds(&report).contains(&expected), "{expected:?} not in\n{}", report.text());
    }
}

#[test]
fn those_that_survive_others_verify_and_so_do_the_others() {
    let mut surviving = manifest(9);
    surviving.job.protocol = "shamir".into();
    (surviving.job.threshold, surviving.job.on_loss) = (Some(1), OnLoss::Survive);
    let (rest, end) = (["bank-a", "bank-b", "helper"], |digest: &str, end: &str| Record::Ended {
        manifest: digest.into(),
        number: 1,
        end: end.into(),
        code: 0,
        reason: String::new(),
        sent: Default::default(),
        classes: Default::default(),
        verdicts: 0,
        security: String::new(),
    });
    for (of_rest, first, wrong) in
        [("done", "mean loss", false), ("paused", "mean loss", false), ("done", "the model's weights", true)]
    {
        let world = World::new();
        let digest = world.approved(&surviving);
        world.started(&digest, 1);
        let opening = |what: &str| Record::Opening { manifest: digest.clone(), number: 1, what: what.into() };
        only(&world, &["bank-c"], &opening(first));
        (0..5).for_each(|_| only(&world, &rest, &opening("mean loss")));
        only(&world, &rest, &end(&digest, of_rest));
        only(&world, &["bank-c"], &end(&digest, "paused"));
        world.gossip();
        world.heads();
        let report = audit(&world.exports());
        assert_eq!(report.wrong() > 0, wrong, "{}", report.text());
    }
}

#[test]
fn end_codes_that_differ_are_found() {
    finds(("differs", "helper"), |w, d| {
        w.started(d, 1);
        let ended = |code| Record::Ended {
            manifest: d.into(),
            number: 1,
            end: "aborted".into(),
            code,
            reason: String::new(),
            sent: Default::default(),
            classes: Default::default(),
            verdicts: 0,
            security: String::new(),
        };
        only(w, &NAMES[..3], &ended(7));
        only(w, &["helper"], &ended(4));
    });
}

#[test]
fn what_should_not_have_happened_is_found() {
    finds(("opened", "bank-a"), |w, d| {
        w.started(d, 1);
        w.ended(d, 1, "aborted", 7);
        w.opened(d, 1, "mean loss");
    });
    finds(("repeated", "bank-c"), |w, d| {
        w.started(d, 1);
        w.ended(d, 1, "done", 0);
        w.started(d, 1);
    });
    finds(("repeated", "bank-a"), |w, d| w.started(d, 4));
    for (first, second) in [("paused", "paused"), ("paused", "done"), ("aborted", "paused"), ("aborted", "aborted")] {
        finds(("repeated", "bank-a"), |w, d| {
            w.started(d, 1);
            w.ended(d, 1, first, 4);
            w.ended(d, 1, second, 4);
        });
    }
    finds(("order", "bank-a"), |w, d| w.opened(d, 1, "mean loss"));
    finds(("unapproved", "helper"), |w, d| {
        w.all(&w.decision(d, "bank-b", Decision::Deny));
        w.started(d, 1);
    });
    // Only its own log knows of the denial, and the others start later.
    finds(("unapproved", "bank-a"), |w, d| {
        only(w, &["bank-b"], &w.decision(d, "bank-b", Decision::Deny));
        assert!((0..200).map(|_| w.now()).last().is_some(), "time goes by");
        w.started(d, 1);
    });
}

#[test]
fn a_job_without_all_approvals_or_without_its_manifest_is_found() {
    let world = World::new();
    let job = manifest(1);
    let digest = job.digest().unwrap();
    let (id, project) = (job.id.clone(), job.project.clone());
    world.all(&Record::Submitted { manifest: digest.clone(), id, project, submitter: "bank-a".into() });
    for owner in ["bank-a", "bank-b"] {
        world.all(&world.decision(&digest, owner, Decision::Approve));
    }
    world.started(&digest, 1);
    world.ended(&digest, 1, "done", 0);
    world.gossip();
    world.heads();
    let files = world.exports();
    let report = audit(&files);
    assert_eq!(kinds(&report).iter().map(|k| k.0).collect::<Vec<_>>(), ["manifest"], "{}", report.text());
    let known = Known { manifests: [(digest, job)].into(), ..Known::default() };
    let report = audit_with(&files, &known);
    assert_eq!(kinds(&report).len(), 4, "bank-c's approval, at all four: {}", report.text());
    assert!(report.text().contains("without bank-c's approval"));
    assert_eq!((report.started, report.approved), (1, 0));
}

#[test]
fn a_log_under_another_key_is_found() {
    let world = World::busy();
    let files = world.exports();
    let impostor = Arc::new(Identity::generate("helper").unwrap());
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), "helper", &impostor.fingerprint(), impostor.clone(), START).unwrap();
    log.head(START).unwrap();
    let mut out = Vec::new();
    privity_audit::export(dir.path(), &Filter::default(), &mut out).unwrap();
    let made_up = String::from_utf8(out).unwrap();
    assert!(kinds(&audit(&with(&files, 3, made_up.clone()))).contains(&("root", "helper")));
    // Alone, only the auditor's own knowledge helps.
    assert_eq!(audit(std::slice::from_ref(&made_up)).findings[0].kind, "root");
    let known = Known { roots: [("helper".into(), world.nodes[3].root())].into(), ..Known::default() };
    assert!(audit_with(&[made_up], &known).wrong() > 0);
}

#[test]
fn heads_that_fork_or_shrink_are_kept_as_evidence_and_found() {
    let world = World::busy();
    let (liar, other) = (&world.nodes[0], &world.nodes[1]);
    let sign = |size: u64, root: Hash, at| {
        Statement::new(Head { organisation: "bank-a".into(), size, root, at }, &*liar.identity).unwrap()
    };
    let size = other.witness.size_of("bank-a", &liar.root());
    let now = START + 1000;
    let show = |head: &Statement<Head>, proof: &[Hash]| other.witness.observe(now, "bank-a", &liar.root(), head, proof);
    let made_up = merkle::leaf(b"another history");
    let forked = show(&sign(size, made_up, now), &[]).unwrap_err();
    assert!(matches!(&forked, WitnessError::Forked(e) if e.seen.body.root == made_up && e.kept.body.size == size));
    assert!(matches!(show(&sign(1, made_up, now), &[]), Err(WitnessError::Forked(_))), "shorter and later");
    assert!(matches!(show(&sign(1, made_up, START), &[]), Err(WitnessError::Stale { .. })), "an old one, replayed");
    let honest = liar.log.head(now).unwrap();
    assert!(matches!(show(&honest, &[made_up]), Err(WitnessError::Unproven(_))));
    let proof = liar.log.consistency(size, honest.body.size).unwrap();
    let foreign = other.witness.observe(now, "bank-a", &other.root(), &honest, &proof);
    assert!(matches!(foreign, Err(WitnessError::Statement(_))));
    show(&honest, &proof).unwrap();
    assert_eq!(other.witness.size_of("bank-a", &liar.root()), honest.body.size);
    world.heads();
    let report = audit(&world.exports());
    assert!(kinds(&report).contains(&("forked", "bank-a")), "{}", report.text());
    assert!(report.findings.iter().any(|f| f.kind == "unproven" && f.severity == Severity::Note));
    // It is enough to have the other's file alone.
    assert!(kinds(&audit(&[other.export(&Filter::default())])).contains(&("forked", "bank-a")));
}

#[test]
fn cosignatures_that_are_late_are_told_and_what_was_seen_outlives_a_crash() {
    let world = World::new();
    let (node, other) = (&world.nodes[0], &world.nodes[1]);
    let members = NAMES;
    assert!(node.log.overdue(START + 9999, 60, members).is_empty(), "no head yet");
    let head = node.log.head(START + 10).unwrap();
    assert!(node.log.overdue(START + 20, 60, members).is_empty(), "not yet");
    assert_eq!(node.log.overdue(START + 70, 60, members), ["bank-b", "bank-c", "helper"]);
    let seen = other.witness.observe(START + 30, "bank-a", &node.root(), &head, &[]).unwrap();
    node.log.cosigned("bank-b", &other.root(), &seen).unwrap();
    assert_eq!(node.log.overdue(START + 70, 60, members), ["bank-c", "helper"]);
    // Someone else's signature, and a head of another log.
    assert!(node.log.cosigned("bank-c", &world.nodes[2].root(), &seen).is_err());
    let other_log = Head { root: merkle::leaf(b"x"), ..head.body.clone() };
    let body = Cosignature { organisation: "bank-b".into(), head: other_log, root: node.root(), at: START };
    let forged = Statement::new(body, &*other.identity).unwrap();
    assert!(matches!(
        node.log.cosigned("bank-b", &other.root(), &forged),
        Err(privity_audit::AuditError::NotOurs { .. })
    ));
    // What is seen again is recorded once; what was remembered before a crash is recorded after it.
    let before = other.log.size();
    other.witness.observe(START + 31, "bank-a", &node.root(), &head, &[]).unwrap();
    assert_eq!(other.log.size(), before);
    let World { nodes, .. } = world;
    let mut nodes = nodes.into_iter();
    let (_a, b) = (nodes.next().unwrap(), nodes.next().unwrap());
    let Node { identity, dir, log, witness, .. } = b;
    drop((log, witness));
    let path = dir.path().join("log.jsonl");
    let lines = std::fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> = lines.lines().filter(|line| !line.contains("cosigned")).collect();
    std::fs::write(&path, kept.join("\n") + "\n").unwrap();
    let log = Arc::new(Log::open(dir.path(), "bank-b", &identity.fingerprint(), identity.clone(), START).unwrap());
    let size = log.size();
    privity_audit::Witness::open(log.clone(), START).unwrap();
    let entries = log.entries(size..log.size()).unwrap();
    assert!(
        matches!(&entries[..], [Entry { record: Record::Cosigned { organisation, .. }, .. }] if organisation == "bank-a")
    );
}

#[test]
fn filters_hide_entries_and_the_rest_still_verifies() {
    let world = World::busy();
    let secret =
        Record::Table { table: "salaries".into(), schema: "ab".into(), rows: 7, shown: Vec::new(), rows_shown: false };
    world.nodes[1].log.append(world.now(), &secret).unwrap();
    world.gossip();
    world.heads();
    let filter = Filter { project: Some("fraud-1".into()), since: None };
    let files: Vec<String> = world.nodes.iter().map(|node| node.export(&filter)).collect();
    let report = audit(&files);
    assert_eq!(kinds(&report), [], "{}", report.text());
    assert_eq!(report.started, 1);
    assert!(report.logs.iter().all(|log| log.hidden > 0));
    let other = manifest(2).digest().unwrap();
    assert!(files.iter().all(|file| !file.contains(&other) && !file.contains("salaries")));
    // One that is filtered beside three that are not; one since a time after everything.
    let whole = world.exports();
    assert_eq!(kinds(&audit(&with(&whole, 2, files[2].clone()))), []);
    let late = world.nodes[0].export(&Filter { project: None, since: Some(START + 100_000) });
    let report = audit(&with(&whole, 0, late));
    assert_eq!(kinds(&report), [], "{}", report.text());
    let early = Filter { project: None, since: Some(START) };
    assert_eq!(parts(&world.nodes[0].export(&early)).len(), parts(&whole[0]).len());
}

#[test]
fn logs_of_nodes_that_go_on_are_compared_up_to_a_moment() {
    let world = World::busy();
    let first = world.nodes[0].export(&Filter::default());
    let until = world.now();
    world.gossip();
    world.heads();
    let files = with(&world.exports(), 0, first);
    assert!(kinds(&audit(&files)).contains(&("truncated", "bank-a")), "it ends before what others saw");
    let known = |until| Known { until: Some(until), ..Known::default() };
    assert_eq!(kinds(&audit_with(&files, &known(until - 4))), []);
    assert!(kinds(&audit_with(&files, &known(until + 1))).contains(&("late", "bank-a")));
}

#[test]
fn a_job_is_traced_over_all_logs() {
    let world = World::busy();
    let dir = tempfile::tempdir().unwrap();
    let write = |(node, file): (&Node, String)| {
        let path = dir.path().join(format!("{}.privityaudit", node.name));
        std::fs::write(&path, file).unwrap();
        path
    };
    let files: Vec<_> = world.nodes.iter().zip(world.exports()).map(write).collect();
    let digest = manifest(1).digest().unwrap();
    let traced = trace::trace(&files, &Known::default(), &digest[..10]).unwrap();
    assert_eq!(traced.report.findings, []);
    assert_eq!(traced, trace::trace(&files, &Known::default(), &manifest(1).id).unwrap());
    assert!(traced.steps.is_sorted_by_key(|step| step.at));
    assert_eq!(traced.steps.len(), 4 * (1 + 3 + 2 * 2 + 3 + 2));
    assert_eq!(traced.opened[&2]["the model's weights"].len(), 4, "in four logs");
    assert_eq!(traced.sent["bank-c"]["helper"], 2000, "in two attempts");
    assert_eq!(traced.classes["helper"]["openings"], 2000);
    let weights = traced.declared.iter().find(|d| d.what == "the model's weights").unwrap();
    assert_eq!(weights.recipients, ["bank-b"]);
    let text = traced.text(true);
    for words in [
        "to bank-b: the model's weights",
        "bank-c approved, by eve",
        "attempt 2: opens mean loss",
        "sent 2000 bytes of class products",
    ] {
        assert!(text.contains(words), "{words} not in\n{text}");
    }
    assert!(matches!(trace::trace(&files, &Known::default(), "zz"), Err(trace::TraceError::Unknown(_))));
    assert!(matches!(trace::trace(&files, &Known::default(), ""), Err(trace::TraceError::Ambiguous(_))));
}

/// A record has no place for a cell. What someone puts into a file nevertheless comes out of no error, report or `Debug`, and no terminal obeys it.
#[test]
fn no_content_of_a_damaged_file_is_shown() {
    let world = World::busy();
    let file = world.exports().remove(0);
    let canary = "canary-4711";
    for place in ["\"salt\":\"", "\"kind\":\"", "\"part\":\"", "{\"entry\":"] {
        let spoilt = file.replacen(place, &format!("{place}{canary}"), 1);
        let report = audit(&[spoilt]);
        let said = format!("{}{report:?}", report.text());
        assert!(!said.contains(canary), "{said}");
    }
    let named = sealed(
        parts(&file)
            .into_iter()
            .map(|part| match part {
                Part::Header(mut header) => {
                    header.organisation = "\u{1b}[2J".into();
                    Part::Header(header)
                }
                other => other,
            })
            .collect(),
    );
    assert!(!audit(&[named]).text().contains('\u{1b}'));
    let log = format!("{:?}", world.nodes[0].log);
    assert!(log.starts_with("Log(bank-a, ") && !log.contains("entry"), "{log}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        privity_audit::fuzz(&bytes);
    }
}

/// The seed of the fuzzer is a whole export; with `PRIVITY_WRITE_SEEDS` it is made anew.
#[test]
fn the_seed_of_the_fuzzer_is_read_to_its_end() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/audit/small");
    if std::env::var_os("PRIVITY_WRITE_SEEDS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, World::busy().nodes[1].export(&Filter { project: Some("fraud-1".into()), since: None }))
            .unwrap();
    }
    let seed = std::fs::read(&path).unwrap();
    privity_audit::fuzz(&seed);
    let report =
        privity_audit::verify::check(vec![privity_audit::verify::Book::load("seed", &seed[..])], &Known::default());
    assert_eq!(report.wrong(), 0, "{}", report.text());
}

fn over(digest: &str, end: &str) -> Record {
    Record::Ended {
        manifest: digest.into(),
        number: 0,
        end: end.into(),
        code: 4,
        reason: "its time is over".into(),
        sent: Default::default(),
        classes: Default::default(),
        verdicts: 0,
        security: String::new(),
    }
}

#[test]
fn a_job_may_end_without_an_attempt_and_others_need_not_know_it() {
    let world = World::new();
    let (never, tried) = (world.approved(&manifest(1)), world.approved(&manifest(3)));
    // Only one log has it; another says otherwise; a third says it twice, as a node that is killed just then does.
    only(&world, &["bank-a", "helper"], &over(&never, "expired"));
    only(&world, &["bank-b"], &over(&never, "aborted"));
    only(&world, &["helper"], &over(&never, "expired"));
    // One did not sign the attempt that the submitter did.
    let parameters = vec![("protocol".into(), "rep4".into())];
    let attempt = Record::Attempt { manifest: tried.clone(), number: 1, build: "00".into(), parameters };
    only(&world, &["bank-a"], &attempt);
    let mut given_up = over(&tried, "expired");
    let Record::Ended { number, .. } = &mut given_up else { panic!("an end") };
    *number = 1;
    only(&world, &["bank-a"], &given_up);
    only(&world, &["bank-b"], &over(&tried, "expired"));
    world.gossip();
    world.heads();
    let files = world.exports();
    let report = audit(&files);
    assert_eq!(kinds(&report), [], "{}", report.text());
    assert_eq!((report.started, report.approved), (1, 1));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bank-a.privityaudit");
    std::fs::write(&path, &files[0]).unwrap();
    let traced = trace::trace(&[path], &Known::default(), &never[..12]).unwrap().text(false);
    assert!(traced.contains("expired without an attempt; its time is over"), "{traced}");

    finds(("order", "bank-a"), |w, d| {
        w.started(d, 1);
        w.ended(d, 1, "paused", 4);
        w.all(&over(d, "expired"));
    });
    // Whoever was killed in between took it up again: that is said, and nothing is wrong with it.
    let world = World::new();
    let taken_up = world.approved(&manifest(1));
    only(&world, &["bank-c"], &over(&taken_up, "aborted"));
    world.started(&taken_up, 1);
    world.ended(&taken_up, 1, "done", 0);
    world.gossip();
    world.heads();
    let report = audit(&world.exports());
    assert_eq!(kinds(&report), [], "{}", report.text());
    assert!(report.text().contains("after it had written that the job ended without one"), "{}", report.text());
    finds(("order", "bank-b"), |w, d| w.all(&over(d, "done")));
    // Whoever was killed after it wrote that its time was over may give it up for another reason when it is back.
    let world = World::new();
    let again = world.approved(&manifest(1));
    only(&world, &["bank-b"], &over(&again, "expired"));
    only(&world, &["bank-b"], &over(&again, "aborted"));
    world.gossip();
    world.heads();
    let report = audit(&world.exports());
    assert_eq!(kinds(&report), [], "{}", report.text());
}

/// A head that is recorded changes nothing in the witness's log, and so needs somebody to ask whether that is this process's still.
#[test]
fn a_witness_whose_log_was_taken_over_cosigns_nothing_more() {
    let world = World::new();
    let (node, other) = (&world.nodes[0], &world.nodes[1]);
    let head = node.log.head(START + 10).unwrap();
    let observe = || other.witness.observe(START + 30, "bank-a", &node.root(), &head, &[]);
    observe().unwrap();
    observe().unwrap();
    let successor =
        Log::take_over(other.dir.path(), "bank-b", &other.root(), other.identity.clone(), START + 31, 1).unwrap();
    let refused = observe();
    assert!(matches!(refused, Err(WitnessError::Log(_))), "{refused:?}");
    let witness = privity_audit::Witness::open(Arc::new(successor), START + 32).unwrap();
    witness.observe(START + 33, "bank-a", &node.root(), &head, &[]).unwrap();
}
