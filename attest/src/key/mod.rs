// SPDX-License-Identifier: Apache-2.0
//! Keys that sign and keys that verify: ECDSA over P-256 with SHA-256 (FIPS 186-5, section 6) and Ed25519 (RFC 8032), as
//! PKCS#8 (RFC 5958) and SubjectPublicKeyInfo (RFC 5480, RFC 8410) in PEM (RFC 7468).

mod ed25519;
mod encrypted;
mod error;
mod id;
mod p256;
mod signer;

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use pkcs8::der::pem::LineEnding;
use pkcs8::{
    DecodePrivateKey as _, Document, EncodePrivateKey as _, ObjectIdentifier, PrivateKeyInfoRef, SecretDocument,
};
use pkcs8::{EncodePublicKey as _, SubjectPublicKeyInfoRef};

pub use encrypted::{EncryptionSeed, is_encrypted};
pub use error::{InvalidSignature, KeyError};
pub use id::KeyId;
pub use p256::ecdsa_p256_signature;
pub(crate) use signer::signature;
pub use signer::{Signer, SignerError};

/// The longest PEM text that is read as a key, in bytes. The longest that is written takes about 500.
pub const MAX_PEM: usize = 4096;

/// The longest signature that is read, in bytes: an ECDSA signature over P-256 in DER takes up to 72.
pub const MAX_SIGNATURE: usize = 72;

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// ECDSA over P-256 with SHA-256; signatures in DER (RFC 3279, section 2.2.3).
    EcdsaP256,
    /// Ed25519; signatures of 64 bytes.
    Ed25519,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::EcdsaP256, Self::Ed25519];

    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Ed25519 => "ed25519",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == text).ok_or(KeyError::Algorithm)
    }
}

/// A key that signs. Neither its `Debug` form nor any error shows the secret, and dropping it clears it.
pub struct SigningKey(Secret);

enum Secret {
    P256(::p256::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

impl SigningKey {
    /// The key of `seed`, which the caller draws from a secure random source: the seed of Ed25519 (RFC 8032, section
    /// 5.1.5), or the private number of P-256, big-endian.
    ///
    /// # Errors
    /// [`KeyError::Seed`] where P-256 has no such number, as is so for one in 2^32: draw another.
    pub fn new(algorithm: Algorithm, seed: [u8; 32]) -> Result<Self, KeyError> {
        match algorithm {
            Algorithm::EcdsaP256 => p256::from_number(&seed).map(|key| Self(Secret::P256(key))),
            Algorithm::Ed25519 => Ok(Self::ed25519(seed)),
        }
    }

    /// The Ed25519 key of a seed.
    #[must_use]
    pub fn ed25519(seed: [u8; 32]) -> Self {
        Self(Secret::Ed25519(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// Reads a PKCS#8 `PRIVATE KEY`, with or without the public key in it.
    ///
    /// # Errors
    /// [`KeyError::TooLong`] past [`MAX_PEM`]; [`KeyError::Encrypted`] where it needs a passphrase; [`KeyError::Private`]
    /// where it is no private key of P-256 or Ed25519, or names a public key that is not its own.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, KeyError> {
        error::within_bound(pem)?;
        if is_encrypted(pem) {
            return Err(KeyError::Encrypted);
        }
        let (label, document) = SecretDocument::from_pem(pem).map_err(error::private)?;
        if label != "PRIVATE KEY" {
            return Err(KeyError::Private(format!("it is a {label}")));
        }
        Self::from_pkcs8(document.as_bytes())
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(error::private)?;
        match info.algorithm.oid {
            ed25519::OID => ed25519::from_pkcs8(info).map(|key| Self(Secret::Ed25519(key))),
            p256::OID => {
                let key = ::p256::ecdsa::SigningKey::from_pkcs8_der(der).map_err(error::private)?;
                Ok(Self(Secret::P256(key)))
            }
            other => Err(KeyError::Private(format!("its algorithm is {other}"))),
        }
    }

    fn to_pkcs8(&self) -> Result<SecretDocument, KeyError> {
        match &self.0 {
            Secret::P256(key) => key.to_pkcs8_der().map_err(error::private),
            Secret::Ed25519(key) => ed25519::to_pkcs8(key),
        }
    }

    /// Writes a PKCS#8 `PRIVATE KEY` in its first version, which every implementation reads. What is returned is cleared
    /// when it is dropped.
    ///
    /// # Errors
    /// [`KeyError::Private`] where encoding fails; it has no reason to.
    pub fn to_pkcs8_pem(&self) -> Result<impl Deref<Target = String> + use<>, KeyError> {
        self.to_pkcs8()?.to_pem("PRIVATE KEY", LineEnding::LF).map_err(error::private)
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Secret::P256(_) => Algorithm::EcdsaP256,
            Secret::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(match &self.0 {
            Secret::P256(key) => Point::P256(*key.verifying_key()),
            Secret::Ed25519(key) => Point::Ed25519(key.verifying_key()),
        })
    }

    /// Signs `message`. The same key always makes the same signature of it: that of RFC 8032, section 5.1.6, or of RFC
    /// 6979, in DER, with the smaller of the two values that `s` can have.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.0 {
            Secret::P256(key) => p256::sign(key, message),
            Secret::Ed25519(key) => ed25519::sign(key, message),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, keyid {})", self.algorithm(), self.public_key().id())
    }
}

/// A key that verifies. Each has one encoding, so that one key has one id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(Point);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Point {
    P256(::p256::ecdsa::VerifyingKey),
    /// In the prime-order subgroup, other than the identity, and canonically encoded.
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl PublicKey {
    /// Takes the 32 bytes of an Ed25519 key (RFC 8032, section 5.1.5).
    ///
    /// # Errors
    /// [`KeyError::NotAPoint`] and [`KeyError::Weak`]: no honest key is either, and a signature of a weak key can be valid
    /// for more than one message.
    pub fn ed25519(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        ed25519::point(bytes).map(|point| Self(Point::Ed25519(point)))
    }

    /// Takes the 65 bytes of a P-256 key: its uncompressed point (SEC 1, section 2.3.3).
    ///
    /// # Errors
    /// [`KeyError::NotAPoint`].
    pub fn p256(point: &[u8]) -> Result<Self, KeyError> {
        p256::point(point).map(|point| Self(Point::P256(point)))
    }

    /// Reads a SubjectPublicKeyInfo `PUBLIC KEY` (RFC 5480, section 2; RFC 8410, section 4).
    ///
    /// # Errors
    /// [`KeyError::TooLong`] past [`MAX_PEM`]; [`KeyError::Public`] where it is no public key of P-256 or Ed25519, or not
    /// in the one encoding that it has here (points of P-256 uncompressed); and as [`PublicKey::ed25519`].
    pub fn from_spki_pem(pem: &str) -> Result<Self, KeyError> {
        error::within_bound(pem)?;
        let (label, document) = Document::from_pem(pem).map_err(error::public)?;
        if label != "PUBLIC KEY" {
            return Err(KeyError::Public(format!("it is a {label}")));
        }
        Self::from_spki_der(document.as_bytes())
    }

    /// Reads a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// As [`PublicKey::from_spki_pem`].
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::try_from(der).map_err(error::public)?;
        let key = match info.algorithm.oid {
            ed25519::OID => Self::ed25519(&ed25519::spki_bytes(der)?)?,
            p256::OID => Self(Point::P256(info.try_into().map_err(error::public)?)),
            other => return Err(KeyError::Public(format!("its algorithm is {other}"))),
        };
        if key.to_spki_der()? == der { Ok(key) } else { Err(KeyError::Public("it has another encoding".into())) }
    }

    /// Writes a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// [`KeyError::Public`] where encoding fails; it has no reason to.
    pub fn to_spki_der(&self) -> Result<Vec<u8>, KeyError> {
        self.document().map(Document::into_vec)
    }

    /// Writes a SubjectPublicKeyInfo `PUBLIC KEY`.
    ///
    /// # Errors
    /// [`KeyError::Public`] where encoding fails; it has no reason to.
    pub fn to_spki_pem(&self) -> Result<String, KeyError> {
        self.document()?.to_pem("PUBLIC KEY", LineEnding::LF).map_err(error::public)
    }

    fn document(&self) -> Result<Document, KeyError> {
        match &self.0 {
            Point::P256(key) => key.to_public_key_der(),
            Point::Ed25519(key) => key.to_public_key_der(),
        }
        .map_err(error::public)
    }

    /// The 32 bytes of an Ed25519 key (RFC 8032, section 5.1.5); none of another.
    #[must_use]
    pub fn ed25519_bytes(&self) -> Option<[u8; 32]> {
        match &self.0 {
            Point::P256(_) => None,
            Point::Ed25519(key) => Some(key.to_bytes()),
        }
    }

    /// How its signatures are made.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Point::P256(_) => Algorithm::EcdsaP256,
            Point::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// What an envelope calls this key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        match &self.0 {
            Point::P256(key) => KeyId::of(&p256::spki(key)),
            Point::Ed25519(key) => KeyId::of(&ed25519::spki(key)),
        }
    }

    /// Verifies a signature strictly.
    ///
    /// Of Ed25519, one signature is valid for one key and one message, whoever checks it: beyond RFC 8032, section 5.1.7,
    /// without the cofactor, the key is of prime order, and `R` is canonically encoded and not of small order. Of ECDSA,
    /// two are, as in FIPS 186-5: with `s`, and with its negative; each in one encoding, the DER of RFC 3279.
    ///
    /// # Errors
    /// [`InvalidSignature`] where it is not this key's signature of `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        match &self.0 {
            Point::P256(key) => p256::verify(key, message, signature),
            Point::Ed25519(key) => ed25519::verify(key, message, signature),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, keyid {})", self.algorithm(), self.id())
    }
}

/// The object identifier of a key's algorithm.
const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}
