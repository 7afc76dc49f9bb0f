//! Parties that die at any message: the others go on, to the right result.

use privity_mpc::cost::{Clock, Costs};
use privity_mpc::count::Count;
use privity_mpc::ops::compare;
use privity_mpc::plain::Plain;
use privity_mpc::shamir::{Shamir, cost::ShamirCosts};
use privity_mpc::{Config, Error, Party, Product, Protocol, Raw, Recipients, Result, Share};
use privity_net::sim::{self, SimConfig, SimLink};
use privity_net::{AbortCause, Incoming, Link, NetError, PeerStats, Tag};
use privity_prim::Context;
use privity_ring::{M61, Ring, Shape, Tensor};
use std::time::Duration;

/// A link whose party dies, and is gone for the others, before it sends its frame of this number.
struct Mortal {
    link: Option<SimLink>,
    me: usize,
    n: usize,
    left: u64,
    sent: u64,
}

impl Mortal {
    fn alive(&mut self) -> std::result::Result<&mut SimLink, NetError> {
        self.link.as_mut().ok_or(NetError::Io { operation: "living", problem: "killed".into() })
    }
}

impl Link for Mortal {
    fn me(&self) -> usize {
        self.me
    }
    fn n(&self) -> usize {
        self.n
    }
    fn send(&mut self, to: usize, tag: Tag, depth: u32, payload: &[u8]) -> std::result::Result<(), NetError> {
        self.sent += 1;
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => self.link = None,
        }
        self.alive()?.send(to, tag, depth, payload)
    }
    fn tolerate(&mut self, on: bool) {
        if let Ok(link) = self.alive() {
            link.tolerate(on);
        }
    }
    fn recv(&mut self, from: usize, tag: Tag, into: &mut [u8]) -> std::result::Result<u32, NetError> {
        self.alive()?.recv(from, tag, into)
    }
    fn recv_any(&mut self, from: usize) -> std::result::Result<Incoming, NetError> {
        self.alive()?.recv_any(from)
    }
    fn abort(&mut self, cause: &AbortCause) {
        if let Ok(link) = self.alive() {
            link.abort(cause);
        }
    }
    fn close(&mut self) -> std::result::Result<(), NetError> {
        self.alive()?.close()
    }
    fn stats(&self) -> &[PeerStats] {
        self.link.as_ref().map_or(&[], |link| link.stats())
    }
}

const VALUES: [i64; 5] = [3, -70_000, 12_345_678, 0, -1];

/// Products one after the other, a division, a comparison, an opening on the way and one at the end. Party 0 has the input.
fn program<P: Protocol>(p: &mut P, all: bool) -> Result<Vec<u64>> {
    let shape = Shape::vector(VALUES.len());
    let values = Tensor::new(shape.clone(), VALUES.map(|v| P::R::from_u64(v as u64)).to_vec());
    let x = p.input(0, &shape, (all || p.me() == 0).then_some(&values))?;
    let small = p.rescale(&[(&x, 8)])?;
    let mut x = p.lift(small)?.remove(0);
    for _ in 0..3 {
        let product = p.products(&[Product::mul(&x, &x, 16)])?;
        x = p.lift(product)?.remove(0);
    }
    let mut opened = words(p.open(&x, Recipients::ALL)?);
    let five = p.public(&Tensor::fill(&shape, 5));
    let (positive, _) = compare::relu(p, Raw::exact(x.sub(&five)))?;
    opened.extend(words(p.open(&positive, Recipients::ALL)?));
    Ok(opened)
}

fn words<R: Ring>(opened: Option<Tensor<R>>) -> Vec<u64> {
    opened.expect("opened to all").data().iter().map(|v| v.to_u64()).collect()
}

/// What a party got, whom it counted as lost, frames it sent, words it sent, its rounds.
type End = (Result<Vec<u64>>, Vec<usize>, u64, Vec<u64>, u64);

/// The program among `n` parties, some of which die before they send a frame of given number.
fn run(n: usize, t: usize, deaths: &[(usize, u64)]) -> Vec<End> {
    let links = sim::mesh(n, SimConfig { deadline: Duration::from_secs(20), ..SimConfig::default() });
    let done = &std::sync::Barrier::new(n);
    std::thread::scope(|scope| {
        let party = |link: SimLink| {
            scope.spawn(move || {
                let me = link.me();
                let left = deaths.iter().find(|(party, _)| *party == me).map_or(u64::MAX, |(_, frames)| *frames);
                // The exchange of keys is over before anybody dies.
                let keys = (n - 1) as u64 * if n == 4 { 2 } else { 1 };
                let mortal = Mortal { link: Some(link), me, n, left: left.saturating_add(keys), sent: 0 };
                let mut party = Party::connect(Box::new(mortal), &Context::default()).expect("keys are exchanged");
                party.audit_masks_for_tests();
                let mut p = Shamir::surviving(party, Config::default().in_a_field(), t).expect("a party can be spared");
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| program(&mut p, false)));
                let result = result.unwrap_or_else(|_| std::process::abort());
                let sent = p.party().link().stats().iter().map(|stats| stats.frames_sent).sum::<u64>();
                let (bytes, rounds) = (p.party().bytes_sent().to_vec(), p.party().rounds());
                // Whoever is done says goodbye and stays until all are.
                let _ = p.party().link().close();
                done.wait();
                (result, p.lost(), sent.saturating_sub(keys), bytes, rounds)
            })
        };
        let running: Vec<_> = links.into_iter().map(party).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

fn twin() -> Vec<u64> {
    program(&mut Plain::new(Config::default(), 1), true).expect("the twin runs")
}

/// Fast divisions may round down or up.
fn close_to(got: &[u64], want: &[u64]) -> bool {
    got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g.wrapping_sub(*w) as i64).abs() <= 2)
}

fn check(ends: &[End], deaths: &[(usize, u64)], want: &[u64], input_frames: u64) {
    let mut values = Vec::new();
    for (me, (result, lost, ..)) in ends.iter().enumerate() {
        if deaths.iter().any(|(party, _)| *party == me) {
            continue;
        }
        // Nobody is counted as lost but those who died, and those who were done before.
        match result {
            Ok(got) => {
                assert!(close_to(got, want), "party {me} after {deaths:?}, without {lost:?}: {got:?}, not {want:?}");
                values.push(got);
            }
            // Without its input there is no result.
            Err(Error::Net(NetError::Closed { peer: 0 })) if deaths.iter().any(|d| d.0 == 0 && d.1 < input_frames) => {}
            Err(error) => {
                let all: Vec<_> = ends.iter().map(|end| (end.0.as_ref().err(), &end.1)).collect();
                panic!("party {me} after {deaths:?}: {error}; {all:?}");
            }
        }
    }
    assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "all open the same after {deaths:?}");
}

#[test]
fn whoever_dies_at_whatever_message_the_others_finish() {
    let want = twin();
    // Every message, or as many as there is time for.
    let heavy = std::env::var_os("PRIVITY_HEAVY").is_some();
    for (n, t, step) in [(4, 1, 1), (5, 1, 1), (7, 2, 5)] {
        let whole = run(n, t, &[]);
        check(&whole, &[], &want, 0);
        let input_frames = 2 * (n as u64 - 1);
        let mut cases = 0;
        for (party, (_, lost, frames, ..)) in whole.iter().enumerate() {
            assert!(lost.is_empty());
            for at in (0..*frames).step_by(if heavy { 1 } else { step }) {
                check(&run(n, t, &[(party, at)]), &[(party, at)], &want, input_frames);
                cases += 1;
            }
        }
        println!("({n}, {t}): {cases} deaths");
    }
}

#[test]
fn as_many_die_as_can_be_spared() {
    let want = twin();
    let frames = run(7, 2, &[])[0].2;
    let mut seed = 5u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for _ in 0..if std::env::var_os("PRIVITY_HEAVY").is_some() { 3000 } else { 150 } {
        let first = 1 + random(6) as usize;
        let second = 1 + (first + random(5) as usize) % 6;
        // Often at about the same time.
        let at = random(frames);
        let deaths =
            [(first, at), (second, if random(2) == 0 { (at + random(12)).min(frames) } else { random(frames) })];
        check(&run(7, 2, &deaths), &deaths, &want, 0);
    }
}

#[test]
fn one_more_death_than_can_be_spared_is_a_typed_error() {
    for end in run(4, 1, &[(1, 30), (2, 30)]).iter().filter(|end| end.1.len() < 3) {
        assert!(matches!(end.0, Err(Error::Net(_))), "{:?}", end.0);
    }
    let refused = std::thread::scope(|scope| {
        let start = |link| {
            scope.spawn(|| {
                let party = Party::connect(Box::new(link), &Context::default()).expect("keys");
                Shamir::surviving(party, Config::default().in_a_field(), 1).err()
            })
        };
        let running: Vec<_> = sim::mesh(3, SimConfig::default()).into_iter().map(start).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert!(refused.iter().all(|error| matches!(error, Some(Error::Parameter { .. }))));
}

#[test]
fn what_going_on_costs_is_declared() {
    for (n, t) in [(4, 1), (5, 1), (7, 2)] {
        let costs = ShamirCosts::surviving(n, t, Config::default().mode);
        assert_eq!(costs.parties(), n);
        let mut count = Count::new(Config::default(), costs, Default::default());
        program(&mut count, true).expect("counted");
        let clock: &Clock = count.clock();
        for (me, (result, _, _, bytes, rounds)) in run(n, t, &[]).into_iter().enumerate() {
            assert!(result.is_ok());
            assert_eq!(bytes, (0..n).map(|to| clock.bytes(me, to)).collect::<Vec<_>>(), "bytes of {me} of {n}");
            assert_eq!(rounds, clock.rounds_of(me), "rounds of {me} of {n}");
        }
    }
    // The field is what parties share.
    assert_eq!(M61::BYTES, 8);
}
