//! Bit-packed Boolean shares: AND, and comparisons of a value the online pair knows with one the mask owner knows.
//! Spec 6 and 7.

use super::{ArithmeticShare, BooleanShare, Buffer, OWNER, Rep3, convert};
use crate::masked::{
    Operand, add_product, batches, fold_linear, lookup, plane, plane_batches, product_of_planes, thermometer,
    xor_assign,
};
use crate::share::{Planes, plane_words};
use crate::{BitShare, Raw, Result};
use privity_circuit::{Comparator, Factor, Join};
use privity_ring::simd::vectorise;
use std::ops::Range;
use std::sync::Arc;

const R: u8 = 1;
const Z: u8 = 2;
const DEALT: u8 = 3;
const NODES: u8 = 4;

/// Spec 6: bitwise AND, one round per batch of words.
pub(super) fn and(p: &mut Rep3, jobs: &[(&BooleanShare, &BooleanShare)]) -> Result<Vec<BooleanShare>> {
    let step = p.party.next_step();
    let empty = |(x, y): &(&BooleanShare, &BooleanShare)| {
        assert_eq!((x.len(), x.width()), (y.len(), y.width()), "AND operands must have one length and width");
        BooleanShare::new(Planes::zeros(x.len(), x.width()), Planes::zeros(x.len(), x.width()))
    };
    let mut out: Vec<BooleanShare> = jobs.iter().map(empty).collect();
    for batch in batches(jobs.iter().map(|(x, _)| x.x.words().len())) {
        for (job, tile, range) in &batch {
            post_and(p, jobs[*job], &mut out[*job], step, *tile, range.clone())?;
        }
        if !p.is_owner() {
            for (job, tile, range) in batch {
                p.add_peers(step, tile, &mut out[job].x.words_mut()[range], xor_assign)?;
            }
        }
    }
    Ok(out)
}

/// This party's message for one tile of an AND.
fn post_and(
    p: &mut Rep3,
    (x, y): (&BooleanShare, &BooleanShare),
    z: &mut BooleanShare,
    step: u64,
    tile: usize,
    range: Range<usize>,
) -> Result<()> {
    let words = range.len();
    let mut r = p.buffer(words);
    let (xx, xy) = (&x.x.words()[range.clone()], &x.y.words()[range.clone()]);
    let (yx, yy) = (&y.x.words()[range.clone()], &y.y.words()[range.clone()]);
    let (a, b) = (&mut z.x.words_mut()[range.clone()], &mut z.y.words_mut()[range]);
    if p.is_owner() {
        p.drawn_bits(step, R, tile, &mut r);
        p.drawn_bits(step, Z, tile, a);
        p.mask(p.last(), step, Z, tile, b);
        vectorise(|| {
            for i in 0..words {
                r[i] ^= (xx[i] ^ xy[i]) & (yx[i] ^ yy[i]);
            }
        });
        p.party.send(p.last(), step, tile, &r)?;
    } else {
        p.dealt(step, R, tile, &mut r)?;
        p.mask(OWNER, step, Z, tile, b);
        // The last adds the product of the masked values.
        let whole = if p.is_last() { u64::MAX } else { 0 };
        vectorise(|| {
            for i in 0..words {
                a[i] = (xx[i] & ((yx[i] & whole) ^ yy[i])) ^ (xy[i] & yx[i]) ^ b[i] ^ r[i];
            }
        });
        p.tell_peers(step, tile, a)?;
    }
    p.recycle(r);
    Ok(())
}

/// Spec 7.1: `x < 0` is bit `w-1` of `A - L`, that is `A_{w-1} ^ L_{w-1} ^ [A mod 2^{w-1} < L mod 2^{w-1}]`.
pub(super) fn signs(
    p: &mut Rep3,
    xs: &[&ArithmeticShare],
    width: u32,
    lifts: Vec<Raw<ArithmeticShare>>,
) -> Result<(Vec<BooleanShare>, Vec<ArithmeticShare>)> {
    assert!((2..=48).contains(&width), "comparisons read 2 to 48 bits, asked for {width}");
    let operands: Vec<Operand> = xs.iter().map(|x| operand(p, x, width as usize)).collect();
    compare(p, operands, lifts)
}

/// Spec 5.6: `[c < r]` over whole operands, `c` given by the online pair and `r` by the mask owner, of the stated bits.
pub(super) fn less_than_dealt(
    p: &mut Rep3,
    operands: Vec<(Planes, usize)>,
    lifts: Vec<Raw<ArithmeticShare>>,
) -> Result<(Vec<BooleanShare>, Vec<ArithmeticShare>)> {
    let operands = operands.into_iter().map(|(planes, bits)| Operand { planes, bits, sign: false }).collect();
    compare(p, operands, lifts)
}

/// What this party knows of a comparison of the low `width` bits.
fn operand(p: &Rep3, x: &ArithmeticShare, width: usize) -> Operand {
    let planes = if p.is_owner() {
        Planes::from_values(x.x.add(&x.y).data(), width)
    } else {
        Planes::from_values(x.x.data(), width)
    };
    Operand { planes, bits: width - 1, sign: true }
}

/// A tile of one operand: which words, and the state of the walk over the comparator.
struct Walk {
    operand: usize,
    words: Range<usize>,
    /// This party's masked values (online) or both masks' XOR (owner), node after node.
    values: Buffer,
    /// `l1` of every node at the owner and party 1, `l2` at party 2.
    masks: Buffer,
    /// `l2` of every node at the owner; this party's shares of the mask products of gates elsewhere.
    second: Buffer,
}

/// Spec 7.2 to 7.5. Operands may differ in bits; all share the exchanges.
fn compare(
    p: &mut Rep3,
    operands: Vec<Operand>,
    lifts: Vec<Raw<ArithmeticShare>>,
) -> Result<(Vec<BooleanShare>, Vec<ArithmeticShare>)> {
    let circuits: Vec<Arc<Comparator>> = operands.iter().map(|o| p.comparator(o.bits)).collect();
    let mut results: Vec<BooleanShare> = operands
        .iter()
        .map(|o| BooleanShare::new(Planes::zeros(o.planes.len(), 1), Planes::zeros(o.planes.len(), 1)))
        .collect();
    let mut lift = Some(convert::Lift::post(p, lifts)?);
    let mut lifted = Vec::new();
    let mut step = p.party.next_step();
    let mut batches = plane_batches(operands.iter().map(|o| plane_words(o.planes.len()))).into_iter().peekable();
    while let Some(batch) = batches.next() {
        let mut walks = Vec::with_capacity(batch.len());
        for (tile, (operand, words)) in batch.into_iter().enumerate() {
            let (o, circuit) = (&operands[operand], &circuits[operand]);
            walks.push(if p.is_owner() {
                deal(p, o, circuit, step, tile, operand, words)?
            } else {
                leaves(p, o, circuit, step, tile, operand, words)?
            });
        }
        if let Some(lift) = lift.take() {
            lifted = lift.finish(p)?;
        }
        if !p.is_owner() {
            exchange_levels(p, &circuits, &mut walks, step)?;
        }
        for walk in walks {
            write_result(p, &circuits[walk.operand], &walk, &mut results[walk.operand]);
            for buffer in [walk.values, walk.masks, walk.second] {
                p.recycle(buffer);
            }
        }
        if batches.peek().is_some() {
            step = p.party.next_step();
        }
    }
    Ok((results, lifted))
}

/// Words dealt for one tile: thermometer bits, sign bit, mask products.
fn dealt_planes(circuit: &Comparator, sign: bool) -> usize {
    circuit.leaf_dealt + usize::from(sign) + circuit.gate_dealt
}

/// Mask owner, Spec 7.2 and 7.4: deals additive shares of the thermometer bits `[r_b >= j]` of each block, of the sign bit,
/// and of the mask products of every gate. One message per tile.
fn deal(
    p: &mut Rep3,
    o: &Operand,
    circuit: &Comparator,
    step: u64,
    tile: usize,
    operand: usize,
    words: Range<usize>,
) -> Result<Walk> {
    let n = words.len();
    let mut dealt = p.buffer(dealt_planes(circuit, o.sign) * n);
    let mut share = p.buffer(dealt.len());
    let mut masks = p.buffer(circuit.nodes * n);
    let mut second = p.buffer(circuit.nodes * n);
    p.drawn_bits(step, DEALT, tile, &mut share);
    p.drawn_bits(step, NODES, tile, &mut masks);
    p.mask(p.last(), step, NODES, tile, &mut second);
    for block in &circuit.blocks {
        let bits: Vec<&[u64]> =
            (0..block.bits).map(|i| &o.planes.plane_words(block.first + i)[words.clone()]).collect();
        thermometer(&bits, &mut dealt[block.dealt * n..(block.dealt + (1 << block.bits) - 1) * n]);
    }
    if o.sign {
        dealt[circuit.leaf_dealt * n..(circuit.leaf_dealt + 1) * n]
            .copy_from_slice(&o.planes.plane_words(o.bits)[words.clone()]);
    }
    let first_product = circuit.leaf_dealt + usize::from(o.sign);
    let mut values = p.buffer(circuit.nodes * n);
    for node in 0..circuit.leaf_nodes {
        xor_into(&mut values, node, n, &masks, &second);
    }
    for gate in circuit.levels.iter().flat_map(|l| &l.gates) {
        if let Some(linear) = gate.linear {
            fold_linear(&mut masks, gate.out, linear, n);
            fold_linear(&mut second, gate.out, linear, n);
        }
        xor_into(&mut values, gate.out, n, &masks, &second);
        for (index, nodes) in &gate.dealt {
            let at = (first_product + index) * n;
            product_of_planes(&values, nodes, n, &mut dealt[at..at + n]);
        }
    }
    xor_assign(&mut dealt, &share);
    p.party.send(p.last(), step, tile, &dealt)?;
    p.recycle(dealt);
    p.recycle(share);
    Ok(Walk { operand, words, values, masks, second })
}

fn xor_into(values: &mut [u64], node: usize, n: usize, masks: &[u64], second: &[u64]) {
    let (a, b) = (plane(masks, node, n), plane(second, node, n));
    let out = &mut values[node * n..(node + 1) * n];
    vectorise(|| out.iter_mut().zip(a.iter().zip(b)).for_each(|(o, (a, b))| *o = a ^ b));
}

/// Online pair, Spec 7.3: from the dealt shares, own shares of `G_b = [c_b < r_b]` and `P_b = [c_b = r_b]` by looking up
/// entry `c_b`; masked and sent.
fn leaves(
    p: &mut Rep3,
    o: &Operand,
    circuit: &Comparator,
    step: u64,
    tile: usize,
    operand: usize,
    words: Range<usize>,
) -> Result<Walk> {
    let (n, last) = (words.len(), p.is_last());
    let mut dealt = p.buffer(dealt_planes(circuit, o.sign) * n);
    p.dealt(step, DEALT, tile, &mut dealt)?;
    let mut masks = p.buffer(circuit.nodes * n);
    p.mask(OWNER, step, NODES, tile, &mut masks);
    let mut values = p.buffer(circuit.nodes * n);
    values[..circuit.leaf_nodes * n].copy_from_slice(&masks[..circuit.leaf_nodes * n]);
    // The constant [r >= 0] = 1 is held by the last party.
    let one = if last { u64::MAX } else { 0 };
    for block in &circuit.blocks {
        let c: Vec<&[u64]> = (0..block.bits).map(|i| &o.planes.plane_words(block.first + i)[words.clone()]).collect();
        let steps = &dealt[block.dealt * n..(block.dealt + (1 << block.bits) - 1) * n];
        let (g, rest) = values[block.generate * n..].split_at_mut(n);
        lookup(&c, steps, one, g, block.propagate.map(|_| &mut rest[..n]));
    }
    let first_product = circuit.leaf_dealt + usize::from(o.sign);
    if o.sign {
        let top = circuit.blocks.last().expect("at least one block").generate * n..;
        let top = &mut values[top][..n];
        xor_assign(top, plane(&dealt, circuit.leaf_dealt, n));
        if last {
            xor_assign(top, &o.planes.plane_words(o.bits)[words.clone()]);
        }
    }
    p.tell_peers(step, tile, &values[..circuit.leaf_nodes * n])?;
    let mut second = p.buffer(circuit.gate_dealt * n);
    second.copy_from_slice(&dealt[first_product * n..]);
    p.recycle(dealt);
    Ok(Walk { operand, words, values, masks, second })
}

/// Online pair, Spec 7.5: opens the masked leaves to each other, then level after level, one exchange each.
fn exchange_levels(p: &mut Rep3, circuits: &[Arc<Comparator>], walks: &mut [Walk], step: u64) -> Result<()> {
    let tiles = walks.len();
    let deepest = walks.iter().map(|w| circuits[w.operand].levels.len()).max().unwrap_or(0);
    for (tile, walk) in walks.iter_mut().enumerate() {
        merge(p, walk, step, tile, 0..circuits[walk.operand].leaf_nodes)?;
    }
    for depth in 0..deepest {
        let number = |tile: usize| (depth + 1) * tiles + tile;
        for (tile, walk) in walks.iter_mut().enumerate() {
            if let Some(level) = circuits[walk.operand].levels.get(depth) {
                let n = walk.words.len();
                for gate in &level.gates {
                    evaluate(p.is_last(), gate, walk, n);
                }
                p.tell_peers(step, number(tile), &walk.values[level.nodes.start * n..level.nodes.end * n])?;
            }
        }
        for (tile, walk) in walks.iter_mut().enumerate() {
            if let Some(level) = circuits[walk.operand].levels.get(depth) {
                merge(p, walk, step, number(tile), level.nodes.clone())?;
                let n = walk.words.len();
                for gate in &level.gates {
                    if let Some(linear) = gate.linear {
                        fold_linear(&mut walk.values, gate.out, linear, n);
                        fold_linear(&mut walk.masks, gate.out, linear, n);
                    }
                }
            }
        }
    }
    Ok(())
}

/// Adds the others' parts to the values of some nodes.
fn merge(p: &mut Rep3, walk: &mut Walk, step: u64, tile: usize, nodes: Range<usize>) -> Result<()> {
    let n = walk.words.len();
    p.add_peers(step, tile, &mut walk.values[nodes.start * n..nodes.end * n], xor_assign)
}

/// Spec 7.4, online: own half of a gate's output, `l_z ^ sum of (public parts times shared masks)`; party 2 adds the product
/// of the public parts.
fn evaluate(last: bool, gate: &Join, walk: &mut Walk, n: usize) {
    let (before, after) = walk.values.split_at_mut(gate.out * n);
    let out = &mut after[..n];
    out.copy_from_slice(plane(&walk.masks, gate.out, n));
    for term in &gate.terms {
        let mask = match term.mask {
            Factor::Node(node) => plane(&walk.masks, node, n),
            Factor::Product(index) => plane(&walk.second, index, n),
        };
        add_product(out, mask, &term.public, before);
    }
    if last {
        for factors in &gate.products {
            add_product(out, plane(before, factors[0], n), &factors[1..], before);
        }
    }
}

/// The result node becomes the sharing's plane.
fn write_result(p: &mut Rep3, circuit: &Comparator, walk: &Walk, result: &mut BooleanShare) {
    let n = walk.words.len();
    let (x, y) = if p.is_owner() { (&walk.masks, &walk.second) } else { (&walk.values, &walk.masks) };
    result.x.words_mut()[walk.words.clone()].copy_from_slice(plane(x, circuit.result, n));
    result.y.words_mut()[walk.words.clone()].copy_from_slice(plane(y, circuit.result, n));
}
