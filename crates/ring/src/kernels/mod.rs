//! Kernels over slices of `u64`. All arithmetic is modulo 2^64, takes time that depends on lengths only, and
//! gives the same words at every SIMD level and thread count.

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
pub mod bits;
pub mod elementwise;
pub mod gemm;
mod tile;
