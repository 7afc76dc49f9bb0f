//! Privacy budgets in logs: what an auditor adds up.

use super::common::{START, World, audit, manifest};
use super::kinds;
use privity_api::Record;
use privity_audit::Filter;

#[test]
fn what_is_taken_of_privacy_budgets_is_added_up() {
    const DAY: i64 = 86_400;
    let budget =
        |total, period_days| Record::Budget { project: "fraud-1".into(), epsilon_milli_total: total, period_days };
    let spent = |manifest: &str, epsilon_milli| Record::Spent {
        manifest: manifest.into(),
        project: "fraud-1".into(),
        epsilon_milli,
    };
    let (a, b, c) = ("a".repeat(64), "b".repeat(64), "c".repeat(64));
    // What one log says, and how much of it is wrong.
    let judged = |records: &[(i64, Record)]| {
        let world = World::new();
        for (at, record) in records {
            world.nodes[1].log.append(START + 10 + at, record).unwrap();
        }
        let head = world.nodes[1].log.head(START + 100 * DAY).unwrap();
        assert_eq!(head.body.size, world.nodes[1].log.size());
        let whole = audit(&[world.nodes[1].export(&Filter::default())]);
        for filter in [
            Filter { project: Some("fraud-1".into()), since: None },
            Filter { project: None, since: Some(START + 99 * DAY) },
        ] {
            let shown = audit(&[world.nodes[1].export(&filter)]);
            assert_eq!(kinds(&shown), kinds(&whole), "a filter hides none of it");
        }
        assert!(kinds(&whole).iter().all(|found| *found == ("budget", "bank-b")), "{}", whole.text());
        kinds(&whole).len()
    };
    let fine = [(0, budget(Some(1000), 30)), (1, spent(&a, 600)), (2, spent(&b, 400)), (3, spent(&b, 400))];
    assert_eq!(judged(&fine), 0, "killed after it wrote it, one wrote it again");
    let more = |record: Record| [&fine[..], &[(4, record)]].concat();
    assert_eq!(judged(&more(spent(&c, 1))), 1, "more than there is");
    assert_eq!(judged(&more(spent(&a, 500))), 1, "another share than before");
    assert_eq!(judged(&[&more(budget(Some(1001), 30))[..], &[(5, spent(&c, 1))]].concat()), 0, "it was raised before");
    assert_eq!(judged(&[&more(budget(None, 0))[..], &[(5, spent(&c, u64::MAX))]].concat()), 0, "no limit");
    assert_eq!(judged(&more(budget(Some(1), 30))), 0, "lowered below what was taken");
    assert_eq!(judged(&[&fine[..], &[(30 * DAY + 2, spent(&c, 1000))]].concat()), 0, "the others are over");
    assert_eq!(judged(&[&fine[..], &[(29 * DAY, spent(&c, 1000))]].concat()), 1);
    assert_eq!(judged(&[(0, spent(&a, 1))]), 1, "of what budget?");
    assert_eq!(judged(&[(0, budget(Some(u64::MAX), 0)), (1, spent(&a, u64::MAX)), (2, spent(&b, 1))]), 0);
}

#[test]
fn a_job_that_takes_of_a_budget_has_that_on_record_before_its_session() {
    let mut manifest = manifest(1);
    manifest.release.epsilon_milli = 500;
    let budget = Record::Budget { project: "fraud-1".into(), epsilon_milli_total: Some(1000), period_days: 0 };
    let spent = |manifest: &str, epsilon_milli| Record::Spent {
        manifest: manifest.into(),
        project: "fraud-1".into(),
        epsilon_milli,
    };
    let judged = |taken: Option<u64>| {
        let world = World::new();
        world.all(&budget);
        let digest = world.approved(&manifest);
        taken.iter().for_each(|taken| world.all(&spent(&digest, *taken)));
        world.started(&digest, 1);
        world.opened(&digest, 1, "mean loss");
        world.ended(&digest, 1, "done", 0);
        world.gossip();
        world.heads();
        let report = audit(&world.exports());
        let found: Vec<&str> = kinds(&report).into_iter().map(|(kind, _)| kind).collect();
        assert!(report.text().contains(&digest[..12]) || found.is_empty(), "{}", report.text());
        found.len()
    };
    assert_eq!(judged(Some(500)), 0);
    assert_eq!(judged(None), 4, "at each");
    assert_eq!(judged(Some(499)), 4, "the manifest says otherwise");
}
