//! Shares and protocols. A program is written once, generic in [`Protocol`]; [`plain`] gives it its meaning, [`count`]
//! its price, [`rep3`], [`rep4`], [`additive_mac`], [`gmw`], [`beaver`], [`shamir`] and [`shamir_active`] its privacy. Everything above sees opaque shares; the only way out is [`Protocol::open`].

#![forbid(unsafe_code)]

pub mod additive_mac;
pub mod beaver;
mod buffer;
mod correlations;
pub mod cost;
pub mod count;
pub mod error;
mod garbled;
pub mod gmw;
mod lanes;
mod masked;
pub mod ops;
pub mod party;
pub mod plain;
mod polynomial;
pub mod protocol;
pub mod rep3;
pub mod rep4;
pub mod shamir;
pub mod shamir_active;
pub mod share;
mod verdict;

pub use error::{Error, Result};
pub use garbled::Garbled;
pub use party::Party;
pub use protocol::{By, Config, Inject, Origin, Product, Protocol, Radix, Raw, Recipients, TruncMode};
pub use share::{BitShare, Share};
