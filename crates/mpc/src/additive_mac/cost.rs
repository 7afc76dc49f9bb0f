//! Declared messages of every operation. Tests hold measured traffic against these, to the byte and to the round.

use super::verify::{TAG_BITS, words};
use super::{DEALER, FIRST, FRAME, Unit, arithmetic, boolean, convert, inject, units};
use crate::cost::{Arrival, Clock, Costs, ProductCost, TermCost};
use crate::masked::tiles;
use crate::share::plane_words;
use crate::{Error, Origin, Radix, Recipients, Result};
use privity_circuit::Comparator;
use privity_ring::Bilinear;

/// The price list of additive-mac.
#[derive(Clone, Copy, Debug)]
pub struct AdditiveMacCosts {
    /// Carry-tree fan-in of comparisons.
    radix: Radix,
    /// The last party: as many as there are, the dealer not counted.
    last: usize,
}

/// What is dealt for a unit, in values: chosen ones, and those that nobody chose.
type Dealt = (usize, usize);

fn receive(clock: &mut Clock, arrivals: impl IntoIterator<Item = Arrival>) {
    arrivals.into_iter().for_each(|a| clock.recv(a));
}

/// A message that may take several frames.
fn send(clock: &mut Clock, from: usize, to: usize, words: usize) -> Vec<Arrival> {
    let frames = (0..words).step_by(FRAME).map(|start| 8 * FRAME.min(words - start) as u64);
    frames.map(|bytes| clock.send(from, to, bytes)).collect()
}

impl AdditiveMacCosts {
    /// A dealer and so many parties.
    pub fn new(parties: usize, radix: Radix) -> Self {
        AdditiveMacCosts { radix, last: parties }
    }
    fn online(&self) -> std::ops::RangeInclusive<usize> {
        FIRST..=self.last
    }
    /// Words that all parties send each other.
    fn exchange(&self, clock: &mut Clock, words: usize) -> Vec<Arrival> {
        let pairs = self.online().flat_map(|from| self.online().map(move |to| (from, to)));
        pairs.filter(|(from, to)| from != to).flat_map(|(from, to)| send(clock, from, to, words)).collect()
    }
    /// What the dealer sends for a unit; parties need it before they send anything.
    fn ahead<T>(&self, clock: &mut Clock, instances: usize, (chosen, free): Dealt) {
        for party in self.online() {
            let tags = (self.last - 1) * instances * (chosen + free);
            let values = tags + if party == self.last { chosen } else { 0 };
            let dealt = send(clock, DEALER, party, words::<T>(values));
            receive(clock, dealt);
        }
    }
    fn numbers(&self, clock: &mut Clock, dealt: Dealt, len: usize) -> Vec<Arrival> {
        self.ahead::<u128>(clock, 1, dealt);
        self.exchange(clock, words::<u128>(len))
    }
    fn bits(&self, clock: &mut Clock, dealt: Dealt, words: usize) -> Vec<Arrival> {
        self.ahead::<u64>(clock, TAG_BITS, dealt);
        self.exchange(clock, words)
    }

    /// Comparisons of operands `(len, bits, sign)` with lifts riding along.
    fn compare(&self, clock: &mut Clock, operands: &[(usize, usize, bool)], lifts: &[(usize, u32)]) {
        let mut lifting = Vec::new();
        for batch in convert::lift_units(lifts.iter().map(|(len, _)| *len)) {
            receive(clock, lifting.drain(..));
            for (_, _, range) in batch {
                lifting.extend(self.numbers(clock, (range.len(), range.len()), range.len()));
            }
        }
        let circuits: Vec<Comparator> = operands.iter().map(|o| self.radix.comparator(o.1)).collect();
        for batch in boolean::compare_units(operands.iter().map(|(len, _, _)| plane_words(*len))) {
            let mut posted = Vec::new();
            for (operand, _, words) in &batch {
                let (n, c) = (words.len(), &circuits[*operand]);
                let dealt = (boolean::chosen_planes(c, operands[*operand].2) * n, c.nodes * n);
                posted.extend(self.bits(clock, dealt, c.leaf_nodes * n));
            }
            receive(clock, lifting.drain(..));
            receive(clock, posted);
            self.levels(clock, &circuits, &batch);
        }
    }
    fn levels(&self, clock: &mut Clock, circuits: &[Comparator], batch: &[Unit]) {
        let deepest = batch.iter().map(|(o, ..)| circuits[*o].levels.len()).max().unwrap_or(0);
        for depth in 0..deepest {
            let mut posted = Vec::new();
            for (operand, _, words) in batch {
                if let Some(level) = circuits[*operand].levels.get(depth) {
                    posted.extend(self.exchange(clock, level.nodes.len() * words.len()));
                }
            }
            receive(clock, posted);
        }
    }
}

impl Costs for AdditiveMacCosts {
    fn parties(&self) -> usize {
        self.last + 1
    }
    fn first_owner(&self) -> usize {
        FIRST
    }

    fn input(&self, clock: &mut Clock, owner: usize, len: usize) {
        let mut arrivals = Vec::new();
        for (_, range) in tiles(len) {
            for to in self.online().filter(|to| *to != owner) {
                arrivals.extend(send(clock, owner, to, range.len()));
            }
        }
        receive(clock, arrivals);
    }

    fn products(&self, clock: &mut Clock, jobs: &[ProductCost]) {
        for batch in units(jobs.iter().map(|j| (j.len, arithmetic::unit(j.op))), arithmetic::BATCH) {
            let mut awaited = Vec::new();
            for (job, _, range) in batch {
                let (j, len) = (&jobs[job], range.len());
                let (operands, macs) = match j.op {
                    Bilinear::Mul => (2 * len, len as u64),
                    Bilinear::MatMul => (j.operands, j.macs),
                };
                clock.work(DEALER, macs);
                // A product modulo 2^128 counts as four; each party evaluates its part, a tag and a key for each other.
                let each = macs * (1 + 8 * (2 * self.last as u64 - 1));
                self.online().for_each(|party| clock.work(party, each));
                awaited.extend(self.numbers(clock, (operands, len), len));
            }
            receive(clock, awaited);
        }
    }

    fn rescale(&self, _: &mut Clock, _: &[(usize, u32)]) {
        // Local.
    }

    fn refresh(&self, _: &mut Clock, _: &[usize], _: Origin) {
        // Local; what was kept is compared with everything else.
    }

    fn round_exactly(&self, clock: &mut Clock, jobs: &[(usize, u32)]) {
        let shifted: Vec<(usize, u32)> = jobs.iter().copied().filter(|(_, shift)| *shift > 0).collect();
        let operands: Vec<(usize, usize, bool)> = shifted.iter().map(|(len, s)| (*len, *s as usize, false)).collect();
        self.compare(clock, &operands, &shifted);
        let one = TermCost { armed: false, secret: false, lift: None };
        let injections: Vec<(usize, Vec<TermCost>)> = shifted.iter().map(|(len, _)| (*len, vec![one])).collect();
        self.inject(clock, &injections);
    }

    fn signs(&self, clock: &mut Clock, lens: &[usize], width: u32, lifts: &[(usize, u32)]) {
        let operands: Vec<(usize, usize, bool)> = lens.iter().map(|len| (*len, width as usize - 1, true)).collect();
        self.compare(clock, &operands, lifts);
    }

    fn a2b(&self, clock: &mut Clock, len: usize, width: u32) {
        let width = width as usize;
        self.and(clock, &[(len, width)]);
        let mut distance = 1;
        while distance < width {
            self.and(clock, &[(len, width), (len, width)]);
            distance *= 2;
        }
    }

    fn and(&self, clock: &mut Clock, jobs: &[(usize, usize)]) {
        for batch in boolean::and_units(jobs.iter().map(|(len, width)| width * plane_words(*len))) {
            let mut posted = Vec::new();
            for (_, _, range) in batch {
                posted.extend(self.bits(clock, (2 * range.len(), range.len()), range.len()));
            }
            receive(clock, posted);
        }
    }

    fn arm(&self, _: &mut Clock, _: &[usize]) {
        // Local.
    }

    fn inject(&self, clock: &mut Clock, jobs: &[(usize, Vec<TermCost>)]) {
        for batch in units(jobs.iter().map(|(len, _)| (*len, Some(arithmetic::UNIT))), arithmetic::BATCH) {
            let mut posted = Vec::new();
            for (job, _, range) in batch {
                let parts: usize = jobs[job].1.iter().map(|t| inject::parts(t.secret, t.lift.is_some())).sum();
                posted.extend(self.numbers(clock, (parts * range.len(), range.len()), range.len()));
            }
            receive(clock, posted);
        }
    }

    fn settle(&self, clock: &mut Clock) {
        let digests = self.exchange(clock, 4);
        receive(clock, digests);
        let views: Vec<Arrival> = self.online().map(|party| clock.send(party, DEALER, 8)).collect();
        receive(clock, views);
        let verdicts: Vec<Arrival> = self.online().map(|party| clock.send(DEALER, party, 8)).collect();
        receive(clock, verdicts);
    }

    fn open(&self, clock: &mut Clock, len: usize, to: Recipients) {
        let words: Vec<usize> = tiles(len).map(|(_, range)| range.len()).collect();
        let mut arrivals = Vec::new();
        if to.contains(DEALER) {
            for party in self.online() {
                arrivals.extend(words.iter().flat_map(|words| send(clock, party, DEALER, *words)));
            }
            receive(clock, arrivals.drain(..));
            arrivals.extend(self.online().map(|party| clock.send(DEALER, party, 8)));
        }
        for party in self.online().filter(|party| to.contains(*party)) {
            arrivals.extend(words.iter().flat_map(|words| send(clock, DEALER, party, *words)));
        }
        receive(clock, arrivals);
    }

    fn harmonics(&self, _: &mut Clock, _: usize, _: usize) -> Result<()> {
        Err(Error::Parameter { operation: "harmonics", problem: super::NO_HARMONICS.into() })
    }
}
