//! New shares of the same key: renewed by its holders, or handed over to others. Each holder deals parts; each new share is a sum of parts.

use super::Committee;
use super::pedersen::{Pair, Polynomials, evaluate, lagrange};
use super::share::{KeyShare, Sharing};
use super::wire::{Reader, Writer, flawed};
use crate::{Error, Result};
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use zeroize::Zeroizing;

/// What parts are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The same holders get new shares, with which the old ones are useless: each deals a sharing of zero.
    Refresh,
    /// Other holders, or as many as will be, get shares: each old one deals a sharing of its own share.
    Reshare,
}

impl Purpose {
    fn kind(self) -> u8 {
        match self {
            Purpose::Refresh => 2,
            Purpose::Reshare => 3,
        }
    }
    fn of(kind: u8) -> Option<Self> {
        [Purpose::Refresh, Purpose::Reshare].into_iter().find(|purpose| purpose.kind() == kind)
    }
}

/// What one holder deals to one receiver; it fits its commitments. Erased on drop.
#[derive(Clone)]
pub struct Part {
    purpose: Purpose,
    /// The sharing that the dealer holds a share of.
    before: Sharing,
    dealer: u8,
    after: Committee,
    /// To all coefficients but the constant one: that commitment follows from `before`.
    commitments: Vec<RistrettoPoint>,
    receiver: u8,
    pair: Pair,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Part({:?} from {} to {} of {:?})", self.purpose, self.dealer, self.receiver, self.before)
    }
}

impl Part {
    /// What it is for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }
    /// The sharing that it renews or hands over.
    pub fn before(&self) -> &Sharing {
        &self.before
    }
    /// Who dealt it, as it says.
    pub fn dealer(&self) -> usize {
        self.dealer.into()
    }
    /// Who will hold the key.
    pub fn after(&self) -> Committee {
        self.after
    }
    /// For whom it is.
    pub fn receiver(&self) -> usize {
        self.receiver.into()
    }
    /// Spec 3.2. It goes to its receiver over a channel that is private and says from whom it comes.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let length = self.before.length() + 1 + 2 + 32 * self.commitments.len() + 1 + 64;
        let writer = self.before.write(Writer::new(self.purpose.kind(), length));
        let writer = writer.bytes(&[self.dealer, self.after.threshold, self.after.holders]).points(&self.commitments);
        writer.bytes(&[self.receiver]).pair(&self.pair)
    }
    /// Reads and checks a part.
    ///
    /// # Errors
    /// [`Error::Flawed`]: it is none, or does not fit its commitments.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (kind, mut reader) = Reader::new(bytes)?;
        let Some(purpose) = Purpose::of(kind) else { return flawed("is no part of a share") };
        let before = Sharing::read(&mut reader)?;
        let dealer = reader.member(before.committee)?;
        let after = reader.committee()?;
        if purpose == Purpose::Refresh && after != before.committee {
            return flawed("renews a share, and names other holders");
        }
        let commitments = reader.points(after.degree())?;
        let receiver = reader.member(after)?;
        let part = Part { purpose, before, dealer, after, commitments, receiver, pair: reader.pair()? };
        // Spec 5.2, 6.2: the dealer has no say in the constant term.
        match part.pair.commit() == evaluate(&part.all_commitments(), receiver) {
            true => Ok(part),
            false => flawed("does not fit its commitments"),
        }
    }
    /// The constant term of a renewal is zero without a blind, that of a handing over is the dealer's share.
    fn all_commitments(&self) -> Vec<RistrettoPoint> {
        let constant = match self.purpose {
            Purpose::Refresh => RistrettoPoint::identity(),
            Purpose::Reshare => self.before.at(self.dealer),
        };
        std::iter::once(constant).chain(self.commitments.iter().copied()).collect()
    }
}

impl KeyShare {
    /// Spec 5.1: what this holder deals to all holders, itself included, for new shares of the same key.
    ///
    /// # Errors
    /// No randomness.
    pub fn deal_refresh(&self) -> Result<Vec<Part>> {
        self.deal(Purpose::Refresh, Pair::zero(), self.sharing.committee)
    }
    /// Spec 6.1: what this holder deals to the members of another committee, for shares of the same key.
    ///
    /// # Errors
    /// No randomness.
    pub fn deal_reshare(&self, after: Committee) -> Result<Vec<Part>> {
        self.deal(Purpose::Reshare, self.pair.clone(), after)
    }
    fn deal(&self, purpose: Purpose, constant: Pair, after: Committee) -> Result<Vec<Part>> {
        let polynomials = Polynomials::random(constant, after.degree())?;
        let commitments = polynomials.commitments().split_off(1);
        let part = |receiver| Part {
            purpose,
            before: self.sharing.clone(),
            dealer: self.holder,
            after,
            commitments: commitments.clone(),
            receiver,
            pair: polynomials.at(receiver),
        };
        Ok(after.members().map(part).collect())
    }
    /// Spec 5.3: this holder's new share, from parts of at least `threshold` holders. All holders must take those of the same: their new
    /// shares have one fingerprint then, which they compare before they destroy the old ones.
    ///
    /// # Errors
    /// [`Error::Parts`] naming what is wrong with which input; the old share is as good as before.
    pub fn refresh(&self, inputs: &[&[u8]]) -> Result<KeyShare> {
        let parts = agreed(inputs, |part| match part {
            _ if part.purpose != Purpose::Refresh => Some("hands a share over and does not renew it"),
            _ if part.before != self.sharing => Some("renews another sharing, or another generation of this one"),
            _ if part.receiver != self.holder => Some("is for another holder"),
            _ => None,
        })?;
        let (mut commitments, mut pair) = (self.sharing.commitments.clone(), self.pair.clone());
        for part in &parts {
            add(&mut commitments, &Scalar::ONE, &part.all_commitments());
            pair.add_scaled(&Scalar::ONE, &part.pair);
        }
        next(&self.sharing, self.sharing.committee, self.holder, commitments, pair)
    }
}

/// Spec 6.3: a new holder's share, from parts of at least `threshold` old holders. All new holders must take those of the same.
///
/// # Errors
/// [`Error::Parts`] naming what is wrong with which input.
pub fn accept(inputs: &[&[u8]]) -> Result<KeyShare> {
    let first = inputs.iter().find_map(|bytes| Part::decode(bytes).ok());
    let parts = agreed(inputs, |part| match &first {
        _ if part.purpose != Purpose::Reshare => Some("renews a share: give the share, too"),
        Some(first) if part.before != first.before => Some("is of another sharing than the first one"),
        Some(first) if part.after != first.after => Some("names other new holders than the first one"),
        Some(first) if part.receiver != first.receiver => Some("is for another holder than the first one"),
        _ => None,
    })?;
    let dealers: Vec<u8> = parts.iter().map(|part| part.dealer).collect();
    let Part { before, after, receiver, .. } = &parts[0];
    let (mut commitments, mut pair) = (vec![RistrettoPoint::identity(); after.threshold()], Pair::zero());
    for (factor, part) in lagrange(&dealers).iter().zip(&parts) {
        add(&mut commitments, factor, &part.all_commitments());
        pair.add_scaled(factor, &part.pair);
    }
    next(before, *after, *receiver, commitments, pair)
}

/// `sum = sum + by terms`, commitment by commitment: all is public.
fn add(sum: &mut [RistrettoPoint], by: &Scalar, terms: &[RistrettoPoint]) {
    sum.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term * by);
}

/// The share that the parts add up to. It fits, as they did.
fn next(
    before: &Sharing,
    committee: Committee,
    holder: u8,
    commitments: Vec<RistrettoPoint>,
    pair: Pair,
) -> Result<KeyShare> {
    let Some(generation) = before.generation.checked_add(1) else {
        return flawed("is of a generation that has no next one");
    };
    KeyShare::checked(Sharing { generation, committee, commitments }, holder, pair)
}

/// Parts of at least `threshold` dealers, all of them sound, none of them twice: at least one dealer is honest then, whose randomness nobody
/// else knows. A part that is wrong is not left out silently: the other holders would not know.
fn agreed(inputs: &[&[u8]], wrong: impl Fn(&Part) -> Option<&'static str>) -> Result<Vec<Part>> {
    let (mut parts, mut reasons) = (Vec::<Part>::new(), Vec::new());
    for (number, bytes) in (1..).zip(inputs) {
        match Part::decode(bytes) {
            Err(Error::Flawed { flaw }) => reasons.push(format!("number {number}{} {flaw}", said_dealer(bytes))),
            Err(error) => return Err(error),
            Ok(part) => {
                let twice =
                    parts.iter().any(|other| other.dealer == part.dealer).then_some("is of a dealer given before");
                match wrong(&part).or(twice) {
                    Some(flaw) => reasons.push(format!("number {number}, from holder {}, {flaw}", part.dealer)),
                    None => parts.push(part),
                }
            }
        }
    }
    let needed = parts.first().map_or(0, |part| part.before.committee.threshold());
    if reasons.is_empty() && parts.len() < needed.max(1) {
        reasons.push(format!("they are of {} holders, and {needed} at least are needed", parts.len()));
    }
    if reasons.is_empty() { Ok(parts) } else { Err(Error::Parts { reasons: reasons.join("; ") }) }
}

/// Whether bytes say that they are a part; [`Part::decode`] says whether they are.
pub fn is_part(bytes: &[u8]) -> bool {
    Reader::new(bytes).is_ok_and(|(kind, _)| Purpose::of(kind).is_some())
}

/// Whom a part that does not fit names as its dealer, if it can be read that far.
fn said_dealer(bytes: &[u8]) -> String {
    let dealer = || {
        let (_, mut reader) = Reader::new(bytes).ok().filter(|(kind, _)| Purpose::of(*kind).is_some())?;
        let before = Sharing::read(&mut reader).ok()?;
        reader.member(before.committee).ok()
    };
    dealer().map_or_else(String::new, |dealer| format!(", from holder {dealer},"))
}
