//! Repository chores. `cargo xtask tidy` checks what the compiler does not: the allowed crate edges, where `unsafe` may
//! stand, file names in protocol folders, files that no module names, stubs.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Which workspace crates a crate may use.
const EDGES: &[(&str, &[&str])] = &[
    ("ring", &[]),
    ("prim", &["ring"]),
    ("circuit", &["ring"]),
    ("net", &["prim"]),
    ("mpc", &["ring", "prim", "circuit", "net"]),
    ("mpc-test", &["ring", "prim", "circuit", "net", "mpc"]),
    ("nn", &["ring", "mpc"]),
    ("data", &["ring", "mpc", "nn"]),
    ("job", &["ring", "prim", "net", "mpc", "nn", "data"]),
    ("bench", &["ring", "prim", "net", "mpc", "nn", "data", "job"]),
    ("cli", &["ring", "prim", "net", "mpc", "nn", "data", "job", "bench"]),
    ("xtask", &[]),
];
const UNSAFE: &[&str] = &["ring", "prim"];
const PROTOCOL_FILES: &[&str] =
    &["mod.rs", "arithmetic.rs", "boolean.rs", "convert.rs", "input.rs", "verify.rs", "cost.rs"];
const PROTOCOLS: &[&str] = &["plain", "count", "rep3"];
const LONGEST: usize = 900;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => {
            let found = tidy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").as_path());
            found.iter().for_each(|f| eprintln!("tidy: {f}"));
            if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        _ => {
            eprintln!("usage: cargo xtask tidy");
            ExitCode::from(2)
        }
    }
}

fn tidy(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for (name, allowed) in EDGES {
        let dir = root.join("crates").join(name);
        let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap_or_default();
        found.extend(forbidden_edges(name, &manifest, allowed));
        for file in sources(&dir) {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let at = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            found.extend(in_source(name, &at, &text));
            if !named_by_a_module(&file) {
                found.push(format!("{at}: no module names this file"));
            }
        }
    }
    for protocol in PROTOCOLS {
        for file in sources(&root.join("crates/mpc/src").join(protocol)) {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !PROTOCOL_FILES.contains(&name.as_str()) {
                found.push(format!("{}: protocol folders hold {PROTOCOL_FILES:?}", file.display()));
            }
        }
    }
    found
}

/// Dependencies on workspace crates, development ones apart, that are not allowed.
fn forbidden_edges(name: &str, manifest: &str, allowed: &[&str]) -> Vec<String> {
    let used = manifest.split("[dev-dependencies]").next().unwrap_or_default().lines();
    let used = used.filter_map(|l| l.strip_prefix("privity-")?.split(['.', ' ']).next());
    let bad = used.filter(|d| !allowed.contains(d));
    bad.map(|d| format!("crates/{name}: may not depend on {d}")).collect()
}

fn in_source(name: &str, at: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let root = at.ends_with("src/lib.rs") || at.ends_with("src/main.rs");
    if !UNSAFE.contains(&name) {
        if root && !text.contains("#![forbid(unsafe_code)]") && text.lines().any(|l| l.contains("mod ")) {
            found.push(format!("{at}: forbids no unsafe code"));
        }
        if name != "xtask" && text.lines().any(|l| l.contains("unsafe {") || l.contains("unsafe fn")) {
            found.push(format!("{at}: only ring and prim may say unsafe"));
        }
    }
    let stubs = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[", "ignore")];
    for stub in stubs.iter().filter(|s| text.contains(**s)) {
        found.push(format!("{at}: {stub} has no place on main"));
    }
    let lines = text.lines().count();
    if lines > LONGEST {
        found.push(format!("{at}: {lines} lines; split files beyond {LONGEST}"));
    }
    found
}

/// All Rust files below a directory.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Whether the file is a root, or its parent module declares it.
fn named_by_a_module(file: &Path) -> bool {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let parent = file.parent().unwrap_or(Path::new(""));
    let folder = parent.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if ["lib", "main", "build"].contains(&stem.as_str()) || ["tests", "benches", "examples"].contains(&folder.as_str())
    {
        return true;
    }
    if file.components().any(|part| part.as_os_str() == "tests") {
        return true; // The compiler warns of unused helpers of tests.
    }
    let (module, holder) = if stem == "mod" { (folder, parent.parent().unwrap_or(parent)) } else { (stem, parent) };
    let above = holder.with_extension("rs");
    let owners = [holder.join("mod.rs"), holder.join("lib.rs"), holder.join("main.rs"), above];
    owners.iter().filter_map(|o| fs::read_to_string(o).ok()).any(|t| t.contains(&format!("mod {module};")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        assert_eq!(tidy(&root), Vec::<String>::new());
    }

    #[test]
    fn bad_edges_and_stubs_are_found() {
        let manifest =
            "[dependencies]\nprivity-mpc.workspace = true\n[dev-dependencies]\nprivity-job.workspace = true\n";
        assert_eq!(forbidden_edges("net", manifest, &["prim"]), ["crates/net: may not depend on mpc"]);
        assert_eq!(in_source("nn", "crates/nn/src/x.rs", concat!("todo", "!()")).len(), 1);
        assert_eq!(in_source("nn", "crates/nn/src/x.rs", "fn f() { unsafe { g() } }").len(), 1);
        assert!(in_source("ring", "crates/ring/src/x.rs", "fn f() { unsafe { g() } }").is_empty());
    }
}
