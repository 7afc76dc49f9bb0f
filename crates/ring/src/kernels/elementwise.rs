//! Element-wise operations, modulo 2^64. Every function panics if its slices differ in length.

use crate::simd::vectorise;

#[inline(always)]
fn binary(out: &mut [u64], a: &[u64], b: &[u64], f: impl Fn(u64, u64) -> u64) {
    assert_eq!((out.len(), out.len()), (a.len(), b.len()), "element-wise operands must have the output's length");
    vectorise(|| out.iter_mut().zip(a).zip(b).for_each(|((o, &a), &b)| *o = f(a, b)));
}

#[inline(always)]
fn update(x: &mut [u64], y: &[u64], f: impl Fn(u64, u64) -> u64) {
    assert_eq!(x.len(), y.len(), "element-wise operands must have one length");
    vectorise(|| x.iter_mut().zip(y).for_each(|(x, &y)| *x = f(*x, y)));
}

/// `out = a + b`.
pub fn add(out: &mut [u64], a: &[u64], b: &[u64]) {
    binary(out, a, b, u64::wrapping_add);
}

/// `out = a - b`.
pub fn sub(out: &mut [u64], a: &[u64], b: &[u64]) {
    binary(out, a, b, u64::wrapping_sub);
}

/// `out = a * b`.
pub fn mul(out: &mut [u64], a: &[u64], b: &[u64]) {
    binary(out, a, b, u64::wrapping_mul);
}

/// `out = a & b`, bit by bit.
pub fn and(out: &mut [u64], a: &[u64], b: &[u64]) {
    binary(out, a, b, |a, b| a & b);
}

/// `out = a ^ b`, bit by bit.
pub fn xor(out: &mut [u64], a: &[u64], b: &[u64]) {
    binary(out, a, b, |a, b| a ^ b);
}

/// `x += y`.
pub fn add_assign(x: &mut [u64], y: &[u64]) {
    update(x, y, u64::wrapping_add);
}

/// `x -= y`.
pub fn sub_assign(x: &mut [u64], y: &[u64]) {
    update(x, y, u64::wrapping_sub);
}

/// `x *= y`.
pub fn mul_assign(x: &mut [u64], y: &[u64]) {
    update(x, y, u64::wrapping_mul);
}

/// `x &= y`, bit by bit.
pub fn and_assign(x: &mut [u64], y: &[u64]) {
    update(x, y, |x, y| x & y);
}

/// `x ^= y`, bit by bit.
pub fn xor_assign(x: &mut [u64], y: &[u64]) {
    update(x, y, |x, y| x ^ y);
}

/// `x = -x`.
pub fn neg_assign(x: &mut [u64]) {
    vectorise(|| x.iter_mut().for_each(|x| *x = x.wrapping_neg()));
}

/// `out += a * b`.
pub fn mul_add(out: &mut [u64], a: &[u64], b: &[u64]) {
    assert_eq!((out.len(), out.len()), (a.len(), b.len()), "element-wise operands must have the output's length");
    vectorise(|| out.iter_mut().zip(a).zip(b).for_each(|((o, &a), &b)| *o = o.wrapping_add(a.wrapping_mul(b))));
}
