//! Declared messages of every operation, in the order in which the code sends and awaits them. Tests hold measured traffic
//! against these, to the byte and to the round.

use super::{CHECKER, DEALER, FIRST, SECOND, input};
use crate::cost::{Arrival, Clock, Costs, ProductCost, TermCost};
use crate::masked::terms::Parts;
use crate::masked::{batches, lane_words, plane_batches, tiles};
use crate::share::plane_words;
use crate::{Error, Origin, Radix, Recipients, Result};
use privity_circuit::Comparator;
use privity_ring::Bilinear;

/// The price list of rep4.
#[derive(Clone, Copy, Debug)]
pub struct Rep4Costs {
    /// Carry-tree fan-in of comparisons.
    pub radix: Radix,
}

/// What of a tile is under way between the two halves of an operation.
struct Posted {
    helper: Arrival,
    exchanged: [Arrival; 2],
    words: usize,
}

fn send(clock: &mut Clock, from: usize, to: usize, words: usize) -> Arrival {
    clock.send(from, to, 8 * words as u64)
}

/// Words the dealer sends second, awaited where they are used.
fn deal(clock: &mut Clock, words: usize) {
    let dealt = send(clock, DEALER, SECOND, words);
    clock.recv(dealt);
}

/// Words the online pair send each other.
fn exchange(clock: &mut Clock, words: usize) -> [Arrival; 2] {
    [send(clock, FIRST, SECOND, words), send(clock, SECOND, FIRST, words)]
}

/// Words second sends the checker, awaited in their turn.
fn tell(clock: &mut Clock, words: usize) {
    let told = send(clock, SECOND, CHECKER, words);
    clock.recv(told);
}

/// First half of a tile of a bilinear operation.
fn post(clock: &mut Clock, words: usize) -> Posted {
    deal(clock, words);
    let helper = send(clock, DEALER, CHECKER, words);
    Posted { helper, exchanged: exchange(clock, words), words }
}

/// Its second half.
fn complete(clock: &mut Clock, posted: impl IntoIterator<Item = Posted>) {
    for tile in posted {
        tile.exchanged.into_iter().for_each(|a| clock.recv(a));
        clock.recv(tile.helper);
        tell(clock, tile.words);
    }
}

/// Lifts in batches; the last one is left posted.
fn post_lifts(clock: &mut Clock, lifts: &[(usize, u32)]) -> Vec<Posted> {
    let mut posted: Vec<Posted> = Vec::new();
    for batch in batches(lifts.iter().map(|(len, _)| *len)) {
        complete(clock, posted.drain(..));
        posted.extend(batch.iter().map(|(lift, _, range)| post(clock, lane_words(range.len(), lifts[*lift].1))));
    }
    posted
}

impl Rep4Costs {
    /// Comparisons of operands `(len, bits, sign)` with lifts riding along.
    fn compare(&self, clock: &mut Clock, operands: &[(usize, usize, bool)], lifts: &[(usize, u32)]) {
        let mut lifting = post_lifts(clock, lifts);
        let circuits: Vec<Comparator> = operands.iter().map(|o| self.radix.comparator(o.1)).collect();
        for batch in plane_batches(operands.iter().map(|(len, _, _)| plane_words(*len))) {
            let mut posted = Vec::new();
            for (operand, words) in &batch {
                let (c, n) = (&circuits[*operand], words.len());
                let told = (c.leaf_dealt + usize::from(operands[*operand].2) + c.gate_dealt) * n;
                deal(clock, told);
                let helper = send(clock, DEALER, CHECKER, c.nodes * n);
                posted.push(Posted { helper, exchanged: exchange(clock, c.leaf_nodes * n), words: told });
            }
            complete(clock, lifting.drain(..));
            posted.iter().flat_map(|tile| tile.exchanged).for_each(|a| clock.recv(a));
            let deepest = batch.iter().map(|(o, _)| circuits[*o].levels.len()).max().unwrap_or(0);
            for depth in 0..deepest {
                let mut exchanged = Vec::new();
                for (operand, words) in &batch {
                    if let Some(level) = circuits[*operand].levels.get(depth) {
                        exchanged.extend(exchange(clock, level.nodes.len() * words.len()));
                    }
                }
                exchanged.into_iter().for_each(|a| clock.recv(a));
            }
            for tile in posted {
                clock.recv(tile.helper);
                tell(clock, tile.words);
            }
        }
    }
}

/// All parties send each other so many words, then await them.
fn exchange_all(clock: &mut Clock, words: usize) {
    let pairs = (0..4).flat_map(|from| (0..4).map(move |to| (from, to))).filter(|(from, to)| from != to);
    let sent: Vec<Arrival> = pairs.map(|(from, to)| send(clock, from, to, words)).collect();
    sent.into_iter().for_each(|a| clock.recv(a));
}

impl Costs for Rep4Costs {
    fn parties(&self) -> usize {
        4
    }

    fn input(&self, clock: &mut Clock, owner: usize, len: usize) {
        for (_, range) in tiles(len) {
            let sent = input::receivers(owner).map(|to| send(clock, owner, to, range.len()));
            sent.into_iter().for_each(|a| clock.recv(a));
        }
    }

    fn products(&self, clock: &mut Clock, jobs: &[ProductCost]) {
        for batch in batches(jobs.iter().map(|j| j.len)) {
            let mut posted = Vec::new();
            for (job, _, range) in batch {
                let j = &jobs[job];
                if range.start == 0 || j.op == Bilinear::Mul {
                    let macs = if j.op == Bilinear::Mul { range.len() as u64 } else { j.macs };
                    (0..4).for_each(|party| clock.work(party, 3 * macs));
                }
                posted.push(post(clock, range.len()));
            }
            complete(clock, posted);
        }
    }

    fn rescale(&self, clock: &mut Clock, jobs: &[(usize, u32)]) {
        for (len, _) in jobs.iter().filter(|(_, shift)| *shift > 0) {
            for (_, range) in tiles(*len) {
                deal(clock, range.len());
                tell(clock, range.len());
            }
        }
    }

    fn refresh(&self, clock: &mut Clock, lens: &[usize], origin: Origin) {
        for (_, range) in lens.iter().flat_map(|len| tiles(*len)) {
            match origin {
                Origin::Joined => exchange(clock, range.len()).into_iter().for_each(|a| clock.recv(a)),
                _ => deal(clock, range.len()),
            }
            tell(clock, range.len());
        }
    }

    fn round_exactly(&self, clock: &mut Clock, jobs: &[(usize, u32)]) {
        let shifted: Vec<(usize, u32)> = jobs.iter().copied().filter(|(_, shift)| *shift > 0).collect();
        let operands: Vec<(usize, usize, bool)> = shifted.iter().map(|(len, s)| (*len, *s as usize, false)).collect();
        self.compare(clock, &operands, &shifted);
        let one = TermCost { armed: false, secret: false, lift: None };
        self.inject(clock, &shifted.iter().map(|(len, _)| (*len, vec![one])).collect::<Vec<_>>());
    }

    fn signs(&self, clock: &mut Clock, lens: &[usize], width: u32, lifts: &[(usize, u32)]) {
        let operands: Vec<(usize, usize, bool)> = lens.iter().map(|len| (*len, width as usize - 1, true)).collect();
        self.compare(clock, &operands, lifts);
    }

    fn a2b(&self, clock: &mut Clock, len: usize, width: u32) {
        let width = width as usize;
        for (_, range) in tiles(width * plane_words(len)) {
            deal(clock, range.len());
            tell(clock, range.len());
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
            let posted: Vec<Posted> = batch.iter().map(|(_, _, range)| post(clock, range.len())).collect();
            complete(clock, posted);
        }
    }

    fn arm(&self, clock: &mut Clock, lens: &[usize]) {
        for (_, range) in lens.iter().flat_map(|len| tiles(*len)) {
            deal(clock, range.len());
            tell(clock, range.len());
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
                    deal(clock, words);
                }
                let helper = send(clock, DEALER, CHECKER, len);
                posted.push(Posted { helper, exchanged: exchange(clock, len), words });
            }
            for tile in posted {
                tile.exchanged.into_iter().for_each(|a| clock.recv(a));
                clock.recv(tile.helper);
                if tile.words > 0 {
                    tell(clock, tile.words);
                }
            }
        }
    }

    fn settle(&self, clock: &mut Clock) {
        [4, 6, 1, 1].iter().for_each(|words| exchange_all(clock, *words));
    }

    fn open(&self, clock: &mut Clock, len: usize, to: Recipients) {
        let mut sent = Vec::new();
        for recipient in (0..4).filter(|party| to.contains(*party)) {
            for from in (0..4).filter(|from| *from != recipient) {
                sent.extend(tiles(len).map(|(_, range)| send(clock, from, recipient, range.len())));
            }
        }
        sent.into_iter().for_each(|a| clock.recv(a));
    }

    fn harmonics(&self, _: &mut Clock, _: usize, _: usize) -> Result<()> {
        Err(Error::Parameter { operation: "harmonics", problem: super::NO_HARMONICS.into() })
    }
}
