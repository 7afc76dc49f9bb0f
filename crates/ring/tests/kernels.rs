//! Every kernel against its definition, at every SIMD level of this processor.

use privity_ring::kernels::{bits, elementwise, gemm};
use privity_ring::simd::{Level, level, levels, vectorise, with_level};
use proptest::prelude::*;

fn words(n: usize, seed: u64) -> Vec<u64> {
    let mut x = seed | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    (0..n).map(|_| next()).collect()
}

fn naive(acc: gemm::Acc, c: &[u64], a: &[u64], b: &[u64], [m, k, n]: [usize; 3]) -> Vec<u64> {
    let mut out = c.to_vec();
    for i in 0..m {
        for j in 0..n {
            let dot = (0..k).fold(0u64, |s, l| s.wrapping_add(a[i * k + l].wrapping_mul(b[l * n + j])));
            let c = &mut out[i * n + j];
            *c = match acc {
                gemm::Acc::Set => dot,
                gemm::Acc::Add => c.wrapping_add(dot),
                gemm::Acc::Sub => c.wrapping_sub(dot),
            };
        }
    }
    out
}

/// The thread count is a setting of the process, but results may not depend on it: so tests may race on it.
fn check_product([m, k, n]: [usize; 3], seed: u64) {
    let (a, b, c) = (words(m * k, seed), words(k * n, seed + 1), words(m * n, seed + 2));
    for acc in [gemm::Acc::Set, gemm::Acc::Add, gemm::Acc::Sub] {
        let expected = naive(acc, &c, &a, &b, [m, k, n]);
        for level in levels() {
            for threads in [1, 2, 3] {
                gemm::set_threads(threads);
                let mut c = c.clone();
                with_level(level, || gemm::gemm(acc, &mut c, &a, &b, m, k, n));
                assert!(c == expected, "{m} x {k} x {n}, {acc:?}, {level:?}, {threads} threads");
            }
        }
    }
}

#[test]
fn products_of_chosen_shapes() {
    let extents = [0, 1, 2, 3, 4, 5, 8, 33];
    for m in extents {
        for k in extents {
            for n in extents {
                check_product([m, k, n], (m * 64 + k * 8 + n) as u64);
            }
        }
    }
    // The model's shapes; more than one block of rows and of depth; splits by rows and by columns.
    for shape in
        [[128, 30, 64], [128, 64, 32], [97, 257, 65], [200, 130, 100], [5, 500, 700], [1, 700, 1700], [1500, 1000, 1]]
    {
        check_product(shape, 7);
    }
    // Tiles: filled up on every side, several strips, more than one block of depth.
    for shape in [[64, 64, 64], [48, 130, 80], [16, 600, 16], [33, 1100, 70], [100, 2100, 150], [64, 31, 300]] {
        check_product(shape, 9);
    }
}

#[test]
fn extreme_words_wrap() {
    for [m, k, n] in [[7, 150, 41], [40, 1500, 41]] {
        extreme_words(m, k, n);
    }
}

fn extreme_words(m: usize, k: usize, n: usize) {
    let (a, b) = (vec![u64::MAX; m * k], vec![u64::MAX; k * n]);
    for level in levels() {
        let mut c = vec![1; m * n];
        with_level(level, || gemm::gemm(gemm::Acc::Sub, &mut c, &a, &b, m, k, n));
        assert!(c.iter().all(|&c| c == 1u64.wrapping_sub(k as u64)), "{level:?}");
    }
}

#[test]
#[should_panic(expected = "lengths of A, B, C")]
fn a_wrong_length_is_refused() {
    gemm::gemm(gemm::Acc::Set, &mut [0; 4], &[0; 4], &[0; 5], 2, 2, 2);
}

#[test]
fn a_lesser_level_holds_within_its_scope_only() {
    let outside = level();
    with_level(Level::Portable, || {
        assert_eq!(level(), Level::Portable);
        with_level(Level::Avx512, || assert!(level() <= outside));
        assert_eq!(level(), Level::Portable);
    });
    assert_eq!(level(), outside);
    assert_eq!(vectorise(|| 6 * 7), 42);
}

#[test]
fn transpose64_twice_is_the_identity() {
    let rows: [u64; 64] = words(64, 3).try_into().unwrap();
    for level in levels() {
        let mut t = rows;
        with_level(level, || bits::transpose64(&mut t));
        for (r, row) in rows.iter().enumerate() {
            for (c, col) in t.iter().enumerate() {
                assert_eq!(row >> c & 1, col >> r & 1, "{level:?} bit {r}, {c}");
            }
        }
        with_level(level, || bits::transpose64(&mut t));
        assert_eq!(t, rows);
    }
}

fn check_planes(n: usize, width: usize, seed: u64) {
    let (values, nw) = (words(n, seed), n.div_ceil(64));
    let mut expected = vec![0u64; width * nw];
    for (e, v) in values.iter().enumerate() {
        for plane in 0..width {
            expected[plane * nw + e / 64] |= (v >> plane & 1) << (e % 64);
        }
    }
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    for level in levels() {
        let (mut planes, mut back) = (words(width * nw, seed + 1), words(n, seed + 2));
        with_level(level, || bits::to_planes(&values, width, &mut planes));
        assert!(planes == expected, "{n} values, width {width}, {level:?}");
        with_level(level, || bits::from_planes(&planes, width, &mut back));
        assert!(back.iter().zip(&values).all(|(b, v)| *b == v & mask), "{n} values, width {width}, {level:?}");
    }
}

#[test]
fn planes_of_chosen_sizes() {
    for n in [0, 1, 63, 64, 65, 511, 512, 513, 1100] {
        for width in [0, 1, 2, 3, 7, 8, 9, 16, 17, 31, 32, 33, 63, 64] {
            check_planes(n, width, (n + width) as u64);
        }
    }
}

#[test]
fn element_wise_operations() {
    type Binary = fn(&mut [u64], &[u64], &[u64]);
    type Update = fn(&mut [u64], &[u64]);
    type Scalar = fn(u64, u64) -> u64;
    let ops: [(Binary, Update, Scalar); 5] = [
        (elementwise::add, elementwise::add_assign, u64::wrapping_add),
        (elementwise::sub, elementwise::sub_assign, u64::wrapping_sub),
        (elementwise::mul, elementwise::mul_assign, u64::wrapping_mul),
        (elementwise::and, elementwise::and_assign, |a, b| a & b),
        (elementwise::xor, elementwise::xor_assign, |a, b| a ^ b),
    ];
    for (n, level) in [0, 1, 7, 64, 1001].into_iter().flat_map(|n| levels().map(move |l| (n, l))) {
        let (a, b, old) = (words(n, 1), words(n, 2), words(n, 3));
        with_level(level, || {
            for (binary, update, scalar) in ops {
                let expected: Vec<u64> = a.iter().zip(&b).map(|(&a, &b)| scalar(a, b)).collect();
                let (mut out, mut x) = (old.clone(), a.clone());
                binary(&mut out, &a, &b);
                update(&mut x, &b);
                assert_eq!((&out, &x), (&expected, &expected), "{n} words, {level:?}");
            }
            let mut out = old.clone();
            elementwise::mul_add(&mut out, &a, &b);
            assert!((0..n).all(|i| out[i] == old[i].wrapping_add(a[i].wrapping_mul(b[i]))), "{n} words, {level:?}");
            elementwise::neg_assign(&mut out);
            assert!((0..n).all(|i| out[i].wrapping_neg() == old[i].wrapping_add(a[i].wrapping_mul(b[i]))));
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn products_of_random_shapes(m in 0usize..70, k in 0usize..300, n in 0usize..90, seed in any::<u32>()) {
        check_product([m, k, n], u64::from(seed));
    }

    #[test]
    fn planes_of_random_sizes(n in 0usize..2000, width in 0usize..=64, seed in any::<u32>()) {
        check_planes(n, width, u64::from(seed));
    }

    #[test]
    fn transpositions(rows in 0usize..70, cols in 0usize..70, seed in any::<u32>()) {
        let a = words(rows * cols, u64::from(seed));
        let mut t = vec![0; rows * cols];
        gemm::transpose(&mut t, &a, rows, cols);
        prop_assert!((0..rows).all(|i| (0..cols).all(|j| t[j * rows + i] == a[i * cols + j])));
    }
}
