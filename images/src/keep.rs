// SPDX-License-Identifier: Apache-2.0
//! Environments that were made, in the store's folder `environments`: for each key, which is made of what they are made of, a
//! folder with the files and a list that says which tree they are.

mod collect;
mod examine;

pub use collect::collect;
pub use examine::{ExaminedEnvironments, examine};

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::geteuid;
use reprove_model::{
    Digest, DigestSet, Environment, InvalidTreePath, LockedEnvironment, Node, PackageLock, Tree, TreeError,
};
use reprove_store::{
    CheckOutError, Fingerprint, HashTreeError, SetId, Skip, Store, StoreError, Use, hash_tree, stat_fingerprint,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::host::is_left_out;
use crate::{RootFilesystem, closure, debian, oci};

/// Why an environment can't be kept, or used.
#[derive(Debug, Error)]
pub enum KeepError {
    /// The tree lacks a directory that every system has.
    #[error("the installed packages make no system: there is no /{0}")]
    NoSystem(&'static str),
    /// A tree whose top can't be that of a system.
    #[error("it has {0:?} at its top, which no environment can have there")]
    Top(String),
    /// A path that no tree can hold.
    #[error(transparent)]
    Path(#[from] InvalidTreePath),
    /// What is to be kept makes no tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// What was written is not what was to be.
    #[error("{}: what was written there is not the environment that was installed; is something else writing there?", .0.display())]
    Other(PathBuf),
    /// The files can't be written.
    #[error(transparent)]
    CheckOut(#[from] CheckOutError),
    /// The files can't be read.
    #[error(transparent)]
    Hash(#[from] HashTreeError),
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What is kept beside an environment's files.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    tree: DigestSet,
    /// With all change times.
    fingerprint: Digest,
    /// Which folders of it the tree is of; all that there is at its top, where none are named.
    parts: Vec<String>,
    /// What it is made of. It goes when one of these does.
    members: Vec<Digest>,
    /// The links in `/`, and what each points at.
    links: Vec<(String, String)>,
}

/// The store's folder for environments.
const FOLDER: &str = "environments";
/// The most bytes of a list: 67 for each member, and those of links.
const MAX_LIST: u64 = (64 << 10) + 67 * PackageLock::MAX_PACKAGES as u64;

/// What an environment is made of, and what is made of that.
pub(crate) struct Making {
    /// What names it before it is made.
    pub(crate) key: Digest,
    /// The blobs that it is made of. It goes when one of these does.
    pub(crate) members: Vec<Digest>,
    /// What it looks like.
    pub(crate) shape: Shape,
}

/// What every environment of one kind looks like, whatever is in it.
pub(crate) struct Shape {
    /// Which folders it has, by their paths below `/`; those that are not there are none of it. All that there are, where none
    /// are named: then the links at its top are part of it as well.
    pub(crate) parts: Option<Vec<String>>,
    /// The time of all its files.
    pub(crate) time: u64,
    /// Small files that it has besides.
    pub(crate) files: Vec<(String, String)>,
}

impl Shape {
    /// That of environments of this kind; none of a machine's `/usr`, which is not kept.
    pub(crate) fn of(kind: &Environment) -> Option<Self> {
        match kind {
            Environment::HostUsr => None,
            Environment::Debian(_) => Some(debian::keep::shape()),
            Environment::Image(_) => Some(oci::shape()),
            Environment::Closure(closure) => Some(closure::shape(closure)),
        }
    }
}

/// The folder that all files of a kept environment are in; the one that is not where it should be where there is none.
pub(crate) fn folder_of(root: &RootFilesystem) -> Result<PathBuf, PathBuf> {
    let mut folders = root.binds.iter().map(|(outside, inside)| {
        let count = Path::new(inside).components().count().saturating_sub(1);
        let folder = outside.ancestors().nth(count).ok_or_else(|| outside.clone())?;
        let is_below = folder.join(inside.trim_start_matches('/')) == *outside;
        if is_below { Ok(folder) } else { Err(outside.clone()) }
    });
    let folder = folders.next().unwrap_or_else(|| Err(PathBuf::new()))?.to_owned();
    match folders.find(|other| *other != Ok(&folder)) {
        Some(_) => Err(folder),
        None => Ok(folder),
    }
}

struct Place {
    folder: PathBuf,
    files: PathBuf,
    list: PathBuf,
}

impl Place {
    fn of(store: &Store, key: &Digest) -> Self {
        let folder = store.root().join(FOLDER);
        Self { files: folder.join(key.to_string()), list: folder.join(format!("{key}.json")), folder }
    }

    /// Held while something is named in the folder, so that one waits until another has made what both want.
    fn lock(&self) -> Result<File, KeepError> {
        fs::create_dir_all(&self.folder).map_err(at(&self.folder))?;
        let lock = File::create(self.folder.join("lock")).map_err(at(&self.folder))?;
        lock.lock().map_err(at(&self.folder))?;
        Ok(lock)
    }

    /// All of them that have files or a list, sorted.
    fn all(store: &Store) -> Result<Vec<Self>, KeepError> {
        let folder = store.root().join(FOLDER);
        let keys =
            names(&folder)?.into_iter().filter_map(|name| name.strip_suffix(".json").unwrap_or(&name).parse().ok());
        let keys: BTreeSet<Digest> = keys.collect();
        Ok(keys.iter().map(|key| Self::of(store, key)).collect())
    }

    /// What is directly in it, by name, sorted, and whether it is a directory.
    #[expect(clippy::disallowed_methods, reason = "it is sorted")]
    fn top(&self) -> Result<Vec<(String, PathBuf, bool)>, KeepError> {
        let mut top = Vec::new();
        // The list may be there, and the files be gone.
        if !self.files.is_dir() {
            return Ok(top);
        }
        for entry in fs::read_dir(&self.files).map_err(at(&self.files))? {
            let entry = entry.map_err(at(&self.files))?;
            let is_directory = entry.file_type().map_err(at(&self.files))?.is_dir();
            let name = entry.file_name().into_string();
            let name = name.map_err(|name| KeepError::Top(name.to_string_lossy().into_owned()))?;
            top.push((name, entry.path(), is_directory));
        }
        top.sort();
        Ok(top)
    }

    fn write(&self, store: &Store, kept: &Kept) -> Result<(), KeepError> {
        let json = serde_json::to_vec(kept).map_err(|e| at(&self.list)(e.into()))?;
        let temporary = store.temp_file()?;
        fs::write(temporary.path(), json).map_err(at(&self.list))?;
        temporary.persist(&self.list).map(drop).map_err(|e| at(&self.list)(e.error))
    }
}

/// An environment's place, with its parts.
pub(crate) struct Parts {
    place: Place,
    /// As a list has them.
    named: Vec<String>,
}

impl Parts {
    fn of(store: &Store, making: &Making) -> Self {
        Self { place: Place::of(store, &making.key), named: making.shape.parts.clone().unwrap_or_default() }
    }

    /// Of what is in `files`, where nothing was kept.
    pub(crate) fn within(files: &Path, shape: &Shape) -> Self {
        let place = Place { folder: files.into(), files: files.into(), list: PathBuf::new() };
        Self { place, named: shape.parts.clone().unwrap_or_default() }
    }

    /// What is directly below `/`, with whether it is a folder.
    pub(crate) fn top(&self) -> Result<Vec<(String, PathBuf, bool)>, KeepError> {
        self.place.top()
    }

    /// What is directly below `/`, or named, with whether it is a folder.
    fn all(&self) -> Result<Vec<(String, PathBuf, bool)>, KeepError> {
        if self.named.is_empty() {
            return self.place.top();
        }
        let parts = self.named.iter().map(|name| (name.clone(), self.place.files.join(name), true));
        Ok(parts.filter(|(_, path, _)| path.is_dir()).collect())
    }

    /// The folders of it, by their names.
    pub(crate) fn folders(&self) -> Result<Vec<(String, PathBuf)>, KeepError> {
        let all = self.all()?.into_iter().filter(|(_, _, is_folder)| *is_folder);
        Ok(all.map(|(name, path, _)| (name, path)).collect())
    }

    /// Of the folders.
    fn fingerprint(&self) -> Result<Fingerprint, KeepError> {
        let roots = self.folders()?;
        let roots: Vec<(&str, &Path)> = roots.iter().map(|(name, path)| (name.as_str(), path.as_path())).collect();
        Ok(stat_fingerprint(&roots, &is_left_out)?.0)
    }

    pub(crate) fn digest(&self) -> Result<DigestSet, KeepError> {
        self.digest_but_for(&is_left_out)
    }

    /// The digest without what `skip` says yes to.
    pub(crate) fn digest_but_for(&self, skip: Skip<'_>) -> Result<DigestSet, KeepError> {
        let roots = self.all()?;
        let roots: Vec<(&str, &Path)> = roots.iter().map(|(name, path, _)| (name.as_str(), path.as_path())).collect();
        Ok(hash_tree(&roots, skip)?)
    }

    /// What is there, where it is still what it was, with the fingerprint that it was found so with. The lock is held.
    fn current(&self, store: &Store) -> Result<Option<(Kept, Fingerprint)>, KeepError> {
        let Some(kept) = read(&self.place.list)? else { return Ok(None) };
        let now = self.fingerprint()?;
        if now.all == kept.fingerprint {
            return Ok(Some((kept, now)));
        }
        if self.digest()? != kept.tree || self.fingerprint()? != now {
            return Ok(None);
        }
        let kept = Kept { fingerprint: now.all, ..kept };
        self.place.write(store, &kept)?;
        Ok(Some((kept, now)))
    }

    fn root(
        &self,
        making: &Making,
        locked: LockedEnvironment,
        links: Vec<(String, String)>,
        fingerprint: Fingerprint,
    ) -> Result<RootFilesystem, KeepError> {
        let binds = self.folders()?.into_iter().map(|(name, path)| (path, format!("/{name}"))).collect();
        let files = making.shape.files.clone();
        Ok(RootFilesystem { locked, fingerprint, binds, hidden: Vec::new(), links, files })
    }
}

/// Keeps the files of an environment, in place of what was there, unless that is the same. `links` are those in `/`; `locked`
/// is what locks are to call it.
///
/// # Errors
/// See [`KeepError`].
pub(crate) fn keep(
    store: &Store,
    making: &Making,
    links: Vec<(String, String)>,
    tree: &Tree,
    locked: LockedEnvironment,
) -> Result<RootFilesystem, KeepError> {
    let parts = Parts::of(store, making);
    let place = &parts.place;
    let _lock = place.lock()?;
    // Somebody may have made it meanwhile, and build in it now.
    if let Some((kept, found)) = parts.current(store)?.filter(|(kept, _)| kept.tree == locked.digest) {
        return parts.root(making, locked, kept.links, found);
    }
    let made = store.temp_dir()?;
    let folder = File::open(made.path()).map_err(at(made.path()))?;
    let what_for = Use::Shared { time: making.shape.time };
    store.check_out(tree, folder.into(), what_for, SetId::Refuse, &AtomicBool::new(false))?;
    for (path, _) in tree.entries().iter().rev().filter(|(_, node)| !matches!(node, Node::File { .. })) {
        set_time(&made.path().join(OsStr::from_bytes(path.as_bytes())), making.shape.time)?;
    }
    remove(place)?;
    fs::rename(made.keep(), &place.files).map_err(at(&place.files))?;
    let fingerprint = parts.fingerprint()?;
    if parts.digest()? != locked.digest {
        return Err(KeepError::Other(parts.place.files));
    }
    let (members, named) = (making.members.clone(), parts.named.clone());
    let kept = Kept { tree: locked.digest, fingerprint: fingerprint.all, parts: named, members, links: links.clone() };
    place.write(store, &kept)?;
    parts.root(making, locked, links, fingerprint)
}

/// The environment, where it was kept and is still what it was. `locked` gives what locks are to call one with this tree.
///
/// # Errors
/// See [`KeepError`].
pub(crate) fn kept(
    store: &Store,
    making: &Making,
    locked: impl FnOnce(DigestSet) -> LockedEnvironment,
) -> Result<Option<RootFilesystem>, KeepError> {
    let parts = Parts::of(store, making);
    let _lock = parts.place.lock()?;
    let Some((kept, found)) = parts.current(store)? else { return Ok(None) };
    parts.root(making, locked(kept.tree), kept.links, found).map(Some)
}

/// What is directly in a folder, where there is one.
#[expect(clippy::disallowed_methods, reason = "the caller sorts them")]
fn names(folder: &Path) -> Result<Vec<String>, KeepError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(at(folder))?;
    Ok(entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

fn read(list: &Path) -> Result<Option<Kept>, KeepError> {
    match fs::metadata(list) {
        Ok(metadata) if metadata.len() <= MAX_LIST => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(list)(error)),
    }
    // One that can't be read is one that was not kept: it is made again.
    Ok(serde_json::from_slice(&fs::read(list).map_err(at(list))?).ok())
}

/// Removes what is there. The list goes first: it says that the files are whole.
fn remove(place: &Place) -> Result<(), KeepError> {
    make_removable(&place.files)?;
    for removed in [fs::remove_file(&place.list), fs::remove_dir_all(&place.files)] {
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&place.files)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Who is not root can remove nothing from a folder that has no write permission.
#[expect(clippy::disallowed_methods, reason = "the order shows nowhere")]
fn make_removable(folder: &Path) -> Result<(), KeepError> {
    if geteuid().is_root() || !folder.is_dir() {
        return Ok(());
    }
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(at(&folder))?;
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let entry = entry.map_err(at(&folder))?;
            if entry.file_type().map_err(at(&folder))?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

fn set_time(path: &Path, time: u64) -> Result<(), KeepError> {
    let time = TimeSpec::new(i64::try_from(time).unwrap_or(i64::MAX), 0);
    utimensat(AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink).map_err(|e| at(path)(e.into()))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> KeepError {
    let path = path.to_owned();
    move |source| KeepError::Io { path, source }
}

#[cfg(test)]
mod tests;
