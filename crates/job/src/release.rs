//! The part of the program that answers public questions between epochs.
//! Spec: docs/protocols/distillation.md.

use crate::distil::{Distillation, LEVELS, Privacy, Voting};
use crate::job::Job;
use crate::program::{Inputs, Table, standardise_with};
use crate::{JobError, prepare};
use privity_mpc::ops::statistics::{self, Moments};
use privity_mpc::{By, Inject, Protocol, Recipients, Share};
use privity_nn::spec::{ModelKind, ModelSpec, Optimiser};
use privity_nn::{Between, Model, Observer, TrainError, TrainSpec, train_quietly};
use privity_ring::{Ring, Shape, Tensor};
use std::cell::RefCell;

/// What becomes of answers.
pub trait Publisher {
    /// Answers are about to be opened, after so many epochs. Whoever keeps a record writes it now, or refuses: what is opened
    /// cannot be taken back.
    ///
    /// # Errors
    /// The release was made already, or cannot be recorded; nothing is opened then.
    fn announce(&mut self, epochs: usize) -> Result<(), JobError> {
        let _ = epochs;
        Ok(())
    }
    /// The log odds that were answered, in the order of the questions.
    ///
    /// # Errors
    /// What is made of them cannot be written.
    fn publish(&mut self, epochs: usize, answers: &[f64]) -> Result<(), JobError> {
        let _ = (epochs, answers);
        Ok(())
    }
}

/// Publishes nothing.
impl Publisher for () {}

/// All that a release needs, besides the model.
pub(crate) struct Releases<'a, P: Protocol> {
    pub job: &'a Job,
    pub spec: &'a Distillation,
    pub questions: P::A,
    pub moments: Option<&'a Moments<P::A>>,
    /// Of each owner the rows of all groups, one group after the other; empty unless there is voting.
    pub groups: Vec<Table<P::A>>,
    pub inputs: &'a Inputs<P::R>,
    pub publisher: &'a mut dyn Publisher,
    /// What stopped a release, if it was none of training's own errors.
    pub failure: &'a RefCell<Option<JobError>>,
}

impl<P: Protocol> Between<P> for Releases<'_, P> {
    fn acts(&self, epochs: usize) -> bool {
        epochs.is_multiple_of(self.spec.every)
    }

    fn after(
        &mut self,
        p: &mut P,
        epochs: usize,
        model: &Model<P::A>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        self.noted(|releases| releases.publisher.announce(epochs))?;
        let answers = match self.spec.privacy {
            Privacy::None => {
                observer.opening("answers of the secret model to public questions")?;
                p.scope("distillation", |p| Ok(self.own_answers(p, model)))??
            }
            Privacy::Voting(voting) => {
                observer.opening("noisy votes of models trained apart on public questions")?;
                p.scope("distillation", |p| Ok(self.votes(p, &voting, epochs)))??
            }
        };
        self.noted(|releases| releases.publisher.publish(epochs, &answers))
    }
}

impl<P: Protocol> Releases<'_, P> {
    /// Keeps an error of the job aside, as training has other ones.
    fn noted(&mut self, f: impl FnOnce(&mut Self) -> Result<(), JobError>) -> Result<(), TrainError> {
        f(self).map_err(|error| {
            let problem = error.for_others();
            self.failure.replace(Some(error));
            TrainError::Keeping { problem }
        })
    }

    /// The secret model's own scores.
    fn own_answers(&self, p: &mut P, model: &Model<P::A>) -> Result<Vec<f64>, TrainError> {
        let questions = self.standardised(p, &self.questions, self.moments)?;
        let scores = model.scores(p, &questions)?;
        let fixed = p.config().fixed;
        let opened = p.open(&scores, Recipients::ALL)?.expect("an opening to all parties opens here");
        Ok(opened.data().iter().map(|score| fixed.decode(score.to_u64())).collect())
    }

    fn standardised(&self, p: &mut P, x: &P::A, moments: Option<&Moments<P::A>>) -> privity_mpc::Result<P::A> {
        standardise_with(p, self.job, x, moments)
    }

    /// Spec 2: one model for each group of people, votes at all levels, noise of every party, one opening.
    fn votes(&self, p: &mut P, voting: &Voting, epochs: usize) -> Result<Vec<f64>, TrainError> {
        let count = self.questions.shape().rows();
        let mut total = p.public(&Tensor::zeros(&Shape::vector(count)));
        for group in 0..voting.teachers {
            let votes = self.votes_of(p, voting, epochs, group)?;
            total = total.add(&votes);
        }
        // Spec 2.3: whatever one party adds, the others' noise is enough.
        let release = epochs / self.spec.every - 1;
        for party in p.owners() {
            let noise = self.inputs.noise(party, release, count);
            total = total.add(&p.input(party, &Shape::vector(count), noise.as_ref())?);
        }
        let opened = p.open(&total, Recipients::ALL)?.expect("an opening to all parties opens here");
        Ok(opened.data().iter().map(|votes| voting.log_odds(votes.to_u64() as i64 as f64)).collect())
    }

    /// Spec 2.1 and 2.2: everything that depends on one group of people, and on nobody else: moments, model, votes.
    fn votes_of(&self, p: &mut P, voting: &Voting, epochs: usize, group: usize) -> Result<P::A, TrainError> {
        let part = |pick: fn(&Table<P::A>) -> &P::A| {
            let parts: Vec<P::A> = self
                .groups
                .iter()
                .zip(self.job.rows())
                .filter(|(_, rows)| rows.train > 0)
                .map(|(table, rows)| {
                    let size = prepare::group_size(rows.train, voting);
                    pick(table).slice_rows(group * size, (group + 1) * size)
                })
                .collect();
            P::A::concat_rows(&parts.iter().collect::<Vec<_>>())
        };
        let (features, labels) = (part(|t| &t.features), part(|t| &t.labels));
        let moments = match self.job.file().data.standardise {
            true => Some(statistics::moments(p, &features, self.job.scaling().bound)?),
            false => None,
        };
        let features = self.standardised(p, &features, moments.as_ref())?;
        let spec = teacher(&self.job.file().training, voting, epochs);
        let model = train_quietly(p, &ModelSpec::new(ModelKind::Logistic), &spec, &features, &labels)?;
        let questions = self.standardised(p, &self.questions, moments.as_ref())?;
        let scores = model.scores(p, &questions)?;
        Ok(count_votes(p, voting, &scores)?)
    }
}

/// For each score at how many of the levels it is reached: 0 to [`LEVELS`], whatever the score.
fn count_votes<P: Protocol>(p: &mut P, voting: &Voting, scores: &P::A) -> privity_mpc::Result<P::A> {
    let (fixed, width) = (p.config().fixed, p.config().width);
    let shape = scores.shape().clone();
    let below: Vec<P::A> = voting
        .levels()
        .iter()
        .map(|level| scores.sub(&p.public(&Tensor::fill(&shape, fixed.constant(*level)))))
        .collect();
    let (below, _) = p.signs(&below.iter().collect::<Vec<_>>(), width, Vec::new())?;
    let reached: Vec<P::B> = below.iter().map(|bit| p.not(bit)).collect();
    let terms = reached.iter().map(|bit| (bit, By::Public(1))).collect();
    debug_assert_eq!(reached.len(), LEVELS);
    Ok(p.inject(&[Inject { terms, shape }])?.remove(0))
}

/// How a group's model is trained: plainly, from another start at each release.
fn teacher(job: &TrainSpec, voting: &Voting, epochs: usize) -> TrainSpec {
    TrainSpec {
        epochs: voting.epochs,
        batch: 64,
        learning_rate: 0.1,
        optimiser: Optimiser::Momentum { decay: 0.9 },
        seed: job.seed.wrapping_add(epochs as u64),
        input_limit: job.input_limit,
        weight_limit: job.weight_limit,
        // What leaves its range would not be seen: so nothing may.
        clip_weights: Some(job.weight_limit),
        ..TrainSpec::default()
    }
}
