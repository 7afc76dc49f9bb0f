//! A root key in a file that only its owner may read; under a passphrase, in the encryption of PKCS#8 (scrypt, AES-256-CBC), which
//! other tools read, too. That encryption has no seal of its own: a key is used only if it is that of the certificate.

use crate::error::{file, key};
use crate::{KeyError, Root, SecretSource};
use pkcs8::pkcs5::{pbes2, scrypt};
use pkcs8::{EncryptedPrivateKeyInfoOwned, LineEnding, PrivateKeyInfoRef, SecretDocument};
use privity_api::Signer;
use privity_net::NetError;
use privity_net::identity::{self, Identity, Signed};
use rcgen::{KeyPair, PublicKeyData};
use std::io::{ErrorKind, Write};
use std::path::Path;
use zeroize::Zeroizing;

const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";
const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
/// Cost of trying a passphrase: base two logarithm of N, r and p of scrypt. 16 MiB, which is within what OpenSSL allows, five times.
const COST: (u8, u32, u32) = (14, 8, 5);
/// Most memory, and most passes over it, that a file may ask for: it is not trusted before it is opened.
const MOST: (u64, u16) = (256 << 20, 64);

/// A root whose key is in the files `certificate.pem` and `key.pem` of a directory.
pub struct FileRoot {
    key: KeyPair,
    own: Identity,
}

impl std::fmt::Debug for FileRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileRoot({})", self.own.fingerprint())
    }
}

impl FileRoot {
    /// Makes a root and writes it into a directory, not encrypted: whoever reads the disk has the key.
    ///
    /// # Errors
    /// There is one already, or it cannot be written.
    pub fn create(dir: &Path, name: &str) -> Result<FileRoot, KeyError> {
        Self::make(dir, name, None)
    }
    /// Makes a root and writes it into a directory, encrypted if there is a passphrase.
    ///
    /// # Errors
    /// There is one already, there is no passphrase where it should be, or it cannot be written.
    pub fn make(dir: &Path, name: &str, passphrase: Option<&SecretSource>) -> Result<FileRoot, KeyError> {
        let failed = "making a root";
        for path in [dir.join(KEY), dir.join(CERTIFICATE)] {
            if path.exists() {
                return Err(KeyError::Exists { place: path.display().to_string() });
            }
        }
        let pair = KeyPair::generate().map_err(key(failed))?;
        let certificate = identity::root(name, &pair).map_err(key(failed))?;
        let written = encode(&pair, passphrase)?;
        std::fs::create_dir_all(dir).map_err(file("making", dir))?;
        private(&dir.join(KEY), true, written.as_bytes())?;
        let path = dir.join(CERTIFICATE);
        std::fs::write(&path, &certificate).map_err(file("writing", &path))?;
        Self::join(pair, certificate)
    }
    /// Reads a root that is not encrypted.
    ///
    /// # Errors
    /// There is none, its files are damaged, or it is encrypted.
    pub fn load(dir: &Path) -> Result<FileRoot, KeyError> {
        Self::open(dir, None)
    }
    /// Reads a root. One that is encrypted needs its passphrase, and only such a one takes it.
    ///
    /// # Errors
    /// There is none, its files are damaged, or the passphrase is missing or wrong.
    pub fn open(dir: &Path, passphrase: Option<&SecretSource>) -> Result<FileRoot, KeyError> {
        let path = dir.join(KEY);
        let text = std::fs::read_to_string(&path).map(Zeroizing::new).map_err(file("reading", &path))?;
        let pair = decode(&path, &text, passphrase)?;
        let path = dir.join(CERTIFICATE);
        let certificate = std::fs::read_to_string(&path).map_err(file("reading", &path))?;
        Self::join(pair, certificate)
    }
    /// Encrypts the key file under another passphrase; `None` stands for a file that is not encrypted. It is replaced in one step:
    /// a crash leaves the old or the new. Copies made earlier, and blocks of the disk that held the old file, still open with the
    /// old passphrase.
    ///
    /// # Errors
    /// As [`FileRoot::open`], and it cannot be written; then the old file stands.
    pub fn change_passphrase(
        dir: &Path,
        old: Option<&SecretSource>,
        new: Option<&SecretSource>,
    ) -> Result<(), KeyError> {
        let root = Self::open(dir, old)?;
        let (path, fresh) = (dir.join(KEY), dir.join("key.pem.new"));
        private(&fresh, false, encode(&root.key, new)?.as_bytes())?;
        // What was written is what opens: only then does it replace the old one.
        let written = std::fs::read_to_string(&fresh).map(Zeroizing::new).map_err(file("reading", &fresh))?;
        decode(&fresh, &written, new)?;
        std::fs::rename(&fresh, &path).map_err(file("replacing", &path))?;
        std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(file("writing", dir))
    }

    fn join(pair: KeyPair, certificate: String) -> Result<FileRoot, KeyError> {
        let of_certificate = identity::public_key(&certificate)?;
        if of_certificate != pair.subject_public_key_info() {
            return Err(KeyError::Mismatch { problem: "another public key".into() });
        }
        let own = Identity::from_pem(certificate, pair.serialize_pem())?;
        Ok(FileRoot { key: pair, own })
    }
}

/// A key in PEM.
fn encode(pair: &KeyPair, passphrase: Option<&SecretSource>) -> Result<Zeroizing<String>, KeyError> {
    let Some(passphrase) = passphrase else { return Ok(Zeroizing::new(pair.serialize_pem())) };
    let passphrase = passphrase.read("passphrase")?;
    let der = Zeroizing::new(pair.serialize_der());
    let info = PrivateKeyInfoRef::try_from(der.as_slice()).map_err(key("encrypting a root key"))?;
    let mut random = [[0; 16]; 2];
    getrandom::fill(random.as_flattened_mut()).map_err(key("drawing randomness"))?;
    let cost = scrypt::Params::new(COST.0, COST.1, COST.2).map_err(key("encrypting a root key"))?;
    let cipher = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &random[0], random[1]);
    let cipher = cipher.map_err(key("encrypting a root key"))?;
    let encrypted = info.encrypt_with_params(cipher, passphrase.as_bytes()).map_err(key("encrypting a root key"))?;
    encrypted.to_pem(ENCRYPTED, LineEnding::LF).map_err(key("encrypting a root key"))
}

fn decode(path: &Path, text: &str, passphrase: Option<&SecretSource>) -> Result<KeyPair, KeyError> {
    let damaged = |problem: &str| KeyError::Damaged { file: path.into(), problem: problem.into() };
    let (label, document) = SecretDocument::from_pem(text).map_err(|_| damaged("not PEM"))?;
    let plain = match (label, passphrase) {
        (PLAIN, None) => document,
        (PLAIN, Some(_)) => return Err(KeyError::NotEncrypted { file: path.into() }),
        (ENCRYPTED, None) => return Err(KeyError::PassphraseNeeded { file: path.into() }),
        (ENCRYPTED, Some(passphrase)) => {
            let info = EncryptedPrivateKeyInfoOwned::try_from(document.as_bytes());
            let info = info.map_err(|_| damaged("not an encrypted key of PKCS#8"))?;
            let kdf = info.encryption_algorithm.pbes2().and_then(|cipher| cipher.kdf.scrypt());
            let within = kdf.is_some_and(|kdf| {
                let memory = kdf.cost_parameter.checked_mul(128 * u64::from(kdf.block_size));
                memory.is_some_and(|memory| memory <= MOST.0) && kdf.parallelization <= MOST.1
            });
            if !within {
                return Err(damaged("its cipher is not one with scrypt, within 256 MiB and 64 passes"));
            }
            let passphrase = passphrase.read("passphrase")?;
            info.decrypt(passphrase.as_bytes()).map_err(|_| KeyError::Passphrase { file: path.into() })?
        }
        _ => return Err(damaged("PEM of something else than a private key of PKCS#8")),
    };
    // A wrong passphrase passes the padding once in some hundred times, and then gives no key.
    let wrong = || match label {
        ENCRYPTED => KeyError::Passphrase { file: path.into() },
        _ => damaged("not a private key"),
    };
    KeyPair::try_from(plain.as_bytes()).map_err(|_| wrong())
}

/// Writes a file that only its owner may read, to the disk.
fn private(path: &Path, new: bool, content: &[u8]) -> Result<(), KeyError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).create_new(new).truncate(!new);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => KeyError::Exists { place: path.display().to_string() },
        _ => file("writing", path)(e),
    })
}

impl Signer for FileRoot {
    fn sign(&self, purpose: &str, statement: &[u8]) -> Result<Signed, NetError> {
        self.own.sign(purpose, statement)
    }
    fn fingerprint(&self) -> String {
        self.own.fingerprint()
    }
}

impl Root for FileRoot {
    fn certificate_pem(&self) -> &str {
        self.own.certificate_pem()
    }
    fn issue(&self, name: &str, not_before: i64, not_after: i64) -> Result<Identity, KeyError> {
        let issued = identity::issue(self.own.certificate_pem(), &self.key, name, not_before, not_after);
        issued.map_err(key("issuing a certificate"))
    }
    fn load(&self, dir: &Path) -> Result<Identity, KeyError> {
        Ok(Identity::load(dir)?)
    }
    /// Nothing: the file of the old key is replaced when the new one is saved.
    fn retire(&self, _: &Identity) -> Result<(), KeyError> {
        Ok(())
    }
}
