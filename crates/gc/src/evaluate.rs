//! The evaluator's side. Spec 4.

use crate::garble::pairs;
use crate::schedule::{Schedule, gather, locals, scatter};
use crate::{CHUNK, Label, colour_mask};
use privity_prim::GateHash;

/// Evaluates as many instances as there are active labels for: `[input bit][instance]` in, `[output bit][instance]` out. `index` is the number
/// of ANDs, of all instances, that the garbler garbled before; `source` fills in tables.
///
/// # Errors
/// What `source` gives.
///
/// # Panics
/// If the number of labels is not that of the input bits times the instances.
pub fn evaluate<E>(
    schedule: &Schedule,
    start: u128,
    index: u64,
    inputs: &[Label],
    instances: usize,
    mut source: impl FnMut(&mut [Label]) -> Result<(), E>,
) -> Result<Vec<Label>, E> {
    assert_eq!(inputs.len(), schedule.input_bits() * instances, "an active label for each input bit of each instance");
    if instances == 0 {
        return Ok(Vec::new());
    }
    let (hash, mut index) = (GateHash::new(start), 2 * index);
    let mut labels = vec![0u128; schedule.slots * instances];
    labels[..inputs.len()].copy_from_slice(inputs);
    let (mut operands, mut hashes, mut tables, mut results) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for level in &schedule.levels {
        locals(&mut labels, &level.locals, instances, 0, |_| 0);
        for ands in level.ands.chunks(CHUNK.div_ceil(instances)) {
            let count = ands.len() * instances;
            tables.resize(2 * count, 0);
            source(&mut tables)?;
            gather(&mut operands, &labels, ands, instances);
            hashes.resize(2 * count, 0);
            hash.hash(index, &operands, &mut hashes);
            index += 2 * count as u64;
            results.resize(count, 0);
            let given = pairs(&operands).iter().zip(pairs(&hashes).iter().zip(pairs(&tables)));
            for (result, ([a, b], (hash, table))) in results.iter_mut().zip(given) {
                *result = hash[0] ^ (table[0] & colour_mask(*a)) ^ hash[1] ^ ((table[1] ^ a) & colour_mask(*b));
            }
            scatter(&results, &mut labels, ands, instances);
        }
    }
    let of = |slot: &u32| &labels[*slot as usize * instances..][..instances];
    Ok(schedule.outputs.iter().flat_map(of).copied().collect())
}
