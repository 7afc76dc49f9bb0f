//! A circuit of two-input gates, in an order in which it can be evaluated.

/// A wire by its number.
pub type Wire = u32;

/// A gate and the wire that it drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// `out = a ^ b`
    Xor(Wire, Wire, Wire),
    /// `out = a & b`
    And(Wire, Wire, Wire),
    /// `out = !a`
    Not(Wire, Wire),
    /// `out = a`
    Copy(Wire, Wire),
    /// `out` is a constant.
    Constant(bool, Wire),
}

impl Gate {
    /// The wire it drives.
    pub fn out(self) -> Wire {
        match self {
            Gate::Xor(_, _, out)
            | Gate::And(_, _, out)
            | Gate::Not(_, out)
            | Gate::Copy(_, out)
            | Gate::Constant(_, out) => out,
        }
    }
    /// The wires it reads.
    pub fn inputs(self) -> impl Iterator<Item = Wire> {
        let (a, b) = match self {
            Gate::Xor(a, b, _) | Gate::And(a, b, _) => (Some(a), Some(b)),
            Gate::Not(a, _) | Gate::Copy(a, _) => (Some(a), None),
            Gate::Constant(..) => (None, None),
        };
        a.into_iter().chain(b)
    }
}

/// The most wires of a circuit: what a header claims is not memory spent before it is checked.
pub const MAX_WIRES: usize = 1 << 28;

/// Why a list of gates is no circuit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A wire is read before a gate drives it.
    #[error("gate {gate} reads wire {wire}, which nothing before it drives")]
    Undriven {
        /// The gate, from 1.
        gate: usize,
        /// The wire.
        wire: Wire,
    },
    /// A wire is driven twice, or is an input.
    #[error("gate {gate} drives wire {wire}, which is driven already")]
    Twice {
        /// The gate, from 1.
        gate: usize,
        /// The wire.
        wire: Wire,
    },
    /// A wire beyond the number of wires.
    #[error("gate {gate} names wire {wire}, and there are {wires}")]
    Beyond {
        /// The gate, from 1.
        gate: usize,
        /// The wire.
        wire: Wire,
        /// How many there are.
        wires: usize,
    },
    /// An output that nothing drives.
    #[error("output wire {wire} is driven by nothing")]
    NoOutput {
        /// The wire.
        wire: Wire,
    },
    /// More wires than a circuit may have.
    #[error("{wires} wires are more than the {MAX_WIRES} that a circuit may have")]
    TooMany {
        /// How many there are.
        wires: usize,
    },
    /// Fewer wires than inputs or outputs.
    #[error("{wires} wires are fewer than the inputs or the outputs")]
    TooFew {
        /// How many there are.
        wires: usize,
    },
}

/// A circuit. The first wires are the inputs, value after value, lowest bit first; the last are the outputs, likewise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circuit {
    wires: usize,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    gates: Vec<Gate>,
}

impl Circuit {
    /// A circuit from its gates, in the order of evaluation; widths of inputs and outputs in bits.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn new(wires: usize, inputs: Vec<usize>, outputs: Vec<usize>, gates: Vec<Gate>) -> Result<Circuit, Malformed> {
        let sum = |widths: &[usize]| widths.iter().try_fold(0usize, |sum, width| sum.checked_add(*width));
        let (Some(given), Some(wanted)) = (sum(&inputs), sum(&outputs)) else {
            return Err(Malformed::TooFew { wires });
        };
        if given.max(wanted) > wires || wires > given.saturating_add(gates.len()) {
            return Err(Malformed::TooFew { wires });
        }
        if wires > MAX_WIRES {
            return Err(Malformed::TooMany { wires });
        }
        let mut driven = vec![false; wires];
        driven[..given].fill(true);
        for (i, gate) in gates.iter().enumerate() {
            let number = i + 1;
            let known = |wire: Wire| match driven.get(wire as usize) {
                None => Err(Malformed::Beyond { gate: number, wire, wires }),
                Some(driven) => Ok(*driven),
            };
            for wire in gate.inputs() {
                if !known(wire)? {
                    return Err(Malformed::Undriven { gate: number, wire });
                }
            }
            if known(gate.out())? {
                return Err(Malformed::Twice { gate: number, wire: gate.out() });
            }
            driven[gate.out() as usize] = true;
        }
        match (wires - wanted..wires).find(|wire| !driven[*wire]) {
            Some(wire) => Err(Malformed::NoOutput { wire: wire as Wire }),
            None => Ok(Circuit { wires, inputs, outputs, gates }),
        }
    }
    /// Number of wires.
    pub fn wires(&self) -> usize {
        self.wires
    }
    /// Widths of the inputs.
    pub fn inputs(&self) -> &[usize] {
        &self.inputs
    }
    /// Widths of the outputs.
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }
    /// Bits of all inputs.
    pub fn input_bits(&self) -> usize {
        self.inputs.iter().sum()
    }
    /// Bits of all outputs.
    pub fn output_bits(&self) -> usize {
        self.outputs.iter().sum()
    }
    /// The gates, in the order of evaluation.
    pub fn gates(&self) -> &[Gate] {
        &self.gates
    }
    /// Gates that cost something under garbling and secret sharing.
    pub fn ands(&self) -> usize {
        self.gates.iter().filter(|gate| matches!(gate, Gate::And(..))).count()
    }
    /// ANDs in sequence on the longest path: rounds under secret sharing.
    pub fn depth(&self) -> usize {
        let mut depth = vec![0; self.wires];
        for gate in &self.gates {
            let deepest = gate.inputs().map(|wire| depth[wire as usize]).max().unwrap_or(0);
            depth[gate.out() as usize] = deepest + usize::from(matches!(gate, Gate::And(..)));
        }
        depth.into_iter().max().unwrap_or(0)
    }

    /// Evaluates 64 instances at once: bit `i` of every word belongs to instance `i`. One word for each input bit.
    ///
    /// # Panics
    /// If the number of words is not that of the input bits.
    pub fn evaluate(&self, inputs: &[u64]) -> Vec<u64> {
        assert_eq!(inputs.len(), self.input_bits(), "one word for each input bit");
        let mut value = vec![0; self.wires];
        value[..inputs.len()].copy_from_slice(inputs);
        for gate in &self.gates {
            let of = |wire: Wire| value[wire as usize];
            value[gate.out() as usize] = match *gate {
                Gate::Xor(a, b, _) => of(a) ^ of(b),
                Gate::And(a, b, _) => of(a) & of(b),
                Gate::Not(a, _) => !of(a),
                Gate::Copy(a, _) => of(a),
                Gate::Constant(bit, _) => u64::from(bit).wrapping_neg(),
            };
        }
        value.split_off(self.wires - self.output_bits())
    }
    /// Evaluates one instance.
    ///
    /// # Panics
    /// If the number of bits is not that of the inputs.
    pub fn evaluate_bits(&self, inputs: &[bool]) -> Vec<bool> {
        let words: Vec<u64> = inputs.iter().map(|bit| u64::from(*bit)).collect();
        self.evaluate(&words).into_iter().map(|word| word & 1 == 1).collect()
    }
}
