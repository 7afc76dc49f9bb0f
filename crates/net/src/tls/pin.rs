//! Certificates are trusted by fingerprint and nothing else: their own, or that of the root that issued them and came with them.
//! Signatures of the handshake are checked by the TLS provider.

use crate::identity::{Leaf, Revocations, Untrusted, describe, fingerprint, verify};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Which certificates are accepted.
#[derive(Debug)]
pub(super) enum Accepted {
    /// Those with these fingerprints, and those of nodes that one of them issued.
    These(Vec<String>),
    /// Those of nodes only: issued by this root, or by any if none is named.
    IssuedBy(Option<String>),
}

/// Accepts these certificates and no others.
#[derive(Debug)]
pub(super) struct Pins {
    pub accepted: Accepted,
    pub provider: Arc<CryptoProvider>,
    pub revocations: Arc<Revocations>,
    /// Of accepted roots, what was last wrong with a leaf that is theirs.
    pub refused: Arc<Mutex<BTreeMap<String, Untrusted>>>,
}

/// The fingerprint by which the presenter of a chain is known.
pub(super) fn known_by(chain: &[CertificateDer<'_>]) -> Option<String> {
    match chain {
        [own] | [_, own] => Some(fingerprint(own)),
        _ => None,
    }
}

/// The leaf of a chain that was accepted, if a root issued it.
pub(super) fn leaf(chain: &[CertificateDer<'_>]) -> Option<Leaf> {
    match chain {
        [leaf, root] => describe(leaf, root).ok(),
        _ => None,
    }
}

impl Pins {
    fn check(&self, own: &CertificateDer<'_>, issuers: &[CertificateDer<'_>], at: UnixTime) -> Result<(), Error> {
        match (issuers, &self.accepted) {
            ([], Accepted::These(accepted)) if accepted.contains(&fingerprint(own)) => Ok(()),
            ([], _) => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
            ([root], _) => self.check_issued(own, root, at).map_err(Untrusted::to_tls),
            _ => Err(Untrusted::Malformed.to_tls()),
        }
    }
    fn check_issued(&self, own: &CertificateDer<'_>, root: &CertificateDer<'_>, at: UnixTime) -> Result<(), Untrusted> {
        let at = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
        let accepted = |root: &str| match &self.accepted {
            Accepted::These(these) => these.iter().any(|pinned| pinned == root),
            Accepted::IssuedBy(pinned) => pinned.as_deref().is_none_or(|pinned| pinned == root),
        };
        let verified = verify(own, root, accepted, at, Some(&self.revocations));
        if let Err(problem @ (Untrusted::Expired | Untrusted::NotYetValid | Untrusted::Revoked)) = verified {
            super::lock(&self.refused).insert(fingerprint(root), problem);
        }
        verified.map(drop)
    }
    fn tls12(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }
    fn tls13(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }
    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Pins {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        at: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, issuers, at).map(|()| ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls12(message, cert, dss)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls13(message, cert, dss)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Pins {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        at: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, issuers, at).map(|()| ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls12(message, cert, dss)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls13(message, cert, dss)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
