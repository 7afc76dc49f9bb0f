//! A dealer without data: it shares a key with every other party, from which all but one draw all of their shares. One is sent corrections.

use super::source::{BitTriples, DaBits, Divisors, EdaBits, Factors, Source, Triple};
use super::{Group, Number, Packed, Session, spread, tensor};
use crate::Result;
use crate::share::{Planes, plane_words};
use privity_ring::kernels::bits::to_planes;
use privity_ring::simd::vectorise;

/// Spec 3: party 0 of a session deals.
pub(crate) struct Dealer;

/// Spec 3.1: uniform elements: all parties draw their shares. The dealer has the sum.
pub(crate) fn uniform<G: Group>(session: &mut Session, len: usize) -> Vec<u64> {
    let step = session.party.next_step();
    let mut drawn = vec![0; len];
    if session.computes() {
        session.draw::<G>(0, step, 0, &mut drawn);
        return drawn;
    }
    let mut sum = vec![0; len];
    for party in session.online() {
        session.draw::<G>(party, step, 0, &mut drawn);
        G::add_assign(&mut sum, &drawn);
    }
    sum
}

/// Spec 3.2: what the dealer has: all parties but the last draw their shares, the last is sent what is left.
pub(crate) fn share<G: Group>(
    session: &mut Session,
    len: usize,
    secret: impl FnOnce() -> Vec<u64>,
) -> Result<Vec<u64>> {
    let (step, last) = (session.party.next_step(), session.party.n() - 1);
    let mut words = vec![0; len];
    if session.party.me() == last {
        session.receive(0, step, 0, bytemuck::cast_slice_mut(&mut words))?;
        G::received(&mut words);
    } else if session.computes() {
        session.draw::<G>(0, step, 0, &mut words);
    } else {
        let mut rest = secret();
        for party in session.first..last {
            session.draw::<G>(party, step, 0, &mut words);
            G::sub_assign(&mut rest, &words);
        }
        session.post(last, step, 0, bytemuck::cast_slice(&rest))?;
    }
    Ok(words)
}

/// Numbers, and some of their bits: `bits` picks planes of the dealer's words.
fn with_bits<R: Number>(
    session: &mut Session,
    len: usize,
    width: usize,
    bits: impl FnOnce(&[u64]) -> Vec<u64>,
) -> Result<(Vec<u64>, Planes)> {
    let numbers = uniform::<R>(session, len);
    let planes = share::<Packed>(session, width * plane_words(len), || bits(&numbers))?;
    Ok((numbers, Planes::new(len, width, planes)))
}

fn low_planes(words: &[u64], width: usize) -> Vec<u64> {
    let mut planes = vec![0; width * plane_words(words.len())];
    to_planes(words, width, &mut planes);
    planes
}

impl<R: Number> Source<R> for Dealer {
    fn triples(&mut self, session: &mut Session, jobs: &[Factors]) -> Result<Vec<Triple<R>>> {
        let mut triples = Vec::with_capacity(jobs.len());
        for (op, x, y) in jobs {
            let a = tensor(x, uniform::<R>(session, x.len()));
            let b = tensor(y, uniform::<R>(session, y.len()));
            let len = op.out_shape(x, y).len();
            let c = share::<R>(session, len, || {
                let mut c = vec![0; len];
                R::add_product(*op, &a, &b, &mut c);
                c
            })?;
            triples.push(Triple { a, b, c });
        }
        Ok(triples)
    }
    fn bit_triples(&mut self, session: &mut Session, words: usize) -> Result<BitTriples> {
        let (a, b) = (uniform::<Packed>(session, words), uniform::<Packed>(session, words));
        let c = share::<Packed>(session, words, || {
            let mut c = a.clone();
            vectorise(|| c.iter_mut().zip(&b).for_each(|(c, b)| *c &= b));
            c
        })?;
        Ok(BitTriples { a, b, c })
    }
    fn dabits(&mut self, session: &mut Session, len: usize) -> Result<DaBits> {
        let bits = uniform::<Packed>(session, len / 64);
        let numbers = share::<R>(session, len, || spread(&bits))?;
        Ok(DaBits { bits, numbers })
    }
    fn edabits(&mut self, session: &mut Session, len: usize, width: usize) -> Result<EdaBits> {
        let (numbers, bits) = with_bits::<R>(session, len, width, |r| low_planes(r, width))?;
        Ok(EdaBits { numbers, bits })
    }
    fn divisors(&mut self, session: &mut Session, len: usize, shift: usize, exact: bool) -> Result<Divisors> {
        let top_bit = |r: &[u64]| r.iter().map(|r| r >> (R::BITS - 1)).collect::<Vec<u64>>();
        let (r, bits) = match exact {
            false => (uniform::<R>(session, len), Planes::zeros(len, 0)),
            true => with_bits::<R>(session, len, shift + 1, |r| {
                let mut planes = low_planes(r, shift);
                planes.extend(low_planes(&top_bit(r), 1));
                planes
            })?,
        };
        let high = share::<R>(session, len, || r.iter().map(|r| r >> shift).collect())?;
        let top = share::<R>(session, len, || top_bit(&r))?;
        Ok(Divisors { r, high, top, bits })
    }
}
