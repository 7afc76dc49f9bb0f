//! Dealing: some parties share vectors among all, in one round. docs/protocols/shamir.md, section 2.

use super::{Code, Field};
use crate::Result;
use crate::masked::{BATCH, TILE};
use crate::party::{Draw, Holders, Party};
use std::ops::Range;

/// What is done with what several parties deal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Together {
    /// Each is a sharing of its own.
    Apart,
    /// Only their sum is wanted.
    Added,
}

/// Tiles of vectors of `len` words in each of `parts`, in batches whose messages are posted before the first is awaited.
pub(crate) fn batches(len: usize, parts: usize) -> impl Iterator<Item = Vec<(usize, Range<usize>)>> {
    let (tile, batch) = (TILE / parts, BATCH / TILE);
    let tiles = len.div_ceil(tile);
    let of =
        move |from: usize| (from..tiles.min(from + batch)).map(|t| (t, t * tile..len.min((t + 1) * tile))).collect();
    (0..tiles).step_by(batch).map(of)
}

/// Each dealer deals a vector of `len` words in each part of each secret, this party's given by `mine`, secret after secret. One round; `n - t - 1`
/// vectors for each dealer. A party that gets no share is given zeros.
pub(crate) fn deal<F: Field>(
    party: &mut Party,
    code: &Code<F>,
    dealers: &[usize],
    len: usize,
    together: Together,
    mine: impl FnOnce() -> Vec<u64>,
) -> Result<Vec<Vec<u64>>> {
    let (me, parts) = (party.me(), code.field.parts());
    let kept = if together == Together::Added { 1 } else { dealers.len() };
    let mut out = vec![vec![0; parts * len]; kept];
    let my_slot = dealers.iter().position(|dealer| *dealer == me);
    let mine = my_slot.map(|_| mine()).unwrap_or_default();
    let mut at = Dealer { step: party.next_step(), party, code, me };
    for batch in batches(len, parts) {
        if let Some(slot) = my_slot {
            for (tile, range) in &batch {
                let own = at.share_out(*tile, &part(&mine, code.secrets * parts, len, range))?;
                add(code.field, &mut out[slot % kept], &own, len, range);
            }
        }
        // An outsider only deals.
        for (tile, range) in batch.iter().filter(|_| code.parties().contains(&me)) {
            let mut share = vec![0; parts * range.len()];
            for (slot, dealer) in dealers.iter().enumerate().filter(|(_, dealer)| **dealer != me) {
                at.share_of(*dealer, *tile, &mut share)?;
                add(code.field, &mut out[slot % kept], &share, len, range);
            }
        }
    }
    Ok(out)
}

/// The words of a range, part after part.
fn part(words: &[u64], parts: usize, len: usize, range: &Range<usize>) -> Vec<u64> {
    (0..parts).flat_map(|c| &words[c * len + range.start..c * len + range.end]).copied().collect()
}

/// `out[range] += share`, part after part.
fn add<F: Field>(field: F, out: &mut [u64], share: &[u64], len: usize, range: &Range<usize>) {
    for (c, share) in share.chunks_exact(range.len()).enumerate() {
        field.add_assign(&mut out[c * len + range.start..c * len + range.end], share);
    }
}

struct Dealer<'a, F: Field> {
    party: &'a mut Party,
    code: &'a Code<F>,
    me: usize,
    step: u64,
}

impl<F: Field> Dealer<'_, F> {
    /// Sends what others cannot draw; gives this party's own share, zeros if it has none.
    fn share_out(&mut self, tile: usize, secret: &[u64]) -> Result<Vec<u64>> {
        let dealing = self.code.dealing(self.me);
        let size = secret.len() / self.code.secrets;
        let mut drawn = vec![vec![0; size]; dealing.drawn.len()];
        for (share, holder) in drawn.iter_mut().zip(&dealing.drawn) {
            self.draw(self.me, *holder, tile, share);
        }
        let of = |weights: &[F::Scalar]| {
            let mut share = vec![0; size];
            let known = secret.chunks_exact(size).chain(drawn.iter().map(Vec::as_slice));
            weights
                .iter()
                .zip(known)
                .for_each(|(weight, known)| self.code.field.add_scaled(&mut share, *weight, known));
            share
        };
        for (holder, weights) in &dealing.told {
            self.party.send(*holder, self.step, tile, &of(weights))?;
        }
        Ok(of(&dealing.own))
    }

    /// This party's share of what another deals.
    fn share_of(&mut self, dealer: usize, tile: usize, share: &mut [u64]) -> Result<()> {
        if self.code.dealing(dealer).drawn.contains(&self.me) {
            self.draw(dealer, self.me, tile, share);
            return Ok(());
        }
        self.party.recv(dealer, self.step, tile, share)?;
        self.code.field.received(share);
        Ok(())
    }

    /// The share that a dealer and its holder draw. Words that are no element are drawn again from a stream of their own.
    fn draw(&self, dealer: usize, holder: usize, tile: usize, out: &mut [u64]) {
        let holders = Holders::of(&[dealer, holder]);
        let label = dealer as u8 + 1;
        self.party.mask(holders, Draw { step: self.step, label, tile }, out);
        let mut further = None;
        let draw_further = || {
            let mut words = vec![0; AGAIN];
            self.party.mask(holders, Draw { step: self.step, label: label | AGAIN_LABEL, tile }, &mut words);
            words
        };
        self.code.field.uniform(out, || {
            let words = further.get_or_insert_with(draw_further);
            words.pop().expect("not even two words of a tile are drawn again, but once in 2^100 tiles")
        });
    }
}

/// Words that are drawn again, one in 2^61, come from a stream of their own, of so many words a tile.
const AGAIN_LABEL: u8 = 128;
const AGAIN: usize = 64;
