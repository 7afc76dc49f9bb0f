//! Symmetric primitives.
use aes::cipher::{BlockCipherEncrypt, KeyInit};
/// AES-CTR.
pub struct Prg(aes::Aes128);
impl Prg {
    /// From a key.
    pub fn new(key: [u8; 16]) -> Self {
        Prg(aes::Aes128::new(&key.into()))
    }
    /// Fill.
    pub fn fill(&self, hi: u64, lo: u64, out: &mut [u64]) {
        for (i, chunk) in out.chunks_mut(2).enumerate() {
            let mut block = [0u8; 16];
            block[..8].copy_from_slice(&hi.to_le_bytes());
            block[8..].copy_from_slice(&lo.wrapping_add(i as u64).to_le_bytes());
            let mut b = block.into();
            self.0.encrypt_block(&mut b);
            for (j, w) in chunk.iter_mut().enumerate() {
                *w = u64::from_le_bytes(b[8 * j..8 * j + 8].try_into().unwrap());
            }
        }
    }
}
/// Secret bytes.
pub struct Secret([u8; 32]);
impl Secret {
    /// New.
    pub fn new(x: [u8; 32]) -> Self {
        Secret(x)
    }
    /// Bytes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}
/// Fresh.
pub fn fresh_secret() -> Result<Secret, getrandom::Error> {
    let mut x = [0; 32];
    getrandom::fill(&mut x)?;
    Ok(Secret(x))
}
/// Context.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// s
    pub session: [u8; 32],
    /// j
    pub job: [u8; 32],
    /// e
    pub epoch: u32,
    /// a
    pub attempt: u32,
    /// l
    pub lane: u32,
}
/// Derive.
pub fn derive(c: &[[u8; 32]], x: &Context, label: &str) -> [u8; 16] {
    let mut h = blake3::Hasher::new_derive_key("privity mask key 1");
    for c in c {
        h.update(c);
    }
    h.update(&x.session).update(&x.job).update(label.as_bytes());
    h.finalize().as_bytes()[..16].try_into().unwrap()
}
