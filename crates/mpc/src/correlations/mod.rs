//! Correlated randomness for additive sharings, and the one exchange that uses it: masked values that all parties tell each other.
//! Specification: docs/protocols/beaver.md.

mod carries;
mod dealer;
mod number;
mod source;
mod transfers;

pub(crate) use carries::{Ands, Extent, Gates, Levels, Wires, carries, carry_out, sum};
pub(crate) use dealer::{Dealer, share, uniform};
pub use number::{Group, Number};
pub(crate) use number::{Packed, tensor};
pub(crate) use source::{BitTriples, Factors, Source};
pub(crate) use transfers::{Transfers, Work, carried, sum_levels, works};

use crate::Result;
use crate::party::{Draw, Holders, Party};
use privity_ring::simd::vectorise;
use std::ops::Range;

/// Bytes of a frame at most.
pub(crate) const FRAME: usize = 1 << 20;
/// Words that a party tells each other at once: those of others are awaited before more are told.
pub(crate) const TOLD: usize = 1 << 19;
/// Streams that redraw what was no element lie here.
const REDRAWN: u8 = 128;

/// A session and who computes in it: all parties from `first` on. Before them there may be a dealer.
pub(crate) struct Session {
    pub party: Party,
    pub first: usize,
}

impl Session {
    /// Whoever computes.
    pub fn online(&self) -> Range<usize> {
        self.first..self.party.n()
    }
    /// All others that compute.
    pub fn peers(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.party.me();
        self.online().filter(move |peer| *peer != me)
    }
    /// Whether this party computes.
    pub fn computes(&self) -> bool {
        self.party.me() >= self.first
    }
    /// Whether this party adds what is public.
    pub fn leads(&self) -> bool {
        self.party.me() == self.first
    }
    /// Draws elements of a stream that this party has in common with another.
    pub fn draw<G: Group>(&self, other: usize, step: u64, label: u8, out: &mut [u64]) {
        let holders = Holders::of(&[self.party.me(), other]);
        self.party.mask(holders, Draw { step, label, tile: 0 }, out);
        let mut tile = 0;
        let more = || {
            let mut word = [0];
            self.party.mask(holders, Draw { step, label: label | REDRAWN, tile }, &mut word);
            tile += 1;
            word[0]
        };
        G::uniform(out, more);
    }
    /// Spec 1.4: a share of zero, drawn with each of the others that compute.
    pub fn zeros<G: Group>(&self, step: u64, len: usize) -> Vec<u64> {
        let (mut zeros, mut drawn) = (vec![0; len], vec![0; len]);
        if self.computes() {
            for peer in self.peers() {
                self.draw::<G>(peer, step, 0, &mut drawn);
                let join = if peer > self.party.me() { G::add_assign } else { G::sub_assign };
                join(&mut zeros, &drawn);
            }
        }
        zeros
    }
    pub fn post(&mut self, to: usize, step: u64, first: usize, bytes: &[u8]) -> Result<()> {
        let mut parts = bytes.chunks(FRAME).enumerate();
        parts.try_for_each(|(i, part)| self.party.send_bytes(to, step, first + i, part))
    }
    pub fn receive(&mut self, from: usize, step: u64, first: usize, bytes: &mut [u8]) -> Result<()> {
        let mut parts = bytes.chunks_mut(FRAME).enumerate();
        parts.try_for_each(|(i, part)| self.party.recv_bytes(from, step, first + i, part))
    }
    /// Spec 2.1: all that compute tell each other their shares, which are masked; what they add up to, all know. One round. A dealer knows nothing.
    pub fn tell<G: Group>(&mut self, shares: &[u64]) -> Result<Vec<u64>> {
        let step = self.party.next_step();
        let mut sum = shares.to_vec();
        if !self.computes() {
            return Ok(sum);
        }
        let mut told = vec![0; shares.len().min(TOLD)];
        for (i, part) in sum.chunks_mut(TOLD).enumerate() {
            let first = i * (8 * TOLD / FRAME);
            for peer in self.peers() {
                self.post(peer, step, first, bytemuck::cast_slice(part))?;
            }
            let told = &mut told[..part.len()];
            for peer in self.peers() {
                self.receive(peer, step, first, bytemuck::cast_slice_mut(told))?;
                G::received(told);
                G::add_assign(part, told);
            }
        }
        Ok(sum)
    }
}

/// Spec 4.2: `x & y`, by a triple for each word.
pub(crate) fn and_words(session: &mut Session, triples: BitTriples, x: &[u64], y: &[u64]) -> Result<Vec<u64>> {
    let BitTriples { a, b, c: mut out } = triples;
    let n = x.len();
    let mut masked = [x, y].concat();
    Packed::add_assign(&mut masked[..n], &a);
    Packed::add_assign(&mut masked[n..], &b);
    let told = session.tell::<Packed>(&masked)?;
    let (d, e) = told.split_at(n);
    let lead = if session.leads() { u64::MAX } else { 0 };
    vectorise(|| {
        for (i, out) in out.iter_mut().enumerate() {
            *out ^= d[i] & (b[i] ^ e[i] & lead) ^ a[i] & e[i];
        }
    });
    Ok(out)
}

/// Bits of packed words as numbers.
pub(crate) fn spread(bits: &[u64]) -> Vec<u64> {
    bits.iter().flat_map(|word| (0..64).map(move |i| word >> i & 1)).collect()
}

/// Spec 5.5: shared bits, whole words, as shared numbers: `b = c + d - 2 c d`, `c = b ^ d` told, `d` shared both ways.
pub(crate) fn to_numbers<R: Number>(
    session: &mut Session,
    source: &mut (impl Source<R> + ?Sized),
    bits: &[u64],
) -> Result<Vec<u64>> {
    let dabits = source.dabits(session, 64 * bits.len())?;
    let mut masked = bits.to_vec();
    Packed::add_assign(&mut masked, &dabits.bits);
    let told = spread(&session.tell::<Packed>(&masked)?);
    // (1 - 2 c) d, and c at one party.
    let mut taken = dabits.numbers.clone();
    let lead = u64::from(session.leads());
    vectorise(|| taken.iter_mut().zip(&told).for_each(|(d, c)| *d &= c.wrapping_neg()));
    let mut numbers = dabits.numbers;
    let mut twice = taken.clone();
    R::add_assign(&mut twice, &taken);
    R::sub_assign(&mut numbers, &twice);
    let public: Vec<u64> = told.iter().map(|c| c & lead).collect();
    R::add_assign(&mut numbers, &public);
    Ok(numbers)
}
