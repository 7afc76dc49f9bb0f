//! Declared messages of every operation. Tests hold measured traffic against it, to the byte and to the round.

use super::super::cost::{BeaverCosts, post, receive};
use super::{DEALER, refused};
use crate::cost::{Arrival, Clock, Costs, ProductCost, TermCost};
use crate::{Origin, Recipients, Result, TruncMode};
use privity_ring::M61;

/// The price list of beaver with MACs. What is refused costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct BeaverMacCosts {
    base: BeaverCosts<M61>,
}

impl BeaverMacCosts {
    /// So many parties and a dealer.
    pub fn new(computing: usize) -> Self {
        BeaverMacCosts { base: BeaverCosts::dealt(computing, TruncMode::Fast) }
    }
    fn told_dealer(&self, clock: &mut Clock, bytes: usize) {
        let posted: Vec<Arrival> = self.base.online().flat_map(|party| post(clock, party, DEALER, bytes)).collect();
        receive(clock, posted);
    }
    fn dealer_tells(&self, clock: &mut Clock, bytes: usize, to: impl Fn(usize) -> bool) {
        let told = self.base.online().filter(|party| to(*party));
        let posted: Vec<Arrival> = told.flat_map(|party| post(clock, DEALER, party, bytes)).collect();
        receive(clock, posted);
    }
}

impl Costs for BeaverMacCosts {
    fn parties(&self) -> usize {
        self.base.parties()
    }
    fn first_owner(&self) -> usize {
        self.base.first_owner()
    }
    fn input(&self, clock: &mut Clock, owner: usize, len: usize) {
        self.base.corrections(clock, len);
        let others = self.base.online().filter(|party| *party != owner);
        let posted: Vec<Arrival> = others.flat_map(|party| post(clock, owner, party, 8 * len)).collect();
        receive(clock, posted);
    }
    fn products(&self, clock: &mut Clock, jobs: &[ProductCost]) {
        for job in jobs {
            self.base.corrections(clock, job.operands + 2 * job.len);
            (0..self.parties()).for_each(|party| clock.work(party, 4 * job.macs));
        }
        self.base.tell(clock, jobs.iter().map(|job| job.operands).sum());
    }
    fn rescale(&self, _: &mut Clock, _: &[(usize, u32)]) {}
    fn refresh(&self, _: &mut Clock, _: &[usize], _: Origin) {}
    fn round_exactly(&self, _: &mut Clock, _: &[(usize, u32)]) {}
    fn signs(&self, _: &mut Clock, _: &[usize], _: u32, _: &[(usize, u32)]) {}
    fn a2b(&self, _: &mut Clock, _: usize, _: u32) {}
    fn and(&self, _: &mut Clock, _: &[(usize, usize)]) {}
    fn arm(&self, _: &mut Clock, _: &[usize]) {}
    fn inject(&self, _: &mut Clock, _: &[(usize, Vec<TermCost>)]) {}
    fn settle(&self, clock: &mut Clock) {
        let digests = self.base.post_all(clock, 32, |_, to| to != DEALER);
        receive(clock, digests);
        self.told_dealer(clock, 8);
        self.dealer_tells(clock, 8, |_| true);
        self.dealer_tells(clock, 16, |_| true);
        self.told_dealer(clock, 8);
        self.dealer_tells(clock, 8, |_| true);
    }
    fn settles_in_openings(&self) -> bool {
        true
    }
    fn open(&self, clock: &mut Clock, len: usize, to: Recipients) {
        self.base.corrections(clock, len);
        self.base.tell(clock, len);
        self.settle(clock);
        if to.contains(DEALER) {
            self.told_dealer(clock, 8 * len);
            self.dealer_tells(clock, 8, |_| true);
        }
        self.dealer_tells(clock, 8 * len, |party| to.contains(party));
    }
    fn harmonics(&self, _: &mut Clock, _: usize, _: usize) -> Result<()> {
        refused("harmonics")
    }
}
