// SPDX-License-Identifier: Apache-2.0
//! Looking at all that a store holds: is each file what its name says, and is all there that something needs?

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use rayon::prelude::*;
use reprove_model::Digest;

use crate::blobs::{CLOSED, io_error, make_directory};
use crate::collect::Inventory;
use crate::lock::{Held, Kind};
use crate::roots;
use crate::{Store, StoreError};

/// What is in a store, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// Files that were read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
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
    /// what its name says to `damaged/`, under the same name, and with it each list of a tree and each root that is not
    /// whole: what is left is. What was lost has to be fetched or built anew.
    ///
    /// Holds the store's lock with others: a collection waits. What is to be moved is read once more with the lock alone,
    /// so that nothing goes that somebody has just replaced.
    ///
    /// # Errors
    /// [`StoreError::Busy`], [`StoreError::Io`]. What is wrong with the store is no error, but in [`Examined::wrong`].
    pub fn examine(&self, repair: bool) -> Result<Examined, StoreError> {
        let held = self.hold(Kind::WithOthers)?;
        let found = self.look(|_| true)?;
        drop(held);
        let moved = if repair && !found.examined.wrong.is_empty() {
            let held = self.hold(Kind::Alone)?;
            self.set_aside(&self.look(|digest| found.blobs.contains(digest))?, &held)?
        } else {
            Vec::new()
        };
        Ok(Examined { moved, ..found.examined })
    }

    /// Reads all lists and roots, and those blobs that are asked for.
    fn look(&self, blobs: impl Fn(&Digest) -> bool + Sync) -> Result<Found, StoreError> {
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
        let mut found = Found {
            examined: Examined {
                blobs: there.blobs.len() as u64,
                bytes: there.blobs.values().sum(),
                trees: there.trees.len() as u64,
                ..Examined::default()
            },
            blobs: bad.into_iter().collect(),
            ..Found::default()
        };
        let mut wrong: BTreeSet<Wrong> =
            found.blobs.iter().map(|digest| Wrong::Damaged(self.blob_path(digest))).collect();
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
        for path in self.in_roots()? {
            let Some(name) = roots::name_of(&path) else {
                wrong.insert(Wrong::Damaged(path.clone()));
                found.roots.insert(path);
                continue;
            };
            found.examined.roots += 1;
            let root = match roots::read(&path) {
                Ok(root) => root,
                Err(StoreError::BadRoot { .. }) => {
                    wrong.insert(Wrong::Damaged(path.clone()));
                    found.roots.insert(path);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if root.blobs.iter().any(|blob| !there.blobs.contains_key(blob) || found.blobs.contains(blob))
                || root.trees.iter().any(|tree| !there.trees.contains_key(tree) || found.trees.contains(tree))
            {
                found.roots.insert(path.clone());
            }
            let blobs = root.blobs.iter().filter(|digest| !there.blobs.contains_key(digest));
            let lost = blobs.chain(root.trees.iter().filter(|digest| !there.trees.contains_key(digest)));
            wrong.extend(lost.map(|digest| Wrong::RootLacks { root: name.to_owned(), digest: *digest }));
        }
        found.examined.wrong = wrong.into_iter().collect();
        Ok(found)
    }

    /// Moves what is not whole to `damaged/`: what needs something before that which it needs, so that nothing that is left
    /// comes to lack anything at any point.
    fn set_aside(&self, found: &Found, _held: &Held) -> Result<Vec<PathBuf>, StoreError> {
        let folder = self.root().join("damaged");
        make_directory(&folder, CLOSED)?;
        let trees = found.trees.iter().map(|digest| self.tree_path(digest));
        let blobs = found.blobs.iter().map(|digest| self.blob_path(digest));
        let mut moved = Vec::new();
        for path in found.roots.iter().cloned().chain(trees).chain(blobs) {
            let below = path.strip_prefix(self.root()).unwrap_or(&path);
            let to = folder.join(below.to_string_lossy().replace('/', "-"));
            fs::rename(&path, &to).map_err(|e| io_error(&path, e))?;
            moved.push(to);
        }
        Ok(moved)
    }
}

/// What was found, and what of it is not whole: damaged itself, or in need of what is damaged or missing.
#[derive(Default)]
struct Found {
    examined: Examined,
    blobs: BTreeSet<Digest>,
    trees: BTreeSet<Digest>,
    roots: BTreeSet<PathBuf>,
}
