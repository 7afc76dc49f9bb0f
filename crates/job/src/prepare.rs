//! A party's rows, from its file to fixed-point integers. All of it is local.

use crate::distil::Voting;
use crate::file::Holdout;
use crate::program::Encoded;
use crate::{Job, JobError, noise};
use privity_data::{Limits, Table, quantise, split};
use privity_ring::{Ring, Shape, Tensor};
use std::path::Path;

/// A party's rows in the clear. `Debug` prints shapes only.
#[derive(Clone, Debug)]
pub struct Rows {
    /// To train on.
    pub train: Table,
    /// To evaluate on.
    pub test: Table,
}

/// Reads and splits a party's file; a helper has none.
///
/// # Errors
/// A file that breaks the contract or has other numbers of rows than agreed; a file missing, or given by a helper.
pub fn load(job: &Job, party: usize, data: Option<&Path>, test_data: Option<&Path>) -> Result<Rows, JobError> {
    let helper = !job.file().participants[party].has_rows();
    let data = match (data, test_data) {
        (Some(data), _) if !helper => data,
        (None, None) if helper => return Ok(nothing(job)?),
        _ => return Err(crate::ConfigError::Data { party: job.names()[party].clone(), helper }.into()),
    };
    let read = |path: &Path| privity_data::load(path, job.schema(), &Limits::default());
    let test = test_data.map(read).transpose()?;
    divide(job, party, read(data)?, test)
}

/// The rows of a party without any.
///
/// # Errors
/// None in practice: an empty table under the job's schema is sound.
pub fn nothing(job: &Job) -> Result<Rows, privity_data::DataError> {
    let names = job.schema().feature_names();
    let table = Table::new(names, Vec::new(), Vec::new(), Vec::new())?;
    Ok(Rows { train: table.clone(), test: table })
}

/// Splits a party's table as the job says.
///
/// # Errors
/// Other numbers of rows than agreed; a second table given without need, or missing.
pub fn divide(job: &Job, party: usize, table: Table, test: Option<Table>) -> Result<Rows, JobError> {
    let declared = job.rows()[party];
    if job.file().score.is_some() {
        check(job, party, "rows", table.rows(), declared.test)?;
        return match test {
            Some(_) => Err(crate::ConfigError::TestData { needed: "takes no" }.into()),
            None => Ok(Rows { train: table.select(&[]), test: table }),
        };
    }
    let rows = match (job.file().evaluation.holdout, test) {
        (Holdout::File, Some(test)) => Rows { train: table, test },
        (Holdout::File, None) if declared.test == 0 => Rows { test: table.select(&[]), train: table },
        (Holdout::File, None) => return Err(crate::ConfigError::TestData { needed: "needs" }.into()),
        (_, Some(_)) => return Err(crate::ConfigError::TestData { needed: "takes no" }.into()),
        (Holdout::FromDay(day), None) => {
            let parts = split::by_day(&table, day)?;
            Rows { train: table.select(&parts.train), test: table.select(&parts.test) }
        }
        (Holdout::Random, None) => {
            check(job, party, "rows", table.rows(), declared.train + declared.test)?;
            let mut shares = vec![declared.train as f64, declared.test as f64];
            shares.retain(|share| *share > 0.0);
            let parts = split::by_fractions(table.rows(), &shares, job.file().training.seed)?;
            let test = parts.get(1).map_or(&[][..], |rows| rows);
            Rows { train: table.select(&parts[0]), test: table.select(test) }
        }
    };
    check(job, party, "training rows", rows.train.rows(), declared.train)?;
    check(job, party, "test rows", rows.test.rows(), declared.test)?;
    Ok(rows)
}

fn check(job: &Job, party: usize, what: &'static str, found: usize, declared: usize) -> Result<(), JobError> {
    match found == declared {
        true => Ok(()),
        false => Err(JobError::Rows { party: job.names()[party].clone(), what, found, declared }),
    }
}

/// Scales and encodes a party's rows.
///
/// # Errors
/// A value beyond the range that the schema declares, or that the job assumes where it declares none.
pub fn encode<R: Ring>(job: &Job, rows: &Rows) -> Result<Encoded<R>, JobError> {
    let (train, labels) = encode_table(job, &rows.train)?;
    let (test, test_labels) = match job.file().score {
        // Labels of rows that are scored stay where they are.
        Some(_) => (encode_features(job, &rows.test)?, Tensor::zeros(&Shape::vector(0))),
        None => encode_table(job, &rows.test)?,
    };
    let (groups, group_labels) = match job.voting() {
        Some(voting) => encode_table(job, &by_groups(job, &voting, &rows.train)?)?,
        None => encode_table(job, &rows.train.select(&[]))?,
    };
    Ok(Encoded { train, labels, test, test_labels, groups, group_labels, noise: Vec::new(), models: Vec::new() })
}

/// Public questions, scaled and encoded as rows are; values beyond the range of the job are brought to it.
///
/// # Errors
/// None in practice: what is clamped is in range.
pub fn questions<R: Ring>(job: &Job, questions: &Table) -> Result<Tensor<R>, JobError> {
    let (scaling, format) = (job.scaling(), job.config().fixed);
    let scaled = scaling.table(questions)?;
    let within = scaled.features().iter().map(|x| x.clamp(-scaling.bound, scaling.bound)).collect();
    let clamped = Table::new(scaled.names().to_vec(), within, Vec::new(), Vec::new())?;
    Ok(quantise::quantise(&clamped, format, scaling.bound)?)
}

/// This party's noise for all releases, drawn now.
///
/// # Errors
/// No randomness.
pub fn noise<R: Ring>(job: &Job) -> Result<Vec<Tensor<R>>, JobError> {
    let (Some((distillation, questions)), Some(voting)) = (job.distillation(), job.voting()) else {
        return Ok(Vec::new());
    };
    let (releases, questions) = (distillation.releases(job.file().training.epochs), questions.rows());
    let variance = voting.variance_each(questions, releases, job.rows().len());
    let tensor = |_| {
        let draws = noise::gaussian(variance, questions)?;
        Ok(Tensor::new(Shape::vector(questions), draws.into_iter().map(|x| R::from_u64(x as u64)).collect()))
    };
    (0..releases).map(tensor).collect()
}

/// Rows that an owner of `rows` gives each group, whoever is in it: the number gives nobody away.
pub(crate) fn group_size(rows: usize, voting: &Voting) -> usize {
    (rows / voting.teachers).min(voting.rows)
}

/// An owner's rows by groups of people, [`group_size`] for each: of more some are left out, of fewer some are repeated. All rows of a
/// person, at every owner, are in one group.
fn by_groups(job: &Job, voting: &Voting, table: &Table) -> Result<Table, JobError> {
    let size = group_size(table.rows(), voting);
    if size == 0 {
        return Ok(table.select(&[]));
    }
    let mut groups = vec![Vec::new(); voting.teachers];
    for (row, person) in table.persons().iter().enumerate() {
        groups[group_of(job.file().training.seed, *person, voting.teachers)].push(row);
    }
    let mut chosen = Vec::with_capacity(voting.teachers * size);
    for (group, rows) in groups.iter().enumerate() {
        if rows.is_empty() {
            return Err(JobError::EmptyGroup { group, teachers: voting.teachers });
        }
        chosen.extend((0..size).map(|i| rows[if rows.len() > size { i * rows.len() / size } else { i % rows.len() }]));
    }
    Ok(table.select(&chosen))
}

/// The group of a person: the same at every owner.
fn group_of(seed: u64, person: u64, groups: usize) -> usize {
    let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 group of a person");
    hasher.update(&seed.to_le_bytes()).update(&person.to_le_bytes());
    let hash = hasher.finalize();
    (u64::from_le_bytes(std::array::from_fn(|i| hash.as_bytes()[i])) % groups as u64) as usize
}

type Pair<R> = (privity_ring::Tensor<R>, privity_ring::Tensor<R>);

fn encode_table<R: Ring>(job: &Job, table: &Table) -> Result<Pair<R>, JobError> {
    let labels = quantise::quantise_labels(table, job.config().fixed)?;
    Ok((encode_features(job, table)?, labels.reshape(Shape::vector(table.rows()))))
}

fn encode_features<R: Ring>(job: &Job, table: &Table) -> Result<Tensor<R>, JobError> {
    let scaling = job.scaling();
    Ok(quantise::quantise(&scaling.table(table)?, job.config().fixed, scaling.bound)?)
}
