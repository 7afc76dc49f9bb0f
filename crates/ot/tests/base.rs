//! Base transfers: the chosen key, and only that; messages that are none.

use privity_ot::OtError;
use privity_ot::base::{Receiver, send};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn the_receiver_has_the_key_it_chose_and_not_the_other(choices in prop::collection::vec(any::<bool>(), 0..9), session: [u8; 32]) {
        let receiver = Receiver::new(session, choices.clone()).expect("randomness");
        let (pairs, message) = send(session, choices.len(), receiver.message()).expect("points");
        let keys = receiver.keys(&message).expect("points");
        for ((key, pair), choice) in keys.iter().zip(&pairs).zip(&choices) {
            prop_assert_eq!(key.expose(), pair[usize::from(*choice)].expose());
            prop_assert_ne!(key.expose(), pair[usize::from(!*choice)].expose());
        }
    }
}

#[test]
fn sessions_and_transfers_do_not_share_keys() {
    let receiver = Receiver::new([1; 32], vec![false, false]).expect("randomness");
    let (here, message) = send([1; 32], 2, receiver.message()).expect("points");
    let (elsewhere, _) = send([2; 32], 2, receiver.message()).expect("points");
    assert_ne!(here[0][0].expose(), here[1][0].expose());
    assert_ne!(here[0][0].expose(), elsewhere[0][0].expose());
    // A receiver of another session ends with other keys: what a stranger sent fits nothing.
    let keys = receiver.keys(&message).expect("points");
    assert_ne!(keys[0].expose(), elsewhere[0][0].expose());
}

#[test]
fn messages_that_are_none_are_refused() {
    let receiver = Receiver::new([1; 32], vec![true, false]).expect("randomness");
    let mut message = receiver.message().to_vec();
    assert!(matches!(send([1; 32], 3, &message), Err(OtError::Length { expected: 3, got: 128 })));
    message[64..96].fill(0xff);
    assert!(matches!(send([1; 32], 2, &message), Err(OtError::Point { index: 1 })));
    assert!(matches!(receiver.keys(&[0xff; 64]), Err(OtError::Point { index: 0 })));
    let receiver = Receiver::new([1; 32], vec![true]).expect("randomness");
    assert!(matches!(receiver.keys(&[0; 31]), Err(OtError::Length { expected: 1, got: 31 })));
}

/// What the receiver sends does not depend on its choice: bytes of either point are as often 0 and 1, whatever was chosen.
#[test]
fn choices_do_not_show_in_the_message() {
    let ones = |choice: bool| {
        let receiver = Receiver::new([3; 32], vec![choice; 400]).expect("randomness");
        let mut counts = [0u32; 2];
        for points in receiver.message().chunks(64) {
            counts[0] += points[..31].iter().map(|b| b.count_ones()).sum::<u32>();
            counts[1] += points[32..63].iter().map(|b| b.count_ones()).sum::<u32>();
        }
        counts
    };
    // 99,200 bits each: 157 is one deviation. The lowest bit of a point is always 0.
    for count in [ones(false), ones(true)].concat() {
        assert!((i64::from(count) - 49_400).abs() < 1_100, "{count}");
    }
}
