//! Who writes a log: one process at a time. The file `lock` in its directory is locked by whoever does, and is the file that it locked: whoever takes the log
//! over puts another in its place.

use crate::AuditError;
use crate::lines::{private, sync_dir};
use std::fs::{File, Metadata, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";
/// Held while a log is taken over: one at a time.
const TAKING: &str = "taking";

/// The right to write a log, until it is dropped or taken over.
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
}

/// Under which epoch a log was taken over last: it stands in the lock. 0 if it never was.
fn epoch(path: &Path) -> Result<u64, AuditError> {
    let text = match std::fs::read_to_string(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        other => other.map_err(AuditError::io("reading", path))?,
    };
    match text.trim() {
        "" => Ok(0),
        text => text.parse().map_err(|_| AuditError::io("reading", path)(std::io::Error::other("it holds no epoch"))),
    }
}

/// Locks a file, if nobody else has.
fn lock(file: &File, path: &Path, dir: &Path) -> Result<(), AuditError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(AuditError::Locked(dir.into())),
        other => other.map_err(std::io::Error::from).map_err(AuditError::io("locking", path)),
    }
}

impl Lock {
    /// Takes a log that nobody writes.
    pub fn take(dir: &Path) -> Result<Lock, AuditError> {
        let path = dir.join(LOCK);
        let file = private().truncate(false).write(true).open(&path).map_err(AuditError::io("opening", &path))?;
        lock(&file, &path, dir)?;
        let taken = Lock { path, file };
        // It may have been taken over just before.
        taken.held().map_err(|_| AuditError::Locked(dir.into()))?;
        Ok(taken)
    }

    /// Takes a log over, whoever writes it, also a process that sleeps in the middle of writing. Whatever that writes from here on goes to files that are no
    /// longer the log's, and [`Lock::held`] tells it so before it relies on any of it: the lock changes first, then what was written is read, and a writer
    /// looks at the lock last.
    ///
    /// Whoever takes it over leaves its epoch in the lock, and is refused by a higher one: a process that slept between its right to the log and this changes
    /// nothing of its successor's.
    pub fn take_over(dir: &Path, files: &[&str], own: u64) -> Result<Lock, AuditError> {
        let failed = |path: &Path| AuditError::io("taking over", path);
        let taking = dir.join(TAKING);
        let alone = private().truncate(false).write(true).open(&taking).map_err(failed(&taking))?;
        lock(&alone, &taking, dir)?;
        let (path, fresh) = (dir.join(LOCK), dir.join("lock.new"));
        let found = epoch(&path)?;
        if found > own {
            return Err(AuditError::Superseded { file: path, found, own });
        }
        let mut file = private().truncate(false).write(true).open(&fresh).map_err(failed(&fresh))?;
        lock(&file, &fresh, dir)?;
        file.set_len(0).and_then(|()| write!(file, "{own}")).and_then(|()| file.sync_all()).map_err(failed(&fresh))?;
        std::fs::rename(&fresh, &path).map_err(failed(&path))?;
        sync_dir(dir)?;
        for path in files.iter().map(|name| dir.join(name)).filter(|path| path.exists()) {
            let fresh = path.with_extension("new");
            std::fs::copy(&path, &fresh).map_err(failed(&path))?;
            File::open(&fresh).and_then(|file| file.sync_all()).map_err(failed(&fresh))?;
            std::fs::rename(&fresh, &path).map_err(failed(&path))?;
        }
        sync_dir(dir)?;
        Ok(Lock { path, file })
    }

    /// Whether the log is still this process's.
    ///
    /// # Errors
    /// It was taken over, or nobody can tell.
    pub fn held(&self) -> Result<(), AuditError> {
        // It is opened, so that a file system of several machines asks the others; where that fails, as too much is open, it is only looked at.
        let there = File::open(&self.path).and_then(|file| file.metadata()).or_else(|_| std::fs::metadata(&self.path));
        match (there, self.file.metadata()) {
            (Ok(there), Ok(own)) if identity(&there) == identity(&own) => Ok(()),
            _ => Err(AuditError::TakenOver(self.path.clone())),
        }
    }
}

#[cfg(unix)]
fn identity(file: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

/// Where files cannot be told apart, one that is locked and open cannot be replaced either.
#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}
