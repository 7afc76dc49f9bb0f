//! Every operation under every protocol and configuration, against the twin and the price list.

use privity_mpc::additive_mac::AdditiveMac;
use privity_mpc::beaver::Beaver;
use privity_mpc::cost::{Clock, Costs};
use privity_mpc::count::Count;
use privity_mpc::gmw::Gmw;
use privity_mpc::ops::fourier::Series;
use privity_mpc::ops::{compare, inverse_sqrt, range, reciprocal, sigmoid, statistics};
use privity_mpc::plain::Plain;
use privity_mpc::rep3::cost::Rep3Costs;
use privity_mpc::rep3::{self, Rep3};
use privity_mpc::rep4::cost::Rep4Costs;
use privity_mpc::rep4::{FIRST, Rep4};
use privity_mpc::{
    BitShare, By, Config, Error, Inject, Origin, Product, Protocol, Radix, Raw, Recipients, Result, Share, TruncMode,
};
use privity_mpc_test::World;
use privity_mpc_test::conformance::{Noise, Program, conforms, conforms_at, conforms_in};
use privity_ring::{M61, Ring, Shape, Tensor};

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
fn products() {
    let mut noise = Noise(1);
    for shape in [(0, 3, 2), (1, 1, 1), (3, 5, 7), (130, 70, 33), (64, 300, 64)] {
        let program = Products(shape.0, shape.1, shape.2);
        conforms(&program, Config::default(), &program.shapes().map(|s| noise.edges(&s, 26)));
    }
}

/// A matrix product of which nothing is added up: zeros.
struct Hollow(usize, usize);
impl Program for Hollow {
    fn shapes(&self) -> [Shape; 3] {
        [Shape::matrix(self.0, 0), Shape::matrix(0, self.1), Shape::vector(1)]
    }
    fn run<P: Protocol>(&self, p: &mut P, [x, y, _]: [P::A; 3]) -> Result<Vec<P::A>> {
        p.products_lifted(&[Product::matmul(&x, &y, 0), Product::matmul(&x, &y, 16)])
    }
}

#[test]
fn matrix_products_of_no_columns_are_zeros() {
    for (rows, cols) in [(3, 4), (5, 2)] {
        let program = Hollow(rows, cols);
        let zeros = program.shapes().map(|s| Tensor::zeros(&s));
        let mut twin = Plain::new(Config::default(), 3);
        let [x, y, z] = zeros.clone();
        let opened = program.run(&mut twin, [x, y, z]).expect("the twin runs");
        assert!(opened.iter().all(|z| *z == Tensor::zeros(&Shape::matrix(rows, cols))));
        conforms(&program, Config::default(), &zeros);
    }
}

struct Comparisons(usize, u32);
impl Program for Comparisons {
    fn shapes(&self) -> [Shape; 3] {
        [0, 1, 2].map(|_| Shape::vector(self.0))
    }
    fn run<P: Protocol>(&self, p: &mut P, [x, y, z]: [P::A; 3]) -> Result<Vec<P::A>> {
        let (small_x, small_y) = (x.scale(1), y.scale(1));
        let (bits, _) = p.signs(&[&x, &y, &z], self.1, Vec::new())?;
        let armed = p.arm(&[&bits[0]])?.remove(0);
        let positive = p.not(&armed);
        let both = p.and(&[(&bits[0], &bits[1]), (&positive, &bits[2])])?;
        let different = bits[0].xor(&bits[1]);
        let exact = Raw::exact(z.clone());
        let jobs = [
            Inject { terms: vec![(&positive, By::Value(&exact))], shape: z.shape().clone() },
            Inject {
                terms: vec![(&armed, By::Public(1 << 20)), (&bits[2], By::Value(&exact))],
                shape: z.shape().clone(),
            },
            Inject { terms: vec![(&both[0], By::Public(1)), (&both[1], By::Public(2))], shape: z.shape().clone() },
        ];
        let mut out = p.inject(&jobs)?;
        out.push(p.b2a(&different)?);
        for bit in &bits {
            out.push(p.b2a(bit)?);
        }
        let bits = p.a2b(&small_x, 13)?;
        for i in 0..13 {
            out.push(p.b2a(&bits.plane(i))?);
        }
        out.extend([small_x, small_y]);
        Ok(out)
    }
}

#[test]
fn comparisons_and_bits_at_the_edges_of_their_width() {
    let mut noise = Noise(2);
    for (len, width) in [(0, 32), (1, 24), (3, 2), (65, 32), (1000, 33), (20_000, 47), (129, 48)] {
        let program = Comparisons(len, width);
        conforms(&program, Config::default(), &program.shapes().map(|s| noise.edges(&s, width)));
    }
}

/// Comparisons, selections and lifts of values that are raw.
struct Raws(usize);
impl Program for Raws {
    fn shapes(&self) -> [Shape; 3] {
        [0, 1, 2].map(|_| Shape::vector(self.0))
    }
    fn run<P: Protocol>(&self, p: &mut P, [x, y, z]: [P::A; 3]) -> Result<Vec<P::A>> {
        // The product is a multiple of 2^16, so that rounding is exact and so are the signs.
        let x = x.scale(1 << 16);
        let raw = p.products(&[Product::mul(&x, &y, 16)])?.remove(0);
        let (bits, mut out) = p.signs(&[raw.low_bits(), &z], 40, vec![raw.clone()])?;
        let terms = vec![(&bits[0], By::Value(&raw)), (&bits[1], By::Public(5))];
        out.extend(p.inject(&[Inject { terms, shape: z.shape().clone() }])?);
        out.push(p.select(&bits[1], &raw)?);
        Ok(out)
    }
}

#[test]
fn raw_values_are_compared_selected_and_lifted() {
    let mut noise = Noise(3);
    for len in [0, 1, 63, 5000] {
        let program = Raws(len);
        conforms(&program, Config::default(), &program.shapes().map(|s| noise.edges(&s, 19)));
    }
}

/// One operation of `ops` on the first input.
struct Operation(Op, usize);

#[derive(Clone, Copy, Debug)]
enum Op {
    Relu,
    Abs,
    Clip,
    Max,
    Less,
    Sigmoid,
    Tanh,
    Softplus,
    Fourier,
    Reciprocal,
    InverseSqrt,
    Moments,
    Within,
    Harmonics,
}

impl Program for Operation {
    fn shapes(&self) -> [Shape; 3] {
        let shape = if matches!(self.0, Op::Moments) { Shape::matrix(self.1, 9) } else { Shape::vector(self.1) };
        [shape.clone(), shape, Shape::vector(1)]
    }
    fn run<P: Protocol>(&self, p: &mut P, [x, y, _]: [P::A; 3]) -> Result<Vec<P::A>> {
        let raw = Raw::exact(x.clone());
        Ok(match self.0 {
            Op::Relu => vec![compare::relu(p, raw)?.0],
            Op::Abs => vec![compare::abs(p, &x)?],
            Op::Clip => vec![compare::clip(p, &x, -1.5, 2.25)?],
            Op::Max => vec![compare::max(p, &x, &y)?],
            Op::Less => {
                let bits = compare::less(p, &x, &y)?;
                vec![p.b2a(&bits)?]
            }
            Op::Sigmoid => vec![sigmoid::piecewise(p, raw)?],
            Op::Tanh => vec![sigmoid::tanh(p, &x)?],
            Op::Softplus => vec![sigmoid::softplus(p, raw)?],
            Op::Fourier => vec![sigmoid::fourier_clipped(p, &x)?],
            Op::Reciprocal => vec![reciprocal::reciprocal(p, &x)?],
            Op::InverseSqrt => vec![inverse_sqrt::inverse_sqrt(p, &x)?],
            Op::Moments => {
                let m = statistics::moments(p, &x, 16.0)?;
                let z = statistics::standardise(p, &x, &m, 1.5)?;
                vec![m.mean, m.variance, m.inverse_deviation, z]
            }
            Op::Within => {
                range::within(p, &x, 5.0)?;
                vec![]
            }
            Op::Harmonics => {
                let raw = p.harmonics(&x, &Series::new(20, 16, &[0.5, -0.25, 0.125]))?;
                p.lift(vec![raw])?
            }
        })
    }
    /// Rounding errors of several steps add up; what they add up to against the true function is tested in `ops.rs`.
    fn tolerance(&self) -> u64 {
        match self.0 {
            Op::Relu | Op::Abs | Op::Clip | Op::Max | Op::Less | Op::Within => 0,
            Op::Sigmoid | Op::Fourier | Op::Harmonics => 1,
            Op::Tanh => 2,
            Op::Softplus => 4,
            Op::Reciprocal => 40,
            Op::InverseSqrt => 8,
            Op::Moments => 64,
        }
    }
    fn exact(&self) -> bool {
        !matches!(self.0, Op::Fourier | Op::Harmonics)
    }
    fn active(&self) -> bool {
        !matches!(self.0, Op::Fourier | Op::Harmonics)
    }
    fn polynomial(&self) -> bool {
        !matches!(self.0, Op::Fourier | Op::Harmonics) && self.1 < 100_000
    }
    fn transferred(&self) -> bool {
        !matches!(self.0, Op::Fourier | Op::Harmonics)
    }
}

#[test]
fn operations() {
    let mut noise = Noise(4);
    let all = [
        Op::Relu,
        Op::Abs,
        Op::Clip,
        Op::Max,
        Op::Less,
        Op::Sigmoid,
        Op::Tanh,
        Op::Softplus,
        Op::Fourier,
        Op::Reciprocal,
        Op::InverseSqrt,
        Op::Moments,
        Op::Within,
        Op::Harmonics,
    ];
    for op in all {
        for len in [1, 3, 130] {
            let program = Operation(op, len);
            let mut values = program.shapes().map(|s| noise.edges(&s, 20));
            if matches!(op, Op::Reciprocal | Op::InverseSqrt) {
                // Positive values of all magnitudes in the domain.
                values[0].data_mut().iter_mut().for_each(|v| *v = (1 << 8) + (*v & 0xFFFFF) * 300);
            }
            conforms(&program, Config::default(), &values);
        }
    }
}

/// Rounds of operations on one value in fast mode at width 32, as docs/protocols/operations.md states them (`less` with the
/// conversion of its bit).
#[test]
fn rounds_are_as_documented() {
    let documented = [
        (Op::Less, 4),
        (Op::Relu, 4),
        (Op::Abs, 4),
        (Op::Max, 4),
        (Op::Clip, 4),
        (Op::Sigmoid, 5),
        (Op::Fourier, 6),
        (Op::Tanh, 5),
        (Op::Softplus, 9),
        (Op::Reciprocal, 20),
        (Op::InverseSqrt, 27),
        (Op::Within, 9),
    ];
    for (op, rounds) in documented {
        assert_eq!(rounds_of(op, Rep3Costs::new(Radix::Four), Clock::rounds), rounds, "{op:?} under rep3");
        if Operation(op, 1).active() {
            // An opening is preceded by a verification, which waits for the checker.
            let verification = if matches!(op, Op::Within) { 5 } else { 0 };
            // At the online pair: the checker is one message behind.
            let counted = rounds_of(op, Rep4Costs { radix: Radix::Four }, |clock| clock.rounds_of(FIRST));
            assert_eq!(counted, rounds + verification, "{op:?} under rep4");
        }
    }
}

fn rounds_of(op: Op, costs: impl Costs, at: fn(&Clock) -> u64) -> u64 {
    let mut count = Count::new(Config::default(), costs, Default::default());
    let x = count.input(0, &Shape::vector(1), None).unwrap();
    let before = at(count.clock());
    Operation(op, 1).run(&mut count, [x.clone(), x.clone(), x]).unwrap();
    at(count.clock()) - before
}

#[test]
fn fast_and_exact_answers_of_a_range_check_are_right() {
    for mode in [TruncMode::Fast, TruncMode::Exact] {
        let config = Config { mode, ..Config::default() };
        let values = Noise(5).edges(&Shape::vector(100), 20);
        let largest = values.data().iter().map(|v| (*v as i64).unsigned_abs()).max().unwrap() as f64 / 65_536.0;
        let check = |bound: f64| {
            let answers = World::<Rep3>::new(config).run(|p| {
                let given = (p.me() == 2).then_some(&values);
                let x = p.input(2, values.shape(), given).unwrap();
                range::within(p, &x, bound).unwrap()
            });
            assert!(answers.iter().all(|a| *a == answers[0]), "all learn the same");
            answers[0]
        };
        assert!(check(largest));
        assert!(!check(largest - 1.0 / 65_536.0));
    }
}

/// Parts of one value in lanes of their own, then all together.
struct SideBySide(usize);
impl Program for SideBySide {
    fn polynomial(&self) -> bool {
        // Sums of squares of more rows wrap around.
        self.0 < 10
    }
    fn shapes(&self) -> [Shape; 3] {
        [Shape::matrix(self.0, 5), Shape::matrix(5, 3), Shape::vector(1)]
    }
    fn lanes(&self) -> usize {
        3
    }
    fn run<P: Protocol>(&self, p: &mut P, [x, y, _]: [P::A; 3]) -> Result<Vec<P::A>> {
        let cut = |lane: usize| lane * self.0 / 3;
        for lanes in [3, 2] {
            let parts = (0..lanes).map(|lane| x.slice_rows(cut(lane), cut(lane + 1))).collect();
            let parts = p.in_lanes(parts, |p, x: P::A| {
                let z = p.products(&[Product::matmul(&x, &y, 16)])?.remove(0);
                let (bits, z) = p.signs(&[z.low_bits()], 40, vec![z.clone()])?;
                p.select(&bits[0], &Raw::exact(z[0].clone()))
            })?;
            let all = P::A::concat_rows(&parts.iter().collect::<Vec<_>>());
            if lanes == 2 {
                return Ok(vec![
                    p.products(&[Product::matmul(&all.transpose(), &all, 0)])?.remove(0).low_bits().clone(),
                ]);
            }
            p.settle()?;
        }
        Ok(Vec::new())
    }
}

#[test]
fn lanes_compute_and_cost_what_they_should() {
    for rows in [3, 700] {
        let program = SideBySide(rows);
        // Multiples of 2^16, so that rounding is exact.
        let values = program.shapes().map(|s| Noise(31).tensor(&s, 14).scale(1 << 8));
        conforms(&program, Config::default(), &values);
    }
}

#[test]
fn nothing_is_opened_in_a_lane() {
    let opened = World::<Rep4>::new(Config::default()).with_lanes(2).run(|p| {
        let one = p.public(&Tensor::fill(&Shape::vector(1), 1));
        let in_lanes = p.in_lanes(vec![(), ()], |p, ()| p.open(&one, Recipients::ALL)).is_ok();
        let too_many = p.in_lanes(vec![(); 3], |_, ()| Ok(())).is_ok();
        (in_lanes, too_many, p.open(&one, Recipients::ALL).is_ok())
    });
    assert_eq!(opened, [(false, false, true); 4]);
}

/// More elements than are in flight at once.
struct Large(usize);
impl Program for Large {
    fn shapes(&self) -> [Shape; 3] {
        [Shape::vector(self.0), Shape::vector(1), Shape::vector(1)]
    }
    fn run<P: Protocol>(&self, p: &mut P, [x, ..]: [P::A; 3]) -> Result<Vec<P::A>> {
        let raw = p.products(&[Product::mul(&x, &x, 16)])?.remove(0);
        let (bits, lifted) = p.signs(&[&x], 21, vec![raw])?;
        let rectified = p.select(&bits[0], &Raw::exact(x))?;
        let both = p.and(&[(&bits[0], &bits[0])])?.remove(0);
        Ok(vec![lifted.into_iter().next().expect("one"), rectified, p.b2a(&both)?])
    }
    fn polynomial(&self) -> bool {
        false
    }
}

#[test]
fn tables_are_worked_on_in_parts() {
    let mut noise = Noise(8);
    for (op, len) in [(Op::Sigmoid, (1 << 18) + 5), (Op::Within, (1 << 20) + 3), (Op::Moments, 120_000)] {
        let program = Operation(op, len);
        let bits = if matches!(op, Op::Moments) { 18 } else { 20 };
        conforms_in(&program, Config::default(), &program.shapes().map(|s| noise.edges(&s, bits)));
    }
}

#[test]
fn operations_beyond_a_batch() {
    let program = Large((1 << 22) + 100);
    let values = program.shapes().map(|s| Noise(6).edges(&s, 21));
    conforms_in(&program, Config { radix: Radix::Four, ..Config::default() }, &values);
}

/// Products of up to 2 to the stated power, one gross error in which would be a wrong value.
struct Gross(usize, u32);
impl Program for Gross {
    fn shapes(&self) -> [Shape; 3] {
        [Shape::vector(self.0), Shape::vector(self.0), Shape::vector(1)]
    }
    fn run<P: Protocol>(&self, p: &mut P, [x, y, _]: [P::A; 3]) -> Result<Vec<P::A>> {
        p.products_lifted(&[Product::mul(&x, &y, 16)])
    }
    fn polynomial(&self) -> bool {
        self.1 < 60
    }
}

#[test]
fn no_gross_error_in_truncations_of_large_products() {
    // 10^7 where there is time: `cargo xtask heavy`.
    let repetitions = if std::env::var_os("PRIVITY_HEAVY").is_some() { 10 } else { 1 };
    let mut noise = Noise(7);
    for _ in 0..repetitions {
        // Products of up to 2^60, and of the up to 2^58 that a field has room for.
        for (bits, largest) in [(31, 60), (30, 58)] {
            let program = Gross(if repetitions == 1 { 100_000 } else { 1_000_000 }, largest);
            let values = program.shapes().map(|s| noise.edges(&s, bits));
            conforms_in(&program, Config::default(), &values);
        }
    }
}

#[test]
fn sine_series_are_refused_in_exact_mode() {
    let config = Config { mode: TruncMode::Exact, ..Config::default() };
    let refused = World::<Rep3>::new(config).run(|p| {
        let x = p.public(&Tensor::zeros(&Shape::vector(1)));
        sigmoid::fourier_clipped(p, &x).is_err()
    });
    assert_eq!(refused, [true; 3]);
}

/// The thinnest path first: a product that is opened, and what transfers cost for it.
#[test]
fn two_parties_multiply_without_a_dealer() {
    let (x, y) = (Noise(41).tensor(&Shape::vector(100), 60), Noise(42).tensor(&Shape::vector(100), 60));
    let opened = World::<Gmw>::new(Config::default()).run(|p| {
        let x = p.input(0, x.shape(), (p.me() == 0).then_some(&x)).unwrap();
        let y = p.input(1, y.shape(), (p.me() == 1).then_some(&y)).unwrap();
        let z = p.products(&[Product::mul(&x, &y, 0)]).unwrap().remove(0);
        let before = p.party().bytes_sent().to_vec();
        (p.open(z.low_bits(), Recipients::ALL).unwrap().unwrap(), before)
    });
    for (me, (z, sent)) in opened.iter().enumerate() {
        assert_eq!(*z, x.zip(&y, |x, y| x.wrapping_mul(y)));
        // Set-up; choices of 6400 transfers, a block for the check and digests; 33 words an element.
        assert_eq!(sent[1 - me], 8192 + 4096 + 16 * (6400 + 128) + 16 * 129 + 8 * 33 * 100);
    }
}

#[test]
fn openings_reach_their_recipients_and_nobody_else() {
    let value = Tensor::fill(&Shape::vector(5), 77u64);
    for recipients in [vec![0], vec![1], vec![2], vec![0, 2], vec![1, 2], vec![0, 1, 2], vec![]] {
        let opened = World::<Rep3>::new(Config::default()).run(|p| {
            let x = p.input(1, value.shape(), (p.me() == 1).then_some(&value)).unwrap();
            p.open(&x, Recipients::of(&recipients)).unwrap()
        });
        for (me, opened) in opened.into_iter().enumerate() {
            assert_eq!(opened, recipients.contains(&me).then(|| value.clone()), "party {me} of {recipients:?}");
        }
    }
}

#[test]
fn what_additive_mac_opens_reaches_its_recipients_and_nobody_else() {
    let value = Tensor::fill(&Shape::vector(5), 77u64);
    for recipients in [vec![0], vec![1], vec![2], vec![3], vec![1, 3], vec![0, 2], vec![0, 1, 2, 3], vec![]] {
        let opened = World::additive_mac(Config::default(), 3).run(|p| {
            let x = p.input(1, value.shape(), (p.me() == 1).then_some(&value)).unwrap();
            p.open(&x, Recipients::of(&recipients)).unwrap()
        });
        for (me, opened) in opened.into_iter().enumerate() {
            assert_eq!(opened, recipients.contains(&me).then(|| value.clone()), "party {me} of {recipients:?}");
        }
    }
}

/// What it cannot do it says, and does nothing.
#[test]
fn additive_mac_refuses_series_other_protocols_shares_and_inputs_of_the_dealer() {
    let refused = World::additive_mac(Config::default(), 2).run(|p| {
        let shape = Shape::vector(1);
        let x = p.public(&Tensor::zeros(&shape));
        let given = (p.me() == 0).then(|| Tensor::zeros(&shape));
        let parameter = |refused: Result<()>| matches!(refused, Err(Error::Parameter { .. }));
        parameter(p.harmonics(&x, &Series::new(20, 16, &[0.5])).map(drop))
            && parameter(p.refresh(&[&x], Origin::Joined).map(drop))
            && parameter(p.refresh(&[&x], Origin::Without(1)).map(drop))
            && matches!(p.input(0, &shape, given.as_ref()), Err(Error::Input { .. }))
            && p.party().bytes_sent().iter().all(|sent| *sent == 0)
    });
    assert_eq!(refused, [true; 3]);
}

#[test]
fn shares_show_no_data() {
    let planes = privity_mpc::share::Planes::from_values(&[12345], 16);
    assert!(!format!("{planes:?}").contains("12345"));
    assert_eq!(format!("{:?}", Tensor::<u64>::fill(&Shape::vector(2), 77)), "Tensor[2]");
    let twin = Plain::new(Config::default(), 3);
    assert_eq!(twin.owners(), 0..3);
    assert_eq!(<Tensor<u64> as Share>::shape(&Tensor::fill(&Shape::vector(2), 1)).len(), 2);
}

/// Shares kept in one session serve in the next, with all parties or, under rep4, without any one of them.
#[test]
fn kept_shares_go_on_under_new_keys_and_without_a_party() {
    let config = Config::default();
    let shape = Shape::vector(20_000);
    let (x, y) = (Noise(21).tensor(&shape, 20), Noise(22).tensor(&shape, 20));
    let want: Vec<u64> = x.data().iter().zip(y.data()).map(|(x, y)| x.wrapping_mul(*y)).collect();
    fn kept<P: Protocol<R = u64>>(p: &mut P, x: &Tensor<u64>, y: &Tensor<u64>) -> [P::A; 2] {
        let shape = x.shape();
        let [one, other] = [p.owners().start, p.owners().start + 1];
        let x = p.input(one, shape, (p.me() == one).then_some(x)).expect("shared");
        let y = p.input(other, shape, (p.me() == other).then_some(y)).expect("shared");
        // A result of products, so that no mask is zero.
        let one = p.public(&Tensor::fill(shape, 1));
        let x = p.products(&[Product::mul(&x, &one, 0)]).expect("a product").remove(0);
        p.settle().expect("settled");
        [x.low_bits().clone(), y]
    }
    fn go_on<P: Protocol<R = u64>>(p: &mut P, kept: &[P::A; 2], origin: Origin) -> Vec<u64> {
        let fresh = p.refresh(&[&kept[0], &kept[1]], origin).expect("refreshed");
        let z = p.products(&[Product::mul(&fresh[0], &fresh[1], 0)]).expect("a product").remove(0);
        p.open(z.low_bits(), Recipients::ALL).expect("opens").expect("to all").data().to_vec()
    }
    let three = World::<Rep3>::new(config).run(|p| kept(p, &x, &y));
    let again = World::<Rep3>::new(config).run(|p| go_on(p, &three[p.me()], Origin::Same));
    assert!(again.iter().all(|z| *z == want));
    let tagged = World::<AdditiveMac>::additive_mac(config, 3);
    let dealt = tagged.run(|p| kept(p, &x, &y));
    let again = tagged.run(|p| go_on(p, &dealt[p.me()], Origin::Same));
    assert!(again.iter().all(|z| *z == want));
    let four = World::<Rep4>::new(config).run(|p| kept(p, &x, &y));
    let again = World::<Rep4>::new(config).run(|p| go_on(p, &four[p.me()], Origin::Same));
    assert!(again.iter().all(|z| *z == want));
    for lost in 0..4 {
        let roles = rep3::roles_without(lost);
        let folded = World::<Rep3>::new(config).run(|p| {
            let z = go_on(p, &four[roles[p.me()]], Origin::Without(lost));
            (z, p.party().bytes_sent().to_vec(), p.party().rounds())
        });
        let mut count = Count::new(config, Rep3Costs::new(config.radix), Default::default());
        let nothing = count.public(&Tensor::zeros(&shape));
        go_on_counted(&mut count, &nothing, Origin::Without(lost));
        for (me, (z, sent, rounds)) in folded.iter().enumerate() {
            assert!(*z == want, "without party {lost}, at {me}");
            let declared: Vec<u64> = (0..3).map(|to| count.clock().bytes(me, to)).collect();
            assert_eq!((sent, *rounds), (&declared, count.clock().rounds_of(me)), "without party {lost}, at {me}");
        }
    }
    // A fourth party joins the three: it brings nothing, and all four hold the same values in the end.
    let joined = World::<Rep4>::new(config).run(|p| {
        let nothing = p.public(&Tensor::zeros(&shape));
        let kept = three.get(p.me()).cloned().unwrap_or([nothing.clone(), nothing]);
        (go_on(p, &kept, Origin::Joined), p.party().bytes_sent().to_vec(), p.party().rounds())
    });
    let mut count = Count::new(config, Rep4Costs { radix: config.radix }, Default::default());
    let nothing = count.public(&Tensor::zeros(&shape));
    go_on_counted(&mut count, &nothing, Origin::Joined);
    for (me, (z, sent, rounds)) in joined.iter().enumerate() {
        assert!(*z == want, "with a party that joined, at {me}");
        let declared: Vec<u64> = (0..4).map(|to| count.clock().bytes(me, to)).collect();
        assert_eq!((sent, *rounds), (&declared, count.clock().rounds_of(me)), "with a party that joined, at {me}");
    }
}

fn go_on_counted<C: Costs>(count: &mut Count<C>, nothing: &Tensor<privity_ring::Unit>, origin: Origin) {
    let fresh = count.refresh(&[nothing, nothing], origin).expect("counted");
    let z = count.products(&[Product::mul(&fresh[0], &fresh[1], 0)]).expect("counted").remove(0);
    count.open(z.low_bits(), Recipients::ALL).expect("counted");
}

/// As many parties as there can be: points, weights and the largest binary field.
#[test]
fn thirty_one_parties_multiply_and_compare() {
    let config = Config::default();
    let values =
        Tensor::new(Shape::vector(3), vec![5, 70_000, 3u64.wrapping_neg()].into_iter().map(M61::from_u64).collect());
    let ends = World::shamir(config, 31, 15).run(|p| {
        let x = p.input(30, values.shape(), (p.me() == 30).then_some(&values)).expect("shared");
        let product = p.products(&[Product::mul(&x, &x, 0)]).expect("a product").remove(0);
        let signs = p.signs(&[&x], 32, Vec::new()).expect("signs").0;
        let signs = p.b2a(&signs[0]).expect("numbers");
        let both = p.products(&[Product::mul(product.low_bits(), &signs, 0)]).expect("a product").remove(0);
        let opened = p.open(both.low_bits(), Recipients::ALL).expect("opens").expect("to all");
        opened.data().iter().map(|v| v.to_u64()).collect::<Vec<_>>()
    });
    assert!(ends.iter().all(|opened| *opened == [0, 0, 9]), "{ends:?}");
}

/// As many parties as jobs take, with transfers between every two.
#[test]
fn four_and_five_parties_transfer_what_they_multiply_compare_and_divide() {
    let mut noise = Noise(52);
    for (mode, parties) in [(TruncMode::Fast, 4), (TruncMode::Exact, 5)] {
        let config = Config { mode, ..Config::default() };
        let program = Products(3, 5, 7);
        conforms_at(&program, config, &program.shapes().map(|s| noise.edges(&s, 26)), parties);
        let program = Comparisons(65, 32);
        conforms_at(&program, config, &program.shapes().map(|s| noise.edges(&s, 32)), parties);
    }
}

/// As many parties as there can be, with a dealer and with transfers between every two.
#[test]
fn seven_parties_multiply_compare_and_divide_by_triples() {
    let config = Config { mode: TruncMode::Exact, ..Config::default() };
    let values = Tensor::new(Shape::vector(3), vec![5u64, 70_000, 3u64.wrapping_neg()]);
    for world in [World::<Beaver<u64>>::beaver(config, 7), World::beaver_dealt(config, 7)] {
        let last = world.parties() - 1;
        let ends = world.run(|p| {
            let x = p.input(last, values.shape(), (p.me() == last).then_some(&values)).expect("shared");
            let product = p.products(&[Product::mul(&x, &x, 3)]).expect("a product").remove(0);
            let signs = p.signs(&[&x], 32, Vec::new()).expect("signs").0;
            let both = p.select(&signs[0], &product).expect("selected");
            let all = [product.low_bits(), &both].map(|z| p.open(z, Recipients::ALL).expect("opens").expect("to all"));
            all.map(Tensor::into_data)
        });
        // 25, 4 900 000 000 and 9 in eighths, half up.
        assert!(ends.iter().all(|all| *all == [vec![3, 612_500_000, 1], vec![0, 0, 1]]), "{ends:?}");
    }
}

#[test]
fn what_beaver_opens_reaches_its_recipients_and_nobody_else() {
    let value = Tensor::fill(&Shape::vector(5), 77u64);
    for dealt in [false, true] {
        for recipients in [vec![0], vec![1], vec![2], vec![3], vec![1, 3], vec![0, 1, 2, 3], vec![]] {
            let config = Config::default();
            let world = if dealt { World::<Beaver<u64>>::beaver_dealt(config, 3) } else { World::beaver(config, 4) };
            let opened = world.run(|p| {
                let x = p.input(1, value.shape(), (p.me() == 1).then_some(&value)).expect("shared");
                p.open(&x, Recipients::of(&recipients)).expect("opens")
            });
            for (me, opened) in opened.into_iter().enumerate() {
                assert_eq!(opened, recipients.contains(&me).then(|| value.clone()), "party {me} of {recipients:?}");
            }
        }
    }
}

/// What it cannot do it says, and does nothing.
#[test]
fn beaver_refuses_series_other_protocols_shares_and_inputs_of_the_dealer() {
    let refused = World::<Beaver<M61>>::beaver_dealt(Config::default(), 2).run(|p| {
        let shape = Shape::vector(1);
        let x = p.public(&Tensor::zeros(&shape));
        let given = (p.me() == 0).then(|| Tensor::zeros(&shape));
        let parameter = |refused: Result<()>| matches!(refused, Err(Error::Parameter { .. }));
        parameter(p.harmonics(&x, &Series::new(20, 16, &[0.5])).map(drop))
            && parameter(p.refresh(&[&x], Origin::Joined).map(drop))
            && parameter(p.refresh(&[&x], Origin::Without(1)).map(drop))
            && matches!(p.input(0, &shape, given.as_ref()), Err(Error::Input { .. }))
            && p.party().bytes_sent().iter().all(|sent| *sent == 0)
    });
    assert_eq!(refused, [true; 3]);
}

/// Whatever the operation, only the last party is sent anything by the dealer, and nobody sends the dealer anything but what is opened to it.
#[test]
fn a_dealer_corrects_one_party_and_is_told_nothing() {
    let values = Noise(51).tensor(&Shape::vector(100), 20);
    let sent = World::<Beaver<u64>>::beaver_dealt(Config { mode: TruncMode::Exact, ..Config::default() }, 4).run(|p| {
        let x = p.input(1, values.shape(), (p.me() == 1).then_some(&values)).expect("shared");
        let z = p.products_lifted(&[Product::mul(&x, &x, 16)]).expect("a product").remove(0);
        let bits = p.a2b(&z, 20).expect("bits");
        let bit = p.and(&[(&bits.plane(0), &bits.plane(1))]).expect("and").remove(0);
        let z = p.select(&bit, &Raw::exact(z)).expect("selected");
        p.open(&z, Recipients::of(&[1, 2, 3, 4])).expect("opens");
        p.party().bytes_sent().to_vec()
    });
    assert!(sent[0][4] > 0 && sent[0][..4].iter().all(|bytes| *bytes == 0), "{:?}", sent[0]);
    assert!(sent[1..].iter().all(|bytes| bytes[0] == 0), "{sent:?}");
}
