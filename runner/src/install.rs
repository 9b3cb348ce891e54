// SPDX-License-Identifier: Apache-2.0
//! Packages into a new system: what makes an environment.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use reprove_images::RootFilesystem;
use reprove_model::{Digest, Exit, Limits, Surroundings, Tree, User};
use reprove_store::{IngestError, IngestLimits, Store, Unpacked};
use thiserror::Error;

use crate::determine::Told;
use crate::namespaces::{Sandbox, SandboxError, SandboxRequest, take_name};
use crate::source::to_make;

/// What is installed, and by what.
#[derive(Clone, Debug)]
pub struct Installation {
    /// What is there besides: links in `/`, and no directories of any machine's.
    pub root: RootFilesystem,
    /// The directories of `/` that the system has; they alone are taken out at the end.
    pub directories: Vec<String>,
    /// What is in them at the start.
    pub base: Unpacked,
    /// Files outside, and where they appear inside, read-only.
    pub inputs: Vec<(PathBuf, String)>,
    /// Shell scripts, one after the other, run by a user who is called root and has no power.
    pub scripts: Vec<String>,
    /// All environment variables.
    pub env: BTreeMap<String, String>,
    /// Past any of these it is ended.
    pub limits: Limits,
    /// What the clock says, in seconds since 1970.
    pub time: u64,
    /// What all entropy comes from.
    pub seed: Digest,
    /// The name of the log's file, without its ending.
    pub label: String,
}

/// Why there is no system.
#[derive(Debug, Error)]
pub enum InstallError {
    /// There was no run.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A script failed.
    #[error("the environment's packages can't be installed: {}; the log is {}", said(exit), log.display())]
    Failed {
        /// How it ended.
        exit: Exit,
        /// Where what it printed is.
        log: PathBuf,
    },
    /// The result can't be kept.
    #[error("the environment's packages were installed, and the result can't be kept: {error}; the log is {}", log.display())]
    Keep {
        /// Why.
        error: IngestError,
        /// Where what was printed is.
        log: PathBuf,
    },
}

fn said(exit: &Exit) -> String {
    match exit {
        Exit::Success => "nothing came of it".into(),
        Exit::Status { step, out_of_memory: true, .. } => format!("step {} ran out of memory", step + 1),
        Exit::Status { step, status, .. } => format!("step {} ended with status {status}", step + 1),
        Exit::Signal { step, out_of_memory: true, .. } => format!("step {} ran out of memory", step + 1),
        Exit::Signal { step, signal, .. } => format!("step {} was ended by signal {signal}", step + 1),
        Exit::TimeOut => "it took too long".into(),
    }
}

impl Installation {
    /// Installs, and gives the files of the system's directories; they are in `store` then.
    ///
    /// # Errors
    /// See [`InstallError`].
    pub async fn run(self, sandbox: &Sandbox, store: &Store) -> Result<Tree, InstallError> {
        let io = |doing| move |source| SandboxError::Io { doing, source };
        let log = take_name(&store.root().join("logs"), &self.label).map_err(io("making the log"))?;
        let command = |script: &String| vec!["/bin/sh".to_owned(), "-ec".to_owned(), script.clone()];
        let base = self.base.entries.iter().map(|(path, entry)| to_make(path, &entry.node, entry.modified));
        let user = User { name: "root".into(), id: 0 };
        let request = SandboxRequest {
            source: base.collect(),
            installed: self.directories,
            inputs: self.inputs,
            processors: 1,
            limits: self.limits,
            env: self.env,
            surroundings: Surroundings { user: Some(user), ..Surroundings::default() },
            told: Some(Told::fixed_at(self.time, self.seed)),
            ..SandboxRequest::new(
                &self.root,
                store.blob_root(),
                self.scripts.iter().map(command).collect(),
                log.clone(),
            )
        };
        let outcome = sandbox.run(request).await?;
        let (Exit::Success, Some(folder)) = (outcome.exit, outcome.source) else {
            return Err(InstallError::Failed { exit: outcome.exit, log });
        };
        let limits = IngestLimits { bytes: u64::from(self.limits.disk_mib) << 20, ..IngestLimits::default() };
        let store = store.clone();
        // On a thread of its own, so that this future can be dropped at any time.
        let taken = tokio::task::spawn_blocking(move || store.add_tree_at(folder.as_fd(), limits, &|_| false)).await;
        let taken = taken.map_err(|e| SandboxError::Io { doing: "keeping what was installed", source: e.into() })?;
        taken.map_err(|error| InstallError::Keep { error, log })
    }
}
