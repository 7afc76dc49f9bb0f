//! The float twin: the same model, initial weights, batches and effective rates in plain `f32`, with the real logistic
//! function. It is what secure training is compared with, in accuracy and in time.

use crate::init;
use crate::optim::{ADAM_CLIP, Rates};
use crate::permute::batches;
use crate::spec::{ClipEvery, Loss, ModelSpec, Optimiser, TrainSpec};
use crate::{SpecError, TrainError};
use privity_ring::simd::vectorise;

/// A row-major matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Elements, row after row.
    pub data: Vec<f32>,
}

impl Matrix {
    /// A matrix of given elements.
    ///
    /// # Errors
    /// Not `rows * cols` elements.
    pub fn new(rows: usize, cols: usize, data: Vec<f32>) -> Result<Self, TrainError> {
        if data.len() == rows * cols {
            return Ok(Matrix { rows, cols, data });
        }
        let (expected, got) = (format!("[{rows}, {cols}]"), format!("{} elements", data.len()));
        Err(TrainError::Shape { operation: "float matrix", expected, got })
    }
    fn zeros(rows: usize, cols: usize) -> Self {
        Matrix { rows, cols, data: vec![0.0; rows * cols] }
    }
    fn transpose(&self) -> Self {
        const SIDE: usize = 16; // square blocks: both sides stay in cache lines already loaded
        let (m, n) = (self.rows, self.cols);
        let mut out = Self::zeros(n, m);
        for i0 in (0..m).step_by(SIDE) {
            for j0 in (0..n).step_by(SIDE) {
                for j in j0..(j0 + SIDE).min(n) {
                    for i in i0..(i0 + SIDE).min(m) {
                        out.data[j * m + i] = self.data[i * n + j];
                    }
                }
            }
        }
        out
    }
    /// `self x o`.
    pub fn matmul(&self, o: &Self) -> Self {
        let mut out = Self::zeros(self.rows, o.cols);
        vectorise(|| gemm(&mut out.data, &self.data, &o.data, self.cols, o.cols));
        out
    }
    fn gather(&self, rows: &[usize]) -> Self {
        let data = rows.iter().flat_map(|&r| &self.data[r * self.cols..(r + 1) * self.cols]).copied().collect();
        Matrix { rows: rows.len(), cols: self.cols, data }
    }
    /// Appends the constant 1 to each row.
    fn augment(&self) -> Self {
        let rows = self.data.chunks_exact(self.cols.max(1));
        let data = rows.flat_map(|row| row.iter().copied().chain([1.0])).collect();
        Matrix { rows: self.rows, cols: self.cols + 1, data }
    }
}

/// Rows and columns of the block of results that is kept in registers.
const BLOCK: (usize, usize) = (4, 16);

/// `c = a b` for `c` of `n` columns and `a` of `k`: whole blocks in registers, the rest row by row.
#[inline(always)]
fn gemm(c: &mut [f32], a: &[f32], b: &[f32], k: usize, n: usize) {
    if k == 0 || n == 0 {
        return;
    }
    let whole = n - n % BLOCK.1;
    for (c, a) in c.chunks_mut(BLOCK.0 * n).zip(a.chunks(BLOCK.0 * k)) {
        let full = a.len() == BLOCK.0 * k;
        if full {
            for column in (0..whole).step_by(BLOCK.1) {
                block(c, a, b, k, n, column);
            }
        }
        let from = if full { whole } else { 0 };
        for (c, a) in c.chunks_exact_mut(n).zip(a.chunks_exact(k)) {
            for (a, b) in a.iter().zip(b.chunks_exact(n)) {
                c[from..].iter_mut().zip(&b[from..]).for_each(|(c, b)| *c += a * b);
            }
        }
    }
}

#[inline(always)]
fn block(c: &mut [f32], a: &[f32], b: &[f32], k: usize, n: usize, column: usize) {
    let mut sums = [[0f32; BLOCK.1]; BLOCK.0];
    for (i, b) in b.chunks_exact(n).enumerate() {
        let b: &[f32; BLOCK.1] = b[column..column + BLOCK.1].try_into().expect("a block's columns");
        for (row, sums) in sums.iter_mut().enumerate() {
            let a = a[row * k + i];
            for j in 0..BLOCK.1 {
                sums[j] += a * b[j];
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        c[row * n + column..][..BLOCK.1].copy_from_slice(sums);
    }
}

/// A model in plain floats.
#[derive(Clone, Debug)]
pub struct FloatModel {
    /// Of each layer: weights `[in + 1, out]`, the last row the biases.
    pub layers: Vec<Matrix>,
    loss: Loss,
}

impl FloatModel {
    /// The initial model, as [`crate::Model::initial`].
    pub fn initial(model: &ModelSpec, train: &TrainSpec, inputs: usize) -> Self {
        let sizes = model.sizes(inputs);
        let layer = |(pair, weights): (&[usize], Vec<f64>)| {
            let data = weights.iter().map(|w| *w as f32).collect();
            Matrix { rows: pair[1], cols: pair[0] + 1, data }.transpose()
        };
        let layers = sizes.windows(2).zip(init::weights(train.seed, &sizes)).map(layer).collect();
        FloatModel { layers, loss: train.loss(model) }
    }

    /// Predictions: probabilities, or values of a regression.
    pub fn predict(&self, features: &Matrix) -> Vec<f32> {
        let logits = self.forward(&features.augment()).1.data;
        match self.loss {
            Loss::Bce => logits.iter().map(|z| sigmoid(*z)).collect(),
            Loss::Mse => logits,
        }
    }

    /// Augmented outputs of the hidden layers, and logits `[rows, 1]`, of augmented rows.
    fn forward(&self, x: &Matrix) -> (Vec<Matrix>, Matrix) {
        let (output, hidden) = self.layers.split_last().expect("a model has an output layer");
        let mut outputs: Vec<Matrix> = Vec::new();
        for weights in hidden {
            let mut z = outputs.last().unwrap_or(x).matmul(weights);
            z.data.iter_mut().for_each(|z| *z = z.max(0.0));
            outputs.push(z.augment());
        }
        let logits = outputs.last().unwrap_or(x).matmul(output);
        (outputs, logits)
    }

    /// Summed loss of a batch of augmented rows and the summed gradient of each layer.
    pub fn gradients(&self, x: &Matrix, y: &[f32]) -> (f64, Vec<Matrix>) {
        let (outputs, logits) = self.forward(x);
        let loss = logits.data.iter().zip(y).map(|(z, y)| self.row_loss(f64::from(*z), f64::from(*y))).sum();
        let dz = logits.data.iter().zip(y).map(|(z, y)| match self.loss {
            Loss::Bce => sigmoid(*z) - y,
            Loss::Mse => z - y,
        });
        let mut dz = Matrix { rows: logits.rows, cols: 1, data: dz.collect() };
        let mut gradients = Vec::new();
        for (layer, weights) in self.layers.iter().enumerate().rev() {
            let input = layer.checked_sub(1).map_or(x, |below| &outputs[below]);
            gradients.push(input.transpose().matmul(&dz));
            if layer > 0 {
                dz = below(&dz, weights, input);
            }
        }
        gradients.reverse();
        (loss, gradients)
    }

    fn row_loss(&self, z: f64, y: f64) -> f64 {
        match self.loss {
            Loss::Bce => z.max(0.0) + (-z.abs()).exp().ln_1p() - y * z,
            Loss::Mse => 0.5 * (z - y) * (z - y),
        }
    }
}

/// Gradient by the pre-activations of the layer below, whose augmented outputs are given.
fn below(dz: &Matrix, weights: &Matrix, outputs: &Matrix) -> Matrix {
    let units = weights.rows - 1;
    let without_biases =
        Matrix { rows: units, cols: weights.cols, data: weights.data[..units * weights.cols].to_vec() };
    let mut da = dz.matmul(&without_biases.transpose());
    for (da, a) in da.data.chunks_exact_mut(units).zip(outputs.data.chunks_exact(units + 1)) {
        da.iter_mut().zip(a).for_each(|(d, a)| *d = if *a > 0.0 { *d } else { 0.0 });
    }
    da
}

fn sigmoid(z: f32) -> f32 {
    1.0 / (1.0 + (-z).exp())
}

/// What an optimiser remembers: two matrices per layer at most.
struct Moments {
    first: Vec<Matrix>,
    second: Vec<Matrix>,
    steps: i32,
}

/// Trains as [`crate::train::train`] does; the mean loss of each epoch comes with the model.
///
/// # Errors
/// A specification out of its domain; operands that do not fit.
pub fn train(
    model: &ModelSpec,
    spec: &TrainSpec,
    features: &Matrix,
    labels: &[f32],
) -> Result<(FloatModel, Vec<f64>), TrainError> {
    spec.validate(model)?;
    if labels.len() != features.rows {
        let (expected, got) = (format!("[{}]", features.rows), format!("[{}]", labels.len()));
        return Err(TrainError::Shape { operation: "labels of float training", expected, got });
    }
    if features.rows == 0 || features.cols == 0 {
        return Err(SpecError { field: "rows", domain: "and columns must be at least one each" }.into());
    }
    let mut twin = FloatModel::initial(model, spec, features.cols);
    let zeros: Vec<Matrix> = twin.layers.iter().map(|w| Matrix::zeros(w.rows, w.cols)).collect();
    let mut moments = Moments { first: zeros.clone(), second: zeros, steps: 0 };
    let x = features.augment();
    let mut losses = Vec::new();
    for epoch in 0..spec.epochs {
        let batches = batches(spec.seed, epoch, x.rows, spec.batch, spec.shuffle);
        let mut total = 0.0;
        for (index, batch) in batches.iter().enumerate() {
            let step = epoch * batches.len() + index;
            let rate = spec.learning_rate * spec.schedule.factor(epoch, step, spec.epochs * batches.len());
            let y: Vec<f32> = batch.iter().map(|&r| labels[r]).collect();
            let (loss, gradients) = twin.gradients(&x.gather(batch), &y);
            total += loss;
            update(&mut twin.layers, &mut moments, spec, &Rates::new(spec, rate, batch.len()), &gradients, batch.len());
        }
        if spec.clip_every == ClipEvery::Epoch {
            clip_weights(&mut twin.layers, spec);
        }
        losses.push(total / x.rows as f64);
    }
    Ok((twin, losses))
}

fn clip_weights(layers: &mut [Matrix], spec: &TrainSpec) {
    if let Some(limit) = spec.clip_weights {
        let limit = limit as f32;
        layers.iter_mut().flat_map(|w| &mut w.data).for_each(|w| *w = w.clamp(-limit, limit));
    }
}

fn update(
    layers: &mut [Matrix],
    moments: &mut Moments,
    spec: &TrainSpec,
    rates: &Rates,
    gradients: &[Matrix],
    rows: usize,
) {
    moments.steps += 1;
    let limit = match spec.optimiser {
        Optimiser::Adam { .. } => spec.clip_gradients.unwrap_or(ADAM_CLIP).min(ADAM_CLIP),
        _ => spec.clip_gradients.unwrap_or(f64::INFINITY),
    } as f32;
    let (rate, decay, steps) = (rates.effective as f32, rates.decay.value() as f32, moments.steps);
    for (layer, (weights, gradient)) in layers.iter_mut().zip(gradients).enumerate() {
        let (first, second) = (&mut moments.first[layer].data, &mut moments.second[layer].data);
        for (i, w) in weights.data.iter_mut().enumerate() {
            let g = (gradient.data[i] / rows as f32).clamp(-limit, limit);
            *w += match spec.optimiser {
                Optimiser::Sgd => -rate * g - decay * *w,
                Optimiser::Momentum { decay: keep } => {
                    first[i] = keep as f32 * first[i] - rate * g - decay * *w;
                    first[i]
                }
                Optimiser::Adam { beta1, beta2, epsilon } => {
                    let (b1, b2) = (beta1 as f32, beta2 as f32);
                    first[i] += (1.0 - b1) * (g - first[i]);
                    second[i] += (1.0 - b2) * (g * g - second[i]);
                    let square = second[i] / (1.0 - b2.powi(steps)) + (epsilon * epsilon) as f32;
                    -rate * first[i] / (1.0 - b1.powi(steps)) / square.sqrt() - decay * *w
                }
            };
        }
    }
    if spec.clip_every == ClipEvery::Iteration {
        clip_weights(layers, spec);
    }
}
