//! What people's pages and tools ask of a node that has a thousand jobs: 500 requests a second over 32 connections, from the same process.
//! Each page is asked for once before: what a job costs is worked out then, and remembered. `cargo bench -p privity-node`; seconds and requests a second may be given: `-- 60 500`.

use privity_api::{Manifest, Member, Project, Purpose, Statement};
use privity_keys::Root;
use privity_node::store::Store;
use privity_node::{Config, daemon, home, now};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[path = "../tests/common/mod.rs"]
mod common;

const JOBS: usize = 1000;
const CONNECTIONS: u32 = 32;

/// A project of three, whose other members do not answer, and its founder's root.
fn project(folder: &Path, own: Member) -> (Arc<dyn Root>, Project) {
    let root = privity_keys::create("file:root", &folder.join("bank-a"), "bank-a").expect("a root");
    let member = |name: &str, root: &str| Member {
        organisation: name.into(),
        operator: name.into(),
        root: root.into(),
        address: format!("127.0.0.1:{}", common::port()),
        helper: false,
    };
    let members = vec![member("bank-a", &root.fingerprint()), own, member("bank-c", &"cc".repeat(32))];
    let project = Project { name: "fraud".into(), founder: "bank-a".into(), version: 1, members };
    (root, project)
}

fn sign<B: Purpose>(root: &dyn Root, body: B) -> Statement<B> {
    Statement::new(body, root).expect("a signature")
}

/// A hundred names, ten jobs of each.
fn job(project: &Project, number: usize) -> Manifest {
    let name = format!("fraud-{}", number % 100);
    Manifest { id: format!("{number:032x}"), ..common::manifest(&name, &project.members) }
}

/// A node with its jobs in a directory; the paths that are asked for.
async fn prepare(folder: &Path) -> (Config, Vec<String>) {
    let home = folder.join("bank-b");
    let text = format!(
        "organisation = \"bank-b\"\nlisten = \"127.0.0.1:{}\"\nadmin = \"127.0.0.1:{}\"\n",
        common::port(),
        common::port()
    );
    let config = Config::parse(&text, |_| None).expect("a configuration");
    let root = daemon::init(&home, &config).expect("a node's directory");
    let own = Member {
        organisation: "bank-b".into(),
        operator: "bank-b".into(),
        root,
        address: config.address.clone(),
        helper: false,
    };
    let (founder, project) = project(folder, own);
    let store = Store::open(&home).await.expect("a database");
    store.put_project(&founder.fingerprint(), &sign(&*founder, project.clone())).await.expect("it is kept");
    let mut paths = Vec::new();
    for number in 0..JOBS {
        let manifest = job(&project, number);
        let digest = manifest.digest().expect("a digest");
        store.add_job(&digest, &sign(&*founder, manifest), 100, now()).await.expect("it is kept");
        if number % 50 == 0 {
            paths.push(format!("jobs/{digest}"));
            paths.push(format!("jobs/{digest}/events"));
        }
    }
    // What pages ask again and again, beside what they ask once.
    for path in ["jobs?limit=50", "status", "projects", "policy", "tables", "audit"] {
        paths.extend(std::iter::repeat_n(path.to_owned(), 10));
    }
    (config, paths)
}

/// One connection asks one path after the other, at its times.
async fn ask(
    (address, token): (String, String),
    paths: Arc<Vec<String>>,
    (number, every, until): (u32, Duration, Instant),
    took: Arc<Mutex<Vec<Duration>>>,
    most: usize,
) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut due = tokio::time::Instant::now() + every * number / CONNECTIONS;
    let begin = number as usize * 7;
    let mut next = begin;
    while due.into_std() < until && next - begin < most {
        tokio::time::sleep_until(due).await;
        let path = &paths[next % paths.len()];
        let answer = client.get(format!("http://{address}/api/v1/{path}")).bearer_auth(&token).send().await;
        let answer = answer.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.bytes().await.expect("a body");
        // From when it was due: a queue that grows shows.
        took.lock().expect("no panic").push(due.elapsed());
        (due, next) = (due + every, next + 1);
    }
}

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let (seconds, rate) = (numbers.first().copied().unwrap_or(60), numbers.get(1).copied().unwrap_or(500) as u32);
    privity_net::control::provide();
    let folder = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (config, paths) = prepare(folder.path()).await;
        let home = folder.path().join("bank-b");
        let token = std::fs::read_to_string(home::token(&home)).expect("a token").trim().to_owned();
        let running = daemon::start(&home).await.expect("a node");
        let (paths, took) = (Arc::new(paths), Arc::new(Mutex::new(Vec::new())));
        let (first, began) = (Instant::now() + Duration::from_secs(60), Instant::now());
        let to = (config.admin.clone(), token.clone());
        ask(to, paths.clone(), (0, Duration::ZERO, first), Arc::default(), paths.len()).await;
        println!("each of {} pages once, one after the other: {:.2} s", paths.len(), began.elapsed().as_secs_f64());
        let until = Instant::now() + Duration::from_secs(seconds);
        let every = Duration::from_secs(u64::from(CONNECTIONS)) / rate;
        let asking = (0..CONNECTIONS).map(|number| {
            let to = (config.admin.clone(), token.clone());
            tokio::spawn(ask(to, paths.clone(), (number, every, until), took.clone(), usize::MAX))
        });
        let asking: Vec<_> = asking.collect();
        for one in asking {
            one.await.expect("it asks until its time is over");
        }
        let mut took = std::mem::take(&mut *took.lock().expect("no panic"));
        took.sort_unstable();
        let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
        println!(
            "{JOBS} jobs, {} requests in {seconds} s ({:.0} a second): half within {:.2} ms, 99 of 100 within {:.2} ms, all within {:.2} ms",
            took.len(),
            took.len() as f64 / seconds as f64,
            at(0.5),
            at(0.99),
            at(1.0)
        );
        running.drain().await;
    });
}
