//! Sets the parties up over the link asked for and collects what they measured.

use crate::measure::{Measurement, measure};
use crate::works::Work;
use crate::{Adversary, Args, Line, LinkKind, RadixKind, Reduction, plain};
use privity_mpc::additive_mac::{AdditiveMac, cost::AdditiveMacCosts};
use privity_mpc::cost::{Costs, Speeds};
use privity_mpc::count::Count;
use privity_mpc::gmw::{Gmw, cost::GmwCosts};
use privity_mpc::rep3::{Rep3, cost::Rep3Costs};
use privity_mpc::rep4::{Rep4, cost::Rep4Costs};
use privity_mpc::shamir::{Route, Routing, Shamir, cost::ShamirCosts};
use privity_mpc::shamir_active::{ShamirActive, cost::ShamirActiveCosts};
use privity_mpc::{Config, Party, Radix, TruncMode};
use privity_net::identity::Identity;
use privity_net::sim::{self, SimConfig};
use privity_net::tls::{Host, Limits, Peer, TlsConfig, TlsLink, loopback_listener};
use privity_net::{Link, NetError, memory};
use privity_prim::Context;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Longest time the repetitions of one work may take together.
const MAX_SECONDS: f64 = 20.0;
/// Payload-independent bytes of a frame on the wire: header, TLS record, TCP/IP.
const FRAME_OVERHEAD: usize = 40 + 22 + 52;

/// Why a benchmark failed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] privity_mpc::Error),
    /// The network failed.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The system refused something.
    #[error("{operation}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// A party's process failed.
    #[error("party {party} failed; its messages are above")]
    Child {
        /// The party.
        party: usize,
    },
    /// A party's output was not understood.
    #[error("party {party} printed something that is no measurement: {problem}")]
    Output {
        /// The party.
        party: usize,
        /// Why not.
        problem: serde_json::Error,
    },
}

fn io(operation: &'static str) -> impl Fn(std::io::Error) -> BenchError {
    move |source| BenchError::Io { operation, source }
}

/// What a party's process is told.
#[derive(Serialize, Deserialize)]
struct Child {
    args: Args,
    work: Work,
    party: usize,
    identity: PathBuf,
    peers: Vec<(String, String)>,
}

/// Runs the works asked for. Processes of parties are started as `program bench-party FILE`.
pub fn run(args: &Args, program: &Path, out: &mut dyn Write) -> Result<(), BenchError> {
    let works = args.work.map_or(Work::ALL.to_vec(), |w| vec![w]);
    let mut lines = Vec::new();
    for work in works {
        let size = args.size.or(args.batch).unwrap_or(work.default_size());
        let measured = match args.link {
            LinkKind::Tls | LinkKind::Tcp => processes(args, work, program)?,
            LinkKind::Memory => threads(args, work, size, || memory::mesh(args.processes()))?,
            LinkKind::Sim => threads(args, work, size, || sim::mesh(args.processes(), simulated(args)))?,
        };
        let line = summarise(args, work, size, &measured)?;
        if args.json {
            writeln!(out, "{}", serde_json::to_string(&line).expect("lines serialise"))
                .map_err(io("writing results"))?;
        }
        lines.push(line);
    }
    if !args.json {
        writeln!(out, "{}", table(&lines)).map_err(io("writing results"))?;
    }
    Ok(())
}

/// One party's process: measures and prints its measurement as JSON.
pub fn child(file: &Path, out: &mut dyn Write) -> Result<(), BenchError> {
    let text = std::fs::read(file).map_err(io("reading the party file"))?;
    let child: Child = serde_json::from_slice(&text).map_err(|problem| BenchError::Output { party: 0, problem })?;
    let peer =
        |(address, fingerprint): &(String, String)| Peer { address: address.clone(), fingerprint: fingerprint.clone() };
    let identity = Arc::new(Identity::load(&child.identity)?);
    let lane = |lane: u8| -> Result<(Box<dyn Link>, [u8; 32]), NetError> {
        let link = TlsLink::connect(TlsConfig {
            me: child.party,
            peers: child.peers.iter().map(peer).collect(),
            identity: identity.clone(),
            job: [lane; 32],
            limits: Limits::default(),
            unprotected: child.args.link == LinkKind::Tcp,
            host: Host::default(),
        })?;
        let session = link.session();
        Ok((Box::new(link), session))
    };
    let links = (0..child.args.lanes).map(lane).collect::<Result<Vec<_>, _>>()?;
    let size = child.args.size.or(child.args.batch).unwrap_or(child.work.default_size());
    let measured = party(&child.args, child.work, size, links)?;
    writeln!(out, "{}", serde_json::to_string(&measured).expect("measurements serialise"))
        .map_err(io("writing results"))
}

fn config(args: &Args) -> Config {
    Config {
        mode: if args.exact { TruncMode::Exact } else { TruncMode::Fast },
        radix: if args.radix == RadixKind::Two { Radix::Two } else { Radix::Four },
        ..Config::default()
    }
}

fn party(
    args: &Args,
    work: Work,
    size: usize,
    links: Vec<(Box<dyn Link>, [u8; 32])>,
) -> Result<Measurement, BenchError> {
    privity_ring::kernels::gemm::set_threads(args.threads.into());
    let connect = |((link, session), lane)| Party::connect(link, &Context { session, lane, ..Context::default() });
    let mut sessions = links.into_iter().zip(0..).map(connect).collect::<Result<Vec<Party>, _>>()?;
    let party = sessions.remove(0);
    let (runs, what) = (args.runs as usize, (work, size, args.lanes.into()));
    let (measured, sessions) = match args.adversary {
        Adversary::Passive => {
            let mut p = Rep3::new(party, config(args))?.with_lanes(sessions)?;
            (measure(&mut p, Rep3::party, what, runs, MAX_SECONDS)?, p.into_parties())
        }
        Adversary::AllButOne => {
            let mut p = Rep3::additive(party, config(args))?.with_lanes(sessions)?;
            (measure(&mut p, Rep3::party, what, runs, MAX_SECONDS)?, p.into_parties())
        }
        Adversary::Minority => {
            let p = Shamir::new(party, config(args).in_a_field(), args.corrupt())?.with_lanes(sessions)?;
            let p = if args.reduction == Reduction::KingOfSets { p.with_set_keys()? } else { p };
            let mut p = p.routed(routing(args))?;
            (measure(&mut p, Shamir::party, what, runs, MAX_SECONDS)?, p.into_parties())
        }
        Adversary::MinorityActive => {
            let mut p = ShamirActive::new(party, config(args).in_a_field(), args.corrupt())?.with_lanes(sessions)?;
            (measure(&mut p, ShamirActive::party, what, runs, MAX_SECONDS)?, p.into_parties())
        }
        Adversary::OneOfTwo => {
            let mut p = Gmw::new(party, config(args))?.with_lanes(sessions)?;
            (measure(&mut p, Gmw::party, what, runs, MAX_SECONDS)?, p.into_parties())
        }
        Adversary::AllButOneActive => {
            let mut p = AdditiveMac::new(party, config(args))?.with_lanes(sessions)?;
            (measure(&mut p, AdditiveMac::party, what, runs, MAX_SECONDS)?, p.into_parties())
        }
        Adversary::Active => {
            let mut p = Rep4::new(party, config(args))?.with_lanes(sessions)?;
            (measure(&mut p, Rep4::party, what, runs, MAX_SECONDS)?, p.into_parties())
        }
    };
    for session in sessions {
        session.into_link().close()?;
    }
    Ok(measured)
}

fn simulated(args: &Args) -> SimConfig {
    SimConfig {
        latency: Duration::from_secs_f64(args.rtt_ms / 2000.0),
        bits_per_second: Some(args.mbit * 1e6),
        overhead: FRAME_OVERHEAD,
        ..SimConfig::default()
    }
}

fn threads<L: Link + 'static>(
    args: &Args,
    work: Work,
    size: usize,
    mesh: impl Fn() -> Vec<L>,
) -> Result<Vec<Measurement>, BenchError> {
    let mut links: Vec<Vec<(Box<dyn Link>, [u8; 32])>> = Vec::new();
    links.resize_with(args.processes(), Vec::new);
    for lane in 0..args.lanes {
        let joined = links.iter_mut().zip(mesh());
        joined.for_each(|(party, link)| party.push((Box::new(link), [lane; 32])));
    }
    std::thread::scope(|s| {
        let spawn = |links| s.spawn(move || party(args, work, size, links));
        let parties: Vec<_> = links.into_iter().map(spawn).collect();
        let join = |(party, h): (usize, std::thread::ScopedJoinHandle<'_, _>)| {
            h.join().unwrap_or(Err(BenchError::Child { party }))
        };
        parties.into_iter().enumerate().map(join).collect()
    })
}

/// A directory that goes away with its owner.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch, BenchError> {
        let unique = format!("privity-bench-{}", std::process::id());
        let dir = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&dir).map_err(io("making a temporary directory"))?;
        Ok(Scratch(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind are keys of a session that is over.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn processes(args: &Args, work: Work, program: &Path) -> Result<Vec<Measurement>, BenchError> {
    let scratch = Scratch::new()?;
    let (mut peers, mut listeners) = (Vec::new(), Vec::new());
    for party in 0..args.processes() {
        let identity = Identity::generate(&format!("party-{party}"))?;
        identity.save(&scratch.0.join(party.to_string()))?;
        // Kept until all are known, so that they differ.
        let listener = loopback_listener()?;
        let address = listener.local_addr().map_err(io("finding a free port"))?.to_string();
        listeners.push(listener);
        peers.push((address, identity.fingerprint()));
    }
    drop(listeners);
    let mut running = Vec::new();
    for party in 0..args.processes() {
        let identity = scratch.0.join(party.to_string());
        let file = scratch.0.join(format!("{party}.json"));
        let child = Child { args: args.clone(), work, party, identity, peers: peers.clone() };
        std::fs::write(&file, serde_json::to_vec(&child).expect("files serialise"))
            .map_err(io("writing a party file"))?;
        let mut command = Command::new(program);
        command.arg("bench-party").arg(&file).stdout(Stdio::piped());
        running.push(command.spawn().map_err(io("starting a party"))?);
    }
    let outputs: Vec<_> = running.into_iter().map(|c| c.wait_with_output()).collect();
    let read = |(party, output): (usize, std::io::Result<std::process::Output>)| {
        let output = output.map_err(io("waiting for a party"))?;
        if !output.status.success() {
            return Err(BenchError::Child { party });
        }
        serde_json::from_slice(&output.stdout).map_err(|problem| BenchError::Output { party, problem })
    };
    outputs.into_iter().enumerate().map(read).collect()
}

fn summarise(args: &Args, work: Work, size: usize, measured: &[Measurement]) -> Result<Line, BenchError> {
    let online = &measured[1];
    let mut sorted = online.seconds.clone();
    sorted.sort_by(f64::total_cmp);
    let sent: Vec<u64> = measured.iter().map(|m| m.bytes).collect();
    let price = declared(args, work, size)?;
    Ok(Line {
        work,
        size,
        protocol: args.adversary.protocol(),
        parties: args.processes(),
        adversary: args.adversary,
        link: args.link,
        seconds_median: sorted[sorted.len() / 2],
        seconds_min: sorted[0],
        seconds_max: sorted[sorted.len() - 1],
        seconds_mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
        bytes_per_party: sent.iter().sum::<u64>() / sent.len() as u64,
        bytes_sent: sent,
        rounds: online.rounds,
        rounds_declared: price.rounds,
        bytes_declared: price.bytes,
        seconds_planned: (args.link == LinkKind::Sim).then_some(price.seconds),
        plain_seconds: plain::seconds(work, size),
        threads: args.threads,
        lanes: args.lanes,
        runs: sorted.len(),
        peak_memory: measured.iter().map(|m| m.peak_memory).max().unwrap_or(0),
    })
}

struct Price {
    bytes: u64,
    rounds: u64,
    seconds: f64,
}

/// How `shamir` reduces degrees.
fn routing(args: &Args) -> Routing {
    let always = match args.reduction {
        Reduction::Quickest => None,
        Reduction::Direct => Some(Route::Direct),
        Reduction::King => Some(Route::King),
        Reduction::KingOfSets => Some(Route::KingOfSets),
    };
    Routing { always, ..Routing::default() }
}

/// The price list's word on a repetition: the difference between the sixth and the first few, which is the steady state.
fn declared(args: &Args, work: Work, size: usize) -> Result<Price, BenchError> {
    let config = config(args);
    let speeds = Speeds {
        latency: args.rtt_ms / 2000.0,
        bandwidth: args.mbit * 1e6 / 8.0,
        overhead: FRAME_OVERHEAD as f64,
        ..Speeds::default()
    };
    match args.adversary {
        Adversary::Passive => {
            steady_price(Count::new(config, Rep3Costs::new(config.radix), speeds), work, size, args.lanes.into())
        }
        Adversary::AllButOne => {
            let costs = Rep3Costs::additive(args.parties.into(), config.radix);
            steady_price(Count::new(config, costs, speeds), work, size, args.lanes.into())
        }
        Adversary::Minority => {
            let costs = ShamirCosts::new(args.processes(), args.corrupt(), config.mode).routed(routing(args));
            let costs = if args.reduction == Reduction::KingOfSets { costs.with_set_keys()? } else { costs };
            steady_price(Count::new(config, costs, speeds), work, size, args.lanes.into())
        }
        Adversary::MinorityActive => {
            let costs = ShamirActiveCosts::new(args.corrupt(), config.mode);
            steady_price(Count::new(config, costs, speeds), work, size, args.lanes.into())
        }
        Adversary::OneOfTwo => steady_price(Count::new(config, GmwCosts, speeds), work, size, args.lanes.into()),
        Adversary::AllButOneActive => {
            let costs = AdditiveMacCosts::new(args.parties.into(), config.radix);
            steady_price(Count::new(config, costs, speeds), work, size, args.lanes.into())
        }
        Adversary::Active => {
            steady_price(Count::new(config, Rep4Costs { radix: config.radix }, speeds), work, size, args.lanes.into())
        }
    }
}

fn steady_price<C: Costs>(mut count: Count<C>, work: Work, size: usize, lanes: usize) -> Result<Price, BenchError> {
    let mut state = crate::works::prepare(&mut count, work, size, lanes)?;
    let warm = 5;
    for _ in 0..warm {
        crate::works::step(&mut count, work, &mut state)?;
    }
    let (bytes, rounds, seconds) = (count.clock().total_bytes(), count.clock().rounds(), count.clock().seconds_of(1));
    let steady = 5;
    for _ in 0..steady {
        crate::works::step(&mut count, work, &mut state)?;
    }
    Ok(Price {
        bytes: (count.clock().total_bytes() - bytes) / steady,
        rounds: (count.clock().rounds() - rounds) / steady,
        seconds: (count.clock().seconds_of(1) - seconds) / steady as f64,
    })
}

fn table(lines: &[Line]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.set_header(["work", "size", "median", "min", "max", "KB/party", "rounds", "plain f32", "ratio"]);
    let time = |s: f64| if s < 1e-3 { format!("{:.0} us", s * 1e6) } else { format!("{:.2} ms", s * 1e3) };
    for l in lines {
        let plain = l.plain_seconds.map_or("-".into(), time);
        let ratio = l.plain_seconds.map_or("-".into(), |p| format!("{:.0}", l.seconds_median / p));
        table.add_row([
            format!("{:?}", l.work),
            l.size.to_string(),
            time(l.seconds_median),
            time(l.seconds_min),
            time(l.seconds_max),
            format!("{:.1}", l.bytes_per_party as f64 / 1e3),
            format!("{:.1}", l.rounds),
            plain,
            ratio,
        ]);
    }
    table
}
