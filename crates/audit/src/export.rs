//! Exporting a log: one file for an auditor who has no access to the node.

use crate::entry::{leaf, read, write};
use crate::lines::{scan, text};
use crate::log::{COSIGNED, ENTRIES, EVIDENCE, HEADS, MANIFESTS, WITNESSED, each};
use crate::read::{End, Evidence, Header, Part, VERSION};
use crate::{AuditError, Cosignature, Entry, Hash, Head};
use base64::{Engine, engine::general_purpose::STANDARD};
use privity_api::{MAX_TEXT, Record, Statement, Time};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::Path;

/// Which entries are shown; of all others only the hashes, so that the tree still verifies.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those of this project, and those that are of none and name no table.
    pub project: Option<String>,
    /// Those since then, with all others of the manifests that they are about.
    pub since: Option<Time>,
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Entries shown.
    pub shown: u64,
    /// Entries of which only the hash is there.
    pub hidden: u64,
    /// Entries that no head covers yet: they are left out.
    pub uncovered: u64,
}

/// What must be known of all entries before the first is written.
#[derive(Default)]
struct Survey {
    entries: u64,
    /// Project of each manifest.
    projects: BTreeMap<String, String>,
    /// When a manifest was last heard of.
    latest: BTreeMap<String, Time>,
    /// Heads of others that these entries say were seen.
    cosigned: BTreeSet<(String, u64, String)>,
}

struct Writer<W> {
    out: W,
    digest: Sha256,
    lines: u64,
}

impl<W: Write> Writer<W> {
    fn line(&mut self, line: &str) -> std::io::Result<()> {
        self.digest.update(line.as_bytes());
        self.digest.update(b"\n");
        self.lines += 1;
        writeln!(self.out, "{line}")
    }
    fn part(&mut self, part: &Part) -> std::io::Result<()> {
        self.line(&write(part))
    }
}

/// Exports the log in a directory up to its newest signed head. The node may go on writing meanwhile; no key is needed.
///
/// # Errors
/// There is no head yet; files that were altered; the disk.
pub fn export(dir: &Path, filter: &Filter, out: impl Write) -> Result<Exported, AuditError> {
    let mut heads: Vec<Statement<Head>> = Vec::new();
    each(&dir.join(HEADS), |head, _| {
        heads.push(head);
        Ok(())
    })?;
    let path = dir.join(HEADS);
    let damaged = |problem: &str| AuditError::Damaged { file: path.clone(), line: 1, problem: problem.into() };
    let Some(newest) = heads.iter().max_by_key(|head| head.body.size) else {
        return Err(damaged("no head was signed yet: let the node sign one, then export"));
    };
    let size = newest.body.size;
    let survey = Survey::of(dir, size)?;
    if survey.entries < size {
        return Err(AuditError::Truncated { have: survey.entries, signed: size });
    }
    let header = Header {
        version: VERSION,
        organisation: newest.body.organisation.clone(),
        root: blake3::hash(&newest.certificate).to_hex().to_string(),
        certificate: STANDARD.encode(&newest.certificate),
        size,
        project: filter.project.clone(),
        since: filter.since,
    };
    let failed = |e: std::io::Error| AuditError::Io {
        action: "writing",
        file: "the exported log".into(),
        problem: e.to_string(),
    };
    let mut to = Writer { out, digest: Sha256::new(), lines: 0 };
    to.part(&Part::Header(header)).map_err(failed)?;
    for digest in survey.projects.keys().chain(survey.latest.keys()).collect::<BTreeSet<_>>() {
        if survey.selects(filter, digest)
            && let Some(manifest) = manifest(dir, digest)?
        {
            to.part(&Part::Manifest(manifest)).map_err(failed)?;
        }
    }
    let shown = write_entries(dir, size, filter, &survey, &mut to)?;
    heads.into_iter().try_for_each(|head| to.part(&Part::Head(head))).map_err(failed)?;
    write_others(dir, size, &survey, &mut to)?;
    let end = End { lines: to.lines, sha256: Hash(to.digest.clone().finalize().into()) };
    to.part(&Part::End(end)).and_then(|()| to.out.flush()).map_err(failed)?;
    Ok(Exported { shown, hidden: size - shown, uncovered: survey.entries - size })
}

/// Entries of the file: line, number from 0, and what it says.
fn entries(dir: &Path, mut take: impl FnMut(u64, &str, Entry) -> Result<(), AuditError>) -> Result<(), AuditError> {
    let path = dir.join(ENTRIES);
    scan(&path, |line, number, _| {
        let line = text(&path, line, number)?;
        let damaged = |problem| AuditError::Damaged { file: path.clone(), line: number, problem };
        take(number - 1, line, read(line).map_err(damaged)?)
    })
    .map(|_| ())
}

impl Survey {
    fn of(dir: &Path, size: u64) -> Result<Survey, AuditError> {
        let mut survey = Survey::default();
        entries(dir, |index, _, entry| {
            survey.entries = index + 1;
            if index < size {
                survey.take(entry);
            }
            Ok(())
        })?;
        Ok(survey)
    }
    fn take(&mut self, entry: Entry) {
        if let Some(manifest) = entry.record.manifest() {
            let latest = self.latest.entry(manifest.to_owned()).or_insert(entry.at);
            *latest = entry.at.max(*latest);
        }
        match entry.record {
            Record::Submitted { manifest, project, .. } => {
                self.projects.insert(manifest, project);
            }
            Record::Cosigned { organisation, size, root } => {
                self.cosigned.insert((organisation, size, root));
            }
            _ => {}
        }
    }
    fn selects(&self, filter: &Filter, manifest: &str) -> bool {
        let of_project = filter.project.as_ref().is_none_or(|wanted| self.projects.get(manifest) == Some(wanted));
        let recent = |since| self.latest.get(manifest).is_some_and(|at| *at >= since);
        of_project && filter.since.is_none_or(recent)
    }
    /// What logs vouch for of each other is always shown.
    fn shows(&self, filter: &Filter, entry: &Entry) -> bool {
        let recent = filter.since.is_none_or(|since| entry.at >= since);
        match &entry.record {
            Record::Begun { .. } | Record::Cut { .. } | Record::Cosigned { .. } | Record::Forgotten { .. } => true,
            // Budgets are added up from the beginning.
            Record::Joined { project, .. }
            | Record::Left { project, .. }
            | Record::Budget { project, .. }
            | Record::Spent { project, .. } => filter.project.as_ref().is_none_or(|wanted| wanted == project),
            Record::Table { .. } | Record::Model { .. } => filter.project.is_none() && recent,
            Record::Revoked { .. } | Record::Key { .. } | Record::Policy { .. } | Record::Person { .. } => recent,
            about => about.manifest().is_some_and(|manifest| self.selects(filter, manifest)),
        }
    }
}

fn write_entries<W: Write>(
    dir: &Path,
    size: u64,
    filter: &Filter,
    survey: &Survey,
    to: &mut Writer<W>,
) -> Result<u64, AuditError> {
    let mut shown = 0;
    let failed = AuditError::io("writing what is exported from", dir);
    entries(dir, |index, line, entry| {
        if index >= size {
            return Ok(());
        }
        match survey.shows(filter, &entry) {
            true => {
                shown += 1;
                to.line(&format!("{{\"entry\":{line}}}")).map_err(&failed)
            }
            false => to.part(&Part::Hidden(leaf(line))).map_err(&failed),
        }
    })?;
    Ok(shown)
}

/// What members signed about each other's logs, as far as these entries reach.
fn write_others<W: Write>(dir: &Path, size: u64, survey: &Survey, to: &mut Writer<W>) -> Result<(), AuditError> {
    each(&dir.join(COSIGNED), |cosignature: Statement<Cosignature>, _| match cosignature.body.head.size <= size {
        true => to.part(&Part::Cosignature(cosignature)).map_err(|e| e.to_string()),
        false => Ok(()),
    })?;
    each(&dir.join(WITNESSED), |head: Statement<Head>, _| {
        let Head { organisation, size, root, .. } = &head.body;
        match survey.cosigned.contains(&(organisation.clone(), *size, root.to_string())) {
            true => to.part(&Part::Witnessed(head)).map_err(|e| e.to_string()),
            false => Ok(()),
        }
    })?;
    each(&dir.join(EVIDENCE), |evidence: Evidence, _| to.part(&Part::Evidence(evidence)).map_err(|e| e.to_string()))?;
    Ok(())
}

/// A manifest that was kept. Digests are from entries: only what looks like one is looked up.
fn manifest(dir: &Path, digest: &str) -> Result<Option<String>, AuditError> {
    if digest.parse::<Hash>().is_err() {
        return Ok(None);
    }
    let path = dir.join(MANIFESTS).join(format!("{digest}.json"));
    let failed = AuditError::io("reading", &path);
    let mut text = String::new();
    match std::fs::File::open(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.and_then(|file| file.take(MAX_TEXT as u64 + 1).read_to_string(&mut text)).map_err(failed)?,
    };
    match privity_api::sha256(text.as_bytes()) == digest {
        true => Ok(Some(text)),
        false => {
            Err(AuditError::Damaged { file: path, line: 1, problem: "another manifest than its name says".into() })
        }
    }
}
