// SPDX-License-Identifier: Apache-2.0
//! The machine's Nix: it says what of its store is whole, what refers to what, and which hashes it has registered.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use reprove_model::Sha256;
use reprove_store::Store;
use tokio::process::Command;

use super::NixError;
use super::names::{base32, split};
use crate::InputsError;
use crate::workplace::{Workplace, failed};

/// The machine's Nix.
#[derive(Clone, Debug)]
pub struct Nix {
    /// Its program `nix-store`.
    pub program: PathBuf,
    /// All the environment variables that it gets; `None` for those of this process.
    pub env: Option<Vec<(OsString, OsString)>>,
    /// How long each call may take.
    pub time_limit: Duration,
}

const ASKING: &str = "asking Nix";

/// The most paths that a closure may have.
pub(super) const MAX_PATHS: usize = 4096;

impl Nix {
    /// `program`, with this process's environment variables and ten minutes a call.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), env: None, time_limit: Duration::from_secs(600) }
    }

    /// What was built to give this path.
    pub(super) async fn deriver(&self, path: &str, store: &Store) -> Result<String, InputsError> {
        let lines = self.ask(&["--query", "--deriver"], &[path.to_owned()], store).await?;
        match lines.as_slice() {
            [deriver] if split(deriver).is_some() && deriver.ends_with(".drv") => Ok(deriver.clone()),
            _ => Err(NixError::NoDeriver(path.to_owned()).into()),
        }
    }

    /// Those of these paths that the store does not have.
    pub(super) async fn invalid(&self, paths: &[String], store: &Store) -> Result<Vec<String>, InputsError> {
        self.ask(&["--check-validity", "--print-invalid"], paths, store).await
    }

    /// These paths, all that they refer to, and so on, sorted.
    pub(super) async fn closure(&self, paths: &[String], store: &Store) -> Result<Vec<String>, InputsError> {
        let mut closure = self.ask(&["--query", "--requisites"], paths, store).await?;
        closure.sort();
        closure.dedup();
        if closure.len() > MAX_PATHS { Err(NixError::Paths.into()) } else { Ok(closure) }
    }

    /// The hash that is registered of each of these paths' archive.
    pub(super) async fn hashes(&self, paths: &[String], store: &Store) -> Result<Vec<Registered>, InputsError> {
        let hashes = self.ask(&["--query", "--hash"], paths, store).await?;
        if hashes.len() != paths.len() {
            let why = format!("{} hashes of {} paths", hashes.len(), paths.len());
            return Err(InputsError::Answer { doing: ASKING, why });
        }
        Ok(hashes.into_iter().map(Registered).collect())
    }

    /// Asks about `paths`; gives the lines of the answer.
    async fn ask(&self, what: &[&str], paths: &[String], store: &Store) -> Result<Vec<String>, InputsError> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = Command::new(&self.program);
        if let Some(env) = &self.env {
            command.env_clear().envs(env.iter().map(|(name, value)| (name, value)));
        }
        command.args(what).arg("--").args(paths);
        let install = "install Nix (Debian and Ubuntu: apt install nix-bin)";
        let finished = Workplace::new(store)?.run(command, ASKING, self.time_limit, install).await?;
        if !finished.status.success() {
            return Err(failed(ASKING, finished));
        }
        let wrong = |why: String| InputsError::Answer { doing: ASKING, why };
        let text = String::from_utf8(finished.stdout).map_err(|e| wrong(e.to_string()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

/// A hash as Nix says it.
#[derive(Clone, Debug)]
pub(super) struct Registered(String);

impl Registered {
    /// Whether it is this one.
    pub(super) fn is(&self, digest: &Sha256) -> bool {
        self.0.strip_prefix("sha256:").is_some_and(|hash| hash == base32(digest) || hash == digest.to_string())
    }

    /// As Nix says it, without what could do something to a terminal.
    pub(super) fn said(&self) -> String {
        self.0.chars().filter(|c| !c.is_control()).take(120).collect()
    }
}
