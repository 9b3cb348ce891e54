// SPDX-License-Identifier: Apache-2.0
//! Why a job came to no verdict.

use std::io;
use std::path::PathBuf;

use reprove_attest::{AttestError, ProofError};
use reprove_images::{EnvironmentError, KeepError};

use reprove_images::guest::UsrError;
use reprove_inputs::{InputsError, WheelError};
use reprove_model::Exit;
use reprove_model::canonical::CanonicalError;
use reprove_runner::{Built, RunError, SourceError};
use reprove_store::StoreError;
use reprove_verifier::JudgeError;
use reprove_verifier::compare::CompareError;
use reprove_verifier::explain::ExplainError;
use thiserror::Error;

use crate::builds::last_lines;
use crate::confidential::ConfidentialError;
use crate::environment::PackagesError;

/// Why a job came to no verdict.
#[derive(Debug, Error)]
pub enum JobError {
    /// The inputs could not be locked.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// The root filesystem can't be used.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The packages that it is to be made of don't make one.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// There is no image of `/usr` for a virtual machine.
    #[error(transparent)]
    Image(#[from] UsrError),
    /// The source can't be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Both builds would be under the same conditions.
    #[error("nothing would be another in the second build, so that it would show nothing")]
    NothingVaried,
    /// A build could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A build ran and failed.
    #[error(transparent)]
    Build(Box<BuildFailure>),
    /// There is no evidence of the machines that builds ran in.
    #[error(transparent)]
    Confidential(#[from] ConfidentialError),
    /// The results could not be compared.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// The published artifact's timestamps can't be read.
    #[error("the published artifact can't be read: {0}")]
    Published(#[from] WheelError),
    /// The same, of one that is no wheel.
    #[error("the published artifact can't be read: {0}")]
    Unread(#[source] io::Error),
    /// What was seen could not be stated.
    #[error(transparent)]
    Attest(#[from] AttestError),
    /// The proof could not be written.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A value has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// The root filesystem changed while builds ran in it.
    #[error(
        "this machine's /usr changed while the builds ran, so what they saw can't be stated; run it again when nothing is \
         being installed"
    )]
    EnvironmentChanged,
    /// A recipe of a directory that asks for a search.
    #[error(
        "`build.source-date-epoch = \"search\"` needs something published to search in; \
         give `\"unset\"` or `{{ at = SECONDS }}`"
    )]
    NothingToSearch,
    /// What was published is a part of what it is to be built from.
    #[error("the published file is in the source itself, as {0}: a build would only have to copy it")]
    ArtifactInSource(String),
    /// The recipe makes no image.
    #[error(
        "the recipe's outputs are {0}, and an image is rebuilt by its manifest: one of them has to be manifest.json, and its blobs beside it (docs/images.md)"
    )]
    NoManifest(String),
    /// The recipe makes nothing that is called as what was published.
    #[error("the recipe's outputs are {outputs}: none is called {name}")]
    NoSuchOutput {
        /// What the file is called.
        name: String,
        /// What the outputs are called.
        outputs: String,
    },
    /// A part of the program itself failed.
    #[error("a part of the program failed: {0}")]
    Internal(String),
}

impl From<KeepError> for JobError {
    fn from(error: KeepError) -> Self {
        Self::Packages(error.into())
    }
}

impl From<CompareError> for JobError {
    fn from(error: CompareError) -> Self {
        Self::Judge(error.into())
    }
}

impl From<ExplainError<JobError>> for JobError {
    fn from(error: ExplainError<JobError>) -> Self {
        match error {
            ExplainError::Job(error) => error,
            ExplainError::Canonical(error) => error.into(),
        }
    }
}

/// A build that ran and failed.
#[derive(Debug, Error)]
#[error("the build failed{}: {}", which(*.again), describe(.exit, .seconds, .memory_mib))]
pub struct BuildFailure {
    /// Whether it is the second one, under other conditions.
    pub again: bool,
    /// How it failed.
    pub exit: Exit,
    /// The limit of time, in seconds.
    pub seconds: u32,
    /// The limit of memory, in MiB.
    pub memory_mib: u32,
    /// Where its log was cut, after how many MiB.
    pub log_cut: Option<u32>,
    /// The last lines that it printed, or that the log has of it.
    pub last_lines: Vec<String>,
    /// Where all that it printed is.
    pub log: PathBuf,
    /// A proof's bytes that say that it failed; none of a build that is not for a verdict.
    pub proof: Option<Vec<u8>>,
}

impl BuildFailure {
    /// Of `built`, which did not end well and is not for a verdict.
    pub(crate) fn of(built: Built, again: bool) -> Self {
        let Built { record, log, .. } = built;
        Self {
            again,
            exit: record.exit,
            seconds: record.limits.seconds,
            memory_mib: record.limits.memory_mib,
            log_cut: record.log.truncated.then_some(record.limits.log_mib),
            last_lines: last_lines(&log).unwrap_or_default(),
            log,
            proof: None,
        }
    }

    /// How it failed, in words.
    pub(crate) fn how(&self) -> String {
        describe(&self.exit, &self.seconds, &self.memory_mib)
    }
}

fn which(again: bool) -> &'static str {
    if again { " when it was done again under other conditions" } else { "" }
}

fn describe(exit: &Exit, seconds: &u32, memory_mib: &u32) -> String {
    match exit {
        Exit::Success => "it ended well".into(),
        Exit::Status { step, status, out_of_memory: true } => format!(
            "step {} ended with status {status}, after the build went over its limit of {memory_mib} MiB of memory",
            step + 1
        ),
        Exit::Status { step, status, .. } => format!("step {} ended with status {status}", step + 1),
        Exit::Signal { step, out_of_memory: true, .. } => {
            format!("step {} was ended because the build went over its limit of {memory_mib} MiB of memory", step + 1)
        }
        Exit::Signal { step, signal, .. } => format!("step {} was ended by signal {signal}", step + 1),
        Exit::TimeOut => format!("it was ended after its limit of {seconds} seconds"),
    }
}
