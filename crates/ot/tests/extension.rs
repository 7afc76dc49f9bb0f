//! Transfers by extension: the chosen key and only that, however many; and receivers that deviate.

use privity_ot::OtError;
use privity_ot::extension::{Receiver, Sender, SenderSetup, message_bytes};

fn both() -> (Sender, Receiver) {
    let setup = SenderSetup::new([7; 32]).expect("randomness");
    let (receiver, answer) = Receiver::new([7; 32], setup.message()).expect("points");
    (setup.finish(&answer).expect("points"), receiver)
}

fn choices(seed: u64, len: usize) -> Vec<bool> {
    let mut x = seed | 1;
    let next = |_| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        x >> 63 == 1
    };
    (0..len).map(next).collect()
}

#[test]
fn the_receiver_has_the_keys_it_chose_and_no_others() {
    let (mut sender, mut receiver) = both();
    let mut seen = std::collections::HashSet::new();
    // One setup serves any number of extensions.
    for (i, len) in [1usize, 127, 128, 129, 1000, 0, 20_000].into_iter().enumerate() {
        let choices = choices(i as u64, len);
        let (message, keys) = receiver.extend(&choices).expect("randomness");
        assert_eq!(message.len(), message_bytes(len));
        let (again, pairs) = sender.extend(len, &message).expect("honest");
        sender = again;
        assert_eq!((keys.len(), pairs.len()), (len, len));
        for ((key, pair), choice) in keys.iter().zip(pairs.iter()).zip(&choices) {
            assert_eq!(*key, pair[usize::from(*choice)]);
            assert_ne!(*key, pair[usize::from(!*choice)]);
            assert!(seen.insert(pair[0]) && seen.insert(pair[1]), "no key comes twice");
        }
    }
}

/// Whatever byte of the message is altered on the way, nothing is transferred: the challenge covers the corrections, the check the rest. (A digest
/// of the choices counts where the difference has a bit.)
#[test]
fn an_altered_message_is_noticed() {
    let length = message_bytes(10);
    for at in (0..length).step_by(131).chain(length - 16 * 129..length - 16 * 120) {
        let (sender, mut receiver) = both();
        let (mut message, _) = receiver.extend(&choices(1, 10)).expect("randomness");
        message[at] ^= 0x10;
        assert!(matches!(sender.extend(10, &message), Err(OtError::Cheating)), "byte {at}");
    }
    let (sender, _) = both();
    assert!(matches!(sender.extend(11, &vec![0; message_bytes(11) - 1]), Err(OtError::Length { expected: 11, .. })));
}
