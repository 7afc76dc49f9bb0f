//! A node: what it decides, signs and runs. Whoever asks (another node, a person, a tool) is known to the caller; what is asked is checked here.

use crate::config::Config;
use crate::job::State;
use crate::message::{End, Pong, Start};
use crate::peer::{Peers, Shown};
use crate::store::{Store, Stored, Table};
use crate::{NodeError, home};
use privity_api::statement::Purpose;
use privity_api::{Approval, Attempt, Decision, Manifest, Member, Project, Record, Revocation, Statement, Time, sha256};
use privity_audit::{Log, Witness};
use privity_job::{Job, exit};
use privity_keys::Root;
use privity_policy::Policy;
use privity_net::identity::Revocations;
use privity_net::tls::{Cancel, Switch};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// An organisation's node.
pub struct Node {
    pub(crate) home: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// What it remembers.
    pub store: Store,
    pub(crate) log: Arc<Log>,
    /// What it has seen of the others' logs.
    pub(crate) witness: Witness,
    pub(crate) root: Arc<dyn Root>,
    pub(crate) peers: Peers,
    /// The certificate that it shows.
    pub(crate) shown: Shown,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) switch: Switch,
    pub(crate) build: String,
    /// What it says to manifests.
    pub(crate) policy: RwLock<Arc<Policy>>,
    running: Mutex<BTreeMap<String, Running>>,
    draining: AtomicBool,
}

/// An attempt that runs.
pub(crate) struct Running {
    pub number: u32,
    /// Has the engine stop.
    pub cancel: Cancel,
    /// How it ended at each participant, as far as it is known.
    pub ends: BTreeMap<String, End>,
}

/// Now.
pub fn now() -> Time {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as Time)
}

impl Node {
    /// A node of these parts.
    pub(crate) fn new(
        (home, config): (PathBuf, Config),
        (store, log, witness): (Store, Arc<Log>, Witness),
        root: Arc<dyn Root>,
        (peers, shown, revocations): (Peers, Shown, Arc<Revocations>),
        switch: Switch,
    ) -> Result<Arc<Node>, NodeError> {
        let (running, draining, build) = (Mutex::default(), AtomicBool::new(false), build()?);
        let policy = crate::policy::load(&home)?;
        let digest = policy.digest().to_owned();
        log.append(now(), &Record::Policy { digest, by: "start".into() }).map_err(|e| NodeError::Audit(e.to_string()))?;
        let policy = RwLock::new(Arc::new(policy));
        Ok(Arc::new(Node { policy, home, config, store, log, witness, root, peers, shown, revocations, switch, build, running, draining }))
    }

    /// What a node that was stopped in the middle of something does first.
    pub(crate) async fn recover(&self) -> Result<(), NodeError> {
        for (root, before) in self.store.revocations().await? {
            self.revocations.revoke(&root, before);
        }
        for stored in self.store.jobs().await?.into_iter().filter(|job| job.state == State::Running) {
            let last = stored.attempt >= stored.manifest.body.attempts;
            let state = if last { State::Aborted } else { State::Paused };
            let reason = format!("{}: its node was stopped while the attempt ran", self.organisation());
            self.record(&Record::Ended {
                manifest: stored.digest.clone(),
                number: stored.attempt,
                end: state.name().into(),
                code: exit::NETWORK,
                reason: reason.clone(),
                sent: BTreeMap::new(),
                classes: BTreeMap::new(),
                security: String::new(),
            })?;
            self.store.set_state(&stored.digest, state, exit::NETWORK, &reason, now()).await?;
        }
        Ok(())
    }

    /// No further attempts from now on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
    /// Has everything that runs stop.
    pub(crate) fn stop_all(&self, reason: &str) {
        let running: Vec<(String, u32)> = self.running().iter().map(|(digest, r)| (digest.clone(), r.number)).collect();
        for (manifest, number) in running {
            let end = End { manifest, number, done: false, code: exit::NETWORK, reason: reason.into() };
            self.ended(self.organisation(), end);
        }
    }

    /// A fresh certificate, if the present one ends soon or if it must be. Connections that stand go on.
    pub(crate) fn renew(&self, at_once: bool) -> Result<(), NodeError> {
        let before = self.shown.get();
        let (from, until) = before.validity().unwrap_or_default();
        // A third of its time before it ends.
        if !at_once && until - now() > (until - from) / 3 {
            return Ok(());
        }
        let identity = crate::daemon::certify(&*self.root, &self.config, Some(&before))?;
        let event = if at_once { "made in place of one that was revoked" } else { "renewed" };
        self.record(&Record::Key { purpose: "node".into(), event: event.into(), fingerprint: self.root.fingerprint() })?;
        identity.save(&home::identity(&self.home)).map_err(|e| NodeError::Keys(e.to_string()))?;
        self.shown.set(identity);
        self.root.retire(&before).map_err(|e| NodeError::Keys(e.to_string()))
    }

    /// The organisation's name.
    pub fn organisation(&self) -> &str {
        &self.config.organisation
    }

    /// Writes to the audit log. Whatever must be logged does not happen if this fails.
    pub(crate) fn record(&self, record: &Record) -> Result<(), NodeError> {
        self.log.append(now(), record).map(|_| ()).map_err(|e| NodeError::Audit(e.to_string()))
    }

    pub(crate) fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A project whose members are stated by its founder.
    ///
    /// # Errors
    /// There is none of this name, or its founder's signature does not hold.
    pub async fn project(&self, name: &str) -> Result<Project, NodeError> {
        let (root, statement) = self.store.project(name).await?.ok_or_else(|| NodeError::missing("project", name))?;
        Ok(statement.verify(&statement.body.founder, &root)?.clone())
    }

    /// This organisation as others know it.
    pub fn member(&self) -> Member {
        Member {
            organisation: self.config.organisation.clone(),
            operator: self.config.operator.clone(),
            root: self.root.fingerprint(),
            address: self.config.address.clone(),
            helper: self.config.helper,
        }
    }

    /// Founds a project with this organisation as its only member.
    ///
    /// # Errors
    /// There is one of this name.
    pub async fn found(&self, name: &str) -> Result<Project, NodeError> {
        if !privity_api::is_name(name) {
            return Err(NodeError::State(format!("{name:?} is no name of a project: use letters, digits, -, _ and .")));
        }
        if self.store.project(name).await?.is_some() {
            return Err(NodeError::State(format!("there is a project `{name}` already")));
        }
        let founder = self.organisation().to_owned();
        let project = Project { name: name.into(), founder, version: 1, members: vec![self.member()] };
        self.adopt(&self.root.fingerprint(), &Statement::new(project.clone(), &*self.root)?).await?;
        Ok(project)
    }

    /// Takes a founder's statement of members for true; who is new is written to the log.
    pub(crate) async fn adopt(&self, founder_root: &str, statement: &Statement<Project>) -> Result<(), NodeError> {
        let project = statement.verify(&statement.body.founder, founder_root)?;
        check_members(project)?;
        let before = self.store.project(&project.name).await?.map(|(_, known)| known.body);
        if before.as_ref().is_some_and(|known| known.version >= project.version) {
            return Ok(());
        }
        let known = |m: &&Member| before.as_ref().is_some_and(|b| b.by_root(&m.root).is_some());
        for member in project.members.iter().filter(|m| !known(m)) {
            let (organisation, root) = (member.organisation.clone(), member.root.clone());
            self.record(&Record::Joined { project: project.name.clone(), organisation, root })?;
        }
        self.store.put_project(founder_root, statement).await
    }

    /// A new member, whom a person of this organisation, the founder, has confirmed; all members are told.
    pub(crate) async fn admit(&self, project: &str, member: Member) -> Result<Statement<Project>, NodeError> {
        let mut project = self.project(project).await?;
        if project.founder != self.organisation() {
            return Err(NodeError::State(format!("{} founded project {}: only its node admits members", project.founder, project.name)));
        }
        project.members.retain(|m| m.organisation != member.organisation);
        project.members.push(member);
        project.version += 1;
        let statement = Statement::new(project, &*self.root)?;
        self.adopt(&self.root.fingerprint(), &statement).await?;
        self.tell_all(&statement.body, "project", &statement).await?;
        Ok(statement)
    }

    /// Posts something to all other members of a project.
    async fn tell_all<T: serde::Serialize>(&self, project: &Project, path: &str, body: &T) -> Result<(), NodeError> {
        let text = serde_json::to_string(body).map_err(|e| NodeError::State(e.to_string()))?;
        for member in project.members.iter().filter(|m| m.organisation != self.organisation()) {
            self.store.post(&project.name, &member.organisation, path, text.clone()).await?;
        }
        self.peers.wake();
        Ok(())
    }

    /// Posts something to all other participants of a job.
    pub(crate) async fn tell_participants<T: serde::Serialize>(&self, manifest: &Manifest, path: &str, body: &T) -> Result<(), NodeError> {
        let text = serde_json::to_string(body).map_err(|e| NodeError::State(e.to_string()))?;
        for participant in manifest.job.participants.iter().filter(|p| p.name != self.organisation()) {
            self.store.post(&manifest.project, &participant.name, path, text.clone()).await?;
        }
        self.peers.wake();
        Ok(())
    }

    /// Declares this organisation's node certificates void, all that were issued before now, and tells the members of all its projects.
    pub async fn revoke(&self, reason: &str) -> Result<Revocation, NodeError> {
        let revocation =
            Revocation { organisation: self.organisation().into(), before: now(), reason: reason.into(), at: now() };
        self.record(&Record::Revoked { organisation: revocation.organisation.clone(), before: revocation.before })?;
        let statement = Statement::new(revocation.clone(), &*self.root)?;
        for (_, project) in self.store.projects().await? {
            self.tell_all(&project.body, "revocation", &statement).await?;
        }
        Ok(revocation)
    }

    // Tables.

    /// Registers a table after reading it: the file must hold what the contract says.
    ///
    /// # Errors
    /// A name, contract or file that is wrong.
    pub async fn register(&self, mut table: Table) -> Result<Table, NodeError> {
        if !privity_api::is_name(&table.name) {
            return Err(NodeError::State(format!("{:?} is no name of a table: use letters, digits, -, _ and .", table.name)));
        }
        table = tokio::task::spawn_blocking(move || crate::table::read(table)).await.map_err(|e| NodeError::State(e.to_string()))??;
        let schema = sha256(table.schema.as_bytes());
        self.record(&Record::Table { table: table.name.clone(), schema, rows: table.rows })?;
        self.store.put_table(&table).await?;
        Ok(table)
    }
    /// Withdraws a table.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn withdraw(&self, name: &str) -> Result<(), NodeError> {
        self.record(&Record::Table { table: name.into(), schema: String::new(), rows: 0 })?;
        match self.store.remove_table(name).await? {
            true => Ok(()),
            false => Err(NodeError::missing("table", name)),
        }
    }

    // Manifests and decisions.

    /// Signs a manifest of this organisation and sends it to all participants.
    ///
    /// # Errors
    /// It makes no sense, or does not fit the project.
    pub async fn submit(self: &Arc<Self>, manifest: Manifest) -> Result<String, NodeError> {
        if manifest.submitter != self.organisation() {
            return Err(NodeError::State(format!("the submitter is {}, and this is the node of {}", manifest.submitter, self.organisation())));
        }
        let statement = Statement::new(manifest, &*self.root)?;
        let digest = self.take(&statement).await?;
        self.tell_participants(&statement.body, "manifest", &statement).await?;
        self.consider(&digest).await?;
        // Whoever submits a job wants it approved.
        if self.store.job(&digest).await?.state == State::Pending {
            match self.vote(&digest, Decision::Approve, "submitted here", &statement.body.person).await {
                Ok(_) | Err(NodeError::State(_)) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(digest)
    }

    /// A manifest of another organisation.
    ///
    /// # Errors
    /// As [`Node::submit`]; also a signature that does not hold.
    pub async fn receive(self: &Arc<Self>, statement: Statement<Manifest>) -> Result<(), NodeError> {
        let digest = self.take(&statement).await?;
        self.consider(&digest).await
    }

    /// Checks and keeps a manifest.
    async fn take(&self, statement: &Statement<Manifest>) -> Result<String, NodeError> {
        let manifest = &statement.body;
        let project = self.project(&manifest.project).await?;
        let submitter = project.member(&manifest.submitter).ok_or_else(|| NodeError::Stranger {
            who: manifest.submitter.clone(),
            project: project.name.clone(),
        })?;
        statement.verify(&submitter.organisation, &submitter.root)?;
        let job = manifest.check(now())?;
        check_participants(&job, &project)?;
        if job.index(self.organisation()).is_err() {
            return Err(NodeError::State(format!("{} takes no part in this job", self.organisation())));
        }
        let digest = manifest.digest()?;
        if self.store.jobs().await?.iter().any(|known| known.digest == digest) {
            return Ok(digest);
        }
        self.log.keep(manifest).map_err(|e| NodeError::Audit(e.to_string()))?;
        self.record(&Record::Submitted {
            manifest: digest.clone(),
            id: manifest.id.clone(),
            project: manifest.project.clone(),
            submitter: manifest.submitter.clone(),
        })?;
        match self.store.add_job(&digest, statement, now()).await? {
            true => Ok(digest),
            false => Err(NodeError::State(format!("there is another manifest with id {}; submit it anew", manifest.id))),
        }
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
    pub async fn vote(self: &Arc<Self>, name: &str, decision: Decision, reason: &str, person: &str) -> Result<String, NodeError> {
        let stored = self.store.job(name).await?;
        let own = self.store.approvals(&stored.digest).await?.into_iter().find(|a| a.body.organisation == self.organisation());
        if let Some(own) = own.filter(|own| own.body.decision == decision || decision == Decision::Approve) {
            return Err(NodeError::State(format!("{} has decided this: {:?}, by {}", self.organisation(), own.body.decision, own.body.by.join(", "))));
        }
        if decision == Decision::Approve {
            let wanted = self.approvers(&stored).await?;
            let persons = self.store.vote(&stored.digest, person, now()).await?;
            if persons.len() < wanted {
                return Ok(format!("{} of {wanted} persons have approved: {}", persons.len(), persons.join(", ")));
            }
            self.decide(&stored.digest, decision, reason, persons).await?;
            return Ok("approved".into());
        }
        self.decide(&stored.digest, decision, reason, vec![person.to_owned()]).await?;
        Ok("denied".into())
    }

    /// Signs a decision, keeps it and tells the participants.
    async fn decide(self: &Arc<Self>, digest: &str, decision: Decision, reason: &str, by: Vec<String>) -> Result<(), NodeError> {
        let stored = self.store.job(digest).await?;
        if stored.state.is_end() {
            return Err(NodeError::State(format!("job {} is {}", short(digest), stored.state.name())));
        }
        if decision == Decision::Approve {
            self.own_table(&stored.manifest.body).await?;
        }
        let organisation = self.organisation().to_owned();
        let approval = Approval { manifest: digest.into(), organisation, decision, reason: reason.into(), by, at: now() };
        let statement = Statement::new(approval, &*self.root)?;
        self.keep_approval(&stored, &statement).await?;
        self.tell_participants(&stored.manifest.body, "approval", &statement).await
    }

    /// Another organisation's decision.
    ///
    /// # Errors
    /// No such job, or not signed by one of its participants.
    pub async fn receive_approval(self: &Arc<Self>, statement: Statement<Approval>) -> Result<(), NodeError> {
        let stored = self.store.job(&statement.body.manifest).await?;
        self.verify_participant(&stored.manifest.body, &statement.body.organisation, &statement)?;
        self.keep_approval(&stored, &statement).await
    }

    async fn keep_approval(self: &Arc<Self>, stored: &Stored, statement: &Statement<Approval>) -> Result<(), NodeError> {
        let text = serde_json::to_string(statement).map_err(|e| NodeError::State(e.to_string()))?;
        if !self.store.put_approval(statement).await? {
            return Ok(());
        }
        self.record(&Record::decided(&statement.body, sha256(text.as_bytes())))?;
        if statement.body.decision == Decision::Deny {
            let reason = format!("{} denies it: {}", statement.body.organisation, statement.body.reason);
            self.stop(&stored.digest, stored.attempt, State::Denied, 0, &reason).await?;
        } else if self.approved(&stored.manifest.body, &stored.digest).await?.is_none() && stored.state == State::Pending {
            self.store.set_state(&stored.digest, State::Ready, 0, "all participants have approved it", now()).await?;
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
    fn verify_participant<B: Purpose>(&self, manifest: &Manifest, organisation: &str, statement: &Statement<B>) -> Result<(), NodeError> {
        let participant = manifest.job.participants.iter().find(|p| p.name == organisation);
        let root = participant.and_then(|p| p.fingerprint.as_deref()).ok_or_else(|| NodeError::Stranger {
            who: organisation.into(),
            project: manifest.project.clone(),
        })?;
        statement.verify(organisation, root)?;
        Ok(())
    }

    /// The table that a manifest names of this organisation, if it has rows in it; its contract must be that of the job.
    pub(crate) async fn own_table(&self, manifest: &Manifest) -> Result<Option<Table>, NodeError> {
        let Some(dataset) = manifest.datasets.iter().find(|d| d.organisation == self.organisation()) else { return Ok(None) };
        let tables = self.store.tables().await?;
        let table = tables.into_iter().find(|t| t.name == dataset.table).ok_or_else(|| NodeError::missing("table", &dataset.table))?;
        crate::table::fits(&table, &manifest.job)?;
        Ok(Some(table))
    }

    // Attempts.

    /// Whether this node could begin an attempt now. Nothing is signed by saying so.
    ///
    /// # Errors
    /// What hinders it.
    pub async fn ready(&self, digest: &str) -> Result<(), NodeError> {
        let stored = self.store.job(digest).await?;
        let hindered = |problem: String| NodeError::Attempt { manifest: stored.digest.clone(), number: stored.attempt + 1, problem };
        if self.draining() {
            return Err(hindered(format!("the node of {} is about to stop", self.organisation())));
        }
        if !matches!(stored.state, State::Ready | State::Paused) {
            return Err(hindered(format!("it is {} at {}: {}", stored.state.name(), self.organisation(), stored.reason)));
        }
        if let Some(missing) = self.approved(&stored.manifest.body, &stored.digest).await? {
            return Err(hindered(format!("the approval of {missing} is missing at {}", self.organisation())));
        }
        self.own_table(&stored.manifest.body).await?;
        Ok(())
    }

    /// The next attempt of a job that this organisation submitted, at all participants.
    ///
    /// # Errors
    /// One of them does not answer, or refuses.
    pub(crate) async fn attempt(self: &Arc<Self>, stored: &Stored) -> Result<(), NodeError> {
        let manifest = &stored.manifest.body;
        let number = stored.attempt + 1;
        let ours = self.sign_attempt(stored, number).await?;
        let mut attempts = vec![ours.clone()];
        for participant in manifest.job.participants.iter().filter(|p| p.name != self.organisation()) {
            let theirs: Statement<Attempt> = self.peers.ask(manifest, &participant.name, "attempt", &ours).await?;
            self.verify_participant(manifest, &participant.name, &theirs)?;
            self.compare(&ours.body, &theirs.body)?;
            attempts.push(theirs);
        }
        let start = Start { attempts };
        for participant in manifest.job.participants.iter().filter(|p| p.name != self.organisation()) {
            let _: serde_json::Value = self.peers.ask(manifest, &participant.name, "start", &start).await?;
        }
        self.start(&start).await
    }

    /// What the submitter's node asks: to take part in an attempt.
    ///
    /// # Errors
    /// Not all have approved, it was attempted before, its time is over, the parameters differ.
    pub async fn receive_attempt(self: &Arc<Self>, theirs: Statement<Attempt>) -> Result<Statement<Attempt>, NodeError> {
        let stored = self.store.job(&theirs.body.manifest).await?;
        let manifest = &stored.manifest.body;
        if theirs.body.organisation != manifest.submitter {
            let problem = format!("{} did not submit it", theirs.body.organisation);
            return Err(NodeError::Attempt { manifest: stored.digest, number: theirs.body.number, problem });
        }
        self.verify_participant(manifest, &manifest.submitter, &theirs)?;
        let job = manifest.check(now())?;
        self.compare(&self.attempt_of(&stored, &job, theirs.body.number), &theirs.body)?;
        self.sign_attempt(&stored, theirs.body.number).await
    }

    fn attempt_of(&self, stored: &Stored, job: &Job, number: u32) -> Attempt {
        Attempt {
            manifest: stored.digest.clone(),
            number,
            organisation: self.organisation().into(),
            build: self.build.clone(),
            parameters: stored.manifest.body.parameters(job),
            at: now(),
        }
    }

    fn compare(&self, ours: &Attempt, theirs: &Attempt) -> Result<(), NodeError> {
        match ours.difference(theirs) {
            None => Ok(()),
            Some((field, ours, theirs_value)) => {
                Err(NodeError::Differs { organisation: theirs.organisation.clone(), field, ours, theirs: theirs_value })
            }
        }
    }

    /// Signs an attempt, once and for all: no number twice, none that is lower than one before.
    async fn sign_attempt(&self, stored: &Stored, number: u32) -> Result<Statement<Attempt>, NodeError> {
        let manifest = &stored.manifest.body;
        let refuse = |problem: String| NodeError::Attempt { manifest: stored.digest.clone(), number, problem };
        let job = manifest.check(now())?;
        if !matches!(stored.state, State::Ready | State::Paused) {
            return Err(refuse(format!("it is {} at {}: {}", stored.state.name(), self.organisation(), stored.reason)));
        }
        if number > manifest.attempts {
            return Err(refuse(format!("the manifest allows {}", manifest.attempts)));
        }
        if let Some(missing) = self.approved(manifest, &stored.digest).await? {
            return Err(refuse(format!("the approval of {missing} is missing")));
        }
        self.own_table(manifest).await?;
        let attempt = self.attempt_of(stored, &job, number);
        self.record(&Record::attempt(&attempt))?;
        if !self.store.take_attempt(&stored.digest, number).await? {
            return Err(refuse("there was one of this number, or of a higher one".into()));
        }
        Ok(Statement::new(attempt, &*self.root)?)
    }

    /// All participants have signed an attempt: this node runs its part.
    ///
    /// # Errors
    /// One has not, or this node did not sign this attempt last.
    pub async fn start(self: &Arc<Self>, start: &Start) -> Result<(), NodeError> {
        let ours = start.attempts.iter().find(|a| a.body.organisation == self.organisation());
        let ours = ours.ok_or_else(|| NodeError::State("this node's part of the attempt is missing".into()))?;
        let stored = self.store.job(&ours.body.manifest).await?;
        let (manifest, number) = (&stored.manifest.body, ours.body.number);
        for participant in &manifest.job.participants {
            let theirs = start.attempts.iter().find(|a| a.body.organisation == participant.name);
            let theirs = theirs.ok_or_else(|| NodeError::Attempt {
                manifest: stored.digest.clone(),
                number,
                problem: format!("{} has not signed it", participant.name),
            })?;
            self.verify_participant(manifest, &participant.name, theirs)?;
            self.compare(&ours.body, &theirs.body)?;
        }
        if stored.attempt != number || !matches!(stored.state, State::Ready | State::Paused) {
            let problem = format!("this node stands at attempt {}, {}", stored.attempt, stored.state.name());
            return Err(NodeError::Attempt { manifest: stored.digest.clone(), number, problem });
        }
        if let Some(missing) = self.approved(manifest, &stored.digest).await? {
            return Err(NodeError::Attempt { manifest: stored.digest.clone(), number, problem: format!("the approval of {missing} is missing") });
        }
        let job = manifest.check(now())?;
        let table = self.own_table(manifest).await?;
        self.store.set_state(&stored.digest, State::Running, 0, &format!("attempt {number}"), now()).await?;
        crate::run::spawn(self.clone(), stored, number, job, table);
        Ok(())
    }

    /// Another member says that an attempt ended or must end.
    ///
    /// # Errors
    /// The job is unknown.
    pub async fn receive_end(&self, from: &str, end: End) -> Result<(), NodeError> {
        let stored = self.store.job(&end.manifest).await?;
        if stored.manifest.body.job.participants.iter().all(|p| p.name != from) {
            return Err(NodeError::Stranger { who: from.into(), project: stored.manifest.body.project.clone() });
        }
        self.ended(from, end);
        Ok(())
    }

    /// How a running attempt ended at a participant: where one fails, all stop. What each said first stays.
    pub(crate) fn ended(&self, at: &str, end: End) {
        if let Some(running) = self.running().get_mut(&end.manifest).filter(|r| r.number == end.number) {
            if !end.done {
                running.cancel.cancel(end.reason.clone());
            }
            running.ends.entry(at.into()).or_insert(end);
        }
    }

    /// A job stands somewhere else from now on; what runs is stopped.
    pub(crate) async fn stop(&self, digest: &str, number: u32, state: State, code: u8, reason: &str) -> Result<(), NodeError> {
        let own = self.organisation().to_owned();
        self.ended(&own, End { manifest: digest.into(), number, done: false, code, reason: reason.into() });
        self.store.set_state(digest, state, code, reason, now()).await
    }

    /// A person of the submitting organisation gives a job up; all participants are told.
    ///
    /// # Errors
    /// No such job, or one that ended.
    pub async fn abort(self: &Arc<Self>, name: &str, person: &str) -> Result<(), NodeError> {
        let stored = self.store.job(name).await?;
        if stored.state.is_end() {
            return Err(NodeError::State(format!("job {} is {}", short(&stored.digest), stored.state.name())));
        }
        self.decide(&stored.digest, Decision::Deny, "given up", vec![person.to_owned()]).await
    }

    /// A sign of life.
    pub fn pong(&self) -> Pong {
        let running = self.running().iter().map(|(digest, r)| (digest.clone(), r.number)).collect();
        let seen = self.peers.seen().into_iter().map(|(name, (_, took, _))| (name, took.as_millis() as u64)).collect();
        Pong { organisation: self.organisation().into(), build: self.build.clone(), time: now(), running, seen }
    }
}

/// The beginning of a digest, for people.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// SHA-256 of this program's file.
fn build() -> Result<String, NodeError> {
    let path = std::env::current_exe().map_err(|e| NodeError::State(format!("finding this program: {e}")))?;
    let bytes = std::fs::read(&path).map_err(|e| NodeError::file(&path, "reading", e))?;
    Ok(sha256(&bytes))
}

/// Names and roots of members are distinct.
fn check_members(project: &Project) -> Result<(), NodeError> {
    for (i, member) in project.members.iter().enumerate() {
        let others = &project.members[..i];
        if others.iter().any(|m| m.organisation == member.organisation || m.root == member.root) {
            return Err(NodeError::State(format!("{} is twice a member of project {}", member.organisation, project.name)));
        }
    }
    match project.members.len() {
        0..=64 => Ok(()),
        n => Err(NodeError::State(format!("project {} has {n} members, more than 64", project.name))),
    }
}

/// Participants are members, by root and address, and no two of one operator.
fn check_participants(job: &Job, project: &Project) -> Result<(), NodeError> {
    let mut operators = BTreeMap::new();
    for participant in &job.file().participants {
        let member = project.member(&participant.name).ok_or_else(|| NodeError::Stranger {
            who: participant.name.clone(),
            project: project.name.clone(),
        })?;
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
