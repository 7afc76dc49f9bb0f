//! Any number of parties, all but one of them curious together: additive shares over Z_2^64 or the field of 2^61 - 1 elements, products by Beaver's
//! triples. Spec: docs/protocols/beaver.md.
//!
//! `x = x_1 + .. + x_n`, a bit is the XOR of one of each party. Correlated randomness comes from a source (`correlations`): a dealer without data, or
//! oblivious transfer between every two parties. What is done with it is the same.

mod arithmetic;
mod boolean;
mod convert;
pub mod cost;
mod inject;
mod input;
pub mod mac;

pub use crate::correlations::Number;
use crate::correlations::{Dealer, Session, Source, Transfers};
use crate::lanes::{self, Laned};
use crate::masked::{check_config, check_field_config};
use crate::ops::fourier::Series;
use crate::party::Party;
use crate::share::Planes;
use crate::{BitShare, Config, Error, Inject, Origin, Product, Protocol, Raw, Recipients, Result, TruncMode};
use privity_ring::{Shape, Tensor};
use std::ops::Range;
use std::sync::Arc;

/// Most parties that compute: each tells all others what it masks.
pub const MOST: usize = 7;

/// One party's side of the protocol over numbers of `R`.
pub struct Beaver<R: Number> {
    session: Session,
    config: Config,
    source: Box<dyn Source<R>>,
    lanes: Vec<Beaver<R>>,
}

/// This party's shares of bits, and of the same bits as numbers if they are armed.
#[derive(Clone, Debug)]
pub struct Bits<R: Number> {
    planes: Planes,
    armed: Option<Arc<Tensor<R>>>,
}

impl<R: Number> Bits<R> {
    fn new(planes: Planes) -> Self {
        Bits { planes, armed: None }
    }
}

impl<R: Number> BitShare for Bits<R> {
    fn len(&self) -> usize {
        self.planes.len()
    }
    fn width(&self) -> usize {
        BitShare::width(&self.planes)
    }
    fn xor(&self, o: &Self) -> Self {
        Bits::new(BitShare::xor(&self.planes, &o.planes))
    }
    fn plane(&self, i: usize) -> Self {
        Bits::new(self.planes.plane(i))
    }
    fn stack(planes: &[&Self]) -> Self {
        Bits::new(Planes::stack(&planes.iter().map(|bits| &bits.planes).collect::<Vec<_>>()))
    }
}

impl<R: Number> Beaver<R> {
    /// Two to seven parties and a dealer, party 0, that has no inputs. Nobody else knows what the dealer knows, as long as it tells nobody. Spec 3.
    ///
    /// # Errors
    /// [`Error::Parameter`] for another number of parties, and for formats that no argument covers.
    pub fn dealt(party: Party, config: Config) -> Result<Beaver<R>> {
        check::<R>(&config, party.n().saturating_sub(1))?;
        Ok(Beaver { session: Session { party, first: 1 }, config, source: Box::new(Dealer), lanes: Vec::new() })
    }
    /// Two to seven parties and nobody else. Sets transfers up between every two of them. Spec 7.
    ///
    /// # Errors
    /// As [`Beaver::dealt`]; the network; no randomness.
    pub fn transferred(mut party: Party, config: Config) -> Result<Beaver<R>> {
        check::<R>(&config, party.n())?;
        let source = Box::new(Transfers::new(&mut party)?);
        Ok(Beaver { session: Session { party, first: 0 }, config, source, lanes: Vec::new() })
    }
    /// The session: statistics, control messages.
    pub fn party(&mut self) -> &mut Party {
        &mut self.session.party
    }
    /// Gives this instance lanes: more sessions of the same parties, as many at each.
    ///
    /// # Errors
    /// As [`Beaver::dealt`] or [`Beaver::transferred`], whichever it was.
    pub fn with_lanes(mut self, sessions: Vec<Party>) -> Result<Beaver<R>> {
        let start = if self.session.first == 1 { Beaver::dealt } else { Beaver::transferred };
        let config = self.config;
        self.lanes = sessions.into_iter().map(|party| start(party, config)).collect::<Result<_>>()?;
        Ok(self)
    }
    /// Ends the protocol and gives the sessions back, lanes last.
    pub fn into_parties(self) -> Vec<Party> {
        let lanes = self.lanes.into_iter().map(|lane| lane.session.party);
        std::iter::once(self.session.party).chain(lanes).collect()
    }
    /// Fast rounding, if that is configured.
    fn divided(&mut self, values: Vec<Tensor<R>>, shifts: &[u32]) -> Result<Vec<Tensor<R>>> {
        match self.config.mode {
            TruncMode::Fast => convert::divide(self, values, shifts, false),
            TruncMode::Exact => Ok(values),
        }
    }
    /// Exact rounding, if that is configured.
    fn rounded(&mut self, values: Vec<Tensor<R>>, shifts: &[u32]) -> Result<Vec<Raw<Tensor<R>>>> {
        let values = match self.config.mode {
            TruncMode::Fast => values,
            TruncMode::Exact => self.scope("exact rounding", |p| convert::divide(p, values, shifts, true))?,
        };
        Ok(values.into_iter().map(Raw::exact).collect())
    }
}

fn check<R: Number>(config: &Config, computing: usize) -> Result<()> {
    if R::BINARY { check_config(config) } else { check_field_config(config) }?;
    match (2..=MOST).contains(&computing) {
        true => Ok(()),
        false => {
            let problem = format!("needs two to {MOST} parties that compute, got {computing}");
            Err(Error::Parameter { operation: "beaver", problem })
        }
    }
}

impl<R: Number> Laned for Beaver<R> {
    fn session(&mut self) -> &mut Party {
        &mut self.session.party
    }
    fn others(&mut self) -> &mut Vec<Self> {
        &mut self.lanes
    }
}

impl<R: Number> Protocol for Beaver<R> {
    type R = R;
    type A = Tensor<R>;
    type B = Bits<R>;

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
        if !self.session.computes() {
            // Nobody answers what is dealt.
            self.session.online().try_for_each(|peer| self.session.party.link().pace(peer))?;
        }
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
        lanes::run(self, items, f)
    }
    fn input(&mut self, owner: usize, shape: &Shape, x: Option<&Tensor<R>>) -> Result<Tensor<R>> {
        self.scope("input", |p| input::input(p, owner, shape, x))
    }
    fn public(&mut self, x: &Tensor<R>) -> Tensor<R> {
        if self.session.leads() { x.clone() } else { Tensor::zeros(x.shape()) }
    }
    fn products(&mut self, jobs: &[Product<'_, Tensor<R>>]) -> Result<Vec<Raw<Tensor<R>>>> {
        let shifts: Vec<u32> = jobs.iter().map(|job| job.rescale).collect();
        let values = self.scope("product", |p| {
            let products = arithmetic::products(p, jobs)?;
            p.divided(products, &shifts)
        })?;
        self.rounded(values, &shifts)
    }
    fn rescale(&mut self, jobs: &[(&Tensor<R>, u32)]) -> Result<Vec<Raw<Tensor<R>>>> {
        let (values, shifts): (Vec<_>, Vec<_>) = jobs.iter().map(|(x, shift)| ((*x).clone(), *shift)).unzip();
        let values = self.scope("rescale", |p| p.divided(values, &shifts))?;
        self.rounded(values, &shifts)
    }
    fn signs(
        &mut self,
        xs: &[&Tensor<R>],
        width: u32,
        lifts: Vec<Raw<Tensor<R>>>,
    ) -> Result<(Vec<Bits<R>>, Vec<Tensor<R>>)> {
        let bits = self.scope("comparison", |p| boolean::signs(p, xs, width))?;
        Ok((bits, lifts.into_iter().map(|raw| raw.value).collect()))
    }
    fn a2b(&mut self, x: &Tensor<R>, width: u32) -> Result<Bits<R>> {
        self.scope("bits of", |p| convert::a2b(p, x, width))
    }
    fn and(&mut self, jobs: &[(&Bits<R>, &Bits<R>)]) -> Result<Vec<Bits<R>>> {
        self.scope("and", |p| boolean::and(p, jobs))
    }
    fn not(&mut self, x: &Bits<R>) -> Bits<R> {
        let leads = self.session.leads();
        let planes = if leads { x.planes.map(|w| !w) } else { x.planes.clone() };
        let opposite = |number: &Arc<Tensor<R>>| {
            let one = Tensor::fill(number.shape(), u64::from(leads));
            Arc::new(one.sub(number))
        };
        Bits { planes, armed: x.armed.as_ref().map(opposite) }
    }
    fn arm(&mut self, xs: &[&Bits<R>]) -> Result<Vec<Bits<R>>> {
        self.scope("select", |p| inject::arm(p, xs))
    }
    fn inject(&mut self, jobs: &[Inject<'_, Tensor<R>, Bits<R>>]) -> Result<Vec<Tensor<R>>> {
        self.scope("select", |p| inject::inject(p, jobs))
    }
    fn refresh(&mut self, xs: &[&Tensor<R>], origin: Origin) -> Result<Vec<Tensor<R>>> {
        if origin != Origin::Same {
            let problem = "shares of other parties; they go on under rep3 or rep4".into();
            return Err(Error::Parameter { operation: "refresh", problem });
        }
        self.scope("refresh", |p| Ok(input::refresh(p, xs)))
    }
    fn open(&mut self, x: &Tensor<R>, to: Recipients) -> Result<Option<Tensor<R>>> {
        self.session.party.not_in_a_lane("open")?;
        self.scope("open", |p| input::open(p, x, to))
    }
    fn harmonics(&mut self, _: &Tensor<R>, _: &Series) -> Result<Raw<Tensor<R>>> {
        Err(cost::no_harmonics())
    }
}
