//! Packed sharings of shamir: products of batches against the twin, traffic against the declared one, what fewer parties see.

use privity_mpc::cost::{Clock, Costs};
use privity_mpc::plain::Plain;
use privity_mpc::shamir::cost::ShamirCosts;
use privity_mpc::shamir::{Packing, Shamir};
use privity_mpc::{Config, Error, Product, Protocol, Recipients, TruncMode};
use privity_mpc_test::World;
use privity_mpc_test::conformance::Noise;
use privity_mpc_test::statistics::{bit_bias, chi_square};
use privity_ring::{M61, Ring, Shape, Tensor};

/// Parties, corrupt ones, values in a polynomial: as many parties as it takes, and more.
const PACKED: [(usize, usize, usize); 7] =
    [(5, 1, 2), (6, 1, 2), (7, 1, 3), (7, 2, 2), (9, 2, 3), (9, 1, 4), (13, 3, 4)];

fn field(x: &Tensor<u64>) -> Tensor<M61> {
    Tensor::new(x.shape().clone(), x.data().iter().map(|v| M61::from_u64(*v)).collect())
}

/// `x y` and `x y + (x - 3 y) y`, by the twin.
fn twin(x: &Tensor<u64>, y: &Tensor<u64>) -> [Tensor<u64>; 2] {
    let mut plain = Plain::new(Config::default(), 3);
    let z = x.sub(&y.scale(3));
    let products = plain.products_lifted(&[Product::mul(x, y, 0), Product::mul(&z, y, 0)]).expect("in the clear");
    [products[0].clone(), products[0].add(&products[1])]
}

#[test]
fn products_are_the_twins_and_traffic_is_declared() {
    let mut noise = Noise(16);
    for (n, t, k) in PACKED {
        for shape in [Shape::vector(0), Shape::vector(1), Shape::matrix(7, 5), Shape::vector((2 << 14) + 3)] {
            let [x, y] = [noise.edges(&shape, 28), noise.edges(&shape, 28)];
            let want = twin(&x, &y);
            let program = |p: &mut Shamir| {
                let packing = p.packing(k).expect("enough parties");
                let mine = |p: &Shamir, owner, x: &Tensor<u64>| (p.me() == owner).then(|| field(x));
                let given = mine(p, 0, &x);
                let x = p.input(0, &shape, given.as_ref()).expect("shared");
                let given = mine(p, n - 1, &y);
                let y = packing.input(p.party(), n - 1, &shape, given.as_ref()).expect("shared");
                let x = packing.pack(p.party(), &x).expect("packed");
                let z = x.sub(&y.scale(3));
                let jobs = [vec![(&x, &y)], vec![(&x, &y), (&z, &y)]];
                let products = packing.products(p.party(), &jobs).expect("multiplied");
                let both = products[0].add(&products[1]).sub(&products[0]);
                let open = |x| {
                    let x = packing.unpack(p.party(), x).expect("unpacked");
                    p.open(&x, Recipients::ALL).expect("opens").expect("to all")
                };
                let opened: Vec<Tensor<M61>> = [&products[0], &both].map(open).into();
                (opened, p.party().bytes_sent().to_vec(), p.party().rounds())
            };
            let costs = ShamirCosts::new(n, t, TruncMode::Fast);
            let (packing, len) = (Packing::new(n, t, k).expect("enough parties"), shape.len());
            let mut clock = Clock::new(n, Default::default());
            costs.input(&mut clock, 0, len);
            costs.input_packed(&mut clock, &packing, n - 1, len);
            costs.pack(&mut clock, &packing, len);
            costs.products_packed(&mut clock, &packing, &[len, len]);
            for _ in 0..2 {
                costs.unpack(&mut clock, &packing, len);
                costs.open(&mut clock, len, Recipients::ALL);
            }
            let parties = World::shamir(Config::default(), n, t).run(program);
            for (me, (opened, sent, rounds)) in parties.into_iter().enumerate() {
                assert!(opened == want.each_ref().map(field), "({n}, {t}, {k}), {shape:?}, party {me}");
                let declared: Vec<u64> = (0..n).map(|to| clock.bytes(me, to)).collect();
                assert_eq!((sent, rounds), (declared, clock.rounds_of(me)), "({n}, {t}, {k}), party {me}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for (n, t, k) in [(4, 1, 2), (6, 1, 3), (6, 2, 2), (5, 1, 1), (5, 0, 2), (32, 1, 2)] {
        let refused = Packing::new(n, t, k).err();
        assert!(matches!(refused, Some(Error::Parameter { operation: "packing", .. })), "({n}, {t}, {k})");
    }
}

/// The elements that a product takes over all links, which docs/PERFORMANCE.md states.
#[test]
fn elements_of_a_product() {
    for (n, t, k, want) in [
        (5, 1, 2, 7.5),
        (7, 1, 3, 35.0 / 3.0),
        (7, 2, 2, 14.0),
        (9, 2, 3, 18.0),
        (11, 4, 2, 33.0),
        (31, 10, 6, 620.0 / 6.0),
    ] {
        let costs = ShamirCosts::new(n, t, TruncMode::Fast);
        let (packing, len) = (Packing::new(n, t, k).expect("enough parties"), 60);
        let mut clock = Clock::new(n, Default::default());
        costs.products_packed(&mut clock, &packing, &[len]);
        assert_eq!(clock.total_bytes() as f64 / (8 * len) as f64, want, "({n}, {t}, {k})");
    }
}

/// All that a party sends of fixed values is uniform to the eye.
#[test]
fn messages_look_uniform() {
    let world = World::shamir(Config::default(), 7, 2);
    let (_, frames) = world.record(|p| {
        let packing = p.packing(2).expect("enough parties");
        let x = Tensor::fill(&Shape::vector(20_000), 5);
        let given = (p.me() == 3).then_some(&x);
        let packed = packing.input(p.party(), 3, x.shape(), given).expect("shared");
        let product = packing.products(p.party(), &[vec![(&packed, &packed)]]).expect("multiplied").remove(0);
        packing.unpack(p.party(), &product).expect("unpacked");
    });
    assert!(!frames.is_empty());
    for frame in frames {
        // Of each word the top three bits are zero.
        let low: Vec<u8> = frame.payload.chunks_exact(8).flat_map(|word| word[..7].to_vec()).collect();
        assert!(chi_square(&low) < 7.0, "from {} to {} at {:?}", frame.from, frame.to, frame.tag);
        let words = frame.payload.chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().expect("eight")));
        let spread: Vec<u8> = words.flat_map(|w| (w << 3 | w >> 58).to_le_bytes()).collect();
        assert!(bit_bias(&spread) < 7.0, "from {} to {} at {:?}", frame.from, frame.to, frame.tag);
    }
}
