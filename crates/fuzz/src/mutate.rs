//! Small damage to inputs: what disks, networks and attackers do to bytes.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::Rng;

/// Values at which lengths and signs go wrong.
const EDGES: &[u64] = &[0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, u64::MAX >> 1, u64::MAX];

/// Longest input made.
const LONGEST: usize = 1 << 16;

/// A mutation of one seed, spliced now and then with another.
pub fn mutate(rng: &mut ChaCha20Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[below(rng, seeds.len())].clone();
    for _ in 0..1 + below(rng, 6) {
        damage(rng, &mut bytes, seeds);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn damage(rng: &mut ChaCha20Rng, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = below(rng, bytes.len() + 1);
    let span = at..bytes.len().min(at + 1 + below(rng, 16));
    match below(rng, 7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << below(rng, 8),
        1 if at < bytes.len() => bytes[at] = rng.next_u32() as u8,
        2 => bytes.insert(at, rng.next_u32() as u8),
        3 => drop(bytes.drain(span)),
        4 => bytes.truncate(at),
        5 => {
            let edge = EDGES[below(rng, EDGES.len())].to_le_bytes();
            let width = (1 << below(rng, 4)).min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&edge[..width]);
        }
        _ => {
            let other = &seeds[below(rng, seeds.len())];
            bytes.truncate(at);
            bytes.extend_from_slice(&other[below(rng, other.len() + 1)..]);
        }
    }
}

/// A number below `n`, 0 if there is none. The bias does not matter here.
fn below(rng: &mut ChaCha20Rng, n: usize) -> usize {
    (rng.next_u64() % n.max(1) as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use chacha20::rand_core::SeedableRng;

    #[test]
    fn mutations_vary_and_repeat_with_their_seed() {
        let seeds = vec![b"a seed of some length".to_vec(), Vec::new()];
        let run = |seed| {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            (0..1000).map(|_| mutate(&mut rng, &seeds)).collect::<Vec<_>>()
        };
        let mut all = run(1);
        assert_eq!(all, run(1));
        assert_ne!(all, run(2));
        all.sort_unstable();
        all.dedup();
        assert!(all.len() > 300, "only {} different inputs", all.len());
    }
}
