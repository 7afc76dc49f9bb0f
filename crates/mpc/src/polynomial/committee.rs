//! Shared numbers go over to other parties and another threshold. Spec 17.

use super::{Code, Field, Prime, Together, deal_alone, place, weights};
use crate::cost::Clock;
use crate::shamir::{MOST, cost};
use crate::{Error, Party, Result};
use privity_ring::{M61, Shape, Tensor, mersenne};

/// Some parties of a session, and how many of them may be corrupt. A member's point is that of its place: in a session of their own they go on with
/// the same shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committee {
    members: Vec<usize>,
    threshold: usize,
}

impl Committee {
    /// These parties, in ascending order.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless they are in ascending order and `1 <= threshold`, `2 threshold < members <= 31`.
    pub fn new(members: &[usize], threshold: usize) -> Result<Committee> {
        let ascending = members.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || threshold == 0 || 2 * threshold >= members.len() || members.len() > MOST {
            let problem = format!(
                "threshold {threshold} of parties {members:?}; they are to be in ascending order, {MOST} at most, and at least 1 and less than half of them may be corrupt"
            );
            return Err(Error::Parameter { operation: "committee", problem });
        }
        Ok(Committee { members: members.to_vec(), threshold })
    }
    /// The parties.
    pub fn members(&self) -> &[usize] {
        &self.members
    }
    /// How many of them learn nothing.
    pub fn threshold(&self) -> usize {
        self.threshold
    }
}

/// Who hands shared numbers over to whom.
pub struct Handover {
    old: Committee,
    new: Code<Prime>,
    dealers: Vec<usize>,
    weights: Vec<M61>,
}

impl Handover {
    /// From one committee to another, in a session of `n` parties among which are both; they may overlap. `dealers` are the members of the old one
    /// that take part, more than its threshold: others are not needed.
    ///
    /// # Errors
    /// [`Error::Parameter`] if they are too few, or not of the old committee, or members are not of the session.
    pub fn new(n: usize, old: &Committee, dealers: &[usize], new: &Committee) -> Result<Handover> {
        let distinct = dealers.iter().enumerate().all(|(i, dealer)| !dealers[..i].contains(dealer));
        let of_old = dealers.iter().all(|dealer| old.members.contains(dealer));
        let in_session = old.members.iter().chain(&new.members).all(|member| *member < n);
        if !distinct || !of_old || !in_session || dealers.len() <= old.threshold {
            let problem = format!(
                "dealers {dealers:?} for {:?} in a session of {n}; at least {} different members of the old committee are needed, and all members in the session",
                old.members,
                old.threshold + 1
            );
            return Err(Error::Parameter { operation: "reshare", problem });
        }
        let dealers = dealers[..=old.threshold].to_vec();
        let points: Vec<M61> = dealers.iter().map(|dealer| Prime.point(place(&old.members, *dealer))).collect();
        let code = Code::of(Prime, &new.members, new.threshold, &[Prime.zero()], &dealers);
        Ok(Handover { old: old.clone(), new: code, weights: weights(Prime, &points, Prime.zero()), dealers })
    }

    /// Shares `x` of the old committee's dealers become shares of the new one's members: new ones, of the same numbers. One round; each of `t + 1`
    /// dealers sends `n' - t'` elements for each element, one less if it is a new member. What is secret stays so only if old members that leave
    /// delete their shares. Spec 17.2.
    ///
    /// # Errors
    /// [`Error::Input`] if a dealer has no share of this shape, [`Error::Parameter`] if a party that is not of the old committee gives one; the network.
    pub fn run(&self, party: &mut Party, shape: &Shape, x: Option<&Tensor<M61>>) -> Result<Option<Tensor<M61>>> {
        let me = party.me();
        let at = self.dealers.iter().position(|dealer| *dealer == me);
        if at.is_some() && x.is_none_or(|x| x.shape() != shape) {
            return Err(Error::Input { owner: me, problem: "it deals and gave no share of the declared shape" });
        }
        if x.is_some() && !self.old.members.contains(&me) {
            let problem = format!("party {me} is not of the old committee and cannot have a share");
            return Err(Error::Parameter { operation: "reshare", problem });
        }
        let mine = || {
            let mut own = x.map(|x| mersenne::words(x.data()).to_vec()).unwrap_or_default();
            at.iter().for_each(|at| mersenne::scale_assign(&mut own, self.weights[*at]));
            own
        };
        party.enter("reshare");
        let dealt = deal_alone(party, &self.new, &self.dealers, shape.len(), Together::Added, mine);
        party.leave();
        let share = dealt?.remove(0);
        let member = self.new.parties().contains(&me);
        Ok(member.then(|| Tensor::new(shape.clone(), mersenne::elements(share))))
    }

    /// The declared messages for `len` elements.
    pub fn price(&self, clock: &mut Clock, len: usize) {
        cost::deal(clock, &self.new, &self.dealers, len);
    }
}
