//! A root key in a file that only its owner may read.

use crate::{KeyError, Root};
use privity_api::Signer;
use privity_net::NetError;
use privity_net::identity::{self, Identity, Signed};
use rcgen::KeyPair;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A root whose key is in the files `certificate.pem` and `key.pem` of a directory.
pub struct FileRoot {
    key: KeyPair,
    own: Identity,
}

impl std::fmt::Debug for FileRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileRoot({})", self.own.fingerprint())
    }
}

fn key(action: &'static str) -> impl Fn(&dyn std::fmt::Display) -> KeyError {
    move |e| KeyError::Key { action, problem: e.to_string() }
}

impl FileRoot {
    /// Makes a root and writes it into a directory.
    ///
    /// # Errors
    /// There is one already, or it cannot be written.
    pub fn create(dir: &Path, name: &str) -> Result<FileRoot, KeyError> {
        let failed = key("making a root");
        if dir.join("key.pem").exists() {
            return Err(failed(&format!("there is one in {} already", dir.display())));
        }
        let pair = KeyPair::generate().map_err(|e| failed(&e))?;
        let certificate = identity::root(name, &pair).map_err(|e| failed(&e))?;
        let own = Identity::from_pem(certificate, pair.serialize_pem()).map_err(|e| failed(&e))?;
        own.save(dir).map_err(|e| failed(&e))?;
        Ok(FileRoot { key: pair, own })
    }
    /// Reads a root.
    ///
    /// # Errors
    /// There is none, or its files are damaged.
    pub fn load(dir: &Path) -> Result<FileRoot, KeyError> {
        let failed = key("reading a root");
        let path: PathBuf = dir.join("key.pem");
        let text = std::fs::read_to_string(&path).map(Zeroizing::new);
        let text = text.map_err(|e| KeyError::File { file: path, action: "reading", problem: e.to_string() })?;
        let pair = KeyPair::from_pem(&text).map_err(|e| failed(&e))?;
        Ok(FileRoot { key: pair, own: Identity::load(dir).map_err(|e| failed(&e))? })
    }
}

impl Signer for FileRoot {
    fn sign(&self, purpose: &str, statement: &[u8]) -> Result<Signed, NetError> {
        self.own.sign(purpose, statement)
    }
    fn fingerprint(&self) -> String {
        self.own.fingerprint()
    }
}

impl Root for FileRoot {
    fn certificate_pem(&self) -> &str {
        self.own.certificate_pem()
    }
    fn issue(&self, name: &str, not_before: i64, not_after: i64) -> Result<Identity, KeyError> {
        let issued = identity::issue(self.own.certificate_pem(), &self.key, name, not_before, not_after);
        issued.map_err(|e| key("issuing a certificate")(&e))
    }
}
