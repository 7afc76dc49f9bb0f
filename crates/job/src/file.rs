//! The job file: all that the participants agree on before anything runs.
//!
//! ```toml
//! name = "breast-cancer"
//! protocol = "rep3"                 # or "rep4", "additive", "additive-mac", "gmw", "beaver", "shamir", "shamir-active", "auto"
//! on_loss = "pause"                 # or "abort": keep no checkpoints; or, of four, "continue": see [`OnLoss`]
//!
//! [[participants]]                  # rep3: three, the first deals the masks; rep4: four, the fourth deals them;
//!                                   # additive, additive-mac: a dealer (rows = 0), then two to seven; gmw: two;
//!                                   # beaver: three to five; shamir: 3 to 31; shamir-active: an odd number of 3 to 31
//! name = "north"
//! address = "10.0.0.1:7700"
//! fingerprint = "3f…"               # as `privity keys new` prints it; or certificate = "north.pem"
//! rows = 213                        # rows to train on
//! test_rows = 71                    # rows to evaluate on
//!
//! [data]
//! schema = "wdbc.schema.toml"       # or the columns themselves: [[data.schema.columns]]
//!
//! [model]
//! kind = { mlp = { hidden = [16] } }   # or "logistic", "linear"
//!
//! [training]
//! epochs = 20
//!
//! [outputs]
//! model = ["north"]                 # who learns the weights; nobody by default
//!
//! [distillation]                    # public models on the way: docs/protocols/distillation.md
//! every = 2                         # epochs
//! questions = "public.csv"
//! privacy = { voting = { teachers = 300, epsilon = 8.0, delta = 1e-6 } }
//!
//! [score]                           # instead of training: rows are scored with the models of the participant that says
//! models = 3                        # model = true, which none of the others sees: docs/protocols/scoring.md
//! output = "class"                  # or "prediction", of one model; or "shares"
//!
//! [mixed]                           # gmw: operations in the scheme that suits them; default: what is quicker on the link
//! argmax = "yao"                    # or "share"
//!
//! [checkpoint]                      # a party that lost its identity reads its checkpoints again: docs/protocols/escrow.md
//! escrow = { threshold = 2 }        # if so many others give its shares back
//! ```

use crate::choice::Adversary;
use crate::distil::Distillation;
use crate::score::{Mixed, Score};
use crate::{ConfigError, canonical};
use privity_data::Schema;
use privity_nn::{ModelSpec, TrainSpec};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A job file as it is written. [`crate::Job`] is the checked form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobFile {
    /// What the parties call the job.
    pub name: String,
    /// The protocol: see [`crate::protocol::NAMES`]; or `auto`: the quickest on the declared link that runs with these participants and
    /// gives the protection asked for.
    #[serde(default = "default_protocol")]
    pub protocol: String,
    /// What the protocol must withstand, at least. Default: what it does; under `auto` one party that is curious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<Protection>,
    /// How many corrupt parties `shamir` withstands, fewer than half of them. Default: as many as it can. The fewer, the less is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<usize>,
    /// What happens when a party is lost. Default pause.
    #[serde(default)]
    pub on_loss: OnLoss,
    /// What protects a job that goes on without a party. `on_loss = "continue"` needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_loss: Option<AfterLoss>,
    /// The words of [`ACCEPTED`]. `on_loss = "continue"` needs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<String>,
    /// The job of four parties that three go on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continues>,
    /// The job of three parties that a fourth joins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admits: Option<Admits>,
    /// The job whose model this one goes on training, with other rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refits: Option<Refits>,
    /// Whether shares of the model and of what the optimiser remembers are kept, encrypted, when the job is done: for a job that
    /// refits it. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
    /// The parties, in the order of their roles.
    pub participants: Vec<Participant>,
    /// What their files hold.
    pub data: DataSection,
    /// What to train.
    pub model: ModelSpec,
    /// How to train it.
    #[serde(default)]
    pub training: TrainSpec,
    /// Number formats.
    #[serde(default)]
    pub numbers: Numbers,
    /// The links that plans and automatic choices assume.
    #[serde(default)]
    pub link: LinkSection,
    /// How the model is judged.
    #[serde(default)]
    pub evaluation: Evaluation,
    /// Who learns what.
    #[serde(default)]
    pub outputs: Outputs,
    /// Public models made of the secret one while it is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distillation: Option<Distillation>,
    /// Who can help a party to read its checkpoints again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointSection>,
    /// Rows are scored with models that a participant owns; nothing is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
    /// Operations that are computed in another scheme.
    #[serde(default, skip_serializing_if = "Mixed::is_default")]
    pub mixed: Mixed,
}

/// How checkpoints are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointSection {
    /// The key of each party's checkpoints is shared among the others.
    pub escrow: Escrow,
}

/// Keys of checkpoints in shares: docs/protocols/escrow.md. So many others together can read the checkpoints of a party if they get at
/// the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escrow {
    /// Other parties that are enough, at least 2.
    pub threshold: usize,
}

impl Escrow {
    /// What it means, in plain words.
    pub fn meaning(self) -> String {
        format!(
            "keys of checkpoints are in escrow: any {} other parties together can give a party back the key of its checkpoints, and can read \
             its shares at the end of an epoch if they get at its files",
            self.threshold
        )
    }
}

/// What a job must be protected against, at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Protection {
    /// What corrupt parties do. Default passive.
    pub adversary: Adversary,
    /// How many of the owners may be corrupt together. Default 1.
    pub colluding: usize,
}

impl Default for Protection {
    fn default() -> Self {
        Protection { adversary: Adversary::Passive, colluding: 1 }
    }
}

/// An amendment: three of four parties go on, from their checkpoints, without the fourth. They agree on it as on any job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Continues {
    /// Digest of the job of four, 64 hex digits.
    pub job: String,
    /// Names of its participants, in its order.
    pub participants: Vec<String>,
    /// The words of [`ACCEPTED`].
    pub accept: String,
}

/// An amendment: a job of three goes on, from its checkpoints, with a fourth party, repaired or new. Its participants are the three in
/// their order, then the fourth. All four agree on it as on any job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admits {
    /// Digest of the job of three, 64 hex digits.
    pub job: String,
}

/// A model is trained on: the same parties in the same roles take what they kept of a job that is done and go on with the epochs
/// that this job has more, over the rows that they have now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refits {
    /// Digest of the job that is done, 64 hex digits.
    pub job: String,
}

/// What is accepted by going on without a party.
pub const ACCEPTED: &str = "whoever can disconnect one party turns active security off";

/// What happens when a party is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLoss {
    /// The others stop and keep, encrypted, what was verified at the end of the last epoch; `privity run --resume` at all
    /// parties goes on from there.
    #[default]
    Pause,
    /// The others stop; nothing is ever kept.
    Abort,
    /// Of four parties: if all three others sign that the fourth alone does not answer, they go on without it from the end of the
    /// last epoch, with passive security from then on; else as `pause`. Needs `after_loss` and `accept`.
    Continue,
    /// Under `shamir` with parties to spare (`2 threshold + 1` and more than half of all must be left): the others go on at once, in the same session. Else as `pause`.
    Survive,
}

impl OnLoss {
    /// What it means, in plain words.
    pub fn meaning(self) -> &'static str {
        match self {
            OnLoss::Pause => "if a party is lost: the others pause, and all go on later from the last epoch",
            OnLoss::Abort => "if a party is lost: the others stop, and nothing is kept",
            OnLoss::Survive => {
                "if a party is lost: the others go on at once, as long as twice the threshold and one, and more than half of all, are left; else they pause"
            }
            OnLoss::Continue => {
                "if a party is lost, as all three others sign: they go on without it from the last epoch, and whoever can \
                 disconnect one party turns active security off"
            }
        }
    }
}

/// What protects a job that goes on without a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterLoss {
    /// `rep3`: nothing guards against a party that deviates.
    Passive,
}

fn default_protocol() -> String {
    "rep3".into()
}

/// A party.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Participant {
    /// Its name: letters, digits, `-`, `_` and `.`, at most 64.
    pub name: String,
    /// Where it listens, `host:port`, or `relay:host:port` of the node through which it is reached.
    pub address: String,
    /// BLAKE3 of its certificate in DER, 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Its certificate as a PEM file beside the job file, instead of a fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Rows it trains on, or has scored. The fourth party of rep4 may have none: a helper.
    pub rows: usize,
    /// Rows it keeps for evaluation. Default 0.
    #[serde(default)]
    pub test_rows: usize,
    /// Whether it brings the models that rows are scored with. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub model: bool,
}

/// What the files hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSection {
    /// The contract, or the path of one, relative to the job file.
    pub schema: SchemaSource,
    /// Whether features are brought to joint mean 0 and variance 1, computed under the protocol. Default true.
    #[serde(default = "yes")]
    pub standardise: bool,
    /// Bound on the magnitude of features whose schema declares no range. Default 64.
    #[serde(default = "default_bound")]
    pub input_bound: f64,
}

fn yes() -> bool {
    true
}

fn default_bound() -> f64 {
    64.0
}

/// Where the contract is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SchemaSource {
    /// In a TOML file.
    Path(String),
    /// Here, as `[[data.schema.columns]]`.
    Inline(toml::Table),
}

/// Number formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Numbers {
    /// Fraction bits. Default 16.
    pub frac: u32,
    /// How products are rounded. Default fast.
    pub truncation: Truncation,
    /// Bits that comparisons read. Default 36. Jobs that standardise and train need 12 or 13 more than `frac`, by `training.input_limit`.
    pub width: u32,
    /// Fan-in of comparisons. Default auto.
    pub radix: RadixChoice,
}

impl Default for Numbers {
    fn default() -> Self {
        Numbers { frac: 16, truncation: Truncation::Fast, width: 36, radix: RadixChoice::Auto }
    }
}

/// How products are brought back to scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// Random rounding, fewest rounds.
    #[default]
    Fast,
    /// Rounding to nearest, equal to the plaintext twin bit for bit; more rounds.
    Exact,
}

/// Fan-in of comparisons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RadixChoice {
    /// Whichever the plan finds quicker on the declared link.
    #[default]
    Auto,
    /// Fewest bytes.
    Two,
    /// Fewest rounds.
    Four,
}

/// The links that plans assume.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSection {
    /// Round-trip time, milliseconds. Default 0.1.
    pub rtt_ms: f64,
    /// Megabits a second in each direction of each link. Default 10000.
    pub mbit: f64,
}

impl Default for LinkSection {
    fn default() -> Self {
        LinkSection { rtt_ms: 0.1, mbit: 10_000.0 }
    }
}

/// How the model is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluation {
    /// Which rows are kept for it. Default random.
    pub holdout: Holdout,
    /// Who computes the figures. Default secure.
    pub metrics: Metrics,
    /// Buckets of the jointly computed score histogram, on which the joint AUC rests. Default 32.
    pub buckets: usize,
}

impl Default for Evaluation {
    fn default() -> Self {
        Evaluation { holdout: Holdout::Random, metrics: Metrics::Secure, buckets: 32 }
    }
}

/// Which rows are kept for evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holdout {
    /// `test_rows` of the file, drawn with the seed of the training section.
    Random,
    /// Rows on or after this day of the schema's day column.
    FromDay(u32),
    /// All rows of a second file.
    File,
}

/// Who computes the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metrics {
    /// The protocol, over all held-out rows together: only counts are opened.
    Secure,
    /// Each owner, from its own predictions.
    Owners,
}

/// Who learns what. Results nobody learns are gone when the job ends: shares of a model are not kept yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outputs {
    /// Who learns the weights and the joint mean and deviation of each feature. Default nobody.
    pub model: Vec<String>,
    /// Who learns the predictions for held-out rows. Default owners.
    pub predictions: Predictions,
    /// Who learns joint figures. Default everyone.
    pub metrics: Option<Vec<String>>,
}

/// Who learns predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Predictions {
    /// Each party those of its own rows.
    #[default]
    Owners,
    /// Nobody.
    Nobody,
}

impl JobFile {
    /// Parses the TOML form.
    ///
    /// # Errors
    /// Not TOML, a field that is missing, unknown or of the wrong type.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|e| ConfigError::Parse { problem: e.to_string() })
    }

    /// The TOML form; [`JobFile::from_toml`] reads it back.
    ///
    /// # Errors
    /// A number TOML cannot hold.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(|e| ConfigError::Parse { problem: e.to_string() })
    }

    /// Replaces paths by what they hold, so that the file stands for itself wherever it is copied.
    ///
    /// # Errors
    /// A schema or certificate that cannot be read or is malformed.
    pub fn resolve(mut self, folder: &Path) -> Result<(Self, Schema), ConfigError> {
        let schema = match &self.data.schema {
            SchemaSource::Path(path) => {
                Schema::load(&folder.join(path)).map_err(|e| ConfigError::Schema { problem: e.to_string() })?
            }
            SchemaSource::Inline(table) => {
                table.clone().try_into().map_err(|e: toml::de::Error| ConfigError::Schema { problem: e.to_string() })?
            }
        };
        let inline = toml::Table::try_from(&schema).map_err(|e| ConfigError::Schema { problem: e.to_string() })?;
        self.data.schema = SchemaSource::Inline(inline);
        for (index, participant) in self.participants.iter_mut().enumerate() {
            participant.resolve(index, folder)?;
        }
        if let Some(distillation) = &mut self.distillation {
            distillation.resolve(folder)?;
        }
        Ok((self, schema))
    }

    /// BLAKE3 of the canonical form of a resolved file: what the parties compare before they start.
    ///
    /// # Errors
    /// A number JSON cannot hold.
    pub fn digest(&self) -> Result<[u8; 32], ConfigError> {
        let mut file = self.clone();
        if let Some(distillation) = &mut file.distillation {
            // What it holds is what is agreed on, not where each party has it.
            distillation.questions.clear();
        }
        let value = serde_json::to_value(&file).map_err(|e| ConfigError::Parse { problem: e.to_string() })?;
        let mut hasher = blake3::Hasher::new_derive_key("privity 2026 job file v1");
        hasher.update(canonical::write(&value).as_bytes());
        Ok(*hasher.finalize().as_bytes())
    }
}
