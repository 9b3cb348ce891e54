// SPDX-License-Identifier: Apache-2.0
//! Ed25519 (RFC 8032), as strict as it can be verified.

use ed25519_dalek::pkcs8::{KeypairBytes, PublicKeyBytes};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use pkcs8::{DecodePublicKey as _, EncodePrivateKey as _, ObjectIdentifier, PrivateKeyInfoRef, SecretDocument};

use super::{InvalidSignature, KeyError, error};

/// RFC 8410, section 3.
pub(super) const OID: ObjectIdentifier = super::oid("1.3.101.112");

/// The DER of RFC 8410, section 4, up to the 32 bytes of the key: SEQUENCE, AlgorithmIdentifier 1.3.101.112, BIT STRING.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

pub(super) fn from_pkcs8(info: PrivateKeyInfoRef<'_>) -> Result<SigningKey, KeyError> {
    info.try_into().map_err(error::private)
}

/// In its first version, without the public key.
pub(super) fn to_pkcs8(key: &SigningKey) -> Result<SecretDocument, KeyError> {
    let pair = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
    pair.to_pkcs8_der().map_err(error::private)
}

pub(super) fn spki(key: &VerifyingKey) -> Vec<u8> {
    [SPKI_PREFIX.as_slice(), key.as_bytes()].concat()
}

pub(super) fn spki_bytes(der: &[u8]) -> Result<[u8; 32], KeyError> {
    PublicKeyBytes::from_public_key_der(der).map(|bytes| bytes.to_bytes()).map_err(error::public)
}

/// A point of the prime-order subgroup other than the identity, in its canonical encoding.
pub(super) fn point(bytes: &[u8; 32]) -> Result<VerifyingKey, KeyError> {
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
    let point = key.to_edwards();
    if point.compress().as_bytes() != bytes {
        return Err(KeyError::NotAPoint);
    }
    if point.is_small_order() || !point.is_torsion_free() {
        return Err(KeyError::Weak);
    }
    Ok(key)
}

pub(super) fn sign(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    key.sign(message).to_bytes().to_vec()
}

pub(super) fn verify(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
    let signature = Signature::from_slice(signature).map_err(|_| InvalidSignature)?;
    key.verify_strict(message, &signature).map_err(|_| InvalidSignature)
}

#[cfg(test)]
mod tests {
    use pkcs8::EncodePublicKey as _;
    use pkcs8::der::pem::LineEnding;
    use reprove_model::Sha256;

    use super::*;
    use crate::key::Secret;
    use crate::{KeyId, MAX_PEM, PublicKey};

    /// RFC 8410, section 10.1 and 10.3.
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                          -----END PUBLIC KEY-----\n";
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                           -----END PRIVATE KEY-----\n";

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn known_answer() {
        let hex = |text: &str| text.parse::<Sha256>().unwrap().as_bytes().to_owned();
        let key = crate::SigningKey::ed25519(hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
        let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        assert_eq!(key.public_key(), PublicKey::ed25519(&public).unwrap());
        let expected = [
            hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"),
            hex("085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
        ]
        .concat();
        assert_eq!(key.sign(&[0x72]), expected);
        assert_eq!(key.public_key().verify(&[0x72], &expected), Ok(()));
        assert_eq!(key.public_key().verify(&[0x73], &expected), Err(InvalidSignature));
        assert_eq!(key.public_key().verify(&[0x72], &expected[..63]), Err(InvalidSignature));
    }

    #[test]
    fn the_keys_of_rfc_8410_are_read_and_written() {
        let key = crate::SigningKey::from_pkcs8_pem(PRIVATE).unwrap();
        assert_eq!(key.to_pkcs8_pem().unwrap().as_str(), PRIVATE);
        assert_eq!(key.public_key().to_spki_pem().unwrap(), PUBLIC);
        assert_eq!(PublicKey::from_spki_pem(PUBLIC).unwrap(), key.public_key());
        let Secret::Ed25519(secret) = &key.0 else { panic!("{key:?}") };
        let with_public = secret.to_pkcs8_pem(LineEnding::LF).unwrap();
        assert_ne!(with_public.as_str(), PRIVATE);
        assert_eq!(crate::SigningKey::from_pkcs8_pem(&with_public).unwrap().public_key(), key.public_key());
        assert!(crate::SigningKey::from_pkcs8_pem(PUBLIC).is_err());
        assert!(PublicKey::from_spki_pem(PRIVATE).is_err());
    }

    #[test]
    fn a_keyid_is_over_the_der() {
        let key = PublicKey::from_spki_pem(PUBLIC).unwrap();
        let der = point(&spki_bytes(&key.to_spki_der().unwrap()).unwrap()).unwrap().to_public_key_der().unwrap();
        assert_eq!(key.id(), KeyId::of(der.as_bytes()));
        assert_eq!(key.id().to_string().parse(), Ok(key.id()));
        for bad in ["", "AA==", &key.id().to_string()[1..], &key.id().to_string().replace('=', "A")] {
            assert_eq!(bad.parse::<KeyId>(), Err(KeyError::KeyId), "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = crate::SigningKey::from_pkcs8_pem(PRIVATE).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey(ed25519, keyid {})", key.public_key().id()));
        let damaged = PRIVATE.replace("MC4CAQ", "MC4CAR");
        let error = crate::SigningKey::from_pkcs8_pem(&damaged).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("1O5y"), "{error}");
    }

    #[test]
    fn the_bound_holds_on_both_sides() {
        let text = |n: usize| format!("{PUBLIC}{}", "\n".repeat(n - PUBLIC.len()));
        assert!(!matches!(PublicKey::from_spki_pem(&text(MAX_PEM)), Err(KeyError::TooLong(_))));
        assert_eq!(PublicKey::from_spki_pem(&text(MAX_PEM + 1)), Err(KeyError::TooLong(MAX_PEM + 1)));
        assert!(matches!(crate::SigningKey::from_pkcs8_pem(&text(MAX_PEM + 1)), Err(KeyError::TooLong(_))));
    }

    #[test]
    fn weak_keys_and_second_encodings_are_refused() {
        let mut bytes = [0; 32];
        assert_eq!(PublicKey::ed25519(&bytes), Err(KeyError::Weak));
        bytes[0] = 1;
        assert_eq!(PublicKey::ed25519(&bytes), Err(KeyError::Weak));
        bytes[0] = 2;
        assert_eq!(PublicKey::ed25519(&bytes), Err(KeyError::NotAPoint));
        let mut zero_again = [0xff; 32];
        zero_again[0] = 0xed;
        assert_eq!(PublicKey::ed25519(&zero_again), Err(KeyError::NotAPoint));
    }
}
