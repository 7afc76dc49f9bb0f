//! Certificates that become void, whoever stole what they belong to; and what strangers may ask.

use super::{Liar, Site};
use privity_api::{Revocation, Statement};
use privity_net::control;
use privity_net::identity::Identity;
use privity_node::now;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Liar {
    fn revocation(&self, before: i64) -> Statement<Revocation> {
        let (organisation, reason) = (self.name.to_owned(), "lost".to_owned());
        self.sign(Revocation { organisation, before, reason, at: now() })
    }
}

#[test]
fn certificates_are_void_as_their_own_organisation_says_whoever_shows_it() {
    let site = Site::new();
    let mallory = Liar::new(&site.folder.path().join("more"), "mallory");
    let size = || site.tool("GET", "status", None).1["log"].as_u64().expect("a number");
    let names = |organisation: &str, before| Revocation {
        organisation: organisation.into(),
        before,
        reason: "lost".into(),
        at: now(),
    };
    let before = size();
    site.refuses(&site.c, "revocation", &site.c.sign(names("bank-a", now())), "E1007");
    let mut altered = site.c.revocation(now() - 86_400);
    altered.body.before += 1;
    site.refuses(&site.c, "revocation", &altered, "E3002");
    site.refuses(&site.c, "revocation", &site.c.revocation(now() + 86_400), "E2108");
    // A stranger's own is nobody's here, and under a member's name no other than under a name that nobody has.
    for name in ["mallory", "bank-c", "bank-x"] {
        site.refuses(&mallory, "revocation", &mallory.sign(names(name, now())), "E2103");
    }
    site.refuses(&mallory, "revocation", &"x".repeat(17 << 10), "E1007");
    assert_eq!(size(), before);
    let old = site.c.revocation(now() - 86_400);
    site.takes(&site.c, "revocation", &old);
    assert_eq!(size(), before + 1);
    for who in [&site.c, &site.a, &mallory] {
        site.takes(who, "revocation", &old);
    }
    assert_eq!(size(), before + 1, "said again, it is no news");
    // What another member or a stranger shows counts as if the organisation itself had come.
    site.takes(&site.c, "revocation", &site.a.revocation(now() - 30));
    let called = site.calls(&site.a, "ping", &json!({}));
    assert!(called.is_err(), "a certificate from before the revocation was accepted: {called:?}");
    assert_eq!(site.calls_by(&site.a.leaf(now()), "ping", &json!({})).expect("an answer").0, 200);
    site.takes(&mallory, "revocation", &site.c.revocation(now() - 30));
    assert!(site.calls(&site.c, "ping", &json!({})).is_err());
    // Only who has the root can make news, and not for ever.
    let (status, text) = (0..5)
        .map(|i| site.says(&mallory, "revocation", &site.c.revocation(now() - 20 + i)))
        .find(|(status, _)| *status != 200)
        .expect("a limit");
    assert!(status == 429 && text.starts_with("E1010"), "{status} {text}");
}

/// A connection that has said half a request.
fn holds(site: &Site, identity: &Identity) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let tls = control::client(identity, Some(&site.own.root), &Arc::default()).expect("TLS");
    let name = rustls::pki_types::ServerName::try_from("privity").expect("a name");
    let tls = rustls::ClientConnection::new(Arc::new(tls), name).expect("a client");
    let stream = TcpStream::connect(&site.config.address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    let mut tls = rustls::StreamOwned::new(tls, stream);
    // Whether it has a seat shows later.
    let _ = tls
        .write_all(b"POST /peer/v1/ping HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n")
        .and_then(|()| tls.flush());
    tls
}

#[test]
fn whoever_stole_a_node_key_keeps_no_revocation_from_being_heard() {
    let site = Site::new();
    let (stolen, older) = (site.c.leaf(now() - 60), site.c.leaf(now() - 120));
    // What the owner has not signed counts against nobody, however often it comes.
    let mut junk = site.c.revocation(now());
    junk.signature[8] ^= 1;
    for _ in 0..40 {
        let (status, text) = site.calls_by(&stolen, "revocation", &junk).expect("an answer");
        assert!(status == 422 && text.starts_with("E3002"), "{status} {text}");
    }
    // All places of its root are taken, and more than that.
    let mut held: Vec<_> = (0..32).map(|_| holds(&site, &older)).collect();
    held.extend((0..8).map(|_| holds(&site, &stolen)));
    let started = Instant::now();
    while site.calls_by(&stolen, "ping", &json!({})).is_ok() {
        assert!(started.elapsed() < Duration::from_secs(10), "there are places left");
    }
    // The owner has a newer certificate: it comes through.
    let fresh = site.c.leaf(now());
    let shown = site.calls_by(&fresh, "revocation", &site.c.revocation(now() - 30)).expect("an answer");
    assert_eq!(shown, (200, "{}".into()));
    assert_eq!(site.calls_by(&fresh, "ping", &json!({})).expect("an answer").0, 200);
    // Connections from before get no further.
    let mut answer = String::new();
    let first = &mut held[0];
    let said = first.write_all(b"{}").and_then(|()| first.flush()).and_then(|()| {
        let mut piece = [0; 4096];
        let n = first.read(&mut piece)?;
        answer = String::from_utf8_lossy(&piece[..n]).into_owned();
        Ok(())
    });
    assert!(said.is_ok() && answer.starts_with("HTTP/1.1 401") && answer.contains("E1008"), "{said:?} {answer}");
    drop(held);
    assert!(site.calls_by(&stolen, "ping", &json!({})).is_err());
    assert_eq!(site.calls_by(&fresh, "ping", &json!({})).expect("an answer").0, 200);
}

#[test]
fn strangers_look_up_only_so_many_invitations() {
    let site = Site::new();
    let mallory = Liar::new(&site.folder.path().join("more"), "mallory");
    let reveal = json!({ "id": "0011", "nonce": "00" });
    let answers: Vec<u16> = std::thread::scope(|s| {
        let ask = || (0..50).map(|_| site.says(&mallory, "reveal", &reveal).0).collect::<Vec<_>>();
        let asking: Vec<_> = (0..8).map(|_| s.spawn(ask)).collect();
        asking.into_iter().flat_map(|asked| asked.join().expect("answers")).collect()
    });
    let of = |status| answers.iter().filter(|answer| **answer == status).count();
    assert!(of(409) >= 30 && of(429) > 0 && of(409) + of(429) == answers.len(), "{answers:?}");
    // Each in a connection of its own.
    let mut tls = holds(&site, &mallory.leaf(now()));
    tls.write_all(b"{}").and_then(|()| tls.flush()).expect("it is heard");
    let mut answer = String::new();
    tls.read_to_string(&mut answer).expect("an answer, and an end");
    assert!(answer.contains("E2103") && answer.contains("connection: close"), "{answer}");
}
