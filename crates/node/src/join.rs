//! Invitations: a code that names the inviter and a secret, and six words that people compare.
//!
//! The code holds half of a digest of the inviter's root, or all of it where the inviter only dials out, as nobody is found behind a relay by less, and a
//! secret of 80 bits, and goes by a channel that people trust. By the digest the joiner knows the inviter's
//! node; by a proof that it knows the secret the inviter knows the joiner. The words tell if somebody else had the code: they are of both roots and of a
//! number of each side, the joiner's committed to before it sees the inviter's, so that nobody in between can try roots until the words agree
//! (short authentication strings, Vaudenay, CRYPTO 2005).

use crate::NodeError;
use crate::message::Knock;
use privity_api::hex;

/// What a code says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Where the inviter's node is reached.
    pub address: String,
    /// Number of the invitation, and what proves that it was received: both drawn from this.
    pub secret: String,
    /// The first 80 bits of a digest of the inviter's root; the root's fingerprint if the inviter is reached through a relay.
    pub root: String,
}

/// What is said when a joiner has waited long enough.
pub const LATE: &str = "nobody at the inviter has confirmed the words in time; if they are confirmed later, run this again with the same code";

/// Bytes of the secret.
pub const SECRET: usize = 10;
const ROOT: usize = 10;
const WHOLE: usize = 32;

impl Code {
    /// The code of an inviter's root, for a secret in hexadecimal.
    pub fn new(address: &str, secret: &str, root: &str) -> Code {
        let relayed = !privity_net::relay::relays(address).is_empty();
        let root = if relayed { root.to_owned() } else { root_digest(root) };
        Code { address: address.into(), secret: secret.into(), root }
    }
    /// As people send it: `address/` and groups of digits.
    pub fn write(&self) -> String {
        let digits = format!("{}{}", self.secret, self.root);
        let groups: Vec<&str> =
            (0..digits.len()).step_by(8).filter_map(|at| digits.get(at..digits.len().min(at + 8))).collect();
        format!("{}/{}", self.address, groups.join("-"))
    }
    /// Reads what [`Code::write`] wrote, blanks aside.
    ///
    /// # Errors
    /// It is not a code.
    pub fn parse(text: &str) -> Result<Code, NodeError> {
        let wrong = || {
            NodeError::State("this is no code of an invitation; copy it whole, as `privity invite` printed it".into())
        };
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (address, digits) = text.rsplit_once('/').ok_or_else(wrong)?;
        let digits: String = digits.chars().filter(|c| *c != '-').collect::<String>().to_lowercase();
        let root = if privity_net::relay::relays(address).is_empty() { ROOT } else { WHOLE };
        let fine = digits.len() == 2 * (SECRET + root) && digits.chars().all(|c| c.is_ascii_hexdigit());
        if !fine || !address.contains(':') {
            return Err(wrong());
        }
        let (secret, root) = digits.split_at(2 * SECRET);
        Ok(Code { address: address.into(), secret: secret.into(), root: root.into() })
    }
    /// Whether this is the inviter's root.
    pub fn is_of(&self, root: &str) -> bool {
        self.whole_root().map_or_else(|| self.root == root_digest(root), |whole| whole == root)
    }
    /// The inviter's root, if the code has all of it.
    pub fn whole_root(&self) -> Option<&str> {
        (self.root.len() == 2 * WHOLE).then_some(self.root.as_str())
    }
    /// Number of the invitation: it may be told, the secret does not follow from it.
    pub fn id(&self) -> String {
        id(&self.secret)
    }
}

/// Number of the invitation with this secret.
pub fn id(secret: &str) -> String {
    hex(&blake3::derive_key("privity 2026-11 number of an invitation", secret.as_bytes())[..8])
}

fn root_digest(root: &str) -> String {
    hex(&blake3::derive_key("privity 2026-11 root in an invitation", root.as_bytes())[..ROOT])
}

/// What a joiner commits to.
pub fn commitment(nonce: &str) -> String {
    hex(&blake3::derive_key("privity 2026-11 commitment of a joiner", nonce.as_bytes()))
}

/// What shows that whoever has this root knows the secret.
pub fn proof(secret: &str, joiner: &str, inviter: &str, knock: &Knock) -> String {
    let key = blake3::derive_key("privity 2026-11 proof of a joiner", secret.as_bytes());
    let mut hasher = blake3::Hasher::new_keyed(&key);
    let helper = if knock.helper { "helper" } else { "owner" };
    for part in
        [joiner, inviter, &knock.id, &knock.organisation, &knock.operator, &knock.address, helper, &knock.commitment]
    {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hex(hasher.finalize().as_bytes())
}

/// The six words that both sides see if nobody is between them.
pub fn words(inviter: &str, joiner: &str, inviters_nonce: &str, joiners_nonce: &str) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 words of an invitation");
    for part in [inviter, joiner, inviters_nonce, joiners_nonce] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    privity_api::member::words(hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_people_copy_them() {
        let code = Code::new("a.example:7443", "00112233445566778899", "ff00");
        let text = code.write();
        assert_eq!(Code::parse(&text).expect("a code"), code);
        assert_eq!(
            Code::parse(&format!(" {} \n", text.to_uppercase().replace("A.EXAMPLE", "a.example"))).expect("a code"),
            code
        );
        assert!(code.is_of("ff00") && !code.is_of("ff01"));
        for wrong in [
            "",
            "a.example:7443",
            "a.example:7443/0011",
            "a.example/00112233445566778899ffffffffffffffffffff",
            &text[..text.len() - 1],
        ] {
            assert!(Code::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_code_of_who_only_dials_out_has_its_whole_root() {
        let root = "0a".repeat(32);
        let code = Code::new("relay:a.example:7443,b.example:1", "00112233445566778899", &root);
        assert_eq!(Code::parse(&code.write()).expect("a code"), code);
        assert!(code.whole_root() == Some(&root) && code.is_of(&root) && !code.is_of(&"0b".repeat(32)));
        let short = Code::new("a.example:7443", "00112233445566778899", &root);
        assert!(short.whole_root().is_none() && short.is_of(&root) && !short.is_of(&short.root));
        let digits = short.write().rsplit_once('/').expect("digits").1.to_owned();
        assert!(Code::parse(&format!("relay:a.example:7443/{digits}")).is_err());
    }

    #[test]
    fn a_proof_is_of_everything_that_is_said() {
        let knock = Knock {
            id: "1".into(),
            organisation: "b".into(),
            operator: "b".into(),
            address: "b:1".into(),
            helper: false,
            commitment: "c".into(),
            proof: String::new(),
        };
        let right = proof("s", "joiner", "inviter", &knock);
        let changed = [
            Knock { organisation: "x".into(), ..knock.clone() },
            Knock { address: "x".into(), ..knock.clone() },
            Knock { helper: true, ..knock.clone() },
            Knock { commitment: "x".into(), ..knock.clone() },
        ];
        assert!(changed.iter().all(|knock| proof("s", "joiner", "inviter", knock) != right));
        assert!(
            [("t", "joiner", "inviter"), ("s", "x", "inviter"), ("s", "joiner", "x")]
                .iter()
                .all(|(s, j, i)| proof(s, j, i, &knock) != right)
        );
        assert_ne!(words("a", "b", "c", "d"), words("a", "x", "c", "d"));
    }
}
