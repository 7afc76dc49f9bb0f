//! Shared numbers change hands: committees of other parties, overlapping or not, and other thresholds.

use privity_mpc::cost::{Clock, Costs};
use privity_mpc::shamir::cost::ShamirCosts;
use privity_mpc::shamir::{Committee, Handover, Shamir};
use privity_mpc::{Config, Error, Product, Protocol, Recipients, TruncMode};
use privity_mpc_test::World;
use privity_mpc_test::conformance::Noise;
use privity_ring::{M61, Ring, Shape, Tensor};

const LEN: usize = (1 << 14) + 9;

fn noise(seed: u64) -> Tensor<M61> {
    let shape = Shape::vector(LEN);
    let words = Noise(seed).tensor(&shape, 60);
    Tensor::new(shape, words.data().iter().map(|v| M61::from_u64(*v)).collect())
}

/// Shares of a polynomial with these coefficients at a member's place.
fn share(coefficients: &[Tensor<M61>], place: usize) -> Tensor<M61> {
    let point = place as u64 + 1;
    coefficients.iter().rev().fold(Tensor::zeros(&Shape::vector(LEN)), |sum, c| sum.scale(point).add(c))
}

/// The value at zero of the polynomial through some places' shares.
fn at_zero(shares: &[(usize, &Tensor<M61>)]) -> Tensor<M61> {
    let point = |place: usize| M61::from_u64(place as u64 + 1);
    shares.iter().fold(Tensor::zeros(&Shape::vector(LEN)), |sum, (place, x)| {
        let others = shares.iter().map(|(other, _)| *other).filter(|other| other != place);
        let weight = others
            .fold(M61::from_u64(1), |w, other| w.mul(point(other)).mul(point(other).sub(point(*place)).inverse()));
        sum.add(&x.map(|v| v.mul(weight)))
    })
}

#[test]
fn numbers_go_over_to_any_committee() {
    // Parties of the session; old members, threshold, dealers; new members, threshold.
    type Case = (usize, &'static [usize], usize, &'static [usize], &'static [usize], usize);
    let cases: [Case; 6] = [
        (5, &[0, 1, 2], 1, &[0, 1], &[0, 1, 2, 3, 4], 2),
        (5, &[0, 1, 2, 3, 4], 2, &[4, 1, 3], &[1, 2, 4], 1),
        (8, &[0, 1, 2, 3, 4], 2, &[0, 1, 2, 3, 4], &[5, 6, 7], 1),
        (8, &[5, 6, 7], 1, &[7, 5], &[0, 1, 2, 3, 4], 2),
        (9, &[1, 3, 5, 7], 1, &[3, 7], &[0, 2, 3, 4, 5, 7, 8], 3),
        (3, &[0, 1, 2], 1, &[2, 0], &[0, 1, 2], 1),
    ];
    for (n, old, t, dealers, new, threshold) in cases {
        let from = Committee::new(old, t).expect("sound");
        let to = Committee::new(new, threshold).expect("sound");
        let handover = Handover::new(n, &from, dealers, &to).expect("enough dealers");
        let coefficients: Vec<Tensor<M61>> = (0..=t as u64).map(noise).collect();
        let parties = World::shamir(Config::default(), n, 1).run(|p| {
            let x = old.iter().position(|member| *member == p.me()).map(|place| share(&coefficients, place));
            let y = handover.run(p.party(), &Shape::vector(LEN), x.as_ref()).expect("handed over");
            assert_eq!(y.is_some(), new.contains(&p.me()));
            (y, p.party().bytes_sent().to_vec(), p.party().rounds())
        });
        let mut clock = Clock::new(n, Default::default());
        handover.price(&mut clock, LEN);
        for (me, (_, sent, rounds)) in parties.iter().enumerate() {
            let declared: Vec<u64> = (0..n).map(|other| clock.bytes(me, other)).collect();
            assert_eq!((sent, *rounds), (&declared, clock.rounds_of(me)), "{old:?} to {new:?}, party {me}");
        }
        let shares: Vec<(usize, &Tensor<M61>)> = parties.iter().filter_map(|(y, ..)| y.as_ref()).enumerate().collect();
        for some in shares.windows(threshold + 1) {
            assert!(at_zero(some) == coefficients[0], "{old:?} to {new:?}, from {}", some[0].0);
        }
        // The degree is as high as it should be: fewer shares give something else.
        assert!(shares.windows(threshold).all(|few| at_zero(few) != coefficients[0]));
    }
}

/// Out of a protocol, through a smaller committee and back.
#[test]
fn a_protocol_goes_on_with_what_comes_back() {
    let (n, t, shape) = (5, 2, Shape::vector(LEN));
    let all = Committee::new(&[0, 1, 2, 3, 4], t).expect("sound");
    let few = Committee::new(&[1, 2, 4], 1).expect("sound");
    let out = Handover::new(n, &all, &[0, 3, 4], &few).expect("enough");
    let back = Handover::new(n, &few, &[2, 4], &all).expect("enough");
    let x = Tensor::new(shape.clone(), (0..LEN as u64).map(|i| M61::from_u64(i * i)).collect::<Vec<M61>>());
    let parties = World::shamir(Config::default(), n, t).run(|p: &mut Shamir| {
        let given = (p.me() == 3).then_some(&x);
        let shared = p.input(3, &shape, given).expect("shared");
        let small = out.run(p.party(), &shape, Some(&shared)).expect("out");
        let again = back.run(p.party(), &shape, small.as_ref()).expect("back").expect("to all");
        assert!(again != shared, "new shares");
        let square = p.products_lifted(&[Product::mul(&again, &shared, 0)]).expect("multiplied").remove(0);
        let opened = p.open(&square, Recipients::ALL).expect("opens").expect("to all");
        (opened, p.party().bytes_sent().to_vec())
    });
    let costs = ShamirCosts::new(n, t, TruncMode::Fast);
    let mut clock = Clock::new(n, Default::default());
    costs.input(&mut clock, 3, LEN);
    out.price(&mut clock, LEN);
    back.price(&mut clock, LEN);
    costs.products(
        &mut clock,
        &[privity_mpc::cost::ProductCost {
            op: privity_ring::Bilinear::Mul,
            len: LEN,
            macs: 0,
            shift: 0,
            rows: LEN,
            operands: 2 * LEN,
        }],
    );
    costs.open(&mut clock, LEN, Recipients::ALL);
    for (me, (opened, sent)) in parties.into_iter().enumerate() {
        assert!(opened == x.map(|v| v.mul(v)), "party {me}");
        assert_eq!(sent, (0..n).map(|other| clock.bytes(me, other)).collect::<Vec<_>>(), "party {me}");
    }
}

#[test]
fn unsound_committees_and_handovers_are_refused() {
    let refused = |members: &[usize], t| matches!(Committee::new(members, t), Err(Error::Parameter { .. }));
    assert!(refused(&[0, 1], 1) && refused(&[1, 0, 2], 1) && refused(&[0, 1, 1], 1) && refused(&[0, 1, 2], 0));
    let five = Committee::new(&[0, 1, 2, 3, 4], 2).expect("sound");
    let three = Committee::new(&[4, 5, 6], 1).expect("sound");
    let refused =
        |n, dealers: &[usize]| matches!(Handover::new(n, &five, dealers, &three), Err(Error::Parameter { .. }));
    assert!(refused(7, &[0, 1]) && refused(7, &[0, 1, 1]) && refused(7, &[0, 1, 6]) && refused(6, &[0, 1, 2]));
    let handover = Handover::new(7, &five, &[0, 1, 2], &three).expect("sound");
    let shape = Shape::vector(3);
    let wrong = World::shamir(Config::default(), 7, 1).run(|p| {
        let x = Tensor::zeros(&Shape::vector(if p.me() == 6 { 3 } else { 2 }));
        match p.me() {
            0 => handover.run(p.party(), &shape, None).err(),
            1 | 6 => handover.run(p.party(), &shape, Some(&x)).err(),
            _ => None,
        }
    });
    assert!(matches!(wrong[0], Some(Error::Input { owner: 0, .. })));
    assert!(matches!(wrong[1], Some(Error::Input { owner: 1, .. })));
    assert!(matches!(wrong[6], Some(Error::Parameter { operation: "reshare", .. })));
}
