//! One compression of SHA-256 (FIPS 180-4) as a circuit. Constants are computed: fractions of roots of the first primes.

use crate::arithmetic::add;
use crate::boolean::Circuit;
use crate::build::{Bit, Builder, ZERO, number};

type Word = Vec<Bit>;

fn primes() -> impl Iterator<Item = u64> {
    (2..).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0))
}

/// The first 32 bits of the fraction of `n^(1/degree)`: the largest `r` with `r^degree <= n 2^(32 degree)`, less its whole part.
fn root_fraction(n: u64, degree: u32) -> u64 {
    let mut root: u64 = 0;
    for bit in (0..40).rev() {
        let candidate = root | 1 << bit;
        if at_most(candidate, degree, n) {
            root = candidate;
        }
    }
    root & 0xffff_ffff
}

/// Whether `r^degree <= n 2^(32 degree)`, for roots below 2^40 and degrees 2 and 3.
fn at_most(r: u64, degree: u32, n: u64) -> bool {
    let r = u128::from(r);
    match degree {
        2 => r * r <= u128::from(n) << 64,
        // r^3 <= n 2^96, with r^2 below 2^80: compared in two halves.
        _ => {
            let square = r * r;
            let (high, low) = (square >> 48, square & ((1 << 48) - 1));
            let low = low * r;
            let top = high * r + (low >> 48);
            top < u128::from(n) << 48 || top == u128::from(n) << 48 && low & ((1 << 48) - 1) == 0
        }
    }
}

/// The initial state.
pub fn initial_state() -> [u32; 8] {
    let mut primes = primes();
    std::array::from_fn(|_| root_fraction(primes.next().expect("endless"), 2) as u32)
}

fn round_constants() -> Vec<u64> {
    primes().take(64).map(|p| root_fraction(p, 3)).collect()
}

fn rotate(word: &Word, by: usize) -> Word {
    (0..32).map(|i| word[(i + by) % 32]).collect()
}

fn shift(word: &Word, by: usize) -> Word {
    (0..32).map(|i| word.get(i + by).copied().unwrap_or(ZERO)).collect()
}

fn xor3(c: &mut Builder, x: &Word, y: &Word, z: &Word) -> Word {
    let xy = c.xor_all(x, y);
    c.xor_all(&xy, z)
}

fn sum(c: &mut Builder, words: &[&Word]) -> Word {
    words[1..].iter().fold(words[0].clone(), |total, word| add(c, &total, word, ZERO).0)
}

/// Message block (512 bits) and state (256 bits) in, new state out. Each is a sequence of 32-bit words, lowest bit first.
pub fn compression() -> Circuit {
    let mut c = Builder::new();
    let (block, state) = (c.input(512), c.input(256));
    let words = |bits: &[Bit]| -> Vec<Word> { bits.chunks(32).map(<[Bit]>::to_vec).collect() };
    let (mut schedule, state) = (words(&block), words(&state));
    for t in 16..64 {
        let sigma = |c: &mut Builder, w: &Word, a: usize, b: usize, s: usize| {
            let (a, b, s) = (rotate(w, a), rotate(w, b), shift(w, s));
            xor3(c, &a, &b, &s)
        };
        let (low, high) = (sigma(&mut c, &schedule[t - 15], 7, 18, 3), sigma(&mut c, &schedule[t - 2], 17, 19, 10));
        let next = sum(&mut c, &[&high, &schedule[t - 7], &low, &schedule[t - 16]]);
        schedule.push(next);
    }
    let mut v = state.clone();
    for (word, constant) in schedule.iter().zip(round_constants()) {
        let big = |c: &mut Builder, w: &Word, by: [usize; 3]| {
            let [a, b, d] = by.map(|by| rotate(w, by));
            xor3(c, &a, &b, &d)
        };
        let s1 = big(&mut c, &v[4], [6, 11, 25]);
        let choice = (0..32).map(|i| c.choose(v[4][i], v[5][i], v[6][i])).collect();
        let t1 = sum(&mut c, &[&v[7], &s1, &choice, &number(constant, 32), word]);
        let s0 = big(&mut c, &v[0], [2, 13, 22]);
        // maj(a, b, c) = ((a ^ b) & (a ^ c)) ^ a: one AND a bit.
        let majority = (0..32).map(|i| {
            let (ab, ac) = (c.xor(v[0][i], v[1][i]), c.xor(v[0][i], v[2][i]));
            let both = c.and(ab, ac);
            c.xor(both, v[0][i])
        });
        let majority: Word = majority.collect();
        let t2 = sum(&mut c, &[&s0, &majority]);
        v.rotate_right(1);
        v[4] = sum(&mut c, &[&v[4], &t1]);
        v[0] = sum(&mut c, &[&t1, &t2]);
    }
    let new: Vec<Bit> = v.iter().zip(&state).flat_map(|(v, s)| add(&mut c, v, s, ZERO).0).collect();
    c.finish(&[new])
}
