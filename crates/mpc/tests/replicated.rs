//! Replicated sharings over the field, what they become under shamir and the way back, and random sharings without an exchange.

use privity_mpc::cost::{Clock, Costs};
use privity_mpc::shamir::cost::ShamirCosts;
use privity_mpc::shamir::{MOST_SETS, Replication};
use privity_mpc::{Config, Error, Product, Protocol, Recipients, TruncMode};
use privity_mpc_test::World;
use privity_mpc_test::conformance::Noise;
use privity_mpc_test::statistics::chi_square;
use privity_ring::{M61, Ring, Shape, Tensor};

/// Parties and corrupt ones; pairs and triples of four have keys anyway.
const CASES: [(usize, usize); 6] = [(3, 1), (4, 1), (5, 2), (6, 2), (7, 3), (7, 1)];

fn numbers(noise: &mut Noise, shape: &Shape) -> Tensor<M61> {
    Tensor::new(shape.clone(), (0..shape.len()).map(|_| M61::of_word(noise.word() >> 3)).collect())
}

fn combined(x: &Tensor<M61>, y: &Tensor<M61>) -> Tensor<M61> {
    // 3 x - y + 5
    let five = M61::from_u64(5);
    x.zip(y, |x, y| M61::from_u64(3).mul(x).sub(y).add(five))
}

#[test]
fn numbers_go_over_and_back_and_traffic_is_declared() {
    let mut noise = Noise(22);
    for (n, t) in CASES {
        for len in [0, 1, (1 << 14) + 3] {
            let shape = Shape::vector(len);
            let [x, y] = [numbers(&mut noise, &shape), numbers(&mut noise, &shape)];
            let want = combined(&x, &y);
            let parties = World::shamir(Config::default(), n, t).run(|p| {
                let me = p.me();
                let sets = Replication::connect(p.party(), t).expect("keys");
                let x = sets.input(p.party(), n - 1, &shape, (me == n - 1).then_some(&x)).expect("shared");
                let y = p.input(0, &shape, (me == 0).then_some(&y)).expect("shared");
                let y = sets.from_shamir(p.party(), &y).expect("replicated");
                let five = sets.public(&Tensor::fill(&shape, 5));
                let sum = sets.to_shamir(&x.scale(3).sub(&y).add(&five));
                let opened = p.open(&sum, Recipients::ALL).expect("opens").expect("to all");
                (opened, p.party().bytes_sent().to_vec(), p.party().rounds())
            });
            let costs = ShamirCosts::new(n, t, TruncMode::Fast);
            let mut clock = Clock::new(n, Default::default());
            Replication::price_of_keys(&mut clock, n, t).expect("few sets");
            Replication::price(&mut clock, (n, t), &[n - 1], len);
            costs.input(&mut clock, 0, len);
            Replication::price(&mut clock, (n, t), &(0..=t).collect::<Vec<_>>(), len);
            costs.open(&mut clock, len, Recipients::ALL);
            for (me, (opened, sent, rounds)) in parties.into_iter().enumerate() {
                assert!(opened == want, "({n}, {t}), {len} numbers at {me}");
                let declared: Vec<u64> = (0..n).map(|to| clock.bytes(me, to)).collect();
                assert_eq!((sent, rounds), (declared, clock.rounds_of(me)), "({n}, {t}), {len} numbers, party {me}");
            }
        }
    }
}

/// The value at zero of the polynomial through all points, and how many of its coefficients are needed.
fn interpolated(shares: &[M61]) -> (M61, usize) {
    // Newton's divided differences.
    let mut table = shares.to_vec();
    let point = |i: usize| M61::from_u64(i as u64 + 1);
    for order in 1..shares.len() {
        for i in (order..shares.len()).rev() {
            table[i] = table[i].sub(table[i - 1]).mul(point(i).sub(point(i - order)).inverse());
        }
    }
    let zero = M61::from_u64(0);
    let at_zero = (0..shares.len()).rev().fold(zero, |sum, i| sum.mul(zero.sub(point(i))).add(table[i]));
    let degree = table.iter().rposition(|c| *c != zero).unwrap_or(0);
    (at_zero, degree)
}

#[test]
fn random_sharings_are_of_their_degree_and_nothing_is_sent() {
    for (n, t) in CASES {
        let shape = Shape::vector(300);
        let parties = World::shamir(Config::default(), n, t).run(|p| {
            let sets = Replication::connect(p.party(), t).expect("keys");
            let before = (p.party().bytes_sent().to_vec(), p.party().rounds());
            let random = sets.random(p.party(), &shape);
            let again = sets.random(p.party(), &shape);
            let zeros = sets.zeros(p.party(), &shape);
            let [narrow, wide] = sets.doubles(p.party(), &shape);
            assert_eq!(before, (p.party().bytes_sent().to_vec(), p.party().rounds()));
            [random, again, zeros, narrow, wide]
        });
        let read = |kind: usize, i: usize| {
            interpolated(&parties.iter().map(|shares| shares[kind].data()[i]).collect::<Vec<_>>())
        };
        let mut bytes = Vec::new();
        for i in 0..shape.len() {
            let [random, again, zeros, narrow, wide] = [0, 1, 2, 3, 4].map(|kind| read(kind, i));
            // A leading coefficient is zero once in 2^61 times.
            assert_eq!([random.1, again.1, zeros.1, narrow.1, wide.1], [t, t, 2 * t, t, 2 * t], "({n}, {t})");
            assert_eq!((zeros.0, narrow.0), (M61::from_u64(0), wide.0), "({n}, {t})");
            assert!(random.0 != again.0 && random.0 != narrow.0, "({n}, {t})");
            bytes.extend_from_slice(&random.0.word().to_le_bytes()[..7]);
        }
        assert!(chi_square(&bytes) < 7.0, "({n}, {t})");
    }
}

/// A product by hand: masked with a double sharing, opened, unmasked.
#[test]
fn double_sharings_reduce_degrees() {
    for (n, t) in CASES {
        let shape = Shape::vector(50);
        let [x, y] = [numbers(&mut Noise(5), &shape), numbers(&mut Noise(6), &shape)];
        let parties = World::shamir(Config::default(), n, t).run(|p| {
            let me = p.me();
            let sets = Replication::connect(p.party(), t).expect("keys");
            let [a, b] = [&x, &y].map(|v| {
                let shared = sets.input(p.party(), 1, &shape, (me == 1).then_some(v)).expect("shared");
                sets.to_shamir(&shared)
            });
            let [narrow, wide] = sets.doubles(p.party(), &shape);
            let masked = a.zip(&b, |a, b| a.mul(b)).zip(&wide, |z, r| z.add(r));
            let product = p.products(&[Product::mul(&a, &b, 0)]).expect("a product").remove(0);
            (masked, narrow, product.low_bits().clone())
        });
        for i in 0..shape.len() {
            let all = |of: &dyn Fn(&(Tensor<M61>, Tensor<M61>, Tensor<M61>)) -> M61| {
                interpolated(&parties.iter().map(of).collect::<Vec<_>>())
            };
            let (masked, _) = all(&|p| p.0.data()[i]);
            let (mask, _) = all(&|p| p.1.data()[i]);
            let (product, degree) = all(&|p| p.2.data()[i]);
            assert_eq!(degree, t);
            assert_eq!([masked.sub(mask), product], [x.data()[i].mul(y.data()[i]); 2], "({n}, {t})");
        }
    }
}

#[test]
fn too_many_sets_are_refused() {
    for (n, t) in [(31, 4), (17, 8), (31, 15)] {
        let mut clock = Clock::new(n, Default::default());
        let refused = Replication::price_of_keys(&mut clock, n, t).err();
        assert!(matches!(refused, Some(Error::Parameter { operation: "replicated", .. })), "({n}, {t})");
        assert!((0..t).fold(1, |sets, i| sets * (n - i) / (i + 1)) > MOST_SETS, "({n}, {t})");
        assert!(ShamirCosts::new(n, t, TruncMode::Fast).with_set_keys().is_err());
    }
    let mut clock = Clock::new(15, Default::default());
    Replication::price_of_keys(&mut clock, 15, 7).expect("6435 sets");
    assert_eq!(clock.total_bytes(), 6435 * 7 * 16);
    let refused = World::shamir(Config::default(), 4, 1).run(|p| Replication::connect(p.party(), 2).is_err());
    assert_eq!(refused, [true; 4]);
}

/// What an owner tells is uniform to the eye, whatever it shares.
#[test]
fn messages_look_uniform() {
    let (_, frames) = World::shamir(Config::default(), 5, 2).record(|p| {
        let me = p.me();
        let sets = Replication::connect(p.party(), 2).expect("keys");
        let x = Tensor::fill(&Shape::vector(20_000), 7);
        let shared = sets.input(p.party(), 4, x.shape(), (me == 4).then_some(&x)).expect("shared");
        sets.from_shamir(p.party(), &sets.to_shamir(&shared)).expect("replicated");
    });
    let large: Vec<_> = frames.into_iter().filter(|frame| frame.payload.len() > 10_000).collect();
    assert!(!large.is_empty());
    for frame in large {
        let low: Vec<u8> = frame.payload.chunks_exact(8).flat_map(|word| word[..7].to_vec()).collect();
        assert!(chi_square(&low) < 7.0, "from {} to {} at {:?}", frame.from, frame.to, frame.tag);
    }
}
