// SPDX-License-Identifier: Apache-2.0
//! Writes the source into the build directory, in the order that it comes in.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, openat, utimensat};

use super::protocol::{SourceEntry, SourceKind};

/// Makes `entries` below `root`. A directory's mode and time are set after everything is in it.
pub(super) fn populate(root: &Path, entries: &[SourceEntry], blobs: OwnedFd) -> io::Result<()> {
    for entry in entries {
        let path = root.join(entry.path.as_path());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match &entry.kind {
            SourceKind::Directory { .. } => fs::create_dir_all(&path)?,
            SourceKind::File { mode, blob } => {
                let mut from = File::from(openat(&blobs, blob, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
                let mut to = File::create_new(&path)?;
                io::copy(&mut from, &mut to)?;
                to.set_permissions(fs::Permissions::from_mode(*mode))?;
                set_time(&path, entry.modified)?;
            }
            SourceKind::Symlink { target } => {
                symlink(std::ffi::OsStr::from_bytes(target.as_bytes()), &path)?;
                set_time(&path, entry.modified)?;
            }
        }
    }
    let mut directories: Vec<_> = entries
        .iter()
        .filter_map(|entry| match entry.kind {
            SourceKind::Directory { mode } => Some((&entry.path, mode, entry.modified)),
            SourceKind::File { .. } | SourceKind::Symlink { .. } => None,
        })
        .collect();
    directories.sort();
    for (path, mode, modified) in directories.into_iter().rev() {
        let path = root.join(path.as_path());
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        set_time(&path, modified)?;
    }
    Ok(())
}

fn set_time(path: &Path, modified: Duration) -> io::Result<()> {
    let time = Timespec {
        tv_sec: i64::try_from(modified.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(modified.subsec_nanos()),
    };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}
