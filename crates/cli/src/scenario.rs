//! What the demonstrations train: tables of three owners and a job file.

use crate::error::CliError;
use clap::ValueEnum;
use privity_data::{Schema, Table, breast_cancer, fraud};
use privity_job::JobFile;
use privity_job::distil::{Distillation, Privacy, Voting};
use privity_job::file::{
    DataSection, Evaluation, Holdout, LinkSection, Metrics, Numbers, OnLoss, Outputs, Participant, SchemaSource,
    Truncation,
};
use privity_nn::spec::Optimiser;
use privity_nn::{ModelKind, ModelSpec, TrainSpec};

/// Seed of the split over owners and of training: public.
const SEED: u64 = 1;

/// What to demonstrate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// 569 real tumour records (UCI WDBC), three hospitals.
    BreastCancer,
    /// Made-up payments at three banks, some kinds of fraud visible only across them.
    Fraud,
}

impl Case {
    /// Whether positives are so rare that accuracy says nothing.
    pub fn is_rare(self) -> bool {
        self == Case::Fraud
    }
}

/// Model families of the demonstration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// Logistic regression.
    Logistic,
    /// Multi-layer perceptron: 16 hidden neurons for breast cancer, 64 and 32 for fraud.
    Mlp,
}

/// What the parties are protected against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Adversary {
    /// A party that follows the protocol and is curious: three parties, `rep3`.
    Passive,
    /// A party that deviates as it likes: four parties, `rep4`.
    Active,
    /// All parties but one, curious together, as long as a dealer without rows colludes with none of them: `additive`.
    AllButOne,
    /// The same parties, deviating as they like: `additive-mac`.
    AllButOneActive,
    /// Fewer than half of the parties, curious together: `shamir`. Of three that is one.
    Minority,
    /// The same parties, deviating as they like: `shamir-active`. Of an odd number.
    MinorityActive,
    /// Either of two parties, curious, and nobody else: `gmw`. Breast cancer only, by the first two hospitals.
    OneOfTwo,
}

/// Choices of the user.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// The case.
    pub case: Case,
    /// The model, if not the case's own.
    pub model: Option<Family>,
    /// Rows to generate, if not the case's own number.
    pub rows: Option<usize>,
    /// Passes over the rows, if not the case's own number.
    pub epochs: Option<usize>,
    /// What is protected against; a helper or a dealer may join the three owners.
    pub adversary: Adversary,
    /// Exact rounding.
    pub exact: bool,
    /// Sessions side by side.
    pub lanes: usize,
    /// Public models, if there are to be any.
    pub distil: Option<Distil>,
}

/// How public models are made.
#[derive(Clone, Copy, Debug)]
pub struct Distil {
    /// Every so many epochs.
    pub every: usize,
    /// What is promised of all of them together; nothing, if none.
    pub epsilon: Option<f64>,
}

/// Owners' tables and what is to be done with them.
pub struct Scenario {
    /// What the files hold.
    pub schema: Schema,
    /// One table per owner.
    pub tables: Vec<Table>,
    /// Features that an owner has by itself come first: so many.
    pub own_features: usize,
    /// Public rows to be asked, if there is distillation.
    pub questions: Option<Table>,
    /// The job; addresses and fingerprints are still empty.
    pub file: JobFile,
}

impl Scenario {
    /// The scenario of a choice.
    pub fn new(choice: Choice) -> Result<Self, CliError> {
        match choice.case {
            Case::BreastCancer => breast_cancer_case(choice),
            Case::Fraud => fraud_case(choice),
        }
    }
}

fn breast_cancer_case(choice: Choice) -> Result<Scenario, CliError> {
    if choice.distil.is_some() {
        return Err(CliError::Choice("--distil-every is for fraud: breast cancer has no public rows to ask about"));
    }
    if choice.rows.is_some() {
        return Err(CliError::Choice("--rows is for cases that are generated; there are 569 records of breast cancer"));
    }
    let mut tables = breast_cancer::hospitals(SEED)?.to_vec();
    if choice.adversary == Adversary::OneOfTwo {
        tables.truncate(2);
    }
    let schema = breast_cancer::schema().map_err(privity_data::DataError::from)?;
    let sizes = tables.iter().map(|t| (t.rows() - t.rows() / 4, t.rows() / 4)).collect::<Vec<_>>();
    let training = TrainSpec {
        epochs: choice.epochs.unwrap_or(20),
        batch: 64,
        learning_rate: 0.1,
        optimiser: Optimiser::Momentum { decay: 0.9 },
        seed: SEED,
        lanes: choice.lanes,
        ..TrainSpec::default()
    };
    let kind = match choice.model.unwrap_or(Family::Logistic) {
        Family::Logistic => ModelKind::Logistic,
        Family::Mlp => ModelKind::Mlp { hidden: vec![16] },
    };
    let names = ["hospital-a", "hospital-b", "hospital-c"];
    let file = job(choice, "breast-cancer", names, &sizes, ModelSpec::new(kind), training, Holdout::Random);
    Ok(Scenario { own_features: schema.feature_names().len(), schema, tables, questions: None, file })
}

/// Rows of the fraud case unless asked for others.
const FRAUD_ROWS: usize = 20_000;
/// Training rows seen in all, in two to ten passes: enough for the model, however many rows there are.
const FRAUD_VISITS: usize = 300_000;

fn fraud_case(choice: Choice) -> Result<Scenario, CliError> {
    if choice.adversary == Adversary::OneOfTwo {
        return Err(CliError::Choice(
            "--adversary one-of-two is for breast-cancer: the payments are those of three banks",
        ));
    }
    let banks = fraud::generate(choice.rows.unwrap_or(FRAUD_ROWS), SEED)?;
    let tables = banks.map(|bank| bank.table).to_vec();
    let schema = fraud::schema().map_err(privity_data::DataError::from)?;
    let early = |t: &Table| t.days().iter().filter(|day| **day < fraud::FIRST_TEST_DAY).count();
    let sizes = tables.iter().map(|t| (early(t), t.rows() - early(t))).collect::<Vec<_>>();
    let rows: usize = sizes.iter().map(|(train, _)| train).sum();
    let training = TrainSpec {
        epochs: choice.epochs.unwrap_or((FRAUD_VISITS / rows).clamp(2, 10)),
        batch: 128,
        learning_rate: 0.05,
        optimiser: Optimiser::Momentum { decay: 0.9 },
        seed: SEED,
        lanes: choice.lanes,
        ..TrainSpec::default()
    };
    let kind = match choice.model.unwrap_or(Family::Mlp) {
        Family::Logistic => ModelKind::Logistic,
        Family::Mlp => ModelKind::Mlp { hidden: vec![64, 32] },
    };
    let names = ["bank-a", "bank-b", "bank-c"];
    let holdout = Holdout::FromDay(fraud::FIRST_TEST_DAY);
    let mut file = job(choice, "fraud", names, &sizes, ModelSpec::new(kind), training, holdout);
    file.distillation = choice.distil.map(|distil| distillation(distil, names, rows));
    let count = |distil: Distil| if distil.epsilon.is_some() { QUESTIONS.0 } else { QUESTIONS.1 };
    let questions = choice.distil.map(|distil| questions(count(distil))).transpose()?;
    Ok(Scenario { own_features: fraud::OWN, schema, tables, questions, file })
}

/// Public rows that are asked about, if each answer costs privacy, and if it does not.
const QUESTIONS: (usize, usize) = (500, 5_000);
/// Training rows for each model that votes, about.
const ROWS_A_TEACHER: usize = 1_000;

/// Made-up payments of another world, one bank's after the other's.
fn questions(count: usize) -> Result<Table, CliError> {
    let banks = fraud::generate(20 * count, SEED + 1)?;
    let all = Table::concat(&banks.map(|bank| bank.table))?;
    let rows: Vec<usize> = (0..count).map(|i| i * all.rows() / count).collect();
    Ok(all.select(&rows))
}

fn distillation(distil: Distil, names: [&str; 3], rows: usize) -> Distillation {
    let voting = |epsilon| Voting {
        teachers: (rows / ROWS_A_TEACHER).clamp(10, 1_000),
        epsilon,
        delta: 1e-6,
        // Few payments are frauds: most votes fall at low odds.
        top: 1.5,
        rows: ROWS_A_TEACHER,
        epochs: 10,
    };
    Distillation {
        every: distil.every,
        questions: crate::demo::QUESTIONS.into(),
        digest: None,
        privacy: distil.epsilon.map_or(Privacy::None, |epsilon| Privacy::Voting(voting(epsilon))),
        consent: if distil.epsilon.is_none() { names.map(str::to_owned).to_vec() } else { Vec::new() },
        student: None,
    }
}

/// The job file of a case; `sizes` are training and test rows of each party, of as many as there are sizes.
fn job(
    choice: Choice,
    name: &str,
    names: [&str; 3],
    sizes: &[(usize, usize)],
    model: ModelSpec,
    training: TrainSpec,
    holdout: Holdout,
) -> JobFile {
    let participant = |(name, &(rows, test_rows)): (&str, &(usize, usize))| Participant {
        name: name.into(),
        address: String::new(),
        fingerprint: None,
        certificate: None,
        rows,
        test_rows,
        model: false,
    };
    let dealt = matches!(choice.adversary, Adversary::AllButOne | Adversary::AllButOneActive);
    let dealer = dealt.then_some(("dealer", &(0, 0)));
    let helper = (choice.adversary == Adversary::Active).then_some(("helper", &(0, 0)));
    let parties = dealer.into_iter().chain(names.into_iter().zip(sizes)).chain(helper);
    let truncation = if choice.exact { Truncation::Exact } else { Truncation::Fast };
    JobFile {
        name: name.into(),
        protocol: match choice.adversary {
            Adversary::Passive => "rep3",
            Adversary::Active => "rep4",
            Adversary::AllButOne => "additive",
            Adversary::Minority => "shamir",
            Adversary::MinorityActive => "shamir-active",
            Adversary::OneOfTwo => "gmw",
            Adversary::AllButOneActive => "additive-mac",
        }
        .into(),
        participants: parties.map(participant).collect(),
        data: DataSection { schema: SchemaSource::Path("schema.toml".into()), standardise: true, input_bound: 64.0 },
        model,
        training,
        numbers: Numbers { truncation, ..Numbers::default() },
        link: LinkSection::default(),
        evaluation: Evaluation { holdout, metrics: Metrics::Secure, buckets: 32 },
        outputs: Outputs { model: vec![names[0].into()], ..Outputs::default() },
        protection: None,
        threshold: None,
        on_loss: OnLoss::default(),
        after_loss: None,
        accept: None,
        admits: None,
        refits: None,
        keep: false,
        continues: None,
        distillation: None,
        checkpoint: None,
        score: None,
        mixed: Default::default(),
    }
}
