//! Who a party is: a self-signed certificate, pinned by its fingerprint at the others, and its key.

use crate::NetError;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::io::Write;
use std::path::Path;

/// A certificate and its private key. `Debug` shows the fingerprint only.
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    certificate_pem: String,
    key_pem: String,
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

    fn from_pem(certificate_pem: String, key_pem: String) -> Result<Identity, NetError> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|e| refused("reading a certificate", e))?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|_| refused("reading a private key", "not a PEM private key"))?;
        Ok(Identity { certificate, key, certificate_pem, key_pem })
    }

    /// Reads `certificate.pem` and `key.pem` from a directory.
    pub fn load(dir: &Path) -> Result<Identity, NetError> {
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read_to_string(&path)
                .map_err(|e| refused("reading an identity", format!("{}: {e}", path.display())))
        };
        Self::from_pem(read("certificate.pem")?, read("key.pem")?)
    }

    /// Writes `certificate.pem` and `key.pem` (readable by the owner only) into a directory, which is made if missing.
    pub fn save(&self, dir: &Path) -> Result<(), NetError> {
        let failed = |e: std::io::Error| refused("writing an identity", format!("{}: {e}", dir.display()));
        std::fs::create_dir_all(dir).map_err(failed)?;
        std::fs::write(dir.join("certificate.pem"), &self.certificate_pem).map_err(failed)?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(dir.join("key.pem")).map_err(failed)?;
        file.write_all(self.key_pem.as_bytes()).map_err(failed)
    }

    /// The certificate in PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }
    /// BLAKE3 of the certificate in DER, in hexadecimal: what the others pin.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.certificate)
    }

    /// A key for what this party keeps on its own disk, derived from its private key.
    pub fn storage_key(&self) -> [u8; 32] {
        blake3::derive_key("privity 2026-11 key of what a party keeps at rest", self.key.secret_der())
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
        Ok(Signed { certificate: self.certificate.to_vec(), signature })
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone()]
    }
    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }
}

/// A signature and the certificate whose key made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// In DER.
    pub certificate: Vec<u8>,
    /// As the key's scheme writes it.
    pub signature: Vec<u8>,
}

impl Signed {
    /// Whether the holder of the certificate with this fingerprint signed this statement for this purpose.
    pub fn by(&self, pinned: &str, purpose: &str, statement: &[u8]) -> bool {
        let certificate = CertificateDer::from(self.certificate.as_slice());
        let Ok(entity) = webpki::EndEntityCert::try_from(&certificate) else { return false };
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
        let message = framed(purpose, statement);
        let verified = |algorithm| entity.verify_signature(algorithm, &message, &self.signature).is_ok();
        fingerprint(&certificate) == pinned && algorithms.iter().copied().any(verified)
    }
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
