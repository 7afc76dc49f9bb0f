//! Rules for any text file: no paths of one machine, no endless files, and the names of files in protocol folders.

use super::File;
use std::path::Path;

/// Lines of a source file.
const LONGEST: usize = 900;

/// Same file names in every protocol: who knows one finds his way in all.
const PROTOCOL_FILES: &[&str] =
    &["mod.rs", "arithmetic.rs", "boolean.rs", "convert.rs", "inject.rs", "input.rs", "verify.rs", "cost.rs"];

/// A protocol's variant with tags on its shares stands in a folder of it; what a dealer does for that has a file of its own.
const TAGGED: (&str, &str) = ("mac/", "deal.rs");

/// Folders that are no protocols: operations generic in the protocol, and local parts that protocols have in common.
const COMMON: &[&str] = &["ops", "masked", "polynomial", "correlations"];

pub fn check(file: &File, root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let lines = file.content.lines().count();
    if file.is_rust() && lines > LONGEST {
        found.push(format!("{}: {lines} lines; split what is longer than {LONGEST}", file.path));
    }
    for path in personal_paths(root).iter().filter(|p| file.content.contains(p.as_str())) {
        found.push(format!("{}: names {path}, a path of one machine; make it relative", file.path));
    }
    if let Some((protocol, name)) = file.path.strip_prefix("crates/mpc/src/").and_then(|rest| rest.split_once('/'))
        && !COMMON.contains(&protocol)
        && !PROTOCOL_FILES.contains(&name)
        && !name.strip_prefix(TAGGED.0).is_some_and(|name| name == TAGGED.1 || PROTOCOL_FILES.contains(&name))
    {
        found.push(format!("{}: a protocol's files are named {}", file.path, PROTOCOL_FILES.join(", ")));
    }
    found
}

/// Starts of paths that only one machine has; spelled in pieces so that this file passes.
fn personal_paths(root: &Path) -> Vec<String> {
    let homes = ["home", "Users", "root"].map(|top| format!("/{top}/"));
    let mut paths = homes.to_vec();
    // A short root, such as that of a container, would be found in innocent text.
    paths.extend(root.to_str().filter(|r| r.len() > 8).map(str::to_string));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, content: &str) -> usize {
        check(&File { path: path.into(), content: content.into() }, Path::new("/srv/checkouts/privity")).len()
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        assert_eq!(problems("docs/a.md", &format!("see /{}/me/x", "home")), 1);
        assert_eq!(problems(".ci/run", "cd /srv/checkouts/privity && make"), 1);
        assert_eq!(problems("docs/a.md", "see docs/b.md, /etc/hosts and <https://example.org/homework/>"), 0);
    }

    #[test]
    fn long_sources_are_found() {
        assert_eq!(problems("crates/nn/src/a.rs", &"\n".repeat(LONGEST + 1)), 1);
        assert_eq!(problems("crates/nn/src/a.rs", &"\n".repeat(LONGEST)), 0);
        assert_eq!(problems("data/a.csv", &"\n".repeat(LONGEST + 1)), 0);
    }

    #[test]
    fn protocols_use_the_same_file_names() {
        assert_eq!(problems("crates/mpc/src/rep4/helpers.rs", ""), 1);
        assert_eq!(problems("crates/mpc/src/rep4/verify/mod.rs", ""), 1);
        assert_eq!(problems("crates/mpc/src/rep4/verify.rs", ""), 0);
        assert_eq!(problems("crates/mpc/src/ops/sigmoid.rs", ""), 0);
        assert_eq!(problems("crates/mpc/src/party.rs", ""), 0);
    }
}
