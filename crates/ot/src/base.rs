//! Base transfers: two messages, both keys of a transfer random, of which the receiver has the one that it chose. Spec 2.

use crate::OtError;
use curve25519_dalek::RistrettoPoint;
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE as BASE;
use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::scalar::Scalar;
use privity_prim::{PrimError, Secret, fresh_secret};
use subtle::ConditionallySelectable;
use zeroize::Zeroizing;

/// Bytes of the receiver's message for each transfer, and of the sender's.
pub const RECEIVER_BYTES: usize = 64;
/// See [`RECEIVER_BYTES`].
pub const SENDER_BYTES: usize = 32;

/// The receiver between its message and the sender's: choices and exponents. `Debug` is not there.
pub struct Receiver {
    session: [u8; 32],
    choices: Zeroizing<Vec<bool>>,
    exponents: Zeroizing<Vec<Scalar>>,
    sent: Vec<u8>,
}

fn randomness(_: PrimError) -> OtError {
    OtError::Randomness
}

/// Uniform bytes of the operating system, 64 of them.
fn uniform() -> Result<Zeroizing<[u8; 64]>, OtError> {
    let (one, other) = (fresh_secret().map_err(randomness)?, fresh_secret().map_err(randomness)?);
    let mut bytes = Zeroizing::new([0; 64]);
    bytes[..32].copy_from_slice(one.expose());
    bytes[32..].copy_from_slice(other.expose());
    Ok(bytes)
}

fn scalar() -> Result<Scalar, OtError> {
    Ok(Scalar::from_bytes_mod_order_wide(&*uniform()?))
}

/// Spec 2.2: a point that depends on one of a transfer's two points and on which of them it is.
fn hash_to_point(session: &[u8; 32], index: usize, which: usize, point: &[u8]) -> RistrettoPoint {
    let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 endemic OT, point");
    hasher.update(session).update(&(index as u64).to_le_bytes()).update(&[which as u8]).update(point);
    let mut wide = [0; 64];
    hasher.finalize_xof().fill(&mut wide);
    RistrettoPoint::from_uniform_bytes(&wide)
}

/// Spec 2.4: the key of one side of a transfer.
fn key(session: &[u8; 32], index: usize, which: usize, transcript: [&[u8]; 2], shared: &RistrettoPoint) -> Secret {
    let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 endemic OT, key");
    hasher.update(session).update(&(index as u64).to_le_bytes()).update(&[which as u8]);
    transcript.iter().for_each(|part| {
        hasher.update(part);
    });
    hasher.update(shared.compress().as_bytes());
    Secret::new(*hasher.finalize().as_bytes())
}

impl Receiver {
    /// Chooses; [`Receiver::message`] goes to the sender. Time does not depend on the choices.
    ///
    /// # Errors
    /// No randomness.
    pub fn new(session: [u8; 32], choices: Vec<bool>) -> Result<Self, OtError> {
        let mut exponents = Zeroizing::new(Vec::with_capacity(choices.len()));
        let mut sent = Vec::with_capacity(RECEIVER_BYTES * choices.len());
        for (index, choice) in choices.iter().enumerate() {
            // Spec 2.1: the other point is random; the chosen one makes up for its hash.
            let exponent = scalar()?;
            let other = RistrettoPoint::from_uniform_bytes(&*uniform()?).compress();
            let masks = [0, 1].map(|which| hash_to_point(&session, index, which, other.as_bytes()));
            // The hash is that of the other point, at the place of the chosen one: both are computed, one is picked.
            let mask = RistrettoPoint::conditional_select(&masks[0], &masks[1], u8::from(*choice).into());
            let chosen = (&exponent * BASE - mask).compress();
            // The chosen point comes second if the choice is 1.
            let swapped = u8::from(*choice).into();
            for (first, second) in [(&chosen, &other), (&other, &chosen)] {
                let byte = |i: usize| u8::conditional_select(&first.as_bytes()[i], &second.as_bytes()[i], swapped);
                sent.extend_from_slice(&std::array::from_fn::<u8, 32, _>(byte));
            }
            exponents.push(exponent);
        }
        Ok(Receiver { session, choices: Zeroizing::new(choices), exponents, sent })
    }
    /// What the sender is sent: two points for each transfer.
    pub fn message(&self) -> &[u8] {
        &self.sent
    }
    /// The chosen key of each transfer.
    ///
    /// # Errors
    /// The sender's message is none.
    pub fn keys(self, message: &[u8]) -> Result<Vec<Secret>, OtError> {
        let points = points(message, self.choices.len(), 1)?;
        let one = |(index, (point, choice)): (usize, (&RistrettoPoint, &bool))| {
            let shared = point * self.exponents[index];
            let received = &self.sent[RECEIVER_BYTES * index..][..RECEIVER_BYTES];
            let sent = &message[SENDER_BYTES * index..][..SENDER_BYTES];
            key(&self.session, index, usize::from(*choice), [received, sent], &shared)
        };
        Ok(points.iter().zip(self.choices.iter()).enumerate().map(one).collect())
    }
}

/// Reads points, so many for each transfer.
fn points(message: &[u8], transfers: usize, each: usize) -> Result<Vec<RistrettoPoint>, OtError> {
    if message.len() != 32 * each * transfers {
        return Err(OtError::Length { expected: transfers, got: message.len() });
    }
    let read = |(i, bytes): (usize, &[u8])| {
        let point = CompressedRistretto::from_slice(bytes).ok().and_then(|point| point.decompress());
        point.ok_or(OtError::Point { index: i / each })
    };
    message.chunks_exact(32).enumerate().map(read).collect()
}

/// Spec 2.3: the sender's side. Both keys of each transfer, and the message for the receiver.
///
/// # Errors
/// The receiver's message is none; no randomness.
pub fn send(session: [u8; 32], transfers: usize, message: &[u8]) -> Result<(Vec<[Secret; 2]>, Vec<u8>), OtError> {
    let points = points(message, transfers, 2)?;
    let (mut keys, mut sent) = (Vec::with_capacity(transfers), Vec::with_capacity(SENDER_BYTES * transfers));
    for (index, pair) in points.chunks_exact(2).enumerate() {
        let exponent = Zeroizing::new(scalar()?);
        let own = (&*exponent * BASE).compress();
        let received = &message[RECEIVER_BYTES * index..][..RECEIVER_BYTES];
        let side = |which: usize| {
            let other = &received[32 * (1 - which)..][..32];
            let shared = (pair[which] + hash_to_point(&session, index, which, other)) * *exponent;
            key(&session, index, which, [received, own.as_bytes()], &shared)
        };
        keys.push([side(0), side(1)]);
        sent.extend_from_slice(own.as_bytes());
    }
    Ok((keys, sent))
}
