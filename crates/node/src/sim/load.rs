//! Many jobs of many tenants, and a node that is killed again and again on the way.

use super::Sim;
use crate::job::State;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const NAMES: [&str; 4] = ["bank-a", "bank-b", "bank-c", "helper-d"];

/// `PRIVITY_JOBS` says how many; `cargo xtask faults` has 1,000. One tenant of fifty has half of them, and has submitted them first.
#[test]
fn many_jobs_of_fifty_tenants_are_all_done_and_nobody_is_kept_out_by_who_has_most() {
    let count: usize = std::env::var("PRIVITY_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    let projects: Vec<String> = (0..50).map(|i| format!("tenant-{i:02}")).collect();
    let mut sim = Sim::new(50, &NAMES, &projects, &[]);
    crate::lock(&sim.world.engines).lasts = Some(300);
    let half = count / 2;
    let tenants = (0..count).map(|i| if i < half { 0 } else { 1 + (i - half) % 49 });
    let mut digests = BTreeMap::new();
    for (i, tenant) in tenants.enumerate() {
        let names: Vec<&str> = (0..3).map(|k| NAMES[(i + k) % 4]).collect();
        let submitted = sim.site(names[0]).submit(&projects[tenant], &names, 30);
        let submitted = submitted.recv_timeout(Duration::from_secs(60)).expect("an answer");
        digests.insert(submitted.expect("a job"), tenant);
        if i % 20 == 0 {
            sim.pass(Duration::from_millis(50));
        }
    }
    println!("{count} jobs submitted after {} s", sim.world.millis() / 1000);
    let (mut done, mut order, mut kills) = (BTreeSet::new(), Vec::new(), 0);
    while done.len() < count {
        assert!(sim.world.millis() < 7_200_000, "{} of {count} jobs done", done.len());
        // One node after the other ends as by kill -9, and comes back.
        let victim = NAMES[kills % 4];
        sim.pass(Duration::from_secs(sim.world.draw(5, 15)));
        sim.kill(victim);
        sim.pass(Duration::from_secs(1));
        sim.start(victim);
        kills += 1;
        for name in NAMES {
            for (digest, state) in standing(&sim, name) {
                if state == State::Done && done.insert(digest.clone()) {
                    order.push(digests[&digest]);
                }
                assert!(state == State::Done || !state.is_end(), "{digest} at {name} is {}", state.name());
            }
        }
    }
    sim.was_right();
    // When the last of the others was done, the one with most had had its turns, and few more.
    let last = order.iter().rposition(|tenant| *tenant != 0).expect("others");
    let ahead = order[..last].iter().filter(|tenant| **tenant == 0).count();
    let most = crate::lock(&sim.world.engines).most.clone();
    println!(
        "{count} jobs done in {} s, {kills} kills; when the last of the others was done, {ahead} of {half} of the greatest were; attempts at one time: {most:?}",
        sim.world.millis() / 1000
    );
    assert!(ahead < half, "the greatest tenant was served first");
    let attempts = crate::lock(&sim.world.engines).formed.len();
    assert!(attempts >= count && most.values().all(|most| *most <= 4));
}

/// Where jobs stand at a node.
fn standing(sim: &Sim, name: &str) -> Vec<(String, State)> {
    sim.site(name).now(|node| async move {
        let jobs = node.store.jobs().await.expect("jobs");
        jobs.into_iter().map(|job| (job.digest, job.state)).collect()
    })
}
