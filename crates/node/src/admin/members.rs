//! Joining and leaving projects, and names of members.

use super::Result_;
use super::access::Caller;
use crate::NodeError;
use crate::node::Node;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// An invitation that this node has come with.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Joining {
    /// Its number.
    pub id: String,
    /// Six words, for a person to read out to the inviter.
    pub words: String,
}

/// A member that is to be one no more.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    /// Which organisation.
    pub organisation: String,
    /// Who says so, if a tool asks.
    #[serde(default)]
    pub person: String,
}

/// A name whose root is to be forgotten.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// Words of the root that it may stand for from now on; empty for none.
    #[serde(default)]
    pub words: String,
    /// Who says so, if a tool asks.
    #[serde(default)]
    pub person: String,
}

/// Who does it, for the log.
fn person(caller: &Caller, said: &str) -> Result<String, NodeError> {
    let person = caller.person(said);
    match privity_api::is_name(&person) {
        true => Ok(person),
        false => Err(NodeError::State(format!(
            "{person:?} is no name of a person: use letters, digits, -, _ and ., at most 64"
        ))),
    }
}

/// Does something to its end, also if whoever asked hangs up.
async fn to_its_end<T: Send + 'static>(
    doing: impl Future<Output = Result<T, NodeError>> + Send + 'static,
) -> Result<T, NodeError> {
    tokio::spawn(doing).await.map_err(|e| NodeError::State(e.to_string()))?
}

/// Come with the code of an invitation; the words to read out.
#[utoipa::path(post, path = "/api/v1/joins", tag = "members", request_body = String, responses((status = 200, body = Joining)))]
pub(super) async fn join(State(node): State<Arc<Node>>, Json(code): Json<String>) -> Result_<Joining> {
    let (id, words) = node.join_begin(&code).await?;
    Ok(Json(Joining { id, words }))
}

/// Ask whether a person at the inviter has confirmed the words; the project that was joined then.
#[utoipa::path(post, path = "/api/v1/joins/{id}", tag = "members", params(("id" = String, Path)), responses((status = 200, body = Option<String>)))]
pub(super) async fn joined(State(node): State<Arc<Node>>, Path(id): Path<String>) -> Result_<Option<String>> {
    Ok(Json(node.join_ask(&id).await?))
}

/// Remove a member from a project that this organisation founded.
#[utoipa::path(post, path = "/api/v1/projects/{project}/removals", tag = "members", params(("project" = String, Path)), request_body = Removal, responses((status = 200)))]
pub(super) async fn remove(
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Path(project): Path<String>,
    Json(removal): Json<Removal>,
) -> Result_<()> {
    let person = person(&caller, &removal.person)?;
    to_its_end(async move { node.remove(&project, &removal.organisation, &person).await }).await?;
    Ok(Json(()))
}

/// Leave a project; who did not hear of it in time.
#[utoipa::path(post, path = "/api/v1/projects/{project}/leave", tag = "members", params(("project" = String, Path)), request_body = String, responses((status = 200, body = Vec<String>)))]
pub(super) async fn leave(
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Path(project): Path<String>,
    Json(said): Json<String>,
) -> Result_<Vec<String>> {
    let person = person(&caller, &said)?;
    Ok(Json(to_its_end(async move { node.leave(&project, &person).await }).await?))
}

/// Forget for which root a name stands; what founders say of their projects that is not taken for true.
#[utoipa::path(post, path = "/api/v1/members/{organisation}/forget", tag = "members", params(("organisation" = String, Path)), request_body = Forget, responses((status = 200, body = Vec<String>)))]
pub(super) async fn forget(
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Path(organisation): Path<String>,
    Json(forget): Json<Forget>,
) -> Result_<Vec<String>> {
    let person = person(&caller, &forget.person)?;
    Ok(Json(to_its_end(async move { node.forget_name(&organisation, &forget.words, &person).await }).await?))
}
