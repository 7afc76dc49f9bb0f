//! Robust openings of shamir: some parties lie, others stop.

use privity_mpc::cost::{Clock, Costs};
use privity_mpc::shamir::cost::ShamirCosts;
use privity_mpc::shamir::{Robust, Shamir};
use privity_mpc::{Config, Error, Party, Protocol, Recipients, Result, TruncMode};
use privity_mpc_test::World;
use privity_mpc_test::conformance::Noise;
use privity_net::NetError;
use privity_net::sim::{Frame, Tamper};
use privity_ring::{M61, Ring, Shape, Tensor};
use std::sync::Arc;
use std::time::Duration;

/// Values; more than one tile of them.
const LEN: usize = (1 << 14) + 70;
/// The step after the input.
const OPENING: u64 = 2;

fn values() -> Tensor<M61> {
    let shape = Shape::vector(LEN);
    let noise = Noise(61).tensor(&shape, 60);
    Tensor::new(shape, noise.data().iter().map(|v| M61::from_u64(*v)).collect())
}

fn shared(p: &mut Shamir) -> Tensor<M61> {
    let x = values();
    p.input(0, x.shape(), (p.me() == 0).then_some(&x)).expect("shared")
}

/// Every party shares, `stopped` ones stop, the others open.
fn open(p: &mut Shamir, to: Recipients, liars: usize, stopped: &[usize]) -> Option<Result<Option<Robust>>> {
    let x = shared(p);
    (!stopped.contains(&p.me())).then(|| p.open_robustly(&x, to, liars))
}

/// Alters one word of each frame that a liar sends in the opening, another one in each.
fn lies(liars: &'static [usize]) -> Tamper {
    Arc::new(move |mut frame: Frame| {
        if frame.tag.step == OPENING && liars.contains(&frame.from) {
            let at = 8 * ((29 * frame.from + 7 * frame.to + frame.tag.tile as usize) % (frame.payload.len() / 8));
            // Now and then a word that is no residue, too.
            frame.payload[at..at + 8].iter_mut().for_each(|b| *b = b.wrapping_add(0x55 << (frame.to % 2)));
        }
        vec![frame]
    })
}

#[test]
fn wrong_shares_are_corrected_and_named() {
    // Parties, threshold, most liars reckoned with, liars, parties that stop.
    let cases: [(usize, usize, usize, &[usize], &[usize]); 9] = [
        (4, 1, 1, &[2], &[]),
        (5, 1, 1, &[0], &[]),
        (5, 1, 1, &[4], &[3]),
        (5, 2, 1, &[1], &[]),
        (7, 2, 2, &[0, 6], &[]),
        (7, 2, 2, &[3], &[5]),
        (7, 3, 1, &[6], &[2]),
        (10, 3, 3, &[1, 2, 9], &[]),
        (11, 3, 3, &[0, 5, 10], &[4]),
    ];
    for (n, t, reckoned, liars, stopped) in cases {
        let world = World::shamir(Config::default(), n, t);
        let results = world.tampered(lies(liars), |p| open(p, Recipients::ALL, reckoned, stopped));
        for (me, result) in results.into_iter().enumerate().filter(|(me, _)| !stopped.contains(me)) {
            let opened = result.expect("took part").expect("opens").expect("to all");
            let wrong: Vec<usize> = liars.iter().copied().filter(|liar| *liar != me).collect();
            assert!(opened.value == values(), "({n}, {t}) {liars:?} {stopped:?}: value at {me}");
            assert_eq!((opened.wrong, &opened.absent[..]), (wrong, stopped), "({n}, {t}) at {me}");
        }
    }
}

#[test]
fn what_cannot_be_corrected_is_noticed() {
    for (n, t, liars, stopped) in [
        (3, 1, &[1][..], &[][..]),
        (5, 2, &[1], &[]),
        (5, 2, &[3, 4], &[]),
        (6, 2, &[3, 4], &[1]),
        (7, 3, &[0, 3, 4], &[]),
        (4, 1, &[2], &[1]),
    ] {
        let world = World::shamir(Config::default(), n, t);
        let results = world.tampered(lies(liars), |p| open(p, Recipients::ALL, t, stopped));
        for (me, result) in results.into_iter().enumerate().filter(|(me, _)| !stopped.contains(me)) {
            // A liar's own shares are right: it may see fewer wrong ones than others do.
            match result.expect("took part") {
                Err(Error::Cheating { .. }) => {}
                Ok(Some(opened)) => assert!(liars.contains(&me) && opened.value == values(), "({n}, {t}) at {me}"),
                other => panic!("({n}, {t}) at {me}: {other:?}"),
            }
        }
    }
}

#[test]
fn too_few_shares_are_an_error() {
    let world = World::shamir(Config::default(), 5, 2);
    let results = world.run(|p| open(p, Recipients::ALL, 2, &[3]));
    for result in results.into_iter().flatten() {
        assert!(matches!(result, Err(Error::Net(NetError::Closed { peer: 3 }))), "{result:?}");
    }
    let refused = world.run(|p| open(p, Recipients::ALL, 3, &[]));
    assert!(refused.into_iter().flatten().all(|r| matches!(r, Err(Error::Parameter { operation: "open", .. }))));
    // Nobody lies: the shares of three do.
    let results = world.run(|p| open(p, Recipients::ALL, 0, &[1, 4]));
    for result in results.into_iter().flatten() {
        let opened = result.expect("opens").expect("to all");
        assert!(opened.value == values() && opened.wrong.is_empty() && opened.absent == [1, 4]);
    }
}

/// A party that is there and says nothing, or garbage, counts as absent.
#[test]
fn silence_and_garbage_are_absences() {
    for garbage in [false, true] {
        let silent: Tamper = Arc::new(move |mut frame: Frame| {
            if frame.tag.step != OPENING || frame.from != 1 {
                return vec![frame];
            }
            frame.payload.truncate(8);
            Vec::from_iter(garbage.then_some(frame))
        });
        let world = World::shamir(Config::default(), 4, 1).with_deadline(Duration::from_secs(2));
        for (me, result) in world.tampered(silent, |p| open(p, Recipients::ALL, 1, &[])).into_iter().enumerate() {
            let opened = result.expect("took part").expect("opens").expect("to all");
            let absent = if me == 1 { vec![] } else { vec![1] };
            assert!(opened.value == values() && opened.absent == absent && opened.wrong.is_empty());
        }
    }
}

#[test]
fn measured_traffic_is_as_declared() {
    for (n, t) in [(3, 1), (5, 2), (7, 2)] {
        for to in [Recipients::ALL, Recipients::only(1), Recipients::of(&[0, 2])] {
            let world = World::shamir(Config::default(), n, t);
            let parties = world.run(|p| {
                let opened = open(p, to, t, &[]).expect("takes part").expect("opens");
                assert_eq!(opened.is_some(), to.contains(p.me()));
                assert!(opened.is_none_or(|opened| opened.value == values()));
                (p.party().bytes_sent().to_vec(), p.party().rounds())
            });
            let costs = ShamirCosts::new(n, t, TruncMode::Fast);
            let mut clock = Clock::new(n, Default::default());
            costs.input(&mut clock, 0, LEN);
            costs.open_robustly(&mut clock, LEN, to);
            for (me, (sent, rounds)) in parties.into_iter().enumerate() {
                let declared: Vec<u64> = (0..n).map(|other| clock.bytes(me, other)).collect();
                assert_eq!((sent, rounds), (declared, clock.rounds_of(me)), "({n}, {t}), party {me}");
            }
        }
    }
}

/// What knows neither survivors nor verification is refused there.
#[test]
fn other_kinds_of_shamir_refuse() {
    let refuses = |p: &mut Shamir| {
        let x = Tensor::zeros(&Shape::vector(3));
        let words = Tensor::zeros(&Shape::vector(3));
        let errors = [
            p.open_robustly(&x, Recipients::ALL, 1).err(),
            p.packing(2).err(),
            p.from_additive(&[0, 1], x.shape(), (p.me() < 2).then_some(&words)).err(),
        ];
        errors.iter().all(|error| matches!(error, Some(Error::Parameter { .. })))
    };
    assert!(World::verified(Config::default(), 2).run(refuses).into_iter().all(|refused| refused));
    for link in privity_net::sim::mesh(6, Default::default()) {
        let party = Party::with_fixed_keys_for_tests(Box::new(link), 1);
        let mut surviving = Shamir::surviving(party, Config::default().in_a_field(), 1).expect("enough parties");
        assert!(refuses(&mut surviving));
    }
}
