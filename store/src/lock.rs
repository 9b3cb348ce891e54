// SPDX-License-Identifier: Apache-2.0
//! Who is at work in a store: each process's temporary folder with what it pins, and the lock between those that add and
//! the one that collects.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reprove_model::Digest;

use crate::blobs::{CLOSED, StoreError, io_error};
use crate::options::StoreOptions;

/// The file of pins in a process's folder.
const PINS: &str = "pins";

/// A process's own folder in `tmp/`. Removed with the value; where the process is killed, by the next one that looks.
#[derive(Debug)]
pub(crate) struct TempRoot {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
    /// The digests that this process has named or used, 32 bytes each: a collection keeps what they name while the process
    /// lives.
    pins: Mutex<File>,
}

impl TempRoot {
    /// Makes a folder in `parent`, after removing those whose process is gone.
    pub(crate) fn new(parent: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let sweep = Held::take(open_lock(&parent.join(".sweep"))?, &parent.join(".sweep"), Kind::Alone, options)?;
        remove_abandoned(parent)?;
        let closed = fs::Permissions::from_mode(CLOSED);
        let folder = tempfile::Builder::new().prefix("run-").permissions(closed).tempdir_in(parent);
        let folder = folder.map_err(|e| io_error(parent, e))?;
        let lock_path = folder.path().with_extension("lock");
        // Nobody else knows the name.
        let lock = Held::take(open_lock(&lock_path)?, &lock_path, Kind::Alone, options)?;
        let pins_path = folder.path().join(PINS);
        let pins = File::options().create_new(true).append(true).mode(0o600).open(&pins_path);
        let pins = Mutex::new(pins.map_err(|e| io_error(&pins_path, e))?);
        drop(sweep);
        Ok(Self { path: folder.keep(), lock_path, _lock: lock.file, pins })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder's name in `tmp/`.
    pub(crate) fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Writes down that this process uses what these digests name. The caller holds the store's lock with others.
    pub(crate) fn pin(&self, digests: &[Digest], _held: &Held) -> Result<(), StoreError> {
        let bytes: Vec<u8> = digests.iter().flat_map(|digest| *digest.as_bytes()).collect();
        lock(&self.pins).write_all(&bytes).map_err(|e| io_error(&self.path.join(PINS), e))
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

/// Locks a mutex. One that a panicking thread held guards nothing that could be half-written here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// With whom a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any number of processes.
    WithOthers,
    /// Nobody.
    Alone,
}

/// A locked file. Unlocked with the value.
#[derive(Debug)]
pub(crate) struct Held {
    file: File,
}

/// After this long, waiting is told.
const TOLD_AFTER: Duration = Duration::from_secs(1);

impl Held {
    /// Locks `file`, which was opened at `path`, and waits for those who have it for as long as `options` say.
    pub(crate) fn take(file: File, path: &Path, kind: Kind, options: &StoreOptions) -> Result<Self, StoreError> {
        let start = Instant::now();
        let mut told = false;
        let mut pause = Duration::from_micros(100);
        loop {
            let tried = match kind {
                Kind::WithOthers => file.try_lock_shared(),
                Kind::Alone => file.try_lock(),
            };
            match tried {
                Ok(()) => return Ok(Self { file }),
                Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(TryLockError::Error(e)) => return Err(io_error(path, e)),
                Err(TryLockError::WouldBlock) => {}
            }
            let waited = start.elapsed();
            if waited >= options.wait {
                return Err(StoreError::Busy { path: path.to_owned(), seconds: options.wait.as_secs() });
            }
            if waited >= TOLD_AFTER && !told {
                options.tell.say(&format!("waiting for another process that has {} locked", path.display()));
                told = true;
            }
            std::thread::sleep(pause.min(options.wait.saturating_sub(waited)));
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }
}

/// Opens the file that is locked at `path`, and makes it where there is none.
pub(crate) fn open_lock(path: &Path) -> Result<File, StoreError> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    options.open(path).map_err(|e| io_error(path, e))
}

/// What the living processes have pinned. The caller holds the store's lock alone, so that nobody pins meanwhile.
pub(crate) fn pinned(parent: &Path, _held: &Held) -> Result<BTreeSet<Digest>, StoreError> {
    let mut all = BTreeSet::new();
    for path in run_folders(parent)? {
        let lock_path = path.with_extension("lock");
        if !is_held(&lock_path).map_err(|e| io_error(&lock_path, e))? {
            continue;
        }
        let pins = path.join(PINS);
        let bytes = match fs::read(&pins) {
            Ok(bytes) => bytes,
            // The process has just ended.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(io_error(&pins, e)),
        };
        all.extend(bytes.as_chunks::<32>().0.iter().map(|bytes| Digest::from(*bytes)));
    }
    Ok(all)
}

fn remove_abandoned(parent: &Path) -> Result<(), StoreError> {
    for path in run_folders(parent)? {
        let lock_path = path.with_extension("lock");
        // Where nobody knows, it may be in use.
        if is_held(&lock_path).is_ok_and(|held| !held) {
            let _ = fs::remove_dir_all(&path);
            let _ = fs::remove_file(&lock_path);
        }
    }
    Ok(())
}

/// Whether the process whose lock this is lives. Without a lock, it has ended.
fn is_held(lock_path: &Path) -> io::Result<bool> {
    let file = match File::open(lock_path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

#[expect(clippy::disallowed_methods, reason = "the order in which they are looked at shows nowhere")]
fn run_folders(parent: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(parent).map_err(|e| io_error(parent, e))? {
        let path = entry.map_err(|e| io_error(parent, e))?.path();
        let is_run = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run-"));
        if is_run && path.extension().is_none_or(|e| e != "lock") {
            folders.push(path);
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Tell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn leftovers_of_the_dead_go_and_those_of_the_living_stay() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::default();
        let living = TempRoot::new(dir.path(), &options).unwrap();
        fs::write(living.path().join("x"), "x").unwrap();
        fs::create_dir(dir.path().join("run-dead")).unwrap();
        fs::write(dir.path().join("run-dead.lock"), "").unwrap();
        fs::create_dir(dir.path().join("run-older")).unwrap();
        let other = TempRoot::new(dir.path(), &options).unwrap();
        assert!(living.path().join("x").exists() && other.path().exists());
        assert!(!dir.path().join("run-dead").exists() && !dir.path().join("run-older").exists());
        assert!(!dir.path().join("run-dead.lock").exists());
    }

    #[test]
    fn where_nobody_knows_whether_a_process_lives_it_does() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::default();
        fs::create_dir(dir.path().join("run-x")).unwrap();
        // A link to itself can't be opened, by anybody.
        std::os::unix::fs::symlink("run-x.lock", dir.path().join("run-x.lock")).unwrap();
        let _other = TempRoot::new(dir.path(), &options).unwrap();
        assert!(dir.path().join("run-x").exists());
        let path = dir.path().join("lock");
        let held = Held::take(open_lock(&path).unwrap(), &path, Kind::Alone, &options).unwrap();
        assert!(matches!(pinned(dir.path(), &held), Err(StoreError::Io { .. })));
        fs::remove_file(dir.path().join("run-x.lock")).unwrap();
        assert_eq!(pinned(dir.path(), &held).unwrap(), BTreeSet::new());
    }

    #[test]
    fn waiting_for_a_lock_ends_and_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let told = Arc::new(AtomicUsize::new(0));
        let count = told.clone();
        let tell = Tell::new(move |text| {
            assert!(text.starts_with("waiting for another process"), "{text}");
            count.fetch_add(1, Ordering::Relaxed);
        });
        let options = |ms| StoreOptions { wait: Duration::from_millis(ms), tell: tell.clone(), ..Default::default() };
        let take = |kind, ms| Held::take(open_lock(&path).unwrap(), &path, kind, &options(ms));
        let one = take(Kind::WithOthers, 0).unwrap();
        let other = take(Kind::WithOthers, 0).unwrap();
        assert!(matches!(take(Kind::Alone, 20), Err(StoreError::Busy { .. })));
        assert_eq!(told.load(Ordering::Relaxed), 0);
        assert!(matches!(take(Kind::Alone, 1200), Err(StoreError::Busy { seconds: 1, .. })));
        assert_eq!(told.load(Ordering::Relaxed), 1);
        drop((one, other));
        let alone = take(Kind::Alone, 0).unwrap();
        let later = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| take(Kind::WithOthers, 60_000).is_ok());
            std::thread::sleep(Duration::from_millis(20));
            drop(alone);
            waiting.join().unwrap()
        });
        assert!(later);
    }
}
