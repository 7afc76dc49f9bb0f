//! One TLS connection after the handshake: frames out, frames in.

use super::channel::Channel;
use super::pin;
use crate::frame::{FrameError, HEADER, Header, Kind, encode, parse_header};
use crate::identity::{Leaf, Revocations, Untrusted};
use crate::{AbortCause, NetError, Tag, check_tag};
use rustls::AlertDescription;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Plaintext encrypted and written at once, while it is still in the cache.
const CHUNK: usize = 1 << 16;
/// Frames up to this size are gathered, so that several share a record and a write.
const SMALL: usize = 1 << 12;
/// Plaintext of a record.
const RECORD: usize = 1 << 14;
/// Bytes that wait for the next flush at most: whoever sends and does not wait for answers is not to be held back for long.
const GATHERED: usize = 1 << 16;
/// Idle time after which a sign of life is due.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Longest reason an abort carries.
const MAX_REASON: usize = 200;

pub(super) struct Connection {
    peer: usize,
    session: u64,
    stream: Arc<TcpStream>,
    channel: Channel,
    /// The peer's certificate, if a root issued it.
    leaf: Option<Leaf>,
    /// Small frames that are not encrypted yet.
    gathered: Vec<u8>,
    last_sent: Instant,
    last_heard: Instant,
    header: [u8; HEADER],
    header_len: usize,
    /// A data frame whose payload has not been taken yet.
    data: Option<Header>,
    /// Bytes of it that were dropped.
    dropped: usize,
    goodbye: bool,
    ended: Option<NetError>,
}

impl Connection {
    /// Takes over an established connection; the socket becomes non-blocking.
    pub fn new(peer: usize, session: u64, stream: TcpStream, channel: Channel) -> Result<Self, NetError> {
        let nonblocking = stream.set_nonblocking(true);
        nonblocking.map_err(|e| NetError::Io { operation: "configuring a socket", problem: e.to_string() })?;
        let now = Instant::now();
        let leaf = channel.state().and_then(|tls| tls.peer_certificates()).and_then(pin::leaf);
        Ok(Connection {
            peer,
            session,
            stream: Arc::new(stream),
            channel,
            leaf,
            gathered: Vec::with_capacity(RECORD),
            last_sent: now,
            last_heard: now,
            header: [0; HEADER],
            header_len: 0,
            data: None,
            dropped: 0,
            goodbye: false,
            ended: None,
        })
    }

    /// The socket, for polling.
    pub fn handle(&self) -> Arc<TcpStream> {
        self.stream.clone()
    }
    /// Bytes that the kernel has not taken yet.
    pub fn queued(&self) -> usize {
        self.channel.waiting() + self.gathered.len()
    }
    /// Whether the peer has ended in order.
    pub fn goodbye(&self) -> bool {
        self.goodbye
    }

    /// Queues a frame. It leaves with the next [`Connection::flush`], or once enough has gathered.
    pub fn push(&mut self, header: &Header, payload: &[u8]) -> Result<(), NetError> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        let header = encode(header);
        if self.gathered.len() + HEADER + payload.len() > RECORD {
            self.encrypt_gathered()?;
        }
        self.gathered.extend_from_slice(&header);
        if payload.len() <= SMALL {
            self.gathered.extend_from_slice(payload);
        } else {
            self.encrypt_gathered()?;
            for chunk in payload.chunks(CHUNK) {
                self.encrypt(chunk)?;
                if self.queued() > GATHERED {
                    self.flush()?;
                }
            }
        }
        if self.queued() > GATHERED { self.flush() } else { Ok(()) }
    }

    fn encrypt_gathered(&mut self) -> Result<(), NetError> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let gathered = std::mem::take(&mut self.gathered);
        let encrypted = self.encrypt(&gathered);
        self.gathered = gathered;
        self.gathered.clear();
        encrypted
    }

    fn encrypt(&mut self, plain: &[u8]) -> Result<(), NetError> {
        self.channel.seal(plain).map_err(|e| self.broken(e))
    }

    /// Encrypts what has gathered and writes what the kernel takes.
    pub fn flush(&mut self) -> Result<(), NetError> {
        if self.queued() == 0 {
            return Ok(());
        }
        self.encrypt_gathered()?;
        self.last_sent = Instant::now();
        self.channel.flush(&self.stream).map(drop).map_err(|e| self.end(e))
    }

    /// A write failed: the peer may have said why before it went.
    fn end(&mut self, error: std::io::Error) -> NetError {
        let said = self.read_control().err();
        said.unwrap_or_else(|| self.broken(error))
    }

    fn broken(&self, _: std::io::Error) -> NetError {
        NetError::Closed { peer: self.peer }
    }

    /// Takes the next data frame into `into`, `filled` bytes of which are there already. The sender's depth, once whole.
    pub fn take(&mut self, tag: Tag, into: &mut [u8], filled: &mut usize) -> Result<Option<u32>, NetError> {
        if self.data.is_none() && !self.next_header()? {
            return Ok(None);
        }
        let header = self.data.expect("a data frame is due");
        if *filled == 0 {
            check_tag(self.peer, tag, header.tag)?;
            if header.len != into.len() {
                return Err(NetError::Length { peer: self.peer, want: into.len(), got: header.len });
            }
        }
        while *filled < into.len() {
            match self.read_plain(&mut into[*filled..])? {
                0 => return Ok(None),
                n => *filled += n,
            }
        }
        self.data = None;
        Ok(Some(header.depth))
    }

    /// The tag and length of the frame that comes next, once they are there. After a goodbye nothing comes.
    pub fn peek(&mut self) -> Result<Option<(Tag, usize)>, NetError> {
        if self.data.is_none() && !self.next_header()? {
            return if self.goodbye { Err(NetError::Closed { peer: self.peer }) } else { Ok(None) };
        }
        Ok(self.data.map(|header| (header.tag, header.len)))
    }

    /// Drops data frames, as much of them as is there: nobody will take them.
    pub fn drop_data(&mut self) -> Result<(), NetError> {
        let mut scratch = [0; 4096];
        while self.data.is_some() || self.next_header()? {
            let len = self.data.map_or(0, |header| header.len);
            while self.dropped < len {
                let most = scratch.len().min(len - self.dropped);
                match self.read_plain(&mut scratch[..most])? {
                    0 => return Ok(()),
                    n => self.dropped += n,
                }
            }
            (self.data, self.dropped) = (None, 0);
        }
        Ok(())
    }
    /// Nothing more is read or sent: every further attempt gives this error.
    pub fn spoil(&mut self, error: &NetError) {
        self.ended.get_or_insert_with(|| error.clone());
    }
    /// Ends the connection, as far as it stands, and tells the peer why.
    pub fn expel(&mut self, cause: &AbortCause, error: NetError) {
        if self.ended.is_none() {
            // A peer that cannot be told any more is one that needs not be.
            let _ = self.say_abort(cause);
            self.spoil(&error);
        }
    }
    /// Whether the peer's certificate became void.
    pub fn revoked(&self, revocations: &Revocations) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| revocations.voids(&leaf.root, leaf.not_before))
    }
    /// Whether it ended as if what carries it stopped: silent, closed without a goodbye, or one of its ends, `me` and the peer, is said not to be heard.
    pub fn broke_off(&self, me: usize) -> bool {
        let by_itself = match &self.ended {
            Some(NetError::Closed { .. } | NetError::Frozen { .. }) => true,
            Some(NetError::Reported { about, .. }) => *about == me || *about == self.peer,
            Some(_) => false,
            // Behind data that waits nothing can be read.
            None => self.data.is_none() && self.last_heard.elapsed() > 2 * HEARTBEAT,
        };
        !self.goodbye && by_itself
    }
    /// Whether nothing can come or go any more.
    pub fn over(&self) -> bool {
        self.ended.is_some()
    }

    /// Handles control frames until a data frame or nothing more is there.
    pub fn read_control(&mut self) -> Result<(), NetError> {
        if self.data.is_none() {
            self.next_header()?;
        }
        Ok(())
    }

    /// Reads up to the next data header; false if it is not there yet.
    fn next_header(&mut self) -> Result<bool, NetError> {
        loop {
            while self.header_len < HEADER {
                let mut header = self.header;
                match self.read_plain(&mut header[self.header_len..])? {
                    0 => return Ok(false),
                    n => {
                        self.header = header;
                        self.header_len += n;
                    }
                }
            }
            let header = parse_header(&self.header).map_err(|e| self.malformed(e))?;
            if header.session != self.session {
                return Err(NetError::Stale { peer: self.peer });
            }
            match header.kind {
                Kind::Data => {
                    self.header_len = 0;
                    self.data = Some(header);
                    return Ok(true);
                }
                Kind::Heartbeat if header.len == 0 => {}
                Kind::Bye if header.len == 0 => self.goodbye = true,
                Kind::Abort if header.len <= 8 + MAX_REASON => match self.read_abort(header.len)? {
                    Some(cause) => return Err(cause),
                    None => return Ok(false),
                },
                _ => return Err(NetError::Malformed { peer: self.peer, problem: "a control frame with a payload" }),
            }
            self.header_len = 0;
        }
    }

    fn malformed(&self, error: FrameError) -> NetError {
        match error {
            FrameError::TooLong(got) => NetError::TooLong { peer: self.peer, got, cap: crate::frame::MAX_PAYLOAD },
            FrameError::Magic => NetError::Malformed { peer: self.peer, problem: "unknown magic or version" },
            _ => NetError::Malformed { peer: self.peer, problem: "unknown kind of frame" },
        }
    }

    /// The error another party reports. Abort frames are short: they come whole or the peer is gone.
    fn read_abort(&mut self, len: usize) -> Result<Option<NetError>, NetError> {
        let mut payload = vec![0; len];
        let mut filled = 0;
        let until = Instant::now() + Duration::from_secs(1);
        while filled < len && Instant::now() < until {
            filled += self.read_plain(&mut payload[filled..])?;
        }
        if len < 8 {
            return Err(NetError::Malformed { peer: self.peer, problem: "an abort without its party" });
        }
        let about = u64::from_le_bytes(payload[..8].try_into().expect("eight bytes")) as usize;
        // A peer's words end up on a terminal: no control characters.
        let reason = String::from_utf8_lossy(&payload[8..filled.max(8)]);
        let reason = reason.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let error = NetError::Reported { by: self.peer, about, reason };
        self.ended = Some(error.clone());
        Ok(Some(error))
    }

    /// Decrypted bytes; 0 if none are there now.
    fn read_plain(&mut self, into: &mut [u8]) -> Result<usize, NetError> {
        if into.is_empty() {
            return Ok(0);
        }
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        let last_heard = &mut self.last_heard;
        match self.channel.read(&self.stream, into, || *last_heard = Instant::now()) {
            Ok(0) => self.eof(),
            Ok(n) => Ok(n),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(e) => match e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
                Some(tls) => Err(certificate(self.peer, tls)),
                None => self.eof(),
            },
        }
    }

    /// The stream ended: in order after a goodbye.
    fn eof(&mut self) -> Result<usize, NetError> {
        let error = NetError::Closed { peer: self.peer };
        self.ended = Some(error.clone());
        if self.goodbye && self.data.is_none() { Ok(0) } else { Err(error) }
    }

    /// Silence counts only if nothing of the peer lies unread.
    pub fn check_silence(&self, limit: Duration) -> Result<(), NetError> {
        let silent = self.last_heard.elapsed();
        if silent > limit && !self.goodbye {
            return Err(NetError::Frozen { peer: self.peer, silent });
        }
        Ok(())
    }

    /// Whether a data frame waits to be taken.
    pub fn has_data(&self) -> bool {
        self.data.is_some()
    }

    /// The monitor's look: flush, sign of life, and if it may read, control frames and silence.
    pub fn look_after(&mut self, silence: Duration, read: bool) -> Result<(), NetError> {
        if self.goodbye || self.ended.is_some() {
            return Ok(());
        }
        self.flush()?;
        if self.last_sent.elapsed() > HEARTBEAT {
            self.say(Kind::Heartbeat, &[])?;
        }
        if !read || self.data.is_some() {
            // Data waits to be taken: the peer was alive when it sent it, and more cannot be seen before it is.
            return Ok(());
        }
        self.read_control()?;
        if self.data.is_some() { Ok(()) } else { self.check_silence(silence) }
    }

    fn say(&mut self, kind: Kind, payload: &[u8]) -> Result<(), NetError> {
        let tag = Tag { epoch: 0, step: 0, tile: 0 };
        self.push(&Header { kind, session: self.session, tag, depth: 0, len: payload.len() }, payload)?;
        self.flush()
    }
    /// Says goodbye.
    pub fn say_bye(&mut self) -> Result<(), NetError> {
        self.say(Kind::Bye, &[])
    }
    /// Says the reason of an abort.
    pub fn say_abort(&mut self, cause: &AbortCause) -> Result<(), NetError> {
        let mut payload = (cause.about as u64).to_le_bytes().to_vec();
        payload.extend(cause.reason.bytes().take(MAX_REASON));
        self.say(Kind::Abort, &payload)
    }
}

/// A TLS failure as an error about the peer.
pub(super) fn certificate(peer: usize, error: &rustls::Error) -> NetError {
    match error {
        rustls::Error::InvalidCertificate(why) if let Some(problem) = Untrusted::from_tls(why) => {
            NetError::Untrusted { peer, problem }
        }
        rustls::Error::InvalidCertificate(_) => {
            NetError::Certificate { peer, problem: "its certificate is not the one that was agreed".into() }
        }
        rustls::Error::AlertReceived(AlertDescription::UnrecognisedName) => NetError::NoSession { peer },
        rustls::Error::AlertReceived(AlertDescription::InternalError) => NetError::Closed { peer },
        rustls::Error::AlertReceived(alert) => NetError::Certificate {
            peer,
            problem: format!("it refused this party's certificate or parameters ({alert:?})"),
        },
        rustls::Error::NoCertificatesPresented => {
            NetError::Certificate { peer, problem: "it presented no certificate".into() }
        }
        rustls::Error::Other(own) => own_key(own),
        _ => NetError::Malformed { peer, problem: "not valid TLS 1.3" },
    }
}

/// What only a key of this party's says that is elsewhere and cannot sign: no fault of the peer.
pub(super) fn own_key(problem: &rustls::OtherError) -> NetError {
    NetError::Io { operation: "signing in a handshake", problem: problem.to_string() }
}
