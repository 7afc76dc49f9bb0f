//! One verdict of a dealer that follows the protocol, at all parties: docs/protocols/additive-mac.md, 10.2, 10.3 and 11.2.

use crate::{Error, Party, Result};
use privity_net::NetError;

/// Whether a session may go on: not after a bad verdict.
pub(crate) fn none_was_bad(failed: bool) -> Result<()> {
    match failed {
        true => Err(Error::Cheating { check: "an earlier verification" }),
        false => Ok(()),
    }
}

/// Whose word the verdict is: party 0. All others compute.
const DEALER: usize = 0;

/// What a party says of a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum View {
    Failed,
    Good,
    /// A message of this party is missing.
    Missed(usize),
}

impl View {
    fn encode(self) -> u64 {
        match self {
            View::Failed => 0,
            View::Good => 1,
            View::Missed(party) => 2 + party as u64,
        }
    }
    /// What a word of `from` says; one that says nothing is as good as none.
    fn decode(word: u64, from: usize, n: usize) -> View {
        match word {
            0 => View::Failed,
            1 => View::Good,
            missed if (missed - 2) < n as u64 => View::Missed((missed - 2) as usize),
            _ => View::Missed(from),
        }
    }
    /// The graver of two.
    pub(crate) fn and(self, o: View) -> View {
        match (self, o) {
            (View::Failed, _) | (_, View::Failed) => View::Failed,
            (View::Good, other) | (other, View::Good) => other,
            (missed, _) => missed,
        }
    }
}

/// Every party tells the dealer what it saw, the dealer tells all the gravest of it.
pub(crate) fn agree(party: &mut Party, step: u64, seen: View, mut trouble: Option<NetError>) -> Result<()> {
    let n = party.n();
    let agreed = if party.me() == DEALER {
        let mut agreed = seen;
        for peer in DEALER + 1..n {
            let mut word = [0];
            let came = note(party.recv(peer, step, 1, &mut word), &mut trouble)?;
            agreed = agreed.and(if came { View::decode(word[0], peer, n) } else { View::Missed(peer) });
        }
        announce(party, step, agreed, &mut trouble)?;
        agreed
    } else {
        note(party.send(DEALER, step, 1, &[seen.encode()]), &mut trouble)?;
        hear(party, step)?
    };
    judge(agreed, trouble)
}

/// Dealer: the verdict, to all; who cannot be told does not keep it from the others.
pub(crate) fn announce(party: &mut Party, step: u64, agreed: View, trouble: &mut Option<NetError>) -> Result<()> {
    for peer in DEALER + 1..party.n() {
        note(party.send(peer, step, 2, &[agreed.encode()]), trouble)?;
    }
    Ok(())
}

/// The dealer's verdict. It may have waited for every other party, one after the other, so this party is as patient.
pub(crate) fn hear(party: &mut Party, step: u64) -> Result<View> {
    let (n, mut word) = (party.n(), [0]);
    patiently(n, || party.recv(DEALER, step, 2, &mut word))?;
    Ok(View::decode(word[0], DEALER, n))
}

pub(crate) fn judge(agreed: View, trouble: Option<NetError>) -> Result<()> {
    match agreed {
        View::Good => Ok(()),
        View::Failed => Err(Error::Cheating { check: "verification of everything since the last opening" }),
        View::Missed(about) => {
            let reason = "a message of the verification did not arrive; nothing was opened".into();
            Err(Error::Net(trouble.unwrap_or(NetError::Reported { by: DEALER, about, reason })))
        }
    }
}

/// Tries again what a deadline ended, as often as the dealer of `n` parties may have been kept waiting by others.
pub(crate) fn patiently(n: usize, mut f: impl FnMut() -> Result<()>) -> Result<()> {
    let mut tries = 2 * n;
    loop {
        tries -= 1;
        match f() {
            Err(Error::Net(NetError::Timeout { .. })) if tries > 0 => {}
            other => return other,
        }
    }
}

/// The dealer's word, to all, on whether what all parties sent it was one and the same.
pub(crate) fn same_at_all(party: &mut Party, step: u64, seen: Option<bool>, missed: Option<NetError>) -> Result<()> {
    if party.me() != DEALER {
        let agreed = hear(party, step)?;
        return judge(agreed, None);
    }
    let mut trouble = missed;
    let about = trouble.as_ref().and_then(NetError::about);
    let agreed = match seen {
        Some(true) => View::Good,
        Some(false) => View::Failed,
        None => View::Missed(about.unwrap_or(DEALER)),
    };
    announce(party, step, agreed, &mut trouble)?;
    judge(agreed, trouble)
}

/// Whether a message passed; trouble is noted.
pub(crate) fn note(passed: Result<()>, trouble: &mut Option<NetError>) -> Result<bool> {
    match passed {
        Ok(()) => Ok(true),
        Err(Error::Net(net)) => {
            trouble.get_or_insert(net);
            Ok(false)
        }
        Err(other) => Err(other),
    }
}
