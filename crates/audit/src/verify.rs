//! What an auditor finds in exported logs: in each alone here, between them in `across`.

use crate::across;
use crate::clock::utc;
use crate::merkle::Tree;
use crate::read::{Evidence, Header, Part, Reader, VERSION};
use crate::{Cosignature, Head};
use base64::{Engine, engine::general_purpose::STANDARD};
use privity_api::{Manifest, Purpose, Record, Statement, Time};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

/// Most findings of a report; after as many nobody needs more.
pub const MOST_FINDINGS: usize = 10_000;

/// What an auditor knows from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Fingerprints of roots, by organisation.
    pub roots: BTreeMap<String, String>,
    /// Manifests by their digests, for logs that were exported without them.
    pub manifests: BTreeMap<String, Manifest>,
    /// Where public questions of jobs are, for what such a job opens.
    pub questions: Option<PathBuf>,
    /// Every log must reach this moment; what is later in some log is not looked for in others.
    pub until: Option<Time>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something is wrong.
    Wrong,
    /// Nothing is wrong, but it should be known.
    Note,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// In one word.
    pub kind: &'static str,
    /// Organisation whose log it is about, or the file.
    pub log: String,
    /// Digest of the manifest it is about.
    pub manifest: Option<String>,
    /// When it happened, by that log.
    pub at: Option<Time>,
    /// In words.
    pub text: String,
}

/// A log of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Its file.
    pub file: String,
    /// Whose it says it is.
    pub organisation: String,
    /// Fingerprint of the root that signed it, for people to compare.
    pub root: String,
    /// Entries.
    pub entries: u64,
    /// Those of which only the hash is there.
    pub hidden: u64,
    /// Heads signed.
    pub heads: usize,
    /// Cosignatures of others that verify.
    pub cosignatures: usize,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The logs.
    pub logs: Vec<Summary>,
    /// Jobs that were started.
    pub started: usize,
    /// Those of them with all approvals on record wherever they were started.
    pub approved: usize,
    /// What is wrong first.
    pub findings: Vec<Finding>,
}

/// An entry that is shown.
pub(crate) struct Seen {
    pub(crate) index: u64,
    pub(crate) at: Time,
    pub(crate) record: Record,
}

/// An exported log, read and checked by itself. Memory: 64 bytes an entry and those that are shown.
pub struct Book {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) header: Header,
    pub(crate) tree: Tree,
    pub(crate) seen: Vec<Seen>,
    /// The root with which each organisation last joined.
    pub(crate) joined: BTreeMap<String, String>,
    /// All roots under which each organisation ever joined.
    pub(crate) roots: BTreeSet<(String, String)>,
    /// Roots that were forgotten, by the name that stood for them: its log under each is another than that under the next.
    pub(crate) former: BTreeSet<(String, String)>,
    /// When each root first joined under a name that had another before.
    pub(crate) replaced: BTreeMap<(String, String), Time>,
    /// Heads of others that it says it cosigned: whose, size, root.
    pub(crate) cosigned: BTreeMap<(String, u64, String), Time>,
    pub(crate) hidden: u64,
    pub(crate) heads: Vec<Head>,
    pub(crate) cosignatures: Vec<Statement<Cosignature>>,
    pub(crate) witnessed: Vec<Statement<Head>>,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) manifests: BTreeMap<String, Manifest>,
    pub(crate) findings: Vec<Finding>,
    /// Whether it was read to its end, so that what is missing in it is missing.
    pub(crate) whole: bool,
}

/// Text of others, safe to print.
pub(crate) fn shown(text: &str) -> String {
    let safe = |c: char| match c {
        '\'' | '"' => c.to_string(),
        other => other.escape_debug().to_string(),
    };
    text.chars().take(200).map(safe).collect()
}

/// The signer of a statement, if the signature under it is that of the certificate in it.
pub(crate) fn signer<B: Purpose>(statement: &Statement<B>) -> Option<String> {
    let fingerprint = blake3::hash(&statement.certificate).to_hex().to_string();
    statement.verify("its signer", &fingerprint).is_ok().then_some(fingerprint)
}

impl Finding {
    pub(crate) fn wrong(kind: &'static str, log: &str, text: String) -> Finding {
        Finding { severity: Severity::Wrong, kind, log: shown(log), manifest: None, at: None, text }
    }
    pub(crate) fn note(kind: &'static str, log: &str, text: String) -> Finding {
        Finding { severity: Severity::Note, ..Finding::wrong(kind, log, text) }
    }
    pub(crate) fn at(self, at: Time) -> Finding {
        Finding { at: Some(at), ..self }
    }
}

impl Book {
    /// Reads and checks an exported log. What is wrong is in what is found.
    pub fn load(file: &str, input: impl BufRead) -> Book {
        let none = Header {
            version: VERSION,
            organisation: String::new(),
            root: String::new(),
            certificate: String::new(),
            size: 0,
            project: None,
            since: None,
        };
        let mut book = Book {
            name: file.into(),
            file: file.into(),
            header: none,
            tree: Tree::default(),
            seen: Vec::new(),
            joined: BTreeMap::new(),
            roots: BTreeSet::new(),
            former: BTreeSet::new(),
            replaced: BTreeMap::new(),
            cosigned: BTreeMap::new(),
            hidden: 0,
            heads: Vec::new(),
            cosignatures: Vec::new(),
            witnessed: Vec::new(),
            evidence: Vec::new(),
            manifests: BTreeMap::new(),
            findings: Vec::new(),
            whole: false,
        };
        let mut reader = Reader::new(input);
        loop {
            match reader.next_part() {
                Ok(Some((part, leaf))) => {
                    if let Some(leaf) = leaf {
                        book.tree.push(leaf);
                    }
                    if !book.take(part) {
                        return book;
                    }
                }
                Ok(None) if book.whole => break,
                Ok(None) => {
                    book.wrong("damaged", "the file is empty".into());
                    return book;
                }
                Err(error) => {
                    book.whole = false;
                    book.wrong("damaged", error.to_string());
                    return book;
                }
            }
        }
        book.finish();
        book
    }

    pub(crate) fn wrong(&mut self, kind: &'static str, text: String) {
        let finding = Finding::wrong(kind, &self.name, text);
        self.push(finding);
    }
    pub(crate) fn push(&mut self, finding: Finding) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        }
    }

    /// Takes a part; whether to go on.
    fn take(&mut self, part: Part) -> bool {
        match part {
            Part::Header(header) => return self.begin(header),
            Part::Manifest(text) => match Manifest::from_json(text.as_bytes()) {
                Ok(manifest) => {
                    self.manifests.insert(privity_api::sha256(text.as_bytes()), manifest);
                }
                Err(_) => self.wrong("damaged", "a manifest in it is none".into()),
            },
            Part::Entry(entry) => {
                let place = self.tree.size() - 1;
                if entry.index != place {
                    let text =
                        format!("entry {} is at place {place}: entries were moved, taken out or put in", entry.index);
                    self.push(Finding::wrong("order", &self.name, text).at(entry.at));
                }
                match &entry.record {
                    Record::Joined { organisation, root, .. } => {
                        if self.former.iter().any(|(name, before)| name == organisation && before != root) {
                            self.replaced.entry((organisation.clone(), root.clone())).or_insert(entry.at);
                        }
                        self.joined.insert(organisation.clone(), root.clone());
                        self.roots.insert((organisation.clone(), root.clone()));
                    }
                    // An empty root is none: the name had been forgotten before.
                    Record::Forgotten { organisation, root, .. } if !root.is_empty() => {
                        self.former.insert((organisation.clone(), root.clone()));
                        // From here on it vouches for no root of this name, until one joins.
                        self.joined.retain(|name, known| name != organisation || known != root);
                    }
                    Record::Cosigned { organisation, size, root } => {
                        self.cosigned.entry((organisation.clone(), *size, root.clone())).or_insert(entry.at);
                    }
                    _ => {}
                }
                self.seen.push(Seen { index: place, at: entry.at, record: entry.record });
            }
            Part::Hidden(_) => self.hidden += 1,
            Part::Head(statement) => self.head(&statement),
            Part::Cosignature(cosignature) => self.cosignatures.push(cosignature),
            Part::Witnessed(head) => self.witnessed.push(head),
            Part::Evidence(evidence) => self.evidence.push(evidence),
            Part::End(_) => self.whole = true,
        }
        true
    }

    fn begin(&mut self, header: Header) -> bool {
        if header.version != VERSION {
            let text = format!("the file is of version {}, this program reads {VERSION}", header.version);
            self.wrong("version", text);
            return false;
        }
        self.name = shown(&header.organisation);
        let certificate = STANDARD.decode(&header.certificate).unwrap_or_default();
        if blake3::hash(&certificate).to_hex().as_str() != header.root {
            self.wrong("damaged", "the certificate in it is not that of the root that it names".into());
        }
        self.header = header;
        true
    }

    fn head(&mut self, statement: &Statement<Head>) {
        let Ok(head) = statement.verify(&self.header.organisation, &self.header.root) else {
            return self.wrong("signature", "a head in it is not signed by its organisation's root".into());
        };
        let head = head.clone();
        let (have, size) = (self.tree.size(), head.size);
        if head.organisation != self.header.organisation {
            self.wrong("signature", format!("a head in it is of the log of {}", shown(&head.organisation)));
        } else if size > have {
            let text =
                format!("its own head of {} is over {size} entries, the file has {have}: it was cut", utc(head.at));
            self.wrong("truncated", text);
        } else if self.tree.root(size) != Some(head.root) {
            let before = self.heads.iter().map(|head| head.size).filter(|before| *before < size).max().unwrap_or(0);
            let text = format!("its entries {before} to {size} are not those that were signed on {}", utc(head.at));
            self.wrong("altered", text);
        } else {
            self.heads.push(head);
        }
    }

    /// What can be said once all of it is there.
    fn finish(&mut self) {
        let size = self.tree.size();
        if self.header.size != size {
            self.wrong("truncated", format!("the file says {} entries and has {size}", self.header.size));
        }
        let covered = self.heads.iter().map(|head| head.size).max().unwrap_or(0);
        if covered < size || size == 0 {
            self.wrong("unsigned", format!("no good head covers its entries from {covered} to {size}"));
        }
        let begun = Record::Begun { organisation: self.header.organisation.clone(), root: self.header.root.clone() };
        if !self.seen.first().is_some_and(|seen| seen.index == 0 && seen.record == begun) {
            self.wrong("damaged", "it does not begin with the beginning of this organisation's log".into());
        }
        if self.hidden > 0 && self.header.project.is_none() && self.header.since.is_none() {
            self.wrong("hidden", format!("{} entries are hidden, and no filter says why", self.hidden));
        }
        self.notes();
    }

    fn notes(&mut self) {
        let mut notes = Vec::new();
        for pair in self.seen.windows(2) {
            if pair[1].at.saturating_add(privity_api::manifest::SKEW) < pair[0].at {
                let text = format!("the clock went back from {} to {}", utc(pair[0].at), utc(pair[1].at));
                notes.push(Finding::note("clock", &self.name, text).at(pair[1].at));
            }
        }
        for seen in &self.seen {
            if let Record::Cut { file, bytes, .. } = &seen.record {
                let text = format!("after a crash {bytes} bytes were cut off {}, no head covered them", shown(file));
                notes.push(Finding::note("cut", &self.name, text).at(seen.at));
            }
        }
        notes.into_iter().for_each(|note| self.push(note));
    }

    fn summary(&self, cosignatures: usize) -> Summary {
        Summary {
            file: self.file.clone(),
            organisation: self.name.clone(),
            root: shown(&self.header.root),
            entries: self.tree.size(),
            hidden: self.hidden,
            heads: self.heads.len(),
            cosignatures,
        }
    }
}

/// Verifies exported logs, each alone and all against each other.
pub fn verify(files: &[PathBuf], known: &Known) -> Report {
    check(load(files), known)
}

/// Reads files.
pub(crate) fn load(files: &[PathBuf]) -> Vec<Book> {
    let load = |path: &PathBuf| {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Book::load(&name, BufReader::new(file)),
            Err(e) => {
                let mut book = Book::load(&name, &b""[..]);
                book.findings.clear();
                book.wrong("unreadable", e.to_string());
                book
            }
        }
    };
    files.iter().map(load).collect()
}

/// Verifies logs that were read.
pub fn check(mut books: Vec<Book>, known: &Known) -> Report {
    let mut findings: Vec<Finding> = books.iter_mut().flat_map(|book| std::mem::take(&mut book.findings)).collect();
    let across = across::check(&books, known);
    findings.extend(across.findings);
    // What is wrong comes first, otherwise all stays in its order.
    findings.sort_by_key(|finding| finding.severity);
    findings.truncate(MOST_FINDINGS);
    let logs = books.iter().zip(&across.cosignatures).map(|(book, good)| book.summary(*good)).collect();
    Report { logs, started: across.started, approved: across.approved, findings }
}

impl Report {
    /// How much is wrong.
    pub fn wrong(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Wrong).count()
    }

    /// For people.
    pub fn text(&self) -> String {
        let entries: u64 = self.logs.iter().map(|log| log.entries).sum();
        let cosignatures: usize = self.logs.iter().map(|log| log.cosignatures).sum();
        let mut lines = Vec::new();
        for log in &self.logs {
            let hidden = if log.hidden > 0 { format!(", {} of them hidden", log.hidden) } else { String::new() };
            lines.push(format!(
                "    {}: {} entries{hidden}, {} heads; root {}",
                log.organisation, log.entries, log.heads, log.root
            ));
        }
        let logs = format!("{} logs, {entries} entries, heads cosigned {cosignatures} times", self.logs.len());
        let of_logs = [
            "damaged",
            "unreadable",
            "version",
            "order",
            "signature",
            "truncated",
            "altered",
            "unsigned",
            "hidden",
            "forked",
            "root",
            "cosignature",
            "late",
        ];
        let wrong = |about_logs: bool| {
            let of = |f: &&Finding| f.severity == Severity::Wrong && of_logs.contains(&f.kind) == about_logs;
            self.findings.iter().filter(of).count()
        };
        lines.push(match wrong(true) {
            0 => format!("ok  {logs}; no gap, fork or reorder"),
            many => format!("!!  {logs}; {many} things are wrong with the logs"),
        });
        lines.push(match (self.approved == self.started, self.started) {
            (true, 0) => "ok  no job was started".into(),
            (true, started) => format!(
                "ok  {started} started jobs, each with the approvals of all owners of its data over the digest that ran"
            ),
            (false, started) => {
                format!("!!  {started} started jobs, {} of them with all approvals on record", self.approved)
            }
        });
        if wrong(false) == 0 && !self.logs.is_empty() {
            lines.push("ok  what the logs say of the same jobs agrees".into());
        }
        for finding in &self.findings {
            let mark = if finding.severity == Severity::Wrong { "!!" } else { "--" };
            let at = finding.at.map(|at| format!(" ({})", utc(at))).unwrap_or_default();
            let job = finding.manifest.as_ref().map(|m| format!("{}: ", m.get(..12).unwrap_or(m))).unwrap_or_default();
            lines.push(format!("{mark}  {job}{}: {}{at} [{}]", finding.log, finding.text, finding.kind));
        }
        lines.join("\n")
    }
}
