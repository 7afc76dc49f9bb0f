//! Simulated links between threads of one process, in real time: latency, bandwidth, loss as retransmission delay, jitter
//! that reorders between links (never within one), and hooks that see or change frames.

use crate::{AbortCause, Incoming, Link, NetError, PeerStats, Tag, check_tag};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A frame as hooks see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Sender.
    pub from: usize,
    /// Receiver.
    pub to: usize,
    /// How many frames this link carried before.
    pub index: u64,
    /// Place in the program.
    pub tag: Tag,
    /// Sender's logical clock.
    pub depth: u32,
    /// Payload.
    pub payload: Vec<u8>,
}

/// Rewrites a frame into the frames that are delivered in its place: none drops it, two duplicate it.
pub type Tamper = Arc<dyn Fn(Frame) -> Vec<Frame> + Send + Sync>;

/// What links are like.
#[derive(Clone, Default)]
pub struct SimConfig {
    /// One-way latency.
    pub latency: Duration,
    /// Bits a second of each directed link; none: unlimited.
    pub bits_per_second: Option<f64>,
    /// Uniform extra delay up to this.
    pub jitter: Duration,
    /// Chance in [0, 1) that a frame needs a retransmission, which costs two latencies more.
    pub loss: f64,
    /// Seed of jitter and loss.
    pub seed: u64,
    /// Bytes of headers and encryption counted per frame against the bandwidth.
    pub overhead: usize,
    /// Longest wait for a frame; 60 s if zero.
    pub deadline: Duration,
    /// Most payload bytes in flight per directed link before the sender waits; 256 MiB if zero.
    pub capacity: usize,
    /// Sees and changes every frame.
    pub tamper: Option<Tamper>,
}

struct Packet {
    arrival: Instant,
    tag: Tag,
    depth: u32,
    payload: Vec<u8>,
}

#[derive(Default)]
struct Queue {
    packets: VecDeque<Packet>,
    bytes: usize,
    /// When the wire is free again.
    free: Option<Instant>,
    last_arrival: Option<Instant>,
    index: u64,
    random: u64,
    /// Set when the sender is gone; with its goodbye, or its cause.
    ended: Option<Result<(), Option<AbortCause>>>,
    /// Set when the receiver is gone.
    unread: bool,
}

#[derive(Default)]
struct Wire {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Wire {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// One party's end.
pub struct SimLink {
    me: usize,
    wires: Arc<Vec<Vec<Wire>>>,
    config: SimConfig,
    stats: Vec<PeerStats>,
    closed: bool,
    tolerant: bool,
}

/// Links of `n` parties in party order.
pub fn mesh(n: usize, config: SimConfig) -> Vec<SimLink> {
    let wires = (0..n).map(|_| (0..n).map(|_| Wire::default()).collect()).collect();
    let wires: Arc<Vec<Vec<Wire>>> = Arc::new(wires);
    let link = |me| SimLink {
        me,
        wires: wires.clone(),
        config: config.clone(),
        stats: vec![PeerStats::default(); n],
        closed: false,
        tolerant: false,
    };
    (0..n).map(link).collect()
}

impl SimConfig {
    fn deadline(&self) -> Duration {
        if self.deadline.is_zero() { Duration::from_secs(60) } else { self.deadline }
    }
    fn capacity(&self) -> usize {
        if self.capacity == 0 { 256 << 20 } else { self.capacity }
    }

    /// When a frame that leaves now arrives; never before the one ahead of it.
    fn arrival(&self, queue: &mut Queue, bytes: usize) -> Instant {
        let now = Instant::now();
        let wire = self.bits_per_second.map_or(0.0, |b| 8.0 * (bytes + self.overhead) as f64 / b);
        let departed = queue.free.map_or(now, |free| free.max(now)) + Duration::from_secs_f64(wire);
        queue.free = Some(departed);
        let mut arrival = departed + self.latency;
        if !self.jitter.is_zero() || self.loss > 0.0 {
            let mut draw = || {
                queue.random = queue.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (queue.random >> 33) as f64 / (1u64 << 31) as f64
            };
            arrival += self.jitter.mul_f64(draw());
            while draw() < self.loss.min(0.9) {
                arrival += 2 * self.latency;
            }
        }
        let arrival = queue.last_arrival.map_or(arrival, |last| last.max(arrival));
        queue.last_arrival = Some(arrival);
        arrival
    }
}

impl SimLink {
    fn push(&self, to: usize, frame: Frame) -> Result<(), NetError> {
        let wire = &self.wires[self.me][to];
        let mut queue = wire.lock();
        let started = Instant::now();
        while queue.bytes > self.config.capacity() && !queue.unread {
            let left = self.config.deadline().saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(NetError::Timeout { peer: to, waited: self.config.deadline() });
            }
            queue = wire.changed.wait_timeout(queue, left).unwrap_or_else(|p| p.into_inner()).0;
        }
        if queue.unread {
            drop(queue);
            return Err(self.ended(to));
        }
        let arrival = self.config.arrival(&mut queue, frame.payload.len());
        queue.bytes += frame.payload.len();
        queue.packets.push_back(Packet { arrival, tag: frame.tag, depth: frame.depth, payload: frame.payload });
        wire.changed.notify_all();
        Ok(())
    }

    /// Why nothing more comes from a peer.
    fn ended(&self, peer: usize) -> NetError {
        match &self.wires[peer][self.me].lock().ended {
            Some(Err(Some(cause))) => NetError::Reported { by: peer, about: cause.about, reason: cause.reason.clone() },
            _ => NetError::Closed { peer },
        }
    }

    /// Whether some third party has said that it stops.
    fn reported(&self) -> Option<NetError> {
        (0..self.n()).filter(|p| *p != self.me).find_map(|peer| match &self.wires[peer][self.me].lock().ended {
            Some(Err(Some(cause))) => {
                Some(NetError::Reported { by: peer, about: cause.about, reason: cause.reason.clone() })
            }
            _ => None,
        })
    }

    /// The next frame of a peer, once it has arrived.
    fn pop(&mut self, from: usize) -> Result<Packet, NetError> {
        let wires = self.wires.clone();
        let wire = &wires[from][self.me];
        let started = Instant::now();
        let mut queue = wire.lock();
        let packet = loop {
            let now = Instant::now();
            let wait = match queue.packets.front() {
                Some(packet) if packet.arrival <= now => break queue.packets.pop_front().expect("a packet is there"),
                Some(packet) => packet.arrival - now,
                None if queue.ended.is_some() => {
                    drop(queue);
                    return Err(self.ended(from));
                }
                None => Duration::from_millis(50),
            };
            if queue.packets.is_empty() {
                drop(queue);
                if let Some(error) = self.reported().filter(|_| !self.tolerant) {
                    return Err(error);
                }
                queue = wire.lock();
                if !queue.packets.is_empty() || queue.ended.is_some() {
                    continue;
                }
            }
            if now - started > self.config.deadline() {
                return Err(NetError::Timeout { peer: from, waited: self.config.deadline() });
            }
            queue = wire.changed.wait_timeout(queue, wait).unwrap_or_else(|p| p.into_inner()).0;
        };
        queue.bytes -= packet.payload.len();
        wire.changed.notify_all();
        drop(queue);
        Ok(packet)
    }

    fn end(&mut self, how: Result<(), Option<AbortCause>>) {
        if !std::mem::replace(&mut self.closed, true) {
            for peer in (0..self.n()).filter(|p| *p != self.me) {
                let wire = &self.wires[self.me][peer];
                wire.lock().ended.get_or_insert(how.clone());
                wire.changed.notify_all();
            }
        }
    }
}

impl Link for SimLink {
    fn me(&self) -> usize {
        self.me
    }
    fn n(&self) -> usize {
        self.wires.len()
    }

    fn send(&mut self, to: usize, tag: Tag, depth: u32, payload: &[u8]) -> Result<(), NetError> {
        self.stats[to].sent += payload.len() as u64;
        self.stats[to].frames_sent += 1;
        let index = {
            let mut queue = self.wires[self.me][to].lock();
            queue.index += 1;
            if queue.index == 1 {
                queue.random = self.config.seed ^ ((self.me * 31 + to) as u64) << 32;
            }
            queue.index - 1
        };
        let frame = Frame { from: self.me, to, index, tag, depth, payload: payload.to_vec() };
        let frames = match &self.config.tamper {
            Some(tamper) => tamper(frame),
            None => vec![frame],
        };
        frames.into_iter().try_for_each(|frame| self.push(to, frame))
    }

    fn recv(&mut self, from: usize, tag: Tag, into: &mut [u8]) -> Result<u32, NetError> {
        let packet = self.pop(from)?;
        check_tag(from, tag, packet.tag)?;
        if packet.payload.len() != into.len() {
            return Err(NetError::Length { peer: from, want: into.len(), got: packet.payload.len() });
        }
        into.copy_from_slice(&packet.payload);
        self.stats[from].received += into.len() as u64;
        self.stats[from].frames_received += 1;
        Ok(packet.depth)
    }

    fn recv_any(&mut self, from: usize) -> Result<Incoming, NetError> {
        let Packet { tag, depth, payload, .. } = self.pop(from)?;
        self.stats[from].received += payload.len() as u64;
        self.stats[from].frames_received += 1;
        Ok(Incoming { tag, depth, payload })
    }

    fn tolerate(&mut self, on: bool) {
        self.tolerant = on;
    }

    fn abort(&mut self, cause: &AbortCause) {
        self.end(Err(Some(cause.clone())));
    }

    fn close(&mut self) -> Result<(), NetError> {
        self.end(Ok(()));
        Ok(())
    }

    fn stats(&self) -> &[PeerStats] {
        &self.stats
    }
}

impl Drop for SimLink {
    fn drop(&mut self) {
        self.end(Err(None));
        for peer in (0..self.n()).filter(|p| *p != self.me) {
            let wire = &self.wires[peer][self.me];
            wire.lock().unread = true;
            wire.changed.notify_all();
        }
    }
}
