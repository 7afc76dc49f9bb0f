//! Yao's protocol: two parties evaluate a circuit, the first input the garbler's, all others the evaluator's. Specification:
//! docs/protocols/yao.md. Passive garbler; an evaluator that deviates learns no more and passes off no wrong result.

#![forbid(unsafe_code)]

use privity_circuit::Circuit;
use privity_gc::{Garbler, Label, Schedule, TABLE_BYTES};
use privity_net::{AbortCause, Link, NetError, Tag};
use privity_ot::OtError;
use privity_ot::extension::{Receiver, SETUP_BYTES, START_BYTES, SenderSetup, message_bytes};
use privity_prim::PrimError;

/// The garbler's number on the link.
pub const GARBLER: usize = 0;
/// The evaluator's.
pub const EVALUATOR: usize = 1;

/// Why the protocol stopped.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum YaoError {
    /// The network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The transfer of the evaluator's labels.
    #[error(transparent)]
    Ot(#[from] OtError),
    /// No randomness.
    #[error("no randomness from the operating system; nothing was garbled")]
    Randomness,
    /// An input that does not fit.
    #[error("{given} bits are given, and this party's inputs have {wanted}")]
    Input {
        /// Bits given.
        given: usize,
        /// Bits of this party's inputs.
        wanted: usize,
    },
    /// A link of another number of parties.
    #[error("this protocol is for two parties, and the link has {parties}")]
    Parties {
        /// How many.
        parties: usize,
    },
    /// Output labels that stand for no value: the evaluator deviated, or one of the machines is faulty. Its result is not used.
    #[error(
        "output {output} came back under a label of no value: the evaluator deviated, or a machine is faulty; the result is not used"
    )]
    Cheating {
        /// The output bit, from 0.
        output: usize,
    },
}

impl YaoError {
    /// Whether a check failed, in the outputs or in the transfer; anything else is a fault of a network, a machine or a caller.
    pub fn is_cheating(&self) -> bool {
        matches!(self, YaoError::Cheating { .. } | YaoError::Ot(OtError::Cheating))
    }
}

impl From<PrimError> for YaoError {
    fn from(_: PrimError) -> Self {
        YaoError::Randomness
    }
}

/// What the protocol sends: payload bytes each way. Four messages in sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Garbler to evaluator.
    pub to_evaluator: u64,
    /// Evaluator to garbler.
    pub to_garbler: u64,
}

impl Cost {
    /// The cost of a circuit.
    pub fn of(circuit: &Circuit) -> Cost {
        let (garblers, evaluators) = widths(circuit);
        let head = 16 + 32 * evaluators + 16 * garblers;
        let bytes = START_BYTES + head + TABLE_BYTES * circuit.ands() + circuit.output_bits();
        let back = SETUP_BYTES + message_bytes(evaluators) + 16 * circuit.output_bits();
        Cost { to_evaluator: bytes as u64, to_garbler: back as u64 }
    }
}

/// Bits of the garbler's input and of the evaluator's.
fn widths(circuit: &Circuit) -> (usize, usize) {
    let garblers = circuit.inputs().first().copied().unwrap_or(0);
    (garblers, circuit.input_bits() - garblers)
}

/// A circuit and the order of its gates, made once for any number of runs.
pub struct Prepared {
    schedule: Schedule,
    garblers: usize,
    evaluators: usize,
}

impl Prepared {
    /// Prepares a circuit.
    pub fn new(circuit: &Circuit) -> Self {
        let (garblers, evaluators) = widths(circuit);
        Prepared { schedule: Schedule::new(circuit), garblers, evaluators }
    }
}

/// A link with one peer, its messages numbered.
struct Channel<'a> {
    link: &'a mut dyn Link,
    peer: usize,
    step: u64,
}

impl<'a> Channel<'a> {
    fn new(link: &'a mut dyn Link) -> Result<Self, YaoError> {
        match link.n() {
            2 => Ok(Channel { peer: 1 - link.me(), link, step: 0 }),
            parties => Err(YaoError::Parties { parties }),
        }
    }
    fn tag(&mut self) -> Tag {
        self.step += 1;
        Tag { epoch: 0, step: self.step, tile: 0 }
    }
    fn send(&mut self, bytes: &[u8]) -> Result<(), NetError> {
        let tag = self.tag();
        bytes
            .chunks(1 << 20)
            .zip(0..)
            .try_for_each(|(part, tile)| self.link.send(self.peer, Tag { tile, ..tag }, 0, part))
    }
    fn recv(&mut self, bytes: &mut [u8]) -> Result<(), NetError> {
        let tag = self.tag();
        let parts = bytes.chunks_mut(1 << 20).zip(0..);
        for (part, tile) in parts {
            self.link.recv(self.peer, Tag { tile, ..tag }, part)?;
        }
        Ok(())
    }
}

/// Runs one side and, if it fails by itself, tells the other.
fn told<T>(link: &mut dyn Link, run: impl FnOnce(&mut Channel<'_>) -> Result<T, YaoError>) -> Result<T, YaoError> {
    let result = Channel::new(link).and_then(|mut channel| run(&mut channel));
    if let Err(error) = &result
        && !matches!(error, YaoError::Net(_))
    {
        let about = link.me();
        link.abort(&AbortCause { about, reason: error.to_string() });
    }
    result
}

/// The garbler's side: its input in, all outputs out. `session` is that of the link: both sides give the same, and another one each time.
///
/// # Errors
/// [`YaoError`].
pub fn garble(
    link: &mut dyn Link,
    session: [u8; 32],
    circuit: &Prepared,
    input: &[bool],
) -> Result<Vec<bool>, YaoError> {
    let Prepared { schedule, garblers, evaluators } = circuit;
    let (garblers, evaluators) = (*garblers, *evaluators);
    told(link, |channel| {
        fits(input, garblers)?;
        // Spec 2.1: transfers of the evaluator's labels.
        let setup = SenderSetup::new(session)?;
        channel.send(setup.message())?;
        let mut choices = vec![0; SETUP_BYTES + message_bytes(evaluators)];
        channel.recv(&mut choices)?;
        let (answer, choices) = choices.split_at(SETUP_BYTES);
        let (_, keys) = setup.finish(answer)?.extend(evaluators, choices)?;
        let mut garbler = Garbler::new()?;
        // Spec 2.2: labels go before tables, which are made while they are sent.
        let start = garbler.start();
        let garbling = garbler.begin(schedule, 1);
        let mut head = start.to_le_bytes().to_vec();
        for (zero, pair) in garbling.inputs[garblers..].iter().zip(keys.iter()) {
            for (value, key) in [false, true].into_iter().zip(pair) {
                head.extend_from_slice(&(garbler.label(*zero, value) ^ key).to_le_bytes());
            }
        }
        for (zero, bit) in garbling.inputs.iter().zip(input) {
            head.extend_from_slice(&garbler.label(*zero, *bit).to_le_bytes());
        }
        channel.send(&head)?;
        let outputs = garbler.garble_from(schedule, garbling, |tables| channel.send(bytemuck::cast_slice(tables)))?;
        // Spec 2.3: colours of the outputs; then the evaluator's labels, each that of a value.
        let colours: Vec<u8> = outputs.iter().map(|zero| (zero & 1) as u8).collect();
        channel.send(&colours)?;
        let mut labels = vec![0; 16 * outputs.len()];
        channel.recv(&mut labels)?;
        let value = |(output, (zero, bytes)): (usize, (&Label, &[u8]))| {
            let label = Label::from_le_bytes(bytes.try_into().expect("sixteen bytes"));
            match [false, true].into_iter().find(|value| garbler.label(*zero, *value) == label) {
                Some(value) => Ok(value),
                None => Err(YaoError::Cheating { output }),
            }
        };
        outputs.iter().zip(labels.chunks_exact(16)).enumerate().map(value).collect()
    })
}

/// The evaluator's side: its inputs, one after the other, in; all outputs out. See [`garble`].
///
/// # Errors
/// [`YaoError`].
pub fn evaluate(
    link: &mut dyn Link,
    session: [u8; 32],
    circuit: &Prepared,
    inputs: &[bool],
) -> Result<Vec<bool>, YaoError> {
    let Prepared { schedule, garblers, evaluators } = circuit;
    let (garblers, evaluators) = (*garblers, *evaluators);
    told(link, |channel| {
        fits(inputs, evaluators)?;
        let mut setup = vec![0; START_BYTES];
        channel.recv(&mut setup)?;
        let (mut receiver, mut answer) = Receiver::new(session, &setup)?;
        let (choices, keys) = receiver.extend(inputs)?;
        answer.extend_from_slice(&choices);
        channel.send(&answer)?;
        let mut head = vec![0; 16 + 32 * evaluators + 16 * garblers];
        channel.recv(&mut head)?;
        let (start, rest) = head.split_at(16);
        let (masked, own) = rest.split_at(32 * evaluators);
        let label = |bytes: &[u8]| Label::from_le_bytes(bytes.try_into().expect("sixteen bytes"));
        let mut active: Vec<Label> = own.chunks_exact(16).map(label).collect();
        for ((pair, key), choice) in masked.chunks_exact(32).zip(keys.iter()).zip(inputs) {
            let (zero, one) = (label(&pair[..16]), label(&pair[16..]));
            active.push(zero ^ (zero ^ one) & Label::from(*choice).wrapping_neg() ^ key);
        }
        let labels = privity_gc::evaluate(schedule, label(start), 0, &active, 1, |tables| {
            channel.recv(bytemuck::cast_slice_mut(tables))
        })?;
        let mut colours = vec![0; labels.len()];
        channel.recv(&mut colours)?;
        let back: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        channel.send(&back)?;
        Ok(labels.iter().zip(&colours).map(|(label, colour)| (label & 1 == 1) ^ (colour & 1 == 1)).collect())
    })
}

fn fits(input: &[bool], wanted: usize) -> Result<(), YaoError> {
    match input.len() == wanted {
        true => Ok(()),
        false => Err(YaoError::Input { given: input.len(), wanted }),
    }
}
