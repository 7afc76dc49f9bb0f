//! What nodes say to each other besides statements: bodies of `/peer/v1/...`.

use privity_api::{Attempt, Project, Statement, Time};
use serde::{Deserialize, Serialize};

/// Who comes with an invitation. The root certificate is that of the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knock {
    /// Number of the invitation.
    pub id: String,
    /// Name of the organisation.
    pub organisation: String,
    /// Who runs its machine.
    pub operator: String,
    /// Where it is reached.
    pub address: String,
    /// Whether it comes without data.
    pub helper: bool,
    /// BLAKE3 of a random number that is told later, so that the words cannot be tried out.
    pub commitment: String,
    /// Shows that it knows the invitation's secret: a hash of this, its root and the rest under the secret.
    pub proof: String,
}

/// The inviter's random number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// 32 bytes in hexadecimal.
    pub nonce: String,
}

/// The joiner's random number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reveal {
    /// Number of the invitation.
    pub id: String,
    /// What was committed to.
    pub nonce: String,
}

/// Where joining stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joining {
    /// The members, once a person at the inviter has confirmed the words.
    pub project: Option<Statement<Project>>,
}

/// Each lets one connection wait at a relay, for dialers of the member that was given it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tickets {
    /// 32 random bytes each, in hexadecimal.
    pub tickets: Vec<String>,
}

/// A place that is kept for an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// How many lanes it has.
    pub lanes: usize,
}

/// All participants have signed an attempt: it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Of every participant.
    pub attempts: Vec<Statement<Attempt>>,
}

/// An attempt ended, or must.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Digest of the manifest.
    pub manifest: String,
    /// Which attempt.
    pub number: u32,
    /// Whether everything is done.
    pub done: bool,
    /// If not, whether another attempt may help.
    pub again: bool,
    /// Exit code.
    pub code: u8,
    /// Why, in the words in which all members report it.
    pub reason: String,
}

impl End {
    /// An attempt ended before it was done, and another may help.
    pub fn again(manifest: &str, number: u32, code: u8, reason: &str) -> End {
        End { manifest: manifest.into(), number, done: false, again: true, code, reason: words(reason) }
    }
}

/// Words of somebody else's, as they may be kept and shown: no more than 500 letters, and none that steer a terminal.
pub fn words(text: &str) -> String {
    privity_api::printable(&text.chars().take(500).collect::<String>())
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pong {
    /// Who answers.
    pub organisation: String,
    /// Digest of its program.
    pub build: String,
    /// Its clock.
    #[schema(value_type = i64)]
    pub time: Time,
    /// Manifests that it runs, with the attempt.
    #[schema(value_type = Vec<Vec<Object>>)]
    pub running: Vec<(String, u32)>,
    /// Milliseconds that other members' last answers to it took.
    pub seen: std::collections::BTreeMap<String, u64>,
}
