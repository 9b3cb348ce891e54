// SPDX-License-Identifier: Apache-2.0
//! Attributes with their evidence: Software Supply Chain Attribute Integrity v0.3 (in-toto attestation framework,
//! `spec/predicates/scai.md`).

use jiff::Timestamp;
use reprove_model::{DigestSet, Isolation, IsolationLevel, Variation, canonical};
use serde::Serialize;

use super::{DocumentError, shown};
use crate::audit::find;
use crate::summary::is_uri;
use crate::{Appraisal, Artifact, RebuilderClaim, STATEMENT_TYPE};

/// The `predicateType` of an attribute report.
pub const SCAI_TYPE: &str = "https://in-toto.io/attestation/scai/v0.3";

/// The media type of the evidence (in-toto attestation framework, `spec/v1/envelope.md`, "Storage convention").
const COMPARISON_MEDIA_TYPE: &str = "application/vnd.in-toto.rebuild-comparison+dsse";

/// What an attribute report says beside what the appraisal came to.
#[derive(Clone, Copy, Debug)]
pub struct ScaiOf<'a> {
    /// Who audits, and so makes the report: a URI.
    pub verifier: &'a str,
    /// The policy's file, byte by byte; empty for the default.
    pub policy: &'a [u8],
    /// The files that were audited.
    pub artifacts: &'a [Artifact],
    /// When.
    pub at: Timestamp,
}

/// States that the artifacts are reproducible, once for each claim that counts and each of them, with what shows it: the
/// bytes that are signed.
///
/// # Errors
/// [`DocumentError::NotShown`] where the appraisal is not enough, or a trusted rebuilder got other bits; and the others that
/// say so.
pub fn scai(appraisal: &Appraisal, of: &ScaiOf<'_>) -> Result<Vec<u8>, DocumentError> {
    if !is_uri(of.verifier) {
        return Err(DocumentError::Verifier(of.verifier.chars().take(200).collect()));
    }
    if of.artifacts.is_empty() {
        return Err(DocumentError::NoArtifact);
    }
    let mut attributes = Vec::new();
    for claim in shown(appraisal)? {
        for artifact in of.artifacts {
            attributes.push(attribute(appraisal, claim, artifact, of)?);
        }
    }
    Ok(canonical::to_vec(&Report {
        statement: STATEMENT_TYPE,
        subject: of.artifacts.iter().map(named).collect(),
        predicate_type: SCAI_TYPE,
        predicate: Predicate { attributes, producer: Producer { name: "auditor", uri: of.verifier } },
    })?)
}

fn attribute<'a>(
    appraisal: &Appraisal,
    claim: &'a RebuilderClaim,
    artifact: &'a Artifact,
    of: &ScaiOf<'_>,
) -> Result<Attribute<'a>, DocumentError> {
    let proof = claim.proof();
    let _ = find(artifact, proof.subject())?;
    let digest = appraisal.evidence(claim)?.ok_or(DocumentError::Envelope(claim.envelope()))?;
    let verdict = proof.verdict();
    Ok(Attribute {
        attribute: "REPRODUCIBLE",
        target: named(artifact),
        conditions: Conditions {
            lock: proof.lock(),
            rebuilds: proof.rebuilds().len(),
            varied: &verdict.varied,
            deterministic: proof.recipe().build.deterministic,
            source_date_epoch: verdict.source_date_epoch.seconds,
            matches_published: verdict.matches_published,
            isolation: claim.isolation(),
            isolation_level: claim.isolation_level(),
            compared_on: proof.compared_on().to_string(),
            rebuilder: Rebuilder {
                keyid: claim.keyid().to_string(),
                operator: claim.operator(),
                platform: claim.platform(),
            },
            appraisal: Appraised { at: of.at.to_string(), policy: DigestSet::of(of.policy) },
        },
        evidence: Evidence { name: "comparison", digest, media_type: COMPARISON_MEDIA_TYPE },
    })
}

fn named(artifact: &Artifact) -> Named<'_> {
    Named { name: &artifact.name, digest: artifact.digest }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    #[serde(rename = "_type")]
    statement: &'static str,
    subject: Vec<Named<'a>>,
    predicate_type: &'static str,
    predicate: Predicate<'a>,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    digest: DigestSet,
}

#[derive(Serialize)]
struct Predicate<'a> {
    attributes: Vec<Attribute<'a>>,
    producer: Producer<'a>,
}

#[derive(Serialize)]
struct Producer<'a> {
    name: &'static str,
    uri: &'a str,
}

#[derive(Serialize)]
struct Attribute<'a> {
    attribute: &'static str,
    target: Named<'a>,
    conditions: Conditions<'a>,
    evidence: Evidence,
}

/// Under which conditions it was shown: from which inputs, with what made different, behind which walls, by whom, and by
/// which policy it counts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Conditions<'a> {
    lock: DigestSet,
    rebuilds: usize,
    varied: &'a [Variation],
    deterministic: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_date_epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matches_published: Option<bool>,
    isolation: Isolation,
    #[serde(skip_serializing_if = "Option::is_none")]
    isolation_level: Option<IsolationLevel>,
    compared_on: String,
    rebuilder: Rebuilder<'a>,
    appraisal: Appraised,
}

#[derive(Serialize)]
struct Rebuilder<'a> {
    keyid: String,
    operator: &'a str,
    platform: &'a str,
}

#[derive(Serialize)]
struct Appraised {
    at: String,
    policy: DigestSet,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Evidence {
    name: &'static str,
    digest: DigestSet,
    media_type: &'static str,
}
