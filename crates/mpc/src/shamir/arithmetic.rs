//! Products, by dealings or by kings, refreshed shares. Spec 4, 6 and 24.

use super::{Shamir, input::tensor};
use crate::polynomial::{Code, Field, Route, Routing, Sets, king};
use crate::{Product, Result};
use privity_ring::{M61, Shape, Tensor, mersenne};
use std::sync::Arc;

/// Values one after the other.
pub(crate) fn joined<'a>(values: impl IntoIterator<Item = &'a Tensor<M61>>) -> Vec<u64> {
    values.into_iter().flat_map(|x| mersenne::words(x.data())).copied().collect()
}

/// The inverse of [`joined`].
pub(crate) fn separated<'a>(words: &[u64], shapes: impl IntoIterator<Item = &'a Shape>) -> Vec<Tensor<M61>> {
    let mut rest = words;
    let mut next = |shape: &Shape| {
        let (head, tail) = rest.split_at(shape.len());
        rest = tail;
        tensor(shape, head.to_vec())
    };
    shapes.into_iter().map(&mut next).collect()
}

/// Spec 4: one round for all jobs.
pub(super) fn products(p: &mut Shamir, jobs: &[Product<'_, Tensor<M61>>]) -> Result<Vec<Tensor<M61>>> {
    let shapes: Vec<Shape> = jobs.iter().map(|job| job.op.out_shape(job.x.shape(), job.y.shape())).collect();
    let len = shapes.iter().map(Shape::len).sum();
    // Spec 4.1: products of shares are shares of the products, of twice the degree.
    let local = || {
        let mut products = vec![0; len];
        let mut rest = &mut products[..];
        for (job, shape) in jobs.iter().zip(&shapes) {
            let (head, tail) = rest.split_at_mut(shape.len());
            mersenne::add_product(job.op, job.x, job.y, head);
            rest = tail;
        }
        products
    };
    let reduced = p.reduce_numbers(len, local)?;
    Ok(separated(&reduced, &shapes))
}

/// Spec 6: sharings of zero are added, dealt by more parties than may be corrupt.
pub(super) fn refresh(p: &mut Shamir, xs: &[&Tensor<M61>]) -> Result<Vec<Tensor<M61>>> {
    let mut sum = joined(xs.iter().copied());
    let len = sum.len();
    for zeros in p.deal_numbers(len, |_| vec![0; len])? {
        mersenne::add_assign(&mut sum, &zeros);
    }
    Ok(separated(&sum, xs.iter().map(|x| x.shape())))
}

/// Which way degrees are reduced. Spec 24.
impl Shamir {
    /// Decides in another way between direct dealings and kings, in lanes, too. All parties must say the same, and so must the price list
    /// ([`ShamirCosts::routed`]); where they differ the session ends with an error. Where parties go on without others, and where products are verified,
    /// they are dealt directly whatever is said here. Spec 24.5.
    ///
    /// [`ShamirCosts::routed`]: super::cost::ShamirCosts::routed
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) if masks shall always be drawn by sets of parties that have no keys.
    pub fn routed(mut self, routing: Routing) -> Result<Shamir> {
        if routing.always == Some(Route::KingOfSets) && self.sets.is_none() {
            let problem = "masks are drawn by sets of parties only if these have keys: Shamir::with_set_keys".into();
            return Err(crate::Error::Parameter { operation: "shamir", problem });
        }
        self.routing = routing;
        self.lanes.iter_mut().for_each(|lane| lane.routing = routing);
        Ok(self)
    }
    /// Gives each set of `n - t` parties a key, in each lane: masks of products can then be drawn where kings are the cheaper way. One round in each
    /// lane, none where all sets have keys anyway (pairs, and triples of four). Spec 23.1.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for more than [`MOST_SETS`](super::MOST_SETS) sets, and where products are not multiplied by
    /// kings; the network; no randomness.
    pub fn with_set_keys(mut self) -> Result<Shamir> {
        self.plain("keys of sets")?;
        self.connect_sets()?;
        self.lanes.iter_mut().try_for_each(Shamir::connect_sets)?;
        Ok(self)
    }
    /// The keys of one lane.
    pub(super) fn connect_sets(&mut self) -> Result<()> {
        let sets = Sets::new(self.party.n(), self.threshold)?;
        sets.connect(&mut self.party)?;
        self.sets = Some(Arc::new(sets));
        Ok(())
    }
    /// What kings make of products of degree `2 t`, if that is the way for so many words in each part.
    pub(super) fn by_kings<F: Field>(
        &mut self,
        code: &Code<F>,
        len: usize,
        products: impl FnOnce() -> Vec<u64>,
    ) -> Result<Option<Vec<u64>>> {
        let (n, t) = (self.party.n(), self.threshold);
        let direct = self.survivors.is_some() || self.debt.is_some();
        let route = self.routing.route((n, t, self.sets.is_some()), len * code.field.parts());
        if direct || route == Route::Direct {
            return Ok(None);
        }
        let sets = self.sets.clone().filter(|_| route == Route::KingOfSets);
        let masks = king::doubles(&mut self.party, code, t, sets.as_deref(), len)?;
        // Spec 24.1: only the first `2 t + 1` parties multiply.
        let products = if self.party.me() <= 2 * t { products() } else { Vec::new() };
        king::reduced(&mut self.party, code, t, masks, products).map(Some)
    }
}
