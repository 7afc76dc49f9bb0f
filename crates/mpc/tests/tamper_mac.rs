//! Parties lie under additive-mac: every message of every party but the dealer in every operation is altered once. What is opened is right
//! at all honest parties, or none of them opens anything.

use privity_mpc::additive_mac::{AdditiveMac, DEALER};
use privity_mpc::{
    BitShare, By, Config, Error, Inject, Origin, Product, Protocol, Radix, Raw, Recipients, Result, Share, TruncMode,
};
use privity_mpc_test::World;
use privity_mpc_test::conformance::Noise;
use privity_mpc_test::statistics::chi_square;
use privity_mpc_test::tamper::{ALTERATIONS, Alteration, PATIENCE, Place, alter, side_by_side, word};
use privity_net::sim::{Frame, Tamper};
use privity_ring::{Shape, Tensor};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Opened = Result<Vec<Tensor<u64>>>;
type A = <AdditiveMac as Protocol>::A;

const LEN: usize = 67;

struct Operation {
    name: &'static str,
    mode: TruncMode,
    radix: Radix,
    /// Of several lanes the last one's messages are altered.
    lanes: usize,
    run: fn(&mut AdditiveMac, &[A]) -> Result<Vec<A>>,
}

const PLAIN: Operation =
    Operation { name: "", mode: TruncMode::Fast, radix: Radix::Four, lanes: 1, run: |_, _| Ok(Vec::new()) };

fn matrix(x: &A, rows: usize, cols: usize) -> A {
    x.slice_rows(0, rows * cols).reshape(&Shape::matrix(rows, cols))
}

/// Shares two inputs and runs the operation.
fn compute(p: &mut AdditiveMac, operation: &Operation) -> Result<Vec<A>> {
    let mut noise = Noise(5);
    let shape = Shape::vector(LEN);
    let last = p.owners().end - 1;
    let mut shares = Vec::new();
    for owner in [1, last] {
        let x = noise.tensor(&shape, 18);
        shares.push(p.input(owner, &shape, (p.me() == owner).then_some(&x))?);
    }
    (operation.run)(p, &shares)
}

/// The same, and opens what it gives: the first result to all, others to one party only.
fn run(p: &mut AdditiveMac, operation: &Operation) -> Opened {
    let results = compute(p, operation)?;
    let mut opened = Vec::new();
    for (i, result) in results.iter().enumerate() {
        let to = if i == 0 { Recipients::ALL } else { Recipients::only(1 + i % 2) };
        opened.extend(p.open(result, to)?);
    }
    Ok(opened)
}

fn world(operation: &Operation, others: usize, seed: u8) -> World<AdditiveMac> {
    let config = Config { mode: operation.mode, radix: operation.radix, ..Config::default() };
    let world = World::additive_mac(config, others).fixed(seed);
    world.with_deadline(PATIENCE / 2).with_lanes(operation.lanes)
}

/// All honest parties got what they get when nobody lies, or all of them an error of the kinds that are allowed.
fn judge(case: &str, cheater: usize, got: &[Opened], want: &[Opened]) -> bool {
    let honest: Vec<usize> = (0..got.len()).filter(|party| *party != cheater).collect();
    let completed = honest.iter().filter(|party| got[**party].is_ok()).count();
    assert!(completed == 0 || completed == honest.len(), "{case}: {completed} honest parties went on");
    for party in honest {
        match &got[party] {
            Ok(values) => {
                assert!(Some(values) == want[party].as_ref().ok(), "{case}: party {party} opened a wrong value")
            }
            Err(Error::Cheating { .. } | Error::Net(_)) => {}
            Err(other) => panic!("{case}: party {party} failed with {other}"),
        }
    }
    completed > 0
}

/// How often the sweep is done, with other keys each time.
fn sweeps() -> u8 {
    if std::env::var_os("PRIVITY_HEAVY").is_some() { 3 } else { 1 }
}

/// Alterations that leave a frame's length, order and number: only tags can tell.
fn content(alteration: Alteration) -> bool {
    matches!(alteration, Alteration::Random | Alteration::PlusOne | Alteration::LastWord | Alteration::Replayed)
}

fn sweep(operation: &Operation) {
    let mut sum = [0; 3];
    for (keys, others) in (1..=sweeps()).flat_map(|keys| [(keys, 2), (keys, 3)]) {
        let world = world(operation, others, keys);
        let (want, frames) = world.record(|p| run(p, operation));
        assert!(want.iter().all(Result::is_ok), "{}: {want:?}", operation.name);
        let (_, data) = world.record(|p| compute(p, operation).map(drop));
        let data: HashSet<Place> = data.iter().map(|f| (f.from, f.to, f.index)).collect();
        let frames: Vec<&Frame> = frames.iter().filter(|frame| frame.from != DEALER).collect();
        let case = |i: usize| {
            let (frame, alteration) = (frames[i / ALTERATIONS.len()], ALTERATIONS[i % ALTERATIONS.len()]);
            altered(operation, &world, &want, (frame, alteration, 2 * i as u64), &data)
        };
        for counted in side_by_side(frames.len() * ALTERATIONS.len(), case) {
            sum.iter_mut().zip(counted).for_each(|(sum, counted)| *sum += usize::from(counted));
        }
    }
    let [cases, used, completed] = sum;
    println!("{}: {cases} cases, {used} of used data; {completed} with the right value", operation.name);
}

/// One case: whether it is one (it is), whether it is one of used data, and whether the parties went on.
fn altered(
    operation: &Operation,
    world: &World<AdditiveMac>,
    want: &[Opened],
    (frame, alteration, seed): (&Frame, Alteration, u64),
    data: &HashSet<Place>,
) -> [bool; 3] {
    let (parties, place) = (world.parties(), (frame.from, frame.to, frame.index));
    // The seed is even: even words of numbers are those that count.
    let got = world.tampered(alter(place, alteration, seed), |p| run(p, operation));
    let case = format!("{}, {parties} in all: {place:?} {alteration:?}", operation.name);
    let went_on = judge(&case, frame.from, &got, want);
    if alteration == Alteration::Dropped {
        // What the network can do alone is never taken for a deviation.
        let accused = |party: usize| matches!(got[party], Err(Error::Cheating { .. }));
        assert!((0..parties).all(|party| party == frame.from || !accused(party)), "{case}: {got:?}");
    }
    // Of two parties an owner tells the other what it likes: steps 2 and 3.
    let free = parties == 3 && operation.lanes == 1 && frame.tag.step <= 3;
    let used = content(alteration) && operation.name != "two windows" && data.contains(&place) && !free;
    assert!(!used || !went_on, "{case}: data was altered unnoticed");
    [true, used, went_on]
}

#[test]
fn inputs() {
    sweep(&Operation { name: "inputs", run: |_, x| Ok(x.to_vec()), ..PLAIN });
}

#[test]
fn products() {
    let run = |p: &mut AdditiveMac, x: &[A]| {
        let (a, b) = (matrix(&x[0], 4, 16), matrix(&x[1], 16, 4));
        let jobs = [Product::mul(&x[0], &x[1], 16), Product::mul(&x[0], &x[1], 0), Product::matmul(&a, &b, 8)];
        p.products_lifted(&jobs)
    };
    sweep(&Operation { name: "products", run, ..PLAIN });
}

#[test]
fn exact_products() {
    let run = |p: &mut AdditiveMac, x: &[A]| p.products_lifted(&[Product::mul(&x[0], &x[1], 5)]);
    sweep(&Operation { name: "exact", mode: TruncMode::Exact, run, ..PLAIN });
}

#[test]
fn rescaling() {
    let run = |p: &mut AdditiveMac, x: &[A]| {
        let raw = p.rescale(&[(&x[1], 9)])?;
        p.lift(raw)
    };
    sweep(&Operation { name: "rescale", run, ..PLAIN });
}

#[test]
fn comparisons() {
    let run = |p: &mut AdditiveMac, x: &[A]| {
        let (bits, _) = p.signs(&[&x[0], &x[1]], 20, Vec::new())?;
        Ok(vec![p.b2a(&bits[0])?, p.b2a(&bits[1])?])
    };
    sweep(&Operation { name: "comparison", run, ..PLAIN });
    sweep(&Operation { name: "two-input gates", radix: Radix::Two, run, ..PLAIN });
}

#[test]
fn selections() {
    let run = |p: &mut AdditiveMac, x: &[A]| {
        let raw = p.products(&[Product::mul(&x[0], &x[1], 16)])?.remove(0);
        let (bits, lifted) = p.signs(&[&x[1]], 20, vec![raw.clone()])?;
        let armed = p.arm(&[&bits[0]])?.remove(0);
        let exact = Raw::exact(lifted[0].clone());
        let positive = p.not(&armed);
        let shape = x[0].shape().clone();
        let terms = vec![(&positive, By::Value(&exact)), (&bits[0], By::Value(&raw)), (&armed, By::Public(9))];
        p.inject(&[Inject { terms, shape }])
    };
    sweep(&Operation { name: "select", run, ..PLAIN });
}

#[test]
fn bits() {
    let run = |p: &mut AdditiveMac, x: &[A]| {
        let bits = p.a2b(&x[1], 4)?;
        let both = p.and(&[(&bits.plane(0), &bits.plane(3))])?;
        Ok(vec![p.b2a(&both[0])?, p.b2a(&bits.plane(2))?])
    };
    sweep(&Operation { name: "bits", run, ..PLAIN });
}

#[test]
fn several_windows() {
    let run = |p: &mut AdditiveMac, x: &[A]| {
        let z = p.products_lifted(&[Product::mul(&x[0], &x[1], 16)])?.remove(0);
        p.open(&z, Recipients::ALL)?;
        p.products_lifted(&[Product::mul(&z, &x[1], 16)])
    };
    sweep(&Operation { name: "two windows", run, ..PLAIN });
}

#[test]
fn refreshed_shares() {
    sweep(&Operation { name: "refresh", run: |p, x| p.refresh(&[&x[0], &x[1]], Origin::Same), ..PLAIN });
}

/// What was done in a lane is verified before anything is opened in the first one.
#[test]
fn lanes() {
    let run = |p: &mut AdditiveMac, x: &[A]| {
        let parts = vec![(x[0].clone(), x[1].clone()), (x[1].clone(), x[0].clone())];
        p.in_lanes(parts, |p, (x, y)| Ok(p.products_lifted(&[Product::mul(&x, &y, 16)])?.remove(0)))
    };
    sweep(&Operation { name: "lanes", lanes: 2, run, ..PLAIN });
}

/// A party that kept something else than the others is noticed before anything is opened.
#[test]
fn contradictory_kept_shares_are_noticed() {
    for liar in 1..=3 {
        let outcomes = World::additive_mac(Config::default(), 3).run(|p| {
            let x = Tensor::fill(&Shape::vector(5), 7 + u64::from(p.me() == liar));
            let kept = p.public(&x);
            let fresh = p.refresh(&[&kept], Origin::Same)?;
            p.open(&fresh[0], Recipients::ALL)
        });
        assert!(outcomes.iter().all(|o| matches!(o, Err(Error::Cheating { .. }))), "{liar}: {outcomes:?}");
    }
}

fn all_stopped(outcomes: &[Opened], cheater: usize) -> bool {
    let honest = outcomes.iter().enumerate().filter(|(party, _)| *party != cheater);
    honest.into_iter().all(|(_, o)| matches!(o, Err(Error::Cheating { .. })))
}

/// Half a ring added to any number, a single bit of any packed word: what tags modulo 2^64 would let pass.
#[test]
fn the_smallest_lies_are_noticed() {
    let product = |p: &mut AdditiveMac, secret: u64| -> Opened {
        let x = Tensor::fill(&Shape::vector(5), secret);
        let x = p.input(1, x.shape(), (p.me() == 1).then_some(&x))?;
        let z = p.products(&[Product::mul(&x, &x, 0)])?.remove(0);
        Ok(p.open(z.low_bits(), Recipients::ALL)?.into_iter().collect())
    };
    let sign = |p: &mut AdditiveMac, secret: u64| -> Opened {
        let x = Tensor::fill(&Shape::vector(5), secret);
        let x = p.input(1, x.shape(), (p.me() == 1).then_some(&x))?;
        let (bits, _) = p.signs(&[&x], 6, Vec::new())?;
        let bit = p.b2a(&bits[0])?;
        Ok(p.open(&bit, Recipients::ALL)?.into_iter().collect())
    };
    let world = World::additive_mac(Config::default(), 2);
    for secret in [0, 1, 2, 11, 3u64.wrapping_neg()] {
        // Step 1 draws the keys, step 2 shares the input, step 3 is the operation.
        for place in 0..5 {
            for bit in [0, 1, 40, 63] {
                let flip = |at: usize| -> Tamper {
                    Arc::new(move |mut frame: Frame| {
                        if (frame.from, frame.to, frame.tag.step) == (2, 1, 3) {
                            word(&mut frame.payload, at, |w| w ^ 1 << bit);
                        }
                        vec![frame]
                    })
                };
                let outcomes = world.tampered(flip(2 * place), |p| product(p, secret));
                assert!(all_stopped(&outcomes, 2), "{secret}: number {place}, bit {bit}: {outcomes:?}");
            }
        }
        for (plane, bit) in [(0, 0), (0, 4), (1, 2), (2, 1)] {
            let hook: Tamper = Arc::new(move |mut frame: Frame| {
                if (frame.from, frame.to, frame.tag.step) == (2, 1, 3) {
                    word(&mut frame.payload, plane, |w| w ^ 1 << bit);
                }
                vec![frame]
            });
            let outcomes = world.tampered(hook, |p| sign(p, secret));
            assert!(all_stopped(&outcomes, 2), "{secret}: plane {plane}, bit {bit}: {outcomes:?}");
        }
    }
}

/// Two of three lie to the third so that their errors cancel, or so that they agree.
#[test]
fn parties_that_lie_together_are_noticed() {
    for errors in [[1, 1u64.wrapping_neg()], [1 << 63, 1 << 63], [5, 5]] {
        let hook: Tamper = Arc::new(move |mut frame: Frame| {
            if frame.to == 3 && frame.from != DEALER && frame.tag.step == 3 {
                word(&mut frame.payload, 0, |w| w.wrapping_add(errors[frame.from - 1]));
            }
            vec![frame]
        });
        let outcomes = World::additive_mac(Config::default(), 3).tampered(hook, |p| -> Opened {
            let x = Tensor::fill(&Shape::vector(4), 3);
            let x = p.input(1, x.shape(), (p.me() == 1).then_some(&x))?;
            let z = p.products(&[Product::mul(&x, &x, 0)])?.remove(0);
            Ok(p.open(z.low_bits(), Recipients::ALL)?.into_iter().collect())
        });
        assert!(
            [DEALER, 3].iter().all(|party| matches!(outcomes[*party], Err(Error::Cheating { .. }))),
            "{outcomes:?}"
        );
    }
}

/// An error in the half of a number that nobody uses passes or not by a bit of the verifier's key: alike for all secrets. The value is
/// right when it passes.
#[test]
fn whether_an_error_without_effect_is_noticed_depends_on_no_secret() {
    const RUNS: usize = 200;
    let stopped = [0u64, 1, 1 << 40].map(|secret| {
        let hook: Tamper = Arc::new(|mut frame: Frame| {
            if (frame.from, frame.to, frame.tag.step) == (2, 1, 3) {
                word(&mut frame.payload, 1, |w| w ^ 1 << 63);
            }
            vec![frame]
        });
        let outcome = |_| {
            let outcomes = World::additive_mac(Config::default(), 2).tampered(hook.clone(), |p| -> Opened {
                let x = Tensor::fill(&Shape::vector(2), secret);
                let x = p.input(1, x.shape(), (p.me() == 1).then_some(&x))?;
                let z = p.products(&[Product::mul(&x, &x, 0)])?.remove(0);
                Ok(p.open(z.low_bits(), Recipients::ALL)?.into_iter().collect())
            });
            let right = Tensor::fill(&Shape::vector(2), secret.wrapping_mul(secret));
            assert!(outcomes[..2].iter().flatten().all(|values| values[0] == right), "{outcomes:?}");
            all_stopped(&outcomes, 2)
        };
        (0..RUNS).map(outcome).filter(|stopped| *stopped).count()
    });
    // Half of the runs each; seven standard deviations are 50.
    assert!(stopped.iter().all(|count| count.abs_diff(RUNS / 2) < 50), "{stopped:?}");
}

/// Party 2 lies in a product, whose wrong result is multiplied by a secret of party 1: what it receives until it is stopped is uniform,
/// whatever the secret, and it is stopped always.
#[test]
fn nothing_received_while_a_check_fails_depends_on_a_secret() {
    const RUNS: usize = 150;
    let shape = Shape::vector(4);
    let received = [0u64, 1 << 40].map(|secret| {
        let mut received = Vec::new();
        for _ in 0..RUNS {
            let seen: Arc<Mutex<Vec<Frame>>> = Arc::default();
            let record = seen.clone();
            let hook: Tamper = Arc::new(move |mut frame: Frame| {
                // One step for the keys, two inputs, the first product.
                if (frame.from, frame.to, frame.tag.step) == (2, 1, 4) {
                    word(&mut frame.payload, 0, |w| w.wrapping_add(1));
                }
                if frame.to == 2 && (4..1 << 40).contains(&frame.tag.step) {
                    record.lock().expect("no party panicked").push(frame.clone());
                }
                vec![frame]
            });
            let outcomes = World::additive_mac(Config::default(), 2).tampered(hook, |p| -> Opened {
                let x = Tensor::fill(&shape, 3);
                let w = Tensor::fill(&shape, secret);
                let x = p.input(2, &shape, (p.me() == 2).then_some(&x))?;
                let w = p.input(1, &shape, (p.me() == 1).then_some(&w))?;
                let z = p.products(&[Product::mul(&x, &x, 0)])?.remove(0);
                let product = p.products(&[Product::mul(z.low_bits(), &w, 0)])?.remove(0);
                Ok(p.open(product.low_bits(), Recipients::ALL)?.into_iter().collect())
            });
            assert!(all_stopped(&outcomes, 2), "{outcomes:?}");
            let mut frames = std::mem::take(&mut *seen.lock().expect("no party panicked"));
            frames.sort_by_key(|f| (f.tag.step, f.tag.tile, f.from));
            received.push(frames);
        }
        received
    });
    let shape = |frames: &Vec<Frame>| -> Vec<_> { frames.iter().map(|f| (f.from, f.tag, f.payload.len())).collect() };
    for runs in &received {
        assert!(runs.iter().all(|frames| shape(frames) == shape(&received[0][0])), "the same messages in every run");
        for place in 0..runs[0].len() {
            let bytes: Vec<u8> = runs.iter().flat_map(|frames| frames[place].payload.clone()).collect();
            if runs[0][place].payload.len() > 8 {
                assert!(chi_square(&bytes) < 7.0, "{:?}", runs[0][place].tag);
            } else {
                // The verdict.
                assert!(runs.iter().all(|frames| frames[place].payload == received[0][0][place].payload));
            }
        }
    }
}

/// What the dealer is told of an opening and the others were not is a bad verdict, too: the session opens nothing more.
#[test]
fn after_a_lie_to_the_dealer_nothing_is_opened() {
    const WORDS: usize = 11;
    let tamper: Tamper = Arc::new(|mut frame: Frame| {
        if (frame.from, frame.to, frame.payload.len()) == (1, 0, 8 * WORDS) {
            word(&mut frame.payload, 0, |w| w ^ 1);
        }
        vec![frame]
    });
    let world = World::additive_mac(Config::default(), 2).with_deadline(Duration::from_millis(300));
    let ends = world.tampered(tamper, |p| {
        let values = Tensor::fill(&Shape::vector(WORDS), 3);
        let x = p.input(1, values.shape(), (p.me() == 1).then_some(&values)).expect("shared");
        let cheated = |end: Result<Option<Tensor<u64>>>| matches!(end, Err(Error::Cheating { .. }));
        let lied = cheated(p.open(&x, Recipients::ALL));
        let before = p.party().bytes_sent().to_vec();
        let again = cheated(p.open(&x, Recipients::only(1)));
        (lied, again, before == p.party().bytes_sent())
    });
    assert!(ends.iter().all(|end| *end == (true, true, true)), "{ends:?}");
}
