//! The fixed-point twin trains like the float twin.

mod common;

use common::{Data, SOFTPLUS_ERROR, accuracy, mlp, run};
use privity_nn::spec::{ClipEvery, Loss, Optimiser, Schedule, Sigmoid};
use privity_nn::{ModelKind, ModelSpec, TrainSpec};

fn logistic() -> ModelSpec {
    ModelSpec::new(ModelKind::Logistic)
}

/// Trains, and holds the twins against each other: predictions within `mean` on average, losses within `loss` beyond the
/// stated error of the secure loss.
fn agree(model: &ModelSpec, spec: &TrainSpec, data: &Data, mean: f64, loss: f64) -> common::Runs {
    let runs = run(model, spec, data);
    assert!(runs.mean_difference() < mean, "mean difference of predictions {}", runs.mean_difference());
    let exact_loss = spec.loss(model) == Loss::Mse;
    let loss = if exact_loss { loss } else { loss + SOFTPLUS_ERROR };
    assert!(runs.largest_loss_difference() < loss, "difference of losses {}", runs.largest_loss_difference());
    runs
}

#[test]
fn logistic_regression_separates_the_separable() {
    let data = Data::classification(1, 600, 10, 0.0);
    let spec = TrainSpec { epochs: 20, batch: 64, learning_rate: 0.5, ..TrainSpec::default() };
    let runs = agree(&logistic(), &spec, &data, 4e-3, 6e-3);
    assert!(accuracy(&runs.secure, &data.labels) > 0.97);
    assert!(runs.secure_losses.last() < runs.secure_losses.first());
}

#[test]
fn logistic_regression_on_noisy_labels_agrees() {
    let data = Data::classification(2, 500, 8, 0.7);
    let spec = TrainSpec { epochs: 8, learning_rate: 0.3, ..TrainSpec::default() };
    let runs = agree(&logistic(), &spec, &data, 4e-3, 6e-3);
    let (secure, float) = (accuracy(&runs.secure, &data.labels), accuracy(&runs.float, &data.labels));
    assert!((secure - float).abs() <= 0.01, "accuracy {secure} against {float}");
}

#[test]
fn linear_regression_agrees() {
    let data = Data::regression(3, 400, 6, 0.1);
    let spec = TrainSpec { epochs: 10, batch: 50, learning_rate: 0.1, ..TrainSpec::default() };
    let runs = agree(&ModelSpec::new(ModelKind::Linear), &spec, &data, 5e-4, 5e-4);
    assert!(*runs.secure_losses.last().expect("ten epochs") < 0.01);
}

#[test]
fn a_perceptron_learns_what_no_line_can() {
    let data = Data::ball(4, 800, 4);
    let optimiser = Optimiser::Momentum { decay: 0.9 };
    let spec = TrainSpec { epochs: 25, batch: 64, learning_rate: 0.05, optimiser, ..TrainSpec::default() };
    let runs = agree(&mlp(&[16, 8]), &spec, &data, 2e-2, 2e-2);
    assert!(accuracy(&runs.secure, &data.labels) > 0.93);
}

#[test]
fn a_perceptron_regresses() {
    let data = Data::regression(5, 400, 5, 0.05);
    let spec = TrainSpec { epochs: 8, batch: 32, learning_rate: 0.02, loss: Some(Loss::Mse), ..TrainSpec::default() };
    agree(&mlp(&[12]), &spec, &data, 5e-3, 5e-3);
}

#[test]
fn momentum_weight_decay_and_schedules_agree() {
    let data = Data::classification(6, 300, 6, 0.5);
    for schedule in [
        Schedule::Constant,
        Schedule::Step { every: 2, factor: 0.5 },
        Schedule::Cosine { floor: 0.1 },
        Schedule::Linear { floor: 0.0 },
    ] {
        let optimiser = Optimiser::Momentum { decay: 0.8 };
        let spec = TrainSpec { epochs: 5, batch: 32, optimiser, schedule, l2: 0.01, ..TrainSpec::default() };
        agree(&logistic(), &spec, &data, 4e-3, 6e-3);
    }
}

#[test]
fn weight_decay_shrinks_predictions() {
    let data = Data::classification(7, 300, 6, 0.5);
    let spec = TrainSpec { epochs: 5, batch: 32, ..TrainSpec::default() };
    let free = run(&logistic(), &spec, &data);
    let decayed = run(&logistic(), &TrainSpec { l2: 0.3, ..spec }, &data);
    let spread = |p: &[f64]| p.iter().map(|p| (p - 0.5).abs()).sum::<f64>();
    assert!(spread(&decayed.secure) < 0.8 * spread(&free.secure));
}

#[test]
fn adam_agrees() {
    let data = Data::classification(8, 300, 6, 0.5);
    let spec =
        TrainSpec { epochs: 4, batch: 64, learning_rate: 0.02, optimiser: Optimiser::ADAM, ..TrainSpec::default() };
    agree(&logistic(), &spec, &data, 6e-3, 6e-3);
    let runs = agree(&mlp(&[8]), &TrainSpec { l2: 0.01, epochs: 8, ..spec }, &data, 1e-2, 1e-2);
    assert!(accuracy(&runs.secure, &data.labels) > 0.8);
}

#[test]
fn clipping_agrees_and_binds() {
    let data = Data::classification(9, 300, 6, 0.1);
    let spec = TrainSpec { epochs: 6, batch: 32, learning_rate: 1.0, ..TrainSpec::default() };
    let free = agree(&logistic(), &spec, &data, 8e-3, 8e-3);
    for every in [ClipEvery::Iteration, ClipEvery::Epoch] {
        let clipped = TrainSpec { clip_weights: Some(0.5), clip_every: every, ..spec.clone() };
        let runs = agree(&logistic(), &clipped, &data, 4e-3, 6e-3);
        assert!(runs.secure_losses.last() > free.secure_losses.last(), "weights within ±0.5 fit less well");
    }
    let gentle = TrainSpec { clip_gradients: Some(0.05), ..spec };
    let runs = agree(&logistic(), &gentle, &data, 4e-3, 6e-3);
    assert!(runs.secure_losses.last() > free.secure_losses.last(), "clipped gradients learn more slowly");
}

#[test]
fn the_fourier_sigmoid_agrees() {
    let data = Data::classification(10, 200, 5, 0.5);
    let model = ModelSpec { sigmoid: Sigmoid::Fourier, ..logistic() };
    let spec = TrainSpec { epochs: 4, batch: 50, ..TrainSpec::default() };
    agree(&model, &spec, &data, 4e-3, 1e-2);
}

#[test]
fn remainders_and_single_rows_are_batches_too() {
    let data = Data::classification(11, 65, 3, 0.3);
    for batch in [64, 7, 1, 1000] {
        let spec = TrainSpec { epochs: 2, batch, learning_rate: 0.05, ..TrainSpec::default() };
        agree(&logistic(), &spec, &data, 4e-3, 6e-3);
    }
}
