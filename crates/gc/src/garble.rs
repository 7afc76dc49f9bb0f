//! The garbler's side. Spec 2 and 3.

use crate::Label;
use crate::schedule::{Labels, Operands, Schedule, locals};
use privity_prim::{GateHash, Prg, PrimError, fresh_secret};
use zeroize::{Zeroize, Zeroizing};

/// The garbler of a session: one global difference, one hash, gates numbered through all circuits. `Debug` shows nothing.
pub struct Garbler {
    difference: Label,
    start: u128,
    hash: GateHash,
    index: u64,
    labels: Prg,
    drawn: u64,
}

impl std::fmt::Debug for Garbler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Garbler at key {}", self.index)
    }
}

impl Drop for Garbler {
    fn drop(&mut self) {
        self.difference.zeroize();
    }
}

/// Input labels of instances that are about to be garbled.
pub struct Begun {
    /// Labels of 0, `[input bit][instance]`.
    pub inputs: Zeroizing<Vec<Label>>,
    instances: usize,
}

/// What garbling leaves with the garbler: labels of 0, `[bit][instance]`.
pub struct Garbling {
    /// Of every input.
    pub inputs: Zeroizing<Vec<Label>>,
    /// Of every output: an output is its label's colour and that of this, added.
    pub outputs: Zeroizing<Vec<Label>>,
}

impl Garbler {
    /// A garbler with fresh randomness of the operating system.
    ///
    /// # Errors
    /// There is none.
    pub fn new() -> Result<Self, PrimError> {
        let (one, other) = (fresh_secret()?, fresh_secret()?);
        let half = |bytes: &[u8]| u128::from_le_bytes(bytes.try_into().expect("sixteen bytes"));
        let (start, key) = (half(&other.expose()[..16]), other.expose()[16..].try_into().expect("sixteen bytes"));
        Ok(Garbler {
            // Spec 3.1: the lowest bit is 1, so that the two labels of a wire differ in colour.
            difference: half(&one.expose()[..16]) | 1,
            start,
            hash: GateHash::new(start),
            index: 0,
            labels: Prg::new(key),
            drawn: 0,
        })
    }
    /// The public start of the hash, which the evaluator needs. Spec 3.2.
    pub fn start(&self) -> u128 {
        self.start
    }
    /// How many keys of the hash are used up: where the evaluation of what is garbled next begins.
    pub fn keys(&self) -> u64 {
        self.index
    }
    /// The label of a value, given the wire's label of 0.
    pub fn label(&self, zero: Label, value: bool) -> Label {
        zero ^ self.difference & u128::from(value).wrapping_neg()
    }
    /// Draws the input labels of so many instances, for those that are sent before the tables.
    pub fn begin(&mut self, schedule: &Schedule, instances: usize) -> Begun {
        let mut inputs = Zeroizing::new(vec![0; schedule.input_bits() * instances]);
        self.labels.fill(0, self.drawn, bytemuck::cast_slice_mut(&mut inputs));
        self.drawn += inputs.len() as u64;
        Begun { inputs, instances }
    }

    /// Garbles from input labels. Tables go to `sink` in the order in which [`crate::evaluate`] takes them: two labels for each AND. Labels of 0
    /// of the outputs, `[output bit][instance]`.
    ///
    /// # Errors
    /// What `sink` gives.
    pub fn garble_from<E>(
        &mut self,
        schedule: &Schedule,
        begun: Begun,
        mut sink: impl FnMut(&[Label]) -> Result<(), E>,
    ) -> Result<Zeroizing<Vec<Label>>, E> {
        let Begun { inputs, instances } = begun;
        if instances == 0 {
            return Ok(Zeroizing::new(Vec::new()));
        }
        let (difference, hash, (keys, gates)) = (self.difference, self.hash, schedule.calls(instances));
        let (mut labels, mut room) = (Labels::new(schedule.slots * instances), Labels::new(2 * gates * instances));
        let (labels, room) = (labels.all(), room.all().as_chunks_mut().0);
        labels[..inputs.len()].copy_from_slice(&inputs);
        let mut operands = Operands::default();
        for level in &schedule.levels {
            // Spec 3.4: the active label of a constant is 0.
            locals(labels, &level.locals, instances, difference, |bit| difference & u128::from(bit).wrapping_neg());
            for ands in level.ands.chunks(gates) {
                // Spec 3.3.
                let tables = &mut room[..ands.len() * instances];
                operands.apply(labels, ands, instances, |operands, results| {
                    hash.garble((self.index, keys), difference, operands, tables, results);
                });
                self.index += keys.of(tables.len());
                sink(tables.as_flattened())?;
            }
        }
        let of = |slot: &u32| &labels[*slot as usize * instances..][..instances];
        let mut outputs = Zeroizing::new(Vec::with_capacity(schedule.output_bits() * instances));
        schedule.outputs.iter().for_each(|slot| outputs.extend_from_slice(of(slot)));
        Ok(outputs)
    }

    /// Both in one: see [`Garbler::begin`] and [`Garbler::garble_from`].
    ///
    /// # Errors
    /// What `sink` gives.
    pub fn garble<E>(
        &mut self,
        schedule: &Schedule,
        instances: usize,
        sink: impl FnMut(&[Label]) -> Result<(), E>,
    ) -> Result<Garbling, E> {
        let begun = self.begin(schedule, instances);
        let inputs = begun.inputs.clone();
        Ok(Garbling { inputs, outputs: self.garble_from(schedule, begun, sink)? })
    }
}
