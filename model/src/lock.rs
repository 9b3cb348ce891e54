// SPDX-License-Identifier: Apache-2.0
//! Locks: every input of a build, by digest.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{DigestSet, Environment, PackageUrl, Recipe};

/// A recipe with every input by digest: all that a build, or a rebuild anywhere else, needs to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lock {
    /// What to build.
    pub recipe: Recipe,
    /// What it is built from, sorted by name.
    pub inputs: Vec<Input>,
    /// The root filesystem that the build sees.
    pub environment: LockedEnvironment,
    /// What somebody published, and the outputs are compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
}

/// One locked input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// What it is called inside: a file is at `/inputs/NAME`.
    pub name: InputName,
    /// What it is for.
    pub role: Role,
    /// Which package it is, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<PackageUrl>,
    /// What it is made of.
    pub content: Content,
}

/// What an input is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It is what is built: unpacked, or copied, into the build directory.
    Source,
    /// It is what the build uses: read-only under `/inputs`.
    Tool,
    /// The source depends on it, as a lock file in there says: read-only under `/inputs`, and laid out for the client whose lock
    /// file that is.
    Dependency,
    /// The environment is made of it: what the build sees of it is in there.
    Environment,
}

/// What an input is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "type", deny_unknown_fields)]
pub enum Content {
    /// One file, used as it is.
    File {
        /// Of its bytes.
        digest: DigestSet,
        /// Bytes.
        size: u64,
    },
    /// One archive, unpacked without its top directory.
    Archive {
        /// Of the archive's bytes.
        digest: DigestSet,
        /// Of the archive, in bytes.
        size: u64,
    },
    /// The files below a directory.
    Tree {
        /// Of the tree's canonical list.
        digest: DigestSet,
    },
}

impl Content {
    /// The digests that name it.
    #[must_use]
    pub fn digest(&self) -> &DigestSet {
        match self {
            Self::File { digest, .. } | Self::Archive { digest, .. } | Self::Tree { digest } => digest,
        }
    }
}

/// The root filesystem that a build saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedEnvironment {
    /// Which kind.
    pub kind: Environment,
    /// What a person would call it: the distribution and its release.
    pub description: String,
    /// Of the canonical list of all its files.
    pub digest: DigestSet,
}

/// What somebody published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Published {
    /// Which package it is, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<PackageUrl>,
    /// Its file name, which one output must have too.
    pub name: InputName,
    /// Of its bytes.
    pub digest: DigestSet,
    /// Bytes.
    pub size: u64,
    /// What of the recipe and of the inputs was taken from it: the more, the less a rebuild shows.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub derived: BTreeSet<Derived>,
    /// The files that it names by digest, and is not whole without: of an image's manifest its configuration and its layers.
    /// Outputs have to be these as well.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub parts: BTreeSet<PublishedPart>,
}

/// A file that what was published names by digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublishedPart {
    /// Of its bytes.
    pub digest: DigestSet,
    /// Bytes.
    pub size: u64,
    /// Whether the source or another input has it as it is, so that a build only has to copy it: nothing shows that it came of
    /// anything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_source: bool,
}

impl PublishedPart {
    /// Where it is in a layout of images, which its digest names.
    #[must_use]
    pub fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest.sha256)
    }
}

impl Published {
    /// The digests of the one of these files, which are all outputs of a build, that has its name. None where that one is
    /// it, and one of its parts is not among the files: what has only the list of its parts has not come out whole.
    pub fn rebuilt<'a>(&self, outputs: impl Iterator<Item = (&'a [u8], DigestSet)>) -> Option<DigestSet> {
        let mut missing: BTreeSet<DigestSet> = self.parts.iter().map(|part| part.digest).collect();
        let mut named = None;
        for (name, digest) in outputs {
            missing.remove(&digest);
            if name == self.name.as_str().as_bytes() {
                named = Some(digest);
            }
        }
        named.filter(|digest| *digest != self.digest || missing.is_empty())
    }
}

/// What can be taken from what was published, to rebuild it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Derived {
    /// Some bytes of it are written into the result as they are: nothing else says what they were.
    Bytes,
    /// The source is its own contents: a rebuild shows how they were packed, and nothing of where they come from.
    Contents,
    /// It itself, as one of the packages that the environment is made of: its files are there while it is rebuilt.
    Environment,
    /// When its files were written: the times of those that the build wrote, or of all of them.
    Times,
    /// Which tools build it, and how they are set up, by what it says of them or by its form.
    Tools,
}

impl Derived {
    /// What was taken, for a person.
    #[must_use]
    pub fn said(self) -> &'static str {
        match self {
            Self::Bytes => "some bytes, as they are",
            Self::Contents => "its contents, packed again: where they come from was not looked at",
            Self::Environment => "itself, as a package of the environment that it is rebuilt in",
            Self::Times => "when its files were written",
            Self::Tools => "which tools made it, and how they were set",
        }
    }
}

impl Lock {
    /// Whether an input is what was published, though that does not say so.
    #[must_use]
    pub fn hides_its_source(&self) -> bool {
        let is_hidden = |published: &Published| {
            let is_itself = |input: &&Input| *input.content.digest() == published.digest;
            let is_said = |input: &Input| {
                let said = |derived| published.derived.contains(&derived);
                said(Derived::Contents) || input.role == Role::Environment && said(Derived::Environment)
            };
            self.inputs.iter().filter(is_itself).any(|input| !is_said(input))
        };
        self.published.as_ref().is_some_and(is_hidden)
    }
}

/// A file name: 1 to 255 characters of ASCII letters, digits and `._+-!~`, not starting with `.` or `-`.
///
/// No such name means anything to a shell, a path, or a terminal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InputName(String);

/// A text that is no [`InputName`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} can't be an input's name: it takes 1 to 255 letters, digits or ._+-!~, and starts with neither . nor -")]
pub struct InvalidInputName(String);

impl InputName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for InputName {
    type Error = InvalidInputName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let ok = |c: char| c.is_ascii_alphanumeric() || "._+-!~".contains(c);
        if text.is_empty() || text.len() > 255 || text.starts_with(['.', '-']) || !text.chars().all(ok) {
            return Err(InvalidInputName(text.chars().take(300).collect()));
        }
        Ok(Self(text))
    }
}

impl FromStr for InputName {
    type Err = InvalidInputName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl From<InputName> for String {
    fn from(name: InputName) -> Self {
        name.0
    }
}

impl fmt::Display for InputName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_name_means_nothing_to_a_shell() {
        for bad in ["", ".", "..", ".hidden", "-rf", "a/b", "a b", "a;b", "a\nb", "ä", "$x"] {
            assert!(bad.parse::<InputName>().is_err(), "{bad:?}");
        }
        assert!("idna-3.20-py3-none-any.whl".parse::<InputName>().is_ok());
        assert!("n".repeat(255).parse::<InputName>().is_ok());
        assert!("n".repeat(256).parse::<InputName>().is_err());
    }

    #[test]
    fn what_was_published_is_an_input_only_where_that_is_said() {
        let digest = DigestSet::of(b"it");
        let hides = |role: Role, derived: &[Derived]| {
            let name: InputName = "it.deb".parse().unwrap();
            let input = Input { name: name.clone(), role, purl: None, content: Content::File { digest, size: 2 } };
            let derived = derived.iter().copied().collect();
            let environment = LockedEnvironment {
                kind: Environment::HostUsr,
                description: String::new(),
                digest: DigestSet::of(b""),
            };
            let published = Some(Published { purl: None, name, digest, size: 2, derived, parts: BTreeSet::new() });
            let recipe = Recipe::from_toml(
                "package = { name = 'it' }\nsource = { directory = '.' }\nbuild = { steps = ['make'] }\noutputs = { paths = ['it'] }",
            );
            Lock { recipe: recipe.unwrap(), inputs: vec![input], environment, published }.hides_its_source()
        };
        for role in [Role::Source, Role::Tool, Role::Dependency, Role::Environment] {
            assert!(hides(role, &[]) && hides(role, &[Derived::Bytes, Derived::Tools]), "{role:?}");
            assert!(!hides(role, &[Derived::Contents]), "{role:?}");
            assert_eq!(hides(role, &[Derived::Environment]), role != Role::Environment, "{role:?}");
        }
    }
}
