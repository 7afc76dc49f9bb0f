//! `privity circuit`: Boolean circuits in files.

use crate::commands::json;
use crate::error::CliError;
use clap::{Args, Subcommand};
use privity_circuit::{Circuit, aes, arithmetic, bristol, sha256};
use privity_gc::{Garbler, Schedule, TABLE_BYTES, evaluate};
use privity_net::Link;
use privity_net::identity::Identity;
use privity_net::tls::{Host, Limits, Peer, TlsConfig, TlsLink};
use privity_yao::{EVALUATOR, GARBLER, Prepared};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Look at, run, measure and make Boolean circuits in Bristol Fashion (old and new format).
#[derive(Subcommand)]
pub enum Command {
    /// Say what a circuit takes and gives, and what it costs.
    Info(InfoArgs),
    /// Run a circuit on inputs, in the clear or garbled (both sides here).
    Run(RunArgs),
    /// One party of Yao's protocol: gives the first input, garbles, listens. Both learn all outputs.
    Garble(PartyArgs),
    /// The other party: gives all other inputs, evaluates, dials.
    Evaluate(PartyArgs),
    /// Measure garbling and evaluating.
    Bench(BenchArgs),
    /// Write a generated circuit.
    Make(MakeArgs),
}

/// Arguments of `privity circuit info`.
#[derive(Args)]
pub struct InfoArgs {
    /// The circuit.
    file: PathBuf,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Arguments of `privity circuit run`.
#[derive(Args)]
pub struct RunArgs {
    /// The circuit.
    file: PathBuf,
    /// An input each: a number, decimal or `0x..`, whose lowest bit is the first wire; or `bytes:..`, hexadecimal bytes in their order,
    /// lowest bit of each first.
    inputs: Vec<String>,
    /// Garble and evaluate, in place of evaluating in the clear.
    #[arg(long)]
    garbled: bool,
    /// Print outputs as bytes in their order.
    #[arg(long)]
    bytes: bool,
}

/// Arguments of `privity circuit garble` and `evaluate`.
#[derive(Args)]
pub struct PartyArgs {
    /// The circuit; both parties have the same.
    file: PathBuf,
    /// This party's inputs, as for `run`. They are not shown to the other party, but on this command line; `-` reads them from standard
    /// input, one on a line.
    #[arg(required = true)]
    inputs: Vec<String>,
    /// Host and port on which the garbler listens: its own for `garble`, the garbler's for `evaluate`.
    #[arg(long)]
    address: String,
    /// Directory of this party's certificate and key: see `privity keys new`.
    #[arg(long)]
    identity: PathBuf,
    /// Fingerprint of the other party's certificate.
    #[arg(long)]
    peer: String,
    /// Seconds to wait for the other party.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=604_800))]
    wait: u64,
    /// Print outputs as bytes in their order.
    #[arg(long)]
    bytes: bool,
}

/// Arguments of `privity circuit bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// The circuit.
    file: PathBuf,
    /// Instances at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    instances: u32,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Arguments of `privity circuit make`.
#[derive(Args)]
pub struct MakeArgs {
    /// `add`, `sub`, `mul` (low half), `div` (quotient, remainder), `less`: of two unsigned numbers; `aes128` (key, block), `sha256` (block,
    /// state).
    name: String,
    /// Bits of the numbers.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    width: u16,
    /// Where it goes, which must not exist.
    #[arg(long)]
    out: PathBuf,
}

/// Runs it.
pub fn run(command: &Command) -> Result<(), CliError> {
    match command {
        Command::Info(args) => info(args),
        Command::Run(args) => run_circuit(args),
        Command::Garble(args) => party(args, GARBLER),
        Command::Evaluate(args) => party(args, EVALUATOR),
        Command::Bench(args) => bench(args),
        Command::Make(args) => make(args),
    }
}

fn load(path: &Path) -> Result<Circuit, CliError> {
    let wrong = |problem: String| CliError::Circuit { file: path.into(), problem };
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    bristol::parse(&text).map_err(|e| wrong(e.to_string()))
}

fn info(args: &InfoArgs) -> Result<(), CliError> {
    let circuit = load(&args.file)?;
    let (ands, depth) = (circuit.ands(), circuit.depth());
    if args.json {
        let all = serde_json::json!({
            "inputs": circuit.inputs(), "outputs": circuit.outputs(), "gates": circuit.gates().len(), "ands": ands,
            "depth": depth, "garbled_bytes": TABLE_BYTES * ands,
        });
        println!("{}", json(&all));
        return Ok(());
    }
    let widths = |widths: &[usize]| widths.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    println!("inputs of {} bits, outputs of {} bits", widths(circuit.inputs()), widths(circuit.outputs()));
    println!("{} gates, {ands} of them ANDs, at most {depth} in sequence", circuit.gates().len());
    println!("garbled: {}", crate::show::bytes((TABLE_BYTES * ands) as u64));
    Ok(())
}

/// The bits of input `input`, lowest first. Its text stays out of errors: it may be the party's secret.
fn bits(input: usize, text: &str, width: usize) -> Result<Vec<bool>, CliError> {
    let wrong = |problem: String| CliError::Input { input, problem };
    let bytes = if let Some(bytes) = text.strip_prefix("bytes:") {
        from_hex(bytes).ok_or_else(|| wrong("is not pairs of hexadecimal digits".into()))?
    } else if let Some(digits) = text.strip_prefix("0x") {
        let padded = format!("{}{digits}", if digits.len() % 2 == 1 { "0" } else { "" });
        let mut bytes = from_hex(&padded).ok_or_else(|| wrong("is not hexadecimal".into()))?;
        bytes.reverse();
        bytes
    } else {
        text.parse::<u128>().map_err(|e| wrong(e.to_string()))?.to_le_bytes().to_vec()
    };
    let mut bits: Vec<bool> = bytes.iter().flat_map(|byte| (0..8).map(move |i| byte >> i & 1 == 1)).collect();
    if bits.iter().skip(width).any(|bit| *bit) {
        return Err(wrong(format!("has more than the {width} bits of this input")));
    }
    bits.resize(width, false);
    Ok(bits)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            std::str::from_utf8(pair).ok().filter(|p| p.len() == 2).and_then(|p| u8::from_str_radix(p, 16).ok())
        })
        .collect()
}

fn to_hex(bits: &[bool], in_order: bool) -> String {
    let bytes = bits.chunks(8).map(|byte| byte.iter().rev().fold(0u8, |sum, bit| sum << 1 | u8::from(*bit)));
    let mut pairs: Vec<String> = bytes.map(|byte| format!("{byte:02x}")).collect();
    if in_order {
        return format!("bytes:{}", pairs.concat());
    }
    pairs.reverse();
    format!("0x{}", pairs.concat())
}

/// The bits of some inputs, one after the other.
fn all_bits(file: &Path, inputs: &[String], widths: &[usize]) -> Result<Vec<bool>, CliError> {
    if inputs.len() != widths.len() {
        let problem = format!("takes {} inputs here, and {} are given", widths.len(), inputs.len());
        return Err(CliError::Circuit { file: file.into(), problem });
    }
    let given = (1..).zip(inputs.iter().zip(widths)).map(|(input, (text, width))| bits(input, text, *width));
    Ok(given.collect::<Result<Vec<_>, _>>()?.concat())
}

fn print_outputs(circuit: &Circuit, outputs: &[bool], in_order: bool) {
    let mut rest = outputs;
    for width in circuit.outputs() {
        let (output, after) = rest.split_at(*width);
        println!("{}", to_hex(output, in_order));
        rest = after;
    }
}

fn run_circuit(args: &RunArgs) -> Result<(), CliError> {
    let circuit = load(&args.file)?;
    let inputs = all_bits(&args.file, &args.inputs, circuit.inputs())?;
    let outputs = if args.garbled { garbled(&circuit, &inputs)? } else { circuit.evaluate_bits(&inputs) };
    print_outputs(&circuit, &outputs, args.bytes);
    Ok(())
}

/// One party of Yao's protocol over TLS.
fn party(args: &PartyArgs, me: usize) -> Result<(), CliError> {
    let circuit = load(&args.file)?;
    let (garblers, evaluators) = circuit.inputs().split_at(circuit.inputs().len().min(1));
    let widths = if me == GARBLER { garblers } else { evaluators };
    let inputs = match &args.inputs[..] {
        [dash] if dash == "-" => {
            let lines: Result<Vec<String>, _> = std::io::stdin().lines().collect();
            all_bits(&args.file, &lines.map_err(CliError::system("reading the inputs"))?, widths)?
        }
        inputs => all_bits(&args.file, inputs, widths)?,
    };
    let identity = Identity::load(&args.identity)?;
    let mut peers = [identity.fingerprint(), args.peer.clone()]
        .map(|fingerprint| Peer { address: args.address.clone(), fingerprint });
    if me == EVALUATOR {
        peers.reverse();
    }
    let limits = Limits { connect: Duration::from_secs(args.wait), ..Limits::default() };
    let mut digest = blake3::Hasher::new_derive_key("privity 2026-11 circuit between two parties");
    digest.update(bristol::write(&circuit).as_bytes());
    let mut link = TlsLink::connect(TlsConfig {
        me,
        peers: peers.into(),
        identity: identity.into(),
        job: *digest.finalize().as_bytes(),
        limits,
        unprotected: false,
        host: Host::default(),
    })?;
    let session = link.session();
    eprintln!("privity: the garbler is trusted to follow the protocol; the evaluator is not");
    let outputs = match me {
        GARBLER => privity_yao::garble(&mut link, session, &Prepared::new(&circuit), &inputs)?,
        _ => privity_yao::evaluate(&mut link, session, &Prepared::new(&circuit), &inputs)?,
    };
    print_outputs(&circuit, &outputs, args.bytes);
    // The outputs are complete, however the other takes leave.
    let _ = link.close();
    Ok(())
}

fn garbler() -> Result<Garbler, CliError> {
    let failed = |e: privity_prim::PrimError| CliError::System { action: "drawing randomness", problem: e.to_string() };
    Garbler::new().map_err(failed)
}

fn garbled(circuit: &Circuit, inputs: &[bool]) -> Result<Vec<bool>, CliError> {
    let (schedule, mut garbler, mut tables) = (Schedule::new(circuit), garbler()?, Vec::new());
    let Ok(garbling) = garbler.garble(&schedule, 1, |part| {
        tables.extend_from_slice(part);
        Ok::<_, Infallible>(())
    });
    let active: Vec<u128> = garbling.inputs.iter().zip(inputs).map(|(zero, bit)| garbler.label(*zero, *bit)).collect();
    let mut at = 0;
    let Ok(labels) = evaluate(&schedule, garbler.start(), 0, &active, 1, |part| {
        part.copy_from_slice(&tables[at..at + part.len()]);
        at += part.len();
        Ok::<_, Infallible>(())
    });
    Ok(labels.iter().zip(garbling.outputs.iter()).map(|(label, zero)| (label ^ zero) & 1 == 1).collect())
}

fn bench(args: &BenchArgs) -> Result<(), CliError> {
    let circuit = load(&args.file)?;
    let (schedule, mut garbler, instances) = (Schedule::new(&circuit), garbler()?, args.instances as usize);
    let ands = (schedule.ands() * instances).max(1);
    let rounds = (20_000_000 / ands).clamp(3, 10_000);
    let mut tables = Vec::with_capacity(2 * ands);
    let (mut garbling_best, mut both_best) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..rounds {
        tables.clear();
        let before = garbler.keys();
        let started = Instant::now();
        let Ok(garbling) = garbler.garble(&schedule, instances, |part| {
            tables.extend_from_slice(part);
            Ok::<_, Infallible>(())
        });
        let half = started.elapsed().as_secs_f64();
        let mut at = 0;
        let Ok(labels) = evaluate(&schedule, garbler.start(), before, &garbling.inputs, instances, |part| {
            part.copy_from_slice(&tables[at..at + part.len()]);
            at += part.len();
            Ok::<_, Infallible>(())
        });
        both_best = both_best.min(started.elapsed().as_secs_f64());
        garbling_best = garbling_best.min(half);
        std::hint::black_box(labels);
    }
    let rate = |seconds: f64| ands as f64 / seconds;
    let parties = between_two(&circuit, rounds.min(20))?;
    if args.json {
        let all = serde_json::json!({
            "ands": schedule.ands(), "instances": instances, "rounds": rounds, "garbled_per_second": rate(garbling_best),
            "garbled_and_evaluated_per_second": rate(both_best), "between_two_seconds": parties,
        });
        println!("{}", json(&all));
    } else {
        println!("{} ANDs, {instances} instances, one core, the fastest of {rounds}:", schedule.ands());
        println!("garbling {:.1} million ANDs a second", rate(garbling_best) / 1e6);
        println!("garbling, then evaluating, {:.1} million ANDs a second", rate(both_best) / 1e6);
        println!(
            "one instance between two parties, a thread each, transfers included: {:.1} ms, {:.1} million ANDs a second",
            parties * 1e3,
            schedule.ands() as f64 / parties / 1e6
        );
    }
    Ok(())
}

/// Seconds of the protocol between two threads of this process, without encryption; the fastest of some.
fn between_two(circuit: &Circuit, rounds: usize) -> Result<f64, CliError> {
    let garblers = circuit.inputs().first().copied().unwrap_or(0);
    let (own, other) = (vec![true; garblers], vec![false; circuit.input_bits() - garblers]);
    let circuit = &Prepared::new(circuit);
    let mut best = f64::INFINITY;
    for _ in 0..rounds {
        let mut links = privity_net::memory::mesh(2);
        let (mut to_evaluate, mut to_garble) = (links.pop().expect("two"), links.pop().expect("two"));
        let started = Instant::now();
        let (garbled, evaluated) = std::thread::scope(|scope| {
            let garbling = scope.spawn(|| privity_yao::garble(&mut to_garble, [0; 32], circuit, &own));
            let evaluated = privity_yao::evaluate(&mut to_evaluate, [0; 32], circuit, &other);
            (garbling.join().unwrap_or(Err(privity_yao::YaoError::Randomness)), evaluated)
        });
        best = best.min(started.elapsed().as_secs_f64());
        garbled?;
        evaluated?;
    }
    Ok(best)
}

fn make(args: &MakeArgs) -> Result<(), CliError> {
    let circuit = match args.name.as_str() {
        "aes128" => aes::encrypt(),
        "sha256" => sha256::compression(),
        name => arithmetic::named(name, args.width.into())
            .ok_or(CliError::Choice("circuits are add, sub, mul, div, less, aes128 and sha256"))?,
    };
    if args.out.exists() {
        return Err(CliError::Exists(args.out.clone()));
    }
    std::fs::write(&args.out, bristol::write(&circuit)).map_err(CliError::system("writing a circuit"))?;
    println!("{} ANDs in {}", circuit.ands(), args.out.display());
    Ok(())
}
