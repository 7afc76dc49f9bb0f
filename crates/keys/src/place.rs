//! Where a root key is, in words of a configuration. Passphrases and PINs are in files or environment variables, never in the words.

use crate::KeyError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where a root key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file of a directory, encrypted if there is a passphrase.
    File {
        /// The directory, taken from that of the root if it is relative.
        dir: PathBuf,
        /// Where the passphrase is.
        passphrase: Option<SecretSource>,
    },
    /// In a token.
    Token(TokenPlace),
}

/// Where in which token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPlace {
    /// The library of the token's maker: an absolute path.
    pub module: PathBuf,
    /// Label of the token.
    pub token: String,
    /// Label of the root's key.
    pub object: String,
    /// Where the PIN is.
    pub pin: SecretSource,
}

/// Where a passphrase or PIN is. It is read when it is needed and not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

fn place(problem: impl Into<String>) -> KeyError {
    KeyError::Place { problem: problem.into() }
}

impl Place {
    /// Reads `file:DIRECTORY[;passphrase-file=PATH|;passphrase-env=NAME]` or
    /// `pkcs11:module=PATH;token=LABEL;object=LABEL;(pin-file=PATH|pin-env=NAME)`. Values hold no `;`.
    ///
    /// # Errors
    /// Other words.
    pub fn parse(words: &str) -> Result<Place, KeyError> {
        match words.split_once(':') {
            Some(("file", rest)) => {
                let (dir, rest) = rest.split_once(';').unwrap_or((rest, ""));
                let mut fields = fields(rest)?;
                let passphrase = source(&mut fields, ["passphrase-file", "passphrase-env"])?;
                none_left(&fields)?;
                Ok(Place::File { dir: dir.into(), passphrase })
            }
            Some(("pkcs11", rest)) => {
                let mut fields = fields(rest)?;
                let pin = source(&mut fields, ["pin-file", "pin-env"])?;
                let pin = pin.ok_or_else(|| place("neither pin-file nor pin-env is given"))?;
                let mut need = |name: &str| fields.remove(name).ok_or_else(|| place(format!("{name} is not given")));
                let (module, token, object) = (need("module")?, need("token")?, need("object")?);
                none_left(&fields)?;
                if !Path::new(&module).is_absolute() {
                    return Err(place("module is not an absolute path"));
                }
                Ok(Place::Token(TokenPlace { module: module.into(), token, object, pin }))
            }
            _ => Err(place("it begins with neither file: nor pkcs11:")),
        }
    }
}

fn fields(words: &str) -> Result<BTreeMap<String, String>, KeyError> {
    let mut found = BTreeMap::new();
    for field in words.split(';').filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').ok_or_else(|| place("a part is not of the form name=value"))?;
        if matches!(name, "pin" | "pin-value" | "passphrase") {
            return Err(place(format!(
                "{name} does not belong here: name a file or an environment variable that holds it"
            )));
        }
        if value.is_empty() {
            return Err(place(format!("{name} is empty")));
        }
        if found.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(place(format!("{name} is given twice")));
        }
    }
    Ok(found)
}

fn none_left(fields: &BTreeMap<String, String>) -> Result<(), KeyError> {
    fields.keys().next().map_or(Ok(()), |name| Err(place(format!("{name} is not known"))))
}

fn source(fields: &mut BTreeMap<String, String>, names: [&str; 2]) -> Result<Option<SecretSource>, KeyError> {
    match names.map(|name| fields.remove(name)) {
        [Some(_), Some(_)] => Err(place(format!("both {} and {} are given", names[0], names[1]))),
        [Some(path), None] => Ok(Some(SecretSource::File(path.into()))),
        [None, variable] => Ok(variable.map(SecretSource::Variable)),
    }
}

impl SecretSource {
    /// The secret; a line end behind it does not belong to it.
    pub(crate) fn read(&self, what: &'static str) -> Result<Zeroizing<String>, KeyError> {
        let failed = |problem: String| KeyError::Secret { what, source_name: self.name(), problem };
        let text = match self {
            SecretSource::File(path) => std::fs::read_to_string(path).map_err(|e| failed(e.to_string())),
            // The error of a variable that is no text would hold it.
            SecretSource::Variable(name) => std::env::var(name).map_err(|_| failed("not set, or not text".into())),
        };
        let text = Zeroizing::new(text?);
        match text.lines().next() {
            Some(line) if !line.is_empty() => Ok(Zeroizing::new(line.to_owned())),
            _ => Err(failed("it is empty".into())),
        }
    }
    fn name(&self) -> String {
        match self {
            SecretSource::File(path) => path.display().to_string(),
            SecretSource::Variable(name) => format!("the environment variable {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_what_is_not_one_is_refused() {
        let file = |dir: &str, passphrase| Place::File { dir: dir.into(), passphrase };
        assert_eq!(Place::parse("file:"), Ok(file("", None)));
        assert_eq!(
            Place::parse("file:/a b;passphrase-file=/run/p"),
            Ok(file("/a b", Some(SecretSource::File("/run/p".into()))))
        );
        assert_eq!(Place::parse("file:;passphrase-env=P"), Ok(file("", Some(SecretSource::Variable("P".into())))));
        let token = "pkcs11:module=/usr/lib/x.so;token=north root;object=root 1;pin-env=PIN";
        let Ok(Place::Token(found)) = Place::parse(token) else { panic!("{:?}", Place::parse(token)) };
        assert_eq!((found.token.as_str(), found.object.as_str()), ("north root", "root 1"));
        assert_eq!((found.module, found.pin), ("/usr/lib/x.so".into(), SecretSource::Variable("PIN".into())));
        for wrong in [
            "",
            "root",
            "vault:x",
            "file:;passphrase=secret",
            "file:;passphrase-env=A;passphrase-file=B",
            "file:;other=1",
            "pkcs11:",
            "pkcs11:module=/x;token=t;object=o",
            "pkcs11:module=/x;token=t;object=o;pin=1234",
            "pkcs11:module=x.so;token=t;object=o;pin-env=P",
            "pkcs11:module=/x;token=t;token=u;object=o;pin-env=P",
            "pkcs11:module=/x;token=;object=o;pin-env=P",
            "pkcs11:module=/x;token=t;object=o;pin-env=P;more",
        ] {
            let Err(KeyError::Place { problem }) = Place::parse(wrong) else { panic!("{wrong} was taken") };
            assert!(!problem.contains("secret") && !problem.contains("1234"), "{problem}");
        }
    }
}
