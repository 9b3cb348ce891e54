// SPDX-License-Identifier: Apache-2.0
//! Verification summaries: what an audit came to, in the one form that other verifiers of SLSA read
//! (<https://slsa.dev/spec/v1.2/verification_summary>).

use std::collections::BTreeMap;

use jiff::Timestamp;
use reprove_model::{DigestSet, canonical};
use serde::Serialize;
use thiserror::Error;

use crate::{Appraisal, Artifact, Distinct, STATEMENT_TYPE, Tool};

/// The `predicateType` of a verification summary.
pub const SUMMARY_TYPE: &str = "https://slsa.dev/verification_summary/v1";

/// The `policy.uri` of a policy that nothing else is said of; what it says is under `policy.digest`.
pub const POLICY_URI: &str = "https://reprove.dev/policy/v0.1";

/// What a summary says beside what the appraisal came to.
#[derive(Clone, Copy, Debug)]
pub struct SummaryOf<'a> {
    /// Who audits: a URI.
    pub verifier: &'a str,
    /// From where the artifact is fetched, or what it is: a URI.
    pub resource: &'a str,
    /// The policy's file, byte by byte; empty for the default.
    pub policy: &'a [u8],
    /// The files that were audited.
    pub artifacts: &'a [Artifact],
    /// When.
    pub at: Timestamp,
    /// Leaves out [`REPRODUCED`], which slsa-verifier 2.7.1 refuses to read.
    pub compatible: bool,
}

/// SLSA's word for an artifact that builders on independently operated platforms have got, bit by bit.
pub const REPRODUCED: &str = "SLSA_BUILD_REPRODUCED";

/// SLSA's word for an artifact whose build level nobody has looked at, as is so here.
const UNEVALUATED: &str = "SLSA_BUILD_LEVEL_UNEVALUATED";

/// Why no summary is made.
#[derive(Debug, Error)]
pub enum SummaryError {
    /// A text that is no absolute URI (RFC 3986, section 3).
    #[error("the {what} {uri:?} is no URI: it has a scheme, a colon and something after it, without spaces")]
    Uri {
        /// What it should be that of.
        what: &'static str,
        /// The text.
        uri: String,
    },
    /// No file.
    #[error("a summary is about a file: none was given")]
    NoArtifact,
    /// A value that can't be written.
    #[error("the summary can't be written as canonical JSON: {0}")]
    Canonical(#[from] canonical::CanonicalError),
}

/// States what an appraisal came to: the bytes that are signed. One that is not enough is a summary too, `FAILED`.
///
/// # Errors
/// See [`SummaryError`].
pub fn summary(appraisal: &Appraisal, of: &SummaryOf<'_>) -> Result<Vec<u8>, SummaryError> {
    for (what, uri) in [("verifier", of.verifier), ("resource", of.resource)] {
        if !is_uri(uri) {
            return Err(SummaryError::Uri { what, uri: uri.chars().take(200).collect() });
        }
    }
    if of.artifacts.is_empty() {
        return Err(SummaryError::NoArtifact);
    }
    let passed = appraisal.is_enough();
    let mut levels = vec![if passed { UNEVALUATED } else { "FAILED" }];
    if passed && !of.compatible && is_reproduced(appraisal) {
        levels.push(REPRODUCED);
    }
    let subject = of.artifacts.iter().map(|artifact| Subject { name: &artifact.name, digest: artifact.digest });
    let used = appraisal.used()?.into_iter().map(|digest| Used { digest });
    Ok(canonical::to_vec(&Summary {
        statement: STATEMENT_TYPE,
        subject: subject.collect(),
        predicate_type: SUMMARY_TYPE,
        predicate: Predicate {
            verifier: Verifier { id: of.verifier, version: [(Tool::NAME, env!("CARGO_PKG_VERSION"))].into() },
            time_verified: of.at.to_string(),
            resource_uri: of.resource,
            policy: PolicyUsed { uri: POLICY_URI, digest: DigestSet::of(of.policy) },
            input_attestations: used.collect(),
            verification_result: if passed { "PASSED" } else { "FAILED" },
            verified_levels: levels,
            slsa_version: "1.2",
        },
    })?)
}

/// Whether two rebuilders that share neither operator nor platform have got it, and no trusted one other bits, whatever the
/// policy asked for.
fn is_reproduced(appraisal: &Appraisal) -> bool {
    appraisal.against().is_empty() && appraisal.independent_in(&[Distinct::Operator, Distinct::Platform].into()) >= 2
}

/// Whether it is an absolute URI (RFC 3986, section 3), in ASCII and not too long.
pub(crate) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme && !rest.is_empty() && text.len() <= 2048 && text.chars().all(|c| c.is_ascii_graphic())
}

#[derive(Serialize)]
struct Summary<'a> {
    #[serde(rename = "_type")]
    statement: &'static str,
    subject: Vec<Subject<'a>>,
    #[serde(rename = "predicateType")]
    predicate_type: &'static str,
    predicate: Predicate<'a>,
}

#[derive(Serialize)]
struct Subject<'a> {
    name: &'a str,
    digest: DigestSet,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<'a> {
    verifier: Verifier<'a>,
    time_verified: String,
    resource_uri: &'a str,
    policy: PolicyUsed,
    input_attestations: Vec<Used>,
    verification_result: &'static str,
    verified_levels: Vec<&'static str>,
    slsa_version: &'static str,
}

#[derive(Serialize)]
struct Verifier<'a> {
    id: &'a str,
    version: BTreeMap<&'static str, &'static str>,
}

#[derive(Serialize)]
struct PolicyUsed {
    uri: &'static str,
    digest: DigestSet,
}

#[derive(Serialize)]
struct Used {
    digest: DigestSet,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_has_a_scheme_and_something_after_it() {
        for uri in ["https://example.org/verifier", "pkg:pypi/idna@3.20", "urn:x", "a+b.c-1:x"] {
            assert!(is_uri(uri), "{uri}");
        }
        for text in ["", "example.org", ":x", "https:", "1a:x", "a b:x", "a:b c", "a:ä", "a:\u{1b}"] {
            assert!(!is_uri(text), "{text}");
        }
        let long = |n: usize| format!("a:{}", "x".repeat(n - 2));
        assert!(is_uri(&long(2048)) && !is_uri(&long(2049)));
    }
}
