//! Dealing: some parties share vectors among all, in one round. docs/protocols/shamir.md, section 2.

use super::survive::{Fault, Survivors, VIEW_SHIFT};
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

/// The parties' links, and who is left of them where it goes on without some.
pub(crate) struct Exchange<'a> {
    pub party: &'a mut Party,
    pub survivors: Option<&'a mut Survivors>,
}

impl Exchange<'_> {
    /// What marks the tiles of the present view.
    fn view(&self) -> usize {
        self.survivors.as_ref().map_or(0, |survivors| survivors.view() << VIEW_SHIFT)
    }
    fn send(&mut self, to: usize, step: u64, tile: usize, words: &[u64]) -> Dealt<()> {
        match &mut self.survivors {
            None => Ok(self.party.send(to, step, tile, words)?),
            Some(survivors) => survivors.send(self.party, to, step, tile, words),
        }
    }
    fn recv(&mut self, from: usize, step: u64, tile: usize, words: &mut [u64]) -> Dealt<()> {
        match &mut self.survivors {
            None => Ok(self.party.recv(from, step, tile, words)?),
            Some(survivors) => survivors.recv(self.party, from, step, tile, words),
        }
    }
}

/// What an exchange gives, or why it did not come to its end.
pub(crate) type Dealt<T> = std::result::Result<T, Fault>;

/// Each dealer deals a vector of `len` words in each part of each secret, this party's given by `mine`, secret after secret. One round; `n - t - 1`
/// vectors for each dealer. A party that gets no share is given zeros.
pub(crate) fn deal<F: Field>(
    exchange: Exchange<'_>,
    step: u64,
    code: &Code<F>,
    (dealers, len, together): (&[usize], usize, Together),
    mine: impl FnOnce() -> Vec<u64>,
) -> Dealt<Vec<Vec<u64>>> {
    let (me, parts) = (exchange.party.me(), code.field.parts());
    let kept = if together == Together::Added { 1 } else { dealers.len() };
    let mut out = vec![vec![0; parts * len]; kept];
    let my_slot = dealers.iter().position(|dealer| *dealer == me);
    let mine = my_slot.map(|_| mine()).unwrap_or_default();
    let mut at = Dealer { step, view: exchange.view(), exchange, code, me };
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

/// The same in a session that ends if a party is lost.
pub(crate) fn deal_alone<F: Field>(
    party: &mut Party,
    code: &Code<F>,
    dealers: &[usize],
    len: usize,
    together: Together,
    mine: impl FnOnce() -> Vec<u64>,
) -> Result<Vec<Vec<u64>>> {
    let step = party.next_step();
    let exchange = Exchange { party, survivors: None };
    deal(exchange, step, code, (dealers, len, together), mine).map_err(|fault| match fault {
        Fault::Failed(error) => error,
        Fault::Lost | Fault::Called { .. } => unreachable!("without survivors a loss is a failure"),
    })
}

/// The words of a range, part after part.
pub(crate) fn part(words: &[u64], parts: usize, len: usize, range: &Range<usize>) -> Vec<u64> {
    (0..parts).flat_map(|c| &words[c * len + range.start..c * len + range.end]).copied().collect()
}

/// `out[range] += share`, part after part.
pub(crate) fn add<F: Field>(field: F, out: &mut [u64], share: &[u64], len: usize, range: &Range<usize>) {
    for (c, share) in share.chunks_exact(range.len()).enumerate() {
        field.add_assign(&mut out[c * len + range.start..c * len + range.end], share);
    }
}

struct Dealer<'a, F: Field> {
    exchange: Exchange<'a>,
    code: &'a Code<F>,
    me: usize,
    step: u64,
    view: usize,
}

impl<F: Field> Dealer<'_, F> {
    /// Sends what others cannot draw; gives this party's own share, zeros if it has none.
    fn share_out(&mut self, tile: usize, secret: &[u64]) -> Dealt<Vec<u64>> {
        let tile = self.view | tile;
        let dealing = self.code.dealing(self.me);
        let size = secret.len() / self.code.secrets;
        let mut drawn = vec![vec![0; size]; dealing.drawn.len()];
        for (share, holder) in drawn.iter_mut().zip(&dealing.drawn) {
            self.draw(self.me, *holder, tile, share);
        }
        let known: Vec<&[u64]> = secret.chunks_exact(size).chain(drawn.iter().map(Vec::as_slice)).collect();
        let mut shares = dealing.shares(self.code.field, &known);
        let own = if dealing.own.is_empty() { None } else { shares.pop() };
        for ((holder, _), share) in dealing.told.iter().zip(&shares) {
            self.exchange.send(*holder, self.step, tile, share)?;
        }
        Ok(own.unwrap_or_else(|| vec![0; size]))
    }

    /// This party's share of what another deals.
    fn share_of(&mut self, dealer: usize, tile: usize, share: &mut [u64]) -> Dealt<()> {
        let tile = self.view | tile;
        if self.code.dealing(dealer).drawn.contains(&self.me) {
            self.draw(dealer, self.me, tile, share);
            return Ok(());
        }
        self.exchange.recv(dealer, self.step, tile, share)?;
        self.code.field.received(share);
        Ok(())
    }

    /// The share that a dealer and its holder draw.
    fn draw(&self, dealer: usize, holder: usize, tile: usize, out: &mut [u64]) {
        let place = Draw { step: self.step, label: dealer as u8 + 1, tile };
        draw(self.exchange.party, self.code.field, Holders::of(&[dealer, holder]), place, out);
    }
}

/// Uniform elements that some parties draw together; the label is below 128. Words that are no element are drawn again from a stream of their own.
pub(crate) fn draw<F: Field>(party: &Party, field: F, holders: Holders, place: Draw, out: &mut [u64]) {
    party.mask(holders, place, out);
    let mut further = None;
    let draw_further = || {
        let mut words = vec![0; AGAIN];
        party.mask(holders, Draw { label: place.label | AGAIN_LABEL, ..place }, &mut words);
        words
    };
    field.uniform(out, || {
        let words = further.get_or_insert_with(draw_further);
        words.pop().expect("not even two words of a tile are drawn again, but once in 2^100 tiles")
    });
}

/// Words that are drawn again, one in 2^61, come from a stream of their own, of so many words a tile.
const AGAIN_LABEL: u8 = 128;
const AGAIN: usize = 64;
