//! The parsers under test.

use privity_api::{Approval, Manifest, Statement};
use privity_job::file::SchemaSource;
use privity_job::{Job, JobFile};
use privity_node::fuzz::{Interface, Site};
use std::path::Path;
use tempfile::TempDir;

/// A parser of untrusted bytes.
pub struct Target {
    /// Folder of its seeds.
    pub name: &'static str,
    /// Must return for any bytes.
    pub entry: fn(&[u8]),
}

/// Every entry point of the workspace.
pub const ALL: &[Target] = &[
    Target { name: "header", entry: privity_net::frame::fuzz_header },
    Target { name: "relay", entry: privity_net::relay::fuzz },
    Target { name: "csv", entry: csv },
    Target { name: "parquet", entry: parquet },
    Target { name: "contract", entry: contract },
    Target { name: "job", entry: job },
    Target { name: "checkpoint", entry: privity_job::checkpoint::fuzz },
    Target { name: "circuit", entry: privity_circuit::bristol::fuzz },
    Target { name: "transfer", entry: privity_ot::fuzz },
    Target { name: "share", entry: privity_shamir::file::fuzz },
    Target { name: "key-share", entry: privity_shamir::vss::fuzz },
    Target { name: "audit", entry: privity_audit::fuzz },
    Target { name: "manifest", entry: manifest },
    Target { name: "statement", entry: statement },
    Target { name: "policy", entry: policy },
    Target { name: "node-peer", entry: |bytes| node(Interface::Peer, bytes) },
    Target { name: "node-admin", entry: |bytes| node(Interface::Admin, bytes) },
];

fn csv(bytes: &[u8]) {
    privity_data::fuzz::fuzz_csv(bytes);
}

fn parquet(bytes: &[u8]) {
    privity_data::fuzz::fuzz_parquet(bytes);
}

fn contract(bytes: &[u8]) {
    privity_data::fuzz::fuzz_contract(bytes);
}

fn job(bytes: &[u8]) {
    let Some(file) = std::str::from_utf8(bytes).ok().and_then(|text| JobFile::from_toml(text).ok()) else { return };
    // Mutated paths must not make the fuzzer read files.
    let closed = matches!(file.data.schema, SchemaSource::Inline(_))
        && file.participants.iter().all(|p| p.certificate.is_none());
    if closed && let Ok(job) = Job::new(file, Path::new("")) {
        let _ = job.digest();
    }
}

/// Within the time of the manifest's seed, so that what comes after its times is reached.
fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::from_json(bytes) else { return };
    let _ = manifest.digest();
    if let Ok(job) = manifest.check(1_780_000_000) {
        let _ = manifest.parameters(&job);
    }
}

fn statement(bytes: &[u8]) {
    if let Ok(approval) = serde_json::from_slice::<Statement<Approval>>(bytes) {
        let _ = approval.verify("bank-a", &"1".repeat(64));
    }
    if let Ok(manifest) = serde_json::from_slice::<Statement<Manifest>>(bytes) {
        let _ = manifest.verify("bank-a", &"1".repeat(64));
    }
}

fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = privity_policy::Budget::from_toml(text);
    if let Ok(policy) = privity_policy::Policy::parse(text) {
        assert!(!policy.rules().is_empty());
    }
}

thread_local! {
    /// A node with both of its interfaces, and its directory, which goes with it.
    static NODE: (Site, TempDir) = {
        let folder = tempfile::tempdir().expect("a directory");
        (Site::new(folder.path()), folder)
    };
}

/// A request of other nodes, or of people and tools, at a real node: it answers in time, and never with a fault of its own.
fn node(interface: Interface, bytes: &[u8]) {
    NODE.with(|(site, _)| drop(site.ask(interface, bytes)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// What the seeds of a target ask, without what stands behind `?`.
    fn asked(target: &str) -> Vec<(String, String)> {
        let folder = crate::folder().join("corpus").join(target);
        let first = |path: std::path::PathBuf| -> (String, String) {
            let text = std::fs::read_to_string(path).unwrap();
            let line: Vec<&str> = text.lines().next().unwrap().split(' ').collect();
            (line[1].to_owned(), line[2].split('?').next().unwrap().to_owned())
        };
        std::fs::read_dir(folder).unwrap().map(|entry| first(entry.unwrap().path())).collect()
    }

    #[test]
    fn every_route_of_a_node_has_a_seed_that_is_understood() {
        let document =
            NODE.with(|(site, _)| site.ask(Interface::Admin, b"tool GET /api/v1/openapi.json\nhost: localhost"));
        let document: serde_json::Value = serde_json::from_str(&document[document.find('{').unwrap()..]).unwrap();
        let seeds = asked("node-admin");
        for (path, methods) in document["paths"].as_object().unwrap() {
            let parts: Vec<&str> = path.split('/').collect();
            let fits = |asked: &str| {
                let asked: Vec<&str> = asked.split('/').collect();
                asked.len() == parts.len()
                    && parts.iter().zip(&asked).all(|(part, word)| part.starts_with('{') || part == word)
            };
            for method in methods.as_object().unwrap().keys() {
                let there = seeds.iter().any(|(m, p)| m.eq_ignore_ascii_case(method) && fits(p));
                assert!(there, "add a seed for {method} {path} to fuzz/corpus/node-admin");
            }
        }
        let source = include_str!("../../node/src/serve.rs");
        let (_, answers) = source.split_once("async fn answer(").unwrap();
        let known: BTreeSet<&str> = (answers.lines())
            .filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" =>"))
            .map(|(name, _)| name)
            .collect();
        assert!(known.len() >= 15, "{known:?}");
        let seeds = asked("node-peer");
        for name in known {
            let path = format!("/peer/v1/{name}");
            let there = seeds.iter().any(|(_, asked)| asked.trim_end_matches("/signed") == path);
            assert!(there, "add a seed for {path} to fuzz/corpus/node-peer");
        }
        // In the order of their names they lead a job from its manifest to an attempt, and people from their names to their sessions.
        for (target, interface) in [("node-peer", Interface::Peer), ("node-admin", Interface::Admin)] {
            let home = tempfile::tempdir().unwrap();
            let (site, folder) = (Site::new(home.path()), crate::folder().join("corpus").join(target));
            let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            for path in paths {
                let bytes = std::fs::read(&path).unwrap();
                let answer = site.ask(interface, &bytes);
                let refused = path.file_name().unwrap().to_str().unwrap().ends_with("refused");
                assert_eq!(!answer.starts_with("200"), refused, "{}: {answer}", path.display());
            }
        }
    }
}
