//! Circuits between two parties over numbers that are shared additively: what they hold goes in, new shares come out, and neither party sees
//! a number.

use crate::arithmetic::{add, subtract};
use crate::boolean::Circuit;
use crate::build::{Bit, Builder, ZERO};

/// Bits of a share.
pub const SHARE_BITS: usize = 64;

/// A circuit over shared numbers.
#[derive(Clone, Debug)]
pub struct OnShares {
    /// The circuit: see [`OnShares::new`].
    pub circuit: Circuit,
    /// Numbers that go in.
    pub numbers: usize,
    /// Numbers that come out.
    pub results: usize,
}

impl OnShares {
    /// `body` over numbers of 64 bits, of which each party holds a share modulo 2^64. The first party's input: its shares of the numbers, one after
    /// the other, then a mask for each result; the second's: its shares. Outputs: results less masks, for the second party alone; the masks are
    /// the first one's shares of the results.
    ///
    /// # Panics
    /// If `body` gives other than `results` numbers of 64 bits.
    pub fn new(
        numbers: usize,
        results: usize,
        body: impl FnOnce(&mut Builder, &[Vec<Bit>]) -> Vec<Vec<Bit>>,
    ) -> OnShares {
        let mut c = Builder::new();
        let first = c.input((numbers + results) * SHARE_BITS);
        let second = c.input(numbers * SHARE_BITS);
        let (shares, masks) = first.split_at(numbers * SHARE_BITS);
        let pairs = shares.chunks_exact(SHARE_BITS).zip(second.chunks_exact(SHARE_BITS));
        let plain: Vec<Vec<Bit>> = pairs.map(|(a, b)| add(&mut c, a, b, ZERO).0).collect();
        let found = body(&mut c, &plain);
        assert!(found.len() == results && found.iter().all(|r| r.len() == SHARE_BITS), "{results} results of 64 bits");
        let masked: Vec<Vec<Bit>> =
            found.iter().zip(masks.chunks_exact(SHARE_BITS)).map(|(r, mask)| subtract(&mut c, r, mask).0).collect();
        OnShares { circuit: c.finish(&masked), numbers, results }
    }
}

/// The absolute value of a number in two's complement, and its sign.
fn magnitude(c: &mut Builder, x: &[Bit]) -> (Vec<Bit>, Bit) {
    let sign = *x.last().expect("a number has a sign");
    let flipped: Vec<Bit> = x.iter().map(|bit| c.xor(*bit, sign)).collect();
    let zero = vec![ZERO; x.len()];
    (add(c, &flipped, &zero, sign).0, sign)
}

/// `x 2^shift / y` rounded towards zero, numbers in two's complement: a quotient of numbers with `shift` fraction bits. Of the numbers and of the
/// quotient only the low `width` bits count; of a division by zero all ones below the sign.
pub fn quotient(width: usize, shift: usize) -> OnShares {
    OnShares::new(2, 1, |c, numbers| {
        let ((x, below), (y, other)) = (magnitude(c, &numbers[0][..width]), magnitude(c, &numbers[1][..width]));
        let scaled: Vec<Bit> = std::iter::repeat_n(ZERO, shift).chain(x).collect();
        let (mut quotient, _) = crate::arithmetic::divide(c, &scaled, &y);
        // Above its own bits a quotient has none, so that it is positive before it gets its sign.
        quotient.truncate(width - 1);
        quotient.resize(SHARE_BITS, ZERO);
        let sign = c.xor(below, other);
        let flipped: Vec<Bit> = quotient.iter().map(|bit| c.xor(*bit, sign)).collect();
        vec![add(c, &flipped, &[ZERO; SHARE_BITS], sign).0]
    })
}

/// The position of the largest of some numbers in two's complement of `width` bits, the first of equals.
pub fn argmax(width: usize, numbers: usize) -> OnShares {
    OnShares::new(numbers, 1, |c, numbers| {
        // With the sign inverted, two's complement compares as unsigned numbers do.
        let mut shifted = Vec::with_capacity(numbers.len());
        for x in numbers {
            let (low, sign) = (&x[..width - 1], c.not(x[width - 1]));
            shifted.push(low.iter().copied().chain([sign]).collect::<Vec<Bit>>());
        }
        let (mut position, _) = crate::arithmetic::argmax(c, &shifted);
        position.resize(SHARE_BITS, ZERO);
        vec![position]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(word: u64) -> impl Iterator<Item = bool> {
        (0..64).map(move |i| word >> i & 1 == 1)
    }

    /// What the parties' shares add up to afterwards.
    fn run(on_shares: &OnShares, numbers: &[i64], seed: u64) -> Vec<i64> {
        let mut state = seed;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state ^ state >> 31
        };
        let second: Vec<u64> = numbers.iter().map(|_| random()).collect();
        let masks: Vec<u64> = (0..on_shares.results).map(|_| random()).collect();
        let first = numbers.iter().zip(&second).map(|(x, s)| (*x as u64).wrapping_sub(*s)).chain(masks.iter().copied());
        let inputs: Vec<bool> = first.chain(second.iter().copied()).flat_map(bits).collect();
        let out = on_shares.circuit.evaluate_bits(&inputs);
        let word = |bits: &[bool]| bits.iter().enumerate().fold(0u64, |w, (i, b)| w | u64::from(*b) << i);
        out.chunks_exact(64).zip(&masks).map(|(bits, mask)| word(bits).wrapping_add(*mask) as i64).collect()
    }

    #[test]
    fn quotients_of_shared_numbers() {
        let circuit = quotient(40, 16);
        let numbers: [(i64, i64); 7] =
            [(3 << 16, 2 << 16), (-(3 << 16), 2 << 16), (1, 3 << 16), (-5, -7), (0, 9), (1 << 20, -(1 << 16)), (77, 1)];
        for (seed, (x, y)) in numbers.into_iter().enumerate() {
            let want = (i128::from(x) * (1 << 16) / i128::from(y)) as i64;
            assert_eq!(run(&circuit, &[x, y], seed as u64 + 1), [want], "{x} / {y}");
        }
    }

    #[test]
    fn the_largest_of_shared_numbers() {
        let circuit = argmax(32, 5);
        for (values, at) in [([3, -7, 12, 12, 0], 2), ([-1, -2, -3, -4, -5], 0), ([0, 0, 0, 0, 1], 4)] {
            assert_eq!(run(&circuit, &values, 9), [at], "{values:?}");
        }
    }
}
