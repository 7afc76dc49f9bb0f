//! Declared messages of every operation. Tests hold measured traffic against these, to the byte and to the round.

use super::MOST_HELD;
use super::boolean::{AT_ONCE, BITS};
use crate::cost::{Clock, Costs, ProductCost, TermCost};
use crate::shamir::convert::groups;
use crate::shamir::cost::{ShamirCosts, no_harmonics};
use crate::{Origin, Recipients, Result, TruncMode};
use privity_ring::Bilinear;
use std::cell::{Cell, RefCell};

/// Multiplications of a verification for each element of its vectors: claims at points beyond the parts, for the most.
const WORK: u64 = 20;

/// What a lane owes.
#[derive(Clone, Copy, Default)]
struct Owed {
    dealt: bool,
    /// Whether there is anything to verify but that all arrived.
    claims: bool,
    /// Elements of the vectors.
    len: usize,
    /// Elements kept.
    held: usize,
}

/// The price list of shamir-active.
pub struct ShamirActiveCosts {
    base: ShamirCosts,
    threshold: usize,
    mode: TruncMode,
    lane: Cell<usize>,
    owed: RefCell<Vec<Owed>>,
}

impl ShamirActiveCosts {
    /// `2 threshold + 1` parties.
    pub fn new(threshold: usize, mode: TruncMode) -> Self {
        let base = ShamirCosts::verified(threshold);
        ShamirActiveCosts { base, threshold, mode, lane: Cell::new(0), owed: RefCell::default() }
    }

    fn owe(&self, f: impl FnOnce(&mut Owed)) {
        let mut owed = self.owed.borrow_mut();
        let lane = self.lane.get();
        if owed.len() <= lane {
            owed.resize(lane + 1, Owed::default());
        }
        owed[lane].dealt = true;
        f(&mut owed[lane]);
    }
    fn taken(&self) -> Owed {
        self.owed.borrow_mut().get_mut(self.lane.get()).map(std::mem::take).unwrap_or_default()
    }
    fn pay_if_much(&self, clock: &mut Clock) {
        let held = self.owed.borrow().get(self.lane.get()).map_or(0, |owed| owed.held);
        if held >= MOST_HELD {
            clock.enter("verification");
            self.settle(clock);
            clock.leave();
        }
    }
    /// Products: so many results, elements of the vectors that are verified, elements kept.
    fn sums(&self, clock: &mut Clock, results: usize, len: usize, held: usize) {
        if results > 0 {
            self.base.reduce_numbers(clock, results);
            self.owe(|owed| {
                owed.claims = true;
                owed.len += len;
                owed.held += held;
            });
            self.pay_if_much(clock);
        }
    }
    fn multiply(&self, clock: &mut Clock, len: usize) {
        self.sums(clock, len, len, 3 * len);
    }
    /// The operands of an operation, as elements and terms of which they are the XOR.
    fn resolved(&self, clock: &mut Clock, operands: &[(usize, usize)]) {
        let mut operands = operands.to_vec();
        while operands.iter().any(|(_, terms)| *terms > 1) {
            self.multiply(clock, operands.iter().map(|(len, terms)| len * (terms / 2)).sum());
            operands.iter_mut().for_each(|(_, terms)| *terms -= *terms / 2);
        }
    }
    fn integers(&self, clock: &mut Clock, len: usize) {
        let mut numbers = self.threshold + 1;
        self.base.deal_numbers(clock, BITS * len);
        self.owe(|owed| {
            owed.claims = true;
            owed.len += numbers * BITS * len;
            owed.held += numbers * BITS * len + len;
        });
        self.pay_if_much(clock);
        while numbers > 2 {
            let triples = numbers / 3;
            self.multiply(clock, triples * BITS * len);
            self.multiply(clock, triples * BITS * len);
            numbers -= triples;
        }
    }
    fn added(&self, clock: &mut Clock, len: usize, places: usize) {
        self.integers(clock, len);
        self.multiply(clock, (places + 1) * len);
    }
    fn carry(&self, clock: &mut Clock, len: usize, places: usize) {
        let mut rows = places + 1;
        while rows > 1 {
            let pairs = rows / 2;
            self.multiply(clock, (2 * pairs - 1) * len);
            rows -= pairs;
        }
    }
    fn carries(&self, clock: &mut Clock, len: usize, places: usize) {
        let mut distance = 1;
        while distance < places {
            self.multiply(clock, (places - distance + places.saturating_sub(2 * distance)) * len);
            distance *= 2;
        }
    }
    fn divide(&self, clock: &mut Clock, jobs: &[(usize, u32)], exactly: bool) {
        for group in groups(jobs) {
            let shift = jobs[group[0]].1 as usize;
            for len in parts(group.iter().map(|i| jobs[*i].0).sum()) {
                self.added(clock, len, if exactly { shift } else { 0 });
                if exactly {
                    self.carry(clock, len, shift);
                }
            }
        }
    }
}

/// Lengths of what is worked on at once.
fn parts(total: usize) -> impl Iterator<Item = usize> {
    (0..total).step_by(AT_ONCE).map(move |from| AT_ONCE.min(total - from))
}

impl Costs for ShamirActiveCosts {
    fn parties(&self) -> usize {
        self.base.parties()
    }
    fn in_lane(&self, lane: usize) {
        self.lane.set(lane);
    }
    fn input(&self, clock: &mut Clock, owner: usize, len: usize) {
        self.owe(|_| {});
        self.base.input(clock, owner, len);
    }
    fn products(&self, clock: &mut Clock, jobs: &[ProductCost]) {
        for party in 0..self.parties() {
            clock.work(party, jobs.iter().map(|job| job.macs).sum());
        }
        let jobs_with_results = || jobs.iter().filter(|job| job.len > 0);
        let length = |job: &ProductCost| match job.op {
            Bilinear::Mul => job.len,
            Bilinear::MatMul => job.macs as usize / job.len,
        };
        let held = jobs_with_results().map(|job| job.operands + job.len).sum();
        self.sums(clock, jobs.iter().map(|job| job.len).sum(), jobs_with_results().map(length).sum(), held);
        self.rescale(clock, &jobs.iter().map(|job| (job.len, job.shift)).collect::<Vec<_>>());
    }
    fn rescale(&self, clock: &mut Clock, jobs: &[(usize, u32)]) {
        if self.mode == TruncMode::Fast {
            self.divide(clock, jobs, false);
        }
    }
    fn round_exactly(&self, clock: &mut Clock, jobs: &[(usize, u32)]) {
        self.divide(clock, jobs, true);
    }
    fn refresh(&self, clock: &mut Clock, lens: &[usize], _: Origin) {
        let len: usize = lens.iter().sum();
        self.base.deal_numbers(clock, len);
        self.owe(|owed| {
            owed.claims = true;
            owed.held += len;
        });
        self.pay_if_much(clock);
    }
    fn signs(&self, clock: &mut Clock, lens: &[usize], width: u32, _: &[(usize, u32)]) {
        for len in parts(lens.iter().sum()) {
            self.added(clock, len, width as usize);
            self.carry(clock, len, width as usize - 1);
            self.multiply(clock, len);
        }
    }
    fn a2b(&self, clock: &mut Clock, len: usize, width: u32) {
        for len in parts(len) {
            self.added(clock, len, width as usize);
            self.carries(clock, len, width as usize);
            self.multiply(clock, width as usize * len);
        }
    }
    fn xors(&self, clock: &mut Clock, operands: &[(usize, usize)]) {
        self.resolved(clock, operands);
    }
    fn and(&self, clock: &mut Clock, jobs: &[(usize, usize)]) {
        self.multiply(clock, jobs.iter().map(|(len, width)| len * width).sum());
    }
    fn arm(&self, _: &mut Clock, _: &[usize]) {}
    fn inject(&self, clock: &mut Clock, jobs: &[(usize, Vec<TermCost>)]) {
        let secret = |terms: &[TermCost]| terms.iter().filter(|term| term.secret).count();
        let multiplied = || jobs.iter().map(|(len, terms)| (*len, secret(terms))).filter(|(_, terms)| *terms > 0);
        let results = multiplied().map(|(len, _)| len).sum();
        let len = multiplied().map(|(len, terms)| len * terms).sum();
        self.sums(clock, results, len, results + 2 * len);
    }
    fn verifies_late(&self) -> bool {
        true
    }
    fn settle(&self, clock: &mut Clock) {
        let owed = self.taken();
        if owed.claims {
            (0..self.parties()).for_each(|party| clock.work(party, WORK * owed.len as u64));
            self.base.verification(clock, owed.len);
        } else if owed.dealt {
            self.base.exchange(clock, 1);
        }
    }
    fn open(&self, clock: &mut Clock, len: usize, to: Recipients) {
        self.base.open(clock, len, to);
    }
    fn harmonics(&self, _: &mut Clock, _: usize, _: usize) -> Result<()> {
        Err(no_harmonics())
    }
}
