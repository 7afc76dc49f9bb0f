//! Declared messages of every operation. Operations are cut into parts by the functions of this file, in the protocol as in its price list,
//! so both send alike. Tests hold measured traffic against it, to the byte and to the round.

use super::convert::INSTANCES;
use crate::cost::{Arrival, Clock, Costs, ProductCost, TermCost};
use crate::masked::{lane_words, tiles};
use crate::share::plane_words;
use crate::{Error, Garbled, Origin, Radix, Recipients, Result};
use privity_circuit::{Comparator, Level};
use privity_ot::extension::{SETUP_BYTES, START_BYTES, message_bytes};
use privity_ot::products::{PRODUCT_WORDS, WORD, comparison_words};
use privity_ring::Bilinear;
use std::ops::Range;

/// Bytes of a frame at most.
pub(super) const FRAME: usize = 1 << 20;
/// Words that the transfer of a word of choices sends.
const CHOICE_WORDS: usize = 2 * WORD;
/// Bytes that take a party about as long, to send or to receive, as one side of a transfer takes it: for predicted time alone.
const TRANSFER: usize = 64;
/// Words in flight of one exchange, about: what is larger is done in several, one after the other.
const EXCHANGE: usize = 1 << 20;
/// The same of a part.
const PART: usize = 1 << 18;
/// Columns of a matrix product in a part.
const COLUMNS: usize = 1 << 11;

/// What a part of an operation sends: words of choices of each party, and words that each answers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub choices: [usize; 2],
    pub answers: [usize; 2],
}

/// A part of a product: elements that are chosen by, each times so many columns.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    pub elements: Range<usize>,
    pub columns: Range<usize>,
}

impl Size {
    /// Spec 4.2.
    pub(super) fn product(cut: &Cut) -> Size {
        let elements = cut.elements.len();
        Size { choices: [elements; 2], answers: [PRODUCT_WORDS * cut.columns.len() * elements; 2] }
    }
    /// Spec 6: so many words of choices, each for several bits.
    pub(super) fn bits(words: usize, planes: usize) -> Size {
        Size { choices: [words; 2], answers: [planes * words; 2] }
    }
    /// Spec 7.3.
    pub(super) fn leaf(chooser: usize, bits: usize, equal: bool, words: usize) -> Size {
        let mut size = Size::default();
        size.choices[chooser] = bits * words;
        size.answers[1 - chooser] = comparison_words(bits, equal) * words;
        size
    }
    /// Spec 5.2.
    pub(super) fn lift(len: usize, shift: u32) -> Size {
        Size { choices: [plane_words(len), 0], answers: [0, lane_words(len, shift)] }
    }
    /// Spec 9.1: `alone` has the factor, or both have shares of it.
    pub(super) fn term(len: usize, alone: Option<usize>) -> Size {
        let mut size = Size { choices: [plane_words(len); 2], answers: [len; 2] };
        if let Some(party) = alone {
            size.choices[party] = 0;
            size.answers[1 - party] = 0;
        }
        size
    }
    pub(super) fn total(sizes: &[Size]) -> Size {
        let sum = |of: fn(&Size) -> [usize; 2]| [0, 1].map(|party| sizes.iter().map(|size| of(size)[party]).sum());
        Size { choices: sum(|size| size.choices), answers: sum(|size| size.answers) }
    }
    /// Words of the heavier party.
    fn weight(&self) -> usize {
        let of = |party: usize| CHOICE_WORDS * self.choices[party] + self.answers[party];
        of(0).max(of(1))
    }
}

/// Parts that go in one exchange: one or more, while they weigh little enough together.
pub(super) fn groups(sizes: impl Iterator<Item = Size>) -> Vec<Range<usize>> {
    let (mut all, mut start, mut weight, mut end) = (Vec::new(), 0, 0, 0);
    for (i, size) in sizes.enumerate() {
        if i > start && weight + size.weight() > EXCHANGE {
            all.push(start..i);
            (start, weight) = (i, 0);
        }
        weight += size.weight();
        end = i + 1;
    }
    if end > start {
        all.push(start..end);
    }
    all
}

/// The parts of a product of so many elements times vectors of so many words.
pub(crate) fn cuts(elements: usize, width: usize) -> impl Iterator<Item = Cut> {
    let columns = (0..width).step_by(COLUMNS).map(move |from| from..width.min(from + COLUMNS));
    columns.flat_map(move |columns| {
        let each = (PART / (CHOICE_WORDS + PRODUCT_WORDS * columns.len())).max(1);
        let starts = (0..elements).step_by(each);
        starts.map(move |from| Cut { elements: from..elements.min(from + each), columns: columns.clone() })
    })
}

/// Pieces of words of each job: the job and which words.
pub(super) fn pieces(sizes: impl Iterator<Item = usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
    const EACH: usize = PART / CHOICE_WORDS;
    sizes
        .enumerate()
        .flat_map(|(job, words)| (0..words).step_by(EACH).map(move |from| (job, from..words.min(from + EACH))))
}

/// Products of a level that have a factor in common.
#[derive(Clone, Debug)]
pub(super) struct Joined {
    pub factor: usize,
    /// The other factor, and the node made.
    pub values: Vec<(usize, usize)>,
}

/// The products of a level of a comparator of fan-in two.
pub(super) fn joins(level: &Level) -> Vec<Joined> {
    let mut all: Vec<Joined> = Vec::new();
    for gate in &level.gates {
        let [value, factor] = gate.products[0][..] else { unreachable!("gates of fan-in two have two factors") };
        match all.last_mut() {
            Some(last) if last.factor == factor => last.values.push((value, gate.out)),
            _ => all.push(Joined { factor, values: vec![(value, gate.out)] }),
        }
    }
    all
}

pub(super) fn no_harmonics() -> Error {
    let problem = "gmw has no sine series; choose the piecewise sigmoid".into();
    Error::Parameter { operation: "harmonics", problem }
}

/// The price list of gmw.
#[derive(Clone, Copy, Debug, Default)]
pub struct GmwCosts;

fn post(clock: &mut Clock, from: usize, bytes: usize) -> Vec<Arrival> {
    let parts = (0..bytes).step_by(FRAME).map(|at| FRAME.min(bytes - at));
    parts.map(|part| clock.send(from, 1 - from, part as u64)).collect()
}

fn receive(clock: &mut Clock, arrivals: impl IntoIterator<Item = Arrival>) {
    arrivals.into_iter().for_each(|arrival| clock.recv(arrival));
}

/// Spec 2.2.
fn exchange(clock: &mut Clock, sizes: impl Iterator<Item = Size> + Clone) {
    let sizes: Vec<Size> = sizes.collect();
    for group in groups(sizes.iter().copied()) {
        let total = Size::total(&sizes[group]);
        let transfers = (total.choices[0] + total.choices[1]) * WORD;
        [0, 1].into_iter().for_each(|party| clock.work_on_bytes(party, (TRANSFER * transfers) as u64));
        let message = |words: usize| if words > 0 { message_bytes(WORD * words) } else { 0 };
        for bytes in [total.choices.map(message), total.answers.map(|words| 8 * words)] {
            let posted: Vec<Arrival> = [0, 1].into_iter().flat_map(|from| post(clock, from, bytes[from])).collect();
            receive(clock, posted);
        }
    }
}

impl GmwCosts {
    /// Comparisons of operands `(len, bits)` with lifts riding along.
    fn compare(&self, clock: &mut Clock, operands: &[(usize, usize)], lifts: &[(usize, u32)]) {
        let circuits: Vec<Comparator> = operands.iter().map(|(_, bits)| Radix::Two.comparator(*bits)).collect();
        let mut first = Vec::new();
        for ((len, _), circuit) in operands.iter().zip(&circuits) {
            for (number, block) in circuit.blocks.iter().enumerate() {
                let all = pieces([plane_words(*len)].into_iter());
                first.extend(all.map(|(_, w)| Size::leaf(number % 2, block.bits, block.propagate.is_some(), w.len())));
            }
        }
        for (len, shift) in lifts {
            first.extend(element_pieces(*len).map(|elements| Size::lift(elements, *shift)));
        }
        exchange(clock, first.into_iter());
        let deepest = circuits.iter().map(|c| c.levels.len()).max().unwrap_or(0);
        for depth in 0..deepest {
            let mut level = Vec::new();
            for ((len, _), circuit) in operands.iter().zip(&circuits) {
                for join in circuit.levels.get(depth).map(joins).unwrap_or_default() {
                    let all = pieces([plane_words(*len)].into_iter());
                    level.extend(all.map(|(_, words)| Size::bits(words.len(), join.values.len())));
                }
            }
            exchange(clock, level.into_iter());
        }
    }
}

/// Elements of each piece of a value's bits.
fn element_pieces(len: usize) -> impl Iterator<Item = usize> {
    let all = pieces([plane_words(len)].into_iter());
    all.map(move |(_, words)| len.min(words.end * WORD) - words.start * WORD)
}

impl Costs for GmwCosts {
    fn parties(&self) -> usize {
        2
    }

    fn set_up(&self, clock: &mut Clock) {
        for bytes in [START_BYTES, SETUP_BYTES] {
            let posted = [0, 1].map(|from| clock.send(from, 1 - from, bytes as u64));
            receive(clock, posted);
        }
    }

    fn input(&self, _: &mut Clock, _: usize, _: usize) {
        // Drawn by both.
    }

    fn products(&self, clock: &mut Clock, jobs: &[ProductCost]) {
        let mut all = Vec::new();
        for job in jobs {
            [0, 1].into_iter().for_each(|party| clock.work(party, job.macs));
            let (elements, width) = match (job.op, job.len) {
                (Bilinear::Mul, len) => (len, 1),
                (Bilinear::MatMul, 0) => (0, 0),
                (Bilinear::MatMul, len) => {
                    let (inner, columns) = (job.macs as usize / len, len / job.rows);
                    (inner * job.rows.min(columns), job.rows.max(columns))
                }
            };
            all.extend(cuts(elements, width).map(|cut| Size::product(&cut)));
        }
        exchange(clock, all.into_iter());
    }

    fn rescale(&self, _: &mut Clock, _: &[(usize, u32)]) {
        // Each shifts its share.
    }

    fn refresh(&self, _: &mut Clock, _: &[usize], _: Origin) {
        // Drawn by both.
    }

    fn round_exactly(&self, clock: &mut Clock, jobs: &[(usize, u32)]) {
        let shifted: Vec<(usize, u32)> = jobs.iter().copied().filter(|(_, shift)| *shift > 0).collect();
        let operands: Vec<(usize, usize)> = shifted.iter().map(|(len, shift)| (*len, *shift as usize)).collect();
        self.compare(clock, &operands, &shifted);
        let one = TermCost { armed: false, secret: false, lift: None };
        let injections: Vec<(usize, Vec<TermCost>)> = shifted.iter().map(|(len, _)| (*len, vec![one])).collect();
        self.inject(clock, &injections);
    }

    fn signs(&self, clock: &mut Clock, lens: &[usize], width: u32, lifts: &[(usize, u32)]) {
        let operands: Vec<(usize, usize)> = lens.iter().map(|len| (*len, width as usize - 1)).collect();
        self.compare(clock, &operands, lifts);
    }

    fn a2b(&self, clock: &mut Clock, len: usize, width: u32) {
        let width = width as usize;
        self.and(clock, &[(len, width)]);
        let mut distance = 1;
        while distance < width {
            self.and(clock, &[(len, width), (len, width)]);
            distance *= 2;
        }
    }

    fn and(&self, clock: &mut Clock, jobs: &[(usize, usize)]) {
        let all = pieces(jobs.iter().map(|(len, width)| width * plane_words(*len)));
        let sizes: Vec<Size> = all.map(|(_, words)| Size::bits(words.len(), 1)).collect();
        exchange(clock, sizes.into_iter());
    }

    fn arm(&self, _: &mut Clock, _: &[usize]) {
        // Nothing to prepare.
    }

    fn inject(&self, clock: &mut Clock, jobs: &[(usize, Vec<TermCost>)]) {
        let lifts = jobs.iter().flat_map(|(len, terms)| terms.iter().filter_map(|t| Some((*len, t.lift?))));
        self.compare(clock, &[], &lifts.collect::<Vec<_>>());
        let mut all = Vec::new();
        for (len, terms) in jobs {
            for (k, term) in terms.iter().enumerate() {
                let alone = (!term.secret).then_some(k % 2);
                all.extend(element_pieces(*len).map(|elements| Size::term(elements, alone)));
            }
        }
        exchange(clock, all.into_iter());
    }

    fn settle(&self, _: &mut Clock) {
        // Passive: nothing is owed.
    }

    fn open(&self, clock: &mut Clock, len: usize, to: Recipients) {
        let mut posted = Vec::new();
        for recipient in [0, 1].into_iter().filter(|party| to.contains(*party)) {
            posted.extend(tiles(len).map(|(_, range)| clock.send(1 - recipient, recipient, 8 * range.len() as u64)));
        }
        receive(clock, posted);
    }

    fn harmonics(&self, _: &mut Clock, _: usize, _: usize) -> Result<()> {
        Err(no_harmonics())
    }

    /// Spec 14.4.
    fn garbled(&self, clock: &mut Clock, what: &Garbled, len: usize) -> Result<()> {
        let [tables, choices] = what.cost();
        for _ in 0..len.div_ceil(INSTANCES) {
            // For predicted time alone: gates take either party about as long as masks of their tables do.
            let work = tables + (TRANSFER * WORD * what.operand_bits()) as u64;
            let posted = post(clock, 1, choices as usize);
            receive(clock, posted);
            [0, 1].into_iter().for_each(|party| clock.work_on_bytes(party, work));
            let posted = post(clock, 0, tables as usize);
            receive(clock, posted);
        }
        Ok(())
    }
}
