//! What logs say of each other, and of the same jobs.

use crate::clock::utc;
use crate::jobs;
use crate::verify::{Book, Finding, Known, shown, signer};
use crate::witness::conflict;
use crate::{Cosignature, Hash, Head};
use privity_api::{Statement, Time};
use std::collections::{BTreeMap, BTreeSet};

/// What was found between logs.
pub(crate) struct Across {
    pub(crate) findings: Vec<Finding>,
    pub(crate) started: usize,
    pub(crate) approved: usize,
    /// Good cosignatures in each file.
    pub(crate) cosignatures: Vec<usize>,
}

/// One log of each organisation, by its name: the longest, if several files are of one.
pub(crate) type Logs<'a> = BTreeMap<&'a str, &'a Book>;

struct Compare<'a> {
    books: &'a [Book],
    logs: Logs<'a>,
    known: &'a Known,
    found: Vec<Finding>,
}

/// Compares all that were read to their ends.
pub(crate) fn check(books: &[Book], known: &Known) -> Across {
    let mut all = Compare { books, logs: logs(books), known, found: Vec::new() };
    all.roots();
    all.replaced();
    all.reach();
    all.copies();
    let cosignatures = books.iter().map(|book| all.cosignatures(book)).collect();
    books.iter().filter(|book| book.whole).for_each(|book| all.witnessed(book));
    all.claims();
    all.signed();
    crate::budgets::check(&all.logs, known, &mut all.found);
    let (started, approved) = jobs::check(&all.logs, known, &mut all.found);
    Across { findings: all.found, started, approved, cosignatures }
}

pub(crate) fn logs(books: &[Book]) -> Logs<'_> {
    let mut logs: Logs = BTreeMap::new();
    for book in books.iter().filter(|book| book.whole) {
        let better = |kept: &&Book| (book.tree.size(), kept.hidden) > (kept.tree.size(), book.hidden);
        if logs.get(&*book.header.organisation).is_none_or(better) {
            logs.insert(&book.header.organisation, book);
        }
    }
    logs
}

/// Whether a log says that a person had this root forgotten under this name.
fn is_former(book: &Book, organisation: &str, root: &str) -> bool {
    book.former.contains(&(organisation.to_owned(), root.to_owned()))
}

/// Whether a log saw an organisation join under this root.
pub(crate) fn saw(book: &Book, organisation: &str, root: &str) -> bool {
    book.roots.contains(&(organisation.to_owned(), root.to_owned()))
}

/// When, by a log, the root of another came in place of one that was forgotten.
pub(crate) fn replaced_at(seen_by: &Book, log: &Book) -> Option<Time> {
    seen_by.replaced.get(&(log.header.organisation.clone(), log.header.root.clone())).copied()
}

impl<'a> Compare<'a> {
    /// Whether what happened then must be in all logs.
    fn settled(&self, at: Time) -> bool {
        self.known.until.is_none_or(|until| at <= until)
    }

    /// The root of an organisation: as the auditor knows it, as its log says, or as another log saw it join.
    fn root(&self, organisation: &str, seen_by: &'a Book) -> Option<&'a str> {
        let own = || self.logs.get(organisation).map(|book| book.header.root.as_str());
        self.known
            .roots
            .get(organisation)
            .map(String::as_str)
            .or_else(own)
            .or_else(|| seen_by.joined.get(organisation).map(String::as_str))
    }

    /// Whether anybody but this log says that an organisation had this root: whoever could call any root a former one of another's would sign in its name.
    fn vouched(&self, book: &Book, organisation: &str, root: &str) -> bool {
        let others = || self.logs.values().filter(|other| other.name != book.name);
        self.known.roots.get(organisation).is_some_and(|known| known == root)
            || others().any(|other| saw(other, organisation, root) || is_former(other, organisation, root))
            || self.logs.get(organisation).is_some_and(|log| log.name != book.name && log.header.root == root)
    }

    /// A whole log can be made up under a key of one's own: only others can say whose key it is.
    fn roots(&mut self) {
        for (name, book) in &self.logs {
            let others = self.logs.values().filter(|other| other.name != book.name);
            let mut vouched = false;
            let mut said: Vec<(String, &str)> = others
                .filter_map(|other| Some((format!("the log of {}", other.name), other.joined.get(*name)?.as_str())))
                .collect();
            said.extend(self.known.roots.get(*name).map(|root| ("the auditor".to_owned(), root.as_str())));
            for (who, root) in said {
                vouched = true;
                if root != book.header.root {
                    let text =
                        format!("is signed by root {}, and {who} knows {}", shown(&book.header.root), shown(root));
                    self.found.push(Finding::wrong("root", name, text));
                }
            }
            if !vouched {
                let text =
                    "no other file says which root is this organisation's: compare its fingerprint yourself".into();
                self.found.push(Finding::note("root", name, text));
            }
        }
    }

    /// Where a name has another root than before, its log begins anew.
    fn replaced(&mut self) {
        for (name, book) in &self.logs {
            let others = self.logs.values().filter(|other| other.name != book.name);
            let after = |other: &&&Book| replaced_at(other, book).is_some();
            let who: Vec<&str> = others.filter(after).map(|other| other.name.as_str()).collect();
            if !who.is_empty() {
                let text = format!(
                    "{} had another root forgotten under this name: the log under that root is not among what was compared",
                    who.join(", ")
                );
                self.found.push(Finding::note("root", name, text));
            }
        }
    }

    /// Every log must reach the moment up to which all are compared.
    fn reach(&mut self) {
        let Some(until) = self.known.until else { return };
        for (name, book) in &self.logs {
            if book.heads.iter().map(|head| head.at).max().is_none_or(|at| at < until) {
                let text = format!("its newest head is from before {}: have it exported again", utc(until));
                self.found.push(Finding::wrong("late", name, text));
            }
        }
    }

    /// Two files of one log.
    fn copies(&mut self) {
        for book in self.books.iter().filter(|book| book.whole) {
            let longest = self.logs[&*book.header.organisation];
            if longest.header.root != book.header.root
                || longest.tree.root(book.tree.size()) != book.tree.root(book.tree.size())
            {
                let text =
                    format!("{} and {} are not of one log: it has forked", shown(&book.file), shown(&longest.file));
                self.found.push(Finding::wrong("forked", &book.header.organisation, text));
            }
        }
    }

    /// Cosignatures of the others under heads of this log; how many are good.
    fn cosignatures(&mut self, book: &'a Book) -> usize {
        let mut good = 0;
        for statement in book.cosignatures.iter().filter(|_| book.whole) {
            match self.cosignature(book, statement) {
                Ok(counts) => good += usize::from(counts),
                Err(finding) => self.found.push(finding),
            }
        }
        good
    }

    /// Whether it counts.
    fn cosignature(&self, book: &'a Book, statement: &Statement<Cosignature>) -> Result<bool, Finding> {
        let Cosignature { organisation, head, root, at } = &statement.body;
        let who = shown(organisation);
        let wrong = |text: String| Err(Finding::wrong("cosignature", &book.name, text).at(*at));
        let signer = signer(statement);
        let former = signer.as_deref().is_some_and(|signer| is_former(book, organisation, signer));
        let known = |root: &str| signer.as_deref() == Some(root);
        // Where a log says that a root was forgotten, and nobody says which came next, none is known.
        let none_forgotten = || book.former.iter().all(|(name, _)| name != organisation);
        let current = self.root(organisation, book).map_or_else(none_forgotten, known);
        if signer.is_none() || !(former || current) {
            return wrong(format!("a cosignature in it is not signed by {who}'s root"));
        }
        if !current && !signer.as_deref().is_some_and(|signer| self.vouched(book, organisation, signer)) {
            let text =
                format!("has a cosignature by a root that it alone calls a former one of {who}: it is not counted");
            return Err(Finding::note("unvouched", &book.name, text).at(*at));
        }
        if head.organisation != book.header.organisation || *root != book.header.root {
            return wrong(format!("{who} cosigned another log"));
        }
        if book.tree.root(head.size) != Some(head.root) {
            let text =
                format!("{who} cosigned {} other entries than the file has: it was cut or has forked", head.size);
            return Err(Finding::wrong("forked", &book.name, text).at(*at));
        }
        // The log under a root that was replaced is another than the one that is here.
        let same = |log: &&&Book| current || signer.as_deref() == Some(log.header.root.as_str());
        let log = self.logs.get(&**organisation).filter(|_| self.settled(*at)).filter(same);
        let Some(log) = log else { return Ok(true) };
        match log.cosigned.contains_key(&(head.organisation.clone(), head.size, head.root.to_string())) {
            true => Ok(true),
            false => {
                let text =
                    format!("misses that it cosigned {} entries of {}'s log, which it did", head.size, book.name);
                Err(Finding::wrong("truncated", organisation, text).at(*at))
            }
        }
    }

    /// Heads of others in this file: signed by them, and on record as cosigned, one for one.
    fn witnessed(&mut self, book: &'a Book) {
        let mut signed = BTreeSet::new();
        for statement in &book.witnessed {
            let head = &statement.body;
            let root = self.root(&head.organisation, book);
            let signer = signer(statement);
            let current = signer.as_deref().is_some_and(|signer| root.is_none_or(|root| signer == root));
            let former = |signer: &&str| is_former(book, &head.organisation, signer);
            let former = signer.as_deref().filter(former);
            let fine = current || former.is_some();
            if !current && former.is_some_and(|former| !self.vouched(book, &head.organisation, former)) {
                let text = format!(
                    "has a head by a root that it alone calls a former one of {}: it says nothing",
                    shown(&head.organisation)
                );
                self.found.push(Finding::note("unvouched", &book.name, text).at(head.at));
            }
            signed.insert((head.organisation.as_str(), head.size, head.root.to_string()));
            if !fine {
                let text =
                    format!("a head of {} in it is not signed by that organisation's root", shown(&head.organisation));
                self.found.push(Finding::wrong("signature", &book.name, text));
            }
        }
        let recorded = book.cosigned.keys().map(|(whose, size, root)| (whose.as_str(), *size, root.clone())).collect();
        for (organisation, size, _) in signed.symmetric_difference(&recorded) {
            let text = format!(
                "its record of having cosigned {size} entries of {}, and the signed head, do not both exist",
                shown(organisation)
            );
            self.found.push(Finding::wrong("cosignature", &book.name, text));
        }
    }

    /// What others hold of a log must be in it.
    fn claims(&mut self) {
        let mut claims: BTreeMap<(&str, u64, String), (&str, Time)> = BTreeMap::new();
        for book in self.books.iter().filter(|book| book.whole) {
            for head in self.heads(book) {
                claims.entry((&head.organisation, head.size, head.root.to_string())).or_insert((&book.name, head.at));
            }
            for ((organisation, size, root), at) in &book.cosigned {
                if self.of_former(book, (organisation, *size, root)) {
                    continue;
                }
                claims.entry((organisation, *size, root.clone())).or_insert((&book.name, *at));
            }
        }
        for ((organisation, size, root), (holder, at)) in claims {
            let Some(log) = self.logs.get(organisation).filter(|_| self.settled(at)) else { continue };
            let finding = match log.tree.root(size) {
                Some(ours) if ours.to_string() == root => continue,
                Some(_) => {
                    let text = format!(
                        "{holder} holds a head over {size} entries that is not of this log: it has forked or was altered"
                    );
                    Finding::wrong("forked", organisation, text)
                }
                None => {
                    let text = format!(
                        "{holder} holds a head over {size} entries, and the file has {}: it was cut, or exported before",
                        log.tree.size()
                    );
                    Finding::wrong("truncated", organisation, text)
                }
            };
            self.found.push(finding.at(at));
        }
    }

    /// Whether what a log says that it cosigned is a head under a root that was replaced: that log is another than the one that is here.
    fn of_former(&self, book: &'a Book, (organisation, size, root): (&str, u64, &str)) -> bool {
        if book.former.iter().all(|(name, _)| name != organisation) {
            return false;
        }
        let current = self.root(organisation, book);
        book.witnessed.iter().any(|statement| {
            let head = &statement.body;
            let this = head.organisation == organisation && head.size == size && head.root.to_string() == root;
            this && signer(statement)
                .is_some_and(|signer| current != Some(&*signer) && is_former(book, organisation, &signer))
        })
    }

    /// Heads that a file holds of any log, and that their organisation signed.
    fn heads(&self, book: &'a Book) -> Vec<&'a Head> {
        let evidence = book.evidence.iter().flat_map(|evidence| [&evidence.kept, &evidence.seen]);
        let signed = |statement: &&'a Statement<Head>| {
            let root = self.root(&statement.body.organisation, book);
            signer(statement).is_some_and(|signer| root.is_none_or(|root| signer == root))
        };
        let others = book.witnessed.iter().chain(evidence).filter(signed).map(|statement| &statement.body);
        others.chain(&book.heads).collect()
    }

    /// Heads that cannot be of one log, whatever its entries.
    fn signed(&mut self) {
        let mut heads: BTreeMap<&str, BTreeMap<(u64, Hash), &Head>> = BTreeMap::new();
        let mut forked: BTreeSet<&str> = BTreeSet::new();
        for book in self.books.iter().filter(|book| book.whole) {
            for head in self.heads(book) {
                heads.entry(&head.organisation).or_default().entry((head.size, head.root)).or_insert(head);
            }
            for evidence in &book.evidence {
                let (kept, seen) = (&evidence.kept.body, &evidence.seen.body);
                let of_one =
                    kept.organisation == seen.organisation && evidence.kept.certificate == evidence.seen.certificate;
                let signed = [&evidence.kept, &evidence.seen].iter().all(|head| signer(head).is_some());
                if !(of_one && signed) {
                    self.found.push(Finding::wrong("signature", &book.name, "evidence in it is not signed".into()));
                } else if conflict(kept, seen) {
                    forked.insert(&kept.organisation);
                } else {
                    let text = format!(
                        "{} did not prove to {} that {} entries continue {}",
                        shown(&kept.organisation),
                        book.name,
                        seen.size,
                        kept.size
                    );
                    self.found.push(Finding::note("unproven", &book.name, text).at(evidence.at));
                }
            }
        }
        for (organisation, heads) in heads {
            let by_size: Vec<&Head> = heads.into_values().collect();
            if by_size.windows(2).any(|pair| conflict(pair[0], pair[1])) {
                forked.insert(organisation);
            }
        }
        for organisation in forked {
            let text = "its root signed heads that cannot be of one log: it has forked or shortened it".into();
            self.found.push(Finding::wrong("forked", organisation, text));
        }
    }
}
