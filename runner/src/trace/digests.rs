// SPDX-License-Identifier: Apache-2.0
//! Digests of the machine's files that a build has read.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use reprove_model::Digest;
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, accessat, fstat, open, openat2};

/// Digests of files below the directories that a root filesystem is made of.
#[derive(Default)]
pub(super) struct Digests {
    roots: BTreeMap<PathBuf, OwnedFd>,
}

/// What an inode says of itself; the kernel changes one of these at every write: device, number, size, times of change.
type Inode = (u64, u64, i64, [i64; 2], [i64; 2]);

/// Digests by the inodes that they were taken of: builds of one process read the same compiler.
static KNOWN: Mutex<BTreeMap<Inode, Digest>> = Mutex::new(BTreeMap::new());

fn link_to(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// As many are kept; past that, all are forgotten.
const MAX_KNOWN: usize = 100_000;

fn inode(stat: &Stat) -> Inode {
    let nanoseconds = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let times = [stat.st_mtime, nanoseconds(stat.st_mtime_nsec)];
    (stat.st_dev, stat.st_ino, stat.st_size, times, [stat.st_ctime, nanoseconds(stat.st_ctime_nsec)])
}

impl Digests {
    /// Whether `rest` below `bind`, or a directory that leads to it, is one that not everybody can read or execute, and this
    /// user can.
    pub(super) fn is_closed(&mut self, bind: &Path, rest: &[u8]) -> io::Result<bool> {
        let ends = rest.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([rest.len()]);
        for end in ends.collect::<Vec<_>>() {
            let file = self.open(bind, rest.get(..end).unwrap_or_default())?;
            let may = |access| accessat(CWD, link_to(&file), access, AtFlags::EACCESS).is_ok();
            if fstat(&file)?.st_mode & 0o005 == 0 && (may(Access::READ_OK) || may(Access::EXEC_OK)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn open(&mut self, bind: &Path, rest: &[u8]) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        if !self.roots.contains_key(bind) {
            self.roots.insert(bind.to_owned(), open(bind, flags, Mode::empty())?);
        }
        let root = self.roots.get(bind).ok_or(io::ErrorKind::NotFound)?;
        if rest.is_empty() {
            return root.try_clone();
        }
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        Ok(openat2(root.as_fd(), Path::new(OsStr::from_bytes(rest)), flags, Mode::empty(), inside)?)
    }

    /// Of the file `rest` below `bind`, or of `bind` itself; none where it is no regular file or is closed.
    pub(super) fn of(&mut self, bind: &Path, rest: &[u8]) -> io::Result<Option<Digest>> {
        let file = self.open(bind, rest)?;
        let stat = fstat(&file)?;
        // What is closed to all is no part of the root filesystem's digest, and no build could open it.
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_mode & 0o005 == 0 {
            return Ok(None);
        }
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let before = inode(&stat);
        if let Some(digest) = known().get(&before) {
            return Ok(Some(*digest));
        }
        let digest = reprove_store::digest_file(Path::new(&link_to(&file)))?;
        if inode(&fstat(&file)?) != before {
            return Err(io::Error::other("it changed while it was read"));
        }
        let mut known = known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(before, digest);
        Ok(Some(digest))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_has_changed_has_another_digest() {
        let dir = tempfile::tempdir().unwrap();
        let of = |name: &str| Digests::default().of(dir.path(), name.as_bytes());
        let write = |name: &str, text: &str, mode| {
            fs::write(dir.path().join(name), text).unwrap();
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        write("a", "1", 0o644);
        assert_eq!((of("a").unwrap(), of("a").unwrap()), (Some(Digest::of(b"1")), Some(Digest::of(b"1"))));
        write("a", "22", 0o644);
        assert_eq!(of("a").unwrap(), Some(Digest::of(b"22")));
        write("closed", "1", 0o640);
        assert_eq!(of("closed").unwrap(), None);
        fs::create_dir(dir.path().join("folder")).unwrap();
        assert_eq!(of("folder").unwrap(), None);
        std::os::unix::fs::symlink("a", dir.path().join("link")).unwrap();
        assert!(of("none").is_err() && of("link").is_err() && of("../a").is_err(), "nothing is followed");
    }

    #[test]
    fn what_is_not_open_to_all_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        fs::write(dir.path().join("folder/file"), "").unwrap();
        let set = |name: &str, mode| {
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        let closed = || Digests::default().is_closed(dir.path(), b"folder/file").unwrap();
        set("", 0o755);
        for (folder, file, is_closed) in [(0o755, 0o644, false), (0o750, 0o644, true), (0o755, 0o640, true)] {
            set("folder", folder);
            set("folder/file", file);
            assert_eq!(closed(), is_closed, "{folder:o} {file:o}");
        }
    }
}
