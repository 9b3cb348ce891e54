// SPDX-License-Identifier: Apache-2.0
//! Why a token has no key that signs.

use std::fmt;
use std::path::PathBuf;

use reprove_attest::KeyError;
use thiserror::Error;

/// The most tokens or keys that an error lists.
pub(crate) const MOST_LISTED: usize = 8;

/// Tokens or keys that there are, for people; some of them where there are many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found(pub Vec<String>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("there is none");
        }
        let more = if self.0.len() > MOST_LISTED { " and others" } else { "" };
        let listed: Vec<&str> = self.0.iter().take(MOST_LISTED).map(String::as_str).collect();
        write!(f, "there are {}{more}", listed.join(", "))
    }
}

/// Why a token has no key that signs, or does not let it be used.
#[derive(Debug, Error)]
pub enum TokenError {
    /// No file to load.
    #[error("there is no PKCS#11 module at {}", .0.display())]
    NoModule(PathBuf),
    /// A file that is no module, or does not work here.
    #[error("the PKCS#11 module {} can't be loaded: {why}", module.display())]
    Load {
        /// Which.
        module: PathBuf,
        /// What the loader or the module said.
        why: String,
    },
    /// A call that failed.
    #[error("the PKCS#11 module failed at {doing}: {why}")]
    Module {
        /// At what.
        doing: &'static str,
        /// What it said.
        why: String,
    },
    /// No token that fits.
    #[error("no token fits the URI; {0}")]
    NoToken(Found),
    /// More than one.
    #[error("more than one token fits the URI; {0}")]
    ManyTokens(Found),
    /// A token whose user has no PIN yet.
    #[error("the token {0} has no PIN for its user yet")]
    NoUserPin(String),
    /// No PIN was given where one is needed.
    #[error("the token {0} needs a PIN")]
    PinNeeded(String),
    /// A wrong one.
    #[error("the PIN is not that of the token {token}{}", if *.last_try { "; one try is left before it locks" } else { "" })]
    WrongPin {
        /// Which token.
        token: String,
        /// Whether the next wrong one locks it.
        last_try: bool,
    },
    /// One that can't be right.
    #[error("the PIN is too short or too long for the token {0}, or has characters that it does not take")]
    PinForm(String),
    /// One that was valid once.
    #[error("the PIN of the token {0} has expired, or has to be changed first")]
    PinExpired(String),
    /// Too many wrong ones.
    #[error("the PIN of the token {0} is locked: too many wrong ones were tried")]
    PinLocked(String),
    /// No key that fits.
    #[error("no private key on the token fits the URI; {0}")]
    NoKey(Found),
    /// More than one.
    #[error("more than one private key on the token fits the URI; {0}")]
    ManyKeys(Found),
    /// Of another kind.
    #[error("the key is of another kind than ECDSA P-256 and Ed25519: {0}")]
    Kind(String),
    /// A key for other things.
    #[error("the token does not let this key sign: it was made for something else")]
    MayNotSign,
    /// A key that wants a PIN for every signature.
    #[error("the token asks for the PIN again for each signature of this key, which is not done here")]
    PinEachTime,
    /// No public half.
    #[error("the token has the private key, and not the public one that belongs to it")]
    NoPublic,
    /// More than one.
    #[error("the token has different public keys for this one private key")]
    ManyPublic,
    /// A public half that is none.
    #[error("the public key on the token: {0}")]
    Public(#[from] KeyError),
}

/// A module's failure at something.
pub(crate) fn failed(doing: &'static str) -> impl Fn(cryptoki::error::Error) -> TokenError {
    move |error| TokenError::Module { doing, why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_is_bounded_on_both_sides() {
        let of = |count| Found((0..count).map(|n| format!("k{n}")).collect()).to_string();
        assert_eq!(of(0), "there is none");
        assert_eq!(of(2), "there are k0, k1");
        assert!(of(MOST_LISTED).ends_with("k6, k7") && of(MOST_LISTED + 1).ends_with("k6, k7 and others"));
    }
}
