//! Additive shares by triples: what is on the wire, what a failed check of transfers does, shares that are kept, fast division.

use privity_mpc::beaver::{Beaver, Number};
use privity_mpc::shamir::Shamir;
use privity_mpc::shamir_active::ShamirActive;
use privity_mpc::{By, Config, Error, Inject, Origin, Party, Product, Protocol, Raw, Recipients, Result, TruncMode};
use privity_mpc_test::World;
use privity_mpc_test::conformance::Noise;
use privity_net::sim::{self, Frame, SimConfig, Tamper};
use privity_prim::Context;
use privity_ring::{M61, Shape, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

const LEN: usize = 640;

fn tensor<R: Number>(x: &Tensor<u64>) -> Tensor<R> {
    Tensor::new(x.shape().clone(), x.data().iter().map(|v| R::from_u64(*v)).collect())
}

/// Every primitive once, on inputs of the first two that have any. Nothing is opened: openings are the only messages that may look like anything.
fn program<R: Number>(p: &mut Beaver<R>, inputs: &[Tensor<u64>; 2]) -> Result<Vec<Tensor<R>>> {
    let (shape, first) = (Shape::vector(LEN), p.owners().start);
    let mut share = |i: usize| {
        let x = tensor(&inputs[i]);
        p.input(first + i, &shape, (p.me() == first + i).then_some(&x))
    };
    let (x, y) = (share(0)?, share(1)?);
    let product = p.products(&[Product::mul(&x, &y, 16)])?.remove(0);
    let (a, b) = (x.clone().reshape(Shape::matrix(8, 80)), y.clone().reshape(Shape::matrix(80, 8)));
    p.products_lifted(&[Product::matmul(&a, &b, 20)])?;
    let (bits, lifted) = p.signs(&[&x, &y], 30, vec![product.clone()])?;
    let terms = vec![(&bits[0], By::Value(&product)), (&bits[1], By::Public(3))];
    p.inject(&[Inject { terms, shape: shape.clone() }])?;
    let selected = p.select(&bits[1], &Raw::exact(x))?;
    p.and(&[(&bits[0], &bits[1])])?;
    p.a2b(&lifted[0], 20)?;
    Ok(vec![lifted.into_iter().next().expect("one"), selected])
}

fn worlds<R: Number>(mode: TruncMode) -> [World<Beaver<R>>; 2] {
    let config = Config { mode, ..Config::default() };
    [World::beaver_dealt(config, 3), World::beaver(config, 3)]
}

/// Of every place in words that is used at all, by how much it is set more or less often than by halves: the largest standard score.
fn bias(words: &[u64]) -> f64 {
    let used = words.iter().fold(0, |used, word| used | word);
    let deviation = (words.len() as f64).sqrt() / 2.0;
    let score = |place: u32| {
        let set: u64 = words.iter().map(|word| word >> place & 1).sum();
        (set as f64 - words.len() as f64 / 2.0).abs() / deviation
    };
    (0..64).filter(|place| used >> place & 1 == 1).map(score).fold(0.0, f64::max)
}

fn looks_uniform<R: Number>(mode: TruncMode) {
    let shape = Shape::vector(LEN);
    let noise = [1, 2].map(|seed| Noise(seed).tensor(&shape, 20));
    let all = [[0, 0].map(|v| Tensor::fill(&shape, v)), [65_536, 65_536].map(|v| Tensor::fill(&shape, v)), noise];
    for world in worlds::<R>(mode) {
        let mut lengths = Vec::new();
        for inputs in &all {
            let (results, frames) = world.record(|p| program(p, inputs).map(drop));
            results.into_iter().for_each(|result| result.expect("the program runs"));
            let mut messages: BTreeMap<(usize, usize, u64, bool), Vec<u64>> = BTreeMap::new();
            // Points of the base transfers are no uniform bytes.
            for frame in frames.iter().filter(|frame| world.parties() == 4 || frame.tag.step > 1) {
                let words =
                    frame.payload.chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().expect("eight bytes")));
                let answers = frame.tag.tile >= 1 << 20;
                messages.entry((frame.from, frame.to, frame.tag.step, answers)).or_default().extend(words);
            }
            assert!(messages.len() > 100, "most steps send something: {}", messages.len());
            for (place, words) in &messages {
                let used = words.iter().fold(0, |used, word| used | word).count_ones();
                // Words, residues, and what is told of 30 and of 20 bits.
                assert!(words.len() < 64 || [64, 61, 30, 20].contains(&used), "{place:?} uses {used} bits");
                // Of the answers to a word of choices one in 66 half words is empty (docs/protocols/ot.md, 5.2).
                let (score, most) = (bias(words), 7.0 + (words.len() as f64).sqrt() / 33.0);
                assert!(score < most, "{mode:?} {place:?}: {score} of {} words", words.len());
            }
            lengths.push(frames.iter().map(|f| (f.from, f.to, f.tag, f.payload.len())).collect::<Vec<_>>());
        }
        assert!(lengths.iter().all(|all| *all == lengths[0]), "lengths depend on shapes only");
    }
}

#[test]
fn every_message_looks_uniform_whatever_the_inputs() {
    looks_uniform::<u64>(TruncMode::Fast);
    looks_uniform::<M61>(TruncMode::Exact);
}

/// A receiver that chooses otherwise in every column is stopped before it gets an answer; all end, nothing is opened.
#[test]
fn columns_that_do_not_fit_stop_the_parties() {
    let inputs = [1, 2].map(|seed| Noise(seed).tensor(&Shape::vector(LEN), 20));
    let tamper: Tamper = Arc::new(|mut frame: Frame| {
        if (frame.from, frame.to) == (0, 1) && frame.tag.step == 2 && frame.tag.tile == 0 {
            frame.payload.iter_mut().step_by(16).for_each(|byte| *byte ^= 1);
        }
        vec![frame]
    });
    // The first step after the set-up in which anything is sent is that of the triples, where choices go first.
    let results = World::<Beaver<u64>>::beaver(Config::default(), 2).tampered(tamper, |p| {
        let shape = Shape::vector(LEN);
        let x = p.public(&Tensor::fill(&shape, 3));
        let result = p.products(&[Product::mul(&x, &x, 0)]).map(drop).and_then(|()| program(p, &inputs).map(drop));
        if result.is_err() {
            // What a job does: the other party is told.
            let about = p.me();
            p.party().link().abort(&privity_net::AbortCause { about, reason: "stopped".into() });
        }
        result
    });
    assert!(matches!(results[1], Err(Error::Cheating { .. })), "{:?}", results[1].as_ref().err());
    assert!(matches!(results[0], Err(Error::Net(_))), "{:?}", results[0].as_ref().err());
}

#[test]
fn kept_shares_go_on_under_new_keys() {
    let inputs = [1, 2].map(|seed| Noise(seed).tensor(&Shape::vector(LEN), 20));
    for world in worlds::<u64>(TruncMode::Exact) {
        let open = |p: &mut Beaver<u64>, shares: &[Tensor<u64>]| {
            let mut open = |x: &Tensor<u64>| p.open(x, Recipients::ALL).expect("opens").expect("to all");
            shares.iter().map(&mut open).collect::<Vec<_>>()
        };
        let kept = world.run(|p| {
            let shares = program(p, &inputs).expect("the program runs");
            (open(p, &shares), shares)
        });
        let again = world.run(|p| {
            let shares = &kept[p.me()].1;
            let fresh = p.refresh(&shares.iter().collect::<Vec<_>>(), Origin::Same).expect("refreshed");
            let computes = p.owners().contains(&p.me());
            assert!(!computes || fresh.iter().zip(shares).all(|(fresh, old)| fresh != old), "shares are new");
            assert!(p.refresh(&[&shares[0]], Origin::Without(3)).is_err(), "these are no shares of four parties");
            open(p, &fresh)
        });
        assert!(again.iter().zip(&kept).all(|(again, (before, _))| again == before));
    }
}

/// Fast division rounds up with the probability of the fraction it discards, from both sources and in both rings.
fn rounds_by_chance<R: Number>() {
    let (len, shift) = (1 << 14, 8);
    let values = Tensor::fill(&Shape::vector(len), (5 << shift) + 64);
    for world in worlds::<R>(TruncMode::Fast) {
        let ends = world.run(|p| {
            let owner = p.owners().start;
            let x = tensor(&values);
            let x = p.input(owner, values.shape(), (p.me() == owner).then_some(&x)).expect("shared");
            let divided = p.rescale(&[(&x, shift)]).expect("divided").remove(0);
            p.open(divided.low_bits(), Recipients::ALL).expect("opens").expect("to all")
        });
        let up = ends[0].data().iter().filter(|v| v.to_u64() == 6).count();
        assert!(ends[0].data().iter().all(|v| [5, 6].contains(&v.to_u64())), "floor or one more");
        // A quarter of 16384, with a standard deviation of 55.
        assert!((3_700..=4_500).contains(&up), "{up} of {len} were rounded up");
    }
}

#[test]
fn fast_division_rounds_up_as_often_as_it_should() {
    rounds_by_chance::<u64>();
    rounds_by_chance::<M61>();
}

/// Whether each of three parties is refused such a start.
fn refused<T>(start: impl Fn(Party, Config) -> Result<T> + Sync, config: Config) -> Vec<bool> {
    let one = |link| {
        let party = Party::connect(Box::new(link), &Context::default()).expect("keys");
        matches!(start(party, config), Err(Error::Parameter { .. }))
    };
    std::thread::scope(|scope| {
        let running: Vec<_> =
            sim::mesh(3, SimConfig::default()).into_iter().map(|link| scope.spawn(|| one(link))).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// What is divided in a field must stay below 2^59, so a format for words is none for it.
#[test]
fn formats_with_more_room_than_a_field_has_are_refused() {
    let words = Config::default();
    for (config, wanted) in [(words, [true; 3]), (words.in_a_field(), [false; 3])] {
        assert_eq!(refused(Beaver::<M61>::dealt, config), wanted);
        assert_eq!(refused(Beaver::<M61>::transferred, config), wanted);
        assert_eq!(refused(|party, config| Shamir::new(party, config, 1), config), wanted);
        assert_eq!(refused(|party, config| ShamirActive::new(party, config, 1), config), wanted);
        assert_eq!(refused(Beaver::<u64>::dealt, config), [false; 3]);
    }
}
