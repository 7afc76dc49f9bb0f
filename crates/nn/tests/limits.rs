//! What is refused, and how divergence is caught.

mod common;

use common::{Data, config, mlp, twin};
use privity_mpc::{Config, Protocol};
use privity_nn::range::{Verdict, plan};
use privity_nn::spec::{ClipEvery, LearningRate, Loss, Optimiser, Schedule, Sigmoid};
use privity_nn::train::declared_openings;
use privity_nn::{ModelKind, ModelSpec, TrainError, TrainSpec, Trainer, train};
use privity_ring::{Fixed, Shape, Tensor};

fn logistic() -> ModelSpec {
    ModelSpec::new(ModelKind::Logistic)
}

fn outcome(model: &ModelSpec, spec: &TrainSpec, data: &Data) -> Result<(), TrainError> {
    let mut p = twin(48 - 8);
    let fixed = p.config().fixed;
    train(&mut p, model, spec, &data.features_at(fixed), &data.labels_at(fixed), &mut ()).map(|_| ())
}

#[test]
fn divergence_is_caught_with_its_epoch_and_layer() {
    let data = Data::classification(31, 128, 6, 0.5);
    let spec = TrainSpec { epochs: 4, batch: 32, learning_rate: 60.0, ..TrainSpec::default() };
    let error = outcome(&logistic(), &spec, &data).expect_err("the rate is huge");
    assert!(matches!(error, TrainError::Diverged { epoch: 0..3, layer: 0 }), "{error}");
    assert!(error.to_string().contains("lower learning_rate"), "{error}");
    let gentle = TrainSpec { learning_rate: 0.1, ..spec.clone() };
    assert_eq!(outcome(&logistic(), &gentle, &data), Ok(()));
    let clipped = TrainSpec { clip_weights: Some(4.0), ..spec };
    assert_eq!(outcome(&logistic(), &clipped, &data), Ok(()));
}

#[test]
fn slow_divergence_is_caught_when_it_happens() {
    let data = Data::regression(32, 64, 4, 0.1);
    let spec = TrainSpec { epochs: 40, batch: 64, learning_rate: 2.5, ..TrainSpec::default() };
    let error = outcome(&ModelSpec::new(ModelKind::Linear), &spec, &data).expect_err("the rate is beyond stability");
    assert!(matches!(error, TrainError::Diverged { epoch: 1..40, layer: 0 }), "{error}");
}

#[test]
fn plans_are_proven_with_clipping_and_estimated_without() {
    let clipped = TrainSpec { clip_weights: Some(4.0), ..TrainSpec::default() };
    let proven = plan(&config(), &logistic(), &clipped, 30).expect("fits");
    assert_eq!(proven.verdict, Verdict::Proven);
    assert_eq!(proven.layers[0].bounds.pre_activation, 4.0 * (30.0 * 8.0 + 1.0));
    assert_eq!(proven.layers[0].width, 16 + 10 + 2);
    for spec in [TrainSpec::default(), TrainSpec { clip_every: ClipEvery::Epoch, ..clipped }] {
        assert_eq!(plan(&config(), &logistic(), &spec, 30).expect("fits").verdict, Verdict::Estimated);
    }
    let small = TrainSpec { clip_weights: Some(1.0), input_limit: 4.0, batch: 32, ..TrainSpec::default() };
    let wide = Config { width: 40, ..config() };
    assert_eq!(plan(&wide, &mlp(&[4]), &small, 8).expect("fits").verdict, Verdict::Proven);
}

#[test]
fn the_usual_models_fit_the_usual_format() {
    for batch in [128, 1024] {
        let spec = TrainSpec { batch, ..TrainSpec::default() };
        let plan = plan(&config(), &mlp(&[64, 32]), &spec, 30).expect("fits");
        assert!(plan.weight_frac >= 20, "weights have {} fraction bits", plan.weight_frac);
        assert!(plan.layers.iter().all(|l| l.width == 32 && l.gradient_frac >= 16));
    }
}

#[test]
fn formats_too_small_are_refused_by_layer_and_operation() {
    let narrow = Config { width: 20, ..config() };
    let error = plan(&narrow, &mlp(&[64, 32]), &TrainSpec::default(), 30).expect_err("20 bits are too few");
    assert_eq!((error.layer, error.operation, error.available), (0, "comparison", 20));
    assert!(error.to_string().contains("raise the comparison width"), "{error}");
    let fine = Config { fixed: Fixed { frac: 28 }, width: 48, ..config() };
    let error = plan(&fine, &mlp(&[64, 32]), &TrainSpec::default(), 30).expect_err("28 fraction bits are too many");
    assert_eq!(error.operation, "gradient product");
    let adam = TrainSpec { optimiser: Optimiser::ADAM, ..TrainSpec::default() };
    let error = plan(&fine, &logistic(), &adam, 3).expect_err("squares need room");
    assert_eq!((error.operation, error.needed, error.available), ("inverse square root of Adam", 28, 20));
}

#[test]
fn specifications_out_of_their_domain_are_refused_by_field() {
    let base = TrainSpec::default();
    let cases = [
        ("epochs", TrainSpec { epochs: 0, ..base.clone() }),
        ("batch", TrainSpec { batch: 0, ..base.clone() }),
        ("learning_rate", TrainSpec { learning_rate: f64::NAN, ..base.clone() }),
        ("learning_rate", TrainSpec { learning_rate: 65.0, ..base.clone() }),
        ("l2", TrainSpec { l2: -1.0, ..base.clone() }),
        ("clip_weights", TrainSpec { clip_weights: Some(1e6), ..base.clone() }),
        ("clip_gradients", TrainSpec { clip_gradients: Some(0.0), ..base.clone() }),
        ("input_limit", TrainSpec { input_limit: f64::INFINITY, ..base.clone() }),
        ("weight_limit", TrainSpec { weight_limit: 0.0, ..base.clone() }),
        ("schedule.step", TrainSpec { schedule: Schedule::Step { every: 0, factor: 0.5 }, ..base.clone() }),
        ("schedule.floor", TrainSpec { schedule: Schedule::Cosine { floor: 2.0 }, ..base.clone() }),
        ("optimiser.momentum.decay", TrainSpec { optimiser: Optimiser::Momentum { decay: 1.0 }, ..base.clone() }),
        ("loss", TrainSpec { loss: Some(Loss::Mse), ..base.clone() }),
    ];
    for (field, spec) in cases {
        assert_eq!(spec.validate(&logistic()).expect_err(field).field, field);
    }
    let epsilon = Optimiser::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    let error = TrainSpec { optimiser: epsilon, ..base.clone() }.validate(&logistic()).expect_err("too small");
    assert_eq!(error.field, "optimiser.adam.epsilon");
    for hidden in [vec![], vec![0], vec![4; 17]] {
        assert_eq!(base.validate(&mlp(&hidden)).expect_err("bad layers").field, "model.hidden");
    }
    assert_eq!(base.validate(&mlp(&[4])), Ok(()));
}

#[test]
fn specifications_read_with_defaults_and_refuse_unknown_fields() {
    let spec: TrainSpec =
        serde_json::from_str(r#"{"epochs": 2, "optimiser": {"momentum": {"decay": 0.5}}}"#).expect("ok");
    let want = TrainSpec { epochs: 2, optimiser: Optimiser::Momentum { decay: 0.5 }, ..TrainSpec::default() };
    assert_eq!(spec, want);
    let model: ModelSpec = serde_json::from_str(r#"{"kind": {"mlp": {"hidden": [64, 32]}}}"#).expect("ok");
    assert_eq!(model, mlp(&[64, 32]));
    assert_eq!(serde_json::from_str::<ModelSpec>(r#"{"kind": "logistic"}"#).expect("ok"), logistic());
    assert!(serde_json::from_str::<TrainSpec>(r#"{"epoch": 2}"#).is_err());
    assert!(serde_json::from_str::<ModelSpec>(r#"{"kind": {"mlp": {"hidden": [1], "depth": 2}}}"#).is_err());
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let mut p = twin(32);
    let zeros = |extents: &[usize]| Tensor::<u64>::zeros(&Shape::new(extents));
    let spec = TrainSpec { epochs: 1, ..TrainSpec::default() };
    let error = train(&mut p, &logistic(), &spec, &zeros(&[4, 2]), &zeros(&[3]), &mut ()).err().expect("refused");
    assert!(error.to_string().contains("expected [4], got [3]"), "{error}");
    let error = train(&mut p, &logistic(), &spec, &zeros(&[0, 2]), &zeros(&[0]), &mut ()).err().expect("refused");
    assert!(matches!(error, TrainError::Spec(_)));
    let model = train(&mut p, &logistic(), &spec, &zeros(&[4, 2]), &zeros(&[4]), &mut ()).expect("trains");
    let error = model.predict(&mut p, &zeros(&[4, 3])).expect_err("refused");
    assert!(error.to_string().contains("expected [rows, 2], got [4, 3]"), "{error}");
}

#[test]
fn learning_rates_are_quantised_to_within_one_part_in_128() {
    let mut rate = 2e-9;
    while rate < 100.0 {
        let nearest = LearningRate::nearest(rate);
        assert!((nearest.value() / rate - 1.0).abs() <= 1.0 / 128.0, "{rate} became {}", nearest.value());
        assert!((64..128).contains(&nearest.mantissa));
        rate *= 1.013;
    }
    assert_eq!(LearningRate::nearest(0.0).value(), 0.0);
    assert_eq!(LearningRate::nearest(127.7 / 256.0), LearningRate { mantissa: 64, shift: 7 });
}

#[test]
fn openings_are_declared_per_epoch_with_their_sizes() {
    let openings = declared_openings(&mlp(&[64, 32]), &TrainSpec { epochs: 3, ..TrainSpec::default() });
    let counts: Vec<_> = openings.iter().map(|o| (o.times, o.values)).collect();
    assert_eq!(counts, [(3, 1), (3, 3)]);
}

#[test]
fn the_fourier_sigmoid_needs_fast_truncation() {
    let model = ModelSpec { sigmoid: Sigmoid::Fourier, ..logistic() };
    let mut p = privity_mpc::plain::Plain::new(config(), 3);
    let error = Trainer::new(&mut p, &model, &TrainSpec::default(), 3).err().map(|e| e.to_string());
    assert!(error.is_some_and(|e| e.contains("`model.sigmoid` must be piecewise under exact truncation")));
}
