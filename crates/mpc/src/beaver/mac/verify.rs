//! The key of MACs, what was told since the last verdict, and the verdict on it. Spec 16.

use super::{BeaverMac, DEALER};
use crate::correlations::{Group, Session};
use crate::verdict::{self, View, note};
use crate::{Error, Result};
use privity_net::NetError;
use privity_prim::{Prg, Transcript, fresh_secret};
use privity_ring::{M61, mersenne};
use zeroize::Zeroizing;

/// Coefficients that are drawn at once.
const AT_ONCE: usize = 1 << 12;
/// Blocks of a seed that redraw what was no element lie here.
const REDRAWN: u64 = u64::MAX;

/// The key, and what was told since the last verdict.
pub(super) struct Ledger {
    /// Spec 13.1: a share of the key of all MACs, at the dealer the key.
    key: Zeroizing<u64>,
    told: Vec<u64>,
    /// Shares of the MACs of what was told.
    tags: Vec<u64>,
    /// Spec 16.1: all that honest parties must have been told alike.
    views: Transcript,
    owed: bool,
    /// Whether a verdict was bad: nothing is opened any more.
    pub failed: bool,
}

impl Ledger {
    pub(super) fn new(session: &Session, step: u64) -> Ledger {
        let mut key = Zeroizing::new(0);
        let mut drawn = Zeroizing::new([0]);
        let others = if session.computes() { DEALER..DEALER + 1 } else { session.online() };
        for other in others {
            session.draw::<M61>(other, step, 0, &mut drawn[..]);
            M61::add_assign(std::slice::from_mut(&mut *key), &drawn[..]);
        }
        Ledger { key, told: Vec::new(), tags: Vec::new(), views: Ledger::views(), owed: false, failed: false }
    }
    fn views() -> Transcript {
        Transcript::new("what all parties were told")
    }
    pub(super) fn key(&self) -> M61 {
        M61::of_word(*self.key)
    }
    /// From now on there is something to verify.
    pub(super) fn owe(&mut self) {
        self.owed = true;
    }
    /// Spec 15.1
    pub(super) fn record(&mut self, told: &[u64], tags: &[u64]) {
        self.told.extend_from_slice(told);
        self.tags.extend_from_slice(tags);
        self.views.absorb("told", bytemuck::cast_slice(told));
    }
    /// Spec 15.3: what an owner tells has no MAC, but all must be told the same.
    pub(super) fn agree(&mut self, told: &[u64]) {
        self.views.absorb("input", bytemuck::cast_slice(told));
    }
    /// Spec 16.4: this party's share of what the MACs are more than the key times what was told.
    fn excess(&self, seed: [u8; 16]) -> u64 {
        let prg = Prg::new(seed);
        let (mut value, mut tag) = (0, [0]);
        let mut coefficients = vec![0; AT_ONCE];
        let mut redrawn = 0;
        for (i, (told, tags)) in self.told.chunks(AT_ONCE).zip(self.tags.chunks(AT_ONCE)).enumerate() {
            let coefficients = &mut coefficients[..told.len()];
            prg.fill(i as u64, 0, coefficients);
            M61::uniform(coefficients, || {
                let mut word = [0];
                prg.fill(REDRAWN, redrawn, &mut word);
                redrawn += 1;
                word[0]
            });
            value = mersenne::reduce(value + mersenne::inner_product(coefficients, told));
            M61::add_assign(&mut tag, &[mersenne::inner_product(coefficients, tags)]);
        }
        mersenne::add_scaled(&mut tag, self.key().negated(), &[value]);
        tag[0]
    }
}

/// One verdict on everything since the last, at all parties. Five rounds. Nothing happens if nothing was done.
///
/// # Errors
/// At every honest party the same: [`Error::Cheating`] if a check failed somewhere, else [`Error::Net`] if a message is missing.
pub(super) fn settle(p: &mut BeaverMac) -> Result<()> {
    verdict::none_was_bad(p.ledger.failed)?;
    if !p.ledger.owed {
        return Ok(());
    }
    p.ledger.failed = true;
    p.session.party.enter("verification");
    // Whoever is lost now is reported to the dealer: it is for it to say what follows.
    p.session.party.link().tolerate(true);
    let verdict = judged(p);
    p.session.party.link().tolerate(false);
    p.session.party.leave();
    let ledger = &mut p.ledger;
    (ledger.told, ledger.tags, ledger.views) = (Vec::new(), Vec::new(), Ledger::views());
    ledger.owed = false;
    ledger.failed = verdict.is_err();
    verdict
}

fn judged(p: &mut BeaverMac) -> Result<()> {
    let step = p.session.party.next_step();
    let mut trouble = None;
    let seen = if p.session.computes() { compare_views(p, step, &mut trouble)? } else { View::Good };
    // Spec 16.2
    verdict::agree(&mut p.session.party, step, seen, trouble)?;
    let step = p.session.party.next_step();
    if p.session.computes() { show(p, step) } else { add_up(p, step) }
}

/// Spec 16.1: every party shows every other the digest of all that it was told.
fn compare_views(p: &mut BeaverMac, step: u64, trouble: &mut Option<NetError>) -> Result<View> {
    let mine: [u64; 4] = bytemuck::cast(p.ledger.views.digest());
    let party = &mut p.session.party;
    let peers: Vec<usize> = (DEALER + 1..party.n()).filter(|peer| *peer != party.me()).collect();
    for peer in &peers {
        note(party.send(*peer, step, 0, &mine), trouble)?;
    }
    let mut seen = View::Good;
    for peer in peers {
        let mut theirs = [0; 4];
        seen = seen.and(match note(party.recv(peer, step, 0, &mut theirs), trouble)? {
            true if theirs == mine => View::Good,
            true => View::Failed,
            false => View::Missed(peer),
        });
    }
    Ok(seen)
}

/// Spec 16.3 and 16.4: the dealer's coins come, this party's share of the check goes to it, its word comes back.
fn show(p: &mut BeaverMac, step: u64) -> Result<()> {
    let n = p.session.party.n();
    let mut coins = [0; 2];
    verdict::patiently(n, || p.session.party.recv(DEALER, step, 0, &mut coins))?;
    let mut excess = p.session.zeros::<M61>(step, 1);
    M61::add_assign(&mut excess, &[p.ledger.excess(bytemuck::cast(coins))]);
    let mut trouble = None;
    note(p.session.party.send(DEALER, step, 1, &excess), &mut trouble)?;
    let agreed = verdict::hear(&mut p.session.party, step)?;
    verdict::judge(agreed, trouble)
}

/// Dealer, Spec 16.3 to 16.5: coins, now that everything is fixed; the shares of the check, of which it alone has the sum.
fn add_up(p: &mut BeaverMac, step: u64) -> Result<()> {
    let secret = fresh_secret().map_err(|_| Error::Randomness)?;
    let coins: [u8; 16] = secret.expose()[..16].try_into().expect("sixteen bytes");
    let mut trouble = None;
    for party in p.session.online() {
        note(p.session.party.send(party, step, 0, &bytemuck::cast::<_, [u64; 2]>(coins)), &mut trouble)?;
    }
    let (mut sum, mut agreed) = ([0], View::Good);
    for party in p.session.online() {
        let mut share = [0];
        if note(p.session.party.recv(party, step, 1, &mut share), &mut trouble)? {
            mersenne::reduce_all(&mut share);
            M61::add_assign(&mut sum, &share);
        } else {
            agreed = agreed.and(View::Missed(party));
        }
    }
    // A missing share says nothing of the others' sum.
    if agreed == View::Good && sum != [0] {
        agreed = View::Failed;
    }
    verdict::announce(&mut p.session.party, step, agreed, &mut trouble)?;
    verdict::judge(agreed, trouble)
}
