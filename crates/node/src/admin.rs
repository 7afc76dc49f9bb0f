//! What people and tools of this organisation ask their node, at its loopback address: people in the dashboard's session, tools with the node's token.

mod access;
mod audit;
mod catalogue;
mod limits;
mod members;
mod models;
mod page;
mod people;
mod policy;
mod provider;

pub(crate) use access::is_loopback;
pub(crate) use limits::Limits;
pub use members::{Forget, Joining, Removal};
pub(crate) use people::may_approve;
pub use people::{Change, Listed, NewPerson, Password, Role};

use crate::doctor::Finding;
use crate::job::State as JobState;
use crate::message::Pong;
use crate::model::Use;
use crate::node::{Node, now};
use crate::store::{Stored, Table};
use crate::timeline::Timeline;
use crate::{NodeError, home};
use access::{Access, Caller};
use axum::extract::FromRef;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::middleware;
use axum::routing::get;
use axum::{Extension, Json, Router};
use privity_api::manifest::{Dataset, NamedModel, Release, VERSION};
use privity_api::{Approval, Decision, MAX_TEXT, Manifest, Project, Time};
use privity_job::JobFile;
use privity_job::file::Participant;
use privity_job::protocol::ProtocolName;
use provider::Provider;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What this node is and what it sees.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Status {
    /// The organisation.
    pub organisation: String,
    /// Fingerprint of its root.
    pub root: String,
    /// Where other organisations reach it.
    pub address: String,
    /// Digest of the program.
    pub build: String,
    /// Entries of the audit log.
    pub log: u64,
    /// Other organisations: how long ago each answered, how long that took, in milliseconds, and its clock less this one, in seconds.
    pub peers: BTreeMap<String, Seen>,
}

/// Another node, as this one sees it.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Seen {
    /// Milliseconds since its last answer.
    pub ago_ms: u64,
    /// Milliseconds it took.
    pub took_ms: u64,
    /// What it said.
    pub pong: Pong,
}

/// An invitation to make.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// To which project; it is founded if there is none of this name.
    pub project: String,
    /// Whom.
    pub organisation: String,
    /// Whether it comes without data.
    #[serde(default)]
    pub helper: bool,
}

/// Words that a person at the other organisation reads out.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// Which organisation.
    pub organisation: String,
    /// The words.
    pub words: String,
}

/// A job to submit.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// In which project.
    pub project: String,
    /// Who submits it.
    pub person: String,
    /// What for.
    pub purpose: String,
    /// Seconds until it must have started.
    #[schema(value_type = i64)]
    pub lasts: Time,
    /// How often it may be started.
    pub attempts: u32,
    /// Tables by organisation.
    pub tables: BTreeMap<String, String>,
    /// The model that rows are scored with, by its organisation.
    #[serde(default)]
    pub models: BTreeMap<String, String>,
    /// Rows that whatever is opened must rest on.
    pub min_cohort: u64,
    /// Thousandths of epsilon that it takes.
    #[serde(default)]
    pub epsilon_milli: u64,
    /// From 0, the least, to 9: which of this organisation's jobs of the project is attempted first. Nobody else learns of it.
    #[serde(default = "ordinary")]
    pub priority: u8,
    /// What runs. Addresses and fingerprints of participants are filled in from the project.
    #[schema(value_type = Object)]
    pub job: JobFile,
}

fn ordinary() -> u8 {
    crate::decide::ORDINARY
}

/// A person's decision.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// What.
    #[schema(value_type = String)]
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// Who, if a tool says it. For whoever signed in this is what they signed in as, whatever stands here.
    #[serde(default)]
    pub person: String,
}

/// A job in a list.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Line {
    /// Digest of its manifest.
    pub digest: String,
    /// What it is called.
    pub name: String,
    /// The project.
    pub project: String,
    /// Who submitted it.
    pub submitter: String,
    /// Where it stands.
    pub state: JobState,
    /// Attempts that this node signed.
    pub attempt: u32,
    /// Why it stands there.
    pub reason: String,
    /// When it came in.
    #[schema(value_type = i64)]
    pub created: Time,
    /// When this last changed.
    #[schema(value_type = i64)]
    pub updated: Time,
    /// Whether it waits for a decision of this organisation.
    #[serde(default)]
    pub ours: bool,
    /// Passes over the rows; 0 where nothing is trained.
    #[serde(default)]
    pub epochs: u64,
    /// Whom the others go on without, or went on without to its end: it is lost.
    #[serde(default)]
    pub without: Option<String>,
}

/// Everything about a job.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Details {
    /// As in the list.
    pub line: Line,
    /// Exit code of the last attempt.
    pub code: u8,
    /// The manifest.
    #[schema(value_type = Object)]
    pub manifest: Manifest,
    /// What was decided.
    #[schema(value_type = Vec<Object>)]
    pub approvals: Vec<Approval>,
    /// Whose decision is missing.
    pub missing: Vec<String>,
    /// What protects it, in plain words.
    pub guarantee: String,
    /// What it will take and open.
    #[schema(value_type = Object)]
    pub plan: serde_json::Value,
    /// The engine's report, when it is done.
    #[schema(value_type = Object)]
    pub report: serde_json::Value,
    /// Persons of this organisation who want it approved.
    #[serde(default)]
    pub voters: Vec<String>,
    /// How many of them it takes; 0 where nothing is to be decided.
    #[serde(default)]
    pub wanted: usize,
    /// The last job of this name that this organisation approved before.
    #[serde(default)]
    pub previous: Option<Previous>,
    /// What it takes of this organisation's model, if it brings one.
    #[serde(default)]
    pub own_model: Option<Use>,
}

/// An earlier job.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Previous {
    /// Digest of its manifest.
    pub digest: String,
    /// The manifest.
    #[schema(value_type = Object)]
    pub manifest: Manifest,
}

/// An event of an engine.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Told {
    /// Its number.
    pub seq: i64,
    /// When.
    #[schema(value_type = i64)]
    pub at: Time,
    /// What.
    #[schema(value_type = Object)]
    pub event: serde_json::Value,
}

/// An invitation in a list. Its code is shown once, when it is made; its words are for the people of both organisations to read to each other.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Invited {
    /// To which project.
    pub project: String,
    /// Whom.
    pub organisation: String,
    /// Whether it comes without data.
    pub helper: bool,
    /// Until when.
    #[schema(value_type = i64)]
    pub expires: Time,
    /// `open`, `joining` (somebody came, and words are to be compared), `done`, `refused`.
    pub state: String,
}

/// What requests are about.
#[derive(Clone)]
struct Site {
    node: Arc<Node>,
    access: Arc<Access>,
    provider: Option<Arc<Provider>>,
}

impl FromRef<Site> for Arc<Node> {
    fn from_ref(site: &Site) -> Self {
        site.node.clone()
    }
}

impl FromRef<Site> for Option<Arc<Provider>> {
    fn from_ref(site: &Site) -> Self {
        site.provider.clone()
    }
}

impl FromRef<Site> for Arc<Access> {
    fn from_ref(site: &Site) -> Self {
        site.access.clone()
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "A node of Privity", description = "For people and tools of the organisation whose node it is, at a loopback address."),
    security(("token" = []), ("session" = [])),
    modifiers(&Schemes)
)]
struct Document;

/// How requests show who asks.
struct Schemes;

impl utoipa::Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("what stands in `admin.token` of the node's directory"));
        let session = ApiKeyValue::with_description(
            "privity_session_PORT",
            "from signing in; requests also show `x-privity-csrf`, which is told then",
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(token.build()));
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
    }
}

/// All routes of the interface: what a role may do stands where its routes stand.
fn routes(access: &Arc<Access>) -> OpenApiRouter<Site> {
    let viewing = OpenApiRouter::new()
        .routes(routes!(people::session, people::logout))
        .routes(routes!(people::password))
        .routes(routes!(status))
        .routes(routes!(projects))
        .routes(routes!(examine))
        .routes(routes!(tables))
        .routes(routes!(catalogue::catalogue))
        .routes(routes!(models::models))
        .routes(routes!(jobs))
        .routes(routes!(details))
        .routes(routes!(events))
        .routes(routes!(timeline))
        .routes(routes!(audit::standing))
        .routes(routes!(audit::entries))
        .routes(routes!(policy::policy));
    let approving = OpenApiRouter::new().routes(routes!(vote));
    let administering = OpenApiRouter::new()
        .routes(routes!(found))
        .routes(routes!(invitations, invite))
        .routes(routes!(confirm))
        .routes(routes!(members::join))
        .routes(routes!(members::joined))
        .routes(routes!(members::remove))
        .routes(routes!(members::leave))
        .routes(routes!(members::forget))
        .routes(routes!(register))
        .routes(routes!(withdraw))
        .routes(routes!(models::register_model, models::withdraw_model))
        .routes(routes!(submit))
        .routes(routes!(abort))
        .routes(routes!(revoke))
        .routes(routes!(policy::check))
        .routes(routes!(policy::take))
        .routes(routes!(people::people, people::add))
        .routes(routes!(people::change, people::remove));
    let only = |role, routes: OpenApiRouter<Site>| routes.layer(middleware::from_fn_with_state(role, access::permit));
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(only(Role::Viewer, viewing))
        .merge(only(Role::Approver, approving))
        .merge(only(Role::Admin, administering))
        .layer(middleware::from_fn_with_state(access.clone(), access::authenticate))
        // Whoever signs in is not known yet.
        .routes(routes!(people::login))
        .routes(routes!(provider::offered, provider::begin, provider::complete))
}

/// The router: the interface, its description and the dashboard.
pub(crate) fn router(node: Arc<Node>) -> Result<Router, NodeError> {
    Ok(site(node)?.0)
}

/// The same, with a session of each role: cookie and what pages show with it. For the fuzzer.
pub(crate) fn router_and_sessions(node: Arc<Node>) -> Result<(Router, [(String, String); 3]), NodeError> {
    let (router, access) = site(node)?;
    let session = |role: Role| -> Result<(String, String), NodeError> {
        let (cookie, csrf) = access.begin(role.name(), role, false, access::Way::Here)?;
        Ok((cookie.split(';').next().unwrap_or_default().to_owned(), csrf))
    };
    let sessions = [session(Role::Viewer)?, session(Role::Approver)?, session(Role::Admin)?];
    Ok((router, sessions))
}

fn site(node: Arc<Node>) -> Result<(Router, Arc<Access>), NodeError> {
    let path = home::token(&node.home);
    let token = std::fs::read_to_string(&path).map_err(|e| NodeError::file(&path, "reading", e))?;
    let port = node.config.admin.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default();
    let access = Arc::new(Access::new(token.trim(), port, &node.config.origin));
    let provider = Provider::new(&node)?.map(Arc::new);
    let (interface, document) = routes(&access).split_for_parts();
    let document = Json(document);
    let router = interface
        .layer(DefaultBodyLimit::max(MAX_TEXT))
        .with_state(Site { node, access: access.clone(), provider })
        .route("/api/v1/openapi.json", get(move || async move { document }))
        .route("/", get(page::index))
        // Where the identity provider sends browsers back to: the page reads the rest of the address.
        .route("/oidc", get(page::index))
        .route("/assets/{name}", get(page::asset))
        .layer(middleware::from_fn_with_state(access.clone(), access::own_pages))
        .layer(middleware::from_fn(page::protect));
    Ok((router, access))
}

type Result_<T> = Result<Json<T>, NodeError>;

/// What this node is, and which others answer.
#[utoipa::path(get, path = "/api/v1/status", tag = "nodes", responses((status = 200, body = Status)))]
async fn status(State(node): State<Arc<Node>>) -> Result_<Status> {
    let millis = |d: std::time::Duration| d.as_millis() as u64;
    let peers = node
        .peers
        .seen()
        .into_iter()
        .map(|(name, (ago, took, pong))| (name, Seen { ago_ms: millis(ago), took_ms: millis(took), pong }));
    Ok(Json(Status {
        organisation: node.organisation().into(),
        root: node.root.fingerprint(),
        address: node.config.address.clone(),
        build: node.build.clone(),
        log: node.log.size(),
        peers: peers.collect(),
    }))
}

/// Projects and their members.
#[utoipa::path(get, path = "/api/v1/projects", tag = "members", responses((status = 200, body = Vec<Object>)))]
async fn projects(State(node): State<Arc<Node>>) -> Result_<Vec<Project>> {
    Ok(Json(node.store.projects().await?.into_iter().map(|(_, p)| p.body).collect()))
}

/// Found a project.
#[utoipa::path(post, path = "/api/v1/projects", tag = "members", request_body = String, responses((status = 200, body = Object)))]
async fn found(State(node): State<Arc<Node>>, Json(name): Json<String>) -> Result_<Project> {
    Ok(Json(node.found(&name).await?))
}

/// Invite an organisation; the code of the invitation.
#[utoipa::path(post, path = "/api/v1/invitations", tag = "members", request_body = Invite, responses((status = 200, body = String)))]
async fn invite(State(node): State<Arc<Node>>, Json(invite): Json<Invite>) -> Result_<String> {
    if node.store.project(&invite.project).await?.is_none() {
        node.found(&invite.project).await?;
    }
    Ok(Json(node.invite(&invite.project, &invite.organisation, invite.helper).await?.write()))
}

/// Invitations, the newest first.
#[utoipa::path(get, path = "/api/v1/invitations", tag = "members", responses((status = 200, body = Vec<Invited>)))]
async fn invitations(State(node): State<Arc<Node>>) -> Result_<Vec<Invited>> {
    let shown = |i: crate::store::Invitation| {
        // Before the words are there, nothing can be confirmed.
        let state = if i.state == "joining" && i.words.is_empty() { "open".into() } else { i.state };
        Invited { project: i.project, organisation: i.organisation, helper: i.helper, expires: i.expires, state }
    };
    Ok(Json(node.store.invitations().await?.into_iter().map(shown).collect()))
}

/// Say the words that the invited organisation reads out.
#[utoipa::path(post, path = "/api/v1/confirmations", tag = "members", request_body = Confirm, responses((status = 200)))]
async fn confirm(State(node): State<Arc<Node>>, Json(confirm): Json<Confirm>) -> Result_<()> {
    node.confirm(&confirm.organisation, &confirm.words).await?;
    Ok(Json(()))
}

/// Tables of this organisation. Paths are for admins.
#[utoipa::path(get, path = "/api/v1/tables", tag = "tables", responses((status = 200, body = Vec<Table>)))]
async fn tables(State(node): State<Arc<Node>>, Extension(caller): Extension<Caller>) -> Result_<Vec<Table>> {
    let mut tables = node.store.tables().await?;
    if caller.role < Role::Admin {
        tables.iter_mut().for_each(|t| (t.path, t.test_path) = (String::new(), String::new()));
    }
    Ok(Json(tables))
}

/// Register a table, or change it.
#[utoipa::path(post, path = "/api/v1/tables", tag = "tables", request_body = Table, responses((status = 200, body = Table)))]
async fn register(State(node): State<Arc<Node>>, Json(table): Json<Table>) -> Result_<Table> {
    Ok(Json(node.register(table).await?))
}

/// Withdraw a table.
#[utoipa::path(delete, path = "/api/v1/tables/{name}", tag = "tables", params(("name" = String, Path)), responses((status = 200)))]
async fn withdraw(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Result_<()> {
    node.withdraw(&name).await?;
    Ok(Json(()))
}

fn line(node: &Node, stored: &Stored, decided: bool) -> Line {
    Line {
        without: node.without(stored),
        ours: stored.state == JobState::Pending && !decided,
        epochs: match &stored.manifest.body.job {
            JobFile { score: Some(_), .. } => 0,
            file => file.training.epochs as u64,
        },
        digest: stored.digest.clone(),
        name: stored.manifest.body.job.name.clone(),
        project: stored.manifest.body.project.clone(),
        submitter: stored.manifest.body.submitter.clone(),
        state: stored.state,
        attempt: stored.attempt,
        reason: match stored.hindered.as_str() {
            "" => stored.reason.clone(),
            hindered if stored.reason.is_empty() => format!("waits: {hindered}"),
            hindered => format!("{}; waits: {hindered}", stored.reason),
        },
        created: stored.created,
        updated: stored.updated,
    }
}

/// Which jobs.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
struct Newest {
    /// No more than so many of the newest; without it all.
    limit: Option<u32>,
}

/// Jobs, the newest first.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", params(Newest), responses((status = 200, body = Vec<Line>)))]
async fn jobs(State(node): State<Arc<Node>>, Query(newest): Query<Newest>) -> Result_<Vec<Line>> {
    let jobs = node.store.newest(newest.limit.unwrap_or(u32::MAX)).await?;
    let decided = node.store.decided(node.organisation()).await?;
    let decided = |stored: &Stored| stored.state != JobState::Pending || decided.contains(&stored.digest);
    Ok(Json(jobs.iter().map(|stored| line(&node, stored, decided(stored))).collect()))
}

/// Submit a job to all participants; its digest.
#[utoipa::path(post, path = "/api/v1/jobs", tag = "jobs", request_body = Draft, responses((status = 200, body = String)))]
async fn submit(
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Json(draft): Json<Draft>,
) -> Result_<String> {
    counts_once(&node, &caller)?;
    let project = node.project(&draft.project).await?;
    let mut file = draft.job;
    for participant in &mut file.participants {
        let member = project
            .member(&participant.name)
            .ok_or_else(|| NodeError::Stranger { who: participant.name.clone(), project: project.name.clone() })?;
        participant.address = member.address.clone();
        participant.fingerprint = Some(member.root.clone());
    }
    let recipients = recipients(&file);
    // What `auto` chooses, and what was left out, stands in the manifest.
    let questions = file.distillation.as_ref().map(|asked| asked.questions.clone());
    let job = node.job_of(file).await?;
    let mut file = JobFile { mixed: job.schemes(), ..job.file().clone() };
    if let (Some(asked), Some(name)) = (&mut file.distillation, questions) {
        // Where this node has the file is its own affair.
        asked.questions = name;
    }
    // What the job promises is what it takes at least.
    let promised = job.voting().map_or(0, |voting| (1000.0 * voting.epsilon).ceil() as u64);
    let created = now();
    let manifest = Manifest {
        version: VERSION,
        id: home::random_hex(16)?,
        project: draft.project,
        submitter: node.organisation().into(),
        person: caller.person(&draft.person),
        purpose: draft.purpose,
        created,
        expires: created.saturating_add(draft.lasts),
        attempts: draft.attempts,
        build: node.build.clone(),
        datasets: draft.tables.into_iter().map(|(organisation, table)| Dataset { organisation, table }).collect(),
        models: draft.models.into_iter().map(|(organisation, model)| NamedModel { organisation, model }).collect(),
        release: Release {
            recipients,
            min_cohort: draft.min_cohort,
            until: created.saturating_add(draft.lasts).saturating_add(30 * 86_400),
            epsilon_milli: draft.epsilon_milli.max(promised),
        },
        job: file,
    };
    Ok(Json(node.submit(manifest, draft.priority, caller.vouched()).await?))
}

/// Who learns anything besides predictions of own held-out rows; in jobs that score, the owners of rows.
fn recipients(file: &JobFile) -> Vec<String> {
    let named = |of: fn(&Participant) -> bool| file.participants.iter().filter(move |p| of(p)).map(|p| p.name.clone());
    if file.score.is_some() {
        return named(Participant::has_rows).collect();
    }
    // Answers are published to all.
    if file.distillation.is_some() {
        return named(|_| true).collect();
    }
    let mut recipients = file.outputs.model.clone();
    recipients.extend(file.outputs.metrics.clone().unwrap_or_else(|| named(|_| true).collect()));
    recipients.sort_unstable();
    recipients.dedup();
    recipients
}

/// Everything about a job.
#[utoipa::path(get, path = "/api/v1/jobs/{job}", tag = "jobs", params(("job" = String, Path, description = "digest, or at least six digits at its beginning")), responses((status = 200, body = Details)))]
async fn details(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Result_<Details> {
    let stored = node.store.find_job(&name).await?;
    let manifest = stored.manifest.body.clone();
    let approvals: Vec<Approval> = node.store.approvals(&stored.digest).await?.into_iter().map(|a| a.body).collect();
    let decided = |name: &str| approvals.iter().any(|a| a.organisation == name);
    let missing = manifest.job.participants.iter().map(|p| p.name.clone()).filter(|name| !decided(name)).collect();
    let protocol = ProtocolName::parse(&manifest.job.protocol).map_err(privity_api::ManifestError::Job)?;
    let guarantee = protocol.guarantee().to_owned();
    let planned = match node.job_of(manifest.job.clone()).await {
        Ok(job) => node.price(&stored.digest, job).await,
        // Its public questions are not here any more.
        Err(error) => serde_json::json!({ "problem": error.to_string() }),
    };
    let report = serde_json::from_str(&stored.report).unwrap_or_default();
    let line = line(&node, &stored, decided(node.organisation()));
    // A policy that denies it, or a time that is over, wants nobody.
    let wanted = if line.ours { node.approvers(&stored).await.unwrap_or(0) } else { 0 };
    let (code, voters, previous) = (stored.code, node.voters(&stored.digest).await?, previous(&node, &stored).await?);
    let own_model = node.model_use(&manifest).await?;
    Ok(Json(Details {
        line,
        code,
        manifest,
        approvals,
        missing,
        guarantee,
        plan: planned,
        report,
        voters,
        wanted,
        previous,
        own_model,
    }))
}

/// The last job of the same name that this organisation approved before.
async fn previous(node: &Node, stored: &Stored) -> Result<Option<Previous>, NodeError> {
    let earlier = node.store.last_approved(node.organisation(), stored).await?;
    Ok(earlier.map(|earlier| Previous { digest: earlier.digest, manifest: earlier.manifest.body }))
}

/// Where people sign in at an identity provider, a name with a password wants nothing approved: a human who has both would be two persons.
fn counts_once(node: &Node, caller: &Caller) -> Result<(), NodeError> {
    match node.config.oidc.is_some() && caller.person.is_some() && !caller.provider {
        true => Err(NodeError::Forbidden(
            "this node has an identity provider: sign in there to submit and approve; with a password you look, deny and administer".into(),
        )),
        false => Ok(()),
    }
}

/// Approve or deny a job.
#[utoipa::path(post, path = "/api/v1/jobs/{job}/votes", tag = "jobs", params(("job" = String, Path, description = "digest, or at least six digits at its beginning")), request_body = Vote, responses((status = 200, body = String)))]
async fn vote(
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(vote): Json<Vote>,
) -> Result_<String> {
    if vote.decision == Decision::Approve {
        counts_once(&node, &caller)?;
    }
    let person = caller.person(&vote.person);
    if !privity_api::is_name(&person) {
        return Err(NodeError::State(format!("{person:?} is no name of a person: use letters, digits, -, _ and .")));
    }
    Ok(Json(node.vote(&name, vote.decision, &vote.reason, (&person, caller.vouched())).await?))
}

/// Give a job up.
#[utoipa::path(post, path = "/api/v1/jobs/{job}/abort", tag = "jobs", params(("job" = String, Path, description = "digest, or at least six digits at its beginning")), request_body = String, responses((status = 200)))]
async fn abort(
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(person): Json<String>,
) -> Result_<()> {
    node.abort(&name, &caller.person(&person)).await?;
    Ok(Json(()))
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: i64,
}

/// What the engine told, at most 1000 events.
#[utoipa::path(get, path = "/api/v1/jobs/{job}/events", tag = "jobs", params(("job" = String, Path, description = "digest, or at least six digits at its beginning"), ("after" = Option<i64>, Query, description = "only events after this number")), responses((status = 200, body = Vec<Told>)))]
async fn events(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    Query(after): Query<After>,
) -> Result_<Vec<Told>> {
    let stored = node.store.find_job(&name).await?;
    let told = node.store.events(&stored.digest, after.after).await?.into_iter();
    let told = told.map(|(seq, at, event)| Told { seq, at, event: serde_json::from_str(&event).unwrap_or_default() });
    Ok(Json(told.collect()))
}

/// What the logs of all participants say of a job.
#[utoipa::path(get, path = "/api/v1/jobs/{job}/timeline", tag = "jobs", params(("job" = String, Path, description = "digest, or at least six digits at its beginning")), responses((status = 200, body = Timeline)))]
async fn timeline(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Result_<Timeline> {
    Ok(Json(node.timeline(&name).await?))
}

/// Look whether all members are reached, how fast, with which program and clock.
#[utoipa::path(get, path = "/api/v1/projects/{project}/examination", tag = "members", params(("project" = String, Path)), responses((status = 200, body = BTreeMap<String, Finding>)))]
async fn examine(
    State(node): State<Arc<Node>>,
    State(access): State<Arc<Access>>,
    Extension(caller): Extension<Caller>,
    Path(project): Path<String>,
) -> Result_<BTreeMap<String, Finding>> {
    access.examinations.take(&caller.bucket())?;
    Ok(Json(node.examine(&project).await?))
}

/// Declare the node's certificates void and make a new one.
#[utoipa::path(post, path = "/api/v1/revocations", tag = "nodes", request_body = String, responses((status = 200)))]
async fn revoke(State(node): State<Arc<Node>>, Json(reason): Json<String>) -> Result_<()> {
    Ok(Json(node.revoke(&reason).await?))
}
