//! Any number of parties of which fewer than half are corrupt: Shamir's sharing of numbers over the field of 2^61 - 1 elements and of bits
//! over a small binary field. Spec: docs/protocols/shamir.md.
//!
//! A party's share is the value at its point of a random polynomial of degree `t`, whose value at zero is the secret. Every exchange is of one
//! kind: some parties deal vectors of theirs among all (`polynomial::deal`).

pub(crate) mod arithmetic;
mod boolean;
pub(crate) mod convert;
pub mod cost;
mod inject;
pub(crate) mod input;
pub(crate) mod verify;

use crate::lanes::{self, Laned};
use crate::polynomial::{
    ACKNOWLEDGED, Binary, Code, Exchange, Fault, Field, Prime, Sets, Survivors, Together, batches, deal,
};
pub use crate::polynomial::{
    Committee, Handover, MOST_SETS, PackedShare, Packing, PolynomialBits, ReplicatedShare, Replication, Route, Routing,
};
use crate::protocol::Origin;
use crate::share::plane_words;
use crate::{Config, Error, Inject, Party, Product, Protocol, Raw, Recipients, Result, TruncMode};
pub use input::Robust;
use privity_net::NetError;
use privity_ring::{M61, Shape, Tensor, mersenne};
use std::sync::Arc;

/// Most parties: a bit's field has 31 points other than zero.
pub const MOST: usize = 31;

/// Magnitudes below `2^LIMIT` can be divided: what is divided is made positive, and its top bit must stay clear.
pub const LIMIT: u32 = 59;

/// One party's side of the protocol.
pub struct Shamir {
    pub(crate) party: Party,
    config: Config,
    pub(crate) threshold: usize,
    numbers: Arc<Code<Prime>>,
    bits: Arc<Code<Binary>>,
    lanes: Vec<Shamir>,
    /// Who is left, if it goes on without parties that are lost.
    survivors: Option<Survivors>,
    /// The view of the last dealing: alike at all parties, also where it was agreed later that it counts.
    dealt_in: usize,
    /// What is to be verified before the next opening, if it is.
    pub(crate) debt: Option<verify::Debt>,
    /// What decides how degrees are reduced.
    routing: Routing,
    /// The sets of parties that draw masks, if they have keys.
    sets: Option<Arc<Sets>>,
}

impl Shamir {
    /// A protocol instance over an established session: any `threshold` parties together learn nothing.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `1 <= threshold` and `2 threshold < n <= 31`, and for formats that no argument covers.
    pub fn new(party: Party, config: Config, threshold: usize) -> Result<Shamir> {
        crate::masked::check_field_config(&config)?;
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
        Ok(Shamir {
            party,
            config,
            threshold,
            numbers,
            bits,
            lanes: Vec::new(),
            survivors: None,
            dealt_in: 0,
            debt: None,
            routing: Routing::default(),
            sets: None,
        })
    }
    /// The same, and when parties are lost the others go on, as long as `2 threshold + 1` and more than half of all are
    /// left. Every exchange takes another round, in which
    /// all say that all has arrived, and openings are told by all. Parties may stop or be cut off at any moment, but follow the protocol. Spec 11.
    ///
    /// # Errors
    /// As [`Shamir::new`]; [`Error::Parameter`] if no party can be spared.
    pub fn surviving(party: Party, config: Config, threshold: usize) -> Result<Shamir> {
        let mut p = Self::new(party, config, threshold)?;
        if p.party.n() == 2 * threshold + 1 {
            let problem = format!("none of {} parties can be spared at threshold {threshold}; lower it", p.party.n());
            return Err(Error::Parameter { operation: "shamir", problem });
        }
        p.party.link().tolerate(true);
        p.survivors = Some(Survivors::new(&p.party));
        Ok(p)
    }
    /// Secure with abort against `t` of exactly `2 t + 1` parties that deviate as they like: products are verified before anything is opened.
    /// Inputs, linear maps, products without division and openings only; [`crate::shamir_active`] has all else. Parties may abort apart from each
    /// other. Spec 19.
    ///
    /// # Errors
    /// As [`Shamir::new`]; [`Error::Parameter`] for more parties: what one of them deals wrongly could then lie on no polynomial, and what
    /// comes of it depend on secrets.
    pub fn verified(party: Party, config: Config, threshold: usize) -> Result<Shamir> {
        let mut p = Self::new(party, config, threshold)?;
        if p.party.n() != 2 * threshold + 1 {
            let problem = format!("verification is of exactly {} parties at threshold {threshold}", 2 * threshold + 1);
            return Err(Error::Parameter { operation: "shamir", problem });
        }
        p.debt = Some(verify::Debt::default());
        Ok(p)
    }
    fn verifiable(&self, operation: &'static str, possible: bool) -> Result<()> {
        if self.debt.is_none() || possible { Ok(()) } else { Err(verify::unverified(operation)) }
    }
    /// What neither goes on without lost parties nor is verified.
    fn plain(&self, operation: &'static str) -> Result<()> {
        match self.survivors.is_none() && self.debt.is_none() {
            true => Ok(()),
            false => {
                let problem =
                    "is there only where parties are neither spared nor verify each other: use Shamir::new".into();
                Err(Error::Parameter { operation, problem })
            }
        }
    }
    /// Parties that were lost on the way.
    pub fn lost(&self) -> Vec<usize> {
        let lost = |party: &usize| self.survivors.as_ref().is_some_and(|survivors| survivors.lost(*party));
        (0..self.party.n()).filter(lost).collect()
    }
    /// The session: statistics, control messages.
    pub fn party(&mut self) -> &mut Party {
        &mut self.party
    }
    /// Gives this instance lanes: more sessions of the same parties, as many at each.
    ///
    /// # Errors
    /// As [`Shamir::new`]; [`Error::Parameter`] where products are verified: [`crate::shamir_active`] has lanes.
    pub fn with_lanes(mut self, sessions: Vec<Party>) -> Result<Shamir> {
        if self.debt.is_some() && !sessions.is_empty() {
            return Err(verify::unverified("a lane"));
        }
        let start = if self.survivors.is_some() { Shamir::surviving } else { Shamir::new };
        let lane = |party| {
            let mut lane = start(party, self.config, self.threshold)?;
            lane.routing = self.routing;
            if self.sets.is_some() {
                lane.connect_sets()?;
            }
            Ok(lane)
        };
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
        self.plain("packing")?;
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
        self.plain("summands")?;
        self.scope("summands", |p| convert::from_additive(p, holders, shape, mine))
    }
    /// Summands modulo 2^64 of numbers of magnitudes below 2^59, at the first `t + 1` parties; nothing at the others. Any `t` of them are uniform. What is
    /// told in between is a count of at most `t`, masked by 56 bits: an element's is within `t / 2^56` of uniform in statistical distance. Out of range
    /// something else comes out. 3 rounds for `t = 1`, `4 (n - 2) + 1` elements and a product an element; of more, see
    /// [`ShamirCosts::to_additive`]. Spec 21.
    ///
    /// [`ShamirCosts::to_additive`]: cost::ShamirCosts::to_additive
    ///
    /// # Errors
    /// [`Error::Parameter`] where parties go on without others or verify each other; the network; no randomness.
    pub fn to_additive(&mut self, x: &Tensor<M61>) -> Result<Option<Tensor<u64>>> {
        self.plain("summands")?;
        self.scope("summands", |p| convert::to_additive(p, x))
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
        self.plain("a robust opening")?;
        self.party.not_in_a_lane("open")?;
        self.scope("open", |p| input::open_robustly(p, x, to, liars))
    }

    /// Each of the first `t + 1` parties deals a vector of numbers that it makes from its weight: weighted shares add up to the secret. Spec 2.
    pub(crate) fn deal_numbers(&mut self, len: usize, mine: impl Fn(M61) -> Vec<u64>) -> Result<Vec<Vec<u64>>> {
        let numbers = |p: &Self| p.numbers.clone();
        self.dealt(numbers, Dealers::First(self.threshold + 1), (len, Together::Apart), mine)
    }
    /// Numbers and bits dealt by the same parties, from the same weights, even if some are lost in between. Spec 11.4.
    fn deal_both(
        &mut self,
        len: usize,
        numbers: impl Fn(M61) -> Vec<u64>,
        width: usize,
        bits: impl Fn(M61) -> Vec<u64>,
    ) -> Result<(Vec<Vec<u64>>, Vec<PolynomialBits>)> {
        loop {
            let numbers = self.deal_numbers(len, &numbers)?;
            let dealt_in = self.dealt_in;
            let bits = self.deal_bits(len, width, &bits)?;
            if self.dealt_in == dealt_in {
                return Ok((numbers, bits));
            }
        }
    }
    /// The same of bits, as planes. The weight is that of numbers.
    fn deal_bits(&mut self, len: usize, width: usize, mine: impl Fn(M61) -> Vec<u64>) -> Result<Vec<PolynomialBits>> {
        let (words, field) = (width * plane_words(len), self.bits.field);
        // Bits are the coefficient of 1; the others are zero.
        let padded = |p: &Self| {
            let mut planes = mine(of_first(&p.numbers, p.threshold + 1, p.party.me()));
            planes.resize(field.parts() * words, 0);
            planes
        };
        let bits = |p: &Self| p.bits.clone();
        let dealt = self.dealt_by(bits, Dealers::First(self.threshold + 1), (words, Together::Apart), padded)?;
        Ok(dealt.into_iter().map(|words| PolynomialBits::new(field, len, width, words)).collect())
    }
    /// Shares of degree `2 t`, given by `mine`, become shares of degree `t` of the same numbers. Spec 4.2.
    pub(crate) fn reduce_numbers(&mut self, len: usize, mine: impl Fn() -> Vec<u64>) -> Result<Vec<u64>> {
        if let Some(reduced) = self.by_kings(&self.numbers.clone(), len, &mine)? {
            return Ok(reduced);
        }
        let weighted = |weight| {
            let mut products = mine();
            mersenne::scale_assign(&mut products, weight);
            products
        };
        let numbers = |p: &Self| p.numbers.clone();
        let first = Dealers::First(2 * self.threshold + 1);
        Ok(self.dealt(numbers, first, (len, Together::Added), weighted)?.remove(0))
    }
    /// The same of elements of the binary field, `len` words in each part.
    fn reduce_bits(&mut self, len: usize, mine: impl Fn() -> Vec<u64>) -> Result<Vec<u64>> {
        if let Some(reduced) = self.by_kings(&self.bits.clone(), len, &mine)? {
            return Ok(reduced);
        }
        let field = self.bits.field;
        let weighted = |weight| {
            let products = mine();
            let mut scaled = vec![0; products.len()];
            field.add_scaled(&mut scaled, weight, &products);
            scaled
        };
        let bits = |p: &Self| p.bits.clone();
        let first = Dealers::First(2 * self.threshold + 1);
        Ok(self.dealt(bits, first, (len, Together::Added), weighted)?.remove(0))
    }
    /// Some parties deal vectors that they make from their weight among them.
    fn dealt<F: Field>(
        &mut self,
        code: impl Fn(&Self) -> Arc<Code<F>>,
        dealers: Dealers,
        what: (usize, Together),
        mine: impl Fn(F::Scalar) -> Vec<u64>,
    ) -> Result<Vec<Vec<u64>>> {
        let weighted = |p: &Self| {
            let count = if let Dealers::First(count) = dealers { count } else { 1 };
            mine(of_first(&code(p), count, p.party.me()))
        };
        self.dealt_by(&code, dealers, what, weighted)
    }
    /// Spec 2, and 11 where it goes on without parties that are lost.
    fn dealt_by<F: Field>(
        &mut self,
        code: impl Fn(&Self) -> Arc<Code<F>>,
        dealers: Dealers,
        (len, together): (usize, Together),
        mine: impl Fn(&Self) -> Vec<u64>,
    ) -> Result<Vec<Vec<u64>>> {
        let step = self.party.next_step();
        loop {
            self.enough()?;
            let code = code(self);
            if let Some(survivors) = &mut self.survivors {
                survivors.begin(step);
                if code.parties().iter().any(|party| survivors.lost(*party)) {
                    // Missed in an opening, where that is no matter: it must be agreed on before anything is dealt without that party.
                    self.agree(Fault::Lost)?;
                    continue;
                }
                fits(len, code.field.parts())?;
            }
            let dealing = self.dealing(&code, dealers)?;
            let vector = if dealing.contains(&self.party.me()) { mine(self) } else { Vec::new() };
            let mut survivors = self.survivors.as_mut();
            if let Some(survivors) = &mut survivors {
                self.dealt_in = survivors.view();
            }
            let exchange = Exchange { party: &mut self.party, survivors: survivors.as_deref_mut() };
            let dealt = deal(exchange, step, &code, (&dealing, len, together), || vector);
            let (arrived, fault) = match (dealt, survivors) {
                (Ok(out), None) => return Ok(out),
                (Ok(out), Some(survivors)) => match survivors.acknowledge(&mut self.party, step) {
                    Ok(()) => return Ok(out),
                    Err(fault) => (Some(out), fault),
                },
                (Err(fault), _) => (None, fault),
            };
            let counts = self.agree(fault)?;
            if let Some(out) = arrived.filter(|_| counts) {
                return Ok(out);
            }
        }
    }
    /// After a loss: those that are left agree on who they are; whether the operation in progress counts. Spec 11.
    fn agree(&mut self, fault: Fault) -> Result<bool> {
        let Some(survivors) = &mut self.survivors else {
            return match fault {
                Fault::Failed(error) => Err(error),
                _ => unreachable!("without survivors a loss is a failure"),
            };
        };
        let counts = survivors.agree(&mut self.party, fault)?;
        let left = survivors.left();
        if left.len() <= self.threshold {
            // Nothing can be dealt any more, but what was told before can be opened.
            return Ok(counts);
        }
        self.numbers = Arc::new(Code::new(Prime, &left, self.threshold));
        self.bits = Arc::new(Code::new(self.bits.field, &left, self.threshold));
        Ok(counts)
    }
    /// Whether enough are left to multiply, and more than half of all: two sides of a network that is cut must not both go on.
    fn enough(&self) -> Result<()> {
        let Some(survivors) = &self.survivors else { return Ok(()) };
        match self.lost().first() {
            Some(lost) if survivors.left().len() < (2 * self.threshold + 1).max(self.party.n() / 2 + 1) => {
                Err(NetError::Closed { peer: *lost }.into())
            }
            _ => Ok(()),
        }
    }
    /// Those who deal: they must be left.
    fn dealing<F: Field>(&self, code: &Code<F>, dealers: Dealers) -> Result<Vec<usize>> {
        let lost = || self.lost().first().copied().unwrap_or_default();
        match dealers {
            Dealers::Only(owner) if code.parties().contains(&owner) => Ok(vec![owner]),
            Dealers::Only(peer) => Err(NetError::Closed { peer }.into()),
            Dealers::First(count) => {
                let first = code.parties().get(..count).map(<[usize]>::to_vec);
                first.ok_or_else(|| NetError::Closed { peer: lost() }.into())
            }
        }
    }
}

/// Whether the tiles of a dealing leave room for what marks views.
fn fits(len: usize, parts: usize) -> Result<()> {
    match batches(len, parts).map(|batch| batch.len()).sum::<usize>() < ACKNOWLEDGED {
        true => Ok(()),
        false => {
            let problem = format!("{len} words at once are more than parties that go on without others can number");
            Err(Error::Parameter { operation: "shamir", problem })
        }
    }
}

/// Who deals.
#[derive(Clone, Copy)]
enum Dealers {
    /// One party.
    Only(usize),
    /// The first so many of those that are left.
    First(usize),
}

/// The weight of a party in the sum of the first so many; zero if it is none of them.
fn of_first<F: Field>(code: &Code<F>, count: usize, me: usize) -> F::Scalar {
    let mine = code.recombination(count).into_iter().find(|(party, _)| *party == me);
    mine.map_or(code.field.zero(), |(_, weight)| weight)
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
        self.verifiable("a product that is divided", jobs.iter().all(|job| job.rescale == 0))?;
        let products = self.scope("product", |p| arithmetic::products(p, jobs))?;
        if let Some(debt) = &mut self.debt {
            debt.owe(jobs, &products);
        }
        let shifts: Vec<u32> = jobs.iter().map(|job| job.rescale).collect();
        self.divided(products, &shifts)
    }
    fn rescale(&mut self, jobs: &[(&Tensor<M61>, u32)]) -> Result<Vec<Raw<Tensor<M61>>>> {
        self.verifiable("a division", jobs.iter().all(|(_, shift)| *shift == 0))?;
        let shifts: Vec<u32> = jobs.iter().map(|(_, shift)| *shift).collect();
        self.divided(jobs.iter().map(|(x, _)| (*x).clone()).collect(), &shifts)
    }
    fn signs(
        &mut self,
        xs: &[&Tensor<M61>],
        _: u32,
        lifts: Vec<Raw<Tensor<M61>>>,
    ) -> Result<(Vec<PolynomialBits>, Vec<Tensor<M61>>)> {
        self.verifiable("a comparison", xs.is_empty())?;
        let signs = self.scope("comparison", |p| boolean::signs(p, xs))?;
        Ok((signs, lifts.into_iter().map(|raw| raw.value).collect()))
    }
    fn a2b(&mut self, x: &Tensor<M61>, width: u32) -> Result<PolynomialBits> {
        self.verifiable("bits of a value", false)?;
        self.scope("bits of", |p| convert::a2b(p, x, width))
    }
    fn and(&mut self, jobs: &[(&PolynomialBits, &PolynomialBits)]) -> Result<Vec<PolynomialBits>> {
        self.verifiable("and", false)?;
        self.scope("and", |p| boolean::and(p, jobs))
    }
    fn not(&mut self, x: &PolynomialBits) -> PolynomialBits {
        let mut inverse = x.inverted();
        inverse.armed = x.armed.as_ref().map(|bit| Arc::new(Tensor::fill(bit.shape(), 1).sub(bit)));
        inverse
    }
    fn arm(&mut self, xs: &[&PolynomialBits]) -> Result<Vec<PolynomialBits>> {
        self.verifiable("a selection", false)?;
        self.scope("select", |p| inject::arm(p, xs))
    }
    fn inject(&mut self, jobs: &[Inject<'_, Tensor<M61>, PolynomialBits>]) -> Result<Vec<Tensor<M61>>> {
        self.verifiable("a selection", false)?;
        self.scope("select", |p| inject::inject(p, jobs))
    }
    fn refresh(&mut self, xs: &[&Tensor<M61>], origin: Origin) -> Result<Vec<Tensor<M61>>> {
        self.verifiable("a refresh", false)?;
        if origin != Origin::Same {
            let problem = "shares of another protocol; they go on under rep3 or rep4".into();
            return Err(Error::Parameter { operation: "refresh", problem });
        }
        self.scope("refresh", |p| arithmetic::refresh(p, xs))
    }
    fn verifies_late(&self) -> bool {
        self.debt.is_some()
    }
    fn settle(&mut self) -> Result<()> {
        self.scope("verification", verify::settle)
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
