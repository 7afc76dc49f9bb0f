//! What the holder of a root does: certify itself once, and issue certificates to nodes.

use super::chain::{self, NODE};
use super::{Identity, refused};
use crate::NetError;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, PublicKeyData,
    SigningKey,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::time::Duration;

const DOING: &str = "issuing a certificate";
/// The end of the year 9999.
const LAST: i64 = 253_402_300_799;

/// A self-signed certificate, in PEM, by which `key` may issue certificates of nodes. It says nothing of its own time: whoever
/// pins it decides how long that holds.
///
/// # Errors
/// The key cannot sign.
pub fn root(name: &str, key: &impl SigningKey) -> Result<String, NetError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(key).map_err(|e| refused("making a root certificate", e))?;
    Ok(certificate.pem())
}

/// A certificate of a node with this public key, in PEM, its root's behind it. Times are seconds since 1970.
///
/// # Errors
/// The root is no root, or the key not its own; times in the wrong order; a name that is no DNS name; the key cannot sign.
pub fn certify(
    root_pem: &str,
    root_key: &impl SigningKey,
    name: &str,
    public: &impl PublicKeyData,
    not_before: i64,
    not_after: i64,
) -> Result<String, NetError> {
    let failed = |e: rcgen::Error| refused(DOING, e);
    let root = CertificateDer::from_pem_slice(root_pem.as_bytes()).map_err(|e| refused(DOING, e))?;
    let parsed = chain::parse(&root).map_err(|e| refused(DOING, e))?;
    if !chain::may_issue(&parsed).map_err(|e| refused(DOING, e))? {
        return Err(refused(DOING, "the certificate given is not that of a root"));
    }
    if parsed.public_key().raw != root_key.subject_public_key_info() {
        return Err(refused(DOING, "the key is not that of the root certificate"));
    }
    if !(0 <= not_before && not_before < not_after && not_after <= LAST) {
        return Err(refused(DOING, "it would end before it begins, or lie before 1970 or after 9999"));
    }
    rustls::pki_types::DnsName::try_from(name).map_err(|e| refused(DOING, e))?;
    let moment = |seconds: i64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.unsigned_abs());
    let mut params = CertificateParams::new(vec![NODE.to_owned(), name.to_owned()]).map_err(failed)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (moment(not_before), moment(not_after));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let issuer = Issuer::from_ca_cert_der(&root, root_key).map_err(failed)?;
    let leaf = params.signed_by(public, &issuer).map_err(failed)?;
    chain::verify(leaf.der(), &root, |_| true, not_before, None).map_err(|e| refused(DOING, e))?;
    Ok(format!("{}{root_pem}", leaf.pem()))
}

/// A node's identity with a fresh ECDSA P-256 key, certified as [`certify`] does, and a fresh storage secret: a node that had an
/// identity before takes that one's along, see [`Identity::succeed`].
///
/// # Errors
/// As [`certify`].
pub fn issue(
    root_pem: &str,
    root_key: &impl SigningKey,
    name: &str,
    not_before: i64,
    not_after: i64,
) -> Result<Identity, NetError> {
    let key = rcgen::KeyPair::generate().map_err(|e| refused(DOING, e))?;
    let chain = certify(root_pem, root_key, name, &key, not_before, not_after)?;
    Identity::from_pem(chain, key.serialize_pem())
}
