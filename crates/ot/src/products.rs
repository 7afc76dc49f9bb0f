//! What transfers are for: shares of a product of which each side has one factor. The side that chooses has keys of its bits, the other
//! has both keys of each. Nothing is drawn here: shares come from keys. Spec 5.

use privity_prim::Prg;
use privity_ring::kernels::bits::transpose64;
use privity_ring::simd::vectorise;
use privity_ring::{M61, mersenne};

/// Both keys of a transfer.
pub type Pair = [u128; 2];
/// Transfers that a word of choices takes.
pub const WORD: usize = 64;
/// Words of a message for each word that is multiplied by a word of choices.
pub const PRODUCT_WORDS: usize = 33;
/// Most bits of a table's index.
pub const TABLE_BITS: usize = 4;

/// All bits of a choice.
#[inline(always)]
fn chosen(word: u64, i: usize) -> u64 {
    (word >> i & 1).wrapping_neg()
}

/// Spec 5.1: `share[i] -= K0`, and what the other needs to have `K0 + choice * values[i]`.
pub fn send_words(pairs: &[Pair], values: &[u64], message: &mut [u64], share: &mut [u64]) {
    vectorise(|| {
        for (((pair, v), m), s) in pairs.iter().zip(values).zip(message).zip(share) {
            let zero = pair[0] as u64;
            *m = zero.wrapping_sub(pair[1] as u64).wrapping_add(*v);
            *s = s.wrapping_sub(zero);
        }
    });
}

/// Spec 5.1, the other side; choices are packed.
pub fn receive_words(keys: &[u128], choices: &[u64], message: &[u64], share: &mut [u64]) {
    vectorise(|| {
        for (i, ((key, m), s)) in keys.iter().zip(message).zip(share).enumerate() {
            let taken = m & chosen(choices[i / WORD], i % WORD);
            *s = s.wrapping_add(*key as u64).wrapping_add(taken);
        }
    });
}

/// Spec 5.2: shares of a word of choices times each word of a vector: the sender's, subtracted from `share`. 64 transfers.
///
/// # Panics
/// If lengths do not fit.
pub fn send_product(pairs: &[Pair], vector: &[u64], message: &mut [u64], share: &mut [u64]) {
    let pairs: &[Pair; WORD] = pairs.try_into().expect("64 transfers for a word");
    let n = vector.len();
    assert_eq!((message.len(), share.len()), (PRODUCT_WORDS * n, n), "a place for each word");
    if let ([value], [share]) = (vector, &mut *share) {
        let message = message.try_into().expect("its length was compared");
        return send_one(pairs, *value, message, share);
    }
    let mut streams = Streams::new(n);
    for (i, message) in message.chunks_exact_mut(n.max(1)).enumerate() {
        streams.correction(&pairs[i], vector, message, share, i);
        if i > 0 {
            vectorise(|| message.iter_mut().for_each(|m| *m <<= i));
        }
        if (1..32).contains(&i) {
            let mut low = std::mem::take(&mut streams.low);
            streams.correction(&pairs[WORD - i], vector, &mut low, share, WORD - i);
            vectorise(|| message.iter_mut().zip(&low).for_each(|(m, l)| *m |= l & low_mask(i)));
            streams.low = low;
        }
    }
}

/// Spec 5.2, the other side: added to `share`.
///
/// # Panics
/// If lengths do not fit.
pub fn receive_product(keys: &[u128], choice: u64, message: &[u64], share: &mut [u64]) {
    let keys: &[u128; WORD] = keys.try_into().expect("64 transfers for a word");
    let n = share.len();
    assert_eq!(message.len(), PRODUCT_WORDS * n, "a place for each word");
    if let [share] = share {
        let message = message.try_into().expect("its length was compared");
        return receive_one(keys, choice, message, share);
    }
    let mut stream = vec![0; n];
    for (i, message) in message.chunks_exact(n.max(1)).enumerate() {
        expand(keys[i], &mut stream);
        let taken = chosen(choice, i) & !low_mask(i);
        vectorise(|| {
            for ((s, k), m) in share.iter_mut().zip(&stream).zip(message) {
                *s = s.wrapping_add(k << i).wrapping_add(m & taken);
            }
        });
        if (1..32).contains(&i) {
            let other = WORD - i;
            expand(keys[other], &mut stream);
            let taken = chosen(choice, other);
            vectorise(|| {
                for ((s, k), m) in share.iter_mut().zip(&stream).zip(message) {
                    *s = s.wrapping_add(k.wrapping_add(m & taken) << other);
                }
            });
        }
    }
}

#[inline(always)]
fn low_mask(i: usize) -> u64 {
    (1 << i) - 1
}

/// The words of a key: its own two, or those of its stream. Spec 5.2.
fn expand(key: u128, out: &mut [u64]) {
    match out {
        [] => {}
        [one] => *one = key as u64,
        [one, two] => (*one, *two) = (key as u64, (key >> 64) as u64),
        _ => Prg::new(key.to_le_bytes()).fill(0, 0, out),
    }
}

/// Streams of a transfer's keys.
struct Streams {
    zero: Vec<u64>,
    one: Vec<u64>,
    low: Vec<u64>,
}

impl Streams {
    fn new(n: usize) -> Self {
        Streams { zero: vec![0; n], one: vec![0; n], low: vec![0; n] }
    }
    /// `K0 - K1 + vector`, and `2^shift K0` off the share.
    fn correction(&mut self, pair: &Pair, vector: &[u64], message: &mut [u64], share: &mut [u64], shift: usize) {
        expand(pair[0], &mut self.zero);
        expand(pair[1], &mut self.one);
        vectorise(|| {
            let streams = self.zero.iter().zip(&self.one);
            for (((zero, one), v), (m, s)) in streams.zip(vector).zip(message.iter_mut().zip(share.iter_mut())) {
                *m = zero.wrapping_sub(*one).wrapping_add(*v);
                *s = s.wrapping_sub(zero << shift);
            }
        });
    }
}

/// A vector of one word: keys are its streams.
fn send_one(pairs: &[Pair; WORD], value: u64, message: &mut [u64; PRODUCT_WORDS], share: &mut u64) {
    vectorise(|| {
        let mut corrections = [0u64; WORD];
        let mut sum = 0u64;
        for (i, (c, pair)) in corrections.iter_mut().zip(pairs).enumerate() {
            let zero = pair[0] as u64;
            *c = zero.wrapping_sub(pair[1] as u64).wrapping_add(value);
            sum = sum.wrapping_add(zero << i);
        }
        for (i, m) in message.iter_mut().enumerate() {
            *m = corrections[i] << i | corrections[(WORD - i) % WORD] & low_mask(i % 32);
        }
        *share = share.wrapping_sub(sum);
    });
}

fn receive_one(keys: &[u128; WORD], choice: u64, message: &[u64; PRODUCT_WORDS], share: &mut u64) {
    vectorise(|| {
        let mut sum = 0u64;
        for (i, key) in keys.iter().enumerate() {
            let taken = if i <= 32 { message[i] & !low_mask(i) } else { message[WORD - i] << i };
            sum = sum.wrapping_add((*key as u64) << i).wrapping_add(taken & chosen(choice, i));
        }
        *share = share.wrapping_add(sum);
    });
}

/// Spec 5.3: choices and bits, both packed, several bits for each choice: `values`, `message` and `share` have plane after plane of as many
/// words as there are of choices. The sender's share is added to `share`.
///
/// # Panics
/// If lengths do not fit, or for more than 64 planes.
pub fn send_bits(pairs: &[Pair], values: &[u64], message: &mut [u64], share: &mut [u64]) {
    let n = pairs.len() / WORD;
    assert!(values.len() <= WORD * n, "a key has bits for 64 planes");
    let (mut zeros, mut ones) = ([0; WORD], [0; WORD]);
    for (w, pairs) in pairs.chunks_exact(WORD).enumerate() {
        zeros.iter_mut().zip(pairs).for_each(|(z, pair)| *z = pair[0] as u64);
        ones.iter_mut().zip(pairs).for_each(|(o, pair)| *o = pair[1] as u64);
        transpose64(&mut zeros);
        transpose64(&mut ones);
        for (at, (zero, one)) in (w..values.len()).step_by(n).zip(zeros.iter().zip(&ones)) {
            message[at] = zero ^ one ^ values[at];
            share[at] ^= zero;
        }
    }
}

/// Spec 5.3, the other side.
pub fn receive_bits(keys: &[u128], choices: &[u64], message: &[u64], share: &mut [u64]) {
    let n = choices.len();
    let mut bits = [0; WORD];
    for (w, keys) in keys.chunks_exact(WORD).enumerate() {
        bits.iter_mut().zip(keys).for_each(|(b, key)| *b = *key as u64);
        transpose64(&mut bits);
        for (at, bits) in (w..message.len()).step_by(n).zip(&bits) {
            share[at] ^= bits ^ choices[w] & message[at];
        }
    }
}

/// Words of a message for each residue that is multiplied by a residue of choices.
pub const RESIDUE_WORDS: usize = RESIDUE_BITS;
/// Bits of a residue modulo 2^61 - 1.
const RESIDUE_BITS: usize = 61;

/// Spec 5.5: a residue of a key: its first 61 bits, or the next if those are no residue.
#[inline(always)]
fn residue(key: u128) -> u64 {
    let (first, next) = (key as u64 & mersenne::P, (key >> RESIDUE_BITS) as u64 & mersenne::P);
    let none = u64::from(first == mersenne::P).wrapping_neg();
    mersenne::reduce(first & !none | next & none)
}

/// The residues of a key: that of its own bits, or those of its streams.
fn expand_residues(key: u128, out: &mut [u64]) {
    if let [one] = out {
        *one = residue(key);
        return;
    }
    let stream = Prg::new(key.to_le_bytes());
    stream.fill(0, 0, out);
    vectorise(|| out.iter_mut().for_each(|word| *word &= mersenne::P));
    if out.contains(&mersenne::P) {
        let mut more = vec![0; out.len()];
        stream.fill(1, 0, &mut more);
        let again = out.iter_mut().zip(more).filter(|(word, _)| **word == mersenne::P);
        again.for_each(|(word, more)| *word = mersenne::reduce(more & mersenne::P));
    }
}

/// `zero - one + value`, all residues.
#[inline(always)]
fn correction(zero: u64, one: u64, value: u64) -> u64 {
    mersenne::reduce(zero + (mersenne::P - one) + value)
}

/// Spec 5.5: as [`send_words`], modulo 2^61 - 1. Values are residues.
pub fn send_residues(pairs: &[Pair], values: &[u64], message: &mut [u64], share: &mut [u64]) {
    vectorise(|| {
        for (((pair, v), m), s) in pairs.iter().zip(values).zip(message).zip(share) {
            let zero = residue(pair[0]);
            *m = correction(zero, residue(pair[1]), *v);
            *s = mersenne::reduce(*s + mersenne::P - zero);
        }
    });
}

/// Spec 5.5, the other side. A message may be any words.
pub fn receive_residues(keys: &[u128], choices: &[u64], message: &[u64], share: &mut [u64]) {
    vectorise(|| {
        for (i, ((key, m), s)) in keys.iter().zip(message).zip(share).enumerate() {
            let taken = mersenne::reduce(*m) & chosen(choices[i / WORD], i % WORD);
            *s = mersenne::reduce(*s + residue(*key) + taken);
        }
    });
}

/// Spec 5.5: as [`send_product`], modulo 2^61 - 1: of 64 transfers the first 61 are used, and each has a word for each of the vector.
///
/// # Panics
/// If lengths do not fit.
pub fn send_residue_product(pairs: &[Pair], vector: &[u64], message: &mut [u64], share: &mut [u64]) {
    let n = vector.len();
    assert_eq!((pairs.len(), message.len(), share.len()), (WORD, RESIDUE_WORDS * n, n), "a place for each word");
    let (mut zeros, mut ones) = (vec![0; n], vec![0; n]);
    for (i, (pair, message)) in pairs.iter().zip(message.chunks_exact_mut(n.max(1))).enumerate() {
        expand_residues(pair[0], &mut zeros);
        expand_residues(pair[1], &mut ones);
        vectorise(|| {
            let keys = zeros.iter().zip(&ones);
            message.iter_mut().zip(keys.zip(vector)).for_each(|(m, ((zero, one), v))| *m = correction(*zero, *one, *v));
        });
        mersenne::add_scaled(share, M61::power_of_two(i as u32).negated(), &zeros);
    }
}

/// Spec 5.5, the other side.
///
/// # Panics
/// If lengths do not fit.
pub fn receive_residue_product(keys: &[u128], choice: u64, message: &[u64], share: &mut [u64]) {
    let n = share.len();
    assert_eq!((keys.len(), message.len()), (WORD, RESIDUE_WORDS * n), "a place for each word");
    let mut stream = vec![0; n];
    for (i, (key, message)) in keys.iter().zip(message.chunks_exact(n.max(1))).enumerate() {
        expand_residues(*key, &mut stream);
        let taken = chosen(choice, i);
        vectorise(|| {
            stream
                .iter_mut()
                .zip(message)
                .for_each(|(s, m)| *s = mersenne::reduce(*s + (mersenne::reduce(*m) & taken)));
        });
        mersenne::add_scaled(share, M61::power_of_two(i as u32), &stream);
    }
}

/// Words that the sender of a comparison of so many bits sends for each word of a plane: see [`send_comparison`].
pub fn comparison_words(bits: usize, equal: bool) -> usize {
    ((1 << bits) - 1) * (1 + usize::from(equal))
}

/// The places of a table: all indices of so many bits.
const PLACES: usize = 1 << TABLE_BITS;

/// `[v = j]` for every `j`, of 64 packed values.
fn places(bits: &[u64]) -> [u64; PLACES] {
    let mut places = [0; PLACES];
    places[0] = u64::MAX;
    for (i, bit) in bits.iter().enumerate() {
        for j in (0..1 << i).rev() {
            places[j | 1 << i] = places[j] & bit;
            places[j] &= !bit;
        }
    }
    places
}

/// Bits of 64 keys, by their place.
fn pads(keys: impl Iterator<Item = u128>) -> [u64; WORD] {
    let mut rows = [0; WORD];
    rows.iter_mut().zip(keys).for_each(|(row, key)| *row = key as u64);
    transpose64(&mut rows);
    rows
}

/// Spec 5.4: the sender's shares of `[c < r]` and, if asked for, `[c = r]`, of numbers of up to four bits, of which the other side has
/// `c` and chooses its bits. `r` has plane after plane, and so have the message and both results; transfers are in the order of the planes.
///
/// # Panics
/// If lengths do not fit.
pub fn send_comparison(
    pairs: &[Pair],
    r: &[u64],
    bits: usize,
    message: &mut [u64],
    less: &mut [u64],
    equal: &mut [u64],
) {
    let n = less.len();
    assert!((1..=TABLE_BITS).contains(&bits) && pairs.len() == WORD * bits * n, "transfers for one to four planes");
    let kinds = 1 + usize::from(!equal.is_empty());
    for w in 0..n {
        let mut pad = [[[0; WORD]; 2]; TABLE_BITS];
        let mut own = [0; TABLE_BITS];
        for i in 0..bits {
            let pairs = &pairs[WORD * (i * n + w)..][..WORD];
            pad[i] = [0, 1].map(|which| pads(pairs.iter().map(|pair| pair[which])));
            own[i] = r[i * n + w];
        }
        let masked = |j: usize, kind: usize| (0..bits).fold(0, |sum, i| sum ^ pad[i][j >> i & 1][2 * j + kind]);
        let same = places(&own[..bits]);
        // [0 < r], then without r = 1, and so on.
        let mut larger = !same[0];
        let mut kept = [0; 2];
        for j in 0..1 << bits {
            for (kind, entry) in [larger, same[j]].into_iter().enumerate().take(kinds) {
                let masked = masked(j, kind) ^ entry;
                match j {
                    0 => kept[kind] = masked,
                    _ => message[((j - 1) * kinds + kind) * n + w] = masked ^ kept[kind],
                }
            }
            larger ^= *same.get(j + 1).unwrap_or(&0);
        }
        less[w] = kept[0];
        if let Some(equal) = equal.get_mut(w) {
            *equal = kept[1];
        }
    }
}

/// Spec 5.4, the other side: `c` is what it chose.
pub fn receive_comparison(keys: &[u128], c: &[u64], bits: usize, message: &[u64], less: &mut [u64], equal: &mut [u64]) {
    let n = less.len();
    let kinds = 1 + usize::from(!equal.is_empty());
    for w in 0..n {
        let mut pad = [[0; WORD]; TABLE_BITS];
        let mut own = [0; TABLE_BITS];
        for i in 0..bits {
            pad[i] = pads(keys[WORD * (i * n + w)..][..WORD].iter().copied());
            own[i] = c[i * n + w];
        }
        let same = places(&own[..bits]);
        let mut found = [0; 2];
        for (j, here) in same.iter().enumerate().take(1 << bits) {
            for (kind, found) in found.iter_mut().enumerate().take(kinds) {
                let entry = if j == 0 { 0 } else { message[((j - 1) * kinds + kind) * n + w] };
                let mask = pad[..bits].iter().fold(0, |sum, pad| sum ^ pad[2 * j + kind]);
                *found |= (entry ^ mask) & here;
            }
        }
        less[w] = found[0];
        if let Some(equal) = equal.get_mut(w) {
            *equal = found[1];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use privity_prim::fresh_secret;

    fn words(n: usize) -> Vec<u64> {
        let key = fresh_secret().expect("randomness").expose()[..16].try_into().expect("sixteen bytes");
        let mut words = vec![0; n];
        Prg::new(key).fill(0, 0, &mut words);
        words
    }

    /// Random transfers as a dealer would make them: both keys of each, and the chosen one.
    fn transfers(choices: &[u64]) -> (Vec<Pair>, Vec<u128>) {
        let random = words(4 * WORD * choices.len());
        let block = |w: &[u64]| u128::from(w[0]) | u128::from(w[1]) << 64;
        let pairs: Vec<Pair> = random.chunks_exact(4).map(|w| [block(&w[..2]), block(&w[2..])]).collect();
        let keys = pairs.iter().enumerate().map(|(i, pair)| pair[(choices[i / WORD] >> (i % WORD) & 1) as usize]);
        let keys = keys.collect();
        (pairs, keys)
    }

    #[test]
    fn shares_of_bits_times_words_add_up() {
        let (choices, values) = (words(3), words(170));
        let (pairs, keys) = transfers(&choices);
        let (mut message, mut a, mut b) = (vec![0; 170], vec![5; 170], vec![7; 170]);
        send_words(&pairs[..170], &values, &mut message, &mut a);
        receive_words(&keys[..170], &choices, &message, &mut b);
        for i in 0..170 {
            let want = values[i].wrapping_mul(choices[i / 64] >> (i % 64) & 1).wrapping_add(12);
            assert_eq!(a[i].wrapping_add(b[i]), want, "element {i}");
        }
    }

    #[test]
    fn shares_of_products_add_up() {
        for n in [0, 1, 2, 3, 100] {
            for choice in [0, 1, u64::MAX, 1 << 63, 1 << 32, words(1)[0]] {
                let (pairs, keys) = transfers(&[choice]);
                let vector = words(n);
                let (mut message, mut a, mut b) = (vec![0; 33 * n], words(n), vec![0; n]);
                let before = a.clone();
                send_product(&pairs, &vector, &mut message, &mut a);
                receive_product(&keys, choice, &message, &mut b);
                for i in 0..n {
                    let want = vector[i].wrapping_mul(choice).wrapping_add(before[i]);
                    assert_eq!(a[i].wrapping_add(b[i]), want, "{choice:x} times word {i} of {n}");
                }
            }
        }
    }

    #[test]
    fn shares_of_products_of_residues_add_up() {
        let residues = |n: usize| -> Vec<u64> { words(n).into_iter().map(mersenne::reduce).collect() };
        let product = |x: u64, y: u64| (u128::from(x) * u128::from(y) % u128::from(mersenne::P)) as u64;
        for n in [0, 1, 2, 3, 100] {
            for choice in [0, 1, mersenne::P - 1, 1 << 60, residues(1)[0]] {
                let (pairs, keys) = transfers(&[choice]);
                let vector = residues(n);
                let (mut message, mut a, mut b) = (vec![0; RESIDUE_WORDS * n], residues(n), vec![0; n]);
                let before = a.clone();
                send_residue_product(&pairs, &vector, &mut message, &mut a);
                receive_residue_product(&keys, choice, &message, &mut b);
                for i in 0..n {
                    let want = mersenne::reduce(product(vector[i], choice) + before[i]);
                    assert_eq!(mersenne::reduce(a[i] + b[i]), want, "{choice:x} times word {i} of {n}");
                }
            }
        }
        let (choices, values) = (words(3), residues(170));
        let (pairs, keys) = transfers(&choices);
        let (mut message, mut a, mut b) = (vec![0; 170], vec![5; 170], vec![7; 170]);
        send_residues(&pairs[..170], &values, &mut message, &mut a);
        receive_residues(&keys[..170], &choices, &message, &mut b);
        for i in 0..170 {
            let want = mersenne::reduce(values[i] * (choices[i / 64] >> (i % 64) & 1) + 12);
            assert_eq!(mersenne::reduce(a[i] + b[i]), want, "element {i}");
        }
    }

    #[test]
    fn shares_of_bit_products_add_up() {
        let (choices, values) = (words(3), words(9));
        let (pairs, keys) = transfers(&choices);
        let (mut message, mut a, mut b) = (vec![0; 9], vec![0; 9], vec![0; 9]);
        send_bits(&pairs, &values, &mut message, &mut a);
        receive_bits(&keys, &choices, &message, &mut b);
        for i in 0..9 {
            assert_eq!(a[i] ^ b[i], values[i] & choices[i % 3], "word {i}");
        }
    }

    #[test]
    fn shares_of_comparisons_add_up() {
        for bits in 1..=TABLE_BITS {
            for asked in [false, true] {
                // Every pair of values is there, as 256 follow each other.
                let (c, r): (Vec<u64>, Vec<u64>) = (0..256).map(|i| (i & 15, i >> 4)).unzip();
                let plane = |v: &[u64], i: usize, w: usize| {
                    v[64 * w..][..64].iter().enumerate().fold(0, |word, (e, v)| word | (v >> i & 1) << e)
                };
                let planes = |v: &[u64]| -> Vec<u64> {
                    (0..bits).flat_map(|i| (0..4).map(move |w| plane(v, i, w)).collect::<Vec<_>>()).collect()
                };
                let (choices, own) = (planes(&c), planes(&r));
                let (pairs, keys) = transfers(&choices);
                let mut message = vec![0; 4 * comparison_words(bits, asked)];
                let extent = if asked { 4 } else { 0 };
                let (mut less, mut equal) = ([vec![0; 4], vec![0; 4]], [vec![0; extent], vec![0; extent]]);
                send_comparison(&pairs, &own, bits, &mut message, &mut less[0], &mut equal[0]);
                receive_comparison(&keys, &choices, bits, &message, &mut less[1], &mut equal[1]);
                for e in 0..256 {
                    let (c, r) = (c[e] & ((1 << bits) - 1), r[e] & ((1 << bits) - 1));
                    let bit = |of: &[Vec<u64>; 2]| (of[0][e / 64] ^ of[1][e / 64]) >> (e % 64) & 1 == 1;
                    assert_eq!(bit(&less), c < r, "{c} < {r} of {bits} bits");
                    assert!(!asked || bit(&equal) == (c == r), "{c} = {r} of {bits} bits");
                }
            }
        }
    }
}
