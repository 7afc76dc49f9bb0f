//! Many transfers from 128 base transfers: both keys of each random, one of them the receiver's by its choice; secure against parties
//! that deviate. Spec 3.

use crate::OtError;
use crate::base;
use crate::transpose::transpose;
use privity_prim::{GateHash, Prg, Secret, Tag, fresh_secret};
use zeroize::Zeroizing;

/// Base transfers, and bits of a row.
const ROW: usize = 128;

type Block = u128;

/// The extension's sender: holds the difference of all rows. `Debug` is not there.
pub struct Sender {
    session: [u8; 32],
    difference: Zeroizing<Block>,
    columns: Vec<Prg>,
    /// Blocks drawn from each column, and transfers made.
    drawn: u64,
    made: u64,
}

/// The sender before the receiver's answer.
pub struct SenderSetup {
    session: [u8; 32],
    difference: Zeroizing<Block>,
    base: base::Receiver,
}

/// The extension's receiver. `Debug` is not there.
pub struct Receiver {
    session: [u8; 32],
    columns: Vec<[Prg; 2]>,
    drawn: u64,
    made: u64,
}

fn half(secret: &Secret) -> [u8; 16] {
    secret.expose()[..16].try_into().expect("sixteen bytes")
}

impl SenderSetup {
    /// Chooses the difference; [`SenderSetup::message`] goes to the receiver. Spec 3.1.
    ///
    /// # Errors
    /// No randomness.
    pub fn new(session: [u8; 32]) -> Result<Self, OtError> {
        let fresh = fresh_secret().map_err(|_| OtError::Randomness)?;
        let difference = Zeroizing::new(Block::from_le_bytes(half(&fresh)));
        let choices = (0..ROW).map(|j| *difference >> j & 1 == 1).collect();
        Ok(SenderSetup { session, base: base::Receiver::new(session, choices)?, difference })
    }
    /// What the receiver is sent.
    pub fn message(&self) -> &[u8] {
        self.base.message()
    }
    /// The sender, given what the receiver answered.
    ///
    /// # Errors
    /// The answer is none.
    pub fn finish(self, answer: &[u8]) -> Result<Sender, OtError> {
        let columns = self.base.keys(answer)?.iter().map(|key| Prg::new(half(key))).collect();
        Ok(Sender { session: self.session, difference: self.difference, columns, drawn: 0, made: 0 })
    }
}

/// Bytes of the receiver's answer to the setup.
pub const SETUP_BYTES: usize = base::SENDER_BYTES * ROW;
/// Bytes of the sender's message of the setup.
pub const START_BYTES: usize = base::RECEIVER_BYTES * ROW;

/// Bytes of the receiver's message for so many transfers.
pub fn message_bytes(transfers: usize) -> usize {
    16 * ROW * blocks(transfers) + 16 * (ROW + 1)
}

/// Blocks of a column: transfers, and one of random choices for the check.
fn blocks(transfers: usize) -> usize {
    transfers.div_ceil(ROW) + 1
}

fn draw(column: &Prg, from: u64, blocks: usize) -> Zeroizing<Vec<Block>> {
    let mut words = Zeroizing::new(vec![0u64; 2 * blocks]);
    column.fill(0, from, &mut words);
    Zeroizing::new(words.chunks_exact(2).map(|w| Block::from(w[0]) | Block::from(w[1]) << 64).collect())
}

/// Spec 3.3: a linear universal hash of columns of so many blocks: POLYVAL of all but the last, and the last, which hides it.
struct Digest {
    challenge: [u8; 16],
    /// The tag of zeros: tags are linear but for their length.
    constant: Block,
}

impl Digest {
    fn new(challenge: [u8; 16], blocks: usize) -> Self {
        let empty = Digest { challenge, constant: 0 };
        let constant = empty.of(&vec![0; blocks]);
        Digest { challenge, constant }
    }
    fn of(&self, column: &[Block]) -> Block {
        let (last, others) = column.split_last().expect("a column has the block of the check");
        let mut tag = Tag::new(self.challenge);
        tag.absorb(bytemuck::cast_slice(others));
        Block::from_le_bytes(tag.finish()) ^ self.constant ^ last
    }
}

/// Spec 3.3: the challenge, from all that was sent.
fn challenge(session: &[u8; 32], drawn: u64, corrections: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 OT extension, challenge");
    hasher.update(session).update(&drawn.to_le_bytes()).update(corrections);
    let mut point = [0; 16];
    point.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    // Zero would let everything pass.
    point[0] |= u8::from(point == [0; 16]);
    point
}

/// Spec 3.4: the hash that takes the correlation away, its keys those of the session.
fn breaker(session: &[u8; 32]) -> GateHash {
    let digest = blake3::derive_key("privity 2026-11 OT extension, hash", session);
    GateHash::new(Block::from_le_bytes(digest[..16].try_into().expect("sixteen bytes")))
}

impl Receiver {
    /// The receiver, given the sender's message; and the answer. Spec 3.1.
    ///
    /// # Errors
    /// The message is none; no randomness.
    pub fn new(session: [u8; 32], message: &[u8]) -> Result<(Self, Vec<u8>), OtError> {
        let (keys, answer) = base::send(session, ROW, message)?;
        let columns = keys.iter().map(|pair| [Prg::new(half(&pair[0])), Prg::new(half(&pair[1]))]).collect();
        Ok((Receiver { session, columns, drawn: 0, made: 0 }, answer))
    }

    /// Transfers with these choices: the message for the sender and the chosen key of each. Time depends on the number only.
    ///
    /// # Errors
    /// No randomness.
    pub fn extend(&mut self, choices: &[bool]) -> Result<(Vec<u8>, Zeroizing<Vec<Block>>), OtError> {
        let chosen = choice_blocks(choices)?;
        let (corrections, columns) = self.correct(&chosen);
        Ok(self.prove(choices.len(), &chosen, corrections, &columns))
    }

    /// The same with packed choices, 64 transfers for each word.
    ///
    /// # Errors
    /// No randomness.
    pub fn extend_words(&mut self, choices: &[u64]) -> Result<(Vec<u8>, Zeroizing<Vec<Block>>), OtError> {
        let mut chosen = Zeroizing::new(vec![0; blocks(64 * choices.len())]);
        for (block, words) in chosen.iter_mut().zip(choices.chunks(2)) {
            *block = Block::from(words[0]) | Block::from(*words.get(1).unwrap_or(&0)) << 64;
        }
        fill_up(&mut chosen, 64 * choices.len())?;
        let (corrections, columns) = self.correct(&chosen);
        Ok(self.prove(64 * choices.len(), &chosen, corrections, &columns))
    }

    /// Spec 3.2: `t_j = G(k_j0)`, `u_j = t_j + G(k_j1) + r`.
    fn correct(&self, chosen: &[Block]) -> (Vec<u8>, Vec<Zeroizing<Vec<Block>>>) {
        let mut corrections = Vec::with_capacity(16 * ROW * chosen.len() + 16 * (ROW + 1));
        let mut columns = Vec::with_capacity(ROW);
        for [zero, one] in &self.columns {
            let (own, other) = (draw(zero, self.drawn, chosen.len()), draw(one, self.drawn, chosen.len()));
            let all = own.iter().zip(other.iter().zip(chosen)).map(|(t, (o, r))| t ^ o ^ r);
            all.for_each(|u| corrections.extend_from_slice(&u.to_le_bytes()));
            columns.push(own);
        }
        (corrections, columns)
    }

    /// Spec 3.3 and 3.4: digests of choices and columns go with the corrections; rows give the keys.
    fn prove(
        &mut self,
        transfers: usize,
        chosen: &[Block],
        corrections: Vec<u8>,
        columns: &[Zeroizing<Vec<Block>>],
    ) -> (Vec<u8>, Zeroizing<Vec<Block>>) {
        let digest = Digest::new(challenge(&self.session, self.drawn, &corrections), chosen.len());
        let mut message = corrections;
        message.extend_from_slice(&digest.of(chosen).to_le_bytes());
        columns.iter().for_each(|column| message.extend_from_slice(&digest.of(column).to_le_bytes()));
        let rows = transpose(columns, transfers);
        let mut keys = Zeroizing::new(vec![0; transfers]);
        breaker(&self.session).hash(self.made, &rows, &mut keys);
        self.drawn += chosen.len() as u64;
        self.made += transfers as u64;
        (message, keys)
    }
}

/// Choices as a column, filled up.
fn choice_blocks(choices: &[bool]) -> Result<Zeroizing<Vec<Block>>, OtError> {
    let mut chosen = Zeroizing::new(vec![0; blocks(choices.len())]);
    for (i, choice) in choices.iter().enumerate() {
        chosen[i / ROW] |= Block::from(*choice) << (i % ROW);
    }
    fill_up(&mut chosen, choices.len())?;
    Ok(chosen)
}

/// What fills up the last block of choices, and the block of the check, is random.
fn fill_up(chosen: &mut [Block], choices: usize) -> Result<(), OtError> {
    let random = || fresh_secret().map(|secret| Block::from_le_bytes(half(&secret))).map_err(|_| OtError::Randomness);
    if !choices.is_multiple_of(ROW) {
        chosen[choices / ROW] |= random()? << (choices % ROW);
    }
    *chosen.last_mut().expect("a block for the check") = random()?;
    Ok(())
}

impl Sender {
    /// Both keys of each of so many transfers. After an error the sender is of no more use: whoever deviated may know bits of its difference.
    ///
    /// # Errors
    /// [`OtError::Cheating`] if the receiver's columns do not belong to one vector of choices; a message of another length.
    pub fn extend(mut self, transfers: usize, message: &[u8]) -> Result<(Self, Zeroizing<Vec<[Block; 2]>>), OtError> {
        let blocks = blocks(transfers);
        if message.len() != message_bytes(transfers) {
            return Err(OtError::Length { expected: transfers, got: message.len() });
        }
        let (corrections, digests) = message.split_at(16 * ROW * blocks);
        let digest = Digest::new(challenge(&self.session, self.drawn, corrections), blocks);
        let block = |bytes: &[u8]| Block::from_le_bytes(bytes.try_into().expect("sixteen bytes"));
        let (chosen, digests) = digests.split_at(16);
        let chosen = block(chosen);
        // Spec 3.2: q_j = G(k_j,D_j) + D_j u_j = t_j + D_j r. Spec 3.3: and so for the digests.
        let (mut columns, mut wrong) = (Vec::with_capacity(ROW), 0);
        for (j, column) in self.columns.iter().enumerate() {
            let bit = (*self.difference >> j & 1).wrapping_neg();
            let mut q = draw(column, self.drawn, blocks);
            let sent = corrections[16 * blocks * j..][..16 * blocks].chunks_exact(16);
            q.iter_mut().zip(sent).for_each(|(q, u)| *q ^= block(u) & bit);
            wrong |= digest.of(&q) ^ block(&digests[16 * j..][..16]) ^ chosen & bit;
            columns.push(q);
        }
        if wrong != 0 {
            return Err(OtError::Cheating);
        }
        // Spec 3.4.
        let rows = transpose(&columns, transfers);
        let (mut zeros, mut ones) = (Zeroizing::new(vec![0; transfers]), Zeroizing::new(vec![0; transfers]));
        breaker(&self.session).hash_both(self.made, &rows, *self.difference, &mut zeros, &mut ones);
        self.drawn += blocks as u64;
        self.made += transfers as u64;
        let keys = zeros.iter().zip(ones.iter()).map(|(zero, one)| [*zero, *one]).collect();
        Ok((self, Zeroizing::new(keys)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> (Sender, Receiver) {
        let setup = SenderSetup::new([7; 32]).expect("randomness");
        let (receiver, answer) = Receiver::new([7; 32], setup.message()).expect("points");
        (setup.finish(&answer).expect("points"), receiver)
    }

    /// A receiver that chooses otherwise in some columns, and computes everything else as if it had not, passes if the difference has no bit
    /// in any of them: it may guess a few bits of it, at the price of being stopped when it guesses wrong, and never gets keys that do not fit.
    #[test]
    fn other_choices_in_a_column_pass_by_guessing_its_bit_only() {
        let (mut passed, mut stopped) = (0, 0);
        for trial in 0..60 {
            let (sender, mut receiver) = both();
            let altered: Vec<usize> = (0..1 + trial % 3).map(|i| (trial * 29 + i * 50) % ROW).collect();
            let guessed = altered.iter().all(|j| *sender.difference >> j & 1 == 0);
            let choices = vec![trial % 2 == 0; 200];
            let chosen = choice_blocks(&choices).expect("randomness");
            let (mut corrections, columns) = receiver.correct(&chosen);
            altered.iter().for_each(|j| corrections[16 * chosen.len() * j + 3] ^= 0x20);
            let (message, keys) = receiver.prove(200, &chosen, corrections, &columns);
            match sender.extend(200, &message) {
                Ok((_, pairs)) => {
                    assert!(guessed, "columns {altered:?}");
                    assert!(keys.iter().zip(pairs.iter()).all(|(key, pair)| *key == pair[usize::from(choices[0])]));
                    passed += 1;
                }
                Err(OtError::Cheating) => {
                    assert!(!guessed, "columns {altered:?}");
                    stopped += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!(passed > 5 && stopped > 20, "{passed} passed, {stopped} stopped");
        // Half of the columns: never.
        let (sender, mut receiver) = both();
        let chosen = choice_blocks(&[true; 100]).expect("randomness");
        let (mut corrections, columns) = receiver.correct(&chosen);
        (0..64).for_each(|j| corrections[16 * chosen.len() * 2 * j] ^= 1);
        let (message, _) = receiver.prove(100, &chosen, corrections, &columns);
        assert!(matches!(sender.extend(100, &message), Err(OtError::Cheating)));
    }
}
