// SPDX-License-Identifier: Apache-2.0
//! The machine's pip, and the place where it works.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reprove_model::{DigestSet, HashBoth, InputName, Sha256};
use reprove_store::Store;
use tempfile::TempDir;
use tokio::process::Command;

use super::said;
use crate::process::{self, Finished, ProcessError};
use crate::{InputsError, blocking};

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

    /// Runs Python with `arguments`. It is ended once the workplace has too much in it.
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
        let finished = tokio::select! {
            finished = process::run(command, self.time_limit, MAX_STDOUT) => finished,
            full = workplace.fills() => return Err(full),
        };
        let finished = finished.map_err(|error| match error {
            ProcessError::Start(source) => {
                let install = "install Python 3 with pip (Debian and Ubuntu: apt install python3-pip)";
                InputsError::NoProgram { program: self.python.display().to_string(), source, install }
            }
            ProcessError::TimeOut => InputsError::TimeOut { doing, seconds: self.time_limit.as_secs() },
            ProcessError::Io(_) | ProcessError::TooMuch(_) => InputsError::Answer { doing, why: error.to_string() },
        })?;
        workplace.is_bounded().await?;
        Ok(finished)
    }

    /// Runs `pip` for the environment's Python.
    ///
    /// # Errors
    /// Among others, [`InputsError::NoDistribution`] where pip has read every page of the index and nothing fits.
    pub(crate) async fn pip(
        &self,
        doing: &'static str,
        workplace: &Workplace,
        arguments: &[OsString],
    ) -> Result<(), InputsError> {
        let mut all: Vec<OsString> =
            vec!["-m".into(), "pip".into(), "--python".into(), self.interpreter.clone().into()];
        all.extend(["--no-input", "--disable-pip-version-check", "--no-color", "--quiet"].map(OsString::from));
        let log = workplace.new_log()?;
        all.extend(["--log".into(), log.clone().into()]);
        all.extend_from_slice(arguments);
        let finished = self.run(doing, workplace, all).await?;
        if finished.status.success() {
            return Ok(());
        }
        let error = said::error(&finished.said).unwrap_or_else(|| failed(doing, finished));
        if let InputsError::NoDistribution(_) = error {
            let (path, workplace) = (log.clone(), workplace.clone());
            let page = blocking::run(&path, move || {
                let _workplace = workplace;
                said::unreadable_page(&log).map_err(|source| InputsError::Io { path: log, source })
            });
            if let Some(why) = page.await? {
                return Err(InputsError::Unreachable(why));
            }
        }
        Err(error)
    }
}

/// The most that a program may write to standard output, in bytes.
const MAX_STDOUT: u64 = 4 << 20;
/// The largest file that is fetched, in bytes.
pub(crate) const MAX_FILE: u64 = 512 << 20;

/// The most that may be in the workplace while a program works there, in bytes: the release's two files, the back end's,
/// and what pip has beside them while it fetches.
const MAX_WORKPLACE: u64 = 4 << 30;
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The error of a program that ended with another status than 0.
pub(crate) fn failed(doing: &'static str, finished: Finished) -> InputsError {
    let said = if finished.said.is_empty() { finished.status.to_string() } else { finished.said };
    InputsError::Failed { doing, said }
}

/// A temporary directory in which pip works and downloads. Cheap to clone; it goes with the last one.
#[derive(Clone)]
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

    /// Writes a file for pip to read.
    pub(crate) fn write(&self, name: &str, lines: &[String]) -> Result<PathBuf, InputsError> {
        let path = self.path(name);
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&path, text).map_err(|source| InputsError::Io { path: path.clone(), source })?;
        Ok(path)
    }

    /// Where a call of pip logs to, which adds to what is there.
    fn new_log(&self) -> Result<PathBuf, InputsError> {
        self.write("pip.log", &[])
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
        let name = "what pip fetches".to_owned();
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

    /// A Python that is a shell script.
    fn python(dir: &Path, script: &str) -> Pip {
        let python = dir.join("python");
        fs::write(&python, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Pip { time_limit: Duration::from_secs(60), ..Pip::new(python, "/usr/bin/python3") }
    }

    #[tokio::test]
    async fn the_bound_on_the_workplace_holds_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let run = async |bytes: u64, then: &str| {
            let pip = python(dir.path(), &format!("truncate -s {bytes} \"$TMPDIR/a\"\n{then}"));
            let workplace = Workplace::new(&store).unwrap();
            let result = pip.pip("trying", &workplace, &[]).await;
            (result, workplace.path("tmp/b").exists())
        };
        assert!(run(MAX_WORKPLACE, "sleep 0.3").await.0.is_ok());
        assert!(matches!(run(MAX_WORKPLACE + 1, "exit 0").await.0, Err(InputsError::TooLarge { .. })));
        // While it runs, and before it can do more.
        let (ended, went_on) = run(MAX_WORKPLACE + 1, "sleep 30; touch \"$TMPDIR/b\"").await;
        assert!(matches!(&ended, Err(InputsError::TooLarge { most: MAX_WORKPLACE, .. })), "{ended:?}");
        assert!(!went_on);
    }

    #[tokio::test]
    async fn each_call_has_a_log_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let workplace = Workplace::new(&store).unwrap();
        let call = async |line: &str| {
            let script =
                format!("echo '{line}' >> ../pip.log; echo 'ERROR: No matching distribution found for a' >&2; exit 1");
            python(dir.path(), &script).pip("trying", &workplace, &[]).await.unwrap_err()
        };
        let first = call("Could not fetch URL https://a/: timed out - skipping").await;
        assert!(matches!(&first, InputsError::Unreachable(why) if why == "https://a/: timed out"), "{first}");
        let second = call("all was there").await;
        assert!(matches!(&second, InputsError::NoDistribution(_)), "{second}");
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
