//! Four organisations, each with its node in a namespace of its own.

use super::lan::{Lan, address, namespace};
use super::{NAMES, PROJECT, call};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// Whose directory is a small disk of its own.
pub const SMALL_DISK: usize = 1;
/// Room on it.
const ROOM: &str = "size=48m";

/// An organisation's node.
pub struct Node {
    program: PathBuf,
    namespace: String,
    home: PathBuf,
    /// Elsewhere than its directory, whose disk may be full.
    log: PathBuf,
    process: Option<Child>,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Where a job stands at a node.
pub struct Standing {
    pub state: String,
    pub reason: String,
    pub code: u64,
    pub attempt: u64,
}

impl Standing {
    pub fn is_end(&self) -> bool {
        ["done", "aborted", "denied", "expired"].contains(&self.state.as_str())
    }
    /// As the node's log has them, without what the submitter's node adds of the next attempt.
    pub fn words(&self) -> String {
        let reason = self.reason.split("; waits: ").next().unwrap_or_default();
        format!("{} (exit code {}): {reason}", self.state, self.code)
    }
}

impl Node {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(&self.program).args(args).env("PRIVITY_HOME", &self.home);
        command
    }
    /// What a command of this organisation prints.
    pub fn run(&self, args: &[&str]) -> Result<String, String> {
        super::output(&mut self.command(args))
    }
    pub fn start(&mut self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(&self.log).map_err(|e| format!("a log: {e}"))?;
        let node = self.command(&["node"]).stdin(Stdio::null()).stderr(log).spawn();
        self.process = Some(node.map_err(|e| format!("starting a node: {e}"))?);
        let started = Instant::now();
        while let Err(problem) = self.run(&["status"]) {
            if started.elapsed() > Duration::from_secs(30) {
                return Err(problem);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
    pub fn signal(&self, signal: &str) -> Result<(), String> {
        let process = self.process.as_ref().ok_or("a node that does not run")?;
        call("kill", &[&format!("-{signal}"), &process.id().to_string()]).map(drop)
    }
    /// As if its machine lost power.
    pub fn kill(&mut self) -> Result<(), String> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill().and_then(|()| process.wait()).map(drop).map_err(|e| format!("killing a node: {e}"))
    }
    /// In order.
    pub fn stop(&mut self) -> Result<(), String> {
        self.signal("TERM")?;
        let ended = self.process.take().map(|mut process| process.wait()).transpose();
        match ended.map_err(|e| format!("waiting for a node: {e}"))? {
            Some(status) if !status.success() => Err(format!("a node ended with {status}: {}", self.log.display())),
            _ => Ok(()),
        }
    }
    pub fn standing(&self, digest: &str) -> Result<Standing, String> {
        let shown = self.run(&["job", "show", digest, "--json"])?;
        let shown: Value = serde_json::from_str(&shown).map_err(|e| format!("what a node shows: {e}"))?;
        let text = |key: &str| shown["line"][key].as_str().unwrap_or_default().to_owned();
        let (code, attempt) = (shown["code"].as_u64(), shown["line"]["attempt"].as_u64());
        let (code, attempt) = (code.unwrap_or_default(), attempt.unwrap_or_default());
        Ok(Standing { state: text("state"), reason: text("reason"), code, attempt })
    }
    /// When an attempt was over at an organisation, at the latest, and in which words: what its log says.
    pub fn ended(&self, digest: &str, (organisation, number): (&str, u64)) -> Result<(SystemTime, String), String> {
        let told = self.run(&["job", "explain", digest, "--json"])?;
        let told: Value = serde_json::from_str(&told).map_err(|e| format!("what a node tells: {e}"))?;
        let prefix = format!("attempt {number} is ");
        let moments = told["moments"].as_array().into_iter().flatten();
        let own = moments.filter(|moment| moment["organisation"] == organisation);
        let mut end = own.filter_map(|moment| {
            let words = moment["what"].as_str()?.strip_prefix(&prefix)?.to_owned();
            // Logs have whole seconds.
            Some((SystemTime::UNIX_EPOCH + Duration::from_secs(1 + moment["at"].as_u64()?), words))
        });
        end.next_back().ok_or_else(|| format!("the log of {organisation} has no end of attempt {number}"))
    }
    fn ballast(&self) -> PathBuf {
        self.home.join("ballast")
    }
    /// Fills its disk.
    pub fn fill(&self) -> Result<(), String> {
        let mut ballast = File::create(self.ballast()).map_err(|e| format!("a ballast file: {e}"))?;
        let zeros = vec![0; 4096];
        // It ends where there is no room left.
        while ballast.write_all(&zeros).is_ok() {}
        Ok(())
    }
    /// Makes room again.
    pub fn free(&self) -> Result<(), String> {
        std::fs::remove_file(self.ballast()).map_err(|e| format!("a ballast file: {e}"))
    }
}

/// A disk in memory, taken away when this is dropped.
struct Disk(PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// The organisations, members of one project whose rules permit every job.
pub struct Site {
    folder: PathBuf,
    // In the order in which they end.
    pub nodes: Vec<Node>,
    _disk: Disk,
    pub lan: Lan,
}

impl Site {
    /// From nothing to tables that jobs may name.
    pub fn new(program: &Path, folder: &Path) -> Result<Site, String> {
        let lan = Lan::new()?;
        let demo = folder.join("demo");
        let made = ["demo", "breast-cancer", "--adversary", "active", "--epochs", "1", "--json", "--keep"];
        super::output(Command::new(program).args(made).arg(&demo))?;
        let home = |member: usize| folder.join(NAMES[member]);
        let small = home(SMALL_DISK);
        std::fs::create_dir_all(&small).map_err(|e| format!("a directory: {e}"))?;
        call("mount", &["-t", "tmpfs", "-o", ROOM, "privity", &small.display().to_string()])?;
        let disk = Disk(small);
        let nodes = (0..NAMES.len()).map(|member| Node {
            program: program.into(),
            namespace: namespace(member),
            home: home(member).join("node"),
            log: folder.join(format!("{}.log", NAMES[member])),
            process: None,
        });
        let mut site = Site { folder: folder.into(), nodes: nodes.collect(), _disk: disk, lan };
        for member in 0..NAMES.len() {
            site.found(member)?;
        }
        for member in 0..3 {
            let (data, schema) = (demo.join(NAMES[member]).join("data.csv"), demo.join("schema.toml"));
            let (data, schema) = (data.display().to_string(), schema.display().to_string());
            site.nodes[member].run(&["table", "add", "tumours", "--data", &data, "--schema", &schema])?;
        }
        Ok(site)
    }

    /// An organisation's directory, its membership, its node.
    fn found(&mut self, member: usize) -> Result<(), String> {
        std::fs::create_dir_all(self.folder.join(NAMES[member])).map_err(|e| format!("a directory: {e}"))?;
        let listen = format!("{}:7443", address(member));
        let mut init = vec!["init", "--org", NAMES[member], "--listen", &listen];
        if NAMES[member] == "helper" {
            init.push("--helper");
        }
        self.nodes[member].run(&init)?;
        let rule = "@id(\"all\")\n@reason(\"a test\")\npermit (principal, action == Action::\"run\", resource);\n";
        let policy = self.nodes[member].home.join("policy.cedar");
        std::fs::write(policy, rule).map_err(|e| format!("a policy: {e}"))?;
        if member > 0 {
            self.join(member)?;
        }
        self.nodes[member].start()
    }

    /// Invitation, code, words, confirmation.
    fn join(&self, member: usize) -> Result<(), String> {
        let (inviter, name) = (&self.nodes[0], NAMES[member]);
        let mut invite = vec!["invite", name, "--project", PROJECT];
        if name == "helper" {
            invite.push("--helper");
        }
        let printed = inviter.run(&invite)?;
        let code = printed.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
        let joining = self.nodes[member].command(&["join", code]).stdout(Stdio::piped()).spawn();
        let mut joining = joining.map_err(|e| format!("joining: {e}"))?;
        let mut said = BufReader::new(joining.stdout.take().ok_or("a command without output")?).lines();
        let words = said.next().and_then(Result::ok).unwrap_or_default();
        let mut confirm = vec!["confirm", name];
        confirm.extend(words.strip_prefix("words: ").unwrap_or_default().split(' '));
        let confirmed = inviter.run(&confirm);
        if confirmed.is_err() {
            let _ = joining.kill();
        }
        // What it says is read to its end.
        said.for_each(drop);
        let joined = joining.wait().map_err(|e| format!("joining: {e}"))?;
        confirmed?;
        if joined.success() { Ok(()) } else { Err(format!("{name} could not join")) }
    }

    /// Submits the job of the demonstration with so many epochs; its digest.
    pub fn submit(&self, epochs: i64) -> Result<String, String> {
        let wrong = |e: &dyn std::fmt::Display| format!("the job file: {e}");
        let text = std::fs::read_to_string(self.folder.join("demo/job.toml")).map_err(|e| wrong(&e))?;
        let mut job: toml::Table = text.parse().map_err(|e: toml::de::Error| wrong(&e))?;
        let participants = job.get_mut("participants").and_then(toml::Value::as_array_mut).into_iter().flatten();
        for participant in participants.filter_map(toml::Value::as_table_mut) {
            participant.remove("address");
            participant.remove("fingerprint");
        }
        let training = job.get_mut("training").and_then(toml::Value::as_table_mut).ok_or("a job without training")?;
        training.insert("epochs".into(), epochs.into());
        let file = self.folder.join("demo/submitted.toml");
        std::fs::write(&file, job.to_string()).map_err(|e| wrong(&e))?;
        let file = file.display().to_string();
        let mut args = vec!["job", "submit", &file, "--project", PROJECT, "--purpose", "a joint model"];
        let tables: Vec<String> = NAMES[..3].iter().map(|name| format!("{name}=tumours")).collect();
        tables.iter().for_each(|table| args.extend(["--table", table]));
        Ok(self.nodes[0].run(&args)?.trim().to_owned())
    }

    /// Stops all nodes in order; every log must be whole, and all must confirm each other.
    pub fn verify_logs(&mut self) -> Result<String, String> {
        // Members cosign each other's logs every ten seconds.
        std::thread::sleep(Duration::from_secs(12));
        let mut verify = vec!["audit".to_owned(), "verify".to_owned()];
        for (name, node) in NAMES.iter().zip(&mut self.nodes) {
            node.stop()?;
            let export = self.folder.join(format!("{name}.privityaudit")).display().to_string();
            node.run(&["audit", "export", "--log", &node.home.join("audit").display().to_string(), "--out", &export])?;
            verify.push(export);
        }
        self.nodes[0].run(&verify.iter().map(String::as_str).collect::<Vec<_>>())
    }
}
