//! Shamir's sharing among exactly `2 t + 1` parties, `t` of which may deviate as they like: secure with abort, for all operations.
//! Spec: docs/protocols/shamir-active.md.
//!
//! Inputs, products, openings and the verification are those of [`Shamir::verified`]. Bits are numbers, so that one batch of checks covers all.

mod arithmetic;
mod boolean;
mod convert;
pub mod cost;
mod inject;

use crate::lanes::{self, Laned};
use crate::polynomial::PrimeBits;
use crate::protocol::Origin;
use crate::shamir::{Shamir, cost as shamir_cost, verify};
use crate::{BitShare, Config, Error, Inject, Party, Product, Protocol, Raw, Recipients, Result, TruncMode};
use privity_ring::{M61, Shape, Tensor};

/// Elements that are kept for a verification; with more, it takes place at once.
const MOST_HELD: usize = 1 << 23;

/// One party's side of the protocol.
pub struct ShamirActive {
    base: Shamir,
    lanes: Vec<ShamirActive>,
}

impl ShamirActive {
    /// A protocol instance over an established session, secure with abort against `threshold` parties that deviate as they like.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless there are exactly `2 threshold + 1` parties, at least 3 and at most 31, and for formats that no argument covers.
    pub fn new(party: Party, config: Config, threshold: usize) -> Result<ShamirActive> {
        Ok(ShamirActive { base: Shamir::verified(party, config, threshold)?, lanes: Vec::new() })
    }
    /// The session: statistics, control messages.
    pub fn party(&mut self) -> &mut Party {
        self.base.party()
    }
    /// Gives this instance lanes: more sessions of the same parties, as many at each.
    ///
    /// # Errors
    /// As [`ShamirActive::new`]; it has lanes, which may owe something.
    pub fn with_lanes(mut self, sessions: Vec<Party>) -> Result<ShamirActive> {
        if !self.lanes.is_empty() {
            let problem = "it has lanes already, and what they owe must not be lost".into();
            return Err(Error::Parameter { operation: "lanes", problem });
        }
        let (config, threshold) = (*self.base.config(), self.base.threshold);
        self.lanes =
            sessions.into_iter().map(|party| ShamirActive::new(party, config, threshold)).collect::<Result<_>>()?;
        Ok(self)
    }
    /// Ends the protocol and gives the sessions back, lanes last.
    pub fn into_parties(self) -> Vec<Party> {
        let lanes = self.lanes.into_iter().flat_map(ShamirActive::into_parties);
        self.base.into_parties().into_iter().chain(lanes).collect()
    }

    /// What is to be verified before the next opening.
    fn debt(&mut self) -> &mut verify::Debt {
        self.base.debt.as_mut().expect("verified")
    }
    /// Spec 6.3: verifies at once if much is owed.
    fn pay_if_much(&mut self) -> Result<()> {
        match self.debt().held() >= MOST_HELD {
            true => self.verify(),
            false => Ok(()),
        }
    }
    fn verify(&mut self) -> Result<()> {
        self.scope("verification", |p| verify::settle(&mut p.base))
    }
    /// Divides values by powers of two.
    fn divided(&mut self, values: Vec<Tensor<M61>>, shifts: &[u32]) -> Result<Vec<Raw<Tensor<M61>>>> {
        let (operation, exactly) = match self.config().mode {
            TruncMode::Fast => ("rescale", false),
            TruncMode::Exact => ("exact rounding", true),
        };
        let divided = self.scope(operation, |p| convert::divide(p, values, shifts, exactly))?;
        Ok(divided.into_iter().map(Raw::exact).collect())
    }
}

impl Laned for ShamirActive {
    fn session(&mut self) -> &mut Party {
        self.base.party()
    }
    fn others(&mut self) -> &mut Vec<Self> {
        &mut self.lanes
    }
}

impl Protocol for ShamirActive {
    type R = M61;
    type A = Tensor<M61>;
    type B = PrimeBits;

    fn config(&self) -> &Config {
        self.base.config()
    }
    fn owners(&self) -> std::ops::Range<usize> {
        self.base.owners()
    }
    fn me(&self) -> usize {
        self.base.me()
    }
    fn scope<T>(&mut self, operation: &'static str, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.base.party.enter(operation);
        let result = f(self);
        self.base.party.leave();
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
        self.base.input(owner, shape, x)
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
        width: u32,
        lifts: Vec<Raw<Tensor<M61>>>,
    ) -> Result<(Vec<PrimeBits>, Vec<Tensor<M61>>)> {
        let signs = self.scope("comparison", |p| boolean::signs(p, xs, width))?;
        Ok((signs, lifts.into_iter().map(|raw| raw.value).collect()))
    }
    fn a2b(&mut self, x: &Tensor<M61>, width: u32) -> Result<PrimeBits> {
        self.scope("bits of", |p| convert::a2b(p, x, width))
    }
    fn and(&mut self, jobs: &[(&PrimeBits, &PrimeBits)]) -> Result<Vec<PrimeBits>> {
        for (x, y) in jobs {
            assert_eq!((x.len(), x.width()), (y.len(), y.width()), "AND operands must have one length and width");
        }
        self.scope("and", |p| boolean::and(p, jobs))
    }
    fn not(&mut self, x: &PrimeBits) -> PrimeBits {
        x.inverted()
    }
    fn arm(&mut self, xs: &[&PrimeBits]) -> Result<Vec<PrimeBits>> {
        assert!(xs.iter().all(|x| x.width() == 1), "one-bit sharings are armed");
        let bits = self.scope("select", |p| boolean::resolved(p, xs))?;
        Ok(bits.into_iter().map(PrimeBits::new).collect())
    }
    fn inject(&mut self, jobs: &[Inject<'_, Tensor<M61>, PrimeBits>]) -> Result<Vec<Tensor<M61>>> {
        self.scope("select", |p| inject::inject(p, jobs))
    }
    fn refresh(&mut self, xs: &[&Tensor<M61>], origin: Origin) -> Result<Vec<Tensor<M61>>> {
        if origin != Origin::Same {
            let problem = "shares of another protocol; they go on under rep3 or rep4".into();
            return Err(Error::Parameter { operation: "refresh", problem });
        }
        self.scope("refresh", |p| arithmetic::refresh(p, xs))
    }
    fn verifies_late(&self) -> bool {
        true
    }
    fn settle(&mut self) -> Result<()> {
        // Spec 6.2: every lane has a debt; all are paid, side by side, before anything is opened in the first.
        let all = vec![(); 1 + self.lanes.len()];
        lanes::run(self, all, |p, ()| p.verify()).map(drop)
    }
    fn open(&mut self, x: &Tensor<M61>, to: Recipients) -> Result<Option<Tensor<M61>>> {
        self.base.party.not_in_a_lane("open")?;
        self.settle()?;
        self.base.open(x, to)
    }
    fn harmonics(&mut self, _: &Tensor<M61>, _: &crate::ops::fourier::Series) -> Result<Raw<Tensor<M61>>> {
        Err(shamir_cost::no_harmonics())
    }
}
