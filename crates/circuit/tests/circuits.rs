//! Generated circuits against the functions they compute, and files of circuits.

use privity_circuit::boolean::Malformed;
use privity_circuit::bristol::{ParseError, parse, write};
use privity_circuit::build::number;
use privity_circuit::{Bit, Builder, Circuit, Gate, aes, arithmetic, sha256};
use proptest::prelude::*;

fn bits(value: u64, width: usize) -> Vec<bool> {
    (0..width).map(|i| value >> i & 1 == 1).collect()
}

fn value(bits: &[bool]) -> u64 {
    bits.iter().rev().fold(0, |sum, bit| sum << 1 | u64::from(*bit))
}

fn binary(circuit: &Circuit, a: u64, b: u64) -> Vec<u64> {
    let width = circuit.inputs()[0];
    let out = circuit.evaluate_bits(&[bits(a, width), bits(b, width)].concat());
    let mut rest = &out[..];
    circuit.outputs().iter().map(|width| value(rest.split_off(..*width).expect("all outputs"))).collect()
}

proptest! {
    #[test]
    fn arithmetic_is_that_of_machine_words(a in any::<u64>(), b in any::<u64>(), narrow in 0u32..64) {
        let b = b >> narrow;
        let circuit = |name| arithmetic::named(name, 64).expect("known");
        prop_assert_eq!(binary(&circuit("add"), a, b), [a.wrapping_add(b)]);
        prop_assert_eq!(binary(&circuit("sub"), a, b), [a.wrapping_sub(b)]);
        prop_assert_eq!(binary(&circuit("mul"), a, b), [a.wrapping_mul(b)]);
        prop_assert_eq!(binary(&circuit("less"), a, b), [u64::from(a < b)]);
        let divided = [a.checked_div(b).unwrap_or(u64::MAX), a.checked_rem(b).unwrap_or(a)];
        prop_assert_eq!(binary(&circuit("div"), a, b), divided);
    }

    #[test]
    fn the_largest_is_found(values in prop::collection::vec(0u64..1000, 1..9)) {
        let mut c = Builder::new();
        let inputs: Vec<Vec<Bit>> = values.iter().map(|_| c.input(10)).collect();
        let (position, largest) = arithmetic::argmax(&mut c, &inputs);
        let width = position.len();
        let circuit = c.finish(&[position, largest]);
        let out = circuit.evaluate_bits(&values.iter().flat_map(|v| bits(*v, 10)).collect::<Vec<_>>());
        let max = *values.iter().max().expect("not empty");
        let first = values.iter().position(|v| *v == max).expect("it is there");
        prop_assert_eq!((value(&out[..width]), value(&out[width..])), (first as u64, max));
    }
}

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hexadecimal")).collect()
}

/// FIPS 197, appendices B and C.1.
#[test]
fn aes_encrypts_the_known_answers() {
    let circuit = aes::encrypt();
    let cases = [
        ("2b7e151628aed2a6abf7158809cf4f3c", "3243f6a8885a308d313198a2e0370734", "3925841d02dc09fbdc118597196a0b32"),
        ("000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff", "69c4e0d86a7b0430d8cdb78070b4c55a"),
    ];
    for (key, block, encrypted) in cases {
        let input: Vec<bool> = [bytes(key), bytes(block)].concat().iter().flat_map(|b| bits((*b).into(), 8)).collect();
        let out: Vec<u8> = circuit.evaluate_bits(&input).chunks(8).map(|b| value(b) as u8).collect();
        assert_eq!(out, bytes(encrypted));
    }
}

/// FIPS 180-4: the digest of "abc".
#[test]
fn sha256_digests_the_known_answer() {
    let circuit = sha256::compression();
    let mut block = [0u8; 64];
    block[..4].copy_from_slice(b"abc\x80");
    block[63] = 24;
    let words = block.chunks(4).map(|w| u32::from_be_bytes(w.try_into().expect("four bytes")));
    let input: Vec<bool> = words.chain(sha256::initial_state()).flat_map(|w| bits(w.into(), 32)).collect();
    let digest: String = circuit.evaluate_bits(&input).chunks(32).map(|w| format!("{:08x}", value(w))).collect();
    assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn circuits_survive_being_written_and_read() {
    let mut c = Builder::new();
    let (a, b) = (c.input(3), c.input(2));
    let product = arithmetic::multiply(&mut c, &a, &b);
    let circuit = c.finish(&[product, number(2, 3), vec![a[1]]]);
    let text = write(&circuit);
    assert!(text.contains(" EQ\n") && text.contains(" EQW\n"), "{text}");
    assert_eq!(parse(&text).expect("its own text"), circuit);
    for large in [aes::encrypt(), sha256::compression(), arithmetic::named("div", 64).expect("known")] {
        assert_eq!(parse(&write(&large)).expect("its own text"), large);
    }
}

#[test]
fn both_formats_are_read() {
    // A half adder: sum, carry.
    let old = "2 4\n1 1 2\n\n2 1 0 1 2 XOR\n2 1 0 1 3 AND\n";
    let new = "2 4\n2 1 1\n2 1 1\n\n2 1 0 1 2 XOR\n2 1 0 1 3 AND\n";
    let many = "1 6\n1 4\n1 2\n4 2 0 1 2 3 4 5 MAND\n";
    let (old, new, many) = (parse(old).expect("old"), parse(new).expect("new"), parse(many).expect("many"));
    assert_eq!((old.inputs(), old.outputs()), (&[1, 1][..], &[2][..]));
    assert_eq!((new.outputs(), new.gates()), (&[1, 1][..], old.gates()));
    assert_eq!(many.gates(), [Gate::And(0, 2, 4), Gate::And(1, 3, 5)]);
    for (a, b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        assert_eq!(value(&old.evaluate_bits(&[a == 1, b == 1])), a + b);
    }
}

#[test]
fn what_is_no_circuit_is_refused_by_line_or_gate() {
    let refused = |text: &str| parse(text).expect_err(text);
    assert!(matches!(refused(""), ParseError::Line { .. }));
    assert!(matches!(refused("1 2 3\n"), ParseError::Line { line: 1, .. }));
    assert!(matches!(refused("1 3\n1 1 1\n2 1 0 1 2 NAND\n"), ParseError::Line { line: 3, .. }));
    assert!(matches!(refused("1 3\n1 1 1\n2 1 0 1 XOR\n"), ParseError::Line { line: 3, .. }));
    assert!(matches!(refused("2 3\n1 1 1\n2 1 0 1 2 XOR\n"), ParseError::Gates { announced: 2, found: 1 }));
    let malformed = |text: &str| match refused(text) {
        ParseError::Malformed(problem) => problem,
        other => panic!("{other}"),
    };
    assert_eq!(malformed("1 3\n1 1 1\n2 1 0 2 2 XOR\n"), Malformed::Undriven { gate: 1, wire: 2 });
    assert_eq!(malformed("1 3\n1 1 1\n2 1 0 1 1 XOR\n"), Malformed::Twice { gate: 1, wire: 1 });
    assert_eq!(malformed("1 3\n1 1 1\n2 1 0 9 2 XOR\n"), Malformed::Beyond { gate: 1, wire: 9, wires: 3 });
    assert!(matches!(malformed("1 99999999999\n1 1 1\n2 1 0 1 2 XOR\n"), Malformed::TooFew { .. }));
    // All of them inputs, so nothing but the bound stands before the memory.
    assert_eq!(malformed("0 99999999999\n1 99999999999\n1 1\n\n"), Malformed::TooMany { wires: 99_999_999_999 });
}
