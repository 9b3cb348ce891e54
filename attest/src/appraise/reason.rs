// SPDX-License-Identifier: Apache-2.0
//! Why a statement does not count, and what is missing.

use std::fmt;

use jiff::Timestamp;
use reprove_model::IsolationLevel;

use super::WhyPossible;
use crate::{Inconsistency, KeyFault, KeyId, RegoRefusal};

/// Why a statement, or a claim that is made of some, does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It names a key that the auditor does not trust.
    UnknownKey,
    /// It names a trusted key, which did not sign it.
    BadSignature,
    /// It is signed, and is no statement that is known here.
    UnknownStatement(String),
    /// It is of a type that the auditor does not trust its key to state.
    KeyNotForType(String),
    /// It is of a type that is not judged here, and that the policy does not ask for.
    UnaskedPredicate(String),
    /// A provenance that no comparison by the same key names.
    NoComparison,
    /// A provenance that comparisons by the same key name, of which none counts for anything; the first of them is this
    /// envelope.
    UncountedComparison(usize),
    /// A comparison whose provenances are not all there, signed by the same key.
    Incomplete,
    /// Its statements contradict each other.
    Inconsistent(String),
    /// Its key does not vouch for it.
    Key(KeyFault),
    /// It is about something else.
    OtherSubject,
    /// It is about something that has one of the artifact's digests, and not the other.
    HalfSubject,
    /// It rebuilt the lock of a claim that is about the artifacts, and it is not about them.
    OtherBits,
    /// The rebuilds had other bits.
    Different,
    /// The rebuilds failed.
    Unbuildable,
    /// It states another operator than the trust file has for its key.
    OtherOperator(String),
    /// It states another platform than the trust file has for its key.
    OtherPlatform(String),
    /// It was not compared with anything that was published.
    NotPublished,
    /// What was published came out of its own contents alone, and the policy does not take that.
    OwnContentsOnly,
    /// Its walls were weaker than the policy allows.
    WeakIsolation(Option<IsolationLevel>),
    /// No trusted log has it, as far as the proof shows.
    NotLogged(String),
    /// No trusted authority is shown to have seen its signature.
    NotTimestamped(String),
    /// It says that it was rebuilt in a confidential machine, and that is not shown.
    Evidence(String),
    /// It was not rebuilt in confidential machines, as the policy asks for; why evidence that it has besides does not show
    /// that it was.
    NotConfidential(Option<String>),
    /// What the policy asks to be in its evidence is not there.
    OtherNonce,
    /// It was compared before this time.
    TooOld(Timestamp),
    /// It names a build that another key's claim names too, and is not the first to do so.
    SameBuild(KeyId),
}

impl Reason {
    pub(super) fn inconsistent(inconsistency: &Inconsistency) -> Self {
        Self::Inconsistent(inconsistency.to_string())
    }

    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown-key",
            Self::BadSignature => "bad-signature",
            Self::UnknownStatement(_) => "unknown-statement",
            Self::KeyNotForType(_) => "key-not-for-type",
            Self::UnaskedPredicate(_) => "unasked-predicate",
            Self::NoComparison => "no-comparison",
            Self::UncountedComparison(_) => "uncounted-comparison",
            Self::Incomplete => "incomplete",
            Self::Inconsistent(_) => "inconsistent",
            Self::Key(KeyFault::Revoked(_)) => "key-revoked",
            Self::Key(KeyFault::Expired(_)) => "key-expired",
            Self::Key(KeyFault::NotYetValid(_)) => "key-not-yet-valid",
            Self::Key(KeyFault::FromTheFuture(_)) => "from-the-future",
            Self::Key(KeyFault::AfterItsTimestamp { .. }) => "after-its-timestamp",
            Self::OtherSubject => "other-subject",
            Self::HalfSubject => "half-subject",
            Self::OtherBits => "other-bits",
            Self::Different => "different",
            Self::Unbuildable => "unbuildable",
            Self::OtherOperator(_) => "other-operator",
            Self::OtherPlatform(_) => "other-platform",
            Self::NotPublished => "not-published",
            Self::OwnContentsOnly => "own-contents-only",
            Self::WeakIsolation(_) => "weak-isolation",
            Self::NotLogged(_) => "not-logged",
            Self::NotTimestamped(_) => "not-timestamped",
            Self::Evidence(_) => "evidence-refused",
            Self::NotConfidential(_) => "not-confidential",
            Self::OtherNonce => "other-nonce",
            Self::TooOld(_) => "too-old",
            Self::SameBuild(_) => "same-build",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey => f.write_str("the trust file does not name its key"),
            Self::BadSignature => {
                f.write_str("the key that it names did not make its signature: one of them was changed")
            }
            Self::UnknownStatement(why) => write!(f, "it is signed, and what is signed can't be judged: {why}"),
            Self::NoComparison => {
                f.write_str("it says how something was built, and no comparison by the same key names it")
            }
            Self::UncountedComparison(envelope) => {
                write!(
                    f,
                    "it says how something was built, and the comparison that names it, envelope {envelope}, is not counted"
                )
            }
            Self::KeyNotForType(kind) => write!(f, "its key is not trusted to state a {kind}"),
            Self::UnaskedPredicate(kind) => write!(f, "it states a {kind}, which the policy does not ask for"),
            Self::Incomplete => {
                f.write_str("it compares builds whose provenances are not all here, signed by the same key")
            }
            Self::Inconsistent(why) => write!(f, "the signer's statements contradict each other: {why}"),
            Self::Key(fault) => fault.fmt(f),
            Self::OtherSubject => f.write_str("it is about something else"),
            Self::HalfSubject => {
                f.write_str("it is about something that has one of the artifact's two digests, and not the other")
            }
            Self::OtherBits => f.write_str(
                "it is about something else, which came out of the same lock as what claims here are about: other bits",
            ),
            Self::Different => f.write_str("its rebuilds had other bits"),
            Self::Unbuildable => f.write_str("its rebuilds failed, so that there was nothing to compare"),
            Self::OtherOperator(stated) => {
                write!(f, "it says that its operator is {stated:?}, which is not the trust file's for its key")
            }
            Self::OtherPlatform(stated) => {
                write!(f, "it says that its platform is {stated:?}, which is not the trust file's for its key")
            }
            Self::NotPublished => f.write_str("it was not compared with anything that was published"),
            Self::OwnContentsOnly => f.write_str(
                "what was published comes out of its own contents alone, which shows nothing of where they come from, and \
                 the policy does not say own-contents = true",
            ),
            Self::WeakIsolation(level) => {
                let level = level.map_or("below basic", IsolationLevel::name);
                write!(f, "a rebuild ran in a sandbox that was {level}")
            }
            Self::NotLogged(why) => write!(f, "no trusted log is shown to have it: {why}"),
            Self::NotTimestamped(why) => write!(f, "no trusted authority is shown to have seen it: {why}"),
            Self::Evidence(why) => {
                write!(f, "it says that it was rebuilt in a confidential machine, and that is not shown: {why}")
            }
            Self::NotConfidential(None) => f.write_str("it was not rebuilt in confidential machines"),
            Self::NotConfidential(Some(why)) => {
                write!(f, "it was not rebuilt in confidential machines, as far as its evidence shows: {why}")
            }
            Self::OtherNonce => {
                f.write_str("its evidence was made for another question: the policy's nonce is not in it")
            }
            Self::TooOld(before) => write!(f, "it was made before {before}"),
            Self::SameBuild(other) => write!(f, "it names a build that the key {other} had named before it"),
        }
    }
}

/// What is missing for a policy, or stands against the artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// Too few independent rebuilders got the same bits.
    Rebuilders {
        /// How many the policy asks for.
        wanted: u32,
        /// How many there are.
        found: usize,
    },
    /// In too few kinds of isolation.
    Isolations {
        /// How many the policy asks for.
        wanted: u32,
        /// How many there are.
        found: usize,
    },
    /// Of too few makers of confidential hardware.
    Vendors {
        /// How many the policy asks for.
        wanted: u32,
        /// How many there are.
        found: usize,
    },
    /// A trusted rebuilder got other bits.
    Veto {
        /// Who.
        operator: String,
        /// By which key.
        keyid: KeyId,
    },
    /// A contrary result can have been left out.
    Contrary(WhyPossible),
    /// The claims are about different things, and no artifact was given to choose by.
    SeveralSubjects,
    /// No trusted key has signed a statement of this type about the artifacts.
    Predicate(String),
    /// A Rego policy is not content.
    Rego(RegoRefusal),
}

impl Shortfall {
    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rebuilders { .. } => "too-few-rebuilders",
            Self::Isolations { .. } => "too-few-isolations",
            Self::Vendors { .. } => "too-few-vendors",
            Self::Veto { .. } => "veto",
            Self::Contrary(_) => "contrary-possible",
            Self::SeveralSubjects => "several-subjects",
            Self::Predicate(_) => "missing-predicate",
            Self::Rego(_) => "rego",
        }
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rebuilders { wanted, found } => {
                write!(f, "{found} independent rebuilders got the same bits, and the policy asks for {wanted}")
            }
            Self::Isolations { wanted, found } => {
                write!(f, "they were in {found} kinds of isolation, and the policy asks for {wanted}")
            }
            Self::Vendors { wanted, found } => {
                write!(f, "they were in hardware of {found} makers, and the policy asks for {wanted}")
            }
            Self::Veto { operator, keyid } => write!(f, "{operator} (key {keyid}) got other bits, which is a veto"),
            Self::Contrary(why) => write!(f, "a contrary result can't be excluded: {why}"),
            Self::SeveralSubjects => {
                f.write_str("the proof is about more than one thing: give the artifact that is asked about")
            }
            Self::Predicate(kind) => {
                write!(
                    f,
                    "no statement of the type {kind} about it, signed by a trusted key, is here, and the policy asks for one"
                )
            }
            Self::Rego(refusal) => refusal.fmt(f),
        }
    }
}
