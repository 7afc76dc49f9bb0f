//! What tests of nodes share.
#![allow(dead_code, reason = "each test file uses its part")]

use privity_api::{Dataset, Manifest, Member, Release};
use privity_job::{Job, JobFile};
use privity_node::now;
use std::path::Path;

/// A contract of tables.
pub const SCHEMA: &str = "[[columns]]\nname = \"x\"\nkind = \"number\"\nmin = 0.0\nmax = 1.0\n\n[[columns]]\nname = \"y\"\nkind = \"label\"\nvalues = [\"no\", \"yes\"]\n";

/// A free port, below those that systems give to outgoing connections.
pub fn port() -> u16 {
    use std::hash::BuildHasher;
    let random = std::collections::hash_map::RandomState::new();
    let mut candidates = (0..200u32).map(|attempt| 10_000 + (random.hash_one(attempt) % 22_000) as u16);
    candidates.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// A job called so of all these, the first of which submits it: rows of [`SCHEMA`] from everybody, and all learn the model.
pub fn manifest(name: &str, members: &[Member]) -> Manifest {
    let participant = |m: &Member| {
        let (name, address, root) = (&m.organisation, &m.address, &m.root);
        format!("[[participants]]\nname = \"{name}\"\naddress = \"{address}\"\nfingerprint = \"{root}\"\nrows = 40\n\n")
    };
    let participants: String = members.iter().map(participant).collect();
    let schema = SCHEMA.replace("[[columns]]", "[[data.schema.columns]]");
    let text = format!(
        "name = \"{name}\"\nprotocol = \"rep3\"\n\n{participants}{schema}\n[model]\nkind = \"logistic\"\n\n[training]\nepochs = 2\nbatch = 8\nlanes = 2\n"
    );
    let file = JobFile::from_toml(&text).expect("a job file");
    let everybody: Vec<String> = members.iter().map(|m| m.organisation.clone()).collect();
    let table = |organisation: &String| Dataset { organisation: organisation.clone(), table: "payments".into() };
    Manifest {
        version: privity_api::manifest::VERSION,
        id: "0".repeat(32),
        project: "fraud".into(),
        submitter: everybody[0].clone(),
        person: "ann".into(),
        purpose: "a joint model".into(),
        created: now(),
        expires: now() + 3600,
        attempts: 3,
        build: "5d".repeat(32),
        datasets: everybody.iter().map(table).collect(),
        models: Vec::new(),
        release: Release { recipients: everybody, min_cohort: 10, until: now() + 7200, epsilon_milli: 0 },
        job: Job::new(file, Path::new("/nonexistent")).expect("a job").file().clone(),
    }
}
