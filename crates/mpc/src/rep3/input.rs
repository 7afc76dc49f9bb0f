//! Sharing inputs and opening results. Spec 2 and 3.

use super::{ArithmeticShare, FIRST, OWNER, Rep3};
use crate::masked::{add_assign, tiles};
use crate::protocol::check_input;
use crate::{Error, Recipients, Result};
use privity_ring::{Shape, Tensor, simd::vectorise};

const MASK: u8 = 1;

/// Spec 2: masks that the input's owner does not know are zero, known ones come from the pair keys; `A` goes to its holders.
pub(super) fn input(p: &mut Rep3, owner: usize, shape: &Shape, x: Option<&Tensor<u64>>) -> Result<ArithmeticShare> {
    let me = p.party.me();
    let given = check_input(owner, me, shape, x)?;
    if p.dealt && owner == OWNER && !shape.is_empty() {
        return Err(Error::Input { owner, problem: "a dealer has no inputs: it knows the masks of all" });
    }
    let step = p.party.next_step();
    let mut share = ArithmeticShare::zeros(shape);
    for (tile, range) in tiles(shape.len()) {
        let (a, b) = (&mut share.x.data_mut()[range.clone()], &mut share.y.data_mut()[range.clone()]);
        // Spec 2.1: masks, all for an input of the mask owner, else that of the party it comes from.
        match me {
            OWNER if owner == OWNER => {
                p.drawn(step, MASK, tile, a);
                p.mask(p.last(), step, MASK, tile, b);
            }
            OWNER => p.mask(owner, step, MASK, tile, if owner == p.last() { b } else { a }),
            _ if owner == OWNER || owner == me => p.mask(OWNER, step, MASK, tile, b),
            _ => {}
        }
        // Spec 2.2: A = x + L to every other holder of A.
        if let Some(x) = given {
            let (x, a, b) = (&x.data()[range.clone()], &share.x.data()[range.clone()], &share.y.data()[range.clone()]);
            let mut masked = p.buffer(x.len());
            if me == OWNER {
                add3(&mut masked, x, a, b);
            } else {
                masked.iter_mut().zip(x.iter().zip(b)).for_each(|(m, (x, l))| *m = x.wrapping_add(*l));
                share.x.data_mut()[range].copy_from_slice(&masked);
            }
            p.tell_peers(step, tile, &masked)?;
            p.recycle(masked);
        }
    }
    if given.is_none() && me != OWNER {
        for (tile, range) in tiles(shape.len()) {
            p.party.recv(owner, step, tile, &mut share.x.data_mut()[range])?;
        }
    }
    Ok(share)
}

fn add3(out: &mut [u64], x: &[u64], a: &[u64], b: &[u64]) {
    vectorise(|| {
        for (o, (x, (a, b))) in out.iter_mut().zip(x.iter().zip(a.iter().zip(b))) {
            *o = x.wrapping_add(*a).wrapping_add(*b);
        }
    });
}

/// Spec 3: each recipient gets what it lacks: of the online parties the mask, from its owner, who runs ahead, so that only an opening to
/// the mask owner itself waits for them; the owner the masked value.
pub(super) fn open(p: &mut Rep3, x: &ArithmeticShare, to: Recipients) -> Result<Option<Tensor<u64>>> {
    let (me, step) = (p.party.me(), p.party.next_step());
    if me == OWNER {
        let recipients: Vec<usize> = p.peers().filter(|peer| to.contains(*peer)).collect();
        let mut mask = p.buffer(0);
        for (tile, range) in tiles(x.x.len()) {
            p.recycle(mask);
            mask = p.buffer(range.len());
            mask.copy_from_slice(&x.x.data()[range.clone()]);
            add_assign(&mut mask, &x.y.data()[range]);
            recipients.iter().try_for_each(|peer| p.party.send(*peer, step, tile, &mask))?;
        }
        p.recycle(mask);
    } else if me == FIRST && to.contains(OWNER) {
        for (tile, range) in tiles(x.x.len()) {
            p.party.send(OWNER, step, tile, &x.x.data()[range])?;
        }
    }
    if !to.contains(me) {
        return Ok(None);
    }
    let from = if me == OWNER { FIRST } else { OWNER };
    let mut missing = Tensor::zeros(x.x.shape());
    for (tile, range) in tiles(missing.len()) {
        p.party.recv(from, step, tile, &mut missing.data_mut()[range])?;
    }
    Ok(Some(if me == OWNER { missing.sub(&x.x).sub(&x.y) } else { x.x.sub(&missing) }))
}
