//! Two parties, a circuit, and what an evaluator that deviates comes to.

use privity_circuit::{Circuit, aes, arithmetic, sha256};
use privity_net::sim::{self, Frame, SimConfig, Tamper};
use privity_net::{Link, NetError, memory};
use privity_yao::{Cost, EVALUATOR, GARBLER, Prepared, YaoError, evaluate, garble};
use std::sync::Arc;

const SESSION: [u8; 32] = [9; 32];
type Outcome = Result<Vec<bool>, YaoError>;

fn bits(value: u64, width: usize) -> Vec<bool> {
    (0..width).map(|i| value >> i & 1 == 1).collect()
}

fn value(bits: &[bool]) -> u64 {
    bits.iter().rev().fold(0, |sum, bit| sum << 1 | u64::from(*bit))
}

/// Both sides over given links; with what each sent.
fn both(mut links: Vec<impl Link>, circuit: &Circuit, garblers: &[bool], evaluators: &[bool]) -> [(Outcome, u64); 2] {
    let circuit = &Prepared::new(circuit);
    let (mut to_evaluate, mut to_garble) = (links.pop().expect("two"), links.pop().expect("two"));
    let sent = |link: &dyn Link, peer: usize| link.stats()[peer].sent;
    std::thread::scope(|scope| {
        let garbling = scope.spawn(move || {
            let outcome = garble(&mut to_garble, SESSION, circuit, garblers);
            (outcome, sent(&to_garble, EVALUATOR))
        });
        let outcome = evaluate(&mut to_evaluate, SESSION, circuit, evaluators);
        let evaluating = (outcome, sent(&to_evaluate, GARBLER));
        [garbling.join().expect("no panic"), evaluating]
    })
}

#[test]
fn both_learn_what_the_circuit_gives_and_send_what_is_declared() {
    for name in ["add", "mul", "div", "less"] {
        let circuit = arithmetic::named(name, 64).expect("known");
        let (a, b) = (0xdead_beef_cafe_f00d, 1_000_003);
        let (a, b) = (bits(a, 64), bits(b, 64));
        let want = circuit.evaluate_bits(&[a.clone(), b.clone()].concat());
        let [garbler, evaluator] = both(memory::mesh(2), &circuit, &a, &b);
        assert_eq!(garbler.0.as_ref(), Ok(&want), "{name}");
        assert_eq!(evaluator.0, garbler.0, "{name}");
        let cost = Cost::of(&circuit);
        assert_eq!((garbler.1, evaluator.1), (cost.to_evaluator, cost.to_garbler), "{name}");
    }
}

/// FIPS 197, C.1: one party has the key, the other the block. FIPS 180-4: the digest of "abc", the state being public here.
#[test]
fn known_answers() {
    let byte_bits = |bytes: &[u8]| -> Vec<bool> { bytes.iter().flat_map(|b| bits((*b).into(), 8)).collect() };
    let key: Vec<u8> = (0..16).collect();
    let block: Vec<u8> = (0..16).map(|i| 0x11 * i).collect();
    let [garbler, evaluator] = both(memory::mesh(2), &aes::encrypt(), &byte_bits(&key), &byte_bits(&block));
    let out: Vec<u8> = evaluator.0.expect("runs").chunks(8).map(|b| value(b) as u8).collect();
    assert_eq!(out[..4], [0x69, 0xc4, 0xe0, 0xd8]);
    assert_eq!(out[12..], [0x70, 0xb4, 0xc5, 0x5a]);
    assert!(garbler.0.is_ok());

    let mut message = [0u8; 64];
    message[..4].copy_from_slice(b"abc\x80");
    message[63] = 24;
    let words = message.chunks(4).map(|w| u32::from_be_bytes(w.try_into().expect("four bytes")));
    let block: Vec<bool> = words.flat_map(|w| bits(w.into(), 32)).collect();
    let state: Vec<bool> = sha256::initial_state().into_iter().flat_map(|w| bits(w.into(), 32)).collect();
    let [garbler, _] = both(memory::mesh(2), &sha256::compression(), &block, &state);
    let digest = garbler.0.expect("runs");
    assert_eq!(value(&digest[..32]), 0xba78_16bf);
    assert_eq!(value(&digest[224..]), 0xf200_15ad);
}

/// Whatever message of the evaluator is altered, the garbler ends with the right result or an error.
#[test]
fn an_evaluator_that_deviates_passes_off_nothing() {
    let circuit = arithmetic::named("mul", 8).expect("known");
    let (a, b) = (bits(13, 8), bits(11, 8));
    let frames = 2;
    for (index, byte, bit) in
        (0..frames).flat_map(|i| (0..5000).step_by(97).flat_map(move |b| [(i, b, 1u8), (i, b, 0x80)]))
    {
        let hook: Tamper = Arc::new(move |mut frame: Frame| {
            if frame.from == EVALUATOR && frame.index == index {
                let at = byte % frame.payload.len();
                frame.payload[at] ^= bit;
            }
            vec![frame]
        });
        let links = sim::mesh(2, SimConfig { tamper: Some(hook), ..SimConfig::default() });
        let [garbler, _] = both(links, &circuit, &a, &b);
        match garbler.0 {
            // Altered transfers: no point, a failed check, or labels that the evaluator cannot use.
            Err(YaoError::Cheating { .. } | YaoError::Ot(_)) => {}
            Ok(out) => panic!("message {index}, byte {byte}: {}", value(&out)),
            Err(other) => panic!("message {index}, byte {byte}: {other}"),
        }
    }
}

#[test]
fn inputs_and_links_that_do_not_fit_are_refused_at_both_ends() {
    let circuit = arithmetic::named("add", 8).expect("known");
    let [garbler, evaluator] = both(memory::mesh(2), &circuit, &bits(1, 9), &bits(2, 8));
    assert_eq!(garbler.0, Err(YaoError::Input { given: 9, wanted: 8 }));
    assert!(matches!(evaluator.0, Err(YaoError::Net(NetError::Reported { by: GARBLER, .. }))), "{:?}", evaluator.0);
    let mut links = memory::mesh(3);
    assert_eq!(
        garble(&mut links[0], SESSION, &Prepared::new(&circuit), &bits(1, 8)),
        Err(YaoError::Parties { parties: 3 })
    );
}
