// SPDX-License-Identifier: Apache-2.0
//! Private keys under a passphrase: PKCS#8 `ENCRYPTED PRIVATE KEY` (RFC 5958, section 3) by PBES2 (RFC 8018, section 6.2).

use std::ops::Deref;

use pkcs8::der::pem::LineEnding;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{Kdf, Parameters};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, SecretDocument};

use super::{KeyError, SigningKey, error};

/// The iterations of PBKDF2 with HMAC-SHA-256 in what is written.
const ITERATIONS: u32 = 600_000;

/// The most iterations in what is read: some ten seconds.
const MAX_ITERATIONS: u32 = 20_000_000;

/// The most memory that scrypt may take in what is read, in bytes.
const MAX_SCRYPT: u64 = 256 << 20;

/// What encrypting needs beside the passphrase; drawn anew for each key from a secure random source.
#[derive(Clone, Copy)]
pub struct EncryptionSeed {
    /// Of PBKDF2.
    pub salt: [u8; 16],
    /// Of AES-256-CBC.
    pub iv: [u8; 16],
}

/// Whether a text in PEM is a private key under a passphrase.
#[must_use]
pub fn is_encrypted(pem: &str) -> bool {
    pem.trim_start().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----")
}

impl SigningKey {
    /// Reads a PKCS#8 `ENCRYPTED PRIVATE KEY`: PBES2 with PBKDF2 or scrypt, and AES.
    ///
    /// # Errors
    /// [`KeyError::Passphrase`] where it can't be decrypted; [`KeyError::Encryption`] where it is encrypted otherwise, or
    /// in a way that takes too long; and as [`SigningKey::from_pkcs8_pem`].
    pub fn from_encrypted_pem(pem: &str, passphrase: &[u8]) -> Result<Self, KeyError> {
        error::within_bound(pem)?;
        let (label, document) = SecretDocument::from_pem(pem).map_err(error::private)?;
        if label != "ENCRYPTED PRIVATE KEY" {
            return Err(KeyError::Private(format!("it is a {label}")));
        }
        let info = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(error::private)?;
        match &info.encryption_algorithm {
            EncryptionScheme::Pbes2(parameters) => bounded(&parameters.kdf)?,
            _ => return Err(KeyError::Encryption("it is not by PBES2")),
        }
        let decrypted = info.decrypt(passphrase).map_err(|_| KeyError::Passphrase)?;
        Self::from_pkcs8(decrypted.as_bytes())
    }

    /// Writes a PKCS#8 `ENCRYPTED PRIVATE KEY`: PBES2 with PBKDF2 (HMAC-SHA-256, 600,000 iterations) and AES-256-CBC,
    /// which OpenSSL reads.
    ///
    /// # Errors
    /// [`KeyError::Private`] where encoding fails; it has no reason to.
    pub fn to_encrypted_pem(
        &self,
        passphrase: &[u8],
        seed: &EncryptionSeed,
    ) -> Result<impl Deref<Target = String> + use<>, KeyError> {
        let parameters = Parameters::generate_pbkdf2_sha256_aes256cbc(ITERATIONS, &seed.salt, seed.iv);
        let plain = self.to_pkcs8()?;
        let info = PrivateKeyInfoRef::try_from(plain.as_bytes()).map_err(error::private)?;
        let document = info.encrypt_with_params(parameters.map_err(error::private)?, passphrase);
        document.map_err(error::private)?.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).map_err(error::private)
    }
}

/// Refuses what would keep this machine busy for long.
fn bounded(kdf: &Kdf) -> Result<(), KeyError> {
    match kdf {
        Kdf::Pbkdf2(pbkdf2) if pbkdf2.iteration_count <= MAX_ITERATIONS => Ok(()),
        Kdf::Scrypt(scrypt) => {
            let (n, r, p) = (scrypt.cost_parameter, scrypt.block_size.into(), u64::from(scrypt.parallelization));
            let bytes = n.checked_mul(r).and_then(|blocks| blocks.checked_mul(128));
            if bytes.is_some_and(|bytes| bytes <= MAX_SCRYPT) && p <= 16 {
                Ok(())
            } else {
                Err(KeyError::Encryption("its scrypt takes more than 256 MiB, or more than 16 passes"))
            }
        }
        _ => Err(KeyError::Encryption("its PBKDF2 has more than 20,000,000 iterations")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    const SEED: EncryptionSeed = EncryptionSeed { salt: [1; 16], iv: [2; 16] };

    #[test]
    fn what_is_encrypted_opens_with_its_passphrase_alone() {
        for algorithm in Algorithm::ALL {
            let key = SigningKey::new(algorithm, [7; 32]).unwrap();
            let pem = key.to_encrypted_pem(b"correct horse", &SEED).unwrap();
            assert!(is_encrypted(&pem) && !is_encrypted(&key.to_pkcs8_pem().unwrap()));
            let again = SigningKey::from_encrypted_pem(&pem, b"correct horse").unwrap();
            assert_eq!(again.public_key(), key.public_key());
            assert_eq!(SigningKey::from_encrypted_pem(&pem, b"battery staple").unwrap_err(), KeyError::Passphrase);
            assert_eq!(SigningKey::from_pkcs8_pem(&pem).unwrap_err(), KeyError::Encrypted);
        }
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let pbkdf2 = |iterations| Parameters::generate_pbkdf2_sha256_aes256cbc(iterations, &[1; 16], [2; 16]).unwrap();
        assert_eq!(bounded(&pbkdf2(MAX_ITERATIONS).kdf), Ok(()));
        assert!(matches!(bounded(&pbkdf2(MAX_ITERATIONS + 1).kdf), Err(KeyError::Encryption(_))));
        let scrypt = |log_n, r, p| {
            let parameters = pkcs8::pkcs5::scrypt::Params::new(log_n, r, p).unwrap();
            Parameters::generate_scrypt_aes256cbc(parameters, &[1; 16], [2; 16]).unwrap()
        };
        for ((log_n, r, p), within) in
            [((18, 8, 1), true), ((18, 8, 16), true), ((19, 8, 1), false), ((18, 9, 1), false), ((14, 8, 17), false)]
        {
            assert_eq!(bounded(&scrypt(log_n, r, p).kdf).is_ok(), within, "{log_n} {r} {p}");
        }
    }
}
