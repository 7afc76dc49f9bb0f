//! The order in which gates are garbled and evaluated: ANDs that do not wait for each other together.

use crate::{CHUNK, Label};
use privity_circuit::{Circuit, Gate, Wire};
use privity_prim::Keys;
use privity_ring::simd::vectorise;
use std::ops::Range;
use zeroize::{Zeroize, Zeroizing};

/// A gate without cost: what drives the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Local {
    Xor(Wire, Wire, Wire),
    Not(Wire, Wire),
    Copy(Wire, Wire),
    Constant(bool, Wire),
}

/// A circuit in levels, its wires renamed to slots that are used again. Spec 2.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub(crate) levels: Vec<Level>,
    /// Slots that are alive at one time, at most; the first hold the inputs at the start.
    pub(crate) slots: usize,
    /// Slots of the output bits at the end.
    pub(crate) outputs: Vec<Wire>,
    input_bits: usize,
    ands: usize,
    /// Whether the labels of every operand of an AND are independent in different instances: none is of constants only.
    independent: bool,
}

/// Gates without cost, one after the other, then ANDs, whose operands are all there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    pub(crate) locals: Vec<Local>,
    /// Operands and result of each.
    pub(crate) ands: Vec<[Wire; 3]>,
}

impl Schedule {
    /// The schedule of a circuit.
    pub fn new(circuit: &Circuit) -> Self {
        let mut levels = levels(circuit);
        let outputs = circuit.wires() - circuit.output_bits()..circuit.wires();
        let mut slots = Slots::new(circuit, last_uses(circuit, &levels));
        let mut place = 0;
        for level in &mut levels {
            for local in &mut level.locals {
                slots.rename_local(local, place);
                place += 1;
            }
            slots.rename_ands(&mut level.ands, place);
            place += 1;
        }
        Schedule {
            levels,
            slots: slots.made as usize,
            outputs: outputs.map(|wire| slots.of[wire]).collect(),
            input_bits: circuit.input_bits(),
            ands: circuit.ands(),
            independent: independent(circuit),
        }
    }
    /// Which keys ANDs have, and how many are in a call. Spec 3.6: instances of a gate share keys if there are enough.
    pub(crate) fn calls(&self, instances: usize) -> (Keys, usize) {
        match self.independent && instances >= SHARING {
            true => (Keys::Shared, 1),
            false => (Keys::Apart, CHUNK.div_ceil(instances)),
        }
    }
    /// ANDs of one instance.
    pub fn ands(&self) -> usize {
        self.ands
    }
    /// Bits of all inputs of one instance.
    pub fn input_bits(&self) -> usize {
        self.input_bits
    }
    /// Bits of all outputs of one instance.
    pub fn output_bits(&self) -> usize {
        self.outputs.len()
    }
}

/// Gates by AND-depth.
fn levels(circuit: &Circuit) -> Vec<Level> {
    let mut depth = vec![0usize; circuit.wires()];
    let mut levels = vec![Level::default()];
    for gate in circuit.gates() {
        let ready = gate.inputs().map(|wire| depth[wire as usize]).max().unwrap_or(0);
        let local = match *gate {
            Gate::And(a, b, out) => {
                levels[ready].ands.push([a, b, out]);
                depth[out as usize] = ready + 1;
                if levels.len() == ready + 1 {
                    levels.push(Level::default());
                }
                continue;
            }
            Gate::Xor(a, b, out) => Local::Xor(a, b, out),
            Gate::Not(a, out) => Local::Not(a, out),
            Gate::Copy(a, out) => Local::Copy(a, out),
            Gate::Constant(bit, out) => Local::Constant(bit, out),
        };
        depth[gate.out() as usize] = ready;
        levels[ready].locals.push(local);
    }
    levels
}

/// For each wire the place of the gate that reads it last; places as in [`Schedule::new`]. Outputs are read at the end.
fn last_uses(circuit: &Circuit, levels: &[Level]) -> Vec<usize> {
    let mut last = vec![0; circuit.wires()];
    let mut place = 0;
    for level in levels {
        for local in &level.locals {
            match *local {
                Local::Xor(a, b, _) => (last[a as usize], last[b as usize]) = (place, place),
                Local::Not(a, _) | Local::Copy(a, _) => last[a as usize] = place,
                Local::Constant(..) => {}
            }
            place += 1;
        }
        for [a, b, _] in &level.ands {
            (last[*a as usize], last[*b as usize]) = (place, place);
        }
        place += 1;
    }
    let outputs = circuit.wires() - circuit.output_bits();
    last[outputs..].fill(usize::MAX);
    last
}

/// Slots as they are given to wires and taken back.
struct Slots {
    of: Vec<Wire>,
    last: Vec<usize>,
    free: Vec<Wire>,
    made: Wire,
}

impl Slots {
    fn new(circuit: &Circuit, last: Vec<usize>) -> Self {
        let mut of = vec![0; circuit.wires()];
        (0..circuit.input_bits()).for_each(|wire| of[wire] = wire as Wire);
        Slots { of, last, free: Vec::new(), made: circuit.input_bits() as Wire }
    }
    fn take(&mut self, wire: Wire) -> Wire {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.made += 1;
            self.made - 1
        });
        self.of[wire as usize] = slot;
        slot
    }
    /// The slot of an operand, given back if nothing reads it later.
    fn read(&mut self, wire: Wire, place: usize) -> Wire {
        let slot = self.of[wire as usize];
        if self.last[wire as usize] == place {
            self.free.push(slot);
            // Only once, also where a gate reads a wire twice.
            self.last[wire as usize] = usize::MAX;
        }
        slot
    }
    /// A result may take the slot of its operand: labels are read and written one by one.
    fn rename_local(&mut self, local: &mut Local, place: usize) {
        *local = match *local {
            Local::Xor(a, b, out) => Local::Xor(self.read(a, place), self.read(b, place), self.take(out)),
            Local::Not(a, out) => Local::Not(self.read(a, place), self.take(out)),
            Local::Copy(a, out) => Local::Copy(self.read(a, place), self.take(out)),
            Local::Constant(bit, out) => Local::Constant(bit, self.take(out)),
        };
    }
    /// All results of a level are written before the slots of its operands are free.
    fn rename_ands(&mut self, ands: &mut [[Wire; 3]], place: usize) {
        ands.iter().for_each(|[_, _, out]| {
            self.take(*out);
        });
        for [a, b, out] in ands {
            *out = self.of[*out as usize];
            (*a, *b) = (self.read(*a, place), self.read(*b, place));
        }
    }
}

/// The labels of one slot, one for each instance.
#[inline(always)]
fn range(slot: Wire, instances: usize) -> Range<usize> {
    slot as usize * instances..(slot as usize + 1) * instances
}

/// Room for labels, erased at the end: as a slice, since label by label it would take as long as a twentieth of the gates.
pub(crate) struct Labels(Vec<Label>);

impl Labels {
    pub fn new(count: usize) -> Self {
        Labels(vec![0; count + LINE - 1])
    }
    /// As many as were asked for and some, from a whole cache line on: vectors that cross lines take twice as long.
    pub fn all(&mut self) -> &mut [Label] {
        let from = self.0.as_ptr().align_offset(LINE * size_of::<Label>());
        &mut self.0[from.min(LINE - 1)..]
    }
}

impl Drop for Labels {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

/// Labels in a cache line.
const LINE: usize = 4;

/// Instances from which on those of a gate share keys.
const SHARING: usize = 16;

/// Labels of the operands of a call and of its results, side by side.
#[derive(Default)]
pub(crate) struct Operands {
    labels: Zeroizing<[Vec<Label>; 2]>,
    results: Zeroizing<Vec<Label>>,
}

impl Operands {
    /// Gives `f` the labels of both operands of each AND of a call and the place for those of the results.
    #[inline]
    pub(crate) fn apply(
        &mut self,
        labels: &mut [Label],
        ands: &[[Wire; 3]],
        instances: usize,
        f: impl FnOnce([&[Label]; 2], &mut [Label]),
    ) {
        if let [[a, b, out]] = ands {
            // One gate: its labels lie side by side already. Its result has a slot of its own, see `Slots::rename_ands`.
            let (low, high, results) = around(labels, *out, instances);
            let of = |slot| part(low, high, slot, *out, instances);
            f([of(*a), of(*b)], results);
            return;
        }
        let of = |slot: Wire| range(slot, instances);
        for (side, gathered) in self.labels.iter_mut().enumerate() {
            gathered.clear();
            match instances {
                1 => gathered.extend(ands.iter().map(|and| labels[and[side] as usize])),
                _ => ands.iter().for_each(|and| gathered.extend_from_slice(&labels[of(and[side])])),
            }
        }
        let count = ands.len() * instances;
        self.results.resize(count, 0);
        f([&self.labels[0], &self.labels[1]], &mut self.results);
        for ([_, _, out], results) in ands.iter().zip(self.results.chunks_exact(instances)) {
            labels[of(*out)].copy_from_slice(results);
        }
    }
}

/// Whether no operand of an AND has a label that is the same in all instances. Labels are sums of those of inputs and of results of ANDs, which are
/// independent, and of public ones; a sum of 64-bit marks of the former that is not zero is a sum of labels that does not cancel.
fn independent(circuit: &Circuit) -> bool {
    let mut marks = vec![0u64; circuit.wires()];
    // SplitMix64: any marks that are linearly independent as a rule do.
    let mark = |wire: usize| {
        let z = (wire as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB)
    };
    (0..circuit.input_bits()).for_each(|wire| marks[wire] = mark(wire));
    for gate in circuit.gates() {
        let out = gate.out() as usize;
        marks[out] = match *gate {
            Gate::And(a, b, _) if marks[a as usize] == 0 || marks[b as usize] == 0 => return false,
            Gate::And(..) => mark(out),
            Gate::Xor(a, b, _) => marks[a as usize] ^ marks[b as usize],
            Gate::Not(a, _) | Gate::Copy(a, _) => marks[a as usize],
            Gate::Constant(..) => 0,
        };
    }
    true
}

/// Does gates without cost; `constant` gives the label of a constant, `flip` what NOT adds.
pub(crate) fn locals(
    labels: &mut [Label],
    gates: &[Local],
    instances: usize,
    flip: Label,
    constant: impl Fn(bool) -> Label,
) {
    if instances == 1 {
        for gate in gates {
            match *gate {
                Local::Xor(a, b, out) => labels[out as usize] = labels[a as usize] ^ labels[b as usize],
                Local::Not(a, out) => labels[out as usize] = labels[a as usize] ^ flip,
                Local::Copy(a, out) => labels[out as usize] = labels[a as usize],
                Local::Constant(bit, out) => labels[out as usize] = constant(bit),
            }
        }
        return;
    }
    vectorise(
        #[inline(always)]
        || {
            for gate in gates {
                match *gate {
                    Local::Xor(a, b, out) if a == b => labels[range(out, instances)].fill(0),
                    Local::Xor(a, b, out) if out == a || out == b => {
                        let (other, sum) = apart(labels, if out == b { a } else { b }, out, instances);
                        words_mut(sum).iter_mut().zip(words(other)).for_each(|(sum, other)| *sum ^= other);
                    }
                    Local::Xor(a, b, out) => {
                        let (low, high, sum) = around(labels, out, instances);
                        let of = |slot| part(low, high, slot, out, instances);
                        let terms = words(of(a)).iter().zip(words(of(b)));
                        words_mut(sum).iter_mut().zip(terms).for_each(|(sum, (a, b))| *sum = a ^ b);
                    }
                    Local::Not(a, out) => {
                        labels.copy_within(range(a, instances), out as usize * instances);
                        for [low, high] in words_mut(&mut labels[range(out, instances)]).as_chunks_mut().0 {
                            (*low, *high) = (*low ^ flip as u64, *high ^ (flip >> 64) as u64);
                        }
                    }
                    Local::Copy(a, out) => labels.copy_within(range(a, instances), out as usize * instances),
                    Local::Constant(bit, out) => labels[range(out, instances)].fill(constant(bit)),
                }
            }
        },
    );
}

/// Labels in halves: of whole ones the compiler makes no vectors.
#[inline(always)]
fn words(labels: &[Label]) -> &[u64] {
    bytemuck::cast_slice(labels)
}

/// The same, to write.
#[inline(always)]
fn words_mut(labels: &mut [Label]) -> &mut [u64] {
    bytemuck::cast_slice_mut(labels)
}

/// The labels below a slot and above it, and its own.
#[inline(always)]
fn around(labels: &mut [Label], slot: Wire, instances: usize) -> (&[Label], &[Label], &mut [Label]) {
    let (low, rest) = labels.split_at_mut(slot as usize * instances);
    let (own, high) = rest.split_at_mut(instances);
    (low, high, own)
}

/// The labels of a slot other than the one that they were parted around.
#[inline(always)]
fn part<'a>(low: &'a [Label], high: &'a [Label], slot: Wire, around: Wire, instances: usize) -> &'a [Label] {
    match slot < around {
        true => &low[range(slot, instances)],
        false => &high[range(slot - around - 1, instances)],
    }
}

/// The labels of one slot to read and those of another to write.
#[inline(always)]
fn apart(labels: &mut [Label], from: Wire, to: Wire, instances: usize) -> (&[Label], &mut [Label]) {
    let (low, high, own) = around(labels, to, instances);
    (part(low, high, from, to, instances), own)
}
