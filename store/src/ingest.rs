// SPDX-License-Identifier: Apache-2.0
//! Taking a directory into the store: by directory descriptors, following no link, within bounds.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::stat::{FileStat, SFlag, fstat, fstatat};
use reprove_model::{InvalidTreePath, LinkTarget, Node, Tree, TreeError, TreePath};
use thiserror::Error;

use crate::workers::{Content, Feed, Stored, Ticket, take_in};
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
    /// What becomes of set-id and sticky bits.
    pub set_id: SetId,
    /// What becomes of what is mounted inside.
    pub mounts: Mounts,
}

/// Whether set-user-id, set-group-id and sticky bits are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetId {
    /// Whatever has one is refused.
    #[default]
    Refuse,
    /// They are part of the mode, and of the tree's digest, as all permission bits are.
    Keep,
}

/// Whether what is mounted inside belongs to a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mounts {
    /// It is refused.
    #[default]
    Refuse,
    /// It does.
    Cross,
}

impl Default for IngestLimits {
    fn default() -> Self {
        let (set_id, mounts) = (SetId::default(), Mounts::default());
        Self { entries: Tree::MAX_ENTRIES, bytes: 64 << 30, depth: 256, set_id, mounts }
    }
}

impl IngestLimits {
    /// For a directory of the user's own: with the set-id bits that it has, and with what is mounted in it.
    #[must_use]
    pub fn of_own_files() -> Self {
        Self { set_id: SetId::Keep, mounts: Mounts::Cross, ..Self::default() }
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
    /// Set-id or sticky bits, where they are refused.
    #[error("{0} has the mode {1:o}: set-id and sticky bits are not kept")]
    SetId(TreePath, u16),
    /// Another file system, where that is refused.
    #[error("{0} is on another file system, which is mounted there; it is not kept")]
    Mounted(TreePath),
    /// The kernel can't open below a directory and nowhere else.
    #[error("this kernel has no openat2(2), or it is forbidden here, without which nothing can be taken in safely")]
    NoOpenat2,
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
        let (found, stored) = take_in(self, |feed| {
            let mut ingest = Ingest { limits, skip, feed, found: BTreeMap::new(), before: 0, bytes: 0 };
            let root = ingest.open_directory(root, c".", None)?;
            ingest.directory(root, None, 1)?;
            Ok::<_, IngestError>(ingest.found)
        })?;
        let tree = Tree::new(self.finish(found, &stored, limits, 0)?)?;
        self.save_tree(&tree)?;
        Ok(tree)
    }

    /// Takes in what is at `path` below the open directory `root`, a file or a directory with all below it, into `entries`.
    /// The directories that lead to it become entries too. The limits are of all `entries` together.
    ///
    /// # Errors
    /// See [`IngestError`]. Then `entries` are as they were.
    pub fn add_path_at(
        &self,
        root: BorrowedFd<'_>,
        path: &TreePath,
        limits: IngestLimits,
        entries: &mut BTreeMap<TreePath, Node>,
    ) -> Result<(), IngestError> {
        let sizes = entries.values().map(|node| if let Node::File { size, .. } = node { *size } else { 0 });
        let bytes = sizes.sum();
        let (found, stored) = take_in(self, |feed| {
            let before = entries.len();
            let mut ingest = Ingest { limits, skip: &|_| false, feed, found: BTreeMap::new(), before, bytes };
            ingest.path(root, path)?;
            Ok::<_, IngestError>(ingest.found)
        })?;
        entries.extend(self.finish(found, &stored, limits, bytes)?);
        Ok(())
    }

    /// The entries with their digests. What was found may have grown while it was read.
    fn finish(
        &self,
        found: BTreeMap<TreePath, Found>,
        stored: &Stored,
        limits: IngestLimits,
        mut bytes: u64,
    ) -> Result<BTreeMap<TreePath, Node>, IngestError> {
        let mut entries = BTreeMap::new();
        for (path, found) in found {
            let node = match found {
                Found::Other(node) => node,
                Found::File { mode, ticket } => {
                    let (digest, size) = stored.of(ticket, self)?;
                    bytes = limits.with(bytes, size)?;
                    Node::File { mode, size, digest }
                }
            };
            entries.insert(path, node);
        }
        Ok(entries)
    }
}

impl IngestLimits {
    /// `size` more bytes.
    fn with(&self, bytes: u64, size: u64) -> Result<u64, IngestError> {
        let sum = bytes.checked_add(size).filter(|sum| *sum <= self.bytes);
        sum.ok_or(IngestError::Limit { what: "bytes in files", most: self.bytes })
    }
}

/// An entry; a file's digests are yet to come.
enum Found {
    File { mode: u16, ticket: Ticket },
    Other(Node),
}

struct Ingest<'a> {
    limits: IngestLimits,
    skip: &'a dyn Fn(&TreePath) -> bool,
    feed: &'a mut Feed,
    found: BTreeMap<TreePath, Found>,
    /// How many entries there were before.
    before: usize,
    /// The sizes of all files so far, as they were when they were opened.
    bytes: u64,
}

impl Ingest<'_> {
    fn path(&mut self, root: BorrowedFd<'_>, path: &TreePath) -> Result<(), IngestError> {
        let mut parent = self.open_directory(root, c".", None)?;
        let mut above: Vec<TreePath> = std::iter::successors(path.parent(), TreePath::parent).collect();
        above.reverse();
        for directory in &above {
            let name = c_name(directory.file_name())?;
            let opened = self.open_directory(parent.as_fd(), &name, Some(directory))?;
            let stat = fstat(&opened).map_err(|e| io_error(&directory.to_string(), e))?;
            let mode = self.mode(directory, &stat)?;
            self.found.insert(directory.clone(), Found::Other(Node::Directory { mode }));
            parent = opened;
        }
        self.entry(&parent, path.clone(), None, above.len() + 1)
    }

    fn directory(&mut self, directory: OwnedFd, path: Option<&TreePath>, depth: usize) -> Result<(), IngestError> {
        let shown = path.map_or_else(|| ".".into(), ToString::to_string);
        if depth > self.limits.depth {
            return Err(IngestError::Limit { what: "directories inside each other", most: self.limits.depth as u64 });
        }
        let again = self.open_directory(directory.as_fd(), c".", path)?;
        let mut listing = Dir::from_fd(again).map_err(|e| io_error(&shown, e))?;
        let mut names = Vec::new();
        for entry in listing.iter() {
            let entry = entry.map_err(|e| io_error(&shown, e))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push((name.to_vec(), entry.file_type()));
            }
            self.count(names.len())?;
        }
        drop(listing);
        names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (name, kind) in names {
            let path = path.map_or_else(|| TreePath::new(name.as_slice()), |path| path.join(&name))?;
            if !(self.skip)(&path) {
                self.entry(&directory, path, kind, depth)?;
            }
        }
        Ok(())
    }

    /// Whether there may be `more` entries.
    fn count(&self, more: usize) -> Result<(), IngestError> {
        if self.before + self.found.len() + more > self.limits.entries {
            return Err(IngestError::Limit { what: "files", most: self.limits.entries as u64 });
        }
        Ok(())
    }

    /// `kind` is what the directory says it is, where it says that; what is opened is looked at.
    fn entry(&mut self, parent: &OwnedFd, path: TreePath, kind: Option<Type>, depth: usize) -> Result<(), IngestError> {
        let fail = |e: Errno| io_error(&path.to_string(), e);
        let name = c_name(path.file_name())?;
        let name = name.as_c_str();
        self.count(1)?;
        if kind == Some(Type::File) {
            return self.file(parent, name, path);
        }
        let stat = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(fail)?;
        match file_type(&stat) {
            SFlag::S_IFLNK => {
                let target = LinkTarget::new(readlinkat(parent, name).map_err(fail)?.into_vec())?;
                self.found.insert(path, Found::Other(Node::Symlink { target }));
                Ok(())
            }
            SFlag::S_IFDIR => {
                let directory = self.open_directory(parent.as_fd(), name, Some(&path))?;
                let mode = self.mode(&path, &fstat(&directory).map_err(fail)?)?;
                self.found.insert(path.clone(), Found::Other(Node::Directory { mode }));
                self.directory(directory, Some(&path), depth + 1)
            }
            SFlag::S_IFREG => self.file(parent, name, path),
            _ => Err(IngestError::Special(path)),
        }
    }

    fn file(&mut self, parent: &OwnedFd, name: &CStr, path: TreePath) -> Result<(), IngestError> {
        // Not blocking, in case a pipe took its place since; what was opened is looked at again.
        let file = self.open(parent.as_fd(), name, OFlag::O_NONBLOCK, Some(&path))?;
        let stat = fstat(&file).map_err(|e| io_error(&path.to_string(), e))?;
        if file_type(&stat) != SFlag::S_IFREG {
            return Err(IngestError::Special(path));
        }
        let mode = self.mode(&path, &stat)?;
        let left = self.limits.bytes.saturating_sub(self.bytes);
        self.bytes = self.limits.with(self.bytes, u64::try_from(stat.st_size).unwrap_or(u64::MAX))?;
        let ticket = self.feed.add(Content::File(File::from(file), left.saturating_add(1)));
        self.found.insert(path, Found::File { mode, ticket });
        Ok(())
    }

    fn mode(&self, path: &TreePath, stat: &FileStat) -> Result<u16, IngestError> {
        let mode = u16::try_from(stat.st_mode & 0o7777).unwrap_or(0o7777);
        if mode & 0o7000 != 0 && self.limits.set_id == SetId::Refuse {
            return Err(IngestError::SetId(path.clone(), mode));
        }
        Ok(mode)
    }

    fn open_directory(
        &self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        path: Option<&TreePath>,
    ) -> Result<OwnedFd, IngestError> {
        self.open(parent, name, OFlag::O_DIRECTORY, path)
    }

    /// Opens what has the name `name` in the directory `parent`, or nothing: no link leads anywhere, nor does a mount, unless
    /// that is allowed.
    fn open(
        &self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        flags: OFlag,
        path: Option<&TreePath>,
    ) -> Result<OwnedFd, IngestError> {
        let flags = flags | OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut within =
            ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        if self.limits.mounts == Mounts::Refuse {
            within |= ResolveFlag::RESOLVE_NO_XDEV;
        }
        openat2(parent, name, OpenHow::new().flags(flags).resolve(within)).map_err(|e| match (e, path) {
            (Errno::ENOSYS, _) => IngestError::NoOpenat2,
            (Errno::EXDEV, Some(path)) => IngestError::Mounted(path.clone()),
            _ => io_error(&path.map_or_else(|| ".".into(), ToString::to_string), e),
        })
    }
}

fn c_name(name: &[u8]) -> Result<CString, IngestError> {
    CString::new(name).map_err(|e| IngestError::Io { path: String::from_utf8_lossy(name).into(), source: e.into() })
}

fn file_type(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
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
        nix::unistd::mkfifo(&source.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let found = store(dir.path()).add_tree(&source, IngestLimits::default(), &|_| false);
        assert!(matches!(found, Err(IngestError::Special(_))));
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(dir.path());
        let store = store(dir.path());
        let add = |limits| store.add_tree(&source, limits, &|_| false);
        let exact = IngestLimits { entries: 4, bytes: 8, depth: 3, ..IngestLimits::default() };
        assert!(add(exact).is_ok());
        assert!(matches!(add(IngestLimits { entries: 3, ..exact }), Err(IngestError::Limit { what: "files", .. })));
        assert!(matches!(
            add(IngestLimits { bytes: 7, ..exact }),
            Err(IngestError::Limit { what: "bytes in files", .. })
        ));
        assert!(matches!(add(IngestLimits { depth: 2, ..exact }), Err(IngestError::Limit { .. })));
    }
}
