//! What a party makes of the answers of a release: a line in its record, and a public model with its figures.

use crate::distil;
use crate::model_file::ModelFile;
use crate::release::Publisher;
use crate::run::Quality;
use crate::{Job, JobError, export, write};
use privity_data::{Table, metrics};
use privity_nn::TrainSpec;
use privity_nn::float::{self, FloatModel, Matrix};
use privity_nn::model::{OpenLayer, OpenModel};
use privity_nn::spec::{Loss, ModelKind, ModelSpec, Optimiser, Schedule};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Name of the record of releases in a party's output directory.
const LEDGER: &str = "releases.jsonl";
/// Training rows on which membership is guessed, at most.
const MEMBERS: usize = 20_000;
/// Rows that a public model sees in its training, over all passes.
const VISITS: usize = 200_000;

/// A release, as the record keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    job: String,
    session: String,
    after_epochs: usize,
    questions: usize,
    /// Zero-concentrated privacy spent; none where nothing is promised.
    rho: Option<f64>,
    promise: String,
}

/// A public model, and how good it is here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// After so many epochs.
    pub after_epochs: usize,
    /// What is promised.
    pub promise: String,
    /// Loss of privacy of all releases on this party's record together, for the promise's delta; none if some promised nothing.
    pub epsilon_so_far: Option<f64>,
    /// Figures on this party's held-out rows.
    pub own: Option<Quality>,
    /// How well the public model's loss tells this party's training rows from its held-out ones: area under the curve, 0.5 is not at
    /// all.
    pub membership: Option<f64>,
    /// Files written.
    pub files: Vec<PathBuf>,
}

/// A party's record of releases and its public models.
pub(crate) struct Desk<'a> {
    job: &'a Job,
    out: &'a Path,
    session: String,
    security: String,
    members: Table,
    test: &'a Table,
    /// What was made in this run.
    pub releases: Vec<Release>,
}

/// Lines of the record in `out`. One that cannot be read is an error: it is a release of which nobody knows what it told.
fn lines(out: &Path) -> Result<Vec<Line>, JobError> {
    let path = out.join(LEDGER);
    let failed = |problem: String| JobError::Output { file: path.clone(), problem };
    match std::fs::read_to_string(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(failed(e.to_string())),
        Ok(text) => text.lines().map(|line| serde_json::from_str(line).map_err(|e| failed(e.to_string()))).collect(),
    }
}

/// What one release spends.
fn rho(job: &Job) -> Option<f64> {
    let (distillation, _) = job.distillation()?;
    let releases = distillation.releases(job.file().training.epochs).max(1);
    job.voting().map(|voting| voting.rho() / releases as f64)
}

/// Whether what is on record, with the releases still due, stays within the promise.
pub(crate) fn check_budget(job: &Job, out: &Path, done: usize) -> Result<(), JobError> {
    let (Some((distillation, _)), Some(voting), Some(rho)) = (job.distillation(), job.voting(), rho(job)) else {
        return Ok(());
    };
    let due = distillation.releases(job.file().training.epochs) - done / distillation.every;
    let spent: f64 = lines(out)?.iter().filter_map(|line| line.rho).sum();
    let then = spent + due as f64 * rho;
    // The sum of equal parts may differ from the whole in the last place.
    match then <= voting.rho() * (1.0 + 1e-9) {
        true => Ok(()),
        false => Err(JobError::Budget {
            file: out.join(LEDGER),
            spent: distil::epsilon(spent, voting.delta),
            then: distil::epsilon(then, voting.delta),
            most: voting.epsilon,
            delta: voting.delta,
        }),
    }
}

impl<'a> Desk<'a> {
    pub(crate) fn new(job: &'a Job, out: &'a Path, train: &Table, test: &'a Table) -> Self {
        let members: Vec<usize> = match job.distillation() {
            Some(_) => (0..train.rows()).step_by(train.rows().div_ceil(MEMBERS).max(1)).collect(),
            None => Vec::new(),
        };
        let members = train.select(&members);
        Desk { job, out, session: String::new(), security: job.security(), members, test, releases: Vec::new() }
    }

    /// Names the session that lines of the record are about, and what protected the training.
    pub(crate) fn session(&mut self, session: String, security: &str) {
        (self.session, self.security) = (session, security.into());
    }

    /// Figures of a public model on this party's rows.
    fn judge(&self, model: &ModelFile) -> Result<(Option<Quality>, Option<f64>), JobError> {
        if self.test.rows() == 0 || self.members.rows() == 0 {
            return Ok((None, None));
        }
        let (inside, outside) = (model.predict(&self.members)?, model.predict(self.test)?);
        let fit = |labels: &[f64], predictions: &[f64]| -> Vec<f64> {
            let likelihood = |(y, p): (&f64, &f64)| if *y == 1.0 { *p } else { 1.0 - p };
            labels.iter().zip(predictions).map(likelihood).collect()
        };
        let mut fits = fit(self.members.labels(), &inside);
        let mut member = vec![1.0; fits.len()];
        fits.extend(fit(self.test.labels(), &outside));
        member.resize(fits.len(), 0.0);
        Ok((Some(Quality::of(self.test.labels(), &outside)), metrics::auc(&member, &fits).ok()))
    }
}

impl Publisher for Desk<'_> {
    fn announce(&mut self, epochs: usize) -> Result<(), JobError> {
        let Some((distillation, questions)) = self.job.distillation() else { return Ok(()) };
        let job = self.job.digest_hex();
        if lines(self.out)?.iter().any(|line| line.job == job && line.after_epochs == epochs) {
            return Err(JobError::Released { file: self.out.join(LEDGER), epochs });
        }
        let line = Line {
            job,
            session: self.session.clone(),
            after_epochs: epochs,
            questions: questions.rows(),
            rho: rho(self.job),
            promise: distillation.promise(),
        };
        write::append(&self.out.join(LEDGER), &line)
    }

    fn publish(&mut self, epochs: usize, answers: &[f64]) -> Result<(), JobError> {
        let Some((distillation, questions)) = self.job.distillation() else { return Ok(()) };
        let mut model = student(self.job, questions, answers)?;
        model.trained_under = format!("{}; public: {}", self.security, distillation.promise());
        let (own, membership) = self.judge(&model)?;
        let name = format!("public-{epochs:06}");
        let json = serde_json::to_vec_pretty(&model).map_err(|e| JobError::Internal(e.to_string()))?;
        let files = vec![
            write::atomically(self.out, &format!("{name}.json"), &json)?,
            write::atomically(self.out, &format!("{name}.safetensors"), &export::safetensors(&model)?)?,
            write::atomically(self.out, &format!("{name}.onnx"), &export::onnx(&model))?,
        ];
        let spent: Option<Vec<f64>> = lines(self.out)?.into_iter().map(|line| line.rho).collect();
        let epsilon_so_far =
            spent.zip(self.job.voting()).map(|(spent, voting)| distil::epsilon(spent.iter().sum(), voting.delta));
        let promise = distillation.promise();
        self.releases.push(Release { after_epochs: epochs, promise, epsilon_so_far, own, membership, files });
        Ok(())
    }
}

/// A public model that gives these log odds for these questions, as nearly as it can. All of it is in the clear.
pub fn student(job: &Job, questions: &Table, answers: &[f64]) -> Result<ModelFile, JobError> {
    let Some((distillation, _)) = job.distillation() else {
        return Err(JobError::Internal("a public model of a job without distillation".into()));
    };
    let (scaling, limit) = (job.scaling(), job.file().training.input_limit);
    let scaled = scaling.table(questions)?;
    let (mean, inverse_deviation) = moments(&scaled);
    let standard = (0..scaled.rows()).flat_map(|r| {
        let row = scaled.row(r).iter().zip(mean.iter().zip(&inverse_deviation));
        row.map(|(x, (mean, scale))| ((x - mean) * scale).clamp(-limit, limit) as f32)
    });
    let features = Matrix::new(scaled.rows(), scaled.cols(), standard.collect())?;
    let targets: Vec<f32> = answers.iter().map(|answer| *answer as f32).collect();
    // Log odds are fitted by squared error: under noise that is right on average, where a fit of probabilities is not.
    let spec = distillation.student(&job.file().model);
    let spec = match spec.kind {
        ModelKind::Mlp { .. } => spec,
        _ => ModelSpec::new(ModelKind::Linear),
    };
    let training = TrainSpec {
        epochs: (VISITS / questions.rows()).clamp(10, 400),
        batch: 32,
        learning_rate: 0.01,
        schedule: Schedule::Cosine { floor: 0.0 },
        optimiser: Optimiser::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-3 },
        loss: Some(Loss::Mse),
        input_limit: limit,
        ..TrainSpec::default()
    };
    let (model, _) = float::train(&spec, &training, &features, &targets)?;
    Ok(ModelFile {
        format: crate::model_file::FORMAT,
        job: job.digest_hex(),
        trained_under: format!("{}; public: {}", job.security(), distillation.promise()),
        schema: job.schema().clone(),
        scaling,
        mean,
        inverse_deviation,
        input_limit: limit,
        logistic: true,
        model: open(&model),
    })
}

/// Mean and inverse deviation of each column.
fn moments(table: &Table) -> (Vec<f64>, Vec<f64>) {
    let rows = table.rows().max(1) as f64;
    let column = |c: usize| (0..table.rows()).map(move |r| table.row(r)[c]);
    let mean: Vec<f64> = (0..table.cols()).map(|c| column(c).sum::<f64>() / rows).collect();
    let deviation = |(c, mean): (usize, &f64)| column(c).map(|x| (x - mean).powi(2)).sum::<f64>() / rows;
    let inverse = mean.iter().enumerate().map(|c| 1.0 / (deviation(c) + 1.0 / 1024.0).sqrt()).collect();
    (mean, inverse)
}

fn open(model: &FloatModel) -> OpenModel {
    let layer = |w: &Matrix| {
        let column = |j: usize| (0..w.rows - 1).map(move |i| f64::from(w.data[i * w.cols + j])).collect();
        OpenLayer {
            weights: (0..w.cols).map(column).collect(),
            biases: (0..w.cols).map(|j| f64::from(w.data[(w.rows - 1) * w.cols + j])).collect(),
        }
    };
    OpenModel { layers: model.layers.iter().map(layer).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobFile;
    use privity_data::{Column, ExtraColumns, Schema};

    /// A job with two releases, in a directory with its questions.
    fn job(folder: &Path, privacy: &str) -> Job {
        let columns = vec![Column::number("x", -8.0, 8.0), Column::person("who"), Column::label("y")];
        let schema = Schema::new(columns, ExtraColumns::Reject).expect("a contract");
        std::fs::write(folder.join("schema.toml"), schema.to_toml()).expect("written");
        let questions: String = (0..200).map(|i| format!("{}\n", f64::from(i) / 25.0 - 4.0)).collect();
        std::fs::write(folder.join("public.csv"), format!("x\n{questions}")).expect("written");
        let participant = |(i, name): (usize, &str)| {
            let fingerprint = i.to_string().repeat(64);
            format!(
                "[[participants]]\nname = \"{name}\"\naddress = \"127.0.0.1:770{i}\"\nfingerprint = \"{fingerprint}\"\nrows = 50\ntest_rows = 4\n"
            )
        };
        let participants: String = ["a", "b", "c"].into_iter().enumerate().map(participant).collect();
        let text = format!(
            "name = \"small\"\n{participants}[data]\nschema = \"schema.toml\"\n[model]\nkind = \"logistic\"\n[training]\nepochs = 4\n\
             [distillation]\nevery = 2\nquestions = \"public.csv\"\n{privacy}"
        );
        Job::new(JobFile::from_toml(&text).expect("TOML"), folder).expect("a job")
    }

    const VOTING: &str = "privacy = { voting = { teachers = 5, epsilon = 8.0, delta = 1e-6 } }";

    fn table(rows: usize) -> Table {
        let x: Vec<f64> = (0..rows).map(|i| f64::from((i % 9) as u32) - 4.0).collect();
        let y = x.iter().map(|x| f64::from(u8::from(*x > 0.0))).collect();
        Table::new(vec!["x".into()], x, y, vec![]).expect("sound")
    }

    #[test]
    fn a_release_is_recorded_before_it_is_made_and_made_once() {
        let folder = tempfile::tempdir().expect("a scratch directory");
        let job = job(folder.path(), VOTING);
        let (train, test) = (table(40), table(18));
        let mut desk = Desk::new(&job, folder.path(), &train, &test);
        desk.session("5e55".into(), "a test");
        desk.announce(2).expect("the first time");
        assert!(matches!(desk.announce(2), Err(JobError::Released { epochs: 2, .. })));
        // Log odds rise with x: so does the public model's answer.
        let (_, questions) = job.distillation().expect("there");
        let answers: Vec<f64> = (0..questions.rows()).map(|r| questions.row(r)[0]).collect();
        desk.publish(2, &answers).expect("published");
        let release = &desk.releases[0];
        assert!(release.own.as_ref().and_then(|q| q.auc).is_some_and(|auc| auc > 0.99));
        assert!(release.membership.is_some_and(|auc| (0.3..0.7).contains(&auc)));
        assert!(
            (release.epsilon_so_far.expect("a promise")
                - distil::epsilon(job.voting().expect("votes").rho() / 2.0, 1e-6))
            .abs()
                < 1e-9
        );
        assert_eq!(release.files.len(), 3);
        let model = ModelFile::load(&release.files[0]).expect("a model file");
        assert!(model.trained_under.contains("epsilon 8"), "{}", model.trained_under);
        desk.announce(4).expect("another release");
        assert_eq!(lines(folder.path()).expect("a record").len(), 2);
    }

    #[test]
    fn the_sum_over_all_jobs_stays_within_the_promise() {
        let folder = tempfile::tempdir().expect("a scratch directory");
        let job = job(folder.path(), VOTING);
        check_budget(&job, folder.path(), 0).expect("nothing is spent");
        let none = table(0);
        Desk::new(&job, folder.path(), &none, &none).announce(2).expect("recorded");
        // The rest of this job fits; the whole of it again would not, nor would another.
        check_budget(&job, folder.path(), 2).expect("as promised");
        let error = check_budget(&job, folder.path(), 0).expect_err("half too much").to_string();
        assert!(error.contains("at most 8.00"), "{error}");
        Desk::new(&job, folder.path(), &none, &none).announce(4).expect("recorded");
        check_budget(&job, folder.path(), 4).expect("all is spent, and nothing due");
        assert!(matches!(check_budget(&job, folder.path(), 2), Err(JobError::Budget { .. })));
        // A record that cannot be read is no record of nothing.
        std::fs::write(folder.path().join(LEDGER), "{").expect("written");
        assert!(check_budget(&job, folder.path(), 4).is_err());
    }
}
