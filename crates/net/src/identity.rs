//! Who a party is: a certificate and its key. Others pin a fingerprint: that of a self-signed certificate, or that of the root of
//! an organisation, which issues short-lived certificates to its nodes. The key is held here or, behind rustls's
//! [`SigningKey`], in a token that signs and never shows it.

mod chain;
mod issue;

use crate::NetError;
pub(crate) use chain::{Leaf, describe, now, verify};
pub use chain::{NODE, Revocations, SKEW, Untrusted};
pub use issue::{certify, issue, root};
use privity_prim::{Secret, fresh_secret};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Name of the storage secret in the directory of an identity that has one.
const STORAGE: &str = "storage.key";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// A certificate and its private key; if a root issued it, also the root's certificate; and if a root issued it or its key is
/// elsewhere, a secret that stays when the key is replaced. `Debug` shows the fingerprint only.
pub struct Identity {
    certificate: CertificateDer<'static>,
    root: Option<CertificateDer<'static>>,
    storage: Option<Secret>,
    key: Key,
    certificate_pem: String,
}

enum Key {
    Held {
        der: PrivateKeyDer<'static>,
        pem: String,
    },
    /// In a token: what signs with it.
    Elsewhere(Arc<dyn SigningKey>),
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.fingerprint())
    }
}

fn refused(operation: &'static str, problem: impl ToString) -> NetError {
    NetError::Io { operation, problem: problem.to_string() }
}

impl Identity {
    /// A fresh ECDSA P-256 key with a self-signed certificate for `name`.
    pub fn generate(name: &str) -> Result<Identity, NetError> {
        const DOING: &str = "making a certificate";
        let key = rcgen::KeyPair::generate().map_err(|e| refused(DOING, e))?;
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).map_err(|e| refused(DOING, e))?;
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).map_err(|e| refused(DOING, e))?;
        Self::from_pem(certificate.pem(), key.serialize_pem())
    }

    /// An identity of its certificate, with the root's behind it if one issued it, and its private key, all in PEM. An issued one
    /// has a fresh storage secret.
    ///
    /// # Errors
    /// Not PEM, or another number of certificates.
    pub fn from_pem(certificate_pem: String, key_pem: String) -> Result<Identity, NetError> {
        let der = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|_| refused("reading a private key", "not a PEM private key"))?;
        Self::new(certificate_pem, Key::Held { der, pem: key_pem })
    }

    /// An identity whose private key stays where it is, as in a hardware token: `key` signs with it. It has a fresh storage secret.
    ///
    /// # Errors
    /// Not PEM, or another number of certificates; `key` does not tell its public key, or it is not that of the certificate.
    pub fn from_signer(certificate_pem: String, key: Arc<dyn SigningKey>) -> Result<Identity, NetError> {
        let identity = Self::new(certificate_pem, Key::Elsewhere(key))?;
        identity.certified()?.keys_match().map_err(|e| refused("joining a certificate and a key", e))?;
        Ok(identity)
    }

    fn new(certificate_pem: String, key: Key) -> Result<Identity, NetError> {
        const DOING: &str = "reading a certificate";
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate_pem.as_bytes()).collect();
        let mut chain = chain.map_err(|e| refused(DOING, e))?.into_iter();
        let (Some(certificate), root, None) = (chain.next(), chain.next(), chain.next()) else {
            return Err(refused(DOING, "it holds neither one certificate nor one and its root's"));
        };
        let draws = root.is_some() || matches!(key, Key::Elsewhere(_));
        let storage = draws.then(fresh_secret).transpose().map_err(|e| refused("drawing randomness", e))?;
        Ok(Identity { certificate, root, storage, key, certificate_pem })
    }

    /// Takes the storage secret of the identity that this one replaces: what was kept under that one stays readable. Nothing
    /// changes if either has none.
    pub fn succeed(&mut self, before: &Identity) {
        if let (Some(own), Some(before)) = (&mut self.storage, &before.storage) {
            *own = before.clone();
        }
    }

    /// Reads `certificate.pem` and `key.pem` from a directory, and of an issued identity `storage.key`.
    ///
    /// # Errors
    /// One of them is missing or malformed.
    pub fn load(dir: &Path) -> Result<Identity, NetError> {
        Self::from_pem(read(dir, CERTIFICATE)?, read(dir, KEY)?)?.stored(dir)
    }

    /// Reads `certificate.pem` and `storage.key` from a directory. `find` finds the key by its public half, DER of a
    /// SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// One of them is missing or malformed, or `find` fails.
    pub fn load_signer<E: From<NetError>>(
        dir: &Path,
        find: impl FnOnce(&[u8]) -> Result<Arc<dyn SigningKey>, E>,
    ) -> Result<Identity, E> {
        let certificate = read(dir, CERTIFICATE)?;
        let key = find(&public_key(&certificate)?)?;
        Ok(Self::from_signer(certificate, key)?.stored(dir)?)
    }

    fn stored(mut self, dir: &Path) -> Result<Identity, NetError> {
        if let Some(storage) = &mut self.storage {
            let secret = blake3::Hash::from_hex(read(dir, STORAGE)?.trim());
            let secret = secret.map_err(|_| refused("reading a storage secret", "not 32 bytes in hexadecimal"))?;
            *storage = Secret::new(secret.into());
        }
        Ok(self)
    }

    /// Writes `certificate.pem` and `key.pem` (readable by the owner only) into a directory, which is made if missing; of an
    /// identity with a storage secret also `storage.key`, likewise. A key that is elsewhere leaves no `key.pem`: one that was
    /// there, of the identity before, is removed.
    ///
    /// # Errors
    /// The system refuses; or the directory holds another storage secret, under which things may be kept: see
    /// [`Identity::succeed`].
    pub fn save(&self, dir: &Path) -> Result<(), NetError> {
        let failed = |e: std::io::Error| refused("writing an identity", format!("{}: {e}", dir.display()));
        std::fs::create_dir_all(dir).map_err(failed)?;
        if let Some(storage) = &self.storage {
            save_storage(dir, storage)?;
        }
        std::fs::write(dir.join(CERTIFICATE), &self.certificate_pem).map_err(failed)?;
        let path = dir.join(KEY);
        match &self.key {
            Key::Held { pem, .. } => private(&path, false, pem.as_bytes()).map_err(failed),
            Key::Elsewhere(_) if path.exists() => std::fs::remove_file(&path).map_err(failed),
            Key::Elsewhere(_) => Ok(()),
        }
    }

    /// The certificate in PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }
    /// BLAKE3, in hexadecimal, of the DER of what the others pin: the certificate, or that of the root that issued it.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.root.as_ref().unwrap_or(&self.certificate))
    }

    /// Seconds since 1970 from and until which the certificate is valid, if a root issued it.
    pub fn validity(&self) -> Option<(i64, i64)> {
        self.root.as_ref()?;
        let validity = chain::parse(&self.certificate).ok()?.validity().clone();
        Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
    }

    /// A key for what this party keeps on its own disk, derived from its storage secret or, if it has none, from its private key.
    pub fn storage_key(&self) -> [u8; 32] {
        let secret = match (&self.storage, &self.key) {
            (Some(storage), _) => storage.expose(),
            (None, Key::Held { der, .. }) => der.secret_der(),
            (None, Key::Elsewhere(_)) => unreachable!("drawn when it was made"),
        };
        blake3::derive_key("privity 2026-11 key of what a party keeps at rest", secret)
    }

    /// Signs a statement that others may show to third parties. `purpose` keeps statements of one kind from passing for another,
    /// or for a signature of TLS, which begins otherwise.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign(&self, purpose: &str, statement: &[u8]) -> Result<Signed, NetError> {
        const DOING: &str = "signing a statement";
        let key = self.certified()?.key;
        let schemes = aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes();
        let signer = key.choose_scheme(&schemes).ok_or_else(|| refused(DOING, "a kind of key that cannot sign"))?;
        let signature = signer.sign(&framed(purpose, statement)).map_err(|e| refused(DOING, e))?;
        Ok(Signed { certificate: self.chain().iter().flat_map(|der| der.iter().copied()).collect(), signature })
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        std::iter::once(&self.certificate).chain(&self.root).cloned().collect()
    }
    fn certified(&self) -> Result<CertifiedKey, NetError> {
        match &self.key {
            Key::Held { der, .. } => {
                let provider = aws_lc_rs::default_provider();
                let certified = CertifiedKey::from_der(self.chain(), der.clone_key(), &provider);
                certified.map_err(|e| refused("reading a private key", e))
            }
            Key::Elsewhere(key) => Ok(CertifiedKey::new(self.chain(), key.clone())),
        }
    }
    /// What it shows in a handshake, as either side, and signs it with.
    pub(crate) fn resolver(&self) -> Result<Arc<SingleCertAndKey>, NetError> {
        Ok(Arc::new(self.certified()?.into()))
    }
}

fn read(dir: &Path, name: &str) -> Result<String, NetError> {
    let path = dir.join(name);
    std::fs::read_to_string(&path).map_err(|e| refused("reading an identity", format!("{}: {e}", path.display())))
}

/// The public key of a certificate in PEM, or of the first of a chain: DER of its SubjectPublicKeyInfo.
///
/// # Errors
/// Not a certificate.
pub fn public_key(certificate_pem: &str) -> Result<Vec<u8>, NetError> {
    const DOING: &str = "reading a certificate";
    let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|e| refused(DOING, e))?;
    Ok(chain::parse(&certificate).map_err(|e| refused(DOING, e))?.public_key().raw.to_vec())
}

/// A signature and the certificate whose key made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// In DER; if a root issued it, the root's behind it.
    pub certificate: Vec<u8>,
    /// As the key's scheme writes it.
    pub signature: Vec<u8>,
}

impl Signed {
    /// Whether the holder of the certificate with this fingerprint signed this statement for this purpose: that key itself, not
    /// one of a certificate that it issued.
    pub fn by(&self, pinned: &str, purpose: &str, statement: &[u8]) -> bool {
        let certificate = CertificateDer::from(self.certificate.as_slice());
        fingerprint(&certificate) == pinned && self.fits(&certificate, purpose, statement)
    }

    /// Whether a party pinned by this fingerprint signed this statement for this purpose: with the key of that certificate, or of
    /// one issued by it that was valid at that time (seconds since 1970; `None` is now) and is not revoked.
    ///
    /// # Errors
    /// Why not; [`Untrusted::NotIssued`] also for a signature that does not fit.
    pub fn by_party(
        &self,
        pinned: &str,
        purpose: &str,
        statement: &[u8],
        at: Option<i64>,
        revocations: &Revocations,
    ) -> Result<(), Untrusted> {
        if self.by(pinned, purpose, statement) {
            return Ok(());
        }
        let (leaf, root) = chain::split(&self.certificate).ok_or(Untrusted::OtherRoot)?;
        chain::verify(&leaf, &root, |root| root == pinned, at.unwrap_or_else(now), Some(revocations))?;
        self.fits(&leaf, purpose, statement).then_some(()).ok_or(Untrusted::NotIssued)
    }

    fn fits(&self, certificate: &CertificateDer<'_>, purpose: &str, statement: &[u8]) -> bool {
        let Ok(entity) = webpki::EndEntityCert::try_from(certificate) else { return false };
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
        let message = framed(purpose, statement);
        let verified = |algorithm| entity.verify_signature(algorithm, &message, &self.signature).is_ok();
        algorithms.iter().copied().any(verified)
    }
}

/// Keeps a storage secret; one that is there must be the same.
fn save_storage(dir: &Path, storage: &Secret) -> Result<(), NetError> {
    const DOING: &str = "writing a storage secret";
    let path = dir.join(STORAGE);
    let text = blake3::Hash::from_bytes(*storage.expose()).to_hex();
    match private(&path, true, text.as_bytes()) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            let there = std::fs::read_to_string(&path).map_err(|e| refused(DOING, e))?;
            let there = blake3::Hash::from_hex(there.trim()).map_err(|e| refused(DOING, e))?;
            let same = Secret::new(there.into()) == *storage;
            same.then_some(()).ok_or_else(|| refused(DOING, format!("{} holds another one", path.display())))
        }
        written => written.map_err(|e| refused(DOING, format!("{}: {e}", path.display()))),
    }
}

/// Writes a file that only its owner may read.
fn private(path: &Path, new: bool, content: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).create_new(new).truncate(!new);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(content)
}

fn framed(purpose: &str, statement: &[u8]) -> Vec<u8> {
    [b"privity 2026-11 statement\0", purpose.as_bytes(), b"\0", statement].concat()
}

/// BLAKE3 of a certificate in DER, in hexadecimal.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    blake3::hash(certificate).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_bound_to_signer_purpose_and_words() {
        let (one, other) = (Identity::generate("one").unwrap(), Identity::generate("other").unwrap());
        let signed = one.sign("loss", b"two is gone").unwrap();
        let pinned = one.fingerprint();
        assert!(signed.by(&pinned, "loss", b"two is gone"));
        assert!(!signed.by(&other.fingerprint(), "loss", b"two is gone"));
        assert!(!signed.by(&pinned, "return", b"two is gone"));
        assert!(!signed.by(&pinned, "loss", b"one is gone"));
        let borrowed = Signed { certificate: other.certificate.to_vec(), ..signed.clone() };
        assert!(!borrowed.by(&other.fingerprint(), "loss", b"two is gone"));
        let broken = Signed { certificate: vec![0x30, 3, 1], ..signed };
        assert!(!broken.by(&pinned, "loss", b"two is gone"));
    }
}
