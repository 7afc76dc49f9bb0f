//! A record of what this party took part in opening: one JSON object a line, written before each opening and never taken
//! back, whatever is repeated or resumed.

use crate::JobError;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Name of the record in a party's output directory.
pub const NAME: &str = "openings.jsonl";

#[derive(Serialize)]
struct Line<'a> {
    job: &'a str,
    session: &'a str,
    opened: &'a str,
}

/// The record.
pub struct Ledger {
    path: PathBuf,
    file: File,
    job: String,
    session: String,
}

impl Ledger {
    /// Opens the record in `out`, keeping all that is there.
    pub(crate) fn open(out: &Path, job: &str, session: &str) -> Result<Ledger, JobError> {
        let path = out.join(NAME);
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let file = opened.map_err(|e| JobError::Output { file: path.clone(), problem: e.to_string() })?;
        Ok(Ledger { path, file, job: job.into(), session: session.into() })
    }

    /// Records that something is about to be opened; on disk when this returns.
    pub(crate) fn record(&mut self, opened: &str) -> Result<(), JobError> {
        let line = Line { job: &self.job, session: &self.session, opened };
        let mut text = serde_json::to_vec(&line).map_err(|e| JobError::Internal(e.to_string()))?;
        text.push(b'\n');
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        written.map_err(|e| JobError::Output { file: self.path.clone(), problem: e.to_string() })
    }
}
