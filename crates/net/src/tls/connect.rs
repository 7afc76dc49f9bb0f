//! Setting up a session: dialling, handshakes, agreement.

use super::channel::{Channel, Security};
use super::connection::{Connection, certificate, own_key};
use super::pin::{Accepted, Pins, known_by};
use super::switch::{ENGINE, Registration, Switch, name_of};
use super::{Peer, TlsConfig, relay};
use crate::identity::Untrusted;
use crate::{AbortCause, NetError};
use privity_prim::fresh_secret;
use rustls::client::UnbufferedClientConnection;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{CipherSuite, ClientConfig, ServerConfig, version::TLS13};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Version of the whole wire protocol.
const VERSION: u32 = 1;
const HELLO: usize = 4 + 4 + 4 + 32 + 32;
/// Time for a handshake and a hello.
const GREETING: Duration = Duration::from_secs(10);
/// Time for it through the first of two relays: longer than a switch keeps who comes early, see [`super::Bounds`].
const SILENT_RELAY: Duration = Duration::from_secs(6);
/// Connections that are greeted at once, the parties' and strangers'. Each takes a signature, which a token makes one after the other.
const AT_ONCE: usize = 16;
/// How often a party that waits for the others' identifiers shows those that have given theirs that it lives.
const LOOK: Duration = Duration::from_millis(250);
/// Bytes of kernel buffer asked for per direction.
const SOCKET_BUFFER: usize = 4 << 20;

fn io(operation: &'static str) -> impl Fn(std::io::Error) -> NetError {
    move |e| NetError::Io { operation, problem: e.to_string() }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    // AES-128-GCM first: the fastest where the processor has AES instructions, which the PRG wants anyway.
    provider.cipher_suites.sort_by_key(|s| s.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

type Raw = (TcpStream, Channel, [u8; 32]);

/// The session's connections, its identifier, and what went through relays.
pub(super) type Session = (Vec<Option<Connection>>, [u8; 32], Dialled);

/// Through which of two relays this party dialled each peer, with the peer's fingerprint; none where there is no choice.
pub(super) struct Dialled {
    pub through: Vec<Option<(String, usize)>>,
    routes: Arc<relay::Routes>,
}

impl Dialled {
    /// What went to this peer broke off: the next session begins with the other relay.
    pub(super) fn broke_off(&self, peer: usize) {
        if let Some((root, relay)) = self.through.get(peer).and_then(Option::as_ref) {
            self.routes.note(root, *relay, false);
        }
    }
}

/// Connects to all peers. Higher-numbered parties dial lower-numbered ones.
pub(super) fn establish(config: TlsConfig) -> Result<Session, NetError> {
    let n = config.peers.len();
    if config.me >= n || !(2..=31).contains(&n) {
        let problem = format!("party {} of {n}; 2 to 31 parties are supported", config.me);
        return Err(NetError::Io { operation: "joining the session", problem });
    }
    let mut dialled = Dialled { through: vec![None; n], routes: config.host.routes.clone() };
    match meet(config, &mut dialled) {
        Ok((connections, session)) => Ok((connections, session, dialled)),
        Err(error) => {
            error.about().into_iter().for_each(|peer| dialled.broke_off(peer));
            Err(error)
        }
    }
}

fn meet(config: TlsConfig, dialled: &mut Dialled) -> Result<(Vec<Option<Connection>>, [u8; 32]), NetError> {
    let (me, n) = (config.me, config.peers.len());
    let deadline = Instant::now() + config.limits.connect;
    let hello = Hello::new(&config)?;
    let configs = tls_configs(&config)?;
    let door = Door::open(&config)?;
    let mut raw: Vec<Option<Raw>> = (0..n).map(|_| None).collect();
    for peer in 0..me {
        raw[peer] = Some(join(&config, &configs, &hello, (peer, deadline), dialled)?);
    }
    let Some(door) = door else { return agree(&config, raw, &hello) };
    let ours = Arc::new((config, configs, hello));
    let (config, configs, hello) = &*ours;
    let mut newest = vec![0; n];
    receive(&door, &ours, |came| {
        match came {
            Some((number, Ok((peer, connection)))) if peer > me => {
                // Whoever dials again gave the connection before up.
                if number > newest[peer] {
                    (raw[peer], newest[peer]) = (Some(connection), number);
                }
            }
            Some((_, Ok((peer, _)))) => {
                return Err(NetError::Malformed { peer, problem: "it connected in the wrong direction" });
            }
            // Whoever else knocks is turned away; the party that is due may still come.
            Some((_, Err(GreetError::Stranger))) | None => {}
            // So it may through another relay.
            Some((_, Err(GreetError::Known(NetError::Timeout { .. } | NetError::Closed { .. }))))
                if relay::relays(&config.peers[me].address).len() > 1 => {}
            Some((_, Err(GreetError::Known(e) | GreetError::Broken(e)))) => return Err(e),
        }
        config.host.cancel.check()?;
        match (me + 1..n).find(|p| raw[*p].is_none()) {
            Some(missing) if Instant::now() > deadline => Err(configs.missing(config, missing)),
            missing => Ok(missing.is_none()),
        }
    })?;
    agree(config, raw, hello)
}

/// What greets at a door.
pub(super) type Greeter = Arc<(TlsConfig, Configs, Hello)>;
/// A connection's number in the order of arrival, from 1, and what came of greeting it.
pub(super) type Came = (usize, Result<Greeted, GreetError>);

/// Greets those that come in at a door, beside each other, so that none that stalls, nor a relay that does, holds up another. `take` gets what came of each, or
/// none every few milliseconds, and says whether that is enough: then whoever is still being greeted is hung up on, and not waited for.
pub(super) fn receive(
    door: &Door,
    ours: &Greeter,
    mut take: impl FnMut(Option<Came>) -> Result<bool, NetError>,
) -> Result<(), NetError> {
    let (sender, greeted) = channel();
    let mut at_it: Vec<(usize, TcpStream)> = Vec::new();
    let mut arrived = 0;
    let mut step = || -> Result<bool, NetError> {
        while let Some(stream) = (at_it.len() < AT_ONCE).then(|| door.accept()).transpose()?.flatten() {
            arrived += 1;
            // Without a handle to hang up by, or a thread, it has come in vain, and comes again.
            let Ok(handle) = stream.try_clone() else { continue };
            let (number, sender, ours) = (arrived, sender.clone(), ours.clone());
            let greeting = std::thread::Builder::new().name("privity-greeting".into()).spawn(move || {
                let (config, configs, hello) = &*ours;
                let patience = GREETING.min(config.limits.connect);
                let came = match configs.answer(config) {
                    Ok(security) => greet(stream, (security, None), patience, config, hello),
                    Err(e) => Err(GreetError::Known(e)),
                };
                // Nobody waits for it any more, perhaps.
                let _ = sender.send((number, came));
            });
            if greeting.is_ok() {
                at_it.push((number, handle));
            }
        }
        let came = greeted.recv_timeout(Duration::from_millis(5)).ok();
        at_it.retain(|(number, _)| came.as_ref().is_none_or(|came| came.0 != *number));
        take(came)
    };
    let received = loop {
        match step() {
            Ok(false) => {}
            Ok(true) => break Ok(()),
            Err(e) => break Err(e),
        }
    };
    at_it.iter().for_each(|(_, stream)| drop(stream.shutdown(Shutdown::Both)));
    received
}

/// Where connections for a party come in.
pub(super) enum Door {
    Own(TcpListener),
    Switch(Registration),
}

impl Door {
    /// None for the last party, which only dials.
    pub(super) fn open(config: &TlsConfig) -> Result<Option<Door>, NetError> {
        if config.me + 1 >= config.peers.len() {
            return Ok(None);
        }
        if let Some(switch) = config.host.switch.as_ref().filter(|_| !config.unprotected) {
            return Ok(Some(Door::Switch(switch.register(&config.job, config.me)?)));
        }
        let listener = listen(&config.peers[config.me].address)?;
        listener.set_nonblocking(true).map_err(io("listening"))?;
        Ok(Some(Door::Own(listener)))
    }

    /// The next connection, if one has come; it blocks.
    pub(super) fn accept(&self) -> Result<Option<TcpStream>, NetError> {
        let stream = match self {
            Door::Switch(registration) => return Ok(registration.accept()),
            Door::Own(listener) => match listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(e) => return Err(io("accepting a connection")(e)),
            },
        };
        stream.set_nonblocking(false).map_err(io("configuring a socket"))?;
        Ok(Some(stream))
    }
}

/// Dials a peer until its process is up and has begun the session, or the time is over.
fn join(
    config: &TlsConfig,
    configs: &Configs,
    hello: &Hello,
    (peer, deadline): (usize, Instant),
    dialled: &mut Dialled,
) -> Result<Raw, NetError> {
    let Peer { address, fingerprint } = &config.peers[peer];
    let relays = relay::relays(address).len();
    let routes = &config.host.routes;
    let (mut first, mut refused, mut turn) = (routes.first(fingerprint), [false; 2], 0);
    loop {
        let (stream, used) = dial(config, peer, (deadline, first))?;
        let security = configs.dial(config, peer).map_err(|e| certificate(peer, &e))?;
        let greeted = greet(stream, (security, Some(peer)), patience(config, relays, turn), config, hello);
        turn += 1;
        let error = match greeted {
            Ok((_, connection)) => {
                if relays > 1 {
                    routes.note(fingerprint, used, true);
                    dialled.through[peer] = Some((fingerprint.clone(), used));
                }
                return Ok(connection);
            }
            Err(error) => error,
        };
        let (again, relays_fault) = match &error {
            // Whoever says at once that the peer is not there may well be right.
            GreetError::Known(NetError::NoSession { .. }) | GreetError::Broken(_) => (true, false),
            GreetError::Known(NetError::Mismatch { .. } | NetError::Io { .. }) => (false, false),
            // Nothing comes through this relay: the other may be alive.
            GreetError::Known(NetError::Timeout { .. } | NetError::Closed { .. }) => (relays > 1, true),
            // Or it answers in the other's place; if what both bring is no good, it is the other.
            _ if relays > 1 => {
                refused[used] = true;
                (refused != [true; 2], true)
            }
            _ => (false, false),
        };
        if relays > 1 {
            first = 1 - used;
            if relays_fault {
                routes.note(fingerprint, used, false);
            }
        }
        match error {
            _ if again && Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
            // The relay is there, and has no connection of the peer's.
            GreetError::Broken(_) if relays > 0 => return Err(unreachable(config, peer)),
            error => return Err(error.into()),
        }
    }
}

/// How long a greeting may take: where there are two relays one that is silent is not waited for as long at first, and longer at each turn, as the way through both
/// may be a slow one.
fn patience(config: &TlsConfig, relays: usize, turn: usize) -> Duration {
    let patience = if relays > 1 { SILENT_RELAY * 2_u32.pow(turn.min(6) as u32 / 2) } else { GREETING };
    patience.min(GREETING).min(config.limits.connect)
}

pub(super) type Greeted = (usize, (TcpStream, Channel, [u8; 32]));

pub(super) enum GreetError {
    /// Not one of the parties.
    Stranger,
    /// The stream ended before the handshake did: a crowd at a shared port, perhaps. To be tried again.
    Broken(NetError),
    Known(NetError),
}

impl From<GreetError> for NetError {
    fn from(e: GreetError) -> NetError {
        match e {
            GreetError::Known(e) | GreetError::Broken(e) => e,
            GreetError::Stranger => NetError::Io { operation: "connecting", problem: "the handshake failed".into() },
        }
    }
}

/// Handshake and hello, blocking with a time limit.
pub(super) fn greet(
    stream: TcpStream,
    (security, expected): (Security, Option<usize>),
    patience: Duration,
    config: &TlsConfig,
    ours: &Hello,
) -> Result<Greeted, GreetError> {
    let stream = prepare(stream, patience).map_err(GreetError::Known)?;
    let known = |peer: Option<usize>, e: &std::io::Error| match (peer, tls_error(e)) {
        (_, Some(rustls::Error::Other(own))) => GreetError::Known(own_key(own)),
        (Some(peer), _) => GreetError::Known(handshake_error(peer, e, patience)),
        (None, _) => GreetError::Stranger,
    };
    // However slowly a peer drips its bytes, it holds this party up no longer than this.
    let until = Instant::now() + patience;
    let mut channel = Channel::new(security);
    channel.handshake(&stream, || before(until)).map_err(|e| match known(expected, &e) {
        GreetError::Known(closed @ NetError::Closed { .. }) => GreetError::Broken(closed),
        other => other,
    })?;
    let authenticated = match channel.state() {
        Some(tls) => {
            let presented = tls.peer_certificates().and_then(known_by);
            let peer = presented.and_then(|f| config.peers.iter().position(|p| p.fingerprint == f));
            Some(peer.filter(|p| *p != config.me).ok_or(GreetError::Stranger)?)
        }
        None => expected,
    };
    let mut theirs = [0; HELLO];
    let exchanged = write_all(&mut channel, &stream, &ours.encode());
    exchanged
        .and_then(|()| read_exact(&mut channel, &stream, &mut theirs, until))
        .map_err(|e| known(authenticated, &e))?;
    let theirs = Hello::decode(&theirs);
    let peer = authenticated.unwrap_or(theirs.party as usize);
    if peer >= config.peers.len() || peer == config.me {
        return Err(GreetError::Stranger);
    }
    ours.check(peer, &theirs).map_err(GreetError::Known)?;
    Ok((peer, (stream, channel, theirs.nonce)))
}

fn before(until: Instant) -> std::io::Result<()> {
    if Instant::now() > until { Err(ErrorKind::TimedOut.into()) } else { Ok(()) }
}

/// Blocking write of a few bytes.
pub(super) fn write_all(channel: &mut Channel, stream: &TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    channel.seal(bytes)?;
    match channel.flush(stream)? {
        true => Ok(()),
        false => Err(ErrorKind::TimedOut.into()),
    }
}

/// Blocking read of a few bytes.
pub(super) fn read_exact(
    channel: &mut Channel,
    stream: &TcpStream,
    into: &mut [u8],
    until: Instant,
) -> std::io::Result<()> {
    let mut filled = 0;
    while filled < into.len() {
        before(until)?;
        match channel.read(stream, &mut into[filled..], || ())? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => filled += n,
        }
    }
    Ok(())
}

fn tls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|e| e.downcast_ref())
}

fn handshake_error(peer: usize, error: &std::io::Error, waited: Duration) -> NetError {
    match tls_error(error) {
        Some(tls) => certificate(peer, tls),
        None if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            NetError::Timeout { peer, waited }
        }
        None => NetError::Closed { peer },
    }
}

/// All parties end with the same session identifier, or none does.
fn agree(
    config: &TlsConfig,
    mut raw: Vec<Option<Raw>>,
    hello: &Hello,
) -> Result<(Vec<Option<Connection>>, [u8; 32]), NetError> {
    let mut hasher = blake3::Hasher::new_derive_key("privity session identifier v1");
    hasher.update(&config.job);
    for (peer, connection) in raw.iter().enumerate() {
        let nonce = connection.as_ref().map_or(hello.nonce, |c| c.2);
        hasher.update(&nonce).update(config.peers[peer].fingerprint.as_bytes());
    }
    let session = *hasher.finalize().as_bytes();
    let patience = GREETING.min(config.limits.connect);
    for (peer, slot) in raw.iter_mut().enumerate() {
        if let Some((stream, channel, _)) = slot {
            stream.set_write_timeout(Some(patience)).map_err(io("configuring a socket"))?;
            write_all(channel, stream, &session).map_err(|e| handshake_error(peer, &e, patience))?;
            stream.set_read_timeout(Some(LOOK)).map_err(io("configuring a socket"))?;
        }
    }
    let tag = u64::from_le_bytes(session[..8].try_into().expect("eight bytes"));
    let (mut connections, until): (Vec<Option<Connection>>, _) =
        (Vec::with_capacity(raw.len()), Instant::now() + patience);
    let mut raw = raw.into_iter().enumerate();
    let trouble = loop {
        let Some((peer, slot)) = raw.next() else { return Ok((connections, session)) };
        let Some((stream, mut channel, _)) = slot else {
            connections.push(None);
            continue;
        };
        let heard = hear_session(&mut channel, &stream, until, || {
            // Those that have heard all count who is silent as frozen.
            connections.iter_mut().flatten().for_each(|c| drop(c.look_after(patience, false)));
        });
        match heard {
            Ok(theirs) if theirs == session => connections.push(Some(Connection::new(peer, tag, stream, channel)?)),
            Ok(theirs) => {
                let hex = |s: &[u8]| s[..8].iter().map(|b| format!("{b:02x}")).collect();
                let (ours, theirs) = (hex(&session), hex(&theirs));
                break NetError::Mismatch { peer, field: "the session identifier", ours, theirs };
            }
            Err(e) => break handshake_error(peer, &e, patience),
        }
    };
    // Who has begun learns about whom this is, and does not take this party for the one that is gone.
    let cause = AbortCause { about: trouble.about().unwrap_or(config.me), reason: trouble.to_string() };
    let rest = raw
        .filter_map(|(peer, slot)| slot.map(|(stream, channel, _)| Connection::new(peer, tag, stream, channel).ok()));
    connections.into_iter().chain(rest).flatten().for_each(|mut c| drop(c.say_abort(&cause)));
    Err(trouble)
}

/// A peer's identifier of the session; what is to be done meanwhile is done a few times a second.
fn hear_session(
    channel: &mut Channel,
    stream: &TcpStream,
    until: Instant,
    mut meanwhile: impl FnMut(),
) -> std::io::Result<[u8; 32]> {
    let (mut theirs, mut filled) = ([0; 32], 0);
    while filled < theirs.len() {
        before(until)?;
        match channel.read(stream, &mut theirs[filled..], || ()) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => filled += n,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => meanwhile(),
            Err(e) => return Err(e),
        }
    }
    Ok(theirs)
}

/// Of each peer what to dial it with, and what to answer all with.
pub(super) struct Configs {
    pub clients: Vec<Option<Arc<ClientConfig>>>,
    pub server: Arc<ServerConfig>,
    /// Of roots that are pinned, what was wrong with leaves of theirs that knocked.
    pub refused: Arc<Mutex<BTreeMap<String, Untrusted>>>,
}

pub(super) fn tls_configs(config: &TlsConfig) -> Result<Configs, NetError> {
    let refused = |e: rustls::Error| NetError::Io { operation: "preparing TLS", problem: e.to_string() };
    let (provider, shown) = (provider(), config.identity.resolver()?);
    let refused_leaves = Arc::default();
    let pins = |accepted: Vec<String>| {
        let (provider, revocations) = (provider.clone(), config.host.revocations.clone());
        Arc::new(Pins {
            accepted: Accepted::These(accepted),
            provider,
            revocations,
            refused: Arc::clone(&refused_leaves),
        })
    };
    let others = config.peers.iter().enumerate().filter(|(i, _)| *i != config.me);
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)?
        .with_client_cert_verifier(pins(others.map(|(_, p)| p.fingerprint.clone()).collect()))
        .with_cert_resolver(shown.clone());
    server.alpn_protocols = vec![ENGINE.to_vec()];
    // No resumption: every session is a fresh key exchange.
    server.send_tls13_tickets = 0;
    let client = |(i, peer): (usize, &super::Peer)| -> Result<Option<Arc<ClientConfig>>, NetError> {
        if i == config.me {
            return Ok(None);
        }
        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(refused)?
            .dangerous()
            .with_custom_certificate_verifier(pins(vec![peer.fingerprint.clone()]))
            .with_client_cert_resolver(shown.clone());
        client.alpn_protocols = vec![ENGINE.to_vec()];
        client.resumption = rustls::client::Resumption::disabled();
        Ok(Some(Arc::new(client)))
    };
    let clients = config.peers.iter().enumerate().map(client).collect::<Result<Vec<_>, _>>()?;
    Ok(Configs { clients, server: Arc::new(server), refused: refused_leaves })
}

pub(super) fn listen(address: &str) -> Result<TcpListener, NetError> {
    TcpListener::bind(address).map_err(|e| NetError::Io { operation: "listening", problem: format!("{address}: {e}") })
}

impl Configs {
    /// What to dial a peer with. Its name says which session it is for; who it is shows in its certificate.
    pub(super) fn dial(&self, config: &TlsConfig, peer: usize) -> Result<Security, rustls::Error> {
        if config.unprotected {
            return Ok(Security::None);
        }
        let name = ServerName::try_from(name_of(&config.job, peer)).expect("hexadecimal and two labels");
        let client = self.clients[peer].clone().expect("another party");
        UnbufferedClientConnection::new(client, name).map(Security::Client)
    }

    /// What to answer whoever comes with.
    fn answer(&self, config: &TlsConfig) -> Result<Security, NetError> {
        if config.unprotected {
            return Ok(Security::None);
        }
        let tls = UnbufferedServerConnection::new(self.server.clone());
        tls.map(Security::Server)
            .map_err(|e| NetError::Io { operation: "answering a connection", problem: e.to_string() })
    }

    /// A party that was to come did not, or what it came with does not count.
    fn missing(&self, config: &TlsConfig, peer: usize) -> NetError {
        match super::lock(&self.refused).get(&config.peers[peer].fingerprint) {
            Some(problem) => NetError::Untrusted { peer, problem: *problem },
            None => unreachable(config, peer),
        }
    }
}

fn unreachable(config: &TlsConfig, peer: usize) -> NetError {
    NetError::Unreachable { peer, address: config.peers[peer].address.clone(), waited: config.limits.connect }
}

/// Dials until the peer is up or the time is over; through which of its relays, beginning with the first given.
fn dial(config: &TlsConfig, peer: usize, (deadline, first): (Instant, usize)) -> Result<(TcpStream, usize), NetError> {
    loop {
        config.host.cancel.check()?;
        if let Some(dialled) = dial_once(config, peer, (Duration::from_secs(2), first)) {
            return Ok(dialled);
        }
        if Instant::now() > deadline {
            return Err(unreachable(config, peer));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One attempt at each of a peer's addresses, or of its relays'.
pub(super) fn dial_once(
    config: &TlsConfig,
    peer: usize,
    (patience, first): (Duration, usize),
) -> Option<(TcpStream, usize)> {
    let own = config.host.switch.as_ref().and_then(Switch::address);
    let own = own.map(|listens| (config.peers[config.me].address.as_str(), listens));
    relay::dial(&config.peers[peer], own, (patience, first))
}

fn prepare(stream: TcpStream, patience: Duration) -> Result<TcpStream, NetError> {
    let failed = io("configuring a socket");
    stream.set_nodelay(true).map_err(&failed)?;
    stream.set_read_timeout(Some(patience)).map_err(&failed)?;
    stream.set_write_timeout(Some(patience)).map_err(&failed)?;
    // Larger buffers are a wish: the system may cap them.
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, SOCKET_BUFFER);
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&stream, SOCKET_BUFFER);
    Ok(stream)
}

/// What each party says first.
#[derive(Clone, Copy)]
pub(super) struct Hello {
    party: usize,
    n: usize,
    job: [u8; 32],
    nonce: [u8; 32],
}

/// A hello as received: nothing in it is trusted yet.
struct Theirs {
    version: u32,
    party: u32,
    n: u32,
    job: [u8; 32],
    nonce: [u8; 32],
}

impl Hello {
    pub(super) fn new(config: &TlsConfig) -> Result<Hello, NetError> {
        let nonce =
            fresh_secret().map_err(|e| NetError::Io { operation: "drawing randomness", problem: e.to_string() })?;
        Ok(Hello { party: config.me, n: config.peers.len(), job: config.job, nonce: *nonce.expose() })
    }

    fn encode(&self) -> [u8; HELLO] {
        let mut out = [0; HELLO];
        out[..4].copy_from_slice(&VERSION.to_le_bytes());
        out[4..8].copy_from_slice(&(self.party as u32).to_le_bytes());
        out[8..12].copy_from_slice(&(self.n as u32).to_le_bytes());
        out[12..44].copy_from_slice(&self.job);
        out[44..].copy_from_slice(&self.nonce);
        out
    }

    fn decode(bytes: &[u8; HELLO]) -> Theirs {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let digest = |at: usize| -> [u8; 32] { bytes[at..at + 32].try_into().expect("32 bytes") };
        Theirs { version: word(0), party: word(4), n: word(8), job: digest(12), nonce: digest(44) }
    }

    fn check(&self, peer: usize, theirs: &Theirs) -> Result<(), NetError> {
        let hex = |d: &[u8]| -> String { d.iter().map(|b| format!("{b:02x}")).collect() };
        let fields = [
            ("the protocol version", VERSION.to_string(), theirs.version.to_string()),
            ("its own number", peer.to_string(), theirs.party.to_string()),
            ("the number of parties", self.n.to_string(), theirs.n.to_string()),
            ("the job digest", hex(&self.job), hex(&theirs.job)),
        ];
        match fields.into_iter().find(|(_, ours, theirs)| ours != theirs) {
            None => Ok(()),
            Some((field, ours, theirs)) => Err(NetError::Mismatch { peer, field, ours, theirs }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_or_session_is_named() {
        let ours = Hello { party: 0, n: 3, job: [1; 32], nonce: [2; 32] };
        let from = |change: &dyn Fn(&mut [u8; HELLO])| {
            let mut bytes = Hello { party: 1, n: 3, job: [1; 32], nonce: [3; 32] }.encode();
            change(&mut bytes);
            ours.check(1, &Hello::decode(&bytes))
        };
        let field = |result: Result<(), NetError>| match result {
            Err(NetError::Mismatch { peer: 1, field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert!(from(&|_| ()).is_ok());
        assert_eq!(field(from(&|b| b[0] ^= 2)), "the protocol version");
        assert_eq!(field(from(&|b| b[4] = 2)), "its own number");
        assert_eq!(field(from(&|b| b[8] = 2)), "the number of parties");
        assert_eq!(field(from(&|b| b[12] = 9)), "the job digest");
    }
}
