//! Three parties, one passive corruption: masked replicated sharing over Z_2^64 and bits. Spec: docs/protocols/rep3.md.
//!
//! `x = A - l1 - l2`. Party 0, the mask owner, holds `(l1, l2)`; party 1 holds `(A, l1)`; party 2 holds `(A, l2)`.
//! All that party 0 sends depends on masks only, so it runs ahead of the other two by itself.

mod arithmetic;
mod boolean;
mod convert;
pub mod cost;
mod inject;
mod input;

use crate::buffer::{Buffer, Pool};
use crate::lanes::{self, Laned};
pub use crate::masked::{ArithmeticShare, BooleanShare};
use crate::masked::{add_assign, xor_assign};
use crate::ops::fourier::Series;
use crate::party::{Draw, Holders, Party};
use crate::rep4;
use crate::{Config, Error, Inject, Origin, Product, Protocol, Raw, Recipients, Result, TruncMode};
use privity_circuit::Comparator;
use privity_ring::{Shape, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Party 0: knows masks, never masked values.
pub const OWNER: usize = 0;
/// Party 1 of the online pair.
pub const FIRST: usize = 1;
/// Party 2 of the online pair; the mask owner's messages go to it.
pub const SECOND: usize = 2;

/// One party's side of the protocol.
pub struct Rep3 {
    party: Party,
    config: Config,
    pool: Pool,
    comparators: BTreeMap<usize, Arc<Comparator>>,
    lanes: Vec<Rep3>,
    /// Whether the mask owner is a dealer: has no input of its own.
    dealt: bool,
}

impl Rep3 {
    /// A protocol instance over an established session of three parties.
    pub fn new(party: Party, config: Config) -> Result<Rep3> {
        crate::masked::check_config(&config)?;
        if party.n() != 3 {
            let problem = format!("needs exactly three parties, got {}", party.n());
            return Err(Error::Parameter { operation: "rep3", problem });
        }
        Ok(Self::over(party, config, false))
    }
    /// `additive` (docs/protocols/additive.md): party 0 is a dealer without inputs, all others hold masked values and one additive share of
    /// the mask each. Whatever one of them is missing, so are all the others together.
    ///
    /// # Errors
    /// [`Error::Parameter`] for other than 2 to 7 parties and the dealer, and for formats that no argument covers.
    pub fn additive(party: Party, config: Config) -> Result<Rep3> {
        crate::masked::check_config(&config)?;
        if !(3..=8).contains(&party.n()) {
            let problem = format!("needs a dealer and two to seven parties, got {} in all", party.n());
            return Err(Error::Parameter { operation: "additive", problem });
        }
        Ok(Self::over(party, config, true))
    }
    fn over(party: Party, config: Config, dealt: bool) -> Rep3 {
        Rep3 { party, config, pool: Pool::default(), comparators: BTreeMap::new(), lanes: Vec::new(), dealt }
    }
    /// The session: statistics, control messages.
    pub fn party(&mut self) -> &mut Party {
        &mut self.party
    }
    /// Gives this instance lanes: more sessions of the same parties, as many at each.
    ///
    /// # Errors
    /// As [`Rep3::new`].
    pub fn with_lanes(mut self, sessions: Vec<Party>) -> Result<Rep3> {
        let lane = |party| if self.dealt { Rep3::additive(party, self.config) } else { Rep3::new(party, self.config) };
        self.lanes = sessions.into_iter().map(lane).collect::<Result<_>>()?;
        Ok(self)
    }
    /// Ends the protocol and gives the sessions back, lanes last.
    pub fn into_parties(self) -> Vec<Party> {
        let lanes = self.lanes.into_iter().map(|lane| lane.party);
        std::iter::once(self.party).chain(lanes).collect()
    }

    fn is_owner(&self) -> bool {
        self.party.me() == OWNER
    }
    /// The online party that what is dealt goes to; the others draw theirs. Second of the pair.
    fn last(&self) -> usize {
        self.party.n() - 1
    }
    fn is_last(&self) -> bool {
        self.party.me() == self.last()
    }
    /// The online parties but this one.
    fn peers(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.party.me();
        (FIRST..self.party.n()).filter(move |peer| *peer != me)
    }
    /// Online: own part of a result, to all others.
    fn tell_peers(&mut self, step: u64, tile: usize, words: &[u64]) -> Result<()> {
        self.peers().try_for_each(|peer| self.party.send(peer, step, tile, words))
    }
    /// Online: the parts of all others, added to the own one.
    fn add_peers(&mut self, step: u64, tile: usize, sum: &mut [u64], add: impl Fn(&mut [u64], &[u64])) -> Result<()> {
        let mut theirs = self.buffer(sum.len());
        for peer in self.peers() {
            self.party.recv(peer, step, tile, &mut theirs)?;
            add(sum, &theirs);
        }
        self.recycle(theirs);
        Ok(())
    }
    /// Owner: what all online parties but the last draw from a stream, added up. For the pair: what first draws.
    fn drawn_sum(&mut self, stream: (u64, u8, usize), out: &mut [u64], add: impl Fn(&mut [u64], &[u64])) {
        let (step, label, tile) = stream;
        self.mask(FIRST, step, label, tile, out);
        let mut more = self.buffer(if self.last() > SECOND { out.len() } else { 0 });
        for peer in SECOND..self.last() {
            self.mask(peer, step, label, tile, &mut more);
            add(out, &more);
        }
        self.recycle(more);
    }
    /// Owner: [`Rep3::drawn_sum`] of words modulo 2^64.
    fn drawn(&mut self, step: u64, label: u8, tile: usize, out: &mut [u64]) {
        self.drawn_sum((step, label, tile), out, add_assign);
    }
    /// Owner: [`Rep3::drawn_sum`] of bits.
    fn drawn_bits(&mut self, step: u64, label: u8, tile: usize, out: &mut [u64]) {
        self.drawn_sum((step, label, tile), out, xor_assign);
    }
    /// Online: a share of what is dealt, drawn or, by the last, received.
    fn dealt(&mut self, step: u64, label: u8, tile: usize, out: &mut [u64]) -> Result<()> {
        if self.is_last() {
            return self.party.recv(OWNER, step, tile, out);
        }
        self.mask(OWNER, step, label, tile, out);
        Ok(())
    }
    /// A buffer of `len` words, contents unspecified, reused between operations.
    fn buffer(&mut self, len: usize) -> Buffer {
        self.pool.take(len)
    }
    fn recycle(&mut self, buffer: Buffer) {
        self.pool.give(buffer);
    }
    /// The comparator of so many bits; each is laid out once.
    fn comparator(&mut self, bits: usize) -> Arc<Comparator> {
        let radix = self.config.radix;
        self.comparators.entry(bits).or_insert_with(|| Arc::new(radix.comparator(bits))).clone()
    }
    /// Draws a stream shared with `peer`.
    fn mask(&self, peer: usize, step: u64, label: u8, tile: usize, out: &mut [u64]) {
        self.party.mask(Holders::of(&[self.party.me(), peer]), Draw { step, label, tile }, out);
    }
}

/// Whether a party that `rep4` lost was of its online pair.
fn online_pair_lost_one(origin: Origin) -> bool {
    matches!(origin, Origin::Without(rep4::FIRST | rep4::SECOND))
}

/// Who of four parties is who among the three that go on without `lost`: the mask owner, then the online pair (Spec 5.8).
///
/// # Panics
/// If `lost` is none of the four.
pub fn roles_without(lost: usize) -> [usize; 3] {
    match lost {
        rep4::DEALER => [rep4::CHECKER, rep4::FIRST, rep4::SECOND],
        rep4::CHECKER => [rep4::DEALER, rep4::FIRST, rep4::SECOND],
        rep4::FIRST => [rep4::DEALER, rep4::CHECKER, rep4::SECOND],
        rep4::SECOND => [rep4::DEALER, rep4::CHECKER, rep4::FIRST],
        other => panic!("rep4 has no party {other}"),
    }
}

impl Laned for Rep3 {
    fn session(&mut self) -> &mut Party {
        &mut self.party
    }
    fn others(&mut self) -> &mut Vec<Self> {
        &mut self.lanes
    }
}

impl Protocol for Rep3 {
    type R = u64;
    type A = ArithmeticShare;
    type B = BooleanShare;

    fn config(&self) -> &Config {
        &self.config
    }
    fn owners(&self) -> std::ops::Range<usize> {
        usize::from(self.dealt)..self.party.n()
    }
    fn me(&self) -> usize {
        self.party.me()
    }
    fn scope<T>(&mut self, operation: &'static str, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.is_owner() {
            // Only the last party is sent what may lie in a queue for long.
            let last = self.last();
            self.party.link().pace(last)?;
        }
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
        ArithmeticShare { x: if self.is_owner() { zero.clone() } else { x.clone() }, y: zero }
    }
    fn products(&mut self, jobs: &[Product<'_, ArithmeticShare>]) -> Result<Vec<Raw<ArithmeticShare>>> {
        let raw = self.scope("product", |p| arithmetic::products(p, jobs))?;
        match self.config.mode {
            TruncMode::Fast => Ok(raw.into_iter().map(arithmetic::Masked::into_raw).collect()),
            TruncMode::Exact => self.scope("exact rounding", |p| arithmetic::round_exactly(p, raw)),
        }
    }
    fn rescale(&mut self, jobs: &[(&ArithmeticShare, u32)]) -> Result<Vec<Raw<ArithmeticShare>>> {
        let raw = self.scope("rescale", |p| arithmetic::rescale(p, jobs))?;
        match self.config.mode {
            TruncMode::Fast => Ok(raw.into_iter().map(arithmetic::Masked::into_raw).collect()),
            TruncMode::Exact => self.scope("exact rounding", |p| arithmetic::round_exactly(p, raw)),
        }
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
        let masked = if self.is_owner() { x.x.clone() } else { x.x.map(|w| !w) };
        // The mask is unchanged, so an armed sharing stays armed.
        BooleanShare { x: masked, y: x.y.clone(), armed: x.armed.clone() }
    }
    fn arm(&mut self, xs: &[&BooleanShare]) -> Result<Vec<BooleanShare>> {
        self.scope("select", |p| xs.iter().map(|x| inject::arm(p, x)).collect())
    }
    fn inject(&mut self, jobs: &[Inject<'_, ArithmeticShare, BooleanShare>]) -> Result<Vec<ArithmeticShare>> {
        self.scope("select", |p| inject::inject(p, jobs))
    }
    fn refresh(&mut self, xs: &[&ArithmeticShare], origin: Origin) -> Result<Vec<ArithmeticShare>> {
        if origin == Origin::Joined {
            let problem = "a fourth party joins; four go on under rep4".into();
            return Err(Error::Parameter { operation: "refresh", problem });
        }
        if self.dealt && origin != Origin::Same {
            let problem = "shares of parties without a dealer; they go on under rep3 or rep4".into();
            return Err(Error::Parameter { operation: "refresh", problem });
        }
        self.scope("refresh", |p| arithmetic::refresh(p, xs, origin))
    }
    fn open(&mut self, x: &ArithmeticShare, to: Recipients) -> Result<Option<Tensor<u64>>> {
        self.party.not_in_a_lane("open")?;
        self.settle()?;
        self.scope("open", |p| input::open(p, x, to))
    }
    fn harmonics(&mut self, x: &ArithmeticShare, series: &Series) -> Result<Raw<ArithmeticShare>> {
        self.scope("harmonics", |p| convert::harmonics(p, x, series))
    }
}
