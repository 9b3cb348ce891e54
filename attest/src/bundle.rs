// SPDX-License-Identifier: Apache-2.0
//! Sigstore's bundle, version 0.3 (sigstore/protobuf-specs, `sigstore_bundle.proto`): one envelope, and the name of its key,
//! in the form that Sigstore's clients verify with a key that they are given.

use reprove_model::canonical;
use serde::Serialize;

use crate::{Envelope, KeyId};

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
    tlog_entries: [(); 0],
}

#[derive(Serialize)]
struct Hint {
    hint: KeyId,
}

impl Envelope {
    /// This envelope as a bundle, in canonical JSON: with the keyid as the hint at its key, and no log's entries.
    ///
    /// # Errors
    /// [`canonical::CanonicalError::TooLarge`].
    pub fn to_sigstore_bundle(&self) -> Result<Vec<u8>, canonical::CanonicalError> {
        let material = Material { public_key: Hint { hint: self.keyid() }, tlog_entries: [] };
        canonical::to_vec(&Bundle { media_type: BUNDLE_TYPE, verification_material: material, dsse_envelope: self })
    }
}
