//! Synthetic data and the plaintext twin, shared by the tests.
#![allow(dead_code)] // each test binary uses its part

use privity_mpc::plain::Plain;
use privity_mpc::{Config, TruncMode};
use privity_nn::float::Matrix;
use privity_nn::{ModelKind, ModelSpec, Observer, TrainSpec};
use privity_ring::{Fixed, Shape, Tensor};

/// A small deterministic generator (splitmix64).
pub struct Draw(pub u64);

impl Draw {
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }
    /// Roughly normal, within ±6.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// Features and labels.
pub struct Data {
    pub features: Matrix,
    pub labels: Vec<f32>,
}

impl Data {
    /// Labels follow the sign of a linear score plus `noise` standard deviations of noise.
    pub fn classification(seed: u64, rows: usize, cols: usize, noise: f64) -> Data {
        Self::generate(seed, rows, cols, |score, draw| f32::from(score + noise * draw.normal() > 0.0))
    }
    /// Labels are a linear score plus `noise` standard deviations of noise.
    pub fn regression(seed: u64, rows: usize, cols: usize, noise: f64) -> Data {
        Self::generate(seed, rows, cols, |score, draw| (0.5 * score + noise * draw.normal()) as f32)
    }
    /// Labels tell inside from outside of a ball: no linear model separates them.
    pub fn ball(seed: u64, rows: usize, cols: usize) -> Data {
        let mut data = Self::classification(seed, rows, cols, 0.0);
        for (y, x) in data.labels.iter_mut().zip(data.features.data.chunks_exact(cols)) {
            *y = f32::from(x.iter().map(|x| x * x).sum::<f32>() > cols as f32 * 0.9);
        }
        data
    }
    fn generate(seed: u64, rows: usize, cols: usize, label: impl Fn(f64, &mut Draw) -> f32) -> Data {
        let mut draw = Draw(seed);
        let direction: Vec<f64> = (0..cols).map(|_| draw.normal()).collect();
        let (mut data, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..rows {
            let row: Vec<f64> = (0..cols).map(|_| draw.normal()).collect();
            let score: f64 = row.iter().zip(&direction).map(|(x, d)| x * d).sum::<f64>() / (cols as f64).sqrt();
            labels.push(label(score, &mut draw));
            data.extend(row.iter().map(|x| *x as f32));
        }
        Data { features: Matrix { rows, cols, data }, labels }
    }
    pub fn features_at(&self, fixed: Fixed) -> Tensor<u64> {
        let values: Vec<f64> = self.features.data.iter().map(|x| f64::from(*x)).collect();
        fixed.encode_tensor(&Shape::matrix(self.features.rows, self.features.cols), &values).expect("small values")
    }
    pub fn labels_at(&self, fixed: Fixed) -> Tensor<u64> {
        let values: Vec<f64> = self.labels.iter().map(|x| f64::from(*x)).collect();
        fixed.encode_tensor(&Shape::vector(values.len()), &values).expect("small values")
    }
}

/// The default format with exact truncation.
pub fn config() -> Config {
    Config { mode: TruncMode::Exact, ..Config::default() }
}

/// By how much the secure cross entropy may be off, as `privity_mpc::ops::sigmoid::softplus_many` states.
pub const SOFTPLUS_ERROR: f64 = 0.005;

pub fn twin(width: u32) -> Plain {
    Plain::new(Config { width, ..Config::default() }, 3)
}

pub fn mlp(hidden: &[usize]) -> ModelSpec {
    ModelSpec::new(ModelKind::Mlp { hidden: hidden.to_vec() })
}

/// Losses as they were opened.
#[derive(Default)]
pub struct Losses(pub Vec<f64>);

impl Observer for Losses {
    fn epoch(&mut self, epoch: usize, loss: f64) {
        assert_eq!(epoch, self.0.len(), "epochs are reported in order");
        self.0.push(loss);
    }
}

/// Secure predictions under the twin, secure losses, float predictions, float losses.
pub struct Runs {
    pub secure: Vec<f64>,
    pub secure_losses: Vec<f64>,
    pub float: Vec<f64>,
    pub float_losses: Vec<f64>,
}

pub fn run(model: &ModelSpec, spec: &TrainSpec, data: &Data) -> Runs {
    let mut p = twin(32);
    let fixed = config().fixed;
    let (x, y) = (data.features_at(fixed), data.labels_at(fixed));
    let mut losses = Losses::default();
    let trained = privity_nn::train(&mut p, model, spec, &x, &y, &mut losses).expect("training succeeds");
    let predictions = trained.predict(&mut p, &x).expect("prediction succeeds");
    let (float, float_losses) =
        privity_nn::float::train(model, spec, &data.features, &data.labels).expect("float training succeeds");
    Runs {
        secure: fixed.decode_tensor(&predictions),
        secure_losses: losses.0,
        float: float.predict(&data.features).iter().map(|p| f64::from(*p)).collect(),
        float_losses,
    }
}

impl Runs {
    /// The largest difference of two predictions.
    pub fn largest_difference(&self) -> f64 {
        self.secure.iter().zip(&self.float).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }
    /// The mean difference of predictions, in magnitude.
    pub fn mean_difference(&self) -> f64 {
        self.secure.iter().zip(&self.float).map(|(a, b)| (a - b).abs()).sum::<f64>() / self.secure.len() as f64
    }
    pub fn largest_loss_difference(&self) -> f64 {
        assert_eq!(self.secure_losses.len(), self.float_losses.len());
        self.secure_losses.iter().zip(&self.float_losses).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }
}

pub fn accuracy(predictions: &[f64], labels: &[f32]) -> f64 {
    let right = predictions.iter().zip(labels).filter(|(p, y)| (**p >= 0.5) == (**y >= 0.5)).count();
    right as f64 / labels.len() as f64
}
