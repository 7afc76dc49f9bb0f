//! Where an organisation's root key is. The root signs statements and issues the certificates of the organisation's nodes; others pin its certificate.

#![forbid(unsafe_code)]

mod file;

pub use file::FileRoot;

use privity_api::Signer;
use privity_net::identity::Identity;
use std::path::PathBuf;

/// The holder of a root key.
pub trait Root: Signer {
    /// Its certificate, in PEM.
    fn certificate_pem(&self) -> &str;
    /// Issues a certificate to a node, with a fresh key; times are seconds since 1970.
    ///
    /// # Errors
    /// The key cannot be used; a name or times that make no sense.
    fn issue(&self, name: &str, not_before: i64, not_after: i64) -> Result<Identity, KeyError>;
}

/// Trouble with a root key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file.
    #[error("{action} {file}: {problem}")]
    File {
        /// Which.
        file: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The key or what is made with it.
    #[error("{action}: {problem}")]
    Key {
        /// What was tried.
        action: &'static str,
        /// What is wrong.
        problem: String,
    },
}
