//! Making circuits gate by gate. Constants are folded away as they come.

use crate::boolean::{Circuit, Gate, Wire};

/// A bit of a circuit that is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bit {
    /// Known.
    Known(bool),
    /// On a wire.
    On(Wire),
}

/// 0.
pub const ZERO: Bit = Bit::Known(false);
/// 1.
pub const ONE: Bit = Bit::Known(true);

/// A circuit in the making: inputs first, then gates, then outputs.
#[derive(Debug, Default)]
pub struct Builder {
    wires: Wire,
    inputs: Vec<usize>,
    gates: Vec<Gate>,
}

impl Builder {
    /// An empty circuit.
    pub fn new() -> Self {
        Self::default()
    }
    /// An input of so many bits, lowest first.
    ///
    /// # Panics
    /// After the first gate.
    pub fn input(&mut self, width: usize) -> Vec<Bit> {
        assert!(self.gates.is_empty(), "inputs come before gates");
        self.inputs.push(width);
        (0..width).map(|_| Bit::On(self.wire())).collect()
    }
    fn wire(&mut self) -> Wire {
        self.wires = self.wires.checked_add(1).expect("a circuit has less than 2^32 wires");
        self.wires - 1
    }
    fn gate(&mut self, gate: impl FnOnce(Wire) -> Gate) -> Bit {
        let out = self.wire();
        self.gates.push(gate(out));
        Bit::On(out)
    }
    /// `a ^ b`
    pub fn xor(&mut self, a: Bit, b: Bit) -> Bit {
        match (a, b) {
            (Bit::Known(false), other) | (other, Bit::Known(false)) => other,
            (Bit::Known(true), other) | (other, Bit::Known(true)) => self.not(other),
            (Bit::On(a), Bit::On(b)) if a == b => ZERO,
            (Bit::On(a), Bit::On(b)) => self.gate(|out| Gate::Xor(a, b, out)),
        }
    }
    /// `a & b`
    pub fn and(&mut self, a: Bit, b: Bit) -> Bit {
        match (a, b) {
            (Bit::Known(false), _) | (_, Bit::Known(false)) => ZERO,
            (Bit::Known(true), other) | (other, Bit::Known(true)) => other,
            (Bit::On(a), Bit::On(b)) if a == b => Bit::On(a),
            (Bit::On(a), Bit::On(b)) => self.gate(|out| Gate::And(a, b, out)),
        }
    }
    /// `!a`
    pub fn not(&mut self, a: Bit) -> Bit {
        match a {
            Bit::Known(bit) => Bit::Known(!bit),
            Bit::On(a) => self.gate(|out| Gate::Not(a, out)),
        }
    }
    /// `a | b`: one AND.
    pub fn or(&mut self, a: Bit, b: Bit) -> Bit {
        let (sum, both) = (self.xor(a, b), self.and(a, b));
        self.xor(sum, both)
    }
    /// `if choose { a } else { b }`: one AND.
    pub fn choose(&mut self, choose: Bit, a: Bit, b: Bit) -> Bit {
        let differ = self.xor(a, b);
        let change = self.and(choose, differ);
        self.xor(change, b)
    }
    /// The same for values of equal width.
    pub fn choose_all(&mut self, choose: Bit, a: &[Bit], b: &[Bit]) -> Vec<Bit> {
        a.iter().zip(b).map(|(a, b)| self.choose(choose, *a, *b)).collect()
    }
    /// `a ^ b`, bit by bit.
    pub fn xor_all(&mut self, a: &[Bit], b: &[Bit]) -> Vec<Bit> {
        a.iter().zip(b).map(|(a, b)| self.xor(*a, *b)).collect()
    }
    /// The circuit with these outputs.
    pub fn finish(mut self, outputs: &[Vec<Bit>]) -> Circuit {
        // Outputs are the last wires, in order: each gets one of its own.
        for bit in outputs.iter().flatten() {
            match *bit {
                Bit::On(wire) => self.gate(|out| Gate::Copy(wire, out)),
                Bit::Known(bit) => self.gate(|out| Gate::Constant(bit, out)),
            };
        }
        let widths = outputs.iter().map(Vec::len).collect();
        Circuit::new(self.wires as usize, self.inputs, widths, self.gates).expect("gates are made after what they read")
    }
}

/// A public number as bits, lowest first.
pub fn number(value: u64, width: usize) -> Vec<Bit> {
    (0..width).map(|i| Bit::Known(i < 64 && value >> i & 1 == 1)).collect()
}
