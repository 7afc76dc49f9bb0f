//! The evaluator's side. Spec 4.

use crate::schedule::{Schedule, locals, of};
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
    assert_eq!(inputs.len(), schedule.input_bits * instances, "an active label for each input bit of each instance");
    let (hash, mut index) = (GateHash::new(start), 2 * index);
    let mut labels = vec![0u128; schedule.wires * instances];
    labels[..inputs.len()].copy_from_slice(inputs);
    let (mut hashes, mut tables) = (Vec::new(), Vec::new());
    for (local, ands) in &schedule.levels {
        locals(&mut labels, local, instances, 0, |_| 0);
        for ands in ands.chunks(CHUNK.div_ceil(instances)) {
            let count = ands.len() * instances;
            tables.resize(2 * count, 0);
            source(&mut tables)?;
            hashes.clear();
            for [a, b, _] in ands {
                let pairs = of(&labels, *a, instances).iter().zip(of(&labels, *b, instances));
                hashes.extend(pairs.flat_map(|(a, b)| [*a, *b]));
            }
            hash.hash(index, &mut hashes);
            index += 2 * count as u64;
            for (g, [a, b, out]) in ands.iter().enumerate() {
                let at = 2 * g * instances;
                let given = hashes[at..].chunks_exact(2).zip(tables[at..].chunks_exact(2));
                for (i, (hash, table)) in (0..instances).zip(given) {
                    let (a, b) = (labels[*a as usize * instances + i], labels[*b as usize * instances + i]);
                    labels[*out as usize * instances + i] =
                        hash[0] ^ (table[0] & colour_mask(a)) ^ hash[1] ^ ((table[1] ^ a) & colour_mask(b));
                }
            }
        }
    }
    Ok(labels.split_off((schedule.wires - schedule.output_bits) * instances))
}
