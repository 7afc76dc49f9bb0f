//! Every kernel against a naive version, at every level this machine has.

use privity_ring::kernels::bits::{from_planes, to_planes, transpose64};
use privity_ring::kernels::gemm::{Acc, gemm};
use privity_ring::kernels::gemm::set_threads;
use privity_ring::simd::{self, Level};
use proptest::prelude::*;
use std::sync::Mutex;

/// Levels and thread counts are process-wide.
static LEVELS: Mutex<()> = Mutex::new(());

fn at_every_level(mut f: impl FnMut()) {
    let _guard = LEVELS.lock().unwrap_or_else(|e| e.into_inner());
    for level in [Level::Portable, Level::Avx2, Level::Avx512] {
        simd::with_level(level, &mut f);
    }
}

fn naive(acc: Acc, c: &[u64], a: &[u64], b: &[u64], (m, k, n): (usize, usize, usize)) -> Vec<u64> {
    let mut out = vec![0u64; m * n];
    for i in 0..m {
        for j in 0..n {
            let sum = (0..k).fold(0u64, |s, l| s.wrapping_add(a[i * k + l].wrapping_mul(b[l * n + j])));
            let old = c[i * n + j];
            out[i * n + j] = match acc {
                Acc::Set => sum,
                Acc::Add => old.wrapping_add(sum),
                Acc::Sub => old.wrapping_sub(sum),
            };
        }
    }
    out
}

fn words(seed: u64, len: usize) -> Vec<u64> {
    let mut x = seed | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    (0..len).map(|_| next()).collect()
}

fn check_gemm(seed: u64, shape: (usize, usize, usize)) {
    let (m, k, n) = shape;
    let (a, b, c) = (words(seed, m * k), words(seed + 1, k * n), words(seed + 2, m * n));
    for acc in [Acc::Set, Acc::Add, Acc::Sub] {
        let want = naive(acc, &c, &a, &b, shape);
        at_every_level(|| {
            for threads in [1, 2] {
                set_threads(threads);
                let mut got = c.clone();
                gemm(acc, &mut got, &a, &b, m, k, n);
                assert!(got == want, "{shape:?} {acc:?} at {:?} with {threads} threads", simd::level());
            }
            set_threads(1);
        });
    }
}

#[test]
fn products_of_awkward_shapes() {
    for shape in [(0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 1, 1), (4, 1, 33), (5, 129, 8), (130, 257, 31), (128, 130, 140)]
    {
        check_gemm(7, shape);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn products(seed in 1u64.., m in 0usize..40, k in 0usize..150, n in 0usize..70) {
        check_gemm(seed, (m, k, n));
    }

    #[test]
    fn planes_round_trip(seed in 1u64.., n in 0usize..300, width in 1usize..=64) {
        let values = words(seed, n);
        let nw = n.div_ceil(64);
        at_every_level(|| {
            let mut planes = vec![u64::MAX; width * nw];
            to_planes(&values, width, &mut planes);
            for (e, v) in values.iter().enumerate() {
                for i in 0..width {
                    assert_eq!(planes[i * nw + e / 64] >> (e % 64) & 1, v >> i & 1);
                }
            }
            let mut back = vec![0; n];
            from_planes(&planes, width, &mut back);
            let mask = u64::MAX >> (64 - width);
            assert!(back.iter().zip(&values).all(|(b, v)| *b == v & mask));
        });
    }

    #[test]
    fn transposes(seed in 1u64..) {
        let x: [u64; 64] = words(seed, 64).try_into().unwrap();
        at_every_level(|| {
            let mut t = x;
            transpose64(&mut t);
            for (i, row) in x.iter().enumerate() {
                for (j, column) in t.iter().enumerate() {
                    assert_eq!(row >> j & 1, column >> i & 1);
                }
            }
        });
    }
}
