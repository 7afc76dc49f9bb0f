//! One party lies: every message of every party in every operation of rep4 is altered once. What is opened is right at all
//! honest parties, or none of them opens anything.

use privity_mpc::rep4::Rep4;
use privity_mpc::{
    BitShare, By, Config, Error, Inject, Origin, Party, Product, Protocol, Radix, Raw, Recipients, Result, Share,
    TruncMode,
};
use privity_mpc_test::World;
use privity_mpc_test::conformance::Noise;
use privity_mpc_test::statistics::chi_square;
use privity_mpc_test::tamper::{ALTERATIONS, Alteration, PATIENCE, Place, alter, side_by_side, word};
use privity_net::sim::{self, Frame, SimConfig, Tamper};
use privity_prim::Context;
use privity_ring::{Shape, Tensor};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Opened = Result<Vec<Tensor<u64>>>;
type A = <Rep4 as Protocol>::A;

const LEN: usize = 67;

/// Shares an input of every party and runs the operation.
fn compute(p: &mut Rep4, operation: &Operation) -> Result<Vec<A>> {
    let mut noise = Noise(5);
    let shape = Shape::vector(LEN);
    let mut shares = Vec::new();
    for owner in 0..4 {
        let x = noise.tensor(&shape, 18);
        shares.push(p.input(owner, &shape, (p.me() == owner).then_some(&x))?);
    }
    (operation.run)(p, &shares)
}

/// The same, and opens what it gives: the first result to all, others to one party only.
fn run(p: &mut Rep4, operation: &Operation) -> Opened {
    let results = compute(p, operation)?;
    let mut opened = Vec::new();
    for (i, result) in results.iter().enumerate() {
        let to = if i == 0 { Recipients::ALL } else { Recipients::only(i % 4) };
        opened.extend(p.open(result, to)?);
    }
    Ok(opened)
}

struct Operation {
    name: &'static str,
    mode: TruncMode,
    radix: Radix,
    /// Of several lanes the last one's messages are altered.
    lanes: usize,
    run: fn(&mut Rep4, &[A]) -> Result<Vec<A>>,
}

const PLAIN: Operation =
    Operation { name: "", mode: TruncMode::Fast, radix: Radix::Four, lanes: 1, run: |_, _| Ok(Vec::new()) };

const OPERATIONS: [Operation; 12] = [
    Operation { name: "inputs", run: |_, x| Ok(x.to_vec()), ..PLAIN },
    Operation {
        name: "products",
        run: |p, x| {
            let (a, b) = (matrix(&x[0], 4, 16), matrix(&x[1], 16, 4));
            p.products_lifted(&[
                Product::mul(&x[0], &x[1], 16),
                Product::mul(&x[2], &x[3], 0),
                Product::matmul(&a, &b, 8),
            ])
        },
        ..PLAIN
    },
    Operation {
        name: "exact",
        mode: TruncMode::Exact,
        run: |p, x| p.products_lifted(&[Product::mul(&x[0], &x[1], 5)]),
        ..PLAIN
    },
    Operation {
        name: "rescale",
        run: |p, x| {
            let raw = p.rescale(&[(&x[3], 9)])?;
            p.lift(raw)
        },
        ..PLAIN
    },
    Operation {
        name: "comparison",
        run: |p, x| {
            let (bits, _) = p.signs(&[&x[0], &x[3]], 20, Vec::new())?;
            Ok(vec![p.b2a(&bits[0])?, p.b2a(&bits[1])?])
        },
        ..PLAIN
    },
    Operation {
        name: "select",
        run: |p, x| {
            let raw = p.products(&[Product::mul(&x[0], &x[1], 16)])?.remove(0);
            let (bits, lifted) = p.signs(&[&x[2]], 20, vec![raw.clone()])?;
            let armed = p.arm(&[&bits[0]])?.remove(0);
            let exact = Raw::exact(lifted[0].clone());
            let positive = p.not(&armed);
            let shape = x[0].shape().clone();
            let terms = vec![(&positive, By::Value(&exact)), (&bits[0], By::Value(&raw)), (&armed, By::Public(9))];
            p.inject(&[Inject { terms, shape }])
        },
        ..PLAIN
    },
    Operation {
        name: "bits",
        run: |p, x| {
            let bits = p.a2b(&x[1], 4)?;
            let both = p.and(&[(&bits.plane(0), &bits.plane(3))])?;
            Ok(vec![p.b2a(&both[0])?, p.b2a(&bits.plane(2))?])
        },
        ..PLAIN
    },
    Operation {
        name: "two windows",
        run: |p, x| {
            let z = p.products_lifted(&[Product::mul(&x[0], &x[2], 16)])?.remove(0);
            p.open(&z, Recipients::ALL)?;
            p.products_lifted(&[Product::mul(&z, &x[1], 16)])
        },
        ..PLAIN
    },
    Operation { name: "refresh", run: |p, x| p.refresh(&[&x[0], &x[3]], Origin::Same), ..PLAIN },
    Operation {
        name: "admission",
        run: |p, _| {
            let three = kept_by_three(p.me());
            p.refresh(&[&three], Origin::Joined)
        },
        ..PLAIN
    },
    Operation {
        name: "two-input gates",
        radix: Radix::Two,
        run: |p, x| {
            let (bits, _) = p.signs(&[&x[1]], 20, Vec::new())?;
            Ok(vec![p.b2a(&bits[0])?])
        },
        ..PLAIN
    },
    Operation {
        name: "lanes",
        lanes: 2,
        run: |p, x| {
            let parts = vec![(x[0].clone(), x[1].clone()), (x[2].clone(), x[3].clone())];
            p.in_lanes(parts, |p, (x, y)| Ok(p.products_lifted(&[Product::mul(&x, &y, 16)])?.remove(0)))
        },
        ..PLAIN
    },
];

/// What a party has of a value that three kept under rep3: masks, or the masked value and one of them. The fourth has nothing.
fn kept_by_three(me: usize) -> A {
    let (shape, mut noise) = (Shape::vector(LEN), Noise(77));
    let [x, l1, l2] = [18, 64, 64].map(|bits| noise.tensor(&shape, bits));
    let masked = x.add(&l1).add(&l2);
    let parts = match me {
        0 => [l1, l2],
        1 => [masked, l1],
        2 => [masked, l2],
        _ => [Tensor::zeros(&shape), Tensor::zeros(&shape)],
    };
    A::from_parts(parts.into()).expect("two parts")
}

impl Operation {
    /// Whether nothing is opened, robustly, before the end.
    fn single_window(&self) -> bool {
        self.name != "two windows"
    }
}

fn matrix(x: &A, rows: usize, cols: usize) -> A {
    x.slice_rows(0, rows * cols).reshape(&Shape::matrix(rows, cols))
}

fn world(operation: &Operation, seed: u8) -> World<Rep4> {
    let config = Config { mode: operation.mode, radix: operation.radix, ..Config::default() };
    World::with_fixed_keys(config, seed).with_deadline(PATIENCE).with_lanes(operation.lanes)
}

/// All honest parties got what they get when nobody lies, or all of them an error of the kinds that are allowed.
fn judge(case: &str, cheater: usize, got: &[Opened], want: &[Opened]) -> bool {
    let honest = || (0..4).filter(|party| *party != cheater);
    let completed = honest().filter(|party| got[*party].is_ok()).count();
    assert!(completed == 0 || completed == 3, "{case}: {completed} of three honest parties went on");
    for party in honest() {
        match &got[party] {
            Ok(values) => {
                assert!(Some(values) == want[party].as_ref().ok(), "{case}: party {party} opened a wrong value")
            }
            Err(Error::Cheating { .. } | Error::Net(_)) => {}
            Err(other) => panic!("{case}: party {party} failed with {other}"),
        }
    }
    completed == 3
}

/// How often the sweep is done, with other keys each time: some 23,000 cases in all under `cargo xtask heavy`.
fn sweeps() -> u8 {
    if std::env::var_os("PRIVITY_HEAVY").is_some() { 3 } else { 1 }
}

fn sweep(operation: &Operation) {
    let mut sum = [0; 3];
    for keys in 1..=sweeps() {
        let world = world(operation, keys);
        let (want, frames) = world.record(|p| run(p, operation));
        assert!(want.iter().all(Result::is_ok), "{}: {want:?}", operation.name);
        // Frames before the last verification carry data that is used: none of their contents may be altered unnoticed.
        let (_, data) = world.record(|p| compute(p, operation).map(drop));
        let data: HashSet<Place> = data.iter().map(|f| (f.from, f.to, f.index)).collect();
        let each = frames.len() * ALTERATIONS.len();
        let case = |i: usize| {
            let (frame, of) = (&frames[i / ALTERATIONS.len()], i % ALTERATIONS.len());
            let seed = (usize::from(keys - 1) * each + i) * 31 + of;
            altered(operation, &world, &want, (frame, ALTERATIONS[of], seed as u64), &data)
        };
        for counted in side_by_side(each, case) {
            sum.iter_mut().zip(counted).for_each(|(sum, counted)| *sum += usize::from(counted));
        }
    }
    let [cases, used, completed] = sum;
    println!("{}: {cases} cases, {used} of used data; {completed} with the right value", operation.name);
}

/// One case: whether it is one (it is), whether it is one of used data, and whether the parties went on.
fn altered(
    operation: &Operation,
    world: &World<Rep4>,
    want: &[Opened],
    (frame, alteration, seed): (&Frame, Alteration, u64),
    data: &HashSet<Place>,
) -> [bool; 3] {
    let place = (frame.from, frame.to, frame.index);
    let got = world.tampered(alter(place, alteration, seed), |p| run(p, operation));
    let case = format!("{}: {place:?} {alteration:?}, seed {seed}", operation.name);
    let went_on = judge(&case, frame.from, &got, want);
    if alteration == Alteration::Dropped {
        // What the network can do alone is never taken for a deviation.
        let accused = |party: usize| matches!(got[party], Err(Error::Cheating { .. }));
        assert!((0..4).all(|party| party == frame.from || !accused(party)), "{case}: {got:?}");
    }
    let used = operation.single_window() && data.contains(&place);
    assert!(!used || !went_on, "{case}: data was altered unnoticed");
    [true, used, went_on]
}

#[test]
fn inputs() {
    sweep(&OPERATIONS[0]);
}

#[test]
fn products() {
    sweep(&OPERATIONS[1]);
}

#[test]
fn exact_products() {
    sweep(&OPERATIONS[2]);
}

#[test]
fn rescaling() {
    sweep(&OPERATIONS[3]);
}

#[test]
fn comparisons() {
    sweep(&OPERATIONS[4]);
}

#[test]
fn comparisons_with_two_input_gates() {
    sweep(&OPERATIONS[10]);
}

/// What was done in a lane is verified before anything is opened in the first one.
#[test]
fn lanes() {
    sweep(&OPERATIONS[11]);
}

#[test]
fn selections() {
    sweep(&OPERATIONS[5]);
}

#[test]
fn bits() {
    sweep(&OPERATIONS[6]);
}

#[test]
fn several_windows() {
    sweep(&OPERATIONS[7]);
}

#[test]
fn refreshed_shares() {
    sweep(&OPERATIONS[8]);
}

#[test]
fn admission_of_a_party() {
    sweep(&OPERATIONS[9]);
    // What is admitted is the value that the three kept, whoever of them lies about its share.
    let world = World::<Rep4>::new(Config::default());
    let mut noise = Noise(77);
    let x = noise.tensor(&Shape::vector(LEN), 18);
    let open = |p: &mut Rep4, kept: A| -> Opened {
        let fresh = p.refresh(&[&kept], Origin::Joined)?;
        Ok(p.open(&fresh[0], Recipients::ALL)?.into_iter().collect())
    };
    for values in world.run(|p| open(p, kept_by_three(p.me()))) {
        assert_eq!(values.expect("honest")[0], x);
    }
    for (liar, part) in (0..3).flat_map(|liar| [(liar, 0), (liar, 1)]) {
        let outcomes = world.run(|p| {
            let mut parts: Vec<Tensor<u64>> = kept_by_three(p.me()).parts().into_iter().cloned().collect();
            if p.me() == liar {
                parts[part].data_mut()[5] ^= 1 << 9;
            }
            open(p, A::from_parts(parts).expect("two parts"))
        });
        assert!(outcomes.iter().all(|o| matches!(o, Err(Error::Cheating { .. }))), "{liar}, {part}: {outcomes:?}");
    }
}

#[test]
fn contradictory_key_contributions_are_noticed() {
    for (from, to) in (0..4).flat_map(|from| (0..4).map(move |to| (from, to))).filter(|(from, to)| from != to) {
        for at in [1, 40, 70] {
            let hook: Tamper = Arc::new(move |mut frame: Frame| {
                if (frame.from, frame.to, frame.index) == (from, to, 0) {
                    frame.payload[at] ^= 1;
                }
                vec![frame]
            });
            let links =
                sim::mesh(4, SimConfig { deadline: Duration::from_secs(5), tamper: Some(hook), ..Default::default() });
            let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
                let start = |link| scope.spawn(move || Party::connect(Box::new(link), &Context::default()).map(drop));
                let parties: Vec<_> = links.into_iter().map(start).collect();
                parties.into_iter().map(|p| p.join().expect("no panic")).collect()
            });
            // Byte 1 lies in the contribution to the pair's own key: only the two of them use it, and its tags.
            if at >= 32 {
                assert!(matches!(outcomes[to], Err(Error::Cheating { .. })), "{from} to {to}, byte {at}: {outcomes:?}");
            }
        }
    }
}

/// Second tells the checker a wrong value for a first product. The checker's error times a mask that second does not know then
/// enters what the checker compares with second, whose key second knows: where a single comparison is seen, it gives the mask
/// away, and with it a secret (the attack that the sum over all pairs is there for). Here all that second receives while the
/// check fails is told apart by nothing, whatever the secret.
#[test]
fn nothing_received_while_a_check_fails_depends_on_a_secret() {
    const RUNS: usize = 150;
    let shape = Shape::vector(4);
    let [zeros, large] = [0u64, 1 << 40].map(|secret| {
        let (mut stopped, mut received) = (0, Vec::new());
        for _ in 0..RUNS {
            let seen: Arc<Mutex<Vec<Frame>>> = Arc::default();
            let record = seen.clone();
            let hook: Tamper = Arc::new(move |mut frame: Frame| {
                // The first product is step 5: one step opens the window, three are inputs.
                if (frame.from, frame.to, frame.tag.step) == (2, 0, 5) {
                    word(&mut frame.payload, 0, |w| w.wrapping_add(1));
                }
                if frame.to == 2 && (5..1 << 40).contains(&frame.tag.step) {
                    record.lock().expect("no party panicked").push(frame.clone());
                }
                vec![frame]
            });
            let outcomes = World::<Rep4>::new(Config::default()).tampered(hook, |p| -> Opened {
                let x = Tensor::fill(&shape, 3);
                let w = Tensor::fill(&shape, secret);
                let mut shares = Vec::new();
                for (owner, value) in [(0, &x), (1, &x), (0, &w)] {
                    shares.push(p.input(owner, &shape, (p.me() == owner).then_some(value))?);
                }
                let z = p.products(&[Product::mul(&shares[0], &shares[1], 0)])?.remove(0);
                let product = p.products(&[Product::mul(z.low_bits(), &shares[2], 0)])?.remove(0);
                Ok(p.open(product.low_bits(), Recipients::ALL)?.into_iter().collect())
            });
            let failed = |party: usize| matches!(outcomes[party], Err(Error::Cheating { .. }));
            stopped += usize::from([0, 1, 3].into_iter().all(failed));
            let mut frames = std::mem::take(&mut *seen.lock().expect("no party panicked"));
            frames.sort_by_key(|f| (f.tag.step, f.tag.tile, f.from));
            received.push(frames);
        }
        (stopped, received)
    });
    assert_eq!((zeros.0, large.0), (RUNS, RUNS), "every run is stopped");
    for received in [&zeros.1, &large.1] {
        // Same shape, and contents uniform but for the verdict's bits: place by place over all runs, and the openings' sum.
        let shape =
            |frames: &Vec<Frame>| -> Vec<_> { frames.iter().map(|f| (f.from, f.tag, f.payload.len())).collect() };
        assert!(received.iter().all(|frames| shape(frames) == shape(&zeros.1[0])));
        for place in 0..received[0].len() {
            let bytes: Vec<u8> = received.iter().flat_map(|frames| frames[place].payload.clone()).collect();
            if received[0][place].payload.len() > 8 {
                assert!(chi_square(&bytes) < 7.0, "{:?}", received[0][place].tag);
            } else {
                assert!(received.iter().all(|frames| frames[place].payload == received[0][place].payload));
            }
        }
        let openings = |frames: &Vec<Frame>| -> Vec<u8> {
            let of = |f: &&Frame| f.payload.len() == 48;
            let sum = frames.iter().filter(of).fold([0u8; 16], |sum, f| std::array::from_fn(|i| sum[i] ^ f.payload[i]));
            sum.to_vec()
        };
        let sums: Vec<u8> = received.iter().flat_map(openings).collect();
        assert!(chi_square(&sums) < 7.0, "the sum of the openings is uniform");
    }
}

/// In published bit injections the checker multiplies a word of the dealer's by data, `w = m_b m_x - m_b L_x + (1 - 2 m_b)
/// (m_x (Lb + kappa1) - ..)`: half a ring added to `Lb + kappa1` shifts `w` if `m_x` is odd and not if it is even, so whether the job
/// stops gives the dealer, who knows the masks, the lowest bit of `x`. Here every word that the dealer gives the checker is added
/// (Spec 8.4): the job stops for every secret, and at every such word.
#[test]
fn whether_a_lie_of_the_dealer_is_noticed_depends_on_no_secret() {
    let published = |m_b: u64, m_x: u64, helper: u64| 1u64.wrapping_sub(2 * m_b).wrapping_mul(m_x).wrapping_mul(helper);
    for (m_b, m_x) in [(0, 6), (1, 6), (0, 7), (1, 7)] {
        let noticed = published(m_b, m_x, 12345) != published(m_b, m_x, 12345 ^ 1 << 63);
        assert_eq!(noticed, m_x % 2 == 1, "the published form stops or not by the lowest bit of m_x");
    }
    let compute = |p: &mut Rep4, secret: u64| -> Result<A> {
        let shape = Shape::vector(3);
        let value = Tensor::fill(&shape, secret);
        let x = p.input(0, &shape, (p.me() == 0).then_some(&value))?;
        let raw = p.products(&[Product::mul(&x, &x, 3)])?.remove(0);
        let (bits, _) = p.signs(&[&x, raw.low_bits()], 20, Vec::new())?;
        let armed = p.arm(&[&bits[0]])?.remove(0);
        let (not, exact) = (p.not(&armed), Raw::exact(x));
        let terms = vec![(&bits[0], By::Value(&exact)), (&bits[1], By::Value(&raw)), (&not, By::Public(6))];
        Ok(p.inject(&[Inject { terms, shape }])?.remove(0))
    };
    for radix in [Radix::Two, Radix::Four] {
        let config = Config { radix, ..Config::default() };
        let world = |keys| World::<Rep4>::with_fixed_keys(config, keys).with_deadline(Duration::from_millis(400));
        let (_, frames) = world(1).record(|p| compute(p, 0).map(drop));
        let helpers: Vec<&Frame> = frames.iter().filter(|f| (f.from, f.to) == (3, 0)).collect();
        assert_eq!(helpers.len(), 4, "a product, two comparisons and a sum");
        for (secret, keys) in [0, 1, 2, 9, 1 << 12, 3u64.wrapping_neg()].into_iter().zip(1..) {
            for (index, at) in helpers.iter().flat_map(|f| (0..f.payload.len() / 8).map(|at| (f.index, at))) {
                let hook: Tamper = Arc::new(move |mut frame: Frame| {
                    if (frame.from, frame.to, frame.index) == (3, 0, index) {
                        word(&mut frame.payload, at, |w| w ^ 1 << 63);
                    }
                    vec![frame]
                });
                let outcomes = world(keys).tampered(hook, |p| -> Opened {
                    let sum = compute(p, secret)?;
                    Ok(p.open(&sum, Recipients::ALL)?.into_iter().collect())
                });
                let cheating = |o: &Opened| matches!(o, Err(Error::Cheating { .. }));
                let stopped = outcomes[..3].iter().all(cheating);
                assert!(stopped, "{radix:?}, secret {secret}: frame {index}, word {at}: {outcomes:?}");
            }
        }
    }
}
