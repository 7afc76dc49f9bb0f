//! Chores that are runs of cargo.

use std::path::Path;
use std::process::Command;

/// Tests that do more when this variable is set, and how much more is up to each.
const HEAVY: &str = "PRIVITY_HEAVY";

/// All tests in the release profile, with the long runs switched on.
pub fn heavy(root: &Path) -> Result<(), String> {
    run(cargo(root).args(["test", "--release", "--workspace"]).env(HEAVY, "1"))
}

/// The fuzzing crate, for so many seconds a target.
pub fn fuzz(root: &Path, seconds: u64) -> Result<(), String> {
    run(cargo(root).args(["run", "--release", "--package", "privity-fuzz", "--", "--seconds", &seconds.to_string()]))
}

/// The simulation of nodes, with so many faults of a seed, and so many jobs.
pub fn faults(root: &Path, [faults, seed, jobs]: [u64; 3]) -> Result<(), String> {
    let mut command = cargo(root);
    command.args(["test", "--workspace", "--lib", "--", "--nocapture", "--test-threads=1", "sim::"]);
    let set = [("PRIVITY_FAULTS", faults), ("PRIVITY_SEED", seed), ("PRIVITY_JOBS", jobs)];
    run(command.envs(set.map(|(key, value)| (key, value.to_string()))))
}

/// A program of the workspace.
pub fn build(root: &Path, package: &str) -> Result<(), String> {
    run(cargo(root).args(["build", "--package", package]))
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    let status = command.status().map_err(|e| format!("cannot start {shown}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown} failed: {status}")) }
}
