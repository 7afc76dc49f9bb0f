//! Files that no `mod` leads to: the compiler does not see them, so nobody else should.

use super::File;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};

/// Rust files that are not reachable from the root files of any target.
pub fn dead_files(files: &[File], roots: &[String]) -> Vec<String> {
    let known: BTreeMap<&str, &File> = files.iter().filter(|f| f.is_rust()).map(|f| (f.path.as_str(), f)).collect();
    let mut reached = BTreeSet::new();
    for root in roots {
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        reach(root, folder, &known, &mut reached);
    }
    let dead = known.keys().filter(|path| !reached.contains(**path));
    dead.map(|path| format!("{path}: no module leads here; declare it or delete it")).collect()
}

/// Follows the module declarations of a file whose submodules lie in `folder`.
fn reach(path: &str, folder: &str, known: &BTreeMap<&str, &File>, reached: &mut BTreeSet<String>) {
    let Some(file) = known.get(path) else { return };
    if !reached.insert(path.to_string()) {
        return;
    }
    let tokens = file.content.parse().unwrap_or_default();
    for module in declared(tokens, "") {
        let below = join(folder, &module);
        let in_folder = join(&below, "mod.rs");
        reach(&format!("{below}.rs"), &below, known, reached);
        reach(&in_folder, &below, known, reached);
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_string() } else { format!("{folder}/{name}") }
}

/// Modules declared as `mod name;`, with the names of inline modules around them.
fn declared(tokens: TokenStream, outer: &str) -> Vec<String> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut modules = Vec::new();
    for three in tokens.windows(3) {
        let [TokenTree::Ident(keyword), TokenTree::Ident(name), after] = three else { continue };
        if keyword != "mod" {
            continue;
        }
        let name = join(outer, &name.to_string());
        match after {
            TokenTree::Punct(mark) if mark.as_char() == ';' => modules.push(name),
            TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                modules.extend(declared(body.stream(), &name));
            }
            _ => {}
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_declaring_is_followed() {
        let tree = [
            ("crates/a/src/lib.rs", "mod one; pub mod two; mod inline { mod three; } // mod dead;"),
            ("crates/a/src/one.rs", "mod below;"),
            ("crates/a/src/one/below.rs", ""),
            ("crates/a/src/two/mod.rs", "mod beside;"),
            ("crates/a/src/two/beside.rs", ""),
            ("crates/a/src/inline/three.rs", ""),
            ("crates/a/src/dead.rs", "mod alive;"),
            ("crates/a/src/alive.rs", ""),
            ("crates/a/tests/all.rs", "mod common;"),
            ("crates/a/tests/common/mod.rs", ""),
        ];
        let files: Vec<File> = tree.map(|(path, content)| File { path: path.into(), content: content.into() }).into();
        let roots = ["crates/a/src/lib.rs".to_string(), "crates/a/tests/all.rs".to_string()];
        let dead = dead_files(&files, &roots);
        assert_eq!(dead.len(), 2, "{dead:?}");
        assert!(dead[0].starts_with("crates/a/src/alive.rs") && dead[1].starts_with("crates/a/src/dead.rs"));
    }
}
