//! What people and tools of this organisation ask their node, at its loopback address, with its token.

use crate::doctor::Finding;
use crate::job::State as JobState;
use crate::message::Pong;
use crate::node::{Node, now};
use crate::store::{Stored, Table};
use crate::{NodeError, home};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use privity_api::manifest::{Dataset, Release, VERSION};
use privity_api::{Approval, Decision, MAX_TEXT, Manifest, Project, Time};
use privity_job::{Job, JobFile, plan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What this node is and what it sees.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// Milliseconds since its last answer.
    pub ago_ms: u64,
    /// Milliseconds it took.
    pub took_ms: u64,
    /// What it said.
    pub pong: Pong,
}

/// An invitation to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// Which organisation.
    pub organisation: String,
    /// The words.
    pub words: String,
}

/// A job to submit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// In which project.
    pub project: String,
    /// Who submits it.
    pub person: String,
    /// What for.
    pub purpose: String,
    /// Seconds until it must have started.
    pub lasts: Time,
    /// How often it may be started.
    pub attempts: u32,
    /// Tables by organisation.
    pub tables: BTreeMap<String, String>,
    /// Rows that whatever is opened must rest on.
    pub min_cohort: u64,
    /// Thousandths of epsilon that it takes.
    #[serde(default)]
    pub epsilon_milli: u64,
    /// What runs. Addresses and fingerprints of participants are filled in from the project.
    pub job: JobFile,
}

/// A person's decision.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// What.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// Who.
    pub person: String,
}

/// A job in a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    pub created: Time,
    /// When this last changed.
    pub updated: Time,
}

/// Everything about a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Details {
    /// As in the list.
    pub line: Line,
    /// Exit code of the last attempt.
    pub code: u8,
    /// The manifest.
    pub manifest: Manifest,
    /// What was decided.
    pub approvals: Vec<Approval>,
    /// Whose decision is missing.
    pub missing: Vec<String>,
    /// What protects it, in plain words.
    pub guarantee: String,
    /// What it will take and open.
    pub plan: serde_json::Value,
    /// The engine's report, when it is done.
    pub report: serde_json::Value,
}

/// An event of an engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    /// Its number.
    pub seq: i64,
    /// When.
    pub at: Time,
    /// What.
    pub event: serde_json::Value,
}

/// The router, behind the token of the node's directory.
pub(crate) fn router(node: Arc<Node>) -> Result<Router, NodeError> {
    let path = home::token(&node.home);
    let token = std::fs::read_to_string(&path).map_err(|e| NodeError::file(&path, "reading", e))?;
    let token: Arc<str> = token.trim().into();
    Ok(Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/projects", get(projects).post(found))
        .route("/api/v1/invitations", post(invite))
        .route("/api/v1/confirmations", post(confirm))
        .route("/api/v1/tables", get(tables).post(register))
        .route("/api/v1/tables/{name}", axum::routing::delete(withdraw))
        .route("/api/v1/jobs", get(jobs).post(submit))
        .route("/api/v1/jobs/{job}", get(details))
        .route("/api/v1/jobs/{job}/votes", post(vote))
        .route("/api/v1/jobs/{job}/abort", post(abort))
        .route("/api/v1/jobs/{job}/events", get(events))
        .route("/api/v1/revocations", post(revoke))
        .route("/api/v1/projects/{project}/examination", get(examine))
        .layer(middleware::from_fn(move |request: Request, next: Next| authorised(token.clone(), request, next)))
        .layer(DefaultBodyLimit::max(MAX_TEXT))
        .with_state(node))
}

async fn authorised(token: Arc<str>, request: Request, next: Next) -> Response {
    let shown = request.headers().get("authorization").and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    // Digests are compared, so that the time says nothing of how much was right.
    match shown.is_some_and(|shown| blake3::hash(shown.as_bytes()) == blake3::hash(token.as_bytes())) {
        true => next.run(request).await,
        false => (StatusCode::UNAUTHORIZED, "E1008 show the token of the node's directory: Authorization: Bearer ...").into_response(),
    }
}

type Result_<T> = Result<Json<T>, NodeError>;

async fn status(State(node): State<Arc<Node>>) -> Result_<Status> {
    let millis = |d: std::time::Duration| d.as_millis() as u64;
    let peers = node.peers.seen().into_iter().map(|(name, (ago, took, pong))| {
        (name, Seen { ago_ms: millis(ago), took_ms: millis(took), pong })
    });
    Ok(Json(Status {
        organisation: node.organisation().into(),
        root: node.root.fingerprint(),
        address: node.config.address.clone(),
        build: node.build.clone(),
        log: node.log.size(),
        peers: peers.collect(),
    }))
}

async fn projects(State(node): State<Arc<Node>>) -> Result_<Vec<Project>> {
    Ok(Json(node.store.projects().await?.into_iter().map(|(_, p)| p.body).collect()))
}

async fn found(State(node): State<Arc<Node>>, Json(name): Json<String>) -> Result_<Project> {
    Ok(Json(node.found(&name).await?))
}

async fn invite(State(node): State<Arc<Node>>, Json(invite): Json<Invite>) -> Result_<String> {
    if node.store.project(&invite.project).await?.is_none() {
        node.found(&invite.project).await?;
    }
    Ok(Json(node.invite(&invite.project, &invite.organisation, invite.helper).await?.write()))
}

async fn confirm(State(node): State<Arc<Node>>, Json(confirm): Json<Confirm>) -> Result_<()> {
    node.confirm(&confirm.organisation, &confirm.words).await?;
    Ok(Json(()))
}

async fn tables(State(node): State<Arc<Node>>) -> Result_<Vec<Table>> {
    Ok(Json(node.store.tables().await?))
}

async fn register(State(node): State<Arc<Node>>, Json(table): Json<Table>) -> Result_<Table> {
    Ok(Json(node.register(table).await?))
}

async fn withdraw(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Result_<()> {
    node.withdraw(&name).await?;
    Ok(Json(()))
}

fn line(stored: &Stored) -> Line {
    Line {
        digest: stored.digest.clone(),
        name: stored.manifest.body.job.name.clone(),
        project: stored.manifest.body.project.clone(),
        submitter: stored.manifest.body.submitter.clone(),
        state: stored.state,
        attempt: stored.attempt,
        reason: stored.reason.clone(),
        created: stored.created,
        updated: stored.updated,
    }
}

async fn jobs(State(node): State<Arc<Node>>) -> Result_<Vec<Line>> {
    Ok(Json(node.store.jobs().await?.iter().map(line).collect()))
}

async fn submit(State(node): State<Arc<Node>>, Json(draft): Json<Draft>) -> Result_<String> {
    let project = node.project(&draft.project).await?;
    let mut file = draft.job;
    for participant in &mut file.participants {
        let member = project.member(&participant.name).ok_or_else(|| NodeError::Stranger {
            who: participant.name.clone(),
            project: project.name.clone(),
        })?;
        participant.address = member.address.clone();
        participant.fingerprint = Some(member.root.clone());
    }
    let everybody: Vec<String> = file.participants.iter().map(|p| p.name.clone()).collect();
    let mut recipients = file.outputs.model.clone();
    recipients.extend(file.outputs.metrics.clone().unwrap_or(everybody));
    recipients.sort_unstable();
    recipients.dedup();
    // What `auto` chooses, and what was left out, stands in the manifest.
    let job = Job::new(file, std::path::Path::new("/nonexistent")).map_err(privity_api::ManifestError::Job)?;
    let created = now();
    let manifest = Manifest {
        version: VERSION,
        id: home::random_hex(16)?,
        project: draft.project,
        submitter: node.organisation().into(),
        person: draft.person.clone(),
        purpose: draft.purpose,
        created,
        expires: created.saturating_add(draft.lasts),
        attempts: draft.attempts,
        build: node.build.clone(),
        datasets: draft.tables.into_iter().map(|(organisation, table)| Dataset { organisation, table }).collect(),
        release: Release {
            recipients,
            min_cohort: draft.min_cohort,
            until: created.saturating_add(draft.lasts).saturating_add(30 * 86_400),
            epsilon_milli: draft.epsilon_milli,
        },
        job: job.file().clone(),
    };
    Ok(Json(node.submit(manifest).await?))
}

async fn details(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Result_<Details> {
    let stored = node.store.job(&name).await?;
    let manifest = stored.manifest.body.clone();
    let approvals: Vec<Approval> = node.store.approvals(&stored.digest).await?.into_iter().map(|a| a.body).collect();
    let decided = |name: &str| approvals.iter().any(|a| a.organisation == name);
    let missing = manifest.job.participants.iter().map(|p| p.name.clone()).filter(|name| !decided(name)).collect();
    let job = Job::new(manifest.job.clone(), std::path::Path::new("/nonexistent")).map_err(privity_api::ManifestError::Job)?;
    let guarantee = job.protocol().guarantee().to_owned();
    let planned = tokio::task::spawn_blocking(move || plan::plan(&job)).await.map_err(|e| NodeError::State(e.to_string()))?;
    let planned = match planned {
        Ok(plan) => serde_json::to_value(plan).unwrap_or_default(),
        Err(e) => serde_json::json!({ "problem": e.to_string() }),
    };
    let report = serde_json::from_str(&stored.report).unwrap_or_default();
    Ok(Json(Details { line: line(&stored), code: stored.code, manifest, approvals, missing, guarantee, plan: planned, report }))
}

async fn vote(State(node): State<Arc<Node>>, Path(name): Path<String>, Json(vote): Json<Vote>) -> Result_<String> {
    Ok(Json(node.vote(&name, vote.decision, &vote.reason, &vote.person).await?))
}

async fn abort(State(node): State<Arc<Node>>, Path(name): Path<String>, Json(person): Json<String>) -> Result_<()> {
    node.abort(&name, &person).await?;
    Ok(Json(()))
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: i64,
}

async fn events(State(node): State<Arc<Node>>, Path(name): Path<String>, Query(after): Query<After>) -> Result_<Vec<Told>> {
    let stored = node.store.job(&name).await?;
    let told = node.store.events(&stored.digest, after.after).await?.into_iter();
    let told = told.map(|(seq, at, event)| Told { seq, at, event: serde_json::from_str(&event).unwrap_or_default() });
    Ok(Json(told.collect()))
}

async fn examine(State(node): State<Arc<Node>>, Path(project): Path<String>) -> Result_<BTreeMap<String, Finding>> {
    Ok(Json(node.examine(&project).await?))
}

async fn revoke(State(node): State<Arc<Node>>, Json(reason): Json<String>) -> Result_<()> {
    node.revoke(&reason).await?;
    node.renew(true)?;
    Ok(Json(()))
}
