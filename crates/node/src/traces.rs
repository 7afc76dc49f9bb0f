//! Traces of jobs for this organisation's collector, by OpenTelemetry (ADR 28). Every node computes the same trace from a manifest's digest, so that nobody
//! passes identifiers on, and each sends its own spans, to its own collector only. A job never waits for one: what the queue has no place for is dropped and counted.

mod attempt;

pub(crate) use attempt::AttemptTrace;

use crate::NodeError;
use crate::admin::is_loopback;
use crate::config::Config;
use crate::job::State;
use crate::store::Stored;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use privity_api::{Decision, Time};
use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};

/// Spans that wait for the collector.
const QUEUE: usize = 2048;
/// Spans of one request.
const BATCH: usize = 256;
/// How long a request may take, what it tries again included.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an end of the node waits for the collector.
const FLUSH: Duration = Duration::from_secs(3);

/// Whether a text says where a collector is; if not, what to write.
pub(crate) fn check(place: &str) -> Result<(), &'static str> {
    let url = reqwest::Url::parse(place).map_err(|_| "write a URL, such as http://127.0.0.1:4318")?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("write no more than scheme, host, port and path; credentials go to OTEL_EXPORTER_OTLP_HEADERS");
    }
    match (url.scheme(), url.host_str().is_some_and(is_loopback)) {
        ("https", _) | ("http", true) => Ok(()),
        _ => Err("write http:// and a loopback address, or https://: spans tell who computes what with whom"),
    }
}

/// The trace of a job, as collectors write it; none if this is no digest of a manifest.
pub fn id(manifest: &str) -> Option<String> {
    let digest = manifest.len() == 64 && manifest.chars().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase());
    digest.then(|| trace(manifest).to_string())
}

fn trace(manifest: &str) -> TraceId {
    let hash = blake3::derive_key("privity 2026-11 trace of a job", manifest.as_bytes());
    TraceId::from_bytes(hash[..16].try_into().expect("16 of 32 bytes"))
}

/// A span of a trace, by what makes it this one. The span of the job itself has no parts, so that all organisations name it without having been told.
fn span_id(manifest: &str, parts: &[&dyn Display]) -> SpanId {
    let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 span of a job");
    hasher.update(manifest.as_bytes());
    for part in parts {
        let text = part.to_string();
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    SpanId::from_bytes(hasher.finalize().as_bytes()[..8].try_into().expect("8 of 32 bytes"))
}

/// A moment that is kept in seconds.
fn moment(at: Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(at.max(0).unsigned_abs())
}

fn figure(key: &'static str, value: impl TryInto<i64>) -> KeyValue {
    KeyValue::new(key, value.try_into().unwrap_or(i64::MAX))
}

/// What became of spans.
#[derive(Default)]
pub(crate) struct Counts {
    sent: AtomicU64,
    dropped: AtomicU64,
}

enum Item {
    Span(Box<SpanData>),
    /// Whoever waits until everything before this was tried.
    Flush(oneshot::Sender<()>),
}

/// What spans of a job have in common.
#[derive(Clone)]
pub(crate) struct Subject {
    manifest: String,
    name: String,
}

impl Subject {
    pub(crate) fn of(stored: &Stored) -> Subject {
        Subject { manifest: stored.digest.clone(), name: stored.manifest.body.job.name.clone() }
    }
    /// The span of the job, under which those of all organisations stand.
    fn root(&self) -> SpanId {
        span_id(&self.manifest, &[])
    }
}

/// A span that ended, before it is one of a trace.
struct Span {
    id: SpanId,
    parent: SpanId,
    name: &'static str,
    from: SystemTime,
    to: SystemTime,
    more: Vec<KeyValue>,
    events: SpanEvents,
    status: Status,
}

/// Where spans go; nowhere unless `node.toml` says so.
#[derive(Clone)]
pub(crate) struct Traces {
    organisation: String,
    counts: Arc<Counts>,
    to: Option<mpsc::Sender<Item>>,
}

impl Traces {
    /// Sends to the collector that the configuration names, from a task of its own.
    ///
    /// # Errors
    /// Variables of the environment (`OTEL_...`) that make no sense.
    pub(crate) fn start(config: &Config) -> Result<Traces, NodeError> {
        let (organisation, counts) = (config.organisation.clone(), Arc::new(Counts::default()));
        if config.traces.is_empty() {
            return Ok(Traces { organisation, counts, to: None });
        }
        let exporter = exporter(config)?;
        let (to, from) = mpsc::channel(QUEUE);
        tokio::spawn(deliver(exporter, from, counts.clone()));
        Ok(Traces { organisation, counts, to: Some(to) })
    }

    /// Spans that the collector took, those that were dropped, and those that wait.
    pub(crate) fn counts(&self) -> (u64, u64, i64) {
        let waiting = self.to.as_ref().map_or(0, |to| to.max_capacity() - to.capacity());
        (self.counts.sent.load(Ordering::Relaxed), self.counts.dropped.load(Ordering::Relaxed), waiting as i64)
    }

    /// Waits a little until the collector has what there is.
    pub(crate) async fn flush(&self) {
        let Some(to) = &self.to else { return };
        let (done, flushed) = oneshot::channel();
        let flushing = async {
            if to.send(Item::Flush(done)).await.is_ok() {
                drop(flushed.await);
            }
        };
        if tokio::time::timeout(FLUSH, flushing).await.is_err() {
            tracing::warn!("the collector of traces did not take the last spans in time");
        }
    }

    fn tell(&self, subject: &Subject, span: Span) {
        let Some(to) = &self.to else { return };
        let context = |id| SpanContext::new(trace(&subject.manifest), id, TraceFlags::SAMPLED, false, TraceState::NONE);
        let mut attributes = vec![
            KeyValue::new("privity.organisation", self.organisation.clone()),
            KeyValue::new("privity.job", subject.name.clone()),
            KeyValue::new("privity.manifest", subject.manifest.clone()),
        ];
        attributes.extend(span.more);
        let data = SpanData {
            span_context: context(span.id),
            parent_span_id: span.parent,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: Cow::Borrowed(span.name),
            start_time: span.from,
            // A clock may be set back meanwhile.
            end_time: span.to.max(span.from),
            attributes,
            dropped_attributes_count: 0,
            events: span.events,
            links: SpanLinks::default(),
            status: span.status,
            instrumentation_scope: InstrumentationScope::builder("privity").build(),
        };
        if to.try_send(Item::Span(Box::new(data))).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A span under that of the job, of something that this organisation did once at this time.
    fn once(&self, subject: &Subject, name: &'static str, (from, to): (SystemTime, SystemTime), more: Vec<KeyValue>) {
        let at = to.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let id = span_id(&subject.manifest, &[&self.organisation, &name, &at]);
        let (parent, events, status) = (subject.root(), SpanEvents::default(), Status::Unset);
        self.tell(subject, Span { id, parent, name, from, to, more, events, status });
    }

    /// This organisation decided: how many persons or rules did, not who.
    pub(crate) fn decided(&self, stored: &Stored, decision: Decision, deciders: usize) {
        let word = if decision == Decision::Approve { "approve" } else { "deny" };
        let more = vec![KeyValue::new("privity.decision", word), figure("privity.deciders", deciders)];
        self.once(&Subject::of(stored), "decision", (moment(stored.created), SystemTime::now()), more);
    }

    /// This organisation, which submitted a job, has places for an attempt at all participants: since it waits for them.
    pub(crate) fn placed(&self, stored: &Stored) {
        let more = vec![figure("privity.attempt", stored.attempt + 1)];
        self.once(&Subject::of(stored), "places", (moment(stored.updated), SystemTime::now()), more);
    }

    /// A job ended. Its own span is told by the organisation that submitted it.
    pub(crate) fn ended(&self, stored: &Stored, state: State, code: u8) {
        if stored.manifest.body.submitter != self.organisation || !state.is_end() {
            return;
        }
        let subject = Subject::of(stored);
        let more = vec![
            KeyValue::new("privity.state", state.name()),
            figure("privity.code", code),
            figure("privity.attempts", stored.attempt),
        ];
        let (id, parent, status) = (subject.root(), SpanId::INVALID, status(state == State::Done, code));
        let (from, to, events) = (moment(stored.created), SystemTime::now(), SpanEvents::default());
        self.tell(&subject, Span { id, parent, name: "job", from, to, more, events, status });
    }
}

fn status(done: bool, code: u8) -> Status {
    if done { Status::Ok } else { Status::error(format!("exit code {code}")) }
}

fn exporter(config: &Config) -> Result<SpanExporter, NodeError> {
    let bad = |problem: String| NodeError::Config { problem: format!("traces: {problem}") };
    privity_net::control::provide();
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .no_proxy()
        // Elsewhere than the configuration says nothing goes.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|e| bad(e.to_string()))?;
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", config.traces.trim_end_matches('/')))
        .with_timeout(PATIENCE)
        .build()
        .map_err(|e| bad(e.to_string()))?;
    let resource = Resource::builder_empty().with_attributes([
        KeyValue::new("service.name", "privity-node"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", config.organisation.clone()),
    ]);
    exporter.set_resource(&resource.build());
    Ok(exporter)
}

/// Sends what waits, one request after the other; what a request fails with is dropped.
async fn deliver(exporter: SpanExporter, mut from: mpsc::Receiver<Item>, counts: Arc<Counts>) {
    let (mut items, mut away) = (Vec::new(), false);
    while from.recv_many(&mut items, BATCH).await > 0 {
        let (mut spans, mut waiting) = (Vec::new(), Vec::new());
        for item in items.drain(..) {
            match item {
                Item::Span(span) => spans.push(*span),
                Item::Flush(done) => waiting.push(done),
            }
        }
        let told = spans.len() as u64;
        if told > 0 {
            // Each try is bounded by the client; this bounds all of them together.
            let sent = tokio::time::timeout(2 * PATIENCE, exporter.export(spans)).await;
            let failed = match sent {
                Ok(Ok(())) => None,
                Ok(Err(e)) => Some(e.to_string()),
                Err(_) => Some("no answer in time".into()),
            };
            let count = if failed.is_none() { &counts.sent } else { &counts.dropped };
            count.fetch_add(told, Ordering::Relaxed);
            match (&failed, away) {
                (Some(problem), false) => {
                    tracing::warn!(problem, "the collector of traces takes nothing; spans are dropped until it does");
                }
                (None, true) => tracing::info!("the collector of traces takes spans again"),
                _ => {}
            }
            away = failed.is_some();
        }
        for done in waiting {
            // Whoever waited may have given up.
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_near_or_behind_tls() {
        for fine in ["http://127.0.0.1:4318", "http://localhost:4318/", "http://[::1]:1", "https://traces.example/otlp"]
        {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        for wrong in [
            "",
            "127.0.0.1:4318",
            "http://10.0.0.1:4318",
            "https://me:secret@traces.example",
            "ftp://[::1]",
            "https://a/?b",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn identifiers_follow_from_the_digest_alone() {
        let (one, other) = ("ab".repeat(32), "cd".repeat(32));
        assert_eq!(id(&one), id(&one));
        assert!(id(&one) != id(&other) && id(&one).is_some_and(|id| id.len() == 32));
        for wrong in ["", "ab", &"AB".repeat(32), &"x".repeat(64)] {
            assert_eq!(id(wrong), None, "{wrong}");
        }
        let parts: [&[&dyn Display]; 4] = [&[], &[&"a"], &[&"a", &"b"], &[&"ab"]];
        let all: std::collections::BTreeSet<String> = parts.iter().map(|p| span_id(&one, p).to_string()).collect();
        assert_eq!(all.len(), parts.len(), "no two spans are one");
    }

    #[tokio::test]
    async fn what_has_no_place_is_dropped_and_counted() {
        let (to, mut from) = mpsc::channel(2);
        let traces = Traces { organisation: "a".into(), counts: Arc::default(), to: Some(to) };
        let subject = Subject { manifest: "ab".repeat(32), name: "job".into() };
        let now = SystemTime::now();
        (0..5).for_each(|_| traces.once(&subject, "places", (now, now), Vec::new()));
        assert_eq!(traces.counts(), (0, 3, 2));
        assert!(from.recv().await.is_some());
        assert_eq!(traces.counts(), (0, 3, 1));
    }
}
