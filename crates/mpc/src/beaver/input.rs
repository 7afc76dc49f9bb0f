//! Sharing inputs, opening results, sharing anew. Spec 1.

use super::Beaver;
use crate::correlations::{Number, TOLD, tensor};
use crate::protocol::check_input;
use crate::{Error, Recipients, Result};
use privity_ring::{Shape, Tensor};

/// Spec 1.2: every other party draws its share with the owner, who has the rest. Nothing is sent.
pub(super) fn input<R: Number>(
    p: &mut Beaver<R>,
    owner: usize,
    shape: &Shape,
    x: Option<&Tensor<R>>,
) -> Result<Tensor<R>> {
    let session = &mut p.session;
    let given = check_input(owner, session.party.me(), shape, x)?;
    if !session.online().contains(&owner) {
        return Err(Error::Input { owner, problem: "it deals and has no inputs" });
    }
    let step = session.party.next_step();
    let mut share = vec![0; shape.len()];
    if let Some(x) = given {
        let mut drawn = share;
        share = R::words(x.data()).to_vec();
        for peer in session.peers() {
            session.draw::<R>(peer, step, 0, &mut drawn);
            R::sub_assign(&mut share, &drawn);
        }
    } else if session.computes() {
        session.draw::<R>(owner, step, 0, &mut share);
    }
    Ok(tensor(shape, share))
}

/// Spec 1.3: all shares, each with one of zero, go to whoever is to know.
pub(super) fn open<R: Number>(p: &mut Beaver<R>, x: &Tensor<R>, to: Recipients) -> Result<Option<Tensor<R>>> {
    let session = &mut p.session;
    let (me, n, step) = (session.party.me(), session.party.n(), session.party.next_step());
    let mut share = if session.computes() { R::words(x.data()).to_vec() } else { vec![0; x.len()] };
    R::add_assign(&mut share, &session.zeros::<R>(step, x.len()));
    let recipients: Vec<usize> = (0..n).filter(|party| *party != me && to.contains(*party)).collect();
    let mut told = vec![0; x.len().min(TOLD)];
    for (i, part) in share.chunks_mut(TOLD).enumerate() {
        let first = i * super::cost::FRAMES;
        if session.computes() {
            for recipient in &recipients {
                session.post(*recipient, step, first, bytemuck::cast_slice(part))?;
            }
        }
        if to.contains(me) {
            let told = &mut told[..part.len()];
            for peer in session.peers() {
                session.receive(peer, step, first, bytemuck::cast_slice_mut(told))?;
                R::received(told);
                R::add_assign(part, told);
            }
        }
    }
    Ok(to.contains(me).then(|| tensor(x.shape(), share)))
}

/// Spec 1.4: shares of zero are added. Nothing is sent.
pub(super) fn refresh<R: Number>(p: &mut Beaver<R>, xs: &[&Tensor<R>]) -> Vec<Tensor<R>> {
    let mut done = Vec::with_capacity(xs.len());
    for x in xs {
        let step = p.session.party.next_step();
        let mut share = R::words(x.data()).to_vec();
        R::add_assign(&mut share, &p.session.zeros::<R>(step, x.len()));
        done.push(tensor(x.shape(), share));
    }
    done
}
