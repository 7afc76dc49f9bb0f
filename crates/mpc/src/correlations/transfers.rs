//! No dealer: every two parties transfer what is correlated between them.

use super::Group;
use super::source::{BitTriples, DaBits, Divisors, EdaBits, Factors, Source, Triple};
use super::{Ands, Extent, Levels, Number, Packed, Session, Wires, spread, sum, tensor, to_numbers};
use crate::gmw::cost::{Cut, cuts};
use crate::party::{Draw, Holders, Party};
use crate::share::{Planes, plane_words};
use crate::{Error, Result};
use privity_ot::OtError;
use privity_ot::extension::{Receiver, SETUP_BYTES, START_BYTES, Sender, SenderSetup, message_bytes};
use privity_ot::products::{Pair, WORD, receive_bits, send_bits};
use privity_prim::{Prg, fresh_secret};
use privity_ring::kernels::bits::to_planes;
use privity_ring::{Bilinear, Shape, Tensor};
use std::ops::Range;
use zeroize::Zeroizing;

/// Tiles of answers are numbered from here, above those of choices.
const ANSWERS: usize = 1 << 20;
/// The stream that the identifiers of the transfers are drawn from.
const IDENTIFIER: u8 = 1;
/// Words of choices of bit triples in an exchange: 8 MiB to each peer.
const BIT_TRIPLES: usize = 1 << 13;
/// Bits that are made numbers in an exchange.
const DABITS: usize = 1 << 18;
/// Words in flight of an exchange of products with each peer, about.
const EXCHANGE: usize = 1 << 20;

/// The transfers with one peer: this party is the sender of an extension and the receiver of another.
struct Pairing {
    /// None after an error.
    sender: Option<Sender>,
    receiver: Receiver,
}

/// Spec 7: transfers between every two parties.
pub(crate) struct Transfers {
    /// By party; none with oneself.
    peers: Vec<Option<Pairing>>,
    /// What this party alone draws.
    own: Prg,
    drawn: u64,
}

/// Who chooses and who answers in an exchange.
#[derive(Clone, Copy)]
pub(crate) enum Who {
    /// Every party chooses and answers all others.
    All,
    /// One chooses, those before it answer.
    One(usize),
}

impl Who {
    /// Whether one party chooses of what another answers.
    pub fn transfers(self, chooser: usize, answerer: usize) -> bool {
        match self {
            Who::All => chooser != answerer,
            Who::One(party) => chooser == party && answerer < party,
        }
    }
}

/// What an exchange sends with each peer: words of choices and of answers.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub who: Who,
    pub choices: usize,
    pub answers: usize,
}

/// A product's parts that go in one exchange: which product, and which elements times which columns.
type Part = (usize, Cut);

/// Which operand is chosen by, how many words its elements are multiplied by, how many of them are added up, and how large the result is.
#[derive(Clone, Copy)]
struct Layout {
    op: Bilinear,
    /// Whether the operands change places, and the result is transposed.
    flipped: bool,
    elements: usize,
    width: usize,
    inner: usize,
    /// Elements of the result.
    len: usize,
}

impl Layout {
    /// Spec 7.3: the operand with fewer elements is chosen by.
    fn new((op, x, y): &Factors) -> Layout {
        match op {
            Bilinear::Mul => Layout { op: *op, flipped: false, elements: x.len(), width: 1, inner: 1, len: x.len() },
            Bilinear::MatMul => {
                let flipped = x.rows() > y.cols();
                let (few, many) = if flipped { (y.cols(), x.rows()) } else { (x.rows(), y.cols()) };
                let (elements, inner, len) = (few * x.cols(), x.cols(), few * many);
                Layout { op: *op, flipped, elements, width: many, inner, len }
            }
        }
    }
    /// Both operands in their order: the elements, the vectors.
    fn operands<R: Number>(&self, a: &Tensor<R>, b: &Tensor<R>) -> [Tensor<R>; 2] {
        if self.flipped { [b.transpose(), a.transpose()] } else { [a.clone(), b.clone()] }
    }
    /// Where the vector of an element and its place in the result begin.
    fn place(&self, element: usize) -> (usize, usize) {
        match self.op {
            Bilinear::Mul => (element, element),
            Bilinear::MatMul => (element % self.inner * self.width, element / self.inner * self.width),
        }
    }
}

/// The parts of products, as they go together in exchanges.
fn batches<R: Number>(jobs: &[Factors]) -> Vec<Vec<Part>> {
    let (mut all, mut batch, mut weight) = (Vec::new(), Vec::new(), 0);
    for (job, layout) in jobs.iter().map(Layout::new).enumerate() {
        for cut in cuts(layout.elements, layout.width) {
            let more = cut.elements.len() * (2 * WORD + R::PRODUCT_WORDS * cut.columns.len());
            if weight > 0 && weight + more > EXCHANGE {
                all.push(std::mem::take(&mut batch));
                weight = 0;
            }
            weight += more;
            batch.push((job, cut));
        }
    }
    if !batch.is_empty() {
        all.push(batch);
    }
    all
}

fn product_work<R: Number>(batch: &[Part]) -> Work {
    let answer = |(_, cut): &Part| R::PRODUCT_WORDS * cut.columns.len() * cut.elements.len();
    let choices = batch.iter().map(|(_, cut)| cut.elements.len()).sum();
    Work { who: Who::All, choices, answers: batch.iter().map(answer).sum() }
}

/// The exchanges of triples, of bit triples, of so many bits as numbers: what they cost.
pub(crate) mod works {
    use super::*;

    pub fn triples<R: Number>(jobs: &[Factors]) -> Vec<Work> {
        batches::<R>(jobs).iter().map(|batch| product_work::<R>(batch)).collect()
    }
    pub fn bit_triples(words: usize) -> impl Iterator<Item = Work> {
        parts(words, BIT_TRIPLES).map(|part| Work { who: Who::All, choices: part.len(), answers: part.len() })
    }
    pub fn dabits(online: Range<usize>, len: usize) -> impl Iterator<Item = Work> {
        parts(len, DABITS).flat_map(move |part| {
            let one = move |party| Work { who: Who::One(party), choices: part.len() / 64, answers: part.len() };
            online.clone().skip(1).map(one)
        })
    }
}

fn parts(len: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(most).map(move |from| from..len.min(from + most))
}

/// Spec 7.5: bits above a sum of `n` numbers, which count how often it went beyond their width.
pub(crate) fn carried(parties: usize) -> usize {
    (parties - 1).ilog2() as usize + 1
}

/// Spec 7.1: with every peer, each party is the sender of one extension and the receiver of another.
fn set_up(party: &mut Party) -> Result<Vec<Option<Pairing>>> {
    let (me, n, step) = (party.me(), party.n(), party.next_step());
    let session = *party.session();
    let peers: Vec<usize> = (0..n).filter(|peer| *peer != me).collect();
    let identifiers: Vec<[[u8; 32]; 2]> = peers
        .iter()
        .map(|peer| {
            let mut words = [0; 4];
            party.mask(Holders::of(&[me, *peer]), Draw { step, label: IDENTIFIER, tile: 0 }, &mut words);
            [me, *peer].map(|sender| {
                let pair = [me.min(*peer) as u8, me.max(*peer) as u8, sender as u8];
                let parts: [&[u8]; 3] = [&session, bytemuck::cast_slice(&words), &pair];
                blake3::derive_key("privity 2026-11 beaver, transfers", &parts.concat())
            })
        })
        .collect();
    let mut setups = Vec::with_capacity(peers.len());
    for (peer, [own, _]) in peers.iter().zip(&identifiers) {
        let setup = SenderSetup::new(*own)?;
        party.send_bytes(*peer, step, 0, setup.message())?;
        setups.push(setup);
    }
    let mut receivers = Vec::with_capacity(peers.len());
    for (peer, [_, other]) in peers.iter().zip(&identifiers) {
        let mut message = vec![0; START_BYTES];
        party.recv_bytes(*peer, step, 0, &mut message)?;
        receivers.push(Receiver::new(*other, &message)?);
    }
    for (peer, (_, answer)) in peers.iter().zip(&receivers) {
        party.send_bytes(*peer, step, 1, answer)?;
    }
    let mut all: Vec<Option<Pairing>> = (0..n).map(|_| None).collect();
    for ((peer, setup), (receiver, _)) in peers.into_iter().zip(setups).zip(receivers) {
        let mut answer = vec![0; SETUP_BYTES];
        party.recv_bytes(peer, step, 1, &mut answer)?;
        all[peer] = Some(Pairing { sender: Some(setup.finish(&answer)?), receiver });
    }
    Ok(all)
}

impl Transfers {
    /// Sets transfers up between every two parties of a session.
    pub fn new(party: &mut Party) -> Result<Transfers> {
        let fresh = fresh_secret().map_err(|_| Error::Randomness)?;
        let own = Prg::new(fresh.expose()[..16].try_into().expect("sixteen bytes"));
        party.enter("transfers set up");
        let peers = set_up(party)?;
        party.leave();
        Ok(Transfers { peers, own, drawn: 0 })
    }
    /// Words that this party alone draws.
    fn random(&mut self, len: usize) -> Vec<u64> {
        let mut words = vec![0; len];
        self.own.fill(0, self.drawn, &mut words);
        self.drawn += len.div_ceil(2) as u64;
        words
    }
    fn uniform<R: Number>(&mut self, len: usize) -> Vec<u64> {
        let mut words = self.random(len);
        R::uniform(&mut words, || self.random(1)[0]);
        words
    }
    fn pairing(&mut self, peer: usize) -> &mut Pairing {
        self.peers[peer].as_mut().expect("another party")
    }

    /// Spec 7.2: choices of all who choose, then answers to them. `answer` and `finish` are what is done with the keys of a peer's transfers.
    fn exchange(
        &mut self,
        session: &mut Session,
        work: Work,
        choices: &[u64],
        mut answer: impl FnMut(&[Pair], &mut [u64]),
        mut finish: impl FnMut(&[u128], &[u64]),
    ) -> Result<()> {
        let (me, step) = (session.party.me(), session.party.next_step());
        let peers: Vec<usize> = session.peers().collect();
        let chosen: Vec<usize> = peers.iter().copied().filter(|peer| work.who.transfers(me, *peer)).collect();
        let answered: Vec<usize> = peers.into_iter().filter(|peer| work.who.transfers(*peer, me)).collect();
        let mut keys = Vec::with_capacity(chosen.len());
        for peer in &chosen {
            debug_assert_eq!(choices.len(), work.choices, "as many choices as declared");
            let (message, own) = self.pairing(*peer).receiver.extend_words(choices)?;
            session.post(*peer, step, 0, &message)?;
            keys.push(own);
        }
        let mut messages = vec![vec![0; message_bytes(WORD * work.choices)]; answered.len()];
        for (peer, message) in answered.iter().zip(&mut messages) {
            session.receive(*peer, step, 0, message)?;
        }
        for (peer, message) in answered.iter().zip(messages) {
            let sender = self.pairing(*peer).sender.take().ok_or(OtError::Cheating)?;
            let (sender, pairs) = sender.extend(WORD * work.choices, &message)?;
            self.pairing(*peer).sender = Some(sender);
            let mut words = vec![0u64; work.answers];
            answer(&pairs, &mut words);
            session.post(*peer, step, ANSWERS, bytemuck::cast_slice(&words))?;
        }
        for (peer, keys) in chosen.iter().zip(&keys) {
            let mut words = vec![0u64; work.answers];
            session.receive(*peer, step, ANSWERS, bytemuck::cast_slice_mut(&mut words))?;
            finish(keys, &words);
        }
        Ok(())
    }

    /// Spec 7.4: random bits of all parties become numbers, one party's after the other: `b + c - 2 b c`, the product transferred.
    fn mixed<R: Number>(&mut self, session: &mut Session, bits: &[u64]) -> Result<Vec<u64>> {
        let (me, len) = (session.party.me(), 64 * bits.len());
        let own = spread(bits);
        let mut share = if session.leads() { own.clone() } else { vec![0; len] };
        for work in works::dabits(session.online(), len) {
            let Who::One(chooser) = work.who else { unreachable!("one party after the other chooses") };
            let (mut answered, mut chosen) = (vec![0; len], vec![0; len]);
            let answer = |pairs: &[Pair], words: &mut [u64]| R::send_words(pairs, &share, words, &mut answered);
            let finish = |keys: &[u128], words: &[u64]| R::receive_words(keys, bits, words, &mut chosen);
            self.exchange(session, work, bits, answer, finish)?;
            for product in [&answered, &chosen] {
                R::sub_assign(&mut share, product);
                R::sub_assign(&mut share, product);
            }
            if me == chooser {
                R::add_assign(&mut share, &own);
            }
        }
        Ok(share)
    }

    /// Spec 7.5: numbers below `2^width`, the sum of one of each party, and their bits from `from` on. With `whole`, what the sum carries beyond its
    /// width is counted and taken off the numbers; else they are right modulo `2^width`.
    fn summed<R: Number>(
        &mut self,
        session: &mut Session,
        len: usize,
        (width, from): (usize, usize),
        whole: bool,
    ) -> Result<EdaBits> {
        let n = session.online().len();
        let wide = width + if whole { carried(n) } else { 0 };
        let kept = u64::MAX >> (64 - width);
        let mut own: Vec<u64> = self.random(len).into_iter().map(|word| word & kept).collect();
        let mut planes = vec![0; wide * plane_words(len)];
        to_planes(&own, width, &mut planes[..width * plane_words(len)]);
        let mine = Planes::new(len, wide, planes);
        let me = session.party.me();
        let of = |party| if party == me { mine.clone() } else { Planes::zeros(len, wide) };
        let numbers: Vec<Planes> = session.online().map(of).collect();
        let words = sum_levels(n, len, wide, from).total();
        let triples = Source::<R>::bit_triples(self, session, words)?;
        let bits = sum(&mut Ands { session, triples }, numbers, from)?;
        R::received(&mut own);
        if whole {
            let above = bits.planes(width - from..wide - from);
            let numbers = to_numbers::<R>(session, self, above.words())?;
            for (i, plane) in numbers.chunks_exact(64 * plane_words(len)).enumerate() {
                let mut off = vec![0; len];
                R::add_scaled(&mut off, R::power_of_two(width + i), &plane[..len]);
                R::sub_assign(&mut own, &off);
            }
        }
        Ok(EdaBits { numbers: own, bits: bits.planes(0..width - from) })
    }
}

/// The ANDs of [`Transfers::summed`].
pub(crate) fn sum_levels(parties: usize, len: usize, wide: usize, from: usize) -> Levels {
    Levels::of(|levels| sum(levels, vec![Extent::new(len, wide); parties], from))
}

impl<R: Number> Source<R> for Transfers {
    fn triples(&mut self, session: &mut Session, jobs: &[Factors]) -> Result<Vec<Triple<R>>> {
        let layouts: Vec<Layout> = jobs.iter().map(Layout::new).collect();
        let mut triples = Vec::with_capacity(jobs.len());
        for (op, x, y) in jobs {
            let a: Tensor<R> = tensor(x, self.uniform::<R>(x.len()));
            let b: Tensor<R> = tensor(y, self.uniform::<R>(y.len()));
            let mut c = vec![0; op.out_shape(x, y).len()];
            R::add_product(*op, &a, &b, &mut c);
            triples.push(Triple { a, b, c });
        }
        let operands: Vec<[Tensor<R>; 2]> = triples.iter().zip(&layouts).map(|(t, l)| l.operands(&t.a, &t.b)).collect();
        let mut sums: Vec<Vec<u64>> = layouts.iter().map(|layout| vec![0; layout.len]).collect();
        for batch in batches::<R>(jobs) {
            let chosen = |(job, cut): &Part| &R::words(operands[*job][0].data())[cut.elements.clone()];
            let choices: Zeroizing<Vec<u64>> = Zeroizing::new(batch.iter().flat_map(chosen).copied().collect());
            let sums = std::cell::RefCell::new(&mut sums);
            // Of each element: its number among the choices, its words among the answers, its vector and its place in the result.
            let each = |f: &mut dyn FnMut(usize, Range<usize>, &[u64], &mut [u64])| {
                let mut sums = sums.borrow_mut();
                let (mut number, mut at) = (0, 0);
                for (job, cut) in &batch {
                    let (layout, words) = (&layouts[*job], R::PRODUCT_WORDS * cut.columns.len());
                    for element in cut.elements.clone() {
                        let (vector, place) = layout.place(element);
                        let vector = &R::words(operands[*job][1].data())[vector..][cut.columns.clone()];
                        f(number, at..at + words, vector, &mut sums[*job][place..][cut.columns.clone()]);
                        (number, at) = (number + 1, at + words);
                    }
                }
            };
            let answer = |pairs: &[Pair], answers: &mut [u64]| {
                each(&mut |i, at, vector, sum| {
                    R::send_product(&pairs[WORD * i..][..WORD], vector, &mut answers[at], sum);
                });
            };
            let finish = |keys: &[u128], answers: &[u64]| {
                each(&mut |i, at, _, sum| R::receive_product(&keys[WORD * i..][..WORD], choices[i], &answers[at], sum));
            };
            self.exchange(session, product_work::<R>(&batch), &choices, answer, finish)?;
        }
        for (((triple, layout), sum), (_, x, y)) in triples.iter_mut().zip(&layouts).zip(sums).zip(jobs) {
            let cross = match layout.flipped {
                true => tensor::<R>(&Shape::matrix(y.cols(), x.rows()), sum).transpose(),
                false => tensor::<R>(&Shape::vector(triple.c.len()), sum),
            };
            R::add_assign(&mut triple.c, R::words(cross.data()));
        }
        Ok(triples)
    }
    fn bit_triples(&mut self, session: &mut Session, words: usize) -> Result<BitTriples> {
        let (a, b) = (self.random(words), self.random(words));
        let mut c: Vec<u64> = a.iter().zip(&b).map(|(a, b)| a & b).collect();
        let mut from = 0;
        for work in works::bit_triples(words) {
            let part = from..from + work.choices;
            let (choices, values) = (&a[part.clone()], &b[part.clone()]);
            let (mut answered, mut chosen) = (vec![0; part.len()], vec![0; part.len()]);
            let answer = |pairs: &[Pair], words: &mut [u64]| send_bits(pairs, values, words, &mut answered);
            let finish = |keys: &[u128], words: &[u64]| receive_bits(keys, choices, words, &mut chosen);
            self.exchange(session, work, choices, answer, finish)?;
            Packed::add_assign(&mut c[part.clone()], &answered);
            Packed::add_assign(&mut c[part], &chosen);
            from += work.choices;
        }
        Ok(BitTriples { a, b, c })
    }
    fn dabits(&mut self, session: &mut Session, len: usize) -> Result<DaBits> {
        let bits = self.random(len / 64);
        let mut numbers = Vec::with_capacity(len);
        for part in bits.chunks(DABITS / 64) {
            numbers.extend(self.mixed::<R>(session, part)?);
        }
        Ok(DaBits { bits, numbers })
    }
    fn edabits(&mut self, session: &mut Session, len: usize, width: usize) -> Result<EdaBits> {
        self.summed::<R>(session, len, (width, 0), !R::BINARY)
    }
    fn divisors(&mut self, session: &mut Session, len: usize, shift: usize, exact: bool) -> Result<Divisors> {
        // Spec 7.6.
        let upper = R::BITS - shift;
        let low = self.summed::<R>(session, len, (shift, if exact { 0 } else { shift }), true)?;
        let high = self.summed::<R>(session, len, (upper, upper - 1), true)?;
        let mut top = to_numbers::<R>(session, self, high.bits.words())?;
        top.truncate(len);
        let mut r = low.numbers;
        R::add_scaled(&mut r, R::power_of_two(shift), &high.numbers);
        let bits = if exact { Planes::above(&[&low.bits, &high.bits]) } else { Planes::zeros(len, 0) };
        Ok(Divisors { r, high: high.numbers, top, bits })
    }
}
