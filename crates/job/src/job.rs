//! A checked job.

use crate::distil::{Distillation, Privacy, Voting};
use crate::file::{
    ACCEPTED, Continues, JobFile, Metrics, Numbers, OnLoss, Participant, Predictions, RadixChoice, Truncation,
};
use crate::protocol::ProtocolName;
use crate::scaling::{BOUND, Scaling, clip_width};
use crate::score::{self, MOST_INVERSE, Mixed};
use crate::{ConfigError, file::Holdout};
use privity_data::{Schema, Table};
use privity_mpc::cost::Speeds;
use privity_mpc::{Config, Origin, Radix, Recipients, TruncMode};
use privity_nn::spec::{ModelKind, Sigmoid};
use privity_ring::Fixed;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Most rows of all parties together: sums of squares stay below 2^62.
const MAX_ROWS: usize = 1 << 21;

/// A job whose every field makes sense, alone and together with the others.
#[derive(Clone, Debug)]
pub struct Job {
    file: JobFile,
    schema: Schema,
    protocol: ProtocolName,
    config: Config,
    digest: [u8; 32],
    questions: Option<Arc<Table>>,
    schemes: Mixed,
    /// The most lanes that it may have, where it has fewer.
    most_lanes: usize,
}

/// Rows of each party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// To train on.
    pub train: usize,
    /// To evaluate on.
    pub test: usize,
}

impl Job {
    /// Reads and checks a job file.
    ///
    /// # Errors
    /// Whatever is wrong with it, with key, reason and remedy.
    pub fn load(path: &Path) -> Result<Job, ConfigError> {
        let failed = |e: std::io::Error| ConfigError::Read { file: path.into(), problem: e.to_string() };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        Job::new(JobFile::from_toml(&text)?, path.parent().unwrap_or(Path::new("")))
    }

    /// Checks a job file; paths in it are relative to `folder`.
    ///
    /// # Errors
    /// Whatever is wrong with it, with key, reason and remedy.
    pub fn new(file: JobFile, folder: &Path) -> Result<Job, ConfigError> {
        let file = crate::choice::settle(file, folder)?;
        let protocol = ProtocolName::parse(&file.protocol)?;
        let (mut file, schema) = file.resolve(folder)?;
        score::check(&file, protocol)?;
        if file.score.is_some() {
            // There is no epoch to go on from.
            file.on_loss = OnLoss::Abort;
        }
        check_on_loss(&file, protocol)?;
        check_continues(&file, protocol)?;
        check_admits(&file, protocol)?;
        check_refits(&file)?;
        check_participants(&file, protocol)?;
        check_checkpoint(&file)?;
        check_sections(&file, &schema, protocol)?;
        check_outputs(&file, protocol)?;
        check_threshold(&file, protocol)?;
        let config = config(&file, protocol);
        let schemes = score::settle(&file, protocol, config);
        let digest = file.digest()?;
        let questions = file.distillation.as_ref().map(|d| d.load(&schema)).transpose()?;
        if let (Some(distillation), Some(questions)) = (&file.distillation, &questions) {
            distillation.check(&file, &schema, questions.rows())?;
        }
        let most_lanes = file.training.lanes;
        Ok(Job { file, schema, protocol, config, digest, questions: questions.map(Arc::new), schemes, most_lanes })
    }

    /// The job file, with nothing left to look up elsewhere.
    pub fn file(&self) -> &JobFile {
        &self.file
    }
    /// What the parties' files hold.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
    /// The protocol.
    pub fn protocol(&self) -> ProtocolName {
        self.protocol
    }
    /// Numeric parameters of the protocol.
    pub fn config(&self) -> Config {
        self.config
    }
    /// The radix in force, as a choice that leaves nothing open.
    pub fn radix_choice(&self) -> RadixChoice {
        match self.config.radix {
            Radix::Two => RadixChoice::Two,
            Radix::Four => RadixChoice::Four,
        }
    }
    /// The schemes in force, for the operations that the job has.
    pub fn schemes(&self) -> Mixed {
        self.schemes
    }
    /// The participant whose models rows are scored with.
    pub fn model_owner(&self) -> Option<usize> {
        self.file.participants.iter().position(|p| p.model)
    }
    /// How many corrupt parties `shamir` or `shamir-active` withstands here.
    pub fn threshold(&self) -> usize {
        threshold(&self.file)
    }
    /// How many parties may be corrupt together without harm, a dealer not counted: it alone, as [`ProtocolName::guarantee`] says.
    pub fn corrupt(&self) -> usize {
        match self.protocol {
            ProtocolName::Rep3 | ProtocolName::Rep4 | ProtocolName::Gmw => 1,
            ProtocolName::Additive | ProtocolName::AdditiveMac | ProtocolName::Beaver => self.owners() - 1,
            ProtocolName::Shamir | ProtocolName::ShamirActive => self.threshold(),
        }
    }
    /// What the parties compare before they start.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
    /// The digest in hexadecimal.
    pub fn digest_hex(&self) -> String {
        blake3::Hash::from_bytes(self.digest).to_hex().to_string()
    }
    /// Names in the order of roles.
    pub fn names(&self) -> Vec<String> {
        self.file.participants.iter().map(|p| p.name.clone()).collect()
    }
    /// The index of a participant.
    ///
    /// # Errors
    /// No participant has this name.
    pub fn index(&self, name: &str) -> Result<usize, ConfigError> {
        let known = || self.names().join(", ");
        let position = self.file.participants.iter().position(|p| p.name == name);
        position.ok_or_else(|| ConfigError::UnknownParty { name: name.into(), known: known() })
    }
    /// Rows of each party.
    pub fn rows(&self) -> Vec<Rows> {
        let scores = self.file.score.is_some();
        let rows = |p: &Participant| match scores {
            true => Rows { train: 0, test: p.rows },
            false => Rows { train: p.rows, test: p.test_rows },
        };
        self.file.participants.iter().map(rows).collect()
    }
    /// Number of parties that bring rows or models.
    pub fn owners(&self) -> usize {
        self.file.participants.iter().filter(|p| !p.is_helper()).count()
    }
    /// Their names.
    pub fn owner_names(&self) -> Vec<String> {
        self.file.participants.iter().filter(|p| !p.is_helper()).map(|p| p.name.clone()).collect()
    }
    /// The amendment by which the three others go on without this party, the same at each of them.
    ///
    /// # Errors
    /// The lost party alone was to learn the model.
    pub fn without(&self, lost: usize) -> Result<Job, ConfigError> {
        let mut file = self.file.clone();
        let (names, gone) = (self.names(), self.names()[lost].clone());
        let stay = |name: &String| *name != gone;
        file.protocol = ProtocolName::Rep3.name().into();
        (file.on_loss, file.after_loss, file.accept) = (OnLoss::Pause, None, None);
        file.protection = None;
        file.participants = privity_mpc::rep3::roles_without(lost).map(|i| self.file.participants[i].clone()).into();
        if let Some(distillation) = &mut file.distillation {
            distillation.consent.retain(stay);
        }
        file.outputs.model.retain(stay);
        if file.outputs.model.is_empty() && !self.file.outputs.model.is_empty() {
            return Err(crate::loss::needed(&gone, "outputs.model"));
        }
        if let Some(names) = &mut file.outputs.metrics {
            names.retain(stay);
        }
        (file.admits, file.refits, file.checkpoint) = (None, None, None);
        file.continues = Some(Continues { job: self.digest_hex(), participants: names, accept: ACCEPTED.into() });
        file.training.lanes = self.most_lanes;
        Ok(Job::new(file, Path::new(""))?.in_lanes(self.file.training.lanes))
    }
    /// The same job in fewer lanes than it may have, with its digest: in exact mode the model is that of all lanes to the bit, and checkpoints know nothing
    /// of lanes (ADR 13). All parties must take the same number.
    pub fn in_lanes(mut self, lanes: usize) -> Job {
        self.file.training.lanes = lanes.clamp(1, self.most_lanes);
        self
    }
    /// The job file with all lanes that the job may have: what its digest is of.
    pub(crate) fn agreed(&self) -> JobFile {
        let mut file = self.file.clone();
        file.training.lanes = self.most_lanes;
        file
    }
    /// Digest of the job whose checkpoints this one goes on from, and under what they were kept.
    pub fn goes_on_from(&self) -> Option<(String, Origin)> {
        match (&self.file.continues, &self.file.admits) {
            (Some(before), _) => Some((before.job.clone(), Origin::Without(lost(before, &self.file.participants)?))),
            (None, Some(before)) => Some((before.job.clone(), Origin::Joined)),
            (None, None) => self.file.refits.as_ref().map(|before| (before.job.clone(), Origin::Same)),
        }
    }
    /// The protocol, and that it was another before.
    pub fn security(&self) -> String {
        let (name, adversary) = (self.protocol.name(), self.protocol.adversary());
        let before = self.file.continues.iter().flat_map(|before| &before.participants).collect::<Vec<_>>();
        match self.goes_on_from() {
            Some((_, Origin::Without(lost))) => format!(
                "{name} ({adversary}), going on from rep4 (active) without {}: passive security only",
                before[lost]
            ),
            Some((_, Origin::Joined)) => format!(
                "{name} ({adversary}), joined by {} and going on from rep3 (passive): passive security only, as for what was \
                 trained before",
                self.file.participants[3].name
            ),
            Some((job, Origin::Same)) => {
                format!("{name} ({adversary}), going on from what was kept of job {job}")
            }
            None => format!("{name} ({adversary})"),
        }
    }
    /// Number of features.
    pub fn features(&self) -> usize {
        self.schema.feature_names().len()
    }
    /// The public map that each party applies to its features before it shares them.
    pub fn scaling(&self) -> Scaling {
        let rows = self.rows().iter().map(|r| r.train).sum();
        match self.file.data.standardise {
            true => Scaling::from_schema(&self.schema, self.file.data.input_bound, rows, &self.config),
            false => Scaling::identity(self.features(), self.file.training.input_limit),
        }
    }
    /// What is distilled, and the public questions.
    pub fn distillation(&self) -> Option<(&Distillation, &Table)> {
        self.file.distillation.as_ref().zip(self.questions.as_deref())
    }
    /// The promise about groups of people, where releases vote.
    pub fn voting(&self) -> Option<Voting> {
        match self.file.distillation.as_ref()?.privacy {
            Privacy::Voting(voting) => Some(voting),
            Privacy::None => None,
        }
    }
    /// Who learns the model; `None`: nobody.
    pub fn model_recipients(&self) -> Option<Recipients> {
        self.recipients(&self.file.outputs.model)
    }
    /// Who learns joint figures; `None`: nobody, or they are not computed.
    pub fn metrics_recipients(&self) -> Option<Recipients> {
        let evaluated = self.file.evaluation.metrics == Metrics::Secure && self.tested() && self.file.score.is_none();
        match &self.file.outputs.metrics {
            _ if !evaluated => None,
            // A dealer learns nothing that it need not know to keep step.
            None if self.protocol.dealt() => Some(Recipients::of(&(1..self.names().len()).collect::<Vec<_>>())),
            None => Some(Recipients::ALL),
            Some(names) => self.recipients(names),
        }
    }
    /// Whether owners learn the predictions of their held-out rows.
    pub fn opens_predictions(&self) -> bool {
        self.file.outputs.predictions == Predictions::Owners && self.tested()
    }
    /// Whether there is any held-out row.
    pub fn tested(&self) -> bool {
        self.rows().iter().any(|rows| rows.test > 0)
    }

    fn recipients(&self, names: &[String]) -> Option<Recipients> {
        let of = |name: &String| self.file.participants.iter().position(|p| p.name == *name);
        let parties: Vec<usize> = names.iter().filter_map(of).collect();
        (!parties.is_empty()).then(|| Recipients::of(&parties))
    }
}

impl Participant {
    /// Whether it takes part in the computation without rows or models of its own.
    pub fn is_helper(&self) -> bool {
        !self.has_rows() && !self.model
    }
    /// Whether it brings rows.
    pub fn has_rows(&self) -> bool {
        self.rows > 0 || self.test_rows > 0
    }
    /// Reads the certificate if the fingerprint is not given.
    pub(crate) fn resolve(&mut self, index: usize, folder: &Path) -> Result<(), ConfigError> {
        let key = format!("participants[{index}]");
        match (&self.fingerprint, self.certificate.take()) {
            (Some(_), None) => Ok(()),
            (Some(_), Some(_)) => {
                Err(ConfigError::field(key, "has both a fingerprint and a certificate", "keep one of the two"))
            }
            (None, None) => Err(ConfigError::field(
                key,
                "has neither a fingerprint nor a certificate",
                "give the fingerprint that `privity keys new` printed at that party",
            )),
            (None, Some(path)) => {
                let refused = |e: rustls::pki_types::pem::Error| {
                    let problem = format!("names {path}, which is not a readable PEM certificate ({e})");
                    ConfigError::field(format!("{key}.certificate"), problem, "copy the party's certificate.pem there")
                };
                let certificate = CertificateDer::from_pem_file(folder.join(&path)).map_err(refused)?;
                self.fingerprint = Some(blake3::hash(&certificate).to_hex().to_string());
                Ok(())
            }
        }
    }
}

/// The one of the job of four that is not among these.
fn lost(continues: &Continues, participants: &[Participant]) -> Option<usize> {
    let here = |name: &String| participants.iter().any(|p| p.name == *name);
    let mut absent = (0..continues.participants.len()).filter(|i| !here(&continues.participants[*i]));
    absent.next().filter(|_| absent.next().is_none())
}

fn check_on_loss(file: &JobFile, protocol: ProtocolName) -> Result<(), ConfigError> {
    if file.on_loss == OnLoss::Survive {
        let (parties, threshold) = (file.participants.len(), threshold(file));
        if protocol != ProtocolName::Shamir || parties <= 2 * threshold + 1 {
            let problem =
                format!("is \"survive\", and of {parties} parties under {} none can be spared", protocol.name());
            let remedy =
                "set \"pause\" or \"abort\"; or use shamir with a threshold so low that 2 threshold + 1 are left";
            return Err(ConfigError::field("on_loss", problem, remedy));
        }
    }
    if file.on_loss != OnLoss::Continue {
        return match file.after_loss.is_none() && file.accept.is_none() {
            true => Ok(()),
            false => {
                let problem = "and `accept` say what comes after a loss, and the job does not go on after one";
                Err(ConfigError::field("after_loss", problem, "remove them, or set on_loss = \"continue\""))
            }
        };
    }
    if protocol != ProtocolName::Rep4 {
        let problem = "is \"continue\", and only of four parties (rep4) can three go on";
        return Err(ConfigError::field("on_loss", problem, "set \"pause\" or \"abort\""));
    }
    match file.after_loss.is_some() && file.accept.as_deref() == Some(ACCEPTED) {
        true => Ok(()),
        false => {
            let problem = "is \"continue\", which turns active security off, and the job does not say so";
            let remedy = format!("write after_loss = \"passive\" and accept = \"{ACCEPTED}\", if all owners do");
            Err(ConfigError::field("on_loss", problem, remedy))
        }
    }
}

fn check_continues(file: &JobFile, protocol: ProtocolName) -> Result<(), ConfigError> {
    let Some(continues) = &file.continues else { return Ok(()) };
    let refused = |key: &str, problem: &str, remedy: &str| {
        Err(ConfigError::field(format!("continues{key}"), problem.to_owned(), remedy.to_owned()))
    };
    if protocol != ProtocolName::Rep3 || file.on_loss != OnLoss::Pause {
        return refused(
            "",
            "is for jobs of rep3 that keep checkpoints",
            "set protocol = \"rep3\" and on_loss = \"pause\"",
        );
    }
    if continues.accept != ACCEPTED {
        let remedy = format!("write accept = \"{ACCEPTED}\", if all three owners do");
        return refused(".accept", "does not say what is accepted", &remedy);
    }
    if continues.job.len() != 64 || continues.participants.len() != 4 {
        return refused("", "does not name a job of four", "give its digest and its four participants in their order");
    }
    let Some(lost) = lost(continues, &file.participants) else {
        return refused(
            ".participants",
            "are not these and one more",
            "name the three that go on and the one that is gone",
        );
    };
    let expected = privity_mpc::rep3::roles_without(lost).map(|i| continues.participants[i].as_str());
    match file.participants.iter().map(|p| p.name.as_str()).eq(expected) {
        true => Ok(()),
        false => {
            let remedy = format!("list {}", expected.join(", "));
            Err(ConfigError::field("participants", "are not in the order of their new roles", remedy))
        }
    }
}

fn check_admits(file: &JobFile, protocol: ProtocolName) -> Result<(), ConfigError> {
    let Some(admits) = &file.admits else { return Ok(()) };
    let refused = |problem: &str, remedy: &str| Err(ConfigError::field("admits", problem, remedy));
    if protocol != ProtocolName::Rep4 || file.on_loss == OnLoss::Abort || file.continues.is_some() {
        let remedy = "set protocol = \"rep4\", on_loss = \"pause\" or \"continue\", and no [continues]";
        return refused("is for jobs of four that go on from checkpoints of three", remedy);
    }
    match admits.job.len() == 64 && admits.job.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
        true => Ok(()),
        false => refused("does not name a job of three", "give the digest that `privity plan` prints for it"),
    }
}

fn check_refits(file: &JobFile) -> Result<(), ConfigError> {
    if (file.keep || file.refits.is_some()) && file.on_loss == OnLoss::Abort {
        let problem = "is \"abort\", under which nothing is kept";
        return Err(ConfigError::field("on_loss", problem, "set \"pause\""));
    }
    let Some(refits) = &file.refits else { return Ok(()) };
    let digest = refits.job.len() == 64 && refits.job.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    match digest && file.continues.is_none() && file.admits.is_none() {
        true => Ok(()),
        false => {
            let remedy = "give the digest that `privity plan` prints for the job that is done, and neither [continues] nor [admits]";
            Err(ConfigError::field("refits", "does not name a job that is done, or not alone", remedy))
        }
    }
}

fn check_checkpoint(file: &JobFile) -> Result<(), ConfigError> {
    let Some(escrow) = file.checkpoint.as_ref().map(|checkpoint| checkpoint.escrow) else { return Ok(()) };
    if file.on_loss != OnLoss::Pause {
        return Err(ConfigError::field(
            "checkpoint.escrow",
            "is for checkpoints that are waited for",
            "set on_loss = \"pause\"",
        ));
    }
    let others = file.participants.len() - 1;
    match crate::escrow::committee(escrow.threshold, file.participants.len()) {
        Ok(_) => Ok(()),
        Err(_) => {
            let problem = format!("asks for {} of {others} other parties", escrow.threshold);
            let remedy = format!("give a number from 2 to {others}, or leave it out");
            Err(ConfigError::field("checkpoint.escrow.threshold", problem, remedy))
        }
    }
}

fn check_participants(file: &JobFile, protocol: ProtocolName) -> Result<(), ConfigError> {
    let participants = &file.participants;
    let (name, parties) = (protocol.name(), protocol.parties());
    if !parties.contains(&participants.len()) {
        let (least, most) = (parties.start(), parties.end());
        let wanted = if least == most { format!("exactly {least}") } else { format!("{least} to {most}") };
        let problem = format!("lists {} parties and {name} needs {wanted}", participants.len());
        let remedy = format!("list {wanted}, each with its own [[participants]]");
        return Err(ConfigError::field("participants", problem, remedy));
    }
    if protocol.odd() && participants.len().is_multiple_of(2) {
        let problem = format!("lists {} parties and {name} needs an odd number of them", participants.len());
        return Err(ConfigError::field(
            "participants",
            problem,
            "add one, which may be a helper with rows = 0, or use shamir",
        ));
    }
    let rowless = protocol.rowless(participants.len());
    for (i, p) in participants.iter().enumerate() {
        let key = |field: &str| format!("participants[{i}].{field}");
        let plain = p.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !plain || p.name.is_empty() || p.name.len() > 64 {
            let remedy = "use 1 to 64 letters, digits, `-`, `_` or `.`";
            return Err(ConfigError::field(key("name"), "is not usable as a name", remedy));
        }
        if p.address.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
            return Err(ConfigError::field(key("address"), "is not host:port", "write it like \"10.0.0.1:7700\""));
        }
        let fingerprint = p.fingerprint.as_deref().unwrap_or_default();
        if fingerprint.len() != 64 || !fingerprint.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
            let remedy = "copy what `privity keys new` printed at that party";
            return Err(ConfigError::field(key("fingerprint"), "is not 64 lower-case hexadecimal digits", remedy));
        }
        // A helper that went on when another was lost stays one.
        let role = file.continues.is_some() || file.admits.is_some() || rowless.is_some_and(|(role, _)| role == i);
        let helper = p.is_helper() && role;
        if p.rows == 0 && !helper && file.score.is_none() {
            let remedy = "every party needs at least one row to train on; only the fourth of rep4 may be a helper without any, and \
                          the first of additive and additive-mac is a dealer without any";
            return Err(ConfigError::field(key("rows"), "is 0", remedy));
        }
        if rowless == Some((i, true)) && !p.is_helper() {
            let problem = "are given, and the first participant of additive and additive-mac is the dealer, who knows the masks of all";
            let remedy = "list first an organisation of its own, with rows = 0, that is none of the parties";
            return Err(ConfigError::field(key("rows"), problem, remedy));
        }
    }
    let all = participants.iter().try_fold(0usize, |sum, p| sum.checked_add(p.rows)?.checked_add(p.test_rows));
    if all.is_none_or(|all| all > MAX_ROWS) {
        let problem = format!("have more than {MAX_ROWS} rows together");
        return Err(ConfigError::field("participants", problem, "sample the rows"));
    }
    distinct("participants.name", participants.iter().map(|p| p.name.as_str()))?;
    // Several may be reached through one relay.
    let dialled = participants.iter().map(|p| p.address.as_str()).filter(|a| privity_net::relay::relays(a).is_empty());
    distinct("participants.address", dialled)?;
    distinct("participants.fingerprint", participants.iter().filter_map(|p| p.fingerprint.as_deref()))
}

fn distinct<'a>(key: &str, values: impl Iterator<Item = &'a str>) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    for value in values {
        if !seen.insert(value) {
            let problem = format!("`{value}` appears twice");
            return Err(ConfigError::field(key, problem, "every party is a different organisation with its own"));
        }
    }
    Ok(())
}

fn check_sections(file: &JobFile, schema: &Schema, protocol: ProtocolName) -> Result<(), ConfigError> {
    if !schema.has_label() && file.score.is_none() {
        return Err(ConfigError::field(
            "data.schema",
            "has no label column",
            "declare the column to predict as a label",
        ));
    }
    let within = |key: &str, x: f64, low: f64, high: f64| match (low..=high).contains(&x) {
        true => Ok(()),
        false => Err(ConfigError::field(key, format!("is {x}"), format!("give {low} to {high}"))),
    };
    within("data.input_bound", file.data.input_bound, 1e-3, 1e9)?;
    within("numbers.frac", f64::from(file.numbers.frac), 12.0, 20.0)?;
    within("numbers.width", f64::from(file.numbers.width), 16.0, 48.0)?;
    within("link.rtt_ms", file.link.rtt_ms, 0.0, 60_000.0)?;
    within("link.mbit", file.link.mbit, 0.001, 1e7)?;
    within("evaluation.buckets", file.evaluation.buckets as f64, 2.0, 1024.0)?;
    file.training.validate(&file.model).map_err(|e| ConfigError::field("training", e.to_string(), "correct it"))?;
    let exact = file.numbers.truncation == Truncation::Exact;
    if exact && file.model.sigmoid == Sigmoid::Fourier {
        let problem = "is fourier, which needs fast truncation";
        return Err(ConfigError::field("model.sigmoid", problem, "use piecewise, or truncation = \"fast\""));
    }
    if !protocol.has_series() && file.model.sigmoid == Sigmoid::Fourier {
        let problem = format!("is fourier, which {} does not have", protocol.name());
        return Err(ConfigError::field("model.sigmoid", problem, "use piecewise"));
    }
    if file.model.kind == ModelKind::Linear
        && file.outputs.predictions == Predictions::Nobody
        && file.outputs.model.is_empty()
    {
        let problem = "let nobody learn anything of a regression";
        return Err(ConfigError::field(
            "outputs",
            problem,
            "name a recipient of the model, or predictions = \"owners\"",
        ));
    }
    check_width(file)?;
    check_holdout(file, schema)
}

/// Whether standardised features can be limited, whatever their moments turn out to be. Models that are brought are checked as they are.
fn check_width(file: &JobFile) -> Result<(), ConfigError> {
    if !file.data.standardise || file.score.is_some() {
        return Ok(());
    }
    // Inverse deviations are right within 2^-12, and roundings add less than the rest of 1.
    let most = 2.0 * BOUND * MOST_INVERSE + 1.0;
    let (width, needed) = (file.numbers.width, clip_width(file.numbers.frac, most, file.training.input_limit));
    if width < needed {
        let problem = format!("is {width}, and standardised features reach {most} before they are limited");
        let remedy = format!("give {needed} or more, or set data.standardise = false");
        return Err(ConfigError::field("numbers.width", problem, remedy));
    }
    Ok(())
}

fn check_holdout(file: &JobFile, schema: &Schema) -> Result<(), ConfigError> {
    let has_day = schema.columns().iter().any(|c| matches!(c.kind, privity_data::Kind::Day));
    match file.evaluation.holdout {
        Holdout::FromDay(_) if !has_day => Err(ConfigError::field(
            "evaluation.holdout",
            "splits by day and the schema has no day column",
            "declare one, or use holdout = \"random\"",
        )),
        _ => Ok(()),
    }
}

fn check_outputs(file: &JobFile, protocol: ProtocolName) -> Result<(), ConfigError> {
    let names: BTreeSet<&str> = file.participants.iter().map(|p| p.name.as_str()).collect();
    let metrics = file.outputs.metrics.iter().flatten().map(|n| ("outputs.metrics", n));
    for (key, name) in file.outputs.model.iter().map(|n| ("outputs.model", n)).chain(metrics) {
        if !names.contains(name.as_str()) {
            let remedy = format!("choose among {}", names.iter().copied().collect::<Vec<_>>().join(", "));
            return Err(ConfigError::field(key, format!("names `{name}`, who is not a participant"), remedy));
        }
    }
    if protocol.dealt() {
        let dealer = &file.participants[0].name;
        let named = file.outputs.model.iter().chain(file.outputs.metrics.iter().flatten());
        if named.into_iter().any(|name| name == dealer) {
            let problem = format!("name `{dealer}`, the dealer, who is to learn nothing");
            return Err(ConfigError::field("outputs", problem, "name parties with rows"));
        }
        if file.distillation.is_some() {
            let problem = "takes noise of every party, and the dealer has no inputs";
            return Err(ConfigError::field("distillation", problem, "use rep3 or rep4, or remove it"));
        }
    }
    if matches!(protocol, ProtocolName::Gmw | ProtocolName::Beaver) && file.distillation.is_some() {
        let problem = format!("is not there under {}", protocol.name());
        return Err(ConfigError::field("distillation", problem, "use rep3 or rep4, or remove it"));
    }
    Ok(())
}

fn threshold(file: &JobFile) -> usize {
    file.threshold.unwrap_or(file.participants.len().saturating_sub(1) / 2)
}

fn check_threshold(file: &JobFile, protocol: ProtocolName) -> Result<(), ConfigError> {
    let Some(threshold) = file.threshold else { return Ok(()) };
    if protocol != ProtocolName::Shamir {
        let problem = format!("is a choice of shamir, and the protocol is {}", protocol.name());
        return Err(ConfigError::field("threshold", problem, "remove it, or use shamir"));
    }
    let parties = file.participants.len();
    if threshold == 0 || 2 * threshold >= parties {
        let problem = format!("is {threshold} of {parties} parties; fewer than half can be corrupt");
        return Err(ConfigError::field("threshold", problem, format!("choose 1 to {}", (parties - 1) / 2)));
    }
    match file.protection {
        Some(wanted) if wanted.colluding > threshold => {
            let problem = format!("is {threshold}, and protection.colluding is {}", wanted.colluding);
            Err(ConfigError::field("threshold", problem, "raise it, or lower protection.colluding"))
        }
        _ => Ok(()),
    }
}

fn config(file: &JobFile, protocol: ProtocolName) -> Config {
    let Numbers { frac, truncation, width, radix } = file.numbers;
    let mode = match truncation {
        Truncation::Fast => TruncMode::Fast,
        Truncation::Exact => TruncMode::Exact,
    };
    let room = if protocol.in_a_field() { Config::FIELD_ROOM } else { Config::RING_ROOM };
    let config = Config { fixed: Fixed { frac }, mode, width, radix: Radix::Four, room };
    let radix = match radix {
        RadixChoice::Two => Radix::Two,
        RadixChoice::Four => Radix::Four,
        RadixChoice::Auto => quicker(config, protocol, file),
    };
    Config { radix, ..config }
}

/// The radix with which the comparisons of one batch take less time on the declared link. It must come out alike at all
/// parties, so it rests on nothing measured.
fn quicker(config: Config, protocol: ProtocolName, file: &JobFile) -> Radix {
    let speeds = speeds(file, Speeds::default());
    let neurons: usize = file.model.sizes(0)[1..].iter().sum();
    let comparisons = file.training.batch * neurons;
    let scheme = (protocol, file.participants.len());
    let seconds = |radix| crate::protocol::comparison_seconds(scheme, Config { radix, ..config }, speeds, comparisons);
    if seconds(Radix::Two) < seconds(Radix::Four) { Radix::Two } else { Radix::Four }
}

/// Speeds with the declared link's latency and bandwidth.
pub(crate) fn speeds(file: &JobFile, machine: Speeds) -> Speeds {
    Speeds { latency: file.link.rtt_ms / 2e3, bandwidth: file.link.mbit * 1e6 / 8.0, ..machine }
}
