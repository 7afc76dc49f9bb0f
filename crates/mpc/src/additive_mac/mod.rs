//! Two to seven parties and a dealer, all parties but one corrupt and deviating as they like: masked sharing whose every message is
//! tagged. Spec: docs/protocols/additive-mac.md.
//!
//! `x = A - L`. Every party but the dealer holds `A`, the dealer, party 0, holds `L`; in shares the second tensor is zero. Each operation
//! opens one masked value that is affine in what the dealer dealt for it, with public coefficients; what a party sends in it is verified
//! by every other party with tags that the dealer gave, before anything is opened to anybody.

mod arithmetic;
mod boolean;
mod convert;
pub mod cost;
mod inject;
mod input;
mod verify;

use crate::buffer::{Buffer, Pool};
use crate::lanes::{self, Laned};
pub use crate::masked::{ArithmeticShare, BooleanShare};
use crate::ops::fourier::Series;
use crate::party::{Draw, Holders, Party};
use crate::{Config, Error, Inject, Origin, Product, Protocol, Raw, Recipients, Result, TruncMode};
use privity_circuit::Comparator;
use privity_ring::{Shape, Tensor};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Party 0: knows masks, never masked values, and follows the protocol.
pub const DEALER: usize = 0;
/// The first of the others.
pub const FIRST: usize = 1;

/// Words of a frame: longer messages take several.
const FRAME: usize = 1 << 16;
/// Frames that one unit of work may take in each direction.
const FRAMES: usize = 1 << 11;

const NO_HARMONICS: &str = "additive-mac has no sine series; choose the piecewise sigmoid";

/// One party's side of the protocol.
pub struct AdditiveMac {
    party: Party,
    config: Config,
    pool: Pool,
    comparators: BTreeMap<usize, Arc<Comparator>>,
    lanes: Vec<AdditiveMac>,
    ledger: verify::Ledger,
}

impl AdditiveMac {
    /// A protocol instance over an established session of a dealer and two to seven parties.
    ///
    /// # Errors
    /// [`Error::Parameter`] for another number of parties, and for formats that no argument covers.
    pub fn new(mut party: Party, config: Config) -> Result<AdditiveMac> {
        crate::masked::check_config(&config)?;
        if !(3..=8).contains(&party.n()) {
            let problem = format!("needs a dealer and two to seven parties, got {} in all", party.n());
            return Err(Error::Parameter { operation: "additive-mac", problem });
        }
        let ledger = verify::Ledger::new(&mut party);
        Ok(AdditiveMac {
            party,
            config,
            pool: Pool::default(),
            comparators: BTreeMap::new(),
            lanes: Vec::new(),
            ledger,
        })
    }
    /// The session: statistics, control messages.
    pub fn party(&mut self) -> &mut Party {
        &mut self.party
    }
    /// Gives this instance lanes: more sessions of the same parties, as many at each.
    ///
    /// # Errors
    /// As [`AdditiveMac::new`].
    pub fn with_lanes(mut self, sessions: Vec<Party>) -> Result<AdditiveMac> {
        let config = self.config;
        self.lanes = sessions.into_iter().map(|party| AdditiveMac::new(party, config)).collect::<Result<_>>()?;
        Ok(self)
    }
    /// Ends the protocol and gives the sessions back, lanes last.
    pub fn into_parties(self) -> Vec<Party> {
        let lanes = self.lanes.into_iter().map(|lane| lane.party);
        std::iter::once(self.party).chain(lanes).collect()
    }

    fn is_dealer(&self) -> bool {
        self.party.me() == DEALER
    }
    /// The party that corrections go to; the others draw their shares.
    fn last(&self) -> usize {
        self.party.n() - 1
    }
    fn is_last(&self) -> bool {
        self.party.me() == self.last()
    }
    /// All parties but the dealer.
    fn online(&self) -> Range<usize> {
        FIRST..self.party.n()
    }
    /// All parties but the dealer and this one.
    fn peers(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.party.me();
        self.online().filter(move |peer| *peer != me)
    }
    /// A stream that this party shares with `peer`, one of them the dealer.
    fn mask(&self, peer: usize, step: u64, label: u8, tile: usize, out: &mut [u64]) {
        self.party.mask(Holders::of(&[self.party.me(), peer]), Draw { step, label, tile }, out);
    }
    /// Sends what may be longer than a frame.
    fn send(&mut self, to: usize, step: u64, unit: usize, words: &[u64]) -> Result<()> {
        let frames = words.chunks(FRAME).enumerate();
        frames.into_iter().try_for_each(|(i, frame)| self.party.send(to, step, unit * FRAMES + i, frame))
    }
    /// The receiving end of [`AdditiveMac::send`].
    fn recv(&mut self, from: usize, step: u64, unit: usize, words: &mut [u64]) -> Result<()> {
        let frames = words.chunks_mut(FRAME).enumerate();
        frames.into_iter().try_for_each(|(i, frame)| self.party.recv(from, step, unit * FRAMES + i, frame))
    }
    fn recycle(&mut self, buffer: Buffer) {
        self.pool.give(buffer);
    }
    /// The comparator of so many bits; each is laid out once.
    fn comparator(&mut self, bits: usize) -> Arc<Comparator> {
        let radix = self.config.radix;
        self.comparators.entry(bits).or_insert_with(|| Arc::new(radix.comparator(bits))).clone()
    }
    /// Rounds what was truncated, as the configured mode has it.
    fn rounded(&mut self, raw: Vec<arithmetic::Masked>) -> Result<Vec<Raw<ArithmeticShare>>> {
        match self.config.mode {
            TruncMode::Fast => Ok(raw.into_iter().map(arithmetic::Masked::into_raw).collect()),
            TruncMode::Exact => self.scope("exact rounding", |p| arithmetic::round_exactly(p, raw)),
        }
    }
}

/// A part of a job that is dealt, exchanged and verified at once: job, number within the step, elements.
type Unit = (usize, usize, Range<usize>);

/// Cuts results of these sizes into units of at most `most` elements (`None`: not cut), and groups them into batches of about `batch`
/// elements: what a batch sends is posted before any of it is awaited. At least one batch, possibly empty.
fn units(sizes: impl Iterator<Item = (usize, Option<usize>)>, batch: usize) -> Vec<Vec<Unit>> {
    let (mut all, mut current, mut elements, mut number) = (Vec::new(), Vec::new(), 0, 0);
    for (job, (len, most)) in sizes.enumerate() {
        let most = most.unwrap_or(len).max(1);
        for start in (0..len).step_by(most) {
            let range = start..len.min(start + most);
            if elements > 0 && elements + range.len() > batch {
                all.push(std::mem::take(&mut current));
                elements = 0;
            }
            elements += range.len();
            current.push((job, number, range));
            number += 1;
        }
    }
    all.push(current);
    all
}

impl Laned for AdditiveMac {
    fn session(&mut self) -> &mut Party {
        &mut self.party
    }
    fn others(&mut self) -> &mut Vec<Self> {
        &mut self.lanes
    }
}

impl Protocol for AdditiveMac {
    type R = u64;
    type A = ArithmeticShare;
    type B = BooleanShare;

    fn config(&self) -> &Config {
        &self.config
    }
    fn owners(&self) -> Range<usize> {
        self.online()
    }
    fn me(&self) -> usize {
        self.party.me()
    }
    fn scope<T>(&mut self, operation: &'static str, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        // Spec 10.3: after a bad verdict nothing more is dealt or told.
        crate::verdict::none_was_bad(self.ledger.failed)?;
        if self.is_dealer() {
            // Nobody answers what is dealt.
            self.online().try_for_each(|peer| self.party.link().pace(peer))?;
        }
        self.ledger.owe();
        self.party.enter(operation);
        let result = f(self);
        self.party.leave();
        result
    }
    fn in_lanes<T: Send, O: Send>(
        &mut self,
        items: Vec<T>,
        f: impl Fn(&mut Self, T) -> Result<O> + Sync,
    ) -> Result<Vec<O>> {
        lanes::run(self, items, f)
    }
    fn input(&mut self, owner: usize, shape: &Shape, x: Option<&Tensor<u64>>) -> Result<ArithmeticShare> {
        self.scope("input", |p| input::input(p, owner, shape, x))
    }
    fn public(&mut self, x: &Tensor<u64>) -> ArithmeticShare {
        let zero = Tensor::zeros(x.shape());
        ArithmeticShare { x: if self.is_dealer() { zero.clone() } else { x.clone() }, y: zero }
    }
    fn products(&mut self, jobs: &[Product<'_, ArithmeticShare>]) -> Result<Vec<Raw<ArithmeticShare>>> {
        let raw = self.scope("product", |p| arithmetic::products(p, jobs))?;
        self.rounded(raw)
    }
    fn rescale(&mut self, jobs: &[(&ArithmeticShare, u32)]) -> Result<Vec<Raw<ArithmeticShare>>> {
        let raw = self.scope("rescale", |p| Ok(arithmetic::rescale(p, jobs)))?;
        self.rounded(raw)
    }
    fn signs(
        &mut self,
        xs: &[&ArithmeticShare],
        width: u32,
        lifts: Vec<Raw<ArithmeticShare>>,
    ) -> Result<(Vec<BooleanShare>, Vec<ArithmeticShare>)> {
        self.scope("comparison", |p| boolean::signs(p, xs, width, lifts))
    }
    fn a2b(&mut self, x: &ArithmeticShare, width: u32) -> Result<BooleanShare> {
        self.scope("bits of", |p| convert::a2b(p, x, width))
    }
    fn and(&mut self, jobs: &[(&BooleanShare, &BooleanShare)]) -> Result<Vec<BooleanShare>> {
        self.scope("and", |p| boolean::and(p, jobs))
    }
    fn not(&mut self, x: &BooleanShare) -> BooleanShare {
        let masked = if self.is_dealer() { x.x.clone() } else { x.x.map(|w| !w) };
        BooleanShare::new(masked, x.y.clone())
    }
    fn arm(&mut self, xs: &[&BooleanShare]) -> Result<Vec<BooleanShare>> {
        // Spec 8.3: every injection deals its own material; nothing to prepare.
        self.scope("select", |_| Ok(xs.iter().map(|x| (*x).clone()).collect()))
    }
    fn inject(&mut self, jobs: &[Inject<'_, ArithmeticShare, BooleanShare>]) -> Result<Vec<ArithmeticShare>> {
        self.scope("select", |p| inject::inject(p, jobs))
    }
    fn refresh(&mut self, xs: &[&ArithmeticShare], origin: Origin) -> Result<Vec<ArithmeticShare>> {
        if origin != Origin::Same {
            let problem = "shares of parties without a dealer; they go on under rep3 or rep4".into();
            return Err(Error::Parameter { operation: "refresh", problem });
        }
        self.scope("refresh", |p| Ok(input::refresh(p, xs)))
    }
    fn settle(&mut self) -> Result<()> {
        // Spec 10.4: every lane has a ledger; all are verified, side by side, before anything is opened in the first.
        let all = vec![(); 1 + self.lanes.len()];
        lanes::run(self, all, |p, ()| verify::settle(p)).map(drop)
    }
    fn open(&mut self, x: &ArithmeticShare, to: Recipients) -> Result<Option<Tensor<u64>>> {
        self.party.not_in_a_lane("open")?;
        self.settle()?;
        self.party.enter("open");
        self.party.link().tolerate(true);
        // What the dealer is told and others were not is a bad verdict, too.
        self.ledger.failed = true;
        let opened = input::open(self, x, to);
        self.ledger.failed = opened.is_err();
        self.party.link().tolerate(false);
        self.party.leave();
        opened
    }
    fn harmonics(&mut self, _: &ArithmeticShare, _: &Series) -> Result<Raw<ArithmeticShare>> {
        Err(Error::Parameter { operation: "harmonics", problem: NO_HARMONICS.into() })
    }
}
