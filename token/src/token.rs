// SPDX-License-Identifier: Apache-2.0
//! Finding the one token that a URI names, and opening it.

use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::UserType;
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;

use crate::error::{Found, MOST_LISTED, failed};
use crate::{KeyUri, TokenError, TokenKey};

/// How a token lets its user in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// By a PIN.
    Pin {
        /// Whether a wrong one locks it.
        last_try: bool,
    },
    /// By a PIN that is typed at the device itself.
    AtDevice,
    /// It lets everybody in.
    Open,
}

/// The one token that a URI names. Nobody is logged in.
#[derive(Debug)]
pub struct Token {
    uri: KeyUri,
    module: Pkcs11,
    slot: Slot,
    name: String,
    login: Login,
}

impl Token {
    /// Loads `module`, whose code runs in this process from then on, and finds the token.
    ///
    /// # Errors
    /// [`TokenError::NoModule`], [`TokenError::Load`]; [`TokenError::NoToken`] and [`TokenError::ManyTokens`];
    /// [`TokenError::PinLocked`] and [`TokenError::NoUserPin`] where no PIN would be right; [`TokenError::Module`].
    pub fn find(uri: KeyUri, module: &Path) -> Result<Self, TokenError> {
        let module = load(module)?;
        let slots = module.get_slots_with_initialized_token().map_err(failed("listing tokens"))?;
        // A reader that says nothing of what is in it has no token that fits.
        let all = slots.into_iter().filter_map(|slot| Some((slot, module.get_token_info(slot).ok()?)));
        let all: Vec<(Slot, TokenInfo)> = all.collect();
        let listed = |tokens: &[&(Slot, TokenInfo)]| {
            let names = tokens.iter().map(|(_, info)| format!("{} (serial {:?})", name(info), info.serial_number()));
            Found(names.take(MOST_LISTED + 1).collect())
        };
        let fitting: Vec<_> = all.iter().filter(|(slot, info)| fits(&uri, *slot, info)).collect();
        let (slot, info) = match fitting.as_slice() {
            [] => return Err(TokenError::NoToken(listed(&all.iter().collect::<Vec<_>>()))),
            [one] => one,
            many => return Err(TokenError::ManyTokens(listed(many))),
        };
        let (slot, name, login) = (*slot, name(info), login(info)?);
        Ok(Self { uri, module, slot, name, login })
    }

    /// Its label, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it lets its user in.
    #[must_use]
    pub fn login(&self) -> Login {
        self.login
    }

    /// Logs in with `pin`, where [`Token::login`] asks for one, and finds the key.
    ///
    /// # Errors
    /// See [`TokenError`]. A wrong PIN is tried once.
    pub fn unlock(self, pin: Option<&str>) -> Result<TokenKey, TokenError> {
        let session = self.module.open_ro_session(self.slot).map_err(failed("opening a session"))?;
        let logged_in = match (self.login, pin) {
            (Login::Open, _) => Ok(()),
            (Login::AtDevice, _) => session.login(UserType::User, None),
            (Login::Pin { .. }, None) => return Err(TokenError::PinNeeded(self.name)),
            (Login::Pin { .. }, Some(pin)) => session.login(UserType::User, Some(&AuthPin::from(pin))),
        };
        match logged_in {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => TokenKey::find(session, &self.uri),
            Err(error) => Err(self.refused(error)),
        }
    }

    fn refused(&self, error: Error) -> TokenError {
        let token = self.name.clone();
        match error {
            Error::Pkcs11(RvError::PinIncorrect, _) => match self.module.get_token_info(self.slot) {
                Ok(info) if info.user_pin_locked() => TokenError::PinLocked(token),
                info => TokenError::WrongPin { token, last_try: info.is_ok_and(|info| info.user_pin_final_try()) },
            },
            Error::Pkcs11(RvError::PinInvalid | RvError::PinLenRange, _) => TokenError::PinForm(token),
            Error::Pkcs11(RvError::PinExpired, _) => TokenError::PinExpired(token),
            Error::Pkcs11(RvError::PinLocked, _) => TokenError::PinLocked(token),
            Error::Pkcs11(RvError::UserPinNotInitialized, _) => TokenError::NoUserPin(token),
            error => failed("logging in")(error),
        }
    }
}

fn load(path: &Path) -> Result<Pkcs11, TokenError> {
    if !path.is_file() {
        return Err(TokenError::NoModule(path.to_owned()));
    }
    let cannot = |why: Error| TokenError::Load { module: path.to_owned(), why: why.to_string() };
    let module = Pkcs11::new(path).map_err(cannot)?;
    // It is never unloaded: threads that it started would run into nothing.
    std::mem::forget(module.clone());
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, Function::Initialize)) => Ok(module),
        Err(error) => Err(cannot(error)),
    }
}

fn name(info: &TokenInfo) -> String {
    format!("{:?}", info.label())
}

fn fits(uri: &KeyUri, slot: Slot, info: &TokenInfo) -> bool {
    let fits = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
    fits(&uri.token, info.label())
        && fits(&uri.manufacturer, info.manufacturer_id())
        && fits(&uri.model, info.model())
        && fits(&uri.serial, info.serial_number())
        && uri.slot_id.is_none_or(|id| id == slot.id())
}

fn login(info: &TokenInfo) -> Result<Login, TokenError> {
    if !info.login_required() {
        Ok(Login::Open)
    } else if info.user_pin_locked() {
        Err(TokenError::PinLocked(name(info)))
    } else if !info.user_pin_initialized() {
        Err(TokenError::NoUserPin(name(info)))
    } else if info.protected_authentication_path() {
        Ok(Login::AtDevice)
    } else {
        Ok(Login::Pin { last_try: info.user_pin_final_try() })
    }
}
