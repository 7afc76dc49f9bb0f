//! A meeting of whoever can be reached, after a session has failed: who answers, and one short message with each.

use super::channel::Channel;
use super::connect::{
    Door, GreetError, Greeted, Greeter, Hello, dial_once, greet, read_exact, receive, tls_configs, write_all,
};
use super::{TlsConfig, lock};
use crate::NetError;
use crate::identity::Identity;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest message.
const MAX_WORD: usize = 1 << 13;
/// How much longer than this party's own window the others may take to answer: they noticed the failure later.
const GRACE: Duration = Duration::from_secs(4);

/// What came of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// No process with its certificate answered.
    Absent,
    /// It answered, but said nothing that is to be heard here: it is in another session, or fell silent.
    Alive,
    /// It said this.
    Spoke(Vec<u8>),
}

enum Met {
    Here(Box<(TcpStream, Channel)>),
    Elsewhere,
}

/// Meets whoever of the peers comes within `window`, and trades one message of at most 8 KiB with each. `say` makes this party's
/// from its identity and the peers that did not come. Ends early if all came. Returns what came of each peer; of this party `Absent`.
///
/// # Errors
/// This party's own machine: its address cannot be listened on, or its keys are unusable. Nothing that peers do.
pub fn council(
    mut config: TlsConfig,
    window: Duration,
    say: impl FnOnce(&Identity, &[usize]) -> Result<Vec<u8>, NetError>,
) -> Result<Vec<Presence>, NetError> {
    let (me, n) = (config.me, config.peers.len());
    // Whoever accepts a connection and says nothing is not waited for beyond this.
    config.limits.connect = window.min(Duration::from_secs(2));
    let (hello, configs, door) = (Hello::new(&config)?, tls_configs(&config)?, Door::open(&config)?);
    let ours = Arc::new((config, configs, hello));
    let config = &ours.0;
    let mut met = gather(&ours, door.as_ref(), window)?;
    let absent: Vec<usize> = (0..n).filter(|peer| *peer != me && met[*peer].is_none()).collect();
    let word = say(&config.identity, &absent)?;
    if word.len() > MAX_WORD {
        let problem = format!("{} bytes; at most {MAX_WORD} are said", word.len());
        return Err(NetError::Io { operation: "speaking to the others", problem });
    }
    for slot in met.iter_mut().flatten() {
        if let Met::Here(connection) = slot {
            let (stream, channel) = &mut **connection;
            // Whoever cannot be told any more will not be heard, either.
            let _ = write_all(channel, stream, &(word.len() as u32).to_le_bytes());
            let _ = write_all(channel, stream, &word);
        }
    }
    let until = Instant::now() + window + GRACE;
    let presence = met.into_iter().map(|slot| match slot {
        None => Presence::Absent,
        Some(Met::Elsewhere) => Presence::Alive,
        Some(Met::Here(mut connection)) => {
            hear(&connection.0, &mut connection.1, until).map_or(Presence::Alive, Presence::Spoke)
        }
    });
    Ok(presence.collect())
}

fn hear(stream: &TcpStream, channel: &mut Channel, until: Instant) -> std::io::Result<Vec<u8>> {
    let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    stream.set_read_timeout(Some(left))?;
    let mut length = [0; 4];
    read_exact(channel, stream, &mut length, until)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_WORD {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut word = vec![0; length];
    read_exact(channel, stream, &mut word, until)?;
    Ok(word)
}

/// Dials and accepts in turns until all are here or the window is over.
fn gather(ours: &Greeter, door: Option<&Door>, window: Duration) -> Result<Vec<Option<Met>>, NetError> {
    let (config, configs, hello) = &**ours;
    let (me, n) = (config.me, config.peers.len());
    let deadline = Instant::now() + window;
    let met: Mutex<Vec<Option<Met>>> = Mutex::new((0..n).map(|_| None).collect());
    let over = || Instant::now() > deadline || config.host.cancel.reason().is_some();
    let missing = |peer: usize| peer != me && lock(&met)[peer].is_none();
    let accepted: Result<(), NetError> = std::thread::scope(|scope| {
        // Whoever answers and says nothing holds up nobody else.
        for peer in 0..me {
            let met = &met;
            scope.spawn(move || {
                let mut first = config.host.routes.first(&config.peers[peer].fingerprint);
                while missing(peer) && !over() {
                    let dialled = dial_once(config, peer, (Duration::from_millis(500), first));
                    if let Some((stream, used)) = dialled {
                        first = 1 - used.min(1);
                        let Ok(security) = configs.dial(config, peer) else { return };
                        let security = (security, Some(peer));
                        note(met, greet(stream, security, config.limits.connect, config, hello));
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
        }
        let enough = || !(0..n).any(missing) || over();
        let Some(door) = door else {
            while !enough() {
                std::thread::sleep(Duration::from_millis(10));
            }
            return Ok(());
        };
        let mut newest = vec![0; n];
        receive(door, ours, |came| {
            if let Some((number, greeted)) = came {
                // Whoever dials again gave the connection before up.
                let peer = greeted.as_ref().map_or(me, |(peer, _)| *peer);
                if peer == me || number > newest[peer] {
                    newest[peer] = number;
                    note(&met, greeted);
                }
            }
            Ok(enough())
        })
    });
    accepted?;
    config.host.cancel.check()?;
    Ok(met.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// A peer that proved its certificate is there, whatever it came for.
fn note(met: &Mutex<Vec<Option<Met>>>, greeted: Result<Greeted, GreetError>) {
    let mut met = lock(met);
    match greeted {
        Ok((peer, (stream, channel, _))) => met[peer] = Some(Met::Here(Box::new((stream, channel)))),
        Err(GreetError::Known(NetError::Mismatch { peer, .. })) => {
            met[peer].get_or_insert(Met::Elsewhere);
        }
        Err(_) => {}
    }
}
