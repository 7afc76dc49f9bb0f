//! Sessions that share a port, and strangers at it.

use privity_net::identity::Identity;
use privity_net::relay::{GO, Request, Routes};
use privity_net::tls::{
    Bounds, ENGINE, Host, Limits, Peer, Presence, Switch, TlsConfig, TlsLink, council, loopback_listener,
};
use privity_net::{Link, NetError, Tag, control};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// A switch on a free loopback port, and what its fallback gets.
fn switch(bounds: Bounds) -> (Switch, Receiver<TcpStream>) {
    let (others, got) = channel();
    // The listener that found the port goes before the switch takes it.
    let address = loopback_listener().unwrap().local_addr().unwrap().to_string();
    let switch = Switch::listen(&address, bounds, move |stream| drop(others.send(stream)));
    (switch.unwrap(), got)
}

/// A session of as many parties as there are switches.
fn session(job: u8, switches: &[&Switch]) -> Vec<TlsConfig> {
    let identities: Vec<_> = switches.iter().map(|_| Identity::generate("party").unwrap()).collect();
    let peer = |(identity, switch): (&Identity, &&Switch)| Peer {
        address: switch.address().unwrap().to_string(),
        fingerprint: identity.fingerprint(),
    };
    let peers: Vec<Peer> = identities.iter().zip(switches).map(peer).collect();
    let limits = Limits { connect: Duration::from_secs(20), ..Limits::default() };
    let config = |(me, (identity, switch)): (usize, (Identity, &&Switch))| TlsConfig {
        me,
        peers: peers.clone(),
        identity: identity.into(),
        job: [job; 32],
        limits,
        unprotected: false,
        host: Host { switch: Some((*switch).clone()), ..Host::default() },
    };
    identities.into_iter().zip(switches).enumerate().map(config).collect()
}

/// Bytes that parties send each other.
const PLAYED: usize = 4096;

/// Connects, sends to all and hears all, and takes leave.
fn play(config: TlsConfig) -> Result<[u8; 32], NetError> {
    let mut link = TlsLink::connect(config)?;
    let (me, tag) = (link.me(), Tag { epoch: 0, step: 1, tile: 0 });
    let peers: Vec<usize> = (0..link.n()).filter(|peer| *peer != me).collect();
    for peer in &peers {
        link.send(*peer, tag, 0, &[me as u8; PLAYED])?;
    }
    for peer in peers {
        let mut got = [0; PLAYED];
        link.recv(peer, tag, &mut got)?;
        assert_eq!(got, [peer as u8; PLAYED]);
    }
    link.close()?;
    Ok(link.session())
}

fn all(sessions: Vec<Vec<TlsConfig>>) -> Vec<Vec<Result<[u8; 32], NetError>>> {
    let start = |config| std::thread::spawn(move || play(config));
    let running: Vec<Vec<_>> = sessions.into_iter().map(|configs| configs.into_iter().map(start).collect()).collect();
    running.into_iter().map(|session| session.into_iter().map(|party| party.join().unwrap()).collect()).collect()
}

#[test]
fn sessions_share_a_port_each() {
    let (a, _) = switch(Bounds::default());
    let (b, _) = switch(Bounds::default());
    let (c, _) = switch(Bounds::default());
    // The last has two of its parties at one switch.
    let mut sessions: Vec<_> = (0..5).map(|job| session(job, &[&a, &b, &c])).collect();
    sessions.push(session(9, &[&a, &b, &a]));
    let played = all(sessions);
    for session in &played {
        let first = session[0].as_ref().unwrap();
        assert!(session.iter().all(|party| party.as_ref() == Ok(first)), "{session:?}");
    }
    // The same job again, at the ports where it ran.
    assert!(all(vec![session(0, &[&a, &b, &c])]).concat().iter().all(Result::is_ok));
}

#[test]
fn the_same_party_of_a_session_is_joined_once_at_a_time() {
    let (a, _) = switch(Bounds::default());
    let mut configs = session(1, &[&a, &a]);
    configs.truncate(1);
    configs[0].limits.connect = Duration::from_secs(1);
    let twin = session(1, &[&a, &a]).remove(0);
    let first = std::thread::spawn({
        let config = configs.remove(0);
        move || TlsLink::connect(config).err()
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(matches!(TlsLink::connect(twin).err(), Some(NetError::Io { .. })));
    assert!(matches!(first.join().unwrap(), Some(NetError::Unreachable { peer: 1, .. })));
}

#[test]
fn councils_meet_at_switches() {
    let switches: Vec<_> = (0..4).map(|_| switch(Bounds::default()).0).collect();
    let mut configs = session(3, &switches.iter().collect::<Vec<_>>());
    // Its process runs, and holds no council.
    configs.remove(1);
    let started = Instant::now();
    let meet = |config| {
        let say = |_: &Identity, absent: &[usize]| Ok(absent.iter().map(|p| *p as u8).collect());
        std::thread::spawn(move || council(config, Duration::from_secs(4), say).unwrap())
    };
    let running: Vec<_> = configs.into_iter().map(meet).collect();
    for (party, heard) in [0, 2, 3].into_iter().zip(running) {
        for (peer, presence) in heard.join().unwrap().into_iter().enumerate() {
            let expected = if peer == party || peer == 1 { Presence::Absent } else { Presence::Spoke(vec![1]) };
            assert_eq!(presence, expected, "{peer} at {party}");
        }
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn a_dialer_before_its_time_is_kept_a_while_and_then_told_to_try_again() {
    for wait in [Duration::from_secs(4), Duration::from_millis(100)] {
        let (a, _) = switch(Bounds { wait, ..Bounds::default() });
        let mut configs = session(5, &[&a, &a]);
        let (dialer, late) = (configs.pop().unwrap(), configs.pop().unwrap());
        let early = std::thread::spawn(move || play(dialer));
        std::thread::sleep(Duration::from_millis(700));
        let late = play(late).unwrap();
        assert_eq!(early.join().unwrap(), Ok(late));
    }
}

#[test]
fn a_session_that_nobody_begins_is_named_as_such() {
    let (a, got) = switch(Bounds { wait: Duration::from_millis(50), ..Bounds::default() });
    let mut dialer = session(5, &[&a, &a]).remove(1);
    dialer.limits.connect = Duration::from_secs(1);
    assert_eq!(TlsLink::connect(dialer).err(), Some(NetError::NoSession { peer: 0 }));
    assert!(got.try_recv().is_err(), "it is nobody else's either");
    // Sessions of another binding or job do not meet.
    let (mut one, mut two) = (session(6, &[&a, &a]), session(7, &[&a, &a]));
    let (mut first, mut second) = (one.remove(0), two.remove(1));
    second.identity = one.remove(0).identity;
    second.peers = first.peers.clone();
    for config in [&mut first, &mut second] {
        config.limits.connect = Duration::from_secs(1);
    }
    let errors: Vec<_> = all(vec![vec![first, second]]).concat();
    assert!(matches!(errors[0], Err(NetError::Unreachable { peer: 1, .. })), "{errors:?}");
    assert_eq!(errors[1], Err(NetError::NoSession { peer: 0 }));
}

/// The first message of a client that is no session's.
fn other_hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from("control.example").unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// Whether the other end closes within this time.
fn closes(mut stream: &TcpStream, within: Duration) -> bool {
    stream.set_read_timeout(Some(within)).unwrap();
    match stream.read(&mut [0; 64]) {
        Ok(n) => n == 0,
        Err(e) => !matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    }
}

#[test]
fn what_is_no_sessions_goes_to_the_fallback_untouched_and_garbage_to_nobody() {
    let (a, got) = switch(Bounds::default());
    let address = a.address().unwrap();
    let hello = other_hello();
    // In two parts, so that the first look sees half of it.
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(&hello[..40]).unwrap();
    std::thread::sleep(Duration::from_millis(120));
    client.write_all(&hello[40..]).unwrap();
    let mut served = got.recv_timeout(Duration::from_secs(3)).unwrap();
    let mut read = vec![0; hello.len()];
    served.read_exact(&mut read).unwrap();
    assert_eq!(read, hello);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 9000], &[22, 3, 1, 0, 4, 9, 9, 9, 9], &[22, 3, 3, 255, 255]] {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(garbage).unwrap();
        assert!(closes(&client, Duration::from_secs(8)), "{:?}", &garbage[..4]);
    }
    for garbage in ["privity-relay/1 to nobody\n", "privity-relay/9 ", "privity-relay/1 wait 00"] {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(garbage.as_bytes()).unwrap();
        assert!(closes(&client, Duration::from_secs(8)), "{garbage:?}");
    }
    assert!(got.try_recv().is_err());
    // Accepted elsewhere.
    let (others, got) = channel();
    let offered = Switch::new(Bounds::default(), move |stream| drop(others.send(stream))).unwrap();
    let listener = loopback_listener().unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    offered.offer(listener.accept().unwrap().0);
    client.write_all(&hello).unwrap();
    assert!(got.recv_timeout(Duration::from_secs(3)).is_ok());
}

fn crowd(address: SocketAddr, of: usize, says: &[u8]) -> Vec<TcpStream> {
    let come = || {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
        stream.write_all(says).unwrap();
        stream
    };
    (0..of).map(|_| come()).collect()
}

#[test]
fn crowds_that_say_nothing_or_little_keep_nobody_out_and_are_closed() {
    let bounds = Bounds { pending: 32, hello: Duration::from_secs(1), ..Bounds::default() };
    let (a, got) = switch(bounds);
    let address = a.address().unwrap();
    let hello = other_hello();
    let mute = crowd(address, 200, b"");
    let slow = crowd(address, 20, &hello[..30]);
    // More than the bound: the oldest are gone at once.
    assert!(mute[..100].iter().all(|stream| closes(stream, Duration::from_secs(2))));
    let dripping = std::thread::spawn({
        let (slow, byte) = (slow[0].try_clone().unwrap(), hello[30]);
        move || {
            let started = Instant::now();
            // A byte now and then buys no time beyond the bound.
            while (&slow).write_all(&[byte]).is_ok() && started.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(100));
            }
            started.elapsed()
        }
    });
    let played = all(vec![session(1, &[&a, &a])]).concat();
    assert!(played.iter().all(Result::is_ok), "{played:?}");
    assert!(dripping.join().unwrap() < Duration::from_secs(5));
    assert!(slow.iter().chain(&mute).all(|stream| closes(stream, Duration::from_secs(5))));
    assert!(got.try_recv().is_err());
    // A crowd that asks for sessions that are not there: those beyond the bound are refused at once.
    let fewer = switch(Bounds { early: 4, wait: Duration::from_secs(60), ..Bounds::default() }).0;
    let dialers: Vec<_> = (0..12)
        .map(|job| {
            let mut config = session(job, &[&fewer, &fewer]).remove(1);
            config.limits.connect = Duration::from_millis(1500);
            std::thread::spawn(move || TlsLink::connect(config).err().unwrap())
        })
        .collect();
    let errors: Vec<NetError> = dialers.into_iter().map(|dialer| dialer.join().unwrap()).collect();
    assert!(errors.iter().filter(|error| **error == NetError::NoSession { peer: 0 }).count() >= 8, "{errors:?}");
}

/// A relay in its simplest form at a switch: connections that wait, whatever their ticket, are for the same party. What it carried, each way of each connection.
fn carry(got: Receiver<TcpStream>, carried: Sender<Vec<u8>>) {
    let mut waiting = VecDeque::new();
    let mut dialers = VecDeque::new();
    for stream in got {
        match Request::take(&stream).expect("lines only") {
            Request::Wait(_) => waiting.push_back(stream),
            Request::To(_) => dialers.push_back(stream),
        }
        while !waiting.is_empty() && !dialers.is_empty() {
            let (mut member, dialer) = (waiting.pop_front().unwrap(), dialers.pop_front().unwrap());
            member.write_all(&[GO]).unwrap();
            member.read_exact(&mut [0]).unwrap();
            for (mut from, mut to) in [(member.try_clone().unwrap(), dialer.try_clone().unwrap()), (dialer, member)] {
                let carried = carried.clone();
                std::thread::spawn(move || {
                    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
                    while let Ok(n @ 1..) = from.read(&mut piece) {
                        all.extend_from_slice(&piece[..n]);
                        if to.write_all(&piece[..n]).is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown(std::net::Shutdown::Write);
                    let _ = carried.send(all);
                });
            }
        }
    }
}

/// Whether all of it is records of TLS.
fn is_tls(mut bytes: &[u8]) -> bool {
    while let [20..=23, 3, 1 | 3, high, low, rest @ ..] = bytes {
        let length = usize::from(*high) << 8 | usize::from(*low);
        let Some(rest) = rest.get(length..) else { return false };
        bytes = rest;
    }
    bytes.is_empty()
}

#[test]
fn a_party_without_a_port_is_reached_through_anothers_and_only_tls_is_seen_there() {
    let (relay, got) = switch(Bounds::default());
    let (b, _) = switch(Bounds::default());
    let outbound = Switch::new(Bounds::default(), |_| ()).unwrap();
    let (carried, seen) = channel();
    std::thread::spawn(move || carry(got, carried));
    let address = relay.address().unwrap();
    // Two dial it: one of them is the relay, which reaches itself by its own port, whatever it is called outside.
    let mut configs = session(1, &[&relay, &relay, &b]);
    for config in &mut configs {
        config.peers[0].address = "relay:outside.invalid:7443".into();
        config.peers[1].address = "outside.invalid:7443".into();
    }
    // The other finds it by its address.
    configs[2].peers[0].address = format!("relay:{address}");
    configs[2].peers[1].address = address.to_string();
    configs[0].host.switch = Some(outbound.clone());
    for _ in 0..2 {
        let offered = outbound.clone();
        std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(Request::Wait("0".repeat(64)).line().unwrap().as_bytes()).unwrap();
            stream.read_exact(&mut [0]).unwrap();
            stream.write_all(&[GO]).unwrap();
            offered.offer(stream);
        });
    }
    let played = all(vec![configs]).concat();
    let first = played[0].as_ref().unwrap();
    assert!(played.iter().all(|party| party.as_ref() == Ok(first)), "{played:?}");
    for _ in 0..4 {
        let bytes = seen.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(bytes.len() > 1000 && is_tls(&bytes), "{} bytes", bytes.len());
        // What the parties sent each other were equal bytes.
        assert!(!bytes.windows(20).any(|piece| piece.iter().all(|byte| *byte == piece[0])));
    }
}

/// A listener whose process hangs up on everybody, and one whose process is frozen.
fn useless() -> [(SocketAddr, Option<std::net::TcpListener>); 3] {
    let listen = || loopback_listener().unwrap();
    let (deaf, frozen) = (listen(), listen());
    let (deaf_at, frozen_at) = (deaf.local_addr().unwrap(), frozen.local_addr().unwrap());
    std::thread::spawn(move || deaf.incoming().for_each(drop));
    // Nobody listens at the last.
    [(deaf_at, None), (frozen_at, Some(frozen)), (listen().local_addr().unwrap(), None)]
}

/// How the first of two relays lies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    /// It does TLS itself.
    Answers,
    /// It carries no byte back after the dialer's second message, with which the handshake ends at the party that is dialled: that one hears all, and the dialer no
    /// more.
    StopsAfterTheHandshake,
    /// It carries this many bytes back, and then none.
    StopsAfter(usize),
}

/// A relay of which the party does not take leave: each dialer is carried to the party's switch, as far as the lie goes. How many came.
fn liar(lie: Lie, member: Switch) -> (SocketAddr, Arc<AtomicUsize>) {
    let (listener, came) = (loopback_listener().unwrap(), Arc::new(AtomicUsize::new(0)));
    let (address, count) = (listener.local_addr().unwrap(), came.clone());
    // The two ends of what is carried to the party.
    let inside = loopback_listener().unwrap();
    let own = Identity::generate("liar").unwrap();
    std::thread::spawn(move || {
        for dialer in listener.incoming().map_while(Result::ok) {
            count.fetch_add(1, Ordering::Relaxed);
            while (&dialer).read_exact(&mut [0]).is_ok() && !is_tls_next(&dialer) {}
            if lie == Lie::Answers {
                // Whoever it is, it has another key.
                let mut tls = control::server(&own, &Arc::default()).unwrap();
                tls.alpn_protocols = vec![ENGINE.to_vec()];
                let mut tls = rustls::ServerConnection::new(tls.into()).unwrap();
                std::thread::spawn(move || tls.complete_io(&mut &dialer).map(drop));
                continue;
            }
            let to = TcpStream::connect(inside.local_addr().unwrap()).unwrap();
            member.offer(inside.accept().unwrap().0);
            let silent = Arc::new(AtomicBool::new(false));
            let (hushed, mut from, mut back) = (silent.clone(), dialer.try_clone().unwrap(), to.try_clone().unwrap());
            std::thread::spawn(move || {
                let mut piece = [0; 1 << 16];
                for turn in 0.. {
                    let Ok(n @ 1..) = from.read(&mut piece) else { break };
                    if turn > 0 && lie == Lie::StopsAfterTheHandshake {
                        hushed.store(true, Ordering::SeqCst);
                    }
                    if back.write_all(&piece[..n]).is_err() {
                        break;
                    }
                }
            });
            let (mut from, mut back) = (to, dialer);
            std::thread::spawn(move || {
                let (mut piece, mut carried) = ([0; 1 << 10], 0);
                while let Ok(n @ 1..) = from.read(&mut piece) {
                    carried += n;
                    if matches!(lie, Lie::StopsAfter(most) if carried > most) {
                        silent.store(true, Ordering::SeqCst);
                    }
                    // It takes what comes, and says nothing.
                    if !silent.load(Ordering::SeqCst) && back.write_all(&piece[..n]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    (address, came)
}

/// Whether a connection goes on with TLS; what is before it is read.
fn is_tls_next(stream: &TcpStream) -> bool {
    let mut next = [0];
    matches!(stream.peek(&mut next), Ok(1)) && next[0] == 22
}

/// Two parties, one of which waits at two relays; `first` is named before the other, which is honest. They remember across sessions.
fn behind_two(first: SocketAddr, outbound: &Switch) -> impl Fn(u8) -> Vec<TlsConfig> {
    let (relay, got) = switch(Bounds::default());
    std::thread::spawn(move || carry(got, channel().0));
    let address = relay.address().unwrap();
    let (outbound, routes): (Switch, [Arc<Routes>; 2]) = (outbound.clone(), Default::default());
    let waits = outbound.clone();
    std::thread::spawn(move || {
        // One connection waits at all times.
        while let Ok(mut stream) = TcpStream::connect(address) {
            stream.write_all(Request::Wait("0".repeat(64)).line().unwrap().as_bytes()).unwrap();
            if stream.read_exact(&mut [0]).is_ok() && stream.write_all(&[GO]).is_ok() {
                waits.offer(stream);
            }
        }
    });
    let identities = [Identity::generate("a").unwrap(), Identity::generate("b").unwrap()].map(Arc::new);
    move |job| {
        let mut configs = session(job, &[&relay, &relay]);
        let fingerprints = identities.clone().map(|identity| identity.fingerprint());
        for (me, config) in configs.iter_mut().enumerate() {
            config.identity = identities[me].clone();
            config.peers[0].address = format!("relay:{first},{address}");
            config.peers[1].address = "outside.invalid:7443".into();
            for (peer, fingerprint) in config.peers.iter_mut().zip(&fingerprints) {
                peer.fingerprint.clone_from(fingerprint);
            }
            config.host.routes = routes[me].clone();
        }
        configs[0].host.switch = Some(outbound.clone());
        configs
    }
}

fn both_played(played: &[Result<[u8; 32], NetError>]) -> bool {
    played[0].is_ok() && played[0] == played[1]
}

#[test]
fn where_one_relay_does_not_reach_a_party_the_other_is_taken() {
    for (first, _kept) in useless() {
        let outbound = Switch::new(Bounds::default(), |_| ()).unwrap();
        let configs = behind_two(first, &outbound);
        let played = all(vec![configs(1)]).concat();
        assert!(both_played(&played), "{first}: {played:?}");
        // The next session asks the one that was silent no more.
        let started = Instant::now();
        let played = all(vec![configs(2)]).concat();
        assert!(both_played(&played) && started.elapsed() < Duration::from_secs(2), "{first}: {played:?}");
    }
}

#[test]
fn a_relay_that_answers_in_a_partys_place_is_left_for_the_other() {
    let outbound = Switch::new(Bounds::default(), |_| ()).unwrap();
    let (first, came) = liar(Lie::Answers, outbound.clone());
    let configs = behind_two(first, &outbound);
    for job in [1, 2] {
        let played = all(vec![configs(job)]).concat();
        assert!(both_played(&played), "{played:?}");
        assert_eq!(came.load(Ordering::Relaxed), 1);
    }
}

/// It takes one session with it at most; what is wrong is said of the one that is not reached.
fn ends_one_session(lie: Lie) {
    let outbound = Switch::new(Bounds::default(), |_| ()).unwrap();
    let (first, came) = liar(lie, outbound.clone());
    let configs = behind_two(first, &outbound);
    let mut one = configs(1);
    one.iter_mut().for_each(|config| config.limits.connect = Duration::from_secs(8));
    let played = all(vec![one]).concat();
    let told = |played: &Result<_, NetError>| played.as_ref().err().and_then(NetError::about).is_some();
    assert!(both_played(&played) || played.iter().all(told), "{lie:?}: {played:?}");
    let tried = came.load(Ordering::Relaxed);
    assert!(tried > 0, "{lie:?}");
    let played = all(vec![configs(2)]).concat();
    assert!(both_played(&played), "{lie:?}: {played:?}");
    assert_eq!(came.load(Ordering::Relaxed), tried, "{lie:?}");
}

#[test]
fn a_relay_that_stops_in_the_middle_ends_one_session_and_is_not_the_first_again() {
    let amounts = [0, 300, 1000, 2500].map(Lie::StopsAfter);
    let lies = amounts.into_iter().chain([Lie::StopsAfterTheHandshake]);
    let all: Vec<_> = lies.map(|lie| std::thread::spawn(move || ends_one_session(lie))).collect();
    all.into_iter().for_each(|one| one.join().unwrap());
}

#[test]
fn whoever_is_not_behind_the_relay_is_named_with_it() {
    let (relay, got) = switch(Bounds::default());
    let mut dialer = session(1, &[&relay, &relay]).remove(1);
    let address = format!("relay:{}", relay.address().unwrap());
    dialer.peers[0].address.clone_from(&address);
    dialer.limits.connect = Duration::from_secs(1);
    // A relay that carries nothing hangs up.
    let root = dialer.peers[0].fingerprint.clone();
    let dialling = std::thread::spawn(move || TlsLink::connect(dialer).err());
    let first = got.recv_timeout(Duration::from_secs(3)).unwrap();
    assert_eq!(Request::take(&first), Some(Request::To(root)));
    drop(first);
    std::thread::spawn(move || got.into_iter().for_each(drop));
    match dialling.join().unwrap() {
        Some(NetError::Unreachable { peer: 0, address: named, .. }) => assert_eq!(named, address),
        other => panic!("{other:?}"),
    }
}
