// SPDX-License-Identifier: Apache-2.0
//! The machine's pip.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::process::Command;

use super::said;
use crate::process::Finished;
use crate::workplace::{Workplace, failed};
use crate::{InputsError, blocking};

/// Which files of an index are seen: those that were uploaded before a time, and others by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Before {
    /// The time.
    pub(crate) time: Timestamp,
    /// What the names of these begin with, in lower case; nothing where there are none.
    pub(crate) but_for: String,
}

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
        let install = "install Python 3 with pip (Debian and Ubuntu: apt install python3-pip)";
        workplace.run(command, doing, self.time_limit, install).await
    }

    /// Runs `pip` for the environment's Python. It sees no file of the index that `before` leaves out.
    ///
    /// # Errors
    /// Among others, [`InputsError::NoDistribution`] where pip has read every page of the index and nothing fits.
    pub(crate) async fn pip(
        &self,
        doing: &'static str,
        workplace: &Workplace,
        before: Option<&Before>,
        arguments: &[OsString],
    ) -> Result<(), InputsError> {
        let interpreter = OsString::from(self.interpreter.clone());
        let mut all = match before {
            None => vec!["-m".into(), "pip".into(), "--python".into(), interpreter],
            Some(Before { time, but_for }) => {
                let script = include_str!("before.py").into();
                vec!["-c".into(), script, interpreter, time.to_string().into(), but_for.into()]
            }
        };
        all.extend(["--no-input", "--disable-pip-version-check", "--no-color", "--quiet"].map(OsString::from));
        // It adds to what is there.
        let log = workplace.write("pip.log", &[])?;
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use reprove_store::Store;

    use super::*;
    use crate::workplace::MAX_WORKPLACE;

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
            let result = pip.pip("trying", &workplace, None, &[]).await;
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
            python(dir.path(), &script).pip("trying", &workplace, None, &[]).await.unwrap_err()
        };
        let first = call("Could not fetch URL https://a/: timed out - skipping").await;
        assert!(matches!(&first, InputsError::Unreachable(why) if why == "https://a/: timed out"), "{first}");
        let second = call("all was there").await;
        assert!(matches!(&second, InputsError::NoDistribution(_)), "{second}");
    }
}
