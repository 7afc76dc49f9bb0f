//! Sharing inputs, opening results, sharing anew. Spec 3.

use super::Gmw;
use crate::masked::{add_assign, sub_assign, tiles};
use crate::protocol::check_input;
use crate::{Recipients, Result, Share};
use privity_ring::{Shape, Tensor};

const MASK: u8 = 1;

/// Spec 3.1: the other party's share is drawn by both, the owner has the rest. Nothing is sent.
pub(super) fn input(p: &mut Gmw, owner: usize, shape: &Shape, x: Option<&Tensor<u64>>) -> Result<Tensor<u64>> {
    let given = check_input(owner, p.me(), shape, x)?;
    let step = p.party.next_step();
    let mut share = Tensor::zeros(shape);
    for (tile, range) in tiles(shape.len()) {
        p.mask(step, MASK, tile, &mut share.data_mut()[range]);
    }
    Ok(match given {
        Some(x) => x.sub(&share),
        None => share,
    })
}

/// Spec 3.2: shares of the other party go to whoever is to know.
pub(super) fn open(p: &mut Gmw, x: &Tensor<u64>, to: Recipients) -> Result<Option<Tensor<u64>>> {
    let (peer, step) = (p.peer(), p.party.next_step());
    if to.contains(peer) {
        for (tile, range) in tiles(x.len()) {
            p.party.send(peer, step, tile, &x.data()[range])?;
        }
    }
    if !to.contains(p.me()) {
        return Ok(None);
    }
    let mut missing = Tensor::zeros(x.shape());
    for (tile, range) in tiles(x.len()) {
        p.party.recv(peer, step, tile, &mut missing.data_mut()[range])?;
    }
    Ok(Some(Share::add(x, &missing)))
}

/// Spec 3.3: a mask that both draw goes from one share to the other.
pub(super) fn refresh(p: &mut Gmw, xs: &[&Tensor<u64>]) -> Result<Vec<Tensor<u64>>> {
    let step = p.party.next_step();
    let (mut done, mut number) = (Vec::with_capacity(xs.len()), 0);
    for x in xs {
        let mut fresh = (*x).clone();
        let mut mask = vec![0; x.len().min(crate::masked::TILE)];
        for (_, range) in tiles(x.len()) {
            let mask = &mut mask[..range.len()];
            p.mask(step, MASK, number, mask);
            let share = &mut fresh.data_mut()[range];
            if p.me() == 0 {
                add_assign(share, mask)
            } else {
                sub_assign(share, mask)
            }
            number += 1;
        }
        done.push(fresh);
    }
    Ok(done)
}
