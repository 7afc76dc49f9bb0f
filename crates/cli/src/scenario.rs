//! What the demonstrations train: tables of three owners and a job file.

use crate::error::CliError;
use clap::ValueEnum;
use privity_data::{Schema, Table, breast_cancer};
use privity_job::JobFile;
use privity_job::file::{
    DataSection, Evaluation, Holdout, LinkSection, Metrics, Numbers, Outputs, Participant, SchemaSource, Truncation,
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
}

impl Case {
    /// Whether positives are so rare that accuracy says nothing.
    pub fn is_rare(self) -> bool {
        match self {
            Case::BreastCancer => false,
        }
    }
}

/// Model families of the demonstration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// Logistic regression.
    Logistic,
    /// Multi-layer perceptron with 16 hidden neurons.
    Mlp,
}

/// Choices of the user.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// The case.
    pub case: Case,
    /// The model.
    pub model: Family,
    /// Passes over the rows, if not the case's own number.
    pub epochs: Option<usize>,
    /// Exact rounding.
    pub exact: bool,
}

/// Owners' tables and what is to be done with them.
pub struct Scenario {
    /// What the files hold.
    pub schema: Schema,
    /// One table per party.
    pub tables: Vec<Table>,
    /// The job; addresses and fingerprints are still empty.
    pub file: JobFile,
}

impl Scenario {
    /// The scenario of a choice.
    pub fn new(choice: Choice) -> Result<Self, CliError> {
        match choice.case {
            Case::BreastCancer => breast_cancer_case(choice),
        }
    }
}

fn breast_cancer_case(choice: Choice) -> Result<Scenario, CliError> {
    let tables = breast_cancer::hospitals(SEED)?.to_vec();
    let names = ["hospital-a", "hospital-b", "hospital-c"];
    let participant = |(name, table): (&str, &Table)| {
        let test_rows = table.rows() / 4;
        Participant {
            name: name.into(),
            address: String::new(),
            fingerprint: None,
            certificate: None,
            rows: table.rows() - test_rows,
            test_rows,
        }
    };
    let participants = names.into_iter().zip(&tables).map(participant).collect();
    let kind = match choice.model {
        Family::Logistic => ModelKind::Logistic,
        Family::Mlp => ModelKind::Mlp { hidden: vec![16] },
    };
    let training = TrainSpec {
        epochs: choice.epochs.unwrap_or(20),
        batch: 64,
        learning_rate: 0.1,
        optimiser: Optimiser::Momentum { decay: 0.9 },
        seed: SEED,
        ..TrainSpec::default()
    };
    let truncation = if choice.exact { Truncation::Exact } else { Truncation::Fast };
    let file = JobFile {
        name: "breast-cancer".into(),
        protocol: "rep3".into(),
        participants,
        data: DataSection { schema: SchemaSource::Path("schema.toml".into()), standardise: true, input_bound: 64.0 },
        model: ModelSpec::new(kind),
        training,
        numbers: Numbers { truncation, ..Numbers::default() },
        link: LinkSection::default(),
        evaluation: Evaluation { holdout: Holdout::Random, metrics: Metrics::Secure, buckets: 32 },
        outputs: Outputs { model: vec![names[0].into()], ..Outputs::default() },
    };
    let schema = breast_cancer::schema().map_err(privity_data::DataError::from)?;
    Ok(Scenario { schema, tables, file })
}
