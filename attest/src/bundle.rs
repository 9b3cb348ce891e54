// SPDX-License-Identifier: Apache-2.0
//! Sigstore's bundle, version 0.3 (sigstore/protobuf-specs, `sigstore_bundle.proto`): one envelope, and the name of its key,
//! in the form that Sigstore's clients verify with a key that they are given.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reprove_model::canonical::{self, CanonicalError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::log::{Checkpoint, ENTRY_KIND, ENTRY_VERSION, LogProof, LogProofError};
use crate::{Envelope, KeyId, LoggedEnvelope, Proof, TimestampError, TimestampedEnvelope};

/// The `mediaType` of every bundle that is written.
pub const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// How version 0.3 was named first; clients have to read both.
const OLDER_TYPE: &str = "application/vnd.dev.sigstore.bundle+json;version=0.3";
/// The longest bundle that is read, in bytes: 64 MiB.
pub const MAX_BUNDLE: usize = canonical::MAX_DOCUMENT;

impl Proof {
    /// One of this proof's envelopes as a bundle, in canonical JSON: with the keyid as the hint at its key, and with what the
    /// proof has of logs and of timestamps. The id of a log is that of its note key (C2SP signed-note), four bytes, as it names itself:
    /// nothing is verified here.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn to_sigstore_bundle(&self, envelope: &Envelope) -> Result<Vec<u8>, BundleError> {
        let entries = self.logged.iter().filter(|logged| logged.is_of(envelope)).map(entry);
        let timestamps = self.timestamped.iter().filter(|seen| seen.is_of(envelope));
        let timestamps: Vec<_> =
            timestamps.map(|seen| SignedTimestamp { signed_timestamp: seen.response.clone() }).collect();
        let material = Material {
            public_key: Hint { hint: envelope.keyid() },
            tlog_entries: entries.collect::<Result<_, BundleError>>()?,
            timestamp_verification_data: (!timestamps.is_empty())
                .then_some(Timestamps { rfc3161_timestamps: timestamps }),
        };
        let bundle = Bundle {
            media_type: BUNDLE_TYPE.into(),
            verification_material: material,
            dsse_envelope: Cow::Borrowed(envelope),
        };
        Ok(canonical::to_vec(&bundle)?)
    }

    /// A proof of the one envelope in a bundle, with all that the bundle says of logs and of timestamps. It may be written in
    /// any order and with any white space, and may leave out what is empty or zero, as JSON of protocol buffers may; what a
    /// proof has no place for is refused, and so is what contradicts itself. Nothing of it is verified.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn from_sigstore_bundle(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE {
            return Err(CanonicalError::TooLarge(bytes.len(), MAX_BUNDLE).into());
        }
        let bundle: Bundle<'_> = serde_json::from_slice(bytes).map_err(CanonicalError::from)?;
        if ![BUNDLE_TYPE, OLDER_TYPE].contains(&bundle.media_type.as_str()) {
            return Err(BundleError::MediaType(bundle.media_type.chars().take(200).collect()));
        }
        let (envelope, material) = (bundle.dsse_envelope.into_owned(), bundle.verification_material);
        let (hint, keyid) = (material.public_key.hint, envelope.keyid());
        if hint != keyid {
            return Err(BundleError::Hint { hint, keyid });
        }
        let logged = material.tlog_entries.iter().map(|entry| logged(&envelope, entry)).collect::<Result<_, _>>()?;
        let timestamps = material.timestamp_verification_data.map(|all| all.rfc3161_timestamps).unwrap_or_default();
        let payload = envelope.payload_digest();
        let timestamped = timestamps.into_iter().map(|SignedTimestamp { signed_timestamp: response }| {
            let seen = TimestampedEnvelope { keyid, payload, response };
            seen.response().map(|_| seen)
        });
        let timestamped = timestamped.collect::<Result<_, _>>()?;
        Ok(Self { logged, timestamped, ..Self::of(vec![envelope]) })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Bundle<'a> {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Cow<'a, Envelope>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Material {
    public_key: Hint,
    #[serde(default)]
    tlog_entries: Vec<Entry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timestamp_verification_data: Option<Timestamps>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Timestamps {
    rfc3161_timestamps: Vec<SignedTimestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SignedTimestamp {
    signed_timestamp: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hint {
    hint: KeyId,
}

/// Numbers of 64 bits are text, as in all JSON of protocol buffers.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    #[serde(default = "zero")]
    log_index: String,
    log_id: LogId,
    kind_version: KindVersion,
    inclusion_proof: Inclusion,
    canonicalized_body: String,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LogId {
    key_id: String,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KindVersion {
    kind: String,
    version: String,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Inclusion {
    #[serde(default = "zero")]
    log_index: String,
    root_hash: String,
    tree_size: String,
    #[serde(default)]
    hashes: Vec<String>,
    checkpoint: SignedCheckpoint,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedCheckpoint {
    envelope: String,
}

fn entry(logged: &LoggedEnvelope) -> Result<Entry, BundleError> {
    let proof: LogProof = logged.proof.parse()?;
    let checkpoint: Checkpoint = proof.checkpoint.text().parse().map_err(LogProofError::from)?;
    let log_index = proof.index.to_string();
    let own = proof.checkpoint.key_ids(&checkpoint.origin).into_iter().next().unwrap_or_default();
    Ok(Entry {
        log_id: LogId { key_id: STANDARD.encode(own) },
        kind_version: KindVersion { kind: ENTRY_KIND.into(), version: ENTRY_VERSION.into() },
        inclusion_proof: Inclusion {
            log_index: log_index.clone(),
            root_hash: STANDARD.encode(checkpoint.root),
            tree_size: checkpoint.size.to_string(),
            hashes: proof.hashes.iter().map(|hash| STANDARD.encode(hash)).collect(),
            checkpoint: SignedCheckpoint { envelope: proof.checkpoint.to_string() },
        },
        log_index,
        canonicalized_body: STANDARD.encode(&logged.entry),
    })
}

/// What an entry says of `envelope`. All of it is what [`entry`] writes, so that nothing that is left out says otherwise.
fn logged(envelope: &Envelope, read: &Entry) -> Result<LoggedEnvelope, BundleError> {
    let KindVersion { kind, version } = &read.kind_version;
    if (kind.as_str(), version.as_str()) != (ENTRY_KIND, ENTRY_VERSION) {
        return Err(BundleError::EntryKind(format!("{kind} {version}").chars().take(200).collect()));
    }
    let text = STANDARD.decode(&read.canonicalized_body).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let inclusion = &read.inclusion_proof;
    let hashes = inclusion.hashes.iter().map(|text| STANDARD.decode(text).ok()?.try_into().ok());
    let proof = LogProof {
        index: inclusion.log_index.parse().map_err(|_| BundleError::Entry)?,
        hashes: hashes.collect::<Option<_>>().ok_or(BundleError::Entry)?,
        checkpoint: inclusion.checkpoint.envelope.parse().map_err(LogProofError::from)?,
    };
    let logged = LoggedEnvelope {
        keyid: envelope.keyid(),
        payload: envelope.payload_digest(),
        entry: text.ok_or(BundleError::Entry)?,
        proof: proof.to_string(),
    };
    if entry(&logged)? == *read { Ok(logged) } else { Err(BundleError::Entry) }
}

fn zero() -> String {
    "0".into()
}

/// Why there is no bundle, or why bytes are none that a proof has all of.
#[derive(Debug, Error)]
pub enum BundleError {
    /// Too long, not JSON, or not of the shape of a bundle with an envelope and the hint at a key.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// Another version, or no bundle at all.
    #[error("the bundle's mediaType is {0:?}; the only one known is {BUNDLE_TYPE:?}")]
    MediaType(String),
    /// The hint is another key's name than the one in the envelope.
    #[error("the bundle hints at the key {hint}, and its envelope names the key {keyid}")]
    Hint {
        /// The key that is hinted at.
        hint: KeyId,
        /// The key that the envelope names.
        keyid: KeyId,
    },
    /// An entry of another kind.
    #[error("the bundle has a log entry of the kind {0:?}; an envelope's is \"{ENTRY_KIND} {ENTRY_VERSION}\"")]
    EntryKind(String),
    /// An entry that contradicts itself, or is not written as it has to be.
    #[error(
        "the bundle's log entry does not hang together: its numbers, root and log are those of its checkpoint, its body is \
         text, and all bytes are in standard base64"
    )]
    Entry,
    /// A timestamp that is too long, or not in base64.
    #[error("the bundle has a timestamp that can't be read: {0}")]
    Timestamp(#[from] TimestampError),
    /// What the proof has of a log is no proof.
    #[error(transparent)]
    Log(#[from] LogProofError),
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::SigningKey;
    use crate::log::merkle::{leaf_hash, node_hash};
    use crate::log::{Note, entry};

    /// An envelope that two logs have, as their only entry and beside another, and that an authority has seen.
    fn proof() -> Proof {
        let key = SigningKey::ed25519([1; 32]);
        let envelope = Envelope::sign(&key, *b"{}").unwrap();
        let entry = entry(&envelope, &key.public_key()).unwrap();
        let (leaf, other) = (leaf_hash(&entry), leaf_hash(b"other"));
        let logged = |size, root, index, hashes| {
            let checkpoint = Checkpoint { origin: "log.example".into(), size, root };
            let mut note = Note::new(&checkpoint.to_string()).unwrap();
            note.sign("log.example", &SigningKey::ed25519([8; 32])).unwrap();
            LoggedEnvelope {
                keyid: envelope.keyid(),
                payload: envelope.payload_digest(),
                entry: String::from_utf8(entry.clone()).unwrap(),
                proof: LogProof { index, hashes, checkpoint: note }.to_string(),
            }
        };
        let timestamped = vec![TimestampedEnvelope::new(&envelope, b"answer")];
        let logged = vec![logged(1, leaf, 0, vec![]), logged(2, node_hash(&other, &leaf), 1, vec![other])];
        Proof { logged, timestamped, ..Proof::of(vec![envelope]) }
    }

    fn bundle() -> Value {
        serde_json::from_slice(&proof().to_sigstore_bundle(&proof().envelopes[0]).unwrap()).unwrap()
    }

    fn read(bundle: &Value) -> Result<Proof, BundleError> {
        Proof::from_sigstore_bundle(&serde_json::to_vec_pretty(bundle).unwrap())
    }

    #[test]
    fn what_was_written_is_read_however_others_write_it() {
        let written = proof().to_sigstore_bundle(&proof().envelopes[0]).unwrap();
        assert_eq!(Proof::from_sigstore_bundle(&written).unwrap(), proof());
        let mut other = bundle();
        other["mediaType"] = OLDER_TYPE.into();
        let first = other["verificationMaterial"]["tlogEntries"][0].as_object_mut().unwrap();
        assert_eq!(first.remove("logIndex"), Some("0".into()));
        let inclusion = first["inclusionProof"].as_object_mut().unwrap();
        assert_eq!((inclusion.remove("logIndex"), inclusion.remove("hashes")), (Some("0".into()), Some(json!([]))));
        assert_eq!(read(&other).unwrap(), proof());
        let bare = Proof::of(proof().envelopes);
        let mut without = bundle();
        let material = without["verificationMaterial"].as_object_mut().unwrap();
        assert!(material.remove("tlogEntries").is_some() && material.remove("timestampVerificationData").is_some());
        assert_eq!(read(&without).unwrap(), bare);
    }

    #[test]
    fn what_a_proof_has_no_place_for_is_refused() {
        let refused = |path: &str, value: Value| {
            let mut changed = bundle();
            let (parent, name) = path.rsplit_once('/').unwrap();
            let parent = changed.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            assert_ne!(parent.insert(name.into(), value.clone()), Some(value), "{path}");
            read(&changed).unwrap_err()
        };
        let shape = |path: &str, value| assert!(matches!(refused(path, value), BundleError::Canonical(_)), "{path}");
        shape("/messageSignature", json!({ "signature": "" }));
        shape("/verificationMaterial/certificate", json!({ "rawBytes": "" }));
        shape("/verificationMaterial/publicKey", json!(null));
        shape("/verificationMaterial/publicKey/hint", json!("mine"));
        shape("/verificationMaterial/tlogEntries/0/inclusionPromise", json!({ "signedEntryTimestamp": "" }));
        shape("/verificationMaterial/tlogEntries/0/integratedTime", json!("1"));
        shape("/verificationMaterial/tlogEntries/0/logIndex", json!(0));
        shape("/dsseEnvelope/payloadType", json!("text/plain"));
        shape("/dsseEnvelope/signatures", json!([]));
        for version in ["application/vnd.dev.sigstore.bundle+json;version=0.2", "", "\u{1b}[2K"] {
            assert!(matches!(refused("/mediaType", version.into()), BundleError::MediaType(_)));
        }
        let hint = SigningKey::ed25519([2; 32]).public_key().id().to_string();
        let refused_hint = refused("/verificationMaterial/publicKey/hint", hint.into());
        assert!(matches!(refused_hint, BundleError::Hint { .. }));
        let entry = |path: &str, value| refused(&format!("/verificationMaterial/tlogEntries/1/{path}"), value);
        let zeros = STANDARD.encode([0; 32]);
        for (path, value) in [
            ("logIndex", json!("0")),
            ("logIndex", json!("-1")),
            ("logId/keyId", json!(zeros)),
            ("inclusionProof/logIndex", json!("0")),
            ("inclusionProof/logIndex", json!("+1")),
            ("inclusionProof/logIndex", json!("18446744073709551616")),
            ("inclusionProof/rootHash", json!(zeros)),
            ("inclusionProof/treeSize", json!("3")),
            ("inclusionProof/hashes", json!(["AAAA"])),
            ("inclusionProof/hashes", json!(["not base64"])),
            ("canonicalizedBody", json!("e30")),
            ("canonicalizedBody", json!("/w==")),
        ] {
            assert!(matches!(entry(path, value.clone()), BundleError::Entry), "{path} {value}");
        }
        assert!(matches!(entry("kindVersion/kind", json!("intoto")), BundleError::EntryKind(_)));
        assert!(matches!(entry("inclusionProof/checkpoint/envelope", json!("x")), BundleError::Log(_)));
        let many = vec![zeros; crate::log::merkle::MAX_PROOF + 1];
        assert!(matches!(entry("inclusionProof/hashes", json!(many)), BundleError::Log(LogProofError::Hashes(_))));
        let timestamp = |response: String| {
            let all = json!([{ "signedTimestamp": response }]);
            let mut changed = bundle();
            changed["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] = all;
            read(&changed)
        };
        assert!(timestamp(STANDARD.encode(vec![0; crate::MAX_TIMESTAMP])).is_ok());
        for bad in ["x".to_owned(), STANDARD.encode(vec![0; crate::MAX_TIMESTAMP + 1])] {
            assert!(matches!(timestamp(bad), Err(BundleError::Timestamp(_))));
        }
    }

    #[test]
    fn the_bound_holds_on_both_sides() {
        let mut padded = proof().to_sigstore_bundle(&proof().envelopes[0]).unwrap();
        padded.resize(MAX_BUNDLE, b' ');
        assert_eq!(Proof::from_sigstore_bundle(&padded).unwrap(), proof());
        padded.push(b' ');
        let error = Proof::from_sigstore_bundle(&padded).unwrap_err();
        assert!(matches!(error, BundleError::Canonical(CanonicalError::TooLarge(_, MAX_BUNDLE))));
    }
}
