//! Sharing inputs and opening results. Spec 3.

use super::{Dealers, Shamir, verify};
use crate::polynomial::{Fault, Field, OPENING, Prime, Together, batches, weights};
use crate::protocol::check_input;
use crate::{Recipients, Result};
use privity_net::NetError;
use privity_ring::{M61, Shape, Tensor, mersenne};
use std::ops::Range;

/// Spec 3.1: the owner deals.
pub(super) fn input(p: &mut Shamir, owner: usize, shape: &Shape, x: Option<&Tensor<M61>>) -> Result<Tensor<M61>> {
    let given = check_input(owner, p.party.me(), shape, x)?;
    let mine = |_: &Shamir| given.map(|x| mersenne::words(x.data()).to_vec()).unwrap_or_default();
    let numbers = |p: &Shamir| p.numbers.clone();
    let mut dealt = p.dealt_by(numbers, Dealers::Only(owner), (shape.len(), Together::Added), mine)?;
    Ok(tensor(shape, dealt.remove(0)))
}

/// Residues as a tensor.
pub(super) fn tensor(shape: &Shape, words: Vec<u64>) -> Tensor<M61> {
    Tensor::new(shape.clone(), mersenne::elements(words))
}

/// Spec 3.2: each recipient is told the shares of the `t` parties after it.
pub(super) fn open(p: &mut Shamir, x: &Tensor<M61>, to: Recipients) -> Result<Option<Tensor<M61>>> {
    if p.survivors.is_some() {
        return open_surviving(p, x, to);
    }
    if p.debt.is_some() {
        return open_verified(p, x, to);
    }
    let (me, step, code) = (p.party.me(), p.party.next_step(), p.numbers.clone());
    let words = mersenne::words(x.data());
    let recipients: Vec<usize> = code.parties().iter().copied().filter(|party| to.contains(*party)).collect();
    let tellers = |recipient: usize| &code.dealing(recipient).drawn;
    let mut told = vec![words.to_vec()];
    told.resize(1 + tellers(me).len(), vec![0; if to.contains(me) { words.len() } else { 0 }]);
    for batch in batches(words.len(), 1) {
        for (tile, range) in &batch {
            for recipient in recipients.iter().filter(|recipient| tellers(**recipient).contains(&me)) {
                p.party.send(*recipient, step, *tile, &words[range.clone()])?;
            }
        }
        if to.contains(me) {
            for (tile, range) in batch {
                for (teller, share) in tellers(me).iter().zip(&mut told[1..]) {
                    p.party.recv(*teller, step, tile, &mut share[range.clone()])?;
                }
            }
        }
    }
    let known: Vec<usize> = [me].iter().chain(tellers(me)).copied().collect();
    Ok(to.contains(me).then(|| tensor(x.shape(), recombined(&known, told))))
}

/// Spec 16.6: all tell each recipient, which holds the shares against each other; then all tell all whether they were consistent.
fn open_verified(p: &mut Shamir, x: &Tensor<M61>, to: Recipients) -> Result<Option<Tensor<M61>>> {
    let (me, n, step) = (p.party.me(), p.party.n(), p.party.next_step());
    let words = mersenne::words(x.data());
    let mut told = vec![words.to_vec(); n];
    for batch in batches(words.len(), 1) {
        for (tile, range) in &batch {
            for recipient in (0..n).filter(|recipient| *recipient != me && to.contains(*recipient)) {
                p.party.send(recipient, step, *tile, &words[range.clone()])?;
            }
        }
        for (tile, range) in batch.into_iter().filter(|_| to.contains(me)) {
            for teller in (0..n).filter(|teller| *teller != me) {
                p.party.recv(teller, step, tile, &mut told[teller][range.clone()])?;
            }
        }
    }
    let opened = if to.contains(me) { verify::consistent(p.threshold, told) } else { Some(Vec::new()) };
    verify::verdict(p, opened.is_some(), "consistency of opened shares")?;
    Ok(opened.filter(|_| to.contains(me)).map(|opened| tensor(x.shape(), opened)))
}

/// The secrets, of the shares of more than `t` parties.
pub(super) fn recombined(parties: &[usize], shares: Vec<Vec<u64>>) -> Vec<u64> {
    let points: Vec<M61> = parties.iter().map(|party| Prime.point(*party)).collect();
    let weights = weights(Prime, &points, Prime.zero());
    let mut sum = vec![0; shares[0].len()];
    for (weight, mut share) in weights.into_iter().zip(shares) {
        Prime.received(&mut share);
        Prime.add_scaled(&mut sum, weight, &share);
    }
    sum
}

/// Spec 11.5: all that are left tell each recipient, which takes what comes of any `t` of them. What is lost is no matter here.
fn open_surviving(p: &mut Shamir, x: &Tensor<M61>, to: Recipients) -> Result<Option<Tensor<M61>>> {
    let (me, n, step) = (p.party.me(), p.party.n(), p.party.next_step());
    let words = mersenne::words(x.data());
    let tiles: Vec<_> = batches(words.len(), 1).flatten().collect();
    let survivors = p.survivors.as_mut().expect("among survivors");
    survivors.begin(step);
    for recipient in survivors.left().into_iter().filter(|party| *party != me && to.contains(*party)) {
        for (tile, range) in &tiles {
            match survivors.send(&mut p.party, recipient, step, OPENING | tile, &words[range.clone()]) {
                Err(Fault::Failed(error)) => return Err(error),
                // Its loss is agreed on when something is dealt.
                Err(_) => break,
                Ok(()) => {}
            }
        }
    }
    if !to.contains(me) {
        return Ok(None);
    }
    let (mut known, mut told) = (vec![me], vec![words.to_vec()]);
    for teller in (1..n).map(|k| (me + k) % n) {
        if known.len() <= p.threshold
            && let Some(share) = told_by(p, teller, step, &tiles, words.len())?
        {
            known.push(teller);
            told.push(share);
        }
    }
    if known.len() <= p.threshold {
        return Err(NetError::Closed { peer: p.lost().first().copied().unwrap_or(me) }.into());
    }
    Ok(Some(tensor(x.shape(), recombined(&known, told))))
}

/// What a party tells in an opening; `None` if it is lost before it has.
fn told_by(
    p: &mut Shamir,
    teller: usize,
    step: u64,
    tiles: &[(usize, Range<usize>)],
    len: usize,
) -> Result<Option<Vec<u64>>> {
    let mut share = vec![0; len];
    for (tile, range) in tiles {
        loop {
            let survivors = p.survivors.as_mut().expect("among survivors");
            match survivors.recv(&mut p.party, teller, step, OPENING | tile, &mut share[range.clone()]) {
                Ok(()) => break,
                Err(Fault::Lost) => return Ok(None),
                // Others count parties as lost. What this one told before is kept.
                Err(fault) => {
                    p.agree(fault)?;
                }
            }
        }
    }
    Ok(Some(share))
}
