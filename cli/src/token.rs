// SPDX-License-Identifier: Apache-2.0
//! The key on a PKCS#11 token: its module, its PIN, and what to do where the token does not sign.

use std::path::Path;

use reprove_attest::SignerError;
use reprove_token::{KeyUri, Login, Token, TokenError, TokenKey, UriError};

use crate::app::{absolute, blocking};
use crate::env_vars::{self, PKCS11_MODULE, PKCS11_PIN};
use crate::error::CommandError;
use crate::open;
use crate::passphrase::{self, Passphrase};

/// The longest file that has a PIN, in bytes.
const MAX_PIN_FILE: usize = 4096;

/// The key that a URI names. Asks for the PIN where it is nowhere else.
pub(crate) async fn load(uri: KeyUri) -> Result<TokenKey, CommandError> {
    let source = uri.pin_source().map(Path::to_owned);
    let token = find(uri).await?;
    let pin = match token.login() {
        Login::Pin { last_try } => Some(pin(token.name(), last_try, source.as_deref()).await?),
        Login::AtDevice | Login::Open => None,
    };
    Ok(blocking(move || token.unlock(pin.as_ref().map(|pin| pin.as_str()))).await??)
}

/// Looks whether the token that a URI names is there; gives its name. Nobody is logged in for that.
pub(crate) async fn look(uri: KeyUri) -> Result<String, CommandError> {
    Ok(find(uri).await?.name().to_owned())
}

async fn find(uri: KeyUri) -> Result<Token, CommandError> {
    let module = match (uri.module_path(), env_vars::path(PKCS11_MODULE)) {
        (Some(path), _) => path.to_owned(),
        (None, Some(path)) => absolute(&path)?,
        (None, None) => {
            return Err(CommandError::bad_usage("nothing says which PKCS#11 module the token is reached by")
                .next(format!("add ?module-path=/PATH/OF/MODULE.so to the URI, or set {PKCS11_MODULE}")));
        }
    };
    Ok(blocking(move || Token::find(uri, &module)).await??)
}

/// The PIN: of the file that the URI names, out of `REPROVE_PKCS11_PIN`, or asked for.
async fn pin(token: &str, last_try: bool, source: Option<&Path>) -> Result<Passphrase, CommandError> {
    let given = match source {
        Some(path) => Some(of_file(path)?),
        None => env_vars::text(PKCS11_PIN).map(Passphrase::from),
    };
    match given {
        // Nobody looks at what a script tries.
        Some(_) if last_try => Err(CommandError::bad_usage(format!(
            "one try is left before the token {token} locks, and it is not spent on a PIN that nobody types"
        ))
        .next(format!(
            "run it at a terminal, without {PKCS11_PIN} and `pin-source`: the right PIN gives all tries back"
        ))),
        Some(pin) => Ok(pin),
        None => passphrase::pin(token, last_try).await,
    }
}

fn of_file(path: &Path) -> Result<Passphrase, CommandError> {
    let mut pin = open::secret("PIN file", path, MAX_PIN_FILE, "change the PIN")?;
    if pin.ends_with('\n') {
        pin.pop();
    }
    if pin.is_empty() || pin.len() >= MAX_PIN_FILE || pin.contains('\n') {
        let text = format!("the PIN file {} has not one line with a PIN of at most 4,095 bytes", path.display());
        return Err(CommandError::bad_usage(text));
    }
    Ok(pin)
}

/// A text that is meant to be a URI of a key, and is none.
pub(crate) fn no_uri(error: UriError) -> CommandError {
    let this = CommandError::bad_usage(error.to_string());
    this.next(match error {
        UriError::PinValue => format!(
            "change the PIN, and put it into a file of yours alone, with pin-source=file:/PATH in its place, or into {PKCS11_PIN}"
        ),
        _ => "pkcs11:token=LABEL;object=LABEL?module-path=/PATH/OF/MODULE.so is how one is written".into(),
    })
}

impl From<TokenError> for CommandError {
    fn from(error: TokenError) -> Self {
        let text = error.to_string();
        let (bad, cannot) = (CommandError::bad_usage, CommandError::cannot);
        match error {
            TokenError::NoModule(_) => bad(text).next("name the shared library that came with the token"),
            TokenError::Load { .. } => cannot(text).next("name the shared library that came with the token"),
            TokenError::Module { .. } => cannot(text).next("look whether the token is still there, and run it again"),
            TokenError::NoToken(_) => cannot(text).next("put the token in, or name one that is there with token=LABEL"),
            TokenError::ManyTokens(_) => bad(text).next("add serial=SERIAL to the URI"),
            TokenError::NoUserPin(_) => {
                cannot(text).next("set one: pkcs11-tool --login --login-type so --init-pin, with its --module")
            }
            TokenError::PinNeeded(_) | TokenError::WrongPin { .. } | TokenError::PinForm(_) => bad(text).next(format!(
                "a PIN comes from `pin-source` in the URI, {PKCS11_PIN}, or the terminal, in this order"
            )),
            TokenError::PinExpired(_) => {
                cannot(text).next("change it: pkcs11-tool --login --change-pin, with its --module")
            }
            TokenError::PinLocked(_) => cannot(text).next(
                "have the token's officer unlock it: pkcs11-tool --login --login-type so --init-pin, with its --module",
            ),
            TokenError::NoKey(_) => bad(text).next("name one of these with object=LABEL or id=%01"),
            TokenError::ManyKeys(_) => bad(text).next("add the id of one of these to the URI, as in id=%01"),
            TokenError::Kind(_) | TokenError::MayNotSign => bad(text).next(MAKE),
            TokenError::PinEachTime => {
                bad(text).next("name a key that is used after one login, without CKA_ALWAYS_AUTHENTICATE")
            }
            TokenError::NoPublic | TokenError::ManyPublic | TokenError::Public(_) => bad(text)
                .next("write the public key beside the private one, with the same id: pkcs11-tool --write-object"),
        }
    }
}

/// How a key is made that signs here.
pub(crate) const MAKE: &str = "make one: pkcs11-tool --login --keypairgen --key-type EC:prime256v1 --usage-sign --label LABEL --id 01, with its --module";

impl From<SignerError> for CommandError {
    fn from(error: SignerError) -> Self {
        let this = Self::cannot(error.to_string());
        match error {
            SignerError::Failed { .. } => this.next("look whether the token is still there, and run it again"),
            SignerError::Wrong(_) => {
                this.next("sign with another key: the token signs wrongly, or its public key is not this one's")
            }
        }
    }
}
