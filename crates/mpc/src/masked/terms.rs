//! Sums of bits times values: the parts of their terms, and the half that a member of the online pair forms.

use super::{ArithmeticShare, BooleanShare, WHOLE, expand, for_lanes, lane, lane_words};
use crate::buffer::Pool;
use crate::{BitShare, By, Error, Inject, Result};
use privity_ring::simd::vectorise;
use std::ops::Range;

/// Streams of the k-th term of a sum are `TERM + 4 k ..`, one a part.
const TERM: u8 = 16;
/// Terms of a sum: what is dealt for a tile of as many fits a frame, and stream labels fit a byte.
pub(crate) const MAX_TERMS: usize = 32;

/// The parts of one term over a tile, in words, in this order; what is dealt has them, and under `rep4` what the checker is
/// told.
pub(crate) struct Parts {
    /// The bit, unless it is armed.
    beta: usize,
    /// Bit times factor, for secret factors.
    gamma: usize,
    /// Twice this: the lift and bit times lift, for raw factors.
    lift: usize,
    /// Bits a raw factor was shifted by.
    pub shift: u32,
}

impl Parts {
    pub(crate) fn new(len: usize, armed: bool, secret: bool, shift: Option<u32>) -> Self {
        Parts {
            beta: if armed { 0 } else { len },
            gamma: if secret { len } else { 0 },
            lift: shift.map_or(0, |s| lane_words(len, s)),
            shift: shift.unwrap_or(0),
        }
    }
    /// Of a term over `len` elements. All parties agree.
    pub(crate) fn of(b: &BooleanShare, by: &By<'_, ArithmeticShare>, len: usize) -> Self {
        let shift = match by {
            By::Value(x) => x.pending.as_ref().map(|pending| pending.shift),
            By::Public(_) => None,
        };
        Parts::new(len, b.armed.is_some(), matches!(by, By::Value(_)), shift)
    }
    pub(crate) fn total(&self) -> usize {
        self.sizes().iter().sum()
    }
    fn sizes(&self) -> [usize; 4] {
        [self.beta, self.gamma, self.lift, self.lift]
    }
    /// Takes this term's parts off what is left of a message.
    pub(crate) fn take<'a>(&self, rest: &mut &'a [u64]) -> [&'a [u64]; 4] {
        self.sizes().map(|words| rest.split_off(..words).expect("a message has all parts"))
    }
    pub(crate) fn take_mut<'a>(&self, rest: &mut &'a mut [u64]) -> [&'a mut [u64]; 4] {
        self.sizes().map(|words| rest.split_off_mut(..words).expect("a message has all parts"))
    }
}

/// Words of all parts of a sum's terms over a tile.
pub(crate) fn total(job: &Inject<'_, ArithmeticShare, BooleanShare>, len: usize) -> usize {
    job.terms.iter().map(|term| Parts::of(term.0, &term.1, len).total()).sum()
}

/// Draws the streams of all parts; `mask` fills words from the stream of a label, given the shift that says how wide their lanes are.
pub(crate) fn draw(
    job: &Inject<'_, ArithmeticShare, BooleanShare>,
    len: usize,
    words: &mut [u64],
    mut mask: impl FnMut(u8, u32, &mut [u64]),
) {
    let mut rest = words;
    for (k, term) in job.terms.iter().enumerate() {
        let parts = Parts::of(term.0, &term.1, len);
        for (i, part) in parts.take_mut(&mut rest).into_iter().enumerate() {
            if !part.is_empty() {
                let shift = if i < 2 { WHOLE } else { parts.shift };
                mask(TERM + 4 * k as u8 + i as u8, shift, part);
            }
        }
    }
}

pub(crate) fn check_terms(job: &Inject<'_, ArithmeticShare, BooleanShare>) -> Result<()> {
    if job.terms.len() > MAX_TERMS {
        let problem = format!("{} terms in one sum; at most {MAX_TERMS} are supported", job.terms.len());
        return Err(Error::Parameter { operation: "select", problem });
    }
    for (b, by) in &job.terms {
        assert_eq!((b.len(), b.width()), (job.shape.len(), 1), "a term's bits must match the result");
        if let By::Value(x) = by {
            assert_eq!(x.value.x.len(), job.shape.len(), "a term's factor must match the result");
        }
    }
    Ok(())
}

/// `(1 - 2 b) v`, the bit as a word of all ones or zeros.
#[inline(always)]
pub(crate) fn signed(b: u64, v: u64) -> u64 {
    (v ^ b).wrapping_sub(b)
}

/// Those who know the masks: drawn shares of a bit become the other shares, the bit given as words of all ones or zeros.
pub(crate) fn deal_bits(beta: &mut [u64], bits: &[u64]) {
    vectorise(|| beta.iter_mut().zip(bits).for_each(|(share, b)| *share = (b & 1).wrapping_sub(*share)));
}

/// The same for bit times mask.
pub(crate) fn deal_products(gamma: &mut [u64], bits: &[u64], l: &[u64]) {
    vectorise(|| {
        gamma.iter_mut().zip(bits.iter().zip(l)).for_each(|(share, (b, l))| *share = (b & l).wrapping_sub(*share))
    });
}

/// The same for the bits `lm` of a lift and bit times `lm`, modulo `2^shift`.
pub(crate) fn deal_lifts(lm: &mut [u64], lm_bit: &mut [u64], bits: &[u64], top: &[u64], shift: u32) {
    let len = bits.len();
    vectorise(|| {
        for_lanes(lm, len, shift, |i, share| (top[i] & 1).wrapping_sub(share));
        for_lanes(lm_bit, len, shift, |i, share| (top[i] & bits[i] & 1).wrapping_sub(share));
    });
}

/// A member of the online pair: one bit sharing over a tile, masked bits as words of all ones or zeros, and its share of the mask
/// bit. In all sums `s = 1 - 2 A_b`; party 2 adds what has no mask (`whole`).
pub(crate) struct Term<'a> {
    pub masked: &'a [u64],
    pub beta: &'a [u64],
    pub whole: bool,
}

impl Term<'_> {
    /// `c (A_b + s L_b)`
    pub(crate) fn add_public(&self, sum: &mut [u64], c: u64) {
        let whole = u64::from(self.whole);
        vectorise(|| {
            for (s, (b, beta)) in sum.iter_mut().zip(self.masked.iter().zip(self.beta)) {
                let v = signed(*b, *beta).wrapping_add(b & whole);
                *s = s.wrapping_add(c.wrapping_mul(v));
            }
        });
    }

    /// `A_b A_x - A_b L_x + s (A_x L_b - L_b L_x)`
    pub(crate) fn add_secret(&self, sum: &mut [u64], a: &[u64], l: &[u64], gamma: &[u64]) {
        let whole = if self.whole { u64::MAX } else { 0 };
        vectorise(|| {
            let bits = self.masked.iter().zip(self.beta);
            for ((s, (b, beta)), ((a, l), gamma)) in sum.iter_mut().zip(bits).zip(a.iter().zip(l).zip(gamma)) {
                let own = (a & whole).wrapping_sub(*l) & b;
                let cross = a.wrapping_mul(*beta).wrapping_sub(*gamma);
                *s = s.wrapping_add(own).wrapping_add(signed(*b, cross));
            }
        });
    }

    /// `2^k (1 - am) (A_b lm + s L_b lm)`
    pub(crate) fn add_lift(&self, sum: &mut [u64], am: &[u64], lm: &[u64], lm_bit: &[u64], shift: u32) {
        vectorise(|| {
            for (i, ((s, b), am)) in sum.iter_mut().zip(self.masked).zip(am).enumerate() {
                let v = (lane(lm, i, shift) & b).wrapping_add(signed(*b, lane(lm_bit, i, shift)));
                *s = s.wrapping_add((v << (64 - shift)) & !am);
            }
        });
    }
}

/// The pair's half of a sum over a tile, from what was drawn or dealt; added to `sum`.
pub(crate) fn add_terms(
    pool: &mut Pool,
    job: &Inject<'_, ArithmeticShare, BooleanShare>,
    dealt: &[u64],
    range: &Range<usize>,
    whole: bool,
    sum: &mut [u64],
) {
    let mut rest = dealt;
    for (b, by) in &job.terms {
        let parts = Parts::of(b, by, range.len());
        let [beta, gamma, lm, lm_bit] = parts.take(&mut rest);
        let beta = b.armed.as_ref().map_or(beta, |armed| &armed.0[range.clone()]);
        let words = b.x.words();
        let masked = expand(pool, range, |word| words[word]);
        let term = Term { masked: &masked, beta, whole };
        match by {
            By::Public(c) => term.add_public(sum, *c),
            By::Value(x) => {
                term.add_secret(sum, &x.value.x.data()[range.clone()], &x.value.y.data()[range.clone()], gamma);
                if let Some(pending) = &x.pending {
                    let am = expand(pool, range, |word| pending.bits[word]);
                    term.add_lift(sum, &am, lm, lm_bit, parts.shift);
                    pool.give(am);
                }
            }
        }
        pool.give(masked);
    }
}
