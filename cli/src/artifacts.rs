// SPDX-License-Identifier: Apache-2.0
//! The directory of `--artifacts`: what was published, what was built, and all that the proof names by digest; and that of
//! `--out`, with one build's.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use nix::dir::Dir;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, mkdirat};
use reprove_inputs::directory::would_take;
use reprove_job::{BuiltOnce, Finished, JobError};
use reprove_model::{Cause, Digest, Recipe, Tree, canonical};
use reprove_store::{CheckOutError, SetId, Store, Use};

use crate::app::blocking;
use crate::error::{BAD_USAGE, CommandError, from_error};
use crate::output::{WriteError, cannot_write};

/// How much of a file is copied before signals are looked for again.
const PART: usize = 1 << 20;

/// A directory that is filled once and was empty before. What it holds goes again unless all of it was written.
#[derive(Debug)]
pub(crate) struct Artifacts {
    path: PathBuf,
    folder: OwnedFd,
    /// Whether the directory itself was made here.
    made: bool,
    /// What was made in it, at its top.
    begun: Vec<PathBuf>,
}

impl Artifacts {
    /// Makes the directory at `path`, which is absolute, or takes an empty one. `what` says in a message what it is for.
    pub(crate) fn prepare(path: &Path, what: &str) -> Result<Self, CommandError> {
        // Without a slash at its end, which would follow a link.
        let path: PathBuf = path.components().collect();
        let shown = path.display();
        let fail = |e: io::Error| {
            from_error(BAD_USAGE, &WriteError(shown.to_string(), e))
                .next("name a directory that is not there yet, or an empty one")
        };
        fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(fail)?;
        let made = match DirBuilder::new().mode(0o755).create(&path) {
            Ok(()) => true,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
            Err(e) => return Err(fail(e)),
        };
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let folder = File::options().read(true).custom_flags(flags.bits()).open(&path).map_err(fail)?;
        if !is_empty(&folder).map_err(fail)? {
            return Err(CommandError::bad_usage(format!("the directory for the {what}, {shown}, is not empty"))
                .next("name one that is not there yet, or empty it"));
        }
        Ok(Self { path, folder: folder.into(), made, begun: Vec::new() })
    }

    /// Refuses a directory that is in the source of `recipe`, which lies in `project`: what this run writes must not change
    /// what the next one reads. `shown` is the directory as `option` gave it.
    pub(crate) async fn keep_out_of_source(
        &self,
        recipe: &Recipe,
        project: &Path,
        shown: &Path,
        option: &str,
    ) -> Result<(), CommandError> {
        if !would_take(recipe, project, &self.path).await.map_err(JobError::from)? {
            return Ok(());
        }
        let text = format!("{} is in the source, and would be a part of it the next time", shown.display());
        Err(CommandError::bad_usage(text).next(format!(
            "name a directory outside of the source with {option}; in a Git work tree, one that Git ignores does as well"
        )))
    }

    /// Writes what was published to `published/`, the rebuilds' outputs to `first/` and `second/`, and beside them the lock,
    /// the logs and the build records, also those that show causes.
    pub(crate) async fn fill(mut self, store: &Store, finished: &Finished) -> Result<(), CommandError> {
        if let Some(published) = &finished.lock.published {
            self.directory("published")?;
            let name = Path::new("published").join(published.name.as_str());
            self.copy(store.open_blob(&published.digest.blake3)?, 0o644, &name).await?;
            if !published.parts.is_empty() {
                self.directory("published/blobs")?;
                self.directory("published/blobs/sha256")?;
            }
            for part in &published.parts {
                let name = Path::new("published").join(part.path());
                self.copy(store.open_blob(&part.digest.blake3)?, 0o644, &name).await?;
            }
        }
        self.document("lock.json", canonical::to_vec(&finished.lock)).await?;
        for ((name, record), log) in ["first", "second"].into_iter().zip(&finished.records).zip(&finished.logs) {
            self.document(&format!("{name}.record.json"), canonical::to_vec(record)).await?;
            let printed = File::open(log).map_err(|e| CommandError::cannot(format!("{}: {e}", log.display())))?;
            self.copy(printed, 0o644, Path::new(&format!("{name}.log"))).await?;
            self.tree(store, name, &record.outputs).await?;
        }
        let causes = finished.verdict.findings.iter().flat_map(|finding| &finding.causes);
        let mut records: Vec<Digest> = causes.map(record_of).collect();
        records.sort_unstable();
        records.dedup();
        for record in records {
            let name: String = record.to_string().chars().take(16).collect();
            self.copy(store.open_blob(&record)?, 0o644, Path::new(&format!("cause-{name}.record.json"))).await?;
        }
        self.keep();
        Ok(())
    }

    /// Writes the outputs of one build to `outputs/`, and beside it the lock and the build record.
    pub(crate) async fn fill_once(mut self, store: &Store, built: &BuiltOnce) -> Result<(), CommandError> {
        self.tree(store, "outputs", &built.record.outputs).await?;
        self.document("lock.json", canonical::to_vec(&built.lock)).await?;
        self.document("record.json", canonical::to_vec(&built.record)).await?;
        self.keep();
        Ok(())
    }

    /// Writes files, each with its name.
    pub(crate) async fn fill_with(mut self, files: &[(String, Vec<u8>)]) -> Result<(), CommandError> {
        for (name, bytes) in files {
            self.copy(bytes.as_slice(), 0o644, Path::new(name)).await?;
        }
        self.keep();
        Ok(())
    }

    /// All of it stays.
    fn keep(&mut self) {
        self.begun.clear();
        self.made = false;
    }

    async fn document(
        &mut self,
        name: &str,
        bytes: Result<Vec<u8>, canonical::CanonicalError>,
    ) -> Result<(), CommandError> {
        let bytes = bytes.map_err(|e| CommandError::cannot(e.to_string()))?;
        self.copy(bytes.as_slice(), 0o644, Path::new(name)).await
    }

    /// Writes a tree as it is, sharing its bytes with the store where neither can change the other's.
    async fn tree(&mut self, store: &Store, name: &str, tree: &Tree) -> Result<(), CommandError> {
        self.directory(name)?;
        let name = Path::new(name);
        let folder = self.open(name).map_err(|e| self.cannot_write(name, e))?;
        let (store, tree, stop) = (store.clone(), tree.clone(), Arc::<AtomicBool>::default());
        let (alive, ended) = mpsc::channel::<()>();
        let _writer = Writer { stop: Arc::clone(&stop), ended };
        let written = blocking(move || {
            let _alive = alive;
            store.check_out(&tree, folder, Use::Writable, SetId::Refuse, &stop)
        });
        match written.await? {
            Ok(_) => Ok(()),
            Err(CheckOutError::Io { path, source }) => Err(self.cannot_write(&name.join(path), source)),
            Err(CheckOutError::Store(error)) => Err(error.into()),
            Err(error @ (CheckOutError::NotEmpty | CheckOutError::Stopped)) => {
                Err(CommandError::cannot(error.to_string()))
            }
        }
    }

    /// Makes a directory at the top.
    fn directory(&mut self, name: &str) -> Result<(), CommandError> {
        let mode = Mode::from_bits_truncate(0o755);
        self.made_at(Path::new(name), |parent, name| mkdirat(parent, name, mode))
    }

    /// Copies to a file that is not there yet, and looks for signals now and then.
    async fn copy(&mut self, mut from: impl Read, mode: u16, path: &Path) -> Result<(), CommandError> {
        let mut file = None;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        self.made_at(path, |parent, name| {
            file = Some(openat(parent, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
            Ok(())
        })?;
        let Some(mut file) = file.map(File::from) else { return Ok(()) };
        let fail = |e| self.cannot_write(path, e);
        let mut part = vec![0; PART];
        loop {
            tokio::task::yield_now().await;
            let read = match from.read(&mut part) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(fail(e)),
            };
            file.write_all(part.get(..read).unwrap_or_default()).map_err(fail)?;
        }
        file.set_permissions(permissions(mode)).map_err(fail)
    }

    /// Calls `make` with the open directory that holds `path`, and with its last name. What it makes is removed should the
    /// rest fail.
    fn made_at(
        &mut self,
        path: &Path,
        make: impl FnOnce(std::os::fd::BorrowedFd<'_>, &std::ffi::OsStr) -> nix::Result<()>,
    ) -> Result<(), CommandError> {
        let name = path.file_name().unwrap_or_default();
        let parent = self.open(path.parent().unwrap_or(Path::new("")));
        let made = parent.and_then(|parent| Ok(make(parent.as_fd(), name)?));
        made.map_err(|e| self.cannot_write(path, e))?;
        if path == Path::new(name) {
            self.begun.push(path.to_owned());
        }
        Ok(())
    }

    /// Opens a directory below this one; links lead nowhere.
    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let within = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        Ok(openat2(&self.folder, path, OpenHow::new().flags(flags).resolve(within))?)
    }

    fn cannot_write(&self, path: &Path, error: io::Error) -> CommandError {
        cannot_write(&self.path.join(path), error)
    }
}

/// A thread that writes. When the value goes, the thread is told to stop, and waited for, so that it writes nothing more into
/// what is then removed.
struct Writer {
    stop: Arc<AtomicBool>,
    ended: mpsc::Receiver<()>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Nothing is ever sent; it is an error once the thread has let go of its end.
        let _ = self.ended.recv();
    }
}

impl Drop for Artifacts {
    fn drop(&mut self) {
        for name in &self.begun {
            let path = self.path.join(name);
            // What can't be removed stays, and the command has failed in any case.
            let _ = if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
        if self.made {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

fn is_empty(folder: &File) -> io::Result<bool> {
    let mut listing = Dir::from_fd(folder.try_clone()?.into())?;
    for entry in listing.iter() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Read, write and execute alone: nothing that was built runs as somebody else.
fn permissions(mode: u16) -> Permissions {
    Permissions::from_mode(u32::from(mode & 0o777))
}

/// Of the build record that shows a cause.
fn record_of(cause: &Cause) -> Digest {
    cause.record().blake3
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::symlink;

    use reprove_model::{LinkTarget, Node, TreePath};

    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
    }

    #[test]
    fn only_an_empty_directory_or_a_new_one_will_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["new", "deep/new", "empty"] {
            if name == "empty" {
                fs::create_dir(path(name)).unwrap();
            }
            drop(Artifacts::prepare(&path(name), "artifacts").unwrap());
            assert_eq!(path(name).exists(), name == "empty", "only what was made goes again");
        }
        fs::create_dir(path("full")).unwrap();
        fs::write(path("full/x"), "").unwrap();
        symlink(path("empty"), path("link")).unwrap();
        for name in ["full", "full/x", "link", "link/", "link/."] {
            let error = Artifacts::prepare(&path(name), "artifacts").unwrap_err();
            assert_eq!((error.code, error.into_parts().1.len()), (BAD_USAGE, 1), "{name}");
        }
        assert!(path("full/x").exists() && path("link").exists());
    }

    /// A directory that is swapped for a link after it was made, and a link in the tree itself, lead nowhere.
    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (outside, inside) = (dir.path().join("outside"), dir.path().join("inside"));
        fs::create_dir(&outside).unwrap();
        let mut artifacts = Artifacts::prepare(&inside, "artifacts").unwrap();
        symlink(&outside, inside.join("first")).unwrap();
        assert!(artifacts.directory("first").is_err());
        assert!(run(artifacts.copy(&b"x"[..], 0o644, Path::new("first/x"))).is_err());
        symlink(outside.join("x"), inside.join("lock.json")).unwrap();
        assert!(run(artifacts.copy(&b"x"[..], 0o644, Path::new("lock.json"))).is_err());
        assert!(!outside.join("x").exists());
        drop(artifacts);
        assert!(inside.join("first").is_symlink(), "what somebody else has put there is not removed");
    }

    #[test]
    fn a_tree_is_written_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let (digest, size) = store.add_bytes(b"text").unwrap();
        let path = |text: &str| TreePath::new(text).unwrap();
        let entries = BTreeMap::from([
            (path("closed"), Node::Directory { mode: 0o555 }),
            (path("closed/empty"), Node::Directory { mode: 0o700 }),
            (path("closed/file"), Node::File { mode: 0o4751, size, digest }),
            (path("link"), Node::Symlink { target: LinkTarget::new("/etc/shadow").unwrap() }),
        ]);
        let made = dir.path().join("made");
        let mut artifacts = Artifacts::prepare(&made, "artifacts").unwrap();
        run(artifacts.tree(&store, "first", &Tree::new(entries).unwrap())).unwrap();
        let mode = |name: &str| made.join(name).symlink_metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(["first/closed", "first/closed/empty", "first/closed/file"].map(mode), [0o555, 0o700, 0o751]);
        assert_eq!(fs::read(made.join("first/closed/file")).unwrap(), b"text");
        assert_eq!(fs::read_link(made.join("first/link")).unwrap(), Path::new("/etc/shadow"));
        fs::set_permissions(made.join("first/closed"), Permissions::from_mode(0o755)).unwrap();
    }
}
