//! The node's own audit log, for people to read.

use crate::NodeError;
use crate::cosign::LAG;
use crate::node::{Node, now};
use axum::Json;
use axum::extract::{Query, State};
use privity_api::{Record, Time};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Entries that are looked through for one answer.
const LOOKED: u64 = 20_000;
/// Entries of an answer.
const AT_ONCE: u64 = 200;

/// Which entries.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Entries before this one; the newest if it is left out.
    before: Option<u64>,
    /// How many, at most 200.
    #[serde(default)]
    limit: Option<u64>,
    /// Only those about the manifest with this digest.
    #[serde(default)]
    job: Option<String>,
}

/// An entry.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Entry {
    /// Its place, from 0.
    index: u64,
    /// When, by this node's clock.
    #[schema(value_type = i64)]
    at: Time,
    /// What.
    #[schema(value_type = Object)]
    record: Record,
}

/// Entries, the newest first.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Entries {
    /// Entries of the log.
    size: u64,
    /// These.
    entries: Vec<Entry>,
    /// Where to go on, if there is more to look through.
    before: Option<u64>,
}

/// How the log stands.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Standing {
    /// Whose it is.
    organisation: String,
    /// Entries.
    size: u64,
    /// Why nothing is taken any more, if so: then nothing that must be logged is done.
    closed: Option<String>,
    /// The newest signed head, if there is one.
    head: Option<Signed>,
    /// Other members, and how much of this log each has cosigned.
    witnesses: Vec<Witness>,
    /// Seconds in which members cosign.
    lag: i64,
}

/// A signed head.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Signed {
    /// Entries that it covers.
    size: u64,
    /// Root of their Merkle tree.
    root: String,
    /// When it was signed.
    #[schema(value_type = i64)]
    at: Time,
}

/// A member that cosigns.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Witness {
    organisation: String,
    /// The largest head of this log that it cosigned.
    size: Option<u64>,
    /// Whether it should have cosigned a later one by now.
    overdue: bool,
    /// How much of its own log this node has seen and cosigned.
    seen: u64,
}

/// Entries of this node's log, the newest first.
#[utoipa::path(get, path = "/api/v1/audit/entries", tag = "audit", params(Which), responses((status = 200, body = Entries)))]
pub(super) async fn entries(
    State(node): State<Arc<Node>>,
    Query(which): Query<Which>,
) -> Result<Json<Entries>, NodeError> {
    let log = node.log.clone();
    let read = tokio::task::spawn_blocking(move || read(&log, &which)).await;
    Ok(Json(read.map_err(|e| NodeError::State(e.to_string()))??))
}

fn read(log: &privity_audit::Log, which: &Which) -> Result<Entries, NodeError> {
    let failed = |e: privity_audit::AuditError| NodeError::Audit(e.to_string());
    let size = log.size();
    let limit = which.limit.unwrap_or(50).clamp(1, AT_ONCE) as usize;
    let mut before = which.before.unwrap_or(size).min(size);
    let least = before.saturating_sub(LOOKED);
    let mut found = Vec::new();
    while before > least && found.len() < limit {
        let from = before.saturating_sub(AT_ONCE).max(least);
        for entry in log.entries(from..before).map_err(failed)?.into_iter().rev() {
            before = entry.index;
            if which.job.as_deref().is_none_or(|job| entry.record.manifest() == Some(job)) {
                found.push(Entry { index: entry.index, at: entry.at, record: entry.record });
                if found.len() == limit {
                    break;
                }
            }
        }
    }
    Ok(Entries { size, entries: found, before: (before > 0).then_some(before) })
}

/// How this node's log stands: its head, who has cosigned it, who is late.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", responses((status = 200, body = Standing)))]
pub(super) async fn standing(State(node): State<Arc<Node>>) -> Result<Json<Standing>, NodeError> {
    let members = node.others().await?;
    let late = node.log.overdue(now(), LAG, members.keys().map(String::as_str));
    let cosigned = node.log.cosigners();
    let witnesses = members.into_iter().map(|(organisation, member)| Witness {
        size: cosigned.get(&organisation).copied(),
        overdue: late.contains(&organisation),
        seen: node.seen_of(&organisation, &member.root),
        organisation,
    });
    let signed = |head: privity_audit::Head| Signed { size: head.size, root: head.root.to_string(), at: head.at };
    Ok(Json(Standing {
        organisation: node.organisation().into(),
        size: node.log.size(),
        closed: node.log.closed(),
        head: node.log.newest().map(signed),
        witnesses: witnesses.collect(),
        lag: LAG,
    }))
}
