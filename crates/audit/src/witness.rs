//! What a member remembers of the logs of the others.

use crate::entry::write;
use crate::lines::{Lines, end_of};
use crate::log::{EVIDENCE, WITNESSED, each};
use crate::merkle::{Hash, extends};
use crate::read::Evidence;
use crate::{AuditError, Cosignature, Head, Log};
use privity_api::{Record, Statement, StatementError, Time};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Most pieces of evidence that are kept; the first is enough, and nobody may fill the disk with more.
const MOST_EVIDENCE: u64 = 1000;

/// The heads of other members' logs, verified, each the continuation of the last. Belongs to a [`Log`], which records what is cosigned.
pub struct Witness {
    log: Arc<Log>,
    inner: Mutex<Inner>,
}

struct Inner {
    /// By name and root: the log under another root is another one.
    last: BTreeMap<(String, String), Statement<Head>>,
    witnessed: Lines,
    evidence: Lines,
    pieces: u64,
}

/// Why a head is not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// Not that member's.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Someone else's log.
    #[error("this is a head of the log of {found}, not of {wanted}")]
    Foreign {
        /// Whose it should be.
        wanted: String,
        /// Whose it is.
        found: String,
    },
    /// An older one. Whoever carries messages may have kept it: no evidence against the member.
    #[error(
        "{organisation} showed a head over {seen} entries that is older than the one over {kept} seen before; ask it for its newest"
    )]
    Stale {
        /// Who.
        organisation: String,
        /// Entries of this one.
        seen: u64,
        /// Entries of the one before.
        kept: u64,
    },
    /// It signed two heads of one size, or a shorter one later. Both are here and on the disk.
    #[error("{} has forked or shortened its audit log: it signed {} and {} entries that are not of one log; both signed heads are kept as evidence", .0.organisation, .0.kept.body.size, .0.seen.body.size)]
    Forked(Box<Evidence>),
    /// The proof does not lead from the one to the other: either the log forked, or the proof was spoilt on its way. Both heads are here and on the disk.
    #[error("{} did not prove that its log of {} entries continues the one of {} seen before; ask again, and if that repeats, its log has forked: both signed heads are kept", .0.organisation, .0.seen.body.size, .0.kept.body.size)]
    Unproven(Box<Evidence>),
    /// This node's own log.
    #[error(transparent)]
    Log(#[from] AuditError),
}

impl Witness {
    /// Opens what is remembered beside a log. What was remembered and not yet recorded, because of a crash, is recorded now.
    ///
    /// # Errors
    /// The disk, files that were altered.
    pub fn open(log: Arc<Log>, now: Time) -> Result<Witness, AuditError> {
        let (witnessed, evidence) = (log.dir().join(WITNESSED), log.dir().join(EVIDENCE));
        let mut last = BTreeMap::new();
        let mut newest: BTreeMap<String, Head> = BTreeMap::new();
        let of_heads = each(&witnessed, |statement: Statement<Head>, _| {
            let fingerprint = blake3::hash(&statement.certificate).to_hex().to_string();
            statement.verify(&statement.body.organisation, &fingerprint).map_err(|e| e.to_string())?;
            newest.insert(statement.body.organisation.clone(), statement.body.clone());
            last.insert((statement.body.organisation.clone(), fingerprint), statement);
            Ok(())
        })?;
        let of_evidence = each(&evidence, |_: Evidence, _| Ok(()))?;
        let files = (end_of(&witnessed)?, end_of(&evidence)?);
        // Opened before this, they are not a successor's: nothing of its is cut off.
        log.check()?;
        let inner = Inner {
            last,
            witnessed: Lines::behind(witnessed, files.0, of_heads.whole)?,
            evidence: Lines::behind(evidence, files.1, of_evidence.whole)?,
            pieces: of_evidence.lines,
        };
        log.record_cut(now, WITNESSED, &of_heads.torn)?;
        log.record_cut(now, EVIDENCE, &of_evidence.torn)?;
        for head in newest.values() {
            record(&log, now, head)?;
        }
        Ok(Witness { log, inner: Mutex::new(inner) })
    }

    /// Where the log of the member with this root was when it was last seen: what a proof of consistency must begin with; 0 if never.
    pub fn size_of(&self, organisation: &str, pinned: &str) -> u64 {
        let inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept(&inner, organisation, pinned).map_or(0, |statement| statement.body.size)
    }

    /// Verifies a head of the member with this root, and that it continues the last one that was seen. Remembers it, records it in this node's log, and
    /// signs that it has. `proof` leads from [`Witness::size_of`] to the head; the first head of a member needs none.
    ///
    /// # Errors
    /// It is not the member's, or does not continue: evidence is kept and carried in the error. Or the own log takes nothing more.
    pub fn observe(
        &self,
        now: Time,
        organisation: &str,
        pinned: &str,
        statement: &Statement<Head>,
        proof: &[Hash],
    ) -> Result<Statement<Cosignature>, WitnessError> {
        let head = statement.verify(organisation, pinned)?;
        if head.organisation != organisation || organisation == self.log.organisation() {
            return Err(WitnessError::Foreign { wanted: organisation.into(), found: head.organisation.clone() });
        }
        let Ok(mut inner) = self.inner.lock() else {
            return Err(AuditError::Closed("a thread panicked".into()).into());
        };
        // Nothing is kept beside a log that is another process's by now.
        self.log.check()?;
        let kept = kept(&inner, organisation, pinned).cloned();
        if let Some(kept) = &kept
            && let Err(error) = continues(now, kept, statement, proof)
        {
            return Err(self.keep(&mut inner, error));
        }
        // The head is on the disk before the log says that it was seen: if a crash comes between, `open` makes up for it.
        if kept.is_none_or(|kept| kept.body.size < head.size) {
            inner.witnessed.append(&write(statement))?;
            inner.last.insert((organisation.into(), pinned.into()), statement.clone());
        }
        record(&self.log, now, head)?;
        let own = self.log.organisation().to_owned();
        // Where all of that was there already, nothing told that the log is another process's by now: what is signed is what that one would sign, too.
        self.log.check()?;
        let body = Cosignature { organisation: own, head: head.clone(), root: pinned.into(), at: now };
        Ok(Statement::new(body, self.log.signer())?)
    }

    /// Evidence goes to the disk; that it cannot is the graver error.
    fn keep(&self, inner: &mut Inner, error: WitnessError) -> WitnessError {
        let (WitnessError::Forked(evidence) | WitnessError::Unproven(evidence)) = &error else { return error };
        if inner.pieces >= MOST_EVIDENCE {
            return error;
        }
        inner.pieces += 1;
        match inner.evidence.append(&write(&**evidence)) {
            Ok(()) => error,
            Err(disk) => disk.into(),
        }
    }
}

/// The last head of the log of the member with this root. Where a person had a member's root forgotten and it has another, its log began anew.
fn kept<'a>(inner: &'a Inner, organisation: &str, pinned: &str) -> Option<&'a Statement<Head>> {
    inner.last.get(&(organisation.to_owned(), pinned.to_owned()))
}

/// The own log says that a head was seen, once.
fn record(log: &Log, now: Time, head: &Head) -> Result<(), AuditError> {
    let seen = (head.size, head.root.to_string());
    if log.seen_of(&head.organisation).as_ref() == Some(&seen) {
        return Ok(());
    }
    let record = Record::Cosigned { organisation: head.organisation.clone(), size: seen.0, root: seen.1 };
    log.append(now, &record).map(|_| ())
}

/// Whether a signed head continues another of the same log.
fn continues(now: Time, kept: &Statement<Head>, seen: &Statement<Head>, proof: &[Hash]) -> Result<(), WitnessError> {
    let evidence = || {
        let organisation = seen.body.organisation.clone();
        Box::new(Evidence { organisation, kept: kept.clone(), seen: seen.clone(), at: now })
    };
    let (old, new) = (&kept.body, &seen.body);
    if conflict(old, new) {
        return Err(WitnessError::Forked(evidence()));
    }
    if new.size < old.size {
        let (seen, kept) = (new.size, old.size);
        return Err(WitnessError::Stale { organisation: old.organisation.clone(), seen, kept });
    }
    // Of one size and root nothing needs proof; also not if one comes along.
    match new.size == old.size || extends(old.size, old.root, new.size, new.root, proof) {
        true => Ok(()),
        false => Err(WitnessError::Unproven(evidence())),
    }
}

/// Whether two heads of one organisation cannot be of one log that only grows, whatever its entries: two roots of one size, or fewer entries later.
pub(crate) fn conflict(one: &Head, other: &Head) -> bool {
    let forked = one.size == other.size && one.root != other.root;
    let shrunk = |a: &Head, b: &Head| b.size < a.size && b.at > a.at;
    forked || shrunk(one, other) || shrunk(other, one)
}
