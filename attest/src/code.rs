// SPDX-License-Identifier: Apache-2.0
//! Why a proof does not pass, in words for programs. Where [`crate::Reason`] has the same reason, it has the same word;
//! `docs/policy.md` has all of them. A word stays as it is, whatever becomes of the message beside it.

use crate::{AuditError, Inconsistency, ProofError, SignatureError, StatementError};

impl AuditError {
    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKeys => "no-keys",
            Self::Proof(error) => error.code(),
            Self::Empty => "no-envelope",
            Self::Signature { why, .. } => why.code(),
            Self::ManySigners { .. } => "many-signers",
            Self::Statement { .. } => "unknown-statement",
            Self::NoComparison => "no-comparison",
            Self::FailureNotAlone(_) => "failure-not-alone",
            Self::ManyComparisons(_) => "many-comparisons",
            Self::ComparisonNotLast(_) => "comparison-not-last",
            Self::Inconsistent(_) => "inconsistent",
            Self::Weak { .. } => "weak-isolation",
            Self::OwnContentsOnly => "own-contents-only",
            Self::OtherArtifact { .. } => "other-subject",
            Self::HalfArtifact { .. } => "half-subject",
        }
    }

    /// What is behind the code, in a word: of what is no statement, why; of a contradiction, which. `None` with every other
    /// code.
    #[must_use]
    pub fn cause(&self) -> Option<&'static str> {
        match self {
            Self::Statement { why, .. } => Some(why.code()),
            Self::Inconsistent(why) => Some(why.code()),
            _ => None,
        }
    }
}

impl ProofError {
    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "too-large",
            Self::NoNewline => "no-newline",
            Self::Canonical(_) => "not-canonical",
            Self::Payloads { .. } => "payload-count",
            Self::Changed { .. } => "changed-statement",
            Self::LoggedNothing(_) => "logged-nothing",
            Self::TimestampOfNothing(_) => "timestamp-of-nothing",
            Self::EvidenceOfNothing(_) => "evidence-of-nothing",
            Self::EvidenceTooLong(_) => "evidence-too-long",
            Self::Format(_) => "unknown-format",
        }
    }
}

impl SignatureError {
    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherKey { .. } => "unknown-key",
            Self::Mismatch { .. } => "bad-signature",
            Self::WrongKeyId { .. } => "wrong-keyid",
        }
    }
}

impl StatementError {
    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Canonical(_) => "not-canonical",
            Self::StatementType(_) => "unknown-statement-type",
            Self::PredicateType(_) => "unknown-predicate-type",
            Self::Predicate { .. } => "malformed-predicate",
        }
    }
}

impl Inconsistency {
    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rebuilds(_) => "rebuild-count",
            Self::Count { .. } => "provenance-count",
            Self::Provenance { .. } => "untrue-provenance",
            Self::OtherProvenance { .. } => "other-provenance",
            Self::SameBuild { .. } => "same-build",
            Self::Claim { .. } => "other-claim",
            Self::Unshared { .. } => "unshared",
            Self::EqualTreesUnequalFiles { .. } => "unequal-files",
            Self::Evidence { .. } => "evidence-named",
            Self::Isolation => "other-isolation",
            Self::Lock => "other-lock",
            Self::NoLock(_) => "no-lock",
            Self::LockContent { .. } => "lock-content",
            Self::OwnContents => "own-contents",
            Self::Subject => "wrong-subject",
            Self::Tool(_) => "unknown-tool",
            Self::Time { .. } => "compared-too-early",
            Self::Rebuilder(_) => "invalid-name",
            Self::Unbuildable(_) => "untrue-failure",
            Self::Verdict(_) => "untrue-verdict",
            Self::Canonical(_) => "not-canonical",
        }
    }
}
