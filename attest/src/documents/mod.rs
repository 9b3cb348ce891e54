// SPDX-License-Identifier: Apache-2.0
//! Documents that others ask for, made of what an audit found: attributes with their evidence ([`scai`]), and what went into
//! a build, in the two forms that bills of materials have ([`cyclonedx`], [`spdx`]). `docs/documents.md` says what is in
//! each. None claims more than was shown: where an artifact was not reproduced bit by bit, there is no document.

mod cyclonedx;
mod inputs;
mod scai;
mod spdx;

use jiff::Timestamp;
use reprove_model::{Digest, canonical};
use thiserror::Error;

pub use cyclonedx::cyclonedx;
pub use inputs::BuildInputs;
pub use scai::{SCAI_TYPE, ScaiOf, scai};
pub use spdx::spdx;

use crate::{Appraisal, AuditError, KeyId, ProvenanceFault, RebuildVerdict, RebuilderClaim};

/// Why a document would claim more than was shown.
#[derive(Debug, Error)]
pub enum NotShown {
    /// The auditor's policy is not met.
    #[error("what the trusted rebuilders say is not enough")]
    NotEnough,
    /// The auditor's policy has no veto, and a trusted rebuilder got other bits.
    #[error("{operator:?} got other bits, which the policy does not mind (key {keyid})")]
    Contrary {
        /// Who, by the auditor's trust file.
        operator: String,
        /// By which key.
        keyid: KeyId,
    },
    /// A proof of something else.
    #[error("the proof says {}", .0.name())]
    Verdict(RebuildVerdict),
}

/// Why no document is made.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// It would claim too much.
    #[error("it would claim more than was shown, since {0}")]
    NotShown(#[from] NotShown),
    /// A text that is no absolute URI (RFC 3986, section 3).
    #[error("the verifier {0:?} is no URI: it has a scheme, a colon and something after it, without spaces")]
    Verifier(String),
    /// No file.
    #[error("attributes are of a file: none was given")]
    NoArtifact,
    /// A file that was not appraised.
    #[error("it was not appraised: {0}")]
    Artifact(#[from] AuditError),
    /// A claim of another appraisal.
    #[error("the appraisal does not have the envelope {0}")]
    Envelope(usize),
    /// A lock that can't be made again. An audit refuses such a proof.
    #[error("what was built can't be told: {0}")]
    Lock(#[from] ProvenanceFault),
    /// A value that can't be written.
    #[error("it can't be written as canonical JSON: {0}")]
    Canonical(#[from] canonical::CanonicalError),
}

/// The claims that count, where they are enough and nobody who is trusted got other bits; at least one.
fn shown(appraisal: &Appraisal) -> Result<Vec<&RebuilderClaim>, NotShown> {
    if let Some((operator, keyid)) = appraisal.against().first()
        && appraisal.is_enough()
    {
        return Err(NotShown::Contrary { operator: operator.clone(), keyid: *keyid });
    }
    let counted: Vec<_> = appraisal.claims().iter().filter(|claim| claim.reasons().is_empty()).collect();
    if appraisal.is_enough() && !counted.is_empty() { Ok(counted) } else { Err(NotShown::NotEnough) }
}

/// A UUID of version 8 (RFC 9562, section 5.8) for a document without one: of its digest. So two documents have the same only
/// where they are the same.
fn uuid(document: &[u8]) -> String {
    let mut uuid = String::with_capacity(36);
    for (at, digit) in Digest::of(document).to_string().chars().take(32).enumerate() {
        if [8, 12, 16, 20].contains(&at) {
            uuid.push('-');
        }
        uuid.push(match at {
            12 => '8',
            // The variant: its two highest bits are 10.
            16 => digit.to_digit(16).and_then(|d| char::from_digit(d & 3 | 8, 16)).unwrap_or('8'),
            _ => digit,
        });
    }
    uuid
}

/// A time to the second, as both kinds of bill want it.
fn to_the_second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_documents_uuid_has_its_version_and_its_variant() {
        for document in [b"a".as_slice(), b"b", b"c", b"d", b"e", b"f"] {
            let uuid = uuid(document);
            let lengths: Vec<_> = uuid.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12]);
            assert_eq!(&uuid[14..15], "8", "{uuid}");
            assert!("89ab".contains(&uuid[19..20]), "{uuid}");
            assert!(uuid.starts_with(&Digest::of(document).to_string()[..8]));
        }
        assert_ne!(uuid(b"a"), uuid(b"b"));
    }

    #[test]
    fn a_time_has_no_fraction() {
        let written = |text: &str| to_the_second(text.parse().unwrap());
        assert_eq!(written("2026-11-01T13:00:00.999Z"), "2026-11-01T13:00:00Z");
        assert_eq!(written("2026-11-01T13:00:00Z"), "2026-11-01T13:00:00Z");
    }
}
