//! Shamir with verified products: costs, and every message of every party altered.

use privity_mpc::count::Count;
use privity_mpc::plain::Plain;
use privity_mpc::shamir::{Shamir, cost::ShamirCosts};
use privity_mpc::{Config, Error, Product, Protocol, Recipients, Result, Share};
use privity_mpc_test::World;
use privity_mpc_test::conformance::Noise;
use privity_net::sim::{Frame, Tamper};
use privity_ring::{Ring, Shape, Tensor};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A matrix product, products of products, sums, an opening on the way. Party 0 has `x`, the last `y`.
fn program<P: Protocol>(p: &mut P, rows: usize, all: bool) -> Result<Vec<u64>> {
    let (left, right) = (Shape::matrix(rows, 5), Shape::matrix(5, 3));
    let mut noise = Noise(9);
    let mut input = |p: &mut P, owner: usize, shape: &Shape| {
        let values = noise.tensor(shape, 12).data().iter().map(|v| P::R::from_u64(*v)).collect();
        let values = Tensor::new(shape.clone(), values);
        p.input(owner, shape, (all || p.me() == owner).then_some(&values))
    };
    let last = p.owners().end - 1;
    let (x, y) = (input(p, 0, &left)?, input(p, last, &right)?);
    let z = p.products(&[Product::matmul(&x, &y, 0), Product::mul(&x, &x, 0)])?;
    let (z, squares) = (z[0].low_bits().clone(), z[1].low_bits().clone());
    let first = p.open(&squares, Recipients::ALL)?.expect("to all");
    let z = p.products(&[Product::mul(&z, &z, 0)])?.remove(0).low_bits().add(&z);
    let second = p.open(&z, Recipients::ALL)?.expect("to all");
    Ok(first.data().iter().chain(second.data()).map(|v| v.to_u64()).collect())
}

fn twin(rows: usize, parties: usize) -> Vec<u64> {
    program(&mut Plain::new(Config::default(), parties), rows, true).expect("the twin runs")
}

#[test]
fn verified_products_are_the_twins_at_declared_costs() {
    for t in [1, 2, 3] {
        for rows in [1, 2, 40, 3000] {
            let n = 2 * t + 1;
            let mut count = Count::new(Config::default(), ShamirCosts::verified(t), Default::default());
            program(&mut count, rows, true).expect("counted");
            let ends = World::verified(Config::default(), t).run(|p| {
                let opened = program(p, rows, false).expect("the program runs");
                (opened, p.party().bytes_sent().to_vec(), p.party().rounds())
            });
            for (me, (opened, sent, rounds)) in ends.into_iter().enumerate() {
                assert_eq!(opened, twin(rows, n));
                let declared: Vec<u64> = (0..n).map(|to| count.clock().bytes(me, to)).collect();
                assert_eq!((sent, rounds), (declared, count.clock().rounds_of(me)), "party {me} of {n}, {rows} rows");
            }
        }
    }
}

/// One frame is altered: a word of it is added to.
fn altering(from: usize, to: usize, index: u64, word: usize, by: u64, done: &Arc<AtomicBool>) -> Tamper {
    let done = done.clone();
    Arc::new(move |mut frame: Frame| {
        if (frame.from, frame.to, frame.index) == (from, to, index) {
            let words = frame.payload.len() / 8;
            let at = 8 * (word % words.max(1));
            if let Some(bytes) = frame.payload.get_mut(at..at + 8) {
                let value = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
                bytes.copy_from_slice(&value.wrapping_add(by).to_le_bytes());
                done.store(true, Ordering::Relaxed);
            }
        }
        vec![frame]
    })
}

#[test]
fn no_altered_message_leads_to_a_wrong_value() {
    let (mut cases, mut caught, mut apart) = (0, 0, 0);
    for t in [1, 2] {
        let n = 2 * t + 1;
        let want = twin(2, n);
        let (_, frames) = World::verified(Config::default(), t).record(|p| program(p, 2, false).is_ok());
        let sample = if std::env::var_os("PRIVITY_HEAVY").is_some() { 1 } else { 3 * t * t };
        for (k, frame) in frames.iter().enumerate().filter(|(k, _)| k % sample == 0) {
            for by in [1, 1 << 60, 0x0123_4567_89AB_CDEF] {
                let done = Arc::new(AtomicBool::new(false));
                let tamper = altering(frame.from, frame.to, frame.index, k, by, &done);
                let world = World::verified(Config::default(), t).with_deadline(Duration::from_secs(10));
                let ends = world.tampered(tamper, |p| {
                    let end = program(p, 2, false);
                    if let Err(error) = &end {
                        let cause = privity_net::AbortCause { about: p.me(), reason: error.to_string() };
                        p.party().link().abort(&cause);
                    }
                    end
                });
                assert!(done.load(Ordering::Relaxed), "the frame was there");
                let mut verdicts = Vec::new();
                for end in ends.into_iter().enumerate().filter(|(me, _)| *me != frame.from).map(|(_, end)| end) {
                    match end {
                        Ok(opened) => {
                            assert_eq!(opened, want, "frame {k} of {n}: {:?}", frame.tag);
                            verdicts.push(true);
                        }
                        Err(Error::Cheating { .. } | Error::Net(_)) => verdicts.push(false),
                        Err(error) => panic!("frame {k} of {n}: {error}"),
                    }
                }
                cases += 1;
                caught += usize::from(verdicts.iter().any(|ok| !ok));
                apart += usize::from(verdicts.windows(2).any(|pair| pair[0] != pair[1]));
            }
        }
    }
    println!("{cases} altered messages, {caught} caught, verdicts apart in {apart}");
    assert!(caught > 0);
    // Only a message of a last verdict can leave honest parties apart: Spec 19.7.
    assert!(apart * 10 <= cases, "{apart} of {cases}");
}

/// The attack that exactly `2 t + 1` parties rule out: of more, the honest ones' shares of what a corrupt party deals may lie on no polynomial, and
/// what comes of a product then depends on shares that it does not know.
#[test]
fn of_more_parties_an_inconsistent_dealing_makes_errors_that_depend_on_secrets() {
    let shape = Shape::vector(1);
    let run = |secret: u64| {
        let tamper: Tamper = Arc::new(move |mut frame: Frame| {
            // Party 0 tells party 2 a share that is off by one; it deals at the first step.
            if (frame.from, frame.to, frame.tag.step) == (0, 2, 1) {
                let value = u64::from_le_bytes(frame.payload[..8].try_into().expect("a word"));
                frame.payload[..8].copy_from_slice(&value.wrapping_add(1).to_le_bytes());
            }
            vec![frame]
        });
        let ends = World::shamir(Config::default(), 4, 1).tampered(tamper, |p| {
            let one = Tensor::fill(&shape, 1);
            let x = p.input(0, &shape, (p.me() == 0).then_some(&one)).expect("shared");
            let secret = Tensor::fill(&shape, secret);
            let y = p.input(1, &shape, (p.me() == 1).then_some(&secret)).expect("shared");
            let z = p.products(&[Product::mul(&x, &y, 0)]).expect("a product").remove(0);
            p.open(z.low_bits(), Recipients::only(3)).expect("opens")
        });
        ends[3].as_ref().expect("opened").data()[0].to_u64().wrapping_sub(secret)
    };
    // The error is the share of an honest party times a constant: never the same.
    let errors: Vec<u64> = (0..4).map(|_| run(7)).collect();
    assert!(errors.windows(2).any(|pair| pair[0] != pair[1]), "{errors:?}");
    let refused = std::panic::catch_unwind(|| World::verified(Config::default(), 1).run(|p| p.party().n()));
    assert_eq!(refused.expect("three parties"), vec![3; 3]);
    let links = privity_net::sim::mesh(4, Default::default());
    std::thread::scope(|scope| {
        for link in links {
            scope.spawn(|| {
                let party = privity_mpc::Party::connect(Box::new(link), &Default::default()).expect("keys");
                assert!(matches!(
                    Shamir::verified(party, Config::default().in_a_field(), 1),
                    Err(Error::Parameter { .. })
                ));
            });
        }
    });
}

#[test]
fn what_is_not_verified_is_refused() {
    let refused = World::verified(Config::default(), 1).run(|p| {
        let x = p.public(&Tensor::fill(&Shape::vector(2), 5));
        let product = p.products(&[Product::mul(&x, &x, 16)]).is_err();
        let division = p.rescale(&[(&x, 3)]).is_err();
        let sign = p.signs(&[&x], 32, Vec::new()).is_err();
        [product, division, sign, p.a2b(&x, 8).is_err(), p.refresh(&[&x], privity_mpc::Origin::Same).is_err()]
    });
    assert_eq!(refused, [[true; 5]; 3]);
}

/// What lanes owe is verified under shamir-active only.
#[test]
fn lanes_are_refused() {
    let links = [(); 2].map(|()| privity_net::sim::mesh(3, Default::default()));
    let [first, second] = links;
    std::thread::scope(|scope| {
        for (first, second) in first.into_iter().zip(second) {
            scope.spawn(|| {
                let connect = |link| privity_mpc::Party::connect(Box::new(link), &Default::default()).expect("keys");
                let p =
                    Shamir::verified(connect(first), Config::default().in_a_field(), 1).expect("a sound configuration");
                assert!(matches!(p.with_lanes(vec![connect(second)]), Err(Error::Parameter { .. })));
            });
        }
    });
}

/// A corrupt party that withholds from one honest party what it deals for a coin must not be told the other's share of it: it could then choose the
/// coin. The same for inputs and results.
#[test]
fn no_share_of_a_coin_or_a_result_is_told_before_all_have_what_was_dealt() {
    let shape = Shape::vector(1);
    // Steps: an input, perhaps a product and the dealing of coins, arrival, then shares.
    for (multiplies, withheld, told) in [(true, 3, 5), (false, 1, 3)] {
        let early = Arc::new(AtomicBool::new(false));
        let (seen, dealt) = (early.clone(), Arc::new(AtomicBool::new(false)));
        let withholds = dealt.clone();
        let tamper: Tamper = Arc::new(move |frame: Frame| {
            if (frame.from, frame.to) == (1, 0) && frame.tag.step >= told && frame.tag.step < 1 << 56 {
                seen.store(true, Ordering::Relaxed);
            }
            if (frame.from, frame.to, frame.tag.step) == (0, 2, withheld) {
                withholds.store(true, Ordering::Relaxed);
                return vec![];
            }
            vec![frame]
        });
        let world = World::verified(Config::default(), 1).with_deadline(Duration::from_millis(500));
        let ends = world.tampered(tamper, |p| {
            let one = Tensor::fill(&shape, 1);
            let x = p.input(0, &shape, (p.me() == 0).then_some(&one))?;
            let z = if multiplies { p.products(&[Product::mul(&x, &x, 0)])?.remove(0).low_bits().clone() } else { x };
            p.open(&z, Recipients::ALL)
        });
        assert!(dealt.load(Ordering::Relaxed), "the frame was there");
        assert!(!early.load(Ordering::Relaxed), "party 1 told its share");
        assert!(ends.iter().all(Result::is_err));
    }
}
