//! Any number of parties of which fewer than half are corrupt: Shamir's sharing of numbers over the field of 2^61 - 1 elements and of bits
//! over a small binary field. Spec: docs/protocols/shamir.md.
//!
//! A party's share is the value at its point of a random polynomial of degree `t`, whose value at zero is the secret. Every exchange is of one
//! kind: some parties deal vectors of theirs among all ([`crate::polynomial::deal`]).

mod arithmetic;
mod boolean;
mod convert;
pub mod cost;
mod inject;
mod input;

use crate::lanes::{self, Laned};
use crate::polynomial::{Binary, Code, Field, Prime, Together, deal};
pub use crate::polynomial::{Committee, Handover, PackedShare, Packing, PolynomialBits};
use crate::protocol::Origin;
use crate::share::plane_words;
use crate::{Config, Error, Inject, Party, Product, Protocol, Raw, Recipients, Result, TruncMode};
pub use input::Robust;
use privity_ring::{M61, Shape, Tensor, mersenne};
use std::sync::Arc;

/// Most parties: a bit's field has 31 points other than zero.
pub const MOST: usize = 31;

/// Magnitudes below `2^LIMIT` can be divided: what is divided is made positive, and its top bit must stay clear.
pub const LIMIT: u32 = 59;

/// One party's side of the protocol.
pub struct Shamir {
    party: Party,
    config: Config,
    threshold: usize,
    numbers: Arc<Code<Prime>>,
    bits: Arc<Code<Binary>>,
    lanes: Vec<Shamir>,
}

impl Shamir {
    /// A protocol instance over an established session: any `threshold` parties together learn nothing.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `1 <= threshold` and `2 threshold < n <= 31`, and for formats that no argument covers.
    pub fn new(party: Party, config: Config, threshold: usize) -> Result<Shamir> {
        crate::masked::check_config(&config)?;
        let n = party.n();
        if threshold == 0 || 2 * threshold >= n || n > MOST {
            let problem = format!(
                "threshold {threshold} of {n} parties; at least 1 and less than half of them may be corrupt, and there may be {MOST} parties"
            );
            return Err(Error::Parameter { operation: "shamir", problem });
        }
        let all: Vec<usize> = (0..n).collect();
        let numbers = Arc::new(Code::new(Prime, &all, threshold));
        let bits = Arc::new(Code::new(Binary::for_parties(n), &all, threshold));
        Ok(Shamir { party, config, threshold, numbers, bits, lanes: Vec::new() })
    }
    /// The session: statistics, control messages.
    pub fn party(&mut self) -> &mut Party {
        &mut self.party
    }
    /// Gives this instance lanes: more sessions of the same parties, as many at each.
    ///
    /// # Errors
    /// As [`Shamir::new`].
    pub fn with_lanes(mut self, sessions: Vec<Party>) -> Result<Shamir> {
        let lane = |party| Shamir::new(party, self.config, self.threshold);
        self.lanes = sessions.into_iter().map(lane).collect::<Result<_>>()?;
        Ok(self)
    }
    /// Ends the protocol and gives the sessions back, lanes last.
    pub fn into_parties(self) -> Vec<Party> {
        let lanes = self.lanes.into_iter().map(|lane| lane.party);
        std::iter::once(self.party).chain(lanes).collect()
    }

    /// How `slots` values are shared by one polynomial among these parties, for products of batches. Spec 16.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless there are two slots or more and `2 (threshold + slots - 1) < n`.
    pub fn packing(&self, slots: usize) -> Result<Packing> {
        Packing::new(self.party.n(), self.threshold, slots)
    }
    /// Numbers of which some parties hold summands modulo 2^64, `mine` this party's if it is one of them: what a sharing over that ring becomes when it is
    /// handed over. Under `rep3`, a value's are party 1's `A - l1` and party 2's `-l2`. Exact for magnitudes below 2^60; of others something else comes
    /// out. Two summands: 2 rounds, two dealings each and a product an element; `m` of them: as in [`ShamirCosts::from_additive`]. Spec 18.
    ///
    /// [`ShamirCosts::from_additive`]: cost::ShamirCosts::from_additive
    ///
    /// # Errors
    /// [`Error::Parameter`] unless two or more different parties hold summands, [`Error::Input`] if not exactly they give them; the network.
    pub fn from_additive(
        &mut self,
        holders: &[usize],
        shape: &Shape,
        mine: Option<&Tensor<u64>>,
    ) -> Result<Tensor<M61>> {
        self.scope("summands", |p| convert::from_additive(p, holders, shape, mine))
    }
    /// Opens a value although some parties tell wrong shares and others none. With `told` parties that tell theirs, `spare = told - t - 1`, and
    /// at most `liars <= spare` of them wrong ones, what a recipient gets is right, or it gets an error. Wrong shares of up to
    /// `min(liars, spare / 2, spare - liars)` parties are corrected and the parties named; of more, they may be. More than `liars` may make a value
    /// up. Recipients each judge by what they were told. One round, `8 len` bytes from every party to every recipient.
    /// Spec 15.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `liars > n - t - 1`; [`Error::Net`] if too few tell their shares, [`Error::Cheating`] if wrong ones cannot be
    /// corrected: a recipient then has no value, but what it was told.
    pub fn open_robustly(&mut self, x: &Tensor<M61>, to: Recipients, liars: usize) -> Result<Option<Robust>> {
        self.party.not_in_a_lane("open")?;
        self.settle()?;
        self.scope("open", |p| input::open_robustly(p, x, to, liars))
    }

    /// Each of the first `t + 1` parties deals a vector of numbers that it makes from its weight: weighted shares add up to the secret. Spec 2.
    fn deal_numbers(&mut self, len: usize, mine: impl FnOnce(M61) -> Vec<u64>) -> Result<Vec<Vec<u64>>> {
        let code = self.numbers.clone();
        let (dealers, weight) = of_first(&code, self.threshold + 1, self.party.me());
        deal(&mut self.party, &code, &dealers, len, Together::Apart, || mine(weight))
    }
    /// The same of bits, as planes.
    fn deal_bits(
        &mut self,
        len: usize,
        width: usize,
        mine: impl FnOnce(M61) -> Vec<u64>,
    ) -> Result<Vec<PolynomialBits>> {
        let (dealers, weight) = of_first(&self.numbers, self.threshold + 1, self.party.me());
        let code = self.bits.clone();
        let words = width * plane_words(len);
        // Bits are the coefficient of 1; the others are zero.
        let padded = || {
            let mut planes = mine(weight);
            planes.resize(code.field.parts() * words, 0);
            planes
        };
        let dealt = deal(&mut self.party, &code, &dealers, words, Together::Apart, padded)?;
        Ok(dealt.into_iter().map(|words| PolynomialBits::new(code.field, len, width, words)).collect())
    }
    /// Shares of degree `2 t`, given by `mine`, become shares of degree `t` of the same numbers. Spec 4.2.
    fn reduce_numbers(&mut self, len: usize, mine: impl FnOnce() -> Vec<u64>) -> Result<Vec<u64>> {
        let code = self.numbers.clone();
        let (dealers, weight) = of_first(&code, 2 * self.threshold + 1, self.party.me());
        let weighted = || {
            let mut products = mine();
            mersenne::scale_assign(&mut products, weight);
            products
        };
        Ok(deal(&mut self.party, &code, &dealers, len, Together::Added, weighted)?.remove(0))
    }
    /// The same of elements of the binary field, `len` words in each part.
    fn reduce_bits(&mut self, len: usize, mine: impl FnOnce() -> Vec<u64>) -> Result<Vec<u64>> {
        let code = self.bits.clone();
        let (dealers, weight) = of_first(&code, 2 * self.threshold + 1, self.party.me());
        let weighted = || {
            let products = mine();
            let mut scaled = vec![0; products.len()];
            code.field.add_scaled(&mut scaled, weight, &products);
            scaled
        };
        Ok(deal(&mut self.party, &code, &dealers, len, Together::Added, weighted)?.remove(0))
    }
}

/// The first so many parties, and the weight of one in their sum; zero if it is none of them.
fn of_first<F: Field>(code: &Code<F>, count: usize, me: usize) -> (Vec<usize>, F::Scalar) {
    let all = code.recombination(count);
    let mine = all.iter().find(|(party, _)| *party == me).map_or(code.field.zero(), |(_, weight)| *weight);
    (all.into_iter().map(|(party, _)| party).collect(), mine)
}

impl Laned for Shamir {
    fn session(&mut self) -> &mut Party {
        &mut self.party
    }
    fn others(&mut self) -> &mut Vec<Self> {
        &mut self.lanes
    }
}

impl Protocol for Shamir {
    type R = M61;
    type A = Tensor<M61>;
    type B = PolynomialBits;

    fn config(&self) -> &Config {
        &self.config
    }
    fn owners(&self) -> std::ops::Range<usize> {
        0..self.party.n()
    }
    fn me(&self) -> usize {
        self.party.me()
    }
    fn scope<T>(&mut self, operation: &'static str, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
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
    fn input(&mut self, owner: usize, shape: &Shape, x: Option<&Tensor<M61>>) -> Result<Tensor<M61>> {
        self.scope("input", |p| input::input(p, owner, shape, x))
    }
    fn public(&mut self, x: &Tensor<M61>) -> Tensor<M61> {
        x.clone()
    }
    fn products(&mut self, jobs: &[Product<'_, Tensor<M61>>]) -> Result<Vec<Raw<Tensor<M61>>>> {
        let products = self.scope("product", |p| arithmetic::products(p, jobs))?;
        let shifts: Vec<u32> = jobs.iter().map(|job| job.rescale).collect();
        self.divided(products, &shifts)
    }
    fn rescale(&mut self, jobs: &[(&Tensor<M61>, u32)]) -> Result<Vec<Raw<Tensor<M61>>>> {
        let shifts: Vec<u32> = jobs.iter().map(|(_, shift)| *shift).collect();
        self.divided(jobs.iter().map(|(x, _)| (*x).clone()).collect(), &shifts)
    }
    fn signs(
        &mut self,
        xs: &[&Tensor<M61>],
        _: u32,
        lifts: Vec<Raw<Tensor<M61>>>,
    ) -> Result<(Vec<PolynomialBits>, Vec<Tensor<M61>>)> {
        let signs = self.scope("comparison", |p| boolean::signs(p, xs))?;
        Ok((signs, lifts.into_iter().map(|raw| raw.value).collect()))
    }
    fn a2b(&mut self, x: &Tensor<M61>, width: u32) -> Result<PolynomialBits> {
        self.scope("bits of", |p| convert::a2b(p, x, width))
    }
    fn and(&mut self, jobs: &[(&PolynomialBits, &PolynomialBits)]) -> Result<Vec<PolynomialBits>> {
        self.scope("and", |p| boolean::and(p, jobs))
    }
    fn not(&mut self, x: &PolynomialBits) -> PolynomialBits {
        let mut inverse = x.inverted();
        inverse.armed = x.armed.as_ref().map(|bit| Arc::new(Tensor::fill(bit.shape(), 1).sub(bit)));
        inverse
    }
    fn arm(&mut self, xs: &[&PolynomialBits]) -> Result<Vec<PolynomialBits>> {
        self.scope("select", |p| inject::arm(p, xs))
    }
    fn inject(&mut self, jobs: &[Inject<'_, Tensor<M61>, PolynomialBits>]) -> Result<Vec<Tensor<M61>>> {
        self.scope("select", |p| inject::inject(p, jobs))
    }
    fn refresh(&mut self, xs: &[&Tensor<M61>], origin: Origin) -> Result<Vec<Tensor<M61>>> {
        if origin != Origin::Same {
            let problem = "shares of another protocol; they go on under rep3 or rep4".into();
            return Err(Error::Parameter { operation: "refresh", problem });
        }
        self.scope("refresh", |p| arithmetic::refresh(p, xs))
    }
    fn open(&mut self, x: &Tensor<M61>, to: Recipients) -> Result<Option<Tensor<M61>>> {
        self.party.not_in_a_lane("open")?;
        self.settle()?;
        self.scope("open", |p| input::open(p, x, to))
    }
    fn harmonics(&mut self, _: &Tensor<M61>, _: &crate::ops::fourier::Series) -> Result<Raw<Tensor<M61>>> {
        Err(cost::no_harmonics())
    }
}

impl Shamir {
    /// Divides values by powers of two. Spec 5.
    fn divided(&mut self, values: Vec<Tensor<M61>>, shifts: &[u32]) -> Result<Vec<Raw<Tensor<M61>>>> {
        let (operation, exactly) = match self.config.mode {
            TruncMode::Fast => ("rescale", false),
            TruncMode::Exact => ("exact rounding", true),
        };
        let divided = self.scope(operation, |p| convert::divide(p, values, shifts, exactly))?;
        Ok(divided.into_iter().map(Raw::exact).collect())
    }
}
