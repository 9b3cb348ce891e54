// SPDX-License-Identifier: Apache-2.0
//! What a project depends on, by the lock files of its source.
//!
//! An ecosystem's lock file has a checksum of each package already, so that it settles what is fetched: nothing is locked a second
//! time. What is fetched is checked against it, and kept in the store by that checksum, so that only the first build of a lock
//! file asks a network. The ecosystem's own client fetches, in a place of its own with nothing of the project but the list: no code
//! of the project, and none of what it depends on, is run.

mod cargo;
mod error;
mod kept;
mod npm;
mod pip;

use std::collections::BTreeMap;

use reprove_model::{Content, Ecosystem, Input, InputName, Node, PackageUrl, Recipe, Role, Sha256, TreePath};
use reprove_store::Store;

pub use error::DependencyError;
pub use pip::Pythons;
pub(crate) use pip::read as pins;

use crate::workplace::Fetched;
use crate::{Cargo, InputsError, Note, Npm, Pip, blocking};

/// The ecosystems' clients, as the machine has them.
#[derive(Clone, Copy, Debug)]
pub struct Clients<'a> {
    /// For a `Cargo.lock`.
    pub cargo: &'a Cargo,
    /// For a `package-lock.json`.
    pub npm: &'a Npm,
    /// For a requirements file.
    pub pip: &'a Pip,
    /// What the build has that wheels are for.
    pub pythons: &'a Pythons,
}

/// The most bytes of a lock file that are read.
pub const MAX_LOCK_FILE: u64 = 32 << 20;
/// The most packages that one may name.
pub const MAX_PACKAGES: usize = 5000;

/// The packages that the lock files name which `recipe` names, and what lays them out in a build; sorted by name. All is in `store`
/// afterwards, as `source` has to be before.
///
/// # Errors
/// See [`InputsError`]; [`InputsError::Dependencies`] where a lock file can't be used.
pub async fn inputs(
    recipe: &Recipe,
    source: &Input,
    clients: Clients<'_>,
    store: &Store,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Vec<Input>, InputsError> {
    let mut inputs = Vec::new();
    for (ecosystem, file) in recipe.dependencies.lock_files() {
        let bad = |source| InputsError::Dependencies { file: file.to_owned(), source };
        let text = text(source, file, store).await?.map_err(bad)?;
        let Some((name, script)) = script(ecosystem) else {
            inputs.extend(pip::inputs((file, &text), clients.pip, clients.pythons, store, notes).await?);
            continue;
        };
        let wanted = wanted(ecosystem, &text).map_err(bad)?;
        let (digest, size) = store.add_bytes(script.as_bytes())?;
        let (name, content) = (name.parse()?, Content::File { digest, size });
        inputs.push(Input { name, role: Role::Tool, purl: None, content });
        inputs.extend(fetched(ecosystem, wanted, &text, clients, store, notes).await?);
    }
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(inputs)
}

/// What a lock file names; nothing of one that leaves a choice, as pip's does.
pub(crate) fn wanted(ecosystem: Ecosystem, text: &str) -> Result<Vec<Wanted>, DependencyError> {
    let found = match ecosystem {
        Ecosystem::Cargo => cargo::read(text)?,
        Ecosystem::Npm => npm::read(text, npm::cpu())?,
        Ecosystem::Pip => pip::read(text).map(|_| Vec::new())?,
    };
    let mut all: BTreeMap<InputName, Wanted> = BTreeMap::new();
    for wanted in found {
        match all.get(&wanted.file_name) {
            Some(other) if *other != wanted => return Err(DependencyError::Twice(wanted.purl.to_string())),
            _ => all.insert(wanted.file_name.clone(), wanted),
        };
        if all.len() > MAX_PACKAGES {
            return Err(DependencyError::TooMany);
        }
    }
    Ok(all.into_values().collect())
}

/// A package that a lock file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) version: String,
    /// What the input is called.
    pub(crate) file_name: InputName,
    pub(crate) purl: PackageUrl,
    pub(crate) checksum: Checksum,
}

/// What a lock file says of a package's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    Sha256(Sha256),
    Sha512([u8; 64]),
}

impl Wanted {
    fn input(&self, content: Content) -> Input {
        Input { name: self.file_name.clone(), role: Role::Dependency, purl: Some(self.purl.clone()), content }
    }

    /// Looks whether these are the bytes.
    fn check(&self, fetched: &Fetched) -> Result<(), InputsError> {
        let name = || self.file_name.to_string();
        match self.checksum {
            Checksum::Sha256(expected) if expected != fetched.digest.sha256 => {
                Err(InputsError::Mismatch { name: name(), expected, actual: fetched.digest.sha256 })
            }
            Checksum::Sha256(_) => Ok(()),
            Checksum::Sha512(promised) => crate::npm::check_sha512(fetched, Some(promised)),
        }
    }
}

/// A text of a lock file, or of who fetches, as part of a message.
fn plain(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(300).collect()
}

/// What lays the packages out, and its name; none where the client takes them as they are.
fn script(ecosystem: Ecosystem) -> Option<(&'static str, &'static str)> {
    let text = match ecosystem {
        Ecosystem::Cargo => include_str!("dependencies/lay_out_cargo.sh"),
        Ecosystem::Npm => include_str!("dependencies/lay_out_npm.js"),
        Ecosystem::Pip => return None,
    };
    Some((ecosystem.script()?, text))
}

/// A lock file's text, as the source has it.
async fn text(source: &Input, file: &str, store: &Store) -> Result<Result<String, DependencyError>, InputsError> {
    let (Content::Tree { digest: tree }, Ok(path)) = (&source.content, TreePath::new(file)) else {
        return Ok(Err(DependencyError::Missing));
    };
    let tree = tree.blake3;
    let (from, place) = (store.clone(), store.root());
    blocking::run(place, move || {
        let store = from;
        let tree = store.load_tree(&tree)?;
        let Some(Node::File { digest, size, .. }) = tree.entries().get(&path) else {
            return Ok(Err(DependencyError::Missing));
        };
        if *size > MAX_LOCK_FILE {
            return Ok(Err(DependencyError::TooLarge));
        }
        let bytes = store.read_blob(&digest.blake3, MAX_LOCK_FILE)?;
        let not_text = |_| DependencyError::Unread("it is no UTF-8".into());
        Ok::<_, InputsError>(String::from_utf8(bytes).map_err(not_text))
    })
    .await
}

/// The inputs, out of the store where they are there, and fetched where they are not.
async fn fetched(
    ecosystem: Ecosystem,
    wanted: Vec<Wanted>,
    text: &str,
    clients: Clients<'_>,
    store: &Store,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Vec<Input>, InputsError> {
    let (from, path) = (store.clone(), store.root().to_owned());
    let (mut inputs, missing) = blocking::run(&path, move || kept::find(&from, wanted)).await?;
    if missing.is_empty() {
        return Ok(inputs);
    }
    let count = missing.len();
    notes(Note::Doing(format!("fetching {count} packages that the source depends on, with {}", ecosystem.name())));
    let (workplace, fetched) = match ecosystem {
        Ecosystem::Cargo => cargo::fetch(clients.cargo, &missing, text, store).await?,
        Ecosystem::Npm => npm::fetch(clients.npm, &missing, store).await?,
        Ecosystem::Pip => return Ok(inputs),
    };
    let to = store.clone();
    let added = blocking::run(&path, move || {
        let _workplace = workplace;
        let one = |(wanted, file): (Wanted, Fetched)| {
            wanted.check(&file)?;
            file.keep(&to)?;
            kept::note(&to, &wanted, &file)?;
            Ok::<_, InputsError>(wanted.input(Content::File { digest: file.digest, size: file.size }))
        };
        missing.into_iter().zip(fetched).map(one).collect::<Result<Vec<_>, _>>()
    });
    inputs.extend(added.await?);
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap as Map;

    use reprove_model::Tree;

    use super::*;

    /// The error of a `Cargo.lock` of so many bytes, all of which are a comment.
    async fn of_size(bytes: u64) -> Result<usize, InputsError> {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let text = "#".repeat(usize::try_from(bytes).unwrap());
        let (digest, size) = store.add_bytes(text.as_bytes()).unwrap();
        let path = TreePath::new("Cargo.lock").unwrap();
        let tree = Tree::new(Map::from([(path, Node::File { mode: 0o644, size, digest })])).unwrap();
        let content = Content::Tree { digest: store.save_tree(&tree).unwrap() };
        let source = Input { name: "source".parse().unwrap(), role: Role::Source, purl: None, content };
        let recipe = "package.name='p'\nsource.directory='.'\nbuild.steps=['true']\noutputs.directory='out'\n\
                      dependencies.cargo='Cargo.lock'";
        let recipe = Recipe::from_toml(recipe).unwrap();
        let (cargo, npm) = (Cargo::new("/nonexistent", "/nonexistent"), Npm::new("/nonexistent"));
        let pip = Pip::new("/nonexistent", "/nonexistent");
        let pythons = Pythons { minors: Vec::new(), glibc: None };
        let clients = Clients { cargo: &cargo, npm: &npm, pip: &pip, pythons: &pythons };
        inputs(&recipe, &source, clients, &store, &|_| {}).await.map(|inputs| inputs.len())
    }

    #[tokio::test]
    async fn the_bound_on_a_lock_file_holds_on_both_sides() {
        assert_eq!(of_size(MAX_LOCK_FILE).await.unwrap(), 1);
        let error = of_size(MAX_LOCK_FILE + 1).await.unwrap_err();
        let InputsError::Dependencies { file, source: DependencyError::TooLarge } = &error else { panic!("{error}") };
        assert_eq!((file.as_str(), error.kind()), ("Cargo.lock", crate::Kind::BadInput));
    }
}
