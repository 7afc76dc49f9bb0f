//! Keys of checkpoints in escrow: in every session each party's checkpoints have a fresh key, of which each other party holds a verifiable
//! share. So a party that lost its identity can have its checkpoints read again, if enough others give its shares back.
//! Specification: docs/protocols/escrow.md.

use crate::{ConfigError, Job, JobError, run, write};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use privity_net::{Link, Tag};
use privity_prim::Secret;
use privity_shamir::vss::{self, Committee, KeyShare};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A key of AES-256-GCM.
pub(crate) fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, JobError> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| JobError::Internal("a key of 32 bytes".into()))?;
    Ok(LessSafeKey::new(key))
}

/// Small secrets of a party on its own disk, encrypted under the key derived from its private key, each bound to party and name.
pub(crate) struct Vault {
    folder: PathBuf,
    key: LessSafeKey,
    party: String,
}

/// The name under which the key of a session's checkpoints is kept.
fn key_name(session: &str) -> String {
    format!("key-{session}.sealed")
}

/// The name under which a share of another party's key is kept.
fn share_name(session: &str, owner: &str) -> String {
    format!("share-{session}-of-{owner}.sealed")
}

/// Whether a text that a file says is a session can be part of a name.
fn is_session(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Vault {
    pub fn new(folder: PathBuf, storage_key: &[u8; 32], party: &str) -> Result<Self, JobError> {
        Ok(Vault { folder, key: cipher(storage_key)?, party: party.into() })
    }
    fn bound_to(&self, name: &str) -> Vec<u8> {
        format!("privity escrow 1\n{}\n{name}", self.party).into_bytes()
    }
    fn seal(&self, name: &str, secret: &[u8]) -> Result<(), JobError> {
        let internal = |what: &str| JobError::Internal(what.into());
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| internal("no randomness for a sealed key"))?;
        // Room for the tag, so that no copy of the secret stays behind.
        let mut content = Zeroizing::new(Vec::with_capacity(secret.len() + AES_256_GCM.tag_len()));
        content.extend_from_slice(secret);
        let sealed =
            self.key.seal_in_place_append_tag(Nonce::from(&nonce), Aad::from(self.bound_to(name)), &mut *content);
        sealed.map_err(|_| internal("a key is too long to encrypt"))?;
        write::reserve(&self.folder, 0)?;
        write::atomically(&self.folder, name, &[&nonce[..], &content].concat()).map(|_| ())
    }
    fn open(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, JobError> {
        let file = self.folder.join(name);
        let refused = |problem: &str| ConfigError::Read { file: file.clone(), problem: problem.into() };
        let bytes = std::fs::read(&file).map_err(|e| refused(&e.to_string()))?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(|| refused("it is cut off"))?;
        let mut content = Zeroizing::new(sealed.to_vec());
        let opened = self.key.open_in_place(Nonce::from(nonce), Aad::from(self.bound_to(name)), &mut content);
        let length = opened.map_err(|_| refused("it was altered, or belongs to another identity"))?.len();
        content.truncate(length);
        Ok(content)
    }
    /// Spec 3.1: the key of the checkpoints of a session.
    pub fn key_of(&self, session: &str) -> Result<LessSafeKey, JobError> {
        if !is_session(session) {
            let problem = "a checkpoint names no session".into();
            return Err(ConfigError::Read { file: self.folder.clone(), problem }.into());
        }
        let bytes = self.open(&key_name(session))?;
        let key = bytes.first_chunk().filter(|_| bytes.len() == 32);
        cipher(key.ok_or_else(|| JobError::Internal("a sealed key of 32 bytes".into()))?)
    }
    /// Removes what was kept for sessions that no checkpoint is of any more.
    pub fn forget_all_but(&self, sessions: &[&str]) {
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let session = name.strip_suffix(".sealed").and_then(|name| name.split('-').nth(1));
            if session.is_some_and(|session| !sessions.contains(&session)) {
                // What stays is encrypted, and opens no checkpoint that there is.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// Step of the exchange: that of the agreement on checkpoints, which comes before it.
const STEP: u64 = u64::MAX - 1;
/// Tiles of its two messages; the agreement has 0 and 1.
const SHARES: Tag = Tag { epoch: 0, step: STEP, tile: 2 };
const FINGERPRINTS: Tag = Tag { epoch: 0, step: STEP, tile: 3 };

/// The number of a party among the holders of another one's key: all but the owner, in their order, from 1.
fn place(party: usize, owner: usize) -> usize {
    if party < owner { party + 1 } else { party }
}

/// Who is to hold each key of a job of so many parties.
pub(crate) fn committee(threshold: usize, parties: usize) -> Result<Committee, privity_shamir::Error> {
    Committee::new(threshold, parties.saturating_sub(1))
}

/// Spec 2: deals this party's fresh key for the session, takes its shares of the others' keys, and sees to it that each of them was dealt alike
/// to all. When this returns, all parties hold what they should, on disk.
///
/// # Errors
/// The network; a share that does not fit, or two parties that were dealt different things, by the dealer's name.
pub(crate) fn exchange(
    link: &mut dyn Link,
    names: &[String],
    committee: Committee,
    session: &str,
    vault: &Vault,
) -> Result<(), JobError> {
    let (me, n) = (link.me(), link.n());
    let others: Vec<usize> = (0..n).filter(|party| *party != me).collect();
    // Spec 2.1
    let (key, shares) = vss::deal(committee).map_err(|e| JobError::Internal(e.to_string()))?;
    vault.seal(&key_name(session), key.expose())?;
    for (peer, share) in others.iter().zip(&shares) {
        link.send(*peer, SHARES, 0, &share.encode()).map_err(JobError::Net)?;
    }
    // Spec 2.2
    let mut fingerprints = vec![[0; 32]; n];
    fingerprints[me] = shares[0].sharing().fingerprint();
    for dealer in &others {
        let mut bytes = Zeroizing::new(vec![0; KeyShare::encoded_len(committee)]);
        link.recv(*dealer, SHARES, &mut bytes).map_err(JobError::Net)?;
        let accused = |problem: String| JobError::Escrow { dealer: names[*dealer].clone(), problem };
        let share = KeyShare::decode(&bytes).map_err(|e| accused(e.to_string()))?;
        let sharing = share.sharing();
        if sharing.committee() != committee || sharing.generation() != 0 || share.holder() != place(me, *dealer) {
            return Err(accused("it is of another sharing, or for another holder".into()));
        }
        fingerprints[*dealer] = sharing.fingerprint();
        vault.seal(&share_name(session, &names[*dealer]), &bytes)?;
    }
    // Spec 2.3
    let mine = fingerprints.concat();
    for peer in &others {
        link.send(*peer, FINGERPRINTS, 0, &mine).map_err(JobError::Net)?;
    }
    for peer in others {
        let mut theirs = vec![0; mine.len()];
        link.recv(peer, FINGERPRINTS, &mut theirs).map_err(JobError::Net)?;
        let differs = mine.chunks_exact(32).zip(theirs.chunks_exact(32)).position(|(mine, theirs)| mine != theirs);
        if let Some(dealer) = differs {
            let problem = format!("`{}` says that it was dealt another key than this party", names[peer]);
            return Err(JobError::Escrow { dealer: names[dealer].clone(), problem });
        }
    }
    Ok(())
}

/// Whether an error is of this party alone, so that the others have to be told.
pub(crate) fn is_news(error: &JobError) -> bool {
    !matches!(error, JobError::Net(_) | JobError::Peer { .. })
}

/// The folder of a party's checkpoints, and what is sealed in it.
fn vault(job: &Job, party: &str, identity: &Path, out: &Path) -> Result<Vault, JobError> {
    let identity = run::identity(job, job.index(party)?, identity)?;
    Vault::new(out.join(crate::checkpoint::FOLDER), &Zeroizing::new(identity.storage_key()), party)
}

/// Spec 4.1: the shares of another party's keys that this one holds, encoded, by session. They are for that party alone.
///
/// # Errors
/// The identity is not the one that the job file names; a file that cannot be read; none there.
pub fn export(
    job: &Job,
    party: &str,
    identity: &Path,
    out: &Path,
    of: &str,
) -> Result<Vec<(String, Zeroizing<Vec<u8>>)>, JobError> {
    job.index(of)?;
    let vault = vault(job, party, identity, out)?;
    let mut sessions: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(&vault.folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let session = name.strip_prefix("share-").and_then(|rest| rest.strip_suffix(&format!("-of-{of}.sealed")));
        sessions.extend(session.filter(|session| is_session(session)).map(str::to_owned));
    }
    sessions.sort_unstable();
    if sessions.is_empty() {
        let problem = format!("no share of a key of `{of}` is kept there");
        return Err(ConfigError::Read { file: vault.folder, problem }.into());
    }
    sessions.into_iter().map(|session| vault.open(&share_name(&session, of)).map(|share| (session, share))).collect()
}

/// What was recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Checkpoints that this party can read again.
    pub checkpoints: Vec<PathBuf>,
    /// What was not used: index among the inputs, and why.
    pub ignored: Vec<(usize, String)>,
}

/// Spec 4.2: makes a party's checkpoints readable under the identity that it has now, from shares that the others gave back.
///
/// # Errors
/// The identity is not the one that the job file names; not enough shares of one key fit; no checkpoint is opened by a key.
pub fn recover(job: &Job, party: &str, identity: &Path, out: &Path, inputs: &[&[u8]]) -> Result<Recovered, JobError> {
    let vault = vault(job, party, identity, out)?;
    let refused = |problem: String| JobError::from(ConfigError::Recover { folder: vault.folder.clone(), problem });
    let (mut groups, mut ignored) = (BTreeMap::<[u8; 32], Vec<(usize, &[u8])>>::new(), Vec::new());
    for (index, bytes) in inputs.iter().enumerate() {
        match KeyShare::decode(bytes) {
            Ok(share) => groups.entry(share.sharing().key_id()).or_default().push((index, bytes)),
            Err(problem) => ignored.push((index, problem.to_string())),
        }
    }
    let (mut checkpoints, mut problems) = (Vec::new(), Vec::new());
    for group in groups.values() {
        let shares: Vec<&[u8]> = group.iter().map(|(_, bytes)| *bytes).collect();
        match vss::combine(&shares) {
            Ok(done) => {
                ignored.extend(done.ignored.iter().map(|(i, why)| (group[*i].0, format!("it {why}"))));
                let opened = restore(&vault, &done.key)?;
                if opened.is_empty() {
                    problems.push("a key opens no checkpoint there".into());
                }
                checkpoints.extend(opened);
            }
            Err(problem) => problems.push(problem.to_string()),
        }
    }
    ignored.sort_unstable();
    problems.extend(ignored.iter().map(|(i, why): &(usize, String)| format!("number {}: {why}", i + 1)));
    checkpoints.sort_unstable();
    match checkpoints.is_empty() {
        true => Err(refused(problems.join("; "))),
        false => Ok(Recovered { checkpoints, ignored }),
    }
}

/// Keeps a key for the sessions of all checkpoints that it opens.
fn restore(vault: &Vault, key: &Secret) -> Result<Vec<PathBuf>, JobError> {
    let cipher = cipher(key.expose())?;
    let mut opened = Vec::new();
    for entry in std::fs::read_dir(&vault.folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let session =
            std::fs::read(&path).ok().and_then(|bytes| crate::checkpoint::opens(&bytes, &vault.party, &cipher));
        if let Some(session) = session.filter(|session| is_session(session)) {
            vault.seal(&key_name(&session), key.expose())?;
            opened.push(path);
        }
    }
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;
    use privity_net::AbortCause;
    use privity_net::memory::mesh;

    const SESSION: &str = "5e55000000000000000000000000000000000000000000000000000000000000";

    fn names() -> Vec<String> {
        ["a", "b", "c", "d"].map(String::from).into()
    }

    fn vault_of(party: usize, folder: &Path) -> Vault {
        Vault::new(folder.join(&names()[party]), &[party as u8; 32], &names()[party]).expect("a key")
    }

    /// The exchange of four parties, of which the first does as `deviates` says, if there is something.
    fn exchanged(folder: &Path, deviates: Option<fn(&mut dyn Link)>) -> Vec<Result<(), JobError>> {
        let committee = committee(2, 4).expect("sound");
        let run = |(party, mut link): (usize, privity_net::sim::SimLink)| match deviates.filter(|_| party == 0) {
            Some(deviates) => {
                deviates(&mut link);
                Ok(())
            }
            None => {
                let done = exchange(&mut link, &names(), committee, SESSION, &vault_of(party, folder));
                if let Some(error) = done.as_ref().err().filter(|error| is_news(error)) {
                    link.abort(&AbortCause { about: party, reason: error.to_string() });
                }
                done
            }
        };
        std::thread::scope(|scope| {
            let running: Vec<_> = mesh(4).into_iter().enumerate().map(|own| scope.spawn(|| run(own))).collect();
            running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        })
    }

    #[test]
    fn each_holds_a_sealed_share_of_every_others_key() {
        let folder = tempfile::tempdir().expect("a directory");
        assert!(exchanged(folder.path(), None).iter().all(Result::is_ok));
        for (owner, name) in names().iter().enumerate() {
            let key = vault_of(owner, folder.path()).open(&key_name(SESSION)).expect("its own key");
            let others = (0..4).filter(|party| *party != owner);
            let shares: Vec<_> = others
                .map(|party| {
                    let sealed = folder.path().join(&names()[party]).join(share_name(SESSION, name));
                    let bytes = std::fs::read(sealed).expect("there");
                    assert!(!bytes.windows(7).any(|window| window == b"privity"), "it is encrypted");
                    vault_of(party, folder.path()).open(&share_name(SESSION, name)).expect("a share")
                })
                .collect();
            for left_out in 0..3 {
                let given: Vec<&[u8]> = (0..3).filter(|i| *i != left_out).map(|i| &shares[i][..]).collect();
                assert_eq!(vss::combine(&given).expect("two are enough").key.expose()[..], key[..]);
                assert!(vss::combine(&given[..1]).is_err());
            }
        }
        // Under another identity, or another name, nothing is opened.
        let mut other = vault_of(1, folder.path());
        other.party = "c".into();
        assert!(other.open(&key_name(SESSION)).is_err());
        let (from, to) = (share_name(SESSION, "a"), share_name(SESSION, "c"));
        let own = folder.path().join("b");
        std::fs::copy(own.join(&from), own.join(&to)).expect("copied");
        assert!(vault_of(1, folder.path()).open(&from).is_ok() && vault_of(1, folder.path()).open(&to).is_err());
        // What no checkpoint is of goes.
        vault_of(1, folder.path()).forget_all_but(&[SESSION]);
        assert_eq!(std::fs::read_dir(&own).expect("there").count(), 4);
        vault_of(1, folder.path()).forget_all_but(&[]);
        assert_eq!(std::fs::read_dir(&own).expect("there").count(), 0);
        for session in ["", "../../../etc/passwd", &"A".repeat(64), &"a".repeat(63)] {
            assert!(vault_of(1, folder.path()).key_of(session).is_err());
        }
    }

    fn shares() -> Vec<KeyShare> {
        vss::deal(committee(2, 4).expect("sound")).expect("dealt").1
    }

    /// What the first party sends, and what it then says it has seen.
    fn play(link: &mut dyn Link, dealt: &[Zeroizing<Vec<u8>>; 3], own: [u8; 32]) {
        for (peer, share) in (1..4).zip(dealt) {
            link.send(peer, SHARES, 0, share).expect("sent");
        }
        let mut fingerprints = vec![own];
        for peer in 1..4 {
            let mut bytes = vec![0; dealt[0].len()];
            // One that has found something out may be gone.
            let Ok(_) = link.recv(peer, SHARES, &mut bytes) else { return };
            fingerprints.push(KeyShare::decode(&bytes).expect("honest").sharing().fingerprint());
        }
        for peer in 1..4 {
            let _ = link.send(peer, FINGERPRINTS, 0, &fingerprints.concat());
        }
        for peer in 1..4 {
            let _ = link.recv(peer, FINGERPRINTS, &mut [0; 4 * 32]);
        }
    }

    #[test]
    fn a_dealer_that_deviates_is_named_and_all_stop() {
        let cases: [(&str, fn(&mut dyn Link)); 4] = [
            ("does not fit", |link| {
                let all = shares();
                let mut dealt = [all[0].encode(), all[1].encode(), all[2].encode()];
                *dealt[1].last_mut().expect("bytes") ^= 1;
                play(link, &dealt, all[0].sharing().fingerprint());
            }),
            ("another holder", |link| {
                let all = shares();
                play(link, &[all[1].encode(), all[0].encode(), all[2].encode()], all[0].sharing().fingerprint());
            }),
            ("another sharing", |link| {
                let all = vss::deal(Committee::new(2, 5).expect("sound")).expect("dealt").1;
                play(link, &[all[0].encode(), all[1].encode(), all[2].encode()], all[0].sharing().fingerprint());
            }),
            ("was dealt another key", |link| {
                let (one, two) = (shares(), shares());
                play(link, &[one[0].encode(), one[1].encode(), two[2].encode()], one[0].sharing().fingerprint());
            }),
        ];
        for (why, deviates) in cases {
            let folder = tempfile::tempdir().expect("a directory");
            let done = exchanged(folder.path(), Some(deviates));
            assert!(done[1..].iter().all(Result::is_err), "{why}: {done:?}");
            let accusing = done[1..].iter().filter_map(|done| match done {
                Err(JobError::Escrow { dealer, problem }) => Some((dealer.as_str(), problem)),
                _ => None,
            });
            let accusing: Vec<_> = accusing.collect();
            assert!(!accusing.is_empty() && accusing.iter().all(|(dealer, _)| *dealer == "a"), "{why}: {done:?}");
            assert!(accusing.iter().any(|(_, problem)| problem.contains(why)), "{why}: {done:?}");
        }
    }
}
