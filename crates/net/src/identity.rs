//! Who a party is: a certificate and its key. Others pin a fingerprint: that of a self-signed certificate, or that of the root of
//! an organisation, which issues short-lived certificates to its nodes.

mod chain;
mod issue;

use crate::NetError;
pub(crate) use chain::{Leaf, describe, now, verify};
pub use chain::{NODE, Revocations, SKEW, Untrusted};
pub use issue::{certify, issue, root};
use privity_prim::{Secret, fresh_secret};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::io::Write;
use std::path::Path;

/// Name of the storage secret in the directory of an issued identity.
const STORAGE: &str = "storage.key";

/// A certificate and its private key; if a root issued it, also the root's certificate and a secret that stays when the key is
/// replaced. `Debug` shows the fingerprint only.
pub struct Identity {
    certificate: CertificateDer<'static>,
    issued: Option<Issued>,
    key: PrivateKeyDer<'static>,
    certificate_pem: String,
    key_pem: String,
}

struct Issued {
    root: CertificateDer<'static>,
    storage: Secret,
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
        const DOING: &str = "reading a certificate";
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate_pem.as_bytes()).collect();
        let mut chain = chain.map_err(|e| refused(DOING, e))?.into_iter();
        let (Some(certificate), root, None) = (chain.next(), chain.next(), chain.next()) else {
            return Err(refused(DOING, "it holds neither one certificate nor one and its root's"));
        };
        let issued = |root| fresh_secret().map(|storage| Issued { root, storage });
        let issued = root.map(issued).transpose().map_err(|e| refused("drawing randomness", e))?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|_| refused("reading a private key", "not a PEM private key"))?;
        Ok(Identity { certificate, issued, key, certificate_pem, key_pem })
    }

    /// Takes the storage secret of the identity that this one replaces: what was kept under that one stays readable. Nothing
    /// changes if either is self-signed.
    pub fn succeed(&mut self, before: &Identity) {
        if let (Some(own), Some(before)) = (&mut self.issued, &before.issued) {
            own.storage = before.storage.clone();
        }
    }

    /// Reads `certificate.pem` and `key.pem` from a directory, and of an issued identity `storage.key`.
    ///
    /// # Errors
    /// One of them is missing or malformed.
    pub fn load(dir: &Path) -> Result<Identity, NetError> {
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read_to_string(&path)
                .map_err(|e| refused("reading an identity", format!("{}: {e}", path.display())))
        };
        let mut identity = Self::from_pem(read("certificate.pem")?, read("key.pem")?)?;
        if let Some(issued) = &mut identity.issued {
            let secret = blake3::Hash::from_hex(read(STORAGE)?.trim());
            let secret = secret.map_err(|_| refused("reading a storage secret", "not 32 bytes in hexadecimal"))?;
            issued.storage = Secret::new(secret.into());
        }
        Ok(identity)
    }

    /// Writes `certificate.pem` and `key.pem` (readable by the owner only) into a directory, which is made if missing; of an issued
    /// identity also `storage.key`, likewise.
    ///
    /// # Errors
    /// The system refuses; or the directory holds another storage secret, under which things may be kept: see
    /// [`Identity::succeed`].
    pub fn save(&self, dir: &Path) -> Result<(), NetError> {
        let failed = |e: std::io::Error| refused("writing an identity", format!("{}: {e}", dir.display()));
        std::fs::create_dir_all(dir).map_err(failed)?;
        if let Some(issued) = &self.issued {
            save_storage(dir, &issued.storage)?;
        }
        std::fs::write(dir.join("certificate.pem"), &self.certificate_pem).map_err(failed)?;
        private(&dir.join("key.pem"), false, self.key_pem.as_bytes()).map_err(failed)
    }

    /// The certificate in PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }
    /// BLAKE3, in hexadecimal, of the DER of what the others pin: the certificate, or that of the root that issued it.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.issued.as_ref().map_or(&self.certificate, |issued| &issued.root))
    }

    /// Seconds since 1970 from and until which the certificate is valid, if a root issued it.
    pub fn validity(&self) -> Option<(i64, i64)> {
        self.issued.as_ref()?;
        let validity = chain::parse(&self.certificate).ok()?.validity().clone();
        Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
    }

    /// A key for what this party keeps on its own disk, derived from its private key, or from its storage secret if a root issued
    /// its certificate.
    pub fn storage_key(&self) -> [u8; 32] {
        let secret = self.issued.as_ref().map_or(self.key.secret_der(), |issued| issued.storage.expose());
        blake3::derive_key("privity 2026-11 key of what a party keeps at rest", secret)
    }

    /// Signs a statement that others may show to third parties. `purpose` keeps statements of one kind from passing for another,
    /// or for a signature of TLS, which begins otherwise.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign(&self, purpose: &str, statement: &[u8]) -> Result<Signed, NetError> {
        const DOING: &str = "signing a statement";
        let key = aws_lc_rs::default_provider().key_provider.load_private_key(self.key());
        let key = key.map_err(|e| refused(DOING, e))?;
        let schemes = aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes();
        let signer = key.choose_scheme(&schemes).ok_or_else(|| refused(DOING, "a kind of key that cannot sign"))?;
        let signature = signer.sign(&framed(purpose, statement)).map_err(|e| refused(DOING, e))?;
        Ok(Signed { certificate: self.chain().iter().flat_map(|der| der.iter().copied()).collect(), signature })
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        let root = self.issued.as_ref().map(|issued| issued.root.clone());
        std::iter::once(self.certificate.clone()).chain(root).collect()
    }
    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }
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
