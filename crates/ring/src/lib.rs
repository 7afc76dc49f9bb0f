//! Rings, tensors, fixed point, and the SIMD kernels over them. No secrets policy, no network, no async:
//! plain numbers in, plain numbers out. One of the two crates that may say `unsafe`.

pub mod element;
pub mod fixed;
pub mod kernels;
pub mod memory;
pub mod mersenne;
pub mod simd;
pub mod tensor;

pub use element::{Ring, Unit};
pub use fixed::{Fixed, FixedError};
pub use mersenne::M61;
pub use tensor::{Bilinear, Shape, Tensor};

#[cfg(target_endian = "big")]
compile_error!("shares travel as little-endian words; big-endian machines are not supported");
