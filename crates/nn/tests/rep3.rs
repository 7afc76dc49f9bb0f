//! The same programs under three parties, and their price.

mod common;

use common::{Data, Losses, SOFTPLUS_ERROR, config, mlp};
use privity_mpc::count::Count;
use privity_mpc::plain::Plain;
use privity_mpc::rep3::Rep3;
use privity_mpc::rep3::cost::Rep3Costs;
use privity_mpc::{Config, Protocol, Radix, Recipients, TruncMode};
use privity_mpc_test::World;
use privity_nn::spec::{Optimiser, Sigmoid};
use privity_nn::{ModelKind, ModelSpec, OpenModel, TrainSpec, Trainer, iteration, layers, train};
use privity_ring::{Shape, Tensor, Unit};

/// Features from party 1, labels from party 2; the opened model and the losses.
fn job<P: Protocol<R = u64>>(p: &mut P, model: &ModelSpec, spec: &TrainSpec, data: &Data) -> (OpenModel, Vec<f64>) {
    let (x, y) = (data.features_at(p.config().fixed), data.labels_at(p.config().fixed));
    let all = p.owners().len() == 1;
    let given = |owner: usize, p: &P| all || p.me() == owner;
    let (mine_x, mine_y) = (given(1, p).then_some(&x), given(2, p).then_some(&y));
    let features = p.input(1, x.shape(), mine_x).expect("input");
    let labels = p.input(2, y.shape(), mine_y).expect("input");
    let mut losses = Losses::default();
    let trained = train(p, model, spec, &features, &labels, &mut losses).expect("training succeeds");
    (trained.open(p, Recipients::ALL).expect("opens").expect("all learn it"), losses.0)
}

fn under_rep3(config: Config, model: &ModelSpec, spec: &TrainSpec, data: &Data) -> Vec<(OpenModel, Vec<f64>)> {
    World::<Rep3>::new(config).run(|p| job(p, model, spec, data))
}

fn largest_difference(a: &OpenModel, b: &OpenModel) -> f64 {
    let flat = |m: &OpenModel| -> Vec<f64> {
        m.layers.iter().flat_map(|l| l.weights.concat().into_iter().chain(l.biases.clone())).collect()
    };
    flat(a).iter().zip(flat(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn exact_mode_trains_as_the_twin_bit_for_bit() {
    let data = Data::classification(51, 40, 4, 0.4);
    let momentum = Optimiser::Momentum { decay: 0.9 };
    let spec = TrainSpec { epochs: 2, batch: 16, optimiser: momentum, l2: 0.01, ..TrainSpec::default() };
    let clipped = TrainSpec { clip_weights: Some(1.0), clip_gradients: Some(0.1), ..spec.clone() };
    for (model, spec) in [(mlp(&[5, 3]), &spec), (ModelSpec::new(ModelKind::Logistic), &clipped)] {
        let want = job(&mut Plain::new(config(), 1), &model, spec, &data);
        for got in under_rep3(config(), &model, spec, &data) {
            assert_eq!(got, want);
        }
    }
}

#[test]
fn fast_mode_trains_nearly_as_the_twin() {
    let fast = Config { mode: TruncMode::Fast, ..config() };
    let data = Data::classification(52, 64, 4, 0.4);
    for optimiser in [Optimiser::Sgd, Optimiser::Momentum { decay: 0.9 }, Optimiser::ADAM] {
        let spec = TrainSpec { epochs: 2, batch: 32, learning_rate: 0.05, optimiser, ..TrainSpec::default() };
        let want = job(&mut Plain::new(fast, 1), &mlp(&[5]), &spec, &data);
        for (model, losses) in under_rep3(fast, &mlp(&[5]), &spec, &data) {
            let off = largest_difference(&model, &want.0);
            assert!(off < 5e-3, "{optimiser:?}: weights differ by {off}");
            assert!(losses.iter().zip(&want.1).all(|(a, b)| (a - b).abs() < 2e-3), "{losses:?} against {:?}", want.1);
        }
    }
}

#[test]
fn the_fourier_sigmoid_trains_in_fast_mode() {
    let fast = Config { mode: TruncMode::Fast, ..config() };
    let data = Data::classification(54, 32, 3, 0.4);
    let model = ModelSpec { sigmoid: Sigmoid::Fourier, ..ModelSpec::new(ModelKind::Logistic) };
    let spec = TrainSpec { epochs: 2, batch: 16, ..TrainSpec::default() };
    let want = job(&mut Plain::new(fast, 1), &model, &spec, &data);
    for (model, _) in under_rep3(fast, &model, &spec, &data) {
        assert!(largest_difference(&model, &want.0) < 1e-3);
    }
}

/// Rounds of one iteration under `spec`.
fn rounds(radix: Radix, model: &ModelSpec, spec: &TrainSpec) -> u64 {
    let config = Config { radix, ..Config::default() };
    let mut p = Count::new(config, Rep3Costs::new(radix), Default::default());
    let x = Tensor::<Unit>::zeros(&Shape::matrix(spec.batch, 30));
    let y = Tensor::zeros(&Shape::vector(spec.batch));
    let mut trainer = Trainer::new(&mut p, model, spec, 30).expect("fits");
    let x = layers::augment(&mut p, &x);
    iteration(&mut p, &mut trainer, &x, &y, 0.1).expect("counts");
    p.clock().rounds()
}

#[test]
fn an_iteration_takes_as_few_rounds_as_stated() {
    let spec = TrainSpec::default();
    let model = mlp(&[64, 32]);
    assert_eq!(rounds(Radix::Four, &model, &spec), 21);
    let heavy = TrainSpec { optimiser: Optimiser::Momentum { decay: 0.9 }, l2: 0.001, ..spec.clone() };
    assert_eq!(rounds(Radix::Four, &model, &heavy), 21, "momentum and weight decay ride along");
    assert_eq!(rounds(Radix::Four, &ModelSpec::new(ModelKind::Logistic), &spec), 7);
    assert_eq!(rounds(Radix::Four, &ModelSpec::new(ModelKind::Linear), &spec), 4);
    assert!(rounds(Radix::Two, &model, &spec) > 21);
}

#[test]
fn formats_are_kept_by_the_opened_model() {
    let data = Data::classification(53, 20, 2, 0.4);
    let spec = TrainSpec { epochs: 1, ..TrainSpec::default() };
    let (model, losses) = job(&mut Plain::new(config(), 1), &ModelSpec::new(ModelKind::Logistic), &spec, &data);
    let ulps = model.layers[0].weights[0][0] * f64::from(1u32 << 24);
    assert_eq!(ulps, ulps.round(), "weights have 24 fraction bits");
    assert!(
        (losses[0] - std::f64::consts::LN_2).abs() < 0.001 + SOFTPLUS_ERROR,
        "the first loss is that of a coin: {}",
        losses[0]
    );
}
