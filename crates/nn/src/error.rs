//! What can be wrong with a specification, a format, or a training run.

/// A field of a specification outside its domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("training specification: `{field}` {domain}")]
pub struct SpecError {
    /// The field.
    pub field: &'static str,
    /// What it must be.
    pub domain: &'static str,
}

/// A value that the fixed-point format cannot hold.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("range planning: {operation} of layer {layer} needs {needed} bits and has {available}; {remedy}")]
pub struct RangeError {
    /// Layer, input side first, from 0.
    pub layer: usize,
    /// The operation.
    pub operation: &'static str,
    /// Bits it needs, sign included.
    pub needed: u32,
    /// Bits there are.
    pub available: u32,
    /// What to change.
    pub remedy: &'static str,
}

/// Why a training run stopped.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// The specification is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The format is too small.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// The protocol failed.
    #[error(transparent)]
    Protocol(#[from] privity_mpc::Error),
    /// Operands do not fit together.
    #[error("{operation}: expected {expected}, got {got}")]
    Shape {
        /// The operation.
        operation: &'static str,
        /// The shape it takes.
        expected: String,
        /// The shape given.
        got: String,
    },
    /// A checkpoint or the record of openings could not be written.
    #[error("keeping what a later run needs: {problem}")]
    Keeping {
        /// What the system said.
        problem: String,
    },
    /// Values left the range they were planned for.
    #[error(
        "training diverged in epoch {epoch}: layer {layer} left its planned range; \
         lower learning_rate, or set clip_gradients or clip_weights"
    )]
    Diverged {
        /// The epoch, from 0, at whose end it was seen.
        epoch: usize,
        /// The first layer affected, input side first, from 0.
        layer: usize,
    },
}
