//! Several values in one polynomial, for products of whole batches. Spec 16.

use super::{Code, Field, Prime, Together, deal_alone};
use crate::protocol::check_input;
use crate::{Error, Party, Result};
use privity_ring::{M61, Ring, Shape, Tensor, mersenne};

/// One party's shares of values of which several lie in each polynomial. Element-wise maps act on all of them alike; nothing moves a value to
/// another place but unpacking. `Debug` prints the shape only.
#[derive(Clone)]
pub struct PackedShare {
    shape: Shape,
    /// The values in so many blocks of one length, zeros at the end; the values of one place in their blocks lie in one polynomial.
    slots: usize,
    share: Vec<u64>,
}

impl std::fmt::Debug for PackedShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackedShare{:?}", self.shape.extents())
    }
}

impl PackedShare {
    /// Shape of the values.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }
    /// `self + o`. Local.
    pub fn add(&self, o: &Self) -> Self {
        self.plus(o, M61::from_u64(1))
    }
    /// `self - o`. Local.
    pub fn sub(&self, o: &Self) -> Self {
        self.plus(o, M61::from_u64(1).negated())
    }
    /// `self` times a public integer. Local.
    pub fn scale(&self, by: u64) -> Self {
        let mut result = self.clone();
        mersenne::scale_assign(&mut result.share, M61::from_u64(by));
        result
    }
    fn plus(&self, o: &Self, factor: M61) -> Self {
        assert!(self.shape == o.shape && self.slots == o.slots, "packed operands must have one shape and packing");
        let mut result = self.clone();
        mersenne::add_scaled(&mut result.share, factor, &o.share);
        result
    }
}

/// How values are packed.
pub struct Packing {
    pub(crate) plain: Code<Prime>,
    pub(crate) packed: Code<Prime>,
    threshold: usize,
}

impl Packing {
    /// `slots` values in a polynomial of degree `threshold + slots - 1` among all `n` parties, of which any `threshold` learn nothing.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless there are two slots or more and `2 (threshold + slots - 1) < n <= 31`.
    pub fn new(n: usize, threshold: usize, slots: usize) -> Result<Packing> {
        if threshold == 0 || slots < 2 || n > crate::shamir::MOST || 2 * (threshold + slots - 1) >= n {
            let problem = format!(
                "{slots} values in a polynomial, {threshold} of {n} parties corrupt; there must be 2 values or more, and 2 (corrupt + values - 1) parties less than {n}"
            );
            return Err(Error::Parameter { operation: "packing", problem });
        }
        let all: Vec<usize> = (0..n).collect();
        let points: Vec<M61> = (0..slots).map(point).collect();
        let packed = Code::of(Prime, &all, threshold, &points, &all);
        Ok(Packing { plain: Code::new(Prime, &all, threshold), packed, threshold })
    }
    /// Values in a polynomial.
    pub fn slots(&self) -> usize {
        self.packed.secrets
    }
    /// Polynomials of so many values.
    pub(crate) fn polynomials(&self, len: usize) -> usize {
        len.div_ceil(self.slots())
    }
    fn degree(&self) -> usize {
        self.threshold + self.slots() - 1
    }
    /// Who deal when ordinary sharings are packed, when products are packed anew, and when they are unpacked.
    pub(crate) fn dealers(&self) -> [Vec<usize>; 3] {
        [self.threshold + 1, 2 * self.degree() + 1, self.degree() + 1].map(|count| (0..count).collect())
    }
    fn wrap(&self, shape: &Shape, share: Vec<u64>) -> PackedShare {
        PackedShare { shape: shape.clone(), slots: self.slots(), share }
    }

    /// The owner shares a packed input. One round, `n - 1 - t` elements for each polynomial.
    ///
    /// # Errors
    /// [`Error::Input`] if not exactly the owner gives it, in this shape; the network.
    pub fn input(
        &self,
        party: &mut Party,
        owner: usize,
        shape: &Shape,
        x: Option<&Tensor<M61>>,
    ) -> Result<PackedShare> {
        let given = check_input(owner, party.me(), shape, x)?;
        let mine = || given.map(|x| self.blocks(x)).unwrap_or_default();
        let len = self.polynomials(shape.len());
        let dealt = deal_alone(party, &self.packed, &[owner], len, Together::Added, mine)?.remove(0);
        Ok(self.wrap(shape, dealt))
    }

    /// Packs an ordinary sharing. One round, `(t + 1) (n - 1 - t)` elements for each polynomial. Spec 16.3.
    ///
    /// # Errors
    /// The network.
    pub fn pack(&self, party: &mut Party, x: &Tensor<M61>) -> Result<PackedShare> {
        let (me, [dealers, ..]) = (party.me(), self.dealers());
        let mine = || {
            let mut weighted = self.blocks(x);
            mersenne::scale_assign(&mut weighted, weight(&self.plain, dealers.len(), me, Prime.zero()));
            weighted
        };
        let dealt =
            deal_alone(party, &self.packed, &dealers, self.polynomials(x.len()), Together::Added, mine)?.remove(0);
        Ok(self.wrap(x.shape(), dealt))
    }

    /// Sums of products, element by element, each job's terms added up before their degree is reduced. One round for all jobs,
    /// `(2 t + 2 k - 1) (n - 1 - t)` elements for each polynomial, `k` slots. Spec 16.4.
    ///
    /// # Errors
    /// The network.
    ///
    /// # Panics
    /// If a job has no terms, or terms of different shapes or packings.
    pub fn products(&self, party: &mut Party, jobs: &[Vec<(&PackedShare, &PackedShare)>]) -> Result<Vec<PackedShare>> {
        let shapes: Vec<&Shape> = jobs.iter().map(|terms| &terms[0].0.shape).collect();
        let lens: Vec<usize> = shapes.iter().map(|shape| self.polynomials(shape.len())).collect();
        let (me, [_, dealers, _]) = (party.me(), self.dealers());
        let mine = || {
            let mut products = Vec::with_capacity(lens.iter().sum());
            for (terms, len) in jobs.iter().zip(&lens) {
                let from = products.len();
                products.resize(from + len, 0);
                for (x, y) in terms {
                    assert!(x.shape == terms[0].0.shape && y.shape == x.shape, "factors of one shape");
                    assert!([x.slots, y.slots] == [self.slots(); 2], "factors packed in this way");
                    mersenne::mul_add(&mut products[from..], &x.share, &y.share);
                }
            }
            self.for_slots(&products, &weights_of(&self.packed, dealers.len(), me, self.slots()))
        };
        let total = lens.iter().sum();
        let mut dealt = deal_alone(party, &self.packed, &dealers, total, Together::Added, mine)?.remove(0);
        let mut next = |(shape, len): (&&Shape, &usize)| {
            let rest = dealt.split_off(*len);
            self.wrap(shape, std::mem::replace(&mut dealt, rest))
        };
        Ok(shapes.iter().zip(&lens).map(&mut next).collect())
    }

    /// An ordinary sharing of the values. One round, `(t + k) (n - 1 - t)` elements for each value. Spec 16.5.
    ///
    /// # Errors
    /// The network.
    pub fn unpack(&self, party: &mut Party, x: &PackedShare) -> Result<Tensor<M61>> {
        assert_eq!(x.slots, self.slots(), "a sharing packed in this way");
        let (me, [_, _, dealers]) = (party.me(), self.dealers());
        let mine = || self.for_slots(&x.share, &weights_of(&self.packed, dealers.len(), me, self.slots()));
        let len = x.share.len() * self.slots();
        let mut dealt = deal_alone(party, &self.plain, &dealers, len, Together::Added, mine)?.remove(0);
        dealt.truncate(x.shape.len());
        Ok(Tensor::new(x.shape.clone(), mersenne::elements(dealt)))
    }

    /// Values in as many blocks as there are slots.
    fn blocks(&self, x: &Tensor<M61>) -> Vec<u64> {
        let mut blocks = mersenne::words(x.data()).to_vec();
        blocks.resize(self.polynomials(x.len()) * self.slots(), 0);
        blocks
    }
    /// What a party contributes to each slot, slot after slot.
    fn for_slots(&self, share: &[u64], weights: &[M61]) -> Vec<u64> {
        let mut all = vec![0; share.len() * weights.len()];
        // No shares, no blocks: a length of zero has no chunks.
        for (out, weight) in all.chunks_exact_mut(share.len().max(1)).zip(weights) {
            mersenne::add_scaled(out, *weight, share);
        }
        all
    }
}

/// Where the value of a slot is: at -1, -2, and so on, no party's point.
fn point(slot: usize) -> M61 {
    M61::from_u64(slot as u64 + 1).negated()
}

/// One party's weight for the value at a point, among the first parties; zero if it is none of them.
fn weight(code: &Code<Prime>, count: usize, me: usize, at: M61) -> M61 {
    let all = code.recombination_at(count, at);
    all.into_iter().find(|(party, _)| *party == me).map_or(Prime.zero(), |(_, weight)| weight)
}

fn weights_of(code: &Code<Prime>, count: usize, me: usize, slots: usize) -> Vec<M61> {
    (0..slots).map(|slot| weight(code, count, me, point(slot))).collect()
}
