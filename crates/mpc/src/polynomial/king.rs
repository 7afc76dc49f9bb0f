//! Degree reduction by kings: masked products are told to one party each, which opens them and tells what comes out. Spec 24.

use super::deal::{add, batches, deal_alone, draw, part};
use super::replicated::Sets;
use super::{Code, Field, Together};
use crate::cost::Clock;
use crate::party::{Draw, Holders};
use crate::{Error, Party, Result};
use privity_prim::Prg;
use std::ops::Range;

/// Shares of random elements, of degree `t`, and of degree `2 t` of the same ones; the latter of the first `2 t + 1` parties only.
pub(crate) type Doubles = [Vec<u64>; 2];

/// So many words in each part, made by all parties together: each deals some, and of `n` of them `n - t` come that nobody knows. One round. Spec 24.4.
pub(crate) fn dealt_doubles<F: Field>(
    party: &mut Party,
    code: &Code<F>,
    threshold: usize,
    len: usize,
) -> Result<Doubles> {
    let (field, n) = (code.field, code.parties().len());
    let (parts, each) = (field.parts(), dealt_each(n, threshold, len));
    let wide = wide_dealings(party, code, threshold, each)?;
    let mine = || {
        let mut secret = vec![0; parts * each];
        let terms: Vec<(F::Scalar, &[u64])> = code
            .recombination(2 * threshold + 1)
            .into_iter()
            .map(|(_, w)| w)
            .zip(wide.own.iter().map(Vec::as_slice))
            .collect();
        field.combine(&mut secret, &terms);
        secret
    };
    let narrow = deal_alone(party, code, code.parties(), each, Together::Apart, mine)?;
    let extract = |dealt: &[Vec<u64>]| extracted(code, n - threshold, dealt, (each, len));
    let member = party.me() <= 2 * threshold;
    Ok([extract(&narrow), if member { extract(&wide.of_all) } else { Vec::new() }])
}

/// What is dealt of degree `2 t`: nothing is sent, since all shares are drawn and the secrets follow.
struct Wide {
    /// All shares of what this party deals.
    own: Vec<Vec<u64>>,
    /// This party's share of what each deals, if it is one of the first `2 t + 1`.
    of_all: Vec<Vec<u64>>,
}

/// Spec 24.4: a dealer draws each share of degree `2 t` with its holder, its own alone.
fn wide_dealings<F: Field>(party: &mut Party, code: &Code<F>, threshold: usize, each: usize) -> Result<Wide> {
    let (me, step, field) = (party.me(), party.next_step(), code.field);
    let members = &code.parties()[..2 * threshold + 1];
    let alone = uniform(field, field.parts() * each)?;
    let drawn = |dealer: usize, holder: usize| {
        let mut share = vec![0; field.parts() * each];
        for (tile, range) in batches(each, field.parts()).flatten() {
            let mut words = vec![0; field.parts() * range.len()];
            let place = Draw { step, label: dealer as u8 + 1, tile };
            draw(party, field, Holders::of(&[dealer, holder]), place, &mut words);
            add(field, &mut share, &words, each, &range);
        }
        share
    };
    let share = |dealer, holder| if dealer == holder { alone.clone() } else { drawn(dealer, holder) };
    let own = members.iter().map(|holder| share(me, *holder)).collect();
    let held = code.parties().iter().filter(|_| members.contains(&me));
    let of_all = held.map(|dealer| share(*dealer, me)).collect();
    Ok(Wide { own, of_all })
}

/// Uniform elements that this party alone knows.
fn uniform<F: Field>(field: F, words: usize) -> Result<Vec<u64>> {
    let key = privity_prim::fresh_secret().map_err(|_| Error::Randomness)?;
    let prg = Prg::new(key.expose()[..16].try_into().expect("sixteen bytes"));
    let mut out = vec![0; words];
    prg.fill(0, 0, &mut out);
    let mut further = 0;
    field.uniform(&mut out, || {
        let mut word = [0];
        further += 1;
        prg.fill(1, further, &mut word);
        word[0]
    });
    Ok(out)
}

/// Spec 24.4: of vectors of all parties so many whose elements are random if those of as many parties are: a Vandermonde matrix, any columns of
/// which are independent. One after the other, cut to the length wanted.
fn extracted<F: Field>(code: &Code<F>, rows: usize, dealt: &[Vec<u64>], (each, len): (usize, usize)) -> Vec<u64> {
    let (field, parts) = (code.field, code.field.parts());
    let matrix = vandermonde(code, rows);
    let mut out = vec![0; parts * len];
    for from in (0..each).step_by(BLOCK) {
        let block = from..each.min(from + BLOCK);
        let columns: Vec<Vec<u64>> = dealt.iter().map(|words| part(words, parts, each, &block)).collect();
        let mut sum = vec![0; parts * block.len()];
        for (row, powers) in matrix.iter().enumerate() {
            let range = (row * each + block.start).min(len)..(row * each + block.end).min(len);
            if range.is_empty() {
                break;
            }
            let terms: Vec<(F::Scalar, &[u64])> =
                powers.iter().copied().zip(columns.iter().map(Vec::as_slice)).collect();
            field.combine(&mut sum, &terms);
            for (c, words) in sum.chunks_exact(block.len()).enumerate() {
                out[c * len + range.start..c * len + range.end].copy_from_slice(&words[..range.len()]);
            }
        }
    }
    out
}

/// Words of each vector that are extracted at once: all of them together stay in the cache.
const BLOCK: usize = 1 << 10;

/// Row after row, the powers of all parties' points.
fn vandermonde<F: Field>(code: &Code<F>, rows: usize) -> Vec<Vec<F::Scalar>> {
    let (field, parties) = (code.field, code.parties());
    let next = |row: &Vec<F::Scalar>| {
        let times = |(power, party): (&F::Scalar, &usize)| field.mul(*power, field.point(*party));
        Some(row.iter().zip(parties).map(times).collect())
    };
    let ones = parties.iter().map(|_| field.one()).collect();
    std::iter::successors(Some(ones), next).take(rows).collect()
}

/// The kings, the first `2 t + 1` parties, and which words of each part are theirs.
fn realms(threshold: usize, len: usize) -> Vec<Range<usize>> {
    let kings = 2 * threshold + 1;
    (0..kings).map(|king| len * king / kings..len * (king + 1) / kings).collect()
}

/// The part of a realm that a tile of realms covers.
fn clipped(realm: &Range<usize>, tile: &Range<usize>) -> Range<usize> {
    let at = |offset: usize| realm.end.min(realm.start + offset);
    at(tile.start)..at(tile.end)
}

/// Products, shares of degree `2 t` at the first `2 t + 1` parties, become shares of degree `t` of the same elements, `len` words in each part; each
/// double sharing is used up. Two rounds, `2 t` elements to a king and `n - 1 - t` from it for each element. Spec 24.1 to 24.3.
pub(crate) fn reduced<F: Field>(
    party: &mut Party,
    code: &Code<F>,
    threshold: usize,
    [narrow, wide]: Doubles,
    mut products: Vec<u64>,
) -> Result<Vec<u64>> {
    let (me, field, len) = (party.me(), code.field, narrow.len() / code.field.parts());
    if me <= 2 * threshold {
        field.add_assign(&mut products, &wide);
    }
    let opened = gather(party, code, threshold, len, &products)?;
    // Spec 24.3: the opened element less the mask.
    let mut out = vec![0; narrow.len()];
    field.add_scaled(&mut out, field.sub(field.zero(), field.one()), &narrow);
    spread(party, code, threshold, len, &opened, &mut out)?;
    Ok(out)
}

/// Spec 24.2: each king opens what is its own; that is given.
fn gather<F: Field>(
    party: &mut Party,
    code: &Code<F>,
    threshold: usize,
    len: usize,
    masked: &[u64],
) -> Result<Vec<u64>> {
    let (me, step, field, parts) = (party.me(), party.next_step(), code.field, code.field.parts());
    let realms = realms(threshold, len);
    let Some(own) = realms.get(me) else { return Ok(Vec::new()) };
    let members = code.recombination(realms.len());
    let mut opened = vec![0; parts * own.len()];
    for batch in batches(longest(&realms), parts) {
        for (tile, range) in &batch {
            for (king, realm) in realms.iter().enumerate().filter(|(king, _)| *king != me) {
                let range = clipped(realm, range);
                if !range.is_empty() {
                    party.send(king, step, *tile, &part(masked, parts, len, &range))?;
                }
            }
        }
        for (tile, range) in &batch {
            let range = clipped(own, range);
            if range.is_empty() {
                continue;
            }
            let mut sum = vec![0; parts * range.len()];
            for (member, weight) in &members {
                let mut share = part(masked, parts, len, &range);
                if *member != me {
                    party.recv(*member, step, *tile, &mut share)?;
                    field.received(&mut share);
                }
                field.add_scaled(&mut sum, *weight, &share);
            }
            add(field, &mut opened, &sum, own.len(), &(range.start - own.start..range.end - own.start));
        }
    }
    Ok(opened)
}

/// Spec 24.3: kings tell what they opened; the `t` parties after each have the share zero, the others' follows, and is added.
fn spread<F: Field>(
    party: &mut Party,
    code: &Code<F>,
    threshold: usize,
    len: usize,
    opened: &[u64],
    out: &mut [u64],
) -> Result<()> {
    let (me, step, field, parts) = (party.me(), party.next_step(), code.field, code.field.parts());
    let realms = realms(threshold, len);
    for batch in batches(longest(&realms), parts) {
        for (tile, range) in &batch {
            let Some(own) = realms.get(me) else { break };
            let at = clipped(own, range);
            if at.is_empty() {
                continue;
            }
            let value = part(opened, parts, own.len(), &(at.start - own.start..at.end - own.start));
            for (other, _) in &code.dealing(me).told {
                party.send(*other, step, *tile, &value)?;
            }
            add_weighted(field, out, code.dealing(me).own[0], &value, (len, &at));
        }
        for (tile, range) in &batch {
            for (king, realm) in realms.iter().enumerate().filter(|(king, _)| *king != me) {
                let at = clipped(realm, range);
                let told = code.dealing(king).told.iter().find(|(other, _)| *other == me);
                if let (Some((_, weights)), false) = (told, at.is_empty()) {
                    let mut value = vec![0; parts * at.len()];
                    party.recv(king, step, *tile, &mut value)?;
                    field.received(&mut value);
                    add_weighted(field, out, weights[0], &value, (len, &at));
                }
            }
        }
    }
    Ok(())
}

fn add_weighted<F: Field>(
    field: F,
    out: &mut [u64],
    weight: F::Scalar,
    value: &[u64],
    (len, at): (usize, &Range<usize>),
) {
    let mut share = vec![0; value.len()];
    field.add_scaled(&mut share, weight, value);
    add(field, out, &share, len, at);
}

fn longest(realms: &[Range<usize>]) -> usize {
    realms.iter().map(Range::len).max().unwrap_or(0)
}

/// The declared messages of [`reduced`].
pub(crate) fn price<F: Field>(clock: &mut Clock, code: &Code<F>, threshold: usize, len: usize) {
    let (parts, realms) = (code.field.parts(), realms(threshold, len));
    for gathering in [true, false] {
        for batch in batches(longest(&realms), parts) {
            let mut posted = Vec::new();
            for (_, range) in &batch {
                for (king, realm) in realms.iter().enumerate() {
                    let bytes = 8 * (parts * clipped(realm, range).len()) as u64;
                    let others = (0..realms.len())
                        .filter(|_| gathering)
                        .chain(code.dealing(king).told.iter().map(|(other, _)| *other).filter(|_| !gathering));
                    for other in others.filter(|other| *other != king && bytes > 0) {
                        posted.push(if gathering {
                            clock.send(other, king, bytes)
                        } else {
                            clock.send(king, other, bytes)
                        });
                    }
                }
            }
            posted.into_iter().for_each(|arrival| clock.recv(arrival));
        }
    }
}

/// Words that each party deals where this many are wanted.
pub(crate) fn dealt_each(n: usize, threshold: usize, len: usize) -> usize {
    len.div_ceil(n - threshold)
}

/// How degrees are reduced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// Each party deals its product. Spec 4.2.
    Direct,
    /// Kings, with masks that all parties deal. Spec 24.
    King,
    /// Kings, with masks that sets of parties draw. Spec 23 and 24.
    KingOfSets,
}

/// What decides between the ways: public, alike at all parties. Spec 24.5.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Routing {
    /// One-way latency of links that is reckoned with, seconds.
    pub latency: f64,
    /// Bytes a second on each directed link.
    pub bandwidth: f64,
    /// One way whatever it costs, if any.
    pub always: Option<Route>,
}

impl Default for Routing {
    /// Links of a millisecond and 10 Gbit/s: on slower ones a king may be taken where dealing would be quicker by up to two latencies.
    fn default() -> Self {
        Routing { latency: 1e-3, bandwidth: 1.25e9, always: None }
    }
}

/// Seconds of a party's core for each byte sent or received, for each word that is multiplied and added, for each that is drawn; and for each element
/// that kings open, with masks dealt and with masks drawn. Fitted to measurements at 3 to 31 parties; right within a factor of two.
const BYTE: f64 = 1.2e-9;
const TERM: f64 = 1.0e-9;
const DRAW: f64 = 3.5e-9;
const DEALT_MASK: f64 = 100e-9;
const DRAWN_MASK: f64 = 50e-9;

impl Routing {
    /// The quickest way for so many words in all parts; with `sets`, sets of parties have keys.
    pub(crate) fn route(&self, (n, threshold, sets): (usize, usize, bool), words: usize) -> Route {
        let (way, _) = self.ways((n, threshold, sets), words).into_iter().fold(
            (Route::Direct, f64::INFINITY),
            |best, (way, seconds)| if seconds < best.1 { (way, seconds) } else { best },
        );
        self.always.unwrap_or(way)
    }
    /// Predicted seconds of each way there is.
    fn ways(&self, (n, threshold, sets): (usize, usize, bool), words: usize) -> Vec<(Route, f64)> {
        let (parties, t, words) = (n as f64, threshold as f64, words as f64);
        let (members, told, rows) = (2.0 * t + 1.0, parties - 1.0 - t, parties - t);
        // Rounds; of each word: how many over all links, how many on the fullest link, seconds at a party but for what is sent and received.
        let seconds = |rounds: f64, all: f64, link: f64, local: f64| {
            rounds * self.latency + words * (16.0 * all / parties * BYTE + 8.0 * link / self.bandwidth + local)
        };
        let (dealing, kings) = (told * (t + 1.0) * TERM, 2.0 * t + told);
        let direct = seconds(1.0, members * told, 1.0, dealing + members * TERM + 2.0 * t * DRAW);
        // Of the masks, each party deals one in so many words; a whole one at least.
        let each = (words / rows).ceil().max(1.0) / words.max(1.0);
        let masks = each * (dealing + (4.0 * t + 1.0 + parties) * DRAW) + 2.0 * parties * TERM;
        let all = kings + parties * told * each;
        let mut ways =
            vec![(Route::Direct, direct), (Route::King, seconds(3.0, all, each + 2.0 / members, masks + DEALT_MASK))];
        if sets {
            let of_a_party = (0..threshold).fold(1.0, |sets, i| sets * (n - 1 - i) as f64 / (i + 1) as f64);
            let masks = of_a_party * (t + 1.0) * (DRAW + TERM) + DRAWN_MASK;
            ways.push((Route::KingOfSets, seconds(2.0, kings, 2.0 / members, masks)));
        }
        ways
    }
}

/// Double sharings, of either kind.
pub(crate) fn doubles<F: Field>(
    party: &mut Party,
    code: &Code<F>,
    threshold: usize,
    sets: Option<&Sets>,
    len: usize,
) -> Result<Doubles> {
    match sets {
        Some(sets) => Ok(sets.doubles(party, code.field, len)),
        None => dealt_doubles(party, code, threshold, len),
    }
}
