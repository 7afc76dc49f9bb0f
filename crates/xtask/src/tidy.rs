//! `cargo xtask tidy`: rules of this repository that no compiler knows. Each problem names file, rule and remedy.

mod edges;
mod modules;
mod rust;
mod spec;
mod text;

use cargo_metadata::{Metadata, MetadataCommand};
use std::path::{Path, PathBuf};

/// What keeps tidy from looking.
#[derive(Debug, thiserror::Error)]
pub enum TidyError {
    /// `cargo metadata` failed.
    #[error("cannot read the workspace's manifests: {0}")]
    Metadata(#[from] cargo_metadata::Error),
    /// The tree cannot be walked.
    #[error("cannot walk the tree: {0}")]
    Walk(#[from] ignore::Error),
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// All problems of the tree at `root`, in the order of its files.
pub fn tidy(root: &Path) -> Result<Vec<String>, TidyError> {
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    let mut found = edges::check(&metadata);
    let files = read_tree(root)?;
    for file in &files {
        found.extend(text::check(file, root));
        if file.is_rust() {
            found.extend(rust::check(file));
        }
    }
    found.extend(spec::check(&files));
    found.extend(modules::dead_files(&files, &roots(&metadata, root)));
    Ok(found)
}

/// A text file of the tree.
pub struct File {
    /// Path from the root, with `/` between its parts.
    path: String,
    content: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
    /// The folder below `crates/` that holds the file; empty elsewhere.
    fn crate_name(&self) -> &str {
        self.path.strip_prefix("crates/").and_then(|rest| rest.split('/').next()).unwrap_or_default()
    }
}

/// Every text file that git would keep.
fn read_tree(root: &Path) -> Result<Vec<File>, TidyError> {
    let mut walk = ignore::WalkBuilder::new(root);
    let not_git = |entry: &ignore::DirEntry| entry.file_name() != ".git";
    walk.hidden(false).require_git(false).sort_by_file_path(Path::cmp).filter_entry(not_git);
    let mut files = Vec::new();
    for entry in walk.build() {
        let path = entry?.into_path();
        if path.is_file() {
            let bytes = std::fs::read(&path).map_err(|source| TidyError::Read { path: path.clone(), source })?;
            if let Ok(content) = String::from_utf8(bytes) {
                files.push(File { path: relative(&path, root), content });
            }
        }
    }
    Ok(files)
}

/// Root files of all targets of all crates.
fn roots(metadata: &Metadata, root: &Path) -> Vec<String> {
    let targets = metadata.packages.iter().flat_map(|p| &p.targets);
    targets.map(|t| relative(t.src_path.as_std_path(), root)).collect()
}

fn relative(path: &Path, root: &Path) -> String {
    let parts = path.strip_prefix(root).unwrap_or(path).iter().map(|part| part.to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_tree_is_tidy() {
        assert_eq!(tidy(&crate::root()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_git_ignores_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in [(".gitignore", "/target\n"), ("target/a.rs", "x"), (".ci/run", "y"), ("b.md", "z")] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let names: Vec<String> = read_tree(dir.path()).unwrap().into_iter().map(|f| f.path).collect();
        assert_eq!(names, [".ci/run", ".gitignore", "b.md"]);
    }
}
