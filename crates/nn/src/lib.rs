//! Layers, losses, optimisers and models, generic over the protocol.
//!
//! [`spec`] says what to train, [`range`] plans scales and widths, [`mod@train`] trains, [`model`] predicts, [`metrics`]
//! evaluates; [`float`] does the same in plain `f32`.

#![forbid(unsafe_code)]

pub mod error;
pub mod float;
pub mod init;
pub mod layers;
pub mod loss;
pub mod metrics;
pub mod model;
pub mod optim;
pub mod permute;
pub mod range;
pub mod spec;
pub mod train;

pub use error::{RangeError, SpecError, TrainError};
pub use model::{Model, OpenModel};
pub use spec::{ModelKind, ModelSpec, TrainSpec};
pub use train::{Between, Keeper, Kept, Observer, Trainer, iteration, train, train_from, train_quietly};
