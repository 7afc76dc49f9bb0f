//! Roots and nodes' keys in tokens, with SoftHSM. Each test runs in a process of its own, since a PKCS#11 library is one for a whole
//! process and finds its tokens by a variable of the environment.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use privity_api::{Purpose, Statement};
use privity_keys::{FileRoot, HsmRoot, KeyError, Place, Root, TokenPlace, create, open};
use privity_net::identity::{Identity, NODE, Revocations};
use privity_net::tls::{Host, Limits, Peer, TlsConfig, TlsLink, control, loopback_listener};
use privity_net::{Link, NetError, Tag};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: i64 = 24 * 3600;
const PIN: &str = "73915-north";
/// Tells a process that it is to run one test, and where.
const FOLDER: &str = "PRIVITY_TEST_TOKENS";
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];

fn module() -> Option<PathBuf> {
    MODULES.iter().map(PathBuf::from).find(|path| path.exists())
}

/// Runs a test in another process, whose tokens are in a fresh folder.
fn apart(name: &str, tokens: &[&str], test: impl FnOnce(&Path)) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return test(Path::new(&folder));
    }
    if module().is_none() {
        println!("{name} is skipped: there is no SoftHSM here; install the package softhsm2");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (store, conf) = (folder.path().join("tokens"), folder.path().join("softhsm2.conf"));
    std::fs::create_dir(&store).unwrap();
    std::fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", store.display())).unwrap();
    std::fs::write(folder.path().join("pin"), format!("{PIN}\n")).unwrap();
    for token in tokens {
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", token, "--pin", PIN, "--so-pin", "so-42-so"])
            .env("SOFTHSM2_CONF", &conf)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .env("NORTH_PIN", PIN)
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

fn words(token: &str, object: &str) -> String {
    format!("pkcs11:module={};token={token};object={object};pin-env=NORTH_PIN", module().unwrap().display())
}

/// With the PIN in the file of the test's folder.
fn by_file(folder: &Path, token: &str) -> TokenPlace {
    let pin = folder.join("pin");
    let words =
        format!("pkcs11:module={};token={token};object=root;pin-file={}", module().unwrap().display(), pin.display());
    let Place::Token(place) = Place::parse(&words).unwrap() else { panic!("{words}") };
    place
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

fn leaf(root: &dyn Root) -> Identity {
    root.issue("node-1.example", now() - 60, now() + DAY).unwrap()
}

/// A session of the test's own, to look at what is in a token.
fn look<T>(token: &str, work: impl FnOnce(&Session) -> T) -> T {
    let library = Pkcs11::new(module().unwrap()).unwrap();
    let _ = library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slots = library.get_slots_with_initialized_token().unwrap();
    let slot = slots.into_iter().find(|slot| library.get_token_info(*slot).unwrap().label() == token).unwrap();
    let session = library.open_rw_session(slot).unwrap();
    let _ = session.login(UserType::User, Some(&AuthPin::from(PIN)));
    work(&session)
}

fn private_keys(token: &str) -> usize {
    look(token, |session| session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]).unwrap().len())
}

/// Ends all sessions of the process, as a token does that is pulled out.
fn pull() {
    Pkcs11::new(module().unwrap()).unwrap().finalize().unwrap();
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    words: String,
}

impl Purpose for Note {
    const PURPOSE: &'static str = "note of a test";
}

fn states(root: &dyn Root) -> Statement<Note> {
    Statement::new(Note { words: "north agrees".into() }, root).unwrap()
}

#[test]
fn a_root_in_a_token_signs_issues_and_comes_back() {
    apart("a_root_in_a_token_signs_issues_and_comes_back", &["north"], |folder| {
        let (home, place) = (folder.join("home"), words("north", "root"));
        let root = create(&place, &home, "north").unwrap();
        let again = create(&place, &home, "north").err();
        assert!(matches!(again, Some(KeyError::Exists { .. })), "{again:?}");
        let elsewhere = create(&place, &folder.join("other"), "north").err();
        assert!(matches!(elsewhere, Some(KeyError::Exists { .. })), "the label is taken: {elsewhere:?}");

        let pinned = root.fingerprint();
        let statement = states(&*root);
        assert_eq!(statement.verify("north", &pinned).unwrap().words, "north agrees");
        let mut altered = statement.clone();
        altered.body.words = "north disagrees".into();
        assert!(altered.verify("north", &pinned).is_err());

        let first = leaf(&*root);
        assert_eq!(first.fingerprint(), pinned);
        let signed = first.sign("loss", b"two is gone").unwrap();
        assert_eq!(signed.by_party(&pinned, "loss", b"two is gone", None, &Revocations::default()), Ok(()));
        first.save(&folder.join("node")).unwrap();
        let storage = first.storage_key();
        drop((root, first));

        let root = open(&place, &home).unwrap();
        assert_eq!(root.fingerprint(), pinned);
        states(&*root).verify("north", &pinned).unwrap();
        let loaded = root.load(&folder.join("node")).unwrap();
        assert_eq!((loaded.storage_key(), loaded.fingerprint()), (storage, pinned.clone()));
        let signed = loaded.sign("loss", b"one is gone").unwrap();
        assert_eq!(signed.by_party(&pinned, "loss", b"one is gone", None, &Revocations::default()), Ok(()));
        assert!(root.issue("node-1.example", now() + 2, now() + 1).is_err());
        assert_eq!(private_keys("north"), 2, "what came to nothing leaves no key behind");
    });
}

/// One link to the control plane between two nodes, a message each way.
fn call(server: &Identity, client: &Identity, pinned: &str) -> (Option<String>, String) {
    let none = Arc::default();
    let answers = Arc::new(control::server(server, &none).unwrap());
    let calls = Arc::new(control::client(client, Some(pinned), &none).unwrap());
    let door = loopback_listener().unwrap();
    let address = door.local_addr().unwrap();
    std::thread::scope(|s| {
        let answered = s.spawn(move || {
            let (mut stream, _) = door.accept().unwrap();
            let mut tls = rustls::ServerConnection::new(answers).unwrap();
            let mut link = rustls::Stream::new(&mut tls, &mut stream);
            let mut got = [0; 5];
            link.read_exact(&mut got).unwrap();
            link.write_all(&got).unwrap();
            control::root(tls.peer_certificates().unwrap())
        });
        let mut stream = TcpStream::connect(address).unwrap();
        let mut tls = rustls::ClientConnection::new(calls, NODE.try_into().unwrap()).unwrap();
        let mut link = rustls::Stream::new(&mut tls, &mut stream);
        link.write_all(b"hello").unwrap();
        let mut got = [0; 5];
        link.read_exact(&mut got).unwrap();
        (answered.join().unwrap(), String::from_utf8_lossy(&got).into_owned())
    })
}

/// A session of the engine, a message each way.
fn play(config: TlsConfig) -> Result<[u8; 4], NetError> {
    let mut link = TlsLink::connect(config)?;
    let (me, tag, mut got) = (link.me(), Tag { epoch: 0, step: 1, tile: 0 }, [0; 4]);
    link.send(1 - me, tag, 0, &[me as u8; 4])?;
    link.recv(1 - me, tag, &mut got)?;
    link.close()?;
    Ok(got)
}

/// A session of two, who look for each other so long.
fn session(identities: [Identity; 2], roots: [&Arc<dyn Root>; 2], connect: Duration) -> Vec<Result<[u8; 4], NetError>> {
    let address = || loopback_listener().unwrap().local_addr().unwrap().to_string();
    let peers = roots.map(|root| Peer { address: address(), fingerprint: root.fingerprint() });
    let config = |(me, identity): (usize, Identity)| TlsConfig {
        me,
        peers: peers.to_vec(),
        identity: identity.into(),
        job: [7; 32],
        limits: Limits { connect, ..Limits::default() },
        unprotected: false,
        host: Host::default(),
    };
    let configs: Vec<_> = identities.into_iter().enumerate().map(config).collect();
    std::thread::scope(|s| {
        let parties: Vec<_> = configs.into_iter().map(|config| s.spawn(|| play(config))).collect();
        parties.into_iter().map(|party| party.join().unwrap()).collect()
    })
}

#[test]
fn nodes_meet_whose_keys_are_in_tokens() {
    apart("nodes_meet_whose_keys_are_in_tokens", &["north", "south"], |folder| {
        let root = |name: &str| create(&words(name, "root"), &folder.join(name), name).unwrap();
        let (north, south) = (root("north"), root("south"));
        let (one, two) = (leaf(&*north), leaf(&*south));
        let (heard, echo) = call(&one, &two, &north.fingerprint());
        assert_eq!((heard, echo.as_str()), (Some(south.fingerprint()), "hello"));

        assert_eq!(session([one, two], [&north, &south], Duration::from_secs(10)), [Ok([1; 4]), Ok([0; 4])]);
        // A key that is gone is its own party's trouble, whichever side of the handshake that is; the other is not told it lied.
        for me in 0..2 {
            let leaves = [leaf(&*north), leaf(&*south)];
            [&north, &south][me].retire(&leaves[me]).unwrap();
            let got = session(leaves, [&north, &south], Duration::from_secs(3));
            let Err(NetError::Io { problem, .. }) = &got[me] else { panic!("{got:?}") };
            assert!(problem.contains("has no private"), "{problem}");
            let other = &got[1 - me];
            assert!(matches!(other, Err(NetError::Closed { .. } | NetError::Unreachable { .. })), "{other:?}");
        }
    });
}

#[test]
fn a_wrong_pin_is_tried_once() {
    apart("a_wrong_pin_is_tried_once", &["north"], |folder| {
        let (home, pin) = (folder.join("home"), folder.join("pin"));
        let root = HsmRoot::create(by_file(folder, "north"), &home, "north").unwrap();
        std::fs::write(&pin, "not-the-pin\n").unwrap();
        root.probe().expect("a session that stands asks for no PIN");
        pull();
        let wrong = KeyError::WrongPin { token: "north".into() };
        assert_eq!(root.probe(), Err(wrong.clone()));
        std::fs::write(&pin, PIN).unwrap();
        assert_eq!(root.probe(), Err(wrong.clone()), "not tried again");
        assert_eq!(root.issue("node-1.example", now(), now() + DAY).err(), Some(wrong.clone()));
        let refused = Statement::new(Note { words: "x".into() }, &root).unwrap_err().to_string();
        assert!(refused.contains("refused the PIN") && !refused.contains("not-the-pin"), "{refused}");
        // The program started anew.
        HsmRoot::open(by_file(folder, "north"), &home).unwrap().probe().unwrap();

        pull();
        std::fs::write(&pin, "not-the-pin").unwrap();
        assert_eq!(HsmRoot::open(by_file(folder, "north"), &home).err(), Some(wrong));
        std::fs::remove_file(&pin).unwrap();
        let none = HsmRoot::open(by_file(folder, "north"), &home).err();
        assert!(matches!(none, Some(KeyError::Secret { what: "PIN", .. })), "{none:?}");
    });
}

#[test]
fn a_token_that_was_away_is_missed_and_used_again() {
    apart("a_token_that_was_away_is_missed_and_used_again", &["north"], |folder| {
        let home = folder.join("home");
        let root = HsmRoot::create(by_file(folder, "north"), &home, "north").unwrap();
        let node = leaf(&root);
        pull();
        states(&root).verify("north", &privity_api::Signer::fingerprint(&root)).unwrap();
        node.sign("loss", b"x").unwrap();

        let (here, away) = (folder.join("tokens"), folder.join("away"));
        let missing = KeyError::TokenMissing { token: "north".into() };
        pull();
        std::fs::rename(&here, &away).unwrap();
        std::fs::create_dir(&here).unwrap();
        assert_eq!(root.probe(), Err(missing.clone()));
        assert_eq!(root.issue("node-1.example", now(), now() + DAY).err(), Some(missing.clone()));
        let said = node.sign("loss", b"x").unwrap_err().to_string();
        assert!(said.contains("token north is not there"), "{said}");
        pull();
        std::fs::remove_dir_all(&here).unwrap();
        std::fs::rename(&away, &here).unwrap();
        states(&root).verify("north", &privity_api::Signer::fingerprint(&root)).unwrap();
        node.sign("loss", b"x").unwrap();

        assert_eq!(
            HsmRoot::open(by_file(folder, "east"), &home).err(),
            Some(KeyError::TokenMissing { token: "east".into() })
        );
        let other = open(&words("north", "another"), &home).err();
        assert!(matches!(other, Some(KeyError::KeyMissing { .. })), "{other:?}");
        let place = words("north", "root").replace("libsofthsm2", "libnothing");
        assert!(matches!(open(&place, &home).err(), Some(KeyError::Module { .. })));
        let strange = FileRoot::create(&folder.join("strange"), "strange").unwrap();
        std::fs::write(home.join("certificate.pem"), strange.certificate_pem()).unwrap();
        let other = HsmRoot::open(by_file(folder, "north"), &home).err();
        assert!(matches!(other, Some(KeyError::Mismatch { .. })), "{other:?}");
    });
}

#[test]
fn a_key_that_was_replaced_is_destroyed() {
    apart("a_key_that_was_replaced_is_destroyed", &["north"], |folder| {
        let root = create(&words("north", "root"), &folder.join("home"), "north").unwrap();
        let node = folder.join("node");
        let first = leaf(&*root);
        first.save(&node).unwrap();
        let mut second = leaf(&*root);
        assert_eq!(private_keys("north"), 3);
        second.succeed(&first);
        second.save(&node).unwrap();
        root.retire(&first).unwrap();
        assert_eq!(private_keys("north"), 2);
        let gone = first.sign("loss", b"x").unwrap_err().to_string();
        assert!(gone.contains("has no private"), "{gone}");
        second.sign("loss", b"x").unwrap();
        assert_eq!(root.load(&node).unwrap().storage_key(), first.storage_key());
        root.retire(&first).expect("gone already");
        states(&*root).verify("north", &root.fingerprint()).unwrap();
        // The root's own key is none of a node.
        root.retire(&Identity::from_pem(root.certificate_pem().into(), key_of_another(folder)).unwrap()).unwrap_err();
        root.retire(&second).unwrap();
        assert!(matches!(root.load(&node).err(), Some(KeyError::KeyMissing { .. })));
        assert_eq!(private_keys("north"), 1);
    });
}

fn key_of_another(folder: &Path) -> String {
    FileRoot::create(&folder.join("another"), "another").unwrap();
    std::fs::read_to_string(folder.join("another/key.pem")).unwrap()
}

/// Files below a folder that hold a private key, in PEM or in DER.
fn with_keys(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(with_keys(&path));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        // The second is how every P-256 key of RFC 5915 begins: version one, 32 bytes.
        if has(b"PRIVATE KEY") || has(&[0x02, 0x01, 0x01, 0x04, 0x20]) {
            found.push(path);
        }
    }
    found
}

#[test]
fn no_private_key_is_in_a_file_or_leaves_the_token() {
    apart("no_private_key_is_in_a_file_or_leaves_the_token", &["north"], |folder| {
        let (home, node) = (folder.join("home/root"), folder.join("home/node"));
        // A node that had its key in a file before.
        let before = FileRoot::create(&folder.join("old"), "north").unwrap();
        leaf(&before).save(&node).unwrap();
        assert_eq!(with_keys(&folder.join("old")).len(), 1, "the search finds keys");
        assert_eq!(with_keys(&folder.join("home")), [node.join("key.pem")]);
        let root = create(&words("north", "root"), &home, "north").unwrap();
        let mut identity = leaf(&*root);
        identity.succeed(&before.load(&node).unwrap());
        identity.save(&node).unwrap();
        assert_eq!(with_keys(&folder.join("home")), [] as [PathBuf; 0]);

        look("north", |session| {
            let keys = session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]).unwrap();
            assert_eq!(keys.len(), 2);
            let wrapping = [
                Attribute::Token(false),
                Attribute::ValueLen(32.into()),
                Attribute::Wrap(true),
                Attribute::Extractable(false),
            ];
            let wrapping = session.generate_key(&Mechanism::AesKeyGen, &wrapping).unwrap();
            for key in keys {
                let asked = [
                    AttributeType::Sensitive,
                    AttributeType::AlwaysSensitive,
                    AttributeType::Extractable,
                    AttributeType::NeverExtractable,
                    AttributeType::Value,
                ];
                let said = session.get_attributes(key, &asked).unwrap();
                let want = [
                    Attribute::Sensitive(true),
                    Attribute::AlwaysSensitive(true),
                    Attribute::Extractable(false),
                    Attribute::NeverExtractable(true),
                ];
                assert_eq!(said, want, "and no value");
                let taken = session.wrap_key(&Mechanism::AesKeyWrapPad, wrapping, key);
                assert!(matches!(taken, Err(Error::Pkcs11(RvError::KeyUnextractable, _))), "{taken:?}");
            }
        });
    });
}

#[test]
fn a_key_that_can_be_read_out_is_not_used() {
    apart("a_key_that_can_be_read_out_is_not_used", &["north"], |folder| {
        let home = folder.join("home");
        FileRoot::create(&home, "north").unwrap();
        look("north", |session| {
            let name = [Attribute::Token(true), Attribute::Label("root".into()), Attribute::Id(vec![1])];
            let curve = Attribute::EcParams(vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
            let private = [Attribute::Private(true), Attribute::Sensitive(false), Attribute::Extractable(true)];
            let (public, private) = ([&name[..], &[curve]].concat(), [&name[..], &private].concat());
            session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
        });
        let refused = open(&words("north", "root"), &home).err();
        assert!(matches!(refused, Some(KeyError::Extractable { .. })), "{refused:?}");
    });
}
