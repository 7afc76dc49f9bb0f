//! Reading and writing: a versioned head, small numbers, points and scalars. Every length follows from numbers that were checked.

use super::Committee;
use super::pedersen::Pair;
use crate::{Error, Result};
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;

const MAGIC: &[u8; 14] = b"privity vss 1\n";

/// Bytes of the head: what this is, and of which kind.
pub(super) const HEAD: usize = MAGIC.len() + 1;

pub(super) fn flawed<T>(flaw: &'static str) -> Result<T> {
    Err(Error::Flawed { flaw })
}

/// What is still to be read.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads the head; what it says this is.
    pub fn new(bytes: &'a [u8]) -> Result<(u8, Self)> {
        match bytes.strip_prefix(MAGIC).and_then(|rest| rest.split_first()) {
            Some((kind, rest)) => Ok((*kind, Reader(rest))),
            None => flawed("is no share of a key, nor a part of one, of this version"),
        }
    }
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        match self.0.split_first_chunk() {
            Some((taken, rest)) => {
                self.0 = rest;
                Ok(taken)
            }
            None => flawed("is cut short"),
        }
    }
    pub fn byte(&mut self) -> Result<u8> {
        self.take::<1>().map(|[byte]| *byte)
    }
    pub fn number(&mut self) -> Result<u32> {
        self.take().map(|bytes| u32::from_le_bytes(*bytes))
    }
    pub fn committee(&mut self) -> Result<Committee> {
        let [threshold, holders] = *self.take()?;
        let committee = Committee::new(threshold.into(), holders.into());
        committee.or_else(|_| flawed("names a threshold or a number of holders that is not allowed"))
    }
    /// A member's number.
    pub fn member(&mut self, of: Committee) -> Result<u8> {
        match self.byte()? {
            number if of.members().contains(&number) => Ok(number),
            _ => flawed("names a holder that there is not"),
        }
    }
    /// At most 31 points, so there is nothing to bound before the allocation.
    pub fn points(&mut self, count: usize) -> Result<Vec<RistrettoPoint>> {
        let mut points = Vec::with_capacity(count);
        for _ in 0..count {
            match CompressedRistretto(*self.take()?).decompress() {
                Some(point) => points.push(point),
                None => return flawed("has a commitment that is no point"),
            }
        }
        Ok(points)
    }
    fn scalar(&mut self) -> Result<Scalar> {
        let scalar: Option<Scalar> = Scalar::from_canonical_bytes(*self.take()?).into();
        scalar.map_or_else(|| flawed("has a number that is not reduced"), Ok)
    }
    /// The last: nothing follows.
    pub fn pair(mut self) -> Result<Pair> {
        let pair = Pair { value: self.scalar()?, blind: self.scalar()? };
        if self.0.is_empty() { Ok(pair) } else { flawed("is longer than it should be") }
    }
}

/// What was written; erased by whoever asked for it. The room is exact, so that no copy stays behind in memory given back.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub fn new(kind: u8, length: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEAD + length);
        bytes.extend_from_slice(MAGIC);
        bytes.push(kind);
        Writer(bytes)
    }
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
    pub fn points(mut self, points: &[RistrettoPoint]) -> Self {
        points.iter().for_each(|point| self.0.extend_from_slice(point.compress().as_bytes()));
        self
    }
    /// What is public only.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
    /// The last.
    pub fn pair(mut self, pair: &Pair) -> zeroize::Zeroizing<Vec<u8>> {
        self.0.extend_from_slice(pair.value.as_bytes());
        self.0.extend_from_slice(pair.blind.as_bytes());
        self.0.into()
    }
}
