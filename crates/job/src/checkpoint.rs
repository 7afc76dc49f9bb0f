//! Encrypted shares of a training's state, one file per epoch at each party, and the agreement on which to go on from.
//!
//! A party writes the checkpoint of an epoch before it takes part in the next, and the opening at the end of an epoch needs
//! everybody: so when one party has epoch `e + 1`, all have written `e`. Each keeps its last two, so there is a common one.

use crate::escrow::{self, Vault, cipher};
use crate::{ConfigError, Job, JobError, write};
use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use privity_mpc::{Origin, Share, rep3};
use privity_net::{Link, Tag};
use privity_nn::{Keeper, Kept, TrainError};
use privity_ring::{Ring, Shape, Tensor};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Folder of checkpoints in a party's output directory.
pub(crate) const FOLDER: &str = "checkpoints";
/// Checkpoints kept.
const KEPT: usize = 2;
/// The party that joins three, in the order of participants.
const JOINER: usize = 3;
/// Step of the agreement: above every program step, below that of the key exchange.
const STEP: u64 = u64::MAX - 1;

/// What a checkpoint says of itself in the clear; authenticated with its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    /// Digest of the job.
    job: String,
    /// The party.
    party: String,
    /// The protocol, and the party's number in it: what its shares mean.
    protocol: String,
    role: usize,
    /// How many parties there are, and how many of them the shares are meant to resist: the degree of a polynomial.
    parties: usize,
    threshold: usize,
    /// What protected the training so far, in words.
    security: String,
    /// Session in which it was taken: the same at all parties.
    session: String,
    /// Epochs done.
    epochs: usize,
    /// Updates that Adam made.
    steps: i32,
    /// Mean training losses so far: they were opened.
    losses: Vec<f64>,
    /// Extents of the shares.
    shapes: Vec<Vec<usize>>,
    /// Tensors of a share.
    parts: usize,
    /// Whether it is encrypted under the session's key, which is in escrow, and not under that of the identity.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    escrow: bool,
}

/// One party's checkpoints of a job.
pub struct Store {
    folder: PathBuf,
    key: LessSafeKey,
    vault: Vault,
    /// The key of this session's checkpoints, if keys are in escrow.
    session_key: Option<LessSafeKey>,
    job: String,
    /// Digest of the job that this one goes on from, and under what its checkpoints were kept.
    before: Option<(String, Origin)>,
    /// Epochs of the job.
    all: usize,
    party: String,
    protocol: &'static str,
    role: usize,
    parties: usize,
    threshold: usize,
    /// What protects the training, with that of earlier jobs that it goes on from.
    pub(crate) security: String,
    /// Whether the end of the last epoch is kept, too.
    last: bool,
    session: String,
    /// Losses of the epochs done, those before a resumption included; whoever observes the training adds to them.
    losses: Rc<RefCell<Vec<f64>>>,
    restored: Option<(Header, Vec<u8>)>,
    /// Epochs that the newest checkpoint holds, if there is any to go back to.
    pub(crate) safe: Option<usize>,
    failure: Option<JobError>,
}

/// What the parties agreed on before they start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    epochs: u64,
    /// Whether it is of the job before an amendment.
    before: bool,
    /// Of job, session and epochs.
    id: [u8; 32],
}

impl Store {
    /// The store of a party in `out`.
    ///
    /// # Errors
    /// Unless `resume` is asked for: checkpoints of this job are there already.
    pub(crate) fn open(job: &Job, me: usize, key: [u8; 32], out: &Path, resume: bool) -> Result<Store, JobError> {
        let store = Store {
            folder: out.join(FOLDER),
            key: cipher(&key)?,
            vault: Vault::new(out.join(FOLDER), &key, &job.names()[me])?,
            session_key: None,
            job: job.digest_hex(),
            before: job.goes_on_from(),
            all: job.file().training.epochs,
            party: job.names()[me].clone(),
            protocol: job.protocol().name(),
            role: me,
            parties: job.names().len(),
            threshold: job.threshold(),
            security: job.security(),
            last: job.file().keep,
            session: String::new(),
            losses: Rc::default(),
            restored: None,
            safe: None,
            failure: None,
        };
        store.sweep();
        match resume || store.list().is_empty() {
            true => Ok(store),
            false => Err(ConfigError::Unfinished { folder: store.folder }.into()),
        }
    }

    /// Deals and takes shares of the keys of this session's checkpoints, if the job has them in escrow.
    ///
    /// # Errors
    /// The network; a dealer that deviates; a share that cannot be kept.
    pub(crate) fn escrow(&mut self, link: &mut dyn Link, job: &Job) -> Result<(), JobError> {
        let Some(checkpoint) = job.file().checkpoint else { return Ok(()) };
        let committee = escrow::committee(checkpoint.escrow.threshold, link.n());
        let committee = committee.map_err(|e| JobError::Internal(e.to_string()))?;
        escrow::exchange(link, &job.names(), committee, &self.session, &self.vault)?;
        self.session_key = Some(self.vault.key_of(&self.session)?);
        Ok(())
    }

    /// Removes what a process that was killed while writing left behind.
    fn sweep(&self) {
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(".tmp") {
                // It is no checkpoint under any name; that it stays does no harm.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Checkpoints that can be read back, newest first.
    fn list(&self) -> Vec<(Header, PathBuf)> {
        let files = std::fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let readable = files.filter_map(|path| self.load(&path).ok().map(|(header, _)| (header, path)));
        let mut all: Vec<(Header, PathBuf)> = readable.collect();
        all.sort_by_key(|(header, _)| std::cmp::Reverse(header.epochs));
        all
    }

    /// Reads, authenticates and decrypts a file of this party, of this job or the one it goes on from.
    fn load(&self, path: &Path) -> Result<(Header, Vec<u8>), JobError> {
        let refused = |problem: &str| JobError::Output { file: path.into(), problem: problem.into() };
        let bytes = std::fs::read(path).map_err(|e| refused(&e.to_string()))?;
        let (header, line, rest) = parse(&bytes).ok_or_else(|| refused("it is no checkpoint"))?;
        if !(header.job == self.job || self.is_before(&header)) || header.party != self.party {
            return Err(refused("it is a checkpoint of another job or party"));
        }
        if !self.means_the_same(&header) {
            return Err(refused(
                "it holds shares of another protocol, role, number of parties or threshold than this job goes on from",
            ));
        }
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(|| refused("it is cut off"))?;
        let nonce = Nonce::from(nonce);
        let mut content = sealed.to_vec();
        let escrowed = header.escrow.then(|| self.vault.key_of(&header.session)).transpose()?;
        let opened = escrowed.as_ref().unwrap_or(&self.key).open_in_place(nonce, Aad::from(line), &mut content);
        let length = opened.map_err(|_| refused("it was altered, or belongs to another identity"))?.len();
        content.truncate(length);
        Ok((header, content))
    }

    /// Whether the shares of a checkpoint are what this job takes them for.
    fn means_the_same(&self, header: &Header) -> bool {
        match self.before.as_ref().filter(|_| self.is_before(header)) {
            Some((_, Origin::Without(lost))) => {
                header.protocol == "rep4" && rep3::roles_without(*lost).get(self.role) == Some(&header.role)
            }
            Some((_, Origin::Joined)) => header.protocol == "rep3" && header.role == self.role,
            Some((_, Origin::Same)) | None => {
                let sharing = (header.protocol.as_str(), header.parties, header.threshold);
                sharing == (self.protocol, self.parties, self.threshold) && header.role == self.role
            }
        }
    }

    /// Whether a checkpoint is of the job that this one goes on from.
    fn is_before(&self, header: &Header) -> bool {
        self.before.as_ref().is_some_and(|(job, _)| *job == header.job)
    }

    fn entry(&self, header: &Header) -> Entry {
        let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 identifier of a checkpoint");
        for part in [&header.job, &header.session] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        hasher.update(&(header.epochs as u64).to_le_bytes());
        let before = self.is_before(header);
        Entry { epochs: header.epochs as u64, before, id: *hasher.finalize().as_bytes() }
    }

    /// Tells the others what is here, learns what is there, and takes the newest that all have. Without `resume` at any party
    /// all start afresh; one that alone asks for it, or alone does not, is an error at all. With nothing in common, they start afresh if `anew`.
    ///
    /// # Errors
    /// The network; [`ConfigError::Resume`].
    pub(crate) fn agree(
        &mut self,
        link: &mut dyn Link,
        names: &[String],
        (resume, anew): (bool, bool),
        session: &str,
    ) -> Result<usize, JobError> {
        self.session = session.into();
        let here = if resume { self.list() } else { Vec::new() };
        let mine: Vec<Entry> = here.iter().take(KEPT).map(|(header, _)| self.entry(header)).collect();
        let tag = Tag { epoch: 0, step: STEP, tile: 0 };
        let others: Vec<usize> = (0..link.n()).filter(|peer| *peer != link.me()).collect();
        for peer in &others {
            link.send(*peer, tag, 0, &encode(resume, &mine)).map_err(JobError::Net)?;
        }
        let mut all = vec![Vec::new(); link.n()];
        all[link.me()] = mine;
        for peer in others {
            let mut bytes = [0; MESSAGE];
            link.recv(peer, tag, &mut bytes).map_err(JobError::Net)?;
            let (resumes, theirs) = decode(&bytes);
            if resumes != resume {
                return Err(ConfigError::Resume { peer: names[peer].clone(), resumes }.into());
            }
            all[peer] = theirs;
        }
        let Some(newest) = newest_common(&all, |_| true).or_else(|| self.joined(&all)) else {
            // A job that goes on from another has no beginning of its own.
            let begins = !resume || (anew && self.before.is_none());
            return if begins { Ok(0) } else { Err(ConfigError::NothingCommon.into()) };
        };
        let chosen = here.into_iter().find(|(header, _)| self.entry(header) == newest);
        let joins = newest.before && matches!(self.before, Some((_, Origin::Joined)));
        let (header, content) = match chosen {
            Some((_, path)) => self.load(&path)?,
            None if joins && link.me() == JOINER => (self.told_state(link, newest)?, Vec::new()),
            None => return Err(JobError::Internal("a chosen checkpoint is one of ours".into())),
        };
        if joins && link.me() != JOINER {
            link.send(JOINER, Tag { tile: 1, ..tag }, 0, &state(&header)).map_err(JobError::Net)?;
        }
        self.losses.borrow_mut().clone_from(&header.losses);
        match (self.is_before(&header), header.security.as_str()) {
            (_, "") => {}
            (true, earlier) => self.security = format!("{}; before that: {earlier}", self.security),
            (false, same) => self.security = same.into(),
        }
        self.safe = Some(header.epochs);
        let epochs = header.epochs;
        self.restored = Some((header, content));
        Ok(epochs)
    }

    /// What the three have in common that a fourth is to join, which has nothing of it.
    fn joined(&self, all: &[Vec<Entry>]) -> Option<Entry> {
        let joins = matches!(self.before, Some((_, Origin::Joined)));
        joins.then(|| newest_common(&all[..JOINER], |entry| entry.before)).flatten()
    }

    /// The party that joins is told by all three where training stands; it believes them if they say the same.
    fn told_state(&self, link: &mut dyn Link, newest: Entry) -> Result<Header, JobError> {
        let epochs = usize::try_from(newest.epochs).ok().filter(|epochs| *epochs <= self.all);
        let epochs = epochs.ok_or(ConfigError::NothingCommon)?;
        let mut told = Vec::new();
        for peer in 0..JOINER {
            let mut bytes = vec![0; 8 + 8 * epochs];
            link.recv(peer, Tag { epoch: 0, step: STEP, tile: 1 }, &mut bytes).map_err(JobError::Net)?;
            told.push(bytes);
        }
        if told.iter().any(|bytes| *bytes != told[0]) {
            let check = "what three parties tell a fourth of their checkpoint";
            return Err(privity_mpc::Error::Cheating { check }.into());
        }
        let words: Vec<u64> =
            told[0].chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().expect("eight bytes"))).collect();
        Ok(Header {
            job: self.before.as_ref().map(|(job, _)| job.clone()).unwrap_or_default(),
            party: self.party.clone(),
            protocol: String::new(),
            role: self.role,
            parties: self.parties,
            threshold: self.threshold,
            security: String::new(),
            session: String::new(),
            epochs,
            steps: words[0] as i32,
            losses: words[1..].iter().map(|word| f64::from_bits(*word)).collect(),
            shapes: Vec::new(),
            parts: 0,
            escrow: false,
        })
    }

    /// Losses of all epochs so far, shared with the observer of the training.
    pub(crate) fn losses(&self) -> Rc<RefCell<Vec<f64>>> {
        self.losses.clone()
    }

    /// What went wrong while keeping, with its file.
    pub(crate) fn failure(&mut self) -> Option<JobError> {
        self.failure.take()
    }

    /// The job is over: what was kept for it goes.
    pub(crate) fn remove(&self) {
        // What cannot be removed is encrypted, and refused by any other job.
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    fn save<A: Share>(&self, kept: &Kept<A>) -> Result<(), JobError> {
        let header = Header {
            job: self.job.clone(),
            party: self.party.clone(),
            protocol: self.protocol.into(),
            role: self.role,
            parties: self.parties,
            threshold: self.threshold,
            security: self.security.clone(),
            session: self.session.clone(),
            epochs: kept.epochs,
            steps: kept.steps,
            losses: self.losses.borrow().clone(),
            shapes: kept.shares.iter().map(|share| share.shape().extents().to_vec()).collect(),
            parts: kept.shares.first().map_or(0, |share| share.parts().len()),
            escrow: self.session_key.is_some(),
        };
        let internal = |what: &str| JobError::Internal(what.into());
        let mut file = serde_json::to_vec(&header).map_err(|e| JobError::Internal(e.to_string()))?;
        let words = kept.shares.iter().flat_map(Share::parts).flat_map(|t| t.data().iter().map(|v| v.to_u64()));
        let mut content: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| internal("no randomness for a checkpoint"))?;
        let key = self.session_key.as_ref().unwrap_or(&self.key);
        let sealed = key.seal_in_place_append_tag(Nonce::from(&nonce), Aad::from(&file), &mut content);
        sealed.map_err(|_| internal("a checkpoint is too long to encrypt"))?;
        file.push(b'\n');
        file.extend(nonce);
        file.extend(content);
        write::reserve(&self.folder, 0)?;
        write::atomically(&self.folder, &format!("epoch-{:06}.ckpt", kept.epochs), &file)?;
        let mut all = self.list();
        for (_, old) in all.drain(KEPT.min(all.len())..) {
            // One too many does no harm.
            let _ = std::fs::remove_file(old);
        }
        // Whoever has an earlier checkpoint of another party's has this epoch's, too: docs/protocols/escrow.md, 3.2.
        if all.len() == KEPT {
            let sessions: Vec<&str> =
                all.iter().map(|(header, _)| &header.session[..]).chain([&self.session[..]]).collect();
            self.vault.forget_all_but(&sessions);
        }
        Ok(())
    }
}

impl<A: Share> Keeper<A> for Store {
    fn restore(&mut self) -> Result<Option<Kept<A>>, TrainError> {
        let Some((header, content)) = self.restored.take() else { return Ok(None) };
        let origin = self.before.as_ref().filter(|(job, _)| *job == header.job).map_or(Origin::Same, |(_, from)| *from);
        let kept = kept_of(header, origin, &content);
        let malformed =
            || TrainError::Keeping { problem: "the checkpoint has other shares than this build keeps".into() };
        kept.map(Some).ok_or_else(malformed)
    }
    fn keeps(&self) -> bool {
        true
    }
    fn keeps_last(&self) -> bool {
        self.last
    }
    fn keep(&mut self, kept: Kept<A>) -> Result<(), TrainError> {
        match self.save(&kept) {
            Ok(()) => {
                self.safe = Some(kept.epochs);
                Ok(())
            }
            Err(error) => {
                let problem = error.for_others();
                self.failure = Some(error);
                Err(TrainError::Keeping { problem })
            }
        }
    }
}

/// Header, the header's own bytes, and what follows them.
fn parse(bytes: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
    Some((serde_json::from_slice(line).ok()?, line, rest))
}

/// The session of a party's checkpoint that a key opens.
pub(crate) fn opens(file: &[u8], party: &str, key: &LessSafeKey) -> Option<String> {
    let (header, line, rest) = parse(file)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
    let mut content = zeroize::Zeroizing::new(sealed.to_vec());
    let ours = header.escrow && header.party == party;
    let opened = ours && key.open_in_place(Nonce::from(nonce), Aad::from(line), &mut content).is_ok();
    opened.then_some(header.session)
}

/// What a fuzzer feeds: a checkpoint whose content is taken as it stands, and an agreement's message.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    if let Some((header, _, content)) = parse(bytes) {
        let _ = kept_of::<Tensor<u64>>(header, Origin::Same, content);
    }
    if let Some(message) = bytes.first_chunk::<MESSAGE>() {
        let _ = decode(message);
    }
}

/// The shares of a decrypted content.
fn kept_of<A: Share>(header: Header, origin: Origin, content: &[u8]) -> Option<Kept<A>> {
    let words: Vec<u64> =
        content.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().expect("eight bytes"))).collect();
    let mut rest = &words[..];
    if header.parts > 4 {
        return None;
    }
    let mut shares = Vec::new();
    for extents in &header.shapes {
        let len = extents.iter().try_fold(1usize, |len, extent| len.checked_mul(*extent))?;
        if len > rest.len() {
            return None;
        }
        let shape = Shape::new(extents);
        let mut parts = Vec::new();
        for _ in 0..header.parts {
            let (tensor, after) = rest.split_at_checked(shape.len())?;
            parts.push(Tensor::new(shape.clone(), tensor.iter().map(|w| A::R::from_u64(*w)).collect()));
            rest = after;
        }
        shares.push(A::from_parts(parts)?);
    }
    rest.is_empty().then_some(Kept { epochs: header.epochs, steps: header.steps, shares, origin })
}

/// The newest entry that all of these have.
fn newest_common(all: &[Vec<Entry>], wanted: impl Fn(&Entry) -> bool) -> Option<Entry> {
    let (first, rest) = all.split_first()?;
    let common = first.iter().filter(|entry| wanted(entry) && rest.iter().all(|theirs| theirs.contains(entry)));
    common.max_by_key(|entry| entry.epochs).copied()
}

/// Where training stands, for a party that joins: updates of Adam, and the losses, which were opened.
fn state(header: &Header) -> Vec<u8> {
    let losses = header.losses.iter().flat_map(|loss| loss.to_bits().to_le_bytes());
    (header.steps as u64).to_le_bytes().into_iter().chain(losses).collect()
}

/// Bytes of the agreement's message: whether the party resumes, how many entries, the entries.
const MESSAGE: usize = 2 + KEPT * ENTRY;
const ENTRY: usize = 41;

fn encode(resume: bool, entries: &[Entry]) -> [u8; MESSAGE] {
    let mut bytes = [0; MESSAGE];
    (bytes[0], bytes[1]) = (u8::from(resume), entries.len() as u8);
    for (entry, into) in entries.iter().zip(bytes[2..].chunks_exact_mut(ENTRY)) {
        into[..8].copy_from_slice(&entry.epochs.to_le_bytes());
        into[8] = u8::from(entry.before);
        into[9..].copy_from_slice(&entry.id);
    }
    bytes
}

fn decode(bytes: &[u8; MESSAGE]) -> (bool, Vec<Entry>) {
    let entry = |chunk: &[u8]| Entry {
        epochs: u64::from_le_bytes(std::array::from_fn(|i| chunk[i])),
        before: chunk[8] == 1,
        id: std::array::from_fn(|i| chunk[9 + i]),
    };
    (bytes[0] == 1, bytes[2..].chunks_exact(ENTRY).take(bytes[1].into()).map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobFile;
    use privity_ring::M61;

    /// A job of five under shamir.
    fn job(threshold: usize, head: &str) -> Job {
        let participant = |k: usize| {
            let fingerprint = k.to_string().repeat(64);
            format!(
                "[[participants]]\nname = \"p{k}\"\naddress = \"127.0.0.1:770{k}\"\nfingerprint = \"{fingerprint}\"\nrows = 24\ntest_rows = 8\n"
            )
        };
        let participants: String = (1..6).map(participant).collect();
        let text = format!(
            "name = \"five\"\nprotocol = \"shamir\"\nthreshold = {threshold}\n{head}\n{participants}\n\
             [data]\nschema = \"wdbc.schema.toml\"\n[model]\nkind = {{ mlp = {{ hidden = [5] }} }}\n\
             [training]\nepochs = 2\nbatch = 16\nlearning_rate = 0.1\noptimiser = {{ momentum = {{ decay = 0.9 }} }}\n\
             [numbers]\ntruncation = \"fast\"\n[evaluation]\nbuckets = 8\n[outputs]\nmodel = [\"p1\"]\n"
        );
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/breast-cancer");
        Job::new(JobFile::from_toml(&text).expect("a job file"), &folder).expect("a sound job")
    }

    /// Shares of polynomials of one degree are no shares of a job with another.
    #[test]
    fn shares_of_another_threshold_are_refused() {
        let out = tempfile::tempdir().expect("a folder");
        let open = |job: &Job, resume| Store::open(job, 0, [7; 32], out.path(), resume).expect("a store");
        let first = job(1, "keep = true");
        let shares = vec![Tensor::fill(&Shape::vector(3), 5)];
        let kept = Kept { epochs: 2, steps: 0, shares, origin: Origin::Same };
        Keeper::<Tensor<M61>>::keep(&mut open(&first, false), kept).expect("kept");
        let refits = format!("[refits]\njob = \"{}\"\n", first.digest_hex());
        let same = open(&job(1, &refits), true).list();
        assert_eq!(same.len(), 1);
        let other = open(&job(2, &refits), true);
        assert!(other.list().is_empty());
        assert!(matches!(other.load(&same[0].1), Err(JobError::Output { .. })));
    }
}
