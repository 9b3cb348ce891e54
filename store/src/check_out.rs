// SPDX-License-Identifier: Apache-2.0
//! A tree out of the store into a directory, sharing its bytes where that can be done safely.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat};
use reprove_model::{Digest, Node, Tree, TreePath};
use thiserror::Error;

use crate::ingest::SetId;
use crate::lock::Kind;
use crate::shared::{Shared, set_time};
use crate::{Store, StoreError};

/// Who will write to what is checked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Nobody: a file may be the store's own, by hard link. Root can write to such a file whatever its mode, and would
    /// write to the store; so can its owner after `chmod`.
    ReadOnly,
    /// Nobody, and there are several that have the same files: each file has the time, in seconds since 1970, and is the one
    /// that others have with the same bytes, mode and time, by hard link, unless bytes can be shared by reflinks. It is none
    /// of the store's blobs, and no two paths of one check-out are the same file.
    Shared {
        /// Of all files.
        time: u64,
    },
    /// Anybody: each file has bytes of its own, or shares them in a way that a write ends (a reflink).
    Writable,
}

/// What a check-out came to: how many files share their bytes with the store, and in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckedOut {
    /// Hard links: the store's own files.
    pub linked: u64,
    /// Hard links to files that other check-outs have, or are to have.
    pub shared: u64,
    /// Reflinks: bytes shared until one side is written to.
    pub cloned: u64,
    /// Copies, where the file system, or a file's mode, allows nothing else.
    pub copied: u64,
}

/// Why a tree could not be checked out.
#[derive(Debug, Error)]
pub enum CheckOutError {
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// What was being written, below the directory.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The directory has something in it.
    #[error("the directory that a tree is checked out to must be empty")]
    NotEmpty,
    /// The caller has asked for that.
    #[error("stopped")]
    Stopped,
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Writes `tree` below `directory`, which must be empty. Follows no link inside it, whoever else writes there. Files
    /// are checked as often as reads are; set-id bits are only set with [`SetId::Keep`]. Ends soon after `stop` is true, but
    /// not while it checks a file.
    ///
    /// A file of the store's is linked only for [`Use::ReadOnly`] and where it has mode 444, which is that of all files in the
    /// store, and thus of the link.
    ///
    /// # Errors
    /// See [`CheckOutError`]. What was written before one stays.
    pub fn check_out(
        &self,
        tree: &Tree,
        directory: OwnedFd,
        what_for: Use,
        set_id: SetId,
        stop: &AtomicBool,
    ) -> Result<CheckedOut, CheckOutError> {
        let mask = if set_id == SetId::Keep { 0o7777 } else { 0o777 };
        let (done, seen) = (CheckedOut::default(), BTreeMap::new());
        let mut out = Out { store: self, folder: directory, what_for, mask, stop, way: Way::Clone, seen, done };
        let here = out.open(None).map_err(|source| CheckOutError::Io { path: ".".into(), source })?;
        if !is_empty(here).map_err(|e| CheckOutError::Io { path: ".".into(), source: e.into() })? {
            return Err(CheckOutError::NotEmpty);
        }
        for (path, node) in tree.entries() {
            out.entry(path, node)?;
        }
        // Last, so that all can be written into; what is inside before what it is in.
        for (path, node) in tree.entries().iter().rev() {
            if let Node::Directory { mode } = node {
                out.go_on()?;
                let fail = |e| io_error(path, e);
                let folder = out.open(Some(path)).map_err(fail)?;
                File::from(folder).set_permissions(permissions(mode & mask)).map_err(fail)?;
            }
        }
        Ok(out.done)
    }
}

fn is_empty(folder: OwnedFd) -> nix::Result<bool> {
    for entry in Dir::from_fd(folder)?.iter() {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How much of a file is copied before it is looked whether to go on.
const PART: u64 = 1 << 20;

struct Out<'a> {
    store: &'a Store,
    folder: OwnedFd,
    what_for: Use,
    mask: u16,
    stop: &'a AtomicBool,
    way: Way,
    /// How often each file was there, by digest and mode.
    seen: BTreeMap<(Digest, u16), u64>,
    done: CheckedOut,
}

/// How files are shared where they may be shared with other check-outs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Clone,
    Link,
    Copy,
}

impl Out<'_> {
    fn go_on(&self) -> Result<(), CheckOutError> {
        if self.stop.load(Ordering::Relaxed) { Err(CheckOutError::Stopped) } else { Ok(()) }
    }

    fn entry(&mut self, path: &TreePath, node: &Node) -> Result<(), CheckOutError> {
        self.go_on()?;
        let fail = |e| io_error(path, e);
        let parent = self.open(path.parent().as_ref()).map_err(fail)?;
        let name = OsStr::from_bytes(path.file_name());
        match node {
            Node::Directory { .. } => mkdirat(&parent, name, Mode::S_IRWXU).map_err(|e| fail(e.into())),
            Node::Symlink { target } => {
                symlinkat(OsStr::from_bytes(target.as_bytes()), &parent, name).map_err(|e| fail(e.into()))
            }
            Node::File { mode, digest, .. } => self.file(path, &parent, mode & self.mask, &digest.blake3),
        }
    }

    fn file(&mut self, path: &TreePath, parent: &OwnedFd, mode: u16, digest: &Digest) -> Result<(), CheckOutError> {
        let fail = |e| io_error(path, e);
        let name = OsStr::from_bytes(path.file_name());
        if self.link(path, parent, mode, digest)? {
            return Ok(());
        }
        let mut from = self.store.open_blob(digest)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let to = openat(parent, name, flags, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|e| fail(e.into()))?;
        let mut to = File::from(to);
        match rustix::fs::ioctl_ficlone(&to, &from) {
            Ok(()) => self.done.cloned += 1,
            Err(
                rustix::io::Errno::OPNOTSUPP
                | rustix::io::Errno::XDEV
                | rustix::io::Errno::INVAL
                | rustix::io::Errno::NOTTY,
            ) => {
                if matches!(self.what_for, Use::Shared { .. }) && self.way == Way::Clone {
                    self.way = Way::Link;
                    unlinkat(parent, name, UnlinkatFlags::NoRemoveDir).map_err(|e| fail(e.into()))?;
                    return self.file(path, parent, mode, digest);
                }
                while io::copy(&mut Read::by_ref(&mut from).take(PART), &mut to).map_err(fail)? > 0 {
                    self.go_on()?;
                }
                self.done.copied += 1;
            }
            Err(e) => return Err(fail(e.into())),
        }
        to.set_permissions(permissions(mode)).map_err(fail)?;
        if let Use::Shared { time } = self.what_for {
            set_time(&to, time).map_err(fail)?;
        }
        Ok(())
    }

    /// Whether it is there now as a link to a file that is there already.
    fn link(&mut self, path: &TreePath, parent: &OwnedFd, mode: u16, digest: &Digest) -> Result<bool, CheckOutError> {
        let name = OsStr::from_bytes(path.file_name());
        match self.what_for {
            Use::ReadOnly if mode == 0o444 => {
                self.store.open_blob(digest)?;
                // Nobody takes the name away between the check and the link.
                let _held = self.store.hold(Kind::WithOthers)?;
                let blob = self.store.blob_path(digest);
                match linkat(AT_FDCWD, &blob, parent.as_fd(), name, AtFlags::empty()) {
                    Ok(()) => self.done.linked += 1,
                    // Another file system; as many links as it can hold; links to others' files not allowed.
                    Err(Errno::EXDEV | Errno::EMLINK | Errno::EPERM) => return Ok(false),
                    Err(e) => return Err(io_error(path, e.into())),
                }
                Ok(true)
            }
            // Of one that its owner can't read, nobody could say whether it is what it was.
            Use::Shared { time } if self.way == Way::Link && mode & 0o400 != 0 => {
                let seen = self.seen.entry((*digest, mode)).or_default();
                let file = Shared { digest: *digest, mode, time, number: *seen };
                *seen += 1;
                if self.store.share(&file, parent.as_fd(), name)? {
                    self.done.shared += 1;
                    return Ok(true);
                }
                self.way = Way::Copy;
                Ok(false)
            }
            Use::ReadOnly | Use::Shared { .. } | Use::Writable => Ok(false),
        }
    }

    /// Opens a directory below the one that is written to; links lead nowhere.
    fn open(&self, path: Option<&TreePath>) -> io::Result<OwnedFd> {
        let path = path.map_or(Path::new("."), |path| Path::new(OsStr::from_bytes(path.as_bytes())));
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let within = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        Ok(openat2(&self.folder, path, OpenHow::new().flags(flags).resolve(within))?)
    }
}

fn permissions(mode: u16) -> Permissions {
    Permissions::from_mode(mode.into())
}

fn io_error(path: &TreePath, source: io::Error) -> CheckOutError {
    CheckOutError::Io { path: path.to_string(), source }
}
