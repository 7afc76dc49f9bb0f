//! Going on without a participant: what a node looks at before its engine does.

use super::Sim;
use super::faults::running;
use privity_api::Record;
use std::time::Duration;

/// What comes of going on without a participant at `bank-a`, and whether its log says that it is lost.
fn without(sim: &mut Sim, digest: &str, lost: &'static str) -> (Result<(), String>, bool) {
    let digest = digest.to_owned();
    let answer = sim.site("bank-a").ask(move |node| async move {
        let stored = node.store.job(&digest).await.expect("a job");
        let done = node.go_on_without((&stored, 1), lost, "passive security").await.map_err(|e| e.to_string());
        let entries = node.log.entries(0..node.log.size()).expect("a log");
        let said = |record: &Record| matches!(record, Record::Lost { lost: who, number: 1, .. } if who == lost);
        (done, entries.iter().any(|entry| said(&entry.record)))
    });
    sim.pass(Duration::from_secs(4));
    answer.recv().expect("an answer")
}

/// Whoever gets an engine to stop has not taken its node away: three do not switch to weaker security for that.
#[test]
fn nobody_is_left_out_whose_node_answers() {
    let (mut sim, digest) = running(5);
    let (done, said) = without(&mut sim, &digest, "bank-b");
    assert!(done.is_err_and(|why| why.contains("not without bank-b: its node answers")) && !said);
    sim.freeze("bank-b");
    let (done, said) = without(&mut sim, &digest, "bank-b");
    assert_eq!((done, said), (Ok(()), true));
    sim.was_right();
}
