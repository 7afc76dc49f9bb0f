//! Declared messages of every operation. Tests hold measured traffic against these, to the byte and to the round.

use super::boolean::{AT_ONCE, BITS};
use super::convert::{digits, groups, upper_bits, upper_bits_of};
use super::verify::PARTS;
use crate::cost::{Clock, Costs, ProductCost, TermCost};
use crate::polynomial::{Binary, Code, Field, Packing, Prime, Route, Routing, Sets, batches, king};
use crate::share::plane_words;
use crate::{Error, Origin, Recipients, Result, TruncMode};
use privity_ring::Bilinear;
use std::cell::Cell;

/// The price list of shamir.
pub struct ShamirCosts {
    numbers: Code<Prime>,
    bits: Code<Binary>,
    threshold: usize,
    mode: TruncMode,
    /// Whether parties go on without others.
    surviving: bool,
    /// Whether products are verified, and the length of the vectors that they come down to since the last verification.
    owed: Option<Cell<Option<usize>>>,
    routing: Routing,
    /// The sets that have keys, if they have.
    sets: Option<Sets>,
}

/// Some parties deal `len` words in each part.
pub(crate) fn deal<F: Field>(clock: &mut Clock, code: &Code<F>, dealers: &[usize], len: usize) {
    for batch in batches(len, code.field.parts()) {
        let mut posted = Vec::new();
        for (_, range) in batch {
            let bytes = 8 * (code.field.parts() * range.len()) as u64;
            for dealer in dealers {
                posted.extend(code.dealing(*dealer).told.iter().map(|(to, _)| clock.send(*dealer, *to, bytes)));
            }
        }
        posted.into_iter().for_each(|arrival| clock.recv(arrival));
    }
}

impl ShamirCosts {
    /// So many parties, so many of them corrupt.
    pub fn new(parties: usize, threshold: usize, mode: TruncMode) -> Self {
        let all: Vec<usize> = (0..parties).collect();
        ShamirCosts {
            numbers: Code::new(Prime, &all, threshold),
            bits: Code::new(Binary::for_parties(parties), &all, threshold),
            threshold,
            mode,
            surviving: false,
            owed: None,
            routing: Routing::default(),
            sets: None,
        }
    }
    /// The same where [`Shamir::routed`](super::Shamir::routed) says the same.
    pub fn routed(mut self, routing: Routing) -> Self {
        self.routing = routing;
        self
    }
    /// The same where sets of parties have keys.
    ///
    /// # Errors
    /// [`Error::Parameter`] as in [`Shamir::with_set_keys`](super::Shamir::with_set_keys).
    pub fn with_set_keys(mut self) -> Result<Self> {
        self.sets = Some(Sets::new(self.numbers.parties().len(), self.threshold)?);
        Ok(self)
    }
    /// The same for `2 threshold + 1` parties that verify what they multiply.
    pub fn verified(threshold: usize) -> Self {
        ShamirCosts { owed: Some(Cell::new(None)), ..Self::new(2 * threshold + 1, threshold, TruncMode::Fast) }
    }
    /// The same for parties that go on without those that are lost, as long as none is.
    pub fn surviving(parties: usize, threshold: usize, mode: TruncMode) -> Self {
        ShamirCosts { surviving: true, ..Self::new(parties, threshold, mode) }
    }

    fn deal<F: Field>(&self, clock: &mut Clock, code: &Code<F>, dealers: &[usize], len: usize) {
        deal(clock, code, dealers, len);
        if self.surviving {
            self.acknowledge(clock);
        }
    }
    /// Spec 11.2: all tell all that all has arrived.
    fn acknowledge(&self, clock: &mut Clock) {
        self.exchange(clock, 1);
    }
    /// All tell all.
    pub(crate) fn exchange(&self, clock: &mut Clock, words: usize) {
        let all = self.numbers.parties();
        let pairs = all.iter().flat_map(|from| all.iter().filter(move |to| *to != from).map(move |to| (*from, *to)));
        let posted: Vec<_> = pairs.map(|(from, to)| clock.send(from, to, 8 * words as u64)).collect();
        posted.into_iter().for_each(|arrival| clock.recv(arrival));
    }
    /// Numbers that all deal.
    fn random(&self, clock: &mut Clock) {
        self.deal(clock, &self.numbers, self.numbers.parties(), 2);
    }
    fn public_coins(&self, clock: &mut Clock) {
        self.random(clock);
        self.exchange(clock, 1);
        self.exchange(clock, 2);
    }
    /// Spec 19.2 to 19.6: one verdict on vectors of so many elements.
    pub(crate) fn verification(&self, clock: &mut Clock, mut len: usize) {
        self.public_coins(clock);
        while len > PARTS {
            len = len.div_ceil(PARTS);
            self.reduce_numbers(clock, 2 * PARTS - 2);
            self.public_coins(clock);
        }
        self.random(clock);
        self.reduce_numbers(clock, 2 * len.max(1));
        self.public_coins(clock);
        self.exchange(clock, 3);
        self.exchange(clock, 1);
    }
    fn first(&self, count: usize) -> Vec<usize> {
        self.numbers.parties()[..count].to_vec()
    }
    pub(crate) fn deal_numbers(&self, clock: &mut Clock, len: usize) {
        self.deal(clock, &self.numbers, &self.first(self.threshold + 1), len);
    }
    fn deal_bits(&self, clock: &mut Clock, len: usize, width: usize) {
        self.deal(clock, &self.bits, &self.first(self.threshold + 1), width * plane_words(len));
    }
    /// Spec 4.2 or 24.
    fn reduce<F: Field>(&self, clock: &mut Clock, code: &Code<F>, len: usize) {
        let (n, t) = (code.parties().len(), self.threshold);
        let direct = self.surviving || self.owed.is_some();
        match self.routing.route((n, t, self.sets.is_some()), len * code.field.parts()) {
            route if direct || route == Route::Direct => self.deal(clock, code, &self.first(2 * t + 1), len),
            route => {
                if route == Route::King {
                    self.deal(clock, code, code.parties(), king::dealt_each(n, t, len));
                }
                king::price(clock, code, t, len);
            }
        }
    }
    pub(crate) fn reduce_numbers(&self, clock: &mut Clock, len: usize) {
        self.reduce(clock, &self.numbers, len);
    }
    /// An AND of so many planes.
    fn and_planes(&self, clock: &mut Clock, len: usize, planes: usize) {
        self.reduce(clock, &self.bits, planes * plane_words(len));
    }
    fn carry_save(&self, clock: &mut Clock, len: usize, width: usize, mut numbers: usize) {
        while numbers > 2 {
            let triples = numbers / 3;
            self.and_planes(clock, len, triples * width);
            numbers -= triples;
        }
    }
    fn carry_out(&self, clock: &mut Clock, len: usize, mut width: usize) {
        self.and_planes(clock, len, width);
        while width > 1 {
            let pairs = width / 2;
            self.and_planes(clock, len, 2 * pairs - 1);
            width -= pairs;
        }
    }
    fn add(&self, clock: &mut Clock, len: usize, width: usize) {
        self.and_planes(clock, len, width);
        let mut distance = 1;
        while distance < width {
            self.and_planes(clock, len, 2 * width);
            distance *= 2;
        }
        self.and_planes(clock, len, width);
    }
    fn sum_above(&self, clock: &mut Clock, len: usize, width: usize, numbers: usize, from: usize) {
        self.carry_save(clock, len, width, numbers);
        self.carry_out(clock, len, from);
        self.add(clock, len, width - from);
    }
    fn summands(&self, clock: &mut Clock, len: usize) {
        self.deal_bits(clock, len, BITS);
        self.carry_save(clock, len, BITS, self.threshold + 1);
    }
    fn wraps(&self, clock: &mut Clock, len: usize) {
        let (t, upper) = (self.threshold, upper_bits(self.threshold));
        if t == 1 {
            return self.and_planes(clock, len, 1);
        }
        let width = upper + digits(t);
        self.sum_above(clock, len, width, t + 2, upper);
    }
    fn to_numbers(&self, clock: &mut Clock, len: usize) {
        if len == 0 {
            return;
        }
        self.deal_numbers(clock, len);
        let mut terms = self.threshold + 1;
        while terms > 1 {
            self.reduce_numbers(clock, terms / 2 * len);
            terms -= terms / 2;
        }
    }
    fn divide(&self, clock: &mut Clock, jobs: &[(usize, u32)]) {
        for group in groups(jobs) {
            let shift = jobs[group[0]].1 as usize;
            let total: usize = group.iter().map(|i| jobs[*i].0).sum();
            for from in (0..total).step_by(AT_ONCE) {
                let len = AT_ONCE.min(total - from);
                match self.mode {
                    TruncMode::Fast if self.threshold == 1 => {
                        self.deal_numbers(clock, 2 * len);
                        self.reduce_numbers(clock, len);
                    }
                    _ => self.divide_exactly(clock, len, shift),
                }
            }
        }
    }
    fn divide_exactly(&self, clock: &mut Clock, len: usize, shift: usize) {
        let t = self.threshold;
        self.deal_numbers(clock, len);
        self.deal_bits(clock, len, shift + upper_bits(t));
        self.wraps(clock, len);
        let width = shift + digits(t + 1);
        self.sum_above(clock, len, width, t + 2, shift);
        self.to_numbers(clock, (digits(t) + digits(t + 1)) * len);
    }
}

/// What the trait has no place for.
impl ShamirCosts {
    /// A robust opening of `len` elements, nobody absent.
    pub fn open_robustly(&self, clock: &mut Clock, len: usize, to: Recipients) {
        let all = self.numbers.parties();
        for batch in batches(len, 1) {
            let mut posted = Vec::new();
            for (_, range) in batch {
                let bytes = 8 * range.len() as u64;
                let pairs = all.iter().flat_map(|teller| all.iter().map(move |r| (*teller, *r)));
                let told = pairs.filter(|(teller, r)| to.contains(*r) && teller != r);
                posted.extend(told.map(|(teller, r)| clock.send(teller, r, bytes)));
            }
            posted.into_iter().for_each(|arrival| clock.recv(arrival));
        }
    }
    /// `len` numbers from the summands of these parties.
    pub fn from_additive(&self, clock: &mut Clock, holders: &[usize], len: usize) {
        let m = holders.len();
        for from in (0..len).step_by(AT_ONCE) {
            let len = AT_ONCE.min(len - from);
            if m == 2 {
                self.deal(clock, &self.numbers, holders, 2 * len);
                self.reduce_numbers(clock, len);
                continue;
            }
            let upper = upper_bits_of(m);
            self.deal(clock, &self.numbers, holders, len);
            self.deal(clock, &self.bits, holders, upper * plane_words(len));
            self.sum_above(clock, len, upper + digits(m - 1), m + 1, upper);
            self.to_numbers(clock, digits(m - 1) * len);
        }
    }
    /// Summands modulo 2^64 of `len` numbers.
    pub fn to_additive(&self, clock: &mut Clock, len: usize) {
        let t = self.threshold;
        for from in (0..len).step_by(AT_ONCE) {
            let len = AT_ONCE.min(len - from);
            if t == 1 {
                self.deal_numbers(clock, 2 * len);
                self.reduce_numbers(clock, len);
            } else {
                self.deal_numbers(clock, len);
                self.deal_bits(clock, len, upper_bits(t));
                self.wraps(clock, len);
                self.to_numbers(clock, digits(t) * len);
            }
            self.open(clock, len, Recipients::only(0));
        }
    }
    /// A packed input of `len` elements.
    pub fn input_packed(&self, clock: &mut Clock, packing: &Packing, owner: usize, len: usize) {
        self.deal(clock, &packing.packed, &[owner], packing.polynomials(len));
    }
    /// Packing of `len` elements.
    pub fn pack(&self, clock: &mut Clock, packing: &Packing, len: usize) {
        let [dealers, ..] = packing.dealers();
        self.deal(clock, &packing.packed, &dealers, packing.polynomials(len));
    }
    /// Packed products, or sums of them, of these lengths.
    pub fn products_packed(&self, clock: &mut Clock, packing: &Packing, lens: &[usize]) {
        let [_, dealers, _] = packing.dealers();
        let polynomials = lens.iter().map(|len| packing.polynomials(*len)).sum();
        self.deal(clock, &packing.packed, &dealers, polynomials);
    }
    /// Unpacking of `len` elements.
    pub fn unpack(&self, clock: &mut Clock, packing: &Packing, len: usize) {
        let [_, _, dealers] = packing.dealers();
        self.deal(clock, &packing.plain, &dealers, packing.slots() * packing.polynomials(len));
    }
}

/// Why there is no sine series.
pub(crate) fn no_harmonics() -> Error {
    let problem = "a sine series needs values masked by one party that knows the mask, which no party may here; use the piecewise sigmoid";
    Error::Parameter { operation: "harmonics", problem: problem.into() }
}

impl Costs for ShamirCosts {
    fn parties(&self) -> usize {
        self.numbers.parties().len()
    }
    fn set_up(&self, clock: &mut Clock) {
        self.sets.iter().for_each(|sets| sets.price(clock));
    }
    fn input(&self, clock: &mut Clock, owner: usize, len: usize) {
        self.deal(clock, &self.numbers, &[owner], len);
    }
    fn products(&self, clock: &mut Clock, jobs: &[ProductCost]) {
        for party in self.first(2 * self.threshold + 1) {
            clock.work(party, jobs.iter().map(|job| job.macs).sum());
        }
        self.reduce_numbers(clock, jobs.iter().map(|job| job.len).sum());
        if let Some(owed) = &self.owed {
            let length = |job: &ProductCost| match job.op {
                Bilinear::Mul => job.len,
                Bilinear::MatMul => job.macs as usize / job.len,
            };
            let more: Vec<usize> = jobs.iter().filter(|job| job.len > 0).map(length).collect();
            if !more.is_empty() {
                owed.set(Some(owed.get().unwrap_or(0) + more.iter().sum::<usize>()));
            }
        }
        if self.mode == TruncMode::Fast {
            self.divide(clock, &jobs.iter().map(|job| (job.len, job.shift)).collect::<Vec<_>>());
        }
    }
    fn rescale(&self, clock: &mut Clock, jobs: &[(usize, u32)]) {
        if self.mode == TruncMode::Fast {
            self.divide(clock, jobs);
        }
    }
    fn refresh(&self, clock: &mut Clock, lens: &[usize], _: Origin) {
        self.deal_numbers(clock, lens.iter().sum());
    }
    fn round_exactly(&self, clock: &mut Clock, jobs: &[(usize, u32)]) {
        self.divide(clock, jobs);
    }
    fn signs(&self, clock: &mut Clock, lens: &[usize], _: u32, _: &[(usize, u32)]) {
        let total: usize = lens.iter().map(|len| len.next_multiple_of(64)).sum();
        for from in (0..total).step_by(AT_ONCE) {
            let len = AT_ONCE.min(total - from);
            self.summands(clock, len);
            self.carry_out(clock, len, BITS);
        }
    }
    fn a2b(&self, clock: &mut Clock, len: usize, width: u32) {
        self.summands(clock, len);
        self.carry_out(clock, len, BITS);
        self.add(clock, len, width as usize);
    }
    fn and(&self, clock: &mut Clock, jobs: &[(usize, usize)]) {
        let words = jobs.iter().map(|(len, width)| width * plane_words(*len)).sum();
        self.reduce(clock, &self.bits, words);
    }
    fn arm(&self, clock: &mut Clock, lens: &[usize]) {
        self.to_numbers(clock, lens.iter().sum());
    }
    fn inject(&self, clock: &mut Clock, jobs: &[(usize, Vec<TermCost>)]) {
        let unarmed = jobs.iter().flat_map(|(len, terms)| terms.iter().filter(|t| !t.armed).map(move |_| *len));
        self.to_numbers(clock, unarmed.sum());
        let multiplied: Vec<usize> =
            jobs.iter().filter(|(_, terms)| terms.iter().any(|t| t.secret)).map(|(len, _)| *len).collect();
        if !multiplied.is_empty() {
            self.reduce_numbers(clock, multiplied.iter().sum());
        }
    }
    fn verifies_late(&self) -> bool {
        self.owed.is_some()
    }
    fn settle(&self, clock: &mut Clock) {
        let Some(owed) = &self.owed else { return };
        match owed.take() {
            Some(len) => self.verification(clock, len),
            None => self.exchange(clock, 1),
        }
    }
    fn open(&self, clock: &mut Clock, len: usize, to: Recipients) {
        let all = self.numbers.parties();
        for batch in batches(len, 1) {
            let mut posted = Vec::new();
            for (_, range) in batch {
                for (teller, recipient) in all.iter().flat_map(|r| all.iter().map(move |t| (*t, *r))) {
                    let read = self.numbers.dealing(recipient).drawn.contains(&teller);
                    let told = read || (self.surviving || self.owed.is_some()) && teller != recipient;
                    if to.contains(recipient) && told {
                        let arrival = clock.send(teller, recipient, 8 * range.len() as u64);
                        posted.extend((read || self.owed.is_some()).then_some(arrival));
                    }
                }
            }
            posted.into_iter().for_each(|arrival| clock.recv(arrival));
        }
        if self.owed.is_some() {
            self.exchange(clock, 1);
        }
    }
    fn harmonics(&self, _: &mut Clock, _: usize, _: usize) -> Result<()> {
        Err(no_harmonics())
    }
}
