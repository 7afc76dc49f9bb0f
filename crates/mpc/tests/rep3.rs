//! rep3 against the plaintext twin and against its declared costs, over the memory link.

use privity_mpc::plain::Plain;
use privity_mpc::rep3::{Rep3, cost::Rep3Costs};
use privity_mpc::{
    BitShare, By, Config, Error, Inject, Party, Product, Protocol, Radix, Raw, Recipients, Result, Share, TruncMode,
    count::Count,
};
use privity_net::memory;
use privity_prim::Context;
use privity_ring::{Ring, Shape, Tensor};

/// A program over one input per party, generic in the protocol.
trait Program: Sync {
    fn shapes(&self) -> [Shape; 3];
    fn run<P: Protocol>(&self, p: &mut P, x: [P::A; 3]) -> Result<Vec<P::A>>;
}

fn inputs<P: Protocol>(p: &mut P, shapes: &[Shape; 3], values: &[Tensor<u64>; 3], all: bool) -> Result<[P::A; 3]> {
    let mut shares = Vec::new();
    for owner in 0..3 {
        let value =
            Tensor::new(shapes[owner].clone(), values[owner].data().iter().map(|v| P::R::from_u64(*v)).collect());
        let given = all || p.me() == owner;
        shares.push(p.input(owner, &shapes[owner], given.then_some(&value))?);
    }
    shares.try_into().map_err(|_| Error::Randomness)
}

struct Outcome {
    opened: Vec<Tensor<u64>>,
    rounds: u64,
    sent: Vec<u64>,
}

fn rep3(program: &impl Program, config: Config, values: &[Tensor<u64>; 3]) -> Vec<Outcome> {
    std::thread::scope(|s| {
        let parties: Vec<_> = memory::mesh(3)
            .into_iter()
            .map(|link| {
                s.spawn(move || {
                    let party = Party::connect(Box::new(link), &Context::default()).unwrap();
                    let mut p = Rep3::new(party, config).unwrap();
                    let x = inputs(&mut p, &program.shapes(), values, false).unwrap();
                    let out = program.run(&mut p, x).unwrap();
                    let opened = out.iter().map(|z| p.open(z, Recipients::ALL).unwrap().unwrap()).collect();
                    Outcome { opened, rounds: p.party().rounds(), sent: p.party().bytes_sent().to_vec() }
                })
            })
            .collect();
        parties.into_iter().map(|h| h.join().unwrap()).collect()
    })
}

fn check(program: &impl Program, config: Config, values: &[Tensor<u64>; 3], tolerance: u64) {
    let mut twin = Plain::new(config, 3);
    let x = inputs(&mut twin, &program.shapes(), values, true).unwrap();
    let want = program.run(&mut twin, x).unwrap();
    let got = rep3(program, config, values);
    for outcome in &got {
        assert_eq!(outcome.opened.len(), want.len());
        for (k, (g, w)) in outcome.opened.iter().zip(&want).enumerate() {
            assert_eq!(g.shape(), w.shape());
            for (i, (g, w)) in g.data().iter().zip(w.data()).enumerate() {
                let off = (g.wrapping_sub(*w) as i64).unsigned_abs();
                assert!(off <= tolerance, "{config:?} output {k} element {i}: got {} want {}", *g as i64, *w as i64);
            }
        }
    }
    let mut count = Count::new(config, Rep3Costs { radix: config.radix }, Default::default());
    let x = inputs(&mut count, &program.shapes(), values, true).unwrap();
    for z in program.run(&mut count, x).unwrap() {
        count.open(&z, Recipients::ALL).unwrap();
    }
    for (me, outcome) in got.iter().enumerate() {
        let declared: Vec<u64> = (0..3).map(|to| count.clock().bytes(me, to)).collect();
        assert_eq!(outcome.sent, declared, "{config:?} bytes sent by {me}");
        assert_eq!(outcome.rounds, count.clock().rounds_of(me), "{config:?} rounds of {me}");
    }
}

fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    let x = *seed ^ *seed >> 33;
    x.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn tensor(shape: &Shape, bits: u32, seed: &mut u64) -> Tensor<u64> {
    let data = (0..shape.len()).map(|_| (random(seed) as i64 >> (64 - bits)) as u64).collect();
    Tensor::new(shape.clone(), data)
}

fn configs() -> Vec<(Config, u64)> {
    let mut all = Vec::new();
    for (mode, tolerance) in [(TruncMode::Fast, 1), (TruncMode::Exact, 0)] {
        for radix in [Radix::Two, Radix::Four] {
            all.push((Config { mode, radix, ..Config::default() }, tolerance));
        }
    }
    all
}

struct Products(usize, usize, usize);
impl Program for Products {
    fn shapes(&self) -> [Shape; 3] {
        [Shape::matrix(self.0, self.1), Shape::matrix(self.1, self.2), Shape::matrix(self.0, self.1)]
    }
    fn run<P: Protocol>(&self, p: &mut P, [x, y, z]: [P::A; 3]) -> Result<Vec<P::A>> {
        let jobs = [
            Product::matmul(&x, &y, 16),
            Product::mul(&x, &z, 0),
            Product::mul(&x, &z, 20),
            Product::matmul(&x, &y, 0),
            Product::mul(&x, &x, 40),
        ];
        let mut out = p.products_lifted(&jobs)?;
        let rescaled = p.rescale(&[(&x, 7), (&z, 0)])?;
        out.extend(p.lift(rescaled)?);
        Ok(out)
    }
}

#[test]
fn products_agree_with_the_twin() {
    let mut seed = 1;
    for (config, tolerance) in configs() {
        for shape in [(0, 3, 2), (1, 1, 1), (3, 5, 7), (130, 70, 33), (64, 300, 64)] {
            let program = Products(shape.0, shape.1, shape.2);
            let values = program.shapes().map(|s| tensor(&s, 26, &mut seed));
            check(&program, config, &values, tolerance);
        }
    }
}

struct Comparisons(usize, u32);
impl Program for Comparisons {
    fn shapes(&self) -> [Shape; 3] {
        [Shape::vector(self.0), Shape::vector(self.0), Shape::vector(self.0)]
    }
    fn run<P: Protocol>(&self, p: &mut P, [x, y, z]: [P::A; 3]) -> Result<Vec<P::A>> {
        let raw = p.products(&[Product::mul(&x, &y, 16)])?;
        let (bits, lifted) = p.signs(&[&x, &y, raw[0].low_bits()], self.1, raw.clone())?;
        let armed = p.arm(&bits[0])?;
        let positive = p.not(&armed);
        let both = p.and(&[(&bits[0], &bits[1]), (&positive, &bits[2])])?;
        let exact = Raw::exact(z.clone());
        let jobs = [
            Inject { terms: vec![(&positive, By::Value(&exact))], shape: z.shape().clone() },
            Inject {
                terms: vec![
                    (&bits[1], By::Value(&raw[0])),
                    (&armed, By::Public(1 << 20)),
                    (&bits[2], By::Value(&exact)),
                ],
                shape: z.shape().clone(),
            },
            Inject { terms: vec![(&both[0], By::Public(1)), (&both[1], By::Public(2))], shape: z.shape().clone() },
        ];
        let mut out = p.inject(&jobs)?;
        out.extend(lifted);
        let bits = p.a2b(&x, 13)?;
        for i in 0..13 {
            out.push(p.b2a(&bits.plane(i))?);
        }
        Ok(out)
    }
}

#[test]
fn comparisons_agree_with_the_twin() {
    let mut seed = 2;
    for (config, tolerance) in configs() {
        for (len, width) in [(0, 32), (1, 24), (65, 32), (1000, 33), (20_000, 47)] {
            let program = Comparisons(len, width);
            let values = program.shapes().map(|s| tensor(&s, 19, &mut seed));
            check(&program, config, &values, tolerance);
        }
    }
}

#[test]
fn no_gross_error_with_large_products() {
    struct Large;
    impl Program for Large {
        fn shapes(&self) -> [Shape; 3] {
            [Shape::vector(100_000), Shape::vector(100_000), Shape::vector(1)]
        }
        fn run<P: Protocol>(&self, p: &mut P, [x, y, _]: [P::A; 3]) -> Result<Vec<P::A>> {
            p.products_lifted(&[Product::mul(&x, &y, 16)])
        }
    }
    let mut seed = 3;
    let values = Large.shapes().map(|s| tensor(&s, 31, &mut seed));
    check(&Large, Config::default(), &values, 1);
}

#[test]
fn share_debug_shows_no_data() {
    let planes = privity_mpc::share::Planes::from_values(&[12345], 16);
    assert!(!format!("{planes:?}").contains("12345"));
    assert_eq!(format!("{:?}", Tensor::<u64>::fill(&Shape::vector(2), 77)), "Tensor[2]");
    assert_eq!(<Tensor<u64> as Share>::shape(&Tensor::fill(&Shape::vector(2), 1)).len(), 2);
}
