//! What the dealer deals, with tags; openings that are affine in it; deferred verification and the verdict. Spec 2, 3 and 10.

use super::{AdditiveMac, DEALER};
use crate::party::{Draw, Holders, Party};
use crate::verdict::{self, View, note};
use crate::{Protocol, Result};
use bytemuck::{Pod, cast_slice, cast_slice_mut};
use privity_net::NetError;
use privity_prim::Transcript;
use privity_ring::simd::vectorise;
use zeroize::Zeroizing;

/// Stream of a party's tag keys, of shares, and of a verifier's part of the tags of holder `i` (`TAG + i`).
const KEYS: u8 = 1;
const SHARE: u8 = 1;
const TAG: u8 = 16;
/// Bits of the tag of a bit: a wrong bit passes with probability `2^-TAG_BITS`.
pub(super) const TAG_BITS: usize = 40;

/// Spec 2.1 and 2.2: what is dealt and opened, numbers modulo 2^128 or 64 bits side by side, with the tags over it. A tag has
/// `INSTANCES` parts, each of them computed as the value is.
pub(super) trait Word: Pod {
    const INSTANCES: usize;
    const ZERO: Self;
    const ONE: Self;
    /// Part `s` of a party's tag key.
    fn key(keys: &[u64; 2], s: usize) -> Self;
    fn plus(self, o: Self) -> Self;
    fn minus(self, o: Self) -> Self;
    fn times(self, o: Self) -> Self;
}

/// Numbers modulo 2^128, of which the low half counts.
impl Word for u128 {
    const INSTANCES: usize = 1;
    const ZERO: u128 = 0;
    const ONE: u128 = 1;
    fn key(keys: &[u64; 2], _: usize) -> u128 {
        u128::from(keys[0])
    }
    #[inline(always)]
    fn plus(self, o: u128) -> u128 {
        self.wrapping_add(o)
    }
    #[inline(always)]
    fn minus(self, o: u128) -> u128 {
        self.wrapping_sub(o)
    }
    #[inline(always)]
    fn times(self, o: u128) -> u128 {
        self.wrapping_mul(o)
    }
}

/// 64 bits, tagged bit by bit: part `s` of the tags of 64 bits is a word, too.
impl Word for u64 {
    const INSTANCES: usize = TAG_BITS;
    const ZERO: u64 = 0;
    const ONE: u64 = u64::MAX;
    fn key(keys: &[u64; 2], s: usize) -> u64 {
        (keys[1] >> s & 1).wrapping_neg()
    }
    #[inline(always)]
    fn plus(self, o: u64) -> u64 {
        self ^ o
    }
    #[inline(always)]
    fn minus(self, o: u64) -> u64 {
        self ^ o
    }
    #[inline(always)]
    fn times(self, o: u64) -> u64 {
        self & o
    }
}

fn add<T: Word>(x: &mut [T], y: &[T]) {
    vectorise(|| x.iter_mut().zip(y).for_each(|(x, y)| *x = x.plus(*y)));
}

/// `x += key y`
fn add_tagged<T: Word>(x: &mut [T], key: T, y: &[T]) {
    vectorise(|| x.iter_mut().zip(y).for_each(|(x, y)| *x = x.plus(y.times(key))));
}

/// Words of 64 bits of so many values.
pub(super) fn words<T>(values: usize) -> usize {
    values * size_of::<T>() / 8
}

/// Tag keys of the session, and what was said since the last verdict.
pub(super) struct Ledger {
    /// Spec 2.3: the key of each party, all at the dealer, elsewhere only the own one.
    keys: Zeroizing<Vec<[u64; 2]>>,
    /// Spec 3.3: tags of what this party told each other, and what they must be of what it was told.
    sent: Vec<Transcript>,
    received: Vec<Transcript>,
    owed: bool,
    /// Whether a verdict was bad: nothing is opened any more.
    pub failed: bool,
}

impl Ledger {
    pub(super) fn new(party: &mut Party) -> Ledger {
        let (me, n, step) = (party.me(), party.n(), party.next_step());
        let mut keys = Zeroizing::new(vec![[0; 2]; n]);
        for (verifier, key) in keys.iter_mut().enumerate().skip(1).filter(|(v, _)| me == DEALER || me == *v) {
            party.mask(Holders::of(&[DEALER, verifier]), Draw { step, label: KEYS, tile: 0 }, key);
        }
        let mut ledger = Ledger { keys, sent: Vec::new(), received: Vec::new(), owed: false, failed: false };
        ledger.turn_over(party, step);
        ledger
    }

    /// Begins a new window.
    fn turn_over(&mut self, party: &Party, step: u64) {
        let (me, n) = (party.me(), party.n());
        let begin = |from: usize, to: usize| {
            let mut transcript = Transcript::new("tags of what one party told another");
            transcript.absorb("session", party.session());
            transcript.absorb("window", &step.to_le_bytes());
            transcript.absorb("from and to", &[from as u8, to as u8]);
            transcript
        };
        self.sent = (0..n).map(|peer| begin(me, peer)).collect();
        self.received = (0..n).map(|peer| begin(peer, me)).collect();
        self.owed = false;
    }

    pub(super) fn owe(&mut self) {
        self.owed = true;
    }
}

impl AdditiveMac {
    /// Spec 4.3: a masked value that all must hold alike, without a tag: what the others told one another is compared, too.
    pub(super) fn agree(&mut self, words: &[u64]) {
        for peer in self.peers() {
            self.ledger.sent[peer].absorb("masked", cast_slice(words));
            self.ledger.received[peer].absorb("masked", cast_slice(words));
        }
    }
}

/// Dealer: shares of what will be dealt for a unit. The first `fixed` values it chooses, the others are what the shares add up to.
pub(super) struct Draft<T> {
    step: u64,
    unit: usize,
    fixed: usize,
    total: usize,
    /// One party's after the other's; those of the last party lack the first `fixed`.
    shares: Vec<T>,
}

impl<T: Word> Draft<T> {
    /// Spec 2.1: every party but the last draws all its shares, the last those that nobody chooses.
    pub(super) fn draw(p: &mut AdditiveMac, step: u64, unit: usize, fixed: usize, free: usize) -> Draft<T> {
        let (total, last) = (fixed + free, p.last());
        let mut shares = vec![T::ZERO; last * total];
        for (party, share) in p.online().zip(shares.chunks_exact_mut(total.max(1))) {
            let from = if party == last { fixed } else { 0 };
            p.mask(party, step, SHARE, unit, cast_slice_mut(&mut share[from..]));
        }
        Draft { step, unit, fixed, total, shares }
    }

    /// What the shares of the rest add up to.
    pub(super) fn free(&self) -> Vec<T> {
        let mut sum = vec![T::ZERO; self.total - self.fixed];
        self.shares.chunks_exact(self.total.max(1)).for_each(|share| add(&mut sum, &share[self.fixed..]));
        sum
    }

    /// Spec 2.1 and 2.3: completes the last party's shares of the chosen values; sends it those, and to each party the tags of its
    /// shares for every other.
    pub(super) fn deal(mut self, p: &mut AdditiveMac, chosen: &[T]) -> Result<()> {
        assert_eq!(chosen.len(), self.fixed, "as many values as were announced");
        if self.total == 0 {
            return Ok(());
        }
        let (total, last) = (self.total, p.last());
        let (others, of_last) = self.shares.split_at_mut((last - 1) * total);
        let of_last = &mut of_last[..self.fixed];
        of_last.copy_from_slice(chosen);
        for share in others.chunks_exact(total) {
            vectorise(|| of_last.iter_mut().zip(share).for_each(|(x, s)| *x = x.minus(*s)));
        }
        for holder in p.online() {
            let share = &self.shares[(holder - 1) * total..holder * total];
            let first = if holder == last { self.fixed } else { 0 };
            let of_others = (last - 1) * T::INSTANCES * total;
            let mut message = vec![T::ZERO; of_others + first];
            let (tags, chosen) = message.split_at_mut(of_others);
            chosen.copy_from_slice(&share[..first]);
            let verifiers = p.online().filter(|verifier| *verifier != holder);
            for (verifier, tags) in verifiers.zip(tags.chunks_exact_mut(T::INSTANCES * total)) {
                p.mask(verifier, self.step, TAG + holder as u8, self.unit, cast_slice_mut(tags));
                for (s, part) in tags.chunks_exact_mut(total).enumerate() {
                    add_tagged(part, T::key(&p.ledger.keys[verifier], s), share);
                }
            }
            p.send(holder, self.step, self.unit, cast_slice(&message))?;
        }
        Ok(())
    }
}

/// A party's side of what was dealt: its share, the tags of it, one after the other for each other party, and its keys for what
/// each other party holds.
pub(super) struct Dealt<T> {
    total: usize,
    share: Vec<T>,
    tags: Vec<T>,
    keys: Vec<T>,
}

impl<T: Word> Dealt<T> {
    /// The receiving end of [`Draft::deal`].
    pub(super) fn receive(p: &mut AdditiveMac, step: u64, unit: usize, fixed: usize, free: usize) -> Result<Dealt<T>> {
        let total = fixed + free;
        let first = if p.is_last() { fixed } else { 0 };
        let of_peers = (p.last() - 1) * T::INSTANCES * total;
        let mut share = vec![T::ZERO; total];
        p.mask(DEALER, step, SHARE, unit, cast_slice_mut(&mut share[first..]));
        let mut tags = vec![T::ZERO; of_peers + first];
        p.recv(DEALER, step, unit, cast_slice_mut(&mut tags))?;
        share[..first].copy_from_slice(&tags[of_peers..]);
        tags.truncate(of_peers);
        let mut keys = vec![T::ZERO; of_peers];
        for (peer, keys) in p.peers().zip(keys.chunks_exact_mut((T::INSTANCES * total).max(1))) {
            p.mask(DEALER, step, TAG + peer as u8, unit, cast_slice_mut(keys));
        }
        Ok(Dealt { total, share, tags, keys })
    }

    /// Applies a linear map to share, tags and keys.
    pub(super) fn each(&mut self, f: impl Fn(&mut [T])) {
        for part in [&mut self.share, &mut self.tags, &mut self.keys] {
            part.chunks_exact_mut(self.total.max(1)).for_each(&f);
        }
    }

    /// Forgets the first `from` values.
    pub(super) fn keep_from(&mut self, from: usize) {
        let (total, kept) = (self.total, self.total - from);
        for part in [&mut self.share, &mut self.tags, &mut self.keys] {
            let blocks = part.len() / total.max(1);
            for block in 0..blocks {
                part.copy_within(block * total + from..(block + 1) * total, block * kept);
            }
            part.truncate(blocks * kept);
        }
        self.total = kept;
    }

    /// Spec 3.1 to 3.3: this party's part of an opening, `len` values affine in what was dealt, to all others; the tags of it, and the
    /// part of the keys that depends on no message. `f(dealt, one, out)` fills `out` with the linear part of the map, plus `one` times
    /// the constant part unless there is none.
    pub(super) fn post(
        &self,
        p: &mut AdditiveMac,
        step: u64,
        unit: usize,
        len: usize,
        f: impl Fn(&[T], Option<T>, &mut [T]),
    ) -> Result<Posted<T>> {
        let mut sum = vec![T::ZERO; len];
        f(&self.share, p.is_last().then_some(T::ONE), &mut sum);
        p.peers().try_for_each(|peer| p.send(peer, step, unit, cast_slice(&sum)))?;
        let block = T::INSTANCES * self.total;
        let mut tags = vec![T::ZERO; T::INSTANCES * len];
        let mut keys = vec![T::ZERO; (p.last() - 1) * T::INSTANCES * len];
        for (k, peer) in p.peers().enumerate() {
            let of_peer = &mut keys[k * T::INSTANCES * len..(k + 1) * T::INSTANCES * len];
            for s in 0..T::INSTANCES {
                let (dealt, out) = (k * block + s * self.total, s * len..(s + 1) * len);
                f(&self.tags[dealt..dealt + self.total], None, &mut tags[out.clone()]);
                // Spec 3.3: the last party's message has the constant, which no tag covers.
                let one = (peer == p.last()).then(|| T::ZERO.minus(T::key(&p.ledger.keys[p.me()], s)));
                f(&self.keys[dealt..dealt + self.total], one, &mut of_peer[out]);
            }
            p.ledger.sent[peer].absorb("tags", cast_slice(&tags));
        }
        Ok(Posted { step, unit, sum, keys })
    }
}

/// An opening that this party has done its part of.
pub(super) struct Posted<T> {
    step: u64,
    unit: usize,
    sum: Vec<T>,
    keys: Vec<T>,
}

impl<T: Word> Posted<T> {
    /// Spec 3.2 and 3.3: the others' parts, added up; what their tags must be goes to the ledger.
    pub(super) fn finish(mut self, p: &mut AdditiveMac) -> Result<Vec<T>> {
        let len = self.sum.len();
        let mut theirs = vec![T::ZERO; len];
        for (peer, keys) in p.peers().zip(self.keys.chunks_exact_mut((T::INSTANCES * len).max(1))) {
            p.recv(peer, self.step, self.unit, cast_slice_mut(&mut theirs))?;
            add(&mut self.sum, &theirs);
            for (s, part) in keys.chunks_exact_mut(len.max(1)).enumerate() {
                add_tagged(part, T::key(&p.ledger.keys[p.me()], s), &theirs);
            }
            p.ledger.received[peer].absorb("tags", cast_slice(keys));
        }
        Ok(self.sum)
    }
}

/// Spec 10: one verdict on everything since the last, at all parties. Three rounds; 32 bytes to each other party, 8 to the dealer and 8
/// from it. Nothing happens if nothing was done.
///
/// # Errors
/// At every honest party the same: [`Error::Cheating`] if a check failed somewhere, else [`Error::Net`] if a message is missing.
pub(super) fn settle(p: &mut AdditiveMac) -> Result<()> {
    verdict::none_was_bad(p.ledger.failed)?;
    if !p.ledger.owed {
        return Ok(());
    }
    p.ledger.failed = true;
    p.party.enter("verification");
    // Whoever is lost now is reported to the dealer: it is for it to say what follows.
    p.party.link().tolerate(true);
    let verdict = judged(p);
    p.party.link().tolerate(false);
    p.party.leave();
    let step = p.party.next_step();
    p.ledger.turn_over(&p.party, step);
    p.ledger.failed = verdict.is_err();
    verdict.map(|()| p.party.agreed())
}

fn judged(p: &mut AdditiveMac) -> Result<()> {
    let step = p.party.next_step();
    let mut trouble = None;
    let seen = if p.is_dealer() { View::Good } else { compare_tags(p, step, &mut trouble)? };
    // Spec 10.2 and 10.3
    verdict::agree(&mut p.party, step, seen, trouble)
}

/// Spec 10.1: every party shows every other the digest of the tags of all that it told it.
fn compare_tags(p: &mut AdditiveMac, step: u64, trouble: &mut Option<NetError>) -> Result<View> {
    let digest = |t: &Transcript| bytemuck::cast::<[u8; 32], [u64; 4]>(t.digest());
    for peer in p.peers() {
        let mine = digest(&p.ledger.sent[peer]);
        note(p.party.send(peer, step, 0, &mine), trouble)?;
    }
    let mut seen = View::Good;
    for peer in p.peers() {
        let mut theirs = [0; 4];
        let view = match note(p.party.recv(peer, step, 0, &mut theirs), trouble)? {
            true if theirs == digest(&p.ledger.received[peer]) => View::Good,
            true => View::Failed,
            false => View::Missed(peer),
        };
        seen = seen.and(view);
    }
    Ok(seen)
}
