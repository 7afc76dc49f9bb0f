//! This organisation's policy: the text in use, trying another, taking it into use.

use super::access::Caller;
use crate::NodeError;
use crate::node::Node;
use crate::policy::{FILE, text};
use axum::extract::State;
use axum::{Extension, Json};
use privity_policy::{Policy, PolicyError, Rule};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The policy in use.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct PolicyInUse {
    /// Its text, in Cedar.
    text: String,
    /// SHA-256 of the text, as in the audit log.
    digest: String,
    /// Its rules, in the order of the text.
    #[schema(value_type = Vec<Object>)]
    rules: Vec<Rule>,
    /// Name of its file in the node's directory.
    file: &'static str,
    /// Whether there is no such file: then the built-in policy is in use.
    built_in: bool,
    /// Why the text of the file is not in use, if so.
    problem: Option<PolicyProblem>,
}

/// Why a text is no policy.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct PolicyProblem {
    /// The line, from 1, if it is about one.
    line: Option<usize>,
    /// What is wrong, and what to do.
    words: String,
}

/// A text to try.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyText {
    /// In Cedar.
    text: String,
}

/// What a text is.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct PolicyChecked {
    /// SHA-256 of the text.
    digest: String,
    /// Its rules; none if it is no policy.
    #[schema(value_type = Vec<Object>)]
    rules: Vec<Rule>,
    /// Why it is no policy, if so.
    problem: Option<PolicyProblem>,
}

/// A text to take into use.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyChange {
    /// In Cedar.
    text: String,
    /// Digest of the policy that it is to replace.
    replaces: String,
}

impl From<PolicyError> for PolicyProblem {
    fn from(error: PolicyError) -> Self {
        let line = match &error {
            PolicyError::At { line, .. } => Some(*line),
            _ => None,
        };
        PolicyProblem { line, words: error.to_string() }
    }
}

async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NodeError> + Send + 'static,
) -> Result<Json<T>, NodeError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| NodeError::Internal(e.to_string()))?.map(Json)
}

fn show(node: &Node) -> Result<PolicyInUse, NodeError> {
    let (used, written) = (node.policy(), text(&node.home));
    let built_in = matches!(written, Ok(None));
    let problem = match written {
        Ok(Some(text)) => Policy::parse(&text).err().map(PolicyProblem::from),
        Ok(None) => None,
        // Without its path, which is for admins.
        Err(_) => Some(PolicyProblem { line: None, words: format!("{FILE} cannot be read") }),
    };
    let (rules, digest) = (used.policy.rules().to_vec(), used.policy.digest().to_owned());
    Ok(PolicyInUse { text: used.text.clone(), digest, rules, file: FILE, built_in, problem })
}

/// The policy in use.
#[utoipa::path(get, path = "/api/v1/policy", tag = "policy", responses((status = 200, body = PolicyInUse)))]
pub(super) async fn policy(State(node): State<Arc<Node>>) -> Result<Json<PolicyInUse>, NodeError> {
    aside(move || show(&node)).await
}

/// Whether a text is a policy; nothing changes.
#[utoipa::path(post, path = "/api/v1/policy/check", tag = "policy", request_body = PolicyText, responses((status = 200, body = PolicyChecked)))]
pub(super) async fn check(Json(draft): Json<PolicyText>) -> Result<Json<PolicyChecked>, NodeError> {
    aside(move || {
        let digest = privity_api::sha256(draft.text.as_bytes());
        Ok(match Policy::parse(&draft.text) {
            Ok(policy) => PolicyChecked { digest, rules: policy.rules().to_vec(), problem: None },
            Err(error) => PolicyChecked { digest, rules: Vec::new(), problem: Some(error.into()) },
        })
    })
    .await
}

/// Put a text in the place of the policy's file, and take it into use.
#[utoipa::path(put, path = "/api/v1/policy", tag = "policy", request_body = PolicyChange,
    responses((status = 200, body = PolicyInUse), (status = 409, description = "another policy is in use than the one to replace"), (status = 422, description = "no policy")))]
pub(super) async fn take(
    State(node): State<Arc<Node>>,
    Extension(caller): Extension<Caller>,
    Json(change): Json<PolicyChange>,
) -> Result<Json<PolicyInUse>, NodeError> {
    aside(move || {
        node.replace_policy(&change.text, &change.replaces, &caller.person("the node's token"))?;
        show(&node)
    })
    .await
}
