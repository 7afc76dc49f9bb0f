//! Keys in verifiable shares: dealt, given back, renewed, handed over; and every way in which a dealer or a holder is caught.

use privity_shamir::Error;
use privity_shamir::vss::{Combined, Committee, KeyShare, LONGEST, Part, Sharing, accept, combine, deal};
use proptest::prelude::*;

type Bytes = Vec<u8>;

/// Magic, kind, generation, threshold and number of holders.
const HEAD: usize = 15 + 4 + 2;

fn committee(threshold: usize, holders: usize) -> Committee {
    Committee::new(threshold, holders).expect("a sound committee")
}

fn dealt(threshold: usize, holders: usize) -> ([u8; 32], Vec<KeyShare>) {
    let (key, shares) = deal(committee(threshold, holders)).expect("dealt");
    (*key.expose(), shares)
}

fn encoded(shares: &[KeyShare]) -> Vec<Bytes> {
    shares.iter().map(|share| share.encode().to_vec()).collect()
}

fn combined<'a>(shares: impl IntoIterator<Item = &'a Bytes>) -> Result<Combined, Error> {
    combine(&shares.into_iter().map(|share| &share[..]).collect::<Vec<_>>())
}

fn key<'a>(shares: impl IntoIterator<Item = &'a Bytes>) -> [u8; 32] {
    let combined = combined(shares).expect("enough shares");
    assert_eq!(combined.ignored, vec![]);
    *combined.key.expose()
}

/// Parts by dealer, then by receiver, as they travel.
type Dealings = Vec<Vec<Bytes>>;

fn travelling(parts: Vec<Part>) -> Vec<Bytes> {
    parts.iter().map(|part| part.encode().to_vec()).collect()
}

fn refreshing(shares: &[KeyShare]) -> Dealings {
    shares.iter().map(|share| travelling(share.deal_refresh().expect("dealt"))).collect()
}

fn resharing(shares: &[KeyShare], after: Committee) -> Dealings {
    shares.iter().map(|share| travelling(share.deal_reshare(after).expect("dealt"))).collect()
}

/// What a receiver, from 0, gets of all dealers.
fn to(dealings: &Dealings, receiver: usize) -> Vec<&[u8]> {
    dealings.iter().map(|parts| &parts[receiver][..]).collect()
}

fn refreshed(shares: &[KeyShare], dealings: &Dealings) -> Vec<KeyShare> {
    shares.iter().map(|share| share.refresh(&to(dealings, share.holder() - 1)).expect("sound parts")).collect()
}

fn accepted(dealings: &Dealings) -> Vec<KeyShare> {
    (0..dealings[0].len()).map(|receiver| accept(&to(dealings, receiver)).expect("sound parts")).collect()
}

fn one_fingerprint(shares: &[KeyShare]) -> &Sharing {
    assert!(shares.iter().all(|share| share.sharing() == shares[0].sharing()));
    assert!(shares.iter().all(|share| share.sharing().fingerprint() == shares[0].sharing().fingerprint()));
    shares[0].sharing()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn any_threshold_of_the_shares_is_enough_whatever_became_of_them(
        threshold in 2usize..6,
        more in 0usize..4,
        after_threshold in 2usize..6,
        after_more in 0usize..4,
        start in any::<prop::sample::Index>(),
    ) {
        let (secret, shares) = dealt(threshold, threshold + more);
        let after = committee(after_threshold, after_threshold + after_more);
        // Renewed by all; handed over by just enough, not the first ones.
        let renewed = refreshed(&shares, &refreshing(&shares));
        let first = start.index(more + 1);
        let handed = accepted(&resharing(&renewed[first..first + threshold], after));
        let again = refreshed(&handed, &refreshing(&handed[..after_threshold]));
        for (generation, shares) in [&shares, &renewed, &handed, &again].into_iter().enumerate() {
            let sharing = one_fingerprint(shares);
            prop_assert_eq!(sharing.generation() as usize, generation);
            prop_assert_eq!(sharing.key_id(), one_fingerprint(&again).key_id());
            let (all, needed) = (encoded(shares), sharing.committee().threshold());
            let begin = start.index(all.len());
            let picked: Vec<&Bytes> = (0..needed).map(|i| &all[(begin + i) % all.len()]).collect();
            prop_assert_eq!(key(picked.clone()), secret);
            prop_assert_eq!(key(&all), secret);
            match combined(picked[1..].to_vec()) {
                Err(Error::TooFew { good, needed: said, .. }) => prop_assert_eq!((good + 1, said), (needed, needed)),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}

#[test]
fn the_largest_and_the_smallest_committees_work() {
    for (threshold, holders) in [(2, 2), (31, 31), (2, 31), (16, 31)] {
        let (secret, shares) = dealt(threshold, holders);
        assert_eq!(key(&encoded(&shares)[holders - threshold..]), secret);
    }
    for (threshold, holders) in [(1, 3), (0, 0), (4, 3), (2, 32), (33, 33), (2, 258)] {
        assert!(matches!(Committee::new(threshold, holders), Err(Error::Committee { .. })), "{threshold} of {holders}");
    }
    let shares = dealt(3, 5).1;
    assert_eq!((shares[0].encode().len(), KeyShare::encoded_len(committee(3, 5))), (182, 182));
    assert_eq!(shares[0].deal_refresh().expect("dealt")[4].encode().len(), 249);
    let longest = dealt(31, 31).1[0].deal_reshare(committee(31, 31)).expect("dealt")[30].encode().len();
    assert_eq!(longest, LONGEST);
    let (one, two) = (dealt(2, 2).0, dealt(2, 2).0);
    assert_ne!(one, two, "keys are fresh");
}

/// Every bit of a share counts, also of those that a dealer would have to get wrong: the share is refused by its holder, and named when it
/// is given with others.
#[test]
fn an_altered_share_is_named_wherever_it_was_altered() {
    let (secret, shares) = dealt(2, 3);
    let all = encoded(&shares);
    for at in 0..all[1].len() {
        let mut altered = all.clone();
        altered[1][at] ^= 1 << (at % 8);
        let generation = (15..19).contains(&at);
        // Nothing but the number of the generation, and that of all holders, can be other and fit: then it is of no sharing of the others.
        let fits = generation || at == HEAD - 1;
        assert!(fits || matches!(KeyShare::decode(&altered[1]), Err(Error::Flawed { .. })), "byte {at}");
        let given = combined(&altered).expect("two are sound");
        assert_eq!((given.key.expose(), given.ignored.len(), given.ignored[0].0), (&secret, 1, 1), "byte {at}");
        match combined(&altered[..2]) {
            Err(Error::TooFew { good: 1, needed: 2, .. }) => {}
            other => panic!("byte {at}: {other:?}"),
        }
    }
    for cut in 0..all[1].len() {
        let flawed = KeyShare::decode(&all[1][..cut]);
        assert!(matches!(flawed, Err(Error::Flawed { .. })), "cut at {cut}");
    }
    let longer = [&all[1][..], &[0]].concat();
    assert!(matches!(KeyShare::decode(&longer), Err(Error::Flawed { flaw: "is longer than it should be" })));
}

#[test]
fn every_wrong_share_is_named_also_many() {
    let (secret, shares) = dealt(3, 7);
    let all = encoded(&shares);
    for wrong in [vec![0], vec![6, 2], vec![1, 3, 4, 5]] {
        let mut given = all.clone();
        wrong.iter().for_each(|i| {
            let last = given[*i].len() - 64;
            given[*i][last] ^= 4;
        });
        let done = combined(&given).expect("three are sound");
        let named: Vec<usize> = done.ignored.iter().map(|(i, _)| *i).collect();
        let mut sorted = wrong.clone();
        sorted.sort_unstable();
        assert_eq!((done.key.expose(), named), (&secret, sorted));
        assert!(done.ignored.iter().all(|(_, why)| *why == "does not fit its commitments"));
    }
    // With too few left, all that are wrong are in the message.
    let mut given = all.clone();
    given[..5].iter_mut().for_each(|share| {
        let last = share.len() - 1;
        share[last] ^= 1;
    });
    let message = combined(&given).expect_err("two are sound").to_string();
    for number in 1..=5 {
        assert!(message.contains(&format!("number {number} does not fit")), "{message}");
    }
}

#[test]
fn places_that_are_none_are_refused() {
    let (_, shares) = dealt(2, 3);
    let all = encoded(&shares);
    let place = HEAD + 2 * 32;
    for number in [0, 4, 255] {
        let mut share = all[0].clone();
        share[place] = number;
        let refused = KeyShare::decode(&share);
        assert!(matches!(refused, Err(Error::Flawed { flaw: "names a holder that there is not" })), "{refused:?}");
    }
    let mut share = all[0].clone();
    share[place] = 2;
    assert!(matches!(KeyShare::decode(&share), Err(Error::Flawed { flaw: "does not fit its commitments" })));
    let message = combined([&all[0], &all[0]]).expect_err("one share only").to_string();
    assert!(message.contains("number 2 was given twice"), "{message}");
    // Numbers above the order of the group, and commitments that are no points.
    let mut share = all[0].clone();
    let end = share.len();
    share[end - 32..].fill(0xff);
    assert!(matches!(KeyShare::decode(&share), Err(Error::Flawed { flaw: "has a number that is not reduced" })));
    let mut share = all[0].clone();
    share[HEAD..HEAD + 32].fill(0xff);
    assert!(matches!(KeyShare::decode(&share), Err(Error::Flawed { flaw: "has a commitment that is no point" })));
    for (threshold, holders) in [(1, 3), (0, 3), (4, 3), (2, 32), (255, 255)] {
        let mut share = all[0].clone();
        share[HEAD - 2..HEAD].copy_from_slice(&[threshold, holders]);
        assert!(matches!(KeyShare::decode(&share), Err(Error::Flawed { .. })), "{threshold} of {holders}");
    }
}

/// A dealer that gives holders shares of different polynomials: each holder's check is against what it was given, so the two groups have
/// other fingerprints, and are not mixed.
#[test]
fn a_dealer_that_says_two_things_is_seen_by_the_fingerprints() {
    let ((_, one), (_, two)) = (dealt(2, 4), dealt(2, 4));
    assert_ne!(one[0].sharing().fingerprint(), two[0].sharing().fingerprint());
    let (one, two) = (encoded(&one), encoded(&two));
    assert!(matches!(combined([&one[0], &two[1]]), Err(Error::TooFew { good: 1, needed: 2, .. })));
    let both = [&one[0], &two[1], &one[2], &two[3]];
    assert!(matches!(combined(both), Err(Error::Ambiguous { splittings: 2 })));
    // The commitments of one and the share of the other do not fit.
    let mut mixed = one[0].clone();
    let place = HEAD + 2 * 32;
    mixed[place..].copy_from_slice(&two[0][place..]);
    assert!(matches!(KeyShare::decode(&mixed), Err(Error::Flawed { flaw: "does not fit its commitments" })));
}

/// Replaces the generation that a share says it is of; the rest fits as before.
fn forged_generation(share: &[u8], generation: u32) -> Bytes {
    let mut forged = share.to_vec();
    forged[15..19].copy_from_slice(&generation.to_le_bytes());
    forged
}

#[test]
fn old_shares_are_useless_with_new_ones() {
    let (secret, old) = dealt(3, 5);
    let new = refreshed(&old, &refreshing(&old));
    let (old, new) = (encoded(&old), encoded(&new));
    for (i, (old, new)) in old.iter().zip(&new).enumerate() {
        assert_ne!(old[old.len() - 64..], new[new.len() - 64..], "share {i}");
    }
    // Two old ones and two new ones are four shares of a key of which three would be enough.
    let mixed = [&old[0], &old[1], &new[2], &new[3]];
    assert!(matches!(combined(mixed), Err(Error::TooFew { good: 2, needed: 3, .. })));
    // Passing one off as new does not help: it does not fit the new commitments, and with its own it is of no new sharing.
    let forged = forged_generation(&old[0], 1);
    assert!(matches!(combined([&forged, &new[1], &new[2]]), Err(Error::TooFew { good: 2, needed: 3, .. })));
    let mut forged = new[0].clone();
    let from = forged.len() - 64;
    forged[from..].copy_from_slice(&old[0][from..]);
    assert!(matches!(KeyShare::decode(&forged), Err(Error::Flawed { flaw: "does not fit its commitments" })));
    // Where enough of both are given, the later ones are used, and the key is the same.
    let done = combined(old.iter().chain(&new)).expect("enough");
    assert_eq!((done.key.expose(), done.sharing.generation(), done.ignored.len()), (&secret, 1, 5));
}

/// The reason's text, for any of which a receiver refuses.
fn reasons(refused: Result<KeyShare, Error>) -> String {
    match refused {
        Err(Error::Parts { reasons }) => reasons,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dealer_of_wrong_parts_is_named() {
    let (_, shares) = dealt(2, 4);
    let dealings = refreshing(&shares);
    for at in 0..dealings[2][0].len() {
        let mut given: Vec<Bytes> = to(&dealings, 0).into_iter().map(<[u8]>::to_vec).collect();
        given[2][at] ^= 1 << (at % 8);
        let given: Vec<&[u8]> = given.iter().map(|part| &part[..]).collect();
        let why = reasons(shares[0].refresh(&given));
        assert!(why.starts_with("number 3"), "byte {at}: {why}");
    }
    // Without that dealer's it works, if everybody does so.
    let without: Vec<&[u8]> =
        to(&dealings, 0).into_iter().enumerate().filter(|(i, _)| *i != 2).map(|(_, p)| p).collect();
    let new = shares[0].refresh(&without).expect("three are sound");
    let all = shares[1].refresh(&to(&dealings, 1)).expect("four are sound");
    assert_ne!(new.sharing().fingerprint(), all.sharing().fingerprint(), "who takes other dealers' sees it");
}

/// A renewal that is no sharing of zero would change the key. Its dealer has no way to say so: the constant commitment is not sent.
#[test]
fn a_renewal_cannot_change_the_key_nor_a_handing_over_replace_a_share() {
    let (secret, shares) = dealt(2, 3);
    let (_, strangers) = dealt(2, 3);
    // The stranger's shares are a sharing of something that is not zero, with its commitments but for the constant one.
    let place = HEAD + 2 * 32;
    for (kind, constant) in [(2u8, "renewal"), (3u8, "handing over")] {
        let honest = match kind {
            2 => travelling(shares[1].deal_refresh().expect("dealt")),
            _ => travelling(shares[1].deal_reshare(committee(2, 3)).expect("dealt")),
        };
        let stranger = strangers[0].encode();
        let mut forged = honest[0].clone();
        // Head with the old commitments, dealer, committee; then the linear commitment, the receiver and the values.
        let from = place + 1 + 2;
        forged[from..from + 32].copy_from_slice(&stranger[HEAD + 32..HEAD + 64]);
        forged[from + 32..].copy_from_slice(&stranger[place..]);
        assert_eq!(forged[14], kind);
        match Part::decode(&forged) {
            Err(Error::Flawed { flaw }) => assert_eq!(flaw, "does not fit its commitments", "{constant}"),
            other => panic!("{constant}: {other:?}"),
        }
    }
    let new = refreshed(&shares, &refreshing(&shares));
    assert_eq!(key(&encoded(&new)), secret);
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let (_, shares) = dealt(2, 3);
    let after = committee(3, 4);
    let (renew, hand) = (refreshing(&shares), resharing(&shares, after));
    let new = refreshed(&shares, &renew);
    let refuses = |refused: Result<KeyShare, Error>, why: &str| {
        let said = reasons(refused);
        assert!(said.contains(why), "{said}, and not: {why}");
    };
    let given = to(&renew, 0);
    refuses(shares[0].refresh(&given[..1]), "of 1 holders, and 2 at least");
    refuses(shares[0].refresh(&[]), "of 0 holders");
    refuses(shares[0].refresh(&[given[0], given[1], given[1]]), "number 3, from holder 2, is of a dealer given before");
    refuses(shares[0].refresh(&[given[0], &renew[1][1]]), "number 2, from holder 2, is for another holder");
    refuses(shares[0].refresh(&to(&hand, 0)), "hands a share over");
    refuses(new[0].refresh(&given), "renews another sharing, or another generation");
    refuses(shares[0].refresh(&[given[0], &shares[1].encode()]), "number 2 is no part of a share");
    let given = to(&hand, 0);
    refuses(accept(&given[..1]), "of 1 holders, and 2 at least");
    refuses(accept(&[]), "of 0 holders");
    refuses(accept(&[given[0], given[2], given[0]]), "number 3, from holder 1, is of a dealer given before");
    refuses(accept(&[given[0], &hand[1][3]]), "is for another holder than the first one");
    refuses(accept(&to(&renew, 0)), "renews a share");
    let others = resharing(&shares, committee(3, 5));
    refuses(accept(&[given[0], &others[1][0]]), "names other new holders");
    let later = resharing(&new, after);
    refuses(accept(&[given[0], &later[1][0]]), "is of another sharing");
    let last = KeyShare::decode(&forged_generation(&shares[0].encode(), u32::MAX)).expect("a share");
    let second = KeyShare::decode(&forged_generation(&shares[1].encode(), u32::MAX)).expect("a share");
    let parts = refreshing(&[last.clone(), second]);
    assert!(matches!(last.refresh(&to(&parts, 0)), Err(Error::Flawed { .. })), "there is no next generation");
}

#[test]
fn secrets_are_not_printed() {
    let (secret, shares) = dealt(2, 3);
    let done = combined(&encoded(&shares)).expect("enough");
    let printed = format!("{:?} {:?} {:?}", shares[0], shares[0].deal_refresh().expect("dealt")[0], done);
    assert!(printed.contains("KeyShare(1 in Sharing(2 of 3, generation 0))"), "{printed}");
    let numbers = |bytes: &[u8]| format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
    assert!(!printed.contains(&numbers(&secret)), "{printed}");
}
