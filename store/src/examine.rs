// SPDX-License-Identifier: Apache-2.0
//! Looking at all that a store holds: is each file what its name says, and is all there that something needs?

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use reprove_model::{Digest, canonical};

use crate::blobs::{CLOSED, io_error, make_directory};
use crate::collect::Inventory;
use crate::lock::{Held, Kind};
use crate::roots::{self, Root};
use crate::{Store, StoreError};

/// What is in a store, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// Files that were read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that check-outs share, which were read.
    pub shared: u64,
    /// Lists of trees that were read.
    pub trees: u64,
    /// Roots that were read.
    pub roots: u64,
    /// What is wrong, sorted.
    pub wrong: Vec<Wrong>,
    /// Where what is damaged, and what is not whole without it, was moved to.
    pub moved: Vec<PathBuf>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// A file in the store that is not what its name says.
    Damaged(PathBuf),
    /// A tree that lacks a file.
    TreeLacks {
        /// The tree.
        tree: Digest,
        /// The file.
        blob: Digest,
    },
    /// A root that keeps what is not there.
    RootLacks {
        /// The root's name.
        root: String,
        /// The file or the tree.
        digest: Digest,
    },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(path) => write!(f, "{}: damaged: not what its name says", path.display()),
            Self::TreeLacks { tree, blob } => write!(f, "the tree {tree} lacks the file {blob}"),
            Self::RootLacks { root, digest } => write!(f, "the root {root} keeps {digest}, which is not there"),
        }
    }
}

impl Store {
    /// Reads all that the store holds, however often other reads are checked. With `repair`, moves each file that is not
    /// what its name says to `damaged/`, under the same name, and with it each list of a tree that is not whole. A root that
    /// lacks something is copied there, and goes on keeping the rest. What is left is whole; what was lost has to be fetched
    /// or built anew.
    ///
    /// Holds the store's lock with others: a collection waits. What is to be moved is read once more with the lock alone,
    /// so that nothing goes that somebody has just replaced.
    ///
    /// # Errors
    /// [`StoreError::Busy`], [`StoreError::Io`]. What is wrong with the store is no error, but in [`Examined::wrong`].
    pub fn examine(&self, repair: bool) -> Result<Examined, StoreError> {
        let held = self.hold(Kind::WithOthers)?;
        let found = self.look(|_| true, |_| true)?;
        drop(held);
        let moved = if repair && !found.examined.wrong.is_empty() {
            let held = self.hold(Kind::Alone)?;
            let again = self.look(|digest| found.blobs.contains(digest), |path| found.shared.contains(path))?;
            self.set_aside(&again, &held)?
        } else {
            Vec::new()
        };
        Ok(Examined { moved, ..found.examined })
    }

    /// Reads all lists and roots, and those blobs and shared files that are asked for. Roots first, then what they need, so
    /// that what is added meanwhile lacks nothing.
    fn look(
        &self,
        blobs: impl Fn(&Digest) -> bool + Sync,
        shared: impl Fn(&Path) -> bool + Sync,
    ) -> Result<Found, StoreError> {
        let all = self.in_roots()?;
        let roots: Vec<(PathBuf, Option<Root>)> = all.into_iter().map(read_root).collect::<Result<_, StoreError>>()?;
        let there = Inventory::of(self)?;
        let bad: Vec<Digest> = there
            .blobs
            .par_iter()
            .filter(|(digest, _)| blobs(digest))
            .map(|(digest, _)| {
                let path = self.blob_path(digest);
                let found = crate::digest_file(&path).map_err(|e| io_error(&path, e))?;
                Ok((found != *digest).then_some(*digest))
            })
            .filter_map(Result::transpose)
            .collect::<Result<_, StoreError>>()?;
        let (bad_shared, shared) = self.damaged_shared(shared)?;
        let mut found = Found {
            examined: Examined {
                shared,
                blobs: there.blobs.len() as u64,
                bytes: there.blobs.values().sum(),
                trees: there.trees.len() as u64,
                ..Examined::default()
            },
            blobs: bad.into_iter().collect(),
            shared: bad_shared.into_iter().collect(),
            ..Found::default()
        };
        let mut wrong: BTreeSet<Wrong> =
            found.blobs.iter().map(|digest| Wrong::Damaged(self.blob_path(digest))).collect();
        wrong.extend(found.shared.iter().cloned().map(Wrong::Damaged));
        for tree in there.trees.keys() {
            let path = self.tree_path(tree);
            match self.read_tree(tree) {
                Ok(list) => {
                    let files: BTreeSet<_> = list.files().map(|(_, digests, _)| digests.blake3).collect();
                    if !files.iter().all(|blob| there.blobs.contains_key(blob) && !found.blobs.contains(blob)) {
                        found.trees.insert(*tree);
                    }
                    let lost = files.into_iter().filter(|blob| !there.blobs.contains_key(blob));
                    wrong.extend(lost.map(|blob| Wrong::TreeLacks { tree: *tree, blob }));
                }
                Err(StoreError::Damaged(_)) => {
                    wrong.insert(Wrong::Damaged(path));
                    found.trees.insert(*tree);
                }
                Err(error) => return Err(error),
            }
        }
        found.add_roots(roots, &there, &mut wrong);
        found.examined.wrong = wrong.into_iter().collect();
        Ok(found)
    }

    /// Moves what is not whole to `damaged/`: what needs something before that which it needs, so that nothing that is left
    /// comes to lack anything at any point. A root that lacks something goes on keeping the rest.
    fn set_aside(&self, found: &Found, _held: &Held) -> Result<Vec<PathBuf>, StoreError> {
        let folder = self.root().join("damaged");
        make_directory(&folder, CLOSED)?;
        let aside = |path: &Path| {
            let below = path.strip_prefix(self.root()).unwrap_or(path);
            folder.join(below.to_string_lossy().replace('/', "-"))
        };
        let mut moved = Vec::new();
        for (path, whole) in &found.roots {
            let (to, fail) = (aside(path), |e| io_error(path, e));
            match (whole, roots::name_of(path)) {
                (Some(whole), Some(name)) => {
                    fs::copy(path, &to).map_err(fail)?;
                    let bytes = canonical::to_vec(whole).map_err(|e| fail(io::Error::other(e)))?;
                    self.draft_of(&bytes)?.name(&format!("roots/{name}.json"))?;
                }
                _ => fs::rename(path, &to).map_err(fail)?,
            }
            moved.push(to);
        }
        self.sync_folder("roots")?;
        for path in found.trees.iter().map(|digest| self.tree_path(digest)) {
            let to = aside(&path);
            fs::rename(&path, &to).map_err(|e| io_error(&path, e))?;
            moved.push(to);
        }
        self.sync_folder("trees")?;
        for path in found.blobs.iter().map(|digest| self.blob_path(digest)).chain(found.shared.iter().cloned()) {
            let to = aside(&path);
            fs::rename(&path, &to).map_err(|e| io_error(&path, e))?;
            moved.push(to);
        }
        Ok(moved)
    }
}

impl Found {
    /// Adds what roots lack, once it is known which blobs and trees are whole.
    fn add_roots(&mut self, roots: Vec<(PathBuf, Option<Root>)>, there: &Inventory, wrong: &mut BTreeSet<Wrong>) {
        for (path, root) in roots {
            let (Some(name), Some(root)) = (roots::name_of(&path), root) else {
                wrong.insert(Wrong::Damaged(path.clone()));
                self.roots.insert(path, None);
                continue;
            };
            self.examined.roots += 1;
            let is_there = |digest: &&Digest| there.blobs.contains_key(digest) || there.trees.contains_key(digest);
            let named = root.blobs.iter().chain(&root.trees);
            let lost = named.filter(|digest| !is_there(digest));
            wrong.extend(lost.map(|digest| Wrong::RootLacks { root: name.to_owned(), digest: *digest }));
            let mut whole = root.clone();
            whole.blobs.retain(|blob| there.blobs.contains_key(blob) && !self.blobs.contains(blob));
            whole.trees.retain(|tree| there.trees.contains_key(tree) && !self.trees.contains(tree));
            if whole != root {
                self.roots.insert(path, Some(whole));
            }
        }
    }
}

/// A root; none where it is not one.
fn read_root(path: PathBuf) -> Result<(PathBuf, Option<Root>), StoreError> {
    match roots::name_of(&path).map(|_| roots::read(&path)) {
        Some(Ok(root)) => Ok((path, Some(root))),
        None | Some(Err(StoreError::BadRoot { .. })) => Ok((path, None)),
        Some(Err(error)) => Err(error),
    }
}

/// What was found, and what of it is not whole: damaged itself, or in need of what is damaged or missing.
#[derive(Default)]
struct Found {
    examined: Examined,
    blobs: BTreeSet<Digest>,
    shared: BTreeSet<PathBuf>,
    trees: BTreeSet<Digest>,
    /// Each with what is left of it, where it is a root at all.
    roots: BTreeMap<PathBuf, Option<Root>>,
}
