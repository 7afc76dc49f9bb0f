//! Keys: fresh contributions, and what is derived from them.

use zeroize::Zeroize;

/// 32 secret bytes, wiped when dropped. `Debug` shows nothing.
pub struct Secret([u8; 32]);

impl Secret {
    /// Takes over secret bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Secret(bytes)
    }
    /// The bytes, for a message or a derivation.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Fresh randomness of the operating system.
///
/// # Errors
/// The system has none.
pub fn fresh_secret() -> Result<Secret, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(Secret(bytes))
}

/// What a key is bound to. No two contexts of one run are equal, and contributions are fresh besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Session identifier.
    pub session: [u8; 32],
    /// Digest of what is run.
    pub job: [u8; 32],
    /// Epoch of the session.
    pub epoch: u32,
    /// Attempt at the epoch.
    pub attempt: u32,
    /// Lane of a data-parallel run.
    pub lane: u32,
}

/// A 128-bit key from contributions, context and label, by BLAKE3 in its key-derivation mode; the label is length-prefixed.
pub fn derive(contributions: &[[u8; 32]], context: &Context, label: &str) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 pairwise mask key");
    hasher.update(&(contributions.len() as u64).to_le_bytes());
    for contribution in contributions {
        hasher.update(contribution);
    }
    hasher.update(&context.session).update(&context.job);
    for word in [context.epoch, context.attempt, context.lane] {
        hasher.update(&word.to_le_bytes());
    }
    hasher.update(&(label.len() as u64).to_le_bytes()).update(label.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_context_changes_the_key() {
        let base = Context::default();
        let contexts = [
            base.clone(),
            Context { session: [1; 32], ..base.clone() },
            Context { job: [1; 32], ..base.clone() },
            Context { epoch: 1, ..base.clone() },
            Context { attempt: 1, ..base.clone() },
            Context { lane: 1, ..base.clone() },
        ];
        let mut keys: Vec<[u8; 16]> = contexts.iter().map(|c| derive(&[[7; 32]], c, "a")).collect();
        keys.push(derive(&[[7; 32]], &base, "b"));
        keys.push(derive(&[[8; 32]], &base, "a"));
        keys.push(derive(&[[7; 32], [7; 32]], &base, "a"));
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn secrets_are_fresh_and_silent() {
        let (a, b) = (fresh_secret().unwrap(), fresh_secret().unwrap());
        assert_ne!(a.expose(), b.expose());
        assert_eq!(format!("{a:?}"), "Secret");
    }
}
