//! Signed statements.

use privity_job::canonical;
use privity_net::NetError;
use privity_net::identity::{Identity, Signed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a body is signed for. Signatures of one purpose are none of another.
pub trait Purpose: Serialize + DeserializeOwned + Clone {
    /// Words that no other purpose has.
    const PURPOSE: &'static str;
}

/// Whoever holds the key of an organisation's root: a file, a hardware module.
pub trait Signer: Send + Sync {
    /// Signs a statement; see [`Identity::sign`].
    ///
    /// # Errors
    /// The key cannot be used.
    fn sign(&self, purpose: &str, statement: &[u8]) -> Result<Signed, NetError>;
    /// Fingerprint of the root certificate.
    fn fingerprint(&self) -> String;
}

impl Signer for Identity {
    fn sign(&self, purpose: &str, statement: &[u8]) -> Result<Signed, NetError> {
        Identity::sign(self, purpose, statement)
    }
    fn fingerprint(&self) -> String {
        Identity::fingerprint(self)
    }
}

/// A body and the signature of an organisation's root under its canonical text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement<B> {
    /// What is stated.
    pub body: B,
    /// Root certificate of who states it, DER in base64.
    #[serde(with = "base64_bytes")]
    pub certificate: Vec<u8>,
    /// Its signature, in base64.
    #[serde(with = "base64_bytes")]
    pub signature: Vec<u8>,
}

/// Why a statement does not count.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StatementError {
    /// Someone else's, for something else, or altered.
    #[error(
        "the signature under this {purpose} is not that of {organisation}'s root {pinned}: have it signed again by that organisation"
    )]
    Signature {
        /// Kind of statement.
        purpose: &'static str,
        /// Who should have signed it.
        organisation: String,
        /// Fingerprint of its root.
        pinned: String,
    },
    /// It has no canonical text.
    #[error("this {purpose} cannot be written as JSON: {problem}")]
    Text {
        /// Kind of statement.
        purpose: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The key cannot sign.
    #[error("this {purpose} cannot be signed: {problem}")]
    Key {
        /// Kind of statement.
        purpose: &'static str,
        /// What is wrong.
        problem: String,
    },
}

fn text<B: Purpose>(body: &B) -> Result<String, StatementError> {
    let failed = |e: serde_json::Error| StatementError::Text { purpose: B::PURPOSE, problem: e.to_string() };
    Ok(canonical::write(&serde_json::to_value(body).map_err(failed)?))
}

impl<B: Purpose> Statement<B> {
    /// Signs a body.
    ///
    /// # Errors
    /// A body without a text, a key that cannot be used.
    pub fn new(body: B, signer: &dyn Signer) -> Result<Self, StatementError> {
        let key = |e: NetError| StatementError::Key { purpose: B::PURPOSE, problem: e.to_string() };
        let Signed { certificate, signature } = signer.sign(B::PURPOSE, text(&body)?.as_bytes()).map_err(key)?;
        Ok(Statement { body, certificate, signature })
    }
    /// The body, if the organisation with this root signed it.
    ///
    /// # Errors
    /// It did not.
    pub fn verify(&self, organisation: &str, pinned: &str) -> Result<&B, StatementError> {
        let signed = Signed { certificate: self.certificate.clone(), signature: self.signature.clone() };
        match signed.by(pinned, B::PURPOSE, text(&self.body)?.as_bytes()) {
            true => Ok(&self.body),
            false => Err(StatementError::Signature {
                purpose: B::PURPOSE,
                organisation: organisation.into(),
                pinned: pinned.into(),
            }),
        }
    }
}

mod base64_bytes {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}
