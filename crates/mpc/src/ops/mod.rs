//! Operations written once, generic in the protocol.

pub mod fourier;
