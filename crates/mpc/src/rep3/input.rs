//! Sharing inputs and opening results. Spec 2 and 3.

use super::{ArithmeticShare, FIRST, OWNER, Rep3, SECOND};
use crate::masked::tiles;
use crate::protocol::check_input;
use crate::{Recipients, Result};
use privity_ring::{Shape, Tensor, simd::vectorise};

const MASK: u8 = 1;

/// Spec 2: the owner's unknown mask is zero, known masks come from the pair keys; `A` goes to its holders.
pub(super) fn input(p: &mut Rep3, owner: usize, shape: &Shape, x: Option<&Tensor<u64>>) -> Result<ArithmeticShare> {
    let me = p.party.me();
    let given = check_input(owner, me, shape, x)?;
    let step = p.party.next_step();
    let mut share = ArithmeticShare { x: Tensor::zeros(shape), y: Tensor::zeros(shape) };
    for (tile, range) in tiles(shape.len()) {
        let (a, b) = (&mut share.x.data_mut()[range.clone()], &mut share.y.data_mut()[range.clone()]);
        // Spec 2.1: masks. l1 unless party 2 owns the input, l2 unless party 1 does.
        match me {
            OWNER => {
                if owner != SECOND {
                    p.mask(FIRST, step, MASK, tile, a);
                }
                if owner != FIRST {
                    p.mask(SECOND, step, MASK, tile, b);
                }
            }
            FIRST if owner != SECOND => p.mask(OWNER, step, MASK, tile, b),
            SECOND if owner != FIRST => p.mask(OWNER, step, MASK, tile, b),
            _ => {}
        }
        // Spec 2.2: A = x + l1 + l2 to every other holder of A.
        if let Some(x) = given {
            let x = &x.data()[range];
            if me == OWNER {
                let mut masked = p.buffer(x.len());
                add3(&mut masked, x, a, b);
                p.party.send(FIRST, step, tile, &masked)?;
                p.party.send(SECOND, step, tile, &masked)?;
                p.recycle(masked);
            } else {
                a.iter_mut().zip(x.iter().zip(&*b)).for_each(|(a, (x, l))| *a = x.wrapping_add(*l));
                let peer = p.online_peer();
                p.party.send(peer, step, tile, a)?;
            }
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

/// Spec 3: each recipient gets the component it lacks. Masks come from their owner, who runs ahead, so that only an
/// opening to the mask owner itself waits for the online pair.
pub(super) fn open(p: &mut Rep3, x: &ArithmeticShare, to: Recipients) -> Result<Option<Tensor<u64>>> {
    let (me, step) = (p.party.me(), p.party.next_step());
    let sends: &[(usize, &Tensor<u64>)] = match me {
        OWNER => &[(FIRST, &x.y), (SECOND, &x.x)],
        FIRST => &[(OWNER, &x.x)],
        _ => &[],
    };
    for &(peer, component) in sends.iter().filter(|(peer, _)| to.contains(*peer)) {
        for (tile, range) in tiles(component.len()) {
            p.party.send(peer, step, tile, &component.data()[range])?;
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
    let (masked, l1, l2) = if me == OWNER { (&missing, &x.x, &x.y) } else { (&x.x, &x.y, &missing) };
    Ok(Some(masked.sub(l1).sub(l2)))
}
