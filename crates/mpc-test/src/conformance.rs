//! One suite for all protocols: a program, its inputs, and what must hold wherever it runs.

use crate::{Shared, World};
use privity_mpc::additive_mac::cost::AdditiveMacCosts;
use privity_mpc::beaver::cost::BeaverCosts;
use privity_mpc::beaver::{Beaver, Number};
use privity_mpc::cost::Costs;
use privity_mpc::count::Count;
use privity_mpc::gmw::{Gmw, cost::GmwCosts};
use privity_mpc::plain::Plain;
use privity_mpc::rep3::{Rep3, cost::Rep3Costs};
use privity_mpc::rep4::{Rep4, cost::Rep4Costs};
use privity_mpc::shamir::cost::ShamirCosts;
use privity_mpc::shamir::{Route, Routing};
use privity_mpc::shamir_active::cost::ShamirActiveCosts;
use privity_mpc::{Config, Protocol, Radix, Recipients, Result, TruncMode};
use privity_ring::{M61, Ring, Shape, Tensor};
use std::ops::RangeInclusive;

/// A program over inputs of the three data owners.
pub trait Program: Sync {
    /// Shapes of the owners' inputs.
    fn shapes(&self) -> [Shape; 3];
    /// What is computed; every result is opened to all.
    fn run<P: Protocol>(&self, p: &mut P, inputs: [P::A; 3]) -> Result<Vec<P::A>>;
    /// Largest difference from the twin's results in units in the last place, under fast truncation. Exact truncation
    /// allows none.
    fn tolerance(&self) -> u64 {
        1
    }
    /// Sessions side by side that it needs.
    fn lanes(&self) -> usize {
        1
    }
    /// Whether actively secure protocols support it.
    fn active(&self) -> bool {
        true
    }
    /// Whether sharings by polynomials support it: no sine series, magnitudes below 2^59 before a division, memory for a few hundred bits of each
    /// element at every party.
    fn polynomial(&self) -> bool {
        true
    }
    /// Whether protocols of transfers support it.
    fn transferred(&self) -> bool {
        true
    }
    /// Whether exact truncation supports it.
    fn exact(&self) -> bool {
        true
    }
}

/// Every combination of truncation and carry tree, on a base.
pub fn configs(base: Config) -> Vec<Config> {
    let mut all = Vec::new();
    for mode in [TruncMode::Fast, TruncMode::Exact] {
        for radix in [Radix::Two, Radix::Four] {
            all.push(Config { mode, radix, ..base });
        }
    }
    all
}

/// Runs a program under every protocol and every configuration on `base`; see [`conforms_in`].
///
/// # Panics
/// If it does not conform.
pub fn conforms(program: &impl Program, base: Config, values: &[Tensor<u64>; 3]) {
    for config in configs(base).into_iter().filter(|c| program.exact() || c.mode == TruncMode::Fast) {
        let case = Case { program, config, values, want: &twin(program, config, values) };
        case.with_trees();
        // The others never look at the carry tree that is configured.
        if config.radix == Radix::Two {
            case.without_trees();
            case.triples();
        }
    }
}

/// Numbers of parties that `additive` is tried with, the dealer not counted.
const ADDITIVE: [usize; 5] = [2, 3, 4, 5, 7];
/// Parties and corrupt ones that `shamir` is tried with.
const SHAMIR: [(usize, usize); 6] = [(3, 1), (4, 1), (5, 2), (7, 3), (5, 1), (7, 2)];
/// The same with kings, however few elements.
const KINGS: [(usize, usize, Route); 2] = [(5, 2, Route::KingOfSets), (6, 2, Route::King)];

/// Corrupt parties that `shamir-active` is tried with, and up to how many input elements: a comparison has a few hundred elements at every party, and
/// each of them is verified.
const SHAMIR_ACTIVE: [(usize, usize); 3] = [(1, 1 << 16), (2, 1 << 11), (3, 1 << 10)];

/// Elements of all inputs up to which `gmw` is tried: it sends kilobytes for each product, so what is larger would take minutes. From
/// 6000 products on it already works in several exchanges.
const TRANSFERRED: usize = 250_000;
/// The same of `additive-mac`, and up to how many input elements: its batches are small, and what is dealt for a comparison has a
/// kilobyte for each pair of parties.
const ADDITIVE_MAC: [(usize, usize); 3] = [(2, 1 << 16), (3, 1 << 12), (4, 1 << 10)];

/// Runs a program under every protocol: opened values must be the twin's within the tolerance, the bytes that each party
/// sent to each other and the rounds it took must be the declared ones.
///
/// # Panics
/// If any of it does not hold.
pub fn conforms_in(program: &impl Program, config: Config, values: &[Tensor<u64>; 3]) {
    let case = Case { program, config, values, want: &twin(program, config, values) };
    case.with_trees();
    case.without_trees();
    // Its trees have a fan-in of two whatever is configured.
    if config.radix == Radix::Two {
        case.triples();
    }
}

/// Numbers of parties that `beaver` is tried with and dealt for, and up to how many input elements.
const DEALT: [(usize, usize); 3] = [(2, 1 << 16), (3, 1 << 14), (5, 1 << 11)];
/// The same with transfers between them, which send tens of kilobytes for each comparison and take long to set up.
const TRANSFERRING: [(usize, RangeInclusive<usize>); 2] = [(2, 0..=1 << 12), (3, 65..=1 << 10)];

/// Runs a program under `beaver` with transfers between so many parties, over both rings; see [`conforms_in`].
///
/// # Panics
/// If it does not conform.
pub fn conforms_at(program: &impl Program, config: Config, values: &[Tensor<u64>; 3], parties: usize) {
    let want = twin(program, config, values);
    let case = Case { program, config, values, want: &want };
    case.transferred::<u64>(parties);
    case.transferred::<M61>(parties);
}

/// What the program opens in the clear.
fn twin(program: &impl Program, config: Config, values: &[Tensor<u64>; 3]) -> Vec<Tensor<u64>> {
    let mut twin = Plain::new(config, 3);
    let inputs = share(&mut twin, program, values, [0, 1, 2], true).expect("the twin takes any input");
    program.run(&mut twin, inputs).expect("the program runs in the clear")
}

struct Case<'a, G> {
    program: &'a G,
    config: Config,
    values: &'a [Tensor<u64>; 3],
    want: &'a [Tensor<u64>],
}

impl<G: Program> Case<'_, G> {
    fn elements(&self) -> usize {
        self.values.iter().map(Tensor::len).sum()
    }
    /// Runs it under every protocol whose carry tree is the configured one.
    fn with_trees(&self) {
        let config = self.config;
        self.holds(World::<Rep3>::new(config), Rep3Costs::new(config.radix), [0, 1, 2]);
        for others in ADDITIVE {
            let costs = Rep3Costs::additive(others, config.radix);
            self.holds(World::additive(config, others), costs, [1, 2, 1 + 2 % others]);
        }
        if self.program.active() {
            self.holds(World::<Rep4>::new(config), Rep4Costs { radix: config.radix }, [0, 1, 2]);
            for (others, _) in ADDITIVE_MAC.into_iter().filter(|(_, most)| self.elements() <= *most) {
                let costs = AdditiveMacCosts::new(others, config.radix);
                self.holds(World::additive_mac(config, others), costs, [1, 2, 1 + 2 % others]);
            }
        }
    }
    /// Runs it under every other protocol but `beaver`.
    fn without_trees(&self) {
        let Case { program, config, .. } = *self;
        if program.polynomial() {
            for (n, t) in SHAMIR {
                self.holds(World::shamir(config, n, t), ShamirCosts::new(n, t, config.mode), [0, n / 2, n - 1]);
            }
            for (n, t, route) in KINGS {
                let costs =
                    ShamirCosts::new(n, t, config.mode).routed(Routing { always: Some(route), ..Routing::default() });
                let costs = if route == Route::KingOfSets { costs.with_set_keys().expect("few sets") } else { costs };
                self.holds(World::shamir(config, n, t).by(route), costs, [0, n / 2, n - 1]);
            }
            for (t, _) in SHAMIR_ACTIVE.into_iter().filter(|(_, most)| self.elements() <= *most) {
                let world = World::shamir_active(config, t);
                self.holds(world, ShamirActiveCosts::new(t, config.mode), [0, t, 2 * t]);
            }
        }
        if program.transferred() && self.elements() <= TRANSFERRED {
            self.holds(World::<Gmw>::new(config), GmwCosts, [0, 1, 0]);
        }
    }
    /// Runs it under `beaver` over both rings.
    fn triples(&self) {
        if self.program.transferred() {
            self.by_triples::<u64>();
            if self.program.polynomial() {
                self.by_triples::<M61>();
            }
        }
    }
    /// Runs it under `beaver` over numbers of `R`, with a dealer and with transfers.
    fn by_triples<R: Number>(&self) {
        let (config, elements) = (self.config, self.elements());
        for (n, _) in DEALT.into_iter().filter(|(_, most)| elements <= *most) {
            let world = World::<Beaver<R>>::beaver_dealt(config, n);
            self.holds(world, BeaverCosts::<R>::dealt(n, config.mode), [1, 2, 1 + 2 % n]);
        }
        for (n, _) in TRANSFERRING.into_iter().filter(|(_, sizes)| sizes.contains(&elements)) {
            self.transferred::<R>(n);
        }
    }
    fn transferred<R: Number>(&self, n: usize) {
        let costs = BeaverCosts::<R>::transferred(n, self.config.mode);
        self.holds(World::<Beaver<R>>::beaver(self.config, n), costs, [0, 1, 2 % n]);
    }
    /// Runs it; `owners` are the parties that have the inputs.
    fn holds<S: Shared>(&self, world: World<S>, costs: impl Costs, owners: [usize; 3]) {
        let Case { program, config, values, want } = *self;
        let tolerance = if config.mode == TruncMode::Exact { 0 } else { program.tolerance() };
        let parties = world.with_lanes(program.lanes()).run(|p| {
            let inputs = share(p, program, values, owners, false).expect("inputs are shared");
            let results = program.run(p, inputs).expect("the program runs");
            let open = |z| integers(p.open(z, Recipients::ALL).expect("opens").expect("to all"));
            let opened: Vec<Tensor<u64>> = results.iter().map(open).collect();
            (opened, p.session().bytes_sent().to_vec(), p.session().rounds())
        });
        let mut count = Count::new(config, costs, Default::default());
        let inputs = share(&mut count, program, values, owners, true).expect("counting needs no input");
        for z in program.run(&mut count, inputs).expect("the program is counted") {
            count.open(&z, Recipients::ALL).expect("openings are counted");
        }
        let n = world.parties();
        for (me, (opened, sent, rounds)) in parties.iter().enumerate() {
            compare(config, opened, want, tolerance);
            let declared: Vec<u64> = (0..n).map(|to| count.clock().bytes(me, to)).collect();
            assert_eq!(*sent, declared, "{config:?}: bytes sent by {me} of {n}");
            assert_eq!(*rounds, count.clock().rounds_of(me), "{config:?}: rounds of {me} of {n}");
        }
    }
}

fn compare(config: Config, got: &[Tensor<u64>], want: &[Tensor<u64>], tolerance: u64) {
    assert_eq!(got.len(), want.len(), "{config:?}: number of results");
    for (k, (got, want)) in got.iter().zip(want).enumerate() {
        assert_eq!(got.shape(), want.shape(), "{config:?}: result {k}");
        for (i, (g, w)) in got.data().iter().zip(want.data()).enumerate() {
            let off = (g.wrapping_sub(*w) as i64).unsigned_abs();
            assert!(off <= tolerance, "{config:?} result {k} element {i}: got {} want {}", *g as i64, *w as i64);
        }
    }
}

/// Ring elements as integers.
fn integers<R: Ring>(x: Tensor<R>) -> Tensor<u64> {
    Tensor::new(x.shape().clone(), x.data().iter().map(|v| v.to_u64()).collect())
}

/// Shares each owner's tensor; `all` at protocols that see everything.
fn share<P: Protocol>(
    p: &mut P,
    program: &impl Program,
    values: &[Tensor<u64>; 3],
    owners: [usize; 3],
    all: bool,
) -> Result<[P::A; 3]> {
    let shapes = program.shapes();
    let mut share = |i: usize| {
        let data = values[i].data().iter().map(|v| P::R::from_u64(*v)).collect();
        let value = Tensor::new(shapes[i].clone(), data);
        let given = all || p.me() == owners[i];
        p.input(owners[i], &shapes[i], given.then_some(&value))
    };
    Ok([share(0)?, share(1)?, share(2)?])
}

/// Reproducible noise for inputs.
pub struct Noise(pub u64);

impl Noise {
    /// The next word.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 ^ self.0 >> 33).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
    /// Signed numbers of up to `bits` bits.
    pub fn tensor(&mut self, shape: &Shape, bits: u32) -> Tensor<u64> {
        Tensor::new(shape.clone(), (0..shape.len()).map(|_| (self.word() as i64 >> (64 - bits)) as u64).collect())
    }
    /// The same, a third of them at or next to the edges `±(2^(bits-1) - 1)`, zero and one.
    pub fn edges(&mut self, shape: &Shape, bits: u32) -> Tensor<u64> {
        let top = (1u64 << (bits - 1)) - 1;
        let edges = [0, 1, u64::MAX, top, top - 1, top.wrapping_neg(), (top - 1).wrapping_neg()];
        let mut tensor = self.tensor(shape, bits);
        for (i, v) in tensor.data_mut().iter_mut().enumerate().filter(|(i, _)| i % 3 == 0) {
            *v = edges[i / 3 % edges.len()];
        }
        // What noise alone could exceed by one.
        tensor.data_mut().iter_mut().for_each(|v| *v = if (*v as i64).unsigned_abs() > top { top } else { *v });
        tensor
    }
}
