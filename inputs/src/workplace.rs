// SPDX-License-Identifier: Apache-2.0
//! The place where an ecosystem's client works, and what it has fetched there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reprove_model::{Derived, DigestSet, HashBoth, InputName, PackageUrl, Published, Sha256};
use reprove_store::Store;
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::{self, Finished, ProcessError};
use crate::{InputsError, blocking};

/// A temporary directory in which an ecosystem's client works and downloads. Cheap to clone; it goes with the last one.
#[derive(Clone, Debug)]
pub(crate) struct Workplace(Arc<TempDir>);

impl Workplace {
    pub(crate) fn new(store: &Store) -> Result<Self, InputsError> {
        let workplace = Self(Arc::new(store.temp_dir()?));
        for name in ["tmp", "empty", "files"] {
            let path = workplace.path(name);
            fs::create_dir(&path).map_err(|source| InputsError::Io { path, source })?;
        }
        Ok(workplace)
    }

    /// A path directly inside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Where the file of that name is downloaded to.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path("files").join(name)
    }

    /// Writes a file for the client to read.
    pub(crate) fn write(&self, name: &str, lines: &[String]) -> Result<PathBuf, InputsError> {
        let path = self.path(name);
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&path, text).map_err(|source| InputsError::Io { path: path.clone(), source })?;
        Ok(path)
    }

    /// Runs a program in here. It is ended once there is too much in it. `install` says how to get the program.
    pub(crate) async fn run(
        &self,
        command: Command,
        doing: &'static str,
        limit: Duration,
        install: &'static str,
    ) -> Result<Finished, InputsError> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let finished = tokio::select! {
            finished = process::run(command, limit, MAX_STDOUT) => finished,
            full = self.fills() => return Err(full),
        };
        let finished = finished.map_err(|error| match error {
            ProcessError::Start(source) => InputsError::NoProgram { program, source, install },
            ProcessError::TimeOut => InputsError::TimeOut { doing, seconds: limit.as_secs() },
            ProcessError::Io(_) | ProcessError::TooMuch(_) => InputsError::Answer { doing, why: error.to_string() },
        })?;
        self.is_bounded().await?;
        Ok(finished)
    }

    /// Comes back once there is too much in it.
    async fn fills(&self) -> InputsError {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Err(error) = self.is_bounded().await {
                return error;
            }
        }
    }

    /// Fails where there is too much in it.
    async fn is_bounded(&self) -> Result<(), InputsError> {
        // Not the workplace itself, which this would keep from going when the program is given up.
        let root = self.0.path().to_owned();
        let path = root.clone();
        let bytes = blocking::run(&path, move || size_below(root)).await?;
        let name = "what is fetched".to_owned();
        if bytes > MAX_WORKPLACE { Err(InputsError::TooLarge { name, most: MAX_WORKPLACE }) } else { Ok(()) }
    }
}

/// The size of all files below a directory in which somebody works, in bytes.
#[expect(clippy::disallowed_methods, reason = "a sum needs no order")]
fn size_below(root: PathBuf) -> Result<u64, InputsError> {
    let mut bytes = 0_u64;
    let mut directories = vec![root];
    while let Some(path) = directories.pop() {
        let mut look = || {
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                let metadata = match entry.metadata() {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    other => other?,
                };
                if metadata.is_dir() {
                    directories.push(entry.path());
                } else {
                    bytes = bytes.saturating_add(metadata.len());
                }
            }
            Ok::<_, io::Error>(())
        };
        match look() {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(InputsError::Io { path, source }),
            _ => {}
        }
    }
    Ok(bytes)
}

/// A downloaded file that is what the index promised.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    /// Its name.
    pub(crate) name: InputName,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Of its bytes.
    pub(crate) digest: DigestSet,
    /// Bytes.
    pub(crate) size: u64,
}

impl Fetched {
    /// Digests a downloaded file, and compares it with what the index promised, if it did.
    pub(crate) fn check(name: InputName, path: &Path, promised: Option<Sha256>) -> Result<Self, InputsError> {
        let io_error = |source| InputsError::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(io_error)?;
        if file.metadata().map_err(io_error)?.len() > MAX_FILE {
            return Err(InputsError::TooLarge { name: name.to_string(), most: MAX_FILE });
        }
        let mut both = HashBoth::default();
        io::copy(&mut file, &mut both).map_err(io_error)?;
        let (digest, size) = both.finish();
        match promised {
            Some(expected) if expected != digest.sha256 => {
                Err(InputsError::Mismatch { name: name.to_string(), expected, actual: digest.sha256 })
            }
            _ => Ok(Self { name, path: path.to_owned(), digest, size }),
        }
    }

    /// It as what was published, which this was taken of.
    pub(crate) fn published(self, purl: &PackageUrl, derived: BTreeSet<Derived>) -> Published {
        let Self { name, digest, size, .. } = self;
        Published { purl: Some(purl.clone()), name, digest, size, derived, parts: BTreeSet::new() }
    }

    /// Puts it into the store, and sees that it is still the same.
    pub(crate) fn keep(&self, store: &Store) -> Result<(), InputsError> {
        let (digest, _) = store.add_file(&self.path)?;
        if digest != self.digest {
            let (expected, actual) = (self.digest.sha256, digest.sha256);
            return Err(InputsError::Mismatch { name: self.name.to_string(), expected, actual });
        }
        Ok(())
    }
}

/// The most that a program may write to standard output, in bytes.
const MAX_STDOUT: u64 = 4 << 20;
/// The largest file that is fetched, in bytes.
pub(crate) const MAX_FILE: u64 = 512 << 20;

/// The most that may be in the workplace while a program works there, in bytes: what was published, the tools' files,
/// and what the client has beside them while it fetches.
pub(crate) const MAX_WORKPLACE: u64 = 4 << 30;
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The error of a program that ended with another status than 0.
pub(crate) fn failed(doing: &'static str, finished: Finished) -> InputsError {
    let said = if finished.said.is_empty() { finished.status.to_string() } else { finished.said };
    InputsError::Failed { doing, said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_promised_is_what_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, "abc").unwrap();
        let check = |promised| Fetched::check("x".parse().unwrap(), &path, promised);
        assert_eq!(check(None).unwrap().digest, DigestSet::of(b"abc"));
        assert_eq!(check(Some(Sha256::of(b"abc"))).unwrap().size, 3);
        let wrong = check(Some(Sha256::of(b"abd"))).unwrap_err();
        assert!(wrong.to_string().contains("nothing was kept"), "{wrong}");
    }

    #[test]
    fn the_bound_holds_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let file = File::create(&path).unwrap();
        let check = || Fetched::check("x".parse().unwrap(), &path, None);
        file.set_len(MAX_FILE + 1).unwrap();
        assert!(matches!(check(), Err(InputsError::TooLarge { .. })));
        file.set_len(MAX_FILE).unwrap();
        assert!(check().is_ok());
    }
}
