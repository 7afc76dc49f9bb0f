//! Declared messages of every operation: the gadgets of the protocol run over extents, and what they would send moves the clocks. Tests hold measured
//! traffic against it, to the byte and to the round.

use super::boolean::{AT_ONCE, compared};
use super::convert::{borrowed, groups, subtracted};
use crate::correlations::{FRAME, Levels, Number, TOLD, Work, carried, sum_levels, works};
use crate::cost::{Arrival, Clock, Costs, ProductCost, TermCost};
use crate::share::plane_words;
use crate::{Error, Origin, Recipients, Result, TruncMode};
use privity_ot::extension::{SETUP_BYTES, START_BYTES, message_bytes};
use privity_ot::products::WORD;
use privity_ring::{Bilinear, Shape};
use std::marker::PhantomData;
use std::ops::Range;

/// Frames of what a party tells at once.
pub(super) const FRAMES: usize = 8 * TOLD / FRAME;
/// Bytes that take a party about as long, to send or to receive, as one side of a transfer takes it: for predicted time alone.
const TRANSFER: usize = 64;

pub(super) fn no_harmonics() -> Error {
    let problem = "a sine series needs a party that knows a value's mask and none that knows the value; choose the piecewise sigmoid";
    Error::Parameter { operation: "harmonics", problem: problem.into() }
}

/// The price list of beaver over numbers of `R`.
#[derive(Clone, Copy, Debug)]
pub struct BeaverCosts<R> {
    parties: usize,
    /// The first that computes: 1 if party 0 deals.
    first: usize,
    mode: TruncMode,
    number: PhantomData<fn() -> R>,
}

impl<R: Number> BeaverCosts<R> {
    /// So many parties and a dealer.
    pub fn dealt(computing: usize, mode: TruncMode) -> Self {
        BeaverCosts { parties: computing + 1, first: 1, mode, number: PhantomData }
    }
    /// So many parties and nobody else.
    pub fn transferred(computing: usize, mode: TruncMode) -> Self {
        BeaverCosts { parties: computing, first: 0, mode, number: PhantomData }
    }
    pub(super) fn online(&self) -> Range<usize> {
        self.first..self.parties
    }
    fn has_dealer(&self) -> bool {
        self.first == 1
    }
    /// Everyone that computes posts so many bytes to all others of whom `to` is told.
    pub(super) fn post_all(&self, clock: &mut Clock, bytes: usize, to: impl Fn(usize, usize) -> bool) -> Vec<Arrival> {
        let pairs = self.online().flat_map(|from| (0..self.parties).map(move |to| (from, to)));
        let pairs = pairs.filter(|(from, other)| from != other && to(*from, *other));
        pairs.flat_map(|(from, to)| post(clock, from, to, bytes)).collect()
    }
    /// Spec 2.1.
    pub(super) fn tell(&self, clock: &mut Clock, words: usize) {
        for at in (0..words).step_by(TOLD) {
            let posted = self.post_all(clock, 8 * TOLD.min(words - at), |_, to| to >= self.first);
            receive(clock, posted);
        }
    }
    /// Spec 3.2: what is sent to the last party.
    pub(super) fn corrections(&self, clock: &mut Clock, words: usize) {
        let posted = post(clock, 0, self.parties - 1, 8 * words);
        receive(clock, posted);
    }
    /// Spec 7.2.
    fn exchange(&self, clock: &mut Clock, work: Work) {
        let chooses = |chooser: usize, answerer: usize| work.who.transfers(chooser, answerer);
        for party in self.online() {
            let with = self.online().filter(|peer| *peer != party);
            let sides = with.map(|peer| usize::from(chooses(party, peer)) + usize::from(chooses(peer, party)));
            clock.work_on_bytes(party, (TRANSFER * WORD * work.choices * sides.sum::<usize>()) as u64);
        }
        let posted = self.post_all(clock, message_bytes(WORD * work.choices), chooses);
        receive(clock, posted);
        let posted = self.post_all(clock, 8 * work.answers, |from, to| chooses(to, from));
        receive(clock, posted);
    }
    fn triples(&self, clock: &mut Clock, jobs: &[(Bilinear, Shape, Shape)]) {
        if self.has_dealer() {
            return jobs.iter().for_each(|(op, x, y)| self.corrections(clock, op.out_shape(x, y).len()));
        }
        works::triples::<R>(jobs).into_iter().for_each(|work| self.exchange(clock, work));
    }
    fn bit_triples(&self, clock: &mut Clock, words: usize) {
        match self.has_dealer() {
            true => self.corrections(clock, words),
            false => works::bit_triples(words).for_each(|work| self.exchange(clock, work)),
        }
    }
    fn dabits(&self, clock: &mut Clock, len: usize) {
        match self.has_dealer() {
            true => self.corrections(clock, len),
            false => works::dabits(self.online(), len).for_each(|work| self.exchange(clock, work)),
        }
    }
    fn edabits(&self, clock: &mut Clock, len: usize, width: usize) {
        match self.has_dealer() {
            true => self.corrections(clock, width * plane_words(len)),
            false => self.summed(clock, len, (width, 0), !R::BINARY),
        }
    }
    fn divisors(&self, clock: &mut Clock, len: usize, shift: usize, exact: bool) {
        if self.has_dealer() {
            if exact {
                self.corrections(clock, (shift + 1) * plane_words(len));
            }
            self.corrections(clock, len);
            return self.corrections(clock, len);
        }
        let upper = R::BITS - shift;
        self.summed(clock, len, (shift, if exact { 0 } else { shift }), true);
        self.summed(clock, len, (upper, upper - 1), true);
        self.made_numbers(clock, plane_words(len));
    }
    /// Spec 7.5.
    fn summed(&self, clock: &mut Clock, len: usize, (width, from): (usize, usize), whole: bool) {
        let n = self.online().len();
        let above = if whole { carried(n) } else { 0 };
        self.gated(clock, &sum_levels(n, len, width + above, from));
        if whole {
            self.made_numbers(clock, above * plane_words(len));
        }
    }
    /// ANDs, level after level, by triples that are made before.
    fn gated(&self, clock: &mut Clock, levels: &Levels) {
        self.bit_triples(clock, levels.total());
        levels.0.iter().for_each(|words| self.tell(clock, 2 * words));
    }
    /// Spec 5.5.
    fn made_numbers(&self, clock: &mut Clock, words: usize) {
        self.dabits(clock, 64 * words);
        self.tell(clock, words);
    }
    fn multiplied(&self, clock: &mut Clock, jobs: &[(Bilinear, Shape, Shape)]) {
        self.triples(clock, jobs);
        for (op, x, y) in jobs {
            (0..self.parties).for_each(|party| clock.work(party, 2 * op.macs(x, y)));
        }
        self.tell(clock, jobs.iter().map(|(_, x, y)| x.len() + y.len()).sum());
    }
    /// Spec 6.
    fn divide(&self, clock: &mut Clock, jobs: &[(usize, u32)], exact: bool) {
        for group in groups(jobs) {
            let shift = jobs[group[0]].1 as usize;
            let total = group.iter().map(|i| jobs[*i].0).sum::<usize>().next_multiple_of(64);
            for from in (0..total).step_by(AT_ONCE) {
                let len = AT_ONCE.min(total - from);
                self.divisors(clock, len, shift, exact);
                self.tell(clock, len);
                if exact {
                    self.gated(clock, &compared(len, borrowed::<R>(shift)));
                    self.made_numbers(clock, plane_words(len));
                }
            }
        }
    }
}

pub(super) fn post(clock: &mut Clock, from: usize, to: usize, bytes: usize) -> Vec<Arrival> {
    let parts = (0..bytes).step_by(FRAME).map(|at| FRAME.min(bytes - at));
    parts.map(|part| clock.send(from, to, part as u64)).collect()
}

pub(super) fn receive(clock: &mut Clock, arrivals: Vec<Arrival>) {
    arrivals.into_iter().for_each(|arrival| clock.recv(arrival));
}

/// The shapes of a product's operands, from what is counted of it.
fn factors(job: &ProductCost) -> (Bilinear, Shape, Shape) {
    match job.op {
        Bilinear::Mul => (job.op, Shape::vector(job.len), Shape::vector(job.len)),
        Bilinear::MatMul => {
            let columns = job.len / job.rows;
            let inner = job.operands / (job.rows + columns);
            (job.op, Shape::matrix(job.rows, inner), Shape::matrix(inner, columns))
        }
    }
}

impl<R: Number> Costs for BeaverCosts<R> {
    fn parties(&self) -> usize {
        self.parties
    }
    fn first_owner(&self) -> usize {
        self.first
    }
    fn set_up(&self, clock: &mut Clock) {
        if !self.has_dealer() {
            for bytes in [START_BYTES, SETUP_BYTES] {
                let posted = self.post_all(clock, bytes, |_, _| true);
                receive(clock, posted);
            }
        }
    }
    fn input(&self, _: &mut Clock, _: usize, _: usize) {
        // Drawn with the owner.
    }
    fn products(&self, clock: &mut Clock, jobs: &[ProductCost]) {
        let made = jobs.iter().filter(|job| job.len > 0);
        self.multiplied(clock, &made.map(factors).collect::<Vec<_>>());
        if self.mode == TruncMode::Fast {
            self.divide(clock, &jobs.iter().map(|job| (job.len, job.shift)).collect::<Vec<_>>(), false);
        }
    }
    fn rescale(&self, clock: &mut Clock, jobs: &[(usize, u32)]) {
        if self.mode == TruncMode::Fast {
            self.divide(clock, jobs, false);
        }
    }
    fn refresh(&self, _: &mut Clock, _: &[usize], _: Origin) {
        // Drawn by pairs.
    }
    fn round_exactly(&self, clock: &mut Clock, jobs: &[(usize, u32)]) {
        self.divide(clock, jobs, true);
    }
    fn signs(&self, clock: &mut Clock, lens: &[usize], width: u32, _: &[(usize, u32)]) {
        let total: usize = lens.iter().map(|len| len.next_multiple_of(64)).sum();
        let (width, places) = match R::BINARY {
            true => (width as usize, width as usize - 1),
            false => (R::BITS, R::BITS),
        };
        for from in (0..total).step_by(AT_ONCE) {
            let len = AT_ONCE.min(total - from);
            self.edabits(clock, len, width);
            self.tell(clock, len);
            self.gated(clock, &compared(len, places));
        }
    }
    fn a2b(&self, clock: &mut Clock, len: usize, width: u32) {
        if len == 0 {
            return;
        }
        let width = width as usize;
        self.edabits(clock, len, if R::BINARY { width } else { R::BITS });
        self.tell(clock, len);
        if !R::BINARY {
            self.gated(clock, &compared(len, R::BITS));
        }
        self.gated(clock, &subtracted(len, width));
    }
    fn and(&self, clock: &mut Clock, jobs: &[(usize, usize)]) {
        let words = jobs.iter().map(|(len, width)| width * plane_words(*len)).sum();
        self.gated(clock, &Levels(vec![words]));
    }
    fn arm(&self, clock: &mut Clock, lens: &[usize]) {
        self.made_numbers(clock, lens.iter().map(|len| plane_words(*len)).sum());
    }
    fn inject(&self, clock: &mut Clock, jobs: &[(usize, Vec<TermCost>)]) {
        let unarmed = jobs.iter().flat_map(|(len, terms)| terms.iter().filter(|t| !t.armed).map(move |_| *len));
        self.arm(clock, &unarmed.collect::<Vec<_>>());
        let values = jobs.iter().flat_map(|(len, terms)| terms.iter().filter(|t| t.secret).map(move |_| *len));
        let wanted: Vec<_> = values.map(|len| (Bilinear::Mul, Shape::vector(len), Shape::vector(len))).collect();
        self.multiplied(clock, &wanted);
    }
    fn settle(&self, _: &mut Clock) {
        // Passive: nothing is owed.
    }
    fn open(&self, clock: &mut Clock, len: usize, to: Recipients) {
        for at in (0..len).step_by(TOLD) {
            let posted = self.post_all(clock, 8 * TOLD.min(len - at), |_, recipient| to.contains(recipient));
            receive(clock, posted);
        }
    }
    fn harmonics(&self, _: &mut Clock, _: usize, _: usize) -> Result<()> {
        Err(no_harmonics())
    }
}
