//! Values of polynomials at further points. Where points follow each other, the next value comes by differences, without a product.

use super::{M61, combine};
use crate::Ring;
use crate::simd::vectorise;
use std::ops::RangeInclusive;

/// How vectors of values at some points, one more than the polynomials' degree, become those at others.
#[derive(Clone, Debug)]
pub struct Extrapolation {
    /// Values that are weighted sums of those known.
    sums: Vec<Vec<M61>>,
    /// Values at points that follow each other, as many as are known; none if all that is wanted are sums.
    window: Vec<From>,
    /// For each point below the window, downwards, the place of what is wanted there; above it, upwards.
    below: Vec<Option<usize>>,
    above: Vec<Option<usize>>,
    /// The place that a sum is wanted at, if it is.
    places: Vec<Option<usize>>,
    wanted: usize,
}

#[derive(Clone, Copy, Debug)]
enum From {
    Known(usize),
    Sum(usize),
}

impl Extrapolation {
    /// From the values at `known` to those at `wanted`; points are distinct, and small.
    pub fn new(known: &[i64], wanted: &[i64]) -> Self {
        let sums = Self::sums(known, wanted);
        let points = || known.iter().chain(wanted);
        let (Some(lowest), Some(highest)) = (points().min(), points().max()) else { return sums };
        let last = highest + 1 - known.len() as i64;
        let windows = (*lowest..=last).map(|from| Self::stepping(known, wanted, from..=from + known.len() as i64 - 1));
        windows.chain([sums]).min_by_key(Self::work).expect("all as sums")
    }
    /// Each wanted value as a sum.
    fn sums(known: &[i64], wanted: &[i64]) -> Self {
        Extrapolation {
            sums: wanted.iter().map(|at| lagrange(known, *at)).collect(),
            places: (0..wanted.len()).map(Some).collect(),
            wanted: wanted.len(),
            window: Vec::new(),
            below: Vec::new(),
            above: Vec::new(),
        }
    }
    /// What a window lacks as sums, all else by steps from it.
    fn stepping(known: &[i64], wanted: &[i64], window: RangeInclusive<i64>) -> Self {
        let place = |at: i64| wanted.iter().position(|point| *point == at);
        let (mut sums, mut places) = (Vec::new(), Vec::new());
        let mut from = |at: i64| match known.iter().position(|point| *point == at) {
            Some(i) => From::Known(i),
            None => {
                sums.push(lagrange(known, at));
                places.push(place(at));
                From::Sum(sums.len() - 1)
            }
        };
        let (low, high) = window.clone().into_inner();
        let window = window.map(&mut from).collect();
        let lowest = wanted.iter().copied().min().unwrap_or(low);
        let highest = wanted.iter().copied().max().unwrap_or(high);
        Extrapolation {
            window,
            below: (lowest..low).rev().map(place).collect(),
            above: (high + 1..=highest).map(place).collect(),
            sums,
            places,
            wanted: wanted.len(),
        }
    }
    /// Vector instructions for each vector of elements, roughly.
    fn work(&self) -> usize {
        let degree = self.window.len().saturating_sub(1);
        let known = self.sums.first().map_or(0, Vec::len);
        let side = |steps: usize| if steps == 0 { 0 } else { 3 * degree * (degree + 1) / 2 + 3 * degree * steps };
        self.sums.len() * (12 * known + 16) + side(self.below.len()) + side(self.above.len())
    }
    /// The vectors at the wanted points, in their order, from those at the known ones, in theirs. All are residues.
    ///
    /// # Panics
    /// If there are not as many vectors as points, or not all of one length.
    pub fn run(&self, known: &[&[u64]]) -> Vec<Vec<u64>> {
        let len = known.first().map_or(0, |values| values.len());
        let mut out = vec![Vec::new(); self.wanted];
        let mut sums = vec![vec![0; len]; self.sums.len()];
        for (weights, sum) in self.sums.iter().zip(&mut sums) {
            assert_eq!(weights.len(), known.len(), "a vector for each point");
            let terms: Vec<(M61, &[u64])> = weights.iter().copied().zip(known.iter().copied()).collect();
            combine(sum, &terms);
        }
        let value = |from: &From| match from {
            From::Known(i) => known[*i],
            From::Sum(i) => &sums[*i],
        };
        let mut window: Vec<&[u64]> = self.window.iter().map(value).collect();
        step(&window, &self.below, &mut out);
        window.reverse();
        step(&window, &self.above, &mut out);
        for (sum, place) in sums.into_iter().zip(&self.places) {
            if let Some(place) = place {
                out[*place] = sum;
            }
        }
        out
    }
}

/// Elements whose differences stay in the nearest cache.
const BLOCK: usize = 64;

/// From values at `a`, `a + 1`, and so on those at `a - 1`, `a - 2`, and so on: as many as there are places, each put where its place says.
fn step(window: &[&[u64]], places: &[Option<usize>], out: &mut [Vec<u64>]) {
    let (Some(first), false) = (window.first(), places.is_empty()) else { return };
    places.iter().flatten().for_each(|place| out[*place] = Vec::with_capacity(first.len()));
    let mut table = vec![[0; BLOCK]; window.len()];
    for from in (0..first.len()).step_by(BLOCK) {
        let range = from..first.len().min(from + BLOCK);
        vectorise(
            #[inline(always)]
            || {
                for (row, values) in table.iter_mut().zip(window) {
                    row[..range.len()].copy_from_slice(&values[range.clone()]);
                }
                match table.as_mut_slice() {
                    [a, b] => differences([a, b]),
                    [a, b, c] => differences([a, b, c]),
                    [a, b, c, d] => differences([a, b, c, d]),
                    many => (1..many.len())
                        .for_each(|order| (order..many.len()).rev().for_each(|row| subtract(many, row, row - 1))),
                }
                for place in places {
                    match table.as_mut_slice() {
                        [a, b] => before([a, b]),
                        [a, b, c] => before([a, b, c]),
                        [a, b, c, d] => before([a, b, c, d]),
                        many => (1..many.len()).rev().for_each(|row| subtract(many, row - 1, row)),
                    }
                    if let Some(place) = place {
                        out[*place].extend_from_slice(&table[0][..range.len()]);
                    }
                }
            },
        );
    }
}

/// Of values the differences: row `k` gets that of order `k` at `a`. Of few rows those of an element stay in registers.
#[inline(always)]
fn differences<const N: usize>(table: [&mut [u64; BLOCK]; N]) {
    for i in 0..BLOCK {
        let mut column: [u64; N] = std::array::from_fn(|row| table[row][i]);
        for order in 1..N {
            for row in (order..N).rev() {
                column[row] = less(column[row], column[row - 1]);
            }
        }
        for row in 1..N {
            table[row][i] = column[row];
        }
    }
}

/// Differences at the point before: each is less by the next order's there.
#[inline(always)]
fn before<const N: usize>(table: [&mut [u64; BLOCK]; N]) {
    for i in 0..BLOCK {
        let mut column: [u64; N] = std::array::from_fn(|row| table[row][i]);
        for row in (1..N).rev() {
            column[row - 1] = less(column[row - 1], column[row]);
        }
        for row in 0..N - 1 {
            table[row][i] = column[row];
        }
    }
}

#[inline(always)]
fn less(x: u64, y: u64) -> u64 {
    let difference = x.wrapping_sub(y);
    difference.min(difference.wrapping_add(super::P))
}

/// One row less another.
#[inline(always)]
fn subtract(table: &mut [[u64; BLOCK]], row: usize, other: usize) {
    let [x, y] = table.get_disjoint_mut([row, other]).expect("two rows");
    x.iter_mut().zip(y.iter()).for_each(|(x, y)| *x = less(*x, *y));
}

/// Lagrange's weights: of the values at `points`, those that give the value at `at` of the polynomial through them.
fn lagrange(points: &[i64], at: i64) -> Vec<M61> {
    let difference = |x: i64, y: i64| M61::from_u64((x - y) as u64);
    let weight = |j: usize| {
        let others = || points.iter().enumerate().filter(move |(m, _)| *m != j).map(|(_, x)| *x);
        let over = others().fold(M61::from_u64(1), |product, x| product.mul(difference(at, x)));
        let under = others().fold(M61::from_u64(1), |product, x| product.mul(difference(points[j], x)));
        over.mul(under.inverse())
    };
    (0..points.len()).map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mersenne::P;
    use crate::simd::{levels, with_level};

    /// The value of a polynomial with these coefficients.
    fn value(coefficients: &[u64], at: i64) -> u64 {
        let at = M61::from_u64(at as u64);
        coefficients.iter().rev().fold(M61::from_u64(0), |sum, c| sum.mul(at).add(M61::of_word(*c))).word()
    }

    #[test]
    fn values_are_those_of_the_polynomials() {
        // Dealers of five, seven and thirty-one parties, packed secrets, points with gaps.
        let mut cases: Vec<(Vec<i64>, Vec<i64>)> = vec![
            (vec![-1, -2, 3, 4], vec![1, 2, 5, 6, 7]),
            (vec![0, 9, 10], vec![2, 5, 30]),
            (vec![7], vec![1, 2]),
            (vec![0, 1], vec![]),
        ];
        for (n, t) in [(3, 1), (5, 2), (7, 3), (7, 2), (31, 15)] {
            for dealer in 0..n {
                let drawn: Vec<i64> = (1..=t).map(|i| (dealer + i) % n + 1).collect();
                let wanted = (1..=n).filter(|point| !drawn.contains(point)).collect();
                cases.push((std::iter::once(0).chain(drawn).collect(), wanted));
            }
        }
        for (known, wanted) in cases {
            for len in [0, 1, 63, 64, 130] {
                let coefficient =
                    |i: usize, k: usize| (i as u64 + 3).wrapping_mul(0x9E37_79B9_7F4A_7C15 + k as u64) % P;
                let polynomials: Vec<Vec<u64>> =
                    (0..len).map(|i| (0..known.len()).map(|k| coefficient(i, k)).collect()).collect();
                let at = |point: &i64| polynomials.iter().map(|p| value(p, *point)).collect::<Vec<u64>>();
                let vectors: Vec<Vec<u64>> = known.iter().map(at).collect();
                let vectors: Vec<&[u64]> = vectors.iter().map(Vec::as_slice).collect();
                let want: Vec<Vec<u64>> = wanted.iter().map(at).collect();
                let windows = (-3..4).map(|from| from..=from + known.len() as i64 - 1);
                let plans = windows.map(|window| Extrapolation::stepping(&known, &wanted, window));
                for plan in plans.chain([Extrapolation::sums(&known, &wanted), Extrapolation::new(&known, &wanted)]) {
                    for level in levels() {
                        assert_eq!(with_level(level, || plan.run(&vectors)), want, "{known:?} {wanted:?} {len}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_last_dealer_needs_no_product() {
        let plan = Extrapolation::new(&[0, 1, 2], &[3, 4, 5]);
        assert!(plan.sums.is_empty() && plan.above.len() == 3);
        assert_eq!(Extrapolation::new(&[0, 2, 3], &[1, 4, 5]).sums.len(), 1);
    }
}
