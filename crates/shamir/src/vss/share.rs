//! Dealing a key, checking a share, giving the key back.

use super::Committee;
use super::pedersen::{Pair, Polynomials, evaluate, lagrange};
use super::wire::{Reader, Writer, flawed};
use crate::{Error, Result};
use curve25519_dalek::ristretto::RistrettoPoint;
use privity_prim::Secret;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use zeroize::{Zeroize, Zeroizing};

const SHARE: u8 = 1;

/// What everybody may know of a sharing: all its holders must have the same. `Debug` prints numbers and fingerprints.
#[derive(Clone, PartialEq, Eq)]
pub struct Sharing {
    pub(super) generation: u32,
    pub(super) committee: Committee,
    /// To the coefficients, the constant one first: `threshold` points.
    pub(super) commitments: Vec<RistrettoPoint>,
}

impl std::fmt::Debug for Sharing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Committee { threshold, holders }, generation) = (self.committee, self.generation);
        write!(f, "Sharing({threshold} of {holders}, generation {generation})")
    }
}

impl Sharing {
    /// How often the key's shares were renewed or handed over.
    pub fn generation(&self) -> u32 {
        self.generation
    }
    /// Who holds it.
    pub fn committee(&self) -> Committee {
        self.committee
    }
    /// The commitment to the key: the same in all its sharings.
    pub fn key_id(&self) -> [u8; 32] {
        self.commitments[0].compress().to_bytes()
    }
    /// Spec 2.3: equal for holders that have the same commitments. They compare it before they rely on their shares.
    pub fn fingerprint(&self) -> [u8; 32] {
        let encoded = self.write(Writer::new(0, self.length())).finish();
        blake3::derive_key("privity 2026-11 fingerprint of a verifiable sharing", &encoded)
    }
    /// Bytes before the commitments: generation, threshold, number of holders.
    const HEAD: usize = 4 + 2;
    pub(super) fn length(&self) -> usize {
        Sharing::HEAD + 32 * self.commitments.len()
    }
    pub(super) fn write(&self, writer: Writer) -> Writer {
        let Committee { threshold, holders } = self.committee;
        writer.bytes(&self.generation.to_le_bytes()).bytes(&[threshold, holders]).points(&self.commitments)
    }
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let generation = reader.number()?;
        let committee = reader.committee()?;
        Ok(Sharing { generation, committee, commitments: reader.points(committee.threshold())? })
    }
    /// The commitment to a member's share.
    pub(super) fn at(&self, member: u8) -> RistrettoPoint {
        evaluate(&self.commitments, member)
    }
    /// Spec 2.4: the key that the shared scalar stands for.
    fn key(&self, scalar: &Pair) -> Secret {
        let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 key from a shared scalar");
        hasher.update(scalar.value.as_bytes()).update(&self.key_id());
        let key = Secret::new(*hasher.finalize().as_bytes());
        hasher.zeroize();
        key
    }
}

/// One holder's share of a key, which fits the commitments it carries: there is no way to make another. Erased on drop.
#[derive(Clone)]
pub struct KeyShare {
    pub(super) sharing: Sharing,
    pub(super) holder: u8,
    pub(super) pair: Pair,
}

impl std::fmt::Debug for KeyShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyShare({} in {:?})", self.holder, self.sharing)
    }
}

impl KeyShare {
    /// What is public of it.
    pub fn sharing(&self) -> &Sharing {
        &self.sharing
    }
    /// Whose it is, from 1.
    pub fn holder(&self) -> usize {
        self.holder.into()
    }
    /// Bytes of an encoded share.
    pub fn encoded_len(committee: Committee) -> usize {
        super::wire::HEAD + Sharing::HEAD + 32 * committee.threshold() + 1 + 64
    }
    /// Spec 3.1. The holder keeps it secret.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let writer = self.sharing.write(Writer::new(SHARE, self.sharing.length() + 1 + 64));
        writer.bytes(&[self.holder]).pair(&self.pair)
    }
    /// Reads and checks a share.
    ///
    /// # Errors
    /// [`Error::Flawed`]: it is none, or does not fit its commitments.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (kind, mut reader) = Reader::new(bytes)?;
        if kind != SHARE {
            return flawed("is no share of a key, but a part of one");
        }
        let sharing = Sharing::read(&mut reader)?;
        let holder = reader.member(sharing.committee)?;
        KeyShare::checked(sharing, holder, reader.pair()?)
    }
    /// Spec 2.2.
    pub(super) fn checked(sharing: Sharing, holder: u8, pair: Pair) -> Result<Self> {
        if pair.commit() != sharing.at(holder) {
            return flawed("does not fit its commitments");
        }
        Ok(KeyShare { sharing, holder, pair })
    }
}

/// Spec 2.1: a fresh key, and a share for each holder.
///
/// # Errors
/// No randomness.
pub fn deal(committee: Committee) -> Result<(Secret, Vec<KeyShare>)> {
    let secret = Pair::random()?;
    let polynomials = Polynomials::random(secret.clone(), committee.degree())?;
    let sharing = Sharing { generation: 0, committee, commitments: polynomials.commitments() };
    let share = |holder| KeyShare { sharing: sharing.clone(), holder, pair: polynomials.at(holder) };
    Ok((sharing.key(&secret), committee.members().map(share).collect()))
}

/// A key that was given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combined {
    /// The key.
    pub key: Secret,
    /// What it was taken from.
    pub sharing: Sharing,
    /// Shares that were not used although enough others were: index among the inputs, and why.
    pub ignored: Vec<(usize, &'static str)>,
}

/// Spec 2.5: the key of enough encoded shares. Each is checked first. Of two sharings of one key the later one is taken.
///
/// # Errors
/// [`Error::TooFew`] naming what is wrong with which input; [`Error::Ambiguous`].
pub fn combine(inputs: &[&[u8]]) -> Result<Combined> {
    let (mut groups, mut ignored) = (BTreeMap::<(u32, [u8; 32]), BTreeMap<u8, (usize, KeyShare)>>::new(), Vec::new());
    for (index, bytes) in inputs.iter().enumerate() {
        match KeyShare::decode(bytes) {
            Err(Error::Flawed { flaw }) => ignored.push((index, flaw)),
            Err(error) => return Err(error),
            Ok(share) => {
                let group = groups.entry((share.sharing.generation, share.sharing.fingerprint())).or_default();
                match group.entry(share.holder) {
                    Entry::Occupied(_) => ignored.push((index, "was given twice")),
                    Entry::Vacant(place) => drop(place.insert((index, share))),
                }
            }
        }
    }
    let sharing_of =
        |group: &BTreeMap<u8, (usize, KeyShare)>| group.first_key_value().map(|(_, (_, share))| share.sharing.clone());
    // Later generations last.
    let enough: Vec<((u32, [u8; 32]), Sharing)> = groups
        .iter()
        .filter_map(|(name, group)| {
            Some((*name, sharing_of(group)?)).filter(|(_, s)| group.len() >= s.committee.threshold())
        })
        .collect();
    let Some((name, sharing)) = enough.last() else {
        return Err(too_few(&groups, ignored));
    };
    let rival = |(other, s): &((u32, [u8; 32]), Sharing)| {
        s.key_id() != sharing.key_id() || (other.0 == name.0 && other != name)
    };
    if enough.iter().any(rival) {
        return Err(Error::Ambiguous { splittings: enough.len() });
    }
    let chosen = groups.remove(name).unwrap_or_default();
    let strangers = groups.values().flat_map(|group| group.values());
    ignored.extend(strangers.map(|(index, _)| (*index, "is of another sharing, or of another generation of this one")));
    ignored.sort_unstable();
    let used: Vec<&KeyShare> = chosen.values().take(sharing.committee.threshold()).map(|(_, share)| share).collect();
    let places: Vec<u8> = used.iter().map(|share| share.holder).collect();
    let mut secret = Pair::zero();
    for (factor, share) in lagrange(&places).iter().zip(&used) {
        secret.add_scaled(factor, &share.pair);
    }
    Ok(Combined { key: sharing.key(&secret), sharing: sharing.clone(), ignored })
}

fn too_few(
    groups: &BTreeMap<(u32, [u8; 32]), BTreeMap<u8, (usize, KeyShare)>>,
    mut ignored: Vec<(usize, &'static str)>,
) -> Error {
    ignored.sort_unstable();
    let best = groups.values().max_by_key(|group| group.len());
    let mut reasons: Vec<String> = ignored.iter().map(|(i, why)| format!("number {} {why}", i + 1)).collect();
    if groups.len() > 1 {
        reasons.push(format!("the sound ones are of {} sharings or generations", groups.len()));
    }
    if reasons.is_empty() {
        reasons.push("find more of them".into());
    }
    let needed =
        best.and_then(|group| group.values().next()).map_or(0, |(_, share)| share.sharing.committee.threshold());
    Error::TooFew { good: best.map_or(0, BTreeMap::len), needed, reasons: reasons.join("; ") }
}
