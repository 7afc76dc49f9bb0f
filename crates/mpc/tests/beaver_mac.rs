//! Additive shares over the field with MACs: values, declared costs, and parties that lie. What is opened is right at all honest parties, or none of them
//! opens anything.

use privity_mpc::beaver::mac::{BeaverMac, DEALER, cost::BeaverMacCosts};
use privity_mpc::count::Count;
use privity_mpc::plain::Plain;
use privity_mpc::{Config, Error, Origin, Product, Protocol, Recipients, Result, Share};
use privity_mpc_test::World;
use privity_mpc_test::conformance::Noise;
use privity_mpc_test::tamper::{ALTERATIONS, Alteration, PATIENCE, alter, side_by_side, word};
use privity_net::sim::{Frame, Tamper};
use privity_ring::{M61, Ring, Shape, Tensor};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Opened = Result<Vec<u64>>;

/// Words that are told in the first products of [`program`] with two rows, by which they are known on the wire.
const TOLD: usize = 2 * 5 + 5 * 3 + 2 * (2 * 5);
/// Words of an input of the first party, and of what is opened first.
const FIRST: usize = 2 * 5;

/// A matrix product, products of products, sums, what is public, an opening to all on the way and one to a single party at the end. The first party
/// that computes has `x`, the last `y`.
fn program<P: Protocol>(p: &mut P, rows: usize, owners: [usize; 2], all: bool) -> Opened {
    let (left, right) = (Shape::matrix(rows, 5), Shape::matrix(5, 3));
    let mut noise = Noise(9);
    let mut input = |p: &mut P, owner: usize, shape: &Shape| {
        let values = noise.tensor(shape, 12).data().iter().map(|v| P::R::from_u64(*v)).collect();
        let values = Tensor::new(shape.clone(), values);
        p.input(owner, shape, (all || p.me() == owner).then_some(&values))
    };
    let (x, y) = (input(p, owners[0], &left)?, input(p, owners[1], &right)?);
    let z = p.products(&[Product::matmul(&x, &y, 0), Product::mul(&x, &x, 0)])?;
    let (z, squares) = (z[0].low_bits().clone(), z[1].low_bits().clone());
    let first = p.open(&squares.sub(&x.scale(3)), Recipients::ALL)?;
    let public = p.public(&Tensor::fill(z.shape(), 7));
    let z = p.products(&[Product::mul(&z, &z.add(&public), 0)])?.remove(0).low_bits().sub(&public);
    let second = p.open(&z.transpose(), Recipients::only(owners[1]))?;
    Ok(first.iter().chain(&second).flat_map(|t| t.data()).map(|v| v.to_u64()).collect())
}

fn run(p: &mut BeaverMac, rows: usize) -> Opened {
    let owners = p.owners();
    program(p, rows, [owners.start, owners.end - 1], false)
}

/// What each party is opened.
fn twin(rows: usize, parties: usize, me: usize) -> Vec<u64> {
    let mut plain = Plain::new(Config::default(), parties);
    let all = program(&mut plain, rows, [1, parties - 1], true).expect("the twin runs");
    let second = if me == parties - 1 { rows * 3 } else { 0 };
    all[..rows * 5 + second].to_vec()
}

#[test]
fn values_are_the_twins_at_declared_costs() {
    for others in [2, 3, 5] {
        for rows in [1, 2, 40] {
            let mut count = Count::new(Config::default(), BeaverMacCosts::new(others), Default::default());
            program(&mut count, rows, [1, others], true).expect("counted");
            let ends = World::beaver_mac(Config::default(), others).run(|p| {
                let opened = run(p, rows).expect("the program runs");
                (opened, p.party().bytes_sent().to_vec(), p.party().rounds())
            });
            for (me, (opened, sent, rounds)) in ends.into_iter().enumerate() {
                assert_eq!(opened, twin(rows, others + 1, me), "party {me} of {others} and a dealer");
                let declared: Vec<u64> = (0..=others).map(|to| count.clock().bytes(me, to)).collect();
                let case = format!("party {me} of {others} and a dealer, {rows} rows");
                assert_eq!((sent, rounds), (declared, count.clock().rounds_of(me)), "{case}");
            }
        }
    }
}

#[test]
fn more_than_a_frame_is_told_and_opened() {
    let shape = Shape::vector((1 << 19) + 77);
    let mut count = Count::new(Config::default(), BeaverMacCosts::new(2), Default::default());
    let x = count.public(&Tensor::fill(&shape, 1));
    count.open(&x, Recipients::ALL).expect("counted");
    let ends = World::beaver_mac(Config::default(), 2).run(|p| {
        let x = p.public(&Tensor::fill(&shape, 5));
        let opened = p.open(&x, Recipients::ALL).expect("opens").expect("to all");
        assert!(opened.data().iter().all(|v| v.to_u64() == 5));
        (p.party().bytes_sent().to_vec(), p.party().rounds())
    });
    for (me, end) in ends.into_iter().enumerate() {
        let declared = (0..3).map(|to| count.clock().bytes(me, to)).collect();
        assert_eq!(end, (declared, count.clock().rounds_of(me)), "party {me}");
    }
}

#[test]
fn a_verdict_without_an_opening_costs_what_is_declared() {
    let mut count = Count::new(Config::default(), BeaverMacCosts::new(3), Default::default());
    let work = |p: &mut BeaverMac| {
        let (owner, shape) = (p.owners().start, Shape::vector(3));
        let x = Tensor::fill(&shape, 4);
        let x = p.input(owner, &shape, (p.me() == owner).then_some(&x))?;
        p.products(&[Product::mul(&x, &x, 0)])?;
        p.settle()?;
        // Nothing is owed any more.
        p.settle()
    };
    let x = count.input(1, &Shape::vector(3), None).expect("counted");
    count.products(&[Product::mul(&x, &x, 0)]).expect("counted");
    count.settle().expect("counted");
    let ends = World::beaver_mac(Config::default(), 3).run(|p| {
        work(p).expect("verified");
        (p.party().bytes_sent().to_vec(), p.party().rounds())
    });
    for (me, end) in ends.into_iter().enumerate() {
        let declared = (0..4).map(|to| count.clock().bytes(me, to)).collect();
        assert_eq!(end, (declared, count.clock().rounds_of(me)), "party {me}");
    }
}

/// All honest parties got what is right, or all of them an error of the kinds that are allowed.
fn judge(case: &str, cheater: usize, got: &[Opened]) -> bool {
    let honest: Vec<usize> = (0..got.len()).filter(|party| *party != cheater).collect();
    let completed = honest.iter().filter(|party| got[**party].is_ok()).count();
    assert!(completed == 0 || completed == honest.len(), "{case}: {completed} honest parties went on: {got:?}");
    for party in honest {
        match &got[party] {
            Ok(values) => assert_eq!(*values, twin(2, got.len(), party), "{case}: party {party} opened a wrong value"),
            Err(Error::Cheating { .. } | Error::Net(_)) => {}
            Err(other) => panic!("{case}: party {party} failed with {other}"),
        }
    }
    completed > 0
}

fn world(others: usize) -> World<BeaverMac> {
    World::beaver_mac(Config::default(), others).with_deadline(PATIENCE)
}

/// Alterations that leave a frame's length, order and number: only what is verified can tell.
fn content(alteration: Alteration) -> bool {
    matches!(alteration, Alteration::Random | Alteration::PlusOne | Alteration::TopBit | Alteration::LastWord)
}

#[test]
fn no_altered_message_leads_to_a_wrong_value() {
    for others in [2, 3] {
        let world = world(others).fixed(7);
        let (ends, frames) = world.record(|p| run(p, 2));
        assert!(judge("nobody lies", DEALER, &ends));
        let frames: Vec<&Frame> = frames.iter().filter(|frame| frame.from != DEALER).collect();
        let case = |i: usize| {
            let (frame, alteration) = (frames[i / ALTERATIONS.len()], ALTERATIONS[i % ALTERATIONS.len()]);
            let place = (frame.from, frame.to, frame.index);
            let got = world.tampered(alter(place, alteration, i as u64), |p| run(p, 2));
            let case = format!("{others} and a dealer: {place:?} {:?} {alteration:?}", frame.tag);
            let went_on = judge(&case, frame.from, &got);
            assert!(!content(alteration) || !went_on, "{case}: altered unnoticed");
            if alteration == Alteration::Dropped {
                // What the network can do alone is never taken for a deviation.
                let accused = |party: usize| matches!(got[party], Err(Error::Cheating { .. }));
                assert!((0..=others).all(|party| party == frame.from || !accused(party)), "{case}: {got:?}");
            }
            went_on
        };
        let ends = side_by_side(frames.len() * ALTERATIONS.len(), case);
        println!("{others}: {} cases, {} with the right value", ends.len(), ends.iter().filter(|end| **end).count());
    }
}

/// Which messages of a party are altered: of so many words, to whom, from the how-manieth on, and by how much the first word grows.
struct Lie {
    words: usize,
    to: &'static [usize],
    skip: usize,
    by: u64,
}

/// Party 1 tells these lies; everything else is as it should be.
fn lying(others: usize, lies: &'static [Lie], rows: usize) -> Vec<Opened> {
    let seen: Arc<Vec<[AtomicUsize; 4]>> = Arc::new(lies.iter().map(|_| Default::default()).collect());
    let told = seen.clone();
    let tamper: Tamper = Arc::new(move |mut frame: Frame| {
        for (lie, seen) in lies.iter().zip(told.iter()) {
            let meant = frame.from == 1 && lie.to.contains(&frame.to) && frame.payload.len() == 8 * lie.words;
            if meant && seen[frame.to].fetch_add(1, Ordering::Relaxed) == lie.skip {
                word(&mut frame.payload, 0, |w| w.wrapping_add(lie.by));
            }
        }
        vec![frame]
    });
    let ends = world(others).tampered(tamper, |p| run(p, rows));
    for (lie, seen) in lies.iter().zip(seen.iter()) {
        assert!(lie.to.iter().all(|to| seen[*to].load(Ordering::Relaxed) > lie.skip), "the lie was told");
    }
    ends
}

/// All honest parties say that somebody cheated.
fn caught(others: usize, lies: &'static [Lie]) {
    let ends = lying(others, lies, 2);
    for (party, end) in ends.iter().enumerate().filter(|(party, _)| *party != 1) {
        assert!(matches!(end, Err(Error::Cheating { .. })), "party {party}: {end:?}");
    }
}

/// Party 1 goes on with a share of an input that it altered, value and MAC; all it tells then, and what it is told itself, fits that.
fn altered(others: usize, of_value: &[(usize, u64)], of_tag: &[(usize, u64)], multiply: bool) -> Vec<Opened> {
    let shape = Shape::vector(4);
    World::beaver_mac(Config::default(), others).run(|p| {
        let x = Tensor::fill(&shape, 11);
        let x = p.input(2, &shape, (p.me() == 2).then_some(&x))?;
        let mut parts: Vec<Tensor<M61>> = x.parts().into_iter().cloned().collect();
        for (part, changes) in parts.iter_mut().zip([of_value, of_tag]).filter(|_| p.me() == 1) {
            for (at, by) in changes {
                part.data_mut()[*at] = part.data()[*at].add(M61::from_u64(*by));
            }
        }
        let mut x = <BeaverMac as Protocol>::A::from_parts(parts).expect("as they were");
        if multiply {
            x = p.products(&[Product::mul(&x, &x, 0)])?.remove(0).low_bits().clone();
        }
        let opened = p.open(&x, Recipients::ALL)?.expect("to all");
        Ok(opened.data().iter().map(|v| v.to_u64()).collect())
    })
}

/// Nobody's messages contradict one another: only the check of MACs can tell.
#[test]
fn wrong_shares_of_values_and_of_macs_are_caught_by_the_check() {
    const LESS: u64 = 5u64.wrapping_neg();
    for (others, multiply) in [(2, false), (2, true), (3, false), (3, true)] {
        for end in altered(others, &[], &[], multiply) {
            assert_eq!(end.expect("nobody lies"), [if multiply { 121 } else { 11 }; 4]);
        }
        let lies: [(&[(usize, u64)], &[(usize, u64)]); 6] = [
            (&[(0, 1)], &[]),
            (&[], &[(3, 1)]),
            (&[(2, 1 << 60)], &[]),
            // A MAC that is meant to make up for it: the key is not known.
            (&[(1, 1)], &[(1, 0x0123_4567_89AB_CDEF)]),
            // What cancels in sums, but not with coefficients that nobody knew.
            (&[(0, 5), (1, LESS)], &[]),
            (&[], &[(0, 5), (1, LESS)]),
        ];
        for (of_value, of_tag) in lies {
            for (party, end) in altered(others, of_value, of_tag, multiply).iter().enumerate() {
                let case = format!("{others}, {multiply}, {of_value:?}, {of_tag:?}, party {party}");
                assert!(matches!(end, Err(Error::Cheating { .. })), "{case}: {end:?}");
            }
        }
    }
}

#[test]
fn a_value_that_is_told_otherwise_than_it_is_used_is_caught() {
    caught(2, &[Lie { words: TOLD, to: &[2], skip: 0, by: 1 }]);
    caught(3, &[Lie { words: TOLD, to: &[2, 3], skip: 0, by: 1 }]);
}

#[test]
fn different_values_for_different_parties_are_caught() {
    caught(3, &[Lie { words: TOLD, to: &[2], skip: 0, by: 1 }]);
    // What one is told too much the other is told too little.
    const LESS: u64 = (1 << 61) - 2;
    caught(3, &[Lie { words: TOLD, to: &[2], skip: 0, by: 1 }, Lie { words: TOLD, to: &[3], skip: 0, by: LESS }]);
}

#[test]
fn a_wrong_share_of_the_check_is_caught() {
    // The first word to the dealer says what was seen, the second is the share.
    caught(2, &[Lie { words: 1, to: &[DEALER], skip: 1, by: 1 }]);
    caught(3, &[Lie { words: 1, to: &[DEALER], skip: 1, by: (1 << 61) - 2 }]);
}

#[test]
fn a_wrong_share_of_what_is_opened_is_caught() {
    // The first frame of so many words is the input.
    caught(2, &[Lie { words: FIRST, to: &[2], skip: 1, by: 1 }]);
    caught(3, &[Lie { words: FIRST, to: &[2, 3], skip: 1, by: 1 }]);
    // To the dealer alone: after the verdict.
    caught(3, &[Lie { words: FIRST, to: &[DEALER], skip: 0, by: 1 }]);
}

#[test]
fn an_input_is_one_and_the_same_for_all() {
    caught(3, &[Lie { words: FIRST, to: &[2], skip: 0, by: 1 }]);
    // An owner that tells all others the same and takes something else for it itself.
    caught(3, &[Lie { words: FIRST, to: &[2, 3], skip: 0, by: 1 }]);
}

#[test]
fn after_a_bad_verdict_nothing_is_opened() {
    let tamper: Tamper = Arc::new(|mut frame: Frame| {
        if frame.from == 1 && frame.payload.len() == 8 * TOLD {
            word(&mut frame.payload, 0, |w| w ^ 1);
        }
        vec![frame]
    });
    let ends = world(2).tampered(tamper, |p| {
        let first = run(p, 2).is_err();
        (first, refuses_everything(p))
    });
    assert!(ends.iter().all(|end| *end == (true, true)), "{ends:?}");
}

/// Whether a session neither opens nor deals anything.
fn refuses_everything(p: &mut BeaverMac) -> bool {
    let x = p.public(&Tensor::fill(&Shape::vector(1), 3));
    let before = p.party().bytes_sent().to_vec();
    let ends = [
        p.open(&x, Recipients::ALL).err(),
        p.open(&x, Recipients::only(1)).err(),
        p.products(&[Product::mul(&x, &x, 0)]).err(),
        p.settle().err(),
    ];
    before == p.party().bytes_sent() && ends.iter().all(|end| matches!(end, Some(Error::Cheating { .. })))
}

#[test]
fn after_a_lie_to_the_dealer_nothing_is_opened() {
    let tamper: Tamper = Arc::new(|mut frame: Frame| {
        if (frame.from, frame.to, frame.payload.len()) == (1, DEALER, 8 * FIRST) {
            word(&mut frame.payload, 0, |w| w ^ 1);
        }
        vec![frame]
    });
    let ends = world(3).tampered(tamper, |p| (run(p, 2).is_err(), refuses_everything(p)));
    assert!(ends.iter().all(|end| *end == (true, true)), "{ends:?}");
}

#[test]
fn products_without_division_are_right_at_once() {
    let ends = World::beaver_mac(Config::default(), 2).run(|p| {
        let x = p.public(&Tensor::fill(&Shape::vector(2), 5));
        let squares = p.products_lifted(&[Product::mul(&x, &x, 0)]).expect("no division").remove(0);
        p.open(&squares, Recipients::ALL)
            .expect("opens")
            .expect("to all")
            .data()
            .iter()
            .map(|v| v.to_u64())
            .collect::<Vec<u64>>()
    });
    assert_eq!(ends, vec![vec![25, 25]; 3]);
}

#[test]
fn what_is_not_verified_is_refused_with_a_way_out() {
    let refused = World::beaver_mac(Config::default(), 2).run(|p| {
        let x = p.public(&Tensor::fill(&Shape::vector(2), 5));
        let errors = [
            p.products(&[Product::mul(&x, &x, 16)]).err(),
            p.rescale(&[(&x, 3)]).err(),
            p.signs(&[&x], 32, Vec::new()).err(),
            p.a2b(&x, 8).err(),
            p.refresh(&[&x], Origin::Same).err(),
            p.inject(&[]).err(),
            p.in_lanes(vec![0, 1], |_, _| Ok(())).err(),
        ];
        let says =
            |error: &Error| matches!(error, Error::Parameter { problem, .. } if problem.contains("additive-mac"));
        let (shape, x) = (Shape::vector(1), Tensor::fill(&Shape::vector(1), 1));
        let dealers = p.input(DEALER, &shape, (p.me() == DEALER).then_some(&x));
        errors.iter().flatten().filter(|error| says(error)).count() == errors.len()
            && matches!(dealers, Err(Error::Input { .. }))
    });
    assert_eq!(refused, [true; 3]);
}

/// How often a place in words is set, in standard deviations from a half, at most.
fn bias(words: &[u64]) -> f64 {
    let deviation = (words.len() as f64).sqrt() / 2.0;
    let score = |place: u32| {
        let set: u64 = words.iter().map(|word| word >> place & 1).sum();
        (set as f64 - words.len() as f64 / 2.0).abs() / deviation
    };
    (0..61).map(score).fold(0.0, f64::max)
}

#[test]
fn what_is_told_and_dealt_looks_uniform_whatever_the_inputs() {
    let shape = Shape::vector(2048);
    for value in [0, 1, 1 << 40] {
        let (ends, frames) = World::beaver_mac(Config::default(), 3).record(|p| {
            let x = Tensor::fill(&shape, value);
            let x = p.input(1, &shape, (p.me() == 1).then_some(&x))?;
            let z = p.products(&[Product::mul(&x, &x, 0)])?.remove(0);
            p.open(z.low_bits(), Recipients::only(2)).map(drop)
        });
        assert!(ends.iter().all(Result::is_ok));
        let long = frames.iter().filter(|frame| frame.payload.len() >= 8 * 2048);
        let mut counted = 0;
        for frame in long {
            let words: Vec<u64> =
                frame.payload.chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().expect("eight bytes"))).collect();
            assert!(bias(&words) < 7.0, "{:?} from {} to {}", frame.tag, frame.from, frame.to);
            counted += 1;
        }
        // Of the input two to peers; three times what is dealt to the last; twice what all tell all; the mask to one.
        assert_eq!(counted, 2 + 3 + 2 * 6 + 1);
    }
}

/// Party 2 uses a wrong share, and what comes of it is multiplied by a secret of party 1: what it receives until it is stopped is uniform, whatever the
/// secret, and it is stopped always.
#[test]
fn nothing_received_while_a_check_fails_depends_on_a_secret() {
    const RUNS: usize = 150;
    let shape = Shape::vector(4);
    let received = [0u64, 1 << 40].map(|secret| {
        let run = |_| {
            let (ends, mut frames) = World::beaver_mac(Config::default(), 2).record(|p| {
                let (x, w) = (Tensor::fill(&shape, 3), Tensor::fill(&shape, secret));
                let x = p.input(2, &shape, (p.me() == 2).then_some(&x))?;
                let w = p.input(1, &shape, (p.me() == 1).then_some(&w))?;
                let wrong = x.map(|part| part.map(|v| v.add(M61::from_u64(1))));
                let x = if p.me() == 2 { wrong } else { x };
                let z = p.products(&[Product::mul(&x, &x, 0)])?.remove(0);
                let product = p.products(&[Product::mul(z.low_bits(), &w, 0)])?.remove(0);
                p.open(product.low_bits(), Recipients::ALL)
            });
            assert!(ends.iter().all(|end| matches!(end, Err(Error::Cheating { .. }))), "{ends:?}");
            // Keys are exchanged far above all steps.
            frames.retain(|frame| frame.to == 2 && frame.tag.step < 1 << 40);
            frames.sort_by_key(|f| (f.tag.step, f.tag.tile, f.from));
            frames
        };
        (0..RUNS).map(run).collect::<Vec<Vec<Frame>>>()
    });
    let places = |frames: &Vec<Frame>| -> Vec<_> { frames.iter().map(|f| (f.from, f.tag, f.payload.len())).collect() };
    for runs in &received {
        assert!(runs.iter().all(|frames| places(frames) == places(&received[0][0])), "the same messages in every run");
        for place in 0..runs[0].len() {
            let words = |frame: &Frame| -> Vec<u64> {
                frame.payload.chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().expect("eight bytes"))).collect()
            };
            let all: Vec<u64> = runs.iter().flat_map(|frames| words(&frames[place])).collect();
            if all.len() > RUNS {
                assert!(bias(&all) < 7.0, "{:?}", runs[0][place].tag);
            } else {
                // Words of the dealer.
                assert!(all.iter().all(|word| *word == all[0]), "{:?}", runs[0][place].tag);
            }
        }
    }
}
