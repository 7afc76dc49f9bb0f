//! A record of what this party took part in opening: one JSON object a line, written before each opening and never taken
//! back, whatever is repeated or resumed.

use crate::{JobError, write};
use serde::Serialize;
use std::fs::OpenOptions;
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
    job: String,
    session: String,
}

impl Ledger {
    /// Opens the record in `out`, keeping all that is there.
    pub(crate) fn open(out: &Path, job: &str, session: &str) -> Result<Ledger, JobError> {
        let path = out.join(NAME);
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        opened.map_err(|e| JobError::Output { file: path.clone(), problem: e.to_string() })?;
        Ok(Ledger { path, job: job.into(), session: session.into() })
    }

    /// Records that something is about to be opened; on disk when this returns.
    pub(crate) fn record(&self, opened: &str) -> Result<(), JobError> {
        let line = Line { job: &self.job, session: &self.session, opened };
        write::append(&self.path, &line)
    }
}
