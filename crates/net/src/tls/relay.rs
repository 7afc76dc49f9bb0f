//! Connections through a relay: a node that others reach, in front of one that only dials out. Whoever dials says first, in one line and in clear, for whom it comes
//! or what it waits for; all that follows is TLS between the two ends, of which the relay sees ciphertext.

use super::{Peer, lock};
use rustix::net::sockopt;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Mutex;
use std::time::Duration;

/// What an address through a relay begins with.
const SCHEME: &str = "relay:";
/// What a line begins with. Its first byte is no type of a TLS record.
const VERSION: &str = "privity-relay/1 ";
const TO: &str = "to ";
const WAIT: &str = "wait ";
/// Digits of fingerprints and tickets.
const DIGITS: usize = 64;
/// Relays of one address.
const MOST: usize = 2;
/// Longest line.
const LONGEST: usize = VERSION.len() + WAIT.len() + DIGITS + 1;
/// What a relay says on a connection that waited, when somebody has come for it, and what it is answered: whoever is gone would not.
pub const GO: u8 = b'+';

/// What a connection to a relay is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// For the member with this fingerprint.
    To(String),
    /// It waits for dialers, with this ticket.
    Wait(String),
}

impl Request {
    /// Its line; none if what it names is no fingerprint or ticket, lower-case hexadecimal.
    pub fn line(&self) -> Option<String> {
        let (verb, digits) = match self {
            Request::To(root) => (TO, root),
            Request::Wait(ticket) => (WAIT, ticket),
        };
        are_digits(digits).then(|| format!("{VERSION}{verb}{digits}\n"))
    }
    /// Takes the line off a connection that a switch handed on; none, and nothing is read, if it begins with TLS.
    pub fn take(mut stream: &TcpStream) -> Option<Request> {
        let mut bytes = [0; LONGEST];
        let seen = stream.peek(&mut bytes).ok()?;
        let Reading::Whole(request) = read(&bytes[..seen]) else { return None };
        let length = request.line()?.len();
        stream.read_exact(&mut bytes[..length]).ok()?;
        Some(request)
    }
}

fn are_digits(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// What is made of the first bytes of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Whole(Request),
    Part,
    No,
}

pub(super) fn read(bytes: &[u8]) -> Reading {
    let common = bytes.len().min(VERSION.len());
    if bytes[..common] != VERSION.as_bytes()[..common] {
        return Reading::No;
    }
    let Some(line) = bytes.iter().take(LONGEST).position(|b| *b == b'\n').map(|end| &bytes[VERSION.len()..end]) else {
        return if bytes.len() < LONGEST { Reading::Part } else { Reading::No };
    };
    let line = std::str::from_utf8(line).unwrap_or_default();
    let digits = |verb| line.strip_prefix(verb).filter(|digits| are_digits(digits)).map(str::to_owned);
    let request = digits(TO).map(Request::To).or_else(|| digits(WAIT).map(Request::Wait));
    request.map_or(Reading::No, Reading::Whole)
}

/// Fuzz entry: any bytes are a line, a part of one or neither, and what is a line is written as it was read.
pub fn fuzz(bytes: &[u8]) {
    if let Reading::Whole(request) = read(bytes) {
        assert!(request.line().is_some_and(|line| bytes.starts_with(line.as_bytes())));
    }
}

/// Host and port of each relay in an address `relay:host:port` or `relay:host:port,host:port`, in the order in which dialers try them; none if the address is
/// one to be dialled itself.
pub fn relays(address: &str) -> Vec<&str> {
    let is_one = |relay: &&str| {
        relay.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    let relays: Vec<&str> = address.strip_prefix(SCHEME).map(|all| all.split(',').collect()).unwrap_or_default();
    let distinct = relays.iter().all(|relay| relays.iter().filter(|other| *other == relay).count() == 1);
    match relays.len() <= MOST && distinct && relays.iter().all(is_one) {
        true => relays,
        false => Vec::new(),
    }
}

/// What to dial of one's own port.
pub fn local(mut own: SocketAddr) -> SocketAddr {
    match own.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => own.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => own.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    own
}

/// Has the system ask, every so often, whether the other end of an idle connection is still there. What is under way may take any time.
pub fn keep_alive(stream: &TcpStream) {
    // What a system does not have, it does not have: then the connection lasts as long as the ends do.
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, Duration::from_secs(30));
    let _ = sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10));
    let _ = sockopt::set_tcp_keepcnt(stream, 3);
}

/// Which of two relays a member is tried through first, by its root's fingerprint: the first named, until nothing came through it or what came broke off. A relay
/// can refuse, be silent, or stop in the middle; whom it does that to remembers, and it is the other's turn.
#[derive(Debug, Default)]
pub struct Routes(Mutex<HashMap<String, usize>>);

impl Routes {
    /// 0 or 1.
    pub fn first(&self, root: &str) -> usize {
        lock(&self.0).get(root).copied().unwrap_or(0)
    }
    /// What came of a connection through a relay, 0 or 1: the next begins with it if `carried`, and with the other if not.
    pub fn note(&self, root: &str, through: usize, carried: bool) {
        let first = if carried { through } else { 1 - through.min(1) };
        lock(&self.0).insert(root.to_owned(), first);
    }
}

/// One attempt at each address of a peer or of its relays, and through which of these; `own` is this party's address for others, and where it listens. What
/// follows is TLS with the peer. Of two relays the one numbered `first` is tried first: one may answer and yet not reach the peer.
pub(super) fn dial(
    peer: &Peer,
    own: Option<(&str, SocketAddr)>,
    (patience, first): (Duration, usize),
) -> Option<(TcpStream, usize)> {
    let mut hosts = relays(&peer.address);
    let relayed = !hosts.is_empty();
    if !relayed {
        hosts.push(&peer.address);
    }
    let addresses = |host: &str| -> Vec<SocketAddr> {
        match own.filter(|(address, _)| relayed && host == *address) {
            // Whoever is the relay need not be able to reach itself from outside.
            Some((_, own)) => vec![local(own)],
            None => host.to_socket_addrs().into_iter().flatten().collect(),
        }
    };
    let order = (0..hosts.len()).map(|i| (first + i) % hosts.len());
    let mut all = order.flat_map(|host| addresses(hosts[host]).into_iter().map(move |address| (address, host)));
    let connect = |(address, host)| Some((TcpStream::connect_timeout(&address, patience).ok()?, host));
    let (mut stream, host) = all.find_map(connect)?;
    if relayed {
        let line = Request::To(peer.fingerprint.clone()).line()?;
        stream.write_all(line.as_bytes()).ok()?;
    }
    Some((stream, host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_come_and_nothing_else_is() {
        for request in [Request::To("0a".repeat(32)), Request::Wait("f".repeat(64))] {
            let line = request.line().unwrap().into_bytes();
            assert!((0..line.len()).all(|to| read(&line[..to]) == Reading::Part), "{request:?}");
            assert_eq!(read(&line), Reading::Whole(request.clone()));
            // TLS follows.
            assert_eq!(read(&[&line[..], &[22, 3, 1]].concat()), Reading::Whole(request));
        }
        let digits = "0a".repeat(32);
        for wrong in [
            "\n".to_owned(),
            "privity-relay/1\n".into(),
            "privity-relay/1 \n".into(),
            format!("privity-relay/2 to {digits}\n"),
            format!("privity-relay/1 at {digits}\n"),
            format!("privity-relay/1 to {digits}0\n"),
            format!("privity-relay/1 to {}\n", digits.to_uppercase()),
            format!("privity-relay/1 to {digits}\r\n"),
            format!("privity-relay/1 wait {digits}{digits}"),
        ] {
            assert_eq!(read(wrong.as_bytes()), Reading::No, "{wrong:?}");
        }
        assert_eq!(read(b"privity-relay/1 \xff\xff\n"), Reading::No);
        assert_eq!(Request::Wait("a\nb".into()).line(), None);
    }

    #[test]
    fn only_addresses_with_a_relay_and_its_port_are_behind_one() {
        assert_eq!(relays("relay:a.example:7443"), ["a.example:7443"]);
        assert_eq!(relays("relay:[::1]:7443"), ["[::1]:7443"]);
        assert_eq!(relays("relay:a.example:7443,b.example:1"), ["a.example:7443", "b.example:1"]);
        for none in [
            "a.example:7443",
            // A host of that name.
            "relay:7443",
            "relay:",
            "relay::1",
            "relay:a.example:x",
            "relay:a.example:99999",
            "relay:a.example:1,",
            "relay:a.example:1,b.example",
            "relay:a.example:1,a.example:1",
            "relay:a.example:1,b.example:1,c.example:1",
            "a.example:1,b.example:1",
        ] {
            assert!(relays(none).is_empty(), "{none}");
        }
        assert_eq!(local("0.0.0.0:7".parse().unwrap()), "127.0.0.1:7".parse().unwrap());
        assert_eq!(local("10.0.0.1:7".parse().unwrap()), "10.0.0.1:7".parse().unwrap());
    }
}
