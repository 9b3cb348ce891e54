// SPDX-License-Identifier: Apache-2.0
//! Taking a directory into the store: by directory descriptors, following no link, within bounds.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use reprove_model::{InvalidTreePath, LinkTarget, Node, Tree, TreeError, TreePath};
use thiserror::Error;

use crate::{Store, StoreError};

/// What one directory may hold to be taken in.
#[derive(Clone, Copy, Debug)]
pub struct IngestLimits {
    /// Files, directories and links together.
    pub entries: usize,
    /// The size of all files together, in bytes.
    pub bytes: u64,
    /// Directories inside directories.
    pub depth: usize,
}

impl Default for IngestLimits {
    fn default() -> Self {
        Self { entries: Tree::MAX_ENTRIES, bytes: 64 << 30, depth: 256 }
    }
}

/// Why a directory could not be taken in.
#[derive(Debug, Error)]
pub enum IngestError {
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// What was being read, below the directory.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name that no tree can hold.
    #[error(transparent)]
    Path(#[from] InvalidTreePath),
    /// What was found makes no tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A device, a socket or a pipe.
    #[error("{0} is neither a file, a directory nor a symbolic link; nothing else can be kept")]
    Special(TreePath),
    /// One of [`IngestLimits`].
    #[error("there are more than {most} {what}; nothing is kept")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The most.
        most: u64,
    },
}

impl Store {
    /// Takes in everything below `root`, a directory, except what `skip` names; the tree's list is stored as well.
    ///
    /// # Errors
    /// See [`IngestError`].
    pub fn add_tree(
        &self,
        root: &Path,
        limits: IngestLimits,
        skip: &dyn Fn(&TreePath) -> bool,
    ) -> Result<Tree, IngestError> {
        let root = File::open(root).map_err(|source| IngestError::Io { path: root.display().to_string(), source })?;
        self.add_tree_at(root.as_fd(), limits, skip)
    }

    /// The same, below an open directory. No symbolic link is followed, so that nothing outside can be reached whoever
    /// writes inside.
    ///
    /// # Errors
    /// See [`IngestError`].
    pub fn add_tree_at(
        &self,
        root: BorrowedFd<'_>,
        limits: IngestLimits,
        skip: &dyn Fn(&TreePath) -> bool,
    ) -> Result<Tree, IngestError> {
        let mut ingest = Ingest { store: self, limits, skip, entries: BTreeMap::new(), bytes: 0 };
        let root = open_directory(root, c".").map_err(|e| io_error(".", e))?;
        ingest.directory(root, None, 1)?;
        let tree = Tree::new(ingest.entries)?;
        self.save_tree(&tree)?;
        Ok(tree)
    }

    /// Takes in what is at `path` below the open directory `root`, a file or a directory with all below it, into `entries`.
    /// The directories that lead to it become entries too.
    ///
    /// # Errors
    /// See [`IngestError`].
    pub fn add_path_at(
        &self,
        root: BorrowedFd<'_>,
        path: &TreePath,
        limits: IngestLimits,
        entries: &mut BTreeMap<TreePath, Node>,
    ) -> Result<(), IngestError> {
        let mut ingest = Ingest { store: self, limits, skip: &|_| false, entries: std::mem::take(entries), bytes: 0 };
        let mut parent = open_directory(root, c".").map_err(|e| io_error(".", e))?;
        let mut above = Vec::new();
        let mut next = path.parent();
        while let Some(directory) = next {
            next = directory.parent();
            above.push(directory);
        }
        for directory in above.iter().rev() {
            let name = c_name(directory.file_name())?;
            let opened = open_directory(parent.as_fd(), &name).map_err(|e| io_error(&directory.to_string(), e))?;
            let stat = fstat(&opened).map_err(|e| io_error(&directory.to_string(), e))?;
            ingest.entries.insert(directory.clone(), Node::Directory { mode: permission_bits(&stat) });
            parent = opened;
        }
        let depth = above.len() + 1;
        ingest.entry(&parent, path.clone(), depth)?;
        *entries = ingest.entries;
        Ok(())
    }
}

struct Ingest<'a> {
    store: &'a Store,
    limits: IngestLimits,
    skip: &'a dyn Fn(&TreePath) -> bool,
    entries: BTreeMap<TreePath, Node>,
    bytes: u64,
}

impl Ingest<'_> {
    fn directory(&mut self, directory: OwnedFd, path: Option<&TreePath>, depth: usize) -> Result<(), IngestError> {
        let shown = path.map_or_else(|| ".".into(), ToString::to_string);
        if depth > self.limits.depth {
            return Err(IngestError::Limit { what: "directories inside each other", most: self.limits.depth as u64 });
        }
        let again = open_directory(directory.as_fd(), c".").map_err(|e| io_error(&shown, e))?;
        let mut listing = Dir::from_fd(again).map_err(|e| io_error(&shown, e))?;
        let mut names = Vec::new();
        for entry in listing.iter() {
            let name = entry.map_err(|e| io_error(&shown, e))?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
            if self.entries.len() + names.len() > self.limits.entries {
                return Err(IngestError::Limit { what: "files", most: self.limits.entries as u64 });
            }
        }
        drop(listing);
        names.sort_unstable();
        for name in names {
            let path = path.map_or_else(|| TreePath::new(name.as_slice()), |path| path.join(&name))?;
            if !(self.skip)(&path) {
                self.entry(&directory, path, depth)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, parent: &OwnedFd, path: TreePath, depth: usize) -> Result<(), IngestError> {
        let fail = |e: Errno| io_error(&path.to_string(), e);
        let name = c_name(path.file_name())?;
        let name = name.as_c_str();
        if self.entries.len() >= self.limits.entries {
            return Err(IngestError::Limit { what: "files", most: self.limits.entries as u64 });
        }
        let stat = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(fail)?;
        match file_type(&stat) {
            SFlag::S_IFLNK => {
                let target = LinkTarget::new(readlinkat(parent, name).map_err(fail)?.into_vec())?;
                self.entries.insert(path, Node::Symlink { target });
            }
            SFlag::S_IFDIR => {
                let directory = open_directory(parent.as_fd(), name).map_err(fail)?;
                self.entries.insert(path.clone(), Node::Directory { mode: permission_bits(&stat) });
                self.directory(directory, Some(&path), depth + 1)?;
            }
            SFlag::S_IFREG => {
                // Not blocking, in case a pipe took its place since; what was opened is looked at again.
                let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
                let file = openat(parent, name, flags, Mode::empty()).map_err(fail)?;
                let stat = fstat(&file).map_err(fail)?;
                if file_type(&stat) != SFlag::S_IFREG {
                    return Err(IngestError::Special(path));
                }
                let node = self.file(File::from(file), &stat)?;
                self.entries.insert(path, node);
            }
            _ => return Err(IngestError::Special(path)),
        }
        Ok(())
    }

    fn file(&mut self, file: File, stat: &FileStat) -> Result<Node, IngestError> {
        use std::io::Read as _;
        let left = self.limits.bytes - self.bytes;
        let limit = IngestError::Limit { what: "bytes in files", most: self.limits.bytes };
        if u64::try_from(stat.st_size).unwrap_or(u64::MAX) > left {
            return Err(limit);
        }
        let (digest, size) = self.store.add_reader(&mut file.take(left.saturating_add(1)))?;
        if size > left {
            return Err(limit);
        }
        self.bytes += size;
        Ok(Node::File { mode: permission_bits(stat), size, digest })
    }
}

fn c_name(name: &[u8]) -> Result<CString, IngestError> {
    CString::new(name).map_err(|e| IngestError::Io { path: String::from_utf8_lossy(name).into(), source: e.into() })
}

fn open_directory(parent: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

fn file_type(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn permission_bits(stat: &FileStat) -> u16 {
    u16::try_from(stat.st_mode & 0o7777).unwrap_or(0o7777)
}

fn io_error(path: &str, errno: Errno) -> IngestError {
    IngestError::Io { path: path.to_owned(), source: errno.into() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn store(dir: &Path) -> Store {
        Store::open(&dir.join("store")).unwrap()
    }

    fn source(dir: &Path) -> std::path::PathBuf {
        let source = dir.join("source");
        fs::create_dir_all(source.join("a/b")).unwrap();
        fs::write(source.join("a/b/c"), "12345").unwrap();
        fs::write(source.join("d"), "678").unwrap();
        source
    }

    #[test]
    fn links_are_kept_and_never_followed() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(dir.path());
        symlink("/etc/passwd", source.join("file-link")).unwrap();
        symlink("/etc", source.join("dir-link")).unwrap();
        let tree = store(dir.path()).add_tree(&source, IngestLimits::default(), &|_| false).unwrap();
        assert_eq!(tree.entries().len(), 6);
        let link = tree.entries().get(&TreePath::new("dir-link").unwrap());
        assert_eq!(link, Some(&Node::Symlink { target: LinkTarget::new("/etc").unwrap() }));
        let through = TreePath::new("dir-link/passwd").unwrap();
        let root = File::open(&source).unwrap();
        let found =
            store(dir.path()).add_path_at(root.as_fd(), &through, IngestLimits::default(), &mut BTreeMap::new());
        assert!(matches!(found, Err(IngestError::Io { .. })));
    }

    #[test]
    fn one_path_brings_the_directories_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = File::open(source(dir.path())).unwrap();
        let mut entries = BTreeMap::new();
        let path = TreePath::new("a/b/c").unwrap();
        store(dir.path()).add_path_at(root.as_fd(), &path, IngestLimits::default(), &mut entries).unwrap();
        assert_eq!(Tree::new(entries).unwrap().entries().len(), 3);
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(dir.path());
        nix::unistd::mkfifo(&source.join("pipe"), Mode::S_IRWXU).unwrap();
        let found = store(dir.path()).add_tree(&source, IngestLimits::default(), &|_| false);
        assert!(matches!(found, Err(IngestError::Special(_))));
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(dir.path());
        let store = store(dir.path());
        let add = |limits| store.add_tree(&source, limits, &|_| false);
        let exact = IngestLimits { entries: 4, bytes: 8, depth: 3 };
        assert!(add(exact).is_ok());
        assert!(matches!(add(IngestLimits { entries: 3, ..exact }), Err(IngestError::Limit { what: "files", .. })));
        assert!(matches!(
            add(IngestLimits { bytes: 7, ..exact }),
            Err(IngestError::Limit { what: "bytes in files", .. })
        ));
        assert!(matches!(add(IngestLimits { depth: 2, ..exact }), Err(IngestError::Limit { .. })));
    }
}
