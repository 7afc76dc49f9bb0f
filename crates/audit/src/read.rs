//! Reading exported logs: bytes of someone else.

use crate::merkle::Hash;
use crate::{Cosignature, Entry, Head, MAX_LINE, MAX_LINES, entry};
use privity_api::{Statement, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{BufRead, Read};

/// Version of exported files.
pub const VERSION: u32 = 1;

/// A part of an exported log, one a line, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What this file is; the first line.
    Header(Header),
    /// The canonical text of a manifest.
    Manifest(String),
    /// An entry.
    Entry(Entry),
    /// The hash of an entry that is not shown.
    Hidden(Hash),
    /// A head that the organisation signed.
    Head(Statement<Head>),
    /// What another member signed of one of them.
    Cosignature(Statement<Cosignature>),
    /// A head of another member's log that this node cosigned.
    Witnessed(Statement<Head>),
    /// Heads that cannot be of one log.
    Evidence(Evidence),
    /// The last line.
    End(End),
}

/// What an exported file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the form.
    pub version: u32,
    /// Whose log.
    pub organisation: String,
    /// Fingerprint of its root.
    pub root: String,
    /// The root certificate, in base64.
    pub certificate: String,
    /// Entries, shown or hidden.
    pub size: u64,
    /// Only entries of this project are shown, and those of none.
    pub project: Option<String>,
    /// Only entries since then are shown, with all of the manifests that they are about.
    pub since: Option<Time>,
}

/// Two signed heads of one organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Whose.
    pub organisation: String,
    /// The one that was remembered.
    pub kept: Statement<Head>,
    /// The one that did not continue it.
    pub seen: Statement<Head>,
    /// When that was.
    pub at: Time,
}

/// The end of a file. It finds damage; against intent stand hashes and signatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Lines before this one.
    pub lines: u64,
    /// SHA-256 of their bytes.
    pub sha256: Hash,
}

/// Why a file is no exported log.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The disk.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// A line.
    #[error("line {line}: {problem}")]
    Line {
        /// From 1.
        line: u64,
        /// What is wrong.
        problem: String,
    },
}

/// Reads parts, one at a time.
pub struct Reader<R> {
    input: R,
    digest: Sha256,
    line: Vec<u8>,
    lines: u64,
    rank: u8,
    done: bool,
}

fn rank(part: &Part) -> u8 {
    match part {
        Part::Header(_) => 1,
        Part::Manifest(_) => 2,
        Part::Entry(_) | Part::Hidden(_) => 3,
        Part::Head(_) => 4,
        Part::Cosignature(_) => 5,
        Part::Witnessed(_) => 6,
        Part::Evidence(_) => 7,
        Part::End(_) => 8,
    }
}

impl<R: BufRead> Reader<R> {
    /// Begins.
    pub fn new(input: R) -> Reader<R> {
        Reader { input, digest: Sha256::new(), line: Vec::new(), lines: 0, rank: 0, done: false }
    }
    /// Lines read.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The next part, with the hash of its leaf if it is an entry; nothing behind [`Part::End`].
    ///
    /// # Errors
    /// A line that is too long, is no part, not in canonical form or not in its place; an end that does not fit, or is missing; anything behind it.
    pub fn next_part(&mut self) -> Result<Option<(Part, Option<Hash>)>, FormatError> {
        let wrong = |line, problem: String| Err(FormatError::Line { line, problem });
        let number = self.lines + 1;
        self.line.clear();
        let read = self.input.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut self.line)?;
        if self.done {
            return if read == 0 { Ok(None) } else { wrong(number, "something follows the end".into()) };
        }
        if self.line.last() != Some(&b'\n') {
            let problem = if read > MAX_LINE { "is too long" } else { "the file ends before its end: it was cut" };
            return wrong(number, problem.into());
        }
        if number > MAX_LINES {
            return wrong(number, format!("more than {MAX_LINES} lines"));
        }
        let Ok(text) = std::str::from_utf8(&self.line[..read - 1]) else { return wrong(number, "is not text".into()) };
        let part: Part = match entry::read(text) {
            Ok(part) => part,
            Err(problem) => return wrong(number, problem),
        };
        let (before, now) = (self.rank, rank(&part));
        let once = matches!(part, Part::Header(_) | Part::End(_));
        if now < before || (once && now == before) || (before == 0 && now != 1) {
            return wrong(number, "is not in its place".into());
        }
        let leaf = match &part {
            // The canonical text of the line holds that of the entry.
            Part::Entry(_) => Some(entry::leaf(&text["{\"entry\":".len()..text.len() - 1])),
            Part::Hidden(hash) => Some(*hash),
            _ => None,
        };
        if let Part::End(end) = &part {
            self.done = true;
            let sha256 = Hash(self.digest.clone().finalize().into());
            if *end != (End { lines: self.lines, sha256 }) {
                return wrong(number, "the file was altered or damaged: its digest does not fit".into());
            }
        }
        self.digest.update(&self.line);
        (self.lines, self.rank) = (number, now);
        Ok(Some((part, leaf)))
    }
}

/// Any bytes are survived, by everything that an auditor does with them.
pub fn fuzz(bytes: &[u8]) {
    let book = crate::verify::Book::load("file", bytes);
    let report = crate::verify::check(vec![book], &crate::verify::Known::default());
    assert!(report.text().len() < usize::MAX && report.wrong() <= report.findings.len());
}
