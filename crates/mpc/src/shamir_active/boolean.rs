//! Bits as numbers; two integers whose sum is a value modulo `p`; carries, comparisons. Spec 2 to 4.

use super::ShamirActive;
use super::arithmetic::multiply;
use crate::Result;
use crate::polynomial::PrimeBits;
use crate::shamir::arithmetic::joined;
use crate::shamir::input::tensor;
use privity_ring::{M61, Ring, Shape, Tensor, mersenne};

/// Bits of a residue.
pub(super) const BITS: usize = 61;
/// Values worked on at once: each has a few hundred elements while it is.
pub(super) const AT_ONCE: usize = 1 << 13;

/// Spec 2.3: `a ^ b = a + b - 2 a b`, of the product.
fn exclusive(a: &Tensor<M61>, b: &Tensor<M61>, product: &Tensor<M61>) -> Tensor<M61> {
    a.add(b).sub(&product.scale(2))
}

/// Spec 2.3: the bits themselves, where XORs were put off: pair by pair, all in the same rounds.
pub(super) fn resolved(p: &mut ShamirActive, xs: &[&PrimeBits]) -> Result<Vec<Tensor<M61>>> {
    let mut all: Vec<Vec<Tensor<M61>>> = xs.iter().map(|x| x.terms.clone()).collect();
    while all.iter().any(|terms| terms.len() > 1) {
        let pairs: Vec<_> = all.iter().flat_map(|terms| terms.as_chunks().0).map(|[a, b]| (a, b)).collect();
        let mut products = multiply(p, &pairs)?.into_iter();
        let mut next = |terms: &Vec<Tensor<M61>>| {
            let (pairs, rest) = terms.as_chunks();
            let joined = pairs.iter().zip(&mut products).map(|([a, b], product)| exclusive(a, b, &product));
            joined.collect::<Vec<_>>().into_iter().chain(rest.iter().cloned()).collect()
        };
        all = all.iter().map(&mut next).collect();
    }
    Ok(all.into_iter().map(|mut terms| terms.remove(0)).collect())
}

/// Spec 2.3: AND is a product.
pub(super) fn and(p: &mut ShamirActive, jobs: &[(&PrimeBits, &PrimeBits)]) -> Result<Vec<PrimeBits>> {
    let operands: Vec<&PrimeBits> = jobs.iter().flat_map(|(x, y)| [*x, *y]).collect();
    let bits = resolved(p, &operands)?;
    let pairs: Vec<_> = bits.as_chunks().0.iter().map(|[x, y]| (x, y)).collect();
    Ok(multiply(p, &pairs)?.into_iter().map(PrimeBits::new).collect())
}

/// The bits of residues as numbers, plane after plane.
fn planes(words: &[u64]) -> Vec<u64> {
    (0..BITS).flat_map(|place| words.iter().map(move |x| x >> place & 1)).collect()
}

/// Spec 3: two integers of 61 bits whose sum is that of the values modulo `p`, planes a row. Values as words, residues.
pub(super) fn integers(p: &mut ShamirActive, values: &[u64]) -> Result<[Tensor<M61>; 2]> {
    integers_in(p, values, planes)
}

/// The same; `planes` makes of a party's weighted shares what it deals. That these are bits, and of numbers of the right sum, is owed.
fn integers_in(p: &mut ShamirActive, values: &[u64], planes: impl Fn(&[u64]) -> Vec<u64>) -> Result<[Tensor<M61>; 2]> {
    let shape = Shape::matrix(BITS, values.len());
    // Spec 3.1.
    let mine = |weight: M61| {
        let mut own = values.to_vec();
        mersenne::scale_assign(&mut own, weight);
        planes(&own)
    };
    let dealt = p.base.deal_numbers(shape.len(), mine)?;
    let mut numbers: Vec<Tensor<M61>> = dealt.into_iter().map(|words| tensor(&shape, words)).collect();
    // Spec 3.2.
    let mut difference = values.to_vec();
    mersenne::scale_assign(&mut difference, M61::from_u64(1).negated());
    for number in &numbers {
        p.debt().owe_bits(number);
        for (place, bits) in (0..).zip(mersenne::words(number.data()).chunks_exact(values.len())) {
            mersenne::add_scaled(&mut difference, M61::power_of_two(place), bits);
        }
    }
    p.debt().owe_zeros(tensor(&Shape::vector(values.len()), difference));
    p.pay_if_much()?;
    while numbers.len() > 2 {
        numbers = three_to_two(p, numbers)?;
    }
    Ok(numbers.try_into().unwrap_or_else(|_| unreachable!("two or more parties deal")))
}

/// Spec 3.3: of each three numbers two of the same sum modulo `p`: `a ^ b ^ c`, and what they carry, moved up and around.
fn three_to_two(p: &mut ShamirActive, mut numbers: Vec<Tensor<M61>>) -> Result<Vec<Tensor<M61>>> {
    let (triples, rest) = numbers.as_chunks::<3>();
    let both = multiply(p, &triples.iter().map(|[a, b, _]| (a, b)).collect::<Vec<_>>())?;
    let either: Vec<Tensor<M61>> =
        triples.iter().zip(&both).map(|([a, b, _], product)| exclusive(a, b, product)).collect();
    let passed = multiply(p, &triples.iter().zip(&either).map(|([.., c], either)| (either, c)).collect::<Vec<_>>())?;
    let around: Vec<usize> = (0..BITS).map(|place| (place + BITS - 1) % BITS).collect();
    let mut fewer = Vec::with_capacity(2 * triples.len() + rest.len());
    for ((([.., c], both), either), passed) in triples.iter().zip(&both).zip(&either).zip(&passed) {
        fewer.push(exclusive(either, c, passed));
        fewer.push(both.add(passed).gather_rows(&around));
    }
    let rest = 3 * triples.len();
    fewer.extend(numbers.drain(rest..));
    Ok(fewer)
}

/// Two integers `a`, `b` of 61 bits with `a + b = y + wraps p`, and what their low places do with a carry.
pub(super) struct Added {
    pub a: Tensor<M61>,
    pub b: Tensor<M61>,
    /// Whether the sum goes beyond `p`, a row.
    pub wraps: Tensor<M61>,
    /// Of each of the low places, whether it makes a carry.
    pub generate: Tensor<M61>,
    /// And whether it passes one on: the XOR of its bits.
    pub pass: Tensor<M61>,
}

/// Spec 3.4: of the two integers of values `y` with `0 <= y < 2^60`; so many low places are wanted.
pub(super) fn added(p: &mut ShamirActive, [a, b]: [Tensor<M61>; 2], places: usize) -> Result<Added> {
    let (low_a, low_b) = (a.slice_rows(0, places), b.slice_rows(0, places));
    let (top_a, top_b) = (a.slice_rows(BITS - 1, BITS), b.slice_rows(BITS - 1, BITS));
    let [generate, tops] = two(multiply(p, &[(&low_a, &low_b), (&top_a, &top_b)])?);
    let wraps = top_a.add(&top_b).sub(&tops);
    let pass = exclusive(&low_a, &low_b, &generate);
    Ok(Added { a, b, wraps, generate, pass })
}

fn two(products: Vec<Tensor<M61>>) -> [Tensor<M61>; 2] {
    products.try_into().unwrap_or_else(|_| unreachable!("two products"))
}

/// Spec 4.1: the carry out of the first so many places of a sum, and of `wraps` besides: a tree over places, lowest first, of which `wraps` is one.
pub(super) fn carry(p: &mut ShamirActive, sum: &Added, places: usize) -> Result<Tensor<M61>> {
    let mut generate = Tensor::concat_rows(&[&sum.wraps, &sum.generate.slice_rows(0, places)]);
    let mut pass = Tensor::concat_rows(&[&Tensor::zeros(sum.wraps.shape()), &sum.pass.slice_rows(0, places)]);
    while generate.rows() > 1 {
        let rows = generate.rows();
        let lower: Vec<usize> = (0..rows / 2).map(|pair| 2 * pair).collect();
        let upper: Vec<usize> = lower.iter().map(|row| row + 1).collect();
        // All pairs join generated carries, all but the lowest join what passes.
        let (above, below) = (pass.gather_rows(&upper), generate.gather_rows(&lower));
        let (above_pass, below_pass) = (pass.gather_rows(&upper[1..]), pass.gather_rows(&lower[1..]));
        let [carried, passed] = two(multiply(p, &[(&above, &below), (&above_pass, &below_pass)])?);
        let carried = generate.gather_rows(&upper).add(&carried);
        let odd = rows - rows % 2;
        generate = Tensor::concat_rows(&[&carried, &generate.slice_rows(odd, rows)]);
        pass = Tensor::concat_rows(&[&pass.slice_rows(0, 1), &passed, &pass.slice_rows(odd, rows)]);
    }
    Ok(generate)
}

/// Spec 4.2: the carries into the first so many places: a prefix over places.
pub(super) fn carries(p: &mut ShamirActive, sum: &Added, places: usize) -> Result<Tensor<M61>> {
    let mut generate = Tensor::concat_rows(&[&sum.wraps, &sum.generate.slice_rows(0, places - 1)]);
    let mut pass = Tensor::concat_rows(&[&Tensor::zeros(sum.wraps.shape()), &sum.pass.slice_rows(0, places - 1)]);
    let mut distance = 1;
    while distance < places {
        // What reaches down to the lowest place needs to know no more.
        let open = (2 * distance).min(places);
        let (above, below) = (pass.slice_rows(distance, places), generate.slice_rows(0, places - distance));
        let (above_pass, below_pass) =
            (pass.slice_rows(open, places), pass.slice_rows(open - distance, places - distance));
        let [carried, passed] = two(multiply(p, &[(&above, &below), (&above_pass, &below_pass)])?);
        let carried = generate.slice_rows(distance, places).add(&carried);
        generate = Tensor::concat_rows(&[&generate.slice_rows(0, distance), &carried]);
        pass = Tensor::concat_rows(&[&pass.slice_rows(0, open), &passed]);
        distance *= 2;
    }
    Ok(generate)
}

/// XOR of planes.
pub(super) fn xor(p: &mut ShamirActive, x: &Tensor<M61>, y: &Tensor<M61>) -> Result<Tensor<M61>> {
    let product = multiply(p, &[(x, y)])?.remove(0);
    Ok(exclusive(x, y, &product))
}

/// Spec 4.3: whether a bit of the sum of two integers is not set, a row.
fn without(p: &mut ShamirActive, integers: [Tensor<M61>; 2], place: usize) -> Result<Tensor<M61>> {
    let sum = added(p, integers, place + 1)?;
    let carry = carry(p, &sum, place)?;
    let set = xor(p, &sum.pass.slice_rows(place, place + 1), &carry)?;
    Ok(Tensor::fill(set.shape(), 1).sub(&set))
}

/// Spec 4.3: `x` is negative if bit `width - 1` of `x + 2^(width - 1)` is not set.
pub(super) fn signs(p: &mut ShamirActive, xs: &[&Tensor<M61>], width: u32) -> Result<Vec<PrimeBits>> {
    assert!((2..BITS as u32).contains(&width), "comparisons of 2 to 60 bits");
    let high = width as usize - 1;
    let all = joined(xs.iter().copied());
    let mut signs = Vec::with_capacity(all.len());
    for values in all.chunks(AT_ONCE) {
        let mut y = values.to_vec();
        mersenne::offset_assign(&mut y, M61::power_of_two(width - 1));
        let y = integers(p, &y)?;
        signs.extend_from_slice(without(p, y, high)?.data());
    }
    let mut rest = signs.into_iter();
    let mut next = |x: &&Tensor<M61>| {
        PrimeBits::new(Tensor::new(Shape::matrix(1, x.len()), rest.by_ref().take(x.len()).collect()))
    };
    Ok(xs.iter().map(&mut next).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shamir_active::convert::quotient;
    use crate::{Config, Error, Party, Protocol, Recipients};
    use privity_net::sim::mesh;

    /// What parties that deviate deal in the place of the bits of their weighted shares.
    type Deal = fn(usize, &[u64]) -> Vec<u64>;

    /// Runs something at `2 t + 1` parties.
    fn run<T: Send>(t: usize, program: impl Fn(&mut ShamirActive) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let start = |link| {
                let program = &program;
                scope.spawn(move || {
                    let party = Party::connect(Box::new(link), &Default::default()).expect("keys");
                    program(
                        &mut ShamirActive::new(party, Config::default().in_a_field(), t)
                            .expect("a sound configuration"),
                    )
                })
            };
            let parties: Vec<_> = mesh(2 * t + 1, Default::default()).into_iter().map(start).collect();
            parties.into_iter().map(|party| party.join().expect("the program panicked")).collect()
        })
    }

    /// Signs and quotients of values, of which the parties below `t` deal what `deal` says.
    fn attacked(t: usize, xs: &[i64], deal: Deal) -> Vec<Result<Vec<i64>>> {
        run(t, |p| {
            let me = p.me();
            let dealt = |own: &[u64]| if me < t { deal(me, own) } else { planes(own) };
            // Not public to whom it matters: an input of the last party.
            let shape = Shape::vector(xs.len());
            let given = Tensor::new(shape.clone(), xs.iter().map(|x| M61::from_u64(*x as u64)).collect());
            let x = p.input(2 * t, &shape, (me == 2 * t).then_some(&given))?;
            let shifted = |by: u64| {
                let mut y = mersenne::words(x.data()).to_vec();
                mersenne::offset_assign(&mut y, M61::from_u64(by));
                y
            };
            let y = integers_in(p, &shifted(1 << 39), dealt)?;
            let signs = without(p, y, 39)?;
            let y = integers_in(p, &shifted((1 << 59) + (1 << 15)), dealt)?;
            let quotients = quotient(p, y, 16, true)?;
            let mut all = mersenne::words(signs.data()).to_vec();
            all.extend(quotients);
            let all = tensor(&Shape::vector(2 * xs.len()), all);
            let opened = p.open(&all, Recipients::ALL)?.expect("to all");
            Ok(opened.data().iter().map(|v| v.to_u64() as i64).collect())
        })
    }

    const VALUES: [i64; 6] = [0, -1, 5 << 16, -(1 << 38), (1 << 38) + 77, -70_000];

    fn wanted() -> Vec<i64> {
        VALUES.iter().map(|x| i64::from(*x < 0)).chain(VALUES.iter().map(|x| (x + (1 << 15)) >> 16)).collect()
    }

    #[test]
    fn bits_that_are_none_and_bits_of_other_numbers_are_noticed() {
        let deals: [Deal; 4] = [
            // The bits of another number.
            |_, own| planes(&own.iter().map(|x| if *x == 0 { 1 } else { x - 1 }).collect::<Vec<_>>()),
            // The same number, of which two bits are none: two more in one place, one less above.
            |me, own| {
                let mut bits = planes(own);
                if me == 0 {
                    bits[7 * own.len()] = mersenne::reduce(bits[7 * own.len()] + 2);
                    bits[8 * own.len()] = mersenne::reduce(bits[8 * own.len()] + mersenne::P - 1);
                }
                bits
            },
            // One bit of one value.
            |me, own| {
                let mut bits = planes(own);
                bits[60 * own.len() + 1] ^= u64::from(me == 0);
                bits
            },
            // Any numbers.
            |_, own| planes(own).iter().map(|bit| bit * 12345).collect(),
        ];
        for t in [1, 2] {
            for (k, deal) in deals.into_iter().enumerate() {
                let ends = attacked(t, &VALUES, deal);
                assert!(ends.iter().all(|end| matches!(end, Err(Error::Cheating { .. }))), "{k}, t = {t}: {ends:?}");
            }
        }
    }

    /// Spec 3.2: any integers of the right sum will do, also if they are not those of the dealers' shares.
    #[test]
    fn summands_that_are_moved_between_parties_change_nothing() {
        let moved: Deal = |me, own| {
            let by = [1 << 60, mersenne::P - (1 << 60)][me];
            planes(&own.iter().map(|x| mersenne::reduce(x + by)).collect::<Vec<_>>())
        };
        for end in attacked(2, &VALUES, moved) {
            assert_eq!(end.expect("nothing to notice"), wanted());
        }
        for t in [1, 2, 3] {
            for end in attacked(t, &VALUES, |_, own| planes(own)) {
                assert_eq!(end.expect("all are honest"), wanted());
            }
        }
    }

    /// The second representation of zero: of public zeros all weighted shares are zero, and those who deviate deal `p`.
    #[test]
    fn both_representations_of_zero_are_right() {
        for t in [1, 2, 3] {
            for rest in [0u64, 1, 12345, 1 << 39, (1 << 60) - 1] {
                let ends = run(t, |p| -> Result<Vec<u64>> {
                    let me = p.me();
                    // Parties beyond those who deviate have no part in `rest` but one.
                    let dealt = |_: &[u64]| match me {
                        me if me < t => planes(&[mersenne::P]),
                        _ => planes(&[rest]),
                    };
                    let pair = integers_in(p, &[rest], dealt)?;
                    let sum = added(p, pair, 59)?;
                    let carries = carries(p, &sum, 59)?;
                    let bits = xor(p, &sum.pass, &carries)?;
                    let all = Tensor::concat_rows(&[&bits, &sum.wraps]);
                    let opened = p.open(&all, Recipients::ALL)?.expect("to all");
                    Ok(opened.data().iter().map(|v| v.to_u64()).collect())
                });
                for end in ends {
                    let bits = end.expect("zeros are bits of the right sum");
                    assert!((0..59).all(|place| bits[place] == rest >> place & 1), "{rest}, t = {t}");
                    assert_eq!(bits[59], 1, "beyond p once, as the sum of two integers");
                }
            }
        }
    }
}
