//! The evaluator's side. Spec 4.

use crate::Label;
use crate::schedule::{Labels, Operands, Schedule, locals};
use privity_prim::GateHash;

/// Evaluates as many instances as there are active labels for: `[input bit][instance]` in, `[output bit][instance]` out. `index` is what
/// [`crate::Garbler::keys`] was before it garbled them; `source` fills in tables.
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
    let (hash, mut index, (keys, gates)) = (GateHash::new(start), index, schedule.calls(instances));
    let (mut labels, mut room) = (Labels::new(schedule.slots * instances), Labels::new(2 * gates * instances));
    let (labels, room) = (labels.all(), room.all().as_chunks_mut().0);
    labels[..inputs.len()].copy_from_slice(inputs);
    let mut operands = Operands::default();
    for level in &schedule.levels {
        locals(labels, &level.locals, instances, 0, |_| 0);
        for ands in level.ands.chunks(gates) {
            let tables = &mut room[..ands.len() * instances];
            source(tables.as_flattened_mut())?;
            operands.apply(labels, ands, instances, |operands, results| {
                hash.evaluate((index, keys), operands, tables, results);
            });
            index += keys.of(tables.len());
        }
    }
    let of = |slot: &u32| &labels[*slot as usize * instances..][..instances];
    let mut outputs = Vec::with_capacity(schedule.output_bits() * instances);
    schedule.outputs.iter().for_each(|slot| outputs.extend_from_slice(of(slot)));
    Ok(outputs)
}
