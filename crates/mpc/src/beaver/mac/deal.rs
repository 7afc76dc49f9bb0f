//! What the dealer deals, with MACs. Spec 14.

use super::{BeaverMac, Tagged};
use crate::Result;
use crate::correlations::{Factors, Number, share, tensor, uniform};
use privity_ring::{M61, Shape, Tensor, mersenne};

/// A product's triple, all of it with MACs.
pub(super) struct Triple {
    pub a: Tagged,
    pub b: Tagged,
    pub c: Tagged,
}

impl BeaverMac {
    /// Spec 14.2: values that nobody but the dealer knows, and their MACs.
    pub(super) fn uniform(&mut self, shape: &Shape) -> Result<Tagged> {
        let values = uniform::<M61>(&mut self.session, shape.len());
        let tags = self.tags(&values)?;
        Ok(Tagged { value: tensor(shape, values), tag: tensor(shape, tags) })
    }
    /// Spec 14.1: shares of the MACs of values that the dealer has.
    pub(super) fn tags(&mut self, values: &[u64]) -> Result<Vec<u64>> {
        let key = self.ledger.key();
        share::<M61>(&mut self.session, values.len(), || {
            let mut tags = values.to_vec();
            mersenne::scale_assign(&mut tags, key);
            tags
        })
    }
    /// Spec 14.3: `a` and `b` uniform, `c = a op b`. One correction for all that follows from them.
    pub(super) fn triple(&mut self, (op, x, y): &Factors) -> Result<Triple> {
        let shape = op.out_shape(x, y);
        let a: Tensor<M61> = tensor(x, uniform::<M61>(&mut self.session, x.len()));
        let b: Tensor<M61> = tensor(y, uniform::<M61>(&mut self.session, y.len()));
        let (operands, len, key) = (x.len() + y.len(), shape.len(), self.ledger.key());
        let mut rest = share::<M61>(&mut self.session, operands + 2 * len, || {
            let mut c = vec![0; len];
            M61::add_product(*op, &a, &b, &mut c);
            let mut dealt = [M61::words(a.data()), M61::words(b.data()), &c, &c].concat();
            mersenne::scale_assign(&mut dealt[..operands + len], key);
            dealt
        })?;
        let value = tensor(&shape, rest.split_off(operands + len));
        let tag = tensor(&shape, rest.split_off(operands));
        let of_b = tensor(y, rest.split_off(x.len()));
        let of_a = tensor(x, rest);
        Ok(Triple { a: Tagged { value: a, tag: of_a }, b: Tagged { value: b, tag: of_b }, c: Tagged { value, tag } })
    }
}
