//! `privity up --local`: organisations on this machine, each with its node, for trying what several machines do.

use crate::error::CliError;
use crate::scenario::{Adversary, Case, Choice, Scenario};
use clap::Args;
use privity_data::csv::save_csv;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Start organisations on this machine, each with its node, members of one project, with tables of breast cancer records
#[derive(Args)]
pub struct UpArgs {
    /// How many: 3, or 4 with a helper
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(3..=4))]
    local: u8,
    /// Where their directories go
    #[arg(long, default_value = "privity-local")]
    dir: PathBuf,
    /// Stop when everything is ready
    #[arg(long)]
    once: bool,
}

const NAMES: [&str; 4] = ["hospital-a", "hospital-b", "hospital-c", "helper"];
const PROJECT: &str = "tumours";

/// Nodes that end with this.
struct Nodes(Vec<Child>);

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in &mut self.0 {
            let _ = Command::new("kill").arg(node.id().to_string()).status();
        }
        for node in &mut self.0 {
            let _ = node.wait();
        }
    }
}

/// A port of this machine that is free now.
fn free(from: u16) -> Result<u16, CliError> {
    let found = (from..from + 200).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    found.ok_or(CliError::Choice("no port between 7443 and 8000 is free on 127.0.0.1"))
}

fn privity(program: &Path, home: &Path, args: &[&str]) -> Result<String, CliError> {
    let output = Command::new(program).args(args).env("PRIVITY_HOME", home).output();
    let output = output.map_err(CliError::system("starting this program"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(CliError::Node(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

fn start(program: &Path, home: &Path) -> Result<Child, CliError> {
    let failed = CliError::system("starting a node");
    let log = std::fs::File::options().create(true).append(true).open(home.join("node.log")).map_err(&failed)?;
    let node = Command::new(program).arg("node").env("PRIVITY_HOME", home).stdin(Stdio::null()).stderr(log).spawn();
    let node = node.map_err(&failed)?;
    let started = Instant::now();
    while let Err(error) = privity(program, home, &["status"]) {
        if started.elapsed() > Duration::from_secs(20) {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(node)
}

/// Runs the command.
pub fn run(args: &UpArgs, program: &Path) -> Result<(), CliError> {
    let names = &NAMES[..usize::from(args.local)];
    let home = |name: &str| args.dir.join(name);
    let fresh = !args.dir.exists();
    let waiting = tokio::runtime::Runtime::new().map_err(CliError::system("waiting"))?;
    let orders = waiting.block_on(async { Orders::new() }).map_err(CliError::system("waiting"))?;
    if fresh {
        prepare(args, program, names)?;
    }
    let mut nodes = Nodes(Vec::new());
    nodes.0.push(start(program, &home(names[0]))?);
    for name in &names[1..] {
        if fresh {
            join(program, &home(names[0]), &home(name), name)?;
        }
        nodes.0.push(start(program, &home(name))?);
    }
    if fresh {
        for name in names.iter().filter(|name| **name != "helper") {
            let (data, schema) = (home(name).join("tumours.csv"), args.dir.join("schema.toml"));
            let (data, schema) = (data.display().to_string(), schema.display().to_string());
            privity(program, &home(name), &["table", "add", "tumours", "--data", &data, "--schema", &schema])?;
        }
    }
    explain(args, names);
    if args.once {
        return Ok(());
    }
    println!("Ctrl-C stops all of them.");
    waiting.block_on(orders.wait()).map_err(CliError::system("waiting"))
}

/// Orders to end: from the keyboard, from whoever manages processes, or as the terminal is closed. From the moment when it is made none ends the program
/// and leaves its nodes behind.
struct Orders([Signal; 3]);

impl Orders {
    fn new() -> std::io::Result<Orders> {
        let [interrupt, terminate, hangup] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        Ok(Orders([signal(interrupt)?, signal(terminate)?, signal(hangup)?]))
    }
    async fn wait(self) -> std::io::Result<()> {
        let [mut interrupted, mut terminated, mut hung_up] = self.0;
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
            _ = hung_up.recv() => {}
        }
        Ok(())
    }
}

/// Directories, keys, rows and a job file.
fn prepare(args: &UpArgs, program: &Path, names: &[&str]) -> Result<(), CliError> {
    let adversary = if names.len() == 4 { Adversary::Active } else { Adversary::Passive };
    let choice = Choice {
        case: Case::BreastCancer,
        model: None,
        rows: None,
        epochs: None,
        adversary,
        exact: false,
        lanes: 1,
        distil: None,
    };
    let mut scenario = Scenario::new(choice)?;
    let failed = CliError::system("preparing the organisations");
    std::fs::create_dir_all(&args.dir).map_err(&failed)?;
    let (mut port, mut admin) = (7443, 7700);
    for (i, name) in names.iter().enumerate() {
        (port, admin) = (free(port)?, free(admin)?);
        let (listen, own) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{admin}"));
        let mut init = vec!["init", "--org", name, "--listen", &listen, "--admin", &own];
        if *name == "helper" {
            init.push("--helper");
        }
        privity(program, &args.dir.join(name), &init)?;
        (port, admin) = (port + 1, admin + 1);
        if let Some(table) = scenario.tables.get(i) {
            save_csv(&args.dir.join(name).join("tumours.csv"), &scenario.schema, table)?;
        }
    }
    let said = |e: &dyn std::fmt::Display| CliError::Node(e.to_string());
    std::fs::write(args.dir.join("schema.toml"), scenario.schema.to_toml()).map_err(&failed)?;
    for (participant, name) in scenario.file.participants.iter_mut().zip(names) {
        participant.name = (*name).into();
    }
    scenario.file.data.schema = privity_job::file::SchemaSource::Path("schema.toml".into());
    let job = scenario.file.to_toml().map_err(|e| said(&e))?;
    std::fs::write(args.dir.join("job.toml"), job).map_err(&failed)
}

/// An invitation, its code, the words, their confirmation.
fn join(program: &Path, inviter: &Path, home: &Path, name: &str) -> Result<(), CliError> {
    let mut invite = vec!["invite", name, "--project", PROJECT];
    if name == "helper" {
        invite.push("--helper");
    }
    let printed = privity(program, inviter, &invite)?;
    let code = printed.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned();
    let joining = Command::new(program).args(["join", &code]).env("PRIVITY_HOME", home).stdout(Stdio::piped()).spawn();
    let mut joining = joining.map_err(CliError::system("starting this program"))?;
    let out = joining.stdout.take().ok_or(CliError::Choice("a command without output"))?;
    // It is read to its end: the command says more when it has joined.
    let mut said = BufReader::new(out).lines().map_while(Result::ok);
    let words = said.next().unwrap_or_default();
    let mut confirm = vec!["confirm", name];
    confirm.extend(words.strip_prefix("words: ").unwrap_or_default().split(' '));
    privity(program, inviter, &confirm)?;
    said.for_each(drop);
    let joined = joining.wait().map_err(CliError::system("waiting"))?;
    match joined.success() {
        true => Ok(()),
        false => Err(CliError::Node(format!("{name} could not join"))),
    }
}

fn explain(args: &UpArgs, names: &[&str]) {
    let dir = args.dir.display();
    println!("{} are up, members of project {PROJECT}. Try, each in the place of one organisation:", names.join(", "));
    let tables: Vec<String> =
        names.iter().filter(|name| **name != "helper").map(|name| format!("--table {name}=tumours")).collect();
    println!(
        "  privity job submit {dir}/job.toml --home {dir}/{} --project {PROJECT} --purpose 'a joint model' {}",
        names[0],
        tables.join(" ")
    );
    println!(
        "Others learn the model, so by the built-in rules two persons of each organisation approve; whoever submits it is one:"
    );
    println!("  privity job approve DIGEST --person bob --home {dir}/{}", names[0]);
    for name in &names[1..] {
        println!("  for p in ann bob; do privity job approve DIGEST --person $p --home {dir}/{name}; done");
    }
    println!(
        "  privity job watch DIGEST --home {dir}/{}; privity job explain DIGEST --home {dir}/{}",
        names[0], names[0]
    );
    println!("  privity doctor --project {PROJECT} --home {dir}/{}", names[0]);
}
