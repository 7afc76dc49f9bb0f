//! What tests of nodes share.
#![allow(dead_code, reason = "each test file uses its part")]

/// A contract of tables.
pub const SCHEMA: &str = "[[columns]]\nname = \"x\"\nkind = \"number\"\nmin = 0.0\nmax = 1.0\n\n[[columns]]\nname = \"y\"\nkind = \"label\"\nvalues = [\"no\", \"yes\"]\n";

/// A free port, below those that systems give to outgoing connections.
pub fn port() -> u16 {
    use std::hash::BuildHasher;
    let random = std::collections::hash_map::RandomState::new();
    let mut candidates = (0..200u32).map(|attempt| 10_000 + (random.hash_one(attempt) % 22_000) as u16);
    candidates.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}
