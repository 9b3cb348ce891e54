// SPDX-License-Identifier: Apache-2.0
//! Python packages: a release's source archive, its pure wheel, and the wheels of the back end that builds one to the other.
//!
//! No code of the package, nor of its back end, runs here: what a release has is read from the index; what builds it, from
//! the archive's `pyproject.toml`; and the back end is resolved from wheels alone. The index, its certificates, proxies and
//! credentials are those that the machine's pip is set up with.

pub(crate) mod backend;
mod pip;
pub(crate) mod recipe;
pub(crate) mod release;
pub(crate) mod requirement;
mod said;
pub(crate) mod tools;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

pub use backend::BackendError;
pub use pip::Pip;
use reprove_model::{Content, Derived, Input, Lock, LockedEnvironment, PackageUrl, Published, Role};
use reprove_store::{Store, UnpackLimits};

use self::backend::{Backend, MAX_PYPROJECT};
use self::release::Release;
use self::tools::Tool;
use crate::workplace::{Fetched, Workplace};
use crate::{InputsError, Note, blocking};

/// Locks what rebuilds the pure wheel of a release, `pkg:pypi/NAME@VERSION`.
///
/// Each file is checked against the SHA-256 that the index gives, and nothing is kept before all are. Everything that the
/// lock names is in `store` afterwards. The future may be dropped at any time: no process stays, and no temporary file
/// once the file that is being worked on is done with.
///
/// What a back end asks for only while it runs (`get_requires_for_build_wheel`) is not known here, but for `wheel`, which
/// setuptools before 70.1 wanted.
///
/// # Errors
/// See [`InputsError`].
pub async fn lock(
    purl: &PackageUrl,
    pip: &Pip,
    store: &Store,
    environment: LockedEnvironment,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Lock, InputsError> {
    let (name, version) = package(purl)?;
    let workplace = Workplace::new(store)?;
    notes(Note::Doing(format!("fetching {name} {version}")));
    let release = release::fetch(name, version, pip, &workplace, notes).await?;
    let pins = tools::pins(&release.wheel, notes).await?;
    let (sdist, place) = (release.sdist.clone(), workplace.clone());
    let backend = blocking::run(&release.sdist.path, move || read_backend(&sdist, &place, SDIST_LIMITS)).await?;
    notes(Note::Doing(format!("resolving what {} needs", backend.name)));
    let tools = tools::fetch(&backend, &pins, pip, &workplace, notes).await?;
    let files = [&release.sdist, &release.wheel].into_iter().chain(tools.iter().map(|tool| &tool.file));
    let files: Vec<Fetched> = files.cloned().collect();
    let lock = assemble(name, version, release, &backend, tools, environment)?;
    let (path, to) = (workplace.path("files"), store.clone());
    blocking::run(&path, move || {
        let _workplace = workplace;
        files.iter().try_for_each(|file| file.keep(&to))
    })
    .await?;
    Ok(lock)
}

/// Looks whether [`lock`] could be asked for `purl` at all; nothing is fetched.
///
/// # Errors
/// [`InputsError::PackageType`], [`InputsError::Qualified`], [`InputsError::NoVersion`], [`InputsError::Name`].
pub fn check(purl: &PackageUrl) -> Result<(), InputsError> {
    package(purl).map(drop)
}

fn assemble(
    name: &str,
    version: &str,
    release: Release,
    backend: &Backend,
    tools: Vec<Tool>,
    environment: LockedEnvironment,
) -> Result<Lock, InputsError> {
    let source = PackageUrl::pypi(name, version, Some(release.sdist.name.as_str()))?;
    let recipe = recipe::recipe(name, version, source.clone(), backend, &tools);
    recipe.check()?;
    let Fetched { name: file_name, digest, size, .. } = release.sdist;
    let content = Content::Archive { digest, size };
    let mut inputs = vec![Input { name: file_name, role: Role::Source, purl: Some(source), content }];
    for tool in tools {
        let Fetched { name: file_name, digest, size, .. } = &tool.file;
        inputs.push(Input {
            name: file_name.clone(),
            role: Role::Tool,
            purl: Some(PackageUrl::pypi(&tool.name, &tool.version, Some(file_name.as_str()))?),
            content: Content::File { digest: *digest, size: *size },
        });
    }
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    let Fetched { name: file_name, digest, size, .. } = release.wheel;
    let purl = Some(PackageUrl::pypi(name, version, Some(file_name.as_str()))?);
    // Its tools are those that its own WHEEL file names, or that its form shows.
    let published = Some(Published { purl, name: file_name, digest, size, derived: [Derived::Tools].into() });
    Ok(Lock { recipe, inputs, environment, published })
}

fn package(purl: &PackageUrl) -> Result<(&str, &str), InputsError> {
    if purl.kind() != "pypi" {
        return Err(InputsError::PackageType(purl.kind().into()));
    }
    // A qualifier would ask for one file of several, and that is not what is looked at.
    if purl.to_string().contains(['?', '#']) {
        return Err(InputsError::Qualified(purl.to_string()));
    }
    let version = purl.version().ok_or_else(|| InputsError::NoVersion(purl.to_string()))?;
    let name = purl.name();
    if !requirement::is_name(name) || !requirement::is_version(version) {
        return Err(InputsError::Name(purl.to_string()));
    }
    Ok((name, version))
}

/// What an sdist may hold to be looked into.
const SDIST_LIMITS: UnpackLimits = UnpackLimits { entries: 200_000, bytes: 4 << 30 };

/// Reads what builds an sdist, in the workplace alone.
fn read_backend(sdist: &Fetched, workplace: &Workplace, limits: UnpackLimits) -> Result<Backend, InputsError> {
    let archive = |source| InputsError::Archive { name: sdist.name.to_string(), source };
    let fail = |source| InputsError::Backend { name: sdist.name.to_string(), source };
    let place = workplace.path("tmp");
    let place = tempfile::tempdir_in(&place).map_err(|source| InputsError::Io { path: place, source })?;
    let store = Store::open(place.path())?;
    store.add_file(&sdist.path)?;
    let unpacked = store.unpack(&sdist.digest.blake3, limits).map_err(archive)?;
    let found = unpacked.entries.iter().find(|(path, _)| path.as_bytes() == b"pyproject.toml");
    let digest = match found.map(|(_, entry)| &entry.node) {
        None => return Ok(Backend::legacy()),
        Some(reprove_model::Node::File { digest, size, .. }) if *size <= MAX_PYPROJECT => digest,
        Some(_) => return Err(fail(BackendError::NotText)),
    };
    let bytes = store.read_blob(&digest.blake3, MAX_PYPROJECT)?;
    let text = String::from_utf8(bytes).map_err(|_| fail(BackendError::NotText))?;
    text.parse().map_err(fail)
}

fn open_wheel(path: &Path) -> Result<BufReader<File>, InputsError> {
    let file = File::open(path).map_err(|source| InputsError::Io { path: path.to_owned(), source })?;
    Ok(BufReader::new(file))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    /// An sdist with a `pyproject.toml` of so many bytes.
    fn sdist(workplace: &Workplace, bytes: u64) -> Fetched {
        let text = vec![b'#'; usize::try_from(bytes).unwrap()];
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes);
        header.set_mode(0o644);
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        archive.append_data(&mut header, "a-1/pyproject.toml", text.as_slice()).unwrap();
        let bytes = archive.into_inner().unwrap().finish().unwrap();
        let path = workplace.file("sdist");
        fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
        Fetched::check("a-1.tar.gz".parse().unwrap(), &path, None).unwrap()
    }

    #[test]
    fn the_bounds_on_a_source_hold_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let workplace = Workplace::new(&store).unwrap();
        let read = |size, limits| read_backend(&sdist(&workplace, size), &workplace, limits);
        assert_eq!(read(MAX_PYPROJECT, SDIST_LIMITS).unwrap(), Backend::legacy());
        let long = read(MAX_PYPROJECT + 1, SDIST_LIMITS).unwrap_err();
        assert!(matches!(long, InputsError::Backend { source: BackendError::NotText, .. }), "{long}");
        // One file, and the directory above it; a header, its bytes, and the end of the archive.
        let exact = UnpackLimits { entries: 1, bytes: 2048 };
        assert!(read(10, exact).is_ok());
        for less in [UnpackLimits { entries: 0, ..exact }, UnpackLimits { bytes: 2047, ..exact }] {
            let error = read(10, less).unwrap_err();
            assert!(matches!(error, InputsError::Archive { .. }), "{error}");
            assert_eq!(error.kind(), crate::Kind::BadInput);
        }
        // It is empty.
        fs::remove_dir(workplace.path("tmp")).unwrap();
    }

    #[test]
    fn only_a_version_of_a_python_package_is_taken() {
        let package = |purl: &str| package(&purl.parse().unwrap()).map(|(n, v)| format!("{n} {v}"));
        assert_eq!(package("pkg:pypi/Idna@3.20").unwrap(), "idna 3.20");
        assert!(matches!(package("pkg:npm/left-pad@1.0.0"), Err(InputsError::PackageType(_))));
        assert!(matches!(package("pkg:pypi/idna"), Err(InputsError::NoVersion(_))));
        for bad in ["pkg:pypi/idna@3.20?file_name=idna-3.20.tar.gz", "pkg:pypi/idna@3.20#a"] {
            assert!(matches!(package(bad), Err(InputsError::Qualified(_))), "{bad}");
        }
        for bad in ["pkg:pypi/a%20b@1", "pkg:pypi/-r@1", "pkg:pypi/a@1%20--pre", "pkg:pypi/a@--pre"] {
            assert!(matches!(package(bad), Err(InputsError::Name(_))), "{bad}");
        }
    }
}
