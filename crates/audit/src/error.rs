//! What a log can fail with.

use privity_api::StatementError;
use std::path::{Path, PathBuf};

/// Why a log does not take or give something.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The disk.
    #[error("{action} {}: {problem}; check space and permissions", .file.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        file: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// Another process has it open.
    #[error("{} is open in another process: a log has one writer", .0.display())]
    Locked(PathBuf),
    /// Another process writes it from now on.
    #[error("{} is no longer this process's: the log was taken over by another, and this one writes nothing more", .0.display())]
    TakenOver(PathBuf),
    /// Another process took it over that came later.
    #[error(
        "{} was taken over under epoch {found}, and this process has epoch {own}: a later instance writes the log, and this one does nothing to it; if the \
         database was put back from an older copy or made anew, stop all instances, remove that file and start one", .file.display()
    )]
    Superseded {
        /// The log's lock.
        file: PathBuf,
        /// The epoch that stands in it.
        found: u64,
        /// This process's.
        own: u64,
    },
    /// Something failed before, so that nothing goes on unrecorded.
    #[error("the audit log takes nothing more until it is opened again, since this failed: {0}")]
    Closed(String),
    /// Someone else's.
    #[error("this is the audit log of {found}, not of {wanted}; give the right directory")]
    Foreign {
        /// Whose it should be.
        wanted: String,
        /// Whose it is.
        found: String,
    },
    /// A line that is none.
    #[error("{}, line {line}: {problem}; the file was altered or the disk is faulty: keep it, and ask the members that cosigned it", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong.
        problem: String,
    },
    /// Entries are gone.
    #[error(
        "the audit log has {have} entries, and a head over {signed} was signed: it was cut; keep it, and restore the missing entries"
    )]
    Truncated {
        /// Entries there.
        have: u64,
        /// Entries of the newest head.
        signed: u64,
    },
    /// Entries are others than those that were signed.
    #[error(
        "the first {size} entries of the audit log are not those that a head was signed over: it was altered; keep it, and restore the entries"
    )]
    Altered {
        /// Entries of the head that does not fit.
        size: u64,
    },
    /// A record that no entry has room for.
    #[error("this record takes {bytes} bytes, more than the {most} of an entry; it was not recorded")]
    TooLong {
        /// Its bytes.
        bytes: usize,
        /// As many as there may be.
        most: usize,
    },
    /// As many entries as there may be.
    #[error("the audit log is full: {0} entries")]
    Full(u64),
    /// Entries that are not there.
    #[error("no entries {from} to {to} in a log of {size}")]
    Range {
        /// From.
        from: u64,
        /// To, exclusive.
        to: u64,
        /// Entries there.
        size: u64,
    },
    /// A signature.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Someone signed another head than ours.
    #[error("{organisation} cosigned a head over {size} entries that is not one of this log")]
    NotOurs {
        /// Who.
        organisation: String,
        /// Over how many entries.
        size: u64,
    },
    /// A manifest that has no digest.
    #[error(transparent)]
    Manifest(#[from] privity_api::ManifestError),
    /// No entropy.
    #[error("no random numbers from the system: {0}")]
    Randomness(String),
}

impl AuditError {
    pub(crate) fn io(action: &'static str, file: &Path) -> impl Fn(std::io::Error) -> AuditError + use<> {
        let file = file.to_path_buf();
        move |e| AuditError::Io { action, file: file.clone(), problem: e.to_string() }
    }
    /// Whether the log must be opened again. A record that was refused before anything was written leaves the log as it was.
    pub(crate) fn closes(&self) -> bool {
        !matches!(
            self,
            AuditError::TooLong { .. }
                | AuditError::Range { .. }
                | AuditError::NotOurs { .. }
                | AuditError::Manifest(_)
                | AuditError::Statement(_)
        )
    }
}
