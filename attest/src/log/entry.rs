// SPDX-License-Identifier: Apache-2.0
//! What a log's entry says of an envelope: Rekor's `dsse`, version 0.0.1 (sigstore/rekor, `dsse/v0.0.1`), which clients of
//! Sigstore verify.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{DigestSet, Sha256};
use serde::Serialize;
use serde_json::Value;

use crate::{Envelope, KeyId, PublicKey};

/// The `kind` of every entry.
pub const ENTRY_KIND: &str = "dsse";
/// The `apiVersion` of every entry.
pub const ENTRY_VERSION: &str = "0.0.1";

/// The entry for an envelope that `key` has signed: the same for whoever makes it.
///
/// # Errors
/// [`CanonicalError`] where the envelope is too long.
pub fn entry(envelope: &Envelope, key: &PublicKey) -> Result<Vec<u8>, CanonicalError> {
    let hash = |value: Sha256| HashOf { algorithm: "sha256", value };
    // A key that was read or made can be written.
    let pem = key.to_spki_pem().unwrap_or_default();
    let signature = Signature { signature: STANDARD.encode(envelope.signature()), verifier: STANDARD.encode(pem) };
    canonical::to_vec(&Entry {
        api_version: ENTRY_VERSION,
        kind: ENTRY_KIND,
        spec: Spec {
            envelope_hash: hash(DigestSet::of(&canonical::to_vec(envelope)?).sha256),
            payload_hash: hash(Sha256::of(envelope.payload())),
            signatures: [signature],
        },
    })
}

/// Whether an entry is that of an envelope, by the key that the entry names; whether that key has signed it is not looked at.
#[must_use]
pub fn is_entry_of(bytes: &[u8], envelope: &Envelope) -> bool {
    let key = signer(bytes).filter(|key| key.id() == envelope.keyid());
    key.is_some_and(|key| entry(envelope, &key).is_ok_and(|expected| expected == bytes))
}

/// The key by which an entry says that it is signed; `None` where it is no entry of this kind, or names a key that is none.
/// Unverified.
#[must_use]
pub fn entry_signer(entry: &[u8]) -> Option<KeyId> {
    signer(entry).map(|key| key.id())
}

fn signer(entry: &[u8]) -> Option<PublicKey> {
    let entry: Value = canonical::from_slice(entry).ok()?;
    let is_kind = entry.get("kind")? == ENTRY_KIND && entry.get("apiVersion")? == ENTRY_VERSION;
    let [signature] = entry.get("spec")?.get("signatures")?.as_array()?.as_slice() else { return None };
    let pem = STANDARD.decode(signature.get("verifier")?.as_str()?).ok()?;
    let key = PublicKey::from_spki_pem(str::from_utf8(&pem).ok()?).ok()?;
    is_kind.then_some(key)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    api_version: &'static str,
    kind: &'static str,
    spec: Spec,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    envelope_hash: HashOf,
    payload_hash: HashOf,
    signatures: [Signature; 1],
}

#[derive(Serialize)]
struct HashOf {
    algorithm: &'static str,
    value: Sha256,
}

#[derive(Serialize)]
struct Signature {
    signature: String,
    verifier: String,
}
