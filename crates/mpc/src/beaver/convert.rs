//! Division by powers of two, bits of values. Spec 6 and 5.4.

use super::arithmetic::{joined, separated};
use super::boolean::{AT_ONCE, at_one, blinded, borrows, compared, gated, masked_residues, padded, planes};
use super::{Beaver, Bits};
use crate::correlations::{Extent, Levels, Number, Wires, carries, carry_out, to_numbers};
use crate::share::Planes;
use crate::{BitShare, Result};
use privity_ring::{Shape, Tensor, simd::vectorise};

/// Spec 6: each value divided by `2^shift`; what needs no division is left as it is.
pub(super) fn divide<R: Number>(
    p: &mut Beaver<R>,
    values: Vec<Tensor<R>>,
    shifts: &[u32],
    exactly: bool,
) -> Result<Vec<Tensor<R>>> {
    let mut out = values;
    for group in groups(&out.iter().zip(shifts).map(|(x, shift)| (x.len(), *shift)).collect::<Vec<_>>()) {
        let shift = shifts[group[0]] as usize;
        assert!(shift < R::BITS - 2, "a division by 2^{shift} leaves nothing");
        let shapes: Vec<Shape> = group.iter().map(|i| out[*i].shape().clone()).collect();
        let len: usize = shapes.iter().map(Shape::len).sum();
        let flat = padded(joined(group.iter().map(|i| &out[*i])));
        let mut divided = Vec::with_capacity(flat.len());
        for part in flat.chunks(AT_ONCE) {
            divided.extend(quotients(p, part, shift, exactly)?);
        }
        group.into_iter().zip(separated(&divided[..len], &shapes)).for_each(|(i, x)| out[i] = x);
    }
    Ok(out)
}

/// The values of one shift together, those of none left out; `jobs` are lengths and shifts.
pub(super) fn groups(jobs: &[(usize, u32)]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, (_, shift)) in jobs.iter().enumerate().filter(|(_, (len, shift))| *shift > 0 && *len > 0) {
        match groups.iter_mut().find(|group| jobs[group[0]].1 == *shift) {
            Some(group) => group.push(i),
            None => groups.push(vec![i]),
        }
    }
    groups
}

/// Spec 6.1 to 6.3: `y = x + offset` is below half the modulus; `m = y + r` is told. Whether `y + r` went beyond the modulus the top bits tell.
fn quotients<R: Number>(p: &mut Beaver<R>, values: &[u64], shift: usize, exactly: bool) -> Result<Vec<u64>> {
    let mask = p.source.divisors(&mut p.session, values.len(), shift, exactly)?;
    let half = if exactly { 1 << (shift - 1) } else { 0 };
    let mut masked = values.to_vec();
    if p.session.leads() {
        R::offset_assign(&mut masked, R::OFFSET + half);
    }
    R::add_assign(&mut masked, &mask.r);
    let told = p.session.tell::<R>(&masked)?;
    // Spec 6.2: `2^(bits - shift) u`, `u` being `r`'s top bit where that of `m` is clear.
    let mut wrapped = mask.top;
    let clear = |m: u64| (m >> (R::BITS - 1) & 1).wrapping_sub(1);
    vectorise(|| wrapped.iter_mut().zip(&told).for_each(|(top, m)| *top &= clear(*m)));
    let mut quotient = vec![0; values.len()];
    R::add_scaled(&mut quotient, R::power_of_two(R::BITS - shift), &wrapped);
    R::sub_assign(&mut quotient, &mask.high);
    if p.session.leads() {
        let less = (R::OFFSET >> shift) as i64;
        let public: Vec<u64> =
            told.iter().map(|m| R::words(&[R::from_u64(((m >> shift) as i64 - less) as u64)])[0]).collect();
        R::add_assign(&mut quotient, &public);
    }
    if exactly {
        let borrow = low_borrow(p, &told, &mask.bits, shift)?;
        let borrow = to_numbers::<R>(&mut p.session, &mut *p.source, borrow.words())?;
        R::sub_assign(&mut quotient, &borrow);
    }
    Ok(quotient)
}

/// Spec 6.3: what the low bits borrow; modulo `2^61 - 1`, one more where the sum went beyond it.
fn low_borrow<R: Number>(p: &mut Beaver<R>, told: &[u64], shared: &Planes, shift: usize) -> Result<Planes> {
    let low = planes(told, shift);
    let [mut generate, mut pass] = borrows(&p.session, &low, &shared.planes(0..shift));
    if !R::BINARY {
        let clear: Vec<u64> = told.iter().map(|m| (m >> (R::BITS - 1) & 1) ^ 1).collect();
        let wrapped = planes(&clear, 1).zip(&shared.planes(shift..shift + 1), |clear, top| clear & top);
        generate = Planes::above(&[&wrapped, &generate]);
        pass = Planes::above(&[&wrapped, &pass]);
    }
    let levels = compared(told.len(), borrowed::<R>(shift));
    gated(&mut p.session, &mut *p.source, &levels, |gates| carry_out(gates, generate, pass))
}

/// Places of a borrow of so many bits.
pub(super) fn borrowed<R: Number>(shift: usize) -> usize {
    shift + usize::from(!R::BINARY)
}

/// Spec 5.4: the low bits of a value: public bits less shared ones.
pub(super) fn a2b<R: Number>(p: &mut Beaver<R>, x: &Tensor<R>, width: u32) -> Result<Bits<R>> {
    let (width, len) = (width as usize, x.len());
    let most = if R::BINARY { 64 } else { 60 };
    assert!((1..=most).contains(&width), "the low 1 to {most} bits of a value");
    if len == 0 {
        return Ok(Bits::new(Planes::zeros(0, width)));
    }
    let mut values = joined([x]);
    let (m, r, into) = match R::BINARY {
        true => {
            let (m, r) = blinded(p, &values, width)?;
            let none = m.pick(std::iter::once(None));
            (m, r, none)
        }
        false => {
            if p.session.leads() {
                R::offset_assign(&mut values, 1 << 60);
            }
            let (m, r) = masked_residues(p, values)?;
            let [generate, pass] = borrows(&p.session, &m, &r);
            let levels = compared(len, R::BITS);
            // One more is borrowed where `m < r`, as p is -1 there.
            let wrapped = gated(&mut p.session, &mut *p.source, &levels, |gates| carry_out(gates, generate, pass))?;
            (m.planes(0..width), r.planes(0..width), wrapped)
        }
    };
    let [generate, pass] = borrows(&p.session, &m.planes(0..width - 1), &r.planes(0..width - 1));
    let generate = Planes::above(&[&into, &generate]);
    let pass = Planes::above(&[&into, &pass]);
    let levels = subtracted(len, width);
    let borrows = gated(&mut p.session, &mut *p.source, &levels, |gates| carries(gates, generate, pass))?;
    let difference = Wires::xor(&Wires::xor(&r, &borrows), &at_one(&p.session, &m));
    debug_assert_eq!(BitShare::width(&difference), width, "a bit of each place");
    Ok(Bits::new(difference))
}

/// The ANDs of a subtraction of so many places.
pub(super) fn subtracted(len: usize, width: usize) -> Levels {
    let all = Extent::new(len, width);
    Levels::of(|levels| carries(levels, all, all))
}
