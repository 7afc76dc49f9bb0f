//! Run-time choice of the instruction set, so that one portable binary is fast everywhere.

use std::cell::Cell;
use std::sync::OnceLock;

/// Instruction sets the kernels are compiled for, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// What the build target guarantees.
    Portable,
    /// AVX2, BMI1 and BMI2.
    Avx2,
    /// AVX-512 F, BW, DQ and VL besides AVX2.
    Avx512,
    /// AMX tiles of bytes besides AVX-512: for matrix products.
    Amx,
}

thread_local! {
    static CEILING: Cell<Level> = const { Cell::new(Level::Amx) };
}

/// The instruction set in use on this thread: the best that the processor has, unless `PRIVITY_SIMD`
/// (`portable`, `avx2`, `avx512` or `amx`) or [`with_level`] asks for a lesser one. A level that the processor lacks
/// is never returned.
#[inline]
pub fn level() -> Level {
    detected().min(CEILING.get())
}

/// The best level that the processor has and `PRIVITY_SIMD` allows.
#[inline]
pub(crate) fn detected() -> Level {
    static PROCESS: OnceLock<Level> = OnceLock::new();
    *PROCESS.get_or_init(|| detect().min(requested()))
}

/// Runs `f` on this thread with at most the given level, so that tests and benches can compare the paths.
pub fn with_level<R>(level: Level, f: impl FnOnce() -> R) -> R {
    struct Restore(Level);
    impl Drop for Restore {
        fn drop(&mut self) {
            CEILING.set(self.0);
        }
    }
    let _restore = Restore(CEILING.replace(level));
    f()
}

/// Every level this thread may use, weakest first.
pub fn levels() -> impl Iterator<Item = Level> {
    [Level::Portable, Level::Avx2, Level::Avx512, Level::Amx].into_iter().filter(|&l| l <= level())
}

fn requested() -> Level {
    match std::env::var("PRIVITY_SIMD").as_deref() {
        Ok("portable") => Level::Portable,
        Ok("avx2") => Level::Avx2,
        Ok("avx512") => Level::Avx512,
        _ => Level::Amx,
    }
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    use std::is_x86_feature_detected as has;
    let avx2 = has!("avx2") && has!("bmi1") && has!("bmi2");
    let avx512 = has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
    match (avx2, avx512) {
        (true, true) if crate::kernels::amx::available() => Level::Amx,
        (true, true) => Level::Avx512,
        (true, false) => Level::Avx2,
        _ => Level::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Portable
}

/// Runs `f` compiled for the level in use, so that its plain loops become wide vector code in crates that
/// forbid `unsafe`.
///
/// Only what is inlined into `f` profits. The compiler inlines a short closure by itself; write a longer one as
/// `vectorise(#[inline(always)] || ..)` and mark what it calls `#[inline(always)]` too. A call costs about a nanosecond.
#[inline(always)]
pub fn vectorise<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    match level() {
        // SAFETY: `level` returns only what the processor was seen to support.
        Level::Avx512 | Level::Amx => return unsafe { with_avx512(f) },
        // SAFETY: as above.
        Level::Avx2 => return unsafe { with_avx2(f) },
        Level::Portable => {}
    }
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn with_avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,avx512f,avx512bw,avx512dq,avx512vl")]
fn with_avx512<R>(f: impl FnOnce() -> R) -> R {
    f()
}
