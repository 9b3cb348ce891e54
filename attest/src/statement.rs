// SPDX-License-Identifier: Apache-2.0
//! Statements: in-toto Statement v1 (in-toto attestation framework, `spec/v1/statement.md`), with the predicates that a
//! proof holds. One value has one way to be written: canonical JSON.

use std::collections::BTreeSet;
use std::sync::Arc;

use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{DigestSet, Environment, PackageUrl, Published, Role, Sha256};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use thiserror::Error;

use crate::{Comparison, Provenance, RebuildVerdict, Unbuildable};

/// The type of every statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// The most subjects that one statement has.
pub const MAX_SUBJECTS: usize = 10_000;

/// What somebody says about some artifacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it is about.
    pub subject: Vec<ResourceDescriptor>,
    /// What it says.
    pub predicate: Predicate,
}

/// What a statement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// How the subjects were built: SLSA Provenance v1.
    Provenance(Arc<Provenance>),
    /// What comparing rebuilds of the subjects came to.
    Comparison(Arc<Comparison>),
    /// That rebuilding the subjects failed: a comparison that had nothing to compare.
    Unbuildable(Arc<Unbuildable>),
}

impl Predicate {
    /// The `predicateType`.
    #[must_use]
    pub fn type_uri(&self) -> &'static str {
        match self {
            Self::Provenance(_) => Provenance::TYPE,
            Self::Comparison(_) | Self::Unbuildable(_) => Comparison::TYPE,
        }
    }
}

impl Serialize for Predicate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Provenance(provenance) => provenance.as_ref().serialize(serializer),
            Self::Comparison(comparison) => comparison.as_ref().serialize(serializer),
            Self::Unbuildable(failure) => failure.as_ref().serialize(serializer),
        }
    }
}

/// The JSON value that is signed, in canonical JSON or not.
impl Serialize for Statement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let layout = Layout {
            kind: STATEMENT_TYPE,
            subject: &self.subject,
            predicate_type: self.predicate.type_uri(),
            predicate: &self.predicate,
        };
        layout.serialize(serializer)
    }
}

impl Statement {
    /// Writes the statement: the bytes that are signed.
    ///
    /// # Errors
    /// [`StatementError::Canonical`] past `canonical::MAX_DOCUMENT` bytes.
    pub fn to_payload(&self) -> Result<Vec<u8>, StatementError> {
        Ok(canonical::to_vec(self)?)
    }

    /// Reads what [`Statement::to_payload`] writes, and nothing else.
    ///
    /// # Errors
    /// See [`StatementError`].
    pub fn from_payload(payload: &[u8]) -> Result<Self, StatementError> {
        if payload.len() > canonical::MAX_DOCUMENT {
            return Err(CanonicalError::TooLarge(payload.len(), canonical::MAX_DOCUMENT).into());
        }
        // Most are what they look like. What is written again has the types in it, so nothing more need be looked at.
        let known = Self::of(payload, Predicate::Provenance).or_else(|_| Self::of(payload, Predicate::Comparison));
        if let Ok(known) = known
            && !known.is_failure()
            && known.to_payload()? == payload
        {
            return Ok(known);
        }
        let Layout { kind, predicate_type, .. }: Layout<String, IgnoredAny, IgnoredAny> = read(payload)?;
        let short = |text: &str| text.chars().take(200).collect::<String>();
        if kind != STATEMENT_TYPE {
            return Err(StatementError::StatementType(short(&kind)));
        }
        let statement = match predicate_type.as_str() {
            Provenance::TYPE => Self::of(payload, Predicate::Provenance),
            Comparison::TYPE if is_failure(payload) => Self::of(payload, Predicate::Unbuildable),
            Comparison::TYPE => Self::of(payload, Predicate::Comparison),
            other => return Err(StatementError::PredicateType(short(other))),
        };
        let statement = statement.map_err(|source| StatementError::Predicate { kind: predicate_type, source })?;
        let written = statement.to_payload()?;
        if written != payload {
            let at = written.iter().zip(payload).take_while(|(a, b)| a == b).count();
            return Err(CanonicalError::NotCanonical(at).into());
        }
        Ok(statement)
    }

    /// Reads a statement whose predicate is of one type.
    fn of<P: DeserializeOwned>(payload: &[u8], predicate: fn(Arc<P>) -> Predicate) -> Result<Self, CanonicalError> {
        let layout: Layout<IgnoredAny, Vec<ResourceDescriptor>, P> = read(payload)?;
        Ok(Self { subject: layout.subject, predicate: predicate(Arc::new(layout.predicate)) })
    }

    /// Whether it is a comparison, with the word of a failure.
    fn is_failure(&self) -> bool {
        let Predicate::Comparison(comparison) = &self.predicate else { return false };
        comparison.verdict == RebuildVerdict::Unbuildable
    }
}

fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, CanonicalError> {
    Ok(serde_json::from_slice(payload)?)
}

/// Whether a comparison that was not read yet has the word of a failure.
fn is_failure(payload: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Word {
        verdict: RebuildVerdict,
    }
    let layout = read::<Layout<IgnoredAny, IgnoredAny, Word>>(payload);
    layout.is_ok_and(|layout| layout.predicate.verdict == RebuildVerdict::Unbuildable)
}

/// The SHA-256 digests of what a payload is about, of whatever type; none of what is no statement.
#[must_use]
pub fn subjects_of(payload: &[u8]) -> BTreeSet<Sha256> {
    let statement: Value = serde_json::from_slice(payload).unwrap_or_default();
    let subjects = statement.get("subject").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let digest = |subject: &Value| subject.get("digest")?.get("sha256")?.as_str()?.parse().ok();
    subjects.iter().filter_map(digest).collect()
}

/// One artifact, by name and digests (in-toto attestation framework, `spec/v1/resource_descriptor.md`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceDescriptor {
    /// What it is called: of an output its path as a `TreePath`'s text, of an input its name.
    pub name: String,
    /// Which package it is, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<PackageUrl>,
    /// Of its bytes; of a tree's canonical list.
    pub digest: DigestSet,
    /// What else a build's inputs need to be locked again; nothing else has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
}

impl ResourceDescriptor {
    /// What has a name and digests, and nothing more.
    pub(crate) fn named(name: &str, digest: DigestSet) -> Self {
        Self { name: name.into(), uri: None, digest, annotations: None }
    }

    /// What was published.
    pub(crate) fn published(published: &Published) -> Self {
        Self { uri: published.purl.clone(), ..Self::named(published.name.as_str(), published.digest) }
    }
}

/// What a resolved dependency is, beyond its digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type", deny_unknown_fields)]
pub enum Annotations {
    /// One file, used as it is.
    File {
        /// What it is for.
        role: Role,
        /// Bytes.
        size: u64,
    },
    /// One archive, unpacked.
    Archive {
        /// What it is for.
        role: Role,
        /// Of the archive, in bytes.
        size: u64,
    },
    /// The files below a directory.
    Tree {
        /// What it is for.
        role: Role,
    },
    /// The root filesystem that the build saw.
    Environment {
        /// Which kind.
        kind: Environment,
        /// What a person would call it.
        description: String,
    },
}

/// Why bytes are no statement that a proof may hold.
#[derive(Debug, Error)]
pub enum StatementError {
    /// Not the canonical JSON of a statement.
    #[error("it is not a statement in canonical JSON: {0}")]
    Canonical(#[from] CanonicalError),
    /// A statement of another version, or something else.
    #[error("its _type is {0:?}, and the only one known is {STATEMENT_TYPE:?}")]
    StatementType(String),
    /// A predicate of an unknown type.
    #[error(
        "its predicateType is {0:?}, and the only ones known are {build:?} and {comparison:?}",
        build = Provenance::TYPE,
        comparison = Comparison::TYPE
    )]
    PredicateType(String),
    /// A predicate that isn't of its type's shape.
    #[error("its predicate is not of the type {kind}: {source}")]
    Predicate {
        /// The predicate's type.
        kind: String,
        /// What is wrong with it.
        source: CanonicalError,
    },
}

/// How a statement is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Layout<T, S, P> {
    #[serde(rename = "_type")]
    kind: T,
    subject: S,
    predicate_type: T,
    predicate: P,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_type_is_named() {
        let payload = |kind: &str, predicate: &str| {
            format!(r#"{{"_type":"{kind}","predicate":{{}},"predicateType":"{predicate}","subject":[]}}"#)
        };
        let read = |text: String| Statement::from_payload(text.as_bytes()).unwrap_err();
        let error = read(payload("https://in-toto.io/Statement/v0.1", Provenance::TYPE));
        assert!(matches!(&error, StatementError::StatementType(kind) if kind.ends_with("v0.1")), "{error}");
        let error = read(payload(STATEMENT_TYPE, "https://slsa.dev/provenance/v0.2"));
        assert!(matches!(&error, StatementError::PredicateType(kind) if kind.ends_with("v0.2")), "{error}");
        let error = read(payload(STATEMENT_TYPE, Provenance::TYPE));
        assert!(matches!(error, StatementError::Predicate { .. }), "{error}");
    }
}
