// SPDX-License-Identifier: Apache-2.0
//! The machine's pip, and the place where it works.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reprove_model::{DigestSet, HashBoth, InputName, Sha256};
use reprove_store::Store;
use tempfile::TempDir;
use tokio::process::Command;

use crate::InputsError;
use crate::process::{self, Finished, ProcessError};

/// The machine's pip, and what it works for.
#[derive(Clone, Debug)]
pub struct Pip {
    /// A Python that has pip 23.0 or newer. Its configuration says which index is used, and how.
    pub python: PathBuf,
    /// The Python of the environment that builds run in; wheels are chosen for it. It needs no pip.
    pub interpreter: PathBuf,
    /// All the environment variables that pip gets; `None` for those of this process.
    pub env: Option<Vec<(OsString, OsString)>>,
    /// How long each call of pip may take.
    pub time_limit: Duration,
}

impl Pip {
    /// The pip of `python`, working for `interpreter`, with this process's environment variables and ten minutes a call.
    #[must_use]
    pub fn new(python: impl Into<PathBuf>, interpreter: impl Into<PathBuf>) -> Self {
        let time_limit = Duration::from_secs(600);
        Self { python: python.into(), interpreter: interpreter.into(), env: None, time_limit }
    }

    /// Runs Python with `arguments`.
    pub(crate) async fn run(
        &self,
        doing: &'static str,
        workplace: &Workplace,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Finished, InputsError> {
        let mut command = Command::new(&self.python);
        if let Some(env) = &self.env {
            command.env_clear().envs(env.iter().map(|(name, value)| (name, value)));
        }
        // pip leaves its temporary files behind when it is killed: below the workplace, they go with it. `-c` and `-m`
        // import from the working directory first: it is empty.
        command.env("TMPDIR", workplace.path("tmp")).env("PIP_REQUIRE_VIRTUALENV", "0");
        command.current_dir(workplace.path("empty")).args(arguments);
        process::run(command, self.time_limit, MAX_STDOUT).await.map_err(|error| match error {
            ProcessError::Start(source) => {
                let install = "install Python 3 with pip (Debian and Ubuntu: apt install python3-pip)";
                InputsError::NoProgram { program: self.python.display().to_string(), source, install }
            }
            ProcessError::TimeOut => InputsError::TimeOut { doing, seconds: self.time_limit.as_secs() },
            ProcessError::Io(_) | ProcessError::TooMuch(_) => InputsError::Answer { doing, why: error.to_string() },
        })
    }

    /// Runs `pip` for the environment's Python.
    pub(crate) async fn pip(
        &self,
        doing: &'static str,
        workplace: &Workplace,
        arguments: &[OsString],
    ) -> Result<(), InputsError> {
        let mut all: Vec<OsString> =
            vec!["-m".into(), "pip".into(), "--python".into(), self.interpreter.clone().into()];
        all.extend(["--no-input", "--disable-pip-version-check", "--no-color", "--quiet"].map(OsString::from));
        all.extend_from_slice(arguments);
        let finished = self.run(doing, workplace, all).await?;
        if finished.status.success() { Ok(()) } else { Err(failed(doing, finished)) }
    }
}

/// The most that a program may write to standard output, in bytes.
const MAX_STDOUT: u64 = 4 << 20;
/// The largest file that is fetched, in bytes.
pub(crate) const MAX_FILE: u64 = 512 << 20;

/// The error of a program that ended with another status than 0.
pub(crate) fn failed(doing: &'static str, finished: Finished) -> InputsError {
    let said = if finished.said.is_empty() { finished.status.to_string() } else { finished.said };
    InputsError::Failed { doing, said }
}

/// A temporary directory in which pip works and downloads.
pub(crate) struct Workplace(TempDir);

impl Workplace {
    pub(crate) fn new(store: &Store) -> Result<Self, InputsError> {
        let workplace = Self(store.temp_dir()?);
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

    /// Writes a file for pip to read.
    pub(crate) fn write(&self, name: &str, lines: &[String]) -> Result<PathBuf, InputsError> {
        let path = self.path(name);
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&path, text).map_err(|source| InputsError::Io { path: path.clone(), source })?;
        Ok(path)
    }
}

/// A downloaded file that is what the index promised.
#[derive(Debug)]
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
