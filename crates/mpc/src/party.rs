//! What a party is given: its peers, its randomness, and where in the program it stands.

use crate::{Error, Result};
use privity_net::{Link, NetError, Tag};
use privity_prim::{Context, Prg, Secret, derive, fresh_secret};
use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use zeroize::Zeroizing;

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

/// A set of parties that share a mask key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Holders(u32);

impl Holders {
    /// These parties.
    pub const fn of(parties: &[usize]) -> Self {
        let (mut set, mut i) = (0, 0);
        while i < parties.len() {
            set |= 1 << parties[i];
            i += 1;
        }
        Holders(set)
    }
    /// Whether a party is one of them.
    pub(crate) fn contains(self, party: usize) -> bool {
        self.0 >> party & 1 == 1
    }
    /// Who they are.
    pub(crate) fn members(self) -> impl Iterator<Item = usize> {
        (0..32).filter(move |party| self.contains(*party))
    }
    /// The sets of `n` parties that have keys: all pairs, and of four parties all triples.
    fn all(n: usize) -> impl Iterator<Item = Holders> {
        let pairs = (0..n).flat_map(move |a| (a + 1..n).map(move |b| Holders::of(&[a, b])));
        let triples = (0..n).filter(move |_| n == 4).map(move |left_out| Holders(((1 << n) - 1) & !(1 << left_out)));
        pairs.chain(triples)
    }
    /// The sets of so many of `n` parties that have no keys from the start.
    pub(crate) fn without_keys(n: usize, size: usize) -> Vec<Holders> {
        let all: Vec<Holders> = Holders::all(n).collect();
        Holders::sets(n, size).into_iter().filter(|set| !all.contains(set)).collect()
    }
    /// All sets of so many of `n` parties, at least one, in ascending order of what their members are as bits.
    pub(crate) fn sets(n: usize, size: usize) -> Vec<Holders> {
        let mut sets = Vec::new();
        let mut bits = (1u64 << size) - 1;
        while bits < 1 << n {
            sets.push(Holders(bits as u32));
            // The next number with as many ones.
            let lowest = bits & bits.wrapping_neg();
            let carried = bits + lowest;
            bits = carried | (((carried ^ bits) >> 2) / lowest);
        }
        sets
    }
    /// Who makes the key of a set that has none from the start, and who are told: it goes round among the members.
    pub(crate) fn dealt_by(self, index: usize) -> (usize, Vec<usize>) {
        let mut members: Vec<usize> = self.members().collect();
        let dealer = members.remove(index % members.len());
        (dealer, members)
    }
}

impl std::fmt::Display for Holders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut members = self.members().peekable();
        while let Some(party) = members.next() {
            write!(f, "{party}{}", if members.peek().is_some() { " and " } else { "" })?;
        }
        Ok(())
    }
}

/// One party in a session: link, mask keys, program counter, logical clock, statistics.
pub struct Party {
    link: Box<dyn Link>,
    keys: BTreeMap<Holders, Prg>,
    session: [u8; 32],
    epoch: u32,
    step: u64,
    clock: u32,
    scopes: Vec<&'static str>,
    traffic: BTreeMap<&'static str, Traffic>,
    sent: Vec<u64>,
    /// Whether other lanes run beside this one.
    in_lane: bool,
    verdicts: u64,
    /// Every draw so far, where a test asked for it.
    drawn: Option<Mutex<HashSet<(Holders, Draw)>>>,
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
    /// Exchanges fresh contributions with every peer over the (authenticated) link and derives a mask key for every pair and,
    /// of four parties, for every triple, bound to session, job, epoch, attempt and lane. One round, 32 bytes to each peer
    /// (three parties); two rounds, 128 bytes to each peer (four), the second to see that all three holders of a triple's key
    /// have the same.
    ///
    /// # Errors
    /// The network; no randomness; [`Error::Cheating`] if the holders of a key contradict each other.
    pub fn connect(mut link: Box<dyn Link>, context: &Context) -> Result<Party> {
        let (me, n) = (link.me(), link.n());
        let sets: Vec<Holders> = Holders::all(n).filter(|set| set.contains(me)).collect();
        let shared = |peer: usize| sets.iter().enumerate().filter(move |(_, set)| set.contains(peer) && peer != me);
        let mut contributions: Vec<Vec<Secret>> = Vec::with_capacity(sets.len());
        for _ in &sets {
            let mut all: Vec<Secret> = (0..n).map(|_| Secret::new([0; 32])).collect();
            all[me] = fresh_secret().map_err(|_| Error::Randomness)?;
            contributions.push(all);
        }
        let tag = |tile| Tag { epoch: context.epoch, step: KEY_STEP, tile };
        for peer in (0..n).filter(|peer| *peer != me) {
            let mut mine = Zeroizing::new(Vec::with_capacity(32 * shared(peer).count()));
            shared(peer).for_each(|(i, _)| mine.extend_from_slice(contributions[i][me].expose()));
            link.send(peer, tag(0), 0, &mine)?;
        }
        for peer in (0..n).filter(|peer| *peer != me) {
            let mut theirs = Zeroizing::new(vec![0; 32 * shared(peer).count()]);
            link.recv(peer, tag(0), &mut theirs)?;
            for ((i, _), bytes) in shared(peer).zip(theirs.chunks_exact(32)) {
                contributions[i][peer] = Secret::new(bytes.try_into().expect("chunks of 32 bytes"));
            }
        }
        let derived = |i: usize, purpose: &str| {
            let parts: Vec<[u8; 32]> = sets[i].members().map(|party| *contributions[i][party].expose()).collect();
            let parts = Zeroizing::new(parts);
            derive(&parts, context, &format!("{purpose} of parties {}", sets[i]))
        };
        if n == 4 {
            let triples = |peer: usize| shared(peer).filter(|(_, set)| set.0.count_ones() == 3);
            for peer in (0..n).filter(|peer| *peer != me) {
                let digests: Vec<u8> = triples(peer).flat_map(|(i, _)| derived(i, "confirmation")).collect();
                link.send(peer, tag(1), 0, &digests)?;
            }
            let mut same = true;
            for peer in (0..n).filter(|peer| *peer != me) {
                let mut theirs = vec![0; 16 * triples(peer).count()];
                link.recv(peer, tag(1), &mut theirs)?;
                same &= triples(peer).zip(theirs.chunks_exact(16)).all(|((i, _), d)| derived(i, "confirmation") == d);
            }
            if !same {
                return Err(Error::Cheating { check: "agreement on mask keys" });
            }
        }
        let keys = (0..sets.len()).map(|i| (sets[i], Prg::new(derived(i, "mask key")))).collect();
        Ok(Self::with_keys(link, keys, context.epoch, context.session))
    }

    /// A fresh key for each of these sets, known to its members: one of them makes it and tells the others. For parties that follow the protocol. One
    /// round, 16 bytes from the maker of a key to each other member.
    ///
    /// # Errors
    /// The network; no randomness.
    pub(crate) fn share_keys(&mut self, sets: &[Holders]) -> Result<()> {
        let (me, n, step) = (self.me(), self.n(), self.next_step());
        let dealt: Vec<(usize, Vec<usize>)> = sets.iter().zip(0..).map(|(set, i)| set.dealt_by(i)).collect();
        let from_to = |from: usize, to: usize| {
            let of =
                move |(_, (dealer, others)): &(&Holders, &(usize, Vec<usize>))| *dealer == from && others.contains(&to);
            sets.iter().zip(&dealt).filter(of).map(|(set, _)| *set)
        };
        let mut mine = BTreeMap::new();
        for (set, _) in sets.iter().zip(&dealt).filter(|(_, (dealer, _))| *dealer == me) {
            mine.insert(*set, fresh_secret().map_err(|_| Error::Randomness)?);
        }
        for peer in (0..n).filter(|peer| *peer != me && from_to(me, *peer).next().is_some()) {
            let mut keys = Zeroizing::new(Vec::with_capacity(16 * from_to(me, peer).count()));
            from_to(me, peer).for_each(|set| keys.extend_from_slice(&mine[&set].expose()[..16]));
            self.send_bytes(peer, step, 0, &keys)?;
        }
        let prg = |key: &[u8]| Prg::new(key.try_into().expect("sixteen bytes"));
        let mut made: Vec<(Holders, Prg)> = mine.iter().map(|(set, key)| (*set, prg(&key.expose()[..16]))).collect();
        for peer in (0..n).filter(|peer| *peer != me && from_to(*peer, me).next().is_some()) {
            let mut keys = Zeroizing::new(vec![0; 16 * from_to(peer, me).count()]);
            self.recv_bytes(peer, step, 0, &mut keys)?;
            made.extend(from_to(peer, me).zip(keys.chunks_exact(16)).map(|(set, key)| (set, prg(key))));
        }
        self.keys.extend(made);
        Ok(())
    }

    /// A party with given keys.
    fn with_keys(link: Box<dyn Link>, keys: BTreeMap<Holders, Prg>, epoch: u32, session: [u8; 32]) -> Party {
        let sent = vec![0; link.n()];
        let (scopes, traffic) = (Vec::new(), BTreeMap::new());
        Party {
            link,
            keys,
            session,
            epoch,
            step: 0,
            clock: 0,
            scopes,
            traffic,
            sent,
            in_lane: false,
            verdicts: 0,
            drawn: None,
        }
    }

    /// A party whose mask keys are public constants. Nothing is hidden: for transcript tests only.
    #[doc(hidden)]
    pub fn with_fixed_keys_for_tests(link: Box<dyn Link>, seed: u8) -> Party {
        let (me, n) = (link.me(), link.n());
        let key = |set: Holders| {
            let mut bytes = [0; 16];
            bytes[0] = seed;
            bytes[1..5].copy_from_slice(&set.0.to_le_bytes());
            (set, Prg::new(bytes))
        };
        let keys = Holders::all(n).filter(|set| set.contains(me)).map(key).collect();
        Self::with_keys(link, keys, 0, [0; 32])
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
    /// How many times all parties agreed that what was checked holds.
    pub fn verdicts(&self) -> u64 {
        self.verdicts
    }
    /// They did once more.
    pub(crate) fn agreed(&mut self) {
        self.verdicts += 1;
    }
    /// Traffic by operation.
    pub fn traffic(&self) -> &BTreeMap<&'static str, Traffic> {
        &self.traffic
    }

    /// Refuses what needs all lanes.
    pub(crate) fn not_in_a_lane(&self, operation: &'static str) -> Result<()> {
        match self.in_lane {
            false => Ok(()),
            true => Err(Error::Parameter { operation, problem: "what other lanes did is not verified yet".into() }),
        }
    }
    /// What follows is done in one lane of several, or no longer.
    pub(crate) fn among_lanes(&mut self, among: bool) {
        self.in_lane = among;
    }
    /// A lane begins where this session stands.
    pub(crate) fn fork(&mut self, lane: &mut Party) {
        lane.clock = self.clock;
        lane.scopes.clone_from(&self.scopes);
        lane.in_lane = true;
    }
    /// This session goes on when the lane has ended; what the lane sent is booked here.
    pub(crate) fn join(&mut self, lane: &mut Party) {
        self.clock = self.clock.max(lane.clock);
        self.sent.iter_mut().zip(&mut lane.sent).for_each(|(sent, more)| *sent += std::mem::take(more));
        self.verdicts += std::mem::take(&mut lane.verdicts);
        for (operation, more) in std::mem::take(&mut lane.traffic) {
            let traffic = self.traffic.entry(operation).or_default();
            traffic.bytes += more.bytes;
            traffic.frames += more.frames;
            traffic.rounds += more.rounds;
        }
    }

    /// Books what follows under `operation`, until [`Party::leave`].
    pub fn enter(&mut self, operation: &'static str) {
        self.scopes.push(operation);
    }
    /// Ends the innermost scope.
    pub fn leave(&mut self) {
        self.scopes.pop();
    }

    /// Identifier of the session.
    pub fn session(&self) -> &[u8; 32] {
        &self.session
    }

    /// The next program step: same program, same steps, at every party.
    pub fn next_step(&mut self) -> u64 {
        self.step += 1;
        self.step
    }

    /// Fills `out` with the pseudo-random stream shared by these parties, this one among them, for this draw.
    pub fn mask(&self, holders: Holders, draw: Draw, out: &mut [u64]) {
        debug_assert!(draw.step < 1 << 56 && draw.tile < 1 << 31, "mask coordinates out of range");
        if let Some(drawn) = &self.drawn {
            let fresh = drawn.lock().is_ok_and(|mut drawn| drawn.insert((holders, draw)));
            assert!(fresh, "the mask {draw:?} of parties {holders} is drawn twice");
        }
        let key = self.keys.get(&holders).expect("masks are drawn by those who hold the key");
        key.fill(draw.step << 8 | draw.label as u64, (draw.tile as u64) << 32, out);
    }

    /// Queues words for a peer.
    pub fn send(&mut self, to: usize, step: u64, tile: usize, words: &[u64]) -> Result<()> {
        self.send_bytes(to, step, tile, bytemuck::cast_slice(words))
    }

    /// Queues bytes for a peer.
    pub(crate) fn send_bytes(&mut self, to: usize, step: u64, tile: usize, payload: &[u8]) -> Result<()> {
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
        self.recv_bytes(from, step, tile, bytemuck::cast_slice_mut(words))
    }

    /// Waits for bytes of a peer.
    pub(crate) fn recv_bytes(&mut self, from: usize, step: u64, tile: usize, bytes: &mut [u8]) -> Result<()> {
        let tag = Tag { epoch: self.epoch, step, tile: tile as u32 };
        let depth = self.link.recv(from, tag, bytes)?;
        self.arrived(depth);
        Ok(())
    }

    /// Waits for the next words of a peer, whatever they are: their step, tile, and themselves.
    pub(crate) fn recv_any(&mut self, from: usize) -> Result<(u64, usize, Vec<u64>)> {
        let incoming = self.link.recv_any(from)?;
        let payload = incoming.payload;
        if incoming.tag.epoch != self.epoch || !payload.len().is_multiple_of(8) {
            return Err(NetError::Malformed { peer: from, problem: "words of another epoch, or no words" }.into());
        }
        self.arrived(incoming.depth);
        let words = payload.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().expect("eight bytes"))).collect();
        Ok((incoming.tag.step, incoming.tag.tile as usize, words))
    }

    fn arrived(&mut self, depth: u32) {
        let clock = self.clock.max(depth.saturating_add(1));
        self.booked().rounds += (clock - self.clock) as u64;
        self.clock = clock;
    }

    fn booked(&mut self) -> &mut Traffic {
        self.traffic.entry(self.scopes.last().copied().unwrap_or("other")).or_default()
    }
}
