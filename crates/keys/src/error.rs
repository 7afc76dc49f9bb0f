//! What can go wrong with a root key. No message holds a passphrase, a PIN or a part of a key.

use privity_net::NetError;
use std::path::PathBuf;

/// Trouble with a root key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The words that say where the key is.
    #[error(
        "the place of the root key is not understood: {problem}; want file:DIRECTORY or pkcs11:module=...;token=...;object=..."
    )]
    Place {
        /// What is wrong.
        problem: String,
    },
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
    /// A key is there that would be lost.
    #[error("there is a root key already: {place}; nothing was changed")]
    Exists {
        /// Where.
        place: String,
    },
    /// A passphrase or PIN cannot be had.
    #[error("no {what} in {source_name}: {problem}")]
    Secret {
        /// Passphrase or PIN.
        what: &'static str,
        /// The file or variable that should hold it.
        source_name: String,
        /// What is wrong.
        problem: String,
    },
    /// The file is encrypted.
    #[error("{file} is encrypted: give its passphrase by passphrase-file=PATH or passphrase-env=NAME")]
    PassphraseNeeded {
        /// Which.
        file: PathBuf,
    },
    /// The file is not encrypted although a passphrase is given.
    #[error(
        "{file} is not encrypted although a passphrase is given: encrypt it, or take the passphrase out of the configuration"
    )]
    NotEncrypted {
        /// Which.
        file: PathBuf,
    },
    /// The encryption has no seal, so these two cannot be told apart for sure.
    #[error("{file} does not open with this passphrase: it is wrong, or the file is damaged")]
    Passphrase {
        /// Which.
        file: PathBuf,
    },
    /// Not what it should be, whatever the passphrase.
    #[error("{file} is damaged: {problem}; put it back from a copy")]
    Damaged {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The key is not that of the certificate beside it.
    #[error("the key and the certificate of the root do not belong together: {problem}")]
    Mismatch {
        /// What is wrong.
        problem: String,
    },
    /// The library of the token's maker.
    #[error("the PKCS#11 library {module} cannot be used: {problem}")]
    Module {
        /// Its path.
        module: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// No token of this label.
    #[error("token {token} is not there: plug it in, or check its label and the service behind it")]
    TokenMissing {
        /// Its label.
        token: String,
    },
    /// More than one.
    #[error("{count} tokens are called {token}: labels must be unique")]
    TokenAmbiguous {
        /// Their label.
        token: String,
        /// How many.
        count: usize,
    },
    /// The token refused the PIN. It is not tried again while the process runs: tokens lock.
    #[error(
        "token {token} refused the PIN; it is not tried again until the program is started anew, since tokens lock: correct it first"
    )]
    WrongPin {
        /// The token's label.
        token: String,
    },
    /// The token takes no PIN, or one last time. None was tried.
    #[error(
        "the PIN of token {token} is locked or has one try left, so none was tried: log in with the token's own tool, or have its security officer reset the PIN"
    )]
    PinLocked {
        /// The token's label.
        token: String,
    },
    /// No such key in the token.
    #[error("token {token} has no private and public P-256 key {object}")]
    KeyMissing {
        /// The token's label.
        token: String,
        /// The key's label, and its identifier if it is a node's.
        object: String,
    },
    /// More than one.
    #[error("token {token} has several keys called {object}: labels of roots must be unique")]
    KeyAmbiguous {
        /// The token's label.
        token: String,
        /// The key's label.
        object: String,
    },
    /// The key could be read out of the token.
    #[error("key {object} in token {token} is not sensitive or can be extracted: it is not used; make a new one")]
    Extractable {
        /// The token's label.
        token: String,
        /// The key's label.
        object: String,
    },
    /// The token fails.
    #[error("token {token}, {action}: {problem}")]
    Token {
        /// Its label.
        token: String,
        /// What was tried.
        action: &'static str,
        /// What it said.
        problem: String,
    },
}

impl From<NetError> for KeyError {
    fn from(e: NetError) -> KeyError {
        KeyError::Key { action: "using an identity", problem: e.to_string() }
    }
}

/// Wraps what another layer says.
pub(crate) fn key<E: std::fmt::Display>(action: &'static str) -> impl Fn(E) -> KeyError {
    move |e| KeyError::Key { action, problem: e.to_string() }
}

pub(crate) fn file<E: std::fmt::Display>(action: &'static str, path: &std::path::Path) -> impl Fn(E) -> KeyError {
    move |e| KeyError::File { file: path.into(), action, problem: e.to_string() }
}
