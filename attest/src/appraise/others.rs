// SPDX-License-Identifier: Apache-2.0
//! Statements of types that are not judged here: a bill of materials, a scan, a review. A policy may ask that there is one.

use std::collections::BTreeSet;

use jiff::Timestamp;
use reprove_model::{Digest, Sha256};
use serde::Deserialize;
use serde_json::Value;

use super::evidence::Evidence;
use super::{Reason, RebuilderClaim, Seen, Shortfall, Uncounted};
use crate::{Artifact, Comparison, Envelope, KeyId, Policy, Provenance, STATEMENT_TYPE, TrustedKey};

/// An in-toto statement that a trusted key has signed, of a type that is not judged here. What it says is for a policy in Rego.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherStatement {
    pub(crate) envelope: usize,
    pub(crate) keyid: KeyId,
    pub(crate) operator: String,
    pub(crate) platform: String,
    pub(crate) predicate_type: String,
    pub(crate) seen: Option<Seen>,
    pub(crate) statement: Value,
    subject: Vec<Subject>,
}

impl OtherStatement {
    /// Its place in the proof, counted from 1.
    #[must_use]
    pub fn envelope(&self) -> usize {
        self.envelope
    }

    /// The key that signed it.
    #[must_use]
    pub fn keyid(&self) -> KeyId {
        self.keyid
    }

    /// Who holds the key, by the auditor's trust file.
    #[must_use]
    pub fn operator(&self) -> &str {
        &self.operator
    }

    /// On what it is used, by the same.
    #[must_use]
    pub fn platform(&self) -> &str {
        &self.platform
    }

    /// The type of its predicate: a URI.
    #[must_use]
    pub fn predicate_type(&self) -> &str {
        &self.predicate_type
    }

    /// When a trusted authority first saw its signature, where one is shown to have.
    #[must_use]
    pub fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }

    /// All of it, as it was signed.
    #[must_use]
    pub fn statement(&self) -> &Value {
        &self.statement
    }

    /// What `key` has signed, where it is such a statement and the key vouches for it at the time `now`. Such a statement does
    /// not have to say when it was made: what nobody else saw is of now.
    pub(super) fn read(
        number: usize,
        envelope: &Envelope,
        key: &TrustedKey,
        evidence: Evidence<'_>,
        now: Timestamp,
    ) -> Result<Option<Self>, Reason> {
        let Ok(layout) = serde_json::from_slice::<Layout>(envelope.payload()) else { return Ok(None) };
        let Ok(statement) = serde_json::from_slice::<Value>(envelope.payload()) else { return Ok(None) };
        if layout.kind != STATEMENT_TYPE {
            return Ok(None);
        }
        let seen = evidence.seen(key, envelope.payload_digest(), now).ok();
        let shown = Seen::time(seen.as_ref());
        key.vouches(shown.unwrap_or(now), shown, now).map_err(Reason::Key)?;
        let TrustedKey { operator, platform, .. } = key.clone();
        Ok(Some(Self {
            envelope: number,
            keyid: envelope.keyid(),
            operator,
            platform,
            predicate_type: layout.predicate_type,
            seen,
            statement,
            subject: layout.subject,
        }))
    }

    /// Whether it is about something with this SHA-256, and with no other BLAKE3 where it gives one.
    fn is_about(&self, (sha256, blake3): &(Sha256, Digest)) -> bool {
        self.subject.iter().any(|Subject { digest }| {
            digest.sha256 == Some(*sha256) && digest.blake3.is_none_or(|stated| stated == *blake3)
        })
    }
}

/// Those of `others` that the policy asks for, about all of `artifacts`; why each of the rest does not count; and what is
/// missing.
pub(super) fn others(
    others: Vec<OtherStatement>,
    about: &[RebuilderClaim],
    artifacts: &[Artifact],
    policy: &Policy,
) -> (Vec<OtherStatement>, Vec<Uncounted>, Vec<Shortfall>) {
    let subjects = about.iter().flat_map(|claim| claim.proof.subject()).map(|subject| subject.digest);
    // Without files, it has to be about what the claims are about.
    let digests = artifacts.iter().map(|artifact| artifact.digest).chain(subjects.filter(|_| artifacts.is_empty()));
    let wanted: BTreeSet<_> = digests.map(|digest| (digest.sha256, digest.blake3)).collect();
    let (mut counted, mut rest) = (Vec::new(), Vec::new());
    for other in others {
        let (envelope, keyid) = (other.envelope, other.keyid);
        if !policy.predicates.contains(&other.predicate_type) {
            let reason = Reason::UnaskedPredicate(other.predicate_type.chars().take(Policy::MAX_TYPE).collect());
            rest.push(Uncounted { envelope, keyid, reason });
        } else if wanted.is_empty() || !wanted.iter().all(|each| other.is_about(each)) {
            rest.push(Uncounted { envelope, keyid, reason: Reason::OtherSubject });
        } else {
            counted.push(other);
        }
    }
    // Those of every claim are there where a claim is.
    let is_known = |kind: &str| kind == Provenance::TYPE || kind == Comparison::TYPE;
    let is_there = |kind: &String| is_known(kind) || counted.iter().any(|other| other.predicate_type == *kind);
    let missing = policy.predicates.iter().filter(|kind| !is_there(kind));
    let missing = missing.map(|kind| Shortfall::Predicate(kind.clone())).collect();
    (counted, rest, missing)
}

/// What is read of it here. Other members may be there, and one of these twice may not.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Subject {
    #[serde(default)]
    digest: Digests,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Digests {
    sha256: Option<Sha256>,
    blake3: Option<Digest>,
}
