// SPDX-License-Identifier: Apache-2.0
//! Sources of projects, on their way from whoever asks to whoever builds: a tar archive (POSIX.1-2017, ustar, with GNU's
//! extensions for long names) with one directory at its top, in zstd (RFC 8878). What counts is the tree in it, by its digest.

use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use reprove_attest::{Annotations, ResourceDescriptor};
use reprove_model::{Digest, Node, Role, Tree, TreeError, TreePath};
use reprove_store::{Store, StoreError, UnpackError, UnpackLimits};
use thiserror::Error;

/// The largest archive, in bytes.
pub const MAX_SOURCE: usize = 64 << 20;

/// What an archive may hold: files and directories, and bytes once it is unpacked.
const LIMITS: UnpackLimits = UnpackLimits { entries: 100_000, bytes: 1 << 30 };

/// The directory at the top. Its name is no part of the tree.
const TOP: &str = "source";

/// Why a source can't be sent, or taken.
#[derive(Debug, Error)]
pub enum SourceError {
    /// Larger than [`MAX_SOURCE`].
    #[error("the source is larger than {} MiB, once it is packed", MAX_SOURCE >> 20)]
    TooLarge,
    /// It is no archive that can be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// It has something in it that no tree can.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Another tree is in it.
    #[error("the source in it has the digest {found}, and not {wanted}")]
    Other {
        /// What was wanted.
        wanted: String,
        /// What came.
        found: String,
    },
    /// It can't be written.
    #[error("the source can't be packed: {0}")]
    Pack(#[from] io::Error),
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The digest of the one source tree among what was locked.
pub(crate) fn among(dependencies: &[ResourceDescriptor]) -> Option<Digest> {
    let is_source = |dependency: &&ResourceDescriptor| {
        matches!(dependency.annotations, Some(Annotations::Tree { role: Role::Source }))
    };
    let mut sources = dependencies.iter().filter(is_source);
    let found = sources.next().map(|source| source.digest.blake3);
    found.filter(|_| sources.next().is_none())
}

/// A tree as it comes out of an archive: nobody but its owner may write, who may read all of it.
///
/// # Errors
/// None, of a tree that is one.
pub fn portable(tree: &Tree) -> Result<Tree, TreeError> {
    let node = |node: &Node| match node.clone() {
        Node::File { mode, size, digest } => Node::File { mode: mode & 0o755 | 0o400, size, digest },
        Node::Directory { mode } => Node::Directory { mode: mode & 0o755 | 0o700 },
        other => other,
    };
    Tree::new(tree.entries().iter().map(|(path, of)| (path.clone(), node(of))).collect())
}

/// Packs a tree whose files are in `store`. The same tree gives the same bytes.
///
/// # Errors
/// See [`SourceError`].
pub fn pack(store: &Store, tree: &Tree) -> Result<Vec<u8>, SourceError> {
    let to = zstd::Encoder::new(Bounded(Vec::new()), zstd::DEFAULT_COMPRESSION_LEVEL)?;
    let mut archive = tar::Builder::new(to);
    archive.append_data(&mut header(tar::EntryType::Directory, 0o755), TOP, io::empty())?;
    for (path, node) in tree.entries() {
        let inside = below_top(path);
        match node {
            Node::Directory { mode } => {
                archive.append_data(&mut header(tar::EntryType::Directory, *mode), inside, io::empty())?;
            }
            Node::File { mode, size, digest } => {
                let mut header = header(tar::EntryType::Regular, *mode);
                header.set_size(*size);
                archive.append_data(&mut header, inside, store.open_blob(&digest.blake3)?)?;
            }
            Node::Symlink { target } => add_link(&mut archive, inside, target.as_bytes())?,
        }
    }
    let packed = archive.into_inner().and_then(zstd::Encoder::finish).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => SourceError::TooLarge,
        _ => error.into(),
    })?;
    Ok(packed.0)
}

/// Adds a symbolic link whose target is as it is written, which `append_link` does not leave so.
fn add_link(archive: &mut tar::Builder<impl io::Write>, inside: PathBuf, target: &[u8]) -> io::Result<()> {
    let mut link = header(tar::EntryType::Symlink, 0o777);
    if link.set_link_name_literal(target).is_err() {
        // Longer than the header has room for: an entry before it, with a NUL at the end.
        let mut long = header(tar::EntryType::GNULongLink, 0o644);
        long.set_path("././@LongLink")?;
        long.set_size(target.len() as u64 + 1);
        long.set_cksum();
        archive.append(&long, target.chain(&b"\0"[..]))?;
    }
    archive.append_data(&mut link, inside, io::empty())
}

fn below_top(path: &TreePath) -> PathBuf {
    PathBuf::from(TOP).join(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

fn header(kind: tar::EntryType, mode: u16) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode.into());
    header.set_mtime(0);
    header.set_size(0);
    header
}

/// Bytes, up to [`MAX_SOURCE`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_SOURCE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes the tree of this digest out of an archive; its files are in `store` afterwards.
///
/// # Errors
/// See [`SourceError`].
pub fn unpack(store: &Store, archive: &[u8], wanted: &Digest) -> Result<Tree, SourceError> {
    if archive.len() > MAX_SOURCE {
        return Err(SourceError::TooLarge);
    }
    let (digest, _) = store.add_bytes(archive)?;
    let unpacked = store.unpack(&digest.blake3, LIMITS)?;
    let tree = Tree::new(unpacked.entries.into_iter().map(|(path, entry)| (path, entry.node)).collect())?;
    let found = tree.digest().blake3;
    if found == *wanted {
        return Ok(tree);
    }
    Err(SourceError::Other { wanted: wanted.to_string(), found: found.to_string() })
}
