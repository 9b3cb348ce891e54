// SPDX-License-Identifier: Apache-2.0
//! Temporary files, one folder a process, locked while the process lives.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::blobs::{CLOSED, StoreError, io_error};

/// A process's own folder in `tmp/`. Removed with the value; where the process is killed, by the next one that looks.
#[derive(Debug)]
pub(crate) struct TempRoot {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl TempRoot {
    /// Makes a folder in `parent`, after removing those whose process is gone.
    pub(crate) fn new(parent: &Path) -> Result<Self, StoreError> {
        let sweep = exclusive(&parent.join(".sweep"))?;
        remove_abandoned(parent)?;
        let closed = fs::Permissions::from_mode(CLOSED);
        let folder = tempfile::Builder::new().prefix("run-").permissions(closed).tempdir_in(parent);
        let folder = folder.map_err(|e| io_error(parent, e))?;
        let lock_path = folder.path().with_extension("lock");
        let lock = exclusive(&lock_path)?;
        drop(sweep);
        Ok(Self { path: folder.keep(), lock_path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder and what is in it. What can't be removed now, the next process removes.
    pub(crate) fn remove(&self) {
        // A thread that still works may add a file while this goes on.
        for _ in 0..16 {
            if fs::remove_dir_all(&self.path).is_ok() || !self.path.exists() {
                break;
            }
        }
        let _ = fs::remove_file(&self.lock_path);
    }
}

impl Drop for TempRoot {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Opens, makes where needed, and locks a file; waits for whoever has it.
fn exclusive(path: &Path) -> Result<File, StoreError> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(path).map_err(|e| io_error(path, e))?;
    file.lock().map_err(|e| io_error(path, e))?;
    Ok(file)
}

#[expect(clippy::disallowed_methods, reason = "the order in which leftovers are removed shows nowhere")]
fn remove_abandoned(parent: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(parent).map_err(|e| io_error(parent, e))? {
        let path = entry.map_err(|e| io_error(parent, e))?.path();
        let is_run = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run-"));
        if !is_run || path.extension().is_some_and(|e| e == "lock") {
            continue;
        }
        let lock_path = path.with_extension("lock");
        let held = match File::open(&lock_path).map(|file| file.try_lock()) {
            Ok(Err(TryLockError::WouldBlock)) => true,
            Ok(Ok(()) | Err(TryLockError::Error(_))) | Err(_) => false,
        };
        if !held {
            let _ = fs::remove_dir_all(&path);
            let _ = fs::remove_file(&lock_path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_the_dead_go_and_those_of_the_living_stay() {
        let dir = tempfile::tempdir().unwrap();
        let living = TempRoot::new(dir.path()).unwrap();
        fs::write(living.path().join("x"), "x").unwrap();
        fs::create_dir(dir.path().join("run-dead")).unwrap();
        fs::write(dir.path().join("run-dead.lock"), "").unwrap();
        fs::create_dir(dir.path().join("run-older")).unwrap();
        let other = TempRoot::new(dir.path()).unwrap();
        assert!(living.path().join("x").exists() && other.path().exists());
        assert!(!dir.path().join("run-dead").exists() && !dir.path().join("run-older").exists());
        assert!(!dir.path().join("run-dead.lock").exists());
    }
}
