//! Operations over their domains: stated errors under the twin, and the same under rep3.

use privity_mpc::cost::Speeds;
use privity_mpc::count::Count;
use privity_mpc::ops::{compare, inverse_sqrt, range, reciprocal, sigmoid, statistics};
use privity_mpc::plain::Plain;
use privity_mpc::rep3::{Rep3, cost::Rep3Costs};
use privity_mpc::{Config, Protocol, Radix, Raw, Recipients, Result, TruncMode};
use privity_mpc_test::World;
use privity_ring::{Fixed, Shape, Tensor};

/// Runs an operation on `values` (party 0's) and opens; the twin's and every party's results must be within `error(x, want)` of `want`.
fn check(config: Config, values: &[f64], want: impl Fn(f64) -> f64, error: impl Fn(f64) -> f64, op: Op) {
    // What is measured is the operation, not the encoding of its argument.
    let values: &[f64] =
        &values.iter().map(|v| config.fixed.decode(config.fixed.encode(*v).unwrap())).collect::<Vec<_>>();
    let mut results = vec![run(&mut Plain::new(config, 3), values, op).unwrap()];
    results.extend(World::<Rep3>::new(config).run(|p| run(p, values, op).unwrap()));
    for (k, result) in results.iter().enumerate() {
        for (x, got) in values.iter().zip(result) {
            let (want, bound) = (want(*x), error(*x));
            assert!((got - want).abs() <= bound, "run {k}, f({x}): got {got}, want {want} within {bound}");
        }
    }
}

#[derive(Clone, Copy)]
enum Op {
    Sigmoid,
    Fourier,
    Softplus,
    Tanh,
    Reciprocal,
    InverseSqrt,
    Clip,
    Relu,
    Abs,
}

fn apply<P: Protocol>(p: &mut P, x: &P::A, op: Op) -> Result<P::A> {
    let raw = Raw::exact(x.clone());
    match op {
        Op::Sigmoid => sigmoid::piecewise(p, raw),
        Op::Fourier => sigmoid::fourier_clipped(p, x),
        Op::Softplus => sigmoid::softplus(p, raw),
        Op::Tanh => sigmoid::tanh(p, x),
        Op::Reciprocal => reciprocal::reciprocal(p, x),
        Op::InverseSqrt => inverse_sqrt::inverse_sqrt(p, x),
        Op::Clip => compare::clip(p, x, -1.5, 2.25),
        Op::Relu => Ok(compare::relu(p, raw)?.0),
        Op::Abs => compare::abs(p, x),
    }
}

fn run<P: Protocol<R = u64>>(p: &mut P, values: &[f64], op: Op) -> Result<Vec<f64>> {
    let fixed = p.config().fixed;
    let shape = Shape::vector(values.len());
    let x = fixed.encode_tensor(&shape, values).unwrap();
    let x = p.input(0, &shape, (p.me() == 0).then_some(&x))?;
    let y = apply(p, &x, op)?;
    Ok(fixed.decode_tensor(&p.open(&y, Recipients::ALL)?.unwrap()))
}

fn grid(from: f64, to: f64, n: usize) -> Vec<f64> {
    (0..=n).map(|i| from + (to - from) * i as f64 / n as f64).collect()
}

fn geometric(from: f64, to: f64, n: usize) -> Vec<f64> {
    (0..=n).map(|i| from * (to / from).powf(i as f64 / n as f64)).collect()
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn configs() -> Vec<Config> {
    let frac = |frac| Config { fixed: Fixed { frac }, width: frac + 16, ..Config::default() };
    vec![frac(16), Config { mode: TruncMode::Exact, ..frac(16) }, frac(14), frac(20)]
}

#[test]
fn sigmoids() {
    for config in configs() {
        let ulp = config.fixed.decode(1);
        let xs = grid(-30.0, 30.0, 3000);
        check(config, &xs, logistic, |_| 3.4e-3 + 3.0 * ulp, Op::Sigmoid);
        check(config, &xs, f64::tanh, |_| 6.8e-3 + 6.0 * ulp, Op::Tanh);
        let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        // Between 4.6e-3 below and 2.7e-3 above.
        check(config, &xs, |x| softplus(x) - 0.95e-3, |_| 3.65e-3 + 3.0 * ulp, Op::Softplus);
    }
}

#[test]
fn fourier_sigmoid() {
    let clipped = |x: f64| logistic(x.clamp(-8.0, 8.0));
    check(Config::default(), &grid(-12.0, 12.0, 3000), clipped, |_| 9e-4, Op::Fourier);
}

#[test]
fn reciprocals_and_roots() {
    for config in configs().into_iter().filter(|c| c.fixed.frac >= 14) {
        let ulp = config.fixed.decode(1);
        let xs = geometric(2f64.powi(-8), 2f64.powi(14) * 0.9999, 2000);
        check(config, &xs, |x| 1.0 / x, |x| 2f64.powi(-13) / x + ulp, Op::Reciprocal);
        let xs = geometric(2f64.powi(-10), 2f64.powi(14) * 0.9999, 2000);
        check(config, &xs, |x| 1.0 / x.sqrt(), |x| 2f64.powi(-12) / x.sqrt() + ulp, Op::InverseSqrt);
    }
}

#[test]
fn selections_are_exact() {
    let config = Config::default();
    let xs = grid(-3.0, 3.0, 96);
    let ulp = config.fixed.decode(1);
    check(config, &xs, |x| x.clamp(-1.5, 2.25), |_| ulp, Op::Clip);
    check(config, &xs, |x| x.max(0.0), |_| ulp, Op::Relu);
    check(config, &xs, f64::abs, |_| ulp, Op::Abs);
}

#[test]
fn moments_and_range() {
    let config = Config::default();
    let (rows, cols) = (1001, 3);
    let value = |r: usize, c: usize| ((r * 37 + c * 11) % 101) as f64 / 10.0 - 4.0 * c as f64;
    let data: Vec<f64> = (0..rows).flat_map(|r| (0..cols).map(move |c| value(r, c))).collect();
    let mut p = Plain::new(config, 3);
    let shape = Shape::matrix(rows, cols);
    let x: Tensor<u64> = config.fixed.encode_tensor(&shape, &data).unwrap();
    let m = statistics::moments(&mut p, &x, 16.0).unwrap();
    let z = statistics::standardise(&mut p, &x, &m, 1.5).unwrap();
    let ulp = config.fixed.decode(1);
    for c in 0..cols {
        let column: Vec<f64> = (0..rows).map(|r| value(r, c)).collect();
        let mean = column.iter().sum::<f64>() / rows as f64;
        let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / rows as f64;
        assert!((config.fixed.decode(m.mean.data()[c]) - mean).abs() <= 2.0 * ulp);
        assert!((config.fixed.decode(m.variance.data()[c]) - variance).abs() <= 4.0 * 16.0 * ulp);
        for (r, v) in column.iter().enumerate() {
            let want = ((v - mean) / variance.sqrt()).clamp(-1.5, 1.5);
            assert!((config.fixed.decode(z.data()[r * cols + c]) - want).abs() < 2e-3);
        }
    }
    assert!(statistics::moments(&mut p, &x, 1e6).is_err(), "bounds that the format cannot hold are refused");
    assert!(range::within(&mut p, &x, 11.0).unwrap());
    assert!(!range::within(&mut p, &x, 5.0).unwrap());
}

#[test]
fn argmax_is_the_first_of_the_largest() {
    fn found<P: Protocol>(p: &mut P, values: &[Tensor<P::R>]) -> Vec<u64> {
        let shared: Vec<P::A> =
            values.iter().map(|x| p.input(0, x.shape(), (p.me() == 0).then_some(x)).expect("shared")).collect();
        let position = compare::argmax(p, &shared.iter().collect::<Vec<_>>()).expect("the largest");
        let opened = p.open(&position, Recipients::ALL).expect("opens").expect("to all");
        opened.data().iter().map(|v| privity_ring::Ring::to_u64(*v)).collect()
    }
    for count in [1usize, 2, 3, 5, 8] {
        // Some columns rise, some fall, some are level, some have the largest in the middle.
        let value = |k: usize, i: usize| {
            let (k, i, last) = (k as i64, i as i64, count as i64 - 1);
            [k - 3, -k, 7, -(k - last / 2).abs(), (k * (i + 3)) % 7 - 3][i as usize % 5] << 12
        };
        let rows = 70;
        let vector = |k: usize| Tensor::new(Shape::vector(rows), (0..rows).map(|i| value(k, i) as u64).collect());
        let values: Vec<Tensor<u64>> = (0..count).map(vector).collect();
        let largest = |i: usize| (0..count).rev().max_by_key(|k| value(*k, i)).expect("one at least") as u64;
        let want: Vec<u64> = (0..rows).map(largest).collect();
        let config = Config::default();
        assert_eq!(found(&mut Plain::new(config, 3), &values), want);
        for found in World::<Rep3>::new(config).run(|p| found(p, &values)) {
            assert_eq!(found, want, "of {count}");
        }
        let mut price = Count::new(config, Rep3Costs::new(Radix::Four), Speeds::default());
        let unit = price.input(0, &Shape::vector(rows), None).expect("an input");
        let before = price.clock().rounds();
        compare::argmax(&mut price, &vec![&unit; count]).expect("a price");
        assert_eq!(price.clock().rounds() - before, 4 * u64::from(count.next_power_of_two().ilog2()));
    }
}
