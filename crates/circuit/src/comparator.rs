//! The comparison of two numbers, as data: which nodes it has, which gates join them, in which order. Protocols walk these
//! tables over packed bit planes.

use std::collections::BTreeMap;

/// Bits per leaf block: a block of the dealer's operand is shared as its 2^4 - 1 thermometer bits.
pub const LEAF_BITS: usize = 4;

/// A less-than comparator `[c < r]` over `bits`-bit operands, `c` known to the evaluators and `r` to a dealer.
///
/// Leaves are blocks of up to [`LEAF_BITS`] bits, each giving a *generate* node `G = [c_b < r_b]` and (except the lowest)
/// a *propagate* node `P = [c_b = r_b]`. Levels join up to `radix` neighbours:
/// `G = G_hi + P_hi G_.. + ..`, `P = P_hi P_..`, addition being XOR. Nodes are numbered in the order they are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparator {
    /// Leaf blocks, lowest first: first bit and number of bits.
    pub blocks: Vec<Block>,
    /// Joining levels, in order; one exchange each.
    pub levels: Vec<Level>,
    /// Number of nodes, leaves included.
    pub nodes: usize,
    /// Nodes made by the leaves.
    pub leaf_nodes: usize,
    /// Thermometer bits of all blocks.
    pub leaf_dealt: usize,
    /// Mask products of all levels.
    pub gate_dealt: usize,
    /// The node that is the result.
    pub result: usize,
}

/// A leaf block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Lowest bit.
    pub first: usize,
    /// Number of bits, 1 to [`LEAF_BITS`].
    pub bits: usize,
    /// Node of `G`.
    pub generate: usize,
    /// Node of `P`; the lowest block needs none.
    pub propagate: Option<usize>,
    /// Index of its first thermometer bit among all dealt leaf bits.
    pub dealt: usize,
}

/// Gates that share an exchange. Their output nodes are `nodes.start..nodes.end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// The gates.
    pub gates: Vec<Join>,
    /// Output nodes.
    pub nodes: std::ops::Range<usize>,
}

/// One output node as a sum of products of earlier nodes, plus one earlier node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The node made.
    pub out: usize,
    /// A node added without a product, if any.
    pub linear: Option<usize>,
    /// The products' factors.
    pub products: Vec<Vec<usize>>,
    /// The index of each product of all factors, among the mask products.
    pub whole: Vec<usize>,
    /// Every `factors / S` times the mask of `S`, for non-empty `S` of each product. A product of masks and one of public values over the
    /// same nodes have one index.
    pub terms: Vec<Term>,
    /// Products first needed by this gate: index among all, and the nodes multiplied.
    pub dealt: Vec<(usize, Vec<usize>)>,
}

/// A masked cross term: the public parts of some nodes times a shared mask (product).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Nodes whose public (masked) values are multiplied.
    pub public: Vec<usize>,
    /// The same as one factor; `None` if there is none.
    pub public_factor: Option<Factor>,
    /// The mask multiplied, which the evaluators hold additively.
    pub mask: Factor,
}

/// One node, or a product of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// A node.
    Node(usize),
    /// The product with this index.
    Product(usize),
}

impl Comparator {
    /// The comparator of `bits >= 1` bits with joins of fan-in `radix` (2 to 4).
    ///
    /// # Panics
    /// On parameters outside these ranges: they come from the program.
    pub fn new(bits: usize, radix: usize) -> Self {
        assert!(bits >= 1 && (2..=4).contains(&radix), "a comparator needs a bit and a fan-in of 2 to 4");
        let mut nodes = 0;
        let mut node = || {
            nodes += 1;
            nodes - 1
        };
        let mut blocks = Vec::new();
        let mut dealt = 0;
        for first in (0..bits).step_by(LEAF_BITS) {
            let size = LEAF_BITS.min(bits - first);
            let generate = node();
            let propagate = (first > 0).then(&mut node);
            blocks.push(Block { first, bits: size, generate, propagate, dealt });
            dealt += (1 << size) - 1;
        }
        let leaf_nodes = nodes;
        let mut row: Vec<(usize, Option<usize>)> = blocks.iter().map(|b| (b.generate, b.propagate)).collect();
        let (mut levels, mut gate_dealt) = (Vec::new(), 0);
        while row.len() > 1 {
            let (level, next) = join(&row, radix, &mut nodes, &mut gate_dealt);
            levels.push(level);
            row = next;
        }
        Comparator { blocks, levels, nodes, leaf_nodes, leaf_dealt: dealt, gate_dealt, result: row[0].0 }
    }

    /// Exchanges on the critical path.
    pub fn rounds(&self) -> usize {
        1 + self.levels.len()
    }
}

type Row = Vec<(usize, Option<usize>)>;

/// Joins neighbours of a row, lowest first, into the next row.
fn join(row: &Row, radix: usize, nodes: &mut usize, dealt: &mut usize) -> (Level, Row) {
    let start = *nodes;
    let (mut gates, mut next) = (Vec::new(), Vec::new());
    for (i, group) in row.chunks(radix).enumerate() {
        if let [alone] = group {
            next.push(*alone);
            continue;
        }
        let mut products_seen = BTreeMap::new();
        let propagates: Vec<usize> =
            group.iter().skip(1).map(|n| n.1.expect("only the lowest node has no P")).collect();
        let generate = {
            let last = group.len() - 1;
            let products = (0..last).map(|j| [&[group[j].0], &propagates[j..]].concat()).collect();
            gate(nodes, dealt, &mut products_seen, Some(group[last].0), products)
        };
        let propagate = (i > 0).then(|| {
            let product = group.iter().map(|n| n.1.expect("only the lowest node has no P")).collect();
            gate(nodes, dealt, &mut products_seen, None, vec![product])
        });
        next.push((generate.out, propagate.as_ref().map(|g| g.out)));
        gates.push(generate);
        gates.extend(propagate);
    }
    (Level { gates, nodes: start..*nodes }, next)
}

fn gate(
    nodes: &mut usize,
    dealt: &mut usize,
    seen: &mut BTreeMap<Vec<usize>, usize>,
    linear: Option<usize>,
    products: Vec<Vec<usize>>,
) -> Join {
    let out = *nodes;
    *nodes += 1;
    let (mut terms, mut whole, mut new) = (Vec::new(), Vec::new(), Vec::new());
    let mut factor = |mut nodes: Vec<usize>| {
        nodes.sort_unstable();
        match nodes[..] {
            [one] => Factor::Node(one),
            _ => Factor::Product(*seen.entry(nodes.clone()).or_insert_with(|| {
                new.push((*dealt, nodes));
                *dealt += 1;
                *dealt - 1
            })),
        }
    };
    for factors in &products {
        let all = (1usize << factors.len()) - 1;
        for subset in 1..=all {
            let pick = |inside: bool| -> Vec<usize> {
                let chosen = factors.iter().enumerate().filter(|(i, _)| (subset >> i & 1 == 1) == inside);
                chosen.map(|(_, &n)| n).collect()
            };
            let mask = factor(pick(true));
            let public = pick(false);
            let public_factor = (subset < all).then(|| factor(public.clone()));
            if let (true, Factor::Product(index)) = (subset == all, mask) {
                whole.push(index);
            }
            terms.push(Term { public, public_factor, mask });
        }
    }
    Join { out, linear, products, whole, terms, dealt: new }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evaluates the circuit in the clear.
    fn less_than(circuit: &Comparator, c: u64, r: u64) -> bool {
        let mut value = vec![false; circuit.nodes];
        for b in &circuit.blocks {
            let low = |x: u64| x >> b.first & ((1 << b.bits) - 1);
            value[b.generate] = low(c) < low(r);
            if let Some(p) = b.propagate {
                value[p] = low(c) == low(r);
            }
        }
        for gate in circuit.levels.iter().flat_map(|l| &l.gates) {
            let products = gate.products.iter().map(|p| p.iter().all(|&n| value[n]));
            value[gate.out] = gate.linear.is_some_and(|n| value[n]) ^ products.fold(false, |s, v| s ^ v);
        }
        value[circuit.result]
    }

    #[test]
    fn compares_like_integers() {
        let mut x = 1u64;
        for bits in 1..=63 {
            for radix in 2..=4 {
                let circuit = Comparator::new(bits, radix);
                for _ in 0..200 {
                    x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let c = x >> 1 & ((1 << bits) - 1);
                    let near = [c, c.wrapping_add(1), c.wrapping_sub(1), x.rotate_left(29)][(x >> 60 & 3) as usize];
                    let r = near & ((1 << bits) - 1);
                    assert_eq!(less_than(&circuit, c, r), c < r, "{bits} bits, radix {radix}: {c} < {r}");
                }
            }
        }
    }

    #[test]
    fn counts_are_those_of_the_specification() {
        // docs/protocols/rep3.md, Table 6: 31 low bits of a 32-bit sign.
        let four = Comparator::new(31, 4);
        assert_eq!((four.leaf_dealt, four.leaf_nodes, four.gate_dealt, four.rounds()), (112, 15, 38, 3));
        let two = Comparator::new(31, 2);
        assert_eq!((two.leaf_dealt, two.leaf_nodes, two.gate_dealt, two.rounds()), (112, 15, 11, 4));
        assert_eq!(two.nodes, 15 + 11);
    }
}
