// SPDX-License-Identifier: Apache-2.0
//! Sigstore's bundle, version 0.3 (sigstore/protobuf-specs, `sigstore_bundle.proto`): one envelope, and the name of its key,
//! in the form that Sigstore's clients verify with a key that they are given.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reprove_model::canonical;
use serde::Serialize;
use thiserror::Error;

use crate::log::{Checkpoint, ENTRY_KIND, ENTRY_VERSION, LogProof, LogProofError};
use crate::{Envelope, KeyId, LoggedEnvelope, Proof};

/// The `mediaType` of every bundle.
pub const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bundle<'a> {
    media_type: &'static str,
    verification_material: Material,
    dsse_envelope: &'a Envelope,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: Hint,
    tlog_entries: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp_verification_data: Option<Timestamps>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Timestamps {
    rfc3161_timestamps: Vec<SignedTimestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedTimestamp {
    signed_timestamp: String,
}

#[derive(Serialize)]
struct Hint {
    hint: KeyId,
}

/// Numbers of 64 bits are text, as in all JSON of protocol buffers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    log_index: String,
    log_id: LogId,
    kind_version: KindVersion,
    inclusion_proof: Inclusion,
    canonicalized_body: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogId {
    key_id: String,
}

#[derive(Serialize)]
struct KindVersion {
    kind: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inclusion {
    log_index: String,
    root_hash: String,
    tree_size: String,
    hashes: Vec<String>,
    checkpoint: SignedCheckpoint,
}

#[derive(Serialize)]
struct SignedCheckpoint {
    envelope: String,
}

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
        let bundle = Bundle { media_type: BUNDLE_TYPE, verification_material: material, dsse_envelope: envelope };
        Ok(canonical::to_vec(&bundle)?)
    }
}

fn entry(logged: &LoggedEnvelope) -> Result<Entry, BundleError> {
    let proof: LogProof = logged.proof.parse()?;
    let checkpoint: Checkpoint = proof.checkpoint.text().parse().map_err(LogProofError::from)?;
    let log_index = proof.index.to_string();
    let own = proof.checkpoint.key_ids(&checkpoint.origin).into_iter().next().unwrap_or_default();
    Ok(Entry {
        log_id: LogId { key_id: STANDARD.encode(own) },
        kind_version: KindVersion { kind: ENTRY_KIND, version: ENTRY_VERSION },
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

/// Why there is no bundle.
#[derive(Debug, Error)]
pub enum BundleError {
    /// Too long.
    #[error(transparent)]
    Canonical(#[from] canonical::CanonicalError),
    /// What the proof has of a log is no proof.
    #[error(transparent)]
    Log(#[from] LogProofError),
}
