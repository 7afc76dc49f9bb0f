//! What masked sharings of any number of parties compute locally: tiles, lanes, shifts, look-ups over bit planes.

mod lanes;
mod leaves;
pub(crate) mod terms;

pub(crate) use lanes::*;
pub(crate) use leaves::*;

use crate::share::Planes;
use crate::{BitShare, Config, Error, Protocol, Result, Share, TruncMode};
use privity_ring::{Shape, Tensor, simd::vectorise};
use std::ops::Range;
use std::sync::Arc;

/// Elements per frame of word-sized data: 128 KiB.
pub(crate) const TILE: usize = 1 << 14;
/// Elements whose messages are posted before the first is awaited. Larger operations run in batches of this size, one
/// after the other, so that memory in flight is bounded.
pub(crate) const BATCH: usize = 1 << 22;

/// One party's part of an arithmetic sharing: two tensors, whose meaning is that of the protocol and the party (`rep3`:
/// `(l1, l2)`, `(A, l1)`, `(A, l2)`; `rep4`: `(B, L)`, `(A, l1)`, `(A, l2)`, `(L, U)`).
#[derive(Clone)]
pub struct ArithmeticShare {
    pub(crate) x: Tensor<u64>,
    pub(crate) y: Tensor<u64>,
}

impl ArithmeticShare {
    pub(crate) fn zeros(shape: &Shape) -> Self {
        ArithmeticShare { x: Tensor::zeros(shape), y: Tensor::zeros(shape) }
    }
}

impl std::fmt::Debug for ArithmeticShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ArithmeticShare{:?}", self.x.shape().extents())
    }
}

impl Share for ArithmeticShare {
    type R = u64;
    fn shape(&self) -> &Shape {
        self.x.shape()
    }
    fn map(&self, f: impl Fn(&Tensor<u64>) -> Tensor<u64>) -> Self {
        ArithmeticShare { x: f(&self.x), y: f(&self.y) }
    }
    fn zip(&self, o: &Self, f: impl Fn(&Tensor<u64>, &Tensor<u64>) -> Tensor<u64>) -> Self {
        ArithmeticShare { x: f(&self.x, &o.x), y: f(&self.y, &o.y) }
    }
    fn concat_rows(parts: &[&Self]) -> Self {
        let component = |pick: fn(&Self) -> &Tensor<u64>| {
            Tensor::concat_rows(&parts.iter().map(|share| pick(share)).collect::<Vec<_>>())
        };
        ArithmeticShare { x: component(|s| &s.x), y: component(|s| &s.y) }
    }
    fn parts(&self) -> Vec<&Tensor<u64>> {
        vec![&self.x, &self.y]
    }
    fn from_parts(parts: Vec<Tensor<u64>>) -> Option<Self> {
        let [x, y] = <[Tensor<u64>; 2]>::try_from(parts).ok()?;
        (x.shape() == y.shape()).then_some(ArithmeticShare { x, y })
    }
}

/// One party's part of a Boolean sharing, components as in [`ArithmeticShare`].
#[derive(Clone, Debug)]
pub struct BooleanShare {
    pub(crate) x: Planes,
    pub(crate) y: Planes,
    /// Set once the sharing is armed: what this party keeps for sums of this bit times values.
    pub(crate) armed: Option<Arc<Armed>>,
}

/// What a party keeps of an armed bit, a word for each: the online pair shares of the mask bit; under `rep4` the checker the masked bit
/// under another mask, the dealer that mask. Empty at the mask owner of `rep3`. `Debug` shows nothing.
pub(crate) struct Armed(pub Vec<u64>);

impl std::fmt::Debug for Armed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("armed")
    }
}

impl BooleanShare {
    pub(crate) fn new(x: Planes, y: Planes) -> Self {
        BooleanShare { x, y, armed: None }
    }
    pub(crate) fn zeros(len: usize, width: usize) -> Self {
        BooleanShare::new(Planes::zeros(len, width), Planes::zeros(len, width))
    }
    /// Every bit `i` becomes bit `i + by`; zeros enter below.
    pub(crate) fn shifted(&self, by: usize) -> Self {
        BooleanShare::new(shift_up(&self.x, by), shift_up(&self.y, by))
    }
    pub(crate) fn with_armed(&self, words: Vec<u64>) -> Self {
        BooleanShare { armed: Some(Arc::new(Armed(words))), ..self.clone() }
    }
}

impl BitShare for BooleanShare {
    fn len(&self) -> usize {
        self.x.len()
    }
    fn width(&self) -> usize {
        self.x.width()
    }
    fn xor(&self, o: &Self) -> Self {
        BooleanShare::new(self.x.xor(&o.x), self.y.xor(&o.y))
    }
    fn plane(&self, i: usize) -> Self {
        BooleanShare::new(self.x.plane(i), self.y.plane(i))
    }
    fn stack(planes: &[&Self]) -> Self {
        let parts = |pick: fn(&Self) -> &Planes| Planes::stack(&planes.iter().map(|p| pick(p)).collect::<Vec<_>>());
        BooleanShare::new(parts(|p| &p.x), parts(|p| &p.y))
    }
}

/// `minuend - subtrahend` of shared bits: borrows by a Kogge-Stone prefix over `[minuend < subtrahend]` of each place. One AND, then two
/// side by side for each doubling of the width.
pub(crate) fn subtract<P: Protocol>(
    p: &mut P,
    minuend: &P::B,
    subtrahend: &P::B,
    shifted: impl Fn(&P::B, usize) -> P::B,
    and: impl Fn(&mut P, &[(&P::B, &P::B)]) -> Result<Vec<P::B>>,
) -> Result<P::B> {
    let difference = minuend.xor(subtrahend);
    let mut propagate = p.not(&difference);
    let inverse = p.not(minuend);
    let mut borrow = and(p, &[(&inverse, subtrahend)])?.remove(0);
    let mut distance = 1;
    while distance < minuend.width() {
        let (moved_borrow, moved_propagate) = (shifted(&borrow, distance), shifted(&propagate, distance));
        let mut joined = and(p, &[(&propagate, &moved_borrow), (&propagate, &moved_propagate)])?;
        propagate = joined.pop().expect("two products");
        borrow = borrow.xor(&joined.pop().expect("two products"));
        distance *= 2;
    }
    Ok(difference.xor(&shifted(&borrow, 1)))
}

/// A tile of a job: job index, tile number (unique in the step), element range.
pub(crate) type Unit = (usize, usize, Range<usize>);

/// Groups the tiles of results of the given sizes into batches of at most [`BATCH`] elements (at least one tile).
pub(crate) fn batches(sizes: impl Iterator<Item = usize>) -> Vec<Vec<Unit>> {
    let (mut all, mut batch, mut elements, mut number) = (Vec::new(), Vec::new(), 0, 0);
    for (job, len) in sizes.enumerate() {
        for (_, range) in tiles(len) {
            if elements + range.len() > BATCH {
                all.push(std::mem::take(&mut batch));
                elements = 0;
            }
            elements += range.len();
            batch.push((job, number, range));
            number += 1;
        }
    }
    all.push(batch);
    all
}

/// The tiles of `len` elements: index and range.
pub(crate) fn tiles(len: usize) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
    (0..len.div_ceil(TILE)).map(move |t| (t, t * TILE..len.min((t + 1) * TILE)))
}

/// Keeps the masked value in `[0, 2^63)` for magnitudes below 2^62, so that at most one wrap can happen.
pub(crate) const OFFSET: u64 = 1 << 62;

/// Exact mode adds half a unit, so that the floor rounds half up.
pub(crate) fn offset(mode: TruncMode, shift: u32) -> u64 {
    match mode {
        TruncMode::Fast => OFFSET,
        TruncMode::Exact => OFFSET + (1 << (shift - 1)),
    }
}

/// Packs the top bit of each word.
pub(crate) fn top_bits(words: &[u64]) -> Vec<u64> {
    vectorise(|| {
        let pack = |chunk: &[u64]| chunk.iter().enumerate().fold(0, |word, (i, w)| word | (w >> 63) << i);
        words.chunks(64).map(pack).collect()
    })
}

#[inline(always)]
pub(crate) fn fuse(o: &mut [u64], a: &[u64], b: &[u64], c: &[u64], d: &[u64], f: impl Fn(u64, u64, u64, u64) -> u64) {
    for (o, (((a, b), c), d)) in o.iter_mut().zip(a.iter().zip(b).zip(c).zip(d)) {
        *o = f(*a, *b, *c, *d);
    }
}

/// `x += y`.
pub(crate) fn add_assign(x: &mut [u64], y: &[u64]) {
    vectorise(|| x.iter_mut().zip(y).for_each(|(x, y)| *x = x.wrapping_add(*y)));
}

/// `x -= y`.
pub(crate) fn sub_assign(x: &mut [u64], y: &[u64]) {
    vectorise(|| x.iter_mut().zip(y).for_each(|(x, y)| *x = x.wrapping_sub(*y)));
}

/// The same for numbers that are residues modulo 2^61 - 1, which leave less room.
pub(crate) fn check_field_config(config: &Config) -> Result<()> {
    check_config(config)?;
    if config.room > Config::FIELD_ROOM {
        let problem = format!("room for {} bits; a field has room for {}", config.room, Config::FIELD_ROOM);
        return Err(Error::Parameter { operation: "fixed-point format", problem });
    }
    Ok(())
}

/// Refuses formats that the truncation and comparison arguments do not cover.
pub(crate) fn check_config(config: &Config) -> Result<()> {
    let (frac, width) = (config.fixed.frac, config.width);
    if !(1..=30).contains(&frac) {
        let problem = format!("{frac} fraction bits; 1 to 30 are supported");
        return Err(Error::Parameter { operation: "fixed-point format", problem });
    }
    if !(2..=48).contains(&width) {
        let problem = format!("width {width}; comparisons read 2 to 48 bits");
        return Err(Error::Parameter { operation: "comparison width", problem });
    }
    Ok(())
}
