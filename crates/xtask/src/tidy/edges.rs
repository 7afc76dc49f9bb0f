//! Which crate of the workspace may use which. Arrows point downwards only; docs/ARCHITECTURE.md has the reasons.

use cargo_metadata::camino::Utf8Path;
use cargo_metadata::{DependencyKind, Metadata};

/// Folder of a crate, and what it may depend on.
const EDGES: &[(&str, &[&str])] = &[
    ("ring", &[]),
    ("prim", &["ring"]),
    ("circuit", &["ring"]),
    ("net", &["prim"]),
    ("shamir", &["ring", "prim"]),
    ("gc", &["ring", "prim", "circuit"]),
    ("ot", &["ring", "prim"]),
    ("yao", &["prim", "circuit", "net", "gc", "ot"]),
    ("mpc", &["ring", "prim", "circuit", "net", "ot", "gc"]),
    ("mpc-test", &["ring", "prim", "circuit", "net", "mpc"]),
    ("nn", &["ring", "mpc"]),
    ("data", &["ring", "mpc", "nn"]),
    ("job", &["ring", "prim", "shamir", "net", "mpc", "nn", "data"]),
    ("api", &["net", "job"]),
    ("audit", &["job", "api"]),
    ("keys", &["net", "api"]),
    ("policy", &["nn", "data", "job", "api"]),
    ("node", &["net", "data", "job", "api", "audit", "keys", "policy"]),
    ("bench", &["ring", "prim", "net", "mpc", "nn", "data", "job"]),
    (
        "cli",
        &[
            "ring", "prim", "net", "mpc", "nn", "data", "job", "bench", "shamir", "circuit", "gc", "yao", "api",
            "audit", "policy", "node",
        ],
    ),
    ("fuzz", &["circuit", "net", "data", "job", "shamir", "ot", "api", "audit", "policy", "node"]),
    ("xtask", &[]),
];

/// Crates that only tests use.
const DEVELOPMENT: &[&str] = &["mpc-test"];

pub fn check(metadata: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    for package in &metadata.packages {
        let name = package.manifest_path.parent().and_then(Utf8Path::file_name).unwrap_or_default();
        for dependency in &package.dependencies {
            if let Some(used) = dependency.path.as_deref().and_then(Utf8Path::file_name) {
                found.extend(edge(name, used, dependency.kind != DependencyKind::Development));
            }
        }
    }
    found
}

/// What is wrong with one edge. Tests of a crate may also use what lies above it: cargo forbids no cycle there, and a
/// protocol is tested over the links and keys it is given.
fn edge(from: &str, to: &str, normal: bool) -> Option<String> {
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == from) else {
        return Some(format!(
            "crates/{from}: unknown to the map of crates; add it to xtask's edges and docs/ARCHITECTURE.md"
        ));
    };
    let known = EDGES.iter().any(|(name, _)| *name == to);
    let fine = if normal { allowed.contains(&to) && !DEVELOPMENT.contains(&to) } else { known };
    (!fine).then(|| {
        format!("crates/{from}: may not depend on {to}; arrows point downwards only, see docs/ARCHITECTURE.md")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_downwards() {
        assert_eq!(edge("mpc", "net", true), None);
        assert_eq!(edge("nn", "net", false), None, "tests need links");
        assert_eq!(edge("nn", "mpc-test", false), None);
        for (from, to) in [("net", "mpc"), ("ring", "prim"), ("nn", "net"), ("job", "mpc-test"), ("unheard-of", "ring")]
        {
            assert!(edge(from, to, true).is_some(), "{from} -> {to}");
        }
    }

    #[test]
    fn the_map_itself_has_no_cycle() {
        for (i, (name, allowed)) in EDGES.iter().enumerate() {
            let below: Vec<&str> = EDGES[..i].iter().map(|(name, _)| *name).collect();
            assert!(allowed.iter().all(|a| below.contains(a)), "{name} uses what is listed after it");
        }
    }
}
