//! Generated circuits over unsigned numbers, lowest bit first.

use crate::boolean::Circuit;
use crate::build::{Bit, Builder, ONE, ZERO};

/// `a + b + carry`, as wide as `a`, and the carry out: one AND a bit.
pub fn add(c: &mut Builder, a: &[Bit], b: &[Bit], carry: Bit) -> (Vec<Bit>, Bit) {
    let (mut sum, mut carry) = (Vec::with_capacity(a.len()), carry);
    for (a, b) in a.iter().zip(b) {
        let (ac, bc) = (c.xor(*a, carry), c.xor(*b, carry));
        sum.push(c.xor(ac, *b));
        let both = c.and(ac, bc);
        carry = c.xor(both, carry);
    }
    (sum, carry)
}

/// `a - b` modulo the width, and whether `a >= b`.
pub fn subtract(c: &mut Builder, a: &[Bit], b: &[Bit]) -> (Vec<Bit>, Bit) {
    let inverted: Vec<Bit> = b.iter().map(|b| c.not(*b)).collect();
    add(c, a, &inverted, ONE)
}

/// `a < b`.
pub fn less(c: &mut Builder, a: &[Bit], b: &[Bit]) -> Bit {
    let reaches = subtract(c, a, b).1;
    c.not(reaches)
}

/// `a b`, as wide as both together: school multiplication.
pub fn multiply(c: &mut Builder, a: &[Bit], b: &[Bit]) -> Vec<Bit> {
    let mut product = vec![ZERO; a.len() + b.len()];
    for (i, b) in b.iter().enumerate() {
        let row: Vec<Bit> = a.iter().map(|a| c.and(*a, *b)).collect();
        let (sum, carry) = add(c, &product[i..i + a.len()], &row, ZERO);
        product[i..i + a.len()].copy_from_slice(&sum);
        product[i + a.len()] = carry;
    }
    product
}

/// Quotient and remainder of `a / b` by restoring division; of a division by zero all ones and `a`.
pub fn divide(c: &mut Builder, a: &[Bit], b: &[Bit]) -> (Vec<Bit>, Vec<Bit>) {
    let width = b.len() + 1;
    let divisor: Vec<Bit> = b.iter().copied().chain([ZERO]).collect();
    let (mut quotient, mut rest) = (vec![ZERO; a.len()], vec![ZERO; width]);
    for i in (0..a.len()).rev() {
        rest.rotate_right(1);
        rest[0] = a[i];
        let (less_divisor, reaches) = subtract(c, &rest, &divisor);
        rest = c.choose_all(reaches, &less_divisor, &rest);
        quotient[i] = reaches;
    }
    rest.truncate(b.len());
    (quotient, rest)
}

/// The position of the largest of some values, the first of equals; and that value.
pub fn argmax(c: &mut Builder, values: &[Vec<Bit>]) -> (Vec<Bit>, Vec<Bit>) {
    let width = values.len().next_power_of_two().ilog2().max(1) as usize;
    let mut best = (crate::build::number(0, width), values[0].clone());
    for (i, value) in values.iter().enumerate().skip(1) {
        let larger = less(c, &best.1, value);
        best.0 = c.choose_all(larger, &crate::build::number(i as u64, width), &best.0);
        best.1 = c.choose_all(larger, value, &best.1);
    }
    best
}

/// A generated circuit by name and width: `add`, `sub`, `mul` (low half), `div`, `less`, each of two inputs; `None` for other names.
pub fn named(name: &str, width: usize) -> Option<Circuit> {
    let mut c = Builder::new();
    let (a, b) = (c.input(width), c.input(width));
    let outputs = match name {
        "add" => vec![add(&mut c, &a, &b, ZERO).0],
        "sub" => vec![subtract(&mut c, &a, &b).0],
        "mul" => {
            // Only what reaches the low half is computed.
            let mut product = vec![ZERO; width];
            for (i, b) in b.iter().enumerate() {
                let row: Vec<Bit> = a[..width - i].iter().map(|a| c.and(*a, *b)).collect();
                let sum = add(&mut c, &product[i..], &row, ZERO).0;
                product[i..].copy_from_slice(&sum);
            }
            vec![product]
        }
        "div" => {
            let (quotient, rest) = divide(&mut c, &a, &b);
            vec![quotient, rest]
        }
        "less" => vec![vec![less(&mut c, &a, &b)]],
        _ => return None,
    };
    Some(c.finish(&outputs))
}
