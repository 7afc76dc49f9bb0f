//! Fixed point: a real `v` is the integer `round(v * 2^frac)`, two's complement in a `u64`.

use crate::{Ring, Shape, Tensor};

/// A fixed-point format: `frac` fraction bits, magnitudes below `2^(int + frac)` as integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Fraction bits.
    pub frac: u32,
}

/// A real number that a format cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "element {index} cannot be encoded with {frac} fraction bits: it must be finite and below 2^{limit} in magnitude; scale the input or choose a wider format"
)]
pub struct FixedError {
    /// Flat index of the element. Its value is not named: it may be secret.
    pub index: usize,
    /// Fraction bits of the format.
    pub frac: u32,
    /// The magnitude must be below `2^limit`.
    pub limit: u32,
}

impl Fixed {
    /// Encoded magnitudes stay below `2^ENCODE_BITS`, so that sums and one product have room.
    pub const ENCODE_BITS: u32 = 46;

    /// One number, rounded to nearest (ties away from zero). `None` when it is not finite or too large.
    pub fn encode(self, v: f64) -> Option<u64> {
        let scaled = (v * (1u64 << self.frac) as f64).round();
        (scaled.abs() < (1u64 << Self::ENCODE_BITS) as f64).then_some(scaled as i64 as u64)
    }

    /// A constant of the program, known to be in range.
    ///
    /// # Panics
    /// If the constant is out of range: a bug in the calling code, never input.
    pub fn constant(self, v: f64) -> u64 {
        self.encode(v).expect("constants of the program fit the format")
    }

    /// Encodes a row-major slice.
    pub fn encode_tensor<R: Ring>(self, shape: &Shape, values: &[f64]) -> Result<Tensor<R>, FixedError> {
        let limit = Self::ENCODE_BITS - self.frac;
        let encode = |(index, v): (usize, &f64)| {
            self.encode(*v).map(R::from_u64).ok_or(FixedError { index, frac: self.frac, limit })
        };
        let data = values.iter().enumerate().map(encode).collect::<Result<Vec<R>, _>>()?;
        Ok(Tensor::new(shape.clone(), data))
    }

    /// Back to a real number.
    pub fn decode(self, x: u64) -> f64 {
        x as i64 as f64 / (1u64 << self.frac) as f64
    }

    /// Back to real numbers.
    pub fn decode_tensor(self, x: &Tensor<u64>) -> Vec<f64> {
        x.data().iter().map(|&v| self.decode(v)).collect()
    }
}
