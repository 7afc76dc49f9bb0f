//! Sharing inputs and opening results. Spec 3.

use super::{Dealers, Shamir, verify};
use crate::polynomial::{Fault, Field, OPENING, Prime, Together, Told, batches, correctable, read, weights};
use crate::protocol::check_input;
use crate::{Error, Recipients, Result};
use privity_net::NetError;
use privity_ring::{M61, Shape, Tensor, mersenne};
use std::ops::Range;

/// Spec 3.1: the owner deals.
pub(super) fn input(p: &mut Shamir, owner: usize, shape: &Shape, x: Option<&Tensor<M61>>) -> Result<Tensor<M61>> {
    let given = check_input(owner, p.party.me(), shape, x)?;
    if let Some(debt) = &mut p.debt {
        debt.dealt();
    }
    let mine = |_: &Shamir| given.map(|x| mersenne::words(x.data()).to_vec()).unwrap_or_default();
    let numbers = |p: &Shamir| p.numbers.clone();
    let mut dealt = p.dealt_by(numbers, Dealers::Only(owner), (shape.len(), Together::Added), mine)?;
    Ok(tensor(shape, dealt.remove(0)))
}

/// Residues as a tensor.
pub(crate) fn tensor(shape: &Shape, words: Vec<u64>) -> Tensor<M61> {
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

/// Spec 19.6: all tell each recipient, which holds the shares against each other; then all tell all whether they were consistent.
fn open_verified(p: &mut Shamir, x: &Tensor<M61>, to: Recipients) -> Result<Option<Tensor<M61>>> {
    let (me, n, step) = (p.party.me(), p.party.n(), p.party.next_step());
    let words = mersenne::words(x.data());
    let mut told = vec![words.to_vec(); n];
    // Until there is a good verdict on this one, nothing else is opened.
    p.debt.iter_mut().for_each(|debt| debt.failed(true));
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
    p.party.agreed();
    p.debt.iter_mut().for_each(|debt| debt.failed(false));
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

/// What a robust opening gives a recipient.
#[derive(Clone, Debug, PartialEq)]
pub struct Robust {
    /// The value.
    pub value: Tensor<M61>,
    /// Parties that told this recipient wrong shares, which were corrected.
    pub wrong: Vec<usize>,
    /// Parties that told it nothing, or only a part.
    pub absent: Vec<usize>,
}

/// Spec 15.1: every party tells every recipient its shares.
pub(super) fn open_robustly(p: &mut Shamir, x: &Tensor<M61>, to: Recipients, liars: usize) -> Result<Option<Robust>> {
    let (n, degree) = (p.party.n(), p.threshold);
    if correctable(n, degree, liars).is_none() {
        let problem = format!(
            "wrong shares of {liars} of {n} parties cannot be noticed where {degree} may pool theirs: at most {} can",
            n - degree - 1
        );
        return Err(Error::Parameter { operation: "open", problem });
    }
    p.party.link().tolerate(true);
    let told = tell(p, x, to);
    p.party.link().tolerate(false);
    let (told, trouble) = told?;
    if !to.contains(p.party.me()) {
        return Ok(None);
    }
    if let (None, Some((_, error))) = (correctable(told.len(), degree, liars), trouble.first()) {
        return Err(error.clone());
    }
    let read = read(degree, liars, told).ok_or(Error::Cheating { check: "the comparison of an opening's shares" })?;
    let absent = trouble.into_iter().map(|(teller, _)| teller).collect();
    Ok(Some(Robust { value: tensor(x.shape(), read.0), wrong: read.1, absent }))
}

/// What others told, this party's own shares with it, and the trouble with those who did not tell all.
type Heard = (Vec<Told>, Vec<(usize, Error)>);

/// Spec 15.1: the exchange. Trouble with a party is that party's alone.
fn tell(p: &mut Shamir, x: &Tensor<M61>, to: Recipients) -> Result<Heard> {
    let (me, step, code) = (p.party.me(), p.party.next_step(), p.numbers.clone());
    let words = mersenne::words(x.data());
    let others: Vec<usize> = code.parties().iter().copied().filter(|party| *party != me).collect();
    let mut listening: Vec<usize> = others.iter().copied().filter(|party| to.contains(*party)).collect();
    let blank = |party| Told { party, point: code.field.point(party), shares: vec![0; words.len()] };
    let mut told: Vec<Told> = if to.contains(me) { others.iter().map(|party| blank(*party)).collect() } else { vec![] };
    let mut trouble = Vec::new();
    for batch in batches(words.len(), 1) {
        // A recipient that cannot be reached has no claim to a share.
        listening.retain(|r| batch.iter().all(|(tile, at)| p.party.send(*r, step, *tile, &words[at.clone()]).is_ok()));
        told.retain_mut(|teller| {
            let mut hear = |(tile, at): &(usize, std::ops::Range<usize>)| {
                p.party.recv(teller.party, step, *tile, &mut teller.shares[at.clone()])
            };
            let heard = batch.iter().try_for_each(&mut hear);
            heard.map_err(|error| trouble.push((teller.party, error))).is_ok()
        });
    }
    told.iter_mut().for_each(|teller| code.field.received(&mut teller.shares));
    if to.contains(me) {
        told.push(Told { shares: words.to_vec(), ..blank(me) });
        told.sort_by_key(|teller| teller.party);
    }
    Ok((told, trouble))
}
