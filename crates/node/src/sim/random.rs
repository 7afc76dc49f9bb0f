//! Numbers that a seed draws (SplitMix64, Steele, Lea and Flood, OOPSLA 2014).

pub(super) struct Random(u64);

impl Random {
    /// Numbers of a seed for one purpose.
    pub fn of(seed: u64, purpose: &str) -> Random {
        let hash = blake3::Hasher::new().update(&seed.to_le_bytes()).update(purpose.as_bytes()).finalize();
        Random(u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("32 bytes")))
    }
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// From `from` to less than `to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }
}
