//! Declared messages of every operation, in the order in which the code sends and awaits them. Tests hold measured traffic
//! against these, to the byte and to the round.

use super::{FIRST, OWNER, SECOND};
use crate::cost::{Arrival, Clock, Costs, ProductCost, TermCost};
use crate::masked::terms::Parts;
use crate::masked::{batches, lane_words, plane_batches, tiles};
use crate::share::plane_words;
use crate::{Origin, Radix, Recipients};
use privity_circuit::Comparator;
use privity_ring::Bilinear;

/// The price list of rep3, and of additive.
#[derive(Clone, Copy, Debug)]
pub struct Rep3Costs {
    /// Carry-tree fan-in of comparisons.
    radix: Radix,
    /// The online party that what is dealt goes to: as many as there are.
    last: usize,
    dealt: bool,
}

impl Rep3Costs {
    /// Three parties.
    pub fn new(radix: Radix) -> Self {
        Rep3Costs { radix, last: SECOND, dealt: false }
    }
    /// A dealer and so many parties.
    pub fn additive(parties: usize, radix: Radix) -> Self {
        Rep3Costs { radix, last: parties, dealt: true }
    }
}

fn receive(clock: &mut Clock, arrivals: impl IntoIterator<Item = Arrival>) {
    arrivals.into_iter().for_each(|a| clock.recv(a));
}

impl Rep3Costs {
    /// Words the online parties send each other.
    fn exchange(&self, clock: &mut Clock, words: usize) -> Vec<Arrival> {
        let online = || FIRST..=self.last;
        let pairs = online().flat_map(|from| online().filter(move |to| *to != from).map(move |to| (from, to)));
        pairs.map(|(from, to)| clock.send(from, to, 8 * words as u64)).collect()
    }
    /// Words the mask owner sends ahead.
    fn ahead(&self, clock: &mut Clock, words: usize) -> Arrival {
        clock.send(OWNER, self.last, 8 * words as u64)
    }

    /// Comparisons of operands `(len, bits, sign)` with lifts riding along.
    fn compare(&self, clock: &mut Clock, operands: &[(usize, usize, bool)], lifts: &[(usize, u32)]) {
        let mut lifting = Vec::new();
        for batch in batches(lifts.iter().map(|(len, _)| *len)) {
            receive(clock, lifting.drain(..));
            for (lift, _, range) in batch {
                let words = lane_words(range.len(), lifts[lift].1);
                let dealt = self.ahead(clock, words);
                clock.recv(dealt);
                lifting.extend(self.exchange(clock, words));
            }
        }
        let circuits: Vec<Comparator> = operands.iter().map(|o| self.radix.comparator(o.1)).collect();
        for batch in plane_batches(operands.iter().map(|(len, _, _)| plane_words(*len))) {
            let mut posted = Vec::new();
            for (operand, words) in &batch {
                let n = words.len();
                let c = &circuits[*operand];
                let planes = c.leaf_dealt + usize::from(operands[*operand].2) + c.gate_dealt;
                let dealt = self.ahead(clock, planes * n);
                clock.recv(dealt);
                posted.extend(self.exchange(clock, c.leaf_nodes * n));
            }
            receive(clock, lifting.drain(..));
            receive(clock, posted);
            let deepest = batch.iter().map(|(o, _)| circuits[*o].levels.len()).max().unwrap_or(0);
            for depth in 0..deepest {
                let mut posted = Vec::new();
                for (operand, words) in &batch {
                    let n = words.len();
                    if let Some(level) = circuits[*operand].levels.get(depth) {
                        posted.extend(self.exchange(clock, level.nodes.len() * n));
                    }
                }
                receive(clock, posted);
            }
        }
    }
}

impl Costs for Rep3Costs {
    fn parties(&self) -> usize {
        self.last + 1
    }
    fn first_owner(&self) -> usize {
        usize::from(self.dealt)
    }

    fn input(&self, clock: &mut Clock, owner: usize, len: usize) {
        let mut arrivals = Vec::new();
        for (_, range) in tiles(len) {
            let receivers = (FIRST..=self.last).filter(|to| *to != owner);
            arrivals.extend(receivers.map(|to| clock.send(owner, to, 8 * range.len() as u64)));
        }
        receive(clock, arrivals);
    }

    fn products(&self, clock: &mut Clock, jobs: &[ProductCost]) {
        for batch in batches(jobs.iter().map(|j| j.len)) {
            let mut awaited = Vec::new();
            for (job, _, range) in batch {
                let (j, len) = (&jobs[job], range.len());
                if range.start == 0 || j.op == Bilinear::Mul {
                    let macs = if j.op == Bilinear::Mul { len as u64 } else { j.macs };
                    clock.work(OWNER, macs);
                    (FIRST..=self.last).for_each(|party| clock.work(party, 2 * macs));
                }
                let masks = self.ahead(clock, len);
                if j.shift == 0 {
                    clock.recv(masks);
                    awaited.extend(self.exchange(clock, len));
                } else {
                    awaited.extend(self.exchange(clock, len));
                    clock.recv(masks);
                }
            }
            receive(clock, awaited);
        }
    }

    fn rescale(&self, clock: &mut Clock, jobs: &[(usize, u32)]) {
        for (len, _) in jobs.iter().filter(|(_, shift)| *shift > 0) {
            for (_, range) in tiles(*len) {
                let masks = self.ahead(clock, range.len());
                clock.recv(masks);
            }
        }
    }

    fn refresh(&self, clock: &mut Clock, lens: &[usize], origin: Origin) {
        for (_, range) in lens.iter().flat_map(|len| tiles(*len)) {
            if super::online_pair_lost_one(origin) {
                let masks = clock.send(OWNER, FIRST, 8 * range.len() as u64);
                clock.recv(masks);
            }
            let masks = self.ahead(clock, range.len());
            clock.recv(masks);
        }
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
        for (_, range) in tiles(width * plane_words(len)) {
            let dealt = self.ahead(clock, range.len());
            clock.recv(dealt);
        }
        self.and(clock, &[(len, width)]);
        let mut distance = 1;
        while distance < width {
            self.and(clock, &[(len, width), (len, width)]);
            distance *= 2;
        }
    }

    fn and(&self, clock: &mut Clock, jobs: &[(usize, usize)]) {
        for batch in batches(jobs.iter().map(|(len, width)| width * plane_words(*len))) {
            let mut posted = Vec::new();
            for (_, _, range) in batch {
                let dealt = self.ahead(clock, range.len());
                clock.recv(dealt);
                posted.extend(self.exchange(clock, range.len()));
            }
            receive(clock, posted);
        }
    }

    fn arm(&self, clock: &mut Clock, lens: &[usize]) {
        for (_, range) in lens.iter().flat_map(|len| tiles(*len)) {
            let dealt = self.ahead(clock, range.len());
            clock.recv(dealt);
        }
    }

    fn inject(&self, clock: &mut Clock, jobs: &[(usize, Vec<TermCost>)]) {
        for batch in batches(jobs.iter().map(|(len, _)| *len)) {
            let mut posted = Vec::new();
            for (job, _, range) in batch {
                let len = range.len();
                let parts = jobs[job].1.iter().map(|t| Parts::new(len, t.armed, t.secret, t.lift).total());
                let words: usize = parts.sum();
                if words > 0 {
                    let dealt = self.ahead(clock, words);
                    clock.recv(dealt);
                }
                posted.extend(self.exchange(clock, len));
            }
            receive(clock, posted);
        }
    }

    fn open(&self, clock: &mut Clock, len: usize, to: Recipients) {
        let mut arrivals = Vec::new();
        let online = (FIRST..=self.last).map(|recipient| (OWNER, recipient));
        for (from, recipient) in online.chain([(FIRST, OWNER)]).filter(|(_, recipient)| to.contains(*recipient)) {
            arrivals.extend(tiles(len).map(|(_, range)| clock.send(from, recipient, 8 * range.len() as u64)));
        }
        receive(clock, arrivals);
    }

    fn settle(&self, _: &mut Clock) {
        // Passive: nothing is owed.
    }

    fn harmonics(&self, clock: &mut Clock, len: usize, harmonics: usize) -> crate::Result<()> {
        let mut posted = Vec::new();
        for (_, range) in tiles(len) {
            let dealt = [self.ahead(clock, 2 * harmonics * range.len()), self.ahead(clock, range.len())];
            receive(clock, dealt);
            posted.extend(self.exchange(clock, range.len()));
        }
        receive(clock, posted);
        Ok(())
    }
}
