//! The privity command.
fn main() {}
