//! Bytes to ciphertext and back. The unbuffered interface of `rustls` reads as much as the kernel has in one call and
//! decrypts in place; its buffered one reads 4 KiB at a time.

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeTlsData, EncryptError, UnbufferedStatus};
use rustls::{CommonState, Error};
use std::io::{ErrorKind, Read, Result, Write};
use std::net::TcpStream;

/// Bytes asked of the kernel at once.
const READ: usize = 1 << 18;
/// Most room for ciphertext that stays after a backlog is gone.
const KEPT: usize = 1 << 25;
/// Largest plaintext of a record, and more than what encryption adds to one.
const RECORD: usize = 1 << 14;
const EXPANSION: usize = 64;

/// How bytes are protected.
pub(super) enum Security {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
    /// Not at all: for measurements on one machine.
    None,
}

/// One direction-pair of a connection, over a socket that the caller owns.
pub(super) struct Channel {
    security: Security,
    /// Ciphertext received: `incoming[start..end]` is not processed yet.
    incoming: Vec<u8>,
    start: usize,
    end: usize,
    /// Plaintext of a record beyond what was asked for, from `taken` on.
    plain: Vec<u8>,
    taken: usize,
    /// Ciphertext to send: `outgoing[sent..ready]`. Longer than that, so that room need not be cleared anew.
    outgoing: Vec<u8>,
    sent: usize,
    ready: usize,
}

/// What the TLS machine wants next.
enum Next {
    /// Plaintext was moved on, or something else changed: ask again.
    Again,
    /// There is something to send before it goes on.
    Send,
    /// More bytes of the peer.
    Receive,
    /// The peer ended the stream.
    End,
}

fn invalid(error: Error) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, error)
}

impl Channel {
    pub fn new(security: Security) -> Self {
        let (incoming, plain, outgoing) = (Vec::new(), Vec::new(), Vec::new());
        Channel { security, incoming, start: 0, end: 0, plain, taken: 0, outgoing, sent: 0, ready: 0 }
    }

    /// The state both ends share, if there is TLS.
    pub fn state(&self) -> Option<&CommonState> {
        match &self.security {
            Security::Client(tls) => Some(tls),
            Security::Server(tls) => Some(tls),
            Security::None => None,
        }
    }

    /// Bytes waiting to be sent.
    pub fn waiting(&self) -> usize {
        self.ready - self.sent
    }

    /// Encrypts `plain`, which is then waiting to be sent.
    pub fn seal(&mut self, plain: &[u8]) -> Result<()> {
        let records = plain.len().div_ceil(RECORD) + 1;
        loop {
            self.make_room(plain.len() + records * EXPANSION);
            let mut out = Out { room: &mut self.outgoing[self.ready..], written: 0 };
            let done = match &mut self.security {
                Security::Client(tls) => encrypt(tls.process_tls_records(&mut []), plain, &mut out),
                Security::Server(tls) => encrypt(tls.process_tls_records(&mut []), plain, &mut out),
                Security::None => {
                    out.room[..plain.len()].copy_from_slice(plain);
                    out.written = plain.len();
                    Ok(true)
                }
            };
            self.ready += out.written;
            if done? {
                return Ok(());
            }
        }
    }

    fn make_room(&mut self, bytes: usize) {
        if self.sent == self.ready {
            (self.sent, self.ready) = (0, 0);
            if self.outgoing.len() > KEPT {
                self.outgoing = Vec::new();
            }
        }
        if self.outgoing.len() >= self.ready + bytes {
            return;
        }
        // Moving pays off only if it frees as much as it moves.
        if self.sent > self.ready / 2 {
            self.outgoing.copy_within(self.sent..self.ready, 0);
            (self.sent, self.ready) = (0, self.ready - self.sent);
        }
        if self.outgoing.len() < self.ready + bytes {
            self.outgoing.resize((self.ready + bytes).next_power_of_two(), 0);
        }
    }

    /// Writes what the socket takes; whether nothing is waiting any more.
    pub fn flush(&mut self, mut socket: &TcpStream) -> Result<bool> {
        while self.sent < self.ready {
            match socket.write(&self.outgoing[self.sent..self.ready]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// Decrypted bytes: as many as are there, at least one; `WouldBlock` if none can be had now, 0 at the end of the stream.
    /// `heard` is called whenever the peer has sent something.
    pub fn read(&mut self, socket: &TcpStream, into: &mut [u8], mut heard: impl FnMut()) -> Result<usize> {
        loop {
            if self.taken < self.plain.len() {
                let n = into.len().min(self.plain.len() - self.taken);
                into[..n].copy_from_slice(&self.plain[self.taken..self.taken + n]);
                self.taken += n;
                return Ok(n);
            }
            let mut given = 0;
            match self.advance(into, &mut given)? {
                _ if given > 0 => return Ok(given),
                Next::Again => {}
                Next::Send => drop(self.flush(socket)?),
                Next::End => return Ok(0),
                Next::Receive => {
                    if self.receive(socket)? == 0 {
                        return Ok(0);
                    }
                    heard();
                }
            }
        }
    }

    /// Completes the handshake over a blocking socket, for as long as `patience` says before each wait.
    pub fn handshake(&mut self, socket: &TcpStream, patience: impl Fn() -> Result<()>) -> Result<()> {
        while self.state().is_some_and(|tls| tls.is_handshaking()) {
            match self.advance(&mut [], &mut 0) {
                Ok(Next::Again) => {}
                Ok(Next::Send) => drop(self.flush(socket)?),
                Ok(Next::End) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(Next::Receive) => {
                    patience()?;
                    if self.receive(socket)? == 0 {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(e) => {
                    // The alert is a courtesy; the error stands whether or not it arrives.
                    let _ = self.advance(&mut [], &mut 0);
                    let _ = self.flush(socket);
                    return Err(e);
                }
            }
        }
        // The last flight may still wait; application data of the peer may already be here, and stays.
        while self.plain.is_empty() && !matches!(self.advance(&mut [], &mut 0)?, Next::Receive) {}
        self.flush(socket).map(drop)
    }

    /// Moves the TLS machine one step on what was received. Of a record, what fits goes to `into` and the rest is kept.
    fn advance(&mut self, into: &mut [u8], given: &mut usize) -> Result<Next> {
        self.make_room(RECORD + EXPANSION);
        let incoming = &mut self.incoming[self.start..self.end];
        let mut out = Out { room: &mut self.outgoing[self.ready..], written: 0 };
        let mut deliver = |record: &[u8]| {
            let n = into.len().min(record.len());
            into[..n].copy_from_slice(&record[..n]);
            *given = n;
            self.plain.clear();
            self.plain.extend_from_slice(&record[n..]);
            self.taken = 0;
        };
        let (discard, next) = match &mut self.security {
            Security::Client(tls) => step(tls.process_tls_records(incoming), &mut out, &mut deliver),
            Security::Server(tls) => step(tls.process_tls_records(incoming), &mut out, &mut deliver),
            Security::None if incoming.is_empty() => (0, Ok(Next::Receive)),
            Security::None => {
                deliver(incoming);
                (incoming.len(), Ok(Next::Again))
            }
        };
        self.ready += out.written;
        self.start += discard;
        next
    }

    /// Takes what the socket has, after making room for at least a record.
    fn receive(&mut self, mut socket: &TcpStream) -> Result<usize> {
        if self.incoming.is_empty() {
            self.incoming.resize(READ, 0);
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if READ - self.end < RECORD + EXPANSION + 256 {
            self.incoming.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        loop {
            match socket.read(&mut self.incoming[self.end..]) {
                Ok(n) => {
                    self.end += n;
                    return Ok(n);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// Room for handshake records.
struct Out<'a> {
    room: &'a mut [u8],
    written: usize,
}

impl Out<'_> {
    fn encode<D>(&mut self, mut data: EncodeTlsData<'_, D>) -> Result<()> {
        self.written = data.encode(self.room).map_err(|_| ErrorKind::OutOfMemory)?;
        Ok(())
    }
}

/// Encrypts into the room; false if the TLS machine had something of its own to send first, and is to be asked again.
fn encrypt<D>(status: UnbufferedStatus<'_, '_, D>, plain: &[u8], out: &mut Out<'_>) -> Result<bool> {
    match status.state.map_err(invalid)? {
        ConnectionState::WriteTraffic(mut traffic) => {
            out.written = traffic.encrypt(plain, out.room).map_err(|e| match e {
                EncryptError::EncryptExhausted => invalid(Error::EncryptError),
                EncryptError::InsufficientSize(_) => ErrorKind::OutOfMemory.into(),
            })?;
            Ok(true)
        }
        ConnectionState::EncodeTlsData(data) => out.encode(data).map(|()| false),
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(false)
        }
        _ => Err(ErrorKind::NotConnected.into()),
    }
}

fn step<D>(
    status: UnbufferedStatus<'_, '_, D>,
    out: &mut Out<'_>,
    deliver: &mut impl FnMut(&[u8]),
) -> (usize, Result<Next>) {
    let mut discard = status.discard;
    let next = match status.state {
        Err(error) => Err(invalid(error)),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => match traffic.next_record() {
            Some(Ok(record)) => {
                deliver(record.payload);
                discard += record.discard;
                Ok(Next::Again)
            }
            Some(Err(error)) => Err(invalid(error)),
            None => Ok(Next::Again),
        },
        Ok(ConnectionState::EncodeTlsData(data)) => out.encode(data).map(|()| Next::Send),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // What was encoded stands in the queue, ahead of all that follows.
            data.done();
            Ok(Next::Again)
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Ok(Next::Receive),
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Next::End),
        Ok(_) => Err(invalid(Error::General("early data was not offered".into()))),
    };
    (discard, next)
}
