//! Traces of a job of three real nodes, each with a collector of its own: one trace, nothing secret in it, and no collector in the way of a job.

mod common;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use common::{SCHEMA, port};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Figure;
use opentelemetry_proto::tonic::trace::v1::Span;
use privity_api::{Member, Project, Statement};
use privity_job::JobFile;
use privity_net::control;
use privity_node::store::Store;
use privity_node::{Config, daemon, home, traces};
use prost::Message;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const NAMES: [&str; 3] = ["bank-a", "bank-b", "bank-c"];
/// Of everything that stands for itself in rows, files and words of people nothing may be in a trace.
const SECRETS: [&str; 6] = ["0.31415", "rows.csv", "payments", "a-purpose-of-ours", "wilhelmina", "jobs/"];

/// What a collector took.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Bytes>>>);

impl Collector {
    async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        collector.0.lock().expect("no panic").push(body);
        StatusCode::OK
    }
    /// Serves; its address.
    fn serve(&self, runtime: &Runtime) -> String {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/v1/traces", post(Collector::take)).with_state(self.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }
    fn bodies(&self) -> Vec<Bytes> {
        self.0.lock().expect("no panic").clone()
    }
    fn spans(&self) -> Vec<Span> {
        let requests = self.bodies().into_iter().map(|body| ExportTraceServiceRequest::decode(body).expect("OTLP"));
        let scopes = requests.flat_map(|r| r.resource_spans).flat_map(|r| r.scope_spans);
        scopes.flat_map(|s| s.spans).collect()
    }
}

/// An attribute of a span, as text.
fn of(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|a| a.key == key)?;
    Some(match found.value.as_ref().and_then(|v| v.value.as_ref()) {
        Some(Figure::StringValue(text)) => text.clone(),
        Some(Figure::IntValue(number)) => number.to_string(),
        other => panic!("{key} is {other:?}"),
    })
}

/// Three nodes of one project.
struct Site {
    runtime: Runtime,
    nodes: BTreeMap<&'static str, (Config, String, Option<daemon::Running>)>,
    folder_: tempfile::TempDir,
}

impl Site {
    fn new(collectors: [String; 3]) -> Site {
        control::provide();
        let folder = tempfile::tempdir().expect("a directory");
        let runtime = Runtime::new().expect("a runtime");
        let configs = NAMES.iter().zip(&collectors).map(|(name, traces)| {
            let own = || format!("127.0.0.1:{}", port());
            let text = format!(
                "organisation = \"{name}\"\nlisten = \"{}\"\nadmin = \"{}\"\nmonitor = \"{}\"\ntraces = \"{traces}\"\n",
                own(),
                own(),
                own()
            );
            (*name, Config::parse(&text, |_| None).expect("a configuration"))
        });
        let configs: BTreeMap<&str, Config> = configs.collect();
        let members: Vec<Member> = configs
            .iter()
            .map(|(name, config)| Member {
                organisation: (*name).into(),
                operator: (*name).into(),
                root: daemon::init(&folder.path().join(name), config).expect("a node's directory"),
                address: config.address.clone(),
                helper: false,
            })
            .collect();
        let founder = privity_keys::open("file:root", &folder.path().join(NAMES[0])).expect("a root");
        let project = Project { name: "fraud".into(), founder: NAMES[0].into(), version: 1, members };
        let project = Statement::new(project, &*founder).expect("a signature");
        let mut nodes = BTreeMap::new();
        for (name, config) in configs {
            let home = folder.path().join(name);
            let rule = "@id(\"all\")\n@approvers(\"1\")\npermit (principal, action == Action::\"run\", resource);\n";
            std::fs::write(home.join("policy.cedar"), rule).expect("a policy");
            let running = runtime.block_on(async {
                let store = Store::open(&home).await.expect("a database");
                store.put_project(&founder.fingerprint(), &project).await.expect("it is kept");
                daemon::start(&home).await.expect("a node")
            });
            let token = std::fs::read_to_string(home::token(&home)).expect("a token");
            nodes.insert(name, (config, token.trim().to_owned(), Some(running)));
        }
        let site = Site { runtime, nodes, folder_: folder };
        for name in NAMES {
            let data = site.folder().join(name).join("rows.csv");
            let row = |i: u32| format!("{},{}\n", f64::from(i) / 40.0, if i.is_multiple_of(3) { "yes" } else { "no" });
            let rows: String = (0..39).map(row).collect();
            std::fs::write(&data, format!("x,y\n0.31415,no\n{rows}")).expect("rows");
            let table = json!({ "name": "payments", "path": data, "schema": SCHEMA, "rows": 0 });
            site.tool(name, "tables", Some(&table));
        }
        site
    }
    fn folder(&self) -> &Path {
        self.folder_.path()
    }
    fn get(&self, url: &str) -> String {
        self.runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            client.get(url).send().await.expect("an answer").text().await.expect("text")
        })
    }
    /// A tool of an organisation asks its node, or posts something.
    fn tool(&self, name: &str, path: &str, body: Option<&Value>) -> Value {
        let (config, token, _) = &self.nodes[name];
        let url = format!("http://{}/api/v1/{path}", config.admin);
        self.runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            let request = match body {
                Some(body) => client.post(url).header("content-type", "application/json").body(body.to_string()),
                None => client.get(url),
            };
            let answer = request.bearer_auth(token).send().await.expect("the node answers");
            let (status, text) = (answer.status(), answer.text().await.expect("text"));
            assert!(status.is_success(), "{path}: {text}");
            serde_json::from_str(&text).expect("JSON")
        })
    }
    /// Submits a job at the first; its digest.
    fn submit(&self) -> String {
        let participants: String = NAMES
            .iter()
            .map(|name| format!("[[participants]]\nname = \"{name}\"\naddress = \"127.0.0.1:1\"\nrows = 40\n\n"))
            .collect();
        let schema = SCHEMA.replace("[[columns]]", "[[data.schema.columns]]");
        let text = format!(
            "name = \"fraud-model\"\nprotocol = \"rep3\"\n\n{participants}{schema}\n[model]\nkind = \"logistic\"\n\n[training]\nepochs = 3\nbatch = 8\n"
        );
        let job = JobFile::from_toml(&text).expect("a job file");
        let tables: BTreeMap<&str, &str> = NAMES.iter().map(|name| (*name, "payments")).collect();
        let draft = json!({
            "project": "fraud", "person": "wilhelmina", "purpose": "a-purpose-of-ours", "lasts": 3600, "attempts": 3,
            "tables": tables, "min_cohort": 10, "job": job,
        });
        let digest = self.tool(NAMES[0], "jobs", Some(&draft)).as_str().expect("a digest").to_owned();
        for name in &NAMES[1..] {
            self.until(name, &digest, "pending");
        }
        digest
    }
    fn vote(&self, name: &str, digest: &str, decision: &str) {
        let vote = json!({ "decision": decision, "reason": "seen", "person": "wilhelmina" });
        self.tool(name, &format!("jobs/{digest}/votes"), Some(&vote));
    }
    #[track_caller]
    fn until(&self, name: &str, digest: &str, state: &str) {
        let started = Instant::now();
        loop {
            let jobs = self.tool(name, "jobs", None);
            let found = jobs.as_array().expect("jobs").iter().find(|line| line["digest"] == *digest).cloned();
            if found.as_ref().is_some_and(|line| line["state"] == state) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "{name}: not {state}: {found:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    fn done(&self) -> String {
        let digest = self.submit();
        NAMES[1..].iter().for_each(|name| self.vote(name, &digest, "approve"));
        NAMES.iter().for_each(|name| self.until(name, &digest, "done"));
        digest
    }
    /// Ends a node in order; how long that took.
    fn stop(&mut self, name: &str) -> Duration {
        let (_, _, running) = self.nodes.get_mut(name).expect("a node");
        let started = Instant::now();
        self.runtime.block_on(running.take().expect("it runs").drain());
        started.elapsed()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for (_, _, running) in self.nodes.values_mut() {
            if let Some(running) = running.take() {
                self.runtime.block_on(running.drain());
            }
        }
    }
}

#[test]
fn all_organisations_spans_of_a_job_are_one_trace_without_secrets() {
    let (collecting, collectors) = (Runtime::new().expect("a runtime"), [(); 3].map(|()| Collector::default()));
    let mut site = Site::new(collectors.clone().map(|collector| collector.serve(&collecting)));
    let digest = site.done();
    let denied = site.submit();
    site.vote("bank-c", &denied, "deny");
    NAMES.iter().for_each(|name| site.until(name, &denied, "denied"));
    // The end of a node sends what waits.
    NAMES.iter().for_each(|name| assert!(site.stop(name) < Duration::from_secs(20), "{name}"));

    let all: Vec<Vec<Span>> = collectors.iter().map(Collector::spans).collect();
    for (name, spans) in NAMES.iter().zip(&all) {
        for span in spans {
            assert_eq!(of(span, "privity.organisation").as_deref(), Some(*name), "each sends its own only");
            assert_eq!(of(span, "privity.job").as_deref(), Some("fraud-model"));
            let manifest = of(span, "privity.manifest").expect("a digest");
            let trace: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(Some(trace), traces::id(&manifest), "{}", span.name);
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{}", span.name);
        }
    }
    let of_job = |digest: &str, spans: &[Span]| -> BTreeMap<String, Span> {
        let ours = spans.iter().filter(|s| of(s, "privity.manifest").as_deref() == Some(digest));
        ours.map(|span| (span.name.clone(), span.clone())).collect()
    };
    let root = of_job(&digest, &all[0])["job"].clone();
    assert!(root.parent_span_id.iter().all(|byte| *byte == 0), "the job stands above all");
    assert_eq!(
        (of(&root, "privity.state").as_deref(), of(&root, "privity.attempts").as_deref()),
        (Some("done"), Some("1"))
    );
    for (name, spans) in NAMES.iter().zip(&all) {
        let spans = of_job(&digest, spans);
        let mut expected = BTreeSet::from(["decision", "attempt", "connect", "epochs", "results", "settle"]);
        if *name == "bank-a" {
            expected.extend(["job", "places"]);
        }
        assert_eq!(spans.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected, "{name}");
        for name in ["decision", "attempt"] {
            assert_eq!(spans[name].parent_span_id, root.span_id, "{name}");
        }
        for name in ["connect", "epochs", "results", "settle"] {
            assert_eq!(spans[name].parent_span_id, spans["attempt"].span_id, "{name}");
        }
        let attempt = |key: &str| of(&spans["attempt"], key).expect("it is told");
        assert_eq!((attempt("privity.state").as_str(), attempt("privity.code").as_str()), ("done", "0"));
        assert!(attempt("privity.protocol").contains("rep3"), "{}", attempt("privity.protocol"));
        for key in ["privity.rounds", "privity.bytes_sent", "privity.frames"] {
            assert!(attempt(key).parse::<u64>().expect("a number") > 0, "{key}");
        }
        assert_eq!(of(&spans["epochs"], "privity.epochs.last").as_deref(), Some("2"));
    }
    let ids: Vec<&Vec<u8>> = all.iter().flatten().map(|span| &span.span_id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "no two spans are one");
    // Of a job that was denied.
    let told = of_job(&denied, &all[2]);
    assert_eq!(of(&told["decision"], "privity.decision").as_deref(), Some("deny"));
    assert_eq!(of(&of_job(&denied, &all[0])["job"], "privity.state").as_deref(), Some("denied"));

    let secrets: Vec<String> = SECRETS.iter().map(|s| (*s).to_owned()).collect();
    let secrets = secrets.into_iter().chain([site.folder().display().to_string(), site.nodes["bank-a"].1.clone()]);
    for secret in secrets {
        for body in collectors.iter().flat_map(Collector::bodies) {
            assert!(!String::from_utf8_lossy(&body).contains(&secret), "{secret} is in a trace");
        }
    }
    let keys: BTreeSet<&str> = all.iter().flatten().flat_map(|s| &s.attributes).map(|a| a.key.as_str()).collect();
    assert!(keys.iter().all(|key| !key.contains("loss") && !key.contains("reason")), "{keys:?}");
}

#[test]
fn a_collector_that_hangs_or_is_gone_is_in_nobodys_way() {
    let runtime = Runtime::new().expect("a runtime");
    // One accepts and never answers, one is not there, one refuses.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let hanging = format!("http://{}", silent.local_addr().expect("an address"));
    let refusing = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let refuses = format!("http://{}", refusing.local_addr().expect("an address"));
    let router = Router::new().route("/v1/traces", post(|| async { StatusCode::BAD_REQUEST }));
    runtime.spawn(async move { axum::serve(refusing, router).await });
    let mut site = Site::new([hanging, format!("http://127.0.0.1:{}", port()), refuses]);
    site.done();
    let dropped = |name: &str| -> u64 {
        let text = site.get(&format!("http://{}/metrics", site.nodes[name].0.monitor));
        let line = text.lines().find_map(|line| line.strip_prefix("privity_traces_dropped_total "));
        line.expect("a measure").parse().expect("a number")
    };
    for name in NAMES {
        let started = Instant::now();
        while dropped(name) == 0 {
            assert!(started.elapsed() < Duration::from_secs(60), "{name}: nothing was counted");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    // With more in the queue, an end waits no longer than it must.
    let digest = site.done();
    assert!(!digest.is_empty());
    for name in NAMES {
        let took = site.stop(name);
        assert!(took < Duration::from_secs(15), "{name}: {took:?}");
    }
}
