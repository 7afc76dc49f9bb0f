//! A model as shares, and what can be done with it once trained.

use crate::layers::{self, Forward};
use crate::loss;
use crate::range::Plan;
use crate::spec::{Loss, ModelSpec, Sigmoid, TrainSpec};
use crate::{SpecError, TrainError, init, range};
use privity_mpc::{Protocol, Raw, Recipients, Share, TruncMode};
use privity_ring::{Fixed, Shape, Tensor};
use std::ops::Range;

/// Comparisons at once while rows are evaluated.
const COMPARISONS: usize = 1 << 19;

/// What the output layer's value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// The value itself (regression).
    Identity,
    /// A probability, through the logistic function.
    Logistic(Sigmoid),
}

/// A model whose weights are shared.
#[derive(Clone)]
pub struct Model<A> {
    /// Of each layer, input side first: weights `[out, in + 1]` with `plan.weight_frac` fraction bits. The last column
    /// holds the biases: inputs carry a constant 1, so that a layer is one product and its gradient another.
    pub layers: Vec<A>,
    /// What the output means.
    pub head: Head,
    /// Scales and widths.
    pub plan: Plan,
}

/// A model in the clear.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OpenModel {
    /// The layers, input side first.
    pub layers: Vec<OpenLayer>,
}

/// A layer in the clear.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OpenLayer {
    /// `weights[j][i]`: what output `j` takes of input `i`.
    pub weights: Vec<Vec<f64>>,
    /// One per output.
    pub biases: Vec<f64>,
}

impl<A: Share> Model<A> {
    /// The initial model of a specification over `inputs` features.
    ///
    /// # Errors
    /// A specification out of its domain; a format that cannot hold the model.
    pub fn initial<P: Protocol<A = A, R = A::R>>(
        p: &mut P,
        spec: &ModelSpec,
        train: &TrainSpec,
        inputs: usize,
    ) -> Result<Self, TrainError> {
        train.validate(spec)?;
        if spec.sigmoid == Sigmoid::Fourier && p.config().mode == TruncMode::Exact {
            let domain = "must be piecewise under exact truncation; choose it or fast truncation";
            return Err(SpecError { field: "model.sigmoid", domain }.into());
        }
        let plan = range::plan(p.config(), spec, train, inputs)?;
        let sizes = spec.sizes(inputs);
        let format = Fixed { frac: plan.weight_frac };
        let mut layers = Vec::new();
        for (pair, weights) in sizes.windows(2).zip(init::weights(train.seed, &sizes)) {
            let shape = Shape::matrix(pair[1], pair[0] + 1);
            let integers = weights.iter().map(|w| privity_ring::Ring::from_u64(format.constant(*w))).collect();
            layers.push(p.public(&Tensor::new(shape, integers)));
        }
        let head = match train.loss(spec) {
            Loss::Bce => Head::Logistic(spec.sigmoid),
            Loss::Mse => Head::Identity,
        };
        Ok(Model { layers, head, plan })
    }

    /// Number of features.
    pub fn inputs(&self) -> usize {
        self.layers[0].shape().cols() - 1
    }

    /// Pre-activations and what backpropagation needs, for rows that carry their constant 1 (see [`layers::augment`]).
    ///
    /// # Errors
    /// Protocol failures.
    pub fn forward<P: Protocol<A = A>>(&self, p: &mut P, x: &A) -> privity_mpc::Result<Forward<A, P::B>> {
        layers::forward(p, self, x)
    }

    /// Parts of so many rows that one takes half a million comparisons, `extra` for each row beside the hidden units': what
    /// limits memory while many rows are evaluated.
    pub(crate) fn chunks(&self, rows: usize, extra: usize) -> impl Iterator<Item = Range<usize>> + use<A> {
        let hidden: usize = self.layers[..self.layers.len() - 1].iter().map(|layer| layer.shape().rows()).sum();
        let size = (COMPARISONS / (hidden + extra).max(1)).max(1);
        (0..rows).step_by(size).map(move |from| from..(from + size).min(rows))
    }

    /// Predictions `[rows]` at scale f for features `[rows, d]` at scale f: probabilities, or values of a regression.
    ///
    /// # Errors
    /// Features of another number of columns; protocol failures.
    pub fn predict<P: Protocol<A = A, R = A::R>>(&self, p: &mut P, features: &A) -> Result<A, TrainError> {
        self.by_chunks(p, features, |p, logits| loss::probabilities(p, self.head, logits))
    }

    /// Values of the output layer `[rows]` at scale f, before any logistic function.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn scores<P: Protocol<A = A, R = A::R>>(&self, p: &mut P, features: &A) -> Result<A, TrainError> {
        self.by_chunks(p, features, |p, logits| Ok(p.lift(vec![logits])?.remove(0)))
    }

    fn by_chunks<P: Protocol<A = A, R = A::R>>(
        &self,
        p: &mut P,
        features: &A,
        mut finish: impl FnMut(&mut P, Raw<A>) -> privity_mpc::Result<A>,
    ) -> Result<A, TrainError> {
        check_columns(self.inputs(), features.shape())?;
        let mut parts = Vec::new();
        for chunk in self.chunks(features.shape().rows(), 1) {
            let logits = self.logits(p, &features.slice_rows(chunk.start, chunk.end))?;
            parts.push(finish(p, logits)?);
        }
        Ok(match parts.is_empty() {
            true => p.public(&Tensor::zeros(&Shape::vector(0))),
            false => A::concat_rows(&parts.iter().collect::<Vec<_>>()),
        })
    }

    fn logits<P: Protocol<A = A, R = A::R>>(&self, p: &mut P, features: &A) -> privity_mpc::Result<Raw<A>> {
        let rows = features.shape().rows();
        let x = layers::augment(p, features);
        Ok(self.forward(p, &x)?.logits.reshape(&Shape::vector(rows)))
    }

    /// Opens the weights to `to`; `None` elsewhere. A declared opening of the job.
    ///
    /// # Errors
    /// Protocol failures.
    pub fn open<P: Protocol<A = A>>(&self, p: &mut P, to: Recipients) -> Result<Option<OpenModel>, TrainError> {
        let format = Fixed { frac: self.plan.weight_frac };
        let mut layers = Vec::new();
        for layer in &self.layers {
            if let Some(weights) = p.open(layer, to)? {
                layers.push(open_layer(format, &weights));
            }
        }
        Ok((layers.len() == self.layers.len()).then_some(OpenModel { layers }))
    }
}

fn open_layer<R: privity_ring::Ring>(format: Fixed, weights: &Tensor<R>) -> OpenLayer {
    let values: Vec<f64> = weights.data().iter().map(|w| format.decode(w.to_u64())).collect();
    let (mut rows, mut biases) = (Vec::new(), Vec::new());
    for row in values.chunks_exact(weights.cols()) {
        let (bias, weights) = row.split_last().expect("a layer's rows end with a bias");
        rows.push(weights.to_vec());
        biases.push(*bias);
    }
    OpenLayer { weights: rows, biases }
}

pub(crate) fn check_columns(inputs: usize, shape: &Shape) -> Result<(), TrainError> {
    if shape.extents().len() == 2 && shape.cols() == inputs {
        return Ok(());
    }
    let (expected, got) = (format!("[rows, {inputs}]"), format!("{:?}", shape.extents()));
    Err(TrainError::Shape { operation: "features of a model", expected, got })
}
