//! Certificates of nodes: short-lived leaves that the root of an organisation issued. What others pin is the root.

use super::fingerprint;
use rustls::CertificateError;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;
use x509_parser::certificate::X509Certificate;

/// How far clocks may be apart, in seconds.
pub const SKEW: i64 = 300;
/// The name that every certificate of a node carries: what a root issues for anything else is no node.
pub const NODE: &str = "node.privity";

/// Why a certificate that a root is said to have issued does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Untrusted {
    /// The root is not the pinned one.
    #[error("its certificate is of a root that was not agreed")]
    OtherRoot,
    /// The root named did not sign it.
    #[error("its certificate was not issued by the root that it names")]
    NotIssued,
    /// A leaf that issues, a root that cannot, or a certificate for another use.
    #[error("its certificate, or its root's, is not for this use")]
    Usage,
    /// Not a node's.
    #[error("its certificate does not name a node")]
    Name,
    /// Its time is over.
    #[error("its certificate has expired; its organisation has to issue a new one, or a clock is wrong")]
    Expired,
    /// Its time has not come.
    #[error("its certificate is not valid yet; a clock is wrong")]
    NotYetValid,
    /// Its organisation declared it void.
    #[error("its certificate was revoked by its organisation")]
    Revoked,
    /// Not certificates, or not a leaf and its root.
    #[error("it presented something that is not a certificate and its root")]
    Malformed,
}

/// What TLS calls each.
const ERRORS: [(Untrusted, CertificateError); 8] = [
    (Untrusted::OtherRoot, CertificateError::UnknownIssuer),
    (Untrusted::NotIssued, CertificateError::BadSignature),
    (Untrusted::Usage, CertificateError::InvalidPurpose),
    (Untrusted::Name, CertificateError::NotValidForName),
    (Untrusted::Expired, CertificateError::Expired),
    (Untrusted::NotYetValid, CertificateError::NotValidYet),
    (Untrusted::Revoked, CertificateError::Revoked),
    (Untrusted::Malformed, CertificateError::BadEncoding),
];

impl Untrusted {
    pub(crate) fn to_tls(self) -> rustls::Error {
        let found = ERRORS.iter().find(|(own, _)| *own == self);
        rustls::Error::InvalidCertificate(found.expect("all are listed").1.clone())
    }
    pub(crate) fn from_tls(error: &CertificateError) -> Option<Untrusted> {
        ERRORS.iter().find(|(_, tls)| tls == error).map(|(own, _)| *own)
    }
}

/// Which leaves are void: for each root, those valid from before a moment. Shared by all sessions of a process and consulted at
/// every handshake and, of connections that stand, a few times a second.
#[derive(Debug, Default)]
pub struct Revocations(RwLock<BTreeMap<String, i64>>);

impl Revocations {
    /// Leaves of this root that are valid from before `before` (seconds since 1970) are void from now on. A revocation is never
    /// taken back: an earlier moment changes nothing.
    pub fn revoke(&self, root: &str, before: i64) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let entry = table.entry(root.to_owned()).or_insert(before);
        *entry = before.max(*entry);
    }
    /// Whether a leaf of this root, valid from this moment, is void.
    pub fn voids(&self, root: &str, not_before: i64) -> bool {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.get(root).is_some_and(|before| not_before < *before)
    }
}

/// A verified leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// Fingerprint of its root.
    pub root: String,
    /// When it begins to be valid.
    pub not_before: i64,
}

/// What a leaf that was verified says of itself.
pub(crate) fn describe(leaf: &CertificateDer<'_>, root: &CertificateDer<'_>) -> Result<Leaf, Untrusted> {
    Ok(Leaf { root: fingerprint(root), not_before: parse(leaf)?.validity().not_before.timestamp() })
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX)
}

pub(super) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Untrusted> {
    match x509_parser::parse_x509_certificate(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        _ => Err(Untrusted::Malformed),
    }
}

/// Whether a certificate may issue others.
pub(super) fn may_issue(root: &X509Certificate<'_>) -> Result<bool, Untrusted> {
    let usage = root.key_usage().map_err(|_| Untrusted::Malformed)?;
    Ok(root.is_ca() && usage.is_none_or(|usage| usage.value.key_cert_sign()))
}

/// A leaf says that it signs, in both roles of a handshake, and issues nothing.
fn is_leaf(leaf: &X509Certificate<'_>) -> Result<bool, Untrusted> {
    let usage = leaf.key_usage().map_err(|_| Untrusted::Malformed)?;
    let extended = leaf.extended_key_usage().map_err(|_| Untrusted::Malformed)?;
    let signs = usage.is_some_and(|usage| usage.value.digital_signature() && !usage.value.key_cert_sign());
    let joins = extended.is_some_and(|extended| extended.value.server_auth && extended.value.client_auth);
    Ok(signs && joins && !leaf.is_ca())
}

/// Checks a leaf against the root it came with: that this root is accepted, that it may issue and signed the leaf, that the leaf
/// is a node's and no more, and last, of a leaf that is the root's indeed, its time.
pub(crate) fn verify(
    leaf: &CertificateDer<'_>,
    root: &CertificateDer<'_>,
    accepted: impl Fn(&str) -> bool,
    at: i64,
    revocations: Option<&Revocations>,
) -> Result<Leaf, Untrusted> {
    let root_fingerprint = fingerprint(root);
    if !accepted(&root_fingerprint) {
        return Err(Untrusted::OtherRoot);
    }
    let parsed = parse(leaf)?;
    let (not_before, not_after) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
    let within = u64::try_from(not_before).map_err(|_| Untrusted::Malformed)?;
    issued(leaf, root, UnixTime::since_unix_epoch(Duration::from_secs(within)))?;
    if !may_issue(&parse(root)?)? || !is_leaf(&parsed)? {
        return Err(Untrusted::Usage);
    }
    if at.saturating_add(SKEW) < not_before {
        return Err(Untrusted::NotYetValid);
    }
    if at.saturating_sub(SKEW) > not_after {
        return Err(Untrusted::Expired);
    }
    if revocations.is_some_and(|revocations| revocations.voids(&root_fingerprint, not_before)) {
        return Err(Untrusted::Revoked);
    }
    Ok(Leaf { root: root_fingerprint, not_before })
}

/// Whether the root signed the leaf, which names a node.
fn issued(leaf: &CertificateDer<'_>, root: &CertificateDer<'_>, within: UnixTime) -> Result<(), Untrusted> {
    let entity = webpki::EndEntityCert::try_from(leaf).map_err(|_| Untrusted::Malformed)?;
    let anchors = [webpki::anchor_from_trusted_cert(root).map_err(|_| Untrusted::Malformed)?];
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    let usage = webpki::KeyUsage::client_auth();
    let verified = entity.verify_for_usage(algorithms, &anchors, &[], within, usage, None, None);
    verified.map_err(|error| match error {
        webpki::Error::CaUsedAsEndEntity
        | webpki::Error::EndEntityUsedAsCa
        | webpki::Error::EmptyEkuExtension
        | webpki::Error::RequiredEkuNotFoundContext(_) => Untrusted::Usage,
        _ => Untrusted::NotIssued,
    })?;
    let name = ServerName::try_from(NODE).expect("a name");
    entity.verify_is_valid_for_subject_name(&name).map_err(|_| Untrusted::Name)
}

/// Both certificates of a leaf followed by its root.
pub(super) fn split(both: &[u8]) -> Option<(CertificateDer<'_>, CertificateDer<'_>)> {
    let (root, _) = x509_parser::parse_x509_certificate(both).ok()?;
    let leaf = both.get(..both.len() - root.len())?;
    (!root.is_empty()).then(|| (CertificateDer::from(leaf), CertificateDer::from(root)))
}
