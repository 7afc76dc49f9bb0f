//! What a party is given: its peers, its randomness, and where in the program it stands.

use crate::{Error, Result};
use privity_net::{Link, Tag};
use privity_prim::{Context, Prg, Secret, derive, fresh_secret};
use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

/// Traffic of one operation, as this party saw it.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Payload bytes sent.
    pub bytes: u64,
    /// Frames sent.
    pub frames: u64,
    /// Growth of this party's logical clock: messages in sequence on the critical path.
    pub rounds: u64,
}

/// Step numbers of the key exchange lie above every program step.
const KEY_STEP: u64 = u64::MAX;

/// One party in a session: link, pairwise mask keys, program counter, logical clock, statistics.
pub struct Party {
    link: Box<dyn Link>,
    keys: Vec<Option<Prg>>,
    epoch: u32,
    step: u64,
    clock: u32,
    scopes: Vec<&'static str>,
    traffic: BTreeMap<&'static str, Traffic>,
    sent: Vec<u64>,
    /// Every draw so far, where a test asked for it.
    drawn: Option<Mutex<HashSet<(usize, Draw)>>>,
}

/// Where a mask comes from: step of the program, label of the stream within it, tile. Used once each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Draw {
    /// Program step, below 2^56.
    pub step: u64,
    /// Stream within the step.
    pub label: u8,
    /// Tile, below 2^31; a tile draws less than 2^32 blocks.
    pub tile: usize,
}

impl Party {
    /// Exchanges fresh contributions with every peer over the (authenticated) link and derives a mask key per pair, bound
    /// to session, job, epoch, attempt and lane. One round, 32 bytes to each peer.
    pub fn connect(mut link: Box<dyn Link>, context: &Context) -> Result<Party> {
        let (me, n) = (link.me(), link.n());
        let tag = Tag { epoch: context.epoch, step: KEY_STEP, tile: 0 };
        let mut mine = Vec::with_capacity(n);
        for peer in 0..n {
            mine.push(fresh_secret().map_err(|_| Error::Randomness)?);
            if peer != me {
                link.send(peer, tag, 0, mine[peer].expose())?;
            }
        }
        let mut keys = Vec::with_capacity(n);
        for peer in 0..n {
            keys.push(if peer == me {
                None
            } else {
                let mut theirs = [0; 32];
                link.recv(peer, tag, &mut theirs)?;
                Some(pair_key(context, (me, &mine[peer]), (peer, &Secret::new(theirs))))
            });
        }
        Ok(Self::with_keys(link, keys, context.epoch))
    }

    /// A party with given pair keys.
    pub(crate) fn with_keys(link: Box<dyn Link>, keys: Vec<Option<Prg>>, epoch: u32) -> Party {
        let sent = vec![0; link.n()];
        Party { link, keys, epoch, step: 0, clock: 0, scopes: Vec::new(), traffic: BTreeMap::new(), sent, drawn: None }
    }

    /// A party whose mask keys are public constants. Nothing is hidden: for transcript tests only.
    #[doc(hidden)]
    pub fn with_fixed_keys_for_tests(link: Box<dyn Link>, seed: u8) -> Party {
        let (me, n) = (link.me(), link.n());
        let key = |peer: usize| {
            let (low, high) = (me.min(peer) as u8, me.max(peer) as u8);
            Prg::new([seed, low, high, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        };
        let keys = (0..n).map(|peer| (peer != me).then(|| key(peer))).collect();
        Self::with_keys(link, keys, 0)
    }

    /// From now on a mask that is drawn twice ends the program: for tests only, as every draw is remembered.
    #[doc(hidden)]
    pub fn audit_masks_for_tests(&mut self) {
        self.drawn = Some(Mutex::default());
    }

    /// This party's index.
    pub fn me(&self) -> usize {
        self.link.me()
    }
    /// Number of parties.
    pub fn n(&self) -> usize {
        self.link.n()
    }
    /// The link, for control messages between programs.
    pub fn link(&mut self) -> &mut dyn Link {
        self.link.as_mut()
    }
    /// Gives the link back, for an orderly close.
    pub fn into_link(self) -> Box<dyn Link> {
        self.link
    }
    /// Payload bytes sent to each peer since the start.
    pub fn bytes_sent(&self) -> &[u64] {
        &self.sent
    }
    /// Length of the longest chain of messages that led to this party's state.
    pub fn rounds(&self) -> u64 {
        self.clock as u64
    }
    /// Traffic by operation.
    pub fn traffic(&self) -> &BTreeMap<&'static str, Traffic> {
        &self.traffic
    }

    /// Books what follows under `operation`, until [`Party::leave`].
    pub fn enter(&mut self, operation: &'static str) {
        self.scopes.push(operation);
    }
    /// Ends the innermost scope.
    pub fn leave(&mut self) {
        self.scopes.pop();
    }

    /// The next program step: same program, same steps, at every party.
    pub fn next_step(&mut self) -> u64 {
        self.step += 1;
        self.step
    }

    /// Fills `out` with the pseudo-random stream shared with `peer` for this draw.
    pub fn mask(&self, peer: usize, draw: Draw, out: &mut [u64]) {
        debug_assert!(draw.step < 1 << 56 && draw.tile < 1 << 31, "mask coordinates out of range");
        if let Some(drawn) = &self.drawn {
            let fresh = drawn.lock().is_ok_and(|mut drawn| drawn.insert((peer, draw)));
            assert!(fresh, "the mask {draw:?} shared with {peer} is drawn twice");
        }
        let key = self.keys[peer].as_ref().expect("masks are shared with other parties");
        key.fill(draw.step << 8 | draw.label as u64, (draw.tile as u64) << 32, out);
    }

    /// Queues words for a peer.
    pub fn send(&mut self, to: usize, step: u64, tile: usize, words: &[u64]) -> Result<()> {
        let payload: &[u8] = bytemuck::cast_slice(words);
        let tag = Tag { epoch: self.epoch, step, tile: tile as u32 };
        self.link.send(to, tag, self.clock, payload)?;
        self.sent[to] += payload.len() as u64;
        let booked = self.booked();
        booked.bytes += payload.len() as u64;
        booked.frames += 1;
        Ok(())
    }

    /// Waits for words of a peer.
    pub fn recv(&mut self, from: usize, step: u64, tile: usize, words: &mut [u64]) -> Result<()> {
        let tag = Tag { epoch: self.epoch, step, tile: tile as u32 };
        let depth = self.link.recv(from, tag, bytemuck::cast_slice_mut(words))?;
        let clock = self.clock.max(depth.saturating_add(1));
        self.booked().rounds += (clock - self.clock) as u64;
        self.clock = clock;
        Ok(())
    }

    fn booked(&mut self) -> &mut Traffic {
        self.traffic.entry(self.scopes.last().copied().unwrap_or("other")).or_default()
    }
}

/// The key of a pair, the same at both ends.
fn pair_key(context: &Context, a: (usize, &Secret), b: (usize, &Secret)) -> Prg {
    let (low, high) = if a.0 < b.0 { (a, b) } else { (b, a) };
    let label = format!("mask key of parties {} and {}", low.0, high.0);
    Prg::new(derive(&[*low.1.expose(), *high.1.expose()], context, &label))
}
