//! Carries of sums of shared numbers, written once over anything that has bits and ANDs: shares, or their extents alone, which gives the price.
//! A place generates a carry or passes on that from below; places are planes, lowest first.

use super::Session;
use super::source::BitTriples;
use crate::BitShare;
use crate::Result;
use crate::share::{Planes, plane_words};

/// Bits in planes.
pub(crate) trait Wires: Clone {
    fn width(&self) -> usize;
    fn xor(&self, o: &Self) -> Self;
    /// The planes of these numbers; zeros where there is none.
    fn pick(&self, planes: impl Iterator<Item = Option<usize>>) -> Self;
    /// Planes above each other, the first lowest.
    fn above(parts: &[&Self]) -> Self;
    /// Some planes.
    fn planes(&self, range: std::ops::Range<usize>) -> Self {
        self.pick(range.map(Some))
    }
}

/// Whatever ANDs planes, all jobs in one round.
pub(crate) trait Gates {
    type W: Wires;
    fn and(&mut self, jobs: &[(&Self::W, &Self::W)]) -> Result<Vec<Self::W>>;
}

impl Wires for Planes {
    fn width(&self) -> usize {
        BitShare::width(self)
    }
    fn xor(&self, o: &Self) -> Self {
        BitShare::xor(self, o)
    }
    fn pick(&self, planes: impl Iterator<Item = Option<usize>>) -> Self {
        let n = plane_words(self.len());
        let (mut words, mut width) = (Vec::new(), 0);
        for plane in planes {
            match plane {
                Some(i) => words.extend_from_slice(self.plane_words(i)),
                None => words.resize(words.len() + n, 0),
            }
            width += 1;
        }
        Planes::new(self.len(), width, words)
    }
    fn above(parts: &[&Self]) -> Self {
        let width = parts.iter().map(|part| BitShare::width(*part)).sum();
        Planes::new(parts[0].len(), width, parts.iter().flat_map(|part| part.words()).copied().collect())
    }
}

/// The extents of planes alone.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub words: usize,
    pub width: usize,
}

impl Extent {
    /// Planes over so many elements.
    pub fn new(len: usize, width: usize) -> Self {
        Extent { words: plane_words(len), width }
    }
}

impl Wires for Extent {
    fn width(&self) -> usize {
        self.width
    }
    fn xor(&self, _: &Self) -> Self {
        *self
    }
    fn pick(&self, planes: impl Iterator<Item = Option<usize>>) -> Self {
        Extent { width: planes.count(), ..*self }
    }
    fn above(parts: &[&Self]) -> Self {
        Extent { width: parts.iter().map(|part| part.width).sum(), ..*parts[0] }
    }
}

/// Words that are ANDed, level after level.
#[derive(Default)]
pub(crate) struct Levels(pub Vec<usize>);

impl Levels {
    /// The levels of a gadget.
    pub fn of<T>(gadget: impl FnOnce(&mut Levels) -> Result<T>) -> Levels {
        let mut levels = Levels::default();
        // Extents cannot fail.
        drop(gadget(&mut levels));
        levels
    }
    /// All of them together.
    pub fn total(&self) -> usize {
        self.0.iter().sum()
    }
}

impl Gates for Levels {
    type W = Extent;
    fn and(&mut self, jobs: &[(&Extent, &Extent)]) -> Result<Vec<Extent>> {
        self.0.push(jobs.iter().map(|(x, _)| x.words * x.width).sum());
        Ok(jobs.iter().map(|(x, _)| **x).collect())
    }
}

/// ANDs of shares by triples that are there already, one round for each call.
pub(crate) struct Ands<'a> {
    pub session: &'a mut Session,
    pub triples: BitTriples,
}

impl Gates for Ands<'_> {
    type W = Planes;
    fn and(&mut self, jobs: &[(&Planes, &Planes)]) -> Result<Vec<Planes>> {
        for (x, y) in jobs {
            assert_eq!((x.len(), Wires::width(*x)), (y.len(), Wires::width(*y)), "AND operands have one extent");
        }
        let joined = |pick: fn(&(&Planes, &Planes)) -> Vec<u64>| jobs.iter().flat_map(pick).collect::<Vec<u64>>();
        let (x, y) = (joined(|job| job.0.words().to_vec()), joined(|job| job.1.words().to_vec()));
        let triples = self.triples.take(x.len());
        let all = super::and_words(self.session, triples, &x, &y)?;
        let mut rest = &all[..];
        let mut next = |(x, _): &(&Planes, &Planes)| {
            let (head, tail) = rest.split_at(x.words().len());
            rest = tail;
            Planes::new(x.len(), Wires::width(*x), head.to_vec())
        };
        Ok(jobs.iter().map(&mut next).collect())
    }
}

/// Joins neighbours, `g = g_h ^ p_h g_l`, `p = p_h p_l`; an odd one at the top stays. What the lowest passes on is never used.
fn pairs<G: Gates>(gates: &mut G, generate: &G::W, pass: &G::W) -> Result<(G::W, G::W)> {
    let width = generate.width();
    let (pairs, odd) = (width / 2, width - width % 2..width);
    let lower = |bits: &G::W, from: usize| bits.pick((from..pairs).map(|i| Some(2 * i)));
    let upper = |bits: &G::W, from: usize| bits.pick((from..pairs).map(|i| Some(2 * i + 1)));
    let (above, below) = (upper(pass, 0), lower(generate, 0));
    let (above_pass, below_pass) = (upper(pass, 1), lower(pass, 1));
    let joined = gates.and(&[(&above, &below), (&above_pass, &below_pass)])?;
    let carried = upper(generate, 0).xor(&joined[0]);
    let unused = pass.planes(0..1);
    Ok((
        G::W::above(&[&carried, &generate.planes(odd.clone())]),
        G::W::above(&[&unused, &joined[1], &pass.planes(odd)]),
    ))
}

/// Whether the top place carries: a tree.
pub(crate) fn carry_out<G: Gates>(gates: &mut G, generate: G::W, pass: G::W) -> Result<G::W> {
    let (mut generate, mut pass) = (generate, pass);
    while generate.width() > 1 {
        (generate, pass) = pairs(gates, &generate, &pass)?;
    }
    Ok(generate)
}

/// The carry out of every place (Brent, Kung): twice the depth of the tree, and half as many ANDs more.
pub(crate) fn carries<G: Gates>(gates: &mut G, generate: G::W, pass: G::W) -> Result<G::W> {
    let width = generate.width();
    if width <= 1 {
        return Ok(generate);
    }
    let (joined, joined_pass) = pairs(gates, &generate, &pass)?;
    let upper = carries(gates, joined, joined_pass)?;
    // Places 2, 4, ..: of the others the carries are there.
    let between = |bits: &G::W| bits.pick((1..width / 2).map(|i| Some(2 * i)));
    let below = upper.planes(0..(width / 2).saturating_sub(1));
    let through = gates.and(&[(&between(&pass), &below)])?.remove(0);
    let lower = between(&generate).xor(&through);
    let all = G::W::above(&[&generate.planes(0..1), &lower, &upper]);
    // The lowest, those between, then the upper ones.
    let place = |i: usize| match i {
        0 => 0,
        i if i % 2 == 1 => width / 2 + i / 2,
        i if i + 1 == width => width / 2 + i / 2,
        i => i / 2,
    };
    Ok(all.pick((0..width).map(|i| Some(place(i)))))
}

/// Several integers become two of the same sum modulo their width: three become two for one AND.
fn carry_save<G: Gates>(gates: &mut G, mut numbers: Vec<G::W>) -> Result<[G::W; 2]> {
    while numbers.len() > 2 {
        let triples: Vec<&[G::W]> = numbers.chunks_exact(3).collect();
        let factors: Vec<[G::W; 2]> = triples.iter().map(|t| [t[0].xor(&t[2]), t[1].xor(&t[2])]).collect();
        let products = gates.and(&factors.iter().map(|[x, y]| (x, y)).collect::<Vec<_>>())?;
        let mut next = Vec::with_capacity(2 * triples.len() + 2);
        for ((triple, product), [first, _]) in triples.iter().zip(&products).zip(&factors) {
            let carries = product.xor(&triple[2]);
            next.push(first.xor(&triple[1]));
            next.push(carries.pick((0..carries.width()).map(|i| i.checked_sub(1))));
        }
        let rest = triples.len() * 3;
        next.extend(numbers.drain(rest..));
        numbers = next;
    }
    Ok(numbers.try_into().unwrap_or_else(|_| unreachable!("two or more numbers are added")))
}

/// The bits from one on of the sum of several integers, modulo 2 to their width.
pub(crate) fn sum<G: Gates>(gates: &mut G, numbers: Vec<G::W>, from: usize) -> Result<G::W> {
    let [a, b] = carry_save(gates, numbers)?;
    let width = a.width();
    let pass = a.xor(&b);
    let generate = gates.and(&[(&a.planes(0..width - 1), &b.planes(0..width - 1))])?.remove(0);
    let upper = pass.planes(from..width);
    let (generate, passed, into) = match from {
        0 => (generate, pass.planes(0..width - 1), pass.pick(std::iter::once(None))),
        _ => {
            let carry = carry_out(gates, generate.planes(0..from), pass.planes(0..from))?;
            let generate = G::W::above(&[&carry, &generate.planes(from..width - 1)]);
            let passed = G::W::above(&[&carry, &pass.planes(from..width - 1)]);
            (generate, passed, pass.planes(0..0))
        }
    };
    let carries = carries(gates, generate, passed)?;
    Ok(upper.xor(&G::W::above(&[&into, &carries])))
}
