//! What can go wrong with shares in files.

/// Result of splitting or combining.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a secret was not split, or not given back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A threshold or a number of shares that makes no sense.
    #[error("{threshold} of {shares} shares: give 2 to 255 shares and a threshold of 2 up to their number")]
    Parameters {
        /// Shares that are to be enough.
        threshold: usize,
        /// Shares in all.
        shares: usize,
    },
    /// Not enough shares fit together. Nothing was given back.
    #[error("{good} of the shares given fit together and {needed} are needed; {reasons}")]
    TooFew {
        /// Shares that are sound and of one splitting.
        good: usize,
        /// Shares that are enough; 0 if no share could be read.
        needed: usize,
        /// What is wrong with the others.
        reasons: String,
    },
    /// Sound shares of more than one splitting, each enough.
    #[error("the shares are of {splittings} secrets, each with enough of them; give those of one")]
    Ambiguous {
        /// How many.
        splittings: usize,
    },
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system; nothing was split")]
    Randomness,
    /// Reading or writing failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}
