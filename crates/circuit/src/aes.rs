//! AES-128 (FIPS 197) as a circuit. The inverse in the S-box is `x^254` by four multiplications in GF(2^8): simple, and a few times as many
//! ANDs as the smallest known S-box (32 a byte).

use crate::boolean::Circuit;
use crate::build::{Bit, Builder, ONE, ZERO};

type Byte = Vec<Bit>;

/// Reduces a polynomial of degree below 15 modulo `x^8 + x^4 + x^3 + x + 1`.
fn reduce(c: &mut Builder, mut wide: Vec<Bit>) -> Byte {
    for i in (8..wide.len()).rev() {
        for below in [i - 8, i - 7, i - 5, i - 4] {
            wide[below] = c.xor(wide[below], wide[i]);
        }
    }
    wide.truncate(8);
    wide
}

fn multiply(c: &mut Builder, a: &Byte, b: &Byte) -> Byte {
    let mut wide = vec![ZERO; 15];
    for (i, j) in (0..8).flat_map(|i| (0..8).map(move |j| (i, j))) {
        let both = c.and(a[i], b[j]);
        wide[i + j] = c.xor(wide[i + j], both);
    }
    reduce(c, wide)
}

fn square(c: &mut Builder, a: &Byte, times: usize) -> Byte {
    let mut a = a.clone();
    for _ in 0..times {
        let wide = (0..15).map(|i| if i % 2 == 0 { a[i / 2] } else { ZERO }).collect();
        a = reduce(c, wide);
    }
    a
}

fn substitute(c: &mut Builder, x: &Byte) -> Byte {
    // x^3, x^15, x^254 = (x^15)^16 x^12 x^2
    let x2 = square(c, x, 1);
    let x3 = multiply(c, &x2, x);
    let x12 = square(c, &x3, 2);
    let x15 = multiply(c, &x12, &x3);
    let x240 = square(c, &x15, 4);
    let x252 = multiply(c, &x240, &x12);
    let inverse = multiply(c, &x252, &x2);
    let affine = |c: &mut Builder, i: usize| {
        let bits = [4, 5, 6, 7].map(|by| inverse[(i + by) % 8]);
        let sum = bits.iter().fold(inverse[i], |sum, bit| c.xor(sum, *bit));
        if 0x63 >> i & 1 == 1 { c.xor(sum, ONE) } else { sum }
    };
    (0..8).map(|i| affine(c, i)).collect()
}

/// `x` times 2.
fn double(c: &mut Builder, x: &Byte) -> Byte {
    let wide: Vec<Bit> = std::iter::once(ZERO).chain(x.iter().copied()).collect();
    reduce(c, wide)
}

fn mix(c: &mut Builder, column: &[Byte]) -> Vec<Byte> {
    let all = column[1..].iter().fold(column[0].clone(), |sum, byte| c.xor_all(&sum, byte));
    let mixed = |c: &mut Builder, i: usize| {
        let pair = c.xor_all(&column[i], &column[(i + 1) % 4]);
        let twice = double(c, &pair);
        let sum = c.xor_all(&twice, &all);
        c.xor_all(&sum, &column[i])
    };
    (0..4).map(|i| mixed(c, i)).collect()
}

/// Key (128 bits) and block (128 bits) in, encrypted block out. Each is sixteen bytes in their order, lowest bit of each first.
pub fn encrypt() -> Circuit {
    let mut c = Builder::new();
    let (key, block) = (c.input(128), c.input(128));
    let bytes = |bits: &[Bit]| -> Vec<Byte> { bits.chunks(8).map(<[Bit]>::to_vec).collect() };
    let (mut key, mut state) = (bytes(&key), bytes(&block));
    let mut constant = 1u8;
    state = state.iter().zip(&key).map(|(s, k)| c.xor_all(s, k)).collect();
    for round in 1..=10 {
        // The next round key.
        let rotated = [13, 14, 15, 12].map(|i| key[i].clone());
        let mut word: Vec<Byte> = rotated.iter().map(|byte| substitute(&mut c, byte)).collect();
        word[0] = (0..8).map(|i| c.xor(word[0][i], Bit::Known(constant >> i & 1 == 1))).collect();
        for (i, byte) in key.iter_mut().enumerate() {
            word[i % 4] = c.xor_all(byte, &word[i % 4]);
            *byte = word[i % 4].clone();
        }
        constant = constant << 1 ^ if constant & 0x80 == 0 { 0 } else { 0x1b };
        // Substitute, shift rows, mix columns, add the key.
        let substituted: Vec<Byte> = state.iter().map(|byte| substitute(&mut c, byte)).collect();
        let shifted: Vec<Byte> = (0..16).map(|i| substituted[(i + 4 * (i % 4)) % 16].clone()).collect();
        let mixed: Vec<Byte> = match round {
            10 => shifted,
            _ => shifted.chunks(4).flat_map(|column| mix(&mut c, column)).collect(),
        };
        state = mixed.iter().zip(&key).map(|(s, k)| c.xor_all(s, k)).collect();
    }
    c.finish(&[state.concat()])
}
