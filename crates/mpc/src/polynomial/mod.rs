//! Sharings by polynomials over a field: points, weights, who deals what to whom.

mod bits;
mod committee;
mod deal;
mod field;
pub(crate) mod king;
mod packed;
mod prime_bits;
mod replicated;
mod robust;
mod survive;

pub use bits::PolynomialBits;
pub use committee::{Committee, Handover};
pub(crate) use deal::{Exchange, Together, batches, deal, deal_alone};
pub(crate) use field::{Binary, Field, Prime};
pub use king::{Route, Routing};
pub use packed::{PackedShare, Packing};
pub use prime_bits::PrimeBits;
use privity_ring::mersenne::Extrapolation;
pub(crate) use replicated::Sets;
pub use replicated::{MOST_SETS, ReplicatedShare, Replication};
pub(crate) use robust::{Told, correctable, read};
pub(crate) use survive::{ACKNOWLEDGED, Fault, OPENING, Survivors};

/// Sharings among some parties by polynomials of one degree, and how a party deals them: as many others as the degree says draw their
/// shares with the dealer, all else follows from those and the secret.
///
/// In a session a party's point is its own, whoever is lost; in a committee, that of its place among its members.
pub(crate) struct Code<F: Field> {
    pub field: F,
    parties: Vec<usize>,
    /// Their points.
    points: Vec<F::Scalar>,
    /// How many secrets a polynomial has.
    pub secrets: usize,
    dealings: Vec<(usize, Dealing<F>)>,
}

/// How one party deals.
pub(crate) struct Dealing<F: Field> {
    /// Who draw their shares, as many as the degree says.
    pub drawn: Vec<usize>,
    /// Who are told theirs, and what it is: the weights of the secrets and of each drawn share.
    pub told: Vec<(usize, Vec<F::Scalar>)>,
    /// The dealer's own, in the same way; none if it is not one of those who get shares.
    pub own: Vec<F::Scalar>,
    /// A quicker way to all of these in turn, where the field has one.
    extrapolation: Option<Extrapolation>,
}

impl<F: Field> Dealing<F> {
    /// The shares of those who are told theirs, in turn, and the dealer's own, if it has one: from the secrets and what was drawn.
    pub fn shares(&self, field: F, known: &[&[u64]]) -> Vec<Vec<u64>> {
        if let Some(extrapolation) = &self.extrapolation {
            return extrapolation.run(known);
        }
        let of = |weights: &Vec<F::Scalar>| {
            let mut share = vec![0; known[0].len()];
            let terms: Vec<(F::Scalar, &[u64])> = weights.iter().copied().zip(known.iter().copied()).collect();
            field.combine(&mut share, &terms);
            share
        };
        let own = (!self.own.is_empty()).then_some(&self.own);
        self.told.iter().map(|(_, weights)| weights).chain(own).map(of).collect()
    }
}

impl<F: Field> Code<F> {
    /// Among these parties of a session, in ascending order and more than the degree says; they deal, and the secret is the value at zero.
    pub fn new(field: F, parties: &[usize], degree: usize) -> Self {
        let points = parties.iter().map(|party| field.point(*party)).collect();
        Self::at(field, (parties, points), degree, &[field.zero()], parties)
    }
    /// Polynomials of degree `drawn + secrets - 1`: the values at `secrets` are what is shared. These parties get shares, `drawn` of which are
    /// drawn, more than there are secrets to each dealer, one of them or not.
    pub fn of(field: F, parties: &[usize], drawn: usize, secrets: &[F::Scalar], dealers: &[usize]) -> Self {
        let points = (0..parties.len()).map(|place| field.point(place)).collect();
        Self::at(field, (parties, points), drawn, secrets, dealers)
    }
    fn at(
        field: F,
        (parties, points): (&[usize], Vec<F::Scalar>),
        drawn: usize,
        secrets: &[F::Scalar],
        dealers: &[usize],
    ) -> Self {
        let point = |party: usize| points[place(parties, party)];
        let dealing = |dealer: usize| {
            let (before, after): (Vec<usize>, Vec<usize>) = parties.iter().partition(|party| **party < dealer);
            let mut told: Vec<usize> = after.into_iter().chain(before).filter(|party| *party != dealer).collect();
            let drawn: Vec<usize> = told.drain(..drawn).collect();
            let known: Vec<F::Scalar> = secrets.iter().copied().chain(drawn.iter().map(|p| point(*p))).collect();
            let of = |party: usize| weights(field, &known, point(party));
            let own = if parties.contains(&dealer) { of(dealer) } else { Vec::new() };
            let wanted = told.iter().chain(parties.iter().filter(|party| **party == dealer)).map(|party| point(*party));
            let extrapolation = field.extrapolation(&known, &wanted.collect::<Vec<_>>());
            Dealing { own, drawn, extrapolation, told: told.into_iter().map(|party| (party, of(party))).collect() }
        };
        let dealings = dealers.iter().map(|dealer| (*dealer, dealing(*dealer))).collect();
        Code { field, parties: parties.to_vec(), secrets: secrets.len(), dealings, points }
    }
    /// The parties.
    pub fn parties(&self) -> &[usize] {
        &self.parties
    }
    /// How a party deals.
    pub fn dealing(&self, dealer: usize) -> &Dealing<F> {
        &self.dealings.iter().find(|(party, _)| *party == dealer).expect("one of the dealers").1
    }
    /// The first so many parties, and what each multiplies its value of a polynomial of lower degree by so that the sum is the secret.
    pub fn recombination(&self, count: usize) -> Vec<(usize, F::Scalar)> {
        self.recombination_at(count, self.field.zero())
    }
    /// The same for the value at any point.
    pub fn recombination_at(&self, count: usize, at: F::Scalar) -> Vec<(usize, F::Scalar)> {
        self.parties[..count].iter().copied().zip(weights(self.field, &self.points[..count], at)).collect()
    }
}

/// A party's place among some.
fn place(parties: &[usize], party: usize) -> usize {
    parties.iter().position(|other| *other == party).expect("one of the parties")
}

/// Lagrange's weights: of the values at `points`, those that give the value at `at` of the polynomial through them.
pub(crate) fn weights<F: Field>(field: F, points: &[F::Scalar], at: F::Scalar) -> Vec<F::Scalar> {
    let weight = |j: usize| {
        let others = || points.iter().enumerate().filter(move |(m, _)| *m != j).map(|(_, x)| *x);
        let over = others().fold(field.one(), |product, x| field.mul(product, field.sub(at, x)));
        let under = others().fold(field.one(), |product, x| field.mul(product, field.sub(points[j], x)));
        field.mul(over, field.inverse(under))
    };
    (0..points.len()).map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use privity_ring::{M61, Ring};

    /// Shares as dealt lie on one polynomial of the degree, and any set of enough of them gives the secret back.
    fn dealt_shares_are_of_one_polynomial<F: Field<Scalar: PartialEq + std::fmt::Debug>>(
        field: F,
        scalar: impl Fn(usize) -> F::Scalar,
    ) {
        for (n, t) in [(3, 1), (4, 1), (5, 2), (7, 3), (7, 2), (1, 0)] {
            let code = Code::new(field, &(0..n).collect::<Vec<_>>(), t);
            for dealer in 0..n {
                let dealing = code.dealing(dealer);
                let known: Vec<F::Scalar> = (0..=t).map(&scalar).collect();
                let of = |weights: &[F::Scalar]| {
                    weights
                        .iter()
                        .zip(&known)
                        .fold(field.zero(), |sum, (w, x)| field.sub(sum, field.sub(field.zero(), field.mul(*w, *x))))
                };
                let mut shares = vec![field.zero(); n];
                dealing.drawn.iter().zip(&known[1..]).for_each(|(party, x)| shares[*party] = *x);
                dealing.told.iter().for_each(|(party, weights)| shares[*party] = of(weights));
                shares[dealer] = of(&dealing.own);
                for from in 0..n - t {
                    let points: Vec<F::Scalar> = (from..=from + t).map(|party| field.point(party)).collect();
                    let weights = weights(field, &points, field.zero());
                    let sum = weights
                        .iter()
                        .zip(&shares[from..])
                        .fold(field.zero(), |s, (w, x)| field.sub(s, field.sub(field.zero(), field.mul(*w, *x))));
                    assert_eq!(sum, known[0], "n = {n}, t = {t}, dealer {dealer}, from {from}");
                }
            }
        }
    }

    /// With the secrets fixed, what is drawn follows from the shares of any `t` parties: these are as uniform as that is.
    #[test]
    fn as_many_shares_as_are_drawn_say_nothing() {
        let secret = |slot: usize| M61::from_u64(slot as u64 + 1).negated();
        let cases: [(&[usize], usize, usize, &[usize]); 5] = [
            (&[0, 1, 2, 3, 4], 2, 1, &[0, 3]),
            (&[0, 1, 2, 3, 4], 1, 2, &[1, 4]),
            (&[0, 1, 2, 3, 4, 5, 6, 7, 8], 2, 3, &[0, 8]),
            (&[1, 2, 5, 6], 1, 1, &[0, 3, 7, 5]),
            (&[0, 2, 3, 6, 9], 2, 1, &[4, 10, 9]),
        ];
        for (parties, t, secrets, dealers) in cases {
            let points: Vec<M61> = (0..secrets).map(secret).collect();
            let code = Code::of(Prime, parties, t, &points, dealers);
            let known: Vec<M61> = (0..secrets + t).map(|i| Prime.point(977 * i + 3)).collect();
            let sum = |weights: &[M61], of: &[M61]| {
                weights.iter().zip(of).fold(Prime.zero(), |sum, (w, x)| sum.add(w.mul(*x)))
            };
            for dealer in dealers {
                let dealing = code.dealing(*dealer);
                let mut shares: Vec<(usize, M61)> =
                    dealing.drawn.iter().copied().zip(known[secrets..].to_vec()).collect();
                shares.extend(dealing.told.iter().map(|(party, weights)| (*party, sum(weights, &known))));
                assert_eq!(shares.len(), parties.iter().filter(|party| *party != dealer).count());
                for set in (0..1u32 << shares.len()).filter(|set| set.count_ones() as usize == t) {
                    let seen = || shares.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1).map(|(_, share)| share);
                    let at = |party: usize| Prime.point(place(parties, party));
                    let all: Vec<M61> = points.iter().copied().chain(seen().map(|(party, _)| at(*party))).collect();
                    let values: Vec<M61> = known[..secrets].iter().copied().chain(seen().map(|(_, x)| *x)).collect();
                    for (party, drawn) in dealing.drawn.iter().zip(&known[secrets..]) {
                        assert_eq!(sum(&weights(Prime, &all, at(*party)), &values), *drawn, "{parties:?}, {dealer}");
                    }
                }
            }
        }
    }

    #[test]
    fn of_the_prime_field() {
        dealt_shares_are_of_one_polynomial(Prime, |i| Prime.point(1000 * i + 17));
    }

    #[test]
    fn of_binary_fields() {
        for n in [7, 15, 31] {
            let field = Binary::for_parties(n);
            dealt_shares_are_of_one_polynomial(field, |i| field.point((3 * i + 1) % n));
        }
    }
}
