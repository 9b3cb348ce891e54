// SPDX-License-Identifier: Apache-2.0
//! Comparisons: our predicate for what comparing rebuilds, with each other and with what was published, came to.

use std::sync::Arc;

use jiff::Timestamp;
use reprove_model::{BuildRecord, Conditions, DigestSet, Isolation, Lock, Outcome, Published, Verdict, canonical};
use serde::{Deserialize, Serialize};

use crate::consistency::{Inconsistency, Part, consistent, rebuilt_artifact, subject_of};
use crate::evidence::Evidence;
use crate::{AttestError, Predicate, Rebuilder, Statement, provenance};

/// One rebuild, as [`comparison`] is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Rebuilt<'a> {
    /// What was built.
    pub record: &'a BuildRecord,
    /// The payload of its provenance: the bytes that are signed.
    pub provenance: &'a [u8],
    /// What the processor says of the machine, where the isolation asks for that; or what else was said of it.
    pub evidence: Option<&'a Evidence>,
}

/// States what comparing `rebuilds` of `lock` by `rebuilder` came to, at the time `compared_on`.
///
/// # Errors
/// [`AttestError`] where a provenance is not that of its record, and [`AttestError::Inconsistent`] where the verdict is not
/// what the digests say: by the same check as the audit's, so that what is refused there is never stated here.
pub fn comparison(
    lock: &Lock,
    rebuilds: &[Rebuilt<'_>],
    verdict: &Verdict,
    rebuilder: &Rebuilder,
    compared_on: Timestamp,
) -> Result<Statement, AttestError> {
    let published = lock.published.as_ref();
    let mut statements = Vec::new();
    let mut claims = Vec::new();
    for (number, rebuilt) in (1..).zip(rebuilds) {
        let statement = provenance(lock, rebuilt.record, verdict.source_date_epoch.seconds)?;
        if statement.to_payload()? != rebuilt.provenance {
            return Err(AttestError::NotItsProvenance { rebuild: number });
        }
        let artifact = published.and_then(|published| rebuilt_artifact(&statement.subject, published));
        claims.push(Rebuild {
            provenance: DigestSet::of(rebuilt.provenance),
            record: DigestSet::of(&canonical::to_vec(rebuilt.record)?),
            outputs: rebuilt.record.outputs.digest(),
            artifact,
            conditions: rebuilt.record.conditions.clone(),
            evidence: rebuilt.evidence.map(Evidence::digest).transpose()?,
        });
        statements.push(statement);
    }
    let parts: Vec<_> =
        statements.iter().zip(rebuilds).filter_map(|(s, r)| Part::of(s, DigestSet::of(r.provenance))).collect();
    let first = parts.first().ok_or(Inconsistency::Rebuilds(0))?;
    let comparison = Comparison {
        verdict: RebuildVerdict::from(verdict),
        details: verdict.clone(),
        findings: digest_of_findings(verdict)?,
        rebuilds: claims,
        published: lock.published.clone(),
        lock: DigestSet::of(&canonical::to_vec(lock)?),
        isolation: first.provenance.build_definition.internal_parameters.isolation,
        rebuilder: rebuilder.clone(),
        tool: Tool::this(),
        compared_on,
    };
    let subject = subject_of(published, verdict.matches_published, first);
    consistent(&parts, &subject, &comparison)?;
    Ok(Statement { subject, predicate: Predicate::Comparison(Arc::new(comparison)) })
}

/// What comparing rebuilds came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Comparison {
    /// The word; it follows from `details`.
    pub verdict: RebuildVerdict,
    /// What it came to, with every finding.
    pub details: Verdict,
    /// Of the canonical JSON of the list of findings: a name for it where the list is not repeated.
    pub findings: DigestSet,
    /// What was compared, in the order of the provenances.
    pub rebuilds: Vec<Rebuild>,
    /// What was published, where the rebuilds were compared with it: the lock's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// Of the canonical JSON of the lock that was built each time.
    pub lock: DigestSet,
    /// In what every rebuild ran.
    pub isolation: Isolation,
    /// Who rebuilt, by their own word.
    pub rebuilder: Rebuilder,
    /// What compared.
    pub tool: Tool,
    /// When, by the rebuilder's clock (RFC 3339, UTC).
    pub compared_on: Timestamp,
}

impl Comparison {
    /// The `predicateType`, below `reprove_model::NAMESPACE`.
    pub const TYPE: &str = "https://reprove.dev/rebuild-comparison/v0.1";
}

/// The word of a comparison. The first alone is a reproduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RebuildVerdict {
    /// Every digest is equal.
    BitIdentical,
    /// Not every digest is, and after the normalizations that are named the published artifact's and the rebuilt one's are.
    NormalizedEqual,
    /// Not so.
    Different,
    /// A build did not end well: there was nothing to compare. See [`crate::Unbuildable`].
    Unbuildable,
}

impl RebuildVerdict {
    /// The word itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BitIdentical => "bit-identical",
            Self::NormalizedEqual => "normalized-equal",
            Self::Different => "different",
            Self::Unbuildable => "unbuildable",
        }
    }
}

impl From<&Verdict> for RebuildVerdict {
    fn from(verdict: &Verdict) -> Self {
        match verdict.outcome {
            Outcome::Reproducible => Self::BitIdentical,
            Outcome::Different if verdict.normalizations.is_empty() => Self::Different,
            Outcome::Different => Self::NormalizedEqual,
        }
    }
}

/// Of the canonical JSON of a verdict's findings.
pub(crate) fn digest_of_findings(verdict: &Verdict) -> Result<DigestSet, canonical::CanonicalError> {
    Ok(DigestSet::of(&canonical::to_vec(&verdict.findings)?))
}

/// One rebuild, as a comparison states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rebuild {
    /// Of the payload of its provenance.
    pub provenance: DigestSet,
    /// Of the canonical JSON of its build record.
    pub record: DigestSet,
    /// Of its output tree's canonical list.
    pub outputs: DigestSet,
    /// Of the one output that has the published artifact's file name; absent where there is none, or nothing published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<DigestSet>,
    /// Under which conditions it was built.
    pub conditions: Conditions,
    /// Of the canonical JSON of the evidence for its provenance, where the isolation asks for some, or there is some
    /// without that: so what shows when the comparison was there shows when that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<DigestSet>,
}

/// What compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Always [`Tool::NAME`].
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Tool {
    /// What the tool is called.
    pub const NAME: &str = "reprove";

    /// This one.
    pub(crate) fn this() -> Self {
        Self { name: Self::NAME.into(), version: env!("CARGO_PKG_VERSION").into() }
    }
}
