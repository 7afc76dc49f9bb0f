//! Secrets and the keys derived from them.

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Why a primitive could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrimError {
    /// The operating system gave no randomness.
    #[error(
        "drawing a fresh secret: the operating system gave no randomness ({0}); check that getrandom or /dev/urandom is allowed"
    )]
    Randomness(getrandom::Error),
}

/// 32 secret bytes: erased on drop, compared in constant time, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Takes bytes into custody; the caller erases its copy.
    pub fn new(bytes: [u8; 32]) -> Self {
        Secret(bytes)
    }
    /// The bytes, for the one place that needs them.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl ConstantTimeEq for Secret {
    fn ct_eq(&self, other: &Self) -> subtle::Choice {
        self.0.ct_eq(&other.0)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for Secret {}

/// A secret from the operating system's generator.
///
/// # Errors
/// [`PrimError::Randomness`] if the system has none to give.
pub fn fresh_secret() -> Result<Secret, PrimError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(PrimError::Randomness)?;
    let secret = Secret(bytes);
    bytes.zeroize();
    Ok(secret)
}

/// What a key is bound to. All of it is public.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Identifier of the session: the digest of what the parties agreed on.
    pub session: [u8; 32],
    /// Digest of the job.
    pub job: [u8; 32],
    /// Epoch of the training.
    pub epoch: u32,
    /// How often this epoch was begun before: a repeated epoch draws other masks.
    pub attempt: u32,
    /// Parallel channel within the session.
    pub lane: u32,
}

/// A 128-bit key from all contributions, in the order given, bound to the context and a label: BLAKE3 in its
/// key-derivation mode. It is secret as long as one contribution is. Every variable-length input is preceded by its length,
/// so that no two inputs read the same. The label says what the key is for, and the parties that share it.
pub fn derive(contributions: &[[u8; 32]], context: &Context, label: &str) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 pairwise mask key");
    hasher.update(&(contributions.len() as u64).to_le_bytes());
    for contribution in contributions {
        hasher.update(contribution);
    }
    hasher.update(&context.session).update(&context.job);
    for number in [context.epoch, context.attempt, context.lane] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(&(label.len() as u64).to_le_bytes()).update(label.as_bytes());
    let mut key = [0; 16];
    let mut reader = hasher.finalize_xof();
    reader.fill(&mut key);
    reader.zeroize();
    hasher.zeroize();
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_of_a_key_matters() {
        let (a, b) = ([1; 32], [2; 32]);
        let context = Context::default();
        let with = |f: fn(&mut Context)| {
            let mut changed = context.clone();
            f(&mut changed);
            derive(&[a, b], &changed, "x")
        };
        let keys = [
            derive(&[a, b], &context, "x"),
            derive(&[b, a], &context, "x"),
            derive(&[a], &context, "x"),
            derive(&[a, b], &context, "y"),
            derive(&[a, b], &context, ""),
            with(|c| c.session[31] = 1),
            with(|c| c.job[0] = 1),
            with(|c| c.epoch = 1),
            with(|c| c.attempt = 1),
            with(|c| c.lane = 1),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert!(keys[..i].iter().all(|other| key != other), "key {i} equals an earlier one");
        }
        assert_eq!(keys[0], derive(&[a, b], &context.clone(), "x"));
    }

    #[test]
    fn secrets_are_fresh_and_not_printed() {
        let (a, b) = (fresh_secret().unwrap(), fresh_secret().unwrap());
        assert_ne!(a, b);
        assert_eq!(a, a.clone());
        assert_eq!(format!("{a:?}"), "Secret(..)");
    }

    #[test]
    fn a_secret_can_be_erased() {
        let mut secret = Secret::new([3; 32]);
        secret.zeroize();
        assert_eq!(secret.expose(), &[0; 32]);
    }
}
