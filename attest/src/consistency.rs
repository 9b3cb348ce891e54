// SPDX-License-Identifier: Apache-2.0
//! Whether the statements of one proof fit together. Whoever states a comparison and whoever audits one calls the same
//! [`consistent`], so that neither can drift from the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use reprove_model::{DigestSet, Published, PublishedPart, Sha256, canonical};
use thiserror::Error;

use crate::truth::{UntrueVerdict, check_verdict};
use crate::{
    Comparison, InvalidName, Predicate, Provenance, ProvenanceFault, Rebuild, ResourceDescriptor, Statement, Tool,
    UnbuildableFault,
};

/// The fewest rebuilds that a comparison is about.
pub const MIN_REBUILDS: usize = 2;
/// The most rebuilds that a comparison is about.
pub const MAX_REBUILDS: usize = 64;

/// What in one proof contradicts what. Rebuilds are counted from 1.
#[derive(Debug, Error)]
pub enum Inconsistency {
    /// Too few provenances, or too many.
    #[error("there are {0} provenances; a comparison needs {MIN_REBUILDS} to {MAX_REBUILDS} rebuilds")]
    Rebuilds(usize),
    /// Another number of rebuilds than of provenances.
    #[error("the comparison is of {claimed} rebuilds, and there are {present} provenances")]
    Count {
        /// How many the comparison names.
        claimed: usize,
        /// How many there are.
        present: usize,
    },
    /// A provenance that can't be, by itself.
    #[error("the provenance of rebuild {rebuild} can't be true: {fault}")]
    Provenance {
        /// Which.
        rebuild: usize,
        /// Why.
        fault: ProvenanceFault,
    },
    /// The comparison names another provenance.
    #[error(
        "the comparison's rebuild {rebuild} names a provenance with SHA-256 {named}, and the one there has {present}: \
         it is missing, replaced or in another place"
    )]
    OtherProvenance {
        /// Which.
        rebuild: usize,
        /// By the comparison.
        named: Sha256,
        /// Of the payload that is there.
        present: Sha256,
    },
    /// One build counted twice.
    #[error("rebuild {rebuild} is one that was already counted: the same build record, which is no second build")]
    SameBuild {
        /// Which.
        rebuild: usize,
    },
    /// The comparison and the provenance differ in one thing.
    #[error("what the comparison says of rebuild {rebuild}'s {what} is not what that rebuild's provenance says")]
    Claim {
        /// Which.
        rebuild: usize,
        /// In what.
        what: Claim,
    },
    /// No evidence where there has to be some.
    #[error("the comparison names no evidence for rebuild {rebuild}, and its isolation asks for some")]
    Evidence {
        /// Which.
        rebuild: usize,
    },
    /// Two provenances differ in what every rebuild must share.
    #[error("rebuild {rebuild} has another {what} than rebuild 1: they are not rebuilds of one thing")]
    Unshared {
        /// Which.
        rebuild: usize,
        /// In what.
        what: Shared,
    },
    /// Equal trees with unequal files.
    #[error("rebuild {rebuild} states the same output tree as rebuild 1, with other files in it")]
    EqualTreesUnequalFiles {
        /// Which.
        rebuild: usize,
    },
    /// The comparison's isolation.
    #[error("the comparison states another isolation than its provenances")]
    Isolation,
    /// The comparison's lock.
    #[error("the comparison states another lock than its provenances")]
    Lock,
    /// What is stated of a lock can't be one's.
    #[error("no lock can be made of what is stated: {0}")]
    NoLock(ProvenanceFault),
    /// The stated lock isn't made of what is stated.
    #[error(
        "the stated lock has SHA-256 {stated}, but the recipe, dependencies and published artifact that are stated make \
         the lock with {made}: one of them is not what was locked"
    )]
    LockContent {
        /// What is stated.
        stated: Sha256,
        /// Of what is stated.
        made: Sha256,
    },
    /// What was published is built from itself, and that is not said.
    #[error("what was published is among the inputs, and it is not said that its own contents were the source")]
    OwnContents,
    /// The comparison's subjects.
    #[error("the comparison's subject is neither the published artifact nor, without one, rebuild 1's output files")]
    Subject,
    /// Another tool.
    #[error("the comparison is by the tool {0:?}; the only one known is {known:?}", known = Tool::NAME)]
    Tool(String),
    /// A comparison before a build.
    #[error("the comparison says that it was made before rebuild {rebuild} started")]
    Time {
        /// Which.
        rebuild: usize,
    },
    /// Who rebuilt has no name that can be one.
    #[error("who rebuilt is not named as can be: {0}")]
    Rebuilder(#[from] InvalidName),
    /// What is said of failed builds can't be.
    #[error(transparent)]
    Unbuildable(#[from] UnbuildableFault),
    /// A verdict that the digests don't bear out.
    #[error("the verdict is not true of the digests beside it: {0}")]
    Verdict(#[from] UntrueVerdict),
    /// A value that can't be written.
    #[error("the lock can't be written as canonical JSON: {0}")]
    Canonical(#[from] canonical::CanonicalError),
}

/// What a comparison says of one rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The digest of the build record.
    Record,
    /// The digest of the output tree.
    Outputs,
    /// The digest of the output with the published artifact's file name.
    Artifact,
    /// The conditions.
    Conditions,
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Record => "build record",
            Self::Outputs => "outputs",
            Self::Artifact => "artifact",
            Self::Conditions => "conditions",
        })
    }
}

/// What every rebuild of one proof shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// The lock's digest.
    Lock,
    /// The recipe.
    Recipe,
    /// The resolved dependencies.
    Dependencies,
    /// The isolation.
    Isolation,
}

impl std::fmt::Display for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lock => "lock",
            Self::Recipe => "recipe",
            Self::Dependencies => "set of resolved dependencies",
            Self::Isolation => "isolation",
        })
    }
}

/// One provenance, and the digest of the bytes that were signed.
pub(crate) struct Part<'a> {
    pub(crate) payload: DigestSet,
    pub(crate) subject: &'a [ResourceDescriptor],
    pub(crate) provenance: &'a Arc<Provenance>,
}

impl<'a> Part<'a> {
    /// `None` where the statement is no provenance.
    pub(crate) fn of(statement: &'a Statement, payload: DigestSet) -> Option<Self> {
        match &statement.predicate {
            Predicate::Provenance(provenance) => Some(Self { payload, subject: &statement.subject, provenance }),
            Predicate::Comparison(_) | Predicate::Unbuildable(_) => None,
        }
    }
}

/// Checks that `comparison`, with `subject`, and the provenances `parts` say nothing that another of them contradicts.
pub(crate) fn consistent(
    parts: &[Part<'_>],
    subject: &[ResourceDescriptor],
    comparison: &Comparison,
) -> Result<(), Inconsistency> {
    let (Some(first), MIN_REBUILDS..=MAX_REBUILDS) = (parts.first(), parts.len()) else {
        return Err(Inconsistency::Rebuilds(parts.len()));
    };
    if comparison.rebuilds.len() != parts.len() {
        return Err(Inconsistency::Count { claimed: comparison.rebuilds.len(), present: parts.len() });
    }
    let mut records = BTreeSet::new();
    for (rebuild, (part, claim)) in (1..).zip(parts.iter().zip(&comparison.rebuilds)) {
        if claim.provenance != part.payload {
            let (named, present) = (claim.provenance.sha256, part.payload.sha256);
            return Err(Inconsistency::OtherProvenance { rebuild, named, present });
        }
        let fault = |fault| Inconsistency::Provenance { rebuild, fault };
        part.provenance.check(part.subject).map_err(fault)?;
        check_claim(rebuild, part, claim, comparison.published.as_ref())?;
        check_shared(rebuild, first, part)?;
        if !records.insert(claim.record) {
            return Err(Inconsistency::SameBuild { rebuild });
        }
        if comparison.compared_on < part.provenance.run_details.metadata.started_on {
            return Err(Inconsistency::Time { rebuild });
        }
    }
    check_lock(first.provenance, comparison)?;
    check_tool(&comparison.tool)?;
    comparison.rebuilder.check()?;
    if subject != subject_of(comparison.published.as_ref(), comparison.details.matches_published, first) {
        return Err(Inconsistency::Subject);
    }
    Ok(check_verdict(parts, comparison)?)
}

pub(crate) fn check_tool(tool: &Tool) -> Result<(), Inconsistency> {
    if tool.name == Tool::NAME { Ok(()) } else { Err(Inconsistency::Tool(tool.name.chars().take(80).collect())) }
}

/// What a comparison is about: what was published, or else the first rebuild's output files. Where it matches, it is about
/// each part of what was published as well, but for those that are inputs or lie in the source; where it does not, some of
/// these may be equal.
pub(crate) fn subject_of(
    published: Option<&Published>,
    matches: Option<bool>,
    first: &Part<'_>,
) -> Vec<ResourceDescriptor> {
    let Some(published) = published else { return first.subject.to_vec() };
    let inputs = &first.provenance.build_definition.resolved_dependencies;
    let is_given = |part: &PublishedPart| part.in_source || inputs.iter().any(|input| input.digest == part.digest);
    let parts = published.parts.iter().filter(|part| matches == Some(true) && !is_given(part));
    let parts = parts.map(|part| ResourceDescriptor::named(&part.path(), part.digest));
    [ResourceDescriptor::published(published)].into_iter().chain(parts).collect()
}

/// The digests of the output file at the top that has the published artifact's file name, whole. A path is there once.
pub(crate) fn rebuilt_artifact(subject: &[ResourceDescriptor], published: &Published) -> Option<DigestSet> {
    published.rebuilt(subject.iter().map(|file| (file.name.as_bytes(), file.digest)))
}

fn check_claim(
    rebuild: usize,
    part: &Part<'_>,
    claim: &Rebuild,
    published: Option<&Published>,
) -> Result<(), Inconsistency> {
    let wrong = |what| Err(Inconsistency::Claim { rebuild, what });
    if part.provenance.record() != Some(claim.record) {
        return wrong(Claim::Record);
    }
    if part.provenance.outputs() != Some(claim.outputs) {
        return wrong(Claim::Outputs);
    }
    let parameters = &part.provenance.build_definition.internal_parameters;
    if parameters.isolation.has_evidence() && claim.evidence.is_none() {
        return Err(Inconsistency::Evidence { rebuild });
    }
    if parameters.conditions != claim.conditions {
        return wrong(Claim::Conditions);
    }
    if published.and_then(|published| rebuilt_artifact(part.subject, published)) != claim.artifact {
        return wrong(Claim::Artifact);
    }
    Ok(())
}

fn check_shared(rebuild: usize, first: &Part<'_>, part: &Part<'_>) -> Result<(), Inconsistency> {
    let (a, b) = (&first.provenance.build_definition, &part.provenance.build_definition);
    for (same, what) in [
        (a.internal_parameters.isolation == b.internal_parameters.isolation, Shared::Isolation),
        (a.external_parameters == b.external_parameters, Shared::Recipe),
        (a.resolved_dependencies == b.resolved_dependencies, Shared::Dependencies),
        (a.internal_parameters.lock == b.internal_parameters.lock, Shared::Lock),
    ] {
        if !same {
            return Err(Inconsistency::Unshared { rebuild, what });
        }
    }
    if first.provenance.outputs() == part.provenance.outputs() && first.subject != part.subject {
        return Err(Inconsistency::EqualTreesUnequalFiles { rebuild });
    }
    Ok(())
}

/// What every provenance shares, against the comparison and against the digest of the lock that it makes.
fn check_lock(first: &Provenance, comparison: &Comparison) -> Result<(), Inconsistency> {
    let parameters = &first.build_definition.internal_parameters;
    if comparison.isolation != parameters.isolation {
        return Err(Inconsistency::Isolation);
    }
    if comparison.lock != parameters.lock {
        return Err(Inconsistency::Lock);
    }
    let fault = |fault| Inconsistency::Provenance { rebuild: 1, fault };
    let lock = first.lock(comparison.published.clone()).map_err(fault)?;
    if lock.hides_its_source() {
        return Err(Inconsistency::OwnContents);
    }
    let made = DigestSet::of(&canonical::to_vec(&lock)?);
    if made != comparison.lock {
        return Err(Inconsistency::LockContent { stated: comparison.lock.sha256, made: made.sha256 });
    }
    Ok(())
}
