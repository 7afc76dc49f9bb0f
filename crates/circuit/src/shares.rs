//! Circuits between two parties over numbers that are shared additively: what they hold goes in, new shares come out, and neither party sees
//! a number.

use crate::arithmetic::{add, subtract};
use crate::boolean::Circuit;
use crate::build::{Bit, Builder, ZERO};

/// `body` over numbers of `width` bits, of which each party holds a share modulo `2^width`. The first party's input: its shares of the numbers, one
/// after the other, then a mask for each result; the second's: its shares. Outputs: results less masks, for the second party alone; the
/// masks are the first one's shares of the results.
///
/// # Panics
/// If `body` gives other than `results` numbers of `width` bits.
pub fn on_shares(
    width: usize,
    numbers: usize,
    results: usize,
    body: impl FnOnce(&mut Builder, &[Vec<Bit>]) -> Vec<Vec<Bit>>,
) -> Circuit {
    let mut c = Builder::new();
    let first = c.input((numbers + results) * width);
    let second = c.input(numbers * width);
    let (shares, masks) = first.split_at(numbers * width);
    let pairs = shares.chunks_exact(width).zip(second.chunks_exact(width));
    let plain: Vec<Vec<Bit>> = pairs.map(|(a, b)| add(&mut c, a, b, ZERO).0).collect();
    let found = body(&mut c, &plain);
    assert!(found.len() == results && found.iter().all(|r| r.len() == width), "{results} results of {width} bits");
    let masked: Vec<Vec<Bit>> =
        found.iter().zip(masks.chunks_exact(width)).map(|(r, mask)| subtract(&mut c, r, mask).0).collect();
    c.finish(&masked)
}

/// The absolute value of a number in two's complement, and its sign.
fn magnitude(c: &mut Builder, x: &[Bit]) -> (Vec<Bit>, Bit) {
    let sign = *x.last().expect("a number has a sign");
    let flipped: Vec<Bit> = x.iter().map(|bit| c.xor(*bit, sign)).collect();
    let zero = vec![ZERO; x.len()];
    (add(c, &flipped, &zero, sign).0, sign)
}

/// `x 2^shift / y` rounded towards zero, numbers in two's complement: a quotient of numbers with `shift` fraction bits. Of a division by zero all
/// ones below the sign. The quotient must fit `width` bits.
pub fn quotient(width: usize, shift: usize) -> Circuit {
    on_shares(width, 2, 1, |c, numbers| {
        let ((x, below), (y, other)) = (magnitude(c, &numbers[0]), magnitude(c, &numbers[1]));
        let scaled: Vec<Bit> = std::iter::repeat_n(ZERO, shift).chain(x).collect();
        let (mut quotient, _) = crate::arithmetic::divide(c, &scaled, &y);
        quotient.truncate(width);
        let sign = c.xor(below, other);
        let flipped: Vec<Bit> = quotient.iter().map(|bit| c.xor(*bit, sign)).collect();
        vec![add(c, &flipped, &vec![ZERO; width], sign).0]
    })
}

/// The position of the largest of some numbers in two's complement, the first of equals.
pub fn argmax(width: usize, numbers: usize) -> Circuit {
    on_shares(width, numbers, 1, |c, numbers| {
        // With the sign inverted, two's complement compares as unsigned numbers do.
        let shifted: Vec<Vec<Bit>> = numbers
            .iter()
            .map(|x| {
                let (sign, low) = x.split_last().expect("a number has a sign");
                low.iter().copied().chain([c.not(*sign)]).collect()
            })
            .collect();
        let (mut position, _) = crate::arithmetic::argmax(c, &shifted);
        position.resize(width, ZERO);
        vec![position]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(words: &[u64], width: usize) -> Vec<bool> {
        words.iter().flat_map(|w| (0..width).map(move |i| w >> i & 1 == 1)).collect()
    }

    /// What the parties' shares add up to afterwards.
    fn run(circuit: &Circuit, width: usize, numbers: &[i64], results: usize, seed: u64) -> Vec<i64> {
        let mut state = seed;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state ^ state >> 31
        };
        let second: Vec<u64> = numbers.iter().map(|_| random()).collect();
        let masks: Vec<u64> = (0..results).map(|_| random()).collect();
        let first = numbers.iter().zip(&second).map(|(x, s)| (*x as u64).wrapping_sub(*s)).chain(masks.iter().copied());
        let first: Vec<u64> = first.collect();
        let inputs: Vec<bool> = bits(&first, width).into_iter().chain(bits(&second, width)).collect();
        let out = circuit.evaluate_bits(&inputs);
        let word = |bits: &[bool]| bits.iter().enumerate().fold(0u64, |w, (i, b)| w | u64::from(*b) << i);
        let sum = |(bits, mask): (&[bool], &u64)| word(bits).wrapping_add(*mask);
        let signed = |x: u64| (x << (64 - width)) as i64 >> (64 - width);
        out.chunks_exact(width).zip(&masks).map(sum).map(signed).collect()
    }

    #[test]
    fn quotients_of_shared_numbers() {
        let circuit = quotient(40, 16);
        let numbers: [(i64, i64); 7] =
            [(3 << 16, 2 << 16), (-(3 << 16), 2 << 16), (1, 3 << 16), (-5, -7), (0, 9), (1 << 20, -(1 << 16)), (77, 1)];
        for (seed, (x, y)) in numbers.into_iter().enumerate() {
            let want = (i128::from(x) * (1 << 16) / i128::from(y)) as i64;
            assert_eq!(run(&circuit, 40, &[x, y], 1, seed as u64 + 1), [want], "{x} / {y}");
        }
    }

    #[test]
    fn the_largest_of_shared_numbers() {
        let circuit = argmax(32, 5);
        for (values, at) in [([3, -7, 12, 12, 0], 2), ([-1, -2, -3, -4, -5], 0), ([0, 0, 0, 0, 1], 4)] {
            assert_eq!(run(&circuit, 32, &values, 1, 9), [at], "{values:?}");
        }
    }
}
