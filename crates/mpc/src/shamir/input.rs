//! Sharing inputs and opening results. Spec 3.

use super::Shamir;
use crate::polynomial::{Field, Together, Told, batches, correctable, deal, read, weights};
use crate::protocol::check_input;
use crate::{Error, Recipients, Result};
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
