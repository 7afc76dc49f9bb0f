//! Replicated sharings over the field of 2^61 - 1 elements, what becomes of them under Shamir's sharing, and random sharings that take no exchange.
//! Spec 22 and 23.

use super::deal::{batches, draw};
use super::{Code, Field, Prime};
use crate::cost::Clock;
use crate::party::{Draw, Holders};
use crate::protocol::check_input;
use crate::{Error, Party, Result};
use privity_ring::{M61, Ring, Shape, Tensor, mersenne};
use std::ops::Range;

/// Most sets that replicated sharings have summands for.
pub const MOST_SETS: usize = 10_000;
/// In the label of a summand that is drawn with its dealer.
const DEALT: u8 = 32;

/// All sets of `n - t` parties, each of which has a key.
pub(crate) struct Sets {
    all: Vec<Holders>,
    threshold: usize,
    n: usize,
}

impl Sets {
    /// Of `n` parties of which `threshold` may be corrupt.
    pub fn new(n: usize, threshold: usize) -> Result<Sets> {
        let count = choose(n, threshold);
        if threshold == 0 || 2 * threshold >= n || n > crate::shamir::MOST || count > MOST_SETS {
            let problem = format!(
                "{count} sets for {threshold} corrupt parties of {n}; at least 1 and less than half of at most {} may be corrupt, and there may be {MOST_SETS} sets",
                crate::shamir::MOST
            );
            return Err(Error::Parameter { operation: "replicated", problem });
        }
        Ok(Sets { all: Holders::sets(n, n - threshold), threshold, n })
    }
    /// Those of which a party is a member.
    fn of(&self, party: usize) -> impl Iterator<Item = Holders> {
        self.all.iter().copied().filter(move |set| set.contains(party))
    }
    /// Makes the keys of those that have none from the start. Spec 23.1.
    pub fn connect(&self, party: &mut Party) -> Result<()> {
        party.share_keys(&Holders::without_keys(self.n, self.n - self.threshold))
    }
    /// The declared messages of that.
    pub fn price(&self, clock: &mut Clock) {
        let mut bytes = vec![vec![0; self.n]; self.n];
        for (i, set) in Holders::without_keys(self.n, self.n - self.threshold).into_iter().enumerate() {
            let (dealer, others) = set.dealt_by(i);
            others.into_iter().for_each(|other| bytes[dealer][other] += 16);
        }
        let pairs = (0..self.n).flat_map(|from| (0..self.n).map(move |to| (from, to)));
        let sent = pairs.filter(|(from, to)| bytes[*from][*to] > 0);
        let posted: Vec<_> = sent.map(|(from, to)| clock.send(from, to, bytes[from][to])).collect();
        posted.into_iter().for_each(|arrival| clock.recv(arrival));
    }
    /// The value at a party's point of the polynomial of degree `t` that is one at zero and vanishes at all who are not of the set. Spec 22.4.
    fn weight<F: Field>(&self, field: F, set: Holders, party: usize) -> F::Scalar {
        let at = field.point(party);
        (0..self.n).filter(|other| !set.contains(*other)).map(|other| field.point(other)).fold(
            field.one(),
            |product, x| {
                let under = field.inverse(field.sub(field.zero(), x));
                field.mul(product, field.mul(field.sub(at, x), under))
            },
        )
    }
    /// Shares of random elements, `len` words in each part: of degree `t`, and of degree `2 t` of the same ones. Nothing is sent. Spec 23.2 to 23.4.
    pub fn doubles<F: Field>(&self, party: &mut Party, field: F, len: usize) -> [Vec<u64>; 2] {
        let narrow = self.random(party, field, len);
        let mut wide = self.zeros(party, field, len);
        field.add_assign(&mut wide, &narrow);
        [narrow, wide]
    }
    /// Spec 23.2.
    pub fn random<F: Field>(&self, party: &mut Party, field: F, len: usize) -> Vec<u64> {
        self.drawn(party, field, len, 1, |_| field.one())
    }
    /// Spec 23.3: sharings of zero of degree `2 t`.
    pub fn zeros<F: Field>(&self, party: &mut Party, field: F, len: usize) -> Vec<u64> {
        let at = field.point(party.me());
        let power = |label: usize| (0..=label).fold(field.one(), |power, _| field.mul(power, at));
        self.drawn(party, field, len, self.threshold, power)
    }
    /// Sums of what the sets draw under so many labels, each times the set's and the label's weights.
    fn drawn<F: Field>(
        &self,
        party: &mut Party,
        field: F,
        len: usize,
        labels: usize,
        weight: impl Fn(usize) -> F::Scalar,
    ) -> Vec<u64> {
        let (me, step, parts) = (party.me(), party.next_step(), field.parts());
        let factors: Vec<F::Scalar> = (0..labels).map(weight).collect();
        let sets: Vec<(Holders, F::Scalar)> = self.of(me).map(|set| (set, self.weight(field, set, me))).collect();
        let mut out = vec![0; parts * len];
        for (tile, range) in batches(len, parts).flatten() {
            let mut words = vec![0; parts * range.len()];
            let mut sum = vec![0; parts * range.len()];
            for (set, own) in &sets {
                for (label, factor) in factors.iter().enumerate() {
                    draw(party, field, *set, Draw { step, label: label as u8, tile }, &mut words);
                    field.add_scaled(&mut sum, field.mul(*own, *factor), &words);
                }
            }
            super::deal::add(field, &mut out, &sum, len, &range);
        }
        out
    }
}

/// `n` over `k`, or more than there may be.
fn choose(n: usize, k: usize) -> usize {
    (0..k.min(n)).fold(1, |product: usize, i| product.saturating_mul(n - i) / (i + 1))
}

/// One party's summands of shared numbers: one for each set of `n - t` parties of which it is a member. `Debug` prints the shape only.
#[derive(Clone)]
pub struct ReplicatedShare {
    shape: Shape,
    /// Set after set.
    summands: Vec<u64>,
}

impl std::fmt::Debug for ReplicatedShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReplicatedShare{:?}", self.shape.extents())
    }
}

impl ReplicatedShare {
    /// Shape of the numbers.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }
    /// `self + o`. Local.
    pub fn add(&self, o: &Self) -> Self {
        self.plus(o, M61::from_u64(1))
    }
    /// `self - o`. Local.
    pub fn sub(&self, o: &Self) -> Self {
        self.plus(o, M61::from_u64(1).negated())
    }
    /// `self` times a public integer. Local.
    pub fn scale(&self, by: u64) -> Self {
        let mut result = self.clone();
        mersenne::scale_assign(&mut result.summands, M61::from_u64(by));
        result
    }
    fn plus(&self, o: &Self, factor: M61) -> Self {
        assert!(self.shape == o.shape, "replicated operands must have one shape");
        let mut result = self.clone();
        mersenne::add_scaled(&mut result.summands, factor, &o.summands);
        result
    }
}

/// Replicated sharing among all parties of a session: a number is the sum of one summand for each set of `n - t` parties, which all of the set hold.
pub struct Replication {
    sets: Sets,
    own: Vec<Holders>,
    /// What a summand counts in this party's share by Shamir.
    weights: Vec<M61>,
    code: Code<Prime>,
    me: usize,
}

impl Replication {
    /// Any `threshold` parties learn nothing. Keys are made for the sets that have none: where they are pairs, and of four parties triples, all have; else
    /// one round, 16 bytes to each member but the maker of a key. Spec 23.1.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `1 <= threshold`, `2 threshold < n <= 31` and there are at most [`MOST_SETS`] sets; the network; no randomness.
    pub fn connect(party: &mut Party, threshold: usize) -> Result<Replication> {
        let (n, me) = (party.n(), party.me());
        let sets = Sets::new(n, threshold)?;
        sets.connect(party)?;
        let own: Vec<Holders> = sets.of(me).collect();
        let weights = own.iter().map(|set| sets.weight(Prime, *set, me)).collect();
        let all: Vec<usize> = (0..n).collect();
        Ok(Replication { weights, own, code: Code::new(Prime, &all, threshold), sets, me })
    }

    /// The owner shares numbers: it draws all summands of sets that it is in with these but one, which it tells. One round, `n - t - 1` elements for each
    /// number. Spec 22.2.
    ///
    /// # Errors
    /// [`Error::Input`] if not exactly the owner gives it, in this shape; the network.
    pub fn input(
        &self,
        party: &mut Party,
        owner: usize,
        shape: &Shape,
        x: Option<&Tensor<M61>>,
    ) -> Result<ReplicatedShare> {
        let given = check_input(owner, self.me, shape, x)?;
        let mine = given.map(|x| mersenne::words(x.data()).to_vec()).unwrap_or_default();
        self.deal(party, &[owner], shape, &mine)
    }
    /// Public numbers as shared ones. Local.
    pub fn public(&self, x: &Tensor<M61>) -> ReplicatedShare {
        let mut summands = vec![0; self.own.len() * x.len()];
        if let Some(at) = self.own.iter().position(|set| *set == self.sets.all[0]) {
            summands[at * x.len()..][..x.len()].copy_from_slice(mersenne::words(x.data()));
        }
        ReplicatedShare { shape: x.shape().clone(), summands }
    }
    /// Shares by Shamir of the same numbers, of degree `t`. Local. Spec 22.4.
    pub fn to_shamir(&self, x: &ReplicatedShare) -> Tensor<M61> {
        let len = x.shape.len();
        let mut share = vec![0; len];
        // No numbers, no summands: a length of zero has no chunks.
        for (weight, summand) in self.weights.iter().zip(x.summands.chunks_exact(len.max(1))) {
            mersenne::add_scaled(&mut share, *weight, summand);
        }
        Tensor::new(x.shape.clone(), mersenne::elements(share))
    }
    /// Replicated sharings of numbers shared by Shamir, with degree `t`. One round; each of the first `t + 1` parties sends `n - t - 1` elements for each
    /// number. Spec 22.5.
    ///
    /// # Errors
    /// The network.
    pub fn from_shamir(&self, party: &mut Party, x: &Tensor<M61>) -> Result<ReplicatedShare> {
        let holders = self.code.recombination(self.sets.threshold + 1);
        let dealers: Vec<usize> = holders.iter().map(|(dealer, _)| *dealer).collect();
        let mut mine = Vec::new();
        if let Some((_, weight)) = holders.iter().find(|(dealer, _)| *dealer == self.me) {
            mine = mersenne::words(x.data()).to_vec();
            mersenne::scale_assign(&mut mine, *weight);
        }
        self.deal(party, &dealers, x.shape(), &mine)
    }
    /// Sharings by Shamir of numbers that nobody knows, of degree `t`. Nothing is sent. Spec 23.2.
    pub fn random(&self, party: &mut Party, shape: &Shape) -> Tensor<M61> {
        let words = self.sets.random(party, Prime, shape.len());
        Tensor::new(shape.clone(), mersenne::elements(words))
    }
    /// Sharings by Shamir of zeros, of degree `2 t`. Nothing is sent. Spec 23.3.
    pub fn zeros(&self, party: &mut Party, shape: &Shape) -> Tensor<M61> {
        let words = self.sets.zeros(party, Prime, shape.len());
        Tensor::new(shape.clone(), mersenne::elements(words))
    }
    /// Sharings by Shamir of numbers that nobody knows, of degree `t` and of degree `2 t`. Nothing is sent. Spec 23.4.
    pub fn doubles(&self, party: &mut Party, shape: &Shape) -> [Tensor<M61>; 2] {
        let doubles = self.sets.doubles(party, Prime, shape.len());
        doubles.map(|words| Tensor::new(shape.clone(), mersenne::elements(words)))
    }

    /// The members of the set whose summand a dealer tells: it and the `n - t - 1` parties after it.
    fn told(n: usize, threshold: usize, dealer: usize) -> Vec<usize> {
        (0..n - threshold).map(|k| (dealer + k) % n).collect()
    }
    /// Spec 22.2, the sum of what some parties deal.
    fn deal(&self, party: &mut Party, dealers: &[usize], shape: &Shape, mine: &[u64]) -> Result<ReplicatedShare> {
        let (step, len) = (party.next_step(), shape.len());
        let mut summands = vec![0; self.own.len() * len];
        for batch in batches(len, 1) {
            for (tile, range) in batch.iter().filter(|_| dealers.contains(&self.me)) {
                let mut rest = mine[range.clone()].to_vec();
                let told = self.draw_summands(party, (self.me, step, *tile), &mut summands, (len, range), |drawn| {
                    mersenne::add_scaled(&mut rest, M61::from_u64(1).negated(), drawn);
                });
                let members = Self::told(self.sets.n, self.sets.threshold, self.me);
                members[1..].iter().try_for_each(|other| party.send(*other, step, *tile, &rest))?;
                let told = told.expect("the dealer is of the set that it tells");
                mersenne::add_assign(&mut summands[told * len..][range.clone()], &rest);
            }
            for (tile, range) in &batch {
                for dealer in dealers.iter().filter(|dealer| **dealer != self.me) {
                    let told = self.draw_summands(party, (*dealer, step, *tile), &mut summands, (len, range), |_| {});
                    if let Some(told) = told {
                        let mut rest = vec![0; range.len()];
                        party.recv(*dealer, step, *tile, &mut rest)?;
                        Prime.received(&mut rest);
                        mersenne::add_assign(&mut summands[told * len..][range.clone()], &rest);
                    }
                }
            }
        }
        Ok(ReplicatedShare { shape: shape.clone(), summands })
    }
    /// Adds what is drawn of a dealer's summands to this party's; which of its sets is told, if it is of that.
    fn draw_summands(
        &self,
        party: &Party,
        (dealer, step, tile): (usize, u64, usize),
        summands: &mut [u64],
        (len, range): (usize, &Range<usize>),
        mut each: impl FnMut(&[u64]),
    ) -> Option<usize> {
        let told = Holders::of(&Self::told(self.sets.n, self.sets.threshold, dealer));
        let mut drawn = vec![0; range.len()];
        for (i, set) in self.own.iter().enumerate().filter(|(_, set)| set.contains(dealer) && **set != told) {
            draw(party, Prime, *set, Draw { step, label: DEALT + dealer as u8, tile }, &mut drawn);
            mersenne::add_assign(&mut summands[i * len..][range.clone()], &drawn);
            each(&drawn);
        }
        self.own.iter().position(|set| *set == told)
    }

    /// The declared messages of [`Replication::connect`].
    ///
    /// # Errors
    /// [`Error::Parameter`] as there.
    pub fn price_of_keys(clock: &mut Clock, n: usize, threshold: usize) -> Result<()> {
        Sets::new(n, threshold)?.price(clock);
        Ok(())
    }
    /// The declared messages of an input of `len` numbers, or with the first `t + 1` parties as dealers of [`Replication::from_shamir`].
    pub fn price(clock: &mut Clock, (n, threshold): (usize, usize), dealers: &[usize], len: usize) {
        for batch in batches(len, 1) {
            let mut posted = Vec::new();
            for (_, range) in batch {
                for dealer in dealers {
                    let others = Self::told(n, threshold, *dealer).into_iter().skip(1);
                    posted.extend(others.map(|other| clock.send(*dealer, other, 8 * range.len() as u64)));
                }
            }
            posted.into_iter().for_each(|arrival| clock.recv(arrival));
        }
    }
}
