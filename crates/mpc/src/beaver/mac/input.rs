//! Inputs and openings. Spec 15.3 and 17.

use super::{BeaverMac, DEALER, Tagged};
use crate::correlations::{Number, tensor};
use crate::protocol::check_input;
use crate::verdict::{note, patiently, same_at_all};
use crate::{Error, Protocol, Recipients, Result, Share};
use privity_net::NetError;
use privity_ring::{M61, Shape, Tensor, mersenne};

/// Spec 15.3: the mask `r` is the owner's and the dealer's, all have shares of its MAC; the owner tells all others `x - r`.
pub(super) fn input(p: &mut BeaverMac, owner: usize, shape: &Shape, x: Option<&Tensor<M61>>) -> Result<Tagged> {
    let (me, len) = (p.session.party.me(), shape.len());
    let given = check_input(owner, me, shape, x)?;
    if !p.session.online().contains(&owner) {
        return Err(Error::Input { owner, problem: "it deals and has no inputs" });
    }
    let step = p.session.party.next_step();
    let mut mask = vec![0; len];
    if [owner, DEALER].contains(&me) {
        let other = if me == owner { DEALER } else { owner };
        p.session.draw::<M61>(other, step, 0, &mut mask);
    }
    let tag = p.tags(&mask)?;
    let share = Tagged { value: tensor(shape, mask), tag: tensor(shape, tag) };
    let mut told = vec![0; len];
    if let Some(x) = given {
        told = M61::words(x.sub(&share.value).data()).to_vec();
        for peer in p.session.peers() {
            p.session.post(peer, step, 0, bytemuck::cast_slice(&told))?;
        }
    } else if me != DEALER {
        p.session.receive(owner, step, 0, bytemuck::cast_slice_mut(&mut told))?;
        mersenne::reduce_all(&mut told);
    } else {
        return Ok(share);
    }
    p.ledger.agree(&told);
    let told = p.public(&tensor(shape, told));
    Ok(share.add(&told))
}

/// An opening that is masked.
pub(super) struct Masked {
    /// `x + r`, which all parties but the dealer know.
    told: Tensor<M61>,
    /// `r`, at the dealer.
    mask: Tensor<M61>,
}

/// Spec 17.1: the value is told under a mask that only the dealer knows.
pub(super) fn mask(p: &mut BeaverMac, x: &Tagged) -> Result<Masked> {
    let mask = p.uniform(x.shape())?;
    let told = p.tell(&[x.add(&mask)])?.remove(0);
    Ok(Masked { told, mask: mask.value })
}

/// Spec 17.2: after a good verdict the dealer sends each recipient the mask.
pub(super) fn unmask(p: &mut BeaverMac, masked: Masked, to: Recipients) -> Result<Option<Tensor<M61>>> {
    let (me, n, step) = (p.session.party.me(), p.session.party.n(), p.session.party.next_step());
    let Masked { told, mask } = masked;
    let known = if to.contains(DEALER) { tell_dealer(p, &told, step)? } else { None };
    if me == DEALER {
        let mut trouble = None;
        for party in p.session.online().filter(|party| to.contains(*party)) {
            // Who cannot be told does not keep it from the others.
            note(p.session.post(party, step, FIRST, bytemuck::cast_slice(M61::words(mask.data()))), &mut trouble)?;
        }
        return Ok(known.map(|told| told.sub(&mask)));
    }
    if !to.contains(me) {
        return Ok(None);
    }
    let mut words = vec![0; told.len()];
    let frames = words.chunks_mut(FRAME).enumerate();
    for (i, frame) in frames {
        // Another recipient, which takes nothing, may keep the dealer waiting.
        let session = &mut p.session;
        patiently(n, || session.receive(DEALER, step, FIRST + i, bytemuck::cast_slice_mut(frame)))?;
    }
    mersenne::reduce_all(&mut words);
    Ok(Some(told.sub(&tensor(told.shape(), words))))
}

/// Words of a frame, and the number of the first: before them there are words of a verdict.
const FRAME: usize = crate::correlations::FRAME / 8;
const FIRST: usize = 3;

/// Spec 17.3: every party sends the dealer what it was told, which says whether all sent the same before it gives anybody a mask.
fn tell_dealer(p: &mut BeaverMac, told: &Tensor<M61>, step: u64) -> Result<Option<Tensor<M61>>> {
    if p.session.computes() {
        p.session.post(DEALER, step, FIRST, bytemuck::cast_slice(M61::words(told.data())))?;
        same_at_all(&mut p.session.party, step, None, None)?;
        return Ok(None);
    }
    let (mut first, mut same) = (None, true);
    let mut missed: Option<NetError> = None;
    for party in p.session.online() {
        let mut words = vec![0; told.len()];
        let came = p.session.receive(party, step, FIRST, bytemuck::cast_slice_mut(&mut words));
        if note(came, &mut missed)? {
            mersenne::reduce_all(&mut words);
            let first: &Vec<u64> = first.get_or_insert_with(|| words.clone());
            same &= *first == words;
        }
    }
    let seen = if missed.is_some() && same { None } else { Some(same) };
    same_at_all(&mut p.session.party, step, seen, missed)?;
    Ok(first.map(|words| tensor(told.shape(), words)))
}
