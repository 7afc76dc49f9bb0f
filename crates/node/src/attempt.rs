//! Attempts: the submitter's node asks for them, and every participant looks for itself whether one may be.

use crate::NodeError;
use crate::job::State;
use crate::message::{End, Place, Start, words};
use crate::model::Model;
use crate::node::{Node, Running, Took, Without, instant, now};
use crate::store::Stored;
use privity_api::{Attempt, Manifest, Record, Statement};
use privity_job::file::OnLoss;
use privity_job::{Job, exit};
use privity_net::relay::relays;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Where the engine keeps checkpoints, in a job's directory.
const CHECKPOINTS: &str = "checkpoints";
/// How an end reads where nothing went wrong.
pub(crate) const DONE: &str = "done";
/// And where the others went on without one: its name follows.
pub(crate) const DONE_WITHOUT: &str = "done, without ";
/// What an attempt has as many of as its participants have free, by its name among the parameters.
pub(crate) const LANES: &str = "lanes";

impl Node {
    /// Whether this node could begin an attempt now; if so, it keeps a place for it for a while. Nothing is signed by saying so.
    ///
    /// # Errors
    /// What hinders it.
    pub(crate) async fn ready(&self, stored: &Stored) -> Result<Place, NodeError> {
        let hindered = |problem: String| attempt_error(stored, stored.attempt + 1, problem);
        if self.draining() {
            return Err(hindered(format!("the node of {} is about to stop", self.organisation())));
        }
        self.may_start(stored, stored.attempt + 1)?;
        let submitter = &stored.manifest.body.submitter;
        let wanted = (stored.digest.as_str(), stored.manifest.body.job.training.lanes);
        let Some(lanes) = self.turns.take(wanted, submitter, self.load(), instant()) else {
            return Err(NodeError::Busy { organisation: self.organisation().into() });
        };
        let able = self.able(stored).await;
        if able.is_err() {
            self.turns.release(&stored.digest);
        }
        able.map(|()| Place { lanes })
    }

    /// Whether all have approved a job and are members, and this node's table or model is what the job wants.
    async fn able(&self, stored: &Stored) -> Result<(), NodeError> {
        self.still_members(stored).await?;
        if let Some(missing) = self.approved(&stored.manifest.body, &stored.digest).await? {
            let problem = format!("the approval of {missing} is missing at {}", self.organisation());
            return Err(attempt_error(stored, stored.attempt + 1, problem));
        }
        self.own_table(&stored.manifest.body).await?;
        self.usable_model(&stored.manifest.body).await
    }

    /// What the node with this root asks before an attempt, or takes back; only the submitter's may.
    ///
    /// # Errors
    /// As [`Node::ready`].
    pub(crate) async fn receive_ready(&self, root: &str, digest: &str) -> Result<Place, NodeError> {
        let stored = self.of_submitter(root, digest).await?;
        self.ready(&stored).await
    }

    /// The place is not needed.
    ///
    /// # Errors
    /// Somebody else's job.
    pub(crate) async fn receive_release(&self, root: &str, digest: &str) -> Result<(), NodeError> {
        self.of_submitter(root, digest).await?;
        self.turns.release(digest);
        Ok(())
    }

    async fn of_submitter(&self, root: &str, digest: &str) -> Result<Stored, NodeError> {
        let stored = self.store.job(digest).await?;
        let manifest = &stored.manifest.body;
        match participant_of(manifest, root) {
            Some(name) if name == manifest.submitter => Ok(stored),
            _ => Err(NodeError::Stranger { who: root.into(), project: manifest.project.clone() }),
        }
    }

    /// Places at all participants, or none: the lanes that all of them have. All submitters ask in the order of names, so that of two that want the same
    /// nodes one gets all.
    async fn gather(self: &Arc<Self>, stored: &Stored) -> Result<usize, NodeError> {
        let manifest = &stored.manifest.body;
        let mut names: Vec<&str> = manifest.job.participants.iter().map(|p| p.name.as_str()).collect();
        names.sort_unstable();
        let mut lanes = manifest.job.training.lanes;
        for name in names {
            let answer = match name == self.organisation() {
                true => self.ready(stored).await,
                false => {
                    let member = self.peers.member(&manifest.project, name).await?;
                    self.peers.ask_member::<_, Place>(&member, "ready", &stored.digest).await
                }
            };
            match answer {
                Ok(place) => lanes = lanes.min(place.lanes).max(1),
                Err(error) => {
                    self.scatter(stored).await;
                    return Err(error);
                }
            }
        }
        Ok(lanes)
    }

    /// Gives all places back. Whoever does not hear it keeps one for half a minute.
    async fn scatter(self: &Arc<Self>, stored: &Stored) {
        self.turns.release(&stored.digest);
        drop(self.ask_all::<_, serde_json::Value>(&stored.manifest.body, "release", &stored.digest).await);
    }

    fn may_start(&self, stored: &Stored, number: u32) -> Result<(), NodeError> {
        if stored.state.is_end() {
            return Err(NodeError::Over {
                manifest: stored.digest.clone(),
                state: stored.state.name(),
                organisation: self.organisation().into(),
                reason: match stored.state {
                    State::Done => format!("{} has its results already", self.organisation()),
                    _ => stored.reason.clone(),
                },
            });
        }
        match State::STARTS.contains(&stored.state) {
            true => Ok(()),
            false => {
                let problem = format!("it is {} at {}: {}", stored.state.name(), self.organisation(), stored.reason);
                Err(attempt_error(stored, number, problem))
            }
        }
    }

    /// Asks all other participants at once.
    async fn ask_all<T: Serialize, R: DeserializeOwned + Send + 'static>(
        self: &Arc<Self>,
        manifest: &Manifest,
        path: &'static str,
        body: &T,
    ) -> Result<Vec<R>, NodeError> {
        let text = serde_json::to_string(body).map_err(|e| NodeError::State(e.to_string()))?;
        let mut asked = JoinSet::new();
        for participant in manifest.job.participants.iter().filter(|p| p.name != self.organisation()) {
            let member = self.peers.member(&manifest.project, &participant.name).await?;
            let (node, text) = (self.clone(), text.clone());
            asked.spawn(async move { node.peers.ask_text(&member, path, text).await });
        }
        let mut answers = Vec::new();
        let mut failed = None;
        while let Some(answer) = asked.join_next().await {
            match answer.map_err(|e| NodeError::State(e.to_string())).and_then(|answer| answer) {
                Ok(answer) => answers.push(answer),
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        failed.map_or(Ok(answers), Err)
    }

    /// The next attempt of a job that this organisation submitted, at all participants, if all are ready: a number that was signed is gone.
    ///
    /// # Errors
    /// One of them does not answer, or refuses; who has begun by then stops.
    pub(crate) async fn attempt(self: &Arc<Self>, stored: &Stored) -> Result<(), NodeError> {
        let lanes = self.gather(stored).await?;
        self.traces.placed(stored);
        let began = self.attempt_with_places(stored, lanes).await;
        if began.is_err() {
            self.scatter(stored).await;
        }
        began
    }

    async fn attempt_with_places(self: &Arc<Self>, stored: &Stored, lanes: usize) -> Result<(), NodeError> {
        let manifest = &stored.manifest.body;
        let number = stored.attempt + 1;
        let ours = self.sign_attempt(stored, number, lanes).await?;
        let mut attempts: Vec<Statement<Attempt>> = self.ask_all(manifest, "attempt", &ours).await?;
        for theirs in &attempts {
            self.verify_participant(manifest, &theirs.body.organisation, theirs)?;
            self.compare(&ours.body, &theirs.body)?;
        }
        attempts.push(ours);
        let start = Start { attempts };
        let began = match self.start(&start).await {
            Ok(()) => self.ask_all::<_, serde_json::Value>(manifest, "start", &start).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = &began {
            let end = End::again(&stored.digest, number, exit::NETWORK, &error.for_others());
            self.ended(self.organisation(), end.clone());
            self.tell_participants(manifest, "end", &end).await?;
        }
        began
    }

    /// What the submitter's node asks: to take part in an attempt.
    ///
    /// # Errors
    /// Not all have approved, it was attempted before, its time is over, the parameters differ.
    pub(crate) async fn receive_attempt(&self, theirs: Statement<Attempt>) -> Result<Statement<Attempt>, NodeError> {
        let stored = self.store.job(&theirs.body.manifest).await?;
        let manifest = &stored.manifest.body;
        if theirs.body.organisation != manifest.submitter {
            let problem = format!("{} did not submit it", words(&theirs.body.organisation));
            return Err(attempt_error(&stored, theirs.body.number, problem));
        }
        self.verify_participant(manifest, &manifest.submitter, &theirs)?;
        let job = self.check(manifest).await?;
        let (number, lanes) = (theirs.body.number, lanes_of(&stored, &theirs.body)?);
        self.compare(&self.attempt_of(&stored, &job, number, lanes), &theirs.body)?;
        self.sign_attempt(&stored, number, lanes).await
    }

    fn attempt_of(&self, stored: &Stored, job: &Job, number: u32, lanes: usize) -> Attempt {
        let mut parameters = stored.manifest.body.parameters(job);
        parameters.push((LANES.into(), lanes.to_string()));
        Attempt {
            manifest: stored.digest.clone(),
            number,
            organisation: self.organisation().into(),
            build: self.build.clone(),
            parameters,
            at: now(),
        }
    }

    fn compare(&self, ours: &Attempt, theirs: &Attempt) -> Result<(), NodeError> {
        match ours.difference(theirs) {
            None => Ok(()),
            Some((field, ours, value)) => {
                let (field, theirs_value) = (words(&field), words(&value));
                Err(NodeError::Differs { organisation: words(&theirs.organisation), field, ours, theirs: theirs_value })
            }
        }
    }

    /// Signs an attempt, once and for all: no number twice, none that is lower than one before.
    async fn sign_attempt(&self, stored: &Stored, number: u32, lanes: usize) -> Result<Statement<Attempt>, NodeError> {
        let manifest = &stored.manifest.body;
        let refuse = |problem: String| attempt_error(stored, number, problem);
        let job = self.check(manifest).await?;
        self.may_start(stored, number)?;
        if number > manifest.attempts {
            return Err(refuse(format!("the manifest allows {}", manifest.attempts)));
        }
        let kept = self.turns.lanes(&stored.digest, instant()).filter(|_| !self.draining());
        let kept = kept.ok_or_else(|| NodeError::Busy { organisation: self.organisation().into() })?;
        if lanes > kept {
            return Err(refuse(format!("it asks for {lanes} lanes, and {kept} are kept for it")));
        }
        self.able(stored).await?;
        // Nothing may be written between the two of the job's end.
        let alone = self.changing.lock().await;
        if !self.store.take_attempt(&stored.digest, number).await? {
            return Err(refuse("there was one of this number, or of a higher one".into()));
        }
        let attempt = self.attempt_of(stored, &job, number, lanes);
        self.record(&Record::attempt(&attempt))?;
        drop(alone);
        Ok(Statement::new(attempt, &*self.root)?)
    }

    /// All participants have signed an attempt: this node runs its part, once.
    ///
    /// # Errors
    /// One has not, this node did not sign this attempt last, or it began before.
    pub(crate) async fn start(self: &Arc<Self>, start: &Start) -> Result<(), NodeError> {
        let ours = start.attempts.iter().find(|a| a.body.organisation == self.organisation());
        let ours = ours.ok_or_else(|| NodeError::State("this node's part of the attempt is missing".into()))?;
        let stored = self.store.job(&ours.body.manifest).await?;
        let (manifest, number) = (&stored.manifest.body, ours.body.number);
        for participant in &manifest.job.participants {
            let theirs = start.attempts.iter().find(|a| a.body.organisation == participant.name);
            let theirs = theirs
                .ok_or_else(|| attempt_error(&stored, number, format!("{} has not signed it", participant.name)))?;
            self.verify_participant(manifest, &participant.name, theirs)?;
            self.compare(&ours.body, &theirs.body)?;
        }
        self.may_start(&stored, number)?;
        let lanes = lanes_of(&stored, &ours.body)?;
        let job = self.check(manifest).await?.in_lanes(lanes);
        let table = self.own_table(manifest).await?;
        // From here on a denial finds something that it can stop; what it kept before this, `begin` sees.
        let Some(running) = self.enter(&stored, number, lanes) else {
            return Err(attempt_error(&stored, number, "an attempt runs".into()));
        };
        match self.begin(&stored, number).await {
            Ok(model) => {
                crate::run::spawn(self.clone(), stored, number, (job, table, model), running);
                Ok(())
            }
            Err(error) => {
                self.left(&stored).await?;
                Err(error)
            }
        }
    }

    /// Nothing of a job runs here any more. What others said meanwhile is heeded: that there will be no further attempt.
    pub(crate) async fn left(&self, stored: &Stored) -> Result<(), NodeError> {
        self.remember(&stored.digest);
        let Some(running) = self.running().remove(&stored.digest) else { return Ok(()) };
        // A denial may have come meanwhile.
        self.forget(&stored.digest, self.store.job(&stored.digest).await?.state);
        let said = running.ends.iter().chain(&running.over);
        let mut over = said.filter(|(name, end)| *name != self.organisation() && (end.done || !end.again));
        if let Some((name, end)) = over.next() {
            let reason = match end.done {
                true => has_results(name, end),
                false => format!("{name}: {}", end.reason),
            };
            self.move_on(&stored.digest, &State::WAITS, State::Aborted, (end.code, &reason)).await?;
        }
        Ok(())
    }

    /// What begins is counted before. The model is what is registered in this moment.
    async fn begin(&self, stored: &Stored, number: u32) -> Result<Option<Model>, NodeError> {
        let _alone = self.changing.lock().await;
        // A removal that came since this was signed found nothing that it could stop.
        self.still_members(stored).await?;
        if let Some(missing) = self.approved(&stored.manifest.body, &stored.digest).await? {
            return Err(attempt_error(stored, number, format!("the approval of {missing} is missing")));
        }
        let model = self.own_model(&stored.manifest.body).await?;
        self.count_rows(stored, number, model.as_ref()).await?;
        self.spend(stored).await?;
        match self.store.begin_attempt(&stored.digest, number, now()).await? {
            true => Ok(model),
            false => {
                let standing = self.store.job(&stored.digest).await?;
                let problem = format!("this node stands at attempt {}, {}", standing.attempt, standing.state.name());
                Err(attempt_error(stored, number, problem))
            }
        }
    }

    /// The place of an attempt that begins, unless one runs.
    fn enter(&self, stored: &Stored, number: u32, lanes: usize) -> Option<privity_net::tls::Cancel> {
        let digest = &stored.digest;
        let mut running = self.running();
        if running.contains_key(digest) {
            return None;
        }
        let (since, cancel) = (instant(), privity_net::tls::Cancel::default());
        let survives = stored.manifest.body.job.on_loss == OnLoss::Survive;
        let (ends, lost) = (BTreeMap::new(), BTreeSet::new());
        let (over, told) = (BTreeMap::new(), BTreeMap::new());
        let (without, stands, took) = (None, false, Took::default());
        let attempt = Running { number, since, cancel, ends, over, told, lost, without, survives, stands, lanes, took };
        let cancel = attempt.cancel.clone();
        running.insert(digest.clone(), attempt);
        self.turns.release(digest);
        Some(cancel)
    }

    /// The node with this root says that an attempt ended or must end, or that there will be no further one.
    ///
    /// # Errors
    /// The job is unknown, or none of this node's.
    pub(crate) async fn receive_end(&self, root: &str, end: End) -> Result<(), NodeError> {
        let stored = self.store.job(&end.manifest).await?;
        let manifest = &stored.manifest.body;
        let from = participant_of(manifest, root)
            .ok_or_else(|| NodeError::Stranger { who: root.into(), project: manifest.project.clone() })?;
        let end = End { reason: words(&end.reason), ..end };
        // As good as a denial: without this participant there is no further attempt. A node that is killed just then finds it when it is back.
        let (code, reason) = match end.done {
            true => (exit::NETWORK, has_results(&from, &end)),
            false => (end.code, format!("{from}: {}", end.reason)),
        };
        let over = end.done || !end.again;
        if self.ended(&from, end.clone()) {
            return if over { self.store.set_over(&end.manifest, &reason).await } else { Ok(()) };
        }
        if !over || (end.done && end.number != stored.attempt) {
            return Ok(());
        }
        self.move_on(&end.manifest, &State::WAITS, State::Aborted, (code, &reason)).await.map(drop)
    }

    /// A job goes from one of these states to one in which nothing runs; in the log before. Whether it did.
    pub(crate) async fn move_on(
        &self,
        digest: &str,
        from: &[State],
        to: State,
        (code, reason): (u8, &str),
    ) -> Result<bool, NodeError> {
        let _alone = self.changing.lock().await;
        let stored = self.store.job(digest).await?;
        // What is about to begin, or runs, is not decided here.
        let runs = stored.state == State::Running && self.running().contains_key(digest);
        if runs || !from.contains(&stored.state) {
            return Ok(false);
        }
        // Once, however often the database fails afterwards; of a number that was taken the log may say nothing.
        let number = match stored.attempt > stored.started && self.recorded_attempt(digest, stored.attempt)? {
            true => stored.attempt,
            false => stored.started,
        };
        if self.recorded_end(digest, number)?.is_none_or(|(end, ..)| end != to) {
            self.record(&Record::Ended {
                manifest: stored.digest.clone(),
                number,
                end: to.name().into(),
                code,
                reason: reason.into(),
                sent: BTreeMap::new(),
                classes: BTreeMap::new(),
                verdicts: 0,
                security: String::new(),
            })?;
        }
        let moved = self.store.set_state(digest, from, to, (code, reason), now()).await?;
        if moved {
            self.traces.ended(&stored, to, code);
            self.forget(digest, to);
        }
        Ok(moved)
    }

    /// Removes the shares that were kept of a job to which nothing follows, unless its engine is just stopping: then it is done when that has stopped.
    /// What a job that is done keeps is its own engine's affair.
    pub(crate) fn forget(&self, digest: &str, state: State) {
        if !state.is_end() || state == State::Done || self.running().contains_key(digest) {
            return;
        }
        let kept = crate::home::job(&self.home, digest).join(CHECKPOINTS);
        match std::fs::remove_dir_all(&kept) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(job = digest, error = %e, "what was kept of a job that ended could not be removed");
            }
            _ => {}
        }
    }

    /// How a running attempt ended at a participant: where one fails, all stop. What each said first stays. Whether that attempt runs here.
    pub(crate) fn ended(&self, at: &str, end: End) -> bool {
        let mut all = self.running();
        let Some(running) = all.get_mut(&end.manifest).filter(|r| r.number == end.number) else { return false };
        // What a failed check found counts, whoever says it.
        let gone = running.without.as_ref().is_some_and(|without| without.lost == at);
        let spared = gone || (running.survives && running.stands && at != self.organisation());
        let spared = spared && end.code != exit::CHEATING;
        if !end.done && !spared {
            running.cancel.cancel(end.reason.clone());
        }
        let said = running.ends.entry(at.into()).or_insert_with(|| end.clone());
        // What somebody says first stays, but that a failed check is never hidden, and no further attempt is no further attempt.
        if end.code == exit::CHEATING && !said.done {
            *said = end;
        } else if !end.done && !end.again && said.again {
            running.over.entry(at.into()).or_insert(end);
        }
        true
    }

    /// All others have stated a participant lost, and this node's engine is about to go on without it: not a share is sent before that is in the log.
    ///
    /// # Errors
    /// Its node answers: then its engine was stopped, by whomever, and all four can go on. Or another participant could have cut it off alone, or the
    /// attempt is over.
    pub(crate) async fn go_on_without(
        &self,
        (stored, number): (&Stored, u32),
        lost: &str,
        security: &str,
    ) -> Result<(), NodeError> {
        let (manifest, digest) = (&stored.manifest.body, &stored.digest);
        let refuse = |problem: String| attempt_error(stored, number, format!("not without {lost}: {problem}"));
        let participants = &manifest.job.participants;
        let address = participants.iter().find(|p| p.name == lost).map_or("", |p| &p.address);
        let carries = |relay: &str| participants.iter().find(|p| p.address == relay);
        if let Some(carrier) = relays(address).into_iter().find_map(carries) {
            return Err(refuse(format!(
                "only the node of {}, which carries its connections, knows whether it lives",
                carrier.name
            )));
        }
        if !self.is_silent(lost) {
            let member = self.peers.member(&manifest.project, lost).await?;
            let answer = tokio::time::timeout(crate::watch::ANSWER, self.peers.ping(&member)).await;
            if answer.is_ok_and(|answer| answer.is_ok()) {
                return Err(refuse("its node answers".into()));
            }
        }
        self.leave_out(digest, Without { lost: lost.into(), security: security.into() }).map_err(refuse)?;
        self.record(&Record::Lost { manifest: digest.clone(), number, lost: lost.into(), security: security.into() })
    }

    /// From now on nothing waits for who is lost, unless there is nothing to go on with.
    fn leave_out(&self, digest: &str, without: Without) -> Result<(), String> {
        let mut all = self.running();
        let running = all.get_mut(digest).ok_or("the attempt does not run")?;
        if let Some(reason) = running.cancel.reason() {
            return Err(reason.to_owned());
        }
        if running.ends.get(&without.lost).is_some_and(|end| end.done) {
            return Err("it has its results already".into());
        }
        running.without = Some(without);
        Ok(())
    }

    /// The session of an attempt stands.
    pub(crate) fn stands(&self, digest: &str) {
        if let Some(running) = self.running().get_mut(digest) {
            running.stands = true;
        }
    }

    /// What an attempt that runs here went on without.
    pub(crate) fn went_on_without(&self, digest: &str) -> Option<Without> {
        self.running().get(digest)?.without.clone()
    }

    /// Whom a job goes on without, or went on without to its end.
    pub(crate) fn without(&self, stored: &Stored) -> Option<String> {
        match stored.state {
            State::Running => self.went_on_without(&stored.digest).map(|without| without.lost),
            State::Done => stored.reason.strip_prefix(DONE_WITHOUT).map(str::to_owned),
            _ => None,
        }
    }

    /// Whatever of a job runs here stops.
    pub(crate) fn cancel(&self, digest: &str, reason: &str) {
        if let Some(running) = self.running().get_mut(digest) {
            running.cancel.cancel(reason);
        }
    }
}

/// What a participant that is done means for one that is not.
fn has_results(name: &str, end: &End) -> String {
    let how = if end.reason == DONE { String::new() } else { format!(" ({})", end.reason) };
    format!("{name} has its results already{how}, so there is no further attempt")
}

/// How many lanes an attempt is to have.
fn lanes_of(stored: &Stored, attempt: &Attempt) -> Result<usize, NodeError> {
    let most = stored.manifest.body.job.training.lanes;
    let said = attempt.parameters.iter().find(|(name, _)| name == LANES);
    let lanes = said.and_then(|(_, lanes)| lanes.parse().ok()).filter(|lanes| (1..=most).contains(lanes));
    lanes.ok_or_else(|| {
        let said = words(said.map_or("none", |(_, lanes)| lanes));
        attempt_error(stored, attempt.number, format!("its lanes are {said}, and the job has 1 to {most}"))
    })
}

/// The participant with this root.
pub(crate) fn participant_of(manifest: &Manifest, root: &str) -> Option<String> {
    let found = manifest.job.participants.iter().find(|p| p.fingerprint.as_deref() == Some(root));
    found.map(|p| p.name.clone())
}

fn attempt_error(stored: &Stored, number: u32, problem: String) -> NodeError {
    NodeError::Attempt { manifest: stored.digest.clone(), number, problem }
}
