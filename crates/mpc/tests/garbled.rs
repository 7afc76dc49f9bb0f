//! Operations in the scheme that suits them: products and comparisons by transfers, division and the largest of several garbled.

use privity_circuit::shares;
use privity_mpc::cost::Speeds;
use privity_mpc::count::Count;
use privity_mpc::gmw::{Gmw, cost::GmwCosts};
use privity_mpc::plain::Plain;
use privity_mpc::{BitShare, Config, Garbled, Product, Protocol, Recipients, Result, Share};
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
    let divide = Garbled::new(shares::quotient(40, 16));
    for len in [0, 1, 64, 150] {
        let shape = Shape::vector(len);
        let (x, mut y) = (Noise(1).tensor(&shape, 24), Noise(2).tensor(&shape, 22));
        y.data_mut().iter_mut().for_each(|v| *v |= 1);
        let want: Vec<i64> = x.data().iter().zip(y.data()).map(|(x, y)| (*x as i64) * 65_536 / (*y as i64)).collect();
        let ends = World::<Gmw>::new(Config::default()).run(|p| {
            let (x, y) = (shared(p, 0, &x), shared(p, 1, &y));
            let before = (p.party().bytes_sent().to_vec(), p.party().rounds());
            let quotient = p.garbled(&divide, &[&x, &y], &[]).expect("garbled").0.remove(0);
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
    let largest = Garbled::new(shares::argmax(40, classes));
    let divide = Garbled::new(shares::quotient(40, 16));
    let ends = World::<Gmw>::new(Config { mode: privity_mpc::TruncMode::Exact, ..Config::default() }).run(|p| {
        let (x, w) = (shared(p, 0, &x), shared(p, 1, &w));
        let scores = p.products_lifted(&[Product::matmul(&x, &w, 16)]).expect("scores").remove(0).transpose();
        let of: Vec<Tensor<u64>> =
            (0..classes).map(|c| scores.slice_rows(c, c + 1).reshape(Shape::vector(rows))).collect();
        let class = p.garbled(&largest, &of.iter().collect::<Vec<_>>(), &[]).expect("the largest").0.remove(0);
        let mut total = Share::add(&of[0], &p.public(&Tensor::fill(&Shape::vector(rows), 1)));
        for score in &of {
            let magnitude = privity_mpc::ops::compare::abs(p, score).expect("a comparison");
            total = Share::add(&total, &magnitude);
        }
        let part = p.garbled(&divide, &[&of[0], &total], &[]).expect("a quotient").0.remove(0);
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

/// The S-box of PRESENT (Bogdanov et al., CHES 2007, table 1).
const PRESENT: [u64; 16] = [12, 5, 6, 11, 9, 0, 10, 13, 3, 14, 15, 8, 4, 7, 1, 2];

/// From numbers to bits, through a table to bits, from these with other bits to numbers: additive, Boolean, Yao, Boolean, Yao, additive.
fn through_schemes<P: Protocol>(p: &mut P, x: &P::A, tables: &[Garbled; 2]) -> Result<(P::A, P::A)> {
    let bits = p.a2b(x, 4)?;
    let substituted = p.garbled(&tables[0], &[], &[&bits])?.1.remove(0);
    let again = p.garbled(&tables[1], &[], &[&substituted])?.0.remove(0);
    // What came out of a circuit is what Boolean shares are: a gate computes with it.
    let low = p.and(&[(&substituted.plane(0), &bits.plane(0))])?.remove(0);
    Ok((again, p.b2a(&low)?))
}

#[test]
fn words_go_into_circuits_and_come_out_as_they_are_shared() {
    let squares: Vec<u64> = (0..16).map(|v: u64| v * v).collect();
    let tables = [shares::table(4, 4, &PRESENT), shares::table_to_number(4, &squares)].map(Garbled::new);
    for len in [0, 1, 64, 130] {
        let x = Tensor::new(Shape::vector(len), (0..len as u64).map(|i| 7 * i % 16).collect());
        let known = |i: &u64| (PRESENT[*i as usize].pow(2) as i64, (PRESENT[*i as usize] & i & 1) as i64);
        let want: (Vec<i64>, Vec<i64>) = x.data().iter().map(known).unzip();
        let ends = World::<Gmw>::new(Config::default()).run(|p| {
            let shared = shared(p, 0, &x);
            let (squares, low) = through_schemes(p, &shared, &tables).expect("tables");
            let (peer, rounds) = (1 - p.me(), p.party().rounds());
            (p.party().bytes_sent()[peer], rounds, opened(p, &squares), opened(p, &low))
        });
        let mut count = Count::new(Config::default(), GmwCosts, Speeds::default());
        let unit = count.input(0, x.shape(), None).expect("an input");
        through_schemes(&mut count, &unit, &tables).expect("a price");
        let plain = through_schemes(&mut Plain::new(Config::default(), 2), &x, &tables).expect("the twin");
        assert_eq!(plain.0.data().iter().map(|v| *v as i64).collect::<Vec<_>>(), want.0);
        for (me, (bytes, rounds, squares, low)) in ends.into_iter().enumerate() {
            assert_eq!((squares, low), want.clone());
            assert_eq!((bytes, rounds), (count.clock().bytes(me, 1 - me), count.clock().rounds_of(me)), "party {me}");
        }
    }
}

/// Neither party's share of a word that came out says anything of it: each is right about a bit half the time.
#[test]
fn shares_of_words_are_no_hint() {
    let table = Garbled::new(shares::table(4, 4, &PRESENT));
    let len = 4096;
    let x = Tensor::new(Shape::vector(len), (0..len as u64).map(|i| i % 16).collect());
    let ends = World::<Gmw>::new(Config::default()).run(|p| {
        let shared = shared(p, 0, &x);
        let bits = p.a2b(&shared, 4).expect("bits");
        p.garbled(&table, &[], &[&bits]).expect("a table").1.remove(0).to_values()
    });
    let plain: Vec<u64> = x.data().iter().map(|i| PRESENT[*i as usize]).collect();
    let both: Vec<u64> = ends[0].iter().zip(&ends[1]).map(|(a, b)| a ^ b).collect();
    assert_eq!(both, plain);
    for share in &ends {
        for bit in 0..4 {
            let right = share.iter().zip(&plain).filter(|(s, v)| (*s ^ *v) >> bit & 1 == 0).count();
            // Ten standard deviations around one half.
            assert!((1728..=2368).contains(&right), "right about {right} of {len}");
        }
    }
}

#[test]
fn other_protocols_refuse_circuits() {
    use privity_mpc::rep3::Rep3;
    let table = Garbled::new(shares::argmax(8, 2));
    let refused = World::<Rep3>::new(Config::default()).run(|p| {
        let x = p.public(&Tensor::zeros(&Shape::vector(1)));
        p.garbled(&table, &[&x, &x], &[]).map(|_| ()).expect_err("three parties").to_string()
    });
    assert!(refused.iter().all(|why| why.contains("two parties of gmw")), "{refused:?}");
}
