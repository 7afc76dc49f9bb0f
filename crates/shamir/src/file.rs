//! Shares in files: splitting and combining as streams. Layout and argument: docs/protocols/shamir-files.md.

use crate::gf256::{add_scaled, coefficients, scale_add};
use crate::{Error, Result};
use privity_prim::{Prg, fresh_secret};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{Read, Seek, SeekFrom, Write};
use zeroize::Zeroizing;

const MAGIC: &[u8; 16] = b"privity share 1\n";
const SALT: usize = 32;
const DIGEST: usize = 32;
/// Magic, identifier, threshold, number of shares, position, salt.
const HEAD: usize = 16 + 16 + 3 + SALT;
/// Words worked on at once.
const WORDS: usize = 1 << 13;

/// How a secret is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    threshold: u8,
    shares: u8,
}

impl Parameters {
    /// So many of so many shares.
    ///
    /// # Errors
    /// [`Error::Parameters`].
    pub fn new(threshold: usize, shares: usize) -> Result<Self> {
        match (2..=255).contains(&shares) && (2..=shares).contains(&threshold) {
            true => Ok(Parameters { threshold: threshold as u8, shares: shares as u8 }),
            false => Err(Error::Parameters { threshold, shares }),
        }
    }
    /// Shares in all.
    pub fn shares(self) -> usize {
        self.shares.into()
    }
}

fn io(doing: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Io { doing, source }
}

/// The commitment to a share: BLAKE3 in key-derivation mode over its head and payload. The salt, which only that share has, hides it.
fn commitment(head: &[u8]) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new_derive_key("privity 2026-11 commitment to a share in a file");
    hasher.update(head);
    hasher
}

/// Fills a buffer as far as the source goes.
fn read_full(source: &mut impl Read, into: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match source.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Splits a secret of any length into one share for each output, position 1 first. Memory: 64 KiB for each share of the threshold.
///
/// # Errors
/// Reading, writing, randomness; other than [`Parameters::shares`] outputs is [`Error::Parameters`].
pub fn split(parameters: Parameters, source: &mut impl Read, outputs: &mut [impl Write]) -> Result<()> {
    if outputs.len() != parameters.shares() {
        return Err(Error::Parameters { threshold: parameters.threshold.into(), shares: outputs.len() });
    }
    let fresh = || fresh_secret().map_err(|_| Error::Randomness);
    let writing = io("writing a share");
    let id = fresh()?;
    let mut hashers = Vec::with_capacity(outputs.len());
    for (position, output) in (1..=parameters.shares).zip(&mut *outputs) {
        let mut head = Vec::with_capacity(HEAD);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&id.expose()[..16]);
        head.extend_from_slice(&[parameters.threshold, parameters.shares, position]);
        head.extend_from_slice(fresh()?.expose());
        output.write_all(&head).map_err(&writing)?;
        hashers.push(commitment(&head));
    }
    // One generator for each coefficient but the constant one.
    let mut generators = Vec::new();
    for _ in 1..parameters.threshold {
        let key = fresh()?;
        generators.push(Prg::new(key.expose()[..16].try_into().expect("sixteen bytes")));
    }
    let mut secret = Zeroizing::new(vec![0u64; WORDS]);
    let mut random: Vec<_> = generators.iter().map(|_| Zeroizing::new(vec![0u64; WORDS])).collect();
    let mut share = Zeroizing::new(vec![0u64; WORDS]);
    for chunk in 0.. {
        let bytes = read_full(source, bytemuck::cast_slice_mut(&mut secret)).map_err(io("reading the secret"))?;
        let words = bytes.div_ceil(8);
        // What is past the end of the secret is not written; it shall not be what was there before.
        bytemuck::cast_slice_mut::<u64, u8>(&mut secret)[bytes..].fill(0);
        for (generator, random) in generators.iter().zip(&mut random) {
            generator.fill(0, chunk * (WORDS as u64 / 2), &mut random[..words]);
        }
        for ((position, output), hasher) in (1..=parameters.shares).zip(&mut *outputs).zip(&mut hashers) {
            // Horner, highest coefficient first.
            let share = &mut share[..words];
            share.copy_from_slice(&random[random.len() - 1][..words]);
            let rest = random[..random.len() - 1].iter().rev().map(|c| &c[..words]).chain([&secret[..words]]);
            rest.for_each(|coefficient| scale_add(share, position, coefficient));
            let payload = &bytemuck::cast_slice::<u64, u8>(share)[..bytes];
            hasher.update(payload);
            output.write_all(payload).map_err(&writing)?;
        }
        if bytes < 8 * WORDS {
            break;
        }
    }
    let commitments: Vec<u8> = hashers.iter().flat_map(|hasher| *hasher.finalize().as_bytes()).collect();
    for output in outputs {
        output.write_all(&commitments).and_then(|()| output.flush()).map_err(&writing)?;
    }
    Ok(())
}

/// What a share says of its splitting: all sound shares of one say the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Splitting {
    id: [u8; 16],
    threshold: u8,
    shares: u8,
    length: u64,
    commitments: Vec<u8>,
}

/// A share that fits what it says of itself.
struct Sound {
    splitting: Splitting,
    position: u8,
}

/// Reads and checks one share; why it is none, if it is none.
fn inspect(input: &mut (impl Read + Seek)) -> Result<std::result::Result<Sound, &'static str>> {
    let reading = io("reading a share");
    let total = input.seek(SeekFrom::End(0)).map_err(&reading)?;
    input.seek(SeekFrom::Start(0)).map_err(&reading)?;
    let mut head = [0; HEAD];
    if total < HEAD as u64 {
        return Ok(Err("is too short for a share"));
    }
    input.read_exact(&mut head).map_err(&reading)?;
    if &head[..16] != MAGIC {
        return Ok(Err("is no share of this version"));
    }
    let (threshold, shares, position) = (head[32], head[33], head[34]);
    if Parameters::new(threshold.into(), shares.into()).is_err() || !(1..=shares).contains(&position) {
        return Ok(Err("says what no share says of itself"));
    }
    let tail = DIGEST * usize::from(shares);
    let Some(length) = total.checked_sub((HEAD + tail) as u64) else {
        return Ok(Err("is cut short"));
    };
    let mut hasher = commitment(&head);
    let mut chunk = Zeroizing::new(vec![0u8; 8 * WORDS]);
    let mut left = length;
    while left > 0 {
        let part = &mut chunk[..left.min(8 * WORDS as u64) as usize];
        input.read_exact(part).map_err(&reading)?;
        hasher.update(part);
        left -= part.len() as u64;
    }
    let mut commitments = vec![0; tail];
    input.read_exact(&mut commitments).map_err(&reading)?;
    let own = DIGEST * usize::from(position - 1);
    // A comparison of public values.
    if hasher.finalize().as_bytes()[..] != commitments[own..own + DIGEST] {
        return Ok(Err("was altered or cut short: it does not fit its commitment"));
    }
    let id = head[16..32].try_into().expect("sixteen bytes");
    Ok(Ok(Sound { splitting: Splitting { id, threshold, shares, length, commitments }, position }))
}

/// What combining came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combined {
    /// Bytes of the secret.
    pub length: u64,
    /// Shares that were not used although enough others were: index among the inputs, and why.
    pub ignored: Vec<(usize, &'static str)>,
}

/// Gives a secret back from enough of its shares. Every share is checked before anything is written: against its own commitment, which all
/// shares of a splitting carry, and these against each other.
///
/// # Errors
/// [`Error::TooFew`] naming what is wrong with which input, [`Error::Ambiguous`]; reading, writing.
pub fn combine(inputs: &mut [impl Read + Seek], output: &mut impl Write) -> Result<Combined> {
    let (mut groups, mut ignored) = (BTreeMap::<Splitting, BTreeMap<u8, usize>>::new(), Vec::new());
    for (index, input) in inputs.iter_mut().enumerate() {
        match inspect(input)? {
            Err(problem) => ignored.push((index, problem)),
            Ok(sound) => match groups.entry(sound.splitting).or_default().entry(sound.position) {
                Entry::Occupied(_) => ignored.push((index, "was given twice")),
                Entry::Vacant(place) => {
                    place.insert(index);
                }
            },
        }
    }
    let enough = |(splitting, positions): &(&Splitting, &BTreeMap<u8, usize>)| {
        positions.len() >= usize::from(splitting.threshold)
    };
    let splittings = groups.iter().filter(enough).count();
    if splittings > 1 {
        return Err(Error::Ambiguous { splittings });
    }
    let Some((splitting, positions)) = groups.iter().find(enough) else {
        return Err(too_few(&groups, &ignored));
    };
    for (_, strangers) in groups.iter().filter(|group| !enough(group)) {
        let reason = "is of another secret, or what it says of the other shares was altered";
        ignored.extend(strangers.values().map(|index| (*index, reason)));
    }
    ignored.sort_unstable();
    let chosen: Vec<(u8, usize)> = positions.iter().map(|(p, i)| (*p, *i)).take(splitting.threshold.into()).collect();
    interpolate(inputs, &chosen, splitting.length, output)?;
    Ok(Combined { length: splitting.length, ignored })
}

fn too_few(groups: &BTreeMap<Splitting, BTreeMap<u8, usize>>, ignored: &[(usize, &'static str)]) -> Error {
    let best = groups.iter().max_by_key(|(_, positions)| positions.len());
    let mut reasons: Vec<String> = ignored.iter().map(|(i, why)| format!("number {} {why}", i + 1)).collect();
    if groups.len() > 1 {
        reasons.push(format!(
            "the sound ones are of {} secrets, or what some say of the others was altered",
            groups.len()
        ));
    }
    if reasons.is_empty() {
        reasons.push("find more of them".into());
    }
    Error::TooFew {
        good: best.map_or(0, |(_, positions)| positions.len()),
        needed: best.map_or(0, |(splitting, _)| splitting.threshold.into()),
        reasons: reasons.join("; "),
    }
}

/// The constant term of the polynomials through the chosen shares, chunk by chunk.
fn interpolate(
    inputs: &mut [impl Read + Seek],
    chosen: &[(u8, usize)],
    length: u64,
    output: &mut impl Write,
) -> Result<()> {
    let positions: Vec<u8> = chosen.iter().map(|(position, _)| *position).collect();
    let factors = coefficients(&positions);
    for (_, index) in chosen {
        inputs[*index].seek(SeekFrom::Start(HEAD as u64)).map_err(io("reading a share"))?;
    }
    let (mut share, mut secret) = (Zeroizing::new(vec![0u64; WORDS]), Zeroizing::new(vec![0u64; WORDS]));
    let mut left = length;
    while left > 0 {
        let bytes = left.min(8 * WORDS as u64) as usize;
        secret.fill(0);
        for ((_, index), factor) in chosen.iter().zip(&factors) {
            let part = &mut bytemuck::cast_slice_mut::<u64, u8>(&mut share)[..bytes];
            inputs[*index].read_exact(part).map_err(io("reading a share"))?;
            add_scaled(&mut secret, *factor, &share);
        }
        output.write_all(&bytemuck::cast_slice::<u64, u8>(&secret)[..bytes]).map_err(io("writing the secret"))?;
        left -= bytes as u64;
    }
    output.flush().map_err(io("writing the secret"))
}

/// For fuzzing: whatever the bytes are, they are a share or not.
pub fn fuzz(bytes: &[u8]) {
    let _ = inspect(&mut std::io::Cursor::new(bytes));
}
