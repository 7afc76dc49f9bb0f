//! Sharing inputs and opening results. Spec 3.

use super::Shamir;
use crate::polynomial::{Field, Together, batches, deal, weights};
use crate::protocol::check_input;
use crate::{Recipients, Result};
use privity_ring::{M61, Shape, Tensor, mersenne};

/// Spec 3.1: the owner deals.
pub(super) fn input(p: &mut Shamir, owner: usize, shape: &Shape, x: Option<&Tensor<M61>>) -> Result<Tensor<M61>> {
    let given = check_input(owner, p.party.me(), shape, x)?;
    let code = p.numbers.clone();
    let mine = || given.map(|x| mersenne::words(x.data()).to_vec()).unwrap_or_default();
    let mut dealt = deal(&mut p.party, &code, &[owner], shape.len(), Together::Added, mine)?;
    Ok(tensor(shape, dealt.remove(0)))
}

/// Residues as a tensor.
pub(super) fn tensor(shape: &Shape, words: Vec<u64>) -> Tensor<M61> {
    Tensor::new(shape.clone(), mersenne::elements(words))
}

/// Spec 3.2: each recipient is told the shares of the `t` parties after it.
pub(super) fn open(p: &mut Shamir, x: &Tensor<M61>, to: Recipients) -> Result<Option<Tensor<M61>>> {
    let (me, step, code) = (p.party.me(), p.party.next_step(), p.numbers.clone());
    let words = mersenne::words(x.data());
    let recipients: Vec<usize> = code.parties().iter().copied().filter(|party| to.contains(*party)).collect();
    let tellers = |recipient: usize| code.dealing(recipient).drawn.clone();
    let mut opened = vec![0; words.len()];
    let known: Vec<usize> = tellers(me).into_iter().chain([me]).collect();
    let points: Vec<M61> = known.iter().map(|party| code.field.point(*party)).collect();
    let weights = weights(code.field, &points, code.field.zero());
    for batch in batches(words.len(), 1) {
        for (tile, range) in &batch {
            for recipient in recipients.iter().filter(|recipient| tellers(**recipient).contains(&me)) {
                p.party.send(*recipient, step, *tile, &words[range.clone()])?;
            }
        }
        if to.contains(me) {
            for (tile, range) in batch {
                let sum = &mut opened[range.clone()];
                mersenne::add_scaled(sum, weights[known.len() - 1], &words[range.clone()]);
                let mut theirs = vec![0; range.len()];
                for (teller, weight) in known.iter().zip(&weights).filter(|(teller, _)| **teller != me) {
                    p.party.recv(*teller, step, tile, &mut theirs)?;
                    code.field.received(&mut theirs);
                    mersenne::add_scaled(sum, *weight, &theirs);
                }
            }
        }
    }
    Ok(to.contains(me).then(|| tensor(x.shape(), opened)))
}
