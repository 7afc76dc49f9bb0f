//! Which way degrees are reduced: dealt directly or by kings. Spec 24.

use super::Shamir;
use crate::Result;
use crate::polynomial::{Code, Field, Sets, king};
pub use crate::polynomial::{Route, Routing};
use std::sync::Arc;

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
