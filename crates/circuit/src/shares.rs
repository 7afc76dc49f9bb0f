//! Circuits between two parties over values that they share: what they hold goes in, new shares come out, and neither party sees a value.
//! Numbers are shared additively modulo 2^64, words of bits by XOR.

use crate::arithmetic::{add, subtract};
use crate::boolean::Circuit;
use crate::build::{Bit, Builder, ZERO, number};

/// Bits of a share of a number.
pub const SHARE_BITS: usize = 64;

/// A circuit over shared values.
#[derive(Clone, Debug)]
pub struct OnShares {
    /// The circuit: see [`OnShares::mixed`].
    pub circuit: Circuit,
    /// Numbers that go in.
    pub numbers: usize,
    /// Low bits of each of them that do.
    pub width: usize,
    /// Widths of the words that go in.
    pub words: Vec<usize>,
    /// Numbers that come out.
    pub results: usize,
    /// Widths of the words that come out.
    pub outputs: Vec<usize>,
}

/// Values in a circuit: numbers, and words.
pub type Values = (Vec<Vec<Bit>>, Vec<Vec<Bit>>);

impl OnShares {
    /// `body` over the low `width` bits of numbers, with results of 64 bits: [`OnShares::mixed`] without words.
    ///
    /// # Panics
    /// As there.
    pub fn new(
        width: usize,
        numbers: usize,
        results: usize,
        body: impl FnOnce(&mut Builder, &[Vec<Bit>]) -> Vec<Vec<Bit>>,
    ) -> OnShares {
        OnShares::mixed((width, numbers), &[], results, &[], |c, numbers, _| (body(c, numbers), Vec::new()))
    }

    /// `body` over the low `width` bits of numbers, of which each party holds a share modulo 2^64, and over words, of which each holds a share by
    /// XOR. The first party's input: its shares of the numbers, one after the other, of the words, then a mask for each result; the second's: its
    /// shares. Outputs: results less masks, then words. The masks are the first one's shares of the results. The words must reach neither party
    /// as they are: under garbling the colours of the two labels are its shares.
    ///
    /// # Panics
    /// If `body` gives other than `results` numbers of 64 bits and words of these widths, or numbers have more than 64 bits.
    pub fn mixed(
        (width, numbers): (usize, usize),
        words: &[usize],
        results: usize,
        outputs: &[usize],
        body: impl FnOnce(&mut Builder, &[Vec<Bit>], &[Vec<Bit>]) -> Values,
    ) -> OnShares {
        assert!(width <= SHARE_BITS, "numbers have at most {SHARE_BITS} bits");
        let mut c = Builder::new();
        let own = numbers * width + words.iter().sum::<usize>();
        let first = c.input(own + results * SHARE_BITS);
        let second = c.input(own);
        let (shares, masks) = first.split_at(own);
        let (mut plain, mut joined, mut at) = (Vec::new(), Vec::new(), 0);
        for _ in 0..numbers {
            plain.push(add(&mut c, &shares[at..at + width], &second[at..at + width], ZERO).0);
            at += width;
        }
        for word in words {
            joined.push(c.xor_all(&shares[at..at + word], &second[at..at + word]));
            at += word;
        }
        let (found, bits) = body(&mut c, &plain, &joined);
        assert!(found.len() == results && found.iter().all(|r| r.len() == SHARE_BITS), "{results} results of 64 bits");
        assert!(bits.iter().map(Vec::len).eq(outputs.iter().copied()), "words of the declared widths");
        let masked =
            found.iter().zip(masks.chunks_exact(SHARE_BITS)).map(|(r, mask)| subtract(&mut c, r, mask).0).collect();
        let all: Vec<Vec<Bit>> = [masked, bits].concat();
        OnShares { circuit: c.finish(&all), numbers, width, words: words.to_vec(), results, outputs: outputs.to_vec() }
    }
}

/// A table of up to `2^width` entries by a word of `width` bits, as a word of `out` bits; 0 beyond the entries. At most `out` ANDs for every
/// two entries.
pub fn table(width: usize, out: usize, entries: &[u64]) -> OnShares {
    OnShares::mixed((0, 0), &[width], 0, &[out], |c, _, words| (Vec::new(), vec![look_up(c, &words[0], out, entries)]))
}

/// The same as a number.
pub fn table_to_number(width: usize, entries: &[u64]) -> OnShares {
    OnShares::mixed((0, 0), &[width], 1, &[], |c, _, words| {
        (vec![look_up(c, &words[0], SHARE_BITS, entries)], Vec::new())
    })
}

/// Bit after bit of the place, halves of what is left are chosen between; with the lowest bit first the first choices are between constants
/// and cost nothing.
fn look_up(c: &mut Builder, place: &[Bit], out: usize, entries: &[u64]) -> Vec<Bit> {
    let entry = |i: usize| number(entries.get(i).copied().unwrap_or(0), out);
    let mut left: Vec<Vec<Bit>> = (0..1 << place.len()).map(entry).collect();
    for bit in place {
        left = left.chunks_exact(2).map(|pair| c.choose_all(*bit, &pair[1], &pair[0])).collect();
    }
    left.remove(0)
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
    OnShares::new(width, 2, 1, |c, numbers| {
        let ((x, below), (y, other)) = (magnitude(c, &numbers[0]), magnitude(c, &numbers[1]));
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
    OnShares::new(width, numbers, 1, |c, numbers| {
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

    fn bits(word: u64, width: usize) -> impl Iterator<Item = bool> {
        (0..width).map(move |i| word >> i & 1 == 1)
    }

    /// What the parties' shares come to afterwards: numbers, then words.
    fn run(on_shares: &OnShares, numbers: &[i64], words: &[u64], seed: u64) -> (Vec<i64>, Vec<u64>) {
        let mut state = seed;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state ^ state >> 31
        };
        let sums: Vec<(u64, u64)> =
            numbers.iter().map(|x| (*x as u64, random())).map(|(x, s)| (x.wrapping_sub(s), s)).collect();
        let xors: Vec<(u64, u64)> = words.iter().map(|x| (*x, random())).map(|(x, s)| (x ^ s, s)).collect();
        let masks: Vec<u64> = (0..on_shares.results).map(|_| random()).collect();
        let mut inputs: Vec<bool> = Vec::new();
        let pick = [|pair: &(u64, u64)| pair.0, |pair: &(u64, u64)| pair.1];
        for (party, pick) in pick.into_iter().enumerate() {
            inputs.extend(sums.iter().flat_map(|pair| bits(pick(pair), on_shares.width)));
            inputs.extend(xors.iter().zip(&on_shares.words).flat_map(|(pair, width)| bits(pick(pair), *width)));
            if party == 0 {
                inputs.extend(masks.iter().flat_map(|mask| bits(*mask, 64)));
            }
        }
        let out = on_shares.circuit.evaluate_bits(&inputs);
        let word = |bits: &[bool]| bits.iter().enumerate().fold(0u64, |w, (i, b)| w | u64::from(*b) << i);
        let (results, mut rest) = out.split_at(64 * on_shares.results);
        let numbers = results.chunks_exact(64).zip(&masks).map(|(bits, mask)| word(bits).wrapping_add(*mask) as i64);
        let take = |width: &usize| word(rest.split_off(..*width).expect("declared widths"));
        (numbers.collect(), on_shares.outputs.iter().map(take).collect())
    }

    /// The S-box of PRESENT (Bogdanov et al., CHES 2007, table 1).
    const PRESENT: [u64; 16] = [12, 5, 6, 11, 9, 0, 10, 13, 3, 14, 15, 8, 4, 7, 1, 2];

    #[test]
    fn tables_are_looked_up_by_words() {
        let (to_word, to_number) = (table(4, 4, &PRESENT), table_to_number(4, &PRESENT[..11]));
        assert!(to_word.circuit.ands() <= 4 * 7, "{} ANDs", to_word.circuit.ands());
        for (place, entry) in PRESENT.iter().enumerate() {
            assert_eq!(run(&to_word, &[], &[place as u64], place as u64 + 1), (vec![], vec![*entry]));
            let short = if place < 11 { *entry as i64 } else { 0 };
            assert_eq!(run(&to_number, &[], &[place as u64], place as u64 + 9), (vec![short], vec![]));
        }
    }

    #[test]
    fn quotients_of_shared_numbers() {
        let circuit = quotient(40, 16);
        let numbers: [(i64, i64); 7] =
            [(3 << 16, 2 << 16), (-(3 << 16), 2 << 16), (1, 3 << 16), (-5, -7), (0, 9), (1 << 20, -(1 << 16)), (77, 1)];
        for (seed, (x, y)) in numbers.into_iter().enumerate() {
            let want = (i128::from(x) * (1 << 16) / i128::from(y)) as i64;
            assert_eq!(run(&circuit, &[x, y], &[], seed as u64 + 1).0, [want], "{x} / {y}");
        }
    }

    #[test]
    fn the_largest_of_shared_numbers() {
        let circuit = argmax(32, 5);
        for (values, at) in [([3, -7, 12, 12, 0], 2), ([-1, -2, -3, -4, -5], 0), ([0, 0, 0, 0, 1], 4)] {
            assert_eq!(run(&circuit, &values, &[], 9).0, [at], "{values:?}");
        }
    }
}
