//! Statistics of transcripts.

/// How far the bytes are from uniform: Pearson's chi-square over 256 classes as a standard score. Beyond 7 happens by chance
/// less than once in 10^10 (255 degrees of freedom, a little more for their skew).
pub fn chi_square(bytes: &[u8]) -> f64 {
    let mut counts = [0u64; 256];
    bytes.iter().for_each(|b| counts[usize::from(*b)] += 1);
    let expected = bytes.len() as f64 / 256.0;
    let sum: f64 = counts.iter().map(|c| (*c as f64 - expected).powi(2) / expected).sum();
    (sum - 255.0) / (2.0 * 255.0f64).sqrt()
}

/// The share of set bits in each of 64 places of words, as the largest standard score.
pub fn bit_bias(bytes: &[u8]) -> f64 {
    let words = bytes.chunks_exact(8).map(|w| u64::from_le_bytes(w.try_into().expect("eight bytes")));
    let (mut counts, mut n) = ([0u64; 64], 0u64);
    for word in words {
        counts.iter_mut().enumerate().for_each(|(i, c)| *c += word >> i & 1);
        n += 1;
    }
    let deviation = (n as f64).sqrt() / 2.0;
    counts.iter().map(|c| (*c as f64 - n as f64 / 2.0).abs() / deviation).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_see_what_is_not_uniform() {
        let mut noise = crate::conformance::Noise(1);
        let good: Vec<u8> = (0..20_000).flat_map(|_| noise.word().to_le_bytes()).collect();
        assert!(chi_square(&good) < 7.0 && bit_bias(&good) < 7.0);
        let mut biased = good.clone();
        biased.iter_mut().skip(7).step_by(64).for_each(|b| *b &= 0x7F);
        assert!(bit_bias(&biased) > 7.0);
        let text: Vec<u8> = good.iter().map(|b| b & 0x7F).collect();
        assert!(chi_square(&text) > 100.0);
    }
}
