//! Shamir with everything verified: every message of every party altered, under every operation.

use privity_mpc::cost::{Clock, Costs};
use privity_mpc::plain::Plain;
use privity_mpc::shamir_active::{ShamirActive, cost::ShamirActiveCosts};
use privity_mpc::{BitShare, By, Config, Error, Inject, Origin, Product, Protocol, Raw, Recipients, Result, TruncMode};
use privity_mpc_test::World;
use privity_mpc_test::conformance::Noise;
use privity_net::sim::{Frame, Tamper};
use privity_ring::{Ring, Shape, Tensor};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Products with division, comparisons, bits, AND, XOR, selections, openings. Party 0 has `x`, the last `y`.
fn program<P: Protocol>(p: &mut P, all: bool) -> Result<Vec<i64>> {
    let shape = Shape::vector(2);
    let mut noise = Noise(9);
    let mut input = |p: &mut P, owner: usize| {
        let values = noise.tensor(&shape, 24).data().iter().map(|v| P::R::from_u64(*v)).collect();
        let values = Tensor::new(shape.clone(), values);
        p.input(owner, &shape, (all || p.me() == owner).then_some(&values))
    };
    let last = p.owners().end - 1;
    let (x, y) = (input(p, 0)?, input(p, last)?);
    let raw = p.products(&[Product::mul(&x, &y, 16)])?.remove(0);
    let (signs, product) = p.signs(&[raw.low_bits(), &x], 40, vec![raw.clone()])?;
    let bits = p.a2b(&y, 3)?;
    let both = p.and(&[(&signs[0].xor(&signs[1]), &bits.plane(1))])?.remove(0);
    let terms = vec![(&signs[0], By::Value(&raw)), (&both, By::Public(5))];
    let chosen = p.inject(&[Inject { terms, shape: shape.clone() }])?.remove(0);
    let kept = p.refresh(&[&chosen], Origin::Same)?.remove(0);
    let mut opened = Vec::new();
    for value in [&kept, &product[0]] {
        opened.extend(p.open(value, Recipients::ALL)?.expect("to all").data().iter().map(|v| v.to_u64() as i64));
    }
    Ok(opened)
}

/// Divisions and nothing else, rounded either way.
fn divisions<P: Protocol>(p: &mut P, all: bool) -> Result<Vec<i64>> {
    let shape = Shape::vector(3);
    let values = Noise(3).tensor(&shape, 40).data().iter().map(|v| P::R::from_u64(*v)).collect();
    let values = Tensor::new(shape.clone(), values);
    let x = p.input(0, &shape, (all || p.me() == 0).then_some(&values))?;
    let divided: Vec<Raw<P::A>> = p.rescale(&[(&x, 16)])?;
    let divided = p.lift(divided)?.remove(0);
    let opened = p.open(&divided, Recipients::ALL)?.expect("to all");
    Ok(opened.data().iter().map(|v| v.to_u64() as i64).collect())
}

/// One frame is altered: a word of it is added to.
fn altering(frame: &Frame, word: usize, by: u64, done: &Arc<AtomicBool>) -> Tamper {
    let (from, to, index, done) = (frame.from, frame.to, frame.index, done.clone());
    Arc::new(move |mut frame: Frame| {
        if (frame.from, frame.to, frame.index) == (from, to, index) {
            let at = 8 * (word % (frame.payload.len() / 8).max(1));
            if let Some(bytes) = frame.payload.get_mut(at..at + 8) {
                let value = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
                bytes.copy_from_slice(&value.wrapping_add(by).to_le_bytes());
                done.store(true, Ordering::Relaxed);
            }
        }
        vec![frame]
    })
}

/// Alters a sample of all messages, one in each run: honest parties get right values, within a unit where rounding is by chance, or an error.
fn sweep(
    t: usize,
    mode: TruncMode,
    sample: usize,
    program: impl Fn(&mut ShamirActive) -> Result<Vec<i64>> + Sync,
    want: &[i64],
) {
    let config = Config { mode, ..Config::default() };
    let unit = u64::from(mode == TruncMode::Fast);
    let right = |got: &[i64]| got.len() == want.len() && got.iter().zip(want).all(|(g, w)| g.abs_diff(*w) <= unit);
    let (ends, frames) = World::shamir_active(config, t).record(&program);
    assert!(ends.iter().all(|end| end.as_ref().is_ok_and(|got| right(got))), "{ends:?}, not {want:?}");
    let sample = if std::env::var_os("PRIVITY_HEAVY").is_some() { 1 } else { sample };
    let (mut cases, mut caught) = (0, 0);
    for (k, frame) in frames.iter().enumerate().filter(|(k, _)| k % sample == 0) {
        for by in [1, 1 << 60, 0x0123_4567_89AB_CDEF] {
            let done = Arc::new(AtomicBool::new(false));
            let world = World::shamir_active(config, t).with_deadline(Duration::from_secs(20));
            let ends = world.tampered(altering(frame, k, by, &done), |p| {
                let end = program(p);
                if let Err(error) = &end {
                    let cause = privity_net::AbortCause { about: p.me(), reason: error.to_string() };
                    p.party().link().abort(&cause);
                }
                end
            });
            assert!(done.load(Ordering::Relaxed), "the frame was there");
            let mut noticed = false;
            for end in ends.into_iter().enumerate().filter(|(me, _)| *me != frame.from).map(|(_, end)| end) {
                match end {
                    Ok(got) => assert!(right(&got), "frame {k}, t = {t}: {:?}: {got:?}, not {want:?}", frame.tag),
                    Err(Error::Cheating { .. } | Error::Net(_)) => noticed = true,
                    Err(error) => panic!("frame {k}, t = {t}: {error}"),
                }
            }
            cases += 1;
            caught += usize::from(noticed);
        }
    }
    println!("t = {t}, {mode:?}: {cases} of {} altered messages, {caught} caught", 3 * frames.len());
    // What is sent to an honest party and is wrong is noticed, but for a verdict's word that is as bad as any other.
    assert!(caught * 10 >= cases * 9, "{caught} of {cases}");
}

#[test]
fn no_altered_message_leads_to_a_wrong_value() {
    for (t, sample) in [(1, 1), (2, 11)] {
        let config = Config { mode: TruncMode::Exact, ..Config::default() };
        let want = program(&mut Plain::new(config, 2 * t + 1), true).expect("the twin runs");
        sweep(t, TruncMode::Exact, sample, |p| program(p, false), &want);
    }
}

#[test]
fn no_altered_message_of_a_fast_division_leads_to_a_wrong_value() {
    for (t, sample) in [(1, 1), (2, 5)] {
        let want = divisions(&mut Plain::new(Config::default(), 2 * t + 1), true).expect("the twin runs");
        sweep(t, TruncMode::Fast, sample, |p| divisions(p, false), &want);
    }
}

/// A party that keeps altered shares, or goes on with others than it was given, is noticed; one whose shares are right is not.
#[test]
fn altered_shares_are_noticed_under_every_operation() {
    type Step = fn(&mut ShamirActive, &Tensor<privity_ring::M61>) -> Result<Tensor<privity_ring::M61>>;
    let steps: [Step; 6] = [
        |_, x| Ok(x.clone()),
        |p, x| Ok(p.products(&[Product::mul(x, x, 0)])?.remove(0).low_bits().clone()),
        |p, x| Ok(p.rescale(&[(x, 5)])?.remove(0).low_bits().clone()),
        |p, x| {
            let sign = p.signs(&[x], 32, Vec::new())?.0.remove(0);
            p.b2a(&sign)
        },
        |p, x| {
            let bits = p.a2b(x, 8)?;
            p.b2a(&bits.plane(3))
        },
        |p, x| Ok(p.refresh(&[x], Origin::Same)?.remove(0)),
    ];
    for t in [1, 2] {
        for (k, step) in steps.iter().enumerate() {
            for altered in [false, true] {
                let ends = World::shamir_active(Config::default(), t).run(|p| {
                    let value = Tensor::fill(&Shape::vector(2), 1000);
                    let x = p.input(2 * t, value.shape(), (p.me() == 2 * t).then_some(&value))?;
                    let x = if altered && p.me() == 0 { x.add(&Tensor::fill(x.shape(), 3)) } else { x };
                    let z = step(p, &x)?;
                    p.open(&z, Recipients::ALL)
                });
                match altered {
                    false => assert!(ends.iter().all(Result::is_ok), "step {k}, t = {t}: {ends:?}"),
                    true => {
                        let noticed = |end: &Result<_>| matches!(end, Err(Error::Cheating { .. }));
                        assert!(ends.iter().all(noticed), "step {k}, t = {t}: {ends:?}");
                    }
                }
            }
        }
    }
}

/// Verifications between openings, when much is owed, go unnoticed but in traffic, and after one that failed nothing is opened.
#[test]
fn after_a_bad_verdict_nothing_is_opened() {
    let ends = World::shamir_active(Config::default(), 1).run(|p| {
        let value = Tensor::fill(&Shape::vector(2), 7);
        let x = p.input(2, value.shape(), (p.me() == 2).then_some(&value)).expect("shared");
        let fine = p.open(&x, Recipients::ALL).expect("opens").expect("to all");
        let wrong = if p.me() == 0 { x.add(&Tensor::fill(x.shape(), 1)) } else { x.clone() };
        p.products(&[Product::mul(&wrong, &wrong, 0)]).expect("dealt");
        let verdict = p.settle();
        let again = p.open(&x, Recipients::ALL);
        (fine == value, matches!(verdict, Err(Error::Cheating { .. })), matches!(again, Err(Error::Cheating { .. })))
    });
    assert_eq!(ends, [(true, true, true); 3]);
}

/// Shares of one opening that do not fit stop all later ones, too.
#[test]
fn after_an_inconsistent_opening_nothing_is_opened() {
    let ends = World::shamir_active(Config::default(), 1).run(|p| {
        let value = Tensor::fill(&Shape::vector(2), 7);
        let x = p.input(2, value.shape(), (p.me() == 2).then_some(&value)).expect("shared");
        let told = if p.me() == 0 { x.add(&Tensor::fill(x.shape(), 1)) } else { x.clone() };
        let first = p.open(&told, Recipients::ALL);
        let again = p.open(&x, Recipients::ALL);
        [first, again].map(|end| matches!(end, Err(Error::Cheating { .. })))
    });
    assert_eq!(ends, [[true; 2]; 3]);
}

/// Lane 1 owes a verification of a wrong product when lane 0, alone at work, is asked to open.
#[test]
fn nothing_is_opened_in_a_lane_that_is_alone_at_work() {
    let ends = World::shamir_active(Config::default(), 1).with_lanes(2).run(|p| {
        let value = Tensor::fill(&Shape::vector(2), 7);
        let x = p.input(2, value.shape(), (p.me() == 2).then_some(&value)).expect("shared");
        p.open(&x, Recipients::ALL).expect("opens");
        let wrong = if p.me() == 0 { x.add(&Tensor::fill(x.shape(), 1)) } else { x.clone() };
        let products = p.in_lanes(vec![x.clone(), wrong], |p, x| Ok(p.products(&[Product::mul(&x, &x, 0)])?.remove(0)));
        let product = products.expect("dealt").remove(1);
        let alone = p.in_lanes(vec![product.low_bits()], |p, x| p.open(x, Recipients::ALL));
        let after = p.open(&x, Recipients::ALL);
        (matches!(alone, Err(Error::Parameter { .. })), matches!(after, Err(Error::Cheating { .. })))
    });
    assert_eq!(ends, [(true, true); 3]);
}

/// Bytes over all links and rounds of one value, as docs/protocols/shamir-active.md states them.
#[test]
fn prices_are_as_documented() {
    let price = |t: usize, mode: TruncMode, operation: fn(&ShamirActiveCosts, &mut Clock)| {
        let costs = ShamirActiveCosts::new(t, mode);
        let mut clock = Clock::new(2 * t + 1, Default::default());
        operation(&costs, &mut clock);
        (clock.total_bytes(), clock.rounds())
    };
    let sign: fn(&ShamirActiveCosts, &mut Clock) = |costs, clock| costs.signs(clock, &[1], 32, &[]);
    assert_eq!(price(1, TruncMode::Fast, |costs, clock| costs.rescale(clock, &[(1, 16)])), (1000, 2));
    assert_eq!(price(1, TruncMode::Exact, |costs, clock| costs.round_exactly(clock, &[(1, 16)])), (2032, 7));
    assert_eq!(price(1, TruncMode::Fast, sign), (3160, 8));
    assert_eq!(price(2, TruncMode::Fast, |costs, clock| costs.rescale(clock, &[(1, 16)])), (12_768, 4));
    assert_eq!(price(2, TruncMode::Exact, |costs, clock| costs.round_exactly(clock, &[(1, 16)])), (16_208, 9));
    assert_eq!(price(2, TruncMode::Fast, sign), (19_968, 10));
}
