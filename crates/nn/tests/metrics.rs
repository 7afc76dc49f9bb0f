//! Secure evaluation against the same numbers from opened predictions.

mod common;

use common::{Data, SOFTPLUS_ERROR, accuracy, config, mlp, twin};
use privity_mpc::Recipients;
use privity_nn::metrics::{classification, mean_squared_error, open_to_owners};
use privity_nn::{ModelKind, ModelSpec, TrainSpec, train};

fn area(predictions: &[f64], labels: &[f32]) -> f64 {
    let of = |label: f32| predictions.iter().zip(labels).filter(move |(_, y)| **y == label).map(|(p, _)| *p);
    let (mut won, mut pairs) = (0.0, 0.0);
    for positive in of(1.0) {
        for negative in of(0.0) {
            won += f64::from(positive > negative) + 0.5 * f64::from(positive == negative);
            pairs += 1.0;
        }
    }
    won / pairs
}

#[test]
fn a_classifier_is_measured_by_counts() {
    let data = Data::classification(41, 301, 5, 0.8);
    let mut p = twin(32);
    let fixed = config().fixed;
    let (x, y) = (data.features_at(fixed), data.labels_at(fixed));
    for model in [mlp(&[6]), ModelSpec::new(ModelKind::Logistic)] {
        let spec = TrainSpec { epochs: 6, batch: 32, ..TrainSpec::default() };
        let model = train(&mut p, &model, &spec, &x, &y, &mut ()).expect("training succeeds");
        let predictions = fixed.decode_tensor(&model.predict(&mut p, &x).expect("prediction succeeds"));
        let measured =
            classification(&mut p, &model, &x, &y, 64, Recipients::ALL).expect("runs").expect("all learn it");
        assert_eq!(measured.rows, 301);
        assert_eq!(measured.positives.len(), 64);
        let positives = data.labels.iter().filter(|y| **y == 1.0).count() as u64;
        assert_eq!(measured.positives.iter().sum::<u64>(), positives);
        assert_eq!(measured.negatives.iter().sum::<u64>(), 301 - positives);
        assert!((measured.accuracy() - accuracy(&predictions, &data.labels)).abs() < 0.005);
        let auc = measured.auc().expect("both classes occur");
        assert!((auc - area(&predictions, &data.labels)).abs() < 0.005, "{auc}");
        let loss: f64 =
            predictions.iter().zip(&data.labels).map(|(p, y)| -if *y == 1.0 { p.ln() } else { (1.0 - p).ln() }).sum();
        assert!(
            (measured.log_loss - loss / 301.0).abs() < 0.005 + SOFTPLUS_ERROR,
            "{} against {}",
            measured.log_loss,
            loss / 301.0
        );
    }
}

#[test]
fn one_class_alone_has_no_area() {
    let mut data = Data::classification(42, 20, 2, 0.1);
    data.labels.fill(1.0);
    let mut p = twin(32);
    let (x, y) = (data.features_at(config().fixed), data.labels_at(config().fixed));
    let spec = TrainSpec { epochs: 1, ..TrainSpec::default() };
    let model = train(&mut p, &ModelSpec::new(ModelKind::Logistic), &spec, &x, &y, &mut ()).expect("trains");
    let measured = classification(&mut p, &model, &x, &y, 10, Recipients::ALL).expect("runs").expect("opened");
    assert_eq!(measured.auc(), None);
}

#[test]
fn a_regression_is_measured_by_its_squared_error() {
    let data = Data::regression(43, 200, 4, 0.2);
    let mut p = twin(32);
    let fixed = config().fixed;
    let (x, y) = (data.features_at(fixed), data.labels_at(fixed));
    let spec = TrainSpec { epochs: 10, batch: 32, ..TrainSpec::default() };
    let model = train(&mut p, &ModelSpec::new(ModelKind::Linear), &spec, &x, &y, &mut ()).expect("trains");
    let predictions = fixed.decode_tensor(&model.predict(&mut p, &x).expect("predicts"));
    let want: f64 = predictions.iter().zip(&data.labels).map(|(p, y)| (p - f64::from(*y)).powi(2)).sum::<f64>() / 200.0;
    let got = mean_squared_error(&mut p, &model, &x, &y, Recipients::only(0)).expect("runs").expect("opened");
    assert!((got - want).abs() < 1e-3, "{got} against {want}");
    assert!(classification(&mut p, &model, &x, &y, 10, Recipients::ALL).is_err());
}

#[test]
fn owners_learn_their_own_predictions() {
    let data = Data::classification(44, 10, 3, 0.1);
    let mut p = twin(32);
    let fixed = config().fixed;
    let (x, y) = (data.features_at(fixed), data.labels_at(fixed));
    let spec = TrainSpec { epochs: 1, ..TrainSpec::default() };
    let model = train(&mut p, &ModelSpec::new(ModelKind::Logistic), &spec, &x, &y, &mut ()).expect("trains");
    let predictions = model.predict(&mut p, &x).expect("predicts");
    let opened = open_to_owners(&mut p, &predictions, &[(0..4, 0), (4..10, 1)]).expect("opens");
    let all: Vec<f64> = opened.into_iter().flat_map(|o| o.expect("the twin sees all")).collect();
    assert_eq!(all, fixed.decode_tensor(&predictions));
    let error = open_to_owners(&mut p, &predictions, &[(8..11, 0)]).expect_err("beyond the rows");
    assert!(error.to_string().contains("expected a slice of 0..10, got 8..11"), "{error}");
}

#[test]
fn an_opened_model_predicts_what_the_shared_one_does() {
    let data = Data::classification(45, 30, 3, 0.1);
    let mut p = twin(32);
    let fixed = config().fixed;
    let (x, y) = (data.features_at(fixed), data.labels_at(fixed));
    let spec = TrainSpec { epochs: 3, batch: 8, ..TrainSpec::default() };
    let model = train(&mut p, &ModelSpec::new(ModelKind::Logistic), &spec, &x, &y, &mut ()).expect("trains");
    let scores = fixed.decode_tensor(&model.scores(&mut p, &x).expect("scores"));
    let open = model.open(&mut p, Recipients::ALL).expect("opens").expect("all learn it");
    for (score, row) in scores.iter().zip(data.features.data.chunks_exact(3)) {
        let layer = &open.layers[0];
        let want: f64 =
            layer.biases[0] + row.iter().zip(&layer.weights[0]).map(|(x, w)| f64::from(*x) * w).sum::<f64>();
        assert!((score - want).abs() < 1e-3, "{score} against {want}");
    }
}
