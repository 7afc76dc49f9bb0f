//! The log that a node writes.

use crate::entry::{leaf, read, write};
use crate::lines::{Lines, Scan, end_of, private, scan, sync_dir, text};
use crate::lock::Lock;
use crate::merkle::{Proof, Tree};
use crate::{AuditError, Cosignature, Entry, Head, MAX_LINES};
use privity_api::{MAX_TEXT, Manifest, Record, Signer, Statement, Time};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Names of the files of a log.
pub(crate) const ENTRIES: &str = "log.jsonl";
pub(crate) const HEADS: &str = "heads.jsonl";
pub(crate) const COSIGNED: &str = "cosigned.jsonl";
pub(crate) const WITNESSED: &str = "witnessed.jsonl";
pub(crate) const EVIDENCE: &str = "evidence.jsonl";
pub(crate) const MANIFESTS: &str = "manifests";

/// Most entries that [`Log::entries`] gives at once.
pub const AT_ONCE: u64 = 4096;

/// An organisation's audit log: append-only, with a Merkle tree over it, and heads that the organisation's root signs. It *fails closed*: after a failure
/// to write, it takes nothing until it is opened again. Whoever is refused must not do what was to be recorded.
///
/// It keeps 72 bytes an entry in memory, and a few words for each head. A record is on the disk when [`Log::append`] returns.
pub struct Log {
    dir: PathBuf,
    organisation: String,
    root: String,
    signer: Arc<dyn Signer>,
    inner: Mutex<Inner>,
    /// Held until the log is dropped or taken over.
    lock: Lock,
}

struct Inner {
    tree: Tree,
    /// Where each entry begins.
    offsets: Vec<u64>,
    entries: Lines,
    heads: Lines,
    cosigned: Lines,
    newest: Option<Statement<Head>>,
    /// Size and time of each head.
    marks: Vec<(u64, Time)>,
    /// The largest of our heads that each organisation cosigned.
    seen_by: BTreeMap<String, u64>,
    /// What this log last recorded of each other one: size and root.
    seen_of: BTreeMap<String, (u64, String)>,
    /// Why nothing is taken any more.
    closed: Option<String>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Log({}, {})", self.organisation, self.dir.display())
    }
}

/// What the files of a log hold, as far as it must be known to go on.
struct Loaded {
    tree: Tree,
    offsets: Vec<u64>,
    newest: Option<Statement<Head>>,
    heads: Vec<Head>,
    seen_by: BTreeMap<String, u64>,
    seen_of: BTreeMap<String, (u64, String)>,
    scans: [Scan; 3],
}

/// A log that was read and checked, and of which nothing was changed.
struct Found {
    lock: Lock,
    dir: PathBuf,
    organisation: String,
    root: String,
    /// Files that somebody was writing.
    parts: Vec<PathBuf>,
    loaded: Loaded,
    files: [File; 3],
}

impl Found {
    fn read(lock: Lock, dir: &Path, organisation: &str, root: &str) -> Result<Found, AuditError> {
        let parts = parts(&dir.join(MANIFESTS));
        let loaded = Loaded::read(dir, organisation, root)?;
        loaded.check()?;
        let file = |name| end_of(&dir.join(name));
        let files = [file(ENTRIES)?, file(HEADS)?, file(COSIGNED)?];
        Ok(Found { lock, dir: dir.into(), organisation: organisation.into(), root: root.into(), parts, loaded, files })
    }

    /// Goes on behind what was read; what a crash left there is cut off.
    fn go_on(self, signer: Arc<dyn Signer>, now: Time) -> Result<Log, AuditError> {
        let Found { lock, dir, organisation, root, parts, loaded, files } = self;
        // Reading takes a while, in which the log may have been taken over. If it was not by now, these files and parts are not a successor's, which makes
        // its own after it has the lock: nothing of its is cut off or removed.
        lock.held()?;
        parts.iter().for_each(|part| drop(std::fs::remove_file(part)));
        let [of_entries, of_heads, of_cosigned] = files;
        let [entries, heads, cosigned] = &loaded.scans;
        let inner = Inner {
            entries: Lines::behind(dir.join(ENTRIES), of_entries, entries.whole)?,
            heads: Lines::behind(dir.join(HEADS), of_heads, heads.whole)?,
            cosigned: Lines::behind(dir.join(COSIGNED), of_cosigned, cosigned.whole)?,
            tree: loaded.tree,
            offsets: loaded.offsets,
            newest: loaded.newest,
            marks: loaded.heads.iter().map(|head| (head.size, head.at)).collect(),
            seen_by: loaded.seen_by,
            seen_of: loaded.seen_of,
            closed: None,
        };
        sync_dir(&dir)?;
        let log = Log { dir, organisation, root, signer, inner: Mutex::new(inner), lock };
        if log.size() == 0 {
            log.append(now, &Record::Begun { organisation: log.organisation.clone(), root: log.root.clone() })?;
        }
        for (scan, name) in loaded.scans.iter().zip([ENTRIES, HEADS, COSIGNED]) {
            log.record_cut(now, name, &scan.torn)?;
        }
        Ok(log)
    }
}

impl Log {
    /// Opens the log in a directory, which is made if it is missing, and checks all of it: every entry, and every signed head against the entries. What a
    /// crash left of a last line is cut off, and that is recorded; it could not be covered by a head, or the log does not open.
    ///
    /// # Errors
    /// Another process has it open; it is another organisation's; it was cut or altered; the disk.
    pub fn open(
        dir: &Path,
        organisation: &str,
        root: &str,
        signer: Arc<dyn Signer>,
        now: Time,
    ) -> Result<Log, AuditError> {
        std::fs::create_dir_all(dir.join(MANIFESTS)).map_err(AuditError::io("making", dir))?;
        Self::open_with(Lock::take(dir)?, dir, organisation, root, signer, now)
    }

    /// As [`Log::open`], but from whichever process has it open: for whoever knows, by a lease, that it is to write this log from now on. That process may
    /// sleep, or be about to write: what it was told is recorded is in the log that is opened here, and from here on it is told that nothing is. `epoch` is
    /// that of the lease, of which each has a higher one than those before.
    ///
    /// # Errors
    /// As [`Log::open`]; another process is just taking it over, or did under a higher epoch.
    pub fn take_over(
        dir: &Path,
        organisation: &str,
        root: &str,
        signer: Arc<dyn Signer>,
        now: Time,
        epoch: u64,
    ) -> Result<Log, AuditError> {
        std::fs::create_dir_all(dir.join(MANIFESTS)).map_err(AuditError::io("making", dir))?;
        let lock = Lock::take_over(dir, &[ENTRIES, HEADS, COSIGNED, WITNESSED, EVIDENCE], epoch)?;
        Self::open_with(lock, dir, organisation, root, signer, now)
    }

    fn open_with(
        lock: Lock,
        dir: &Path,
        organisation: &str,
        root: &str,
        signer: Arc<dyn Signer>,
        now: Time,
    ) -> Result<Log, AuditError> {
        if signer.fingerprint() != root {
            return Err(AuditError::Foreign { wanted: root.into(), found: signer.fingerprint() });
        }
        Found::read(lock, dir, organisation, root)?.go_on(signer, now)
    }

    /// Records that an incomplete line was cut off.
    pub(crate) fn record_cut(&self, now: Time, file: &str, torn: &[u8]) -> Result<(), AuditError> {
        if torn.is_empty() {
            return Ok(());
        }
        let cut = Record::Cut { file: file.into(), bytes: torn.len() as u64, digest: privity_api::sha256(torn) };
        self.append(now, &cut).map(|_| ())
    }

    /// Whether this process still writes the log: whoever signs something for it asks first.
    pub(crate) fn check(&self) -> Result<(), AuditError> {
        self.change(|_| Ok(()))
    }

    /// Runs something that changes the log, unless something failed before.
    fn change<T>(&self, f: impl FnOnce(&mut Inner) -> Result<T, AuditError>) -> Result<T, AuditError> {
        let Ok(mut inner) = self.inner.lock() else { return Err(AuditError::Closed("a thread panicked".into())) };
        if let Some(why) = &inner.closed {
            return Err(AuditError::Closed(why.clone()));
        }
        // What was written counts only if the log was still this one's when it had been written.
        let done = f(&mut inner).and_then(|done| self.lock.held().map(|()| done));
        if let Err(error) = &done
            && error.closes()
        {
            inner.closed = Some(error.to_string());
        }
        done
    }

    /// Something that only looks. Also a log that is closed can be looked at.
    fn look<T>(&self, f: impl FnOnce(&Inner) -> T) -> T {
        f(&self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Appends a record; returns its index once it is on the disk.
    ///
    /// # Errors
    /// The record is too long (nothing was written, the log goes on); otherwise the log takes nothing more.
    pub fn append(&self, at: Time, record: &Record) -> Result<u64, AuditError> {
        self.change(|inner| {
            let index = inner.tree.size();
            if index == MAX_LINES {
                return Err(AuditError::Full(index));
            }
            let line = write(&Entry::new(index, at, record)?);
            if line.len() > MAX_TEXT {
                return Err(AuditError::TooLong { bytes: line.len(), most: MAX_TEXT });
            }
            let offset = inner.entries.length;
            inner.entries.append(&line)?;
            inner.offsets.push(offset);
            inner.tree.push(leaf(&line));
            note_cosigned(&mut inner.seen_of, record);
            Ok(index)
        })
    }

    /// Keeps a manifest beside the log, so that exports say what was approved and who learns what. Returns its digest, which is what records name.
    ///
    /// # Errors
    /// The manifest has no digest; the disk.
    pub fn keep(&self, manifest: &Manifest) -> Result<String, AuditError> {
        let text = manifest.canonical()?;
        if text.len() > MAX_TEXT {
            return Err(AuditError::TooLong { bytes: text.len(), most: MAX_TEXT });
        }
        let digest = privity_api::sha256(text.as_bytes());
        let folder = self.dir.join(MANIFESTS);
        let path = folder.join(format!("{digest}.json"));
        self.change(|_| {
            if std::fs::read(&path).is_ok_and(|kept| kept == text.as_bytes()) {
                return Ok(());
            }
            put(&folder, &path, text.as_bytes())?;
            sync_dir(&folder)
        })?;
        Ok(digest)
    }

    /// The signed head over all entries. It is on the disk before anybody gets it. While nothing is appended it stays the same one.
    ///
    /// # Errors
    /// The key cannot sign (the log goes on); otherwise the log takes nothing more.
    pub fn head(&self, at: Time) -> Result<Statement<Head>, AuditError> {
        self.change(|inner| {
            let size = inner.tree.size();
            if let Some(newest) = inner.newest.as_ref().filter(|newest| newest.body.size == size) {
                return Ok(newest.clone());
            }
            // A clock that went back must not make later heads look older: that would be evidence against this log.
            let at = at.max(inner.marks.last().map_or(at, |(_, last)| *last));
            let root = inner.tree.root(size).expect("of the whole tree");
            let head = Head { organisation: self.organisation.clone(), size, root, at };
            let signed = Statement::new(head, &*self.signer)?;
            inner.heads.append(&write(&signed))?;
            inner.marks.push((size, at));
            inner.newest = Some(signed.clone());
            Ok(signed)
        })
    }

    /// Entries there.
    pub fn size(&self) -> u64 {
        self.look(|inner| inner.tree.size())
    }
    /// Why nothing is taken any more, if so.
    pub fn closed(&self) -> Option<String> {
        self.look(|inner| inner.closed.clone())
    }
    /// The newest signed head, if there is one. Nothing is signed for it.
    pub fn newest(&self) -> Option<Head> {
        self.look(|inner| inner.newest.as_ref().map(|newest| newest.body.clone()))
    }
    /// Organisations that cosigned heads of this log, and how many entries the largest of them covers.
    pub fn cosigners(&self) -> BTreeMap<String, u64> {
        self.look(|inner| inner.seen_by.clone())
    }
    /// Whose log this is.
    pub fn organisation(&self) -> &str {
        &self.organisation
    }
    pub(crate) fn signer(&self) -> &dyn Signer {
        &*self.signer
    }
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
    /// What this log last recorded of another one.
    pub(crate) fn seen_of(&self, organisation: &str) -> Option<(u64, String)> {
        self.look(|inner| inner.seen_of.get(organisation).cloned())
    }

    /// Some entries, at most 4096: fewer than asked for if there are more in the range.
    ///
    /// # Errors
    /// A range that is not there; the disk, or a line that is no entry any more.
    pub fn entries(&self, range: Range<u64>) -> Result<Vec<Entry>, AuditError> {
        let (from, to) = (range.start, range.end.min(range.start.saturating_add(AT_ONCE)));
        let bounds = self.look(|inner| {
            let (size, at) = (inner.tree.size(), |i: u64| inner.offsets[i as usize]);
            match from <= range.end && range.end <= size {
                true if from == to => Ok((0, 0)),
                true => Ok((at(from), if to == size { inner.entries.length } else { at(to) })),
                false => Err(AuditError::Range { from, to: range.end, size }),
            }
        });
        let (begin, end) = bounds?;
        let path = self.dir.join(ENTRIES);
        let failed = AuditError::io("reading", &path);
        let mut file = File::open(&path).map_err(&failed)?;
        file.seek(SeekFrom::Start(begin)).map_err(&failed)?;
        let mut bytes = Vec::new();
        file.take(end - begin).read_to_end(&mut bytes).map_err(&failed)?;
        let parse = |(i, line): (usize, &[u8])| {
            let number = from + i as u64 + 1;
            let damaged = |problem| AuditError::Damaged { file: path.clone(), line: number, problem };
            read(text(&path, line, number)?).map_err(damaged)
        };
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate().map(parse).collect()
    }

    /// The proof that the first `old` entries are the beginning of the first `new`.
    ///
    /// # Errors
    /// There are not so many.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Proof, AuditError> {
        self.look(|inner| {
            let none = || AuditError::Range { from: old, to: new, size: inner.tree.size() };
            inner.tree.consistency(old, new).ok_or_else(none)
        })
    }
    /// The proof that entry `index` is among the first `size`.
    ///
    /// # Errors
    /// It is not.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Proof, AuditError> {
        self.look(|inner| {
            let none = || AuditError::Range { from: index, to: size, size: inner.tree.size() };
            inner.tree.inclusion(index, size).ok_or_else(none)
        })
    }

    /// Takes a cosignature of a head of this log by the organisation with this root, and keeps it.
    ///
    /// # Errors
    /// It is not that organisation's, or not of a head of this log: then someone showed it another log under this organisation's key.
    pub fn cosigned(
        &self,
        organisation: &str,
        pinned: &str,
        statement: &Statement<Cosignature>,
    ) -> Result<(), AuditError> {
        let body = statement.verify(organisation, pinned)?;
        let not_ours = || AuditError::NotOurs { organisation: organisation.into(), size: body.head.size };
        let ours = body.organisation == organisation
            && body.head.organisation == self.organisation
            && body.root == self.root
            && self.look(|inner| inner.tree.root(body.head.size)) == Some(body.head.root);
        if !ours {
            return Err(not_ours());
        }
        self.change(|inner| {
            let seen = inner.seen_by.get(organisation).copied();
            if seen.is_some_and(|seen| seen >= body.head.size) {
                return Ok(());
            }
            inner.cosigned.append(&write(statement))?;
            inner.seen_by.insert(organisation.into(), body.head.size);
            Ok(())
        })
    }

    /// The members that have not cosigned the newest head that is at least `lag` seconds old, or a later one: an alarm, as nobody but them would notice if
    /// this log were replaced.
    pub fn overdue<'a>(&self, now: Time, lag: Time, members: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        self.look(|inner| {
            let due = inner.marks.iter().filter(|(_, at)| now.saturating_sub(*at) >= lag).map(|(size, _)| *size).max();
            let misses = |member: &&str| due > inner.seen_by.get(*member).copied();
            members.into_iter().filter(|m| *m != self.organisation).filter(misses).map(str::to_owned).collect()
        })
    }

    /// Its disk is full from now on while something says so, for tests of nodes.
    #[cfg(feature = "faults")]
    pub fn fill_while(&self, full: impl Fn() -> bool + Send + Sync + 'static) {
        let full: crate::lines::Full = Arc::new(full);
        let mut inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Inner { entries, heads, cosigned, .. } = &mut *inner;
        [entries, heads, cosigned].into_iter().for_each(|lines| lines.full = Some(full.clone()));
    }

    /// Writes go elsewhere.
    #[cfg(test)]
    pub(crate) fn redirect(&self, sink: Box<dyn crate::lines::Sink>) {
        self.inner.lock().unwrap().entries.sink = sink;
    }
}

fn note_cosigned(seen_of: &mut BTreeMap<String, (u64, String)>, record: &Record) {
    if let Record::Cosigned { organisation, size, root } = record {
        seen_of.insert(organisation.clone(), (*size, root.clone()));
    }
}

impl Loaded {
    fn read(dir: &Path, organisation: &str, root: &str) -> Result<Loaded, AuditError> {
        let (mut heads, mut newest) = (Vec::new(), None);
        let of_heads = each(&dir.join(HEADS), |statement: Statement<Head>, _| {
            let body = statement.verify(organisation, root).map_err(|e| e.to_string())?;
            heads.push(body.clone());
            newest = Some(statement);
            Ok(())
        })?;
        let (mut tree, mut offsets, mut seen_of) = (Tree::default(), Vec::new(), BTreeMap::new());
        let mut foreign = None;
        let path = dir.join(ENTRIES);
        let of_entries = scan(&path, |line, number, offset| {
            let damaged = |problem| AuditError::Damaged { file: path.clone(), line: number, problem };
            let line = text(&path, line, number)?;
            let entry: Entry = read(line).map_err(damaged)?;
            if entry.index != tree.size() {
                return Err(damaged(format!("entry {} at place {}", entry.index, tree.size())));
            }
            match &entry.record {
                Record::Begun { organisation: o, root: r } if number == 1 => {
                    foreign = Some(format!("{o} with root {r}"))
                }
                _ if number == 1 => return Err(damaged("the log does not begin here".into())),
                _ => {}
            }
            note_cosigned(&mut seen_of, &entry.record);
            offsets.push(offset);
            tree.push(leaf(line));
            Ok(())
        })?;
        let wanted = format!("{organisation} with root {root}");
        if let Some(found) = foreign.filter(|found| *found != wanted) {
            return Err(AuditError::Foreign { wanted, found });
        }
        let mut seen_by = BTreeMap::new();
        let of_cosigned = each(&dir.join(COSIGNED), |statement: Statement<Cosignature>, _| {
            let Cosignature { organisation, head, .. } = statement.body;
            match tree.root(head.size) == Some(head.root) {
                true => seen_by.insert(organisation, head.size),
                false => return Err(format!("{organisation} cosigned another head over {} entries", head.size)),
            };
            Ok(())
        })?;
        Ok(Loaded { tree, offsets, newest, heads, seen_by, seen_of, scans: [of_entries, of_heads, of_cosigned] })
    }

    /// Every head that was signed is one of these entries.
    fn check(&self) -> Result<(), AuditError> {
        let have = self.tree.size();
        if let Some(signed) = self.heads.iter().map(|head| head.size).filter(|size| *size > have).max() {
            return Err(AuditError::Truncated { have, signed });
        }
        match self.heads.iter().find(|head| self.tree.root(head.size) != Some(head.root)) {
            Some(head) => Err(AuditError::Altered { size: head.size }),
            None => Ok(()),
        }
    }
}

/// Reads a file of values, one a line.
pub(crate) fn each<T: serde::Serialize + serde::de::DeserializeOwned>(
    path: &Path,
    mut take: impl FnMut(T, u64) -> Result<(), String>,
) -> Result<Scan, AuditError> {
    scan(path, |line, number, _| {
        let damaged = |problem| AuditError::Damaged { file: path.into(), line: number, problem };
        take(read(text(path, line, number)?).map_err(damaged)?, number).map_err(damaged)
    })
}

/// What names of files that are being written begin with.
const PART: &str = "part-";

/// Writes a file beside its place and puts it there, all of it or nothing. The name is nobody else's: a process that lost the log may be writing here, too.
fn put(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), AuditError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|e| AuditError::Randomness(e.to_string()))?;
    let part = folder.join(format!("{PART}{}", privity_api::hex(&random)));
    let write = || {
        let mut file = private().write(true).create_new(true).open(&part)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    };
    write().map_err(|e| {
        drop(std::fs::remove_file(&part));
        AuditError::io("writing", path)(e)
    })
}

/// What a process that was stopped in the middle of it left there; or what one is writing.
fn parts(folder: &Path) -> Vec<PathBuf> {
    let named = |entry: &std::fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.starts_with(PART));
    std::fs::read_dir(folder).into_iter().flatten().flatten().filter(named).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Sink;
    use privity_net::identity::Identity;
    use std::io::{Error, ErrorKind};

    /// A disk with room for so many bytes, that may fail to sync.
    struct Small {
        file: File,
        room: usize,
        syncs: bool,
    }

    impl Sink for Small {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
            let fits = bytes.len().min(self.room);
            std::io::Write::write_all(&mut self.file, &bytes[..fits])?;
            self.room -= fits;
            if fits == bytes.len() { Ok(()) } else { Err(Error::new(ErrorKind::StorageFull, "no space left")) }
        }
        fn sync(&mut self) -> std::io::Result<()> {
            if self.syncs { Ok(()) } else { Err(Error::other("the disk is gone")) }
        }
    }

    fn policy(digest: &str) -> Record {
        Record::Policy { digest: digest.into(), by: "officer".into() }
    }

    fn open(dir: &Path, identity: &Arc<Identity>) -> Result<Log, AuditError> {
        Log::open(dir, "bank-a", &identity.fingerprint(), identity.clone(), 1000)
    }

    #[test]
    fn a_log_that_cannot_write_takes_nothing_until_it_is_opened_again() {
        let identity = Arc::new(Identity::generate("bank-a").unwrap());
        for (room, syncs) in [(0, true), (1, true), (60, true), (usize::MAX, false)] {
            let dir = tempfile::tempdir().unwrap();
            let log = open(dir.path(), &identity).unwrap();
            log.append(1, &policy("one")).unwrap();
            let head = log.head(2).unwrap();
            let file = File::options().append(true).open(dir.path().join(ENTRIES)).unwrap();
            log.redirect(Box::new(Small { file, room, syncs }));
            let failed = log.append(3, &policy("two"));
            assert!(matches!(failed, Err(AuditError::Io { .. })), "{failed:?}");
            assert!(matches!(log.append(4, &policy("three")), Err(AuditError::Closed(_))));
            assert!(matches!(log.head(5), Err(AuditError::Closed(_))));
            assert_eq!(log.size(), 2, "what failed does not count");
            assert!(log.closed().is_some());
            drop(log);
            let log = open(dir.path(), &identity).unwrap();
            let entries = log.entries(0..log.size()).unwrap();
            assert_eq!(entries[1].record, policy("one"));
            let cut = |e: &Entry| matches!(&e.record, Record::Cut { file, bytes, .. } if file == ENTRIES && *bytes == room as u64);
            assert_eq!(entries.iter().any(cut), room > 0 && syncs, "a cut is on record");
            assert_eq!(entries.iter().any(|e| e.record == policy("two")), !syncs, "a whole line may stay");
            assert!(crate::merkle::extends(
                head.body.size,
                head.body.root,
                log.size(),
                log.head(6).unwrap().body.root,
                &log.consistency(head.body.size, log.size()).unwrap()
            ));
        }
    }

    #[test]
    fn a_record_that_is_too_long_is_refused_and_the_log_goes_on() {
        let identity = Arc::new(Identity::generate("bank-a").unwrap());
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path(), &identity).unwrap();
        let long = log.append(1, &policy(&"x".repeat(MAX_TEXT)));
        assert!(matches!(long, Err(AuditError::TooLong { .. })));
        assert_eq!(log.append(2, &policy("short")).unwrap(), 1);
    }

    #[test]
    fn a_log_has_one_writer_and_one_owner() {
        let (identity, other) =
            (Arc::new(Identity::generate("bank-a").unwrap()), Arc::new(Identity::generate("bank-a").unwrap()));
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path(), &identity).unwrap();
        assert!(matches!(open(dir.path(), &identity), Err(AuditError::Locked(_))));
        drop(log);
        assert!(matches!(open(dir.path(), &other), Err(AuditError::Foreign { .. })));
        open(dir.path(), &identity).unwrap();
        fn shared<T: Send + Sync>() {}
        shared::<Log>();
        shared::<crate::Witness>();
    }

    #[test]
    fn whoever_lost_its_log_is_told_so_before_it_relies_on_what_it_wrote() {
        let identity = Arc::new(Identity::generate("bank-a").unwrap());
        let dir = tempfile::tempdir().unwrap();
        let take_over = |epoch| {
            Log::take_over(dir.path(), "bank-a", &identity.fingerprint(), identity.clone(), 1000, epoch).unwrap()
        };
        let first = Arc::new(open(dir.path(), &identity).unwrap());
        first.append(1, &policy("one")).unwrap();
        first.head(2).unwrap();
        // It writes while it is taken over, again and again: what counted for it is there, and nothing of it comes later.
        let mut logs = vec![first];
        for round in 0..20 {
            let writer = logs.last().unwrap().clone();
            let writes = std::thread::spawn(move || {
                let of = |n: usize| policy(&format!("{round}-{n}"));
                (0..).take_while(|n| writer.append(3, &of(*n)).is_ok()).map(of).collect::<Vec<_>>()
            });
            std::thread::sleep(std::time::Duration::from_millis(5));
            let log = take_over(round);
            let counted = writes.join().unwrap();
            let size = log.size();
            let records: Vec<Record> = log.entries(0..size).unwrap().into_iter().map(|e| e.record).collect();
            assert!(counted.iter().all(|record| records.contains(record)), "{round}");
            for lost in &logs {
                assert!(lost.append(4, &policy("late")).is_err() && lost.head(4).is_err(), "{round}");
                assert!(lost.closed().unwrap().contains("taken over"), "{:?}", lost.closed());
            }
            log.append(5, &policy(&format!("round {round}"))).unwrap();
            assert_eq!(log.size(), size + 1);
            logs.push(Arc::new(log));
        }
        drop(logs);
        let log = open(dir.path(), &identity).unwrap();
        assert!(log.entries(0..log.size()).unwrap().iter().all(|entry| entry.record != policy("late")));
    }

    #[test]
    fn whoever_comes_late_takes_nothing_over_from_its_successor() {
        let identity = Arc::new(Identity::generate("bank-a").unwrap());
        let dir = tempfile::tempdir().unwrap();
        let take_over =
            |epoch| Log::take_over(dir.path(), "bank-a", &identity.fingerprint(), identity.clone(), 1000, epoch);
        let first = take_over(3).unwrap();
        let successor = take_over(5).unwrap();
        assert!(first.append(1, &policy("of the first")).is_err());
        // It had the lease before, slept, and does now what it was about to.
        for late in [0, 3, 4] {
            assert!(matches!(take_over(late), Err(AuditError::Superseded { found: 5, own, .. }) if own == late));
        }
        successor.append(2, &policy("of the successor")).unwrap();
        let again = take_over(5).unwrap();
        assert!(successor.append(3, &policy("late")).is_err() && again.append(3, &policy("of the last")).is_ok());
        // Without instances, as with SQLite, nobody has an epoch, and the next who has one counts on.
        drop((first, successor, again));
        drop(open(dir.path(), &identity).unwrap());
        assert!(take_over(4).is_err() && take_over(6).is_ok());
        std::fs::remove_file(dir.path().join("lock")).unwrap();
        assert!(take_over(1).is_ok(), "as it is told to do after the database was put back");
    }

    /// As [`Log::take_over`], up to where it would begin to write.
    fn found(dir: &Path, identity: &Identity, epoch: u64) -> Found {
        let lock = Lock::take_over(dir, &[ENTRIES, HEADS, COSIGNED, WITNESSED, EVIDENCE], epoch).unwrap();
        Found::read(lock, dir, "bank-a", &identity.fingerprint()).unwrap()
    }

    #[test]
    fn whoever_sleeps_while_it_takes_over_cuts_nothing_of_its_successors() {
        let identity = Arc::new(Identity::generate("bank-a").unwrap());
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), &identity).unwrap().append(1, &policy("one")).unwrap();
        let names = [ENTRIES, HEADS, COSIGNED, WITNESSED, EVIDENCE];
        let written = || names.map(|name| std::fs::read(dir.path().join(name)).unwrap_or_default());
        // Each sleeps once it has read the log; in the second round with an end of a crash before it, which each would cut off.
        for round in 0..2 {
            let late = found(dir.path(), &identity, 3 + 2 * round);
            let successor = found(dir.path(), &identity, 4 + 2 * round).go_on(identity.clone(), 2).unwrap();
            successor.append(3, &policy("of the successor")).unwrap();
            successor.head(4).unwrap();
            let manifests = dir.path().join(MANIFESTS);
            std::fs::write(manifests.join("part-01"), b"it is written").unwrap();
            let before = written();
            assert!(matches!(late.go_on(identity.clone(), 5), Err(AuditError::TakenOver(_))));
            assert!(manifests.join("part-01").exists() && written() == before, "nothing was touched");
            let size = successor.size();
            assert_eq!(successor.entries(size - 1..size).unwrap()[0].record, policy("of the successor"));
            drop(successor);
            let mut end = File::options().append(true).open(dir.path().join(ENTRIES)).unwrap();
            std::io::Write::write_all(&mut end, b"{\"half").unwrap();
        }
        // What it found to remove was there before the successor began, and is not its.
        let log = found(dir.path(), &identity, 9).go_on(identity.clone(), 6).unwrap();
        assert!(!dir.path().join(MANIFESTS).join("part-01").exists());
        let last = log.entries(log.size() - 1..log.size()).unwrap();
        assert!(matches!(last[0].record, Record::Cut { bytes: 6, .. }), "{last:?}");
    }

    #[test]
    fn a_witness_that_opens_late_cuts_nothing_of_the_next_ones() {
        let identity = Arc::new(Identity::generate("bank-a").unwrap());
        let other = Identity::generate("bank-b").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let late = Arc::new(found(dir.path(), &identity, 3).go_on(identity.clone(), 1).unwrap());
        let next = Arc::new(found(dir.path(), &identity, 5).go_on(identity.clone(), 2).unwrap());
        let witness = crate::Witness::open(next.clone(), 3).unwrap();
        let mut tree = Tree::default();
        tree.push(leaf("one"));
        let head = Head { organisation: "bank-b".into(), size: 1, root: tree.root(1).unwrap(), at: 3 };
        let head = Statement::new(head, &other).unwrap();
        witness.observe(4, "bank-b", &other.fingerprint(), &head, &[]).unwrap();
        // An end that a late one would cut off.
        let path = dir.path().join(WITNESSED);
        let mut end = File::options().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut end, b"{\"half").unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(crate::Witness::open(late, 5), Err(AuditError::TakenOver(_) | AuditError::Closed(_))));
        assert_eq!(std::fs::read(&path).unwrap(), before, "nothing was touched");
        // Also whoever has seen the head before signs nothing for a log that it lost.
        drop(found(dir.path(), &identity, 7));
        assert!(witness.observe(6, "bank-b", &other.fingerprint(), &head, &[]).is_err());
    }

    #[test]
    fn manifests_are_kept_whole_whoever_else_is_writing_there() {
        let identity = Arc::new(Identity::generate("bank-a").unwrap());
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path(), &identity).unwrap();
        let folder = dir.path().join(MANIFESTS);
        // What others have there under a name that they may have chosen, too, is left alone.
        std::fs::create_dir(folder.join("part")).unwrap();
        let names = || -> Vec<_> {
            std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..20).for_each(|_| put(&folder, &folder.join("one"), &[b'x'; 100_000]).unwrap()));
            }
            scope.spawn(|| {
                (0..200)
                    .filter_map(|_| std::fs::read(folder.join("one")).ok())
                    .for_each(|b| assert_eq!(b.len(), 100_000))
            });
        });
        std::fs::write(folder.join("part-00"), b"half").unwrap();
        drop(log);
        open(dir.path(), &identity).unwrap();
        let mut left = names();
        left.sort();
        assert_eq!(left, ["one", "part"]);
    }

    #[test]
    fn a_log_without_its_lock_takes_nothing() {
        let identity = Arc::new(Identity::generate("bank-a").unwrap());
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path(), &identity).unwrap();
        std::fs::remove_file(dir.path().join("lock")).unwrap();
        assert!(matches!(log.append(1, &policy("one")), Err(AuditError::TakenOver(_))));
        drop(log);
        open(dir.path(), &identity).unwrap();
    }

    /// Cut at every byte, as a crash between writing and syncing leaves it.
    #[test]
    fn a_crash_at_any_byte_loses_nothing_that_was_signed() {
        let identity = Arc::new(Identity::generate("bank-a").unwrap());
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path(), &identity).unwrap();
        log.append(1, &policy("one")).unwrap();
        log.head(2).unwrap();
        let signed = std::fs::metadata(dir.path().join(ENTRIES)).unwrap().len() as usize;
        log.append(3, &policy("two")).unwrap();
        drop(log);
        let whole = std::fs::read(dir.path().join(ENTRIES)).unwrap();
        for length in 0..whole.len() {
            std::fs::write(dir.path().join(ENTRIES), &whole[..length]).unwrap();
            let opened = open(dir.path(), &identity);
            if length < signed {
                assert!(matches!(opened, Err(AuditError::Truncated { signed: 2, .. })), "{length}: {opened:?}");
                assert_eq!(std::fs::read(dir.path().join(ENTRIES)).unwrap(), &whole[..length], "nothing was touched");
                continue;
            }
            let entries = opened.unwrap().entries(0..2 + u64::from(length > signed)).unwrap();
            let cut = matches!(entries.get(2).map(|e| &e.record), Some(Record::Cut { bytes, .. }) if *bytes == (length - signed) as u64);
            assert_eq!(cut, length > signed, "{length}");
        }
        // A disk that made the file longer, and wrote nothing there.
        let zeros = [&whole[..signed], &[0; 40], b"\n"].concat();
        std::fs::write(dir.path().join(ENTRIES), zeros).unwrap();
        let log = open(dir.path(), &identity).unwrap();
        assert!(matches!(log.entries(2..3).unwrap()[0].record, Record::Cut { bytes: 41, .. }));
    }

    #[test]
    fn heads_cut_at_any_byte_are_of_no_consequence_and_altered_entries_are() {
        let identity = Arc::new(Identity::generate("bank-a").unwrap());
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path(), &identity).unwrap();
        let first = log.head(1).unwrap();
        log.append(2, &policy("one")).unwrap();
        log.head(3).unwrap();
        drop(log);
        let (heads, entries) = (dir.path().join(HEADS), dir.path().join(ENTRIES));
        let (whole, kept) = (std::fs::read(&heads).unwrap(), std::fs::read(&entries).unwrap());
        let line = write(&first).len() + 1;
        for length in (line..whole.len()).step_by(7) {
            std::fs::write(&heads, &whole[..length]).unwrap();
            std::fs::write(&entries, &kept).unwrap();
            let log = open(dir.path(), &identity).unwrap();
            let cut = matches!(log.entries(2..log.size()).unwrap().first().map(|e| e.record.clone()), Some(Record::Cut { file, .. }) if file == HEADS);
            assert_eq!(cut, length > line, "{length}");
        }
        std::fs::write(&heads, &whole).unwrap();
        // Every byte of what is signed, the ends of lines included.
        for at in 0..kept.len() {
            let mut altered = kept.clone();
            altered[at] ^= 1;
            std::fs::write(&entries, &altered).unwrap();
            assert!(open(dir.path(), &identity).is_err(), "{at}");
        }
    }
}
