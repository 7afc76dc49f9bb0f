//! Boolean circuits: as data for protocols to walk ([`comparator`]), as lists of gates ([`boolean`]) read from and written to files
//! ([`bristol`]) or generated ([`build`], [`arithmetic`], [`aes`], [`sha256`], [`shares`]).

#![forbid(unsafe_code)]

pub mod aes;
pub mod arithmetic;
pub mod boolean;
pub mod bristol;
pub mod build;
pub mod comparator;
pub mod sha256;
pub mod shares;

pub use boolean::{Circuit, Gate, Wire};
pub use build::{Bit, Builder};
pub use comparator::{Block, Comparator, Factor, Join, LEAF_BITS, Level, Term};
