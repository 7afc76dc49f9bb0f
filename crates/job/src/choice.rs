//! Which protocol protects whom against what: one table. `protocol = "auto"` chooses from it, plans price what else there is.

use crate::file::{JobFile, Participant, Protection};
use crate::job::speeds;
use crate::protocol::{self, ProtocolName};
use crate::{ConfigError, Job};
use privity_mpc::cost::Speeds;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What corrupt parties do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adversary {
    /// They follow the protocol and pool what they see.
    #[default]
    Passive,
    /// They deviate as they like.
    Active,
}

/// A row of the table.
pub struct Row {
    /// The protocol.
    pub protocol: ProtocolName,
    /// Whom it takes, in words.
    pub takes: &'static str,
    /// What it withstands, in words.
    pub withstands: &'static str,
    /// Of so many owners and so many parties without rows: whether it can run.
    runs: fn(owners: usize, rowless: usize) -> bool,
    adversary: Adversary,
    /// Of so many owners how many corrupt ones it withstands.
    colluding: fn(owners: usize) -> usize,
}

/// The table of choices; docs/ARCHITECTURE.md shows it to people.
pub const TABLE: &[Row] = &[
    Row {
        protocol: ProtocolName::Rep3,
        takes: "three owners",
        withstands: "one that is curious",
        runs: |owners, rowless| owners == 3 && rowless == 0,
        adversary: Adversary::Passive,
        colluding: |_| 1,
    },
    Row {
        protocol: ProtocolName::Rep4,
        takes: "four owners, or three and a helper without rows",
        withstands: "one that deviates as it likes",
        runs: |owners, rowless| owners + rowless == 4 && rowless <= 1,
        adversary: Adversary::Active,
        colluding: |_| 1,
    },
    Row {
        protocol: ProtocolName::Additive,
        takes: "two to seven owners and a dealer without rows",
        withstands: "all owners but one, curious together, and the dealer alone",
        runs: |owners, rowless| (2..=7).contains(&owners) && rowless == 1,
        adversary: Adversary::Passive,
        colluding: |owners| owners - 1,
    },
    Row {
        protocol: ProtocolName::Shamir,
        takes: "three to thirty-one parties, one of which may be a helper without rows",
        withstands: "fewer than half of them, curious together",
        runs: |owners, rowless| (3..=31).contains(&(owners + rowless)) && rowless <= 1,
        adversary: Adversary::Passive,
        // A helper counts as a party: with one more, no fewer may collude.
        colluding: |owners| owners.saturating_sub(1) / 2,
    },
    Row {
        protocol: ProtocolName::ShamirActive,
        takes: "an odd number of parties from three to thirty-one, one of which may be a helper without rows",
        withstands: "fewer than half of them that deviate together as they like",
        runs: |owners, rowless| (3..=31).contains(&(owners + rowless)) && (owners + rowless) % 2 == 1 && rowless <= 1,
        adversary: Adversary::Active,
        // With a helper, an even number of owners: no fewer than half of all but one may collude.
        colluding: |owners| owners.saturating_sub(1) / 2,
    },
    Row {
        protocol: ProtocolName::Gmw,
        takes: "two owners and nobody else",
        withstands: "one that is curious",
        runs: |owners, rowless| owners == 2 && rowless == 0,
        adversary: Adversary::Passive,
        colluding: |_| 1,
    },
    Row {
        protocol: ProtocolName::Beaver,
        takes: "three to five owners and nobody else",
        withstands: "all owners but one, curious together",
        runs: |owners, rowless| (3..=5).contains(&owners) && rowless == 0,
        adversary: Adversary::Passive,
        colluding: |owners| owners - 1,
    },
    Row {
        protocol: ProtocolName::AdditiveMac,
        takes: "two to seven owners and a dealer without rows",
        withstands: "all owners but one that deviate together as they like, and the dealer alone, if it is curious",
        runs: |owners, rowless| (2..=7).contains(&owners) && rowless == 1,
        adversary: Adversary::Active,
        colluding: |owners| owners - 1,
    },
];

impl Row {
    fn meets(&self, wanted: Protection, owners: usize) -> bool {
        self.adversary >= wanted.adversary && (self.colluding)(owners) >= wanted.colluding
    }
}

/// The table's row of a protocol.
pub fn row(protocol: ProtocolName) -> &'static Row {
    TABLE.iter().find(|row| row.protocol == protocol).expect("every protocol has a row")
}

/// The participants in the order of their roles under a protocol: whoever has no rows goes where it may be.
fn ordered(participants: &[Participant], protocol: ProtocolName) -> Vec<Participant> {
    let (mut rowless, mut owners): (Vec<_>, Vec<_>) = participants.iter().cloned().partition(Participant::is_helper);
    match protocol.rowless(participants.len()) {
        Some((0, _)) => {
            rowless.append(&mut owners);
            rowless
        }
        _ => {
            owners.append(&mut rowless);
            owners
        }
    }
}

/// A job file that names its protocol: as it is, if what it asks for is met; the quickest that meets it, if it says `auto`.
///
/// # Errors
/// Nothing meets what is asked for, or the named protocol does not.
pub(crate) fn settle(file: JobFile, folder: &Path) -> Result<JobFile, ConfigError> {
    let owners = file.participants.iter().filter(|p| !p.is_helper()).count();
    let rowless = file.participants.len() - owners;
    let wanted = file.protection.unwrap_or_default();
    if file.protocol != "auto" {
        let row = row(ProtocolName::parse(&file.protocol)?);
        return match file.protection.is_none() || row.meets(wanted, owners) {
            true => Ok(file),
            false => Err(refused(
                "protection",
                &format!("asks for more than {} gives", file.protocol),
                wanted,
                owners,
                rowless,
            )),
        };
    }
    let fits = |row: &&Row| (row.runs)(owners, rowless) && row.meets(wanted, owners);
    let mut candidates = Vec::new();
    for row in TABLE.iter().filter(fits) {
        let participants = ordered(&file.participants, row.protocol);
        candidates.push(JobFile { protocol: row.protocol.name().into(), participants, ..file.clone() });
    }
    match candidates.len() {
        0 => Err(refused("protocol", "is auto, and there is none", wanted, owners, rowless)),
        1 => Ok(candidates.remove(0)),
        _ => quickest(candidates, folder),
    }
}

fn refused(key: &str, problem: &str, wanted: Protection, owners: usize, rowless: usize) -> ConfigError {
    let adversary = if wanted.adversary == Adversary::Active { "deviate" } else { "pool what they see" };
    let problem =
        format!("{problem}: {owners} owners, {rowless} without rows, {} of them may {adversary}", wanted.colluding,);
    let possible = |row: &Row| format!("{} ({}: withstands {})", row.protocol.name(), row.takes, row.withstands);
    let remedy = format!("possible are {}", TABLE.iter().map(possible).collect::<Vec<_>>().join("; "));
    ConfigError::field(key, problem, remedy)
}

/// The candidate that takes least on the declared link. It must come out alike at all parties, so it rests on nothing measured.
fn quickest(candidates: Vec<JobFile>, folder: &Path) -> Result<JobFile, ConfigError> {
    let mut best: Option<(f64, JobFile)> = None;
    let mut last = None;
    for file in candidates {
        let speeds = speeds(&file, Speeds::default());
        let seconds = Job::new(file.clone(), folder).and_then(|job| {
            protocol::price(&job, speeds).map_err(|e| ConfigError::field("protocol", e.to_string(), "name one"))
        });
        match seconds {
            Ok(clock) if best.as_ref().is_none_or(|(least, _)| clock.seconds() < *least) => {
                best = Some((clock.seconds(), file));
            }
            Ok(_) => {}
            Err(error) => last = Some(error),
        }
    }
    match (best, last) {
        (Some((_, file)), _) => Ok(file),
        (None, Some(error)) => Err(error),
        (None, None) => unreachable!("there are candidates"),
    }
}

/// The price of the same program under another protocol, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alternative {
    /// The protocol.
    pub protocol: &'static str,
    /// What it withstands, in words.
    pub withstands: &'static str,
    /// Who would have to join or leave, in words; nobody, if empty.
    pub change: &'static str,
    /// Payload bytes of all parties, rounds and predicted seconds; or why it cannot run the job.
    pub price: Result<AlternativePrice, String>,
}

/// What it would take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AlternativePrice {
    /// Payload bytes of all parties.
    pub bytes: u64,
    /// Messages in sequence until the last party is done.
    pub rounds: u64,
    /// Predicted seconds until the last party is done.
    pub seconds: f64,
}

/// What else the owners of a job could run it under.
pub fn alternatives(job: &Job, machine: Speeds) -> Vec<Alternative> {
    let others = TABLE.iter().filter(|row| row.protocol != job.protocol());
    others.filter_map(|row| alternative(job, row, machine)).collect()
}

fn alternative(job: &Job, row: &Row, machine: Speeds) -> Option<Alternative> {
    let file = job.file();
    let owners: Vec<Participant> = file.participants.iter().filter(|p| !p.is_helper()).cloned().collect();
    let joins = if (row.runs)(owners.len(), 0) {
        false
    } else if (row.runs)(owners.len(), 1) {
        true
    } else {
        return None;
    };
    let helped = owners.len() < file.participants.len();
    let change = match (helped, joins) {
        (true, false) => "without the party without rows",
        (false, true) => "and one more party, without rows",
        _ => "",
    };
    let mut participants = owners;
    if joins {
        participants.push(Participant {
            name: "one.more".into(),
            address: "one.more:1".into(),
            fingerprint: Some("0".repeat(64)),
            certificate: None,
            rows: 0,
            test_rows: 0,
            model: false,
        });
    }
    let other = JobFile {
        protocol: row.protocol.name().into(),
        participants: ordered(&participants, row.protocol),
        on_loss: Default::default(),
        after_loss: None,
        accept: None,
        continues: None,
        admits: None,
        refits: None,
        threshold: None,
        protection: None,
        distillation: None,
        checkpoint: None,
        mixed: Default::default(),
        ..file.clone()
    };
    let price = Job::new(other, Path::new("")).map_err(|e| e.to_string()).and_then(|job| {
        let clock = protocol::price(&job, machine).map_err(|e| e.to_string())?;
        Ok(AlternativePrice { bytes: clock.total_bytes(), rounds: clock.rounds(), seconds: clock.seconds() })
    });
    // With public models on the way, the same job is not the same work.
    let price = match file.distillation {
        Some(_) => Err("not compared: the job distils public models".into()),
        None => price,
    };
    Some(Alternative { protocol: row.protocol.name(), withstands: row.withstands, change, price })
}
