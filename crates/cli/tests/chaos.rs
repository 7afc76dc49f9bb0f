//! A party is killed, frozen, cut off or made deaf in one direction at a random moment. Every run ends by itself, soon and with a
//! reason, and what is resumed leads to the same model. Sixty moments under `cargo xtask heavy`, two otherwise.

mod common;

use common::{NAMES, Site};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

/// A party is given up for lost, and the rest has ended, within so long.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Stop,
    /// Nothing that the party sends to this other one arrives any more; the other direction stays.
    OneWay(usize),
    /// Whatever is sent to or from the party's connections is answered with a reset.
    Closed,
}

/// A network of its own, where rules may be made; none without the rights and tools for it.
struct Network(String);

impl Network {
    fn new() -> Option<Network> {
        let network = Network(format!("privity-{}", std::process::id()));
        let ready = run("ip", &["netns", "add", &network.0])
            && network.run(&["ip", "link", "set", "lo", "up"])
            && network.run(&["nft", "add", "table", "inet", "chaos"])
            && network.run(&["nft", "add chain inet chaos out { type filter hook output priority 0; }"]);
        ready.then_some(network)
    }

    fn run(&self, command: &[&str]) -> bool {
        run("ip", &[&["netns", "exec", &self.0], command].concat())
    }

    /// The ports at the two ends of the connection between two parties: `from`'s, `to`'s. One of them listens on its job's port.
    fn ports(&self, from: &Child, to: &Child) -> Option<(u16, u16)> {
        let args = ["netns", "exec", &self.0, "ss", "-Htnp", "state", "established"];
        let listed = Command::new("ip").args(args).output().ok()?;
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        let of = |child: &Child| -> Vec<(u16, u16)> {
            let owner = format!("pid={},", child.id());
            let port = |address: &str| address.rsplit(':').next()?.parse::<u16>().ok();
            let ends = |line: &str| {
                let mut fields = line.split_whitespace().filter(|field| field.contains(':'));
                Some((port(fields.next()?)?, port(fields.next()?)?))
            };
            text.lines().filter(|line| line.contains(&owner)).filter_map(ends).collect()
        };
        let theirs = of(to);
        of(from).into_iter().find(|(own, peer)| theirs.contains(&(*peer, *own)))
    }

    fn heal(&self) {
        assert!(self.run(&["nft", "flush", "chain", "inet", "chaos", "out"]));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        run("ip", &["netns", "delete", &self.0]);
    }
}

fn run(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|done| done.status.success())
}

/// Lets a fault happen to a running party; false if it was too late for it.
fn strike(fault: Fault, victim: usize, children: &mut [Child], network: Option<&Network>) -> bool {
    let rule = |network: &Network, from: u16, to: u16, verdict: &[&str]| {
        let (from, to) = (from.to_string(), to.to_string());
        let base = ["nft", "add", "rule", "inet", "chaos", "out", "tcp", "sport", &from, "tcp", "dport", &to];
        network.run(&[&base, verdict].concat())
    };
    match (fault, network) {
        (Fault::Kill, _) => children[victim].kill().is_ok(),
        (Fault::Stop, _) => run("kill", &["-STOP", &children[victim].id().to_string()]),
        (Fault::OneWay(to), Some(network)) => {
            let ports = network.ports(&children[victim], &children[to]);
            ports.is_some_and(|(own, peer)| rule(network, own, peer, &["drop"]))
        }
        (Fault::Closed, Some(network)) => {
            let others = (0..children.len()).filter(|other| *other != victim);
            let cut = |other: usize| {
                let ports = network.ports(&children[victim], &children[other]);
                let reset = ["reject", "with", "tcp", "reset"];
                ports.is_some_and(|(own, peer)| rule(network, own, peer, &reset) && rule(network, peer, own, &reset))
            };
            others.map(cut).collect::<Vec<_>>().iter().all(|cut| *cut)
        }
        (_, None) => false,
    }
}

/// Waits for all to end, or kills and reports whoever does not.
fn ends(children: Vec<Child>, frozen: Option<usize>, what: &str) -> Vec<Output> {
    let started = Instant::now();
    let watch = |(i, mut child): (usize, Child)| {
        std::thread::spawn(move || {
            while child.try_wait().expect("a child").is_none() {
                if started.elapsed() > PATIENCE || frozen == Some(i) && started.elapsed() > PATIENCE / 2 {
                    child.kill().expect("killed");
                    let output = child.wait_with_output().expect("it ends");
                    return (frozen == Some(i), output);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            (true, child.wait_with_output().expect("it ends"))
        })
    };
    let watching: Vec<_> = children.into_iter().enumerate().map(watch).collect();
    let ended = watching.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>();
    let hung: Vec<usize> = (0..ended.len()).filter(|i| !ended[*i].0).collect();
    assert!(hung.is_empty(), "{what}: {hung:?} still ran after {PATIENCE:?}");
    ended.into_iter().map(|(_, output)| output).collect()
}

#[test]
fn every_run_ends_with_a_reason_and_no_model_is_wrong() {
    let heavy = std::env::var_os("PRIVITY_HEAVY").is_some();
    let network = if heavy { Network::new() } else { None };
    if heavy && network.is_none() {
        println!(
            "without the rights for network namespaces, or without ip, ss and nft: no cuts, only kills and freezes"
        );
    }
    let (site, want) = Site::new();
    let inside = network.as_ref().map(|network| network.0.as_str());
    // When a run is over by itself, and so what random moments lie before.
    let started = Instant::now();
    let whole: Vec<Child> = NAMES.iter().map(|name| site.start_in(inside, name, false)).collect();
    let clean = ends(whole, None, "an undisturbed run");
    assert!(clean.iter().all(|output| output.status.success()), "{clean:?}");
    let length = started.elapsed();
    site.clear();

    let mut random = std::collections::hash_map::RandomState::new();
    let (mut points, mut early, mut slowest) = (0, 0, Duration::ZERO);
    let mut tally = std::collections::BTreeMap::<String, usize>::new();
    for trial in 0..if heavy { 64 } else { 2 } {
        use std::hash::BuildHasher;
        let drawn = random.hash_one(trial);
        random = std::collections::hash_map::RandomState::new();
        let victim = (drawn % 4) as usize;
        let other = (victim + 1 + (drawn >> 8) as usize % 3) % 4;
        let faults = [Fault::Kill, Fault::OneWay(other), Fault::Closed, Fault::Stop];
        let fault = match network {
            Some(_) => faults[trial % 4],
            None => faults[3 * (trial % 2)],
        };
        let mut children: Vec<Child> = NAMES.iter().map(|name| site.start_in(inside, name, false)).collect();
        std::thread::sleep(length.mul_f64((drawn >> 16 & 0xffff) as f64 / 65536.0));
        let struck = strike(fault, victim, &mut children, network.as_ref());
        let (at, what) = (Instant::now(), format!("{fault:?} at {}", NAMES[victim]));
        let frozen = matches!(fault, Fault::Stop).then_some(victim);
        let outputs = ends(children, frozen, &what);
        slowest = slowest.max(at.elapsed());
        if let Some(network) = &network {
            network.heal();
        }
        let spared = |i: usize| i != victim || !matches!(fault, Fault::Kill | Fault::Stop);
        for (i, output) in outputs.iter().enumerate().filter(|(i, _)| spared(*i)) {
            let message = String::from_utf8_lossy(&output.stderr);
            assert!(
                matches!(output.status.code(), Some(0 | 4)),
                "{what}: {} ended with {:?}: {message}",
                NAMES[i],
                output.status
            );
            assert!(output.status.success() || message.len() > 40, "{what}: {} gives no reason", NAMES[i]);
        }
        points += usize::from(struck);
        *tally.entry(format!("{fault:?}").chars().take_while(|c| c.is_alphabetic()).collect()).or_default() +=
            usize::from(struck);
        // What is there: nothing, a model, or checkpoints that all have or of which some are ahead by one.
        if outputs.iter().all(|output| output.status.success()) {
            early += 1;
            assert_eq!(site.model(), want, "{what}");
        } else {
            let kept = NAMES
                .iter()
                .all(|name| site.out(name).join("checkpoints").read_dir().is_ok_and(|mut d| d.next().is_some()));
            if kept {
                let again: Vec<Child> = NAMES.iter().map(|name| site.start_in(inside, name, true)).collect();
                let again = ends(again, None, "a resumed run");
                // Whoever had finished kept nothing to go on from: then all are told so.
                let resumed = again.iter().all(|output| output.status.success());
                assert!(resumed || again.iter().all(|o| o.status.code() == Some(2)), "{what}: {again:?}");
                assert!(!resumed || site.model() == want, "{what}: another model");
            }
        }
        site.clear();
    }
    println!("{points} faults struck ({tally:?}), {early} runs were over before; slowest end after {slowest:?}");
}
