//! Values read off shares of which some are missing and some wrong. Spec 15.

use super::{Field, Prime, weights};
use privity_ring::{M61, Ring, mersenne};

/// What a party told: its shares of a vector, residues.
pub(crate) struct Told {
    pub party: usize,
    pub point: M61,
    pub shares: Vec<u64>,
}

/// Most wrong shares of `told` ones of degree `degree` that can be corrected without ever giving a wrong value, if so many may be wrong at most.
/// `None`: there are too few even to notice.
pub(crate) fn correctable(told: usize, degree: usize, liars: usize) -> Option<usize> {
    let spare = told.checked_sub(degree + 1)?;
    Some((spare / 2).min(spare.checked_sub(liars)?).min(liars))
}

/// The values at zero of polynomials of degree at most `degree`, and who told wrong shares, if no more than `liars` parties did: then they are right.
/// `None` if shares are wrong and it cannot be told which, or if too few were told. Spec 15.2.
pub(crate) fn read(degree: usize, mut liars: usize, mut told: Vec<Told>) -> Option<(Vec<u64>, Vec<usize>)> {
    let mut wrong = Vec::new();
    loop {
        let few = correctable(told.len(), degree, liars)?;
        let Some(at) = first_off(degree, &told) else { break };
        // Who is found to have lied about one value is not asked about any other: at most `liars` times around.
        let found = decode(degree, few, &told, at)?;
        liars -= found.len();
        told.retain(|t| !found.contains(&t.party));
        wrong.extend(found);
    }
    wrong.sort_unstable();
    let basis = &told[..=degree];
    let mut values = vec![0; basis[0].shares.len()];
    combine(&mut values, basis, Prime.zero(), 0);
    Some((values, wrong))
}

/// Words that are checked together: they stay in the cache.
const BLOCK: usize = 1 << 11;

/// Where the first element is whose shares are of no one polynomial of the degree, if there is any: from the shares of the first parties follow
/// those of the others.
fn first_off(degree: usize, told: &[Told]) -> Option<usize> {
    let (basis, others) = told.split_at(degree + 1);
    let len = basis[0].shares.len();
    let mut want = vec![0; BLOCK.min(len)];
    (0..len).step_by(BLOCK).find_map(|from| {
        let want = &mut want[..BLOCK.min(len - from)];
        let off = |other: &Told| {
            want.fill(0);
            combine(want, basis, other.point, from);
            let got = &other.shares[from..from + want.len()];
            // Most of the time all are alike, which is quickly seen.
            (*want != *got).then(|| from + want.iter().zip(got).take_while(|(w, g)| w == g).count())
        };
        others.iter().find_map(off)
    })
}

/// Adds what the polynomials through the shares of a basis are at a point.
fn combine(out: &mut [u64], basis: &[Told], at: M61, from: usize) {
    let points: Vec<M61> = basis.iter().map(|told| told.point).collect();
    for (told, weight) in basis.iter().zip(weights(Prime, &points, at)) {
        mersenne::add_scaled(out, weight, &told.shares[from..from + out.len()]);
    }
}

/// Who told a wrong share of one element, if at most `few` did: the decoder of Gao for Reed-Solomon codes. Spec 15.3.
fn decode(degree: usize, few: usize, told: &[Told], at: usize) -> Option<Vec<usize>> {
    let share = |told: &Told| M61::of_word(told.shares[at]);
    let (mut through, mut vanishing) = (Vec::new(), vec![Prime.one()]);
    for t in told {
        let slope = share(t).sub(value(&through, t.point)).mul(value(&vanishing, t.point).inverse());
        through = minus_product(&through, &vanishing, &[slope.negated()]);
        vanishing = minus_product(&[], &vanishing, &[t.point, Prime.one().negated()]);
    }
    let (mut before, mut now) = (vanishing, through);
    let (mut factor_before, mut factor) = (Vec::new(), vec![Prime.one()]);
    while 2 * now.len() >= told.len() + degree + 3 {
        let (quotient, rest) = divide(before, &now);
        (before, now) = (now, rest);
        let next = minus_product(&factor_before, &factor, &quotient);
        (factor_before, factor) = (factor, next);
    }
    let (polynomial, rest) = divide(now, &factor);
    let off = |t: &&Told| value(&polynomial, t.point) != share(t);
    let wrong: Vec<usize> = told.iter().filter(off).map(|t| t.party).collect();
    (rest.is_empty() && polynomial.len() <= degree + 1 && wrong.len() <= few).then_some(wrong)
}

/// A polynomial's value; coefficients lowest first, the last of them not zero.
fn value(polynomial: &[M61], at: M61) -> M61 {
    polynomial.iter().rev().fold(Prime.zero(), |sum, c| sum.mul(at).add(*c))
}

fn trimmed(mut polynomial: Vec<M61>) -> Vec<M61> {
    while polynomial.last() == Some(&Prime.zero()) {
        polynomial.pop();
    }
    polynomial
}

/// `a - b c`.
fn minus_product(a: &[M61], b: &[M61], c: &[M61]) -> Vec<M61> {
    let mut out = a.to_vec();
    out.resize(a.len().max(b.len() + c.len()), Prime.zero());
    for (i, b) in b.iter().enumerate() {
        c.iter().enumerate().for_each(|(j, c)| out[i + j] = out[i + j].sub(b.mul(*c)));
    }
    trimmed(out)
}

/// Quotient and rest, `b` not zero.
fn divide(mut a: Vec<M61>, b: &[M61]) -> (Vec<M61>, Vec<M61>) {
    let top = b[b.len() - 1].inverse();
    let mut quotient = vec![Prime.zero(); (a.len() + 1).saturating_sub(b.len())];
    for (place, q) in quotient.iter_mut().enumerate().rev() {
        *q = a[place + b.len() - 1].mul(top);
        b.iter().enumerate().for_each(|(i, b)| a[place + i] = a[place + i].sub(q.mul(*b)));
    }
    (trimmed(quotient), trimmed(a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use privity_mpc_test::conformance::Noise;

    const LEN: usize = 3;

    /// Shares of random polynomials among `n`, and the values at zero.
    fn shares(noise: &mut Noise, n: usize, degree: usize) -> (Vec<Told>, Vec<u64>) {
        let polynomials: Vec<Vec<M61>> =
            (0..LEN).map(|_| (0..=degree).map(|_| M61::of_word(noise.word())).collect()).collect();
        let told = |party| {
            let point = Prime.point(party);
            Told { party, point, shares: polynomials.iter().map(|f| value(f, point).word()).collect() }
        };
        ((0..n).map(told).collect(), polynomials.iter().map(|f| f[0].word()).collect())
    }

    /// How the wrong shares are chosen.
    #[derive(Clone, Copy, Debug)]
    enum Lie {
        /// At random, in every element.
        Random,
        /// So that they are those of another polynomial, which agrees with the right one at as many other parties as possible.
        Forged,
        /// Each liar in an element of its own, where there are enough.
        Spread,
    }

    fn lie(noise: &mut Noise, told: &mut [Told], degree: usize, liars: &[usize], how: Lie) {
        let honest: Vec<M61> =
            told.iter().filter(|t| !liars.contains(&t.party)).map(|t| t.point).take(degree).collect();
        let factor = M61::of_word(noise.word() | 1);
        for (place, liar) in liars.iter().enumerate() {
            let told = &mut told[*liar];
            let forged = honest.iter().fold(factor, |product, x| product.mul(told.point.sub(*x)));
            for (i, share) in told.shares.iter_mut().enumerate() {
                let by = match how {
                    Lie::Random => M61::of_word(noise.word()),
                    Lie::Forged => forged,
                    Lie::Spread if i == place % LEN => M61::of_word(noise.word()),
                    Lie::Spread => continue,
                };
                *share = M61::of_word(*share).add(by).word();
            }
        }
    }

    /// Every set of liars among up to eight parties: within the bound they are corrected and named, up to as many as were reckoned with they are
    /// corrected or nothing is given. A wrong value never.
    #[test]
    fn every_pattern_of_wrong_shares() {
        let mut noise = Noise(15);
        let (mut corrected, mut refused) = (0, 0);
        for n in 2..=8 {
            for (degree, liars) in (0..n).flat_map(|degree| (0..n - degree).map(move |liars| (degree, liars))) {
                let bound = correctable(n, degree, liars).expect("enough to notice");
                for set in (0..1u32 << n).filter(|set| set.count_ones() as usize <= liars) {
                    let set: Vec<usize> = (0..n).filter(|party| set >> party & 1 == 1).collect();
                    for how in [Lie::Random, Lie::Forged, Lie::Spread] {
                        let (mut told, want) = shares(&mut noise, n, degree);
                        lie(&mut noise, &mut told, degree, &set, how);
                        match read(degree, liars, told) {
                            Some((values, wrong)) => {
                                assert_eq!((values, &wrong), (want, &set), "{n} {degree} {liars} {how:?}");
                                corrected += usize::from(!set.is_empty());
                            }
                            None => {
                                assert!(set.len() > bound, "{n} {degree} {liars} {set:?} {how:?}: within the bound");
                                refused += 1;
                            }
                        }
                    }
                }
            }
        }
        assert!(corrected > 1000 && refused > 1000, "{corrected} {refused}");
    }

    #[test]
    fn bounds() {
        // Parties, threshold: as many as may be corrupt are corrected if fewer than a third are, noticed if fewer than half.
        for (n, t, want) in [(4, 1, 1), (7, 2, 2), (10, 3, 3), (3, 1, 0), (5, 2, 0), (6, 2, 1)] {
            assert_eq!(correctable(n, t, t), Some(want));
        }
        // With no more liars than the half of what is to spare, so many are corrected.
        for n in 3..31 {
            for t in 1..n {
                let half = (n - t - 1) / 2;
                assert_eq!(correctable(n, t, half), Some(half));
            }
        }
        assert_eq!(correctable(4, 2, 2), None);
        assert_eq!(correctable(2, 2, 0), None);
    }

    /// More liars than were reckoned with can make a value up: nothing can be done about it.
    #[test]
    fn too_many_liars_can_forge() {
        let mut noise = Noise(4);
        let (mut told, want) = shares(&mut noise, 5, 2);
        lie(&mut noise, &mut told, 2, &[0, 1, 2], Lie::Forged);
        let (values, wrong) = read(2, 2, told).expect("consistent");
        assert!(values.iter().zip(&want).all(|(v, w)| v != w) && wrong.is_empty());
    }

    /// Many parties, many elements, few of them wrong.
    #[test]
    fn long_vectors() {
        let mut noise = Noise(9);
        let (n, degree, liars) = (31, 10, 10);
        let len = 3 * BLOCK + 5;
        let polynomials: Vec<Vec<M61>> =
            (0..len).map(|_| (0..=degree).map(|_| M61::of_word(noise.word())).collect()).collect();
        let mut told: Vec<Told> = (0..n)
            .map(|party| {
                let point = Prime.point(party);
                Told { party, point, shares: polynomials.iter().map(|f| value(f, point).word()).collect() }
            })
            .collect();
        let set = [0, 3, 4, 5, 9, 17, 20, 28, 29, 30];
        for (k, party) in set.iter().enumerate() {
            let at = noise.word() as usize % BLOCK + (k % 3) * BLOCK;
            told[*party].shares[at] ^= 1;
        }
        told.iter_mut().for_each(|t| mersenne::reduce_all(&mut t.shares));
        let (values, wrong) = read(degree, liars, told).expect("within the bound");
        assert_eq!(wrong, set);
        assert!(values.iter().zip(&polynomials).all(|(v, f)| *v == f[0].word()));
    }
}
