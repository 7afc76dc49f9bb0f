//! Sharing inputs, shares kept from earlier, opening results. Spec 4 and 11.

use super::{AdditiveMac, ArithmeticShare, DEALER};
use crate::masked::{add_assign, tiles};
use crate::protocol::check_input;
use crate::verdict::{note, patiently, same_at_all};
use crate::{Error, Protocol, Recipients, Result};
use privity_net::NetError;
use privity_ring::{Shape, Tensor};

const MASK: u8 = 2;

/// Spec 4.1 and 4.2: the mask is that of owner and dealer; the owner sends `A = x + L` to all others.
pub(super) fn input(
    p: &mut AdditiveMac,
    owner: usize,
    shape: &Shape,
    x: Option<&Tensor<u64>>,
) -> Result<ArithmeticShare> {
    let me = p.me();
    let given = check_input(owner, me, shape, x)?;
    if owner == DEALER && !shape.is_empty() {
        return Err(Error::Input { owner, problem: "a dealer has no inputs: it knows the masks of all" });
    }
    let step = p.party.next_step();
    let mut share = ArithmeticShare::zeros(shape);
    for (tile, range) in tiles(shape.len()) {
        let known = &mut share.x.data_mut()[range.clone()];
        match given {
            _ if me == DEALER => p.mask(owner, step, MASK, tile, known),
            Some(x) => {
                p.mask(DEALER, step, MASK, tile, known);
                add_assign(known, &x.data()[range]);
                p.peers().try_for_each(|peer| p.send(peer, step, tile, known))?;
            }
            None => {}
        }
    }
    if me == DEALER {
        return Ok(share);
    }
    for (tile, range) in tiles(shape.len()) {
        let known = &mut share.x.data_mut()[range];
        if me != owner {
            p.recv(owner, step, tile, known)?;
        }
        // Spec 4.3
        p.agree(known);
    }
    Ok(share)
}

/// Spec 5.6: kept shares stay as they are; the parties compare what they kept.
pub(super) fn refresh(p: &mut AdditiveMac, xs: &[&ArithmeticShare]) -> Vec<ArithmeticShare> {
    if !p.is_dealer() {
        xs.iter().for_each(|x| p.agree(x.x.data()));
    }
    xs.iter().map(|x| (*x).clone()).collect()
}

/// Spec 11: after a good verdict the dealer sends each recipient `L`. What it is to learn itself, all parties send it.
pub(super) fn open(p: &mut AdditiveMac, x: &ArithmeticShare, to: Recipients) -> Result<Option<Tensor<u64>>> {
    let (me, step) = (p.me(), p.party.next_step());
    let known = if to.contains(DEALER) { tell_dealer(p, x, step)? } else { None };
    if p.is_dealer() {
        let mut trouble = None;
        for party in p.online().filter(|party| to.contains(*party)) {
            // Who cannot be told does not keep it from the others.
            let told = tiles(x.x.len()).try_for_each(|(tile, range)| p.send(party, step, 2 + tile, &x.x.data()[range]));
            note(told, &mut trouble)?;
        }
        return Ok(known.map(|masked| masked.sub(&x.x)));
    }
    if !to.contains(me) {
        return Ok(None);
    }
    let mut mask = Tensor::zeros(x.x.shape());
    for (tile, range) in tiles(mask.len()) {
        // Another recipient, which takes nothing, may keep the dealer waiting. A tile is one frame.
        let tile_of_mask = &mut mask.data_mut()[range];
        patiently(p.party.n(), || p.recv(DEALER, step, 2 + tile, tile_of_mask))?;
    }
    Ok(Some(x.x.sub(&mask)))
}

/// Spec 11.2: every party sends the dealer `A`, which says whether all sent the same, before it gives anybody a mask.
fn tell_dealer(p: &mut AdditiveMac, x: &ArithmeticShare, step: u64) -> Result<Option<Tensor<u64>>> {
    if !p.is_dealer() {
        for (tile, range) in tiles(x.x.len()) {
            p.send(DEALER, step, 2 + tile, &x.x.data()[range])?;
        }
        same_at_all(&mut p.party, step, None, None)?;
        return Ok(None);
    }
    let (mut first, mut same) = (None, true);
    let mut missed: Option<NetError> = None;
    for party in p.online() {
        let mut masked = Tensor::zeros(x.x.shape());
        let came = tiles(masked.len())
            .try_for_each(|(tile, range)| p.recv(party, step, 2 + tile, &mut masked.data_mut()[range]));
        if note(came, &mut missed)? {
            let first: &Tensor<u64> = first.get_or_insert_with(|| masked.clone());
            same &= *first == masked;
        }
    }
    let seen = if missed.is_some() && same { None } else { Some(same) };
    same_at_all(&mut p.party, step, seen, missed)?;
    Ok(first)
}
