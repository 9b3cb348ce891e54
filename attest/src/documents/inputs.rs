// SPDX-License-Identifier: Apache-2.0
//! What went into a build, and what came out of it, in words that no format of a bill has for itself.

use reprove_model::{Content, DigestSet, Input, Lock, LockedEnvironment, PackageUrl, Role};

use super::{DocumentError, NotShown, shown};
use crate::{Appraisal, RebuildVerdict, ResourceDescriptor, VerifiedProof};

/// The inputs of a build whose artifact was reproduced, bit by bit.
#[derive(Clone, Debug)]
pub struct BuildInputs<'a> {
    proof: &'a VerifiedProof,
    lock: Lock,
}

impl<'a> BuildInputs<'a> {
    /// Those of a proof that passed the audit.
    ///
    /// # Errors
    /// [`NotShown`] where its rebuilds did not give the artifact: then nothing shows that it was built from them.
    pub fn of(proof: &'a VerifiedProof) -> Result<Self, DocumentError> {
        if proof.word() != RebuildVerdict::BitIdentical {
            return Err(NotShown::Verdict(proof.word()).into());
        }
        let first = proof.provenances().next().ok_or(NotShown::NotEnough)?;
        Ok(Self { proof, lock: first.lock(proof.published().cloned())? })
    }

    /// Those that the first claim names that counts, in the appraisal's order. Rebuilders on different machines have
    /// different environments, and so different locks; one bill is of one build, and says whose it is.
    ///
    /// # Errors
    /// [`NotShown`] where the appraisal is not enough, or a trusted rebuilder got other bits.
    pub fn of_appraisal(appraisal: &'a Appraisal) -> Result<Self, DocumentError> {
        let claims = shown(appraisal)?;
        Self::of(claims.first().ok_or(NotShown::NotEnough)?.proof())
    }

    pub(super) fn proof(&self) -> &VerifiedProof {
        self.proof
    }

    /// The key that signed it, as its id.
    pub(super) fn signer(&self) -> String {
        self.proof.signers().first().map(ToString::to_string).unwrap_or_default()
    }

    /// The package that was built, and its version where that is known.
    pub(super) fn name(&self) -> String {
        let package = &self.lock.recipe.package;
        let version = package.version.as_ref().map(|version| format!("-{version}")).unwrap_or_default();
        format!("{}{version}", package.name)
    }

    /// What was built: the one artifact, or else all that the build wrote.
    pub(super) fn artifact(&self) -> Item<'_> {
        if let [only] = self.proof.subject() {
            return Item { id: "artifact".into(), ..Item::output(only, 0) };
        }
        let package = &self.lock.recipe.package;
        let digest = self.proof.rebuilds().first().map_or_else(|| self.proof.lock(), |rebuild| rebuild.outputs);
        Item {
            id: "artifact".into(),
            name: &package.name,
            version: package.version.as_deref(),
            file_name: None,
            purl: None,
            description: None,
            digest,
            made_of: MadeOf::Tree,
            part: Part::Artifact,
        }
    }

    /// The files in it, where it is more than one.
    pub(super) fn files(&self) -> impl Iterator<Item = Item<'_>> {
        let subject = self.proof.subject();
        let files = if subject.len() == 1 { &[] } else { subject };
        (1..).zip(files).map(|(number, file)| Item::output(file, number))
    }

    /// Every locked input in the lock's order, then the environment.
    pub(super) fn inputs(&self) -> impl Iterator<Item = Item<'_>> {
        let inputs = (1..).zip(&self.lock.inputs).map(|(number, input)| Item::input(input, number));
        inputs.chain([Item::environment(&self.lock.environment)])
    }
}

/// One thing in a bill.
#[derive(Clone, Debug)]
pub(super) struct Item<'a> {
    /// Letters, digits and hyphens; no other item of the bill has it.
    pub(super) id: String,
    /// The package's name, where it is of one; else the file's.
    pub(super) name: &'a str,
    pub(super) version: Option<&'a str>,
    pub(super) file_name: Option<&'a str>,
    pub(super) purl: Option<&'a PackageUrl>,
    pub(super) description: Option<&'a str>,
    pub(super) digest: DigestSet,
    pub(super) made_of: MadeOf,
    pub(super) part: Part,
}

/// What a digest is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MadeOf {
    /// Of a file's bytes.
    File,
    /// Of the canonical list of many files.
    Tree,
}

/// What an item has to do with the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Artifact,
    Source,
    Tool,
    Dependency,
    Environment,
}

impl Part {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Artifact => "artifact",
            Self::Source => "source",
            Self::Tool => "tool",
            Self::Dependency => "dependency",
            Self::Environment => "environment",
        }
    }
}

impl<'a> Item<'a> {
    fn output(subject: &'a ResourceDescriptor, number: usize) -> Self {
        let purl = subject.uri.as_ref();
        Self {
            id: format!("artifact-{number}"),
            name: purl.map_or(subject.name.as_str(), PackageUrl::name),
            version: purl.and_then(PackageUrl::version),
            file_name: Some(&subject.name),
            purl,
            description: None,
            digest: subject.digest,
            made_of: MadeOf::File,
            part: Part::Artifact,
        }
    }

    fn input(input: &'a Input, number: usize) -> Self {
        let purl = input.purl.as_ref();
        let made_of = match input.content {
            Content::File { .. } | Content::Archive { .. } => MadeOf::File,
            Content::Tree { .. } => MadeOf::Tree,
        };
        Self {
            id: format!("input-{number}"),
            name: purl.map_or(input.name.as_str(), PackageUrl::name),
            version: purl.and_then(PackageUrl::version),
            file_name: (made_of == MadeOf::File).then(|| input.name.as_str()),
            purl,
            description: None,
            digest: *input.content.digest(),
            made_of,
            part: match input.role {
                Role::Source => Part::Source,
                Role::Tool => Part::Tool,
                Role::Dependency => Part::Dependency,
                Role::Environment => Part::Environment,
            },
        }
    }

    fn environment(environment: &'a LockedEnvironment) -> Self {
        Self {
            id: "environment".into(),
            name: "environment",
            version: None,
            file_name: None,
            purl: None,
            description: Some(&environment.description),
            digest: environment.digest,
            made_of: MadeOf::Tree,
            part: Part::Environment,
        }
    }
}
