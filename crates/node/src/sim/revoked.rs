//! Certificates that become void: who hears it, and when.

use super::Sim;
use crate::revoked::PATH;
use privity_api::{Member, Record};
use std::time::Duration;

/// From before when certificates of a root are void at a node, and how often its log says so of an organisation.
fn heard(sim: &Sim, at: &str, root: &str, name: &'static str) -> (i64, usize) {
    let root = root.to_owned();
    sim.site(at).now(move |node| async move {
        let entries = node.log.entries(0..node.log.size()).expect("a log");
        let says = |record: &Record| matches!(record, Record::Revoked { organisation, .. } if organisation == name);
        let said = entries.iter().filter(|entry| says(&entry.record)).count();
        (node.store.void_before(&root).await.expect("a database"), said)
    })
}

/// What waits for an organisation at a node.
fn letters(sim: &Sim, at: &str, to: &'static str) -> Vec<String> {
    sim.site(at).now(move |node| async move {
        let letters = node.store.letters(to).await.expect("letters");
        letters.into_iter().map(|letter| letter.path).collect()
    })
}

#[test]
fn a_revocation_is_passed_on_tried_again_and_told_to_those_that_join_later() {
    let mut sim = Sim::new(11, &["bank-a", "bank-b", "bank-c"], &["fraud".into()], &[]);
    let root = sim.site("bank-b").now(|node| async move { node.root.fingerprint() });
    // bank-c hears nothing from bank-b itself, and its clock is wrong.
    sim.cut(&["bank-b".into()], &["bank-c".into()]);
    sim.site("bank-c").shift(-400);
    let shown =
        |sim: &Sim| sim.site("bank-b").now(|node| async move { node.shown.get().validity().expect("a certificate").0 });
    let first = shown(&sim);
    sim.pass(Duration::from_secs(2));
    sim.site("bank-b").now(|node| async move { node.revoke("stolen").await }).expect("it is declared");
    let void = heard(&sim, "bank-b", &root, "bank-b").0;
    assert!(first < void && shown(&sim) >= void);
    sim.pass(Duration::from_secs(10));
    assert_eq!(heard(&sim, "bank-a", &root, "bank-b"), (void, 1));
    assert_eq!(heard(&sim, "bank-c", &root, "bank-b"), (0, 0));
    assert_eq!(letters(&sim, "bank-a", "bank-c"), [PATH]);
    sim.site("bank-c").shift(0);
    assert!(sim.until(Duration::from_secs(30), |sim| heard(sim, "bank-c", &root, "bank-b") == (void, 1)));
    // Who comes now hears it from bank-b and from the founder.
    let member = Member {
        organisation: "bank-d".into(),
        operator: "bank-d".into(),
        root: "d".repeat(64),
        address: "127.0.0.1:9".into(),
        helper: false,
    };
    sim.site("bank-a").now(|node| async move { node.admit("fraud", member).await }).expect("it is a member");
    assert!(sim.until(Duration::from_secs(30), |sim| letters(sim, "bank-b", "bank-d") == [PATH]));
    assert_eq!(letters(&sim, "bank-a", "bank-d"), ["project", PATH]);
    assert_eq!(letters(&sim, "bank-c", "bank-d"), [""; 0]);
    // What was void stays so, and what was made since is shown, also after a crash.
    sim.kill("bank-b");
    sim.start("bank-b");
    assert!(shown(&sim) >= void);
    assert_eq!(heard(&sim, "bank-b", &root, "bank-b"), (void, 1));
    sim.was_right();
}
