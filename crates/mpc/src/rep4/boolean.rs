//! Bit-packed Boolean shares: AND, and comparisons of a value the online pair knows with one that checker and dealer know.
//! Spec 6 and 7.

use super::{ArithmeticShare, BooleanShare, Buffer, CHECKER, DEALER, FIRST, ONE, OTHER, Rep4, SECOND, TWO, convert};
use crate::masked::{
    Operand, add_product, batches, fold_linear, lookup, plane, plane_batches, product_of_planes, thermometer,
    xor_assign,
};
use crate::share::{Planes, plane_words};
use crate::{BitShare, Raw, Result};
use privity_circuit::{Comparator, Factor};
use privity_ring::simd::vectorise;
use std::ops::Range;
use std::sync::Arc;

// Streams of a step: each is read once.
const RHO: u8 = 1;
const Z: u8 = 2;
const S: u8 = 3;
const MATERIAL: u8 = 4;

/// One operand pair's components over a range of words.
#[derive(Clone, Copy)]
struct Factors<'a> {
    xx: &'a [u64],
    xy: &'a [u64],
    yx: &'a [u64],
    yy: &'a [u64],
}

impl Factors<'_> {
    /// `out ^= xx yy ^ xy yx`
    fn cross(&self, out: &mut [u64]) {
        vectorise(|| {
            let (x, y) = (self.xx.iter().zip(self.xy), self.yx.iter().zip(self.yy));
            for (o, ((xx, xy), (yx, yy))) in out.iter_mut().zip(x.zip(y)) {
                *o ^= (xx & yy) ^ (xy & yx);
            }
        });
    }
    /// `out ^= xx yx`
    fn first(&self, out: &mut [u64]) {
        vectorise(|| out.iter_mut().zip(self.xx.iter().zip(self.yx)).for_each(|(o, (x, y))| *o ^= x & y));
    }
    /// `out ^= xy yy`
    fn second(&self, out: &mut [u64]) {
        vectorise(|| out.iter_mut().zip(self.xy.iter().zip(self.yy)).for_each(|(o, (x, y))| *o ^= x & y));
    }
}

/// Spec 6: bitwise AND, one round per batch of words.
pub(super) fn and(p: &mut Rep4, jobs: &[(&BooleanShare, &BooleanShare)]) -> Result<Vec<BooleanShare>> {
    let step = p.party.next_step();
    for (x, y) in jobs {
        assert_eq!((x.len(), x.width()), (y.len(), y.width()), "AND operands must have one length and width");
    }
    let mut out: Vec<BooleanShare> = jobs.iter().map(|(x, _)| BooleanShare::zeros(x.len(), x.width())).collect();
    for batch in batches(jobs.iter().map(|(x, _)| x.x.words().len())) {
        let mut halves: Vec<Buffer> = Vec::with_capacity(batch.len());
        for (job, tile, range) in &batch {
            halves.push(post_and(p, factors(jobs[*job], range), &mut out[*job], step, *tile, range.clone())?);
        }
        for ((job, tile, range), half) in batch.into_iter().zip(halves) {
            match p.party.me() {
                DEALER => {}
                CHECKER => check_and(p, factors(jobs[job], &range), &mut out[job], step, tile, range)?,
                _ => finish_and(p, factors(jobs[job], &range), &half, &mut out[job], step, tile, range)?,
            }
            p.recycle([half]);
        }
    }
    Ok(out)
}

fn factors<'a>((x, y): (&'a BooleanShare, &'a BooleanShare), range: &Range<usize>) -> Factors<'a> {
    let words = |planes: &'a Planes| &planes.words()[range.clone()];
    Factors { xx: words(&x.x), xy: words(&x.y), yx: words(&y.x), yy: words(&y.y) }
}

/// First half of an AND over one tile: masks and what is dealt, or the pair's message, which is returned.
fn post_and(
    p: &mut Rep4,
    f: Factors<'_>,
    z: &mut BooleanShare,
    step: u64,
    tile: usize,
    range: Range<usize>,
) -> Result<Buffer> {
    let n = range.len();
    let me = p.party.me();
    let mut c = p.buffer(n);
    match me {
        CHECKER | DEALER => {
            // o1 = l ^ LL ^ rho
            p.mask(ONE, step, RHO, tile, &mut c);
            let mut l = p.drawn(ONE, step, Z, tile, n);
            let l2 = p.drawn(TWO, step, Z, tile, n);
            xor_assign(&mut l, &l2);
            xor_assign(&mut c, &l);
            if me == CHECKER {
                f.second(&mut c)
            } else {
                f.first(&mut c)
            }
            p.deal(step, tile, &c)?;
            if me == CHECKER {
                z.y.words_mut()[range].copy_from_slice(&l);
            } else {
                // o4 = LL ^ LU ^ s ^ U
                let u = &mut z.y.words_mut()[range.clone()];
                p.mask(OTHER, step, Z, tile, u);
                p.mask(OTHER, step, S, tile, &mut c);
                f.first(&mut c);
                f.cross(&mut c);
                xor_assign(&mut c, u);
                p.party.send(CHECKER, step, tile, &c)?;
                z.x.words_mut()[range].copy_from_slice(&l);
            }
            p.recycle([l, l2]);
        }
        _ => {
            let holders = if me == FIRST { ONE } else { TWO };
            if me == FIRST {
                p.mask(ONE, step, RHO, tile, &mut c);
            } else {
                p.dealt(step, tile, &mut c)?;
            }
            f.cross(&mut c);
            p.mask(holders, step, Z, tile, &mut z.y.words_mut()[range]);
            p.party.send(p.online_peer(), step, tile, &c)?;
        }
    }
    Ok(c)
}

fn finish_and(
    p: &mut Rep4,
    f: Factors<'_>,
    own: &[u64],
    z: &mut BooleanShare,
    step: u64,
    tile: usize,
    range: Range<usize>,
) -> Result<()> {
    let n = range.len();
    let a = &mut z.x.words_mut()[range];
    p.party.recv(p.online_peer(), step, tile, a)?;
    xor_assign(a, own);
    f.first(a);
    // t = AxAy ^ s; m = A ^ U
    let mut t = p.drawn(OTHER, step, S, tile, n);
    f.first(&mut t);
    p.tell_checker(step, tile, &t)?;
    p.mask(OTHER, step, Z, tile, &mut t);
    xor_assign(&mut t, a);
    p.agree(&t);
    p.recycle([t]);
    Ok(())
}

fn check_and(
    p: &mut Rep4,
    f: Factors<'_>,
    z: &mut BooleanShare,
    step: u64,
    tile: usize,
    range: Range<usize>,
) -> Result<()> {
    // B = t ^ BxLy ^ LxBy ^ o4
    let mut o4 = p.buffer(range.len());
    p.party.recv(DEALER, step, tile, &mut o4)?;
    let b = &mut z.x.words_mut()[range.clone()];
    p.told_by_pair(step, tile, b)?;
    xor_assign(b, &o4);
    f.cross(b);
    o4.copy_from_slice(b);
    xor_assign(&mut o4, &z.y.words()[range]);
    p.agree(&o4);
    p.recycle([o4]);
    Ok(())
}

/// Spec 7.1: `x < 0` is bit `w-1` of `A - L`, that is `A_{w-1} ^ L_{w-1} ^ [A mod 2^{w-1} < L mod 2^{w-1}]`.
pub(super) fn signs(
    p: &mut Rep4,
    xs: &[&ArithmeticShare],
    width: u32,
    lifts: Vec<Raw<ArithmeticShare>>,
) -> Result<(Vec<BooleanShare>, Vec<ArithmeticShare>)> {
    assert!((2..=48).contains(&width), "comparisons read 2 to 48 bits, asked for {width}");
    let known = |x: &&ArithmeticShare| Planes::from_values(known(p, x).data(), width as usize);
    let operands = xs.iter().map(|x| Operand { planes: known(x), bits: width as usize - 1, sign: true }).collect();
    compare(p, operands, lifts)
}

/// `A` at the online pair, `L` at the others.
pub(super) fn known<'a>(p: &Rep4, x: &'a ArithmeticShare) -> &'a privity_ring::Tensor<u64> {
    if p.party.me() == CHECKER { &x.y } else { &x.x }
}

/// A tile of one operand, and the state of the walk over the comparator. Nodes one after the other, each of so many words.
struct Walk {
    operand: usize,
    words: Range<usize>,
    /// Components of every node, as in [`BooleanShare`].
    x: Buffer,
    y: Buffer,
    /// Pair: shares of the mask products of the gates. Checker: thermometer and sign of `L`, then mask products.
    material: Buffer,
    /// Pair: what the checker is told, thermometer of `A`, sign, then products of masked values; masks already added.
    told: Buffer,
}

/// Planes of a comparison's leaves that are dealt, and that the checker is told: thermometers, sign.
fn leaf_planes(circuit: &Comparator, sign: bool) -> usize {
    circuit.leaf_dealt + usize::from(sign)
}

/// Planes dealt, and as many told: leaves, then products of gates.
fn planes(circuit: &Comparator, sign: bool) -> usize {
    leaf_planes(circuit, sign) + circuit.gate_dealt
}

/// Spec 7.2 to 7.5: `[c < r]`, `c` given by the pair and `r` by checker and dealer. Operands may differ in bits; all share the
/// exchanges, and lifts ride along.
pub(super) fn compare(
    p: &mut Rep4,
    operands: Vec<Operand>,
    lifts: Vec<Raw<ArithmeticShare>>,
) -> Result<(Vec<BooleanShare>, Vec<ArithmeticShare>)> {
    let circuits: Vec<Arc<Comparator>> = operands.iter().map(|o| p.comparator(o.bits)).collect();
    let mut results: Vec<BooleanShare> = operands.iter().map(|o| BooleanShare::zeros(o.planes.len(), 1)).collect();
    let mut lift = Some(convert::Lift::post(p, lifts)?);
    let mut lifted = Vec::new();
    let mut step = p.party.next_step();
    let mut batches = plane_batches(operands.iter().map(|o| plane_words(o.planes.len()))).into_iter().peekable();
    while let Some(batch) = batches.next() {
        let mut walks = Vec::with_capacity(batch.len());
        for (tile, (operand, words)) in batch.into_iter().enumerate() {
            let (o, circuit) = (&operands[operand], &circuits[operand]);
            let walk = match p.party.me() {
                CHECKER | DEALER => deal(p, o, circuit, step, tile, words)?,
                _ => leaves(p, o, circuit, step, tile, words)?,
            };
            walks.push(Walk { operand, ..walk });
        }
        if let Some(lift) = lift.take() {
            lifted = lift.finish(p)?;
        }
        if matches!(p.party.me(), FIRST | SECOND) {
            exchange_levels(p, &circuits, &mut walks, step)?;
        }
        for (tile, mut walk) in walks.into_iter().enumerate() {
            let (o, circuit) = (&operands[walk.operand], &circuits[walk.operand]);
            match p.party.me() {
                DEALER => {}
                CHECKER => check(p, o, circuit, &mut walk, step, tile)?,
                _ => vouch(p, circuit, &mut walk, step, tile)?,
            }
            let (n, words, result) = (walk.words.len(), walk.words, &mut results[walk.operand]);
            result.x.words_mut()[words.clone()].copy_from_slice(plane(&walk.x, circuit.result, n));
            result.y.words_mut()[words].copy_from_slice(plane(&walk.y, circuit.result, n));
            p.recycle([walk.x, walk.y, walk.material, walk.told]);
        }
        if batches.peek().is_some() {
            step = p.party.next_step();
        }
    }
    Ok((results, lifted))
}

fn block_planes<'a>(o: &'a Operand, first: usize, bits: usize, words: &Range<usize>) -> Vec<&'a [u64]> {
    (first..first + bits).map(|i| &o.planes.plane_words(i)[words.clone()]).collect()
}

/// Thermometers of all blocks of a known operand, then its sign plane. Spec 7.2.
fn thermometers(o: &Operand, circuit: &Comparator, words: &Range<usize>, out: &mut [u64]) {
    let n = words.len();
    for block in &circuit.blocks {
        let bits = block_planes(o, block.first, block.bits, words);
        thermometer(&bits, &mut out[block.dealt * n..(block.dealt + (1 << block.bits) - 1) * n]);
    }
    if o.sign {
        out[circuit.leaf_dealt * n..(circuit.leaf_dealt + 1) * n]
            .copy_from_slice(&o.planes.plane_words(o.bits)[words.clone()]);
    }
}

/// Checker and dealer, Spec 7.2 and 7.4: masks of every node; shares of the thermometers and of the gates' mask products for second; the
/// dealer also gives the checker what its look-ups and sums of products are off by.
fn deal(p: &mut Rep4, o: &Operand, circuit: &Comparator, step: u64, tile: usize, words: Range<usize>) -> Result<Walk> {
    let (n, dealer) = (words.len(), p.party.me() == DEALER);
    let leaf = leaf_planes(circuit, o.sign);
    let mut l = p.drawn(ONE, step, Z, tile, circuit.nodes * n);
    let l2 = p.drawn(TWO, step, Z, tile, circuit.nodes * n);
    xor_assign(&mut l, &l2);
    p.recycle([l2]);
    let mut known = p.buffer(planes(circuit, o.sign) * n);
    thermometers(o, circuit, &words, &mut known);
    for gate in circuit.levels.iter().flat_map(|level| &level.gates) {
        if let Some(linear) = gate.linear {
            fold_linear(&mut l, gate.out, linear, n);
        }
        for (index, nodes) in &gate.dealt {
            product_of_planes(&l, nodes, n, &mut known[(leaf + index) * n..(leaf + index + 1) * n]);
        }
    }
    let mut message = p.drawn(ONE, step, MATERIAL, tile, known.len());
    xor_assign(&mut message, &known);
    p.deal(step, tile, &message)?;
    p.recycle([message]);
    let (x, y) = if dealer {
        let u = tell_noise(p, o, circuit, step, tile, &words, &l, &known)?;
        (l, u)
    } else {
        (p.buffer(circuit.nodes * n), l)
    };
    Ok(Walk { operand: 0, words, x, y, material: known, told: Buffer::default() })
}

/// Dealer, Spec 7.3 and 7.4: for every node what the checker's `B` is off by, with `U`. Gives `U`.
#[allow(clippy::too_many_arguments)]
fn tell_noise(
    p: &mut Rep4,
    o: &Operand,
    circuit: &Comparator,
    step: u64,
    tile: usize,
    words: &Range<usize>,
    l: &[u64],
    known: &[u64],
) -> Result<Buffer> {
    let n = words.len();
    let leaf = leaf_planes(circuit, o.sign);
    let masks = p.drawn(OTHER, step, MATERIAL, tile, planes(circuit, o.sign) * n);
    let mut u = p.drawn(OTHER, step, Z, tile, circuit.nodes * n);
    let mut noise = p.buffer(u.len());
    noise.copy_from_slice(&u);
    look_up_thermometers(p, o, circuit, words, &masks[..leaf * n], 0, &mut noise);
    for gate in circuit.levels.iter().flat_map(|level| &level.gates) {
        let out = &mut noise[gate.out * n..(gate.out + 1) * n];
        for term in &gate.terms {
            let mask = match term.public_factor {
                Some(Factor::Node(node)) => plane(&u, node, n),
                Some(Factor::Product(index)) => plane(&masks, leaf + index, n),
                None => continue,
            };
            add_and(out, mask, chosen(term.mask, l, &known[leaf * n..], n));
        }
        gate.whole.iter().for_each(|index| xor_assign(out, plane(&masks, leaf + index, n)));
        if let Some(linear) = gate.linear {
            fold_linear(&mut u, gate.out, linear, n);
        }
    }
    p.party.send(CHECKER, step, tile, &noise)?;
    p.recycle([masks, noise]);
    Ok(u)
}

/// A node's plane, or a product's.
fn chosen<'a>(factor: Factor, nodes: &'a [u64], products: &'a [u64], n: usize) -> &'a [u64] {
    match factor {
        Factor::Node(node) => plane(nodes, node, n),
        Factor::Product(index) => plane(products, index, n),
    }
}

/// `out ^= x & y`
fn add_and(out: &mut [u64], x: &[u64], y: &[u64]) {
    vectorise(|| out.iter_mut().zip(x.iter().zip(y)).for_each(|(o, (x, y))| *o ^= x & y));
}

/// Adds `[c < r]` and `[c = r]` of every block to the leaf nodes, `r` being known and the thermometer of `c` given masked;
/// and the given sign plane to the uppermost `[c < r]`. `one` is the plane `[c >= 0]`.
fn look_up_thermometers(
    p: &mut Rep4,
    o: &Operand,
    circuit: &Comparator,
    words: &Range<usize>,
    given: &[u64],
    one: u64,
    nodes: &mut [u64],
) {
    let n = words.len();
    let (mut next, mut same) = (p.buffer(n), p.buffer(n));
    for block in &circuit.blocks {
        let r = block_planes(o, block.first, block.bits, words);
        let steps = &given[block.dealt * n..(block.dealt + (1 << block.bits) - 1) * n];
        next.fill(0);
        same.fill(0);
        // next = [c >= r + 1], same = [c = r]; [c < r] = 1 ^ next ^ same.
        lookup(&r, steps, one, &mut next, Some(&mut same));
        let generate = &mut nodes[block.generate * n..(block.generate + 1) * n];
        vectorise(|| {
            for (g, (a, b)) in generate.iter_mut().zip(next.iter().zip(&*same)) {
                *g ^= a ^ b ^ one;
            }
        });
        if let Some(propagate) = block.propagate {
            xor_assign(&mut nodes[propagate * n..(propagate + 1) * n], &same);
        }
    }
    if o.sign {
        let top = circuit.blocks.last().expect("at least one block").generate;
        xor_assign(&mut nodes[top * n..(top + 1) * n], plane(given, circuit.leaf_dealt, n));
    }
    p.recycle([next, same]);
}

/// Online pair, Spec 7.3: from the dealt shares, own shares of `G_b = [c_b < r_b]` and `P_b = [c_b = r_b]` by looking up entry
/// `c_b`; masked and sent. And the masked thermometer of `c` for the checker.
fn leaves(
    p: &mut Rep4,
    o: &Operand,
    circuit: &Comparator,
    step: u64,
    tile: usize,
    words: Range<usize>,
) -> Result<Walk> {
    let (n, me) = (words.len(), p.party.me());
    let leaf = leaf_planes(circuit, o.sign);
    let mut material = p.buffer(planes(circuit, o.sign) * n);
    if me == FIRST {
        p.mask(ONE, step, MATERIAL, tile, &mut material);
    } else {
        p.dealt(step, tile, &mut material)?;
    }
    let mut y = p.buffer(circuit.nodes * n);
    p.mask(if me == FIRST { ONE } else { TWO }, step, Z, tile, &mut y);
    let mut x = p.buffer(circuit.nodes * n);
    x[..circuit.leaf_nodes * n].copy_from_slice(&y[..circuit.leaf_nodes * n]);
    // The constant [r >= 0] = 1 is held by second.
    let one = if me == SECOND { u64::MAX } else { 0 };
    for block in &circuit.blocks {
        let c = block_planes(o, block.first, block.bits, &words);
        let steps = &material[block.dealt * n..(block.dealt + (1 << block.bits) - 1) * n];
        let (g, rest) = x[block.generate * n..].split_at_mut(n);
        lookup(&c, steps, one, g, block.propagate.map(|_| &mut rest[..n]));
    }
    if o.sign {
        let top = circuit.blocks.last().expect("at least one block").generate;
        let top = &mut x[top * n..(top + 1) * n];
        xor_assign(top, plane(&material, circuit.leaf_dealt, n));
        if me == SECOND {
            xor_assign(top, &o.planes.plane_words(o.bits)[words.clone()]);
        }
    }
    p.party.send(p.online_peer(), step, tile, &x[..circuit.leaf_nodes * n])?;
    let mut told = p.drawn(OTHER, step, MATERIAL, tile, planes(circuit, o.sign) * n);
    let mut thermometer = p.buffer(leaf * n);
    thermometers(o, circuit, &words, &mut thermometer);
    xor_assign(&mut told[..leaf * n], &thermometer);
    p.recycle([thermometer]);
    // Of the material the gates need their part only.
    material.copy_within(leaf * n.., 0);
    Ok(Walk { operand: 0, words, x, y, material, told })
}

/// Online pair, Spec 7.5: opens the masked leaves to each other, then level after level, one exchange each.
fn exchange_levels(p: &mut Rep4, circuits: &[Arc<Comparator>], walks: &mut [Walk], step: u64) -> Result<()> {
    let tiles = walks.len();
    let deepest = walks.iter().map(|w| circuits[w.operand].levels.len()).max().unwrap_or(0);
    for (tile, walk) in walks.iter_mut().enumerate() {
        merge(p, walk, step, tile, 0..circuits[walk.operand].leaf_nodes)?;
    }
    for depth in 0..deepest {
        let number = |tile: usize| (depth + 1) * tiles + tile;
        for (tile, walk) in walks.iter_mut().enumerate() {
            let circuit = &circuits[walk.operand];
            if let Some(level) = circuit.levels.get(depth) {
                let n = walk.words.len();
                for gate in &level.gates {
                    let (before, after) = walk.x.split_at_mut(gate.out * n);
                    let half = &mut after[..n];
                    half.copy_from_slice(plane(&walk.y, gate.out, n));
                    for term in &gate.terms {
                        let share = chosen(term.mask, &walk.y, &walk.material, n);
                        add_product(half, share, &term.public, before);
                    }
                }
                let nodes = &walk.x[level.nodes.start * n..level.nodes.end * n];
                p.party.send(p.online_peer(), step, number(tile), nodes)?;
            }
        }
        for (tile, walk) in walks.iter_mut().enumerate() {
            let circuit = &circuits[walk.operand];
            if let Some(level) = circuit.levels.get(depth) {
                merge(p, walk, step, number(tile), level.nodes.clone())?;
                let n = walk.words.len();
                let leaf = walk.told.len() / n - circuit.gate_dealt;
                for gate in &level.gates {
                    let (before, after) = walk.x.split_at_mut(gate.out * n);
                    for factors in &gate.products {
                        add_product(&mut after[..n], plane(before, factors[0], n), &factors[1..], before);
                    }
                    for (index, nodes) in &gate.dealt {
                        let told = &mut walk.told[(leaf + index) * n..(leaf + index + 1) * n];
                        add_product(told, plane(before, nodes[0], n), &nodes[1..], before);
                    }
                    if let Some(linear) = gate.linear {
                        fold_linear(&mut walk.x, gate.out, linear, n);
                        fold_linear(&mut walk.y, gate.out, linear, n);
                    }
                }
            }
        }
    }
    Ok(())
}

/// Adds the peer's half to the values of some nodes.
fn merge(p: &mut Rep4, walk: &mut Walk, step: u64, tile: usize, nodes: Range<usize>) -> Result<()> {
    let n = walk.words.len();
    let mut theirs = p.buffer(nodes.len() * n);
    p.party.recv(p.online_peer(), step, tile, &mut theirs)?;
    xor_assign(&mut walk.x[nodes.start * n..nodes.end * n], &theirs);
    p.recycle([theirs]);
    Ok(())
}

/// Online pair: what the checker is told, and `m = A ^ U` of every node.
fn vouch(p: &mut Rep4, circuit: &Comparator, walk: &mut Walk, step: u64, tile: usize) -> Result<()> {
    let n = walk.words.len();
    p.tell_checker(step, tile, &walk.told)?;
    let mut u = p.drawn(OTHER, step, Z, tile, circuit.nodes * n);
    for gate in circuit.levels.iter().flat_map(|level| &level.gates) {
        if let Some(linear) = gate.linear {
            fold_linear(&mut u, gate.out, linear, n);
        }
    }
    xor_assign(&mut u, &walk.x);
    p.agree(&u);
    p.recycle([u]);
    Ok(())
}

/// Checker: `B` of every node, leaves by looking up `r` in the masked thermometer of `c`, then gate after gate; and `m = B ^ L`.
fn check(p: &mut Rep4, o: &Operand, circuit: &Comparator, walk: &mut Walk, step: u64, tile: usize) -> Result<()> {
    let n = walk.words.len();
    let leaf = leaf_planes(circuit, o.sign);
    p.party.recv(DEALER, step, tile, &mut walk.x)?;
    let mut told = p.buffer(planes(circuit, o.sign) * n);
    p.told_by_pair(step, tile, &mut told)?;
    look_up_thermometers(p, o, circuit, &walk.words, &told, u64::MAX, &mut walk.x);
    if o.sign {
        // The sign of L is the checker's own.
        let top = circuit.blocks.last().expect("at least one block").generate;
        xor_assign(&mut walk.x[top * n..(top + 1) * n], plane(&walk.material, circuit.leaf_dealt, n));
    }
    // m = B ^ L of every node, gate after gate.
    let mut m = p.buffer(circuit.nodes * n);
    for node in 0..circuit.leaf_nodes {
        sum_of_planes(&mut m, node, &walk.x, &walk.y, n);
    }
    for gate in circuit.levels.iter().flat_map(|level| &level.gates) {
        let b = &mut walk.x[gate.out * n..(gate.out + 1) * n];
        for term in &gate.terms {
            let mask = chosen(term.mask, &walk.y, &walk.material[leaf * n..], n);
            match term.public_factor {
                Some(factor) => add_and(b, mask, chosen(factor, &m, &told[leaf * n..], n)),
                None => xor_assign(b, mask),
            }
        }
        gate.whole.iter().for_each(|index| xor_assign(b, plane(&told, leaf + index, n)));
        if let Some(linear) = gate.linear {
            fold_linear(&mut walk.x, gate.out, linear, n);
        }
        sum_of_planes(&mut m, gate.out, &walk.x, &walk.y, n);
    }
    p.agree(&m);
    p.recycle([m, told]);
    Ok(())
}

/// Plane `node` of `out` becomes the sum of those of `x` and `y`.
fn sum_of_planes(out: &mut [u64], node: usize, x: &[u64], y: &[u64], n: usize) {
    let out = &mut out[node * n..(node + 1) * n];
    out.copy_from_slice(plane(x, node, n));
    xor_assign(out, plane(y, node, n));
}
