//! Deferred verification: one tag per pair and window, one committed sum over all of them, agreement on the verdict.
//! Spec 10.

use super::{CHECKER, FIRST, Rep4, SECOND};
use crate::party::{Draw, Holders, Party};
use crate::{Error, Protocol, Result};
use privity_net::NetError;
use privity_prim::{Secret, Tag, Transcript, fresh_secret, multiply};

const PARTIES: usize = 4;
/// Stream of a pair's one-time tag key, factor and pad.
const WINDOW: u8 = 1;

/// What a pair compares: the running tag of what both believe was said, and what hides it (Spec 10.1).
struct Pair {
    tag: Tag,
    factor: [u8; 16],
    pad: [u8; 16],
}

/// Everything since the last verdict.
pub(super) struct Window {
    pairs: [Option<Pair>; PARTIES],
    /// Whether anything was done that needs a verdict.
    owed: bool,
}

impl Window {
    /// Spec 10.1: fresh one-time keys for every pair.
    pub(super) fn open(party: &mut Party) -> Window {
        let (me, step) = (party.me(), party.next_step());
        let pairs = std::array::from_fn(|peer| {
            (peer != me).then(|| {
                let mut words = [0; 6];
                party.mask(Holders::of(&[me, peer]), Draw { step, label: WINDOW, tile: 0 }, &mut words);
                let block = |i: usize| bytemuck::cast::<[u64; 2], [u8; 16]>([words[2 * i], words[2 * i + 1]]);
                Pair { tag: Tag::new(block(0)), factor: block(1), pad: block(2) }
            })
        });
        Window { pairs, owed: false }
    }

    pub(super) fn owe(&mut self) {
        self.owed = true;
    }

    /// Appends to what is compared with `peer`. Both absorb the same words in the same order.
    pub(super) fn absorb(&mut self, peer: usize, words: &[u64]) {
        let pair = self.pairs[peer].as_mut().expect("tags are shared with other parties");
        pair.tag.absorb(words);
    }

    /// Spec 10.2: this party's summand, `V_i = sum_j (r_ij T_ij + s_ij)`.
    fn close(&mut self) -> [u8; 16] {
        let mut sum = [0; 16];
        for pair in self.pairs.iter_mut().filter_map(Option::take) {
            add(&mut sum, &multiply(&pair.factor, &pair.tag.finish()));
            add(&mut sum, &pair.pad);
        }
        sum
    }
}

fn add(sum: &mut [u8; 16], summand: &[u8; 16]) {
    sum.iter_mut().zip(summand).for_each(|(s, v)| *s ^= v);
}

impl Rep4 {
    /// Spec 10.4: a value that checker, first and second must agree on, compared by all three pairs of them. Every party passes
    /// its own view.
    pub(super) fn agree(&mut self, words: &[u64]) {
        let me = self.party.me();
        for peer in [CHECKER, FIRST, SECOND].into_iter().filter(|peer| *peer != me) {
            self.window.absorb(peer, words);
        }
    }

    /// Spec 10.3: second sends `words` to the checker, first vouches. Each passes its own view.
    pub(super) fn tell_checker(&mut self, step: u64, tile: usize, words: &[u64]) -> Result<()> {
        if self.party.me() == SECOND {
            self.party.send(CHECKER, step, tile, words)
        } else {
            self.window.absorb(CHECKER, words);
            Ok(())
        }
    }
    /// The checker's end of [`Rep4::tell_checker`].
    pub(super) fn told_by_pair(&mut self, step: u64, tile: usize, words: &mut [u64]) -> Result<()> {
        self.party.recv(SECOND, step, tile, words)?;
        self.window.absorb(FIRST, words);
        Ok(())
    }

    /// Spec 10.3: the dealer sends `words` to second, the checker vouches. Each passes its own view.
    pub(super) fn deal(&mut self, step: u64, tile: usize, words: &[u64]) -> Result<()> {
        if self.party.me() == CHECKER {
            self.window.absorb(SECOND, words);
            Ok(())
        } else {
            self.party.send(SECOND, step, tile, words)
        }
    }
    /// Second's end of [`Rep4::deal`].
    pub(super) fn dealt(&mut self, step: u64, tile: usize, words: &mut [u64]) -> Result<()> {
        self.party.recv(super::DEALER, step, tile, words)?;
        self.window.absorb(CHECKER, words);
        Ok(())
    }
}

/// Spec 10.2 to 10.6: all four parties learn one verdict on everything since the last. Four rounds; 48 frames, 96 bytes to each
/// peer. Nothing happens if nothing was done.
///
/// # Errors
/// [`Error::Cheating`] at every honest party if a check failed or a message of the verification itself is missing; a party that
/// saw the network fail gets that error in its place.
pub(super) fn settle(p: &mut Rep4) -> Result<()> {
    if !p.window.owed {
        return Ok(());
    }
    p.party.enter("verification");
    // Whoever is lost now is missed by all in the same way: it is for the agreement to say what follows.
    p.party.link().tolerate(true);
    let verdict = verdict(p);
    p.party.link().tolerate(false);
    p.party.leave();
    p.window = Window::open(&mut p.party);
    verdict
}

/// The first trouble with each peer: nothing more is awaited from it.
type Lost = [Option<NetError>; PARTIES];

fn verdict(p: &mut Rep4) -> Result<()> {
    let step = p.party.next_step();
    let mut lost = Lost::default();
    let good = sum_is_zero(p, step, &mut lost)?;
    let agreed = broadcast(p, step, good, &mut lost)?.iter().all(|ok| *ok);
    match (agreed, lost.into_iter().flatten().next()) {
        (true, _) => Ok(()),
        (false, Some(net)) => Err(Error::Net(net)),
        (false, None) => Err(Error::Cheating { check: "verification of everything since the last opening" }),
    }
}

/// Spec 10.2 and 10.5: commit to the summand, open it once all commitments are here. A missing or wrong opening is a failure.
fn sum_is_zero(p: &mut Rep4, step: u64, lost: &mut Lost) -> Result<bool> {
    let me = p.me();
    let mine = p.window.close();
    let nonce = fresh_secret().map_err(|_| Error::Randomness)?;
    let digest = |party: usize, value: &[u8; 16], nonce: &Secret, session: &[u8; 32]| {
        let mut transcript = Transcript::new("summand of a verification window");
        transcript.absorb("session", session);
        transcript.absorb("window", &step.to_le_bytes());
        transcript.absorb("party", &[party as u8]);
        transcript.absorb("summand", value);
        transcript.absorb("nonce", nonce.expose());
        bytemuck::cast::<[u8; 32], [u64; 4]>(transcript.digest())
    };
    let session = *p.party.session();
    let commitments = exchange(p, step, 0, &[digest(me, &mine, &nonce, &session); PARTIES], lost)?;
    // Opened only to complete commitments; else what is sent opens nothing, and the others see a failure without waiting.
    let complete = (0..PARTIES).all(|peer| peer == me || commitments[peer].is_some());
    let mut opening = [0; 6];
    if complete {
        opening[..2].copy_from_slice(&bytemuck::cast::<[u8; 16], [u64; 2]>(mine));
        opening[2..].copy_from_slice(&bytemuck::cast::<[u8; 32], [u64; 4]>(*nonce.expose()));
    }
    let openings = exchange(p, step, 1, &[opening; PARTIES], lost)?;
    let (mut sum, mut good) = (mine, true);
    for peer in (0..PARTIES).filter(|peer| *peer != me) {
        let (Some(commitment), Some(opening)) = (commitments[peer], openings[peer]) else {
            good = false;
            continue;
        };
        let value = bytemuck::cast::<[u64; 2], [u8; 16]>([opening[0], opening[1]]);
        let nonce = Secret::new(bytemuck::cast::<[u64; 4], [u8; 32]>(std::array::from_fn(|i| opening[2 + i])));
        good &= digest(peer, &value, &nonce, &session) == commitment;
        add(&mut sum, &value);
    }
    Ok(good && sum == [0; 16])
}

/// Spec 10.6: every party broadcasts its bit by OM(1), all four in parallel: send, echo, majority. Missing counts as "not OK".
fn broadcast(p: &mut Rep4, step: u64, good: bool, lost: &mut Lost) -> Result<[bool; PARTIES]> {
    let me = p.me();
    let said = exchange(p, step, 2, &[[u64::from(good)]; PARTIES], lost)?.map(|word| word == Some([1]));
    // What this party heard from each commander, for everyone but the commander itself.
    let heard = |to: usize| {
        (0..PARTIES).filter(|c| *c != me && *c != to && said[*c]).fold(0, |word, commander| word | 1u64 << commander)
    };
    let echoes = exchange(p, step, 3, &std::array::from_fn(|to| [heard(to)]), lost)?;
    Ok(std::array::from_fn(|commander| {
        if commander == me {
            return good;
        }
        let echoed = |echo: &Option<[u64; 1]>| echo.is_some_and(|[word]| word >> commander & 1 == 1);
        let others = (0..PARTIES).filter(|party| *party != me && *party != commander);
        let votes = usize::from(said[commander]) + others.filter(|party| echoed(&echoes[*party])).count();
        votes >= 2
    }))
}

/// Sends each peer its words and takes theirs; `None` where nothing valid came, or comes any more.
fn exchange<const N: usize>(
    p: &mut Rep4,
    step: u64,
    tile: usize,
    words: &[[u64; N]; PARTIES],
    lost: &mut Lost,
) -> Result<[Option<[u64; N]>; PARTIES]> {
    let me = p.me();
    for peer in (0..PARTIES).filter(|peer| *peer != me) {
        let sent = p.party.send(peer, step, tile, &words[peer]);
        note(sent, &mut lost[peer])?;
    }
    let mut theirs = [None; PARTIES];
    for peer in (0..PARTIES).filter(|peer| *peer != me) {
        let mut received = [0; N];
        if lost[peer].is_none() && note(p.party.recv(peer, step, tile, &mut received), &mut lost[peer])? {
            theirs[peer] = Some(received);
        }
    }
    Ok(theirs)
}

/// Whether a message passed; trouble with a peer is noted.
fn note(passed: Result<()>, lost: &mut Option<NetError>) -> Result<bool> {
    match passed {
        Ok(()) => Ok(true),
        Err(Error::Net(net)) => {
            lost.get_or_insert(net);
            Ok(false)
        }
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use privity_net::memory;

    /// Windows of the four parties of one session.
    fn windows() -> [Window; PARTIES] {
        let party = |link| Window::open(&mut Party::with_fixed_keys_for_tests(Box::new(link), 3));
        let windows: Vec<Window> = memory::mesh(PARTIES).into_iter().map(party).collect();
        windows.try_into().unwrap_or_else(|_| unreachable!("four parties"))
    }

    /// What parties compare after second told the checker a value one too large: a product that the checker then
    /// multiplies by a mask in `0..256` that second does not know. Each pair has two copies.
    fn absorb(windows: &mut [Window; PARTIES], mask: u64) {
        let (right, wrong) = ([1000, 7_000_000], [1001, 7_000_000u64.wrapping_sub(mask)]);
        for peer in [FIRST, SECOND] {
            windows[CHECKER].absorb(peer, &wrong);
            windows[peer].absorb(CHECKER, &right);
        }
    }

    /// The masks that explain what second saw, given what it makes of a candidate for the checker's tag.
    fn explained_by(seen: [u8; 16], view: impl Fn([u8; 16]) -> [u8; 16]) -> Vec<u64> {
        let tag = |mask: u64| {
            let [_, _, mut second, _] = windows();
            second.absorb(CHECKER, &[1001, 7_000_000u64.wrapping_sub(mask)]);
            second.pairs[CHECKER].take().map(|pair| pair.tag.finish()).unwrap_or_default()
        };
        (0..256).filter(|mask| view(tag(*mask)) == seen).collect()
    }

    #[test]
    fn a_single_tag_gives_a_mask_away_and_the_sum_does_not() {
        for mask in [0, 77, 255] {
            let mut all = windows();
            absorb(&mut all, mask);
            // Naive: the checker shows second its tag of their pair, whose key second knows.
            let tag = all[CHECKER].pairs[SECOND].take().map(|pair| pair.tag.finish()).unwrap_or_default();
            assert_eq!(explained_by(tag, |tag| tag), [mask], "the naive scheme leaks");

            // Ours: second sees the sum of the others' summands. All that it knows of them is its own pairs' part.
            let mut all = windows();
            absorb(&mut all, mask);
            let mut sum = [0; 16];
            for party in [CHECKER, FIRST, super::super::DEALER] {
                add(&mut sum, &all[party].close());
            }
            let view = |tag: [u8; 16]| {
                let [_, _, mut second, _] = windows();
                let pair = second.pairs[CHECKER].take().expect("second and checker are a pair");
                let mut known = second.close();
                add(&mut known, &pair.pad);
                add(&mut known, &multiply(&pair.factor, &tag));
                known
            };
            assert_eq!(explained_by(sum, view), [0; 0], "no mask explains the sum: another pair differs, too");

            // Which is why every error must reach a pair of two honest parties: without first's check it would leak again.
            let mut all = windows();
            absorb(&mut all, mask);
            all[FIRST] = windows().into_iter().nth(FIRST).expect("four parties");
            all[FIRST].absorb(CHECKER, &[1001, 7_000_000u64.wrapping_sub(mask)]);
            let mut sum = [0; 16];
            for party in [CHECKER, FIRST, super::super::DEALER] {
                add(&mut sum, &all[party].close());
            }
            assert_eq!(explained_by(sum, view), [mask]);
        }
    }
}
