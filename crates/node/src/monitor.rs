//! What operators' tools look at, at an address of its own: whether the node lives and is ready, and its measures. Names of jobs, people and tables are not
//! among them, nor is anything of data.

use crate::NodeError;
use crate::cosign::LAG;
use crate::job::State as JobState;
use crate::node::{Node, now};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub(crate) fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(node)
}

/// What the tools find while another instance of the node serves.
pub(crate) fn standing_by() -> Router {
    let why = "standby: another instance of this node serves\n";
    Router::new()
        .route("/health", get(|| async { "standby\n" }))
        .route("/ready", get(move || async move { (StatusCode::SERVICE_UNAVAILABLE, why) }))
        .route("/metrics", get(|| async { exposed(&measured_standing_by()) }))
}

fn measured_standing_by() -> Registry {
    let mut registry = Registry::with_prefix("privity");
    for (name, help, value) in [(READY.0, READY.1, 0), (STANDBY.0, STANDBY.1, 1)] {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    }
    registry
}

const READY: (&str, &str) = ("ready", "1 if the node takes work");
const STANDBY: (&str, &str) = ("standby", "1 if another instance of the node serves, and this one would take over");

/// Why the node takes no work now; empty if it does.
async fn hindrances(node: &Node) -> Vec<String> {
    let mut found = Vec::new();
    if let Err(e) = node.store.recipients().await {
        found.push(e.to_string());
    }
    if let Some(why) = node.log.closed() {
        found.push(format!("the audit log is closed: {why}"));
    }
    if node.draining() {
        found.push("the node is about to stop".into());
    }
    if node.shown.get().validity().is_none_or(|(_, until)| until <= now()) {
        found.push("the node's certificate is over".into());
    }
    found.extend(node.reached.hindrance());
    found
}

async fn ready(State(node): State<Arc<Node>>) -> Response {
    let found = hindrances(&node).await;
    match found.is_empty() {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, found.join("\n") + "\n").into_response(),
    }
}

async fn metrics(State(node): State<Arc<Node>>) -> Result<Response, NodeError> {
    exposed(&measured(&node).await?)
}

fn exposed(registry: &Registry) -> Result<Response, NodeError> {
    let mut text = String::new();
    encode(&mut text, registry).map_err(|e| NodeError::Internal(e.to_string()))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

type Labels = Vec<(&'static str, String)>;

/// Everything as it is now: a scrape reads, and nothing is counted in between.
async fn measured(node: &Node) -> Result<Registry, NodeError> {
    let mut registry = Registry::with_prefix("privity");
    let one = |registry: &mut Registry, name: &str, help: &str, value: i64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    let jobs = Family::<Labels, Gauge>::default();
    for (state, count) in node.store.counts().await? {
        jobs.get_or_create(&vec![("state", state)]).set(count);
    }
    for state in JobState::ALL {
        drop(jobs.get_or_create(&vec![("state", state.name().to_owned())]));
    }
    registry.register("jobs", "Jobs that this node knows, by where they stand", jobs);
    one(&mut registry, "attempts_running", "Attempts whose engine runs here", node.numbers_running().len() as i64);
    one(&mut registry, "messages_waiting", "Messages to other nodes not yet delivered", node.store.waiting().await?);
    one(&mut registry, "audit_entries", "Entries of the audit log", node.log.size() as i64);
    one(&mut registry, "audit_closed", "1 if the audit log takes nothing more", i64::from(node.log.closed().is_some()));
    let until = node.shown.get().validity().map_or(0, |(_, until)| until);
    one(&mut registry, "certificate_expiry_seconds", "When the node's certificate ends, seconds since 1970", until);
    one(&mut registry, READY.0, READY.1, i64::from(hindrances(node).await.is_empty()));
    one(&mut registry, STANDBY.0, STANDBY.1, 0);
    let relay = node.relay.figures();
    one(
        &mut registry,
        "relay_waiting",
        "Connections of members that only dial out, waiting here",
        relay.waiting as i64,
    );
    one(&mut registry, "relay_carried", "Connections that this node carries for such members", relay.carried as i64);
    let carried: Counter = Counter::default();
    carried.inc_by(relay.bytes);
    registry.register_with_unit("relay_carried", "What this node carried for such members", Unit::Bytes, carried);

    let (sent, dropped, waiting) = node.traces.counts();
    one(&mut registry, "traces_waiting", "Spans that wait for the collector", waiting);
    for (name, help, count) in [
        ("traces_sent", "Spans that the collector took", sent),
        ("traces_dropped", "Spans that the collector did not take, or that had no place to wait", dropped),
    ] {
        let counter: Counter = Counter::default();
        counter.inc_by(count);
        registry.register(name, help, counter);
    }

    let members = node.others().await?;
    let late = node.log.overdue(now(), LAG, members.keys().map(String::as_str));
    let seen: BTreeMap<_, _> = node.peers.seen();
    let (overdue, answered) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
    let took = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    for member in members.into_keys() {
        let labels = vec![("member", member.clone())];
        overdue.get_or_create(&labels).set(i64::from(late.contains(&member)));
        if let Some((ago, last, _)) = seen.get(&member) {
            answered.get_or_create(&labels).set(now() - ago.as_secs() as i64);
            took.get_or_create(&labels).set(last.as_secs_f64());
        }
    }
    registry.register("cosignature_overdue", "1 if a member has not cosigned the audit log in time", overdue);
    registry.register("member_answered_seconds", "When a member answered last, seconds since 1970", answered);
    registry.register("member_round_trip_seconds", "How long a member's last answer took", took);
    Ok(registry)
}
