// SPDX-License-Identifier: Apache-2.0
//! Files that several check-outs have at once, by hard links, in `shared/`. All names of a file have one mode, owner and time,
//! so there is one for each digest, mode and time; and one more for each time that a check-out has it, since programs that
//! read a directory take two names of one file for a link.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{geteuid, linkat};
use rayon::prelude::*;
use reprove_model::Digest;

use crate::blobs::{CLOSED, io_error, make_directory};
use crate::collect::listed;
use crate::{Store, StoreError};

/// One file of `shared/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) digest: Digest,
    pub(crate) mode: u16,
    /// In seconds since 1970.
    pub(crate) time: u64,
    /// How many files a check-out had before it that are the same but for their paths.
    pub(crate) number: u64,
}

const FOLDER: &str = "shared";

impl Store {
    /// Gives the file another name, in the folder `parent`; false where the file system has no link for it. It is made of the
    /// store's blob where it is not there, or is not what it was.
    pub(crate) fn share(&self, file: &Shared, parent: BorrowedFd<'_>, name: &OsStr) -> Result<bool, StoreError> {
        let path = self.root().join(file.path());
        if !file.is_whole(&path)? {
            self.make_shared(file, &path)?;
        }
        let link = || linkat(AT_FDCWD, &path, parent, name, AtFlags::empty());
        let linked = match link() {
            // It has as many names as one can have; or was taken by a collection meanwhile.
            Err(Errno::EMLINK | Errno::ENOENT) => {
                self.make_shared(file, &path)?;
                link()
            }
            other => other,
        };
        match linked {
            Ok(()) => Ok(true),
            Err(Errno::EXDEV | Errno::EMLINK | Errno::EPERM) => Ok(false),
            Err(e) => Err(io_error(&path, e.into())),
        }
    }

    /// Where files are that several check-outs have.
    #[must_use]
    pub fn shared_root(&self) -> PathBuf {
        self.root().join(FOLDER)
    }

    /// Puts it there, in place of what is there.
    fn make_shared(&self, file: &Shared, path: &Path) -> Result<(), StoreError> {
        let fail = |e| io_error(path, e);
        let mut from = self.open_blob(&file.digest)?;
        let mut made = self.temp_file()?;
        io::copy(&mut from, made.as_file_mut()).map_err(fail)?;
        made.as_file().set_permissions(Permissions::from_mode(file.mode.into())).map_err(fail)?;
        set_time(made.as_file(), file.time).map_err(fail)?;
        for folder in [path.ancestors().nth(3), path.ancestors().nth(2), path.parent()].into_iter().flatten() {
            make_directory(folder, CLOSED)?;
        }
        made.persist(path).map(drop).map_err(|e| fail(e.error))
    }

    /// Removes what no check-out has any more.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn collect_shared(&self) -> Result<(), StoreError> {
        for (path, _) in self.shared()? {
            if fs::symlink_metadata(&path).map_err(|e| io_error(&path, e))?.nlink() == 1 {
                fs::remove_file(&path).map_err(|e| io_error(&path, e))?;
            }
        }
        Ok(())
    }

    /// Which files of `shared/` are not what their names say, of those that are asked for; and how many were read.
    pub(crate) fn damaged_shared(
        &self,
        asked: impl Fn(&Path) -> bool + Sync,
    ) -> Result<(Vec<PathBuf>, u64), StoreError> {
        let all: Vec<(PathBuf, Shared)> = self.shared()?.into_iter().filter(|(path, _)| asked(path)).collect();
        let bad = all.par_iter().map(|(path, file)| Ok((!file.is_whole(path)?).then(|| path.clone())));
        Ok((bad.filter_map(Result::transpose).collect::<Result<_, StoreError>>()?, all.len() as u64))
    }

    /// What is in `shared/`. What has another name than these have is no part of it.
    fn shared(&self) -> Result<Vec<(PathBuf, Shared)>, StoreError> {
        let mut all = Vec::new();
        for (kind, folder) in listed(&self.shared_root())? {
            for (start, folder) in listed(&folder)? {
                let files = listed(&folder)?.into_iter();
                all.extend(files.filter_map(|(end, path)| Some((path, Shared::named(&kind, &start, &end)?))));
            }
        }
        Ok(all)
    }
}

impl Shared {
    fn path(&self) -> PathBuf {
        let Self { digest, mode, time, number } = self;
        Path::new(FOLDER).join(format!("{mode:o}-{time}")).join(format!("{}.{number}", Store::blob_name(digest)))
    }

    fn named(kind: &str, start: &str, end: &str) -> Option<Self> {
        let (mode, time) = kind.split_once('-')?;
        let (end, number) = end.split_once('.')?;
        Some(Self {
            digest: format!("{start}{end}").parse().ok()?,
            mode: u16::from_str_radix(mode, 8).ok()?,
            time: time.parse().ok()?,
            number: number.parse().ok()?,
        })
    }

    fn is_whole(&self, path: &Path) -> Result<bool, StoreError> {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(io_error(path, e)),
        };
        let is_time = u64::try_from(found.mtime()).is_ok_and(|time| time == self.time) && found.mtime_nsec() == 0;
        let is_ours = found.is_file() && found.uid() == geteuid().as_raw();
        if !is_ours || !is_time || found.mode() & 0o7777 != u32::from(self.mode) {
            return Ok(false);
        }
        match crate::digest_file(path) {
            Ok(digest) => Ok(digest == self.digest),
            // A mode that keeps an ordinary user from reading its own file.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Ok(false),
            Err(e) => Err(io_error(path, e)),
        }
    }
}

/// Gives a file this time, in seconds since 1970.
pub(crate) fn set_time(file: &File, time: u64) -> io::Result<()> {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(time)).unwrap_or(UNIX_EPOCH);
    file.set_times(FileTimes::new().set_accessed(time).set_modified(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_the_file_is() {
        let file = Shared { digest: Digest::of(b"a"), mode: 0o755, time: 7, number: 3 };
        let path = file.path().to_string_lossy().into_owned();
        let parts: Vec<&str> = path.split('/').collect();
        let [FOLDER, kind @ "755-7", start, end] = parts.as_slice() else { panic!("{path}") };
        assert_eq!(Shared::named(kind, start, end), Some(file));
        for (kind, end) in [("7557", *end), ("9-7", *end), (*kind, "a.0"), (*kind, &end.replace(".3", ""))] {
            assert_eq!(Shared::named(kind, start, end), None, "{kind} {end}");
        }
    }
}
