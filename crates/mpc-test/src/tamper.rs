//! Frames that come altered.

use crate::conformance::Noise;
use privity_net::sim::{Frame, Tamper};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Alteration {
    /// A word becomes another.
    Random,
    /// A word grows by one.
    PlusOne,
    /// The top bit of a word is flipped.
    TopBit,
    /// A bit of the last word is flipped.
    LastWord,
    /// It comes after the next one.
    Swapped,
    /// It does not come.
    Dropped,
    /// It comes twice.
    Duplicated,
    /// It has the content of an earlier one.
    Replayed,
    /// Its last word is missing.
    Shortened,
}

/// All of them.
pub const ALTERATIONS: [Alteration; 9] = [
    Alteration::Random,
    Alteration::PlusOne,
    Alteration::TopBit,
    Alteration::LastWord,
    Alteration::Swapped,
    Alteration::Dropped,
    Alteration::Duplicated,
    Alteration::Replayed,
    Alteration::Shortened,
];

/// The place of a frame: sender, receiver, how many this link carried before.
pub type Place = (usize, usize, u64);

/// Changes word `i` of a payload, if it has one.
pub fn word(payload: &mut [u8], i: usize, f: impl FnOnce(u64) -> u64) {
    let at = 8 * i;
    if let Some(bytes) = payload.get_mut(at..at + 8) {
        let changed = f(u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
        bytes.copy_from_slice(&changed.to_le_bytes());
    }
}

/// Alters the frame at one place.
pub fn alter(place: Place, alteration: Alteration, seed: u64) -> Tamper {
    let earlier: Mutex<BTreeMap<usize, Vec<u8>>> = Mutex::default();
    let held: Mutex<Option<Frame>> = Mutex::default();
    Arc::new(move |mut frame: Frame| {
        if (frame.from, frame.to) != (place.0, place.1) {
            return vec![frame];
        }
        if let Some(before) = held.lock().expect("no party panicked").take() {
            return vec![frame, before];
        }
        let mut earlier = earlier.lock().expect("no party panicked");
        if frame.index != place.2 {
            earlier.insert(frame.payload.len(), frame.payload.clone());
            return vec![frame];
        }
        let words = frame.payload.len() / 8;
        let at = (seed % words.max(1) as u64) as usize;
        match alteration {
            Alteration::Random => word(&mut frame.payload, at, |w| w ^ Noise(seed).word()),
            Alteration::PlusOne => word(&mut frame.payload, at, |w| w.wrapping_add(1)),
            Alteration::TopBit => word(&mut frame.payload, at, |w| w ^ 1 << 63),
            Alteration::LastWord => word(&mut frame.payload, words.saturating_sub(1), |w| w ^ 1 << 40),
            Alteration::Swapped => {
                *held.lock().expect("no party panicked") = Some(frame);
                return Vec::new();
            }
            Alteration::Dropped => return Vec::new(),
            Alteration::Duplicated => return vec![frame.clone(), frame],
            Alteration::Replayed => match earlier.get(&frame.payload.len()) {
                Some(payload) => frame.payload.clone_from(payload),
                None => frame.payload.iter_mut().for_each(|b| *b = !*b),
            },
            Alteration::Shortened => frame.payload.truncate(frame.payload.len().saturating_sub(8)),
        }
        vec![frame]
    })
}

/// How long a party waits for a frame in such cases: long beside what one takes where many of them run at a time.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Cases that run at a time.
const AT_A_TIME: usize = 16;

/// What comes of so many cases, in any order. Some wait for what does not come: several run at a time.
pub fn side_by_side<T: Send>(cases: usize, case: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (case, next) = (&case, &AtomicUsize::new(0));
    let one_more = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|i| *i < cases);
    let work = || std::iter::from_fn(one_more).map(case).collect::<Vec<T>>();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..AT_A_TIME.min(cases)).map(|_| scope.spawn(work)).collect();
        running.into_iter().flat_map(|worker| worker.join().expect("no case failed")).collect()
    })
}
