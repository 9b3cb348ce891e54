// SPDX-License-Identifier: Apache-2.0
//! The public half of a key on a token.

use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::Session;
use reprove_attest::{Algorithm, KeyError, PublicKey};

use crate::TokenError;
use crate::key::{Object, attributes};

/// `secp256r1` (RFC 5480, section 2.1.1.1) as an object identifier in DER.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// Ed25519: `edwards25519` as a printable string (PKCS#11 v3.0, section 2.3.10), or the object identifier of RFC 8410.
const ED25519: [&[u8]; 2] = [b"\x13\x0cedwards25519", &[0x06, 0x03, 0x2b, 0x65, 0x70]];

/// Which algorithm a curve (`CKA_EC_PARAMS`) goes with.
pub(crate) fn algorithm(curve: &[u8]) -> Option<Algorithm> {
    if curve == P256 {
        Some(Algorithm::EcdsaP256)
    } else if ED25519.contains(&curve) {
        Some(Algorithm::Ed25519)
    } else {
        None
    }
}

/// The public half of `private`: what the private object says of it, or the public object or the certificate with its id.
///
/// It is the token's word; that it belongs to the private key is seen when that signs.
pub(crate) fn of(session: &Session, private: &Object, algorithm: Algorithm) -> Result<PublicKey, TokenError> {
    let mut objects = vec![private.handle];
    for class in [ObjectClass::PUBLIC_KEY, ObjectClass::CERTIFICATE] {
        let same = if private.id.is_empty() {
            Attribute::Label(private.label.clone())
        } else {
            Attribute::Id(private.id.clone())
        };
        let others = Object::all(session, &[Attribute::Class(class), same])?;
        objects.extend(others.into_iter().map(|object| object.handle));
    }
    let mut found: Option<PublicKey> = None;
    for object in objects {
        for attribute in attributes(session, object, &[AttributeType::PublicKeyInfo, AttributeType::EcPoint])? {
            let key = match attribute {
                Attribute::PublicKeyInfo(der) if !der.is_empty() => PublicKey::from_spki_der(&der)?,
                Attribute::EcPoint(point) if !point.is_empty() => from_point(algorithm, &point)?,
                _ => continue,
            };
            if found.is_some_and(|found| found != key) {
                return Err(TokenError::ManyPublic);
            }
            found = Some(key);
        }
    }
    let key = found.ok_or(TokenError::NoPublic)?;
    if key.algorithm() == algorithm { Ok(key) } else { Err(TokenError::ManyPublic) }
}

/// `CKA_EC_POINT`: an octet string in DER, or, by the words of PKCS#11 v3.0 and on some tokens, the bytes alone.
fn from_point(algorithm: Algorithm, point: &[u8]) -> Result<PublicKey, KeyError> {
    match algorithm {
        Algorithm::EcdsaP256 => {
            // A point alone begins with 4 as well, and may go on with 65.
            PublicKey::p256(point.strip_prefix(&[0x04, 65]).filter(|bytes| bytes.len() == 65).unwrap_or(point))
        }
        Algorithm::Ed25519 => {
            let bytes = point.strip_prefix(&[0x04, 32]).filter(|bytes| bytes.len() == 32).unwrap_or(point);
            PublicKey::ed25519(bytes.try_into().map_err(|_| KeyError::NotAPoint)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use reprove_attest::SigningKey;

    use super::*;

    #[test]
    fn both_forms_of_a_point_are_read_and_no_other() {
        for kind in Algorithm::ALL {
            let public = SigningKey::new(kind, [7; 32]).unwrap().public_key();
            let der = public.to_spki_der().unwrap();
            let length = if kind == Algorithm::EcdsaP256 { 65 } else { 32 };
            let bytes = &der[der.len() - length..];
            let wrapped = [&[0x04, u8::try_from(length).unwrap()], bytes].concat();
            assert_eq!(from_point(kind, bytes), Ok(public));
            assert_eq!(from_point(kind, &wrapped), Ok(public));
            for bad in [&[], &bytes[1..], &wrapped[..wrapped.len() - 1], &[&wrapped, &[0][..]].concat()] {
                assert!(from_point(kind, bad).is_err(), "{bad:x?}");
            }
        }
    }

    /// Its second byte is the length that the other form has there.
    #[test]
    fn a_point_alone_is_not_taken_for_a_wrapped_one() {
        let key = |number: u16| {
            let mut seed = [7; 32];
            seed[..2].copy_from_slice(&number.to_be_bytes());
            SigningKey::new(Algorithm::EcdsaP256, seed).unwrap().public_key()
        };
        let point = |key: &PublicKey| key.to_spki_der().unwrap().split_off(26);
        let public = (0..).map(key).find(|key| point(key)[1] == 65).unwrap();
        let bytes = point(&public);
        assert_eq!(from_point(Algorithm::EcdsaP256, &bytes), Ok(public));
        assert_eq!(from_point(Algorithm::EcdsaP256, &[&[0x04, 65], bytes.as_slice()].concat()), Ok(public));
    }

    #[test]
    fn curves_are_told_apart() {
        assert_eq!(algorithm(P256), Some(Algorithm::EcdsaP256));
        assert!(ED25519.iter().all(|curve| algorithm(curve) == Some(Algorithm::Ed25519)));
        // secp384r1, edwards448, and nothing.
        for other in [&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22][..], b"\x13\x0aedwards448", b""] {
            assert_eq!(algorithm(other), None, "{other:x?}");
        }
    }
}
