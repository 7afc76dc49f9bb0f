//! Four organisations in four network namespaces of this machine: what their nodes say and do when links, machines and disks fail while they compute.

mod lan;
mod site;

use crate::cargo;
use site::{SMALL_DISK, Site, Standing};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

const NAMES: [&str; 4] = ["hospital-a", "hospital-b", "hospital-c", "helper"];
const PROJECT: &str = "tumours";
/// Long enough for a fault to hit it.
const EPOCHS: i64 = 800;
/// Within so long all members report a fault.
const PROMISED: Duration = Duration::from_secs(10);
/// So long they are watched.
const WATCHED: Duration = Duration::from_secs(40);
/// So long a job may take to its end once the fault is over.
const END: Duration = Duration::from_secs(150);

/// What goes wrong, at a member.
#[derive(Clone, Copy)]
enum Fault {
    Unplugged(usize),
    /// Whatever it sends is lost, while it hears all others.
    Mute(usize),
    /// What it sends to this other one is lost, and nothing else.
    MuteTo(usize, usize),
    Killed(usize),
    Frozen(usize),
    DiskFull(usize),
}

const FAULTS: [Fault; 9] = [
    Fault::Unplugged(2),
    Fault::Unplugged(0),
    Fault::Mute(2),
    Fault::MuteTo(2, 1),
    Fault::MuteTo(0, 1),
    Fault::Killed(2),
    Fault::Killed(0),
    Fault::Frozen(3),
    Fault::DiskFull(SMALL_DISK),
];

impl Fault {
    fn at(self) -> usize {
        match self {
            Fault::Unplugged(at) | Fault::Mute(at) | Fault::MuteTo(at, _) => at,
            Fault::Killed(at) | Fault::Frozen(at) | Fault::DiskFull(at) => at,
        }
    }
    fn words(self) -> String {
        let at = NAMES[self.at()];
        match self {
            Fault::Unplugged(_) => format!("cable of {at} out"),
            Fault::Mute(_) => format!("all that {at} sends is lost"),
            Fault::MuteTo(_, to) => format!("what {at} sends to {} is lost", NAMES[to]),
            Fault::Killed(_) => format!("{at} killed"),
            Fault::Frozen(_) => format!("{at} frozen"),
            Fault::DiskFull(_) => format!("disk of {at} full"),
        }
    }
    /// Whether the node at fault cannot reach others, though it can be asked.
    fn cuts_off(self) -> bool {
        matches!(self, Fault::Unplugged(_) | Fault::Mute(_))
    }
    /// Whether it still reaches most of the others, and so is to say what all say.
    fn reaches_most(self) -> bool {
        matches!(self, Fault::MuteTo(..))
    }
    fn begin(self, site: &mut Site) -> Result<(), String> {
        match self {
            Fault::Unplugged(at) => site.lan.plug(at, false),
            Fault::Mute(at) => others(at).try_for_each(|to| site.lan.lose(at, to, true)),
            Fault::MuteTo(at, to) => site.lan.lose(at, to, true),
            Fault::Killed(at) => site.nodes[at].kill(),
            Fault::Frozen(at) => site.nodes[at].signal("STOP"),
            Fault::DiskFull(at) => site.nodes[at].fill(),
        }
    }
    fn end(self, site: &mut Site) -> Result<(), String> {
        match self {
            Fault::Unplugged(at) => site.lan.plug(at, true),
            Fault::Mute(at) => others(at).try_for_each(|to| site.lan.lose(at, to, false)),
            Fault::MuteTo(at, to) => site.lan.lose(at, to, false),
            Fault::Killed(at) => site.nodes[at].start(),
            Fault::Frozen(at) => site.nodes[at].signal("CONT"),
            Fault::DiskFull(at) => {
                site.nodes[at].free()?;
                site.nodes[at].kill()?;
                site.nodes[at].start()
            }
        }
    }
}

fn others(member: usize) -> impl Iterator<Item = usize> {
    (0..NAMES.len()).filter(move |other| *other != member)
}

/// When a member said first that the attempt is over, at the latest, and in which words.
struct Report {
    after: Duration,
    words: String,
}

/// Builds the program unless there is one, makes the network, and plays one fault after the other. Needs root and `ip`.
pub fn faults(root: &Path, program: Option<PathBuf>) -> Result<(), String> {
    if program.is_none() {
        cargo::build(root, "privity")?;
    }
    let own = std::env::current_exe().map_err(|e| format!("finding this program: {e}"))?;
    let built = own.parent().ok_or("this program lies nowhere")?;
    let program = program.unwrap_or_else(|| built.join("privity"));
    let program = program.canonicalize().map_err(|e| format!("finding {}: {e}", program.display()))?;
    let folder = built.join("network");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|e| format!("removing what the last run left: {e}"))?;
    }
    std::fs::create_dir_all(&folder).map_err(|e| format!("making a directory: {e}"))?;
    let mut site = Site::new(&program, &folder)?;
    println!("four nodes run; their messages are in {}", folder.display());
    println!("| fault | all others say so after | words | end |\n|---|---|---|---|");
    let mut problems = Vec::new();
    for (epochs, fault) in (EPOCHS..).zip(FAULTS) {
        let found = play(&mut site, fault, epochs)?;
        problems.extend(found.into_iter().map(|problem| format!("{}: {problem}", fault.words())));
    }
    match site.verify_logs() {
        Ok(verdict) => println!("{}", verdict.trim()),
        Err(problem) => problems.push(problem),
    }
    problems.iter().for_each(|problem| println!("{problem}"));
    if problems.is_empty() { Ok(()) } else { Err(format!("{} things were not as promised", problems.len())) }
}

/// One fault during a job; what was not as promised.
fn play(site: &mut Site, fault: Fault, epochs: i64) -> Result<Vec<String>, String> {
    let digest = site.submit(epochs)?;
    let runs = |s: &Standing| s.state == "running";
    until("the job runs", || all(site, &digest).iter().all(runs))?;
    std::thread::sleep(Duration::from_secs(2));
    let before = all(site, &digest);
    if !before.iter().all(runs) {
        return Err("the job was over before the fault; it needs more epochs".into());
    }
    let number = before[0].attempt;
    let started = SystemTime::now();
    fault.begin(site)?;
    let reports = watch(site, fault, (&digest, number), started);
    fault.end(site)?;
    let ended = Instant::now();
    let ends = loop {
        let now = all(site, &digest);
        if now.iter().all(Standing::is_end) || ended.elapsed() > END {
            break now;
        }
        std::thread::sleep(Duration::from_millis(500));
    };
    Ok(judge(fault, &reports, &ends))
}

/// The first report of each member that can be asked.
fn watch(site: &Site, fault: Fault, attempt: (&str, u64), started: SystemTime) -> Vec<Option<Report>> {
    let asked = |member: usize| member != fault.at() || fault.cuts_off() || fault.reaches_most();
    std::thread::scope(|scope| {
        let watching: Vec<_> = (0..NAMES.len())
            .map(|member| asked(member).then(|| scope.spawn(move || first_report(site, member, attempt, started))))
            .collect();
        watching.into_iter().map(|watching| watching.and_then(|w| w.join().ok()).flatten()).collect()
    })
}

fn first_report(site: &Site, member: usize, (digest, number): (&str, u64), started: SystemTime) -> Option<Report> {
    let node = &site.nodes[member];
    let elapsed = || started.elapsed().unwrap_or_default();
    while elapsed() < WATCHED {
        match node.standing(digest) {
            // The next one began meanwhile: the node's log says when this one ended.
            Ok(now) if now.attempt > number => {
                let (at, words) = node.ended(digest, (NAMES[member], number)).ok()?;
                return Some(Report { after: at.duration_since(started).unwrap_or_default(), words });
            }
            Ok(now) if now.state != "running" => return Some(Report { after: elapsed(), words: now.words() }),
            // A node that does not answer for once is asked again.
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
    None
}

/// Prints the row of a fault; what was not as promised.
fn judge(fault: Fault, reports: &[Option<Report>], ends: &[Standing]) -> Vec<String> {
    let (at, mut problems) = (fault.at(), Vec::new());
    let mut slowest = Duration::ZERO;
    let mut words: Vec<String> = Vec::new();
    let all = others(at).chain(fault.reaches_most().then_some(at));
    for (member, report) in all.map(|member| (NAMES[member], &reports[member])) {
        let Some(Report { after, words: said }) = report else {
            problems.push(format!("{member} reports nothing within {} s", WATCHED.as_secs()));
            continue;
        };
        slowest = slowest.max(*after);
        if *after > PROMISED {
            problems.push(format!("{member} reports it after {:.1} s", after.as_secs_f64()));
        }
        words.push(said.clone());
    }
    words.dedup();
    if words.len() > 1 {
        problems.push(format!("they do not say the same: {}", words.join(" / ")));
    }
    if fault.cuts_off() {
        match &reports[at] {
            Some(own) if others(at).any(|other| own.words.contains(NAMES[other])) => {
                words.push(format!("{} itself after {:.1} s: {}", NAMES[at], own.after.as_secs_f64(), own.words));
            }
            Some(own) => problems.push(format!("{} names nobody: {}", NAMES[at], own.words)),
            None => problems.push(format!("{} does not notice", NAMES[at])),
        }
    }
    let explained = |end: &Standing| end.is_end() || (end.state == "paused" && !end.reason.is_empty());
    if !ends.iter().all(explained) {
        problems.push("the job has no end".into());
    }
    let mut said: Vec<String> = ends.iter().map(end).collect();
    said.dedup();
    println!("| {} | {:.1} s | {} | {} |", fault.words(), slowest.as_secs_f64(), words.join("; "), said.join(" / "));
    problems
}

fn end(end: &Standing) -> String {
    match end.state.as_str() {
        "done" => format!("done, attempt {}", end.attempt),
        _ => format!("{}, attempt {}", end.words(), end.attempt),
    }
}

/// Where a job stands at all nodes.
fn all(site: &Site, digest: &str) -> Vec<Standing> {
    // A node that has not heard of it yet has it nowhere.
    let nowhere = |_| Standing { state: "unknown".into(), reason: String::new(), code: 0, attempt: 0 };
    site.nodes.iter().map(|node| node.standing(digest).unwrap_or_else(nowhere)).collect()
}

fn until(what: &str, mut done: impl FnMut() -> bool) -> Result<(), String> {
    let started = Instant::now();
    while !done() {
        if started.elapsed() > END {
            return Err(format!("not within {} s: {what}", END.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// What a program prints that must succeed.
fn call(program: &str, args: &[&str]) -> Result<String, String> {
    output(Command::new(program).args(args))
}

fn output(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|e| format!("cannot start {shown}: {e}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let said = [output.stdout, output.stderr].concat();
            Err(format!("{shown} failed: {}", String::from_utf8_lossy(&said).trim()))
        }
    }
}
