//! Two parties without a dealer, either of them curious: additive shares over Z_2^64 and XOR shares of bits, products by oblivious transfer.
//! Spec: docs/protocols/gmw.md.
//!
//! `x = x0 + x1`, a bit is `b0 XOR b1`; party `i` holds `xi` and `bi`. What an operation needs is transferred within it, both ways at once.

mod arithmetic;
mod boolean;
mod convert;
pub mod cost;
mod inject;
mod input;

use crate::lanes::{self, Laned};
use crate::ops::fourier::Series;
use crate::party::{Draw, Holders, Party};
use crate::share::Planes;
use crate::{Config, Error, Garbled, Inject, Origin, Product, Protocol, Radix, Raw, Recipients, Result, TruncMode};
use cost::{FRAME, Size};
use privity_circuit::Comparator;
use privity_ot::OtError;
use privity_ot::extension::{Receiver, SETUP_BYTES, START_BYTES, Sender, SenderSetup, message_bytes};
use privity_ot::products::{Pair, WORD};
use privity_ring::{Shape, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Tiles of answers are numbered from here, above those of choices.
const ANSWERS: usize = 1 << 20;
/// The stream that the identifiers of the transfers are drawn from.
const IDENTIFIER: u8 = 1;

/// One party's side of the protocol.
pub struct Gmw {
    party: Party,
    config: Config,
    /// None after an error.
    sender: Option<Sender>,
    receiver: Receiver,
    comparators: BTreeMap<usize, Arc<Comparator>>,
    lanes: Vec<Gmw>,
}

impl From<OtError> for Error {
    fn from(error: OtError) -> Self {
        match error {
            OtError::Randomness => Error::Randomness,
            OtError::Cheating | OtError::Point { .. } | OtError::Length { .. } => {
                Error::Cheating { check: "the check of oblivious transfers" }
            }
        }
    }
}

/// A part of an operation that is done by one transfer of choices and one of answers.
trait Unit {
    /// What it sends.
    fn size(&self) -> Size;
    /// Appends this party's choices, of as many words as declared.
    fn choose(&self, choices: &mut Vec<u64>);
    /// As sender: both keys of each of the peer's choices. The answer is zero before.
    fn answer(&mut self, pairs: &[Pair], answer: &mut [u64]);
    /// As receiver: the keys of this party's choices, and the peer's answer.
    fn finish(&mut self, keys: &[u128], answer: &[u64]);
}

/// Takes the first `n` off a slice.
fn take<'a, T>(rest: &mut &'a [T], n: usize) -> &'a [T] {
    rest.split_off(..n).expect("sizes are declared")
}

impl Gmw {
    /// A protocol instance over an established session of two parties. Sets the transfers up, both ways: Spec 2.1.
    ///
    /// # Errors
    /// [`Error::Parameter`] for other than two parties and for formats that no argument covers; the network; no randomness.
    pub fn new(mut party: Party, config: Config) -> Result<Gmw> {
        crate::masked::check_config(&config)?;
        if party.n() != 2 {
            let problem = format!("needs exactly two parties, got {}", party.n());
            return Err(Error::Parameter { operation: "gmw", problem });
        }
        party.enter("transfers set up");
        let (sender, receiver) = set_up(&mut party)?;
        party.leave();
        Ok(Gmw { party, config, sender: Some(sender), receiver, comparators: BTreeMap::new(), lanes: Vec::new() })
    }
    /// The session: statistics, control messages.
    pub fn party(&mut self) -> &mut Party {
        &mut self.party
    }
    /// Gives this instance lanes: more sessions of the same parties, as many at each.
    ///
    /// # Errors
    /// As [`Gmw::new`].
    pub fn with_lanes(mut self, sessions: Vec<Party>) -> Result<Gmw> {
        let config = self.config;
        self.lanes = sessions.into_iter().map(|party| Gmw::new(party, config)).collect::<Result<_>>()?;
        Ok(self)
    }
    /// Ends the protocol and gives the sessions back, lanes last.
    pub fn into_parties(self) -> Vec<Party> {
        let lanes = self.lanes.into_iter().map(|lane| lane.party);
        std::iter::once(self.party).chain(lanes).collect()
    }

    fn me(&self) -> usize {
        self.party.me()
    }
    fn peer(&self) -> usize {
        1 - self.party.me()
    }
    /// The comparator of so many bits; each is laid out once.
    fn comparator(&mut self, bits: usize) -> Arc<Comparator> {
        self.comparators.entry(bits).or_insert_with(|| Arc::new(Radix::Two.comparator(bits))).clone()
    }
    /// Draws a stream that both parties know.
    fn mask(&self, step: u64, label: u8, tile: usize, out: &mut [u64]) {
        self.party.mask(BOTH, Draw { step, label, tile }, out);
    }

    /// Spec 2.2: all units side by side: choices of both parties, then answers.
    fn exchange(&mut self, units: &mut [impl Unit]) -> Result<()> {
        let (me, peer, step) = (self.me(), self.peer(), self.party.next_step());
        let sizes: Vec<Size> = units.iter().map(Unit::size).collect();
        let total = Size::total(&sizes);
        let mut choices = Zeroizing::new(Vec::with_capacity(total.choices[me]));
        units.iter().for_each(|unit| unit.choose(&mut choices));
        debug_assert_eq!(choices.len(), total.choices[me], "units choose what they declare");
        let mut keys = Zeroizing::new(Vec::new());
        if !choices.is_empty() {
            let (message, chosen) = self.receiver.extend_words(&choices)?;
            self.post(step, 0, &message)?;
            keys = chosen;
        }
        if total.choices[peer] > 0 {
            let mut message = vec![0; message_bytes(WORD * total.choices[peer])];
            self.await_peer(step, 0, &mut message)?;
            let sender = self.sender.take().ok_or(OtError::Cheating)?;
            let (sender, pairs) = sender.extend(WORD * total.choices[peer], &message)?;
            self.sender = Some(sender);
            let mut answers = vec![0u64; total.answers[me]];
            let (mut pairs, mut rest) = (&pairs[..], &mut answers[..]);
            for (unit, size) in units.iter_mut().zip(&sizes) {
                let answer = rest.split_off_mut(..size.answers[me]).expect("sizes are declared");
                unit.answer(take(&mut pairs, WORD * size.choices[peer]), answer);
            }
            self.post(step, ANSWERS, bytemuck::cast_slice(&answers))?;
        }
        if !keys.is_empty() {
            let mut answers = vec![0u64; total.answers[peer]];
            self.await_peer(step, ANSWERS, bytemuck::cast_slice_mut(&mut answers))?;
            let (mut keys, mut rest) = (&keys[..], &answers[..]);
            for (unit, size) in units.iter_mut().zip(&sizes) {
                unit.finish(take(&mut keys, WORD * size.choices[me]), take(&mut rest, size.answers[peer]));
            }
        }
        Ok(())
    }
    fn post(&mut self, step: u64, first: usize, bytes: &[u8]) -> Result<()> {
        let mut parts = bytes.chunks(FRAME).enumerate();
        let peer = self.peer();
        parts.try_for_each(|(i, part)| self.party.send_bytes(peer, step, first + i, part))
    }
    fn await_peer(&mut self, step: u64, first: usize, bytes: &mut [u8]) -> Result<()> {
        let mut parts = bytes.chunks_mut(FRAME).enumerate();
        let peer = self.peer();
        parts.try_for_each(|(i, part)| self.party.recv_bytes(peer, step, first + i, part))
    }
}

const BOTH: Holders = Holders::of(&[0, 1]);

/// Spec 2.1: each party is the sender of one extension and the receiver of another.
fn set_up(party: &mut Party) -> Result<(Sender, Receiver)> {
    let (me, peer, step) = (party.me(), 1 - party.me(), party.next_step());
    let mut words = [0; 4];
    party.mask(BOTH, Draw { step, label: IDENTIFIER, tile: 0 }, &mut words);
    let session = *party.session();
    let identifier = |sender: usize| {
        let parts: [&[u8]; 3] = [&session, bytemuck::cast_slice(&words), &[sender as u8]];
        blake3::derive_key("privity 2026-11 gmw, transfers", &parts.concat())
    };
    let setup = SenderSetup::new(identifier(me))?;
    party.send_bytes(peer, step, 0, setup.message())?;
    let mut message = vec![0; START_BYTES];
    party.recv_bytes(peer, step, 0, &mut message)?;
    let (receiver, answer) = Receiver::new(identifier(peer), &message)?;
    party.send_bytes(peer, step, 1, &answer)?;
    let mut answer = vec![0; SETUP_BYTES];
    party.recv_bytes(peer, step, 1, &mut answer)?;
    Ok((setup.finish(&answer)?, receiver))
}

impl Laned for Gmw {
    fn session(&mut self) -> &mut Party {
        &mut self.party
    }
    fn others(&mut self) -> &mut Vec<Self> {
        &mut self.lanes
    }
}

impl Protocol for Gmw {
    type R = u64;
    type A = Tensor<u64>;
    type B = Planes;

    fn config(&self) -> &Config {
        &self.config
    }
    fn owners(&self) -> std::ops::Range<usize> {
        0..2
    }
    fn me(&self) -> usize {
        self.party.me()
    }
    fn scope<T>(&mut self, operation: &'static str, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.party.enter(operation);
        let result = f(self);
        self.party.leave();
        result
    }
    fn in_lanes<T: Send, O: Send>(
        &mut self,
        items: Vec<T>,
        f: impl Fn(&mut Self, T) -> Result<O> + Sync,
    ) -> Result<Vec<O>> {
        lanes::run(self, items, f)
    }
    fn input(&mut self, owner: usize, shape: &Shape, x: Option<&Tensor<u64>>) -> Result<Tensor<u64>> {
        self.scope("input", |p| input::input(p, owner, shape, x))
    }
    fn public(&mut self, x: &Tensor<u64>) -> Tensor<u64> {
        if self.party.me() == 0 { x.clone() } else { Tensor::zeros(x.shape()) }
    }
    fn products(&mut self, jobs: &[Product<'_, Tensor<u64>>]) -> Result<Vec<Raw<Tensor<u64>>>> {
        let raw = self.scope("product", |p| arithmetic::products(p, jobs))?;
        self.rounded(raw)
    }
    fn rescale(&mut self, jobs: &[(&Tensor<u64>, u32)]) -> Result<Vec<Raw<Tensor<u64>>>> {
        let raw = jobs.iter().map(|(x, shift)| arithmetic::truncate(self, (*x).clone(), *shift)).collect();
        self.rounded(raw)
    }
    fn signs(
        &mut self,
        xs: &[&Tensor<u64>],
        width: u32,
        lifts: Vec<Raw<Tensor<u64>>>,
    ) -> Result<(Vec<Planes>, Vec<Tensor<u64>>)> {
        self.scope("comparison", |p| boolean::signs(p, xs, width, lifts))
    }
    fn a2b(&mut self, x: &Tensor<u64>, width: u32) -> Result<Planes> {
        self.scope("bits of", |p| convert::a2b(p, x, width))
    }
    fn and(&mut self, jobs: &[(&Planes, &Planes)]) -> Result<Vec<Planes>> {
        self.scope("and", |p| boolean::and(p, jobs))
    }
    fn not(&mut self, x: &Planes) -> Planes {
        if self.party.me() == 0 { x.map(|w| !w) } else { x.clone() }
    }
    fn arm(&mut self, xs: &[&Planes]) -> Result<Vec<Planes>> {
        Ok(xs.iter().map(|x| (*x).clone()).collect())
    }
    fn inject(&mut self, jobs: &[Inject<'_, Tensor<u64>, Planes>]) -> Result<Vec<Tensor<u64>>> {
        self.scope("select", |p| inject::inject(p, jobs))
    }
    fn refresh(&mut self, xs: &[&Tensor<u64>], origin: Origin) -> Result<Vec<Tensor<u64>>> {
        if origin != Origin::Same {
            let problem = "shares of other parties; they go on under rep3 or rep4".into();
            return Err(Error::Parameter { operation: "refresh", problem });
        }
        self.scope("refresh", |p| input::refresh(p, xs))
    }
    fn open(&mut self, x: &Tensor<u64>, to: Recipients) -> Result<Option<Tensor<u64>>> {
        self.party.not_in_a_lane("open")?;
        self.scope("open", |p| input::open(p, x, to))
    }
    fn harmonics(&mut self, _: &Tensor<u64>, _: &Series) -> Result<Raw<Tensor<u64>>> {
        Err(cost::no_harmonics())
    }
    /// The first party garbles, the other evaluates. Spec 14. Bytes: [`Garbled::cost`] for each 64 elements, in two messages in sequence.
    fn garbled(
        &mut self,
        what: &Garbled,
        numbers: &[&Tensor<u64>],
        words: &[&Planes],
    ) -> Result<(Vec<Tensor<u64>>, Vec<Planes>)> {
        self.scope("garbled", |p| convert::garbled(p, what, numbers, words))
    }
}

impl Gmw {
    fn rounded(&mut self, raw: Vec<arithmetic::Truncated>) -> Result<Vec<Raw<Tensor<u64>>>> {
        match self.config.mode {
            TruncMode::Fast => Ok(raw.into_iter().map(arithmetic::Truncated::into_raw).collect()),
            TruncMode::Exact => self.scope("exact rounding", |p| arithmetic::round_exactly(p, raw)),
        }
    }
}
