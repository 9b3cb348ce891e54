// SPDX-License-Identifier: Apache-2.0
//! ECDSA over P-256 with SHA-256 (FIPS 186-5, section 6).

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use pkcs8::ObjectIdentifier;

use super::{InvalidSignature, KeyError, MAX_SIGNATURE};

/// `id-ecPublicKey` (RFC 5480, section 2.1.1); which curve it is, is a parameter that is checked where the key is read.
pub(super) const OID: ObjectIdentifier = super::oid("1.2.840.10045.2.1");

/// The DER of RFC 5480, section 2, up to the uncompressed point: SEQUENCE, AlgorithmIdentifier (1.2.840.10045.2.1,
/// 1.2.840.10045.3.1.7), BIT STRING.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

pub(super) fn from_number(number: &[u8; 32]) -> Result<SigningKey, KeyError> {
    SigningKey::from_slice(number).map_err(|_| KeyError::Seed)
}

pub(super) fn spki(key: &VerifyingKey) -> Vec<u8> {
    [SPKI_PREFIX.as_slice(), key.to_sec1_point(false).as_bytes()].concat()
}

/// Of an uncompressed point.
pub(super) fn point(bytes: &[u8]) -> Result<VerifyingKey, KeyError> {
    let key = VerifyingKey::from_sec1_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
    if key.to_sec1_point(false).as_bytes() == bytes { Ok(key) } else { Err(KeyError::NotAPoint) }
}

/// With a nonce of RFC 6979.
pub(super) fn sign(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    let signature: Signature = key.sign(message);
    signature.normalize_s().to_der().as_bytes().to_vec()
}

/// The DER of a signature as PKCS#11 has it: `r` and `s`, 32 bytes each, big-endian. With the smaller of the two values that
/// `s` can have.
///
/// # Errors
/// [`InvalidSignature`] where they are no such numbers.
pub fn ecdsa_p256_signature(r_and_s: &[u8]) -> Result<Vec<u8>, InvalidSignature> {
    let signature = Signature::from_slice(r_and_s).map_err(|_| InvalidSignature)?;
    Ok(signature.normalize_s().to_der().as_bytes().to_vec())
}

pub(super) fn verify(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
    if signature.len() > MAX_SIGNATURE {
        return Err(InvalidSignature);
    }
    let read = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
    // One encoding alone.
    if read.to_der().as_bytes() != signature {
        return Err(InvalidSignature);
    }
    // Several times as fast as this crate's own, which signs and reads keys.
    let point = key.to_sec1_point(false);
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point.as_bytes());
    key.verify(message, signature).map_err(|_| InvalidSignature)
}

#[cfg(test)]
mod tests {
    use pkcs8::{Document, EncodePublicKey as _};
    use reprove_model::Sha256;

    use super::*;
    use crate::{Algorithm, KeyId, PublicKey};

    fn hex(text: &str) -> [u8; 32] {
        *text.parse::<Sha256>().unwrap().as_bytes()
    }

    /// RFC 6979, appendix A.2.5: P-256 with SHA-256, message "sample".
    const NUMBER: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    const R: &str = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716";
    const S: &str = "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";

    fn key() -> crate::SigningKey {
        crate::SigningKey::new(Algorithm::EcdsaP256, hex(NUMBER)).unwrap()
    }

    #[test]
    fn known_answer() {
        let expected = Signature::from_scalars(hex(R), hex(S)).unwrap();
        let public = key().public_key();
        assert_eq!(key().sign(b"sample"), expected.normalize_s().to_der().as_bytes());
        assert_ne!(expected.normalize_s(), expected, "the larger of the two values");
        for signature in [expected, expected.normalize_s()] {
            assert_eq!(public.verify(b"sample", signature.to_der().as_bytes()), Ok(()));
            assert_eq!(public.verify(b"simple", signature.to_der().as_bytes()), Err(InvalidSignature));
            assert_eq!(public.verify(b"sample", &signature.to_bytes()), Err(InvalidSignature), "not in DER");
        }
    }

    #[test]
    fn two_numbers_become_the_signature_that_the_key_itself_makes() {
        let expected = key().sign(b"sample");
        let (r, s) = (hex(R), hex(S));
        assert_eq!(ecdsa_p256_signature(&[r, s].concat()), Ok(expected));
        let both = [r, s].concat();
        for bad in
            [&[][..], &both[..63], &[&both, &[0][..]].concat(), &[[0; 32], s].concat(), &[r, [0xff; 32]].concat()]
        {
            assert_eq!(ecdsa_p256_signature(bad), Err(InvalidSignature), "{bad:x?}");
        }
    }

    #[test]
    fn only_one_encoding_of_a_signature_is_read() {
        let (signature, public) = (key().sign(b"text"), key().public_key());
        assert_eq!(public.verify(b"text", &signature), Ok(()));
        let refused = |bytes: &[u8]| assert_eq!(public.verify(b"text", bytes), Err(InvalidSignature), "{bytes:x?}");
        for bit in 0..signature.len() * 8 {
            let mut changed = signature.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            refused(&changed);
        }
        (0..signature.len()).for_each(|length| refused(&signature[..length]));
        refused(&[signature.as_slice(), &[0]].concat());
        // The length in two bytes, as BER has it.
        refused(&[&[0x30, 0x81], &signature[1..]].concat());
        refused(&[0; MAX_SIGNATURE + 1]);
    }

    #[test]
    fn a_keyid_is_over_the_der() {
        let public = key().public_key();
        let der = *from_number(&hex(NUMBER)).unwrap().verifying_key();
        assert_eq!(public.to_spki_der().unwrap(), der.to_public_key_der().unwrap().as_bytes());
        assert_eq!(public.id(), KeyId::of(&public.to_spki_der().unwrap()));
        assert_eq!(PublicKey::from_spki_pem(&public.to_spki_pem().unwrap()), Ok(public));
    }

    #[test]
    fn a_point_is_read_in_its_one_encoding() {
        let point = from_number(&hex(NUMBER)).unwrap().verifying_key().to_sec1_point(false);
        assert_eq!(PublicKey::p256(point.as_bytes()), Ok(key().public_key()));
        let mut off_the_curve = point.as_bytes().to_vec();
        off_the_curve[64] ^= 1;
        let compressed = [&[0x02 | point.as_bytes()[64] & 1], &point.as_bytes()[1..33]].concat();
        for bad in [&[][..], &[0], &point.as_bytes()[1..], &off_the_curve, &compressed] {
            assert_eq!(PublicKey::p256(bad), Err(KeyError::NotAPoint), "{bad:x?}");
        }
    }

    #[test]
    fn another_encoding_of_a_key_is_refused() {
        let compressed = *from_number(&hex(NUMBER)).unwrap().verifying_key();
        let point = compressed.to_sec1_point(true);
        let mut der = SPKI_PREFIX.to_vec();
        (der[1], der[24]) = (0x39, 0x22);
        der.extend(point.as_bytes());
        let pem = Document::try_from(der).unwrap().to_pem("PUBLIC KEY", Default::default()).unwrap();
        let refused = PublicKey::from_spki_pem(&pem);
        assert!(matches!(&refused, Err(KeyError::Public(_))), "{refused:?}");
        // Of another curve: secp256k1.
        let mut other = key().public_key().to_spki_der().unwrap();
        other.splice(13..23, [0x06, 0x08, 0x2b, 0x81, 0x04, 0x00, 0x0a, 0x00, 0x00, 0x00]);
        assert!(PublicKey::from_spki_der(&other).is_err());
    }

    #[test]
    fn a_private_key_is_read_as_it_was_written() {
        let pem = key().to_pkcs8_pem().unwrap();
        let again = crate::SigningKey::from_pkcs8_pem(&pem).unwrap();
        assert_eq!((again.public_key(), again.algorithm()), (key().public_key(), Algorithm::EcdsaP256));
        for number in [[0; 32], [0xff; 32]] {
            assert!(matches!(crate::SigningKey::new(Algorithm::EcdsaP256, number), Err(KeyError::Seed)));
        }
    }
}
