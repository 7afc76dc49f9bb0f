//! Going on without parties that are lost, in the middle of a program: who is lost, and whether a dealing counts, is agreed by those that are
//! left. docs/protocols/shamir.md, section 11. Parties may stop or be cut off; none lies.

use crate::{Error, Party, Result};
use privity_net::NetError;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Program steps lie below this; control messages are tagged with what follows.
const CONTROL: u64 = 1 << 56;
/// "I count these parties as lost": whoever reads it takes part in the round that the tile names.
const CALL: u64 = CONTROL;
/// Where the sender stands.
const STATE: u64 = CONTROL + 1;
/// Views are numbered in the upper bits of a tile; the lower ones are for the tiles of an operation.
pub(crate) const VIEW_SHIFT: u32 = 20;
/// Rounds that another party may call: what is above the shift must fit a tile, and each round of one's own counts a further party out.
const CALLED: usize = 1 << 10;
/// Words of openings to come that are kept at most: 256 MiB.
const KEPT: usize = 1 << 25;
/// In the tile of an opening's messages, which do not depend on the view.
pub(crate) const OPENING: usize = 1 << 19;
/// The tile of an acknowledgement; those of data lie below.
pub(crate) const ACKNOWLEDGED: usize = OPENING - 1;

/// Why an exchange did not come to its end.
pub(crate) enum Fault {
    /// The operation fails.
    Failed(Error),
    /// A party is lost.
    Lost,
    /// Another party counts some as lost, in this round.
    Called { round: usize },
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Failed(error)
    }
}

/// Who is left, and where this party stands.
pub(crate) struct Survivors {
    me: usize,
    n: usize,
    lost: u32,
    /// The last round in which parties were counted out.
    view: usize,
    /// The operation in progress.
    step: u64,
    /// The view in which all of it has arrived here.
    arrived: Option<usize>,
    /// Openings of operations to come, read while something else was awaited: whose, when, which part.
    kept: BTreeMap<(usize, u64, usize), Vec<u64>>,
}

/// What a party says of itself in a round.
struct Standing {
    step: u64,
    arrived: Option<usize>,
    lost: u32,
}

impl Standing {
    fn words(&self) -> [u64; 3] {
        [self.step, self.arrived.map_or(0, |view| view as u64 + 1), self.lost.into()]
    }
    fn of(words: [u64; 3]) -> Standing {
        Standing { step: words[0], arrived: words[1].checked_sub(1).map(|view| view as usize), lost: words[2] as u32 }
    }
}

impl Survivors {
    pub fn new(party: &Party) -> Self {
        Survivors { me: party.me(), n: party.n(), lost: 0, view: 0, step: 0, arrived: None, kept: BTreeMap::new() }
    }
    /// Whether a party is lost.
    pub fn lost(&self, party: usize) -> bool {
        self.lost >> party & 1 == 1
    }
    /// Those that are left, this party among them.
    pub fn left(&self) -> Vec<usize> {
        (0..self.n).filter(|party| !self.lost(*party)).collect()
    }
    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let (me, lost) = (self.me, self.lost);
        (0..self.n).filter(move |party| *party != me && lost >> party & 1 == 0)
    }
    /// The number that marks what is sent in the present view.
    pub fn view(&self) -> usize {
        self.view
    }
    /// An operation begins, or begins again.
    pub fn begin(&mut self, step: u64) {
        (self.step, self.arrived) = (step, None);
        self.kept.retain(|(_, at, _), _| *at >= step);
    }

    fn loss(&mut self, party: usize) -> Fault {
        self.lost |= 1 << party;
        Fault::Lost
    }

    /// Sends; a party that takes nothing any more is lost.
    pub fn send(
        &mut self,
        party: &mut Party,
        to: usize,
        step: u64,
        tile: usize,
        words: &[u64],
    ) -> std::result::Result<(), Fault> {
        match party.send(to, step, tile, words) {
            Err(Error::Net(_)) => Err(self.loss(to)),
            other => Ok(other?),
        }
    }

    /// Waits for a message. What is left over from earlier is dropped, openings to come are kept, a call is answered by the caller.
    pub fn recv(
        &mut self,
        party: &mut Party,
        from: usize,
        step: u64,
        tile: usize,
        out: &mut [u64],
    ) -> std::result::Result<(), Fault> {
        if let Some(words) = self.kept.remove(&(from, step, tile)) {
            return Ok(copied(from, &words, out)?);
        }
        loop {
            let (at, part, words) = self.next(party, from)?;
            if (at, part) == (step, tile) {
                return Ok(copied(from, &words, out)?);
            }
            match at {
                CALL if part > self.view && !self.lost(from) => {
                    self.called(from, part, &words)?;
                    return Err(Fault::Called { round: part });
                }
                CALL | STATE => {}
                _ if at > step && part & OPENING != 0 => self.keep((from, at, part), words)?,
                _ if at > step => return Err(Fault::Failed(desync(from))),
                _ => {}
            }
        }
    }

    /// Keeps an opening's message until that is due.
    fn keep(&mut self, place: (usize, u64, usize), words: Vec<u64>) -> Result<()> {
        let kept: usize = self.kept.values().map(Vec::len).sum();
        if kept + words.len() > KEPT {
            let problem = "more openings ahead of this party than it keeps";
            return Err(NetError::Malformed { peer: place.0, problem }.into());
        }
        self.kept.insert(place, words);
        Ok(())
    }

    fn next(&mut self, party: &mut Party, from: usize) -> std::result::Result<(u64, usize, Vec<u64>), Fault> {
        match party.recv_any(from) {
            Err(Error::Net(_)) => Err(self.loss(from)),
            other => Ok(other?),
        }
    }

    /// Another party's word on who is lost.
    fn called(&mut self, by: usize, round: usize, words: &[u64]) -> Result<()> {
        if round >= CALLED {
            return Err(desync(by));
        }
        let lost = words.first().copied().unwrap_or_default() as u32;
        if lost >> self.me & 1 == 1 {
            let reason = "the others counted this party as lost and went on without it".into();
            return Err(Error::Net(NetError::Reported { by, about: self.me, reason }));
        }
        self.lost |= lost & !(1 << by);
        Ok(())
    }

    /// All of an operation is here; it counts once all others say so, too.
    pub fn acknowledge(&mut self, party: &mut Party, step: u64) -> std::result::Result<(), Fault> {
        self.arrived = Some(self.view);
        let tile = self.view << VIEW_SHIFT | ACKNOWLEDGED;
        for peer in self.others() {
            self.send(party, peer, step, tile, &[1])?;
        }
        for peer in self.others() {
            self.recv(party, peer, step, tile, &mut [0])?;
        }
        Ok(())
    }

    /// Agrees with the others that are left on who is lost, and on the operation in progress: whether it counts. It does if it has arrived at
    /// all of them in the same view; then some may have gone on already. Otherwise none has, and it is begun again.
    pub fn agree(&mut self, party: &mut Party, fault: Fault) -> Result<bool> {
        let mut round = match fault {
            Fault::Failed(error) => return Err(error),
            Fault::Called { round } => round,
            Fault::Lost => self.view + 1,
        };
        loop {
            match self.round(party, round) {
                Ok(Some(counts)) => {
                    self.view = round;
                    return Ok(counts);
                }
                Ok(None) => round += 1,
                Err(Fault::Called { round: next }) => round = next.max(round + 1),
                Err(Fault::Lost) => round += 1,
                Err(Fault::Failed(error)) => return Err(error),
            }
        }
    }

    /// One round: `None` if the parties do not yet count the same as lost.
    fn round(&mut self, party: &mut Party, round: usize) -> std::result::Result<Option<bool>, Fault> {
        for peer in (0..self.n).filter(|peer| *peer != self.me) {
            // A party that is counted as lost is told so, if it can be.
            match party.send(peer, CALL, round, &[self.lost.into()]) {
                Err(Error::Net(_)) => self.lost |= 1 << peer,
                other => other?,
            }
        }
        let mine = Standing { step: self.step, arrived: self.arrived, lost: self.lost };
        let others: Vec<usize> = self.others().collect();
        for peer in &others {
            self.send(party, *peer, STATE, round, &mine.words())?;
        }
        let mut all = vec![mine];
        for peer in others {
            all.push(self.standing(party, peer, round)?);
        }
        let lost = all.iter().fold(self.lost, |lost, standing| lost | standing.lost);
        if all.iter().any(|standing| standing.lost != lost) {
            self.lost = lost;
            return Ok(None);
        }
        let mut have_it = all.iter().map(|standing| match standing.step.cmp(&self.step) {
            Ordering::Less => false,
            Ordering::Equal => standing.arrived.is_some() && standing.arrived == self.arrived,
            Ordering::Greater => true,
        });
        Ok(Some(have_it.all(|has| has)))
    }

    /// What another party says of itself in this round.
    fn standing(&mut self, party: &mut Party, from: usize, round: usize) -> std::result::Result<Standing, Fault> {
        loop {
            let (at, part, words) = self.next(party, from)?;
            match at {
                CALL => {
                    self.called(from, part, &words)?;
                    if part > round {
                        return Err(Fault::Called { round: part });
                    }
                }
                STATE if part == round => {
                    let words = words.try_into().map_err(|_| Fault::Failed(desync(from)))?;
                    return Ok(Standing::of(words));
                }
                _ if at < CONTROL && at >= self.step && part & OPENING != 0 => {
                    self.keep((from, at, part), words)?;
                }
                _ => {}
            }
        }
    }
}

fn copied(from: usize, words: &[u64], out: &mut [u64]) -> Result<()> {
    if words.len() != out.len() {
        return Err(NetError::Length { peer: from, want: 8 * out.len(), got: 8 * words.len() }.into());
    }
    out.copy_from_slice(words);
    Ok(())
}

fn desync(peer: usize) -> Error {
    NetError::Malformed {
        peer,
        problem: "a message of another place in the program; the parties run different programs",
    }
    .into()
}
