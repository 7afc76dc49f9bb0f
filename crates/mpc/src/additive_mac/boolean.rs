//! Bit-packed Boolean shares: AND, and comparisons of a value that all parties know with one the dealer knows. Spec 6 and 7.

use super::verify::{Dealt, Draft, Posted};
use super::{AdditiveMac, ArithmeticShare, BooleanShare, Unit, convert, units};
use crate::masked::{Operand, add_product, fold_linear, lookup, plane, product_of_planes, thermometer, xor_assign};
use crate::share::{Planes, plane_words};
use crate::{BitShare, Raw, Result};
use privity_circuit::{Comparator, Factor, Join, Level};
use privity_ring::simd::vectorise;
use std::ops::Range;
use std::sync::Arc;

/// Words of a unit of an AND, and those posted before the first is awaited.
const AND_UNIT: usize = 1 << 8;
const AND_BATCH: usize = 1 << 13;
/// The same for words of a plane of a comparison: what is dealt for a unit, tags included, is some 2^16 words.
const COMPARE_UNIT: usize = 1 << 3;
const COMPARE_BATCH: usize = 1 << 8;

/// The units of ANDs of so many words.
pub(super) fn and_units(words: impl Iterator<Item = usize>) -> Vec<Vec<Unit>> {
    units(words.map(|words| (words, Some(AND_UNIT))), AND_BATCH)
}

/// The units of comparisons whose planes have so many words.
pub(super) fn compare_units(words: impl Iterator<Item = usize>) -> Vec<Vec<Unit>> {
    units(words.map(|words| (words, Some(COMPARE_UNIT))), COMPARE_BATCH)
}

/// Spec 6: bitwise AND, one round per batch of words.
pub(super) fn and(p: &mut AdditiveMac, jobs: &[(&BooleanShare, &BooleanShare)]) -> Result<Vec<BooleanShare>> {
    let step = p.party.next_step();
    let empty = |(x, y): &(&BooleanShare, &BooleanShare)| {
        assert_eq!((x.len(), x.width()), (y.len(), y.width()), "AND operands must have one length and width");
        BooleanShare::zeros(x.len(), x.width())
    };
    let mut out: Vec<BooleanShare> = jobs.iter().map(empty).collect();
    for batch in and_units(jobs.iter().map(|(x, _)| x.x.words().len())) {
        let mut posted = Vec::with_capacity(batch.len());
        for (job, number, range) in batch {
            let known = [jobs[job].0, jobs[job].1].map(|x| &x.x.words()[range.clone()]);
            if p.is_dealer() {
                let mask = deal_and(p, known, step, number)?;
                out[job].x.words_mut()[range].copy_from_slice(&mask);
            } else {
                posted.push((job, range, post_and(p, known, step, number)?));
            }
        }
        for (job, range, posted) in posted {
            let opened = posted.finish(p)?;
            out[job].x.words_mut()[range].copy_from_slice(&opened);
        }
    }
    Ok(out)
}

/// Dealer: the masks of the operands are dealt; what nobody chose, added to their product, is the mask of the result.
fn deal_and(p: &mut AdditiveMac, [x, y]: [&[u64]; 2], step: u64, number: usize) -> Result<Vec<u64>> {
    let draft = Draft::draw(p, step, number, 2 * x.len(), x.len());
    let mut rho = draft.free();
    rho.iter_mut().zip(x.iter().zip(y)).for_each(|(r, (x, y))| *r ^= x & y);
    draft.deal(p, &[x, y].concat())?;
    Ok(rho)
}

/// Others: `A_x A_y ^ A_x L_y ^ L_x A_y ^ D`.
fn post_and(p: &mut AdditiveMac, [x, y]: [&[u64]; 2], step: u64, number: usize) -> Result<Posted<u64>> {
    let n = x.len();
    let dealt = Dealt::receive(p, step, number, 2 * n, n)?;
    dealt.post(p, step, number, n, |d, one, out| {
        let one = one.unwrap_or(0);
        let (lx, ly, rho) = (plane(d, 0, n), plane(d, 1, n), plane(d, 2, n));
        vectorise(|| {
            for i in 0..n {
                out[i] = (x[i] & ((y[i] & one) ^ ly[i])) ^ (lx[i] & y[i]) ^ rho[i];
            }
        });
    })
}

/// Spec 7.1: `x < 0` is bit `w-1` of `A - L`, that is `A_{w-1} ^ L_{w-1} ^ [A mod 2^{w-1} < L mod 2^{w-1}]`.
pub(super) fn signs(
    p: &mut AdditiveMac,
    xs: &[&ArithmeticShare],
    width: u32,
    lifts: Vec<Raw<ArithmeticShare>>,
) -> Result<(Vec<BooleanShare>, Vec<ArithmeticShare>)> {
    assert!((2..=48).contains(&width), "comparisons read 2 to 48 bits, asked for {width}");
    let operand = |x: &&ArithmeticShare| {
        let planes = Planes::from_values(x.x.data(), width as usize);
        Operand { planes, bits: width as usize - 1, sign: true }
    };
    let operands = xs.iter().map(operand).collect();
    compare(p, operands, lifts)
}

/// Spec 5.5: `[c < r]` over whole operands, `c` known to all parties and `r` to the dealer, of the stated bits.
pub(super) fn less_than_dealt(
    p: &mut AdditiveMac,
    operands: Vec<(Planes, usize)>,
    lifts: Vec<Raw<ArithmeticShare>>,
) -> Result<(Vec<BooleanShare>, Vec<ArithmeticShare>)> {
    let operands = operands.into_iter().map(|(planes, bits)| Operand { planes, bits, sign: false }).collect();
    compare(p, operands, lifts)
}

/// Planes the dealer chooses for a unit: thermometer bits, sign bit, mask products.
pub(super) fn chosen_planes(circuit: &Comparator, sign: bool) -> usize {
    circuit.leaf_dealt + usize::from(sign) + circuit.gate_dealt
}

/// Spec 7.2 to 7.4. Operands may differ in bits; all share the exchanges.
fn compare(
    p: &mut AdditiveMac,
    operands: Vec<Operand>,
    lifts: Vec<Raw<ArithmeticShare>>,
) -> Result<(Vec<BooleanShare>, Vec<ArithmeticShare>)> {
    let circuits: Vec<Arc<Comparator>> = operands.iter().map(|o| p.comparator(o.bits)).collect();
    let mut results: Vec<BooleanShare> = operands.iter().map(|o| BooleanShare::zeros(o.planes.len(), 1)).collect();
    let mut lift = Some(convert::Lift::post(p, lifts)?);
    let mut lifted = Vec::new();
    for batch in compare_units(operands.iter().map(|o| plane_words(o.planes.len()))) {
        let step = p.party.next_step();
        let mut walks = Vec::with_capacity(batch.len());
        for (operand, number, words) in batch {
            let (o, circuit) = (&operands[operand], &circuits[operand]);
            if p.is_dealer() {
                let mask = deal(p, o, circuit, step, number, words.clone())?;
                results[operand].x.words_mut()[words].copy_from_slice(&mask);
            } else {
                walks.push(Walk::begin(p, (operand, o), circuit, step, number, words)?);
            }
        }
        if let Some(lift) = lift.take() {
            lifted = lift.finish(p)?;
        }
        exchange_levels(p, &mut walks, step)?;
        for walk in walks {
            let value = plane(&walk.values, walk.circuit.result, walk.words.len());
            results[walk.operand].x.words_mut()[walk.words.clone()].copy_from_slice(value);
        }
    }
    Ok((results, lifted))
}

/// Dealer, Spec 7.2 and 7.3: deals the thermometer bits `[r_b >= j]` of each block, the sign bit and the products of node masks that gates
/// need; the node masks nobody chooses. Gives the mask of the result.
fn deal(
    p: &mut AdditiveMac,
    o: &Operand,
    circuit: &Comparator,
    step: u64,
    number: usize,
    words: Range<usize>,
) -> Result<Vec<u64>> {
    let n = words.len();
    let mut chosen = vec![0; chosen_planes(circuit, o.sign) * n];
    let draft = Draft::draw(p, step, number, chosen.len(), circuit.nodes * n);
    let mut masks: Vec<u64> = draft.free();
    for block in &circuit.blocks {
        let bits: Vec<&[u64]> =
            (0..block.bits).map(|i| &o.planes.plane_words(block.first + i)[words.clone()]).collect();
        thermometer(&bits, &mut chosen[block.dealt * n..(block.dealt + (1 << block.bits) - 1) * n]);
    }
    if o.sign {
        chosen[circuit.leaf_dealt * n..(circuit.leaf_dealt + 1) * n]
            .copy_from_slice(&o.planes.plane_words(o.bits)[words]);
    }
    let first_product = circuit.leaf_dealt + usize::from(o.sign);
    for gate in circuit.levels.iter().flat_map(|l| &l.gates) {
        if let Some(linear) = gate.linear {
            fold_linear(&mut masks, gate.out, linear, n);
        }
        for (index, nodes) in &gate.dealt {
            let at = (first_product + index) * n;
            product_of_planes(&masks, nodes, n, &mut chosen[at..at + n]);
        }
    }
    draft.deal(p, &chosen)?;
    Ok(plane(&masks, circuit.result, n).to_vec())
}

/// A unit of one operand: which words, and the state of the walk over the comparator.
struct Walk {
    operand: usize,
    words: Range<usize>,
    circuit: Arc<Comparator>,
    number: usize,
    /// What was dealt for gates: products of masks, then node masks.
    dealt: Dealt<u64>,
    /// Masked values of all nodes, node after node.
    values: Vec<u64>,
    posted: Option<Posted<u64>>,
}

impl Walk {
    /// Spec 7.2: looks entry `c_b` up in what was dealt for `G_b = [c_b < r_b]` and `P_b = [c_b = r_b]`, adds node masks, posts.
    fn begin(
        p: &mut AdditiveMac,
        (operand, o): (usize, &Operand),
        circuit: &Arc<Comparator>,
        step: u64,
        number: usize,
        words: Range<usize>,
    ) -> Result<Walk> {
        let n = words.len();
        let c: Vec<&[u64]> = (0..o.planes.width()).map(|i| &o.planes.plane_words(i)[words.clone()]).collect();
        let mut dealt = Dealt::receive(p, step, number, chosen_planes(circuit, o.sign) * n, circuit.nodes * n)?;
        let posted = dealt.post(p, step, number, circuit.leaf_nodes * n, |d, one, out| {
            leaves(circuit, &c, o.sign.then_some(o.bits), d, one.unwrap_or(0), out, n);
        })?;
        dealt.keep_from((circuit.leaf_dealt + usize::from(o.sign)) * n);
        let values = vec![0; circuit.nodes * n];
        Ok(Walk { operand, words, circuit: circuit.clone(), number, dealt, values, posted: Some(posted) })
    }

    /// Takes the others' parts of what was posted, if anything: values of the nodes from `first` on.
    fn merge(&mut self, p: &mut AdditiveMac, first: usize) -> Result<()> {
        if let Some(posted) = self.posted.take() {
            let opened = posted.finish(p)?;
            self.values[first * self.words.len()..][..opened.len()].copy_from_slice(&opened);
        }
        Ok(())
    }
}

/// A party's leaves, before the exchange, from its part of what was dealt for a unit.
fn leaves(circuit: &Comparator, c: &[&[u64]], sign: Option<usize>, d: &[u64], one: u64, out: &mut [u64], n: usize) {
    let first_mask = (circuit.leaf_dealt + usize::from(sign.is_some()) + circuit.gate_dealt) * n;
    out.copy_from_slice(&d[first_mask..first_mask + out.len()]);
    for block in &circuit.blocks {
        let steps = &d[block.dealt * n..(block.dealt + (1 << block.bits) - 1) * n];
        let (g, rest) = out[block.generate * n..].split_at_mut(n);
        let bits = &c[block.first..block.first + block.bits];
        lookup(bits, steps, one, g, block.propagate.map(|_| &mut rest[..n]));
    }
    if let Some(bit) = sign {
        let top = circuit.blocks.last().expect("at least one block").generate * n..;
        let top = &mut out[top][..n];
        xor_assign(top, plane(d, circuit.leaf_dealt, n));
        top.iter_mut().zip(c[bit]).for_each(|(t, c)| *t ^= c & one);
    }
}

/// Spec 7.4: opens the masked leaves, then level after level, one exchange each.
fn exchange_levels(p: &mut AdditiveMac, walks: &mut [Walk], step: u64) -> Result<()> {
    let units = walks.iter().map(|w| w.number + 1).max().unwrap_or(0);
    let deepest = walks.iter().map(|w| w.circuit.levels.len()).max().unwrap_or(0);
    walks.iter_mut().try_for_each(|walk| walk.merge(p, 0))?;
    for depth in 0..deepest {
        for walk in walks.iter_mut() {
            let circuit = walk.circuit.clone();
            if let Some(level) = circuit.levels.get(depth) {
                let (n, values) = (walk.words.len(), &walk.values);
                let posted = walk.dealt.post(
                    p,
                    step,
                    (depth + 1) * units + walk.number,
                    level.nodes.len() * n,
                    |d, one, out| evaluate(level, circuit.gate_dealt, values, d, one, out, n),
                )?;
                walk.posted = Some(posted);
            }
        }
        for walk in walks.iter_mut() {
            let circuit = walk.circuit.clone();
            if let Some(level) = circuit.levels.get(depth) {
                walk.merge(p, level.nodes.start)?;
                fold(walk, level, circuit.gate_dealt);
            }
        }
    }
    Ok(())
}

/// Spec 7.4: a gate's linear term is added after the exchange, to its value and to its mask.
fn fold(walk: &mut Walk, level: &Level, products: usize) {
    let n = walk.words.len();
    for (gate, linear) in level.gates.iter().filter_map(|gate| Some((gate, gate.linear?))) {
        fold_linear(&mut walk.values, gate.out, linear, n);
        walk.dealt.each(|d| fold_linear(d, products + gate.out, products + linear, n));
    }
}

/// Spec 7.3: a party's part of the outputs of a level's gates: own mask, public values times shared masks, and times `one` the products
/// of public values.
fn evaluate(level: &Level, products: usize, values: &[u64], d: &[u64], one: Option<u64>, out: &mut [u64], n: usize) {
    for gate in &level.gates {
        let at = (gate.out - level.nodes.start) * n;
        let out = &mut out[at..at + n];
        out.copy_from_slice(plane(d, products + gate.out, n));
        for term in &gate.terms {
            let mask = match term.mask {
                Factor::Node(node) => plane(d, products + node, n),
                Factor::Product(index) => plane(d, index, n),
            };
            add_product(out, mask, &term.public, values);
        }
        if let Some(one) = one {
            add_public(gate, values, one, out);
        }
    }
}

fn add_public(gate: &Join, values: &[u64], one: u64, out: &mut [u64]) {
    let n = out.len();
    let mut whole = vec![0; n];
    for factors in &gate.products {
        add_product(&mut whole, plane(values, factors[0], n), &factors[1..], values);
    }
    out.iter_mut().zip(&whole).for_each(|(o, w)| *o ^= w & one);
}
