//! `privity demo breast-cancer`: three hospitals, each its own process with its own rows, train one model over TLS.

use crate::program::{Report, Shares, program};
use clap::{Args as ClapArgs, ValueEnum};
use privity_data::breast_cancer;
use privity_data::{Table, metrics, split};
use privity_mpc::count::Count;
use privity_mpc::plain::Plain;
use privity_mpc::rep3::{Rep3, cost::Rep3Costs};
use privity_mpc::{Config, Party, Radix, TruncMode};
use privity_net::identity::Identity;
use privity_net::tls::{Limits, Peer, TlsConfig, TlsLink};
use privity_nn::float::{self, Matrix};
use privity_nn::spec::Optimiser;
use privity_nn::{ModelKind, ModelSpec, Observer, TrainSpec};
use privity_prim::Context;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Seed of the split over hospitals and of training and test rows: public.
const SEED: u64 = 1;

/// What to demonstrate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// 569 real tumour records (UCI WDBC), three hospitals.
    BreastCancer,
}

/// Model families of the demonstration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub enum Family {
    /// Logistic regression.
    Logistic,
    /// Multi-layer perceptron with 16 hidden neurons.
    Mlp,
}

/// Arguments of `privity demo`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    /// The case.
    #[arg(value_enum)]
    pub case: Case,
    /// The model.
    #[arg(long, value_enum, default_value = "logistic")]
    pub model: Family,
    /// Passes over the rows.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub epochs: u32,
    /// Round exactly: results equal the plaintext twin's bit for bit.
    #[arg(long)]
    pub exact: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// What a party's process is told. The rows stay with the party: it reads its own.
#[derive(Serialize, Deserialize)]
struct Task {
    party: usize,
    identity: PathBuf,
    peers: Vec<(String, String)>,
    family: Family,
    epochs: usize,
    exact: bool,
}

/// What a party's process says, a line each.
#[derive(Serialize, Deserialize)]
enum Event {
    Epoch { epoch: usize, loss: f64 },
    Done { report: Report, sent: Vec<u64>, rounds: u64 },
}

/// The job as all parties know it.
struct Job {
    config: Config,
    model: ModelSpec,
    train: TrainSpec,
}

fn job(family: Family, epochs: usize, exact: bool) -> Job {
    let kind = match family {
        Family::Logistic => ModelKind::Logistic,
        Family::Mlp => ModelKind::Mlp { hidden: vec![16] },
    };
    let train = TrainSpec {
        epochs,
        batch: 64,
        learning_rate: 0.1,
        optimiser: Optimiser::Momentum { decay: 0.9 },
        seed: SEED,
        ..TrainSpec::default()
    };
    let mode = if exact { TruncMode::Exact } else { TruncMode::Fast };
    Job { config: Config { mode, radix: Radix::Four, ..Config::default() }, model: ModelSpec::new(kind), train }
}

impl Job {
    fn digest(&self) -> [u8; 32] {
        let text = serde_json::to_vec(&(&self.model, &self.train, format!("{:?}", self.config)));
        *blake3::hash(&text.expect("specifications serialise")).as_bytes()
    }
}

/// A hospital's rows: to learn from and to test on, scaled by the public ranges of the schema.
fn hospital(party: usize) -> Outcome<(Table, Table)> {
    let table = breast_cancer::hospitals(SEED)?[party].clone();
    let rows = split::train_test(table.rows(), 0.25, SEED)?;
    Ok((table.select(&rows.train), table.select(&rows.test)))
}

fn shares(table: &Table) -> Outcome<Shares> {
    let ranges = breast_cancer::schema()?.feature_ranges();
    let scale = |(x, (low, high)): (&f64, &(Option<f64>, Option<f64>))| {
        let (low, high) = (low.unwrap_or(-1e4), high.unwrap_or(1e4));
        (x - (low + high) / 2.0) * 2.0 * crate::program::BOUND / (high - low)
    };
    let features = (0..table.rows()).flat_map(|r| table.row(r).iter().zip(&ranges).map(scale).collect::<Vec<_>>());
    Ok(Shares { features: features.collect(), columns: table.cols(), labels: table.labels().to_vec() })
}

struct Progress(std::io::Stdout);

impl Observer for Progress {
    fn epoch(&mut self, epoch: usize, loss: f64) {
        // A parent that no longer listens is no reason to stop.
        let _ = writeln!(self.0, "{}", serde_json::to_string(&Event::Epoch { epoch, loss }).expect("events serialise"));
    }
}

/// One party's process.
pub fn party(file: &Path) -> Outcome<()> {
    let task: Task = serde_json::from_slice(&std::fs::read(file)?)?;
    let job = job(task.family, task.epochs, task.exact);
    let peer =
        |(address, fingerprint): &(String, String)| Peer { address: address.clone(), fingerprint: fingerprint.clone() };
    let digest = job.digest();
    let link = TlsLink::connect(TlsConfig {
        me: task.party,
        peers: task.peers.iter().map(peer).collect(),
        identity: Identity::load(&task.identity)?,
        job: digest,
        limits: Limits::default(),
    })?;
    let context = Context { session: link.session(), job: digest, ..Context::default() };
    let mut p = Rep3::new(Party::connect(Box::new(link), &context)?, job.config)?;
    let (train, test) = hospital(task.party)?;
    let sizes = sizes()?;
    let own = [shares(&train)?, shares(&test)?];
    let mut given: Vec<Option<&[Shares; 2]>> = vec![None; 3];
    given[task.party] = Some(&own);
    let report = program(&mut p, &job.model, &job.train, &sizes, &given, &mut Progress(std::io::stdout()))?;
    let (sent, rounds) = (p.party().bytes_sent().to_vec(), p.party().rounds());
    p.into_party().into_link().close()?;
    println!("{}", serde_json::to_string(&Event::Done { report, sent, rounds })?);
    Ok(())
}

/// Public row counts: training and test of each hospital.
fn sizes() -> Outcome<Vec<(usize, usize)>> {
    (0..3).map(|i| hospital(i).map(|(train, test)| (train.rows(), test.rows()))).collect()
}

/// Everything the demonstration prints.
#[derive(Serialize)]
struct Summary {
    parties: [&'static str; 3],
    protocol: &'static str,
    adversary: &'static str,
    rows: Vec<(usize, usize)>,
    secure: Report,
    twin: Report,
    float_accuracy: f64,
    float_auc: f64,
    alone_accuracy: Vec<f64>,
    alone_auc: Vec<f64>,
    bytes_sent: Vec<u64>,
    bytes_planned: Vec<u64>,
    rounds: Vec<u64>,
    rounds_planned: Vec<u64>,
    seconds: f64,
}

/// The whole demonstration.
pub fn run(args: &Args, program_path: &Path) -> Outcome<()> {
    let started = Instant::now();
    let job = job(args.model, args.epochs as usize, args.exact);
    let sizes = sizes()?;
    let mut count = Count::new(job.config, Rep3Costs { radix: job.config.radix }, Default::default());
    program(&mut count, &job.model, &job.train, &sizes, &[None, None, None], &mut ())?;
    let clock = count.clock();
    if !args.json {
        let megabytes = clock.total_bytes() as f64 / 1e6;
        println!(
            "three hospitals, rep3: passive security, no two of them may pool what they see; not externally reviewed"
        );
        println!(
            "plan: {megabytes:.2} MB in all, {} rounds; opened to all: range bits, the loss of each epoch, a sentinel bit per layer and epoch, the test scores' histogram",
            clock.rounds()
        );
    }
    let (secure, traffic) = processes(args, program_path)?;
    let tables = (0..3).map(hospital).collect::<Outcome<Vec<_>>>()?;
    let rows = tables.iter().map(|(a, b)| Ok([shares(a)?, shares(b)?])).collect::<Outcome<Vec<_>>>()?;
    let given: Vec<Option<&[Shares; 2]>> = rows.iter().map(Some).collect();
    let twin = program(&mut Plain::new(job.config, 3), &job.model, &job.train, &sizes, &given, &mut ())?;
    let (float_accuracy, float_auc) = float_quality(&job, &rows.iter().collect::<Vec<_>>(), &rows)?;
    let alone = rows.iter().map(|own| float_quality(&job, &[own], &rows)).collect::<Outcome<Vec<_>>>()?;
    let summary = Summary {
        parties: ["hospital-a", "hospital-b", "hospital-c"],
        protocol: "rep3",
        adversary: "passive",
        rows: sizes,
        secure,
        twin,
        float_accuracy,
        float_auc,
        alone_accuracy: alone.iter().map(|a| a.0).collect(),
        alone_auc: alone.iter().map(|a| a.1).collect(),
        bytes_sent: traffic.iter().map(|t| t.0.iter().sum()).collect(),
        bytes_planned: (0..3).map(|i| clock.bytes_from(i)).collect(),
        rounds: traffic.iter().map(|t| t.1).collect(),
        rounds_planned: (0..3).map(|i| clock.rounds_of(i)).collect(),
        seconds: started.elapsed().as_secs_f64(),
    };
    if args.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print_summary(&summary);
    }
    Ok(())
}

fn print_summary(s: &Summary) {
    let mut table = comfy_table::Table::new();
    table.set_header(["model, on all test rows", "accuracy", "AUC"]);
    let mut row = |name: &str, a: f64, auc: f64| {
        table.add_row([name.to_owned(), format!("{a:.4}"), format!("{auc:.4}")]);
    };
    row("joint, secure", s.secure.accuracy, s.secure.auc);
    row("joint, plaintext fixed-point twin", s.twin.accuracy, s.twin.auc);
    row("joint, float32", s.float_accuracy, s.float_auc);
    for (name, (a, auc)) in s.parties.iter().zip(s.alone_accuracy.iter().zip(&s.alone_auc)) {
        row(&format!("{name} alone, float32"), *a, *auc);
    }
    println!("{table}");
    for (i, name) in s.parties.iter().enumerate() {
        println!(
            "{name}: sent {} bytes (planned {}), {} rounds (planned {})",
            s.bytes_sent[i], s.bytes_planned[i], s.rounds[i], s.rounds_planned[i]
        );
    }
    println!("{:.1} s in all; nothing was written: the model stays shared and ends with the processes", s.seconds);
}

/// Accuracy and AUC on all test rows of a float32 model of the given owners' training rows, same schedule.
fn float_quality(job: &Job, owners: &[&[Shares; 2]], all: &[[Shares; 2]]) -> Outcome<(f64, f64)> {
    let columns = all[0][0].columns;
    let gather = |parts: &mut dyn Iterator<Item = &Shares>| -> (Vec<f64>, Vec<f64>) {
        parts.fold((Vec::new(), Vec::new()), |(mut x, mut y), s| {
            x.extend(&s.features);
            y.extend(&s.labels);
            (x, y)
        })
    };
    let (mut x, y) = gather(&mut owners.iter().map(|o| &o[0]));
    let (mut test, labels) = gather(&mut all.iter().map(|o| &o[1]));
    for c in 0..columns {
        let column = || x.iter().skip(c).step_by(columns);
        let mean = column().sum::<f64>() / y.len() as f64;
        let variance = column().map(|v| (v - mean).powi(2)).sum::<f64>() / y.len() as f64;
        let scale = 1.0 / (variance + 2f64.powi(-10)).sqrt();
        let standardise = |v: &mut f64| *v = ((*v - mean) * scale).clamp(-8.0, 8.0);
        x.iter_mut().skip(c).step_by(columns).for_each(standardise);
        test.iter_mut().skip(c).step_by(columns).for_each(standardise);
    }
    let single = |v: &[f64]| v.iter().map(|v| *v as f32).collect::<Vec<f32>>();
    let features = Matrix::new(y.len(), columns, single(&x))?;
    let (model, _) = float::train(&job.model, &job.train, &features, &single(&y))?;
    let predictions = model.predict(&Matrix::new(labels.len(), columns, single(&test))?);
    let predictions: Vec<f64> = predictions.into_iter().map(f64::from).collect();
    Ok((metrics::accuracy(&labels, &predictions)?, metrics::auc(&labels, &predictions)?))
}

type Traffic = (Vec<u64>, u64);

/// Starts the parties with fresh certificates, shows the losses, collects the reports.
fn processes(args: &Args, program: &Path) -> Outcome<(Report, Vec<Traffic>)> {
    let scratch = tempfile::tempdir()?;
    let mut peers = Vec::new();
    for party in 0..3 {
        let identity = Identity::generate(&format!("party-{party}"))?;
        identity.save(&scratch.path().join(party.to_string()))?;
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        peers.push((address, identity.fingerprint()));
    }
    let mut running = Vec::new();
    for party in 0..3 {
        let task = Task {
            party,
            identity: scratch.path().join(party.to_string()),
            peers: peers.clone(),
            family: args.model,
            epochs: args.epochs as usize,
            exact: args.exact,
        };
        let file = scratch.path().join(format!("{party}.json"));
        std::fs::write(&file, serde_json::to_vec(&task)?)?;
        running.push(Command::new(program).arg("demo-party").arg(&file).stdout(Stdio::piped()).spawn()?);
    }
    let bar = (!args.json).then(|| indicatif::ProgressBar::new(u64::from(args.epochs)));
    let mut done = Vec::new();
    for (party, child) in running.iter_mut().enumerate() {
        let output = child.stdout.take().ok_or("a party's output is piped")?;
        for line in BufReader::new(output).lines() {
            match serde_json::from_str(&line?)? {
                Event::Epoch { epoch, loss } => {
                    if let (Some(bar), 0) = (&bar, party) {
                        bar.set_position(epoch as u64 + 1);
                        bar.set_message(format!("loss {loss:.4}"));
                    }
                }
                Event::Done { report, sent, rounds } => done.push((report, (sent, rounds))),
            }
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    for (party, mut child) in running.into_iter().enumerate() {
        let status = child.wait()?;
        if !status.success() {
            return Err(format!("party {party} failed ({status}); its message is above").into());
        }
    }
    let report = done.first().map(|d| d.0.clone()).ok_or("no party reported")?;
    Ok((report, done.into_iter().map(|d| d.1).collect()))
}
