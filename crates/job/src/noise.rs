//! Discrete Gaussian noise, sampled exactly with integers from the system's randomness: Canonne, Kamath, Steinke, "The Discrete
//! Gaussian for Differential Privacy" (2020), Algorithms 1 to 3. How long it takes depends on what it draws; what it draws is not
//! seen by others before it is masked.

use crate::JobError;
use zeroize::Zeroizing;

/// Uniform integers.
struct Source {
    bytes: Zeroizing<[u8; 4096]>,
    taken: usize,
}

impl Source {
    fn new() -> Self {
        let bytes = Zeroizing::new([0; 4096]);
        Source { taken: bytes.len(), bytes }
    }

    fn word(&mut self) -> Result<u128, JobError> {
        if self.taken == self.bytes.len() {
            aws_lc_rs::rand::fill(&mut self.bytes[..]).map_err(|_| JobError::Internal("no randomness".into()))?;
            self.taken = 0;
        }
        let word = &self.bytes[self.taken..self.taken + 16];
        self.taken += 16;
        Ok(u128::from_le_bytes(word.try_into().expect("16 bytes")))
    }

    /// Uniform below `n`.
    fn below(&mut self, n: u128) -> Result<u128, JobError> {
        let mask = u128::MAX >> n.saturating_sub(1).leading_zeros().min(127);
        loop {
            let candidate = self.word()? & mask;
            if candidate < n {
                return Ok(candidate);
            }
        }
    }

    /// True with probability `exp(-num / den)`, for `num <= den`.
    fn exp_fraction(&mut self, num: u128, den: u128) -> Result<bool, JobError> {
        let mut k = 1;
        while self.below(den * k)? < num {
            k += 1;
        }
        Ok(k % 2 == 1)
    }

    /// True with probability `exp(-num / den)`.
    fn exp(&mut self, num: u128, den: u128) -> Result<bool, JobError> {
        for _ in 0..num / den {
            if !self.exp_fraction(1, 1)? {
                return Ok(false);
            }
        }
        self.exp_fraction(num % den, den)
    }

    /// An integer `x` with probability proportional to `exp(-|x| / t)`.
    fn laplace(&mut self, t: u128) -> Result<i128, JobError> {
        loop {
            let low = self.below(t)?;
            if !self.exp(low, t)? {
                continue;
            }
            let mut high = 0;
            while self.exp_fraction(1, 1)? {
                high += 1;
            }
            let magnitude = (low + t * high) as i128;
            match self.below(2)? {
                0 => return Ok(magnitude),
                _ if magnitude > 0 => return Ok(-magnitude),
                _ => {}
            }
        }
    }

    /// An integer `x` with probability proportional to `exp(-x^2 / (2 variance))`.
    fn gaussian(&mut self, variance: u64) -> Result<i64, JobError> {
        let variance = u128::from(variance);
        let t = variance.isqrt() + 1;
        loop {
            let y = self.laplace(t)?;
            let distance = (y.unsigned_abs() * t).abs_diff(variance);
            if self.exp(distance * distance, 2 * variance * t * t)? {
                return Ok(y as i64);
            }
        }
    }
}

/// Largest variance: all products above stay within 128 bits.
pub(crate) const MAX_VARIANCE: u64 = 1 << 36;

/// So many independent draws of the discrete Gaussian of this variance, at least 1 and at most [`MAX_VARIANCE`].
pub(crate) fn gaussian(variance: u64, len: usize) -> Result<Vec<i64>, JobError> {
    if !(1..=MAX_VARIANCE).contains(&variance) {
        return Err(JobError::Internal(format!("noise of variance {variance}")));
    }
    let mut source = Source::new();
    (0..len).map(|_| source.gaussian(variance)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_discrete_gaussian() {
        for variance in [1, 4, 30] {
            const DRAWS: usize = 60_000;
            let draws = gaussian(variance, DRAWS).expect("randomness");
            let weight = |x: i64| (-((x * x) as f64) / (2.0 * variance as f64)).exp();
            let total: f64 = (-200..=200).map(weight).sum();
            let mut chi_square = 0.0;
            let mut cells = 0.0;
            for x in -20..=20i64 {
                let expected = DRAWS as f64 * weight(x) / total;
                if expected >= 10.0 {
                    let seen = draws.iter().filter(|d| **d == x).count() as f64;
                    chi_square += (seen - expected).powi(2) / expected;
                    cells += 1.0;
                }
            }
            // Five deviations: a wrong sampler is off by hundreds.
            assert!(
                (chi_square - cells) / (2.0f64 * cells).sqrt() < 5.0,
                "variance {variance}: {chi_square} of {cells}"
            );
        }
        let wide = gaussian(MAX_VARIANCE, 4_000).expect("randomness");
        let square = wide.iter().map(|x| (*x as f64).powi(2)).sum::<f64>() / 4_000.0 / MAX_VARIANCE as f64;
        assert!((square - 1.0).abs() < 0.12, "{square}");
        assert!(gaussian(0, 1).is_err() && gaussian(MAX_VARIANCE + 1, 1).is_err());
    }
}
