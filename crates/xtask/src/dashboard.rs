//! Journeys through the dashboard in a browser, at four nodes that run.

use crate::cargo;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Nodes that end with this.
struct Site(Child);

impl Drop for Site {
    fn drop(&mut self) {
        // It stops its nodes when it is interrupted.
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// Builds the program unless there is one, starts four nodes and clicks through their dashboards. Needs `node`, `npm` and Chromium.
pub fn journeys(root: &Path, chromium: &Path, program: Option<PathBuf>) -> Result<(), String> {
    let said = |action: &'static str| move |e: std::io::Error| format!("{action}: {e}");
    if program.is_none() {
        cargo::build(root, "privity")?;
    }
    let own = std::env::current_exe().map_err(said("finding this program"))?;
    let built = own.parent().ok_or("this program lies nowhere")?;
    let work: PathBuf = built.join("dashboard");
    if work.join("site").exists() {
        std::fs::remove_dir_all(work.join("site")).map_err(said("removing the last site"))?;
    }
    std::fs::create_dir_all(&work).map_err(said("making a directory"))?;
    for name in ["package.json", "hands.mjs", "journeys.mjs", "organisations.mjs", "provider.mjs"] {
        std::fs::copy(root.join("crates/xtask/dashboard").join(name), work.join(name))
            .map_err(said("copying a file"))?;
    }
    cargo::run(Command::new("npm").args(["install", "--no-audit", "--no-fund", "--silent"]).current_dir(&work))?;
    let program = match program {
        // The journeys run in another directory.
        Some(program) => program.canonicalize().map_err(said("finding the program"))?,
        None => built.join("privity"),
    };
    let site = work.join("site");
    let _nodes = start(&program, &site)?;
    let mut node = Command::new("node");
    node.arg("journeys.mjs").current_dir(&work).env("PRIVITY", &program).env("SITE", &site);
    let shots = work.join("shots");
    cargo::run(node.env("CHROMIUM", chromium).env("SHOTS", &shots))?;
    println!("pictures are in {}", shots.display());
    Ok(())
}

fn start(program: &Path, site: &Path) -> Result<Site, String> {
    let mut up = Command::new(program);
    up.args(["up", "--local", "4", "--dir"]).arg(site).stdout(Stdio::piped());
    let mut child = Site(up.spawn().map_err(|e| format!("starting nodes: {e}"))?);
    let out = child.0.stdout.take().ok_or("nodes without output")?;
    let mut lines = BufReader::new(out).lines().map_while(Result::ok);
    match lines.any(|line| line.contains("Ctrl-C")) {
        true => Ok(child),
        false => Err("the nodes did not start".into()),
    }
}
