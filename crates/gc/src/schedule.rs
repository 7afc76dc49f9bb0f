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

/// A circuit in levels. Spec 2.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub(crate) levels: Vec<(Vec<Local>, Vec<[Wire; 3]>)>,
    pub(crate) wires: usize,
    pub(crate) input_bits: usize,
    pub(crate) output_bits: usize,
    ands: usize,
}

impl Schedule {
    /// The schedule of a circuit.
    pub fn new(circuit: &Circuit) -> Self {
        let mut depth = vec![0usize; circuit.wires()];
        let mut levels: Vec<(Vec<Local>, Vec<[Wire; 3]>)> = vec![Default::default()];
        for gate in circuit.gates() {
            let ready = gate.inputs().map(|wire| depth[wire as usize]).max().unwrap_or(0);
            let local = match *gate {
                Gate::And(a, b, out) => {
                    levels[ready].1.push([a, b, out]);
                    depth[out as usize] = ready + 1;
                    if levels.len() == ready + 1 {
                        levels.push(Default::default());
                    }
                    continue;
                }
                Gate::Xor(a, b, out) => Local::Xor(a, b, out),
                Gate::Not(a, out) => Local::Not(a, out),
                Gate::Copy(a, out) => Local::Copy(a, out),
                Gate::Constant(bit, out) => Local::Constant(bit, out),
            };
            depth[gate.out() as usize] = ready;
            levels[ready].0.push(local);
        }
        Schedule {
            levels,
            wires: circuit.wires(),
            input_bits: circuit.input_bits(),
            output_bits: circuit.output_bits(),
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
        self.output_bits
    }
}

/// The labels of one wire, one for each instance.
pub(crate) fn of(labels: &[u128], wire: Wire, instances: usize) -> &[u128] {
    &labels[wire as usize * instances..][..instances]
}

/// Does the gates without cost of a level; `constant` gives the label of a constant, `flip` what NOT adds.
pub(crate) fn locals(
    labels: &mut [u128],
    gates: &[Local],
    instances: usize,
    flip: u128,
    constant: impl Fn(bool) -> u128,
) {
    for gate in gates {
        match *gate {
            Local::Xor(a, b, out) => {
                for i in 0..instances {
                    labels[out as usize * instances + i] =
                        labels[a as usize * instances + i] ^ labels[b as usize * instances + i];
                }
            }
            Local::Not(a, out) => {
                for i in 0..instances {
                    labels[out as usize * instances + i] = labels[a as usize * instances + i] ^ flip;
                }
            }
            Local::Copy(a, out) => {
                labels.copy_within(a as usize * instances..(a as usize + 1) * instances, out as usize * instances);
            }
            Local::Constant(bit, out) => {
                labels[out as usize * instances..][..instances].fill(constant(bit));
            }
        }
    }
}
