// SPDX-License-Identifier: Apache-2.0
//! The audit: from a proof's bytes, the artifacts' digests and the keys that the auditor trusts to what is proved.

use std::sync::Arc;

use jiff::Timestamp;
use reprove_model::{Derived, DigestSet, Isolation, IsolationLevel, Outcome, Published, Recipe, Sha256, Verdict};
use thiserror::Error;

use crate::consistency::{Part, consistent};
use crate::{
    Comparison, Inconsistency, KeyId, Predicate, Proof, ProofError, Provenance, PublicKey, Rebuild, RebuildVerdict,
    Rebuilder, ResourceDescriptor, SignatureError, Statement, StatementError, Tool, Trust, Unbuildable,
};

/// Audits a proof: whether somebody with one of `keys` signed all of it, whether nothing in it contradicts anything else
/// in it, and whether each of `artifacts` is one that it is about.
///
/// A valid proof may say that the rebuilds are different, or that they failed: see [`VerifiedProof::verdict`] and
/// [`Audited::Unbuildable`].
///
/// # Errors
/// See [`AuditError`]. Nothing of a proof that does not pass is returned.
pub fn audit(proof: &[u8], artifacts: &[Artifact], keys: &[PublicKey]) -> Result<Audited, AuditError> {
    if keys.is_empty() {
        return Err(AuditError::NoKeys);
    }
    let proof = Proof::from_bytes(proof)?;
    let (signer, statements) = verify(&proof, keys)?;
    let find = |subject: &[ResourceDescriptor]| {
        artifacts.iter().map(|artifact| find(artifact, subject)).collect::<Result<_, AuditError>>()
    };
    if let Some((subject, failure)) = failure(&statements)? {
        failure.check(subject)?;
        let failure = VerifiedFailure { signer, failure: Arc::clone(failure), artifacts: find(subject)? };
        return Ok(Audited::Unbuildable(Box::new(failure)));
    }
    let (provenances, (subject, comparison)) = arrange(&statements)?;
    let verified = verified(signer, &provenances, subject, comparison)?;
    Ok(Audited::Compared(Box::new(VerifiedProof { artifacts: find(subject)?, ..verified })))
}

/// What a proof that passed the audit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audited {
    /// What comparing rebuilds came to.
    Compared(Box<VerifiedProof>),
    /// That rebuilding failed.
    Unbuildable(Box<VerifiedFailure>),
}

impl Audited {
    /// The word for it.
    #[must_use]
    pub fn word(&self) -> RebuildVerdict {
        match self {
            Self::Compared(proof) => proof.comparison.verdict,
            Self::Unbuildable(_) => RebuildVerdict::Unbuildable,
        }
    }

    /// What comparing rebuilds came to; `None` where they failed.
    #[must_use]
    pub fn compared(self) -> Option<VerifiedProof> {
        match self {
            Self::Compared(proof) => Some(*proof),
            Self::Unbuildable(_) => None,
        }
    }
}

/// A proof of failure that passed the audit. Only [`audit`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedFailure {
    signer: KeyId,
    failure: Arc<Unbuildable>,
    artifacts: Vec<VerifiedArtifact>,
}

impl VerifiedFailure {
    /// What was tried, and how it ended.
    #[must_use]
    pub fn failure(&self) -> &Unbuildable {
        &self.failure
    }

    /// What it is about: what was published, or else the lock.
    #[must_use]
    pub fn subject(&self) -> ResourceDescriptor {
        self.failure.subject()
    }

    /// The key that signed it.
    #[must_use]
    pub fn signer(&self) -> KeyId {
        self.signer
    }

    /// The artifacts that were given to the audit, each found to be its subject. Empty where none was given.
    #[must_use]
    pub fn artifacts(&self) -> &[VerifiedArtifact] {
        &self.artifacts
    }
}

/// What `signer` has signed, where nothing in it contradicts anything else in it; without artifacts.
pub(crate) fn verified(
    signer: KeyId,
    provenances: &[Part<'_>],
    subject: &[ResourceDescriptor],
    comparison: &Arc<Comparison>,
) -> Result<VerifiedProof, Inconsistency> {
    consistent(provenances, subject, comparison)?;
    let first = provenances.first().ok_or(Inconsistency::Rebuilds(0))?;
    Ok(VerifiedProof {
        signers: vec![signer],
        subject: subject.to_vec(),
        first: Arc::clone(first.provenance),
        provenances: provenances.iter().map(|part| Arc::clone(part.provenance)).collect(),
        comparison: Arc::clone(comparison),
        artifacts: Vec::new(),
    })
}

/// An artifact that somebody has, and asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// What to call it in messages; it proves nothing, and need not be the subject's name.
    pub name: String,
    /// Of its bytes, by the one who asks.
    pub digest: DigestSet,
}

/// An artifact that a proof is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedArtifact {
    artifact: Artifact,
    subject: String,
}

impl VerifiedArtifact {
    /// The artifact, as it was given to the audit.
    #[must_use]
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// What the proof calls it.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

/// A proof that passed the audit. Only [`audit`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedProof {
    signers: Vec<KeyId>,
    subject: Vec<ResourceDescriptor>,
    first: Arc<Provenance>,
    provenances: Vec<Arc<Provenance>>,
    comparison: Arc<Comparison>,
    artifacts: Vec<VerifiedArtifact>,
}

impl VerifiedProof {
    /// What comparing the rebuilds came to; it may be `different`.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.comparison.details
    }

    /// What was published and compared, where something was.
    #[must_use]
    pub fn published(&self) -> Option<&Published> {
        self.comparison.published.as_ref()
    }

    /// In what every rebuild ran.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.comparison.isolation
    }

    /// How strong the walls around the weakest of the rebuilds were; `None`: weaker than every level.
    #[must_use]
    pub fn isolation_level(&self) -> Option<IsolationLevel> {
        let levels = self.provenances.iter().map(|p| p.build_definition.internal_parameters.enforced.level());
        levels.min().flatten()
    }

    /// The same proof, where every rebuild was behind walls that are as strong as `level` at least.
    ///
    /// # Errors
    /// [`AuditError::Weak`].
    pub fn demanding(self, level: IsolationLevel) -> Result<Self, AuditError> {
        let reached = self.isolation_level();
        if reached < Some(level) { Err(AuditError::Weak { wanted: level, reached }) } else { Ok(self) }
    }

    /// Whether what was published came out of nothing but itself: that shows how it was packed, and not where its contents
    /// come from.
    #[must_use]
    pub fn is_of_own_contents(&self) -> bool {
        self.published().is_some_and(|published| published.derived.contains(&Derived::Contents))
    }

    /// The same proof, unless all that it reproduces is how contents were packed.
    ///
    /// # Errors
    /// [`AuditError::OwnContentsOnly`].
    pub fn of_another_source(self) -> Result<Self, AuditError> {
        let shows_packing = self.verdict().outcome == Outcome::Reproducible && self.is_of_own_contents();
        if shows_packing { Err(AuditError::OwnContentsOnly) } else { Ok(self) }
    }

    /// The rebuilds, in order; at least two.
    #[must_use]
    pub fn rebuilds(&self) -> &[Rebuild] {
        &self.comparison.rebuilds
    }

    /// How each rebuild was built, in the same order.
    #[must_use]
    pub fn provenances(&self) -> impl ExactSizeIterator<Item = &Provenance> {
        self.provenances.iter().map(Arc::as_ref)
    }

    /// What was built each time.
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.first.build_definition.external_parameters.recipe
    }

    /// Every locked input in the lock's order, then the environment.
    #[must_use]
    pub fn dependencies(&self) -> &[ResourceDescriptor] {
        &self.first.build_definition.resolved_dependencies
    }

    /// Of the canonical JSON of the lock that was built each time.
    #[must_use]
    pub fn lock(&self) -> DigestSet {
        self.comparison.lock
    }

    /// What the proof is about: the published artifact, or else the first rebuild's output files.
    #[must_use]
    pub fn subject(&self) -> &[ResourceDescriptor] {
        &self.subject
    }

    /// The word of the comparison.
    #[must_use]
    pub fn word(&self) -> RebuildVerdict {
        self.comparison.verdict
    }

    /// Who rebuilt, by their own word.
    #[must_use]
    pub fn rebuilder(&self) -> &Rebuilder {
        &self.comparison.rebuilder
    }

    /// What compared.
    #[must_use]
    pub fn tool(&self) -> &Tool {
        &self.comparison.tool
    }

    /// When the rebuilds were compared, by the rebuilder's clock.
    #[must_use]
    pub fn compared_on(&self) -> Timestamp {
        self.comparison.compared_on
    }

    /// The keys that signed all of it: one, as there is one rebuilder.
    #[must_use]
    pub fn signers(&self) -> &[KeyId] {
        &self.signers
    }

    /// The artifacts that were given to the audit, each found among the proof's subjects. Empty where none was given.
    #[must_use]
    pub fn artifacts(&self) -> &[VerifiedArtifact] {
        &self.artifacts
    }

    /// Who has to be trusted for it, and who has not.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let trust = Trust::unjudged(self.isolation());
        if self.is_of_own_contents() { trust.of_own_contents() } else { trust }
    }
}

/// Why a proof does not pass. Envelopes are counted from 1.
#[derive(Debug, Error)]
pub enum AuditError {
    /// No key was given.
    #[error("no key was given to trust, so no signature can be verified")]
    NoKeys,
    /// Not a proof's bytes.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// No envelope.
    #[error("the proof holds no envelope: it proves nothing")]
    Empty,
    /// A signature that is not by one of the keys.
    #[error("envelope {envelope} of {of}: {why}")]
    Signature {
        /// Which.
        envelope: usize,
        /// How many there are.
        of: usize,
        /// Why.
        why: SignatureError,
    },
    /// Two keys in one proof.
    #[error(
        "envelope {envelope} is signed by the key {other}, and those before it by {first}: one proof is by one rebuilder, \
         so statements of two were put together"
    )]
    ManySigners {
        /// Which.
        envelope: usize,
        /// The first envelope's key.
        first: KeyId,
        /// This one's key.
        other: KeyId,
    },
    /// Signed, but no statement that is known.
    #[error("envelope {envelope} of {of} is signed, and what is signed can't be judged: {why}")]
    Statement {
        /// Which.
        envelope: usize,
        /// How many there are.
        of: usize,
        /// Why.
        why: StatementError,
    },
    /// No comparison.
    #[error("the proof holds no comparison, so it has no verdict: it may have been cut short")]
    NoComparison,
    /// A failure beside anything else.
    #[error("the proof says in envelope {0} that rebuilding failed, and that must be all that it says")]
    FailureNotAlone(usize),
    /// More than one comparison.
    #[error("the proof holds {0} comparisons; it must have exactly one")]
    ManyComparisons(usize),
    /// A comparison elsewhere.
    #[error("the comparison is envelope {0}; it must be the last")]
    ComparisonNotLast(usize),
    /// Signed by the right key, and untrue.
    #[error("every signature is good, but the statements contradict each other, so the signer made a false one: {0}")]
    Inconsistent(#[from] Inconsistency),
    /// Weaker walls than are demanded.
    #[error(
        "every signature is good, but a rebuild ran in a sandbox that was {}, and {} is demanded",
        reached.map_or("below basic", IsolationLevel::name), wanted.name()
    )]
    Weak {
        /// What is demanded.
        wanted: IsolationLevel,
        /// The weakest that there was; `None`: weaker than every level.
        reached: Option<IsolationLevel>,
    },
    /// What was published was packed again, and no more.
    #[error(
        "every signature is good, but what was published comes out of its own contents alone: that shows how they were \
         packed, and nothing of where they come from"
    )]
    OwnContentsOnly,
    /// A file that is none of the subjects.
    #[error("{name:?} (SHA-256 {sha256}) is not what the proof is about: {}", about(subject))]
    OtherArtifact {
        /// What the file was called.
        name: String,
        /// Of the file.
        sha256: Sha256,
        /// What the proof is about.
        subject: Vec<ResourceDescriptor>,
    },
    /// A file that equals a subject under one function alone.
    #[error(
        "{name:?} equals the proof's {subject:?} by {equal}, but not by {unequal}: one of the four digests is wrong, or \
         somebody found a collision"
    )]
    HalfArtifact {
        /// What the file was called.
        name: String,
        /// The subject.
        subject: String,
        /// The function under which they are equal.
        equal: &'static str,
        /// The function under which they are not.
        unequal: &'static str,
    },
}

fn about(subject: &[ResourceDescriptor]) -> String {
    match subject {
        [only] => format!("that is {:?}, with SHA-256 {}", only.name, only.digest.sha256),
        many => format!("none of its {} files has these digests", many.len()),
    }
}

/// A statement, and the digest of the bytes that were signed.
struct Signed {
    statement: Statement,
    payload: DigestSet,
}

/// A predicate, and what it is about.
type Stated<'a, P> = (&'a [ResourceDescriptor], &'a Arc<P>);

/// Verifies every signature before anything that is signed is read.
fn verify(proof: &Proof, keys: &[PublicKey]) -> Result<(KeyId, Vec<Signed>), AuditError> {
    let of = proof.envelopes.len();
    let mut signer = None;
    let mut payloads = Vec::with_capacity(of);
    for (envelope, signed) in (1..).zip(&proof.envelopes) {
        let payload = signed.verify(keys).map_err(|why| AuditError::Signature { envelope, of, why })?;
        let (first, other) = (*signer.get_or_insert(payload.keyid()), payload.keyid());
        if first != other {
            return Err(AuditError::ManySigners { envelope, first, other });
        }
        payloads.push(payload);
    }
    let signer = signer.ok_or(AuditError::Empty)?;
    let statements = (1..).zip(&payloads).map(|(envelope, verified)| {
        let statement = Statement::from_payload(verified.payload());
        let statement = statement.map_err(|why| AuditError::Statement { envelope, of, why })?;
        Ok(Signed { statement, payload: verified.digest() })
    });
    Ok((signer, statements.collect::<Result<_, AuditError>>()?))
}

/// The one statement of failure, where there is one; then it stands alone.
fn failure(statements: &[Signed]) -> Result<Option<Stated<'_, Unbuildable>>, AuditError> {
    for (envelope, signed) in (1..).zip(statements) {
        if let Predicate::Unbuildable(failure) = &signed.statement.predicate {
            let is_alone = statements.len() == 1;
            let found = is_alone.then_some((signed.statement.subject.as_slice(), failure));
            return found.map(Some).ok_or(AuditError::FailureNotAlone(envelope));
        }
    }
    Ok(None)
}

/// Takes provenances first, and exactly one comparison after them.
fn arrange(statements: &[Signed]) -> Result<(Vec<Part<'_>>, Stated<'_, Comparison>), AuditError> {
    let comparisons: Vec<_> = (1..)
        .zip(statements)
        .filter_map(|(envelope, signed)| match &signed.statement.predicate {
            Predicate::Comparison(comparison) => Some((envelope, signed, comparison)),
            Predicate::Provenance(_) | Predicate::Unbuildable(_) => None,
        })
        .collect();
    match comparisons.as_slice() {
        [] => Err(AuditError::NoComparison),
        &[(envelope, _, _)] if envelope != statements.len() => Err(AuditError::ComparisonNotLast(envelope)),
        &[(_, signed, comparison)] => {
            let parts = statements.iter().filter_map(|s| Part::of(&s.statement, s.payload)).collect();
            Ok((parts, (&signed.statement.subject, comparison)))
        }
        many => Err(AuditError::ManyComparisons(many.len())),
    }
}

pub(crate) fn find(artifact: &Artifact, subject: &[ResourceDescriptor]) -> Result<VerifiedArtifact, AuditError> {
    let Artifact { name, digest } = artifact;
    if let Some(found) = subject.iter().find(|s| s.digest == *digest) {
        return Ok(VerifiedArtifact { artifact: artifact.clone(), subject: found.name.clone() });
    }
    let half = |found: &ResourceDescriptor, equal, unequal| {
        Err(AuditError::HalfArtifact { name: name.clone(), subject: found.name.clone(), equal, unequal })
    };
    if let Some(found) = subject.iter().find(|s| s.digest.sha256 == digest.sha256) {
        return half(found, "SHA-256", "BLAKE3");
    }
    if let Some(found) = subject.iter().find(|s| s.digest.blake3 == digest.blake3) {
        return half(found, "BLAKE3", "SHA-256");
    }
    Err(AuditError::OtherArtifact { name: name.clone(), sha256: digest.sha256, subject: subject.to_vec() })
}
