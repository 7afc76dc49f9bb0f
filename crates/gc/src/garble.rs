//! The garbler's side. Spec 2 and 3.

use crate::schedule::{Schedule, gather, locals, scatter};
use crate::{CHUNK, Label, colour_mask};
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
        write!(f, "Garbler at gate {}", self.index / 2)
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
    /// The label of a value, given the wire's label of 0.
    pub fn label(&self, zero: Label, value: bool) -> Label {
        zero ^ self.difference & u128::from(value).wrapping_neg()
    }
    /// Draws the input labels of so many instances, for those that are sent before the tables.
    pub fn begin(&mut self, schedule: &Schedule, instances: usize) -> Begun {
        let mut fresh = Zeroizing::new(vec![0u64; 2 * schedule.input_bits() * instances]);
        self.labels.fill(0, self.drawn, &mut fresh);
        self.drawn += (fresh.len() / 2) as u64;
        let label = |words: &[u64]| u128::from(words[0]) | u128::from(words[1]) << 64;
        Begun { inputs: Zeroizing::new(fresh.chunks_exact(2).map(label).collect()), instances }
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
        let mut labels = Zeroizing::new(vec![0u128; schedule.slots * instances]);
        labels[..inputs.len()].copy_from_slice(&inputs);
        let mut work = Work::default();
        let difference = self.difference;
        for level in &schedule.levels {
            // Spec 3.4: the active label of a constant is 0.
            locals(&mut labels, &level.locals, instances, difference, |bit| {
                difference & u128::from(bit).wrapping_neg()
            });
            for ands in level.ands.chunks(CHUNK.div_ceil(instances)) {
                work.garble(&self.hash, &mut self.index, difference, &mut labels, ands, instances);
                sink(&work.tables)?;
            }
        }
        let of = |slot: &u32| &labels[*slot as usize * instances..][..instances];
        Ok(Zeroizing::new(schedule.outputs.iter().flat_map(of).copied().collect()))
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

/// Buffers of a chunk of ANDs.
#[derive(Default)]
struct Work {
    /// Labels of 0 of both operands of each AND, and of their hashes.
    operands: Vec<Label>,
    zeros: Vec<Label>,
    /// The same for the labels of 1.
    ones: Vec<Label>,
    tables: Vec<Label>,
    results: Vec<Label>,
}

impl Work {
    /// Spec 3.3, for some gates of all instances.
    fn garble(
        &mut self,
        hash: &GateHash,
        index: &mut u64,
        difference: Label,
        labels: &mut [Label],
        ands: &[[u32; 3]],
        instances: usize,
    ) {
        let count = ands.len() * instances;
        gather(&mut self.operands, labels, ands, instances);
        self.zeros.resize(2 * count, 0);
        self.ones.resize(2 * count, 0);
        hash.hash_both(*index, &self.operands, difference, &mut self.zeros, &mut self.ones);
        *index += 2 * count as u64;
        self.tables.resize(2 * count, 0);
        self.results.resize(count, 0);
        let (operands, zeros, ones) = (pairs(&self.operands), pairs(&self.zeros), pairs(&self.ones));
        let (tables, _) = self.tables.as_chunks_mut::<2>();
        let gates = operands.iter().zip(zeros.iter().zip(ones));
        for ((table, result), ([a, b], (zero, one))) in tables.iter_mut().zip(&mut self.results).zip(gates) {
            let garbler = zero[0] ^ one[0] ^ (difference & colour_mask(*b));
            let evaluator = zero[1] ^ one[1] ^ a;
            *table = [garbler, evaluator];
            *result = zero[0] ^ (garbler & colour_mask(*a)) ^ zero[1] ^ ((evaluator ^ a) & colour_mask(*b));
        }
        scatter(&self.results, labels, ands, instances);
    }
}

/// Operands or hashes, pair after pair.
pub(crate) fn pairs(labels: &[Label]) -> &[[Label; 2]] {
    labels.as_chunks().0
}
