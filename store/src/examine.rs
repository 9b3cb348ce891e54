// SPDX-License-Identifier: Apache-2.0
//! Looking at all that a store holds: is each file what its name says, and is all there that something needs?

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use reprove_model::{Digest, Tree};

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
    /// Where what is damaged was moved to.
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
    /// what its name says to `damaged/`, under the same name; what was lost has to be fetched or built anew.
    ///
    /// Holds the store's lock with others: a collection waits.
    ///
    /// # Errors
    /// [`StoreError::Busy`], [`StoreError::Io`]. What is wrong with the store is no error, but in [`Examined::wrong`].
    pub fn examine(&self, repair: bool) -> Result<Examined, StoreError> {
        let held = self.hold(Kind::WithOthers)?;
        let there = Inventory::of(self)?;
        let bad: Vec<Option<Digest>> = there
            .blobs
            .par_iter()
            .map(|(digest, _)| {
                let path = self.blob_path(digest);
                let found = crate::digest_file(&path).map_err(|e| io_error(&path, e))?;
                Ok((found != *digest).then_some(*digest))
            })
            .collect::<Result<_, StoreError>>()?;
        let bad: BTreeSet<Digest> = bad.into_iter().flatten().collect();
        let mut examined = Examined {
            blobs: there.blobs.len() as u64,
            bytes: there.blobs.values().sum(),
            trees: there.trees.len() as u64,
            ..Examined::default()
        };
        let mut wrong: BTreeSet<Wrong> = bad.iter().map(|digest| Wrong::Damaged(self.blob_path(digest))).collect();
        let is_there = |digest: &Digest| there.blobs.contains_key(digest);
        for tree in there.trees.keys() {
            match self.whole_tree(tree)? {
                None => drop(wrong.insert(Wrong::Damaged(self.tree_path(tree)))),
                Some(list) => {
                    let lost = list.files().map(|(_, digests, _)| digests.blake3).filter(|blob| !is_there(blob));
                    wrong.extend(lost.map(|blob| Wrong::TreeLacks { tree: *tree, blob }));
                }
            }
        }
        for (name, path) in self.root_files_or_damaged(&mut wrong)? {
            examined.roots += 1;
            let root = match roots::read(&path) {
                Ok(root) => root,
                Err(StoreError::BadRoot { path, .. }) => {
                    wrong.insert(Wrong::Damaged(path));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let blobs = root.blobs.iter().filter(|digest| !is_there(digest));
            let lost = blobs.chain(root.trees.iter().filter(|digest| !there.trees.contains_key(digest)));
            wrong.extend(lost.map(|digest| Wrong::RootLacks { root: name.clone(), digest: *digest }));
        }
        if repair {
            for found in &wrong {
                if let Wrong::Damaged(path) = found {
                    examined.moved.push(self.set_aside(path, &held)?);
                }
            }
        }
        examined.wrong = wrong.into_iter().collect();
        Ok(examined)
    }

    /// The tree of a list, where it is one.
    fn whole_tree(&self, digest: &Digest) -> Result<Option<Tree>, StoreError> {
        match self.read_tree(digest) {
            Ok(tree) => Ok(Some(tree)),
            Err(StoreError::Damaged(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn root_files_or_damaged(&self, wrong: &mut BTreeSet<Wrong>) -> Result<Vec<(String, PathBuf)>, StoreError> {
        match self.root_files() {
            Ok(files) => Ok(files.into_iter().collect()),
            Err(StoreError::BadRoot { path, .. }) => {
                wrong.insert(Wrong::Damaged(path));
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    fn set_aside(&self, path: &Path, _held: &Held) -> Result<PathBuf, StoreError> {
        let folder = self.root().join("damaged");
        make_directory(&folder, CLOSED)?;
        let below = path.strip_prefix(self.root()).unwrap_or(path);
        let name = below.to_string_lossy().replace('/', "-");
        let to = folder.join(name);
        match fs::rename(path, &to) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error(path, e)),
            Ok(()) | Err(_) => Ok(to),
        }
    }
}
