//! Batches of an epoch: a permutation from the joint public seed.

use crate::init::{Purpose, generator};
use chacha20::rand_core::Rng;

/// Row indices of each batch of an epoch. Every row is in exactly one batch; the last batch has what remains.
pub fn batches(seed: u64, epoch: usize, rows: usize, batch: usize, shuffle: bool) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..rows).collect();
    if shuffle {
        let mut rng = generator(seed, Purpose::Batches, epoch as u64);
        for i in (1..rows).rev() {
            order.swap(i, below(&mut rng, i as u64 + 1));
        }
    }
    order.chunks(batch).map(<[usize]>::to_vec).collect()
}

/// A uniform integer below `bound`, by rejection.
fn below(rng: &mut impl Rng, bound: u64) -> usize {
    let zone = u64::MAX - u64::MAX % bound;
    loop {
        let draw = rng.next_u64();
        if draw < zone {
            return (draw % bound) as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::batches;

    #[test]
    fn every_row_is_in_one_batch_and_epochs_differ() {
        let (first, second) = (batches(7, 0, 1000, 128, true), batches(7, 1, 1000, 128, true));
        assert_eq!(first.iter().map(Vec::len).collect::<Vec<_>>(), [128, 128, 128, 128, 128, 128, 128, 104]);
        let mut rows = first.concat();
        rows.sort_unstable();
        assert_eq!(rows, (0..1000).collect::<Vec<_>>());
        assert_ne!(first, second);
        assert_eq!(first, batches(7, 0, 1000, 128, true));
    }

    #[test]
    fn without_shuffling_rows_keep_their_order() {
        assert_eq!(batches(7, 3, 5, 2, false), [vec![0, 1], vec![2, 3], vec![4]]);
    }
}
