// SPDX-License-Identifier: Apache-2.0
//! Derivations of Nix: what is in the machine's store, and what that was built of.
//!
//! The derivation itself is read from the store (`aterm`): it says what is run. Nix says what belongs to what, and which hash
//! each path has; every path is read, and has to have that hash. Nothing is built or fetched here.

mod aterm;
mod client;
mod names;
mod recipe;

pub use aterm::DerivationError;
pub use client::Nix;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use reprove_model::{
    Closure, Content, Digest, Input, InputName, InvalidTreePath, Node, Published, Recipe, RecipeError, Role, Tree,
    TreeError, TreePath,
};
use reprove_store::{IngestLimits, Store};
use thiserror::Error;

use self::aterm::Derivation;
use self::client::{MAX_PATHS, Registered};
use self::recipe::Planned;
use crate::{InputsError, Note, blocking};

/// Why a derivation can't be rebuilt.
#[derive(Debug, Error)]
pub enum NixError {
    /// What was named is none.
    #[error("{0} is neither a derivation nor a path of a store; name one as in /nix/store/HASH-NAME.drv")]
    NoPath(String),
    /// There is nothing.
    #[error(
        "{path}: {source}; name a derivation as in /nix/store/HASH-NAME.drv, a path that one gave, or a package URL"
    )]
    NoFile {
        /// Where.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// One of Guix's.
    #[error(
        "{0} is of a store of Guix's: its derivations are built by a guile of the store itself, and only Nix is asked what \
         a store has; rebuild it with: guix build --check {0}"
    )]
    Guix(String),
    /// Nobody knows how it was built.
    #[error("Nix does not know of what {0} was built; name the derivation itself, HASH-NAME.drv")]
    NoDeriver(String),
    /// The file is no derivation that is understood.
    #[error("{path} is no derivation that can be read: {source}")]
    Unread {
        /// Which one.
        path: String,
        /// Why.
        source: DerivationError,
    },
    /// It is built by no program.
    #[error("it is built by Nix itself ({0:?}), not by a program; what it gives is settled by its hash")]
    Builtin(String),
    /// It asks for something that only Nix does.
    #[error("it {0}; that is not rebuilt yet")]
    Unsupported(&'static str),
    /// It is for other machines.
    #[error("it is built on machines of the kind {wanted:?}, and this one is of the kind {here}")]
    System {
        /// As Nix calls it.
        wanted: String,
        /// The same.
        here: String,
    },
    /// An output that is no path of the store.
    #[error("its output {0:?} is no path of the store that it is in itself")]
    OutputPath(String),
    /// A name that no output can have.
    #[error("the name {0:?} is none that a file can have here")]
    Name(String),
    /// An input that the derivation names is none.
    #[error("its input {0:?} is no path of the store, or no output that the derivation has")]
    Input(String),
    /// What it was built of, or what it gave, is not there.
    #[error("the store does not have {path}; build it first: nix-store --realise {derivation}")]
    Absent {
        /// Which path.
        path: String,
        /// What gives it.
        derivation: String,
    },
    /// A path is not what Nix registered.
    #[error(
        "{path} is not what Nix has registered: its hash is sha256:{actual}, and should be {expected}; nothing was kept; \
         look with: nix-store --verify --check-contents"
    )]
    Changed {
        /// Which path.
        path: String,
        /// As Nix has it.
        expected: String,
        /// As it is, in the same form.
        actual: String,
    },
    /// There are too many paths.
    #[error("it was built of more than {MAX_PATHS} paths")]
    Paths,
    /// What it asks for makes no recipe.
    #[error("what the derivation asks for can't be built here: {0}")]
    Recipe(#[from] RecipeError),
    /// A path that no tree can hold.
    #[error(transparent)]
    Path(#[from] InvalidTreePath),
    /// A path's files make no tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// A derivation and all that belongs to it, in the store of reprove.
#[derive(Clone, Debug)]
pub struct Rebuildable {
    /// What is run.
    pub recipe: Recipe,
    /// The derivation, the folder that it is built in, and each path of the store that it can see.
    pub inputs: Vec<Input>,
    /// The outputs that Nix has registered, as one archive.
    pub published: Published,
    /// The store whose paths these are.
    pub closure: Closure,
    /// Of the derivation's file.
    pub derivation: Digest,
    /// The files of all the paths that it can see, by their place in the store.
    pub paths: BTreeMap<TreePath, Node>,
}

/// Reads the derivation at `path`, or the one that the path of a store there was built by, and all that it was built of; sees
/// that everything is what Nix has registered.
///
/// # Errors
/// See [`NixError`] and [`InputsError`].
pub async fn fetch(
    path: &Path,
    nix: &Nix,
    store: &Store,
    notes: &(dyn Fn(Note) + Sync),
) -> Result<Rebuildable, InputsError> {
    let given = path.to_owned();
    let named = blocking::run(path, move || named(&given)).await?;
    notes(Note::Doing("asking Nix what it was built of".into()));
    let drv = if named.ends_with(".drv") { named } else { nix.deriver(&named, store).await? };
    let (folder, base) = names::split(&drv).ok_or_else(|| NixError::NoPath(drv.clone()))?;
    let (file, derivation) = read(&drv, nix, store).await?;
    let planned = recipe::plan(&derivation, folder, base)?;
    let wanted = wanted(&derivation, nix, store).await?;
    let outputs: Vec<String> = planned.outputs.iter().map(|base| format!("{folder}/{base}")).collect();
    absent(&outputs, &drv, nix, store).await?;
    let closure = nix.closure(&wanted, store).await?;
    let all: Vec<String> = std::iter::once(&drv).chain(&closure).chain(&outputs).cloned().collect();
    let hashes = nix.hashes(&all, store).await?;
    let registered: BTreeMap<String, Registered> = all.into_iter().zip(hashes).collect();
    notes(Note::Doing(format!("reading {} paths of the store", closure.len())));
    let reading = Reading {
        store: store.clone(),
        folder: folder.to_owned(),
        drv: drv.clone(),
        file,
        planned,
        closure,
        outputs,
        registered,
    };
    blocking::run(store.root(), move || reading.rebuildable()).await
}

/// The path of a store that a path on the machine leads to.
fn named(path: &Path) -> Result<String, InputsError> {
    let shown = || path.display().to_string().chars().filter(|c| !c.is_control()).take(300).collect::<String>();
    // What is in the store is meant itself, also where it is a link.
    let found = match names::split_path(path) {
        Some(_) => path.to_owned(),
        None => fs::canonicalize(path).map_err(|source| NixError::NoFile { path: shown(), source })?,
    };
    let (folder, base) = names::split_path(&found).ok_or_else(|| NixError::NoPath(shown()))?;
    let whole = format!("{folder}/{base}");
    if folder == "/gnu/store" { Err(NixError::Guix(whole).into()) } else { Ok(whole) }
}

/// A derivation that the store has: its bytes, and what they say.
async fn read(drv: &str, nix: &Nix, store: &Store) -> Result<(Vec<u8>, Derivation), InputsError> {
    absent(&[drv.to_owned()], drv, nix, store).await?;
    let path = PathBuf::from(drv);
    let bytes = blocking::run(Path::new(drv), move || {
        let mut bytes = Vec::new();
        let most = aterm::MAX_BYTES as u64 + 1;
        let read = File::open(&path).and_then(|file| file.take(most).read_to_end(&mut bytes));
        read.map_err(|source| InputsError::Io { path, source })?;
        Ok::<_, InputsError>(bytes)
    });
    let bytes = bytes.await?;
    let unread = |source| NixError::Unread { path: drv.to_owned(), source };
    let derivation = Derivation::parse(&bytes).map_err(unread)?;
    Ok((bytes, derivation))
}

/// Fails where the store lacks one of these paths, which `drv` gives.
async fn absent(paths: &[String], drv: &str, nix: &Nix, store: &Store) -> Result<(), InputsError> {
    match nix.invalid(paths, store).await?.first() {
        None => Ok(()),
        Some(path) => Err(NixError::Absent { path: path.clone(), derivation: drv.to_owned() }.into()),
    }
}

/// The paths that the derivation names as its inputs: those that nobody built, and the outputs of others.
async fn wanted(derivation: &Derivation, nix: &Nix, store: &Store) -> Result<Vec<String>, InputsError> {
    let mut wanted: Vec<String> = derivation.sources.iter().cloned().collect();
    for (drv, names) in &derivation.derivations {
        let (_, other) = read(drv, nix, store).await?;
        let path = |name: &String| match other.outputs.get(name) {
            Some(output) if !output.path.is_empty() => Ok(output.path.clone()),
            _ => Err(NixError::Input(format!("{drv}!{name}"))),
        };
        let paths = names.iter().map(path).collect::<Result<Vec<_>, _>>()?;
        absent(&paths, drv, nix, store).await?;
        wanted.extend(paths);
    }
    match wanted.iter().find(|path| names::split(path).is_none()) {
        Some(path) => Err(NixError::Input(path.chars().take(300).collect()).into()),
        None => Ok(wanted),
    }
}

/// All that is to be read.
struct Reading {
    store: Store,
    folder: String,
    drv: String,
    file: Vec<u8>,
    planned: Planned,
    closure: Vec<String>,
    outputs: Vec<String>,
    registered: BTreeMap<String, Registered>,
}

impl Reading {
    fn rebuildable(self) -> Result<Rebuildable, InputsError> {
        let recipe = self.planned.recipe.clone();
        let (derivation, size) = self.store.add_bytes(&self.file)?;
        let mut entries = BTreeMap::new();
        self.path(&self.drv, &mut entries)?;
        let is_it = |node: &Node| matches!(node, Node::File { digest, .. } if *digest == derivation);
        if !entries.values().all(is_it) {
            return Err(NixError::Input(self.drv.clone()).into());
        }
        let mut inputs = vec![Input {
            name: self.input_name(&self.drv)?,
            role: Role::Environment,
            purl: None,
            content: Content::File { digest: derivation, size },
        }];
        let mut paths = BTreeMap::new();
        for path in &self.closure {
            let mut entries = BTreeMap::new();
            self.path(path, &mut entries)?;
            paths.extend(entries.clone());
            inputs.push(self.tree(self.input_name(path)?, Role::Environment, entries)?);
        }
        inputs.push(self.source()?);
        let mut entries = BTreeMap::new();
        for path in &self.outputs {
            let mut one = BTreeMap::new();
            self.path(path, &mut one)?;
            entries.extend(one);
        }
        let (digest, size) = self.store.add_nar(&entries)?;
        let published = Published {
            purl: None,
            name: self.planned.nar.clone(),
            digest,
            size,
            derived: BTreeSet::new(),
            parts: BTreeSet::new(),
        };
        inputs.sort_by(|a, b| a.name.cmp(&b.name));
        let closure = Closure { store: self.folder };
        Ok(Rebuildable { recipe, inputs, published, closure, derivation: derivation.blake3, paths })
    }

    /// The files of one path, which has to be what Nix has registered.
    fn path(&self, path: &str, entries: &mut BTreeMap<TreePath, Node>) -> Result<(), InputsError> {
        let base = path.strip_prefix(self.folder.as_str()).and_then(|rest| rest.strip_prefix('/'));
        let base = TreePath::new(base.ok_or_else(|| NixError::Input(path.to_owned()))?).map_err(NixError::from)?;
        let at = PathBuf::from(&self.folder);
        let folder = File::open(&at).map_err(|source| InputsError::Io { path: at, source })?;
        self.store.add_path_at(folder.as_fd(), &base, IngestLimits::default(), entries)?;
        let (digest, _) = self.store.add_nar(entries)?;
        let Some(registered) = self.registered.get(path) else { return Err(NixError::Input(path.to_owned()).into()) };
        if registered.is(&digest.sha256) {
            return Ok(());
        }
        let (expected, actual) = (registered.said(), names::base32(&digest.sha256));
        Err(NixError::Changed { path: path.to_owned(), expected, actual }.into())
    }

    /// The folder that it is built in, with the files that Nix would write there, and the empty store.
    fn source(&self) -> Result<Input, InputsError> {
        let mut entries = BTreeMap::new();
        for name in Closure::FOLDERS {
            entries.insert(TreePath::new(name).map_err(NixError::from)?, Node::Directory { mode: 0o755 });
        }
        for (name, text) in &self.planned.files {
            let path = TreePath::new(format!("{}/{name}", Closure::FOLDERS[0])).map_err(NixError::from)?;
            let (digest, size) = self.store.add_bytes(text.as_bytes())?;
            entries.insert(path, Node::File { mode: 0o644, size, digest });
        }
        self.tree("source".to_owned().try_into()?, Role::Source, entries)
    }

    fn tree(&self, name: InputName, role: Role, entries: BTreeMap<TreePath, Node>) -> Result<Input, InputsError> {
        let tree = Tree::new(entries).map_err(NixError::from)?;
        let digest = self.store.save_tree(&tree)?;
        Ok(Input { name, role, purl: None, content: Content::Tree { digest } })
    }

    fn input_name(&self, path: &str) -> Result<InputName, InputsError> {
        let base = path.rsplit('/').next().unwrap_or_default();
        Ok(names::input_name(base).ok_or_else(|| NixError::Name(base.to_owned()))?)
    }
}

/// For fuzzing: the recipe of a derivation's bytes.
pub(crate) fn recipe_of(bytes: &[u8]) -> Result<Recipe, NixError> {
    let path = "/nix/store/00000000000000000000000000000000-a.drv".to_owned();
    let derivation = Derivation::parse(bytes).map_err(|source| NixError::Unread { path, source })?;
    Ok(recipe::plan(&derivation, "/nix/store", "00000000000000000000000000000000-a.drv")?.recipe)
}
