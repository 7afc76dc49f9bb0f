//! What is on the wire: masked, never twice the same, and in shape independent of the data. And what a receiver makes of
//! frames that are not the ones it is due.

use privity_mpc::ops::fourier::Series;
use privity_mpc::rep3::Rep3;
use privity_mpc::{By, Config, Error, Inject, Product, Protocol, Raw, Recipients, Result, TruncMode};
use privity_mpc_test::World;
use privity_mpc_test::conformance::Noise;
use privity_mpc_test::statistics::{bit_bias, chi_square};
use privity_net::NetError;
use privity_net::sim::Frame;
use privity_ring::{Shape, Tensor};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

const LEN: usize = 3000;

/// Every primitive once, on inputs of all parties. Nothing is opened: openings are the only messages that may look like
/// anything.
fn program(p: &mut Rep3, inputs: &[Tensor<u64>; 3]) -> Result<()> {
    let shape = Shape::vector(LEN);
    let mut shares = Vec::new();
    for owner in 0..3 {
        shares.push(p.input(owner, &shape, (p.me() == owner).then_some(&inputs[owner]))?);
    }
    let [x, y, z] = shares.try_into().expect("three owners");
    let raw = p.products(&[Product::mul(&x, &y, 16), Product::mul(&x, &z, 0)])?;
    let square = Shape::matrix(50, 60);
    let (a, b) = (privity_mpc::Share::reshape(&x, &square), privity_mpc::Share::reshape(&y, &Shape::matrix(60, 50)));
    p.products_lifted(&[Product::matmul(&a, &b, 20)])?;
    let (bits, lifted) = p.signs(&[&x, &y], 30, vec![raw[0].clone()])?;
    let armed = p.arm(&[&bits[0]])?.remove(0);
    let terms = vec![(&armed, By::Value(&raw[0])), (&bits[1], By::Public(3))];
    p.inject(&[Inject { terms, shape: shape.clone() }])?;
    p.select(&bits[1], &raw[0])?;
    p.select(&armed, &Raw::exact(z.clone()))?;
    p.and(&[(&bits[0], &bits[1])])?;
    p.a2b(&lifted[0], 20)?;
    let rescaled = p.rescale(&[(&z, 9)])?;
    p.lift(rescaled)?;
    if p.config().mode == TruncMode::Fast {
        p.harmonics(&x, &Series::new(20, 16, &[0.5, 0.25]))?;
    }
    Ok(())
}

fn inputs() -> [[Tensor<u64>; 3]; 3] {
    let shape = Shape::vector(LEN);
    let mut noise = Noise(11);
    [
        [0, 1, 2].map(|_| Tensor::zeros(&shape)),
        [0, 1, 2].map(|_| Tensor::fill(&shape, 65_536)),
        [0, 1, 2].map(|_| noise.tensor(&shape, 20)),
    ]
}

fn record(world: World<Rep3>, inputs: &[Tensor<u64>; 3]) -> Vec<Frame> {
    let (results, frames) = world.record(|p| program(p, inputs));
    results.into_iter().for_each(|r| r.expect("the program runs"));
    frames
}

fn modes() -> [Config; 2] {
    [TruncMode::Fast, TruncMode::Exact].map(|mode| Config { mode, ..Config::default() })
}

/// The words of a payload that carry something: the last word of packed bits or lanes may be padding.
fn body(frame: &Frame) -> &[u8] {
    &frame.payload[..frame.payload.len().saturating_sub(8)]
}

#[test]
fn every_message_looks_uniform_whatever_the_inputs() {
    for config in modes() {
        for inputs in &inputs() {
            let mut by_step: BTreeMap<(usize, usize, u64), Vec<u8>> = BTreeMap::new();
            for frame in record(World::<Rep3>::new(config), inputs) {
                by_step.entry((frame.from, frame.to, frame.tag.step)).or_default().extend(body(&frame));
            }
            assert!(by_step.len() > 20, "most steps send something");
            for (step, bytes) in by_step.iter().filter(|(_, bytes)| bytes.len() >= 2048) {
                let (score, bias) = (chi_square(bytes), bit_bias(bytes));
                assert!(score < 8.0 && bias < 8.0, "{config:?}, (from, to, step) {step:?}: {score} {bias}");
            }
        }
    }
}

#[test]
fn no_masked_block_ever_recurs() {
    for config in modes() {
        let inputs = &inputs()[0];
        let mut seen = HashSet::new();
        for run in 0..2 {
            for frame in record(World::<Rep3>::new(config), inputs) {
                // An input's masked value goes to both its holders: once to each is once.
                if frame.tag.step <= 3 && frame.to == 2 && frame.from == 0 {
                    continue;
                }
                for block in body(&frame).chunks_exact(16) {
                    let fresh = seen.insert(<[u8; 16]>::try_from(block).expect("16 bytes"));
                    assert!(
                        fresh,
                        "{config:?}, run {run}: {} to {} {:?} repeats a block",
                        frame.from, frame.to, frame.tag
                    );
                }
            }
        }
    }
}

#[test]
fn the_shape_of_traffic_does_not_depend_on_data_and_fixed_keys_repeat_it() {
    for config in modes() {
        let shape = |frames: Vec<Frame>| -> Vec<_> {
            frames.iter().map(|f| (f.from, f.to, f.tag, f.depth, f.payload.len())).collect()
        };
        let shapes = inputs().map(|inputs| shape(record(World::<Rep3>::new(config), &inputs)));
        assert!(shapes.iter().all(|s| *s == shapes[0]), "{config:?}");
        let fixed = World::<Rep3>::with_fixed_keys(config, 9);
        assert_eq!(record(fixed, &inputs()[2]), record(fixed, &inputs()[2]), "{config:?}");
    }
}

#[test]
fn a_frame_that_is_not_due_is_a_typed_error_at_its_receiver() {
    let config = Config::default();
    let inputs = inputs()[2].clone();
    let frames = record(World::<Rep3>::new(config), &inputs);
    let changes: [fn(Frame) -> Vec<Frame>; 6] = [
        |f| vec![Frame { tag: privity_net::Tag { step: f.tag.step + 1, ..f.tag }, ..f }],
        |f| vec![Frame { tag: privity_net::Tag { epoch: f.tag.epoch + 1, ..f.tag }, ..f }],
        |f| vec![Frame { tag: privity_net::Tag { tile: f.tag.tile + 1, ..f.tag }, ..f }],
        |f| vec![Frame { payload: f.payload[..f.payload.len() / 2].to_vec(), ..f }],
        |f| vec![f.clone(), f],
        |mut f| {
            f.payload.push(0);
            vec![f]
        },
    ];
    // One frame of each sender, receiver and part of the program, each altered in each way.
    for victim in frames.iter().step_by(frames.len() / 12) {
        for (kind, change) in changes.into_iter().enumerate() {
            let (from, to, index) = (victim.from, victim.to, victim.index);
            let last = frames.iter().filter(|f| (f.from, f.to) == (from, to)).map(|f| f.index).max() == Some(index);
            let hook = Arc::new(move |f: Frame| match (f.from, f.to, f.index) == (from, to, index) {
                true => change(f),
                false => vec![f],
            });
            let ends = World::<Rep3>::new(config).tampered(hook, |p| {
                let ended = program(p, &inputs).and_then(|()| {
                    let zero = p.public(&Tensor::zeros(&Shape::vector(1)));
                    p.open(&zero, Recipients::ALL).map(drop)
                });
                if let Err(Error::Net(cause)) = &ended {
                    let cause =
                        privity_net::AbortCause { about: cause.about().unwrap_or(from), reason: cause.to_string() };
                    p.party().link().abort(&cause);
                }
                ended
            });
            let Err(Error::Net(error)) = &ends[to] else {
                // Nobody looks behind the last frame.
                assert!(last && ends[to].is_ok(), "change {kind} of {:?}: {:?}", victim.tag, ends[to]);
                continue;
            };
            let typed = matches!(
                error,
                NetError::Desync { peer, .. } | NetError::Replay { peer, .. } | NetError::Length { peer, .. } if *peer == from
            );
            assert!(typed, "change {kind} of {:?}: {error:?}", victim.tag);
            assert!(ends.iter().all(|e| e.is_ok() || matches!(e, Err(Error::Net(_)))), "{ends:?}");
        }
    }
}
