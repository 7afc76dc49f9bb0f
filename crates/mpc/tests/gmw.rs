//! Two parties without a dealer: what is on the wire, what a failed check of transfers does, shares that are kept.

use privity_mpc::gmw::Gmw;
use privity_mpc::ops::sigmoid;
use privity_mpc::{By, Config, Error, Inject, Origin, Product, Protocol, Raw, Recipients, Result, TruncMode};
use privity_mpc_test::World;
use privity_mpc_test::conformance::Noise;
use privity_mpc_test::statistics::{bit_bias, chi_square};
use privity_net::sim::{Frame, Tamper};
use privity_ring::{Shape, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

const LEN: usize = 3000;

/// Every primitive once. Nothing is opened: openings are the only messages that may look like anything.
fn program(p: &mut Gmw, inputs: &[Tensor<u64>; 2]) -> Result<Vec<Tensor<u64>>> {
    let shape = Shape::vector(LEN);
    let mut share = |owner: usize| {
        let given = (p.me() == owner).then_some(&inputs[owner]);
        p.input(owner, &shape, given)
    };
    let (x, y) = (share(0)?, share(1)?);
    let raw = p.products(&[Product::mul(&x, &y, 16)])?;
    let (a, b) = (x.clone().reshape(Shape::matrix(30, 100)), y.clone().reshape(Shape::matrix(100, 30)));
    p.products_lifted(&[Product::matmul(&a, &b, 20)])?;
    let (bits, lifted) = p.signs(&[&x, &y], 30, vec![raw[0].clone()])?;
    let terms = vec![(&bits[0], By::Value(&raw[0])), (&bits[1], By::Public(3))];
    p.inject(&[Inject { terms, shape: shape.clone() }])?;
    let selected = p.select(&bits[1], &Raw::exact(x))?;
    p.and(&[(&bits[0], &bits[1])])?;
    p.a2b(&lifted[0], 20)?;
    Ok(vec![lifted.into_iter().next().expect("one"), selected])
}

#[test]
fn every_message_looks_uniform_whatever_the_inputs() {
    let shape = Shape::vector(LEN);
    let noise = [1, 2].map(|seed| Noise(seed).tensor(&shape, 20));
    let all = [[0, 0].map(|v| Tensor::fill(&shape, v)), [65_536, 65_536].map(|v| Tensor::fill(&shape, v)), noise];
    for mode in [TruncMode::Fast, TruncMode::Exact] {
        let mut lengths = Vec::new();
        for inputs in &all {
            let config = Config { mode, ..Config::default() };
            let (results, frames) = World::<Gmw>::new(config).record(|p| program(p, inputs).map(drop));
            results.into_iter().for_each(|result| result.expect("the program runs"));
            let mut messages: BTreeMap<(usize, u64, bool), Vec<u8>> = BTreeMap::new();
            // Points of the base transfers are no uniform bytes.
            for frame in frames.iter().filter(|frame| frame.tag.step > 1) {
                let answers = frame.tag.tile >= 1 << 20;
                messages.entry((frame.from, frame.tag.step, answers)).or_default().extend(&frame.payload);
            }
            assert!(messages.len() > 40, "most steps send something: {}", messages.len());
            for (place, bytes) in &messages {
                // Of the answers to a word of choices one in 66 half words is empty, always the same (docs/protocols/ot.md, 5.2).
                let filled: Vec<u8> = bytes.chunks(4).filter(|half| *half != [0; 4]).flatten().copied().collect();
                assert!(bytes.len() - filled.len() <= bytes.len() / 66 + 4, "{place:?} is not full");
                let (score, bias) = (chi_square(&filled), bit_bias(&filled));
                assert!(score < 7.0 && bias < 7.0, "{mode:?} {place:?}: {score} {bias}");
            }
            lengths.push(frames.iter().map(|f| (f.from, f.tag, f.payload.len())).collect::<Vec<_>>());
        }
        assert!(lengths.iter().all(|all| *all == lengths[0]), "lengths depend on shapes only");
    }
}

/// A receiver that chooses otherwise in every column is stopped before it gets an answer; both sides end, nothing is opened.
#[test]
fn columns_that_do_not_fit_stop_both_parties() {
    let inputs = [1, 2].map(|seed| Noise(seed).tensor(&Shape::vector(LEN), 20));
    let tamper: Tamper = Arc::new(|mut frame: Frame| {
        if frame.from == 0 && frame.tag.step > 1 && frame.tag.step < 1 << 56 && frame.tag.tile < 1 << 20 {
            frame.payload.iter_mut().step_by(16).for_each(|byte| *byte ^= 1);
        }
        vec![frame]
    });
    let results = World::<Gmw>::new(Config::default()).tampered(tamper, |p| {
        let result = program(p, &inputs);
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
    let config = Config { mode: TruncMode::Exact, ..Config::default() };
    let open = |p: &mut Gmw, shares: &[Tensor<u64>]| {
        let mut open = |x: &Tensor<u64>| p.open(x, Recipients::ALL).expect("opens").expect("to all");
        shares.iter().map(&mut open).collect::<Vec<_>>()
    };
    let kept = World::<Gmw>::new(config).run(|p| {
        let shares = program(p, &inputs).expect("the program runs");
        (open(p, &shares), shares)
    });
    let again = World::<Gmw>::new(config).run(|p| {
        let shares = &kept[p.me()].1;
        let fresh = p.refresh(&shares.iter().collect::<Vec<_>>(), Origin::Same).expect("refreshed");
        assert!(fresh.iter().zip(shares).all(|(fresh, old)| fresh != old), "shares are new");
        assert!(p.refresh(&[&shares[0]], Origin::Without(3)).is_err(), "these are no shares of four parties");
        open(p, &fresh)
    });
    assert!(again.iter().zip(&kept).all(|(again, (before, _))| again == before));
}

#[test]
fn openings_reach_their_recipients_and_nobody_else() {
    let value = Tensor::fill(&Shape::vector(5), 77u64);
    for recipients in [vec![0], vec![1], vec![0, 1], vec![]] {
        let opened = World::<Gmw>::new(Config::default()).run(|p| {
            let x = p.input(1, value.shape(), (p.me() == 1).then_some(&value)).unwrap();
            p.open(&x, Recipients::of(&recipients)).unwrap()
        });
        for (me, opened) in opened.into_iter().enumerate() {
            assert_eq!(opened, recipients.contains(&me).then(|| value.clone()), "party {me} of {recipients:?}");
        }
    }
}

#[test]
fn a_sine_series_is_refused() {
    let refused = World::<Gmw>::new(Config::default()).run(|p| {
        let x = p.public(&Tensor::zeros(&Shape::vector(1)));
        matches!(sigmoid::fourier_clipped(p, &x), Err(Error::Parameter { .. }))
    });
    assert_eq!(refused, [true; 2]);
}
