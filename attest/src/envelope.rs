// SPDX-License-Identifier: Apache-2.0
//! Envelopes: DSSE v1 (secure-systems-lab/dsse, `envelope.md` and `protocol.md`), with exactly one signature each.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reprove_model::{Digest, DigestSet, Sha256};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::key::signature;
use crate::{KeyId, MAX_SIGNATURE, PublicKey, Signer, SignerError};

/// What every payload is: an in-toto statement (in-toto attestation framework v1, `envelope.md`).
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// A payload and the signature that somebody put on it. Nothing about it is known to be true until [`Envelope::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload: Vec<u8>,
    /// Of the payload: what others say of an envelope names it by that, and there may be many.
    digest: Sha256,
    keyid: KeyId,
    signature: Vec<u8>,
}

impl Envelope {
    /// Signs `payload`, an in-toto statement's bytes.
    ///
    /// # Errors
    /// See [`SignerError`]; a [`SigningKey`](crate::SigningKey) gives none.
    pub fn sign(key: &dyn Signer, payload: impl Into<Vec<u8>>) -> Result<Self, SignerError> {
        let payload = payload.into();
        let signature = signature(key, &pae(PAYLOAD_TYPE, &payload))?;
        Ok(Self { digest: Sha256::of(&payload), payload, keyid: key.public_key().id(), signature })
    }

    /// The SHA-256 digest of the payload. Unverified.
    #[must_use]
    pub fn payload_digest(&self) -> Sha256 {
        self.digest
    }

    /// The payload. Unverified: nothing is known of who wrote it.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signature. Unverified.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The key that the envelope says it is signed by. Unverified.
    #[must_use]
    pub fn keyid(&self) -> KeyId {
        self.keyid
    }

    /// Verifies the signature by the one of `keys` that the envelope names.
    ///
    /// # Errors
    /// See [`SignatureError`].
    pub fn verify(&self, keys: &[PublicKey]) -> Result<VerifiedPayload, SignatureError> {
        let message = pae(PAYLOAD_TYPE, &self.payload);
        let signed_by = |key: &&PublicKey| key.verify(&message, &self.signature).is_ok();
        match keys.iter().find(|key| key.id() == self.keyid) {
            Some(key) if signed_by(&key) => {
                Ok(VerifiedPayload { payload: self.payload.clone(), sha256: self.digest, keyid: self.keyid })
            }
            Some(_) => Err(SignatureError::Mismatch { keyid: self.keyid }),
            None => match keys.iter().find(signed_by) {
                Some(key) => Err(SignatureError::WrongKeyId { named: self.keyid, signer: key.id() }),
                None => Err(SignatureError::OtherKey { keyid: self.keyid }),
            },
        }
    }
}

/// A payload whose signature was verified. Only [`Envelope::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPayload {
    payload: Vec<u8>,
    sha256: Sha256,
    keyid: KeyId,
}

impl VerifiedPayload {
    /// The bytes that were signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Their digests.
    #[must_use]
    pub fn digest(&self) -> DigestSet {
        DigestSet { blake3: Digest::of(&self.payload), sha256: self.sha256 }
    }

    /// The key that signed them.
    #[must_use]
    pub fn keyid(&self) -> KeyId {
        self.keyid
    }
}

/// Why an envelope's signature was not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The envelope names a key that is not among those given.
    #[error("it is signed by another key than those given: keyid {keyid}")]
    OtherKey {
        /// The key that it names.
        keyid: KeyId,
    },
    /// The envelope names one of the keys given, and that key did not sign this.
    #[error(
        "it names the key {keyid}, and that key did not make this signature of this statement: the signature was changed"
    )]
    Mismatch {
        /// The key that it names.
        keyid: KeyId,
    },
    /// The signature is good, and the name of the key beside it is not that key's.
    #[error("the key {signer} signed it, but the keyid beside the signature is {named}: the keyid was changed")]
    WrongKeyId {
        /// The key that the envelope names.
        named: KeyId,
        /// The key that signed.
        signer: KeyId,
    },
}

/// Why a JSON object is no envelope of ours.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// A payload of another type.
    #[error("the envelope's payloadType is {0:?}; a statement's is {PAYLOAD_TYPE:?}")]
    PayloadType(String),
    /// None, or more than one.
    #[error("the envelope has {0} signatures; it must have exactly one")]
    Signatures(usize),
    /// Not standard base64 with padding (RFC 4648, section 4), or with bits set that mean nothing.
    #[error("the envelope's `{0}` is not standard base64")]
    Base64(&'static str),
    /// Longer than [`MAX_SIGNATURE`].
    #[error("the envelope's signature has {0} bytes; the longest has {MAX_SIGNATURE}")]
    SignatureLength(usize),
}

/// DSSE's pre-authentication encoding (`protocol.md`, "Signature Definition"): the bytes that are signed.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// How an envelope is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Layout<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
    #[serde(borrow)]
    payload_type: Cow<'a, str>,
    #[serde(borrow)]
    signatures: Vec<LayoutSignature<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayoutSignature<'a> {
    keyid: KeyId,
    #[serde(borrow)]
    sig: Cow<'a, str>,
}

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let layout = Layout {
            payload: STANDARD.encode(&self.payload).into(),
            payload_type: PAYLOAD_TYPE.into(),
            signatures: vec![LayoutSignature { keyid: self.keyid, sig: STANDARD.encode(&self.signature).into() }],
        };
        layout.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Layout::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

impl TryFrom<Layout<'_>> for Envelope {
    type Error = EnvelopeError;

    fn try_from(layout: Layout<'_>) -> Result<Self, Self::Error> {
        if layout.payload_type != PAYLOAD_TYPE {
            return Err(EnvelopeError::PayloadType(layout.payload_type.chars().take(200).collect()));
        }
        let [LayoutSignature { keyid, sig }] = layout.signatures.as_slice() else {
            return Err(EnvelopeError::Signatures(layout.signatures.len()));
        };
        let payload = STANDARD.decode(layout.payload.as_bytes()).map_err(|_| EnvelopeError::Base64("payload"))?;
        let signature = STANDARD.decode(sig.as_bytes()).map_err(|_| EnvelopeError::Base64("sig"))?;
        if signature.len() > MAX_SIGNATURE {
            return Err(EnvelopeError::SignatureLength(signature.len()));
        }
        Ok(Self { digest: Sha256::of(&payload), payload, keyid: *keyid, signature })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reprove_model::canonical;

    use super::*;
    use crate::SigningKey;

    fn key(n: u8) -> SigningKey {
        SigningKey::ed25519([n; 32])
    }

    /// The example of DSSE's `protocol.md`.
    #[test]
    fn the_encoding_is_the_specifications() {
        let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(pae("http://example.com/HelloWorld", b"hello world"), expected);
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
    }

    #[test]
    fn each_way_to_be_wrong_is_told_apart() {
        let (ours, other) = (key(1), key(2));
        let envelope = Envelope::sign(&ours, *b"{}").unwrap();
        let keys = [other.public_key(), ours.public_key()];
        let verified = envelope.verify(&keys).unwrap();
        assert_eq!((verified.payload(), verified.keyid()), (b"{}".as_slice(), ours.public_key().id()));

        let keyid = ours.public_key().id();
        assert_eq!(envelope.verify(&[]), Err(SignatureError::OtherKey { keyid }));
        assert_eq!(envelope.verify(&[other.public_key()]), Err(SignatureError::OtherKey { keyid }));
        let changed = Envelope { payload: b"[]".to_vec(), ..envelope.clone() };
        assert_eq!(changed.verify(&keys), Err(SignatureError::Mismatch { keyid }));
        let named = key(3).public_key().id();
        let renamed = Envelope { keyid: named, ..envelope };
        assert_eq!(renamed.verify(&keys), Err(SignatureError::WrongKeyId { named, signer: keyid }));
    }

    #[test]
    fn one_way_to_write_an_envelope() {
        let good = String::from_utf8(canonical::to_vec(&Envelope::sign(&key(1), *b"{}").unwrap()).unwrap()).unwrap();
        assert!(serde_json::from_str::<Envelope>(&good).is_ok());
        let signature = good.split_once("\"signatures\":[").unwrap().1.strip_suffix("]}").unwrap();
        for (from, to, why) in [
            ("e30=", "e30", "standard base64"),
            ("e30=", "e31=", "standard base64"),
            ("e30=", "e3-=", "standard base64"),
            ("e30=", "e30=\\n", "standard base64"),
            ("==\"}]", "\"}]", "standard base64"),
            ("vnd.in-toto", "vnd.other", "payloadType"),
            (signature, "", "0 signatures"),
            (signature, &format!("{signature},{signature}"), "2 signatures"),
            ("\"payload\":", "\"more\":1,\"payload\":", "unknown field"),
            ("\"keyid\":\"", "\"keyid\":\"A", "keyid"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            let error = serde_json::from_str::<Envelope>(&bad).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_payload_comes_back(payload in proptest::collection::vec(any::<u8>(), 0..200), seed in any::<[u8; 32]>()) {
            let key = SigningKey::ed25519(seed);
            let bytes = canonical::to_vec(&Envelope::sign(&key, payload.clone()).unwrap()).unwrap();
            let envelope: Envelope = canonical::from_slice(&bytes).unwrap();
            let verified = envelope.verify(&[key.public_key()]).unwrap();
            prop_assert_eq!(verified.payload(), payload);
        }
    }
}
