//! A small real node for the fuzzer, asked without sockets: what people and tools ask, and what other nodes do. For nothing else.
//!
//! A request is text: `WHO METHOD PATH`, header lines, an empty line, a body. In it `@now`, `@later`, `@until`, `@build`, `@job`, `@ready`, `@parameters` (of
//! that job), `@rows` and the roots `@bank-a`, `@bank-b`, `@bank-c` stand for what they are at the node. People's interface knows `tool`, `viewer`, `approver`, `admin` and
//! anybody else; that of other nodes `bank-b`, `bank-c` and anybody else, and has statements of `/signed` paths signed by whoever asks.

use crate::job::State;
use crate::message::Start;
use crate::model::NewModel;
use crate::node::{Node, now};
use crate::store::{Store, Table};
use crate::{Config, NodeError, admin, cosign, daemon, home, serve};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use privity_api::{Approval, Attempt, Manifest, Member, Project, Purpose, Revocation, Statement};
use privity_audit::Head;
use privity_keys::Root;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Runtime;

/// An answer takes no longer and is no longer, whatever was asked.
const PATIENCE: Duration = Duration::from_secs(30);
const LONGEST: usize = 8 << 20;
/// Requests after which everybody's buckets are full again.
const ROUND: u32 = 100;

/// Name of the node's threads.
const THREAD: &str = "fuzzed";
/// Panics of the node, also those that a task kept to itself.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Which of its two interfaces is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// People's and tools'.
    Admin,
    /// Other nodes'.
    Peer,
}

type Asked = (Interface, Vec<u8>, Sender<Result<String, String>>);

/// The node, in a thread of its own, until it is dropped.
pub struct Site {
    to: Option<Sender<Asked>>,
    thread: Option<JoinHandle<()>>,
}

impl Site {
    /// Makes a node in an empty directory and starts it.
    pub fn new(home: &Path) -> Site {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if matches!(std::thread::current().name(), Some(THREAD | "engine")) {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            before(info);
        }));
        let (to, from) = channel::<Asked>();
        let home = home.to_owned();
        let thread = std::thread::Builder::new().name(THREAD.into()).spawn(move || {
            let mut inside = Inside::new(&home).expect("a node for the fuzzer");
            for (interface, bytes, answer) in from {
                drop(answer.send(inside.ask(interface, &bytes)));
            }
        });
        Site { to: Some(to), thread: Some(thread.expect("a thread")) }
    }

    /// Asks. What answers is its business; that it answers in time and bounds, without a panic and without a fault of its own, is looked at here.
    ///
    /// # Panics
    /// It does not.
    pub fn ask(&self, interface: Interface, bytes: &[u8]) -> String {
        let (answer, answered) = channel();
        let to = self.to.as_ref().expect("it is there until it is dropped");
        to.send((interface, bytes.to_vec(), answer)).expect("the node's thread runs");
        answered.recv().expect("the node's thread runs").unwrap_or_else(|fault| panic!("{interface:?}: {fault}"))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.to.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Inside {
    runtime: Runtime,
    node: Arc<Node>,
    _running: daemon::Running,
    home: PathBuf,
    token: String,
    members: Vec<(String, Arc<dyn Root>)>,
    asked: u32,
    admin: (Router, [(String, String); 3]),
}

impl Inside {
    fn new(folder: &Path) -> Result<Inside, NodeError> {
        privity_net::control::provide();
        let home = folder.join("bank-a");
        let text = "organisation = \"bank-a\"\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n";
        let own = daemon::init(&home, &Config::parse(text, |_| None)?)?;
        let mut members = Vec::new();
        for name in ["bank-b", "bank-c"] {
            let root = privity_keys::create("file:root", &folder.join(name), name);
            members.push((name.to_owned(), root.map_err(|e| NodeError::Keys(e.to_string()))?));
        }
        let rule = "@id(\"all\")\n@reason(\"a test\")\npermit (principal, action == Action::\"run\", resource);\n";
        let rows: String =
            (0..40).map(|i| format!("{},{}\n", f64::from(i) / 40.0, ["no", "yes"][i as usize % 2])).collect();
        let data = home.join("rows.csv");
        for (path, text) in [(home.join(crate::policy::FILE), rule.to_owned()), (data.clone(), format!("x,y\n{rows}"))]
        {
            std::fs::write(&path, text).map_err(|e| NodeError::file(&path, "writing", e))?;
        }
        // Nobody answers there.
        let member = |name: &str, root: String, port: usize| Member {
            organisation: name.into(),
            operator: name.into(),
            root,
            address: format!("127.0.0.1:{port}"),
            helper: false,
        };
        let mut all = vec![member("bank-a", own, 1)];
        all.extend(members.iter().zip(2..).map(|((name, root), port)| member(name, root.fingerprint(), port)));
        let (founder, root) = &members[0];
        let project = Project { name: "fraud".into(), founder: founder.clone(), version: 1, members: all };
        let project = Statement::new(project, &**root)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name(THREAD).enable_all().build();
        let runtime = runtime.map_err(|e| NodeError::State(e.to_string()))?;
        let running = runtime.block_on(async {
            Store::open(&home).await?.put_project(&root.fingerprint(), &project).await?;
            let running = daemon::start(&home).await?;
            let (name, path, schema) = ("payments".into(), data.display().to_string(), SCHEMA.into());
            let table = Table {
                name,
                path,
                test_path: String::new(),
                schema,
                rows: 0,
                projects: vec!["fraud".into()],
                shows_rows: true,
            };
            running.node.register(table).await?;
            Ok::<_, NodeError>(running)
        })?;
        let node = running.node.clone();
        let token = std::fs::read_to_string(home::token(&home)).map_err(|e| NodeError::file(&home, "reading", e))?;
        let admin = admin::router_and_sessions(node.clone())?;
        Ok(Inside { runtime, node, _running: running, home, token, members, asked: 0, admin })
    }

    fn ask(&mut self, interface: Interface, bytes: &[u8]) -> Result<String, String> {
        self.asked += 1;
        if self.asked.is_multiple_of(ROUND) {
            self.node.asked.forget();
            self.admin = admin::router_and_sessions(self.node.clone()).map_err(|e| e.to_string())?;
        }
        let panics = PANICS.load(Ordering::SeqCst);
        let text = self.filled_in(&String::from_utf8_lossy(bytes))?;
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let (first, headers) = head.split_once('\n').unwrap_or((head, ""));
        let words: Vec<&str> = first.split(' ').collect();
        let [who, method, path] = words[..] else { return Ok(String::new()) };
        let (router, path, body, shown) = match interface {
            Interface::Admin => (self.admin.0.clone(), path, self.with_own_files(path, body), self.shown(who)),
            Interface::Peer => {
                let root = self.root(who).map_or_else(|| "0".repeat(64), |root| root.fingerprint());
                let (path, body) = match path.strip_suffix("/signed") {
                    Some(path) => (path, self.signed(who, path, body).unwrap_or_else(|| body.to_owned())),
                    None => (path, body.to_owned()),
                };
                (serve::router_of(self.node.clone(), &root), path, body, Vec::new())
            }
        };
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers.lines().filter_map(|line| line.split_once(": ")) {
            request = request.header(name, value);
        }
        for (name, value) in shown {
            request = request.header(name, value);
        }
        // What is no request at all ends before it comes here.
        let Ok(request) = request.body(Body::from(body)) else { return Ok(String::new()) };
        let answer = self.runtime.block_on(answer(router, request))?;
        match PANICS.load(Ordering::SeqCst) == panics {
            true => Ok(answer),
            false => Err("something panicked".into()),
        }
    }

    fn root(&self, who: &str) -> Option<&Arc<dyn Root>> {
        self.members.iter().find(|(name, _)| name == who).map(|(_, root)| root)
    }

    /// What shows who asks.
    fn shown(&self, who: &str) -> Vec<(&'static str, String)> {
        let session =
            |i: usize| vec![("cookie", self.admin.1[i].0.clone()), ("x-privity-csrf", self.admin.1[i].1.clone())];
        match who {
            "tool" => vec![("authorization", format!("Bearer {}", self.token.trim()))],
            "viewer" => session(0),
            "approver" => session(1),
            "admin" => session(2),
            _ => Vec::new(),
        }
    }

    fn filled_in(&self, text: &str) -> Result<String, String> {
        if !text.contains('@') {
            return Ok(text.to_owned());
        }
        let jobs = self.runtime.block_on(self.node.store.jobs()).map_err(|e| e.to_string())?;
        let digest = |ready: bool| {
            let fits = jobs.iter().find(|job| !ready || State::STARTS.contains(&job.state));
            fits.map_or_else(|| "0".repeat(64), |job| job.digest.clone())
        };
        let rows = self.home.join("rows.csv").display().to_string();
        let mut text = text.to_owned();
        let times = [("@now", now()), ("@later", now() + 3600), ("@until", now() + 7200)];
        let mut known: Vec<(&str, String)> = times.into_iter().map(|(name, at)| (name, at.to_string())).collect();
        known.extend([
            ("@build", self.node.build.clone()),
            ("@job", digest(false)),
            ("@ready", digest(true)),
            ("@rows", rows),
        ]);
        if let Some(job) = jobs.first().and_then(|job| Some((job, job.manifest.body.check(now()).ok()?))) {
            let mut parameters = job.0.manifest.body.parameters(&job.1);
            parameters.push((crate::attempt::LANES.into(), "1".into()));
            known.push(("@parameters", serde_json::to_string(&parameters).map_err(|e| e.to_string())?));
        }
        known.push(("@bank-a", self.node.root.fingerprint()));
        known.extend([("@bank-b", self.members[0].1.fingerprint()), ("@bank-c", self.members[1].1.fingerprint())]);
        for (name, value) in known {
            text = text.replace(name, &value);
        }
        Ok(text)
    }

    /// A table or a model may only be the file that is there for it: the fuzzer reads no others. Bodies are read as the node reads them, arrays included.
    fn with_own_files(&self, path: &str, body: &str) -> String {
        let rows = self.home.join("rows.csv");
        let own = |path: &mut String| {
            if !path.is_empty() && Path::new(path) != rows {
                *path = "/nonexistent".into();
            }
        };
        let told = if path.contains("tables") {
            serde_json::from_str::<Table>(body).ok().and_then(|mut table| {
                own(&mut table.path);
                own(&mut table.test_path);
                serde_json::to_string(&table).ok()
            })
        } else if path.contains("models") {
            serde_json::from_str::<NewModel>(body).ok().and_then(|mut model| {
                model.files.iter_mut().for_each(own);
                serde_json::to_string(&model).ok()
            })
        } else {
            None
        };
        told.unwrap_or_else(|| body.to_owned())
    }

    /// A body, as whoever asks states it.
    fn signed(&self, who: &str, path: &str, body: &str) -> Option<String> {
        fn of<B: Purpose>(root: &dyn Root, body: &str) -> Option<String> {
            let statement = Statement::new(serde_json::from_str::<B>(body).ok()?, root).ok()?;
            serde_json::to_string(&statement).ok()
        }
        #[derive(Deserialize)]
        struct Shown {
            head: Head,
            proof: privity_audit::Proof,
        }
        let root = &**self.root(who)?;
        match path.rsplit('/').next()? {
            "manifest" => of::<Manifest>(root, body),
            "approval" => of::<Approval>(root, body),
            "attempt" => of::<Attempt>(root, body),
            "project" => of::<Project>(root, body),
            "revocation" => of::<Revocation>(root, body),
            "head" => {
                let Shown { head, proof } = serde_json::from_str(body).ok()?;
                serde_json::to_string(&cosign::Shown { head: Statement::new(head, root).ok()?, proof }).ok()
            }
            "start" => {
                let attempts: Vec<Attempt> = serde_json::from_str(body).ok()?;
                let sign = |attempt: Attempt| {
                    let signer = self.root(&attempt.organisation).unwrap_or(&self.node.root);
                    Statement::new(attempt, &**signer).ok()
                };
                let attempts = attempts.into_iter().map(sign).collect::<Option<Vec<_>>>()?;
                serde_json::to_string(&Start { attempts }).ok()
            }
            _ => None,
        }
    }
}

const SCHEMA: &str = "[[columns]]\nname = \"x\"\nkind = \"number\"\nmin = 0.0\nmax = 1.0\n\n[[columns]]\nname = \"y\"\nkind = \"label\"\nvalues = [\"no\", \"yes\"]\n";

/// The status and text of an answer, if it is one that may be.
async fn answer(router: Router, request: Request<Body>) -> Result<String, String> {
    let what = format!("{} {}", request.method(), request.uri());
    let asked = async {
        let response = TowerToHyperService::new(router).call(request).await.map_err(|e| e.to_string())?;
        let status = response.status();
        let body: Bytes = axum::body::to_bytes(response.into_body(), LONGEST).await.map_err(|e| e.to_string())?;
        Ok::<_, String>((status, String::from_utf8_lossy(&body).into_owned()))
    };
    let answered = tokio::time::timeout(PATIENCE, asked).await.map_err(|_| format!("{what}: no answer in time"))?;
    let (status, body) = answered.map_err(|e| format!("{what}: {e}"))?;
    match status.is_server_error() {
        false => Ok(format!("{status} {body}")),
        true => Err(format!("{what}: {status} {body}")),
    }
}
