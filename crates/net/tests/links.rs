//! Links under honest and faulty use: what each fault looks like to the party that meets it.

use privity_net::identity::Identity;
use privity_net::sim::{self, SimConfig};
use privity_net::tls::{Host, Limits, Peer, Presence, TlsConfig, TlsLink, council, loopback_listener};
use privity_net::{AbortCause, Link, NetError, Tag};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

fn tag(step: u64) -> Tag {
    Tag { epoch: 0, step, tile: 0 }
}

/// Configurations of `n` parties on free loopback ports; short limits.
fn session(n: usize) -> Vec<TlsConfig> {
    let identities: Vec<Identity> = (0..n).map(|i| Identity::generate(&format!("party-{i}")).unwrap()).collect();
    let listeners: Vec<_> = (0..n).map(|_| loopback_listener().unwrap()).collect();
    let peer = |(listener, identity): (&std::net::TcpListener, &Identity)| Peer {
        address: listener.local_addr().unwrap().to_string(),
        fingerprint: identity.fingerprint(),
    };
    let peers: Vec<Peer> = listeners.iter().zip(&identities).map(peer).collect();
    let limits = Limits {
        connect: Duration::from_secs(5),
        silence: Duration::from_secs(3),
        message: Duration::from_secs(8),
        ..Limits::default()
    };
    let config = |(me, identity): (usize, Identity)| TlsConfig {
        me,
        peers: peers.clone(),
        identity: identity.into(),
        job: [7; 32],
        limits,
        unprotected: false,
        host: Host::default(),
    };
    identities.into_iter().enumerate().map(config).collect()
}

/// Runs each party's program in a thread of its own.
fn run<T: Send>(configs: Vec<TlsConfig>, f: impl Fn(TlsLink) -> T + Sync) -> Vec<Result<T, NetError>> {
    let f = &f;
    std::thread::scope(|s| {
        let spawn = |config| s.spawn(move || TlsLink::connect(config).map(f));
        let parties: Vec<_> = configs.into_iter().map(spawn).collect();
        parties.into_iter().map(|p| p.join().unwrap()).collect()
    })
}

/// Everybody sends to everybody, then receives; payloads of `len` bytes.
fn exchange(link: &mut dyn Link, step: u64, len: usize) -> Result<(), NetError> {
    let (me, n) = (link.me(), link.n());
    let peers = || (0..n).filter(move |p| *p != me);
    for to in peers() {
        link.send(to, tag(step), me as u32, &vec![me as u8; len])?;
    }
    for from in peers() {
        let mut got = vec![0; len];
        assert_eq!(link.recv(from, tag(step), &mut got)?, from as u32);
        assert!(got.iter().all(|b| *b == from as u8));
    }
    Ok(())
}

#[test]
fn payloads_of_all_sizes_arrive_over_tls() {
    let outcomes = run(session(3), |mut link| {
        let session = link.session();
        for (step, len) in [0, 1, 63, 4096, 70_000, 5 << 20, 16 << 20].into_iter().enumerate() {
            exchange(&mut link, step as u64, len).unwrap();
        }
        assert_eq!(link.stats()[(link.me() + 1) % 3].frames_sent, 7);
        link.close().unwrap();
        session
    });
    let sessions: Vec<[u8; 32]> = outcomes.into_iter().map(Result::unwrap).collect();
    assert!(sessions.iter().all(|s| *s == sessions[0]), "one session identifier for all");
}

#[test]
fn unprotected_links_carry_the_same_frames() {
    let mut configs = session(3);
    configs.iter_mut().for_each(|c| c.unprotected = true);
    let outcomes = run(configs, |mut link| {
        for (step, len) in [0, 8, 5000, 3 << 20].into_iter().enumerate() {
            exchange(&mut link, step as u64, len).unwrap();
        }
        link.close().unwrap();
    });
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let mut mixed = session(2);
    mixed[0].unprotected = true;
    mixed.iter_mut().for_each(|c| c.limits.connect = Duration::from_secs(2));
    assert!(run(mixed, drop).iter().all(Result::is_err), "a protected party talks to no unprotected one");
}

#[test]
fn out_of_step_replayed_and_mislength_frames_are_named() {
    let outcomes = run(session(2), |mut link| {
        if link.me() == 0 {
            link.send(1, tag(5), 0, &[1; 8]).unwrap();
            let mut got = [0; 8];
            return link.recv(1, tag(9), &mut got).unwrap_err();
        }
        let error = link.recv(0, tag(4), &mut [0; 8]).unwrap_err();
        drop(link);
        error
    });
    let errors: Vec<NetError> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(errors[1], NetError::Desync { peer: 0, want: tag(4), got: tag(5) });
    assert!(matches!(&errors[0], NetError::Reported { by: 1, about: 0, .. }), "{:?}", errors[0]);
    let lengths = run(session(2), |mut link| match link.me() {
        0 => link.send(1, tag(1), 0, &[1; 8]).map(|()| 0).and_then(|_| link.recv(1, tag(1), &mut [0; 4])),
        _ => link.recv(0, tag(1), &mut [0; 16]),
    });
    assert_eq!(lengths[1], Ok(Err(NetError::Length { peer: 0, want: 16, got: 8 })));
}

#[test]
fn a_dead_party_is_named_by_the_others() {
    let started = Instant::now();
    let outcomes = run(session(3), |mut link| {
        if link.me() == 1 {
            return None;
        }
        let from = if link.me() == 0 { 1 } else { 0 };
        link.recv(from, tag(1), &mut [0; 8]).err()
    });
    for (me, outcome) in outcomes.into_iter().enumerate().filter(|(me, _)| *me != 1) {
        let error = outcome.unwrap().expect("nobody sends anything");
        assert_eq!(error.about(), Some(1), "party {me} saw {error:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(10));
}

/// Passes bytes on between whoever dials it and `target` until `cut`; from then on it holds the connections and is silent.
fn proxy(target: String, cut: Arc<AtomicBool>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (near, _) = listener.accept().unwrap();
        let far = loop {
            match std::net::TcpStream::connect(&target) {
                Ok(far) => break far,
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        let pass = |mut from: std::net::TcpStream, mut to: std::net::TcpStream, cut: Arc<AtomicBool>| {
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = from.read(&mut buffer) {
                    if cut.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_secs(12));
                        return;
                    }
                    if to.write_all(&buffer[..n]).is_err() {
                        return;
                    }
                }
            })
        };
        pass(near.try_clone().unwrap(), far.try_clone().unwrap(), cut.clone());
        pass(far, near, cut);
    });
    address
}

#[test]
fn a_party_that_is_cut_off_is_named_by_the_others() {
    let cut = Arc::new(AtomicBool::new(false));
    let mut configs = session(3);
    for peer in 0..2 {
        configs[2].peers[peer].address = proxy(configs[2].peers[peer].address.clone(), cut.clone());
    }
    let connected = Barrier::new(3);
    let outcomes = run(configs, |mut link| {
        exchange(&mut link, 0, 100).unwrap();
        connected.wait();
        cut.store(true, Ordering::Relaxed);
        let started = Instant::now();
        let error = (1..).find_map(|step| exchange(&mut link, step, 100).err()).unwrap();
        (error, started.elapsed())
    });
    for (me, outcome) in outcomes.into_iter().enumerate() {
        let (error, took) = outcome.unwrap();
        assert!(took < Duration::from_secs(10), "party {me} took {took:?}");
        match me {
            2 => assert!(error.about().is_some_and(|lost| lost < 2), "{error:?}"),
            _ => assert_eq!(error.about(), Some(2), "party {me} saw {error:?}"),
        }
    }
}

#[test]
fn strangers_other_jobs_and_absent_parties_are_refused() {
    let mut other_job = session(2);
    other_job[1].job = [8; 32];
    let outcomes = run(other_job, drop);
    assert!(
        outcomes.iter().any(|o| matches!(o, Err(NetError::Mismatch { field: "the job digest", .. }))),
        "{outcomes:?}"
    );

    let mut stranger = session(2);
    stranger[1].identity = Identity::generate("party-1").unwrap().into();
    stranger[0].limits.connect = Duration::from_secs(2);
    let outcomes = run(stranger, drop);
    assert!(matches!(&outcomes[0], Err(NetError::Unreachable { peer: 1, .. })), "{:?}", outcomes[0]);
    assert!(matches!(&outcomes[1], Err(NetError::Certificate { peer: 0, .. })), "{:?}", outcomes[1]);

    let mut alone = session(2);
    alone.truncate(1);
    alone[0].limits.connect = Duration::from_millis(300);
    let outcomes = run(alone, drop);
    assert!(matches!(&outcomes[0], Err(NetError::Unreachable { peer: 1, .. })), "{:?}", outcomes[0]);
}

#[test]
fn garbage_on_the_port_does_not_keep_the_party_out() {
    let configs = session(2);
    let address = configs[0].peers[0].address.clone();
    let noise = std::thread::spawn(move || {
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            if let Ok(mut stream) = std::net::TcpStream::connect(&address) {
                return stream.write_all(&[0xA5; 512]).is_ok();
            }
        }
        false
    });
    let outcomes = run(configs, |mut link| {
        exchange(&mut link, 1, 100).unwrap();
        link.close().unwrap();
    });
    assert!(noise.join().unwrap(), "the noise reached the port");
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[test]
fn a_slow_reader_holds_the_sender_back() {
    let mut configs = session(2);
    configs.iter_mut().for_each(|c| c.limits.queue = 1 << 20);
    let outcomes = run(configs, |mut link| {
        if link.me() == 0 {
            for step in 0..64 {
                link.send(1, tag(step), 0, &vec![1; 1 << 20]).unwrap();
            }
        } else {
            std::thread::sleep(Duration::from_secs(4));
            let mut got = vec![0; 1 << 20];
            for step in 0..64 {
                link.recv(0, tag(step), &mut got).unwrap();
            }
        }
        link.close().unwrap();
    });
    assert!(outcomes.iter().all(Result::is_ok), "longer silence than the limit, yet alive: {outcomes:?}");
}

#[test]
fn simulated_links_delay_and_are_tampered_with() {
    let config = SimConfig { latency: Duration::from_millis(30), bits_per_second: Some(8e6), ..SimConfig::default() };
    let mut links = sim::mesh(2, config);
    let started = Instant::now();
    links[0].send(1, tag(1), 0, &[0; 20_000]).unwrap();
    links[1].recv(0, tag(1), &mut [0; 20_000]).unwrap();
    let waited = started.elapsed();
    assert!(waited >= Duration::from_millis(50) && waited < Duration::from_millis(200), "{waited:?}");

    let duplicate = SimConfig { tamper: Some(Arc::new(|f: sim::Frame| vec![f.clone(), f])), ..SimConfig::default() };
    let mut links = sim::mesh(2, duplicate);
    links[0].send(1, tag(1), 0, &[1]).unwrap();
    links[1].recv(0, tag(1), &mut [0]).unwrap();
    let replayed = links[1].recv(0, tag(2), &mut [0]);
    assert_eq!(replayed, Err(NetError::Replay { peer: 0, want: tag(2), got: tag(1) }));
}

#[test]
fn an_abort_reaches_everybody() {
    let mut links = sim::mesh(3, SimConfig::default());
    links[0].abort(&AbortCause { about: 2, reason: "it stopped".into() });
    for link in &mut links[1..] {
        let error = link.recv(0, tag(1), &mut [0; 8]).unwrap_err();
        assert_eq!(error, NetError::Reported { by: 0, about: 2, reason: "it stopped".into() });
    }
}

/// Each party's council, where `comes` says so; what came of each peer.
fn councils(comes: [bool; 4], window: Duration) -> Vec<Option<Vec<Presence>>> {
    let configs = session(4);
    std::thread::scope(|s| {
        let hold = |(config, comes): (TlsConfig, bool)| {
            comes.then(|| {
                let say = |_: &Identity, absent: &[usize]| Ok(absent.iter().map(|p| *p as u8).collect());
                s.spawn(move || council(config, window, say).unwrap())
            })
        };
        let running: Vec<_> = configs.into_iter().zip(comes).map(hold).collect();
        running.into_iter().map(|party| party.map(|thread| thread.join().unwrap())).collect()
    })
}

#[test]
fn a_council_hears_whoever_came_and_of_whom_each_missed() {
    let started = Instant::now();
    for (party, heard) in councils([true; 4], Duration::from_secs(20)).into_iter().enumerate() {
        for (peer, presence) in heard.expect("it came").into_iter().enumerate() {
            let expected = if peer == party { Presence::Absent } else { Presence::Spoke(Vec::new()) };
            assert_eq!(presence, expected, "{peer} at {party}");
        }
    }
    assert!(started.elapsed() < Duration::from_secs(10), "nobody waits for the window when all have come");
    for missing in [0, 1, 3] {
        let mut comes = [true; 4];
        comes[missing] = false;
        for (party, heard) in councils(comes, Duration::from_secs(2)).into_iter().enumerate() {
            for (peer, presence) in heard.into_iter().flatten().enumerate() {
                let expected = match peer {
                    _ if peer == party || peer == missing => Presence::Absent,
                    _ => Presence::Spoke(vec![missing as u8]),
                };
                assert_eq!(presence, expected, "{peer} at {party}, {missing} missing");
            }
        }
    }
}

#[test]
fn a_party_in_another_session_is_alive_and_one_that_says_nothing_is_not_waited_for_long() {
    let mut configs = session(3);
    let last = configs.pop().unwrap();
    let mut elsewhere = TlsConfig { job: [8; 32], ..configs.remove(0) };
    elsewhere.limits.connect = Duration::from_secs(5);
    let started = Instant::now();
    let heard = std::thread::scope(|s| {
        let other = s.spawn(move || TlsLink::connect(elsewhere).err());
        // Accepts and says nothing at all.
        let mute = std::net::TcpListener::bind(&last.peers[1].address).unwrap();
        let heard = council(last, Duration::from_secs(3), |_, _| Ok(Vec::new())).unwrap();
        drop(mute);
        assert!(other.join().unwrap().is_some());
        heard
    });
    assert_eq!(heard, [Presence::Alive, Presence::Absent, Presence::Absent]);
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
}
