// SPDX-License-Identifier: Apache-2.0
//! The private parsers of outside bytes, for the corpora and the fuzz targets in `tests` alone. Not part of the API.

use std::io::Cursor;

use reprove_model::{Ecosystem, InputName, LockedPackage, PackageUrl, Recipe, Sha256, TreePath};

use crate::debian::{BuildInfo, BuildInfoError};
use crate::pypi::{self, backend, recipe, release, requirement, tools};
use crate::{
    BackendError, DependencyError, FormError, ImageError, InputsError, NixError, Pip, WheelError, bazel, cargo, debian,
    directory, http, init, nix, npm, oci,
};

/// The recipe that a `pyproject.toml` gives, and the lines of the requirements file for its back end.
///
/// # Errors
/// As locking.
pub fn pyproject(text: &str, source: PackageUrl) -> Result<(Recipe, Vec<String>), BackendError> {
    let backend: backend::Backend = text.parse()?;
    let lines = backend.requires.iter().map(|requirement| requirement.as_str().to_owned()).collect();
    let Ok(published) = "demo-1.0-py3-none-any.whl".parse::<InputName>() else { return Err(BackendError::NotText) };
    let how = recipe::How { published: &published, put_in: None, settings: crate::wheel::Settings::default() };
    Ok((recipe::recipe(("demo", "1.0"), source, &backend, &[], &how), lines))
}

/// One requirement as it is written to a requirements file.
///
/// # Errors
/// As locking.
pub fn requirement(text: &str) -> Result<String, BackendError> {
    Ok(text.parse::<requirement::Requirement>()?.as_str().to_owned())
}

/// The lines of the file of locked requirements that pip's report gives, and the names of the wheels.
///
/// # Errors
/// As locking.
pub fn pip_report(bytes: &[u8]) -> Result<Vec<(String, InputName)>, InputsError> {
    let resolved = tools::read_report(bytes)?;
    Ok(resolved.into_iter().map(|tool| (tools::locked_line(&tool), tool.file_name)).collect())
}

/// What is said about a release: the error, or the names of its files.
///
/// # Errors
/// As locking.
pub fn release(bytes: &[u8]) -> Result<Vec<String>, InputsError> {
    let found = release::found(bytes, ("demo", "1.0"), None, &Pip::new("/python", "/python"))?;
    Ok(std::iter::once(found.sdist).chain(found.wheel).map(|file| file.name).collect())
}

/// The lines of the constraints file that a published wheel gives, and what is told about them.
///
/// # Errors
/// As locking.
pub fn wheel_pins(bytes: &[u8]) -> Result<(Vec<String>, Option<String>), WheelError> {
    let found = crate::wheel::Form::read(&mut Cursor::new(bytes))?;
    let (pins, note) = tools::pins_of(found.generator.as_ref());
    Ok((pins.lines, note))
}

/// What is put into a source archive that is built again, in JSON.
///
/// # Errors
/// As locking.
pub fn sdist_packing(bytes: &[u8]) -> Result<Vec<u8>, InputsError> {
    let bad = |source| InputsError::Packing { name: "demo-1.0.tar.gz".into(), source };
    pypi::in_json(&pypi::archive::Packing::read(bytes).map_err(bad)?)
}

/// The recipes for each of the tools that a tarball's form points to.
///
/// # Errors
/// As locking.
pub fn npm_form(bytes: &[u8]) -> Result<Vec<Recipe>, FormError> {
    npm::recipes_of(bytes)
}

/// The SHA-512 that `npm view` gives.
///
/// # Errors
/// As locking.
pub fn npm_view(bytes: &[u8]) -> Result<Option<[u8; 64]>, InputsError> {
    npm::sha512_of(bytes)
}

/// What is locked of the packages that apt would fetch, and what is wrong where nothing is.
///
/// # Errors
/// As locking.
pub fn apt_packages(text: &str) -> Result<Vec<LockedPackage>, String> {
    debian::offered(text)
}

/// What a builder wrote down, for the package of these bytes and this version of the source `demo`: how apt is asked for what
/// it had, and what is put on top of the changelog.
///
/// # Errors
/// As locking.
pub fn build_info(bytes: &[u8], version: &str) -> Result<(Vec<String>, Option<String>), BuildInfoError> {
    Ok(debian::asked_of(&BuildInfo::read(bytes)?, "demo", version))
}

/// What is on top of a compressed changelog, where that is of this version of the source `demo`.
#[must_use]
pub fn binary_only_changes(compressed: &[u8], version: &str) -> Option<String> {
    debian::changelog_entry(compressed, "demo", version)
}

/// The SHA-256 that a `Cargo.lock` has of a version of a crate.
#[must_use]
pub fn crate_digest(text: &str, name: &str, version: &str) -> Option<Sha256> {
    cargo::promised(text, name, version)
}

/// Whether a manifest that cargo wrote says which targets there are.
#[must_use]
pub fn cargo_manifest(bytes: &[u8]) -> bool {
    cargo::names_targets(bytes)
}

/// The texts of the recipe and of the notes for a project that has one file, of this name and text; none where that is not
/// enough to tell.
///
/// # Errors
/// As writing a first recipe.
pub fn first_recipe(name: &str, text: &str) -> Result<Option<(String, Vec<String>)>, InputsError> {
    let mut top = init::Top::default();
    top.names.insert(name.to_owned());
    top.texts.insert(name.to_owned(), text.to_owned());
    let wish = init::Wish { debian: Some("bookworm".into()), epoch: 1_735_689_600, name: "demo".into() };
    Ok(init::detect(&top, &wish)?.map(|found| (found.recipe, found.notes)))
}

/// The recipe of what Bazel says of a target.
///
/// # Errors
/// As locking.
pub fn bazel_action(bytes: &[u8]) -> Result<Recipe, InputsError> {
    bazel::recipe_of(bytes)
}

/// The recipe of a derivation of Nix's.
///
/// # Errors
/// As locking.
pub fn derivation(bytes: &[u8]) -> Result<Recipe, NixError> {
    nix::recipe_of(bytes)
}

/// File name and package URL of each package that a project's lock file names, and what is wrong where it can't be used.
///
/// # Errors
/// As fetching.
pub fn dependencies(ecosystem: Ecosystem, text: &str) -> Result<Vec<(InputName, PackageUrl)>, DependencyError> {
    let wanted = crate::dependencies::wanted(ecosystem, text)?;
    Ok(wanted.into_iter().map(|wanted| (wanted.file_name, wanted.purl)).collect())
}

/// Name and version of each line of a requirements file with how many hashes it has, and what is wrong where it can't be used.
///
/// # Errors
/// As fetching.
pub fn requirements(text: &str) -> Result<Vec<(String, String, usize)>, DependencyError> {
    let pins = crate::dependencies::pins(text)?;
    Ok(pins.into_iter().map(|pin| (pin.name, pin.version, pin.hashes.len())).collect())
}

/// What each document of an image says: as an index or a manifest, as an index, as a configuration.
pub fn image_documents(bytes: &[u8]) -> [Result<String, ImageError>; 3] {
    oci::documents(bytes)
}

/// What the manifest of an artifact says, where it is a proof's.
///
/// # Errors
/// As pulling one.
pub fn image_artifact(bytes: &[u8]) -> Result<Option<String>, ImageError> {
    oci::artifact(bytes)
}

/// Where a server says that tokens are, for what, and for how much; none where it wants no token, or it can't be read.
#[must_use]
pub fn bearer(text: &str) -> Option<[String; 3]> {
    http::exchange::Bearer::read(text).map(|bearer| bearer.parts().map(str::to_owned))
}

/// Whether `path` is in what `git ls-files -z` lists.
#[must_use]
pub fn git_lists(list: &[u8], path: &TreePath) -> bool {
    directory::GitFiles::parse(list).has(path)
}
