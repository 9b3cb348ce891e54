// SPDX-License-Identifier: Apache-2.0
//! Packages of Debian's for an environment: which ones they are, exactly, and they themselves.
//!
//! The machine's apt says which, by the archive's signed indices, as if nothing were installed; what is installed here plays
//! no part. `reprove.lock` keeps what it said.

mod again;
mod apt;
mod buildinfo;
mod fields;
mod lines;
mod needed;
mod package;
mod source;

pub use apt::Apt;
pub use buildinfo::{BuildInfo, BuildInfoError};
pub use source::{Rebuildable, check, fetch_published};

use reprove_model::{Content, Debian, Digest, Input, LockedPackage, Role, Sha256};
use reprove_store::Store;

use self::apt::{Knows, Session};
use self::lines::Offered;
use crate::workplace::{Fetched, Workplace};
use crate::{InputsError, Note, blocking};

/// What Debian calls this machine's architecture.
///
/// # Errors
/// [`InputsError::NoArchitecture`] where it is not known.
pub fn architecture() -> Result<&'static str, InputsError> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => Err(InputsError::NoArchitecture(other)),
    }
}

/// The packages of an environment, all in `store` afterwards, sorted by name and architecture. `locked` are those that it has,
/// where that was settled before: then these come, or none.
///
/// # Errors
/// See [`InputsError`]; [`InputsError::NoRelease`], [`InputsError::UnknownDebian`], [`InputsError::GoneDebian`] above all.
pub async fn packages(
    asked: &Debian,
    locked: Option<Vec<LockedPackage>>,
    apt: &Apt,
    store: &Store,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Vec<LockedPackage>, InputsError> {
    if let Some(locked) = &locked
        && let missing = missing(locked, store).await?
        && missing.is_empty()
    {
        return Ok(locked.clone());
    }
    notes(Note::Doing(format!("asking apt for the packages of {}", asked.debian)));
    let session = Session::begin(apt, Some(&asked.debian), Knows::Packages, Workplace::new(store)?).await?;
    match locked {
        Some(locked) => {
            let wanted: Vec<Offered> = missing(&locked, store).await?.into_iter().map(Offered::of).collect();
            let fetched = fetch(&session, &wanted, store, notes).await?;
            match fetched.iter().find(|package| !locked.contains(package)) {
                Some(other) => Err(InputsError::OtherDebian(format!("{} {}", other.name, other.version))),
                None => Ok(locked),
            }
        }
        None => {
            let wanted = session.resolve(&asked.packages).await?;
            let mut packages = fetch(&session, &wanted, store, notes).await?;
            packages.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
            Ok(packages)
        }
    }
}

/// An environment of packages of these names, of the first release that apt is set up for, with the exact packages of now. They are
/// in `store` afterwards.
///
/// # Errors
/// See [`InputsError`].
pub(crate) async fn tools(
    names: &[&str],
    apt: &Apt,
    store: &Store,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<(Debian, Vec<LockedPackage>), InputsError> {
    notes(Note::Doing(format!("asking apt for {}", names.join(", "))));
    let session = Session::begin(apt, None, Knows::Packages, Workplace::new(store)?).await?;
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut packages = fetch(&session, &session.resolve(&names).await?, store, notes).await?;
    packages.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    Ok((Debian { debian: session.release().to_owned(), packages: names }, packages))
}

/// Those whose files are not in the store.
async fn missing(locked: &[LockedPackage], store: &Store) -> Result<Vec<LockedPackage>, InputsError> {
    let (packages, from) = (locked.to_vec(), store.clone());
    blocking::run(store.root(), move || {
        let is_missing = |package: &LockedPackage| from.verify_blob(&package.blake3).is_err();
        Ok::<_, InputsError>(packages.into_iter().filter(is_missing).collect())
    })
    .await
}

/// How many packages are fetched by one call.
const AT_ONCE: usize = 200;

async fn fetch(
    session: &Session<'_>,
    wanted: &[Offered],
    store: &Store,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Vec<LockedPackage>, InputsError> {
    let bytes: u64 = wanted.iter().map(|offered| offered.size).fold(0, u64::saturating_add);
    notes(Note::Doing(format!("fetching {} packages of Debian's, {} MiB", wanted.len(), bytes.div_ceil(1 << 20))));
    let mut packages = Vec::new();
    for some in wanted.chunks(AT_ONCE) {
        session.download(some).await?;
        let files: Vec<_> = some.iter().map(|offered| (offered.clone(), session.file(offered))).collect();
        let (to, place) = (store.clone(), session.workplace().clone());
        let kept = blocking::run(store.root(), move || {
            let _place = place;
            let one = |(offered, path): (Offered, std::path::PathBuf)| {
                let name = offered.file_name().ok_or_else(|| InputsError::DebianName(offered.name.clone()))?;
                let fetched = Fetched::check(name, &path, Some(offered.sha256))?;
                fetched.keep(&to)?;
                Ok::<_, InputsError>(offered.locked(fetched.digest.blake3, fetched.size))
            };
            files.into_iter().map(one).collect::<Result<Vec<_>, _>>()
        });
        packages.extend(kept.await?);
    }
    Ok(packages)
}

/// Whether a package can have this name and this version.
fn is_possible(name: &str, version: &str) -> bool {
    is_possible_for(name, version, "all")
}

/// Whether one of this architecture can.
fn is_possible_for(name: &str, version: &str, architecture: &str) -> bool {
    let package = LockedPackage {
        name: name.into(),
        version: version.into(),
        architecture: architecture.into(),
        size: 0,
        blake3: Digest::of(b""),
        sha256: Sha256::of(b""),
    };
    package.is_possible()
}

/// For fuzzing: the entry on top of a compressed changelog.
pub(crate) fn changelog_entry(compressed: &[u8], source: &str, binary: &str) -> Option<String> {
    again::changelog(compressed, again::Versions { source, binary })
}

/// For fuzzing: what apt is asked for, and what is put on top of the changelog.
pub(crate) fn asked_of(info: &BuildInfo, source: &str, binary: &str) -> (Vec<String>, Option<String>) {
    let specs = info.installed().iter().map(|package| package.spec()).collect();
    (specs, info.changes(again::Versions { source, binary }))
}

/// For fuzzing: what apt prints, as packages that are locked.
pub(crate) fn offered(text: &str) -> Result<Vec<LockedPackage>, String> {
    let locked = |offered: Offered| {
        let size = offered.size;
        offered.locked(Digest::of(b""), size)
    };
    Ok(lines::offered(text)?.into_iter().map(locked).collect())
}

/// Packages as inputs of a build.
///
/// # Errors
/// [`InputsError::DebianName`] where one has a name that no input can have.
pub fn inputs(packages: &[LockedPackage]) -> Result<Vec<Input>, InputsError> {
    let input = |package: &LockedPackage| {
        let wrong = || InputsError::DebianName(package.name.clone());
        Ok(Input {
            name: package.file_name().ok_or_else(wrong)?,
            role: Role::Environment,
            purl: Some(package.purl().ok_or_else(wrong)?),
            content: Content::File { digest: package.digest(), size: package.size },
        })
    };
    packages.iter().map(input).collect()
}
