//! Garbled evaluation against evaluation in the clear.

use privity_circuit::{Bit, Builder, Circuit, aes, arithmetic, sha256};
use privity_gc::{Garbler, Schedule, TABLE_BYTES, evaluate};
use proptest::prelude::*;
use std::convert::Infallible;

/// Bits of every instance, `[input bit][instance]`, through a garbling; what the evaluator decodes.
fn garbled(garbler: &mut Garbler, circuit: &Circuit, inputs: &[bool], instances: usize) -> Vec<bool> {
    let before = garbler.keys();
    let schedule = Schedule::new(circuit);
    let mut tables = Vec::new();
    let garbling = garbler.garble(&schedule, instances, |part| {
        tables.extend_from_slice(part);
        Ok::<_, Infallible>(())
    });
    let garbling = garbling.expect("memory takes all");
    assert_eq!(16 * tables.len(), TABLE_BYTES * schedule.ands() * instances);
    let active: Vec<u128> =
        garbling.inputs.iter().zip(inputs).map(|(zero, value)| garbler.label(*zero, *value)).collect();
    let mut rest = &tables[..];
    let out = evaluate(&schedule, garbler.start(), before, &active, instances, |part| {
        part.copy_from_slice(rest.split_off(..part.len()).expect("as many as were made"));
        Ok::<_, Infallible>(())
    });
    let out = out.expect("memory gives all");
    assert!(rest.is_empty());
    out.iter().zip(garbling.outputs.iter()).map(|(label, zero)| (label ^ zero) & 1 == 1).collect()
}

fn plain(circuit: &Circuit, inputs: &[bool], instances: usize) -> Vec<bool> {
    let one = |i: usize| circuit.evaluate_bits(&inputs.iter().skip(i).step_by(instances).copied().collect::<Vec<_>>());
    let all: Vec<Vec<bool>> = (0..instances).map(one).collect();
    (0..circuit.output_bits()).flat_map(|bit| all.iter().map(move |out| out[bit])).collect()
}

fn noise(seed: u64, len: usize) -> Vec<bool> {
    let mut x = seed | 1;
    let next = |_| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        x >> 63 == 1
    };
    (0..len).map(next).collect()
}

#[test]
fn the_known_circuits_give_what_they_give_in_the_clear() {
    let mut garbler = Garbler::new().expect("randomness");
    let named = |name| arithmetic::named(name, 64).expect("known");
    let circuits = [named("add"), named("mul"), named("div"), named("less"), aes::encrypt(), sha256::compression()];
    // One garbler goes through all of them: gates are numbered on.
    for (circuit, instances) in circuits.iter().flat_map(|c| [(c, 1), (c, 5), (c, 16), (c, 39)]) {
        let inputs = noise(garbler.keys(), circuit.input_bits() * instances);
        let got = garbled(&mut garbler, circuit, &inputs, instances);
        assert_eq!(got, plain(circuit, &inputs, instances));
    }
}

proptest! {
    #[test]
    fn any_circuit_of_gates_is_evaluated_rightly(
        gates in prop::collection::vec((0u8..5, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..200),
        seed: u64,
        instances in 1usize..40,
    ) {
        let mut c = Builder::new();
        let mut bits: Vec<Bit> = c.input(4);
        bits.extend([privity_circuit::build::ZERO, privity_circuit::build::ONE]);
        for (kind, a, b) in gates {
            let (a, b) = (*a.get(&bits), *b.get(&bits));
            let bit = match kind {
                0 => c.xor(a, b),
                1 | 2 => c.and(a, b),
                3 => c.not(a),
                _ => c.choose(a, b, bits[0]),
            };
            bits.push(bit);
        }
        let circuit = c.finish(&[bits]);
        let inputs = noise(seed, 4 * instances);
        let got = garbled(&mut Garbler::new().expect("randomness"), &circuit, &inputs, instances);
        prop_assert_eq!(got, plain(&circuit, &inputs, instances));
    }
}

/// Labels that the evaluator does not hold cannot be had from those that it does: with one input's label of another value the result is that
/// of the other value, with a made-up label it is neither label of any output.
#[test]
fn a_made_up_label_opens_nothing() {
    let circuit = arithmetic::named("mul", 16).expect("known");
    let (schedule, mut garbler) = (Schedule::new(&circuit), Garbler::new().expect("randomness"));
    let mut tables = Vec::new();
    let garbling = garbler
        .garble(&schedule, 1, |part| {
            tables.extend_from_slice(part);
            Ok::<_, Infallible>(())
        })
        .expect("memory");
    let mut active: Vec<u128> = garbling.inputs.iter().map(|zero| garbler.label(*zero, true)).collect();
    let run = |active: &[u128]| {
        let mut rest = &tables[..];
        evaluate(&schedule, garbler.start(), 0, active, 1, |part| {
            part.copy_from_slice(rest.split_off(..part.len()).expect("all"));
            Ok::<_, Infallible>(())
        })
        .expect("memory")
    };
    let right = run(&active);
    active[3] ^= 1 << 77;
    let wrong = run(&active);
    let fits = right.iter().zip(&wrong).skip(8).filter(|(r, w)| r == w || **r ^ **w == garbler.label(0, true)).count();
    assert_eq!(fits, 0, "no output above the lowest has one of its two labels");
    assert_eq!(format!("{garbler:?}"), format!("Garbler at key {}", garbler.keys()));
}

#[test]
fn no_instances_are_garbled_to_nothing() {
    let circuit = privity_circuit::arithmetic::named("mul", 8).expect("a circuit");
    let schedule = Schedule::new(&circuit);
    let mut garbler = Garbler::new().expect("randomness");
    let garbling = garbler.garble(&schedule, 0, |_| Err("tables of nothing")).expect("nothing fails");
    assert!(garbling.inputs.is_empty() && garbling.outputs.is_empty());
    let evaluated = privity_gc::evaluate(&schedule, garbler.start(), 0, &[], 0, |_| Err("tables of nothing"));
    assert_eq!(evaluated, Ok(Vec::new()));
}

/// Keys of the hash are public, so the evaluator may decrypt whatever is a block under one of them. The first half of an AND is the sum of the
/// hashes of both labels of an operand and, every second time, of the difference: nothing that the evaluator knows may complete it to a block
/// that decrypts to its own label's counterpart, else it has the difference and with it all inputs.
#[test]
fn no_table_is_a_block_of_the_other_label() {
    use ::aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
    let mut c = Builder::new();
    let bits = c.input(2);
    let both = c.and(bits[0], bits[1]);
    let schedule = Schedule::new(&c.finish(&[vec![both]]));
    for round in 0..32u64 {
        let mut garbler = Garbler::new().expect("randomness");
        let mut tables = Vec::new();
        let garbling = garbler.garble(&schedule, 1, |part| {
            tables.extend_from_slice(part);
            Ok::<_, Infallible>(())
        });
        let zero = garbling.expect("memory takes all").inputs[0];
        let (active, other) = match round % 2 {
            0 => (zero, garbler.label(zero, true)),
            _ => (garbler.label(zero, true), zero),
        };
        let cipher = ::aes::Aes128::new(&garbler.start().to_le_bytes().into());
        let mut block = active.to_le_bytes().into();
        cipher.encrypt_block(&mut block);
        let encrypted = u128::from_le_bytes(block.into());
        let sigma = |x: u128| x.rotate_left(64) ^ (x & !0 << 64);
        let mut block = sigma(active).to_le_bytes().into();
        cipher.encrypt_block(&mut block);
        let known = [0, encrypted, active, sigma(active), u128::from_le_bytes(block.into())];
        for subset in 0..1 << known.len() {
            let sum = (0..known.len()).filter(|i| subset >> i & 1 == 1).fold(tables[0], |sum, i| sum ^ known[i]);
            let mut block = sum.to_le_bytes().into();
            cipher.decrypt_block(&mut block);
            let got = u128::from_le_bytes(block.into());
            assert!(got != other && got != sigma(other), "the evaluator has the difference");
        }
    }
}

/// Of two instances under one key whose labels are equal the tables would tell the difference: a circuit in which an operand of an AND has the same
/// label in all instances, a constant's or that of a wire added to itself, shares no keys.
#[test]
fn keys_are_shared_by_independent_labels_only() {
    use privity_circuit::Gate::{And, Constant, Copy, Not, Xor};
    let used = |gates: Vec<privity_circuit::Gate>, wires: usize| {
        let circuit = Circuit::new(wires, vec![2], vec![1], gates).expect("a circuit");
        let mut garbler = Garbler::new().expect("randomness");
        let Ok(_) = garbler.garble(&Schedule::new(&circuit), 16, |_| Ok::<_, Infallible>(()));
        garbler.keys()
    };
    assert_eq!(used(vec![And(0, 1, 2)], 3), 8);
    assert_eq!(used(vec![Xor(0, 1, 2), Not(2, 3), And(3, 1, 4)], 5), 8);
    assert_eq!(used(vec![Constant(true, 2), And(2, 1, 3)], 4), 32);
    assert_eq!(used(vec![Xor(0, 0, 2), And(1, 2, 3)], 4), 32);
    assert_eq!(used(vec![Xor(0, 1, 2), Xor(2, 1, 3), Xor(3, 0, 4), Copy(4, 5), Not(5, 6), And(6, 1, 7)], 8), 32);
}
