//! Identities that a root issued: who connects, who never does, and what each side learns.

use privity_net::identity::{self, Identity, NODE, Revocations, SKEW, Untrusted};
use privity_net::tls::{Cancel, Host, Limits, Peer, TlsConfig, TlsLink, loopback_listener};
use privity_net::{Link, NetError, Tag, control};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const DAY: i64 = 24 * 3600;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

struct Root {
    pem: String,
    key: KeyPair,
}

impl Root {
    fn new(name: &str) -> Root {
        let key = KeyPair::generate().unwrap();
        Root { pem: identity::root(name, &key).unwrap(), key }
    }
    fn issue(&self, from: i64, until: i64) -> Identity {
        identity::issue(&self.pem, &self.key, "node-1.example", from, until).unwrap()
    }
    fn fingerprint(&self) -> String {
        Identity::from_pem(self.pem.clone(), self.key.serialize_pem()).unwrap().fingerprint()
    }
    /// A leaf that the root signed although it is not as it should be.
    fn odd(&self, change: impl Fn(&mut CertificateParams)) -> Identity {
        let issuer = Issuer::from_ca_cert_pem(&self.pem, &self.key).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = params(change).signed_by(&key, &issuer).unwrap();
        Identity::from_pem(leaf.pem() + &self.pem, key.serialize_pem()).unwrap()
    }
}

/// What a leaf should be, and then a change.
fn params(change: impl Fn(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::new(vec![NODE.to_owned()]).unwrap();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    params
}

/// Two parties, pinned as given.
fn pair(identities: [Identity; 2], pinned: [String; 2], revocations: &Arc<Revocations>) -> Vec<TlsConfig> {
    let address = || loopback_listener().unwrap().local_addr().unwrap().to_string();
    let peers: Vec<Peer> = pinned.into_iter().map(|fingerprint| Peer { address: address(), fingerprint }).collect();
    let limits = Limits { connect: Duration::from_secs(2), silence: Duration::from_secs(3), ..Limits::default() };
    let config = |(me, identity): (usize, Identity)| TlsConfig {
        me,
        peers: peers.clone(),
        identity: identity.into(),
        job: [7; 32],
        limits,
        unprotected: false,
        host: Host { revocations: revocations.clone(), ..Host::default() },
    };
    identities.into_iter().enumerate().map(config).collect()
}

fn connect(configs: Vec<TlsConfig>) -> Vec<Result<TlsLink, NetError>> {
    std::thread::scope(|s| {
        let parties: Vec<_> = configs.into_iter().map(|config| s.spawn(|| TlsLink::connect(config))).collect();
        parties.into_iter().map(|party| party.join().unwrap()).collect()
    })
}

#[test]
fn leaves_rotate_under_the_pinned_root_and_meet_self_signed_parties() {
    let (root, none) = (Root::new("north"), Arc::default());
    let alone = || Identity::generate("south").unwrap();
    for (from, until) in [(now() - 60, now() + DAY), (now() + SKEW / 2, now() + DAY), (now() - DAY, now() - SKEW / 2)] {
        let (leaf, south) = (root.issue(from, until), alone());
        assert_eq!((leaf.fingerprint(), leaf.validity()), (root.fingerprint(), Some((from, until))));
        let pinned = [root.fingerprint(), south.fingerprint()];
        let links = connect(pair([leaf, south], pinned, &none));
        assert!(links.iter().all(Result::is_ok), "{:?}", links.iter().map(|l| l.as_ref().err()).collect::<Vec<_>>());
    }
    let other = Root::new("east");
    let pinned = [root.fingerprint(), other.fingerprint()];
    let leaves = [root.issue(now(), now() + DAY), other.issue(now(), now() + DAY)];
    assert!(connect(pair(leaves, pinned, &none)).iter().all(Result::is_ok));
}

#[test]
fn what_is_kept_stays_readable_when_leaves_rotate() {
    let (root, folder) = (Root::new("north"), tempfile::tempdir().unwrap());
    let first = root.issue(now(), now() + DAY);
    first.save(folder.path()).unwrap();
    let key = first.storage_key();
    assert_eq!(Identity::load(folder.path()).unwrap().storage_key(), key);
    let mut second = root.issue(now(), now() + 2 * DAY);
    assert_ne!(second.storage_key(), key);
    assert!(second.save(folder.path()).is_err(), "the secret that is there is not replaced");
    second.succeed(&first);
    second.save(folder.path()).unwrap();
    let loaded = Identity::load(folder.path()).unwrap();
    assert_eq!((loaded.storage_key(), loaded.certificate_pem()), (key, second.certificate_pem()));
    assert!(!format!("{loaded:?}").contains(blake3_hex(&key).as_str()));
    #[cfg(unix)]
    for name in ["key.pem", "storage.key"] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&folder.path().join(name).metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    std::fs::remove_file(folder.path().join("storage.key")).unwrap();
    assert!(Identity::load(folder.path()).is_err());
}

fn blake3_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn a_certificate_that_is_not_as_it_must_be_never_connects() {
    let (root, other, self_signed) = (Root::new("north"), Root::new("north"), Identity::generate("north").unwrap());
    let revocations = Arc::new(Revocations::default());
    let pin = root.fingerprint();
    // A leaf that issues a further one, shown with the leaf or with the root as its issuer.
    let (between, end) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let root_issuer = Issuer::from_ca_cert_pem(&root.pem, &root.key).unwrap();
    let between_pem = params(|_| ()).signed_by(&between, &root_issuer).unwrap().pem();
    let between_issuer = Issuer::from_ca_cert_pem(&between_pem, &between).unwrap();
    let further = params(|_| ()).signed_by(&end, &between_issuer).unwrap().pem();
    let under = |issuer: &str| Identity::from_pem(further.clone() + issuer, end.serialize_pem()).unwrap();
    // As a self-signed party would, if its certificate counted as a root.
    let own_key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["north".to_owned()]).unwrap().self_signed(&own_key).unwrap().pem();
    let no_root = Issuer::from_ca_cert_pem(&own, &own_key).unwrap();
    let of_no_root = params(|_| ()).signed_by(&end, &no_root).unwrap().pem();
    let own_pin = Identity::from_pem(own.clone(), own_key.serialize_pem()).unwrap().fingerprint();

    revocations.revoke(&pin, now() - 10 * DAY);
    revocations.revoke(&pin, now() - 20 * DAY);
    let cases = [
        (root.issue(now() - DAY, now() - SKEW - 60), pin.clone(), Untrusted::Expired),
        (root.issue(now() + SKEW + 60, now() + DAY), pin.clone(), Untrusted::NotYetValid),
        (root.issue(now() - 15 * DAY, now() + DAY), pin.clone(), Untrusted::Revoked),
        (other.issue(now(), now() + DAY), pin.clone(), Untrusted::OtherRoot),
        (root.odd(|p| p.subject_alt_names.clear()), pin.clone(), Untrusted::Name),
        (root.odd(|p| p.extended_key_usages.clear()), pin.clone(), Untrusted::Usage),
        (root.odd(|p| p.key_usages.push(KeyUsagePurpose::KeyCertSign)), pin.clone(), Untrusted::Usage),
        (
            root.odd(|p| p.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)),
            pin.clone(),
            Untrusted::Usage,
        ),
        (under(&between_pem), pin.clone(), Untrusted::OtherRoot),
        (under(&root.pem), pin.clone(), Untrusted::NotIssued),
        (Identity::from_pem(of_no_root + &own, end.serialize_pem()).unwrap(), own_pin, Untrusted::Usage),
    ];
    let south = Arc::new(self_signed);
    let running: Vec<_> = cases
        .into_iter()
        .map(|(bad, pinned, expected)| {
            let (south, revocations, bad) = (south.clone(), revocations.clone(), Arc::new(bad));
            std::thread::spawn(move || {
                for bad_at in [0, 1] {
                    let mut pins = [south.fingerprint(), south.fingerprint()];
                    pins[bad_at].clone_from(&pinned);
                    let fresh = || Identity::generate("placeholder").unwrap();
                    let mut configs = pair([fresh(), fresh()], pins, &revocations);
                    configs[bad_at].identity = bad.clone();
                    configs[1 - bad_at].identity = south.clone();
                    let errors: Vec<_> = connect(configs).into_iter().map(|link| link.err()).collect();
                    let honest = errors[1 - bad_at].as_ref().unwrap_or_else(|| panic!("{expected:?} connected"));
                    let untrusted = NetError::Untrusted { peer: bad_at, problem: expected };
                    let timely = matches!(expected, Untrusted::Expired | Untrusted::NotYetValid | Untrusted::Revoked);
                    match bad_at == 0 || timely {
                        // Whoever dials sees the certificate; whoever listens says what was wrong only with the root's own.
                        true => assert_eq!(honest, &untrusted),
                        false => assert!(matches!(honest, NetError::Unreachable { peer: 1, .. }), "{honest:?}"),
                    }
                    assert!(errors[bad_at].is_some(), "{expected:?} connected");
                }
            })
        })
        .collect();
    running.into_iter().for_each(|case| case.join().unwrap());
}

#[test]
fn only_a_root_issues_and_only_with_its_own_key() {
    let (root, stranger) = (Root::new("north"), KeyPair::generate().unwrap());
    let refused = |pem: &str, key: &KeyPair, from, until| identity::issue(pem, key, "node", from, until).is_err();
    assert!(refused(&root.pem, &stranger, now(), now() + DAY));
    assert!(refused(&root.pem, &root.key, now() + DAY, now()));
    assert!(refused(&root.pem, &root.key, -1, now()));
    let alone = Identity::generate("south").unwrap();
    assert!(refused(alone.certificate_pem(), &stranger, now(), now() + DAY));
    assert!(identity::issue(&root.pem, &root.key, "no name\n", now(), now() + DAY).is_err());
}

#[test]
fn statements_of_a_leaf_are_its_organisations_while_it_is_valid() {
    let (root, other) = (Root::new("north"), Root::new("east"));
    let leaf = root.issue(now() - DAY, now() + DAY);
    let signed = leaf.sign("loss", b"two is gone").unwrap();
    let (pin, revocations) = (root.fingerprint(), Revocations::default());
    let check = |pin: &str, words: &[u8], at| signed.by_party(pin, "loss", words, at, &revocations);
    assert_eq!(check(&pin, b"two is gone", None), Ok(()));
    assert_eq!(check(&pin, b"one is gone", None), Err(Untrusted::NotIssued));
    assert_eq!(check(&other.fingerprint(), b"two is gone", None), Err(Untrusted::OtherRoot));
    assert_eq!(check(&pin, b"two is gone", Some(now() + 3 * DAY)), Err(Untrusted::Expired));
    assert_eq!(check(&pin, b"two is gone", Some(now() - 3 * DAY)), Err(Untrusted::NotYetValid));
    assert!(!signed.by(&pin, "loss", b"two is gone"), "it is not the root's own");
    let own = Identity::from_pem(root.pem.clone(), root.key.serialize_pem()).unwrap();
    let by_root = own.sign("loss", b"two is gone").unwrap();
    assert!(by_root.by(&pin, "loss", b"two is gone"));
    assert_eq!(by_root.by_party(&pin, "loss", b"two is gone", None, &revocations), Ok(()));
    revocations.revoke(&pin, now());
    assert_eq!(signed.by_party(&pin, "loss", b"two is gone", None, &revocations), Err(Untrusted::Revoked));
}

#[test]
fn a_connection_ends_within_seconds_when_its_leaf_is_revoked() {
    let (north, south, revocations) = (Root::new("north"), Root::new("south"), Arc::new(Revocations::default()));
    let leaves = [north.issue(now() - 60, now() + DAY), south.issue(now() - 60, now() + DAY)];
    let mut configs = pair(leaves, [north.fingerprint(), south.fingerprint()], &revocations);
    configs[1].host = Host::default();
    let mut links: Vec<TlsLink> = connect(configs).into_iter().map(Result::unwrap).collect();
    revocations.revoke(&south.fingerprint(), now());
    let started = Instant::now();
    let (mut revoked, mut other) = (links.pop().unwrap(), links.pop().unwrap());
    let tag = Tag { epoch: 0, step: 1, tile: 0 };
    let error = other.recv(1, tag, &mut [0; 4]).unwrap_err();
    assert_eq!(error, NetError::Untrusted { peer: 1, problem: Untrusted::Revoked });
    assert!(other.send(1, tag, 0, &[1]).is_err());
    let told = revoked.recv(0, tag, &mut [0; 4]).unwrap_err();
    assert!(matches!(&told, NetError::Reported { by: 0, about: 1, reason } if reason.contains("revoked")), "{told:?}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[test]
fn an_order_to_stop_ends_waits_and_reaches_the_others() {
    let (one, two) = (Identity::generate("one").unwrap(), Identity::generate("two").unwrap());
    let pins = [one.fingerprint(), two.fingerprint()];
    let mut configs = pair([one, two], pins, &Arc::default());
    let cancel = Cancel::default();
    configs[0].host.cancel = cancel.clone();
    let mut links: Vec<TlsLink> = connect(configs).into_iter().map(Result::unwrap).collect();
    let started = Instant::now();
    let tag = Tag { epoch: 0, step: 1, tile: 0 };
    let (mut two, mut one) = (links.pop().unwrap(), links.pop().unwrap());
    let other = std::thread::spawn(move || two.recv(0, tag, &mut [0; 4]).unwrap_err());
    let order = cancel.clone();
    let orders = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        order.cancel("the disk is full");
        order.cancel("another reason");
    });
    one.tolerate(true);
    let error = one.recv(1, tag, &mut [0; 4]).unwrap_err();
    assert_eq!(error, NetError::Cancelled { reason: "the disk is full".into() });
    orders.join().unwrap();
    let reason = "stopped by its operator: the disk is full".into();
    assert_eq!(other.join().unwrap(), NetError::Reported { by: 0, about: 0, reason });
    // Whoever waits for the others to come hears it, too.
    let alone = [Identity::generate("one").unwrap(), Identity::generate("two").unwrap()];
    let pins = [alone[0].fingerprint(), alone[1].fingerprint()];
    for mut config in pair(alone, pins, &Arc::default()) {
        config.host.cancel = cancel.clone();
        config.limits.connect = Duration::from_secs(60);
        assert_eq!(TlsLink::connect(config).err(), Some(error.clone()));
    }
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

/// The first message of TLS 1.2, as a client without anything newer sends it.
fn hello_of_1_2() -> Vec<u8> {
    let extensions = [
        // A group, a form of points, and signatures that are known here.
        &[0, 10, 0, 4, 0, 2, 0, 23][..],
        &[0, 11, 0, 2, 1, 0],
        &[0, 13, 0, 6, 0, 4, 4, 3, 8, 4],
    ]
    .concat();
    let ciphers = [0xc0, 0x2b, 0xc0, 0x2f];
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend((ciphers.len() as u16).to_be_bytes());
    body.extend(ciphers);
    body.extend([1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let message = [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat();
    [&[22, 3, 1][..], &(message.len() as u16).to_be_bytes(), &message].concat()
}

#[test]
fn nothing_before_tls_1_3_is_spoken() {
    let root = Root::new("bank-a");
    let config = control::server(&root.issue(now() - 60, now() + DAY), &Arc::default()).unwrap();
    let mut server = rustls::ServerConnection::new(config.into()).unwrap();
    let hello = hello_of_1_2();
    assert_eq!(server.read_tls(&mut &hello[..]).unwrap(), hello.len());
    let refused = server.process_new_packets().map(drop);
    let why = rustls::PeerIncompatible::SupportedVersionsExtensionRequired;
    assert_eq!(refused, Err(rustls::Error::PeerIncompatible(why)));
}
