//! The parsers under test.

/// A parser of untrusted bytes.
pub struct Target {
    /// Folder of its seeds.
    pub name: &'static str,
    /// Must return for any bytes.
    pub entry: fn(&[u8]),
}

/// Every entry point of the workspace.
pub const ALL: &[Target] = &[Target { name: "header", entry: privity_net::frame::fuzz_header }];
