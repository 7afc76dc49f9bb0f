//! Four parties, one active corruption: 3-out-of-4 replicated sharing over Z_2^64 and bits, in its masked form.
//! Spec: docs/protocols/rep4.md.
//!
//! `x = A - L = B - U` with `L = l1 + l2`. The online pair, parties 1 and 2, hold `(A, l1)` and `(A, l2)`; the checker, party
//! 0, holds `(B, L)`; the dealer, party 3, holds `(L, U)`. The dealer is sent nothing, so it runs ahead by itself; the checker
//! sends nothing and follows. Whatever one party sends, another can vouch for: the two compare tags before anything is opened.

mod arithmetic;
mod boolean;
mod convert;
pub mod cost;
mod inject;
mod input;
mod verify;

use crate::buffer::{Buffer, Pool};
use crate::lanes::{self, Laned};
use crate::masked::Armed;
pub use crate::masked::{ArithmeticShare, BooleanShare};
use crate::ops::fourier::Series;
use crate::party::{Draw, Holders, Party};
use crate::{Config, Error, Inject, Origin, Product, Protocol, Raw, Recipients, Result, TruncMode};
use privity_circuit::Comparator;
use privity_ring::{Shape, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Party 0 holds `(B, L)`: knows the masks of the online pair, recomputes their results under the dealer's mask.
pub const CHECKER: usize = 0;
/// Party 1 of the online pair.
pub const FIRST: usize = 1;
/// Party 2 of the online pair; dealt values go to it, and it sends to the checker.
pub const SECOND: usize = 2;
/// Party 3 holds `(L, U)`: deals, and learns nothing masked.
pub const DEALER: usize = 3;

/// Holders of `l1`.
const ONE: Holders = Holders::of(&[CHECKER, FIRST, DEALER]);
/// Holders of `l2`.
const TWO: Holders = Holders::of(&[CHECKER, SECOND, DEALER]);
/// Holders of `U`.
const OTHER: Holders = Holders::of(&[FIRST, SECOND, DEALER]);

const NO_HARMONICS: &str = "rep4 has no sine series; choose the piecewise sigmoid";

/// One party's side of the protocol.
pub struct Rep4 {
    party: Party,
    config: Config,
    pool: Pool,
    comparators: BTreeMap<usize, Arc<Comparator>>,
    lanes: Vec<Rep4>,
    window: verify::Window,
}

impl Rep4 {
    /// A protocol instance over an established session of four parties.
    ///
    /// # Errors
    /// [`Error::Parameter`] for another number of parties, and for formats that no argument covers.
    pub fn new(mut party: Party, config: Config) -> Result<Rep4> {
        crate::masked::check_config(&config)?;
        if party.n() != 4 {
            let problem = format!("needs exactly four parties, got {}", party.n());
            return Err(Error::Parameter { operation: "rep4", problem });
        }
        let window = verify::Window::open(&mut party);
        Ok(Rep4 { party, config, pool: Pool::default(), comparators: BTreeMap::new(), lanes: Vec::new(), window })
    }
    /// The session: statistics, control messages.
    pub fn party(&mut self) -> &mut Party {
        &mut self.party
    }
    /// Gives this instance lanes: more sessions of the same parties, as many at each.
    ///
    /// # Errors
    /// As [`Rep4::new`].
    pub fn with_lanes(mut self, sessions: Vec<Party>) -> Result<Rep4> {
        let config = self.config;
        self.lanes = sessions.into_iter().map(|party| Rep4::new(party, config)).collect::<Result<_>>()?;
        Ok(self)
    }
    /// Ends the protocol and gives the sessions back, lanes last.
    pub fn into_parties(self) -> Vec<Party> {
        let lanes = self.lanes.into_iter().map(|lane| lane.party);
        std::iter::once(self.party).chain(lanes).collect()
    }

    /// The other member of the online pair.
    fn online_peer(&self) -> usize {
        FIRST + SECOND - self.party.me()
    }
    /// A buffer of `len` words, contents unspecified, reused between operations.
    fn buffer(&mut self, len: usize) -> Buffer {
        self.pool.take(len)
    }
    fn recycle(&mut self, buffers: impl IntoIterator<Item = Buffer>) {
        buffers.into_iter().for_each(|buffer| self.pool.give(buffer));
    }
    /// The comparator of so many bits; each is laid out once.
    fn comparator(&mut self, bits: usize) -> Arc<Comparator> {
        let radix = self.config.radix;
        self.comparators.entry(bits).or_insert_with(|| Arc::new(radix.comparator(bits))).clone()
    }
    /// Draws a stream shared by three parties.
    fn mask(&self, holders: Holders, step: u64, label: u8, tile: usize, out: &mut [u64]) {
        self.party.mask(holders, Draw { step, label, tile }, out);
    }
    /// A buffer filled with such a stream.
    fn drawn(&mut self, holders: Holders, step: u64, label: u8, tile: usize, len: usize) -> Buffer {
        let mut buffer = self.buffer(len);
        self.mask(holders, step, label, tile, &mut buffer);
        buffer
    }
}

impl Laned for Rep4 {
    fn session(&mut self) -> &mut Party {
        &mut self.party
    }
    fn others(&mut self) -> &mut Vec<Self> {
        &mut self.lanes
    }
}

impl Protocol for Rep4 {
    type R = u64;
    type A = ArithmeticShare;
    type B = BooleanShare;

    fn config(&self) -> &Config {
        &self.config
    }
    fn owners(&self) -> std::ops::Range<usize> {
        0..4
    }
    fn me(&self) -> usize {
        self.party.me()
    }
    fn scope<T>(&mut self, operation: &'static str, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        // Those who are not answered must not run too far ahead. Only between operations: within one, the checker may wait
        // for what the dealer has yet to send.
        match self.party.me() {
            DEALER => [CHECKER, SECOND].iter().try_for_each(|peer| self.party.link().pace(*peer))?,
            SECOND => self.party.link().pace(CHECKER)?,
            _ => {}
        }
        self.window.owe();
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
        ArithmeticShare { x: if self.me() == DEALER { zero.clone() } else { x.clone() }, y: zero }
    }
    fn products(&mut self, jobs: &[Product<'_, ArithmeticShare>]) -> Result<Vec<Raw<ArithmeticShare>>> {
        let sums: Vec<arithmetic::Sum<'_>> = jobs.iter().map(arithmetic::Sum::of).collect();
        let raw = self.scope("product", |p| arithmetic::products(p, &sums))?;
        self.rounded(raw)
    }
    fn rescale(&mut self, jobs: &[(&ArithmeticShare, u32)]) -> Result<Vec<Raw<ArithmeticShare>>> {
        let raw = self.scope("rescale", |p| arithmetic::rescale(p, jobs))?;
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
        let masked = if self.me() == DEALER { x.x.clone() } else { x.x.map(|w| !w) };
        // Spec 8.1: 1 - (A + kappa) is 1 - A under the mask -kappa; the pair's shares are of L, which stays.
        let armed = x.armed.as_ref().map(|armed| match self.me() {
            CHECKER => Arc::new(Armed(armed.0.iter().map(|w| 1u64.wrapping_sub(*w)).collect())),
            DEALER => Arc::new(Armed(armed.0.iter().map(|w| w.wrapping_neg()).collect())),
            _ => armed.clone(),
        });
        BooleanShare { x: masked, y: x.y.clone(), armed }
    }
    fn arm(&mut self, xs: &[&BooleanShare]) -> Result<Vec<BooleanShare>> {
        self.scope("select", |p| inject::arm(p, xs))
    }
    fn inject(&mut self, jobs: &[Inject<'_, ArithmeticShare, BooleanShare>]) -> Result<Vec<ArithmeticShare>> {
        self.scope("select", |p| inject::inject(p, jobs))
    }
    fn refresh(&mut self, xs: &[&ArithmeticShare], origin: Origin) -> Result<Vec<ArithmeticShare>> {
        if let Origin::Without(_) = origin {
            let problem = "shares of four parties of which one is lost; three go on under rep3";
            return Err(Error::Parameter { operation: "refresh", problem: problem.into() });
        }
        self.scope("refresh", |p| match origin {
            Origin::Joined => arithmetic::admit(p, xs),
            _ => arithmetic::refresh(p, xs),
        })
    }
    fn settle(&mut self) -> Result<()> {
        // Spec 10.1: every lane has a window. All of them are verified, side by side, before anything is opened in the first.
        let all = vec![(); 1 + self.lanes.len()];
        lanes::run(self, all, |p, ()| verify::settle(p)).map(drop)
    }
    fn open(&mut self, x: &ArithmeticShare, to: Recipients) -> Result<Option<Tensor<u64>>> {
        self.party.not_in_a_lane("open")?;
        self.settle()?;
        self.party.enter("open");
        self.party.link().tolerate(true);
        let opened = input::open(self, x, to);
        self.party.link().tolerate(false);
        self.party.leave();
        opened
    }
    fn harmonics(&mut self, _: &ArithmeticShare, _: &Series) -> Result<Raw<ArithmeticShare>> {
        Err(Error::Parameter { operation: "harmonics", problem: NO_HARMONICS.into() })
    }
}

impl Rep4 {
    /// Rounds what was truncated, as the configured mode has it.
    fn rounded(&mut self, raw: Vec<arithmetic::Masked>) -> Result<Vec<Raw<ArithmeticShare>>> {
        match self.config.mode {
            TruncMode::Fast => Ok(raw.into_iter().map(arithmetic::Masked::into_raw).collect()),
            TruncMode::Exact => self.scope("exact rounding", |p| arithmetic::round_exactly(p, raw)),
        }
    }
}
