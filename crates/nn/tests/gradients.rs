//! Gradients of the fixed-point twin against those of the float twin and against differences of the float loss.

mod common;

use common::{Data, config, mlp, twin};
use privity_mpc::Protocol;
use privity_nn::float::{FloatModel, Matrix};
use privity_nn::spec::Loss;
use privity_nn::{ModelKind, ModelSpec, TrainSpec, Trainer, iteration, layers};
use privity_ring::Fixed;

/// The update of one secure iteration at learning rate 1, negated: the mean gradient, `[out, in + 1]` per layer.
fn secure_gradients(model: &ModelSpec, spec: &TrainSpec, data: &Data) -> Vec<Vec<f64>> {
    let mut p = twin(32);
    let fixed = p.config().fixed;
    let mut trainer = Trainer::new(&mut p, model, spec, data.features.cols).expect("a sound specification");
    let before = trainer.model.layers.clone();
    let x = layers::augment(&mut p, &data.features_at(fixed));
    iteration(&mut p, &mut trainer, &x, &data.labels_at(fixed), 1.0).expect("an iteration succeeds");
    let format = Fixed { frac: trainer.model.plan.weight_frac };
    before.iter().zip(&trainer.model.layers).map(|(b, a)| format.decode_tensor(&b.sub(a))).collect()
}

fn float_gradients(model: &ModelSpec, spec: &TrainSpec, data: &Data) -> Vec<Matrix> {
    let twin = FloatModel::initial(model, spec, data.features.cols);
    twin.gradients(&augmented(&data.features), &data.labels).1
}

fn augmented(x: &Matrix) -> Matrix {
    let data = x.data.chunks_exact(x.cols).flat_map(|row| row.iter().copied().chain([1.0])).collect();
    Matrix::new(x.rows, x.cols + 1, data).expect("one column more")
}

/// Agreement in every component, relative to the largest gradient of the layer.
fn compare(model: &ModelSpec, spec: &TrainSpec, data: &Data, tolerance: f64) {
    let rows = data.features.rows as f64;
    for (secure, float) in secure_gradients(model, spec, data).iter().zip(float_gradients(model, spec, data)) {
        let largest = float.data.iter().fold(0.0f64, |m, g| m.max(f64::from(g.abs()) / rows));
        for out in 0..float.cols {
            for input in 0..float.rows {
                let want = f64::from(float.data[input * float.cols + out]) / rows;
                let got = secure[out * float.rows + input];
                assert!((want - got).abs() < tolerance * (largest + 0.01), "gradient {got}, float {want}");
            }
        }
    }
}

#[test]
fn secure_gradients_are_those_of_the_float_twin() {
    let spec = TrainSpec { seed: 5, ..TrainSpec::default() };
    let data = Data::classification(21, 128, 9, 0.5);
    compare(&ModelSpec::new(ModelKind::Logistic), &spec, &data, 1e-2);
    compare(&mlp(&[8]), &spec, &data, 1e-2);
    compare(&mlp(&[13, 7]), &spec, &data, 1e-2);
    let squared = TrainSpec { loss: Some(Loss::Mse), ..spec };
    let data = Data::regression(22, 100, 9, 0.5);
    compare(&mlp(&[6, 5]), &squared, &data, 1e-2);
    compare(&ModelSpec::new(ModelKind::Linear), &squared, &data, 1e-2);
}

#[test]
fn float_gradients_are_differences_of_the_loss() {
    let data = Data::classification(23, 32, 4, 0.5);
    let x = augmented(&data.features);
    for loss in [Loss::Bce, Loss::Mse] {
        let spec = TrainSpec { loss: Some(loss), seed: 9, ..TrainSpec::default() };
        let model = FloatModel::initial(&mlp(&[5, 3]), &spec, 4);
        let (_, gradients) = model.gradients(&x, &data.labels);
        for (layer, gradient) in gradients.iter().enumerate() {
            for (i, analytic) in gradient.data.iter().enumerate() {
                let shifted = |by: f32| {
                    let mut moved = model.clone();
                    moved.layers[layer].data[i] += by;
                    moved.gradients(&x, &data.labels).0
                };
                let step = 1e-3;
                let numeric = (shifted(step) - shifted(-step)) / (2.0 * f64::from(step));
                let analytic = f64::from(*analytic);
                assert!((numeric - analytic).abs() < 0.02 * (1.0 + analytic.abs()), "{numeric} against {analytic}");
            }
        }
    }
}

#[test]
fn the_format_is_honoured() {
    for frac in [12, 16, 20] {
        let mut p =
            privity_mpc::plain::Plain::new(privity_mpc::Config { fixed: Fixed { frac }, width: 36, ..config() }, 3);
        let data = Data::classification(24, 64, 5, 0.5);
        let (x, y) = (data.features_at(Fixed { frac }), data.labels_at(Fixed { frac }));
        let spec = TrainSpec { epochs: 2, batch: 16, ..TrainSpec::default() };
        let model = privity_nn::train(&mut p, &mlp(&[6]), &spec, &x, &y, &mut ()).expect("training succeeds");
        let predictions = Fixed { frac }.decode_tensor(&model.predict(&mut p, &x).expect("prediction succeeds"));
        let (float, _) = privity_nn::float::train(&mlp(&[6]), &spec, &data.features, &data.labels).expect("succeeds");
        let worst = predictions.iter().zip(float.predict(&data.features)).map(|(a, b)| (a - f64::from(b)).abs());
        assert!(worst.fold(0.0, f64::max) < 0.02, "frac {frac}");
    }
}
