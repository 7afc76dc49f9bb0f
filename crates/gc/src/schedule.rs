//! The order in which gates are garbled and evaluated: ANDs that do not wait for each other together.

use privity_circuit::{Circuit, Gate, Wire};

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
fn range(slot: Wire, instances: usize) -> std::ops::Range<usize> {
    slot as usize * instances..(slot as usize + 1) * instances
}

/// The operands of some ANDs, pair after pair.
pub(crate) fn gather(pairs: &mut Vec<u128>, labels: &[u128], ands: &[[Wire; 3]], instances: usize) {
    pairs.clear();
    if instances == 1 {
        pairs.extend(ands.iter().flat_map(|[a, b, _]| [labels[*a as usize], labels[*b as usize]]));
        return;
    }
    for [a, b, _] in ands {
        let (a, b) = (&labels[range(*a, instances)], &labels[range(*b, instances)]);
        pairs.extend(a.iter().zip(b).flat_map(|(a, b)| [*a, *b]));
    }
}

/// Puts the results of some ANDs where they belong.
pub(crate) fn scatter(results: &[u128], labels: &mut [u128], ands: &[[Wire; 3]], instances: usize) {
    if instances == 1 {
        ands.iter().zip(results).for_each(|([_, _, out], label)| labels[*out as usize] = *label);
        return;
    }
    for ([_, _, out], results) in ands.iter().zip(results.chunks_exact(instances)) {
        labels[range(*out, instances)].copy_from_slice(results);
    }
}

/// Does gates without cost; `constant` gives the label of a constant, `flip` what NOT adds.
pub(crate) fn locals(
    labels: &mut [u128],
    gates: &[Local],
    instances: usize,
    flip: u128,
    constant: impl Fn(bool) -> u128,
) {
    for gate in gates {
        match *gate {
            Local::Xor(a, b, out) if instances == 1 => {
                labels[out as usize] = labels[a as usize] ^ labels[b as usize];
            }
            Local::Xor(a, b, out) => {
                // Into the slot of an operand, if the result took it.
                let other = if out == b { a } else { b };
                if out != a && out != b {
                    labels.copy_within(range(a, instances), out as usize * instances);
                }
                add(labels, out, other, instances);
            }
            Local::Not(a, out) => {
                labels.copy_within(range(a, instances), out as usize * instances);
                labels[range(out, instances)].iter_mut().for_each(|label| *label ^= flip);
            }
            Local::Copy(a, out) => labels.copy_within(range(a, instances), out as usize * instances),
            Local::Constant(bit, out) => labels[range(out, instances)].fill(constant(bit)),
        }
    }
}

/// Adds the labels of one slot to those of another.
fn add(labels: &mut [u128], to: Wire, from: Wire, instances: usize) {
    let (to, from) = (range(to, instances), range(from, instances));
    let (to, from) = if to.start < from.start {
        let (low, high) = labels.split_at_mut(from.start);
        (&mut low[to], &high[..instances])
    } else {
        let (low, high) = labels.split_at_mut(to.start);
        (&mut high[..instances], &low[from])
    };
    to.iter_mut().zip(from).for_each(|(to, from)| *to ^= from);
}
