//! Roots in files, encrypted and not.

use privity_api::Signer;
use privity_keys::{FileRoot, KeyError, Root, SecretSource, create, open};
use std::path::{Path, PathBuf};

/// As this crate writes them, of no use anywhere, with N set to 2^46.
const HUNGRY: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
MIHwMFsGCSqGSIb3DQEFDTBOMC0GCSsGAQQB2kcECzAgBBBEJ23R8hwEiyfDjj6q\n\
4kQVAgZAAAAAAAACAQgCAQEwHQYJYIZIAWUDBAEqBBBRdFqXaGeLeIMAXpdCsPmy\n\
BIGQ2tv/DdcpUFUfC7R9HHLCqcIGD7DF3JdQnEd6zVR6S+ZkxypA+KFwe3BI/gWk\n\
fXs0yvuVWz5vUu2Ww1VjRElNv/+nzioYQnwRowovRW8HDm+d7lhdiUfvthcHA8Us\n\
8J8iA3W1kTrbXaquOhKlIoSBelMVBt/zATtWHc8FGQ55GcXY7UMziSScQRbXeKD8\n\
PsoN\n\
-----END ENCRYPTED PRIVATE KEY-----\n";
/// Made by OpenSSL with its default way to derive a key; of no use anywhere.
const PBKDF2: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiEnhUJeF6PZQICCAAw\n\
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEENXZMcWAd+ALSs+UQoUhrXcEgZCB\n\
uURP46f6yNazVpMKrhHZHPSSGeDZKSd9E4rq4gob30ylrh5q7CpddSfFAf8ItLTZ\n\
zgRCakZ0IqahnhWFFVTuXz0kBC+tDggODXeWpXcly11qVrSA1hsQT65DousqyoD9\n\
05EQOzjd95dPpId2pV11bQHiy7UWjl7Gvu6HSGDr9eK6EG5xDTitpJoz89vLDrI=\n\
-----END ENCRYPTED PRIVATE KEY-----\n";

fn write(folder: &Path, name: &str, words: &str) -> SecretSource {
    let path = folder.join(name);
    std::fs::write(&path, words).unwrap();
    SecretSource::File(path)
}

fn mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777
}

#[test]
fn a_root_under_a_passphrase_opens_with_it_only() {
    let folder = tempfile::tempdir().unwrap();
    let (home, file) = (folder.path().join("home"), folder.path().join("home").join("root").join("key.pem"));
    write(folder.path(), "words", "correct horse\n");
    let place = format!("file:root;passphrase-file={}", folder.path().join("words").display());
    let made = create(&place, &home, "north").unwrap();
    assert!(matches!(create(&place, &home, "north").err(), Some(KeyError::Exists { .. })));
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{written}");
    assert_eq!(mode(&file), 0o600);

    let root = open(&place, &home).unwrap();
    assert_eq!(root.fingerprint(), made.fingerprint());
    assert!(root.sign("loss", b"x").unwrap().by(&made.fingerprint(), "loss", b"x"));
    let leaf = root.issue("node-1.example", 1_000, 2_000).unwrap();
    leaf.save(&home.join("node")).unwrap();
    assert_eq!(root.load(&home.join("node")).unwrap().certificate_pem(), leaf.certificate_pem());

    assert_eq!(open("file:root", &home).err(), Some(KeyError::PassphraseNeeded { file: file.clone() }));
    write(folder.path(), "words", "correct hors");
    let wrong = open(&place, &home).err().unwrap();
    assert_eq!(wrong, KeyError::Passphrase { file });
    assert!(!wrong.to_string().contains("hors"));
    write(folder.path(), "words", "\n");
    assert!(matches!(open(&place, &home).err(), Some(KeyError::Secret { .. })));
}

#[test]
fn a_file_that_was_altered_gives_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let (home, words) = (folder.path().join("home"), write(folder.path(), "words", "correct horse"));
    FileRoot::make(&home, "north", Some(&words)).unwrap();
    let path = home.join("key.pem");
    let whole = std::fs::read(&path).unwrap();
    let used = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        FileRoot::open(&home, Some(&words)).err()
    };
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let last = whole.len() - 30;
    for at in [first + 3, first + (last - first) / 2, last - 70, last - 10] {
        let mut altered = whole.clone();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let refused = used(&altered);
        let named =
            matches!(refused, Some(KeyError::Passphrase { .. } | KeyError::Damaged { .. } | KeyError::Mismatch { .. }));
        assert!(named, "at {at}: {refused:?}");
    }
    for cut in [0, first, whole.len() / 2] {
        let refused = used(&whole[..cut]);
        assert!(matches!(refused, Some(KeyError::Damaged { .. })), "{refused:?}");
    }
    assert_eq!(used(&whole).map(|e| e.to_string()), None);
    for file in [HUNGRY, PBKDF2] {
        let refused = used(file.as_bytes());
        assert!(
            matches!(&refused, Some(KeyError::Damaged { problem, .. }) if problem.contains("scrypt")),
            "{refused:?}"
        );
    }

    let other = FileRoot::create(&folder.path().join("other"), "north").unwrap();
    std::fs::write(home.join("certificate.pem"), other.certificate_pem()).unwrap();
    assert!(matches!(used(&whole), Some(KeyError::Mismatch { .. })));
}

#[test]
fn a_passphrase_changes_where_the_key_is_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let words = folder.path().join("words");
    std::fs::write(&words, "five words or more than that").unwrap();
    let encrypted = format!("file:root;passphrase-file={}", words.display());
    let pinned = privity_keys::create("file:root", folder.path(), "north").unwrap().fingerprint();
    for other in ["file:elsewhere", "pkcs11:module=/m;token=t;object=o;pin-env=P"] {
        let refused = privity_keys::change_passphrase("file:root", other, folder.path());
        assert!(matches!(refused, Err(KeyError::Place { .. })), "{refused:?}");
    }
    privity_keys::change_passphrase("file:root", &encrypted, folder.path()).unwrap();
    assert!(matches!(privity_keys::open("file:root", folder.path()).map(drop), Err(KeyError::PassphraseNeeded { .. })));
    assert_eq!(privity_keys::open(&encrypted, folder.path()).unwrap().fingerprint(), pinned);
}

#[test]
fn passphrases_change_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let (one, two) = (write(folder.path(), "one", "first words"), write(folder.path(), "two", "second words"));
    let pinned = FileRoot::create(&home, "north").unwrap().fingerprint();
    assert_eq!(mode(&home.join("key.pem")), 0o600);
    let opens = |passphrase: Option<&SecretSource>| FileRoot::open(&home, passphrase).map(|root| root.fingerprint());
    assert!(matches!(opens(Some(&one)), Err(KeyError::NotEncrypted { .. })));

    FileRoot::change_passphrase(&home, None, Some(&one)).unwrap();
    assert_eq!(opens(Some(&one)), Ok(pinned.clone()));
    assert!(matches!(opens(None), Err(KeyError::PassphraseNeeded { .. })));
    let refused = FileRoot::change_passphrase(&home, Some(&two), None);
    assert!(matches!(refused, Err(KeyError::Passphrase { .. })), "{refused:?}");
    FileRoot::change_passphrase(&home, Some(&one), Some(&two)).unwrap();
    assert!(matches!(opens(Some(&one)), Err(KeyError::Passphrase { .. })));
    assert_eq!(opens(Some(&two)), Ok(pinned.clone()));
    let missing = SecretSource::Variable("PRIVITY_NO_SUCH_VARIABLE".into());
    let refused = FileRoot::change_passphrase(&home, Some(&two), Some(&missing));
    assert!(matches!(refused, Err(KeyError::Secret { .. })), "{refused:?}");
    assert_eq!(opens(Some(&two)), Ok(pinned.clone()), "the old file stands");
    FileRoot::change_passphrase(&home, Some(&two), None).unwrap();
    assert_eq!(opens(None), Ok(pinned));
    assert_eq!(mode(&home.join("key.pem")), 0o600);
    let names: Vec<PathBuf> = std::fs::read_dir(&home).unwrap().map(|e| e.unwrap().file_name().into()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}
