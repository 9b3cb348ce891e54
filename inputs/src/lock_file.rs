// SPDX-License-Identifier: Apache-2.0
//! `reprove.lock`, beside the recipe.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;
use reprove_model::{EnvironmentLock, PackageLock};
use tempfile::NamedTempFile;

use crate::InputsError;

/// What the file is called.
pub const LOCK_FILE: &str = "reprove.lock";

/// Reads the lock beside a recipe, in `directory`; `None` where there is none. No link is followed.
///
/// # Errors
/// [`InputsError::LockFile`], [`InputsError::Io`].
pub fn read_lock(directory: &Path) -> Result<Option<EnvironmentLock>, InputsError> {
    let path = directory.join(LOCK_FILE);
    let io_error = |source| InputsError::Io { path: path.clone(), source };
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match File::options().read(true).custom_flags(flags.bits()).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(io_error)?,
    };
    if !file.metadata().map_err(io_error)?.is_file() {
        return Err(io_error(io::Error::other("not a regular file")));
    }
    let mut text = String::new();
    file.take(PackageLock::MAX_BYTES as u64 + 1).read_to_string(&mut text).map_err(io_error)?;
    EnvironmentLock::from_toml(&text).map(Some).map_err(|source| InputsError::LockFile { path, source })
}

/// Writes it, whole or not at all, in place of one that is there.
///
/// # Errors
/// [`InputsError::Io`].
pub fn write_lock(directory: &Path, lock: &EnvironmentLock) -> Result<(), InputsError> {
    let path = directory.join(LOCK_FILE);
    let io_error = |source| InputsError::Io { path: path.clone(), source };
    let text = lock.to_toml().map_err(|e| io_error(io::Error::other(e)))?;
    let mut file = NamedTempFile::new_in(directory).map_err(io_error)?;
    file.write_all(text.as_bytes()).map_err(io_error)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(io_error)?;
    file.as_file().sync_all().map_err(io_error)?;
    file.persist(&path).map(drop).map_err(|e| io_error(e.error))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use reprove_model::{Debian, Digest, DigestSet, LockedPackage, Sha256};

    use super::*;

    #[test]
    fn a_lock_is_read_as_written_and_through_no_link() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_lock(dir.path()).unwrap(), None);
        let package = LockedPackage {
            name: "gcc".into(),
            version: "1".into(),
            architecture: "amd64".into(),
            size: 1,
            blake3: Digest::of(b"x"),
            sha256: Sha256::of(b"x"),
        };
        let lock = PackageLock {
            version: PackageLock::VERSION,
            tree: DigestSet::of(b"tree"),
            architecture: "amd64".into(),
            environment: Debian { debian: "bookworm".into(), packages: vec!["gcc".into()] },
            packages: vec![package],
        };
        let lock = EnvironmentLock::Packages(lock);
        write_lock(dir.path(), &lock).unwrap();
        assert_eq!(read_lock(dir.path()).unwrap().unwrap(), lock);
        assert_eq!(fs::metadata(dir.path().join(LOCK_FILE)).unwrap().permissions().mode() & 0o777, 0o644);
        fs::write(dir.path().join(LOCK_FILE), "version = 7").unwrap();
        assert!(matches!(read_lock(dir.path()), Err(InputsError::LockFile { .. })));
        fs::rename(dir.path().join(LOCK_FILE), dir.path().join("other")).unwrap();
        symlink("other", dir.path().join(LOCK_FILE)).unwrap();
        assert!(matches!(read_lock(dir.path()), Err(InputsError::Io { .. })));
    }
}
