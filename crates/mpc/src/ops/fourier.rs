//! Sine series over masked values: `sin(w (A - L)) = sin wA cos wL - cos wA sin wL`, with `A` known to the online pair and
//! `L` to the mask owner, and the period a power of two of units in the last place, so that wrap-around is harmless.
//! Tables are integers made by `libm`'s portable sine, hence identical on every CPU.

/// Scale of the table values: sines are integers of magnitude at most `2^TABLE_BITS`.
pub const TABLE_BITS: u32 = 24;
const FINE_BITS: u32 = 10;
const WORK_BITS: u32 = 30;

/// What is dealt for a tile of that many harmonics fits a frame.
const MAX_HARMONICS: usize = 64;

/// An odd sine series `f(x) = sum_k c_k sin(2 pi k x / period)`, `k = 1..=K`, over fixed-point `x`.
#[derive(Clone, Debug)]
pub struct Series {
    log_period: u32,
    frac: u32,
    coefficients: Vec<i64>,
    coarse: Vec<(i64, i64)>,
    fine: Vec<(i64, i64)>,
}

impl Series {
    /// A series of period `2^log_period` units in the last place, for values and results of `frac` fraction bits.
    /// The magnitudes of `coefficients` must sum to less than 2^12, so that sums of products stay below 2^61. At most 64 harmonics.
    pub fn new(log_period: u32, frac: u32, coefficients: &[f64]) -> Self {
        assert!(coefficients.len() <= MAX_HARMONICS, "a series of more than {MAX_HARMONICS} harmonics");
        let table = |bits: u32, step_bits: u32| -> Vec<(i64, i64)> {
            let one = (1i64 << WORK_BITS) as f64;
            let angle = |i: u64| 2.0 * std::f64::consts::PI * i as f64 / (1u64 << step_bits) as f64;
            let round = |v: f64| libm::round(v * one) as i64;
            (0..1u64 << bits).map(|i| (round(libm::sin(angle(i))), round(libm::cos(angle(i))))).collect()
        };
        let fine_bits = FINE_BITS.min(log_period);
        let coarse_bits = log_period - fine_bits;
        let scale = (1i64 << TABLE_BITS) as f64;
        Series {
            log_period,
            frac,
            coefficients: coefficients.iter().map(|c| libm::round(c * scale) as i64).collect(),
            coarse: table(coarse_bits, coarse_bits),
            fine: table(fine_bits, log_period),
        }
    }

    /// Number of harmonics.
    pub fn harmonics(&self) -> usize {
        self.coefficients.len()
    }

    /// Bits by which a sum of products is shifted back to `frac` fraction bits.
    pub fn rescale(&self) -> u32 {
        2 * TABLE_BITS - self.frac
    }

    /// Sine and cosine of harmonic `k` (1-based) at `x`, at scale `2^TABLE_BITS`.
    #[inline(always)]
    pub fn sin_cos(&self, k: usize, x: u64) -> (i64, i64) {
        let index = (x.wrapping_mul(k as u64) & ((1 << self.log_period) - 1)) as usize;
        let fine_bits = FINE_BITS.min(self.log_period);
        let (s1, c1) = self.coarse[index >> fine_bits];
        let (s2, c2) = self.fine[index & ((1 << fine_bits) - 1)];
        let round = |v: i64| (v + (1 << (2 * WORK_BITS - TABLE_BITS - 1))) >> (2 * WORK_BITS - TABLE_BITS);
        (round(s1 * c2 + c1 * s2), round(c1 * c2 - s1 * s2))
    }

    /// `c_k sin`, `c_k cos` of harmonic `k` at `x`, at scale `2^TABLE_BITS`: the online pair's factors.
    #[inline(always)]
    pub fn weighted_sin_cos(&self, k: usize, x: u64) -> (i64, i64) {
        let (s, c) = self.sin_cos(k, x);
        let weigh = |v: i64| (self.coefficients[k - 1] * v + (1 << (TABLE_BITS - 1))) >> TABLE_BITS;
        (weigh(s), weigh(c))
    }

    /// The series at a plain `x`, at scale `2^(2 TABLE_BITS)`.
    pub fn plain(&self, x: u64) -> u64 {
        let sum: i64 = (1..=self.harmonics()).map(|k| self.weighted_sin_cos(k, x).0 << TABLE_BITS).sum();
        sum as u64
    }
}
