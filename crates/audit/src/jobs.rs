//! What the logs say of jobs: each log alone, and all of the same job.

use crate::across::{Logs, replaced_at, saw};
use crate::clock::utc;
use crate::verify::{Book, Finding, Known, Seen, shown};
use privity_api::manifest::SKEW;
use privity_api::{Decision, Manifest, Record, Time};
use privity_job::file::OnLoss;
use std::collections::{BTreeMap, BTreeSet};

/// A job whose last record in another log is less than this after the moment from which on a log is shown may be missing there.
const SLACK: Time = 3600;

/// A job, as all logs together know it.
struct Job<'a> {
    digest: &'a str,
    /// What was approved, if some file has it.
    manifest: Option<&'a Manifest>,
    project: Option<&'a str>,
    /// When any log last says something about it.
    latest: Time,
    /// What each log says.
    stories: BTreeMap<&'a str, Story<'a>>,
}

/// What one log says of a job.
#[derive(Default)]
struct Story<'a> {
    submitted: Option<&'a Record>,
    decided: Vec<Decided<'a>>,
    runs: BTreeMap<u32, Run<'a>>,
    /// Whether an attempt began without all approvals.
    unapproved: bool,
    /// How it ended, where no attempt of it was signed. Other members may never have heard of it, or have ended it otherwise.
    over: Option<&'a str>,
    /// When it last says something about the job.
    latest: Time,
}

struct Decided<'a> {
    organisation: &'a str,
    decision: Decision,
    by: &'a [String],
    approval: &'a str,
    at: Time,
}

/// What one log says of an attempt.
#[derive(Default)]
struct Run<'a> {
    attempt: Option<(&'a str, &'a [(String, String)])>,
    session: Option<&'a str>,
    openings: Vec<&'a str>,
    /// Whom all others stated lost, the openings before that, and the session of those that went on.
    lost: Option<(&'a str, usize, Option<&'a str>)>,
    ended: Option<(&'a str, u8)>,
    at: Time,
}

/// Checks all jobs. How many were started, and how many of them with all approvals.
pub(crate) fn check(logs: &Logs, known: &Known, found: &mut Vec<Finding>) -> (usize, usize) {
    let mut events: BTreeMap<&str, BTreeMap<&str, Vec<&Seen>>> = BTreeMap::new();
    for (name, book) in logs {
        // What was taken of budgets is looked at by itself, and shown also where a filter hides the job.
        for seen in book.seen.iter().filter(|seen| !matches!(seen.record, Record::Spent { .. })) {
            if let Some(manifest) = seen.record.manifest() {
                events.entry(manifest).or_default().entry(name).or_default().push(seen);
            }
        }
    }
    let (mut started, mut approved) = (0, 0);
    for (digest, of_logs) in events {
        let before = found.len();
        let mut job = Job::new(digest, logs, known);
        job.latest = of_logs.values().flatten().map(|seen| seen.at).max().unwrap_or(0);
        for (name, seen) in of_logs {
            let story = Story::read(name, &seen, job.manifest, found);
            job.project = job.project.or(match story.submitted {
                Some(Record::Submitted { project, .. }) => Some(project),
                _ => None,
            });
            job.stories.insert(name, story);
        }
        job.compare(logs, known, found);
        for finding in &mut found[before..] {
            finding.manifest = Some(shown(digest));
        }
        if job.stories.values().any(|story| !story.runs.is_empty()) {
            started += 1;
            approved += usize::from(job.manifest.is_some() && job.stories.values().all(|story| !story.unapproved));
        }
    }
    (started, approved)
}

/// Owners of data of a job.
fn owners(manifest: &Manifest) -> impl Iterator<Item = &str> {
    manifest.job.participants.iter().filter(|p| !p.is_helper()).map(|p| p.name.as_str())
}

impl<'a> Story<'a> {
    /// Reads what a log says, in its order, and checks that order.
    fn read(name: &str, seen: &[&'a Seen], manifest: Option<&Manifest>, found: &mut Vec<Finding>) -> Story<'a> {
        let latest = seen.iter().map(|seen| seen.at).max().unwrap_or(0);
        let mut story = Story { latest, ..Story::default() };
        let mut resumed = None;
        for Seen { at, record, .. } in seen {
            let mut wrong = |kind, text: String| found.push(Finding::wrong(kind, name, text).at(*at));
            match record {
                Record::Submitted { id, project, submitter, .. } => {
                    let fits = |m: &Manifest| (&m.id, &m.project, &m.submitter) == (id, project, submitter);
                    if story.submitted.is_some_and(|first| first != record) || !manifest.is_none_or(fits) {
                        wrong("differs", "the manifest came in with other words than it has".into());
                    }
                    story.submitted = Some(record);
                }
                Record::Decided { organisation, decision, by, approval, .. } => {
                    story.decided.push(Decided { organisation, decision: *decision, by, approval, at: *at });
                }
                Record::Attempt { number, build, parameters, .. } => {
                    if story.over.take().is_some() {
                        resumed = Some((*number, *at));
                    }
                    story.attempt(*number, *at, manifest, &mut wrong);
                    let run = story.run(*number, *at);
                    run.attempt = run.attempt.or(Some((build, parameters)));
                }
                Record::Session { number, session, .. } => {
                    let run = story.run(*number, *at);
                    if run.attempt.is_none() || run.ended.is_some() {
                        wrong(
                            "order",
                            format!("a session of attempt {number} began without its beginning, or after its end"),
                        );
                    }
                    let before = match &mut run.lost {
                        Some((_, _, next)) => next.replace(session),
                        None => run.session.replace(session),
                    };
                    if before.is_some() {
                        wrong("repeated", format!("attempt {number} has two sessions"));
                    }
                }
                Record::Lost { number, lost, .. } => {
                    let run = story.run(*number, *at);
                    if run.session.is_none() || run.ended.is_some() || run.lost.is_some() {
                        let text = "without a session, after its end, or for the second time";
                        wrong("order", format!("attempt {number} went on without {}: {text}", shown(lost)));
                    }
                    let allows = |m: &Manifest| {
                        m.job.on_loss == OnLoss::Continue && m.job.participants.iter().any(|p| p.name == *lost)
                    };
                    if !manifest.is_none_or(allows) {
                        let text = "which the manifest does not allow";
                        wrong("lost", format!("attempt {number} went on without {}, {text}", shown(lost)));
                    }
                    run.lost = run.lost.or(Some((lost, run.openings.len(), None)));
                }
                Record::Opening { number, what, .. } => {
                    let run = story.run(*number, *at);
                    if run.session.is_none() || run.lost.is_some_and(|(_, _, next)| next.is_none()) {
                        wrong("order", format!("attempt {number} opened something without a session"));
                    }
                    if run.ended.is_some() {
                        wrong("opened", format!("attempt {number} opened something after its end"));
                    }
                    if manifest.is_some_and(|m| *at > m.release.until) {
                        wrong("opened", format!("attempt {number} opened something after the manifest's last moment"));
                    }
                    run.openings.push(what);
                }
                Record::Ended { number: 0, end, .. } => {
                    if let Some(number) = story.runs.keys().next_back() {
                        wrong("order", format!("it ended without an attempt after attempt {number}"));
                    }
                    if !gives_up(end) {
                        wrong("order", format!("it ended `{}` without an attempt", shown(end)));
                    }
                    // A node that is killed just then says the same again, or gives it up for another reason when it is back.
                    story.over = Some(end);
                }
                Record::Ended { number, end, code, .. } => {
                    let run = story.run(*number, *at);
                    if run.attempt.is_none() {
                        wrong("order", format!("attempt {number} ended without having begun"));
                    }
                    let before = run.ended.replace((end, *code));
                    // A job that waits after a pause can be given up, or its time be over.
                    // Whoever is killed after it wrote that its time is over may find another reason when it is back.
                    let goes_on = |before: &str| before == "paused" || (gives_up(before) && before != end);
                    if before.is_some_and(|(before, _)| !goes_on(before) || !gives_up(end)) {
                        wrong("repeated", format!("attempt {number} ended twice"));
                    }
                }
                _ => {}
            }
        }
        // Whoever is killed after it wrote that a job ended, and before it acted on that, takes up the job again.
        if let Some((number, at)) = resumed {
            let text = format!("attempt {number} began after it had written that the job ended without one");
            found.push(Finding::note("order", name, text).at(at));
        }
        if story.submitted.is_none() {
            found.push(Finding::wrong("missing", name, "misses that this manifest came in".into()));
        }
        story
    }

    fn run(&mut self, number: u32, at: Time) -> &mut Run<'a> {
        self.runs.entry(number).or_insert_with(|| Run { at, ..Run::default() })
    }

    /// What must hold when an attempt begins.
    fn attempt(
        &mut self,
        number: u32,
        at: Time,
        manifest: Option<&Manifest>,
        wrong: &mut impl FnMut(&'static str, String),
    ) {
        if let Some((last, _)) = self.runs.last_key_value().filter(|(last, _)| **last >= number) {
            wrong("repeated", format!("attempt {number} began after attempt {last}"));
        }
        if number == 0 || manifest.is_some_and(|m| number > m.attempts) {
            wrong("repeated", format!("attempt {number} began, which the manifest does not allow"));
        }
        if manifest.is_some_and(|m| at >= m.expires) {
            wrong("expired", format!("attempt {number} began after the manifest was over"));
        }
        let last = |who: &str| self.decided.iter().rev().find(|d| d.organisation == who).map(|d| d.decision);
        let mut unapproved = false;
        for owner in manifest.into_iter().flat_map(owners).filter(|owner| last(owner) != Some(Decision::Approve)) {
            unapproved = true;
            wrong("unapproved", format!("attempt {number} began without {}'s approval on record", shown(owner)));
        }
        let who: BTreeSet<&str> = self.decided.iter().map(|d| d.organisation).collect();
        for denier in who.into_iter().filter(|who| last(who) == Some(Decision::Deny)) {
            unapproved = true;
            wrong("unapproved", format!("attempt {number} began though {} had denied", shown(denier)));
        }
        self.unapproved |= unapproved;
    }
}

impl<'a> Job<'a> {
    fn new(digest: &'a str, logs: &Logs<'a>, known: &'a Known) -> Job<'a> {
        let manifest = logs.values().find_map(|book| book.manifests.get(digest)).or(known.manifests.get(digest));
        let project = manifest.map(|m| m.project.as_str());
        Job { digest, manifest, project, latest: 0, stories: BTreeMap::new() }
    }

    /// Whether a log, as it was exported, would show this job.
    fn covered(&self, logs: &Logs<'a>, book: &Book) -> bool {
        // A log under another root than the one that the manifest pins, and under which others saw it join, is another log.
        let name = &*book.header.organisation;
        let participant = self.manifest.and_then(|m| m.job.participants.iter().find(|p| p.name == name));
        let pinned = participant.and_then(|p| p.fingerprint.as_deref()).filter(|root| *root != book.header.root);
        let others = || logs.values().filter(|other| other.name != book.name);
        if pinned.is_some_and(|root| others().any(|other| saw(other, name, root))) {
            return false;
        }
        // Of an organisation that has another root than before, the log that is here began after this job, if all that know the job say so.
        let before = |(other, story): (&&str, &Story)| {
            *other != &*book.header.organisation
                && logs.get(*other).and_then(|other| replaced_at(other, book)).is_some_and(|at| story.latest <= at)
        };
        if !self.stories.is_empty() && self.stories.iter().all(before) {
            return false;
        }
        let of_project = book.header.project.as_ref().is_none_or(|wanted| self.project == Some(wanted));
        let recent = |since: Time| self.latest >= since.saturating_add(SLACK);
        self.stories.contains_key(&*book.header.organisation) || (of_project && book.header.since.is_none_or(recent))
    }

    /// The logs in which an attempt must be: those of all participants, or of all that say anything about it.
    fn members(&self, logs: &Logs<'a>, number: u32) -> Vec<&'a str> {
        let takes_part = |name: &str| match self.manifest {
            Some(manifest) => manifest.job.participants.iter().any(|p| p.name == name),
            None => self.stories.get(name).is_some_and(|story| story.runs.contains_key(&number)),
        };
        logs.iter().filter(|(name, book)| takes_part(name) && self.covered(logs, book)).map(|(name, _)| *name).collect()
    }

    fn compare(&self, logs: &Logs<'a>, known: &Known, found: &mut Vec<Finding>) {
        let settled = |at: Time| known.until.is_none_or(|until| at <= until.saturating_sub(SKEW));
        let numbers: BTreeSet<u32> = self.stories.values().flat_map(|story| story.runs.keys().copied()).collect();
        if self.manifest.is_none() && !numbers.is_empty() {
            let text = "no file has this manifest: whose approvals it needed and who took part is not known; give it with --manifest";
            found.push(Finding::wrong("manifest", self.digest.get(..12).unwrap_or("a job"), text.into()));
        }
        self.submissions(found);
        self.decisions(logs, &settled, found);
        for number in numbers {
            let first = self.stories.values().filter_map(|story| story.runs.get(&number)).map(|run| run.at).max();
            if first.is_some_and(settled) {
                self.attempt(logs, number, found);
            }
        }
        let strange = |name: &&&str| self.manifest.is_some_and(|m| m.job.participants.iter().all(|p| p.name != **name));
        for name in
            self.stories.iter().filter(|(_, story)| !story.runs.is_empty()).map(|(name, _)| name).filter(strange)
        {
            found.push(Finding::wrong("differs", name, "says it took part in a job that names it not".into()));
        }
    }

    /// A digest is of one manifest.
    fn submissions(&self, found: &mut Vec<Finding>) {
        let mut said = self.stories.iter().filter_map(|(name, story)| Some((name, story.submitted?)));
        let Some((first, words)) = said.next() else { return };
        for (name, _) in said.filter(|(_, other)| *other != words) {
            found.push(Finding::wrong("differs", name, format!("names another id, project or submitter than {first}")));
        }
    }

    /// What others hold of an organisation's decisions must be in its log; and nobody starts what was denied.
    fn decisions(&self, logs: &Logs<'a>, settled: &impl Fn(Time) -> bool, found: &mut Vec<Finding>) {
        for (name, story) in &self.stories {
            for decided in story.decided.iter().filter(|d| d.organisation != *name && settled(d.at)) {
                let Some(book) = logs.get(decided.organisation).filter(|book| self.covered(logs, book)) else {
                    continue;
                };
                let own = self.stories.get(decided.organisation).map(|story| &story.decided[..]).unwrap_or_default();
                let same = |d: &&Decided| d.organisation == decided.organisation && d.approval == decided.approval;
                match own.iter().find(same) {
                    None => {
                        let text = format!("misses a decision of its own that {name} holds, signed");
                        found.push(Finding::wrong("missing", &book.name, text).at(decided.at));
                    }
                    Some(d) if (d.decision, d.by) != (decided.decision, decided.by) => {
                        let text = format!("says otherwise than {name} what it decided");
                        found.push(Finding::wrong("differs", &book.name, text).at(decided.at));
                    }
                    Some(_) => {}
                }
            }
            let denied =
                story.decided.iter().rev().find(|d| d.organisation == *name).filter(|d| d.decision == Decision::Deny);
            let Some(denied) = denied else { continue };
            for (other, theirs) in self.stories.iter().filter(|(other, _)| *other != name) {
                if let Some((number, run)) = theirs.runs.iter().find(|(_, run)| run.at > denied.at.saturating_add(SKEW))
                {
                    let text = format!("began attempt {number} after {name} had denied on {}", utc(denied.at));
                    found.push(Finding::wrong("unapproved", other, text).at(run.at));
                }
            }
        }
    }

    /// What logs say of one attempt.
    fn attempt(&self, logs: &Logs<'a>, number: u32, found: &mut Vec<Finding>) {
        let none = Run::default();
        let run = |name: &&'a str| self.stories.get(name).and_then(|story| story.runs.get(&number));
        let members = self.members(logs, number);
        let all: Vec<(&str, &Run)> = members.iter().map(|name| (*name, run(name).unwrap_or(&none))).collect();
        // Who is lost ends by itself, and says nothing of what the others do from then on.
        let lost = all.iter().find_map(|(name, run)| Some((*name, run.lost?.0)));
        // Where those that are left finish, whoever is not done was lost.
        let survives = self.manifest.is_some_and(|m| m.job.on_loss == OnLoss::Survive);
        let some_done = survives && all.iter().any(|(_, run)| run.done());
        let (gone, runs): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|(name, run)| lost.is_some_and(|(_, lost)| lost == *name) || (some_done && !run.done()));
        let session = runs.iter().find_map(|(name, run)| Some((*name, run.session?)));
        let ended = runs.iter().find_map(|(name, run)| Some((*name, run.ended?)));
        let attempt = runs.iter().find_map(|(name, run)| Some((*name, run.attempt?)));
        let mut wrong = |kind, log: &str, text: String| found.push(Finding::wrong(kind, log, text));
        for (name, run) in &gone {
            if run.lost.is_some() {
                wrong(
                    "lost",
                    name,
                    format!("says that attempt {number} went on without another, and others that it was lost itself"),
                );
            }
            let Some((other, id)) = session else { continue };
            match run.session {
                None => wrong("missing", name, format!("misses the session of attempt {number} that {other} has")),
                Some(own) if own != id => {
                    wrong("differs", name, format!("ran attempt {number} in another session than {other}"));
                }
                Some(_) => {}
            }
            if let (Some((other, theirs)), Some(own)) = (attempt, run.attempt)
                && theirs != own
            {
                let what = difference(theirs, own);
                wrong("differs", name, format!("ran attempt {number} with another {what} than {other}"));
            }
        }
        let next = runs.iter().find_map(|(name, run)| Some((*name, run.lost?.2?)));
        for (name, run) in &runs {
            match (lost, run.lost) {
                (Some((other, who)), Some((own, _, _))) if who != own => {
                    wrong(
                        "differs",
                        name,
                        format!(
                            "went on with attempt {number} without {}, and {other} without {}",
                            shown(own),
                            shown(who)
                        ),
                    );
                }
                // All three wrote it before any of them connected. Where none did, one may have stopped just then.
                (Some((other, who)), None) if next.is_some() => {
                    wrong(
                        "missing",
                        name,
                        format!("misses that attempt {number} went on without {}, as at {other}", shown(who)),
                    );
                }
                _ => {}
            }
            if let (Some((other, id)), Some((_, _, Some(own)))) = (next, run.lost)
                && own != id
            {
                wrong("differs", name, format!("went on with attempt {number} in another session than {other}"));
            }
            if let (Some((other, id)), own) = (session, run.session) {
                match own {
                    None => wrong("missing", name, format!("misses the session of attempt {number} that {other} has")),
                    Some(own) if own != id => {
                        wrong("differs", name, format!("ran attempt {number} in another session than {other}"));
                    }
                    Some(_) => {}
                }
                if run.attempt.is_none() {
                    wrong(
                        "missing",
                        name,
                        format!("misses that attempt {number} began, which had a session at {other}"),
                    );
                }
            }
            if let (Some((other, theirs)), Some(own)) = (attempt, run.attempt)
                && theirs != own
                && session.is_some()
            {
                let what = difference(theirs, own);
                wrong("differs", name, format!("ran attempt {number} with another {what} than {other}"));
            }
            match (ended, run.ended) {
                (Some((other, _)), None) if run.attempt.is_some() => {
                    wrong("missing", name, format!("misses the end of attempt {number} that {other} has"));
                }
                (Some((other, theirs)), Some(own)) if theirs != own => {
                    let text = format!(
                        "attempt {number} ended `{}` with code {}, at {other} `{}` with code {}",
                        shown(own.0),
                        own.1,
                        shown(theirs.0),
                        theirs.1
                    );
                    wrong("differs", name, text);
                }
                _ => {}
            }
        }
        openings(number, &runs, survives, found);
        gone.iter().for_each(|(name, run)| openings_until_lost(number, (name, run), &runs, found));
        if ended.is_none() {
            let text =
                format!("no log has an end of attempt {number}: it was running, or all stopped without recording it");
            found.push(Finding::note("open", members.first().unwrap_or(&"-"), text));
        }
    }
}

/// Whether an end is that of a job of which nothing more runs, and that is not done.
fn gives_up(end: &str) -> bool {
    ["aborted", "denied", "expired"].contains(&end)
}

/// The first thing in which two attempts differ.
fn difference(one: (&str, &[(String, String)]), other: (&str, &[(String, String)])) -> String {
    if one.0 != other.0 {
        return "build".into();
    }
    let pairs = one.1.iter().zip(other.1).find(|(a, b)| a != b).map(|(a, _)| shown(&a.0));
    pairs.unwrap_or_else(|| "number of parameters".into())
}

impl Run<'_> {
    fn done(&self) -> bool {
        self.ended.is_some_and(|(end, _)| end == "done")
    }
    /// Openings before a participant was lost, and those of who went on.
    fn parts(&self) -> (&[&str], &[&str]) {
        self.openings.split_at(self.lost.map_or(self.openings.len(), |(_, before, _)| before))
    }
}

/// All parties take part in every opening, in one order. Where an attempt broke off, who noticed last may have one more on record than the others.
fn openings<'r>(number: u32, runs: &[(&str, &'r Run<'r>)], survives: bool, found: &mut Vec<Finding>) {
    let runs: Vec<_> = runs.iter().filter(|(_, run)| run.session.is_some()).collect();
    let breaks_off = runs.iter().any(|(_, run)| run.lost.is_some());
    for after in [false, true].into_iter().take(1 + usize::from(breaks_off)) {
        let part = |run: &'r Run<'r>| if after { run.parts().1 } else { run.parts().0 };
        let Some((longest, most)) = runs.iter().max_by_key(|(_, run)| part(run).len()) else { return };
        for (name, run) in &runs {
            let (have, all) = (part(run), part(most));
            let broke_off = (breaks_off && !after) || !(run.done() || most.done());
            if !all.starts_with(have) {
                let at = have.iter().zip(all).position(|(a, b)| a != b).unwrap_or(0);
                let text = format!("opening {} of attempt {number} is not the one that {longest} has", at + 1);
                found.push(Finding::wrong("differs", name, text));
            } else if (run.done() || !survives) && all.len() - have.len() > usize::from(broke_off) {
                let text = format!("misses {} openings of attempt {number} that {longest} has", all.len() - have.len());
                found.push(Finding::wrong("missing", name, text));
            }
        }
    }
}

/// Who was lost has the openings that the others have up to then, but for one more or less.
fn openings_until_lost(number: u32, (name, run): (&str, &Run), others: &[(&str, &Run)], found: &mut Vec<Finding>) {
    let Some((other, theirs)) = others.iter().find(|(_, run)| run.lost.is_some()).or(others.first()) else { return };
    let (before, stated) = match theirs.lost {
        Some((_, before, _)) => (&theirs.openings[..before], true),
        // When it was lost nobody says, where those that are left finish.
        None => (&theirs.openings[..], false),
    };
    let common = run.openings.iter().zip(before).take_while(|(a, b)| a == b).count();
    let (more, fewer) = (run.openings.len() - common, before.len() - common);
    if run.session.is_some() && (more > 1 || (more == 1 && fewer > 0) || (stated && fewer > 1)) {
        let text = format!("has other openings of attempt {number}, until it was lost, than {other}");
        found.push(Finding::wrong("differs", name, text));
    }
}
