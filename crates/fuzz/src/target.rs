//! The parsers under test.

use privity_api::{Approval, Manifest, Statement};
use privity_job::file::SchemaSource;
use privity_job::{Job, JobFile};
use std::path::Path;

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
