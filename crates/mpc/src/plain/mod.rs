//! The fixed-point twin: what a program means. One process, no secrets, no messages. Rescaling rounds half up, so
//! protocols in exact mode agree with it bit for bit.

use crate::ops::fourier::Series;
use crate::{By, Config, Garbled, Inject, Origin, Product, Protocol, Raw, Recipients, Result, share::Planes};
use privity_ring::{Ring, Shape, Tensor};

/// The plaintext protocol over `parties` notional owners.
pub struct Plain {
    config: Config,
    parties: usize,
}

impl Plain {
    /// A twin for programs of `parties` owners.
    pub fn new(config: Config, parties: usize) -> Self {
        Plain { config, parties }
    }
}

/// `round(x / 2^bits)`, half up, on two's complement.
pub(crate) fn round_shift(x: u64, bits: u32) -> u64 {
    match bits {
        0 => x,
        _ => ((x as i64).wrapping_add(1 << (bits - 1)) >> bits) as u64,
    }
}

impl Protocol for Plain {
    type R = u64;
    type A = Tensor<u64>;
    type B = Planes;

    fn config(&self) -> &Config {
        &self.config
    }
    fn owners(&self) -> std::ops::Range<usize> {
        0..self.parties
    }
    fn me(&self) -> usize {
        0
    }
    fn in_lanes<T: Send, O: Send>(
        &mut self,
        items: Vec<T>,
        f: impl Fn(&mut Self, T) -> Result<O> + Sync,
    ) -> Result<Vec<O>> {
        items.into_iter().map(|item| f(self, item)).collect()
    }
    fn input(&mut self, owner: usize, shape: &Shape, x: Option<&Tensor<u64>>) -> Result<Tensor<u64>> {
        let x = x.ok_or(crate::Error::Input { owner, problem: "the plaintext twin needs every owner's values" })?;
        assert_eq!(x.shape(), shape, "an input has its declared shape");
        Ok(x.clone())
    }
    fn public(&mut self, x: &Tensor<u64>) -> Tensor<u64> {
        x.clone()
    }
    fn products(&mut self, jobs: &[Product<'_, Tensor<u64>>]) -> Result<Vec<Raw<Tensor<u64>>>> {
        let product = |j: &Product<'_, Tensor<u64>>| {
            let z = j.op.eval(j.x, j.y);
            Raw::exact(z.map(|v| round_shift(v, j.rescale)))
        };
        Ok(jobs.iter().map(product).collect())
    }
    fn rescale(&mut self, jobs: &[(&Tensor<u64>, u32)]) -> Result<Vec<Raw<Tensor<u64>>>> {
        Ok(jobs.iter().map(|(x, bits)| Raw::exact(x.map(|v| round_shift(v, *bits)))).collect())
    }
    fn signs(
        &mut self,
        xs: &[&Tensor<u64>],
        width: u32,
        lifts: Vec<Raw<Tensor<u64>>>,
    ) -> Result<(Vec<Planes>, Vec<Tensor<u64>>)> {
        let sign = |x: &&Tensor<u64>| {
            debug_assert!(fits(x, width), "a comparison of width {width} met a value outside its range");
            Planes::from_values(&x.data().iter().map(|v| v >> (width - 1)).collect::<Vec<_>>(), 1)
        };
        Ok((xs.iter().map(sign).collect(), lifts.into_iter().map(|r| r.value).collect()))
    }
    fn a2b(&mut self, x: &Tensor<u64>, width: u32) -> Result<Planes> {
        Ok(Planes::from_values(x.data(), width as usize))
    }
    fn and(&mut self, jobs: &[(&Planes, &Planes)]) -> Result<Vec<Planes>> {
        Ok(jobs.iter().map(|(x, y)| x.zip(y, |a, b| a & b)).collect())
    }
    fn not(&mut self, x: &Planes) -> Planes {
        x.map(|w| !w)
    }
    fn arm(&mut self, xs: &[&Planes]) -> Result<Vec<Planes>> {
        Ok(xs.iter().map(|x| (*x).clone()).collect())
    }
    fn inject(&mut self, jobs: &[Inject<'_, Tensor<u64>, Planes>]) -> Result<Vec<Tensor<u64>>> {
        Ok(jobs.iter().map(inject_one).collect())
    }
    fn refresh(&mut self, xs: &[&Tensor<u64>], _: Origin) -> Result<Vec<Tensor<u64>>> {
        Ok(xs.iter().map(|x| (*x).clone()).collect())
    }
    fn open(&mut self, x: &Tensor<u64>, _: Recipients) -> Result<Option<Tensor<u64>>> {
        Ok(Some(x.clone()))
    }
    fn harmonics(&mut self, x: &Tensor<u64>, series: &Series) -> Result<Raw<Tensor<u64>>> {
        Ok(Raw::exact(x.map(|v| round_shift(series.plain(v), series.rescale()))))
    }
    fn garbled(
        &mut self,
        what: &Garbled,
        numbers: &[&Tensor<u64>],
        words: &[&Planes],
    ) -> Result<(Vec<Tensor<u64>>, Vec<Planes>)> {
        Ok(what.clear(numbers, words))
    }
}

fn inject_one(job: &Inject<'_, Tensor<u64>, Planes>) -> Tensor<u64> {
    let mut sum = vec![0u64; job.shape.len()];
    for (bit, by) in &job.terms {
        let bits = bit.to_values();
        assert_eq!(bits.len(), sum.len(), "bits and result must have one length");
        for (i, s) in sum.iter_mut().enumerate() {
            let factor = match by {
                By::Value(x) => x.value.data()[i],
                By::Public(c) => *c,
            };
            *s = s.wrapping_add(factor.wrapping_mul(bits[i]));
        }
    }
    Tensor::new(job.shape.clone(), sum)
}

/// Whether every value is below `2^(width - 1)` in magnitude.
fn fits<R: Ring>(x: &Tensor<R>, width: u32) -> bool {
    let half = 1i64 << (width - 1);
    x.data().iter().all(|v| (-half..half).contains(&(v.to_u64() as i64)))
}
