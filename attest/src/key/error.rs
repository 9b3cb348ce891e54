// SPDX-License-Identifier: Apache-2.0
//! Why something is no key, or no signature.

use std::fmt;

use thiserror::Error;

use super::MAX_PEM;

/// A signature that is not the key's signature of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the signature is not this key's signature of these bytes")]
pub struct InvalidSignature;

/// Why a text or bytes are no key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// More than [`MAX_PEM`] bytes.
    #[error("the key file has {0} bytes; a key in PEM has at most {MAX_PEM}")]
    TooLong(usize),
    /// No private key that can be used.
    #[error(
        "this is not a private key of ECDSA P-256 or Ed25519 in PKCS#8 PEM (it starts with -----BEGIN PRIVATE KEY----- or \
         -----BEGIN ENCRYPTED PRIVATE KEY-----): {0}"
    )]
    Private(String),
    /// A private key that is encrypted, where no passphrase was given.
    #[error("the private key is encrypted with a passphrase")]
    Encrypted,
    /// A wrong passphrase, or a damaged file.
    #[error("the passphrase does not open this private key, or the file is damaged")]
    Passphrase,
    /// An encryption that would take too long, or one that is not known.
    #[error("the private key is encrypted in a way that is not read here: {0}")]
    Encryption(&'static str),
    /// No public key.
    #[error(
        "this is not a public key of ECDSA P-256 or Ed25519 in PEM (it starts with -----BEGIN PUBLIC KEY-----): {0}"
    )]
    Public(String),
    /// Bytes that no point of the curve is encoded as.
    #[error("the public key's bytes are not the encoding of a point of its curve")]
    NotAPoint,
    /// A point outside the prime-order subgroup.
    #[error(
        "the public key is weak: its point is not of prime order, so one signature could be valid for many messages"
    )]
    Weak,
    /// A number that is no private number of P-256.
    #[error("these 32 bytes are no private number of P-256")]
    Seed,
    /// A text that is no keyid.
    #[error("a keyid is the SHA-256 of a public key, as 44 characters of standard base64")]
    KeyId,
    /// A text that names no algorithm.
    #[error("a key's algorithm is ecdsa-p256 or ed25519")]
    Algorithm,
}

pub(super) fn private(error: impl fmt::Display) -> KeyError {
    KeyError::Private(error.to_string())
}

pub(super) fn public(error: impl fmt::Display) -> KeyError {
    KeyError::Public(error.to_string())
}

pub(super) fn within_bound(pem: &str) -> Result<(), KeyError> {
    if pem.len() > MAX_PEM { Err(KeyError::TooLong(pem.len())) } else { Ok(()) }
}
