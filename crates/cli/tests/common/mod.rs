//! A job of three owners and a helper in processes of their own.
#![allow(dead_code, reason = "each test file uses its part")]

use assert_cmd::cargo::cargo_bin;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

pub const NAMES: [&str; 4] = ["hospital-a", "hospital-b", "hospital-c", "helper"];
pub const EPOCHS: &str = "60";

/// A finished job, to be run again and again.
pub struct Site(pub tempfile::TempDir);

impl Site {
    /// A finished job of three owners and a helper, exact; with the model it led to.
    pub fn new() -> (Self, String) {
        let site = Site(tempfile::tempdir().expect("a scratch directory"));
        let keep = site.0.path().to_str().expect("a plain path");
        let job =
            ["demo", "breast-cancer", "--adversary", "active", "--exact", "--json", "--keep", keep, "--epochs", EPOCHS];
        let made = Command::new(cargo_bin("privity")).args(job).output().expect("the program starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let model = site.model();
        for name in NAMES {
            std::fs::remove_dir_all(site.out(name)).expect("results of the demonstration");
        }
        (site, model)
    }

    pub fn out(&self, name: &str) -> PathBuf {
        self.0.path().join(name).join("out")
    }

    /// The weights in the model file, and how it was trained.
    pub fn model_and_security(&self) -> (String, String) {
        let text = std::fs::read_to_string(self.out(NAMES[0]).join("model.json")).expect("the first hospital's model");
        let model: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert!(model["model"]["layers"].is_array(), "{text}");
        (model["model"]["layers"].to_string(), model["trained_under"].as_str().expect("text").to_owned())
    }

    pub fn model(&self) -> String {
        self.model_and_security().0
    }

    pub fn start(&self, name: &str, resume: bool) -> Child {
        self.start_job("job.toml", name, resume)
    }

    pub fn start_job(&self, job: &str, name: &str, resume: bool) -> Child {
        self.start_with(Command::new(cargo_bin("privity")), job, name, resume)
    }

    /// The same in a network namespace, if one is named.
    pub fn start_in(&self, network: Option<&str>, name: &str, resume: bool) -> Child {
        let program = match network {
            None => Command::new(cargo_bin("privity")),
            Some(network) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", network]).arg(cargo_bin("privity"));
                command
            }
        };
        self.start_with(program, "job.toml", name, resume)
    }

    /// Removes all results and checkpoints.
    pub fn clear(&self) {
        for name in NAMES {
            if self.out(name).exists() {
                std::fs::remove_dir_all(self.out(name)).expect("results");
            }
        }
    }

    fn start_with(&self, mut command: Command, job: &str, name: &str, resume: bool) -> Child {
        let own = self.0.path().join(name);
        command.arg("run").arg(self.0.path().join(job)).args(["--party", name, "--json", "--wait", "8"]);
        command.arg("--identity").arg(own.join("identity")).arg("--out").arg(own.join("out"));
        if own.join("data.csv").exists() {
            command.arg("--data").arg(own.join("data.csv"));
        }
        if resume {
            command.arg("--resume");
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    pub fn run_all(&self, resume: bool) -> Vec<Output> {
        let running: Vec<Child> = NAMES.iter().map(|name| self.start(name, resume)).collect();
        running.into_iter().map(|child| child.wait_with_output().expect("it ends")).collect()
    }

    /// Starts all, kills one once some epochs are done, and gives what the others said.
    pub fn killed(&self, victim: usize, after_epoch: usize, resume: bool) -> Vec<(Option<i32>, String)> {
        let mut children: Vec<Child> = NAMES.iter().map(|name| self.start(name, resume)).collect();
        let mut drains = Vec::new();
        let watched = (victim + 1) % NAMES.len();
        for (i, child) in children.iter_mut().enumerate().filter(|(i, _)| *i != watched) {
            let output = child.stdout.take().expect("piped");
            drains.push(std::thread::spawn(move || (i, BufReader::new(output).lines().count())));
        }
        let mut lines = BufReader::new(children[watched].stdout.take().expect("piped")).lines();
        let reached = format!("\"event\":\"epoch\",\"epoch\":{after_epoch},");
        assert!(lines.any(|line| line.expect("text").contains(&reached)), "epoch {after_epoch} is reached");
        drains.push(std::thread::spawn(move || (watched, lines.count())));
        children[victim].kill().expect("killed");
        children[victim].wait().expect("reaped");
        let ended = children.into_iter().enumerate().filter(|(i, _)| *i != victim).map(|(_, mut child)| {
            let mut message = String::new();
            child.stderr.take().expect("piped").read_to_string(&mut message).expect("text");
            (child.wait().expect("it ends").code(), message)
        });
        let ended = ended.collect();
        drains.into_iter().for_each(|drain| assert!(drain.join().is_ok()));
        ended
    }
}
