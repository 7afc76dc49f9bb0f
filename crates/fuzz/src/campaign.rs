//! A run of one target: seeds first, then mutations, until time or tries are used up.

use crate::mutate::mutate;
use crate::target::Target;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What ends a campaign early.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The parser panicked.
    #[error("panicked; the input is kept in {0}")]
    Panicked(PathBuf),
    /// There is nothing to mutate.
    #[error("no seeds in {0}; add at least one valid input")]
    NoSeeds(PathBuf),
    /// Files cannot be read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Number of inputs tried within `time`, at most `tries` mutations.
pub fn run(target: &Target, folder: &Path, seed: u64, time: Duration, tries: u64) -> Result<u64, Problem> {
    let seeds = read_seeds(&folder.join("corpus").join(target.name))?;
    let artifacts = folder.join("artifacts").join(target.name);
    for input in &seeds {
        attempt(target, input, &artifacts)?;
    }
    let (mut rng, start, mut tried) = (ChaCha20Rng::seed_from_u64(seed), Instant::now(), 0);
    while tried < tries && start.elapsed() < time {
        attempt(target, &mutate(&mut rng, &seeds), &artifacts)?;
        tried += 1;
    }
    Ok(seeds.len() as u64 + tried)
}

fn attempt(target: &Target, input: &[u8], artifacts: &Path) -> Result<(), Problem> {
    if catch_unwind(AssertUnwindSafe(|| (target.entry)(input))).is_ok() {
        return Ok(());
    }
    let path = artifacts.join("panicked");
    let write = || std::fs::create_dir_all(artifacts).and_then(|()| std::fs::write(&path, input));
    write().map_err(|source| Problem::Io { path: path.clone(), source })?;
    Err(Problem::Panicked(path))
}

/// Seeds in the order of their names, so that runs repeat.
fn read_seeds(folder: &Path) -> Result<Vec<Vec<u8>>, Problem> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |source| Problem::Io { path, source }
    };
    let entries = std::fs::read_dir(folder).map_err(at(folder))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort_unstable();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|p| std::fs::read(p).map_err(at(p))).collect::<Result<_, _>>()?;
    if seeds.is_empty() { Err(Problem::NoSeeds(folder.to_path_buf())) } else { Ok(seeds) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::ALL;

    #[test]
    fn parsers_survive_a_short_campaign() {
        for target in ALL {
            let tried = run(target, &crate::folder(), 1, Duration::from_secs(3), 20_000).unwrap();
            assert!(tried > 100, "{}: only {tried} inputs in the time", target.name);
        }
    }

    #[test]
    fn a_panic_is_reported_with_its_input() {
        let dir = tempfile::tempdir().unwrap();
        let corpus = dir.path().join("corpus/fragile");
        std::fs::create_dir_all(&corpus).unwrap();
        let fragile = Target { name: "fragile", entry: |bytes| assert!(bytes.starts_with(b"ok"), "not ok") };
        let problem = run(&fragile, dir.path(), 1, Duration::from_secs(9), 10_000).unwrap_err();
        assert!(matches!(problem, Problem::NoSeeds(_)));
        std::fs::write(corpus.join("seed"), b"ok then").unwrap();
        let problem = run(&fragile, dir.path(), 1, Duration::from_secs(9), 10_000).unwrap_err();
        let Problem::Panicked(path) = problem else { panic!("{problem}") };
        assert!(!std::fs::read(path).unwrap().starts_with(b"ok"));
    }
}
