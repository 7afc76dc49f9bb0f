//! Initial weights from the joint public seed: the same at every party and in the float twin.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// What a stream of the joint seed is for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Weights = 1,
    Batches = 2,
}

/// The public generator of a purpose; `index` tells its streams apart.
pub(crate) fn generator(seed: u64, purpose: Purpose, index: u64) -> ChaCha20Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8] = purpose as u8;
    let mut rng = ChaCha20Rng::from_seed(key);
    rng.set_stream(index);
    rng
}

/// Weights `[out, in + 1]` of each layer of a model of these sizes, row-major; the last column holds the biases, zero.
/// Hidden layers: He uniform, `±sqrt(6 / in)`. Output layer: Glorot uniform, `±sqrt(6 / (in + out))`. A model of one
/// layer starts from zero: its loss is convex.
pub fn weights(seed: u64, sizes: &[usize]) -> Vec<Vec<f64>> {
    let layers = sizes.len() - 1;
    let mut all = Vec::with_capacity(layers);
    for (layer, pair) in sizes.windows(2).enumerate() {
        let (fan_in, fan_out) = (pair[0], pair[1]);
        let limit = match (layers, layer + 1 == layers) {
            (1, _) => 0.0,
            (_, true) => (6.0 / (fan_in + fan_out) as f64).sqrt(),
            (_, false) => (6.0 / fan_in as f64).sqrt(),
        };
        let mut rng = generator(seed, Purpose::Weights, layer as u64);
        let draw = |i: usize| {
            let is_bias = i % (fan_in + 1) == fan_in;
            if is_bias { 0.0 } else { limit * (2.0 * unit(rng.next_u64()) - 1.0) }
        };
        all.push((0..fan_out * (fan_in + 1)).map(draw).collect());
    }
    all
}

/// A float in `[0, 1)` from the top 53 bits.
fn unit(x: u64) -> f64 {
    (x >> 11) as f64 / (1u64 << 53) as f64
}
