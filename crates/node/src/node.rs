//! A node: what it decides, signs and runs. Whoever asks (another node, a person, a tool) is known to the caller; what is asked is checked here.

use crate::NodeError;
use crate::asked::Asked;
use crate::attempt::participant_of;
use crate::checked::Checked;
use crate::config::Config;
use crate::hearsay::Past;
use crate::job::State;
use crate::joining::Begins;
use crate::message::{End, Pong};
use crate::peer::{Peers, Shown};
use crate::policy::Written;
use crate::prices::Prices;
use crate::relay::Relay;
use crate::store::{Store, Table};
use crate::traces::Traces;
use crate::turns::{Load, Turns};
use crate::waiting::Reached;
use privity_api::{Manifest, Member, Project, Record, Statement, Time, sha256};
use privity_audit::{Log, Witness};
use privity_job::{Event, Job, JobError, Report, RunOptions, exit};
use privity_keys::Root;
use privity_net::identity::Revocations;
use privity_net::relay::Routes;
use privity_net::tls::{Cancel, Switch};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
    /// Held while it is renewed.
    pub(crate) renewing: tokio::sync::Mutex<()>,
    pub(crate) switch: Switch,
    /// Through which of two relays its engines dial first.
    pub(crate) routes: Arc<Routes>,
    pub(crate) engine: Engine,
    pub(crate) build: String,
    /// What it says to manifests.
    pub(crate) policy: RwLock<Arc<Written>>,
    /// What the log last said of privacy budgets; held while one is looked at.
    pub(crate) budgets: Mutex<crate::budget::Recorded>,
    /// What its links reach.
    pub(crate) links: crate::doctor::Links,
    /// Held while the policy is changed.
    pub(crate) changing_policy: Mutex<()>,
    /// Held by whoever looks at what is kept in order to change it, so that log and database say the same.
    pub(crate) changing: tokio::sync::Mutex<()>,
    /// Projects that are being left: no manifests of theirs come in.
    pub(crate) leaving: Mutex<BTreeSet<String>>,
    /// How often others ask.
    pub(crate) asked: Asked,
    /// Invitations that this node came with, whose words are being compared.
    pub(crate) begins: Begins,
    /// What it carries for members that only dial out.
    pub(crate) relay: Relay,
    /// Whether others reach it, if it only dials out itself.
    pub(crate) reached: Reached,
    /// What jobs cost.
    pub(crate) prices: Prices,
    /// Which files of its models were read.
    pub(crate) models_read: Checked,
    /// Where spans of jobs go.
    pub(crate) traces: Traces,
    /// Who has not answered for a while, and since when.
    silent: Mutex<BTreeMap<String, Instant>>,
    /// Whose attempt may begin.
    pub(crate) turns: Turns,
    running: Mutex<BTreeMap<String, Running>>,
    /// What was heard of attempts that are over.
    pub(crate) past: Mutex<Past>,
    draining: AtomicBool,
    /// Whether the database failed in the middle of a decision.
    pub(crate) unsettled: AtomicBool,
}

/// An attempt that runs.
pub(crate) struct Running {
    pub number: u32,
    /// Since when.
    pub since: Instant,
    /// Has the engine stop.
    pub cancel: Cancel,
    /// How it ended at each participant, as far as it is known.
    pub ends: BTreeMap<String, End>,
    /// Who said later that there is no further attempt: what each said of the end first stays, in the words in which all report it.
    pub over: BTreeMap<String, End>,
    /// How it ended at participants that this node does not hear, as others say.
    pub told: BTreeMap<String, End>,
    /// Participants that do not answer: nobody waits for their words.
    pub lost: BTreeSet<String>,
    /// Whom all others have stated lost, where they went on without it: it stops them no more.
    pub without: Option<Without>,
    /// Whether the engines of the others finish without those that fail: then none is stopped for another.
    pub survives: bool,
    /// Whether the session stands.
    pub stands: bool,
    /// Its lanes.
    pub lanes: usize,
    /// What sessions took that ended before they were done.
    pub took: Took,
}

/// What sessions of an attempt sent from here, and what they checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Took {
    /// Payload bytes to each participant.
    pub sent: BTreeMap<String, u64>,
    /// Payload bytes by class of message.
    pub classes: BTreeMap<String, u64>,
    /// How many times all agreed that what was checked holds.
    pub verdicts: u64,
}

impl Took {
    /// One session more.
    pub fn add(&mut self, sent: &BTreeMap<String, u64>, classes: &BTreeMap<String, u64>, verdicts: u64) {
        for (sum, more) in [(&mut self.sent, sent), (&mut self.classes, classes)] {
            more.iter().for_each(|(name, bytes)| *sum.entry(name.clone()).or_default() += bytes);
        }
        self.verdicts += verdicts;
    }
}

/// A participant without which an attempt went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Without {
    /// Who.
    pub lost: String,
    /// What protects the job from then on.
    pub security: String,
}

/// Now.
pub fn now() -> Time {
    #[cfg(test)]
    if let Some(time) = crate::sim::now() {
        return time;
    }
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as Time)
}

/// A moment of the runtime's clock, by which everything here waits.
pub(crate) fn instant() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// What runs a party's part of a job: `privity_job::run::run`, or a model of it in tests.
pub(crate) type Engine =
    Arc<dyn Fn(&Job, &RunOptions, &mut dyn FnMut(Event)) -> Result<Report, JobError> + Send + Sync>;

impl Node {
    /// A node of these parts.
    pub(crate) fn new(
        (home, config): (PathBuf, Config),
        (store, log, witness): (Store, Arc<Log>, Witness),
        root: Arc<dyn Root>,
        (peers, shown, revocations): (Peers, Shown, Arc<Revocations>),
        (switch, engine): (Switch, Engine),
    ) -> Result<Arc<Node>, NodeError> {
        let (running, draining, build) = (Mutex::default(), AtomicBool::new(false), build()?);
        let (changing, turns) =
            (tokio::sync::Mutex::default(), Turns::new(config.max_running as usize, config.most_lanes()));
        let policy = crate::policy::read(&home)?;
        let digest = policy.policy.digest().to_owned();
        log.append(now(), &Record::Policy { digest, by: "start".into() })
            .map_err(|e| NodeError::Audit(e.to_string()))?;
        let policy = RwLock::new(Arc::new(policy));
        let traces = Traces::start(&config)?;
        Ok(Arc::new(Node {
            policy,
            budgets: Mutex::default(),
            links: crate::doctor::Links::default(),
            changing_policy: Mutex::default(),
            home,
            config,
            store,
            log,
            witness,
            root,
            peers,
            shown,
            revocations,
            renewing: tokio::sync::Mutex::default(),
            switch,
            routes: Arc::default(),
            engine,
            build,
            changing,
            leaving: Mutex::default(),
            asked: Asked::default(),
            begins: Begins::default(),
            relay: Relay::default(),
            reached: Reached::default(),
            prices: Prices::default(),
            models_read: Checked::default(),
            traces,
            silent: Mutex::default(),
            turns,
            running,
            past: Mutex::default(),
            draining,
            unsettled: AtomicBool::new(false),
        }))
    }

    /// What a node that was stopped in the middle of something does first.
    pub(crate) async fn recover(self: &Arc<Self>) -> Result<(), NodeError> {
        for (root, before) in self.store.revocations().await? {
            self.revocations.revoke(&root, before);
        }
        self.recover_spending().await?;
        self.recover_attempts("its node was stopped while the attempt ran").await?;
        self.end_jobs_of_strangers(None).await?;
        self.recover_decisions().await
    }

    /// Ends attempts that this node began and of which nothing runs any more.
    pub(crate) async fn recover_attempts(&self, why: &str) -> Result<(), NodeError> {
        for stored in self.store.jobs_in(&[State::Running]).await? {
            if self.running().contains_key(&stored.digest) {
                continue;
            }
            // The log had room for its end, and the database had not.
            if let Some((to, code, reason)) = self.recorded_end(&stored.digest, stored.attempt)? {
                let kept = (code, reason.as_str());
                if self.store.set_state(&stored.digest, &[State::Running], to, kept, now()).await? {
                    self.traces.ended(&stored, to, code);
                    self.forget(&stored.digest, to);
                }
                continue;
            }
            let reason = format!("{}: {why}", self.organisation());
            let over = match stored.hindered.as_str() {
                "" if stored.attempt >= stored.manifest.body.attempts => format!("{reason}; no attempts are left"),
                told => told.to_owned(),
            };
            if !over.is_empty() {
                let reason = over;
                // Told before: whoever is stopped in between tells it again.
                let end = End { again: false, ..End::again(&stored.digest, stored.attempt, exit::NETWORK, why) };
                self.tell_participants(&stored.manifest.body, "end", &end).await?;
                self.move_on(&stored.digest, &[State::Running], State::Aborted, (exit::NETWORK, &reason)).await?;
                continue;
            }
            self.move_on(&stored.digest, &[State::Running], State::Paused, (exit::NETWORK, &reason)).await?;
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
        for (manifest, number) in self.numbers_running() {
            self.ended(self.organisation(), End::again(&manifest, number, exit::NETWORK, reason));
        }
    }
    pub(crate) fn silent(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        crate::lock(&self.silent)
    }
    /// Who does not answer: whom one beat at least has missed.
    pub(crate) fn is_silent(&self, organisation: &str) -> bool {
        self.silent().get(organisation).is_some_and(|since| instant() - *since >= Duration::from_secs(1))
    }
    /// What runs, with the attempt.
    pub(crate) fn numbers_running(&self) -> Vec<(String, u32)> {
        self.running().iter().map(|(digest, running)| (digest.clone(), running.number)).collect()
    }

    /// The organisation's name.
    pub fn organisation(&self) -> &str {
        &self.config.organisation
    }

    /// Writes to the audit log. Whatever must be logged does not happen if this fails.
    pub(crate) fn record(&self, record: &Record) -> Result<(), NodeError> {
        self.log.append(now(), record).map(|_| ()).map_err(|e| NodeError::Audit(e.to_string()))
    }

    /// How much runs.
    pub(crate) fn load(&self) -> Load {
        let running = self.running();
        Load { attempts: running.len(), lanes: running.values().map(|attempt| attempt.lanes).sum() }
    }

    pub(crate) fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        crate::lock(&self.running)
    }

    /// A project whose members are stated by its founder.
    ///
    /// # Errors
    /// There is none of this name, or its founder's signature does not hold.
    pub async fn project(&self, name: &str) -> Result<Project, NodeError> {
        let known = self.store.statement(name).await?;
        let (root, statement) = known.ok_or_else(|| NodeError::missing("project", &crate::message::words(name)))?;
        let mut project = statement.verify(&statement.body.founder, &root)?.clone();
        let gone = self.store.removed().await?;
        project.members.retain(|member| !gone.contains(&(name.to_owned(), member.root.clone())));
        Ok(project)
    }

    /// The projects of which this organisation is a member.
    pub(crate) async fn own_projects(&self) -> Result<Vec<Project>, NodeError> {
        let (own, all) = (self.root.fingerprint(), self.store.projects().await?);
        let projects = all.into_iter().map(|(_, statement)| statement.body);
        Ok(projects.filter(|project| project.by_root(&own).is_some()).collect())
    }

    /// All other organisations of its projects, by name.
    pub(crate) async fn others(&self) -> Result<BTreeMap<String, Member>, NodeError> {
        let members = self.own_projects().await?.into_iter().flat_map(|project| project.members);
        Ok(members.filter(|m| m.organisation != self.organisation()).map(|m| (m.organisation.clone(), m)).collect())
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
        self.is_found().await?;
        if self.store.project(name).await?.is_some() {
            return Err(NodeError::State(format!("there is a project `{name}` already")));
        }
        let (founder, root) = (self.organisation().to_owned(), self.root.fingerprint());
        // What it signed of a project of this name that it forgot is older.
        let version = self.store.heard(name, &root).await?.saturating_add(1);
        let project = Project { name: name.into(), founder, version, members: vec![self.member()] };
        self.adopt(&root, &Statement::new(project.clone(), &*self.root)?).await?;
        Ok(project)
    }

    /// Whoever is invited must find this node: at its port, or through a relay, which serves members of projects that it knows.
    pub(crate) async fn is_found(&self) -> Result<(), NodeError> {
        let relays = privity_net::relay::relays(&self.config.address);
        if relays.is_empty() || self.others().await?.values().any(|member| relays.contains(&member.address.as_str())) {
            return Ok(());
        }
        Err(NodeError::State(format!(
            "this node only dials out, and its relay {} is no member of any project with it, so whoever is invited could not find it: have its organisation, or one with a port, invite this one to a project first",
            relays.join(" or ")
        )))
    }

    /// Takes a founder's statement of members for true; who is new is written to the log.
    pub(crate) async fn adopt(&self, founder_root: &str, statement: &Statement<Project>) -> Result<(), NodeError> {
        let _alone = self.changing.lock().await;
        self.adopt_alone(founder_root, statement, &statement.body.founder).await
    }

    /// As [`Node::adopt`], by whoever holds [`Node::changing`]; `by` whom members are left out, for the log.
    pub(crate) async fn adopt_alone(
        &self,
        founder_root: &str,
        statement: &Statement<Project>,
        by: &str,
    ) -> Result<(), NodeError> {
        let own = (self.config.organisation.as_str(), self.root.fingerprint());
        adopt(&self.store, &self.log, own, founder_root, statement, by).await
    }

    /// A new member, whom a person of this organisation, the founder, has confirmed; all members are told.
    pub(crate) async fn admit(&self, project: &str, member: Member) -> Result<(), NodeError> {
        // Of two that are confirmed at once each gets a version of its own.
        let alone = self.changing.lock().await;
        let mut project = self.project(project).await?;
        if project.founder != self.organisation() {
            return Err(NodeError::State(format!(
                "{} founded project {}: only its node admits members",
                project.founder, project.name
            )));
        }
        if project.member(&member.organisation).is_some_and(|known| *known == member) {
            return Ok(());
        }
        project.members.retain(|m| m.organisation != member.organisation);
        project.members.push(member);
        project.version += 1;
        let statement = Statement::new(project, &*self.root)?;
        let own = self.organisation().to_owned();
        self.adopt_alone(&self.root.fingerprint(), &statement, &own).await?;
        drop(alone);
        self.peers.wake();
        Ok(())
    }

    /// Posts something to all other participants of a job.
    pub(crate) async fn tell_participants<T: serde::Serialize>(
        &self,
        manifest: &Manifest,
        path: &str,
        body: &T,
    ) -> Result<(), NodeError> {
        let text = serde_json::to_string(body).map_err(|e| NodeError::State(e.to_string()))?;
        for participant in manifest.job.participants.iter().filter(|p| p.name != self.organisation()) {
            self.store.post(&manifest.project, &participant.name, path, text.clone()).await?;
        }
        self.peers.wake();
        Ok(())
    }

    // Tables.

    /// Registers a table after reading it: the file must hold what the contract says.
    ///
    /// # Errors
    /// A name, contract or file that is wrong.
    pub async fn register(&self, mut table: Table) -> Result<Table, NodeError> {
        if !privity_api::is_name(&table.name) {
            return Err(NodeError::State(format!(
                "{:?} is no name of a table: use letters, digits, -, _ and .",
                table.name
            )));
        }
        table = tokio::task::spawn_blocking(move || crate::table::read(table))
            .await
            .map_err(|e| NodeError::State(e.to_string()))??;
        let _alone = self.changing.lock().await;
        self.check_shown(&table).await?;
        self.record(&crate::catalogue::registered(&table))?;
        self.store.put_table(&table).await?;
        Ok(table)
    }
    /// Withdraws a table.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn withdraw(&self, name: &str) -> Result<(), NodeError> {
        let _alone = self.changing.lock().await;
        if !self.store.tables().await?.iter().any(|table| table.name == name) {
            return Err(NodeError::missing("table", &crate::message::words(name)));
        }
        self.record(&crate::catalogue::withdrawn(name))?;
        match self.store.remove_table(name).await? {
            true => Ok(()),
            false => Err(NodeError::missing("table", name)),
        }
    }

    /// A sign of life, for the member with this root: of other members, and of jobs, it learns of those that it has to do with.
    pub(crate) async fn pong(&self, root: &str) -> Result<Pong, NodeError> {
        let mut running = Vec::new();
        for (digest, number) in self.numbers_running() {
            let stored = self.store.job(&digest).await?;
            if participant_of(&stored.manifest.body, root).is_some() {
                running.push((digest, number));
            }
        }
        let shared: BTreeSet<String> = (self.own_projects().await?.into_iter())
            .filter(|project| project.by_root(root).is_some())
            .flat_map(|project| project.members.into_iter().map(|m| m.organisation))
            .collect();
        let seen = self.peers.seen().into_iter().filter(|(name, _)| shared.contains(name));
        let seen = seen.map(|(name, (_, took, _))| (name, took.as_millis() as u64)).collect();
        Ok(Pong { organisation: self.organisation().into(), build: self.build.clone(), time: now(), running, seen })
    }
}

/// The beginning of a digest, for people.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// SHA-256 of this program's file, as it was when this was first asked: at the start, as a file may be replaced while its process stands by.
pub(crate) fn build() -> Result<String, NodeError> {
    static BUILD: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    #[cfg(test)]
    if crate::sim::now().is_some() {
        return Ok("simulation".into());
    }
    if let Some(build) = BUILD.get() {
        return Ok(build.clone());
    }
    let path = std::env::current_exe().map_err(|e| NodeError::State(format!("finding this program: {e}")))?;
    let bytes = std::fs::read(&path).map_err(|e| NodeError::file(&path, "reading", e))?;
    Ok(BUILD.get_or_init(|| sha256(&bytes)).clone())
}

/// Takes a founder's statement of members for true, for the organisation with this name and root; who is new, and who is a member no more, is written to the log.
/// Whom a newer statement leaves out is a member no more also where nothing else of it is taken. Where this organisation is the founder, the others are told.
///
/// # Errors
/// The founder did not sign it; its members contradict each other, or what is known: a name stands for one root, in all projects, until a person here has
/// it forgotten, as whoever could have another's name would be taken for it; and then only for the root whose words that person gave.
pub(crate) async fn adopt(
    store: &Store,
    log: &Log,
    (own, own_root): (&str, String),
    founder_root: &str,
    statement: &Statement<Project>,
    by: &str,
) -> Result<(), NodeError> {
    let project = statement.verify(&statement.body.founder, founder_root)?;
    let before = store.project(&project.name).await?;
    if before.as_ref().is_some_and(|(root, _)| root != founder_root) {
        return Err(NodeError::State(format!(
            "there is a project `{}` of another founder; have this one founded under another name",
            project.name
        )));
    }
    let before = before.map(|(_, kept)| kept.body);
    let heard = store.heard(&project.name, founder_root).await?;
    if before.is_none() && heard > project.version {
        return Err(NodeError::State(format!(
            "project {} was left here at version {heard}, and this is version {}: have its founder remove and invite this organisation",
            project.name, project.version
        )));
    }
    if before.as_ref().is_some_and(|known| known.version >= project.version || heard > project.version) {
        return Ok(());
    }
    let taken = match check_additions(store, (own, &own_root), founder_root, project).await {
        Ok(()) => Ok(()),
        Err(refused @ NodeError::State(_)) => Err(refused),
        Err(error) => return Err(error),
    };
    let is_gone = |m: &&Member| project.by_root(&m.root).is_none() && (taken.is_ok() || m.root != founder_root);
    let gone: Vec<&Member> = before.iter().flat_map(|b| &b.members).filter(is_gone).collect();
    let record = |record: Record| log.append(now(), &record).map_err(|e| NodeError::Audit(e.to_string()));
    let name = || project.name.clone();
    if taken.is_ok() {
        let is_known = |m: &&Member| before.as_ref().is_some_and(|b| b.by_root(&m.root).is_some());
        for member in project.members.iter().filter(|m| !is_known(m)) {
            let (organisation, root) = (member.organisation.clone(), member.root.clone());
            record(Record::Joined { project: name(), organisation, root })?;
        }
    }
    for member in &gone {
        let (organisation, root) = (member.organisation.clone(), member.root.clone());
        record(Record::Left { project: name(), organisation, root, by: by.to_owned() })?;
    }
    if taken.is_ok() {
        let mut letters = Vec::new();
        if project.founder == own {
            let text = serde_json::to_string(statement).map_err(|e| NodeError::Store(e.to_string()))?;
            let others = project.members.iter().map(|m| m.organisation.clone()).filter(|name| *name != own);
            letters.extend(others.map(|name| (name, "project", text.clone())));
        }
        letters.extend(crate::revoked::for_newcomers(store, &own_root, project, before.as_ref()).await?);
        store.put_project_telling(founder_root, statement, &letters).await?;
    } else if before.is_some() {
        let roots: Vec<&str> = gone.iter().map(|member| member.root.as_str()).collect();
        store.remove_members(&project.name, project.version, &roots).await?;
    }
    if gone.iter().any(|member| member.root == own_root) {
        store.drop_letters(&project.name).await?;
    }
    taken
}

/// Whether all whom a founder states as members may be ones here.
async fn check_additions(
    store: &Store,
    (own, own_root): (&str, &str),
    founder_root: &str,
    project: &Project,
) -> Result<(), NodeError> {
    check_members(project, founder_root)?;
    let mut known: Vec<(String, String)> = store.names().await?;
    known.push((own.to_owned(), own_root.to_owned()));
    for member in &project.members {
        let contradicts = |(name, root): &&(String, String)| (*name == member.organisation) != (*root == member.root);
        if let Some((name, root)) = known.iter().find(contradicts) {
            let words = privity_api::member::root_words(root);
            return Err(NodeError::State(format!(
                "project {} has {} under another name or root than is known here, which is {name} with the root of these words: {words}. Ask its founder; for an organisation that lost its root see `privity member forget --help`",
                project.name, member.organisation
            )));
        }
    }
    crate::leaving::check_forgotten(store, project, project.founder == own).await
}

/// Names, roots and addresses of members make sense, and the founder is one of them.
fn check_members(project: &Project, founder_root: &str) -> Result<(), NodeError> {
    let wrong =
        |problem: String| Err(NodeError::State(format!("project {}: {problem}", crate::message::words(&project.name))));
    if !privity_api::is_name(&project.name) || project.members.len() > 64 {
        return wrong("its name is none, or it has more than 64 members".into());
    }
    if project.member(&project.founder).is_none_or(|founder| founder.root != founder_root) {
        return wrong("its founder is not a member, or under another root".into());
    }
    for (i, member) in project.members.iter().enumerate() {
        let named = privity_api::is_name(&member.organisation) && privity_api::is_name(&member.operator);
        let digest = member.root.len() == 64 && member.root.chars().all(|c| c.is_ascii_hexdigit());
        if !named || !digest || member.address.len() > 260 || member.address.chars().any(|c| !c.is_ascii_graphic()) {
            return wrong("a member has a name, root or address that is none".into());
        }
        let others = &project.members[..i];
        if others.iter().any(|m| m.organisation == member.organisation || m.root == member.root) {
            return wrong(format!("{} is twice a member", member.organisation));
        }
    }
    Ok(())
}
