//! The float32 twin of each work, timed in the same run so that ratios survive a noisy machine.

use crate::works::{self, Work};
use privity_nn::TrainSpec;
use privity_nn::float::{self, FloatModel, Matrix};
use std::hint::black_box;
use std::time::Instant;

/// Median seconds of one plain repetition on one thread. `None` where the work has no plain counterpart worth timing.
pub fn seconds(work: Work, size: usize) -> Option<f64> {
    let vector = |seed: u64, len: usize| -> Vec<f32> { (0..len).map(|i| works::number(seed, i) as f32).collect() };
    match work {
        Work::W1 | Work::W1fixed => {
            let (x, y) = (vector(1, size), vector(2, size));
            let mut z = vec![0f32; size];
            Some(time(|| z.iter_mut().zip(x.iter().zip(&y)).for_each(|(z, (x, y))| *z = x * y), |_| ()))
        }
        Work::W2 => {
            let (x, mut z) = (vector(1, size), vec![0f32; size]);
            Some(time(|| z.iter_mut().zip(&x).for_each(|(z, x)| *z = x.max(0.0)), |_| ()))
        }
        Work::W3 => {
            let x = Matrix::new(size, size, vector(1, size * size)).ok()?;
            let y = Matrix::new(size, size, vector(2, size * size)).ok()?;
            Some(time(|| x.matmul(&y), |z| drop(black_box(z))))
        }
        Work::W4 => {
            let (x, mut z) = (vector(1, size), vec![0f32; size]);
            Some(time(|| z.iter_mut().zip(&x).for_each(|(z, x)| *z = 1.0 / (1.0 + (-x).exp())), |_| ()))
        }
        Work::W5 | Work::W6 => {
            let model = FloatModel::initial(&works::model(work), &works::spec(size), 30);
            let x = Matrix::new(size, 31, vector(1, size * 31)).ok()?;
            let y: Vec<f32> = (0..size).map(|i| (i % 2) as f32).collect();
            Some(time(|| model.gradients(&x, &y), |g| drop(black_box(g))))
        }
        Work::W7 => {
            let widths = [784, 128, 128, 10];
            let layer = |pair: &[usize]| Matrix::new(pair[0], pair[1], vector(3, pair[0] * pair[1])).ok();
            let layers = widths.windows(2).map(layer).collect::<Option<Vec<_>>>()?;
            let x = Matrix::new(size, 784, vector(4, size * 784)).ok()?;
            Some(time(|| layers.iter().fold(x.clone(), |x, w| x.matmul(w)), |z| drop(black_box(z))))
        }
        Work::W10 => {
            let x = Matrix::new(size, 30, vector(1, size * 30)).ok()?;
            let y: Vec<f32> = (0..size).map(|i| (i % 2) as f32).collect();
            let spec = TrainSpec { epochs: 1, ..works::spec(works::EPOCH_BATCH) };
            let started = Instant::now();
            drop(black_box(float::train(&works::model(work), &spec, &x, &y).ok()?));
            Some(started.elapsed().as_secs_f64())
        }
        Work::W8 | Work::W9 => None,
    }
}

fn time<T>(mut f: impl FnMut() -> T, mut sink: impl FnMut(T)) -> f64 {
    let mut samples = Vec::new();
    let begin = Instant::now();
    while samples.len() < 5 || (begin.elapsed().as_secs_f64() < 0.3 && samples.len() < 1000) {
        let start = Instant::now();
        sink(f());
        samples.push(start.elapsed().as_secs_f64());
    }
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
