//! The works themselves, generic in the protocol: inputs once, then a step that is repeated.

use privity_mpc::ops::sigmoid;
use privity_mpc::{Product, Protocol, Raw, Result, Share};
use privity_nn::{ModelKind, ModelSpec, TrainSpec, Trainer, layers, train};
use privity_ring::{Fixed, Ring, Shape, Tensor};
use serde::{Deserialize, Serialize};

/// A work of the comparison with other frameworks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[value(rename_all = "verbatim")]
pub enum Work {
    /// Multiply `size` pairs in the ring.
    W1,
    /// The same with truncation and lift: fixed-point products.
    W1fixed,
    /// ReLU of `size` values.
    W2,
    /// Fixed-point product of two `size` by `size` matrices, lifted.
    W3,
    /// Sigmoid of `size` values, piecewise linear.
    W4,
    /// Training iteration of logistic regression, 30 features, `batch` rows.
    W5,
    /// Training iteration of the multi-layer perceptron 30-64-32-1, `batch` rows.
    W6,
    /// Inference of the perceptron 784-128-128-10 on `batch` rows.
    W7,
    /// One multiplication of one value, each by the last one's result.
    W8,
    /// Sharing of `size` rows of 30 features and a label, a third of them from each of three owners.
    W9,
    /// An epoch of the perceptron of W6 over `size` rows in batches of 1024, its loss and range check opened at the end.
    W10,
}

impl Work {
    /// All works, in order.
    pub const ALL: [Work; 11] = [
        Work::W1,
        Work::W1fixed,
        Work::W2,
        Work::W3,
        Work::W4,
        Work::W5,
        Work::W6,
        Work::W7,
        Work::W8,
        Work::W9,
        Work::W10,
    ];

    /// Values, matrix extent or rows if none is given.
    pub fn default_size(self) -> usize {
        match self {
            Work::W1 | Work::W1fixed | Work::W2 | Work::W4 => 1_000_000,
            Work::W3 => 1024,
            Work::W5 | Work::W6 => 128,
            Work::W7 | Work::W8 => 1,
            Work::W9 | Work::W10 => 500_000,
        }
    }
}

/// What a step reads; made once, outside the clock.
pub enum State<A: Share> {
    /// Two operands.
    Pair(A, A),
    /// A model in training, a batch, its labels.
    Training(Box<Trainer<A>>, A, A),
    /// Weights of each layer and a batch, features by rows.
    Network(Vec<A>, A),
    /// How to train on rows and labels.
    Rows(TrainSpec, A, A),
    /// One owner's rows, in the clear.
    Owned(Tensor<A::R>),
}

/// Shares the inputs of a work; training has so many lanes. Values are public pseudo-random numbers; sharing them takes the usual path.
pub fn prepare<P: Protocol>(p: &mut P, work: Work, size: usize, lanes: usize) -> Result<State<P::A>> {
    let vector = Shape::vector(size);
    match work {
        Work::W1 | Work::W1fixed | Work::W2 | Work::W4 => Ok(State::Pair(share(p, &vector, 1)?, share(p, &vector, 2)?)),
        Work::W3 => {
            let square = Shape::matrix(size, size);
            Ok(State::Pair(share(p, &square, 1)?, share(p, &square, 2)?))
        }
        Work::W8 => Ok(State::Pair(share(p, &Shape::vector(1), 1)?, share(p, &Shape::vector(1), 2)?)),
        Work::W5 | Work::W6 => {
            let x = share(p, &Shape::matrix(size, 30), 1)?;
            let y = share_with(p, &vector, |i| (i % 2) as f64)?;
            let spec = TrainSpec { lanes, ..spec(size) };
            let trainer = Trainer::new(p, &model(work), &spec, 30).map_err(unwrap_protocol)?;
            let x = layers::augment(p, &x);
            Ok(State::Training(Box::new(trainer), x, y))
        }
        Work::W9 => {
            let shape = Shape::matrix(size / OWNERS, COLUMNS);
            let fixed = p.config().fixed;
            let values = (0..shape.len()).map(|i| P::R::from_u64(fixed.constant(number(1, i))));
            Ok(State::Owned(Tensor::new(shape, values.collect())))
        }
        Work::W10 => {
            let x = share(p, &Shape::matrix(size, 30), 1)?;
            let spec = TrainSpec { epochs: 1, lanes, ..spec(EPOCH_BATCH) };
            Ok(State::Rows(spec, x, share_with(p, &vector, |i| (i % 2) as f64)?))
        }
        Work::W7 => {
            let widths = [784, 128, 128, 10];
            let weights = widths.windows(2).enumerate();
            let weights = weights
                .map(|(i, pair)| share(p, &Shape::matrix(pair[1], pair[0]), i as u64))
                .collect::<Result<Vec<_>>>()?;
            Ok(State::Network(weights, share(p, &Shape::matrix(784, size), 9)?))
        }
    }
}

/// One repetition.
pub fn step<P: Protocol>(p: &mut P, work: Work, state: &mut State<P::A>) -> Result<()> {
    let frac = p.config().fixed.frac;
    match (work, state) {
        (Work::W1, State::Pair(x, y)) => {
            p.products(&[Product::mul(x, y, 0)])?;
            // Where verification is not part of each product, it is part of the work.
            if p.verifies_late() {
                p.settle()?;
            }
        }
        (Work::W8, State::Pair(x, y)) => {
            let product = p.products(&[Product::mul(x, y, 0)])?;
            *x = p.lift(product)?.remove(0);
        }
        (Work::W1fixed, State::Pair(x, y)) => {
            p.products_lifted(&[Product::mul(x, y, frac)])?;
        }
        (Work::W2, State::Pair(x, _)) => {
            relu(p, Raw::exact(x.clone()))?;
        }
        (Work::W3, State::Pair(x, y)) => {
            p.products_lifted(&[Product::matmul(x, y, frac)])?;
        }
        (Work::W4, State::Pair(x, _)) => {
            sigmoid::piecewise(p, Raw::exact(x.clone()))?;
        }
        (Work::W5 | Work::W6, State::Training(trainer, x, y)) => {
            train::iteration(p, trainer, x, y, 0.05).map_err(unwrap_protocol)?;
        }
        (Work::W9, State::Owned(rows)) => {
            let owners = p.owners();
            for owner in (0..OWNERS).map(|i| owners.start + i % owners.len()) {
                p.input(owner, rows.shape(), (p.me() == owner).then_some(&*rows))?;
            }
            p.settle()?;
        }
        (Work::W10, State::Rows(spec, x, y)) => {
            train::train(p, &model(work), spec, x, y, &mut ()).map_err(unwrap_protocol)?;
        }
        (Work::W7, State::Network(weights, x)) => {
            network(p, weights, x)?;
        }
        _ => unreachable!("a work's state is made by prepare"),
    }
    Ok(())
}

/// Owners of the rows of W9; their columns.
const OWNERS: usize = 3;
const COLUMNS: usize = 31;
/// Rows of a batch of W10.
pub const EPOCH_BATCH: usize = 1024;

fn relu<P: Protocol>(p: &mut P, x: Raw<P::A>) -> Result<P::A> {
    let width = p.config().width;
    let (negative, lifted) = p.signs(&[x.low_bits()], width, vec![x.clone()])?;
    let positive = p.not(&negative[0]);
    p.select(&positive, &Raw::exact(lifted.into_iter().next().expect("one lift gives one value")))
}

fn network<P: Protocol>(p: &mut P, weights: &[P::A], x: &P::A) -> Result<P::A> {
    let frac = p.config().fixed.frac;
    let (last, hidden) = weights.split_last().expect("a network has layers");
    let mut x = x.clone();
    for w in hidden {
        let z = p.products(&[Product::matmul(w, &x, frac)])?.remove(0);
        x = relu(p, z)?;
    }
    Ok(p.products_lifted(&[Product::matmul(last, &x, frac)])?.remove(0))
}

/// The model of W5 or W6.
pub fn model(work: Work) -> ModelSpec {
    match work {
        Work::W5 => ModelSpec::new(ModelKind::Logistic),
        _ => ModelSpec::new(ModelKind::Mlp { hidden: vec![64, 32] }),
    }
}

/// Training as the works have it: SGD.
pub fn spec(batch: usize) -> TrainSpec {
    TrainSpec { batch, learning_rate: 0.05, ..TrainSpec::default() }
}

fn unwrap_protocol(e: privity_nn::TrainError) -> privity_mpc::Error {
    match e {
        privity_nn::TrainError::Protocol(e) => e,
        other => privity_mpc::Error::Parameter { operation: "training work", problem: other.to_string() },
    }
}

/// A public pseudo-random number in (-1, 1) for element `i` of stream `seed`.
pub fn number(seed: u64, i: usize) -> f64 {
    let mut x = (seed << 40).wrapping_add(i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (x as i64 >> 11) as f64 / (1u64 << 52) as f64
}

fn share<P: Protocol>(p: &mut P, shape: &Shape, seed: u64) -> Result<P::A> {
    share_with(p, shape, |i| number(seed, i))
}

fn share_with<P: Protocol>(p: &mut P, shape: &Shape, value: impl Fn(usize) -> f64) -> Result<P::A> {
    let fixed: Fixed = p.config().fixed;
    let x = Tensor::new(shape.clone(), (0..shape.len()).map(|i| P::R::from_u64(fixed.constant(value(i)))).collect());
    let owner = p.owners().start;
    let given = p.me() == owner;
    p.input(owner, shape, given.then_some(&x)).map(|x| x.reshape(shape))
}
