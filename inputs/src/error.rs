// SPDX-License-Identifier: Apache-2.0
//! Why inputs could not be locked.

use std::path::PathBuf;

use reprove_model::{InvalidInputName, InvalidPackageUrl, LockFileError, RecipeError, Sha256};
use reprove_store::{IngestError, StoreError, UnpackError};
use thiserror::Error;

use crate::WheelError;
use crate::bazel::ActionError;
use crate::debian::BuildInfoError;
use crate::dependencies::DependencyError;
use crate::nix::NixError;
use crate::npm::FormError;
use crate::oci::ImageError;
use crate::pypi::{BackendError, PackingError};

/// What kind of failure it is, for exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What was asked for, or what was served, can't be used as it is.
    BadInput,
    /// This machine can't do it as it is set up now: a program is missing, the index can't be reached, the disk is full.
    CannotHere,
}

/// Why inputs could not be locked.
#[derive(Debug, Error)]
pub enum InputsError {
    /// A package URL of a type that is not supported.
    #[error(
        "{0:?} packages can't be locked yet; pkg:pypi/NAME@VERSION, pkg:npm/NAME@VERSION, pkg:cargo/NAME@VERSION and pkg:deb/debian/NAME@VERSION can"
    )]
    PackageType(String),
    /// A package URL that does not say which version.
    #[error("{0} has no version; give one, as in {0}@1.0")]
    NoVersion(String),
    /// A package URL that asks for more than a package and its version.
    #[error("{0} has qualifiers or a subpath, which are not understood here; give pkg:TYPE/NAME@VERSION alone")]
    Qualified(String),
    /// A package URL of Python's that asks for something else than a file.
    #[error(
        "{0} asks for something else than a file of the release: give pkg:pypi/NAME@VERSION, or ?file_name=FILE with the name of a wheel (.whl) or of the source archive (.tar.gz)"
    )]
    PypiPurl(String),
    /// A package name or version that its ecosystem does not allow.
    #[error("{0:?} is not a package name or version that Python packages can have")]
    Name(String),
    /// A package name or version that npm does not allow, or would not take as such.
    #[error(
        "{0:?} is not a name and a whole version that packages of npm can have; one looks like pkg:npm/%40scope/name@1.0.0"
    )]
    NpmName(String),
    /// The index has no such package.
    #[error("the package index has no package {0:?}; check the spelling")]
    UnknownPackage(String),
    /// The index has the package, not the version.
    #[error("{name} has no version {version}; the newest are {}", newest.join(", "))]
    UnknownVersion {
        /// The package.
        name: String,
        /// What was asked for.
        version: String,
        /// The newest versions that are there, newest first.
        newest: Vec<String>,
    },
    /// The release has no source archive that can be built.
    #[error("the release has no source archive (.tar.gz), so it can't be rebuilt; it has {}", list(.0))]
    NoSdist(Vec<String>),
    /// The release has no wheel that could be rebuilt.
    #[error(
        "only pure wheels (py3-none-any) and those for this machine's Python can be rebuilt, and the release has {}; its source archive can, with ?file_name=NAME-VERSION.tar.gz",
        list(.0)
    )]
    NoWheel(Vec<String>),
    /// The release has no such file.
    #[error("the release has no file {name}; it has {}", list(files))]
    NoFile {
        /// What was asked for.
        name: String,
        /// What there is.
        files: Vec<String>,
    },
    /// A wheel for another Python, another system or another architecture.
    #[error(
        "{0} is for another Python or another machine than this; only wheels for this machine's Python can be rebuilt here"
    )]
    NotHere(String),
    /// Two places that the machine's pip looks in give different digests for one file.
    #[error("the places that pip is set up to look in give different digests for {0}; leave only one of them")]
    Conflict(String),
    /// What came is not what the index said.
    #[error(
        "{name} is not what the index promised: its SHA-256 is {actual}, and should be {expected}; nothing was kept"
    )]
    Mismatch {
        /// The file.
        name: String,
        /// What the index said.
        expected: Sha256,
        /// Of what came.
        actual: Sha256,
    },
    /// What came is not what the index said, by a digest that is compared, and not kept.
    #[error("{0} is not what the registry promised: its SHA-512 is another; nothing was kept")]
    Integrity(String),
    /// A tarball that can't be packed again.
    #[error("{name}: {source}")]
    Form {
        /// The tarball.
        name: String,
        /// Why.
        source: FormError,
    },
    /// A machine for which registries have no node.
    #[error("there is no package with node for {0} machines, and it packs tarballs; use an x86_64 or an aarch64 one")]
    NoNode(&'static str),
    /// What came is not what the index said, as pip found it; it compared other digests than SHA-256, or said it otherwise.
    #[error("a file is not what the index promised; nothing was kept; pip said: {0}")]
    PipMismatch(String),
    /// A directory with more in it than is looked at.
    #[error("{} has more than {most} names in it", path.display())]
    TooManyFiles {
        /// Which directory.
        path: PathBuf,
        /// The most.
        most: usize,
    },
    /// A file that is larger than what is fetched.
    #[error("{name} is larger than {most} bytes, the most that is fetched")]
    TooLarge {
        /// The file.
        name: String,
        /// The most, in bytes.
        most: u64,
    },
    /// A file name that no input can have.
    #[error(transparent)]
    FileName(#[from] InvalidInputName),
    /// A name or version that no package URL can have.
    #[error(transparent)]
    PackageUrl(#[from] InvalidPackageUrl),
    /// The published wheel can't be read.
    #[error("{name}: {source}")]
    Wheel {
        /// The wheel.
        name: String,
        /// Why.
        source: WheelError,
    },
    /// The source archive can't be unpacked.
    #[error("{name}: {source}")]
    Archive {
        /// The archive.
        name: String,
        /// Why.
        source: UnpackError,
    },
    /// The source archive can't be looked at.
    #[error("{name}: {source}")]
    Packing {
        /// The archive.
        name: String,
        /// Why.
        source: PackingError,
    },
    /// What the source says about its build back end can't be used.
    #[error("{name}: pyproject.toml: {source}")]
    Backend {
        /// The archive.
        name: String,
        /// Why.
        source: BackendError,
    },
    /// The recipe can't be.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The recipe's directory is missing, or a link, or no directory.
    #[error("{}: {source}; `source.directory` must be a directory below the recipe's, reached through no link", path.display())]
    SourceDirectory {
        /// Which one, or what is on the way to it.
        path: PathBuf,
        /// What is wrong with it.
        source: std::io::Error,
    },
    /// A machine for which it is not known what Debian calls it.
    #[error("it is not known what Debian calls a machine of the architecture {0}; use an x86_64 or an aarch64 one")]
    NoArchitecture(&'static str),
    /// apt knows of no packages at all.
    #[error(
        "apt has no list of packages here: {0}; look whether there is a network, and whether `apt-get update` works"
    )]
    NoDebianLists(String),
    /// apt is not set up for the release.
    #[error(
        "apt is not set up here for Debian's release {asked:?}; it has {}; add a source of that release",
        list(there)
    )]
    NoRelease {
        /// What is asked for.
        asked: String,
        /// What there is.
        there: Vec<String>,
    },
    /// The release has no such package.
    #[error("Debian's release {release:?} has no package {name:?}; look for it with: apt-cache search {name}")]
    UnknownDebian {
        /// The package.
        name: String,
        /// The release.
        release: String,
    },
    /// A package URL that names no version of a crate.
    #[error("{0} names no version of a crate; one looks like pkg:cargo/serde_json@1.0.145")]
    CargoPurl(String),
    /// The registry has a version that was taken back.
    #[error(
        "{name} {version} was taken back (yanked), and cargo fetches no such version; cargo info {name} says what there is"
    )]
    Yanked {
        /// The crate.
        name: String,
        /// What was asked for.
        version: String,
    },
    /// The registry has no such version.
    #[error("the registry has no {name} {version}; cargo info {name} says what there is")]
    NoCrateVersion {
        /// The crate.
        name: String,
        /// What was asked for.
        version: String,
    },
    /// A crate without the manifest that its author wrote.
    #[error(
        "{0} has no Cargo.toml.orig: the cargo that packed it kept no manifest of its author's, so that it can't be packed again"
    )]
    NoAuthorsManifest(String),
    /// A package URL that names no binary package of Debian's.
    #[error("{0} names no binary package of Debian's; one looks like pkg:deb/debian/hello@2.10-3?arch=amd64")]
    DebianPurl(String),
    /// The archive has no such version.
    #[error("Debian's release {release:?} has no {spec} now; it has version {}", list(versions))]
    NoDebianVersion {
        /// What was asked for.
        spec: String,
        /// The release.
        release: String,
        /// What there is of it.
        versions: Vec<String>,
    },
    /// The archive does not have the source.
    #[error("the archive does not have the source package {0}, so it can't be rebuilt")]
    NoDebianSource(String),
    /// A package that was built again without a change of its source.
    #[error(
        "{binary} was built again from the source {source_version} without a change of it (a binNMU): what its builder put on top of the changelog is in no source and not in the package; give the builder's .buildinfo file with --buildinfo FILE"
    )]
    BinNmu {
        /// The package's version.
        binary: String,
        /// The source's.
        source_version: String,
    },
    /// What a builder wrote down is of no use here.
    #[error(transparent)]
    BuildInfo(#[from] BuildInfoError),
    /// The archive no longer has a package that is locked.
    #[error(
        "the archive has no longer what is locked ({0}); take an archive of that day, or remove reprove.lock to have what it has now"
    )]
    GoneDebian(String),
    /// The archive has a locked package with other bytes.
    #[error(
        "the archive has {0}, but with other bytes than reprove.lock says: either the lock was changed, or the archive was; find out which (git log reprove.lock) before you build with it"
    )]
    OtherDebian(String),
    /// A package whose name no input can have.
    #[error("the package {0:?} has a name that no input can have")]
    DebianName(String),
    /// A target of Bazel's can't be rebuilt.
    #[error(transparent)]
    Bazel(#[from] ActionError),
    /// A derivation can't be rebuilt.
    #[error(transparent)]
    Nix(#[from] NixError),
    /// What stands beside the recipe is no lock.
    #[error("{}: {source}", path.display())]
    LockFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: LockFileError,
    },
    /// A lock file that the recipe names can't be used.
    #[error("{file}: {source}")]
    Dependencies {
        /// Its path below the source.
        file: String,
        /// What is wrong with it.
        source: DependencyError,
    },
    /// An image that can't be locked.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A registry that can't be asked.
    #[error(transparent)]
    Ask(#[from] crate::AskError),
    /// The recipe does not build a directory.
    #[error("the recipe's source is a package, not a directory; rebuild it by its package URL")]
    NotADirectory,
    /// An output is in the source already.
    #[error(
        "`{0}` is in the source already, so a build that does nothing would look reproducible; delete it \
         (in a Git work tree, having Git ignore it does as well)"
    )]
    OutputInSource(String),
    /// A program that is needed is not there.
    #[error("{program} can't be started: {source}; {install}")]
    NoProgram {
        /// Which.
        program: String,
        /// What the system said.
        source: std::io::Error,
        /// What to install.
        install: &'static str,
    },
    /// The Python that should have pip has none.
    #[error("{} has no pip; install it (Debian and Ubuntu: apt install python3-pip), or name a Python that has one", .0.display())]
    NoPip(PathBuf),
    /// Its pip is too old.
    #[error("pip {version} of {} is too old; 23.0 or newer is needed: {} -m pip install --upgrade pip", python.display(), python.display())]
    OldPip {
        /// Which Python.
        python: PathBuf,
        /// The version of its pip.
        version: String,
    },
    /// The index, or a file on it, can't be fetched.
    #[error("the package index can't be read: {0}")]
    Unreachable(String),
    /// There is no room for what is fetched.
    #[error("what is fetched can't be written: {0}")]
    FullDisk(#[source] std::io::Error),
    /// pip finds no wheels for this machine that fit together and meet what the build back end needs.
    #[error("pip finds nothing that fits: {0}")]
    NoDistribution(String),
    /// A program failed.
    #[error("{doing} failed: {said}")]
    Failed {
        /// What it was to do.
        doing: &'static str,
        /// The last lines of what it said.
        said: String,
    },
    /// A program took too long, and was ended.
    #[error("{doing} took longer than {seconds} seconds and was ended")]
    TimeOut {
        /// What it was to do.
        doing: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// A program's answer is not what it should be.
    #[error("{doing} gave an answer that can't be read: {why}")]
    Answer {
        /// What it was to do.
        doing: &'static str,
        /// What is wrong with the answer.
        why: String,
    },
    /// The source directory can't be read.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was being read or written.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl InputsError {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoProgram { .. }
            | Self::NoPip(_)
            | Self::OldPip { .. }
            | Self::Unreachable(_)
            | Self::FullDisk(_)
            | Self::NoDistribution(_)
            | Self::NoNode(_)
            | Self::NoArchitecture(_)
            | Self::NoRelease { .. }
            | Self::GoneDebian(_)
            | Self::NoDebianLists(_)
            | Self::BuildInfo(BuildInfoError::Gone { .. })
            | Self::Image(ImageError::Gone(_) | ImageError::Platform { .. } | ImageError::Contended(_))
            | Self::Ask(_)
            | Self::NoDebianSource(_)
            | Self::NotHere(_)
            | Self::Bazel(ActionError::Absent { .. } | ActionError::Json(_) | ActionError::Missing(_))
            | Self::Nix(NixError::Absent { .. } | NixError::System { .. })
            | Self::Failed { .. }
            | Self::TimeOut { .. }
            | Self::Answer { .. }
            | Self::Store(_)
            | Self::Ingest(IngestError::Store(_))
            | Self::Archive { source: UnpackError::Store(_), .. }
            | Self::Wheel { source: WheelError::Io(_), .. }
            | Self::Io { .. } => Kind::CannotHere,
            _ => Kind::BadInput,
        }
    }
}

/// How many names are shown of a list.
const SHOWN: usize = 5;

fn list(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    match names.len() {
        0 => "none".into(),
        all if all > SHOWN => format!("{}, and {} more", shown.join(", "), all - SHOWN),
        _ => shown.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_list_the_first_are_shown_and_the_others_counted() {
        let names: Vec<String> = (0..=SHOWN).map(|n| format!("n{n}")).collect();
        assert_eq!(list(&names[..SHOWN]), "n0, n1, n2, n3, n4");
        assert_eq!(list(&names), "n0, n1, n2, n3, n4, and 1 more");
        assert_eq!(list(&[]), "none");
    }
}
