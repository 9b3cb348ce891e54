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
    /// A line that leaves open which version it is.
    #[error("{0} is not one version (NAME==VERSION); pip-compile --generate-hashes writes a file where each line is")]
    Open(String),
    /// A line that reads another file.
    #[error("{0:?} reads another file; pip-compile --generate-hashes and uv export write all into one")]
    OtherFile(String),
    /// A directory, as the project itself is.
    #[error("{0:?} is a directory, and no version of a package; leave it out (uv export --no-emit-project)")]
    Directory(String),
    /// An option that changes what is installed.
    #[error("the option {0} is not known here, or changes what is installed; leave it out")]
    Option(String),
    /// The build has no Python that packages could be for.
    #[error(
        "the environment has no Python: no file python3.N in /usr/bin or /usr/local/bin; one of Debian's packages gets it with \"python3\" in `environment.packages`"
    )]
    NoPython,
    /// The build has a C library that it is not known for which wheels fit.
    #[error(
        "the environment's C library is not glibc, and only wheels for that can be chosen; put the packages into the source, or take an environment with glibc"
    )]
    NoGlibc,
    /// The release has no file that the build could install.
    #[error(
        "the index has no file of {name} that the environment's Python can install and that the lock file has the SHA-256 of ({}); lock it anew, or take a version that has one",
        if files.is_empty() { "it has none of the files".to_owned() } else { format!("it has {}", files.join(", ")) }
    )]
    NothingFits {
        /// Name and version.
        name: String,
        /// The files that the lock file has the hashes of.
        files: Vec<String>,
    },
    /// A marker that pip does not read.
    #[error("it has {name} only where {marker}, which pip can't read; lock it anew")]
    Marker {
        /// Of which package.
        name: String,
        /// What it says.
        marker: String,
    },
    /// Other bytes.
    #[error(
        "{0}, as it was fetched, has a SHA-256 that is not in the lock file; nothing was kept of it: compare this machine's index with the one that it was locked by, or lock it anew"
    )]
    OtherBytes(String),
}
