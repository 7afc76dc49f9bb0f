//! Manifests that come in, and what this organisation and others decide on them.

use crate::NodeError;
use crate::admin::may_approve;
use crate::job::State;
use crate::message::{End, words};
use crate::node::{Node, now, short};
use crate::store::{Letter, Stored, Table, Vouched};
use privity_api::statement::Purpose;
use privity_api::{Approval, Decision, Manifest, Project, Record, Statement, sha256};
use privity_job::{Job, exit};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Jobs of one submitter in one project that wait at one time.
const OPEN_JOBS: i64 = 200;
/// Of jobs whose submitter says nothing else.
pub(crate) const ORDINARY: u8 = 5;

impl Node {
    /// Signs a manifest of this organisation and sends it to all participants. Among its jobs of a project, those of higher priority (0 to 9) are attempted first.
    ///
    /// # Errors
    /// It makes no sense, or does not fit the project.
    pub async fn submit(self: &Arc<Self>, manifest: Manifest, priority: u8, how: Vouched) -> Result<String, NodeError> {
        if manifest.submitter != self.organisation() {
            return Err(NodeError::State(format!(
                "the submitter is {}, and this is the node of {}",
                manifest.submitter,
                self.organisation()
            )));
        }
        if priority > 9 {
            return Err(NodeError::State(format!("priority {priority}: write 0, the least, to 9")));
        }
        let statement = Statement::new(manifest, &*self.root)?;
        let digest = self.take(&statement, priority).await?;
        let told = self.tell_participants(&statement.body, "manifest", &statement).await;
        self.settled(told)?;
        let consented = self.consent(&digest, (&statement.body.person, how)).await;
        self.settled(consented)?;
        Ok(digest)
    }

    /// What this organisation says to a job of its own: whoever submits it wants it approved.
    async fn consent(self: &Arc<Self>, digest: &str, person: (&str, Vouched)) -> Result<(), NodeError> {
        self.consider(digest).await?;
        if self.store.job(digest).await?.state == State::Pending {
            match self.vote(digest, Decision::Approve, "submitted here", person).await {
                Ok(_) | Err(NodeError::State(_)) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// A manifest of another organisation.
    ///
    /// # Errors
    /// As [`Node::submit`]; also a signature that does not hold.
    pub async fn receive(self: &Arc<Self>, statement: Statement<Manifest>) -> Result<(), NodeError> {
        let digest = self.take(&statement, ORDINARY).await?;
        match self.consider(&digest).await {
            // The manifest is taken. What keeps the rules' decision from being signed (a table, a model, the budget) is for people here, who decide later.
            Err(error) if error.status() < 500 => {
                tracing::warn!(job = digest, %error, "the rules' decision on a job is not signed: it waits for people");
                Ok(())
            }
            considered => considered,
        }
    }

    /// The project of a manifest, of which its submitter is a member and signed it.
    async fn of_member(&self, statement: &Statement<Manifest>) -> Result<Project, NodeError> {
        let manifest = &statement.body;
        let project = self.project(&manifest.project).await?;
        let submitter = project
            .member(&manifest.submitter)
            .ok_or_else(|| NodeError::Stranger { who: manifest.submitter.clone(), project: project.name.clone() })?;
        statement.verify(&submitter.organisation, &submitter.root)?;
        Ok(project)
    }

    /// Checks and keeps a manifest.
    async fn take(&self, statement: &Statement<Manifest>, priority: u8) -> Result<String, NodeError> {
        let manifest = &statement.body;
        let project = self.of_member(statement).await?;
        let job = self.check(manifest).await?;
        check_participants(&job, &project)?;
        if job.index(self.organisation()).is_err() {
            return Err(NodeError::State(format!("{} takes no part in this job", self.organisation())));
        }
        let digest = manifest.digest()?;
        let _alone = self.changing.lock().await;
        // Members may have gone meanwhile.
        check_participants(&job, &self.of_member(statement).await?)?;
        if crate::lock(&self.leaving).contains(&manifest.project) {
            return Err(NodeError::State(format!("{} is leaving project {}", self.organisation(), project.name)));
        }
        match self.store.job(&digest).await {
            Ok(_) => return Ok(digest),
            Err(NodeError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
        if self.store.has_id(&manifest.id).await? {
            return Err(NodeError::State(format!("there is another manifest with id {}; submit it anew", manifest.id)));
        }
        if self.store.count_open(&manifest.submitter, &manifest.project).await? >= OPEN_JOBS {
            return Err(NodeError::State(format!(
                "{OPEN_JOBS} jobs of {} in project {} wait already; let some end",
                manifest.submitter, manifest.project
            )));
        }
        self.log.keep(manifest).map_err(|e| NodeError::Audit(e.to_string()))?;
        self.record(&Record::Submitted {
            manifest: digest.clone(),
            id: manifest.id.clone(),
            project: manifest.project.clone(),
            submitter: manifest.submitter.clone(),
        })?;
        self.store.add_job(&digest, statement, priority, now()).await?;
        Ok(digest)
    }

    /// What this organisation's policy says to a manifest that nobody has decided on.
    async fn consider(self: &Arc<Self>, digest: &str) -> Result<(), NodeError> {
        let decided = self.store.approvals(digest).await?;
        if decided.iter().any(|a| a.body.organisation == self.organisation()) {
            return Ok(());
        }
        let stored = self.store.job(digest).await?;
        if let Some((decision, reason, by)) = self.policy_says(&stored).await? {
            self.decide(digest, decision, &reason, by).await?;
        }
        Ok(())
    }

    /// A person of this organisation approves or denies. An approval takes as many persons as the policy says.
    ///
    /// # Errors
    /// No such job, or one that is decided.
    pub async fn vote(
        self: &Arc<Self>,
        name: &str,
        decision: Decision,
        reason: &str,
        (person, how): (&str, Vouched),
    ) -> Result<String, NodeError> {
        let stored = self.store.find_job(name).await?;
        let own = self
            .store
            .approvals(&stored.digest)
            .await?
            .into_iter()
            .find(|a| a.body.organisation == self.organisation());
        if let Some(own) = own.filter(|own| own.body.decision == decision || decision == Decision::Approve) {
            return Err(NodeError::State(format!(
                "{} has decided this: {:?}, by {}",
                self.organisation(),
                own.body.decision,
                own.body.by.join(", ")
            )));
        }
        if decision == Decision::Approve {
            let wanted = self.approvers(&stored).await?;
            self.store.vote(&stored.digest, (person, how), now()).await?;
            let persons = self.voters(&stored.digest).await?;
            if persons.len() < wanted {
                return Ok(format!("{} of {wanted} persons have approved: {}", persons.len(), persons.join(", ")));
            }
            self.decide(&stored.digest, decision, reason, persons).await?;
            return Ok("approved".into());
        }
        self.decide(&stored.digest, decision, reason, vec![person.to_owned()]).await?;
        Ok("denied".into())
    }

    /// Persons whose votes for a manifest count: those who may approve now, in the way in which they did. Whoever was removed or may only look by now counts no
    /// more; where people sign in at an identity provider, nobody does who had a password, as a human may have both. Whom a tool names counts.
    pub(crate) async fn voters(&self, digest: &str) -> Result<Vec<String>, NodeError> {
        let (votes, people) = (self.store.votes(digest).await?, self.store.people().await?);
        let provider = self.config.oidc.is_some();
        let counts = |name: &str, how| match how {
            Vouched::Tool => true,
            how if (how == Vouched::Provider) != provider => false,
            _ => people.iter().any(|person| person.name == name && may_approve(person, provider)),
        };
        Ok(votes.into_iter().filter(|(name, how)| counts(name, *how)).map(|(name, _)| name).collect())
    }

    /// Signs a decision, keeps it and tells the participants.
    async fn decide(
        self: &Arc<Self>,
        digest: &str,
        decision: Decision,
        reason: &str,
        by: Vec<String>,
    ) -> Result<(), NodeError> {
        let stored = self.store.job(digest).await?;
        if stored.state.is_end() {
            return Err(NodeError::State(format!("job {} is {}", short(digest), stored.state.name())));
        }
        if decision == Decision::Approve {
            self.own_table(&stored.manifest.body).await?;
            self.usable_model(&stored.manifest.body).await?;
            self.affordable(&stored).await?;
        }
        let (organisation, deciders) = (self.organisation().to_owned(), by.len());
        let approval =
            Approval { manifest: digest.into(), organisation, decision, reason: reason.into(), by, at: now() };
        check_words(&approval)?;
        let statement = Statement::new(approval, &*self.root)?;
        let kept = self.keep_approval(&stored, &statement).await;
        self.settled(kept)?;
        self.traces.decided(&stored, decision, deciders);
        Ok(())
    }

    /// What the database did not take in the middle of a decision is done when it answers again.
    fn settled(&self, done: Result<(), NodeError>) -> Result<(), NodeError> {
        if matches!(done, Err(NodeError::Store(_))) {
            self.unsettled.store(true, Ordering::Relaxed);
        }
        done
    }

    /// Goes on with decisions in whose middle the database failed.
    pub(crate) async fn settle(self: &Arc<Self>) -> Result<(), NodeError> {
        match self.unsettled.swap(false, Ordering::Relaxed) {
            true => self.settled(self.recover_decisions().await),
            false => Ok(()),
        }
    }

    /// Another organisation's decision.
    ///
    /// # Errors
    /// No such job, or not signed by one of its participants.
    pub async fn receive_approval(self: &Arc<Self>, statement: Statement<Approval>) -> Result<(), NodeError> {
        let stored = self.store.job(&statement.body.manifest).await?;
        self.verify_participant(&stored.manifest.body, &statement.body.organisation, &statement)?;
        check_words(&statement.body)?;
        self.keep_approval(&stored, &statement).await?;
        // Whoever tells a decision again was away, and may have missed how the job ended.
        let end = match stored.state {
            State::Done => {
                End { done: true, again: false, ..End::again(&stored.digest, stored.attempt, exit::OK, "done") }
            }
            State::Aborted => {
                End { again: false, ..End::again(&stored.digest, stored.attempt, stored.code, &stored.reason) }
            }
            _ => return Ok(()),
        };
        let text = serde_json::to_string(&end).map_err(|e| NodeError::State(e.to_string()))?;
        self.store.post(&stored.manifest.body.project, &statement.body.organisation, "end", text).await
    }

    /// Brings back what a node that was stopped in the middle of a decision had kept of it: where a job stands, and what others are to be told.
    /// They take what they know already for what it is.
    pub(crate) async fn recover_decisions(self: &Arc<Self>) -> Result<(), NodeError> {
        for stored in self.store.jobs_in(&State::WAITS).await? {
            let manifest = &stored.manifest.body;
            let decided = self.store.approvals(&stored.digest).await?;
            let (own, submits) = (self.organisation(), manifest.submitter == self.organisation());
            if submits {
                self.tell_participants(manifest, "manifest", &stored.manifest).await?;
            }
            match decided.iter().find(|a| a.body.organisation == own) {
                Some(own) => self.tell_participants(manifest, "approval", own).await?,
                // How it was known who submitted it is not kept: no better than by a tool.
                None if submits => match self.consent(&stored.digest, (&manifest.person, Vouched::Tool)).await {
                    Err(error @ NodeError::Store(_)) => return Err(error),
                    Err(error) => {
                        tracing::warn!(job = stored.digest, %error, "a job of this organisation is not decided")
                    }
                    Ok(()) => {}
                },
                None => {}
            }
            self.count_decisions(&stored).await?;
        }
        Ok(())
    }

    /// What is kept is in the log before.
    async fn keep_approval(
        self: &Arc<Self>,
        stored: &Stored,
        statement: &Statement<Approval>,
    ) -> Result<(), NodeError> {
        let text = serde_json::to_string(statement).map_err(|e| NodeError::State(e.to_string()))?;
        let (manifest, own) = (&stored.manifest.body, statement.body.organisation == self.organisation());
        let _alone = self.changing.lock().await;
        // What is known already may not have been counted, if the database failed just then.
        if !self.store.is_news(&statement.body).await? {
            return self.count_decisions(stored).await;
        }
        self.record(&Record::decided(&statement.body, sha256(text.as_bytes())))?;
        self.store.put_approval(statement).await?;
        if statement.body.decision == Decision::Deny {
            let (organisation, reason) = (&statement.body.organisation, words(&statement.body.reason));
            self.cancel(&stored.digest, &format!("{organisation} denies it: {reason}"));
        }
        // Only what is kept is told, and before it counts: of two that decide at once one is nowhere, and what is stopped here goes on later.
        if own {
            self.tell_participants(manifest, "approval", statement).await?;
        }
        self.count_decisions(stored).await
    }

    /// A job stands where the decisions that are kept say. A denial was kept before it stops anything: whatever begins from here on does not find all approvals.
    async fn count_decisions(&self, stored: &Stored) -> Result<(), NodeError> {
        let decided = self.store.approvals(&stored.digest).await?;
        if let Some(Approval { organisation, reason, .. }) =
            decided.iter().map(|a| &a.body).find(|a| a.decision == Decision::Deny)
        {
            let reason = format!("{organisation} denies it: {}", words(reason));
            self.cancel(&stored.digest, &reason);
            if self.store.set_state(&stored.digest, &State::OPEN, State::Denied, (0, &reason), now()).await? {
                self.traces.ended(stored, State::Denied, 0);
            }
            self.forget(&stored.digest, State::Denied);
        } else if self.approved(&stored.manifest.body, &stored.digest).await?.is_none() {
            let reason = "all participants have approved it";
            self.store.set_state(&stored.digest, &[State::Pending], State::Ready, (0, reason), now()).await?;
            self.peers.wake();
        }
        Ok(())
    }

    /// Whose approval is missing, if anybody's. Signatures are verified anew.
    pub(crate) async fn approved(&self, manifest: &Manifest, digest: &str) -> Result<Option<String>, NodeError> {
        let approvals = self.store.approvals(digest).await?;
        for participant in &manifest.job.participants {
            let approval = approvals.iter().find(|a| a.body.organisation == participant.name);
            let Some(approval) = approval else { return Ok(Some(participant.name.clone())) };
            self.verify_participant(manifest, &participant.name, approval)?;
            if approval.body.manifest != digest || approval.body.decision != Decision::Approve {
                return Ok(Some(participant.name.clone()));
            }
        }
        Ok(None)
    }

    /// Whether a statement is that of a participant of a job: by the root that the manifest itself pins.
    pub(crate) fn verify_participant<B: Purpose>(
        &self,
        manifest: &Manifest,
        organisation: &str,
        statement: &Statement<B>,
    ) -> Result<(), NodeError> {
        let participant = manifest.job.participants.iter().find(|p| p.name == organisation);
        let root = participant
            .and_then(|p| p.fingerprint.as_deref())
            .ok_or_else(|| NodeError::Stranger { who: organisation.into(), project: manifest.project.clone() })?;
        statement.verify(organisation, root)?;
        Ok(())
    }

    /// The table that a manifest names of this organisation, if it has rows in it; its contract must be that of the job.
    pub(crate) async fn own_table(&self, manifest: &Manifest) -> Result<Option<Table>, NodeError> {
        let Some(dataset) = manifest.datasets.iter().find(|d| d.organisation == self.organisation()) else {
            return Ok(None);
        };
        let tables = self.store.tables().await?;
        let table = tables
            .into_iter()
            .find(|t| t.name == dataset.table)
            .ok_or_else(|| NodeError::missing("table", &dataset.table))?;
        crate::table::fits(&table, &manifest.job)?;
        Ok(Some(table))
    }

    /// A participant's node does not take a manifest of this organisation: nothing can come of the job, and the others are told.
    pub(crate) async fn not_taken(&self, letter: &Letter, problem: &str) -> Result<(), NodeError> {
        let statement: Statement<Manifest> =
            serde_json::from_str(&letter.body).map_err(|e| NodeError::Store(e.to_string()))?;
        let (manifest, digest) = (&statement.body, statement.body.digest()?);
        let reason = words(&format!("{} does not take it: {problem}", letter.organisation));
        let end = End { again: false, ..End::again(&digest, 0, exit::NETWORK, &reason) };
        let text = serde_json::to_string(&end).map_err(|e| NodeError::State(e.to_string()))?;
        let others = manifest.job.participants.iter().map(|p| p.name.as_str());
        for other in others.filter(|name| *name != self.organisation() && *name != letter.organisation) {
            self.store.post(&manifest.project, other, "end", text.clone()).await?;
        }
        self.move_on(&digest, &State::WAITS, State::Aborted, (exit::NETWORK, &reason)).await.map(drop)
    }

    /// A person of this organisation gives a job up; all participants are told.
    ///
    /// # Errors
    /// No such job, or one that ended.
    pub async fn abort(self: &Arc<Self>, name: &str, person: &str) -> Result<(), NodeError> {
        let stored = self.store.find_job(name).await?;
        self.decide(&stored.digest, Decision::Deny, "given up", vec![person.to_owned()]).await
    }
}

/// Reasons and names that people read are short, and steer no terminal.
fn check_words(approval: &Approval) -> Result<(), NodeError> {
    let fine = |text: &str, most: usize| text.chars().count() <= most && !text.chars().any(privity_api::steers);
    match fine(&approval.reason, 2000) && approval.by.len() <= 32 && approval.by.iter().all(|by| fine(by, 128)) {
        true => Ok(()),
        false => Err(NodeError::State("a decision's reason or names are too long, or have letters that steer".into())),
    }
}

/// Participants are members, by root and address, and no two of one operator.
fn check_participants(job: &Job, project: &Project) -> Result<(), NodeError> {
    let mut operators = BTreeMap::new();
    for participant in &job.file().participants {
        let member = project
            .member(&participant.name)
            .ok_or_else(|| NodeError::Stranger { who: participant.name.clone(), project: project.name.clone() })?;
        let fields = [
            ("root", participant.fingerprint.clone().unwrap_or_default(), member.root.clone()),
            ("address", participant.address.clone(), member.address.clone()),
        ];
        if let Some((field, theirs, ours)) = fields.into_iter().find(|(_, theirs, ours)| theirs != ours) {
            let field = format!("{field} of participant {}", member.organisation);
            return Err(NodeError::Differs { organisation: "the manifest".into(), field, ours, theirs });
        }
        if let Some(other) = operators.insert(member.operator.clone(), &member.organisation) {
            let (name, operator) = (&member.organisation, &member.operator);
            return Err(NodeError::State(format!(
                "{other} and {name} are run by one operator, {operator}: together they would be one party; let another organisation take part"
            )));
        }
    }
    Ok(())
}
