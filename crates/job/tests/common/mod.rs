//! A small job that tests vary.
#![allow(dead_code, reason = "each test file uses its part")]

use privity_data::{Table, breast_cancer};
use privity_job::file::Participant;
use privity_job::prepare::{divide, encode, nothing};
use privity_job::program::{Encoded, Inputs};
use privity_job::run::{Done, compute};
use privity_job::{ConfigError, Job, JobError, JobFile};
use privity_mpc::Party;
use privity_net::memory;
use privity_prim::Context;
use std::path::Path;

/// Three hospitals with 24 training and 8 test rows each.
pub const JOB: &str = r#"
name = "small"

[[participants]]
name = "north"
address = "127.0.0.1:7701"
fingerprint = "1111111111111111111111111111111111111111111111111111111111111111"
rows = 24
test_rows = 8

[[participants]]
name = "east"
address = "127.0.0.1:7702"
fingerprint = "2222222222222222222222222222222222222222222222222222222222222222"
rows = 24
test_rows = 8

[[participants]]
name = "south"
address = "127.0.0.1:7703"
fingerprint = "3333333333333333333333333333333333333333333333333333333333333333"
rows = 24
test_rows = 8

[data]
schema = "wdbc.schema.toml"

[model]
kind = { mlp = { hidden = [5] } }

[training]
epochs = 2
batch = 16
learning_rate = 0.1
optimiser = { momentum = { decay = 0.9 } }

[numbers]
truncation = "fast"

[evaluation]
buckets = 8

[outputs]
model = ["east"]
"#;

/// The job of a text.
pub fn parse(text: &str) -> Result<Job, ConfigError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/breast-cancer");
    Job::new(JobFile::from_toml(text)?, &folder)
}

/// The job after replacing `from` by `to`.
pub fn variant(from: &str, to: &str) -> Result<Job, ConfigError> {
    assert!(JOB.contains(from), "the job has no `{from}`");
    parse(&JOB.replacen(from, to, 1))
}

/// The job with a helper as its fourth party: secure against one that deviates.
pub const HELPER: &str = r#"
[[participants]]
name = "helper"
address = "127.0.0.1:7704"
fingerprint = "4444444444444444444444444444444444444444444444444444444444444444"
rows = 0

[data]"#;

/// The same job under `rep4`.
pub fn active() -> String {
    JOB.replacen("name = \"small\"", "name = \"small\"\nprotocol = \"rep4\"", 1).replacen("\n[data]", HELPER, 1)
}

/// The dealer of `additive`, listed first.
pub const DEALER: &str = r#"[[participants]]
name = "dealer"
address = "127.0.0.1:7704"
fingerprint = "4444444444444444444444444444444444444444444444444444444444444444"
rows = 0

"#;

/// The same job under `gmw`, of the first two owners.
pub fn alone() -> String {
    dealt(2).replacen("additive", "gmw", 1).replacen(DEALER, "", 1)
}

/// The same job under `beaver`, of so many owners: the three, and others with rows of theirs.
pub fn by_triples(owners: usize) -> String {
    polynomial(owners).replacen("shamir", "beaver", 1)
}

/// The same job under `additive`, of the first so many owners.
pub fn dealt(owners: usize) -> String {
    let job = JOB.replacen("name = \"small\"", "name = \"small\"\nprotocol = \"additive\"", 1);
    let (start, end) = (job.find("[[participants]]"), job.find("[data]"));
    let (start, end) = (start.expect("participants"), end.expect("data"));
    let parties: Vec<&str> = job[start..end].split_inclusive("\n\n").take(owners).collect();
    format!("{}{DEALER}{}{}", &job[..start], parties.concat(), &job[end..])
}

/// The same job under `shamir`, of so many owners: the three, and others with rows of theirs.
pub fn polynomial(owners: usize) -> String {
    let mut job = JOB.replacen("name = \"small\"", "name = \"small\"\nprotocol = \"shamir\"", 1);
    for more in 3..owners {
        let digit = more + 1;
        let participant = format!(
            "[[participants]]\nname = \"more-{more}\"\naddress = \"127.0.0.1:770{digit}\"\nfingerprint = \"{}\"\nrows = 24\ntest_rows = 8\n\n",
            digit.to_string().repeat(64)
        );
        job = job.replacen("[data]", &format!("{participant}[data]"), 1);
    }
    job
}

/// The same where parties verify each other.
pub fn polynomial_active(owners: usize) -> String {
    polynomial(owners).replacen("\"shamir\"", "\"shamir-active\"", 1)
}

/// The same under `additive-mac`.
pub fn dealt_and_tagged(owners: usize) -> String {
    dealt(owners).replacen("\"additive\"", "\"additive-mac\"", 1)
}

/// What each participant brings, in their order: owners their tables, others nothing.
pub fn encoded(job: &Job) -> Vec<Encoded<u64>> {
    let mut tables = tables().into_iter().cycle();
    let bring = |(i, participant): (usize, &Participant)| {
        let rows = match participant.is_helper() {
            true => nothing(job).expect("an empty table"),
            false => divide(job, i, tables.next().expect("a table each"), None).expect("declared rows"),
        };
        encode(job, &rows).expect("in range")
    };
    job.file().participants.iter().enumerate().map(bring).collect()
}

/// Rows of each party.
pub fn tables() -> Vec<Table> {
    let table = breast_cancer::table().expect("the embedded table is sound");
    (0..3).map(|i| table.select(&(0..32).map(|r| 3 * r + i).collect::<Vec<_>>())).collect()
}

/// What each party of a job over memory links comes to.
pub fn parties(job: &Job, inputs: &[Encoded<u64>]) -> Vec<Result<Done, JobError>> {
    let mut links: Vec<Vec<_>> = inputs.iter().map(|_| Vec::new()).collect();
    for _ in 0..job.file().training.lanes {
        links.iter_mut().zip(memory::mesh(inputs.len())).for_each(|(party, link)| party.push(link));
    }
    std::thread::scope(|s| {
        let start = |(links, own): (Vec<_>, &Encoded<u64>)| {
            let own = own.clone();
            s.spawn(move || {
                let connect = |(link, lane)| Party::connect(Box::new(link), &Context { lane, ..Context::default() });
                let sessions: Vec<Party> =
                    links.into_iter().zip(0..).map(connect).collect::<Result<_, _>>().expect("sessions");
                let me = sessions[0].me();
                compute(job, sessions, Inputs::only(job, me, own), &mut (), &mut (), &mut ())
            })
        };
        let running: Vec<_> = links.into_iter().zip(inputs).map(start).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// The same where nothing fails, of the usual inputs.
pub fn finished(job: &Job) -> Vec<Done> {
    parties(job, &encoded(job)).into_iter().map(|done| done.expect("the job runs")).collect()
}
