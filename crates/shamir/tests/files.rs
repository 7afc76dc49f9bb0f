//! Shares of files: enough of them give the secret back, fewer or altered ones do not.

use privity_shamir::{Error, Parameters, combine, split};
use proptest::prelude::*;
use std::io::Cursor;

fn shares(secret: &[u8], threshold: usize, count: usize) -> Vec<Vec<u8>> {
    let mut outputs = vec![Vec::new(); count];
    let parameters = Parameters::new(threshold, count).expect("sound parameters");
    split(parameters, &mut &secret[..], &mut outputs).expect("split");
    outputs
}

fn combined(shares: &[&[u8]]) -> Result<(Vec<u8>, Vec<(usize, &'static str)>), Error> {
    let mut inputs: Vec<Cursor<&[u8]>> = shares.iter().map(|share| Cursor::new(*share)).collect();
    let mut secret = Vec::new();
    let done = combine(&mut inputs, &mut secret)?;
    assert_eq!(done.length, secret.len() as u64);
    Ok((secret, done.ignored))
}

proptest! {
    #[test]
    fn any_threshold_of_the_shares_is_enough(
        secret in prop::collection::vec(any::<u8>(), 0..300),
        threshold in 2usize..6,
        more in 0usize..4,
        order in any::<prop::sample::Index>(),
    ) {
        let all = shares(&secret, threshold, threshold + more);
        let start = order.index(all.len());
        let picked: Vec<&[u8]> = (0..threshold).map(|i| &all[(start + i) % all.len()][..]).collect();
        prop_assert_eq!(combined(&picked).expect("enough"), (secret, vec![]));
        match combined(&picked[1..]) {
            Err(Error::TooFew { good, needed, .. }) => prop_assert_eq!((good + 1, needed), (threshold, threshold)),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn secrets_of_all_sizes_come_back() {
    for len in [0, 1, 7, 8, 65_535, 65_536, 65_537, 1_000_003] {
        let secret: Vec<u8> = (0..len).map(|i| (i * 31 % 251) as u8).collect();
        let all = shares(&secret, 3, 5);
        assert!(
            all.iter().all(|share| share.len() == len + 67 + 5 * 32),
            "a share is as long as the secret, and 227 bytes"
        );
        assert_eq!(combined(&[&all[4], &all[0], &all[2]]).expect("enough").0, secret);
    }
    let all = shares(b"many", 255, 255);
    assert_eq!(combined(&all.iter().map(|s| &s[..]).collect::<Vec<_>>()).expect("all").0, b"many");
}

/// Every byte of a share counts: with one bit of it altered it is left out, by its number, and with too few others nothing is given.
#[test]
fn an_altered_share_is_named_wherever_it_was_altered() {
    let secret = b"the key of the vault";
    let all = shares(secret, 2, 3);
    for at in 0..all[1].len() {
        let mut altered = all.clone();
        altered[1][at] ^= 1 << (at % 8);
        let (given, ignored) = combined(&[&altered[0], &altered[1], &altered[2]]).expect("two are sound");
        assert_eq!((&given[..], ignored.len(), ignored[0].0), (&secret[..], 1, 1), "byte {at}");
        match combined(&[&altered[0], &altered[1]]) {
            Err(Error::TooFew { good: 1, needed: 2, .. }) => {}
            other => panic!("byte {at}: {other:?}"),
        }
    }
    for cut in 0..all[1].len() {
        assert_eq!(combined(&[&all[0], &all[1][..cut], &all[2]]).expect("two are sound").0, secret, "cut at {cut}");
        assert!(combined(&[&all[0], &all[1][..cut]]).is_err(), "cut at {cut}");
    }
}

#[test]
fn shares_given_twice_or_of_two_secrets_are_told_apart() {
    let (one, two) = (shares(b"one", 2, 3), shares(b"two", 2, 3));
    let error = combined(&[&one[0], &one[0]]).expect_err("one share only");
    assert!(error.to_string().contains("number 2 was given twice"), "{error}");
    assert!(matches!(combined(&[&one[0], &two[1]]), Err(Error::TooFew { good: 1, needed: 2, .. })));
    assert!(matches!(combined(&[&one[0], &two[1], &one[2], &two[2]]), Err(Error::Ambiguous { splittings: 2 })));
    let (given, ignored) = combined(&[&one[0], &two[1], &one[2]]).expect("two of one");
    assert_eq!((&given[..], ignored[0].0), (&b"one"[..], 1));
    assert!(Parameters::new(1, 3).is_err() && Parameters::new(4, 3).is_err() && Parameters::new(2, 256).is_err());
}

/// One share less than the threshold is the same for every secret: each byte of it takes every value equally often.
#[test]
fn shares_below_the_threshold_say_nothing() {
    for secret in [[0u8; 4096], [0xff; 4096]] {
        let mut counts = [[0u32; 256]; 2];
        for _ in 0..40 {
            let all = shares(&secret, 3, 3);
            for (counts, share) in counts.iter_mut().zip(&all) {
                share[67..67 + 4096].iter().for_each(|byte| counts[usize::from(*byte)] += 1);
            }
        }
        for counts in counts {
            let expected = 40.0 * 4096.0 / 256.0;
            let chi: f64 = counts.iter().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
            // 255 degrees of freedom: beyond 400 once in 10^8.
            assert!(chi < 400.0, "chi square {chi}");
        }
    }
}
