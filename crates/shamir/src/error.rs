//! What can go wrong with shares.

/// Result of splitting, dealing or combining.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a secret was not shared, handed over or given back.
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
    /// A threshold or a number of holders of a key that makes no sense.
    #[error("{threshold} of {holders} holders: a key has 2 to 31 holders and a threshold of 2 up to their number")]
    Committee {
        /// Shares that are to be enough.
        threshold: usize,
        /// Holders in all.
        holders: usize,
    },
    /// A share of a key, or a part of one, that is none. What it says is not to be used.
    #[error("it {flaw}")]
    Flawed {
        /// What is wrong with it.
        flaw: &'static str,
    },
    /// Parts from which no new share is made. Nothing was changed.
    #[error(
        "no new share is made of these parts: {reasons}; agree with the other holders on whose parts all of you take, and take only these"
    )]
    Parts {
        /// What is wrong with which.
        reasons: String,
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
    #[error("no randomness from the operating system; nothing was shared")]
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
