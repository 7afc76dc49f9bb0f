//! TLS for what nodes say to each other besides sessions: each shows a certificate that its organisation's root issued, whoever the root is. What a root may do
//! is for the caller to decide, who learns it from the connection.

use super::connect::provider;
use super::pin::known_by;
use crate::NetError;
use crate::identity::{Identity, Revocations, Untrusted, verify};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme, version::TLS13,
};
use std::sync::Arc;

fn refused(e: rustls::Error) -> NetError {
    NetError::Io { operation: "preparing TLS", problem: e.to_string() }
}

/// What a node shows and accepts when another calls: any node with a certificate of its root that is valid and not revoked.
///
/// # Errors
/// A key that does not fit its certificate.
pub fn server(identity: &Identity, revocations: &Arc<Revocations>) -> Result<ServerConfig, NetError> {
    let (provider, revocations) = (provider(), revocations.clone());
    let rooted = Arc::new(Rooted { root: None, provider: provider.clone(), revocations });
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)?
        .with_client_cert_verifier(rooted)
        .with_cert_resolver(identity.resolver()?);
    server.send_tls13_tickets = 0;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(server)
}

/// What a node shows and accepts when it calls another: the node of this root, or of any if none is given (then the caller looks at it, see [`root`]).
///
/// # Errors
/// A key that does not fit its certificate.
pub fn client(
    identity: &Identity,
    root: Option<&str>,
    revocations: &Arc<Revocations>,
) -> Result<ClientConfig, NetError> {
    let (provider, revocations) = (provider(), revocations.clone());
    let rooted = Arc::new(Rooted { root: root.map(str::to_owned), provider: provider.clone(), revocations });
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(rooted)
        .with_client_cert_resolver(identity.resolver()?);
    client.resumption = rustls::client::Resumption::disabled();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(client)
}

/// Fingerprint of the root in a chain that was accepted.
pub fn root(chain: &[CertificateDer<'_>]) -> Option<String> {
    known_by(chain).filter(|_| chain.len() == 2)
}

/// Accepts a leaf with the root that issued it.
#[derive(Debug)]
struct Rooted {
    /// Which root; any, if none.
    root: Option<String>,
    provider: Arc<CryptoProvider>,
    revocations: Arc<Revocations>,
}

impl Rooted {
    fn check(&self, own: &CertificateDer<'_>, issuers: &[CertificateDer<'_>], at: UnixTime) -> Result<(), Error> {
        let [root] = issuers else { return Err(Untrusted::Malformed.to_tls()) };
        let accepted = |found: &str| self.root.as_deref().is_none_or(|pinned| pinned == found);
        let at = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
        verify(own, root, accepted, at, Some(&self.revocations)).map(drop).map_err(Untrusted::to_tls)
    }
}

macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
        }
        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider.signature_verification_algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Rooted {
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
    signatures!();
}

impl ClientCertVerifier for Rooted {
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
    signatures!();
}
