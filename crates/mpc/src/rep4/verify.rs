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
    /// Spec 10.4: a value that checker, first and second must agree on, compared on the pairs {0,1} and {0,2}. Every party
    /// passes its own view.
    pub(super) fn agree(&mut self, words: &[u64]) {
        match self.party.me() {
            CHECKER => {
                self.window.absorb(FIRST, words);
                self.window.absorb(SECOND, words);
            }
            _ => self.window.absorb(CHECKER, words),
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

/// Spec 10.2 to 10.6: all four parties learn one verdict on everything since the last. Four rounds; 36 frames, 88 bytes to each
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
    let verdict = verdict(p);
    p.party.leave();
    p.window = Window::open(&mut p.party);
    verdict
}

fn verdict(p: &mut Rep4) -> Result<()> {
    let step = p.party.next_step();
    let mut trouble = None;
    let good = sum_is_zero(p, step, &mut trouble)?;
    let agreed = broadcast(p, step, good, &mut trouble)?.iter().all(|ok| *ok);
    match (agreed, trouble) {
        (true, _) => Ok(()),
        (false, Some(net)) => Err(Error::Net(net)),
        (false, None) => Err(Error::Cheating { check: "verification of everything since the last opening" }),
    }
}

/// Spec 10.2 and 10.5: commit to the summand, open it once all commitments are here. A missing or wrong opening is a failure.
fn sum_is_zero(p: &mut Rep4, step: u64, trouble: &mut Option<NetError>) -> Result<bool> {
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
    let commitments = exchange(p, step, 0, &[digest(me, &mine, &nonce, &session); PARTIES], trouble)?;
    // Opened only to complete commitments; else what is sent opens nothing, and the others see a failure without waiting.
    let complete = (0..PARTIES).all(|peer| peer == me || commitments[peer].is_some());
    let mut opening = [0; 6];
    if complete {
        opening[..2].copy_from_slice(&bytemuck::cast::<[u8; 16], [u64; 2]>(mine));
        opening[2..].copy_from_slice(&bytemuck::cast::<[u8; 32], [u64; 4]>(*nonce.expose()));
    }
    let openings = exchange(p, step, 1, &[opening; PARTIES], trouble)?;
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
fn broadcast(p: &mut Rep4, step: u64, good: bool, trouble: &mut Option<NetError>) -> Result<[bool; PARTIES]> {
    let me = p.me();
    let said = exchange(p, step, 2, &[[u64::from(good)]; PARTIES], trouble)?.map(|word| word == Some([1]));
    // What this party heard from each commander, for everyone but the commander itself.
    let heard = |to: usize| {
        (0..PARTIES).filter(|c| *c != me && *c != to && said[*c]).fold(0, |word, commander| word | 1u64 << commander)
    };
    let echoes = exchange(p, step, 3, &std::array::from_fn(|to| [heard(to)]), trouble)?;
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

/// Sends each peer its words and takes theirs; `None` where nothing valid came, with the first trouble noted.
fn exchange<const N: usize>(
    p: &mut Rep4,
    step: u64,
    tile: usize,
    words: &[[u64; N]; PARTIES],
    trouble: &mut Option<NetError>,
) -> Result<[Option<[u64; N]>; PARTIES]> {
    let me = p.me();
    let mut note = |result: Result<()>| match result {
        Ok(()) => Ok(true),
        Err(Error::Net(net)) => {
            trouble.get_or_insert(net);
            Ok(false)
        }
        Err(other) => Err(other),
    };
    for peer in (0..PARTIES).filter(|peer| *peer != me) {
        note(p.party.send(peer, step, tile, &words[peer]))?;
    }
    let mut theirs = [None; PARTIES];
    for peer in (0..PARTIES).filter(|peer| *peer != me) {
        let mut received = [0; N];
        if note(p.party.recv(peer, step, tile, &mut received))? {
            theirs[peer] = Some(received);
        }
    }
    Ok(theirs)
}
