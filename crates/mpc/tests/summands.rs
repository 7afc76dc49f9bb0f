//! From summands over the ring of words to Shamir's sharing over the field, and back.

use privity_mpc::cost::{Clock, Costs};
use privity_mpc::rep3::Rep3;
use privity_mpc::shamir::cost::ShamirCosts;
use privity_mpc::{Config, Error, Product, Protocol, Recipients, Share, TruncMode};
use privity_mpc_test::World;
use privity_mpc_test::conformance::Noise;
use privity_mpc_test::statistics::chi_square;
use privity_ring::{M61, Ring, Shape, Tensor};

/// Summands of some numbers: random ones, and such whose sum goes round at every count there can be.
fn summands(noise: &mut Noise, x: &Tensor<u64>, count: usize) -> Vec<Tensor<u64>> {
    let shape = x.shape();
    let mut parts: Vec<Tensor<u64>> = (1..count).map(|_| noise.tensor(shape, 64)).collect();
    for (i, part) in parts.iter_mut().enumerate() {
        for (at, v) in part.data_mut().iter_mut().enumerate() {
            // Small, large and at the edges of the uppermost bits.
            *v = match (at + i) % 5 {
                0 => at as u64 % 3,
                1 => u64::MAX - at as u64 % 3,
                2 => ((at as u64 % 16) << 60).wrapping_sub(at as u64 % 2),
                _ => *v,
            };
        }
    }
    let last = parts.iter().fold(x.clone(), |rest, part| rest.sub(part));
    parts.push(last);
    parts
}

#[test]
fn numbers_come_out_and_traffic_is_declared() {
    let mut noise = Noise(18);
    let cases: [(usize, usize, &[usize]); 8] = [
        (3, 1, &[1, 2]),
        (3, 1, &[0, 1, 2]),
        (5, 2, &[4, 0]),
        (5, 2, &[3, 1, 0]),
        (5, 1, &[0, 1, 2, 3]),
        (5, 2, &[0, 1, 2, 3, 4]),
        (7, 3, &[6, 5, 4, 3, 2, 1, 0]),
        (9, 2, &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
    ];
    for (n, t, holders) in cases {
        for len in [0, 1, 3000] {
            let shape = Shape::vector(len);
            let x = noise.edges(&shape, 61);
            let parts = summands(&mut noise, &x, holders.len());
            let parties = World::shamir(Config::default(), n, t).run(|p| {
                let mine = holders.iter().position(|holder| *holder == p.me()).map(|at| &parts[at]);
                let shared = p.from_additive(holders, &shape, mine).expect("converted");
                let opened = p.open(&shared, Recipients::ALL).expect("opens").expect("to all");
                (opened, p.party().bytes_sent().to_vec(), p.party().rounds())
            });
            let costs = ShamirCosts::new(n, t, TruncMode::Fast);
            let mut clock = Clock::new(n, Default::default());
            costs.from_additive(&mut clock, holders, len);
            costs.open(&mut clock, len, Recipients::ALL);
            for (me, (opened, sent, rounds)) in parties.into_iter().enumerate() {
                for (i, (got, want)) in opened.data().iter().zip(x.data()).enumerate() {
                    assert_eq!(got.to_u64() as i64, *want as i64, "({n}, {t}) {holders:?}, element {i} at {me}");
                }
                let declared: Vec<u64> = (0..n).map(|other| clock.bytes(me, other)).collect();
                assert_eq!((sent, rounds), (declared, clock.rounds_of(me)), "({n}, {t}) {holders:?}, party {me}");
            }
        }
    }
}

#[test]
fn who_gives_what_is_checked() {
    let shape = Shape::vector(4);
    let x = Tensor::zeros(&shape);
    let errors = World::shamir(Config::default(), 3, 1).run(|p| {
        let alone = p.from_additive(&[1], &shape, (p.me() == 1).then_some(&x)).err();
        let twice = p.from_additive(&[1, 1], &shape, (p.me() == 1).then_some(&x)).err();
        let stranger = p.from_additive(&[1, 3], &shape, (p.me() == 1).then_some(&x)).err();
        let missing = p.from_additive(&[p.me(), (p.me() + 1) % 3], &shape, None).err();
        (alone, twice, stranger, missing)
    });
    for (me, (alone, twice, stranger, missing)) in errors.into_iter().enumerate() {
        for refused in [alone, twice, stranger] {
            assert!(matches!(refused, Some(Error::Parameter { operation: "summands", .. })));
        }
        assert!(matches!(missing, Some(Error::Input { owner, .. }) if owner == me));
    }
}

/// A product of rep3 goes on under shamir, in a session of the same parties.
#[test]
fn what_rep3_computed_goes_over() {
    let mut noise = Noise(3);
    let shape = Shape::vector(500);
    let x = noise.edges(&shape, 30);
    let summands = World::<Rep3>::new(Config::default()).run(|p| {
        let shared = p.input(0, &shape, (p.me() == 0).then_some(&x)).expect("shared");
        let square = p.products_lifted(&[Product::mul(&shared, &shared, 0)]).expect("multiplied").remove(0);
        let [first, second] = <[Tensor<u64>; 2]>::try_from(square.parts().into_iter().cloned().collect::<Vec<_>>())
            .expect("two components");
        match p.me() {
            0 => None,
            1 => Some(first.sub(&second)),
            _ => Some(second.neg()),
        }
    });
    let opened = World::shamir(Config::default(), 3, 1).run(|p| {
        let shared = p.from_additive(&[1, 2], &shape, summands[p.me()].as_ref()).expect("converted");
        p.open(&shared, Recipients::ALL).expect("opens").expect("to all")
    });
    for opened in opened {
        assert!(opened.data().iter().zip(x.data()).all(|(got, x)| got.to_u64() == x.wrapping_mul(*x)));
    }
}

fn field(x: &Tensor<u64>) -> Tensor<M61> {
    Tensor::new(x.shape().clone(), x.data().iter().map(|v| M61::from_u64(*v)).collect())
}

#[test]
fn summands_of_words_add_up_and_traffic_is_declared() {
    let mut noise = Noise(21);
    for (n, t) in [(3, 1), (4, 1), (5, 1), (5, 2), (7, 3), (9, 4)] {
        for len in [0, 1, 3000] {
            // Magnitudes up to 2^59 - 1, with both edges.
            let x = noise.edges(&Shape::vector(len), 60);
            let parties = World::shamir(Config::default(), n, t).run(|p| {
                let given = (p.me() == n - 1).then(|| field(&x));
                let shared = p.input(n - 1, x.shape(), given.as_ref()).expect("shared");
                let mine = p.to_additive(&shared).expect("converted");
                (mine, p.party().bytes_sent().to_vec(), p.party().rounds())
            });
            let costs = ShamirCosts::new(n, t, TruncMode::Fast);
            let mut clock = Clock::new(n, Default::default());
            costs.input(&mut clock, n - 1, len);
            costs.to_additive(&mut clock, len);
            let mut sum = Tensor::zeros(x.shape());
            for (me, (mine, sent, rounds)) in parties.into_iter().enumerate() {
                assert_eq!(mine.is_some(), me <= t, "({n}, {t}), party {me}");
                if let Some(mine) = mine {
                    if len > 1000 {
                        let bytes: Vec<u8> = mine.data().iter().flat_map(|v| v.to_le_bytes()).collect();
                        assert!(chi_square(&bytes) < 7.0, "({n}, {t}), party {me}");
                    }
                    sum = sum.add(&mine);
                }
                let declared: Vec<u64> = (0..n).map(|other| clock.bytes(me, other)).collect();
                assert_eq!((sent, rounds), (declared, clock.rounds_of(me)), "({n}, {t}), party {me}");
            }
            assert!(sum == x, "({n}, {t}), {len} numbers");
        }
    }
}

/// What is told is a count masked by the holders' numbers: uniform but for the uppermost of its bits.
#[test]
fn what_is_told_on_the_way_to_words_looks_uniform() {
    let x = Tensor::fill(&Shape::vector(20_000), 12_345u64);
    for (n, t) in [(3, 1), (5, 2)] {
        let (_, frames) = World::shamir(Config::default(), n, t).record(|p| {
            let given = (p.me() == 1).then(|| field(&x));
            let shared = p.input(1, x.shape(), given.as_ref()).expect("shared");
            p.to_additive(&shared).expect("converted");
        });
        let large: Vec<_> = frames.into_iter().filter(|frame| frame.payload.len() > 10_000).collect();
        assert!(!large.is_empty());
        for frame in large {
            let low: Vec<u8> = frame.payload.chunks_exact(8).flat_map(|word| word[..7].to_vec()).collect();
            assert!(chi_square(&low) < 7.0, "({n}, {t}): from {} to {} at {:?}", frame.from, frame.to, frame.tag);
        }
    }
}

/// The recipe for rep3: whoever holds a summand shares it as an input, and the inputs are added.
#[test]
fn what_shamir_computed_goes_over() {
    let shape = Shape::vector(500);
    let x = Noise(4).edges(&shape, 29);
    let summands = World::shamir(Config::default(), 3, 1).run(|p| {
        let given = (p.me() == 2).then(|| field(&x));
        let shared = p.input(2, &shape, given.as_ref()).expect("shared");
        let square = p.products_lifted(&[Product::mul(&shared, &shared, 0)]).expect("multiplied").remove(0);
        p.to_additive(&square).expect("converted")
    });
    let opened = World::<Rep3>::new(Config::default()).run(|p| {
        let [one, other] = [0, 1].map(|owner| {
            let mine = summands[p.me()].as_ref().filter(|_| p.me() == owner);
            p.input(owner, &shape, mine).expect("shared")
        });
        p.open(&one.add(&other), Recipients::ALL).expect("opens").expect("to all")
    });
    for opened in opened {
        assert!(opened.data().iter().zip(x.data()).all(|(got, x)| *got == x.wrapping_mul(*x)));
    }
}

#[test]
fn there_and_back() {
    let shape = Shape::matrix(30, 20);
    let x = Noise(9).edges(&shape, 60);
    for (n, t) in [(3, 1), (5, 2)] {
        let holders: Vec<usize> = (0..=t).collect();
        let opened = World::shamir(Config::default(), n, t).run(|p| {
            let given = (p.me() == 0).then(|| field(&x));
            let shared = p.input(0, &shape, given.as_ref()).expect("shared");
            let mine = p.to_additive(&shared).expect("to words");
            let again = p.from_additive(&holders, &shape, mine.as_ref()).expect("from words");
            p.open(&again, Recipients::ALL).expect("opens").expect("to all")
        });
        assert!(opened.iter().all(|opened| *opened == field(&x)), "({n}, {t})");
    }
    let refused = World::verified(Config::default(), 1).run(|p| {
        let shared = p.public(&field(&x));
        matches!(p.to_additive(&shared), Err(Error::Parameter { operation: "summands", .. }))
    });
    assert_eq!(refused, [true; 3]);
}
