// SPDX-License-Identifier: Apache-2.0
//! Trees: the files below one directory, without owners or times, and their canonical digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Digest, DigestSet, LinkTarget, TreePath};

/// One thing in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type", deny_unknown_fields)]
pub enum Node {
    /// A regular file.
    File {
        /// Permission bits, the lower twelve.
        mode: u16,
        /// Bytes.
        size: u64,
        /// Of its content.
        digest: DigestSet,
    },
    /// A directory.
    Directory {
        /// Permission bits, the lower twelve.
        mode: u16,
    },
    /// A symbolic link; its permission bits mean nothing on Linux and are not kept.
    Symlink {
        /// What it points at, as written.
        target: LinkTarget,
    },
}

/// The files below one directory. Every entry's directory is itself an entry, and the root is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Tree {
    entries: BTreeMap<TreePath, Node>,
}

/// Why entries make no tree.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TreeError {
    /// An entry whose directory is missing, or is not a directory.
    #[error("{0} is in the tree, but the directory that holds it is not")]
    NoParent(TreePath),
    /// More permission bits than twelve.
    #[error("{0} has the mode {1:o}; the most is 7777")]
    Mode(TreePath, u16),
}

impl Tree {
    /// The most entries in one tree.
    pub const MAX_ENTRIES: usize = 1_000_000;

    /// The most bytes of a tree as a canonical document: 1,000,000 entries whose paths have up to some 300 bytes.
    pub const MAX_BYTES: usize = 512 << 20;

    /// Makes a tree of `entries`.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn new(entries: BTreeMap<TreePath, Node>) -> Result<Self, TreeError> {
        for (path, node) in &entries {
            if let Some(parent) = path.parent()
                && !matches!(entries.get(&parent), Some(Node::Directory { .. }))
            {
                return Err(TreeError::NoParent(path.clone()));
            }
            if let Node::File { mode, .. } | Node::Directory { mode } = node
                && *mode > 0o7777
            {
                return Err(TreeError::Mode(path.clone(), *mode));
            }
        }
        Ok(Self { entries })
    }

    /// The entries, sorted by path bytes.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<TreePath, Node> {
        &self.entries
    }

    /// The files alone, sorted by path bytes: path, digests, size in bytes.
    pub fn files(&self) -> impl Iterator<Item = (&TreePath, &DigestSet, u64)> {
        self.entries.iter().filter_map(|(path, node)| match node {
            Node::File { digest, size, .. } => Some((path, digest, *size)),
            Node::Directory { .. } | Node::Symlink { .. } => None,
        })
    }

    /// The canonical list that the tree's digest is over; see [`Listing`].
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut listing = Listing::default();
        for (path, node) in &self.entries {
            match node {
                Node::File { mode, size, digest } => listing.file(path, *mode, *size, &digest.blake3),
                Node::Directory { mode } => listing.directory(path, *mode),
                Node::Symlink { target } => listing.symlink(path, target),
            }
        }
        listing.0
    }

    /// The tree's identity: both digests of [`Tree::canonical_bytes`].
    #[must_use]
    pub fn digest(&self) -> DigestSet {
        DigestSet::of(&self.canonical_bytes())
    }
}

/// The canonical list of a tree, written entry by entry in the order of path bytes.
///
/// `reprove tree v1\n`, then for each entry these fields with nothing between them: the type (`f`, `d` or `l`), the
/// permission bits (`u16`; absent for a link), the path, for a file its size (`u64`) and its BLAKE3 digest (32 bytes), for
/// a link its target. Paths and targets are a `u32` length and the bytes. All integers are little endian.
#[derive(Clone, Debug)]
pub struct Listing(Vec<u8>);

impl Default for Listing {
    fn default() -> Self {
        Self(b"reprove tree v1\n".to_vec())
    }
}

impl Listing {
    /// Adds a regular file.
    pub fn file(&mut self, path: &TreePath, mode: u16, size: u64, digest: &Digest) {
        self.head(b'f', Some(mode), path);
        self.0.extend_from_slice(&size.to_le_bytes());
        self.0.extend_from_slice(digest.as_bytes());
    }

    /// Adds a directory.
    pub fn directory(&mut self, path: &TreePath, mode: u16) {
        self.head(b'd', Some(mode), path);
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &TreePath, target: &LinkTarget) {
        self.head(b'l', None, path);
        self.text(target.as_bytes());
    }

    /// Both digests of the list.
    #[must_use]
    pub fn digest(&self) -> DigestSet {
        DigestSet::of(&self.0)
    }

    fn head(&mut self, kind: u8, mode: Option<u16>, path: &TreePath) {
        self.0.push(kind);
        if let Some(mode) = mode {
            self.0.extend_from_slice(&mode.to_le_bytes());
        }
        self.text(path.as_bytes());
    }

    /// Paths and targets have at most 4095 bytes, so the length always fits.
    fn text(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(bytes);
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(BTreeMap::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn node() -> impl Strategy<Value = Node> {
        prop_oneof![
            (0u16..0o10000, any::<u64>(), any::<[u8; 4]>()).prop_map(|(mode, size, bytes)| Node::File {
                mode,
                size: size >> 11,
                digest: DigestSet::of(&bytes)
            }),
            (0u16..0o10000).prop_map(|mode| Node::Directory { mode }),
            "[a-z/]{1,9}".prop_map(|target| Node::Symlink { target: target.parse().unwrap() }),
        ]
    }

    fn tree() -> impl Strategy<Value = Tree> {
        proptest::collection::btree_map("[a-c]{1,3}", node(), 0..8)
            .prop_map(|entries| Tree::new(entries.into_iter().map(|(k, v)| (path(&k), v)).collect()).unwrap())
    }

    proptest! {
        /// Unequal trees have unequal canonical lists: no two ways to read one list.
        #[test]
        fn the_canonical_list_tells_trees_apart(a in tree(), b in tree()) {
            prop_assert_eq!(a == b, a.canonical_bytes() == b.canonical_bytes());
        }

        #[test]
        fn json_keeps_the_digest(tree in tree()) {
            let json = crate::canonical::to_vec(&tree).unwrap();
            let back: Tree = crate::canonical::from_slice(&json).unwrap();
            prop_assert_eq!(back.digest(), tree.digest());
        }
    }

    /// Written out by hand from the definition, so that a change of the format can't pass unseen.
    #[test]
    fn known_answer() {
        let digest = DigestSet::of(b"hi\n");
        let entries = [
            (path("d"), Node::Directory { mode: 0o755 }),
            (path("d/f"), Node::File { mode: 0o644, size: 3, digest }),
            (path("d/l"), Node::Symlink { target: "f".parse().unwrap() }),
        ];
        let tree = Tree::new(entries.into()).unwrap();
        let expected = [
            b"reprove tree v1\n".as_slice(),
            b"d\xed\x01\x01\0\0\0d",
            b"f\xa4\x01\x03\0\0\0d/f\x03\0\0\0\0\0\0\0",
            digest.blake3.as_bytes(),
            b"l\x03\0\0\0d/l\x01\0\0\0f",
        ]
        .concat();
        assert_eq!(tree.canonical_bytes(), expected);
        assert_eq!(
            tree.digest().blake3.to_string(),
            "b0dc42c22b3908582958fb89f73e54d0b168842cf558c17d0ac78c1d49ecfc88"
        );
    }

    #[test]
    fn an_entry_needs_its_directory() {
        let file = Node::File { mode: 0o644, size: 0, digest: DigestSet::of(b"") };
        assert_eq!(Tree::new([(path("a/b"), file.clone())].into()), Err(TreeError::NoParent(path("a/b"))));
        assert!(Tree::new([(path("a"), file.clone()), (path("a/b"), file.clone())].into()).is_err());
        assert!(Tree::new([(path("a"), Node::Directory { mode: 0o7777 }), (path("a/b"), file)].into()).is_ok());
        assert!(Tree::new([(path("a"), Node::Directory { mode: 0o10000 })].into()).is_err());
    }
}
