//! The commands of an organisation: its node, its members, its tables, its jobs.

use crate::error::CliError;
use clap::{Args, Subcommand};
use privity_api::Decision;
use privity_data::Schema;
use privity_job::JobFile;
use privity_job::file::SchemaSource;
use privity_node::admin::{Confirm, Details, Draft, Invite, Joining, Line, Status, Told, Vote};
use privity_node::doctor::Finding;
use privity_node::store::Table;
use privity_node::timeline::{Moment, Timeline};
use privity_node::{Config, NodeError, daemon, home, job::State, join};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which node's directory.
#[derive(Args, Clone)]
pub struct Home {
    /// Directory of the node
    #[arg(long, env = "PRIVITY_HOME", default_value = "privity-node", global = true)]
    home: PathBuf,
}

/// Make the directory, root key and configuration of an organisation's node
#[derive(Args)]
pub struct InitArgs {
    #[command(flatten)]
    home: Home,
    /// Name of the organisation
    #[arg(long)]
    org: String,
    /// Where the node listens for other organisations; default 0.0.0.0:7443, or nowhere if it is reached through a relay
    #[arg(long)]
    listen: Option<String>,
    /// How other organisations reach it, host:port; default where it listens. relay:host:port of another member's node if this one only dials out
    #[arg(long, default_value = "")]
    address: String,
    /// Open no port: others come through the node of another member that is a relay, host:port, or of one of two, with a comma between them
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["address", "listen", "relay"])]
    outbound_only: Option<String>,
    /// Where people and tools of this organisation find it, a loopback address
    #[arg(long, default_value = "127.0.0.1:7700")]
    admin: String,
    /// Where operators' tools find /health, /ready and /metrics; default nowhere
    #[arg(long, default_value = "")]
    monitor: String,
    /// Who runs the machine; default the organisation
    #[arg(long, default_value = "")]
    operator: String,
    /// Take part without data
    #[arg(long)]
    helper: bool,
    /// Carry connections of members that only dial out
    #[arg(long)]
    relay: bool,
    /// Where the root key is: file:DIR, file:DIR with a passphrase, or a PKCS#11 token; docs/KEYS.md
    #[arg(long, default_value = "file:root")]
    keys: String,
}

/// Run the node
#[derive(Args)]
pub struct NodeArgs {
    #[command(flatten)]
    home: Home,
    /// Only look whether the configuration makes sense
    #[arg(long)]
    check_config: bool,
}

/// Invite organisations to a project, which is founded if there is none of this name; prints a code for each
#[derive(Args)]
pub struct InviteArgs {
    #[command(flatten)]
    home: Home,
    /// The project
    #[arg(long)]
    project: String,
    /// Whom
    #[arg(required = true)]
    organisations: Vec<String>,
    /// They come without data, all of them
    #[arg(long)]
    helper: bool,
    /// Which of them come without data; may be given several times
    #[arg(long, value_name = "ORGANISATION", conflicts_with = "helper")]
    without_data: Vec<String>,
}

/// Say the six words that the invited organisation reads out: if they are the ones seen here, it becomes a member
#[derive(Args)]
pub struct ConfirmArgs {
    #[command(flatten)]
    home: Home,
    /// Whom
    organisation: String,
    /// The words
    #[arg(required = true)]
    words: Vec<String>,
}

/// Join a project with the code of an invitation
#[derive(Args)]
pub struct JoinArgs {
    #[command(flatten)]
    home: Home,
    /// The code
    code: String,
    /// Seconds to wait until a person at the inviter has confirmed the words
    #[arg(long, default_value_t = 600)]
    wait: u64,
}

/// Tables that jobs may name
#[derive(Subcommand)]
pub enum TableCommand {
    /// Register a table, or change it
    Add {
        #[command(flatten)]
        home: Home,
        /// Its name
        name: String,
        /// Its rows, CSV or Parquet
        #[arg(long)]
        data: PathBuf,
        /// Rows to evaluate on, where jobs keep them in a second file
        #[arg(long)]
        test_data: Option<PathBuf>,
        /// The contract of its columns
        #[arg(long)]
        schema: PathBuf,
        /// Show name and contract to the members of this project; may be given several times. Default: to nobody
        #[arg(long = "project", value_name = "PROJECT")]
        projects: Vec<String>,
        /// Show them how many rows it has, too
        #[arg(long, requires = "projects")]
        show_rows: bool,
    },
    /// Withdraw a table
    Remove {
        #[command(flatten)]
        home: Home,
        /// Its name
        name: String,
    },
    /// List them, and to whom they are shown; or what the members of a project show each other of theirs
    List {
        #[command(flatten)]
        home: Home,
        /// Tables that the members of this project show: its catalogue
        #[arg(long)]
        project: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// One job
#[derive(Subcommand)]
pub enum JobCommand {
    /// Submit a job to all participants of its file
    Submit {
        #[command(flatten)]
        home: Home,
        /// The job file; addresses and fingerprints of participants may be left out
        file: PathBuf,
        /// The project
        #[arg(long)]
        project: String,
        /// What for
        #[arg(long)]
        purpose: String,
        /// Which table of each organisation with rows: ORGANISATION=TABLE
        #[arg(long = "table", value_name = "ORGANISATION=TABLE")]
        tables: Vec<String>,
        /// Which model of the organisation that brings one, where rows are scored: ORGANISATION=MODEL
        #[arg(long = "model", value_name = "ORGANISATION=MODEL")]
        models: Vec<String>,
        /// Hours until it must have started
        #[arg(long, default_value_t = 72)]
        hours: i64,
        /// How often it may be started
        #[arg(long, default_value_t = 5)]
        attempts: u32,
        /// Rows that whatever is opened must rest on
        #[arg(long, default_value_t = 0)]
        min_cohort: u64,
        /// Epsilon that the job takes from its project's privacy budget
        #[arg(long, default_value_t = 0.0)]
        epsilon: f64,
        /// Among this organisation's jobs of the project, those of higher priority are attempted first: 0 to 9
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=9))]
        priority: u8,
        /// Who submits it; default the user of this machine
        #[arg(long)]
        person: Option<String>,
    },
    /// Show what will run, on what, for whom, at what price, and what was decided
    Show {
        #[command(flatten)]
        home: Home,
        /// Digest, or its beginning
        job: String,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Only in what it differs from the last job of its name that this organisation approved
        #[arg(long, conflicts_with = "json")]
        diff: bool,
    },
    /// Approve a job
    Approve {
        #[command(flatten)]
        home: Home,
        /// Digest, or its beginning
        job: String,
        /// Why
        #[arg(long, default_value = "approved by hand")]
        reason: String,
        /// Who approves; default the user of this machine
        #[arg(long)]
        person: Option<String>,
    },
    /// Deny a job; one that runs is stopped
    Deny {
        #[command(flatten)]
        home: Home,
        /// Digest, or its beginning
        job: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// Who denies; default the user of this machine
        #[arg(long)]
        person: Option<String>,
    },
    /// Give up a job
    Abort {
        #[command(flatten)]
        home: Home,
        /// Digest, or its beginning
        job: String,
        /// Who gives it up; default the user of this machine
        #[arg(long)]
        person: Option<String>,
    },
    /// Tell what happened to a job, from the logs of all its participants
    Explain {
        #[command(flatten)]
        home: Home,
        /// Digest, or its beginning
        job: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Follow a job until it ends
    Watch {
        #[command(flatten)]
        home: Home,
        /// Digest, or its beginning
        job: String,
    },
}

/// Jobs of this node
#[derive(Args)]
pub struct JobsArgs {
    #[command(flatten)]
    home: Home,
    /// Only those that wait for a decision of this organisation
    #[arg(long)]
    pending: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What this node is, and which others answer
#[derive(Args)]
pub struct StatusArgs {
    #[command(flatten)]
    home: Home,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Look whether all members of a project are reached, how fast, with which program and clock
#[derive(Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    home: Home,
    /// The project
    #[arg(long)]
    project: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Declare the node's certificates void, at all members within seconds, and make a new one
#[derive(Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    home: Home,
    /// Why
    #[arg(long)]
    reason: String,
}

pub(crate) fn person(given: &Option<String>) -> String {
    given.clone().or_else(|| std::env::var("USER").ok()).filter(|p| !p.is_empty()).unwrap_or_else(|| "operator".into())
}

/// The node's own interface.
pub(crate) struct Client {
    base: String,
    token: String,
    http: reqwest::blocking::Client,
}

impl Client {
    pub(crate) fn new(home: &Home) -> Result<Client, CliError> {
        let config = Config::load(&home.home)?;
        let path = home::token(&home.home);
        let token = std::fs::read_to_string(&path).map_err(CliError::system("reading the node's token"))?;
        privity_net::control::provide();
        let http = reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build();
        let http = http.map_err(|e| CliError::System { action: "preparing HTTP", problem: e.to_string() })?;
        Ok(Client { base: format!("http://{}/api/v1", config.admin), token: token.trim().into(), http })
    }
    fn send<R: DeserializeOwned>(&self, request: reqwest::blocking::RequestBuilder) -> Result<R, CliError> {
        let sent = request.bearer_auth(&self.token).send();
        let answer = sent.map_err(|e| {
            CliError::Node(format!("the node does not answer at {}: {e}; start it with `privity node`", self.base))
        })?;
        let (status, text) = (answer.status(), answer.text().unwrap_or_default());
        if !status.is_success() {
            return Err(CliError::Node(text));
        }
        serde_json::from_str(&text).map_err(|e| CliError::Node(format!("an answer that is not understood: {e}")))
    }
    pub(crate) fn get<R: DeserializeOwned>(&self, path: &str) -> Result<R, CliError> {
        self.send(self.http.get(format!("{}/{path}", self.base)))
    }
    pub(crate) fn post<T: Serialize, R: DeserializeOwned>(&self, path: &str, body: &T) -> Result<R, CliError> {
        self.send(self.http.post(format!("{}/{path}", self.base)).json(body))
    }
    pub(crate) fn put<T: Serialize, R: DeserializeOwned>(&self, path: &str, body: &T) -> Result<R, CliError> {
        self.send(self.http.put(format!("{}/{path}", self.base)).json(body))
    }
    pub(crate) fn delete<R: DeserializeOwned>(&self, path: &str) -> Result<R, CliError> {
        self.send(self.http.delete(format!("{}/{path}", self.base)))
    }
    /// Where people sign in.
    pub(crate) fn page(&self) -> &str {
        self.base.trim_end_matches("api/v1")
    }
}

/// `privity init`.
pub fn init(args: &InitArgs) -> Result<(), CliError> {
    let address = args.outbound_only.as_ref().map_or_else(|| args.address.clone(), |relays| format!("relay:{relays}"));
    let listen = if address.starts_with("relay:") { "" } else { "0.0.0.0:7443" };
    let mut config = Config {
        organisation: args.org.clone(),
        operator: args.operator.clone(),
        listen: args.listen.clone().unwrap_or_else(|| listen.into()),
        address,
        admin: args.admin.clone(),
        origin: String::new(),
        monitor: args.monitor.clone(),
        traces: String::new(),
        helper: args.helper,
        relay: args.relay,
        keys: args.keys.clone(),
        database: Default::default(),
        max_running: 4,
        lanes: 0,
        project_running: 0,
        attempt_hours: 48,
        certificate_hours: 24,
        oidc: None,
    };
    let text = toml::to_string(&config).map_err(|e| NodeError::Config { problem: e.to_string() })?;
    config = Config::parse(&text, |_| None)?;
    let root = daemon::init(&args.home.home, &config)?;
    println!("made the node of {} in {}", config.organisation, args.home.home.display());
    println!("root {root}");
    println!("words of the root: {}", privity_api::member::root_words(&root));
    println!("others reach it at {}; start it with: privity node --home {}", config.address, args.home.home.display());
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Runtime::new().map_err(CliError::system("starting"))
}

/// `privity node`.
pub fn node(args: &NodeArgs) -> Result<(), CliError> {
    let config = Config::load(&args.home.home)?;
    privity_node::policy::load(&args.home.home)?;
    if args.check_config {
        println!(
            "{} makes sense: {} listens at {}",
            args.home.home.join("node.toml").display(),
            config.organisation,
            config.listen
        );
        return Ok(());
    }
    crate::log::begin();
    Ok(runtime()?.block_on(daemon::run(&args.home.home))?)
}

/// `privity invite`.
pub fn invite(args: &InviteArgs) -> Result<(), CliError> {
    if let Some(name) = args.without_data.iter().find(|name| !args.organisations.contains(name)) {
        return Err(CliError::Node(format!("--without-data {name}: it is none of those that are invited")));
    }
    let client = Client::new(&args.home)?;
    let mut failed = Vec::new();
    for organisation in &args.organisations {
        let helper = args.helper || args.without_data.contains(organisation);
        let invite = Invite { project: args.project.clone(), organisation: organisation.clone(), helper };
        match client.post::<_, String>("invitations", &invite) {
            Ok(code) => println!("{organisation}: privity join {code}"),
            Err(error) => failed.push(format!("{organisation} is not invited: {error}")),
        }
    }
    if failed.len() < args.organisations.len() {
        println!(
            "send each its line by a channel that you trust; then have it read out the six words and run: privity confirm ORGANISATION WORDS"
        );
    }
    if failed.is_empty() { Ok(()) } else { Err(CliError::Node(failed.join("\n"))) }
}

/// `privity confirm`.
pub fn confirm(args: &ConfirmArgs) -> Result<(), CliError> {
    let confirm = Confirm { organisation: args.organisation.clone(), words: args.words.join(" ") };
    let () = Client::new(&args.home)?.post("confirmations", &confirm)?;
    println!("{} is a member", args.organisation);
    Ok(())
}

/// `privity join`: by the node, if it runs.
pub fn join(args: &JoinArgs) -> Result<(), CliError> {
    let show = |words: &str| {
        println!("words: {words}");
        println!("read them out to the inviter, who confirms them; waiting");
        let _ = std::io::stdout().flush();
    };
    let wait = Duration::from_secs(args.wait);
    let project = match running(&args.home)? {
        Some(client) => join_by(&client, &args.code, wait, show)?,
        None => runtime()?.block_on(daemon::join(&args.home.home, &args.code, wait, show))?,
    };
    println!("joined project {project}");
    Ok(())
}

/// The interface of this directory's node, if it runs.
fn running(home: &Home) -> Result<Option<Client>, CliError> {
    let organisation = Config::load(&home.home)?.organisation;
    let client = Client::new(home)?;
    let runs = client.get::<Status>("status").is_ok_and(|status| status.organisation == organisation);
    Ok(runs.then_some(client))
}

fn join_by(client: &Client, code: &str, wait: Duration, show: impl FnOnce(&str)) -> Result<String, CliError> {
    let begun: Joining = client.post("joins", &code)?;
    show(&begun.words);
    let until = std::time::Instant::now() + wait;
    loop {
        if let Some(project) = client.post::<_, Option<String>>(&format!("joins/{}", begun.id), &())? {
            return Ok(project);
        }
        if std::time::Instant::now() >= until {
            return Err(NodeError::State(join::LATE.into()).into());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// `privity table`.
pub fn table(command: &TableCommand) -> Result<(), CliError> {
    let absolute = |path: &Path| {
        std::path::absolute(path).map(|p| p.display().to_string()).map_err(CliError::system("finding a file"))
    };
    match command {
        TableCommand::Add { home, name, data, test_data, schema, projects, show_rows } => {
            let contract = Schema::load(schema).map_err(|e| CliError::Node(e.to_string()))?;
            let schema = contract.to_toml();
            let test_path = test_data.as_deref().map(absolute).transpose()?.unwrap_or_default();
            let (name, path, projects) = (name.clone(), absolute(data)?, projects.clone());
            let table = Table { name, path, test_path, schema, rows: 0, projects, shows_rows: *show_rows };
            let table: Table = Client::new(home)?.post("tables", &table)?;
            println!("table {}: {} rows; {}", table.name, table.rows, crate::catalogue::shown_to(&table));
        }
        TableCommand::Remove { home, name } => {
            let () = Client::new(home)?.delete(&format!("tables/{name}"))?;
            println!("table {name} is withdrawn");
        }
        TableCommand::List { home, project: Some(project), json } => crate::catalogue::show(home, project, *json)?,
        TableCommand::List { home, project: None, json } => crate::catalogue::own(home, *json)?,
    }
    Ok(())
}

/// `privity jobs`.
pub fn jobs(args: &JobsArgs) -> Result<(), CliError> {
    let client = Client::new(&args.home)?;
    let mut lines: Vec<Line> = client.get("jobs")?;
    if args.pending {
        let own: Status = client.get("status")?;
        let mut waiting = Vec::new();
        for line in lines.into_iter().filter(|line| line.state == State::Pending) {
            let details: Details = client.get(&format!("jobs/{}", line.digest))?;
            if details.missing.contains(&own.organisation) {
                waiting.push(line);
            }
        }
        lines = waiting;
    }
    if args.json {
        println!("{}", crate::commands::json(&lines));
        return Ok(());
    }
    for line in lines {
        let Line { digest, name, project, submitter, state, reason, .. } = line;
        println!("{}  {:8}  {project}/{name} of {submitter}  {reason}", &digest[..12], state.name());
    }
    Ok(())
}

/// `privity job`.
pub fn job(command: &JobCommand) -> Result<(), CliError> {
    match command {
        JobCommand::Submit {
            home,
            file,
            project,
            purpose,
            tables,
            models,
            hours,
            attempts,
            min_cohort,
            epsilon,
            priority,
            person: who,
        } => {
            let tables = by_organisation(tables, "write --table ORGANISATION=TABLE")?;
            let models = by_organisation(models, "write --model ORGANISATION=MODEL")?;
            let draft = Draft {
                project: project.clone(),
                person: person(who),
                purpose: purpose.clone(),
                lasts: hours * 3600,
                attempts: *attempts,
                tables,
                models,
                min_cohort: *min_cohort,
                epsilon_milli: (epsilon * 1000.0).ceil().max(0.0) as u64,
                priority: *priority,
                job: job_file(file)?,
            };
            let digest: String = Client::new(home)?.post("jobs", &draft)?;
            println!("{digest}");
            Ok(())
        }
        JobCommand::Show { home, job, json, diff } => {
            let client = Client::new(home)?;
            let details: Details = client.get(&format!("jobs/{job}"))?;
            match (json, diff) {
                (true, _) => println!("{}", crate::commands::json(&details)),
                (_, true) => {
                    let own: Status = client.get("status")?;
                    crate::show::differences(&details, &own.organisation, &home::questions(&home.home))?;
                }
                _ => show(&details, &home::questions(&home.home)),
            }
            Ok(())
        }
        JobCommand::Approve { home, job, reason, person: who } => {
            vote(home, job, Decision::Approve, reason, person(who))
        }
        JobCommand::Deny { home, job, reason, person: who } => vote(home, job, Decision::Deny, reason, person(who)),
        JobCommand::Abort { home, job, person: who } => {
            let () = Client::new(home)?.post(&format!("jobs/{job}/abort"), &person(who))?;
            println!("given up");
            Ok(())
        }
        JobCommand::Explain { home, job, json } => explain(home, job, *json),
        JobCommand::Watch { home, job } => watch(home, job),
    }
}

/// Names that are given as ORGANISATION=NAME.
fn by_organisation(given: &[String], remedy: &str) -> Result<BTreeMap<String, String>, CliError> {
    let parts = given.iter().map(|text| text.split_once('=').map(|(o, name)| (o.to_owned(), name.to_owned())));
    parts.collect::<Option<_>>().ok_or_else(|| CliError::Node(remedy.into()))
}

fn explain(home: &Home, job: &str, json: bool) -> Result<(), CliError> {
    let timeline: Timeline = Client::new(home)?.get(&format!("jobs/{job}/timeline"))?;
    if json {
        println!("{}", crate::commands::json(&timeline));
        return Ok(());
    }
    let width = timeline.moments.iter().map(|m| m.organisation.len()).max().unwrap_or(0);
    // What one log says several times in a row is one line.
    let same = |a: &Moment, b: &Moment| a.organisation == b.organisation && a.what == b.what;
    for several in timeline.moments.chunk_by(same) {
        let Moment { organisation, at, what } = &several[0];
        let times = if several.len() > 1 { format!(" ({} times)", several.len()) } else { String::new() };
        println!("{}  {organisation:width$}  {what}{times}", privity_audit::clock::utc(*at));
    }
    for (organisation, why) in &timeline.silent {
        println!("{organisation} did not tell: {why}");
    }
    Ok(())
}

fn vote(home: &Home, job: &str, decision: Decision, reason: &str, person: String) -> Result<(), CliError> {
    let vote = Vote { decision, reason: reason.into(), person };
    println!("{}", Client::new(home)?.post::<_, String>(&format!("jobs/{job}/votes"), &vote)?);
    Ok(())
}

/// A job file whose participants may be without address, its schema put in.
fn job_file(path: &Path) -> Result<JobFile, CliError> {
    let text = std::fs::read_to_string(path).map_err(CliError::system("reading the job file"))?;
    let wrong = |e: &dyn std::fmt::Display| CliError::Node(format!("{}: {e}", path.display()));
    let mut table: toml::Table = text.parse().map_err(|e: toml::de::Error| wrong(&e))?;
    if let Some(participants) = table.get_mut("participants").and_then(toml::Value::as_array_mut) {
        for participant in participants.iter_mut().filter_map(toml::Value::as_table_mut) {
            participant.entry("address").or_insert_with(|| "project:1".into());
        }
    }
    let mut file: JobFile = table.try_into().map_err(|e: toml::de::Error| wrong(&e))?;
    if let SchemaSource::Path(schema) = &file.data.schema {
        let schema = Schema::load(&path.parent().unwrap_or(Path::new("")).join(schema)).map_err(|e| wrong(&e))?;
        file.data.schema = SchemaSource::Inline(toml::Table::try_from(&schema).map_err(|e| wrong(&e))?);
    }
    Ok(file)
}

fn show(details: &Details, questions: &Path) {
    let (line, manifest) = (&details.line, &details.manifest);
    println!("{} ({})", manifest.job.name, line.digest);
    println!("  {}: {}", line.state.name(), line.reason);
    match crate::show::what_runs(manifest, questions) {
        Ok(what) => println!("  runs       {what}"),
        Err(error) => println!("  runs       not known here: {error}"),
    }
    println!("  for        {}", manifest.purpose);
    println!("  submitted  by {} of {}, project {}", manifest.person, manifest.submitter, manifest.project);
    println!("  protects   {}", details.guarantee);
    println!("  loss       {}", manifest.job.on_loss.meaning());
    for dataset in &manifest.datasets {
        let rows = manifest.job.participants.iter().find(|p| p.name == dataset.organisation).map_or(0, |p| p.rows);
        println!("  data       {} of {}, {rows} rows", dataset.table, dataset.organisation);
    }
    for model in &manifest.models {
        let note = "by name: what is registered under it when an attempt begins";
        println!("  model      {} of {} ({note})", model.model, model.organisation);
    }
    println!("  attempts   {} of at most {}", line.attempt, manifest.attempts);
    details.own_model.iter().for_each(crate::show::own_model);
    println!("  learn      {}", manifest.release.recipients.join(", "));
    if let Some(openings) = details.plan.get("openings").and_then(|o| o.as_array()) {
        openings.iter().for_each(|opening| println!("  opens      {opening}"));
    }
    for field in ["bytes", "rounds", "seconds"] {
        if let Some(value) = details.plan.get(field) {
            println!("  {field:10} {value}");
        }
    }
    for approval in &details.approvals {
        println!(
            "  {:?} by {} ({}): {}",
            approval.decision,
            approval.organisation,
            approval.by.join(", "),
            approval.reason
        );
    }
    if !details.missing.is_empty() {
        println!("  waits for  {}", details.missing.join(", "));
    }
}

/// Prints what a job's engine tells until it ends; fails with its code if it fails.
fn watch(home: &Home, job: &str) -> Result<(), CliError> {
    let client = Client::new(home)?;
    let (mut after, mut shown) = (0, String::new());
    loop {
        for told in client.get::<Vec<Told>>(&format!("jobs/{job}/events?after={after}"))? {
            after = told.seq;
            println!("{} {}", told.at, told.event);
        }
        let details: Details = client.get(&format!("jobs/{job}"))?;
        let stands = format!("{}: {}", details.line.state.name(), details.line.reason);
        if stands != shown {
            println!("{stands}");
            shown = stands;
        }
        match details.line.state {
            State::Done => return Ok(()),
            state if state.is_end() => {
                return Err(CliError::Ended { code: details.code.max(1), reason: details.line.reason });
            }
            _ if crate::output::reader_left() => return Ok(()),
            _ => std::thread::sleep(Duration::from_millis(500)),
        }
        let _ = std::io::stdout().flush();
    }
}

/// `privity status`.
pub fn status(args: &StatusArgs) -> Result<(), CliError> {
    let status: Status = Client::new(&args.home)?.get("status")?;
    if args.json {
        println!("{}", crate::commands::json(&status));
        return Ok(());
    }
    println!("{}  root {}", status.organisation, status.root);
    println!("words of the root: {}", privity_api::member::root_words(&status.root));
    println!("reached at {}, program {}, {} entries in the log", status.address, &status.build[..12], status.log);
    for (name, seen) in status.peers {
        let drift = if seen.pong.build == status.build { "" } else { ", another program" };
        println!("  {name}: answered {} ms ago in {} ms{drift}", seen.ago_ms, seen.took_ms);
    }
    Ok(())
}

/// `privity doctor`. Fails if anything is wrong.
pub fn doctor(args: &DoctorArgs) -> Result<(), CliError> {
    let found: BTreeMap<String, Finding> =
        Client::new(&args.home)?.get(&format!("projects/{}/examination", args.project))?;
    let problems: usize = found.values().map(|finding| finding.problems.len()).sum();
    if args.json {
        println!("{}", crate::commands::json(&found));
    } else {
        let mut table = comfy_table::Table::new();
        table.set_header(["member", "address", "round trip", "bandwidth", "clock", "program", "sees"]);
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        for (name, finding) in &found {
            let rate =
                |other: &String| finding.rates.get(other).map_or(String::new(), |rate| format!(", {rate:.0} Mbit/s"));
            let sees = finding.sees.iter().map(|(other, ms)| format!("{other} {ms} ms{}", rate(other)));
            let sees = sees.collect::<Vec<_>>().join("; ");
            table.add_row([
                name.clone(),
                match &finding.relay {
                    Some(relay) => format!("through the relay {relay} ({})", finding.addresses.join(", ")),
                    None => finding.addresses.join(", "),
                },
                or_none(finding.round_trip_ms.map(|ms| format!("{ms:.1} ms"))),
                or_none(finding.megabits.map(|m| format!("{m:.0} Mbit/s"))),
                or_none(finding.clock.map(|s| format!("{s:+} s"))),
                or_none(finding.same_program.map(|same| if same { "same" } else { "another" }.into())),
                sees,
            ]);
        }
        println!("{table}");
        found.iter().for_each(|(name, finding)| finding.problems.iter().for_each(|p| println!("{name}: {p}")));
    }
    match problems {
        0 => Ok(()),
        n => Err(CliError::Node(format!("{n} problems"))),
    }
}

/// `privity revoke`.
pub fn revoke(args: &RevokeArgs) -> Result<(), CliError> {
    let () = Client::new(&args.home)?.post("revocations", &args.reason)?;
    println!("the node's certificates are void; it shows a new one, and members are told");
    Ok(())
}
