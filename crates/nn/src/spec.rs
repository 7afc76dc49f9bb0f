//! What to train and how, as plain data. Every field has a documented default; unknown fields are refused.

use crate::SpecError;
use serde::{Deserialize, Serialize};

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Its family.
    pub kind: ModelKind,
    /// How the logistic function is computed. Default: [`Sigmoid::Piecewise`].
    #[serde(default)]
    pub sigmoid: Sigmoid,
}

/// A model family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ModelKind {
    /// Linear regression.
    Linear,
    /// Logistic regression.
    Logistic,
    /// A perceptron with rectified hidden layers and one output.
    Mlp {
        /// Neurons of each hidden layer, input side first.
        hidden: Vec<usize>,
    },
}

/// A secure approximation of the logistic function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sigmoid {
    /// Linear pieces and saturation: right for every input, one level of comparisons.
    #[default]
    Piecewise,
    /// Sines on inputs clipped to ±8: a smaller error, a few more rounds. Needs fast truncation.
    Fourier,
}

/// What training minimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Binary cross entropy; labels are 0 or 1.
    Bce,
    /// Half the squared error.
    Mse,
}

/// How a gradient becomes an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimiser {
    /// Plain stochastic gradient descent.
    #[default]
    Sgd,
    /// `v = decay v - rate g; w += v`.
    Momentum {
        /// In `[0, 1)`.
        decay: f64,
    },
    /// Adam with bias correction; `epsilon` stands under the root and is bounded below by the fixed-point format.
    Adam {
        /// Decay of the mean; in `[0, 1)`.
        beta1: f64,
        /// Decay of the mean square; in `[0, 1)`.
        beta2: f64,
        /// Gradients well below this are damped; from `2^-10` to 1/4.
        epsilon: f64,
    },
}

impl Optimiser {
    /// Adam with the usual decays and the smallest epsilon.
    pub const ADAM: Optimiser = Optimiser::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1.0 / 1024.0 };
}

/// How the learning rate changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the same.
    #[default]
    Constant,
    /// Times `factor` after every `every` epochs.
    Step {
        /// Epochs between changes; at least 1.
        every: usize,
        /// In `(0, 1]`.
        factor: f64,
    },
    /// Half a cosine from the full rate down to `floor` times it, iteration by iteration.
    Cosine {
        /// In `[0, 1]`.
        floor: f64,
    },
    /// A straight line from the full rate down to `floor` times it, iteration by iteration.
    Linear {
        /// In `[0, 1]`.
        floor: f64,
    },
}

impl Schedule {
    /// The factor on the learning rate in iteration `step` of `steps`, which belongs to `epoch`.
    pub fn factor(self, epoch: usize, step: usize, steps: usize) -> f64 {
        let done = step as f64 / steps.max(1) as f64;
        match self {
            Schedule::Constant => 1.0,
            Schedule::Step { every, factor } => factor.powi((epoch / every) as i32),
            Schedule::Cosine { floor } => floor + (1.0 - floor) * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * done)),
            Schedule::Linear { floor } => 1.0 - (1.0 - floor) * done,
        }
    }
}

/// When weights are clipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipEvery {
    /// After each update: ranges are proven, at the price of a comparison per weight and iteration.
    #[default]
    Iteration,
    /// After each epoch.
    Epoch,
}

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSpec {
    /// Passes over the rows. Default 5.
    pub epochs: usize,
    /// Rows per iteration; the last batch of an epoch has what remains. Default 128.
    pub batch: usize,
    /// Learning rate on the mean gradient of a batch. Default 0.1.
    pub learning_rate: f64,
    /// Default constant.
    pub schedule: Schedule,
    /// Default SGD.
    pub optimiser: Optimiser,
    /// Weight decay, biases included: `g + l2 w` under SGD and momentum, decoupled under Adam. Default 0.
    pub l2: f64,
    /// Bound on every weight, enforced. Default none.
    pub clip_weights: Option<f64>,
    /// When weights are clipped. Default each iteration.
    pub clip_every: ClipEvery,
    /// Bound on every component of the mean gradient, enforced each iteration. Default none.
    pub clip_gradients: Option<f64>,
    /// The joint public seed of initial weights and batch order. Default 0.
    pub seed: u64,
    /// Default: squared error for linear regression, cross entropy otherwise.
    pub loss: Option<Loss>,
    /// Whether rows are permuted anew each epoch. Default true.
    pub shuffle: bool,
    /// Sessions side by side that share the rows of each batch, 1 to 64; each wants a core of its own at every party. In exact mode the
    /// model does not depend on it. Default 1.
    pub lanes: usize,
    /// Inputs (standardised, clipped) are at most this in magnitude. Default 8.
    pub input_limit: f64,
    /// Weights are expected to stay at most this in magnitude; the sentinel stops the job otherwise. Default 16.
    pub weight_limit: f64,
}

impl Default for TrainSpec {
    fn default() -> Self {
        TrainSpec {
            epochs: 5,
            batch: 128,
            learning_rate: 0.1,
            schedule: Schedule::Constant,
            optimiser: Optimiser::Sgd,
            l2: 0.0,
            clip_weights: None,
            clip_every: ClipEvery::Iteration,
            clip_gradients: None,
            seed: 0,
            loss: None,
            shuffle: true,
            lanes: 1,
            input_limit: 8.0,
            weight_limit: 16.0,
        }
    }
}

impl ModelSpec {
    /// A model of this family with the piecewise sigmoid.
    pub fn new(kind: ModelKind) -> Self {
        ModelSpec { kind, sigmoid: Sigmoid::Piecewise }
    }
    /// Neurons of each layer, from `inputs` to the single output.
    pub fn sizes(&self, inputs: usize) -> Vec<usize> {
        let hidden: &[usize] = match &self.kind {
            ModelKind::Mlp { hidden } => hidden,
            _ => &[],
        };
        [&[inputs], hidden, &[1]].concat()
    }
    /// Whether the model can be built.
    ///
    /// # Errors
    /// No hidden layer, more than 16, or one without neurons or with more than 65536.
    pub fn validate(&self) -> Result<(), SpecError> {
        if let ModelKind::Mlp { hidden } = &self.kind {
            require("model.hidden", (1..=16).contains(&hidden.len()), "must list 1 to 16 layers")?;
            let sane = hidden.iter().all(|n| (1..=65536).contains(n));
            require("model.hidden", sane, "layers must have 1 to 65536 neurons")?;
        }
        Ok(())
    }
}

impl TrainSpec {
    /// The loss of training `model`.
    pub fn loss(&self, model: &ModelSpec) -> Loss {
        let default = if model.kind == ModelKind::Linear { Loss::Mse } else { Loss::Bce };
        self.loss.unwrap_or(default)
    }
    /// The bound on weights that ranges are planned for.
    pub fn planned_weight(&self) -> f64 {
        self.clip_weights.unwrap_or(self.weight_limit)
    }
    /// Whether the numbers make sense together and with `model`.
    ///
    /// # Errors
    /// The first field out of its domain, with the domain.
    pub fn validate(&self, model: &ModelSpec) -> Result<(), SpecError> {
        model.validate()?;
        require("epochs", (1..=100_000).contains(&self.epochs), "must be 1 to 100000")?;
        require("batch", (1..=65536).contains(&self.batch), "must be 1 to 65536")?;
        require("lanes", (1..=64).contains(&self.lanes), "must be 1 to 64")?;
        require("learning_rate", within(self.learning_rate, 1e-6, 64.0), "must be 1e-6 to 64")?;
        require("l2", within(self.l2, 0.0, 1.0), "must be 0 to 1")?;
        require("input_limit", within(self.input_limit, 1e-3, 1024.0), "must be 0.001 to 1024")?;
        require("weight_limit", within(self.weight_limit, 0.125, 4096.0), "must be 0.125 to 4096")?;
        let clip = self.clip_weights.is_none_or(|c| within(c, 0.125, self.weight_limit));
        require("clip_weights", clip, "must be 0.125 to weight_limit")?;
        let clip = self.clip_gradients.is_none_or(|c| within(c, 1e-4, 1024.0));
        require("clip_gradients", clip, "must be 0.0001 to 1024")?;
        self.validate_schedule()?;
        self.validate_optimiser()?;
        let fits = match model.kind {
            ModelKind::Linear => self.loss(model) == Loss::Mse,
            ModelKind::Logistic => self.loss(model) == Loss::Bce,
            ModelKind::Mlp { .. } => true,
        };
        require("loss", fits, "must be mse for linear and bce for logistic regression; leave it out for the default")
    }

    fn validate_schedule(&self) -> Result<(), SpecError> {
        match self.schedule {
            Schedule::Constant => Ok(()),
            Schedule::Step { every, factor } => require(
                "schedule.step",
                every >= 1 && factor > 0.0 && factor <= 1.0,
                "needs every >= 1, 0 < factor <= 1",
            ),
            Schedule::Cosine { floor } | Schedule::Linear { floor } => {
                require("schedule.floor", within(floor, 0.0, 1.0), "must be 0 to 1")
            }
        }
    }

    fn validate_optimiser(&self) -> Result<(), SpecError> {
        let decay = |d: f64| within(d, 0.0, 0.9999);
        match self.optimiser {
            Optimiser::Sgd => Ok(()),
            Optimiser::Momentum { decay: d } => require("optimiser.momentum.decay", decay(d), "must be 0 to 0.9999"),
            Optimiser::Adam { beta1, beta2, epsilon } => {
                require("optimiser.adam.beta", decay(beta1) && decay(beta2), "decays must be 0 to 0.9999")?;
                require("optimiser.adam.epsilon", within(epsilon, 1.0 / 1024.0, 0.25), "must be 2^-10 to 1/4")
            }
        }
    }
}

fn within(x: f64, low: f64, high: f64) -> bool {
    (low..=high).contains(&x)
}

fn require(field: &'static str, holds: bool, domain: &'static str) -> Result<(), SpecError> {
    if holds { Ok(()) } else { Err(SpecError { field, domain }) }
}

/// A learning rate as a 7-bit integer over a power of two: multiplying by it costs nothing but a wider rescaling, which
/// the gradient product needs anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearningRate {
    /// The integer; 64 to 127 for rates in range.
    pub mantissa: i64,
    /// The rate is `mantissa / 2^shift`; at most [`LearningRate::MAX_SHIFT`].
    pub shift: u32,
}

impl LearningRate {
    /// Smaller rates have fewer than 7 bits.
    pub const MAX_SHIFT: u32 = 36;

    /// The nearest rate; relative error at most 1/128 for rates from `2^-30` to 127.
    pub fn nearest(rate: f64) -> Self {
        if rate <= 0.0 {
            return LearningRate { mantissa: 0, shift: 0 };
        }
        let shift = (6 - libm::floor(libm::log2(rate)) as i32).clamp(0, Self::MAX_SHIFT as i32);
        let mantissa = libm::round(rate * 2f64.powi(shift)) as i64;
        match mantissa {
            128 if shift > 0 => LearningRate { mantissa: 64, shift: shift as u32 - 1 },
            _ => LearningRate { mantissa, shift: shift as u32 },
        }
    }
    /// The rate in effect.
    pub fn value(self) -> f64 {
        self.mantissa as f64 / 2f64.powi(self.shift as i32)
    }
}
