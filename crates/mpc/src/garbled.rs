//! A circuit on shared values, prepared: what protocols garble, price lists price and the twin evaluates.

use crate::share::{BitShare, Planes};
use privity_circuit::Circuit;
use privity_circuit::shares::{self, OnShares, SHARE_BITS};
use privity_gc::Schedule;
use privity_ring::Tensor;

/// A circuit on shared numbers and words, and the order of its gates: made once for any number of runs.
pub struct Garbled {
    pub(crate) schedule: Schedule,
    circuit: Circuit,
    pub(crate) numbers: usize,
    pub(crate) width: usize,
    pub(crate) words: Vec<usize>,
    pub(crate) results: usize,
    pub(crate) outputs: Vec<usize>,
}

impl Garbled {
    /// Prepares a circuit.
    pub fn new(on_shares: OnShares) -> Self {
        let schedule = Schedule::new(&on_shares.circuit);
        let OnShares { circuit, numbers, width, words, results, outputs } = on_shares;
        Garbled { schedule, circuit, numbers, width, words, results, outputs }
    }
    /// `x 2^shift / y` of numbers of `width` bits: see [`shares::quotient`].
    pub fn quotient(width: u32, shift: u32) -> Self {
        Self::new(shares::quotient(width as usize, shift as usize))
    }
    /// The position of the largest of some numbers of `width` bits: see [`shares::argmax`].
    pub fn argmax(width: u32, numbers: usize) -> Self {
        Self::new(shares::argmax(width as usize, numbers))
    }

    /// Bits of one party's shares of an element's operands.
    pub(crate) fn operand_bits(&self) -> usize {
        self.numbers * self.width + self.words.iter().sum::<usize>()
    }
    /// Elements of operands.
    ///
    /// # Panics
    /// If operands are not those of the circuit, of one length.
    pub(crate) fn elements(&self, numbers: &[usize], words: &[(usize, usize)]) -> usize {
        let lens: Vec<usize> = numbers.iter().copied().chain(words.iter().map(|(len, _)| *len)).collect();
        let widths = words.iter().map(|(_, width)| *width);
        let fit = numbers.len() == self.numbers && widths.eq(self.words.iter().copied());
        assert!(
            fit && lens.windows(2).all(|pair| pair[0] == pair[1]),
            "operands are those of the circuit, of one length"
        );
        lens.first().copied().unwrap_or(0)
    }

    /// What the circuit gives for plain operands: numbers, then words.
    pub(crate) fn clear(&self, numbers: &[&Tensor<u64>], words: &[&Planes]) -> (Vec<Tensor<u64>>, Vec<Planes>) {
        let len = self.elements(&lengths(numbers), &extents(words));
        let mut results = vec![Vec::with_capacity(len); self.results];
        let mut outputs: Vec<Planes> = self.outputs.iter().map(|width| Planes::zeros(len, *width)).collect();
        for block in 0..len.div_ceil(64) {
            let (from, to) = (64 * block, len.min(64 * block + 64));
            let mut bits: Vec<u64> = Vec::with_capacity(self.circuit.input_bits());
            for x in numbers {
                bits.extend_from_slice(Planes::from_values(&x.data()[from..to], self.width).words());
            }
            for x in words {
                bits.extend((0..x.width()).map(|plane| x.plane_words(plane)[block]));
            }
            // Masks of 0, and the second party's shares of 0.
            bits.resize(self.circuit.input_bits(), 0);
            let found = self.circuit.evaluate(&bits);
            let (sums, mut planes) = found.split_at(SHARE_BITS * self.results);
            for (out, sum) in results.iter_mut().zip(sums.chunks_exact(SHARE_BITS)) {
                out.extend(Planes::new(to - from, SHARE_BITS, sum.to_vec()).to_values());
            }
            for out in &mut outputs {
                let planes = planes.split_off(..out.width()).expect("outputs of declared widths");
                out.set_block(block, planes);
            }
        }
        let shape = shape_of(numbers, len);
        (results.into_iter().map(|data| Tensor::new(shape.clone(), data)).collect(), outputs)
    }
}

pub(crate) fn lengths<R: privity_ring::Ring>(numbers: &[&Tensor<R>]) -> Vec<usize> {
    numbers.iter().map(|x| x.len()).collect()
}

pub(crate) fn extents<B: crate::BitShare>(words: &[&B]) -> Vec<(usize, usize)> {
    words.iter().map(|x| (x.len(), x.width())).collect()
}

/// The shape of results: that of the numbers, if there are any.
pub(crate) fn shape_of<R: privity_ring::Ring>(numbers: &[&Tensor<R>], len: usize) -> privity_ring::Shape {
    numbers.first().map_or_else(|| privity_ring::Shape::vector(len), |x| x.shape().clone())
}
