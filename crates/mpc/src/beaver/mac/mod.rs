//! Two to seven parties and a dealer, all parties but one corrupt and deviating as they like: additive shares over the field of 2^61 - 1 elements, each
//! with one of its MAC. Inputs, linear maps, products without division, openings. Spec: docs/protocols/beaver.md, 13 to 19.

mod arithmetic;
pub mod cost;
mod deal;
mod input;
mod verify;

use super::check;
use crate::correlations::{Number, Session};
use crate::ops::fourier::Series;
use crate::party::Party;
use crate::{BitShare, Config, Error, Inject, Origin, Product, Protocol, Raw, Recipients, Result, Share};
use privity_ring::{M61, Shape, Tensor, mersenne};
use std::ops::Range;
use verify::Ledger;

/// Party 0: knows masks and the key, never masked values, and follows the protocol.
pub const DEALER: usize = 0;

/// One party's side of the protocol.
pub struct BeaverMac {
    session: Session,
    config: Config,
    ledger: Ledger,
}

/// This party's share of a value and of its MAC. Spec 13.1.
#[derive(Clone)]
pub struct Tagged {
    value: Tensor<M61>,
    tag: Tensor<M61>,
}

/// Bits, of which there are none.
#[derive(Clone, Copy, Debug)]
pub enum NoBits {}

impl Share for Tagged {
    type R = M61;
    fn shape(&self) -> &Shape {
        self.value.shape()
    }
    fn map(&self, f: impl Fn(&Tensor<M61>) -> Tensor<M61>) -> Self {
        Tagged { value: f(&self.value), tag: f(&self.tag) }
    }
    fn zip(&self, o: &Self, f: impl Fn(&Tensor<M61>, &Tensor<M61>) -> Tensor<M61>) -> Self {
        Tagged { value: f(&self.value, &o.value), tag: f(&self.tag, &o.tag) }
    }
    fn concat_rows(parts: &[&Self]) -> Self {
        let component = |pick: fn(&Self) -> &Tensor<M61>| {
            Tensor::concat_rows(&parts.iter().map(|share| pick(share)).collect::<Vec<_>>())
        };
        Tagged { value: component(|s| &s.value), tag: component(|s| &s.tag) }
    }
    fn parts(&self) -> Vec<&Tensor<M61>> {
        vec![&self.value, &self.tag]
    }
    fn from_parts(parts: Vec<Tensor<M61>>) -> Option<Self> {
        let [value, tag] = <[Tensor<M61>; 2]>::try_from(parts).ok()?;
        (value.shape() == tag.shape()).then_some(Tagged { value, tag })
    }
}

impl std::fmt::Debug for Tagged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tagged").field("shape", self.value.shape()).finish_non_exhaustive()
    }
}

impl BitShare for NoBits {
    fn len(&self) -> usize {
        match *self {}
    }
    fn width(&self) -> usize {
        match *self {}
    }
    fn xor(&self, _: &Self) -> Self {
        match *self {}
    }
    fn plane(&self, _: usize) -> Self {
        match *self {}
    }
    fn stack(planes: &[&Self]) -> Self {
        match **planes.first().expect("a sharing of bits has one bit or more") {}
    }
}

/// What is not verified is not there.
fn refused<T>(operation: &'static str) -> Result<T> {
    let problem = "beaver with MACs has inputs, linear maps, products without division and openings; additive-mac has this, with a dealer, too";
    Err(Error::Parameter { operation, problem: problem.into() })
}

impl BeaverMac {
    /// Two to seven parties and a dealer, party 0, that has no inputs, follows the protocol and tells nobody what it knows. Values are residues
    /// modulo `2^61 - 1`. What is opened is right or withheld from all, but for a probability of `2^-60` an opening. Spec 13.
    ///
    /// # Errors
    /// [`Error::Parameter`] for another number of parties, and for formats that no argument covers.
    pub fn new(mut party: Party, config: Config) -> Result<BeaverMac> {
        check::<M61>(&config, party.n().saturating_sub(1))?;
        let step = party.next_step();
        let session = Session { party, first: DEALER + 1 };
        let ledger = Ledger::new(&session, step);
        Ok(BeaverMac { session, config, ledger })
    }
    /// The session: statistics, control messages.
    pub fn party(&mut self) -> &mut Party {
        &mut self.session.party
    }
}

impl Protocol for BeaverMac {
    type R = M61;
    type A = Tagged;
    type B = NoBits;

    fn config(&self) -> &Config {
        &self.config
    }
    fn owners(&self) -> Range<usize> {
        self.session.online()
    }
    fn me(&self) -> usize {
        self.session.party.me()
    }
    fn scope<T>(&mut self, operation: &'static str, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        // Spec 16.5: after a bad verdict nothing more is dealt or told.
        crate::verdict::none_was_bad(self.ledger.failed)?;
        if !self.session.computes() {
            // Nobody answers what is dealt.
            self.session.online().try_for_each(|peer| self.session.party.link().pace(peer))?;
        }
        self.ledger.owe();
        self.session.party.enter(operation);
        let result = f(self);
        self.session.party.leave();
        result
    }
    fn in_lanes<T: Send, O: Send>(
        &mut self,
        items: Vec<T>,
        f: impl Fn(&mut Self, T) -> Result<O> + Sync,
    ) -> Result<Vec<O>> {
        if items.len() > 1 {
            // A lane would have a key of its own, under which shares of others mean nothing.
            return refused("lanes");
        }
        items.into_iter().map(|item| f(self, item)).collect()
    }
    fn input(&mut self, owner: usize, shape: &Shape, x: Option<&Tensor<M61>>) -> Result<Tagged> {
        self.scope("input", |p| input::input(p, owner, shape, x))
    }
    fn public(&mut self, x: &Tensor<M61>) -> Tagged {
        // Spec 13.2
        let value = if self.session.leads() { x.clone() } else { Tensor::zeros(x.shape()) };
        let mut tag = Tensor::zeros(x.shape());
        if self.session.computes() {
            let tag = mersenne::words_mut(tag.data_mut());
            mersenne::add_scaled(tag, self.ledger.key(), M61::words(x.data()));
        }
        Tagged { value, tag }
    }
    fn products(&mut self, jobs: &[Product<'_, Tagged>]) -> Result<Vec<Raw<Tagged>>> {
        if jobs.iter().any(|job| job.rescale > 0) {
            return refused("product with division");
        }
        let products = self.scope("product", |p| arithmetic::products(p, jobs))?;
        Ok(products.into_iter().map(Raw::exact).collect())
    }
    fn rescale(&mut self, _: &[(&Tagged, u32)]) -> Result<Vec<Raw<Tagged>>> {
        refused("rescale")
    }
    fn signs(&mut self, xs: &[&Tagged], _: u32, lifts: Vec<Raw<Tagged>>) -> Result<(Vec<NoBits>, Vec<Tagged>)> {
        match xs.is_empty() {
            // Products without division are right at once.
            true => Ok((Vec::new(), lifts.into_iter().map(|raw| raw.value).collect())),
            false => refused("comparison"),
        }
    }
    fn a2b(&mut self, _: &Tagged, _: u32) -> Result<NoBits> {
        refused("bits of")
    }
    fn and(&mut self, _: &[(&NoBits, &NoBits)]) -> Result<Vec<NoBits>> {
        refused("and")
    }
    fn not(&mut self, x: &NoBits) -> NoBits {
        *x
    }
    fn arm(&mut self, _: &[&NoBits]) -> Result<Vec<NoBits>> {
        refused("select")
    }
    fn inject(&mut self, _: &[Inject<'_, Tagged, NoBits>]) -> Result<Vec<Tagged>> {
        refused("select")
    }
    fn refresh(&mut self, _: &[&Tagged], _: Origin) -> Result<Vec<Tagged>> {
        // Kept shares have MACs under the key of their session.
        refused("refresh")
    }
    fn settle(&mut self) -> Result<()> {
        verify::settle(self)
    }
    fn open(&mut self, x: &Tagged, to: Recipients) -> Result<Option<Tensor<M61>>> {
        let masked = self.scope("open", |p| input::mask(p, x))?;
        self.settle()?;
        self.session.party.enter("open");
        self.session.party.link().tolerate(true);
        // Spec 16.5: a word that is not the same at all is a bad verdict, too.
        self.ledger.failed = true;
        let opened = input::unmask(self, masked, to);
        self.ledger.failed = opened.is_err();
        self.session.party.link().tolerate(false);
        self.session.party.leave();
        opened
    }
    fn harmonics(&mut self, _: &Tagged, _: &Series) -> Result<Raw<Tagged>> {
        refused("harmonics")
    }
}
