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
/// At every honest party the same: [`Error::Cheating`] if a check failed somewhere; else [`Error::Net`] if a message of the
/// verification is missing somewhere.
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
    verdict.map(|()| p.party.agreed())
}

/// What is sent in place of an opening.
const NOTHING: [u64; 6] = [0; 6];

/// The first trouble with each peer: nothing more is awaited from it.
type Lost = [Option<NetError>; PARTIES];

fn verdict(p: &mut Rep4) -> Result<()> {
    let step = p.party.next_step();
    let mut lost = Lost::default();
    let seen = compare_sum(p, step, &mut lost)?;
    let agreed = broadcast(p, step, seen, &mut lost)?;
    if agreed.contains(&View::Failed) {
        return Err(Error::Cheating { check: "verification of everything since the last opening" });
    }
    let reported = agreed.iter().enumerate().find_map(|(by, view)| match view {
        View::Missed(about) => Some(NetError::Reported {
            by,
            about: *about,
            reason: "a message of the verification did not arrive; nothing was opened".into(),
        }),
        _ => None,
    });
    match reported {
        None => Ok(()),
        Some(reported) => Err(Error::Net(lost.into_iter().flatten().next().unwrap_or(reported))),
    }
}

/// What a party says of a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum View {
    /// All summands are here, and their sum is zero.
    Good,
    /// All summands are here; one does not fit its commitment, or the sum is not zero.
    Failed,
    /// Something of this party is missing.
    Missed(usize),
}

impl View {
    fn encode(self) -> u8 {
        match self {
            View::Failed => 0,
            View::Good => 1,
            View::Missed(party) => 2 + party as u8,
        }
    }
    /// What a byte of `from` says; one that says nothing is as good as none.
    fn decode(byte: u64, from: usize) -> View {
        match byte {
            0 => View::Failed,
            1 => View::Good,
            2..=5 => View::Missed(byte as usize - 2),
            _ => View::Missed(from),
        }
    }
}

/// Spec 10.2 and 10.5: commit to the summand, open it once all commitments are here. A wrong opening is a failure.
fn compare_sum(p: &mut Rep4, step: u64, lost: &mut Lost) -> Result<View> {
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
    // Opened only to complete commitments; else what is sent opens nothing, and the others need not wait.
    let complete = (0..PARTIES).all(|peer| peer == me || commitments[peer].is_some());
    let mut opening = NOTHING;
    if complete {
        opening[..2].copy_from_slice(&bytemuck::cast::<[u8; 16], [u64; 2]>(mine));
        opening[2..].copy_from_slice(&bytemuck::cast::<[u8; 32], [u64; 4]>(*nonce.expose()));
    }
    let openings = exchange(p, step, 1, &[opening; PARTIES], lost)?;
    let (mut sum, mut good, mut missed) = (mine, true, None);
    for peer in (0..PARTIES).filter(|peer| *peer != me) {
        let opening = openings[peer].filter(|opening| *opening != NOTHING);
        let (Some(commitment), Some(opening)) = (commitments[peer], opening) else {
            missed.get_or_insert(peer);
            continue;
        };
        let value = bytemuck::cast::<[u64; 2], [u8; 16]>([opening[0], opening[1]]);
        let nonce = Secret::new(bytemuck::cast::<[u64; 4], [u8; 32]>(std::array::from_fn(|i| opening[2 + i])));
        good &= digest(peer, &value, &nonce, &session) == commitment;
        add(&mut sum, &value);
    }
    Ok(match missed {
        // A wrong opening is wrong whatever else is missing.
        _ if !good => View::Failed,
        Some(peer) => View::Missed(peer),
        None if sum == [0; 16] => View::Good,
        None => View::Failed,
    })
}

/// Spec 10.6: every party broadcasts its view by OM(1), all four in parallel: send, echo, majority. Where none has two votes, the
/// commander counts as missing.
fn broadcast(p: &mut Rep4, step: u64, seen: View, lost: &mut Lost) -> Result<[View; PARTIES]> {
    let me = p.me();
    let said = exchange(p, step, 2, &[[u64::from(seen.encode())]; PARTIES], lost)?;
    let said: [View; PARTIES] = std::array::from_fn(|commander| {
        said[commander].map_or(View::Missed(commander), |[word]| View::decode(word, commander))
    });
    // What this party heard from each commander, a byte each.
    let heard = u64::from_le_bytes(std::array::from_fn(|c| said.get(c).map_or(0, |view| view.encode())));
    let echoes = exchange(p, step, 3, &[[heard]; PARTIES], lost)?;
    Ok(std::array::from_fn(|commander| {
        if commander == me {
            return seen;
        }
        let others = (0..PARTIES).filter(|party| *party != me && *party != commander);
        let echoed = others.map(|party| match echoes[party] {
            Some([word]) => View::decode(word >> (8 * commander) & 0xff, commander),
            None => View::Missed(commander),
        });
        majority(commander, [said[commander]].into_iter().chain(echoed))
    }))
}

/// The view with at least two of three votes.
fn majority(commander: usize, votes: impl Iterator<Item = View>) -> View {
    let votes: Vec<View> = votes.collect();
    let twice = (0..votes.len()).find(|i| votes[..*i].contains(&votes[*i]));
    twice.map_or(View::Missed(commander), |i| votes[i])
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
