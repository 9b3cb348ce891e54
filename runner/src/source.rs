// SPDX-License-Identifier: Apache-2.0
//! A locked source as a list of files.

use std::time::Duration;

use reprove_model::{Content, DigestSet, Input, Lock, Node, Role, Tree, TreeError, TreePath};
use reprove_store::{Store, StoreError, UnpackError, UnpackLimits};
use thiserror::Error;

use crate::namespaces::{SourceEntry, SourceKind};

/// The files of a lock's source, each of which was read and has its digest.
#[derive(Clone, Debug)]
pub struct SourceFiles {
    /// Of the input that they are made of.
    digest: DigestSet,
    entries: Vec<SourceFile>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is, below the source.
    pub path: TreePath,
    /// What it is.
    pub node: Node,
    /// Its modification time, since 1970.
    pub modified: Duration,
}

/// Why a lock has no usable source.
#[derive(Debug, Error)]
pub enum SourceError {
    /// Not exactly one input has the role of the source.
    #[error("the lock has {0} sources; a build takes one")]
    Count(usize),
    /// The source is one file that is not to be unpacked.
    #[error("the lock's source, {0}, is a file that is not unpacked; it has to be an archive or a tree")]
    Plain(String),
    /// An output is there before anything is built.
    #[error(
        "`{0}` is in the source already, so a build that does nothing would look reproducible; delete it \
         (in a Git work tree, having Git ignore it does as well)"
    )]
    OutputInSource(String),
    /// What the archive holds makes no tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The archive can't be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The store does not have it, or not whole.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The modification time of every file of a source that is a tree, which has no times: 1980-01-01T00:00:00Z, the first
/// that zip archives can hold.
const TREE_TIME: Duration = Duration::from_secs(315_532_800);

impl SourceFiles {
    /// Finds the source of `lock` in the store, unpacks it where it is an archive, and reads all of it once.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn of(lock: &Lock, store: &Store) -> Result<Self, SourceError> {
        let sources: Vec<&Input> = lock.inputs.iter().filter(|input| input.role == Role::Source).collect();
        let [source] = sources.as_slice() else {
            return Err(SourceError::Count(sources.len()));
        };
        let entries: Vec<SourceFile> = match &source.content {
            Content::File { .. } => return Err(SourceError::Plain(source.name.to_string())),
            Content::Archive { digest, .. } => {
                store.verify_blob(&digest.blake3)?;
                let unpacked = store.unpack(&digest.blake3, UnpackLimits::default())?;
                let file = |(path, entry): (TreePath, reprove_store::UnpackedEntry)| SourceFile {
                    path,
                    node: entry.node,
                    modified: entry.modified,
                };
                unpacked.entries.into_iter().map(file).collect()
            }
            Content::Tree { digest } => {
                let tree = store.load_tree(&digest.blake3)?;
                let file = |(path, node): (&TreePath, &Node)| SourceFile {
                    path: path.clone(),
                    node: node.clone(),
                    modified: TREE_TIME,
                };
                tree.entries().iter().map(file).collect()
            }
        };
        let tree = Tree::new(entries.iter().map(|entry| (entry.path.clone(), entry.node.clone())).collect())?;
        if let Some(output) = lock.recipe.outputs.already_in(&tree) {
            return Err(SourceError::OutputInSource(output.into()));
        }
        for entry in &entries {
            if let Node::File { digest, .. } = &entry.node {
                store.verify_blob(&digest.blake3)?;
            }
        }
        Ok(Self { digest: *source.content.digest(), entries })
    }

    /// The digest of the input that these are the files of.
    #[must_use]
    pub fn digest(&self) -> &DigestSet {
        &self.digest
    }

    /// The files, sorted by path bytes.
    #[must_use]
    pub fn entries(&self) -> &[SourceFile] {
        &self.entries
    }

    /// They as they are made in a build directory, in this order.
    pub(crate) fn to_make(&self) -> Vec<SourceEntry> {
        self.entries.iter().map(|file| to_make(&file.path, &file.node, file.modified)).collect()
    }
}

/// One thing as it is made in a build directory.
pub(crate) fn to_make(path: &TreePath, node: &Node, modified: Duration) -> SourceEntry {
    let kind = match node {
        Node::Directory { mode } => SourceKind::Directory { mode: u32::from(*mode) },
        Node::Symlink { target } => SourceKind::Symlink { target: target.clone() },
        Node::File { mode, digest, .. } => {
            SourceKind::File { mode: u32::from(*mode), blob: Store::blob_name(&digest.blake3) }
        }
    };
    SourceEntry { path: path.clone(), kind, modified }
}
