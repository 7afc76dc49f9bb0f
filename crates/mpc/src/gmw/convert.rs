//! Lifts of truncated values, and arithmetic to bits. Spec 5.2 and 8.

use super::cost::Size;
use super::{Gmw, Unit, boolean};
use crate::Result;
use crate::masked::{for_lanes, lane, shift_up, subtract};
use crate::protocol::Pending;
use crate::share::{Planes, plane_words};
use privity_ot::products::{Pair, WORD, receive_words, send_words};
use privity_ring::{Tensor, simd::vectorise};
use std::ops::Range;

/// Spec 5.2: shares of `(1 - t0) (1 - t1)` modulo `2^shift`, `t` being the top bits of what was shifted. Party 0 chooses.
pub(super) struct Lift<'a> {
    me: usize,
    value: usize,
    /// Top bits of this party's share.
    bits: &'a [u64],
    elements: Range<usize>,
    shift: u32,
    out: Vec<u64>,
}

impl<'a> Lift<'a> {
    pub(super) fn new(me: usize, value: usize, pending: &'a Pending, len: usize, words: Range<usize>) -> Self {
        let elements = words.start * WORD..len.min(words.end * WORD);
        let out = vec![0; elements.len()];
        Lift { me, value, bits: &pending.bits[words], elements, shift: pending.shift, out }
    }
    /// Adds what was transferred.
    pub(super) fn merge(self, values: &mut [Tensor<u64>]) {
        let value = &mut values[self.value].data_mut()[self.elements];
        let up = 64 - self.shift;
        vectorise(|| value.iter_mut().zip(&self.out).for_each(|(v, out)| *v = v.wrapping_add(out << up)));
    }
}

impl Unit for Lift<'_> {
    fn size(&self) -> Size {
        Size::lift(self.elements.len(), self.shift)
    }
    fn choose(&self, choices: &mut Vec<u64>) {
        if self.me == 0 {
            choices.extend(self.bits.iter().map(|bits| !bits));
        }
    }
    fn answer(&mut self, pairs: &[Pair], answer: &mut [u64]) {
        if self.me == 0 {
            return;
        }
        let len = self.elements.len();
        let values: Vec<u64> = (0..len).map(|i| !self.bits[i / WORD] >> (i % WORD) & 1).collect();
        let mut words = vec![0; len];
        send_words(&pairs[..len], &values, &mut words, &mut self.out);
        vectorise(|| for_lanes(answer, len, self.shift, |i, _| words[i]));
    }
    fn finish(&mut self, keys: &[u128], answer: &[u64]) {
        if self.me == 0 {
            let len = self.elements.len();
            let words: Vec<u64> = (0..len).map(|i| lane(answer, i, self.shift)).collect();
            let choices: Vec<u64> = self.bits.iter().map(|bits| !bits).collect();
            receive_words(&keys[..len], &choices, &words, &mut self.out);
        }
    }
}

/// Spec 5.2: party 0 takes `2^(64 - shift)` off what was lifted.
pub(super) fn complete(me: usize, values: &mut [Tensor<u64>], pending: &[Option<Pending>]) {
    for (value, pending) in values.iter_mut().zip(pending) {
        if let (0, Some(pending)) = (me, pending) {
            let one = 1u64 << (64 - pending.shift);
            vectorise(|| value.data_mut().iter_mut().for_each(|v| *v = v.wrapping_sub(one)));
        }
    }
}

/// Spec 8: `x0 - (-x1)`, each number's bits at its party.
pub(super) fn a2b(p: &mut Gmw, x: &Tensor<u64>, width: u32) -> Result<Planes> {
    let width = width as usize;
    assert!((1..=64).contains(&width), "values have 1 to 64 bits");
    let zero = Planes::new(x.len(), width, vec![0; width * plane_words(x.len())]);
    let (minuend, subtrahend) = match p.me() {
        0 => (Planes::from_values(x.data(), width), zero),
        _ => (zero, Planes::from_values(x.neg().data(), width)),
    };
    subtract(p, &minuend, &subtrahend, shift_up, boolean::and)
}
