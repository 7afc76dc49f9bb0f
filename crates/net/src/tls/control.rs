//! TLS for what nodes say to each other besides sessions: each shows a certificate that its organisation's root issued, whoever the root is. What a root may do
//! is for the caller to decide, who learns it from the connection.

use super::connect::provider;
use super::pin::{Accepted, Pins, known_by};
use crate::NetError;
use crate::identity::{Identity, Revocations};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ServerConfig, version::TLS13};
use std::sync::Arc;

fn issued_by(root: Option<&str>, revocations: &Arc<Revocations>) -> Arc<Pins> {
    let accepted = Accepted::IssuedBy(root.map(str::to_owned));
    Arc::new(Pins { accepted, provider: provider(), revocations: revocations.clone(), refused: Arc::default() })
}

fn refused(e: rustls::Error) -> NetError {
    NetError::Io { operation: "preparing TLS", problem: e.to_string() }
}

/// What a node shows and accepts when another calls: any node with a certificate of its root that is valid and not revoked.
///
/// # Errors
/// A key that does not fit its certificate.
pub fn server(identity: &Identity, revocations: &Arc<Revocations>) -> Result<ServerConfig, NetError> {
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)?
        .with_client_cert_verifier(issued_by(None, revocations))
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
    let mut client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)?
        .dangerous()
        .with_custom_certificate_verifier(issued_by(root, revocations))
        .with_client_cert_resolver(identity.resolver()?);
    client.resumption = rustls::client::Resumption::disabled();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(client)
}

/// Makes this crate's cryptographic provider that of the process, for clients of other libraries, which ask for one even where they use no TLS.
pub fn provide() {
    // Whoever was first made the same one.
    let _ = Arc::unwrap_or_clone(provider()).install_default();
}

/// Fingerprint of the root in a chain that was accepted.
pub fn root(chain: &[CertificateDer<'_>]) -> Option<String> {
    known_by(chain).filter(|_| chain.len() == 2)
}
