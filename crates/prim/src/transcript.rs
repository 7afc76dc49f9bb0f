//! Digests of what was said, in order.

/// A running BLAKE3 digest of labelled byte strings. Labels and strings are preceded by their lengths, so two transcripts
/// have one digest only if they are the same sequence of pairs (or BLAKE3 is broken).
///
/// Absorb public values only: a digest of a secret of little entropy gives it away.
#[derive(Clone, Debug)]
pub struct Transcript(blake3::Hasher);

impl Transcript {
    /// An empty transcript for one purpose; transcripts of two purposes never agree.
    pub fn new(purpose: &str) -> Self {
        let mut transcript = Transcript(blake3::Hasher::new_derive_key("privity 2026-11 transcript"));
        transcript.absorb("purpose", purpose.as_bytes());
        transcript
    }

    /// Appends a labelled string.
    pub fn absorb(&mut self, label: &str, bytes: &[u8]) {
        for part in [label.as_bytes(), bytes] {
            self.0.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
    }

    /// The digest so far; absorbing may go on after it.
    pub fn digest(&self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(purpose: &str, parts: &[(&str, &str)]) -> [u8; 32] {
        let mut transcript = Transcript::new(purpose);
        parts.iter().for_each(|(label, bytes)| transcript.absorb(label, bytes.as_bytes()));
        transcript.digest()
    }

    #[test]
    fn same_sequence_same_digest_and_no_other() {
        let digests = [
            digest("p", &[("a", "bc"), ("d", "")]),
            digest("p", &[("ab", "c"), ("d", "")]),
            digest("p", &[("a", "bcd"), ("", "")]),
            digest("p", &[("d", ""), ("a", "bc")]),
            digest("p", &[("a", "bc")]),
            digest("p", &[]),
            digest("q", &[("a", "bc"), ("d", "")]),
        ];
        for (i, d) in digests.iter().enumerate() {
            assert!(digests[..i].iter().all(|other| d != other), "digest {i} equals an earlier one");
        }
        assert_eq!(digests[0], digest("p", &[("a", "bc"), ("d", "")]));
    }

    #[test]
    fn a_digest_does_not_end_the_transcript() {
        let mut transcript = Transcript::new("p");
        let before = transcript.digest();
        transcript.absorb("a", b"b");
        assert_ne!(before, transcript.digest());
        assert_eq!(transcript.digest(), digest("p", &[("a", "b")]));
    }
}
