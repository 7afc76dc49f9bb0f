//! Ring elements.

use std::fmt::Debug;

/// An element of the ring a protocol computes in. Arithmetic wraps.
pub trait Ring: Copy + Default + PartialEq + Debug + Send + Sync + 'static {
    /// Bytes of one element on the wire.
    const BYTES: u64;
    /// The ring element of an integer.
    fn from_u64(x: u64) -> Self;
    /// The integer of a ring element; 0 for [`Unit`].
    fn to_u64(self) -> u64;
    /// `self + other`.
    fn add(self, other: Self) -> Self {
        Self::from_u64(self.to_u64().wrapping_add(other.to_u64()))
    }
    /// `self - other`.
    fn sub(self, other: Self) -> Self {
        Self::from_u64(self.to_u64().wrapping_sub(other.to_u64()))
    }
    /// `self * other`.
    fn mul(self, other: Self) -> Self {
        Self::from_u64(self.to_u64().wrapping_mul(other.to_u64()))
    }
}

impl Ring for u64 {
    const BYTES: u64 = 8;
    #[inline(always)]
    fn from_u64(x: u64) -> u64 {
        x
    }
    #[inline(always)]
    fn to_u64(self) -> u64 {
        self
    }
}

/// The ring of zero bytes. A `Tensor<Unit>` has a shape and no data; the cost counter computes over it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Unit;

impl Ring for Unit {
    const BYTES: u64 = 0;
    #[inline(always)]
    fn from_u64(_: u64) -> Unit {
        Unit
    }
    #[inline(always)]
    fn to_u64(self) -> u64 {
        0
    }
}
