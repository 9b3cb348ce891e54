// SPDX-License-Identifier: Apache-2.0
//! Whether what a worker brought is what it says, and what was asked for. No I/O: bytes and roots come in.

use std::collections::BTreeSet;

use jiff::Timestamp;
use reprove_attest::{Audited, Policy, ProofError, RebuildVerdict, TrustRoots, TrustedKey, appraise, audit};
use reprove_model::{Cause, Digest, DigestSet, Finding, Isolation, PackageUrl, Published, Recipe};
use thiserror::Error;

use super::Worker;
use crate::{Outcome, ReportError, Request, VerifiedReport, Work};

/// What counts of a report: what goes into the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// The word.
    pub(super) verdict: RebuildVerdict,
    /// Of what was published, as the worker got it; of a project, of what it was built to.
    pub(super) published: DigestSet,
    /// Whether that came out of nothing but itself: then equal bytes show how it was packed, and no more.
    pub(super) is_of_own_contents: bool,
    /// What was found to differ, by kind, and what caused it.
    pub(super) causes: BTreeSet<String>,
}

/// Why what a worker brought does not count.
#[derive(Debug, Error)]
pub enum Refusal {
    /// It is no report that the worker signed.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// It says that it is somebody else's.
    #[error("it says that it is by the worker {said}, and {by} brought it")]
    OtherWorker {
        /// What it says.
        said: String,
        /// Who brought it.
        by: String,
    },
    /// It is about something else than the job.
    #[error("it is about another request than the job's")]
    OtherRequest,
    /// The job was decided by another report.
    #[error("the job is decided already, by another report")]
    Decided,
    /// The job is finished without one.
    #[error("the job is finished: it was cancelled, or given up")]
    Finished,
    /// The worker has not the newest lease of the job.
    #[error("the job was handed out again since: the report is of epoch {said}, and the newest is {newest}")]
    Stale {
        /// Of the report.
        said: u32,
        /// Of the job.
        newest: u32,
    },
    /// The bytes that came with it are others.
    #[error("the {0} that came with it is not the one that it names: their digests differ")]
    OtherBytes(&'static str),
    /// It names something that did not come.
    #[error("it names a {0}, and none came with it")]
    Missing(&'static str),
    /// The proof does not pass the audit.
    #[error("the proof does not pass the audit: {0}")]
    Audit(#[from] reprove_attest::AuditError),
    /// The proof can't be appraised.
    #[error("the proof can't be appraised: {0}")]
    Proof(#[from] ProofError),
    /// The proof says something else than the report.
    #[error("the report says {said}, and its proof {proven}")]
    OtherVerdict {
        /// The report.
        said: &'static str,
        /// The proof.
        proven: &'static str,
    },
    /// The proof is about something else.
    #[error("the proof is not about {asked}, but about {proven}")]
    OtherSubject {
        /// What was asked for.
        asked: String,
        /// What the proof says.
        proven: String,
    },
    /// It was built in something else.
    #[error("the proof says that it was built in {proven}, and the worker is registered for {registered}")]
    OtherIsolation {
        /// What the proof says.
        proven: &'static str,
        /// What the worker said.
        registered: &'static str,
    },
    /// There is no evidence that is believed.
    #[error("there is no evidence that it was built in {0}: {1}")]
    NoEvidence(&'static str, String),
}

/// What came with a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// The proof's bytes.
    pub proof: Option<Vec<u8>>,
    /// What the builds printed.
    pub log: Option<Vec<u8>>,
}

/// Looks whether a report is in the name of who brings it.
pub(super) fn is_by(report: &VerifiedReport, worker: &Worker) -> Result<(), Refusal> {
    let said = &report.report().worker;
    match *said == worker.profile.name {
        true => Ok(()),
        false => Err(Refusal::OtherWorker { said: said.to_string(), by: worker.profile.name.to_string() }),
    }
}

/// Looks whether a report is about the job that it says, and whether what came with it is what it names.
pub(super) fn is_about(report: &VerifiedReport, request: DigestSet, brought: &Brought) -> Result<(), Refusal> {
    if report.request() != request {
        return Err(Refusal::OtherRequest);
    }
    let (proof, log) = match &report.report().outcome {
        Outcome::Verdict { proof, log, .. } => (Some(*proof), *log),
        Outcome::Failure(_) => (None, None),
    };
    is_what_is_named("proof", proof, brought.proof.as_deref())?;
    is_what_is_named("log", log, brought.log.as_deref())
}

fn is_what_is_named(what: &'static str, named: Option<DigestSet>, bytes: Option<&[u8]>) -> Result<(), Refusal> {
    match (named, bytes) {
        (Some(named), Some(bytes)) if DigestSet::of(bytes) == named => Ok(()),
        (Some(_), None) => Err(Refusal::Missing(what)),
        (None, None) => Ok(()),
        _ => Err(Refusal::OtherBytes(what)),
    }
}

/// Audits a proof that a worker brought for a verdict: whether it is signed by it, contradicts nothing, says what the report
/// says, and is about what was asked for, built in what the worker is registered for, with evidence where that has some.
pub(super) fn judge(
    said: RebuildVerdict,
    proof: &[u8],
    request: &Request,
    (worker, registered): (&Worker, Isolation),
    trust: &TrustRoots,
    now: Timestamp,
) -> Result<Judged, Refusal> {
    let audited = audit(proof, &[], std::slice::from_ref(&worker.key))?;
    if audited.word() != said {
        return Err(Refusal::OtherVerdict { said: said.name(), proven: audited.word().name() });
    }
    let (isolation, findings) = match &audited {
        Audited::Compared(proof) => (proof.isolation(), proof.verdict().findings.as_slice()),
        Audited::Unbuildable(failed) => (failed.failure().isolation, [].as_slice()),
    };
    let published = is_what_was_asked_for(request, &audited)?;
    // What the worker was when it got the job, and what was asked for: whatever it has become since.
    for wanted in [Some(registered), request.requires.isolation].into_iter().flatten() {
        if isolation != wanted {
            return Err(Refusal::OtherIsolation { proven: isolation.name(), registered: wanted.name() });
        }
    }
    if isolation.has_evidence() {
        if matches!(audited, Audited::Unbuildable(_)) {
            let why = "a build that failed has none, so that this is nothing that counts for it";
            return Err(Refusal::NoEvidence(isolation.name(), why.to_owned()));
        }
        has_evidence(proof, worker, isolation, trust, now)?;
    }
    let causes = findings.iter().flat_map(causes).collect();
    let is_of_own_contents = matches!(&audited, Audited::Compared(proof) if proof.is_of_own_contents());
    Ok(Judged { verdict: audited.word(), published, is_of_own_contents, causes })
}

/// Of what was published, or of what a project is built to each time, where that is what was asked for.
fn is_what_was_asked_for(request: &Request, audited: &Audited) -> Result<DigestSet, Refusal> {
    match (&request.work, audited) {
        (Work::Package { purl }, Audited::Compared(proof)) => is_this_package(purl, proof.published()),
        (Work::Package { purl }, Audited::Unbuildable(failed)) => {
            is_this_package(purl, failed.failure().published.as_ref())
        }
        (Work::Project { recipe, source }, audited) => is_this_project(request, (recipe, source), audited),
    }
}

/// A project is its recipe and its source, as they were sent; what each rebuilder built it to is compared as well.
fn is_this_project(
    request: &Request,
    (recipe, source): (&Recipe, &Digest),
    audited: &Audited,
) -> Result<DigestSet, Refusal> {
    let other = |proven: &str| Refusal::OtherSubject { asked: request.subject(), proven: proven.to_owned() };
    let (published, built, dependencies, outputs) = match audited {
        Audited::Compared(proof) => {
            let first = proof.rebuilds().first().ok_or_else(|| other("nothing"))?.outputs;
            // Of what differs from build to build, no two have to have the same.
            let outputs = if proof.word() == RebuildVerdict::BitIdentical { first } else { DigestSet::of(b"") };
            (proof.published(), proof.recipe(), proof.dependencies(), outputs)
        }
        Audited::Unbuildable(failed) => {
            let failure = failed.failure();
            // Nothing was built.
            let outputs = DigestSet::of(b"");
            (failure.published.as_ref(), &failure.recipe, failure.resolved_dependencies.as_slice(), outputs)
        }
    };
    if let Some(published) = published {
        return Err(other(published.name.as_str()));
    }
    if built != recipe {
        return Err(other("a project with another recipe"));
    }
    if crate::source::among(dependencies) != Some(*source) {
        return Err(other("a project with another source"));
    }
    Ok(outputs)
}

/// The digests of what was published, where that is this package.
fn is_this_package(asked: &PackageUrl, published: Option<&Published>) -> Result<DigestSet, Refusal> {
    let other = |proven: String| Refusal::OtherSubject { asked: asked.to_string(), proven };
    let published = published.ok_or_else(|| other("nothing that was published".to_owned()))?;
    let proven = published.purl.as_ref().ok_or_else(|| other(published.name.to_string()))?;
    let same = |of: fn(&reprove_model::PackageUrl) -> Option<&str>| of(asked) == of(proven);
    let is_same = asked.kind() == proven.kind()
        && asked.name() == proven.name()
        && same(|purl| purl.namespace())
        && same(|purl| purl.version())
        // What a request says besides has to be so; it may leave out what only the registry knows.
        && ["arch", "file_name", "type"].iter().all(|key| {
            asked.qualifier(key).is_none_or(|value| proven.qualifier(key) == Some(value))
        });
    if is_same { Ok(published.digest) } else { Err(other(proven.to_string())) }
}

/// Whether each rebuild was in a confidential machine, by evidence below the farm's own roots.
fn has_evidence(
    proof: &[u8],
    worker: &Worker,
    isolation: Isolation,
    trust: &TrustRoots,
    now: Timestamp,
) -> Result<(), Refusal> {
    let key = TrustedKey {
        key: worker.key,
        operator: worker.admission.operator.clone(),
        platform: worker.profile.platform.clone(),
        valid_from: None,
        valid_until: None,
        revoked: None,
        predicates: None,
    };
    let roots = trust.clone().with_only(key);
    let policy = Policy { evidence: true, ..Policy::default() };
    let appraisal = appraise(proof, &[], &roots, &policy, now)?;
    let none = |why: String| Refusal::NoEvidence(isolation.name(), why);
    match appraisal.claims() {
        [claim] if !claim.attested().is_empty() => Ok(()),
        [claim] => Err(none(claim.reasons().iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))),
        _ => {
            let why = appraisal.uncounted().iter().map(|uncounted| uncounted.reason().to_string());
            Err(none(why.collect::<Vec<_>>().join("; ")))
        }
    }
}

/// What a finding is counted by: what caused it, or else what it is.
pub(crate) fn causes(finding: &Finding) -> Vec<String> {
    let of = |cause: &Cause| match cause {
        Cause::Varied { variation, .. } => vec![variation.word().to_owned()],
        Cause::Together { variations, .. } => variations.iter().map(|variation| variation.word().to_owned()).collect(),
        Cause::Unstable { .. } => vec!["unstable".to_owned()],
    };
    let causes: Vec<String> = finding.causes.iter().flat_map(of).collect();
    if causes.is_empty() { vec![finding.kind.name().to_owned()] } else { causes }
}

/// What several rebuilders came to: one word where they agree on it, and on what was published; none where they do not.
pub(super) fn agreed(words: &[(RebuildVerdict, Digest)]) -> Option<RebuildVerdict> {
    let (first, published) = words.first()?;
    words.iter().all(|(word, of)| word == first && of == published).then_some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rebuilders_agree_on_the_word_and_on_what_was_published() {
        use RebuildVerdict::{BitIdentical, Different};
        let [a, b] = [b"a", b"b"].map(|bytes| Digest::of(bytes));
        assert_eq!(agreed(&[]), None);
        assert_eq!(agreed(&[(Different, a)]), Some(Different));
        assert_eq!(agreed(&[(BitIdentical, a), (BitIdentical, a)]), Some(BitIdentical));
        assert_eq!(agreed(&[(BitIdentical, a), (BitIdentical, b)]), None);
        assert_eq!(agreed(&[(BitIdentical, a), (Different, a)]), None);
    }

    #[test]
    fn what_came_has_to_be_what_is_named() {
        let digest = DigestSet::of(b"bytes");
        let is = |named, bytes| is_what_is_named("proof", named, bytes);
        assert!(is(Some(digest), Some(b"bytes")).is_ok() && is(None, None).is_ok());
        assert!(matches!(is(Some(digest), Some(b"other")), Err(Refusal::OtherBytes("proof"))));
        assert!(matches!(is(None, Some(b"bytes")), Err(Refusal::OtherBytes("proof"))));
        assert!(matches!(is(Some(digest), None), Err(Refusal::Missing("proof"))));
    }

    #[test]
    fn what_is_asked_for_may_leave_out_and_not_contradict() {
        let published = |purl: &str| Published {
            purl: Some(purl.parse().unwrap()),
            name: "a".parse().unwrap(),
            digest: DigestSet::of(b"a"),
            size: 1,
            derived: BTreeSet::new(),
            parts: BTreeSet::new(),
        };
        let is = |asked: &str, purl: &str| is_this_package(&asked.parse().unwrap(), Some(&published(purl))).is_ok();
        assert!(is("pkg:pypi/idna@3", "pkg:pypi/idna@3?file_name=idna-3-py3-none-any.whl"));
        assert!(is("pkg:deb/debian/a@1?arch=amd64", "pkg:deb/debian/a@1?arch=amd64"));
        for (asked, proven) in [
            ("pkg:pypi/idna@3", "pkg:pypi/idna@4"),
            ("pkg:pypi/idna@3", "pkg:npm/idna@3"),
            ("pkg:npm/%40a/b@1", "pkg:npm/%40c/b@1"),
            ("pkg:npm/%40a/b@1", "pkg:npm/b@1"),
            ("pkg:deb/debian/a@1?arch=amd64", "pkg:deb/debian/a@1?arch=arm64"),
            ("pkg:deb/debian/a@1?arch=amd64", "pkg:deb/debian/a@1"),
        ] {
            assert!(!is(asked, proven), "{asked} {proven}");
        }
        let asked = "pkg:pypi/idna@3".parse().unwrap();
        assert!(matches!(is_this_package(&asked, None), Err(Refusal::OtherSubject { .. })));
    }
}
