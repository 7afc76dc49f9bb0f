//! Where an organisation's root key is: a file, encrypted or not, or a hardware token. The root signs statements and issues the
//! certificates of the organisation's nodes; others pin its certificate. docs/KEYS.md says what the loss of each part means.

#![forbid(unsafe_code)]

mod error;
mod file;
mod hsm;
mod place;

pub use error::KeyError;
pub use file::FileRoot;
pub use hsm::HsmRoot;
pub use place::{Place, SecretSource, TokenPlace};

use privity_api::Signer;
use privity_net::identity::Identity;
use std::path::Path;
use std::sync::Arc;

/// The holder of a root key.
pub trait Root: Signer {
    /// Its certificate, in PEM.
    fn certificate_pem(&self) -> &str;
    /// Issues a certificate to a node, with a fresh key, which is where the root's is: held in memory, or in the token, from where
    /// it never comes out. Times are seconds since 1970.
    ///
    /// # Errors
    /// The key cannot be used; a name or times that make no sense.
    fn issue(&self, name: &str, not_before: i64, not_after: i64) -> Result<Identity, KeyError>;
    /// Reads an identity that this root issued and [`Identity::save`] wrote.
    ///
    /// # Errors
    /// It is missing or malformed, or its key is not where it was.
    fn load(&self, dir: &Path) -> Result<Identity, KeyError>;
    /// Destroys the key of an identity that another has replaced, if it is in a token: nothing signs with it any more. A key that
    /// is gone already is no error.
    ///
    /// # Errors
    /// The token cannot be used; the identity is not one that this root issued.
    fn retire(&self, before: &Identity) -> Result<(), KeyError>;
}

/// Opens the root at the place that the words name, see [`Place::parse`]. `home` is the directory of its certificate, and of what
/// a relative directory is taken from.
///
/// # Errors
/// The words are no place, or there is no root that can be used.
pub fn open(words: &str, home: &Path) -> Result<Arc<dyn Root>, KeyError> {
    Ok(match Place::parse(words)? {
        Place::File { dir, passphrase } => Arc::new(FileRoot::open(&home.join(dir), passphrase.as_ref())?),
        Place::Token(place) => Arc::new(HsmRoot::open(place, home)?),
    })
}

/// Makes a root at the place that the words name, see [`open`].
///
/// # Errors
/// The words are no place, there is a root already, or none can be made.
pub fn create(words: &str, home: &Path, name: &str) -> Result<Arc<dyn Root>, KeyError> {
    Ok(match Place::parse(words)? {
        Place::File { dir, passphrase } => Arc::new(FileRoot::make(&home.join(dir), name, passphrase.as_ref())?),
        Place::Token(place) => Arc::new(HsmRoot::create(place, home, name)?),
    })
}

/// Encrypts a root in a file under another passphrase, or none: `to` names the same directory as `from`, with the passphrase or without. The file is replaced in
/// one step, see [`FileRoot::change_passphrase`].
///
/// # Errors
/// The words are no such places, the present passphrase does not open the file, or it cannot be written; then it stands as it was.
pub fn change_passphrase(from: &str, to: &str, home: &Path) -> Result<(), KeyError> {
    match (Place::parse(from)?, Place::parse(to)?) {
        (Place::File { dir, passphrase: old }, Place::File { dir: same, passphrase: new }) if dir == same => {
            FileRoot::change_passphrase(&home.join(dir), old.as_ref(), new.as_ref())
        }
        _ => Err(KeyError::Place {
            problem: format!("a passphrase changes where the key is: {from} and {to} are two places, or tokens"),
        }),
    }
}
