//! Lifts of truncated values, arithmetic to bits, and to Yao's garbled circuits and back. Spec 5.2, 8 and 14.

use super::cost::Size;
use super::{ANSWERS, Gmw, Unit, boolean};
use crate::masked::{for_lanes, lane, shift_up, subtract};
use crate::protocol::Pending;
use crate::share::{Planes, plane_words};
use crate::{Error, Result};
use privity_circuit::shares::{OnShares, SHARE_BITS};
use privity_gc::{Garbler, Label, Schedule, TABLE_BYTES};
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

/// A circuit on shared numbers, and the order of its gates: made once for any number of runs.
pub struct Garbled {
    schedule: Schedule,
    numbers: usize,
    results: usize,
}

/// Elements that are garbled side by side: whole words of bits, as many as keep tables of a few thousand gates within tens of megabytes.
const INSTANCES: usize = 64;

impl Garbled {
    /// Prepares a circuit.
    pub fn new(on_shares: &OnShares) -> Self {
        let OnShares { circuit, numbers, results } = on_shares;
        Garbled { schedule: Schedule::new(circuit), numbers: *numbers, results: *results }
    }
    /// Bytes from the garbler and to it for each 64 elements: Spec 14.
    pub fn cost(&self) -> [u64; 2] {
        let (choices, own) = self.inputs();
        let labels = 16 + 32 * choices + 16 * own;
        let tables = TABLE_BYTES * self.schedule.ands() * INSTANCES;
        [(labels + tables + self.results * SHARE_BITS * INSTANCES / 8) as u64, message_bytes(choices) as u64]
    }
    /// Bits that the evaluator chooses labels for, and bits of the garbler.
    fn inputs(&self) -> (usize, usize) {
        let bits = SHARE_BITS * INSTANCES;
        (self.numbers * bits, (self.numbers + self.results) * bits)
    }
}

/// Spec 14: the circuit for every element of the operands, party 0 garbling, party 1 evaluating; shares in, shares out. Two messages in sequence for
/// each [`INSTANCES`] elements.
pub(super) fn garbled(p: &mut Gmw, what: &Garbled, xs: &[&Tensor<u64>]) -> Result<Vec<Tensor<u64>>> {
    assert!(
        xs.len() == what.numbers && xs.iter().all(|x| x.shape() == xs[0].shape()),
        "operands of one shape, as many as the circuit has"
    );
    let (shape, len) = (xs[0].shape().clone(), xs[0].len());
    let mut out = vec![Vec::with_capacity(len); what.results];
    for from in (0..len).step_by(INSTANCES) {
        let to = len.min(from + INSTANCES);
        let mut words: Vec<u64> = Vec::with_capacity(INSTANCES * (what.numbers + what.results));
        for x in xs {
            words.extend_from_slice(&x.data()[from..to]);
            words.resize(words.len().next_multiple_of(INSTANCES), 0);
        }
        let shares = if p.me() == 0 { garble(p, what, words)? } else { evaluate(p, what, words)? };
        for (out, shares) in out.iter_mut().zip(shares.chunks_exact(INSTANCES)) {
            out.extend_from_slice(&shares[..to - from]);
        }
    }
    Ok(out.into_iter().map(|data| Tensor::new(shape.clone(), data)).collect())
}

/// Words of [`INSTANCES`] elements, number after number, as bits: `[bit of a number][element]`, a word a bit.
fn bits_of(words: &[u64]) -> Zeroizing<Vec<u64>> {
    let mut planes = Zeroizing::new(vec![0; words.len()]);
    for (words, planes) in words.chunks_exact(INSTANCES).zip(planes.chunks_exact_mut(SHARE_BITS)) {
        to_planes(words, SHARE_BITS, planes);
    }
    planes
}

/// Bit `i` of bits as [`bits_of`] has them.
fn bit(planes: &[u64], i: usize) -> bool {
    planes[i / INSTANCES] >> (i % INSTANCES) & 1 == 1
}

/// The garbler's side: its masks are its shares of the results.
fn garble(p: &mut Gmw, what: &Garbled, mut words: Vec<u64>) -> Result<Vec<u64>> {
    let (step, (choices, own)) = (p.party.next_step(), what.inputs());
    let mut masks = vec![0; what.results * INSTANCES];
    let fresh = privity_prim::fresh_secret().map_err(|_| Error::Randomness)?;
    Prg::new(fresh.expose()[..16].try_into().expect("sixteen bytes")).fill(0, 0, &mut masks);
    words.extend_from_slice(&masks);
    let mut message = vec![0; message_bytes(choices)];
    p.await_peer(step, 0, &mut message)?;
    let sender = p
        .sender
        .take()
        .ok_or(Error::Parameter { operation: "garbled", problem: "an earlier transfer failed".into() })?;
    let (sender, keys) = sender.extend(choices, &message)?;
    p.sender = Some(sender);
    let mut garbler = Garbler::new().map_err(|_| Error::Randomness)?;
    let begun = garbler.begin(&what.schedule, INSTANCES);
    let mut sent = Zeroizing::new(garbler.start().to_le_bytes().to_vec());
    sent.reserve(32 * choices + 16 * own + TABLE_BYTES * what.schedule.ands() * INSTANCES);
    for (zero, pair) in begun.inputs[own..].iter().zip(keys.iter()) {
        for (value, key) in [false, true].into_iter().zip(pair) {
            sent.extend_from_slice(&(garbler.label(*zero, value) ^ key).to_le_bytes());
        }
    }
    let planes = bits_of(&words);
    for (i, zero) in begun.inputs[..own].iter().enumerate() {
        sent.extend_from_slice(&garbler.label(*zero, bit(&planes, i)).to_le_bytes());
    }
    let outputs = garbler.garble_from(&what.schedule, begun, |tables| -> Result<()> {
        sent.extend_from_slice(bytemuck::cast_slice(tables));
        Ok(())
    })?;
    // The colours of the labels of 0 tell the evaluator, and nobody else, what its labels stand for.
    let colours =
        |zeros: &[Label]| zeros.iter().enumerate().fold(0u64, |word, (i, zero)| word | ((zero & 1) as u64) << i);
    outputs.chunks_exact(INSTANCES).for_each(|zeros| sent.extend_from_slice(&colours(zeros).to_le_bytes()));
    p.post(step, ANSWERS, &sent)?;
    Ok(masks)
}

/// The evaluator's side.
fn evaluate(p: &mut Gmw, what: &Garbled, words: Vec<u64>) -> Result<Vec<u64>> {
    let (step, (choices, own)) = (p.party.next_step(), what.inputs());
    let planes = bits_of(&words);
    let (message, keys) = p.receiver.extend_words(&planes)?;
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
        active.push(zero ^ (zero ^ one) & Label::from(bit(&planes, i)).wrapping_neg() ^ key);
    }
    let (mut tables, colours) = rest.split_at(rest.len() - what.results * SHARE_BITS * INSTANCES / 8);
    let labels = privity_gc::evaluate(&what.schedule, label(start), 0, &active, INSTANCES, |part| -> Result<()> {
        let (head, tail) = tables.split_at(16 * part.len());
        bytemuck::cast_slice_mut(part).copy_from_slice(head);
        tables = tail;
        Ok(())
    })?;
    let mut shares = vec![0; what.results * INSTANCES];
    let mut planes = Vec::with_capacity(what.results * SHARE_BITS);
    for (labels, colours) in labels.chunks_exact(INSTANCES).zip(colours.chunks_exact(8)) {
        let own = labels.iter().enumerate().fold(0u64, |word, (i, label)| word | ((label & 1) as u64) << i);
        planes.push(own ^ u64::from_le_bytes(colours.try_into().expect("eight bytes")));
    }
    for (planes, shares) in planes.chunks_exact(SHARE_BITS).zip(shares.chunks_exact_mut(INSTANCES)) {
        from_planes(planes, SHARE_BITS, shares);
    }
    Ok(shares)
}
