//! Bit-packed XOR shares: AND, and the carry of a sum of two numbers of which each party has one. Spec 6 and 7.

use super::convert::{self, Lift};
use super::cost::{Joined, Size, groups, joins, pieces};
use super::{Gmw, Unit};
use crate::masked::{fold_linear, plane, xor_assign};
use crate::share::{Planes, plane_words};
use crate::{BitShare, Raw, Result};
use privity_circuit::Comparator;
use privity_ot::products::{Pair, receive_bits, receive_comparison, send_bits, send_comparison};
use privity_ring::{Tensor, simd::vectorise};
use std::ops::Range;
use std::sync::Arc;

/// Choices times several planes of bits.
struct Bits<'a> {
    choices: &'a [u64],
    /// Plane after plane.
    values: Vec<u64>,
    out: Vec<u64>,
}

impl<'a> Bits<'a> {
    fn new(choices: &'a [u64], values: &[&[u64]]) -> Self {
        let values = values.concat();
        Bits { choices, out: vec![0; values.len()], values }
    }
}

impl Unit for Bits<'_> {
    fn size(&self) -> Size {
        Size::bits(self.choices.len(), self.values.len() / self.choices.len())
    }
    fn choose(&self, choices: &mut Vec<u64>) {
        choices.extend_from_slice(self.choices);
    }
    fn answer(&mut self, pairs: &[Pair], answer: &mut [u64]) {
        send_bits(pairs, &self.values, answer, &mut self.out);
    }
    fn finish(&mut self, keys: &[u128], answer: &[u64]) {
        receive_bits(keys, self.choices, answer, &mut self.out);
    }
}

/// `z ^= x & y`
fn add_own(z: &mut [u64], x: &[u64], y: &[u64]) {
    vectorise(|| z.iter_mut().zip(x.iter().zip(y)).for_each(|(z, (x, y))| *z ^= x & y));
}

/// Spec 6: bitwise AND.
pub(super) fn and(p: &mut Gmw, jobs: &[(&Planes, &Planes)]) -> Result<Vec<Planes>> {
    let mut out: Vec<Planes> = Vec::with_capacity(jobs.len());
    for (x, y) in jobs {
        out.push(x.zip(y, |a, b| a & b));
    }
    let all: Vec<(usize, Range<usize>)> = pieces(jobs.iter().map(|(x, _)| x.words().len())).collect();
    for group in groups(all.iter().map(|(_, words)| Size::bits(words.len(), 1))) {
        let part = |(job, words): &(usize, Range<usize>)| {
            let (x, y) = jobs[*job];
            Bits::new(&x.words()[words.clone()], &[&y.words()[words.clone()]])
        };
        let mut units: Vec<Bits> = all[group.clone()].iter().map(part).collect();
        p.exchange(&mut units)?;
        for (unit, (job, words)) in units.iter().zip(&all[group]) {
            xor_assign(&mut out[*job].words_mut()[words.clone()], &unit.out);
        }
    }
    Ok(out)
}

/// What this party has of a comparison: the low bits of its share, and the bit above them if the result is the sum's.
pub(super) struct Operand {
    planes: Planes,
    bits: usize,
    sign: bool,
}

impl Operand {
    /// The carry alone.
    pub(super) fn low(planes: Planes, bits: usize) -> Self {
        Operand { planes, bits, sign: false }
    }
}

/// Spec 7.1: bit `w-1` of `x0 + x1` is that of both shares and the carry of the bits below.
pub(super) fn signs(
    p: &mut Gmw,
    xs: &[&Tensor<u64>],
    width: u32,
    lifts: Vec<Raw<Tensor<u64>>>,
) -> Result<(Vec<Planes>, Vec<Tensor<u64>>)> {
    assert!((2..=48).contains(&width), "comparisons read 2 to 48 bits, asked for {width}");
    let width = width as usize;
    let operand =
        |x: &&Tensor<u64>| Operand { planes: Planes::from_values(x.data(), width), bits: width - 1, sign: true };
    compare(p, xs.iter().map(operand).collect(), lifts)
}

/// Spec 7.3: a block of a comparison. Party `chooser` has the left number.
struct Leaf {
    operand: usize,
    block: usize,
    words: Range<usize>,
    chooser: usize,
    me: usize,
    bits: usize,
    /// The choices at the chooser, the right number at the other; plane after plane.
    own: Vec<u64>,
    less: Vec<u64>,
    equal: Vec<u64>,
}

impl Leaf {
    fn new(
        me: usize,
        (operand, o): (usize, &Operand),
        circuit: &Comparator,
        block: usize,
        words: Range<usize>,
    ) -> Self {
        let b = &circuit.blocks[block];
        // Spec 7.2: `[x0 + x1 >= 2^k] = [~x0 < x1] = [~x1 < x0]`, so that parties take turns.
        let chooser = block % 2;
        let flip = if me == chooser { u64::MAX } else { 0 };
        let planes = (b.first..b.first + b.bits).flat_map(|i| &o.planes.plane_words(i)[words.clone()]);
        let own = planes.map(|w| w ^ flip).collect();
        let equal = vec![0; if b.propagate.is_some() { words.len() } else { 0 }];
        let less = vec![0; words.len()];
        Leaf { operand, block, words, chooser, me, bits: b.bits, own, less, equal }
    }
}

impl Unit for Leaf {
    fn size(&self) -> Size {
        Size::leaf(self.chooser, self.bits, !self.equal.is_empty(), self.words.len())
    }
    fn choose(&self, choices: &mut Vec<u64>) {
        if self.me == self.chooser {
            choices.extend_from_slice(&self.own);
        }
    }
    fn answer(&mut self, pairs: &[Pair], answer: &mut [u64]) {
        if self.me != self.chooser {
            send_comparison(pairs, &self.own, self.bits, answer, &mut self.less, &mut self.equal);
        }
    }
    fn finish(&mut self, keys: &[u128], answer: &[u64]) {
        if self.me == self.chooser {
            receive_comparison(keys, &self.own, self.bits, answer, &mut self.less, &mut self.equal);
        }
    }
}

/// What goes with the first exchange of a comparison.
enum First<'a> {
    Leaf(Leaf),
    Lift(Lift<'a>),
}

impl Unit for First<'_> {
    fn size(&self) -> Size {
        match self {
            First::Leaf(leaf) => leaf.size(),
            First::Lift(lift) => lift.size(),
        }
    }
    fn choose(&self, choices: &mut Vec<u64>) {
        match self {
            First::Leaf(leaf) => leaf.choose(choices),
            First::Lift(lift) => lift.choose(choices),
        }
    }
    fn answer(&mut self, pairs: &[Pair], answer: &mut [u64]) {
        match self {
            First::Leaf(leaf) => leaf.answer(pairs, answer),
            First::Lift(lift) => lift.answer(pairs, answer),
        }
    }
    fn finish(&mut self, keys: &[u128], answer: &[u64]) {
        match self {
            First::Leaf(leaf) => leaf.finish(keys, answer),
            First::Lift(lift) => lift.finish(keys, answer),
        }
    }
}

/// Spec 7.2 to 7.4: carries of sums of the operands, lifts riding along.
pub(super) fn compare(
    p: &mut Gmw,
    operands: Vec<Operand>,
    mut lifts: Vec<Raw<Tensor<u64>>>,
) -> Result<(Vec<Planes>, Vec<Tensor<u64>>)> {
    let me = p.me();
    let circuits: Vec<Arc<Comparator>> = operands.iter().map(|o| p.comparator(o.bits)).collect();
    let extents = operands.iter().map(|o| plane_words(o.planes.len()));
    let mut nodes: Vec<Vec<u64>> = circuits.iter().zip(extents).map(|(c, n)| vec![0; c.nodes * n]).collect();
    let pending: Vec<Option<_>> = lifts.iter_mut().map(|raw| raw.pending.take()).collect();
    let mut values: Vec<Tensor<u64>> = lifts.into_iter().map(|raw| raw.value).collect();
    let mut first: Vec<First> = Vec::new();
    for (o, (operand, circuit)) in operands.iter().zip(&circuits).enumerate() {
        for block in 0..circuit.blocks.len() {
            let all = pieces([plane_words(operand.planes.len())].into_iter());
            first.extend(all.map(|(_, words)| First::Leaf(Leaf::new(me, (o, operand), circuit, block, words))));
        }
    }
    for (value, pending) in pending.iter().enumerate() {
        if let Some(pending) = pending {
            let len = values[value].len();
            let all = pieces([plane_words(len)].into_iter());
            first.extend(all.map(|(_, words)| First::Lift(Lift::new(me, value, pending, len, words))));
        }
    }
    for group in groups(first.iter().map(Unit::size)) {
        p.exchange(&mut first[group])?;
    }
    for unit in first {
        match unit {
            First::Lift(lift) => lift.merge(&mut values),
            First::Leaf(leaf) => {
                let (block, n) =
                    (&circuits[leaf.operand].blocks[leaf.block], plane_words(operands[leaf.operand].planes.len()));
                let mut place = |node: usize, from: &[u64]| {
                    nodes[leaf.operand][node * n..][leaf.words.clone()].copy_from_slice(from);
                };
                place(block.generate, &leaf.less);
                if let Some(propagate) = block.propagate {
                    place(propagate, &leaf.equal);
                }
            }
        }
    }
    join_levels(p, &circuits, &mut nodes)?;
    let finish = |((o, circuit), nodes): ((&Operand, &Arc<Comparator>), &Vec<u64>)| {
        let n = plane_words(o.planes.len());
        let mut bit = plane(nodes, circuit.result, n).to_vec();
        if o.sign {
            xor_assign(&mut bit, o.planes.plane_words(o.bits));
        }
        Planes::new(o.planes.len(), 1, bit)
    };
    let bits = operands.iter().zip(&circuits).zip(&nodes).map(finish).collect();
    convert::complete(me, &mut values, &pending);
    Ok((bits, values))
}

/// Spec 7.4: level after level, products that share a factor by the same choices.
fn join_levels(p: &mut Gmw, circuits: &[Arc<Comparator>], nodes: &mut [Vec<u64>]) -> Result<()> {
    let deepest = circuits.iter().map(|c| c.levels.len()).max().unwrap_or(0);
    for depth in 0..deepest {
        let mut all = Vec::new();
        for (o, circuit) in circuits.iter().enumerate() {
            let n = nodes[o].len() / circuit.nodes;
            for join in circuit.levels.get(depth).map(joins).unwrap_or_default() {
                all.extend(pieces([n].into_iter()).map(|(_, words)| (o, n, join.clone(), words)));
            }
        }
        let mut done = Vec::with_capacity(all.len());
        for group in groups(all.iter().map(|(_, _, join, words)| Size::bits(words.len(), join.values.len()))) {
            let part = |(o, n, join, words): &(usize, usize, Joined, Range<usize>)| {
                let of = |node: usize| &plane(&nodes[*o], node, *n)[words.clone()];
                Bits::new(of(join.factor), &join.values.iter().map(|(value, _)| of(*value)).collect::<Vec<_>>())
            };
            let mut units: Vec<Bits> = all[group].iter().map(part).collect();
            p.exchange(&mut units)?;
            done.extend(units.into_iter().map(|mut unit| {
                let n = unit.choices.len();
                for (out, value) in unit.out.chunks_exact_mut(n).zip(unit.values.chunks_exact(n)) {
                    add_own(out, unit.choices, value);
                }
                unit.out
            }));
        }
        for ((o, n, join, words), out) in all.iter().zip(&done) {
            for ((_, to), out) in join.values.iter().zip(out.chunks_exact(words.len())) {
                nodes[*o][to * n..][words.clone()].copy_from_slice(out);
            }
        }
        for (o, circuit) in circuits.iter().enumerate() {
            let n = nodes[o].len() / circuit.nodes;
            for gate in circuit.levels.get(depth).iter().flat_map(|level| &level.gates) {
                if let Some(linear) = gate.linear {
                    fold_linear(&mut nodes[o], gate.out, linear, n);
                }
            }
        }
    }
    Ok(())
}
