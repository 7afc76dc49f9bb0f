//! Verification of products before anything is opened. Spec 19.
//!
//! All products since the last verification become one inner product of two shared vectors and its claimed value, by public random
//! coefficients; the vectors are shortened again and again (Goyal, Song); what is left of them is masked, opened and multiplied out.

use super::input::recombined;
use super::{Dealers, Shamir};
use crate::polynomial::{Field, Prime, Together, weights};
use crate::{Error, Product, Result};
use privity_prim::Prg;
use privity_ring::{Bilinear, M61, Tensor, mersenne};

/// Parts that a vector is cut into at each step.
pub(super) const PARTS: usize = 8;

/// Products since the last verification, of shares as they were: clones share their elements.
#[derive(Default)]
pub(crate) struct Debt {
    claims: Vec<Claim>,
    /// Sharings of what must be zero.
    zeros: Vec<Tensor<M61>>,
    /// Elements of all these.
    held: usize,
    /// Whether anything was dealt since the last verdict.
    dealt: bool,
    /// Whether a verdict was bad: nothing is opened any more.
    failed: bool,
}

/// `z` is claimed to be the sum of products of pairs; of one pair, if they are matrices.
struct Claim {
    op: Bilinear,
    pairs: Vec<(Tensor<M61>, Tensor<M61>)>,
    z: Tensor<M61>,
}

impl Debt {
    /// Spec 19.1: remembers products and what came of them.
    pub(super) fn owe(&mut self, jobs: &[Product<'_, Tensor<M61>>], results: &[Tensor<M61>]) {
        self.dealt = true;
        jobs.iter().zip(results).for_each(|(job, z)| self.owe_sum(job.op, vec![(job.x.clone(), job.y.clone())], z));
    }
    /// The same of a sum of products.
    pub(crate) fn owe_sum(&mut self, op: Bilinear, pairs: Vec<(Tensor<M61>, Tensor<M61>)>, z: &Tensor<M61>) {
        if !z.is_empty() {
            self.dealt = true;
            self.held += z.len() + pairs.iter().map(|(x, y)| x.len() + y.len()).sum::<usize>();
            self.claims.push(Claim { op, pairs, z: z.clone() });
        }
    }
    /// Numbers that must be 0 or 1: their own squares.
    pub(crate) fn owe_bits(&mut self, bits: &Tensor<M61>) {
        self.dealt = true;
        self.held += bits.len();
        self.claims.push(Claim { op: Bilinear::Mul, pairs: vec![(bits.clone(), bits.clone())], z: bits.clone() });
    }
    /// Numbers that must be zero.
    pub(crate) fn owe_zeros(&mut self, zeros: Tensor<M61>) {
        self.dealt = true;
        self.held += zeros.len();
        self.zeros.push(zeros);
    }
    /// Something was dealt that needs no proof, but to have arrived.
    pub(super) fn dealt(&mut self) {
        self.dealt = true;
    }
    /// Spec 19.6: whether a verdict was bad, or is to come.
    pub(super) fn failed(&mut self, failed: bool) {
        self.failed = failed;
    }
    /// Elements that are kept for the next verification.
    pub(crate) fn held(&self) -> usize {
        self.held
    }
}

/// Two shared vectors, and a shared number that is claimed to be their inner product.
struct InnerProduct {
    x: Vec<u64>,
    y: Vec<u64>,
    z: u64,
}

/// Spec 19.2 to 19.6: one verdict on all that is owed.
pub(crate) fn settle(p: &mut Shamir) -> Result<()> {
    let Some(debt) = &mut p.debt else { return Ok(()) };
    if !debt.dealt && !debt.failed {
        return Ok(());
    }
    let (claims, zeros) = (std::mem::take(&mut debt.claims), std::mem::take(&mut debt.zeros));
    if debt.failed {
        return Err(Error::Cheating { check: "an earlier verification" });
    }
    debt.failed = true;
    let holds = claims.is_empty() && zeros.is_empty() || check(p, &claims, &zeros)?;
    verdict(p, holds, "verification of products")?;
    p.debt = Some(Debt::default());
    p.party.agreed();
    Ok(())
}

fn check(p: &mut Shamir, claims: &[Claim], zeros: &[Tensor<M61>]) -> Result<bool> {
    let coins = public_coins(p)?;
    let mut all = combined(claims, zeros, &Prg::new(coins));
    while all.x.len() > PARTS {
        all = shortened(p, all)?;
    }
    last(p, all)
}

/// Spec 19.2: with a coefficient for each product and each zero; of a matrix product, the outer product of two vectors of coefficients.
fn combined(claims: &[Claim], zeros: &[Tensor<M61>], coins: &Prg) -> InnerProduct {
    let mut all = InnerProduct { x: Vec::new(), y: Vec::new(), z: 0 };
    let coefficients = |index: usize, side: u64, len: usize| {
        let mut words = vec![0; len];
        coins.fill(2 * index as u64 + side, 0, &mut words);
        // All ones count as zero here: public coefficients need not be uniform to the last bit.
        mersenne::reduce_all(&mut words);
        words
    };
    for (index, zeros) in (claims.len()..).zip(zeros) {
        let c = coefficients(index, 0, zeros.len());
        all.z = sum([all.z, mersenne::inner_product(&c, mersenne::words(zeros.data()))]);
    }
    for (index, claim) in claims.iter().enumerate() {
        let coefficients = |side, len| coefficients(index, side, len);
        let z = mersenne::words(claim.z.data());
        match claim.op {
            Bilinear::Mul => {
                let c = coefficients(0, z.len());
                all.z = sum([all.z, mersenne::inner_product(&c, z)]);
                for (x, y) in &claim.pairs {
                    let mut weighted = c.clone();
                    mersenne::mul_assign(&mut weighted, mersenne::words(x.data()));
                    all.x.extend(weighted);
                    all.y.extend_from_slice(mersenne::words(y.data()));
                }
            }
            Bilinear::MatMul => {
                let (left, right) = &claim.pairs[0];
                let (rows, columns) = (coefficients(0, claim.z.rows()), coefficients(1, claim.z.cols()));
                let weigh = |m: &Tensor<M61>| -> Vec<u64> {
                    let rows = mersenne::words(m.data()).chunks_exact(m.cols());
                    rows.map(|row| mersenne::inner_product(row, &columns)).collect()
                };
                all.z = sum([all.z, mersenne::inner_product(&rows, &weigh(&claim.z))]);
                all.y.extend(weigh(right));
                let mut x = vec![0; left.cols()];
                for (c, row) in rows.iter().zip(mersenne::words(left.data()).chunks_exact(left.cols().max(1))) {
                    mersenne::add_scaled(&mut x, M61::of_word(*c), row);
                }
                all.x.extend(x);
            }
        }
    }
    all
}

fn sum<const N: usize>(words: [u64; N]) -> u64 {
    words.into_iter().fold(0, |sum, word| mersenne::reduce(sum + word))
}

/// Spec 19.3: the parts are values at 1, 2, .. of polynomials; their product, a polynomial of twice the degree, is claimed at as many points as
/// fix it, one claim being what is left of the sum; at a random point, a claim about a vector as long as a part remains.
fn shortened(p: &mut Shamir, mut all: InnerProduct) -> Result<InnerProduct> {
    let sum = Sum { value: all.z, from: 0 };
    let (x, y) = parts(&mut all);
    let (at, claimed) = claims_at_points(p, &x, &y, sum)?;
    Ok(InnerProduct { x: value_at(&x, at), y: value_at(&y, at), z: recombined_at(&claimed, at) })
}

/// Both vectors in parts of one length, filled up with zeros.
fn parts(all: &mut InnerProduct) -> (Vec<&[u64]>, Vec<&[u64]>) {
    let len = all.x.len().div_ceil(PARTS);
    all.x.resize(PARTS * len, 0);
    all.y.resize(PARTS * len, 0);
    (all.x.chunks_exact(len).collect(), all.y.chunks_exact(len).collect())
}

/// What the products of all parts but the first few are claimed to add up to.
struct Sum {
    value: u64,
    from: usize,
}

/// Claims of the product polynomial at 1 to `2 k - 1` for `k` parts, and the random point at which they are to hold. The parties make all of them but the
/// one at `k`, which is what is left of the sum: nothing that is made here becomes part of the sum, so if that was wrong, a claim is wrong.
fn claims_at_points(p: &mut Shamir, x: &[&[u64]], y: &[&[u64]], sum: Sum) -> Result<(M61, Vec<u64>)> {
    let parts = x.len();
    let claimed = p.reduce_numbers(2 * parts - 2, || products_at_points(x, y))?;
    let claimed = with_rest(claimed, parts, sum);
    let coins = public_coins(p)?;
    let at = M61::of_word(u64::from_le_bytes(coins[..8].try_into().expect("eight bytes")));
    Ok((at, claimed))
}

/// Shares of degree `2 t` of the product polynomial at 1 to `2 k - 1`, but for `k`.
fn products_at_points(x: &[&[u64]], y: &[&[u64]]) -> Vec<u64> {
    let parts = x.len();
    let within = x[..parts - 1].iter().zip(y).map(|(x, y)| mersenne::inner_product(x, y));
    let beyond = (parts..2 * parts - 1).map(|point| Prime.point(point));
    let after = beyond.map(|at| mersenne::inner_product(&value_at(x, at), &value_at(y, at)));
    within.chain(after).collect()
}

/// The claim at `parts` with the others.
fn with_rest(mut claimed: Vec<u64>, parts: usize, sum: Sum) -> Vec<u64> {
    let made = &claimed[sum.from..parts - 1];
    let rest = made.iter().fold(sum.value, |rest, part| mersenne::reduce(rest + mersenne::P - part));
    claimed.insert(parts - 1, rest);
    claimed
}

/// The polynomial whose values at 1, 2, .. are vectors, at a point.
fn value_at(parts: &[&[u64]], at: M61) -> Vec<u64> {
    let points: Vec<M61> = (0..parts.len()).map(|i| Prime.point(i)).collect();
    let terms: Vec<(M61, &[u64])> = weights(Prime, &points, at).into_iter().zip(parts.iter().copied()).collect();
    let mut value = vec![0; parts[0].len()];
    mersenne::combine(&mut value, &terms);
    value
}

fn recombined_at(values: &[u64], at: M61) -> u64 {
    let values: Vec<[u64; 1]> = values.iter().map(|value| [*value]).collect();
    value_at(&values.iter().map(|value| &value[..]).collect::<Vec<_>>(), at)[0]
}

/// Spec 19.4: a random pair and the elements that are left are values of polynomials; at a random point all is opened: uniform numbers but for their
/// product.
fn last(p: &mut Shamir, all: InnerProduct) -> Result<bool> {
    let masked = masked(p, all)?;
    let (x, y): (Vec<&[u64]>, Vec<&[u64]>) = (masked.x.chunks_exact(1).collect(), masked.y.chunks_exact(1).collect());
    // The random pair's product is claimed at a point of its own. It must not be added to the sum: whoever makes it knows by how much that is wrong.
    let (at, claimed) = claims_at_points(p, &x, &y, Sum { value: masked.z, from: 1 })?;
    opened_at(p, (&x, &y, &claimed), at)
}

/// A random pair before the others; the sum does not have it. One other there is at least, for the sum to be claimed at.
fn masked(p: &mut Shamir, mut all: InnerProduct) -> Result<InnerProduct> {
    if all.x.is_empty() {
        (all.x, all.y) = (vec![0], vec![0]);
    }
    let masks = random(p, 2)?;
    all.x.insert(0, masks[0]);
    all.y.insert(0, masks[1]);
    Ok(all)
}

/// Whether the claim holds at this point, of polynomials with random values at 1.
fn opened_at(p: &mut Shamir, (x, y, claimed): (&[&[u64]], &[&[u64]], &[u64]), at: M61) -> Result<bool> {
    if at.word() <= x.len() as u64 {
        // There the mask would weigh nothing: nothing is opened. Coins are so once in 2^57 times.
        return Ok(false);
    }
    let shares = [value_at(x, at)[0], value_at(y, at)[0], recombined_at(claimed, at)];
    let opened = open_to_all(p, &shares)?;
    Ok(mersenne::inner_product(&opened[..1], &opened[1..2]) == opened[2])
}

/// Shared numbers that nobody knows, dealt by all.
fn random(p: &mut Shamir, len: usize) -> Result<Vec<u64>> {
    let mut own = vec![0; len];
    for word in &mut own {
        let fresh = privity_prim::fresh_secret().map_err(|_| Error::Randomness)?;
        *word = mersenne::reduce(u64::from_le_bytes(fresh.expose()[..8].try_into().expect("eight bytes")));
    }
    let numbers = |p: &Shamir| p.numbers.clone();
    let all = Dealers::First(p.party.n());
    Ok(p.dealt_by(numbers, all, (len, Together::Added), |_| own.clone())?.remove(0))
}

/// Spec 19.5: public randomness, fixed before it is known: two shared numbers, opened.
fn public_coins(p: &mut Shamir) -> Result<[u8; 16]> {
    let shares = random(p, 2)?;
    // Only when all that was dealt, these numbers included, has arrived at everybody is a share of them told: else a corrupt party, told by one
    // honest party, could choose what it still owes another, and with it the coins.
    verdict(p, true, "arrival of what was dealt")?;
    let opened = open_to_all(p, &shares)?;
    let mut coins = [0; 16];
    coins.chunks_exact_mut(8).zip(opened).for_each(|(coin, word)| coin.copy_from_slice(&word.to_le_bytes()));
    Ok(coins)
}

/// A few numbers to all, every share told to everybody and held against all others.
fn open_to_all(p: &mut Shamir, shares: &[u64]) -> Result<Vec<u64>> {
    let (me, n, step) = (p.party.me(), p.party.n(), p.party.next_step());
    for peer in (0..n).filter(|peer| *peer != me) {
        p.party.send(peer, step, 0, shares)?;
    }
    let mut told = vec![shares.to_vec(); n];
    for peer in (0..n).filter(|peer| *peer != me) {
        p.party.recv(peer, step, 0, &mut told[peer])?;
    }
    consistent(p.threshold, told).ok_or(Error::Cheating { check: "consistency of opened shares" })
}

/// Spec 19.6: the secrets, if all parties' shares are of one polynomial of degree `t`.
pub(super) fn consistent(t: usize, mut told: Vec<Vec<u64>>) -> Option<Vec<u64>> {
    told.iter_mut().for_each(|share| Prime.received(share));
    let first: Vec<usize> = (0..=t).collect();
    let points: Vec<M61> = first.iter().map(|party| Prime.point(*party)).collect();
    let mut same = true;
    for (party, share) in told.iter().enumerate().skip(t + 1) {
        let known = told[..=t].iter().map(Vec::as_slice);
        let terms: Vec<(M61, &[u64])> = weights(Prime, &points, Prime.point(party)).into_iter().zip(known).collect();
        let mut wanted = vec![0; share.len()];
        mersenne::combine(&mut wanted, &terms);
        same &= wanted == *share;
    }
    told.truncate(t + 1);
    same.then(|| recombined(&first, told))
}

/// Spec 19.6: all tell all whether all holds; it does if all say so.
pub(super) fn verdict(p: &mut Shamir, holds: bool, check: &'static str) -> Result<()> {
    let (me, n, step) = (p.party.me(), p.party.n(), p.party.next_step());
    for peer in (0..n).filter(|peer| *peer != me) {
        p.party.send(peer, step, 0, &[holds.into()])?;
    }
    let mut all = holds;
    for peer in (0..n).filter(|peer| *peer != me) {
        let mut theirs = [0];
        p.party.recv(peer, step, 0, &mut theirs)?;
        all &= theirs == [1];
    }
    if all { Ok(()) } else { Err(Error::Cheating { check }) }
}

/// What there is no verification of.
pub(super) fn unverified(operation: &'static str) -> Error {
    let problem = "is not verified under shamir: inputs, linear maps, products without division and openings are; \
                   use shamir-active or rep4, or shamir without verification";
    Error::Parameter { operation, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shamir::of_first;
    use crate::{Config, Party, Protocol};
    use privity_net::sim::mesh;
    use privity_ring::Shape;

    /// What party 0 deals wrongly before a verification.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Wrong {
        Nothing,
        Product,
        Matrix,
        /// Two, as a bit.
        Bit,
        /// What must be zero: a refresh, or integers less the value that they are to add up to.
        Zero,
    }
    const WRONG: [Wrong; 4] = [Wrong::Product, Wrong::Matrix, Wrong::Bit, Wrong::Zero];

    /// What it adds to the claims that it makes in a verification, so many, knowing by how much the sum is wrong. All errors are in units of its weight.
    type Hide = fn(u64, usize) -> Vec<u64>;
    const HIDE: [Hide; 5] = [
        |_, len| vec![0; len],
        // The masks' product hides it: in a sum of all, the error would be gone.
        |error, len| at_index(mersenne::P - error, len, 0),
        |error, len| at_index(error, len, 0),
        // The claim that is left is right, if others are made.
        |error, len| at_index(error, len, 1),
        |error, len| vec![error; len],
    ];

    fn at_index(error: u64, len: usize, index: usize) -> Vec<u64> {
        let mut errors = vec![0; len];
        errors[index] = mersenne::reduce(error);
        errors
    }
    fn vector(words: Vec<u64>) -> Tensor<M61> {
        Tensor::new(Shape::vector(words.len()), mersenne::elements(words))
    }
    /// A number that the last party has and no other knows.
    fn secrets(p: &mut Shamir, shape: &Shape) -> Tensor<M61> {
        let last = p.party.n() - 1;
        let words = (0..shape.len() as u64).map(|k| (k + 3) << 40).collect();
        let given = Tensor::new(shape.clone(), mersenne::elements(words));
        p.input(last, shape, (p.me() == last).then_some(&given)).expect("shared")
    }
    /// `x y`, the first element wrong by `error` of party 0.
    fn multiplied(p: &mut Shamir, op: Bilinear, (x, y): (&Tensor<M61>, &Tensor<M61>), shape: &Shape, error: u64) {
        let local = || {
            let mut products = vec![0; shape.len()];
            mersenne::add_product(op, x, y, &mut products);
            products[0] = mersenne::reduce(products[0] + error);
            products
        };
        let z = p.reduce_numbers(shape.len(), local).expect("dealt");
        let z = Tensor::new(shape.clone(), mersenne::elements(z));
        p.debt.as_mut().expect("verified").owe_sum(op, vec![(x.clone(), y.clone())], &z);
    }
    /// Party 0 deals a number.
    fn dealt(p: &mut Shamir, number: u64) -> Tensor<M61> {
        let numbers = |p: &Shamir| p.numbers.clone();
        let shares = p.dealt_by(numbers, Dealers::Only(0), (1, Together::Added), |_| vec![number]).expect("dealt");
        vector(shares.into_iter().next().expect("one vector"))
    }

    /// So many right products, and what is wrong.
    fn owe(p: &mut Shamir, right: usize, wrong: Wrong) {
        if right > 0 {
            let x = secrets(p, &Shape::vector(right));
            multiplied(p, Bilinear::Mul, (&x, &x), x.shape(), 0);
        }
        let error = u64::from(p.me() == 0);
        match wrong {
            Wrong::Nothing => {}
            Wrong::Product => {
                let x = secrets(p, &Shape::vector(2));
                multiplied(p, Bilinear::Mul, (&x, &x), x.shape(), error);
            }
            Wrong::Matrix => {
                let (x, y) = (secrets(p, &Shape::matrix(2, 3)), secrets(p, &Shape::matrix(3, 2)));
                multiplied(p, Bilinear::MatMul, (&x, &y), &Shape::matrix(2, 2), error);
            }
            Wrong::Bit => {
                let bits = dealt(p, 2);
                p.debt.as_mut().expect("verified").owe_bits(&bits);
            }
            Wrong::Zero => {
                let zeros = dealt(p, 5);
                p.debt.as_mut().expect("verified").owe_zeros(zeros);
            }
        }
    }

    /// By how much claims are wrong: the last one, or what must be zero.
    fn errors(debt: &Debt, wrong: Wrong, weight: M61) -> (Vec<Claim>, Vec<Tensor<M61>>) {
        let of_number = |number: u64| {
            let mut words = vec![number];
            mersenne::scale_assign(&mut words, weight.inverse());
            words[0]
        };
        let error = match wrong {
            Wrong::Nothing => 0,
            Wrong::Product | Wrong::Matrix => 1,
            // 2 less its square.
            Wrong::Bit => of_number(mersenne::P - 2),
            Wrong::Zero => of_number(5),
        };
        let of = |z: &Tensor<M61>, error| {
            let words = if z.is_empty() { Vec::new() } else { at_index(error, z.len(), 0) };
            Tensor::new(z.shape().clone(), mersenne::elements(words))
        };
        let last = if wrong == Wrong::Zero { usize::MAX } else { debt.claims.len().wrapping_sub(1) };
        let claim = |(index, claim): (usize, &Claim)| Claim {
            op: claim.op,
            pairs: claim.pairs.clone(),
            z: of(&claim.z, if index == last { error } else { 0 }),
        };
        let claims = debt.claims.iter().enumerate().map(claim).collect();
        (claims, debt.zeros.iter().map(|z| of(z, error)).collect())
    }

    /// [`claims_at_points`] of a party that deviates; what the error has become.
    fn claims_with_errors(
        p: &mut Shamir,
        (x, y): (&[&[u64]], &[&[u64]]),
        sum: Sum,
        error: u64,
        hide: Hide,
    ) -> Result<(M61, Vec<u64>, u64)> {
        let (parts, from) = (x.len(), sum.from);
        let added = hide(error, 2 * parts - 2);
        let local = || {
            let mut products = products_at_points(x, y);
            mersenne::add_assign(&mut products, &added);
            products
        };
        let claimed = with_rest(p.reduce_numbers(2 * parts - 2, local)?, parts, sum);
        let errors = with_rest(added.clone(), parts, Sum { value: error, from });
        let coins = public_coins(p)?;
        let at = M61::of_word(u64::from_le_bytes(coins[..8].try_into().expect("eight bytes")));
        Ok((at, claimed, recombined_at(&errors, at)))
    }

    /// [`settle`] of a party that deviates.
    fn settle_and_hide(p: &mut Shamir, wrong: Wrong, hide: Hide) -> Result<()> {
        let weight = of_first(&p.numbers, p.party.n(), 0);
        let debt = p.debt.take().expect("verified");
        let (claims, zeros) = errors(&debt, wrong, weight);
        let coins = Prg::new(public_coins(p)?);
        let (mut all, mut error) = (combined(&debt.claims, &debt.zeros, &coins), combined(&claims, &zeros, &coins).z);
        while all.x.len() > PARTS {
            let value = all.z;
            let (x, y) = parts(&mut all);
            let (at, claimed, left) = claims_with_errors(p, (&x, &y), Sum { value, from: 0 }, error, hide)?;
            (all, error) =
                (InnerProduct { x: value_at(&x, at), y: value_at(&y, at), z: recombined_at(&claimed, at) }, left);
        }
        let masked = masked(p, all)?;
        let (x, y): (Vec<&[u64]>, Vec<&[u64]>) =
            (masked.x.chunks_exact(1).collect(), masked.y.chunks_exact(1).collect());
        let (at, claimed, _) = claims_with_errors(p, (&x, &y), Sum { value: masked.z, from: 1 }, error, hide)?;
        opened_at(p, (&x, &y, &claimed), at)?;
        verdict(p, true, "what a party that deviates says holds")
    }

    /// Runs something at `2 t + 1` parties.
    fn run<T: Send>(t: usize, program: impl Fn(&mut Shamir) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let start = |link| {
                let program = &program;
                scope.spawn(move || {
                    let party = Party::connect(Box::new(link), &Default::default()).expect("keys");
                    program(
                        &mut Shamir::verified(party, Config::default().in_a_field(), t).expect("a sound configuration"),
                    )
                })
            };
            let parties: Vec<_> = mesh(2 * t + 1, Default::default()).into_iter().map(start).collect();
            parties.into_iter().map(|party| party.join().expect("the program panicked")).collect()
        })
    }

    /// Vectors that are empty, shorter than the parts of a step, as many, and longer.
    const RIGHT: [usize; 5] = [0, 3, 8, 9, 100];

    fn attacked(p: &mut Shamir, right: usize, wrong: Wrong, hide: Hide) -> Result<()> {
        p.debt = Some(Debt::default());
        owe(p, right, wrong);
        if p.me() == 0 { settle_and_hide(p, wrong, hide) } else { settle(p) }
    }

    /// A party that knows by how much a claim is wrong, as it always does, cannot make it hold by what it deals in the verification.
    #[test]
    fn no_error_is_cancelled_in_the_verification() {
        for t in [1, 2] {
            run(t, |p| {
                for (hide, right) in (0..HIDE.len()).flat_map(|hide| RIGHT.map(|right| (hide, right))) {
                    for wrong in [WRONG; 3].concat() {
                        let end = attacked(p, right, wrong, HIDE[hide]);
                        let noticed = matches!(end, Err(Error::Cheating { .. }));
                        assert!(noticed, "t = {t}, {right} products and {wrong:?}, way {hide}: {end:?}");
                    }
                }
            });
        }
    }

    /// The party of these tests is noticed for what is wrong, and for nothing else.
    #[test]
    fn without_an_error_the_same_verification_holds() {
        for t in [1, 2] {
            run(t, |p| {
                for right in RIGHT.into_iter().filter(|right| *right > 0) {
                    attacked(p, right, Wrong::Nothing, HIDE[1]).expect("nothing is wrong");
                }
            });
        }
    }
}
