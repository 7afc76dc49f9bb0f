//! Prices: logical and virtual clocks of all parties, moved by the declared messages of each operation.

use crate::Origin;
use privity_ring::Bilinear;
use std::collections::BTreeMap;

/// Speeds of machines and links, for predicted time. Bytes and rounds do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speeds {
    /// One-way latency of every link, seconds.
    pub latency: f64,
    /// Bytes a second on each directed link.
    pub bandwidth: f64,
    /// Ring multiply-adds a second of one party.
    pub macs: f64,
    /// Seconds a party spends per byte it sends or receives (masking, encrypting, copying).
    pub byte: f64,
    /// Seconds a party spends per frame it sends or receives.
    pub frame: f64,
    /// Bytes of headers and encryption a frame adds on the wire.
    pub overhead: f64,
}

impl Default for Speeds {
    /// A local network of 50 microseconds and 10 Gbit/s, and one modest core per party.
    fn default() -> Self {
        Speeds { latency: 50e-6, bandwidth: 1.25e9, macs: 8e9, byte: 1.2e-9, frame: 4e-6, overhead: 74.0 }
    }
}

/// A message on its way: when it arrives, logically and in virtual seconds.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    to: usize,
    depth: u64,
    time: f64,
    bytes: u64,
}

/// Traffic of an operation, all parties together, and its rounds at the last party to finish.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Price {
    /// Payload bytes.
    pub bytes: u64,
    /// Frames.
    pub frames: u64,
    /// Growth of the critical path.
    pub rounds: u64,
}

/// Where all parties' clocks stand.
#[derive(Clone, Debug)]
pub(crate) struct Instant {
    depth: Vec<u64>,
    time: Vec<f64>,
}

impl Instant {
    /// Each party goes on when it has reached both.
    pub(crate) fn wait_for(&mut self, other: &Instant) {
        self.depth.iter_mut().zip(&other.depth).for_each(|(d, o)| *d = (*d).max(*o));
        self.time.iter_mut().zip(&other.time).for_each(|(t, o)| *t = t.max(*o));
    }
}

/// Clocks of all parties.
#[derive(Clone, Debug)]
pub struct Clock {
    depth: Vec<u64>,
    time: Vec<f64>,
    free: Vec<Vec<f64>>,
    bytes: Vec<Vec<u64>>,
    frames: u64,
    macs: u64,
    speeds: Speeds,
    scopes: Vec<&'static str>,
    prices: BTreeMap<&'static str, Price>,
}

impl Clock {
    /// Clocks of `n` parties at zero.
    pub fn new(n: usize, speeds: Speeds) -> Self {
        Clock {
            depth: vec![0; n],
            time: vec![0.0; n],
            free: vec![vec![0.0; n]; n],
            bytes: vec![vec![0; n]; n],
            frames: 0,
            macs: 0,
            speeds,
            scopes: Vec::new(),
            prices: BTreeMap::new(),
        }
    }

    /// A frame of `bytes` leaves now.
    pub fn send(&mut self, from: usize, to: usize, bytes: u64) -> Arrival {
        self.bytes[from][to] += bytes;
        self.frames += 1;
        self.time[from] += self.speeds.frame + bytes as f64 * self.speeds.byte;
        let wire = (bytes as f64 + self.speeds.overhead) / self.speeds.bandwidth;
        let departed = self.free[from][to].max(self.time[from]) + wire;
        self.free[from][to] = departed;
        let price = self.price();
        price.bytes += bytes;
        price.frames += 1;
        Arrival { to, depth: self.depth[from] + 1, time: departed + self.speeds.latency, bytes }
    }

    /// The receiver waits for a frame.
    pub fn recv(&mut self, arrival: Arrival) {
        let to = arrival.to;
        let before = self.rounds();
        self.depth[to] = self.depth[to].max(arrival.depth);
        let cost = self.speeds.frame + arrival.bytes as f64 * self.speeds.byte;
        self.time[to] = self.time[to].max(arrival.time) + cost;
        let grown = self.rounds() - before;
        self.price().rounds += grown;
    }

    /// Where the clocks stand. Lanes start at one instant; what they send shares the links.
    pub(crate) fn instant(&self) -> Instant {
        Instant { depth: self.depth.clone(), time: self.time.clone() }
    }
    pub(crate) fn set(&mut self, to: &Instant) {
        self.depth.clone_from(&to.depth);
        self.time.clone_from(&to.time);
    }

    /// A party multiplies.
    pub fn work(&mut self, party: usize, macs: u64) {
        self.macs += macs;
        self.time[party] += macs as f64 / self.speeds.macs;
    }

    /// A party works on bytes that it neither sends nor receives.
    pub fn work_on_bytes(&mut self, party: usize, bytes: u64) {
        self.time[party] += bytes as f64 * self.speeds.byte;
    }

    /// Books what follows under `operation`.
    pub fn enter(&mut self, operation: &'static str) {
        self.scopes.push(operation);
    }
    /// Ends the innermost scope.
    pub fn leave(&mut self) {
        self.scopes.pop();
    }

    /// Messages in sequence on the longest path so far.
    pub fn rounds(&self) -> u64 {
        self.depth.iter().copied().max().unwrap_or(0)
    }
    /// The same at one party.
    pub fn rounds_of(&self, party: usize) -> u64 {
        self.depth[party]
    }
    /// Payload bytes sent from one party to another.
    pub fn bytes(&self, from: usize, to: usize) -> u64 {
        self.bytes[from][to]
    }
    /// Payload bytes one party sends.
    pub fn bytes_from(&self, from: usize) -> u64 {
        self.bytes[from].iter().sum()
    }
    /// Payload bytes of all parties.
    pub fn total_bytes(&self) -> u64 {
        self.bytes.iter().flatten().sum()
    }
    /// Frames of all parties.
    pub fn frames(&self) -> u64 {
        self.frames
    }
    /// Ring multiply-adds of all parties.
    pub fn macs(&self) -> u64 {
        self.macs
    }
    /// Predicted seconds until the last party is done.
    pub fn seconds(&self) -> f64 {
        self.time.iter().copied().fold(0.0, f64::max)
    }
    /// Predicted seconds until one party is done.
    pub fn seconds_of(&self, party: usize) -> f64 {
        self.time[party]
    }
    /// Prices by operation.
    pub fn prices(&self) -> &BTreeMap<&'static str, Price> {
        &self.prices
    }

    fn price(&mut self) -> &mut Price {
        self.prices.entry(self.scopes.last().copied().unwrap_or("other")).or_default()
    }
}

/// A product, priced: result length, multiply-adds of one evaluation, bits of rescale.
#[derive(Clone, Copy, Debug)]
pub struct ProductCost {
    /// The operation.
    pub op: Bilinear,
    /// Elements of the result.
    pub len: usize,
    /// Its rows, if it is a matrix.
    pub rows: usize,
    /// Elements of both operands.
    pub operands: usize,
    /// Multiply-adds of one plain evaluation.
    pub macs: u64,
    /// Bits shifted; 0 for a ring product.
    pub shift: u32,
}

/// A term of an injection, priced.
#[derive(Clone, Copy, Debug)]
pub struct TermCost {
    /// Whether the bit is armed.
    pub armed: bool,
    /// Whether the factor is secret.
    pub secret: bool,
    /// Bits of a pending lift.
    pub lift: Option<u32>,
}

/// What each operation of a protocol sends: the declaration that tests hold against measured traffic.
pub trait Costs {
    /// Number of parties.
    fn parties(&self) -> usize;
    /// The first of them that may have inputs.
    fn first_owner(&self) -> usize {
        0
    }
    /// What is sent before the first operation, in each lane.
    fn set_up(&self, _: &mut Clock) {}
    /// What follows is done in this lane: for what is owed lane by lane.
    fn in_lane(&self, _: usize) {}
    /// An input of `len` elements.
    fn input(&self, clock: &mut Clock, owner: usize, len: usize);
    /// Products in one call. With `exact`, rounding included.
    fn products(&self, clock: &mut Clock, jobs: &[ProductCost]);
    /// Rescaling of values of `(len, shift)`.
    fn rescale(&self, clock: &mut Clock, jobs: &[(usize, u32)]);
    /// Refreshing of sharings of these lengths.
    fn refresh(&self, clock: &mut Clock, lens: &[usize], origin: Origin);
    /// What exact mode adds to values of `(len, shift)`.
    fn round_exactly(&self, clock: &mut Clock, jobs: &[(usize, u32)]);
    /// Sign extraction of operands of given lengths, lifts of `(len, shift)` riding along.
    fn signs(&self, clock: &mut Clock, lens: &[usize], width: u32, lifts: &[(usize, u32)]);
    /// Bits of `len` values.
    fn a2b(&self, clock: &mut Clock, len: usize, width: u32);
    /// What the operands of an AND, an injection or an arming need first where XOR is not local: elements, and of how many terms each is the XOR.
    fn xors(&self, _: &mut Clock, _: &[(usize, usize)]) {}
    /// ANDs of `(len, width)`.
    fn and(&self, clock: &mut Clock, jobs: &[(usize, usize)]);
    /// Arming of sharings of these lengths, none of which is armed.
    fn arm(&self, clock: &mut Clock, lens: &[usize]);
    /// Injections of `(len, terms)`.
    fn inject(&self, clock: &mut Clock, jobs: &[(usize, Vec<TermCost>)]);
    /// See [`crate::Protocol::verifies_late`].
    fn verifies_late(&self) -> bool {
        false
    }
    /// Whether an opening has its verdict within, on what was owed and on itself: [`Costs::open`] counts it.
    fn settles_in_openings(&self) -> bool {
        false
    }
    /// Verification of all since the last opening, if anything was done.
    fn settle(&self, clock: &mut Clock);
    /// Opening of `len` elements, verification apart.
    fn open(&self, clock: &mut Clock, len: usize, to: crate::Recipients);
    /// A sine series over `len` values, or why there is none.
    fn harmonics(&self, clock: &mut Clock, len: usize, harmonics: usize) -> crate::Result<()>;
    /// A circuit for `len` elements in Yao's scheme.
    fn garbled(&self, _: &mut Clock, _: &crate::Garbled, _: usize) -> crate::Result<()> {
        Err(crate::protocol::not_garbled())
    }
}
