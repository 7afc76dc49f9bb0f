//! Products by kings: what is chosen, what it costs, what is told.

use privity_mpc::cost::{Clock, Costs, ProductCost};
use privity_mpc::shamir::cost::ShamirCosts;
use privity_mpc::shamir::{Route, Routing, Shamir};
use privity_mpc::{BitShare, Config, Error, Party, Product, Protocol, Recipients, TruncMode};
use privity_mpc_test::World;
use privity_mpc_test::conformance::Noise;
use privity_mpc_test::statistics::chi_square;
use privity_net::sim::{self, SimConfig};
use privity_prim::Context;
use privity_ring::{Bilinear, M61, Ring, Shape, Tensor};

fn by(route: Route) -> Routing {
    Routing { always: Some(route), ..Routing::default() }
}

fn costs(n: usize, t: usize, route: Route) -> ShamirCosts {
    let costs = ShamirCosts::new(n, t, TruncMode::Fast).routed(by(route));
    if route == Route::KingOfSets && t < 4 { costs.with_set_keys().expect("few sets") } else { costs }
}

fn product(len: usize) -> ProductCost {
    ProductCost { op: Bilinear::Mul, len, rows: 1, operands: 2 * len, macs: len as u64, shift: 0 }
}

/// Bytes of one product over all links, and its rounds.
fn price(costs: &ShamirCosts, len: usize) -> (u64, u64) {
    let mut clock = Clock::new(costs.parties(), Default::default());
    costs.products(&mut clock, &[product(len)]);
    (clock.total_bytes(), clock.rounds())
}

/// Elements over all links for each one, which docs/protocols/shamir.md, 24, states.
#[test]
fn elements_of_a_product() {
    for (n, t) in [(3, 1), (5, 2), (7, 3), (15, 7), (31, 15), (31, 10), (15, 2)] {
        // Whole words at every king and from every dealer.
        let len = 64 * (n - t) * (2 * t + 1);
        let (told, each) = ((n - 1 - t) as u64, (len / (n - t)) as u64);
        let words = |route| {
            let costs = ShamirCosts::new(n, t, TruncMode::Fast).routed(by(route));
            let (bytes, rounds) = price(&costs, len);
            (bytes / 8, rounds)
        };
        let len = len as u64;
        assert_eq!(words(Route::Direct), ((2 * t as u64 + 1) * told * len, 1), "({n}, {t})");
        let kings = (2 * t as u64 + told) * len;
        assert_eq!(words(Route::King), (kings + n as u64 * told * each, 3), "({n}, {t})");
        if t <= 3 {
            assert_eq!(price(&costs(n, t, Route::KingOfSets), len as usize), (8 * kings, 2), "({n}, {t})");
        }
    }
}

/// A product, a sum of bits times values and an AND at each way, against what is declared.
#[test]
fn ways_agree_and_cost_what_is_declared() {
    let cases = [
        (3, 1, Route::King),
        (3, 1, Route::KingOfSets),
        (7, 3, Route::King),
        (7, 3, Route::KingOfSets),
        (9, 2, Route::King),
        (31, 2, Route::KingOfSets),
        (15, 7, Route::King),
    ];
    for (n, t, route) in cases {
        for len in [0, 1, 40, (1 << 14) + 5] {
            if n > 9 && len > 1000 {
                continue;
            }
            let x = Noise(24).tensor(&Shape::vector(len), 28);
            let value = Tensor::new(x.shape().clone(), x.data().iter().map(|v| M61::from_u64(*v)).collect());
            let parties = World::shamir(Config::default(), n, t).by(route).run(|p| {
                let shared = p.input(0, x.shape(), (p.me() == 0).then_some(&value)).expect("shared");
                let square = p.products(&[Product::mul(&shared, &shared, 0)]).expect("a product").remove(0);
                let bits = p.a2b(&shared, 2).expect("bits");
                let both = p.and(&[(&bits.plane(0), &bits.plane(1))]).expect("and").remove(0);
                let both = p.b2a(&both).expect("numbers");
                let opened =
                    [square.low_bits(), &both].map(|x| p.open(x, Recipients::ALL).expect("opens").expect("to all"));
                (opened, p.party().bytes_sent().to_vec(), p.party().rounds())
            });
            let costs = costs(n, t, route);
            let mut clock = Clock::new(n, Default::default());
            costs.set_up(&mut clock);
            costs.input(&mut clock, 0, len);
            costs.products(&mut clock, &[product(len)]);
            costs.a2b(&mut clock, len, 2);
            costs.and(&mut clock, &[(len, 1)]);
            costs.arm(&mut clock, &[len]);
            costs.open(&mut clock, len, Recipients::ALL);
            costs.open(&mut clock, len, Recipients::ALL);
            for (me, ([square, both], sent, rounds)) in parties.into_iter().enumerate() {
                for ((square, both), x) in square.data().iter().zip(both.data()).zip(x.data()) {
                    assert_eq!(square.to_u64(), x.wrapping_mul(*x), "({n}, {t}, {route:?}) at {me}");
                    assert_eq!(both.to_u64(), u64::from(x & 3 == 3), "({n}, {t}, {route:?}) at {me}");
                }
                let declared: Vec<u64> = (0..n).map(|to| clock.bytes(me, to)).collect();
                assert_eq!((sent, rounds), (declared, clock.rounds_of(me)), "({n}, {t}, {route:?}), {len} at {me}");
            }
        }
    }
}

/// The quicker way by the cost model: few parties and few elements deal, many go to kings; on slow links fewer do.
#[test]
fn what_is_chosen() {
    let chosen = |n, t, len, bandwidth, sets| {
        let costs = ShamirCosts::new(n, t, TruncMode::Fast).routed(Routing { bandwidth, ..Routing::default() });
        let got = price(&if sets { costs.with_set_keys().expect("few sets") } else { costs }, len);
        let is = |route: &Route| got == price(&self::costs(n, t, *route), len);
        let ways = [Route::Direct, Route::King, Route::KingOfSets];
        ways.into_iter().find(is).expect("one of the ways")
    };
    let (lan, wan) = (1.25e9, 12.5e6);
    for (n, t) in [(3, 1), (4, 1), (5, 2), (7, 3)] {
        assert_eq!(chosen(n, t, 1 << 20, lan, true), Route::Direct, "({n}, {t})");
    }
    for (n, t) in [(7, 3), (15, 7), (31, 15), (31, 1)] {
        assert_eq!(chosen(n, t, 1000, lan, false), Route::Direct, "({n}, {t})");
    }
    for (n, t) in [(15, 7), (31, 15), (31, 10)] {
        assert_eq!(chosen(n, t, 1 << 20, lan, false), Route::King, "({n}, {t})");
    }
    assert_eq!(chosen(7, 3, 1 << 20, wan, false), Route::King);
    assert_eq!(chosen(5, 2, 1 << 20, wan, true), Route::KingOfSets);
}

/// All that is sent of fixed numbers is uniform to the eye: what is told to kings and by them, too.
#[test]
fn messages_look_uniform() {
    for route in [Route::King, Route::KingOfSets] {
        let (_, frames) = World::shamir(Config::default(), 5, 2).by(route).record(|p| {
            let x = Tensor::fill(&Shape::vector(50_000), 5);
            let x = p.input(3, x.shape(), (p.me() == 3).then_some(&x)).expect("shared");
            p.products(&[Product::mul(&x, &x, 0)]).expect("a product");
        });
        let large: Vec<_> = frames.into_iter().filter(|frame| frame.payload.len() > 10_000).collect();
        assert!(large.len() > 20, "{route:?}: {}", large.len());
        for frame in large {
            let low: Vec<u8> = frame.payload.chunks_exact(8).flat_map(|word| word[..7].to_vec()).collect();
            assert!(chi_square(&low) < 7.0, "{route:?}: from {} to {} at {:?}", frame.from, frame.to, frame.tag);
        }
    }
}

/// Where products are verified nothing changes, whatever the routing says; sets without keys are refused.
#[test]
fn verified_products_are_dealt_and_sets_need_keys() {
    let x = Tensor::fill(&Shape::vector(9), 3);
    let run = |world: World<Shamir>| {
        world.run(|p| {
            let x = p.input(0, x.shape(), (p.me() == 0).then_some(&x)).expect("shared");
            let before = p.party().bytes_sent().to_vec();
            p.products(&[Product::mul(&x, &x, 0)]).expect("a product");
            let sent = p.party().bytes_sent().iter().zip(before).map(|(now, before)| now - before);
            sent.collect::<Vec<u64>>()
        })
    };
    let verified = World::verified(Config::default(), 2);
    assert_eq!(run(verified.by(Route::King)), run(verified));
    assert_ne!(run(World::shamir(Config::default(), 5, 2).by(Route::King)), run(verified));
    let mesh = sim::mesh(3, SimConfig::default());
    let refused = std::thread::scope(|scope| {
        let start = |link| {
            scope.spawn(move || {
                let party = Party::connect(Box::new(link), &Context::default()).expect("keys are exchanged");
                let p = Shamir::new(party, Config::default().in_a_field(), 1).expect("a sound configuration");
                matches!(p.routed(by(Route::KingOfSets)).err(), Some(Error::Parameter { operation: "shamir", .. }))
            })
        };
        let parties: Vec<_> = mesh.into_iter().map(start).collect();
        parties.into_iter().all(|party| party.join().expect("no panic"))
    });
    assert!(refused);
}
