//! A party dies anywhere in a job; all start again and end with the model of a run without interruption.

mod common;

use common::encoded;
use privity_job::program::{Encoded, Inputs};
use privity_job::run::{Done, compute};
use privity_job::{Job, JobError};
use privity_mpc::rep3::ArithmeticShare;
use privity_mpc::{Origin, Party, Share};
use privity_net::sim::{self, SimConfig, SimLink};
use privity_net::{AbortCause, Incoming, Link, NetError, PeerStats, Tag};
use privity_nn::{Keeper, Kept, TrainError};
use privity_prim::Context;
use privity_ring::{M61, Ring, Tensor};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A link whose party dies, and is gone for the others, when it has sent `last` frames.
struct Mortal {
    link: Option<SimLink>,
    me: usize,
    n: usize,
    sent: Arc<AtomicU64>,
    last: u64,
}

impl Mortal {
    fn alive(&mut self) -> Result<&mut SimLink, NetError> {
        self.link.as_mut().ok_or(NetError::Io { operation: "living", problem: "killed".into() })
    }
}

impl Link for Mortal {
    fn me(&self) -> usize {
        self.me
    }
    fn n(&self) -> usize {
        self.n
    }
    fn send(&mut self, to: usize, tag: Tag, depth: u32, payload: &[u8]) -> Result<(), NetError> {
        if self.sent.fetch_add(1, Ordering::Relaxed) >= self.last {
            self.link = None;
        }
        self.alive()?.send(to, tag, depth, payload)
    }
    fn tolerate(&mut self, on: bool) {
        if let Ok(link) = self.alive() {
            link.tolerate(on);
        }
    }
    fn recv(&mut self, from: usize, tag: Tag, into: &mut [u8]) -> Result<u32, NetError> {
        self.alive()?.recv(from, tag, into)
    }
    fn recv_any(&mut self, from: usize) -> Result<Incoming, NetError> {
        self.alive()?.recv_any(from)
    }
    fn abort(&mut self, cause: &AbortCause) {
        if let Ok(link) = self.alive() {
            link.abort(cause);
        }
    }
    fn close(&mut self) -> Result<(), NetError> {
        self.alive()?.close()
    }
    fn stats(&self) -> &[PeerStats] {
        self.link.as_ref().map_or(&[], |link| link.stats())
    }
}

/// A party's disk.
#[derive(Clone, Default)]
struct Disk {
    kept: Vec<Kept<ArithmeticShare>>,
    numbers: Vec<Kept<Tensor<M61>>>,
    words: Vec<Kept<Tensor<u64>>>,
    restore: Option<usize>,
}

/// Shares that a disk keeps.
trait Shelved: Clone {
    fn shelf(disk: &mut Disk) -> &mut Vec<Kept<Self>>;
}
impl Shelved for ArithmeticShare {
    fn shelf(disk: &mut Disk) -> &mut Vec<Kept<Self>> {
        &mut disk.kept
    }
}
impl Shelved for Tensor<u64> {
    fn shelf(disk: &mut Disk) -> &mut Vec<Kept<Self>> {
        &mut disk.words
    }
}
impl Shelved for Tensor<M61> {
    fn shelf(disk: &mut Disk) -> &mut Vec<Kept<Self>> {
        &mut disk.numbers
    }
}

impl Disk {
    fn epochs(&self) -> Vec<usize> {
        let masked = self.kept.iter().map(|kept| kept.epochs);
        let numbers = self.numbers.iter().map(|kept| kept.epochs);
        masked.chain(numbers).chain(self.words.iter().map(|kept| kept.epochs)).collect()
    }
}

impl<A: Shelved> Keeper<A> for Disk {
    fn restore(&mut self) -> Result<Option<Kept<A>>, TrainError> {
        let restore = self.restore;
        Ok(restore.and_then(|epochs| A::shelf(self).iter().find(|kept| kept.epochs == epochs).cloned()))
    }
    fn keeps(&self) -> bool {
        true
    }
    fn keep(&mut self, kept: Kept<A>) -> Result<(), TrainError> {
        let shelf = A::shelf(self);
        shelf.retain(|old| old.epochs + 1 == kept.epochs);
        shelf.push(kept);
        Ok(())
    }
}

/// One attempt; `dies`: this party, before so many frames. With the frames that each party sent.
fn attempt(job: &Job, disks: &mut [Disk], dies: Option<(usize, u64)>) -> Vec<(Result<Done, JobError>, u64)> {
    attempt_with(job, encoded(job), disks, dies)
}

fn attempt_with(
    job: &Job,
    inputs: Vec<Encoded<u64>>,
    disks: &mut [Disk],
    dies: Option<(usize, u64)>,
) -> Vec<(Result<Done, JobError>, u64)> {
    let links = sim::mesh(inputs.len(), SimConfig { deadline: Duration::from_secs(20), ..SimConfig::default() });
    std::thread::scope(|s| {
        let start = |((link, own), disk)| {
            s.spawn(move || {
                let link: SimLink = link;
                let (me, sent) = (link.me(), Arc::new(AtomicU64::new(0)));
                let last = dies.filter(|(party, _)| *party == me).map_or(u64::MAX, |(_, frames)| frames);
                let mortal = Mortal { n: link.n(), link: Some(link), me, sent: sent.clone(), last };
                let run = |disk: &mut Disk| {
                    let party = Party::connect(Box::new(mortal), &Context::default())?;
                    compute(job, vec![party], Inputs::only(job, me, own), &mut (), disk, &mut ())
                };
                (run(disk), sent.load(Ordering::Relaxed))
            })
        };
        let running: Vec<_> = links.into_iter().zip(inputs).zip(disks).map(start).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// What all disks have, newest.
fn newest_common(disks: &[Disk]) -> Option<usize> {
    let common = disks[0].epochs().into_iter().filter(|e| disks.iter().all(|disk| disk.epochs().contains(e)));
    common.max()
}

fn killed_anywhere(text: &str, points: u64) {
    let job = common::parse(&text.replace("\"fast\"", "\"exact\"").replace("epochs = 2", "epochs = 4")).expect("a job");
    let parties = job.rows().len();
    let fresh = || vec![Disk::default(); parties];
    let whole = attempt(&job, &mut fresh(), None);
    let model = |done: &[(Result<Done, JobError>, u64)]| done[1].0.as_ref().expect("done").outcome.model.clone();
    let want = model(&whole);
    assert!(want.is_some());
    let (mut resumed, mut again) = (0, 0);
    for point in 0..points {
        for party in 0..parties {
            // A party that sends nothing after some point has fewer places to die.
            let frames = whole[party].1 * (2 * point + 1) / (2 * points);
            let mut disks = fresh();
            let stopped = attempt(&job, &mut disks, Some((party, frames)));
            for (i, (result, _)) in stopped.iter().enumerate() {
                match result {
                    Err(JobError::Net(_)) => {}
                    Err(error) => panic!("party {i}, {party} dead after {frames} frames: {error}"),
                    // What was agreed to be opened, one lost party does not stop: the others may be done.
                    Ok(done) => assert!(i != party && (i != 1 || done.outcome.model == want)),
                }
            }
            let common = newest_common(&disks);
            let newest = disks.iter().flat_map(Disk::epochs).max().unwrap_or(0);
            assert!(newest == 0 || newest <= common.unwrap_or(0) + 1, "nobody is two checkpoints ahead");
            assert!(newest < 2 || common.is_some(), "two checkpoints at one party are one at all");
            disks.iter_mut().for_each(|disk| disk.restore = common);
            let done = attempt(&job, &mut disks, None);
            assert_eq!(model(&done), want, "party {party} dead after {frames} frames, resumed from {common:?}");
            if common.is_some() { resumed += 1 } else { again += 1 }
        }
    }
    println!("{resumed} resumed, {again} started again");
    assert!(resumed > 0 && again > 0);
}

#[test]
fn three_parties_killed_anywhere_end_with_the_same_model() {
    killed_anywhere(common::JOB, 20);
}

#[test]
fn two_parties_without_a_dealer_killed_anywhere_end_with_the_same_model() {
    killed_anywhere(&common::alone().replace("{ mlp = { hidden = [5] } }", "\"logistic\""), 6);
}

#[test]
fn four_parties_killed_anywhere_end_with_the_same_model() {
    killed_anywhere(&common::active(), 12);
}

#[test]
fn parties_under_shamir_killed_anywhere_end_with_the_same_model() {
    killed_anywhere(&common::polynomial(3), 6);
}

#[test]
fn parties_that_verify_each_other_killed_anywhere_end_with_the_same_model() {
    killed_anywhere(&common::polynomial_active(3).replace("{ mlp = { hidden = [5] } }", "\"logistic\""), 4);
}

/// Shares of the others fix what a party's must be: one that goes on with another is noticed.
#[test]
fn a_share_of_a_polynomial_that_was_altered_on_disk_is_noticed_before_anything_is_opened() {
    let text = common::polynomial_active(3).replace("{ mlp = { hidden = [5] } }", "\"logistic\"");
    let job = common::parse(&text.replace("epochs = 2", "epochs = 3")).expect("a job");
    let mut disks = vec![Disk::default(); 3];
    assert!(attempt(&job, &mut disks, None).iter().all(|(result, _)| result.is_ok()));
    let epochs = newest_common(&disks).expect("an epoch before the last is kept");
    for party in 0..3 {
        let mut altered = disks.clone();
        altered.iter_mut().for_each(|disk| disk.restore = Some(epochs));
        let kept = <Tensor<M61> as Shelved>::shelf(&mut altered[party]);
        let kept = kept.iter_mut().find(|kept| kept.epochs == epochs).expect("it is common");
        let value = &mut kept.shares[0].data_mut()[3];
        *value = value.add(M61::from_u64(1 << 20));
        for (i, (result, _)) in attempt(&job, &mut altered, None).into_iter().enumerate() {
            let error = result.map(drop).expect_err("altered");
            assert!(matches!(error, JobError::Cheating(_)), "party {i}, altered at {party}: {error}");
        }
    }
}

#[test]
fn two_parties_that_tag_and_a_dealer_killed_anywhere_end_with_the_same_model() {
    killed_anywhere(&common::dealt_and_tagged(2).replace("model = [\"east\"]", "model = [\"north\"]"), 8);
}

#[test]
fn a_share_that_was_altered_on_disk_is_noticed_before_anything_is_opened() {
    altered_on_disk(&common::active(), 0..4);
    // The dealer of additive-mac is trusted with what it kept.
    altered_on_disk(&common::dealt_and_tagged(2), 1..3);
    altered_on_disk(&common::dealt_and_tagged(3), 1..4);
}

fn altered_on_disk(text: &str, at: std::ops::Range<usize>) {
    let job = common::parse(&text.replace("epochs = 2", "epochs = 3")).expect("a job");
    let mut disks = vec![Disk::default(); at.end];
    assert!(attempt(&job, &mut disks, None).iter().all(|(result, _)| result.is_ok()));
    let epochs = newest_common(&disks).expect("an epoch before the last is kept");
    for party in at.clone() {
        let mut altered = disks.clone();
        altered.iter_mut().for_each(|disk| disk.restore = Some(epochs));
        let kept = altered[party].kept.iter_mut().find(|kept| kept.epochs == epochs).expect("it is common");
        // What counts of a kept sharing: A, but at rep4's checker its L.
        let mut parts: Vec<_> = kept.shares[0].parts().into_iter().cloned().collect();
        parts[usize::from(party == 0)].data_mut()[3] ^= 1 << 20;
        kept.shares[0] = ArithmeticShare::from_parts(parts).expect("as many as before");
        for (i, (result, _)) in attempt(&job, &mut altered, None).into_iter().enumerate() {
            let error = result.map(drop).expect_err("altered");
            assert!(matches!(error, JobError::Cheating(_)), "party {i}, altered at {party}: {error}");
        }
    }
}

/// The amendment by which three go on without one.
fn without(job: &Job, text: &str, lost: usize) -> String {
    let (head, rest) = text.split_once("[[participants]]").expect("participants");
    let (participants, rest) = rest.split_once("[data]").expect("data");
    let blocks: Vec<&str> = participants.split("[[participants]]").collect();
    let listed: String = privity_mpc::rep3::roles_without(lost)
        .iter()
        .map(|i| format!("[[participants]]{}\n", blocks[*i].trim_end()))
        .collect();
    let names = job.names();
    let continues = format!(
        "[continues]\njob = \"{}\"\nparticipants = {names:?}\naccept = \"{}\"\n",
        job.digest_hex(),
        privity_job::file::ACCEPTED
    );
    format!("{}{continues}{listed}[data]{rest}", head.replace("rep4", "rep3"))
}

#[test]
fn three_go_on_without_the_helper_to_the_same_model() {
    let text = common::active().replace("\"fast\"", "\"exact\"").replace("epochs = 2", "epochs = 4");
    let job = common::parse(&text).expect("a job");
    let whole = attempt(&job, &mut vec![Disk::default(); 4], None);
    let want = whole[1].0.as_ref().expect("done").outcome.model.clone();
    for lost in [3, 0, 1, 2] {
        // Somewhere in the middle: parties send unevenly over a job.
        let stopped = (5..10).find_map(|tenths| {
            let mut disks = vec![Disk::default(); 4];
            attempt(&job, &mut disks, Some((lost, whole[lost].1 * tenths / 10)));
            newest_common(&disks).map(|epochs| (disks, epochs))
        });
        let (disks, epochs) = stopped.expect("a common checkpoint");
        let amended = without(&job, &text, lost);
        // Whoever lost the model's recipient names another.
        let names = job.names();
        let recipient = &names[if lost == 1 { 2 } else { 1 }];
        let amended = common::parse(&amended.replace("model = [\"east\"]", &format!("model = [\"{recipient}\"]")));
        let amended = amended.expect("a sound amendment");
        assert!(amended.security().contains("passive security only"), "{}", amended.security());
        let roles = privity_mpc::rep3::roles_without(lost);
        let mut rest: Vec<Disk> = roles.iter().map(|i| disks[*i].clone()).collect();
        for disk in &mut rest {
            disk.restore = Some(epochs);
            disk.kept.iter_mut().for_each(|kept| kept.origin = Origin::Without(lost));
        }
        let inputs = encoded(&job);
        let inputs = roles.iter().map(|i| inputs[*i].clone()).collect();
        let done = attempt_with(&amended, inputs, &mut rest, None);
        let models: Vec<_> = done.iter().filter_map(|(d, _)| d.as_ref().expect("done").outcome.model.clone()).collect();
        assert_eq!(models.len(), 1, "without {lost}");
        if lost == 3 {
            assert_eq!(Some(models[0].clone()), want, "without the helper all rows are there");
        } else {
            assert_ne!(Some(models[0].clone()), want, "rows of {lost} are missing");
        }
    }
}

/// The amendment by which a fourth joins the three of another.
fn with(three: &Job, text: &str, order: [usize; 4]) -> String {
    let (head, rest) = text.split_once("[[participants]]").expect("participants");
    let (participants, rest) = rest.split_once("[data]").expect("data");
    let blocks: Vec<&str> = participants.split("[[participants]]").collect();
    let listed: String = order.iter().map(|i| format!("[[participants]]{}\n", blocks[*i].trim_end())).collect();
    format!("{head}[admits]\njob = \"{}\"\n{listed}[data]{rest}", three.digest_hex())
}

#[test]
fn a_party_joins_three_that_went_on_and_the_model_is_the_same() {
    let text = common::active().replace("\"fast\"", "\"exact\"").replace("epochs = 2", "epochs = 8");
    let job = common::parse(&text).expect("a job");
    let whole = attempt(&job, &mut vec![Disk::default(); 4], None);
    let want = whole[1].0.as_ref().expect("done").outcome.model.clone();
    for lost in [3, 2, 0] {
        let stopped = (3..9).find_map(|tenths| {
            let mut disks = vec![Disk::default(); 4];
            attempt(&job, &mut disks, Some((lost, whole[lost].1 * tenths / 10)));
            newest_common(&disks).map(|epochs| (disks, epochs))
        });
        let (disks, epochs) = stopped.expect("a common checkpoint");
        let roles = privity_mpc::rep3::roles_without(lost);
        let three = common::parse(&without(&job, &text, lost)).expect("an amendment");
        let mut rest: Vec<Disk> = roles.iter().map(|i| disks[*i].clone()).collect();
        for disk in &mut rest {
            disk.restore = Some(epochs);
            disk.kept.iter_mut().for_each(|kept| kept.origin = Origin::Without(lost));
        }
        let inputs = encoded(&job);
        let own = |order: &[usize]| order.iter().map(|i| inputs[*i].clone()).collect::<Vec<_>>();
        // The three stop, too, some epochs later; one that seldom sends is a bad clock, so several places are tried.
        let tries = (2..10).find_map(|tenths| {
            let mut again = rest.clone();
            let run = attempt_with(&three, own(&roles), &mut again, None).remove(0).1;
            again = rest.clone();
            attempt_with(&three, own(&roles), &mut again, Some((0, run * tenths / 10)));
            newest_common(&again).filter(|reached| *reached > epochs).map(|reached| (again, reached))
        });
        let (mut again, reached) = tries.expect("the three come further");
        let order = [roles[0], roles[1], roles[2], lost];
        let four = common::parse(&with(&three, &text, order)).expect("an amendment");
        again.push(Disk::default());
        let kept = again[0].kept.iter().find(|kept| kept.epochs == reached).expect("kept");
        let nothing = Kept { epochs: reached, steps: kept.steps, shares: Vec::new(), origin: Origin::Joined };
        again[3].kept.push(nothing);
        for disk in &mut again {
            disk.restore = Some(reached);
            disk.kept.iter_mut().for_each(|kept| kept.origin = Origin::Joined);
        }
        let done = attempt_with(&four, own(&order), &mut again, None);
        let models: Vec<_> = done.iter().filter_map(|(d, _)| d.as_ref().expect("done").outcome.model.clone()).collect();
        assert_eq!(models.len(), 1, "{lost} joins again");
        if lost == 3 {
            assert_eq!(Some(models[0].clone()), want, "the helper has no rows");
        }
    }
}
