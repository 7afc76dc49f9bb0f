//! Pedersen commitments to polynomials over the scalars of Ristretto, and interpolation.

use crate::{Error, Result};
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE as BASE;
use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use privity_prim::fresh_secret;
use std::sync::LazyLock;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Spec 1.1: the second generator. It is hashed to the group, so that nobody knows its logarithm.
static BLINDING: LazyLock<RistrettoPoint> = LazyLock::new(|| {
    let mut wide = [0; 64];
    blake3::Hasher::new_derive_key("privity 2026-11 second generator of verifiable sharing")
        .finalize_xof()
        .fill(&mut wide);
    RistrettoPoint::from_uniform_bytes(&wide)
});

/// A secret scalar and the one that blinds its commitment. Erased on drop; `Debug` is not there.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct Pair {
    pub value: Scalar,
    pub blind: Scalar,
}

/// A uniform scalar of the operating system's randomness.
fn scalar() -> Result<Scalar> {
    let mut wide = Zeroizing::new([0; 64]);
    for half in wide.chunks_exact_mut(32) {
        half.copy_from_slice(fresh_secret().map_err(|_| Error::Randomness)?.expose());
    }
    Ok(Scalar::from_bytes_mod_order_wide(&wide))
}

impl Pair {
    pub fn zero() -> Self {
        Pair { value: Scalar::ZERO, blind: Scalar::ZERO }
    }
    pub fn random() -> Result<Self> {
        Ok(Pair { value: scalar()?, blind: scalar()? })
    }
    /// Spec 1.2.
    pub fn commit(&self) -> RistrettoPoint {
        self.commit_under(&BLINDING)
    }
    fn commit_under(&self, blinding: &RistrettoPoint) -> RistrettoPoint {
        &self.value * BASE + self.blind * blinding
    }
    /// `self = by self + other`, for a public `by`.
    fn scale_add(&mut self, by: &Scalar, other: &Pair) {
        self.value = self.value * by + other.value;
        self.blind = self.blind * by + other.blind;
    }
    /// `self = self + by other`, for a public `by`.
    pub fn add_scaled(&mut self, by: &Scalar, other: &Pair) {
        self.value += other.value * by;
        self.blind += other.blind * by;
    }
}

/// Two polynomials of one degree, of values and of blinds, constant terms first.
pub(super) struct Polynomials(Vec<Pair>);

impl Polynomials {
    /// With these constant terms, and all others uniform.
    pub fn random(constant: Pair, degree: usize) -> Result<Self> {
        let mut coefficients = Vec::with_capacity(degree + 1);
        coefficients.push(constant);
        for _ in 0..degree {
            coefficients.push(Pair::random()?);
        }
        Ok(Polynomials(coefficients))
    }
    /// The values at a public place: Horner's rule.
    pub fn at(&self, x: u8) -> Pair {
        let x = Scalar::from(x);
        self.0.iter().rev().fold(Pair::zero(), |mut sum, coefficient| {
            sum.scale_add(&x, coefficient);
            sum
        })
    }
    /// Spec 1.3: commitments to all coefficients.
    pub fn commitments(&self) -> Vec<RistrettoPoint> {
        self.0.iter().map(Pair::commit).collect()
    }
}

/// Spec 1.4: the commitment to the values at a place, from those to the coefficients. All is public.
pub(super) fn evaluate(commitments: &[RistrettoPoint], x: u8) -> RistrettoPoint {
    commitments.iter().rev().fold(RistrettoPoint::identity(), |sum, commitment| times(&sum, x) + commitment)
}

/// A point times a small public number.
fn times(point: &RistrettoPoint, by: u8) -> RistrettoPoint {
    (0..8).rev().fold(RistrettoPoint::identity(), |sum, bit| {
        let double = sum + sum;
        if by >> bit & 1 == 1 { double + point } else { double }
    })
}

/// Spec 1.5: factors by which values at these distinct places, none of them 0, add up to that at 0.
pub(super) fn lagrange(places: &[u8]) -> Vec<Scalar> {
    let of = |i: &u8| {
        let others = places.iter().filter(|j| *j != i);
        let (above, below) = others.fold((Scalar::ONE, Scalar::ONE), |(above, below), j| {
            let (i, j) = (Scalar::from(*i), Scalar::from(*j));
            (above * j, below * (j - i))
        });
        above * below.invert()
    };
    places.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The polynomial of least degree with these values at these places, evaluated elsewhere.
    fn through(points: &[(Scalar, Scalar)], x: Scalar) -> Scalar {
        let term = |(i, y): &(Scalar, Scalar)| {
            let others = points.iter().filter(|(j, _)| j != i);
            others.fold(*y, |product, (j, _)| product * (x - j) * (i - j).invert())
        };
        points.iter().map(term).sum()
    }

    /// Spec 4.1, step by step. Under a second generator whose logarithm is known, a dealing is turned into one of any other secret with
    /// the same commitments and the same `degree` shares, whichever these are: so they are independent of the secret.
    #[test]
    fn fewer_shares_and_the_commitments_fit_every_secret() {
        for (degree, seen) in [(1, vec![3u8]), (2, vec![1, 2]), (2, vec![5, 31]), (4, vec![2, 3, 7, 11])] {
            let logarithm = scalar().expect("randomness");
            let blinding = &logarithm * BASE;
            let dealt = Polynomials::random(Pair::random().expect("randomness"), degree).expect("randomness");
            let wanted = scalar().expect("randomness");
            // What is to be added to the values: the polynomial that is 0 at all seen places, and the difference of secrets at 0.
            let difference = wanted - dealt.0[0].value;
            let mut points = vec![(Scalar::ZERO, difference)];
            points.extend(seen.iter().map(|x| (Scalar::from(*x), Scalar::ZERO)));
            // Its coefficients: the product of (x - place) over all seen places, scaled.
            let mut added = vec![Scalar::ONE];
            for x in &seen {
                added.push(Scalar::ZERO);
                for k in (0..added.len()).rev() {
                    let below = if k > 0 { added[k - 1] } else { Scalar::ZERO };
                    added[k] = below - Scalar::from(*x) * added[k];
                }
            }
            let scale = difference * added[0].invert();
            added.iter_mut().for_each(|c| *c *= scale);
            let other = Polynomials(
                dealt
                    .0
                    .iter()
                    .zip(&added)
                    .map(|(c, a)| Pair { value: c.value + a, blind: c.blind - a * logarithm.invert() })
                    .collect(),
            );
            assert!(other.at(0).value == wanted && dealt.at(0).value != wanted);
            for x in [0, 1, 2, 9] {
                let place = Scalar::from(x);
                assert_eq!(other.at(x).value - dealt.at(x).value, through(&points, place), "the polynomial wanted");
            }
            for (one, two) in dealt.0.iter().zip(&other.0) {
                assert_eq!(one.commit_under(&blinding), two.commit_under(&blinding), "the same commitments");
            }
            for x in seen {
                let (one, two) = (dealt.at(x), other.at(x));
                assert!(one.value == two.value && one.blind == two.blind, "the same share of {x}");
            }
        }
    }

    #[test]
    fn commitments_are_evaluated_like_what_they_commit_to() {
        let dealt = Polynomials::random(Pair::random().expect("randomness"), 5).expect("randomness");
        let commitments = dealt.commitments();
        for x in 0..=31 {
            assert_eq!(evaluate(&commitments, x), dealt.at(x).commit(), "at {x}");
        }
        for places in [vec![1u8, 2, 3, 4, 5, 6], vec![31, 4, 9, 1, 17, 30], (1..=31).collect()] {
            let mut sum = Pair::zero();
            for (factor, x) in lagrange(&places).iter().zip(&places) {
                sum.add_scaled(factor, &dealt.at(*x));
            }
            assert!(sum.value == dealt.0[0].value && sum.blind == dealt.0[0].blind, "{places:?}");
        }
    }

    /// The generator is part of the format: shares dealt by one version are checked by another.
    #[test]
    fn the_second_generator_is_the_one_of_the_specification() {
        let bytes = BLINDING.compress().to_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let specification = include_str!("../../../../docs/protocols/vss.md");
        assert!(specification.contains(&format!("`{hex}`")), "{hex}");
    }
}
