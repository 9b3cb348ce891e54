// SPDX-License-Identifier: Apache-2.0
//! Why a lock file of a project can't be used.

use thiserror::Error;

/// Why a lock file can't be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DependencyError {
    /// It is not there.
    #[error("it is not in the source; write it with the ecosystem's client, and have Git not ignore it")]
    Missing,
    /// It is past [`MAX_LOCK_FILE`](super::MAX_LOCK_FILE).
    #[error("it has more than {} bytes, the most that are read of one", super::MAX_LOCK_FILE)]
    TooLarge,
    /// It names more than [`MAX_PACKAGES`](super::MAX_PACKAGES).
    #[error("it names more than {} packages, the most that a build is given", super::MAX_PACKAGES)]
    TooMany,
    /// It is none.
    #[error("it can't be read: {0}")]
    Unread(String),
    /// A `package-lock.json` of a version that does not say where packages go.
    #[error(
        "it is of lockfileVersion {0}; npm install --package-lock-only --lockfile-version=3 writes one that can be used"
    )]
    OldVersion(u64),
    /// A package out of a Git repository.
    #[error(
        "{0} comes from a Git repository, and has no checksum; depend on a version that is published, or put its files into the source"
    )]
    Git(String),
    /// A package from a file or an address.
    #[error(
        "{0} comes from a file outside of the source; depend on a version that is published, or put it into the source"
    )]
    Elsewhere(String),
    /// A package that nothing says the bytes of.
    #[error("it has no checksum of {0}; {1}")]
    NoChecksum(String, &'static str),
    /// Packages of several registries.
    #[error("it has packages of more than one registry ({0}); cargo vendor puts them into the source")]
    Registries(String),
    /// What is no name, or no version.
    #[error("it names {0:?}, which is no name and version of a package")]
    Name(String),
    /// Two packages that are not to be told from each other.
    #[error("it has two different checksums of {0}")]
    Twice(String),
}
