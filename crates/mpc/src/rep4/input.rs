//! Sharing inputs and opening results. Spec 2 and 3.

use super::{ArithmeticShare, CHECKER, DEALER, FIRST, ONE, OTHER, Rep4, SECOND, TWO};
use crate::masked::{add_assign, sub_assign, tiles};
use crate::protocol::check_input;
use crate::{Error, Recipients, Result};
use privity_ring::{Shape, Tensor};

const MASK: u8 = 1;

/// Who is sent the owner's masked value, and who compares it: the holders of the component that the owner deals.
pub(super) fn receivers(owner: usize) -> [usize; 2] {
    match owner {
        CHECKER | DEALER => [FIRST, SECOND],
        FIRST => [CHECKER, SECOND],
        _ => [CHECKER, FIRST],
    }
}

/// Spec 2: the component that the owner lacks is zero, those it holds come from the triple keys except one, which it sends to
/// its two other holders; they compare it.
pub(super) fn input(p: &mut Rep4, owner: usize, shape: &Shape, x: Option<&Tensor<u64>>) -> Result<ArithmeticShare> {
    let me = p.party.me();
    let given = check_input(owner, me, shape, x)?;
    let step = p.party.next_step();
    let mut share = ArithmeticShare::zeros(shape);
    let [one, two] = receivers(owner);
    for (tile, range) in tiles(shape.len()) {
        let n = range.len();
        let (sx, sy) = (&mut share.x.data_mut()[range.clone()], &mut share.y.data_mut()[range.clone()]);
        let zero = |p: &mut Rep4| {
            let mut zeros = p.buffer(n);
            zeros.fill(0);
            zeros
        };
        // Spec 2.1: the masks, drawn by their holders; the one that the owner lacks is zero.
        let draw = |p: &mut Rep4, holders, lacking: usize, holds: bool| {
            if holds && owner != lacking { p.drawn(holders, step, MASK, tile, n) } else { zero(p) }
        };
        let l1 = draw(p, ONE, SECOND, me != SECOND);
        let l2 = draw(p, TWO, FIRST, me != FIRST);
        // The dealer's own input is dealt as U = -(x + L), so U is not drawn for it.
        let u = if owner == DEALER { zero(p) } else { draw(p, OTHER, CHECKER, me != CHECKER) };
        // Spec 2.2: m = x + l1 + l2 + U to the other holders of m; by the dealer, A = x + L to the holders of U.
        let mut sent = p.buffer(n);
        if let Some(x) = given {
            sent.copy_from_slice(&x.data()[range]);
            [&l1, &l2, &u].iter().for_each(|mask| add_assign(&mut sent, mask));
            p.party.send(one, step, tile, &sent)?;
            p.party.send(two, step, tile, &sent)?;
        } else if me == one || me == two {
            p.party.recv(owner, step, tile, &mut sent)?;
            p.window.absorb(if me == one { two } else { one }, &sent);
        }
        match me {
            CHECKER => {
                sy.copy_from_slice(&l1);
                add_assign(sy, &l2);
                if owner != DEALER {
                    sx.copy_from_slice(&sent);
                }
                sub_assign(sx, sy);
            }
            DEALER => {
                sx.copy_from_slice(&l1);
                add_assign(sx, &l2);
                sy.copy_from_slice(&u);
                if owner == DEALER {
                    sub_assign(sy, &sent);
                }
            }
            _ => {
                sx.copy_from_slice(&sent);
                sub_assign(sx, &u);
                sy.copy_from_slice(if me == FIRST { &l1 } else { &l2 });
            }
        }
        p.recycle([l1, l2, u, sent]);
    }
    Ok(share)
}

/// Spec 3: each recipient is sent what it lacks by all three others and takes what two of them agree on: no single party can
/// block the opening or change it. Called after an agreed verdict only.
pub(super) fn open(p: &mut Rep4, x: &ArithmeticShare, to: Recipients) -> Result<Option<Tensor<u64>>> {
    let (me, step) = (p.party.me(), p.party.next_step());
    for recipient in (0..4).filter(|r| *r != me && to.contains(*r)) {
        let component = if sends_second(me, recipient) { &x.y } else { &x.x };
        for (tile, range) in tiles(component.len()) {
            // Whoever cannot be reached is the recipient's loss, not a reason to keep others waiting.
            match p.party.send(recipient, step, tile, &component.data()[range]) {
                Ok(()) | Err(Error::Net(_)) => {}
                Err(other) => return Err(other),
            }
        }
    }
    if !to.contains(me) {
        return Ok(None);
    }
    let mut votes: Vec<Tensor<u64>> = Vec::with_capacity(3);
    let mut trouble = None;
    for from in (0..4).filter(|from| *from != me) {
        let mut theirs = Tensor::zeros(x.x.shape());
        let mut all = tiles(theirs.len());
        match all.try_for_each(|(tile, range)| p.party.recv(from, step, tile, &mut theirs.data_mut()[range])) {
            Ok(()) => votes.push(candidate(me, from, x, theirs)),
            Err(error) => trouble = Some(error),
        }
    }
    let agreed = (0..votes.len()).find(|i| votes[..*i].contains(&votes[*i]));
    match (agreed, trouble) {
        (Some(i), _) => Ok(Some(votes.swap_remove(i))),
        (None, Some(error)) => Err(error),
        (None, None) => Err(Error::Cheating { check: "comparison of three copies of an opened value" }),
    }
}

/// Whether a party sends its second component to this recipient: masks to the online pair, `U` to the checker.
fn sends_second(from: usize, to: usize) -> bool {
    match to {
        CHECKER => from == DEALER,
        DEALER => false,
        _ => from != DEALER,
    }
}

/// The value, from what `from` sent.
fn candidate(me: usize, from: usize, x: &ArithmeticShare, theirs: Tensor<u64>) -> Tensor<u64> {
    match (me, from) {
        // A - L; or B - U.
        (CHECKER, DEALER) => x.x.sub(&theirs),
        (CHECKER, _) => theirs.sub(&x.y),
        // (L, U): B - U; or A - L.
        (DEALER, CHECKER) => theirs.sub(&x.y),
        (DEALER, _) => theirs.sub(&x.x),
        // A - L; or A - l1 - l2.
        (_, CHECKER | DEALER) => x.x.sub(&theirs),
        _ => x.x.sub(&x.y).sub(&theirs),
    }
}
