//! A session with a token: opened when it is needed, opened again when it was lost, and never a PIN tried twice.

use crate::{KeyError, TokenPlace};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Libraries that are loaded: PKCS#11 has them initialised once in a process.
static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

/// A token and the session with it. One operation at a time.
pub struct Token {
    place: TokenPlace,
    module: Pkcs11,
    state: Mutex<State>,
}

enum State {
    Closed,
    Open(Session),
    /// It refused the PIN, or would lock: no more tries.
    Refused(KeyError),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({})", self.place.token)
    }
}

impl Token {
    pub fn new(place: TokenPlace) -> Result<Token, KeyError> {
        let module = load(&place.module)?;
        Ok(Token { place, module, state: Mutex::new(State::Closed) })
    }

    pub fn label(&self) -> &str {
        &self.place.token
    }

    /// Does something in a session. If the session is lost meanwhile it is done again, once, in a new one: `work` must look up
    /// what it uses, since handles do not outlive sessions.
    pub fn with<T>(&self, action: &'static str, work: impl Fn(&Session) -> Result<T, Error>) -> Result<T, KeyError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Refused(e) => return Err(e.clone()),
            State::Open(session) => match work(session) {
                Err(e) if lost(&e) => {}
                done => return done.map_err(|e| self.failed(action, &e)),
            },
            State::Closed => {}
        }
        // The old session goes first: a library that was started again may give its number to the new one.
        *state = State::Closed;
        match self.log_in() {
            Ok(session) => {
                let done = work(&session).map_err(|e| self.failed(action, &e));
                *state = State::Open(session);
                done
            }
            Err(e) => {
                if matches!(e, KeyError::WrongPin { .. } | KeyError::PinLocked { .. }) {
                    *state = State::Refused(e.clone());
                }
                Err(e)
            }
        }
    }

    /// Whether it has a private key of this label.
    pub fn any(&self, object: &str) -> Result<bool, KeyError> {
        let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(object.into())];
        self.with("looking for a key", |session| Ok(!session.find_objects(&wanted)?.is_empty()))
    }

    fn log_in(&self) -> Result<Session, KeyError> {
        let slot = self.slot()?;
        let session = self.module.open_rw_session(slot).map_err(|e| self.failed("opening a session", &e))?;
        let info = self.module.get_token_info(slot).map_err(|e| self.failed("asking for its state", &e))?;
        if info.user_pin_locked() || info.user_pin_final_try() {
            return Err(KeyError::PinLocked { token: self.place.token.clone() });
        }
        let pin = self.place.pin.read("PIN")?;
        match session.login(UserType::User, Some(&AuthPin::from(pin.as_str()))) {
            // Sessions of one process share what is logged in.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(e) => Err(self.failed("logging in", &e)),
        }
    }

    fn slot(&self) -> Result<Slot, KeyError> {
        let failed = |e: Error| self.failed("listing tokens", &e);
        let slots = match self.module.get_slots_with_token() {
            Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => {
                initialise(&self.module).map_err(failed)?;
                self.module.get_slots_with_token()
            }
            slots => slots,
        };
        // A slot that says nothing of its token is not the one.
        let ours = |slot: &Slot| {
            let info = self.module.get_token_info(*slot);
            info.is_ok_and(|info| info.token_initialized() && info.label() == self.place.token)
        };
        let found: Vec<Slot> = slots.map_err(failed)?.into_iter().filter(ours).collect();
        match found[..] {
            [slot] => Ok(slot),
            [] => Err(KeyError::TokenMissing { token: self.place.token.clone() }),
            _ => Err(KeyError::TokenAmbiguous { token: self.place.token.clone(), count: found.len() }),
        }
    }

    fn failed(&self, action: &'static str, e: &Error) -> KeyError {
        let token = self.place.token.clone();
        let Error::Pkcs11(code, _) = e else { return KeyError::Token { token, action, problem: e.to_string() } };
        match code {
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinExpired => {
                KeyError::WrongPin { token }
            }
            RvError::PinLocked => KeyError::PinLocked { token },
            RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::DeviceRemoved
            | RvError::SlotIdInvalid => KeyError::TokenMissing { token },
            // The name of the code: its text in the library goes over several lines.
            code => KeyError::Token { token, action, problem: format!("{code:?}") },
        }
    }
}

/// Whether a session is of no more use, and another may be.
fn lost(e: &Error) -> bool {
    let Error::Pkcs11(code, _) = e else { return false };
    matches!(
        code,
        RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::UserNotLoggedIn
            | RvError::DeviceRemoved
            | RvError::DeviceError
            | RvError::TokenNotPresent
            | RvError::CryptokiNotInitialized
    )
}

fn load(path: &Path) -> Result<Pkcs11, KeyError> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let failed = |e: Error| KeyError::Module { module: path.into(), problem: e.to_string() };
    let module = Pkcs11::new(path).map_err(failed)?;
    initialise(&module).map_err(failed)?;
    modules.insert(path.into(), module.clone());
    Ok(module)
}

fn initialise(module: &Pkcs11) -> Result<(), Error> {
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        done => done,
    }
}
