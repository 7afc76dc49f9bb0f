//! Operations in the scheme that suits them: products and comparisons by transfers, division and the largest of several garbled.

use privity_circuit::shares;
use privity_mpc::gmw::{Garbled, Gmw};
use privity_mpc::{Config, Product, Protocol, Recipients, Share};
use privity_mpc_test::World;
use privity_mpc_test::conformance::Noise;
use privity_ring::{Shape, Tensor};

fn shared(p: &mut Gmw, owner: usize, values: &Tensor<u64>) -> Tensor<u64> {
    p.input(owner, values.shape(), (p.me() == owner).then_some(values)).expect("shared")
}

fn opened(p: &mut Gmw, x: &Tensor<u64>) -> Vec<i64> {
    let opened = p.open(x, Recipients::ALL).expect("opens").expect("to all");
    opened.data().iter().map(|v| *v as i64).collect()
}

#[test]
fn shared_numbers_are_divided_garbled() {
    let divide = Garbled::new(&shares::quotient(40, 16));
    for len in [0, 1, 64, 150] {
        let shape = Shape::vector(len);
        let (x, mut y) = (Noise(1).tensor(&shape, 24), Noise(2).tensor(&shape, 22));
        y.data_mut().iter_mut().for_each(|v| *v |= 1);
        let want: Vec<i64> = x.data().iter().zip(y.data()).map(|(x, y)| (*x as i64) * 65_536 / (*y as i64)).collect();
        let ends = World::<Gmw>::new(Config::default()).run(|p| {
            let (x, y) = (shared(p, 0, &x), shared(p, 1, &y));
            let before = (p.party().bytes_sent().to_vec(), p.party().rounds());
            let quotient = p.garbled(&divide, &[&x, &y]).expect("garbled").remove(0);
            let peer = 1 - p.me();
            let sent = p.party().bytes_sent()[peer] - before.0[peer];
            let rounds = p.party().rounds() - before.1;
            (opened(p, &quotient), sent, rounds, p.me())
        });
        for (quotients, sent, rounds, me) in ends {
            assert_eq!(quotients, want);
            // Bytes each way, and messages in sequence, as declared.
            let runs = len.div_ceil(64) as u64;
            assert_eq!(sent, runs * divide.cost()[me]);
            assert!(rounds <= 2 * runs, "{rounds}");
        }
    }
}

/// Inference by three linear models, the row with one party and the models with the other: scores by products, the class garbled, its score's share of
/// the sum of absolute scores garbled, too.
#[test]
fn a_class_is_inferred_in_three_schemes() {
    let (rows, features, classes) = (70, 8, 3);
    let (x, w) =
        (Noise(5).tensor(&Shape::matrix(rows, features), 18), Noise(6).tensor(&Shape::matrix(features, classes), 18));
    let largest = Garbled::new(&shares::argmax(40, classes));
    let divide = Garbled::new(&shares::quotient(40, 16));
    let ends = World::<Gmw>::new(Config { mode: privity_mpc::TruncMode::Exact, ..Config::default() }).run(|p| {
        let (x, w) = (shared(p, 0, &x), shared(p, 1, &w));
        let scores = p.products_lifted(&[Product::matmul(&x, &w, 16)]).expect("scores").remove(0).transpose();
        let of: Vec<Tensor<u64>> =
            (0..classes).map(|c| scores.slice_rows(c, c + 1).reshape(Shape::vector(rows))).collect();
        let class = p.garbled(&largest, &of.iter().collect::<Vec<_>>()).expect("the largest").remove(0);
        let mut total = Share::add(&of[0], &p.public(&Tensor::fill(&Shape::vector(rows), 1)));
        for score in &of {
            let magnitude = privity_mpc::ops::compare::abs(p, score).expect("a comparison");
            total = Share::add(&total, &magnitude);
        }
        let part = p.garbled(&divide, &[&of[0], &total]).expect("a quotient").remove(0);
        (opened(p, &class), opened(p, &part))
    });
    let mut plain = vec![[0i64; 3]; rows];
    for (r, scores) in plain.iter_mut().enumerate() {
        for (c, score) in scores.iter_mut().enumerate() {
            let sum: i64 =
                (0..features).map(|f| x.data()[r * features + f] as i64 * w.data()[f * classes + c] as i64).sum();
            *score = (sum + (1 << 15)) >> 16;
        }
    }
    let class = |scores: &[i64; 3]| (0..3).rev().max_by_key(|c| scores[*c]).expect("three") as i64;
    let part = |s: &[i64; 3]| s[0] * 65_536 / (s[0] + 1 + s.iter().map(|v| v.abs()).sum::<i64>());
    for (classes, parts) in ends {
        assert_eq!(classes, plain.iter().map(class).collect::<Vec<_>>());
        assert_eq!(parts, plain.iter().map(part).collect::<Vec<_>>());
    }
}
