//! Breast cancer over 5 folds and 3 seeds: how far the secure model is from the float one of the same schedule.
//! `cargo run --release -p privity-job --example accuracy [folds [seeds]]`

use privity_data::{Table, breast_cancer, metrics, split};
use privity_job::prepare::{Rows, encode};
use privity_job::program::Inputs;
use privity_job::run::compute;
use privity_job::{Job, JobFile};
use privity_mpc::Party;
use privity_net::memory;
use privity_nn::float::{self, Matrix};
use privity_prim::Context;
use std::error::Error;
use std::path::Path;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Accuracy and AUC.
type Quality = (f64, f64);

fn job(model: &str, seed: u64, owners: &[Rows]) -> Outcome<Job> {
    let participant = |(i, rows): (usize, &Rows)| {
        let (train, test, digit) = (rows.train.rows(), rows.test.rows(), (i + 1).to_string());
        format!(
            "[[participants]]\nname = \"p{i}\"\naddress = \"localhost:{}\"\nfingerprint = \"{}\"\nrows = {train}\ntest_rows = {test}\n",
            7000 + i,
            digit.repeat(64)
        )
    };
    let participants: String = owners.iter().enumerate().map(participant).collect();
    let text = format!(
        "name = \"accuracy\"\n{participants}\n[data]\nschema = \"wdbc.schema.toml\"\n[model]\nkind = {model}\n\
         [training]\nepochs = 20\nbatch = 64\nlearning_rate = 0.1\nseed = {seed}\noptimiser = {{ momentum = {{ decay = 0.9 }} }}\n"
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/breast-cancer");
    Ok(Job::new(JobFile::from_toml(&text)?, &folder)?)
}

/// The rows of a fold over three owners.
fn owners(table: &Table, fold: &split::TrainTest, seed: u64) -> Outcome<Vec<Rows>> {
    let parts = |rows: &[usize]| -> Outcome<Vec<Table>> {
        let parts = split::by_fractions(rows.len(), &[0.5, 0.3, 0.2], seed)?;
        Ok(parts.iter().map(|part| table.select(&part.iter().map(|i| rows[*i]).collect::<Vec<_>>())).collect())
    };
    let both = parts(&fold.train)?.into_iter().zip(parts(&fold.test)?);
    Ok(both.map(|(train, test)| Rows { train, test }).collect())
}

fn quality(owners: &[Rows], predictions: &[f64]) -> Outcome<Quality> {
    let labels: Vec<f64> = owners.iter().flat_map(|r| r.test.labels()).copied().collect();
    Ok((metrics::accuracy(&labels, predictions)?, metrics::auc(&labels, predictions)?))
}

fn secure(job: &Job, owners: &[Rows]) -> Outcome<Quality> {
    let inputs = owners.iter().map(|rows| encode(job, rows)).collect::<Result<Vec<_>, _>>()?;
    let party = |link, own, me| -> Outcome<Vec<f64>> {
        let party = Party::connect(Box::new(link), &Context::default())?;
        let done = compute(job, vec![party], Inputs::only(job, me, own), &mut (), &mut (), &mut ())?;
        Ok(done.outcome.predictions.into_iter().nth(me).flatten().unwrap_or_default())
    };
    let predictions = std::thread::scope(|s| {
        let links = memory::mesh(3).into_iter().zip(inputs).enumerate();
        let running: Vec<_> = links.map(|(me, (link, own))| s.spawn(move || party(link, own, me))).collect();
        let own = |thread: std::thread::ScopedJoinHandle<'_, Outcome<Vec<f64>>>| match thread.join() {
            Ok(predictions) => predictions,
            Err(_) => Err("a party's thread panicked".into()),
        };
        running.into_iter().map(own).collect::<Outcome<Vec<_>>>()
    })?;
    quality(owners, &predictions.concat())
}

fn plain(job: &Job, owners: &[Rows]) -> Outcome<Quality> {
    let pool = |pick: fn(&Rows) -> &Table| Table::concat(&owners.iter().map(|r| pick(r).clone()).collect::<Vec<_>>());
    let (train, test) = (pool(|r| &r.train)?, pool(|r| &r.test)?);
    let (scaling, columns) = (job.scaling(), job.features());
    let scaled = scaling.table(&train)?;
    let moments: Vec<(f64, f64)> = (0..columns)
        .map(|c| {
            let column = || (0..scaled.rows()).map(|r| scaled.row(r)[c]);
            let mean = column().sum::<f64>() / scaled.rows() as f64;
            let variance = column().map(|x| (x - mean).powi(2)).sum::<f64>() / scaled.rows() as f64;
            (mean, (variance + 1.0 / 1024.0).sqrt())
        })
        .collect();
    let matrix = |table: &Table| {
        let row = |r: usize| {
            scaling.row(table.row(r)).into_iter().zip(&moments).map(|(x, (m, d))| ((x - m) / d).clamp(-8.0, 8.0) as f32)
        };
        Matrix::new(table.rows(), columns, (0..table.rows()).flat_map(row).collect())
    };
    let labels: Vec<f32> = train.labels().iter().map(|y| *y as f32).collect();
    let (model, _) = float::train(&job.file().model, &job.file().training, &matrix(&train)?, &labels)?;
    let predictions: Vec<f64> = model.predict(&matrix(&test)?).into_iter().map(f64::from).collect();
    quality(owners, &predictions)
}

fn main() -> Outcome<()> {
    let count = |i: usize, default: usize| std::env::args().nth(i).map_or(Ok(default), |a| a.parse());
    let (folds, seeds) = (count(1, 5)?, count(2, 3)?);
    let table = breast_cancer::table()?;
    for model in ["\"logistic\"", "{ mlp = { hidden = [16] } }"] {
        let mut sums = [0.0; 4];
        let mut worst = (0f64, 0f64);
        for seed in 0..seeds as u64 {
            for fold in split::k_fold(table.rows(), folds, seed)? {
                let owners = owners(&table, &fold, seed)?;
                let job = job(model, seed, &owners)?;
                let (s, p) = (secure(&job, &owners)?, plain(&job, &owners)?);
                worst = (worst.0.max((s.0 - p.0).abs()), worst.1.max((s.1 - p.1).abs()));
                sums.iter_mut().zip([s.0, p.0, s.1, p.1]).for_each(|(sum, x)| *sum += x);
            }
        }
        let [sa, pa, su, pu] = sums.map(|s| s / (folds * seeds) as f64);
        println!("{model}: accuracy {sa:.4} secure, {pa:.4} float; AUC {su:.5} secure, {pu:.5} float");
        println!("  largest difference in a fold: accuracy {:.4}, AUC {:.5}", worst.0, worst.1);
    }
    Ok(())
}
