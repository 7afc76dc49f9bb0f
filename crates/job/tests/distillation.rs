//! Public models: what is voted, what is promised, what is on record.

mod common;

use privity_data::{Column, ExtraColumns, Schema, Table, breast_cancer, csv};
use privity_job::distil::LEVELS;
use privity_job::prepare::{Rows, divide, encode, noise, nothing};
use privity_job::program::Inputs;
use privity_job::publish::student;
use privity_job::release::Publisher;
use privity_job::run::compute;
use privity_job::{ConfigError, Job, JobError, JobFile, plan, protocol};
use privity_mpc::Party;
use privity_net::memory;
use privity_prim::Context;
use std::path::Path;

/// Takes down what is published.
#[derive(Default)]
struct Notes(Vec<(usize, Vec<f64>)>);

impl Publisher for Notes {
    fn publish(&mut self, epochs: usize, answers: &[f64]) -> Result<(), JobError> {
        self.0.push((epochs, answers.to_vec()));
        Ok(())
    }
}

const QUESTIONS: usize = 40;

struct Site {
    folder: tempfile::TempDir,
    schema: Schema,
    tables: Vec<Table>,
}

impl Site {
    /// Three hospitals; each patient has two records, often at different ones.
    fn new() -> Site {
        let folder = tempfile::tempdir().expect("a scratch directory");
        let mut columns = breast_cancer::schema().expect("a contract").columns().to_vec();
        columns.push(Column::person("patient"));
        let schema = Schema::new(columns, ExtraColumns::Reject).expect("a contract");
        let persons = |i: usize| (0..32).map(|r| (3 * r + i) as u64 / 2).collect();
        let tables = common::tables().into_iter().enumerate();
        let tables = tables.map(|(i, t)| t.with_persons(persons(i)).expect("one each")).collect();
        let all = breast_cancer::table().expect("a table");
        let questions = all.select(&(300..300 + QUESTIONS).collect::<Vec<_>>());
        let features = breast_cancer::schema().expect("a contract");
        csv::save_csv(&folder.path().join("public.csv"), &features, &questions).expect("written");
        std::fs::write(folder.path().join("patients.schema.toml"), schema.to_toml()).expect("written");
        Site { folder, schema, tables }
    }

    fn text(&self, protocol: &str, distillation: &str) -> String {
        let text = if protocol == "rep4" { common::active() } else { common::JOB.to_owned() };
        text.replace("wdbc.schema.toml", "patients.schema.toml") + "\n[distillation]\n" + distillation
    }

    fn job(&self, protocol: &str, distillation: &str) -> Result<Job, ConfigError> {
        Job::new(JobFile::from_toml(&self.text(protocol, distillation))?, self.folder.path())
    }

    fn rows(&self, job: &Job) -> Vec<Rows> {
        let tables = self.tables.iter().enumerate();
        let rows = tables.map(|(i, t)| divide(job, i, t.clone(), None).expect("declared rows"));
        rows.chain((job.owners()..job.rows().len()).map(|_| nothing(job).expect("an empty table"))).collect()
    }

    /// What each party published, and whether it sent what was planned; `noisy`: or without noise.
    fn run(&self, job: &Job, noisy: bool) -> Vec<Vec<(usize, Vec<f64>)>> {
        let plan = plan::plan(job).expect("a plan");
        let rows = self.rows(job);
        std::thread::scope(|s| {
            let mut running = Vec::new();
            for ((link, rows), planned) in memory::mesh(rows.len()).into_iter().zip(&rows).zip(&plan.parties) {
                running.push(s.spawn(move || {
                    let party = Party::connect(Box::new(link), &Context::default()).expect("a session");
                    let (me, mut notes) = (party.me(), Notes::default());
                    let mut own = encode(job, rows).expect("in range");
                    own.noise = if noisy { noise(job).expect("noise") } else { Vec::new() };
                    let done = compute(job, vec![party], Inputs::only(job, me, own), &mut (), &mut (), &mut notes);
                    assert_eq!(done.expect("the job runs").measured.bytes_sent, planned.bytes_sent);
                    notes.0
                }));
            }
            running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        })
    }
}

const VOTING: &str = "every = 1\nquestions = \"public.csv\"\n\
                      privacy = { voting = { teachers = 4, epsilon = 50.0, delta = 1e-3, epochs = 3 } }\n";

#[test]
fn all_parties_get_the_same_noisy_votes_near_those_of_the_twin() {
    let site = Site::new();
    for protocol in ["rep3", "rep4"] {
        let job = site.job(protocol, VOTING).expect("a sound job");
        let encoded = site.rows(&job).iter().map(|rows| encode(&job, rows).expect("in range")).collect();
        let mut twin = Notes::default();
        privity_job::program::run(
            &mut privity_mpc::plain::Plain::new(job.config(), job.rows().len()),
            &job,
            Inputs::all(encoded),
            &mut (),
            &mut (),
            &mut twin,
        )
        .expect("the twin runs");
        assert_eq!(twin.0.iter().map(|(epochs, _)| *epochs).collect::<Vec<_>>(), [1, 2]);
        let voting = job.voting().expect("it votes");
        let deviation = voting.variance(QUESTIONS, 2).sqrt() / voting.teachers as f64;
        for noisy in [false, true] {
            let published = site.run(&job, noisy);
            assert!(published.iter().all(|p| *p == published[0]), "one opening, one result");
            for ((_, got), (_, want)) in published[0].iter().zip(&twin.0) {
                let apart = got.iter().zip(want).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / QUESTIONS as f64;
                match noisy {
                    // A vote may tip over where rounding differs.
                    false => assert!(apart < 0.1, "{protocol}: {apart}"),
                    // All parties' noise: that of all but one would do.
                    true => {
                        let ratio = apart / deviation.powi(2);
                        let parties = job.rows().len() as f64;
                        let expected = parties / (parties - 1.0);
                        assert!((0.4 * expected..2.2 * expected).contains(&ratio), "{protocol}: {ratio}");
                    }
                }
                let range = voting.log_odds(0.0)..=voting.log_odds((voting.teachers * LEVELS) as f64);
                assert!(noisy || got.iter().all(|x| range.contains(x)));
            }
        }
    }
}

#[test]
fn one_persons_rows_change_the_votes_of_one_model_only() {
    let site = Site::new();
    let job = site.job("rep3", &VOTING.replace("epochs = 3", "epochs = 6")).expect("a sound job");
    let voting = job.voting().expect("it votes");
    let votes = |rows: &[Rows]| {
        let encoded = rows.iter().map(|rows| encode(&job, rows).expect("in range")).collect();
        let mut notes = Notes::default();
        let mut plain = privity_mpc::plain::Plain::new(job.config(), 3);
        privity_job::program::run(&mut plain, &job, Inputs::all(encoded), &mut (), &mut (), &mut notes).expect("runs");
        notes.0.remove(0).1
    };
    let rows = site.rows(&job);
    let before = votes(&rows);
    let mut changed = 0;
    for person in [0u64, 7, 20, 33] {
        // All of a person's rows, at all owners, turn into something else.
        let altered: Vec<Rows> = rows
            .iter()
            .map(|r| {
                let (mut features, mut labels) = (r.train.features().to_vec(), r.train.labels().to_vec());
                let whose = r.train.persons();
                for row in (0..r.train.rows()).filter(|row| whose[*row] == person) {
                    labels[row] = 1.0 - labels[row];
                    features[row * r.train.cols()..(row + 1) * r.train.cols()].fill(0.0);
                }
                let days = r.train.days().to_vec();
                let train = Table::new(r.train.names().to_vec(), features, labels, days).expect("sound");
                Rows { train: train.with_persons(whose.to_vec()).expect("one each"), test: r.test.clone() }
            })
            .collect();
        let after = votes(&altered);
        for (a, b) in before.iter().zip(&after) {
            let votes = ((a - b) * voting.teachers as f64).abs();
            assert!(votes <= LEVELS as f64 + 1e-9, "person {person}: {votes} votes");
            changed += usize::from(votes > 0.5);
        }
    }
    assert!(changed > 0, "some person's rows matter");
}

#[test]
fn the_secret_model_answers_only_if_every_owner_consents() {
    let site = Site::new();
    let section = "every = 2\nquestions = \"public.csv\"\nprivacy = \"none\"\n";
    let refused = |distillation: &str, words: &str| {
        let error = site.job("rep3", distillation).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(section, "not every owner consents");
    refused(&format!("{section}consent = [\"north\", \"east\"]\n"), "not every owner consents");
    let consent = format!("{section}consent = [\"north\", \"east\", \"south\"]\n");
    let job = site.job("rep3", &consent).expect("a sound job");
    assert!(job.distillation().expect("there").0.promise().contains("no privacy guarantee"));
    let published = site.run(&job, false);
    assert_eq!(published[0].len(), 1);
    let (questions, answers) = (job.distillation().expect("there").1, &published[0][0].1);
    let public = student(&job, questions, answers).expect("a model");
    // The public model says much the same of the questions as the secret one.
    let apart = |(p, answer): (f64, &f64)| (p - 1.0 / (1.0 + (-answer).exp())).abs();
    let predictions = public.predict(questions).expect("predictions");
    let mean = predictions.into_iter().zip(answers).map(apart).sum::<f64>() / QUESTIONS as f64;
    assert!(mean < 0.05, "{mean}");

    refused(&format!("{VOTING}consent = [\"north\"]\n"), "without privacy");
    refused(&VOTING.replace("every = 1", "every = 3"), "1 to 2");
    refused(&VOTING.replace("teachers = 4", "teachers = 25"), "teachers");
    refused(&VOTING.replace("delta = 1e-3", "delta = 0.1"), "delta");
    refused(&VOTING.replace("epsilon = 50.0", "epsilon = 1e-4"), "variance");
    refused(&VOTING.replace("public.csv", "absent.csv"), "absent.csv");
    let digest = format!("{VOTING}digest = \"{}\"\n", "0".repeat(64));
    refused(&digest, "get the file that was agreed on");
    let nobody = site.text("rep3", VOTING).replace("patients.schema.toml", "nobody.toml");
    let plain = breast_cancer::schema().expect("a contract").to_toml();
    std::fs::write(site.folder.path().join("nobody.toml"), plain).expect("written");
    let error = Job::new(JobFile::from_toml(&nobody).expect("TOML"), site.folder.path()).expect_err("no persons");
    assert!(error.to_string().contains("\"person\""), "{error}");
    assert!(site.schema.has_person());
}

#[test]
fn the_digest_is_that_of_the_questions_wherever_they_are() {
    let site = Site::new();
    let here = site.job("rep3", VOTING).expect("a sound job");
    let elsewhere = Site::new();
    assert_eq!(elsewhere.job("rep3", VOTING).expect("a sound job").digest(), here.digest());
    let path = elsewhere.folder.path().join("public.csv");
    let text = std::fs::read_to_string(&path).expect("read");
    std::fs::write(&path, text.lines().take(30).map(|line| format!("{line}\n")).collect::<String>()).expect("written");
    assert_ne!(elsewhere.job("rep3", VOTING).expect("a sound job").digest(), here.digest());
    // A job made of this one finds them again.
    let again = Job::new(here.file().clone(), Path::new("")).expect("the same job");
    assert_eq!(again.digest(), here.digest());
    assert!(protocol::price(&again, Default::default()).is_ok());
}

/// The state at the end of the last epoch is kept as well, so that a resumed job does not ask again.
#[test]
fn a_release_is_not_repeated_after_a_resumption() {
    use privity_mpc::rep3::ArithmeticShare;
    use privity_nn::{Keeper, Kept, TrainError};
    #[derive(Default)]
    struct Disk(Vec<Kept<ArithmeticShare>>, Option<usize>);
    impl Keeper<ArithmeticShare> for Disk {
        fn restore(&mut self) -> Result<Option<Kept<ArithmeticShare>>, TrainError> {
            Ok(self.1.and_then(|epochs| self.0.iter().find(|kept| kept.epochs == epochs).cloned()))
        }
        fn keeps(&self) -> bool {
            true
        }
        fn keep(&mut self, kept: Kept<ArithmeticShare>) -> Result<(), TrainError> {
            self.0.push(kept);
            Ok(())
        }
    }
    // The job is of rep3: nothing is kept of others.
    impl<R: privity_ring::Ring> Keeper<privity_ring::Tensor<R>> for Disk {
        fn keep(&mut self, _: Kept<privity_ring::Tensor<R>>) -> Result<(), TrainError> {
            Err(TrainError::Keeping { problem: "shares of another protocol".into() })
        }
    }
    let site = Site::new();
    let job = site.job("rep3", VOTING).expect("a sound job");
    let rows = site.rows(&job);
    let attempt = |disks: &mut [Disk]| -> Vec<Vec<usize>> {
        std::thread::scope(|s| {
            let mut running = Vec::new();
            for ((link, rows), disk) in memory::mesh(3).into_iter().zip(&rows).zip(disks) {
                let job = &job;
                running.push(s.spawn(move || {
                    let party = Party::connect(Box::new(link), &Context::default()).expect("a session");
                    let (me, mut notes) = (party.me(), Notes::default());
                    let own = encode(job, rows).expect("in range");
                    let done = compute(job, vec![party], Inputs::only(job, me, own), &mut (), disk, &mut notes);
                    done.expect("the job runs");
                    notes.0.into_iter().map(|(epochs, _)| epochs).collect()
                }));
            }
            running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        })
    };
    let mut disks: Vec<Disk> = (0..3).map(|_| Disk::default()).collect();
    assert_eq!(attempt(&mut disks), vec![vec![1, 2]; 3]);
    for (from, published) in [(1, vec![2]), (2, vec![])] {
        disks.iter_mut().for_each(|disk| disk.1 = Some(from));
        assert_eq!(attempt(&mut disks), vec![published; 3]);
    }
}
