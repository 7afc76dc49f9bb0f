//! The one place where a protocol's name becomes a type.

use crate::file::OnLoss;
use crate::program::{self, Inputs, Outcome};
use crate::release::Publisher;
use crate::{ConfigError, Job, JobError};
use privity_mpc::additive_mac::{AdditiveMac, cost::AdditiveMacCosts};
use privity_mpc::beaver::{Beaver, cost::BeaverCosts};
use privity_mpc::cost::{Clock, Costs, Speeds};
use privity_mpc::count::Count;
use privity_mpc::gmw::{Gmw, cost::GmwCosts};
use privity_mpc::plain::Plain;
use privity_mpc::rep3::{ArithmeticShare, Rep3, cost::Rep3Costs};
use privity_mpc::rep4::{Rep4, cost::Rep4Costs};
use privity_mpc::shamir::{Shamir, cost::ShamirCosts};
use privity_mpc::shamir_active::{ShamirActive, cost::ShamirActiveCosts};
use privity_mpc::{Config, Party};
use privity_nn::{Keeper, Observer};
use privity_ring::{M61, Tensor};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// The protocols there are.
pub const NAMES: [&str; 8] = ["rep3", "rep4", "additive", "additive-mac", "gmw", "beaver", "shamir", "shamir-active"];

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolName {
    /// Three parties, at most one of them curious, none of them lying.
    Rep3,
    /// Four parties, at most one of them deviating as it likes.
    Rep4,
    /// Two to seven parties, all but one of them curious together, and a dealer without rows, listed first, who colludes with nobody.
    Additive,
    /// Three to thirty-one parties, fewer than half of them curious together.
    Shamir,
    /// An odd number of parties from three to thirty-one, fewer than half of them deviating as they like.
    ShamirActive,
    /// Two parties and nobody else, either of them curious, none of them lying.
    Gmw,
    /// Three to five parties and nobody else, all but one of them curious together.
    Beaver,
    /// The parties of `additive`, all but one of them deviating as they like, and a dealer that follows the protocol and colludes with nobody.
    AdditiveMac,
}

impl ProtocolName {
    /// The protocol of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn parse(name: &str) -> Result<Self, ConfigError> {
        match name {
            "rep3" => Ok(ProtocolName::Rep3),
            "rep4" => Ok(ProtocolName::Rep4),
            "additive" => Ok(ProtocolName::Additive),
            "shamir" => Ok(ProtocolName::Shamir),
            "shamir-active" => Ok(ProtocolName::ShamirActive),
            "gmw" => Ok(ProtocolName::Gmw),
            "beaver" => Ok(ProtocolName::Beaver),
            "additive-mac" => Ok(ProtocolName::AdditiveMac),
            _ => {
                let remedy = format!("choose one of: {}, auto", NAMES.join(", "));
                Err(ConfigError::field("protocol", format!("is `{name}`, which this version does not have"), remedy))
            }
        }
    }
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            ProtocolName::Rep3 => "rep3",
            ProtocolName::Rep4 => "rep4",
            ProtocolName::Additive => "additive",
            ProtocolName::Shamir => "shamir",
            ProtocolName::ShamirActive => "shamir-active",
            ProtocolName::Gmw => "gmw",
            ProtocolName::Beaver => "beaver",
            ProtocolName::AdditiveMac => "additive-mac",
        }
    }
    /// How many parties it takes, a helper or dealer included.
    pub fn parties(self) -> std::ops::RangeInclusive<usize> {
        match self {
            ProtocolName::Rep3 => 3..=3,
            ProtocolName::Rep4 => 4..=4,
            ProtocolName::Additive | ProtocolName::AdditiveMac => 3..=8,
            ProtocolName::Shamir | ProtocolName::ShamirActive => 3..=31,
            ProtocolName::Gmw => 2..=2,
            ProtocolName::Beaver => 3..=5,
        }
    }
    /// The party that may or must be without rows, of so many; and whether it must.
    pub fn rowless(self, parties: usize) -> Option<(usize, bool)> {
        match self {
            ProtocolName::Rep3 | ProtocolName::Gmw | ProtocolName::Beaver => None,
            ProtocolName::Rep4 | ProtocolName::Shamir | ProtocolName::ShamirActive => Some((parties - 1, false)),
            ProtocolName::Additive | ProtocolName::AdditiveMac => Some((0, true)),
        }
    }
    /// Whether it takes an odd number of parties only.
    pub fn odd(self) -> bool {
        self == ProtocolName::ShamirActive
    }
    /// Whether its numbers are elements of a field, with less room than words.
    pub fn in_a_field(self) -> bool {
        matches!(self, ProtocolName::Shamir | ProtocolName::ShamirActive)
    }
    /// Whether the first participant deals and has no inputs.
    pub fn dealt(self) -> bool {
        matches!(self, ProtocolName::Additive | ProtocolName::AdditiveMac)
    }
    /// Whether it has sine series.
    pub fn has_series(self) -> bool {
        matches!(self, ProtocolName::Rep3 | ProtocolName::Additive)
    }
    /// What a corrupt party may do without harm.
    pub fn adversary(self) -> &'static str {
        match self {
            ProtocolName::Rep3 | ProtocolName::Additive | ProtocolName::Gmw => "passive",
            ProtocolName::Beaver | ProtocolName::Shamir => "passive",
            ProtocolName::Rep4 | ProtocolName::AdditiveMac | ProtocolName::ShamirActive => "active",
        }
    }
    /// What its secrecy and its checks rest on, in numbers: length of keys, and below which a wrong value passes. The arguments are in `docs/protocols/`.
    pub fn security_parameter(self) -> &'static str {
        match self {
            ProtocolName::Rep3 | ProtocolName::Additive | ProtocolName::Gmw => "128-bit keys, nothing checked",
            ProtocolName::Beaver | ProtocolName::Shamir => "128-bit keys, nothing checked",
            // Spec rep4, 10.8: in a window of 2^40 blocks.
            ProtocolName::Rep4 => "128-bit keys, a wrong value passes below 2^-87",
            // Spec additive-mac, 14.
            ProtocolName::AdditiveMac => "128-bit keys, a wrong value passes below 2^-40",
            // Spec shamir, 19.7.
            ProtocolName::ShamirActive => "128-bit keys, a wrong value passes below 2^-50",
        }
    }
    /// What it protects against, in plain words.
    pub fn guarantee(self) -> &'static str {
        match self {
            ProtocolName::Rep3 => {
                "rep3: three parties; inputs stay hidden from any one party that follows the protocol but is curious; \
                 two parties that collude, or one that deviates, are not covered"
            }
            ProtocolName::Rep4 => {
                "rep4: four parties; inputs stay hidden from any one party and results are right or withheld from all, even if \
                 that party deviates from the protocol as it likes; two parties that collude are not covered, nor is a party \
                 that gives false rows within the declared ranges"
            }
            ProtocolName::Additive => {
                "additive: inputs stay hidden from all parties but one together, as long as they follow the protocol and the dealer, \
                 listed first, does too and colludes with nobody: the dealer must be another organisation than all parties; it has \
                 no rows and sees no value but what is opened to all; with any party's help it could read everything"
            }
            ProtocolName::Shamir => {
                "shamir: inputs stay hidden from as many parties together as the threshold says, fewer than half of them, as long as \
                 they follow the protocol; one more could read everything, and one that deviates is not covered"
            }
            ProtocolName::ShamirActive => {
                "shamir-active: inputs stay hidden from fewer than half of the parties together and every result that an honest party \
                 gets is right, even if those deviate from the protocol as they like; they can keep results from others, also when they \
                 get them themselves; one party more could read and falsify everything; a party that gives false rows is not covered"
            }
            ProtocolName::Gmw => {
                "gmw: two parties and nobody else; inputs stay hidden from the other party as long as both follow the protocol; one that \
                 deviates is not covered: it can falsify the results and may learn more than it should"
            }
            ProtocolName::Beaver => {
                "beaver: three to five parties and nobody else; inputs stay hidden from all parties but one together as long as they follow \
                 the protocol; one that deviates is not covered: it can falsify the results and may learn more than it should"
            }
            ProtocolName::AdditiveMac => {
                "additive-mac: inputs stay hidden from all parties but one together and results are right or withheld from all, even if \
                 those parties deviate from the protocol as they like, as long as the dealer, listed first, follows it and colludes with \
                 nobody: the dealer must be another organisation than all parties; it has no rows and sees no value but what is opened \
                 to all; with any party's help it could read everything; a party that gives false rows is not covered"
            }
        }
    }
}

impl Serialize for ProtocolName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

/// What a party measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Payload bytes sent to each party.
    pub bytes_sent: Vec<u64>,
    /// Messages in sequence up to this party's end.
    pub rounds: u64,
    /// Payload frames sent.
    pub frames: u64,
    /// Bytes sent by operation.
    pub operations: BTreeMap<&'static str, u64>,
    /// How many times all parties agreed that what was checked holds; 0 where nothing is.
    pub verdicts: u64,
    /// Parties that were lost on the way, where the others went on.
    pub lost: Vec<usize>,
}

/// Keeps the shares of any protocol.
pub trait Keepers: Keeper<ArithmeticShare> + Keeper<Tensor<u64>> + Keeper<Tensor<M61>> {}

impl<K: Keeper<ArithmeticShare> + Keeper<Tensor<u64>> + Keeper<Tensor<M61>>> Keepers for K {}

/// Runs the program of a job over a session, and over more of them, as many as its lanes. They come back whatever happened, for their
/// orderly end.
pub fn execute(
    job: &Job,
    mut sessions: Vec<Party>,
    inputs: Inputs<u64>,
    observer: &mut dyn Observer,
    keeper: &mut dyn Keepers,
    publisher: &mut dyn Publisher,
) -> (Result<Outcome, JobError>, Measured, Vec<Party>) {
    if sessions.len() != job.file().training.lanes {
        let problem = format!("{} sessions for {} lanes", sessions.len(), job.file().training.lanes);
        return (Err(JobError::Internal(problem)), Measured::of(None), sessions);
    }
    let first = sessions.remove(0);
    macro_rules! run {
        ($start:expr, $inputs:expr) => {
            run!($start, $inputs, |_| Vec::new())
        };
        ($start:expr, $inputs:expr, $lost:expr) => {
            match $start(first, job.config()).and_then(|p| p.with_lanes(sessions)) {
                Err(error) => (Err(error.into()), Measured::of(None), Vec::new()),
                Ok(mut p) => {
                    let outcome = program::run(&mut p, job, $inputs, observer, keeper, publisher);
                    let lost = $lost(&p);
                    let parties = p.into_parties();
                    (outcome, Measured { lost, ..Measured::of(parties.first()) }, parties)
                }
            }
        };
    }
    match job.protocol() {
        ProtocolName::Rep3 => run!(Rep3::new, inputs),
        ProtocolName::Rep4 => run!(Rep4::new, inputs),
        ProtocolName::Additive => run!(Rep3::additive, inputs),
        ProtocolName::AdditiveMac => run!(AdditiveMac::new, inputs),
        ProtocolName::Gmw => run!(Gmw::new, inputs),
        ProtocolName::Beaver => run!(Beaver::<u64>::transferred, inputs),
        ProtocolName::Shamir => {
            let start = if survives(job) { Shamir::surviving } else { Shamir::new };
            run!(|party, config| start(party, config, job.threshold()), inputs.over::<M61>(), Shamir::lost)
        }
        ProtocolName::ShamirActive => {
            run!(|party, config| ShamirActive::new(party, config, job.threshold()), inputs.over::<M61>())
        }
    }
}

/// Whether the parties of a job go on at once without those that are lost.
fn survives(job: &Job) -> bool {
    job.file().on_loss == OnLoss::Survive
}

/// The price of the program of a job.
///
/// # Errors
/// A format that cannot hold the model or the statistics.
pub fn price(job: &Job, speeds: Speeds) -> Result<Clock, JobError> {
    match job.protocol() {
        ProtocolName::Rep3 => count(job, Rep3Costs::new(job.config().radix), speeds),
        ProtocolName::Rep4 => count(job, Rep4Costs { radix: job.config().radix }, speeds),
        ProtocolName::Additive => count(job, Rep3Costs::additive(job.owners(), job.config().radix), speeds),
        ProtocolName::Shamir => {
            let costs = if survives(job) { ShamirCosts::surviving } else { ShamirCosts::new };
            count(job, costs(job.names().len(), job.threshold(), job.config().mode), speeds)
        }
        ProtocolName::ShamirActive => count(job, ShamirActiveCosts::new(job.threshold(), job.config().mode), speeds),
        ProtocolName::Gmw => count(job, GmwCosts, speeds),
        ProtocolName::Beaver => {
            count(job, BeaverCosts::<u64>::transferred(job.names().len(), job.config().mode), speeds)
        }
        ProtocolName::AdditiveMac => count(job, AdditiveMacCosts::new(job.owners(), job.config().radix), speeds),
    }
}

fn count<C: Costs>(job: &Job, costs: C, speeds: Speeds) -> Result<Clock, JobError> {
    let mut p = Count::new(job.config(), costs, speeds);
    program::run(&mut p, job, Inputs::none(job), &mut (), &mut (), &mut ())?;
    Ok(p.clock().clone())
}

/// Predicted seconds of `len` comparisons at once.
pub(crate) fn comparison_seconds(
    (protocol, parties): (ProtocolName, usize),
    config: Config,
    speeds: Speeds,
    len: usize,
) -> f64 {
    let seconds = |costs: &dyn Costs| {
        let mut clock = Clock::new(costs.parties(), speeds);
        costs.signs(&mut clock, &[len], config.width, &[]);
        clock.seconds()
    };
    match protocol {
        ProtocolName::Rep3 => seconds(&Rep3Costs::new(config.radix)),
        ProtocolName::Rep4 => seconds(&Rep4Costs { radix: config.radix }),
        ProtocolName::Additive => seconds(&Rep3Costs::additive(parties - 1, config.radix)),
        // The same for all fan-ins.
        ProtocolName::Shamir | ProtocolName::ShamirActive | ProtocolName::Beaver => 0.0,
        ProtocolName::Gmw => seconds(&GmwCosts),
        ProtocolName::AdditiveMac => seconds(&AdditiveMacCosts::new(parties - 1, config.radix)),
    }
}

/// Runs the program in the clear, on everybody's inputs: the fixed-point twin.
///
/// # Errors
/// As the program; the inputs of all parties must be there.
pub fn twin(job: &Job, inputs: Inputs<u64>, observer: &mut dyn Observer) -> Result<Outcome, JobError> {
    program::run(&mut Plain::new(job.config(), job.rows().len()), job, inputs, observer, &mut (), &mut ())
}

impl Measured {
    fn of(party: Option<&Party>) -> Self {
        let traffic = party.map(|p| p.traffic().clone()).unwrap_or_default();
        Measured {
            bytes_sent: party.map(|p| p.bytes_sent().to_vec()).unwrap_or_default(),
            rounds: party.map_or(0, Party::rounds),
            frames: traffic.values().map(|t| t.frames).sum(),
            verdicts: party.map_or(0, Party::verdicts),
            operations: traffic.into_iter().map(|(name, t)| (name, t.bytes)).collect(),
            lost: Vec::new(),
        }
    }
}
