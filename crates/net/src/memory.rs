//! Links between threads of one process: [`crate::sim`] without delay.

use crate::sim::{SimConfig, SimLink, mesh as sim_mesh};

/// Links of `n` parties in party order.
pub fn mesh(n: usize) -> Vec<SimLink> {
    sim_mesh(n, SimConfig::default())
}
