//! A root key in a hardware token behind PKCS#11. The key is made in the token and never leaves it, and so are the keys of the
//! certificates it issues.

mod key;
mod token;

use crate::error::{file, key};
use crate::{KeyError, Root, TokenPlace};
use key::TokenKey;
use privity_api::Signer;
use privity_net::NetError;
use privity_net::identity::{self, Identity, Signed};
use rcgen::PublicKeyData;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use token::Token;

const CERTIFICATE: &str = "certificate.pem";

/// A root whose key is in a token, its certificate in the file `certificate.pem` of a directory.
pub struct HsmRoot {
    token: Arc<Token>,
    /// Label of the root's key; those of nodes have a longer one.
    object: String,
    key: TokenKey,
    own: Identity,
}

impl std::fmt::Debug for HsmRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HsmRoot({} in {})", self.own.fingerprint(), self.token.label())
    }
}

impl HsmRoot {
    /// Makes a key in the token, P-256, sensitive and not extractable, and a certificate for it in the directory.
    ///
    /// # Errors
    /// There is a key of this label or a certificate already; the token is missing, refuses the PIN or fails.
    pub fn create(place: TokenPlace, dir: &Path, name: &str) -> Result<HsmRoot, KeyError> {
        let path = dir.join(CERTIFICATE);
        if path.exists() {
            return Err(KeyError::Exists { place: path.display().to_string() });
        }
        let object = place.object.clone();
        let token = Arc::new(Token::new(place)?);
        if token.any(&object)? {
            return Err(KeyError::Exists { place: format!("key {object} in token {}", token.label()) });
        }
        let key = TokenKey::generate(&token, &object)?;
        let made = certify(&key, dir, name);
        let certificate = match made {
            Ok(certificate) => certificate,
            // A key without a certificate is of no use, and its label would be taken.
            Err(e) => {
                let _ = key.destroy();
                return Err(e);
            }
        };
        Self::join(token, object, key, certificate)
    }

    /// Finds the key in the token and the certificate in the directory.
    ///
    /// # Errors
    /// The certificate, the token or the key is missing, the token refuses the PIN, the key could be read out, or it is not that of
    /// the certificate.
    pub fn open(place: TokenPlace, dir: &Path) -> Result<HsmRoot, KeyError> {
        let path = dir.join(CERTIFICATE);
        let certificate = std::fs::read_to_string(&path).map_err(file("reading", &path))?;
        let object = place.object.clone();
        let token = Arc::new(Token::new(place)?);
        let key = TokenKey::find(&token, &object, None)?;
        Self::join(token, object, key, certificate)
    }

    fn join(token: Arc<Token>, object: String, key: TokenKey, certificate: String) -> Result<HsmRoot, KeyError> {
        let own = Identity::from_signer(certificate, Arc::new(key.clone()));
        let own = own.map_err(|e| KeyError::Mismatch { problem: e.to_string() })?;
        Ok(HsmRoot { token, object, key, own })
    }

    /// Whether the key can be used now. What [`Signer::sign`] says of a token is text; this says it in types.
    ///
    /// # Errors
    /// Why not.
    pub fn probe(&self) -> Result<(), KeyError> {
        TokenKey::find(&self.token, &self.object, None).map(drop)
    }

    /// Label of the keys of nodes.
    fn leaves(&self) -> String {
        format!("{} node", self.object)
    }

    fn certified(&self, leaf: TokenKey, name: &str, from: i64, until: i64) -> Result<Identity, KeyError> {
        let chain = identity::certify(self.own.certificate_pem(), &self.key, name, &leaf, from, until);
        // The library that writes certificates has no room for what the token said: ask it again.
        let chain = chain.map_err(|e| self.probe().err().unwrap_or_else(|| key("issuing a certificate")(e)))?;
        Ok(Identity::from_signer(chain, Arc::new(leaf))?)
    }
}

fn certify(key: &TokenKey, dir: &Path, name: &str) -> Result<String, KeyError> {
    let certificate = identity::root(name, key).map_err(crate::error::key("making a root"))?;
    std::fs::create_dir_all(dir).map_err(file("making", dir))?;
    let path = dir.join(CERTIFICATE);
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    let written = made.and_then(|mut file| {
        file.write_all(certificate.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => KeyError::Exists { place: path.display().to_string() },
        _ => file("writing", &path)(e),
    })?;
    Ok(certificate)
}

impl Signer for HsmRoot {
    fn sign(&self, purpose: &str, statement: &[u8]) -> Result<Signed, NetError> {
        self.own.sign(purpose, statement)
    }
    fn fingerprint(&self) -> String {
        self.own.fingerprint()
    }
}

impl Root for HsmRoot {
    fn certificate_pem(&self) -> &str {
        self.own.certificate_pem()
    }
    fn issue(&self, name: &str, not_before: i64, not_after: i64) -> Result<Identity, KeyError> {
        let leaf = TokenKey::generate(&self.token, &self.leaves())?;
        self.certified(leaf.clone(), name, not_before, not_after).inspect_err(|_| {
            // Nobody will ask for it again.
            let _ = leaf.destroy();
        })
    }
    fn load(&self, dir: &Path) -> Result<Identity, KeyError> {
        Identity::load_signer(dir, |public| {
            Ok(Arc::new(TokenKey::find(&self.token, &self.leaves(), Some(public))?)
                as Arc<dyn rustls::sign::SigningKey>)
        })
    }
    fn retire(&self, before: &Identity) -> Result<(), KeyError> {
        let public = identity::public_key(before.certificate_pem())?;
        if public == self.key.subject_public_key_info() {
            return Err(KeyError::Key { action: "destroying a key", problem: "it is the root's".into() });
        }
        match TokenKey::find(&self.token, &self.leaves(), Some(&public)) {
            Ok(leaf) => leaf.destroy(),
            Err(KeyError::KeyMissing { .. }) => Ok(()),
            Err(e) => Err(e),
        }
    }
}
