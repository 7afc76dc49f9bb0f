//! Lifts of truncated values, arithmetic to bits, and to Yao's garbled circuits and back. Spec 5.2, 8 and 14.

use super::cost::Size;
use super::{ANSWERS, Gmw, Unit, boolean};
use crate::garbled::{Garbled, extents, lengths, shape_of};
use crate::masked::{for_lanes, lane, shift_up, subtract};
use crate::protocol::Pending;
use crate::share::{BitShare, Planes, plane_words};
use crate::{Error, Result};
use privity_circuit::shares::SHARE_BITS;
use privity_gc::{Garbler, Label, TABLE_BYTES};
use privity_ot::extension::message_bytes;
use privity_ot::products::{Pair, WORD, receive_words, send_words};
use privity_prim::Prg;
use privity_ring::kernels::bits::{from_planes, to_planes};
use privity_ring::{Tensor, simd::vectorise};
use std::ops::Range;
use zeroize::Zeroizing;

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

/// Elements that are garbled side by side: a word of each bit.
pub(super) const INSTANCES: usize = 64;

impl Garbled {
    /// Bytes under gmw, from the garbler and to it, for each 64 elements: Spec 14.4.
    pub fn cost(&self) -> [u64; 2] {
        let (choices, own) = inputs(self);
        let labels = 16 + 32 * choices + 16 * own;
        let tables = TABLE_BYTES * self.schedule.ands() * INSTANCES;
        [(labels + tables + self.results * SHARE_BITS * INSTANCES / 8) as u64, message_bytes(choices) as u64]
    }
}

/// Bits that the evaluator chooses labels for, and bits of the garbler, of all instances.
fn inputs(what: &Garbled) -> (usize, usize) {
    let operands = what.operand_bits();
    (operands * INSTANCES, (operands + what.results * SHARE_BITS) * INSTANCES)
}

/// Spec 14: the circuit for every element of the operands, party 0 garbling, party 1 evaluating; shares in, shares out. Two messages in sequence for
/// each [`INSTANCES`] elements.
pub(super) fn garbled(
    p: &mut Gmw,
    what: &Garbled,
    numbers: &[&Tensor<u64>],
    words: &[&Planes],
) -> Result<(Vec<Tensor<u64>>, Vec<Planes>)> {
    let len = what.elements(&lengths(numbers), &extents(words));
    let mut results = vec![Vec::with_capacity(len); what.results];
    let mut outputs: Vec<Planes> = what.outputs.iter().map(|width| Planes::zeros(len, *width)).collect();
    let mut values = Zeroizing::new([0; INSTANCES]);
    for block in 0..len.div_ceil(INSTANCES) {
        let (from, to) = (INSTANCES * block, len.min(INSTANCES * (block + 1)));
        let mut bits = Zeroizing::new(Vec::with_capacity(what.operand_bits() + what.results * SHARE_BITS));
        for x in numbers {
            values.fill(0);
            values[..to - from].copy_from_slice(&x.data()[from..to]);
            push_planes(&mut bits, &values[..], what.width);
        }
        for x in words {
            bits.extend((0..x.width()).map(|plane| x.plane_words(plane)[block]));
        }
        let (shares, colours) = if p.me() == 0 { garble(p, what, bits)? } else { evaluate(p, what, &bits)? };
        for (out, shares) in results.iter_mut().zip(shares.chunks_exact(INSTANCES)) {
            out.extend_from_slice(&shares[..to - from]);
        }
        let mut rest = &colours[..];
        for out in &mut outputs {
            let planes = rest.split_off(..out.width()).expect("outputs of declared widths");
            out.set_block(block, planes);
        }
    }
    let shape = shape_of(numbers, len);
    Ok((results.into_iter().map(|data| Tensor::new(shape.clone(), data)).collect(), outputs))
}

/// Appends the low `width` bits of [`INSTANCES`] values: a word a bit.
fn push_planes(bits: &mut Vec<u64>, values: &[u64], width: usize) {
    let at = bits.len();
    bits.resize(at + width, 0);
    to_planes(values, width, &mut bits[at..]);
}

/// Bit `i`, counted through the elements of one bit after the other.
fn bit(planes: &[u64], i: usize) -> bool {
    planes[i / INSTANCES] >> (i % INSTANCES) & 1 == 1
}

/// The colours of labels of one bit of all instances.
fn colours(labels: &[Label]) -> u64 {
    labels.iter().enumerate().fold(0u64, |word, (i, label)| word | ((label & 1) as u64) << i)
}

/// The garbler's side: its masks are its shares of numbers, the colours of the labels of 0 its shares of words.
fn garble(p: &mut Gmw, what: &Garbled, mut bits: Zeroizing<Vec<u64>>) -> Result<(Vec<u64>, Vec<u64>)> {
    let (step, (choices, own)) = (p.party.next_step(), inputs(what));
    let mut masks = vec![0; what.results * INSTANCES];
    let fresh = privity_prim::fresh_secret().map_err(|_| Error::Randomness)?;
    Prg::new(fresh.expose()[..16].try_into().expect("sixteen bytes")).fill(0, 0, &mut masks);
    masks.chunks_exact(INSTANCES).for_each(|masks| push_planes(&mut bits, masks, SHARE_BITS));
    let mut message = vec![0; message_bytes(choices)];
    p.await_peer(step, 0, &mut message)?;
    let failed = || Error::Parameter { operation: "garbled", problem: "an earlier transfer failed".into() };
    let (sender, keys) = p.sender.take().ok_or_else(failed)?.extend(choices, &message)?;
    p.sender = Some(sender);
    let mut garbler = Garbler::new().map_err(|_| Error::Randomness)?;
    let begun = garbler.begin(&what.schedule, INSTANCES);
    let mut sent = Zeroizing::new(garbler.start().to_le_bytes().to_vec());
    sent.reserve(what.cost()[0] as usize);
    for (zero, pair) in begun.inputs[own..].iter().zip(keys.iter()) {
        for (value, key) in [false, true].into_iter().zip(pair) {
            sent.extend_from_slice(&(garbler.label(*zero, value) ^ key).to_le_bytes());
        }
    }
    for (i, zero) in begun.inputs[..own].iter().enumerate() {
        sent.extend_from_slice(&garbler.label(*zero, bit(&bits, i)).to_le_bytes());
    }
    let outputs = garbler.garble_from(&what.schedule, begun, |tables| -> Result<()> {
        sent.extend_from_slice(bytemuck::cast_slice(tables));
        Ok(())
    })?;
    // Spec 14.2: the colours of the labels of 0 tell the evaluator, and nobody else, what its labels stand for; those of words stay here.
    let mut zeros: Vec<u64> = outputs.chunks_exact(INSTANCES).map(colours).collect();
    let words = zeros.split_off(what.results * SHARE_BITS);
    zeros.iter().for_each(|word| sent.extend_from_slice(&word.to_le_bytes()));
    p.post(step, ANSWERS, &sent)?;
    Ok((masks, words))
}

/// The evaluator's side: what the outputs stand for are its shares of numbers, the colours of the labels its shares of words.
fn evaluate(p: &mut Gmw, what: &Garbled, bits: &[u64]) -> Result<(Vec<u64>, Vec<u64>)> {
    let (step, (choices, own)) = (p.party.next_step(), inputs(what));
    let (message, keys) = p.receiver.extend_words(bits)?;
    p.post(step, 0, &message)?;
    let mut got = vec![0; what.cost()[0] as usize];
    p.await_peer(step, ANSWERS, &mut got)?;
    let label = |bytes: &[u8]| Label::from_le_bytes(bytes.try_into().expect("sixteen bytes"));
    let (start, rest) = got.split_at(16);
    let (pairs, rest) = rest.split_at(32 * choices);
    let (garblers, rest) = rest.split_at(16 * own);
    let mut active: Vec<Label> = garblers.chunks_exact(16).map(label).collect();
    for (i, (pair, key)) in pairs.chunks_exact(32).zip(keys.iter()).enumerate() {
        let (zero, one) = (label(&pair[..16]), label(&pair[16..]));
        active.push(zero ^ (zero ^ one) & Label::from(bit(bits, i)).wrapping_neg() ^ key);
    }
    let (mut tables, zeros) = rest.split_at(rest.len() - what.results * SHARE_BITS * INSTANCES / 8);
    let labels = privity_gc::evaluate(&what.schedule, label(start), 0, &active, INSTANCES, |part| -> Result<()> {
        let (head, tail) = tables.split_at(16 * part.len());
        bytemuck::cast_slice_mut(part).copy_from_slice(head);
        tables = tail;
        Ok(())
    })?;
    let mut planes: Vec<u64> = labels.chunks_exact(INSTANCES).map(colours).collect();
    let words = planes.split_off(what.results * SHARE_BITS);
    for (plane, zeros) in planes.iter_mut().zip(zeros.chunks_exact(8)) {
        *plane ^= u64::from_le_bytes(zeros.try_into().expect("eight bytes"));
    }
    let mut shares = vec![0; what.results * INSTANCES];
    for (planes, shares) in planes.chunks_exact(SHARE_BITS).zip(shares.chunks_exact_mut(INSTANCES)) {
        from_planes(planes, SHARE_BITS, shares);
    }
    Ok((shares, words))
}
