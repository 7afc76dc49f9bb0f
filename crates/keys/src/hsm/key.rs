//! A key in a token, as certificates and TLS want it.

use super::token::Token;
use crate::KeyError;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use pkcs8::der::asn1::{AnyRef, UintRef};
use pkcs8::der::{Encode, Tag};
use rcgen::PublicKeyData;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::{OtherError, SignatureAlgorithm, SignatureScheme};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The curve P-256 by its object identifier, in DER.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// Bytes of a point that is not compressed.
const POINT: usize = 65;

/// A P-256 key pair in a token: its public half, and where the private one is.
#[derive(Clone, Debug)]
pub struct TokenKey {
    token: Arc<Token>,
    label: String,
    /// Tells keys of one label apart.
    id: Vec<u8>,
    point: Vec<u8>,
}

impl TokenKey {
    /// Makes a key in the token that signs and can be neither read nor taken out.
    pub fn generate(token: &Arc<Token>, label: &str) -> Result<TokenKey, KeyError> {
        const DOING: &str = "making a key";
        let mut id = vec![0; 16];
        getrandom::fill(&mut id).map_err(crate::error::key("drawing randomness"))?;
        let name = [Attribute::Token(true), Attribute::Label(label.into()), Attribute::Id(id.clone())];
        let public = [Attribute::Private(false), Attribute::Verify(true), Attribute::EcParams(P256.into())];
        let private = [
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ];
        let (public, private) = ([&name[..], &public].concat(), [&name[..], &private].concat());
        token
            .with(DOING, |session| session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).map(drop))?;
        let mut made = TokenKey { token: token.clone(), label: label.into(), id, point: Vec::new() };
        match made.settle() {
            Ok(()) => Ok(made),
            // It is not what was asked for and of no use.
            Err(e) => made.destroy().and(Err(e)),
        }
    }

    /// Reads the public half of a fresh key, which must be the only one of its identifier: a session lost at the wrong moment makes
    /// two.
    fn settle(&mut self) -> Result<(), KeyError> {
        let mut found: Vec<_> =
            Self::all(&self.token, &self.label)?.into_iter().filter(|key| key.id == self.id).collect();
        match (found.pop(), found.is_empty()) {
            (Some(key), true) => self.point = key.point,
            (None, _) => return Err(key_missing(&self.token, &self.label)),
            _ => return Err(KeyError::KeyAmbiguous { token: self.token.label().into(), object: self.label.clone() }),
        }
        self.guarded()
    }

    /// The key of this label; if there may be several, the one of this public half.
    pub fn find(token: &Arc<Token>, label: &str, public: Option<&[u8]>) -> Result<TokenKey, KeyError> {
        let wanted = |key: &TokenKey| public.is_none_or(|public| key.subject_public_key_info() == public);
        let mut found: Vec<_> = Self::all(token, label)?.into_iter().filter(wanted).collect();
        match (found.pop(), found.is_empty()) {
            (Some(key), true) => key.guarded().map(|()| key),
            (None, _) => Err(key_missing(token, label)),
            _ => Err(KeyError::KeyAmbiguous { token: token.label().into(), object: label.into() }),
        }
    }

    /// Public halves of this label. One that is not of P-256 is passed over.
    fn all(token: &Arc<Token>, label: &str) -> Result<Vec<TokenKey>, KeyError> {
        let wanted = [
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(KeyType::EC),
            Attribute::EcParams(P256.into()),
            Attribute::Label(label.into()),
        ];
        let read = |session: &Session| {
            let mut found = Vec::new();
            for handle in session.find_objects(&wanted)? {
                let (mut id, mut point) = (Vec::new(), None);
                for attribute in session.get_attributes(handle, &[AttributeType::Id, AttributeType::EcPoint])? {
                    match attribute {
                        Attribute::Id(value) => id = value,
                        Attribute::EcPoint(value) => point = uncompressed(value),
                        _ => {}
                    }
                }
                found.extend(point.map(|point| TokenKey { token: token.clone(), label: label.into(), id, point }));
            }
            Ok(found)
        };
        token.with("looking for a key", read)
    }

    fn objects(&self, class: ObjectClass) -> [Attribute; 3] {
        [Attribute::Class(class), Attribute::Label(self.label.clone().into()), Attribute::Id(self.id.clone())]
    }

    /// The private half.
    fn handle(&self, session: &Session) -> Result<ObjectHandle, Error> {
        let found = session.find_objects(&self.objects(ObjectClass::PRIVATE_KEY))?;
        found.first().copied().ok_or(Error::Pkcs11(RvError::KeyHandleInvalid, cryptoki::context::Function::FindObjects))
    }

    fn named<T>(&self, done: Result<T, KeyError>) -> Result<T, KeyError> {
        done.map_err(|e| match e {
            KeyError::Token { problem, .. } if problem == "KeyHandleInvalid" => key_missing(&self.token, &self.label),
            e => e,
        })
    }

    /// Whether the private half is there and cannot be read out.
    fn guarded(&self) -> Result<(), KeyError> {
        let asked = [AttributeType::Sensitive, AttributeType::Extractable];
        let read = |session: &Session| session.get_attributes(self.handle(session)?, &asked);
        let said = self.named(self.token.with("looking for a key", read))?;
        match said.contains(&Attribute::Sensitive(true)) && said.contains(&Attribute::Extractable(false)) {
            true => Ok(()),
            false => Err(KeyError::Extractable { token: self.token.label().into(), object: self.label.clone() }),
        }
    }

    /// Removes both halves from the token.
    pub fn destroy(&self) -> Result<(), KeyError> {
        self.token.with("destroying a key", |session| {
            for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
                for handle in session.find_objects(&self.objects(class))? {
                    session.destroy_object(handle)?;
                }
            }
            Ok(())
        })
    }

    /// ECDSA over SHA-256, in DER. The token gets the digest: not all can hash.
    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let digest = Sha256::digest(message);
        // Found anew each time, since a lost session takes its handles along.
        let sign = |session: &Session| session.sign(&Mechanism::Ecdsa, self.handle(session)?, &digest);
        let raw = self.named(self.token.with("signing", sign))?;
        to_der(&raw).ok_or_else(|| KeyError::Token {
            token: self.token.label().into(),
            action: "signing",
            problem: format!("got {} bytes, want two numbers of 32", raw.len()),
        })
    }
}

fn key_missing(token: &Token, label: &str) -> KeyError {
    KeyError::KeyMissing { token: token.label().into(), object: label.into() }
}

/// A point as tokens give it: an octet string in DER, or of some makers the bare point.
fn uncompressed(given: Vec<u8>) -> Option<Vec<u8>> {
    let point = match given.strip_prefix(&[0x04, POINT as u8]) {
        Some(inner) if inner.len() == POINT => inner.to_vec(),
        _ => given,
    };
    (point.len() == POINT && point[0] == 0x04).then_some(point)
}

/// Two numbers of 32 bytes, one behind the other, as a sequence.
fn to_der(raw: &[u8]) -> Option<Vec<u8>> {
    if raw.len() != 64 {
        return None;
    }
    let number = |bytes| UintRef::new(bytes).and_then(|number| number.to_der()).ok();
    let numbers = [number(&raw[..32])?, number(&raw[32..])?].concat();
    AnyRef::new(Tag::Sequence, &numbers).and_then(|sequence| sequence.to_der()).ok()
}

impl PublicKeyData for TokenKey {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }
    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for TokenKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signature(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

impl rustls::sign::SigningKey for TokenKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        let ours = offered.contains(&SignatureScheme::ECDSA_NISTP256_SHA256);
        ours.then(|| Box::new(self.clone()) as Box<dyn rustls::sign::Signer>)
    }
    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.subject_public_key_info().into())
    }
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl rustls::sign::Signer for TokenKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.signature(message).map_err(|e| rustls::Error::Other(OtherError(Arc::new(e))))
    }
    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_short_as_der_wants() {
        let mut raw = [0u8; 64];
        (raw[31], raw[32]) = (5, 0x80);
        let der = to_der(&raw).unwrap();
        assert_eq!(der[..8], [0x30, 38, 2, 1, 5, 2, 33, 0]);
        assert_eq!((der[8], der.len()), (0x80, 40));
        assert_eq!(to_der(&raw[..63]), None);
    }

    #[test]
    fn points_come_wrapped_or_bare() {
        let bare = [vec![4], vec![7; 64]].concat();
        let wrapped = [vec![4, 65], bare.clone()].concat();
        assert_eq!(uncompressed(wrapped), Some(bare.clone()));
        assert_eq!(uncompressed(bare.clone()), Some(bare.clone()));
        assert_eq!(uncompressed(bare[..64].to_vec()), None);
        assert_eq!(uncompressed(vec![]), None);
    }
}
