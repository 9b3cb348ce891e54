// SPDX-License-Identifier: Apache-2.0
//! Ed25519 keys (RFC 8032): signing keys as PKCS#8, public keys as SubjectPublicKeyInfo, both in PEM (RFC 8410, RFC 7468).

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
    PublicKeyBytes,
};
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use reprove_model::Sha256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// The longest PEM text that is read as a key, in bytes. An Ed25519 key takes about 120.
pub const MAX_PEM: usize = 4096;

/// A key that signs. Neither its `Debug` form nor any error shows the secret, and dropping it clears it.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of a 32-byte seed (RFC 8032, section 5.1.5), which the caller draws from a secure random source.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// Reads a PKCS#8 `PRIVATE KEY` (RFC 8410, section 7), with or without the public key in it.
    ///
    /// # Errors
    /// [`KeyError::TooLong`] past [`MAX_PEM`]; [`KeyError::Private`] where it is no Ed25519 private key, is encrypted, or
    /// names a public key that is not its own.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, KeyError> {
        within_bound(pem)?;
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|e| KeyError::Private(e.to_string()))
    }

    /// Writes a PKCS#8 `PRIVATE KEY` in its first version, without the public key, which every implementation reads. What
    /// is returned is cleared when it is dropped.
    ///
    /// # Errors
    /// [`KeyError::Private`] where encoding fails; it has no reason to.
    pub fn to_pkcs8_pem(&self) -> Result<impl Deref<Target = String> + use<>, KeyError> {
        let pair = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        pair.to_pkcs8_pem(LineEnding::LF).map_err(|e| KeyError::Private(e.to_string()))
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `message`: the 64 bytes of RFC 8032, section 5.1.6.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(keyid {})", self.public_key().id())
    }
}

/// A key that verifies: a point of the prime-order subgroup other than the identity, canonically encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Takes the 32 bytes of RFC 8032, section 5.1.5.
    ///
    /// # Errors
    /// [`KeyError::NotAPoint`] and [`KeyError::Weak`]: no honest key is either, and a signature of a weak key can be valid
    /// for more than one message.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        let point = key.to_edwards();
        if point.compress().as_bytes() != bytes {
            return Err(KeyError::NotAPoint);
        }
        if point.is_small_order() || !point.is_torsion_free() {
            return Err(KeyError::Weak);
        }
        Ok(Self(key))
    }

    /// Reads a SubjectPublicKeyInfo `PUBLIC KEY` (RFC 8410, section 4).
    ///
    /// # Errors
    /// [`KeyError::TooLong`] past [`MAX_PEM`]; [`KeyError::Public`] where it is no Ed25519 public key; and as
    /// [`PublicKey::from_bytes`].
    pub fn from_spki_pem(pem: &str) -> Result<Self, KeyError> {
        within_bound(pem)?;
        let bytes = PublicKeyBytes::from_public_key_pem(pem).map_err(|e| KeyError::Public(e.to_string()))?;
        Self::from_bytes(&bytes.to_bytes())
    }

    /// Writes a SubjectPublicKeyInfo `PUBLIC KEY`.
    ///
    /// # Errors
    /// [`KeyError::Public`] where encoding fails; it has no reason to.
    pub fn to_spki_pem(&self) -> Result<String, KeyError> {
        self.0.to_public_key_pem(LineEnding::LF).map_err(|e| KeyError::Public(e.to_string()))
    }

    /// The 32 bytes of RFC 8032, section 5.1.5.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// What an envelope calls this key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(*Sha256::of(&[SPKI_PREFIX.as_slice(), self.as_bytes()].concat()).as_bytes())
    }

    /// Verifies a signature strictly: one signature is valid for one key and one message, whoever checks it.
    ///
    /// Beyond RFC 8032, section 5.1.7, without the cofactor: the key is of prime order (see [`PublicKey::from_bytes`]), and
    /// `R` is canonically encoded and not of small order.
    ///
    /// # Errors
    /// [`InvalidSignature`] where it is not this key's signature of `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), InvalidSignature> {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| InvalidSignature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey(keyid {})", self.id())
    }
}

/// The DER of RFC 8410, section 4, up to the 32 bytes of the key: SEQUENCE, AlgorithmIdentifier 1.3.101.112, BIT STRING.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What an envelope calls a key: the SHA-256 of its DER SubjectPublicKeyInfo, as text in standard base64.
///
/// It is a hint, and only that: it says which key to try, and proves nothing by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId([u8; 32]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = if text.len() == 44 { STANDARD.decode(text).ok() } else { None };
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(KeyError::KeyId)
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

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
    #[error("this is not an Ed25519 private key in PKCS#8 PEM (it starts with -----BEGIN PRIVATE KEY-----): {0}")]
    Private(String),
    /// No public key.
    #[error("this is not an Ed25519 public key in PEM (it starts with -----BEGIN PUBLIC KEY-----): {0}")]
    Public(String),
    /// Bytes that no point of the curve is encoded as.
    #[error("the public key's 32 bytes are not the encoding of a point of Ed25519's curve")]
    NotAPoint,
    /// A point outside the prime-order subgroup.
    #[error(
        "the public key is weak: its point is not of prime order, so one signature could be valid for many messages"
    )]
    Weak,
    /// A text that is no keyid.
    #[error("a keyid is the SHA-256 of a public key, as 44 characters of standard base64")]
    KeyId,
}

fn within_bound(pem: &str) -> Result<(), KeyError> {
    if pem.len() > MAX_PEM { Err(KeyError::TooLong(pem.len())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8410, section 10.1 and 10.3.
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                          -----END PUBLIC KEY-----\n";
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                           -----END PRIVATE KEY-----\n";

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn known_answer() {
        let hex = |text: &str| text.parse::<Sha256>().unwrap().as_bytes().to_owned();
        let key = SigningKey::from_seed(hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
        let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        assert_eq!(key.public_key().as_bytes(), &public);
        let expected = [
            hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"),
            hex("085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
        ]
        .concat();
        assert_eq!(key.sign(&[0x72]).as_slice(), expected);
        assert_eq!(key.public_key().verify(&[0x72], &expected.clone().try_into().unwrap()), Ok(()));
        assert_eq!(key.public_key().verify(&[0x73], &expected.try_into().unwrap()), Err(InvalidSignature));
    }

    #[test]
    fn the_keys_of_rfc_8410_are_read_and_written() {
        let key = SigningKey::from_pkcs8_pem(PRIVATE).unwrap();
        assert_eq!(key.to_pkcs8_pem().unwrap().as_str(), PRIVATE);
        assert_eq!(key.public_key().to_spki_pem().unwrap(), PUBLIC);
        assert_eq!(PublicKey::from_spki_pem(PUBLIC).unwrap(), key.public_key());
        let with_public = key.0.to_pkcs8_pem(LineEnding::LF).unwrap();
        assert_ne!(with_public.as_str(), PRIVATE);
        assert_eq!(SigningKey::from_pkcs8_pem(&with_public).unwrap().public_key(), key.public_key());
        assert!(SigningKey::from_pkcs8_pem(PUBLIC).is_err());
        assert!(PublicKey::from_spki_pem(PRIVATE).is_err());
    }

    #[test]
    fn a_keyid_is_over_the_der() {
        let key = PublicKey::from_spki_pem(PUBLIC).unwrap();
        let der = key.0.to_public_key_der().unwrap();
        assert_eq!(key.id(), KeyId(*Sha256::of(der.as_bytes()).as_bytes()));
        assert_eq!(key.id().to_string().parse(), Ok(key.id()));
        for bad in ["", "AA==", &key.id().to_string()[1..], &key.id().to_string().replace('=', "A")] {
            assert_eq!(bad.parse::<KeyId>(), Err(KeyError::KeyId), "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = SigningKey::from_pkcs8_pem(PRIVATE).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey(keyid {})", key.public_key().id()));
        let damaged = PRIVATE.replace("MC4CAQ", "MC4CAR");
        let error = SigningKey::from_pkcs8_pem(&damaged).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("1O5y"), "{error}");
    }

    #[test]
    fn the_bound_holds_on_both_sides() {
        let text = |n: usize| format!("{PUBLIC}{}", "\n".repeat(n - PUBLIC.len()));
        assert!(!matches!(PublicKey::from_spki_pem(&text(MAX_PEM)), Err(KeyError::TooLong(_))));
        assert_eq!(PublicKey::from_spki_pem(&text(MAX_PEM + 1)), Err(KeyError::TooLong(MAX_PEM + 1)));
        assert!(matches!(SigningKey::from_pkcs8_pem(&text(MAX_PEM + 1)), Err(KeyError::TooLong(_))));
    }

    #[test]
    fn weak_keys_and_second_encodings_are_refused() {
        let mut bytes = [0; 32];
        assert_eq!(PublicKey::from_bytes(&bytes), Err(KeyError::Weak));
        bytes[0] = 1;
        assert_eq!(PublicKey::from_bytes(&bytes), Err(KeyError::Weak));
        bytes[0] = 2;
        assert_eq!(PublicKey::from_bytes(&bytes), Err(KeyError::NotAPoint));
        let mut zero_again = [0xff; 32];
        zero_again[0] = 0xed;
        assert_eq!(PublicKey::from_bytes(&zero_again), Err(KeyError::NotAPoint));
    }
}
